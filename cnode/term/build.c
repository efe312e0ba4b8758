/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The builder: pieces are encoded straight into the blob that becomes the term's. What it has
 * built is verified like a peer's bytes before it is a term; so a fault here, or what a copied
 * term may bring, cannot reach a peer.
 */
#include "cnode/term/encode.h"

#include <math.h>

#define FIRST_ROOM 216u     /* with the head of a blob, one malloc of 256 bytes */

void cn_builder_init(struct cnode_builder *b)
{
	b->blob = NULL;
	b->size = 0;
	b->err = 0;
	b->done = false;
	b->depth = 0;
	b->room = CN_BUILD_FRAMES;
	b->frames = b->small;
	b->handed = NULL;
	b->handed_count = b->handed_room = 0;
	b->handed_bytes = 0;
}

void cn_builder_fini(struct cnode_builder *b)
{
	cn_blob_unref(b->blob);
	if (b->frames != b->small)
		cn_free(b->frames);
	if (b->handed)
		cn_handed_release(b->handed, b->handed_count);
	cn_builder_init(b);
}

cnode_builder *cnode_builder_new(void)
{
	cnode_builder *b = cn_malloc(sizeof *b);
	if (b)
		cn_builder_init(b);
	return b;
}

void cnode_builder_free(cnode_builder *b)
{
	if (!b)
		return;
	cn_builder_fini(b);
	cn_free(b);
}

static void fail(struct cnode_builder *b, int err)
{
	if (b->err == 0)
		b->err = err;
}

/* ---- bytes ---- */

static __attribute__((noinline)) uint8_t *grow(struct cnode_builder *b, size_t more)
{
	size_t room = b->blob ? b->blob->size : FIRST_ROOM;
	if (more + b->handed_bytes > CN_TERM_BYTES_MAX - b->size) {
		fail(b, CNODE_EBADTERM);
		return NULL;
	}
	while (room < b->size + more)
		room *= 2;
	struct cn_blob *blob = b->blob ? cn_blob_resize(b->blob, room) : cn_blob_new(room);
	if (!blob) {
		fail(b, CNODE_ENOMEM);
		return NULL;
	}
	b->blob = blob;
	return blob->bytes + b->size;
}

static inline uint8_t *reserve(struct cnode_builder *b, size_t more)
{
	if (CN_LIKELY(b->blob && more <= b->blob->size - b->size))
		return b->blob->bytes + b->size;
	return grow(b, more);
}

static inline void ended(struct cnode_builder *b, const uint8_t *end)
{
	b->size = (size_t)(end - b->blob->bytes);
}

/* ---- nesting ---- */

/* Begins one term of at most `size` bytes; where to write it, or NULL. */
static inline uint8_t *begin(struct cnode_builder *b, size_t size)
{
	if (CN_UNLIKELY(b->err))
		return NULL;
	if (CN_UNLIKELY(b->done)) {
		fail(b, CNODE_EBADTERM);
		return NULL;
	}
	return reserve(b, size);
}

/* A term is complete; so may be those around it. */
static inline void complete(struct cnode_builder *b)
{
	while (b->depth) {
		struct cn_build_frame *f = &b->frames[b->depth - 1];
		f->count++;
		if (f->kind == CN_BUILD_TUPLE ? f->count < f->want : f->kind != CN_BUILD_TAIL)
			return;
		b->depth--;
	}
	b->done = true;
}

static void complete_at(struct cnode_builder *b, const uint8_t *end)
{
	ended(b, end);
	complete(b);
}

uint8_t *cn_build_begin(struct cnode_builder *b, size_t size)
{
	return begin(b, size);
}

void cn_build_complete(struct cnode_builder *b, const uint8_t *end)
{
	complete_at(b, end);
}

/* Enters a compound whose head, `size` bytes, is written at the end. */
static void enter(struct cnode_builder *b, enum cn_build_kind kind, uint32_t want, size_t size)
{
	/* One more for what may turn out to be empty: the verifier has the last word. */
	if (b->depth > CN_TERM_DEPTH) {
		fail(b, CNODE_EBADTERM);
		return;
	}
	if (b->depth == b->room) {
		bool small = b->frames == b->small;
		struct cn_build_frame *frames = cn_realloc(small ? NULL : b->frames,
							   2 * b->room * sizeof *frames);
		if (!frames) {
			fail(b, CNODE_ENOMEM);
			return;
		}
		if (small)
			memcpy(frames, b->small, sizeof b->small);
		b->frames = frames;
		b->room *= 2;
	}
	b->frames[b->depth++] = (struct cn_build_frame){ kind, 0, want, b->size };
	b->size += size;
}

