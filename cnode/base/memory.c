/* SPDX-License-Identifier: Apache-2.0 */
/* The program-wide allocator, and strings made with it. */
#include "cnode/base/base.h"

#include <stdio.h>
#include <stdlib.h>

static cnode_allocator allocator = { malloc, realloc, free };

void cnode_allocator_set(const cnode_allocator *a)
{
	static const cnode_allocator libc = { malloc, realloc, free };
	allocator = a ? *a : libc;
}

void *cn_malloc(size_t size)
{
	return allocator.malloc(size ? size : 1);
}

void *cn_calloc(size_t count, size_t size)
{
	size_t total;
	if (__builtin_mul_overflow(count, size, &total))
		return NULL;
	void *p = cn_malloc(total);
	if (p)
		memset(p, 0, total);
	return p;
}

void *cn_realloc(void *p, size_t size)
{
	return allocator.realloc(p, size ? size : 1);
}

void cn_free(void *p)
{
	if (p)
		allocator.free(p);
}

char *cn_strndup(const char *s, size_t size)
{
	char *copy = cn_malloc(size + 1);
	if (copy) {
		memcpy(copy, s, size);
		copy[size] = 0;
	}
	return copy;
}

char *cn_strdup(const char *s)
{
	return cn_strndup(s, strlen(s));
}

char *cn_asprintf(const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	int size = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	char *text = size < 0 ? NULL : cn_malloc((size_t)size + 1);
	if (text) {
		va_start(args, fmt);
		vsnprintf(text, (size_t)size + 1, fmt, args);
		va_end(args);
	}
	return text;
}
