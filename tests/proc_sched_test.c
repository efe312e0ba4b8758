/* SPDX-License-Identifier: Apache-2.0 */
/* Slices, back-pressure and death in mid-callback, with processes that the test scripts. */
#include "tests/alloc_fail.h"
#include "tests/proc_script.h"

/* ---- running ---- */

static int note(cnode_process *self, struct script *s, struct cn_message *m)
{
	(void)self; (void)m;
	char *log = s->ctx;
	log[strlen(log)] = 'p';
	return 0;
}
static int note_n(cnode_process *self, struct script *s, struct cn_message *m)
{
	(void)self; (void)m;
	char *log = s->ctx;
	log[strlen(log)] = 'n';
	return 0;
}
START_TEST(prompt_processes_run_first_and_alone_when_asked)
{
	char log[16] = "";
	struct script p = { .message = note, .ctx = log }, n = { .message = note_n, .ctx = log };
	cnode_pid normal = spawn(&n);
	cnode_pid prompt = spawn_spec(&p, (struct cn_process_spec){ .class = &prompt_class });
	run();
	int wakes = atomic_load(&W.wakes), prompt_wakes = atomic_load(&W.prompt_wakes);
	tell(normal, "x");
	tell(normal, "x");
	tell(prompt, "x");
	ck_assert_int_eq(atomic_load(&W.wakes), wakes + 1);
	ck_assert_int_eq(atomic_load(&W.prompt_wakes), prompt_wakes + 1);
	struct cn_sched_waiting waiting;
	cn_sched_waiting(W.procs, &waiting);
	ck_assert_uint_eq(waiting.prompt, 1);
	ck_assert_uint_eq(waiting.normal, 1);
	ck_assert_uint_le(waiting.since, cn_now());
	ck_assert_uint_lt(waiting.forecast_ns, CN_NS_PER_S);
	ck_assert(cn_sched_run(W.procs, true, 0));
	ck_assert(!cn_sched_run(W.procs, true, 0));
	ck_assert_str_eq(log, "p");
	ck_assert(cn_sched_run(W.procs, false, 0));
	ck_assert_str_eq(log, "pnn");
	ck_assert(!cn_sched_run(W.procs, false, 0));
	cn_sched_waiting(W.procs, &waiting);
	ck_assert_uint_eq(waiting.since, CN_NEVER);
}
END_TEST

START_TEST(a_slice_ends_and_the_next_process_gets_its_turn)
{
	struct script a = { 0 }, b = { 0 };
	cnode_pid pa = spawn(&a), pb = spawn(&b);
	run();
	for (int i = 0; i < 100; i++)
		tell(pa, "x");
	tell(pb, "x");
	ck_assert(cn_sched_run(W.procs, false, 0));
	ck_assert_int_eq(a.messages, CN_SLICE_MESSAGES);
	ck_assert(cn_sched_run(W.procs, false, 0));
	ck_assert_int_eq(b.messages, 1);
	ck_assert(cn_sched_run(W.procs, false, 0));
	ck_assert_int_eq(a.messages, 100);
	ck_assert(!cn_sched_run(W.procs, false, 0));
}
END_TEST

static int spin(cnode_process *self, struct script *s, struct cn_message *m)
{
	(void)self; (void)s; (void)m;
	uint64_t until = cn_now() + CN_NS_PER_MS / 2;
	while (cn_now() < until)
		;
	return 0;
}
START_TEST(long_callbacks_end_a_slice_by_time)
{
	struct script a = { .message = spin };
	cnode_pid pa = spawn(&a);
	run();
	for (int i = 0; i < 30; i++)
		tell(pa, "x");
	run();
	ck_assert_int_eq(a.messages, 30);
	for (int i = 0; i < 30; i++)
		tell(pa, "x");
	ck_assert(cn_sched_run(W.procs, false, 0));
	ck_assert_int_lt(a.messages, 40);
	struct cn_process_info info;
	cn_procs_info(W.procs, pa, &info);
	ck_assert_uint_gt(info.run_ns, 14 * CN_NS_PER_MS);
	ck_assert_uint_gt(info.average_ns, 400000);
	run();
}
END_TEST

