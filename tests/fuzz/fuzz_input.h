/* SPDX-License-Identifier: Apache-2.0 */
/* Input that is a row of events: which of four nodes, what happens, and 16 bits of length before a message. */
#ifndef TESTS_FUZZ_INPUT_H
#define TESTS_FUZZ_INPUT_H

#include "tests/proc_world.h"

enum { EVENT_MESSAGE, EVENT_UP, EVENT_DOWN, EVENT_OTHER, EVENT_TIME, EVENT_THIRD, EVENTS };
struct event {
	const char *node;
	int what;
	cnode_term message;             /* MESSAGE, OTHER, THIRD: yours; none: the bytes are no term */
};

static inline bool event_next(const uint8_t **data, size_t *size, struct event *e)
{
	static const char *const nodes[] = { "r1@vm", "r2@vm", "o27@vm", "o29@vm" };
	if (*size < 4)
		return false;
	size_t length = (size_t)(*data)[2] << 8 | (*data)[3];
	*e = (struct event){ .node = nodes[(*data)[0] % 4], .what = (*data)[1] % EVENTS };
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

#endif
