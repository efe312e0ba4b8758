/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control messages inbound: one pass over the control term, straight into cn_control. What
 * breaks a rule that makes a BEAM node drop the link is refused here too, but for two: a
 * stale To of EXIT and UNLINK_ID (a race between two restarts, not the peer's fault) and
 * UNLINK without id from a new peer are handed on.
 *
 * Follows: erts_net_message() in erts/emulator/beam/dist.c; erl_dist_protocol, "Protocol
 * between Connected Nodes".
 */
#include "cnode/wire/control.h"

struct op_row {
	const char *name;
	uint8_t arity;
	uint8_t signal;
	bool payload;
};
static const struct op_row ops[] = {
#define ROW(name, number, arity, signal, payload) [number] = { #name, arity, CN_SIGNAL_##signal, payload },
	CN_OP_MAP(ROW)
#undef ROW
};

const char *cn_op_name(unsigned op)
{
	return op < CN_ARRAY_SIZE(ops) ? ops[op].name : NULL;
}

const char *cn_signal_name(enum cn_control_signal signal)
{
	switch (signal) {
#define NAME(name) case CN_SIGNAL_##name: return #name;
	CN_SIGNAL_MAP(NAME)
#undef NAME
	case CN_SIGNAL_NONE:
		break;
	}
	return "NONE";
}

/* Bits of op 37's first element. */
#define ALTACT_PRIO 1u
#define ALTACT_TOKEN 2u
#define ALTACT_ALIAS 4u
#define ALTACT_NAME 8u
#define ALTACT_EXIT 16u

/* The cursor. Running out of bytes is rd.err and wins over `why`: a cut term is not a wrong one. */
struct decoder {
	struct cn_rd rd;
	struct cn_control_in *in;
	int code;
	const char *why;            /* static text; first refusal */
};

static void refuse(struct decoder *d, int code, const char *why)
{
	if (!d->why) {
		d->why = why;
		d->code = code;
	}
}

static inline uint8_t peek(struct decoder *d)
{
	if (CN_UNLIKELY(d->rd.at == d->rd.end))
		d->rd.err = CNODE_EPROTO;
	return d->rd.err ? 0 : *d->rd.at;
}

static inline bool is_atom_tag(uint8_t tag)
{
	return tag == CN_SMALL_ATOM_UTF8 || tag == CN_ATOM_CACHE_REF || tag == CN_ATOM_UTF8 ||
	       tag == CN_SMALL_ATOM || tag == CN_ATOM;
}

static inline bool is_pid_tag(uint8_t tag)
{
	return tag == CN_NEW_PID || tag == CN_PID;
}

/* An atom's text, not looked at. */
static struct cn_atom_text read_text(struct decoder *d, const char *why)
{
	uint8_t tag = cn_rd_u8(&d->rd);
	size_t size;
	switch (tag) {
	case CN_ATOM_CACHE_REF: {
		uint8_t i = cn_rd_u8(&d->rd);
		if (CN_LIKELY(i < d->in->atom_count))
			return d->in->atoms[i];
		refuse(d, CNODE_EPROTO, "control message: a cache reference that the header does not have");
		return (struct cn_atom_text){ 0 };
	}
	case CN_SMALL_ATOM_UTF8:
	case CN_SMALL_ATOM:
		size = cn_rd_u8(&d->rd);
		break;
	case CN_ATOM_UTF8:
	case CN_ATOM:
		size = cn_rd_u16(&d->rd);
		break;
	default:
		refuse(d, CNODE_EPROTO, why);
		return (struct cn_atom_text){ 0 };
	}
	const uint8_t *text = cn_rd_bytes(&d->rd, size);
	/* Of the Latin-1 tags, which nobody has sent for years, only what is ASCII is understood. */
	if (text && (tag == CN_SMALL_ATOM || tag == CN_ATOM))
		for (size_t i = 0; i < size; i++)
			if (text[i] & 0x80)
				refuse(d, CNODE_EPROTO, "control message: a Latin-1 atom beyond ASCII");
	return (struct cn_atom_text){ text, (uint16_t)size };
}

static struct cn_atom_text read_atom(struct decoder *d, const char *why)
{
	struct cn_atom_text a = read_text(d, why);
	if (a.text && !cn_atom_valid(a.text, a.size))
		refuse(d, CNODE_EPROTO, "control message: an atom that is not UTF-8 or too long");
	return a;
}

static cnode_name read_node(struct decoder *d)
{
	struct cn_atom_text a = read_text(d, "control message: an identifier without a node");
	cnode_name name = 0;
	if (CN_UNLIKELY(!a.text))
		return 0;
	int rc = cn_name_of(a.text, a.size, &name);
	if (CN_UNLIKELY(rc))
		refuse(d, rc == CNODE_EBADNAME ? CNODE_EPROTO : rc,
		       rc == CNODE_EBADNAME ? "control message: an identifier whose node is no node name"
					    : "control message: no room for another node name");
	return name;
}

static cnode_pid read_pid(struct decoder *d, const char *why)
{
	cnode_pid pid = { 0 };
	uint8_t tag = cn_rd_u8(&d->rd);
	if (CN_UNLIKELY(!is_pid_tag(tag))) {
		refuse(d, CNODE_EPROTO, why);
		return pid;
	}
	pid.node = read_node(d);
	if (CN_LIKELY(tag == CN_NEW_PID)) {
		const uint8_t *p = cn_rd_bytes(&d->rd, 12);
		if (p) {
			pid.id = cn_load_u32(p);
			pid.serial = cn_load_u32(p + 4);
			pid.creation = cn_load_u32(p + 8);
		}
		return pid;
	}
	pid.id = cn_rd_u32(&d->rd);
	pid.serial = cn_rd_u32(&d->rd);
	pid.creation = cn_rd_u8(&d->rd);
	if (pid.creation > 3)
		refuse(d, CNODE_EPROTO, "control message: an old pid with a creation over 3");
	return pid;
}

/* A pid of the node that sends. */
static cnode_pid read_own(struct decoder *d)
{
	static const char why[] = "control message: From is not a pid of the peer";
	cnode_pid pid = read_pid(d, why);
	if (pid.node != d->in->peer && !CN_MUTANT(spoofed_sender))
		refuse(d, CNODE_EPROTO, why);
	return pid;
}

/* A pid of this node, of whatever creation. */
static cnode_pid read_local(struct decoder *d)
{
	static const char why[] = "control message: To is not a pid of this node";
	cnode_pid pid = read_pid(d, why);
	if (pid.node != d->in->self)
		refuse(d, CNODE_EPROTO, why);
	return pid;
}

static cnode_ref read_ref(struct decoder *d)
{
	cnode_ref ref = { 0 };
	uint8_t tag = cn_rd_u8(&d->rd);
	uint32_t words = 1;
	if (CN_UNLIKELY(tag != CN_NEWER_REFERENCE && tag != CN_NEW_REFERENCE && tag != CN_REFERENCE)) {
		refuse(d, CNODE_EPROTO, "control message: no reference where one belongs");
		return ref;
	}
	if (tag != CN_REFERENCE)
		words = cn_rd_u16(&d->rd);
	ref.node = read_node(d);
	if (words == 0 || words > CN_ARRAY_SIZE(ref.id)) {
		refuse(d, CNODE_EPROTO, "control message: a reference of no or too many words");
		return ref;
	}
	ref.words = words;
	if (tag == CN_NEWER_REFERENCE)
		ref.creation = cn_rd_u32(&d->rd);
	else if (tag == CN_NEW_REFERENCE)
		ref.creation = cn_rd_u8(&d->rd);
	for (uint32_t i = 0; i < words; i++)
		ref.id[i] = cn_rd_u32(&d->rd);
	if (tag == CN_REFERENCE)
		ref.creation = cn_rd_u8(&d->rd);
	if (tag != CN_NEWER_REFERENCE && ref.creation > 3)
		refuse(d, CNODE_EPROTO, "control message: an old reference with a creation over 3");
	return ref;
}

/* An integer from 0 to 2^64 - 1. */
static uint64_t read_unsigned(struct decoder *d, const char *why)
{
	uint8_t tag = cn_rd_u8(&d->rd);
	uint64_t v = 0;
	size_t size;
	switch (tag) {
	case CN_SMALL_INTEGER:
		return cn_rd_u8(&d->rd);
	case CN_INTEGER:
		v = cn_rd_u32(&d->rd);
		if (v > INT32_MAX)
			refuse(d, CNODE_EPROTO, why);
		return v;
	case CN_SMALL_BIG:
		size = cn_rd_u8(&d->rd);
		break;
	case CN_LARGE_BIG:
		size = cn_rd_u32(&d->rd);
		break;
	default:
		refuse(d, CNODE_EPROTO, why);
		return 0;
	}
	uint8_t sign = cn_rd_u8(&d->rd);
	/* Leading zeros are legal, but nobody needs many to write 64 bits. */
	if (size > 16) {
		refuse(d, CNODE_EPROTO, why);
		return 0;
	}
	const uint8_t *digits = cn_rd_bytes(&d->rd, size);
	for (size_t i = size; digits && i-- > 0;) {
		if (i >= 8 && digits[i])
			refuse(d, CNODE_EPROTO, why);
		else if (i < 8)
			v = v << 8 | digits[i];
	}
	if (sign && v)
		refuse(d, CNODE_EPROTO, why);
	return v;
}

/* Any term: verified. */
static struct cn_inner read_term(struct decoder *d)
{
	struct cn_inner inner = { 0 };
	if (d->rd.err || d->why)
		return inner;
	struct cn_term_limits limits = { .bytes = CN_FRAME_CONTROL_MAX, .depth = d->in->depth };
	struct cn_verify v;
	cn_verify_init(&v, &limits, d->in->atom_count);
	int rc = cn_verify_step(&v, d->rd.at, cn_rd_left(&d->rd), 0);
	if (rc == CN_VERIFY_DONE) {
		inner = (struct cn_inner){ d->rd.at, v.offset, v.odd, v.cached };
		d->rd.at += v.offset;
	} else if (rc == CN_VERIFY_MORE) {
		d->rd.err = CNODE_EPROTO;
	} else {
		refuse(d, rc < 0 ? rc : CNODE_EINTERNAL, v.reason ? v.reason : "control message: a bad term");
	}
	cn_verify_fini(&v);
	return inner;
}

/* The element that once was a cookie; '' from everybody. */
static void skip_unused(struct decoder *d)
{
	if (CN_LIKELY(is_atom_tag(peek(d))))
		read_text(d, "");
	else
		read_term(d);
}

/* A pid, or whatever else a sender may be: only its messages count. */
static cnode_pid read_sender(struct decoder *d)
{
	if (CN_LIKELY(is_pid_tag(peek(d))))
		return read_pid(d, "");
	read_term(d);
	return (cnode_pid){ 0 };
}

/* The monitored one: a pid of `node`, or a registered name. */
static cnode_pid read_monitored(struct decoder *d, struct cn_control *c, cnode_name node, const char *why)
{
	if (is_atom_tag(peek(d))) {
		c->name = read_atom(d, why);
		return (cnode_pid){ 0 };
	}
	cnode_pid pid = read_pid(d, why);
	if (pid.node != node)
		refuse(d, CNODE_EPROTO, why);
	return pid;
}

/* An exit signal by op 37 may name its receiver in all three ways: exit/3 of OTP 28 takes an alias. */
static void read_altact(struct decoder *d, struct cn_control *c, size_t arity)
{
	uint64_t bits = read_unsigned(d, "control message: ALTACT_SIG_SEND with flags that are no number") & 0xff;
	size_t used = 4;
	if ((bits & ALTACT_ALIAS && bits & ALTACT_NAME) || (bits & ALTACT_TOKEN && arity < 5))
		refuse(d, CNODE_EPROTO, "control message: ALTACT_SIG_SEND with contradicting flags");
	c->priority = bits & ALTACT_PRIO;
	c->from = read_pid(d, "control message: From of ALTACT_SIG_SEND is no pid");
	if (bits & ALTACT_ALIAS) {
		c->signal = CN_SIGNAL_ALIAS_SEND;
		c->ref = read_ref(d);
	} else if (bits & ALTACT_NAME) {
		c->signal = CN_SIGNAL_REG_SEND;
		c->name = read_atom(d, "control message: To of ALTACT_SIG_SEND is no atom");
	} else {
		c->to = read_pid(d, "control message: To of ALTACT_SIG_SEND is no pid");
	}
	if (bits & ALTACT_EXIT)
		c->signal = CN_SIGNAL_EXIT2;
	for (; used < arity && !d->rd.err && !d->why; used++)
		read_term(d);
}

static void read_spawn_request(struct decoder *d, struct cn_control *c)
{
	c->ref = read_ref(d);
	if (c->ref.node != d->in->peer)
		refuse(d, CNODE_EPROTO, "control message: the request id of a spawn is not the peer's");
	c->from = read_own(d);
	c->leader = read_pid(d, "control message: the group leader of a spawn is no pid");
	uint8_t tag = cn_rd_u8(&d->rd);
	uint32_t arity = tag == CN_SMALL_TUPLE ? cn_rd_u8(&d->rd) : tag == CN_LARGE_TUPLE ? cn_rd_u32(&d->rd) : 0;
	if (arity != 3)
		refuse(d, CNODE_EPROTO, "control message: a spawn of what is not {M,F,A}");
	static const char why[] = "control message: a spawn whose module or function is no atom";
	c->module = read_atom(d, why);
	c->function = read_atom(d, why);
	uint64_t n = read_unsigned(d, "control message: a spawn whose arity is no number");
	if (n > INT32_MAX)
		refuse(d, CNODE_EPROTO, "control message: a spawn whose arity is no number");
	c->arity = (uint32_t)n;
	d->in->opts = read_term(d);
}

static void read_spawn_reply(struct decoder *d, struct cn_control *c)
{
	static const char why[] = "control message: the result of a spawn is neither a pid of the peer nor an atom";
	c->ref = read_ref(d);
	c->to = read_local(d);
	uint64_t flags = read_unsigned(d, "control message: the flags of a spawn reply are no number");
	if (flags >= 1u << 27)
		refuse(d, CNODE_EPROTO, "control message: the flags of a spawn reply are out of range");
	c->flags = (uint32_t)flags;
	c->from = read_monitored(d, c, d->in->peer, why);
	if (c->ref.node != d->in->self)
		refuse(d, CNODE_EPROTO, "control message: the request id of a spawn reply is not this node's");
}

/* The elements behind the op, without a token at the end. */
static void read_elements(struct decoder *d, struct cn_control *c, size_t arity)
{
	static const char no_pid[] = "control message: To is no pid";
	switch ((enum cn_op)c->op) {
	case CN_OP_SEND_SENDER:
	case CN_OP_SEND_SENDER_TT:
		c->from = read_sender(d);
		c->to = read_pid(d, no_pid);
		return;
	case CN_OP_SEND:
	case CN_OP_SEND_TT:
		skip_unused(d);
		c->to = read_pid(d, no_pid);
		return;
	case CN_OP_REG_SEND:
	case CN_OP_REG_SEND_TT:
		c->from = read_pid(d, "control message: From of REG_SEND is no pid");
		skip_unused(d);
		c->name = read_atom(d, "control message: To of REG_SEND is no atom");
		return;
	case CN_OP_ALIAS_SEND:
	case CN_OP_ALIAS_SEND_TT:
		c->from = read_sender(d);
		c->ref = read_ref(d);
		return;
	case CN_OP_ALTACT_SIG_SEND:
		read_altact(d, c, arity);
		return;
	case CN_OP_LINK:
	case CN_OP_UNLINK:
	case CN_OP_PAYLOAD_EXIT:
	case CN_OP_PAYLOAD_EXIT_TT:
	case CN_OP_PAYLOAD_EXIT2:
	case CN_OP_PAYLOAD_EXIT2_TT:
		c->from = read_own(d);
		c->to = read_local(d);
		return;
	case CN_OP_EXIT_TT:
	case CN_OP_EXIT2_TT:
		c->from = read_own(d);
		c->to = read_local(d);
		read_term(d);           /* the token is in front of the reason */
		d->in->term = read_term(d);
		return;
	case CN_OP_EXIT:
	case CN_OP_EXIT2:
		c->from = read_own(d);
		c->to = read_local(d);
		d->in->term = read_term(d);
		return;
	case CN_OP_UNLINK_ID:
	case CN_OP_UNLINK_ID_ACK:
		c->id = read_unsigned(d, "control message: an unlink id that is no number");
		if (c->id == 0)
			refuse(d, CNODE_EPROTO, "control message: unlink id 0");
		c->from = read_own(d);
		c->to = read_local(d);
		return;
	case CN_OP_MONITOR_P:
	case CN_OP_DEMONITOR_P:
		c->from = read_own(d);
		c->to = read_monitored(d, c, d->in->self, "control message: a monitor of what is not here");
		c->ref = read_ref(d);
		return;
	case CN_OP_MONITOR_P_EXIT:
	case CN_OP_PAYLOAD_MONITOR_P_EXIT:
		c->from = read_monitored(d, c, d->in->peer, "control message: a monitor's end of what is not there");
		c->to = read_local(d);
		c->ref = read_ref(d);
		if (c->op == CN_OP_MONITOR_P_EXIT)
			d->in->term = read_term(d);
		return;
	case CN_OP_GROUP_LEADER:
		c->leader = read_pid(d, "control message: a group leader that is no pid");
		c->to = read_pid(d, no_pid);
		return;
	case CN_OP_SPAWN_REQUEST:
	case CN_OP_SPAWN_REQUEST_TT:
		read_spawn_request(d, c);
		return;
	case CN_OP_SPAWN_REPLY:
	case CN_OP_SPAWN_REPLY_TT:
		read_spawn_reply(d, c);
		return;
	}
}

static bool has_token_last(unsigned op)
{
	static const uint64_t last = UINT64_C(1) << CN_OP_SEND_TT | UINT64_C(1) << CN_OP_REG_SEND_TT |
				     UINT64_C(1) << CN_OP_SEND_SENDER_TT | UINT64_C(1) << CN_OP_PAYLOAD_EXIT_TT |
				     UINT64_C(1) << CN_OP_PAYLOAD_EXIT2_TT | UINT64_C(1) << CN_OP_SPAWN_REQUEST_TT |
				     UINT64_C(1) << CN_OP_SPAWN_REPLY_TT | UINT64_C(1) << CN_OP_ALIAS_SEND_TT;
	return last >> op & 1;
}

int64_t cn_control_decode(struct cn_control_in *in, const uint8_t *bytes, size_t size, struct cn_control *c)
{
	struct decoder d = { .rd = cn_rd_init(bytes, size), .in = in };
	*c = (struct cn_control){ 0 };
	in->reason = NULL;
	in->term = in->opts = (struct cn_inner){ 0 };

	uint8_t tag = cn_rd_u8(&d.rd);
	size_t arity = tag == CN_SMALL_TUPLE ? cn_rd_u8(&d.rd) : tag == CN_LARGE_TUPLE ? cn_rd_u32(&d.rd) : 0;
	if (arity == 0)
		refuse(&d, CNODE_EPROTO, "control message: it is no tuple");
	uint64_t op = read_unsigned(&d, "control message: the operation is no number");
	const struct op_row *row = op < CN_ARRAY_SIZE(ops) ? &ops[op] : &ops[0];
	if (!row->name)
		refuse(&d, CNODE_EPROTO, "control message: an unknown operation");
	else if (arity != row->arity && !(op == CN_OP_ALTACT_SIG_SEND && arity > row->arity))
		refuse(&d, CNODE_EPROTO, "control message: a tuple of the wrong size");
	if (d.rd.err || d.why)
		goto refused;

	c->op = (uint8_t)op;
	c->signal = (enum cn_control_signal)row->signal;
	in->payload = row->payload;
	read_elements(&d, c, arity);
	if (has_token_last(c->op))
		read_term(&d);
	if (CN_LIKELY(!d.rd.err && !d.why))
		return (int64_t)(size - cn_rd_left(&d.rd));

refused:
	in->reason = d.why;
	return d.rd.err ? 0 : d.code;
}
