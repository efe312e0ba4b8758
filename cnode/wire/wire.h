/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wire: the distribution protocol, pure. Bytes and time go in, bytes and events come out:
 * no I/O, no threads, no locks, no randomness of its own. Whoever calls owns the objects
 * and sees to it that one thread at a time uses each.
 *
 *   epmd        requests and replies of both sides, and the names an epmd knows
 *   handshake   from the first byte of a connection to "up", both roles
 *   control     control messages as structs
 *   frame       an established link inbound: packets, atom cache, fragments -> messages
 *   encoder     the same outbound: messages -> packets and fragments, ready for writev
 *
 * Decoders return the bytes they used, 0 for "need more", or a negative CNODE_E… code.
 *
 * Follows: erl_dist_protocol; lib/kernel/src/dist_util.erl; erts/emulator/beam/dist.c and
 * external.c; erts/epmd/src/epmd_srv.c. OTP 23 to 29.
 */
#ifndef CN_WIRE_H
#define CN_WIRE_H

#include "cnode/base/base.h"
#include "cnode/term/term.h"
#include "compat/compat.h"

/* ======================================================================================
 * epmd
 * ====================================================================================== */

#define CN_EPMD_PORT 4369
#define CN_EPMD_NAME_BYTES 1020           /* of an alive name, and of Extra */
#define CN_EPMD_REQUEST_BYTES (2 + 3 * CN_EPMD_NAME_BYTES)   /* the longest request with its length */
#define CN_EPMD_REPLY_BYTES 65536         /* a longer reply is refused: epmd's bytes are a stranger's */
#define CN_EPMD_OLD_ENTRIES 1000          /* names whose creation counter a registry remembers */

/* One node as epmd knows it. Texts are borrowed, not terminated. */
struct cn_epmd_node {
	const char *name;                 /* the part before the @ */
	uint16_t name_size;
	uint16_t port;
	uint8_t type;                     /* 'M' visible, 'H' hidden; other values are passed on */
	uint8_t protocol;                 /* 0: TCP */
	uint16_t high, low;               /* distribution versions; 6 and 5 (or 6) */
	uint16_t extra_size;
	const uint8_t *extra;
};

/* True if epmd takes this as a name: 1..255 characters of UTF-8, no NUL. */
bool cn_epmd_name_valid(const void *name, size_t size);

/* ---- the client's side: requests into a buffer (errors are the buffer's; a bad name CNODE_EBADNAME) ---- */

int cn_epmd_put_alive2(struct cn_buf *out, const struct cn_epmd_node *node);
int cn_epmd_put_port2(struct cn_buf *out, const void *name, size_t size);
int cn_epmd_put_names(struct cn_buf *out);

/*
 * Replies. `bytes` is all that has arrived from the start, `closed` that epmd has closed the
 * connection. Bytes used; 0: more must come; negative and final:
 */
/* CNODE_ENAMETAKEN: epmd refused (close the connection, epmd will not). CNODE_EEPMD: no epmd's answer. */
int cn_epmd_read_alive2(const void *bytes, size_t size, bool closed, uint32_t *creation);
/* *node borrows from bytes. CNODE_ENOTREG: epmd does not know it. CNODE_EEPMD. */
int cn_epmd_read_port2(const void *bytes, size_t size, bool closed, struct cn_epmd_node *node);
/* Only once it has closed; *names gets the text behind the port, for cn_epmd_next_name. CNODE_EEPMD. */
int cn_epmd_read_names(const void *bytes, size_t size, bool closed, uint16_t *epmd_port, struct cn_rd *names);
/* 1: *node has name and port (nothing else); 0: that was all; CNODE_EEPMD: a line nobody can read. */
int cn_epmd_next_name(struct cn_rd *names, struct cn_epmd_node *node);

/* ---- the server's side ---- */

enum cn_epmd_op {
	CN_EPMD_ALIVE2 = 120, CN_EPMD_PORT2 = 122, CN_EPMD_NAMES = 110,
	CN_EPMD_DUMP = 100, CN_EPMD_KILL = 107, CN_EPMD_STOP = 115,
};
struct cn_epmd_request {
	enum cn_epmd_op op;
	struct cn_epmd_node node;         /* ALIVE2: all of it; PORT2, STOP: the name */
};
/* *request borrows from bytes. CNODE_EPROTO: no request; close without an answer. */
int cn_epmd_read_request(const void *bytes, size_t size, struct cn_epmd_request *request);

