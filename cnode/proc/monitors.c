/* SPDX-License-Identifier: Apache-2.0 */
/* What a process does itself: monitors of processes and nodes, aliases, references. */
#include "cnode/proc/inner.h"

/* ---- monitors ---- */

/* The watched end, in a local process. False: it is not there. */
static bool watch_local(struct cnode_process *self, struct cnode_process *q, struct rel **watched)
{
	if (!q)
		return false;
	if (q == self)
		return true;
	cn_mutex_lock(&q->lock);
	bool alive = !is_dead(q);
	if (alive) {
		(void)rel_add(q, *watched, 0, CN_EPOCH_ANY);
		*watched = NULL;
	}
	cn_mutex_unlock(&q->lock);
	return alive;
}

static int watch_remote(struct cnode_process *self, const struct cn_target *to, cnode_name node, const cnode_ref *ref, uint64_t epoch)
{
	struct cn_signal sig = target_signal(CN_SIG_MONITOR, self->pid, to, node);
	sig.ref = *ref;
	sig.epoch = epoch;
	int rc = out_send(self, &sig, 0);
	if (rc >= 0)
		return 0;
	cn_mutex_lock(&self->lock);
	struct rel *r = is_dead(self) ? NULL : rel_find_ref(self, REL_WATCH, ref);
	if (r)
		rel_remove(self, r);
	cn_mutex_unlock(&self->lock);
	rel_free(r);
	return rc;
}

int cn_process_monitor(struct cnode_process *self, const struct cn_target *to, unsigned mode, cnode_ref *ref)
{
	bool call = mode & CN_MONITOR_CALL;
	mode &= ~CN_MONITOR_CALL;
	struct cn_procs *procs = self->procs;
	cnode_name node = target_node(procs, to);
	if (!node || (cnode_pid_is_none(to->pid) && !to->name))
		return CNODE_EBADARG;
	bool local = node == procs->node;
	const char *name = cnode_pid_is_none(to->pid) ? to->name : NULL;
	struct rel *watch = rel_new(REL_WATCH, name);
	struct rel *watched = local ? rel_new(REL_WATCHED, name) : NULL;
	struct rel *alias = mode == CN_ALIAS_EXPLICIT ? rel_new(REL_ALIAS, NULL) : NULL;
	struct cnode_process *q = NULL;
	int rc = CNODE_ENOMEM;
	if (!watch || (local && !watched) || (mode == CN_ALIAS_EXPLICIT && !alias))
		goto free;
	*ref = call ? ref_make_call(procs, self->number) : ref_make(procs, self->number);
	watch->about.pid = to->pid;
	watch->about.ref = *ref;
	watch->about.node = name ? node : 0;
	watch->mode = mode == CN_ALIAS_EXPLICIT ? CN_ALIAS_NONE : (uint8_t)mode;
	if (alias)
		alias->about.ref = *ref;
	if (local) {
		watched->about.pid = self->pid;
		watched->about.ref = *ref;
		q = name ? process_find_name(procs, name) : process_find(procs, to->pid);
		if (q && q != self)
			watch->watched = q->number;
	}
	rc = out_enter(self);
	if (rc != 0)
		goto free;
	struct work w = work_of(self);
	uint64_t epoch = CN_EPOCH_ANY;
	cn_mutex_lock(&self->lock);
	rc = is_dead(self) ? CNODE_EEXITED : rel_add(self, watch, local ? 0 : node, CN_EPOCH_ANY);
	if (rc == 0) {
		epoch = watch->epoch;
		watch = NULL;
		if (alias)
			(void)rel_add(self, alias, 0, CN_EPOCH_ANY);
		alias = NULL;
	}
	cn_mutex_unlock(&self->lock);
	if (rc == 0 && !local)
		rc = watch_remote(self, to, node, ref, epoch);
	else if (rc == 0 && !watch_local(self, q, &watched))
		deliver_down(procs, self->pid, ref, atom_noproc(), &w);
	work_leave(self, &w);
free:
	rel_free(watch);
	rel_free(watched);
	rel_free(alias);
	if (q)
		process_unref(q);
	return rc;
}

int cnode_monitor(cnode_process *self, cnode_pid to, cnode_ref *ref)
{
	struct cn_target target = { .pid = to };
	return cn_process_monitor(self, &target, CN_ALIAS_NONE, ref);
}

int cnode_monitor_name(cnode_process *self, const char *name, const char *node, cnode_ref *ref)
{
	struct cn_target target;
	int rc = cn_target_name(&target, name, node);
	return rc != 0 ? rc : cn_process_monitor(self, &target, CN_ALIAS_NONE, ref);
}

static unsigned alias_mode(unsigned flags)
{
	return flags & CNODE_ALIAS_REPLY ? CN_ALIAS_REPLY : flags & CNODE_ALIAS_DEMONITOR ? CN_ALIAS_DEMONITOR : CN_ALIAS_EXPLICIT;
}

