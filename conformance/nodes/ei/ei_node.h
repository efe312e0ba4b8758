/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two halves of the node on plain erl_interface: ei_net.c has its connections, ei_node.c its processes. Each has a
 * lock of its own, which it holds in no call of the other.
 */
#ifndef EI_NODE_H
#define EI_NODE_H

#include <ei.h>

#include <stdbool.h>

/* A message in external format, from the version byte on. */
struct message {
	const char *bytes;
	int size;
};

extern ei_cnode self;

void die(const char *what);

/* A thread that nobody waits for. */
void start(void *(*run)(void *context), void *context);

/* ---- ei_node.c: any thread; a copy of the message goes into the mailbox, or false ---- */

bool deliver_pid(const erlang_pid *to, struct message m);
bool deliver_name(const char *to, struct message m);

/* ---- ei_net.c: any thread; what sends dials if need be, and may wait ---- */

/* Who it is, as the environment says (CONTRACT.md): before any pid is made. */
void net_init(const char *name);
/* Registers, and takes connections from then on. */
void net_open(void);

void send_pid(erlang_pid *to, ei_x_buff *x);
void send_name(const char *name, const char *node, ei_x_buff *x);

bool net_connect(const char *node);
/* False if it is not connected. */
bool net_disconnect(const char *node);

/* Appends the result; false if there is no connection, or it ended before the answer came. */
bool net_rpc(const char *node, const char *module, const char *function, struct message arguments, ei_x_buff *result);

/* The value of an environment variable that the contract names. */
const char *need(const char *name);

#endif
