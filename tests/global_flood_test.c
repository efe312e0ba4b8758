/* SPDX-License-Identifier: Apache-2.0 */
/* global: many of something, or something large: where the limits are, and that work does not grow with the square. */
#include "cnode/cnode.h"
#include "tests/global_world.h"
#include "tests/loopback.h"

START_TEST(a_flood_of_init_connects_is_put_off)
{
	begin_session();
	forget();
	for (int i = 0; i < 200; i++)
		frame("r1@vm", frame_init_connect_25);
	size_t begun = 0;
	for (size_t i = 0; i < said_count; i++)
		begun += strstr(said[i], "{init_connect,") != NULL;
	ck_assert_uint_ge(begun, 1);
	ck_assert_uint_le(begun, 4);
	/* It is not forgotten: when the time has come, the last one counts. */
	forget();
	cn_sched_expire(W.procs, cn_now() + 20 * CN_NS_PER_S, 1000);
	run();
	ck_assert_ptr_nonnull(was_said("{init_connect,{8,"));
	ck_assert_ptr_nonnull(was_said("{init_connect_ack,px@vm,-576460752303423484,"));
}
END_TEST

static void speak_of_sessions_that_are_over(int many)
{
	teardown();
	setup();
	begin_session();
	frame("r1@vm", frame_lock_set_25);
	ck_assert(locks_global_is_set(G));
	for (int i = 0; i < many; i++)
		tell_server("r1@vm", "{'$gen_cast',{exchange,'r1@vm',[],[],~i}}", i);
	/* It goes on. */
	frame("r1@vm", frame_exchange_25);
	frame("r1@vm", frame_resolved_25);
	cnode_pid pid;
	ck_assert(is_registered("c_exit", &pid));
	ck_assert(!locks_global_is_set(G));
}

/* While the locker waits for the peer, what the peer says of sessions that there never were is nothing to keep. */
START_TEST(words_of_sessions_that_are_over_do_not_pile_up)
{
	tap_assert_in_proportion(speak_of_sessions_that_are_over, 4000);
}
END_TEST

/* Of one peer some wait; those of another have their place, and get their answer. */
START_TEST(a_flood_of_lock_sets_is_no_other_nodes_loss)
{
	enum { MANY = 11000 };
	begin_session();
	event("o27@vm", true);
	frame("r1@vm", frame_lock_set_25);
	at("r1@vm");
	for (uint32_t i = 0; i < MANY; i++)
		tell_server("r1@vm", "{'$gen_cast',{lock_set,~p,true,[]}}", remote(1000 + i));
	at("o27@vm");
	tell_server("o27@vm", "{'$gen_cast',{lock_set,~p,true,[]}}", remote(77));
	frame("r1@vm", frame_exchange_25);
	W.count = 0;
	frame("r1@vm", frame_resolved_25);
	ck_assert(!locks_global_is_set(G));
	bool answered = false;
	for (size_t i = 0; i < W.count; i++)
		answered = answered || strstr(W.sent[i], " -> 77 {lock_set,");
	ck_assert(answered);
}
END_TEST

static void share_a_lock(int many)
{
	at("r1@vm");
	for (uint32_t id = 1; id <= (uint32_t)many; id++) {
		cnode_term t;
		ck_assert_int_eq(cnode_format(&t, "{'$gen_call',{~p,~r},{set_lock,{res,same}}}", remote(id), remote_ref(id)), 0);
		struct cn_signal sig = FROM_PEER(MESSAGE, remote(id), ((cnode_pid){ 0 }), .term = t);
		sig.to_name = SERVER;
		ck_assert_int_eq(cn_procs_deliver(W.procs, &sig), 0);
		cnode_term_drop(t);
	}
	run();
	ck_assert_uint_eq(looked().locks, 1);
	/* Only who holds it gives it back, and the others keep it. */
	tell_server("r1@vm", "{'$gen_call',{~p,~r},{del_lock,{res,same}}}", remote((uint32_t)many + 1), remote_ref(1));
	tell_server("r1@vm", "{'$gen_call',{~p,~r},{del_lock,{res,same}}}", remote(1), remote_ref(1));
	ck_assert_uint_eq(looked().locks, 1);
	cnode_name r1;
	cnode_name_of("r1@vm", &r1);
	while (!cn_procs_nodedown(W.procs, r1, UINT64_MAX, "noconnection", 1000))
		continue;
	run();
	ck_assert_uint_eq(looked().locks, 0);
}

/* Processes of a peer: work that grew with their square, when they lock and when their node goes, took 8 s for 40,000. */
START_TEST(any_number_of_processes_may_share_a_lock)
{
	tap_assert_in_proportion(share_a_lock, 4000);
}
END_TEST

START_TEST(locks_beyond_the_limit_are_not_granted)
{
	G->config.max_locks = 2;
	at("r1@vm");
	for (uint32_t id = 1; id <= 3; id++)
		tell_server("r1@vm", "{'$gen_call',{~p,~r},{set_lock,{{res,~i},me}}}", remote(55), remote_ref(id), (int)id);
	ck_assert_uint_eq(looked().locks, 2);
	ck_assert_ptr_nonnull(was_said(",false}"));
	/* Who has it is granted it again, and with one given back there is room for another. */
	forget();
	tell_server("r1@vm", "{'$gen_call',{~p,~r},{set_lock,{{res,1},me}}}", remote(55), remote_ref(4));
	tell_server("r1@vm", "{'$gen_call',{~p,~r},{del_lock,{{res,2},me}}}", remote(55), remote_ref(5));
	tell_server("r1@vm", "{'$gen_call',{~p,~r},{set_lock,{{res,3},me}}}", remote(55), remote_ref(6));
	ck_assert_ptr_null(was_said(",false}"));
	ck_assert_uint_eq(looked().locks, 2);
}
END_TEST

