/* SPDX-License-Identifier: Apache-2.0 */
/* gen: what gen_server, sys and gen:call see of a behaviour, and what a behaviour sees of them. */
#include "tests/gen_counter.h"

/* ---- calls ---- */

START_TEST(replies_with_the_tag_as_it_came_to_where_it_says)
{
	ask("'$gen_call'", TAG_REF, "{add,5}");
	ck_assert_str_eq(sent(), "MESSAGE 1 -> 5 {" R1 ",15}");
	ask("'$gen_call'", TAG_ALIAS, "{add,5}");
	ck_assert_str_eq(sent(), "MESSAGE 1 -> alias {[alias|" R1 "],20}");
	ask("'$gen_call'", TAG_MULTI, "{add,5}");
	ck_assert_str_eq(sent(), "MESSAGE 1 -> alias {[[alias|" R1 "]|x],25}");
	ask("'$gen_call'", TAG_ODD, "{add,5}");
	ck_assert_str_eq(sent(), "MESSAGE 1 -> 5 {{" R1 ",r@h},30}");
	atomic_store(&W.no_alias, true);
	ask("'$gen_call'", TAG_ALIAS, "who");
	ck_assert_str_eq(sent(), "MESSAGE 1 -> 5 {[alias|" R1 "],<r@h.5.0>}");
}
END_TEST

START_TEST(answers_once)
{
	ask("'$gen_call'", TAG_REF, "{twice,{a,b}}");
	ck_assert_str_eq(sent(), "MESSAGE 1 -> 5 {" R1 ",{a,b}}");
	ask("'$gen_call'", TAG_REF, "bad_format");
	ck_assert_str_eq(sent(), "MESSAGE 1 -> 5 {" R1 ",ok}");
	ask("'$gen_call'", TAG_REF, "unknown");
	ck_assert_str_eq(sent(), "MESSAGE 1 -> 5 {" R1 ",{error,bad_request}}");
	ask("'$gen_call'", TAG_REF, "never");
	ck_assert_str_eq(sent(), "");
	ck_assert(cn_procs_is_alive(W.procs, C));
}
END_TEST

START_TEST(answers_later)
{
	ask("'$gen_call'", TAG_ALIAS, "keep");
	ck_assert_str_eq(sent(), "");
	ask("'$gen_call'", TAG_REF, "{add,1}");
	ck_assert_str_eq(sent(), "MESSAGE 1 -> 5 {" R1 ",11}");
	tell(C, "{'$gen_cast',answer}");
	ck_assert_str_eq(sent(), "MESSAGE 1 -> alias {[alias|" R1 "],late}");
	ask("'$gen_call'", TAG_REF, "keep_and_reply");
	ck_assert_str_eq(sent(), "MESSAGE 1 -> 5 {" R1 ",now}");
	tell(C, "{'$gen_cast',answer}");
	ck_assert_str_eq(sent(), "");
	ck_assert_str_eq(noted(), "estate");
	/* Kept to the end: nothing leaks, also after a kill. */
	ask("'$gen_call'", TAG_ALIAS, "keep");
	deliver_term(FROM_PEER(EXIT2, remote(1), C), "kill");
	run();
	ck_assert_int_eq(terminates, 0);
	ck_assert_int_eq(releases, 1);
}
END_TEST

START_TEST(a_callback_that_fails_ends_the_process_and_the_caller_hears)
{
	struct cn_signal monitor = FROM_PEER(MONITOR, remote(5), C, .ref = remote_ref(1));
	deliver(&monitor);
	ask("'$gen_call'", TAG_REF, "crash");
	ck_assert_str_eq(sent(), "MESSAGE 1 -> 99 bye; DOWN 1 -> 5 {cnode,not_found,<<\"there is no such thing\">>}");
	ck_assert_int_eq(terminates, 1);
	ck_assert_int_eq(start(&counter, "[1]", (struct cn_process_spec){ 0 }, &C), 0);
	run();
	monitor.to = C;
	deliver(&monitor);
	ask("'$gen_call'", TAG_REF, "stop");
	ck_assert_str_eq(sent(), "MESSAGE 2 -> 99 bye; DOWN 2 -> 5 normal");
	ck_assert_int_eq(start(&counter, "[1]", (struct cn_process_spec){ 0 }, &C), 0);
	run();
	tell(C, "{'$gen_cast',stop}");
	ck_assert_str_eq(noted(), "terminate {cnode,not_found,<<\"there is no such thing\">>}; terminate normal; terminate {shutdown,cast}");
	ck_assert_uint_eq(cn_procs_count(W.procs), 0);
}
END_TEST

