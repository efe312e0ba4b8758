/* SPDX-License-Identifier: Apache-2.0 */
/* The loop: waits that begin busy, and when they do not. */
#include <unistd.h>

#include "cnode/loop/inner.h"
#include "tests/loop_rounds.h"

#define MOST 50000              /* ns of looking */

/* ---- whether it pays ---- */

static void took(struct cn_spin *s, int times, uint64_t ns)
{
	while (times-- > 0)
		cn_spin_took(s, MOST, ns);
}

START_TEST(is_tried_where_waits_are_short)
{
	struct cn_spin s = { 0 };
	took(&s, 1000, 3 * MOST);
	ck_assert_uint_eq(s.worth, 0);
	took(&s, 1, 2 * MOST);                  /* asleep */
	ck_assert_uint_eq(s.worth, 1);
	took(&s, 1000, MOST / 2);
	ck_assert_uint_gt(s.worth, 1);
	took(&s, 3, 3 * MOST);                  /* a few in vain */
	ck_assert_uint_gt(s.worth, 0);
	took(&s, 1, 3 * MOST);
	ck_assert_uint_eq(s.worth, 0);
}
END_TEST

START_TEST(is_given_up_where_most_of_it_is_in_vain)
{
	struct cn_spin s = { 0 };
	took(&s, 10, MOST / 2);
	for (int i = 0; i < 10; i++) {
		took(&s, 1, MOST / 2);
		took(&s, 2, 2 * MOST);
	}
	ck_assert_uint_le(s.worth, 1);
}
END_TEST

/* Waits that are a little too long: each trial is in vain. */
START_TEST(is_tried_ever_more_seldom_in_vain)
{
	struct cn_spin s = { 0 };
	int busy = 0;
	for (int i = 0; i < 10000; i++) {
		busy += s.worth > 0;
		took(&s, 1, 3 * MOST / 2);
	}
	ck_assert_int_gt(busy, 10000 / 100);
	ck_assert_int_lt(busy, 10000 / 50);
	/* As soon as they are short enough again, that is forgotten. */
	took(&s, 64 + 10, MOST / 2);
	took(&s, 4, 3 * MOST);
	ck_assert_uint_eq(s.worth, 0);
	took(&s, 1, MOST);
	ck_assert_uint_eq(s.worth, 1);
}
END_TEST

/* ---- a loop whose clock makes something happen: who sleeps does not look at it ---- */

static uint64_t given_now;
static int looks, happens_at, written;
static struct cn_task happening;

static uint64_t eventful_clock(void *context)
{
	(void)context;
	if (++looks == happens_at) {
		if (written >= 0)
			ck_assert_int_eq(write(written, "x", 1), 1);
		else
			cn_wake_post(loop, &happening);
	}
	return given_now += 1000;
}

static unsigned events;
static void saw(struct cn_io *io, unsigned ready)
{
	char byte;
	events |= ready;
	ck_assert_int_eq(read(io->fd, &byte, 1), 1);
}
static void happened(struct cn_task *task)
{
	(void)task;
	events = CN_READ;
}

static int fd[2];
static struct cn_io io;
static void setup_eventful(void)
{
	given_now = CN_NS_PER_S;
	happens_at = 0;
	ck_assert_int_eq(cn_loop_new(&(struct cn_loop_config){ .now = eventful_clock }, &loop), 0);
	cn_lead_take(loop);
	loop->most_looking = 1;         /* also where there is one processor */
	cn_task_init(&happening, happened);
	ck_assert_int_eq(cn_socket_pair(fd), 0);
	cn_io_init(&io, loop, fd[0], saw);
	cn_io_set(&io, CN_READ);
	cn_loop_poll(loop, 0);          /* the kernel knows of it */
	cn_loop_spin(loop, MOST);
	loop->spin.worth = 2;
}
static void teardown_eventful(void)
{
	cn_io_close(&io);
	cn_socket_close(fd[1]);
	teardown();
}

/* Was what happens at the n-th look at the clock seen in this round, which waits for so long? */
static bool sees_within(int n, int to, uint64_t ns)
{
	events = 0;
	looks = 0;
	happens_at = n;
	written = to;
	uint64_t began = given_now;
	cn_loop_poll(loop, given_now + ns);
	ck_assert_uint_lt(given_now - began, 3 * MOST);
	return events == CN_READ;
}
static bool sees(int n, int to)
{
	return sees_within(n, to, 10 * CN_NS_PER_MS);
}

START_TEST(looks_for_a_while_at_descriptors_and_tasks)
{
	ck_assert(sees(20, fd[1]));
	ck_assert_int_lt(looks, 30);
	ck_assert(sees(20, -1));
	ck_assert_int_lt(looks, 30);
	ck_assert_uint_gt(loop->spin.worth, 2);
	ck_assert(!sees(200, fd[1]));           /* that is over, and it slept */
	ck_assert_int_lt(looks, 100);
}
END_TEST

