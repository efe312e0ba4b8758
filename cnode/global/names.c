/* SPDX-License-Identifier: Apache-2.0 */
/* The table of names. */
#include "cnode/global/inner.h"

/* How many names a process has. */
struct pid_names {
	UT_hash_handle hh;
	cnode_pid pid;
	size_t count;
	size_t mortal;              /* of them with the default method, which kills the loser of a conflict */
};
/* Without the padding behind it. */
#define PID_KEY (offsetof(cnode_pid, creation) + sizeof((cnode_pid *)0)->creation)

int names_init(struct cn_global *g)
{
	int rc = 0;
	for (size_t i = 0; i < SHARDS; i++) {
		cn_mutex_init(&g->names[i].lock);
		if (table_init(&g->names[i].table) != 0)
			rc = CNODE_ENOMEM;
	}
	return rc;
}

static void name_free(struct name *n)
{
	cnode_term_drop(n->item.key);
	cnode_term_drop(n->method);
	cn_free(n);
}

void names_fini(struct cn_global *g)
{
	for (size_t i = 0; i < SHARDS; i++) {
		struct table *t = &g->names[i].table;
		for (size_t b = 0; t->buckets && b <= t->mask; b++)
			for (struct item *item = t->buckets[b], *next; item; item = next) {
				next = item->next;
				name_free(CN_CONTAINER(item, struct name, item));
			}
		table_fini(t);
		cn_mutex_fini(&g->names[i].lock);
	}
	struct pid_names *p, *next;
	HASH_ITER(hh, g->pids, p, next) {
		HASH_DEL(g->pids, p);
		cn_free(p);
	}
}

static struct names_shard *shard_of(struct cn_global *g, uint64_t hash)
{
	return &g->names[hash >> 60];
}

struct name *names_find(struct cn_global *g, cnode_term name)
{
	uint64_t hash = cnode_term_hash(name);
	struct item *item = table_find(&shard_of(g, hash)->table, hash, name);
	return item ? CN_CONTAINER(item, struct name, item) : NULL;
}

int cn_global_whereis(struct cn_global *g, cnode_term name, cnode_pid *pid)
{
	uint64_t hash = cnode_term_hash(name);
	struct names_shard *shard = shard_of(g, hash);
	cn_mutex_lock(&shard->lock);
	struct item *item = table_find(&shard->table, hash, name);
	if (item)
		*pid = CN_CONTAINER(item, struct name, item)->pid;
	cn_mutex_unlock(&shard->lock);
	/* Its DOWN may not have been looked at yet. */
	if (!item || (pid->node == g->self && !cn_procs_is_alive(g->config.procs, *pid)))
		return CNODE_ENOENT;
	return 0;
}

int names_method(struct cn_global *g, cnode_term name, cnode_term *method)
{
	uint64_t hash = cnode_term_hash(name);
	struct names_shard *shard = shard_of(g, hash);
	cn_mutex_lock(&shard->lock);
	struct item *item = table_find(&shard->table, hash, name);
	int rc = item ? cnode_term_keep(CN_CONTAINER(item, struct name, item)->method, method) : CNODE_ENOENT;
	cn_mutex_unlock(&shard->lock);
	return rc;
}

uint64_t names_count(struct cn_global *g)
{
	uint64_t count = 0;
	for (size_t i = 0; i < SHARDS; i++) {
		cn_mutex_lock(&g->names[i].lock);
		count += g->names[i].table.count;
		cn_mutex_unlock(&g->names[i].lock);
	}
	return count;
}

/* ---- how many names a process has ---- */

size_t names_of(struct cn_global *g, cnode_pid pid)
{
	struct pid_names *p;
	cn_mutex_lock(&g->lock);
	HASH_FIND(hh, g->pids, &pid, PID_KEY, p);
	size_t count = p ? p->count : 0;
	cn_mutex_unlock(&g->lock);
	return count;
}

bool cn_global_may_exit(struct cn_global *g, cnode_pid pid, cnode_term reason)
{
	struct pid_names *p;
	if (!cn_term_is_atom(reason, "kill"))
		return false;
	cn_mutex_lock(&g->lock);
	HASH_FIND(hh, g->pids, &pid, PID_KEY, p);
	bool mortal = p && p->mortal > 0;
	for (size_t i = 0; i < LOSERS && !mortal; i++)
		mortal = cnode_pid_equal(g->losers[i].pid, pid) && cn_now() < g->losers[i].until;
	cn_mutex_unlock(&g->lock);
	return mortal;
}