START_TEST(a_message_tells_the_node_that_it_came_from)
{
	cnode_term cast = text_term("{'$gen_cast',peer}");
	struct cn_target to = { .pid = C };
	tell(C, "{'$gen_cast',peer}");
	run();
	ck_assert_str_eq(noted(), "from r@h");
	ck_assert_int_eq(cn_procs_send(W.procs, &to, cast, 0), 0);
	run();
	ck_assert_str_eq(noted(), "from here");
	cnode_term_drop(cast);
}
END_TEST

START_TEST(what_only_looks_like_a_call_is_a_message)
{
	static const char *const odd[] = {
		"'$gen_call'", "{'$gen_call',x}", "{'$gen_call',x,y}", "{'$gen_call',{x,y},z}", "{'$gen_call',{x},z}",
		"{'$gen_call',{},z}", "{system,x,y}", "{system,{a,b},get_state}", "{'$gen_cast'}", "{'$gen_cast',a,b}",
		"{}", "[]", "5", "{1,2}", "{\"$gen_cast\",2}", "#{a => 1}", "{[],x}", "{[alias],x}", "{[alias|5],x}", "{[[]|5],x}",
	};
	for (size_t i = 0; i < CN_ARRAY_SIZE(odd); i++) {
		char wanted[128];
		cnode_term t = text_term(odd[i]);
		char *text = cnode_term_text(t);
		snprintf(wanted, sizeof wanted, "message %s", text);
		cnode_free(text);
		cnode_term_drop(t);
		tell(C, odd[i]);
		ck_assert_str_eq(noted(), wanted);
	}
	ck_assert_str_eq(sent(), "");
	tell(C, "{'$gen_cast',{anything,1}}");
	ck_assert_str_eq(noted(), "cast {anything,1}");
}
END_TEST

START_TEST(a_behaviour_without_callbacks_answers_all_the_same)
{
	static const cnode_behaviour empty = { CNODE_BEHAVIOUR_INIT };
	ck_assert_int_eq(start(&empty, "[]", (struct cn_process_spec){ 0 }, &C), 0);
	run();
	ask("'$gen_call'", TAG_REF, "anything");
	ck_assert_str_eq(sent(), "MESSAGE 2 -> 5 {" R1 ",{error,bad_request}}");
	tell(C, "{'$gen_cast',x}");
	tell(C, "x");
	ask("system", TAG_REF, "get_state");
	ck_assert_str_eq(sent(), "MESSAGE 2 -> 5 {" R1 ",counter}");
	deliver_term(FROM_PEER(EXIT2, remote(1), C), "shutdown");
	run();
	ck_assert(!cn_procs_is_alive(W.procs, C));
	static const cnode_behaviour old = { .size = offsetof(cnode_behaviour, release) }, wrong = { .size = 8 };
	ck_assert_int_eq(start(&old, "[]", (struct cn_process_spec){ 0 }, &C), 0);
	run();
	ck_assert_int_eq(start(&wrong, "[]", (struct cn_process_spec){ 0 }, &C), CNODE_EBADARG);
}
END_TEST

/* ---- starting ---- */

