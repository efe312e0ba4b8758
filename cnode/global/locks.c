/* SPDX-License-Identifier: Apache-2.0 */
/* The table of locks, and the monitors of those who hold locks and names. */
#include "cnode/global/inner.h"

/* Without the padding behind the words. */
#define REF_KEY (offsetof(cnode_ref, id) + sizeof((cnode_ref *)0)->id)
/* And behind the creation. */
#define HOLDER_KEY (offsetof(struct holder_key, pid.creation) + sizeof((cnode_pid *)0)->creation)

cnode_term locks_global(void)
{
	static const uint8_t global[] = { CN_SMALL_ATOM_UTF8, 6, 'g', 'l', 'o', 'b', 'a', 'l' };
	return cn_term_static(global, sizeof global);
}

int locks_init(struct cn_global *g)
{
	cn_mutex_init(&g->locks_lock);
	return table_init(&g->locks);
}

static void lock_free(struct lock *l)
{
	for (struct holder *h = l->holders, *next; h; h = next) {
		next = h->next;
		cn_free(h);
	}
	cnode_term_drop(l->item.key);
	cnode_term_drop(l->requester);
	cn_free(l);
}

void locks_fini(struct cn_global *g)
{
	for (size_t b = 0; g->locks.buckets && b <= g->locks.mask; b++)
		for (struct item *item = g->locks.buckets[b], *next; item; item = next) {
			next = item->next;
			lock_free(CN_CONTAINER(item, struct lock, item));
		}
	table_fini(&g->locks);
	cn_mutex_fini(&g->locks_lock);
}

/* By the name server's process, or under the lock. */
static struct lock *find(struct cn_global *g, cnode_term resource)
{
	struct item *item = table_find(&g->locks, cnode_term_hash(resource), resource);
	return item ? CN_CONTAINER(item, struct lock, item) : NULL;
}

bool cn_global_can_lock(struct cn_global *g, cnode_term resource, cnode_term requester)
{
	cn_mutex_lock(&g->locks_lock);
	struct lock *l = find(g, resource);
	bool can = !l || cnode_term_equal(l->requester, requester);
	cn_mutex_unlock(&g->locks_lock);
	return can;
}

bool locks_global_is_set(struct cn_global *g)
{
	cn_mutex_lock(&g->locks_lock);
	bool set = find(g, locks_global()) != NULL;
	cn_mutex_unlock(&g->locks_lock);
	return set;
}

struct lock *locks_find_global(struct cn_global *g)
{
	return find(g, locks_global());
}

/* NULL: the process does not hold the lock. */
static struct holder *holder_of(const struct server *s, struct lock *l, cnode_pid pid)
{
	struct holder_key key = { l, pid };
	struct holder *h = NULL;
	if (s->holders)
		HASH_FIND(hh, s->holders, &key, HOLDER_KEY, h);
	return h;
}

bool locks_still_set(struct server *s, const struct word *word)
{
	struct lock *l = find(s->g, locks_global());
	if (CN_MUTANT(global_lock_unchecked))
		return true;
	if (!l)
		return !s->global_lock_down;
	if (cnode_pid_is_none(word->pid))
		return cnode_term_equal(l->requester, word->lock);
	return holder_of(s, l, word->pid) != NULL;
}

static int lock_new(struct cn_global *g, cnode_term resource, cnode_term requester, struct lock **made)
{
	struct lock *l = cn_calloc(1, sizeof *l);
	if (!l)
		return CNODE_ENOMEM;
	l->item.hash = cnode_term_hash(resource);
	int rc = cnode_format(&l->item.key, "~t", resource);
	if (rc == 0)
		rc = cnode_format(&l->requester, "~t", requester);
	if (rc != 0) {
		lock_free(l);
		return rc;
	}
	cn_mutex_lock(&g->locks_lock);
	table_add(&g->locks, &l->item);
	cn_mutex_unlock(&g->locks_lock);
	*made = l;
	return 0;
}

static void lock_drop(struct cn_global *g, struct lock *l)
{
	cn_mutex_lock(&g->locks_lock);
	table_remove(&g->locks, &l->item);
	cn_mutex_unlock(&g->locks_lock);
	lock_free(l);
}

