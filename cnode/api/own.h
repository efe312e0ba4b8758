/* SPDX-License-Identifier: Apache-2.0 */
/* The threads of processes that run on one of their own. A thread is known by its mailbox. */
#ifndef CN_API_OWN_H
#define CN_API_OWN_H

#include "cnode/api/api.h"

struct cn_threads;

/* 0, CNODE_ENOMEM. */
int cn_threads_new(cnode_node *node, int max, struct cn_threads **threads);
/* Waits until each has finished what it runs, and is gone. Nobody takes one any more. Takes NULL. */
void cn_threads_join(struct cn_threads *threads);
/* The same, and frees. Takes NULL. */
void cn_threads_free(struct cn_threads *threads);

/* The thread_ members of cn_procs_ops. */
int cn_threads_take(struct cn_threads *threads, struct cnode_process *self, cnode_mailbox **mailbox);
void cn_threads_run(cnode_mailbox *mailbox);
void cn_threads_give(cnode_mailbox *mailbox);

#endif