START_TEST(init_decides_about_the_start)
{
	cnode_pid pid;
	started.calls = 0;
	ck_assert_int_eq(start(&counter, "[not_a_number]", (struct cn_process_spec){ 0 }, &pid), 0);
	run();
	ck_assert_int_eq(started.calls, 1);
	ck_assert_int_eq(started.code, CNODE_EBADARG);
	ck_assert_str_eq(started.reason, "{cnode,badarg,<<\"an argument is wrong, or a term does not match the format\">>}");
	ck_assert_int_eq(start(&counter, "[stop,{no,way}]", (struct cn_process_spec){ 0 }, &pid), 0);
	run();
	ck_assert_int_eq(started.calls, 2);
	ck_assert_int_eq(started.code, CNODE_EEXITED);
	ck_assert_str_eq(started.reason, "{no,way}");
	ck_assert_int_eq(terminates, 0);
	ck_assert_int_eq(releases, 2);
	ck_assert_int_eq(start(&counter, "[1]", (struct cn_process_spec){ .name = "counter" }, &pid), CNODE_ENAMETAKEN);
}
END_TEST

/* ---- exits ---- */

START_TEST(a_trapping_process_ends_with_its_parent_and_with_the_node)
{
	struct cn_process_spec spec = { .parent = remote(9), .link = true, .epoch = 1 };
	ck_assert_int_eq(start(&counter, "[trap,1]", spec, &C), 0);
	run();
	struct cn_signal link = FROM_PEER(LINK, remote(8), C);
	deliver(&link);
	deliver_term(FROM_PEER(EXIT, remote(8), C), "other");
	run();
	ck_assert_str_eq(noted(), "exit other");
	deliver_term(FROM_PEER(EXIT, remote(9), C), "shutdown");
	run();
	ck_assert_str_eq(noted(), "terminate shutdown");
	ck_assert_str_eq(sent(), "MESSAGE 2 -> 99 bye");
	ck_assert_int_eq(start(&counter, "[trap,1]", spec, &C), 0);
	run();
	/* supervisor:terminate_child: exit(Pid, shutdown) by the parent. */
	deliver_term(FROM_PEER(EXIT2, remote(9), C), "shutdown");
	run();
	ck_assert_str_eq(noted(), "terminate shutdown");
	ck_assert_str_eq(sent(), "MESSAGE 3 -> 99 bye; EXIT 3 -> 9 shutdown");
	ck_assert_int_eq(start(&counter, "[trap,1]", (struct cn_process_spec){ 0 }, &C), 0);
	run();
	cnode_term shutdown = text_term("shutdown");
	cn_procs_exit_all(W.procs, shutdown, true);
	cnode_term_drop(shutdown);
	run();
	ck_assert_str_eq(noted(), "terminate_dead shutdown; terminate shutdown");
	ck_assert_uint_eq(cn_procs_count(W.procs), 0);
}
END_TEST

START_TEST(events_arrive_by_kind_with_their_terms)
{
	tell(C, "{'$gen_cast',monitor}");
	tell(C, "{'$gen_cast',node}");
	tell(C, "{'$gen_cast',timer}");
	cn_sched_expire(W.procs, cn_now() + CN_NS_PER_S, 10);
	cn_procs_nodedown(W.procs, W.peer, 1, "noconnection", 100);
	run();
	ck_assert_str_eq(noted(), "timer {tick,1}; down noconnection; nodedown {nodedown,r@h}");
}
END_TEST

static cnode_name came_from;
static int raw_info(cnode_process *self, void *state, const cnode_info *info)
{
	came_from = info->peer;
	return counter_info(self, state, info);
}

START_TEST(a_raw_process_sees_every_message_as_it_is)
{
	static const cnode_behaviour raw = { CNODE_BEHAVIOUR_INIT, .flags = CNODE_RAW, .handle_info = raw_info };
	ck_assert_int_eq(start(&raw, "[]", (struct cn_process_spec){ 0 }, &C), 0);
	run();
	ask("'$gen_call'", TAG_REF, "hello");
	ck_assert_str_eq(noted(), "message {'$gen_call',{<r@h.5.0>," R1 "},hello}");
	ck_assert(came_from == W.peer);
	tell(C, "{'$gen_cast',hello}");
	ck_assert_str_eq(noted(), "message {'$gen_cast',hello}");
	ask("system", TAG_REF, "get_state");
	ck_assert_str_eq(noted(), "message {system,{<r@h.5.0>," R1 "},get_state}");
	ck_assert_str_eq(sent(), "");
}
END_TEST

/* ---- sys ---- */

