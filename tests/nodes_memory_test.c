/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two whole nodes while memory lacks, at every allocation in turn: in what they do for each other, and in their beginning.
 * Whoever waits hears something (the answer, or an error that says why), and when there is memory again all goes on.
 */
#include <sys/resource.h>

#include "cnode/node/peer.h"
#include "tests/alloc_fail.h"
#include "tests/spawn_nodes.h"

static void open_nodes_with_scarce_memory(void)
{
	alloc_fail_install();
	open_nodes();
	ck_assert_int_eq(cnode_factory_add(a, "probe", &probe, NULL, CNODE_NO_NODES), 0);
	ck_assert_int_eq(cnode_function_allow(b, "erlang", "node", "*"), 0);
}

static int ping(void)
{
	return cnode_ping(mb, B, TAP_WAIT_MS, NULL, NULL);
}

static int call_db(void)
{
	cnode_term reply;
	int rc = cnode_call_name(mb, "db", B, TAP_WAIT_MS, &reply, "count");
	if (rc == 0)
		cnode_term_drop(reply);
	return rc;
}

/* A function of b by its rex, as `word` has it. */
static int rex(const char *word)
{
	cnode_term reply;
	int rc = cnode_call_name(mb, "rex", B, TAP_WAIT_MS, &reply, "{~a,erlang,node,[],user}", word);
	if (rc == 0)
		cnode_term_drop(reply);
	return rc;
}

static int rex_call(void)
{
	return rex("call");
}

static int rex_block_call(void)
{
	return rex("block_call");
}

static int rex_refuses(void)
{
	cnode_term reply;
	int rc = cnode_call_name(mb, "rex", B, TAP_WAIT_MS, &reply, "{call,erlang,memory,[],user}");
	if (rc == 0)
		cnode_term_drop(reply);
	return rc;
}

/* Output to the user of b, as io:put_chars does it. */
static int write_there(void)
{
	cnode_ref ref;
	cnode_info m;
	int rc = cnode_monitor_name(self(), "user", B, &ref);
	if (rc != 0)
		return rc;
	rc = cnode_send_name(self(), "user", B, "{io_request,~p,~r,{put_chars,unicode,<<>>}}", cnode_self(self()), ref);
	if (rc == 0)
		rc = cnode_receive(mb, &m, TAP_WAIT_MS);
	if (rc == 0 && m.kind == CNODE_DOWN)
		rc = cn_term_is_atom(m.reason, "noproc") ? CNODE_ENOPROC : CNODE_ELOST;
	cnode_demonitor(self(), ref, CNODE_FLUSH);
	return rc;
}

/* A process is spawned, asked and ended. */
static int spawn_at(const char *node)
{
	cnode_spawn_options how = CNODE_SPAWN_INIT;
	cnode_term none, reply;
	cnode_pid pid;
	how.timeout_ms = TAP_WAIT_MS;
	how.monitor = true;
	int rc = cnode_parse("[]", &none, NULL);
	if (rc != 0)
		return rc;
	rc = cnode_spawn_remote(mb, node, "probe", none, &how, &pid);
	cnode_term_drop(none);
	if (rc != 0)
		return rc;
	rc = cnode_call(mb, pid, TAP_WAIT_MS, &reply, "count");
	if (rc == 0)
		cnode_term_drop(reply);
	cnode_exit(self(), pid, "~a", "kill");
	return rc;
}

static int spawn_there(void)
{
	return spawn_at(B);
}

static int spawn_here(void)
{
	return spawn_at(A);
}

static const struct {
	const char *name;
	int (*run)(void);
	bool connected;             /* else it waits for a connection first */
	bool of_service;            /* net_kernel, rex or user is asked */
} deeds[] = {
	{ "ping", ping, false, true },
	{ "call", call_db, false, false },
	{ "call", call_db, true, false },
	{ "spawn", spawn_there, false, false },
	{ "spawn", spawn_there, true, false },
	{ "spawn of its own", spawn_here, true, false },
	{ "call of rex", rex_call, true, true },
	{ "call of rex that is refused", rex_refuses, true, true },
	{ "block_call", rex_block_call, true, true },
	{ "output", write_there, true, true },
};

/* The end of a connection that lacked memory may be heard of a little later, by whoever asks next. */
static bool is_aftermath(int rc)
{
	return rc == CNODE_ENOCONNECTION || rc == CNODE_ELOST;
}

