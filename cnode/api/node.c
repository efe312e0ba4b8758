/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a node that make.c has made: started, running, stopping, down. */
#include "cnode/api/api.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "cnode/api/own.h"
#include "compat/compat.h"

#define LEAVE_NS (2 * CN_NS_PER_S)      /* for what is queued to peers to be written */

/* ---- errors ---- */

int cn_api_fail(cnode_node *node, int code, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	cn_mutex_lock(&node->lock);
	vsnprintf(node->error, sizeof node->error, fmt, args);
	cn_mutex_unlock(&node->lock);
	va_end(args);
	return code;
}

const char *cnode_node_error(const cnode_node *node)
{
	/* A copy of the caller's own: another thread may fail meanwhile. */
	static _Thread_local char text[CN_ERROR_TEXT];
	if (!node)
		return "out of memory";
	cnode_node *n = (cnode_node *)(uintptr_t)node;
	cn_mutex_lock(&n->lock);
	memcpy(text, n->error, sizeof text);
	cn_mutex_unlock(&n->lock);
	return text;
}

/* ---- where it is in its life ---- */

static void set_life(cnode_node *node, enum cn_life life)
{
	cn_mutex_lock(&node->lock);
	node->life = life;
	cn_cond_broadcast(&node->changed);
	cn_mutex_unlock(&node->lock);
}

void cn_api_ready(void *ctx, int code, const char *text)
{
	cnode_node *node = ctx;
	if (code != 0)
		cn_api_fail(node, code, "%s: %s", node->name, text);
	cn_mutex_lock(&node->lock);
	node->start_code = code;
	if (node->life == CN_LIFE_STARTING)
		node->life = CN_LIFE_RUNNING;
	cn_cond_broadcast(&node->changed);
	cn_mutex_unlock(&node->lock);
}

/* ---- stopping, by the holder of the lead ---- */

static void begin_stage(cnode_node *node, enum cn_life life, uint64_t ns)
{
	node->deadline = cn_loop_clock(node->loop) + ns;
	cn_timer_set(&node->timer, node->deadline);
	set_life(node, life);
	cn_wake_post(node->loop, &node->look);  /* the stage may be over already */
}

static void exit_all(cnode_node *node, cnode_term reason, bool all)
{
	if (cn_procs_exit_all(node->procs, reason, all) != 0)
		cn_log_line(node->log, CNODE_LOG_ERROR, "out of memory: some processes were not told of the shutdown");
}

static const uint8_t shutdown_atom[] = { CN_SMALL_ATOM_UTF8, 8, 's', 'h', 'u', 't', 'd', 'o', 'w', 'n' };
static const uint8_t kill_atom[] = { CN_SMALL_ATOM_UTF8, 4, 'k', 'i', 'l', 'l' };

bool cn_api_turn(void *ctx)
{
	cnode_node *node = ctx;
	if (!atomic_load_explicit(&node->stop, memory_order_relaxed))
		return false;
	uint64_t now = cn_loop_clock(node->loop);
	uint32_t left = cn_procs_count_spawned(node->procs);    /* mailboxes end when their threads close them */
	switch (cn_api_life(node)) {
	case CN_LIFE_NEW:
	case CN_LIFE_STARTING:
	case CN_LIFE_RUNNING:
		cn_global_leave(node->global);
		cn_supervisor_close(node->supervision.supervisor);
		cn_procs_close(node->procs);
		node->spared = cn_procs_count_prompt(node->procs);
		begin_stage(node, CN_LIFE_STOPPING, node->shutdown_ns);
		exit_all(node, cn_term_static(shutdown_atom, sizeof shutdown_atom), false);
		return false;
	case CN_LIFE_STOPPING:
		if (left > node->spared && now < node->deadline)
			return false;
		node->left_behind = left > node->spared;
		begin_stage(node, CN_LIFE_CLEARING, node->shutdown_ns);
		exit_all(node, cn_term_static(shutdown_atom, sizeof shutdown_atom), true);
		return false;
	case CN_LIFE_CLEARING:
		if (left > 0 && now < node->deadline && !node->left_behind)
			return false;
		/* Whoever trapped the exits and went on waiting waits no longer: nothing will come any more. */
		if (cn_procs_count(node->procs) > 0)
			exit_all(node, cn_term_static(kill_atom, sizeof kill_atom), true);
		begin_stage(node, CN_LIFE_LEAVING, LEAVE_NS);
		cn_cluster_leave(node->cluster, LEAVE_NS);
		return cn_cluster_is_alone(node->cluster);
	case CN_LIFE_LEAVING:
		return cn_cluster_is_alone(node->cluster) || now >= node->deadline + LEAVE_NS;
	case CN_LIFE_DOWN:
		break;
	}
	return true;
}

