/* SPDX-License-Identifier: Apache-2.0 */
/* A node of Phoenix.PubSub: workers that are members of a group of pg, and what they hear and say. */
#include "tests/pg_world.h"

#include <sched.h>

/* A worker of r@h, 31, in the group of one place of MyApp.PubSub. */
static void meet_worker(const char *group)
{
	cnode_pid scope;
	cnode_term t;
	ck_assert_int_eq(cn_procs_whereis(W.procs, WORKERS, &scope), 0);
	static const char *const formats[] = { "{discover,~p}", "{join,~p,~a,~p}" };
	for (size_t i = 0; i < CN_ARRAY_SIZE(formats); i++) {
		ck_assert_int_eq(cnode_format(&t, formats[i], R(8), group, R(31)), 0);
		struct cn_signal sig = FROM_PEER(MESSAGE, remote(8), scope, .term = t);
		deliver(&sig);
		cnode_term_drop(t);
		run();
	}
	out();
}

static const char *message_of(struct cnode_process *p)
{
	run();
	return got(p);
}

static int broadcast(struct cnode_process *p, unsigned flags, const char *topic, const char *message)
{
	cnode_term m = text_term(message);
	int rc = cn_pubsub_broadcast(P, p, "MyApp.PubSub", flags, topic, m);
	cnode_term_drop(m);
	run();
	return rc;
}

START_TEST(pubsub_gives_broadcasts_to_subscribers_and_workers)
{
	cnode_pid worker, other;
	ck_assert_int_eq(cn_pubsub_start(P, "MyApp.PubSub", 2, 0), 0);
	run();
	ck_assert_int_eq(cn_pubsub_start(P, "Elixir.MyApp.PubSub", 1, 0), CNODE_EEXIST);
	ck_assert_int_eq(cn_procs_whereis(W.procs, "Elixir.MyApp.PubSub.Adapter", &worker), 0);
	ck_assert_int_eq(cn_procs_whereis(W.procs, "Elixir.MyApp.PubSub.Adapter_2", &other), 0);
	meet_worker("Elixir.MyApp.PubSub.Adapter_2");
	meet_worker("Elixir.MyApp.PubSub.Adapter");
	ck_assert_int_eq(cn_pubsub_subscribe(P, A, "MyApp.PubSub", "t"), 0);
	ck_assert_int_eq(cn_pubsub_subscribe(P, A, "MyApp.PubSub", "t"), 0);
	ck_assert_int_eq(cn_pubsub_subscribe(P, B, "MyApp.PubSub", NULL), 0);
	deliver_term(FROM_PEER(MESSAGE, remote(31), worker), "{forward_to_local,<<\"t\">>,{hello,1},x}");
	deliver_term(FROM_PEER(MESSAGE, remote(31), worker), "{forward_to_local,<<\"u\">>,no,x}");
	deliver_term(FROM_PEER(MESSAGE, remote(31), worker), "{forward_to_local,all,no,x}");
	deliver_term(FROM_PEER(MESSAGE, remote(31), worker), "junk");
	ck_assert_str_eq(message_of(A), "{hello,1}");
	ck_assert_str_eq(message_of(A), "{hello,1}");
	ck_assert_str_eq(message_of(A), "");
	ck_assert_str_eq(message_of(B), "{forward_to_local,<<\"t\">>,{hello,1},x}");
	ck_assert_str_eq(message_of(B), "{forward_to_local,<<\"u\">>,no,x}");
	ck_assert_str_eq(message_of(B), "");
	ck_assert_int_eq(broadcast(A, CNODE_PUBSUB_FROM, "t", "x"), 0);
	ck_assert_str_eq(message_of(A), "");
	ck_assert_ptr_nonnull(strstr(message_of(B), "<<\"t\">>,x,'Elixir.Phoenix.PubSub'}"));
	char expected[100];
	snprintf(expected, sizeof expected, "MESSAGE %u -> 31 {forward_to_local,<<\"t\">>,x,'Elixir.Phoenix.PubSub'}", cnode_self(A).id);
	ck_assert_str_eq(out(), expected);
	ck_assert_int_eq(broadcast(A, CNODE_PUBSUB_LOCAL, "t", "y"), 0);
	ck_assert_str_eq(out(), "");
	ck_assert_str_eq(message_of(A), "y");
	ck_assert_int_eq(broadcast(A, 8, "t", "y"), CNODE_EBADARG);
	ck_assert_int_eq(broadcast(A, 0, NULL, "y"), CNODE_EBADARG);
	ck_assert_int_eq(cn_pubsub_unsubscribe(P, A, "MyApp.PubSub", "t"), 0);
	ck_assert_int_eq(cn_pubsub_unsubscribe(P, A, "MyApp.PubSub", "t"), CNODE_ENOTJOINED);
	ck_assert_int_eq(cn_pubsub_subscribe(P, A, "Other", "t"), CNODE_ENOENT);
	cnode_term m = text_term("z");
	ck_assert_int_eq(cn_pubsub_direct(P, A, "MyApp.PubSub", "r@h", "t", m), 0);
	cnode_term_drop(m);
	snprintf(expected, sizeof expected, "MESSAGE %u -> Elixir.MyApp.PubSub.Adapter {forward_to_local,<<\"t\">>,z,", cnode_self(A).id);
	ck_assert_ptr_nonnull(strstr(out(), expected));
	ck_assert_int_eq(cn_pubsub_stop(P, "MyApp.PubSub"), 0);
	run();
	ck_assert_int_eq(cn_procs_whereis(W.procs, "Elixir.MyApp.PubSub.Adapter", &worker), CNODE_ENOENT);
	ck_assert_int_eq(cn_pubsub_stop(P, "MyApp.PubSub"), CNODE_ENOENT);
	ck_assert_int_eq(cn_pubsub_start(P, "MyApp.PubSub", 1, 0), 0);
}
END_TEST

