/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Relations of processes: a hash table per process, and per node a list of those that end
 * with its connection, so that a nodedown costs what is related to that node.
 */
#include "cnode/proc/inner.h"

/* ---- the table of a process ---- */

void rels_init(struct rels *t)
{
	t->buckets = t->few;
	t->mask = CN_ARRAY_SIZE(t->few) - 1;
}

void rels_fini(struct rels *t)
{
	if (t->buckets != t->few)
		cn_free(t->buckets);
}

/* Four times the buckets; without memory for them the chains grow instead. */
static void rels_grow(struct rels *t)
{
	uint32_t mask = t->mask * 4 + 3, old_mask = t->mask;
	struct rel **old = t->buckets, **buckets = cn_calloc((size_t)mask + 1, sizeof *buckets);
	if (!buckets)
		return;
	for (uint32_t i = 0; i <= old_mask; i++)
		for (struct rel *r = old[i], *next; r; r = next) {
			next = r->chain;
			r->chain = buckets[r->hash & mask];
			buckets[r->hash & mask] = r;
		}
	if (old != t->few)
		cn_free(old);
	t->buckets = buckets;
	t->mask = mask;
}

void rels_put(struct rels *t, struct rel *r)
{
	if (t->count++ > t->mask * 2)
		rels_grow(t);
	r->chain = t->buckets[r->hash & t->mask];
	t->buckets[r->hash & t->mask] = r;
}

void rels_take(struct rels *t, struct rel *r)
{
	struct rel **at = &t->buckets[r->hash & t->mask];
	while (*at != r)
		at = &(*at)->chain;
	*at = r->chain;
	r->chain = NULL;
	t->count--;
}

struct rel *rels_pop(struct rels *t, uint32_t *from)
{
	for (; *from <= t->mask; ++*from) {
		struct rel *r = t->buckets[*from];
		if (r) {
			t->buckets[*from] = r->chain;
			r->chain = NULL;
			t->count--;
			return r;
		}
	}
	return NULL;
}

/* ---- what a node watches by name ---- */

static struct named *named_of(struct rel *r)
{
	return r->type == REL_WATCHED && r->about.name ? CN_CONTAINER(r, struct named, rel) : NULL;
}

static void named_link(struct named **bucket, struct named *n)
{
	n->next = *bucket;
	n->at = bucket;
	if (n->next)
		n->next->at = &n->next;
	*bucket = n;
}

/* Four times the buckets; without memory for them the chains grow instead. */
static void named_grow(struct peer *peer)
{
	uint32_t mask = peer->named_mask * 4 + 3, old_mask = peer->named_mask;
	struct named **old = peer->named, **buckets = cn_calloc((size_t)mask + 1, sizeof *buckets);
	if (!buckets)
		return;
	for (uint32_t i = 0; i <= old_mask; i++)
		for (struct named *n = old[i], *next; n; n = next) {
			next = n->next;
			named_link(&buckets[n->rel.hash & mask], n);
		}
	if (old != &peer->one)
		cn_free(old);
	peer->named = buckets;
	peer->named_mask = mask;
}

static void named_put(struct peer *peer, struct named *n)
{
	if (peer->named_count++ > peer->named_mask * 2)
		named_grow(peer);
	named_link(&peer->named[n->rel.hash & peer->named_mask], n);
}

static void named_take(struct peer *peer, struct named *n)
{
	*n->at = n->next;
	if (n->next)
		n->next->at = n->at;
	peer->named_count--;
}

/* ---- the lists of a node ---- */

static struct peer_shard *peer_shard(struct cn_procs *procs, cnode_name node)
{
	return &procs->peers[node % PEER_SHARDS];
}

struct peer **peer_find(struct cn_procs *procs, cnode_name node, struct cn_mutex **lock)
{
	struct peer_shard *s = peer_shard(procs, node);
	*lock = &s->lock;
	cn_mutex_lock(&s->lock);
	struct peer **at = &s->buckets[node / PEER_SHARDS % PEER_BUCKETS];
	while (*at && (*at)->name != node)
		at = &(*at)->next;
	return at;
}

