/* SPDX-License-Identifier: Apache-2.0 */
/*
 * puppet: what CONTRACT.md asks of a node under test, on cnode's public headers. A puppet
 * does what the message {Op, From, Ref, Args} tells it and answers {Ref, Result}; every
 * other message goes on to whoever watches. Orders that have to wait (waiting.c) are
 * answered from a thread of their own.
 */
#include <string.h>

#include "conformance/nodes/cnode/puppet.h"

/* The flags that this node refuses a peer without: see "Mandatory flags" in erl_dist_protocol, OTP 23. */
#define MANDATORY_FLAGS 0x50184

struct puppet {
	cnode_pid watcher;
	bool traps;
};

static const cnode_behaviour puppet;

int answer(const struct order *o, const char *format, ...)
{
	cnode_term result;
	va_list args;
	va_start(args, format);
	int rc = cnode_vformat(&result, format, args);
	va_end(args);
	if (rc != 0)
		return rc;
	rc = cnode_send(o->self, o->from, "{~r,~t}", o->ref, result);
	cnode_term_drop(result);
	return rc;
}

int done(const struct order *o, int rc, const char *result)
{
	return rc != 0 ? rc : answer(o, "~a", result);
}

static const char capabilities_list[] =
	"[puppet, echo, register, link, monitor, exit, group_leader, alias, connect, disconnect, nodes, monitor_node,"
	" spawn, spawn_out, spawn_options, acl, acl_orders, gen, gen_out, sys, busy, ping, ping_out, rpc, rpc_out, erpc, erpc_out,"
	" rex,"
	" seq_trace,"
	" builtins,"
	" io,"
	" rude,"
	" straight,"
	" old_hello,"
	" monitor_nodes,"
	" pg,"
	" pg_monitor,"
	" pubsub,"
	" global,"
	" global_resolve,"
	" global_disconnect,"
	" global_pop,"
	" global_watchdog,"
	" global_external,"
	" service_restart,"
	" discover,"
	" out_limit,"
	" mailbox_bytes,"
	" dynamic_names]";

static int capabilities(const struct order *o)
{
	cnode_term list;
	int rc = cnode_parse(capabilities_list, &list, NULL);
	if (rc == 0)
		rc = answer(o, "~t", list);
	cnode_term_drop(list);
	return rc;
}

static int echo(const struct order *o)
{
	cnode_term term;
	int rc = cnode_scan(o->args, "[~t]", &term);
	return rc != 0 ? rc : answer(o, "~t", term);
}

static int self(const struct order *o)
{
	return answer(o, "~p", cnode_self(o->self));
}

static int spawn(const struct order *o)
{
	cnode_term none;
	cnode_pid pid;
	int rc = cnode_format(&none, "[]");
	if (rc != 0)
		return rc;
	rc = cnode_process_start(cnode_process_node(o->self), NULL, &puppet, NULL, none, &pid);
	cnode_term_drop(none);
	return rc != 0 ? rc : answer(o, "~p", pid);
}

static int print(const struct order *o)
{
	const char *text;
	size_t size;
	int rc = cnode_scan(o->args, "[~s]", &text, &size);
	return done(o, rc != 0 ? rc : cnode_printf(o->self, "%.*s", (int)size, text), "ok");
}

static int watch(const struct order *o)
{
	return done(o, cnode_scan(o->args, "[~p]", &o->puppet->watcher), "ok");
}

static int exit_now(const struct order *o)
{
	cnode_term reason;
	int rc = done(o, cnode_scan(o->args, "[~t]", &reason), "ok");
	return rc != 0 ? rc : cnode_stop(o->self, "~t", reason);
}

static int is_alive(const struct order *o)
{
	cnode_pid pid;
	int rc = cnode_scan(o->args, "[~p]", &pid);
	return done(o, rc, cnode_is_alive(cnode_process_node(o->self), pid) ? "true" : "false");
}

static int creation(const struct order *o)
{
	return answer(o, "~Q", (uint64_t)cnode_self(o->self).creation);
}

