/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop: the event loop and its lead. Readiness of descriptors, deadlines, tasks from other
 * threads, sockets, and host names.
 *
 *   lead        the token that lets one thread at a time run the loop
 *   watchers    cn_io (a descriptor), cn_timer (a deadline), cn_nap (before and after a wait)
 *   tasks       cn_wake_post: the one call that any thread may make
 *   sockets     cn_socket_…: non-blocking TCP, errors as CNODE_E… codes
 *   names       cn_resolve: host name -> addresses, never waiting
 *
 * Watchers are embedded by their owners and know their loop. "Lead" in a contract means:
 * only while holding the lead of that loop; a build with --enable-checks asserts it.
 *
 * libev and c-ares are used here and seen nowhere else. libev aborts the program when it
 * cannot grow its tables; the tables are grown when the loop is made (max_fds), so that
 * the rest of the life of a loop needs no memory of it.
 */
#ifndef CN_LOOP_H
#define CN_LOOP_H

#include <sys/uio.h>

#include "cnode/base/base.h"

/* ======================================================================================
 * the loop and its lead
 * ====================================================================================== */

struct cn_loop;

struct cn_loop_config {
	uint64_t (*now)(void *context);   /* NULL: cn_now */
	void *now_context;
	uint32_t max_fds;                 /* descriptors below this never make libev grow; 0: 1,024 */
	const char *dns;                  /* servers to ask, "ADDRESS[:PORT],…"; NULL: the system's. Copied */
};

/*
 * Makes a loop with nobody leading. The wake descriptor comes first, then the rest.
 * CNODE_ENOMEM; CNODE_EFDS; CNODE_ENOTSUP (the kernel gives no epoll).
 */
int cn_loop_new(const struct cn_loop_config *config, struct cn_loop **loop);
/* Takes NULL. Every watcher has been stopped, nobody leads or uses the loop; tasks that still wait are not run. */
void cn_loop_free(struct cn_loop *loop);

/* Takes the lead, waiting for it. Not by its holder. Any thread. */
void cn_lead_take(struct cn_loop *loop);
/* True if it was free and is now the caller's. Any thread. */
bool cn_lead_try(struct cn_loop *loop);
/* Gives it up; one futex wake, only if somebody waits in cn_lead_take. Lead. */
void cn_lead_release(struct cn_loop *loop);
/* True if the calling thread holds it. Any thread. */
bool cn_lead_held(const struct cn_loop *loop);

/* In a build with --enable-checks the program ends when the lead is not the caller's. */
#ifdef CN_CHECKS
void cn_lead_check(const struct cn_loop *loop, const char *where);
#define CN_LEAD(loop) cn_lead_check((loop), __func__)
#else
#define CN_LEAD(loop) ((void)(loop))
#endif

/*
 * One round: waits until something happens, but not past the loop time `until` (0: not at
 * all, CN_NEVER: as long as it takes); then calls what is ready, then timers that are due,
 * then the tasks posted so far. The wait is counted in whole milliseconds, rounded up. Lead.
 */
void cn_loop_poll(struct cn_loop *loop, uint64_t until);
/* The time when the wait of this round ended; what timers are compared with. Lead. */
uint64_t cn_loop_now(const struct cn_loop *loop);
/* The clock itself, read now. Any thread. */
uint64_t cn_loop_clock(const struct cn_loop *loop);
/* When the next round is needed though the descriptor of cn_loop_fd stays silent: 0 is at once, CN_NEVER. Lead. */
uint64_t cn_loop_due(const struct cn_loop *loop);
/*
 * For a program that drives the loop itself: a descriptor that is readable when a round with
 * until = 0 has something to do. Lead.
 */
int cn_loop_fd(struct cn_loop *loop);

/* ---- tasks: what other threads want to be done under the lead ---- */