START_TEST(pubsub_refuses_what_cannot_be)
{
	ck_assert_int_eq(cn_pubsub_start(P, NULL, 1, 0), CNODE_EBADARG);
	ck_assert_int_eq(cn_pubsub_start(P, "", 1, 0), CNODE_EBADNAME);
	ck_assert_int_eq(cn_pubsub_start(P, "Elixir.", 1, 0), CNODE_EBADNAME);
	ck_assert_int_eq(cn_pubsub_start(P, "X", 0, 0), CNODE_EBADARG);
	ck_assert_int_eq(cn_pubsub_start(P, "X", 257, 0), CNODE_EBADARG);
	ck_assert_int_eq(cn_pubsub_start(P, "X", 1, CNODE_PG_LOCAL), CNODE_EBADARG);
	cnode_register(A, "Elixir.X.Adapter_2");
	ck_assert_int_eq(cn_pubsub_start(P, "X", 3, 0), CNODE_ENAMETAKEN);
	run();
	cnode_pid pid;
	ck_assert_int_eq(cn_procs_whereis(W.procs, "Elixir.X.Adapter", &pid), CNODE_ENOENT);
	cnode_unregister(A, "Elixir.X.Adapter_2");
	ck_assert_int_eq(cn_pubsub_start(P, "X", 3, 0), 0);
}
END_TEST

/* Its joins are gone with the scope; Phoenix's supervisor would start all of them again. */
static size_t workers_in(const char *group)
{
	size_t count;
	cnode_term g = text_term(group);
	ck_assert_int_eq(cn_pg_members(P, WORKERS, false, g, NULL, 0, &count), 0);
	cnode_term_drop(g);
	return count;
}

