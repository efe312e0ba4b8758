/* SPDX-License-Identifier: Apache-2.0 */
/* gen: what a behaviour asks of others, and its idle timeout. */
#include "tests/alloc_fail.h"
#include "tests/gen_counter.h"

/* ---- calls out ---- */

static cnode_ref asked;
static void remember(struct world *w, const struct cn_signal *sig)
{
	(void)w;
	if (sig->kind == CN_SIG_MONITOR)
		asked = sig->ref;
}
static void reply_only(bool alias, bool to_alias, const char *text)
{
	cnode_term t, r = text_term(text);
	ck_assert_int_eq(cnode_format(&t, alias ? "{[alias|~r],~t}" : "{~r,~t}", asked, r), 0);
	struct cn_signal sig = FROM_PEER(MESSAGE, remote(7), C, .term = t);
	if (to_alias) {
		sig.to = (cnode_pid){ 0 };
		sig.alias = &asked;
	}
	deliver(&sig);
	cnode_term_drop(t);
	cnode_term_drop(r);
}
static void reply(bool alias, bool to_alias, const char *text)
{
	reply_only(alias, to_alias, text);
	run();
}

START_TEST(calls_complete_with_the_reply_by_alias_or_pid)
{
	W.hook = remember;
	tell_f(C, "{'$gen_cast',{call_forever,~p}}", remote(7));
	const char *s = sent();
	ck_assert_ptr_nonnull(strstr(s, "MONITOR 1 -> 7; MESSAGE 1 -> 7 {'$gen_call',{<me@h.1.0>,[alias|#Ref<"));
	reply(true, true, "{ok,1}");
	ck_assert_str_eq(noted(), "done! ok {ok,1}");
	ck_assert_str_eq(sent(), "DEMONITOR 1 -> 7");
	reply(true, true, "late");
	reply(true, false, "late");
	deliver_term(FROM_PEER(DOWN, remote(7), C, .ref = asked), "late");
	run();
	ck_assert_str_eq(noted(), "");
	/* net_kernel of OTP 25 answers the pid. */
	tell_f(C, "{'$gen_cast',{call_forever,~p}}", remote(7));
	reply(true, false, "yes");
	ck_assert_str_eq(noted(), "done! ok yes");
	ck_assert_ptr_nonnull(strstr(sent(), "DEMONITOR 1 -> 7"));
	/* OTP 23: a plain reference, and the reply to the pid. */
	atomic_store(&W.no_alias, true);
	tell_f(C, "{'$gen_cast',{call_forever,~p}}", remote(7));
	ck_assert_ptr_nonnull(strstr(sent(), "{'$gen_call',{<me@h.1.0>,#Ref<"));
	reply(false, true, "dropped");
	ck_assert_str_eq(noted(), "");
	reply(false, false, "three");
	ck_assert_str_eq(noted(), "done! ok three");
	reply(false, false, "late");
	ck_assert_str_eq(noted(), "");
	/* A reference that is no call's is the program's. */
	tell_f(C, "{x,~p}", remote(7));
	ck_assert_str_eq(noted(), "message {x,<r@h.7.0>}");
	tell(C, "{'$gen_cast',cast}");
	ck_assert_str_eq(noted(), "");
}
END_TEST

START_TEST(calls_end_with_the_servers_end)
{
	static const struct { const char *reason, *noted; } ends[] = {
		{ "noproc", "done! noproc noproc" }, { "{bad,thing}", "done! exited {bad,thing}" }, { "noconnection", "done! noconnection noconnection" },
	};
	W.hook = remember;
	for (size_t i = 0; i < CN_ARRAY_SIZE(ends); i++) {
		tell_f(C, "{'$gen_cast',{call_forever,~p}}", remote(7));
		deliver_term(FROM_PEER(DOWN, remote(7), C, .ref = asked), ends[i].reason);
		run();
		ck_assert_str_eq(noted(), ends[i].noted);
		reply(true, true, "late");
		ck_assert_str_eq(noted(), "");
	}
	tell_f(C, "{'$gen_cast',{call,~p,5000}}", remote(7));
	tell(C, "{'$gen_cast',call_name}");
	cn_procs_nodedown(W.procs, W.peer, 1, "noconnection", 100);
	run();
	ck_assert_str_eq(noted(), "done noconnection noconnection; done noconnection noconnection");
	ck_assert_uint_eq(cn_sched_due(W.procs), CN_NEVER);
	cnode_pid gone = { .node = W.own, .creation = 77, .id = 999 };
	tell_f(C, "{'$gen_cast',{call,~p,5000}}", gone);
	ck_assert_str_eq(noted(), "done noproc noproc");
}
END_TEST

