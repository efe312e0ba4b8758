/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proc: the processes of one node. Pids, mailboxes, run queues, timers, local names,
 * links, monitors, aliases. Knows no network and has no threads: signals for other nodes
 * leave through an ops struct, and whoever owns threads calls cn_sched_run.
 *
 * Order. Signals of one process leave in the order in which it caused them, its EXIT and
 * DOWN last: what is emitted in its name by another thread (answers to UNLINK, its death)
 * is handed to its own thread while that one is inside a send, and emitted at once
 * otherwise. Local signals are delivered by the sender's thread, so they keep the order too.
 *
 * Death. A fatal signal makes a process dead at once, also in mid-callback: its pid and
 * name are gone, EXIT and DOWN go out, sends of the running callback return
 * CNODE_EEXITED. What is left is its remains: when the callback has returned (or, if none
 * runs, by the run queue) `terminate` is called unless the reason is `killed` by
 * exit/2, and the state is freed.
 *
 * Unless said otherwise every function may be called by any thread, never blocks, and
 * runs no code of users except cn_sched_run. Terms in arguments are borrowed.
 *
 * Follows: Erlang/OTP "Processes" (Reference Manual: signals, links, monitors, aliases,
 * delivery order) and erl_dist_protocol (Link Protocol, control messages).
 */
#ifndef CN_PROC_H
#define CN_PROC_H

#include "cnode/base/base.h"
#include "cnode/process.h"
#include "cnode/term/term.h"

struct cn_procs;
struct cn_process_class;
struct cnode_mailbox;

/* ---- signals, in both directions ---- */

enum cn_signal_kind {
	CN_SIG_MESSAGE = 1,     /* from may be none; to pid, name or alias; term */
	CN_SIG_LINK,            /* from, to */
	CN_SIG_UNLINK,          /* from, to, unlink_id; 0 is the old op 4: nothing is acked */
	CN_SIG_UNLINK_ACK,      /* from, to, unlink_id */
	CN_SIG_EXIT,            /* from, to, term: a link's end */
	CN_SIG_EXIT2,           /* from, to pid, name or alias; term: exit/2 */
	CN_SIG_MONITOR,         /* from (who watches), to pid or name, ref */
	CN_SIG_DEMONITOR,       /* from (who watches), to pid or name, ref */
	CN_SIG_DOWN,            /* from (who ended, or none), name if it was watched by name; to, ref, term */
	CN_SIG_GROUP_LEADER,    /* leader, to */
};

/*
 * One signal; everything in it is borrowed. Exactly one of these says whom it is for:
 * `to` (a pid), `to_name` (with `node`), or `alias`.
 */
struct cn_signal {
	enum cn_signal_kind kind;
	cnode_pid from;             /* the process it comes from; the out-queue's FIFO is chosen by it */
	cnode_pid to;               /* none: see to_name and alias */
	cnode_name node;            /* ops->send: the node it goes to; cn_procs_deliver: the peer it came from, 0 for none */
	const char *to_name;        /* registered name, UTF-8; NULL: by pid or alias */
	const char *from_name;      /* DOWN of a monitor by name: goes out in place of `from` */
	const cnode_ref *alias;     /* MESSAGE, EXIT2: the alias it is sent to */
	cnode_ref ref;              /* MONITOR, DEMONITOR, DOWN */
	uint64_t unlink_id;         /* UNLINK, UNLINK_ACK */
	/*
	 * The connection (ops->epoch) it arrived on, or that it is meant for. In ops->send:
	 * a signal for an epoch that is over is dropped and 0 returned (its relations have
	 * been or will be ended by cn_procs_nodedown); CN_EPOCH_ANY goes to any connection.
	 */
	uint64_t epoch;
	cnode_pid leader;           /* GROUP_LEADER */
	cnode_term term;            /* message or reason */
};
#define CN_EPOCH_ANY UINT64_C(0)

/*
 * Delivers a signal that arrived from a peer, or that no process of ours sent, in the
 * order of calls per pair. Everything that the BEAM answers is answered here: LINK to a
 * missing or stale pid EXIT noproc, MONITOR of one (or of an unregistered name) DOWN
 * noproc with pid or name echoed, UNLINK an ack. The caller has checked that `from` is a
 * pid of the peer. 0; CNODE_ENOMEM (the signal could not be queued) or CNODE_ELIMIT
 * (CN_MAX_RELATIONS): the caller closes the connection that brought it.
 */
