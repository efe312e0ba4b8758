/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of processes and of connections. A death is emitted in slices by whoever finds
 * the process quiet: the killer's thread if it is no more than a handful of signals, the
 * run queue for the rest, its own thread if that is inside a send.
 */
#include "cnode/proc/inner.h"

void process_die(struct cnode_process *p, cnode_term reason, struct work *w)
{
	p->reason = reason_keep(reason);
	atomic_store(&p->dead, true);
	name_remove(p);
	pids_remove(p);
	if (p->state == RUN_OWN) {
		process_wake(p);
	} else if (p->state == RUN_IDLE || p->state == RUN_HELD) {
		p->state = RUN_READY;           /* somebody has to clear the remains away */
		run_ready(p, w);
	}
	work_add(w, p);                         /* with the count of the pid table */
}

void work_add(struct work *w, struct cnode_process *p)
{
	p->dead_next = NULL;
	*(w->dead_last ? &w->dead_last->dead_next : &w->dead_first) = p;
	w->dead_last = p;
}

#define EMIT_AT_ONCE 512        /* signals of deaths that one call emits; the run queue goes on */

void work_run(struct work *w)
{
	struct cnode_process *p;
	while (CN_UNLIKELY((p = w->dead_first))) {
		w->dead_first = p->dead_next;
		if (!w->dead_first)
			w->dead_last = NULL;
		bool more = true;
		if (w->spent < EMIT_AT_ONCE)
			more = emit_death(p, EMIT_AT_ONCE - w->spent, w);
		if (!more)
			continue;
		struct cn_procs *procs = p->procs;
		struct runq *q = &procs->dying;
		p->dead_next = NULL;
		cn_mutex_lock(&q->lock);
		*(q->last ? &q->last->dead_next : &q->first) = p;
		q->last = p;
		q->count++;
		cn_mutex_unlock(&q->lock);
		procs->ops->runnable(procs->ctx, true, w->inside);
	}
}

static void emit_one(struct cnode_process *p, struct rel *r, struct work *w)
{
	struct cn_procs *procs = p->procs;
	bool silent = r->of_start && p->refused;
	bool local = is_local(procs, r->about.pid);
	struct cn_signal sig = { .from = p->pid, .to = r->about.pid, .node = r->about.pid.node, .ref = r->about.ref, .epoch = r->epoch };
	switch ((enum rel_type)r->type) {
	case REL_LINK:
		if (!r->active)
			break;
		if (local) {
			if (silent)
				forget_link(procs, sig.to, p->pid);
			else
				deliver_exit(procs, sig.to, p->pid, p->reason, w);
		} else if (!silent) {
			sig.kind = CN_SIG_EXIT;
			sig.term = p->reason;
			procs->ops->send(procs->ctx, &sig, 0);
			if (CN_MUTANT(exit_twice))
				procs->ops->send(procs->ctx, &sig, 0);
		}
		break;
	case REL_WATCHED:
		if (local) {
			if (silent)
				forget_watch(procs, sig.to, &sig.ref);
			else
				deliver_down(procs, sig.to, &sig.ref, p->reason, w);
		} else if (!silent) {
			sig.kind = CN_SIG_DOWN;
			sig.from_name = CN_MUTANT(down_without_name) ? NULL : r->about.name;
			sig.term = CN_MUTANT(down_says_noproc) ? atom_noproc() : p->reason;
			procs->ops->send(procs->ctx, &sig, 0);
			if (CN_MUTANT(down_twice))
				procs->ops->send(procs->ctx, &sig, 0);
		}
		break;
	case REL_WATCH:
		if (r->watched) {
			drop_watched(procs, pid_of_number(procs, r->watched), p->pid, &sig.ref);
		} else if (rel_node(r) != procs->node) {
			sig.kind = CN_SIG_DEMONITOR;
			sig.to_name = r->about.name;
			sig.node = rel_node(r);
			procs->ops->send(procs->ctx, &sig, 0);
		}
		break;
	case REL_TIMER:
		timer_stop(procs, CN_CONTAINER(r, struct timer, rel));
		break;
	case REL_NODE:
	case REL_NODES:
	case REL_ALIAS:
		break;
	}
	rel_free(r);
}

/* Links before monitors: who has both gets EXIT first. */
static struct rel *pop(struct cnode_process *p)
{
	struct rels *t = p->links.count && !(CN_MUTANT(down_before_exit) && p->refs_of.count) ? &p->links : &p->refs_of;
	if (p->emit_from > t->mask)
		p->emit_from = 0;
	struct rel *r = rels_pop(t, &p->emit_from);
	if (!r && t->count) {
		p->emit_from = 0;
		r = rels_pop(t, &p->emit_from);
	}
	return r;
}

