/* SPDX-License-Identifier: Apache-2.0 */
/* The loop: lead, rounds, tasks, deadlines and descriptors, over libev's epoll backend. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cnode/loop/inner.h"
#include "compat/compat.h"

#define MAX_FDS 1024
#define TIMER_TURN 4096                 /* timers fired per round; the rest in the next */
#define LONG_WAIT CN_NS_PER_MS          /* from here on a wait is a nap */

/* ---- lead ---- */

/* Its address tells threads apart, and costs no system call. */
static _Thread_local char self;

bool cn_lead_try(struct cn_loop *loop)
{
	const void *nobody = NULL;
	/* Both looks in the one order of all: who has just said that he waits sees that it is free, or the holder that he waits. */
	return atomic_load(&loop->leader) == NULL &&
	       atomic_compare_exchange_strong(&loop->leader, &nobody, &self);
}

void cn_lead_take(struct cn_loop *loop)
{
	if (cn_lead_try(loop))
		return;
	cn_mutex_lock(&loop->lead_lock);
	/* Counted before the last look: a holder that releases after that look sees the count. */
	atomic_fetch_add(&loop->lead_waiting, 1);
	while (!cn_lead_try(loop))
		cn_cond_wait(&loop->lead_free, &loop->lead_lock);
	atomic_fetch_sub(&loop->lead_waiting, 1);
	cn_mutex_unlock(&loop->lead_lock);
}

void cn_lead_release(struct cn_loop *loop)
{
	CN_LEAD(loop);
	atomic_store(&loop->leader, NULL);
	if (atomic_load(&loop->lead_waiting) == 0)
		return;
	cn_mutex_lock(&loop->lead_lock);
	cn_cond_signal(&loop->lead_free);
	cn_mutex_unlock(&loop->lead_lock);
}

bool cn_lead_held(const struct cn_loop *loop)
{
	return atomic_load_explicit(&loop->leader, memory_order_relaxed) == &self;
}

#ifdef CN_CHECKS
void cn_lead_check(const struct cn_loop *loop, const char *where)
{
	if (cn_lead_held(loop))
		return;
	fprintf(stderr, "cnode: %s called without the lead\n", where);
	abort();
}
#endif

/* ---- tasks ---- */

bool cn_wake_post(struct cn_loop *loop, struct cn_task *task)
{
	if (atomic_exchange_explicit(&task->posted, true, memory_order_acq_rel))
		return false;
	task->next = atomic_load_explicit(&loop->tasks, memory_order_relaxed);
	while (!atomic_compare_exchange_weak(&loop->tasks, &task->next, task))
		continue;
	/* The leader sets `deaf` and then looks at the tasks; we do it the other way round, so
	   one of the two sees the other. Only the first poster pays for the system call. */
	if (atomic_load(&loop->deaf) && atomic_exchange(&loop->deaf, false))
		cn_event_set(loop->wake_fd);
	return true;
}

static void run_tasks(struct cn_loop *loop)
{
	if (!atomic_load_explicit(&loop->tasks, memory_order_relaxed))
		return;
	struct cn_task *last = atomic_exchange_explicit(&loop->tasks, NULL, memory_order_acquire);
	struct cn_task *first = NULL;
	while (last) {
		struct cn_task *before = last->next;
		last->next = first;
		first = last;
		last = before;
	}
	while (first) {
		struct cn_task *t = first;
		first = t->next;
		/* An exchange: it takes what those have written who posted the task again, and found that it was posted. A mere
		   store could also be seen by them behind our looks at what they wrote, and then neither would deal with it. */
		atomic_exchange_explicit(&t->posted, false, memory_order_acq_rel);
		t->run(t);
	}
}

static void wake_ready(struct ev_loop *ev, ev_io *w, int events)
{
	(void)ev;
	(void)events;
	cn_event_clear(w->fd);
}

/* ---- deadlines ---- */

void cn_timer_init(struct cn_timer *t, struct cn_loop *loop, void (*fire)(struct cn_timer *))
{
	*t = (struct cn_timer){ .fire = fire, .loop = loop };
}

void cn_timer_set(struct cn_timer *t, uint64_t due)
{
	cn_timer_stop(t);
	if (due == CN_NEVER)
		return;
	t->node.due = due;
	t->running = true;
	cn_heap_add(&t->loop->timers, &t->node);
}

