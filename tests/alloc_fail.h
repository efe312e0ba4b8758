/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a scenario again and again, failing its first allocation, then its second, and
 * so on until it gets through without a failure (as SQLite's and nghttp2's tests do).
 */
#ifndef TESTS_ALLOC_FAIL_H
#define TESTS_ALLOC_FAIL_H

#include <limits.h>
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

/*
 * For programs with threads, whose allocator must not change under them: set once, before there are any. Nothing fails until
 * alloc_fail_at says which (and whether all behind it do), counted from there; alloc_fail_never says whether it was reached.
 */
static inline void alloc_fail_install(void)
{
	static const cnode_allocator failing = { alloc_fail_malloc, alloc_fail_realloc, free };
	atomic_store(&alloc_fail_left, LONG_MAX);
	cnode_allocator_set(&failing);
}
static inline void alloc_fail_at(long k, int rest)
{
	atomic_store(&alloc_fail_hit, 0);
	atomic_store(&alloc_fail_rest, rest);
	atomic_store(&alloc_fail_left, k);
}
static inline int alloc_fail_never(void)
{
	atomic_store(&alloc_fail_rest, 0);
	atomic_store(&alloc_fail_left, LONG_MAX);
	return (int)atomic_load(&alloc_fail_hit);
}

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