static int spin_at_once(cnode_process *self, struct script *s)
{
	return spin(self, s, NULL);
}
/* Spawns three that run, and leaves a fourth waiting. */
static uint64_t forecast_after(struct script *s)
{
	struct cn_sched_waiting waiting;
	for (int i = 0; i < 3; i++)
		spawn(s);
	run();
	spawn(s);
	cn_sched_waiting(W.procs, &waiting);
	return waiting.forecast_ns;
}
START_TEST(the_forecast_of_a_new_process_is_what_new_ones_took)
{
	struct script first = { 0 }, slow = { .init = spin_at_once };
	struct cn_sched_waiting waiting;
	spawn(&first);
	cn_sched_waiting(W.procs, &waiting);
	ck_assert_uint_eq(waiting.forecast_ns, UINT64_MAX);
	uint64_t forecast = forecast_after(&first);
	ck_assert_uint_lt(forecast, CN_NS_PER_S);
	ck_assert_uint_ge(forecast_after(&slow), CN_SCHED_SHORT_NS);
	run();
}
END_TEST

START_TEST(short_runs_are_left_to_who_is_at_them_and_long_ones_are_called_for)
{
	struct script brief = { 0 }, slow = { .message = spin };
	cnode_pid quick[3], long_one = spawn(&slow);
	for (int i = 0; i < 3; i++)
		quick[i] = spawn(&brief);
	/* Until the averages say so: the first run of each is one of the average. */
	for (int n = 0; n < 100; n++) {
		for (int i = 0; i < 3; i++)
			tell(quick[i], "x");
		if (n < 3)
			tell(long_one, "x");
		run();
	}
	int wakes = atomic_load(&W.wakes), briefs = atomic_load(&W.briefs);
	for (int i = 0; i < 3; i++)
		tell(quick[i], "x");
	tell(long_one, "x");
	ck_assert_int_eq(atomic_load(&W.wakes), wakes + 1);
	ck_assert_int_eq(atomic_load(&W.briefs), briefs);
	run();
	/* Behind the first two another short one is next; behind the third the long one. */
	ck_assert_int_eq(atomic_load(&W.wakes), wakes + 4);
	ck_assert_int_eq(atomic_load(&W.briefs), briefs + 2);
}
END_TEST

static int stop_on_stop(cnode_process *self, struct script *s, struct cn_message *m)
{
	(void)s;
	if (cn_term_is_atom(m->term, "stop"))
		return cnode_stop(self, "{shutdown,done}");
	if (cn_term_is_atom(m->term, "code"))
		return CNODE_ENOENT;
	if (cn_term_is_atom(m->term, "zero"))
		(void)cnode_stop(self, "zero");
	return 0;
}
START_TEST(callbacks_end_their_process)
{
	struct script a = { .message = stop_on_stop }, b = a, c = a;
	cnode_pid pa = spawn(&a), pb = spawn(&b), pc = spawn(&c);
	run();
	tell(pa, "stop");
	tell(pa, "unread");
	tell(pb, "code");
	tell(pc, "zero");
	run();
	ck_assert_str_eq(a.reason, "{shutdown,done}");
	ck_assert_int_eq(a.messages, 1);
	ck_assert_str_eq(b.reason, "not_found");
	ck_assert_str_eq(c.reason, "zero");
	ck_assert_int_eq(a.finis + b.finis + c.finis, 3);
	ck_assert_uint_eq(cn_procs_count(W.procs), 0);
}
END_TEST

/* ---- death in mid-callback ---- */

static int die_inside(cnode_process *self, struct script *s, struct cn_message *m)
{
	cnode_pid pid;
	ck_assert_int_eq(cnode_register(self, "victim"), 0);
	if (cn_term_is_atom(m->term, "kill"))
		kill_it(cnode_self(self), "kill");
	else
		kill_it(cnode_self(self), "shutdown");
	ck_assert(cnode_cancelled(self));
	/* For everybody else it is gone, while it still runs. */
	ck_assert(!cn_procs_is_alive(W.procs, cnode_self(self)));
	ck_assert_int_eq(cn_procs_whereis(W.procs, "victim", &pid), CNODE_ENOENT);
	ck_assert_str_eq(sent(), s->ctx);
	cnode_ref ref;
	ck_assert_int_eq(cnode_send(self, remote(2), "x"), CNODE_EEXITED);
	ck_assert_int_eq(cnode_monitor(self, remote(2), &ref), CNODE_EEXITED);
	ck_assert_int_eq(cnode_alias(self, 0, &ref), CNODE_EEXITED);
	ck_assert_int_eq(cnode_start_timer(self, 1, &ref, "x"), CNODE_EEXITED);
	ck_assert_int_eq(s->finis, 0);
	return CNODE_EEXITED;   /* as callbacks do that pass on what a send returned */
}
START_TEST(death_is_immediate_in_mid_callback)
{
	struct script a = { .message = die_inside, .ctx = (void *)(uintptr_t)"EXIT 1 -> 9 killed" };
	struct script b = { .message = die_inside, .ctx = (void *)(uintptr_t)"EXIT 2 -> 9 shutdown" };
	struct cn_process_spec linked = { .parent = remote(9), .link = true, .epoch = 1 };
	cnode_pid pa = spawn_spec(&a, linked), pb = spawn_spec(&b, linked);
	run();
	tell(pa, "kill");
	tell(pb, "shutdown");
	tell(pb, "unread");
	run();
	ck_assert_int_eq(a.terminates, 0);
	ck_assert_int_eq(b.terminates, 1);
	ck_assert_str_eq(b.reason, "shutdown");
	ck_assert_int_eq(a.finis + b.finis, 2);
	ck_assert_uint_eq(cn_procs_count(W.procs), 0);
}
END_TEST

