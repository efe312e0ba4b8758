/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The counted memory behind terms, and a term's life: keep, drop, from bytes. A blob, its
 * atom table and the atoms' texts are one allocation: bytes, then the table, then the texts.
 */
#include "cnode/term/walk.h"

static struct cn_blob immortal = { .refs = 1, .flags = CN_BLOB_STATIC };

/*
 * Large blobs are kept for the next one of about their size: memory that the kernel takes
 * back and gives again costs a fault for each page, more than all else about a message of
 * 1 MB. Lock-free: a slot is emptied before its blob is looked at.
 */
#define POOL_SLOTS 8
#define POOL_LEAST ((size_t)64 << 10)
#define POOL_MOST ((size_t)4 << 20)        /* so that at most 32 MiB are kept */
static _Atomic(struct cn_blob *) pool[POOL_SLOTS];

static void pool_give(struct cn_blob *b)
{
	for (size_t i = 0; i < POOL_SLOTS; i++) {
		struct cn_blob *none = NULL;
		if (atomic_compare_exchange_strong_explicit(&pool[i], &none, b, memory_order_acq_rel, memory_order_relaxed))
			return;
	}
	cn_free(b);
}

static struct cn_blob *pool_take(size_t size)
{
	for (size_t i = 0; i < POOL_SLOTS; i++) {
		if (!atomic_load_explicit(&pool[i], memory_order_relaxed))
			continue;
		struct cn_blob *b = atomic_exchange_explicit(&pool[i], NULL, memory_order_acq_rel);
		if (b && b->room >= size && b->room / 2 <= size)
			return b;
		if (b)
			pool_give(b);
	}
	return NULL;
}

static bool is_pooled(size_t size)
{
	return size >= POOL_LEAST && size <= POOL_MOST;
}

struct cn_blob *cn_blob_new(size_t size)
{
	if (size > SIZE_MAX / 2)
		return NULL;
	struct cn_blob *b = is_pooled(size) ? pool_take(size) : NULL;
	if (!b) {
		b = cn_malloc(sizeof *b + size);
		if (!b)
			return NULL;
		b->room = size;
	}
	atomic_init(&b->refs, 1);
	atomic_init(&b->plain, NULL);
	atomic_init(&b->spare, 0);
	b->flags = 0;
	b->size = size;
	b->atoms = NULL;
	return b;
}

struct cn_blob *cn_blob_new_atoms(size_t size, uint16_t count, size_t text_size)
{
	if (count == 0)
		return cn_blob_new(size);
	if (size > SIZE_MAX / 4 || text_size > SIZE_MAX / 4)
		return NULL;
	size_t align = _Alignof(struct cn_atoms);
	size_t table = (offsetof(struct cn_blob, bytes) + size + align - 1) / align * align;
	size_t texts = table + sizeof(struct cn_atoms) + count * sizeof(struct cn_atom_text);
	struct cn_blob *b = cn_malloc(texts + text_size);
	if (!b)
		return NULL;
	atomic_init(&b->refs, 1);
	atomic_init(&b->plain, NULL);
	atomic_init(&b->spare, 0);
	b->flags = 0;
	b->size = size;
	b->room = texts + text_size - sizeof *b;
	b->atoms = (struct cn_atoms *)(void *)((char *)b + table);
	b->atoms->count = 0;
	/* The first free byte for a text; cn_blob_add_atom goes on behind the last one. */
	b->atoms->at[0] = (struct cn_atom_text){ (uint8_t *)b + texts, 0 };
	return b;
}

void cn_blob_add_atom(struct cn_blob *b, const void *text, uint16_t size)
{
	struct cn_atoms *a = b->atoms;
	const uint8_t *free_at = a->count ? a->at[a->count - 1].text + a->at[a->count - 1].size
					  : a->at[0].text;
	uint8_t *to = b->bytes + (free_at - b->bytes);
	memcpy(to, text, size);
	a->at[a->count++] = (struct cn_atom_text){ to, size };
}

static inline bool is_used(uint64_t used, unsigned i)
{
	return used >> (i & 63) & 1;
}

