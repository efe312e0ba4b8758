/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base: what every room stands on. Errors, memory, byte buffers, the read cursor with a
 * sticky error, log lines, time, and the wrappers of threads. Knows nothing of Erlang.
 */
#ifndef CN_BASE_H
#define CN_BASE_H

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "cnode/error.h"
#include "cnode/log.h"
#include "cnode/memory.h"

#define CN_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define CN_CONTAINER(ptr, type, member) ((type *)(void *)((char *)(ptr) - offsetof(type, member)))
#define CN_LIKELY(x) __builtin_expect(!!(x), 1)
#define CN_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define CN_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

/* ---- memory: the one allocator of cnode/memory.h. Any thread. ---- */

void *cn_malloc(size_t size);                     /* NULL: out of memory */
void *cn_calloc(size_t count, size_t size);       /* zeroed; NULL also when the product overflows */
void *cn_realloc(void *p, size_t size);
void cn_free(void *p);                            /* takes NULL */
char *cn_strdup(const char *s);                   /* returns yours */
char *cn_strndup(const char *s, size_t size);     /* returns yours, terminated */
/* As asprintf: returns yours, or NULL when out of memory. */
char *cn_asprintf(const char *fmt, ...) CN_PRINTF(1, 2);

/* ---- a growing byte buffer, with a sticky error (0, CNODE_ENOMEM or CNODE_ETOOBIG) ---- */

struct cn_buf {
	uint8_t *data;
	size_t size;      /* bytes in use */
	size_t room;      /* bytes allocated */
	size_t limit;     /* it never grows past this; 0: no limit */
	int err;          /* once set, puts do nothing */
};

void cn_buf_init(struct cn_buf *b, size_t limit);
void cn_buf_fini(struct cn_buf *b);
/* Makes room for `more` bytes behind the used ones; returns where to write them, NULL on error. */
uint8_t *cn_buf_reserve(struct cn_buf *b, size_t more);
/* Hands the bytes over: returns yours (cn_free), and leaves the buffer empty. NULL when empty. */
uint8_t *cn_buf_take(struct cn_buf *b, size_t *size);
/* Drops the first n bytes, moving the rest to the front. */
void cn_buf_consume(struct cn_buf *b, size_t n);
static inline void cn_buf_clear(struct cn_buf *b) { b->size = 0; b->err = 0; }
void cn_put(struct cn_buf *b, const void *data, size_t size);
void cn_put_u8(struct cn_buf *b, uint8_t v);
void cn_put_u16(struct cn_buf *b, uint16_t v);
void cn_put_u32(struct cn_buf *b, uint32_t v);
void cn_put_u64(struct cn_buf *b, uint64_t v);
/* Appends formatted text without a terminating NUL. */
void cn_put_text(struct cn_buf *b, const char *fmt, ...) CN_PRINTF(2, 3);

/* Big endian, as all that goes over the wire. Compilers make one instruction, or two, of each. */
static inline uint8_t *cn_store_u16(uint8_t *p, uint16_t v) { p[0] = (uint8_t)(v >> 8); p[1] = (uint8_t)v; return p + 2; }
static inline uint8_t *cn_store_u32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
	return p + 4;
}
static inline uint8_t *cn_store_u64(uint8_t *p, uint64_t v) { return cn_store_u32(cn_store_u32(p, (uint32_t)(v >> 32)), (uint32_t)v); }
static inline uint16_t cn_load_u16(const uint8_t *p) { return (uint16_t)(p[0] << 8 | p[1]); }
static inline uint32_t cn_load_u32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}
static inline uint64_t cn_load_u64(const uint8_t *p) { return (uint64_t)cn_load_u32(p) << 32 | cn_load_u32(p + 4); }

/* ---- the read cursor: after the first overrun every read gives 0 and err stays set ---- */

struct cn_rd {
	const uint8_t *at;
	const uint8_t *end;
	int err;          /* 0, or CNODE_EPROTO after an overrun */
};

