/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conn: one connection to a peer, from its first byte to its last. Bytes to messages and
 * back (wire), ticks, the queue of what is to be written, back-pressure.
 *
 * A connection has two halves without shared state. The in-half (reading, handshake,
 * ticks) is touched by the holder of the lead only. The out-half (encoder with its atom
 * cache, queue) is under its own mutex: encoding and queueing are one critical section,
 * so the order of the cache is the order on the wire. The descriptor is closed under it.
 *
 * What a sender has queued goes out in order; a message that needs fragments is sent one
 * fragment at a time, in turn with those of other senders, and what its own sender sends
 * later waits behind it.
 *
 * Follows: erl_dist_protocol; erts/emulator/beam/dist.c (ticks, busy ports).
 */
#ifndef CN_CONN_H
#define CN_CONN_H

#include "cnode/base/base.h"
#include "cnode/loop/loop.h"
#include "cnode/term/term.h"
#include "cnode/wire/wire.h"

struct cn_conn;

/* What was agreed on when a connection came up. */
struct cn_conn_up {
	uint64_t flags;                     /* negotiated */
	uint64_t peer_flags;                /* the peer's offer */
	uint32_t creation;
};

/* What the room above decides and hears. All but `drained` under the lead, without locks of this room. */
struct cn_conn_ops {
	/* Acceptor: a peer says who it is (not proved yet). *owner is what the other calls get from then on. */
	enum cn_status (*hello)(void *ctx, struct cn_conn *c, const char *peer, uint64_t flags, void **owner);
	/* Acceptor: a peer that asks for a name gets one at its host. 0, or a code that refuses it. */
	int (*name_me)(void *ctx, struct cn_conn *c, const char *host, char name[CNODE_NAME_SIZE],
		       uint32_t *creation, void **owner);
	/* Initiator: the peer believes to be connected with us; true: its old connection may go. */
	bool (*alive)(void *ctx, struct cn_conn *c, void *owner);
	/* The cookie for a peer, borrowed until the next call. */
	const char *(*cookie)(void *ctx, const char *peer);
	/* True if one of our own handshakes has this challenge outstanding. */
	bool (*own_challenge)(void *ctx, uint32_t challenge);
	/* Acceptor after `alive`: the peer is authentic, the old connection is to be ended now. */
	void (*replace)(void *ctx, struct cn_conn *c, void *owner);
	/*
	 * The connection is up: messages may be sent from now on, and come after this call. Another
	 * result than 0 closes it again, `text` (static) says why; down follows.
	 */
	int (*up)(void *ctx, struct cn_conn *c, void *owner, const struct cn_conn_up *up, const char **text);
	/* A message; it is freed behind the call, what is kept of it is counted. As cn_peer_packet. */
	int (*packet)(void *ctx, struct cn_conn *c, void *owner, struct cn_packet *m, const char **why);
	/*
	 * It has ended, exactly once for each that was made; nothing follows. `text` is a sentence.
	 * was_up tells if `up` had been called. owner NULL: it never said who it is.
	 */
	void (*down)(void *ctx, struct cn_conn *c, void *owner, bool was_up, int code, const char *text);
	/* A sender that was told to pause may go on: once for each time. Lead. */
	void (*drained)(void *ctx, cnode_pid sender);
};

/* What all connections of a node share; borrowed as long as any of them lives. */
struct cn_conn_env {
	struct cn_loop *loop;
	struct cn_log *log;
	const struct cn_conn_ops *ops;
	void *ctx;
	const char *name;                   /* own, UTF-8 */
	cnode_name self;
	uint64_t offer;                     /* our flags */
	uint32_t creation;
	uint64_t tick_ns;                   /* net_ticktime */
	uint64_t setup_ns;                  /* for a handshake */
	uint64_t max_message;               /* 0: wire's default */
	uint64_t high_water;                /* bytes queued before senders are told to pause */
	uint64_t out_limit;                 /* bytes queued before the peer is cut off */
};

/*
 * Begins to connect to an address, for `peer`. *conn gets one reference, yours; `down` will
 * be called. Lead. On an error nothing was made: CNODE_ENOMEM, CNODE_EFDS, CNODE_EIO, CNODE_EBADNAME.
 */
int cn_conn_dial(const struct cn_conn_env *env, const struct cn_address *address, const char *peer, void *owner,
		 struct cn_conn **conn);
/* Takes a descriptor that was accepted (also on failure). The connection keeps itself alive until `down`. Lead. CNODE_ENOMEM, CNODE_EIO. */
int cn_conn_accept(const struct cn_conn_env *env, int take_fd, const struct cn_address *from);

struct cn_conn *cn_conn_ref(struct cn_conn *c);         /* any thread */
void cn_conn_unref(struct cn_conn *c);                  /* takes NULL; any thread */

/* TCP is connected: an attempt has reached its handshake. Lead. */
bool cn_conn_is_connected(const struct cn_conn *c);
/* True if its handshake waits for the answer to this challenge of ours. Lead. */
bool cn_conn_has_challenge(const struct cn_conn *c, uint32_t challenge);
/* Negotiated flags, once up. Any thread. */
uint64_t cn_conn_flags(const struct cn_conn *c);
/* The peer's address. */
const struct cn_address *cn_conn_address(const struct cn_conn *c);

/* Ends it now: `down` with this code and sentence is called before this returns, unless it was. Lead. */
void cn_conn_close(struct cn_conn *c, int code, const char *text);
/* Ends it as soon as what is queued is written, or after `ns`. Lead. */
void cn_conn_finish(struct cn_conn *c, uint64_t ns);
/* Asks the holder of the lead to end it; text is static. Any thread, also with locks held. */
void cn_conn_kill(struct cn_conn *c, int code, const char *text);

#define CN_CONN_SUSPEND 1u          /* the sender can pause: *suspend may be set */
#define CN_CONN_NOSUSPEND 2u        /* CNODE_EBUSY and nothing is queued where *suspend would be set */

/*
 * Queues a message (control, and payload if it has one; both borrowed) and writes what it
 * can, or leaves that to the end of the caller's cork. *suspend: accepted, but the sender
 * (control->from) is to pause until `drained`. Any thread; never blocks.
 * 0; CNODE_EBUSY; CNODE_ENOCONNECTION (it is closing); and as cn_encode. A peer over its
 * hard limit is cut off: CNODE_ENOCONNECTION.
 */
int cn_conn_send(struct cn_conn *c, const struct cn_control *control, cnode_term payload, unsigned flags,
		 bool *suspend);

struct cn_conn_stats {
	uint64_t packets_in, packets_out, bytes_in, bytes_out, queued;
};
void cn_conn_stats(struct cn_conn *c, struct cn_conn_stats *stats);     /* any thread */

/*
 * Corks: between begin and end what this thread sends is only queued, and written at the
 * end with one call per connection. A cork is the thread's own; another thread may write
 * what it holds back for too long (cn_cork_rescue).
 */
struct cn_cork;
/* NULL when out of memory. */
struct cn_cork *cn_cork_new(void);
void cn_cork_free(struct cn_cork *cork);            /* takes NULL */
void cn_cork_begin(struct cn_cork *cork);           /* the calling thread sends through it */
void cn_cork_end(struct cn_cork *cork);
/* Writes what the cork has held back since before `older`. Any thread. */
void cn_cork_rescue(struct cn_cork *cork, uint64_t older);

#endif
