/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api: the node as programs see it. Puts the rooms together: the loop, the processes, the
 * peers, the kernel services and the threads; fills the ops structs that lower rooms
 * declare; and has the mailboxes of threads that are not ours.
 */
#ifndef CN_API_H
#define CN_API_H

#include "cnode/api/pool.h"
#include "cnode/base/base.h"
#include "cnode/cnode.h"
#include "cnode/kernel/kernel.h"
#include "cnode/loop/loop.h"
#include "cnode/node/node.h"
#include "cnode/proc/proc.h"
#include "cnode/spawn/spawn.h"

enum cn_life {
	CN_LIFE_NEW,                /* made, not started */
	CN_LIFE_STARTING,           /* waits to hear from epmd */
	CN_LIFE_RUNNING,
	CN_LIFE_STOPPING,           /* processes are asked to end */
	CN_LIFE_LEAVING,            /* connections are closed */
	CN_LIFE_DOWN,
};

#define CN_ERROR_TEXT 512

struct cnode_node {
	char *name;                 /* complete; "nonode@nohost" without network */
	bool networked;
	uint32_t creation;
	int threads, max_threads;
	uint64_t shutdown_ns;
	char cookie[256];
	struct cn_log *log;
	struct cn_loop *loop;
	struct cn_procs *procs;
	struct cn_factories *factories;
	struct cn_kernel *kernel;
	struct cn_net *net;         /* NULL without network */
	struct cn_net_config net_config;
	char *listen;
	struct cn_pool *pool;
	_Atomic bool stop;          /* asked to stop */
	struct cn_task stop_task;
	uint64_t deadline;          /* of the present stage of stopping */
	bool left_behind;           /* processes did not end in time */

	struct cn_mutex lock;       /* guards what follows */
	struct cn_cond changed;     /* life changed */
	enum cn_life life;
	int start_code;             /* how starting ended */
	int done_fd;                /* readable once it is down: cnode_node_run polls it */
	char error[CN_ERROR_TEXT];
};

/* Keeps a sentence for cnode_node_error; returns code. */
int cn_api_fail(cnode_node *node, int code, const char *fmt, ...) CN_PRINTF(3, 4);

#endif
