/* SPDX-License-Identifier: Apache-2.0 */
/* Making the room's object and starting its processes. */
#include "cnode/global/inner.h"

int cn_global_new(const struct cn_global_config *config, struct cn_global **global)
{
	struct cn_global *g = cn_calloc(1, sizeof *g);
	if (!g)
		return CNODE_ENOMEM;
	g->config = *config;
	if (g->config.stall_ms == 0)
		g->config.stall_ms = CN_GLOBAL_STALL_MS;
	if (g->config.max_locks == 0)
		g->config.max_locks = CN_GLOBAL_MAX_LOCKS;
	if (!g->config.max_syncs)
		g->config.max_syncs = CN_GLOBAL_MAX_SYNCS;
	g->first_tag = 1;               /* 0 stands for no session */
	g->self = cn_procs_node(config->procs);
	cn_mutex_init(&g->lock);
	int names = names_init(g), locks = locks_init(g), name = cnode_name_text(g->self, g->own);
	int rc = names ? names : locks ? locks : name;
	if (rc != 0) {
		cn_global_free(g);
		return rc;
	}
	*global = g;
	return 0;
}

void cn_global_free(struct cn_global *g)
{
	if (!g)
		return;
	names_fini(g);
	locks_fini(g);
	owed_fini(g);
	cn_mutex_fini(&g->lock);
	cn_free(g->known);
	cn_free(g->up);
	cn_free(g);
}

/* The server is last: the others have their pids when somebody can talk to it. */
static const struct cn_unit_process processes[] = {
	{ NULL, "global_locker", &locker_behaviour },
	{ NULL, "global_registrar", &registrar_behaviour },
	{ SERVER, SERVER, &server_behaviour },
};

static void started(void *owner, size_t which, cnode_pid pid)
{
	struct cn_global *g = owner;
	cnode_pid *const pids[] = { &g->locker, &g->registrar, &g->server };
	cn_mutex_lock(&g->lock);
	*pids[which] = pid;
	if (which == 0)
		g->incarnation++;
	if (pids[which] == &g->registrar)
		g->down = false;        /* not before there is one to be woken */
	cn_mutex_unlock(&g->lock);
}

/* No node has a part in this any more: the server sees to it that none is connected when it begins. */
static void again(void *owner)
{
	struct cn_global *g = owner;
	cn_mutex_lock(&g->lock);
	g->known_count = g->up_count = 0;
	cn_mutex_unlock(&g->lock);
	/* What is still on its way to those that were before is of no session of these. */
	g->first_tag += INT64_C(1) << 40;
}

int cn_global_start(struct cn_global *g)
{
	int rc = cn_function_export(g->config.functions, "global", "resolve_it", 4, resolve_it, g, CNODE_ALL_NODES);
	if (rc == 0)
		rc = inspect_export(g);
	if (rc != 0)
		return rc;
	g->unit = (struct cn_unit){
		.title = "global", .processes = processes, .count = CN_ARRAY_SIZE(processes), .context = g, .owner = g,
		.started = started, .again = again,
	};
	return cn_unit_start(g->config.supervisor, &g->unit);
}

void cn_global_leave(struct cn_global *g)
{
	atomic_store(&g->leaving, true);
}

cnode_pid global_pid(struct cn_global *g, const cnode_pid *which)
{
	cn_mutex_lock(&g->lock);
	cnode_pid pid = *which;
	cn_mutex_unlock(&g->lock);
	return pid;
}

cnode_pid cn_global_registrar(struct cn_global *g)
{
	return global_pid(g, &g->registrar);
}

int cn_global_nodes(struct cn_global *g, cnode_name **nodes, size_t *count)
{
	cn_mutex_lock(&g->lock);
	*count = g->up_count;
	/* One more, for whom this node itself is among them. */
	*nodes = cn_calloc(g->up_count + 1, sizeof **nodes);
	if (*nodes && g->up_count > 0)
		memcpy(*nodes, g->up, g->up_count * sizeof **nodes);
	cn_mutex_unlock(&g->lock);
	return *nodes ? 0 : CNODE_ENOMEM;
}

int cn_global_look(struct cn_global *g, cnode_global_info *info)
{
	cnode_global_info now = { .stalled = atomic_load(&g->stalled) };
	if (!info || info->size < sizeof info->size)
		return CNODE_EBADARG;
	cn_mutex_lock(&g->lock);
	now.nodes = g->known_count;
	now.restarts = g->incarnation - 1;
	cn_mutex_unlock(&g->lock);
	now.names = names_count(g);
	cn_mutex_lock(&g->locks_lock);
	now.locks = g->locks.count;
	cn_mutex_unlock(&g->locks_lock);
	now.size = info->size;
	memcpy(info, &now, info->size < sizeof now ? info->size : sizeof now);
	return 0;
}
