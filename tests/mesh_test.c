/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many nodes in one program: each knows one other, and all become one mesh, in which each has registered 100 names,
 * half of them before it knew anybody. 50 nodes with CNODE_LONG_TESTS, else 8.
 */
#include "cnode/base/base.h"
#include "cnode/cnode.h"
#include "tests/loopback.h"
#include "tests/tap.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST 50
#define NAMES 100

static int nodes;
static cnode_node *node[MOST];
static cnode_mailbox *box[MOST];

static const char *name_of(int i)
{
	static _Thread_local char name[32];
	snprintf(name, sizeof name, "n%02d@127.0.0.1", i);
	return name;
}

static void open_node(int i)
{
	cnode_config cfg = loopback_config(name_of(i));
	cfg.threads = 1;
	ck_assert_msg(cnode_node_new(&cfg, &node[i]) == 0 && cnode_node_start(node[i]) == 0, "%s", cnode_node_error(node[i]));
	ck_assert_int_eq(cnode_mailbox_open(node[i], NULL, &box[i]), 0);
}

/* Names from..to of node i. */
struct range {
	int i, from, to;
};

static int sink_info(cnode_process *self, void *state, const cnode_info *info)
{
	(void)self; (void)state; (void)info;
	return 0;
}
/* A process has one name. */
static const cnode_behaviour sink = { CNODE_BEHAVIOUR_INIT, .handle_info = sink_info };

static void *register_range(void *arg)
{
	const struct range *r = arg;
	cnode_mailbox *mb;
	cnode_term none;
	if (cnode_mailbox_open(node[r->i], NULL, &mb) != 0 || cnode_format(&none, "[]") != 0)
		return "no mailbox";
	for (int n = r->from; n < r->to; n++) {
		cnode_pid pid;
		cnode_term name;
		if (cnode_process_start(node[r->i], NULL, &sink, NULL, none, &pid) != 0 || cnode_format(&name, "{name,~i,~i}", r->i, n) != 0 ||
		    cnode_global_register(mb, name, pid, NULL, TAP_WAIT_MS) != 0) {
			fprintf(stderr, "# %s: %s\n", name_of(r->i), cnode_mailbox_error(mb));
			return "not registered";
		}
		cnode_term_drop(name);
	}
	cnode_term_drop(none);
	cnode_mailbox_close(mb);
	return NULL;
}

/* On all nodes at once. */
static void register_all(int from, int to)
{
	pthread_t threads[MOST];
	struct range ranges[MOST];
	for (int i = 0; i < nodes; i++) {
		ranges[i] = (struct range){ i, from, to };
		ck_assert_int_eq(pthread_create(&threads[i], NULL, register_range, &ranges[i]), 0);
	}
	for (int i = 0; i < nodes; i++) {
		void *failed;
		pthread_join(threads[i], &failed);
		ck_assert_msg(!failed, "%s: %s", name_of(i), failed ? (char *)failed : "");
	}
}

static int count_peer(void *context, const cnode_peer *peer)
{
	(void)peer;
	++*(int *)context;
	return 0;
}

/* Whether node i says of each name what its own node says. */
static bool is_equal(int i)
{
	for (int k = 0; k < nodes; k++)
		for (int n = 0; n < NAMES; n++) {
			cnode_term name;
			cnode_pid his, ours;
			ck_assert_int_eq(cnode_format(&name, "{name,~i,~i}", k, n), 0);
			bool same = cnode_global_whereis(node[k], name, &his) == 0 && cnode_global_whereis(node[i], name, &ours) == 0 &&
				    cnode_pid_equal(his, ours);
			cnode_term_drop(name);
			if (!same)
				return false;
		}
	return true;
}

static double since(uint64_t *begin)
{
	uint64_t now = cn_now();
	double s = (double)(now - *begin) / 1e9;
	*begin = now;
	return s;
}

START_TEST(nodes_that_know_one_become_one_mesh_with_one_table)
{
	for (int i = 0; i < nodes; i++)
		open_node(i);
	for (int i = 0; i < nodes; i++)
		for (int k = 0; k < nodes; k++) {
			char address[64];
			snprintf(address, sizeof address, "127.0.0.1:%u", (unsigned)cnode_node_port(node[k]));
			if (i != k)
				ck_assert_int_eq(cnode_node_route(node[i], name_of(k), address), 0);
		}
	uint64_t begin = cn_now();
	register_all(0, NAMES / 2);
	fprintf(stderr, "# %d nodes, %d names each, alone: %.2f s\n", nodes, NAMES / 2, since(&begin));
	for (int i = 1; i < nodes; i++)
		ck_assert_msg(cnode_connect_wait(box[i], name_of((i - 1) / 2), TAP_WAIT_MS) == 0, "%s", cnode_mailbox_error(box[i]));
	for (int i = 0; i < nodes; i++)
		for (int peers = 0; peers != nodes - 1;) {
			ck_assert_msg(cnode_global_sync(box[i], TAP_WAIT_MS) == 0, "%s: %s", name_of(i), cnode_mailbox_error(box[i]));
			peers = 0;
			cnode_peers(node[i], count_peer, &peers);
		}
	fprintf(stderr, "# the mesh of %d nodes and %d connections: %.2f s\n", nodes, nodes * (nodes - 1) / 2, since(&begin));
	register_all(NAMES / 2, NAMES);
	fprintf(stderr, "# %d names more each, all at once: %.2f s\n", NAMES / 2, since(&begin));
	for (int i = 0; i < nodes; i++) {
		cnode_global_info info = { .size = sizeof info };
		ck_assert_int_eq(cnode_global_look(node[i], &info), 0);
		ck_assert_msg(info.names == (uint64_t)(nodes * NAMES), "%s has %llu names", name_of(i), (unsigned long long)info.names);
		ck_assert_uint_eq(info.nodes, (uint64_t)nodes - 1);
		ck_assert_uint_eq(info.stalled, 0);
		ck_assert_uint_eq(info.restarts, 0);
		ck_assert_msg(is_equal(i), "%s has another table", name_of(i));
	}
	for (int i = 0; i < nodes; i++)
		cnode_mailbox_close(box[i]);
	for (int i = 0; i < nodes; i++)
		cnode_node_stop(node[i]);
	for (int i = 0; i < nodes; i++)
		cnode_node_free(node[i]);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("mesh");
	TCase *t = tcase_create("mesh");
	const char *wanted = getenv("CNODE_LONG_TESTS");
	nodes = wanted && *wanted && strcmp(wanted, "0") != 0 && strcmp(wanted, "no") != 0 ? MOST : 8;
	tcase_set_timeout(t, 600);
	tcase_add_test(t, nodes_that_know_one_become_one_mesh_with_one_table);
	suite_add_tcase(s, t);
	return tap_run(s);
}