int cn_procs_deliver(struct cn_procs *procs, const struct cn_signal *sig);

/* ---- what the rooms above do for this one ---- */

#define CN_SUSPEND 1            /* result of ops->send: accepted, and the sender has to pause */
#define CN_UNACKED 2            /* result of ops->send of UNLINK: the peer will never ack it (op 4 was used) */

#define CN_SEND_SUSPEND 1u      /* ops->send may return CN_SUSPEND */
#define CN_SEND_NOSUSPEND 2u    /* ops->send returns CNODE_EBUSY, sending nothing, where it would return CN_SUSPEND */
#define CN_SEND_NOCONNECT 4u    /* ops->send returns CNODE_ENOCONNECTION, sending nothing, where it would connect */
/* Neither of the first two: the signal is accepted whatever the queue holds (answers, prompt processes). */

/* Whom an exit signal is for. */
struct cn_exit_target {
	const char *label;          /* its factory, or the name it was started with */
	cnode_pid parent;
	void *origin;
	cnode_pid pid;
	cnode_term reason;
};

/* How urgently a thread is needed for a process that is ready. */
enum cn_call {
	CN_CALL_NOW,
	CN_CALL_SOON,               /* this thread is inside cn_sched_run and will come back for it */
	CN_CALL_BRIEF,              /* this thread has taken one, and others are left: that and the next one are forecast to be short */
};

/*
 * Called by any thread, also by the holder of the lead, with locks of this room held:
 * they never block and never call back into this room, and whoever calls this room holds
 * no lock that they take.
 */
struct cn_procs_ops {
	/*
	 * Sends a signal to another node, connecting if need be. 0, CN_SUSPEND, CN_UNACKED,
	 * CNODE_EBUSY, CNODE_ENOMEM, CNODE_ETOOBIG, CNODE_ESTALE, CNODE_ESHUTDOWN. A signal
	 * other than MESSAGE and EXIT2 that cannot be queued ends its connection, so that
	 * cn_procs_nodedown is the answer. For each CN_SUSPEND exactly one cn_procs_resume
	 * follows (it may come first), also if the connection is lost.
	 */
	int (*send)(void *ctx, const struct cn_signal *sig, unsigned flags);
	/*
	 * The number of the node's connection: of the present one, or of the next if there
	 * is none. It grows when a connection (or an attempt) ends; never CN_EPOCH_ANY.
	 * Relations are tagged with it: a cn_procs_nodedown with this number or a greater one
	 * follows, once something was sent with it. 0, CNODE_ENOMEM, CNODE_ESTALE.
	 */
	int (*epoch)(void *ctx, cnode_name node, uint64_t *epoch);
	/* Starts connecting unless it is connected; cn_procs_nodedown tells the failure. 0, CNODE_ENOMEM, … */
	int (*connect)(void *ctx, cnode_name node);
	/* True if the node is connected and understands aliases (ALIAS, OTP 24). */
	bool (*has_alias)(void *ctx, cnode_name node);
	/*
	 * A process became ready, or one was taken and others are left: somebody should call
	 * cn_sched_run.
	 */
	void (*runnable)(void *ctx, bool prompt, enum cn_call how);
	/* cn_sched_due has become earlier. */
	void (*due)(void *ctx);
	/* A process and its state are gone, its callbacks returned; cn_procs_count is without it (not by cn_procs_free). May be NULL. */
	void (*gone)(void *ctx, cnode_pid pid, void *origin);
	/* May an exit/2 of the peer end this process? Not asked for linked processes. NULL: every peer may. */
	bool (*may_exit)(void *ctx, cnode_name peer, const struct cn_exit_target *target);

