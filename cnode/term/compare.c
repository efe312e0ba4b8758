/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Erlang's order of terms. Both sides are walked in step: tuples and lists that were sent in
 * the same shape need no state but a count of what is still to be compared. Only maps and
 * lists in differing shapes recurse, by the terms' nesting, which the verifier has limited:
 * about 400 bytes of stack per level.
 *
 * Follows: "Term Comparisons" in the reference manual; erts_cmp_compound() in utils.c for
 * identifiers and for maps.
 */
#include "cnode/term/walk.h"

#include <math.h>

enum mode {
	ORDER,                      /* ==: 1 is 1.0 */
	EXACT,                      /* =:=, and the order of keys: 1 before 1.0, -0.0 before 0.0 */
	KEYS,                       /* as EXACT, but 0.0 is -0.0, as it was before OTP 27 */
};

struct sides {
	const struct cn_atoms *a, *b;
	enum mode mode;
};

static int compare_terms(const struct sides *s, const uint8_t **a, const uint8_t **b,
			 uint64_t count, enum mode mode);

static int rank(enum cnode_type type)
{
	switch (type) {
	case CNODE_TYPE_INTEGER:
	case CNODE_TYPE_FLOAT:
		return 0;
	case CNODE_TYPE_ATOM:
		return 1;
	case CNODE_TYPE_REF:
		return 2;
	case CNODE_TYPE_FUN:
		return 3;
	case CNODE_TYPE_PORT:
		return 4;
	case CNODE_TYPE_PID:
		return 5;
	case CNODE_TYPE_TUPLE:
		return 6;
	case CNODE_TYPE_RECORD:
		return 7;
	case CNODE_TYPE_MAP:
		return 8;
	case CNODE_TYPE_NIL:
		return 9;
	case CNODE_TYPE_LIST:
		return 10;
	default:
		return 11;
	}
}

#define COMPARE(x, y) (((x) > (y)) - ((x) < (y)))

/* ---- leaves ---- */

static int compare_magnitudes(const struct cn_int *a, const struct cn_int *b)
{
	if (a->big != b->big)
		return a->big ? 1 : -1;
	if (!a->big)
		return COMPARE(a->magnitude, b->magnitude);
	if (a->size != b->size)
		return COMPARE(a->size, b->size);
	for (size_t i = a->size; i; i--)
		if (a->digits[i - 1] != b->digits[i - 1])
			return COMPARE(a->digits[i - 1], b->digits[i - 1]);
	return 0;
}

static int compare_ints(const uint8_t *a, const uint8_t *b)
{
	struct cn_int x = cn_int_at(a), y = cn_int_at(b);
	if (x.negative != y.negative)
		return x.negative ? -1 : 1;
	return x.negative ? compare_magnitudes(&y, &x) : compare_magnitudes(&x, &y);
}

/* |integer| against |float|, exactly. */
static int compare_magnitude_to(const struct cn_int *i, double d)
{
	d = fabs(d);
	if (!i->big) {
		if (d >= 0x1p64)
			return -1;
		uint64_t whole = (uint64_t)d;
		if (i->magnitude != whole)
			return COMPARE(i->magnitude, whole);
		return d > (double)whole ? -1 : 0;
	}

	/* 65 bits at least: the lengths in bits, the first 64 bits, whether any are left. */
	int exponent;
	double mantissa = frexp(d, &exponent);
	size_t last = i->size - 1;
	uint64_t bits = (uint64_t)last * 8 + (32 - (unsigned)__builtin_clz(i->digits[last]));
	if (d == 0 || exponent < 0 || bits != (uint64_t)exponent)
		return d == 0 || exponent < 0 || bits > (uint64_t)exponent ? 1 : -1;
	uint64_t top = 0;
	bool rest = false;
	unsigned shift = (unsigned)__builtin_clz(i->digits[last]) - 24;
	for (size_t n = 0; n < 8; n++)
		top = top << 8 | i->digits[last - n];
	uint8_t after = i->digits[last - 8];
	if (shift) {
		top = top << shift | after >> (8 - shift);
		rest = (uint8_t)(after << shift) != 0;
	} else {
		rest = after != 0;
	}
	for (size_t n = 9; n <= last && !rest; n++)
		rest = i->digits[last - n] != 0;
	uint64_t whole = (uint64_t)ldexp(mantissa, 64);
	if (top != whole)
		return COMPARE(top, whole);
	return rest;
}

