/* SPDX-License-Identifier: Apache-2.0 */
/* How processes come to be: everything that is asked for with a spawn is there before anybody can see the process. */
#include "cnode/proc/inner.h"

/* Relations of a spawn with a parent, made before anything is locked. */
struct bonds {
	struct rel *link, *watched;             /* the child's */
	struct rel *parent_link, *parent_watch; /* a local parent's */
	struct cnode_process *parent;           /* counted; NULL: none or remote */
};

static void bonds_fini(struct bonds *b)
{
	rel_free(b->link);
	rel_free(b->watched);
	rel_free(b->parent_link);
	rel_free(b->parent_watch);
	if (b->parent)
		process_unref(b->parent);
}

static int bonds_init(struct bonds *b, struct cn_procs *procs, const struct cn_process_spec *spec)
{
	*b = (struct bonds){ 0 };
	if (!spec->link && !spec->monitor)
		return 0;
	bool local = is_local(procs, spec->parent);
	if (local && !(b->parent = process_find(procs, spec->parent)))
		return CNODE_EEXITED;
	if (spec->link) {
		b->link = rel_new(REL_LINK, NULL);
		b->parent_link = local ? rel_new(REL_LINK, NULL) : NULL;
		if (!b->link || (local && !b->parent_link))
			return CNODE_ENOMEM;
		b->link->about.pid = spec->parent;
		b->link->active = b->link->of_start = true;
	}
	if (spec->monitor) {
		b->watched = rel_new(REL_WATCHED, NULL);
		b->parent_watch = local ? rel_new(REL_WATCH, NULL) : NULL;
		if (!b->watched || (local && !b->parent_watch))
			return CNODE_ENOMEM;
		b->watched->about.pid = spec->parent;
		b->watched->about.ref = spec->monitor_ref;
		b->watched->of_start = true;
	}
	return 0;
}

/* Under the locks of p (that nobody else has seen) and of a local parent. */
static int publish(struct cnode_process *p, const struct cn_process_spec *spec, struct bonds *b)
{
	int rc;
	if (b->parent && is_dead(b->parent))
		return CNODE_EEXITED;
	pids_add(p->procs, p);
	/* Who closes and then lists the pids finds it, or it finds that it came too late. */
	rc = CNODE_ESHUTDOWN;
	if (atomic_load(&p->procs->closed))
		goto undo_pid;
	if (b->link) {
		rc = rel_add(p, b->link, spec->parent.node, spec->epoch);
		if (rc != 0)
			goto undo_pid;
		b->link = NULL;
	}
	if (b->watched) {
		rc = rel_add(p, b->watched, spec->parent.node, spec->epoch);
		if (rc != 0)
			goto undo_pid;
		b->watched = NULL;
	}
	if (spec->name) {
		rc = name_add(p, spec->name);
		if (rc != 0 && !CN_MUTANT(taken_name_ignored))
			goto undo_pid;
	}
	/* Between two processes of ours adding cannot fail. */
	if (b->parent_link) {
		b->parent_link->about.pid = p->pid;
		b->parent_link->active = true;
		(void)rel_add(b->parent, b->parent_link, 0, CN_EPOCH_ANY);
		b->parent_link = NULL;
	}
	if (b->parent_watch) {
		b->parent_watch->about.pid = p->pid;
		b->parent_watch->about.ref = spec->monitor_ref;
		b->parent_watch->watched = p->number;
		(void)rel_add(b->parent, b->parent_watch, 0, CN_EPOCH_ANY);
		b->parent_watch = NULL;
	}
	if (cnode_pid_is_none(p->leader))
		p->leader = p->pid;
	return 0;

undo_pid:
	/* Who has found the pid meanwhile waits for the lock, and will see it dead. */
	atomic_store(&p->dead, true);
	pids_remove(p);
	struct rel *r;
	uint32_t from = 0;
	while ((r = rels_pop(&p->links, &from))) {
		rel_unlist(p, r);
		rel_free(r);
	}
	for (from = 0; (r = rels_pop(&p->refs_of, &from));) {
		rel_unlist(p, r);
		rel_free(r);
	}
	return rc;
}

