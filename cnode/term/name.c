/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of node names: text to number and back, for the whole program, so that a pid is
 * a plain value. A name's shard is given by its hash; each shard has its own mutex and at
 * most SHARD_ROOM names. When it is full, a name that is not pinned and was not used since
 * the last round gives way; its number is never given again (the generation is part of it).
 *
 * Entries are never freed, so that a thread may look at an entry's generation without the
 * mutex: each thread remembers a few names it has seen last, and asks the table only for others.
 */
#include "cnode/term/walk.h"

#define SHARD_BITS 4
#define SHARDS (1u << SHARD_BITS)
#define SHARD_ROOM 4096u               /* names: 16 × 4,096 = 65,536 */
#define CHUNK 64u                      /* entries that are allocated together */
#define BUCKETS 1024u

struct entry {
	_Atomic uint64_t name;         /* its number; 0: the entry is free */
	_Atomic uint8_t used;          /* since the eviction hand passed */
	uint32_t hash;
	uint32_t pins;
	uint32_t next;                 /* in its bucket: 1 + slot; 0: the last */
	uint16_t size;
	char *text;
};

struct shard {
	struct cn_mutex lock;
	uint32_t count;                /* slots in use, the first ones */
	uint32_t hand;                 /* where the search for a victim goes on */
	uint64_t generation;           /* of the name made last */
	uint32_t bucket[BUCKETS];      /* 1 + slot of the first */
	struct entry *_Atomic chunk[SHARD_ROOM / CHUNK];
};

#define SHARD_INIT { .lock = { PTHREAD_MUTEX_INITIALIZER } }
static struct shard shards[SHARDS] = {
	SHARD_INIT, SHARD_INIT, SHARD_INIT, SHARD_INIT, SHARD_INIT, SHARD_INIT,
	SHARD_INIT, SHARD_INIT, SHARD_INIT, SHARD_INIT, SHARD_INIT, SHARD_INIT,
	SHARD_INIT, SHARD_INIT, SHARD_INIT, SHARD_INIT,
};

/* number = generation (48 bits, from 1) | slot (12) | shard (4) */
static inline struct shard *shard_of(cnode_name name)
{
	return &shards[name & (SHARDS - 1)];
}

/* NULL if there was never such a name. Any thread. */
static inline struct entry *entry_of(cnode_name name)
{
	uint32_t slot = (uint32_t)(name >> SHARD_BITS) % SHARD_ROOM;
	struct entry *chunk = atomic_load_explicit(&shard_of(name)->chunk[slot / CHUNK],
						   memory_order_acquire);
	return chunk ? &chunk[slot % CHUNK] : NULL;
}

static inline bool is_current(struct entry *e, cnode_name name)
{
	return e && name && atomic_load_explicit(&e->name, memory_order_acquire) == name;
}

static inline void touch(struct entry *e)
{
	if (!atomic_load_explicit(&e->used, memory_order_relaxed))
		atomic_store_explicit(&e->used, 1, memory_order_relaxed);
}

/* ---- what this thread has seen last ---- */

#define SEEN 8u
#define SEEN_SIZE 63u
struct seen {
	cnode_name name;
	uint8_t size;
	char text[SEEN_SIZE];
};
static _Thread_local struct seen seen_last[SEEN];

static inline struct seen *seen_slot(const uint8_t *text, size_t size)
{
	/*
	 * Node names of a cluster differ in front and have their host behind; cheap beats good
	 * here.
	 */
	return &seen_last[(size + text[0] + 3u * text[size / 4] + 5u * text[size / 2] +
			   text[size - 1]) %
			  SEEN];
}

/* The other way, by number: what cn_name_text gave last. */
static _Thread_local struct seen said_last[SEEN];

static inline struct seen *said_slot(cnode_name name)
{
	return &said_last[(name >> SHARD_BITS ^ name) % SEEN];
}

/* ---- the table ---- */

static bool is_node_name(const uint8_t *text, size_t size)
{
	const uint8_t *at = size ? memchr(text, '@', size) : NULL;
	if (!at || at == text || at == text + size - 1 ||
	    memchr(at + 1, '@', (size_t)(text + size - at - 1)))
		return false;
	return cn_atom_valid(text, size) && !memchr(text, 0, size);
}

static struct entry *entry_at(struct shard *s, uint32_t slot)
{
	return &atomic_load_explicit(&s->chunk[slot / CHUNK], memory_order_relaxed)[slot % CHUNK];
}

/* The following run under the shard's lock. */

static struct entry *find(struct shard *s, uint32_t hash, const uint8_t *text, size_t size)
{
	for (uint32_t i = s->bucket[hash / SHARDS % BUCKETS]; i;) {
		struct entry *e = entry_at(s, i - 1);
		if (e->hash == hash && e->size == size && memcmp(e->text, text, size) == 0)
			return e;
		i = e->next;
	}
	return NULL;
}

static void forget(struct shard *s, uint32_t slot)
{
	struct entry *e = entry_at(s, slot);
	uint32_t *link = &s->bucket[e->hash / SHARDS % BUCKETS];
	while (*link != slot + 1)
		link = &entry_at(s, *link - 1)->next;
	*link = e->next;
	atomic_store_explicit(&e->name, 0, memory_order_release);
	cn_free(e->text);
	e->text = NULL;
}

