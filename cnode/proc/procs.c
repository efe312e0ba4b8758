/* SPDX-License-Identifier: Apache-2.0 */
/* The processes of a node as a whole: making and freeing, pids, references, registered names. */
#include "cnode/proc/inner.h"

/* ---- hashing: keyed, because peers choose the references and pids that we keep ---- */

static inline uint64_t mix(uint64_t a, uint64_t b)
{
	__extension__ unsigned __int128 m = (unsigned __int128)(a ^ UINT64_C(0x9e3779b97f4a7c15)) *
		(b ^ UINT64_C(0xbf58476d1ce4e5b9));
	return (uint64_t)m ^ (uint64_t)(m >> 64);
}

uint64_t hash_pid(const struct cn_procs *procs, cnode_pid pid)
{
	uint64_t h = mix(procs->seed ^ pid.node, (uint64_t)pid.id << 32 | pid.serial);
	return mix(h, procs->seed ^ pid.creation);
}

uint64_t hash_ref(const struct cn_procs *procs, const cnode_ref *ref)
{
	uint64_t h = mix(procs->seed ^ ref->node, (uint64_t)ref->creation << 32 | ref->words);
	for (uint32_t i = 0; i < ref->words && i < CN_ARRAY_SIZE(ref->id); i++)
		h = mix(h ^ ref->id[i], procs->seed);
	return h;
}

uint64_t hash_text(const struct cn_procs *procs, const char *text, size_t size)
{
	uint64_t h = procs->seed ^ size;
	for (; size >= 8; size -= 8, text += 8) {
		uint64_t v;
		memcpy(&v, text, 8);
		h = mix(h ^ v, procs->seed);
	}
	uint64_t v = 0;
	memcpy(&v, text, size);
	return mix(h ^ v, procs->seed);
}

/* ---- pids: 28 bits for OTP 23 (15 of id, 13 of serial), 44 bits otherwise ---- */

#define WIDE_ID_BITS 28
#define WIDE_BITS 44

cnode_pid pid_of_number(const struct cn_procs *procs, uint64_t n)
{
	cnode_pid pid = { .node = procs->node, .creation = procs->creation };
	unsigned bits = procs->wide_ids ? WIDE_ID_BITS : 15;
	pid.id = (uint32_t)(n & ((UINT64_C(1) << bits) - 1));
	pid.serial = (uint32_t)(n >> bits);
	return pid;
}

/* 0: no pid of ours. */
static uint64_t number_of_pid(const struct cn_procs *procs, cnode_pid pid)
{
	if (!cn_procs_is_own(procs, pid))
		return 0;
	unsigned bits = procs->wide_ids ? WIDE_ID_BITS : 15;
	if (pid.id >> bits != 0 || pid.serial >> (procs->wide_ids ? WIDE_BITS - WIDE_ID_BITS : 13) != 0)
		return 0;
	return (uint64_t)pid.serial << bits | pid.id;
}

bool cn_procs_is_own(const struct cn_procs *procs, cnode_pid pid)
{
	return pid.node == procs->node && (pid.creation == procs->creation || CN_MUTANT(any_incarnation));
}

static struct pid_shard *shard_of_number(struct cn_procs *procs, uint64_t n)
{
	return &procs->pids[n % PID_SHARDS];
}

static struct cnode_process **pid_bucket(struct pid_shard *s, uint64_t n)
{
	return &s->buckets[(n / PID_SHARDS) & s->mask];
}

/* Twice the buckets; if there is no memory for them the chains grow instead. */
static void pids_grow(struct pid_shard *s)
{
	uint64_t mask = s->mask * 2 + 1;
	struct cnode_process **old = s->buckets, **buckets = cn_calloc(mask + 1, sizeof *buckets);
	if (!buckets)
		return;
	uint64_t old_mask = s->mask;
	s->buckets = buckets;
	s->mask = mask;
	for (uint64_t i = 0; i <= old_mask; i++)
		for (struct cnode_process *p = old[i], *next; p; p = next) {
			next = p->next;
			struct cnode_process **b = pid_bucket(s, p->number);
			p->next = *b;
			*b = p;
		}
	cn_free(old);
}