static inline struct cn_rd cn_rd_init(const void *data, size_t size)
{
	struct cn_rd r = { (const uint8_t *)data, (const uint8_t *)data + size, 0 };
	return r;
}
static inline size_t cn_rd_left(const struct cn_rd *r) { return (size_t)(r->end - r->at); }
/* Takes n bytes; NULL (and err) if fewer are left. */
static inline const uint8_t *cn_rd_bytes(struct cn_rd *r, size_t n)
{
	if (CN_UNLIKELY(r->err || cn_rd_left(r) < n)) {
		r->err = CNODE_EPROTO;
		r->at = r->end;
		return NULL;
	}
	const uint8_t *p = r->at;
	r->at += n;
	return p;
}
static inline uint8_t cn_rd_u8(struct cn_rd *r) { const uint8_t *p = cn_rd_bytes(r, 1); return p ? *p : 0; }
static inline uint16_t cn_rd_u16(struct cn_rd *r) { const uint8_t *p = cn_rd_bytes(r, 2); return p ? cn_load_u16(p) : 0; }
static inline uint32_t cn_rd_u32(struct cn_rd *r) { const uint8_t *p = cn_rd_bytes(r, 4); return p ? cn_load_u32(p) : 0; }
static inline uint64_t cn_rd_u64(struct cn_rd *r) { const uint8_t *p = cn_rd_bytes(r, 8); return p ? cn_load_u64(p) : 0; }

/* ---- time and randomness, injected so that tests can own them ---- */

#define CN_NS_PER_MS UINT64_C(1000000)
#define CN_NS_PER_S UINT64_C(1000000000)
#define CN_NEVER UINT64_MAX        /* a deadline that never comes */

/* Monotonic nanoseconds. Any thread. */
uint64_t cn_now(void);

/*
 * ---- hashing, keyed: peers choose the names, pids and references that tables keep, and whoever can tell which keys meet
 * in a bucket can make a table a list. The key is drawn once in a program's life; hashes mean nothing outside of it. ----
 */

struct cn_hash { uint64_t v[4]; };

void cn_hash_init(struct cn_hash *h);
void cn_hash_word(struct cn_hash *h, uint64_t word);
/* A part's end is told by the size of its last word only: who adds parts that may vary in length says how long they are. */
void cn_hash_bytes(struct cn_hash *h, const void *bytes, size_t size);
/* What has come so far; *h may go on. */
uint64_t cn_hash_end(const struct cn_hash *h);
/* Of these bytes alone. Any thread. */
uint64_t cn_hash_of(const void *bytes, size_t size);

/*
 * Tables of structs are uthash's, set up here and nowhere else: our allocator, the hash above. Without memory an addition
 * is left out (uthash would end the program else), and the caller's `bool added`, true before, is false.
 */
#define HASH_FUNCTION(key, size, hash) ((hash) = (unsigned)cn_hash_of((key), (size)))
#define HASH_NONFATAL_OOM 1
#define uthash_nonfatal_oom(element) (added = false)
#define uthash_malloc(size) cn_malloc(size)
#define uthash_free(p, size) cn_free(p)
#include <uthash.h>

/* ---- a heap of deadlines; its owner locks it ---- */

struct cn_heap_node {
	uint64_t due;                     /* set before adding, not changed while inside */
	struct cn_heap_node *child;       /* first of those that are due later */
	struct cn_heap_node *next;        /* sibling */
	struct cn_heap_node *back;        /* previous sibling, or the parent */
};
struct cn_heap { struct cn_heap_node *first; };    /* due next; NULL: empty. Zero it before use. */

void cn_heap_add(struct cn_heap *h, struct cn_heap_node *n);
/* n is in the heap: its owner knows. */
void cn_heap_remove(struct cn_heap *h, struct cn_heap_node *n);
/* When the first is due; CN_NEVER when there is none. */
static inline uint64_t cn_heap_due(const struct cn_heap *h) { return h->first ? h->first->due : CN_NEVER; }

/* ---- log: lines are queued by anybody and written by one thread that holds no lock ---- */

struct cn_log;

/* Starts the writer. Out of memory or threads: CNODE_ENOMEM / CNODE_ESYSLIMIT. write NULL: stderr. */
int cn_log_new(enum cnode_log_level level, cnode_log_fn *write, void *context, struct cn_log **log);
/* Writes what is queued, ends the writer. Takes NULL. No other thread may use the log any more. */
void cn_log_free(struct cn_log *log);
void cn_log_set_level(struct cn_log *log, enum cnode_log_level level);
/* True if a line of this level would be written; log may be NULL (false). */
bool cn_log_on(const struct cn_log *log, enum cnode_log_level level);
/*
 * Queues one line; never blocks on the writer. When the queue is full (1,024 lines) the
 * line is counted and the count is logged when there is room. Any thread; log may be NULL.
 */
