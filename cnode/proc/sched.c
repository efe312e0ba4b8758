/* SPDX-License-Identifier: Apache-2.0 */
/* Run queues, slices, and how a process begins and ends in them. */
#include "cnode/proc/inner.h"

#include <stdio.h>

/* ---- queues ---- */

static struct runq *queue_of(struct cnode_process *p)
{
	return p->class->flags & CN_PROC_PROMPT ? &p->procs->prompt : &p->procs->normal;
}

void run_ready(struct cnode_process *p, const struct work *w)
{
	struct cn_procs *procs = p->procs;
	struct runq *q = queue_of(p);
	p->run_next = NULL;
	cn_mutex_lock(&q->lock);
	bool first = !q->first;
	/* Asking for the time costs as much as queueing: behind others the last known one does. */
	p->ready_at = w->now ? w->now : first ? cn_now() : q->last->ready_at;
	*(q->last ? &q->last->run_next : &q->first) = p;
	q->last = p;
	q->count++;
	cn_mutex_unlock(&q->lock);
	if (first)
		procs->ops->runnable(procs->ctx, q == &procs->prompt, w->inside ? CN_CALL_SOON : CN_CALL_NOW);
}

static uint64_t forecast(const struct cnode_process *p)
{
	uint64_t average = atomic_load_explicit(&p->average_ns, memory_order_relaxed);
	return average != UINT64_MAX ? average : atomic_load_explicit(&p->procs->first_ns, memory_order_relaxed);
}

/* *left: others are. *brief: it and the next one are forecast to be short. */
static struct cnode_process *runq_pop(struct runq *q, bool *left, bool *brief)
{
	cn_mutex_lock(&q->lock);
	struct cnode_process *p = q->first;
	if (p) {
		q->first = p->run_next;
		if (!q->first)
			q->last = NULL;
		q->count--;
	}
	*left = q->first != NULL;
	*brief = *left && forecast(p) < CN_SCHED_SHORT_NS && forecast(q->first) < CN_SCHED_SHORT_NS;
	cn_mutex_unlock(&q->lock);
	return p;
}

static struct cnode_process *dying_pop(struct cn_procs *procs)
{
	struct runq *q = &procs->dying;
	cn_mutex_lock(&q->lock);
	struct cnode_process *p = q->first;
	if (p) {
		q->first = p->dead_next;
		if (!q->first)
			q->last = NULL;
		q->count--;
	}
	cn_mutex_unlock(&q->lock);
	return p;
}

void cn_sched_waiting(struct cn_procs *procs, struct cn_sched_waiting *waiting)
{
	cn_mutex_lock(&procs->dying.lock);
	waiting->prompt = procs->dying.count;
	cn_mutex_unlock(&procs->dying.lock);
	cn_mutex_lock(&procs->prompt.lock);
	waiting->prompt += procs->prompt.count;
	cn_mutex_unlock(&procs->prompt.lock);
	cn_mutex_lock(&procs->normal.lock);
	struct cnode_process *p = procs->normal.first;
	waiting->normal = procs->normal.count;
	waiting->since = p ? p->ready_at : CN_NEVER;
	waiting->forecast_ns = p ? forecast(p) : UINT64_MAX;
	cn_mutex_unlock(&procs->normal.lock);
}

/* ---- the end of a process, on its own thread ---- */

static bool is_abnormal(cnode_term reason)
{
	if (cn_term_is_atom(reason, "normal") || cn_term_is_atom(reason, "shutdown"))
		return false;
	cnode_term why;
	return cnode_scan(reason, "{shutdown,~t}", &why) != 0;
}

static void put_pid(struct cn_buf *b, const struct cn_procs *procs, cnode_pid pid)
{
	char node[CNODE_NAME_SIZE];
	if (pid.node == procs->node || cnode_name_text(pid.node, node) != 0)
		cn_put_text(b, "<%u.%u>", pid.id, pid.serial);
	else
		cn_put_text(b, "<%s.%u.%u>", node, pid.id, pid.serial);
}

#define LINKS_SHOWN 10

/* Under the lock. */
static void put_links(struct cn_buf *b, struct cnode_process *p)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i <= p->links.mask; i++)
		for (struct rel *r = p->links.buckets[i]; r; r = r->chain)
			if (r->type == REL_LINK && r->active && n++ < LINKS_SHOWN) {
				cn_put_text(b, n > 1 ? "," : "");
				put_pid(b, p->procs, r->about.pid);
			}
	if (n > LINKS_SHOWN)
		cn_put_text(b, ",...");
}

