/* SPDX-License-Identifier: Apache-2.0 */
/* The leaves of verified terms, unpacked. No bounds are checked here: see walk.h. */
#include "cnode/term/walk.h"

struct cn_int cn_int_at(const uint8_t *p)
{
	if (*p == CN_SMALL_INTEGER)
		return (struct cn_int){ .magnitude = p[1] };
	if (*p == CN_INTEGER) {
		int32_t v = (int32_t)cn_load_u32(p + 1);
		return (struct cn_int){ .negative = v < 0,
					 .magnitude = v < 0 ? (uint64_t) - (int64_t)v
							    : (uint64_t)v };
	}

	bool small = *p == CN_SMALL_BIG;
	struct cn_int i = {
		.negative = p[small ? 2 : 5] != 0,
		.digits = p + (small ? 3 : 6),
		.size = small ? p[1] : cn_load_u32(p + 1),
	};
	while (i.size && i.digits[i.size - 1] == 0)
		i.size--;
	i.big = i.size > 8;
	if (!i.big) {
		for (size_t n = i.size; n; n--)
			i.magnitude = i.magnitude << 8 | i.digits[n - 1];
		if (i.magnitude == 0)
			i.negative = false;
	}
	return i;
}

double cn_float_at(const uint8_t *p)
{
	double d = 0;
	if (*p == CN_NEW_FLOAT) {
		uint64_t bits = cn_load_u64(p + 1);
		memcpy(&d, &bits, sizeof d);
	} else {
		cn_float_parse((const char *)p + 1, strnlen((const char *)p + 1, 31), &d);
	}
	return d;
}

const uint8_t *cn_atom_at(const uint8_t *p, const struct cn_atoms *atoms,
			  uint8_t room[CN_LATIN1_ROOM], size_t *size)
{
	if (*p == CN_ATOM_CACHE_REF) {
		*size = atoms->at[p[1]].size;
		return atoms->at[p[1]].text;
	}
	size_t head = *p == CN_SMALL_ATOM_UTF8 || *p == CN_SMALL_ATOM ? 2 : 3;
	*size = head == 2 ? p[1] : cn_load_u16(p + 1);
	if (*p == CN_SMALL_ATOM_UTF8 || *p == CN_ATOM_UTF8)
		return p + head;
	size_t used = 0;
	for (size_t i = 0; i < *size; i++)
		used += cn_utf8_put(p[head + i], room + used);
	*size = used;
	return room;
}

struct cn_id cn_id_at(const uint8_t *p)
{
	struct cn_id id = { 0 };
	uint8_t tag = *p++;
	if (tag == CN_NEWER_REFERENCE || tag == CN_NEW_REFERENCE) {
		id.words = cn_load_u16(p);
		p += 2;
	}
	id.node = p;
	p += cn_atom_size(p);
	switch (tag) {
	case CN_NEW_PID:
	case CN_PID:
		id.id[0] = cn_load_u32(p);
		id.id[1] = cn_load_u32(p + 4);
		id.creation = tag == CN_NEW_PID ? cn_load_u32(p + 8) : p[8];
		break;
	case CN_NEW_PORT:
	case CN_PORT:
		id.port = cn_load_u32(p);
		id.creation = tag == CN_NEW_PORT ? cn_load_u32(p + 4) : p[4];
		break;
	case CN_V4_PORT:
		id.port = cn_load_u64(p);
		id.creation = cn_load_u32(p + 8);
		break;
	case CN_REFERENCE:
		id.words = 1;
		id.id[0] = cn_load_u32(p);
		id.creation = p[4];
		break;
	default:
		id.creation = tag == CN_NEWER_REFERENCE ? cn_load_u32(p) : *p;
		p += tag == CN_NEWER_REFERENCE ? 4 : 1;
		for (uint32_t i = 0; i < id.words; i++)
			id.id[i] = cn_load_u32(p + 4 * i);
		break;
	}
	return id;
}

struct cn_bits cn_bits_at(const uint8_t *p)
{
	if (*p == CN_HANDED) {
		const uint8_t *bytes;
		memcpy(&bytes, p + 6, sizeof bytes);
		return (struct cn_bits){ bytes, cn_load_u32(p + 2), 8 };
	}
	size_t size = cn_load_u32(p + 1);
	if (*p == CN_BINARY)
		return (struct cn_bits){ p + 5, size, 8 };
	return (struct cn_bits){ p + 6, size, size ? p[5] : 8 };
}

static void enter_part(struct cn_list *l, const uint8_t *p)
{
	l->string = *p == CN_STRING;
	if (l->string) {
		l->left = cn_load_u16(p + 1);
		l->at = p + 3;
	} else {
		l->left = *p == CN_LIST ? cn_load_u32(p + 1) : 0;
		l->at = *p == CN_LIST ? p + 5 : p;
	}
}

void cn_list_init(struct cn_list *l, const uint8_t *p)
{
	enter_part(l, cn_real(p));
}

const uint8_t *cn_list_peek(struct cn_list *l)
{
	while (l->left == 0) {
		if (l->string)
			return NULL;
		l->at = cn_real(l->at);
		if (*l->at != CN_LIST && *l->at != CN_STRING)
			return NULL;
		enter_part(l, l->at);
	}
	return l->string ? cn_byte_term(*l->at) : cn_real(l->at);
}

void cn_list_pass(struct cn_list *l, const uint8_t *end_of_element)
{
	l->at = l->string ? l->at + 1 : end_of_element;
	l->left--;
}

const uint8_t *cn_list_next(struct cn_list *l)
{
	const uint8_t *item = cn_list_peek(l);
	if (item)
		cn_list_pass(l, l->string ? NULL : cn_skip(item));
	else if (l->string)
		cn_list_init(l, cn_nil_term());
	return item;
}

unsigned cn_utf8_put(uint32_t c, uint8_t p[4])
{
	if (c < 0x80) {
		p[0] = (uint8_t)c;
		return 1;
	}
	if (c < 0x800) {
		p[0] = (uint8_t)(0xc0 | c >> 6);
		p[1] = (uint8_t)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		p[0] = (uint8_t)(0xe0 | c >> 12);
		p[1] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
		p[2] = (uint8_t)(0x80 | (c & 0x3f));
		return 3;
	}
	p[0] = (uint8_t)(0xf0 | c >> 18);
	p[1] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
	p[2] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
	p[3] = (uint8_t)(0x80 | (c & 0x3f));
	return 4;
}

int cn_latin1_to_utf8(const void *latin1, size_t size, char *utf8, size_t room)
{
	const uint8_t *from = latin1;
	size_t used = 0;
	for (size_t i = 0; i < size; i++) {
		uint8_t c[4];
		unsigned n = cn_utf8_put(from[i], c);
		if (room - used < n)
			return CNODE_ETOOBIG;
		memcpy(utf8 + used, c, n);
		used += n;
	}
	return (int)used;
}

int cn_utf8_to_latin1(const void *utf8, size_t size, char *latin1, size_t room)
{
	if (cn_utf8_length(utf8, size) == SIZE_MAX)
		return CNODE_EBADNAME;
	const uint8_t *p = utf8, *end = p + size;
	size_t used = 0;
	while (p < end) {
		uint32_t c;
		p += cn_utf8_get(p, &c);
		if (c > 0xff)
			return CNODE_EBADNAME;
		if (used == room)
			return CNODE_ETOOBIG;
		latin1[used++] = (char)c;
	}
	return (int)used;
}