/* The highest version the client gave decides the reply's form. result 0: registered. */
int cn_epmd_put_alive2_reply(struct cn_buf *out, uint16_t high, uint8_t result, uint32_t creation);
/* node NULL: not registered. The connection must be closed behind it: BEAM nodes wait for that. */
int cn_epmd_put_port2_reply(struct cn_buf *out, const struct cn_epmd_node *node);

/*
 * What an epmd knows: names, and for the last 1,000 that went away their creation, so that
 * a node that comes back gets another one. Holder of the lead, or whoever serves epmd.
 */
struct cn_epmd_registry;
/* seed: where creations start, as seconds since 1970 do it in OTP's. NULL when out of memory. */
struct cn_epmd_registry *cn_epmd_registry_new(uint32_t seed);
void cn_epmd_registry_free(struct cn_epmd_registry *r);     /* takes NULL */
/* Copies node. 0 with *creation (never 0..3); CNODE_ENAMETAKEN, CNODE_EBADNAME, CNODE_ENOMEM. */
int cn_epmd_registry_add(struct cn_epmd_registry *r, const struct cn_epmd_node *node, uint32_t *creation);
/* The connection that registered it has ended. False if it was not there. */
bool cn_epmd_registry_remove(struct cn_epmd_registry *r, const void *name, size_t size);
/* Borrowed until the next add or remove; NULL: not registered. */
const struct cn_epmd_node *cn_epmd_registry_find(const struct cn_epmd_registry *r, const void *name, size_t size);
size_t cn_epmd_registry_count(const struct cn_epmd_registry *r);
/* The answer to NAMES: port and one line per node. */
int cn_epmd_put_names_reply(struct cn_buf *out, const struct cn_epmd_registry *r, uint16_t epmd_port);

/* ======================================================================================
 * node names
 * ====================================================================================== */

/* One '@', text on both sides, at most 255 characters: what a BEAM node lets through. UTF-8. */
bool cn_node_name_valid(const void *name, size_t size);
/*
 * Two nodes dial each other at once: the connection that the greater name began survives.
 * True if ours is the greater, so that we answer `nok` and keep our own attempt.
 */
bool cn_node_name_wins(const char *own, const char *peer);
/* The name for a node that asked for one: base 36 of a random number, at its host. */
void cn_node_name_dynamic(uint64_t random, const char *host, char name[CNODE_NAME_SIZE]);

/* ======================================================================================
 * handshake
 * ====================================================================================== */

#define CN_HANDSHAKE_TIME (7 * CN_NS_PER_S)
#define CN_HANDSHAKE_BYTES 1100           /* the longest message: 255 characters of name and the rest */

enum cn_handshake_role { CN_HANDSHAKE_INITIATOR, CN_HANDSHAKE_ACCEPTOR };

/* X(name, word on the wire) */
#define CN_STATUS_MAP(X) \
	X(OK, "ok") X(OK_SIMULTANEOUS, "ok_simultaneous") X(NOK, "nok") \
	X(NOT_ALLOWED, "not_allowed") X(ALIVE, "alive") X(NAMED, "named:")
enum cn_status {
	CN_STATUS_NONE = 0,
#define CN_STATUS_ENUM_(name, word) CN_STATUS_##name,
	CN_STATUS_MAP(CN_STATUS_ENUM_)
#undef CN_STATUS_ENUM_
};

/* What the machine waits for from its owner. While it is not MORE, cn_handshake_feed takes nothing. */
enum cn_handshake_event {
	CN_HANDSHAKE_MORE = 0,    /* bytes */
	CN_HANDSHAKE_HELLO,       /* acceptor: peer, peer_flags, peer_creation are known: cn_handshake_decide */
	CN_HANDSHAKE_ALIVE,       /* initiator: the peer believes that we are connected: cn_handshake_continue */
	CN_HANDSHAKE_COOKIE,      /* the cookie for peer: cn_handshake_cookie */
	CN_HANDSHAKE_REPLACE,     /* acceptor, after ALIVE, peer is authentic: end the old link, then cn_handshake_replaced */
	CN_HANDSHAKE_UP,          /* done, once what _out gives is written; the next byte is the link's */
	CN_HANDSHAKE_FAILED,      /* write what _out gives, then close; error and text say why */
};

