/* SPDX-License-Identifier: Apache-2.0 */
/* Pools over three nodes in one program: a has the pool, b and c have workers. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "cnode/cnode.h"
#include "tests/loopback.h"
#include "tests/tap.h"


enum { A, B, C, NODES };
static const char *const names[NODES] = { "a@127.0.0.1", "b@127.0.0.1", "c@127.0.0.1" };
static cnode_node *nodes[NODES];
static cnode_mailbox *mb;       /* on a */

static int worker_call(cnode_process *self, void *state, cnode_from *from, cnode_term request)
{
	(void)state;
	if (cnode_scan(request, "stop") == 0) {
		int rc = cnode_reply(from, "ok");
		return rc != 0 ? rc : cnode_stop(self, "normal");
	}
	return cnode_reply(from, "~p", cnode_self(self));
}

static const cnode_behaviour worker = { CNODE_BEHAVIOUR_INIT, .handle_call = worker_call };

static void route(int from, int to)
{
	char address[64];
	snprintf(address, sizeof address, "127.0.0.1:%u", (unsigned)cnode_node_port(nodes[to]));
	ck_assert_int_eq(cnode_node_route(nodes[from], names[to], address), 0);
}

/*
 * All find each other: they are told of one another by global, and two that cannot connect would have it
 * close a connection that the pool uses.
 */
static void open_node(int i, const char *listen)
{
	cnode_config cfg = loopback_config(names[i]);
	cfg.listen = listen;
	ck_assert_msg(cnode_node_new(&cfg, &nodes[i]) == 0, "%s", cnode_node_error(nodes[i]));
	ck_assert_int_eq(cnode_factory_add(nodes[i], "worker", &worker, NULL, names[A]), 0);
	ck_assert_msg(cnode_node_start(nodes[i]) == 0, "%s", cnode_node_error(nodes[i]));
	for (int j = 0; j < NODES; j++)
		if (j != i && nodes[j]) {
			route(i, j);
			route(j, i);
		}
}

static void open_nodes(void)
{
	for (int i = NODES; i-- > 0;)
		open_node(i, "127.0.0.1");
	ck_assert_int_eq(cnode_mailbox_open(nodes[A], NULL, &mb), 0);
}

static void close_nodes(void)
{
	cnode_mailbox_close(mb);
	for (int i = 0; i < NODES; i++)
		cnode_node_free(nodes[i]);
}

/* Asks the pool; the reply is yours. */
static cnode_term ask(const char *request)
{
	cnode_term reply;
	ck_assert_msg(cnode_call_name(mb, "pool", NULL, TAP_WAIT_MS, &reply, request) == 0, "%s", cnode_mailbox_error(mb));
	return reply;
}

static int64_t stat(const char *key)
{
	char format[64];
	int64_t value;
	cnode_term stats = ask("stats");
	snprintf(format, sizeof format, "#{%s := ~q}", key);
	ck_assert_int_eq(cnode_scan(stats, format, &value), 0);
	cnode_term_drop(stats);
	return value;
}

/* Until there are so many workers; a pool that never gets there runs into the test's time limit. */
static void await_workers(int64_t count)
{
	while (stat("workers") != count)
		continue;
}

/* Workers on the node, as the pool counts them. */
static int workers_on(int node)
{
	cnode_term list = ask("workers");
	cnode_name name;
	ck_assert_int_eq(cnode_name_of(names[node], &name), 0);
	cnode_reader r = cnode_read(list);
	int count = 0;
	for (size_t n; (n = cnode_read_list(&r)) > 0;)
		while (n--)
			count += cnode_read_pid(&r).node == name;
	ck_assert_int_eq(r.error, 0);
	cnode_term_drop(list);
	return count;
}

static cnode_pid next(void)
{
	cnode_pid pid;
	cnode_term reply = ask("next");
	ck_assert_int_eq(cnode_scan(reply, "{ok,~p}", &pid), 0);
	cnode_term_drop(reply);
	return pid;
}

static int node_of(cnode_pid pid)
{
	char text[CNODE_NAME_SIZE];
	ck_assert_int_eq(cnode_name_text(pid.node, text), 0);
	for (int i = 0; i < NODES; i++)
		if (strcmp(text, names[i]) == 0)
			return i;
	ck_abort_msg("a worker on %s", text);
	return -1;
}

