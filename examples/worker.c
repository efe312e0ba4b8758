/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker: a module for cnoded with workers of two configurations. One behaviour serves both
 * names: what is baked in is the context that a factory is added with.
 *
 *     cnoded -sname c -load ./worker -allow worker -allow bulk_worker
 *
 *     Pid = spawn_link('c@host', worker, start, []),
 *     gen_server:cast(Pid, {process_task, <<"task-1">>, Data}),
 *     #{task_count := 1} = gen_server:call(Pid, get_stats).
 *
 * examples/worker_pool.erl makes pools of them.
 */
#include <cnode/cnode.h>
#include <time.h>

/* What a factory is made with. */
struct worker_config {
	const char *name;
	int64_t task_limit;             /* tasks until it ends itself; 0: none */
	long work_us;                   /* what a task takes */
};

static struct worker_config usual = { .name = "worker", .work_us = 100 };
static struct worker_config bulk = { .name = "bulk_worker", .task_limit = 1000, .work_us = 1000 };

struct worker {
	const struct worker_config *config;
	int64_t task_count;
};

static int worker_init(cnode_process *self, void *state, const cnode_start *how)
{
	struct worker *w = state;
	(void)self;
	w->config = how->context;
	return cnode_scan(how->args, "[]");
}

static int worker_call(cnode_process *self, void *state, cnode_from *from, cnode_term request)
{
	const struct worker *w = state;
	(void)self;
	if (cnode_scan(request, "get_stats") == 0)
		return cnode_reply(from, "#{kind => ~a, task_count => ~q}", w->config->name, w->task_count);
	return cnode_reply(from, "{error,bad_request}");
}

/* Work delays nobody but this worker: others run on other threads meanwhile. */
static void process_task(const struct worker *w)
{
	const struct timespec work = { .tv_nsec = w->config->work_us * 1000 };
	nanosleep(&work, NULL);
}

static int worker_cast(cnode_process *self, void *state, cnode_term message)
{
	struct worker *w = state;
	cnode_term id, data;
	if (cnode_scan(message, "{process_task,~t,~t}", &id, &data) != 0)
		return 0;
	process_task(w);
	w->task_count++;
	if (w->config->task_limit != 0 && w->task_count >= w->config->task_limit)
		return cnode_stop(self, "{shutdown,task_limit}");
	return 0;
}

static const cnode_behaviour worker = {
	CNODE_BEHAVIOUR_INIT,
	.state_size = sizeof(struct worker),
	.init = worker_init,
	.handle_call = worker_call,
	.handle_cast = worker_cast,
};

/* Added before the node is started, so the first who connects finds them. */
static int start(cnode_node *node, void **state)
{
	(void)state;
	int rc = cnode_factory_add(node, usual.name, &worker, &usual, CNODE_NO_NODES);
	if (rc == 0)
		rc = cnode_factory_add(node, bulk.name, &worker, &bulk, CNODE_NO_NODES);
	return rc;
}

CNODE_MODULE("worker", start, NULL)