struct cn_handshake_config {
	const char *name;                 /* the own node, UTF-8; borrowed as long as the handshake */
	const char *peer;                 /* initiator: the node that was dialled; copied */
	uint64_t flags;                   /* what we offer (CN_DFLAGS_OFFER; less PUBLISHED if hidden) */
	uint64_t mandatory;               /* what the peer must offer; 0: CN_DFLAGS_MANDATORY */
	uint32_t creation;                /* our own */
	uint32_t challenge;               /* from cn_random, for this handshake alone */
	uint64_t time;                    /* for the whole of it, ns; 0: CN_HANDSHAKE_TIME */
	bool long_length;                 /* u32 lengths from the first message, as over TLS */
	/*
	 * Initiator: true if another handshake of this node has this challenge outstanding. A
	 * peer that hands us our own challenge wants our answer to it. NULL: never.
	 */
	bool (*own_challenge)(void *context, uint32_t challenge);
	void *context;
};

/* Zero nothing, copy nothing: init makes it, fini clears what is secret. Members are read only. */
struct cn_handshake {
	/* what its owner reads */
	enum cn_handshake_event event;
	int error;                        /* once FAILED */
	enum cn_status status;            /* received (initiator) or sent (acceptor) */
	char peer[CNODE_NAME_SIZE];       /* UTF-8; acceptor: claimed until COOKIE was answered and UP came */
	uint64_t peer_flags;              /* the peer's offer, MANDATORY_25_DIGEST expanded */
	uint64_t flags;                   /* negotiated; valid when UP */
	uint32_t peer_creation;
	uint32_t challenge;               /* ours, outstanding until UP or FAILED */
	bool name_me;                     /* the peer asks for a name: `peer` is its host until then */
	bool old_hello;                   /* it came as 'n' */
	uint64_t deadline;
	/* the machine's own */
	enum cn_handshake_role role;
	uint8_t state;
	bool replace;                     /* after authentication the old link goes */
	struct cn_handshake_config config;
	uint32_t peer_challenge;
	uint8_t digest[CN_DIGEST_SIZE];   /* the peer's, as it came or as it must come */
	uint16_t out_size, out_at, out_end;   /* of `out`: used, written, end of the message that is being written */
	uint8_t out[2 * CN_HANDSHAKE_BYTES];
	char text[400];
};

/*
 * Begins. The initiator's first message is in _out at once. 0, CNODE_EBADNAME (own or
 * dialled name: no name@host, or not Latin-1), CNODE_EBADARG.
 */
int cn_handshake_init(struct cn_handshake *hs, enum cn_handshake_role role,
		      const struct cn_handshake_config *config, uint64_t now);
/*
 * Takes at most one message. Bytes used; 0: more must come, or an event waits for its
 * answer; negative: FAILED, again and again. Look at hs->event afterwards.
 * CNODE_EPROTO; CNODE_ECOOKIE; CNODE_EFLAGS (mandatory flags); CNODE_EREFUSED (status nok or
 * not_allowed: see hs->status); CNODE_EPEERNAME; CNODE_EBADNAME; CNODE_ETIMEOUT.
 */
int cn_handshake_feed(struct cn_handshake *hs, const void *bytes, size_t size, uint64_t now);
/*
 * What is to be written, one message (or the rest of one) at a time: borrowed until the next call. Messages leave one
 * by one, as BEAM nodes send them, because tools that watch the wire take a segment for a message (Wireshark's erldp).
 */
size_t cn_handshake_out(struct cn_handshake *hs, const uint8_t **bytes);
void cn_handshake_sent(struct cn_handshake *hs, size_t size);

