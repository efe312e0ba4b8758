/* SPDX-License-Identifier: Apache-2.0 */
/* conn: floods, and how long the sockets are left alone in them. */
#include "cnode/conn/inner.h"
#include "tests/tap.h"

/* So many messages of so many bytes come in so many ns; then the lead waits. */
static uint64_t flood(struct cn_flood *f, uint64_t *now, uint64_t messages, uint64_t bytes, uint64_t ns)
{
	*now += ns;
	f->messages += messages;
	f->bytes += messages * bytes;
	return cn_flood_rest(f, *now);
}
/* The rest in the end, if that goes on. */
static uint64_t rests(struct cn_flood *f, uint64_t *now, uint64_t messages, uint64_t bytes, uint64_t ns)
{
	uint64_t rest = 0;
	for (int i = 0; i < 1000; i++)
		rest = flood(f, now, messages, bytes, ns);
	return rest;
}
START_TEST(rests_in_a_flood_that_nothing_answers)
{
	struct cn_flood f = { 0 };
	uint64_t now = CN_NS_PER_S;
	ck_assert_uint_eq(flood(&f, &now, 100, 60, 1000000), 0);        /* not at once */
	uint64_t small = flood(&f, &now, 200, 60, 500000);
	ck_assert_uint_gt(small, 0);
	ck_assert_uint_lt(small, 250000);
	uint64_t later = rests(&f, &now, 10, 60, 50000);
	ck_assert_uint_gt(later, small);
	ck_assert_uint_lt(later, 2000000);
	ck_assert_uint_eq(rests(&f, &now, 1, 60, 4000), later);
	ck_assert_uint_eq(rests(&f, &now, 1, 60, 50000), 0);            /* seldom */
	ck_assert_uint_gt(rests(&f, &now, 10, 60, 50000), 0);
	ck_assert_uint_eq(flood(&f, &now, 1, 60, CN_NS_PER_S), 0);      /* it was over */
	ck_assert_uint_gt(rests(&f, &now, 10, 60, 50000), 0);
	atomic_fetch_add(&f.writes, 1);                                 /* something was said */
	ck_assert_uint_eq(flood(&f, &now, 10, 60, 50000), 0);
}
END_TEST

/* What a peer waits for behind a few messages is held back less than behind thousands. */
START_TEST(rests_longer_only_in_a_long_flood)
{
	struct cn_flood f = { 0 };
	uint64_t now = CN_NS_PER_S;
	flood(&f, &now, 1, 60, 50000);
	uint64_t first = flood(&f, &now, 200, 60, 500000);
	uint64_t later = rests(&f, &now, 200, 60, 500000);
	ck_assert_uint_lt(first, 250000);
	ck_assert_uint_gt(later, 1000000);
	/* A sender that was stalled goes on with it. */
	ck_assert_uint_eq(flood(&f, &now, 100, 60, 10 * CN_NS_PER_MS), 0);
	ck_assert_uint_eq(flood(&f, &now, 200, 60, 500000), later);
	/* Not so one that had a pause, or was answered. */
	ck_assert_uint_eq(flood(&f, &now, 100, 60, 30 * CN_NS_PER_MS), 0);
	ck_assert_uint_eq(flood(&f, &now, 200, 60, 500000), first);
	ck_assert_uint_eq(rests(&f, &now, 200, 60, 500000), later);
	atomic_fetch_add(&f.writes, 1);
	ck_assert_uint_eq(flood(&f, &now, 200, 60, 500000), 0);
	ck_assert_uint_eq(flood(&f, &now, 200, 60, 500000), first);
}
END_TEST

