/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pools: workers on several nodes, C nodes or BEAM nodes, under one process here. It starts
 * them where its placement says, starts another one for each that ends or is lost with its
 * node, and tells who is to be asked next.
 *
 * The pool is a gen_server under the name it was given. It answers
 *
 *     next             {ok, Pid} | {error, no_workers}      the worker for the next task
 *     workers          [Pid]
 *     nodes            [#{node, up, processes, workers}]    processes: as published, or undefined
 *     stats            #{size, workers, started, lost, failed, given}
 *     {resize, N}      ok
 *
 * so cnode_call_name(mailbox, "pool", NULL, …, "next"), or gen_server:call({pool, Node}, next). Since 0.2.
 */
#ifndef CNODE_POOL_H
#define CNODE_POOL_H

#include "cnode/spawn.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The registered process of each C node that tells how many processes it has. */
#define CNODE_SERVICE "cnode"

/* Where a worker is started, and whom `next` names; only nodes that are up, and for `next` that have workers. */
enum cnode_placement {
	CNODE_PLACE_ROUND_ROBIN = 0,
	/*
	 * The node with the fewest processes, and of equals the one with the fewest workers. C nodes
	 * publish how many they have, BEAM nodes are asked by erpc; one that does neither comes last.
	 */
	CNODE_PLACE_LEAST_LOADED,
	CNODE_PLACE_LOCAL_FIRST,        /* this node, and only without it the others in turn */
	CNODE_PLACE_RANDOM,
	CNODE_PLACE_NODE,               /* the first node of the list; the others stand in for it */
	CNODE_PLACE_BY,                 /* `choose` */
};

/* A node as `choose` sees it. */
typedef struct cnode_pool_node {
	size_t size;
	const char *name;
	bool local;
	uint64_t processes;             /* CNODE_INFINITY: unknown */
	uint32_t workers;               /* of this pool */
} cnode_pool_node;
/* The index of one of `count` (1 or more) nodes, borrowed for the call; what is none is taken as 0. Does not block. */
typedef size_t cnode_choose_fn(void *context, const cnode_pool_node *const *nodes, size_t count);

/* Set with CNODE_POOL_INIT. All is copied but `context`. */
typedef struct cnode_pool_options {
	size_t size;
	const char *factory;            /* or a BEAM module with a function start that is the process */
	cnode_term args;                /* a list; zeroed: [] */
	const char *nodes;              /* "a@h,b@h"; NULL: this node alone */
	uint32_t workers;               /* 1 to 10,000 */
	enum cnode_placement placement;
	cnode_choose_fn *choose;
	void *context;
	uint64_t spawn_timeout_ms;      /* 0: 5,000 */
	uint64_t retry_ms;              /* how long a node that failed is left alone; 0: 1,000 */
	uint64_t refresh_ms;            /* CNODE_PLACE_LEAST_LOADED: how often processes are counted; 0: 1,000 */
} cnode_pool_options;
#define CNODE_POOL_INIT { .size = sizeof(cnode_pool_options) }

/*
 * Starts a pool under a name; workers follow as their nodes can be reached. It ends with
 * cnode_stop, or exit/2, and its workers with it (shutdown). Returns at once. CNODE_EBADARG (options),
 * CNODE_EBADNAME (name, nodes), CNODE_ENAMETAKEN, CNODE_ENOMEM. Any thread.
 */
CNODE_API int cnode_pool_start(cnode_node *node, const char *name, const cnode_pool_options *options, cnode_pid *pid);

#ifdef __cplusplus
}
#endif
#endif