/* The answers. CNODE_ESTATE if that was not asked, CNODE_EBADARG for a status that does not fit. */
/* HELLO. OK, OK_SIMULTANEOUS, ALIVE go on; NOK and NOT_ALLOWED end in FAILED with CNODE_EREFUSED. */
int cn_handshake_decide(struct cn_handshake *hs, enum cn_status status);
/* HELLO with name_me: the name and creation that the peer gets. Its host must be the peer's. CNODE_EBADNAME. */
int cn_handshake_decide_name(struct cn_handshake *hs, const char *name, uint32_t creation);
/* ALIVE. false (we hold a live link to it) ends in FAILED with CNODE_EREFUSED. */
int cn_handshake_continue(struct cn_handshake *hs, bool go_on);
/* COOKIE, as Latin-1 bytes; not kept. May lead to FAILED: CNODE_ECOOKIE, CNODE_EINTERNAL (no MD5). */
int cn_handshake_cookie(struct cn_handshake *hs, const void *cookie, size_t size);
/* REPLACE. */
int cn_handshake_replaced(struct cn_handshake *hs);

/* Ends it from outside: the peer has closed (the sentence tells what that means here). Returns the error. */
int cn_handshake_closed(struct cn_handshake *hs);
/* CNODE_ETIMEOUT (and FAILED) once the deadline has passed, else 0. */
int cn_handshake_expire(struct cn_handshake *hs, uint64_t now);
/* When cn_handshake_expire must be called; CN_NEVER when UP or FAILED. */
uint64_t cn_handshake_due(const struct cn_handshake *hs);
/* One sentence for the log: what happened, with which name, printable. "" as long as nothing failed. */
const char *cn_handshake_text(const struct cn_handshake *hs);
/* The state's name, for traces. */
const char *cn_handshake_state(const struct cn_handshake *hs);
void cn_handshake_fini(struct cn_handshake *hs);

/* ======================================================================================
 * control messages
 * ====================================================================================== */

/* X(name, number, elements of its tuple, signal, payload: 0 none, 1 yes). Op 37: at least 4 elements. */
#define CN_OP_MAP(X) \
	X(LINK, 1, 3, LINK, 0) X(SEND, 2, 3, SEND, 1) X(EXIT, 3, 4, EXIT, 0) X(UNLINK, 4, 3, UNLINK, 0) \
	X(REG_SEND, 6, 4, REG_SEND, 1) X(GROUP_LEADER, 7, 3, GROUP_LEADER, 0) X(EXIT2, 8, 4, EXIT2, 0) \
	X(SEND_TT, 12, 4, SEND, 1) X(EXIT_TT, 13, 5, EXIT, 0) X(REG_SEND_TT, 16, 5, REG_SEND, 1) \
	X(EXIT2_TT, 18, 5, EXIT2, 0) X(MONITOR_P, 19, 4, MONITOR, 0) X(DEMONITOR_P, 20, 4, DEMONITOR, 0) \
	X(MONITOR_P_EXIT, 21, 5, MONITOR_EXIT, 0) X(SEND_SENDER, 22, 3, SEND, 1) \
	X(SEND_SENDER_TT, 23, 4, SEND, 1) X(PAYLOAD_EXIT, 24, 3, EXIT, 1) X(PAYLOAD_EXIT_TT, 25, 4, EXIT, 1) \
	X(PAYLOAD_EXIT2, 26, 3, EXIT2, 1) X(PAYLOAD_EXIT2_TT, 27, 4, EXIT2, 1) \
	X(PAYLOAD_MONITOR_P_EXIT, 28, 4, MONITOR_EXIT, 1) X(SPAWN_REQUEST, 29, 6, SPAWN_REQUEST, 1) \
	X(SPAWN_REQUEST_TT, 30, 7, SPAWN_REQUEST, 1) X(SPAWN_REPLY, 31, 5, SPAWN_REPLY, 0) \
	X(SPAWN_REPLY_TT, 32, 6, SPAWN_REPLY, 0) X(ALIAS_SEND, 33, 3, ALIAS_SEND, 1) \
	X(ALIAS_SEND_TT, 34, 4, ALIAS_SEND, 1) X(UNLINK_ID, 35, 4, UNLINK, 0) \
	X(UNLINK_ID_ACK, 36, 4, UNLINK_ACK, 0) X(ALTACT_SIG_SEND, 37, 4, SEND, 1)
enum cn_op {
#define CN_OP_ENUM_(name, number, arity, signal, payload) CN_OP_##name = number,
	CN_OP_MAP(CN_OP_ENUM_)
#undef CN_OP_ENUM_
};
/* The name of an op ("SEND_SENDER"); NULL for a number that is none. */
const char *cn_op_name(unsigned op);

