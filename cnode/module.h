/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Modules: factories and processes that cnoded loads. A module is a shared object with
 * one exported symbol, made by CNODE_MODULE:
 *
 *     static int start(cnode_node *node, void **state) { return cnode_factory_add(node, "counter", &counter, NULL, CNODE_NO_NODES); }
 *     CNODE_MODULE("counter", start, NULL)
 *
 *     cc -shared -fPIC counter.c $(pkg-config --cflags cnode) -o counter.so
 *
 * The ABI number changes when a module built with older headers could not work any more;
 * cnoded refuses such a module by name. Since 0.1.
 */
#ifndef CNODE_MODULE_H
#define CNODE_MODULE_H

#include "cnode/node.h"
#include "cnode/spawn.h"

#ifdef __cplusplus
extern "C" {
#endif

#define CNODE_MODULE_ABI 1

typedef struct cnode_module {
	unsigned abi;                   /* CNODE_MODULE_ABI */
	size_t size;                    /* of this struct */
	const char *name;
	/* Called before the node starts: adds factories, starts processes. Another result than 0 ends cnoded with the node's error text. */
	int (*start)(cnode_node *node, void **state);
	/* Called after the node is down. NULL: nothing to do. */
	void (*stop)(cnode_node *node, void *state);
} cnode_module;

/*
 * What the configuration says to a module, in the section of its name (cnoded.conf(5)):
 *
 *     module counter { start = 10 }
 *
 * cnode_module_option(node, "start") is "10" in the start hook of counter; NULL: the key is
 * not there. The text is borrowed until the stop hook has returned. cnoded takes a key that
 * no start hook has asked for as a mistake, and does not start. Only in a start hook.
 * A program that is not cnoded has no such sections unless it sets some. Since 0.2.
 */
CNODE_API const char *cnode_module_option(cnode_node *node, const char *key);

/*
 * For programs that load modules themselves: what cnode_module_option asks from now on.
 * `option` is called with `context` and the key, by the thread that asks. NULL: no options.
 * Not while a start hook runs in another thread. Since 0.2.
 */
CNODE_API void cnode_module_set_options(cnode_node *node, const char *(*option)(void *context, const char *key),
					void *context);

#define CNODE_MODULE(name_, start_, stop_) \
	__attribute__((visibility("default"))) extern const cnode_module cnode_module_entry; \
	const cnode_module cnode_module_entry = { CNODE_MODULE_ABI, sizeof(cnode_module), name_, start_, stop_ };

#ifdef __cplusplus
}
#endif
#endif
