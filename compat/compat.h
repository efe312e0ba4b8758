/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compat: everything that differs between platforms, OTP releases and versions of
 * erl_interface, and only here. This header: platform and digest. otp.h: the releases.
 * ei.h: erl_interface.
 */
#ifndef CN_COMPAT_H
#define CN_COMPAT_H

#include <signal.h>
#include <stddef.h>
#include <stdint.h>

#include "compat/otp.h"

/* Fills `size` bytes from the kernel's random source; blocks only before it is seeded at boot. 0, CNODE_EIO. */
int cn_random(void *bytes, size_t size);

/*
 * Gives memory that nobody uses back to the system, where the C library keeps it. Takes milliseconds where
 * there is much. Any thread.
 */
void cn_memory_trim(void);
/* For a thread that begins: lets cn_memory_trim reach what the C library keeps for it, also once it has ended. */
void cn_memory_know(void);

/*
 * The handshake's digest, MD5(cookie ‖ decimal challenge): erl_dist_protocol, "Digest
 * Generation". 0, or CNODE_EINTERNAL where the crypto library has no MD5 (FIPS mode).
 */
#define CN_DIGEST_SIZE 16
int cn_digest(const char *cookie, size_t cookie_size, uint32_t challenge, uint8_t digest[CN_DIGEST_SIZE]);

/* Compares in a time that depends on `size` only. */
int cn_secure_equal(const void *a, const void *b, size_t size);

/* Overwrites a secret before its memory is freed; the compiler may not leave it out. */
void cn_secure_clear(void *p, size_t size);

/*
 * A file descriptor that becomes readable by cn_event_set and unreadable by
 * cn_event_clear; both are safe from any thread and in a signal handler.
 * cn_event_open returns the descriptor, or CNODE_EFDS.
 */
int cn_event_open(void);
void cn_event_set(int fd);
void cn_event_clear(int fd);
/* Waits until it is set, but no longer than so many nanoseconds (less than a second), and what the system's timers add. */
void cn_event_wait(int fd, uint64_t ns);
/* Is a descriptor (any) readable? Does not wait. */
int cn_event_ready(int fd);

/*
 * A descriptor that is readable when SIGINT or SIGTERM is pending for the calling thread,
 * which blocks both. The caller's mask is kept for cn_signals_close, which also takes
 * what is pending, so that putting the mask back does not deliver it a second time.
 * 0, CNODE_EFDS.
 */
struct cn_signals {
	int fd;
	sigset_t old;
};
int cn_signals_open(struct cn_signals *s);
void cn_signals_close(struct cn_signals *s);

/* Processors that this program may use; at least 1. */
int cn_processors(void);

/* Processors that are there, used by this program or not; at least 1. */
int cn_processors_online(void);

/* CPU time that this program has used, in nanoseconds. */
uint64_t cn_cpu_time(void);

/* Memory of this program in bytes: what is in use, and the part of it that is code. 0 where the platform does not tell. */
struct cn_memory_sizes {
	uint64_t total, code;
};
struct cn_memory_sizes cn_memory_sizes(void);

/* What the machine and its system are called: "x86_64-linux". Static memory. */
const char *cn_architecture(void);
/*
 * The calling thread's number, and a thread of that number (of this process) getting less of the
 * processors than the others: 10 nice levels, which cannot be taken back without privileges. Linux
 * has a nice value per thread; elsewhere nothing happens. Any thread.
 */
int cn_thread_id(void);
void cn_thread_lower(int id);
/* Lets threads that wait for this processor run first. */
void cn_thread_yield(void);

/* The name of this host; with a domain if `full`. 0, CNODE_EHOST (it has none that fits). */
int cn_host_name(char *name, size_t room, int full);

#endif
