/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes: what a callback (or a mailbox, cnode/mailbox.h) can do to other processes,
 * on this node or another. The words and their meaning are those of the erlang module.
 *
 * A cnode_process is the running process itself. It is given to callbacks, is valid
 * until they return, and may be used by their thread only. Everything that another
 * thread may do is marked "any thread".
 *
 * Sending never waits for the network. A signal to a node that is not connected starts
 * a connection and follows once it is up; if that fails it is lost, as in the BEAM, and
 * links and monitors answer `noconnection`. A peer that takes data too slowly suspends
 * the sender after its callback returns, one with `run` (cnode/server.h) in its send; a send
 * with CNODE_NOSUSPEND returns CNODE_EBUSY instead.
 *
 * All functions return 0 or a negative code. Besides those named: CNODE_ENOMEM,
 * CNODE_EEXITED (the process was killed while its callback runs), and for those with a
 * format CNODE_EFORMAT and CNODE_EBADTERM. Since 0.1.
 */
#ifndef CNODE_PROCESS_H
#define CNODE_PROCESS_H

#include "cnode/log.h"
#include "cnode/term.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cnode_node cnode_node;
typedef struct cnode_process cnode_process;

/* ---- who it is ---- */

CNODE_API cnode_pid cnode_self(const cnode_process *self);
CNODE_API cnode_node *cnode_process_node(const cnode_process *self);
/* The process that asked for this one; none for a process that the program started. */
CNODE_API cnode_pid cnode_parent(const cnode_process *self);
CNODE_API cnode_pid cnode_group_leader(const cnode_process *self);
/* erlang:group_leader/2: pid, here or on another node, gets the leader. CNODE_EBADARG. */
CNODE_API int cnode_set_group_leader(cnode_process *self, cnode_pid leader, cnode_pid pid);
/*
 * io:format to the group leader: text as by printf, sent with the io protocol, so that it
 * appears on the shell of whoever spawned self. What the program itself started, and
 * mailboxes, have the process `user` of this node for a leader, which writes to the
 * program's standard output (cnode_config.output). It does not wait for the io server:
 * what is lost on the way is lost, and the io server's reply goes to nobody. Text that
 * is no UTF-8 goes as Latin-1. CNODE_EFORMAT (the C library refused the format). Since 0.2.
 * Follows: the Erlang I/O protocol (stdlib).
 */
CNODE_API int cnode_printf(cnode_process *self, const char *format, ...) __attribute__((format(printf, 2, 3)));
CNODE_API int cnode_vprintf(cnode_process *self, const char *format, va_list args) __attribute__((format(printf, 2, 0)));
/* erlang:is_process_alive/1; false for a process of another node. Any thread. */
CNODE_API bool cnode_is_alive(cnode_node *node, cnode_pid pid);
/* True once a fatal exit signal has arrived: a long callback may look and return early. Any thread that owns a callback of self. */
CNODE_API bool cnode_cancelled(const cnode_process *self);

/* ---- its log ---- */

/*
 * Writes a line to the node's log, with the pid and the factory before it, if the process's own level
 * (cnode_set_log_level, or the option log_level of its spawn) or, without one, the node's lets
 * it through. Format as printf; up to 1,000 bytes. Since 0.2.
 */
