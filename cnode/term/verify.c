/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verifier: from bytes of a peer (or of a user) to something that may be walked without
 * looking at lengths. One pass, no recursion; every count is checked against the bytes that
 * can still come, so that the work is linear in the bytes that really arrived.
 *
 * One item (a leaf, or the fixed part of a compound) is either taken as a whole or not at
 * all: that is what makes it resumable, the state is a byte offset and the elements left on
 * each level. Follows erl_ext_dist and the checks of decoded_size_term() in external.c.
 */
#include "cnode/term/walk.h"

/* The elements left on one level, with what kind of level it is. */
#define LEVEL_LIST (UINT64_C(1) << 63)      /* the tail comes behind them */
#define LEVEL_ATOMS (UINT64_C(1) << 62)     /* only atoms: a record's field names */

#define MAX_ARITY 0xffffffu
/* BEAM nodes of OTP 26 and later hold integers of fewer than 2^22 bits. */
#define MAX_BIG_OUT (65535u * 8u)

/* One turn's view of the bytes. */
struct turn {
	struct cn_verify *v;
	const uint8_t *start;
	const uint8_t *end;         /* of what has arrived */
	bool out;
	bool narrow;
	bool record_sites;
	const char *why;            /* NULL while good and complete; CUT: more bytes are needed */
};
static const char cut[] = "truncated";

static inline size_t left_of(const struct turn *t, const uint8_t *p)
{
	return (size_t)(t->end - p);
}

#define NEED(n) \
	do { \
		if (CN_UNLIKELY(left_of(t, p) < (size_t)(n))) { \
			t->why = cut; \
			return NULL; \
		} \
	} while (0)
#define REFUSE(text) \
	do { \
		t->why = (text); \
		return NULL; \
	} while (0)

/* ---- text ---- */

static inline bool is_ascii(const uint8_t *s, size_t n)
{
	uint64_t w, all = 0;
	if (n >= 8) {
		/* Eight at a time; the last eight may overlap those before. */
		for (const uint8_t *last = s + n - 8; s < last; s += 8, n -= 8) {
			memcpy(&w, s, 8);
			all |= w;
		}
		memcpy(&w, s + n - 8, 8);
		all |= w;
	} else if (n >= 4) {
		uint32_t first, last;
		memcpy(&first, s, 4);
		memcpy(&last, s + n - 4, 4);
		all = first | last;
	} else if (n) {
		all = s[0] | s[n / 2] | s[n - 1];
	}
	return !(all & UINT64_C(0x8080808080808080));
}

size_t cn_utf8_length(const uint8_t *s, size_t size)
{
	const uint8_t *end = s + size;
	size_t chars = 0;
	for (; s < end; chars++) {
		uint8_t c = *s;
		size_t n = c < 0x80   ? 1
			   : c < 0xc2 ? 0
			   : c < 0xe0 ? 2
			   : c < 0xf0 ? 3
			   : c < 0xf5 ? 4
				      : 0;
		if (n == 0 || (size_t)(end - s) < n)
			return SIZE_MAX;
		for (size_t i = 1; i < n; i++)
			if ((s[i] & 0xc0) != 0x80)
				return SIZE_MAX;
		/* overlong forms, surrogates, beyond 0x10ffff */
		if ((c == 0xe0 && s[1] < 0xa0) || (c == 0xed && s[1] > 0x9f) ||
		    (c == 0xf0 && s[1] < 0x90) || (c == 0xf4 && s[1] > 0x8f))
			return SIZE_MAX;
		s += n;
	}
	return chars;
}

static bool text_valid(const uint8_t *s, size_t size)
{
	if (CN_LIKELY(size <= CN_ATOM_CHARS && is_ascii(s, size)))
		return true;
	return size <= CN_ATOM_BYTES && cn_utf8_length(s, size) <= CN_ATOM_CHARS;
}

bool cn_atom_valid(const void *text, size_t size)
{
	return text_valid(text, size);
}

/* ---- atoms, and what holds them: each returns where the item ends, or NULL with t->why ---- */

static void add_site(struct turn *t, const uint8_t *p, size_t size, const uint8_t *text,
		     size_t text_size)
{
	struct cn_atom_sites *s = t->v->sites;
	if (s->count == CN_ATOM_SITES) {
		s->full = true;
		return;
	}
	s->at[s->count++] = (struct cn_atom_site){ (uint32_t)(p - t->start), (uint16_t)size,
						    (uint16_t)text_size, text };
}

