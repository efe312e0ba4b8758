/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of proc share. Locks, in the order in which they may be taken:
 *
 *   process.lock   mailbox, relations, state of one process; two are held at once only by
 *                  link, unlink and spawn_link between two local processes (lower address first)
 *   then one of: a shard of pids, a shard of names, a shard of nodes, the list of monitor_nodes,
 *   a run queue, the timers
 *
 * process.out serialises what leaves in the name of a process; see out.c.
 */
#ifndef CN_PROC_INNER_H
#define CN_PROC_INNER_H

#include "cnode/proc/proc.h"

/* ---- relations: links, monitors, aliases, monitor_node, timers ---- */

enum rel_type {
	REL_LINK,               /* keyed by pid */
	REL_NODE,               /* monitor_node: keyed by node, one for each call */
	REL_NODES,              /* monitor_nodes: keyed by `mode`, the types; see nodes.c */
	REL_WATCH,              /* we watch about.pid, or about.name at about.node; keyed by ref, as the rest */
	REL_WATCHED,            /* about.pid watches us, by about.name if that is not NULL; keyed by pid and ref */
	REL_ALIAS,
	REL_TIMER,
};

struct rel {
	struct cn_message msg;          /* what it ends in: so that an end needs no memory */
	struct cn_about about;
	struct rel *chain;              /* in its hash chain, or in a list of what is to be emitted */
	struct rel *node_next, *node_prev;
	struct cnode_process *owner;
	uint64_t hash;
	uint64_t epoch;
	uint64_t unlink_id;             /* LINK: of the UNLINK that is not acked yet */
	uint64_t times;                 /* NODES: subscriptions; under the lock of the list */
	uint64_t watched;               /* WATCH of a local process: its number */
	uint8_t type;                   /* enum rel_type */
	uint8_t mode;                   /* WATCH: enum cn_alias_mode; ALIAS: 1 ends with the first message */
	bool active;                    /* LINK */
	bool of_start;                  /* made by the spec of a spawn: says nothing if the spawn is refused */
	_Atomic bool listed;            /* in the list of its node; NODES: in that of all */
	uint8_t emit;                   /* enum cn_signal_kind, while it waits to be emitted */
};

/*
 * A WATCHED by name. A peer takes it back with the name again, which may be another process's by then, or nobody's:
 * it is found by its reference among those of the peer's node.
 */
struct named {
	struct rel rel;
	struct named *next, **at;       /* in its bucket, while it is listed; under the lock of the shard */
};

struct timer {
	struct rel rel;                 /* REL_TIMER; msg.term is the message */
	struct cn_heap_node node;
	bool queued;                    /* in the heap: under the lock of the timers */
};

struct rels {
	struct rel **buckets;
	uint32_t mask;
	uint32_t count;
	struct rel *few[4];             /* the buckets of a process with few relations */
};

void rels_init(struct rels *t);
void rels_fini(struct rels *t);
void rels_put(struct rels *t, struct rel *r);
void rels_take(struct rels *t, struct rel *r);
/* Any relation but those seen: takes it out; *from is where to go on, 0 at first. */
struct rel *rels_pop(struct rels *t, uint32_t *from);

struct cn_procs;
uint64_t hash_pid(const struct cn_procs *procs, cnode_pid pid);
uint64_t hash_ref(const struct cn_procs *procs, const cnode_ref *ref);
uint64_t hash_text(const struct cn_procs *procs, const char *text, size_t size);