void cn_log_line(struct cn_log *log, enum cnode_log_level level, const char *fmt, ...) CN_PRINTF(3, 4);
/* The same whatever the log's level is: the caller has looked at another one. */
void cn_log_put(struct cn_log *log, enum cnode_log_level level, const char *fmt, va_list args) CN_PRINTF(3, 0);
/* Waits until every line queued before the call is written. Never under the lead. */
void cn_log_flush(struct cn_log *log);

/* What CNODE_TRACE can ask for; each event is one line, an Erlang term. */
#define CN_TRACE_MAP(X) X(HANDSHAKE, "handshake", 1u) X(FRAMES, "frames", 2u) X(SIGNALS, "signals", 4u) X(SPAWN, "spawn", 8u)
#define CN_TRACE_ENUM_(name, word, bit) CN_TRACE_##name = bit,
enum cn_trace { CN_TRACE_MAP(CN_TRACE_ENUM_) };
#undef CN_TRACE_ENUM_
/* Words separated by commas, or "all". CNODE_EBADARG: *bad is where a word begins that is none. */
int cn_trace_parse(const char *text, unsigned *mask, const char **bad);
/* Before the log is used by others. */
void cn_log_set_trace(struct cn_log *log, unsigned mask);
/* True if this is traced; log may be NULL. Any thread. */
bool cn_trace_on(const struct cn_log *log, enum cn_trace what);
/* As cn_log_line at level debug, whatever level is set. */
void cn_trace_line(struct cn_log *log, const char *fmt, ...) CN_PRINTF(2, 3);

/* At most `burst` lines per second pass; the rest are counted. Zero it before use; own lock. */
struct cn_log_gate {
	_Atomic uint64_t window;    /* second that is being counted */
	_Atomic uint32_t passed;
	_Atomic uint32_t held;
};
/* True if a line may be written now; *held gets how many were kept back before it. */
bool cn_log_pass(struct cn_log_gate *gate, uint32_t burst, uint32_t *held);

/* ---- threads. Initialising cannot fail on the platforms we build for; starting can. ---- */

struct cn_mutex { pthread_mutex_t m; };
struct cn_cond { pthread_cond_t c; };              /* waits on the monotonic clock */
struct cn_thread { pthread_t t; };

void cn_mutex_init(struct cn_mutex *m);
void cn_mutex_fini(struct cn_mutex *m);
static inline void cn_mutex_lock(struct cn_mutex *m) { pthread_mutex_lock(&m->m); }
static inline bool cn_mutex_trylock(struct cn_mutex *m) { return pthread_mutex_trylock(&m->m) == 0; }
static inline void cn_mutex_unlock(struct cn_mutex *m) { pthread_mutex_unlock(&m->m); }
void cn_cond_init(struct cn_cond *c);
void cn_cond_fini(struct cn_cond *c);
static inline void cn_cond_wait(struct cn_cond *c, struct cn_mutex *m) { pthread_cond_wait(&c->c, &m->m); }
/* Waits until signalled or `deadline` (as cn_now; CN_NEVER waits for ever); false when it has passed. */
bool cn_cond_wait_until(struct cn_cond *c, struct cn_mutex *m, uint64_t deadline);
static inline void cn_cond_signal(struct cn_cond *c) { pthread_cond_signal(&c->c); }
static inline void cn_cond_broadcast(struct cn_cond *c) { pthread_cond_broadcast(&c->c); }
/* Starts a thread with every signal blocked; `name` (15 bytes) shows in ps -L. CNODE_ESYSLIMIT on failure. */
int cn_thread_start(struct cn_thread *t, const char *name, void (*run)(void *), void *arg);
void cn_thread_join(struct cn_thread *t);

/*
 * ---- mutants: false, but in a build with --enable-mutants, where the environment's CNODE_MUTANT names the one that
 * is true. Each CN_MUTANT breaks one behaviour on purpose, so that conformance/mutants can show that the suite notices. ----
 */
#ifdef CN_MUTANTS
bool cn_mutant(const char *name);
#define CN_MUTANT(name) cn_mutant(#name)
#else
#define CN_MUTANT(name) false
#endif

#endif
