/* SPDX-License-Identifier: Apache-2.0 */
/* When a peer that is to be kept (a seed) is dialled again, and what the table of peers remembers and forgets. */
#include "cnode/node/peer.h"
#include "tests/alloc_fail.h"
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

/* ---- the table, in a node without network: each attempt to connect fails at once ---- */

static struct cn_cluster *cluster;
static struct cn_loop *loop;
static struct cn_procs *procs;
static cnode_name there;            /* b@h */

static void open_cluster(void)
{
	static const struct cn_cluster_ops ops = { 0 };
	struct cn_cluster_config config = { .name = "me@h", .cookie = "secret" };
	struct cn_procs_config process_config = { .creation = 5 };
	ck_assert_int_eq(cnode_name_of("me@h", &process_config.node), 0);
	ck_assert_int_eq(cnode_name_of("b@h", &there), 0);
	ck_assert_int_eq(cn_loop_new(NULL, &loop), 0);
	cn_lead_take(loop);
	ck_assert_int_eq(cn_procs_new(&process_config, NULL, NULL, &procs), 0);
	ck_assert_int_eq(cn_cluster_new(&config, loop, procs, NULL, &ops, NULL, &cluster), 0);
}

static void close_cluster(void)
{
	cn_cluster_free(cluster);
	cn_procs_free(procs);
	cn_lead_release(loop);
	cn_loop_free(loop);
}

static struct cn_signal monitor_of(uint64_t epoch)
{
	return (struct cn_signal){
		.kind = CN_SIG_MONITOR, .node = there, .epoch = epoch, .ref = cn_procs_make_ref(procs),
		.from = { .node = cn_procs_node(procs), .id = 7, .creation = 5 }, .to_name = "db",
	};
}

/* As another thread would, between the end of an attempt and the peer's being forgotten. */
static void ask_for_epoch(void *epoch, int code, const char *text)
{
	(void)text;
	ck_assert_int_lt(code, 0);
	*(uint64_t *)epoch = cn_cluster_epoch(cluster, there);
}

/* Who watches a process of a node that cannot be reached hears so, also if he asks again the moment he has heard it. */
START_TEST(what_was_begun_when_an_attempt_failed_makes_the_next_one)
{
	uint64_t epoch = 0;
	ck_assert_int_eq(cn_cluster_connect(cluster, "b@h", false, ask_for_epoch, &epoch), 0);
	ck_assert_uint_ne(epoch, CN_EPOCH_ANY);
	struct cn_signal sig = monitor_of(epoch);
	ck_assert_int_eq(cn_cluster_send(cluster, &sig, 0), 0);
	/* The relation is of this epoch, and ends with the attempt that it waits for. */
	struct cn_peer *peer = cn_peer_find(cluster, there);
	ck_assert_ptr_nonnull(peer);
	ck_assert_uint_eq(peer->epoch, epoch);
	ck_assert_ptr_nonnull(peer->waiting);
	cn_cluster_chores(&cluster->chores);
	ck_assert_ptr_null(cn_peer_find(cluster, there));
}
END_TEST

START_TEST(what_is_said_too_late_leaves_no_peer_behind)
{
	uint64_t epoch = cn_cluster_epoch(cluster, there);
	ck_assert_int_eq(cn_cluster_connect(cluster, "b@h", false, NULL, NULL), 0);
	ck_assert_ptr_null(cn_peer_find(cluster, there));
	/* An answer, say, to a node that has gone: one that calls itself differently each time it comes. */
	struct cn_signal late = monitor_of(epoch);
	ck_assert_int_eq(cn_cluster_send(cluster, &late, 0), 0);
	ck_assert_ptr_null(cn_peer_find(cluster, there));
}
END_TEST

static void connect_without_memory(void)
{
	uint64_t epoch = 0;
	int rc = cn_cluster_connect(cluster, "b@h:4711", false, ask_for_epoch, &epoch);
	ck_assert(rc == 0 || rc == CNODE_ENOMEM);
	/* Nothing is kept of an attempt that could not be begun. */
	ck_assert(rc == 0 || !cn_peer_find(cluster, there));
	struct cn_signal sig = monitor_of(epoch);
	if (epoch == CN_EPOCH_ANY)
		return;
	rc = cn_cluster_send(cluster, &sig, 0);
	ck_assert(rc == 0 || rc == CNODE_ENOMEM);
	cn_cluster_chores(&cluster->chores);
}

START_TEST(an_attempt_without_memory_leaves_no_peer_behind)
{
	alloc_fail_each(connect_without_memory);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("peers");
	TCase *c = tcase_create("backoff");
	tcase_add_test(c, waits_twice_as_long_each_time_up_to_thirty_seconds);
	tcase_add_test(c, no_two_wait_equally_long);
	suite_add_tcase(s, c);
	c = tcase_create("table");
	tcase_add_checked_fixture(c, open_cluster, close_cluster);
	tcase_add_test(c, what_was_begun_when_an_attempt_failed_makes_the_next_one);
	tcase_add_test(c, what_is_said_too_late_leaves_no_peer_behind);
	tcase_add_test(c, an_attempt_without_memory_leaves_no_peer_behind);
	suite_add_tcase(s, c);
	return tap_run(s);
}