struct rel *rel_find_pid(struct cnode_process *p, cnode_pid pid);           /* LINK */
struct rel *rel_find_ref(struct cnode_process *p, enum rel_type type, const cnode_ref *ref);
/* WATCHED: the pid belongs to the key, so that no peer can take a reference of another. */
struct rel *rel_find_watched(struct cnode_process *p, const cnode_ref *ref, cnode_pid by);
/* The process that the peer watches by a name, whoever has the name now. Counted; NULL: there is none on this connection. */
struct cnode_process *rel_find_named(struct cn_procs *procs, const cnode_ref *ref, cnode_pid by, uint64_t epoch);
/* A relation with the name copied behind it; not in any table yet. NULL: out of memory. */
struct rel *rel_new(enum rel_type type, const char *name);
/* Adds it to its owner's table and, if `node` is another one, to the list of that node. Under the owner's lock. 0, CNODE_ENOMEM, CNODE_ESTALE. */
int rel_add(struct cnode_process *p, struct rel *r, cnode_name node, uint64_t epoch);
/* The reverse. Under the owner's lock. */
void rel_remove(struct cnode_process *p, struct rel *r);
/* The rest of rel_remove for one that rels_pop has taken out of the table. */
void rel_unlist(struct cnode_process *p, struct rel *r);
void rel_free(struct rel *r);                   /* takes NULL */
/* REL_NODES leaves the list of monitor_nodes. Under its owner's lock. */
void nodes_unlist(struct cn_procs *procs, struct rel *r);
/* The node it ends with; 0: none. */
cnode_name rel_node(const struct rel *r);
/* True if it is still in its owner's table; looks at no memory of it. Under the lock. */
bool rel_is_in(struct cnode_process *p, const struct rel *wanted, uint64_t hash, bool by_ref);

/* ---- nodes that processes have relations with ---- */

enum { NODE_LINKS, NODE_MONITORS, NODE_WATCHERS, NODE_LISTS };   /* the order in which they end */

struct peer {
	struct peer *next;              /* in its bucket */
	cnode_name name;
	struct rel *first[NODE_LISTS], *last[NODE_LISTS];  /* by growing epoch */
	struct named **named;           /* WATCHED by name: a hash table, or one bucket */
	struct named *one;
	uint32_t named_mask, named_count;
};

#define PEER_SHARDS 16
#define PEER_BUCKETS 64
struct peer_shard {
	struct cn_mutex lock;
	struct peer *buckets[PEER_BUCKETS];
};

/* Where the node's entry hangs (*it is NULL: there is none), with *lock taken: the caller unlocks. */
struct peer **peer_find(struct cn_procs *procs, cnode_name node, struct cn_mutex **lock);
void peer_unlist(struct peer *peer, struct rel *r);
void peer_free_if_empty(struct peer **at);
void peer_free(struct peer *peer);

/* ---- processes ---- */

enum run_state {
	RUN_IDLE,
	RUN_READY,
	RUN_RUNNING,
	RUN_HELD,
	RUN_OWN,                /* by a thread of its own; stays so */
};

#define OUT_BUSY 1u             /* somebody emits in its name */
#define OUT_WORK 2u             /* and will find more when it is through */

struct pending {                /* answers to be emitted in its name, in order */
	struct rel *first, *last;
};

struct queue {
	struct cn_message *first, *last;
};

struct name {
	struct name *next;
	struct cnode_process *process;
	uint64_t hash;
	char text[];
};