	/*
	 * Threads for processes whose class has `run`; all NULL: there are none (CNODE_ENOTSUP). A thread is known by
	 * the mailbox that the code it runs will use.
	 *
	 * Has a thread ready for a process, before its init. Called without any lock; may start a thread.
	 * 0, CNODE_ESYSLIMIT, CNODE_ENOMEM, CNODE_ENOTSUP.
	 */
	int (*thread_take)(void *ctx, struct cnode_process *self, struct cnode_mailbox **mailbox);
	/* The thread is to call cn_process_run and cn_process_ran, once. */
	void (*thread_run)(struct cnode_mailbox *mailbox);
	/* Gives back one that was taken, and is not to run. */
	void (*thread_give)(struct cnode_mailbox *mailbox);
	/* Something arrived, the process died, or it may send again. */
	void (*thread_wake)(struct cnode_mailbox *mailbox);
	/* By the thread itself, without any lock: waits until it is woken, or was since the last time. */
	void (*thread_wait)(struct cnode_mailbox *mailbox);
};

struct cn_procs_config {
	cnode_name node;            /* own name */
	uint32_t creation;
	bool wide_ids;              /* no peer is OTP 23: pids of more than 15 and 13 bits */
	uint32_t max_processes;     /* 0: CN_MAX_PROCESSES; more are refused with CNODE_ESYSLIMIT */
	uint64_t max_mailbox;       /* 0: CN_MAX_MAILBOX; a process over it is killed with mailbox_overflow */
	struct cn_log *log;         /* borrowed, may be NULL */
	cnode_node *handle;         /* what cnode_process_node returns */
};
#define CN_MAX_PROCESSES 1000000u                /* stops a peer that spawns without end */
#define CN_MAX_RELATIONS 1000000u                /* links and monitors of one process; stops a peer that watches without end */
#define CN_MAX_MAILBOX (UINT64_C(1) << 30)       /* bytes; stops a sender faster than its receiver */

/* ops and ctx are borrowed until the free. *procs is yours. 0, CNODE_ENOMEM. */
int cn_procs_new(const struct cn_procs_config *config, const struct cn_procs_ops *ops, void *ctx,
		 struct cn_procs **procs);
/*
 * Frees all processes, dead or alive, without signals and without terminate; `started` of those
 * that have not begun is not called any more, ops->gone is. Takes NULL.
 * No other thread may be in this room any more.
 */
void cn_procs_free(struct cn_procs *procs);
/* Renames a node without processes' ids in use (a dynamic node name). Before any process exists. */
void cn_procs_rename(struct cn_procs *procs, cnode_name node, uint32_t creation);

cnode_name cn_procs_node(const struct cn_procs *procs);
uint32_t cn_procs_creation(const struct cn_procs *procs);
/* Processes whose state is not freed yet, dead ones too: 0 after a shutdown that is complete. */
uint32_t cn_procs_count(const struct cn_procs *procs);
/* Those of them that were spawned; the others (cn_process_open) end when their threads say so. */
uint32_t cn_procs_count_spawned(const struct cn_procs *procs);
/* max_processes of the config. */
uint32_t cn_procs_limit(const struct cn_procs *procs);
/* The prompt ones and the last ones among them: what cn_procs_exit_all spares. */
uint32_t cn_procs_count_prompt(const struct cn_procs *procs);
/* A reference of this node, made outside of any process: request ids. Unique; 3 words. */
cnode_ref cn_procs_make_ref(struct cn_procs *procs);
/* True for this node, and for a connected one that understands aliases. */
bool cn_procs_has_alias(struct cn_procs *procs, cnode_name node);
/* True: a pid of this node and this creation (alive or not). */
bool cn_procs_is_own(const struct cn_procs *procs, cnode_pid pid);

/*
 * Makes a monitor of a process of ours that was set up elsewhere: by the SPAWN_REPLY of a
 * remote process, under the reference of the request. Of a watcher that is gone the peer hears DEMONITOR.
 * 0, CNODE_ENOMEM: the caller closes the connection.
 */
int cn_procs_adopt_monitor(struct cn_procs *procs, cnode_pid watcher, cnode_pid of, const cnode_ref *ref, uint64_t epoch);

/* ---- connections that end ---- */

/*
 * Ends all relations with `node` whose epoch is at most `epoch`: EXIT to linked
 * processes, DOWN to watching ones, then one {nodedown,Node} for each monitor_node; what
 * the peer's processes watched is dropped. `reason` is an atom, noconnection. At most
 * `budget` relations per call; returns true when all is done, else call again. One
 * caller per node at a time; no signal of a later connection of that node is delivered
 * before it is done. O(relations with the node).
 */
