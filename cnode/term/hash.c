/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hash that equal terms share, in whatever form they were sent: small integers and bignums of
 * the same value, atoms in any encoding, lists as STRING_EXT or in parts, maps in any order,
 * identifiers in old and new forms. Keyed (base/hash.c), because the terms are others' choice. It
 * recurses by the terms' nesting, which the verifier has limited.
 */
#include "cnode/term/walk.h"

/* The kind of a term, and what says how much belongs to it. */
static void mix_head(struct cn_hash *h, enum cnode_type type, uint64_t count)
{
	cn_hash_word(h, (uint64_t)type | count << 8);
}

static void mix_bytes(struct cn_hash *h, enum cnode_type type, const uint8_t *p, size_t size)
{
	mix_head(h, type, size);
	cn_hash_bytes(h, p, size);
}

static void mix_atom(struct cn_hash *h, const uint8_t *p, const struct cn_atoms *atoms)
{
	uint8_t room[CN_LATIN1_ROOM];
	size_t size;
	const uint8_t *text = cn_atom_at(p, atoms, room, &size);
	mix_bytes(h, CNODE_TYPE_ATOM, text, size);
}

static void mix_integer(struct cn_hash *h, const uint8_t *p)
{
	struct cn_int i = cn_int_at(p);
	mix_head(h, CNODE_TYPE_INTEGER, (uint64_t)i.negative << 1 | i.big);
	if (i.big)
		mix_bytes(h, CNODE_TYPE_INTEGER, i.digits, i.size);
	else
		cn_hash_word(h, i.magnitude);
}

static void mix_id(struct cn_hash *h, enum cnode_type type, const uint8_t *p, const struct cn_atoms *atoms)
{
	struct cn_id id = cn_id_at(p);
	mix_head(h, type, id.creation);
	mix_atom(h, id.node, atoms);
	if (type == CNODE_TYPE_PORT) {
		cn_hash_word(h, id.port);
		return;
	}
	for (size_t i = 0; i + 1 < CN_ARRAY_SIZE(id.id); i += 2)
		cn_hash_word(h, (uint64_t)id.id[i] << 32 | id.id[i + 1]);
	cn_hash_word(h, id.id[CN_ARRAY_SIZE(id.id) - 1]);
}

/* Mixes the term at p in; returns where it ends, so that each byte is looked at once however deep it lies. */
static const uint8_t *mix_term(struct cn_hash *h, const uint8_t *p, const struct cn_atoms *atoms);

static const uint8_t *mix_list(struct cn_hash *h, const uint8_t *p, const struct cn_atoms *atoms)
{
	struct cn_list l;
	const uint8_t *item;
	mix_head(h, CNODE_TYPE_LIST, 0);
	cn_list_init(&l, p);
	while ((item = cn_list_peek(&l)))
		cn_list_pass(&l, mix_term(h, item, atoms));
	if (!l.string)
		return mix_term(h, l.at, atoms);
	mix_term(h, cn_nil_term(), atoms);
	return l.at;
}

/* Equal maps may have their keys in any order: the sum of the pairs' own hashes. */
static const uint8_t *mix_map(struct cn_hash *h, const uint8_t *p, const struct cn_atoms *atoms)
{
	uint64_t sum = 0;
	uint32_t count = cn_load_u32(p + 1);
	mix_head(h, CNODE_TYPE_MAP, count);
	p += 5;
	for (uint32_t i = 0; i < count; i++) {
		struct cn_hash pair = *h;
		p = mix_term(&pair, p, atoms);
		p = mix_term(&pair, p, atoms);
		sum += cn_hash_end(&pair);
	}
	cn_hash_word(h, sum);
	return p;
}

/* What makes two local funs equal: module, index, old uniq, number of free variables, then these. */
static const uint8_t *mix_fun(struct cn_hash *h, const uint8_t *p, const struct cn_atoms *atoms)
{
	uint32_t terms = 3;
	if (*p == CN_NEW_FUN) {
		terms = cn_load_u32(p + 26);
		mix_head(h, CNODE_TYPE_FUN, terms);
		cn_hash_word(h, cn_load_u32(p + 22));
		p = mix_term(h, p + 30, atoms);         /* the module */
		p = cn_skip(p);                         /* the old index is the index */
		p = mix_term(h, p, atoms);              /* the old uniq */
		p = cn_skip(p);                         /* who made it does not count */
	} else {
		mix_head(h, CNODE_TYPE_FUN, UINT32_MAX);
		p++;
	}
	for (; terms; terms--)
		p = mix_term(h, p, atoms);
	return p;
}

/* A binary is a bitstring whose last byte is whole. */
static void mix_bits(struct cn_hash *h, const uint8_t *p)
{
	struct cn_bits bits = cn_bits_at(p);
	if (bits.last == 8 || bits.size == 0) {
		mix_bytes(h, CNODE_TYPE_BINARY, bits.bytes, bits.size);
		return;
	}
	mix_bytes(h, CNODE_TYPE_BITSTRING, bits.bytes, bits.size - 1);
	mix_head(h, CNODE_TYPE_BITSTRING, (uint64_t)bits.last << 8 | bits.bytes[bits.size - 1] >> (8 - bits.last));
}

static void mix_float(struct cn_hash *h, const uint8_t *p)
{
	double number = cn_float_at(p);
	uint64_t word;
	memcpy(&word, &number, sizeof word);
	mix_head(h, CNODE_TYPE_FLOAT, 0);
	cn_hash_word(h, word);
}

static const uint8_t *mix_term(struct cn_hash *h, const uint8_t *p, const struct cn_atoms *atoms)
{
	p = cn_real(p);
	struct cn_head head = cn_head_at(p);
	switch (head.type) {
	case CNODE_TYPE_INTEGER:
		mix_integer(h, p);
		break;
	case CNODE_TYPE_FLOAT:
		mix_float(h, p);
		break;
	case CNODE_TYPE_ATOM:
		mix_atom(h, p, atoms);
		break;
	case CNODE_TYPE_REF:
	case CNODE_TYPE_PORT:
	case CNODE_TYPE_PID:
		mix_id(h, head.type, p, atoms);
		break;
	case CNODE_TYPE_BINARY:
	case CNODE_TYPE_BITSTRING:
		mix_bits(h, p);
		break;
	case CNODE_TYPE_FUN:
		return mix_fun(h, p, atoms);
	case CNODE_TYPE_LIST:
		return mix_list(h, p, atoms);
	case CNODE_TYPE_MAP:
		return mix_map(h, p, atoms);
	case CNODE_TYPE_TUPLE:
	case CNODE_TYPE_RECORD:
		/* Of a record also whether it is exported. */
		mix_head(h, head.type, head.count << 8 | (head.type == CNODE_TYPE_RECORD ? p[5] : 0));
		p += head.size;
		for (; head.count; head.count--)
			p = mix_term(h, p, atoms);
		return p;
	case CNODE_TYPE_NIL:
	case CNODE_TYPE_NONE:
		mix_head(h, CNODE_TYPE_NIL, 0);
		break;
	}
	return p + head.size;
}

uint64_t cnode_term_hash(cnode_term term)
{
	struct cn_hash h;
	cn_hash_init(&h);
	if (!cn_term_is_none(term))
		mix_term(&h, term.bytes_, term.atoms_);
	return cn_hash_end(&h);
}