static int compare_int_to(const uint8_t *a, double d)
{
	struct cn_int i = cn_int_at(a);
	if (i.negative != (d < 0))
		return i.negative ? -1 : (!i.big && i.magnitude == 0 && d == 0) ? 0 : 1;
	return i.negative ? -compare_magnitude_to(&i, d) : compare_magnitude_to(&i, d);
}

static int compare_numbers(const uint8_t *a, enum cnode_type a_type, const uint8_t *b,
			   enum cnode_type b_type, enum mode mode)
{
	if (a_type == b_type && a_type == CNODE_TYPE_INTEGER)
		return compare_ints(a, b);
	if (a_type == b_type) {
		double x = cn_float_at(a), y = cn_float_at(b);
		if (mode == EXACT && x == 0 && y == 0)
			return !!signbit(y) - !!signbit(x);
		return COMPARE(x, y);
	}
	if (mode != ORDER)
		return a_type == CNODE_TYPE_INTEGER ? -1 : 1;
	return a_type == CNODE_TYPE_INTEGER ? compare_int_to(a, cn_float_at(b))
					    : -compare_int_to(b, cn_float_at(a));
}

static int compare_bytes(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size)
{
	size_t both = a_size < b_size ? a_size : b_size;
	int c = both ? memcmp(a, b, both) : 0;
	return c ? c : COMPARE(a_size, b_size);
}

static __attribute__((noinline)) int compare_atoms(const struct sides *s, const uint8_t *a,
						   const uint8_t *b)
{
	uint8_t a_room[CN_LATIN1_ROOM], b_room[CN_LATIN1_ROOM];
	size_t a_size, b_size;
	const uint8_t *x = cn_atom_at(a, s->a, a_room, &a_size);
	const uint8_t *y = cn_atom_at(b, s->b, b_room, &b_size);
	return compare_bytes(x, a_size, y, b_size);
}

static int compare_bits(const uint8_t *a, const uint8_t *b)
{
	struct cn_bits x = cn_bits_at(a), y = cn_bits_at(b);
	size_t whole = x.size < y.size ? x.size : y.size;
	unsigned x_last = x.last, y_last = y.last;
	if (x.size == 0 || y.size == 0)
		return COMPARE(x.size, y.size);
	whole--;
	int c = memcmp(x.bytes, y.bytes, whole);
	if (c)
		return c;
	unsigned xb = x.size == whole + 1 ? x_last : 8, yb = y.size == whole + 1 ? y_last : 8;
	unsigned both = xb < yb ? xb : yb;
	unsigned mask = 0xffu << (8 - both) & 0xffu;
	c = COMPARE(x.bytes[whole] & mask, y.bytes[whole] & mask);
	if (c)
		return c;
	if (xb != yb)
		return COMPARE(xb, yb);
	return COMPARE(x.size, y.size);
}

static int compare_nodes(const struct sides *s, const struct cn_id *a, const struct cn_id *b)
{
	int c = compare_atoms(s, a->node, b->node);
	return c ? c : COMPARE(a->creation, b->creation);
}

static __attribute__((noinline)) int compare_ids(const struct sides *s, const uint8_t *a,
						 const uint8_t *b, enum cnode_type type)
{
	struct cn_id x = cn_id_at(a), y = cn_id_at(b);
	if (type == CNODE_TYPE_PID) {
		if (x.id[1] != y.id[1])
			return COMPARE(x.id[1], y.id[1]);
		if (x.id[0] != y.id[0])
			return COMPARE(x.id[0], y.id[0]);
		return compare_nodes(s, &x, &y);
	}
	int c = compare_nodes(s, &x, &y);
	if (c)
		return c;
	if (type == CNODE_TYPE_PORT)
		return COMPARE(x.port, y.port);
	for (int i = 4; i >= 0; i--)
		if (x.id[i] != y.id[i])
			return COMPARE(x.id[i], y.id[i]);
	return 0;
}

/* ---- lists of differing shape ---- */

