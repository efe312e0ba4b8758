/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walking bytes that the verifier has accepted: no bounds are checked here, which is why this
 * header is private to the room. The one place that knows how long each tag is, apart from
 * the verifier, which must not trust it.
 */
#ifndef CN_TERM_WALK_H
#define CN_TERM_WALK_H

#include "cnode/term/term.h"

/* The fixed part of one term, and how many terms follow inside of it. */
struct cn_head {
	size_t size;                /* bytes; the whole term if nothing follows */
	uint64_t count;             /* terms that belong to it (a list: elements and tail) */
	enum cnode_type type;
};

static inline bool cn_is_atom_tag(uint8_t tag)
{
	return tag == CN_SMALL_ATOM_UTF8 || tag == CN_ATOM_CACHE_REF || tag == CN_ATOM_UTF8 ||
	       tag == CN_ATOM || tag == CN_SMALL_ATOM;
}

static inline size_t cn_atom_size(const uint8_t *p)
{
	if (*p == CN_SMALL_ATOM_UTF8 || *p == CN_SMALL_ATOM)
		return 2u + p[1];
	if (*p == CN_ATOM_CACHE_REF)
		return 2;
	return 3u + cn_load_u16(p + 1);
}

static inline struct cn_head cn_leaf(enum cnode_type type, size_t size)
{
	return (struct cn_head){ size, 0, type };
}

static inline struct cn_head cn_head_at(const uint8_t *p)
{
	switch (*p) {
	case CN_SMALL_INTEGER:
		return cn_leaf(CNODE_TYPE_INTEGER, 2);
	case CN_INTEGER:
		return cn_leaf(CNODE_TYPE_INTEGER, 5);
	case CN_SMALL_BIG:
		return cn_leaf(CNODE_TYPE_INTEGER, 3u + p[1]);
	case CN_LARGE_BIG:
		return cn_leaf(CNODE_TYPE_INTEGER, 6u + (size_t)cn_load_u32(p + 1));
	case CN_NEW_FLOAT:
		return cn_leaf(CNODE_TYPE_FLOAT, 9);
	case CN_FLOAT:
		return cn_leaf(CNODE_TYPE_FLOAT, 32);
	case CN_SMALL_ATOM_UTF8:
	case CN_ATOM_UTF8:
	case CN_ATOM_CACHE_REF:
	case CN_ATOM:
	case CN_SMALL_ATOM:
		return cn_leaf(CNODE_TYPE_ATOM, cn_atom_size(p));
	case CN_SMALL_TUPLE:
		return (struct cn_head){ 2, p[1], CNODE_TYPE_TUPLE };
	case CN_LARGE_TUPLE:
		return (struct cn_head){ 5, cn_load_u32(p + 1), CNODE_TYPE_TUPLE };
	case CN_NIL:
		return cn_leaf(CNODE_TYPE_NIL, 1);
	case CN_STRING:
		return cn_leaf(cn_load_u16(p + 1) ? CNODE_TYPE_LIST : CNODE_TYPE_NIL,
			       3u + cn_load_u16(p + 1));
	case CN_LIST:
		return (struct cn_head){ 5, (uint64_t)cn_load_u32(p + 1) + 1, CNODE_TYPE_LIST };
	case CN_MAP:
		return (struct cn_head){ 5, (uint64_t)cn_load_u32(p + 1) * 2, CNODE_TYPE_MAP };
	case CN_BINARY:
		return cn_leaf(CNODE_TYPE_BINARY, 5u + (size_t)cn_load_u32(p + 1));
	case CN_BIT_BINARY:
		return cn_leaf(p[5] % 8 ? CNODE_TYPE_BITSTRING : CNODE_TYPE_BINARY,
			       6u + (size_t)cn_load_u32(p + 1));
	case CN_HANDED:
		return cn_leaf(CNODE_TYPE_BINARY, CN_HANDED_SIZE);
	case CN_NEW_PID:
		return cn_leaf(CNODE_TYPE_PID, 1 + cn_atom_size(p + 1) + 12);
	case CN_PID:
		return cn_leaf(CNODE_TYPE_PID, 1 + cn_atom_size(p + 1) + 9);
	case CN_NEW_PORT:
		return cn_leaf(CNODE_TYPE_PORT, 1 + cn_atom_size(p + 1) + 8);
	case CN_V4_PORT:
		return cn_leaf(CNODE_TYPE_PORT, 1 + cn_atom_size(p + 1) + 12);
	case CN_PORT:
		return cn_leaf(CNODE_TYPE_PORT, 1 + cn_atom_size(p + 1) + 5);
	case CN_NEWER_REFERENCE:
		return cn_leaf(CNODE_TYPE_REF,
			       3 + cn_atom_size(p + 3) + 4 + 4u * cn_load_u16(p + 1));
	case CN_NEW_REFERENCE:
		return cn_leaf(CNODE_TYPE_REF,
			       3 + cn_atom_size(p + 3) + 1 + 4u * cn_load_u16(p + 1));
	case CN_REFERENCE:
		return cn_leaf(CNODE_TYPE_REF, 1 + cn_atom_size(p + 1) + 5);
	case CN_NEW_FUN:
		return (struct cn_head){ 30, 4 + (uint64_t)cn_load_u32(p + 26), CNODE_TYPE_FUN };
	case CN_EXPORT:
		return (struct cn_head){ 1, 3, CNODE_TYPE_FUN };
	default: /* CN_RECORD: the verifier let nothing else in */
		return (struct cn_head){ 6, 2 + 2 * (uint64_t)cn_load_u32(p + 1),
					  CNODE_TYPE_RECORD };
	}
}

