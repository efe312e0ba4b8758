/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gen: behaviours. A class of processes that decodes the protocols of gen_server, gen and
 * sys and calls a cnode_behaviour; and the calling side of gen:call for anybody.
 *
 * Follows: lib/stdlib/src/gen.erl, gen_server.erl, sys.erl (OTP 23 to 29).
 */
#ifndef CN_GEN_H
#define CN_GEN_H

#include "cnode/proc/proc.h"
#include "cnode/server.h"

/* ---- starting ---- */

/* Flags of behaviours in this library only. This one: what they end with is an answer, no crash to be logged. */
#define CN_GEN_QUIET 0x80000000u
/* The same: others need it up to their end (CN_PROC_LAST). */
#define CN_GEN_LAST 0x40000000u

struct cn_gen_spec {
	const cnode_behaviour *behaviour;   /* copied; its functions must stay loaded */
	void *context;              /* for cnode_start */
	const char *factory;        /* copied; NULL: started by the program */
	cnode_term args;            /* kept */
	/* The process and what its state held are gone, its callbacks returned; also if it never ran. NULL: not told. */
	void (*ended)(void *ended_context);
	void *ended_context;
};

/* Is it one of ours? 0, CNODE_EBADARG: its size, or `run` beside callbacks that nobody would call. */
int cn_gen_check(const cnode_behaviour *behaviour);
/* Does it have straight-line code? For one that was checked. */
bool cn_gen_is_straight(const cnode_behaviour *behaviour);
/*
 * cn_process_spawn of a behaviour: fills class, state_size, arg and (with a factory) label
 * of `spec`; its other members are the caller's. cnode_start's caller is spec->parent.
 * CNODE_EBADARG: see cn_gen_check; otherwise as cn_process_spawn.
 */
int cn_gen_spawn(struct cn_procs *procs, const struct cn_gen_spec *gen, const struct cn_process_spec *spec,
		 cnode_pid *pid);

/* ---- supervisor.c: services that are there again when they have ended ---- */

/*
 * A service without which a node is no node must not stay away because memory was short once. A unit is one
 * such service: processes that live and end together (one_for_all). When one ends, the others are ended, and
 * when all are gone (their callbacks too) all are started anew: at once, and ever later while that goes wrong.
 *
 * The supervisor is no process: it needs no memory, and nothing can end it. Whoever has it calls cn_supervisor_run
 * when `wake` says so, and when the last call said.
 */
struct cn_supervisor;

#define CN_UNIT_MAX 4u                  /* processes of one unit */
#define CN_UNIT_AT_ONCE 3u              /* times that a unit is started again without delay */
#define CN_UNIT_DELAY_MS 100u           /* before the next, and twice as long each time; stops one that ends at once from taking all time */
#define CN_UNIT_DELAY_MOST_MS 8000u
#define CN_UNIT_FORGOTTEN_MS 60000u     /* after which a unit that lives is as good as new */

struct cn_unit_process {
	const char *name;               /* registered; NULL: not */
	const char *label;
	const cnode_behaviour *behaviour;
};

/* Belongs to who starts it, up to `over` or the supervisor's free; zeroed but for the first part. */
struct cn_unit {
	const char *title;              /* in the log */
	const struct cn_unit_process *processes;        /* in the order in which they are started */
	size_t count;
	void *context;                  /* of the processes */
	void *owner;                    /* of the functions here */
	cnode_pid (*leader)(void *owner);               /* group leader; NULL: each its own */
	/* A process has this pid from now on, and has not begun to run. May be NULL. */
	void (*started)(void *owner, size_t which, cnode_pid pid);
	/* All are gone, and about to be started again. By who runs the supervisor. May be NULL. */
	void (*again)(void *owner);
	/* All are gone, and it was stopped: the unit may be freed. By who runs the supervisor. May be NULL. */
	void (*over)(void *owner);