START_TEST(pubsub_workers_are_members_whatever_has_ended)
{
	static const char group[] = "'Elixir.MyApp.PubSub.Adapter_2'";
	cnode_pid scope, again, worker;
	ck_assert_int_eq(cn_pubsub_start(P, "MyApp.PubSub", 2, 0), 0);
	run();
	ck_assert_int_eq(cn_pubsub_subscribe(P, A, "MyApp.PubSub", "t"), 0);
	/* The scope's server: it is started again, and they are still members, once. */
	ck_assert_int_eq(cn_procs_whereis(W.procs, WORKERS, &scope), 0);
	deliver_term(FROM_PEER(EXIT2, remote(8), scope), "kill");
	run();
	cn_sched_expire(W.procs, cn_now() + CN_NS_PER_S, 100);
	run();
	ck_assert_int_eq(cn_procs_whereis(W.procs, WORKERS, &again), 0);
	ck_assert(!cnode_pid_equal(scope, again));
	ck_assert_uint_eq(workers_in(group), 1);
	/* The scope, by the program: they start it. */
	ck_assert_int_eq(cn_pg_stop(P, WORKERS), 0);
	run();
	cn_sched_expire(W.procs, cn_now() + CN_NS_PER_S, 100);
	run();
	ck_assert_uint_eq(workers_in(group), 1);
	/* A worker: another one is a member in its place, and gives broadcasts to who had subscribed. */
	ck_assert_int_eq(cn_procs_whereis(W.procs, "Elixir.MyApp.PubSub.Adapter_2", &worker), 0);
	deliver_term(FROM_PEER(EXIT2, remote(8), worker), "kill");
	run();
	ck_assert_uint_eq(workers_in(group), 1);
	ck_assert_int_eq(cn_procs_whereis(W.procs, "Elixir.MyApp.PubSub.Adapter_2", &again), 0);
	ck_assert(!cnode_pid_equal(worker, again));
	deliver_term(FROM_PEER(MESSAGE, remote(8), again), "{forward_to_local,<<\"t\">>,hello,x}");
	ck_assert_str_eq(message_of(A), "hello");
	ck_assert_int_eq(cn_pubsub_stop(P, "MyApp.PubSub"), 0);
	run();
	ck_assert_uint_eq(workers_in(group), 0);
}
END_TEST

/* ---- started and stopped by several threads ---- */

static _Atomic bool through;
static _Atomic int strange;

static void starts(void *arg)
{
	(void)arg;
	for (int i = 0; i < 300; i++) {
		int rc = cn_pubsub_start(P, "Flaps", 8, 0);
		/* What was stopped ends a little later. */
		if (rc != 0 && rc != CNODE_ENAMETAKEN && rc != CNODE_EEXIST)
			atomic_fetch_add(&strange, 1);
		if (rc == 0)
			(void)cn_pubsub_stop(P, "Flaps");
		sched_yield();
	}
	atomic_store(&through, true);
}
static void stops(void *arg)
{
	(void)arg;
	while (!atomic_load(&through)) {
		int rc = cn_pubsub_stop(P, "Flaps");
		if (rc != 0 && rc != CNODE_ENOENT)
			atomic_fetch_add(&strange, 1);
		sched_yield();
	}
}

START_TEST(pubsub_is_stopped_while_it_is_being_started)
{
	struct cn_thread t[2];
	ck_assert_int_eq(cn_thread_start(&t[0], "starts", starts, NULL), 0);
	ck_assert_int_eq(cn_thread_start(&t[1], "stops", stops, NULL), 0);
	while (!atomic_load(&through)) {
		run();
		sched_yield();
	}
	for (int i = 0; i < 2; i++)
		cn_thread_join(&t[i]);
	run();
	ck_assert_int_eq(atomic_load(&strange), 0);
	ck_assert_int_eq(cn_pubsub_stop(P, "Flaps"), CNODE_ENOENT);
	ck_assert_int_eq(cn_pubsub_start(P, "Flaps", 8, 0), 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("pubsub");
	TCase *t = tcase_create("pubsub");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, pubsub_gives_broadcasts_to_subscribers_and_workers);
	tcase_add_test(t, pubsub_refuses_what_cannot_be);
	tcase_add_test(t, pubsub_workers_are_members_whatever_has_ended);
	tcase_add_test(t, pubsub_is_stopped_while_it_is_being_started);
	suite_add_tcase(s, t);
	return tap_run(s);
}
