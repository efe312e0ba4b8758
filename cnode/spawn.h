/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Factories: what other nodes may spawn here. A factory is a name, a behaviour and a
 * list of who may use it. `spawn(Node, counter, start, [10])` on a BEAM node starts a
 * process of the factory "counter" here: the module is the factory's name ('Elixir.My.Codec'
 * for My.Codec), the function is start or start_link, the list is the arguments.
 *
 * The caller is the node that the connection was authenticated for, whatever a pid says.
 * Not allowed: the spawn fails with not_allowed; no such factory or another function:
 * undef (see cnode_factory_unknown); init returned CNODE_EBADARG: badarg. Since 0.1.
 *
 * Options. They stand in the list of spawn_opt/5 and spawn_request/5, which a BEAM node hands on
 * as they are, or in a third place: spawn(Node, cnode, spawn, [Factory, Args, Options]).
 *
 *   link, monitor                     as in erlang:spawn_opt/5
 *   {name, Atom}                      registers it here before init; taken: name_taken; '' and undefined are no names
 *   {registration, local}             the same: what a name alone means
 *   {registration, none}              the name is not registered
 *   {registration, global}            the name is registered in global, and not here; taken: name_taken
 *                                     (both ways the name is there before the caller hears of the process)
 *   {init_timeout, Ms | infinity}     how long init may take, from its begin on; then: timeout
 *   {timeout, Ms | infinity}          the same for the whole start, from the request's arrival on
 *   {answer, init}                    the answer comes when init has ended, as without this option
 *   {answer, creation}                it comes at once; an init that fails is the end of the process then
 *   {failure, message}                {spawn_failed, ReqId, Reason} goes to the caller before an answer
 *                                     that init has failed: the answer itself can only be an atom. It comes also
 *                                     to a caller that has given up waiting (OTP 23 has nothing better)
 *   {failure, Alias}                  the same to an alias of the caller (erlang:alias/1): who gives up
 *                                     waiting ends it, and is not surprised by the message later
 *   {env, [{Key, Value}]}             cnode_env: Key an atom or a binary of at most 255 bytes
 *   {application, Atom}               cnode_application
 *   {log_level, Level}                cnode_set_log_level
 *   {mailbox, N}, {mailbox, {N, exit}}  with more than N messages, the one in its callback
 *                                     counted, the process ends with mailbox_overflow
 *   {mailbox, {N, drop}}              what comes when N are there is dropped, and the log says so;
 *                                     exits, downs and timers always have a place
 *   priority, fullsweep_after, min_heap_size, min_bin_vheap_size, max_heap_size,
 *   message_queue_data, async_dist, scheduler    (each {Key, _}): taken, and without meaning here
 *   reply, reply_tag                  do not leave the caller's node
 *   anything else, also compressed and {compression, _}: badopt, which spawn/4 shows as badarg.
 *                                     Terms are never compressed here: BEAM nodes do not take it.
 *   more than 1 MiB of them           system_limit
 *
 * A process that is late ends at once for everybody; its init can see that with cnode_cancelled.
 * If init itself sends, links or monitors, that is the answer: it failing later is an end.
 */
#ifndef CNODE_SPAWN_H
#define CNODE_SPAWN_H

#include "cnode/server.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Who may: one string. */
#define CNODE_ALL_NODES "*"             /* every connected node */
#define CNODE_NO_NODES ""               /* nobody */
/*
 * Otherwise node names separated by commas; '*' in a name stands for any text: "a@h1,worker*@h2". Each such pattern is
 * compared in each request, names cost nothing; a list has at most CNODE_ACCESS_ENTRIES_MAX (cnode/access.h).
 * '!' before a name denies it, the last one that matches decides: "*,!evil@h" is all but one,
 * in one change (since 0.2; not in cnode_factory_deny).
 */