/* Watches the process, and finds the holder by it from then on. */
static int holder_add(struct server *s, struct holder *h)
{
	bool added = true;
	int rc = watch_add(s, &h->watch);
	if (rc != 0)
		return rc;
	HASH_ADD(hh, s->holders, key, HOLDER_KEY, h);
	if (!added)
		watch_remove(s, &h->watch);
	return added ? 0 : CNODE_ENOMEM;
}

/* Out of its lock's list; the lock goes with the last. */
static void holder_free(struct cn_global *g, struct holder *h)
{
	struct lock *l = h->key.lock;
	cn_mutex_lock(&g->locks_lock);
	*(h->prev ? &h->prev->next : &l->holders) = h->next;
	if (h->next)
		h->next->prev = h->prev;
	cn_mutex_unlock(&g->locks_lock);
	cn_free(h);
	if (!l->holders)
		lock_drop(g, l);
}

int locks_set(struct server *s, cnode_term resource, cnode_term requester, cnode_pid pid)
{
	struct lock *l = find(s->g, resource);
	if (l && !cnode_term_equal(l->requester, requester) && !CN_MUTANT(global_any_requester))
		return 0;
	if (l && holder_of(s, l, pid))
		return 1;
	if (HASH_COUNT(s->holders) >= s->g->config.max_locks) {
		uint32_t held;
		if (cn_log_pass(&s->limit_gate, 1, &held))
			cn_log_line(s->g->config.log, CNODE_LOG_ERROR, "global: %u locks are held here (CN_GLOBAL_MAX_LOCKS), and one more is not granted",
				    s->g->config.max_locks);
		return 0;
	}
	struct holder *h = cn_calloc(1, sizeof *h);
	if (!h)
		return CNODE_ENOMEM;
	bool fresh = !l;
	int rc = fresh ? lock_new(s->g, resource, requester, &l) : 0;
	h->key = (struct holder_key){ l, pid };
	h->watch.pid = pid;
	h->watch.holder = h;
	if (rc == 0) {
		rc = holder_add(s, h);
		if (rc != 0 && fresh)
			lock_drop(s->g, l);
	}
	if (rc != 0) {
		cn_free(h);
		return rc;
	}
	cn_mutex_lock(&s->g->locks_lock);
	h->next = l->holders;
	if (h->next)
		h->next->prev = h;
	l->holders = h;
	cn_mutex_unlock(&s->g->locks_lock);
	if (fresh && cnode_term_equal(resource, locks_global()))
		watchdog_locked(s);
	return 1;
}

static void release(struct server *s, struct holder *gone, bool by_down)
{
	const struct lock *l = gone->key.lock;
	/* The last one, as nobody is beside it. */
	if (l->holders == gone && !gone->next && cnode_term_equal(l->item.key, locks_global()))
		s->global_lock_down = by_down;
	HASH_DEL(s->holders, gone);
	watch_remove(s, &gone->watch);
	holder_free(s->g, gone);
}

void locks_del(struct server *s, cnode_term resource, cnode_term requester, cnode_pid pid)
{
	struct lock *l = find(s->g, resource);
	if (!l || !cnode_term_equal(l->requester, requester))
		return;
	struct holder *h = CN_MUTANT(global_anybody_unlocks) ? l->holders : holder_of(s, l, pid);
	if (h)
		release(s, h, false);
}

/* A holder of this node that lives keeps its lock; the others are gone, or have lost it with their connection. */
static int adopt(struct server *s, struct holder *h)
{
	if (h->key.pid.node == s->g->self && cn_procs_is_alive(s->g->config.procs, h->key.pid))
		return holder_add(s, h);
	holder_free(s->g, h);
	return 0;
}

int locks_adopt(struct server *s)
{
	const struct table *t = &s->g->locks;
	int rc = 0;
	for (size_t b = 0; b <= t->mask; b++)
		for (struct item *item = t->buckets[b], *next; item && rc == 0; item = next) {
			next = item->next;
			for (struct holder *h = CN_CONTAINER(item, struct lock, item)->holders, *more; h && rc == 0; h = more) {
				more = h->next;
				rc = adopt(s, h);
			}
		}
	return rc;
}

/* One holder of a lock, copied so that `each` finds nothing locked. */
struct listed {
	cnode_term resource, requester;
	cnode_pid holder;
};

