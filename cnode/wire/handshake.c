/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handshake as a table of states. One call of _feed takes one message; where the owner
 * has to decide, the machine stops until it is told. Nothing of the peer is believed before
 * its digest was right, and neither cookie nor digest ever reaches the text.
 *
 * Follows: lib/kernel/src/dist_util.erl (handshake_we_started, handshake_other_started) of
 * OTP 25 and later; erl_dist_protocol, "Distribution Handshake". A second connection
 * replaces the first only after its digest was verified (25 and later do it so).
 */
#include "cnode/wire/wire.h"

#include <stdio.h>

enum state {
	I_STATUS, I_ALIVE, I_CHALLENGE, I_COOKIE, I_ACK,
	A_NAME, A_DECIDE, A_ALIVE, A_COMPLEMENT, A_REPLY, A_COOKIE, A_REPLACE,
	UP, FAILED,
	STATES
};
#define TO(state) (1u << (state))

struct row {
	const char *name;
	enum cn_handshake_event event;
	uint32_t next;                                   /* states it may go to; FAILED always */
	int (*take)(struct cn_handshake *hs, struct cn_rd *r);
	const char *awaited;                             /* "… did not send <this>" */
	int closed;                                      /* what it means when the peer closes here */
	const char *hint;                                /* and why it may have done so */
};

static int take_status(struct cn_handshake *hs, struct cn_rd *r);
static int take_challenge(struct cn_handshake *hs, struct cn_rd *r);
static int take_ack(struct cn_handshake *hs, struct cn_rd *r);
static int take_name(struct cn_handshake *hs, struct cn_rd *r);
static int take_alive(struct cn_handshake *hs, struct cn_rd *r);
static int take_complement(struct cn_handshake *hs, struct cn_rd *r);
static int take_reply(struct cn_handshake *hs, struct cn_rd *r);

static const struct row rows[STATES] = {
	[I_STATUS] = { "wait_status", CN_HANDSHAKE_MORE, TO(I_ALIVE) | TO(I_CHALLENGE), take_status,
		       "its status", CNODE_EREFUSED, "it does not accept this node's name or has a pending connection" },
	[I_ALIVE] = { "ask_alive", CN_HANDSHAKE_ALIVE, TO(I_CHALLENGE), NULL,
		      "anything", CNODE_ENOCONNECTION, "" },
	[I_CHALLENGE] = { "wait_challenge", CN_HANDSHAKE_MORE, TO(I_COOKIE), take_challenge,
			  "its challenge", CNODE_ENOCONNECTION, "" },
	[I_COOKIE] = { "ask_cookie", CN_HANDSHAKE_COOKIE, TO(I_ACK), NULL,
		       "anything", CNODE_ENOCONNECTION, "" },
	[I_ACK] = { "wait_ack", CN_HANDSHAKE_MORE, TO(UP), take_ack,
		    "its digest", CNODE_ECOOKIE, "the cookies differ" },
	[A_NAME] = { "wait_name", CN_HANDSHAKE_MORE, TO(A_DECIDE), take_name,
		     "its name", CNODE_ENOCONNECTION, "" },
	[A_DECIDE] = { "ask_decision", CN_HANDSHAKE_HELLO, TO(A_ALIVE) | TO(A_COMPLEMENT) | TO(A_REPLY), NULL,
		       "anything", CNODE_ENOCONNECTION, "" },
	[A_ALIVE] = { "wait_alive", CN_HANDSHAKE_MORE, TO(A_COMPLEMENT) | TO(A_REPLY), take_alive,
		      "whether it gives up its old connection", CNODE_ENOCONNECTION, "" },
	[A_COMPLEMENT] = { "wait_complement", CN_HANDSHAKE_MORE, TO(A_REPLY), take_complement,
			   "the rest of its flags", CNODE_ENOCONNECTION, "" },
	[A_REPLY] = { "wait_reply", CN_HANDSHAKE_MORE, TO(A_COOKIE), take_reply,
		      "its digest", CNODE_ENOCONNECTION, "it does not accept this node's name or flags" },
	[A_COOKIE] = { "ask_cookie", CN_HANDSHAKE_COOKIE, TO(A_REPLACE) | TO(UP), NULL,
		       "anything", CNODE_ENOCONNECTION, "" },
	[A_REPLACE] = { "ask_replace", CN_HANDSHAKE_REPLACE, TO(UP), NULL,
			"anything", CNODE_ENOCONNECTION, "" },
	[UP] = { "up", CN_HANDSHAKE_UP, 0, NULL, "", CNODE_ENOCONNECTION, "" },
	[FAILED] = { "failed", CN_HANDSHAKE_FAILED, 0, NULL, "", CNODE_ENOCONNECTION, "" },
};

