/* SPDX-License-Identifier: Apache-2.0 */
/*
 * global: names and locks of a whole cluster, as OTP's module of that name. Three processes on
 * every node keep one table the same everywhere: global_name_server has the table and joins it
 * with that of each node that comes; the locker takes the cluster's lock while two tables become
 * one; the registrar registers and unregisters, one name after the other.
 *
 * Other nodes wait for answers of these three without any timeout, so all are CNODE_PROMPT: they
 * never block and run no code of users. A resolver of conflicting names, which is such code, runs in
 * a process of its own; and the connection of a node that does not get on with a joining is closed.
 *
 * The three live and end together, as there, where the node ends with them. Here they are started again when one of
 * them has ended, which only memory that lacks makes them do: names and locks of processes of this node stay, those of
 * others are forgotten, and the connections to all visible nodes are closed, for what these have told is lost; so the
 * tables are joined anew when the nodes meet again, and no node waits for an answer that will not come.
 *
 * Follows: lib/kernel/src/global.erl of OTP 23 to 29 (protocol versions 5 to 8), rpc.erl for resolvers.
 */
#ifndef CN_GLOBAL_H
#define CN_GLOBAL_H

#include "cnode/base/base.h"
#include "cnode/gen/gen.h"
#include "cnode/global.h"
#include "cnode/kernel/kernel.h"
#include "cnode/proc/proc.h"
#include "cnode/term/term.h"

struct cn_global;

/* What the room above does; any thread, does not block. */
struct cn_global_ops {
	/* Ends the connection to a node, if there is one. */
	void (*disconnect)(void *ctx, cnode_name node);
	/* The same for all visible nodes, whoever they are. Cannot fail. */
	void (*disconnect_all)(void *ctx);
};

struct cn_global_config {
	struct cn_procs *procs;             /* borrowed, as the next three */
	struct cn_supervisor *supervisor;   /* starts the three processes again */
	struct cn_functions *functions;     /* resolvers are exported functions */
	struct cn_log *log;
	enum cnode_overlap overlap;
	uint64_t stall_ms;                  /* 0: CN_GLOBAL_STALL_MS */
	uint32_t max_locks;                 /* holders in all; 0: CN_GLOBAL_MAX_LOCKS */
	uint32_t max_syncs;                 /* 0: CN_GLOBAL_MAX_SYNCS */
	const struct cn_global_ops *ops;
	void *ctx;
};
/* Stops a node that begins to join, or holds the cluster's lock, and does not go on: all others wait for it. */
#define CN_GLOBAL_STALL_MS 60000u
#define CN_GLOBAL_MAX_NAMES 500000u         /* stops a peer that registers without end: each name is a monitor */
#define CN_GLOBAL_MAX_LOCKS 200000u         /* stops a peer that locks without end: each holder is a monitor; more are refused (false) */
/* {sync, Nodes} calls that wait: stops a peer that asks without end for a node that never joins; each is a monitor. */
#define CN_GLOBAL_MAX_SYNCS 10000u
#define CN_GLOBAL_MAX_NODES 10000u          /* stops a peer that tells of nodes without end: each is dialled */

/* *global is yours. 0, CNODE_ENOMEM. */
int cn_global_new(const struct cn_global_config *config, struct cn_global **global);
/* Behind the end of all processes. Takes NULL. */
void cn_global_free(struct cn_global *global);
/* Starts the three processes and exports global:resolve_it/4. Before the node is known to anybody. 0, CNODE_ENOMEM, CNODE_ENAMETAKEN. */
int cn_global_start(struct cn_global *global);
/* This node is about to leave: from now on it accuses nobody of having lost a connection. Any thread. */
void cn_global_leave(struct cn_global *global);

/*
 * Looks whether the name server of this node gets on; called every few seconds. True: it has not for the time that others
 * are given too, and the connections to all visible nodes are closed, which wait for it. Lead.
 */
bool cn_global_stalls(struct cn_global *global, uint64_t now);
/* Of cnode_global_look. Any thread. */
int cn_global_look(struct cn_global *global, cnode_global_info *info);

/* Of the public functions of similar names (cnode/global.h). Any thread. */
int cn_global_whereis(struct cn_global *global, cnode_term name, cnode_pid *pid);
int cn_global_names(struct cn_global *global, int (*each)(void *context, cnode_term name, cnode_pid pid), void *context);
int cn_global_locks(struct cn_global *global, int (*each)(void *context, cnode_term resource, cnode_term requester, cnode_pid holder),
		    void *context);
/*
 * True if an exit signal from another node is what the default method does to the process that loses its
 * name: `kill`, and it has a name with that method. As cn_procs_ops.may_exit.
 */
bool cn_global_may_exit(struct cn_global *global, cnode_pid pid, cnode_term reason);
/* The process that answers {register, Name, Pid, Method} and the like with yes, no or ok. */
cnode_pid cn_global_registrar(struct cn_global *global);
/* The fun of a method's text ("module:function"; NULL: the default). *method is yours. CNODE_EBADARG, CNODE_ENOMEM. */
int cn_global_method(const char *text, cnode_term *method);

/* Told once how it ended: 0 (yes), CNODE_ENAMETAKEN (no), CNODE_ESHUTDOWN (also when the registrar ended in the midst of it). Called inside of a prompt process: does not block. */
typedef void cn_global_done_fn(void *ctx, int code);
/*
 * global:register_name/2 from any thread that holds no lock of proc. `name` is kept. 0: `done` will be
 * called, perhaps before this returns; CNODE_ENOMEM, CNODE_ESHUTDOWN: it will not.
 */
int cn_global_register(struct cn_global *global, cnode_term name, cnode_pid pid, cn_global_done_fn *done, void *ctx);

/* The visible nodes that are connected: *nodes is yours (cn_free). 0, CNODE_ENOMEM. */
int cn_global_nodes(struct cn_global *global, cnode_name **nodes, size_t *count);
/* False if another requester has the lock on this node: asking the others would be in vain. */
bool cn_global_can_lock(struct cn_global *global, cnode_term resource, cnode_term requester);
/* How long to wait before asking for a lock again, in ms: global.erl's random_sleep/1. */
uint64_t cn_global_pause(unsigned times);
/*
 * set_lock/3 and trans/4 of a behaviour's process: `done` as cnode_global_set_lock_async says. For trans
 * the lock is deleted when done returns. nodes NULL: all.
 */
int cn_global_set_lock(struct cn_global *global, cnode_process *self, cnode_term resource, cnode_term requester,
		       const cnode_name *nodes, size_t count, int retries, bool trans, cnode_done_fn *done, void *context);
int cn_global_del_lock(struct cn_global *global, cnode_process *self, cnode_term resource, cnode_term requester,
		       const cnode_name *nodes, size_t count, cnode_done_fn *done, void *context);

#endif