bool cn_procs_nodedown(struct cn_procs *procs, cnode_name node, uint64_t epoch, const char *reason, uint32_t budget);

/*
 * A node came or went: tells the processes that asked with cnode_monitor_nodes, before this returns. Whoever
 * calls sees to the order: `up` before the first signal of the connection is delivered, the end behind
 * cn_procs_nodedown. One caller at a time.
 */
struct cn_node_event {
	cnode_name node;
	uint64_t connection_id;
	bool visible;
	bool up;
	cnode_term reason;          /* !up: nodedown_reason, a term of static bytes */
};
void cn_procs_node_event(struct cn_procs *procs, const struct cn_node_event *event);

/* The sender may go on: one call for each CN_SUSPEND. A pid that is gone is ignored. */
void cn_procs_resume(struct cn_procs *procs, cnode_pid pid);

/* ---- the run queues ---- */

#define CN_SLICE_MESSAGES 64                     /* a slice ends after so many messages */
#define CN_SLICE_NS (1 * CN_NS_PER_MS)           /* or after so long */

/*
 * Runs one ready process until its mailbox is empty or its slice is over; prompt
 * processes first, only those if prompt_only. budget_ns bounds the slice if it is
 * smaller (0: the default). Runs callbacks of users: never while holding the lead
 * unless prompt_only. Returns true if it ran one.
 */
bool cn_sched_run(struct cn_procs *procs, bool prompt_only, uint64_t budget_ns);

struct cn_sched_waiting {
	uint32_t prompt;            /* ready prompt processes */
	uint32_t normal;            /* other ready processes */
	uint64_t since;             /* cn_now when the longest waiting normal one became ready; CN_NEVER: none */
	uint64_t forecast_ns;       /* averaged run time of the next normal one, or of first runs; UINT64_MAX: unknown */
};
#define CN_SCHED_SHORT_NS 20000     /* runs that are forecast below this are short: not worth waking another thread */
void cn_sched_waiting(struct cn_procs *procs, struct cn_sched_waiting *waiting);

/* When the earliest timer is due (cn_now); CN_NEVER. */
uint64_t cn_sched_due(struct cn_procs *procs);
/* Delivers the timers that are due, at most `budget`; returns true when none is left. */
bool cn_sched_expire(struct cn_procs *procs, uint64_t now, uint32_t budget);

/* ---- messages as they lie in a mailbox ---- */

/* What a message that is no plain one is about. */
struct cn_about {
	cnode_pid pid;              /* EXIT, DOWN; none for a monitor by name */
	cnode_ref ref;              /* DOWN, TIMER */
	cnode_name node;            /* NODEDOWN, NODES_UP, NODES_DOWN; DOWN by name */
	const char *name;           /* DOWN by name, else NULL */
};

enum cn_message_kind {
	CN_MSG_MESSAGE,             /* term */
	CN_MSG_DOWN,                /* about, term: the reason */
	CN_MSG_EXIT,                /* about, term: the reason */
	CN_MSG_NODEDOWN,            /* about */
	CN_MSG_TIMER,               /* about, term: the timer's message */
	CN_MSG_NODES_UP,            /* of cnode_monitor_nodes: about, cn_message_connection */
	CN_MSG_NODES_DOWN,          /* the same, term: the reason */
};

struct cn_message {
	struct cn_message *next;    /* for whoever holds it */
	cnode_term term;            /* belongs to the message */
	const struct cn_about *about;   /* NULL for CN_MSG_MESSAGE; belongs to the message */
	cnode_name peer;            /* MESSAGE: the node whose connection it came by; 0: ours */
	uint64_t bytes;             /* what it counts in the mailbox */
	uint8_t kind;               /* enum cn_message_kind */
	uint8_t own_;               /* how its memory is freed */
};

/* The message as a BEAM process would see it, {'DOWN',…} and so on. *term is yours. 0, CNODE_ENOMEM, CNODE_ESTALE. */
int cn_message_term(const struct cn_message *m, cnode_term *term);
/* NODES_UP, NODES_DOWN: the number of the connection; 0 for others. */
uint64_t cn_message_connection(const struct cn_message *m);
/* Frees a message that was taken. Its process's thread. Takes NULL. */
void cn_message_free(struct cnode_process *self, struct cn_message *m);
/*
 * A message that is made before it is due: whoever owes somebody an answer can give it when memory lacks. Keeps the
 * term; NULL: out of memory. cn_procs_give takes it (dead processes and full mailboxes as cn_procs_send has them), or
 * cn_message_discard, which takes NULL. Any thread.
 */