/* ---- moving, failing, writing ---- */

static int fail(struct cn_handshake *hs, int code, const char *fmt, ...) CN_PRINTF(3, 4);
static int fail(struct cn_handshake *hs, int code, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	vsnprintf(hs->text, sizeof hs->text, fmt, args);
	va_end(args);
	cn_secure_clear(hs->digest, sizeof hs->digest);
	hs->state = FAILED;
	hs->event = CN_HANDSHAKE_FAILED;
	return hs->error = code;
}

static int move(struct cn_handshake *hs, enum state to)
{
	if (!(rows[hs->state].next & TO(to)))
		return fail(hs, CNODE_EINTERNAL, "the handshake cannot go from %s to %s",
			    rows[hs->state].name, rows[to].name);
	hs->state = (uint8_t)to;
	hs->event = rows[to].event;
	return 0;
}

/* A name as it may stand in a log: printable ASCII, and not too much of it. */
struct shown { char text[72]; };
static struct shown shown(const void *name, size_t size)
{
	struct shown s;
	const uint8_t *from = name;
	size_t n = 0;
	for (; n < size && n < sizeof s.text - 4; n++)
		s.text[n] = from[n] > ' ' && from[n] < 127 ? (char)from[n] : '?';
	memcpy(s.text + n, n < size ? "..." : "", n < size ? 4 : 1);
	return s;
}

/* Whom we talk to, as far as that is known. */
static struct shown who(const struct cn_handshake *hs)
{
	return hs->peer[0] ? shown(hs->peer, strlen(hs->peer)) : (struct shown){ "a stranger" };
}

/* Appends one message. It always fits: no handshake has more than three, and names are short. */
static void put(struct cn_handshake *hs, const void *head, size_t head_size, const void *body, size_t body_size)
{
	size_t size = head_size + body_size;
	uint8_t *p = hs->out + hs->out_size;
	p = hs->config.long_length ? cn_store_u32(p, (uint32_t)size) : cn_store_u16(p, (uint16_t)size);
	memcpy(p, head, head_size);
	if (body_size)
		memcpy(p + head_size, body, body_size);
	hs->out_size = (uint16_t)(p + size - hs->out);
}

static const char *status_word(enum cn_status status)
{
	switch (status) {
#define WORD(name, word) case CN_STATUS_##name: return word;
	CN_STATUS_MAP(WORD)
#undef WORD
	case CN_STATUS_NONE:
		break;
	}
	return "";
}

static void put_status(struct cn_handshake *hs, const char *word)
{
	put(hs, "s", 1, word, strlen(word));
}

/* Our name as hello and challenge carry it. init has made sure that it fits. */
static size_t own_name(const struct cn_handshake *hs, char latin1[CN_ATOM_CHARS])
{
	int size = cn_utf8_to_latin1(hs->config.name, strlen(hs->config.name), latin1, CN_ATOM_CHARS);
	return size > 0 ? (size_t)size : 0;
}

static uint64_t own_flags(const struct cn_handshake *hs)
{
	/* A node that we gave a name looks for its NAME_ME among the negotiated flags. */
	return (hs->config.flags ^ (CN_MUTANT(wrong_flag) ? CN_DFLAG_UNLINK_ID : 0)) | (hs->name_me && !CN_MUTANT(name_me_not_echoed) ? CN_DFLAG_NAME_ME : 0);
}

static void put_hello(struct cn_handshake *hs)
{
	char name[CN_ATOM_CHARS];
	uint8_t head[15], *p = head;
	size_t size = own_name(hs, name);
	*p++ = 'N';
	p = cn_store_u64(p, hs->config.flags);
	p = cn_store_u32(p, CN_MUTANT(hello_without_creation) ? 0 : hs->config.creation);
	cn_store_u16(p, (uint16_t)size);
	put(hs, head, sizeof head, name, size);
}

static int put_challenge(struct cn_handshake *hs)
{
	char name[CN_ATOM_CHARS];
	uint8_t head[19], *p = head;
	size_t size = own_name(hs, name);
	*p++ = 'N';
	p = cn_store_u64(p, own_flags(hs));
	p = cn_store_u32(p, hs->challenge);
	p = cn_store_u32(p, hs->config.creation + CN_MUTANT(wrong_creation));
	cn_store_u16(p, (uint16_t)size);
	put(hs, head, sizeof head, name, size);
	return move(hs, hs->old_hello ? A_COMPLEMENT : A_REPLY);
}

