/* SPDX-License-Identifier: Apache-2.0 */
/* When a peer that is to be kept (a seed) is dialled again. */
#include "cnode/node/peer.h"
#include "tests/tap.h"

#define DRAWS 500

static void draw(uint32_t failures, uint64_t *least, uint64_t *most)
{
	*least = UINT64_MAX;
	*most = 0;
	for (int i = 0; i < DRAWS; i++) {
		uint64_t wait = cn_peer_backoff(failures);
		*least = wait < *least ? wait : *least;
		*most = wait > *most ? wait : *most;
	}
}

START_TEST(waits_twice_as_long_each_time_up_to_thirty_seconds)
{
	static const unsigned upto[] = { 2, 4, 8, 16, 30, 30 };
	uint64_t least, most;
	for (uint32_t failures = 0; failures < 100; failures++) {
		unsigned s = upto[failures < 5 ? failures : 5];
		draw(failures, &least, &most);
		ck_assert_uint_ge(least, s * CN_NS_PER_S / 2);
		ck_assert_uint_le(most, s * CN_NS_PER_S);
	}
	draw(UINT32_MAX, &least, &most);
	ck_assert(least >= 15 * CN_NS_PER_S && most <= 30 * CN_NS_PER_S);
}
END_TEST

/* Nodes that have lost the same peer at once do not come back to it at once. */
START_TEST(no_two_wait_equally_long)
{
	uint64_t least, most;
	for (uint32_t failures = 0; failures < 6; failures++) {
		draw(failures, &least, &most);
		/* All draws within a tenth of the range: once in 10^400. */
		ck_assert_uint_gt(most - least, most / 20);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("peers");
	TCase *c = tcase_create("backoff");
	tcase_add_test(c, waits_twice_as_long_each_time_up_to_thirty_seconds);
	tcase_add_test(c, no_two_wait_equally_long);
	suite_add_tcase(s, c);
	return tap_run(s);
}
