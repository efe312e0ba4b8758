/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an epmd knows: live names in a hash table, and a ring of the names that went away
 * last, with the creation each had. Follows: node_reg2, node_unreg in epmd_srv.c.
 */
#include "cnode/wire/wire.h"

#define BUCKETS 256u

struct entry {
	struct entry *next;                 /* in its bucket */
	struct entry *older, *newer;        /* among the gone ones */
	struct cn_epmd_node node;           /* its texts point behind the struct */
	uint32_t creation;
	uint32_t hash;
	bool live;
};

struct cn_epmd_registry {
	struct entry *bucket[BUCKETS];      /* live and gone */
	struct entry *oldest, *newest;      /* gone ones */
	size_t live, gone;
	uint32_t next_creation;             /* of a name that was never seen */
};

/* FNV-1a. Names come from nodes of this host only, so nobody gains by making them collide. */
static uint32_t hash_of(const void *name, size_t size)
{
	uint32_t h = 2166136261u;
	for (size_t i = 0; i < size; i++)
		h = (h ^ ((const uint8_t *)name)[i]) * 16777619u;
	return h;
}

static struct entry *find(const struct cn_epmd_registry *r, const void *name, size_t size)
{
	uint32_t hash = hash_of(name, size);
	struct entry *e = r->bucket[hash % BUCKETS];
	while (e && !(e->hash == hash && e->node.name_size == size && memcmp(e->node.name, name, size) == 0))
		e = e->next;
	return e;
}

static void bucket_remove(struct cn_epmd_registry *r, struct entry *e)
{
	struct entry **p = &r->bucket[e->hash % BUCKETS];
	while (*p != e)
		p = &(*p)->next;
	*p = e->next;
}

static void gone_remove(struct cn_epmd_registry *r, struct entry *e)
{
	*(e->older ? &e->older->newer : &r->oldest) = e->newer;
	*(e->newer ? &e->newer->older : &r->newest) = e->older;
	e->older = e->newer = NULL;
	r->gone--;
}

static void gone_add(struct cn_epmd_registry *r, struct entry *e)
{
	e->older = r->newest;
	*(r->newest ? &r->newest->newer : &r->oldest) = e;
	r->newest = e;
	if (++r->gone <= CN_EPMD_OLD_ENTRIES)
		return;
	struct entry *first = r->oldest;
	gone_remove(r, first);
	bucket_remove(r, first);
	cn_free(first);
}

/* 0 to 3 are what old nodes could have. */
static uint32_t usable(uint32_t creation)
{
	return creation < 4 ? 4 : creation;
}

struct cn_epmd_registry *cn_epmd_registry_new(uint32_t seed)
{
	struct cn_epmd_registry *r = cn_calloc(1, sizeof *r);
	if (r)
		r->next_creation = usable(seed);
	return r;
}

void cn_epmd_registry_free(struct cn_epmd_registry *r)
{
	if (!r)
		return;
	for (unsigned i = 0; i < BUCKETS; i++)
		for (struct entry *e = r->bucket[i], *next; e; e = next) {
			next = e->next;
			cn_free(e);
		}
	cn_free(r);
}

int cn_epmd_registry_add(struct cn_epmd_registry *r, const struct cn_epmd_node *node, uint32_t *creation)
{
	if (!cn_epmd_name_valid(node->name, node->name_size))
		return CNODE_EBADNAME;
	struct entry *old = find(r, node->name, node->name_size);
	if (old && old->live)
		return CNODE_ENAMETAKEN;

	struct entry *e = cn_calloc(1, sizeof *e + node->name_size + node->extra_size);
	if (!e)
		return CNODE_ENOMEM;
	char *text = (char *)(e + 1);
	memcpy(text, node->name, node->name_size);
	if (node->extra_size)
		memcpy(text + node->name_size, node->extra, node->extra_size);
	e->node = *node;
	e->node.name = text;
	e->node.extra = (uint8_t *)text + node->name_size;
	e->hash = hash_of(node->name, node->name_size);
	e->live = true;
	if (old) {
		e->creation = usable(old->creation + 1);
		gone_remove(r, old);
		bucket_remove(r, old);
		cn_free(old);
	} else {
		e->creation = r->next_creation;
		r->next_creation = usable(r->next_creation + 1);
	}
	e->next = r->bucket[e->hash % BUCKETS];
	r->bucket[e->hash % BUCKETS] = e;
	r->live++;
	*creation = e->creation;
	return 0;
}

bool cn_epmd_registry_remove(struct cn_epmd_registry *r, const void *name, size_t size)
{
	struct entry *e = find(r, name, size);
	if (!e || !e->live)
		return false;
	e->live = false;
	r->live--;
	gone_add(r, e);
	return true;
}

const struct cn_epmd_node *cn_epmd_registry_find(const struct cn_epmd_registry *r, const void *name, size_t size)
{
	struct entry *e = find(r, name, size);
	return e && e->live ? &e->node : NULL;
}

size_t cn_epmd_registry_count(const struct cn_epmd_registry *r)
{
	return r->live;
}

int cn_epmd_put_names_reply(struct cn_buf *out, const struct cn_epmd_registry *r, uint16_t epmd_port)
{
	cn_put_u32(out, epmd_port);
	for (unsigned i = 0; i < BUCKETS; i++)
		for (const struct entry *e = r->bucket[i]; e; e = e->next)
			if (e->live)
				cn_put_text(out, "name %.*s at port %u\n", (int)e->node.name_size, e->node.name,
					    (unsigned)e->node.port);
	return out->err;
}