/*
 * Adds a factory. `behaviour` and `context` are borrowed as long as the node lives; the
 * context comes back in cnode_start. May be called while the node runs.
 * The same again adds the nodes to the list. CNODE_EEXIST: the name belongs to another
 * behaviour or context (nothing is changed); CNODE_EBADNAME; CNODE_EBADARG (a node name without '@').
 */
CNODE_API int cnode_factory_add(cnode_node *node, const char *name, const cnode_behaviour *behaviour,
				void *context, const char *who);
/*
 * Removes it; running processes stay. The list of another behaviour that gets the name says nothing about them (who
 * may end them: cnode/access.h). CNODE_ENOENT.
 */
CNODE_API int cnode_factory_remove(cnode_node *node, const char *name);
/* Adds nodes to those that may; CNODE_ALL_NODES opens it. CNODE_ENOENT, CNODE_EBADARG. */
CNODE_API int cnode_factory_allow(cnode_node *node, const char *name, const char *who);
/* Takes nodes out; of an open factory it denies just them. CNODE_ALL_NODES closes it. CNODE_ENOENT, CNODE_EBADARG. */
CNODE_API int cnode_factory_deny(cnode_node *node, const char *name, const char *who);
/* Replaces the list. CNODE_ENOENT, CNODE_EBADARG. */
CNODE_API int cnode_factory_set(cnode_node *node, const char *name, const char *who);

/* Is there a factory of this name? Any thread. Since 0.2. */
CNODE_API bool cnode_factory_has(cnode_node *node, const char *name);

/* How a request is answered for what is not there. */
enum cnode_unknown {
	CNODE_UNKNOWN_UNDEF = 0,        /* with undef: the spawn fails */
	CNODE_UNKNOWN_DIES,             /* as a BEAM node does: with a process, which ends with {undef, […]} */
	CNODE_UNKNOWN_HIDDEN,           /* with not_allowed, so that nobody learns what is there */
};
/*
 * For other functions than start and start_link of the factory; name NULL: for modules that are no
 * factory. A new factory is at CNODE_UNKNOWN_UNDEF. CNODE_ENOENT, CNODE_EBADARG. Any thread. Since 0.2.
 */
CNODE_API int cnode_factory_unknown(cnode_node *node, const char *name, enum cnode_unknown how);

/*
 * The switch for all factories: off, every spawn of one is answered with not_allowed, whatever its
 * list says; the lists stay as they are. Processes that live go on, functions (cnode/function.h)
 * can be called. On at first. Any thread. Since 0.2.
 */
CNODE_API void cnode_factory_enable(cnode_node *node, bool on);

/* One factory, as it is listed. */
typedef struct cnode_factory_info {
	size_t size;
	const char *name;
	const char *mode;               /* "all", "list" or "none" */
	const char *allowed;            /* comma separated, as given; "" unless mode is list */
	const char *denied;             /* comma separated; those that were denied */
	uint64_t processes;             /* alive now */
	uint64_t spawned;               /* ever */
	uint64_t refused;               /* requests that the list refused */
	const char *who;                /* the whole list in its order, as cnode_factory_set takes it; since 0.2 */
} cnode_factory_info;
CNODE_API int cnode_factory_list(cnode_node *node, int (*each)(void *context, const cnode_factory_info *factory),
				 void *context);

/*
 * Starts a process of the program's own, not of a factory: `name` registers it (NULL:
 * none), `args` is borrowed. Returns at once; init runs on a thread of the node (after
 * cnode_node_start). CNODE_ENAMETAKEN, CNODE_ESYSLIMIT. Any thread.
 */
CNODE_API int cnode_process_start(cnode_node *node, const char *name, const cnode_behaviour *behaviour,
				  void *context, cnode_term args, cnode_pid *pid);

/*
 * What a process was given by its spawn or gave itself, and what a spawn from it elsewhere carries
 * on (cnode_spawn_request, cnode_spawn_remote). By the process itself. Since 0.2.
 */
