/* SPDX-License-Identifier: Apache-2.0 */
/* A loop of its own for each test, which holds the lead of it. */
#ifndef TESTS_LOOP_ROUNDS_H
#define TESTS_LOOP_ROUNDS_H

#include "cnode/loop/loop.h"
#include "tests/tap.h"

static struct cn_loop *loop;

static inline void setup(void)
{
	ck_assert_int_eq(cn_loop_new(NULL, &loop), 0);
	cn_lead_take(loop);
}

static inline void teardown(void)
{
	cn_lead_release(loop);
	cn_loop_free(loop);
}

/* Rounds until cond holds; fails after ten seconds. */
#define UNTIL(cond) \
	do { \
		uint64_t end_ = cn_now() + 100 * CN_NS_PER_S; \
		while (!(cond)) { \
			ck_assert_msg(cn_now() < end_, "never: " #cond); \
			cn_loop_poll(loop, end_); \
		} \
	} while (0)

#endif
