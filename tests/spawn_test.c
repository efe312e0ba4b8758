/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a peer may start and touch, and what a spawn can ask for: two whole nodes in one
 * program, a asks b. Who lies about its pids is conformance's matter.
 */
#include <pthread.h>
#include <stdatomic.h>
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
	ck_assert_int_eq(cnode_rpc(mb, B, "math", "twice", list, TAP_WAIT_MS, &result), 0);
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

static atomic_bool secret_begun, turning;

static int secret_init(cnode_process *process, void *state, const cnode_start *how)
{
	(void)process;
	(void)state;
	(void)how;
	atomic_store(&secret_begun, true);
	return 0;
}

static const cnode_behaviour secret = { CNODE_BEHAVIOUR_INIT, .init = secret_init };

/* One name, in turn a factory that is closed and another one that is open. */
static void *take_turns(void *unused)
{
	while (atomic_load(&turning)) {
		ck_assert_int_eq(cnode_factory_add(b, "turns", &secret, NULL, CNODE_NO_NODES), 0);
		ck_assert_int_eq(cnode_factory_remove(b, "turns"), 0);
		ck_assert_int_eq(cnode_factory_add(b, "turns", &other_probe, NULL, CNODE_ALL_NODES), 0);
		ck_assert_int_eq(cnode_factory_remove(b, "turns"), 0);
	}
	return unused;
}

START_TEST(a_closed_factory_is_not_opened_by_another_one_that_gets_its_name)
{
	pthread_t thread;
	cnode_pid pid;
	atomic_store(&turning, true);
	ck_assert_int_eq(pthread_create(&thread, NULL, take_turns, NULL), 0);
	for (int i = 0; i < 1000; i++) {
		int rc = spawn("turns", "[]", NULL, &pid);
		ck_assert_msg(rc == 0 || rc == CNODE_EUNDEF || rc == CNODE_ENOTALLOWED, "%d", rc);
	}
	atomic_store(&turning, false);
	pthread_join(thread, NULL);
	ck_assert(!atomic_load(&secret_begun));
}
END_TEST

/* Options are the caller's: who may not spawn does not get any read. */
START_TEST(options_are_looked_at_for_those_only_who_may_spawn)
{
	static const char *const asked[][2] = { { "[closed,[],[no_option]]", "not_allowed" }, { "[probe,[],[no_option]]", "badopt" } };
	for (int i = 0; i < 2; i++) {
		cnode_term list = args(asked[i][0]);
		cnode_ref ref;
		cnode_info info;
		cnode_atom why;
		ck_assert_int_eq(cnode_spawn_request(self(), B, "cnode", "spawn", list, 0, &ref), 0);
		cnode_term_drop(list);
		ck_assert_int_eq(cnode_receive(mb, &info, TAP_WAIT_MS), 0);
		ck_assert_int_eq(cnode_scan(info.message, "{spawn_reply,_,error,~a}", &why), 0);
		ck_assert_str_eq(why.text, asked[i][1]);
	}
}
END_TEST