static void pool(cnode_pool_options o)
{
	o.size = sizeof o;
	o.factory = "worker";
	if (o.retry_ms == 0)
		o.retry_ms = 20;
	ck_assert_msg(cnode_pool_start(nodes[A], "pool", &o, NULL) == 0, "%s", cnode_node_error(nodes[A]));
	await_workers(o.workers);
}
#define POOL(...) pool((cnode_pool_options){ __VA_ARGS__ })
#define ALL "a@127.0.0.1, b@127.0.0.1, c@127.0.0.1"

START_TEST(round_robin_spreads_workers_and_tasks)
{
	POOL(.nodes = ALL, .workers = 6);
	for (int i = 0; i < NODES; i++)
		ck_assert_int_eq(workers_on(i), 2);
	cnode_pid first[6];
	for (int i = 0; i < 12; i++) {
		cnode_pid pid = next();
		if (i < 6)
			first[i] = pid;
		else
			ck_assert(cnode_pid_equal(pid, first[i - 6]));
		for (int j = 0; j < i && j < 6 && i < 6; j++)
			ck_assert(!cnode_pid_equal(pid, first[j]));
	}
	ck_assert_int_eq(stat("given"), 12);
}
END_TEST

START_TEST(local_first_stays_on_its_node)
{
	POOL(.nodes = ALL, .workers = 3, .placement = CNODE_PLACE_LOCAL_FIRST);
	ck_assert_int_eq(workers_on(A), 3);
	ck_assert_int_eq(node_of(next()), A);
}
END_TEST

START_TEST(a_named_node_is_stood_in_for_while_it_is_lost)
{
	POOL(.nodes = "c@127.0.0.1,b@127.0.0.1", .workers = 3, .placement = CNODE_PLACE_NODE, .retry_ms = 60000);
	ck_assert_int_eq(workers_on(C), 3);
	cnode_node_free(nodes[C]);
	nodes[C] = NULL;
	while (workers_on(B) != 3)
		continue;
	ck_assert_int_eq(node_of(next()), B);
	ck_assert_int_eq(stat("started"), 6);
}
END_TEST

START_TEST(workers_lost_with_a_node_are_replaced_and_it_is_used_again)
{
	POOL(.nodes = "b@127.0.0.1,c@127.0.0.1", .workers = 4);
	char address[64];
	snprintf(address, sizeof address, "127.0.0.1:%u", (unsigned)cnode_node_port(nodes[C]));
	ck_assert_int_eq(workers_on(C), 2);
	cnode_node_free(nodes[C]);
	nodes[C] = NULL;
	while (workers_on(B) != 4)
		continue;
	open_node(C, address);
	/* What ends now finds both nodes again, in turn. */
	while (workers_on(C) == 0) {
		cnode_term reply;
		cnode_pid pid = next();
		if (cnode_call(mb, pid, TAP_WAIT_MS, &reply, "stop") == 0)
			cnode_term_drop(reply);
		await_workers(4);
	}
}
END_TEST

START_TEST(a_worker_that_ends_is_replaced)
{
	POOL(.nodes = "b@127.0.0.1", .workers = 2);
	cnode_pid old = next();
	cnode_term reply;
	ck_assert_int_eq(cnode_call(mb, old, TAP_WAIT_MS, &reply, "stop"), 0);
	cnode_term_drop(reply);
	while (stat("started") != 3)
		continue;
	for (int i = 0; i < 4; i++)
		ck_assert(!cnode_pid_equal(next(), old));
}
END_TEST

START_TEST(least_loaded_looks_at_the_processes_of_nodes)
{
	cnode_term none;
	ck_assert_int_eq(cnode_format(&none, "[]"), 0);
	for (int i = 0; i < 50; i++) {
		ck_assert_int_eq(cnode_process_start(nodes[B], NULL, &worker, NULL, none, NULL), 0);
		ck_assert_int_eq(cnode_process_start(nodes[A], NULL, &worker, NULL, none, NULL), 0);
	}
	cnode_term_drop(none);
	POOL(.nodes = ALL, .workers = 1, .placement = CNODE_PLACE_LEAST_LOADED, .refresh_ms = 5);
	/* What was asked for before anything was counted may be anywhere. */
	for (bool known = false; !known;) {
		cnode_term list = ask("nodes");
		char text[1024];
		cnode_term_print(list, text, sizeof text);
		known = !strstr(text, "undefined");
		cnode_term_drop(list);
	}
	cnode_term reply = ask("{resize,20}");
	ck_assert_int_eq(cnode_scan(reply, "ok"), 0);
	cnode_term_drop(reply);
	await_workers(20);
	ck_assert_int_ge(workers_on(C), 19);
	ck_assert_int_eq(node_of(next()), C);
}
END_TEST