CNODE_API void cnode_log(cnode_process *self, enum cnode_log_level level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* The process's own level, which a spawn from it carries on. CNODE_LOG_NONE: nothing. Since 0.2. */
CNODE_API void cnode_set_log_level(cnode_process *self, enum cnode_log_level level);
/* CNODE_ENOENT: it has none. Since 0.2. */
CNODE_API int cnode_log_level(const cnode_process *self, enum cnode_log_level *level);

/* ---- messages ---- */

#define CNODE_NOSUSPEND 1u      /* CNODE_EBUSY, and nothing is sent, where the sender would be suspended */
#define CNODE_NOCONNECT 2u      /* CNODE_ENOCONNECTION, and nothing is sent, where a connection would have to be made. Since 0.2 */

/* erlang:send/2. A message to a process that does not exist is dropped, as in the BEAM. */
CNODE_API int cnode_send(cnode_process *self, cnode_pid to, const char *format, ...);
CNODE_API int cnode_send_term(cnode_process *self, cnode_pid to, cnode_term message, unsigned flags);
/* To {name, node}; node NULL is this node. CNODE_EBADNAME. */
CNODE_API int cnode_send_name(cnode_process *self, const char *name, const char *node, const char *format, ...);
CNODE_API int cnode_send_name_term(cnode_process *self, const char *name, const char *node,
				   cnode_term message, unsigned flags);
/* To an alias: a reference that cnode_alias or a BEAM process made. */
CNODE_API int cnode_send_alias(cnode_process *self, cnode_ref alias, const char *format, ...);
CNODE_API int cnode_send_alias_term(cnode_process *self, cnode_ref alias, cnode_term message, unsigned flags);

/* ---- names ---- */

/* erlang:register/2 of self. CNODE_ENAMETAKEN, CNODE_EBADNAME (also "undefined"), CNODE_EEXIST (self has a name). */
CNODE_API int cnode_register(cnode_process *self, const char *name);
/* erlang:unregister/1 of a name of self. CNODE_ENOENT. */
CNODE_API int cnode_unregister(cnode_process *self, const char *name);
/* erlang:whereis/1. CNODE_ENOENT. Any thread. */
CNODE_API int cnode_whereis(cnode_node *node, const char *name, cnode_pid *pid);

/* erlang:registered/0: calls `each` with every name; stops when it returns another than 0, and returns that. CNODE_ENOMEM. Any thread. */
CNODE_API int cnode_registered(cnode_node *node, int (*each)(void *context, const char *name), void *context);

/* ---- links, exit signals ---- */

CNODE_API int cnode_link(cnode_process *self, cnode_pid to);
CNODE_API int cnode_unlink(cnode_process *self, cnode_pid to);
/* exit(Pid, Reason): the reason by format. */
CNODE_API int cnode_exit(cnode_process *self, cnode_pid to, const char *format, ...);
/* process_flag(trap_exit, Bool): exit signals arrive as CNODE_EXIT information. */
CNODE_API int cnode_trap_exit(cnode_process *self, bool on);
/*
 * Ends self with a reason when the callback returns: "normal", "{shutdown,done}" …
 * Returns a code that the callback passes on: return cnode_stop(self, "normal").
 */
CNODE_API int cnode_stop(cnode_process *self, const char *format, ...);

/* ---- monitors, aliases ---- */

#define CNODE_FLUSH 1u          /* cnode_demonitor: also takes a DOWN that has arrived out of the mailbox */

/* erlang:monitor(process, Pid). A process that is gone gives DOWN with noproc. */
CNODE_API int cnode_monitor(cnode_process *self, cnode_pid to, cnode_ref *ref);
/* erlang:monitor(process, {Name, Node}); node NULL is this node. */
CNODE_API int cnode_monitor_name(cnode_process *self, const char *name, const char *node, cnode_ref *ref);
/* erlang:demonitor(Ref, [flush]). An unknown reference is no error. */
CNODE_API int cnode_demonitor(cnode_process *self, cnode_ref ref, unsigned flags);
/* erlang:monitor_node/2, counted: one CNODE_NODEDOWN for each call with true. Connects. CNODE_EBADNAME. */
CNODE_API int cnode_monitor_node(cnode_process *self, const char *node, bool on);

#define CNODE_NODES_VISIBLE 1u  /* node_type => visible */
#define CNODE_NODES_HIDDEN 2u   /* node_type => hidden; both: all */
/*
 * net_kernel:monitor_nodes/2 with node_type, nodedown_reason and connection_id: tells self of every node of
 * these types that comes and goes from now on, as CNODE_NODEUP and CNODE_NODEDOWN information with `peer`
 * and `connection_id` (which cnode_monitor_node's nodedown leaves 0), and the messages
 *
 *     {nodeup, Node, #{node_type := visible | hidden, connection_id := N}}
 *     {nodedown, Node, #{node_type := visible | hidden, nodedown_reason := Reason, connection_id := N}}
 *
 * Reasons: connection_closed (by the peer or the network), disconnect (by this node, as asked),
 * net_tick_timeout, net_kernel_terminated (this node stops), shutdown (by this node, for a fault of the peer
 * or a limit). N is this node's number of the connection; it grows.
 *
 * Subscriptions nest: each call with on gives one more message for each event, and a call with !on ends all
 * that were made with the same types. They end with the process. Nodes that are connected already are not
 * told: list them afterwards (cnode_peers), and use the connection's number to tell one from the other.
 *
 * nodeup comes when the node is among cnode_peers, before everything that its connection brings; nodedown
 * when it is not any more, behind all that came by the connection and behind the EXIT, DOWN and nodedown that
 * its end causes; the nodedown of one connection before the nodeup of the next. A subscriber that there is no
 * memory to tell is killed with the reason enomem. CNODE_EBADARG (types). Since 0.2.
 * Follows: net_kernel(3), monitor_nodes/2 of OTP 25.
 */
CNODE_API int cnode_monitor_nodes(cnode_process *self, unsigned types, bool on);

#define CNODE_ALIAS_REPLY 1u    /* the alias ends with the first message that is sent to it */

/* erlang:alias/1. */
CNODE_API int cnode_alias(cnode_process *self, unsigned flags, cnode_ref *ref);
#define CNODE_ALIAS_DEMONITOR 2u  /* cnode_monitor_alias: the alias ends with the monitor */
/*
 * erlang:monitor(process, Pid, [{alias, How}]): the monitor's reference is an alias too. Flags:
 * 0 until cnode_unalias (explicit_unalias), CNODE_ALIAS_DEMONITOR until the monitor ends
 * (demonitor), CNODE_ALIAS_REPLY until that or the first message sent to it, which ends
 * the monitor too (reply_demonitor).
 */
CNODE_API int cnode_monitor_alias(cnode_process *self, cnode_pid to, unsigned flags, cnode_ref *ref);
/* The same for {Name, Node}; node NULL is this node. CNODE_EBADNAME. */
CNODE_API int cnode_monitor_name_alias(cnode_process *self, const char *name, const char *node, unsigned flags,
				       cnode_ref *ref);
/* erlang:unalias/1. CNODE_ENOENT. */
CNODE_API int cnode_unalias(cnode_process *self, cnode_ref ref);
/* erlang:make_ref/0. */
CNODE_API int cnode_make_ref(cnode_process *self, cnode_ref *ref);

/* ---- looking at processes ---- */

enum cnode_process_status {
	CNODE_WAITING,              /* for a message */
	CNODE_RUNNABLE,             /* for a thread */
	CNODE_RUNNING,              /* one of its callbacks runs, or its `run` does not wait; for a mailbox it is told as waiting */
	CNODE_SUSPENDED,            /* a peer takes its data too slowly */
};

/* A process as it was a moment ago. Filled by the library as far as `size` goes. Since 0.2. */
typedef struct cnode_process_info {
	size_t size;
	cnode_pid pid;
	cnode_pid parent;           /* who spawned it; none: this program */
	cnode_pid group_leader;
	cnode_atom name;            /* registered; empty: none */
	cnode_atom factory;         /* it was spawned by, else what else logs call it */
	enum cnode_process_status status;
	bool trap_exit;
	bool prompt;
	uint32_t messages;          /* in the mailbox */
	uint32_t links, monitors, monitored_by;
	uint64_t memory;            /* bytes: the process, its state and its mailbox; not what the state points to */
	uint64_t run_ns;            /* nanoseconds spent in its callbacks */
	uint64_t handled;           /* messages that it has taken */
} cnode_process_info;
#define CNODE_PROCESS_INFO_INIT { .size = sizeof(cnode_process_info) }

/* One living process of this node. CNODE_ENOPROC; CNODE_EBADARG (info->size). Any thread. Since 0.2. */
CNODE_API int cnode_process_look(cnode_node *node, cnode_pid pid, cnode_process_info *info);
/*
 * erlang:processes/0: calls `each` for every living process, in no order, mailboxes and kernel
 * services too; stops when it returns another than 0, and returns that. CNODE_ENOMEM. Any thread. Since 0.2.
 */
CNODE_API int cnode_processes(cnode_node *node, int (*each)(void *context, const cnode_process_info *process),
			      void *context);

/* ---- time ---- */

/*
 * erlang:start_timer/3, except that the message is the one given: it arrives as
 * CNODE_TIMER information with `ref` after `ms` milliseconds. The timer ends with the process.
 */
CNODE_API int cnode_start_timer(cnode_process *self, uint64_t ms, cnode_ref *ref, const char *format, ...);
/* CNODE_ENOENT: it has fired (its message may still be in the mailbox) or was cancelled. */
CNODE_API int cnode_cancel_timer(cnode_process *self, cnode_ref ref);

#ifdef __cplusplus
}
#endif
#endif