static int mandatory_flags(const struct order *o)
{
	return answer(o, "~q", (int64_t)MANDATORY_FLAGS);
}

static int send_to(const struct order *o)
{
	cnode_term message;
	cnode_pid pid;
	cnode_ref alias;
	cnode_atom name, node;
	int rc;
	if (cnode_scan(o->args, "[~p,~t]", &pid, &message) == 0)
		rc = cnode_send_term(o->self, pid, message, 0);
	else if (cnode_scan(o->args, "[~r,~t]", &alias, &message) == 0)
		rc = cnode_send_alias_term(o->self, alias, message, 0);
	else if (cnode_scan(o->args, "[~a,~t]", &name, &message) == 0)
		rc = cnode_send_name_term(o->self, name.text, NULL, message, 0);
	else if ((rc = cnode_scan(o->args, "[{~a,~a},~t]", &name, &node, &message)) == 0)
		rc = cnode_send_name_term(o->self, name.text, node.text, message, 0);
	return done(o, rc, "ok");
}

static int trap_exit(const struct order *o)
{
	cnode_atom word;
	bool old = o->puppet->traps;
	int rc = cnode_scan(o->args, "[~a]", &word);
	if (rc != 0)
		return rc;
	o->puppet->traps = strcmp(word.text, "true") == 0;
	return done(o, cnode_trap_exit(o->self, o->puppet->traps), old ? "true" : "false");
}

static int link_to(const struct order *o)
{
	cnode_pid pid;
	int rc = cnode_scan(o->args, "[~p]", &pid);
	return done(o, rc != 0 ? rc : cnode_link(o->self, pid), "true");
}

static int unlink_from(const struct order *o)
{
	cnode_pid pid;
	int rc = cnode_scan(o->args, "[~p]", &pid);
	return done(o, rc != 0 ? rc : cnode_unlink(o->self, pid), "true");
}

static int exit_signal(const struct order *o)
{
	cnode_pid pid;
	cnode_term reason;
	int rc = cnode_scan(o->args, "[~p,~t]", &pid, &reason);
	return done(o, rc != 0 ? rc : cnode_exit(o->self, pid, "~t", reason), "true");
}

static int monitor(const struct order *o)
{
	cnode_pid pid;
	cnode_atom name, node;
	cnode_ref ref;
	int rc;
	if (cnode_scan(o->args, "[~p]", &pid) == 0)
		rc = cnode_monitor(o->self, pid, &ref);
	else if ((rc = cnode_scan(o->args, "[{~a,~a}]", &name, &node)) == 0)
		rc = cnode_monitor_name(o->self, name.text, node.text, &ref);
	return rc != 0 ? rc : answer(o, "~r", ref);
}

static int demonitor(const struct order *o)
{
	cnode_ref ref;
	int rc = cnode_scan(o->args, "[~r]", &ref);
	return done(o, rc != 0 ? rc : cnode_demonitor(o->self, ref, 0), "true");
}

static int register_self(const struct order *o)
{
	cnode_atom name;
	int rc = cnode_scan(o->args, "[~a]", &name);
	return done(o, rc != 0 ? rc : cnode_register(o->self, name.text), "true");
}

static int unregister(const struct order *o)
{
	cnode_atom name;
	int rc = cnode_scan(o->args, "[~a]", &name);
	return done(o, rc != 0 ? rc : cnode_unregister(o->self, name.text), "true");
}

static int whereis(const struct order *o)
{
	cnode_atom name;
	cnode_pid pid;
	int rc = cnode_scan(o->args, "[~a]", &name);
	if (rc == 0)
		rc = cnode_whereis(cnode_process_node(o->self), name.text, &pid);
	if (rc == CNODE_ENOENT)
		return answer(o, "undefined");
	return rc != 0 ? rc : answer(o, "~p", pid);
}

static int group_leader(const struct order *o)
{
	cnode_pid leader, pid;
	if (cnode_scan(o->args, "[]") == 0)
		return answer(o, "~p", cnode_group_leader(o->self));
	int rc = cnode_scan(o->args, "[~p,~p]", &leader, &pid);
	return done(o, rc != 0 ? rc : cnode_set_group_leader(o->self, leader, pid), "true");
}