int pids_add(struct cn_procs *procs, struct cnode_process *p)
{
	uint64_t limit = UINT64_C(1) << (procs->wide_ids ? WIDE_BITS : 28);
	for (;;) {
		uint64_t n = atomic_fetch_add_explicit(&procs->next_number, 1, memory_order_relaxed) % limit;
		if (n == 0)
			continue;
		struct pid_shard *s = shard_of_number(procs, n);
		cn_mutex_lock(&s->lock);
		struct cnode_process *q = *pid_bucket(s, n);
		while (q && q->number != n)
			q = q->next;
		if (q) {                /* still alive after all the others: take the next number */
			cn_mutex_unlock(&s->lock);
			continue;
		}
		p->number = n;
		p->pid = pid_of_number(procs, n);
		if (++s->count > s->mask)
			pids_grow(s);
		struct cnode_process **b = pid_bucket(s, n);
		p->next = *b;
		*b = p;
		cn_mutex_unlock(&s->lock);
		return 0;
	}
}

void pids_remove(struct cnode_process *p)
{
	struct pid_shard *s = shard_of_number(p->procs, p->number);
	cn_mutex_lock(&s->lock);
	struct cnode_process **b = pid_bucket(s, p->number);
	while (*b != p)
		b = &(*b)->next;
	*b = p->next;
	s->count--;
	cn_mutex_unlock(&s->lock);
}

struct cnode_process *process_find_number(struct cn_procs *procs, uint64_t n)
{
	struct pid_shard *s = shard_of_number(procs, n);
	cn_mutex_lock(&s->lock);
	struct cnode_process *p = *pid_bucket(s, n);
	while (p && p->number != n)
		p = p->next;
	if (p)
		process_ref(p);
	cn_mutex_unlock(&s->lock);
	return p;
}

struct cnode_process *process_find(struct cn_procs *procs, cnode_pid pid)
{
	uint64_t n = number_of_pid(procs, pid);
	return n ? process_find_number(procs, n) : NULL;
}

void process_unref(struct cnode_process *p)
{
	if (atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) != 1)
		return;
	struct rel *r;
	uint32_t from = 0;
	while ((r = rels_pop(&p->links, &from)))
		rel_free(r);
	from = 0;
	while ((r = rels_pop(&p->refs_of, &from)))
		rel_free(r);
	while ((r = p->pending.first)) {
		p->pending.first = r->chain;
		rel_free(r);
	}
	rels_fini(&p->links);
	rels_fini(&p->refs_of);
	cnode_term_drop(p->reason);
	cnode_term_drop(p->stop_reason);
	cn_mutex_fini(&p->lock);
	cn_free(p->label);
	cn_free(p);
}

/* ---- references: 3 words, 18 + 32 + 32 bits: 44 of the process (for aliases), 37 of a counter, 1 marks calls ---- */

#define REF_CALL UINT32_C(0x80000000)

cnode_ref ref_make(struct cn_procs *procs, uint64_t number)
{
	uint64_t n = atomic_fetch_add_explicit(&procs->next_ref, 1, memory_order_relaxed);
	cnode_ref ref = { .node = procs->node, .creation = procs->creation, .words = 3 };
	ref.id[0] = (uint32_t)(n & 0x3ffff);
	ref.id[1] = (uint32_t)number;
	ref.id[2] = (uint32_t)(number >> 32 & 0xfff) | (uint32_t)((n >> 18 & 0x7ffff) << 12);
	return ref;
}

cnode_ref ref_make_call(struct cn_procs *procs, uint64_t number)
{
	cnode_ref ref = ref_make(procs, number);
	ref.id[2] |= REF_CALL;
	return ref;
}

bool cn_process_made_call(const struct cnode_process *self, const cnode_ref *ref)
{
	return ref->words == 3 && (ref->id[2] & REF_CALL) && ref_number(self->procs, ref) == self->number;
}