/*
 * What a control message means; several ops are one signal. Which members of cn_control count:
 *   SEND           to; from, if the sender told (else none)        payload: the message
 *   REG_SEND       from, name                                      payload: the message
 *   ALIAS_SEND     from, ref                                       payload: the message
 *   LINK           from, to
 *   UNLINK         from, to, id; id 0: op 4, wants no UNLINK_ACK
 *   UNLINK_ACK     from, to, id
 *   EXIT           from, to                                        payload: the reason
 *   EXIT2          from, and to, or (to none) ref or name          payload: the reason
 *   MONITOR, DEMONITOR  from, ref, and to or (to none) name
 *   MONITOR_EXIT   to, ref, and from or (from none) name           payload: the reason
 *   GROUP_LEADER   leader, to
 *   SPAWN_REQUEST  ref (request id), from, leader, module, function, arity, opts   payload: the arguments
 *   SPAWN_REPLY    ref, to, flags (CN_SPAWN_…), and from (new pid) or (from none) name (error)
 */
#define CN_SIGNAL_MAP(X) \
	X(LINK) X(SEND) X(EXIT) X(UNLINK) X(UNLINK_ACK) X(REG_SEND) X(GROUP_LEADER) X(EXIT2) X(MONITOR) \
	X(DEMONITOR) X(MONITOR_EXIT) X(SPAWN_REQUEST) X(SPAWN_REPLY) X(ALIAS_SEND)
enum cn_control_signal {
	CN_SIGNAL_NONE = 0,
#define CN_SIGNAL_ENUM_(name) CN_SIGNAL_##name,
	CN_SIGNAL_MAP(CN_SIGNAL_ENUM_)
#undef CN_SIGNAL_ENUM_
};
const char *cn_signal_name(enum cn_control_signal signal);

#define CN_SPAWN_LINKED 1u                /* flags of SPAWN_REPLY */
#define CN_SPAWN_MONITORED 2u

struct cn_control {
	enum cn_control_signal signal;
	uint8_t op;                       /* as it came; outbound it is chosen by the negotiated flags */
	bool priority;                    /* sent with priority (op 37) */
	uint32_t flags;
	uint32_t arity;
	cnode_pid from, to, leader;
	cnode_ref ref;
	uint64_t id;
	struct cn_atom_text name, module, function;   /* borrowed */
	cnode_term opts;                  /* borrowed */
};

/* ======================================================================================
 * frame: what comes in on an established link
 * ====================================================================================== */

/* Named limits, and what they stop. */
#define CN_FRAME_MESSAGE_MAX (UINT64_C(256) << 20)   /* one message: a claim of 2 GiB */
#define CN_FRAME_OPEN_MAX (UINT64_C(512) << 20) /* unfinished messages of one link: memory held by halves */
#define CN_FRAME_OPEN_COUNT 256                   /* unfinished sequences: the same with small halves */
#define CN_FRAME_PROGRESS (60 * CN_NS_PER_S)     /* a sequence without a new fragment: memory held for ever */
#define CN_FRAME_CONTROL_MAX (UINT64_C(8) << 20)     /* a control term: it is verified in one turn */
/*
 * A packet that is longer and has not come as a whole goes straight into its final memory: the receive
 * buffer need not hold more than this + 4. Below the 64 KiB fragments of BEAM nodes.
 */
#define CN_FRAME_DIRECT 16384

struct cn_frame_config {
	uint64_t flags;                   /* negotiated */
	cnode_name self, peer;            /* pinned by the caller as long as the frame lives */
	uint64_t message;                 /* limits as above; 0: those */
	uint64_t open_bytes;
	uint32_t open_count;
	uint64_t progress;
	uint32_t depth;                   /* of terms; 0: CN_TERM_DEPTH */
	uint32_t direct;                  /* 0: CN_FRAME_DIRECT */
};

enum cn_frame_event {
	CN_FRAME_MORE = 0,        /* more bytes must come */
	CN_FRAME_TICK,
	CN_FRAME_PART,            /* a complete packet, but its message is not complete yet */
	CN_FRAME_MESSAGE,
	CN_FRAME_BUSY,            /* a large message is there but not verified yet: cn_frame_work */
};