/* The name is another process's by a joining; who decided that has sent the kill, which may be behind. */
static void lost_its_name(struct cn_global *g, const struct name *n)
{
	if (!n->mortal || n->pid.node != g->self)
		return;
	cn_mutex_lock(&g->lock);
	g->losers[g->loser] = (struct loser){ n->pid, cn_now() + LOSER_NS };
	g->loser = (g->loser + 1) % LOSERS;
	cn_mutex_unlock(&g->lock);
}

/* Under the lock. */
static int count_name(struct cn_global *g, cnode_pid pid, bool mortal)
{
	struct pid_names *p;
	HASH_FIND(hh, g->pids, &pid, PID_KEY, p);
	if (p) {
		p->count++;
		p->mortal += mortal;
		return 0;
	}
	p = cn_calloc(1, sizeof *p);
	if (!p)
		return CNODE_ENOMEM;
	p->pid = pid;
	p->count = 1;
	p->mortal = mortal;
	bool added = true;
	HASH_ADD(hh, g->pids, pid, PID_KEY, p);
	if (!added)
		cn_free(p);
	return added ? 0 : CNODE_ENOMEM;
}

static int pid_named(struct cn_global *g, cnode_pid pid, bool mortal)
{
	cn_mutex_lock(&g->lock);
	int rc = count_name(g, pid, mortal);
	cn_mutex_unlock(&g->lock);
	return rc;
}

static void pid_unnamed(struct cn_global *g, cnode_pid pid, bool mortal)
{
	struct pid_names *p;
	cn_mutex_lock(&g->lock);
	HASH_FIND(hh, g->pids, &pid, PID_KEY, p);
	if (p)
		p->mortal -= mortal;
	if (p && --p->count == 0) {
		HASH_DEL(g->pids, p);
		cn_free(p);
	}
	cn_mutex_unlock(&g->lock);
}

/* ---- insertion and deletion, by the name server's process ---- */

/* What is out of the table. */
static void let_go(struct server *s, struct name *n)
{
	s->name_count--;
	watch_remove(s, &n->watch);
	pid_unnamed(s->g, n->pid, n->mortal);
	/* A link that was made for a name of a hidden node's process; other names of it may need it still. */
	if (n->linked && names_of(s->g, n->pid) == 0)
		(void)cnode_unlink(s->self, n->pid);    /* fails only if this process is dead */
	name_free(n);
}

static void take_out(struct server *s, struct name *n)
{
	struct names_shard *shard = shard_of(s->g, n->item.hash);
	cn_mutex_lock(&shard->lock);
	table_remove(&shard->table, &n->item);
	cn_mutex_unlock(&shard->lock);
	let_go(s, n);
}

void names_delete(struct server *s, cnode_term name)
{
	struct name *n = names_find(s->g, name);
	if (n)
		take_out(s, n);
}

static int name_new(struct server *s, cnode_term name, cnode_pid pid, cnode_term method, cnode_name external, struct name **made)
{
	if (s->name_count >= CN_GLOBAL_MAX_NAMES)
		return CNODE_ELIMIT;
	struct name *n = cn_calloc(1, sizeof *n);
	if (!n)
		return CNODE_ENOMEM;
	n->pid = n->watch.pid = pid;
	n->watch.name = n;
	n->external = external;
	n->mortal = resolve_kills(method);
	n->item.hash = cnode_term_hash(name);
	int rc = cnode_format(&n->item.key, "~t", name);        /* a copy: the message it came in may be large */
	if (rc == 0)
		rc = cnode_format(&n->method, "~t", method);
	if (rc == 0)
		rc = pid_named(s->g, pid, n->mortal);
	if (rc != 0) {
		name_free(n);
		return rc;
	}
	rc = watch_add(s, &n->watch);
	if (rc == 0 && external == s->g->self) {
		rc = cnode_link(s->self, pid);
		n->linked = rc == 0;
		if (rc != 0)
			watch_remove(s, &n->watch);
	}
	if (rc != 0) {
		pid_unnamed(s->g, pid, n->mortal);
		name_free(n);
		return rc;
	}
	*made = n;
	return 0;
}

int names_insert(struct server *s, cnode_term name, cnode_pid pid, cnode_term method, cnode_name external,
		 const struct word *word)
{
	struct name *n, *old = names_find(s->g, name);
	if (!locks_still_set(s, word)) {
		if (old)
			take_out(s, old);
		return 0;
	}
	int rc = name_new(s, name, pid, method, external, &n);
	if (rc != 0)
		return rc;
	if (old && cnode_pid_is_none(word->pid) && !cnode_pid_equal(old->pid, pid))
		lost_its_name(s->g, old);
	struct names_shard *shard = shard_of(s->g, n->item.hash);
	/* In one step: who looks for a name that moves finds the one process or the other. */
	cn_mutex_lock(&shard->lock);
	if (old)
		table_remove(&shard->table, &old->item);
	table_add(&shard->table, &n->item);
	cn_mutex_unlock(&shard->lock);
	s->name_count++;
	if (old)
		let_go(s, old);
	return 0;
}

