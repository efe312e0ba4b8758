/* SPDX-License-Identifier: Apache-2.0 */
/* gen's supervisor: services that are there again, whatever ended them. */
#include "tests/alloc_fail.h"
#include "tests/proc_world.h"
#include "tests/tap.h"
#include "cnode/gen/gen.h"

static struct cn_supervisor *V;
static struct cn_unit U;
static cnode_pid pids[2];       /* of its processes */
static int inits, releases, agains, overs, wakes;
static bool fails, alone;       /* init fails; all that lived are released before `again` */
static uint64_t later;          /* the supervisor's clock is ahead by so much */

static int service_init(cnode_process *self, void *state, const cnode_start *how)
{
	(void)self; (void)state;
	ck_assert_ptr_eq(how->context, &U);
	inits++;
	return fails ? CNODE_ENOMEM : 0;
}

/* A cast ends it as memory that lacks does. */
static int service_cast(cnode_process *self, void *state, cnode_term message)
{
	(void)self; (void)state; (void)message;
	return CNODE_ENOMEM;
}

static void service_release(void *state)
{
	(void)state;
	releases++;
}

static const cnode_behaviour service = {
	CNODE_BEHAVIOUR_INIT, .flags = CNODE_PROMPT, .state_size = 16, .init = service_init, .handle_cast = service_cast,
	.release = service_release,
};
static const struct cn_unit_process processes[] = { { "one", "one", &service }, { "two", "two", &service } };

static void unit_started(void *owner, size_t which, cnode_pid pid)
{
	ck_assert_ptr_eq(owner, &U);
	pids[which] = pid;
}
static void again(void *owner)
{
	(void)owner;
	agains++;
	alone = alone && releases == inits;
}
static void over(void *owner)
{
	(void)owner;
	overs++;
}
static void woken(void *ctx)
{
	(void)ctx;
	wakes++;
}

static void sched(void)
{
	while (cn_sched_run(W.procs, false, 0))
		continue;
}

/* Runs all; returns when the supervisor wants to be called again, in ms from now; -1: when it is woken. */
static long run(void)
{
	uint64_t now, due;
	do {
		sched();
		now = cn_now() + later;
		due = cn_supervisor_run(V, now);
	} while (cn_sched_run(W.procs, false, 0));
	return due == CN_NEVER ? -1 : due > now ? (long)((due - now + CN_NS_PER_MS - 1) / CN_NS_PER_MS) : 0;
}

static int open_all(size_t count)
{
	const struct cn_supervisor_config config = { .procs = W.procs, .wake = woken };
	int rc = cn_supervisor_new(&config, &V);
	U = (struct cn_unit){
		.title = "the unit", .processes = processes, .count = count, .context = &U, .owner = &U,
		.started = unit_started, .again = again, .over = over,
	};
	return rc != 0 ? rc : cn_unit_start(V, &U);
}

static void setup(void)
{
	inits = releases = agains = overs = wakes = 0;
	fails = false;
	alone = true;
	later = 0;
	ck_assert_int_eq(world_open(NULL), 0);
	ck_assert_int_eq(open_all(2), 0);
	run();
}

static void teardown(void)
{
	world_close();
	cn_supervisor_free(V);
}

static void end(int which)
{
	deliver_term(FROM_PEER(MESSAGE, remote(7), pids[which]), "{'$gen_cast',boom}");
	sched();
}

static bool both_there(void)
{
	cnode_pid one, two;
	return cn_procs_whereis(W.procs, "one", &one) == 0 && cnode_pid_equal(one, pids[0]) &&
	       cn_procs_whereis(W.procs, "two", &two) == 0 && cnode_pid_equal(two, pids[1]);
}

START_TEST(when_one_ends_all_are_ended_and_started_again)
{
	cnode_pid old[2] = { pids[0], pids[1] };
	ck_assert(both_there());
	end(1);
	ck_assert_int_gt(wakes, 0);
	ck_assert_int_eq(run(), -1);
	ck_assert(both_there());
	ck_assert(!cnode_pid_equal(pids[0], old[0]) && !cnode_pid_equal(pids[1], old[1]));
	ck_assert_int_eq(agains, 1);
	ck_assert_int_eq(inits, 4);
	ck_assert_int_eq(releases, 2);
	ck_assert(alone);
	ck_assert_uint_eq(cn_supervisor_restarts(V), 1);
	/* By a kill, and before it ever ran. */
	deliver_term(FROM_PEER(EXIT2, remote(7), pids[0]), "kill");
	cn_sched_run(W.procs, false, 0);
	run();
	ck_assert(both_there());
	ck_assert_uint_eq(cn_procs_count(W.procs), 2);
}
END_TEST