/* The innermost compound, if it is of this kind; else an error. */
static struct cn_build_frame *innermost(struct cnode_builder *b, enum cn_build_kind kind)
{
	if (b->err)
		return NULL;
	struct cn_build_frame *f = b->depth ? &b->frames[b->depth - 1] : NULL;
	if (!f || f->kind != kind) {
		fail(b, CNODE_EBADTERM);
		return NULL;
	}
	return f;
}

/* ---- leaves ---- */

void cnode_build_int64(cnode_builder *b, int64_t v)
{
	uint8_t *p = begin(b, CN_ENC_INT);
	if (p)
		complete_at(b, cn_enc_int64(p, v));
}

void cnode_build_uint64(cnode_builder *b, uint64_t v)
{
	uint8_t *p = begin(b, CN_ENC_INT);
	if (p)
		complete_at(b, cn_enc_uint64(p, v));
}

void cn_build_big(struct cnode_builder *b, bool negative, const uint8_t *digits, size_t size)
{
	uint8_t *p = begin(b, 6 + size);
	if (!p)
		return;
	if (size <= 255) {
		*p++ = CN_SMALL_BIG;
		*p++ = (uint8_t)size;
	} else {
		*p++ = CN_LARGE_BIG;
		p = cn_store_u32(p, (uint32_t)size);
	}
	*p++ = negative;
	memcpy(p, digits, size);
	complete_at(b, p + size);
}

void cnode_build_double(cnode_builder *b, double v)
{
	if (!isfinite(v))
		fail(b, CNODE_EBADTERM);
	uint8_t *p = begin(b, 9);
	if (p)
		complete_at(b, cn_enc_double(p, v));
}

void cn_build_atom(struct cnode_builder *b, const void *utf8, size_t size)
{
	if (!cn_atom_valid(utf8, size))
		fail(b, CNODE_EBADTERM);
	uint8_t *p = begin(b, CN_ENC_ATOM(size));
	if (p)
		complete_at(b, cn_enc_atom(p, utf8, size));
}

void cnode_build_atom(cnode_builder *b, const char *utf8)
{
	if (utf8)
		cn_build_atom(b, utf8, strlen(utf8));
	else
		fail(b, CNODE_EBADARG);
}

void cnode_build_bool(cnode_builder *b, bool v)
{
	cn_build_atom(b, v ? "true" : "false", v ? 4 : 5);
}

static uint8_t *put_list_head(uint8_t *p, size_t length)
{
	*p = CN_LIST;
	return cn_store_u32(p + 1, (uint32_t)length);
}

void cn_build_bytes(struct cnode_builder *b, const void *bytes, size_t size)
{
	const uint8_t *from = bytes;
	uint8_t *p = begin(b, size > 65535 ? 6 + 2 * size : 3 + size);
	if (!p)
		return;
	if (size == 0) {
		*p++ = CN_NIL;
	} else if (size <= 65535) {
		*p = CN_STRING;
		p = cn_store_u16(p + 1, (uint16_t)size);
		memcpy(p, from, size);
		p += size;
	} else {
		p = put_list_head(p, size);
		for (size_t i = 0; i < size; i++)
			p = cn_enc_int64(p, from[i]);
		*p++ = CN_NIL;
	}
	complete_at(b, p);
}

void cn_build_chars(struct cnode_builder *b, const char *utf8, size_t size)
{
	size_t length = cn_utf8_length((const uint8_t *)utf8, size);
	if (length == SIZE_MAX) {
		fail(b, CNODE_EBADTERM);
		return;
	}
	if (length == size) {
		cn_build_bytes(b, utf8, size);
		return;
	}

	const uint8_t *from = (const uint8_t *)utf8, *end = from + size;
	uint32_t c, highest = 0;
	for (const uint8_t *q = from; q < end;) {
		q += cn_utf8_get(q, &c);
		highest = c > highest ? c : highest;
	}
	bool string = highest <= 255 && length <= 65535;
	uint8_t *p = begin(b, string ? 3 + length : 6 + 5 * length);
	if (!p)
		return;
	if (string) {
		*p = CN_STRING;
		p = cn_store_u16(p + 1, (uint16_t)length);
	} else {
		p = put_list_head(p, length);
	}
	while (from < end) {
		from += cn_utf8_get(from, &c);
		if (string)
			*p++ = (uint8_t)c;
		else
			p = cn_enc_int64(p, c);
	}
	if (!string)
		*p++ = CN_NIL;
	complete_at(b, p);
}

