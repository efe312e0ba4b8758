/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mailboxes: processes without callbacks, for threads of the program's own. A mailbox
 * has a pid, can be registered, linked and monitored as any process, and is used by one
 * thread at a time.
 *
 * The code of a behaviour with `run` (cnode/server.h) has a mailbox too: its process's own.
 *
 * Functions that wait take milliseconds (CNODE_INFINITY: for ever; 0: do not wait) and
 * return CNODE_ETIMEOUT; they may not be called from a callback of a behaviour.
 * All return 0 or a negative code, and cnode_mailbox_error has the sentence with node,
 * name and time in it. Since 0.1.
 */
#ifndef CNODE_MAILBOX_H
#define CNODE_MAILBOX_H

#include "cnode/node.h"
#include "cnode/server.h"
#include "cnode/spawn.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cnode_mailbox cnode_mailbox;

/* Opens a mailbox on a node; name registers it (NULL: none). CNODE_ENAMETAKEN, CNODE_ESYSLIMIT, CNODE_ESTATE, CNODE_ENOMEM. */
CNODE_API int cnode_mailbox_open(cnode_node *node, const char *name, cnode_mailbox **mailbox);
/* Ends it with reason normal and frees it. Takes NULL. */
CNODE_API void cnode_mailbox_close(cnode_mailbox *mailbox);
/* The process: for everything that cnode/process.h offers. Borrowed. */
CNODE_API cnode_process *cnode_mailbox_process(cnode_mailbox *mailbox);
/* One sentence about the last failure on this mailbox: what, to which name. Borrowed until the next call on it. */
CNODE_API const char *cnode_mailbox_error(const cnode_mailbox *mailbox);

/*
 * Takes the oldest message. Its terms are borrowed until the next call on this mailbox.
 * CNODE_ETIMEOUT; CNODE_EEXITED: an exit signal has ended the mailbox; CNODE_ESHUTDOWN; CNODE_ENOMEM: it could not
 * be shown, and stays the oldest.
 */
CNODE_API int cnode_receive(cnode_mailbox *mailbox, cnode_info *message, uint64_t timeout_ms);
/*
 * A selective receive: takes the oldest message for which `wanted` is true, and leaves the others in their order. What it
 * is shown is borrowed for that call; it calls no function of the mailbox. NULL: cnode_receive. Each call looks at
 * all that waits, from the oldest on. CNODE_ENOMEM also of a message that `wanted` could not be shown. Since 0.2.
 */
typedef bool cnode_wanted_fn(void *context, const cnode_info *message);
CNODE_API int cnode_receive_if(cnode_mailbox *mailbox, cnode_wanted_fn *wanted, void *context, cnode_info *message,
			       uint64_t timeout_ms);
/* A descriptor that is readable while a message is waiting, for a poll loop of the program's own. CNODE_EFDS. */
CNODE_API int cnode_mailbox_fd(cnode_mailbox *mailbox);

/*
 * gen_server:call/3. *reply is yours (cnode_term_drop).
 * CNODE_ENOCONNECTION (the node cannot be reached, or was lost while waiting), CNODE_ENOPROC,
 * CNODE_ETIMEOUT, CNODE_EEXITED (the server ended without an answer: its reason is in the
 * error text), CNODE_EFORMAT, CNODE_EBADTERM.
 */
CNODE_API int cnode_call(cnode_mailbox *mailbox, cnode_pid to, uint64_t timeout_ms, cnode_term *reply,
			 const char *format, ...);
CNODE_API int cnode_call_name(cnode_mailbox *mailbox, const char *name, const char *node, uint64_t timeout_ms,
			      cnode_term *reply, const char *format, ...);

/*
 * gen_server:multi_call/4: asks the process `name` of all the nodes (the own one may be among them) at
 * once. replies[i] is what nodes[i] answered, yours; zeroed where it did not: there is no such process, or
 * the node is not there, or it took too long. 0; CNODE_ETIMEOUT: some took too long. Since 0.2.
 */