struct cn_packet {
	enum cn_frame_event event;
	struct cn_control control;        /* its texts live until the next call on the frame, or the bytes given change */
	cnode_term payload;               /* message, reason or arguments; borrows from blob; none if there is none */
	struct cn_blob *blob;             /* one reference, the message's; NULL if there is none */
};
/* Gives up the message's memory. A message whose event is not MESSAGE has none. */
static inline void cn_packet_fini(struct cn_packet *m) { cn_blob_unref(m->blob); m->blob = NULL; }
/* The payload as yours (cnode_term_drop), without counting. Afterwards `opts` is gone too. */
static inline cnode_term cn_packet_take(struct cn_packet *m)
{
	cnode_term t = m->payload;
	if (cn_term_is_none(t))
		cn_blob_unref(m->blob);
	m->blob = NULL;
	return t;
}

struct cn_frame;                          /* of one link; holder of the lead */

/* 0 with *frame; CNODE_ENOMEM; CNODE_ESTALE (a name). */
int cn_frame_new(const struct cn_frame_config *config, struct cn_frame **frame);
void cn_frame_free(struct cn_frame *f);   /* takes NULL */
/*
 * Takes bytes of the stream, at most until there is an event; call it again with the rest.
 * Returns the bytes used, or negative: the link must be closed (cn_frame_reason tells why).
 * 0 used with MORE: what is there stays with the caller until more has come (at most
 * CN_FRAME_DIRECT + 4 bytes are ever wanted at once). 0 with BUSY: call cn_frame_work first.
 * CNODE_EPROTO, CNODE_EBADTERM (a term in it), CNODE_ELIMIT, CNODE_ENOMEM.
 */
int64_t cn_frame_feed(struct cn_frame *f, const void *bytes, size_t size, uint64_t now, struct cn_packet *m);
/*
 * In the middle of a large packet: where its next bytes belong, to be read there without a
 * copy, and how many there is room for (never past the packet). NULL: use cn_frame_feed.
 */
uint8_t *cn_frame_target(struct cn_frame *f, size_t *room);
/* n bytes were put at the target. 0 or negative as feed; m->event as feed. */
int cn_frame_filled(struct cn_frame *f, size_t n, uint64_t now, struct cn_packet *m);
/*
 * Where the fragments behind the packet that the target is for, or behind the last complete one, belong, if they go on as they did:
 * of the same sequence, as long as its last one. So several can be read at once. `at` has room for `size` bytes until the frame is
 * given bytes other than these: the rest of the target's packet if there is one, then for one guess after the other `head`
 * (cn_frame_feed) and what came of it (cn_frame_filled, after cn_frame_target has said `at`). At the first head that is another one
 * the guess was wrong; what lies at `at` from there on is to be given to cn_frame_feed, from elsewhere. Returns how many guesses
 * there are, at most `most`; of a last fragment there is none.
 */
#define CN_FRAME_HEAD 22u                 /* length, 131, 'F', sequence, fragment */
struct cn_frame_guess {
	uint8_t head[CN_FRAME_HEAD];
	uint8_t *at;
	size_t size;                      /* at most CN_FRAME_GUESS */
};
#define CN_FRAME_GUESS 65536u             /* the fragments of BEAM nodes */
unsigned cn_frame_guess(const struct cn_frame *f, struct cn_frame_guess *guesses, unsigned most);
/* BUSY: does at most 64 KiB of verification; m->event is BUSY again, MESSAGE, or the return is negative. */
int cn_frame_work(struct cn_frame *f, struct cn_packet *m);
/* When the oldest unfinished sequence must have got another fragment; CN_NEVER. */
uint64_t cn_frame_due(const struct cn_frame *f);
/* CNODE_ELIMIT when one has not: close the link. */
int cn_frame_expire(struct cn_frame *f, uint64_t now);
/* One sentence of static text about the refusal; "" if there was none. */
const char *cn_frame_reason(const struct cn_frame *f);

/* ======================================================================================
 * out: bytes on their way to writev
 * ====================================================================================== */

/* Layout of struct iovec, which this room does not include. */
struct cn_piece {
	const void *bytes;
	size_t size;
};

#define CN_OUT_REFERENCE 8192             /* payload from this size on is referenced, not copied */

