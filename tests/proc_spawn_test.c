/* SPDX-License-Identifier: Apache-2.0 */
/* Spawns: what is said of a start, and when, and what a refused one leaves. */
#include "tests/proc_script.h"

START_TEST(says_the_start_once_after_init)
{
	struct script s = { 0 };
	cnode_pid pid = spawn(&s);
	ck_assert(cn_procs_is_alive(W.procs, pid));
	ck_assert_int_eq(started.calls, 0);
	run();
	ck_assert_int_eq(started.calls, 1);
	ck_assert_int_eq(started.code, 0);
	ck_assert_int_eq(s.inits, 1);
	kill_it(pid, "shutdown");
	run();
	ck_assert_int_eq(started.calls, 1);
	ck_assert_int_eq(s.terminates, 1);
	ck_assert_str_eq(s.reason, "shutdown");
	ck_assert_int_eq(s.finis, 1);
	ck_assert_uint_eq(cn_procs_count(W.procs), 0);
	ck_assert_int_eq(atomic_load(&W.gone), 1);
	ck_assert_int_eq(atomic_load(&W.left), 0);
}
END_TEST

static int refuse(cnode_process *self, struct script *s)
{
	(void)self; (void)s;
	return CNODE_EBADARG;
}
static int refuse_why(cnode_process *self, struct script *s)
{
	(void)s;
	(void)cnode_stop(self, "{no,disk}");
	return CNODE_EIO;
}
START_TEST(refused_start_is_said_and_nothing_else)
{
	struct script s = { .init = refuse };
	cnode_pid pid = spawn_spec(&s, (struct cn_process_spec){ .parent = remote(9), .link = true, .monitor = true,
								 .monitor_ref = remote_ref(1), .epoch = 1, .name = "refused" });
	/* Somebody else found it by name meanwhile, and hears of its end. */
	struct cn_signal monitor = FROM_PEER(MONITOR, remote(8), pid, .ref = remote_ref(2));
	deliver(&monitor);
	run();
	ck_assert_int_eq(started.calls, 1);
	ck_assert_int_eq(started.code, CNODE_EBADARG);
	ck_assert_str_eq(started.reason, "badarg");
	ck_assert_int_eq(s.terminates, 0);
	ck_assert_int_eq(s.finis, 1);
	ck_assert_str_eq(sent(), "DOWN 1 -> 8 badarg");
	ck_assert_uint_eq(started.sent_before, 0);
	ck_assert(!cn_procs_is_alive(W.procs, pid));
	struct script why = { .init = refuse_why };
	spawn(&why);
	run();
	ck_assert_int_eq(started.code, CNODE_EIO);
	ck_assert_str_eq(started.reason, "{no,disk}");
}
END_TEST

START_TEST(first_signal_forces_the_start_and_a_later_failure_is_an_exit)
{
	struct script s = { .init = send_then_refuse };
	spawn_spec(&s, (struct cn_process_spec){ .parent = remote(9), .link = true, .monitor = true,
						 .monitor_ref = remote_ref(1), .epoch = 1 });
	run();
	ck_assert_int_eq(started.calls, 1);
	ck_assert_str_eq(sent(), "MESSAGE 1 -> 3 early; EXIT 1 -> 9 badarg; DOWN 1 -> 9 badarg");
}
END_TEST

static int unlinked_in_init(cnode_process *self, struct script *s)
{
	(void)s;
	struct cn_signal unlink = FROM_PEER(UNLINK, remote(5), cnode_self(self), .unlink_id = 4);
	deliver(&unlink);
	ck_assert_uint_eq(W.count, 0);
	return 0;
}
START_TEST(an_answer_by_name_waits_for_the_start)
{
	struct script s = { .init = unlinked_in_init };
	spawn(&s);
	run();
	ck_assert_uint_eq(started.sent_before, 0);
	ck_assert_str_eq(sent(), "UNLINK_ACK 1 -> 5 #4");
}
END_TEST

static int killed_in_init(cnode_process *self, struct script *s)
{
	(void)s;
	kill_it(cnode_self(self), "kill");
	ck_assert(cnode_cancelled(self));
	ck_assert_int_eq(started.calls, 1);
	ck_assert_int_eq(cnode_send(self, remote(3), "x"), CNODE_EEXITED);
	return 0;
}
START_TEST(a_kill_during_init_refuses_the_spawn)
{
	struct script s = { .init = killed_in_init };
	spawn_spec(&s, (struct cn_process_spec){ .parent = remote(9), .link = true, .epoch = 1 });
	run();
	ck_assert_int_eq(started.calls, 1);
	ck_assert_int_eq(started.code, CNODE_EEXITED);
	ck_assert_str_eq(started.reason, "killed");
	ck_assert_str_eq(sent(), "");
	ck_assert_int_eq(s.terminates, 0);
	ck_assert_int_eq(s.finis, 1);
	/* And one before it has run at all. */
	struct script t = { 0 };
	cnode_pid pid = spawn(&t);
	kill_it(pid, "boom");
	ck_assert_int_eq(started.calls, 2);
	ck_assert_str_eq(started.reason, "boom");
	run();
	ck_assert_int_eq(t.inits, 0);
	ck_assert_int_eq(t.unused, 1);
	ck_assert_int_eq(t.terminates, 0);
	ck_assert_uint_eq(cn_procs_count(W.procs), 0);
}
END_TEST

