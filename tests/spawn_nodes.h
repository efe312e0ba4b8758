/* SPDX-License-Identifier: Apache-2.0 */
/* Two whole nodes in one program, without epmd: a, with the mailbox mb, asks b, which offers what stands here. */
#ifndef TESTS_SPAWN_NODES_H
#define TESTS_SPAWN_NODES_H

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cnode/cnode.h"
#include "tests/loopback.h"
#include "tests/tap.h"

#define A "a@127.0.0.1"
#define B "b@127.0.0.1"

static cnode_node *a, *b;
static cnode_mailbox *mb;
static size_t high_water;       /* of nodes that are made from now on; 0: the default */

/* ---- the log of b ---- */

static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t log_grown = PTHREAD_COND_INITIALIZER;
static char log_kept[65536];

static void keep_log(void *context, enum cnode_log_level level, const char *text)
{
	(void)context;
	(void)level;
	pthread_mutex_lock(&log_lock);
	size_t used = strlen(log_kept);
	snprintf(log_kept + used, sizeof log_kept - used, "%s\n", text);
	pthread_cond_broadcast(&log_grown);
	pthread_mutex_unlock(&log_lock);
}

static inline const char *log_text(void) { return log_kept; }

/* Waits until such a line is there. */
static inline bool logged(const char *text)
{
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += TAP_WAIT_MS / 1000;
	pthread_mutex_lock(&log_lock);
	while (!strstr(log_kept, text) && pthread_cond_timedwait(&log_grown, &log_lock, &until) == 0)
		continue;
	bool there = strstr(log_kept, text) != NULL;
	pthread_mutex_unlock(&log_lock);
	return there;
}

static inline int log_lines(const char *text)
{
	int count = 0;
	pthread_mutex_lock(&log_lock);
	for (const char *at = log_kept; (at = strstr(at, text)); at++)
		count++;
	pthread_mutex_unlock(&log_lock);
	return count;
}

/* ---- what b offers: processes that count what comes and tell what they are ---- */

struct probe { int64_t messages; };

/* A door at which init waits when it is told to. */
static pthread_mutex_t door_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t door_moved = PTHREAD_COND_INITIALIZER;
static bool door_open;
static int at_door, cancelled_at_door;

static inline void open_door(void)
{
	pthread_mutex_lock(&door_lock);
	door_open = true;
	pthread_cond_broadcast(&door_moved);
	pthread_mutex_unlock(&door_lock);
}

/* Waits until so many inits stand at the door. */
static inline void await_at_door(int count)
{
	pthread_mutex_lock(&door_lock);
	while (at_door < count)
		pthread_cond_wait(&door_moved, &door_lock);
	pthread_mutex_unlock(&door_lock);
}

static void wait_at_door(void)
{
	pthread_mutex_lock(&door_lock);
	at_door++;
	pthread_cond_broadcast(&door_moved);
	while (!door_open)
		pthread_cond_wait(&door_moved, &door_lock);
	pthread_mutex_unlock(&door_lock);
}

/* Whoever is to be ended while it stands at the door: the end may come after the door was opened. */
static void wait_for_end(cnode_process *self)
{
	while (!cnode_cancelled(self))
		sched_yield();
	pthread_mutex_lock(&door_lock);
	cancelled_at_door++;
	pthread_cond_broadcast(&door_moved);
	pthread_mutex_unlock(&door_lock);
}

/* Waits until so many have seen that they are ended. */
static inline void await_ends(int count)
{
	pthread_mutex_lock(&door_lock);
	while (cancelled_at_door < count)
		pthread_cond_wait(&door_moved, &door_lock);
	pthread_mutex_unlock(&door_lock);
}

/* [], [{fail, Reason}], [wait]: waits at the door, [late]: and then for its end, [{wait, Reason}]: and then fails. */
static int probe_init(cnode_process *self, void *state, const cnode_start *how)
{
	cnode_term reason;
	(void)state;
	if (cnode_scan(how->args, "[{fail,~t}]", &reason) == 0)
		return cnode_stop(self, "~t", reason);
	if (cnode_scan(how->args, "[wait]") == 0)
		wait_at_door();
	if (cnode_scan(how->args, "[late]") == 0) {
		wait_at_door();
		wait_for_end(self);
	}
	if (cnode_scan(how->args, "[{wait,~t}]", &reason) == 0) {
		wait_at_door();
		return cnode_stop(self, "~t", reason);
	}
	return 0;
}

static int probe_call(cnode_process *self, void *state, cnode_from *from, cnode_term request)
{
	struct probe *p = state;
	if (cnode_scan(request, "count") == 0)
		return cnode_reply(from, "~q", p->messages);
	if (cnode_scan(request, "parent") == 0)
		return cnode_reply(from, "~p", cnode_parent(self));
	if (cnode_scan(request, "application") == 0)
		return cnode_reply(from, "~a", cnode_application(self));
	enum cnode_log_level level;
	if (cnode_scan(request, "log_level") == 0)
		return cnode_reply(from, "~a", cnode_log_level(self, &level) == 0 ? cnode_log_level_name(level) : "undefined");
	cnode_atom key;
	cnode_term value;
	if (cnode_scan(request, "{env,~a}", &key) == 0)
		return cnode_env(self, key.text, &value) == 0 ? cnode_reply(from, "~t", value) : cnode_reply(from, "undefined");
	if (cnode_scan(request, "{log,~a}", &key) == 0) {
		cnode_log(self, CNODE_LOG_DEBUG, "says %s", key.text);
		return cnode_reply(from, "ok");
	}
	if (cnode_scan(request, "wait") == 0) {
		wait_at_door();
		return cnode_reply(from, "ok");
	}
	return cnode_reply(from, "{error,bad_request}");
}