/* Equal lists leave *a and *b behind them. */
static __attribute__((noinline)) int compare_lists(const struct sides *s, const uint8_t **a,
						   const uint8_t **b, enum mode mode)
{
	struct cn_list x, y;
	cn_list_init(&x, *a);
	cn_list_init(&y, *b);
	for (;;) {
		const uint8_t *p = cn_list_peek(&x), *q = cn_list_peek(&y);
		if (!p || !q) {
			/* One has come to its tail; the other is a list there, or at its tail. */
			const uint8_t *x_tail = x.string ? cn_nil_term() : x.at;
			const uint8_t *y_tail = y.string ? cn_nil_term() : y.at;
			int list = rank(CNODE_TYPE_LIST);
			if (p)
				return COMPARE(list, rank(cn_head_at(cn_real(y_tail)).type));
			if (q)
				return COMPARE(rank(cn_head_at(cn_real(x_tail)).type), list);
			p = x_tail;
			q = y_tail;
			int c = compare_terms(s, &p, &q, 1, mode);
			*a = x.string ? x.at : p;
			*b = y.string ? y.at : q;
			return c;
		}
		int c = compare_terms(s, &p, &q, 1, mode);
		if (c)
			return c;
		cn_list_pass(&x, p);
		cn_list_pass(&y, q);
	}
}

/* ---- maps: by size, then by keys in their order, then by values in the keys' order ---- */

struct map_side {
	const struct cn_atoms *atoms;
	const uint8_t *first;       /* key */
	uint32_t count;
	const uint8_t **keys;       /* sorted; NULL: no memory for it, they are searched for */
};

static int compare_keys(const struct cn_atoms *atoms, const uint8_t *a, const uint8_t *b,
			enum mode mode)
{
	const struct sides s = { atoms, atoms, mode };
	return compare_terms(&s, &a, &b, 1, mode);
}

static void sift(const struct cn_atoms *atoms, const uint8_t **keys, size_t root, size_t count,
		 enum mode mode)
{
	for (size_t child; (child = 2 * root + 1) < count; root = child) {
		if (child + 1 < count &&
		    compare_keys(atoms, keys[child], keys[child + 1], mode) < 0)
			child++;
		if (compare_keys(atoms, keys[root], keys[child], mode) >= 0)
			return;
		const uint8_t *k = keys[root];
		keys[root] = keys[child];
		keys[child] = k;
	}
}

/* Heap sort: no memory, no bad case. */
static void sort_keys(const struct cn_atoms *atoms, const uint8_t **keys, size_t count,
		      enum mode mode)
{
	bool sorted = true;
	for (size_t i = 1; i < count && sorted; i++)
		sorted = compare_keys(atoms, keys[i - 1], keys[i], mode) < 0;
	if (sorted)
		return;
	for (size_t i = count / 2; i; i--)
		sift(atoms, keys, i - 1, count, mode);
	for (size_t i = count - 1; i; i--) {
		const uint8_t *k = keys[0];
		keys[0] = keys[i];
		keys[i] = k;
		sift(atoms, keys, 0, i, mode);
	}
}

/* Fills m->keys from `room` or the heap; returns where the map ends. */
static const uint8_t *map_side_init(struct map_side *m, const uint8_t *map,
				    const struct cn_atoms *atoms, const uint8_t **room,
				    size_t room_count)
{
	m->atoms = atoms;
	m->count = cn_load_u32(map + 1);
	m->first = map + 5;
	m->keys = m->count <= room_count ? room : cn_malloc(m->count * sizeof *m->keys);
	const uint8_t *p = m->first;
	for (uint32_t i = 0; i < m->count; i++) {
		if (m->keys)
			m->keys[i] = p;
		p = cn_skip_terms(p, 2);
	}
	if (m->keys && m->count > 1)
		sort_keys(atoms, m->keys, m->count, EXACT);
	return p;
}

/* The i-th key; `last` is the one before it. */
static const uint8_t *key_after(const struct map_side *m, uint32_t i, const uint8_t *last)
{
	if (m->keys)
		return m->keys[i];
	const uint8_t *best = NULL, *p = m->first;
	for (uint32_t n = 0; n < m->count; n++) {
		if ((!last || compare_keys(m->atoms, p, last, EXACT) > 0) &&
		    (!best || compare_keys(m->atoms, p, best, EXACT) < 0))
			best = p;
		p = cn_skip_terms(p, 2);
	}
	return best ? best : last;
}

