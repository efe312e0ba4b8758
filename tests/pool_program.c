/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pool that loses a node which is killed with requests in flight: see pool_example.t.
 *
 *     pool_program worker NAME
 *     pool_program NAME NODES VICTIM COUNT
 *
 * COUNT callers ask a worker on VICTIM for what it never answers; with the last request it kills its node: pool_worker.erl
 * or the worker here. Tells what each was answered, and where the workers are once all are there again.
 */
#include <cnode/cnode.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORKERS 4
#define WAIT_MS 100000

static cnode_node *node;
static cnode_name victim;
static cnode_pid doomed;        /* a worker there */
static int callers;

static void end(const char *what, const char *why)
{
	printf("%s: %s\n", what, why);
	exit(1);
}

/* ---- the worker ---- */

static int worker_call(cnode_process *self, void *state, cnode_from *from, cnode_term request)
{
	int *requests = state, all;
	(void)self;
	if (cnode_scan(request, "{process_task,{die_with_request,~i}}", &all) != 0)
		return cnode_reply(from, "{error,unknown_task}");
	if (++*requests == all)
		raise(SIGKILL);
	return 0;
}

static const cnode_behaviour worker = { CNODE_BEHAVIOUR_INIT, .state_size = sizeof(int), .handle_call = worker_call };

/* ---- the pool's node ---- */

/* The pool's answer, yours. */
static cnode_term ask(cnode_mailbox *mb, const char *request)
{
	cnode_term reply;
	if (cnode_call_name(mb, "pool", NULL, WAIT_MS, &reply, request) != 0)
		end(request, cnode_mailbox_error(mb));
	return reply;
}

/* How many workers there are, on VICTIM and elsewhere; one of VICTIM's is in `doomed`. */
static void count_workers(cnode_mailbox *mb, int *there, int *elsewhere)
{
	cnode_term list = ask(mb, "workers");
	cnode_reader r = cnode_read(list);
	*there = *elsewhere = 0;
	for (size_t n; (n = cnode_read_list(&r)) > 0;)
		while (n-- > 0) {
			cnode_pid pid = cnode_read_pid(&r);
			++*(pid.node == victim ? there : elsewhere);
			if (pid.node == victim)
				doomed = pid;
		}
	cnode_term_drop(list);
}

static void *call_doomed(void *context)
{
	int *result = context;
	cnode_mailbox *mb = NULL;
	cnode_term reply;
	*result = cnode_mailbox_open(node, NULL, &mb);
	if (*result == 0)
		*result = cnode_call(mb, doomed, WAIT_MS, &reply, "{process_task,{die_with_request,~i}}", callers);
	if (*result == 0)
		cnode_term_drop(reply);
	cnode_mailbox_close(mb);
	return NULL;
}

static void run(const char *nodes)
{
	cnode_pool_options o = CNODE_POOL_INIT;
	cnode_mailbox *mb = NULL;
	pthread_t thread[16];
	int result[16], there = 0, elsewhere = 0;
	o.factory = "worker";
	o.nodes = nodes;
	o.workers = WORKERS;
	o.retry_ms = 50;
	o.spawn_timeout_ms = WAIT_MS;
	if (cnode_node_start(node) != 0 || cnode_pool_start(node, "pool", &o, NULL) != 0 || cnode_mailbox_open(node, NULL, &mb) != 0)
		end("start", cnode_node_error(node));
	while (there == 0 || there + elsewhere < WORKERS)
		count_workers(mb, &there, &elsewhere);
	for (int i = 0; i < callers; i++)
		if (pthread_create(&thread[i], NULL, call_doomed, &result[i]) != 0)
			end("thread", "cannot be created");
	for (int i = 0; i < callers; i++) {
		pthread_join(thread[i], NULL);
		printf("request %d: %s\n", i + 1, cnode_strerror(result[i]));
	}
	while (there > 0 || elsewhere < WORKERS)
		count_workers(mb, &there, &elsewhere);
	printf("%d workers, %d of them on the lost node\n", there + elsewhere, there);
	cnode_mailbox_close(mb);
}

int main(int argc, char **argv)
{
	cnode_config cfg = CNODE_CONFIG_INIT;
	bool works = argc == 3 && strcmp(argv[1], "worker") == 0;
	if (!works && (argc != 5 || (callers = atoi(argv[4])) < 1 || callers > 16 || cnode_name_of(argv[3], &victim) != 0)) {
		fprintf(stderr, "usage: pool_program worker NAME | pool_program NAME NODES VICTIM COUNT\n");
		return 2;
	}
	cfg.name = argv[works ? 2 : 1];
	cfg.long_names = true;
	if (cnode_node_new(&cfg, &node) != 0 || cnode_factory_add(node, "worker", &worker, NULL, CNODE_ALL_NODES) != 0)
		end("node", node != NULL ? cnode_node_error(node) : "cannot be made");
	if (!works)
		run(argv[2]);
	else if (cnode_node_run(node) != 0)
		end("node", cnode_node_error(node));
	cnode_node_free(node);
	return 0;
}
