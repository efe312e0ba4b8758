/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Binaries that a program hands over: their bytes stay where they are, from the builder to the socket. A
 * term that has some is a skeleton with CN_HANDED in their places, and its blob has the list of them. All
 * readers see binaries; who needs plain external format in one piece (ei, a control message) gets a copy.
 */
#include "cnode/term/encode.h"

#define FIRST_HANDED 4u

static void unref_blob(void *blob)
{
	cn_blob_unref(blob);
}

static void give_back(cnode_release_fn *release, void *context)
{
	if (release)
		release(context);
}

void cn_handed_release(struct cn_plain *handed, size_t count)
{
	for (size_t i = 0; i < count; i++)
		give_back(cn_handed_of(handed)[i].release, cn_handed_of(handed)[i].context);
	cn_free(handed);
}

/* ---- building ---- */

static bool has_room(struct cnode_builder *b)
{
	if (b->handed_count < b->handed_room)
		return true;
	uint32_t room = b->handed_room ? 2 * b->handed_room : FIRST_HANDED;
	struct cn_plain *more = cn_realloc(b->handed, sizeof *more + room * sizeof(struct cn_handed));
	if (!more)
		return false;
	b->handed = more;
	b->handed_room = room;
	return true;
}

static void note(struct cnode_builder *b, struct cn_handed h)
{
	cn_handed_of(b->handed)[b->handed_count++] = h;
	b->handed_bytes += h.size;
}

void cnode_build_handed(cnode_builder *b, const void *bytes, size_t size, cnode_release_fn *release, void *context)
{
	int err = !bytes && size ? CNODE_EBADARG
		: size > CN_TERM_BYTES_MAX - b->size || b->handed_bytes > CN_TERM_BYTES_MAX - b->size - size ? CNODE_EBADTERM : 0;
	if (b->err == 0)
		b->err = err;
	if (b->err == 0 && size < CN_HANDED_LEAST) {
		cnode_build_binary(b, bytes, size);
	} else if (b->err == 0 && !has_room(b)) {
		b->err = CNODE_ENOMEM;
	} else if (b->err == 0) {
		uint8_t *p = cn_build_begin(b, CN_HANDED_SIZE);
		if (p) {
			note(b, (struct cn_handed){ b->size, bytes, size, release, context });
			p[0] = CN_HANDED;
			p[1] = CN_BINARY;
			cn_store_u32(p + 2, (uint32_t)size);
			memcpy(p + 6, &bytes, sizeof bytes);
			cn_build_complete(b, p + CN_HANDED_SIZE);
			return;
		}
	}
	give_back(release, context);
}

bool cn_build_handed_term(struct cnode_builder *b, cnode_term t)
{
	uint32_t count;
	bool inside;
	const struct cn_handed *from = cn_handed_in(t, &count, &inside);
	if (!inside)
		return false;
	uint8_t *p = cn_build_begin(b, t.size_);
	if (!p)
		return true;
	memcpy(p, t.bytes_, t.size_);
	for (uint32_t i = 0; i < count; i++) {
		if (!has_room(b)) {
			b->err = CNODE_ENOMEM;
			return true;
		}
		/* The blob that the program's bytes were handed to is counted, however often its term was copied. */
		bool counted = from[i].release == unref_blob;
		struct cn_blob *owner = cn_blob_ref(counted ? from[i].context : t.owner_);
		size_t at = b->size + from[i].at - (size_t)(t.bytes_ - t.owner_->bytes);
		note(b, (struct cn_handed){ at, from[i].bytes, from[i].size, unref_blob, owner });
	}
	if (b->handed_bytes > CN_TERM_BYTES_MAX - b->size)
		b->err = CNODE_EBADTERM;
	else
		cn_build_complete(b, p + t.size_);
	return true;
}

void cn_builder_hands_over(struct cnode_builder *b)
{
	struct cn_plain *list = b->handed;
	list->of = b->blob->bytes;
	list->what = CN_PLAIN_HANDED;
	list->size = b->handed_count;
	(void)cn_plain_add(b->blob, list);      /* the first: nobody else has the blob yet */
	b->blob->flags |= CN_BLOB_HANDED | CN_BLOB_ODD;
	b->handed = NULL;
	b->handed_count = 0;
}

