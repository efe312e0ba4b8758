/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asking the name servers of several nodes at once, as gen_server:multi_call/3 does, and on it
 * setting and deleting a lock on several nodes. Nothing here waits: each ends in a completion.
 */
#include "cnode/global/inner.h"

static void multi_free(struct cn_gen_attachment *a)
{
	cn_free(CN_CONTAINER(a, struct multi, attachment));
}

static int leg_ended(struct cnode_process *self, void *state, struct multi *m)
{
	if (--m->left > 0)
		return 0;
	cn_gen_detach(&m->attachment);
	int rc = m->done(self, state, m);
	cn_free(m);
	return rc;
}

static int leg_done(cnode_process *self, void *state, void *context, const cnode_answer *answer)
{
	struct leg *leg = context;
	struct cn_global *g = leg->multi->g;
	if (answer->status == CNODE_ETIMEOUT && !CN_MUTANT(global_waits_for_ever)) {
		global_stalled(g, leg->node, "does not answer");
	} else if (answer->status == 0) {
		leg->reply = cn_term_is_atom(answer->term, "true") ? REPLY_TRUE
			: cn_term_is_atom(answer->term, "false") ? REPLY_FALSE : REPLY_OTHER;
	}
	return leg_ended(self, state, leg->multi);
}

int multi_call(struct cn_global *g, struct cnode_process *self, void *state, const cnode_name *nodes, size_t count,
	       uint64_t timeout_ms, cnode_term request, multi_done *done, void *context)
{
	struct multi *m = cn_calloc(1, sizeof *m + count * sizeof m->legs[0]);
	if (!m)
		return CNODE_ENOMEM;
	int rc = cn_gen_attach(self, &m->attachment, multi_free);
	if (rc != 0) {
		cn_free(m);
		return rc;
	}
	m->g = g;
	m->done = done;
	m->context = context;
	m->count = count;
	m->left = count + 1;            /* done is not called while legs are being sent */
	for (size_t i = 0; i < count; i++) {
		char node[CNODE_NAME_SIZE];
		bool own = nodes[i] == g->self;
		m->legs[i] = (struct leg){ .multi = m, .node = nodes[i] };
		rc = own ? 0 : cnode_name_text(nodes[i], node);
		/* Our own server waits for nobody. */
		if (rc == 0)
			rc = cnode_call_name_async(self, SERVER, own ? NULL : node, own ? CNODE_INFINITY : timeout_ms, leg_done,
						   &m->legs[i], "~t", request);
		if (rc == CNODE_EEXITED)
			return rc;              /* m is freed with the process */
		if (rc == CNODE_ENOMEM)
			m->legs[i].reply = REPLY_UNASKED;
		if (rc != 0)
			m->left--;              /* as a node that is not there */
	}
	return leg_ended(self, state, m);
}

/* Our own server is always there, unless it has just ended and is started again. */
static bool is_missed(const struct multi *m, const struct leg *leg)
{
	return leg->reply == REPLY_UNASKED || (leg->reply == REPLY_NONE && leg->node == m->g->self);
}

bool multi_told_all(struct multi *m)
{
	struct cn_global *g = m->g;
	bool all = true;
	for (size_t i = 0; i < m->count; i++) {
		char node[CNODE_NAME_SIZE];
		if (!is_missed(m, &m->legs[i]))
			continue;
		if (m->legs[i].node == g->self) {
			all = false;
			continue;
		}
		(void)cnode_name_text(m->legs[i].node, node);
		cn_log_line(g->config.log, CNODE_LOG_ERROR, "global: out of memory to tell %s: closing its connection", node);
		g->config.ops->disconnect(g->config.ctx, m->legs[i].node);
	}
	return all;
}

/* ---- locks ---- */

/* One try to lock several nodes, or to unlock them. */
struct locking {
	struct cn_gen_attachment attachment;
	struct cn_global *g;
	uint64_t timeout_ms;
	cnode_term resource, requester; /* its own */
	struct node_list *silent;
	bool refused;                   /* what was granted is given back */
	locked_fn *done;
	void *context;
};

static void locking_drop(struct locking *l)
{
	cnode_term_drop(l->resource);
	cnode_term_drop(l->requester);
	cn_free(l);
}

static void locking_free(struct cn_gen_attachment *a)
{
	locking_drop(CN_CONTAINER(a, struct locking, attachment));
}

static int locking_end(struct cnode_process *self, void *state, struct locking *l, bool granted)
{
	cn_gen_detach(&l->attachment);
	int rc = l->done(self, state, l->context, granted);
	locking_drop(l);
	return rc;
}