uint64_t ref_number(const struct cn_procs *procs, const cnode_ref *ref)
{
	if (ref->node != procs->node || ref->creation != procs->creation || ref->words != 3)
		return 0;
	return (uint64_t)(ref->id[2] & 0xfff) << 32 | ref->id[1];
}

cnode_ref cn_procs_make_ref(struct cn_procs *procs)
{
	return ref_make(procs, 0);
}

/* ---- names ---- */

int name_check(const char *name)
{
	if (!name || !*name || !strcmp(name, "undefined") || !cn_atom_valid(name, strlen(name)))
		return CNODE_EBADNAME;
	return 0;
}

static struct name_shard *shard_of_name(struct cn_procs *procs, uint64_t hash)
{
	return &procs->names[hash >> 60];
}

static struct name **name_find(struct name_shard *s, uint64_t hash, const char *text)
{
	struct name **n = &s->buckets[hash & s->mask];
	while (*n && ((*n)->hash != hash || strcmp((*n)->text, text) != 0))
		n = &(*n)->next;
	return n;
}

static void names_grow(struct name_shard *s)
{
	uint64_t mask = s->mask * 2 + 1, old_mask = s->mask;
	struct name **old = s->buckets, **buckets = cn_calloc(mask + 1, sizeof *buckets);
	if (!buckets)
		return;
	s->buckets = buckets;
	s->mask = mask;
	for (uint64_t i = 0; i <= old_mask; i++)
		for (struct name *n = old[i], *next; n; n = next) {
			next = n->next;
			n->next = buckets[n->hash & mask];
			buckets[n->hash & mask] = n;
		}
	cn_free(old);
}

int name_add(struct cnode_process *p, const char *text)
{
	if (name_check(text) != 0)
		return CNODE_EBADNAME;
	if (p->name)
		return CNODE_EEXIST;
	size_t size = strlen(text);
	struct name *n = cn_malloc(sizeof *n + size + 1);
	if (!n)
		return CNODE_ENOMEM;
	n->process = p;
	n->hash = hash_text(p->procs, text, size);
	memcpy(n->text, text, size + 1);

	struct name_shard *s = shard_of_name(p->procs, n->hash);
	cn_mutex_lock(&s->lock);
	if (*name_find(s, n->hash, text)) {
		cn_mutex_unlock(&s->lock);
		cn_free(n);
		return CNODE_ENAMETAKEN;
	}
	if (++s->count > s->mask)
		names_grow(s);
	n->next = s->buckets[n->hash & s->mask];
	s->buckets[n->hash & s->mask] = n;
	cn_mutex_unlock(&s->lock);
	p->name = n;
	return 0;
}

void name_remove(struct cnode_process *p)
{
	struct name *n = p->name;
	if (!n)
		return;
	struct name_shard *s = shard_of_name(p->procs, n->hash);
	cn_mutex_lock(&s->lock);
	struct name **at = &s->buckets[n->hash & s->mask];
	while (*at != n)
		at = &(*at)->next;
	*at = n->next;
	s->count--;
	cn_mutex_unlock(&s->lock);
	p->name = NULL;
	cn_free(n);
}

struct cnode_process *process_find_name(struct cn_procs *procs, const char *text)
{
	uint64_t hash = hash_text(procs, text, strlen(text));
	struct name_shard *s = shard_of_name(procs, hash);
	struct cnode_process *p = NULL;
	cn_mutex_lock(&s->lock);
	struct name *n = *name_find(s, hash, text);
	if (n) {
		p = n->process;
		process_ref(p);
	}
	cn_mutex_unlock(&s->lock);
	return p;
}

/* ---- making and freeing ---- */

#define FIRST_BUCKETS 16

/*
 * Where a debugger begins to look for processes, also in a core file (cnode-gdb.py). Nothing
 * in the program reads it.
 */
struct cn_procs *cn_procs_all;
static struct cn_mutex all_lock = { PTHREAD_MUTEX_INITIALIZER };

