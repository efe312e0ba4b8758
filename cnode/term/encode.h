/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Encoders of leaves into memory that is large enough: each returns where it ended. Integers
 * as BEAM nodes write them: SMALL_INTEGER, INTEGER up to 32 bits, SMALL_BIG beyond.
 */
#ifndef CN_TERM_ENCODE_H
#define CN_TERM_ENCODE_H

#include "cnode/term/walk.h"

#define CN_ENC_INT 11
#define CN_ENC_ATOM(size) (3 + (size))
/* Node: the size of its name. */
#define CN_ENC_PID(node) (1 + CN_ENC_ATOM(node) + 12)
#define CN_ENC_REF(node) (3 + CN_ENC_ATOM(node) + 4 + 20)

static inline uint8_t *cn_enc_magnitude(uint8_t *p, bool negative, uint64_t v)
{
	uint8_t *size = p + 1;
	p[0] = CN_SMALL_BIG;
	p[2] = negative;
	for (p += 3; v; v >>= 8)
		*p++ = (uint8_t)v;
	*size = (uint8_t)(p - size - 2);
	return p;
}

static inline uint8_t *cn_enc_int64(uint8_t *p, int64_t v)
{
	if (v >= 0 && v <= 255) {
		p[0] = CN_SMALL_INTEGER;
		p[1] = (uint8_t)v;
		return p + 2;
	}
	if (v >= INT32_MIN && v <= INT32_MAX) {
		p[0] = CN_INTEGER;
		return cn_store_u32(p + 1, (uint32_t)v);
	}
	return cn_enc_magnitude(p, v < 0, v < 0 ? -(uint64_t)v : (uint64_t)v);
}

static inline uint8_t *cn_enc_uint64(uint8_t *p, uint64_t v)
{
	return v <= INT64_MAX ? cn_enc_int64(p, (int64_t)v) : cn_enc_magnitude(p, false, v);
}

static inline uint8_t *cn_enc_double(uint8_t *p, double v)
{
	uint64_t bits;
	memcpy(&bits, &v, sizeof bits);
	p[0] = CN_NEW_FLOAT;
	return cn_store_u64(p + 1, bits);
}

/* A valid text. */
static inline uint8_t *cn_enc_atom(uint8_t *p, const void *text, size_t size)
{
	if (size <= 255) {
		p[0] = CN_SMALL_ATOM_UTF8;
		p[1] = (uint8_t)size;
		p += 2;
	} else {
		p[0] = CN_ATOM_UTF8;
		p = cn_store_u16(p + 1, (uint16_t)size);
	}
	memcpy(p, text, size);
	return p + size;
}

/* A node's name, looked up before the bytes for it are reserved. */
struct cn_node_text {
	size_t size;
	char text[CNODE_NAME_SIZE];
};
/* 0; CNODE_EBADARG: no pid or reference; CNODE_ESTALE. */
int cn_pid_node(cnode_pid pid, struct cn_node_text *node);
int cn_ref_node(const cnode_ref *ref, struct cn_node_text *node);

static inline uint8_t *cn_enc_pid(uint8_t *p, cnode_pid pid, const struct cn_node_text *node)
{
	*p = CN_NEW_PID;
	p = cn_enc_atom(p + 1, node->text, node->size);
	p = cn_store_u32(p, pid.id);
	p = cn_store_u32(p, pid.serial);
	return cn_store_u32(p, pid.creation);
}

static inline uint8_t *cn_enc_ref(uint8_t *p, const cnode_ref *ref, const struct cn_node_text *node)
{
	*p = CN_NEWER_REFERENCE;
	p = cn_store_u16(p + 1, (uint16_t)ref->words);
	p = cn_enc_atom(p, node->text, node->size);
	p = cn_store_u32(p, ref->creation);
	for (uint32_t i = 0; i < ref->words; i++)
		p = cn_store_u32(p, ref->id[i]);
	return p;
}

/*
 * The builder, as the parser of text drives it: compounds whose size is not known before their end.
 */
void cn_build_open_tuple(struct cnode_builder *b);
void cn_build_close_tuple(struct cnode_builder *b);
void cn_build_open_tail(struct cnode_builder *b);
void cn_build_close_tail(struct cnode_builder *b);
void cn_build_big(struct cnode_builder *b, bool negative, const uint8_t *digits, size_t size);
void cn_build_chars(struct cnode_builder *b, const char *utf8, size_t size);
void cn_build_bits(struct cnode_builder *b, const void *bytes, size_t size, unsigned last);
void cn_build_export(struct cnode_builder *b, const void *module, size_t module_size,
		     const void *function, size_t function_size, uint8_t arity);

/* ---- of the builder, for handed.c ---- */

/* Begins one term of at most `size` bytes; where to write it, or NULL (b->err is set). */
uint8_t *cn_build_begin(struct cnode_builder *b, size_t size);
/* It ended there. */
void cn_build_complete(struct cnode_builder *b, const uint8_t *end);
/* A term with binaries that were handed over, without copying them. False: it is not in its blob's own bytes. */
bool cn_build_handed_term(struct cnode_builder *b, cnode_term t);
/* The blob, which is complete, takes them. Cannot fail. */
void cn_builder_hands_over(struct cnode_builder *b);

#endif