/* ---- what both roles check ---- */

static int malformed(struct cn_handshake *hs)
{
	return fail(hs, CNODE_EPROTO, "%s sent a malformed message instead of %s", who(hs).text,
		    rows[hs->state].awaited);
}

/* Checks mandatory flags; `within` are the bits that are known yet. */
static int check_flags(struct cn_handshake *hs, uint64_t within)
{
	/* Without HANDSHAKE_23 the peer would not understand our challenge. */
	uint64_t missing = (hs->config.mandatory | CN_DFLAG_HANDSHAKE_23) & ~hs->peer_flags & within;
	if (!missing || CN_MUTANT(no_flag_check))
		return 0;
	char list[160];
	int at = 0;
	for (unsigned bit = 0; bit < 64; bit++) {
		if (!(missing >> bit & 1))
			continue;
		const char *name = cn_dflag_name(bit);
		int n = name ? snprintf(list + at, sizeof list - (size_t)at, " %s", name)
			     : snprintf(list + at, sizeof list - (size_t)at, " 1<<%u", bit);
		if (n >= (int)sizeof list - at)
			break;
		at += n;
	}
	return fail(hs, CNODE_EFLAGS, "%s lacks mandatory flags:%s", who(hs).text, list);
}

/* The Latin-1 name of a message into hs->peer's form. */
static int read_name(struct cn_handshake *hs, const uint8_t *latin1, size_t size, char utf8[CNODE_NAME_SIZE])
{
	int n = size && size <= CN_ATOM_CHARS ? cn_latin1_to_utf8(latin1, size, utf8, CNODE_NAME_SIZE - 1)
					      : CNODE_EBADNAME;
	if (n <= 0 || memchr(utf8, 0, (size_t)n))
		return fail(hs, CNODE_EBADNAME, "a peer says that its name is %s, which is no node name",
			    shown(latin1, size).text);
	utf8[n] = 0;
	return 0;
}

static void negotiate(struct cn_handshake *hs)
{
	hs->flags = cn_dflags_expand(own_flags(hs)) & hs->peer_flags;
}

/* ---- initiator ---- */

static int take_status(struct cn_handshake *hs, struct cn_rd *r)
{
	if (cn_rd_u8(r) != 's')
		return malformed(hs);
	size_t size = cn_rd_left(r);
	for (int s = CN_STATUS_OK; s <= CN_STATUS_ALIVE; s++) {
		const char *word = status_word((enum cn_status)s);
		if (size == strlen(word) && memcmp(r->at, word, size) == 0)
			hs->status = (enum cn_status)s;
	}
	switch (hs->status) {
	case CN_STATUS_OK:
	case CN_STATUS_OK_SIMULTANEOUS:
		return move(hs, I_CHALLENGE);
	case CN_STATUS_ALIVE:
		return move(hs, I_ALIVE);
	case CN_STATUS_NOK:
		return fail(hs, CNODE_EREFUSED, "%s dials this node itself and goes on with that (nok)", who(hs).text);
	case CN_STATUS_NOT_ALLOWED:
		return fail(hs, CNODE_EREFUSED, "%s does not allow this node (not_allowed): see net_kernel:allow/1 there",
			    who(hs).text);
	case CN_STATUS_NAMED:
	case CN_STATUS_NONE:
		break;
	}
	return fail(hs, CNODE_EPROTO, "%s answered with the unknown status %s", who(hs).text, shown(r->at, size).text);
}

int cn_handshake_continue(struct cn_handshake *hs, bool go_on)
{
	if (hs->state != I_ALIVE)
		return CNODE_ESTATE;
	put_status(hs, go_on ? "true" : "false");
	if (go_on)
		return move(hs, I_CHALLENGE);
	fail(hs, CNODE_EREFUSED, "this node keeps the connection to %s that it has", who(hs).text);
	return 0;
}

