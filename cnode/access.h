/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Access: what peers may touch besides factories (cnode/spawn.h) and functions
 * (cnode/function.h), which have lists of their own. Who a peer is, is decided by the
 * handshake of its connection; what pids in its messages say does not count.
 *
 * Every refusal is counted, and logged (a few lines per second at most) with the peer, the
 * name and the reason. Functions may be called from any thread, before and while the node
 * runs; a change is one step, and counts for what comes in next. Since 0.2.
 */
#ifndef CNODE_ACCESS_H
#define CNODE_ACCESS_H

#include <stddef.h>
#include <stdint.h>

#include "cnode/error.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cnode_node cnode_node;

/* What a list is about, and what holds for those of whom no list says anything. */
enum cnode_access {
	/*
	 * Calls, casts, messages (rpc:sbcast too), exit signals and monitors to a registered name. Open.
	 * To those refused the name does not exist: messages are dropped, a call or a monitor
	 * ends with noproc. A pid that somebody knows can be sent to all the same.
	 */
	CNODE_ACCESS_NAME,
	/*
	 * exit/2 to processes of a factory (its name), or to a process of the program's own (the
	 * name it was started with), and sys:terminate (which gen_server:stop is), suspend and
	 * resume, which are answered {error, not_allowed}. Open to the nodes that may spawn the factory and to the
	 * node of the process that spawned it; closed for all others. A signal from a linked
	 * process, and the end of a link, are never refused.
	 */
	CNODE_ACCESS_EXIT,
	/*
	 * Giving a process this name. Open.
	 * By the option name of a spawn; those refused get not_allowed.
	 * In global, where this node registers and unregisters for others: hidden nodes, which ask its rex or its
	 * global_name_server, and the tool. Those refused get {badrpc, not_allowed} or not_allowed. A name that is no atom is meant by its text, as cnode_term_print
	 * writes it. What visible nodes register is the whole cluster's, and no node can refuse it. (Since 0.2.)
	 */
	CNODE_ACCESS_REGISTER,
};

/*
 * Each name has a list of each kind; "*" is the list of all those without one (but for
 * CNODE_ACCESS_NAME not of the node's own services: net_kernel, rex and so on). `who` is
 * as in cnode/spawn.h. _allow and _deny say something about these nodes and leave the
 * others as they are. _set replaces the list: these nodes and nobody else; with `who`
 * NULL the list goes, and the default holds.
 * CNODE_EBADNAME: no atom can be such a name; CNODE_EBADARG: an entry has no '@', or the kind
 * is none; CNODE_ENOMEM. Nothing is changed then.
 */
CNODE_API int cnode_access_allow(cnode_node *node, enum cnode_access kind, const char *name, const char *who);
CNODE_API int cnode_access_deny(cnode_node *node, enum cnode_access kind, const char *name, const char *who);
CNODE_API int cnode_access_set(cnode_node *node, enum cnode_access kind, const char *name, const char *who);

/* One list. */
typedef struct cnode_access_info {
	size_t size;
	enum cnode_access kind;
	const char *kind_name;          /* "name", "exit", "register" */
	const char *name;
	const char *mode;               /* "all", "list", "none"; "default" if it leaves others to the default */
	const char *allowed;            /* comma separated */
	const char *denied;
	uint64_t refused;
} cnode_access_info;
/* Calls `each` for every list; its argument is borrowed for the call. Stops when each returns another than 0, and returns that. CNODE_ENOMEM. */
CNODE_API int cnode_access_list(cnode_node *node, int (*each)(void *context, const cnode_access_info *list), void *context);

/*
 * Limits for each peer that `who` matches: so many living processes, and so many spawns per
 * second (a peer that was quiet may start that many at once); 0: no limit. What goes over is
 * answered with system_limit. factory NULL: all that the peer has started here, by spawns and
 * by rpc (erpc and rex alike); otherwise the processes of this factory. Of several rules for the same factory the
 * last that was set and matches the peer decides; the same factory and `who` again replaces.
 * Processes that live already count. CNODE_EBADNAME (factory), CNODE_EBADARG (who), CNODE_ENOMEM.
 */
CNODE_API int cnode_quota_set(cnode_node *node, const char *factory, const char *who, uint32_t processes,
			      uint32_t spawns_per_second);
/* Drops all rules. */
CNODE_API void cnode_quota_clear(cnode_node *node);

/* One rule, for cnode_quotas_set. Set with CNODE_QUOTA_INIT. */
typedef struct cnode_quota {
	size_t size;                    /* the same in all of an array */
	const char *factory;            /* NULL: all together */
	const char *who;
	uint32_t processes, spawns_per_second;
} cnode_quota;
#define CNODE_QUOTA_INIT .size = sizeof(cnode_quota)    /* { CNODE_QUOTA_INIT, .who = "*", .processes = 100 } */
/*
 * Replaces all rules by these, as if cnode_quota_set were called for each in turn, but in one
 * step: there is no moment without rules. `quotas` is borrowed for the call. As cnode_quota_set, and
 * CNODE_EBADARG for a wrong size; on failure nothing is changed.
 */
CNODE_API int cnode_quotas_set(cnode_node *node, const cnode_quota *quotas, size_t count);

/* How often peers were refused something, since the node was made. */
typedef struct cnode_refusal_counts {
	size_t size;                    /* of the program's struct: at most so much is written */
	uint64_t spawns;                /* by the list of a factory, or the global switch */
	uint64_t functions;             /* by the lists of functions */
	uint64_t names;
	uint64_t exits;
	uint64_t registrations;
	uint64_t quotas;
} cnode_refusal_counts;
#define CNODE_REFUSAL_COUNTS_INIT { .size = sizeof(cnode_refusal_counts) }
CNODE_API void cnode_refusals(cnode_node *node, cnode_refusal_counts *counts);

#ifdef __cplusplus
}
#endif
#endif