static inline const uint8_t *check_atom(struct turn *t, const uint8_t *p)
{
	NEED(2);
	size_t head = 2, size = p[1];
	switch (*p) {
	case CN_SMALL_ATOM_UTF8:
		break;
	case CN_ATOM_CACHE_REF:
		if (size >= t->v->atoms)
			REFUSE("reference to an atom that the message does not have");
		t->v->cached = 1;
		t->v->used |= UINT64_C(1) << (size & 63);
		if (t->record_sites) {
			const struct cn_atom_text *a = &t->v->table->at[size];
			add_site(t, p, 2, a->text, a->size);
		}
		return p + 2;
	case CN_ATOM_UTF8:
	case CN_ATOM:
		NEED(3);
		head = 3;
		size = cn_load_u16(p + 1);
		break;
	case CN_SMALL_ATOM:
		break;
	default:
		REFUSE("no atom where one must be");
	}
	NEED(head + size);
	const uint8_t *text = p + head;
	if (*p == CN_ATOM || *p == CN_SMALL_ATOM) {
		if (size > CN_ATOM_CHARS)
			REFUSE("atom of more than 255 characters");
		if (t->record_sites && is_ascii(text, size))
			add_site(t, p, head + size, text, size);
		return text + size;
	}
	if (CN_UNLIKELY(!text_valid(text, size)))
		REFUSE("atom of more than 255 characters, or not UTF-8");
	if (t->record_sites)
		add_site(t, p, head + size, text, size);
	return text + size;
}

/* The usual atom, where no site is wanted: its size, or 0 when check_atom has to look. */
static inline size_t quick_atom(const uint8_t *p, size_t here)
{
	if (CN_LIKELY(here >= 2 && *p == CN_SMALL_ATOM_UTF8 && here - 2 >= p[1] &&
		      is_ascii(p + 2, p[1])))
		return 2u + p[1];
	return 0;
}

static const uint8_t *check_pid(struct turn *t, const uint8_t *p)
{
	bool old = *p == CN_PID;
	p = check_atom(t, p + 1);
	if (!p)
		return NULL;
	NEED(old ? 9 : 12);
	if (t->out) {
		if (old && p[8] > 3)
			REFUSE("PID_EXT with a creation over 3");
		if (t->narrow && (cn_load_u32(p) > 0x7fff || cn_load_u32(p + 4) > 0x1fff))
			REFUSE("pid of more than 15 and 13 bits, which OTP 23 does not take");
	}
	return p + (old ? 9 : 12);
}

static const uint8_t *check_port(struct turn *t, const uint8_t *p)
{
	uint8_t tag = *p;
	size_t tail = tag == CN_PORT ? 5 : tag == CN_NEW_PORT ? 8 : 12;
	p = check_atom(t, p + 1);
	if (!p)
		return NULL;
	NEED(tail);
	if (t->out) {
		if (tag == CN_PORT && p[4] > 3)
			REFUSE("PORT_EXT with a creation over 3");
		if (tag != CN_V4_PORT && cn_load_u32(p) >= UINT32_C(1) << 28)
			REFUSE("port of more than 28 bits in an old form");
		if (tag == CN_V4_PORT && t->narrow)
			REFUSE("V4_PORT_EXT, which OTP 23 does not take");
	}
	return p + tail;
}

static const uint8_t *check_ref(struct turn *t, const uint8_t *p)
{
	uint8_t tag = *p;
	unsigned words = 1;
	if (tag == CN_REFERENCE) {
		p++;
	} else {
		NEED(3);
		words = cn_load_u16(p + 1);
		p += 3;
		if (words > 5)
			REFUSE("reference of more than 5 words");
	}
	if (t->out && (words == 0 || words > t->v->limits.ref_words))
		REFUSE("reference with no word, or more than the peer takes");
	p = check_atom(t, p);
	if (!p)
		return NULL;
	if (tag == CN_REFERENCE) {
		NEED(5);
		if (t->out && (p[4] > 3 || cn_load_u32(p) >= UINT32_C(1) << 18))
			REFUSE("REFERENCE_EXT with a creation over 3, or more than 18 bits");
		return p + 5;
	}
	size_t head = tag == CN_NEWER_REFERENCE ? 4 : 1;
	NEED(head + 4u * words);
	if (t->out && tag == CN_NEW_REFERENCE &&
	    (p[0] > 3 || cn_load_u32(p + 1) >= UINT32_C(1) << 18))
		REFUSE("NEW_REFERENCE_EXT with a creation over 3, or more than 18 bits");
	return p + head + 4u * words;
}