static int stop_in_init(cnode_process *self, struct script *s)
{
	(void)s;
	(void)cnode_stop(self, "normal");
	return 0;
}
START_TEST(a_process_may_start_and_end_at_once)
{
	struct script s = { .init = stop_in_init };
	spawn_spec(&s, (struct cn_process_spec){ .parent = remote(9), .link = true, .monitor = true,
						 .monitor_ref = remote_ref(1), .epoch = 1 });
	run();
	ck_assert_int_eq(started.calls, 1);
	ck_assert_int_eq(started.code, 0);
	ck_assert_str_eq(sent(), "EXIT 1 -> 9 normal; DOWN 1 -> 9 normal");
	ck_assert_int_eq(s.terminates, 1);
}
END_TEST

START_TEST(a_spawn_that_fails_leaves_nothing_visible)
{
	struct script s = { 0 };
	cnode_pid pid;
	struct cn_process_spec spec = { .class = &script_class, .state_size = 8, .arg = &s, .started = on_started, .name = "n" };
	ck_assert_int_eq(cn_process_spawn(W.procs, &spec, &pid), 0);
	cnode_pid first = pid;
	ck_assert_int_eq(cn_process_spawn(W.procs, &spec, &pid), CNODE_ENAMETAKEN);
	spec.name = "undefined";
	ck_assert_int_eq(cn_process_spawn(W.procs, &spec, &pid), CNODE_EBADNAME);
	spec.name = NULL;
	spec.link = true;
	spec.parent = (cnode_pid){ .node = W.own, .creation = 77, .id = 500 };
	ck_assert_int_eq(cn_process_spawn(W.procs, &spec, &pid), CNODE_EEXITED);
	ck_assert_uint_eq(cn_procs_count(W.procs), 1);
	cn_procs_close(W.procs);
	spec.link = false;
	ck_assert_int_eq(cn_process_spawn(W.procs, &spec, &pid), CNODE_ESHUTDOWN);
	ck_assert_int_eq(started.calls, 0);
	kill_it(first, "kill");
	run();
	ck_assert_int_eq(started.calls, 1);
}
END_TEST

START_TEST(a_local_parent_has_link_and_monitor_from_the_first_moment)
{
	struct cnode_process *parent = hand(NULL);
	struct script s = { 0 };
	cnode_ref ref;
	cnode_make_ref(parent, &ref);
	struct cn_process_spec spec = { .parent = cnode_self(parent), .link = true, .monitor = true, .monitor_ref = ref };
	cnode_trap_exit(parent, true);
	cnode_pid pid = spawn_spec(&s, spec);
	struct cn_process_info info;
	cn_procs_info(W.procs, pid, &info);
	ck_assert_uint_eq(info.links, 1);
	ck_assert_uint_eq(info.monitored_by, 1);
	run();
	kill_it(pid, "boom");
	ck_assert_str_eq(got(parent), "EXIT 2 boom");
	ck_assert_str_eq(got(parent), "DOWN 2 boom");
	/* Of a refused one it hears nothing, and keeps nothing. */
	struct script no = { .init = refuse };
	spawn_spec(&no, spec);
	run();
	ck_assert_str_eq(got(parent), "");
	cn_procs_info(W.procs, cnode_self(parent), &info);
	ck_assert_uint_eq(info.links + info.monitors, 0);
	/* Its death takes the child along. */
	struct script child = { 0 };
	pid = spawn_spec(&child, spec);
	run();
	hand_exit(parent, "boom");
	ck_assert(!cn_procs_is_alive(W.procs, pid));
	run();
	ck_assert_str_eq(child.reason, "boom");
}
END_TEST

/* An atom has up to 255 characters, of up to four bytes; cut elsewhere than at its end it would be none. */
START_TEST(the_label_of_a_process_is_shown_whole)
{
	char label[255 * 2 + 1] = "";
	struct cn_process_info info;
	struct script s = { 0 };
	for (int i = 0; i < 255; i++)
		memcpy(label + 2 * i, "\xc3\xa4", 3);
	cnode_pid pid = spawn_spec(&s, (struct cn_process_spec){ .label = label });
	ck_assert_int_eq(cn_procs_info(W.procs, pid, &info), 0);
	ck_assert_str_eq(info.label, label);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("proc");
	TCase *t = tcase_create("spawns");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, says_the_start_once_after_init);
	tcase_add_test(t, refused_start_is_said_and_nothing_else);
	tcase_add_test(t, first_signal_forces_the_start_and_a_later_failure_is_an_exit);
	tcase_add_test(t, an_answer_by_name_waits_for_the_start);
	tcase_add_test(t, a_kill_during_init_refuses_the_spawn);
	tcase_add_test(t, a_process_may_start_and_end_at_once);
	tcase_add_test(t, a_spawn_that_fails_leaves_nothing_visible);
	tcase_add_test(t, a_local_parent_has_link_and_monitor_from_the_first_moment);
	tcase_add_test(t, the_label_of_a_process_is_shown_whole);
	suite_add_tcase(s, t);
	return tap_run(s);
}
