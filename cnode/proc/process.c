/* SPDX-License-Identifier: Apache-2.0 */
/* What a process does itself: cnode/process.h, and the same by term for the rooms above. */
#include "cnode/proc/inner.h"

#include <stdio.h>

static inline struct work work_of(const struct cnode_process *self)
{
	/* A short callback has just asked for the time. */
	struct work w = { .inside = self->slicing, .now = self->slicing && self->message_ns < 20000 ? self->slice_at : 0 };
	return w;
}

static inline void leave(struct cnode_process *self, struct work *w)
{
	out_leave(self, w);
	work_run(w);
}

/* Entered: to another node, obeying back-pressure. 0, CN_UNACKED or a code. */
static int send_remote(struct cnode_process *self, const struct cn_signal *sig, unsigned flags)
{
	unsigned how = self->class->flags & CN_PROC_PROMPT ? 0 : flags & CNODE_NOSUSPEND ? CN_SEND_NOSUSPEND : CN_SEND_SUSPEND;
	if (flags & CNODE_NOCONNECT)
		how |= CN_SEND_NOCONNECT;
	int rc = self->procs->ops->send(self->procs->ctx, sig, how);
	if (rc != CN_SUSPEND)
		return rc;
	cn_mutex_lock(&self->lock);
	self->holds++;
	self->held = true;
	cn_mutex_unlock(&self->lock);
	return 0;
}

/* Past the level of the log: the process has one of its own. */
static void log_always(struct cn_log *log, enum cnode_log_level level, const char *fmt, ...) CN_PRINTF(3, 4);
static void log_always(struct cn_log *log, enum cnode_log_level level, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	cn_log_put(log, level, fmt, args);
	va_end(args);
}

/* ---- who it is ---- */

cnode_pid cnode_self(const cnode_process *self)
{
	return self->pid;
}

cnode_node *cnode_process_node(const cnode_process *self)
{
	return self->procs->handle;
}

cnode_pid cnode_parent(const cnode_process *self)
{
	return self->parent;
}

cnode_pid cnode_group_leader(const cnode_process *self)
{
	struct cnode_process *p = (struct cnode_process *)(uintptr_t)self;      /* only its lock is written to */
	cn_mutex_lock(&p->lock);
	cnode_pid leader = p->leader;
	cn_mutex_unlock(&p->lock);
	return leader;
}

bool cnode_cancelled(const cnode_process *self)
{
	return atomic_load_explicit(&self->dead, memory_order_relaxed);
}

struct cn_procs *cn_process_procs(const struct cnode_process *self)
{
	return self->procs;
}

const struct cn_process_class *cn_process_class_of(const struct cnode_process *self)
{
	return self->class;
}

void *cn_process_state(struct cnode_process *self)
{
	return self->memory;
}

const char *cn_process_label(const struct cnode_process *self)
{
	return self->label ? self->label : self->class->name;
}

bool cn_process_logs(const struct cnode_process *self, enum cnode_log_level level)
{
	int own = atomic_load_explicit(&self->log_level, memory_order_relaxed);
	return own < 0 ? cn_log_on(self->procs->log, level) : (int)level <= own;
}

void cnode_log(cnode_process *self, enum cnode_log_level level, const char *format, ...)
{
	char text[1024];
	if (level == CNODE_LOG_NONE || !cn_process_logs(self, level))
		return;
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	log_always(self->procs->log, level, "<%u.%u> (%s) %s", self->pid.id, self->pid.serial, cn_process_label(self), text);
}

void cnode_set_log_level(cnode_process *self, enum cnode_log_level level)
{
	atomic_store_explicit(&self->log_level, (int)level, memory_order_relaxed);
}

int cnode_log_level(const cnode_process *self, enum cnode_log_level *level)
{
	int own = atomic_load_explicit(&self->log_level, memory_order_relaxed);
	if (own < 0)
		return CNODE_ENOENT;
	*level = (enum cnode_log_level)own;
	return 0;
}

void cn_process_set_origin(struct cnode_process *self, void *origin)
{
	cn_mutex_lock(&self->lock);
	self->origin = origin;
	cn_mutex_unlock(&self->lock);
}

void *cn_process_origin(const struct cnode_process *self)
{
	return self->origin;
}