static size_t choose_last(void *context, const cnode_pool_node *const *list, size_t count)
{
	ck_assert_ptr_eq(context, &mb);
	ck_assert_str_ne(list[count - 1]->name, "");
	return count - 1;
}

START_TEST(an_own_function_chooses)
{
	POOL(.nodes = ALL, .workers = 3, .placement = CNODE_PLACE_BY, .choose = choose_last, .context = &mb);
	ck_assert_int_eq(workers_on(C), 3);
}
END_TEST

START_TEST(random_uses_all_nodes)
{
	POOL(.nodes = ALL, .workers = 60, .placement = CNODE_PLACE_RANDOM);
	for (int i = 0; i < NODES; i++)
		ck_assert_int_gt(workers_on(i), 0);
}
END_TEST

START_TEST(a_pool_grows_and_shrinks)
{
	POOL(.nodes = "b@127.0.0.1", .workers = 2);
	cnode_term_drop(ask("{resize,5}"));
	await_workers(5);
	cnode_term_drop(ask("{resize,1}"));
	await_workers(1);
	cnode_term reply = ask("{resize,0}");
	ck_assert_int_eq(cnode_scan(reply, "{error,badarg}"), 0);
	cnode_term_drop(reply);
	ck_assert_int_eq(node_of(next()), B);
}
END_TEST

static int sum_processes(void *context, const cnode_factory_info *factory)
{
	*(uint64_t *)context += factory->processes;
	return 0;
}

START_TEST(a_pool_that_ends_takes_its_workers_along)
{
	cnode_pid pid;
	cnode_info info;
	cnode_ref ref;
	POOL(.nodes = "b@127.0.0.1", .workers = 5);
	cnode_pid one = next();
	ck_assert_int_eq(cnode_monitor(cnode_mailbox_process(mb), one, &ref), 0);
	ck_assert_int_eq(cnode_whereis(nodes[A], "pool", &pid), 0);
	ck_assert_int_eq(cnode_exit(cnode_mailbox_process(mb), pid, "kill"), 0);
	ck_assert_int_eq(cnode_receive(mb, &info, TAP_WAIT_MS), 0);
	ck_assert_int_eq(info.kind, CNODE_DOWN);
	for (uint64_t left = 1; left > 0;) {
		left = 0;
		ck_assert_int_eq(cnode_factory_list(nodes[B], sum_processes, &left), 0);
	}
}
END_TEST

/* A worker that goes as its node does. */
static int fragile_info(cnode_process *self, void *state, const cnode_info *info)
{
	(void)state;
	return info->kind == CNODE_MESSAGE ? cnode_stop(self, "shutdown") : 0;
}

static const cnode_behaviour fragile = { CNODE_BEHAVIOUR_INIT, .handle_info = fragile_info };

/* Each loss has the pool look for empty places, and there are more of them each time. */
START_TEST(losing_all_workers_costs_less_than_starting_them)
{
	enum { MANY = 10000 };
	cnode_pool_options o = CNODE_POOL_INIT;
	o.factory = "fragile";
	o.workers = MANY;
	o.retry_ms = CNODE_INFINITY;
	ck_assert_int_eq(cnode_factory_add(nodes[A], "fragile", &fragile, NULL, names[A]), 0);
	clock_t begin = clock();
	ck_assert_int_eq(cnode_pool_start(nodes[A], "pool", &o, NULL), 0);
	await_workers(MANY);
	clock_t up = clock();
	cnode_term list = ask("workers");
	cnode_reader r = cnode_read(list);
	for (size_t n; (n = cnode_read_list(&r)) > 0;)
		while (n--)
			ck_assert_int_eq(cnode_send(cnode_mailbox_process(mb), cnode_read_pid(&r), "go"), 0);
	cnode_term_drop(list);
	await_workers(0);
	clock_t down = clock();
	ck_assert_msg(down - up < up - begin, "%ld of processor time, and %ld to start them", (long)(down - up), (long)(up - begin));
}
END_TEST

