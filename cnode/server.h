/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Behaviours: a process as a set of callbacks, in the shape of gen_server. BEAM
 * processes call it with gen_server:call and cast, sys, supervisor and so on.
 *
 * A process runs on one thread at a time and its state is its own, so callbacks need no
 * locks for it. A callback may take as long as it likes: it delays nobody else. Terms,
 * `from` and `info` are borrowed until the callback returns (cnode_term_keep,
 * cnode_from_keep).
 *
 * A callback returns 0 to go on, cnode_stop(self, …) to end with a reason, or another
 * negative code, which ends the process with {cnode, Code, Text}: the code's atom
 * (cnode_error_atom) and its sentence as a binary. So return the code of a cnode_send only
 * where the process is to end for it: a stranger's message can hold a pid that nothing can be
 * sent to (CNODE_EBADTERM where it has more bits than its node's release allows, CNODE_ESTALE).
 *
 * What arrives while the process is suspended (sys:suspend) waits. sys:replace_state takes an
 * Erlang fun, which nobody can run here: the caller gets OTP's error for a callback that failed,
 * {callback_failed, {Factory, system_replace_state}, {error, undef}}. Since 0.1.
 *
 * Straight-line code. A behaviour with `run` is a process as spawn(fun loop/1) makes it: `run` is called once, on
 * a thread that is the process's own, and takes its messages itself. Its argument is a mailbox, so all of
 * cnode/mailbox.h may be used: cnode_receive, cnode_receive_if, cnode_call, cnode_rpc, cnode_spawn_remote …; and with
 * cnode_mailbox_process(self) all of cnode/process.h. The mailbox lives as long as `run` does, and cnode_mailbox_close
 * leaves it alone.
 *
 *     static int echo_run(cnode_mailbox *self, void *state, const cnode_start *how)
 *     {
 *             cnode_info in;
 *             cnode_term from, request;
 *             int rc;
 *             while ((rc = cnode_receive(self, &in, CNODE_INFINITY)) == 0)
 *                     if (cnode_scan(in.message, "{'$gen_call',~t,~t}", &from, &request) == 0)
 *                             cnode_reply_to(cnode_mailbox_process(self), from, "~t", request);
 *             return rc;
 *     }
 *
 * Start: `init`, if there is one, runs first, on a thread of the node; its result is the answer to the spawn.
 * Without it the spawn succeeds at once. `how` is the same in both, in `run` borrowed up to its end.
 *
 * End: what `run` returns is what a callback returns, except that 0 ends the process with normal. A fatal exit
 * signal ends the process at once for everybody else; in its own thread every wait then ends with CNODE_EEXITED (with
 * CNODE_ESHUTDOWN when the node stops), every send with CNODE_EEXITED, and cnode_cancelled is true, so that `run` can
 * return; what it returns then has no meaning. `terminate`, then `release` follow on the same thread as for any
 * behaviour. A node that stops waits for `run` as for a callback; one that traps exits gets {'EXIT', Pid, shutdown}
 * from the node, and after shutdown_timeout it is killed.
 *
 * Nothing is read for it: calls and casts arrive as {'$gen_call', From, Request} (answer with cnode_reply_to) and
 * {'$gen_cast', Message}, requests of sys as {system, From, Request} (which time out if nobody answers), and the exit
 * of its parent, if it traps exits, as any other. cnode_call_async and cnode_after are CNODE_ESTATE: cnode_call waits.
 *
 * Sends to a peer that takes data too slowly wait in the send (CNODE_NOSUSPEND: CNODE_EBUSY). There are at
 * most cnode_config.max_run_threads of these processes at a time; the spawn of another one fails with system_limit.
 * handle_call, handle_cast, handle_info, idle_timeout_ms and CNODE_PROMPT beside it: CNODE_EBADARG of
 * cnode_factory_add and cnode_process_start; a node with CNODE_THREADS_NONE: CNODE_ENOTSUP. Since 0.2.
 *
 * Follows: gen_server, sys, gen (stdlib).
 */
#ifndef CNODE_SERVER_H
#define CNODE_SERVER_H

#include "cnode/process.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Whom to answer: {Pid, Tag} of a call. The tag is opaque and goes back as it came. */
typedef struct cnode_from cnode_from;
typedef struct cnode_mailbox cnode_mailbox;

/* How the process was started. */
typedef struct cnode_start {
	size_t size;                /* of this struct, as the library has it */
	cnode_term args;            /* the argument list */
	cnode_pid caller;           /* who spawned it; none: this program */
	const char *factory;        /* the name it was spawned by; NULL: by cnode_process_start */
	void *context;              /* as given to cnode_factory_add or cnode_process_start */
} cnode_start;

enum cnode_info_kind {
	CNODE_MESSAGE,              /* any other message */
	CNODE_DOWN,                 /* {'DOWN', Ref, process, pid or {Name,Node}, Reason} */
	CNODE_EXIT,                 /* {'EXIT', pid, reason}: only while trapping exits */
	CNODE_NODEDOWN,             /* {nodedown, Node} of cnode_monitor_node; {nodedown, Node, Info} of cnode_monitor_nodes */
	CNODE_TIMER,                /* the message of cnode_start_timer */
	CNODE_TIMEOUT,              /* nothing came for idle_timeout_ms: the atom timeout */
	CNODE_NODEUP,               /* {nodeup, Node, Info} of cnode_monitor_nodes; its nodedown is a CNODE_NODEDOWN */
};

/* What handle_info gets. */
typedef struct cnode_info {
	size_t size;                /* of this struct, as the library has it */
	enum cnode_info_kind kind;
	cnode_term message;         /* the whole message, as a BEAM process would see it */
	cnode_pid pid;              /* EXIT, DOWN: whose; none for a monitor by name */
	cnode_ref ref;              /* DOWN: the monitor's; TIMER: the timer's */
	cnode_term reason;          /* EXIT, DOWN; NODEDOWN of cnode_monitor_nodes: nodedown_reason */
	cnode_name peer;            /* MESSAGE: the node that sent it, by its authenticated connection; 0: this node. Events of
				       cnode_monitor_nodes: which node */
	uint64_t connection_id;     /* events of cnode_monitor_nodes: of which connection, else 0. Since 0.2 */
} cnode_info;

/* The callbacks. Set with CNODE_BEHAVIOUR_INIT; each may be NULL but those said otherwise. */
typedef struct cnode_behaviour {
	size_t size;
	unsigned flags;                     /* CNODE_PROMPT, CNODE_RAW */
	size_t state_size;                  /* bytes of zeroed state per process */
	/*
	 * Starts the process. Another result than 0 refuses the spawn (CNODE_EBADARG: badarg);
	 * neither terminate nor another callback is called then. 0 after cnode_stop: the spawn
	 * succeeds, and the process ends at once with that reason.
	 */
	int (*init)(cnode_process *self, void *state, const cnode_start *how);
	/* A call: answer with cnode_reply now or later. NULL: {error, bad_request}. */
	int (*handle_call)(cnode_process *self, void *state, cnode_from *from, cnode_term request);
	/* NULL: casts are ignored. */
	int (*handle_cast)(cnode_process *self, void *state, cnode_term message);
	/* NULL: messages are ignored. */
	int (*handle_info)(cnode_process *self, void *state, const cnode_info *info);
	/*
	 * The end, with its reason, whether it trapped exits or not; left out after a kill (exit/2
	 * with kill). It can still send if it ends by itself; after a fatal signal its sends are
	 * CNODE_EEXITED. The state is freed behind it.
	 */
	void (*terminate)(cnode_process *self, void *state, cnode_term reason);
	/* What sys:get_state and get_status show: builds a term (yours to give away). NULL: the atom of the factory. */
	int (*get_state)(cnode_process *self, void *state, cnode_term *shown);
	uint64_t idle_timeout_ms;           /* 0: none. CNODE_TIMEOUT each time that nothing has come for so long */
	/* Frees what the state holds (memory, files): the very last call, also after a kill and after an init that refused. */
	void (*release)(void *state);
	/* Straight-line code in place of the handle_ callbacks, on a thread of its own: see the beginning of this page. Since 0.2. */
	int (*run)(cnode_mailbox *self, void *state, const cnode_start *how);
} cnode_behaviour;

#define CNODE_BEHAVIOUR_INIT .size = sizeof(cnode_behaviour)

/*
 * Callbacks are bounded and never block: the process is run by whichever thread leads,
 * at once, and is never suspended by back-pressure. One that runs for over 10 ms is logged.
 */
#define CNODE_PROMPT 1u
/*
 * The process is no gen_server: calls, casts, system messages and the exit of its parent
 * come to handle_info like everything else, as to a process made by spawn with a receive of its own.
 */
#define CNODE_RAW 2u

/*
 * Answers a call once; the second answer is CNODE_ESTATE. CNODE_EFORMAT, CNODE_EBADTERM,
 * CNODE_ENOMEM: nothing was answered yet. A call that is never answered ends for its caller
 * with a timeout, or with the process. A callback may return what these return: where the answer
 * cannot be sent because of the pid and tag that the caller chose, or because his node does not take
 * what is in it (CNODE_EBADTERM, CNODE_ESTALE), the process goes on, and the log says so.
 */
CNODE_API int cnode_reply(cnode_from *from, const char *format, ...);
CNODE_API int cnode_reply_term(cnode_from *from, cnode_term reply);
/* Who calls. */
CNODE_API cnode_pid cnode_from_pid(const cnode_from *from);
/*
 * Makes `from` outlive the callback, for an answer later by the same process. *kept is
 * yours: cnode_reply does not free it, cnode_from_drop does, or the end of the process
 * (behind `release`, which may not drop it).
 */
CNODE_API int cnode_from_keep(cnode_from *from, cnode_from **kept);
CNODE_API void cnode_from_drop(cnode_from *from);

/*
 * gen_server:reply/2 by another process: cnode_from_term gives {Pid, Tag}, yours, to be handed
 * on in a message; whoever gets it answers with cnode_reply_to. That nobody else does is theirs
 * to see to: the library no longer counts. CNODE_EBADARG: `from` is no {Pid, Tag}. Since 0.2.
 */
CNODE_API int cnode_from_term(const cnode_from *from, cnode_term *term);
CNODE_API int cnode_reply_to(cnode_process *self, cnode_term from, const char *format, ...);

/*
 * In a callback of a behaviour: the node whose authenticated connection brought the message that is
 * being handled, call or cast, whatever the pids in it say; 0: this node. Since 0.2.
 */
CNODE_API cnode_name cnode_message_peer(const cnode_process *self);

/* gen_server:cast/2. */
CNODE_API int cnode_cast(cnode_process *self, cnode_pid to, const char *format, ...);
CNODE_API int cnode_cast_name(cnode_process *self, const char *name, const char *node, const char *format, ...);

/* How a call ended: status 0 and the reply, or a code and (CNODE_ENOPROC, or the server's end) its exit reason. */
typedef struct cnode_answer {
	size_t size;
	int status;                 /* 0, CNODE_ETIMEOUT, CNODE_ENOCONNECTION, CNODE_ENOPROC, CNODE_EEXITED */
	cnode_term term;            /* the reply, or the reason the server ended with; borrowed */
	cnode_ref ref;              /* the request's */
} cnode_answer;

/*
 * gen_server:send_request/2 with a completion: `done` is called exactly once, as a
 * callback of self, with the answer, an error, or CNODE_ETIMEOUT after timeout_ms
 * (CNODE_INFINITY: never). If the process ends first it is not called.
 */
#define CNODE_INFINITY UINT64_MAX
typedef int cnode_done_fn(cnode_process *self, void *state, void *context, const cnode_answer *answer);
CNODE_API int cnode_call_async(cnode_process *self, cnode_pid to, uint64_t timeout_ms,
			       cnode_done_fn *done, void *context, const char *format, ...);
CNODE_API int cnode_call_name_async(cnode_process *self, const char *name, const char *node, uint64_t timeout_ms,
				    cnode_done_fn *done, void *context, const char *format, ...);

/*
 * Calls `done` once, as a callback of self, after `ms` milliseconds: with status 0 and no term. If the
 * process ends first it is not called. A timer whose message comes to handle_info is cnode_start_timer.
 * CNODE_ESTATE: self is no behaviour. Since 0.2.
 */
CNODE_API int cnode_after(cnode_process *self, uint64_t ms, cnode_done_fn *done, void *context);

#ifdef __cplusplus
}
#endif
#endif