#define ROOM 4
static __attribute__((noinline)) int compare_maps(const struct sides *s, const uint8_t **a,
						  const uint8_t **b, enum mode mode)
{
	const uint8_t *a_room[ROOM], *b_room[ROOM];
	struct map_side x, y;
	int c = COMPARE(cn_load_u32(*a + 1), cn_load_u32(*b + 1));
	if (c)
		return c;
	*a = map_side_init(&x, *a, s->a, a_room, ROOM);
	*b = map_side_init(&y, *b, s->b, b_room, ROOM);
	for (int values = 0; values < 2 && c == 0; values++) {
		const uint8_t *p = NULL, *q = NULL;
		for (uint32_t i = 0; i < x.count && c == 0; i++) {
			p = key_after(&x, i, p);
			q = key_after(&y, i, q);
			const uint8_t *v = values ? cn_skip(p) : p, *w = values ? cn_skip(q) : q;
			c = compare_terms(s, &v, &w, 1, values || mode != ORDER ? mode : EXACT);
		}
	}
	if (x.keys != a_room)
		cn_free(x.keys);
	if (y.keys != b_room)
		cn_free(y.keys);
	return c;
}

/* ---- all ---- */

/* Where a fun's module begins, and the terms from there on. Exported funs come after the others. */
static int compare_fun_heads(const uint8_t *a, const uint8_t *b)
{
	return COMPARE(*a == CN_EXPORT, *b == CN_EXPORT);
}

/*
 * A local fun: module, index, old uniq, number of free variables, then these; as OTP 25 does.
 * Neither the creator nor the old index, which is the index, counts.
 */
static int compare_local_funs(const struct sides *s, const uint8_t **a, const uint8_t **b,
			      enum mode mode)
{
	const uint8_t *p = *a + 30, *q = *b + 30;
	int c = compare_terms(s, &p, &q, 1, mode);
	if (c == 0)
		c = COMPARE(cn_load_u32(*a + 22), cn_load_u32(*b + 22));
	if (c)
		return c;
	p = cn_skip(p);
	q = cn_skip(q);
	c = compare_terms(s, &p, &q, 1, mode);
	if (c)
		return c;
	c = COMPARE(cn_load_u32(*a + 26), cn_load_u32(*b + 26));
	*a = cn_skip(p);
	*b = cn_skip(q);
	return c;
}

/* `count` terms on each side; equal ones leave *a and *b behind them. */
static int compare_terms(const struct sides *s, const uint8_t **a, const uint8_t **b,
			 uint64_t count, enum mode mode)
{
	const uint8_t *p = *a, *q = *b;
	for (; count; count--) {
		p = cn_real(p);
		q = cn_real(q);
		struct cn_head x = cn_head_at(p), y = cn_head_at(q);
		int c = COMPARE(rank(x.type), rank(y.type));
		if (c)
			return c;
		switch (x.type) {
		case CNODE_TYPE_INTEGER:
		case CNODE_TYPE_FLOAT:
			c = compare_numbers(p, x.type, q, y.type, mode);
			break;
		case CNODE_TYPE_ATOM:
			c = compare_atoms(s, p, q);
			break;
		case CNODE_TYPE_REF:
		case CNODE_TYPE_PORT:
		case CNODE_TYPE_PID:
			c = compare_ids(s, p, q, x.type);
			break;
		case CNODE_TYPE_TUPLE:
			c = COMPARE(x.count, y.count);
			count += x.count;
			break;
		case CNODE_TYPE_RECORD:
			/* module, name, exported, number of fields, their names, their values */
			c = COMPARE(x.count, y.count);
			if (c == 0)
				c = COMPARE(p[5], q[5]);
			count += x.count;
			break;
		case CNODE_TYPE_FUN:
			c = compare_fun_heads(p, q);
			if (c == 0 && *p == CN_NEW_FUN) {
				c = compare_local_funs(s, &p, &q, mode);
				x.size = y.size = 0;
				count += x.count - 4;
			} else if (c == 0) {
				count += 3;
			}
			break;
		case CNODE_TYPE_MAP:
			c = compare_maps(s, &p, &q, mode);
			x.size = y.size = 0;
			break;
		case CNODE_TYPE_NIL:
			break;
		case CNODE_TYPE_LIST:
			if (*p == CN_LIST && *q == CN_LIST && x.count == y.count) {
				count += x.count;
				break;
			}
			if (*p == CN_STRING && *q == CN_STRING) {
				c = compare_bytes(p + 3, x.size - 3, q + 3, y.size - 3);
				break;
			}
			c = compare_lists(s, &p, &q, mode);
			x.size = y.size = 0;
			break;
		default:
			c = compare_bits(p, q);
			break;
		}
		if (c)
			return c;
		p += x.size;
		q += y.size;
	}
	*a = p;
	*b = q;
	return 0;
}