uint64_t cn_process_now(const struct cnode_process *self)
{
	return self->slice_at;
}

bool cn_process_traps_exit(const struct cnode_process *self)
{
	return self->trap_exit;         /* written by its own thread only */
}

bool cn_process_is_stopping(const struct cnode_process *self)
{
	return self->stopping;
}

bool cn_process_is_suspended(const struct cnode_process *self)
{
	struct cnode_process *p = (struct cnode_process *)(uintptr_t)self;
	cn_mutex_lock(&p->lock);
	bool held = p->holds > 0;
	cn_mutex_unlock(&p->lock);
	return held;
}

int cn_process_stop(struct cnode_process *self, cnode_term reason)
{
	if (!self->stopping) {
		self->stopping = true;
		self->stop_reason = reason_keep(reason);
	}
	return CNODE_EEXITED;
}

/* ---- messages ---- */

int cn_target_name(struct cn_target *target, const char *name, const char *node)
{
	*target = (struct cn_target){ .name = name };
	if (!name || !*name || !cn_atom_valid(name, strlen(name)))
		return CNODE_EBADNAME;
	return node ? cnode_name_of(node, &target->node) : 0;
}

static cnode_name node_of(const struct cn_procs *procs, const struct cn_target *to)
{
	if (!cnode_pid_is_none(to->pid))
		return to->pid.node;
	if (to->name)
		return to->node ? to->node : procs->node;
	return to->alias ? to->alias->node : 0;
}

static struct cn_signal signal_to(enum cn_signal_kind kind, cnode_pid from, const struct cn_target *to, cnode_name node)
{
	struct cn_signal sig = { .kind = kind, .from = from, .to = to->pid, .node = node };
	if (cnode_pid_is_none(to->pid)) {
		sig.to_name = to->name;
		sig.alias = to->name ? NULL : to->alias;
	}
	return sig;
}

int cn_process_send(struct cnode_process *self, const struct cn_target *to, cnode_term message, unsigned flags)
{
	struct cn_procs *procs = self->procs;
	cnode_name node = node_of(procs, to);
	if (!node)
		return CNODE_EBADARG;
	int rc = out_enter(self);
	if (rc != 0)
		return rc;
	struct work w = work_of(self);
	if (node == procs->node) {
		rc = deliver_message(procs, to, message, 0, &w);
	} else {
		struct cn_signal sig = signal_to(CN_SIG_MESSAGE, self->pid, to, node);
		sig.term = message;
		rc = send_remote(self, &sig, flags);
	}
	leave(self, &w);
	return rc;
}

int cn_procs_send(struct cn_procs *procs, const struct cn_target *to, cnode_term message, unsigned flags)
{
	cnode_name node = node_of(procs, to);
	if (!node)
		return CNODE_EBADARG;
	if (node != procs->node) {
		struct cn_signal sig = signal_to(CN_SIG_MESSAGE, cn_procs_root(procs), to, node);
		sig.term = message;
		unsigned how = flags & CNODE_NOSUSPEND ? CN_SEND_NOSUSPEND : 0;
		return procs->ops->send(procs->ctx, &sig, flags & CNODE_NOCONNECT ? how | CN_SEND_NOCONNECT : how);
	}
	struct work w = { .inside = false };
	int rc = deliver_message(procs, to, message, 0, &w);
	work_run(&w);
	return rc;
}

int cnode_send_term(cnode_process *self, cnode_pid to, cnode_term message, unsigned flags)
{
	struct cn_target target = { .pid = to };
	return cn_process_send(self, &target, message, flags);
}

int cnode_send_name_term(cnode_process *self, const char *name, const char *node, cnode_term message, unsigned flags)
{
	struct cn_target target;
	int rc = cn_target_name(&target, name, node);
	return rc != 0 ? rc : cn_process_send(self, &target, message, flags);
}

int cnode_send_alias_term(cnode_process *self, cnode_ref alias, cnode_term message, unsigned flags)
{
	struct cn_target target = { .alias = &alias };
	return cn_process_send(self, &target, message, flags);
}

static int send_format(cnode_process *self, const struct cn_target *to, const char *format, va_list args)
{
	cnode_term message;
	int rc = cnode_vformat(&message, format, args);
	if (rc != 0)
		return rc;
	rc = cn_process_send(self, to, message, 0);
	cnode_term_drop(message);
	return rc;
}

