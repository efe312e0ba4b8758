/* SPDX-License-Identifier: Apache-2.0 */
/*
 * epmd's messages, both sides. Requests have a u16 length in front, replies have none: they
 * are complete by their own counts, or when epmd closes. Follows: erts/epmd/src/epmd_srv.c,
 * lib/kernel/src/erl_epmd.erl; erl_dist_protocol, "EPMD Protocol".
 */
#include "cnode/wire/wire.h"

#define ALIVE2_RESP 121
#define ALIVE2_X_RESP 118
#define PORT2_RESP 119

bool cn_epmd_name_valid(const void *name, size_t size)
{
	return size && size <= CN_EPMD_NAME_BYTES && cn_atom_valid(name, size) && !memchr(name, 0, size);
}

/* ---- the client's side ---- */

int cn_epmd_put_alive2(struct cn_buf *out, const struct cn_epmd_node *node)
{
	if (!cn_epmd_name_valid(node->name, node->name_size))
		return CNODE_EBADNAME;
	if (node->extra_size > CN_EPMD_NAME_BYTES)
		return CNODE_EBADARG;
	size_t size = 13u + node->name_size + node->extra_size;
	if (!cn_buf_reserve(out, 2 + size))
		return out->err;
	cn_put_u16(out, (uint16_t)size);
	cn_put_u8(out, CN_EPMD_ALIVE2);
	cn_put_u16(out, node->port);
	cn_put_u8(out, node->type);
	cn_put_u8(out, node->protocol);
	cn_put_u16(out, node->high);
	cn_put_u16(out, node->low);
	cn_put_u16(out, node->name_size);
	cn_put(out, node->name, node->name_size);
	cn_put_u16(out, node->extra_size);
	cn_put(out, node->extra, node->extra_size);
	return out->err;
}

int cn_epmd_put_port2(struct cn_buf *out, const void *name, size_t size)
{
	if (!cn_epmd_name_valid(name, size))
		return CNODE_EBADNAME;
	if (!cn_buf_reserve(out, 3 + size))
		return out->err;
	cn_put_u16(out, (uint16_t)(1 + size));
	cn_put_u8(out, CN_EPMD_PORT2);
	cn_put(out, name, size);
	return out->err;
}

int cn_epmd_put_names(struct cn_buf *out)
{
	static const uint8_t request[] = { 0, 1, CN_EPMD_NAMES };
	cn_put(out, request, sizeof request);
	return out->err;
}

/* What a cursor that ran out means: wait, unless nothing can come any more. */
static int cut_short(size_t size, bool closed)
{
	return closed || size > CN_EPMD_REPLY_BYTES ? CNODE_EEPMD : 0;
}

int cn_epmd_read_alive2(const void *bytes, size_t size, bool closed, uint32_t *creation)
{
	/* The first byte decides the form: an epmd before OTP 23 answers the short one also to us. */
	struct cn_rd r = cn_rd_init(bytes, size);
	uint8_t kind = cn_rd_u8(&r);
	uint8_t result = cn_rd_u8(&r);
	if (size && kind != ALIVE2_RESP && kind != ALIVE2_X_RESP)
		return CNODE_EEPMD;
	uint32_t cre = kind == ALIVE2_X_RESP ? cn_rd_u32(&r) : cn_rd_u16(&r);
	if (r.err)
		return cut_short(size, closed);
	if (result != 0)
		return CNODE_ENAMETAKEN;
	*creation = cre;
	return (int)(size - cn_rd_left(&r));
}

int cn_epmd_read_port2(const void *bytes, size_t size, bool closed, struct cn_epmd_node *node)
{
	struct cn_rd r = cn_rd_init(bytes, size);
	uint8_t kind = cn_rd_u8(&r);
	if (size && kind != PORT2_RESP)
		return CNODE_EEPMD;
	uint8_t result = cn_rd_u8(&r);
	if (!r.err && result != 0)
		return CNODE_ENOTREG;
	struct cn_epmd_node n = { .port = cn_rd_u16(&r) };
	n.type = cn_rd_u8(&r);
	n.protocol = cn_rd_u8(&r);
	n.high = cn_rd_u16(&r);
	n.low = cn_rd_u16(&r);
	n.name_size = cn_rd_u16(&r);
	if (!r.err && n.name_size > CN_EPMD_NAME_BYTES)
		return CNODE_EEPMD;
	n.name = (const char *)cn_rd_bytes(&r, n.name_size);
	n.extra_size = cn_rd_u16(&r);
	n.extra = cn_rd_bytes(&r, n.extra_size);
	if (r.err)
		return cut_short(size, closed);
	*node = n;
	return (int)(size - cn_rd_left(&r));
}

int cn_epmd_read_names(const void *bytes, size_t size, bool closed, uint16_t *epmd_port, struct cn_rd *names)
{
	struct cn_rd r = cn_rd_init(bytes, size);
	uint32_t port = cn_rd_u32(&r);
	if (!r.err && port > UINT16_MAX)
		return CNODE_EEPMD;
	if (size > CN_EPMD_REPLY_BYTES)
		return CNODE_EEPMD;
	if (!closed)
		return 0;
	if (r.err)
		return CNODE_EEPMD;
	*epmd_port = (uint16_t)port;
	*names = r;
	return (int)size;
}

