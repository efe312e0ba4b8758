/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The allocator of libcnode. It is one for the whole program, because terms and node
 * names live outside of any node (as curl_global_init_mem and ev_set_allocator do it).
 */
#ifndef CNODE_MEMORY_H
#define CNODE_MEMORY_H

#include <stddef.h>

#include "cnode/error.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cnode_allocator {
	void *(*malloc)(size_t size);             /* NULL when there is none */
	void *(*realloc)(void *p, size_t size);   /* p may be NULL; on failure p stays valid */
	void (*free)(void *p);                    /* p may be NULL */
} cnode_allocator;

/*
 * Sets the allocator. Call it before any other function of libcnode, or never: memory
 * taken from one allocator would be given to another. NULL restores the C library's.
 * The functions are called from any thread. Since 0.1.
 */
CNODE_API void cnode_allocator_set(const cnode_allocator *allocator);

#ifdef __cplusplus
}
#endif
#endif