void cn_timer_stop(struct cn_timer *t)
{
	if (!t->running)
		return;
	CN_LEAD(t->loop);
	t->running = false;
	cn_heap_remove(&t->loop->timers, &t->node);
}

static void fire_timers(struct cn_loop *loop)
{
	for (unsigned n = 0; n < TIMER_TURN && cn_heap_due(&loop->timers) <= loop->now; n++) {
		struct cn_timer *t = CN_CONTAINER(loop->timers.first, struct cn_timer, node);
		cn_timer_stop(t);
		t->fire(t);
	}
}

static void alarm_rang(struct ev_loop *ev, ev_timer *w, int events)
{
	struct cn_loop *loop = w->data;
	(void)ev;
	(void)events;
	loop->alarm_due = CN_NEVER;
}

/*
 * Sees to it that libev's wait ends by `due`. An alarm that is early is left alone: one
 * round in vain costs less than moving it each time a deadline moves, as ticks do.
 */
static void set_alarm(struct cn_loop *loop, uint64_t due, uint64_t now)
{
	if (loop->alarm_due <= due)
		return;
	ev_timer_stop(loop->ev, &loop->alarm);
	loop->alarm_due = due;
	/* libev counts from the time it knows, which is that of the last wait. */
	ev_now_update(loop->ev);
	ev_timer_set(&loop->alarm, due > now ? (double)(due - now) / (double)CN_NS_PER_S : 0., 0.);
	ev_timer_start(loop->ev, &loop->alarm);
}

/* ---- descriptors ---- */

_Static_assert(sizeof(ev_io) <= sizeof ((struct cn_io *)0)->watcher, "cn_io must have room for libev's watcher");

static ev_io *watcher_of(struct cn_io *io)
{
	return (ev_io *)(void *)io->watcher;
}

static void io_ready(struct ev_loop *ev, ev_io *w, int events)
{
	struct cn_io *io = w->data;
	(void)ev;
	if (events & EV_ERROR)
		io->events = 0;         /* libev has given it up */
	unsigned ready = (events & EV_READ ? CN_READ : 0) | (events & EV_WRITE ? CN_WRITE : 0);
	io->ready(io, ready);
}

void cn_io_init(struct cn_io *io, struct cn_loop *loop, int fd, void (*ready)(struct cn_io *, unsigned))
{
	*io = (struct cn_io){ .ready = ready, .loop = loop, .fd = fd };
	ev_io *w = watcher_of(io);
	ev_io_init(w, io_ready, fd, 0);
	w->data = io;
}

void cn_io_set(struct cn_io *io, unsigned events)
{
	if (io->events == events || io->fd < 0)
		return;
	CN_LEAD(io->loop);
	ev_io *w = watcher_of(io);
	struct ev_loop *ev = io->loop->ev;
	ev_io_stop(ev, w);
	io->events = events;
	io->loop->changed = true;
	if (!events)
		return;
	ev_io_set(w, io->fd, (events & CN_READ ? EV_READ : 0) | (events & CN_WRITE ? EV_WRITE : 0));
	ev_io_start(ev, w);
}

int cn_io_forget(struct cn_io *io)
{
	int fd = io->fd;
	if (fd < 0)
		return -1;
	CN_LEAD(io->loop);
	/* Stopped also when it waits for nothing: it can have an event that was not delivered yet. */
	ev_io_stop(io->loop->ev, watcher_of(io));
	io->events = 0;
	io->fd = -1;
	return fd;
}

void cn_io_close(struct cn_io *io)
{
	cn_socket_close(cn_io_forget(io));
}

/* ---- naps ---- */

void cn_nap_add(struct cn_loop *loop, struct cn_nap *nap)
{
	CN_LEAD(loop);
	nap->next = loop->naps;
	loop->naps = nap;
}

void cn_nap_remove(struct cn_loop *loop, struct cn_nap *nap)
{
	CN_LEAD(loop);
	for (struct cn_nap **at = &loop->naps; *at; at = &(*at)->next) {
		if (*at == nap) {
			*at = nap->next;
			return;
		}
	}
}

void cn_loop_rest(struct cn_loop *loop, uint64_t ns)
{
	CN_LEAD(loop);
	loop->rest = ns;
}

void cn_loop_spin(struct cn_loop *loop, uint64_t ns)
{
	CN_LEAD(loop);
	loop->spin_most = ns;
}

void cn_loop_doze(struct cn_loop *loop)
{
	CN_LEAD(loop);
	loop->dozes = true;
}

