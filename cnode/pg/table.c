/* SPDX-License-Identifier: Apache-2.0 */
/* The table of a scope: groups by name, members by node, processes of this node by pid. */
#include "cnode/pg/inner.h"

/* ---- lists of pids ---- */

int pids_room(struct pids *p, size_t more)
{
	if (p->count + more <= p->room)
		return 0;
	size_t room = p->room ? p->room : 2;
	while (room < p->count + more)
		room *= 2;
	cnode_pid *at = cn_realloc(p->at, room * sizeof *at);
	if (!at)
		return CNODE_ENOMEM;
	p->at = at;
	p->room = room;
	return 0;
}

bool pids_take(struct pids *p, cnode_pid pid)
{
	/* The latest first: what joins and leaves often is at the end. */
	for (size_t i = p->count; i-- > 0;)
		if (cnode_pid_equal(p->at[i], pid)) {
			p->at[i] = p->at[--p->count];
			return true;
		}
	return false;
}

/* ---- groups ---- */

static struct group **group_bucket(const struct scope *s, uint64_t hash)
{
	return &s->groups[hash & s->groups_mask];
}

struct group *group_find(struct scope *s, cnode_term name)
{
	uint64_t hash = cnode_term_hash(name);
	struct group *g = *group_bucket(s, hash);
	while (g && (g->hash != hash || !cnode_term_equal(g->name, name)))
		g = g->next;
	return g;
}

/* Without memory for more buckets the chains grow instead. */
static void groups_grow(struct scope *s)
{
	size_t mask = s->groups_mask * 4 + 3, old_mask = s->groups_mask;
	struct group **old = s->groups, **buckets = cn_calloc(mask + 1, sizeof *buckets);
	if (!buckets)
		return;
	s->groups = buckets;
	s->groups_mask = mask;
	for (size_t i = 0; i <= old_mask; i++)
		for (struct group *g = old[i], *next; g; g = next) {
			next = g->next;
			struct group **bucket = group_bucket(s, g->hash);
			g->next = *bucket;
			*bucket = g;
		}
	cn_free(old);
}

int group_get(struct scope *s, cnode_term name, struct group **group)
{
	*group = group_find(s, name);
	if (*group)
		return 0;
	struct group *g = cn_calloc(1, sizeof *g);
	if (!g)
		return CNODE_ENOMEM;
	/* A copy: a reference would keep all of the message that the name came in. */
	int rc = cnode_format(&g->name, "~t", name);
	if (rc != 0) {
		cn_free(g);
		return rc;
	}
	g->hash = cnode_term_hash(name);
	if (s->groups_count++ > s->groups_mask)
		groups_grow(s);
	struct group **bucket = group_bucket(s, g->hash);
	g->next = *bucket;
	*bucket = g;
	*group = g;
	return 0;
}

static void group_free(struct group *g)
{
	cnode_term_drop(g->name);
	cn_free(g);
}

void group_tidy(struct scope *s, struct group *group)
{
	if (group->parts || group->watches)
		return;
	struct group **at = group_bucket(s, group->hash);
	while (*at != group)
		at = &(*at)->next;
	*at = group->next;
	s->groups_count--;
	group_free(group);
}

/* ---- parts ---- */

struct part *part_find(const struct group *group, const struct remote *of)
{
	struct part *p = group->parts;
	while (p && p->of != of)
		p = p->next;
	return p;
}

static struct part **parts_of(struct scope *s, struct remote *of)
{
	return of ? &of->parts : &s->own;
}

int part_get(struct scope *s, struct group *group, struct remote *of, struct part **part)
{
	*part = part_find(group, of);
	if (*part)
		return 0;
	struct part *p = cn_calloc(1, sizeof *p);
	if (!p)
		return CNODE_ENOMEM;
	struct part **first = parts_of(s, of);
	p->group = group;
	p->of = of;
	p->next = group->parts;
	group->parts = p;
	p->of_next = *first;
	if (p->of_next)
		p->of_next->of_prev = p;
	*first = p;
	*part = p;
	return 0;
}