START_TEST(a_node_may_be_left_alone_for_ever)
{
	cnode_pool_options o = CNODE_POOL_INIT;
	o.factory = "worker";
	o.workers = 1;
	o.nodes = "d@127.0.0.1, b@127.0.0.1";
	o.placement = CNODE_PLACE_NODE;
	o.retry_ms = CNODE_INFINITY;
	ck_assert_int_eq(cnode_node_route(nodes[A], "d@127.0.0.1", "127.0.0.1:1"), 0);
	ck_assert_int_eq(cnode_pool_start(nodes[A], "pool", &o, NULL), 0);
	await_workers(1);               /* the first that is not left alone */
	ck_assert_int_eq(stat("failed"), 1);
}
END_TEST

/* A worker that begins when the gate is open. */
static pthread_mutex_t gate_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_moved = PTHREAD_COND_INITIALIZER;
static bool gate_open;
static int at_gate;

static int held_init(cnode_process *self, void *state, const cnode_start *how)
{
	(void)self;
	(void)state;
	(void)how;
	pthread_mutex_lock(&gate_lock);
	at_gate++;
	pthread_cond_broadcast(&gate_moved);
	while (!gate_open)
		pthread_cond_wait(&gate_moved, &gate_lock);
	pthread_mutex_unlock(&gate_lock);
	return 0;
}

static const cnode_behaviour held = { CNODE_BEHAVIOUR_INIT, .init = held_init, .handle_call = worker_call };

START_TEST(a_pool_that_shrinks_ends_workers_that_begin_later)
{
	cnode_pool_options o = CNODE_POOL_INIT;
	o.factory = "held";
	o.workers = 3;
	o.nodes = names[B];
	ck_assert_int_eq(cnode_factory_add(nodes[B], "held", &held, NULL, names[A]), 0);
	ck_assert_int_eq(cnode_pool_start(nodes[A], "pool", &o, NULL), 0);
	pthread_mutex_lock(&gate_lock);
	while (at_gate < 3)
		pthread_cond_wait(&gate_moved, &gate_lock);
	pthread_mutex_unlock(&gate_lock);
	cnode_term_drop(ask("{resize,1}"));
	pthread_mutex_lock(&gate_lock);
	gate_open = true;
	pthread_cond_broadcast(&gate_moved);
	pthread_mutex_unlock(&gate_lock);
	await_workers(1);
	for (uint64_t left = 0; left != 1;) {
		left = 0;
		ck_assert_int_eq(cnode_factory_list(nodes[B], sum_processes, &left), 0);
	}
}
END_TEST

START_TEST(a_pool_without_any_node_says_so)
{
	cnode_pool_options o = CNODE_POOL_INIT;
	o.factory = "worker";
	o.workers = 1;
	o.nodes = "d@127.0.0.1";
	ck_assert_int_eq(cnode_node_route(nodes[A], "d@127.0.0.1", "127.0.0.1:1"), 0);
	ck_assert_int_eq(cnode_pool_start(nodes[A], "pool", &o, NULL), 0);
	cnode_term reply = ask("next");
	ck_assert_int_eq(cnode_scan(reply, "{error,no_workers}"), 0);
	cnode_term_drop(reply);
	while (stat("failed") == 0)
		continue;
}
END_TEST

/* A pool may end what it has started, and whoever can say something to it may not use it to end something else. */
START_TEST(an_answer_to_nothing_that_was_asked_ends_nobody)
{
	cnode_process *self = cnode_mailbox_process(mb);
	cnode_term none, reply;
	cnode_pid victim, to;
	cnode_ref ref;
	POOL(.workers = 1);
	ck_assert_int_eq(cnode_format(&none, "[]"), 0);
	ck_assert_int_eq(cnode_process_start(nodes[A], NULL, &worker, NULL, none, &victim), 0);
	cnode_term_drop(none);
	ck_assert_int_eq(cnode_whereis(nodes[A], "pool", &to), 0);
	ck_assert_int_eq(cnode_make_ref(self, &ref), 0);
	ck_assert_int_eq(cnode_send(self, to, "{spawn_reply,~r,ok,~p}", ref, victim), 0);
	ck_assert_int_eq(stat("workers"), 1);           /* it has read that */
	ck_assert_msg(cnode_call(mb, victim, TAP_WAIT_MS, &reply, "hello") == 0, "%s", cnode_mailbox_error(mb));
	cnode_term_drop(reply);
}
END_TEST