START_TEST(calls_time_out_once)
{
	W.hook = remember;
	tell_f(C, "{'$gen_cast',{call,~p,10}}", remote(7));
	ck_assert_str_eq(noted(), "");
	sent();
	cn_sched_expire(W.procs, cn_now() + CN_NS_PER_S, 10);
	run();
	ck_assert_str_eq(noted(), "done timeout");
	ck_assert_str_eq(sent(), "DEMONITOR 1 -> 7");
	reply(true, true, "late");
	reply(true, false, "late");
	ck_assert_str_eq(noted(), "");
	/* The timer of a call that was answered is gone. */
	tell_f(C, "{'$gen_cast',{call,~p,10}}", remote(7));
	reply(true, true, "now");
	ck_assert_str_eq(noted(), "done ok now");
	ck_assert_uint_eq(cn_sched_due(W.procs), CN_NEVER);
}
END_TEST

START_TEST(the_timer_of_a_call_that_fires_behind_the_reply_is_not_the_programs)
{
	W.hook = remember;
	tell_f(C, "{'$gen_cast',{call,~p,10}}", remote(7));
	reply_only(true, true, "now");
	cn_sched_expire(W.procs, cn_now() + CN_NS_PER_S, 10);   /* both lie in the mailbox */
	run();
	ck_assert_str_eq(noted(), "done ok now");
}
END_TEST

START_TEST(after_completes_once_when_its_time_has_come)
{
	tell(C, "{'$gen_cast',{'after',60000}}");
	tell(C, "{'$gen_cast',{'after',10}}");
	cn_sched_expire(W.procs, cn_now() + CN_NS_PER_S, 10);
	run();
	ck_assert_str_eq(noted(), "done after ok");
	ck_assert_str_eq(sent(), "");
	/* The other ends with the process: the sanitizer would tell. */
}
END_TEST

START_TEST(a_callback_learns_which_node_a_cast_came_from)
{
	tell(C, "{'$gen_cast',who}");
	ck_assert_str_eq(noted(), "r@h who");
	cnode_term t = text_term("{'$gen_cast',who}");
	struct cn_target to = { .pid = C };
	ck_assert_int_eq(cn_procs_send(W.procs, &to, t, 0), 0);
	cnode_term_drop(t);
	run();
	ck_assert_str_eq(noted(), "here who");
}
END_TEST

START_TEST(behaviours_call_each_other_on_one_node)
{
	cnode_pid other;
	ck_assert_int_eq(start(&counter, "[1]", (struct cn_process_spec){ 0 }, &other), 0);
	run();
	tell_f(C, "{'$gen_cast',{call,~p,5000}}", other);
	ck_assert_str_eq(noted(), "done ok {error,bad_request}");
	struct cn_process_info info;
	cn_procs_info(W.procs, other, &info);
	ck_assert_uint_eq(info.monitored_by, 0);
	cn_procs_info(W.procs, C, &info);
	ck_assert_uint_eq(info.monitors, 0);
	tell_f(C, "{'$gen_cast',{call_forever,~p}}", C);
	ck_assert_str_eq(noted(), "done! ok {error,bad_request}");
	ck_assert_str_eq(sent(), "");
}
END_TEST