/* The spare memory is in front of the table. */
struct cn_blob *cn_blob_new_message(size_t size, const struct cn_atom_text *atoms, unsigned count, uint64_t used)
{
	size_t text_size = 0;
	for (unsigned i = 0; i < count; i++)
		text_size += is_used(used, i) ? atoms[i].size : 0u;
	if (size > UINT32_MAX / 4)
		return NULL;
	size_t align = _Alignof(struct cn_atoms) > _Alignof(void *) ? _Alignof(struct cn_atoms) : _Alignof(void *);
	size_t spare = (offsetof(struct cn_blob, bytes) + size + align - 1) / align * align;
	size_t table = spare + (CN_BLOB_SPARE + align - 1) / align * align;
	size_t texts = table + (count ? sizeof(struct cn_atoms) + count * sizeof(struct cn_atom_text) : 0);
	struct cn_blob *b = cn_malloc(texts + text_size);
	if (!b)
		return NULL;
	atomic_init(&b->refs, 1);
	atomic_init(&b->plain, NULL);
	atomic_init(&b->spare, (uint32_t)spare);
	b->flags = 0;
	b->size = size;
	b->room = texts + text_size - sizeof *b;
	b->atoms = NULL;
	if (count > 0) {
		uint8_t *to = (uint8_t *)b + texts;
		b->atoms = (struct cn_atoms *)(void *)((char *)b + table);
		b->atoms->count = (uint16_t)count;
		for (unsigned i = 0; i < count; i++) {
			uint16_t n = is_used(used, i) ? atoms[i].size : 0;
			b->atoms->at[i] = (struct cn_atom_text){ to, n };
			if (n > 0)
				memcpy(to, atoms[i].text, n);
			to += n;
		}
	}
	return b;
}

void *cn_term_spare(cnode_term term)
{
	struct cn_blob *b = term.owner_;
	if (!b || !atomic_load_explicit(&b->spare, memory_order_relaxed))
		return NULL;
	uint32_t spare = atomic_exchange_explicit(&b->spare, 0, memory_order_relaxed);
	return spare ? (char *)b + spare : NULL;
}

struct cn_blob *cn_blob_resize(struct cn_blob *b, size_t size)
{
	if (size > SIZE_MAX / 2)
		return NULL;
	/* What is to be given back to the pool is not made smaller. */
	if (size <= b->room && is_pooled(b->room)) {
		b->size = size;
		return b;
	}
	struct cn_blob *moved = cn_realloc(b, sizeof *b + size);
	if (moved)
		moved->size = moved->room = size;
	return moved;
}

struct cn_blob *cn_blob_ref(struct cn_blob *b)
{
	if (b && !(b->flags & CN_BLOB_STATIC))
		atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
	return b;
}

/* At most some 30 deep: see plain_path. */
static void plain_free(struct cn_plain *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < CN_ARRAY_SIZE(p->below); i++)
		plain_free(atomic_load_explicit(&p->below[i], memory_order_relaxed));
	if (p->what == CN_PLAIN_HANDED)
		cn_handed_release(p, p->size);
	else
		cn_free(p);
}

void cn_blob_unref(struct cn_blob *b)
{
	if (!b || b->flags & CN_BLOB_STATIC)
		return;
	/* The only reference needs no atomic subtraction: nobody else can add one. */
	if (atomic_load_explicit(&b->refs, memory_order_acquire) != 1 &&
	    atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) != 1)
		return;
	plain_free(atomic_load_explicit(&b->plain, memory_order_acquire));
	if (is_pooled(b->room))
		pool_give(b);
	else
		cn_free(b);
}

/* ---- what was derived ---- */

/*
 * Each two bits of this, the highest first, say which way to go. Different terms have different ones, as the factor is odd, so
 * no peer can make the tree deeper than the bits last; and those of neighbours differ early.
 */
static uint64_t plain_path(const uint8_t *of, uint8_t what)
{
	return ((uint64_t)(uintptr_t)of << 2 | what) * UINT64_C(0x9e3779b97f4a7c15);
}