/* ---- reading ---- */

const struct cn_handed *cn_handed_in(cnode_term t, uint32_t *count, bool *inside)
{
	const uint8_t *base = t.owner_->bytes;
	*count = 0;
	*inside = t.bytes_ >= base && t.bytes_ < base + t.owner_->size;
	if (!*inside)
		return NULL;
	struct cn_plain *list = (struct cn_plain *)(uintptr_t)cn_plain_find(t.owner_, base, CN_PLAIN_HANDED);
	const struct cn_handed *all = cn_handed_of(list), *first = all, *end = all + list->size;
	size_t from = (size_t)(t.bytes_ - base), to = from + t.size_;
	while (first < end && first->at < from)
		first++;
	while (first + *count < end && first[*count].at < to)
		++*count;
	return first;
}

size_t cn_term_weight(cnode_term t)
{
	size_t size = t.size_;
	uint32_t count;
	bool inside;
	if (!cn_term_is_handed(t))
		return size;
	const struct cn_handed *h = cn_handed_in(t, &count, &inside);
	for (uint32_t i = 0; i < count; i++)
		size += h[i].size;
	return size;
}

/* ---- going out ---- */

static int outgoing_runs(cnode_term t, const struct cn_term_limits *limits, struct cn_runs *runs, size_t *size,
			 const char **why)
{
	struct cn_term_limits strict = *limits;
	bool inside;
	strict.flags |= CN_TERM_OUTBOUND | CN_TERM_HANDED;
	if (strict.bytes == 0 || strict.bytes > CN_TERM_BYTES_MAX)
		strict.bytes = CN_TERM_BYTES_MAX;
	*runs = (struct cn_runs){ .at = t.bytes_, .left = t.size_, .base = t.owner_->bytes, .end = t.bytes_ + t.size_ };
	*size = t.size_;
	runs->next = cn_handed_in(t, &runs->count, &inside);
	if (!inside) {
		/* A part of a list, copied: it goes out like any other term. */
		const uint8_t *plain;
		int rc = cn_term_outgoing(t, limits, NULL, &plain, size, why);
		*runs = (struct cn_runs){ .at = plain, .left = *size };
		return rc;
	}
	if (runs->count)
		runs->left = (size_t)(runs->base + runs->next->at - runs->at);
	for (uint32_t i = 0; i < runs->count; i++)
		*size += runs->next[i].size + 5 - CN_HANDED_SIZE;
	if (*size > strict.bytes) {
		*why = "larger than the limit of a message";
		return CNODE_ETOOBIG;
	}
	struct cn_verify v;
	cn_verify_init(&v, &strict, 0);
	int rc = cn_verify_all(&v, t.bytes_, t.size_);
	*why = v.reason;
	return rc;
}

int cn_term_outgoing_runs(cnode_term t, const struct cn_term_limits *limits, struct cn_runs *runs, size_t *size,
			  const char **reason)
{
	const char *why = NULL;
	int rc = outgoing_runs(t, limits, runs, size, &why);
	if (reason)
		*reason = why ? why : rc ? cnode_strerror(rc) : NULL;
	return rc;
}

bool cn_runs_next(struct cn_runs *r, size_t most, const uint8_t **bytes, size_t *size)
{
	while (r->left == 0) {
		if (r->count == 0)
			return false;
		const uint8_t *tag = r->base + r->next->at;
		switch (r->kind) {
		case CN_RUN_TERM:
			r->kind = CN_RUN_HEAD;
			r->at = tag + 1;
			r->left = 5;
			break;
		case CN_RUN_HEAD:
			r->kind = CN_RUN_HANDED;
			r->at = r->next->bytes;
			r->left = r->next->size;
			break;
		case CN_RUN_HANDED:
			r->kind = CN_RUN_TERM;
			r->at = tag + CN_HANDED_SIZE;
			r->next++;
			r->count--;
			r->left = (size_t)((r->count ? r->base + r->next->at : r->end) - r->at);
			break;
		}
	}
	*bytes = r->at;
	*size = r->left < most ? r->left : most;
	r->at += *size;
	r->left -= *size;
	return true;
}