static int locking_new(struct cn_global *g, struct cnode_process *self, uint64_t timeout_ms, cnode_term resource,
		       cnode_term requester, locked_fn *done, void *context, struct locking **made)
{
	struct locking *l = cn_calloc(1, sizeof *l);
	if (!l)
		return CNODE_ENOMEM;
	*l = (struct locking){ .g = g, .timeout_ms = timeout_ms, .done = done, .context = context };
	int rc = cnode_term_keep(resource, &l->resource);
	if (rc == 0)
		rc = cnode_term_keep(requester, &l->requester);
	if (rc == 0)
		rc = cn_gen_attach(self, &l->attachment, locking_free);
	if (rc != 0)
		locking_drop(l);
	else
		*made = l;
	return rc;
}

/* Sends set_lock or del_lock; a locking that memory lacks for goes with the process. */
static int locking_send(struct cnode_process *self, void *state, struct locking *l, const char *what, const cnode_name *nodes,
			size_t count, multi_done *done)
{
	cnode_term request;
	int rc = cnode_format(&request, "{~a,{~t,~t}}", what, l->resource, l->requester);
	if (rc == 0) {
		rc = multi_call(l->g, self, state, nodes, count, l->timeout_ms, request, done, l);
		cnode_term_drop(request);
	}
	return rc;
}

#define AGAIN_MS 100            /* after which our own server is told what it missed */

static int unlock_answered(struct cnode_process *self, void *state, struct multi *m);

static int unlock_again(cnode_process *self, void *state, void *context, const cnode_answer *answer)
{
	struct locking *l = context;
	(void)answer;
	return locking_send(self, state, l, "del_lock", &l->g->self, 1, unlock_answered);
}

static int unlock_answered(struct cnode_process *self, void *state, struct multi *m)
{
	struct locking *l = m->context;
	return multi_told_all(m) ? locking_end(self, state, l, !l->refused) : cnode_after(self, AGAIN_MS, unlock_again, l);
}

static int lock_answered(struct cnode_process *self, void *state, struct multi *m)
{
	struct locking *l = m->context;
	size_t granted = 0;
	bool refused = false;
	for (size_t i = 0; i < m->count; i++) {
		const struct leg *leg = &m->legs[i];
		bool missed = is_missed(m, leg), answers = leg->reply != REPLY_NONE;
		refused = refused || missed || (answers && leg->reply != REPLY_TRUE);
		if (!l->silent || missed || answers)
			continue;
		int rc = nodes_add(l->silent, leg->node);
		if (rc == 0)
			rc = owed_note(l->g, leg->node, cnode_self(self), l->requester);
		if (rc != 0)
			return rc;
	}
	if (!refused)
		return locking_end(self, state, l, true);
	cnode_name *nodes = cn_calloc(m->count, sizeof *nodes);
	if (!nodes)
		return CNODE_ENOMEM;
	for (size_t i = 0; i < m->count; i++)
		if (m->legs[i].reply == REPLY_TRUE)
			nodes[granted++] = m->legs[i].node;
	l->refused = true;
	int rc = granted == 0 ? locking_end(self, state, l, false)
			      : locking_send(self, state, l, "del_lock", nodes, granted, unlock_answered);
	cn_free(nodes);
	return rc;
}

static bool has(const cnode_name *nodes, size_t count, cnode_name node)
{
	for (size_t i = 0; i < count; i++)
		if (nodes[i] == node)
			return true;
	return false;
}

int lock_nodes(struct cn_global *g, struct cnode_process *self, void *state, const cnode_name *nodes, size_t count,
	       uint64_t timeout_ms, cnode_term resource, cnode_term requester, struct node_list *silent, locked_fn *done,
	       void *context)
{
	if (count == 0)
		return done(self, state, context, true);
	/* Where our own table says no, the others need not be asked. */
	if (count > 1 && has(nodes, count, g->self) && !cn_global_can_lock(g, resource, requester))
		return done(self, state, context, false);
	struct locking *l;
	int rc = locking_new(g, self, timeout_ms, resource, requester, done, context, &l);
	if (rc != 0)
		return rc;
	l->silent = silent;
	return locking_send(self, state, l, "set_lock", nodes, count, lock_answered);
}

int unlock_nodes(struct cn_global *g, struct cnode_process *self, void *state, const cnode_name *nodes, size_t count,
		 uint64_t timeout_ms, cnode_term resource, cnode_term requester, locked_fn *done, void *context)
{
	if (count == 0)
		return done(self, state, context, true);
	struct locking *l;
	int rc = locking_new(g, self, timeout_ms, resource, requester, done, context, &l);
	return rc != 0 ? rc : locking_send(self, state, l, "del_lock", nodes, count, unlock_answered);
}