static int alias(const struct order *o)
{
	cnode_ref ref;
	unsigned flags;
	if (cnode_scan(o->args, "[[]]") == 0 || cnode_scan(o->args, "[[explicit_unalias]]") == 0)
		flags = 0;
	else if (cnode_scan(o->args, "[[reply]]") == 0)
		flags = CNODE_ALIAS_REPLY;
	else
		return CNODE_EBADARG;
	int rc = cnode_alias(o->self, flags, &ref);
	return rc != 0 ? rc : answer(o, "~r", ref);
}

static int unalias(const struct order *o)
{
	cnode_ref ref;
	int rc = cnode_scan(o->args, "[~r]", &ref);
	if (rc == 0)
		rc = cnode_unalias(o->self, ref);
	return rc == CNODE_ENOENT ? answer(o, "false") : done(o, rc, "true");
}

static int monitor_alias(const struct order *o)
{
	cnode_pid pid;
	cnode_atom name, node, how;
	cnode_ref ref;
	bool by_name = false;
	int rc = cnode_scan(o->args, "[~p,~a]", &pid, &how);
	if (rc != 0) {
		by_name = true;
		rc = cnode_scan(o->args, "[{~a,~a},~a]", &name, &node, &how);
	}
	if (rc != 0)
		return rc;
	unsigned flags = strcmp(how.text, "demonitor") == 0	  ? CNODE_ALIAS_DEMONITOR
			 : strcmp(how.text, "reply_demonitor") == 0 ? CNODE_ALIAS_REPLY
								     : 0;
	rc = by_name ? cnode_monitor_name_alias(o->self, name.text, node.text, flags, &ref)
		     : cnode_monitor_alias(o->self, pid, flags, &ref);
	return rc != 0 ? rc : answer(o, "~r", ref);
}

static int disconnect(const struct order *o)
{
	cnode_atom node;
	int rc = cnode_scan(o->args, "[~a]", &node);
	if (rc == 0)
		rc = cnode_disconnect(cnode_process_node(o->self), node.text);
	return rc == CNODE_ENOENT ? answer(o, "false") : done(o, rc, "true");
}

/* Which peers a list is to hold. */
struct nodes {
	cnode_builder *builder;
	bool visible, hidden;
};

static int add_node(void *context, const cnode_peer *peer)
{
	struct nodes *n = context;
	if (peer->visible ? n->visible : n->hidden)
		cnode_build_atom(n->builder, peer->name);
	return 0;
}

static int nodes(const struct order *o)
{
	cnode_atom which;
	cnode_term list;
	int rc = cnode_scan(o->args, "[~a]", &which);
	if (rc != 0)
		return rc;
	struct nodes n = {
		.builder = cnode_builder_new(),
		.visible = strcmp(which.text, "hidden") != 0,
		.hidden = strcmp(which.text, "visible") != 0,
	};
	if (n.builder == NULL)
		return CNODE_ENOMEM;
	cnode_build_list(n.builder);
	rc = cnode_peers(cnode_process_node(o->self), add_node, &n);
	cnode_build_list_end(n.builder);
	if (rc == 0)
		rc = cnode_builder_term(n.builder, &list);
	cnode_builder_free(n.builder);
	if (rc != 0)
		return rc;
	rc = answer(o, "~t", list);
	cnode_term_drop(list);
	return rc;
}

static int discover(const struct order *o)
{
	const char *source;
	size_t size;
	char text[256];
	int rc = cnode_scan(o->args, "[~s]", &source, &size);
	if (rc != 0 || size >= sizeof text)
		return rc != 0 ? rc : CNODE_EBADARG;
	memcpy(text, source, size);
	text[size] = 0;
	return done(o, cnode_discover(cnode_process_node(o->self), text), "ok");
}

static int monitor_node(const struct order *o)
{
	cnode_atom node, on;
	int rc = cnode_scan(o->args, "[~a,~a]", &node, &on);
	if (rc == 0)
		rc = cnode_monitor_node(o->self, node.text, strcmp(on.text, "true") == 0);
	return done(o, rc, "true");
}

