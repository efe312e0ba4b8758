/* SPDX-License-Identifier: Apache-2.0 */
/* Public functions that hand a node's matter to the room it belongs to. */
#include "cnode/api/api.h"

#include <stdio.h>
#include <string.h>

/* ---- processes and names (cnode/process.h) ---- */

int cnode_whereis(cnode_node *node, const char *name, cnode_pid *pid)
{
	return cn_procs_whereis(node->procs, name, pid);
}

int cnode_registered(cnode_node *node, int (*each)(void *context, const char *name), void *context)
{
	char *names;
	size_t count;
	int rc = cn_procs_names(node->procs, &names, &count);
	if (rc != 0)
		return rc;
	const char *name = names;
	for (size_t i = 0; i < count && rc == 0; i++, name += strlen(name) + 1)
		rc = each(context, name);
	cn_free(names);
	return rc;
}

static void put_text(cnode_atom *atom, const char *text)
{
	atom->size = strlen(text);      /* of a name or a label: both fit */
	memcpy(atom->text, text, atom->size);
	atom->text[atom->size] = 0;
}

static int look(cnode_node *node, cnode_pid pid, cnode_process_info *full)
{
	struct cn_process_info info;
	int rc = cn_procs_info(node->procs, pid, &info);
	if (rc != 0)
		return rc;
	*full = (cnode_process_info){
		.size = sizeof *full,
		.pid = pid,
		.parent = info.parent,
		.group_leader = info.leader,
		.status = info.suspended  ? CNODE_SUSPENDED
			  : info.running  ? CNODE_RUNNING
			  : info.runnable ? CNODE_RUNNABLE
					  : CNODE_WAITING,
		.trap_exit = info.traps_exit,
		.prompt = info.prompt,
		.messages = info.messages,
		.links = info.links,
		.monitors = info.monitors,
		.monitored_by = info.monitored_by,
		.memory = info.memory,
		.run_ns = info.run_ns,
		.handled = info.handled,
	};
	put_text(&full->name, info.name);
	put_text(&full->factory, info.label);
	return 0;
}

int cnode_process_look(cnode_node *node, cnode_pid pid, cnode_process_info *info)
{
	cnode_process_info full;
	if (!info || info->size < offsetof(cnode_process_info, status))
		return CNODE_EBADARG;
	int rc = look(node, pid, &full);
	if (rc != 0)
		return rc;
	size_t size = info->size < sizeof full ? info->size : sizeof full;
	memcpy(info, &full, size);
	info->size = size;
	return 0;
}

int cnode_processes(cnode_node *node, int (*each)(void *context, const cnode_process_info *process), void *context)
{
	cnode_pid *pids;
	size_t count;
	int rc = cn_procs_list(node->procs, &pids, &count);
	if (rc != 0)
		return rc;
	for (size_t i = 0; i < count && rc == 0; i++) {
		cnode_process_info info;
		if (look(node, pids[i], &info) == 0)    /* it may have ended meanwhile */
			rc = each(context, &info);
	}
	cn_free(pids);
	return rc;
}

bool cnode_is_alive(cnode_node *node, cnode_pid pid)
{
	return cn_procs_is_alive(node->procs, pid);
}

int cn_api_spawn(cnode_process *self, const char *node, const char *module, const char *function, cnode_term args,
		 const cnode_spawn_options *o, uint64_t timeout_ms, bool waited, const cnode_ref *failure_to,
		 struct cn_buf *why, cnode_ref *ref)
{
	cnode_node *home = cnode_process_node(self);
	struct cn_spawn_order order = {
		.owner = cnode_self(self),
		.leader = cnode_group_leader(self),
		.module = module,
		.function = function,
		.args = args,
		.link = o->link,
		.monitor = o->monitor,
		.waited = waited,
	};
	struct cn_outbound out;
	bool here = !node || strcmp(node, home->name) == 0;
	int rc = here ? 0 : cnode_name_of(node, &order.node);
	if (rc == 0)
		rc = cn_outbound_make(home->factories, self, o, timeout_ms, failure_to, &out, why);
	if (rc != 0)
		return rc;
	order.options = out.options;
	order.extras = out.extras;
	rc = here ? cn_spawn_here(home->factories, self, module, args, o, &out, ref)
		  : cn_cluster_spawn(home->cluster, &order, ref);
	cn_outbound_fini(&out);
	return rc;
}

