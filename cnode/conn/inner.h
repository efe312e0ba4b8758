/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of the room conn: the connection and the net as they are. */
#ifndef CN_CONN_INNER_H
#define CN_CONN_INNER_H

#include "cnode/conn/conn.h"

#include "compat/compat.h"

#define CN_CONN_TEXT 320                /* of the one cause of an end */
#define CN_READ_ROOM (65536 + CN_FRAME_DIRECT + 4)   /* of the net's receive buffer: a whole read behind any rest */
#define CN_READ_HEAD 4096               /* read behind a large packet: likely enough to know where the rest of the next one belongs */
#define CN_READ_BEHIND 512              /* read behind a large part: the next header, which tells where the rest belongs */
#define CN_READ_GUESSES 3               /* fragments that are read with the one before them */
/* The receive buffer: what is touched only when guesses were wrong is no memory until then. */
#define CN_READ_BUFFER (CN_READ_GUESSES * (CN_FRAME_HEAD + CN_FRAME_GUESS) + CN_READ_BEHIND)
_Static_assert(CN_READ_BUFFER >= CN_READ_ROOM, "a read has room");

#define CN_EPMD_ADDRESSES 14            /* in $ERL_EPMD_ADDRESS, at most; loopback comes in addition */
#define CN_EPMD_ADDRESS_SIZE 64         /* one of them as text */
/* server.c: is it a list of addresses to serve at? If not, `wrong` is the first part that is none, or one too many. */
bool cn_epmd_list_valid(const char *list, char *wrong, size_t room);

/* ---- the out-half ---- */

struct cn_queued {
	struct cn_queued *next;
	struct cn_sending *sending;
	uint64_t size;                      /* as counted in lanes_bytes */
};

/* What one sender has queued while a message of it goes out in fragments. */
struct cn_lane {
	UT_hash_handle hh;                  /* by sender */
	uint64_t sender;
	struct cn_lane *next;               /* in the round of those that take turns */
	struct cn_queued *first, **last;
};

/* Everything under its lock. */
struct cn_out_half {
	struct cn_mutex lock;
	_Atomic bool open;                  /* messages are taken; set after the encoder is there */
	bool broken;                        /* writing failed or ended: nothing is written any more */
	struct cn_stream stream;            /* ops NULL: none (yet, or any more) */
	struct cn_encoder *encoder;         /* lives as long as the connection */
	struct cn_out out;                  /* ready for the socket */
	struct cn_lane *lanes;
	struct cn_lane *turn, **turn_last;
	uint64_t lanes_bytes;
	bool stuck;                         /* the socket took no more: the lead waits until it can */
	_Atomic bool suspended;             /* senders were told to wait */
	uint64_t over_at, over_bytes;       /* when the limit's present second began, and bytes written then */
	uint64_t packets, bytes;            /* written, ever */
};

/* ---- the connection ---- */

struct cn_dialling;

struct cn_conn {
	_Atomic uint32_t refs;
	struct cn_net *net;
	_Atomic(void *) user;
	bool dialled;
	char peer[CNODE_NAME_SIZE];

	/* The in-half: holder of the lead. */
	struct cn_conn *next, *prev;        /* of the net */
	enum cn_conn_state state;
	bool accepted;                      /* counts among those that came from outside */
	bool was_up;
	bool working;                       /* a large message is being verified: reading waits */
	bool want_write;                    /* watched for */
	bool told_off;                      /* leaving: everything is written, the peer was told */
	struct cn_address address;
	char where[CN_ADDRESS_TEXT];
	struct cn_dialling *dialling;
	struct cn_io io;
	struct cn_timer timer;              /* of dialling, the handshake, ticks, leaving: one after the other */
	struct cn_handshake *handshake;     /* from HANDSHAKE on */
	struct cn_frame *frame;             /* from UP on */
	struct cn_conn_info info;
	struct cn_buf in;                   /* bytes that wait for the rest of their packet */
	bool large;                         /* what was read last went straight to where it stays */
	_Atomic uint64_t bytes_in, packets_in;
	uint64_t next_tick;                 /* end of the present tick interval */
	uint64_t in_seen, out_seen;         /* bytes in and out at its beginning */
	uint64_t answered;                  /* when a tick was last answered */
	unsigned silent;                    /* intervals without a byte from the peer */
	int error;                          /* CLOSING: what `down` will tell */
	char text[CN_CONN_TEXT];

	/* From any thread to the lead. */
	struct cn_task task;
	_Atomic int kill_code;
	_Atomic(const char *) kill_text;

	/* Under the net's cork lock; `dirty` may be read without. */
	_Atomic bool dirty;
	struct cn_conn *dirty_next, *dirty_prev;

	struct cn_out_half half;
};

struct cn_acceptor {
	struct cn_acceptor *next;
	struct cn_net *net;
	struct cn_listener listener;
};