START_TEST(sys_messages_are_answered_as_sys_does)
{
	ask("system", TAG_ALIAS, "get_state");
	ck_assert_str_eq(sent(), "MESSAGE 1 -> alias {[alias|" R1 "],{total,10}}");
	cnode_term from26;
	cnode_ref five = { .node = W.peer, .creation = 5, .words = 5, .id = { 1, 2, 3, 4, 5 } };
	ck_assert_int_eq(cnode_format(&from26, "{system,{~p,[alias|~r]},get_state}", remote(5), five), 0);
	struct cn_signal since26 = FROM_PEER(MESSAGE, remote(5), C, .term = from26);
	deliver(&since26);
	cnode_term_drop(from26);
	run();
	ck_assert_ptr_nonnull(strstr(sent(), ",{ok,{total,10}}}"));
	ask("system", TAG_REF, "get_status");
	const char *status = sent();
	ck_assert_ptr_nonnull(strstr(status, "{" R1 ",{status,<me@h.1.0>,{module,counter},[[],running,<me@h.1.0>,[],[{header,\"counter\"},{data"));
	ask("system", TAG_REF, "{replace_state,x}");
	ck_assert_str_eq(sent(), "MESSAGE 1 -> 5 {" R1 ",{error,{callback_failed,{counter,system_replace_state},{error,undef}}}}");
	ask("system", TAG_REF, "{debug,no_debug}");
	ask("system", TAG_REF, "{debug,{log,get}}");
	ask("system", TAG_REF, "{debug,{install,x}}");
	ask("system", TAG_REF, "nonsense");
	ck_assert_str_eq(sent(), "MESSAGE 1 -> 5 {" R1 ",ok}; MESSAGE 1 -> 5 {" R1 ",{ok,[]}}; MESSAGE 1 -> 5 {" R1 ",{error,notsup}}; "
			 "MESSAGE 1 -> 5 {" R1 ",{error,{unknown_system_msg,nonsense}}}");
	struct cn_signal link = FROM_PEER(LINK, remote(9), C);
	deliver(&link);
	ask("system", TAG_REF, "{terminate,{shutdown,sys}}");
	ck_assert_str_eq(sent(), "MESSAGE 1 -> 5 {" R1 ",ok}; MESSAGE 1 -> 99 bye; EXIT 1 -> 9 {shutdown,sys}");
	ck_assert_str_eq(noted(), "terminate {shutdown,sys}");
}
END_TEST

START_TEST(sys_looks_at_messages_while_it_is_asked_to)
{
	ask("system", TAG_REF, "{debug,{log,{true,3}}}");
	ask("system", TAG_REF, "{debug,{statistics,true}}");
	ask("system", TAG_REF, "{debug,{trace,true}}");
	ck_assert_str_eq(sent(), "MESSAGE 1 -> 5 {" R1 ",ok}; MESSAGE 1 -> 5 {" R1 ",ok}; MESSAGE 1 -> 5 {" R1 ",ok}");
	ask("'$gen_call'", TAG_REF, "{add,5}");
	ask("'$gen_call'", TAG_REF, "{add,1}");
	tell(C, "note");
	run();
	(void)sent();
	ask("system", TAG_REF, "{debug,{log,get}}");
	ck_assert_str_eq(sent(), "MESSAGE 1 -> 5 {" R1 ",{ok,[{out,16,{<r@h.5.0>," R1 "},{total,16}},{in,note},{noreply,{total,16}}]}}");
	ask("system", TAG_REF, "{debug,{statistics,get}}");
	ck_assert_ptr_nonnull(strstr(sent(), "{ok,[{start_time,{{"));
	ask("system", TAG_REF, "{debug,{log,{true,20000}}}");
	ask("system", TAG_REF, "{debug,{log,{true,0}}}");
	ask("system", TAG_REF, "{debug,{log_to_file,x}}");
	ck_assert_str_eq(sent(), "MESSAGE 1 -> 5 {" R1 ",{error,system_limit}}; MESSAGE 1 -> 5 {" R1 ",unknown_debug}; "
			 "MESSAGE 1 -> 5 {" R1 ",{error,open_file}}");
	ask("system", TAG_REF, "{debug,no_debug}");
	ask("'$gen_call'", TAG_REF, "{add,1}");
	(void)sent();
	ask("system", TAG_REF, "{debug,{log,get}}");
	ask("system", TAG_REF, "{debug,{statistics,get}}");
	ck_assert_str_eq(sent(), "MESSAGE 1 -> 5 {" R1 ",{ok,[]}}; MESSAGE 1 -> 5 {" R1 ",{ok,no_statistics}}");
}
END_TEST