/* What proc_lib's crash report says of a process, on one line. */
static void log_crash(struct cnode_process *p, cnode_term reason)
{
	uint32_t held;
	if ((p->class->flags & CN_PROC_QUIET) || !cn_process_logs(p, CNODE_LOG_ERROR) || !is_abnormal(reason) ||
	    !cn_log_pass(&p->procs->crash_gate, 20, &held))
		return;
	struct cn_buf b;
	char text[1024];
	const char *label = cn_process_label(p);
	cn_term_brief(reason, text, sizeof text);
	cn_buf_init(&b, 0);
	cn_mutex_lock(&p->lock);
	mailbox_fold(p);
	cn_put_text(&b, "process <%u.%u>%s%.100s (%s) terminated: %s; initial call: %s:init/1, registered_name: %s, ancestors: [",
		    p->pid.id, p->pid.serial, p->name ? " " : "", p->name ? p->name->text : "", label, text, label,
		    p->name ? p->name->text : "[]");
	if (!cnode_pid_is_none(p->parent))
		put_pid(&b, p->procs, p->parent);
	cn_put_text(&b, "], message_queue_len: %u, links: [", p->messages);
	put_links(&b, p);
	cn_put_text(&b, "], trap_exit: %s, messages handled: %llu, run time: %llu us%s", p->trap_exit ? "true" : "false",
		    (unsigned long long)atomic_load_explicit(&p->handled, memory_order_relaxed),
		    (unsigned long long)atomic_load_explicit(&p->run_ns, memory_order_relaxed) / 1000,
		    held ? " (others were not logged)" : "");
	cn_mutex_unlock(&p->lock);
	if (b.err == 0)
		cn_log_line(p->procs->log, CNODE_LOG_ERROR, "%.*s", (int)b.size, (const char *)b.data);
	else
		cn_log_line(p->procs->log, CNODE_LOG_ERROR, "process <%u.%u> (%s) terminated: %s", p->pid.id, p->pid.serial, label, text);
	cn_buf_fini(&b);
}

/* Calls terminate if it is due. */
static void terminate(struct cnode_process *p, cnode_term reason)
{
	if (p->terminated)
		return;
	p->terminated = true;
	if (p->class->terminate)
		p->class->terminate(p, p->memory, reason);
}

void process_remains(struct cnode_process *p)
{
	struct cn_procs *procs = p->procs;
	cn_mutex_lock(&p->lock);
	bool killed = p->killed;
	mailbox_fold(p);
	cn_mutex_unlock(&p->lock);
	if (!killed && p->ran_init)
		terminate(p, p->reason);
	if (p->class->fini)
		p->class->fini(p, p->memory, p->ran_init ? NULL : p->arg);
	for (struct cn_message *m = p->mailbox.first, *next; m; m = next) {
		next = m->next;
		message_drop(m);
	}
	p->mailbox.first = p->mailbox.last = NULL;
	if (p->thread && p->state != RUN_OWN)
		procs->ops->thread_give(p->thread);
	if (p->class->flags & (CN_PROC_PROMPT | CN_PROC_LAST))
		atomic_fetch_sub(&procs->prompt_count, 1);
	atomic_fetch_sub(&procs->count, 1);
	if (!p->opened)
		atomic_fetch_sub(&procs->spawned, 1);
	if (procs->ops->gone)
		procs->ops->gone(procs->ctx, p->pid, p->origin);
	process_unref(p);
}

/* It ends by itself, with the reason it was stopped with. */
static void exit_self(struct cnode_process *p)
{
	struct work w = { .inside = p->slicing };
	terminate(p, p->stop_reason);
	cn_mutex_lock(&p->lock);
	if (!is_dead(p))
		process_die(p, p->stop_reason, &w);
	cn_mutex_unlock(&p->lock);
	work_run(&w);
	process_remains(p);
}

/* A code that a callback returned: the reason, unless cn_process_stop gave one. */
static void stop_by_code(struct cnode_process *p, int code)
{
	if (p->stopping)
		return;
	p->stopping = true;
	if (atom_of_code(code, &p->stop_reason) != 0)
		p->stop_reason = reason_keep((cnode_term){ 0 });
}

