/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What CNODE_TRACE=signals and =spawn print: one Erlang term for each control message, in
 * the order in which they come in or are handed to the connection.
 */
#include "cnode/node/peer.h"

#include <inttypes.h>
#include <stdio.h>

#define BRIEF 300               /* of a message, a reason, a list of arguments */

static void put_atom(struct cn_buf *b, const void *text, size_t size)
{
	const char *at = text;
	cn_put_u8(b, '\'');
	for (size_t i = 0; i < size; i++) {
		if (at[i] == '\'' || at[i] == '\\')
			cn_put_u8(b, '\\');
		cn_put_u8(b, (uint8_t)at[i]);
	}
	cn_put_u8(b, '\'');
}

static void put_pid(struct cn_buf *b, cnode_pid pid)
{
	char node[CNODE_NAME_SIZE];
	cn_put_text(b, "<%s.%u.%u>", cnode_name_text(pid.node, node) == 0 ? node : "?", pid.id, pid.serial);
}

static void put_ref(struct cn_buf *b, const cnode_ref *ref)
{
	char node[CNODE_NAME_SIZE];
	cn_put_text(b, "#Ref<%s", cnode_name_text(ref->node, node) == 0 ? node : "?");
	for (uint32_t i = ref->words; i-- > 0;)
		cn_put_text(b, ".%u", ref->id[i]);
	cn_put_u8(b, '>');
}

static void put_term(struct cn_buf *b, cnode_term term)
{
	char text[BRIEF];
	if (cn_term_is_none(term))
		cn_put_text(b, "none");
	else
		cn_put(b, text, cn_term_brief(term, text, sizeof text));
}

/* Who a signal comes from or is for: a pid, else a name, else a reference. */
static void put_party(struct cn_buf *b, cnode_pid pid, struct cn_atom_text name, const cnode_ref *alias)
{
	cn_put_u8(b, ',');
	if (!cnode_pid_is_none(pid))
		put_pid(b, pid);
	else if (name.size > 0)
		put_atom(b, name.text, name.size);
	else if (alias && alias->words)
		put_ref(b, alias);
	else
		cn_put_text(b, "''");
}

static void put_control(struct cn_buf *b, const struct cn_control *c, cnode_term payload)
{
	static const char *const names[] = {
		[CN_SIGNAL_LINK] = "link", [CN_SIGNAL_SEND] = "send", [CN_SIGNAL_EXIT] = "exit", [CN_SIGNAL_UNLINK] = "unlink",
		[CN_SIGNAL_UNLINK_ACK] = "unlink_ack", [CN_SIGNAL_REG_SEND] = "reg_send", [CN_SIGNAL_GROUP_LEADER] = "group_leader",
		[CN_SIGNAL_EXIT2] = "exit2", [CN_SIGNAL_MONITOR] = "monitor", [CN_SIGNAL_DEMONITOR] = "demonitor",
		[CN_SIGNAL_MONITOR_EXIT] = "monitor_exit", [CN_SIGNAL_SPAWN_REQUEST] = "spawn_request",
		[CN_SIGNAL_SPAWN_REPLY] = "spawn_reply", [CN_SIGNAL_ALIAS_SEND] = "alias_send",
	};
	const struct cn_atom_text none = { NULL, 0 };
	const char *name = c->signal < CN_ARRAY_SIZE(names) && names[c->signal] ? names[c->signal] : "none";
	cn_put_text(b, "{%s", name);
	switch (c->signal) {
	case CN_SIGNAL_SPAWN_REQUEST:
		cn_put_u8(b, ',');
		put_ref(b, &c->ref);
		put_party(b, c->from, none, NULL);
		put_party(b, c->leader, none, NULL);
		cn_put_text(b, ",{");
		put_atom(b, c->module.text, c->module.size);
		cn_put_u8(b, ',');
		put_atom(b, c->function.text, c->function.size);
		cn_put_text(b, ",%u},", c->arity);
		put_term(b, c->opts);
		break;
	case CN_SIGNAL_SPAWN_REPLY:
		cn_put_u8(b, ',');
		put_ref(b, &c->ref);
		put_party(b, c->to, none, NULL);
		cn_put_text(b, ",%u", c->flags);
		put_party(b, c->from, c->name, NULL);
		break;
	case CN_SIGNAL_MONITOR_EXIT:
		put_party(b, c->from, c->name, NULL);
		put_party(b, c->to, none, NULL);
		cn_put_u8(b, ',');
		put_ref(b, &c->ref);
		break;
	case CN_SIGNAL_GROUP_LEADER:
		put_party(b, c->leader, none, NULL);
		put_party(b, c->to, none, NULL);
		break;
	case CN_SIGNAL_UNLINK:
	case CN_SIGNAL_UNLINK_ACK:
		cn_put_text(b, ",%" PRIu64, c->id);
		put_party(b, c->from, none, NULL);
		put_party(b, c->to, none, NULL);
		break;
	default:
		put_party(b, c->from, none, NULL);
		put_party(b, c->to, c->name, &c->ref);
		if (c->signal == CN_SIGNAL_MONITOR || c->signal == CN_SIGNAL_DEMONITOR) {
			cn_put_u8(b, ',');
			put_ref(b, &c->ref);
		}
	}
	cn_put_u8(b, '}');
	if (!cn_term_is_none(payload)) {
		cn_put_u8(b, ',');
		put_term(b, payload);
	}
}

void cn_trace_control(const struct cn_cluster *cluster, bool out, const char *peer, const struct cn_control *c,
		      cnode_term payload)
{
	bool spawn = c->signal == CN_SIGNAL_SPAWN_REQUEST || c->signal == CN_SIGNAL_SPAWN_REPLY;
	bool as_spawn = spawn && cn_trace_on(cluster->log, CN_TRACE_SPAWN);
	if (!as_spawn && !cn_trace_on(cluster->log, CN_TRACE_SIGNALS))
		return;
	struct cn_buf b;
	cn_buf_init(&b, 0);
	cn_put_text(&b, "trace: {%s,%s,", as_spawn ? "spawn" : "signal", out ? "out" : "in");
	put_atom(&b, peer, strlen(peer));
	cn_put_u8(&b, ',');
	put_control(&b, c, payload);
	cn_put_u8(&b, '}');
	if (b.err == 0)
		cn_trace_line(cluster->log, "%.*s", (int)b.size, (const char *)b.data);
	cn_buf_fini(&b);
}
