/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conn: live connections to other nodes, and epmd.
 *
 *   cn_net        what the connections of one node share: limits, listeners, corks
 *   cn_conn       one connection, from dialling or accepting to its one `down`
 *   cn_conn_send  any thread: encode, queue per sender, write
 *   cn_cork_…     sends of one run are written together
 *   epmd.h        asking an epmd; being one; staying registered with one
 *
 * A connection has two halves without shared state. The in-half (reading, frames, ticks,
 * the state) belongs to the holder of the lead. The out-half (encoder, queue, descriptor)
 * has a mutex; what is encoded in that critical section is queued in it, so the order of
 * the atom cache is the order on the wire. The descriptor is closed under both.
 *
 * Follows: erl_dist_protocol; lib/kernel/src/dist_util.erl (handshake, ticks);
 * erts/emulator/beam/dist.c (fragments, busy limit); lib/kernel/src/erl_epmd.erl.
 */
#ifndef CN_CONN_H
#define CN_CONN_H

#include "cnode/base/base.h"
#include "cnode/conn/epmd.h"
#include "cnode/loop/loop.h"
#include "cnode/term/term.h"
#include "cnode/wire/wire.h"

struct cn_conn;
struct cn_net;

/* ======================================================================================
 * streams: what carries the bytes
 * ====================================================================================== */

struct cn_stream;

/*
 * read and write as cn_socket_read and cn_socket_write. Write is called under the connection's
 * out mutex by any thread, read by the lead, possibly at the same time: a stream that keeps
 * state of its own (TLS) locks it.
 */
struct cn_stream_ops {
	int (*read)(struct cn_stream *s, const struct iovec *parts, int count, size_t *moved);
	int (*write)(struct cn_stream *s, const struct iovec *parts, int count, size_t *moved);
	void (*shutdown)(struct cn_stream *s);    /* no more writes: tell the peer */
	void (*close)(struct cn_stream *s);       /* frees state; the descriptor is closed by its watcher afterwards */
};
struct cn_stream {
	const struct cn_stream_ops *ops;
	int fd;
	void *state;
};
/* Bytes as they are, over a connected socket. */
extern const struct cn_stream_ops cn_stream_plain;

/* ======================================================================================
 * what the connections of a node share
 * ====================================================================================== */

/* Named limits, and what they stop. */
#define CN_NET_PENDING 64                 /* accepted, not yet up: a flood of strangers holding sockets and timers */
#define CN_NET_PENDING_HOST 8             /* of one address, loopback excepted: one stranger shutting the rest out */
#define CN_NET_CONNECTIONS 1024
#define CN_NET_TURN (256u << 10)          /* bytes read from one connection per round: one peer starving the others */
#define CN_NET_OUT_HIGH (UINT64_C(1) << 20)
#define CN_NET_OUT_LIMIT (UINT64_C(64) << 20)
#define CN_NET_AHEAD (128u << 10)         /* bytes of fragments ready for the socket: what a small message waits for */
#define CN_NET_CORK (50 * UINT64_C(1000)) /* ns after which the lead writes what a run has not */
#define CN_NET_TICKTIME (60 * CN_NS_PER_S)

/* What the acceptor is to answer to a peer's name. */
struct cn_hello {
	enum cn_status status;            /* OK, OK_SIMULTANEOUS, NOK, NOT_ALLOWED, ALIVE; NONE: close without a word */
	char name[CNODE_NAME_SIZE];       /* for a peer that wants one (hs->name_me): its name … */
	uint32_t creation;                /* … and creation; status is then not looked at */
};

/*
 * What the room above does. All under the lead except drained; none may block, run user code,
 * or free the net. Any but step may call cn_conn_close on any connection: `down` comes later,
 * never from inside of the call. `context` is the net's; cn_conn_user(c) is the connection's.
 */
struct cn_conn_ops {
	/* Acceptor: the peer has claimed hs->peer (nothing is proved); fill *answer. */
	void (*hello)(void *context, struct cn_conn *c, const struct cn_handshake *hs, struct cn_hello *answer);
	/* Initiator: the peer holds a connection with us. True: it is stale, go on. */
	bool (*alive)(void *context, struct cn_conn *c);
	/* The cookie for this peer, Latin-1, borrowed until the call returns to the loop; NULL: close. */
	const char *(*cookie)(void *context, struct cn_conn *c, const char *peer);
	/* Acceptor, after ALIVE: the peer is authentic. End the old link, then call cn_conn_replaced. */
	void (*replace)(void *context, struct cn_conn *c);
	/* The link is up: cn_conn_send works, frames follow. Negative: close it with this code. */
	int (*up)(void *context, struct cn_conn *c);
	/* One message; cn_packet_take to keep the payload, else it is freed on return. */
	void (*frame)(void *context, struct cn_conn *c, struct cn_packet *m);
	/* The queue has fallen under half of its high water: senders may go on. Any thread; no lock is held. */
	void (*drained)(void *context, struct cn_conn *c);
	/*
	 * Exactly once for every connection that `accepted` or cn_net_dial made, whether it was up or
	 * not; nothing is called for it afterwards. error and text (one sentence, printable, borrowed)
	 * tell the one cause; 0 is an orderly end of our own.
	 */
	void (*down)(void *context, struct cn_conn *c, int error, const char *text);
	/*
	 * May be NULL. Dialling got on: 1 the host has an address, 2 the port is known, 3 TCP is
	 * connected. text says the same with its value, borrowed. Does not close the connection.
	 */
	void (*step)(void *context, struct cn_conn *c, int step, const char *text);
};