void cnode_build_string(cnode_builder *b, const char *utf8)
{
	if (utf8)
		cn_build_chars(b, utf8, strlen(utf8));
	else
		fail(b, CNODE_EBADARG);
}

void cn_build_bits(struct cnode_builder *b, const void *bytes, size_t size, unsigned last)
{
	if (size > CN_TERM_BYTES_MAX) {
		fail(b, CNODE_EBADTERM);
		return;
	}
	uint8_t *p = begin(b, 6 + size);
	if (!p)
		return;
	*p = last == 8 || size == 0 ? CN_BINARY : CN_BIT_BINARY;
	uint8_t *q = cn_store_u32(p + 1, (uint32_t)size);
	if (*p == CN_BIT_BINARY)
		*q++ = (uint8_t)last;
	if (size)
		memcpy(q, bytes, size);
	complete_at(b, q + size);
}

void cnode_build_binary(cnode_builder *b, const void *bytes, size_t size)
{
	if (!bytes && size)
		fail(b, CNODE_EBADARG);
	cn_build_bits(b, bytes, size, 8);
}

void cnode_build_pid(cnode_builder *b, cnode_pid pid)
{
	struct cn_node_text node;
	if (b->err || (b->err = cn_pid_node(pid, &node)))
		return;
	uint8_t *p = begin(b, CN_ENC_PID(node.size));
	if (p)
		complete_at(b, cn_enc_pid(p, pid, &node));
}

void cnode_build_ref(cnode_builder *b, cnode_ref ref)
{
	struct cn_node_text node;
	if (b->err || (b->err = cn_ref_node(&ref, &node)))
		return;
	uint8_t *p = begin(b, CN_ENC_REF(node.size));
	if (p)
		complete_at(b, cn_enc_ref(p, &ref, &node));
}

void cn_build_export(struct cnode_builder *b, const void *module, size_t module_size,
		     const void *function, size_t function_size, uint8_t arity)
{
	if (!cn_atom_valid(module, module_size) || !cn_atom_valid(function, function_size))
		fail(b, CNODE_EBADTERM);
	uint8_t *p = begin(b, 3 + CN_ENC_ATOM(module_size) + CN_ENC_ATOM(function_size));
	if (!p)
		return;
	*p = CN_EXPORT;
	p = cn_enc_atom(p + 1, module, module_size);
	p = cn_enc_atom(p, function, function_size);
	complete_at(b, cn_enc_int64(p, arity));
}

void cnode_build_term(cnode_builder *b, cnode_term term)
{
	const uint8_t *bytes;
	size_t size;
	if (b->err)
		return;
	if (cn_term_is_none(term)) {
		fail(b, CNODE_EBADARG);
		return;
	}
	if (cn_term_is_handed(term) && cn_build_handed_term(b, term))
		return;
	int rc = cn_term_plain(term, &bytes, &size);
	if (rc) {
		fail(b, rc);
		return;
	}
	uint8_t *p = begin(b, size);
	if (!p)
		return;
	memcpy(p, bytes, size);
	complete_at(b, p + size);
}

/* ---- compounds ---- */

void cnode_build_tuple(cnode_builder *b, size_t arity)
{
	if (arity > 0xffffff)
		fail(b, CNODE_EBADTERM);
	uint8_t *p = begin(b, 5);
	if (!p)
		return;
	size_t size = 2;
	if (arity <= 255) {
		p[0] = CN_SMALL_TUPLE;
		p[1] = (uint8_t)arity;
	} else {
		p[0] = CN_LARGE_TUPLE;
		cn_store_u32(p + 1, (uint32_t)arity);
		size = 5;
	}
	if (arity)
		enter(b, CN_BUILD_TUPLE, (uint32_t)arity, size);
	else
		complete_at(b, p + size);
}

void cn_build_open_tuple(struct cnode_builder *b)
{
	uint8_t *p = begin(b, 2);
	if (!p)
		return;
	p[0] = CN_SMALL_TUPLE;
	enter(b, CN_BUILD_OPEN_TUPLE, 0, 2);
}

