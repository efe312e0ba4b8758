/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A number for a term, for tables with terms as keys: terms that are =:= have the same one,
 * however they were sent (small and big forms of integers, strings and lists, Latin-1 and
 * UTF-8, cache references, old and new identifiers). It is seeded, so that no peer can choose
 * terms that meet in one bucket, and means nothing outside of this process.
 */
#include "cnode/term/walk.h"

/* Deeper terms are told apart by what is above: the stack stays small whatever a peer sends. */
#define DEPTH 128

static uint64_t mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * UINT64_C(0x9e3779b97f4a7c15);
	return h ^ h >> 29;
}

static uint64_t mix_bytes(uint64_t h, const uint8_t *p, size_t size)
{
	for (; size >= 8; p += 8, size -= 8) {
		uint64_t v;
		memcpy(&v, p, sizeof v);
		h = mix(h, v);
	}
	uint64_t rest = size;
	while (size > 0)
		rest = rest << 8 | p[--size];
	return mix(h, rest);
}

static uint64_t hash_atom(uint64_t h, const uint8_t *p, const struct cn_atoms *atoms)
{
	uint8_t room[CN_LATIN1_ROOM];
	size_t size;
	const uint8_t *text = cn_atom_at(p, atoms, room, &size);
	return mix_bytes(h, text, size);
}

static uint64_t hash_id(uint64_t h, const uint8_t *p, const struct cn_atoms *atoms)
{
	struct cn_id id = cn_id_at(p);
	h = hash_atom(mix(h, id.creation), id.node, atoms);
	for (size_t i = 0; i < CN_ARRAY_SIZE(id.id); i++)
		h = mix(h, id.id[i]);
	return mix(h, id.port);
}

static uint64_t hash_integer(uint64_t h, const uint8_t *p)
{
	struct cn_int i = cn_int_at(p);
	h = mix(h, i.negative);
	return i.big ? mix_bytes(h, i.digits, i.size) : mix(h, i.magnitude);
}

static uint64_t hash_float(uint64_t h, const uint8_t *p)
{
	double d = cn_float_at(p);
	uint64_t bits = 0;
	if (d != 0)                     /* 0.0 and -0.0 are equal keys to a peer before OTP 27 */
		memcpy(&bits, &d, sizeof bits);
	return mix(h, bits);
}

static uint64_t hash_bits(uint64_t h, const uint8_t *p)
{
	struct cn_bits b = cn_bits_at(p);
	if (b.last == 8 || b.size == 0)
		return mix_bytes(h, b.bytes, b.size);
	h = mix_bytes(h, b.bytes, b.size - 1);
	return mix(mix(h, b.last), b.bytes[b.size - 1] >> (8 - b.last));
}

static uint64_t hash_at(uint64_t h, const uint8_t *p, const struct cn_atoms *atoms, unsigned depth);

static uint64_t hash_list(uint64_t h, const uint8_t *p, const struct cn_atoms *atoms, unsigned depth)
{
	struct cn_list list;
	const uint8_t *item;
	cn_list_init(&list, p);
	while ((item = cn_list_next(&list)))
		h = hash_at(h, item, atoms, depth);
	return hash_at(h, list.at, atoms, depth);
}

/* The pairs may come in any order. */
static uint64_t hash_map(uint64_t h, const uint8_t *p, const struct cn_atoms *atoms, unsigned depth)
{
	uint64_t pairs = cn_head_at(p).count / 2, sum = 0;
	p += cn_head_at(p).size;
	for (uint64_t i = 0; i < pairs; i++) {
		uint64_t pair = hash_at(h, p, atoms, depth);
		p = cn_skip(p);
		sum += hash_at(pair, p, atoms, depth);
		p = cn_skip(p);
	}
	return mix(mix(h, pairs), sum);
}

static uint64_t hash_at(uint64_t h, const uint8_t *p, const struct cn_atoms *atoms, unsigned depth)
{
	p = cn_real(p);
	struct cn_head head = cn_head_at(p);
	h = mix(h, head.type);
	if (depth == 0)
		return h;
	switch (head.type) {
	case CNODE_TYPE_INTEGER:
		return hash_integer(h, p);
	case CNODE_TYPE_FLOAT:
		return hash_float(h, p);
	case CNODE_TYPE_ATOM:
		return hash_atom(h, p, atoms);
	case CNODE_TYPE_REF:
	case CNODE_TYPE_PORT:
	case CNODE_TYPE_PID:
		return hash_id(h, p, atoms);
	case CNODE_TYPE_BINARY:
	case CNODE_TYPE_BITSTRING:
		return hash_bits(h, p);
	case CNODE_TYPE_LIST:
		return hash_list(h, p, atoms, depth - 1);
	case CNODE_TYPE_MAP:
		return hash_map(h, p, atoms, depth - 1);
	case CNODE_TYPE_TUPLE:
		h = mix(h, head.count);
		p += head.size;
		for (uint64_t i = 0; i < head.count; i++, p = cn_skip(p))
			h = hash_at(h, p, atoms, depth - 1);
		return h;
	default:
		/* [], and what is seldom a key: funs and native records. */
		return h;
	}
}

uint64_t cn_term_hash(cnode_term term, uint64_t seed)
{
	return cn_term_is_none(term) ? seed : hash_at(seed, term.bytes_, term.atoms_, DEPTH);
}
