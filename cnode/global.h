/* SPDX-License-Identifier: Apache-2.0 */
/*
 * global: names for processes that are the same on every node of the cluster, and locks that
 * only one can have in all of it. A visible node is an equal member: BEAM nodes find its processes by
 * global:whereis_name/1, register their own, and hold locks with it.
 *
 *     cnode_format(&name, "{room,~q}", number);
 *     cnode_global_register(mailbox, name, pid, NULL, CNODE_INFINITY);
 *
 * A name, the resource of a lock and its requester are any terms; they are borrowed, and equal as by =:=.
 * A process has one name (only cnode_global_re_register gives it more), and loses it when it ends or its
 * node goes; a lock goes with the process that holds it, too.
 *
 * Two nodes that were apart may have the same name for two processes. When they meet, the name's method
 * decides who keeps it: one of OTP's three, or "module:function", which is called with the name and both
 * pids, and returns one of them or `none`. Of a process of this node that is an exported function
 * (cnode/function.h) of arity 3; who asks for a conflict to be resolved may have it run whatever list it
 * has. It runs in a process of its own, and until it returns no node of the cluster registers a name.
 *
 * Functions that end in _async are for callbacks: they return at once, and `done` (may be NULL) is called
 * as by cnode_call_async, with status 0 and the term said. Those with a mailbox wait, as in
 * cnode/mailbox.h: CNODE_ETIMEOUT and the sentence in cnode_mailbox_error. What was asked for may still
 * happen after a timeout. All: CNODE_ENOMEM.
 *
 * A hidden node has no part in this. Its cnode_global_register goes through the first node that is
 * connected (register_name_external), which the name is lost with; its table has no names of others: ask a
 * visible node, by cnode_rpc of global:whereis_name. Since 0.2.
 * Follows: global (kernel) of OTP 23 to 29, its protocol in versions 5 to 8.
 */
#ifndef CNODE_GLOBAL_H
#define CNODE_GLOBAL_H

#include "cnode/server.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cnode_mailbox cnode_mailbox;

/* Methods. NULL is CNODE_GLOBAL_EXIT, as in OTP. "Greater" is the name of the process's node. */
#define CNODE_GLOBAL_EXIT "global:random_exit_name"         /* the process with the greater one is killed: with such a name it can be,
								   whatever the lists for exit signals say (cnode/access.h) */
#define CNODE_GLOBAL_NOTIFY "global:random_notify_name"     /* it gets {global_name_conflict, Name} and loses the name */
#define CNODE_GLOBAL_NOTIFY_ALL "global:notify_all_name"    /* both get {global_name_conflict, Name, OtherPid}, and nobody has the name */

/* ---- names ---- */

/*
 * global:register_name/3, of a process here or elsewhere. 0; CNODE_ENAMETAKEN: the name belongs to
 * another process, or pid has a name already. CNODE_EBADARG: the method is not "module:function".
 */
CNODE_API int cnode_global_register(cnode_mailbox *mailbox, cnode_term name, cnode_pid pid, const char *method,
				    uint64_t timeout_ms);
/* done gets yes or no. */
CNODE_API int cnode_global_register_async(cnode_process *self, cnode_term name, cnode_pid pid, const char *method,
					  cnode_done_fn *done, void *context);
/* global:re_register_name/3: whoever had the name loses it. Not on hidden nodes: CNODE_ENOTSUP. */
CNODE_API int cnode_global_re_register(cnode_mailbox *mailbox, cnode_term name, cnode_pid pid, const char *method,
				       uint64_t timeout_ms);
/* done gets yes. */
CNODE_API int cnode_global_re_register_async(cnode_process *self, cnode_term name, cnode_pid pid, const char *method,
					     cnode_done_fn *done, void *context);
/* global:unregister_name/1, by whoever asks. A name that is not registered is no error. */
CNODE_API int cnode_global_unregister(cnode_mailbox *mailbox, cnode_term name, uint64_t timeout_ms);
/* done gets ok. */
CNODE_API int cnode_global_unregister_async(cnode_process *self, cnode_term name, cnode_done_fn *done, void *context);

/* global:whereis_name/1: from this node's own table, without asking anybody. CNODE_ENOENT. Any thread. */
CNODE_API int cnode_global_whereis(cnode_node *node, cnode_term name, cnode_pid *pid);
/* global:send/2. CNODE_ENOENT: the name is not registered, and nothing was sent. */
CNODE_API int cnode_global_send(cnode_process *self, cnode_term name, const char *format, ...);
/*
 * global:registered_names/0: calls `each` with every name and its process; the term is borrowed for the
 * call. Stops when each returns another than 0, and returns that. Any thread.
 */
