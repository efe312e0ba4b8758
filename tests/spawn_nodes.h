/* SPDX-License-Identifier: Apache-2.0 */
/* Two whole nodes in one program, without epmd: a, with the mailbox mb, asks b, which offers what stands here. */
#ifndef TESTS_SPAWN_NODES_H
#define TESTS_SPAWN_NODES_H

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cnode/cnode.h"
#include "tests/tap.h"

#define WAIT 20000      /* ms; nothing here takes long, a machine may */
#define A "a@127.0.0.1"
#define B "b@127.0.0.1"

static cnode_node *a, *b;
static cnode_mailbox *mb;

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
	until.tv_sec += WAIT / 1000;
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

static int probe_call(cnode_process *self, void *state, cnode_from *from, cnode_term request)
{
	struct probe *p = state;
	if (cnode_scan(request, "count") == 0)
		return cnode_reply(from, "~q", p->messages);
	if (cnode_scan(request, "parent") == 0)
		return cnode_reply(from, "~p", cnode_parent(self));
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
	CNODE_BEHAVIOUR_INIT, .state_size = sizeof(struct probe), .handle_call = probe_call, .handle_info = probe_info,
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
	cnode_config cfg = CNODE_CONFIG_INIT;
	cnode_node *node = NULL;
	cfg.name = name;
	cfg.cookie = "secret";
	cfg.listen = "127.0.0.1";
	cfg.epmd = CNODE_EPMD_NONE;
	cfg.threads = threads;
	cfg.shutdown_timeout = 10;
	cfg.log_level = log ? CNODE_LOG_WARNING : CNODE_LOG_NONE;
	cfg.log = log ? log : keep_log;
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

/* A call's code; the reply is dropped. */
static inline int call(cnode_pid pid, const char *request)
{
	cnode_term reply, term = args(request);
	int rc = cnode_call(mb, pid, WAIT, &reply, "~t", term);
	if (rc == 0)
		cnode_term_drop(reply);
	cnode_term_drop(term);
	return rc;
}

static inline int64_t count_of(const char *name)
{
	cnode_term reply;
	int64_t count;
	ck_assert_msg(cnode_call_name(mb, name, B, WAIT, &reply, "count") == 0, "%s", cnode_mailbox_error(mb));
	ck_assert_int_eq(cnode_scan(reply, "~q", &count), 0);
	cnode_term_drop(reply);
	return count;
}

static inline cnode_refusal_counts refusals(void)
{
	cnode_refusal_counts counts = { .size = sizeof counts };
	cnode_refusals(b, &counts);
	return counts;
}

#endif
