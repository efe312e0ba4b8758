/* SPDX-License-Identifier: Apache-2.0 */
/* factories: what a C node lets others spawn, and who may; the functions of its module cnode. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cnode/cmd/say.h"
#include "cnode/cmd/status.h"
#include "cnode/cmd/tool.h"
#include "cnode/term.h"

/* Calls cnode:FUNCTION(ARGS...) there. 0, or a status, with the reason said. */
static int ask(const struct cn_tool *tool, const char *function, cnode_term args, cnode_term *value)
{
	int rc = cnode_rpc(tool->mailbox, tool->target.node, "cnode", function, args, cn_tool_left(tool), value);

	if (rc == 0)
		return CN_TOOL_OK;
	if (rc == CNODE_ENOTALLOWED) {
		const char *own = cnode_node_name(tool->node);
		cn_say(CNODE_LOG_ERROR, "%s does not let %s call cnode:%s", tool->target.node, own, function);
		cn_say_more("  start it with -allow_fun 'cnode:*=ME', or by cnode_function_allow, and give cnode the name ME with -sname or -name");
		return CN_TOOL_ANSWER;
	}
	if (rc == CNODE_EEXITED || rc == CNODE_EUNDEF) {
		cnode_term_drop(*value);
		*value = (cnode_term){ .size_ = 0 };
		cn_say(CNODE_LOG_ERROR, "%s is no C node that can be asked for factories: there is no function cnode:%s", tool->target.node,
		       function);
		return CN_TOOL_ANSWER;
	}
	return cn_tool_failed(tool, rc);
}

/* One line of the table; false: the map is not what we know. */
static int print_factory(cnode_term factory)
{
	cnode_atom name, mode;
	cnode_term allowed, denied;
	uint64_t processes, spawned, refused;

	if (cnode_scan(factory, "#{name := ~a, mode := ~a, allowed := ~t, denied := ~t, processes := ~Q, spawned := ~Q, refused := ~Q}",
		       &name, &mode, &allowed, &denied, &processes, &spawned, &refused) != 0)
		return CNODE_EREPLY;
	printf("%-24s %-5s %9llu %9llu %9llu ", cn_say_plain(name.text), cn_say_plain(mode.text), (unsigned long long)processes, (unsigned long long)spawned,
	       (unsigned long long)refused);
	const char *space = " ";
	const struct { cnode_term list; const char *mark; } lists[] = { { allowed, "" }, { denied, "!" } };
	for (size_t i = 0; i < 2; i++) {
		cnode_reader r = cnode_read(lists[i].list);
		for (size_t n; (n = cnode_read_list(&r)) > 0;)
			while (n-- > 0) {
				cnode_atom node;
				if (cnode_scan(cnode_read_term(&r), "~a", &node) != 0)
					return CNODE_EREPLY;
				printf("%s%s%s", space, lists[i].mark, cn_say_plain(node.text));
				space = ",";
			}
	}
	putchar('\n');
	return 0;
}

int cn_tool_factories(struct cn_tool *tool)
{
	cnode_term none, list = { .size_ = 0 };
	int rc = cnode_format(&none, "[]");

	if (rc != 0)
		return cn_tool_status(rc);
	int status = ask(tool, "factories", none, &list);
	cnode_term_drop(none);
	if (status != CN_TOOL_OK)
		return status;
	printf("%-24s %-5s %9s %9s %9s  %s\n", "FACTORY", "MODE", "PROCESSES", "SPAWNED", "REFUSED", "NODES");
	cnode_reader r = cnode_read(list);
	for (size_t n; (n = cnode_read_list(&r)) > 0 && rc == 0;)
		while (n-- > 0 && rc == 0)
			rc = print_factory(cnode_read_term(&r));
	cnode_term_drop(list);
	if (rc == 0)
		rc = r.error;
	if (rc != 0) {
		cn_say(CNODE_LOG_ERROR, "%s answered with a list of factories that this cnode cannot read", tool->target.node);
		return CN_TOOL_ANSWER;
	}
	return CN_TOOL_OK;
}

/* "a@h,b@h" or all as a list of binaries. */
static int build_who(const char *who, cnode_builder *b)
{
	if (strcmp(who, "all") == 0) {
		cnode_build_atom(b, "all");
		return 0;
	}
	if (*who == '\0')
		return CNODE_EBADARG;
	cnode_build_list(b);
	while (*who != '\0') {
		size_t size = strcspn(who, ",");
		if (size == 0)
			return CNODE_EBADARG;
		cnode_build_binary(b, who, size);
		who += size;
		if (*who == ',' && *++who == '\0')
			return CNODE_EBADARG;
	}
	cnode_build_list_end(b);
	return 0;
}

static int change(struct cn_tool *tool, const char *function)
{
	const char *factory = tool->word[1], *who = tool->word[2];
	cnode_builder *b = cnode_builder_new();
	cnode_term args, value = { .size_ = 0 };

	if (b == NULL)
		return cn_tool_status(CNODE_ENOMEM);
	cnode_build_list(b);
	cnode_build_atom(b, factory);
	int rc = build_who(who, b);
	if (rc == 0) {
		cnode_build_list_end(b);
		rc = cnode_builder_term(b, &args);
	}
	cnode_builder_free(b);
	if (rc != 0) {
		cn_say(CNODE_LOG_ERROR, "'%s' is neither all nor NODE[,NODE...]", who);
		return CN_TOOL_USAGE;
	}
	int status = ask(tool, function, args, &value);
	cnode_term_drop(args);
	if (status == CN_TOOL_OK && cnode_scan(value, "ok") != 0) {
		cn_say(CNODE_LOG_ERROR, "%s has no factory %s", tool->target.node, factory);
		status = CN_TOOL_ANSWER;
	}
	cnode_term_drop(value);
	return status;
}

int cn_tool_allow(struct cn_tool *tool)
{
	return change(tool, "allow");
}

int cn_tool_deny(struct cn_tool *tool)
{
	return change(tool, "deny");
}
