/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What leaves in the name of a process, in one order though several threads emit it.
 *
 * Its own thread takes OUT_BUSY by one compare-and-swap around each send. Others (the
 * lead answering an UNLINK, a killer) may take it only under the process's lock and for
 * as long as they hold that. When they find it taken they leave their work in the
 * process and set OUT_WORK; the own thread sees that when it leaves and does the work.
 * Nobody waits for a send of another thread, and nothing overtakes one.
 *
 * The start of a process is owed before anything else leaves: whoever enters first says it.
 */
#include "cnode/proc/inner.h"

/* Emits one answer; the process's lock is held, so it goes to another node only. */
static void emit(struct cnode_process *p, struct rel *r)
{
	struct cn_signal sig = {
		.kind = r->emit,
		.from = p->pid,
		.to = r->about.pid,
		.epoch = r->epoch,
		.unlink_id = r->unlink_id,
		.ref = r->about.ref,
	};
	sig.node = rel_node(r);
	if (r->emit == CN_SIG_DEMONITOR)
		sig.to_name = r->about.name;
	/* What cannot be queued ends the connection: that is the ops' promise. */
	p->procs->ops->send(p->procs->ctx, &sig, 0);
	rel_free(r);
}

void out_flush(struct cnode_process *p)
{
	struct rel *r;
	while ((r = p->pending.first)) {
		p->pending.first = r->chain;
		emit(p, r);
	}
	p->pending.last = NULL;
}

int out_enter(struct cnode_process *p)
{
	uint32_t idle = 0;
	if (CN_UNLIKELY(!atomic_compare_exchange_strong(&p->out, &idle, OUT_BUSY))) {
		cn_mutex_lock(&p->lock);
		atomic_fetch_or(&p->out, OUT_BUSY);
		cn_mutex_unlock(&p->lock);
	}
	if (CN_UNLIKELY(is_dead(p))) {
		struct work w = { .inside = p->slicing };
		out_leave(p, &w);
		work_run(&w);
		return CNODE_EEXITED;
	}
	if (CN_UNLIKELY(p->start_pending) && !CN_MUTANT(late_spawn_reply)) {
		p->start_pending = false;
		if (p->started)
			p->started(p->started_ctx, p->pid, 0, (cnode_term){ 0 });
		cn_mutex_lock(&p->lock);
		out_flush(p);
		cn_mutex_unlock(&p->lock);
	}
	return 0;
}

void out_leave(struct cnode_process *p, struct work *w)
{
	uint32_t busy = OUT_BUSY;
	if (CN_MUTANT(late_spawn_reply) && p->start_pending && !is_dead(p)) {
		p->start_pending = false;
		if (p->started)
			p->started(p->started_ctx, p->pid, 0, (cnode_term){ 0 });
	}
	if (CN_LIKELY(atomic_compare_exchange_strong(&p->out, &busy, 0)))
		return;
	cn_mutex_lock(&p->lock);
	if (!p->start_pending)
		out_flush(p);
	atomic_store(&p->out, 0);
	bool handed = p->handed;
	p->handed = false;
	cn_mutex_unlock(&p->lock);
	if (handed)
		work_add(w, p);         /* the count that the killer left with it */
}

void out_pending(struct cnode_process *p, struct rel *r)
{
	r->chain = NULL;
	*(p->pending.last ? &p->pending.last->chain : &p->pending.first) = r;
	p->pending.last = r;

	uint32_t v = atomic_load(&p->out);
	for (;;) {
		if (v & OUT_BUSY) {
			if (atomic_compare_exchange_weak(&p->out, &v, v | OUT_WORK))
				return;
		} else if (atomic_compare_exchange_weak(&p->out, &v, OUT_BUSY)) {
			break;
		}
	}
	/* Owed answers of a process that has not started leave behind its start. */
	if (!p->start_pending)
		out_flush(p);
	atomic_store(&p->out, 0);
}

bool out_quiet(struct cnode_process *p)
{
	uint32_t v = atomic_load(&p->out);
	while (v & OUT_BUSY)
		if (atomic_compare_exchange_weak(&p->out, &v, v | OUT_WORK)) {
			p->handed = true;
			return false;
		}
	return true;
}

int out_send(struct cnode_process *p, const struct cn_signal *sig, unsigned flags)
{
	unsigned how = p->class->flags & CN_PROC_PROMPT ? 0 : flags & CNODE_NOSUSPEND ? CN_SEND_NOSUSPEND : CN_SEND_SUSPEND;
	if (flags & CNODE_NOCONNECT)
		how |= CN_SEND_NOCONNECT;
	int rc = p->procs->ops->send(p->procs->ctx, sig, how);
	if (rc != CN_SUSPEND)
		return rc;
	cn_mutex_lock(&p->lock);
	p->holds++;
	p->held = true;
	cn_mutex_unlock(&p->lock);
	return 0;
}
