/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spawn: the factories of a node and the requests of peers for them. A request names a
 * module, which is the factory, and ends in exactly one answer.
 *
 * Besides the factories of users (cnode/spawn.h) there are services: kernel's erpc is one.
 * They come before the factories, and decide for themselves who may.
 */
#ifndef CN_SPAWN_H
#define CN_SPAWN_H

#include "cnode/access/access.h"
#include "cnode/base/base.h"
#include "cnode/gen/gen.h"
#include "cnode/node/node.h"
#include "cnode/pool.h"
#include "cnode/proc/proc.h"
#include "cnode/spawn.h"

struct cn_factories;

/* *factories is yours. procs, log, guard: borrowed. 0, CNODE_ENOMEM. */
int cn_factories_new(struct cn_procs *procs, struct cn_log *log, struct cn_guard *guard, struct cn_factories **factories);
/* Before cn_procs_free, if no other thread is left: nobody is answered any more. Takes NULL. */
void cn_factories_close(struct cn_factories *factories);
/* Behind the end of all processes. Takes NULL. */
void cn_factories_free(struct cn_factories *factories);

/*
 * Global registration, by a room above. register_name registers the process under the atom and
 * calls done, once, from any thread, perhaps before it returns, with 0, CNODE_ENAMETAKEN or why it could not;
 * another result than 0: done is not called. Called under the lead.
 */
struct cn_register_ops {
	int (*register_name)(void *ctx, cnode_term name, cnode_pid pid, void (*done)(void *done_ctx, int code), void *done_ctx);
	void *ctx;
};
/* Before the node starts. Without it {registration, global} is refused. */
void cn_factories_register_by(struct cn_factories *factories, const struct cn_register_ops *ops);

/* As the public functions of the same names. Any thread. */
int cn_factory_add(struct cn_factories *f, const char *name, const cnode_behaviour *behaviour, void *context,
		   const char *who);
int cn_factory_remove(struct cn_factories *f, const char *name);
int cn_factory_allow(struct cn_factories *f, const char *name, const char *who);
int cn_factory_deny(struct cn_factories *f, const char *name, const char *who);
int cn_factory_set(struct cn_factories *f, const char *name, const char *who);
void cn_factory_enable(struct cn_factories *f, bool on);
int cn_factory_unknown(struct cn_factories *f, const char *name, enum cnode_unknown how);
bool cn_factory_exists(struct cn_factories *f, const char *name);
int cn_factory_list(struct cn_factories *f, int (*each)(void *context, const cnode_factory_info *factory), void *context);

/*
 * A service: for requests of module:function/arity, `may` decides: 0; CNODE_ENOTALLOWED,
 * CNODE_EUNDEF, CNODE_EBADARG. Texts are borrowed for ever. Before the node starts. 0, CNODE_ENOMEM.
 */
struct cn_service {
	const char *module;
	const char *function;
	uint32_t arity;
	const cnode_behaviour *behaviour;
	void *context;
	int (*may)(void *context, const char *peer, cnode_term args);
};
int cn_factories_serve(struct cn_factories *f, const struct cn_service *service);

/*
 * Takes a request of a peer (cn_cluster_ops.spawn_request): starts the process or refuses;
 * the answer goes out by cn_cluster_spawn_reply. Holder of the lead.
 */
void cn_spawn_requested(struct cn_factories *f, struct cn_cluster *cluster, const struct cn_spawn_request *request);

/* Keys that spawns from processes carry on, as cnode_config.expose_env_remote_spawn. Before the node starts. 0, CNODE_ENOMEM. */
int cn_factories_expose(struct cn_factories *factories, const char *keys);

/* What a spawn by a process of ours asks for, as terms; link and monitor are not among them. */
struct cn_outbound {
	cnode_term options;         /* what was asked for */
	cnode_term extras;          /* what is inherited, and what helps the waiting side: C nodes only */
};
/*
 * Makes them for a spawn by self; timeout_ms 0 or CNODE_INFINITY: none; failure_to: an alias of self, or NULL. `why` gets the key of a
 * value that cannot be sent (CNODE_EBADTERM). 0, CNODE_EBADNAME, CNODE_EBADARG, CNODE_ENOMEM. self's thread.
 */
int cn_outbound_make(struct cn_factories *f, const cnode_process *self, const cnode_spawn_options *o, uint64_t timeout_ms,
		     const cnode_ref *failure_to, struct cn_outbound *out, struct cn_buf *why);
void cn_outbound_fini(struct cn_outbound *out);

/*
 * The same spawn on this node: self gets {spawn_reply, Ref, _, _} as from elsewhere. The list of the
 * factory is for peers. 0, CNODE_ENOMEM, CNODE_EBADARG.
 */
int cn_spawn_here(struct cn_factories *f, cnode_process *self, const char *module, cnode_term args,
		  const cnode_spawn_options *o, const struct cn_outbound *out, cnode_ref *ref);

/* cnode_pool_start; `own` is the node's name. */
int cn_pool_open(struct cn_factories *f, cnode_node *node, const char *own, const char *name, const cnode_pool_options *options, cnode_pid *pid);

/* What a process was given, or gave itself: cnode_application and so on. Its own thread. */
const char *cn_spawn_application(const cnode_process *self);
int cn_spawn_set_application(struct cn_factories *f, cnode_process *self, const char *name);
int cn_spawn_env(const cnode_process *self, const char *key, cnode_term *value);
int cn_spawn_set_env(struct cn_factories *f, cnode_process *self, const char *key, cnode_term value);
/* The whole environment, borrowed: a list of {Key, Value}; zeroed: none. */
cnode_term cn_spawn_environment(const cnode_process *self);

/* cn_procs_ops.gone, for processes that have an origin. Any thread; does not call into proc. */
void cn_spawn_gone(struct cn_factories *f, void *origin);
/* cn_procs_ops.may_exit. */
bool cn_spawn_may_exit(struct cn_factories *f, cnode_name peer, const struct cn_exit_target *target);

#endif
