/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes threads change places, at random, around locks and atomic operations, and now and then sleep there: a race
 * whose two steps lie close together shows in the first run, and not in one of hundreds. For programs that were
 * compiled with -fsanitize=thread, whose atomic operations are calls that can be come between. It is in no build:
 *
 *     cc -O2 -shared -fPIC -o /tmp/yield.so tests/yield.c
 *     cd build-tsan && LD_PRELOAD=/tmp/yield.so setarch -R tests/proc_race.t
 *
 * CNODE_YIELD=N,M in the environment: one such place in N (200), and of these one in M (20) sleeps.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define NAP_US 100
#define ENTRIES 40              /* there are so many more functions than locks */

static unsigned places = 200, naps = 20;

__attribute__((constructor)) static void read_odds(void)
{
	const char *given = getenv("CNODE_YIELD");
	if (given && (sscanf(given, "%u,%u", &places, &naps) != 2 || places == 0 || naps == 0)) {
		fprintf(stderr, "yield: CNODE_YIELD is %s: two numbers above 0 are wanted, as in 200,20\n", given);
		exit(2);
	}
}

static void perhaps(unsigned seldom)
{
	static __thread uint64_t x;
	struct timespec t;
	if (x == 0) {
		clock_gettime(CLOCK_MONOTONIC, &t);
		x = ((uint64_t)t.tv_nsec * UINT64_C(0x9e3779b97f4a7c15) ^ (uint64_t)(uintptr_t)&x) | 1;
	}
	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	if ((x >> 20) % ((uint64_t)places * seldom) != 0)
		return;
	if ((x >> 40) % naps == 0)
		usleep(NAP_US);
	else
		sched_yield();
}

/* The one that this one comes before. */
#define NEXT(name) \
	static __typeof__(name) *_Atomic next; \
	if (!next) \
		next = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

int pthread_mutex_lock(pthread_mutex_t *m)
{
	NEXT(pthread_mutex_lock);
	perhaps(1);
	return next(m);
}

int pthread_mutex_unlock(pthread_mutex_t *m)
{
	NEXT(pthread_mutex_unlock);
	int rc = next(m);
	perhaps(1);
	return rc;
}

void __tsan_func_entry(void *pc);
void __tsan_func_entry(void *pc)
{
	NEXT(__tsan_func_entry);
	perhaps(ENTRIES);
	next(pc);
}

#define TWO_STEPS(type, name, parameters, arguments) \
	type name parameters; \
	type name parameters \
	{ \
		NEXT(name); \
		perhaps(1); \
		type result = next arguments; \
		perhaps(1); \
		return result; \
	}
#define OF_SIZE(bits, T) \
	TWO_STEPS(T, __tsan_atomic##bits##_load, (const volatile T *a, int order), (a, order)) \
	TWO_STEPS(T, __tsan_atomic##bits##_exchange, (volatile T *a, T v, int order), (a, v, order)) \
	TWO_STEPS(T, __tsan_atomic##bits##_fetch_add, (volatile T *a, T v, int order), (a, v, order)) \
	TWO_STEPS(T, __tsan_atomic##bits##_fetch_sub, (volatile T *a, T v, int order), (a, v, order)) \
	TWO_STEPS(T, __tsan_atomic##bits##_fetch_or, (volatile T *a, T v, int order), (a, v, order)) \
	TWO_STEPS(int, __tsan_atomic##bits##_compare_exchange_strong, (volatile T *a, T *c, T v, int order, int failed), \
		  (a, c, v, order, failed)) \
	TWO_STEPS(int, __tsan_atomic##bits##_compare_exchange_weak, (volatile T *a, T *c, T v, int order, int failed), \
		  (a, c, v, order, failed)) \
	void __tsan_atomic##bits##_store(volatile T *a, T v, int order); \
	void __tsan_atomic##bits##_store(volatile T *a, T v, int order) \
	{ \
		NEXT(__tsan_atomic##bits##_store); \
		perhaps(1); \
		next(a, v, order); \
		perhaps(1); \
	}
OF_SIZE(8, uint8_t)
OF_SIZE(32, uint32_t)
OF_SIZE(64, uint64_t)
