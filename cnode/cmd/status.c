/* SPDX-License-Identifier: Apache-2.0 */
/* status: one row per error that a person meets on the command line. */
#include "cnode/cmd/status.h"

#include <stddef.h>

#include "cnode/error.h"

static const struct row {
	int code;
	int status;                 /* of cnode */
	const char *advice;
} rows[] = {
	{ 0, CN_TOOL_OK, "" },
	{ CNODE_EBADARG, CN_TOOL_ANSWER, "" },
	{ CNODE_ENOENT, CN_TOOL_ANSWER, "" },
	{ CNODE_ENAMETAKEN, CN_TOOL_ANSWER, "" },
	{ CNODE_ENOTALLOWED, CN_TOOL_ANSWER, "" },
	{ CNODE_EEXITED, CN_TOOL_ANSWER, "" },
	{ CNODE_ENOPROC, CN_TOOL_ANSWER, "" },
	{ CNODE_EUNDEF, CN_TOOL_ANSWER, "" },
	{ CNODE_ENOTSUP, CN_TOOL_ANSWER, "" },
	{ CNODE_EREPLY, CN_TOOL_ANSWER, "" },
	{ CNODE_EINIT, CN_TOOL_ANSWER, "" },
	{ CNODE_ESYSLIMIT, CN_TOOL_ANSWER, "" },
	{ CNODE_EBADTERM, CN_TOOL_USAGE, "" },
	{ CNODE_EFORMAT, CN_TOOL_USAGE, "" },
	{ CNODE_EBADNAME, CN_TOOL_USAGE, "" },
	{ CNODE_ETOOBIG, CN_TOOL_USAGE, "" },
	{ CNODE_EHOST, CN_TOOL_UNREACHABLE,
	  "check the spelling of the host; it must be in DNS or in /etc/hosts" },
	{ CNODE_EEPMD, CN_TOOL_UNREACHABLE,
	  "check that epmd runs there (epmd -names) and that no firewall closes its port, 4369 or $ERL_EPMD_PORT" },
	{ CNODE_ENOTREG, CN_TOOL_UNREACHABLE,
	  "start the node, or check its name: 'cnode names HOST' lists the nodes that run" },
	{ CNODE_ENOCONNECTION, CN_TOOL_UNREACHABLE,
	  "check that the node still runs and that no firewall closes its port" },
	{ CNODE_ELOST, CN_TOOL_UNREACHABLE, "what was asked for may have been done" },
	{ CNODE_EINTERNAL, CN_TOOL_LOCAL, "" },
	{ CNODE_ECOOKIE, CN_TOOL_REFUSED,
	  "give the node's cookie with -cookie_file or -setcookie (erlang:get_cookie() tells it there)" },
	{ CNODE_EFLAGS, CN_TOOL_REFUSED, "the node is older than OTP 23 or no Erlang node at all" },
	{ CNODE_EREFUSED, CN_TOOL_REFUSED,
	  "the node's log says why; net_kernel:allow/1 and a name that is in use are the usual reasons" },
	{ CNODE_EPEERNAME, CN_TOOL_REFUSED,
	  "use the name that the node calls itself (node() there); a node with -sname has no dot in its host, one with -name has" },
	{ CNODE_EPROTO, CN_TOOL_REFUSED, "check that an Erlang node listens on that port, and without TLS" },
	{ CNODE_ELIMIT, CN_TOOL_REFUSED, "" },
	{ CNODE_ETICK, CN_TOOL_UNREACHABLE, "check that the node is not stopped or overloaded" },
	{ CNODE_ETIMEOUT, CN_TOOL_TIMEOUT, "-timeout SECONDS waits longer" },
	{ CNODE_EACCES, CN_TOOL_LOCAL, "" },
};

static const struct row *row_of(int code)
{
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		if (rows[i].code == code)
			return &rows[i];
	return NULL;
}

int cn_tool_status(int code)
{
	const struct row *row = row_of(code);
	return row != NULL ? row->status : CN_TOOL_LOCAL;
}

const char *cn_advice(int code)
{
	const struct row *row = row_of(code);
	return row != NULL ? row->advice : "";
}

int cn_daemon_start_status(int code)
{
	switch (code) {
	case 0: return CN_DAEMON_OK;
	case CNODE_EBADARG:
	case CNODE_EBADNAME: return CN_DAEMON_USAGE;
	case CNODE_ENAMETAKEN: return CN_DAEMON_NAME;
	case CNODE_EADDRINUSE:
	case CNODE_EACCES:
	case CNODE_EHOST:
	case CNODE_EIO:
	case CNODE_ENOCONNECTION:
	case CNODE_ENOTSUP:
	case CNODE_EEPMD: return CN_DAEMON_NETWORK;
	default: return CN_DAEMON_FAILED;
	}
}
