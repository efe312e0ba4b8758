/* SPDX-License-Identifier: Apache-2.0 */
/* Two whole nodes in one program, without epmd: a, with the mailbox mb, asks b, which has a factory and two functions. */
#ifndef TESTS_API_NODES_H
#define TESTS_API_NODES_H

#include <stdio.h>

#include "cnode/cnode.h"
#include "tests/loopback.h"
#include "tests/tap.h"


static cnode_node *a, *b;
static cnode_mailbox *mb;       /* on a */

/* ---- what b offers ---- */

struct counter { int64_t total; };

static int counter_init(cnode_process *self, void *state, const cnode_start *how)
{
	(void)self;
	return cnode_scan(how->args, "[~q]", &((struct counter *)state)->total);
}

static int counter_call(cnode_process *self, void *state, cnode_from *from, cnode_term request)
{
	struct counter *c = state;
	int64_t n;
	if (cnode_scan(request, "{add,~q}", &n) == 0)
		return cnode_reply(from, "~q", c->total += n);
	if (cnode_scan(request, "stop") == 0)
		return cnode_stop(self, "{gone,~q}", c->total);
	if (cnode_scan(request, "never") == 0)
		return 0;
	if (cnode_scan(request, "cut") == 0)
		return cnode_disconnect(cnode_process_node(self), "a@127.0.0.1");
	return cnode_reply(from, "{error,bad_request}");
}

static const cnode_behaviour counter = {
	CNODE_BEHAVIOUR_INIT, .state_size = sizeof(struct counter), .init = counter_init, .handle_call = counter_call,
};

static inline int twice(cnode_process *self, void *context, cnode_term args, cnode_term *result)
{
	int64_t n;
	(void)self;
	(void)context;
	if (cnode_scan(args, "[~q]", &n) != 0)
		return CNODE_EBADARG;
	if (n < 0)
		return cnode_raise(result, "throw", "{negative,~q}", n);
	return cnode_format(result, "~q", 2 * n);
}

/* ---- the two nodes ---- */

static inline cnode_node *new_node(const char *name, const char *cookie, int threads)
{
	cnode_config cfg = loopback_config(name);
	cnode_node *node = NULL;
	cfg.cookie = cookie;
	cfg.threads = threads;
	cfg.shutdown_timeout = 10;
	ck_assert_msg(cnode_node_new(&cfg, &node) == 0, "%s", cnode_node_error(node));
	return node;
}

static inline void start(cnode_node *node)
{
	ck_assert_msg(cnode_node_start(node) == 0, "%s", cnode_node_error(node));
}

static inline void route(cnode_node *from, const char *name, cnode_node *to)
{
	char address[64];
	snprintf(address, sizeof address, "127.0.0.1:%u", (unsigned)cnode_node_port(to));
	ck_assert_int_eq(cnode_node_route(from, name, address), 0);
}

static inline void open_with(const char *cookie_of_a, int threads_of_a)
{
	b = new_node("b@127.0.0.1", "secret", CNODE_THREADS_AUTO);
	ck_assert_int_eq(cnode_factory_add(b, "counter", &counter, NULL, "a@127.0.0.1"), 0);
	ck_assert_int_eq(cnode_factory_add(b, "closed", &counter, NULL, "other@127.0.0.1"), 0);
	ck_assert_int_eq(cnode_function_export(b, "math", "twice", 1, twice, NULL, CNODE_ALL_NODES), 0);
	ck_assert_int_eq(cnode_function_export(b, "math", "closed", 1, twice, NULL, CNODE_NO_NODES), 0);
	start(b);
	a = new_node("a@127.0.0.1", cookie_of_a, threads_of_a);
	route(a, "b@127.0.0.1", b);
	start(a);
	ck_assert_int_eq(cnode_mailbox_open(a, "box", &mb), 0);
}

static inline void open_nodes(void)
{
	open_with("secret", CNODE_THREADS_AUTO);
}

static inline void open_without_threads(void)
{
	open_with("secret", CNODE_THREADS_NONE);
}

static inline void close_nodes(void)
{
	cnode_mailbox_close(mb);
	cnode_node_free(a);
	cnode_node_free(b);
}

static inline cnode_term args(const char *text)
{
	cnode_term t;
	ck_assert_int_eq(cnode_parse(text, &t, NULL), 0);
	return t;
}

static inline int spawn(const char *factory, const char *arguments, const cnode_spawn_options *options, cnode_pid *pid)
{
	cnode_term list = args(arguments);
	int rc = cnode_spawn_remote(mb, "b@127.0.0.1", factory, list, options, pid);
	cnode_term_drop(list);
	return rc;
}

static inline int64_t add(cnode_pid pid, int64_t n)
{
	cnode_term reply;
	int64_t total;
	ck_assert_msg(cnode_call(mb, pid, TAP_WAIT_MS, &reply, "{add,~q}", n) == 0, "%s", cnode_mailbox_error(mb));
	ck_assert_int_eq(cnode_scan(reply, "~q", &total), 0);
	cnode_term_drop(reply);
	return total;
}

#endif
