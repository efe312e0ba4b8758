/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool: noex's worker pool in C. Workers process tasks and tell what they have done
 * (process_task, get_stats); the pool spreads them over nodes and replaces those that end.
 *
 *     cc pool.c $(pkg-config --cflags --libs cnode) -o pool
 *     ./pool                                           one node, without network
 *     ./pool worker w1@127.0.0.1 &                     a node that only has workers
 *     ./pool master m@127.0.0.1 w1@127.0.0.1           and one that uses it
 *
 * On a BEAM node: gen_server:call({pool, 'm@127.0.0.1'}, next) gives {ok, Pid}.
 */
#include <cnode/cnode.h>
#include <stdio.h>
#include <string.h>

#define TASKS 12
#define WORKERS 4
#define WAIT_MS 10000

/* ---- a worker ---- */

struct worker { int64_t processed, failed; };

static int worker_call(cnode_process *self, void *state, cnode_from *from, cnode_term request)
{
	struct worker *w = state;
	int64_t n;
	(void)self;
	if (cnode_scan(request, "{process_task,{square,~q}}", &n) == 0) {
		w->processed++;
		return cnode_reply(from, "{ok,~q}", n * n);
	}
	if (cnode_scan(request, "{process_task,_}") == 0) {
		w->failed++;
		return cnode_reply(from, "{error,unknown_task}");
	}
	if (cnode_scan(request, "get_stats") == 0)
		return cnode_reply(from, "#{processed => ~q, failed => ~q}", w->processed, w->failed);
	return cnode_reply(from, "{error,bad_request}");
}

static const cnode_behaviour worker = { CNODE_BEHAVIOUR_INIT, .state_size = sizeof(struct worker), .handle_call = worker_call };

/* ---- the master ---- */

/* Waits until the pool has all its workers. */
static int await_workers(cnode_mailbox *mb)
{
	for (;;) {
		cnode_term stats;
		int64_t workers = 0;
		int rc = cnode_call_name(mb, "pool", NULL, WAIT_MS, &stats, "stats");
		if (rc != 0)
			return rc;
		rc = cnode_scan(stats, "#{workers := ~q}", &workers);
		cnode_term_drop(stats);
		if (rc != 0 || workers == WORKERS)
			return rc;
		cnode_info message;
		cnode_receive(mb, &message, 20);         /* not yet: ask again soon */
	}
}

/* The worker for the next task. */
static int next_worker(cnode_mailbox *mb, cnode_pid *pid)
{
	cnode_term reply;
	int rc = cnode_call_name(mb, "pool", NULL, WAIT_MS, &reply, "next");
	if (rc != 0)
		return rc;
	rc = cnode_scan(reply, "{ok,~p}", pid);          /* or {error,no_workers}: all are being replaced just now */
	cnode_term_drop(reply);
	return rc;
}

static int do_tasks(cnode_mailbox *mb)
{
	for (int64_t task = 1; task <= TASKS; task++) {
		cnode_pid pid;
		cnode_term reply;
		int64_t square;
		int rc = next_worker(mb, &pid);
		if (rc == 0)
			rc = cnode_call(mb, pid, WAIT_MS, &reply, "{process_task,{square,~q}}", task);
		if (rc != 0)
			return rc;
		rc = cnode_scan(reply, "{ok,~q}", &square);
		cnode_term_drop(reply);
		if (rc != 0)
			return rc;
		printf("task %lld: %lld\n", (long long)task, (long long)square);
	}
	return 0;
}

/* What each worker has done, and in all. */
static int print_stats(cnode_mailbox *mb)
{
	cnode_term workers;
	long long sum = 0;
	int count = 0;
	int rc = cnode_call_name(mb, "pool", NULL, WAIT_MS, &workers, "workers");
	if (rc != 0)
		return rc;
	cnode_reader r = cnode_read(workers);
	for (size_t n; (n = cnode_read_list(&r)) > 0;)
		while (n-- > 0) {
			cnode_pid pid = cnode_read_pid(&r);
			cnode_term stats;
			int64_t processed;
			if (cnode_call(mb, pid, WAIT_MS, &stats, "get_stats") != 0)
				continue;               /* it has ended just now: the pool starts another */
			if (cnode_scan(stats, "#{processed := ~q}", &processed) == 0) {
				sum += processed;
				count++;
			}
			cnode_term_drop(stats);
		}
	cnode_term_drop(workers);
	printf("%d workers have processed %lld tasks\n", count, sum);
	return 0;
}

static int master(cnode_node *node, const char *nodes)
{
	cnode_pool_options o = CNODE_POOL_INIT;
	cnode_mailbox *mb = NULL;
	o.factory = "worker";
	o.nodes = nodes;                                 /* NULL: this one */
	o.workers = WORKERS;
	o.placement = nodes != NULL ? CNODE_PLACE_LEAST_LOADED : CNODE_PLACE_ROUND_ROBIN;
	int rc = cnode_node_start(node);
	if (rc == 0)
		rc = cnode_pool_start(node, "pool", &o, NULL);
	if (rc == 0)
		rc = cnode_mailbox_open(node, NULL, &mb);
	if (rc == 0)
		rc = await_workers(mb);
	if (rc == 0)
		rc = do_tasks(mb);
	if (rc == 0)
		rc = print_stats(mb);
	if (rc != 0)
		fprintf(stderr, "pool: %s\n", mb != NULL ? cnode_mailbox_error(mb) : cnode_node_error(node));
	cnode_mailbox_close(mb);
	return rc;
}

int main(int argc, char **argv)
{
	cnode_config cfg = CNODE_CONFIG_INIT;
	cnode_node *node = NULL;
	bool works = argc == 3 && strcmp(argv[1], "worker") == 0;
	bool leads = argc == 4 && strcmp(argv[1], "master") == 0;
	if (argc != 1 && !works && !leads) {
		fprintf(stderr, "usage: pool | pool worker NODE | pool master NODE NODE[,NODE...]\n");
		return 2;
	}
	cfg.name = argc > 1 ? argv[2] : NULL;            /* NULL: a node without network */
	cfg.long_names = true;
	int rc = cnode_node_new(&cfg, &node);
	if (rc == 0)                                     /* whoever has the cookie may use the workers */
		rc = cnode_factory_add(node, "worker", &worker, NULL, CNODE_ALL_NODES);
	if (rc == 0)
		rc = works ? cnode_node_run(node) : master(node, leads ? argv[3] : NULL);
	if (rc != 0 && works)
		fprintf(stderr, "pool: %s\n", cnode_node_error(node));
	cnode_node_free(node);
	return rc != 0;
}