static void list_add(struct cn_procs *n)
{
	cn_mutex_lock(&all_lock);
	n->next = cn_procs_all;
	cn_procs_all = n;
	cn_mutex_unlock(&all_lock);
}

static void list_remove(struct cn_procs *n)
{
	cn_mutex_lock(&all_lock);
	struct cn_procs **at = &cn_procs_all;
	while (*at && *at != n)
		at = &(*at)->next;
	if (*at)
		*at = n->next;
	cn_mutex_unlock(&all_lock);
}

int cn_procs_new(const struct cn_procs_config *config, const struct cn_procs_ops *ops, void *ctx,
		 struct cn_procs **procs)
{
	struct cn_procs *n = cn_calloc(1, sizeof *n);
	if (!n)
		return CNODE_ENOMEM;
	n->ops = ops;
	n->ctx = ctx;
	n->node = config->node;
	n->creation = config->creation;
	n->wide_ids = config->wide_ids;
	n->max_processes = config->max_processes ? config->max_processes : CN_MAX_PROCESSES;
	n->max_mailbox = config->max_mailbox ? config->max_mailbox : CN_MAX_MAILBOX;
	n->log = config->log;
	n->handle = config->handle;
	n->seed = cn_hash_of("procs", 5);      /* secret, as the key of that hash is */
	atomic_init(&n->next_number, 1);
	atomic_init(&n->first_ns, UINT64_MAX);
	atomic_init(&n->next_ref, 1);
	bool full = true;
	for (size_t i = 0; i < PID_SHARDS; i++) {
		cn_mutex_init(&n->pids[i].lock);
		n->pids[i].mask = FIRST_BUCKETS - 1;
		n->pids[i].buckets = cn_calloc(FIRST_BUCKETS, sizeof *n->pids[i].buckets);
		full = full && n->pids[i].buckets;
	}
	for (size_t i = 0; i < NAME_SHARDS; i++) {
		cn_mutex_init(&n->names[i].lock);
		n->names[i].mask = FIRST_BUCKETS - 1;
		n->names[i].buckets = cn_calloc(FIRST_BUCKETS, sizeof *n->names[i].buckets);
		full = full && n->names[i].buckets;
	}
	for (size_t i = 0; i < PEER_SHARDS; i++)
		cn_mutex_init(&n->peers[i].lock);
	cn_mutex_init(&n->prompt.lock);
	cn_mutex_init(&n->normal.lock);
	cn_mutex_init(&n->dying.lock);
	cn_mutex_init(&n->timers_lock);
	cn_mutex_init(&n->nodes_lock);
	if (!full) {
		cn_procs_free(n);
		return CNODE_ENOMEM;
	}
	list_add(n);
	*procs = n;
	return 0;
}

static void free_process(struct cnode_process *p)
{
	if (p->class->fini)
		p->class->fini(p, p->memory, p->ran_init ? NULL : p->arg);
	mailbox_fold(p);
	for (struct cn_message *m = p->mailbox.first, *next; m; m = next) {
		next = m->next;
		message_drop(m);
	}
	cn_free(p->name);
	struct cn_procs *procs = p->procs;
	if (procs->ops->gone)
		procs->ops->gone(procs->ctx, p->pid, p->origin);
	atomic_store(&p->refs, 1);
	process_unref(p);
}

/* Those that are dead are in no table: their remains hang on a queue. */
static void free_queue(struct runq *q)
{
	for (struct cnode_process *p = q->first, *next; p; p = next) {
		next = p->run_next;
		if (is_dead(p))
			free_process(p);
	}
}