/*
 * A LIST_EXT of no elements is its tail (BEAM nodes take it so). Every term is looked at through
 * this.
 */
static inline const uint8_t *cn_real(const uint8_t *p)
{
	while (CN_UNLIKELY(*p == CN_LIST && cn_load_u32(p + 1) == 0))
		p += 5;
	return p;
}

/* Where the `count` terms at p end. */
static inline const uint8_t *cn_skip_terms(const uint8_t *p, uint64_t count)
{
	for (; count; count--) {
		struct cn_head h = cn_head_at(p);
		p += h.size;
		count += h.count;
	}
	return p;
}
static inline const uint8_t *cn_skip(const uint8_t *p)
{
	return cn_skip_terms(p, 1);
}

/* An integer: its value if it fits into 64 bits of magnitude, else its digits. */
struct cn_int {
	bool negative;
	bool big;                   /* more than 64 bits: digits, little endian, no leading zeros */
	uint64_t magnitude;
	const uint8_t *digits;
	size_t size;
};
struct cn_int cn_int_at(const uint8_t *p);

double cn_float_at(const uint8_t *p);

/* An atom's text in UTF-8: inside the term or its table, or (Latin-1) converted into `room`. */
#define CN_LATIN1_ROOM (2 * CN_ATOM_CHARS)
const uint8_t *cn_atom_at(const uint8_t *p, const struct cn_atoms *atoms,
			  uint8_t room[CN_LATIN1_ROOM], size_t *size);

/* Pid, port or reference, unpacked, old forms too. */
struct cn_id {
	const uint8_t *node;        /* its atom */
	uint32_t creation;
	uint32_t words;             /* of a reference */
	uint32_t id[5];             /* reference: the words; pid: id, serial */
	uint64_t port;
};
struct cn_id cn_id_at(const uint8_t *p);

/* Leaves as C values; false (or negative) if the term at p is something else or does not fit. */
bool cn_int64_at(const uint8_t *p, int64_t *v);
bool cn_uint64_at(const uint8_t *p, uint64_t *v);
bool cn_double_at(const uint8_t *p, double *v);
int cn_pid_at(const uint8_t *p, const struct cn_atoms *atoms, cnode_pid *pid);
int cn_ref_at(const uint8_t *p, const struct cn_atoms *atoms, cnode_ref *ref);
bool cn_atom_is(const uint8_t *p, const struct cn_atoms *atoms, const void *text, size_t size);
/* Elements of a STRING_EXT, and the [] behind it, as terms: their addresses stay good for ever. */
const uint8_t *cn_byte_term(uint8_t byte);
const uint8_t *cn_nil_term(void);
/* The term at p, which is inside of `of` or one of the two above. */
cnode_term cn_term_inside(cnode_term of, const uint8_t *p);