struct cn_task {
	void (*run)(struct cn_task *task);      /* under the lead; the task may be posted again, or freed */
	struct cn_task *next;
	_Atomic bool posted;                    /* cleared before run is called */
};
/* Zeroed otherwise. */
static inline void cn_task_init(struct cn_task *t, void (*run)(struct cn_task *)) { *t = (struct cn_task){ .run = run }; }
/*
 * Has the task run once by the holder of the lead, after what is ready; wakes it if it waits.
 * False if it was posted already and has not begun to run: then this call adds nothing. Either way
 * the run that is to come sees what the caller wrote before. Tasks
 * run in the order they were posted; one that is posted by a task runs in the next round, before
 * any wait. The memory must live until it has run. Any thread; never blocks, never fails.
 */
bool cn_wake_post(struct cn_loop *loop, struct cn_task *task);

/* ---- deadlines ---- */

struct cn_timer {
	struct cn_heap_node node;
	void (*fire)(struct cn_timer *timer);   /* under the lead; the timer is stopped, may be set again or freed */
	struct cn_loop *loop;
	bool running;
};
void cn_timer_init(struct cn_timer *t, struct cn_loop *loop, void (*fire)(struct cn_timer *));
/* Starts it or moves it; CN_NEVER stops it. Cannot fail. Lead. */
void cn_timer_set(struct cn_timer *t, uint64_t due);
/* Nothing is called afterwards. May be stopped already. Lead. */
void cn_timer_stop(struct cn_timer *t);

/* ---- descriptors ---- */

#define CN_READ 1u
#define CN_WRITE 2u

struct cn_io {
	void (*ready)(struct cn_io *io, unsigned events);   /* under the lead; CN_READ, CN_WRITE; errors show as both */
	struct cn_loop *loop;
	int fd;                           /* -1: none */
	unsigned events;                  /* what it waits for */
	uint64_t watcher[8];              /* libev's */
};
/* Borrows fd until cn_io_close or cn_io_forget. */
void cn_io_init(struct cn_io *io, struct cn_loop *loop, int fd, void (*ready)(struct cn_io *, unsigned));
/* Waits for these events from now on; 0: for none. Lead. */
void cn_io_set(struct cn_io *io, unsigned events);
/* Stops, then closes the descriptor: the one way to close what was watched. No-op without one. Lead. */
void cn_io_close(struct cn_io *io);
/* Stops; returns the descriptor, which is yours again (-1: there was none). Lead. */
int cn_io_forget(struct cn_io *io);

/* ---- naps: called around a wait that may last ---- */

/*
 * `before` is called when a round is about to wait for longer than a millisecond, and says
 * when it wants to be called again at the latest (CN_NEVER; 0: do not wait). `after` is called
 * when the wait is over, before anything else. Both under the lead. For work of other threads
 * that the lead should finish if they do not (conn's corks).
 */
struct cn_nap {
	struct cn_nap *next;
	uint64_t (*before)(struct cn_nap *nap, uint64_t now);
	void (*after)(struct cn_nap *nap);
};
/*
 * The wait that is about to begin starts with `ns` (less than a second) in which descriptors are left alone:
 * what becomes ready meanwhile is taken together. Tasks that are posted end it, and timers that are due. From `before` only. Lead.
 */
void cn_loop_rest(struct cn_loop *loop, uint64_t ns);
/*
 * Waits from now on may begin with up to `ns` of looking without sleep, if the last ones say that it pays (spin.c); 0: they
 * may not. Only one loop for every two processors does so at a time, and none on a single one. Lead.
 */
void cn_loop_spin(struct cn_loop *loop, uint64_t ns);
/* The wait that is about to begin does not begin so: there is no hurry. From `before` only. Lead. */
void cn_loop_doze(struct cn_loop *loop);
void cn_nap_add(struct cn_loop *loop, struct cn_nap *nap);       /* Lead. */
void cn_nap_remove(struct cn_loop *loop, struct cn_nap *nap);    /* Lead. */

/* ======================================================================================
 * addresses
 * ====================================================================================== */

