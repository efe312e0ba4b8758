/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Floods: many messages one way. A node that is faster than its peer would be woken for each few
 * of them, and to be woken costs more than all else about a small message, for the peer too. So
 * between rounds of a flood the sockets are left alone for a moment, as network cards moderate
 * their interrupts. Where anything is answered nothing is held back.
 */
#include "cnode/conn/inner.h"

#define WINDOW 128                      /* messages that are judged together; none of them was answered */
#define APART_NS 25000                  /* those of a flood are not further apart, on average */
#define REST_MOST 250000                /* ns that a message may be held back */
#define REST_ROOM 65536                 /* bytes that may come meanwhile: the buffer of a new socket must not become full */
#define REST_LATE 50000                 /* ns that the kernel's timers are late (PR_SET_TIMERSLACK, unless it was changed) */
#define REST_LEAST 20000                /* ns: what would be shorter is not worth the wait */

static void begin(struct cn_flood *f, uint64_t now, uint64_t rest)
{
	f->rest = rest;
	f->messages = f->bytes = 0;
	f->since = now;
}

/* So long that, at `bytes` in `took` ns, as many come as there is room for. */
static uint64_t rest_of(uint64_t took, uint64_t bytes)
{
	uint64_t rest = bytes > 0 ? took * REST_ROOM / bytes : REST_MOST;
	if (rest > REST_MOST)
		rest = REST_MOST;
	return rest >= REST_LATE + REST_LEAST ? rest - REST_LATE : 0;
}

uint64_t cn_flood_rest(struct cn_flood *f, uint64_t now)
{
	uint64_t writes = atomic_load_explicit(&f->writes, memory_order_relaxed);
	uint64_t took = now - f->since;
	if (writes != f->writes_seen || took > WINDOW * APART_NS)
		begin(f, now, 0);
	else if (f->messages >= WINDOW)
		begin(f, now, rest_of(took, f->bytes));
	f->writes_seen = writes;
	return f->rest;
}