static int take_challenge(struct cn_handshake *hs, struct cn_rd *r)
{
	uint8_t kind = cn_rd_u8(r);
	if (kind == 'n')
		return fail(hs, CNODE_EFLAGS, "%s speaks the handshake of before OTP 23", who(hs).text);
	uint64_t flags = cn_rd_u64(r);
	uint32_t challenge = cn_rd_u32(r);
	uint32_t creation = cn_rd_u32(r);
	size_t size = cn_rd_u16(r);
	const uint8_t *name = cn_rd_bytes(r, size);
	if (kind != 'N' || r->err)
		return malformed(hs);

	char peer[CNODE_NAME_SIZE];
	int rc = read_name(hs, name, size, peer);
	if (rc)
		return rc;
	if (strcmp(peer, hs->peer) != 0 && !CN_MUTANT(any_name_answers))
		return fail(hs, CNODE_EPEERNAME, "dialled %s, but the node there is %s", who(hs).text,
			    shown(peer, strlen(peer)).text);
	hs->peer_flags = cn_dflags_expand(flags);
	hs->peer_creation = creation;
	hs->peer_challenge = challenge;
	rc = check_flags(hs, UINT64_MAX);
	if (rc)
		return rc;
	if (!CN_MUTANT(reflected_challenge) &&
	    (challenge == hs->challenge ||
	     (hs->config.own_challenge && hs->config.own_challenge(hs->config.context, challenge))))
		return fail(hs, CNODE_EPROTO, "%s handed this node its own challenge: somebody stands in between",
			    who(hs).text);
	negotiate(hs);
	return move(hs, I_COOKIE);
}

static int take_ack(struct cn_handshake *hs, struct cn_rd *r)
{
	uint8_t kind = cn_rd_u8(r);
	const uint8_t *digest = cn_rd_bytes(r, CN_DIGEST_SIZE);
	if (kind != 'a' || r->err || cn_rd_left(r))
		return malformed(hs);
	if (!cn_secure_equal(digest, hs->digest, CN_DIGEST_SIZE) && !CN_MUTANT(ack_unchecked))
		return fail(hs, CNODE_ECOOKIE, "the digest of %s is wrong: the cookies differ", who(hs).text);
	return move(hs, UP);
}

/* ---- acceptor ---- */

static int take_name(struct cn_handshake *hs, struct cn_rd *r)
{
	uint8_t kind = cn_rd_u8(r);
	uint64_t flags;
	size_t size;
	if (kind == 'N') {
		flags = cn_rd_u64(r);
		hs->peer_creation = cn_rd_u32(r);
		size = cn_rd_u16(r);
	} else if (kind == 'n') {
		cn_rd_u16(r);           /* version: the flags tell more */
		flags = cn_rd_u32(r);
		size = cn_rd_left(r);
	} else {
		return malformed(hs);
	}
	const uint8_t *name = cn_rd_bytes(r, size);
	if (r->err)
		return malformed(hs);
	hs->old_hello = kind == 'n';
	hs->peer_flags = cn_dflags_expand(flags);
	hs->name_me = !hs->old_hello && flags & CN_DFLAG_NAME_ME;

	char peer[CNODE_NAME_SIZE];
	int rc = read_name(hs, name, size, peer);
	if (rc)
		return rc;
	/* BEAM nodes close without a status too: to a name that is none nothing can be said. */
	if (hs->name_me ? strchr(peer, '@') != NULL : !cn_node_name_valid(peer, strlen(peer)))
		return fail(hs, CNODE_EBADNAME, "a peer says that its name is %s, which is no %s",
			    shown(peer, strlen(peer)).text, hs->name_me ? "host" : "node name");
	memcpy(hs->peer, peer, strlen(peer) + 1);
	rc = check_flags(hs, hs->old_hello ? UINT32_MAX : UINT64_MAX);
	if (rc == 0 && strcmp(peer, hs->config.name) == 0)
		rc = fail(hs, CNODE_EREFUSED, "a peer says that it is this node, %s", who(hs).text);
	if (rc) {
		hs->status = CN_STATUS_NOT_ALLOWED;
		if (!CN_MUTANT(silent_refusal))
			put_status(hs, status_word(hs->status));
		return rc;
	}
	return move(hs, A_DECIDE);
}

int cn_handshake_decide(struct cn_handshake *hs, enum cn_status status)
{
	if (hs->state != A_DECIDE)
		return CNODE_ESTATE;
	bool ends = status == CN_STATUS_NOK || status == CN_STATUS_NOT_ALLOWED;
	if (!ends && (hs->name_me || status == CN_STATUS_NONE || status == CN_STATUS_NAMED))
		return CNODE_EBADARG;
	hs->status = status;
	put_status(hs, status_word(status));
	switch (status) {
	case CN_STATUS_NOK:
		fail(hs, CNODE_EREFUSED, "%s dialled this node while this node dials it, and this node's name is greater",
		     who(hs).text);
		return 0;
	case CN_STATUS_NOT_ALLOWED:
		fail(hs, CNODE_EREFUSED, "%s is not allowed to connect", who(hs).text);
		return 0;
	case CN_STATUS_ALIVE:
		return move(hs, A_ALIVE);
	default:
		return put_challenge(hs);
	}
}