struct cn_address {
	uint8_t family;                   /* 4 or 6; 0: none */
	uint16_t port;
	uint32_t scope;                   /* IPv6 zone, 0: none */
	uint8_t ip[16];                   /* 4 or 16 bytes of it */
};
#define CN_ADDRESS_TEXT 72                /* "[v6%zone]:port" with terminator */

struct cn_address cn_address_any(int family, uint16_t port);
struct cn_address cn_address_loopback(int family, uint16_t port);
/* "10.1.2.3", "::1", "fe80::1%eth0", "::ffff:1.2.3.4" (gives family 4). False if text is none: a host name perhaps. */
bool cn_address_parse(const char *text, uint16_t port, struct cn_address *address);
/* "10.1.2.3:4369", "[::1]:4369". Returns text. */
const char *cn_address_text(const struct cn_address *a, char text[CN_ADDRESS_TEXT]);
bool cn_address_is_loopback(const struct cn_address *a);
bool cn_address_same_host(const struct cn_address *a, const struct cn_address *b);

/*
 * "host", "host:port", "[v6]:port", "v6", ":port": host gets the part before ("" if none), *port
 * the number, or is left alone. 0, CNODE_EBADARG. Any thread.
 */
int cn_address_split(const char *text, char *host, size_t host_room, uint16_t *port);

/* ======================================================================================
 * sockets: TCP, non-blocking, CLOEXEC, TCP_NODELAY, never SIGPIPE. Any thread.
 * ====================================================================================== */

/* The code for an errno value: CNODE_EFDS, CNODE_EADDRINUSE, CNODE_EACCES, CNODE_ETIMEOUT, CNODE_ENOCONNECTION, CNODE_ENOMEM, CNODE_EIO … */
int cn_error_of(int sys);

/*
 * Listens. port 0: any; *bound gets what it became. any(6) takes IPv4 too where the kernel
 * can; any(4) IPv4 only. *fd is yours. CNODE_EADDRINUSE, CNODE_EACCES, CNODE_EFDS, CNODE_EIO,
 * CNODE_ENOTSUP (no such address family here).
 */
int cn_socket_listen(const struct cn_address *address, int *fd, struct cn_address *bound);
/*
 * Takes one connection: 0 with *fd (yours) >= 0 and *peer (an IPv4 peer of an IPv6 socket is
 * given as IPv4), or with *fd = -1 when none waits. CNODE_EFDS (process or system), CNODE_ENOMEM,
 * CNODE_EIO (the listener is broken). A connection that broke while it waited is passed over.
 */
int cn_socket_accept(int listener, int *fd, struct cn_address *peer);
/* Begins to connect: *fd (yours) is writable when it is decided; then cn_socket_outcome. Errors as it, or CNODE_EFDS. */
int cn_socket_connect(const struct cn_address *address, int *fd);
/* 0: connected. CNODE_ENOCONNECTION (refused, unreachable, reset), CNODE_ETIMEOUT, CNODE_EACCES, CNODE_EIO. */
int cn_socket_outcome(int fd);
/*
 * Both return 0 with the bytes moved, 0 bytes: not now. Negative: the stream is over:
 * CNODE_ENOCONNECTION (closed or reset by the peer), CNODE_ETIMEOUT, CNODE_EIO.
 */
int cn_socket_read(int fd, const struct iovec *parts, int count, size_t *moved);
int cn_socket_write(int fd, const struct iovec *parts, int count, size_t *moved);
/* No more writes; the peer reads what was written, then the end. */
void cn_socket_shutdown(int fd);
/* Closes one that is not watched (cn_io_close otherwise). -1 is none. */
void cn_socket_close(int fd);
/* The addresses of a connected socket. 0, CNODE_EIO. */
int cn_socket_addresses(int fd, struct cn_address *own, struct cn_address *peer);
/* A connected pair, for tests and for streams inside of a program. CNODE_EFDS. */
int cn_socket_pair(int fd[2]);

/* ---- a listener that survives running out of descriptors ---- */

