/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg: distributed named groups of processes, as in OTP's module pg. A scope is one network of
 * groups; a node takes part in a scope when it has started it. Every node of a scope knows the
 * members of all groups on all nodes that it is connected with. A process joins through its own
 * node, as often as it likes, and leaves by itself, by its end, or with its node.
 *
 * A group's name is any term. Scopes are names of at most 255 characters; NULL is "pg", the
 * default one of OTP. The scope server is registered under the scope's name.
 *
 *     cnode_pg_start(node, "chat", 0);
 *     cnode_pg_join(node, "chat", cnode_self(self), "{room,~q}", (int64_t)7);
 *     cnode_pg_members(node, "chat", pids, 100, &count, "{room,~q}", (int64_t)7);
 *
 * What is read is this node's own table: nothing is asked, no process is waited for. A join or
 * leave of this node is in the table when the call returns, and on its way to the others. All
 * functions but those with a cnode_process may be called from any thread, also in callbacks.
 *
 * All return 0 or a negative code. Besides those named: CNODE_ENOENT (the scope is not started on
 * this node), CNODE_ENOMEM, and for those with a format CNODE_EFORMAT and CNODE_EBADTERM. Since 0.2.
 * Follows: pg(3); lib/kernel/src/pg.erl of OTP 23 to 27 and data_publisher.erl of OTP 29.
 */
#ifndef CNODE_PG_H
#define CNODE_PG_H

#include "cnode/process.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Takes part with hidden nodes too (as a hidden node has no other way): BEAM nodes do if they are asked.
 * Without it only visible connections count, as in OTP.
 */
#define CNODE_PG_HIDDEN 1u
/* This node's processes only: no other node is asked or told. The server has no registered name. */
#define CNODE_PG_LOCAL 2u

/* pg:start/1. CNODE_EEXIST (it is started), CNODE_ENAMETAKEN, CNODE_EBADNAME, CNODE_ESYSLIMIT, CNODE_ESHUTDOWN. */
CNODE_API int cnode_pg_start(cnode_node *node, const char *scope, unsigned flags);
/* Ends the scope on this node: its members leave for all others. */
CNODE_API int cnode_pg_stop(cnode_node *node, const char *scope);

/*
 * pg:join/3, the group by format. The process is one of this node, or CNODE_EBADARG; CNODE_ENOPROC: it has ended.
 */
CNODE_API int cnode_pg_join(cnode_node *node, const char *scope, cnode_pid pid, const char *format, ...);
/* pg:leave/3: undoes one join. CNODE_ENOTJOINED: none of the processes is a member (not_joined). */
CNODE_API int cnode_pg_leave(cnode_node *node, const char *scope, cnode_pid pid, const char *format, ...);
/* The same for several processes at once, which others see as one change; a process may be there more than once. */
CNODE_API int cnode_pg_join_all(cnode_node *node, const char *scope, const cnode_pid *pids, size_t count, cnode_term group);
CNODE_API int cnode_pg_leave_all(cnode_node *node, const char *scope, const cnode_pid *pids, size_t count, cnode_term group);

/*
 * pg:get_members/2: writes at most `room` of the group's members to `pids` (NULL with room 0), in no order, and
 * to *count how many there are. A process that joined twice is there twice. No group is an empty one.
 */
CNODE_API int cnode_pg_members(cnode_node *node, const char *scope, cnode_pid *pids, size_t room, size_t *count,
			       const char *format, ...);
/* pg:get_local_members/2: those of this node. */
CNODE_API int cnode_pg_local_members(cnode_node *node, const char *scope, cnode_pid *pids, size_t room, size_t *count,
				     const char *format, ...);

/* pg:which_groups/1: calls `each` with every group that has members; stops when it returns another than 0, and returns that. */
CNODE_API int cnode_pg_groups(cnode_node *node, const char *scope, int (*each)(void *context, cnode_term group),
			      void *context);
/* pg:which_local_groups/1. */
CNODE_API int cnode_pg_local_groups(cnode_node *node, const char *scope, int (*each)(void *context, cnode_term group),
				    void *context);

/*
 * pg:monitor/2: from now on self gets a message {Ref, join, Group, Pids} or {Ref, leave, Group, Pids} for each
 * change of the group; *members (NULL: not wanted) is the list of its members before the first of them, yours
 * (cnode_term_drop). Ends with self, with the scope, or with cnode_pg_demonitor.
 */
CNODE_API int cnode_pg_monitor(cnode_process *self, const char *scope, cnode_ref *ref, cnode_term *members,
			       const char *format, ...);
/* pg:monitor_scope/1: the same of all groups; *groups is a map of groups to lists of members. */
CNODE_API int cnode_pg_monitor_scope(cnode_process *self, const char *scope, cnode_ref *ref, cnode_term *groups);
/* pg:demonitor/2: none of its messages comes any more, those in the mailbox are taken out. CNODE_ENOENT. */
CNODE_API int cnode_pg_demonitor(cnode_process *self, const char *scope, cnode_ref ref);

#ifdef __cplusplus
}
#endif
#endif
