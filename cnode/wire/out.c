/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes on their way out: small things are copied behind each other, so that many messages
 * leave in one write; large payloads stay where they are and are referenced.
 */
#include "cnode/wire/encoder.h"

#define KEEP_ROOM 262144u        /* an empty buffer that is larger is given back */
#define COMPACT 65536u           /* written bytes at the front that are worth moving the rest */

struct cn_out_part {
	size_t at;               /* it comes before this byte of `copied` */
	const uint8_t *bytes;
	size_t size;
	struct cn_blob *owner;
};

void cn_out_init(struct cn_out *out)
{
	*out = (struct cn_out){ 0 };
	cn_buf_init(&out->copied, 0);
}

static inline struct cn_out_part *part_at(const struct cn_out *out, uint32_t i)
{
	return &out->parts[(out->part_first + i) % out->part_room];
}

void cn_out_fini(struct cn_out *out)
{
	for (uint32_t i = 0; i < out->part_count; i++)
		cn_blob_unref(part_at(out, i)->owner);
	cn_free(out->parts);
	cn_buf_fini(&out->copied);
	*out = (struct cn_out){ 0 };
}

int cn_out_reserve(struct cn_out *out, size_t bytes, uint32_t parts)
{
	if (bytes && CN_UNLIKELY(!cn_buf_reserve(&out->copied, bytes))) {
		out->copied.err = 0;
		return CNODE_ENOMEM;
	}
	if (CN_LIKELY(out->part_count + parts <= out->part_room))
		return 0;
	uint32_t room = out->part_room ? out->part_room * 2 : 8;
	while (room < out->part_count + parts)
		room *= 2;
	struct cn_out_part *fresh = cn_malloc(room * sizeof *fresh);
	if (!fresh)
		return CNODE_ENOMEM;
	for (uint32_t i = 0; i < out->part_count; i++)
		fresh[i] = *part_at(out, i);
	cn_free(out->parts);
	out->parts = fresh;
	out->part_room = room;
	out->part_first = 0;
	return 0;
}

int cn_out_put(struct cn_out *out, const void *bytes, size_t size)
{
	int rc = cn_out_reserve(out, size, 0);
	if (rc || size == 0)
		return rc;
	memcpy(out->copied.data + out->copied.size, bytes, size);
	out->copied.size += size;
	out->size += size;
	return 0;
}

int cn_out_refer(struct cn_out *out, const void *bytes, size_t size, struct cn_blob *owner)
{
	int rc = size ? cn_out_reserve(out, 0, 1) : 0;
	if (rc || size == 0)
		return rc;
	*part_at(out, out->part_count++) = (struct cn_out_part){ out->copied.size, bytes, size, cn_blob_ref(owner) };
	out->size += size;
	return 0;
}

unsigned cn_out_pieces(const struct cn_out *out, struct cn_piece *pieces, unsigned count)
{
	unsigned n = 0;
	size_t at = out->copied_sent;
	for (uint32_t i = 0; i < out->part_count && n < count; i++) {
		const struct cn_out_part *p = part_at(out, i);
		if (p->at > at) {
			pieces[n++] = (struct cn_piece){ out->copied.data + at, p->at - at };
			at = p->at;
		}
		if (n < count)
			pieces[n++] = (struct cn_piece){ p->bytes, p->size };
		else
			return n;
	}
	if (n < count && out->copied.size > at)
		pieces[n++] = (struct cn_piece){ out->copied.data + at, out->copied.size - at };
	return n;
}

/* Gives back, or moves to the front. */
static void tidy(struct cn_out *out)
{
	if (out->size == 0) {
		out->copied_sent = 0;
		out->copied.size = 0;
		if (out->copied.room > KEEP_ROOM)
			cn_buf_fini(&out->copied);
		return;
	}
	if (out->copied_sent < COMPACT || out->copied_sent < out->copied.size / 2)
		return;
	for (uint32_t i = 0; i < out->part_count; i++)
		part_at(out, i)->at -= out->copied_sent;
	cn_buf_consume(&out->copied, out->copied_sent);
	out->copied_sent = 0;
}

void cn_out_sent(struct cn_out *out, size_t size)
{
	out->size -= size;
	while (size > 0) {
		struct cn_out_part *p = out->part_count ? part_at(out, 0) : NULL;
		size_t copied = (p ? p->at : out->copied.size) - out->copied_sent;
		size_t n = size < copied ? size : copied;
		out->copied_sent += n;
		size -= n;
		if (size == 0 || !p)
			break;
		n = size < p->size ? size : p->size;
		p->bytes += n;
		p->size -= n;
		size -= n;
		if (p->size == 0) {
			cn_blob_unref(p->owner);
			out->part_first = (out->part_first + 1) % out->part_room;
			out->part_count--;
		}
	}
	tidy(out);
}