int cn_handshake_decide_name(struct cn_handshake *hs, const char *name, uint32_t creation)
{
	if (hs->state != A_DECIDE || !hs->name_me)
		return CNODE_ESTATE;
	size_t size = strlen(name);
	const char *at = strchr(name, '@');
	if (!cn_node_name_valid(name, size) || !at || strcmp(at + 1, hs->peer) != 0)
		return CNODE_EBADNAME;
	/* UTF-8 here, other than in hello and challenge. */
	uint8_t body[CN_ATOM_BYTES + 6], *p = cn_store_u16(body, (uint16_t)size);
	memcpy(p, name, size);
	cn_store_u32(p + size, creation);
	memcpy(hs->peer, name, size + 1);
	hs->peer_creation = creation;
	hs->status = CN_STATUS_NAMED;
	put(hs, "snamed:", 7, body, size + 6);
	return put_challenge(hs);
}

static int take_alive(struct cn_handshake *hs, struct cn_rd *r)
{
	size_t size = cn_rd_left(r);
	if (size == 5 && memcmp(r->at, "strue", 5) == 0) {
		hs->replace = true;
		return put_challenge(hs);
	}
	if (size == 6 && memcmp(r->at, "sfalse", 6) == 0)
		return fail(hs, CNODE_EREFUSED, "%s keeps the connection that it has", who(hs).text);
	return malformed(hs);
}

static int take_complement(struct cn_handshake *hs, struct cn_rd *r)
{
	uint8_t kind = cn_rd_u8(r);
	uint64_t high = cn_rd_u32(r);
	uint32_t creation = cn_rd_u32(r);
	if (kind != 'c' || r->err || cn_rd_left(r))
		return malformed(hs);
	hs->peer_flags |= high << 32;
	hs->peer_creation = creation;
	int rc = check_flags(hs, UINT64_MAX);
	return rc ? rc : move(hs, A_REPLY);
}

static int take_reply(struct cn_handshake *hs, struct cn_rd *r)
{
	uint8_t kind = cn_rd_u8(r);
	uint32_t challenge = cn_rd_u32(r);
	const uint8_t *digest = cn_rd_bytes(r, CN_DIGEST_SIZE);
	if (kind != 'r' || r->err || cn_rd_left(r))
		return malformed(hs);
	hs->peer_challenge = challenge;
	memcpy(hs->digest, digest, CN_DIGEST_SIZE);
	negotiate(hs);
	return move(hs, A_COOKIE);
}

static int put_ack(struct cn_handshake *hs)
{
	put(hs, "a", 1, hs->digest, CN_DIGEST_SIZE);
	return move(hs, UP);
}

int cn_handshake_replaced(struct cn_handshake *hs)
{
	return hs->state == A_REPLACE ? put_ack(hs) : CNODE_ESTATE;
}

/* ---- both ---- */

int cn_handshake_cookie(struct cn_handshake *hs, const void *cookie, size_t size)
{
	if (hs->state != I_COOKIE && hs->state != A_COOKIE)
		return CNODE_ESTATE;
	uint8_t ours[CN_DIGEST_SIZE], theirs[CN_DIGEST_SIZE];    /* what we send, what the peer sends */
	int rc = cn_digest(cookie, size, hs->peer_challenge, ours);
	if (rc == 0)
		rc = cn_digest(cookie, size, hs->challenge, theirs);
	if (rc) {
		fail(hs, rc, "no MD5 digest can be made for %s: %s", who(hs).text, cnode_strerror(rc));
	} else if (hs->state == I_COOKIE) {
		uint8_t head[5] = { 'r' };
		cn_store_u32(head + 1, hs->challenge);
		put(hs, head, sizeof head, ours, sizeof ours);
		memcpy(hs->digest, theirs, sizeof theirs);
		rc = move(hs, I_ACK);
	} else if (!cn_secure_equal(theirs, hs->digest, sizeof theirs) && !CN_MUTANT(no_cookie_check)) {
		rc = fail(hs, CNODE_ECOOKIE, "the digest of %s is wrong: the cookies differ", who(hs).text);
	} else {
		memcpy(hs->digest, ours, sizeof ours);
		rc = hs->replace ? move(hs, A_REPLACE) : put_ack(hs);
	}
	cn_secure_clear(ours, sizeof ours);
	cn_secure_clear(theirs, sizeof theirs);
	return rc;
}