/* Both nodes are as they were: nothing is left that a lack of memory broke. */
static void works_again(long k)
{
	cnode_info m;
	cnode_pid pid;
	while (cnode_receive(mb, &m, 0) == 0)
		continue;
	if (cnode_whereis(b, "db", &pid) != 0)
		start_named("db");
	int rc = CNODE_ELOST;
	for (int tries = 0; tries < 10 && is_aftermath(rc); tries++)
		rc = call_db();
	ck_assert_msg(rc == 0, "after allocation %ld: %s", k, cnode_mailbox_error(mb));
}

static void disconnect(void)
{
	cnode_info m;
	ck_assert_int_eq(cnode_monitor_node(self(), B, true), 0);
	cnode_disconnect(a, B);
	do
		ck_assert_int_eq(cnode_receive(mb, &m, TAP_WAIT_MS), 0);
	while (m.kind != CNODE_NODEDOWN);
}

START_TEST(whoever_waits_hears_something_when_memory_lacks)
{
	const char *name = deeds[_i / 2].name;
	int rest = _i % 2;
	long k = 0;
	bool reached = true;
	int aftermaths = 0;
	works_again(0);
	while (reached) {
		if (!deeds[_i / 2].connected)
			disconnect();
		alloc_fail_at(++k, rest);
		int rc = deeds[_i / 2].run();
		reached = alloc_fail_never();
		if (rc == CNODE_ENOMEM && deeds[_i / 2].run == ping)
			ck_assert_msg(strstr(cnode_mailbox_error(mb), "memory"), "%s", cnode_mailbox_error(mb));
		/* An error is an answer; that nothing came for 20 s is none. */
		ck_assert_msg(rc != CNODE_ETIMEOUT, "%s: nothing was heard when allocation %ld%s failed", name, k, rest ? " and the rest" : "");
		/* A service that ended is started again, but later each time. */
		ck_assert_msg(reached || rc == 0 || is_aftermath(rc) || (rc == CNODE_ENOPROC && deeds[_i / 2].of_service), "%s: %s",
			      name, cnode_mailbox_error(mb));
		/* Then all was not done yet. */
		if (!reached && is_aftermath(rc) && aftermaths++ < 10)
			reached = true;
		works_again(k);
	}
	ck_assert_int_gt(k, 3);
}
END_TEST

/* ---- who was told to wait, because too much waits for a connection ---- */

#define SENDERS 4
#define TURNS 3
#define LARGE 300000            /* more than a sender's thread writes by itself: it is suspended behind each */

static pthread_mutex_t flow_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t flow_moved = PTHREAD_COND_INITIALIZER;
static struct {
	cnode_pid pid;
	int told, went;         /* turns */
	bool began, there;      /* one that ends before its init is not released */
} sender[SENDERS];
static cnode_term large;

static int sender_init(cnode_process *self, void *state, const cnode_start *how)
{
	(void)self;
	int rc = cnode_scan(how->args, "[~q]", (int64_t *)state);
	pthread_mutex_lock(&flow_lock);
	sender[*(int64_t *)state].began = true;
	pthread_cond_broadcast(&flow_moved);
	pthread_mutex_unlock(&flow_lock);
	return rc;
}

/* A turn: a message that is sent makes it wait before the next turn, and one that is not is an error that it has heard. */
static int sender_info(cnode_process *self, void *state, const cnode_info *info)
{
	if (info->kind != CNODE_MESSAGE)
		return 0;
	(void)cnode_send_name_term(self, "db", B, large, 0);
	pthread_mutex_lock(&flow_lock);
	sender[*(int64_t *)state].went++;
	pthread_cond_broadcast(&flow_moved);
	pthread_mutex_unlock(&flow_lock);
	return 0;
}

static void sender_release(void *state)
{
	pthread_mutex_lock(&flow_lock);
	sender[*(int64_t *)state].there = false;
	pthread_cond_broadcast(&flow_moved);
	pthread_mutex_unlock(&flow_lock);
}

static const cnode_behaviour sender_behaviour = {
	CNODE_BEHAVIOUR_INIT, .state_size = sizeof(int64_t), .init = sender_init, .handle_info = sender_info, .release = sender_release,
};

/* Those that a lack of memory has ended, too. */
static void start_senders(void)
{
	for (int64_t i = 0; i < SENDERS; i++) {
		cnode_term number;
		pthread_mutex_lock(&flow_lock);
		bool there = sender[i].there;
		sender[i].told = sender[i].went = 0;
		sender[i].there = true;
		sender[i].began = there;
		pthread_mutex_unlock(&flow_lock);
		if (there)
			continue;
		ck_assert_int_eq(cnode_format(&number, "[~q]", i), 0);
		ck_assert_int_eq(cnode_process_start(a, NULL, &sender_behaviour, NULL, number, &sender[i].pid), 0);
		cnode_term_drop(number);
	}
	pthread_mutex_lock(&flow_lock);
	for (int i = 0; i < SENDERS; i++)
		while (!sender[i].began)
			pthread_cond_wait(&flow_moved, &flow_lock);
	pthread_mutex_unlock(&flow_lock);
}

