/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a peer may start and touch, and what a spawn can ask for: two whole nodes in one
 * program, a asks b. Who lies about its pids is conformance's matter.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cnode/cnode.h"
#include "tests/spawn_nodes.h"
#include "tests/tap.h"

/* ---- factories: who may ---- */

START_TEST(the_global_switch_refuses_and_always_answers)
{
	cnode_pid pid;
	cnode_factory_enable(b, false);
	ck_assert_int_eq(spawn("probe", "[]", NULL, &pid), CNODE_ENOTALLOWED);
	cnode_term list = args("[21]"), result;
	ck_assert_int_eq(cnode_rpc(mb, B, "math", "twice", list, WAIT, &result), 0);
	cnode_term_drop(result);
	cnode_term_drop(list);
	cnode_factory_enable(b, true);
	ck_assert_int_eq(spawn("probe", "[]", NULL, &pid), 0);
	ck_assert_uint_eq(refusals().spawns, 1);
}
END_TEST

START_TEST(a_list_that_changes_holds_for_the_next_request)
{
	cnode_pid pid;
	ck_assert_int_eq(cnode_factory_deny(b, "probe", A), 0);
	ck_assert_int_eq(spawn("probe", "[]", NULL, &pid), CNODE_ENOTALLOWED);
	ck_assert_int_eq(cnode_factory_allow(b, "probe", "a*@127.0.0.1"), 0);
	ck_assert_int_eq(spawn("probe", "[]", NULL, &pid), 0);
	ck_assert_int_eq(cnode_factory_set(b, "probe", "x@127.0.0.1"), 0);
	ck_assert_int_eq(spawn("probe", "[]", NULL, &pid), CNODE_ENOTALLOWED);
	ck_assert_int_eq(cnode_factory_remove(b, "probe"), 0);
	ck_assert_int_eq(spawn("probe", "[]", NULL, &pid), CNODE_EUNDEF);
	ck_assert_int_eq(cnode_factory_add(b, "probe", &other_probe, NULL, CNODE_ALL_NODES), 0);
	ck_assert_int_eq(spawn("probe", "[]", NULL, &pid), 0);
}
END_TEST

START_TEST(a_refusal_is_logged_with_peer_factory_and_reason)
{
	cnode_pid pid;
	ck_assert_int_eq(spawn("closed", "[]", NULL, &pid), CNODE_ENOTALLOWED);
	ck_assert_msg(logged("a@127.0.0.1 may not spawn closed here: it is not on the list of the factory"), "%s", log_text());
	for (int i = 0; i < 50; i++)
		ck_assert_int_eq(spawn("closed", "[]", NULL, &pid), CNODE_ENOTALLOWED);
	ck_assert_uint_eq(refusals().spawns, 51);
	ck_assert_int_lt(log_lines("may not spawn closed"), 51);
	cnode_term list = args("[21]"), result;
	ck_assert_int_eq(cnode_rpc(mb, B, "math", "closed", list, WAIT, &result), CNODE_ENOTALLOWED);
	cnode_term_drop(list);
	ck_assert_msg(logged("a@127.0.0.1 may not call math:closed/1 here: it is not on the list of the function"), "%s", log_text());
	ck_assert_uint_eq(refusals().functions, 1);
}
END_TEST

/* ---- names ---- */

