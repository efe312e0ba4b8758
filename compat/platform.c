/* SPDX-License-Identifier: Apache-2.0 */
/* Randomness, digest and event descriptors of the platform. */
#include "compat/compat.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <openssl/evp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>
#endif

#include "cnode/error.h"

#ifdef __GLIBC__
/*
 * glibc has a heap for (about) each thread. malloc_trim gives back what is free inside of all of them, but their free
 * ends only of the first; those of the others go when a large block at the end is freed. So each heap that is known
 * has a block here: made larger in its heap and small again, it leaves such a block.
 */
#define HEAPS 64
#define HEAP_BITS 26                    /* they are aligned to 64 MB; where they are not, a block too many is kept */
#define ANCHOR 2048                     /* too large for the caches of threads */
#define LARGE (96u << 10)               /* enough for glibc to look at the end, and not a mapping of its own */

static _Atomic(void *) heaps[HEAPS];

void cn_memory_know(void)
{
	void *block = malloc(ANCHOR), *there;
	if (!block)
		return;
	for (size_t i = 0; i < HEAPS; i++) {
		there = NULL;
		if (atomic_compare_exchange_strong(&heaps[i], &there, block))
			return;
		if ((uintptr_t)there >> HEAP_BITS == (uintptr_t)block >> HEAP_BITS)
			break;
	}
	free(block);
}

void cn_memory_trim(void)
{
	malloc_trim(0);
	for (size_t i = 0; i < HEAPS; i++) {
		void *block = atomic_exchange(&heaps[i], NULL), *other = NULL;
		if (!block)
			continue;
		void *moved = realloc(block, LARGE);
		if (moved)
			block = moved;
		moved = realloc(block, ANCHOR);
		if (moved)
			block = moved;
		/* Meanwhile the place was free, and a thread that begins may have taken it. */
		if (!atomic_compare_exchange_strong(&heaps[i], &other, block))
			free(block);
	}
}
#else
void cn_memory_know(void)
{
}

void cn_memory_trim(void)
{
}
#endif

int cn_random(void *bytes, size_t size)
{
	uint8_t *at = bytes;
	while (size > 0) {
		ssize_t n = getrandom(at, size, 0);
		if (n < 0) {
			if (errno == EINTR)
				continue;
			return CNODE_EIO;
		}
		at += n;
		size -= (size_t)n;
	}
	return 0;
}

int cn_digest(const char *cookie, size_t cookie_size, uint32_t challenge, uint8_t digest[CN_DIGEST_SIZE])
{
	char decimal[16];
	int n = snprintf(decimal, sizeof decimal, "%lu", (unsigned long)challenge);
	unsigned size = 0;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	if (!ctx)
		return CNODE_ENOMEM;
	int ok = EVP_DigestInit_ex(ctx, EVP_md5(), NULL) &&
		 EVP_DigestUpdate(ctx, cookie, cookie_size) &&
		 EVP_DigestUpdate(ctx, decimal, (size_t)n) &&
		 EVP_DigestFinal_ex(ctx, digest, &size);
	EVP_MD_CTX_free(ctx);
	return ok && size == CN_DIGEST_SIZE ? 0 : CNODE_EINTERNAL;
}

int cn_secure_equal(const void *a, const void *b, size_t size)
{
	const volatile uint8_t *x = a, *y = b;
	uint8_t differ = 0;
	for (size_t i = 0; i < size; i++)
		differ |= x[i] ^ y[i];
	return differ == 0;
}

void cn_secure_clear(void *p, size_t size)
{
	volatile uint8_t *at = p;
	while (size-- > 0)
		*at++ = 0;
}

int cn_event_open(void)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return fd >= 0 ? fd : CNODE_EFDS;
}

void cn_event_set(int fd)
{
	uint64_t one = 1;
	/* EAGAIN means that the counter is full, so the descriptor is readable already. */
	while (write(fd, &one, sizeof one) < 0 && errno == EINTR)
		continue;
}

void cn_event_clear(int fd)
{
	uint64_t count;
	while (read(fd, &count, sizeof count) < 0 && errno == EINTR)
		continue;
}

void cn_event_wait(int fd, uint64_t ns)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct timespec most = { .tv_nsec = (long)ns };
	/* Whatever ends it early, a signal too, the caller goes on. */
	(void)!ppoll(&p, 1, &most, NULL);
}

int cn_event_ready(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	return poll(&p, 1, 0) > 0;
}

static void stop_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGTERM);
}

int cn_signals_open(struct cn_signals *s)
{
	sigset_t set;
	stop_signals(&set);
	s->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->fd < 0)
		return CNODE_EFDS;
	pthread_sigmask(SIG_BLOCK, &set, &s->old);
	return 0;
}

void cn_signals_close(struct cn_signals *s)
{
	struct signalfd_siginfo info;
	while (read(s->fd, &info, sizeof info) > 0)
		continue;
	close(s->fd);
	pthread_sigmask(SIG_SETMASK, &s->old, NULL);
}

int cn_processors(void)
{
	cpu_set_t set;
	CPU_ZERO(&set);
	int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 0;
	return count > 0 ? count : 1;
}

int cn_processors_online(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);
	return n > 0 ? (int)n : 1;
}

uint64_t cn_cpu_time(void)
{
	struct timespec t = { 0 };
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

struct cn_memory_sizes cn_memory_sizes(void)
{
	struct cn_memory_sizes sizes = { 0, 0 };
	unsigned long long resident = 0, text = 0;
	/* proc(5): pages of size, resident, shared, text, … */
	FILE *f = fopen("/proc/self/statm", "re");
	if (!f)
		return sizes;
	if (fscanf(f, "%*u %llu %*u %llu", &resident, &text) == 2) {
		uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
		sizes.total = resident * page;
		sizes.code = text * page < sizes.total ? text * page : 0;
	}
	fclose(f);
	return sizes;
}

const char *cn_architecture(void)
{
#if defined __x86_64__
	return "x86_64-linux";
#elif defined __aarch64__
	return "aarch64-linux";
#else
	return "linux";
#endif
}

int cn_thread_id(void)
{
#ifdef SYS_gettid
	return (int)syscall(SYS_gettid);
#else
	return 0;
#endif
}

void cn_thread_lower(int id)
{
#ifdef __linux__
	errno = 0;
	int nice = getpriority(PRIO_PROCESS, (id_t)id);
	if (errno == 0)
		(void)!setpriority(PRIO_PROCESS, (id_t)id, nice + 10);        /* cut off at 19 */
#else
	(void)id;
#endif
}

void cn_thread_yield(void)
{
	sched_yield();
}

int cn_host_name(char *name, size_t room, int full)
{
	if (gethostname(name, room) != 0 || memchr(name, 0, room) == NULL || name[0] == 0)
		return CNODE_EHOST;
	char *dot = strchr(name, '.');
	if (!full) {
		if (dot)
			*dot = 0;
		return 0;
	}
	if (dot)
		return 0;
	/* As inet:gethostbyname of the own name does for erl -name. */
	struct addrinfo hints = { .ai_flags = AI_CANONNAME, .ai_socktype = SOCK_STREAM }, *found = NULL;
	if (getaddrinfo(name, NULL, &hints, &found) != 0)
		return CNODE_EHOST;
	int fits = found->ai_canonname && strchr(found->ai_canonname, '.') && strlen(found->ai_canonname) < room;
	if (fits)
		memcpy(name, found->ai_canonname, strlen(found->ai_canonname) + 1);
	freeaddrinfo(found);
	return fits ? 0 : CNODE_EHOST;
}
