/* SPDX-License-Identifier: Apache-2.0 */
/* What a process does itself (cnode/process.h, and the same by term for the rooms above): who it is, messages, its name, time. */
#include "cnode/proc/inner.h"

#include <stdio.h>

void work_leave(struct cnode_process *self, struct work *w)
{
	out_leave(self, w);
	work_run(w);
	if (CN_UNLIKELY(self->held))
		process_pause(self);
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

cnode_name target_node(const struct cn_procs *procs, const struct cn_target *to)
{
	if (!cnode_pid_is_none(to->pid))
		return to->pid.node;
	if (to->name)
		return to->node ? to->node : procs->node;
	return to->alias ? to->alias->node : 0;
}

struct cn_signal target_signal(enum cn_signal_kind kind, cnode_pid from, const struct cn_target *to, cnode_name node)
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
	cnode_name node = target_node(procs, to);
	if (!node)
		return CNODE_EBADARG;
	int rc = out_enter(self);
	if (rc != 0)
		return rc;
	struct work w = work_of(self);
	if (node == procs->node) {
		rc = deliver_message(procs, to, message, 0, &w);
	} else {
		struct cn_signal sig = target_signal(CN_SIG_MESSAGE, self->pid, to, node);
		sig.term = message;
		rc = out_send(self, &sig, flags);
	}
	work_leave(self, &w);
	return rc;
}

int cn_procs_send(struct cn_procs *procs, const struct cn_target *to, cnode_term message, unsigned flags)
{
	cnode_name node = target_node(procs, to);
	if (!node)
		return CNODE_EBADARG;
	if (node != procs->node) {
		struct cn_signal sig = target_signal(CN_SIG_MESSAGE, cn_procs_root(procs), to, node);
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
