/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Phoenix.PubSub: a C node as one more node of a running Phoenix.PubSub with its default adapter,
 * Phoenix.PubSub.PG2. What a Phoenix node broadcasts reaches subscribers here, and the other way round.
 *
 *     cnode_pubsub_start(node, "MyApp.PubSub", 1, 0);
 *     cnode_pubsub_subscribe(self, "MyApp.PubSub", "room:7");
 *     cnode_pubsub_broadcast(self, "MyApp.PubSub", 0, "room:7", "{new_message,~z}", text);
 *
 * Names are those that Elixir shows: "MyApp.PubSub" for MyApp.PubSub, "my_pubsub" for :my_pubsub. The
 * pool_size is the largest one of all nodes (Phoenix's option :pool_size, which is 1 if it was not given): with
 * a smaller one here some of their broadcasts would not arrive.
 *
 * There are no acknowledgements and no history, and nobody knows who subscribes where: every node gets every
 * broadcast. What Phoenix.Presence sends arrives too.
 *
 * All return 0 or a negative code. Besides those named: CNODE_ENOENT (no such PubSub is started on this
 * node), CNODE_ENOMEM, and for those with a format CNODE_EFORMAT and CNODE_EBADTERM. Since 0.2.
 * Follows: Phoenix.PubSub.PG2 and Phoenix.PubSub of phoenix_pubsub 2.1 and later.
 */
#ifndef CNODE_PUBSUB_H
#define CNODE_PUBSUB_H

#include "cnode/process.h"

#ifdef __cplusplus
extern "C" {
#endif

#define CNODE_PUBSUB_POOL_MAX 256u

/*
 * Takes part in the PubSub: a worker for each member of the pool, registered as in Phoenix, joins the pg scope
 * "Elixir.Phoenix.PubSub", which is started if it is not. flags as in cnode_pg_start (of that scope, if it is
 * started here). CNODE_EEXIST, CNODE_ENAMETAKEN, CNODE_EBADNAME, CNODE_EBADARG (pool_size: 1 to
 * CNODE_PUBSUB_POOL_MAX), CNODE_ESYSLIMIT, CNODE_ESHUTDOWN. Any thread.
 */
CNODE_API int cnode_pubsub_start(cnode_node *node, const char *name, unsigned pool_size, unsigned flags);
/* Ends that; subscriptions end with it. CNODE_ENOENT: it is not there, or a cnode_pubsub_start of another thread is not through. Any thread. */
CNODE_API int cnode_pubsub_stop(cnode_node *node, const char *name);

/*
 * Phoenix.PubSub.subscribe/2: what is broadcast to the topic comes as a message as it is. Two subscriptions give
 * two messages. topic NULL: every topic; then {forward_to_local, Topic, Message, Dispatcher} comes, as nodes send
 * it to each other. Ends with self.
 */
CNODE_API int cnode_pubsub_subscribe(cnode_process *self, const char *name, const char *topic);
/* Phoenix.PubSub.unsubscribe/2: all subscriptions of self to the topic. CNODE_ENOTJOINED. */
CNODE_API int cnode_pubsub_unsubscribe(cnode_process *self, const char *name, const char *topic);

#define CNODE_PUBSUB_FROM 1u    /* not to self (broadcast_from/4) */
#define CNODE_PUBSUB_LOCAL 2u   /* to subscribers of this node only (local_broadcast/3) */

/*
 * Phoenix.PubSub.broadcast/3: to the subscribers on every node, this one too. Sending goes on after a failure;
 * the first one is returned.
 */
CNODE_API int cnode_pubsub_broadcast(cnode_process *self, const char *name, unsigned flags, const char *topic,
				     const char *format, ...);
CNODE_API int cnode_pubsub_broadcast_term(cnode_process *self, const char *name, unsigned flags, const char *topic,
					  cnode_term message);
/* Phoenix.PubSub.direct_broadcast/4: to the subscribers on one node. CNODE_EBADNAME. */
CNODE_API int cnode_pubsub_direct_broadcast(cnode_process *self, const char *name, const char *node, const char *topic,
					    const char *format, ...);

#ifdef __cplusplus
}
#endif
#endif