/* The key of a value that could not be sent becomes the node's sentence. */
static int spawn_request(cnode_process *self, const char *node, const char *module, const char *function, cnode_term args,
			 const cnode_spawn_options *o, cnode_ref *ref)
{
	if (!module || !function || !ref)
		return CNODE_EBADARG;
	struct cn_buf why;
	cn_buf_init(&why, 0);
	int rc = cn_api_spawn(self, node, module, function, args, o, o->timeout_ms, false, NULL, &why, ref);
	if (rc != 0 && why.size > 0)
		cn_api_fail(cnode_process_node(self), rc, "%s: the value of %.*s in the environment cannot be sent", module,
			    (int)why.size, (char *)why.data);
	cn_buf_fini(&why);
	return rc;
}

int cnode_spawn_request(cnode_process *self, const char *node, const char *module, const char *function,
			cnode_term args, unsigned flags, cnode_ref *ref)
{
	cnode_spawn_options o = CNODE_SPAWN_INIT;
	o.link = (flags & CNODE_SPAWN_LINK) != 0;
	o.monitor = (flags & CNODE_SPAWN_MONITOR) != 0;
	return spawn_request(self, node, module, function, args, &o, ref);
}

int cnode_spawn_request_options(cnode_process *self, const char *node, const char *module, cnode_term args,
				const cnode_spawn_options *options, cnode_ref *ref)
{
	cnode_spawn_options o = { 0 };
	if (options)
		memcpy(&o, options, options->size < sizeof o ? options->size : sizeof o);
	o.reason = NULL;
	return spawn_request(self, node, module, o.function ? o.function : "start", args, &o, ref);
}

/* Is there a thread for `run`, and nothing beside it that would never be called? Says so. */
static int check_run(cnode_node *node, const char *what, const char *name, const cnode_behaviour *behaviour)
{
	if (!behaviour || !cn_gen_is_straight(behaviour))
		return 0;
	if (node->threadless)
		return cn_api_fail(node, CNODE_ENOTSUP, "%s %s: a node with CNODE_THREADS_NONE has no threads for behaviours with run", what, name);
	if (cn_gen_check(behaviour) != 0)
		return cn_api_fail(node, CNODE_EBADARG,
				   "%s %s: a behaviour with run has no handle_ callbacks, no idle timeout, and is not CNODE_PROMPT", what, name);
	return 0;
}

int cnode_process_start(cnode_node *node, const char *name, const cnode_behaviour *behaviour, void *context,
			cnode_term args, cnode_pid *pid)
{
	cnode_pid started;
	struct cn_gen_spec gen = { .behaviour = behaviour, .context = context, .args = args };
	struct cn_process_spec spec = { .name = name, .label = name, .leader = cn_kernel_user_pid(node->kernel) };
	if (!behaviour)
		return cn_api_fail(node, CNODE_EBADARG, "a process needs a behaviour");
	int rc = check_run(node, "process", name ? name : "without name", behaviour);
	if (rc != 0)
		return rc;
	rc = cn_gen_spawn(node->procs, &gen, &spec, &started);
	if (rc != 0)
		return cn_api_fail(node, rc, "process %s cannot be started: %s", name ? name : "without name", cnode_strerror(rc));
	if (pid)
		*pid = started;
	return 0;
}

/* ---- factories and functions (cnode/spawn.h, cnode/function.h) ---- */

static int told(cnode_node *node, int rc, const char *what, const char *name, const char *who)
{
	if (rc == 0)
		return 0;
	return cn_api_fail(node, rc, "%s %s%s%s%s: %s", what, name ? name : "(null)", who ? " (for \"" : "",
			   who ? who : "", who ? "\")" : "",
			   rc == CNODE_EEXIST	 ? "the name belongs to another one already"
			   : rc == CNODE_ENOENT	 ? "there is none of that name"
			   : rc == CNODE_EBADARG ? "a node in the list has no '@', or an argument is missing"
						 : cnode_strerror(rc));
}

int cnode_factory_add(cnode_node *node, const char *name, const cnode_behaviour *behaviour, void *context,
		      const char *who)
{
	int rc = check_run(node, "factory", name ? name : "(null)", behaviour);
	if (rc != 0)
		return rc;
	return told(node, cn_factory_add(node->factories, name, behaviour, context, who), "factory", name, who);
}

int cnode_factory_remove(cnode_node *node, const char *name)
{
	return told(node, cn_factory_remove(node->factories, name), "factory", name, NULL);
}

