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
	cn_mutex_fini(&g->lock);
	cn_free(g->known);
	cn_free(g->up);
	cn_free(g);
}

int cn_global_start(struct cn_global *g)
{
	const struct {
		const char *name, *label;
		const cnode_behaviour *behaviour;
		cnode_pid *pid;
	} processes[] = {
		/* The server is last: the others have their pids when somebody can talk to it. */
		{ NULL, "global_locker", &locker_behaviour, &g->locker },
		{ NULL, "global_registrar", &registrar_behaviour, &g->registrar },
		{ SERVER, SERVER, &server_behaviour, &g->server },
	};
	int rc = cn_function_export(g->config.functions, "global", "resolve_it", 4, resolve_it, g, CNODE_ALL_NODES);
	if (rc == 0)
		rc = inspect_export(g);
	for (size_t i = 0; i < CN_ARRAY_SIZE(processes) && rc == 0; i++) {
		cnode_term args;
		rc = cnode_format(&args, "[]");
		if (rc != 0)
			break;
		struct cn_gen_spec gen = { .behaviour = processes[i].behaviour, .context = g, .args = args };
		struct cn_process_spec spec = { .name = processes[i].name, .label = processes[i].label };
		rc = cn_gen_spawn(g->config.procs, &gen, &spec, processes[i].pid);
		cnode_term_drop(args);
	}
	return rc;
}

void cn_global_leave(struct cn_global *g)
{
	atomic_store(&g->leaving, true);
}

cnode_pid cn_global_registrar(const struct cn_global *g)
{
	return g->registrar;
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
