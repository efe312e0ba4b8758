/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control terms outbound: which op says a signal to this peer, and its bytes. Follows:
 * dsig_send_*() in erts/emulator/beam/dist.c.
 */
#include "cnode/wire/encoder.h"

#define ALTACT_PRIO 1u
#define ALTACT_ALIAS 4u
#define ALTACT_NAME 8u
#define ALTACT_EXIT 16u

int cn_control_form(const struct cn_control *c, uint64_t flags, enum cn_op *op, bool *payload)
{
	const uint64_t monitors = CN_DFLAG_DIST_MONITOR | CN_DFLAG_DIST_MONITOR_NAME;
	bool altact = flags & CN_DFLAG_ALTACT_SIG;
	bool reasons = flags & CN_DFLAG_EXIT_PAYLOAD || CN_MUTANT(payload_always);
	bool has = false;
	enum cn_op o;
	switch (c->signal) {
	case CN_SIGNAL_SEND:
		has = true;
		o = c->priority && altact ? CN_OP_ALTACT_SIG_SEND
		    : flags & CN_DFLAG_SEND_SENDER && !cnode_pid_is_none(c->from) ? CN_OP_SEND_SENDER
										  : CN_OP_SEND;
		break;
	case CN_SIGNAL_REG_SEND:
		has = true;
		o = c->priority && altact ? CN_OP_ALTACT_SIG_SEND : CN_OP_REG_SEND;
		break;
	case CN_SIGNAL_ALIAS_SEND:
		has = true;
		if (!(flags & CN_DFLAG_ALIAS) && !altact)
			return CNODE_ENOTSUP;
		o = altact ? CN_OP_ALTACT_SIG_SEND : CN_OP_ALIAS_SEND;
		break;
	case CN_SIGNAL_LINK:
		o = CN_OP_LINK;
		break;
	case CN_SIGNAL_UNLINK:
		if (flags & CN_DFLAG_UNLINK_ID && c->id == 0)
			return CNODE_EBADARG;
		o = flags & CN_DFLAG_UNLINK_ID && !CN_MUTANT(old_unlink) ? CN_OP_UNLINK_ID : CN_OP_UNLINK;
		break;
	case CN_SIGNAL_UNLINK_ACK:
		if (!(flags & CN_DFLAG_UNLINK_ID))
			return CNODE_ENOTSUP;
		if (c->id == 0)
			return CNODE_EBADARG;
		o = CN_OP_UNLINK_ID_ACK;
		break;
	case CN_SIGNAL_EXIT:
		has = reasons;
		o = reasons ? CN_OP_PAYLOAD_EXIT : CN_OP_EXIT;
		break;
	case CN_SIGNAL_EXIT2:
		if (cnode_pid_is_none(c->to) && !altact)
			return CNODE_ENOTSUP;
		if (altact && (c->priority || cnode_pid_is_none(c->to))) {
			has = true;
			o = CN_OP_ALTACT_SIG_SEND;
		} else {
			has = reasons;
			o = reasons ? CN_OP_PAYLOAD_EXIT2 : CN_OP_EXIT2;
		}
		break;
	case CN_SIGNAL_MONITOR:
	case CN_SIGNAL_DEMONITOR:
	case CN_SIGNAL_MONITOR_EXIT:
		/* BEAM nodes gate all of them with both flags. */
		if ((flags & monitors) != monitors)
			return CNODE_ENOTSUP;
		has = c->signal == CN_SIGNAL_MONITOR_EXIT && reasons;
		o = c->signal == CN_SIGNAL_MONITOR     ? CN_OP_MONITOR_P
		    : c->signal == CN_SIGNAL_DEMONITOR ? CN_OP_DEMONITOR_P
		    : reasons			       ? CN_OP_PAYLOAD_MONITOR_P_EXIT
						       : CN_OP_MONITOR_P_EXIT;
		break;
	case CN_SIGNAL_GROUP_LEADER:
		o = CN_OP_GROUP_LEADER;
		break;
	case CN_SIGNAL_SPAWN_REQUEST:
		if (!(flags & CN_DFLAG_SPAWN))
			return CNODE_ENOTSUP;
		has = true;
		o = CN_OP_SPAWN_REQUEST;
		break;
	case CN_SIGNAL_SPAWN_REPLY:
		/* Whoever asked can be answered: BEAM nodes do not look at the flag of what comes in. */
		o = CN_OP_SPAWN_REPLY;
		break;
	default:
		return CNODE_EBADARG;
	}
	*op = o;
	*payload = has;
	return 0;
}