struct cnode_process {
	struct cn_mutex lock;
	_Atomic uint32_t refs;          /* the table's, the remains', those who look */
	_Atomic uint32_t out;
	_Atomic bool dead;
	bool start_pending;             /* `started` is owed: by whoever may emit */
	bool refused;                   /* who emits the death: the spawn failed */
	bool stopping;                  /* own thread: cn_process_stop was called */
	bool ran_init;                  /* own thread */
	bool slicing;                   /* own thread: inside cn_sched_run */
	bool terminated;                /* own thread: terminate was called, or is not to be */
	bool held;                      /* own thread: CN_SUSPEND came in this slice */
	/* under the lock */
	bool trap_exit;
	bool killed;                    /* by exit/2 with kill */
	bool handed;                    /* its death waits for its own thread to leave a send */
	uint8_t state;                  /* enum run_state */
	int32_t holds;                  /* CN_SUSPEND less resumes */
	int start_code;                 /* for `started` */
	bool start_timed;               /* the timer of start_ref ends the start */
	cnode_ref start_ref;
	uint64_t start_by;              /* when it does; CN_NEVER: it does not */
	struct queue inbox;             /* what arrived */
	uint32_t messages;
	uint64_t bytes;                 /* of the mailbox and of what its class holds */
	struct rels links;              /* LINK, NODE */
	struct rels refs_of;            /* WATCH, WATCHED, ALIAS, TIMER */
	uint32_t links_count, watches, watchers;
	struct pending pending;
	struct name *name;
	cnode_term reason;              /* once dead */
	cnode_pid leader;
	/* own thread */
	struct queue mailbox;           /* taken from the inbox */
	uint64_t freed_bytes;
	_Atomic uint32_t freed_messages;    /* read by senders who look whether it is full */
	cnode_term stop_reason;
	uint64_t unlink_id;
	/* run queue's lock */
	struct cnode_process *run_next;
	uint64_t ready_at;
	/* written by the own thread, read by lookers */
	_Atomic uint64_t run_ns, average_ns, handled;
	uint64_t slice_at;              /* own thread */
	uint64_t message_ns;            /* own thread: averaged time of one message */
	/* whose death is being emitted */
	struct cnode_process *dead_next;
	uint32_t emit_from;             /* rels_pop */
	/* constant */
	struct cn_procs *procs;
	const struct cn_process_class *class;
	size_t state_size;
	uint64_t number;
	cnode_pid pid;
	cnode_pid parent;
	char *label;                    /* NULL: the class's name */
	void *origin;                   /* set under the lock */
	uint64_t init_ns;
	uint32_t max_messages;          /* 0: no limit */
	bool drops;
	bool opened;                    /* by cn_process_open */
	_Atomic int log_level;          /* -1: the node's */
	cn_started_fn *started;
	void *started_ctx;
	void *arg;
	/* own thread, and whoever wakes it once it is RUN_OWN */
	struct cnode_mailbox *thread;   /* of ops->thread_take; NULL: none */
	_Atomic bool waits;             /* it waits for messages */
	struct cnode_process *next;     /* in its pid bucket, under the shard's lock */
	_Alignas(16) uint8_t memory[];  /* the class's state */
};

#define PID_SHARDS 64
struct pid_shard {
	_Alignas(64) struct cn_mutex lock;
	struct cnode_process **buckets;
	uint64_t mask;
	uint64_t count;
};

#define NAME_SHARDS 16
struct name_shard {
	struct cn_mutex lock;
	struct name **buckets;
	uint64_t mask;
	uint64_t count;
};

struct runq {
	_Alignas(64) struct cn_mutex lock;
	struct cnode_process *first, *last;
	uint32_t count;
};

struct cn_procs {
	struct cn_procs *next;          /* in cn_procs_all */
	const struct cn_procs_ops *ops;
	void *ctx;
	cnode_name node;
	uint32_t creation;
	bool wide_ids;
	uint32_t max_processes;
	uint64_t max_mailbox;
	struct cn_log *log;
	cnode_node *handle;
	uint64_t seed;
	_Atomic bool closed;
	_Atomic uint32_t count, spawned, prompt_count;
	_Atomic uint64_t next_number;
	_Atomic uint64_t next_ref;
	struct cn_log_gate slow_gate, crash_gate, full_gate;
	struct runq prompt, normal, dying;
	_Atomic uint64_t first_ns;      /* averaged time of first runs: the forecast of a new process */
	struct cn_mutex timers_lock;
	struct cn_heap timers;
	struct pid_shard pids[PID_SHARDS];
	struct name_shard names[NAME_SHARDS];
	struct peer_shard peers[PEER_SHARDS];
	struct cn_mutex nodes_lock;     /* guards the list of monitor_nodes, and what tells it */
	struct rel *nodes_first, *nodes_next;
};

extern struct cn_procs *cn_procs_all;    /* for debuggers */