struct cn_net_config {
	struct cn_loop *loop;
	struct cn_log *log;               /* may be NULL */
	const char *name;                 /* own node, "a@host"; copied */
	uint64_t flags;                   /* what we offer */
	uint32_t creation;
	uint64_t setuptime;               /* ns for a whole handshake; 0: CN_HANDSHAKE_TIME */
	uint64_t ticktime;                /* ns; 0: CN_NET_TICKTIME; at least 1 s */
	uint64_t max_message;             /* bytes; 0: CN_FRAME_MESSAGE_MAX */
	uint64_t out_high, out_limit;     /* bytes; 0: CN_NET_OUT_HIGH, CN_NET_OUT_LIMIT */
	uint32_t max_connections;         /* 0: CN_NET_CONNECTIONS */
	uint32_t max_pending;             /* 0: CN_NET_PENDING */
	uint32_t max_pending_host;        /* 0: CN_NET_PENDING_HOST */
	const struct cn_conn_ops *ops;    /* borrowed */
	void *context;
};

/* Lead. 0 with *net; CNODE_ENOMEM; CNODE_EBADNAME. */
int cn_net_new(const struct cn_net_config *config, struct cn_net **net);
/*
 * Closes its listeners; connections must be down, their references given back (but for those
 * of the net's own). Takes NULL. Lead.
 */
void cn_net_free(struct cn_net *net);
/* Accepts peers at this address (several may be added); *bound tells the port. Errors as cn_socket_listen; CNODE_ENOMEM. Lead. */
int cn_net_listen(struct cn_net *net, const struct cn_address *address, struct cn_address *bound);
/* Takes no more connections from now on. Lead. */
void cn_net_listen_stop(struct cn_net *net);
/* Ends all connections as cn_conn_finish. Lead. */
void cn_net_finish(struct cn_net *net, uint64_t linger);
/* Connections that are not down yet, and of them those that are not up. Lead. */
unsigned cn_net_count(const struct cn_net *net);
unsigned cn_net_pending(const struct cn_net *net);

/* ======================================================================================
 * one connection
 * ====================================================================================== */

/* X(state, name, states that may follow) */
#define CN_CONN_MAP(X) \
	X(RESOLVE, "resolving the host's name", (1u << CN_CONN_LOOKUP | 1u << CN_CONN_CONNECT | 1u << CN_CONN_CLOSING)) \
	X(LOOKUP, "asking epmd", (1u << CN_CONN_CONNECT | 1u << CN_CONN_CLOSING)) \
	X(CONNECT, "connecting", (1u << CN_CONN_CONNECT | 1u << CN_CONN_HANDSHAKE | 1u << CN_CONN_CLOSING)) \
	X(HANDSHAKE, "shaking hands", (1u << CN_CONN_UP | 1u << CN_CONN_CLOSING)) \
	X(UP, "up", (1u << CN_CONN_LEAVING | 1u << CN_CONN_CLOSING)) \
	X(LEAVING, "leaving", (1u << CN_CONN_CLOSING)) \
	X(CLOSING, "closing", (1u << CN_CONN_DOWN)) \
	X(DOWN, "down", 0u)
enum cn_conn_state {
#define CN_CONN_ENUM_(state, name, next) CN_CONN_##state,
	CN_CONN_MAP(CN_CONN_ENUM_)
#undef CN_CONN_ENUM_
};
const char *cn_conn_state_name(enum cn_conn_state state);

/* Whom to dial, and where. Strings are copied. */
struct cn_dial {
	const char *peer;                 /* "b@host" */
	const char *host;                 /* where; NULL: the host of its name */
	uint16_t port;                    /* its own port; 0: its epmd is asked */
	uint16_t epmd_port;               /* where that listens */
	int family;                       /* 4, 6, or 0 for what the name has */
	void *user;                       /* see cn_conn_user */
};
/*
 * Begins to dial; `up` or `down` will be called by a later round. *c is borrowed until `down`,
 * or yours with cn_conn_ref. CNODE_ENOMEM, CNODE_EBADNAME, CNODE_ESYSLIMIT (connections). Lead.
 */