CNODE_API int cnode_global_names(cnode_node *node, int (*each)(void *context, cnode_term name, cnode_pid pid), void *context);
/*
 * Waits until the tables of all visible nodes that are connected now are one (global:sync/0). CNODE_ELIMIT: 10,000 calls wait for
 * nodes that do not join, and this one was the oldest.
 */
CNODE_API int cnode_global_sync(cnode_mailbox *mailbox, uint64_t timeout_ms);
/* done gets ok; {error, system_limit} where the function above has CNODE_ELIMIT. */
CNODE_API int cnode_global_sync_async(cnode_process *self, cnode_done_fn *done, void *context);
/*
 * global:disconnect/0: leaves the cluster, all visible nodes at once: leaving one only looks to the others
 * like a fault of the network. Peers of cnode_connect are connected again after a while.
 */
CNODE_API int cnode_global_disconnect(cnode_mailbox *mailbox, uint64_t timeout_ms);
/* done gets the list of the nodes that are left. */
CNODE_API int cnode_global_disconnect_async(cnode_process *self, cnode_done_fn *done, void *context);

/* ---- locks ---- */

#define CNODE_FOREVER (-1)      /* retries */

/*
 * global:set_lock/3 for {resource, requester}: self holds it then on all of `nodes` (node names, the last
 * is NULL; nodes NULL: this one and all visible ones that are connected). Who asks with the same
 * requester gets it too. When another has it, tries again `retries` times (CNODE_FOREVER), at random
 * intervals that grow up to 8 s. done gets true or false. CNODE_EBADNAME.
 */
CNODE_API int cnode_global_set_lock_async(cnode_process *self, cnode_term resource, cnode_term requester,
					  const char *const *nodes, int retries, cnode_done_fn *done, void *context);
/* 0; CNODE_EBUSY: not granted. Also when the time is over: nothing is held then. */
CNODE_API int cnode_global_set_lock(cnode_mailbox *mailbox, cnode_term resource, cnode_term requester,
				    const char *const *nodes, int retries, uint64_t timeout_ms);
/* global:del_lock/2. done gets true. */
CNODE_API int cnode_global_del_lock_async(cnode_process *self, cnode_term resource, cnode_term requester,
					  const char *const *nodes, cnode_done_fn *done, void *context);
CNODE_API int cnode_global_del_lock(cnode_mailbox *mailbox, cnode_term resource, cnode_term requester,
				    const char *const *nodes, uint64_t timeout_ms);
/*
 * global:trans/4: `done` is called with true while the lock is held, which is deleted when it returns; with
 * false if it was not granted.
 */
CNODE_API int cnode_global_trans_async(cnode_process *self, cnode_term resource, cnode_term requester,
				       const char *const *nodes, int retries, cnode_done_fn *done, void *context);
/* Calls run with the lock held, by the calling thread, and returns what it returns. CNODE_EBUSY: not granted (`aborted`). */
CNODE_API int cnode_global_trans(cnode_mailbox *mailbox, cnode_term resource, cnode_term requester,
				 const char *const *nodes, int retries, uint64_t timeout_ms,
				 int (*run)(void *context), void *context);
/* Calls `each` for each lock that is held on this node, and each of its holders. As cnode_global_names. Any thread. */
CNODE_API int cnode_global_locks(cnode_node *node,
				 int (*each)(void *context, cnode_term resource, cnode_term requester, cnode_pid holder),
				 void *context);

/* ---- looking in ---- */

typedef struct cnode_global_info {
	size_t size;                    /* of this struct; set it before the call: the library fills no more */
	uint64_t nodes;                 /* whose table is one with this node's, without this one */
	uint64_t names;                 /* in that table */
	uint64_t locks;                 /* that are held on this node */
	uint64_t stalled;               /* connections that were closed because a node let the others wait (global_timeout) */
	uint64_t restarts;              /* times that the services of global have ended and were started again */
} cnode_global_info;

/* What global has now, and has counted since the node was made. 0, CNODE_EBADARG. Any thread. Since 0.2. */
CNODE_API int cnode_global_look(cnode_node *node, cnode_global_info *info);

/* ---- how a node behaves when others lose each other (cnode_config) ---- */

/*
 * prevent_overlapping_partitions: where two nodes have lost their connection, the others let go of one of
 * them, so that all that are connected see the same.
 */
enum cnode_overlap {
	CNODE_OVERLAP_OBEY = 0,         /* does as the others say, and passes it on; of losses of its own it tells where the other
					   end is of this library too: a BEAM node tells itself, and only this node is let go of */
	CNODE_OVERLAP_REPORT,           /* as a BEAM node: tells of its own losses too */
	CNODE_OVERLAP_IGNORE,           /* as a BEAM node with prevent_overlapping_partitions false */
};

#ifdef __cplusplus
}
#endif
#endif