int cn_handshake_init(struct cn_handshake *hs, enum cn_handshake_role role,
		      const struct cn_handshake_config *config, uint64_t now)
{
	char latin1[CN_ATOM_CHARS];
	bool initiator = role == CN_HANDSHAKE_INITIATOR;
	if (!config->name || (initiator && !config->peer))
		return CNODE_EBADARG;
	for (int i = 0; i < 1 + initiator; i++) {
		const char *name = i ? config->peer : config->name;
		if (!cn_node_name_valid(name, strlen(name)) ||
		    cn_utf8_to_latin1(name, strlen(name), latin1, sizeof latin1) < 0)
			return CNODE_EBADNAME;
	}
	memset(hs, 0, offsetof(struct cn_handshake, out));
	hs->text[0] = 0;
	hs->config = *config;
	if (!hs->config.mandatory)
		hs->config.mandatory = CN_DFLAGS_MANDATORY;
	hs->role = role;
	hs->challenge = CN_MUTANT(constant_challenge) ? 4711 : config->challenge;
	hs->deadline = now + (config->time ? config->time : CN_HANDSHAKE_TIME);
	hs->state = initiator ? I_STATUS : A_NAME;
	hs->event = CN_HANDSHAKE_MORE;
	if (initiator) {
		memcpy(hs->peer, config->peer, strlen(config->peer) + 1);
		put_hello(hs);
	}
	return 0;
}

int cn_handshake_feed(struct cn_handshake *hs, const void *bytes, size_t size, uint64_t now)
{
	int rc = cn_handshake_expire(hs, now);
	if (rc)
		return rc;
	const struct row *row = &rows[hs->state];
	size_t head = hs->config.long_length ? 4 : 2;
	if (!row->take || size < head)
		return 0;
	size_t body = hs->config.long_length ? cn_load_u32(bytes) : cn_load_u16(bytes);
	if (body == 0 || body > CN_HANDSHAKE_BYTES)
		return fail(hs, CNODE_EPROTO, "%s sent a message of %zu bytes instead of %s", who(hs).text, body,
			    row->awaited);
	if (size - head < body)
		return 0;
	struct cn_rd r = cn_rd_init((const uint8_t *)bytes + head, body);
	rc = row->take(hs, &r);
	return rc < 0 ? rc : (int)(head + body);
}

size_t cn_handshake_out(struct cn_handshake *hs, const uint8_t **bytes)
{
	const uint8_t *p = hs->out + hs->out_at;
	if (hs->out_at == hs->out_end && hs->out_at < hs->out_size)
		hs->out_end = (uint16_t)(hs->out_at + (hs->config.long_length ? 4 + cn_load_u32(p) : 2u + cn_load_u16(p)));
	*bytes = p;
	return (size_t)(hs->out_end - hs->out_at);
}

void cn_handshake_sent(struct cn_handshake *hs, size_t size)
{
	hs->out_at = (uint16_t)(hs->out_at + size);
	if (hs->out_at >= hs->out_size)
		hs->out_at = hs->out_end = hs->out_size = 0;
}

int cn_handshake_closed(struct cn_handshake *hs)
{
	const struct row *row = &rows[hs->state];
	if (hs->state == FAILED)
		return hs->error;
	if (hs->state == UP)
		return row->closed;
	return fail(hs, row->closed, "%s closed the connection and did not send %s%s%s", who(hs).text, row->awaited,
		    row->hint[0] ? ": " : "", row->hint);
}

int cn_handshake_expire(struct cn_handshake *hs, uint64_t now)
{
	if (hs->state == FAILED)
		return hs->error;
	if (hs->state == UP || now < hs->deadline)
		return 0;
	return fail(hs, CNODE_ETIMEOUT, "%s did not send %s in time", who(hs).text, rows[hs->state].awaited);
}

uint64_t cn_handshake_due(const struct cn_handshake *hs)
{
	return hs->state == UP || hs->state == FAILED ? CN_NEVER : hs->deadline;
}

const char *cn_handshake_text(const struct cn_handshake *hs)
{
	return hs->text;
}

const char *cn_handshake_state(const struct cn_handshake *hs)
{
	return rows[hs->state].name;
}

void cn_handshake_fini(struct cn_handshake *hs)
{
	cn_secure_clear(hs->digest, sizeof hs->digest);
}
