/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Floods: many messages one way. A node that is faster than its peer would be woken for each few
 * of them, and to be woken costs more than all else about a small message, for the peer too. So
 * between rounds of a flood the sockets are left alone for a moment, as network cards moderate
 * their interrupts. Where anything but spawns is answered nothing is held back.
 *
 * In a long flood these moments last until the kernel's buffer of the socket is full of small packets (some 200, each counted
 * with the memory it occupies). From then on the peer's kernel puts together what the peer writes, which costs the peer half.
 *
 * Bursts: many spawn requests, each of which is answered. Their peer has as much to do with the answers as this node with
 * the requests (a BEAM node twice as much); meanwhile the sockets are left alone too, and requests come by the hundred and
 * not one by one. Where few are under way, as of a peer that waits for each answer, the next would only come later.
 *
 * In both a wait does not begin busily (cn_loop_spin), also where there is no rest: what is read one by one costs both sides more.
 * Large messages are no such flood: each of their fragments is a write of its own, and the writer need wake nobody who looks.
 */
#include "cnode/conn/inner.h"

#define WINDOW 128                      /* messages that are judged together; none of them was answered */
#define APART_NS 25000                  /* those of a flood are not further apart, on average */
#define REST_MOST 250000                /* ns that a message may be held back */
#define LONG 2000                       /* messages without an answer are a long flood … */
#define REST_LONG 2000000               /* … in which a message may be held back for so many ns */
#define PAUSE_NS (25 * CN_NS_PER_MS)    /* without WINDOW messages: the flood is over; after less it may only have been stalled */
#define REST_ROOM 65536                 /* bytes that may come meanwhile: larger packets are not put together, but wait */
#define SPAWN_NS 2000                   /* of rest for each spawn request that was read */
#define SPAWN_MOST 1000000              /* ns that a request may be held back */
#define SPAWN_TRIAL 512000              /* ns of a rest on trial: a BEAM node sends in bursts itself */
#define SPAWN_MANY 32                   /* requests at once: the next window ends with a trial too; otherwise … */
#define SPAWN_TRY 8                     /* … each of so many does */
#define LARGE 8192                      /* bytes of a message from which on the sender gains if it is read at once */
#define REST_LATE 50000                 /* ns that the kernel's timers are late (PR_SET_TIMERSLACK, unless it was changed) */
#define REST_LEAST 20000                /* ns: what would be shorter is not worth the wait */

static void begin(struct cn_flood *f, uint64_t now, uint64_t rest)
{
	f->rest = rest;
	f->messages = f->bytes = 0;
	f->since = now;
}

/* What is left of a rest without the kernel's own part. */
static uint64_t without_late(uint64_t rest)
{
	return rest >= REST_LATE + REST_LEAST ? rest - REST_LATE : 0;
}

/* So long that, at `bytes` in `took` ns, as many come as there is room for; `most` at most. */
static uint64_t rest_of(uint64_t took, uint64_t bytes, uint64_t most)
{
	uint64_t rest = bytes > 0 ? took * REST_ROOM / bytes : most;
	return without_late(rest < most ? rest : most);
}

/*
 * The rest behind the requests that were read since the last wait. Such as come one by one do so because they are read one by
 * one, or because the peer has no more under way: now and then a rest on trial tells, and soon again where many come at once.
 */
static uint64_t burst_rest(struct cn_burst *b, uint64_t now)
{
	uint64_t read = b->requests;
	bool others = b->others > 0;
	b->requests = b->others = 0;
	if (others || now - b->since > PAUSE_NS) {
		*b = (struct cn_burst){ .since = now };
		return 0;
	}
	b->window += read;
	if (read > b->most)
		b->most = read;
	uint64_t rest = read * SPAWN_NS;
	if (b->window >= WINDOW) {
		bool is_burst = now - b->since <= b->window * APART_NS;
		if (is_burst && (b->most >= SPAWN_MANY || b->windows++ % SPAWN_TRY == 0))
			rest += SPAWN_TRIAL;
		b->many = b->most >= SPAWN_MANY;
		b->window = b->most = 0;
		b->since = now;
	}
	return without_late(rest < SPAWN_MOST ? rest : SPAWN_MOST);
}

uint64_t cn_flood_rest(struct cn_flood *f, uint64_t now)
{
	uint64_t burst = burst_rest(&f->burst, now);
	if (burst > 0)
		return burst;
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

bool cn_flood_dozes(struct cn_flood *f)
{
	uint64_t writes = atomic_load_explicit(&f->writes, memory_order_relaxed);
	bool answered = writes != f->writes_then;
	f->writes_then = writes;
	/* Of a message that has only begun nobody knows how large it is: likely as those before, if it is all there is. */
	if (f->read_messages > 0) {
		f->small = f->read_bytes < (f->read_messages + 1) * LARGE;
		f->read_messages = f->read_bytes = 0;
	}
	return f->burst.many || (f->small && !answered);
}
