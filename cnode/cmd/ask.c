/* SPDX-License-Identifier: Apache-2.0 */
/* ask: rpc, call, cast, send and spawn, the commands that want something of a node. */
#include <stdio.h>
#include <string.h>

#include "cnode/cmd/say.h"
#include "cnode/cmd/status.h"
#include "cnode/cmd/tool.h"

/* Says what a function raised: {throw, T}, {exit, R}, {error, R, Stack} or {signal, R}. */
static int say_raised(const struct cn_tool *tool, cnode_term raised)
{
	const char *call[] = { tool->word[1], tool->word[2] };
	cnode_atom class;
	cnode_term reason, stack = { .size_ = 0 };

	if (cnode_scan(raised, "{~a,~t,~t}", &class, &reason, &stack) != 0 &&
	    cnode_scan(raised, "{~a,~t}", &class, &reason) != 0)
		return cn_tool_failed(tool, CNODE_EEXITED);
	char *text = cn_tool_text(reason);
	if (text == NULL)
		return CN_TOOL_LOCAL;
	cn_say(CNODE_LOG_ERROR, "%s:%s on %s raised %s: %s", call[0], call[1], tool->target.node,
	       class.text, text);
	cnode_free(text);
	if (cnode_term_type(stack) != CNODE_TYPE_LIST)
		return CN_TOOL_ANSWER;
	if ((text = cn_tool_text(stack)) == NULL)
		return CN_TOOL_LOCAL;
	cn_say_more("  stack: %s", text);
	cnode_free(text);
	return CN_TOOL_ANSWER;
}

int cn_tool_rpc(struct cn_tool *tool)
{
	cnode_term value = { .size_ = 0 };
	int status;
	int rc = cnode_rpc(tool->mailbox, tool->target.node, tool->word[1], tool->word[2], tool->term,
			   cn_tool_left(tool), &value);

	if (rc == 0)
		status = cn_tool_print(value);
	else if (rc == CNODE_EEXITED)
		status = say_raised(tool, value);
	else
		status = cn_tool_failed(tool, rc);
	if (rc == CNODE_ENOTALLOWED)
		cn_say_more("  a C node is started with -allow_fun '%s:%s=ME' to allow it; give cnode the name ME with -sname or -name",
			    tool->word[1], tool->word[2]);
	cnode_term_drop(value);
	return status;
}

int cn_tool_spawn(struct cn_tool *tool)
{
	cnode_spawn_options options = CNODE_SPAWN_INIT;
	cnode_term shown;
	cnode_pid pid;

	options.timeout_ms = cn_tool_left(tool);
	int rc = cnode_spawn_remote(tool->mailbox, tool->target.node, tool->word[1], tool->term, &options,
				    &pid);
	if (rc != 0) {
		int status = cn_tool_failed(tool, rc);
		if (rc == CNODE_EUNDEF)
			cn_say_more("  'cnode factories %s' lists those of a C node, if it lets you ask", tool->target.node);
		else if (rc == CNODE_EBADARG)
			cn_say_more("  its start does not take these arguments: ARGS is a list with what it is documented to take");
		else if (rc == CNODE_ENOTALLOWED)
			cn_say_more("  a C node is started with -allow %s=ME to allow it; give cnode the name ME with -sname or -name",
				    tool->word[1]);
		return status;
	}
	if ((rc = cnode_format(&shown, "~p", pid)) != 0) {
		cn_say(CNODE_LOG_ERROR, "%s", cnode_strerror(rc));
		return CN_TOOL_LOCAL;
	}
	int status = cn_tool_print(shown);
	cnode_term_drop(shown);
	return status;
}

/* ---- to a registered process ---- */

static int no_such_name(const struct cn_tool *tool)
{
	const char *name = tool->word[1];

	cn_say(CNODE_LOG_ERROR, "no process is registered as %s on %s", name, tool->target.node);
	if (name[0] >= 'A' && name[0] <= 'Z' && strncmp(name, "Elixir.", 7) != 0)
		cn_say_more("  the Elixir module %s is called Elixir.%s here", name, name);
	return CN_TOOL_ANSWER;
}

int cn_tool_call(struct cn_tool *tool)
{
	cnode_term reply = { .size_ = 0 };
	int rc = cnode_call_name(tool->mailbox, tool->word[1], tool->target.node, cn_tool_left(tool),
				 &reply, "~t", tool->term);

	if (rc == CNODE_ENOPROC)
		return no_such_name(tool);
	if (rc != 0)
		return cn_tool_failed(tool, rc);
	int status = cn_tool_print(reply);
	cnode_term_drop(reply);
	return status;
}

/* True if a DOWN with noproc is among the messages that have arrived. */
static bool was_missing(struct cn_tool *tool, cnode_ref monitor)
{
	cnode_info message;

	while (cnode_receive(tool->mailbox, &message, 0) == 0)
		if (message.kind == CNODE_DOWN && cnode_ref_equal(message.ref, monitor))
			return cnode_scan(message.reason, "noproc") == 0;
	return false;
}

/*
 * Sends what `send` sends, and waits until it is there: the ping's answer comes behind
 * it on the same connection, and so does the answer of a monitor that is set before it,
 * which tells if nobody has the name.
 */
static int deliver(struct cn_tool *tool, int (*send)(struct cn_tool *tool))
{
	cnode_process *self = cnode_mailbox_process(tool->mailbox);
	cnode_ref monitor;
	int rc = cnode_monitor_name(self, tool->word[1], tool->target.node, &monitor);

	if (rc == 0)
		rc = send(tool);
	if (rc != 0) {
		cn_say(CNODE_LOG_ERROR, "cannot send to %s on %s: %s", tool->word[1], tool->target.node,
		       cnode_strerror(rc));
		return cn_tool_status(rc);
	}
	if ((rc = cnode_ping(tool->mailbox, tool->target.node, cn_tool_left(tool), NULL, NULL)) != 0)
		return cn_tool_failed(tool, rc);
	return was_missing(tool, monitor) ? no_such_name(tool) : CN_TOOL_OK;
}

static int send_cast(struct cn_tool *tool)
{
	return cnode_cast_name(cnode_mailbox_process(tool->mailbox), tool->word[1], tool->target.node, "~t",
			       tool->term);
}

static int send_message(struct cn_tool *tool)
{
	return cnode_send_name_term(cnode_mailbox_process(tool->mailbox), tool->word[1], tool->target.node,
				    tool->term, 0);
}

int cn_tool_cast(struct cn_tool *tool)
{
	return deliver(tool, send_cast);
}

int cn_tool_send(struct cn_tool *tool)
{
	return deliver(tool, send_message);
}
