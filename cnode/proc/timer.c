/* SPDX-License-Identifier: Apache-2.0 */
/* Timers of processes: a relation each, so that it ends with the process and is itself the message. */
#include "cnode/proc/inner.h"

int cn_process_timer(struct cnode_process *self, uint64_t ms, cnode_ref *ref, cnode_term message)
{
	struct cn_procs *procs = self->procs;
	struct rel *r = rel_new(REL_TIMER, NULL);
	if (!r)
		return CNODE_ENOMEM;
	struct timer *t = CN_CONTAINER(r, struct timer, rel);
	if (message.size_ && cnode_term_keep(message, &r->msg.term) != 0) {
		rel_free(r);
		return CNODE_ENOMEM;
	}
	uint64_t now = cn_now();
	t->node.due = ms > (CN_NEVER - 1 - now) / CN_NS_PER_MS ? CN_NEVER - 1 : now + ms * CN_NS_PER_MS;
	r->about.ref = message.size_ ? ref_make(procs, self->number) : ref_make_call(procs, self->number);
	*ref = r->about.ref;

	cn_mutex_lock(&self->lock);
	if (is_dead(self)) {
		cn_mutex_unlock(&self->lock);
		rel_free(r);
		return CNODE_EEXITED;
	}
	(void)rel_add(self, r, 0, CN_EPOCH_ANY);        /* without a node nothing can fail */
	cn_mutex_lock(&procs->timers_lock);
	t->queued = true;
	cn_heap_add(&procs->timers, &t->node);
	bool first = procs->timers.first == &t->node;
	cn_mutex_unlock(&procs->timers_lock);
	cn_mutex_unlock(&self->lock);
	if (first)
		procs->ops->due(procs->ctx);
	return 0;
}

/* mode of a REL_TIMER that is no message but the end of a start. */
#define ENDS_START 1

int start_timer(struct cnode_process *p, uint64_t due)
{
	struct cn_procs *procs = p->procs;
	struct rel *r = rel_new(REL_TIMER, NULL);
	if (!r)
		return CNODE_ENOMEM;
	struct timer *t = CN_CONTAINER(r, struct timer, rel);
	t->node.due = due;
	r->mode = ENDS_START;
	r->about.ref = ref_make(procs, p->number);
	cn_mutex_lock(&p->lock);
	if (is_dead(p)) {
		cn_mutex_unlock(&p->lock);
		rel_free(r);
		return 0;
	}
	(void)rel_add(p, r, 0, CN_EPOCH_ANY);
	p->start_ref = r->about.ref;
	p->start_by = due;
	p->start_timed = true;
	cn_mutex_lock(&procs->timers_lock);
	t->queued = true;
	cn_heap_add(&procs->timers, &t->node);
	bool first = procs->timers.first == &t->node;
	cn_mutex_unlock(&procs->timers_lock);
	cn_mutex_unlock(&p->lock);
	if (first)
		procs->ops->due(procs->ctx);
	return 0;
}

void start_timer_stop(struct cnode_process *p)
{
	if (CN_LIKELY(!p->start_timed))
		return;
	p->start_timed = false;
	p->start_by = CN_NEVER;
	(void)cnode_cancel_timer(p, p->start_ref);
}

int cnode_cancel_timer(cnode_process *self, cnode_ref ref)
{
	cn_mutex_lock(&self->lock);
	struct rel *r = rel_find_ref(self, REL_TIMER, &ref);
	if (r)
		rel_remove(self, r);
	cn_mutex_unlock(&self->lock);
	if (!r)
		return CNODE_ENOENT;
	timer_stop(self->procs, CN_CONTAINER(r, struct timer, rel));
	rel_free(r);
	return 0;
}

void timer_stop(struct cn_procs *procs, struct timer *t)
{
	cn_mutex_lock(&procs->timers_lock);
	if (t->queued)
		cn_heap_remove(&procs->timers, &t->node);
	t->queued = false;
	cn_mutex_unlock(&procs->timers_lock);
}

uint64_t cn_sched_due(struct cn_procs *procs)
{
	cn_mutex_lock(&procs->timers_lock);
	uint64_t due = cn_heap_due(&procs->timers);
	cn_mutex_unlock(&procs->timers_lock);
	return due;
}

/* Its timer may have been cancelled, and its memory be gone: only the reference tells. */
static void fire(struct cnode_process *p, const cnode_ref *ref, struct work *w)
{
	bool ready = false;
	cn_mutex_lock(&p->lock);
	struct rel *r = is_dead(p) ? NULL : rel_find_ref(p, REL_TIMER, ref);
	if (r && r->mode == ENDS_START) {
		rel_remove(p, r);
		rel_free(r);
		if (CN_MUTANT(timeout_orphan) && p->started) {
			p->start_pending = false;
			p->started(p->started_ctx, p->pid, CNODE_ETIMEOUT, atom_timeout());
		} else {
			process_die(p, atom_timeout(), w);
		}
	} else if (r) {
		rel_remove(p, r);
		ready = mailbox_push(p, message_of_rel(r, CN_MSG_TIMER), w);
	}
	cn_mutex_unlock(&p->lock);
	if (ready)
		run_ready(p, w);
	work_run(w);
	process_unref(p);
}

bool cn_sched_expire(struct cn_procs *procs, uint64_t now, uint32_t budget)
{
	struct work w = { .inside = false, .now = now };
	for (;;) {
		cn_mutex_lock(&procs->timers_lock);
		struct cn_heap_node *n = procs->timers.first;
		if (!n || n->due > now) {
			cn_mutex_unlock(&procs->timers_lock);
			return true;
		}
		if (budget-- == 0) {
			cn_mutex_unlock(&procs->timers_lock);
			return false;
		}
		cn_heap_remove(&procs->timers, n);
		struct timer *t = CN_CONTAINER(n, struct timer, node);
		t->queued = false;
		/* While it is in the heap its owner exists: who frees it takes it out first. */
		struct cnode_process *p = t->rel.owner;
		cnode_ref ref = t->rel.about.ref;
		process_ref(p);
		cn_mutex_unlock(&procs->timers_lock);
		fire(p, &ref, &w);
	}
}
