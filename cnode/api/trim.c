/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory of processes that are gone, back to the system: the C library keeps what was freed,
 * in a heap for each thread, and a node that had a storm of spawns would stay as large as it
 * was then. When many processes have ended and none has for a second, a process of its own,
 * on a thread of its own, has the heaps trimmed. It is done again when threads that came
 * for the storm have left: what they kept in their caches lay on pages all over the heaps.
 */
#include "cnode/api/api.h"
#include "compat/compat.h"

#define TRIM_GONE 10000u                /* processes that have ended since the last time */
#define TRIM_QUIET CN_NS_PER_S

static int trim_init(cnode_process *self, void *state, const cnode_start *how)
{
	(void)state;
	(void)how;
	cn_memory_trim();
	(void)cnode_stop(self, "normal");
	return 0;
}

static const cnode_behaviour trim = { CNODE_BEHAVIOUR_INIT, .init = trim_init };

/* Many have ended: from now on it is looked whether more do. Lead. */
static void armed(struct cn_task *task)
{
	struct cn_trim *t = CN_CONTAINER(task, struct cn_trim, task);
	t->seen = atomic_load(&t->gone);
	cn_timer_set(&t->timer, cn_loop_now(t->node->loop) + TRIM_QUIET);
}

static void start_trim(cnode_node *node)
{
	cnode_term none;
	if (cnode_format(&none, "[]") != 0)
		return;
	cnode_pid pid;
	struct cn_gen_spec gen = { .behaviour = &trim, .args = none };
	struct cn_process_spec spec = { .label = "trim" };
	/* Without memory, or while the node ends, it is left. */
	(void)cn_gen_spawn(node->procs, &gen, &spec, &pid);
	cnode_term_drop(none);
}

static void fired(struct cn_timer *timer)
{
	struct cn_trim *t = CN_CONTAINER(timer, struct cn_trim, timer);
	uint64_t gone = atomic_load(&t->gone);
	bool shrunk = atomic_exchange(&t->shrunk, false);
	if (shrunk)
		atomic_store(&t->shrunk_at, gone);
	if (shrunk || gone - t->seen > TRIM_GONE / 100) {
		armed(&t->task);
		return;
	}
	start_trim(t->node);
	atomic_store(&t->trimmed, gone);
	atomic_store(&t->armed, false);
	/* One that left right now found it armed. */
	if (atomic_load(&t->shrunk) && !atomic_exchange(&t->armed, true))
		armed(&t->task);
}

void cn_trim_init(struct cn_trim *t, cnode_node *node)
{
	t->node = node;
	cn_task_init(&t->task, armed);
	cn_timer_init(&t->timer, node->loop, fired);
}

void cn_trim_gone(struct cn_trim *t)
{
	uint64_t gone = atomic_fetch_add_explicit(&t->gone, 1, memory_order_relaxed) + 1;
	if (CN_LIKELY(gone - atomic_load_explicit(&t->trimmed, memory_order_relaxed) < TRIM_GONE))
		return;
	if (t->node && !atomic_exchange(&t->armed, true))
		cn_wake_post(t->node->loop, &t->task);
}

void cn_trim_shrunk(struct cn_trim *t)
{
	/* Not for every thread that comes and goes: the heaps are walked. */
	if (atomic_load(&t->gone) - atomic_load(&t->shrunk_at) < TRIM_GONE)
		return;
	atomic_store(&t->shrunk, true);
	if (t->node && !atomic_exchange(&t->armed, true))
		cn_wake_post(t->node->loop, &t->task);
}
