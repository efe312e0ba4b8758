/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Anything that nodes may say to a scope's server and to a worker of PubSub: both live, what a server says of others' processes
 * is not believed, and when the nodes are gone no member of theirs is left.
 */
#include "cnode/pg/pg.h"
#include "tests/fuzz/fuzz_input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int peers(void *ctx, int (*each)(void *context, const char *name, bool visible), void *context)
{
	(void)ctx; (void)each; (void)context;
	return 0;
}

static struct cn_pg *pg;
static int only_ours(void *context, cnode_term group)
{
	cnode_pid pids[64];
	size_t count;
	(void)context;
	if (cn_pg_members(pg, "sc", false, group, pids, 64, &count) != 0)
		abort();
	for (size_t i = 0; i < count && i < 64; i++)
		if (pids[i].node != W.own)
			abort();
	return 0;
}

static cnode_pid worker;
static void message(const struct event *e)
{
	bool third = e->what == EVENT_THIRD;
	event_message(third ? worker : (cnode_pid){ 0 }, third ? NULL : "sc", e->message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct cn_pg_ops ops = { .peers = peers };
	struct cn_supervisor *supervisor;
	cnode_pid server, now;
	cnode_term group;
	if (world_open(NULL) != 0)
		abort();
	const struct cn_supervisor_config supervision = { .procs = W.procs };
	if (cn_supervisor_new(&supervision, &supervisor) != 0 || cn_pg_new(W.procs, supervisor, NULL, &ops, NULL, &pg) != 0 ||
	    cn_pg_start(pg, "sc", 0) != 0 || cn_pubsub_start(pg, "P", 1, 0) != 0 || cnode_format(&group, "g1") != 0)
		abort();
	struct cnode_process *member = hand(NULL);
	cnode_pid self = cnode_self(member);
	if (cn_pg_join(pg, "sc", &self, 1, group) != 0 || cn_pubsub_subscribe(pg, member, "P", "room:1") != 0)
		abort();
	if (cn_procs_whereis(W.procs, "sc", &server) != 0 || cn_procs_whereis(W.procs, "Elixir.P.Adapter", &worker) != 0)
		abort();
	events_play(data, size, supervisor, 2, message);
	events_end();
	while (cn_sched_run(W.procs, false, 0))
		continue;
	if (cn_procs_whereis(W.procs, "sc", &now) != 0 || !cnode_pid_equal(now, server) ||
	    cn_procs_whereis(W.procs, "Elixir.P.Adapter", &now) != 0 || !cnode_pid_equal(now, worker))
		abort();
	if (cn_pg_groups(pg, "sc", false, only_ours, NULL) != 0)
		abort();
	cnode_term_drop(group);
	hand_exit(member, "normal");
	world_close();
	cn_pg_free(pg);
	cn_supervisor_free(supervisor);
	return 0;
}
