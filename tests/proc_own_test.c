/* SPDX-License-Identifier: Apache-2.0 */
/* Processes that run on a thread of their own: the test is the thread. */
#include "tests/tap.h"
#include "tests/alloc_fail.h"
#include "tests/proc_world.h"

static struct code {
	int (*init)(cnode_process *self);
	int (*run)(cnode_process *self);
	int inits, runs, terminates, finis, unused;
	char reason[64];
} code;

static int code_init(cnode_process *self, void *state, void *arg)
{
	(void)state;
	(void)arg;
	code.inits++;
	return code.init ? code.init(self) : 0;
}
static int code_run(cnode_process *self, void *state, struct cnode_mailbox *mailbox)
{
	(void)state;
	ck_assert_ptr_eq(mailbox, &W);
	code.runs++;
	return code.run ? code.run(self) : 0;
}
static void code_terminate(cnode_process *self, void *state, cnode_term reason)
{
	(void)self;
	(void)state;
	code.terminates++;
	cnode_term_print(reason, code.reason, sizeof code.reason);
}
static void code_fini(cnode_process *self, void *state, void *arg)
{
	(void)self;
	(void)state;
	*(arg ? &code.unused : &code.finis) += 1;
}
static const struct cn_process_class code_class = {
	.name = "code", .init = code_init, .terminate = code_terminate, .fini = code_fini, .run = code_run,
};

static int spawn(cnode_pid *pid)
{
	static char arg;
	struct cn_process_spec spec = {
		.class = &code_class, .arg = &arg, .started = on_started, .parent = remote(9), .monitor = true,
		.monitor_ref = remote_ref(1), .epoch = 1,
	};
	return cn_process_spawn(W.procs, &spec, pid);
}

static void sched(void)
{
	while (cn_sched_run(W.procs, false, 0))
		continue;
}

/* What its thread does once it is told to. */
static void thread(void)
{
	ck_assert_int_eq(W.ran, 1);
	cn_process_ran(W.owner, cn_process_run(W.owner));
}

static void setup(void)
{
	memset(&code, 0, sizeof code);
	memset(&started, 0, sizeof started);
	ck_assert_int_eq(world_open(NULL), 0);
}

START_TEST(the_start_is_said_behind_init_and_before_the_code_runs)
{
	cnode_pid pid;
	ck_assert_int_eq(spawn(&pid), 0);
	ck_assert_int_eq(W.taken, 0);
	sched();
	ck_assert_int_eq(W.taken, 1);
	ck_assert_int_eq(started.calls, 1);
	ck_assert_int_eq(started.code, 0);
	ck_assert_int_eq(code.runs, 0);
	thread();
	ck_assert_int_eq(code.runs, 1);
	ck_assert_str_eq(sent(), "DOWN 1 -> 9 normal");
	ck_assert_str_eq(code.reason, "normal");
	ck_assert_int_eq(code.finis, 1);
	ck_assert_int_eq(W.given, 0);
	ck_assert_uint_eq(cn_procs_count(W.procs), 0);
}
END_TEST

START_TEST(without_a_thread_the_spawn_is_refused_and_init_not_called)
{
	cnode_pid pid;
	W.take_code = CNODE_ESYSLIMIT;
	ck_assert_int_eq(spawn(&pid), 0);
	sched();
	ck_assert_int_eq(started.calls, 1);
	ck_assert_int_eq(started.code, CNODE_ESYSLIMIT);
	ck_assert_str_eq(started.reason, "system_limit");
	ck_assert_int_eq(code.inits, 0);
	ck_assert_int_eq(code.terminates, 0);
	ck_assert_int_eq(code.unused, 1);
	ck_assert_str_eq(sent(), "");
	ck_assert_uint_eq(cn_procs_count(W.procs), 0);
}
END_TEST

static int refuse(cnode_process *self)
{
	(void)self;
	return CNODE_EBADARG;
}
static int stop_at_once(cnode_process *self)
{
	cnode_stop(self, "enough");
	return 0;
}

START_TEST(a_thread_that_is_not_used_is_given_back)
{
	cnode_pid pid;
	code.init = refuse;
	ck_assert_int_eq(spawn(&pid), 0);
	sched();
	ck_assert_int_eq(started.code, CNODE_EBADARG);
	ck_assert_int_eq(W.given, 1);
	code.init = stop_at_once;
	ck_assert_int_eq(spawn(&pid), 0);
	sched();
	ck_assert_str_eq(sent(), "DOWN 2 -> 9 enough");
	ck_assert_int_eq(W.given, 2);
	ck_assert_int_eq(W.ran, 0);
	ck_assert_int_eq(code.runs, 0);
	ck_assert_int_eq(code.finis, 2);
}
END_TEST

START_TEST(killed_between_its_start_and_its_run_it_does_not_run)
{
	cnode_pid pid;
	ck_assert_int_eq(spawn(&pid), 0);
	sched();
	deliver_term((struct cn_signal){ .kind = CN_SIG_EXIT2, .from = remote(1), .to = pid }, "gone");
	ck_assert_str_eq(sent(), "DOWN 1 -> 9 gone");
	ck_assert_int_eq(W.wakes_of, 1);
	thread();
	ck_assert_int_eq(code.runs, 0);
	ck_assert_str_eq(code.reason, "gone");
	ck_assert_int_eq(code.finis, 1);
	ck_assert_int_eq(started.calls, 1);
}
END_TEST

