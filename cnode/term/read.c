/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reader: a cursor over a verified term. Counts and lengths were checked by the verifier;
 * what is checked here is only whether the program reads what is there.
 */
#include "cnode/term/walk.h"

#include <math.h>

enum cnode_type cnode_term_type(cnode_term term)
{
	return cn_term_is_none(term) ? CNODE_TYPE_NONE : cn_head_at(cn_real(term.bytes_)).type;
}

/* ---- single terms ---- */

bool cn_atom_is(const uint8_t *p, const struct cn_atoms *atoms, const void *text, size_t size)
{
	if (CN_LIKELY(*p == CN_SMALL_ATOM_UTF8))
		return p[1] == size && memcmp(p + 2, text, size) == 0;
	uint8_t room[CN_LATIN1_ROOM];
	size_t have;
	const uint8_t *at = cn_atom_at(p, atoms, room, &have);
	return have == size && memcmp(at, text, size) == 0;
}

/*
 * The text inside the term or its table; NULL for Latin-1 beyond ASCII, which would have to be
 * converted.
 */
static const char *borrow_atom(const uint8_t *p, const struct cn_atoms *atoms, size_t *size)
{
	uint8_t room[CN_LATIN1_ROOM];
	const uint8_t *text = cn_atom_at(p, atoms, room, size);
	if (text != room)
		return (const char *)text;
	/* ASCII is the same in both, and no other text keeps its size. */
	size_t head = *p == CN_SMALL_ATOM ? 2 : 3;
	return head + *size == cn_atom_size(p) ? (const char *)p + head : NULL;
}

bool cn_term_is_atom(cnode_term t, const char *text)
{
	if (cn_term_is_none(t))
		return false;
	const uint8_t *p = cn_real(t.bytes_);
	return cn_is_atom_tag(*p) && cn_atom_is(p, t.atoms_, text, strlen(text));
}

const char *cn_term_atom(cnode_term t, size_t *size)
{
	if (cn_term_is_none(t))
		return NULL;
	const uint8_t *p = cn_real(t.bytes_);
	return cn_is_atom_tag(*p) ? borrow_atom(p, t.atoms_, size) : NULL;
}

static inline int node_of(const uint8_t *p, const struct cn_atoms *atoms, cnode_name *name)
{
	if (CN_LIKELY(*p == CN_SMALL_ATOM_UTF8))
		return cn_name_of(p + 2, p[1], name);
	uint8_t room[CN_LATIN1_ROOM];
	size_t size;
	const uint8_t *text = cn_atom_at(p, atoms, room, &size);
	return cn_name_of(text, size, name);
}

int cn_pid_at(const uint8_t *p, const struct cn_atoms *atoms, cnode_pid *pid)
{
	if (CN_LIKELY(*p == CN_NEW_PID)) {
		const uint8_t *q = p + 1 + cn_atom_size(p + 1);
		pid->id = cn_load_u32(q);
		pid->serial = cn_load_u32(q + 4);
		pid->creation = cn_load_u32(q + 8);
		return node_of(p + 1, atoms, &pid->node);
	}
	if (*p != CN_PID)
		return CNODE_EBADARG;
	struct cn_id id = cn_id_at(p);
	pid->id = id.id[0];
	pid->serial = id.id[1];
	pid->creation = id.creation;
	return node_of(id.node, atoms, &pid->node);
}

int cn_ref_at(const uint8_t *p, const struct cn_atoms *atoms, cnode_ref *ref)
{
	if (CN_LIKELY(*p == CN_NEWER_REFERENCE)) {
		uint32_t words = cn_load_u16(p + 1);
		const uint8_t *q = p + 3 + cn_atom_size(p + 3);
		if (words == 0)
			return CNODE_EBADARG;
		ref->creation = cn_load_u32(q);
		ref->words = words;
		for (uint32_t i = 0; i < CN_ARRAY_SIZE(ref->id); i++)
			ref->id[i] = i < words ? cn_load_u32(q + 4 + 4 * i) : 0;
		return node_of(p + 3, atoms, &ref->node);
	}
	if (*p != CN_NEW_REFERENCE && *p != CN_REFERENCE)
		return CNODE_EBADARG;
	struct cn_id id = cn_id_at(p);
	if (id.words == 0)
		return CNODE_EBADARG;
	ref->creation = id.creation;
	ref->words = id.words;
	memcpy(ref->id, id.id, sizeof ref->id);
	return node_of(id.node, atoms, &ref->node);
}