START_TEST(an_idle_process_terminates_on_the_run_queue_after_its_exit)
{
	struct script a = { 0 }, b = { 0 };
	struct cn_process_spec linked = { .parent = remote(9), .link = true, .epoch = 1 };
	cnode_pid pa = spawn_spec(&a, linked), pb = spawn_spec(&b, linked);
	run();
	kill_it(pa, "kill");
	kill_it(pb, "{bad,1}");
	ck_assert_str_eq(sent(), "EXIT 1 -> 9 killed; EXIT 2 -> 9 {bad,1}");
	ck_assert_int_eq(a.finis + b.finis + b.terminates, 0);
	ck_assert_int_eq(run(), 2);
	ck_assert_int_eq(a.terminates, 0);
	ck_assert_int_eq(b.terminates, 1);
	ck_assert_int_eq(a.finis + b.finis, 2);
}
END_TEST

START_TEST(a_death_with_many_relations_is_emitted_in_slices)
{
	enum { N = 10000 };
	struct script a = { 0 };
	cnode_pid pa = spawn(&a);
	run();
	atomic_store(&W.drop, true);
	for (uint32_t i = 0; i < N; i++) {
		struct cn_signal link = FROM_PEER(LINK, remote(i + 1), pa);
		struct cn_signal monitor = FROM_PEER(MONITOR, remote(i + 1), pa, .ref = remote_ref(i));
		ck_assert_int_eq(deliver(&link) | deliver(&monitor), 0);
	}
	kill_it(pa, "kill");
	ck_assert_uint_gt(atomic_load(&W.total), 0);
	ck_assert_uint_lt(atomic_load(&W.total), N);
	while (cn_sched_run(W.procs, true, 0))
		;
	ck_assert_uint_eq(atomic_load(&W.total), 2 * N);
	run();
	ck_assert_int_eq(a.finis, 1);
}
END_TEST

/* ---- back-pressure ---- */

static int send_two(cnode_process *self, struct script *s, struct cn_message *m)
{
	(void)m;
	s->unused += cnode_send(self, remote(2), "one") == 0;
	s->unused += cnode_send(self, remote(2), "two") == 0;
	cnode_term t = text_term("three");
	if (cnode_send_term(self, remote(2), t, CNODE_NOSUSPEND) == CNODE_EBUSY)
		s->unused += 10;
	cnode_term_drop(t);
	return 0;
}
START_TEST(back_pressure_suspends_after_the_callback_until_resumed)
{
	struct script a = { .message = send_two };
	cnode_pid pa = spawn(&a);
	run();
	atomic_store(&W.answer, CN_SUSPEND);
	tell(pa, "go");
	tell(pa, "go");
	run();
	ck_assert_int_eq(a.messages, 1);
	ck_assert_int_eq(a.unused, 12);
	struct cn_process_info info;
	cn_procs_info(W.procs, pa, &info);
	ck_assert(info.suspended);
	tell(pa, "go");
	ck_assert_int_eq(run(), 0);
	cn_procs_resume(W.procs, pa);
	ck_assert_int_eq(run(), 0);
	atomic_store(&W.answer, 0);
	cn_procs_resume(W.procs, pa);
	run();
	ck_assert_int_eq(a.messages, 3);
	/* It acts on exit signals all the same. */
	atomic_store(&W.answer, CN_SUSPEND);
	tell(pa, "go");
	run();
	kill_it(pa, "shutdown");
	ck_assert(!cn_procs_is_alive(W.procs, pa));
	run();
	ck_assert_int_eq(a.terminates, 1);
	cn_procs_resume(W.procs, pa);
}
END_TEST

