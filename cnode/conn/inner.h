/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of the room conn. */
#ifndef CN_CONN_INNER_H
#define CN_CONN_INNER_H

#include <uthash.h>

#include "cnode/conn/conn.h"

/* What one sender has queued while a message of it goes out in fragments. */
struct cn_lane {
	UT_hash_handle hh;                  /* by sender */
	cnode_pid sender;
	struct cn_lane *next;               /* the round of those that take turns */
	struct cn_queued *first, **last;
};

struct cn_queued {
	struct cn_queued *next;
	struct cn_sending *sending;
	uint64_t size;                      /* as counted in lanes_bytes */
};

/* The out-half; everything under its lock. */
struct cn_out_half {
	struct cn_mutex lock;
	bool open;                          /* messages are taken */
	bool broken;                        /* writing failed; the lead closes */
	int fd;                             /* -1 once closed */
	struct cn_encoder *encoder;
	struct cn_out out;                  /* ready to be written */
	struct cn_lane *lanes;              /* by sender */
	struct cn_lane *turn, **turn_last;  /* the same, in turn */
	uint64_t lanes_bytes;
	struct cn_buf paused;               /* cnode_pid of senders that wait for `drained` */
	bool writable_wanted;               /* the lead is to wait until it can be written to */
	uint64_t packets, bytes;            /* written, ever */
};

enum cn_conn_state {
	CN_CONN_CONNECTING,                 /* TCP is being connected */
	CN_CONN_HANDSHAKE,
	CN_CONN_UP,
	CN_CONN_FINISHING,                  /* up, and to be closed when all is written */
	CN_CONN_CLOSED,
};

struct cn_conn {
	_Atomic uint32_t refs;
	const struct cn_conn_env *env;
	struct cn_address address;
	_Atomic uint64_t flags;             /* negotiated */
	/* The in-half: holder of the lead. */
	void *owner;
	enum cn_conn_state state;
	bool initiator;
	bool was_up;
	bool working;                       /* a large message is being verified: reading waits */
	struct cn_io io;
	struct cn_timer timer;              /* of the handshake, then of ticks, then of finishing */
	struct cn_handshake *handshake;     /* until it is up */
	struct cn_frame *frame;             /* since it is up */
	cnode_name peer;                    /* pinned since it is up */
	uint8_t *in;
	size_t in_size, in_room;
	_Atomic uint64_t bytes_in, packets_in;
	uint64_t next_tick;                 /* end of the present tick interval */
	uint64_t bytes_seen, bytes_told;    /* in and out, at the last tick interval */
	uint64_t told_at_tick;              /* bytes out when the peer's last tick came */
	unsigned silent;                    /* intervals without a byte from the peer */
	/* From any thread to the lead. */
	struct cn_task task;
	_Atomic int kill_code;
	_Atomic(const char *) kill_text;

	struct cn_out_half half;
};

/* conn.c: has the lead look at the connection. Any thread, also with its lock. */
void cn_conn_post(struct cn_conn *c);

/* out.c */
void cn_half_init(struct cn_out_half *h);
/* Frees all that waits; *paused gets the senders to resume. Lead. */
void cn_half_fini(struct cn_out_half *h);
/* Writes at most about `budget` bytes. Under the lock. */
void cn_half_flush(struct cn_conn *c, uint64_t budget);
/* Queues a tick and writes it, if nothing waits anyway. */
void cn_half_tick(struct cn_conn *c);

#endif