static int copy_locks(struct cn_global *g, struct listed **copies, size_t *count)
{
	size_t room = 0;
	int rc = 0;
	*count = 0;
	cn_mutex_lock(&g->locks_lock);
	for (size_t b = 0; b <= g->locks.mask; b++)
		for (struct item *item = g->locks.buckets[b]; item; item = item->next)
			for (struct holder *h = CN_CONTAINER(item, struct lock, item)->holders; h; h = h->next)
				room++;
	struct listed *l = *copies = cn_calloc(room + 1, sizeof *l);
	for (size_t b = 0; l && b <= g->locks.mask; b++)
		for (struct item *item = g->locks.buckets[b]; item; item = item->next)
			for (struct holder *h = CN_CONTAINER(item, struct lock, item)->holders; h && rc == 0; h = h->next) {
				struct listed *at = &l[(*count)++];
				at->holder = h->key.pid;
				rc = cnode_term_keep(item->key, &at->resource);
				if (rc == 0)
					rc = cnode_term_keep(h->key.lock->requester, &at->requester);
			}
	cn_mutex_unlock(&g->locks_lock);
	return l ? rc : CNODE_ENOMEM;
}

int cn_global_locks(struct cn_global *g, int (*each)(void *context, cnode_term resource, cnode_term requester, cnode_pid holder),
		    void *context)
{
	struct listed *l;
	size_t count;
	int rc = copy_locks(g, &l, &count);
	for (size_t i = 0; i < count; i++) {
		if (rc == 0)
			rc = each(context, l[i].resource, l[i].requester, l[i].holder);
		cnode_term_drop(l[i].resource);
		cnode_term_drop(l[i].requester);
	}
	cn_free(l);
	return rc;
}

/* ---- monitors ---- */

int watch_add(struct server *s, struct watch *w)
{
	cnode_ref ref;
	int rc = cnode_monitor(s->self, w->pid, &ref);
	if (rc != 0)
		return rc;
	/* The words that are not used are part of the key. */
	memset(&w->ref, 0, sizeof w->ref);
	w->ref.node = ref.node;
	w->ref.creation = ref.creation;
	w->ref.words = ref.words;
	memcpy(w->ref.id, ref.id, ref.words * sizeof ref.id[0]);
	bool added = true;
	HASH_ADD(hh, s->watches, ref, REF_KEY, w);
	if (!added) {
		(void)cnode_demonitor(s->self, ref, CNODE_FLUSH);
		return CNODE_ENOMEM;
	}
	return 0;
}

void watch_remove(struct server *s, struct watch *w)
{
	HASH_DEL(s->watches, w);
	/*
	 * A DOWN that is here already finds no watch. To look for it, as CNODE_FLUSH does, would take as long as all that waits:
	 * for each name of a node that ended, which has as many DOWNs.
	 */
	(void)cnode_demonitor(s->self, w->ref, 0);      /* fails only if this process is dead */
}

/* What it stood for goes. */
static void watch_ended(struct server *s, struct watch *w)
{
	if (w->holder && !CN_MUTANT(global_locks_outlive_holders))
		release(s, w->holder, true);
	else if (w->name && !CN_MUTANT(global_names_outlive_processes))
		names_delete(s, w->name->item.key);
	else if (w->syncer)
		sync_ended(s, w->syncer);
}

void watch_down(struct server *s, cnode_ref ref)
{
	struct watch *w;
	cnode_ref key;
	memset(&key, 0, sizeof key);
	key.node = ref.node;
	key.creation = ref.creation;
	key.words = ref.words;
	memcpy(key.id, ref.id, ref.words * sizeof ref.id[0]);
	HASH_FIND(hh, s->watches, &key, REF_KEY, w);
	if (w)
		watch_ended(s, w);
}

void watch_forget_node(struct server *s, cnode_name node)
{
	struct watch *w, *next;
	HASH_ITER(hh, s->watches, w, next) {
		if (w->pid.node == node && !w->syncer)
			watch_ended(s, w);
	}
}

void watch_fini(struct server *s)
{
	/* The watches are inside of names, holders and syncers, which stay in their tables, as the holders do. */
	HASH_CLEAR(hh, s->watches);
	HASH_CLEAR(hh, s->holders);
}