/* ---- gen_server from here ---- */

/* A call that is under way. */
struct call {
	cnode_pid from;
	cnode_ref ref;
	char node[CNODE_NAME_SIZE];
};

static int called(cnode_process *self, void *state, void *context, const cnode_answer *a)
{
	struct call *c = context;
	int rc;
	(void)state;
	switch (a->status) {
	case 0:
		rc = cnode_send(self, c->from, "{~r,{ok,~t}}", c->ref, a->term);
		break;
	case CNODE_ETIMEOUT:
		rc = cnode_send(self, c->from, "{~r,{error,timeout}}", c->ref);
		break;
	case CNODE_ENOCONNECTION:
		rc = cnode_send(self, c->from, "{~r,{error,{nodedown,~a}}}", c->ref, c->node);
		break;
	case CNODE_ENOPROC:
		rc = cnode_send(self, c->from, "{~r,{error,noproc}}", c->ref);
		break;
	default:
		rc = cnode_send(self, c->from, "{~r,{error,~t}}", c->ref, a->term);
		break;
	}
	free(c);
	return rc;
}

static int call(const struct order *o)
{
	cnode_pid pid;
	cnode_atom name, node;
	cnode_term request, wait;
	int64_t ms;
	int rc;
	struct call *c = calloc(1, sizeof *c);
	if (c == NULL)
		return CNODE_ENOMEM;
	c->from = o->from;
	c->ref = o->ref;
	cnode_term global;
	bool by_name = cnode_scan(o->args, "[~p,~t,~t]", &pid, &request, &wait) != 0;
	if (by_name && cnode_scan(o->args, "[{global,~t},~t,~t]", &global, &request, &wait) == 0) {
		by_name = cnode_global_whereis(cnode_process_node(o->self), global, &pid) != 0;
		rc = by_name ? CNODE_ENOENT : cnode_name_text(pid.node, c->node);
	} else
		rc = by_name ? cnode_scan(o->args, "[{~a,~a},~t,~t]", &name, &node, &request, &wait)
		     : cnode_name_text(pid.node, c->node);
	if (rc == 0) {
		uint64_t timeout = cnode_scan(wait, "~q", &ms) == 0 ? (uint64_t)ms : CNODE_INFINITY;
		if (by_name)
			memcpy(c->node, node.text, sizeof c->node);
		rc = by_name ? cnode_call_name_async(o->self, name.text, node.text, timeout, called, c, "~t", request)
			     : cnode_call_async(o->self, pid, timeout, called, c, "~t", request);
	}
	if (rc != 0)
		free(c);
	return rc;
}

static int cast(const struct order *o)
{
	cnode_pid pid;
	cnode_atom name, node;
	cnode_term message;
	int rc;
	if (cnode_scan(o->args, "[~p,~t]", &pid, &message) == 0)
		rc = cnode_cast(o->self, pid, "~t", message);
	else if ((rc = cnode_scan(o->args, "[{~a,~a},~t]", &name, &node, &message)) == 0)
		rc = cnode_cast_name(o->self, name.text, node.text, "~t", message);
	return done(o, rc, "ok");
}

static int acl(const struct order *o)
{
	cnode_term result;
	int rc = acl_order(cnode_process_node(o->self), o->args, &result);
	if (rc != 0)
		return rc;
	rc = answer(o, "~t", result);
	cnode_term_drop(result);
	return rc;
}

static int attributes(const struct order *o)
{
	cnode_atom application;
	int rc = cnode_scan(o->args, "[~a]", &application);
	return done(o, rc != 0 ? rc : cnode_set_application(o->self, application.text), "ok");
}