bool emit_death(struct cnode_process *p, uint32_t budget, struct work *w)
{
	cn_mutex_lock(&p->lock);
	if (!out_quiet(p)) {
		cn_mutex_unlock(&p->lock);
		return false;                   /* its own thread adds it again when it leaves */
	}
	bool refuse = p->start_pending;
	p->start_pending = false;
	int code = p->start_code;
	cn_mutex_unlock(&p->lock);
	if (refuse) {
		p->refused = true;
		if (p->started)
			p->started(p->started_ctx, p->pid, code, p->reason);
	}
	for (uint32_t done = 0;;) {
		struct rel *list = NULL, *r;
		unsigned n = 0;
		cn_mutex_lock(&p->lock);
		out_flush(p);
		struct rel **tail = &list;
		while (n < 32 && (r = pop(p))) {
			rel_unlist(p, r);
			r->chain = NULL;
			*tail = r;
			tail = &r->chain;
			n++;
		}
		bool more = p->links.count || p->refs_of.count;
		cn_mutex_unlock(&p->lock);
		while ((r = list)) {
			list = r->chain;
			emit_one(p, r, w);
		}
		done += n;
		w->spent += n;
		if (!more)
			break;
		if (done >= budget)
			return true;
	}
	process_unref(p);
	return false;
}

/* ---- nodedown ---- */

/* A relation to be ended, as it was when it left the list of its node. */
struct ended {
	struct rel *rel;                /* to compare with only, until it is found in the table */
	struct cnode_process *owner;    /* counted */
	uint64_t hash;
	bool by_ref;
};

/* Takes the first relations of the list of one kind; 0: none is left. */
static size_t take(struct cn_procs *procs, cnode_name node, unsigned list, uint64_t epoch, struct ended *out, size_t room)
{
	struct cn_mutex *lock;
	struct peer **at = peer_find(procs, node, &lock);
	size_t n = 0;
	if (*at) {
		struct rel *r;
		while (n < room && (r = (*at)->first[list]) && r->epoch <= epoch) {
			out[n].rel = r;
			out[n].owner = r->owner;
			out[n].hash = r->hash;
			out[n].by_ref = list == NODE_MONITORS;
			process_ref(r->owner);
			peer_unlist(*at, r);
			n++;
		}
		peer_free_if_empty(at);
	}
	cn_mutex_unlock(lock);
	return n;
}

static void end(struct ended *e, cnode_name node, uint64_t epoch, cnode_term reason, struct work *w)
{
	struct cnode_process *p = e->owner;
	struct rel *r = e->rel, *gone = NULL;
	bool ready = false;
	cn_mutex_lock(&p->lock);
	/* It may have ended meanwhile, and its memory be another one's: of another node, of none, or listed. */
	if (!is_dead(p) && rel_is_in(p, r, e->hash, e->by_ref) && rel_node(r) == node && r->epoch <= epoch &&
	    !atomic_load_explicit(&r->listed, memory_order_acquire)) {
		switch ((enum rel_type)r->type) {
		case REL_LINK:
			if (CN_MUTANT(links_outlive_node))
				break;
			ready = end_link(p, r, reason, w);
			break;
		case REL_WATCH:
			if (CN_MUTANT(monitors_outlive_node))
				break;
			ready = end_watch(p, r, reason, w);
			break;
		case REL_NODE:
			if (CN_MUTANT(no_nodedown))
				break;
			ready = end_node(p, r, w);
			break;
		case REL_WATCHED:
			rel_remove(p, r);
			gone = r;
			break;
		case REL_NODES:
		case REL_ALIAS:
		case REL_TIMER:
			break;
		}
	}
	cn_mutex_unlock(&p->lock);
	rel_free(gone);
	if (ready)
		run_ready(p, w);
	process_unref(p);
}

bool cn_procs_nodedown(struct cn_procs *procs, cnode_name node, uint64_t epoch, const char *reason, uint32_t budget)
{
	struct work w = { .inside = false, .now = cn_now() };
	cnode_term why = atom_noconnection(), made = { 0 };
	if (reason && strcmp(reason, "noconnection") != 0 && cnode_format(&made, "~a", reason) == 0)
		why = made;
	bool done = true;
	for (unsigned list = 0; list < NODE_LISTS && done; list++) {
		struct ended batch[32];
		for (;;) {
			size_t room = budget < CN_ARRAY_SIZE(batch) ? budget : CN_ARRAY_SIZE(batch);
			size_t n = room ? take(procs, node, list, epoch, batch, room) : 0;
			budget -= (uint32_t)n;
			for (size_t i = 0; i < n; i++)
				end(&batch[i], node, epoch, why, &w);
			if (n == 0) {
				done = room != 0;
				break;
			}
			if (w.dead_first)
				work_run(&w);
		}
	}
	work_run(&w);
	cnode_term_drop(made);
	return done;
}

/* ---- everybody ---- */

int cn_procs_exit_all(struct cn_procs *procs, cnode_term reason, bool all)
{
	cnode_pid *pids;
	size_t count;
	int rc = cn_procs_list(procs, &pids, &count);
	if (rc != 0)
		return rc;
	struct work w = { .inside = false };
	for (size_t i = 0; i < count; i++) {
		struct cnode_process *p = process_find(procs, pids[i]);
		bool spare = !p || (!all && (p->class->flags & (CN_PROC_PROMPT | CN_PROC_LAST)));
		if (p)
			process_unref(p);
		struct cn_target to = { .pid = pids[i] };
		int one = spare ? 0 : deliver_exit2(procs, &to, cn_procs_root(procs), 0, reason, &w);
		rc = rc ? rc : one;
		work_run(&w);
		w.spent = 0;
	}
	cn_free(pids);
	return rc;
}