static int waiting_senders(void)
{
	int count = 0;
	for (int i = 0; i < SENDERS; i++)
		count += sender[i].there && sender[i].went < sender[i].told;
	return count;
}

/* Until each has had its turns, or has ended. A turn may wait for an attempt to connect that takes all its time (7 s). */
static bool all_go_on(void)
{
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += TURNS * TAP_WAIT_MS / 1000;
	pthread_mutex_lock(&flow_lock);
	while (waiting_senders() > 0 && pthread_cond_timedwait(&flow_moved, &flow_lock, &until) == 0)
		continue;
	bool all = waiting_senders() == 0;
	pthread_mutex_unlock(&flow_lock);
	return all;
}

static void open_nodes_that_hold_senders_back(void)
{
	alloc_fail_install();
	high_water = 10000;
	open_nodes();
	char *bytes = calloc(1, LARGE);
	ck_assert_int_eq(cnode_format(&large, "~b", bytes, (size_t)LARGE), 0);
	free(bytes);
}

static void close_nodes_and_senders(void)
{
	close_nodes();
	cnode_term_drop(large);
}

/* By a connection that is there (even _i), or while one is being made; one allocation that fails, or all behind it too. */
START_TEST(whoever_was_told_to_wait_goes_on_when_memory_lacks)
{
	int rest = _i / 2;
	long k = 0;
	for (bool reached = true; reached;) {
		works_again(k);
		if (_i % 2)
			disconnect();
		start_senders();
		alloc_fail_at(++k, rest);
		for (int turn = 0; turn < TURNS; turn++)
			for (int i = 0; i < SENDERS; i++) {
				int rc = cnode_send(self(), sender[i].pid, "go");
				pthread_mutex_lock(&flow_lock);
				sender[i].told += rc == 0;
				pthread_mutex_unlock(&flow_lock);
			}
		ck_assert_msg(all_go_on(), "%d senders wait for ever when allocation %ld%s failed", waiting_senders(), k, rest ? " and the rest" : "");
		reached = alloc_fail_never();
	}
	ck_assert_int_gt(k, 20);
}
END_TEST

/* ---- a pool whose threads have run for long, and cannot be replaced ---- */

#define LONG_RUNNERS 3
#define MEETING 6               /* processes; the others wait behind the long runners, so that these are lowered */

static int began, lowered, handled;
static bool lack;               /* memory does: nobody runs for long any more */

/* Runs for so long that its thread gets less of the processor (where it can have less). */
static void run_for_long(void)
{
	const int nice = getpriority(PRIO_PROCESS, 0);
	const uint64_t until = cn_now() + (nice < 19 ? 60 : 1) * CN_NS_PER_S;
	while (getpriority(PRIO_PROCESS, 0) == nice && cn_now() < until)
		sched_yield();
}

static int long_init(cnode_process *self, void *state, const cnode_start *how)
{
	(void)self;
	(void)state;
	(void)how;
	pthread_mutex_lock(&flow_lock);
	began++;
	pthread_cond_broadcast(&flow_moved);
	pthread_mutex_unlock(&flow_lock);
	return 0;
}

static int long_info(cnode_process *self, void *state, const cnode_info *info)
{
	(void)self;
	(void)state;
	if (info->kind != CNODE_MESSAGE)
		return 0;
	pthread_mutex_lock(&flow_lock);
	bool runs = !lack;
	pthread_mutex_unlock(&flow_lock);
	if (runs)
		run_for_long();
	pthread_mutex_lock(&flow_lock);
	lowered += runs;
	pthread_cond_broadcast(&flow_moved);
	while (!lack)
		pthread_cond_wait(&flow_moved, &flow_lock);
	handled++;
	pthread_cond_broadcast(&flow_moved);
	pthread_mutex_unlock(&flow_lock);
	return 0;
}

static const cnode_behaviour long_behaviour = { CNODE_BEHAVIOUR_INIT, .init = long_init, .handle_info = long_info };