static int spawn_request(const struct order *o)
{
	cnode_atom node, module, function, option;
	cnode_term args, options;
	cnode_ref ref;
	cnode_spawn_options wanted = CNODE_SPAWN_INIT;
	int rc = cnode_scan(o->args, "[~a,~a,~a,~t,~t]", &node, &module, &function, &args, &options);
	if (rc != 0)
		return rc;
	cnode_reader r = cnode_read(options);
	for (size_t n; (n = cnode_read_list(&r)) > 0;)
		while (n-- > 0) {
			cnode_term one = cnode_read_term(&r);
			if (r.error != 0)
				return CNODE_EBADARG;
			if (cnode_scan(one, "link") == 0)
				wanted.link = true;
			else if (cnode_scan(one, "monitor") == 0)
				wanted.monitor = true;
			else if (cnode_scan(one, "{application,~a}", &option) == 0)
				wanted.application = option.text;
			else
				return CNODE_EBADARG;
		}
	wanted.function = function.text;
	rc = cnode_spawn_request_options(o->self, node.text, module.text, args, &wanted, &ref);
	return rc != 0 ? rc : answer(o, "~r", ref);
}

/* ---- orders ---- */

static int later(const struct order *o, waiting_fn *what)
{
	return waiting_start(cnode_process_node(o->self), what, o->from, o->ref, o->args);
}

static int connect_later(const struct order *o) { return later(o, waiting_connect); }
static int ping_later(const struct order *o) { return later(o, waiting_ping); }
static int rpc_later(const struct order *o) { return later(o, waiting_rpc); }
static int erpc_later(const struct order *o) { return later(o, waiting_erpc); }

static int trans_later(const struct order *o)
{
	struct order with_ref = *o;
	int rc = cnode_format(&with_ref.args, "[~r|~t]", o->ref, o->args);
	if (rc != 0)
		return rc;
	rc = later(&with_ref, waiting_trans);
	cnode_term_drop(with_ref.args);
	return rc;
}

static const struct {
	const char *name;
	int (*obey)(const struct order *o);
} orders[] = {
	{ "acl", acl },
	{ "alias", alias },
	{ "attributes", attributes },
	{ "call", call },
	{ "capabilities", capabilities },
	{ "cast", cast },
	{ "connect", connect_later },
	{ "creation", creation },
	{ "demonitor", demonitor },
	{ "disconnect", disconnect },
	{ "discover", discover },
	{ "echo", echo },
	{ "erpc", erpc_later },
	{ "exit", exit_now },
	{ "exit_signal", exit_signal },
	{ "global_trans", trans_later },
	{ "group_leader", group_leader },
	{ "is_alive", is_alive },
	{ "link", link_to },
	{ "mandatory_flags", mandatory_flags },
	{ "monitor", monitor },
	{ "monitor_alias", monitor_alias },
	{ "monitor_node", monitor_node },
	{ "monitor_nodes", order_monitor_nodes },
	{ "nodes", nodes },
	{ "pg_demonitor", order_pg_demonitor },
	{ "pg_groups", order_pg_groups },
	{ "pg_join", order_pg_join },
	{ "pg_leave", order_pg_leave },
	{ "pg_local_groups", order_pg_local_groups },
	{ "pg_local_members", order_pg_local_members },
	{ "pg_members", order_pg_members },
	{ "pg_monitor", order_pg_monitor },
	{ "pg_monitor_scope", order_pg_monitor_scope },
	{ "pg_start", order_pg_start },
	{ "pg_stop", order_pg_stop },
	{ "ping", ping_later },
	{ "print", print },
	{ "pubsub_broadcast", order_pubsub_broadcast },
	{ "pubsub_broadcast_from", order_pubsub_broadcast_from },
	{ "pubsub_direct_broadcast", order_pubsub_direct_broadcast },
	{ "pubsub_start", order_pubsub_start },
	{ "pubsub_stop", order_pubsub_stop },
	{ "pubsub_subscribe", order_pubsub_subscribe },
	{ "pubsub_unsubscribe", order_pubsub_unsubscribe },
	{ "register", register_self },
	{ "rpc", rpc_later },
	{ "self", self },
	{ "send", send_to },
	{ "spawn", spawn },
	{ "spawn_request", spawn_request },
	{ "trap_exit", trap_exit },
	{ "unalias", unalias },
	{ "unlink", unlink_from },
	{ "unregister", unregister },
	{ "watch", watch },
	{ "whereis", whereis },
};

