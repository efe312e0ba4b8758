/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Factories: what other nodes may spawn here. A factory is a name, a behaviour and a
 * list of who may use it. `spawn(Node, counter, start, [10])` on a BEAM node starts a
 * process of the factory "counter" here: the module is the factory's name ('Elixir.My.Codec'
 * for My.Codec), the function is start or start_link, the list is the arguments.
 *
 * The caller is the node that the connection was authenticated for, whatever a pid says.
 * Not allowed: the spawn fails with not_allowed; no such factory or another function:
 * undef; init returned CNODE_EBADARG: badarg. Since 0.1.
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
 * Otherwise node names separated by commas; '*' in a name stands for any text: "a@h1,worker*@h2".
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
/* Removes it; running processes stay. CNODE_ENOENT. */
CNODE_API int cnode_factory_remove(cnode_node *node, const char *name);
/* Adds nodes to those that may; CNODE_ALL_NODES opens it. CNODE_ENOENT, CNODE_EBADARG. */
CNODE_API int cnode_factory_allow(cnode_node *node, const char *name, const char *who);
/* Takes nodes out; of an open factory it denies just them. CNODE_ALL_NODES closes it. CNODE_ENOENT, CNODE_EBADARG. */
CNODE_API int cnode_factory_deny(cnode_node *node, const char *name, const char *who);
/* Replaces the list. CNODE_ENOENT, CNODE_EBADARG. */
CNODE_API int cnode_factory_set(cnode_node *node, const char *name, const char *who);

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

#define CNODE_SPAWN_LINK 1u     /* spawn_link */
#define CNODE_SPAWN_MONITOR 2u  /* spawn_monitor: by the request's reference */

/*
 * erlang:spawn_request/5: asks another node to start module:function(args), or a process of
 * the factory `module` there. Returns at once; the answer is a message to self,
 * {spawn_reply, Ref, ok, Pid} or {spawn_reply, Ref, error, Reason} (noconnection, notsup and
 * what the node says). The new process has the group leader of self. `args` is a list, borrowed.
 * CNODE_EBADNAME (also the own node), CNODE_EBADTERM. cnode_spawn_remote is its waiting form.
 */
CNODE_API int cnode_spawn_request(cnode_process *self, const char *node, const char *module, const char *function,
				  cnode_term args, unsigned flags, cnode_ref *ref);

#ifdef __cplusplus
}
#endif
#endif
