/* SPDX-License-Identifier: Apache-2.0 */
/* ps: the processes of a node, by erlang:processes/0 and process_info/2; as BEAM nodes have them, C nodes have them too. */
#include <inttypes.h>
#include <stdio.h>

#include "cnode/cmd/say.h"
#include "cnode/cmd/status.h"
#include "cnode/cmd/tool.h"

/* Calls a function of erlang; *value is yours. Returns a status, and has said why if it is not 0. */
static int ask(struct cn_tool *tool, const char *function, cnode_term args, cnode_term *value)
{
	int rc = cnode_rpc(tool->mailbox, tool->target.node, "erlang", function, args, cn_tool_left(tool), value);
	if (rc == 0)
		return CN_TOOL_OK;
	int status = cn_tool_failed(tool, rc);
	if (rc == CNODE_ENOTALLOWED)
		cn_say_more("  start it with -allow_fun 'erlang:*', or open erlang:processes/0 and process_info/2 by cnode_function_allow");
	cnode_term_drop(*value);
	*value = (cnode_term){ .size_ = 0 };
	return status;
}

#define NAME 600

/* What a process is called: its name, else the function that it began with. */
static void name_of(cnode_term name, cnode_term initial, cnode_term told, char text[NAME])
{
	cnode_atom module, function;
	int arity;
	if (cnode_term_type(name) == CNODE_TYPE_ATOM) {
		cnode_term_print(name, text, NAME);
		return;
	}
	/* What proc_lib started says in its dictionary what it is. */
	if (cnode_scan(told, "{~a,~a,~i}", &module, &function, &arity) != 0 &&
	    cnode_scan(initial, "{~a,~a,~i}", &module, &function, &arity) != 0)
		cnode_term_print(initial, text, NAME);
	else
		snprintf(text, NAME, "%.250s:%.250s/%d", cn_say_plain(module.text), cn_say_plain(function.text), arity);
}

/* The value of '$initial_call' in a dictionary. */
static cnode_term initial_in(cnode_term dictionary)
{
	cnode_reader r = cnode_read(dictionary);
	cnode_term value;
	for (size_t n; (n = cnode_read_list(&r)) > 0;)
		while (n-- > 0)
			if (cnode_scan(cnode_read_term(&r), "{'$initial_call',~t}", &value) == 0)
				return value;
	return (cnode_term){ .size_ = 0 };
}

static int show(struct cn_tool *tool, cnode_term pid)
{
	cnode_term args, value = { .size_ = 0 }, name, initial, dictionary;
	cnode_atom state;
	uint64_t queue, reductions, memory;
	if (cnode_format(&args, "[~t,[registered_name,initial_call,dictionary,status,message_queue_len,reductions,memory]]", pid) != 0)
		return cn_tool_failed(tool, CNODE_ENOMEM);
	int status = ask(tool, "process_info", args, &value);
	cnode_term_drop(args);
	if (status != CN_TOOL_OK)
		return status;
	if (cnode_scan(value, "[{registered_name,~t},{initial_call,~t},{dictionary,~t},{status,~a},{message_queue_len,~Q},"
		       "{reductions,~Q},{memory,~Q}]", &name, &initial, &dictionary, &state, &queue, &reductions, &memory) == 0) {
		char who[NAME], what[NAME];
		cnode_term_print(pid, who, sizeof who);
		name_of(name, initial, initial_in(dictionary), what);
		printf("%-24s %-30s %-9s %7" PRIu64 " %12" PRIu64 " %10" PRIu64 "\n", who, what, cn_say_plain(state.text), queue, reductions, memory);
	}
	/* Else it is undefined: it has ended in between. */
	cnode_term_drop(value);
	return status;
}

int cn_tool_ps(struct cn_tool *tool)
{
	cnode_term pids = { .size_ = 0 };
	int status = ask(tool, "processes", tool->term, &pids);
	if (status != CN_TOOL_OK)
		return status;
	printf("%-24s %-30s %-9s %7s %12s %10s\n", "PID", "NAME OR INITIAL CALL", "STATUS", "QUEUE", "REDUCTIONS", "BYTES");
	cnode_reader r = cnode_read(pids);
	for (size_t n; status == CN_TOOL_OK && (n = cnode_read_list(&r)) > 0;)
		while (n-- > 0 && status == CN_TOOL_OK)
			status = show(tool, cnode_read_term(&r));
	cnode_term_drop(pids);
	return status;
}