/* What one call from outside leaves to be done once no lock is held and no send is under way. */
struct work {
	struct cnode_process *dead_first, *dead_last;   /* linked by dead_next */
	uint32_t spent;                 /* signals that deaths have emitted */
	uint64_t now;                   /* a recent cn_now, or 0 */
	bool inside;                    /* this thread will come back to cn_sched_run */
};

/* procs.c */
struct cnode_process *process_find(struct cn_procs *procs, cnode_pid pid);  /* counted; NULL: gone or stale */
struct cnode_process *process_find_number(struct cn_procs *procs, uint64_t number);
struct cnode_process *process_find_name(struct cn_procs *procs, const char *name);
static inline void process_ref(struct cnode_process *p) { atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed); }
void process_unref(struct cnode_process *p);
int pids_add(struct cn_procs *procs, struct cnode_process *p);              /* numbers it too */
void pids_remove(struct cnode_process *p);
int name_check(const char *name);                                           /* 0, CNODE_EBADNAME */
int name_add(struct cnode_process *p, const char *text);                    /* under its lock */
void name_remove(struct cnode_process *p);                                  /* under its lock */
cnode_ref ref_make(struct cn_procs *procs, uint64_t number);
cnode_ref ref_make_call(struct cn_procs *procs, uint64_t number);
cnode_pid pid_of_number(const struct cn_procs *procs, uint64_t n);
uint64_t ref_number(const struct cn_procs *procs, const cnode_ref *ref);    /* 0: no ref of ours */

/* out.c: what leaves in the name of a process */
int out_enter(struct cnode_process *p);         /* its thread; 0, or CNODE_EEXITED (then there is nothing to leave) */
void out_leave(struct cnode_process *p, struct work *w);
void out_pending(struct cnode_process *p, struct rel *r);       /* under its lock; takes r, its `emit` set */
void out_flush(struct cnode_process *p);        /* its thread, under its lock, entered: emits what is pending now */
bool out_quiet(struct cnode_process *p);        /* under its lock, dead: false: handed to its thread */

/* Entered: a signal of the process to another node, obeying back-pressure. 0, CN_UNACKED or a code. */
int out_send(struct cnode_process *p, const struct cn_signal *sig, unsigned flags);

/* process.c: one thing that a process does itself, between out_enter and work_leave */
static inline struct work work_of(const struct cnode_process *self)
{
	/* A short callback has just asked for the time. */
	struct work w = { .inside = self->slicing, .now = self->slicing && self->message_ns < 20000 ? self->slice_at : 0 };
	return w;
}
void work_leave(struct cnode_process *self, struct work *w);
/* The node of a target; 0: it is none. */
cnode_name target_node(const struct cn_procs *procs, const struct cn_target *to);
struct cn_signal target_signal(enum cn_signal_kind kind, cnode_pid from, const struct cn_target *to, cnode_name node);

/* mailbox.c */
struct cn_message *message_new(cnode_term term, cnode_name peer);   /* keeps the term */
struct cn_message *message_of_rel(struct rel *r, enum cn_message_kind kind);    /* its term set */
void message_drop(struct cn_message *m);
/* Under p's lock, p alive: a message has no place in it. It was counted, and is to be dropped, or p ends (it was killed then). */
bool mailbox_is_full(struct cnode_process *p, struct work *w);
/* Under p's lock, p alive; takes m. True: the caller calls run_ready once it has unlocked. */
bool mailbox_push(struct cnode_process *p, struct cn_message *m, struct work *w);
void mailbox_fold(struct cnode_process *p);     /* its thread, under its lock: takes the inbox, settles the count */

/* nodes.c: an event of monitor_nodes as a term */
int nodes_term(const struct cn_message *m, cnode_term *term);

