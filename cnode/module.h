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

#define CNODE_MODULE(name_, start_, stop_) \
	__attribute__((visibility("default"))) extern const cnode_module cnode_module_entry; \
	const cnode_module cnode_module_entry = { CNODE_MODULE_ABI, sizeof(cnode_module), name_, start_, stop_ };

#ifdef __cplusplus
}
#endif
#endif