START_TEST(a_refused_name_does_not_exist_for_calls_monitors_and_messages)
{
	cnode_term reply;
	cnode_ref ref;
	cnode_info info;
	ck_assert_int_eq(cnode_call_name(mb, "db", B, WAIT, &reply, "count"), 0);
	ck_assert_int_eq(cnode_scan(reply, "0"), 0);
	cnode_term_drop(reply);
	ck_assert_int_eq(cnode_send_name(self(), "db", B, "a_message"), 0);
	ck_assert_int_eq(count_of("db"), 1);

	ck_assert_int_eq(cnode_access_set(b, CNODE_ACCESS_NAME, "db", "x@127.0.0.1"), 0);
	ck_assert_int_eq(cnode_call_name(mb, "db", B, WAIT, &reply, "count"), CNODE_ENOPROC);
	ck_assert_int_eq(cnode_send_name(self(), "db", B, "a_message"), 0);
	ck_assert_int_eq(cnode_monitor_name(self(), "db", B, &ref), 0);
	ck_assert_int_eq(cnode_receive(mb, &info, WAIT), 0);
	ck_assert_int_eq(info.kind, CNODE_DOWN);
	ck_assert(cnode_ref_equal(&info.ref, &ref));
	ck_assert_int_eq(cnode_scan(info.reason, "noproc"), 0);
	ck_assert_uint_ge(refusals().names, 3);
	ck_assert_msg(logged("a@127.0.0.1 may not reach db here: it is not on the list of the name"), "%s", log_text());

	ck_assert_int_eq(cnode_access_set(b, CNODE_ACCESS_NAME, "db", NULL), 0);
	ck_assert_int_eq(count_of("db"), 1);
}
END_TEST

START_TEST(a_list_for_all_names_leaves_the_nodes_services_alone)
{
	cnode_term reply;
	ck_assert_int_eq(cnode_access_set(b, CNODE_ACCESS_NAME, "*", CNODE_NO_NODES), 0);
	ck_assert_int_eq(cnode_ping(mb, B, WAIT, NULL, NULL), 0);
	ck_assert_int_eq(cnode_call_name(mb, "db", B, WAIT, &reply, "count"), CNODE_ENOPROC);
	ck_assert_int_eq(cnode_access_allow(b, CNODE_ACCESS_NAME, "db", A), 0);
	ck_assert_int_eq(count_of("db"), 0);
}
END_TEST

/* ---- exit signals ---- */

START_TEST(a_process_of_the_programs_own_is_not_ended_by_a_peer)
{
	cnode_pid db;
	ck_assert_int_eq(cnode_whereis(b, "db", &db), 0);
	ck_assert_int_eq(cnode_exit(self(), db, "kill"), 0);
	ck_assert_int_eq(count_of("db"), 0);
	ck_assert(cnode_is_alive(b, db));
	ck_assert_uint_eq(refusals().exits, 1);
	ck_assert_msg(logged("a@127.0.0.1 may not exit db here"), "%s", log_text());
	ck_assert_int_eq(cnode_access_allow(b, CNODE_ACCESS_EXIT, "db", A), 0);
	ck_assert_int_eq(cnode_exit(self(), db, "kill"), 0);
	cnode_term reply;
	ck_assert_int_eq(cnode_call_name(mb, "db", B, WAIT, &reply, "count"), CNODE_ENOPROC);
}
END_TEST

START_TEST(a_linked_process_may_be_ended_whatever_the_list_says)
{
	cnode_pid db;
	cnode_info info;
	ck_assert_int_eq(cnode_access_set(b, CNODE_ACCESS_EXIT, "*", CNODE_NO_NODES), 0);
	ck_assert_int_eq(cnode_whereis(b, "db", &db), 0);
	ck_assert_int_eq(cnode_trap_exit(self(), true), 0);
	ck_assert_int_eq(cnode_link(self(), db), 0);
	ck_assert_int_eq(cnode_exit(self(), db, "kill"), 0);
	ck_assert_int_eq(cnode_receive(mb, &info, WAIT), 0);
	ck_assert_int_eq(info.kind, CNODE_EXIT);
	ck_assert_int_eq(cnode_scan(info.reason, "killed"), 0);
	ck_assert_uint_eq(refusals().exits, 0);
}
END_TEST