START_TEST(one_that_keeps_ending_is_started_ever_later)
{
	long last = 0;
	for (unsigned i = 0; i < CN_UNIT_AT_ONCE; i++) {
		end(0);
		ck_assert_int_eq(run(), -1);
	}
	for (int i = 0; i < 12; i++) {
		end(0);
		long wait = run();
		ck_assert_int_gt(wait, 0);
		ck_assert(!both_there());
		ck_assert_int_le(wait, CN_UNIT_DELAY_MOST_MS);
		ck_assert_int_ge(wait, last - 50);      /* what passed since it was started counts */
		last = wait;
		later += (uint64_t)wait * CN_NS_PER_MS;
		ck_assert_int_eq(run(), -1);
		later = 0;
		ck_assert(both_there());
	}
	ck_assert_int_gt(last, CN_UNIT_DELAY_MOST_MS / 2);
	/* Having lived for a while it is as good as new. */
	later = (CN_UNIT_FORGOTTEN_MS + 1000) * CN_NS_PER_MS;
	end(0);
	ck_assert_int_eq(run(), -1);
	ck_assert(both_there());
}
END_TEST

START_TEST(one_that_cannot_begin_is_tried_until_it_can)
{
	fails = true;
	end(0);
	run();
	ck_assert(!both_there());
	fails = false;
	later = 20 * CN_NS_PER_S;
	run();
	ck_assert(both_there());
	/* Nor one whose name is another's. */
	struct cnode_process *other = hand(NULL);
	later = 0;
	deliver_term(FROM_PEER(EXIT2, remote(7), pids[1]), "kill");
	ck_assert_int_eq(cnode_register(other, "two"), 0);
	ck_assert_int_gt(run(), 0);
	ck_assert(!both_there());
	hand_exit(other, "normal");
	for (int i = 0; i < 3; i++) {
		later += 20 * CN_NS_PER_S;
		run();
	}
	ck_assert(both_there());
	ck_assert_uint_eq(cn_procs_count(W.procs), 2);
}
END_TEST

START_TEST(a_unit_that_is_stopped_is_over_when_all_are_gone)
{
	cn_unit_stop(&U);
	ck_assert_int_eq(overs, 0);
	ck_assert_int_eq(run(), -1);
	ck_assert_int_eq(overs, 1);
	ck_assert_int_eq(agains, 0);
	ck_assert_int_eq(releases, 2);
	ck_assert_uint_eq(cn_procs_count(W.procs), 0);
	/* And while it is down. */
	ck_assert_int_eq(cn_unit_start(V, &U), 0);
	run();
	end(0);
	cn_unit_stop(&U);
	run();
	ck_assert_int_eq(overs, 2);
	ck_assert_int_eq(agains, 0);
}
END_TEST

START_TEST(what_cannot_be_started_leaves_nothing)
{
	struct cnode_process *other = hand(NULL);
	cn_unit_stop(&U);
	run();
	ck_assert_int_eq(cnode_register(other, "two"), 0);
	ck_assert_int_eq(cn_unit_start(V, &U), CNODE_ENAMETAKEN);
	run();
	ck_assert_int_eq(overs, 2);
	ck_assert_uint_eq(cn_procs_count(W.procs), 1);
	hand_exit(other, "normal");
}
END_TEST

START_TEST(nothing_is_started_again_while_the_node_ends)
{
	cn_supervisor_close(V);
	end(0);
	ck_assert_int_eq(run(), -1);
	ck_assert_int_eq(agains, 0);
	ck_assert_uint_eq(cn_procs_count(W.procs), 1);
}
END_TEST

/* Whatever fails while it ends and is started again, it is there in the end. */
static void life(void)
{
	inits = releases = agains = overs = 0;
	later = 0;
	V = NULL;
	if (world_open(NULL) == 0 && open_all(2) == 0) {
		sched();
		struct cn_signal sig = FROM_PEER(EXIT2, remote(7), pids[1], .term = cn_term_static("w\4kill", 6));
		(void)cn_procs_deliver(W.procs, &sig);
		for (int i = 0; i < 30; i++) {
			run();
			later += 20 * CN_NS_PER_S;
			if (!atomic_load(&alloc_fail_rest) && i >= 5)
				break;
		}
		if (!atomic_load(&alloc_fail_rest))
			ck_assert(both_there());
		cn_unit_stop(&U);
		for (int i = 0; i < 3; i++) {
			run();
			later += 20 * CN_NS_PER_S;
		}
		ck_assert_int_eq(inits >= releases, 1);
		ck_assert_int_eq(overs, 1);
		ck_assert_uint_eq(cn_procs_count(W.procs), 0);
	}
	world_close();
	cn_supervisor_free(V);
}

START_TEST(every_failed_allocation_is_survived)
{
	alloc_fail_each(life);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("supervisor");
	TCase *t = tcase_create("units");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, when_one_ends_all_are_ended_and_started_again);
	tcase_add_test(t, one_that_keeps_ending_is_started_ever_later);
	tcase_add_test(t, one_that_cannot_begin_is_tried_until_it_can);
	tcase_add_test(t, a_unit_that_is_stopped_is_over_when_all_are_gone);
	tcase_add_test(t, what_cannot_be_started_leaves_nothing);
	tcase_add_test(t, nothing_is_started_again_while_the_node_ends);
	suite_add_tcase(s, t);
	t = tcase_create("memory");
	tcase_add_test(t, every_failed_allocation_is_survived);
	suite_add_tcase(s, t);
	return tap_run(s);
}