int cn_term_pid(cnode_term t, cnode_pid *pid)
{
	return cn_term_is_none(t) ? CNODE_EBADARG : cn_pid_at(cn_real(t.bytes_), t.atoms_, pid);
}

int cn_term_ref(cnode_term t, cnode_ref *ref)
{
	return cn_term_is_none(t) ? CNODE_EBADARG : cn_ref_at(cn_real(t.bytes_), t.atoms_, ref);
}

bool cn_int64_at(const uint8_t *p, int64_t *v)
{
	if (*p == CN_SMALL_INTEGER) {
		*v = p[1];
		return true;
	}
	if (*p == CN_INTEGER) {
		*v = (int32_t)cn_load_u32(p + 1);
		return true;
	}
	if (*p != CN_SMALL_BIG && *p != CN_LARGE_BIG)
		return false;
	struct cn_int i = cn_int_at(p);
	if (i.big || i.magnitude > (uint64_t)INT64_MAX + i.negative)
		return false;
	*v = (int64_t)(i.negative ? -i.magnitude : i.magnitude);
	return true;
}

bool cn_uint64_at(const uint8_t *p, uint64_t *v)
{
	if (cn_head_at(p).type != CNODE_TYPE_INTEGER)
		return false;
	struct cn_int i = cn_int_at(p);
	*v = i.magnitude;
	return !i.big && !i.negative;
}

bool cn_double_at(const uint8_t *p, double *v)
{
	enum cnode_type type = cn_head_at(p).type;
	if (type == CNODE_TYPE_FLOAT) {
		*v = cn_float_at(p);
		return true;
	}
	if (type != CNODE_TYPE_INTEGER)
		return false;
	struct cn_int i = cn_int_at(p);
	if (i.big) {
		/*
		 * The first 64 bits, with a sticky last one for those that follow, round as the
		 * whole would.
		 */
		uint64_t top = 0;
		bool rest = false;
		unsigned shift = (unsigned)__builtin_clz(i.digits[i.size - 1]) - 24;
		for (size_t n = 0; n < 8; n++)
			top = top << 8 | i.digits[i.size - 1 - n];
		uint8_t after = i.digits[i.size - 9];
		if (shift) {
			top = top << shift | after >> (8 - shift);
			after = (uint8_t)(after << shift);
		}
		rest = after != 0;
		for (size_t n = 0; n < i.size - 9 && !rest; n++)
			rest = i.digits[n] != 0;
		if (i.size > 1024)
			return false;
		*v = ldexp((double)(top | rest), (int)(8 * (i.size - 8)) - (int)shift);
	} else {
		*v = (double)i.magnitude;
	}
	*v = i.negative ? -*v : *v;
	return isfinite(*v);
}

/* ---- the cursor ---- */

/* What an element of a STRING_EXT is, as a term of its own: these need an address that stays. */
#define BYTE_TERM(n) { CN_SMALL_INTEGER, n }
#define BYTE_TERMS_4(n) BYTE_TERM(n), BYTE_TERM(n + 1), BYTE_TERM(n + 2), BYTE_TERM(n + 3)
#define BYTE_TERMS_16(n)                                                                           \
	BYTE_TERMS_4(n), BYTE_TERMS_4(n + 4), BYTE_TERMS_4(n + 8), BYTE_TERMS_4(n + 12)
#define BYTE_TERMS_64(n)                                                                           \
	BYTE_TERMS_16(n), BYTE_TERMS_16(n + 16), BYTE_TERMS_16(n + 32), BYTE_TERMS_16(n + 48)
static const uint8_t byte_terms[256][2] = {
	BYTE_TERMS_64(0), BYTE_TERMS_64(64), BYTE_TERMS_64(128), BYTE_TERMS_64(192),
};
static const uint8_t nil_term[] = { CN_NIL };