/* ---- rounds ---- */

/* libev calls this when its wait is over (and only then: invoke_pending comes before it, too). */
static void wait_over(struct ev_loop *ev) EV_NOEXCEPT
{
	struct cn_loop *loop = ev_userdata(ev);
	atomic_store_explicit(&loop->deaf, false, memory_order_relaxed);
	loop->now = loop->clock(loop->clock_context);
	if (loop->wait_began > 0)
		cn_spin_took(&loop->spin, loop->spin_most, loop->now - loop->wait_began);
	loop->wait_began = 0;
	if (loop->napping) {
		loop->napping = false;
		for (struct cn_nap *n = loop->naps; n; n = n->next)
			n->after(n);
	}
}

/* False if there is something to do at once. */
static bool may_wait(struct cn_loop *loop, uint64_t until)
{
	loop->rest = loop->wait_began = 0;
	loop->dozes = false;
	if (until == 0)
		return false;
	uint64_t due = cn_heap_due(&loop->timers);
	if (due > until)
		due = until;
	/* The clock is read only when there is a deadline, or naps that want to know. */
	uint64_t now = 0;
	if (due != CN_NEVER || loop->naps) {
		now = loop->clock(loop->clock_context);
		if (due <= now)
			return false;
		if (due - now > LONG_WAIT) {
			loop->napping = true;
			for (struct cn_nap *n = loop->naps; n; n = n->next) {
				uint64_t at = n->before(n, now);
				if (at < due)
					due = at;
			}
			if (due <= now)
				return false;
			if (due - now < loop->rest)
				loop->rest = due - now;
		}
	}
	atomic_store(&loop->deaf, true);
	if (atomic_load(&loop->tasks))
		return false;
	/* Only a wait that has the time for it tells whether a busy one pays. */
	if (loop->spin_most > 0 && !loop->dozes && loop->rest == 0 && !loop->changed && now > 0 && due - now > 2 * loop->spin_most)
		loop->wait_began = now;
	set_alarm(loop, due, now);
	return true;
}

/* Looks for something to do until `end`, without sleeping. True if there is. */
static bool look(struct cn_loop *loop, uint64_t end)
{
	static _Atomic int looking;     /* loops of this program */
	bool found = false;
	if (atomic_fetch_add(&looking, 1) < loop->most_looking) {
		/* Who posts a task meanwhile need not wake us. */
		atomic_store(&loop->deaf, false);
		do {
			found = atomic_load(&loop->tasks) || cn_event_ready(loop->backend);
			if (!found)
				cn_thread_yield();
		} while (!found && loop->clock(loop->clock_context) < end);
		atomic_store(&loop->deaf, true);
		found = found || atomic_load(&loop->tasks);
	}
	atomic_fetch_sub(&looking, 1);
	return found;
}

void cn_loop_poll(struct cn_loop *loop, uint64_t until)
{
	CN_LEAD(loop);
	atomic_store_explicit(&loop->deaf, false, memory_order_relaxed);
	bool wait = may_wait(loop, until);
	loop->changed = false;
	if (wait && loop->rest > 0)
		cn_event_wait(loop->wake_fd, loop->rest);
	if (wait && loop->wait_began > 0 && loop->spin.worth > 0)
		wait = !look(loop, loop->wait_began + loop->spin_most);
	ev_run(loop->ev, wait ? EVRUN_ONCE : EVRUN_NOWAIT);
	fire_timers(loop);
	run_tasks(loop);
	if (loop->embedded && loop->changed) {
		/* libev tells the kernel of changed watchers when it waits next, but whoever
		   polls the descriptor must hear of what they watch now. */
		loop->changed = false;
		ev_run(loop->ev, EVRUN_NOWAIT);
	}
	atomic_store(&loop->deaf, true);
}

uint64_t cn_loop_now(const struct cn_loop *loop)
{
	return loop->now;
}

uint64_t cn_loop_clock(const struct cn_loop *loop)
{
	return loop->clock(loop->clock_context);
}

uint64_t cn_loop_due(const struct cn_loop *loop)
{
	CN_LEAD(loop);
	if (loop->changed || atomic_load(&loop->tasks))
		return 0;
	return cn_heap_due(&loop->timers);
}

int cn_loop_fd(struct cn_loop *loop)
{
	CN_LEAD(loop);
	loop->embedded = true;
	return loop->backend;
}