/* The part of a bitstring or binary: bits in the last byte (8 if whole). */
struct cn_bits {
	const uint8_t *bytes;
	size_t size;
	unsigned last;
};
struct cn_bits cn_bits_at(const uint8_t *p);

/* Elements of a list one after the other, however it was sent. */
struct cn_list {
	const uint8_t *at;
	uint64_t left;              /* elements in this part */
	bool string;                /* this part is STRING_EXT: at points to a byte */
};
void cn_list_init(struct cn_list *l, const uint8_t *p);
/*
 * The next element; NULL when none is left: l->at is then the tail (CN_NIL if it is a proper list).
 */
const uint8_t *cn_list_next(struct cn_list *l);
/* The two halves of it, for who knows where the element ends: look at it, then pass it. */
const uint8_t *cn_list_peek(struct cn_list *l);
void cn_list_pass(struct cn_list *l, const uint8_t *end_of_element);

/* Text of floats, independent of the locale. */
#define CN_FLOAT_TEXT_MAX 400
/* Erlang's syntax, finite, not longer than that; false otherwise. */
bool cn_float_parse(const char *text, size_t size, double *value);
#define CN_FLOAT_TEXT 40
/* The shortest text that reads back, as float_to_list(F, [short]) writes it; returns its size. */
size_t cn_float_print(double value, char text[CN_FLOAT_TEXT]);

/* UTF-8 character by character; text is valid. Returns its bytes. */
static inline unsigned cn_utf8_get(const uint8_t *p, uint32_t *c)
{
	if (*p < 0x80) {
		*c = *p;
		return 1;
	}
	if (*p < 0xe0) {
		*c = (uint32_t)(*p & 0x1f) << 6 | (p[1] & 0x3f);
		return 2;
	}
	if (*p < 0xf0) {
		*c = (uint32_t)(*p & 0x0f) << 12 | (uint32_t)(p[1] & 0x3f) << 6 | (p[2] & 0x3f);
		return 3;
	}
	*c = (uint32_t)(*p & 0x07) << 18 | (uint32_t)(p[1] & 0x3f) << 12 |
	     (uint32_t)(p[2] & 0x3f) << 6 | (p[3] & 0x3f);
	return 4;
}

/* Order of two terms; exact: as map keys are (integers before floats, 1 is not 1.0). */
int cn_compare(const uint8_t *a, const struct cn_atoms *a_atoms, const uint8_t *b,
	       const struct cn_atoms *b_atoms, bool exact);
/*
 * 0 if no map in the term has two equal keys; CNODE_EBADTERM with *at (offset of the map),
 * CNODE_ENOMEM.
 */
int cn_check_keys(const uint8_t *term, const struct cn_atoms *atoms, size_t *at);

/*
 * Bytes derived from a term of a blob, kept until the blob is freed. All of a blob are a tree, to which nodes are added
 * without a lock: a program may well have each of 100,000 elements of a message derived.
 */
struct cn_plain {
	_Atomic(struct cn_plain *) below[4];
	const uint8_t *of;          /* the term it was made from */
	uint8_t what;               /* CN_PLAIN_… */
	size_t size;
	uint8_t bytes[];
};
enum {
	CN_PLAIN_TERM,              /* the term itself, plain */
	CN_PLAIN_TEXT,              /* a list of bytes as text */
	CN_PLAIN_REST,              /* the rest of a list from an element on, as a term */
	CN_PLAIN_HANDED,            /* of the blob's first byte: `size` struct cn_handed */
};
static inline struct cn_handed *cn_handed_of(struct cn_plain *p)
{
	return (struct cn_handed *)(void *)p->bytes;
}
/* Gives them back, and frees the list. */
void cn_handed_release(struct cn_plain *handed, size_t count);
/*
 * Those inside of a term of a blob with CN_BLOB_HANDED, in the order of their places. *inside is false, and there are none to be
 * found, if the term is not in the blob itself but in memory derived from it.
 */
const struct cn_handed *cn_handed_in(cnode_term t, uint32_t *count, bool *inside);
const struct cn_plain *cn_plain_find(struct cn_blob *blob, const uint8_t *of, uint8_t what);
/* Takes `plain` (from cn_malloc); returns it, or the one another thread was first with. */
const struct cn_plain *cn_plain_add(struct cn_blob *blob, struct cn_plain *plain);

#endif
