/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Floods: many small messages one way. A node that is faster than its peer would be woken for
 * each few of them, and to be woken costs more than all else about a small message, for the
 * peer too. So between rounds of a flood the sockets are left alone for a moment, as network
 * cards moderate their interrupts. Where anything is answered nothing is held back.
 */
#include "cnode/conn/inner.h"

#define REST_NS 20000                   /* the kernel's timers make 70 us of it, a few dozen messages */
#define WINDOW 128                      /* messages that are judged together; none of them was answered */
#define APART_NS 25000                  /* those of a flood are not further apart, on average … */
#define SMALL 512                       /* … nor larger: the socket is not to become full */

static void begin(struct cn_flood *f, uint64_t now, bool on)
{
	f->on = on;
	f->messages = f->bytes = 0;
	f->since = now;
}

uint64_t cn_flood_rest(struct cn_flood *f, uint64_t now)
{
	uint64_t writes = atomic_load_explicit(&f->writes, memory_order_relaxed);
	if (writes != f->writes_seen || now - f->since > WINDOW * APART_NS)
		begin(f, now, false);
	else if (f->messages >= WINDOW)
		begin(f, now, f->bytes <= f->messages * SMALL);
	f->writes_seen = writes;
	return f->on ? REST_NS : 0;
}