static int probe_info(cnode_process *self, void *state, const cnode_info *info)
{
	(void)self;
	if (info->kind == CNODE_MESSAGE)
		((struct probe *)state)->messages++;
	return 0;
}

static const cnode_behaviour probe = {
	CNODE_BEHAVIOUR_INIT, .state_size = sizeof(struct probe), .init = probe_init, .handle_call = probe_call,
	.handle_info = probe_info,
};
static const cnode_behaviour other_probe = {
	CNODE_BEHAVIOUR_INIT, .state_size = sizeof(struct probe), .handle_call = probe_call, .handle_info = probe_info,
};

static int twice(cnode_process *self, void *context, cnode_term args, cnode_term *result)
{
	int64_t n;
	(void)self;
	(void)context;
	return cnode_scan(args, "[~q]", &n) == 0 ? cnode_format(result, "~q", 2 * n) : CNODE_EBADARG;
}

/* ---- nodes ---- */

static inline cnode_node *new_node(const char *name, int threads, cnode_log_fn *log)
{
	cnode_config cfg = loopback_config(name);
	cnode_node *node = NULL;
	cfg.threads = threads;
	cfg.shutdown_timeout = 10;
	cfg.out_high_water = high_water;
	cfg.log_level = log ? CNODE_LOG_WARNING : CNODE_LOG_NONE;
	cfg.log = log ? log : keep_log;
	cfg.expose_env_remote_spawn = "SHOWN, TRACE_*";
	ck_assert_msg(cnode_node_new(&cfg, &node) == 0, "%s", cnode_node_error(node));
	return node;
}

static inline cnode_term args(const char *text)
{
	cnode_term t;
	ck_assert_msg(cnode_parse(text, &t, NULL) == 0, "%s", text);
	return t;
}

static inline void start_named(const char *name)
{
	cnode_term none = args("[]");
	ck_assert_int_eq(cnode_process_start(b, name, &probe, NULL, none, NULL), 0);
	cnode_term_drop(none);
}

static inline void open_nodes(void)
{
	char address[64];
	log_kept[0] = 0;
	door_open = false;
	at_door = cancelled_at_door = 0;
	b = new_node(B, CNODE_THREADS_AUTO, keep_log);
	ck_assert_int_eq(cnode_factory_add(b, "probe", &probe, NULL, A), 0);
	ck_assert_int_eq(cnode_factory_add(b, "closed", &probe, NULL, CNODE_NO_NODES), 0);
	ck_assert_int_eq(cnode_function_export(b, "math", "twice", 1, twice, NULL, CNODE_ALL_NODES), 0);
	ck_assert_int_eq(cnode_function_export(b, "math", "closed", 1, twice, NULL, CNODE_NO_NODES), 0);
	start_named("db");
	ck_assert_msg(cnode_node_start(b) == 0, "%s", cnode_node_error(b));
	a = new_node(A, CNODE_THREADS_AUTO, NULL);
	snprintf(address, sizeof address, "127.0.0.1:%u", (unsigned)cnode_node_port(b));
	ck_assert_int_eq(cnode_node_route(a, B, address), 0);
	ck_assert_msg(cnode_node_start(a) == 0, "%s", cnode_node_error(a));
	ck_assert_int_eq(cnode_mailbox_open(a, "box", &mb), 0);
}

static inline void close_nodes(void)
{
	open_door();
	cnode_mailbox_close(mb);
	cnode_node_free(a);
	cnode_node_free(b);
}

/* ---- asking ---- */

static inline cnode_process *self(void) { return cnode_mailbox_process(mb); }

static inline int spawn(const char *factory, const char *arguments, const cnode_spawn_options *options, cnode_pid *pid)
{
	cnode_term list = args(arguments);
	int rc = cnode_spawn_remote(mb, B, factory, list, options, pid);
	cnode_term_drop(list);
	return rc;
}

/* The answer of a process as text. */
static inline const char *ask(cnode_pid pid, const char *request)
{
	static char text[256];
	cnode_term reply, term = args(request);
	ck_assert_msg(cnode_call(mb, pid, TAP_WAIT_MS, &reply, "~t", term) == 0, "%s", cnode_mailbox_error(mb));
	cnode_term_print(reply, text, sizeof text);
	cnode_term_drop(reply);
	cnode_term_drop(term);
	return text;
}

static inline int count_process(void *context, const cnode_factory_info *factory)
{
	*(uint64_t *)context += factory->processes;
	return 0;
}

/* Processes of factories on b. */
static inline uint64_t processes(void)
{
	uint64_t count = 0;
	ck_assert_int_eq(cnode_factory_list(b, count_process, &count), 0);
	return count;
}

/* A call's code; the reply is dropped. */
static inline int call(cnode_pid pid, const char *request)
{
	cnode_term reply, term = args(request);
	int rc = cnode_call(mb, pid, TAP_WAIT_MS, &reply, "~t", term);
	if (rc == 0)
		cnode_term_drop(reply);
	cnode_term_drop(term);
	return rc;
}

static inline int64_t count_of(const char *name)
{
	cnode_term reply;
	int64_t count;
	ck_assert_msg(cnode_call_name(mb, name, B, TAP_WAIT_MS, &reply, "count") == 0, "%s", cnode_mailbox_error(mb));
	ck_assert_int_eq(cnode_scan(reply, "~q", &count), 0);
	cnode_term_drop(reply);
	return count;
}

static inline cnode_refusal_counts refusals(void)
{
	cnode_refusal_counts counts = CNODE_REFUSAL_COUNTS_INIT;
	cnode_refusals(b, &counts);
	return counts;
}

#endif