static void timer_fired(struct cn_timer *timer)
{
	cnode_node *node = CN_CONTAINER(timer, cnode_node, timer);
	/* A stage that goes on past its end looks again soon. */
	cn_timer_set(timer, cn_loop_now(node->loop) + 100 * CN_NS_PER_MS);
}

static void stop_asked(struct cn_io *io, unsigned events)
{
	cnode_node *node = CN_CONTAINER(io, cnode_node, stop_io);
	(void)events;
	/* It stays set: cnode_node_run waits for it too, and would miss an event that is cleared at once. */
	cn_io_set(&node->stop_io, 0);
}

/* Standard input: at its end the node stops. */
static void input_came(struct cn_io *io, unsigned events)
{
	cnode_node *node = CN_CONTAINER(io, cnode_node, eof_io);
	char unused[4096];
	(void)events;
	ssize_t n = read(io->fd, unused, sizeof unused);
	if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
		return;
	cn_io_set(io, 0);
	cn_log_line(node->log, CNODE_LOG_NOTICE, "standard input has ended: the node stops");
	cnode_node_stop(node);
}

const char *cnode_node_name(const cnode_node *node)
{
	return node->name;
}

enum cn_life cn_api_life(cnode_node *node)
{
	cn_mutex_lock(&node->lock);
	enum cn_life life = node->life;
	cn_mutex_unlock(&node->lock);
	return life;
}

/* ---- starting ---- */

static int start_rooms(cnode_node *node)
{
	const char *text = "";
	int rc = 0;
	cn_lead_take(node->loop);
	cn_timer_init(&node->timer, node->loop, timer_fired);
	cn_trim_init(&node->trim, node);
	cn_api_global_watch(node);
	cn_io_init(&node->stop_io, node->loop, node->stop_fd, stop_asked);
	cn_io_set(&node->stop_io, CN_READ);
	if (node->stop_at_eof) {
		cn_io_init(&node->eof_io, node->loop, STDIN_FILENO, input_came);
		cn_io_set(&node->eof_io, CN_READ);
	}
	if (node->networked)
		rc = cn_cluster_start(node->cluster, &text);
	cn_lead_release(node->loop);
	if (rc != 0)
		return cn_api_fail(node, rc, "%s: %s", node->name, *text ? text : cnode_strerror(rc));
	if (!node->networked)
		cn_api_ready(node, 0, "");
	if (!node->threadless) {
		rc = cn_pool_start(node->pool);
		if (rc != 0)
			return cn_api_fail(node, rc, "%s: its threads cannot be started: %s", node->name, cnode_strerror(rc));
	}
	return 0;
}