int cn_compare(const uint8_t *a, const struct cn_atoms *a_atoms, const uint8_t *b,
	       const struct cn_atoms *b_atoms, bool exact)
{
	const struct sides s = { a_atoms, b_atoms, exact ? EXACT : ORDER };
	int c = compare_terms(&s, &a, &b, 1, s.mode);
	return COMPARE(c, 0);
}

static bool same_bytes(cnode_term a, cnode_term b)
{
	return a.size_ == b.size_ && a.atoms_ == b.atoms_ &&
	       memcmp(a.bytes_, b.bytes_, a.size_) == 0;
}

int cnode_term_compare(cnode_term a, cnode_term b)
{
	if (cn_term_is_none(a) || cn_term_is_none(b))
		return COMPARE(!cn_term_is_none(a), !cn_term_is_none(b));
	return same_bytes(a, b) ? 0 : cn_compare(a.bytes_, a.atoms_, b.bytes_, b.atoms_, false);
}

bool cnode_term_equal(cnode_term a, cnode_term b)
{
	if (cn_term_is_none(a) || cn_term_is_none(b))
		return cn_term_is_none(a) == cn_term_is_none(b);
	return same_bytes(a, b) || cn_compare(a.bytes_, a.atoms_, b.bytes_, b.atoms_, true) == 0;
}

/* ---- equal keys ---- */

/* The keys of the maps that are open, outer maps first. */
struct open_keys {
	const uint8_t **keys;
	size_t count, room;
};
struct open_level {
	uint64_t left;              /* terms */
	size_t keys;                /* where this map's keys begin in open_keys */
	const uint8_t *map;         /* NULL: no map, or one of a single key */
};

/* Doubles an array; NULL when out of memory, the array is as before then. */
static void *grow(void *array, size_t *room, size_t size)
{
	size_t more = *room ? *room * 2 : 32;
	void *bigger = cn_realloc(array, more * size);
	if (bigger)
		*room = more;
	return bigger;
}

int cn_check_keys(const uint8_t *term, const struct cn_atoms *atoms, size_t *at)
{
	struct open_keys open = { 0 };
	struct open_level *levels = NULL;
	size_t depth = 0, room = 0;
	struct open_level now = { .left = 1 };
	const uint8_t *p = term;
	int rc = 0;

	for (;;) {
		while (now.left == 0) {
			if (now.map) {
				const uint8_t **keys = open.keys + now.keys;
				size_t count = open.count - now.keys;
				sort_keys(atoms, keys, count, KEYS);
				for (size_t i = 1; i < count; i++) {
					if (compare_keys(atoms, keys[i - 1], keys[i], KEYS) == 0) {
						*at = (size_t)(now.map - term);
						rc = CNODE_EBADTERM;
						goto out;
					}
				}
				open.count = now.keys;
			}
			if (depth == 0)
				goto out;
			now = levels[--depth];
		}
		if (now.map && now.left % 2 == 0) {
			if (open.count == open.room) {
				const uint8_t **keys = grow(open.keys, &open.room, sizeof *keys);
				if (!keys)
					goto no_memory;
				open.keys = keys;
			}
			open.keys[open.count++] = p;
		}
		struct cn_head h = cn_head_at(p);
		now.left--;
		const uint8_t *head = p;
		p += h.size;
		if (h.count == 0)
			continue;
		/*
		 * A last element that is no map's goes on in its parent's place: long lists in
		 * parts stay flat.
		 */
		if (now.left || now.map) {
			if (depth == room) {
				struct open_level *more = grow(levels, &room, sizeof *more);
				if (!more)
					goto no_memory;
				levels = more;
			}
			levels[depth++] = now;
		}
		now = (struct open_level){ h.count, open.count,
					    h.type == CNODE_TYPE_MAP && h.count > 2 ? head : NULL };
	}
no_memory:
	rc = CNODE_ENOMEM;
out:
	cn_free(open.keys);
	cn_free(levels);
	return rc;
}
