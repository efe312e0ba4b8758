/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Floods: many messages one way. A node that is faster than its peer would be woken for each few
 * of them, and to be woken costs more than all else about a small message, for the peer too. So
 * between rounds of a flood the sockets are left alone for a moment, as network cards moderate
 * their interrupts. Where anything is answered nothing is held back.
 *
 * In a long flood these moments last until the kernel's buffer of the socket is full of small packets (some 200, each counted
 * with the memory it occupies). From then on the peer's kernel puts together what the peer writes, which costs the peer half.
 */
#include "cnode/conn/inner.h"

#define WINDOW 128                      /* messages that are judged together; none of them was answered */
#define APART_NS 25000                  /* those of a flood are not further apart, on average */
#define REST_MOST 250000                /* ns that a message may be held back */
#define LONG 2000                       /* messages without an answer are a long flood … */
#define REST_LONG 2000000               /* … in which a message may be held back for so many ns */
#define PAUSE_NS (25 * CN_NS_PER_MS)    /* without WINDOW messages: the flood is over; after less it may only have been stalled */
#define REST_ROOM 65536                 /* bytes that may come meanwhile: larger packets are not put together, but wait */
#define REST_LATE 50000                 /* ns that the kernel's timers are late (PR_SET_TIMERSLACK, unless it was changed) */
#define REST_LEAST 20000                /* ns: what would be shorter is not worth the wait */

static void begin(struct cn_flood *f, uint64_t now, uint64_t rest)
{
	f->rest = rest;
	f->messages = f->bytes = 0;
	f->since = now;
}

/* So long that, at `bytes` in `took` ns, as many come as there is room for; `most` at most. */
static uint64_t rest_of(uint64_t took, uint64_t bytes, uint64_t most)
{
	uint64_t rest = bytes > 0 ? took * REST_ROOM / bytes : most;
	if (rest > most)
		rest = most;
	return rest >= REST_LATE + REST_LEAST ? rest - REST_LATE : 0;
}

uint64_t cn_flood_rest(struct cn_flood *f, uint64_t now)
{
	uint64_t writes = atomic_load_explicit(&f->writes, memory_order_relaxed);
	uint64_t took = now - f->since;
	if (writes != f->writes_seen || took > WINDOW * APART_NS) {
		if (writes != f->writes_seen || took > PAUSE_NS)
			f->unanswered = 0;
		begin(f, now, 0);
	} else if (f->messages >= WINDOW) {
		f->unanswered += f->messages;
		begin(f, now, rest_of(took, f->bytes, f->unanswered >= LONG ? REST_LONG : REST_MOST));
	}
	f->writes_seen = writes;
	return f->rest;
}