/* Cuts `prefix` off the front of text; NULL if it is not there. */
static const char *behind(const char *text, const char *end, const char *prefix)
{
	size_t size = strlen(prefix);
	return (size_t)(end - text) >= size && memcmp(text, prefix, size) == 0 ? text + size : NULL;
}

int cn_epmd_next_name(struct cn_rd *names, struct cn_epmd_node *node)
{
	if (cn_rd_left(names) == 0)
		return 0;
	const char *line = (const char *)names->at;
	const char *end = memchr(line, '\n', cn_rd_left(names));
	if (!end)
		return CNODE_EEPMD;
	names->at = (const uint8_t *)end + 1;

	/* "name <alive> at port <port>"; the last " at port " counts, names may hold spaces. */
	const char *name = behind(line, end, "name ");
	if (!name)
		return CNODE_EEPMD;
	const char *digits = end;
	uint32_t port = 0, scale = 1;
	while (digits > name && digits[-1] >= '0' && digits[-1] <= '9' && end - digits < 5) {
		digits--;
		port += (uint32_t)(*digits - '0') * scale;
		scale *= 10;
	}
	static const char at_port[] = " at port ";
	const size_t at_size = sizeof at_port - 1;
	if (digits == end || port > UINT16_MAX || (size_t)(digits - name) < at_size ||
	    memcmp(digits - at_size, at_port, at_size) != 0)
		return CNODE_EEPMD;
	size_t size = (size_t)(digits - name) - at_size;
	if (size == 0 || size > CN_EPMD_NAME_BYTES)
		return CNODE_EEPMD;
	*node = (struct cn_epmd_node){ .name = name, .name_size = (uint16_t)size, .port = (uint16_t)port };
	return 1;
}

/* ---- the server's side ---- */

int cn_epmd_read_request(const void *bytes, size_t size, struct cn_epmd_request *request)
{
	struct cn_rd r = cn_rd_init(bytes, size);
	size_t body = cn_rd_u16(&r);
	if (r.err)
		return 0;
	if (body == 0 || body >= 3 * CN_EPMD_NAME_BYTES)
		return CNODE_EPROTO;
	if (cn_rd_left(&r) < body)
		return 0;
	r.end = r.at + body;

	struct cn_epmd_request q = { .op = (enum cn_epmd_op)cn_rd_u8(&r) };
	struct cn_epmd_node *n = &q.node;
	switch (q.op) {
	case CN_EPMD_ALIVE2:
		n->port = cn_rd_u16(&r);
		n->type = cn_rd_u8(&r);
		n->protocol = cn_rd_u8(&r);
		n->high = cn_rd_u16(&r);
		n->low = cn_rd_u16(&r);
		n->name_size = cn_rd_u16(&r);
		n->name = (const char *)cn_rd_bytes(&r, n->name_size);
		n->extra_size = cn_rd_u16(&r);
		n->extra = cn_rd_bytes(&r, n->extra_size);
		/* A bad name is refused by an answer, as OTP's epmd does; too long ones are not read at all. */
		if (r.err || n->name_size > CN_EPMD_NAME_BYTES || n->extra_size > CN_EPMD_NAME_BYTES)
			return CNODE_EPROTO;
		break;
	case CN_EPMD_PORT2:
	case CN_EPMD_STOP:
		n->name_size = (uint16_t)cn_rd_left(&r);
		n->name = (const char *)cn_rd_bytes(&r, n->name_size);
		if (n->name_size && n->name[n->name_size - 1] == 0)
			n->name_size--;
		if (n->name_size == 0 || n->name_size > CN_EPMD_NAME_BYTES)
			return CNODE_EPROTO;
		break;
	case CN_EPMD_NAMES:
	case CN_EPMD_DUMP:
	case CN_EPMD_KILL:
		break;
	default:
		return CNODE_EPROTO;
	}
	*request = q;
	return (int)(2 + body);
}

int cn_epmd_put_alive2_reply(struct cn_buf *out, uint16_t high, uint8_t result, uint32_t creation)
{
	if (!cn_buf_reserve(out, 6))
		return out->err;
	if (result != 0)
		creation = 99;
	if (high >= 6) {
		cn_put_u8(out, ALIVE2_X_RESP);
		cn_put_u8(out, result);
		cn_put_u32(out, creation);
	} else {
		/* Two bits of creation is all that such a node knows of; 0 means "none" to it. */
		cn_put_u8(out, ALIVE2_RESP);
		cn_put_u8(out, result);
		cn_put_u16(out, (uint16_t)(result ? creation : creation % 3 + 1));
	}
	return out->err;
}

int cn_epmd_put_port2_reply(struct cn_buf *out, const struct cn_epmd_node *node)
{
	if (!cn_buf_reserve(out, 14u + (node ? node->name_size + (size_t)node->extra_size : 0)))
		return out->err;
	cn_put_u8(out, PORT2_RESP);
	if (!node) {
		cn_put_u8(out, 1);
		return out->err;
	}
	cn_put_u8(out, 0);
	cn_put_u16(out, node->port);
	cn_put_u8(out, node->type);
	cn_put_u8(out, node->protocol);
	cn_put_u16(out, node->high);
	cn_put_u16(out, node->low);
	cn_put_u16(out, node->name_size);
	cn_put(out, node->name, node->name_size);
	cn_put_u16(out, node->extra_size);
	cn_put(out, node->extra, node->extra_size);
	return out->err;
}