/* A queue of bytes: copied ones, and between them parts that live elsewhere. */
struct cn_out {
	struct cn_buf copied;
	size_t copied_sent;               /* bytes of `copied` that are written */
	struct cn_out_part *parts;        /* referenced parts, a ring in order */
	uint32_t part_first, part_count, part_room;
	uint64_t size;                    /* bytes not yet written */
};

void cn_out_init(struct cn_out *out);
void cn_out_fini(struct cn_out *out);
/* Appends bytes: copies. 0, CNODE_ENOMEM (nothing was appended). */
int cn_out_put(struct cn_out *out, const void *bytes, size_t size);
/* Appends bytes that live in owner (a reference is counted; NULL: static). 0, CNODE_ENOMEM (nothing was appended). */
int cn_out_refer(struct cn_out *out, const void *bytes, size_t size, struct cn_blob *owner);
/* The first bytes as at most `count` pieces; returns how many pieces. Borrowed until the next call. */
unsigned cn_out_pieces(const struct cn_out *out, struct cn_piece *pieces, unsigned count);
/* The first `size` bytes are written. */
void cn_out_sent(struct cn_out *out, size_t size);

/* ======================================================================================
 * encoder: what goes out on an established link
 * ====================================================================================== */

#define CN_FRAGMENT 65536                 /* bytes of payload in one fragment, as BEAM nodes do it */

struct cn_encoder_config {
	uint64_t flags;                   /* negotiated */
	uint64_t peer_flags;              /* the peer's offer: what its decoder takes */
	uint32_t fragment;                /* 0: CN_FRAGMENT */
};

struct cn_encoder;                        /* outgoing atom cache of one link; under its out mutex */

/* 0 with *encoder, CNODE_ENOMEM. */
int cn_encoder_new(const struct cn_encoder_config *config, struct cn_encoder **encoder);
void cn_encoder_free(struct cn_encoder *e);      /* takes NULL */

/*
 * The form in which a control message goes to this peer: *op, and *payload true if its term
 * is a payload (else it is part of the control term, or there is none). CNODE_ENOTSUP if the
 * peer cannot be told: no monitors, no aliases, no spawn, no unlink acks.
 */
int cn_control_form(const struct cn_control *c, uint64_t flags, enum cn_op *op, bool *payload);

/*
 * One message as one packet behind `out`. `payload` is borrowed, and must have memory that is
 * counted or static: the message, reason or arguments (none for signals without). 0: it is in `out`.
 * CN_ENCODE_QUEUE: it needs several packets: make a cn_sending of it.
 * CNODE_ENOTSUP as cn_control_form; CNODE_EBADTERM, CNODE_ELIMIT, CNODE_ETOOBIG with *reason
 * (static text; may be NULL): the peer would drop the link for it; CNODE_ESTALE (an identifier's
 * node is forgotten); CNODE_EBADARG (an empty or bad name, a none pid); CNODE_ENOMEM.
 * On every error nothing was appended and the peer's cache is as before.
 */
#define CN_ENCODE_QUEUE 1
int cn_encode(struct cn_encoder *e, struct cn_out *out, const struct cn_control *c, cnode_term payload,
	      const char **reason);
/* A tick. 0, CNODE_ENOMEM. */
int cn_encode_tick(struct cn_out *out);

/*
 * A message that waits or goes out in fragments, with all that it needs: texts copied, payload
 * kept. It was verified when it was made; the atom cache is used when its first packet is.
 */
struct cn_sending;
/*
 * Errors as cn_encode. *sending is yours. Looks at nothing of the encoder that changes, so it
 * needs no lock: verify large payloads here, and not under the out mutex.
 */
int cn_sending_new(const struct cn_encoder *e, const struct cn_control *c, cnode_term payload,
		   struct cn_sending **sending, const char **reason);
void cn_sending_free(struct cn_sending *s);      /* takes NULL; at any time, but see cn_sending_started */
/* About so many bytes are still to come. */
uint64_t cn_sending_size(const struct cn_sending *s);
/* True between its first and its last packet: if it ends now the link must end too. */
bool cn_sending_started(const struct cn_sending *s);
/* Puts the next packet behind `out`. 1: there are more; 0: that was the last; CNODE_ENOMEM, CNODE_ESTALE: nothing was put. */
int cn_sending_next(struct cn_sending *s, struct cn_encoder *e, struct cn_out *out);

#endif
