/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The watchdog. While the resource `global` is locked no node of the cluster registers a name, and nobody waits for
 * its holder with a timeout: not the BEAM nodes, nor those of our like. So a node that holds it here for long is asked
 * for something that its name server answers at once, and its connection is closed when it does not. One that answers
 * is at work (a resolver may take its time), and is asked again.
 *
 * Nodes that a lock, or the next step of a joining, is wanted from are watched by who wants it (multi.c, locker.c),
 * for the same time. And this node is watched too (cn_global_stalls): one whose name server does not get on must not
 * have others wait for it.
 */
#include "cnode/global/inner.h"

void global_stalled(struct cn_global *g, cnode_name node, const char *what)
{
	char text[CNODE_NAME_SIZE];
	(void)cnode_name_text(node, text);
	cn_log_line(g->config.log, CNODE_LOG_WARNING, "global: %s %s: closing its connection (global_timeout)", text, what);
	atomic_fetch_add(&g->stalled, 1);
	g->config.ops->disconnect(g->config.ctx, node);
}

/* ---- who holds the lock ---- */

static int look(cnode_process *self, void *state, void *context, const cnode_answer *answer);

static int watch(struct server *s)
{
	/* Without memory for it the next beat tries again. */
	s->watching = cnode_after(s->self, s->g->config.stall_ms, look, (void *)(uintptr_t)s->lock_turn) == 0;
	return 0;
}

static int add(struct server *s, struct node_list *nodes, cnode_name name)
{
	struct node *n = node_find(s, name);
	return n && n->connection ? nodes_add(nodes, name) : 0;
}

/* Those that hold it, and, of a joining, the two whose lockers have given it their names. */
static int holders(struct server *s, struct node_list *nodes)
{
	cnode_pid pids[2];
	int rc = 0;
	const struct lock *l = locks_find_global(s->g);
	for (const struct holder *h = l->holders; h && rc == 0; h = h->next)
		rc = add(s, nodes, h->key.pid.node);
	if (rc == 0 && cnode_scan(l->requester, "[~p,~p]", &pids[0], &pids[1]) == 0)
		for (int i = 0; i < 2 && rc == 0; i++)
			rc = add(s, nodes, pids[i].node);
	return rc;
}

/* Who did not answer is disconnected by now. */
static int asked(struct cnode_process *self, void *state, struct multi *m)
{
	struct server *s = state;
	(void)self;
	(void)m;
	s->watching = false;
	return locks_find_global(s->g) ? watch(s) : 0;
}

static int look(cnode_process *self, void *state, void *context, const cnode_answer *answer)
{
	struct server *s = state;
	struct node_list nodes = { 0 };
	cnode_term request;
	(void)answer;
	s->watching = false;
	if (!locks_find_global(s->g))
		return 0;
	if ((uintptr_t)context != s->lock_turn)
		return watch(s);        /* another one has it now */
	int rc = holders(s, &nodes);
	if (rc == 0 && nodes.count > 0)
		rc = cnode_format(&request, "get_protocol_version");
	if (rc == 0 && nodes.count > 0) {
		s->watching = true;
		rc = multi_call(s->g, self, s, nodes.at, nodes.count, s->g->config.stall_ms, request, asked, NULL);
		cnode_term_drop(request);
	} else if (rc == 0) {
		watch(s);
	}
	nodes_fini(&nodes);
	if (rc == CNODE_EEXITED)
		return rc;
	/* Nobody was asked for want of memory. */
	return rc != 0 ? watch(s) : 0;
}

void watchdog_locked(struct server *s)
{
	s->lock_turn++;
	if (!s->watching)
		watch(s);
}

/* ---- this node ---- */

bool cn_global_stalls(struct cn_global *g, uint64_t now)
{
	static const uint8_t beat[] = { CN_SMALL_ATOM_UTF8, 4, 'b', 'e', 'a', 't' };
	struct cn_target to = { .pid = global_pid(g, &g->server) };
	if (g->beats != atomic_load(&g->beaten)) {
		if (now < g->beat_at || now - g->beat_at < g->config.stall_ms * CN_NS_PER_MS)
			return false;
		g->beats = atomic_load(&g->beaten);     /* it is said once, and asked again */
		atomic_fetch_add(&g->stalled, 1);
		cn_log_line(g->config.log, CNODE_LOG_ERROR, "global: this node does not get on with it: closing all connections (global_timeout)");
		g->config.ops->disconnect_all(g->config.ctx);
		return true;
	}
	g->beat_at = now;
	g->beats++;
	if (cn_procs_send(g->config.procs, &to, cn_term_static(beat, sizeof beat), 0) != 0)
		g->beats--;             /* no memory: the next time */
	return false;
}

bool watchdog_message(struct server *s, cnode_term message)
{
	if (!cn_term_is_atom(message, "beat"))
		return false;
	/* More than one may be on its way behind a stall. */
	atomic_store(&s->g->beaten, atomic_load(&s->g->beats));
	if (!s->watching && locks_find_global(s->g))
		watch(s);
	return true;
}
