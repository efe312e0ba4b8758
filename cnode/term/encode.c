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

void cn_put_atom(struct cn_buf *b, const void *utf8, size_t size)
{
	uint8_t *p = cn_buf_reserve(b, CN_ENC_ATOM(size));
	if (p)
		ended(b, cn_enc_atom(p, utf8, size));
}