static void ask_sync(const char *node, uint32_t ref)
{
	at(node);
	tell_server(node, "{'$gen_call',{~p,~r},{sync,['r1@vm']}}", remote(55), remote_ref(ref));
}

/* r1 is connected and does not join. */
START_TEST(a_sync_waits_no_longer_than_who_asked_for_it)
{
	cnode_name h;
	event("r1@vm", true);
	ask_sync("h@vm", 1);
	ask_sync("r2@vm", 2);
	cnode_name_of("h@vm", &h);
	ck_assert(cn_procs_nodedown(W.procs, h, UINT64_MAX, "noconnection", 1000));
	run();
	forget();
	tell_server("r1@vm", "{'$gen_cast',{in_sync,'r1@vm',true}}");
	ck_assert_ptr_nonnull(was_said("2>,ok}"));
	ck_assert_ptr_null(was_said("1>,ok}"));
}
END_TEST

START_TEST(of_more_syncs_than_may_wait_the_oldest_of_that_node_is_told_so)
{
	G->config.max_syncs = 3;
	event("r1@vm", true);
	ask_sync("r2@vm", 1);
	ask_sync("h@vm", 2);
	ask_sync("h@vm", 3);
	ck_assert_ptr_null(was_said("{#Ref<"));
	ask_sync("h@vm", 4);
	ck_assert_ptr_nonnull(was_said("2>,{error,system_limit}"));
	forget();
	ask_sync("o27@vm", 5);          /* it has none: the oldest of all */
	ck_assert_ptr_nonnull(was_said("1>,{error,system_limit}"));
	forget();
	tell_server("r1@vm", "{'$gen_cast',{in_sync,'r1@vm',true}}");
	for (const char *const *ref = (const char *const[]){ "3>,ok}", "4>,ok}", "5>,ok}", NULL }; *ref; ref++)
		ck_assert_ptr_nonnull(was_said(*ref));
	ck_assert_ptr_null(was_said("system_limit"));
}
END_TEST

START_TEST(a_name_of_a_megabyte_is_a_name)
{
	enum { SIZE = 1 << 20 };
	char *bytes = calloc(1, SIZE);
	cnode_term name;
	cnode_pid pid;
	ck_assert_int_eq(cnode_format(&name, "~b", bytes, (size_t)SIZE), 0);
	at("r1@vm");
	tell_server("r1@vm", "{'$gen_call',{~p,~r},{register,~t,~p,x}}", remote(55), remote_ref(1), name, remote(9));
	ck_assert_int_eq(cn_global_whereis(G, name, &pid), 0);
	cnode_term_drop(name);
	free(bytes);
}
END_TEST

/* ---- a whole node ---- */

static int count_name(void *context, cnode_term name, cnode_pid pid)
{
	(void)name; (void)pid;
	++*(int *)context;
	return 0;
}

/* It asks no process: ten lookups cost less than one question to the server (some fifty do). */
START_TEST(whereis_is_quick)
{
	enum { N = 10000 };
	cnode_config cfg = loopback_config("q@127.0.0.1");
	cnode_node *n;
	cnode_mailbox *mb;
	cnode_term name = term("name_of_a_server"), reply;
	cnode_pid pid;
	int count = 0;
	ck_assert_int_eq(cnode_node_new(&cfg, &n), 0);
	ck_assert_int_eq(cnode_node_start(n), 0);
	ck_assert_int_eq(cnode_mailbox_open(n, NULL, &mb), 0);
	ck_assert_int_eq(cnode_global_register(mb, name, cnode_self(cnode_mailbox_process(mb)), NULL, TAP_WAIT_MS), 0);
	ck_assert_int_eq(cnode_global_names(n, count_name, &count), 0);
	ck_assert_int_eq(count, 1);
	clock_t looking = 0, asking = 0;
	for (int tries = 0; tries == 0 || (tries < 5 && looking >= asking); tries++) {
		clock_t begin = clock();
		for (int i = 0; i < N; i++)
			ck_assert_int_eq(cnode_global_whereis(n, name, &pid), 0);
		looking = clock() - begin;
		begin = clock();
		for (int i = 0; i < N / 10; i++) {
			ck_assert_int_eq(cnode_call_name(mb, "global_name_server", NULL, TAP_WAIT_MS, &reply, "get_known"), 0);
			cnode_term_drop(reply);
		}
		asking = clock() - begin;
	}
	ck_assert_int_lt(looking, asking);
	cnode_term_drop(name);
	cnode_mailbox_close(mb);
	cnode_node_free(n);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("global");
	TCase *t = tcase_create("floods");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_flood_of_init_connects_is_put_off);
	tcase_add_test(t, words_of_sessions_that_are_over_do_not_pile_up);
	tcase_add_test(t, a_flood_of_lock_sets_is_no_other_nodes_loss);
	tcase_add_test(t, any_number_of_processes_may_share_a_lock);
	tcase_add_test(t, locks_beyond_the_limit_are_not_granted);
	tcase_add_test(t, a_sync_waits_no_longer_than_who_asked_for_it);
	tcase_add_test(t, of_more_syncs_than_may_wait_the_oldest_of_that_node_is_told_so);
	tcase_add_test(t, a_name_of_a_megabyte_is_a_name);
	suite_add_tcase(s, t);
	t = tcase_create("a whole node");
	tcase_add_test(t, whereis_is_quick);
	suite_add_tcase(s, t);
	return tap_run(s);
}