struct cn_message *cn_message_new(cnode_term term);
void cn_message_discard(struct cn_message *take_m);
void cn_procs_give(struct cn_procs *procs, cnode_pid to, struct cn_message *take_m);

/* ---- classes of processes ---- */

#define CN_PROC_PROMPT 1u       /* bounded callbacks: own run queue, run by whoever leads, never suspended */
#define CN_PROC_QUIET 2u        /* an abnormal end is not logged */
#define CN_PROC_LAST 4u         /* others need it up to their end: ends with the prompt ones */

/*
 * Each callback is called by one thread at a time; state is the process's own memory.
 * Classes for cn_process_open have notify, and no message and terminate; their init is called before
 * anybody can see the process: it only sets the state up.
 */
struct cn_process_class {
	const char *name;
	unsigned flags;
	/*
	 * The first run. 0, or a code that refuses the spawn; its reason is set with
	 * cn_process_stop (else it is the code's atom). 0 after cn_process_stop: started,
	 * and ends at once.
	 */
	int (*init)(struct cnode_process *self, void *state, void *arg);
	/*
	 * A message; takes it (cn_message_free). 0 goes on; a code ends the process with the
	 * reason set by cn_process_stop (else the code's atom).
	 */
	int (*message)(struct cnode_process *self, void *state, struct cn_message *m);
	/* The end, before EXIT and DOWN if it ended by itself, after them if by a signal; not after a kill. May be NULL. */
	void (*terminate)(struct cnode_process *self, void *state, cnode_term reason);
	/* Frees what the state holds; behind everything else. `arg` is given once more if init was never called, else NULL. May be NULL. */
	void (*fini)(struct cnode_process *self, void *state, void *arg);
	/* Of those that are opened: something arrived, the process died, or it may send again. May hold locks of this room: only wakes. */
	void (*notify)(struct cnode_process *self, void *state);
	/*
	 * In place of `message`: straight-line code, on a thread of its own from the moment that init and the start are
	 * through; it takes its messages by cn_process_receive. 0 ends the process with normal, a code as that of message.
	 */
	int (*run)(struct cnode_process *self, void *state, struct cnode_mailbox *mailbox);
};

/*
 * Says how the start ended, exactly once for each spawn that returned 0: code 0 before
 * the first signal of the process; otherwise the spawn is refused, nothing of the link and
 * monitor of the spec will be heard, and reason is a borrowed term (never empty).
 * Any thread; does not block; does not call back into this room.
 */
typedef void cn_started_fn(void *ctx, cnode_pid pid, int code, cnode_term reason);

struct cn_process_spec {
	const struct cn_process_class *class;
	size_t state_size;          /* zeroed bytes of state */
	void *arg;                  /* for init; taken if the spawn returns 0 */
	cnode_pid parent;           /* none: this program */
	cnode_pid leader;           /* group leader; none: the process itself */
	const char *name;           /* registered before anything else; NULL: none */
	const char *label;          /* factory: shown in logs and lists; copied; NULL: the class's name */
	void *origin;               /* of whoever spawns; comes back in ops->gone, if the spawn returned 0, and in may_exit */
	/*
	 * How long the start may take, in all and from the beginning of init on; 0: as long as it
	 * likes. One that is late ends with the reason timeout; nobody waits for init to return.
	 */
	uint64_t start_ns, init_ns;
	bool at_once;               /* `started` is called before the first run: what init says is an end then */
	bool held;                  /* does not begin before one cn_procs_resume */
	uint32_t max_messages;      /* plain messages in its mailbox, that in its callback with them; 0: no limit */
	bool drops;                 /* one more is dropped; else it ends the process with mailbox_overflow */
	const enum cnode_log_level *log_level;  /* of its own lines; NULL: the node's */
	bool link;                  /* with `parent`, ours or remote, in the moment of creation */
	bool monitor;               /* by `parent`, with monitor_ref */
	cnode_ref monitor_ref;
	uint64_t epoch;             /* of the connection the request came by; CN_EPOCH_ANY if parent is ours or none */
	cn_started_fn *started;     /* may be NULL */
	void *started_ctx;
};