int cnode_factory_allow(cnode_node *node, const char *name, const char *who)
{
	return told(node, cn_factory_allow(node->factories, name, who), "factory", name, who);
}

int cnode_factory_deny(cnode_node *node, const char *name, const char *who)
{
	return told(node, cn_factory_deny(node->factories, name, who), "factory", name, who);
}

int cnode_factory_set(cnode_node *node, const char *name, const char *who)
{
	return told(node, cn_factory_set(node->factories, name, who), "factory", name, who);
}

int cnode_factory_list(cnode_node *node, int (*each)(void *context, const cnode_factory_info *factory), void *context)
{
	return cn_factory_list(node->factories, each, context);
}

int cnode_function_export(cnode_node *node, const char *module, const char *name, int arity,
			  cnode_function *function, void *context, const char *who)
{
	return told(node, cn_function_export(node->functions, module, name, arity, function, context, who),
		    "function", name, who);
}

int cnode_function_allow(cnode_node *node, const char *module, const char *name, const char *who)
{
	return told(node, cn_function_allow(node->functions, module, name, who), "function", name, who);
}

void cnode_factory_enable(cnode_node *node, bool on)
{
	cn_factory_enable(node->factories, on);
}

int cnode_function_set(cnode_node *node, const char *module, const char *name, const char *who)
{
	return told(node, cn_function_set(node->functions, module, name, who), "function", name, who);
}

int cnode_function_list(cnode_node *node, int (*each)(void *context, const cnode_function_info *function), void *context)
{
	return cn_function_list(node->functions, each, context);
}

int cnode_factory_unknown(cnode_node *node, const char *name, enum cnode_unknown how)
{
	return told(node, cn_factory_unknown(node->factories, name, how), "factory", name, NULL);
}

const char *cnode_application(const cnode_process *self)
{
	return cn_spawn_application(self);
}

int cnode_set_application(cnode_process *self, const char *name)
{
	return cn_spawn_set_application(cnode_process_node(self)->factories, self, name);
}

int cnode_env(const cnode_process *self, const char *key, cnode_term *value)
{
	return cn_spawn_env(self, key, value);
}

int cnode_set_env(cnode_process *self, const char *key, cnode_term value)
{
	return cn_spawn_set_env(cnode_process_node(self)->factories, self, key, value);
}

bool cnode_factory_has(cnode_node *node, const char *name)
{
	return name && cn_factory_exists(node->factories, name);
}

int cnode_pool_start(cnode_node *node, const char *name, const cnode_pool_options *options, cnode_pid *pid)
{
	cnode_pid started;
	int rc = cn_pool_open(node->factories, node, node->name, name, options, &started);
	if (rc != 0)
		return cn_api_fail(node, rc, "pool %s cannot be started: %s", name ? name : "without name",
				   rc == CNODE_EBADARG    ? "a factory, 1 to 10,000 workers and a placement are needed"
				   : rc == CNODE_EBADNAME ? "a node in its list, or its own name, is no name"
							  : cnode_strerror(rc));
	if (pid)
		*pid = started;
	return 0;
}

/* ---- access (cnode/access.h) ---- */

int cnode_access_allow(cnode_node *node, enum cnode_access kind, const char *name, const char *who)
{
	return told(node, cn_guard_allow(node->guard, kind, name, who), "access", name, who);
}

int cnode_access_deny(cnode_node *node, enum cnode_access kind, const char *name, const char *who)
{
	return told(node, cn_guard_deny(node->guard, kind, name, who), "access", name, who);
}

int cnode_access_set(cnode_node *node, enum cnode_access kind, const char *name, const char *who)
{
	return told(node, cn_guard_set(node->guard, kind, name, who), "access", name, who);
}

int cnode_access_list(cnode_node *node, int (*each)(void *context, const cnode_access_info *list), void *context)
{
	return cn_guard_list(node->guard, each, context);
}

int cnode_quota_set(cnode_node *node, const char *factory, const char *who, uint32_t processes, uint32_t spawns_per_second)
{
	return told(node, cn_quota_set(node->guard, factory, who, processes, spawns_per_second), "quota",
		    factory ? factory : "for all factories", who);
}

int cnode_quotas_set(cnode_node *node, const cnode_quota *quotas, size_t count)
{
	int rc = quotas || count == 0 ? cn_quotas_set(node->guard, quotas, count) : CNODE_EBADARG;
	return rc == 0 ? 0 : cn_api_fail(node, rc, "quotas: %s", cnode_strerror(rc));
}