static void resume_in_send(struct world *w, const struct cn_signal *sig)
{
	/* The queue empties before the sender has heard that it is full: another thread's resume comes first. */
	if (sig->kind == CN_SIG_MESSAGE)
		cn_procs_resume(w->procs, sig->from);
}
START_TEST(a_resume_that_comes_first_is_not_lost)
{
	struct script a = { .message = send_two };
	cnode_pid pa = spawn(&a);
	run();
	atomic_store(&W.answer, CN_SUSPEND);
	W.hook = resume_in_send;
	tell(pa, "go");
	tell(pa, "go");
	run();
	ck_assert_int_eq(a.messages, 2);
}
END_TEST

START_TEST(prompt_processes_are_never_suspended)
{
	struct script a = { .message = send_two };
	cnode_pid pa = spawn_spec(&a, (struct cn_process_spec){ .class = &prompt_class });
	run();
	atomic_store(&W.answer, CN_SUSPEND);
	tell(pa, "go");
	tell(pa, "go");
	run();
	ck_assert_int_eq(a.messages, 2);
	ck_assert_int_eq(a.unused, 4);
}
END_TEST

/* ---- the whole node ---- */

START_TEST(exit_all_ends_everybody_and_prompt_ones_last)
{
	struct script a = { 0 }, b = { 0 };
	spawn(&a);
	cnode_pid prompt = spawn_spec(&b, (struct cn_process_spec){ .class = &prompt_class });
	struct cnode_process *trapping = hand(NULL);
	cnode_trap_exit(trapping, true);
	run();
	cnode_term reason = text_term("shutdown");
	ck_assert_int_eq(cn_procs_exit_all(W.procs, reason, false), 0);
	run();
	ck_assert_str_eq(a.reason, "shutdown");
	ck_assert(cn_procs_is_alive(W.procs, prompt));
	ck_assert_str_eq(got(trapping), "EXIT 0 shutdown");
	ck_assert_int_eq(cn_procs_exit_all(W.procs, reason, true), 0);
	run();
	ck_assert_str_eq(b.reason, "shutdown");
	cnode_term_drop(reason);
	hand_exit(trapping, "normal");
	ck_assert_uint_eq(cn_procs_count(W.procs), 0);
}
END_TEST

START_TEST(freeing_the_node_frees_all_that_lives_in_it)
{
	static struct script a, b, c;
	spawn(&a);
	spawn(&b);
	run();
	cnode_pid pc = spawn(&c);
	tell(pc, "{some,message}");
	struct cn_signal link = FROM_PEER(LINK, remote(9), pc);
	deliver(&link);
	kill_it(pc, "kill");
	tell(pc, "x");
	world_close();
	ck_assert_int_eq(a.finis + b.finis, 2);
	ck_assert_int_eq(c.unused, 1);
	ck_assert_int_eq(a.terminates, 0);
	setup();
}
END_TEST

static char log_text[1024];
static void take_log(void *ctx, enum cnode_log_level level, const char *text)
{
	(void)ctx; (void)level;
	strncat(log_text, text, sizeof log_text - strlen(log_text) - 2);
	strcat(log_text, "\n");
}
START_TEST(an_abnormal_end_is_logged_once)
{
	struct cn_log *log;
	ck_assert_int_eq(cn_log_new(CNODE_LOG_INFO, take_log, NULL, &log), 0);
	struct cn_procs_config config = { .log = log };
	ck_assert_int_eq(world_open(&config), 0);
	struct script a = { .message = stop_on_stop }, b = a, c = a;
	cnode_pid pa = spawn_spec(&a, (struct cn_process_spec){ .label = "counter", .name = "tom" });
	cnode_pid pb = spawn(&b), pc = spawn(&c);
	run();
	tell(pa, "zero");
	tell(pb, "stop");
	kill_it(pc, "outside");
	run();
	cn_log_flush(log);
	ck_assert_msg(strncmp(log_text, "process <1.0> tom (counter) terminated: zero; initial call: counter:init/1, "
			      "registered_name: tom, ancestors: [], message_queue_len: 0, links: [], trap_exit: false, "
			      "messages handled: ", 180) == 0, "%s", log_text);
	world_close();
	cn_log_free(log);
}
END_TEST