const struct cn_plain *cn_plain_find(struct cn_blob *blob, const uint8_t *of, uint8_t what)
{
	const struct cn_plain *p = atomic_load_explicit(&blob->plain, memory_order_acquire);
	uint64_t path = plain_path(of, what);
	for (; p && (p->of != of || p->what != what); path <<= 2)
		p = atomic_load_explicit(&p->below[path >> 62], memory_order_acquire);
	return p;
}

const struct cn_plain *cn_plain_add(struct cn_blob *blob, struct cn_plain *plain)
{
	_Atomic(struct cn_plain *) *at = &blob->plain;
	uint64_t path = plain_path(plain->of, plain->what);
	for (size_t i = 0; i < CN_ARRAY_SIZE(plain->below); i++)
		atomic_init(&plain->below[i], NULL);
	for (;; path <<= 2) {
		struct cn_plain *other = NULL;
		if (atomic_compare_exchange_strong_explicit(at, &other, plain, memory_order_acq_rel, memory_order_acquire))
			return plain;
		if (other->of == plain->of && other->what == plain->what) {
			cn_free(plain);
			return other;
		}
		at = &other->below[path >> 62];
	}
}

/* ---- terms ---- */

cnode_term cn_term_of_verified(struct cn_blob *blob, size_t offset, const struct cn_verify *v)
{
	blob->flags |= v->odd ? CN_BLOB_ODD : 0;
	return (cnode_term){ blob->bytes + offset, v->offset, v->cached ? blob->atoms : NULL,
			      blob };
}

cnode_term cn_term_borrowed(const void *bytes, const struct cn_atoms *atoms,
			    const struct cn_verify *v)
{
	return (cnode_term){ bytes, v->offset, v->cached ? atoms : NULL, NULL };
}

cnode_term cn_term_static(const void *bytes, size_t size)
{
	return (cnode_term){ bytes, size, NULL, &immortal };
}

int cnode_term_keep(cnode_term term, cnode_term *kept)
{
	if (term.owner_ || cn_term_is_none(term)) {
		cn_blob_ref(term.owner_);
		*kept = term;
		return 0;
	}

	/* Borrowed memory. The atoms it refers to are copied with it, those it needs or not. */
	const struct cn_atoms *a = term.atoms_;
	size_t text_size = 0;
	for (unsigned i = 0; a && i < a->count; i++)
		text_size += a->at[i].size;
	struct cn_blob *b = cn_blob_new_atoms(term.size_, a ? a->count : 0, text_size);
	if (!b)
		return CNODE_ENOMEM;
	memcpy(b->bytes, term.bytes_, term.size_);
	for (unsigned i = 0; a && i < a->count; i++)
		cn_blob_add_atom(b, a->at[i].text, a->at[i].size);
	b->flags = CN_BLOB_ODD;     /* unknown: a plain copy finds out */
	*kept = (cnode_term){ b->bytes, term.size_, b->atoms, b };
	return 0;
}

void cnode_term_drop(cnode_term term)
{
	cn_blob_unref(term.owner_);
}

int cnode_term_from_bytes(const void *bytes, size_t size, cnode_term *term)
{
	const uint8_t *p = bytes;
	if (size && *p == CN_VERSION) {
		p++;
		size--;
	}
	if (size == 0)
		return CNODE_EBADTERM;

	static const struct cn_term_limits limits = { .flags = CN_TERM_OUTBOUND | CN_TERM_RECORDS };
	struct cn_verify v;
	cn_verify_init(&v, &limits, 0);
	int rc = cn_verify_all(&v, p, size);
	if (rc)
		return rc == CNODE_ENOMEM ? rc : CNODE_EBADTERM;
	if (v.offset != size)
		return CNODE_EBADTERM;
	struct cn_blob *b = cn_blob_new(size);
	if (!b)
		return CNODE_ENOMEM;
	memcpy(b->bytes, p, size);
	*term = cn_term_of_verified(b, 0, &v);
	return 0;
}

void cnode_free(void *p)
{
	cn_free(p);
}