static void resume(struct world *w)
{
	if (w->waits == 3)
		cn_procs_resume(w->procs, cnode_self(w->owner));
}
static void killed(struct world *w)
{
	(void)w;
	deliver_term((struct cn_signal){ .kind = CN_SIG_EXIT2, .from = remote(1), .to = cnode_self(W.owner) }, "kill");
}
static int send_two(cnode_process *self)
{
	atomic_store(&W.answer, CN_SUSPEND);
	ck_assert_int_eq(cnode_send(self, remote(5), "one"), 0);
	ck_assert(!cn_process_is_suspended(self) || cnode_cancelled(self));
	atomic_store(&W.answer, 0);
	return cnode_send(self, remote(5), "two");
}

START_TEST(a_send_waits_while_back_pressure_holds_it)
{
	cnode_pid pid;
	code.run = send_two;
	W.wait = resume;
	ck_assert_int_eq(spawn(&pid), 0);
	sched();
	thread();
	ck_assert_int_eq(W.waits, 3);           /* other wakes do not end it */
	ck_assert_str_eq(sent(), "MESSAGE 1 -> 5 one; MESSAGE 1 -> 5 two; DOWN 1 -> 9 normal");
}
END_TEST

START_TEST(a_send_that_waits_ends_when_the_process_is_killed)
{
	cnode_pid pid;
	code.run = send_two;
	W.wait = killed;
	ck_assert_int_eq(spawn(&pid), 0);
	sched();
	thread();
	ck_assert_int_eq(W.waits, 1);
	ck_assert_str_eq(sent(), "MESSAGE 1 -> 5 one; DOWN 1 -> 9 killed");
	ck_assert_int_eq(code.terminates, 0);
	ck_assert_int_eq(code.finis, 1);
}
END_TEST

static int send_much(cnode_process *self)
{
	return cnode_send(self, remote(5), "much");
}

START_TEST(what_init_sent_too_much_of_is_waited_for_before_it_runs)
{
	cnode_pid pid;
	code.init = send_much;
	W.wait = resume;
	ck_assert_int_eq(spawn(&pid), 0);
	atomic_store(&W.answer, CN_SUSPEND);
	sched();
	ck_assert_int_eq(W.waits, 0);           /* no thread of the node waits */
	thread();
	ck_assert_int_eq(W.waits, 3);
	ck_assert_int_eq(code.runs, 1);
}
END_TEST

static int receive_two(cnode_process *self)
{
	struct cn_process_info info;
	char text[64];
	ck_assert_int_eq(cn_procs_info(W.procs, cnode_self(self), &info), 0);
	ck_assert(info.running);
	cn_process_waits(self, true);
	ck_assert_int_eq(cn_procs_info(W.procs, cnode_self(self), &info), 0);
	ck_assert(!info.running);
	cn_process_waits(self, false);
	snprintf(text, sizeof text, "%s", got(self));
	ck_assert_str_eq(text, "early");
	ck_assert_str_eq(got(self), "late");
	ck_assert_int_eq(cn_procs_info(W.procs, cnode_self(self), &info), 0);
	ck_assert_uint_eq(info.handled, 2);
	return CNODE_EIO;
}

START_TEST(what_came_before_its_thread_had_it_is_there)
{
	cnode_pid pid;
	code.run = receive_two;
	ck_assert_int_eq(spawn(&pid), 0);
	deliver_term((struct cn_signal){ .kind = CN_SIG_MESSAGE, .from = remote(1), .to = pid }, "early");
	sched();
	ck_assert_int_eq(W.wakes_of, 0);
	deliver_term((struct cn_signal){ .kind = CN_SIG_MESSAGE, .from = remote(1), .to = pid }, "late");
	ck_assert_int_eq(W.wakes_of, 1);
	thread();
	ck_assert_str_eq(sent(), "DOWN 1 -> 9 eio");
}
END_TEST

static int send_one(cnode_process *self)
{
	int rc = cnode_send(self, remote(5), "one");
	return rc != 0 ? rc : cnode_stop(self, "{done,~q}", (int64_t)1);
}

static void lives(void)
{
	memset(&code, 0, sizeof code);
	memset(&started, 0, sizeof started);
	code.run = send_one;
	cnode_pid pid;
	int rc = world_open(NULL);
	if (rc == 0) {
		rc = spawn(&pid);
		sched();
		ck_assert_int_eq(started.calls, rc == 0);
		if (W.ran)
			thread();
		ck_assert_uint_eq(cn_procs_count(W.procs), 0);
		ck_assert_int_eq(code.finis + code.unused, rc == 0);
	}
	world_close();
}
START_TEST(every_failed_allocation_of_a_life_is_survived)
{
	alloc_fail_each(lives);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("proc_own");
	TCase *tc = tcase_create("own thread");
	tcase_add_checked_fixture(tc, setup, world_close);
	tcase_add_test(tc, the_start_is_said_behind_init_and_before_the_code_runs);
	tcase_add_test(tc, without_a_thread_the_spawn_is_refused_and_init_not_called);
	tcase_add_test(tc, a_thread_that_is_not_used_is_given_back);
	tcase_add_test(tc, killed_between_its_start_and_its_run_it_does_not_run);
	tcase_add_test(tc, a_send_waits_while_back_pressure_holds_it);
	tcase_add_test(tc, a_send_that_waits_ends_when_the_process_is_killed);
	tcase_add_test(tc, what_init_sent_too_much_of_is_waited_for_before_it_runs);
	tcase_add_test(tc, what_came_before_its_thread_had_it_is_there);
	suite_add_tcase(s, tc);
	tc = tcase_create("memory");
	tcase_add_test(tc, every_failed_allocation_of_a_life_is_survived);
	suite_add_tcase(s, tc);
	return tap_run(s);
}
