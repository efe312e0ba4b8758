/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the module puppet share. */
#ifndef CONFORMANCE_PUPPET_H
#define CONFORMANCE_PUPPET_H

#include <stdlib.h>

#include <cnode/cnode.h>

/* Does an order that waits, and builds its result (yours). 0 or a code. */
typedef int waiting_fn(cnode_mailbox *mailbox, cnode_term args, cnode_term *result);
waiting_fn waiting_connect, waiting_ping, waiting_rpc, waiting_erpc;

/* Obeys an order on a thread of its own, which answers {ref, Result} to from. */
int waiting_start(cnode_node *node, waiting_fn *what, cnode_pid from, cnode_ref ref, cnode_term args);
/* Ends the node when standard input closes, as the contract asks. */
int waiting_open(cnode_node *node);
/* Waits until no thread is left. After the node is down. */
void waiting_close(void);

/* acl.c: the order acl, and its factories. */
int acl_order(cnode_node *node, cnode_term args, cnode_term *result);
int acl_open(cnode_node *node);

/* The functions of `erlang` that the suite calls by rpc. */
int functions_export(cnode_node *node);

#endif