/*
 * Makes a process and its relations and queues its first run. When it returns another
 * code than 0 nothing has become visible: CNODE_ENOMEM, CNODE_ENAMETAKEN, CNODE_EBADNAME,
 * CNODE_ESYSLIMIT, CNODE_ESHUTDOWN; CNODE_EEXITED: a parent of ours that is to be linked is gone.
 */
int cn_process_spawn(struct cn_procs *procs, const struct cn_process_spec *spec, cnode_pid *pid);

/*
 * As cn_process_spawn for a process that is never scheduled: *self is yours, init and
 * `started` are called at once, and the thread ends the process with cn_process_exit.
 * Also the code that init returned.
 */
int cn_process_open(struct cn_procs *procs, const struct cn_process_spec *spec, struct cnode_process **self);
/* Ends a process that was opened: EXIT and DOWN with the reason (if it is not dead already), then frees it. Takes NULL. */
void cn_process_exit(struct cnode_process *self, cnode_term reason);

/*
 * The thread that ops->thread_run is for calls these two: the process's code, whose result it returns; then its end
 * with that result, behind which self is gone.
 */
int cn_process_run(struct cnode_process *self);
void cn_process_ran(struct cnode_process *self, int code);
/* The same thread, around its waiting for messages: what it does else is its run time. */
void cn_process_waits(struct cnode_process *self, bool waits);

/* ---- inside a process: its own thread ---- */

struct cn_procs *cn_process_procs(const struct cnode_process *self);
const struct cn_process_class *cn_process_class_of(const struct cnode_process *self);
void *cn_process_state(struct cnode_process *self);
const char *cn_process_label(const struct cnode_process *self);
void *cn_process_origin(const struct cnode_process *self);
/* Gives it another one, for a process that has none. */
void cn_process_set_origin(struct cnode_process *self, void *origin);
/* Is a line of this level written for the process: by its own level, else the node's? */
bool cn_process_logs(const struct cnode_process *self, enum cnode_log_level level);
/* When the slice of the running process began (cn_now, without asking the clock again); no use for one with its own thread. */
uint64_t cn_process_now(const struct cnode_process *self);
/* The process ends when its callback returns, with this reason; the first one stays. Returns CNODE_EEXITED. */
int cn_process_stop(struct cnode_process *self, cnode_term reason);
bool cn_process_is_stopping(const struct cnode_process *self);
/* May the peer end it by exit/2 (a link of `from` allows it, else ops->may_exit)? For those who ask for as much by a message. */
bool cn_process_may_exit(struct cnode_process *self, cnode_pid from, cnode_name peer);
/* True while back-pressure holds it; one that was opened waits for notify. */
bool cn_process_is_suspended(const struct cnode_process *self);

/* Whom a signal is for. */
struct cn_target {
	cnode_pid pid;              /* if not none */
	const char *name;           /* else if not NULL: registered name, at `node` (0: this node) */
	cnode_name node;
	const cnode_ref *alias;     /* else an alias */
};
/* A target by name: node text NULL is this node. CNODE_EBADNAME. */
int cn_target_name(struct cn_target *target, const char *name, const char *node);

/* Sends a message, flags CNODE_NOSUSPEND, CNODE_NOCONNECT. As cnode_send_term. */
int cn_process_send(struct cnode_process *self, const struct cn_target *to, cnode_term message, unsigned flags);

enum cn_alias_mode {
	CN_ALIAS_NONE,
	CN_ALIAS_EXPLICIT,          /* until cnode_unalias */
	CN_ALIAS_DEMONITOR,         /* until the monitor ends or is removed */
	CN_ALIAS_REPLY,             /* that, or the first message sent to it, which ends the monitor too */
};
#define CN_MONITOR_CALL 16u     /* or-ed to the mode: the reference is one of a call (cn_process_made_call) */
/* erlang:monitor/3: the reference is also an alias as `mode` says. */
int cn_process_monitor(struct cnode_process *self, const struct cn_target *to, unsigned mode, cnode_ref *ref);
/* True if self made this reference with CN_MONITOR_CALL: what still comes for it when the call is over is dropped. */
bool cn_process_made_call(const struct cnode_process *self, const cnode_ref *ref);

