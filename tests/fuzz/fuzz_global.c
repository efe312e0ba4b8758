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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct cn_global_ops ops = { .disconnect = on_disconnect, .disconnect_all = on_disconnect_all };
	static const char *const nodes[] = { "r1@vm", "r2@vm", "o27@vm", "o29@vm" };
	struct cn_supervisor *supervisor;
	struct cn_functions *functions;
	struct cn_global *g;
	struct event e;
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
	do {
		while (cn_sched_run(W.procs, false, 0))
			continue;
		cn_supervisor_run(supervisor, cn_now());
		if (!event_next(&data, &size, &e))
			break;
		if (e.what == EVENT_UP || e.what == EVENT_DOWN)
			event_node(e.what == EVENT_UP);
		else if (e.what == EVENT_TIME)
			cn_sched_expire(W.procs, cn_now() + 61 * CN_NS_PER_S, 1000);
		else if (e.message.size_ > 0)
			event_message(e.what == EVENT_OTHER ? g->locker : (cnode_pid){ 0 }, e.what == EVENT_OTHER ? NULL : SERVER, e.message);
		cnode_term_drop(e.message);
	} while (true);
	/* They go; and what is asked of nodes that the messages made up, which no connection ends, has its time. */
	for (int round = 0; round < 6; round++) {
		for (int i = 0; i < 4; i++) {
			if (cnode_name_of(nodes[i], &W.peer) != 0)
				abort();
			event_node(false);
		}
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