/* A slot that is free; CNODE_ENOMEM, or CNODE_ESYSLIMIT when every name is pinned. */
static int take_slot(struct shard *s, uint32_t *slot)
{
	if (s->count < SHARD_ROOM) {
		if (s->count % CHUNK == 0) {
			struct entry *chunk = cn_calloc(CHUNK, sizeof *chunk);
			if (!chunk)
				return CNODE_ENOMEM;
			atomic_store_explicit(&s->chunk[s->count / CHUNK], chunk,
					      memory_order_release);
		}
		*slot = s->count++;
		return 0;
	}
	for (uint32_t tries = 0; tries < 2 * SHARD_ROOM; tries++) {
		uint32_t at = s->hand;
		struct entry *e = entry_at(s, at);
		s->hand = (s->hand + 1) % SHARD_ROOM;
		if (e->pins)
			continue;
		if (atomic_load_explicit(&e->name, memory_order_relaxed) == 0) {
			*slot = at;
			return 0;
		}
		if (atomic_exchange_explicit(&e->used, 0, memory_order_relaxed))
			continue;
		forget(s, at);
		*slot = at;
		return 0;
	}
	return CNODE_ESYSLIMIT;
}

static int add(struct shard *s, uint32_t hash, const uint8_t *text, size_t size,
	       struct entry **entry)
{
	char *copy = cn_strndup((const char *)text, size);
	if (!copy)
		return CNODE_ENOMEM;
	uint32_t slot;
	int rc = take_slot(s, &slot);
	if (rc) {
		cn_free(copy);
		return rc;
	}
	struct entry *e = entry_at(s, slot);
	uint32_t *first = &s->bucket[hash / SHARDS % BUCKETS];
	e->hash = hash;
	e->pins = 0;
	e->size = (uint16_t)size;
	e->text = copy;
	e->next = *first;
	*first = slot + 1;
	atomic_store_explicit(&e->name, ++s->generation << 16 | slot << SHARD_BITS | hash % SHARDS,
			      memory_order_release);
	*entry = e;
	return 0;
}

int cn_name_of(const void *text, size_t size, cnode_name *name)
{
	const uint8_t *t = text;
	struct seen *seen = NULL;
	if (CN_LIKELY(size - 1 < SEEN_SIZE)) {
		seen = seen_slot(t, size);
		if (CN_LIKELY(seen->size == size && memcmp(seen->text, t, size) == 0)) {
			struct entry *e = entry_of(seen->name);
			if (CN_LIKELY(is_current(e, seen->name))) {
				touch(e);
				*name = seen->name;
				return 0;
			}
		}
	}
	if (!is_node_name(t, size))
		return CNODE_EBADNAME;

	uint32_t hash = (uint32_t)cn_hash_of(t, size);    /* keyed: peers choose names */
	struct shard *s = &shards[hash % SHARDS];
	int rc = 0;
	cn_mutex_lock(&s->lock);
	struct entry *e = find(s, hash, t, size);
	if (!e)
		rc = add(s, hash, t, size, &e);
	if (rc == 0) {
		touch(e);
		*name = atomic_load_explicit(&e->name, memory_order_relaxed);
	}
	cn_mutex_unlock(&s->lock);
	if (rc == 0 && seen) {
		seen->name = *name;
		seen->size = (uint8_t)size;
		memcpy(seen->text, t, size);
	}
	return rc;
}

int cnode_name_of(const char *text, cnode_name *name)
{
	return text && name ? cn_name_of(text, strlen(text), name) : CNODE_EBADARG;
}

int cn_name_text(cnode_name name, char text[CNODE_NAME_SIZE])
{
	int size = CNODE_ESTALE;
	struct shard *s = shard_of(name);
	struct seen *said = said_slot(name);
	text[0] = 0;
	struct entry *e = entry_of(name);
	if (!is_current(e, name))
		return CNODE_ESTALE;
	if (CN_LIKELY(said->name == name)) {
		touch(e);
		memcpy(text, said->text, said->size);
		text[said->size] = 0;
		return said->size;
	}
	cn_mutex_lock(&s->lock);
	if (is_current(e, name)) {
		memcpy(text, e->text, e->size + 1u);
		size = e->size;
		touch(e);
		if (e->size <= SEEN_SIZE) {
			said->name = name;
			said->size = (uint8_t)e->size;
			memcpy(said->text, e->text, e->size);
		}
	}
	cn_mutex_unlock(&s->lock);
	return size;
}

int cnode_name_text(cnode_name name, char text[CNODE_NAME_SIZE])
{
	int size = cn_name_text(name, text);
	return size < 0 ? size : 0;
}

int cn_name_pin(cnode_name name)
{
	int rc = CNODE_ESTALE;
	struct shard *s = shard_of(name);
	cn_mutex_lock(&s->lock);
	struct entry *e = entry_of(name);
	if (is_current(e, name)) {
		e->pins++;
		rc = 0;
	}
	cn_mutex_unlock(&s->lock);
	return rc;
}

void cn_name_unpin(cnode_name name)
{
	struct shard *s = shard_of(name);
	cn_mutex_lock(&s->lock);
	struct entry *e = entry_of(name);
	if (is_current(e, name) && e->pins)
		e->pins--;
	cn_mutex_unlock(&s->lock);
}
