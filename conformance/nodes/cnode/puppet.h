/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the module puppet share. */
#ifndef CONFORMANCE_PUPPET_H
#define CONFORMANCE_PUPPET_H

#include <stdlib.h>

#include <cnode/cnode.h>

/* An order that is being obeyed. */
struct order {
	cnode_process *self;
	struct puppet *puppet;
	cnode_pid from;
	cnode_ref ref;
	cnode_term args;
};
/* Answers it: {ref, Result}, the result by format. 0 or a code. */
int answer(const struct order *o, const char *format, ...);
/* For what is just `result`, an atom, when it is done (rc 0). */
int done(const struct order *o, int rc, const char *result);

/* groups.c: nodes that come and go, process groups. */
typedef int order_fn(const struct order *o);
order_fn order_monitor_nodes, order_pg_start, order_pg_stop, order_pg_join, order_pg_leave, order_pg_members,
	order_pg_local_members, order_pg_groups, order_pg_local_groups, order_pg_monitor, order_pg_monitor_scope,
	order_pg_demonitor, order_pubsub_start, order_pubsub_stop, order_pubsub_subscribe, order_pubsub_unsubscribe,
	order_pubsub_broadcast, order_pubsub_broadcast_from, order_pubsub_direct_broadcast;

/* Does an order that waits, and builds its result (yours). 0 or a code. */
typedef int waiting_fn(cnode_mailbox *mailbox, cnode_term args, cnode_term *result);
waiting_fn waiting_connect, waiting_ping, waiting_rpc, waiting_erpc;
waiting_fn waiting_trans;       /* global.c; its arguments have the order's reference in front */

/* Obeys an order on a thread of its own, which answers {ref, Result} to from. */
int waiting_start(cnode_node *node, waiting_fn *what, cnode_pid from, cnode_ref ref, cnode_term args);
/* Waits until no thread is left. After the node is down. */
void waiting_close(void);

/* Obeys an order global_…, of process `self`. 0: it is or will be answered; CNODE_EUNDEF … */
int global_obey(cnode_process *self, const char *what, cnode_pid from, cnode_ref ref, cnode_term args);
/* The functions that decide about names: conformance_resolver. */
int global_export(cnode_node *node);
/* acl.c: the order acl, and its factories. */
int acl_order(cnode_node *node, cnode_term args, cnode_term *result);
int acl_open(cnode_node *node);

/* The functions of `erlang` that the suite calls by rpc. */
int functions_export(cnode_node *node);

#endif