#define CN_LISTEN_TURN 64                 /* connections taken per round: a storm of them must not stop the rest */
#define CN_LISTEN_PAUSE (100 * CN_NS_PER_MS)   /* after EMFILE: how long it leaves the others waiting */

struct cn_listener {
	/* A connection; the descriptor is the callee's. Lead. */
	void (*taken)(struct cn_listener *l, int take_fd, const struct cn_address *peer);
	/* Descriptors ran out (rc, called once) or are there again (0); NULL: nobody wants to know. Lead. */
	void (*short_of_fds)(struct cn_listener *l, int rc);
	void *context;                    /* the owner's */
	struct cn_address address;        /* bound to */
	struct cn_io io;
	struct cn_timer pause;
	int reserve;                      /* a descriptor to give up when there is none left */
	bool starving;
};
/*
 * Starts one. When descriptors run out, the reserve is used to take and close a connection,
 * so that peers get an answer, and it accepts again after a pause. Lead. Errors as cn_socket_listen.
 */
int cn_listener_start(struct cn_listener *l, struct cn_loop *loop, const struct cn_address *address);
/* No-op if it was not started or is closed. Zero it before the first use. Lead. */
void cn_listener_close(struct cn_listener *l);

/* ======================================================================================
 * host names
 * ====================================================================================== */

#define CN_RESOLVE_MAX 8                  /* addresses of one name that are kept */

/*
 * One question. Numeric addresses are answered without asking anybody; /etc/hosts comes
 * before DNS. Other sources of the system's nsswitch.conf are not asked: they can block.
 */
struct cn_resolve {
	void (*done)(struct cn_resolve *r, int rc);   /* 0; CNODE_EHOST, CNODE_ETIMEOUT, CNODE_ENOMEM. Lead. */
	struct cn_address found[CN_RESOLVE_MAX];
	unsigned count;
	struct cn_loop *loop;             /* the rest is the resolver's */
	struct cn_resolve_query *query;
	struct cn_timer answer;
	uint16_t port;
	int rc;
};
/*
 * Asks; `family` 4, 6, or 0 for both. `done` is called exactly once, by a round of the
 * loop, never from inside of this call; r may be freed in it. host is copied. Lead.
 */
void cn_resolve_start(struct cn_resolve *r, struct cn_loop *loop, const char *host, int family, uint16_t port,
		      void (*done)(struct cn_resolve *, int));
/* `done` is not called any more. No-op when it was called. Lead. */
void cn_resolve_cancel(struct cn_resolve *r);

/* ---- all that DNS knows under a name: for finding nodes ---- */

#define CN_DNS_MAX 1024                   /* answers that are kept: a server that sends without end */

enum cn_dns_kind {
	CN_DNS_HOST,                      /* A and AAAA, /etc/hosts too */
	CN_DNS_SRV,
};

struct cn_dns_answer {
	char *target;                     /* an address as text, or the name that an SRV record points to */
	uint16_t port;                    /* SRV */
};

/* One question. */
struct cn_dns {
	/*
	 * As cn_resolve: with 0 there is an answer at least. They are freed when it returns: the question may be
	 * neither freed nor asked anew in it.
	 */
	void (*done)(struct cn_dns *q, int rc);
	struct cn_dns_answer *answer;
	unsigned count;
	struct cn_loop *loop;             /* the rest is the resolver's */
	struct cn_dns_query *query;
	struct cn_timer told;
	int rc;
};
/* Asks; `done` is called exactly once, by a round of the loop, never from inside of this call. name is copied. Lead. */
void cn_dns_start(struct cn_dns *q, struct cn_loop *loop, enum cn_dns_kind kind, const char *name,
		  void (*done)(struct cn_dns *, int));
/* `done` is not called any more. No-op when it was called. Lead. */
void cn_dns_cancel(struct cn_dns *q);
/* True for a list of servers as in cn_loop_config. Any thread. */
bool cn_dns_servers_valid(const char *servers);

#endif
