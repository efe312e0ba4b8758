/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of mailboxes share: mailbox.c has their life and their waiting, call.c, remote.c and ping.c what they ask. */
#ifndef CN_API_MAILBOX_H
#define CN_API_MAILBOX_H

#include "cnode/api/api.h"

struct cnode_mailbox {
	cnode_node *node;
	struct cnode_process *self;
	bool lent;                  /* to straight-line code, with its thread: own.c's */
	struct cn_message *held;    /* what cnode_receive gave last */
	cnode_term built;           /* and the term that was made for it */
	char error[CN_ERROR_TEXT];
	uint32_t given_up;          /* calls that timed out: an answer may still come */
	struct cn_mutex lock;       /* guards what follows */
	struct cn_cond arrived;
	bool woken;
	int fd;                     /* -1: nobody asked for it */
};

/* Everything but the process. */
void cn_mailbox_init(cnode_mailbox *mb, cnode_node *node);
void cn_mailbox_fini(cnode_mailbox *mb);
/* As cn_mailbox_init left it, for the next process. */
void cn_mailbox_renew(cnode_mailbox *mb);
/* What it gave last belongs to nobody any more. */
void cn_mailbox_let_go(cnode_mailbox *mb);
/* Ends the wait of its thread, or its next one. Any thread. */
void cn_mailbox_wake(cnode_mailbox *mb);
/* Its thread: until it is woken. False: the deadline has passed. */
bool cn_mailbox_wait(cnode_mailbox *mb, uint64_t deadline);
/* In milliseconds from now; CNODE_INFINITY: CN_NEVER. */
uint64_t cn_mailbox_deadline(uint64_t timeout_ms);
/* The first message that is wanted (NULL: any). CNODE_ETIMEOUT, CNODE_EEXITED, CNODE_ESHUTDOWN. */
int cn_mailbox_take(cnode_mailbox *mb, cn_wanted_fn *wanted, void *ctx, uint64_t deadline, struct cn_message **m);
/* A sender that the network made pause waits here, before it sends more. 0, CNODE_ETIMEOUT. */
int cn_mailbox_wait_resumed(cnode_mailbox *mb, uint64_t deadline);
/*
 * Answers to requests that were given up do not pile up. Only a request that timed out
 * can have one, and looking for it costs the whole mailbox.
 */
void cn_mailbox_drop_late(cnode_mailbox *mb);

#endif
