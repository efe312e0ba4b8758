/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status: what the exit statuses of the two programs mean, and what to do about an error.
 * The numbers are documented in cnode(1) and cnoded(8) and do not change.
 */
#ifndef CN_CMD_STATUS_H
#define CN_CMD_STATUS_H

/* Of cnode. */
enum cn_tool_status {
	CN_TOOL_OK = 0,
	CN_TOOL_ANSWER = 1,         /* the other side answered: no */
	CN_TOOL_USAGE = 2,          /* the command line, or a term in it, is wrong */
	CN_TOOL_UNREACHABLE = 3,    /* no connection, or it was lost */
	CN_TOOL_REFUSED = 4,        /* the node does not let us in */
	CN_TOOL_TIMEOUT = 5,
	CN_TOOL_LOCAL = 6,          /* this machine: memory, files, the cookie */
};

/* Of cnoded. */
enum cn_daemon_status {
	CN_DAEMON_OK = 0,
	CN_DAEMON_FAILED = 1,       /* anything that has no number of its own */
	CN_DAEMON_USAGE = 2,        /* the command line */
	CN_DAEMON_MODULE = 3,       /* a module cannot be loaded or started */
	CN_DAEMON_COOKIE = 4,       /* the cookie cannot be read */
	CN_DAEMON_NAME = 5,         /* another node has the name */
	CN_DAEMON_NETWORK = 6,      /* epmd, or the port: in use, or not permitted */
	CN_DAEMON_LEFT = 7,         /* stopped, but processes had to be left behind */
	CN_DAEMON_SIGNAL = 128,     /* + the number of the signal that came while stopping */
};

/* The status that a code of cnode/error.h ends the tool with. */
int cn_tool_status(int code);
/* The status for a code of cnode_node_start. */
int cn_daemon_start_status(int code);
/* What somebody can do about an error on the way to a node: a phrase, or "" when there is no general advice. */
const char *cn_advice(int code);

#endif
