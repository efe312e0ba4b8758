/* SPDX-License-Identifier: Apache-2.0 */
/* What a process does itself: links, and the exit signals it sends. */
#include "cnode/proc/inner.h"

/* ---- links ---- */

/* Between local processes both ends appear at once; *rel and *other are taken when used. */
static void link_local(struct cnode_process *self, cnode_pid to, struct rel **rel, struct rel **other, struct work *w)
{
	struct cnode_process *q = process_find(self->procs, to);
	if (q) {
		lock_both(self, q);
		bool gone = is_dead(q);
		if (!gone && !is_dead(self) && !rel_find_pid(self, to)) {
			(void)rel_add(self, *rel, 0, CN_EPOCH_ANY);
			(void)rel_add(q, *other, 0, CN_EPOCH_ANY);
			*rel = *other = NULL;
		}
		unlock_both(self, q);
		process_unref(q);
		if (!gone)
			return;
	}
	int rc;
	bool ready = false;
	cn_mutex_lock(&self->lock);
	if (!is_dead(self)) {
		ready = exit_signal(self, *rel, to, atom_noproc(), false, &rc, w);
		*rel = NULL;
	}
	cn_mutex_unlock(&self->lock);
	if (ready)
		run_ready(self, w);
}

static int link_remote(struct cnode_process *self, cnode_pid to, struct rel **rel)
{
	int rc = 0;
	cn_mutex_lock(&self->lock);
	struct rel *r = rel_find_pid(self, to);
	if (r && r->active) {
		cn_mutex_unlock(&self->lock);
		return 0;
	}
	if (r) {
		r->active = true;
		r->unlink_id = 0;
	} else if ((rc = rel_add(self, *rel, to.node, CN_EPOCH_ANY)) == 0) {
		r = *rel;
		*rel = NULL;
	}
	struct cn_signal sig = { .kind = CN_SIG_LINK, .from = self->pid, .to = to, .node = to.node };
	if (r)
		sig.epoch = r->epoch;
	/* An ack that is owed to this pid leaves before the LINK, or the peer would take the LINK for part of the old link. */
	out_flush(self);
	cn_mutex_unlock(&self->lock);
	if (rc == 0)
		rc = out_send(self, &sig, 0);
	if (rc >= 0)
		return 0;
	cn_mutex_lock(&self->lock);
	r = is_dead(self) ? NULL : rel_find_pid(self, to);
	if (r && r->epoch == sig.epoch)
		rel_remove(self, r);
	else
		r = NULL;
	cn_mutex_unlock(&self->lock);
	rel_free(r);
	return rc;
}

int cnode_link(cnode_process *self, cnode_pid to)
{
	if (cnode_pid_is_none(to))
		return CNODE_EBADARG;
	if (cnode_pid_equal(to, self->pid))
		return 0;
	bool local = is_local(self->procs, to);
	struct rel *rel = rel_new(REL_LINK, NULL), *other = local ? rel_new(REL_LINK, NULL) : NULL;
	int rc = CNODE_ENOMEM;
	if (!rel || (local && !other))
		goto free;
	rel->about.pid = to;
	rel->active = true;
	if (other) {
		other->about.pid = self->pid;
		other->active = true;
	}
	rc = out_enter(self);
	if (rc != 0)
		goto free;
	struct work w = work_of(self);
	if (local)
		link_local(self, to, &rel, &other, &w);
	else
		rc = link_remote(self, to, &rel);
	work_leave(self, &w);
free:
	rel_free(rel);
	rel_free(other);
	return rc;
}

static void unlink_local(struct cnode_process *self, cnode_pid to)
{
	struct rel *mine = NULL, *theirs = NULL;
	struct cnode_process *q = process_find(self->procs, to);
	if (q)
		lock_both(self, q);
	else
		cn_mutex_lock(&self->lock);
	if (!is_dead(self) && (mine = rel_find_pid(self, to)))
		rel_remove(self, mine);
	if (q && !is_dead(q) && (theirs = rel_find_pid(q, self->pid)))
		rel_remove(q, theirs);
	if (q)
		unlock_both(self, q);
	else
		cn_mutex_unlock(&self->lock);
	rel_free(mine);
	rel_free(theirs);
	if (q)
		process_unref(q);
}