bool cn_op_has_inner(enum cn_op op)
{
	return op == CN_OP_EXIT || op == CN_OP_EXIT2 || op == CN_OP_MONITOR_P_EXIT || op == CN_OP_SPAWN_REQUEST;
}

/* ---- the pieces. The room is enough for every control term, so nothing is checked here. ---- */

static inline void put_u8(struct cn_write *w, uint8_t v)
{
	w->bytes[w->size++] = v;
}

static inline void put_u32(struct cn_write *w, uint32_t v)
{
	cn_store_u32(w->bytes + w->size, v);
	w->size += 4;
}

static void fail(struct cn_write *w, int err)
{
	if (!w->err)
		w->err = err;
}

static void put_inline(struct cn_write *w, const void *text, size_t size)
{
	if (size <= 255) {
		put_u8(w, CN_SMALL_ATOM_UTF8);
		put_u8(w, (uint8_t)size);
	} else {
		put_u8(w, CN_ATOM_UTF8);
		cn_store_u16(w->bytes + w->size, (uint16_t)size);
		w->size += 2;
	}
	memcpy(w->bytes + w->size, text, size);
	w->size += size;
}

static inline void put_ref_to(struct cn_write *w, int index)
{
	put_u8(w, CN_ATOM_CACHE_REF);
	put_u8(w, (uint8_t)index);
}

static void put_atom(struct cn_write *w, struct cn_atom_text a)
{
	if (a.size > CN_ATOM_BYTES || !cn_atom_valid(a.text, a.size)) {
		fail(w, CNODE_EBADARG);
		return;
	}
	int i = cn_cache_text(w->cache, a.text, a.size);
	if (i >= 0)
		put_ref_to(w, i);
	else
		put_inline(w, a.text, a.size);
}

static void put_empty(struct cn_write *w)
{
	put_u8(w, CN_SMALL_ATOM_UTF8);
	put_u8(w, 0);
}

static void put_node(struct cn_write *w, cnode_name name)
{
	int i = cn_cache_name(w->cache, name);
	if (CN_LIKELY(i >= 0)) {
		put_ref_to(w, i);
		return;
	}
	char text[CNODE_NAME_SIZE];
	int size = cn_name_text(name, text);
	if (size < 0)
		fail(w, size);
	else
		put_inline(w, text, (size_t)size);
}

static void put_pid(struct cn_write *w, cnode_pid pid)
{
	if (CN_UNLIKELY(cnode_pid_is_none(pid))) {
		fail(w, CNODE_EBADARG);
		return;
	}
	if (CN_UNLIKELY(w->narrow && (pid.id > 0x7fff || pid.serial > 0x1fff)))
		fail(w, CNODE_EBADTERM);
	put_u8(w, CN_NEW_PID);
	put_node(w, pid.node);
	uint8_t *p = w->bytes + w->size;
	p = cn_store_u32(p, pid.id);
	p = cn_store_u32(p, pid.serial);
	cn_store_u32(p, pid.creation);
	w->size += 12;
}

static void put_ref(struct cn_write *w, const cnode_ref *ref)
{
	if (ref->node == 0 || ref->words == 0 || ref->words > CN_ARRAY_SIZE(ref->id)) {
		fail(w, CNODE_EBADARG);
		return;
	}
	if (w->narrow && ref->words > 3)
		fail(w, CNODE_EBADTERM);
	put_u8(w, CN_NEWER_REFERENCE);
	put_u8(w, 0);
	put_u8(w, (uint8_t)ref->words);
	put_node(w, ref->node);
	put_u32(w, ref->creation);
	for (uint32_t i = 0; i < ref->words; i++)
		put_u32(w, ref->id[i]);
}