void cn_procs_free(struct cn_procs *procs)
{
	if (!procs)
		return;
	list_remove(procs);
	for (struct cnode_process *p = procs->dying.first, *next; p; p = next) {
		next = p->dead_next;
		process_unref(p);
	}
	free_queue(&procs->prompt);
	free_queue(&procs->normal);
	for (size_t i = 0; i < PID_SHARDS; i++) {
		struct pid_shard *s = &procs->pids[i];
		for (uint64_t b = 0; s->buckets && b <= s->mask; b++)
			for (struct cnode_process *p = s->buckets[b], *next; p; p = next) {
				next = p->next;
				free_process(p);
			}
		cn_free(s->buckets);
		cn_mutex_fini(&s->lock);
	}
	for (size_t i = 0; i < NAME_SHARDS; i++) {
		cn_free(procs->names[i].buckets);
		cn_mutex_fini(&procs->names[i].lock);
	}
	for (size_t i = 0; i < PEER_SHARDS; i++) {
		for (size_t b = 0; b < PEER_BUCKETS; b++)
			for (struct peer *q = procs->peers[i].buckets[b], *next; q; q = next) {
				next = q->next;
				peer_free(q);
			}
		cn_mutex_fini(&procs->peers[i].lock);
	}
	cn_mutex_fini(&procs->prompt.lock);
	cn_mutex_fini(&procs->normal.lock);
	cn_mutex_fini(&procs->dying.lock);
	cn_mutex_fini(&procs->timers_lock);
	cn_mutex_fini(&procs->nodes_lock);
	cn_free(procs);
}

void cn_procs_rename(struct cn_procs *procs, cnode_name node, uint32_t creation)
{
	procs->node = node;
	procs->creation = creation;
}

void cn_procs_close(struct cn_procs *procs)
{
	atomic_store(&procs->closed, true);
}

cnode_name cn_procs_node(const struct cn_procs *procs)
{
	return procs->node;
}

uint32_t cn_procs_creation(const struct cn_procs *procs)
{
	return procs->creation;
}

bool cn_procs_has_alias(struct cn_procs *procs, cnode_name node)
{
	return node == procs->node || procs->ops->has_alias(procs->ctx, node);
}

uint32_t cn_procs_limit(const struct cn_procs *procs)
{
	return procs->max_processes;
}

uint32_t cn_procs_count_prompt(const struct cn_procs *procs)
{
	return atomic_load(&procs->prompt_count);
}

uint32_t cn_procs_count_spawned(const struct cn_procs *procs)
{
	return atomic_load(&procs->spawned);
}

uint32_t cn_procs_count(const struct cn_procs *procs)
{
	return atomic_load(&procs->count);
}

cnode_pid cn_procs_root(const struct cn_procs *procs)
{
	cnode_pid pid = { .node = procs->node, .creation = procs->creation };
	return pid;
}

/* ---- atoms that this room says ---- */

#define ATOM(name, size, ...) \
	cnode_term atom_##name(void); \
	cnode_term atom_##name(void) \
	{ \
		static const uint8_t bytes[] = { CN_SMALL_ATOM_UTF8, size, __VA_ARGS__ }; \
		return cn_term_static(bytes, sizeof bytes); \
	}
ATOM(noproc, 6, 'n', 'o', 'p', 'r', 'o', 'c')
ATOM(noconnection, 12, 'n', 'o', 'c', 'o', 'n', 'n', 'e', 'c', 't', 'i', 'o', 'n')
ATOM(killed, 6, 'k', 'i', 'l', 'l', 'e', 'd')
ATOM(normal, 6, 'n', 'o', 'r', 'm', 'a', 'l')
ATOM(overflow, 16, 'm', 'a', 'i', 'l', 'b', 'o', 'x', '_', 'o', 'v', 'e', 'r', 'f', 'l', 'o', 'w')
ATOM(timeout, 7, 't', 'i', 'm', 'e', 'o', 'u', 't')
ATOM(enomem, 6, 'e', 'n', 'o', 'm', 'e', 'm')

cnode_term reason_keep(cnode_term reason)
{
	cnode_term kept;
	return cnode_term_keep(reason, &kept) == 0 ? kept : atom_enomem();
}

int atom_of_code(int code, cnode_term *term)
{
	return cnode_format(term, "~a", cnode_error_atom(code));
}