int cnode_node_start(cnode_node *node)
{
	if (!node->pool)
		return CNODE_ESTATE;
	cn_mutex_lock(&node->lock);
	bool can = node->life == CN_LIFE_NEW;
	if (can)
		node->life = CN_LIFE_STARTING;
	cn_mutex_unlock(&node->lock);
	if (!can)
		return cn_api_fail(node, CNODE_ESTATE, "%s: it was started already", node->name);
	int rc = start_rooms(node);
	if (rc != 0) {
		set_life(node, CN_LIFE_DOWN);
		return rc;
	}
	if (node->threadless) {
		while (cn_api_life(node) == CN_LIFE_STARTING)
			cn_api_drive(node, CN_NEVER);
	}
	cn_mutex_lock(&node->lock);
	while (node->life == CN_LIFE_STARTING)
		cn_cond_wait(&node->changed, &node->lock);
	rc = node->start_code;
	if (rc == 0 && node->life != CN_LIFE_RUNNING)
		rc = CNODE_ESHUTDOWN;
	cn_mutex_unlock(&node->lock);
	if (rc != 0 && rc != CNODE_ESHUTDOWN) {
		cnode_node_stop(node);
		cnode_node_wait(node);
	}
	return rc;
}

/* ---- the end ---- */

void cnode_node_stop(cnode_node *node)
{
	atomic_store(&node->stop, true);
	if (node->stop_fd >= 0)
		cn_event_set(node->stop_fd);
	if (node->asked_fd >= 0)
		cn_event_set(node->asked_fd);
}

int cnode_node_stop_fd(const cnode_node *node)
{
	return node->asked_fd;
}

int cnode_node_wait(cnode_node *node)
{
	enum cn_life life = cn_api_life(node);
	if (life == CN_LIFE_NEW)
		return CNODE_ESTATE;
	if (node->threadless) {
		while (cn_api_life(node) != CN_LIFE_DOWN)
			cn_api_drive(node, CN_NEVER);
	} else {
		cn_pool_wait(node->pool);
		/* Callbacks that were left behind keep their threads: cnode_node_free waits for those. */
		if (node->left_behind) {
			cn_pool_join_free(node->pool);
		} else {
			cn_pool_join(node->pool);
			cn_threads_join(node->threads);
		}
		set_life(node, CN_LIFE_DOWN);
	}
	cn_log_flush(node->log);
	return node->left_behind
		       ? cn_api_fail(node, CNODE_ETIMEOUT, "%s: processes had to be left behind: they did not end in %llu s",
				     node->name, (unsigned long long)(node->shutdown_ns / CN_NS_PER_S))
		       : 0;
}

int cnode_node_run(cnode_node *node)
{
	struct cn_signals signals;
	int rc = cn_signals_open(&signals);
	if (rc != 0)
		return cn_api_fail(node, rc, "%s: no file descriptor is left", node->name);
	rc = cnode_node_start(node);
	if (rc == 0 || rc == CNODE_ESHUTDOWN) {         /* the latter: asked to stop while it started */
		while (!atomic_load(&node->stop)) {
			struct pollfd fds[] = {
				{ .fd = signals.fd, .events = POLLIN },
				{ .fd = node->threadless ? cnode_node_fd(node) : node->stop_fd, .events = POLLIN },
			};
			poll(fds, CN_ARRAY_SIZE(fds), node->threadless ? cnode_node_timeout(node) : -1);
			if (fds[0].revents)
				cnode_node_stop(node);
			if (node->threadless)
				cnode_node_step(node);
		}
		rc = cnode_node_wait(node);
	}
	cn_signals_close(&signals);
	return rc;
}

