/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of the cluster (global), seen from C nodes.
 *
 *     names member NAME COOKIE SEED PEERS PAIRS LOOKUPS
 *         Joins the cluster of SEED, which has PEERS nodes; registers and unregisters a name PAIRS times, one
 *         after the other; looks up a registered one LOOKUPS times.
 *         Prints "microseconds-of-the-join pairs-per-second lookups-per-second"; bench_names.erl has the same in Erlang.
 *     names mesh COOKIE NODES NAMES
 *         Starts NODES nodes in this process, which become a full mesh through the first of them; then each
 *         registers NAMES names, in turn. Every node must have all of them.
 *         Prints "microseconds-of-the-mesh microseconds-of-the-names".
 */
#include <cnode/cnode.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define PATIENCE_MS 60000

/* One node, and the mailbox that does things in it. */
struct member {
	char name[64];
	cnode_node *node;
	cnode_mailbox *box;
	int up;                 /* visible peers it was told of */
};

static int64_t now_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int64_t per_second(int64_t count, int64_t began_us)
{
	int64_t took = now_us() - began_us;
	return took > 0 ? count * 1000000 / took : 0;
}

/* Says which step of which node failed, and returns rc. */
static int told(const struct member *m, const char *what, int rc)
{
	if (rc != 0)
		fprintf(stderr, "names: %s: %s: %s\n", m->name, what, cnode_strerror(rc));
	return rc;
}

static int start(struct member *m, const char *cookie, int threads)
{
	cnode_config cfg = CNODE_CONFIG_INIT;
	cfg.name = m->name;
	cfg.long_names = true;
	cfg.cookie = cookie;
	cfg.threads = threads;
	cfg.log_level = CNODE_LOG_ERROR;
	int rc = cnode_node_new(&cfg, &m->node);
	if (rc == 0)
		rc = cnode_node_start(m->node);
	if (rc == 0)
		rc = cnode_mailbox_open(m->node, NULL, &m->box);
	if (rc == 0)
		rc = cnode_monitor_nodes(cnode_mailbox_process(m->box), CNODE_NODES_VISIBLE, true);
	return told(m, m->node != NULL ? cnode_node_error(m->node) : "start", rc);
}

static void end(struct member *m)
{
	cnode_mailbox_close(m->box);
	cnode_node_free(m->node);
}

/* Waits until so many visible peers are connected, and their tables and ours are one. */
static int joined(struct member *m, int peers)
{
	while (m->up < peers) {
		cnode_info info = { .size = sizeof info };
		int rc = cnode_receive(m->box, &info, PATIENCE_MS);
		if (rc != 0)
			return told(m, "waiting for the other nodes", rc);
		m->up += info.kind == CNODE_NODEUP ? 1 : info.kind == CNODE_NODEDOWN ? -1 : 0;
	}
	return told(m, "cnode_global_sync", cnode_global_sync(m->box, PATIENCE_MS));
}

/* ---- one node ---- */

static int pairs(struct member *m, cnode_term name, int64_t count)
{
	cnode_pid pid = cnode_self(cnode_mailbox_process(m->box));
	int rc = 0;
	while (rc == 0 && count-- > 0) {
		rc = cnode_global_register(m->box, name, pid, NULL, PATIENCE_MS);
		if (rc == 0)
			rc = cnode_global_unregister(m->box, name, PATIENCE_MS);
	}
	return told(m, cnode_mailbox_error(m->box), rc);
}

static int lookups(struct member *m, cnode_term name, int64_t count)
{
	cnode_pid pid = cnode_self(cnode_mailbox_process(m->box)), found;
	int rc = cnode_global_register(m->box, name, pid, NULL, PATIENCE_MS);
	while (rc == 0 && count-- > 0) {
		rc = cnode_global_whereis(m->node, name, &found);
		if (rc == 0 && !cnode_pid_equal(found, pid))
			rc = CNODE_EINTERNAL;
	}
	return told(m, "cnode_global_whereis", rc);
}

static int member(char **argv)
{
	struct member m = { .up = 0 };
	int64_t pair_count = atoll(argv[4]), lookup_count = atoll(argv[5]), join = 0, pair_rate = 0, lookup_rate = 0;
	cnode_term name;
	snprintf(m.name, sizeof m.name, "%s", argv[0]);
	int rc = cnode_format(&name, "{bench,~a}", m.name);
	if (rc == 0)
		rc = start(&m, argv[1], CNODE_THREADS_AUTO);
	if (rc == 0) {
		int64_t began = now_us();
		rc = told(&m, "cnode_connect", cnode_connect_wait(m.box, argv[2], PATIENCE_MS));
		if (rc == 0)
			rc = joined(&m, atoi(argv[3]));
		join = now_us() - began;
	}
	if (rc == 0) {
		int64_t began = now_us();
		rc = pairs(&m, name, pair_count);
		pair_rate = per_second(pair_count, began);
	}
	if (rc == 0) {
		int64_t began = now_us();
		rc = lookups(&m, name, lookup_count);
		lookup_rate = per_second(lookup_count, began);
	}
	if (rc == 0)
		printf("%lld %lld %lld\n", (long long)join, (long long)pair_rate, (long long)lookup_rate);
	cnode_term_drop(name);
	end(&m);
	return rc != 0;
}