static struct script life[3];
static void lives(void)
{
	memset(life, 0, sizeof life);
	life[0].message = stop_on_stop;
	life[1].init = send_then_refuse;
	memset(&started, 0, sizeof started);
	if (world_open(NULL) == 0) {
		struct cn_process_spec spec = { .class = &script_class, .state_size = 8, .started = on_started, .label = "x", .name = "n",
						.parent = remote(9), .link = true, .monitor = true, .monitor_ref = remote_ref(1), .epoch = 1 };
		int expected = 0;
		cnode_pid pid;
		spec.arg = &life[0];
		if (cn_process_spawn(W.procs, &spec, &pid) == 0) {
			expected++;
			run();
			tell(pid, "a");
			tell(pid, "stop");
			tell(pid, "code");
			run();
			kill_it(pid, "kill");
			run();
		}
		ck_assert_int_eq(started.calls, expected);
	}
	if (W.procs)
		ck_assert_uint_eq(cn_procs_count(W.procs), 0);
	ck_assert_int_eq(life[0].finis + life[0].unused, started.calls ? 1 : 0);
	world_close();
}
START_TEST(every_failed_allocation_of_a_life_is_survived)
{
	alloc_fail_each(lives);
}
END_TEST

/* ---- speed ---- */

static int pong(cnode_process *self, struct script *s, struct cn_message *m)
{
	cnode_pid to = *(cnode_pid *)s->ctx;
	return s->messages < 200000 ? cnode_send_term(self, to, m->term, 0) : 0;
}
START_TEST(local_messages_are_quick)
{
	struct script a = { .message = pong }, b = { .message = pong };
	cnode_pid pa = spawn(&a), pb = spawn(&b);
	a.ctx = &pb;
	b.ctx = &pa;
	run();
	tell(pa, "ball");
	uint64_t t = cn_now();
	run();
	t = cn_now() - t;
	fprintf(stderr, "# local ping-pong: %.0f ns for a message\n", (double)t / (a.messages + b.messages));
	cnode_term x = text_term("x");
	struct cn_signal sig = FROM_PEER(MESSAGE, remote(1), pa, .term = x);
	t = cn_now();
	for (int i = 0; i < 100000; i++)
		deliver(&sig);
	t = cn_now() - t;
	fprintf(stderr, "# delivery: %.0f ns for a message\n", (double)t / 100000);
	a.ctx = &(cnode_pid){ .node = W.own };
	t = cn_now();
	run();
	t = cn_now() - t;
	fprintf(stderr, "# taking out: %.0f ns for a message\n", (double)t / 100000);
	ck_assert_int_ge(a.messages, 300000);
	cnode_term_drop(x);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("proc");
	TCase *t = tcase_create("lives");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, prompt_processes_run_first_and_alone_when_asked);
	tcase_add_test(t, a_slice_ends_and_the_next_process_gets_its_turn);
	tcase_add_test(t, long_callbacks_end_a_slice_by_time);
	tcase_add_test(t, callbacks_end_their_process);
	tcase_add_test(t, death_is_immediate_in_mid_callback);
	tcase_add_test(t, an_idle_process_terminates_on_the_run_queue_after_its_exit);
	tcase_add_test(t, a_death_with_many_relations_is_emitted_in_slices);
	tcase_add_test(t, back_pressure_suspends_after_the_callback_until_resumed);
	tcase_add_test(t, a_resume_that_comes_first_is_not_lost);
	tcase_add_test(t, prompt_processes_are_never_suspended);
	tcase_add_test(t, exit_all_ends_everybody_and_prompt_ones_last);
	tcase_add_test(t, freeing_the_node_frees_all_that_lives_in_it);
	tcase_add_test(t, local_messages_are_quick);
	tcase_add_test(t, the_forecast_of_a_new_process_is_what_new_ones_took);
	tcase_add_test(t, short_runs_are_left_to_who_is_at_them_and_long_ones_are_called_for);
	suite_add_tcase(s, t);
	t = tcase_create("apart");
	tcase_add_test(t, an_abnormal_end_is_logged_once);
	tcase_add_test(t, every_failed_allocation_of_a_life_is_survived);
	suite_add_tcase(s, t);
	return tap_run(s);
}