/* A timer whose message is a term (kept). Without one it belongs to a call, say: its reference is one of cn_process_made_call. */
int cn_process_timer(struct cnode_process *self, uint64_t ms, cnode_ref *ref, cnode_term message);
/* Puts messages that were taken back to the front of the mailbox, in their order (linked by next). */
void cn_process_unreceive(struct cnode_process *self, struct cn_message *first);

/* True for a message that is wanted. */
typedef bool cn_wanted_fn(void *ctx, const struct cn_message *m);
/* Takes the first message that `wanted` accepts (NULL: any) out of the mailbox; NULL if there is none. */
struct cn_message *cn_process_receive(struct cnode_process *self, cn_wanted_fn *wanted, void *ctx);
/* The same, leaving it there. */
const struct cn_message *cn_process_peek(struct cnode_process *self, cn_wanted_fn *wanted, void *ctx);

/* ---- looking in, from outside ---- */

/* erlang:whereis/1. 0, CNODE_ENOENT. */
int cn_procs_whereis(struct cn_procs *procs, const char *name, cnode_pid *pid);
bool cn_procs_is_alive(struct cn_procs *procs, cnode_pid pid);
/* The pid of no process, <node.0.0>, that exits sent by the node itself come from. */
cnode_pid cn_procs_root(const struct cn_procs *procs);
/* exit(Pid, Reason) from the root pid to every process but prompt and last ones, those too if `all`. 0, CNODE_ENOMEM. */
int cn_procs_exit_all(struct cn_procs *procs, cnode_term reason, bool all);
/* From now on spawns are refused with CNODE_ESHUTDOWN: behind this cn_procs_list and cn_procs_exit_all miss no process. Any thread. */
void cn_procs_close(struct cn_procs *procs);

/* The living processes, in no order: *pids is yours (cn_free). 0, CNODE_ENOMEM. */
int cn_procs_list(struct cn_procs *procs, cnode_pid **pids, size_t *count);

struct cn_process_info {
	char name[CNODE_NAME_SIZE]; /* registered name or "" */
	char label[CNODE_NAME_SIZE];        /* factory or class: an atom's text at most */
	cnode_pid parent;
	cnode_pid leader;
	uint32_t messages;          /* in the mailbox */
	uint64_t mailbox_bytes;
	uint32_t links;
	uint32_t monitors;          /* it watches */
	uint32_t monitored_by;
	bool traps_exit;
	bool running;
	bool suspended;
	bool runnable;              /* it waits for a thread */
	bool prompt;
	uint64_t memory;            /* bytes: the process, its state and its mailbox */
	uint64_t run_ns;            /* time spent in its callbacks */
	uint64_t average_ns;        /* averaged time of one run */
	uint64_t handled;           /* messages handled */
};
/* 0, CNODE_ENOPROC. */
int cn_procs_info(struct cn_procs *procs, cnode_pid pid, struct cn_process_info *info);
/* What a process has to do with another one. */
enum cn_relation_kind { CN_RELATION_LINK, CN_RELATION_MONITOR, CN_RELATION_MONITORED_BY };
struct cn_relation {
	cnode_pid pid;              /* none for a monitor by name */
	cnode_name node;            /* by name */
	const char *name;           /* by name, else NULL */
};
/* The relations of one kind, in no order: *list is yours (cn_free), names and all. 0, CNODE_ENOPROC, CNODE_ENOMEM. */
int cn_procs_relations(struct cn_procs *procs, cnode_pid pid, enum cn_relation_kind kind, struct cn_relation **list,
		       size_t *count);
/* erlang:registered/0: one after the other, each with its terminator; *names is yours (cn_free). 0, CNODE_ENOMEM. */
int cn_procs_names(struct cn_procs *procs, char **names, size_t *count);

/*
 * Lets a thread outside of any process send (kernel services, the tool): `from` is the
 * root pid. Local targets are delivered, others go to ops->send. 0, CNODE_EBUSY, CNODE_ENOMEM, …
 */
int cn_procs_send(struct cn_procs *procs, const struct cn_target *to, cnode_term message, unsigned flags);

#endif