/* ---- making one ---- */

static uint64_t system_clock(void *context)
{
	(void)context;
	return cn_now();
}

static void probe_ready(struct ev_loop *ev, ev_io *w, int events)
{
	(void)ev;
	(void)w;
	(void)events;
}

static void never_embedded(struct ev_loop *ev, ev_embed *w, int events)
{
	(void)ev;
	(void)w;
	(void)events;
}

/*
 * libev keeps its descriptor to itself, but for a loop that is to be embedded in another one,
 * which watches it with the watcher's own ev_io: that tells it, and nothing is run.
 */
static int backend_fd(struct ev_loop *ev)
{
	struct ev_loop *outer = ev_loop_new(EVBACKEND_POLL | EVFLAG_NOENV);
	if (!outer)
		return CNODE_ENOMEM;
	ev_embed w;
	ev_embed_init(&w, never_embedded, ev);
	ev_embed_start(outer, &w);
	int fd = w.io.fd;
	ev_embed_stop(outer, &w);
	ev_loop_destroy(outer);
	return fd;
}

/* Makes libev grow its table of descriptors now, while it may. */
static void grow_table(struct cn_loop *loop, uint32_t max_fds)
{
	int high = fcntl(loop->wake_fd, F_DUPFD_CLOEXEC, (int)max_fds);
	if (high < 0)
		return;                 /* the process may not have so many descriptors anyway */
	ev_io w;
	ev_io_init(&w, probe_ready, high, EV_READ);
	ev_io_start(loop->ev, &w);
	ev_run(loop->ev, EVRUN_NOWAIT);
	ev_io_stop(loop->ev, &w);
	cn_socket_close(high);
}

int cn_loop_new(const struct cn_loop_config *config, struct cn_loop **made)
{
	int rc = CNODE_EFDS;
	struct cn_loop *loop = cn_calloc(1, sizeof *loop);
	if (!loop)
		return CNODE_ENOMEM;
	loop->clock = config && config->now ? config->now : system_clock;
	loop->clock_context = config ? config->now_context : NULL;
	loop->alarm_due = CN_NEVER;
	loop->most_looking = cn_processors() / 2;
	atomic_init(&loop->deaf, true);

	loop->wake_fd = cn_event_open();
	if (loop->wake_fd < 0)
		goto undo_memory;
	loop->ev = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	if (!loop->ev)
		goto undo_wake;
	if (ev_backend(loop->ev) != EVBACKEND_EPOLL) {
		rc = CNODE_ENOTSUP;     /* it falls back to poll when it gets no descriptor, or no epoll */
		goto undo_ev;
	}
	loop->backend = backend_fd(loop->ev);
	if (loop->backend < 0) {
		rc = loop->backend;
		goto undo_ev;
	}
	if (config && config->dns && !(loop->dns = cn_strdup(config->dns))) {
		rc = CNODE_ENOMEM;
		goto undo_ev;
	}
	cn_mutex_init(&loop->lead_lock);
	cn_cond_init(&loop->lead_free);
	ev_set_userdata(loop->ev, loop);
	ev_set_loop_release_cb(loop->ev, NULL, wait_over);
	ev_io_init(&loop->wake, wake_ready, loop->wake_fd, EV_READ);
	ev_io_start(loop->ev, &loop->wake);
	ev_timer_init(&loop->alarm, alarm_rang, 0., 0.);
	loop->alarm.data = loop;
	grow_table(loop, config && config->max_fds ? config->max_fds : MAX_FDS);
	loop->now = loop->clock(loop->clock_context);
	atomic_store(&loop->deaf, true);
	*made = loop;
	return 0;

undo_ev:
	ev_loop_destroy(loop->ev);
undo_wake:
	cn_socket_close(loop->wake_fd);
undo_memory:
	cn_free(loop);
	return rc;
}

void cn_loop_free(struct cn_loop *loop)
{
	if (!loop)
		return;
	atomic_store(&loop->leader, &self);
	cn_resolver_free(loop->resolver);
	ev_timer_stop(loop->ev, &loop->alarm);
	ev_io_stop(loop->ev, &loop->wake);
	ev_loop_destroy(loop->ev);
	cn_socket_close(loop->wake_fd);
	cn_cond_fini(&loop->lead_free);
	cn_mutex_fini(&loop->lead_lock);
	cn_free(loop->dns);
	cn_free(loop);
}
