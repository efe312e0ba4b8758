/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a scenario again and again, failing its first allocation, then its second, and
 * so on until it gets through without a failure (as SQLite's and nghttp2's tests do).
 */
#ifndef TESTS_ALLOC_FAIL_H
#define TESTS_ALLOC_FAIL_H

#include <stdatomic.h>
#include <stdlib.h>

#include "cnode/memory.h"

static _Atomic long alloc_fail_left;      /* allocations until the one that fails */
static _Atomic long alloc_fail_hit;       /* 1 once it has failed */
static _Atomic int alloc_fail_rest;       /* all after it fail too */

static inline int alloc_fail_now(void)
{
	if (atomic_fetch_sub(&alloc_fail_left, 1) > 1)
		return 0;
	if (atomic_exchange(&alloc_fail_hit, 1) == 0)
		return 1;
	return atomic_load(&alloc_fail_rest);
}
static inline void *alloc_fail_malloc(size_t size) { return alloc_fail_now() ? NULL : malloc(size); }
static inline void *alloc_fail_realloc(void *p, size_t size) { return alloc_fail_now() ? NULL : realloc(p, size); }

/* The scenario must clean up after itself whatever fails; leaks are the sanitizer's to find. */
static inline void alloc_fail_each(void (*scenario)(void))
{
	static const cnode_allocator failing = { alloc_fail_malloc, alloc_fail_realloc, free };
	for (int rest = 0; rest < 2; rest++) {
		for (long k = 1;; k++) {
			atomic_store(&alloc_fail_left, k);
			atomic_store(&alloc_fail_hit, 0);
			atomic_store(&alloc_fail_rest, rest);
			cnode_allocator_set(&failing);
			scenario();
			cnode_allocator_set(NULL);
			if (!atomic_load(&alloc_fail_hit))
				break;
		}
	}
}

#endif