static void put_number(struct cn_write *w, uint64_t v)
{
	if (v <= 255) {
		put_u8(w, CN_SMALL_INTEGER);
		put_u8(w, (uint8_t)v);
	} else if (v <= INT32_MAX) {
		put_u8(w, CN_INTEGER);
		put_u32(w, (uint32_t)v);
	} else {
		put_u8(w, CN_SMALL_BIG);
		size_t at = w->size;
		put_u8(w, 0);
		put_u8(w, 0);
		for (; v; v >>= 8) {
			put_u8(w, (uint8_t)v);
			w->bytes[at]++;
		}
	}
}

/* A process, or the name under which it was asked for. */
static void put_monitored(struct cn_write *w, cnode_pid pid, const struct cn_control *c)
{
	if (cnode_pid_is_none(pid))
		put_atom(w, c->name);
	else
		put_pid(w, pid);
}

static void put_altact(struct cn_write *w, const struct cn_control *c)
{
	bool is_pid = !cnode_pid_is_none(c->to);
	bool alias = c->signal == CN_SIGNAL_ALIAS_SEND || (c->signal == CN_SIGNAL_EXIT2 && !is_pid && c->ref.words);
	bool name = c->signal == CN_SIGNAL_REG_SEND || (c->signal == CN_SIGNAL_EXIT2 && !is_pid && !alias);
	put_number(w, (c->priority ? ALTACT_PRIO : 0) | (alias ? ALTACT_ALIAS : 0) | (name ? ALTACT_NAME : 0) |
			      (c->signal == CN_SIGNAL_EXIT2 ? ALTACT_EXIT : 0));
	put_pid(w, c->from);
	if (alias)
		put_ref(w, &c->ref);
	else if (name)
		put_atom(w, c->name);
	else
		put_pid(w, c->to);
}

void cn_write_control(struct cn_write *w, const struct cn_control *c, enum cn_op op)
{
	static const uint8_t arity[] = {
#define ROW(name, number, arity, signal, payload) [number] = arity,
		CN_OP_MAP(ROW)
#undef ROW
	};
	w->err = 0;
	w->size = 0;
	put_u8(w, CN_SMALL_TUPLE);
	put_u8(w, arity[op]);
	put_u8(w, CN_SMALL_INTEGER);
	put_u8(w, (uint8_t)op);
	switch (op) {
	case CN_OP_SEND:
		put_empty(w);
		put_pid(w, c->to);
		break;
	case CN_OP_REG_SEND:
		put_pid(w, c->from);
		put_empty(w);
		put_atom(w, c->name);
		break;
	case CN_OP_ALIAS_SEND:
		put_pid(w, c->from);
		put_ref(w, &c->ref);
		break;
	case CN_OP_ALTACT_SIG_SEND:
		put_altact(w, c);
		break;
	case CN_OP_UNLINK_ID:
	case CN_OP_UNLINK_ID_ACK:
		put_number(w, c->id + (CN_MUTANT(unlink_ack_other_id) && op == CN_OP_UNLINK_ID_ACK));
		put_pid(w, c->from);
		put_pid(w, c->to);
		break;
	case CN_OP_MONITOR_P:
	case CN_OP_DEMONITOR_P:
		put_pid(w, c->from);
		put_monitored(w, c->to, c);
		put_ref(w, &c->ref);
		break;
	case CN_OP_MONITOR_P_EXIT:
	case CN_OP_PAYLOAD_MONITOR_P_EXIT:
		put_monitored(w, c->from, c);
		put_pid(w, c->to);
		put_ref(w, &c->ref);
		break;
	case CN_OP_GROUP_LEADER:
		put_pid(w, c->leader);
		put_pid(w, c->to);
		break;
	case CN_OP_SPAWN_REQUEST:
		put_ref(w, &c->ref);
		put_pid(w, c->from);
		put_pid(w, c->leader);
		put_u8(w, CN_SMALL_TUPLE);
		put_u8(w, 3);
		put_atom(w, c->module);
		put_atom(w, c->function);
		put_number(w, c->arity);
		break;
	case CN_OP_SPAWN_REPLY:
		put_ref(w, &c->ref);
		put_pid(w, c->to);
		put_number(w, c->flags);
		put_monitored(w, c->from, c);
		break;
	default:
		put_pid(w, c->from);
		put_pid(w, c->to);
		break;
	}
}