void cnode_node_free(cnode_node *node)
{
	if (!node)
		return;
	enum cn_life life = cn_api_life(node);
	if (life != CN_LIFE_NEW && life != CN_LIFE_DOWN) {
		cnode_node_stop(node);
		cnode_node_wait(node);
	}
	if (node->pool)
		cn_pool_join(node->pool);
	cn_threads_join(node->threads);
	if (node->loop) {
		cn_lead_take(node->loop);
		if (node->supervision.supervisor) {
			cn_supervisor_close(node->supervision.supervisor);
			cn_timer_stop(&node->supervision.timer);
		}
		if (life != CN_LIFE_NEW) {
			cn_timer_stop(&node->timer);
			cn_timer_stop(&node->trim.timer);
			cn_timer_stop(&node->global_beat);
			cn_io_forget(&node->stop_io);
			if (node->stop_at_eof)
				cn_io_forget(&node->eof_io);
		}
		if (life == CN_LIFE_NEW && node->cluster) {
			/* What was asked for a start that never came is answered now. */
			cn_cluster_leave(node->cluster, 0);
			cn_loop_poll(node->loop, 0);
		}
		cn_cluster_free(node->cluster);
		cn_lead_release(node->loop);
	}
	cn_factories_close(node->factories);
	cn_procs_free(node->procs);
	cn_global_free(node->global);
	cn_mutex_fini(&node->drops.lock);
	cn_free(node->drops.names);
	cn_threads_free(node->threads);
	cn_pool_free(node->pool);
	cn_factories_free(node->factories);
	cn_functions_free(node->functions);
	cn_kernel_free(node->kernel);
	cn_pg_free(node->pg);
	cn_supervisor_free(node->supervision.supervisor);
	cn_guard_free(node->guard);
	cn_loop_free(node->loop);
	if (node->stop_fd >= 0)
		close(node->stop_fd);
	if (node->asked_fd >= 0)
		close(node->asked_fd);
	cn_log_free(node->log);
	cn_cond_fini(&node->changed);
	cn_mutex_fini(&node->lock);
	cn_free(node->name);
	cn_free(node);
}

uint16_t cnode_node_port(cnode_node *node)
{
	/* Set before anybody can know that the node is up, and never changed. */
	return node->cluster ? cn_cluster_port(node->cluster) : 0;
}

/* ---- without threads ---- */

int cnode_node_fd(cnode_node *node)
{
	cn_lead_take(node->loop);
	int fd = cn_loop_fd(node->loop);
	cn_lead_release(node->loop);
	return fd;
}

int cnode_node_timeout(cnode_node *node)
{
	struct cn_sched_waiting waiting;
	cn_sched_waiting(node->procs, &waiting);
	if (waiting.normal > 0 || waiting.prompt > 0)
		return 0;
	cn_lead_take(node->loop);
	uint64_t due = cn_loop_due(node->loop);
	cn_lead_release(node->loop);
	uint64_t timers = cn_sched_due(node->procs);
	if (timers < due)
		due = timers;
	if (due == CN_NEVER)
		return -1;
	uint64_t now = cn_loop_clock(node->loop);
	uint64_t ms = due > now ? (due - now + CN_NS_PER_MS - 1) / CN_NS_PER_MS : 0;
	return ms < 3600000 ? (int)ms : 3600000;
}

int cnode_node_step(cnode_node *node)
{
	if (!node->threadless)
		return CNODE_ESTATE;
	if (cn_api_life(node) == CN_LIFE_DOWN)
		return CNODE_ESHUTDOWN;
	if (cn_pool_step(node->pool))
		return 0;
	set_life(node, CN_LIFE_DOWN);
	return CNODE_ESHUTDOWN;
}

void cn_api_drive(cnode_node *node, uint64_t deadline)
{
	int ms = cnode_node_timeout(node);
	if (deadline != CN_NEVER) {
		uint64_t now = cn_now();
		uint64_t left = deadline > now ? (deadline - now) / CN_NS_PER_MS + 1 : 0;
		if (ms < 0 || left < (uint64_t)ms)
			ms = left < 3600000 ? (int)left : 3600000;
	}
	/* Waits first: after the step the caller looks whether it was what he waits for. */
	struct pollfd fd = { .fd = cnode_node_fd(node), .events = POLLIN };
	poll(&fd, 1, ms);
	cnode_node_step(node);
}

void cnode_node_set_log_level(cnode_node *node, enum cnode_log_level level)
{
	cn_log_set_level(node->log, level);
}