void cn_build_close_tuple(struct cnode_builder *b)
{
	struct cn_build_frame *f = innermost(b, CN_BUILD_OPEN_TUPLE);
	if (!f)
		return;
	uint32_t arity = f->count;
	size_t at = f->at;
	if (arity > 255) {
		if (arity > 0xffffff) {
			fail(b, CNODE_EBADTERM);
			return;
		}
		/* A head of five bytes instead of two. */
		if (!reserve(b, 3))
			return;
		uint8_t *p = b->blob->bytes + at;
		memmove(p + 5, p + 2, b->size - at - 2);
		b->size += 3;
		p[0] = CN_LARGE_TUPLE;
		cn_store_u32(p + 1, arity);
		for (uint32_t i = b->handed_count; i && cn_handed_of(b->handed)[i - 1].at > at; i--)
			cn_handed_of(b->handed)[i - 1].at += 3;
	} else {
		b->blob->bytes[at + 1] = (uint8_t)arity;
	}
	b->depth--;
	complete(b);
}

void cnode_build_list(cnode_builder *b)
{
	uint8_t *p = begin(b, 5);
	if (!p)
		return;
	p[0] = CN_LIST;
	enter(b, CN_BUILD_LIST, 0, 5);
}

void cnode_build_list_end(cnode_builder *b)
{
	struct cn_build_frame *f = innermost(b, CN_BUILD_LIST);
	uint8_t *p = f ? reserve(b, 1) : NULL;
	if (!p)
		return;
	if (f->count == 0) {
		b->size = f->at;
		p = b->blob->bytes + f->at;
	} else {
		cn_store_u32(b->blob->bytes + f->at + 1, f->count);
	}
	*p = CN_NIL;
	b->depth--;
	complete_at(b, p + 1);
}

static void begin_tail(struct cnode_builder *b, enum cn_build_kind kind)
{
	struct cn_build_frame *f = innermost(b, CN_BUILD_LIST);
	if (!f)
		return;
	if (f->count == 0) {
		fail(b, CNODE_EBADTERM);
		return;
	}
	cn_store_u32(b->blob->bytes + f->at + 1, f->count);
	f->kind = kind;
	f->count = 0;
}

void cnode_build_list_tail(cnode_builder *b)
{
	begin_tail(b, CN_BUILD_TAIL);
}

void cn_build_open_tail(struct cnode_builder *b)
{
	begin_tail(b, CN_BUILD_OPEN_TAIL);
}

void cn_build_close_tail(struct cnode_builder *b)
{
	struct cn_build_frame *f = innermost(b, CN_BUILD_OPEN_TAIL);
	if (!f)
		return;
	if (f->count != 1) {
		fail(b, CNODE_EBADTERM);
		return;
	}
	b->depth--;
	complete(b);
}

void cnode_build_map(cnode_builder *b)
{
	uint8_t *p = begin(b, 5);
	if (!p)
		return;
	p[0] = CN_MAP;
	enter(b, CN_BUILD_MAP, 0, 5);
}

void cnode_build_map_end(cnode_builder *b)
{
	struct cn_build_frame *f = innermost(b, CN_BUILD_MAP);
	if (!f)
		return;
	if (f->count % 2) {
		fail(b, CNODE_EBADTERM);
		return;
	}
	cn_store_u32(b->blob->bytes + f->at + 1, f->count / 2);
	b->depth--;
	complete(b);
}

/* ---- the end ---- */

static int finish(struct cnode_builder *b, cnode_term *term)
{
	const struct cn_term_limits limits = {
		.flags = CN_TERM_OUTBOUND | CN_TERM_RECORDS | (b->handed ? CN_TERM_HANDED : 0),
	};
	if (b->err)
		return b->err;
	if (!b->done)
		return CNODE_EBADTERM;
	struct cn_verify v;
	cn_verify_init(&v, &limits, 0);
	int rc = cn_verify_all(&v, b->blob->bytes, b->size);
	if (rc)
		return rc == CNODE_ENOMEM ? rc : CNODE_EBADTERM;
	if (v.offset != b->size)
		return CNODE_EINTERNAL;

	/* Give back what is not used, if it is much. */
	if (b->blob->size > 4096 && b->blob->size / 2 > b->size) {
		struct cn_blob *smaller = cn_blob_resize(b->blob, b->size);
		b->blob = smaller ? smaller : b->blob;
	}
	b->blob->size = b->size;
	*term = cn_term_of_verified(b->blob, 0, &v);
	if (b->handed)
		cn_builder_hands_over(b);
	b->blob = NULL;
	return 0;
}

int cnode_builder_term(cnode_builder *b, cnode_term *term)
{
	int rc = finish(b, term);
	cn_builder_fini(b);
	return rc;
}
