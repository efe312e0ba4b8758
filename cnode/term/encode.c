/* SPDX-License-Identifier: Apache-2.0 */
/* Encoding into byte buffers: the raw pieces that control messages are made of. */
#include "cnode/term/encode.h"

static uint8_t *enc_node(uint8_t *p, cnode_name node, int *err)
{
	char text[CNODE_NAME_SIZE];
	int size = cn_name_text(node, text);
	if (size < 0) {
		*err = size;
		return NULL;
	}
	return cn_enc_atom(p, text, (size_t)size);
}

uint8_t *cn_enc_pid(uint8_t *p, cnode_pid pid, int *err)
{
	if (cnode_pid_is_none(pid)) {
		*err = CNODE_EBADARG;
		return NULL;
	}
	*p = CN_NEW_PID;
	p = enc_node(p + 1, pid.node, err);
	if (!p)
		return NULL;
	p = cn_store_u32(p, pid.id);
	p = cn_store_u32(p, pid.serial);
	return cn_store_u32(p, pid.creation);
}

uint8_t *cn_enc_ref(uint8_t *p, const cnode_ref *ref, int *err)
{
	if (ref->node == 0 || ref->words < 1 || ref->words > CN_ARRAY_SIZE(ref->id)) {
		*err = CNODE_EBADARG;
		return NULL;
	}
	*p = CN_NEWER_REFERENCE;
	p = cn_store_u16(p + 1, (uint16_t)ref->words);
	p = enc_node(p, ref->node, err);
	if (!p)
		return NULL;
	p = cn_store_u32(p, ref->creation);
	for (uint32_t i = 0; i < ref->words; i++)
		p = cn_store_u32(p, ref->id[i]);
	return p;
}

static void ended(struct cn_buf *b, const uint8_t *end)
{
	b->size = (size_t)(end - b->data);
}

void cn_put_int64(struct cn_buf *b, int64_t v)
{
	uint8_t *p = cn_buf_reserve(b, CN_ENC_INT);
	if (p)
		ended(b, cn_enc_int64(p, v));
}

void cn_put_uint64(struct cn_buf *b, uint64_t v)
{
	uint8_t *p = cn_buf_reserve(b, CN_ENC_INT);
	if (p)
		ended(b, cn_enc_uint64(p, v));
}

void cn_put_atom(struct cn_buf *b, const void *utf8, size_t size)
{
	uint8_t *p = cn_buf_reserve(b, CN_ENC_ATOM(size));
	if (p)
		ended(b, cn_enc_atom(p, utf8, size));
}

void cn_put_pid(struct cn_buf *b, cnode_pid pid)
{
	uint8_t *p = cn_buf_reserve(b, CN_ENC_PID);
	if (p && (p = cn_enc_pid(p, pid, &b->err)))
		ended(b, p);
}

void cn_put_ref(struct cn_buf *b, const cnode_ref *ref)
{
	uint8_t *p = cn_buf_reserve(b, CN_ENC_REF);
	if (p && (p = cn_enc_ref(p, ref, &b->err)))
		ended(b, p);
}

void cn_put_tuple(struct cn_buf *b, uint32_t arity)
{
	uint8_t *p = cn_buf_reserve(b, 5);
	if (!p)
		return;
	if (arity <= 255) {
		p[0] = CN_SMALL_TUPLE;
		p[1] = (uint8_t)arity;
		ended(b, p + 2);
	} else {
		p[0] = CN_LARGE_TUPLE;
		ended(b, cn_store_u32(p + 1, arity));
	}
}

void cn_put_term(struct cn_buf *b, cnode_term term)
{
	const uint8_t *bytes;
	size_t size;
	if (b->err)
		return;
	b->err = cn_term_plain(term, &bytes, &size);
	if (b->err == 0)
		cn_put(b, bytes, size);
}
