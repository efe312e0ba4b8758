/* SPDX-License-Identifier: Apache-2.0 */
/*
 * functions: what the suite calls by rpc and erpc. The built-in functions are opened to
 * everybody; io:put_chars/1 and timer:sleep/1 are exported, as a function that writes and
 * one that takes its time.
 */
#include <time.h>

#include "conformance/nodes/cnode/puppet.h"

static int put_chars_1(cnode_process *self, void *context, cnode_term args, cnode_term *result)
{
	const char *text;
	size_t size;
	(void)context;
	int rc = cnode_scan(args, "[~s]", &text, &size);
	if (rc == 0)
		rc = cnode_printf(self, "%.*s", (int)size, text);
	return rc != 0 ? rc : cnode_format(result, "ok");
}

static int sleep_1(cnode_process *self, void *context, cnode_term args, cnode_term *result)
{
	long ms;
	(void)self;
	(void)context;
	if (cnode_scan(args, "[~l]", &ms) != 0 || ms < 0)
		return CNODE_EBADARG;
	struct timespec time = { ms / 1000, ms % 1000 * 1000000 };
	nanosleep(&time, NULL);
	return cnode_format(result, "ok");
}

int functions_export(cnode_node *node)
{
	int rc = cnode_function_allow(node, "erlang", "*", CNODE_ALL_NODES);
	if (rc == 0)
		rc = cnode_function_allow(node, "observer_backend", "*", CNODE_ALL_NODES);
	if (rc == 0)
		rc = cnode_function_allow(node, "proc_lib", "translate_initial_call", CNODE_ALL_NODES);
	if (rc == 0)
		rc = cnode_function_export(node, "io", "put_chars", 1, put_chars_1, NULL, CNODE_ALL_NODES);
	if (rc == 0)
		rc = cnode_function_export(node, "timer", "sleep", 1, sleep_1, NULL, CNODE_ALL_NODES);
	return rc;
}
