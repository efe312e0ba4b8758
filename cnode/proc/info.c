/* SPDX-License-Identifier: Apache-2.0 */
/* Looking at processes from outside. */
#include "cnode/proc/inner.h"

#include <stdio.h>

int cn_procs_whereis(struct cn_procs *procs, const char *name, cnode_pid *pid)
{
	struct cnode_process *p = name ? process_find_name(procs, name) : NULL;
	if (!p)
		return CNODE_ENOENT;
	*pid = p->pid;
	process_unref(p);
	return 0;
}

bool cn_procs_is_alive(struct cn_procs *procs, cnode_pid pid)
{
	struct cnode_process *p = process_find(procs, pid);
	if (!p)
		return false;
	bool alive = !is_dead(p);
	process_unref(p);
	return alive;
}

int cn_procs_list(struct cn_procs *procs, cnode_pid **pids, size_t *count)
{
	size_t room = 64, n = 0;
	cnode_pid *list = cn_malloc(room * sizeof *list);
	if (!list)
		return CNODE_ENOMEM;
	for (size_t i = 0; i < PID_SHARDS; i++) {
		struct pid_shard *s = &procs->pids[i];
		cn_mutex_lock(&s->lock);
		if (n + s->count > room) {
			size_t more = (n + s->count) * 2;
			cnode_pid *grown = cn_realloc(list, more * sizeof *list);
			if (!grown) {
				cn_mutex_unlock(&s->lock);
				cn_free(list);
				return CNODE_ENOMEM;
			}
			list = grown;
			room = more;
		}
		for (uint64_t b = 0; b <= s->mask; b++)
			for (struct cnode_process *p = s->buckets[b]; p; p = p->next)
				list[n++] = p->pid;
		cn_mutex_unlock(&s->lock);
	}
	*pids = list;
	*count = n;
	return 0;
}

int cn_procs_names(struct cn_procs *procs, char **names, size_t *count)
{
	struct cn_buf b;
	size_t n = 0;
	cn_buf_init(&b, 0);
	cn_buf_reserve(&b, 1);          /* no names are no NULL */
	for (size_t i = 0; i < NAME_SHARDS; i++) {
		struct name_shard *s = &procs->names[i];
		cn_mutex_lock(&s->lock);
		for (uint64_t k = 0; k <= s->mask; k++)
			for (struct name *name = s->buckets[k]; name; name = name->next, n++)
				cn_put(&b, name->text, strlen(name->text) + 1);
		cn_mutex_unlock(&s->lock);
	}
	if (b.err) {
		int rc = b.err;
		cn_buf_fini(&b);
		return rc;
	}
	*names = (char *)b.data;
	*count = n;
	return 0;
}

int cn_procs_info(struct cn_procs *procs, cnode_pid pid, struct cn_process_info *info)
{
	struct cnode_process *p = process_find(procs, pid);
	if (!p)
		return CNODE_ENOPROC;
	memset(info, 0, sizeof *info);
	snprintf(info->label, sizeof info->label, "%s", cn_process_label(p));
	info->parent = p->parent;
	info->prompt = (p->class->flags & CN_PROC_PROMPT) != 0;
	info->memory = sizeof *p + p->state_size;
	cn_mutex_lock(&p->lock);
	if (p->name)
		snprintf(info->name, sizeof info->name, "%s", p->name->text);
	info->leader = p->leader;
	info->messages = p->messages;
	info->mailbox_bytes = p->bytes;
	info->links = p->links_count;
	info->monitors = p->watches;
	info->monitored_by = p->watchers;
	info->traps_exit = p->trap_exit;
	info->running = p->state == RUN_RUNNING ||
		(p->state == RUN_OWN && p->thread && !atomic_load_explicit(&p->waits, memory_order_relaxed));
	info->runnable = p->state == RUN_READY;
	info->suspended = p->holds > 0;
	info->memory += p->bytes + (uint64_t)(info->links + info->monitors + info->monitored_by) * sizeof(struct rel);
	cn_mutex_unlock(&p->lock);
	info->run_ns = atomic_load_explicit(&p->run_ns, memory_order_relaxed);
	info->average_ns = atomic_load_explicit(&p->average_ns, memory_order_relaxed);
	if (info->average_ns == UINT64_MAX)
		info->average_ns = 0;
	info->handled = atomic_load_explicit(&p->handled, memory_order_relaxed);
	process_unref(p);
	return 0;
}

static bool is_of(const struct rel *r, enum cn_relation_kind kind)
{
	switch (kind) {
	case CN_RELATION_LINK:
		return r->type == REL_LINK && r->active;
	case CN_RELATION_MONITOR:
		return r->type == REL_WATCH;
	case CN_RELATION_MONITORED_BY:
		return r->type == REL_WATCHED;
	}
	return false;
}

int cn_procs_relations(struct cn_procs *procs, cnode_pid pid, enum cn_relation_kind kind, struct cn_relation **list,
		       size_t *count)
{
	struct cnode_process *p = process_find(procs, pid);
	if (!p)
		return CNODE_ENOPROC;
	size_t n = 0, text = 0;
	bool names = kind == CN_RELATION_MONITOR;   /* who watches by name is a pid himself */
	cn_mutex_lock(&p->lock);
	const struct rels *t = kind == CN_RELATION_LINK ? &p->links : &p->refs_of;
	for (uint32_t b = 0; b <= t->mask; b++)
		for (struct rel *r = t->buckets[b]; r; r = r->chain)
			if (is_of(r, kind)) {
				n++;
				text += names && r->about.name ? strlen(r->about.name) + 1 : 0;
			}
	struct cn_relation *found = cn_malloc((n + 1) * sizeof *found + text);
	char *at = found ? (char *)(found + n + 1) : NULL;
	*count = n;
	n = 0;
	for (uint32_t b = 0; found && b <= t->mask; b++)
		for (struct rel *r = t->buckets[b]; r; r = r->chain) {
			if (!is_of(r, kind))
				continue;
			found[n] = (struct cn_relation){ .pid = r->about.pid };
			if (names && r->about.name) {
				found[n] = (struct cn_relation){ .node = rel_node(r), .name = at };
				at = stpcpy(at, r->about.name) + 1;
			}
			n++;
		}
	cn_mutex_unlock(&p->lock);
	process_unref(p);
	*list = found;
	return found ? 0 : CNODE_ENOMEM;
}