/* ---- many nodes in one process ---- */

/* A process has one name of global only, so each name gets one. */
static const cnode_behaviour holder = { CNODE_BEHAVIOUR_INIT, .state_size = 1 };

static int name_of(cnode_term *name, int node, int i)
{
	return cnode_format(name, "{name,~q,~q}", (int64_t)node, (int64_t)i);
}

static int register_one(struct member *m, int node, int i, cnode_pid *pid)
{
	cnode_term none, name;
	int rc = cnode_format(&none, "[]");
	if (rc != 0)
		return rc;
	rc = cnode_process_start(m->node, NULL, &holder, NULL, none, pid);
	cnode_term_drop(none);
	if (rc == 0)
		rc = name_of(&name, node, i);
	if (rc != 0)
		return told(m, "cnode_process_start", rc);
	rc = cnode_global_register(m->box, name, *pid, NULL, PATIENCE_MS);
	cnode_term_drop(name);
	return told(m, cnode_mailbox_error(m->box), rc);
}

static int count_name(void *count, cnode_term name, cnode_pid pid)
{
	(void)name;
	(void)pid;
	++*(int *)count;
	return 0;
}

/* Does the node have all names, for these processes, and no other? */
static int is_complete(struct member *m, const cnode_pid *pids, int nodes, int names)
{
	int count = 0;
	int rc = cnode_global_names(m->node, count_name, &count);
	if (rc == 0 && count != nodes * names)
		return told(m, "its table has too many names, or too few", CNODE_EINTERNAL);
	for (int i = 0; rc == 0 && i < nodes * names; i++) {
		cnode_term name;
		cnode_pid found;
		rc = name_of(&name, i / names, i % names);
		if (rc != 0)
			break;
		rc = cnode_global_whereis(m->node, name, &found);
		cnode_term_drop(name);
		if (rc == 0 && !cnode_pid_equal(found, pids[i]))
			rc = CNODE_EINTERNAL;
	}
	return told(m, "its table is not that of the others", rc);
}

static int mesh(char **argv)
{
	int nodes = atoi(argv[1]), names = atoi(argv[2]), rc = 0;
	struct member *all = calloc((size_t)nodes, sizeof *all);
	cnode_pid *pids = calloc((size_t)nodes * (size_t)names, sizeof *pids);
	int64_t mesh_us = 0, names_us = 0;
	struct rlimit files;
	if (all == NULL || pids == NULL)
		return 1;
	/* A descriptor for each end of each connection. */
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	for (int i = 0; rc == 0 && i < nodes; i++) {
		snprintf(all[i].name, sizeof all[i].name, "m%d@127.0.0.1", i + 1);
		rc = start(&all[i], argv[0], 2);
	}
	int64_t began = now_us();
	for (int i = 1; rc == 0 && i < nodes; i++)
		rc = told(&all[i], "cnode_connect", cnode_connect(all[i].node, all[0].name));
	for (int i = 0; rc == 0 && i < nodes; i++)
		rc = joined(&all[i], nodes - 1);
	mesh_us = now_us() - began;
	began = now_us();
	for (int i = 0; rc == 0 && i < names; i++)
		for (int n = 0; rc == 0 && n < nodes; n++)
			rc = register_one(&all[n], n, i, &pids[n * names + i]);
	names_us = now_us() - began;
	for (int n = 0; rc == 0 && n < nodes; n++)
		rc = is_complete(&all[n], pids, nodes, names);
	if (rc == 0)
		printf("%lld %lld\n", (long long)mesh_us, (long long)names_us);
	/* All at once: one after the other each would tell those that are left. */
	for (int i = 0; i < nodes; i++)
		if (all[i].node != NULL)
			cnode_node_stop(all[i].node);
	for (int i = 0; i < nodes; i++)
		end(&all[i]);
	free(pids);
	free(all);
	return rc != 0;
}

int main(int argc, char **argv)
{
	if (argc == 8 && strcmp(argv[1], "member") == 0)
		return member(argv + 2);
	if (argc == 5 && strcmp(argv[1], "mesh") == 0)
		return mesh(argv + 2);
	fprintf(stderr, "usage: names member NAME COOKIE SEED PEERS PAIRS LOOKUPS | names mesh COOKIE NODES NAMES\n");
	return 2;
}