/* What came in, and whether it is a burst of spawn requests, or a flood: see flood.c. The lead's but for `writes`. */
struct cn_burst {
	uint64_t requests, others;          /* messages since the last wait: spawn requests, and such as are none */
	uint64_t window, windows, since;    /* requests of the present window; windows before it; when it began */
	uint64_t most;                      /* requests in this window between two waits */
	bool many;                          /* there were many in the window before */
};
struct cn_flood {
	_Atomic uint64_t writes;            /* any thread; the rest is the lead's */
	uint64_t writes_seen;
	uint64_t unanswered;                /* messages in the flood's windows so far */
	uint64_t messages, bytes, since;    /* of the present window */
	uint64_t read_messages, read_bytes; /* since the last wait behind a message */
	bool small;                         /* those before that */
	uint64_t writes_then;               /* at the last wait */
	uint64_t rest;                      /* ns, as the window before gave it */
	struct cn_burst burst;
};

struct cn_net {
	struct cn_net_config config;        /* defaults filled in */
	char name[CNODE_NAME_SIZE];
	cnode_name self;                    /* pinned */
	struct cn_acceptor *acceptors;
	struct cn_conn *conns;
	unsigned count, pending;
	struct cn_log_gate refused_gate, failed_gate;
	uint8_t *read_room;                 /* CN_READ_BUFFER bytes; what is read in a turn is used in that turn */

	struct cn_flood flood;

	struct cn_nap nap;
	struct cn_mutex cork_lock;          /* guards what follows, and `dirty` of connections */
	struct cn_conn *dirty;
	uint64_t dirty_since;
	unsigned corks;                     /* threads between begin and end */
	bool asleep;                        /* the lead waits and will not look at `dirty` */
	bool napped;                        /* it has waited a short while for the corks already */
	uint64_t nap_began;
	struct cn_task rouse;               /* ends the lead's wait */
};

/* conn.c */
/* Not started: no stream, one reference, in the net's list. NULL: out of memory. */
struct cn_conn *cn_conn_new(struct cn_net *net, bool dialled, const char *peer, void *user);
/* Undoes cn_conn_new when it cannot be started; `down` is not called. */
void cn_conn_drop(struct cn_conn *c);
/* False (and the state stays) if the table has no such step. */
bool cn_conn_move(struct cn_conn *c, enum cn_conn_state state);
/* Has the lead look at the connection. Any thread, also with its lock. */
void cn_conn_post(struct cn_conn *c);
/* Watches for what the connection needs now. */
void cn_conn_watch(struct cn_conn *c);
void cn_conn_closef(struct cn_conn *c, int error, const char *fmt, ...) CN_PRINTF(3, 4);
void cn_conn_ready(struct cn_io *io, unsigned events);
void cn_conn_due(struct cn_timer *timer);

/* dial.c */
void cn_dial_ready(struct cn_conn *c);
void cn_dial_due(struct cn_conn *c);
void cn_dial_end(struct cn_conn *c);

/* shake.c */
/* Begins with the stream in half.stream. */
int cn_shake_begin(struct cn_conn *c);
void cn_shake_ready(struct cn_conn *c, unsigned events);
void cn_shake_due(struct cn_conn *c);

/* in.c */
/* Reads and delivers one turn. */
void cn_in_turn(struct cn_conn *c);
void cn_in_due(struct cn_conn *c);
/* Reads and forgets: the connection is leaving. */
void cn_in_discard(struct cn_conn *c);

/* out.c */
void cn_half_init(struct cn_out_half *h);
void cn_half_fini(struct cn_out_half *h);
uint64_t cn_half_queued(const struct cn_out_half *h);      /* under the lock */
/* Writes what the socket takes, at most about `budget` bytes. True: `drained` is due. Under the lock. */
bool cn_half_flush(struct cn_conn *c, uint64_t budget);
/* The same with the lock taken, and `drained` called. */
void cn_half_write(struct cn_conn *c, uint64_t budget);
void cn_half_writable(struct cn_conn *c);                  /* lead */
void cn_half_tick(struct cn_conn *c);
#define CN_FLUSH_LEAD (1u << 20)
#define CN_FLUSH_THREAD (256u << 10)    /* what a sender's thread writes; the lead goes on */

/* flood.c */
/* The lead is about to wait. How long to leave the sockets alone first, in ns; 0: not at all. */
uint64_t cn_flood_rest(struct cn_flood *f, uint64_t now);
/* The same. May it sleep at once? Nobody waits for what comes next: small messages were not answered, or many spawns are under way. */
bool cn_flood_dozes(struct cn_flood *f);
/* Bytes have come; a message has. Lead. */
static inline void cn_flood_read(struct cn_flood *f, size_t bytes)
{
	f->bytes += bytes;
	f->read_bytes += bytes;
}
static inline void cn_flood_count(struct cn_flood *f, bool is_spawn)
{
	f->messages++;
	f->read_messages++;
	if (is_spawn)
		f->burst.requests++;
	else
		f->burst.others++;
}

/* cork.c */
/* True: the calling thread's cork holds it, or the lead will write it. */
bool cn_cork_hold(struct cn_conn *c);
void cn_cork_init(struct cn_net *net);
void cn_cork_fini(struct cn_net *net);

/* trace.c: CNODE_TRACE. Nothing happens unless it asks for them. */
void cn_trace_shake(struct cn_conn *c, bool out, const uint8_t *bytes, size_t size);    /* messages with their lengths */
void cn_trace_shake_end(struct cn_conn *c, int code);
/* what: tick, part, message; bytes of the packet, with its length. Any thread. */
void cn_trace_frame(struct cn_conn *c, bool out, const char *what, uint64_t bytes);

#endif