CNODE_API int cnode_multi_call(cnode_mailbox *mailbox, const char *const *nodes, size_t count, const char *name,
			       uint64_t timeout_ms, cnode_term *replies, const char *format, ...);

/*
 * spawn_request/5 and its reply: starts module:function(args) on a BEAM node, or a process
 * of the factory `module` on a C node; node NULL or the own one: here, whatever the list
 * of the factory says. `args` is a list. options (cnode/spawn.h) NULL: none.
 * CNODE_ENOCONNECTION: the node cannot be reached; CNODE_ELOST: it could be, and the connection was
 * lost before the answer: the process may run; CNODE_ENOTSUP: it does not offer spawn (nothing was
 * sent); CNODE_EUNDEF: no such factory; CNODE_ENOTALLOWED; CNODE_EINIT: init failed, the
 * reason is in the error text and in options->reason; CNODE_ENAMETAKEN; CNODE_ETIMEOUT: also a
 * C node's process that is late ends; CNODE_EBADARG: the arguments do not fit, or an option is
 * unknown there; CNODE_ESYSLIMIT; CNODE_EBADTERM: a value of the environment cannot be sent (the
 * text has its key); CNODE_EREPLY: any other refusal (the text has its reason).
 */
CNODE_API int cnode_spawn_remote(cnode_mailbox *mailbox, const char *node, const char *module, cnode_term args,
				 const cnode_spawn_options *options, cnode_pid *pid);

/*
 * erpc:call/5: module:function(args) on a node. *result is yours: the value; with
 * CNODE_EEXITED what was raised, as {throw, T}, {exit, R}, {error, R, Stack} or {signal, R}.
 * CNODE_ENOCONNECTION, CNODE_ETIMEOUT, CNODE_ENOTALLOWED, CNODE_EUNDEF, CNODE_ENOTSUP, CNODE_EREPLY.
 */
CNODE_API int cnode_rpc(cnode_mailbox *mailbox, const char *node, const char *module, const char *function,
			cnode_term args, uint64_t timeout_ms, cnode_term *result);

/*
 * Connects and tells why it cannot (net_kernel:connect_node/1, but with the cause). CNODE_EHOST,
 * CNODE_ENOTREG, CNODE_EEPMD, CNODE_ECOOKIE, CNODE_EREFUSED, CNODE_EFLAGS, CNODE_EPEERNAME, CNODE_ENOCONNECTION, CNODE_ETIMEOUT.
 */
CNODE_API int cnode_connect_wait(cnode_mailbox *mailbox, const char *peer, uint64_t timeout_ms);

/* What a connection attempt went through. */
enum cnode_step {
	CNODE_STEP_RESOLVE,             /* the host's address */
	CNODE_STEP_EPMD,                /* epmd's port of the node */
	CNODE_STEP_TCP,                 /* the TCP connection */
	CNODE_STEP_HANDSHAKE,           /* name, flags and cookie */
	CNODE_STEP_PING,                /* net_kernel answers */
};
/*
 * net_adm:ping/1 step by step: `step` (NULL: none) is called, by the calling thread, as each is done or has
 * failed, with a code and a phrase. As cnode_connect_wait, and CNODE_EREPLY: its net_kernel did not say yes.
 */
CNODE_API int cnode_ping(cnode_mailbox *mailbox, const char *peer, uint64_t timeout_ms,
			 void (*step)(void *context, enum cnode_step step, int code, const char *text), void *context);

/* The names that the epmd of a host has ("name at port N" as erl_epmd:names/1). host NULL: this host. CNODE_EHOST, CNODE_EEPMD, CNODE_ETIMEOUT. */
CNODE_API int cnode_epmd_names(cnode_mailbox *mailbox, const char *host, uint64_t timeout_ms,
			       void (*each)(void *context, const char *name, uint16_t port), void *context);

#ifdef __cplusplus
}
#endif
#endif
