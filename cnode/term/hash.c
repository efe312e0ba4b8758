/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hash that equal terms share, in whatever form they were sent: small integers and bignums of
 * the same value, atoms in any encoding, lists as STRING_EXT or in parts, maps in any order,
 * identifiers in old and new forms. Tables that peers can fill seed it, so that none of them can
 * choose terms that meet in one bucket.
 */
#include "cnode/term/walk.h"

#define SEED UINT64_C(0x9e3779b97f4a7c15)

static uint64_t mix(uint64_t h, uint64_t v)
{
	h ^= v;
	h *= UINT64_C(0xff51afd7ed558ccd);
	return h ^ h >> 32;
}

static uint64_t mix_bytes(uint64_t h, const uint8_t *p, size_t size)
{
	h = mix(h, size);
	for (; size >= 8; size -= 8, p += 8) {
		uint64_t word;
		memcpy(&word, p, 8);
		h = mix(h, word);
	}
	uint64_t rest = 0;
	if (size > 0)
		memcpy(&rest, p, size);
	return mix(h, rest);
}

static uint64_t mix_atom(uint64_t h, const uint8_t *p, const struct cn_atoms *atoms)
{
	uint8_t room[CN_LATIN1_ROOM];
	size_t size;
	const uint8_t *text = cn_atom_at(p, atoms, room, &size);
	return mix_bytes(h, text, size);
}

static uint64_t mix_integer(uint64_t h, const uint8_t *p)
{
	struct cn_int i = cn_int_at(p);
	h = mix(h, i.negative);
	return i.big ? mix_bytes(h, i.digits, i.size) : mix(h, i.magnitude);
}

static uint64_t mix_id(uint64_t h, const uint8_t *p, const struct cn_atoms *atoms)
{
	struct cn_id id = cn_id_at(p);
	h = mix_atom(h, id.node, atoms);
	h = mix(h, id.creation);
	h = mix(h, id.port);
	for (size_t i = 0; i < CN_ARRAY_SIZE(id.id); i++)
		h = mix(h, id.id[i]);
	return h;
}

/* Mixes the term at p in; returns where it ends, so that each byte is looked at once however deep it lies. */
static const uint8_t *mix_term(uint64_t *h, const uint8_t *p, const struct cn_atoms *atoms);

static const uint8_t *mix_list(uint64_t *h, const uint8_t *p, const struct cn_atoms *atoms)
{
	struct cn_list l;
	const uint8_t *item;
	cn_list_init(&l, p);
	while ((item = cn_list_peek(&l)))
		cn_list_pass(&l, mix_term(h, item, atoms));
	if (!l.string)
		return mix_term(h, l.at, atoms);
	mix_term(h, cn_nil_term(), atoms);
	return l.at;
}

/* Equal maps may have their keys in any order: the sum of the pairs' own hashes. */
static const uint8_t *mix_map(uint64_t *h, const uint8_t *p, const struct cn_atoms *atoms)
{
	const uint64_t seed = *h;
	uint64_t sum = 0;
	uint32_t count = cn_load_u32(p + 1);
	p += 5;
	for (uint32_t i = 0; i < count; i++) {
		uint64_t pair = seed;
		p = mix_term(&pair, p, atoms);
		p = mix_term(&pair, p, atoms);
		sum += pair;
	}
	*h = mix(mix(*h, count), sum);
	return p;
}

/* What makes two local funs equal: module, index, old uniq, number of free variables, then these. */
static const uint8_t *mix_fun(uint64_t *h, const uint8_t *p, const struct cn_atoms *atoms)
{
	uint32_t terms = 3;
	if (*p == CN_NEW_FUN) {
		terms = cn_load_u32(p + 26);
		*h = mix(mix(*h, cn_load_u32(p + 22)), terms);
		p = mix_term(h, p + 30, atoms);         /* the module */
		p = cn_skip(p);                         /* the old index is the index */
		p = mix_term(h, p, atoms);              /* the old uniq */
		p = cn_skip(p);                         /* who made it does not count */
	} else {
		p++;
	}
	for (; terms; terms--)
		p = mix_term(h, p, atoms);
	return p;
}

static uint64_t mix_bits(uint64_t h, const uint8_t *p)
{
	struct cn_bits bits = cn_bits_at(p);
	if (bits.last == 8 || bits.size == 0)
		return mix_bytes(h, bits.bytes, bits.size);
	h = mix_bytes(h, bits.bytes, bits.size - 1);
	return mix(h, bits.bytes[bits.size - 1] >> (8 - bits.last));
}

static uint64_t mix_float(uint64_t h, const uint8_t *p)
{
	double number = cn_float_at(p);
	uint64_t word;
	memcpy(&word, &number, sizeof word);
	return mix(h, word);
}

static const uint8_t *mix_term(uint64_t *h, const uint8_t *p, const struct cn_atoms *atoms)
{
	p = cn_real(p);
	struct cn_head head = cn_head_at(p);
	*h = mix(*h, (uint64_t)head.type);
	switch (head.type) {
	case CNODE_TYPE_INTEGER:
		*h = mix_integer(*h, p);
		break;
	case CNODE_TYPE_FLOAT:
		*h = mix_float(*h, p);
		break;
	case CNODE_TYPE_ATOM:
		*h = mix_atom(*h, p, atoms);
		break;
	case CNODE_TYPE_REF:
	case CNODE_TYPE_PORT:
	case CNODE_TYPE_PID:
		*h = mix_id(*h, p, atoms);
		break;
	case CNODE_TYPE_BINARY:
	case CNODE_TYPE_BITSTRING:
		*h = mix_bits(*h, p);
		break;
	case CNODE_TYPE_FUN:
		return mix_fun(h, p, atoms);
	case CNODE_TYPE_LIST:
		return mix_list(h, p, atoms);
	case CNODE_TYPE_MAP:
		return mix_map(h, p, atoms);
	case CNODE_TYPE_TUPLE:
	case CNODE_TYPE_RECORD:
		*h = mix(*h, head.count);
		if (head.type == CNODE_TYPE_RECORD)
			*h = mix(*h, p[5]);             /* whether it is exported */
		p += head.size;
		for (; head.count; head.count--)
			p = mix_term(h, p, atoms);
		return p;
	case CNODE_TYPE_NIL:
	case CNODE_TYPE_NONE:
		break;
	}
	return p + head.size;
}

uint64_t cn_term_hash(cnode_term term, uint64_t seed)
{
	uint64_t h = seed ^ SEED;
	if (!cn_term_is_none(term))
		mix_term(&h, term.bytes_, term.atoms_);
	return h;
}

uint64_t cnode_term_hash(cnode_term term)
{
	return cn_term_hash(term, 0);
}