static int obey(const struct order *o, const char *name)
{
	for (size_t i = 0; i < sizeof orders / sizeof orders[0]; i++)
		if (strcmp(orders[i].name, name) == 0)
			return orders[i].obey(o);
	return strncmp(name, "global_", 7) == 0 ? global_obey(o->self, name, o->from, o->ref, o->args) : CNODE_EUNDEF;
}

/* Who gave an order may be a pid that cannot be answered, or his node may not take the answer: no reason to end. */
static int lasting(int rc)
{
	return rc == CNODE_EEXITED ? rc : 0;
}

static bool is_list(cnode_term term)
{
	enum cnode_type type = cnode_term_type(term);
	return type == CNODE_TYPE_NIL || type == CNODE_TYPE_LIST;
}

static int puppet_info(cnode_process *process, void *state, const cnode_info *info)
{
	struct puppet *p = state;
	struct order o = { .self = process, .puppet = p };
	cnode_atom name;
	if (info->kind == CNODE_MESSAGE && cnode_scan(info->message, "{~a,~p,~r,~t}", &name, &o.from, &o.ref, &o.args) == 0 &&
	    is_list(o.args)) {
		int rc = obey(&o, name.text);
		/* cnode_stop's code ends the puppet, anything else is told to who gave the order. */
		return rc == 0 || rc == CNODE_EEXITED ? rc : lasting(answer(&o, "{refused,error,~a}", cnode_error_atom(rc)));
	}
	if (cnode_pid_is_none(p->watcher))
		return 0;
	return lasting(cnode_send(process, p->watcher, "{saw,~p,~t}", cnode_self(process), info->message));
}

static int puppet_init(cnode_process *process, void *state, const cnode_start *how)
{
	(void)process;
	(void)state;
	return cnode_scan(how->args, "[]");
}

static const cnode_behaviour puppet = {
	CNODE_BEHAVIOUR_INIT,
	.flags = CNODE_RAW,
	.state_size = sizeof(struct puppet),
	.init = puppet_init,
	.handle_info = puppet_info,
};

/* herald: speaks before it has been started, as its peer sees it, and ends. */
static int herald_init(cnode_process *process, void *state, const cnode_start *how)
{
	cnode_pid to;
	(void)state;
	int rc = cnode_scan(how->args, "[~p]", &to);
	if (rc == 0)
		rc = cnode_send(process, to, "{herald,~p}", cnode_self(process));
	return rc != 0 ? rc : cnode_stop(process, "normal");
}

static const cnode_behaviour herald = { CNODE_BEHAVIOUR_INIT, .init = herald_init };

static int start(cnode_node *node, void **state)
{
	cnode_term none;
	cnode_pid pid;
	(void)state;
	int rc = cnode_format(&none, "[]");
	if (rc != 0)
		return rc;
	rc = cnode_process_start(node, "conformance", &puppet, NULL, none, &pid);
	cnode_term_drop(none);
	if (rc == 0)
		rc = cnode_factory_add(node, "puppet", &puppet, NULL, CNODE_ALL_NODES);
	if (rc == 0)
		rc = cnode_factory_add(node, "herald", &herald, NULL, CNODE_ALL_NODES);
	if (rc == 0)
		rc = cnode_factory_add(node, "closed", &puppet, NULL, CNODE_NO_NODES);
	if (rc == 0)
		rc = cnode_factory_add(node, "friends", &puppet, NULL, "friend@127.0.0.1");
	/* Cases end puppets that other puppets made with exit/2, as any BEAM node may. */
	if (rc == 0)
		rc = cnode_access_set(node, CNODE_ACCESS_EXIT, "*", CNODE_ALL_NODES);
	if (rc == 0)
		rc = acl_open(node);
	if (rc == 0)
		rc = functions_export(node);
	if (rc == 0)
		rc = global_export(node);
	return rc;
}

static void stop(cnode_node *node, void *state)
{
	(void)node;
	(void)state;
	waiting_close();
}

CNODE_MODULE("puppet", start, stop)
