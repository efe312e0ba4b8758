/* SPDX-License-Identifier: Apache-2.0 */
/*
 * target: the node that the tool is to reach, as a person writes it, and a name for the
 * tool's own node that can talk to it. Nodes with short names (no dot in the host) and
 * nodes with long ones refuse each other, so the own name follows the target's.
 */
#ifndef CN_CMD_TARGET_H
#define CN_CMD_TARGET_H

#include <stdbool.h>

#include "cnode/term.h"

#define CN_TARGET_MESSAGE 1536

struct cn_target {
	char node[CNODE_NAME_SIZE];         /* name@host */
	char address[CNODE_NAME_SIZE];      /* host:port to dial without epmd; "": ask epmd */
	bool long_names;                    /* its host has a dot or is an IPv6 address */
};

/*
 * Reads NAME, NAME@HOST, NAME@HOST:PORT or NAME@[ADDR]:PORT. Without a host it is that of
 * `own` (the -name or -sname given, may be NULL), else this machine's short name.
 * 0; CNODE_EBADNAME with a sentence in `message`.
 */
int cn_target_read(const char *text, const char *own, struct cn_target *target,
		   char message[CN_TARGET_MESSAGE]);

/*
 * Makes the name of a node that nobody else has: cnode-PID-TIME. A target on the loopback
 * by a long name gives it its host too, because a machine need not have a long name for
 * that; otherwise the library adds the host. The target may be empty (zeroed).
 */
void cn_target_own_name(const struct cn_target *target, char name[CNODE_NAME_SIZE]);
/* The name completed with this machine's name as a long one, for machines without domain. */
void cn_target_add_host(char name[CNODE_NAME_SIZE]);

#endif