const uint8_t *cn_byte_term(uint8_t byte)
{
	return byte_terms[byte];
}

const uint8_t *cn_nil_term(void)
{
	return nil_term;
}

cnode_term cn_term_inside(cnode_term of, const uint8_t *p)
{
	uintptr_t at = (uintptr_t)p;
	if (p == nil_term ||
	    (at >= (uintptr_t)byte_terms && at < (uintptr_t)byte_terms + sizeof byte_terms))
		return cn_term_static(p, cn_head_at(p).size);
	return (cnode_term){ p, (size_t)(cn_skip(p) - p), of.atoms_, of.owner_ };
}

cnode_reader cnode_read(cnode_term term)
{
	return (cnode_reader){ 0, term, term.bytes_, term.bytes_ + term.size_, 0 };
}

/*
 * The term that is read next; NULL at the end or after an error. string_left_ counts the [] behind
 * a string, too.
 */
static inline const uint8_t *next_term(const cnode_reader *r)
{
	if (CN_UNLIKELY(r->error))
		return NULL;
	if (CN_UNLIKELY(r->string_left_))
		return r->string_left_ > 1 ? byte_terms[*r->at_] : nil_term;
	return r->at_ == r->end_ ? NULL : cn_real(r->at_);
}

static inline void pass(cnode_reader *r, const uint8_t *p, size_t size)
{
	if (CN_UNLIKELY(r->string_left_)) {
		if (--r->string_left_)
			r->at_++;
	} else {
		r->at_ = p + size;
	}
}

static void mismatch(cnode_reader *r)
{
	if (r->error == 0)
		r->error = CNODE_EBADARG;
}

enum cnode_type cnode_read_type(const cnode_reader *r)
{
	const uint8_t *p = next_term(r);
	return p ? cn_head_at(p).type : CNODE_TYPE_NONE;
}

int64_t cnode_read_int64(cnode_reader *r)
{
	const uint8_t *p = next_term(r);
	int64_t v = 0;
	if (!p || !cn_int64_at(p, &v)) {
		mismatch(r);
		return 0;
	}
	pass(r, p, cn_head_at(p).size);
	return v;
}

uint64_t cnode_read_uint64(cnode_reader *r)
{
	const uint8_t *p = next_term(r);
	uint64_t v = 0;
	if (!p || !cn_uint64_at(p, &v)) {
		mismatch(r);
		return 0;
	}
	pass(r, p, cn_head_at(p).size);
	return v;
}

double cnode_read_double(cnode_reader *r)
{
	const uint8_t *p = next_term(r);
	double v = 0;
	if (!p || !cn_double_at(p, &v)) {
		mismatch(r);
		return 0;
	}
	pass(r, p, cn_head_at(p).size);
	return v;
}

const char *cnode_read_atom(cnode_reader *r, size_t *size)
{
	const uint8_t *p = next_term(r);
	const char *text = p && cn_is_atom_tag(*p) ? borrow_atom(p, r->term_.atoms_, size) : NULL;
	if (!text) {
		mismatch(r);
		*size = 0;
		return NULL;
	}
	pass(r, p, cn_atom_size(p));
	return text;
}

bool cnode_read_is_atom(cnode_reader *r, const char *text)
{
	const uint8_t *p = next_term(r);
	if (!p || !cn_is_atom_tag(*p)) {
		mismatch(r);
		return false;
	}
	pass(r, p, cn_atom_size(p));
	return cn_atom_is(p, r->term_.atoms_, text, strlen(text));
}

const void *cnode_read_binary(cnode_reader *r, size_t *size)
{
	const uint8_t *p = next_term(r);
	if (!p || cn_head_at(p).type != CNODE_TYPE_BINARY) {
		mismatch(r);
		*size = 0;
		return NULL;
	}
	struct cn_bits bits = cn_bits_at(p);
	pass(r, p, cn_head_at(p).size);
	*size = bits.size;
	return bits.bytes;
}