START_TEST(processes_run_on_when_no_thread_can_take_the_place_of_a_slow_one)
{
	alloc_fail_install();
	cnode_config cfg = loopback_config("c@127.0.0.1");
	cfg.threads = 2;
	cfg.max_threads = LONG_RUNNERS + 1;
	cnode_node *c;
	cnode_mailbox *box;
	cnode_pid pid[MEETING];
	ck_assert_int_eq(cnode_node_new(&cfg, &c), 0);
	ck_assert_int_eq(cnode_node_start(c), 0);
	ck_assert_int_eq(cnode_mailbox_open(c, NULL, &box), 0);
	for (int i = 0; i < MEETING; i++)
		ck_assert_int_eq(cnode_process_start(c, NULL, &long_behaviour, NULL, (cnode_term){ 0 }, &pid[i]), 0);
	pthread_mutex_lock(&flow_lock);
	while (began < MEETING)
		pthread_cond_wait(&flow_moved, &flow_lock);
	pthread_mutex_unlock(&flow_lock);
	for (int i = 0; i < MEETING * TURNS; i++)
		ck_assert_int_eq(cnode_send(cnode_mailbox_process(box), pid[i % MEETING], "go"), 0);
	pthread_mutex_lock(&flow_lock);
	while (lowered < LONG_RUNNERS)
		pthread_cond_wait(&flow_moved, &flow_lock);
	alloc_fail_at(1, 1);
	lack = true;
	pthread_cond_broadcast(&flow_moved);
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += TAP_WAIT_MS / 1000;
	while (handled < MEETING * TURNS && pthread_cond_timedwait(&flow_moved, &flow_lock, &until) == 0)
		continue;
	ck_assert_int_eq(handled, MEETING * TURNS);
	pthread_mutex_unlock(&flow_lock);
	alloc_fail_never();
	cnode_mailbox_close(box);
	cnode_node_free(c);
}
END_TEST

/* ---- what a mailbox has ---- */

START_TEST(a_message_that_cannot_be_shown_for_lack_of_memory_stays)
{
	cnode_info m;
	cnode_ref ref;
	long k = 0, lacked = 0;
	/* Another thread may take the failure. */
	while (lacked < 2) {
		ck_assert_int_lt(++k, 1000);
		ck_assert_int_eq(cnode_monitor_name(self(), "nobody", NULL, &ref), 0);
		alloc_fail_at(1 + k % 4, 0);
		int rc = cnode_receive(mb, &m, TAP_WAIT_MS);
		alloc_fail_never();
		if (rc == CNODE_ENOMEM) {
			lacked++;
			rc = cnode_receive(mb, &m, 0);
		}
		ck_assert_msg(rc == 0, "%s", cnode_strerror(rc));
		ck_assert_int_eq(m.kind, CNODE_DOWN);
		ck_assert(cnode_ref_equal(m.ref, ref));
	}
}
END_TEST

/* ---- a lock of global ---- */

START_TEST(a_lock_of_global_is_granted_or_an_error_when_memory_lacks)
{
	const char *const nodes[] = { A, NULL };
	cnode_term resource, me;
	ck_assert_int_eq(cnode_format(&resource, "res"), 0);
	ck_assert_int_eq(cnode_format(&me, "me"), 0);
	/* Other threads take some of the failures. */
	for (int round = 0; round < 5; round++)
		for (long k = 1; k <= 20; k++) {
			alloc_fail_at(k, 0);
			int rc = cnode_global_set_lock(mb, resource, me, nodes, 0, TAP_WAIT_MS);
			alloc_fail_never();
			ck_assert_msg(rc == 0 || rc == CNODE_ENOMEM || rc == CNODE_EEXITED, "%ld: %s", k, cnode_mailbox_error(mb));
			alloc_fail_at(k, 0);
			rc = cnode_global_del_lock(mb, resource, me, nodes, TAP_WAIT_MS);
			alloc_fail_never();
			ck_assert_msg(rc == 0 || rc == CNODE_ENOMEM || rc == CNODE_EEXITED, "%ld: %s", k, cnode_mailbox_error(mb));
		}
	cnode_term_drop(resource);
	cnode_term_drop(me);
}
END_TEST

/* ---- dynamic names (node/dynamic.c) ---- */

static struct cn_cluster *cluster;
static struct cn_loop *loop;
static struct cn_procs *procs;