/* The first run. False: it has ended. */
static bool begin(struct cnode_process *p)
{
	int rc = 0;
	if (p->class->run)
		rc = p->procs->ops->thread_take ? p->procs->ops->thread_take(p->procs->ctx, p, &p->thread) : CNODE_ENOTSUP;
	if (rc == 0 && CN_UNLIKELY(p->init_ns)) {
		uint64_t now = cn_now(), by = p->init_ns < CN_NEVER - now ? now + p->init_ns : CN_NEVER - 1;
		if (by < p->start_by) {
			start_timer_stop(p);
			rc = start_timer(p, by);
		}
	}
	if (rc == 0) {
		p->ran_init = true;
		rc = p->class->init ? p->class->init(p, p->memory, p->arg) : 0;
	}
	start_timer_stop(p);
	if (rc < 0) {
		stop_by_code(p, rc);
		cn_mutex_lock(&p->lock);
		p->start_code = rc;
		bool said = !p->start_pending && !is_dead(p);
		cn_mutex_unlock(&p->lock);
		/* If a signal has left already, the start is said and this is an ordinary end. */
		if (said)
			log_crash(p, p->stop_reason);
		p->terminated = true;
		exit_self(p);
		return false;
	}
	if (out_enter(p) != 0) {
		process_remains(p);
		return false;
	}
	struct work w = { .inside = true };
	out_leave(p, &w);
	work_run(&w);
	return true;
}

/* ---- slices ---- */

#define PROMPT_NS (10 * CN_NS_PER_MS)
#define LONG_MESSAGE_NS 20000   /* callbacks of this length have the clock looked at after each */

static struct cn_message *next_message(struct cnode_process *p)
{
	struct cn_message *m = p->mailbox.first;
	if (m) {
		p->mailbox.first = m->next;
		if (!m->next)
			p->mailbox.last = NULL;
		m->next = NULL;
	}
	return m;
}

static void account(struct cnode_process *p, uint64_t began, uint32_t messages)
{
	uint64_t took = cn_now() - began;
	uint64_t average = atomic_load_explicit(&p->average_ns, memory_order_relaxed);
	if (average == UINT64_MAX) {
		/* Two that end at once may lose one: it is an estimate. */
		uint64_t first = atomic_load_explicit(&p->procs->first_ns, memory_order_relaxed);
		first = first == UINT64_MAX ? took : first - first / 8 + took / 8;
		atomic_store_explicit(&p->procs->first_ns, first, memory_order_relaxed);
		average = took;
	} else {
		average = average - average / 8 + took / 8;
	}
	atomic_store_explicit(&p->average_ns, average, memory_order_relaxed);
	atomic_store_explicit(&p->run_ns, atomic_load_explicit(&p->run_ns, memory_order_relaxed) + took, memory_order_relaxed);
	atomic_store_explicit(&p->handled, atomic_load_explicit(&p->handled, memory_order_relaxed) + messages, memory_order_relaxed);
	p->message_ns = p->message_ns - p->message_ns / 4 + took / (messages ? messages : 1) / 4;
	uint32_t held;
	if ((p->class->flags & CN_PROC_PROMPT) && took > PROMPT_NS && cn_log_pass(&p->procs->slow_gate, 5, &held))
		cn_log_line(p->procs->log, CNODE_LOG_WARNING, "prompt process <%u.%u> (%s) ran for %llu ms",
			    p->pid.id, p->pid.serial, cn_process_label(p), (unsigned long long)(took / CN_NS_PER_MS));
}

/* The mailbox is empty or the slice is over. True: messages have come, and the slice may go on. */
static bool pause(struct cnode_process *p, uint64_t began, uint32_t done, bool over)
{
	struct work w = { .inside = true };
	bool ready = false;
	cn_mutex_lock(&p->lock);
	mailbox_fold(p);
	if (is_dead(p)) {
		cn_mutex_unlock(&p->lock);
		account(p, began, done);
		process_remains(p);
		return false;
	}
	if (!over && p->mailbox.first) {
		cn_mutex_unlock(&p->lock);
		return true;
	}
	/* Once the lock is given back another thread may be running it: nothing is touched behind that. */
	account(p, began, done);
	p->slicing = false;
	if (p->held && p->holds > 0) {
		p->state = RUN_HELD;
	} else if (p->mailbox.first) {
		p->state = RUN_READY;
		ready = true;
		process_ref(p);
	} else {
		p->state = RUN_IDLE;
	}
	p->held = false;
	cn_mutex_unlock(&p->lock);
	if (ready) {
		run_ready(p, &w);
		process_unref(p);
	}
	return false;
}

/* From now on its own thread runs it, and wakes for what comes. */
static void hand_over(struct cnode_process *p, uint64_t began)
{
	account(p, began, 0);
	p->slicing = false;
	cn_mutex_lock(&p->lock);
	p->state = RUN_OWN;
	cn_mutex_unlock(&p->lock);
	p->procs->ops->thread_run(p->thread);
}

