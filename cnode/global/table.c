/* SPDX-License-Identifier: Apache-2.0 */
/* A table by terms, compared as =:= does, in whatever form they came. */
#include "cnode/global/inner.h"

#define FIRST 16

int table_init(struct table *t)
{
	t->buckets = cn_calloc(FIRST, sizeof *t->buckets);
	t->mask = FIRST - 1;
	t->count = 0;
	return t->buckets ? 0 : CNODE_ENOMEM;
}

void table_fini(struct table *t)
{
	cn_free(t->buckets);
	t->buckets = NULL;
}

struct item *table_find(const struct table *t, uint64_t hash, cnode_term key)
{
	struct item *i = t->buckets[hash & t->mask];
	while (i && (i->hash != hash || !cnode_term_equal(i->key, key)))
		i = i->next;
	return i;
}

static void grow(struct table *t)
{
	size_t mask = t->mask * 2 + 1;
	struct item **buckets = cn_calloc(mask + 1, sizeof *buckets);
	if (!buckets)
		return;
	for (size_t n = 0; n <= t->mask; n++)
		for (struct item *i = t->buckets[n], *next; i; i = next) {
			next = i->next;
			i->next = buckets[i->hash & mask];
			buckets[i->hash & mask] = i;
		}
	cn_free(t->buckets);
	t->buckets = buckets;
	t->mask = mask;
}

void table_add(struct table *t, struct item *item)
{
	if (t->count++ > t->mask)
		grow(t);
	struct item **bucket = &t->buckets[item->hash & t->mask];
	item->next = *bucket;
	*bucket = item;
}

void table_remove(struct table *t, struct item *item)
{
	struct item **at = &t->buckets[item->hash & t->mask];
	while (*at != item)
		at = &(*at)->next;
	*at = item->next;
	t->count--;
}
