/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Process groups as programs use them: whole nodes on loopback, threads that join, leave, end
 * and read at the same time, connections that are lost. At each quiet point all nodes have the
 * same table. Public headers only.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cnode/cnode.h"
#include "tests/loopback.h"
#include "tests/tap.h"

#define NODES 3
#define THREADS 2               /* on each node */
#define GROUPS 5
#define ROUNDS 4
#define STEPS 300               /* of each thread in a round */
#define MEMBERS 4096

static cnode_node *node[NODES];
static char name[NODES][40];

static void open_nodes(void)
{
	char source[256] = "list:";
	size_t used = strlen(source);
	for (int i = 0; i < NODES; i++) {
		snprintf(name[i], sizeof name[i], "n%d@127.0.0.1", i);
		cnode_config cfg = loopback_config(name[i]);
		ck_assert_msg(cnode_node_new(&cfg, &node[i]) == 0, "%s", cnode_node_error(node[i]));
		ck_assert_int_eq(cnode_pg_start(node[i], NULL, CNODE_PG_HIDDEN), 0);
		ck_assert_msg(cnode_node_start(node[i]) == 0, "%s", cnode_node_error(node[i]));
		used += (size_t)snprintf(source + used, sizeof source - used, "%s%s:%u", i ? "," : "", name[i],
					 (unsigned)cnode_node_port(node[i]));
	}
	/* Each to each, and again after a loss: in rounds and, meanwhile, when somebody sends. */
	for (int i = 0; i < NODES; i++) {
		for (int k = 0; k < NODES; k++) {
			char at[40];
			snprintf(at, sizeof at, "127.0.0.1:%u", (unsigned)cnode_node_port(node[k]));
			if (k != i)
				ck_assert_int_eq(cnode_node_route(node[i], name[k], at), 0);
		}
		ck_assert_int_eq(cnode_discover(node[i], source), 0);
	}
}
static void close_nodes(void)
{
	for (int i = 0; i < NODES; i++)
		cnode_node_free(node[i]);
}

/* ---- tables ---- */

static int by_value(const void *a, const void *b)
{
	const cnode_pid *x = a, *y = b;
	if (x->node != y->node)
		return x->node < y->node ? -1 : 1;
	if (x->serial != y->serial)
		return x->serial < y->serial ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id;
}

static size_t members(cnode_node *n, bool local, int group, cnode_pid *pids)
{
	size_t count;
	int rc = local ? cnode_pg_local_members(n, NULL, pids, MEMBERS, &count, "{group,~i}", group)
		       : cnode_pg_members(n, NULL, pids, MEMBERS, &count, "{group,~i}", group);
	ck_assert_int_eq(rc, 0);
	ck_assert_uint_le(count, MEMBERS);
	qsort(pids, count, sizeof *pids, by_value);
	return count;
}

/* True if this node has in this group what all nodes together say of themselves. */
static bool agrees(cnode_node *n, int group)
{
	static cnode_pid all[MEMBERS * NODES], seen[MEMBERS];
	size_t count = 0;
	for (int i = 0; i < NODES; i++)
		count += members(node[i], true, group, all + count);
	qsort(all, count, sizeof *all, by_value);
	if (members(n, false, group, seen) != count)
		return false;
	for (size_t i = 0; i < count; i++)
		if (!cnode_pid_equal(all[i], seen[i]))
			return false;
	return true;
}

static void wait_for_peace(cnode_mailbox *mb[NODES], unsigned seed)
{
	time_t end = time(NULL) + 60;
	for (int i = 0; i < NODES; i++)
		for (int k = 0; k < NODES; k++)
			if (k != i)
				(void)cnode_connect_wait(mb[i], name[k], 10000);
	for (int i = 0; i < NODES; i++)
		for (int g = 0; g < GROUPS; g++)
			while (!agrees(node[i], g)) {
				ck_assert_msg(time(NULL) < end, "seed %u: %s has other members in group %d than they say of themselves",
					      seed, name[i], g);
				sched_yield();
			}
}

/* ---- random steps ---- */

struct actor {
	pthread_t thread;
	cnode_node *home;
	int number;
	unsigned seed;
	cnode_mailbox *box[4];
};

static void step(struct actor *a)
{
	int b = rand_r(&a->seed) % 4, group = rand_r(&a->seed) % GROUPS, what = rand_r(&a->seed) % 100;
	static _Thread_local cnode_pid pids[MEMBERS];
	size_t count;
	int rc = 0;
	if (!a->box[b])
		ck_assert_int_eq(cnode_mailbox_open(a->home, NULL, &a->box[b]), 0);
	cnode_pid pid = cnode_self(cnode_mailbox_process(a->box[b]));
	if (what < 40) {
		rc = cnode_pg_join(a->home, NULL, pid, "{group,~i}", group);
	} else if (what < 65) {
		rc = cnode_pg_leave(a->home, NULL, pid, "{group,~i}", group);
		rc = rc == CNODE_ENOTJOINED ? 0 : rc;
	} else if (what < 75) {
		cnode_mailbox_close(a->box[b]);
		a->box[b] = NULL;
	} else if (what < 99) {
		rc = cnode_pg_members(a->home, NULL, pids, MEMBERS, &count, "{group,~i}", group);
	} else {
		rc = cnode_disconnect(a->home, name[rand_r(&a->seed) % NODES]);
		rc = rc == CNODE_ENOENT ? 0 : rc;
	}
	ck_assert_msg(rc == 0, "%d: %s", what, cnode_strerror(rc));
}

