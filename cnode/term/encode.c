/* SPDX-License-Identifier: Apache-2.0 */
/* Encoding into byte buffers: the raw pieces that control messages are made of. */
#include "cnode/term/encode.h"

static int node_text(cnode_name name, struct cn_node_text *node)
{
	int size = cn_name_text(name, node->text);
	node->size = size < 0 ? 0 : (size_t)size;
	return size < 0 ? size : 0;
}

int cn_pid_node(cnode_pid pid, struct cn_node_text *node)
{
	return cnode_pid_is_none(pid) ? CNODE_EBADARG : node_text(pid.node, node);
}

int cn_ref_node(const cnode_ref *ref, struct cn_node_text *node)
{
	if (ref->node == 0 || ref->words < 1 || ref->words > CN_ARRAY_SIZE(ref->id))
		return CNODE_EBADARG;
	return node_text(ref->node, node);
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
	struct cn_node_text node;
	if (b->err || (b->err = cn_pid_node(pid, &node)))
		return;
	uint8_t *p = cn_buf_reserve(b, CN_ENC_PID(node.size));
	if (p)
		ended(b, cn_enc_pid(p, pid, &node));
}

void cn_put_ref(struct cn_buf *b, const cnode_ref *ref)
{
	struct cn_node_text node;
	if (b->err || (b->err = cn_ref_node(ref, &node)))
		return;
	uint8_t *p = cn_buf_reserve(b, CN_ENC_REF(node.size));
	if (p)
		ended(b, cn_enc_ref(p, ref, &node));
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
