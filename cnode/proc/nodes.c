/* SPDX-License-Identifier: Apache-2.0 */
/*
 * monitor_nodes: who wants to hear of nodes that come and go. Follows net_kernel(3) and
 * erts_monitor_nodes (erts/emulator/beam/dist.c).
 *
 * A subscription is a relation in its owner's table and in one list of all of them. An event
 * walks the list without holding its lock while a process is told, which takes the process's
 * lock: whoever leaves the list meanwhile moves the place to go on from.
 */
#include "cnode/proc/inner.h"

/* One event on its way to one process. */
struct event {
	struct rel rel;                 /* about.node; msg.term: the reason */
	uint64_t connection;
	bool visible;
};

static const struct event *event_of(const struct cn_message *m)
{
	const struct rel *r = CN_CONTAINER(m->about, const struct rel, about);
	return CN_CONTAINER(r, const struct event, rel);
}

uint64_t cn_message_connection(const struct cn_message *m)
{
	return m->kind == CN_MSG_NODES_UP || m->kind == CN_MSG_NODES_DOWN ? event_of(m)->connection : 0;
}

int nodes_term(const struct cn_message *m, cnode_term *term)
{
	const struct event *e = event_of(m);
	const char *type = e->visible ? "visible" : "hidden";
	char node[CNODE_NAME_SIZE];
	int rc = cnode_name_text(m->about->node, node);
	if (rc != 0)
		return rc;
	if (m->kind == CN_MSG_NODES_UP)
		return cnode_format(term, "{nodeup,~a,#{node_type := ~a,connection_id := ~q}}", node, type,
				    (int64_t)e->connection);
	return cnode_format(term, "{nodedown,~a,#{node_type := ~a,nodedown_reason := ~t,connection_id := ~q}}", node, type,
			    m->term, (int64_t)e->connection);
}

/* ---- subscriptions ---- */

void nodes_unlist(struct cn_procs *procs, struct rel *r)
{
	cn_mutex_lock(&procs->nodes_lock);
	if (procs->nodes_next == r)
		procs->nodes_next = r->node_next;
	*(r->node_prev ? &r->node_prev->node_next : &procs->nodes_first) = r->node_next;
	if (r->node_next)
		r->node_next->node_prev = r->node_prev;
	cn_mutex_unlock(&procs->nodes_lock);
	r->node_prev = r->node_next = NULL;
}

/* In front: an event that is being told now was before it. */
static void nodes_list(struct cn_procs *procs, struct rel *r)
{
	r->node_next = procs->nodes_first;
	if (r->node_next)
		r->node_next->node_prev = r;
	procs->nodes_first = r;
}

static struct rel *find(struct cnode_process *p, unsigned types)
{
	struct rel *r = p->links.buckets[types & p->links.mask];
	while (r && (r->type != REL_NODES || r->mode != types))
		r = r->chain;
	return r;
}

static int subscribe(struct cnode_process *self, unsigned types)
{
	struct cn_procs *procs = self->procs;
	struct rel *made = rel_new(REL_NODES, NULL);
	if (!made)
		return CNODE_ENOMEM;
	made->mode = (uint8_t)types;
	int rc = 0;
	cn_mutex_lock(&self->lock);
	struct rel *r = find(self, types);
	if (is_dead(self))
		rc = CNODE_EEXITED;
	else if (!r)
		rc = rel_add(self, made, 0, CN_EPOCH_ANY);
	if (rc == 0) {
		cn_mutex_lock(&procs->nodes_lock);
		if (!r) {
			nodes_list(procs, made);
			r = made;
			made = NULL;
		}
		r->times++;
		cn_mutex_unlock(&procs->nodes_lock);
	}
	cn_mutex_unlock(&self->lock);
	rel_free(made);
	return rc;
}

int cnode_monitor_nodes(cnode_process *self, unsigned types, bool on)
{
	if (types == 0 || types > (CNODE_NODES_VISIBLE | CNODE_NODES_HIDDEN))
		return CNODE_EBADARG;
	if (on)
		return subscribe(self, types);
	cn_mutex_lock(&self->lock);
	struct rel *r = is_dead(self) ? NULL : find(self, types);
	if (r)
		rel_remove(self, r);
	cn_mutex_unlock(&self->lock);
	rel_free(r);
	return 0;
}

/* ---- events ---- */

static void tell(struct cnode_process *p, const struct cn_node_event *event, struct work *w)
{
	struct event *e = cn_malloc(sizeof *e);
	bool ready = false;
	if (e) {
		memset(e, 0, sizeof *e);
		e->rel.type = REL_NODES;
		e->rel.about.node = event->node;
		e->rel.msg.term = event->reason;        /* static */
		e->connection = event->connection_id;
		e->visible = event->visible;
	}
	cn_mutex_lock(&p->lock);
	if (!is_dead(p) && e) {
		ready = mailbox_push(p, message_of_rel(&e->rel, event->up ? CN_MSG_NODES_UP : CN_MSG_NODES_DOWN), w);
		e = NULL;
	} else if (!is_dead(p)) {
		cn_log_line(p->procs->log, CNODE_LOG_ERROR, "process <%u.%u> (%s) is killed: no memory to tell it of a node",
			    p->pid.id, p->pid.serial, cn_process_label(p));
		process_die(p, atom_enomem(), w);
	}
	cn_mutex_unlock(&p->lock);
	cn_free(e);
	if (ready)
		run_ready(p, w);
}

void cn_procs_node_event(struct cn_procs *procs, const struct cn_node_event *event)
{
	const unsigned type = event->visible ? CNODE_NODES_VISIBLE : CNODE_NODES_HIDDEN;
	struct work w = { .inside = false, .now = cn_now() };
	struct rel *r;
	cn_mutex_lock(&procs->nodes_lock);
	procs->nodes_next = procs->nodes_first;
	while ((r = procs->nodes_next)) {
		procs->nodes_next = r->node_next;
		if (!(r->mode & type) && !CN_MUTANT(node_types_ignored))
			continue;
		struct cnode_process *p = r->owner;
		uint64_t times = r->times;
		process_ref(p);
		cn_mutex_unlock(&procs->nodes_lock);
		for (; times > 0; times--)
			tell(p, event, &w);
		work_run(&w);
		process_unref(p);
		cn_mutex_lock(&procs->nodes_lock);
	}
	cn_mutex_unlock(&procs->nodes_lock);
}