void part_tidy(struct scope *s, struct part *part)
{
	if (part->pids.count > 0)
		return;
	struct group *group = part->group;
	struct part **at = &group->parts;
	while (*at != part)
		at = &(*at)->next;
	*at = part->next;
	*(part->of_prev ? &part->of_prev->of_next : parts_of(s, part->of)) = part->of_next;
	if (part->of_next)
		part->of_next->of_prev = part->of_prev;
	cn_free(part->pids.at);
	cn_free(part);
	group_tidy(s, group);
}

/* ---- processes of this node ---- */

static struct local **local_bucket(const struct scope *s, cnode_pid pid)
{
	uint64_t n = ((uint64_t)pid.serial << 32 | pid.id) * UINT64_C(0x9e3779b97f4a7c15);
	return &s->locals[(n >> 32) & s->locals_mask];
}

struct local *local_find(struct scope *s, cnode_pid pid)
{
	struct local *l = *local_bucket(s, pid);
	while (l && !cnode_pid_equal(l->pid, pid))
		l = l->next;
	return l;
}

static void locals_grow(struct scope *s)
{
	size_t mask = s->locals_mask * 4 + 3, old_mask = s->locals_mask;
	struct local **old = s->locals, **buckets = cn_calloc(mask + 1, sizeof *buckets);
	if (!buckets)
		return;
	s->locals = buckets;
	s->locals_mask = mask;
	for (size_t i = 0; i <= old_mask; i++)
		for (struct local *l = old[i], *next; l; l = next) {
			next = l->next;
			struct local **bucket = local_bucket(s, l->pid);
			l->next = *bucket;
			*bucket = l;
		}
	cn_free(old);
}

int local_get(struct scope *s, cnode_pid pid, struct local **local)
{
	*local = local_find(s, pid);
	if (*local)
		return 0;
	struct local *l = cn_calloc(1, sizeof *l);
	if (!l)
		return CNODE_ENOMEM;
	l->pid = pid;
	if (s->locals_count++ > s->locals_mask)
		locals_grow(s);
	struct local **bucket = local_bucket(s, pid);
	l->next = *bucket;
	*bucket = l;
	*local = l;
	return 0;
}

int local_room(struct local *local, size_t more)
{
	if (local->count + more <= local->room)
		return 0;
	size_t room = (local->count + more) * 2;
	struct group **groups = cn_realloc(local->groups, room * sizeof *groups);
	if (!groups)
		return CNODE_ENOMEM;
	local->groups = groups;
	local->room = room;
	return 0;
}

bool local_take(struct local *local, const struct group *group)
{
	for (size_t i = local->count; i-- > 0;)
		if (local->groups[i] == group) {
			local->groups[i] = local->groups[--local->count];
			return true;
		}
	return false;
}

void local_forget(struct scope *s, struct local *local)
{
	struct local **at = local_bucket(s, local->pid);
	while (*at != local)
		at = &(*at)->next;
	*at = local->next;
	s->locals_count--;
	cn_free(local->groups);
	cn_free(local);
}

/* ---- watches ---- */

#define REF_KEY (offsetof(cnode_ref, id) + sizeof((cnode_ref *)0)->id)

static cnode_ref key_of(cnode_ref ref)
{
	cnode_ref key;
	memset(&key, 0, sizeof key);
	key.node = ref.node;
	key.creation = ref.creation;
	key.words = ref.words;
	/* It may be any that a program has. */
	size_t words = ref.words < CN_ARRAY_SIZE(key.id) ? ref.words : CN_ARRAY_SIZE(key.id);
	memcpy(key.id, ref.id, words * sizeof ref.id[0]);
	return key;
}

