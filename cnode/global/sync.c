/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls of {sync, Nodes}: each is answered when the tables of all these nodes are ours, or the nodes are gone. A node that has no
 * `global` never gets there, so a call may wait as long as that is connected: no longer than the process that asked, which is
 * monitored for it; and of more than so many the oldest gives way, and is told.
 *
 * Follows: global.erl (OTP 23 to 29): start_sync, sync_loop. There each call is a process, which outlives who asked for it, and
 * only what a node can have of these is the limit.
 */
#include "cnode/global/inner.h"

struct syncer {
	struct syncer *next, **at;      /* where the one before it, or the server, has it */
	cnode_from *from;
	struct watch watch;             /* of who asked */
	struct node_list nodes;
};

static void syncer_free(struct syncer *w)
{
	cnode_from_drop(w->from);
	nodes_fini(&w->nodes);
	cn_free(w);
}

static void add(struct server *s, struct syncer *w)
{
	w->next = NULL;
	w->at = s->syncers_last;
	*w->at = w;
	s->syncers_last = &w->next;
	s->syncer_count++;
}

void sync_ended(struct server *s, struct syncer *w)
{
	*w->at = w->next;
	if (w->next)
		w->next->at = w->at;
	else
		s->syncers_last = w->at;
	s->syncer_count--;
	watch_remove(s, &w->watch);
	syncer_free(w);
}

/* Who cannot be told any more does not wait. */
static void answer(struct server *s, struct syncer *w, const char *format)
{
	(void)cnode_reply(w->from, format);
	sync_ended(s, w);
}

void sync_reached(struct server *s, cnode_name node)
{
	for (struct syncer *w = s->syncers, *next; w; w = next) {
		next = w->next;
		nodes_remove(&w->nodes, node);
		if (w->nodes.count == 0)
			answer(s, w, "ok");
	}
}

/* One of the node that asks for more; if it has none, of all. */
static void give_way(struct server *s, cnode_name node)
{
	uint32_t held;
	struct syncer *w = s->syncers;
	while (w && w->watch.pid.node != node)
		w = w->next;
	if (cn_log_pass(&s->sync_gate, 1, &held))
		cn_log_line(s->g->config.log, CNODE_LOG_WARNING, "global: %u calls of sync wait here (CN_GLOBAL_MAX_SYNCS), and the oldest gives way",
			    s->g->config.max_syncs);
	answer(s, w ? w : s->syncers, "{error,system_limit}");
}

static int wait(struct server *s, struct syncer *w, cnode_from *from)
{
	int rc = cnode_from_keep(from, &w->from);
	if (rc != 0)
		return rc;
	w->watch.pid = cnode_from_pid(w->from);
	w->watch.syncer = w;
	rc = watch_add(s, &w->watch);
	if (rc != 0)
		return rc;
	if (s->syncer_count >= s->g->config.max_syncs)
		give_way(s, w->watch.pid.node);
	add(s, w);
	return 0;
}

int sync_call(struct server *s, cnode_from *from, cnode_term list)
{
	struct syncer *w = cn_calloc(1, sizeof *w);
	cnode_reader r = cnode_read(list);
	size_t count;
	int rc = w ? 0 : CNODE_ENOMEM;
	while (rc == 0 && (count = cnode_read_list(&r)) > 0)
		while (count-- > 0 && rc == 0) {
			struct node *n = node_named(s, cnode_read_term(&r));
			if (n && n->connection && !n->synced)
				rc = nodes_add(&w->nodes, n->name);
		}
	if (rc == 0 && w->nodes.count > 0 && (rc = wait(s, w, from)) == 0)
		return 0;
	if (rc == 0)
		rc = cnode_reply(from, "ok");
	if (w)
		syncer_free(w);
	return rc;
}

void sync_fini(struct server *s)
{
	while (s->syncers) {
		struct syncer *w = s->syncers;
		s->syncers = w->next;
		w->from = NULL;         /* freed with the process */
		syncer_free(w);
	}
}