/* *made is counted for the caller. */
static int make(struct cn_procs *procs, const struct cn_process_spec *spec, bool own_thread, struct cnode_process **made)
{
	struct bonds bonds = { 0 };
	if (atomic_load_explicit(&procs->closed, memory_order_relaxed))
		return CNODE_ESHUTDOWN;
	if (spec->name && name_check(spec->name) != 0)
		return CNODE_EBADNAME;
	int rc = CNODE_ESYSLIMIT;
	if (!own_thread)
		atomic_fetch_add(&procs->spawned, 1);
	if (atomic_fetch_add(&procs->count, 1) >= procs->max_processes)
		goto undo_count;
	rc = CNODE_ENOMEM;
	struct cnode_process *p = cn_calloc(1, sizeof *p + spec->state_size);
	if (!p)
		goto undo_count;
	p->procs = procs;
	p->class = spec->class;
	p->state_size = spec->state_size;
	p->parent = spec->parent;
	p->leader = spec->leader;
	p->origin = spec->origin;
	p->started = spec->started;
	p->started_ctx = spec->started_ctx;
	p->start_pending = true;
	p->start_code = CNODE_EEXITED;
	p->arg = spec->arg;
	p->average_ns = UINT64_MAX;
	p->init_ns = spec->init_ns;
	p->max_messages = spec->max_messages;
	p->drops = spec->drops;
	p->opened = own_thread;
	atomic_init(&p->log_level, spec->log_level ? (int)*spec->log_level : -1);
	p->start_by = CN_NEVER;
	p->holds = spec->held;
	p->state = own_thread ? RUN_OWN : spec->held ? RUN_HELD : RUN_READY;
	p->ran_init = p->terminated = own_thread;
	atomic_init(&p->refs, 2);       /* the pid table's, and the remains' */
	cn_mutex_init(&p->lock);
	rels_init(&p->links);
	rels_init(&p->refs_of);
	if (spec->label && !(p->label = cn_strdup(spec->label)))
		goto undo_process;
	if (own_thread && p->class->init && (rc = p->class->init(p, p->memory, p->arg)) != 0)
		goto undo_process;
	rc = bonds_init(&bonds, procs, spec);
	if (rc != 0)
		goto undo_process;

	if (bonds.parent)
		lock_both(p, bonds.parent);
	else
		cn_mutex_lock(&p->lock);
	rc = publish(p, spec, &bonds);
	if (rc == 0) {
		/* Behind the lock somebody may kill it, and thereby make one that is held run, to its end. */
		process_ref(p);
		if (p->class->flags & (CN_PROC_PROMPT | CN_PROC_LAST))
			atomic_fetch_add(&procs->prompt_count, 1);
	}
	if (bonds.parent)
		cn_mutex_unlock(&bonds.parent->lock);
	cn_mutex_unlock(&p->lock);
	bonds_fini(&bonds);
	if (rc != 0) {
		/* One count is ours, the table's went with the pid. */
		process_unref(p);
		process_unref(p);
		goto undo_count;
	}
	*made = p;
	return 0;

undo_process:
	bonds_fini(&bonds);
	process_unref(p);
	process_unref(p);
undo_count:
	atomic_fetch_sub(&procs->count, 1);
	if (!own_thread)
		atomic_fetch_sub(&procs->spawned, 1);
	return rc;
}

int cn_process_spawn(struct cn_procs *procs, const struct cn_process_spec *spec, cnode_pid *pid)
{
	struct cnode_process *p;
	int rc = make(procs, spec, false, &p);
	if (rc != 0)
		return rc;
	struct work w = { .inside = false };
	*pid = p->pid;
	if (spec->at_once && out_enter(p) == 0) {
		out_leave(p, &w);
		work_run(&w);
	}
	if (CN_UNLIKELY(spec->start_ns)) {
		uint64_t now = cn_now();
		if (start_timer(p, spec->start_ns < CN_NEVER - now ? now + spec->start_ns : CN_NEVER - 1) != 0) {
			/* It was made already: it ends as if init had said so. */
			cn_mutex_lock(&p->lock);
			if (!is_dead(p))
				process_die(p, atom_enomem(), &w);
			cn_mutex_unlock(&p->lock);
			work_run(&w);
		}
	}
	if (!spec->held)
		run_ready(p, &w);
	process_unref(p);
	return 0;
}

int cn_process_open(struct cn_procs *procs, const struct cn_process_spec *spec, struct cnode_process **self)
{
	struct cnode_process *p;
	int rc = make(procs, spec, true, &p);
	if (rc != 0)
		return rc;
	*self = p;
	process_unref(p);       /* its remains are the caller's to clear away */
	/* Says the start. If a link has killed it already, its end said that it was refused. */
	if (out_enter(p) == 0) {
		struct work w = { .inside = false };
		out_leave(p, &w);
		work_run(&w);
	}
	return 0;
}

void cn_process_exit(struct cnode_process *self, cnode_term reason)
{
	if (!self)
		return;
	struct work w = { .inside = false };
	cn_mutex_lock(&self->lock);
	if (!is_dead(self))
		process_die(self, reason, &w);
	cn_mutex_unlock(&self->lock);
	work_run(&w);
	process_remains(self);
}