static void copy_atom(const uint8_t *p, const struct cn_atoms *atoms, cnode_atom *to)
{
	uint8_t room[CN_LATIN1_ROOM];
	const uint8_t *text = cn_atom_at(p, atoms, room, &to->size);
	memcpy(to->text, text, to->size);
	to->text[to->size] = 0;
}

bool cnode_read_fun(cnode_reader *r, cnode_atom *module, cnode_atom *function, unsigned *arity)
{
	const uint8_t *p = next_term(r);
	int64_t n;
	if (!p || cn_head_at(p).type != CNODE_TYPE_FUN) {
		mismatch(r);
		return false;
	}
	size_t size = (size_t)(cn_skip(p) - p);
	if (*p == CN_EXPORT) {
		const uint8_t *name = p + 1 + cn_atom_size(p + 1), *count = name + cn_atom_size(name);
		copy_atom(p + 1, r->term_.atoms_, module);
		copy_atom(name, r->term_.atoms_, function);
		*arity = cn_int64_at(count, &n) ? (unsigned)n : 0;
	} else {
		copy_atom(p + 30, r->term_.atoms_, module);
		function->size = 0;
		function->text[0] = 0;
		*arity = p[5];
	}
	pass(r, p, size);
	return true;
}

cnode_pid cnode_read_pid(cnode_reader *r)
{
	const uint8_t *p = next_term(r);
	cnode_pid pid = { 0 };
	int rc = p ? cn_pid_at(p, r->term_.atoms_, &pid) : CNODE_EBADARG;
	if (rc) {
		if (r->error == 0)
			r->error = rc == CNODE_EBADNAME ? CNODE_EBADARG : rc;
		return (cnode_pid){ 0 };
	}
	pass(r, p, cn_head_at(p).size);
	return pid;
}

cnode_ref cnode_read_ref(cnode_reader *r)
{
	const uint8_t *p = next_term(r);
	cnode_ref ref = { 0 };
	int rc = p ? cn_ref_at(p, r->term_.atoms_, &ref) : CNODE_EBADARG;
	if (rc) {
		if (r->error == 0)
			r->error = rc == CNODE_EBADNAME ? CNODE_EBADARG : rc;
		return (cnode_ref){ 0 };
	}
	pass(r, p, cn_head_at(p).size);
	return ref;
}

size_t cnode_read_tuple(cnode_reader *r)
{
	const uint8_t *p = next_term(r);
	if (!p || (*p != CN_SMALL_TUPLE && *p != CN_LARGE_TUPLE)) {
		mismatch(r);
		return 0;
	}
	struct cn_head h = cn_head_at(p);
	pass(r, p, h.size);
	return (size_t)h.count;
}

size_t cnode_read_list(cnode_reader *r)
{
	const uint8_t *p = next_term(r);
	enum cnode_type type = p ? cn_head_at(p).type : CNODE_TYPE_NONE;
	if (type == CNODE_TYPE_NIL) {
		pass(r, p, cn_head_at(p).size);
		return 0;
	}
	if (type != CNODE_TYPE_LIST) {
		mismatch(r);
		return 0;
	}
	if (*p == CN_STRING) {
		size_t length = cn_load_u16(p + 1);
		r->at_ = p + 3;
		r->string_left_ = length + 1;
		return length;
	}
	pass(r, p, 5);
	return cn_load_u32(p + 1);
}

size_t cnode_read_map(cnode_reader *r)
{
	const uint8_t *p = next_term(r);
	if (!p || *p != CN_MAP) {
		mismatch(r);
		return 0;
	}
	pass(r, p, 5);
	return cn_load_u32(p + 1);
}

cnode_term cnode_read_term(cnode_reader *r)
{
	const uint8_t *p = next_term(r);
	if (!p) {
		mismatch(r);
		return (cnode_term){ 0 };
	}
	cnode_term term = cn_term_inside(r->term_, p);
	pass(r, p, term.size_);
	return term;
}

bool cnode_ref_equal(cnode_ref a, cnode_ref b)
{
	if (a.node != b.node || a.creation != b.creation || a.words != b.words ||
	    a.words > CN_ARRAY_SIZE(a.id))
		return false;
	return memcmp(a.id, b.id, a.words * sizeof a.id[0]) == 0;
}
