/* SPDX-License-Identifier: Apache-2.0 */
/* Input that is a row of events: which of four nodes, what happens, and 16 bits of length before a message. */
#ifndef TESTS_FUZZ_INPUT_H
#define TESTS_FUZZ_INPUT_H

#include "cnode/gen/gen.h"
#include "tests/proc_world.h"

static const char *const event_nodes[] = { "r1@vm", "r2@vm", "o27@vm", "o29@vm" };

enum { EVENT_MESSAGE, EVENT_UP, EVENT_DOWN, EVENT_OTHER, EVENT_TIME, EVENT_THIRD, EVENTS };
struct event {
	const char *node;
	int what;
	cnode_term message;             /* MESSAGE, OTHER, THIRD: yours; none: the bytes are no term */
};

static inline bool event_next(const uint8_t **data, size_t *size, struct event *e)
{
	if (*size < 4)
		return false;
	size_t length = (size_t)(*data)[2] << 8 | (*data)[3];
	*e = (struct event){ .node = event_nodes[(*data)[0] % CN_ARRAY_SIZE(event_nodes)], .what = (*data)[1] % EVENTS };
	*data += 4;
	*size -= 4;
	if (length > *size)
		length = *size;
	if (length > 0 && cnode_term_from_bytes(*data, length, &e->message) != 0)
		e->message = (cnode_term){ 0 };
	*data += length;
	*size -= length;
	if (cnode_name_of(e->node, &W.peer) != 0)
		abort();
	return true;
}

/* Its connection comes, or ends as far as processes see it. */
static inline void event_node(bool up)
{
	static const uint8_t closed[] = "w\21connection_closed";
	struct cn_node_event e = { .node = W.peer, .connection_id = W.epoch, .visible = true, .up = up };
	if (!up) {
		e.reason = cn_term_static(closed, sizeof closed - 1);
		while (!cn_procs_nodedown(W.procs, W.peer, atomic_load(&W.epoch), "noconnection", 1000))
			continue;
	}
	cn_procs_node_event(W.procs, &e);
}

static inline void event_message(cnode_pid to, const char *name, cnode_term message)
{
	struct cn_signal sig = FROM_PEER(MESSAGE, remote(55), to, .term = message);
	sig.to_name = name;
	if (cn_procs_deliver(W.procs, &sig) != 0)
		abort();
}

/* Plays them all; `message` delivers those that carry one, EVENT_TIME lets so many seconds pass. */
static inline void events_play(const uint8_t *data, size_t size, struct cn_supervisor *supervisor, unsigned seconds,
			       void (*message)(const struct event *e))
{
	for (struct event e;; cnode_term_drop(e.message)) {
		while (cn_sched_run(W.procs, false, 0))
			continue;
		cn_supervisor_run(supervisor, cn_now());
		if (!event_next(&data, &size, &e))
			return;
		if (e.what == EVENT_UP || e.what == EVENT_DOWN)
			event_node(e.what == EVENT_UP);
		else if (e.what == EVENT_TIME)
			cn_sched_expire(W.procs, cn_now() + seconds * CN_NS_PER_S, 1000);
		else if (e.message.size_ > 0)
			message(&e);
	}
}

/* The connections of all end. */
static inline void events_end(void)
{
	for (size_t i = 0; i < CN_ARRAY_SIZE(event_nodes); i++) {
		if (cnode_name_of(event_nodes[i], &W.peer) != 0)
			abort();
		event_node(false);
	}
}

#endif