/* The application it belongs to; "": none. Borrowed until it is set anew. */
CNODE_API const char *cnode_application(const cnode_process *self);
/* CNODE_EBADNAME, CNODE_ENOMEM. */
CNODE_API int cnode_set_application(cnode_process *self, const char *name);
/* A value of its environment, borrowed until one is set anew. CNODE_ENOENT. */
CNODE_API int cnode_env(const cnode_process *self, const char *key, cnode_term *value);
/* A zeroed value takes the key away. CNODE_EBADNAME (the key: 1 to 255 bytes), CNODE_ENOMEM, CNODE_EBADTERM. */
CNODE_API int cnode_set_env(cnode_process *self, const char *key, cnode_term value);

/* Where the name of a spawn goes. */
enum cnode_registration {
	CNODE_REGISTER_LOCAL = 0,       /* on the node of the process */
	CNODE_REGISTER_NONE,
	CNODE_REGISTER_GLOBAL,          /* in global; a C node only */
};

/*
 * What a spawn asks for. Set with CNODE_SPAWN_INIT; 0 and NULL: nothing. Those from `name` on are
 * options of C nodes (see above): a BEAM node takes none of them (CNODE_EBADARG).
 */
typedef struct cnode_spawn_options {
	size_t size;
	bool link;                      /* spawn_link */
	bool monitor;                   /* spawn_monitor: the reference is in *monitor_ref, or that of the request */
	const char *function;           /* NULL: "start" */
	uint64_t timeout_ms;            /* for the whole spawn; 0: 5,000; CNODE_INFINITY */
	cnode_ref *monitor_ref;
	/* Since 0.2: */
	const char *name;
	enum cnode_registration registration;
	uint64_t init_timeout_ms;
	cnode_term env;                 /* [{Key, Value}], borrowed; over what is inherited */
	const char *application;        /* in place of what is inherited, as the next */
	const enum cnode_log_level *log_level;
	uint32_t mailbox;               /* messages it holds at most */
	bool mailbox_drops;             /* and what comes then is dropped; else the process ends */
	bool answer_at_creation;
	cnode_term *reason;             /* cnode_spawn_remote, CNODE_EINIT: the reason, yours; zeroed otherwise */
} cnode_spawn_options;
#define CNODE_SPAWN_INIT { .size = sizeof(cnode_spawn_options) }

#define CNODE_SPAWN_LINK 1u     /* spawn_link */
#define CNODE_SPAWN_MONITOR 2u  /* spawn_monitor: by the request's reference */

/*
 * erlang:spawn_request/5: asks another node to start module:function(args), or a process of
 * the factory `module` there. Returns at once; the answer is a message to self,
 * {spawn_reply, Ref, ok, Pid} or {spawn_reply, Ref, error, Reason} (noconnection, notsup and
 * what the node says). The new process has the group leader of self. `args` is a list, borrowed.
 * node NULL, or the own one: a factory here, whatever its list says.
 * A C node's process inherits from self: application, log level, and of the environment the
 * keys that cnode_config.expose_env_remote_spawn allows. (They are options, and a node that
 * refuses them, as BEAM nodes do, is asked once more without.)
 * CNODE_EBADNAME, CNODE_EBADTERM (also: a value of the environment cannot be sent; cnode_node_error
 * has its key). cnode_spawn_remote (cnode/mailbox.h) is its waiting form.
 */
CNODE_API int cnode_spawn_request(cnode_process *self, const char *node, const char *module, const char *function,
				  cnode_term args, unsigned flags, cnode_ref *ref);
/* The same with all options; timeout_ms 0 is no limit here, and goes to a C node only. options NULL: none. Since 0.2. */
CNODE_API int cnode_spawn_request_options(cnode_process *self, const char *node, const char *module, cnode_term args,
					  const cnode_spawn_options *options, cnode_ref *ref);

#ifdef __cplusplus
}
#endif
#endif