START_TEST(who_spawned_a_process_may_end_it_after_the_factory_was_closed_too)
{
	cnode_pid pid;
	ck_assert_int_eq(spawn("probe", "[]", NULL, &pid), 0);
	ck_assert_int_eq(cnode_factory_set(b, "probe", CNODE_NO_NODES), 0);
	ck_assert_int_eq(cnode_exit(self(), pid, "kill"), 0);
	ck_assert_int_eq(call(pid, "count"), CNODE_ENOPROC);
	ck_assert_int_eq(cnode_factory_set(b, "probe", A), 0);
	ck_assert_int_eq(spawn("probe", "[]", NULL, &pid), 0);
	ck_assert_int_eq(cnode_access_deny(b, CNODE_ACCESS_EXIT, "probe", A), 0);
	ck_assert_int_eq(cnode_exit(self(), pid, "kill"), 0);
	ck_assert_int_eq(call(pid, "count"), 0);
	ck_assert_uint_eq(refusals().exits, 1);
}
END_TEST

/* ---- quotas ---- */

START_TEST(a_quota_of_processes_ends_in_system_limit)
{
	cnode_pid first, second, third;
	ck_assert_int_eq(cnode_quota_set(b, NULL, A, 2, 0), 0);
	ck_assert_int_eq(spawn("probe", "[]", NULL, &first), 0);
	ck_assert_int_eq(spawn("probe", "[]", NULL, &second), 0);
	ck_assert_int_eq(spawn("probe", "[]", NULL, &third), CNODE_ESYSLIMIT);
	ck_assert_uint_eq(refusals().quotas, 1);
	ck_assert_msg(logged("a@127.0.0.1 may not spawn probe here: it has as many processes as its quota allows"), "%s", log_text());
	/* What it starts by erpc is its own, too. */
	cnode_term list = args("[21]"), result;
	ck_assert_int_eq(cnode_rpc(mb, B, "math", "twice", list, WAIT, &result), CNODE_ESYSLIMIT);
	cnode_quota_clear(b);
	ck_assert_int_eq(spawn("probe", "[]", NULL, &third), 0);
	ck_assert_int_eq(cnode_rpc(mb, B, "math", "twice", list, WAIT, &result), 0);
	cnode_term_drop(result);
	cnode_term_drop(list);
}
END_TEST

START_TEST(a_quota_of_spawns_per_second_ends_in_system_limit)
{
	cnode_pid pid;
	/* One spawn fills the bucket of a rate of one, for a second. */
	ck_assert_int_eq(cnode_quota_set(b, "probe", CNODE_ALL_NODES, 0, 1), 0);
	int refused = 0;
	for (int i = 0; i < 50; i++) {
		int rc = spawn("probe", "[]", NULL, &pid);
		ck_assert(rc == 0 || rc == CNODE_ESYSLIMIT);
		refused += rc != 0;
	}
	ck_assert_int_gt(refused, 0);
	ck_assert_uint_eq(refusals().quotas, (uint64_t)refused);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("spawn");
	TCase *tc = tcase_create("access");
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, open_nodes, close_nodes);
	tcase_add_test(tc, the_global_switch_refuses_and_always_answers);
	tcase_add_test(tc, a_list_that_changes_holds_for_the_next_request);
	tcase_add_test(tc, a_refusal_is_logged_with_peer_factory_and_reason);
	tcase_add_test(tc, a_refused_name_does_not_exist_for_calls_monitors_and_messages);
	tcase_add_test(tc, a_list_for_all_names_leaves_the_nodes_services_alone);
	tcase_add_test(tc, a_process_of_the_programs_own_is_not_ended_by_a_peer);
	tcase_add_test(tc, a_linked_process_may_be_ended_whatever_the_list_says);
	tcase_add_test(tc, who_spawned_a_process_may_end_it_after_the_factory_was_closed_too);
	tcase_add_test(tc, a_quota_of_processes_ends_in_system_limit);
	tcase_add_test(tc, a_quota_of_spawns_per_second_ends_in_system_limit);
	suite_add_tcase(s, tc);
	return tap_run(s);
}