static unsigned peer_list(const struct rel *r)
{
	return r->type == REL_LINK ? NODE_LINKS : r->type == REL_NODE ? NODE_WATCHERS : NODE_MONITORS;
}

cnode_name rel_node(const struct rel *r)
{
	if (r->type == REL_ALIAS || r->type == REL_TIMER || r->type == REL_NODES)
		return 0;
	if (r->type == REL_NODE || (r->type == REL_WATCH && r->about.name))
		return r->about.node;
	return r->about.pid.node;
}

void peer_unlist(struct peer *peer, struct rel *r)
{
	unsigned l = peer_list(r);
	struct named *n = named_of(r);
	if (n)
		named_take(peer, n);
	*(r->node_prev ? &r->node_prev->node_next : &peer->first[l]) = r->node_next;
	*(r->node_next ? &r->node_next->node_prev : &peer->last[l]) = r->node_prev;
	r->node_prev = r->node_next = NULL;
	atomic_store_explicit(&r->listed, false, memory_order_release);
}

void peer_free_if_empty(struct peer **at)
{
	struct peer *peer = *at;
	for (unsigned l = 0; l < NODE_LISTS; l++)
		if (peer->first[l])
			return;
	*at = peer->next;
	peer_free(peer);
}

void peer_free(struct peer *peer)
{
	if (peer->named != &peer->one)
		cn_free(peer->named);
	cn_free(peer);
}

/* The epoch is asked for inside the lock: the lists stay in its order, and no end of a connection is missed. */
static int peer_add(struct cnode_process *p, struct rel *r, cnode_name node, uint64_t epoch)
{
	struct cn_procs *procs = p->procs;
	struct cn_mutex *lock;
	struct peer **at = peer_find(procs, node, &lock);
	struct peer *peer = *at;
	int rc = 0;
	if (epoch == CN_EPOCH_ANY)
		rc = procs->ops->epoch(procs->ctx, node, &epoch);
	if (rc == 0 && !peer) {
		peer = cn_calloc(1, sizeof *peer);
		if (peer)
			peer->named = &peer->one;
		rc = peer ? 0 : CNODE_ENOMEM;
	}
	if (rc != 0) {
		cn_mutex_unlock(lock);
		return rc;
	}
	peer->name = node;
	*at = peer;
	r->epoch = epoch;
	unsigned l = peer_list(r);
	struct rel *after = peer->last[l];
	while (after && after->epoch > r->epoch)
		after = after->node_prev;
	r->node_prev = after;
	r->node_next = after ? after->node_next : peer->first[l];
	*(after ? &after->node_next : &peer->first[l]) = r;
	*(r->node_next ? &r->node_next->node_prev : &peer->last[l]) = r;
	struct named *n = named_of(r);
	if (n)
		named_put(peer, n);
	atomic_store_explicit(&r->listed, true, memory_order_relaxed);
	cn_mutex_unlock(lock);
	return 0;
}

static void peer_remove(struct cn_procs *procs, struct rel *r)
{
	struct cn_mutex *lock;
	struct peer **at = peer_find(procs, rel_node(r), &lock);
	if (atomic_load_explicit(&r->listed, memory_order_relaxed)) {
		peer_unlist(*at, r);
		peer_free_if_empty(at);
	}
	cn_mutex_unlock(lock);
}

/* ---- relations ---- */

struct rel *rel_new(enum rel_type type, const char *name)
{
	size_t base = type == REL_TIMER ? sizeof(struct timer)
		: type == REL_WATCHED && name ? sizeof(struct named) : sizeof(struct rel);
	size_t size = name ? strlen(name) + 1 : 0;
	struct rel *r = cn_malloc(base + size);
	if (!r)
		return NULL;
	memset(r, 0, base);
	r->type = (uint8_t)type;
	if (name) {
		char *text = (char *)r + base;
		memcpy(text, name, size);
		r->about.name = text;
	}
	return r;
}

void rel_free(struct rel *r)
{
	if (!r)
		return;
	cnode_term_drop(r->msg.term);
	cn_free(r);
}

static void count(struct cnode_process *p, const struct rel *r, int by)
{
	if (r->type == REL_LINK)
		p->links_count += (uint32_t)by;
	else if (r->type == REL_WATCH)
		p->watches += (uint32_t)by;
	else if (r->type == REL_WATCHED)
		p->watchers += (uint32_t)by;
}