/* signal.c: local delivery; each may add to w */
int deliver_message(struct cn_procs *procs, const struct cn_target *to, cnode_term term, cnode_name peer, struct work *w);
void deliver_exit(struct cn_procs *procs, cnode_pid to, cnode_pid from, cnode_term reason, struct work *w);  /* a link's */
/* peer: the node it came from, which may have to be allowed to; 0: none. */
int deliver_exit2(struct cn_procs *procs, const struct cn_target *to, cnode_pid from, cnode_name peer, cnode_term reason,
		  struct work *w);
void deliver_down(struct cn_procs *procs, cnode_pid to, const cnode_ref *ref, cnode_term reason, struct work *w);
void drop_watched(struct cn_procs *procs, cnode_pid of, cnode_pid by, const cnode_ref *ref);
/* What a refused spawn leaves with a parent of ours: goes without a signal. */
void forget_link(struct cn_procs *procs, cnode_pid of, cnode_pid with);
void forget_watch(struct cn_procs *procs, cnode_pid of, const cnode_ref *ref);
/* The same ends for a relation that was found, under p's lock; they take r. True: run_ready is due. */
bool end_link(struct cnode_process *p, struct rel *r, cnode_term reason, struct work *w);
bool end_watch(struct cnode_process *p, struct rel *r, cnode_term reason, struct work *w);
bool end_node(struct cnode_process *p, struct rel *r, struct work *w);
bool exit_signal(struct cnode_process *p, struct rel *r, cnode_pid from, cnode_term reason, bool exit2, int *rc, struct work *w);

/* exit.c */
void process_die(struct cnode_process *p, cnode_term reason, struct work *w);   /* under its lock, once */
void work_add(struct work *w, struct cnode_process *p);     /* takes a count of p */
void work_run(struct work *w);                  /* no lock held, nothing entered */
/* Emits the next of what a dead process owes, at most `budget` signals; takes a count of p, true: gives it back, there is more. */
bool emit_death(struct cnode_process *p, uint32_t budget, struct work *w);

/* sched.c */
void run_ready(struct cnode_process *p, const struct work *w);  /* it was made READY: queues it */
void process_wake(struct cnode_process *p);     /* under its lock, RUN_OWN: its thread has something to look at */
void process_pause(struct cnode_process *p);    /* its thread, nothing entered: one with a thread of its own waits until it may send */
void process_remains(struct cnode_process *p);  /* its thread or the run queue, dead; takes the remains' count */

/* timer.c */
void timer_stop(struct cn_procs *procs, struct timer *t);
/* The process ends with `timeout` when it is due, but for start_timer_stop. 0, CNODE_ENOMEM. Its thread, or before it has one. */
int start_timer(struct cnode_process *p, uint64_t due);
void start_timer_stop(struct cnode_process *p);

/* Two processes at once. */
static inline void lock_both(struct cnode_process *a, struct cnode_process *b)
{
	cn_mutex_lock((uintptr_t)a < (uintptr_t)b ? &a->lock : &b->lock);
	cn_mutex_lock((uintptr_t)a < (uintptr_t)b ? &b->lock : &a->lock);
}

static inline void unlock_both(struct cnode_process *a, struct cnode_process *b)
{
	cn_mutex_unlock(&a->lock);
	cn_mutex_unlock(&b->lock);
}

static inline bool is_local(const struct cn_procs *procs, cnode_pid pid) { return pid.node == procs->node; }
static inline bool is_dead(struct cnode_process *p) { return atomic_load(&p->dead); }

/* Terms that are atoms, in static memory. */
cnode_term atom_noproc(void);
cnode_term atom_noconnection(void);
cnode_term atom_killed(void);
cnode_term atom_normal(void);
cnode_term atom_overflow(void);
cnode_term atom_timeout(void);
cnode_term atom_enomem(void);
cnode_term atom_enomem(void);
/* Keeps a reason; where memory is missing the atom enomem stands for it. */
cnode_term reason_keep(cnode_term reason);
/* The atom of an error code. */
int atom_of_code(int code, cnode_term *term);

#endif
