/* SPDX-License-Identifier: Apache-2.0 */
/*
 * global: the names and locks of a cluster, as one node has them. A BEAM node is asked by rpc; a C node, which has
 * no ets, through a call of its global_name_server.
 */
#include <stdio.h>
#include <string.h>

#include "cnode/cmd/say.h"
#include "cnode/cmd/status.h"
#include "cnode/cmd/tool.h"

#define SERVER "global_name_server"

/* The value of a function, or status CNODE_EUNDEF where the node does not have it: a C node. */
static int rpc(struct cn_tool *tool, const char *module, const char *function, cnode_term args, cnode_term *value)
{
	cnode_term raised = { .size_ = 0 };
	int rc = cnode_rpc(tool->mailbox, tool->target.node, module, function, args, cn_tool_left(tool), value);

	if (rc != CNODE_EEXITED)
		return rc;
	raised = *value;
	value->size_ = 0;
	bool undef = cnode_scan(raised, "{error,undef,_}") == 0;
	cnode_term_drop(raised);
	return undef ? CNODE_EUNDEF : CNODE_EEXITED;
}

static int ets(struct cn_tool *tool, const char *table, cnode_term *rows)
{
	cnode_term args;
	int rc = cnode_format(&args, "[~a]", table);
	if (rc != 0)
		return rc;
	rc = rpc(tool, "ets", "tab2list", args, rows);
	cnode_term_drop(args);
	return rc;
}

static int ask(struct cn_tool *tool, const char *what, cnode_term *rows)
{
	return cnode_call_name(tool->mailbox, SERVER, tool->target.node, cn_tool_left(tool), rows, "{cnode,~a}", what);
}

/* One line, terms with a space between. Returns a status. */
static int say_line(cnode_term a, cnode_term b, cnode_term c)
{
	cnode_term each[] = { a, b, c };
	for (size_t i = 0; i < sizeof each / sizeof each[0] && each[i].size_ > 0; i++) {
		char *text = cn_tool_text(each[i]);
		if (text == NULL)
			return CN_TOOL_LOCAL;
		printf("%s%s", i > 0 ? " " : "", text);
		cnode_free(text);
	}
	putchar('\n');
	return CN_TOOL_OK;
}

/* A row of either kind of node. */
static int say_name(cnode_term row)
{
	cnode_term name, pid, none = { .size_ = 0 };
	if (cnode_scan(row, "{~t,~t}", &name, &pid) != 0 && cnode_scan(row, "{~t,~t,_,_}", &name, &pid) != 0)
		return CN_TOOL_OK;
	return say_line(name, pid, none);
}

static int say_lock(cnode_term row)
{
	cnode_term resource, requester, holder, holders;
	if (cnode_scan(row, "{~t,~t,~t}", &resource, &requester, &holder) != 0)
		return CN_TOOL_OK;
	if (cnode_term_type(holder) == CNODE_TYPE_PID)
		return say_line(resource, requester, holder);
	holders = holder;                       /* [{Pid, Ref}] */
	int status = CN_TOOL_OK;
	cnode_reader r = cnode_read(holders);
	for (size_t n; (n = cnode_read_list(&r)) > 0;)
		while (n-- > 0 && status == CN_TOOL_OK)
			if (cnode_scan(cnode_read_term(&r), "{~t,_}", &holder) == 0)
				status = say_line(resource, requester, holder);
	return status;
}

static int say_rows(cnode_term rows, int (*say)(cnode_term row))
{
	int status = CN_TOOL_OK;
	cnode_reader r = cnode_read(rows);
	for (size_t n; (n = cnode_read_list(&r)) > 0;)
		while (n-- > 0 && status == CN_TOOL_OK)
			status = say(cnode_read_term(&r));
	return status;
}

static int list(struct cn_tool *tool, const char *table, const char *what, int (*say)(cnode_term row))
{
	cnode_term rows = { .size_ = 0 };
	int rc = ets(tool, table, &rows);
	if (rc == CNODE_EUNDEF)
		rc = ask(tool, what, &rows);
	int status = rc == 0 ? say_rows(rows, say) : cn_tool_failed(tool, rc);
	cnode_term_drop(rows);
	return status;
}

static int not_allowed(const struct cn_tool *tool)
{
	cn_say(CNODE_LOG_ERROR, "%s does not let this node register or unregister %s (register, in an access section of its configuration, says who may)",
	       tool->target.node, tool->word[2]);
	return CN_TOOL_ANSWER;
}

static int not_registered(struct cn_tool *tool)
{
	cn_say(CNODE_LOG_ERROR, "no process is registered as %s in global, says %s", tool->word[2], tool->target.node);
	return CN_TOOL_ANSWER;
}