START_TEST(many_calls_at_once_each_complete_once)
{
	enum { N = 2000 };
	atomic_store(&W.drop, true);
	for (int i = 0; i < N; i++)
		tell_f(C, "{'$gen_cast',{call,~p,60000}}", remote((uint32_t)i + 1));
	cn_procs_nodedown(W.procs, W.peer, 1, "noconnection", 100000);
	struct cn_process_info info;
	cn_procs_info(W.procs, C, &info);
	ck_assert_uint_eq(info.messages, N);
	uint64_t handled = info.handled;
	run();
	cn_procs_info(W.procs, C, &info);
	ck_assert_uint_eq(info.handled, handled + N);
	ck_assert_uint_eq(cn_sched_due(W.procs), CN_NEVER);
	noted();
}
END_TEST

START_TEST(a_mailbox_can_call_too)
{
	struct cnode_process *box = hand(NULL);
	struct cn_target to = { .pid = C };
	cnode_ref ref;
	cnode_term request = text_term("{add,7}"), term;
	ck_assert_int_eq(cn_gen_request(box, &to, "$gen_call", request, &ref), 0);
	cnode_term_drop(request);
	run();
	struct cn_message *m = cn_process_receive(box, NULL, NULL);
	int status = 1;
	ck_assert(cn_gen_answer(m, &ref, &status, &term));
	ck_assert_int_eq(status, 0);
	int64_t n;
	ck_assert_int_eq(cnode_scan(term, "~q", &n), 0);
	ck_assert_int_eq(n, 17);
	ck_assert(cn_gen_is_late(box, m));
	cn_gen_end(box, ref);
	cn_message_free(box, m);
	ck_assert_int_eq(cnode_call_async(box, C, 1, done, NULL, "x"), CNODE_ESTATE);
	to = (struct cn_target){ .name = "nobody" };
	request = text_term("x");
	ck_assert_int_eq(cn_gen_request(box, &to, "$gen_call", request, &ref), 0);
	cnode_term_drop(request);
	m = cn_process_receive(box, NULL, NULL);
	ck_assert(cn_gen_answer(m, &ref, &status, &term));
	ck_assert_int_eq(status, CNODE_ENOPROC);
	cn_message_free(box, m);
	hand_exit(box, "normal");
}
END_TEST

/* ---- the idle timeout ---- */

START_TEST(idleness_is_told_each_time_it_has_lasted)
{
	cnode_behaviour idle = counter;
	idle.idle_timeout_ms = 5;
	ck_assert_int_eq(start(&idle, "[1]", (struct cn_process_spec){ 0 }, &C), 0);
	run();
	for (int told = 0; told < 2;) {
		while (cn_now() < cn_sched_due(W.procs))        /* the clock is the real one */
			;
		cn_sched_expire(W.procs, cn_now(), 10);
		run();
		told += *log_ != 0;     /* not yet: a fraction of a millisecond was cut off */
		if (*log_)
			ck_assert_str_eq(noted(), "timeout timeout");
	}
}
END_TEST

START_TEST(a_message_puts_idleness_off)
{
	cnode_behaviour idle = counter;
	idle.idle_timeout_ms = 60000;
	ck_assert_int_eq(start(&idle, "[1]", (struct cn_process_spec){ 0 }, &C), 0);
	run();
	uint64_t due = cn_sched_due(W.procs);
	ck_assert_uint_le(due, cn_now() + 60 * CN_NS_PER_S);
	tell(C, "{'$gen_cast',awake}");
	cn_sched_expire(W.procs, due, 10);
	run();
	ck_assert_str_eq(noted(), "cast awake");
	ck_assert_uint_gt(cn_sched_due(W.procs), due - CN_NS_PER_S);
	ck_assert_uint_lt(cn_sched_due(W.procs), CN_NEVER);
}
END_TEST

/* ---- without memory ---- */

