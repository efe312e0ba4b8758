/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of kernel: what the files with built-in functions share. */
#ifndef CN_KERNEL_BUILTIN_H
#define CN_KERNEL_BUILTIN_H

#include "cnode/kernel/kernel.h"

/* The context of every built-in function. Immutable but for the atomics. */
struct cn_builtins {
	struct cn_procs *procs;
	struct cn_cluster *cluster;
	struct cn_functions *functions;
	uint64_t began;                 /* cn_now of the node's making */
	_Atomic uint64_t wall_asked;    /* what statistics(wall_clock), runtime and reductions said last */
	_Atomic uint64_t runtime_asked;
	_Atomic uint64_t reductions_asked;
};

struct cn_builtin {
	const char *module, *name;
	int arity;
	cnode_function *call;
};

/* Adds them all to the functions, closed, and their services to the factories. 0, CNODE_ENOMEM. */
int cn_builtins_add(struct cn_builtins *of, struct cn_factories *factories);

/* Rows end with a module that is NULL. */
extern const struct cn_builtin cn_builtins_of_node[];
extern const struct cn_builtin cn_builtins_of_processes[];
extern const struct cn_builtin cn_builtins_of_observer[];

/* Ends what `b` has built and frees it: *result is the term. Takes NULL (CNODE_ENOMEM). */
int cn_builtin_done(cnode_builder *b, cnode_term *result);
/* Bytes of all connections, those that are open. 0, CNODE_ENOMEM. */
int cn_builtin_io(const struct cn_builtins *of, uint64_t *in, uint64_t *out);
/* Puts them as erlang:statistics(io) does. */
void cn_builtin_put_io(const struct cn_builtins *of, cnode_builder *b);
/* Puts {total, Bytes} and the other pairs of erlang:memory/0 into a list that is open. */
void cn_builtin_put_memory(const struct cn_builtins *of, cnode_builder *b);
/* Puts what there is of allocators, as erlang:system_info({allocator_sizes, […]}) does. */
void cn_builtin_put_allocators(cnode_builder *b);
/* The number of ready processes. */
uint32_t cn_builtin_run_queue(const struct cn_builtins *of);
/* Puts the value of erlang:system_info(Item); false: there is no such item. */
bool cn_builtin_put_system_info(const struct cn_builtins *of, cnode_builder *b, const char *item);
/* Puts the MFA that process_info gives as initial_call and current_function. */
void cn_builtin_put_initial_call(cnode_builder *b, const struct cn_process_info *info);
void cn_builtin_put_current_function(cnode_builder *b, const struct cn_process_info *info);
/* The services of those of observer_backend that are spawned. 0, CNODE_ENOMEM. */
int cn_builtin_serve_observer(struct cn_builtins *of, struct cn_factories *factories);
/* What stands for reductions: microseconds in callbacks. */
uint64_t cn_builtin_reductions(const struct cn_process_info *info);

#endif