int cnode_monitor_alias(cnode_process *self, cnode_pid to, unsigned flags, cnode_ref *ref)
{
	struct cn_target target = { .pid = to };
	return cn_process_monitor(self, &target, alias_mode(flags), ref);
}

int cnode_monitor_name_alias(cnode_process *self, const char *name, const char *node, unsigned flags, cnode_ref *ref)
{
	struct cn_target target;
	int rc = cn_target_name(&target, name, node);
	return rc != 0 ? rc : cn_process_monitor(self, &target, alias_mode(flags), ref);
}

static bool is_down_of(void *ctx, const struct cn_message *m)
{
	return m->kind == CN_MSG_DOWN && cnode_ref_equal(m->about->ref, *(const cnode_ref *)ctx);
}

int cnode_demonitor(cnode_process *self, cnode_ref ref, unsigned flags)
{
	int rc = out_enter(self);
	if (rc != 0)
		return rc;
	struct work w = work_of(self);
	cn_mutex_lock(&self->lock);
	struct rel *r = is_dead(self) ? NULL : rel_find_ref(self, REL_WATCH, &ref);
	if (r)
		rel_remove(self, r);
	cn_mutex_unlock(&self->lock);
	if (r && r->watched) {
		drop_watched(self->procs, pid_of_number(self->procs, r->watched), self->pid, &ref);
	} else if (r && rel_node(r) != self->procs->node) {
		struct cn_target to = { .pid = r->about.pid, .name = r->about.name };
		struct cn_signal sig = target_signal(CN_SIG_DEMONITOR, self->pid, &to, rel_node(r));
		sig.ref = ref;
		sig.epoch = r->epoch;
		rc = out_send(self, &sig, 0);
	}
	work_leave(self, &w);
	rel_free(r);
	if (flags & CNODE_FLUSH)
		cn_message_free(self, cn_process_receive(self, is_down_of, &ref));
	return rc < 0 ? rc : 0;
}

static struct rel *find_node_monitor(struct cnode_process *p, cnode_name node)
{
	struct rel *r = p->links.buckets[node & p->links.mask];
	while (r && (r->type != REL_NODE || r->about.node != node))
		r = r->chain;
	return r;
}

int cnode_monitor_node(cnode_process *self, const char *node, bool on)
{
	cnode_name name;
	int rc = cnode_name_of(node, &name);
	if (rc != 0 || name == self->procs->node)
		return rc;
	struct rel *r = NULL;
	if (!on) {
		cn_mutex_lock(&self->lock);
		r = is_dead(self) ? NULL : find_node_monitor(self, name);
		if (r)
			rel_remove(self, r);
		cn_mutex_unlock(&self->lock);
		rel_free(r);
		return 0;
	}
	r = rel_new(REL_NODE, NULL);
	if (!r)
		return CNODE_ENOMEM;
	r->about.node = name;
	cn_mutex_lock(&self->lock);
	rc = is_dead(self) ? CNODE_EEXITED : rel_add(self, r, name, CN_EPOCH_ANY);
	cn_mutex_unlock(&self->lock);
	if (rc != 0) {
		rel_free(r);
		return rc;
	}
	rc = self->procs->ops->connect(self->procs->ctx, name);
	if (rc < 0)
		cnode_monitor_node(self, node, false);
	return rc < 0 ? rc : 0;
}

/* ---- aliases and references ---- */

int cnode_alias(cnode_process *self, unsigned flags, cnode_ref *ref)
{
	struct rel *r = rel_new(REL_ALIAS, NULL);
	if (!r)
		return CNODE_ENOMEM;
	*ref = r->about.ref = ref_make(self->procs, self->number);
	r->mode = (flags & CNODE_ALIAS_REPLY) != 0;
	cn_mutex_lock(&self->lock);
	int rc = is_dead(self) ? CNODE_EEXITED : rel_add(self, r, 0, CN_EPOCH_ANY);
	cn_mutex_unlock(&self->lock);
	if (rc != 0)
		rel_free(r);
	return rc;
}

int cnode_unalias(cnode_process *self, cnode_ref ref)
{
	int rc = 0;
	cn_mutex_lock(&self->lock);
	struct rel *r = is_dead(self) ? NULL : rel_find_ref(self, REL_ALIAS, &ref), *watch;
	if (CN_MUTANT(unalias_keeps_alias))
		r = NULL;
	if (r)
		rel_remove(self, r);
	else if (!is_dead(self) && (watch = rel_find_ref(self, REL_WATCH, &ref)) && watch->mode >= CN_ALIAS_DEMONITOR)
		watch->mode = CN_ALIAS_NONE;
	else
		rc = CNODE_ENOENT;
	cn_mutex_unlock(&self->lock);
	rel_free(r);
	return rc;
}

int cnode_make_ref(cnode_process *self, cnode_ref *ref)
{
	*ref = ref_make(self->procs, self->number);
	return 0;
}
