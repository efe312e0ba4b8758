/* SPDX-License-Identifier: Apache-2.0 */
/* Anything that nodes may say to global's processes: they live, and when the nodes are gone no lock of theirs is left. */
#include "cnode/global/inner.h"
#include "tests/fuzz/fuzz_input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* As in a node: what others have asked of it ends. */
static cnode_name cut[64];
static size_t cuts;
static void on_disconnect(void *ctx, cnode_name node)
{
	(void)ctx;
	if (cuts < CN_ARRAY_SIZE(cut))
		cut[cuts++] = node;
}
static void run_cuts(void)
{
	while (cuts > 0)
		while (!cn_procs_nodedown(W.procs, cut[--cuts], atomic_load(&W.epoch), "noconnection", 1000))
			cuts++;
}
static void on_disconnect_all(void *ctx)
{
	(void)ctx;
	abort();                        /* one of the processes has ended */
}
static int lock(void *context, cnode_term resource, cnode_term requester, cnode_pid holder)
{
	(void)context; (void)resource; (void)requester; (void)holder;
	abort();
}

static struct cn_global *g;
static void message(const struct event *e)
{
	bool locker = e->what == EVENT_OTHER;
	event_message(locker ? g->locker : (cnode_pid){ 0 }, locker ? NULL : SERVER, e->message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct cn_global_ops ops = { .disconnect = on_disconnect, .disconnect_all = on_disconnect_all };
	struct cn_supervisor *supervisor;
	struct cn_functions *functions;
	cnode_name px;
	if (world_open(NULL) != 0 || cnode_name_of("px@vm", &px) != 0)
		abort();
	cn_procs_rename(W.procs, px, 0x91414fbe);
	W.own = px;
	const struct cn_supervisor_config supervision = { .procs = W.procs };
	if (cn_supervisor_new(&supervision, &supervisor) != 0 || cn_functions_new(NULL, &functions) != 0)
		abort();
	struct cn_global_config config = { .procs = W.procs, .supervisor = supervisor, .functions = functions, .ops = &ops };
	if (cn_global_new(&config, &g) != 0)
		abort();
	g->first_tag = INT64_C(-576460752303423488);    /* so that the first session has the tag of the recorded frames */
	if (cn_global_start(g) != 0)
		abort();
	events_play(data, size, supervisor, 61, message);
	/* They go; and what is asked of nodes that the messages made up, which no connection ends, has its time. */
	for (int round = 0; round < 6; round++) {
		events_end();
		cn_sched_expire(W.procs, cn_now() + 61 * CN_NS_PER_S, 1000);
		while (cn_sched_run(W.procs, false, 0))
			continue;
		run_cuts();
	}
	while (cn_sched_run(W.procs, false, 0))
		continue;
	if (g->incarnation != 1)
		abort();
	if (cn_global_locks(g, lock, NULL) != 0)
		abort();
	world_close();
	cn_global_free(g);
	cn_supervisor_free(supervisor);
	cn_functions_free(functions);
	return 0;
}