static int whereis(struct cn_tool *tool)
{
	cnode_term args, pid = { .size_ = 0 };
	int rc = cnode_format(&args, "[~t]", tool->term);
	if (rc == 0) {
		rc = rpc(tool, "global", "whereis_name", args, &pid);
		cnode_term_drop(args);
	}
	int status = rc != 0 ? cn_tool_failed(tool, rc)
		     : cnode_term_type(pid) == CNODE_TYPE_PID ? cn_tool_print(pid) : not_registered(tool);
	cnode_term_drop(pid);
	return status;
}

/* What came of registering. */
static int say_registered(struct cn_tool *tool, cnode_term answer)
{
	if (cnode_scan(answer, "yes") == 0)
		return CN_TOOL_OK;
	if (cnode_scan(answer, "not_allowed") == 0)
		return not_allowed(tool);
	if (cnode_scan(answer, "noproc") == 0 || cnode_scan(answer, "undefined") == 0)
		cn_say(CNODE_LOG_ERROR, "no process is registered as %s on %s", tool->word[3], tool->target.node);
	else
		cn_say(CNODE_LOG_ERROR, "%s is taken, or the process %s has another name", tool->word[2], tool->word[3]);
	return CN_TOOL_ANSWER;
}

static int register_there(struct cn_tool *tool, cnode_term *answer)
{
	cnode_term args, pid = { .size_ = 0 };
	int rc = cnode_format(&args, "[~a]", tool->word[3]);
	if (rc != 0)
		return rc;
	rc = rpc(tool, "erlang", "whereis", args, &pid);
	cnode_term_drop(args);
	if (rc != 0)
		return rc;
	if (cnode_term_type(pid) != CNODE_TYPE_PID) {
		*answer = pid;
		return 0;
	}
	rc = cnode_format(&args, "[~t,~t]", tool->term, pid);
	cnode_term_drop(pid);
	if (rc != 0)
		return rc;
	rc = rpc(tool, "global", "register_name", args, answer);
	cnode_term_drop(args);
	return rc;
}

static int register_name(struct cn_tool *tool)
{
	cnode_term answer = { .size_ = 0 };
	int rc = register_there(tool, &answer);
	/* A C node has no register_name/2, and whereis/1 need not be open there: its name server does it. */
	if (rc == CNODE_EUNDEF || rc == CNODE_ENOTALLOWED)
		rc = cnode_call_name(tool->mailbox, SERVER, tool->target.node, cn_tool_left(tool), &answer,
				     "{cnode,{register,~t,~a}}", tool->term, tool->word[3]);
	int status = rc != 0 ? cn_tool_failed(tool, rc) : say_registered(tool, answer);
	cnode_term_drop(answer);
	return status;
}

static int unregister(struct cn_tool *tool)
{
	cnode_term args, answer = { .size_ = 0 };
	int rc = cnode_format(&args, "[~t]", tool->term);
	if (rc == 0) {
		rc = rpc(tool, "global", "unregister_name", args, &answer);
		cnode_term_drop(args);
	}
	if (rc == CNODE_EUNDEF)
		rc = cnode_call_name(tool->mailbox, SERVER, tool->target.node, cn_tool_left(tool), &answer,
				     "{cnode,{unregister,~t}}", tool->term);
	int status = rc != 0 ? cn_tool_failed(tool, rc) : cnode_scan(answer, "not_allowed") == 0 ? not_allowed(tool) : CN_TOOL_OK;
	cnode_term_drop(answer);
	return status;
}

int cn_tool_global(struct cn_tool *tool)
{
	static const struct {
		const char *word;
		size_t words;               /* with NODE and this one */
		int (*run)(struct cn_tool *tool);
	} actions[] = {
		{ "whereis", 3, whereis }, { "register", 4, register_name }, { "unregister", 3, unregister },
	};
	size_t count = 0;
	while (tool->word[count] != NULL)
		count++;
	const char *what = tool->word[1];
	if (strcmp(what, "list") == 0 && count == 2)
		return list(tool, "global_names", "names", say_name);
	if (strcmp(what, "locks") == 0 && count == 2)
		return list(tool, "global_locks", "locks", say_lock);
	for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++)
		if (strcmp(what, actions[i].word) == 0 && count == actions[i].words)
			return actions[i].run(tool);
	cn_say(CNODE_LOG_ERROR, "global: usage: cnode global NODE list|locks|whereis NAME|register NAME PROCESS|unregister NAME");
	return CN_TOOL_USAGE;
}
