/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The outgoing atom cache. An atom has two slots to choose from; a slot that this packet
 * uses already is not overwritten (a decoder may look up all references after reading the
 * header), so an atom that finds no slot goes inline. Node names are found by number.
 *
 * Follows: erl_ext_dist, "Distribution Header"; erts/emulator/beam/external.c, insert_acache_map.
 */
#include "cnode/wire/encoder.h"

int cn_cache_init(struct cn_cache *c, bool enabled)
{
	c->slots = NULL;
	c->packet = 0;
	c->count = 0;
	c->new_size = 0;
	if (enabled) {
		c->slots = cn_calloc(CN_CACHE_SLOTS, sizeof *c->slots);
		if (!c->slots)
			return CNODE_ENOMEM;
	}
	return 0;
}

void cn_cache_fini(struct cn_cache *c)
{
	for (size_t i = 0; c->slots && i < CN_CACHE_SLOTS; i++)
		cn_free(c->slots[i].text);
	cn_free(c->slots);
	c->slots = NULL;
}

void cn_cache_begin(struct cn_cache *c)
{
	c->count = 0;
	c->new_size = 0;
	if (CN_UNLIKELY(++c->packet == 0)) {
		for (size_t i = 0; c->slots && i < CN_CACHE_SLOTS; i++)
			c->slots[i].packet = 0;
		c->packet = 1;
	}
}

static int use(struct cn_cache *c, size_t i, unsigned is_new)
{
	struct cn_slot *s = &c->slots[i];
	if (s->packet == c->packet)
		return s->ref;
	if (CN_UNLIKELY(c->count == CN_CACHE_REFS))
		return -1;
	s->packet = c->packet;
	s->ref = (uint8_t)c->count;
	c->refs[c->count] = (uint16_t)(i | is_new);
	return (int)c->count++;
}

static int add(struct cn_cache *c, size_t i, uint64_t key, bool is_name, const void *text, size_t size)
{
	/* Of the two, an empty one, then one that this packet does not use. */
	if (c->slots[i].text && (!c->slots[i ^ 1].text || c->slots[i].packet == c->packet))
		i ^= 1;
	struct cn_slot *s = &c->slots[i];
	if ((s->text && s->packet == c->packet) || c->count == CN_CACHE_REFS || size > CN_CACHE_TEXT)
		return -1;
	uint8_t *copy = cn_malloc(size ? size : 1);
	if (!copy)
		return -1;
	memcpy(copy, text, size);
	cn_free(s->text);
	*s = (struct cn_slot){ .key = key, .text = copy, .size = (uint16_t)size, .is_name = is_name };
	c->new_size += 1 + size;
	return use(c, i, CN_CACHE_NEW);
}

static inline size_t slot_of(uint64_t key)
{
	return (size_t)(key * UINT64_C(0x9e3779b97f4a7c15) >> 53);
}

int cn_cache_name(struct cn_cache *c, cnode_name name)
{
	if (!c->slots)
		return -1;
	size_t i = slot_of(name);
	for (size_t k = 0; k < 2; k++) {
		const struct cn_slot *s = &c->slots[i ^ k];
		if (CN_LIKELY(s->key == name && s->is_name && s->text))
			return use(c, i ^ k, 0);
	}
	char text[CNODE_NAME_SIZE];
	int size = cn_name_text(name, text);
	return size < 0 ? -1 : add(c, i, name, true, text, (size_t)size);
}

static inline uint64_t hash_of(const uint8_t *p, size_t size)
{
	uint64_t h = size, w;
	for (; size >= 8; p += 8, size -= 8) {
		memcpy(&w, p, 8);
		h = (h ^ w) * UINT64_C(0xff51afd7ed558ccd);
		h ^= h >> 32;
	}
	for (w = 0; size > 0; size--)
		w = w << 8 | *p++;
	h = (h ^ w) * UINT64_C(0xc4ceb9fe1a85ec53);
	return h ^ h >> 29;
}

int cn_cache_text(struct cn_cache *c, const void *text, size_t size)
{
	if (!c->slots)
		return -1;
	uint64_t key = hash_of(text, size);
	size_t i = slot_of(key);
	for (size_t k = 0; k < 2; k++) {
		const struct cn_slot *s = &c->slots[i ^ k];
		if (s->key == key && !s->is_name && s->text && s->size == size && memcmp(s->text, text, size) == 0)
			return use(c, i ^ k, 0);
	}
	return add(c, i, key, false, text, size);
}

void cn_cache_abort(struct cn_cache *c)
{
	for (unsigned i = 0; i < c->count; i++) {
		if (!(c->refs[i] & CN_CACHE_NEW))
			continue;
		struct cn_slot *s = &c->slots[c->refs[i] & (CN_CACHE_SLOTS - 1)];
		cn_free(s->text);
		*s = (struct cn_slot){ 0 };
	}
	c->count = 0;
	c->new_size = 0;
}

uint8_t *cn_cache_header(const struct cn_cache *c, uint8_t *p)
{
	*p++ = (uint8_t)c->count;
	if (c->count == 0)
		return p;
	uint8_t *flags = p;
	/* Half a byte per reference and one for LongAtoms, which is never set. */
	memset(flags, 0, c->count / 2 + 1);
	p += c->count / 2 + 1;
	for (unsigned i = 0; i < c->count; i++) {
		size_t slot = c->refs[i] & (CN_CACHE_SLOTS - 1);
		unsigned bits = (unsigned)(slot >> 8) | (c->refs[i] & CN_CACHE_NEW ? 8u : 0u);
		if (CN_MUTANT(cache_segment_lost))
			bits &= 8u;
		flags[i / 2] |= (uint8_t)(i & 1 ? bits << 4 : bits);
		*p++ = (uint8_t)(slot + (CN_MUTANT(cache_slot_off_by_one) && !(bits & 8u)));
		if (c->refs[i] & CN_CACHE_NEW) {
			const struct cn_slot *s = &c->slots[slot];
			*p++ = (uint8_t)s->size;
			memcpy(p, s->text, s->size);
			p += s->size;
		}
	}
	return p;
}