/* An environment of so many variables of `size` bytes each. */
static void ask_with_env(int variables, size_t size, const char *answer)
{
	cnode_builder *list;
	cnode_term value, sent;
	cnode_ref ref;
	cnode_info info;
	cnode_atom why = { .text = "ok" };
	uint8_t *bytes = calloc(1, size);
	ck_assert_ptr_nonnull(list = cnode_builder_new());
	cnode_build_list(list);
	for (int i = 0; i < variables; i++)
		cnode_build_format(list, "{k,~b}", bytes, size);
	cnode_build_list_end(list);
	ck_assert_int_eq(cnode_builder_term(list, &value), 0);
	cnode_builder_free(list);
	ck_assert_int_eq(cnode_format(&sent, "[probe,[],[{env,~t}]]", value), 0);
	ck_assert_int_eq(cnode_spawn_request(self(), B, "cnode", "spawn", sent, 0, &ref), 0);
	ck_assert_int_eq(cnode_receive(mb, &info, TAP_WAIT_MS), 0);
	if (cnode_scan(info.message, "{spawn_reply,_,error,~a}", &why) != 0)
		ck_assert_int_eq(cnode_scan(info.message, "{spawn_reply,_,ok,_}"), 0);
	ck_assert_str_eq(why.text, answer);
	cnode_term_drop(sent);
	cnode_term_drop(value);
	free(bytes);
}
START_TEST(options_have_a_limit)
{
	ask_with_env(10, 100000, "ok");
	ask_with_env(11, 100000, "system_limit");
	ask_with_env(110000, 0, "system_limit");
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
	ck_assert_int_eq(cnode_rpc(mb, B, "math", "closed", list, TAP_WAIT_MS, &result), CNODE_ENOTALLOWED);
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
	ck_assert_int_eq(cnode_call_name(mb, "db", B, TAP_WAIT_MS, &reply, "count"), 0);
	ck_assert_int_eq(cnode_scan(reply, "0"), 0);
	cnode_term_drop(reply);
	ck_assert_int_eq(cnode_send_name(self(), "db", B, "a_message"), 0);
	ck_assert_int_eq(count_of("db"), 1);

	ck_assert_int_eq(cnode_access_set(b, CNODE_ACCESS_NAME, "db", "x@127.0.0.1"), 0);
	ck_assert_int_eq(cnode_call_name(mb, "db", B, TAP_WAIT_MS, &reply, "count"), CNODE_ENOPROC);
	ck_assert_int_eq(cnode_send_name(self(), "db", B, "a_message"), 0);
	ck_assert_int_eq(cnode_monitor_name(self(), "db", B, &ref), 0);
	ck_assert_int_eq(cnode_receive(mb, &info, TAP_WAIT_MS), 0);
	ck_assert_int_eq(info.kind, CNODE_DOWN);
	ck_assert(cnode_ref_equal(info.ref, ref));
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
	ck_assert_int_eq(cnode_ping(mb, B, TAP_WAIT_MS, NULL, NULL), 0);
	ck_assert_int_eq(cnode_call_name(mb, "db", B, TAP_WAIT_MS, &reply, "count"), CNODE_ENOPROC);
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
	ck_assert_int_eq(cnode_call_name(mb, "db", B, TAP_WAIT_MS, &reply, "count"), CNODE_ENOPROC);
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
	ck_assert_int_eq(cnode_receive(mb, &info, TAP_WAIT_MS), 0);
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

START_TEST(a_factory_that_gets_a_name_opens_no_process_of_the_one_before)
{
	cnode_mailbox *own;
	cnode_pid pid;
	cnode_term none = args("[]");
	ck_assert_int_eq(cnode_mailbox_open(b, NULL, &own), 0);
	ck_assert_int_eq(cnode_spawn_remote(own, NULL, "closed", none, NULL, &pid), 0);
	ck_assert_int_eq(cnode_factory_remove(b, "closed"), 0);
	ck_assert_int_eq(cnode_factory_add(b, "closed", &other_probe, NULL, CNODE_ALL_NODES), 0);
	ck_assert_int_eq(cnode_exit(self(), pid, "kill"), 0);
	ck_assert_int_eq(call(pid, "count"), 0);
	ck_assert_uint_eq(refusals().exits, 1);
	/* The same behaviour again is the same factory. */
	ck_assert_int_eq(cnode_spawn_remote(own, NULL, "closed", none, NULL, &pid), 0);
	ck_assert_int_eq(cnode_factory_remove(b, "closed"), 0);
	ck_assert_int_eq(cnode_factory_add(b, "closed", &other_probe, NULL, A), 0);
	ck_assert_int_eq(cnode_exit(self(), pid, "kill"), 0);
	ck_assert_int_eq(call(pid, "count"), CNODE_ENOPROC);
	cnode_term_drop(none);
	cnode_mailbox_close(own);
}
END_TEST

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
	ck_assert_int_eq(cnode_rpc(mb, B, "math", "twice", list, TAP_WAIT_MS, &result), CNODE_ESYSLIMIT);
	cnode_quota_clear(b);
	ck_assert_int_eq(spawn("probe", "[]", NULL, &third), 0);
	ck_assert_int_eq(cnode_rpc(mb, B, "math", "twice", list, TAP_WAIT_MS, &result), 0);
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

/* ---- options ---- */

static int spawn_with(const char *arguments, cnode_spawn_options o, cnode_pid *pid)
{
	return spawn("probe", arguments, &o, pid);
}
#define OPTIONS(...) ((cnode_spawn_options){ .size = sizeof(cnode_spawn_options), __VA_ARGS__ })

static bool is_down(cnode_info *info, const char *reason)
{
	char text[256];
	ck_assert_int_eq(cnode_receive(mb, info, TAP_WAIT_MS), 0);
	ck_assert_int_eq(info->kind, CNODE_DOWN);
	cnode_term_print(info->reason, text, sizeof text);
	ck_assert_str_eq(text, reason);
	return true;
}

START_TEST(a_name_is_there_before_the_answer_and_is_not_given_twice)
{
	cnode_pid pid, found, second;
	ck_assert_int_eq(spawn_with("[]", OPTIONS(.name = "one"), &pid), 0);
	ck_assert_int_eq(cnode_whereis(b, "one", &found), 0);
	ck_assert_int_eq(found.id, pid.id);
	ck_assert_int_eq(spawn_with("[]", OPTIONS(.name = "one"), &second), CNODE_ENAMETAKEN);
	ck_assert_ptr_nonnull(strstr(cnode_mailbox_error(mb), "the name one is taken"));
	ck_assert_int_eq(spawn_with("[]", OPTIONS(.name = "db"), &second), CNODE_ENAMETAKEN);
	ck_assert_uint_eq(processes(), 1);
	/* The name of a process whose init fails is free again. */
	ck_assert_int_eq(spawn_with("[{fail,why}]", OPTIONS(.name = "two"), &second), CNODE_EINIT);
	ck_assert_int_eq(spawn_with("[]", OPTIONS(.name = "two"), &second), 0);
}
END_TEST

START_TEST(a_name_that_the_list_refuses_is_not_given)
{
	cnode_pid pid;
	ck_assert_int_eq(cnode_access_set(b, CNODE_ACCESS_REGISTER, "one", "x@127.0.0.1"), 0);
	ck_assert_int_eq(spawn_with("[]", OPTIONS(.name = "one"), &pid), CNODE_ENOTALLOWED);
	ck_assert_uint_eq(refusals().registrations, 1);
	ck_assert_msg(logged("a@127.0.0.1 may not register one here"), "%s", log_text());
	ck_assert_int_eq(spawn_with("[]", OPTIONS(.name = "one", .registration = CNODE_REGISTER_GLOBAL), &pid), CNODE_ENOTALLOWED);
	ck_assert_uint_eq(refusals().registrations, 2);
	ck_assert_int_eq(spawn_with("[]", OPTIONS(.name = "one", .registration = CNODE_REGISTER_NONE), &pid), 0);
	ck_assert_int_eq(cnode_whereis(b, "one", &pid), CNODE_ENOENT);
	ck_assert_int_eq(spawn_with("[]", OPTIONS(.name = "two"), &pid), 0);
	/* No name at all. */
	ck_assert_int_eq(spawn_with("[]", OPTIONS(.name = ""), &pid), CNODE_EBADNAME);
	ck_assert_int_eq(spawn_with("[]", OPTIONS(.name = "undefined"), &pid), CNODE_EBADNAME);
}
END_TEST

START_TEST(init_that_fails_gives_its_reason_and_leaves_nothing)
{
	cnode_pid pid;
	cnode_term reason;
	char text[64];
	ck_assert_int_eq(spawn_with("[{fail,{no_disk,3}}]", OPTIONS(.reason = &reason), &pid), CNODE_EINIT);
	cnode_term_print(reason, text, sizeof text);
	ck_assert_str_eq(text, "{no_disk,3}");
	cnode_term_drop(reason);
	ck_assert_ptr_nonnull(strstr(cnode_mailbox_error(mb), "{no_disk,3}"));
	/* What the codes know is told by its code. */
	ck_assert_int_eq(spawn_with("[{fail,badarg}]", OPTIONS(.reason = &reason), &pid), CNODE_EBADARG);
	cnode_info info;
	ck_assert_int_eq(cnode_receive(mb, &info, 0), CNODE_ETIMEOUT);
}
END_TEST

START_TEST(init_that_is_late_ends_with_timeout_and_sees_it)
{
	cnode_pid pid;
	ck_assert_int_eq(spawn_with("[late]", OPTIONS(.name = "late", .init_timeout_ms = 300, .timeout_ms = TAP_WAIT_MS), &pid), CNODE_ETIMEOUT);
	ck_assert_int_eq(cnode_whereis(b, "late", &pid), CNODE_ENOENT);
	ck_assert_int_eq(spawn_with("[late]", OPTIONS(.timeout_ms = 300), &pid), CNODE_ETIMEOUT);
	ck_assert_ptr_nonnull(strstr(cnode_mailbox_error(mb), "300 ms"));
	/* The first has begun, for its time counts from there; on a slow machine the second's may be over before it begins. */
	await_at_door(1);
	/* A slow init delays nobody. */
	ck_assert_int_eq(spawn("probe", "[]", NULL, &pid), 0);
	open_door();
	ck_assert_int_eq(call(pid, "count"), 0);
	await_ends(1);
}
END_TEST

START_TEST(an_answer_at_creation_does_not_wait_for_init)
{
	cnode_pid pid;
	cnode_ref ref;
	cnode_info info;
	ck_assert_int_eq(spawn_with("[{wait,no_luck}]", OPTIONS(.answer_at_creation = true, .monitor = true, .monitor_ref = &ref), &pid), 0);
	await_at_door(1);
	open_door();
	is_down(&info, "no_luck");
	ck_assert(cnode_ref_equal(info.ref, ref));
}
END_TEST

START_TEST(late_init_is_an_end_where_the_answer_came_at_creation)
{
	cnode_pid pid;
	cnode_info info;
	ck_assert_int_eq(spawn_with("[wait]", OPTIONS(.answer_at_creation = true, .monitor = true, .init_timeout_ms = 50), &pid), 0);
	is_down(&info, "timeout");
}
END_TEST

START_TEST(environment_application_and_log_level_are_given)
{
	cnode_pid pid;
	enum cnode_log_level debug = CNODE_LOG_DEBUG;
	cnode_term env = args("[{'A',1},{<<\"B\">>,{two,2}}]");
	ck_assert_int_eq(spawn_with("[]", OPTIONS(.env = env, .application = "shop", .log_level = &debug), &pid), 0);
	ck_assert_str_eq(ask(pid, "{env,'A'}"), "1");
	ck_assert_str_eq(ask(pid, "{env,'B'}"), "{two,2}");
	ck_assert_str_eq(ask(pid, "{env,'C'}"), "undefined");
	ck_assert_str_eq(ask(pid, "application"), "shop");
	ck_assert_str_eq(ask(pid, "log_level"), "debug");
	/* Its own level lets through what the node's, warning, does not. */
	ck_assert_str_eq(ask(pid, "{log,hello}"), "ok");
	ck_assert_msg(logged("(probe) says hello"), "%s", log_text());
	ck_assert_int_eq(spawn("probe", "[]", NULL, &pid), 0);
	ck_assert_str_eq(ask(pid, "{log,silence}"), "ok");
	ck_assert_str_eq(ask(pid, "application"), "''");
	ck_assert_int_eq(log_lines("silence"), 0);
	cnode_term_drop(env);
	cnode_term bad = args("[{\"no key\",1}]");
	ck_assert_int_eq(spawn_with("[]", OPTIONS(.env = bad), &pid), CNODE_EBADARG);
	cnode_term_drop(bad);
}
END_TEST

static int spawned_of(void *context, const cnode_factory_info *factory)
{
	if (strcmp(factory->name, "probe") == 0)
		*(uint64_t *)context = factory->spawned;
	return 0;
}

START_TEST(a_value_that_cannot_be_sent_fails_the_whole_spawn_and_its_key_is_named)
{
	/* A native record, which nodes before OTP 29 do not read: #m:n{f = 1}. */
	static const char record[] = "C\0\0\0\1\0w\1mw\1nw\1fa\1";
	cnode_term value, env, none = args("[]");
	ck_assert_int_eq(cnode_term_from_bytes(record, sizeof record - 1, &value), 0);
	ck_assert_int_eq(cnode_format(&env, "[{'GOOD',1},{'NATIVE',~t}]", value), 0);
	cnode_spawn_options o = OPTIONS(.env = env);
	cnode_pid pid;
	cnode_ref ref;
	ck_assert_int_eq(spawn_with("[]", o, &pid), CNODE_EBADTERM);
	ck_assert_str_eq(cnode_mailbox_error(mb), "probe on b@127.0.0.1: the value of NATIVE in the environment cannot be sent");
	ck_assert_int_eq(cnode_spawn_request_options(self(), B, "probe", none, &o, &ref), CNODE_EBADTERM);
	ck_assert_str_eq(cnode_node_error(a), "probe: the value of NATIVE in the environment cannot be sent");
	/* The same of a value that is inherited, and is on the list of those that go out. */
	ck_assert_int_eq(cnode_set_env(self(), "SHOWN", value), 0);
	ck_assert_int_eq(spawn("probe", "[]", NULL, &pid), CNODE_EBADTERM);
	ck_assert_str_eq(cnode_mailbox_error(mb), "probe on b@127.0.0.1: the value of SHOWN in the environment cannot be sent");
	ck_assert_int_eq(cnode_set_env(self(), "SHOWN", (cnode_term){ 0 }), 0);
	ck_assert_int_eq(cnode_set_env(self(), "SECRET", value), 0);
	/* None of these was asked for: this is the factory's first process. */
	ck_assert_int_eq(spawn("probe", "[]", NULL, &pid), 0);
	uint64_t spawned = 0;
	ck_assert_int_eq(cnode_factory_list(b, spawned_of, &spawned), 0);
	ck_assert_uint_eq(spawned, 1);
	cnode_term_drop(value);
	cnode_term_drop(env);
	cnode_term_drop(none);
}
END_TEST

START_TEST(a_spawn_carries_on_what_its_process_has_and_is_allowed_to_show)
{
	cnode_pid pid;
	cnode_term one = args("1"), two = args("2"), none = { 0 }, own = args("[{'SHOWN',9}]");
	ck_assert_int_eq(cnode_set_application(self(), "shop"), 0);
	cnode_set_log_level(self(), CNODE_LOG_ERROR);
	ck_assert_int_eq(cnode_set_env(self(), "SHOWN", one), 0);
	ck_assert_int_eq(cnode_set_env(self(), "TRACE_ID", two), 0);
	ck_assert_int_eq(cnode_set_env(self(), "SECRET", two), 0);
	ck_assert_int_eq(spawn("probe", "[]", NULL, &pid), 0);
	ck_assert_str_eq(ask(pid, "application"), "shop");
	ck_assert_str_eq(ask(pid, "log_level"), "error");
	ck_assert_str_eq(ask(pid, "{env,'SHOWN'}"), "1");
	ck_assert_str_eq(ask(pid, "{env,'TRACE_ID'}"), "2");
	ck_assert_str_eq(ask(pid, "{env,'SECRET'}"), "undefined");
	/* What is given goes before what is inherited. */
	ck_assert_int_eq(spawn_with("[]", OPTIONS(.env = own, .application = "other"), &pid), 0);
	ck_assert_str_eq(ask(pid, "{env,'SHOWN'}"), "9");
	ck_assert_str_eq(ask(pid, "{env,'TRACE_ID'}"), "2");
	ck_assert_str_eq(ask(pid, "application"), "other");
	ck_assert_int_eq(cnode_set_env(self(), "TRACE_ID", none), 0);
	ck_assert_int_eq(spawn("probe", "[]", NULL, &pid), 0);
	ck_assert_str_eq(ask(pid, "{env,'TRACE_ID'}"), "undefined");
	/* Its parent is the process that asked. */
	cnode_pid parent;
	cnode_term reply;
	ck_assert_int_eq(cnode_call(mb, pid, TAP_WAIT_MS, &reply, "parent"), 0);
	ck_assert_int_eq(cnode_scan(reply, "~p", &parent), 0);
	ck_assert(cnode_pid_equal(parent, cnode_self(self())));
	cnode_term_drop(reply);
	cnode_term_drop(one);
	cnode_term_drop(two);
	cnode_term_drop(own);
}
END_TEST

START_TEST(a_full_mailbox_ends_its_process_or_loses_messages)
{
	cnode_pid pid;
	cnode_info info;
	ck_assert_int_eq(spawn_with("[]", OPTIONS(.mailbox = 3, .monitor = true), &pid), 0);
	ck_assert_int_eq(cnode_send(self(), pid, "{'$gen_call',{~p,tag},wait}", cnode_self(self())), 0);
	await_at_door(1);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(cnode_send(self(), pid, "one_more"), 0);
	is_down(&info, "mailbox_overflow");

	ck_assert_int_eq(spawn_with("[]", OPTIONS(.mailbox = 3, .mailbox_drops = true), &pid), 0);
	ck_assert_int_eq(cnode_send(self(), pid, "{'$gen_call',{~p,tag},wait}", cnode_self(self())), 0);
	await_at_door(2);
	for (int i = 0; i < 10; i++)
		ck_assert_int_eq(cnode_send(self(), pid, "one_more"), 0);
	ck_assert_msg(logged("loses messages: its mailbox has 3"), "%s", log_text());
	/* The last of them has come as well: what comes by the same connection behind it is answered. */
	ck_assert_int_eq(cnode_ping(mb, B, TAP_WAIT_MS, NULL, NULL), 0);
	open_door();
	do
		ck_assert_int_eq(cnode_receive(mb, &info, TAP_WAIT_MS), 0);
	while (cnode_scan(info.message, "{tag,ok}") != 0);
	ck_assert_str_eq(ask(pid, "count"), "2");
}
END_TEST

START_TEST(options_stand_in_the_arguments_of_cnode_spawn_too)
{
	cnode_pid pid, found;
	cnode_spawn_options o = CNODE_SPAWN_INIT;
	o.function = "spawn";
	ck_assert_msg(spawn("cnode", "[probe,[],[{name,one},{application,shop}]]", &o, &pid) == 0, "%s", cnode_mailbox_error(mb));
	ck_assert_int_eq(cnode_whereis(b, "one", &found), 0);
	ck_assert_str_eq(ask(pid, "application"), "shop");
	ck_assert_int_eq(spawn("cnode", "[closed,[],[]]", &o, &pid), CNODE_ENOTALLOWED);
	ck_assert_int_eq(spawn("cnode", "[nothing,[],[]]", &o, &pid), CNODE_EUNDEF);
	static const char *const bad[] = {
		"[probe,[],[{compression,true}]]", "[probe,[],[compressed]]", "[probe,[],[{mailbox,0}]]", "[probe,[],[{mailbox,{3,lose}}]]",
		"[probe,[],[{registration,local}]]", "[probe,[],[{timeout,-1}]]", "[probe,[],[{name,\"text\"}]]", "[probe,[],no_list]",
		"[probe,[],[{env,[a]}]]", "[probe,[],[{log_level,loud}]]", "[probe,no_list,[]]", "[probe,[]]", "[{probe},[],[]]", "[probe,[],[link|x]]",
	};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		ck_assert_msg(spawn("cnode", bad[i], &o, &pid) == CNODE_EBADARG, "%s: %s", bad[i],
			      cnode_mailbox_error(mb));
}
END_TEST

START_TEST(requests_of_proc_lib_reach_the_factory)
{
	cnode_pid pid;
	cnode_spawn_options o = CNODE_SPAWN_INIT;
	o.function = "init_p";
	ck_assert_int_eq(spawn("proc_lib", "[parent,[],probe,start,[]]", &o, &pid), 0);
	ck_assert_int_eq(call(pid, "count"), 0);
	ck_assert_int_eq(spawn("proc_lib", "[parent,[],closed,start,[]]", &o, &pid), CNODE_ENOTALLOWED);
	ck_assert_int_eq(spawn("proc_lib", "[parent,[],probe,other,[]]", &o, &pid), CNODE_EUNDEF);
	ck_assert_int_eq(spawn("proc_lib", "[parent]", &o, &pid), CNODE_EBADARG);
}
END_TEST

START_TEST(unknown_functions_are_answered_as_the_factory_says)
{
	cnode_pid pid;
	cnode_info info;
	cnode_spawn_options o = CNODE_SPAWN_INIT;
	o.function = "other";
	o.monitor = true;
	ck_assert_int_eq(spawn("probe", "[1]", &o, &pid), CNODE_EUNDEF);
	ck_assert_int_eq(cnode_factory_unknown(b, "probe", CNODE_UNKNOWN_DIES), 0);
	ck_assert_int_eq(spawn("probe", "[1]", &o, &pid), 0);
	is_down(&info, "{undef,[{probe,other,[1],[]}]}");
	ck_assert_int_eq(spawn("nothing", "[1]", &o, &pid), CNODE_EUNDEF);
	ck_assert_int_eq(cnode_factory_unknown(b, NULL, CNODE_UNKNOWN_DIES), 0);
	ck_assert_int_eq(spawn("nothing", "[]", &o, &pid), 0);
	is_down(&info, "{undef,[{nothing,other,[],[]}]}");
	ck_assert_int_eq(cnode_factory_unknown(b, NULL, CNODE_UNKNOWN_HIDDEN), 0);
	ck_assert_int_eq(spawn("nothing", "[]", &o, &pid), CNODE_ENOTALLOWED);
	ck_assert_int_eq(spawn("closed", "[]", &o, &pid), CNODE_ENOTALLOWED);
	ck_assert_int_eq(cnode_factory_unknown(b, "nothing", CNODE_UNKNOWN_DIES), CNODE_ENOENT);
}
END_TEST

START_TEST(a_global_name_is_there_before_the_answer_and_is_not_given_twice)
{
	cnode_pid pid, found, second;
	cnode_term name = args("one");
	ck_assert_msg(spawn_with("[]", OPTIONS(.name = "one", .registration = CNODE_REGISTER_GLOBAL), &pid) == 0, "%s",
		      cnode_mailbox_error(mb));
	ck_assert_int_eq(cnode_global_whereis(b, name, &found), 0);
	ck_assert_int_eq(found.id, pid.id);
	/* It is not a local one. */
	ck_assert_int_eq(cnode_whereis(b, "one", &found), CNODE_ENOENT);
	ck_assert_int_eq(spawn_with("[]", OPTIONS(.name = "one", .registration = CNODE_REGISTER_GLOBAL), &second), CNODE_ENAMETAKEN);
	/* The answer comes before the last of it is cleared away. */
	while (processes() != 1)
		continue;
	ck_assert_int_eq(spawn_with("[]", OPTIONS(.registration = CNODE_REGISTER_GLOBAL), &second), CNODE_EBADARG);
	/* One that fails gives it back. */
	ck_assert_int_eq(spawn_with("[{fail,why}]", OPTIONS(.name = "two", .registration = CNODE_REGISTER_GLOBAL), &second), CNODE_EINIT);
	ck_assert_int_eq(spawn_with("[]", OPTIONS(.name = "two", .registration = CNODE_REGISTER_GLOBAL), &second), 0);
	cnode_term_drop(name);
}
END_TEST

START_TEST(a_connection_that_is_lost_is_told_from_a_node_that_cannot_be_reached)
{
	cnode_pid pid;
	cnode_term none = args("[]");
	ck_assert_int_eq(cnode_node_route(a, "c@127.0.0.1", "127.0.0.1:1"), 0);
	ck_assert_int_eq(cnode_spawn_remote(mb, "c@127.0.0.1", "probe", none, NULL, &pid), CNODE_ENOCONNECTION);
	ck_assert_int_eq(cnode_spawn_remote(mb, "not a name", "probe", none, NULL, &pid), CNODE_EBADNAME);
	cnode_term_drop(none);
	/* Asynchronously, so that this thread can cut the connection while init stands at the door. */
	cnode_ref ref;
	cnode_info info;
	cnode_term list = args("[wait]");
	ck_assert_int_eq(cnode_spawn_request(self(), B, "probe", "start", list, CNODE_SPAWN_LINK, &ref), 0);
	cnode_term_drop(list);
	await_at_door(1);
	ck_assert_int_eq(cnode_disconnect(a, B), 0);
	ck_assert_int_eq(cnode_receive(mb, &info, TAP_WAIT_MS), 0);
	ck_assert_int_eq(cnode_scan(info.message, "{spawn_reply,_,error,noconnection}"), 0);
	/* The link ends it there: it is gone once init comes back. */
	open_door();
	ck_assert_int_eq(spawn("probe", "[]", NULL, &pid), 0);
}
END_TEST

static void *disconnect_at_door(void *context)
{
	(void)context;
	await_at_door(1);
	cnode_disconnect(a, B);
	return NULL;
}

START_TEST(a_waiting_spawn_hears_of_a_lost_connection)
{
	cnode_pid pid;
	pthread_t thread;
	ck_assert_int_eq(pthread_create(&thread, NULL, disconnect_at_door, NULL), 0);
	ck_assert_int_eq(spawn_with("[wait]", OPTIONS(.timeout_ms = TAP_WAIT_MS), &pid), CNODE_ELOST);
	pthread_join(thread, NULL);
}
END_TEST

START_TEST(the_own_node_spawns_with_the_same_options)
{
	cnode_pid pid, found;
	cnode_info info;
	cnode_term none = args("[]"), wait = args("[wait]"), fail = args("[{fail,{no_disk,3}}]");
	cnode_spawn_options o = CNODE_SPAWN_INIT;
	ck_assert_int_eq(cnode_factory_add(a, "probe", &probe, NULL, CNODE_NO_NODES), 0);
	o.name = "one";
	o.monitor = true;
	ck_assert_msg(cnode_spawn_remote(mb, NULL, "probe", none, &o, &pid) == 0, "%s", cnode_mailbox_error(mb));
	ck_assert_int_eq(cnode_whereis(a, "one", &found), 0);
	ck_assert(cnode_pid_equal(found, pid));
	ck_assert_int_eq(cnode_spawn_remote(mb, A, "probe", none, &o, &found), CNODE_ENAMETAKEN);
	ck_assert_int_eq(cnode_exit(self(), pid, "kill"), 0);
	is_down(&info, "killed");
	o.name = NULL;
	ck_assert_int_eq(cnode_spawn_remote(mb, A, "nothing", none, &o, &found), CNODE_EUNDEF);
	ck_assert_int_eq(cnode_spawn_remote(mb, A, "probe", fail, &o, &found), CNODE_EINIT);
	o.timeout_ms = 50;
	ck_assert_int_eq(cnode_spawn_remote(mb, A, "probe", wait, &o, &found), CNODE_ETIMEOUT);
	open_door();
	cnode_term_drop(none);
	cnode_term_drop(wait);
	cnode_term_drop(fail);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("spawn");
	TCase *tc = tcase_create("access");
	tcase_add_checked_fixture(tc, open_nodes, close_nodes);
	tcase_add_test(tc, the_global_switch_refuses_and_always_answers);
	tcase_add_test(tc, a_list_that_changes_holds_for_the_next_request);
	tcase_add_test(tc, a_closed_factory_is_not_opened_by_another_one_that_gets_its_name);
	tcase_add_test(tc, options_are_looked_at_for_those_only_who_may_spawn);
	tcase_add_test(tc, options_have_a_limit);
	tcase_add_test(tc, a_refusal_is_logged_with_peer_factory_and_reason);
	tcase_add_test(tc, a_refused_name_does_not_exist_for_calls_monitors_and_messages);
	tcase_add_test(tc, a_list_for_all_names_leaves_the_nodes_services_alone);
	tcase_add_test(tc, a_process_of_the_programs_own_is_not_ended_by_a_peer);
	tcase_add_test(tc, a_linked_process_may_be_ended_whatever_the_list_says);
	tcase_add_test(tc, who_spawned_a_process_may_end_it_after_the_factory_was_closed_too);
	tcase_add_test(tc, a_factory_that_gets_a_name_opens_no_process_of_the_one_before);
	tcase_add_test(tc, a_quota_of_processes_ends_in_system_limit);
	tcase_add_test(tc, a_quota_of_spawns_per_second_ends_in_system_limit);
	suite_add_tcase(s, tc);
	tc = tcase_create("options");
	tcase_add_checked_fixture(tc, open_nodes, close_nodes);
	tcase_add_test(tc, a_name_is_there_before_the_answer_and_is_not_given_twice);
	tcase_add_test(tc, a_name_that_the_list_refuses_is_not_given);
	tcase_add_test(tc, init_that_fails_gives_its_reason_and_leaves_nothing);
	tcase_add_test(tc, init_that_is_late_ends_with_timeout_and_sees_it);
	tcase_add_test(tc, an_answer_at_creation_does_not_wait_for_init);
	tcase_add_test(tc, late_init_is_an_end_where_the_answer_came_at_creation);
	tcase_add_test(tc, environment_application_and_log_level_are_given);
	tcase_add_test(tc, a_value_that_cannot_be_sent_fails_the_whole_spawn_and_its_key_is_named);
	tcase_add_test(tc, a_spawn_carries_on_what_its_process_has_and_is_allowed_to_show);
	tcase_add_test(tc, a_full_mailbox_ends_its_process_or_loses_messages);
	tcase_add_test(tc, options_stand_in_the_arguments_of_cnode_spawn_too);
	tcase_add_test(tc, requests_of_proc_lib_reach_the_factory);
	tcase_add_test(tc, unknown_functions_are_answered_as_the_factory_says);
	tcase_add_test(tc, a_global_name_is_there_before_the_answer_and_is_not_given_twice);
	tcase_add_test(tc, a_connection_that_is_lost_is_told_from_a_node_that_cannot_be_reached);
	tcase_add_test(tc, a_waiting_spawn_hears_of_a_lost_connection);
	tcase_add_test(tc, the_own_node_spawns_with_the_same_options);
	suite_add_tcase(s, tc);
	return tap_run(s);
}
