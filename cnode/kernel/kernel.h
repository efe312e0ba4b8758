/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel: the services that every node has under well-known names, and the functions that
 * rpc and erpc call. All are ordinary behaviours on the public headers.
 */
#ifndef CN_KERNEL_H
#define CN_KERNEL_H

#include "cnode/base/base.h"
#include "cnode/access/access.h"
#include "cnode/function.h"
#include "cnode/gen/gen.h"
#include "cnode/node/node.h"
#include "cnode/proc/proc.h"
#include "cnode/spawn/spawn.h"
#include "cnode/term/term.h"

struct cn_functions;

/* *functions is yours; guard is borrowed: it is told of refusals. 0, CNODE_ENOMEM. */
int cn_functions_new(struct cn_guard *guard, struct cn_functions **functions);
/* Behind the end of all processes. Takes NULL. */
void cn_functions_free(struct cn_functions *functions);
/* As the public functions of similar names (cnode/function.h). Any thread. */
int cn_function_export(struct cn_functions *fs, const char *module, const char *name, int arity,
		       cnode_function *function, void *context, const char *who);
int cn_function_allow(struct cn_functions *fs, const char *module, const char *name, const char *who);
int cn_function_set(struct cn_functions *fs, const char *module, const char *name, const char *who);
int cn_function_list(struct cn_functions *fs, int (*each)(void *context, const cnode_function_info *function), void *context);

/* Whether a node may call a function: 0, CNODE_ENOTALLOWED. Any thread. */
int cn_functions_may(struct cn_functions *fs, const char *peer, const char *module, const char *name, int arity);
bool cn_function_is_exported(struct cn_functions *fs, const char *module, const char *name, int arity);
/* The built-in functions, closed. Once, before the node starts. 0, CNODE_ENOMEM. */
int cn_functions_add_builtins(struct cn_functions *fs, struct cn_procs *procs, struct cn_cluster *cluster,
			      struct cn_factories *factories);

/* Where output goes that `user` is asked to write; as cnode_config has it. */
struct cn_output {
	cnode_output_fn *write;
	void *context;
};

/*
 * Runs an exported function in the calling process, whoever it is open to. The codes of
 * cnode_function, and CNODE_EUNDEF; *result is yours if it is not empty.
 */
int cn_function_run(struct cn_functions *fs, cnode_process *self, const char *module, const char *name, cnode_term args,
		    cnode_term *result);

/* The services of one node. Each of them is started again when it ends; those whose leader was `user` get the new one. */
struct cn_kernel;

struct cn_kernel_config {
	struct cn_procs *procs;             /* borrowed, all of them */
	struct cn_supervisor *supervisor;
	struct cn_cluster *cluster;
	struct cn_factories *factories;
	struct cn_functions *functions;
	const struct cn_output *output;     /* of user */
	struct cn_log *log;
};
/*
 * Adds the built-in functions and those of the module cnode, which are closed, lets erpc's spawns reach all functions, and
 * starts user, net_kernel, rex and cnode. Before the node is known to anybody. *kernel is yours, also if it fails: processes
 * may have it. 0, CNODE_ENOMEM, CNODE_ENAMETAKEN.
 */
int cn_kernel_start(const struct cn_kernel_config *config, struct cn_kernel **kernel);
/* Behind the end of all processes. Takes NULL. */
void cn_kernel_free(struct cn_kernel *kernel);
/* The io server of the node, the group leader of what the program starts. Any thread. */
cnode_pid cn_kernel_user_pid(struct cn_kernel *kernel);

/* Exports the functions of the module cnode, closed. */
int cn_kernel_registry(struct cn_factories *factories, struct cn_functions *functions);

extern const cnode_behaviour cn_kernel_service;
extern const cnode_behaviour cn_kernel_net_kernel;
extern const cnode_behaviour cn_kernel_rex;
extern const cnode_behaviour cn_kernel_erpc_call;
extern const cnode_behaviour cn_kernel_erpc_cast;
/*
 * Runs one function for a caller of rex; its arguments are [Whom, M, F, A], its context the functions.
 * Whom is {rex, Pid}, {from, From} of a call, nobody of a cast, or {leader, Pid}: by way of the group leader, behind what was
 * written to it.
 */
extern const cnode_behaviour cn_kernel_rex_call;
/* Gives Whom what rpc:call would return. As cnode_send. */
int cn_rex_answer(cnode_process *self, cnode_term whom, cnode_term value);
/* The io server of the node, registered as user (user.c). Its context is a cn_output. */
extern const cnode_behaviour cn_kernel_user;
/* A group leader whose output goes to one pid as {rex_stdout, Binary}. Its arguments are [Pid]. */
extern const cnode_behaviour cn_kernel_rex_stdout;
/* Of cn_service: may this peer call the function that the arguments name? */
int cn_functions_may_call(void *functions, const char *peer, cnode_term args);
int cn_functions_may_cast(void *functions, const char *peer, cnode_term args);
/*
 * A place in the peer's quotas for the process that runs a function for rex; the arguments are those of cn_kernel_rex_call. (Those
 * of erpc are spawned, and counted there.) 0, CNODE_ESYSLIMIT, CNODE_ENOMEM. The place is given back by _leave, which takes NULL.
 */
int cn_functions_enter(struct cn_functions *fs, const char *peer, cnode_term args, struct cn_place **place);
void cn_functions_leave(struct cn_functions *fs, struct cn_place *place);
/*
 * May a peer have this node register or unregister a name in global for it? By the list of the name's text (CNODE_ACCESS_REGISTER);
 * peer 0 is this node, which may. 0, CNODE_ENOTALLOWED: the refusal is counted and logged.
 */
int cn_functions_may_register(struct cn_functions *fs, cnode_name peer, cnode_term name);
/* The same for a message to a registered name (CNODE_ACCESS_NAME), which rex passes on. */
int cn_functions_may_reach(struct cn_functions *fs, cnode_name peer, const char *name);

#endif