/* Who posts it need not wake a loop that looks; so that has to look once more before it sleeps. */
START_TEST(hears_of_a_task_at_the_last_moment)
{
	ck_assert(!sees(0, -1));
	int last = looks - 1;                   /* the clock is read once more when the sleep is over */
	loop->spin.worth = 2;
	ck_assert(sees_within(last, -1, 1000 * CN_NS_PER_S));
	ck_assert_int_eq(looks, last + 1);
}
END_TEST

static bool dozes;
static uint64_t rests;
static uint64_t before(struct cn_nap *nap, uint64_t now)
{
	(void)nap;
	(void)now;
	if (dozes)
		cn_loop_doze(loop);
	cn_loop_rest(loop, rests);
	return CN_NEVER;
}
static void after(struct cn_nap *nap)
{
	(void)nap;
}

START_TEST(sleeps_at_once_where_it_may_not_look)
{
	struct cn_nap nap = { .before = before, .after = after };
	cn_nap_add(loop, &nap);
	dozes = false;
	rests = 0;
	ck_assert(sees(20, fd[1]));
	dozes = true;
	ck_assert(!sees(20, fd[1]));
	dozes = false;
	rests = 1000;
	ck_assert(!sees(20, fd[1]));
	rests = 0;
	cn_loop_spin(loop, 0);
	ck_assert(!sees(20, fd[1]));
	cn_loop_spin(loop, MOST);
	loop->most_looking = 0;                 /* others do already */
	ck_assert(!sees(20, fd[1]));
	loop->most_looking = 1;
	loop->spin.worth = 0;                   /* did not pay */
	ck_assert(!sees(20, fd[1]));
	loop->spin.worth = 2;
	ck_assert(sees(20, fd[1]));
	cn_nap_remove(loop, &nap);
}
END_TEST

/* The kernel has not heard yet of what is to be watched: to look at it would be in vain. */
START_TEST(sees_what_it_watches_from_this_round_on)
{
	struct cn_io late;
	int pair[2];
	ck_assert_int_eq(cn_socket_pair(pair), 0);
	ck_assert_int_eq(write(pair[1], "x", 1), 1);
	cn_io_init(&late, loop, pair[0], saw);
	cn_io_set(&late, CN_READ);
	ck_assert(sees(0, -1));
	ck_assert_int_lt(looks, 10);
	cn_io_close(&late);
	cn_socket_close(pair[1]);
}
END_TEST

/* ---- with others ---- */

static struct cn_task posted;
static int delay, ran;
static void run_posted(struct cn_task *task)
{
	(void)task;
	ran++;
}
static void post_late(void *arg)
{
	(void)arg;
	for (volatile int i = 0; i < delay; i++)
		continue;
	cn_wake_post(loop, &posted);
}

START_TEST(hears_of_a_task_while_it_looks_and_when_it_goes_to_sleep)
{
	struct cn_nap nap = { .before = before, .after = after };
	dozes = false;
	rests = 0;
	cn_nap_add(loop, &nap);
	cn_loop_spin(loop, MOST / 10);
	loop->most_looking = 1;
	cn_task_init(&posted, run_posted);
	for (int i = 0; i < 500; i++) {
		struct cn_thread thread;
		delay = i * 100;
		ran = 0;
		loop->spin.worth = 4;
		ck_assert_int_eq(cn_thread_start(&thread, "poster", post_late, NULL), 0);
		while (ran == 0)
			cn_loop_poll(loop, CN_NEVER);
		cn_thread_join(&thread);
	}
	cn_nap_remove(loop, &nap);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("loop_spin");
	TCase *policy = tcase_create("whether it pays"), *eventful = tcase_create("looking"), *real = tcase_create("real time");
	tcase_add_checked_fixture(eventful, setup_eventful, teardown_eventful);
	tcase_add_checked_fixture(real, setup, teardown);
	tcase_add_test(policy, is_tried_where_waits_are_short);
	tcase_add_test(policy, is_given_up_where_most_of_it_is_in_vain);
	tcase_add_test(policy, is_tried_ever_more_seldom_in_vain);
	tcase_add_test(eventful, looks_for_a_while_at_descriptors_and_tasks);
	tcase_add_test(eventful, hears_of_a_task_at_the_last_moment);
	tcase_add_test(eventful, sleeps_at_once_where_it_may_not_look);
	tcase_add_test(eventful, sees_what_it_watches_from_this_round_on);
	tcase_add_test(real, hears_of_a_task_while_it_looks_and_when_it_goes_to_sleep);
	suite_add_tcase(s, policy);
	suite_add_tcase(s, eventful);
	suite_add_tcase(s, real);
	return tap_run(s);
}