	/* The supervisor's, under its lock. */
	struct cn_unit *next;
	struct cn_supervisor *supervisor;
	struct cn_unit_slot {
		struct cn_unit *unit;
		cnode_pid pid;
		bool lives;
	} slots[CN_UNIT_MAX];
	bool listed, stopping;
	bool down;                      /* a process has ended */
	bool told;                      /* the others were told to end */
	unsigned restarts;              /* of late */
	uint64_t started_at;
	uint64_t due;                   /* when it is looked at again; 0: not */
};

struct cn_supervisor_config {
	struct cn_procs *procs;         /* borrowed, as the log; that may be NULL */
	struct cn_log *log;
	void (*wake)(void *ctx);        /* any thread; only posts something. NULL: somebody runs it now and then */
	void *ctx;
};
/* *supervisor is yours. 0, CNODE_ENOMEM. */
int cn_supervisor_new(const struct cn_supervisor_config *config, struct cn_supervisor **supervisor);
/* From now on nothing is started again: the node ends. Any thread. */
void cn_supervisor_close(struct cn_supervisor *supervisor);
/* Behind the end of all processes. Takes NULL. */
void cn_supervisor_free(struct cn_supervisor *supervisor);
/* Starts what has to be started. When it is to be called again (cn_now), CN_NEVER: when it is woken. One caller at a time. */
uint64_t cn_supervisor_run(struct cn_supervisor *supervisor, uint64_t now);
/* How often units were started again. Any thread. */
uint64_t cn_supervisor_restarts(const struct cn_supervisor *supervisor);

/*
 * Starts a unit. 0, or as cn_gen_spawn: then what was started of it is ended again, and a unit of one process is not
 * touched any more.
 */
int cn_unit_start(struct cn_supervisor *supervisor, struct cn_unit *unit);
/* Ends a unit's processes (shutdown); `over` follows. Any thread. */
void cn_unit_stop(struct cn_unit *unit);

/*
 * Memory of a completion that may never be called: freed with the process if it is still attached
 * then. Behaviours only, their own thread.
 */
struct cn_gen_attachment {
	void (*free)(struct cn_gen_attachment *attachment);
	struct cn_gen_attachment *next, **back;
};
/* CNODE_ESTATE: self is no behaviour. */
int cn_gen_attach(struct cnode_process *self, struct cn_gen_attachment *attachment,
		  void (*free)(struct cn_gen_attachment *attachment));
void cn_gen_detach(struct cn_gen_attachment *attachment);
/* What completions get as state; NULL: self is no behaviour. */
void *cn_gen_state(struct cnode_process *self);

/* ---- calling, from any process (a mailbox too) ---- */

/*
 * Sends {Label, {Self, Tag}, Request} with a monitor, as gen:call does: Tag is [alias|Ref]
 * where the callee's node has aliases (OTP 24), else Ref. Label is '$gen_call' or, for sys,
 * system. The answer comes as a message that cn_gen_answer knows. 0 or the codes of cnode_send_name.
 */
int cn_gen_request(struct cnode_process *self, const struct cn_target *to, const char *label, cnode_term request,
		   cnode_ref *ref);
/*
 * True if a message is the answer to the request: *status is 0 and *term the reply, or
 * CNODE_ENOCONNECTION, CNODE_ENOPROC, CNODE_EEXITED and the reason; borrowed from m. The
 * caller ends the request with cn_gen_end.
 */
bool cn_gen_answer(const struct cn_message *m, const cnode_ref *ref, int *status, cnode_term *term);
/* Ends a request, answered or not: the monitor and the alias go. What still comes for it, cn_gen_is_late tells. */
void cn_gen_end(struct cnode_process *self, cnode_ref ref);
/* True for an answer to, or the DOWN of, a request of self: without a request that waits for it, it is to be dropped. */
bool cn_gen_is_late(const struct cnode_process *self, const struct cn_message *m);

/* What cnode_receive gives for a message: *info borrows from m and from *built, which is yours. 0, CNODE_ENOMEM, CNODE_ESTALE. */
int cn_gen_info(const struct cn_message *m, cnode_info *info, cnode_term *built);

#endif