int watcher_add(struct scope *s, struct watch *w, struct group *group)
{
	bool added = true;
	w->ref = key_of(w->ref);
	HASH_ADD(hh, s->all, ref, REF_KEY, w);
	if (!added)
		return CNODE_ENOMEM;
	struct watch **list = group ? &group->watches : &s->watches;
	w->group = group;
	w->at = list;
	w->next = *list;
	if (w->next)
		w->next->at = &w->next;
	*list = w;
	watcher_due(s, w);
	return 0;
}

struct watch *watcher_find(struct scope *s, cnode_pid pid, cnode_ref ref)
{
	struct watch *w;
	cnode_ref key = key_of(ref);
	HASH_FIND(hh, s->all, &key, REF_KEY, w);
	return w && !w->gone && cnode_pid_equal(w->pid, pid) ? w : NULL;
}

void watcher_unlink(struct watch *w)
{
	*w->at = w->next;
	if (w->next)
		w->next->at = w->at;
	w->next = NULL;
}

void watcher_due(struct scope *s, struct watch *w)
{
	if (w->due)
		return;
	w->due = true;
	w->due_next = s->due;
	s->due = w;
}

int watcher_monitored(struct scope *s, struct watch *w, cnode_ref monitor)
{
	bool added = true;
	w->monitor = key_of(monitor);
	HASH_ADD(by_monitor, s->watched, monitor, REF_KEY, w);
	w->watched = added;
	return added ? 0 : CNODE_ENOMEM;
}

struct watch *watcher_of_monitor(struct scope *s, cnode_ref monitor)
{
	struct watch *w;
	cnode_ref key = key_of(monitor);
	HASH_FIND(by_monitor, s->watched, &key, REF_KEY, w);
	return w;
}

void watcher_free(struct scope *s, struct watch *w)
{
	if (w->watched)
		HASH_DELETE(by_monitor, s->watched, w);
	HASH_DEL(s->all, w);
	cn_free(w);
}

/* ---- another server ---- */

static void notes_free(struct scope *s)
{
	for (struct note *n = s->notes; n; n = s->notes) {
		s->notes = n->next;
		cnode_term_drop(n->group);
		cn_free(n);
	}
	s->notes_last = &s->notes;
}

void table_renew(struct scope *s)
{
	for (struct remote *r = s->remotes; r; r = s->remotes) {
		while (r->parts) {
			struct part *p = r->parts;
			change_leave_all(s, p);
			part_tidy(s, p);
		}
		s->remotes = r->next;
		sync_drop(r);
		cn_free(r);
	}
	notes_free(s);
	for (size_t i = 0; i <= s->locals_mask; i++)
		for (struct local *l = s->locals[i]; l; l = l->next)
			l->watched = false;
	HASH_CLEAR(by_monitor, s->watched);
	for (struct watch *w = s->all; w; w = w->hh.next) {
		w->watched = false;
		watcher_due(s, w);
	}
	s->woken = false;
	/* It has the server's pid. */
	cnode_term_drop(s->sync);
	s->sync = (cnode_term){ 0 };
}

/* ---- the end ---- */

void table_free(struct scope *s)
{
	for (size_t i = 0; i <= s->groups_mask; i++)
		for (struct group *g = s->groups[i], *next; g; g = next) {
			next = g->next;
			for (struct part *p = g->parts, *more; p; p = more) {
				more = p->next;
				cn_free(p->pids.at);
				cn_free(p);
			}
			group_free(g);
			s->groups[i] = next;
		}
	for (size_t i = 0; i <= s->locals_mask; i++)
		for (struct local *l = s->locals[i]; l; l = s->locals[i]) {
			s->locals[i] = l->next;
			cn_free(l->groups);
			cn_free(l);
		}
	for (struct remote *r = s->remotes; r; r = s->remotes) {
		s->remotes = r->next;
		sync_drop(r);
		cn_free(r);
	}
	while (s->all)
		watcher_free(s, s->all);
	notes_free(s);
	s->own = NULL;
	s->watches = s->due = NULL;
	s->groups_count = s->locals_count = 0;
	cnode_term_drop(s->sync);
	s->sync = (cnode_term){ 0 };
}