static const uint8_t *check_export(struct turn *t, const uint8_t *p)
{
	p = check_atom(t, p + 1);
	if (!p || !(p = check_atom(t, p)))
		return NULL;
	NEED(1);
	if (*p != CN_SMALL_INTEGER)
		REFUSE("arity of a fun is no small integer");
	NEED(2);
	return p + 2;
}

static const uint8_t *check_small_int(struct turn *t, const uint8_t *p)
{
	NEED(1);
	if (*p != CN_SMALL_INTEGER && *p != CN_INTEGER)
		REFUSE("index of a fun is no small integer");
	size_t size = *p == CN_SMALL_INTEGER ? 2 : 5;
	NEED(size);
	return p + size;
}

/* Up to the free variables. Size is not looked at: OTP 23 and later may write it too large. */
static const uint8_t *check_fun(struct turn *t, const uint8_t *p)
{
	NEED(30);
	p = check_atom(t, p + 30);
	if (!p || !(p = check_small_int(t, p)) || !(p = check_small_int(t, p)))
		return NULL;
	NEED(1);
	if (*p != CN_NEW_PID && *p != CN_PID)
		REFUSE("creator of a fun is no pid");
	return check_pid(t, p);
}

static const uint8_t *check_float(struct turn *t, const uint8_t *p)
{
	if (*p == CN_NEW_FLOAT) {
		NEED(9);
		if ((cn_load_u16(p + 1) & 0x7ff0) == 0x7ff0)
			REFUSE("float that is not finite");
		return p + 9;
	}
	NEED(32);
	const uint8_t *nul = memchr(p + 1, 0, 31);
	double value;
	if (!nul || !cn_float_parse((const char *)p + 1, (size_t)(nul - p - 1), &value))
		REFUSE("FLOAT_EXT that is no float");
	return p + 32;
}

static const uint8_t *check_big(struct turn *t, const uint8_t *p)
{
	size_t head = *p == CN_SMALL_BIG ? 3 : 6;
	NEED(head);
	size_t size = head == 3 ? p[1] : cn_load_u32(p + 1);
	if (head + size > t->v->limits.bytes - (size_t)(p - t->start))
		REFUSE("integer longer than the message");
	if (t->out && size > MAX_BIG_OUT)
		REFUSE("integer of more than 2^22 bits");
	NEED(head + size);
	return p + head + size;
}

static const uint8_t *check_bytes(struct turn *t, const uint8_t *p)
{
	size_t head = *p == CN_STRING ? 3 : *p == CN_BINARY ? 5 : 6;
	NEED(head);
	size_t size = head == 3 ? cn_load_u16(p + 1) : cn_load_u32(p + 1);
	if (head + size > t->v->limits.bytes - (size_t)(p - t->start))
		REFUSE("binary longer than the message");
	if (head == 6) {
		if (size == 0 ? p[5] != 0 || t->out : p[5] < 1 || p[5] > 8)
			REFUSE("bitstring with a wrong number of bits");
	}
	NEED(head + size);
	return p + head + size;
}

#undef NEED
#undef REFUSE

/* ---- the walk ---- */

static const struct cn_term_limits inbound = { 0 };

void cn_verify_init(struct cn_verify *v, const struct cn_term_limits *limits, unsigned atom_count)
{
	v->limits = limits ? *limits : inbound;
	if (v->limits.bytes == 0 || v->limits.bytes > CN_TERM_BYTES_MAX)
		v->limits.bytes = CN_TERM_BYTES_MAX;
	if (v->limits.depth == 0)
		v->limits.depth = CN_TERM_DEPTH;
	if (v->limits.depth > CN_TERM_DEPTH_MAX)
		v->limits.depth = CN_TERM_DEPTH_MAX;
	if (v->limits.ref_words == 0)
		v->limits.ref_words = 5;
	v->atoms = (uint16_t)atom_count;
	v->odd = v->cached = v->maps = 0;
	v->used = 0;
	v->state = CN_VERIFY_MORE;
	v->depth = 0;
	v->room = CN_VERIFY_FRAMES;
	v->heap = NULL;
	v->left = 1;
	v->pending = 1;
	v->offset = 0;
	v->fun = 0;
	v->reason = NULL;
	v->table = NULL;
	v->sites = NULL;
}

void cn_verify_fini(struct cn_verify *v)
{
	cn_free(v->heap);
	v->heap = NULL;
}

static int grow_frames(struct cn_verify *v)
{
	uint32_t room = v->room * 2;
	uint64_t *heap = cn_realloc(v->heap, room * sizeof *heap);
	if (!heap)
		return CNODE_ENOMEM;
	if (!v->heap)
		memcpy(heap, v->small, sizeof v->small);
	v->heap = heap;
	v->room = room;
	return 0;
}

