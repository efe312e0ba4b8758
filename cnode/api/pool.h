/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The threads of a node: leader and followers.
 *
 * The lead is a token. Its holder alone polls the loop, and delivers everything it read
 * before it gives the token up. User code never runs under it: the holder releases it and
 * wakes a follower, or lends it while what it is about to run is forecast to be short.
 * A lent lead that does not come back within one or two naps of the watcher (a follower
 * that sleeps 2 ms at a time while there is traffic) is taken by it.
 * Who stops watching to run a process has another watch in its place, while the lead is lent.
 *
 * The last thread that is not in user code keeps the lead whatever waits: ticks and
 * kernel services go on. When a process has waited for 10 ms and no follower is left, a
 * thread is added, up to max_threads; threads beyond the first ones leave when idle.
 */
#ifndef CN_API_POOL_H
#define CN_API_POOL_H

#include "cnode/base/base.h"
#include "cnode/conn/conn.h"
#include "cnode/loop/loop.h"
#include "cnode/proc/proc.h"

struct cn_pool;

struct cn_pool_config {
	struct cn_loop *loop;
	struct cn_procs *procs;
	struct cn_net *net;         /* what runs send through it is corked */
	struct cn_log *log;
	int threads;                /* to begin with; at least 2 */
	int max_threads;
	int processors;
	uint64_t busy_wait;         /* ns that whoever leads may look for what comes before it sleeps (cn_loop_spin) */
	/* Called by the holder of the lead after each round of the loop; true: the pool ends. */
	bool (*turn)(void *ctx);
	/* The last thread beyond the first ones leaves; by that thread. NULL: nobody wants to know. */
	void (*shrunk)(void *ctx);
	void *ctx;
};

/* Makes the pool; no thread is started. 0, CNODE_ENOMEM. */
int cn_pool_new(const struct cn_pool_config *config, struct cn_pool **pool);
/* Starts the threads. 0, CNODE_ESYSLIMIT, CNODE_ENOMEM (then none runs). */
int cn_pool_start(struct cn_pool *pool);
/* Waits until `turn` has ended the pool; threads may still be in user code. Not by a thread of the pool. */
void cn_pool_wait(struct cn_pool *pool);
/* Behind cn_pool_wait: until those threads are gone that are not in user code. Not by a thread of the pool. */
void cn_pool_join_free(struct cn_pool *pool);
/* Until `turn` has ended the pool and all its threads are gone. Not by a thread of the pool. */
void cn_pool_join(struct cn_pool *pool);
/* Behind cn_pool_join, or if it was never started. Takes NULL. */
void cn_pool_free(struct cn_pool *pool);

/* Something can be run (cn_procs_ops.runnable). Any thread. */
void cn_pool_runnable(struct cn_pool *pool, bool prompt, enum cn_call how);
/* The earliest timer moved (cn_procs_ops.due). Any thread. */
void cn_pool_due(struct cn_pool *pool);

/* One round without threads of its own: never waits. False: `turn` has ended the pool. */
bool cn_pool_step(struct cn_pool *pool);

#endif