/* Whatever stands between the names, each has its room. */
START_TEST(names_of_nodes_may_have_blanks_tabs_and_commas_between_them)
{
	enum { MANY = 400 };
	char text[MANY * 20], *at = text;
	for (int i = 0; i < MANY; i++)
		at += sprintf(at, "b%d@127.0.0.1%s", i, i % 100 ? "\t" : " ,\t ");
	cnode_pool_options o = CNODE_POOL_INIT;
	o.factory = "worker";
	o.workers = 1;
	o.nodes = text;
	ck_assert_int_eq(cnode_pool_start(nodes[A], "pool", &o, NULL), 0);
	cnode_term list = ask("nodes");
	cnode_reader r = cnode_read(list);
	ck_assert_uint_eq(cnode_read_list(&r), MANY);
	cnode_term_drop(list);
}
END_TEST

START_TEST(bad_options_are_refused)
{
	static const cnode_pool_options bad[] = {
		{ .size = sizeof bad[0], .workers = 1 },
		{ .size = sizeof bad[0], .factory = "worker" },
		{ .size = sizeof bad[0], .factory = "worker", .workers = 10001 },
		{ .size = sizeof bad[0], .factory = "worker", .workers = 1, .placement = CNODE_PLACE_BY },
		{ .size = sizeof bad[0], .factory = "worker", .workers = 1, .nodes = "no_node" },
		{ .size = sizeof bad[0], .factory = "worker", .workers = 1, .nodes = "" },
		{ .size = 4 },
	};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		int rc = cnode_pool_start(nodes[A], "pool", &bad[i], NULL);
		ck_assert_msg(rc == CNODE_EBADARG || rc == CNODE_EBADNAME, "%zu: %d", i, rc);
	}
	POOL(.workers = 1);
	cnode_pool_options o = CNODE_POOL_INIT;
	o.factory = "worker";
	o.workers = 1;
	ck_assert_int_eq(cnode_pool_start(nodes[A], "pool", &o, NULL), CNODE_ENAMETAKEN);
	ck_assert_ptr_nonnull(strstr(cnode_node_error(nodes[A]), "pool"));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("pool");
	TCase *tc = tcase_create("three nodes");
	tcase_add_checked_fixture(tc, open_nodes, close_nodes);
	tcase_add_test(tc, round_robin_spreads_workers_and_tasks);
	tcase_add_test(tc, local_first_stays_on_its_node);
	tcase_add_test(tc, a_named_node_is_stood_in_for_while_it_is_lost);
	tcase_add_test(tc, workers_lost_with_a_node_are_replaced_and_it_is_used_again);
	tcase_add_test(tc, a_worker_that_ends_is_replaced);
	tcase_add_test(tc, least_loaded_looks_at_the_processes_of_nodes);
	tcase_add_test(tc, an_own_function_chooses);
	tcase_add_test(tc, random_uses_all_nodes);
	tcase_add_test(tc, a_pool_grows_and_shrinks);
	tcase_add_test(tc, a_pool_that_ends_takes_its_workers_along);
	tcase_add_test(tc, a_pool_without_any_node_says_so);
	tcase_add_test(tc, losing_all_workers_costs_less_than_starting_them);
	tcase_add_test(tc, a_node_may_be_left_alone_for_ever);
	tcase_add_test(tc, a_pool_that_shrinks_ends_workers_that_begin_later);
	tcase_add_test(tc, an_answer_to_nothing_that_was_asked_ends_nobody);
	tcase_add_test(tc, names_of_nodes_may_have_blanks_tabs_and_commas_between_them);
	tcase_add_test(tc, bad_options_are_refused);
	suite_add_tcase(s, tc);
	return tap_run(s);
}