static struct rels *table_of(struct cnode_process *p, const struct rel *r)
{
	return r->type == REL_LINK || r->type == REL_NODE || r->type == REL_NODES ? &p->links : &p->refs_of;
}

/* The pid too: who watches chooses the reference, and a peer could choose one for all its processes. */
static uint64_t hash_watched(const struct cn_procs *procs, const cnode_ref *ref, cnode_pid by)
{
	return hash_ref(procs, ref) ^ hash_pid(procs, by);
}

int rel_add(struct cnode_process *p, struct rel *r, cnode_name node, uint64_t epoch)
{
	r->owner = p;
	r->hash = r->type == REL_LINK ? hash_pid(p->procs, r->about.pid)
		: r->type == REL_NODE ? r->about.node
		: r->type == REL_NODES ? r->mode
		: r->type == REL_WATCHED ? hash_watched(p->procs, &r->about.ref, r->about.pid)
		: hash_ref(p->procs, &r->about.ref);
	if (node && node != p->procs->node) {
		int rc = peer_add(p, r, node, epoch);
		if (rc != 0)
			return rc;
	}
	rels_put(table_of(p, r), r);
	count(p, r, 1);
	return 0;
}

void rel_remove(struct cnode_process *p, struct rel *r)
{
	rels_take(table_of(p, r), r);
	rel_unlist(p, r);
}

void rel_unlist(struct cnode_process *p, struct rel *r)
{
	count(p, r, -1);
	if (r->type == REL_NODES)
		nodes_unlist(p->procs, r);
	else if (atomic_load_explicit(&r->listed, memory_order_acquire))
		peer_remove(p->procs, r);
}

struct rel *rel_find_pid(struct cnode_process *p, cnode_pid pid)
{
	uint64_t hash = hash_pid(p->procs, pid);
	struct rel *r = p->links.buckets[hash & p->links.mask];
	while (r && (r->type != REL_LINK || !cnode_pid_equal(r->about.pid, pid)))
		r = r->chain;
	return r;
}

struct rel *rel_find_ref(struct cnode_process *p, enum rel_type type, const cnode_ref *ref)
{
	uint64_t hash = hash_ref(p->procs, ref);
	struct rel *r = p->refs_of.buckets[hash & p->refs_of.mask];
	while (r && (r->type != type || r->hash != hash || !cnode_ref_equal(r->about.ref, *ref)))
		r = r->chain;
	return r;
}

struct rel *rel_find_watched(struct cnode_process *p, const cnode_ref *ref, cnode_pid by)
{
	uint64_t hash = hash_watched(p->procs, ref, by);
	struct rel *r = p->refs_of.buckets[hash & p->refs_of.mask];
	while (r && (r->type != REL_WATCHED || r->hash != hash || !cnode_ref_equal(r->about.ref, *ref) ||
		     !cnode_pid_equal(r->about.pid, by)))
		r = r->chain;
	return r;
}

struct cnode_process *rel_find_named(struct cn_procs *procs, const cnode_ref *ref, cnode_pid by, uint64_t epoch)
{
	uint64_t hash = hash_watched(procs, ref, by);
	struct cnode_process *p = NULL;
	struct cn_mutex *lock;
	struct peer *peer = *peer_find(procs, by.node, &lock);
	const struct named *n = peer ? peer->named[hash & peer->named_mask] : NULL;
	while (n && (n->rel.hash != hash || n->rel.epoch != epoch || !cnode_ref_equal(n->rel.about.ref, *ref) ||
		     !cnode_pid_equal(n->rel.about.pid, by)))
		n = n->next;
	if (n) {
		p = n->rel.owner;
		process_ref(p);
	}
	cn_mutex_unlock(lock);
	return p;
}

bool rel_is_in(struct cnode_process *p, const struct rel *wanted, uint64_t hash, bool by_ref)
{
	const struct rels *t = by_ref ? &p->refs_of : &p->links;
	const struct rel *r = t->buckets[hash & t->mask];
	while (r && r != wanted)
		r = r->chain;
	return r != NULL;
}