/* What the server before this one has left; its monitors and links went with it. */
static int adopt(struct server *s, struct name *n)
{
	int rc = n->pid.node == s->g->self ? watch_add(s, &n->watch) : CNODE_ENOPROC;
	if (rc == 0) {
		s->name_count++;
		return 0;
	}
	if (rc != CNODE_ENOPROC)
		return rc;
	struct names_shard *shard = shard_of(s->g, n->item.hash);
	cn_mutex_lock(&shard->lock);
	table_remove(&shard->table, &n->item);
	cn_mutex_unlock(&shard->lock);
	pid_unnamed(s->g, n->pid, n->mortal);
	name_free(n);
	return 0;
}

int names_adopt(struct server *s)
{
	int rc = 0;
	for (size_t i = 0; i < SHARDS; i++) {
		const struct table *t = &s->g->names[i].table;
		for (size_t b = 0; b <= t->mask; b++)
			for (struct item *item = t->buckets[b], *next; item && rc == 0; item = next) {
				next = item->next;
				rc = adopt(s, CN_CONTAINER(item, struct name, item));
			}
	}
	return rc;
}

/* ---- lists ---- */

typedef void visit_fn(void *context, const struct name *n);

/* The name server may look without the locks: nobody else writes. */
static void visit(struct cn_global *g, visit_fn *each, void *context)
{
	for (size_t i = 0; i < SHARDS; i++) {
		const struct table *t = &g->names[i].table;
		for (size_t b = 0; b <= t->mask; b++)
			for (struct item *item = t->buckets[b]; item; item = item->next)
				each(context, CN_CONTAINER(item, struct name, item));
	}
}

static void build_name(void *context, const struct name *n)
{
	cnode_builder *b = context;
	cnode_build_tuple(b, 3);
	cnode_build_term(b, n->item.key);
	cnode_build_pid(b, n->pid);
	cnode_build_term(b, n->method);
}

void names_build(struct cn_global *g, cnode_builder *b)
{
	cnode_build_list(b);
	visit(g, build_name, b);
	cnode_build_list_end(b);
}

static void build_external(void *context, const struct name *n)
{
	cnode_builder *b = context;
	char node[CNODE_NAME_SIZE];
	if (!n->external || CN_MUTANT(global_external_not_passed) || cnode_name_text(n->external, node) != 0)
		return;
	cnode_build_tuple(b, 3);
	cnode_build_term(b, n->item.key);
	cnode_build_pid(b, n->pid);
	cnode_build_atom(b, node);
}

void names_build_external(struct cn_global *g, cnode_builder *b)
{
	cnode_build_list(b);
	visit(g, build_external, b);
	cnode_build_list_end(b);
}

/* One shard's names, copied so that `each` finds nothing locked. */
struct listed {
	cnode_term name;
	cnode_pid pid;
};

static int copy_shard(struct names_shard *shard, struct listed **copies, size_t *count)
{
	int rc = 0;
	*count = 0;
	cn_mutex_lock(&shard->lock);
	const struct table *t = &shard->table;
	struct listed *l = *copies = cn_calloc(t->count + 1, sizeof *l);
	for (size_t b = 0; l && rc == 0 && b <= t->mask; b++)
		for (struct item *item = t->buckets[b]; item && rc == 0; item = item->next) {
			rc = cnode_term_keep(item->key, &l[*count].name);
			if (rc == 0)
				l[(*count)++].pid = CN_CONTAINER(item, struct name, item)->pid;
		}
	cn_mutex_unlock(&shard->lock);
	return l ? rc : CNODE_ENOMEM;
}

int cn_global_names(struct cn_global *g, int (*each)(void *context, cnode_term name, cnode_pid pid), void *context)
{
	int rc = 0;
	for (size_t i = 0; i < SHARDS && rc == 0; i++) {
		struct listed *l;
		size_t count;
		rc = copy_shard(&g->names[i], &l, &count);
		for (size_t n = 0; n < count; n++) {
			if (rc == 0)
				rc = each(context, l[n].name, l[n].pid);
			cnode_term_drop(l[n].name);
		}
		cn_free(l);
	}
	return rc;
}
