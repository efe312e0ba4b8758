/* SPDX-License-Identifier: Apache-2.0 */
/* functions: erlang:node/0, whereis/1 and registered/0, for rpc and erpc. */
#include "conformance/nodes/cnode/puppet.h"

static int node_0(cnode_process *self, void *context, cnode_term args, cnode_term *result)
{
	(void)context;
	(void)args;
	return cnode_format(result, "~a", cnode_node_name(cnode_process_node(self)));
}

static int whereis_1(cnode_process *self, void *context, cnode_term args, cnode_term *result)
{
	cnode_atom name;
	cnode_pid pid;
	(void)context;
	int rc = cnode_scan(args, "[~a]", &name);
	if (rc != 0)
		return rc;
	rc = cnode_whereis(cnode_process_node(self), name.text, &pid);
	if (rc == CNODE_ENOENT)
		return cnode_format(result, "undefined");
	return rc != 0 ? rc : cnode_format(result, "~p", pid);
}

static int add_name(void *builder, const char *name)
{
	cnode_build_atom(builder, name);
	return 0;
}

static int registered_0(cnode_process *self, void *context, cnode_term args, cnode_term *result)
{
	(void)context;
	(void)args;
	cnode_builder *b = cnode_builder_new();
	if (b == NULL)
		return CNODE_ENOMEM;
	cnode_build_list(b);
	int rc = cnode_registered(cnode_process_node(self), add_name, b);
	cnode_build_list_end(b);
	if (rc == 0)
		rc = cnode_builder_term(b, result);
	cnode_builder_free(b);
	return rc;
}

int functions_export(cnode_node *node)
{
	int rc = cnode_function_export(node, "erlang", "node", 0, node_0, NULL, CNODE_ALL_NODES);
	if (rc == 0)
		rc = cnode_function_export(node, "erlang", "whereis", 1, whereis_1, NULL, CNODE_ALL_NODES);
	if (rc == 0)
		rc = cnode_function_export(node, "erlang", "registered", 0, registered_0, NULL, CNODE_ALL_NODES);
	return rc;
}