int cn_net_dial(struct cn_net *net, const struct cn_dial *dial, struct cn_conn **c);
/*
 * Goes on with a connected stream: the handshake of this role begins. Takes stream->fd and
 * its state, also on failure. peer: the node that was dialled, or NULL for an acceptor. Lead.
 */
int cn_net_adopt(struct cn_net *net, const struct cn_stream *stream, const char *peer, void *user, struct cn_conn **c);

struct cn_conn *cn_conn_ref(struct cn_conn *c);
void cn_conn_unref(struct cn_conn *c);    /* takes NULL. Any thread. */
/* The pointer that the room above keeps with the connection. Set by the lead, read by any thread that knows it is set. */
void *cn_conn_user(const struct cn_conn *c);
void cn_conn_set_user(struct cn_conn *c, void *user);
enum cn_conn_state cn_conn_state(const struct cn_conn *c);   /* Lead. */
bool cn_conn_dialled(const struct cn_conn *c);               /* by us; immutable */
/* The peer's node name: dialled, or once claimed; "" before. Borrowed from c. Lead, or any thread once it is up. */
const char *cn_conn_peer(const struct cn_conn *c);

/* What the handshake agreed upon. Immutable from `up` on. */
struct cn_conn_info {
	cnode_name name;                  /* pinned as long as the connection has references */
	uint32_t creation;                /* the peer's */
	uint64_t flags;                   /* negotiated */
	uint64_t peer_flags;              /* the peer's offer */
	bool visible;
	uint64_t since;                   /* loop time of `up` */
};
const struct cn_conn_info *cn_conn_info(const struct cn_conn *c);

struct cn_conn_counts {
	uint64_t packets_in, packets_out, bytes_in, bytes_out, queued;
};
/* Any thread; packets_in counts messages, ticks and fragments. */
void cn_conn_counts(struct cn_conn *c, struct cn_conn_counts *counts);

/* What a peer that was dialled refused us with, in `down`: NOK, NOT_ALLOWED; NONE if it did not. Lead. */
enum cn_status cn_conn_refusal(const struct cn_conn *c);

/* The answer to `replace`: the old link is down. Lead. */
void cn_conn_replaced(struct cn_conn *c);
/*
 * Ends it now: the socket is closed, what is queued is lost, `down` follows with this error and
 * text (copied; NULL: the error's sentence). A second call changes nothing. Lead.
 */
void cn_conn_close(struct cn_conn *c, int error, const char *text);
/* The same from any thread, soon. text is static. */
void cn_conn_kill(struct cn_conn *c, int error, const char *text);
/* Writes what is queued, for at most `linger` ns, then closes in order: `down` with 0. Lead. */
void cn_conn_finish(struct cn_conn *c, uint64_t linger);

/* ---- sending: any thread ---- */

#define CN_CONN_NOSUSPEND 1u              /* over high water: CNODE_EBUSY, and nothing is queued */
#define CN_CONN_SUSPEND 1                 /* result: queued, but the sender should wait for `drained` */

/*
 * Sends one control message with its payload (none if the signal has none). `sender` says whose
 * it is (a process's own number; 0: the node's): messages of one sender stay in order, behind
 * its own unfinished fragments; those of others overtake them.
 * 0 or CN_CONN_SUSPEND: it is queued (and written, unless corked). CNODE_ENOCONNECTION: not up
 * (any more); CNODE_EBUSY; CNODE_ENOTSUP, CNODE_EBADTERM, CNODE_ELIMIT, CNODE_ETOOBIG,
 * CNODE_ESTALE, CNODE_EBADARG, CNODE_ENOMEM: as cn_encode, nothing was queued, the connection
 * stays; *reason (may be NULL) gets static text or NULL.
 */
int cn_conn_send(struct cn_conn *c, uint64_t sender, const struct cn_control *control, cnode_term payload,
		 unsigned flags, const char **reason);
/*
 * True while senders should wait: between CN_CONN_SUSPEND and `drained`. Another thread may have
 * drained the queue before the sender has stopped, so look again once it has. `down` ends the
 * wait too, without `drained`. Any thread.
 */
bool cn_conn_busy(const struct cn_conn *c);

/*
 * Between begin and end the calling thread's sends to connections of this net are only queued;
 * end writes them. May be nested; only the outermost end writes. If the lead is about to wait
 * meanwhile it writes them after CN_NET_CORK (in whole milliseconds, as epoll counts); if it
 * waits already they are written at once.
 */
void cn_cork_begin(struct cn_net *net);
void cn_cork_end(struct cn_net *net);

#endif