int cnode_send(cnode_process *self, cnode_pid to, const char *format, ...)
{
	struct cn_target target = { .pid = to };
	va_list args;
	va_start(args, format);
	int rc = send_format(self, &target, format, args);
	va_end(args);
	return rc;
}

int cnode_send_name(cnode_process *self, const char *name, const char *node, const char *format, ...)
{
	struct cn_target target;
	va_list args;
	va_start(args, format);
	int rc = cn_target_name(&target, name, node);
	rc = rc != 0 ? cn_format_refused(rc, format, args) : send_format(self, &target, format, args);
	va_end(args);
	return rc;
}

int cnode_send_alias(cnode_process *self, cnode_ref alias, const char *format, ...)
{
	struct cn_target target = { .alias = &alias };
	va_list args;
	va_start(args, format);
	int rc = send_format(self, &target, format, args);
	va_end(args);
	return rc;
}

/* ---- names ---- */

int cnode_register(cnode_process *self, const char *name)
{
	cn_mutex_lock(&self->lock);
	int rc = is_dead(self) ? CNODE_EEXITED : name_add(self, name);
	cn_mutex_unlock(&self->lock);
	return rc;
}

int cnode_unregister(cnode_process *self, const char *name)
{
	int rc = CNODE_ENOENT;
	cn_mutex_lock(&self->lock);
	if (self->name && name && strcmp(self->name->text, name) == 0) {
		name_remove(self);
		rc = 0;
	}
	cn_mutex_unlock(&self->lock);
	return rc;
}

/* ---- links ---- */

/* Two processes at once, in the order of their addresses. */
static void lock_both(struct cnode_process *a, struct cnode_process *b)
{
	cn_mutex_lock((uintptr_t)a < (uintptr_t)b ? &a->lock : &b->lock);
	cn_mutex_lock((uintptr_t)a < (uintptr_t)b ? &b->lock : &a->lock);
}

static void unlock_both(struct cnode_process *a, struct cnode_process *b)
{
	cn_mutex_unlock(&a->lock);
	cn_mutex_unlock(&b->lock);
}

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
		rc = send_remote(self, &sig, 0);
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
	leave(self, &w);
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
	int rc = send_remote(self, &sig, 0);
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
	leave(self, &w);
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
			struct cn_signal sig = signal_to(CN_SIG_EXIT2, self->pid, &target, to.node);
			sig.term = reason;
			rc = send_remote(self, &sig, 0);
		}
		leave(self, &w);
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
	struct cn_signal sig = signal_to(CN_SIG_GROUP_LEADER, self->pid, &target, pid.node);
	sig.leader = leader;
	rc = is_local(self->procs, pid) ? cn_procs_deliver(self->procs, &sig) : send_remote(self, &sig, 0);
	leave(self, &w);
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
	struct cn_signal sig = signal_to(CN_SIG_MONITOR, self->pid, to, node);
	sig.ref = *ref;
	sig.epoch = epoch;
	int rc = send_remote(self, &sig, 0);
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
	cnode_name node = node_of(procs, to);
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
	leave(self, &w);
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
	return m->kind == CN_MSG_DOWN && cnode_ref_equal(&m->about->ref, ctx);
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
		struct cn_target to = { .pid = pid_of_number(self->procs, r->watched) };
		drop_watched(self->procs, &to, self->pid, &ref);
	} else if (r && rel_node(r) != self->procs->node) {
		struct cn_target to = { .pid = r->about.pid, .name = r->about.name };
		struct cn_signal sig = signal_to(CN_SIG_DEMONITOR, self->pid, &to, rel_node(r));
		sig.ref = ref;
		sig.epoch = r->epoch;
		rc = send_remote(self, &sig, 0);
	}
	leave(self, &w);
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

/* ---- time ---- */

int cnode_start_timer(cnode_process *self, uint64_t ms, cnode_ref *ref, const char *format, ...)
{
	cnode_term message;
	va_list args;
	va_start(args, format);
	int rc = cnode_vformat(&message, format, args);
	va_end(args);
	if (rc != 0)
		return rc;
	rc = cn_process_timer(self, ms, ref, message);
	cnode_term_drop(message);
	return rc;
}
