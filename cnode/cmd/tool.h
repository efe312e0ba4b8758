/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tool: what the commands of cnode share. cnode.c reads the command line, makes a
 * hidden node with a name of its own, opens a mailbox and calls one command; a command
 * returns an exit status (cnode/cmd/status.h) and has said why if it is not 0.
 *
 * One thread only.
 */
#ifndef CN_CMD_TOOL_H
#define CN_CMD_TOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cnode/cmd/target.h"
#include "cnode/mailbox.h"

/* One run of the tool. */
struct cn_tool {
	const char *const *word;            /* the words behind the command; NULL at the end */
	struct cn_target target;            /* the first of them, if the command wants a node */
	cnode_term term;                    /* the term among them; [] when it was left out */
	bool verbose;
	uint64_t deadline_ns;               /* of the whole run, on the monotonic clock */
	cnode_node *node;
	cnode_mailbox *mailbox;
};

/* cnode_ping, cnode_connect_wait and friends: commands that reach a node (reach.c). */
int cn_tool_ping(struct cn_tool *tool);
int cn_tool_await(struct cn_tool *tool);
int cn_tool_names(struct cn_tool *tool);
int cn_tool_info(struct cn_tool *tool);
/* Commands that ask a node for something (ask.c). */
int cn_tool_rpc(struct cn_tool *tool);
int cn_tool_call(struct cn_tool *tool);
int cn_tool_cast(struct cn_tool *tool);
int cn_tool_send(struct cn_tool *tool);
int cn_tool_spawn(struct cn_tool *tool);

/* The names and locks of the cluster (global.c). */
int cn_tool_global(struct cn_tool *tool);
/* Factories of a C node, and who may spawn them (factories.c). */
int cn_tool_factories(struct cn_tool *tool);
int cn_tool_allow(struct cn_tool *tool);
int cn_tool_deny(struct cn_tool *tool);

/* Monotonic nanoseconds. */
uint64_t cn_tool_now(void);
/* Milliseconds left until the deadline, at least 1. */
uint64_t cn_tool_left(const struct cn_tool *tool);
/* Says why `code` has happened on the mailbox, with advice; returns the status for it. */
int cn_tool_failed(const struct cn_tool *tool, int code);
/* Writes a term and a newline to stdout. Returns a status. */
int cn_tool_print(cnode_term term);
/* The text of a term, yours to cnode_free. NULL without memory, which it has said then. */
char *cn_tool_text(cnode_term term);

#endif