static void whole_life(void)
{
	inits = releases = terminates = started.calls = 0;
	log_[0] = '\0';
	if (world_open(NULL) == 0) {
		W.hook = remember;
		int rc = start(&counter, "[trap,1]", (struct cn_process_spec){ .name = "counter" }, &C);
		run();
		ck_assert_int_eq(started.calls, rc == 0);
		static const char *const said[] = {
			"{'$gen_cast',{call,<r@h.7.0>,5000}}", "{'$gen_cast',monitor}", "{'$gen_cast',timer}", "{'$gen_cast',node}", "{'$gen_cast',cast}",
		};
		for (size_t i = 0; i < CN_ARRAY_SIZE(said); i++)
			deliver_term(FROM_PEER(MESSAGE, remote(1), C), said[i]);
		run();
		cnode_term add, keep, state, suspend;
		const char *format = "{~a,{~p,[alias|~r]},~a}";
		if (cnode_format(&add, "{'$gen_call',{~p,~r},{add,1}}", remote(5), remote_ref(1)) == 0) {
			struct cn_signal sig = FROM_PEER(MESSAGE, remote(5), C, .term = add);
			deliver(&sig);
			cnode_term_drop(add);
		}
		if (cnode_format(&keep, format, "$gen_call", remote(5), remote_ref(1), "keep") == 0) {
			struct cn_signal sig = FROM_PEER(MESSAGE, remote(5), C, .term = keep);
			deliver(&sig);
			cnode_term_drop(keep);
		}
		for (size_t i = 0; i < 3; i++) {
			static const char *const on[] = { "{debug,{log,true}}", "{debug,{trace,true}}", "{debug,{statistics,true}}" };
			cnode_term what = text_term(on[i]), look;
			if (cnode_format(&look, "{system,{~p,~r},~t}", remote(5), remote_ref(1), what) == 0) {
				struct cn_signal sig = FROM_PEER(MESSAGE, remote(5), C, .term = look);
				deliver(&sig);
				cnode_term_drop(look);
			}
			cnode_term_drop(what);
		}
		if (cnode_format(&state, format, "system", remote(5), remote_ref(1), "get_status") == 0) {
			struct cn_signal sig = FROM_PEER(MESSAGE, remote(5), C, .term = state);
			deliver(&sig);
			cnode_term_drop(state);
		}
		if (cnode_format(&suspend, format, "system", remote(5), remote_ref(1), "suspend") == 0) {
			struct cn_signal sig = FROM_PEER(MESSAGE, remote(5), C, .term = suspend);
			deliver(&sig);
			cnode_term_drop(suspend);
		}
		run();
		deliver_term(FROM_PEER(MESSAGE, remote(1), C), "waiting");
		cn_procs_nodedown(W.procs, W.peer, 1, "noconnection", 100);
		run();
		deliver_term(FROM_PEER(EXIT2, remote(1), C), "kill");
		run();
	}
	world_close();
	ck_assert_int_eq(releases, inits);
}
START_TEST(every_failed_allocation_is_survived)
{
	alloc_fail_each(whole_life);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("gen_call");
	TCase *t = tcase_create("counter");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, calls_complete_with_the_reply_by_alias_or_pid);
	tcase_add_test(t, calls_end_with_the_servers_end);
	tcase_add_test(t, calls_time_out_once);
	tcase_add_test(t, the_timer_of_a_call_that_fires_behind_the_reply_is_not_the_programs);
	tcase_add_test(t, after_completes_once_when_its_time_has_come);
	tcase_add_test(t, a_callback_learns_which_node_a_cast_came_from);
	tcase_add_test(t, behaviours_call_each_other_on_one_node);
	tcase_add_test(t, many_calls_at_once_each_complete_once);
	tcase_add_test(t, a_mailbox_can_call_too);
	tcase_add_test(t, idleness_is_told_each_time_it_has_lasted);
	tcase_add_test(t, a_message_puts_idleness_off);
	suite_add_tcase(s, t);
	t = tcase_create("memory");
	tcase_add_test(t, every_failed_allocation_is_survived);
	suite_add_tcase(s, t);
	return tap_run(s);
}
