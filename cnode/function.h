/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Functions: what rpc:call, erpc:call and ei_rpc of other nodes may call here.
 *
 *     rpc:call('c1@127.0.0.1', codec, encode, [<<"abc">>])
 *
 * runs the function exported as codec:encode with the list of arguments, in a process of
 * its own, so it may block. A caller who is not on the list gets not_allowed; an unknown
 * function is undef, as on a BEAM node, and arguments that are no proper list are badarg
 * of erlang:apply/3. Since 0.1. Follows: erpc, rpc (kernel).
 */
#ifndef CNODE_FUNCTION_H
#define CNODE_FUNCTION_H

#include "cnode/spawn.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * One function. `args` is the proper list of arguments, borrowed. On success it sets *result,
 * which libcnode takes, and returns 0; a result that is not set, or that the caller's node does
 * not take, is an exit to the caller. It may return cnode_raise(…), or another negative
 * code: CNODE_EBADARG is seen as error:badarg, others as error:{cnode, Code, Text}.
 */
typedef int cnode_function(cnode_process *self, void *context, cnode_term args, cnode_term *result);

#define CNODE_ANY_ARITY (-1)

/*
 * Exports a function to the nodes of `who` (as cnode_factory_add). `context` is borrowed
 * as long as the node lives. The same again adds nodes. CNODE_EEXIST: module:name/arity is
 * another function or context; CNODE_EBADNAME; CNODE_EBADARG. Any thread.
 */
CNODE_API int cnode_function_export(cnode_node *node, const char *module, const char *name, int arity,
				    cnode_function *function, void *context, const char *who);
/*
 * Opens functions of a module to more nodes: name "*" means all it has, also those
 * exported later. CNODE_EBADARG. Any thread.
 */
CNODE_API int cnode_function_allow(cnode_node *node, const char *module, const char *name, const char *who);
/*
 * Replaces what cnode_function_allow opened under this module and name, in one change;
 * CNODE_NO_NODES closes it. Those that the export itself names keep their permission.
 * CNODE_EBADNAME, CNODE_EBADARG. Any thread. Since 0.2.
 */
CNODE_API int cnode_function_set(cnode_node *node, const char *module, const char *name, const char *who);

/* One exported function, as it is listed. */
typedef struct cnode_function_info {
	size_t size;
	const char *module, *name;
	int arity;                      /* CNODE_ANY_ARITY */
	const char *who;                /* whom the export names; cnode_function_allow may have opened it to more */
} cnode_function_info;
/*
 * Calls `each` for every exported function, the last exported first; its argument is
 * borrowed for the call. Stops when each returns another than 0, and returns that.
 * CNODE_ENOMEM. Any thread. Since 0.2.
 */
CNODE_API int cnode_function_list(cnode_node *node, int (*each)(void *context, const cnode_function_info *function),
				  void *context);

/*
 * Ends the function by an exception of class "error", "exit" or "throw", with a reason by
 * format: return cnode_raise(result, "throw", "{oops,~q}", n). Returns CNODE_ERAISED, or
 * why the reason could not be made.
 */
CNODE_API int cnode_raise(cnode_term *result, const char *exception_class, const char *format, ...);

#ifdef __cplusplus
}
#endif
#endif
