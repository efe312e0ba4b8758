/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg: distributed process groups. One scope is a table that any thread reads, and a server, an
 * ordinary prompt behaviour registered under the scope's name, that speaks with the servers of the
 * same name on other nodes.
 *
 * A join or leave of this node changes the table in the calling thread and leaves a note for the
 * server, which tells the others in the same order. The table's mutex is held for the change only;
 * no code of programs runs under it, and what is called with it held (delivery to a mailbox of this
 * node) never calls back.
 *
 * A server that has ended is started again (pg's is in kernel_safe_sup). Processes of this node stay members, unlike
 * there: nobody tells them to join again. What other nodes have told is forgotten, and they are asked anew.
 *
 * Follows: lib/kernel/src/pg.erl, OTP 23 to 27; data_publisher.erl of OTP 29, which speaks the
 * older protocol with whoever discovers it by {discover, Pid}.
 */
#ifndef CN_PG_H
#define CN_PG_H

#include "cnode/base/base.h"
#include "cnode/gen/gen.h"
#include "cnode/pg.h"
#include "cnode/pubsub.h"
#include "cnode/proc/proc.h"
#include "cnode/term/term.h"

/* The scopes of one node. */
struct cn_pg;

/* Named limits, and what they stop. A peer over one is not listened to any more, with one line in the log. */
#define CN_PG_MEMBERS 1000000u      /* memberships that one scope of a peer announces: memory */
#define CN_PG_SERVERS 8u            /* scope servers of one node: a peer that announces pids without end */
#define CN_PG_SYNCS 16u             /* full answers to one peer per second; more are put together: amplification */
#define CN_PG_RETRY_MS 1000u        /* after which that happens, and what memory lacked for is tried again */

struct cn_pg_ops {
	/* Calls `each` with every connected peer; stops when it returns another than 0, and returns that. */
	int (*peers)(void *ctx, int (*each)(void *context, const char *name, bool visible), void *context);
};

/* procs, supervisor, log (may be NULL), ops and ctx are borrowed. *pg is yours. 0, CNODE_ENOMEM. */
int cn_pg_new(struct cn_procs *procs, struct cn_supervisor *supervisor, struct cn_log *log, const struct cn_pg_ops *ops, void *ctx, struct cn_pg **pg);
/* Behind the end of all processes. Takes NULL. */
void cn_pg_free(struct cn_pg *pg);

/* As the public functions of similar names; scope NULL is "pg". Any thread. */
int cn_pg_start(struct cn_pg *pg, const char *scope, unsigned flags);
int cn_pg_stop(struct cn_pg *pg, const char *scope);
int cn_pg_join(struct cn_pg *pg, const char *scope, const cnode_pid *pids, size_t count, cnode_term group);
int cn_pg_leave(struct cn_pg *pg, const char *scope, const cnode_pid *pids, size_t count, cnode_term group);
int cn_pg_members(struct cn_pg *pg, const char *scope, bool local, cnode_term group, cnode_pid *pids, size_t room,
		  size_t *count);
int cn_pg_groups(struct cn_pg *pg, const char *scope, bool local, int (*each)(void *context, cnode_term group),
		 void *context);
/* group none: all of them. now may be NULL. */
int cn_pg_monitor(struct cn_pg *pg, cnode_process *self, const char *scope, cnode_term group, cnode_ref *ref, cnode_term *now);
int cn_pg_demonitor(struct cn_pg *pg, cnode_process *self, const char *scope, cnode_ref ref);

/* As the public functions of similar names (cnode/pubsub.h). */
int cn_pubsub_start(struct cn_pg *pg, const char *name, unsigned pool_size, unsigned flags);
int cn_pubsub_stop(struct cn_pg *pg, const char *name);
int cn_pubsub_subscribe(struct cn_pg *pg, cnode_process *self, const char *name, const char *topic);
int cn_pubsub_unsubscribe(struct cn_pg *pg, cnode_process *self, const char *name, const char *topic);
int cn_pubsub_broadcast(struct cn_pg *pg, cnode_process *self, const char *name, unsigned flags, const char *topic,
			cnode_term message);
/* node NULL: this one. */
int cn_pubsub_direct(struct cn_pg *pg, cnode_process *self, const char *name, const char *node, const char *topic,
		     cnode_term message);

#endif