/* Enters a level: `left` is what its parent has left. */
static inline int push(struct cn_verify *v, uint64_t left)
{
	if (CN_UNLIKELY(v->depth >= v->limits.depth)) {
		v->reason = "nested too deeply";
		return CNODE_ELIMIT;
	}
	if (CN_UNLIKELY(v->depth == v->room)) {
		int rc = grow_frames(v);
		if (rc)
			return rc;
	}
	(v->heap ? v->heap : v->small)[v->depth++] = left;
	return 0;
}

static inline uint64_t pop(struct cn_verify *v)
{
	uint64_t left = (v->heap ? v->heap : v->small)[--v->depth];
	if (CN_UNLIKELY(v->depth < v->fun))
		v->fun = 0;
	return left;
}

static int verify(struct cn_verify *v, const uint8_t *bytes, size_t available, size_t budget)
{
	size_t total = (size_t)v->limits.bytes;
	struct turn turn = {
		.v = v,
		.start = bytes,
		.end = bytes + (available < total ? available : total),
		.out = v->limits.flags & CN_TERM_OUTBOUND,
		.narrow = v->limits.flags & CN_TERM_NARROW,
		.record_sites = v->sites && !v->fun,
	};
	struct turn *t = &turn;
	const uint8_t *p = bytes + v->offset;
	/* Where this turn's work ends; binaries, which are no work, move it on. */
	const uint8_t *const end = turn.end;
	const uint8_t *stop = budget && budget < (size_t)(end - p) ? p + budget : end;
	uint64_t left = v->left, pending = v->pending;
	size_t quick;
	int rc;

	for (;;) {
		while (left == 0) {
			if (v->depth == 0) {
				rc = CN_VERIFY_DONE;
				goto out;
			}
			left = pop(v);
			turn.record_sites = v->sites && !v->fun;
		}
		if (CN_UNLIKELY(p >= stop)) {
			if (p < end) {
				rc = CN_VERIFY_BUDGET;
				goto out;
			}
			t->why = cut;
			goto stopped;
		}
		if (left >= LEVEL_ATOMS) {
			if (left == LEVEL_LIST) {
				/*
				 * Its tail is verified as one more element of the level above, so
				 * that a list sent in many parts is not deep.
				 */
				if (*p == CN_LIST)
					v->odd = 1;
				left = pop(v) + 1;
			} else if (left & LEVEL_ATOMS) {
				if (left == LEVEL_ATOMS) {
					left = 0;
					continue;
				}
				if (!cn_is_atom_tag(*p)) {
					t->why = "field name of a record is no atom";
					goto stopped;
				}
			}
		}

		const uint8_t *next;
		uint64_t count;     /* terms inside */
		uint64_t kind = 0;
		size_t here = (size_t)(end - p);
		switch (*p) {
		case CN_SMALL_INTEGER:
			next = p + 2;
			if (here < 2)
				goto cut_here;
			break;
		case CN_INTEGER:
			next = p + 5;
			if (here < 5)
				goto cut_here;
			break;
		case CN_SMALL_ATOM_UTF8:
			if (!turn.record_sites && (quick = quick_atom(p, here))) {
				next = p + quick;
				break;
			}
			next = check_atom(t, p);
			break;
		case CN_ATOM_CACHE_REF:
		case CN_ATOM_UTF8:
		case CN_ATOM:
		case CN_SMALL_ATOM:
			next = check_atom(t, p);
			break;
		case CN_NIL:
			next = p + 1;
			break;
		case CN_NEW_PID:
			if (!turn.out && (quick = quick_atom(p + 1, here - 1)) &&
			    here >= quick + 13) {
				next = p + quick + 13;
				break;
			}
			next = check_pid(t, p);
			break;
		case CN_PID:
			next = check_pid(t, p);
			break;
		case CN_NEWER_REFERENCE:
		case CN_NEW_REFERENCE:
		case CN_REFERENCE:
			next = check_ref(t, p);
			break;
		case CN_STRING:
		case CN_BINARY:
		case CN_BIT_BINARY:
			next = check_bytes(t, p);
			if (next)
				stop = (size_t)(end - stop) > (size_t)(next - p) ? stop + (next - p)
										 : end;
			break;
		case CN_HANDED:
			if (!(v->limits.flags & CN_TERM_HANDED)) {
				t->why = "unknown tag";
				goto stopped;
			}
			next = p + CN_HANDED_SIZE;
			if (here < CN_HANDED_SIZE)
				goto cut_here;
			break;
		case CN_SMALL_BIG:
		case CN_LARGE_BIG:
			next = check_big(t, p);
			break;
		case CN_NEW_FLOAT:
		case CN_FLOAT:
			next = check_float(t, p);
			break;
		case CN_NEW_PORT:
		case CN_V4_PORT:
		case CN_PORT:
			next = check_port(t, p);
			break;
		case CN_EXPORT:
			next = check_export(t, p);
			break;

		case CN_SMALL_TUPLE:
			if (here < 2)
				goto cut_here;
			count = p[1];
			next = p + 2;
			goto compound;
		case CN_LARGE_TUPLE:
			if (here < 5)
				goto cut_here;
			count = cn_load_u32(p + 1);
			if (count > MAX_ARITY) {
				t->why = "tuple of 2^24 elements or more";
				goto stopped;
			}
			next = p + 5;
			goto compound;
		case CN_LIST:
			if (here < 5)
				goto cut_here;
			count = (uint64_t)cn_load_u32(p + 1) + 1;
			kind = LEVEL_LIST;
			v->odd |= count == 1;
			next = p + 5;
			goto compound;
		case CN_MAP:
			if (here < 5)
				goto cut_here;
			count = (uint64_t)cn_load_u32(p + 1) * 2;
			v->maps |= count > 2;
			next = p + 5;
			goto compound;
		case CN_NEW_FUN: {
			bool sites = turn.record_sites;
			turn.record_sites = false;
			next = check_fun(t, p);
			if (!next) {
				turn.record_sites = sites;
				break;
			}
			v->odd = 1;
			count = cn_load_u32(p + 26);
			if (v->fun == 0 && count)
				v->fun = v->depth + 1;
			turn.record_sites = sites && !count;
			goto compound;
		}
		case CN_RECORD:
			if (here < 6)
				goto cut_here;
			if (turn.out && !(v->limits.flags & CN_TERM_RECORDS)) {
				t->why = "native record, which the peer does not take";
				goto stopped;
			}
			next = check_atom(t, p + 6);
			if (!next || !(next = check_atom(t, next)))
				break;
			/* Two levels: the names above the values. */
			count = (uint64_t)cn_load_u32(p + 1) * 2;
			kind = LEVEL_ATOMS;
			goto compound;
		default:
			t->why = *p == 80    ? "compressed term"
				 : *p == 121 ? "LOCAL_EXT"
					     : "unknown tag";
			goto stopped;
		}
		if (CN_UNLIKELY(!next))
			goto stopped;
		p = next;
		left--;
		pending--;
		continue;

compound:
		if (CN_UNLIKELY(pending - 1 + count > total - (size_t)(next - bytes))) {
			t->why = "more elements than bytes";
			goto stopped;
		}
		pending += count - 1;
		left--;
		p = next;
		if (count == 0)
			continue;
		rc = push(v, left);
		if (CN_UNLIKELY(rc))
			goto out;
		if (kind == LEVEL_LIST) {
			left = LEVEL_LIST | (count - 1);
		} else if (kind == LEVEL_ATOMS) {
			left = count / 2;
			rc = push(v, left);
			if (CN_UNLIKELY(rc))
				goto out;
			left = LEVEL_ATOMS | left;
		} else {
			left = count;
		}
		continue;

cut_here:
		t->why = cut;
		goto stopped;
	}

stopped:
	rc = t->why == cut && (size_t)(t->end - bytes) < total ? CN_VERIFY_MORE : CNODE_EBADTERM;
	if (rc < 0)
		v->reason = t->why;
out:
	v->left = left;
	v->pending = pending;
	v->offset = (size_t)(p - bytes);
	return rc;
}

int cn_verify_step(struct cn_verify *v, const void *bytes, size_t available, size_t budget)
{
	if (v->state <= CN_VERIFY_DONE)
		return v->state;
	int rc = verify(v, bytes, available, budget);
	if (rc == CN_VERIFY_DONE && v->maps && v->limits.flags & CN_TERM_OUTBOUND) {
		size_t at = 0;
		rc = cn_check_keys(bytes, v->table, &at);
		if (rc == CNODE_EBADTERM) {
			v->reason = "map with two equal keys";
			v->offset = at;
		}
	}
	if (rc == CNODE_ENOMEM)
		v->reason = "out of memory";
	v->state = rc;
	return rc;
}

int cn_verify_all(struct cn_verify *v, const void *bytes, size_t available)
{
	if (v->limits.bytes > available)
		v->limits.bytes = available;
	int rc = cn_verify_step(v, bytes, available, 0);
	cn_verify_fini(v);
	return rc;
}