static void slice(struct cnode_process *p, uint64_t budget)
{
	uint64_t began = cn_now();
	uint32_t done = 0;
	cn_mutex_lock(&p->lock);
	p->state = RUN_RUNNING;
	bool dead = is_dead(p);
	if (!dead)
		mailbox_fold(p);
	cn_mutex_unlock(&p->lock);
	if (dead) {
		process_remains(p);
		return;
	}
	p->slicing = true;
	p->slice_at = began;
	if (!p->ran_init) {
		if (!begin(p))
			return;
		if (p->thread && !p->stopping) {
			hand_over(p, began);
			return;
		}
	}
	for (;;) {
		/* What the callback of a process that was killed returns is no reason any more. */
		if (p->stopping && !is_dead(p)) {
			account(p, began, done);
			log_crash(p, p->stop_reason);
			exit_self(p);
			return;
		}
		bool over = done >= CN_SLICE_MESSAGES || p->held || is_dead(p) ||
			((p->message_ns > LONG_MESSAGE_NS || done % 16 == 15) && cn_now() - began >= budget);
		struct cn_message *m = over ? NULL : next_message(p);
		if (!m) {
			if (!pause(p, began, done, over))
				return;
			continue;
		}
		int rc = p->class->message(p, p->memory, m);
		done++;
		if (CN_UNLIKELY(rc < 0))
			stop_by_code(p, rc);
	}
}

bool cn_sched_run(struct cn_procs *procs, bool prompt_only, uint64_t budget_ns)
{
	struct cnode_process *p = dying_pop(procs);
	bool left, brief;
	if (p) {
		struct work w = { .inside = true };
		work_add(&w, p);
		work_run(&w);
		return true;
	}
	p = runq_pop(&procs->prompt, &left, &brief);
	if (!p && !prompt_only) {
		p = runq_pop(&procs->normal, &left, &brief);
		if (left)
			procs->ops->runnable(procs->ctx, false, brief ? CN_CALL_BRIEF : CN_CALL_NOW);
	}
	if (!p)
		return false;
	slice(p, budget_ns && budget_ns < CN_SLICE_NS ? budget_ns : CN_SLICE_NS);
	return true;
}

/* ---- processes with a thread of their own ---- */

void process_wake(struct cnode_process *p)
{
	if (p->thread)
		p->procs->ops->thread_wake(p->thread);
	else
		p->class->notify(p, p->memory);
}

static void ran_for(struct cnode_process *p)
{
	uint64_t took = cn_now() - p->slice_at;
	atomic_store_explicit(&p->run_ns, atomic_load_explicit(&p->run_ns, memory_order_relaxed) + took, memory_order_relaxed);
}

void cn_process_waits(struct cnode_process *self, bool waits)
{
	if (waits)
		ran_for(self);
	else
		self->slice_at = cn_now();
	atomic_store_explicit(&self->waits, waits, memory_order_relaxed);
}

int cn_process_run(struct cnode_process *self)
{
	self->slice_at = cn_now();
	process_pause(self);            /* init may have sent as much */
	int rc = is_dead(self) ? 0 : self->class->run(self, self->memory, self->thread);
	ran_for(self);
	return rc;
}

void cn_process_ran(struct cnode_process *self, int code)
{
	if (is_dead(self)) {            /* what its code returned is no reason any more */
		process_remains(self);
		return;
	}
	if (code < 0)
		stop_by_code(self, code);
	if (!self->stopping) {
		self->stopping = true;
		self->stop_reason = atom_normal();
	}
	log_crash(self, self->stop_reason);
	exit_self(self);
}

/* ---- back-pressure ---- */

void process_pause(struct cnode_process *p)
{
	if (!p->thread || p->state != RUN_OWN)
		return;                 /* at the end of its slice; or its thread sees to it */
	while (cn_process_is_suspended(p) && !is_dead(p))
		p->procs->ops->thread_wait(p->thread);
	p->held = false;
}

void cn_procs_resume(struct cn_procs *procs, cnode_pid pid)
{
	struct cnode_process *p = process_find(procs, pid);
	if (!p)
		return;
	struct work w = { .inside = false };
	bool ready = false;
	cn_mutex_lock(&p->lock);
	if (!is_dead(p)) {
		p->holds--;
		if (p->holds <= 0 && p->state == RUN_OWN)
			process_wake(p);
		else if (p->holds <= 0 && p->state == RUN_HELD) {
			p->state = RUN_READY;
			ready = true;
		}
	}
	cn_mutex_unlock(&p->lock);
	if (ready)
		run_ready(p, &w);
	process_unref(p);
}