void cnode_quota_clear(cnode_node *node)
{
	cn_quota_clear(node->guard);
}

void cnode_refusals(cnode_node *node, cnode_refusal_counts *counts)
{
	cn_guard_counts(node->guard, counts);
}

/* ---- modules (cnode/module.h) ---- */

const char *cnode_module_option(cnode_node *node, const char *key)
{
	return node->option && key ? node->option(node->option_context, key) : NULL;
}

void cnode_module_set_options(cnode_node *node, const char *(*option)(void *context, const char *key), void *context)
{
	node->option = option;
	node->option_context = context;
}

/* ---- peers (cnode/node.h) ---- */

int cnode_node_set_cookie(cnode_node *node, const char *peer, const char *cookie)
{
	int rc = !peer || !cookie || !*cookie ? CNODE_EBADARG : cn_cluster_set_cookie(node->cluster, peer, cookie);
	return rc == 0 ? 0 : cn_api_fail(node, rc, "cookie for %s: %s", peer ? peer : "(null)", cnode_strerror(rc));
}

int cnode_node_route(cnode_node *node, const char *peer, const char *address)
{
	int rc = !peer || !address ? CNODE_EBADARG : cn_cluster_route(node->cluster, peer, address);
	return rc == 0 ? 0
		       : cn_api_fail(node, rc, "route to %s: %s", peer ? peer : "(null)",
				     rc == CNODE_EBADARG ? "the address must be HOST:PORT or [V6]:PORT" : cnode_strerror(rc));
}

/* The node's name in "b@host" or "b@host:port". */
static bool is_peer_name(const char *peer)
{
	const char *at = peer ? strchr(peer, '@') : NULL;
	const char *colon = at ? strchr(at, ':') : NULL;
	size_t size = !peer ? 0 : colon && !strchr(colon + 1, ':') ? (size_t)(colon - peer) : strlen(peer);
	return size > 0 && cn_node_name_valid(peer, size);
}

int cnode_connect(cnode_node *node, const char *peer)
{
	if (!is_peer_name(peer))
		return cn_api_fail(node, CNODE_EBADNAME, "%s: not the name of a node: NAME@HOST or NAME@HOST:PORT", peer ? peer : "(null)");
	return cn_ask_keep(node, peer);
}

int cnode_discover(cnode_node *node, const char *source)
{
	const char *why = "it is missing";
	int rc = source ? cn_discover_check(source, &why) : CNODE_EBADARG;
	if (rc != 0)
		return cn_api_fail(node, rc, "discover %s: %s", source ? source : "(null)", why);
	if (!node->networked)
		return cn_api_fail(node, CNODE_ESTATE, "discover %s: this node has no name, and so no network", source);
	rc = cn_ask_discover(node, source);
	return rc == 0 ? 0 : cn_api_fail(node, rc, "discover %s: %s", source, cnode_strerror(rc));
}

int cnode_disconnect(cnode_node *node, const char *peer)
{
	if (!peer || !cn_cluster_knows(node->cluster, peer))
		return cn_api_fail(node, CNODE_ENOENT, "%s: not connected", peer ? peer : "(null)");
	return cn_ask_disconnect(node, peer);
}

int cnode_peers(cnode_node *node, int (*each)(void *context, const cnode_peer *peer), void *context)
{
	size_t room = 16, count;
	struct cn_peer_info *info = NULL;
	for (;;) {
		info = cn_calloc(room, sizeof *info);
		if (!info)
			return CNODE_ENOMEM;
		count = cn_cluster_peers(node->cluster, info, room);
		if (count <= room)
			break;
		cn_free(info);
		room = count + 16;
	}
	int rc = 0;
	for (size_t i = 0; i < count && rc == 0; i++) {
		const struct cn_conn_info *link = &info[i].link;
		cnode_peer peer = {
			.size = sizeof peer,
			.name = info[i].name,
			.visible = link->visible,
			.creation = link->creation,
			.flags = link->flags,
			.release = cn_otp_release_of(link->peer_flags)->release,
			.since_ms = info[i].age_ns / CN_NS_PER_MS,
			.packets_in = info[i].counts.packets_in,
			.packets_out = info[i].counts.packets_out,
			.bytes_in = info[i].counts.bytes_in,
			.bytes_out = info[i].counts.bytes_out,
			.queued = info[i].counts.queued,
			.connection_id = info[i].connection_id,
		};
		rc = each(context, &peer);
	}
	cn_free(info);
	return rc;
}
