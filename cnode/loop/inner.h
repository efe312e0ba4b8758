/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this room share: the loop as it is, and sockaddr conversions. */
#ifndef CN_LOOP_INNER_H
#define CN_LOOP_INNER_H

#include <ev.h>
#include <sys/socket.h>

#include "cnode/loop/loop.h"

struct resolver;

/* ---- spin.c: waits that begin busy ---- */

/* What is known of the last waits; begins zeroed. */
struct cn_spin {
	unsigned worth;                     /* waits begin busy; so many more in vain than not, and they do not */
	unsigned shorts, wanted;            /* short waits asleep since then, and so many before it is tried again */
};
/* A wait that could have begun busy took so many ns in all. */
void cn_spin_took(struct cn_spin *s, uint64_t most, uint64_t took);

struct cn_loop {
	struct ev_loop *ev;
	uint64_t (*clock)(void *context);
	void *clock_context;
	uint64_t now;                       /* when the last wait ended */

	_Atomic(const void *) leader;       /* a thread's own address; NULL: free */
	_Atomic uint32_t lead_waiting;      /* threads in cn_lead_take */
	struct cn_mutex lead_lock;          /* for waiting only */
	struct cn_cond lead_free;

	_Atomic(struct cn_task *) tasks;    /* posted, last first */
	_Atomic bool deaf;                  /* nobody will look at tasks unless woken */
	int wake_fd;
	ev_io wake;

	struct cn_heap timers;
	ev_timer alarm;                     /* libev's one timer */
	uint64_t alarm_due;                 /* what it is set for; CN_NEVER: not running */

	struct cn_nap *naps;
	bool napping;                       /* `before` was called, `after` was not */
	uint64_t rest;                      /* cn_loop_rest, for the wait that is about to begin */
	bool dozes;                         /* cn_loop_doze, for the wait that is about to begin */
	uint64_t spin_most;                 /* cn_loop_spin, for the next wait */
	uint64_t wait_began;                /* of a wait that tells of busy ones; 0: it tells nothing */
	struct cn_spin spin;
	int most_looking;                   /* loops of this program that wait busily at a time */
	int backend;                        /* libev's epoll */
	bool changed;                       /* watchers changed since libev told the kernel */
	bool embedded;                      /* cn_loop_fd: somebody else polls the backend */

	struct resolver *resolver;          /* made with the first name */
	char *dns;                          /* the servers it asks; NULL: the system's */
};

/* Frees it; NULL is fine. */
void cn_resolver_free(struct resolver *r);

/* Both ways; to_ returns the size of what it filled. */
socklen_t cn_address_to(const struct cn_address *a, struct sockaddr_storage *ss);
void cn_address_from(struct cn_address *a, const struct sockaddr *sa);

#endif