static void *act(void *arg)
{
	struct actor *a = arg;
	for (int i = 0; i < STEPS; i++)
		step(a);
	return NULL;
}

START_TEST(all_nodes_have_the_same_table_whenever_it_is_quiet)
{
	static struct actor actor[NODES * THREADS];
	cnode_mailbox *mb[NODES];
	const char *given = getenv("SEED");
	unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
	fprintf(stderr, "# SEED=%u\n", seed);
	for (int i = 0; i < NODES; i++)
		ck_assert_int_eq(cnode_mailbox_open(node[i], NULL, &mb[i]), 0);
	for (int i = 0; i < NODES * THREADS; i++)
		actor[i] = (struct actor){ .home = node[i % NODES], .number = i, .seed = seed + (unsigned)i };
	for (int round = 0; round < ROUNDS; round++) {
		for (int i = 0; i < NODES * THREADS; i++)
			ck_assert_int_eq(pthread_create(&actor[i].thread, NULL, act, &actor[i]), 0);
		for (int i = 0; i < NODES * THREADS; i++)
			pthread_join(actor[i].thread, NULL);
		wait_for_peace(mb, seed);
	}
	for (int i = 0; i < NODES * THREADS; i++)
		for (int b = 0; b < 4; b++)
			cnode_mailbox_close(actor[i].box[b]);
	wait_for_peace(mb, seed);
	size_t count;
	for (int g = 0; g < GROUPS; g++) {
		ck_assert_int_eq(cnode_pg_members(node[0], NULL, NULL, 0, &count, "{group,~i}", g), 0);
		ck_assert_uint_eq(count, 0);
	}
	for (int i = 0; i < NODES; i++)
		cnode_mailbox_close(mb[i]);
}
END_TEST

/* What a monitor has told adds up to what is there, whoever changes it meanwhile. */
START_TEST(a_monitor_misses_nothing_and_tells_nothing_twice)
{
	enum { N = 2000 };
	cnode_mailbox *watcher, *mb[NODES];
	cnode_ref ref;
	cnode_term now, list, what;
	cnode_info info;
	long sum = 0;
	for (int i = 0; i < NODES; i++)
		ck_assert_int_eq(cnode_mailbox_open(node[i], NULL, &mb[i]), 0);
	wait_for_peace(mb, 0);
	ck_assert_int_eq(cnode_mailbox_open(node[0], NULL, &watcher), 0);
	for (int i = 0; i < N; i++) {
		if (i == N / 2) {
			ck_assert_int_eq(cnode_pg_monitor(cnode_mailbox_process(watcher), NULL, &ref, &now, "{group,~i}", 1), 0);
			cnode_reader r = cnode_read(now);
			for (size_t n; (n = cnode_read_list(&r)) > 0;)
				while (n-- > 0) {
					(void)cnode_read_pid(&r);
					sum++;
				}
			cnode_term_drop(now);
		}
		int k = i % NODES;
		ck_assert_int_eq(cnode_pg_join(node[k], NULL, cnode_self(cnode_mailbox_process(mb[k])), "{group,~i}", 1), 0);
	}
	for (int i = 0; i < NODES; i++)
		cnode_mailbox_close(mb[i]);
	/* The joins that were not in the list, and then a leave for each. */
	long joined = 0, left = 0;
	while (joined < N - sum || left < N) {
		ck_assert_int_eq(cnode_receive(watcher, &info, 20000), 0);
		ck_assert_int_eq(cnode_scan(info.message, "{_,~t,_,~t}", &what, &list), 0);
		long *by = cnode_scan(what, "join") == 0 ? &joined : &left;
		cnode_reader r = cnode_read(list);
		for (size_t n; (n = cnode_read_list(&r)) > 0;)
			while (n-- > 0) {
				(void)cnode_read_pid(&r);
				++*by;
			}
		ck_assert_int_le(left, sum + joined);
	}
	ck_assert_int_eq(joined, N - sum);
	ck_assert_int_eq(left, N);
	ck_assert_int_eq(cnode_receive(watcher, &info, 0), CNODE_ETIMEOUT);
	cnode_mailbox_close(watcher);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("pg_live");
	TCase *t = tcase_create("three nodes");
	tcase_add_checked_fixture(t, open_nodes, close_nodes);
	tcase_add_test(t, all_nodes_have_the_same_table_whenever_it_is_quiet);
	tcase_add_test(t, a_monitor_misses_nothing_and_tells_nothing_twice);
	suite_add_tcase(s, t);
	return tap_run(s);
}
