/* SPDX-License-Identifier: Apache-2.0 */
/* The growing byte buffer. It doubles, so that appending is amortised. */
#include "cnode/base/base.h"

#include <stdio.h>

#define FIRST_ROOM 64

void cn_buf_init(struct cn_buf *b, size_t limit)
{
	*b = (struct cn_buf){ .limit = limit };
}

void cn_buf_fini(struct cn_buf *b)
{
	cn_free(b->data);
	*b = (struct cn_buf){ .limit = b->limit };
}

uint8_t *cn_buf_reserve(struct cn_buf *b, size_t more)
{
	if (b->err)
		return NULL;
	if (CN_LIKELY(more <= b->room - b->size && b->data))
		return b->data + b->size;

	size_t need;
	if (__builtin_add_overflow(b->size, more, &need) || need > SIZE_MAX / 2 ||
	    (b->limit && need > b->limit)) {
		b->err = CNODE_ETOOBIG;
		return NULL;
	}
	size_t room = b->room ? b->room : FIRST_ROOM;
	while (room < need)
		room *= 2;
	if (b->limit && room > b->limit)
		room = b->limit;
	uint8_t *data = cn_realloc(b->data, room);
	if (!data) {
		b->err = CNODE_ENOMEM;
		return NULL;
	}
	b->data = data;
	b->room = room;
	return b->data + b->size;
}

uint8_t *cn_buf_take(struct cn_buf *b, size_t *size)
{
	uint8_t *data = b->data;
	*size = b->size;
	*b = (struct cn_buf){ .limit = b->limit };
	return data;
}

void cn_buf_consume(struct cn_buf *b, size_t n)
{
	if (n >= b->size) {
		b->size = 0;
		return;
	}
	memmove(b->data, b->data + n, b->size - n);
	b->size -= n;
}

void cn_put(struct cn_buf *b, const void *data, size_t size)
{
	uint8_t *p = cn_buf_reserve(b, size);
	if (p && size) {
		memcpy(p, data, size);
		b->size += size;
	}
}

void cn_put_u8(struct cn_buf *b, uint8_t v)
{
	uint8_t *p = cn_buf_reserve(b, 1);
	if (p) {
		*p = v;
		b->size += 1;
	}
}

void cn_put_u16(struct cn_buf *b, uint16_t v)
{
	uint8_t *p = cn_buf_reserve(b, 2);
	if (p) {
		cn_store_u16(p, v);
		b->size += 2;
	}
}

void cn_put_u32(struct cn_buf *b, uint32_t v)
{
	uint8_t *p = cn_buf_reserve(b, 4);
	if (p) {
		cn_store_u32(p, v);
		b->size += 4;
	}
}

void cn_put_u64(struct cn_buf *b, uint64_t v)
{
	uint8_t *p = cn_buf_reserve(b, 8);
	if (p) {
		cn_store_u64(p, v);
		b->size += 8;
	}
}

void cn_put_text(struct cn_buf *b, const char *fmt, ...)
{
	char small[256];
	va_list args, again;
	va_start(args, fmt);
	va_copy(again, args);
	int size = vsnprintf(small, sizeof small, fmt, args);
	if (size >= 0 && (size_t)size < sizeof small) {
		cn_put(b, small, (size_t)size);
	} else if (size > 0) {
		uint8_t *p = cn_buf_reserve(b, (size_t)size + 1);
		if (p) {
			vsnprintf((char *)p, (size_t)size + 1, fmt, again);
			b->size += (size_t)size;
		}
	}
	va_end(again);
	va_end(args);
}