static uint64_t spawns(struct cn_flood *f, uint64_t *now, int requests, uint64_t ns)
{
	*now += ns;
	for (int i = 0; i < requests; i++)
		cn_flood_count(f, true);
	atomic_fetch_add(&f->writes, 1);        /* they are answered */
	return cn_flood_rest(f, *now);
}
START_TEST(rests_between_bursts_of_spawn_requests)
{
	struct cn_flood f = { 0 };
	uint64_t now = CN_NS_PER_S;
	int trials = 0;
	for (int i = 0; i < 1025; i++)
		ck_assert_uint_eq(spawns(&f, &now, 1, 50000), 0);       /* seldom; the first only begins */
	for (int i = 0; i < 64 * 128; i++)
		trials += spawns(&f, &now, 1, 8000) > 0;                /* one by one: are there more under way? */
	ck_assert_int_eq(trials, 64 / 8);
	for (int i = 0; i < 64 * 4; i++)
		trials += spawns(&f, &now, 32, 256000) > 0;             /* there are */
	ck_assert_int_ge(trials, 64);
	uint64_t many = spawns(&f, &now, 100, 800000);
	ck_assert_uint_gt(many, 100000);
	ck_assert_uint_lt(many, 200000);
	ck_assert_uint_gt(spawns(&f, &now, 100, 800000), many + 400000);        /* a window is full */
	uint64_t most = spawns(&f, &now, 10000, 10 * CN_NS_PER_MS);
	ck_assert_uint_gt(most, 900000);
	ck_assert_uint_lt(most, 1000000);
	/* Somebody waits for something else. */
	cn_flood_count(&f, false);
	ck_assert_uint_eq(spawns(&f, &now, 200, 1600000), 0);
	ck_assert_uint_eq(spawns(&f, &now, 20, 160000), 0);
	/* A pause. */
	spawns(&f, &now, 200, 1600000);
	ck_assert_uint_eq(spawns(&f, &now, 200, 30 * CN_NS_PER_MS), 0);
}
END_TEST

START_TEST(rests_no_longer_than_the_sockets_buffer_lasts)
{
	struct cn_flood f = { 0 };
	uint64_t now = CN_NS_PER_S;
	uint64_t small = rests(&f, &now, 10, 60, 50000);
	uint64_t large = rests(&f, &now, 10, 4096, 50000);
	ck_assert_uint_gt(large, 0);
	ck_assert_uint_lt(large, small);
	ck_assert_uint_lt(large * (10 * 4096) / 50000, 65536);
	ck_assert_uint_lt(large, 100000);
	ck_assert_uint_eq(rests(&f, &now, 10, 65536, 250000), 0);
}
END_TEST

/* So much is read, answered or not; then the lead waits. */
static bool dozes(struct cn_flood *f, int messages, size_t bytes, bool answered)
{
	cn_flood_read(f, bytes);
	for (int i = 0; i < messages; i++)
		cn_flood_count(f, false);
	if (answered)
		atomic_fetch_add(&f->writes, 1);
	return cn_flood_dozes(f);
}
START_TEST(waits_busily_for_answers_to_answers_and_for_what_is_large)
{
	struct cn_flood f = { 0 };
	ck_assert(!dozes(&f, 0, 0, false));
	ck_assert(!dozes(&f, 1, 60, true));
	ck_assert(dozes(&f, 1, 60, false));
	ck_assert(dozes(&f, 16, 65536, false));
	ck_assert(!dozes(&f, 16, 65536, true));
	/* A large one, in parts; the last one is short. */
	ck_assert(!dozes(&f, 1, 65536, false));
	ck_assert(!dozes(&f, 0, 65000, false));
	ck_assert(!dozes(&f, 1, 600, false));
	/* A small one that came in two parts, the first behind others. */
	ck_assert(dozes(&f, 1, 10000, false));
	ck_assert(dozes(&f, 10, 20000, false));
	ck_assert(dozes(&f, 0, 1500, false));
	ck_assert(dozes(&f, 1, 500, false));
}
END_TEST

START_TEST(sleeps_at_once_while_many_spawns_are_under_way)
{
	struct cn_flood f = { 0 };
	uint64_t now = CN_NS_PER_S;
	for (int i = 0; i < 10 * 128; i++) {
		spawns(&f, &now, 1, 8000);
		ck_assert(!cn_flood_dozes(&f));         /* one by one */
	}
	for (int i = 0; i < 8; i++)
		spawns(&f, &now, 32, 256000);
	ck_assert(cn_flood_dozes(&f));
	for (int i = 0; i < 2 * 128; i++)
		spawns(&f, &now, 1, 8000);
	ck_assert(!cn_flood_dozes(&f));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("conn_flood");
	TCase *tc = tcase_create("rests");
	tcase_add_test(tc, rests_in_a_flood_that_nothing_answers);
	tcase_add_test(tc, rests_longer_only_in_a_long_flood);
	tcase_add_test(tc, rests_between_bursts_of_spawn_requests);
	tcase_add_test(tc, rests_no_longer_than_the_sockets_buffer_lasts);
	tcase_add_test(tc, waits_busily_for_answers_to_answers_and_for_what_is_large);
	tcase_add_test(tc, sleeps_at_once_while_many_spawns_are_under_way);
	suite_add_tcase(s, tc);
	return tap_run(s);
}