static void open_cluster(void)
{
	static const struct cn_cluster_ops ops = { 0 };
	struct cn_cluster_config config = { .name = "me@h", .cookie = "secret" };
	struct cn_procs_config process_config = { .creation = 5 };
	cnode_name me;
	ck_assert_int_eq(cnode_name_of("me@h", &me), 0);
	process_config.node = me;
	ck_assert_int_eq(cn_loop_new(NULL, &loop), 0);
	ck_assert_int_eq(cn_procs_new(&process_config, NULL, NULL, &procs), 0);
	ck_assert_int_eq(cn_cluster_new(&config, loop, procs, NULL, &ops, NULL, &cluster), 0);
}

static void close_cluster(void)
{
	cn_cluster_free(cluster);
	cn_procs_free(procs);
	cn_loop_free(loop);
}

/* Connections are known by their addresses only. */
#define CONN(n) ((const struct cn_conn *)(const void *)&connections[n])
static const char connections[8];

START_TEST(a_dynamic_name_goes_to_the_next_of_its_host_with_the_next_creation)
{
	struct cn_hello one, other, again;
	ck_assert(cn_dynamic_give(cluster, CONN(0), "h1", &one));
	ck_assert(cn_dynamic_give(cluster, CONN(1), "h1", &other));
	ck_assert_str_ne(one.name, other.name);
	ck_assert_str_eq(strchr(one.name, '@'), "@h1");
	ck_assert_uint_ge(one.creation, 4);
	cn_dynamic_up(cluster, CONN(0));
	cn_dynamic_down(cluster, CONN(0));
	/* Another host's is not given; a stranger's, who was never up, is forgotten. */
	ck_assert(cn_dynamic_give(cluster, CONN(2), "h2", &again));
	ck_assert_str_eq(strchr(again.name, '@'), "@h2");
	cn_dynamic_down(cluster, CONN(2));
	cn_dynamic_down(cluster, CONN(1));
	ck_assert(cn_dynamic_give(cluster, CONN(3), "h1", &again));
	ck_assert_str_eq(again.name, one.name);
	ck_assert_uint_eq(again.creation, one.creation + 1 < 4 ? 4 : one.creation + 1);
	struct cn_hello fresh;
	ck_assert(cn_dynamic_give(cluster, CONN(4), "h1", &fresh));
	ck_assert_str_ne(fresh.name, other.name);
	for (int i = 3; i < 5; i++)
		cn_dynamic_down(cluster, CONN(i));
}
END_TEST

START_TEST(a_peer_that_asks_for_a_name_is_refused_when_memory_lacks)
{
	struct cn_hello answer;
	int refused = 0;
	bool given = false;
	for (long k = 1; !given; k++) {
		alloc_fail_at(k, 0);
		given = cn_dynamic_give(cluster, CONN(0), "h1", &answer);
		alloc_fail_never();
		refused += !given;
		/* Nothing of it is left: whoever asks next has it all for himself. */
		ck_assert(given == (cluster->dynamic != NULL));
	}
	ck_assert_int_gt(refused, 0);
	cn_dynamic_down(cluster, CONN(0));
	ck_assert_ptr_null(cluster->dynamic);
}
END_TEST

static void open_cluster_with_scarce_memory(void)
{
	alloc_fail_install();
	open_cluster();
}

int main(void)
{
	Suite *s = suite_create("nodes_memory");
	TCase *names = tcase_create("names");
	tcase_add_checked_fixture(names, open_cluster_with_scarce_memory, close_cluster);
	tcase_add_test(names, a_dynamic_name_goes_to_the_next_of_its_host_with_the_next_creation);
	tcase_add_test(names, a_peer_that_asks_for_a_name_is_refused_when_memory_lacks);
	suite_add_tcase(s, names);
	TCase *tc = tcase_create("two");
	tcase_add_checked_fixture(tc, open_nodes_with_scarce_memory, close_nodes);
	tcase_add_test(tc, a_message_that_cannot_be_shown_for_lack_of_memory_stays);
	tcase_add_test(tc, a_lock_of_global_is_granted_or_an_error_when_memory_lacks);
	tcase_add_loop_test(tc, whoever_waits_hears_something_when_memory_lacks, 0, 2 * CN_ARRAY_SIZE(deeds));
	suite_add_tcase(s, tc);
	TCase *held = tcase_create("held back");
	tcase_add_checked_fixture(held, open_nodes_that_hold_senders_back, close_nodes_and_senders);
	tcase_add_loop_test(held, whoever_was_told_to_wait_goes_on_when_memory_lacks, 0, 4);
	suite_add_tcase(s, held);
	TCase *threads = tcase_create("threads");
	tcase_add_test(threads, processes_run_on_when_no_thread_can_take_the_place_of_a_slow_one);
	suite_add_tcase(s, threads);
	return tap_run(s);
}