static int unlink_remote(struct cnode_process *self, cnode_pid to)
{
	struct cn_signal sig = { .kind = CN_SIG_UNLINK, .from = self->pid, .to = to, .node = to.node };
	cn_mutex_lock(&self->lock);
	struct rel *r = is_dead(self) ? NULL : rel_find_pid(self, to);
	if (!r || !r->active) {
		cn_mutex_unlock(&self->lock);
		return 0;
	}
	r->active = CN_MUTANT(unlinked_but_heard);
	r->unlink_id = sig.unlink_id = ++self->unlink_id;
	sig.epoch = r->epoch;
	cn_mutex_unlock(&self->lock);
	int rc = out_send(self, &sig, 0);
	if (rc == 0)
		return 0;
	/* No ack will come: what is left of the link goes now. */
	cn_mutex_lock(&self->lock);
	r = is_dead(self) ? NULL : rel_find_pid(self, to);
	if (r && !r->active && r->unlink_id == sig.unlink_id)
		rel_remove(self, r);
	else
		r = NULL;
	cn_mutex_unlock(&self->lock);
	rel_free(r);
	return rc < 0 ? rc : 0;
}

int cnode_unlink(cnode_process *self, cnode_pid to)
{
	if (cnode_pid_is_none(to))
		return CNODE_EBADARG;
	int rc = out_enter(self);
	if (rc != 0)
		return rc;
	struct work w = work_of(self);
	if (is_local(self->procs, to))
		unlink_local(self, to);
	else
		rc = unlink_remote(self, to);
	work_leave(self, &w);
	return rc;
}

/* ---- exit signals ---- */

int cnode_exit(cnode_process *self, cnode_pid to, const char *format, ...)
{
	cnode_term reason;
	va_list args;
	va_start(args, format);
	int rc = cnode_pid_is_none(to) ? cn_format_refused(CNODE_EBADARG, format, args) : cnode_vformat(&reason, format, args);
	va_end(args);
	if (rc != 0)
		return rc;
	rc = out_enter(self);
	if (rc == 0) {
		struct work w = work_of(self);
		struct cn_target target = { .pid = to };
		if (is_local(self->procs, to)) {
			rc = deliver_exit2(self->procs, &target, self->pid, 0, reason, &w);
		} else {
			struct cn_signal sig = target_signal(CN_SIG_EXIT2, self->pid, &target, to.node);
			sig.term = reason;
			rc = out_send(self, &sig, 0);
		}
		work_leave(self, &w);
	}
	cnode_term_drop(reason);
	return rc;
}

int cnode_set_group_leader(cnode_process *self, cnode_pid leader, cnode_pid pid)
{
	if (cnode_pid_is_none(leader) || cnode_pid_is_none(pid))
		return CNODE_EBADARG;
	int rc = out_enter(self);
	if (rc != 0)
		return rc;
	struct work w = work_of(self);
	struct cn_target target = { .pid = pid };
	struct cn_signal sig = target_signal(CN_SIG_GROUP_LEADER, self->pid, &target, pid.node);
	sig.leader = leader;
	rc = is_local(self->procs, pid) ? cn_procs_deliver(self->procs, &sig) : out_send(self, &sig, 0);
	work_leave(self, &w);
	return rc;
}

int cnode_trap_exit(cnode_process *self, bool on)
{
	cn_mutex_lock(&self->lock);
	self->trap_exit = on;
	cn_mutex_unlock(&self->lock);
	return 0;
}

int cnode_stop(cnode_process *self, const char *format, ...)
{
	cnode_term reason;
	va_list args;
	va_start(args, format);
	int rc = cnode_vformat(&reason, format, args);
	va_end(args);
	if (rc != 0)
		return rc;
	rc = cn_process_stop(self, reason);
	cnode_term_drop(reason);
	return rc;
}