START_TEST(what_comes_while_suspended_waits)
{
	ask("system", TAG_REF, "suspend");
	ck_assert_str_eq(sent(), "MESSAGE 1 -> 5 {" R1 ",ok}");
	ask("'$gen_call'", TAG_REF, "{add,1}");
	tell(C, "hello");
	tell(C, "{'$gen_cast',one}");
	ck_assert_str_eq(noted(), "");
	ck_assert_str_eq(sent(), "");
	ask("system", TAG_REF, "get_state");
	ck_assert_str_eq(sent(), "MESSAGE 1 -> 5 {" R1 ",{total,10}}");
	ask("system", TAG_REF, "get_status");
	ck_assert_ptr_nonnull(strstr(sent(), ",suspended,"));
	ask("system", TAG_REF, "resume");
	ck_assert_str_eq(noted(), "message hello; cast one");
	ck_assert_str_eq(sent(), "MESSAGE 1 -> 5 {" R1 ",ok}; MESSAGE 1 -> 5 {" R1 ",11}");
	/* What still waits at the end is freed. */
	ask("system", TAG_REF, "suspend");
	tell(C, "{never,read}");
}
END_TEST

/* ---- speed ---- */

static int quick_call(cnode_process *self, void *state, cnode_from *from, cnode_term request)
{
	(void)self; (void)state; (void)request;
	return cnode_reply(from, "ok");
}
START_TEST(calls_are_quick)
{
	enum { N = 100000 };
	static const cnode_behaviour quick = { CNODE_BEHAVIOUR_INIT, .handle_call = quick_call };
	ck_assert_int_eq(start(&quick, "[]", (struct cn_process_spec){ 0 }, &C), 0);
	run();
	cnode_term call;
	ck_assert_int_eq(cnode_format(&call, "{'$gen_call',{~p,[alias|~r]},get}", remote(5), remote_ref(1)), 0);
	struct cn_signal sig = FROM_PEER(MESSAGE, remote(5), C, .term = call);
	atomic_store(&W.drop, true);
	for (int i = 0; i < N; i++)
		deliver(&sig);
	uint64_t t = cn_now();
	run();
	t = cn_now() - t;
	ck_assert_uint_ge(atomic_load(&W.total), N);
	fprintf(stderr, "# a call answered in %.0f ns\n", (double)t / N);
	cnode_term_drop(call);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("gen");
	TCase *t = tcase_create("counter");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, replies_with_the_tag_as_it_came_to_where_it_says);
	tcase_add_test(t, answers_once);
	tcase_add_test(t, a_raw_process_sees_every_message_as_it_is);
	tcase_add_test(t, a_message_tells_the_node_that_it_came_from);
	tcase_add_test(t, answers_later);
	tcase_add_test(t, a_callback_that_fails_ends_the_process_and_the_caller_hears);
	tcase_add_test(t, what_only_looks_like_a_call_is_a_message);
	tcase_add_test(t, a_behaviour_without_callbacks_answers_all_the_same);
	tcase_add_test(t, init_decides_about_the_start);
	tcase_add_test(t, a_trapping_process_ends_with_its_parent_and_with_the_node);
	tcase_add_test(t, events_arrive_by_kind_with_their_terms);
	tcase_add_test(t, sys_messages_are_answered_as_sys_does);
	tcase_add_test(t, sys_looks_at_messages_while_it_is_asked_to);
	tcase_add_test(t, what_comes_while_suspended_waits);
	tcase_add_test(t, calls_are_quick);
	suite_add_tcase(s, t);
	t = tcase_create("memory");
	suite_add_tcase(s, t);
	return tap_run(s);
}
