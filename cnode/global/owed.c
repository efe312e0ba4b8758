/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locks that a node may have set without our having heard of it. A node that stood still when set_lock came, and whose
 * connection was given up, finds the request when it goes on, and sets the lock for a requester that is alive and knows nothing of
 * it: nobody could join that node any more. So it is told del_lock first of all when it is connected again, in the name of the process
 * that asked for the lock, as whose it is kept (global.erl, handle_del_lock).
 */
#include "cnode/global/inner.h"

struct owed {
	struct owed *next;
	cnode_name node;
	cnode_pid asker;
	cnode_term requester;       /* its own */
};

static void owed_drop(struct owed *o)
{
	cnode_term_drop(o->requester);
	cn_free(o);
}

int owed_note(struct cn_global *g, cnode_name node, cnode_pid asker, cnode_term requester)
{
	struct owed *o = cn_calloc(1, sizeof *o), *oldest = NULL;
	int rc = o ? cnode_term_keep(requester, &o->requester) : CNODE_ENOMEM;
	if (rc != 0) {
		cn_free(o);
		return rc;
	}
	o->node = node;
	o->asker = asker;
	size_t count = 1;
	cn_mutex_lock(&g->lock);
	struct owed **at = &g->owed;
	while (*at && ((*at)->node != node || !cnode_pid_equal((*at)->asker, asker) || !cnode_term_equal((*at)->requester, requester))) {
		at = &(*at)->next;
		count++;
	}
	bool known = *at != NULL;
	if (!known) {
		*at = o;
		/* Nodes that never come back. */
		if (count > CN_GLOBAL_MAX_NODES) {
			oldest = g->owed;
			g->owed = oldest->next;
		}
	}
	cn_mutex_unlock(&g->lock);
	if (known)
		owed_drop(o);
	if (oldest)
		owed_drop(oldest);
	return 0;
}

static struct owed *owed_take(struct cn_global *g, cnode_name node)
{
	cn_mutex_lock(&g->lock);
	struct owed **at = &g->owed;
	while (*at && (*at)->node != node)
		at = &(*at)->next;
	struct owed *o = *at;
	if (o)
		*at = o->next;
	cn_mutex_unlock(&g->lock);
	return o;
}

void owed_settle(struct server *s, struct node *n)
{
	struct owed *o;
	while ((o = owed_take(s->g, n->name))) {
		/* The answer is {owed, true} to the asker, who does not know it. */
		int rc = cnode_send_name(s->self, SERVER, n->text, "{'$gen_call',{~p,owed},{del_lock,{global,~t}}}", o->asker, o->requester);
		owed_drop(o);
		if (rc == CNODE_ENOMEM) {
			cn_log_line(s->g->config.log, CNODE_LOG_ERROR, "global: out of memory to tell %s: closing its connection", n->text);
			s->g->config.ops->disconnect(s->g->config.ctx, n->name);
		}
	}
}

void owed_fini(struct cn_global *g)
{
	while (g->owed) {
		struct owed *o = g->owed;
		g->owed = o->next;
		owed_drop(o);
	}
}
