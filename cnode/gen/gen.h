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
