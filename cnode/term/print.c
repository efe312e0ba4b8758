/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Terms as Erlang text on one line, as io_lib:format("~0tp", [T]) writes them with its default
 * of Latin-1 as the printable range. Identifiers show the node's name where Erlang shows a
 * number that means something inside of one VM only.
 *
 * The recursion goes by the terms' nesting, which the verifier has limited: 200 bytes of stack
 * per level. Leaves are written by functions that are not on the stack while it goes deeper.
 */
#include "cnode/term/text.h"

#include <stdio.h>

struct out {
	char *text;
	size_t room;                /* without the terminator */
	size_t size;                /* of the whole text */
	const struct cn_atoms *atoms;
	bool brief;                 /* what does not fit is not looked at */
	bool plain;                 /* numbers where text could stand, as ~w */
	uint32_t depth;             /* of the term that comes next; CN_ANY_DEPTH: no limit */
};

/* Each element of a compound is one deeper than the one before it. */
static inline uint32_t deeper(uint32_t depth)
{
	return depth == CN_ANY_DEPTH ? depth : depth - 1;
}

/* Nothing more is wanted: where a term ends does not matter any longer, either. */
static inline bool is_full(const struct out *o)
{
	return o->brief && o->size > o->room;
}

static void put(struct out *o, const void *text, size_t size)
{
	if (o->size < o->room) {
		size_t fits = o->room - o->size;
		memcpy(o->text + o->size, text, size < fits ? size : fits);
	}
	o->size += size;
}

static void put_string(struct out *o, const char *text)
{
	put(o, text, strlen(text));
}

static void put_piece(void *to, const char *text, size_t size)
{
	put(to, text, size);
}

static __attribute__((format(printf, 2, 3))) void put_format(struct out *o, const char *format, ...)
{
	char text[64];
	va_list args;
	va_start(args, format);
	int size = vsnprintf(text, sizeof text, format, args);
	va_end(args);
	if (size > 0)
		put(o, text, (size_t)size < sizeof text ? (size_t)size : sizeof text - 1);
}

/* ---- characters ---- */

/* The letter that stands for it behind a backslash, or 0. */
static char escape_letter(uint32_t c)
{
	switch (c) {
	case '\n':
		return 'n';
	case '\t':
		return 't';
	case '\v':
		return 'v';
	case '\b':
		return 'b';
	case '\f':
		return 'f';
	case '\r':
		return 'r';
	case 27:
		return 'e';
	case 127:
		return 'd';
	default:
		return 0;
	}
}

/* io_lib:printable_latin1_list/1 */
static bool is_printable(uint32_t c)
{
	return (c >= 32 && c < 127) || (c >= 160 && c <= 255) || (c != 127 && escape_letter(c));
}

static void put_char(struct out *o, uint32_t c, char quote)
{
	uint8_t bytes[4];
	char letter = escape_letter(c);
	if (letter || c == (uint32_t)quote || c == '\\')
		put_format(o, "\\%c", letter ? letter : (char)c);
	else if (c < 32 || (c >= 128 && c < 160))
		put_format(o, "\\%03o", (unsigned)c);
	else
		put(o, bytes, cn_utf8_put(c, bytes));
}

static bool is_lower(uint32_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 0xdf && c <= 0xff && c != 0xf7);
}

static bool is_reserved(const uint8_t *text, size_t size)
{
	static const char *const words[] = {
		"after",   "and",  "andalso", "band",  "begin", "bnot", "bor",	"bsl",
		"bsr",	   "bxor", "case",    "catch", "cond",	"div",	"else", "end",
		"fun",	   "if",   "let",     "maybe", "not",	"of",	"or",	"orelse",
		"receive", "rem",  "try",     "when",  "xor",
	};
	for (size_t i = 0; i < CN_ARRAY_SIZE(words); i++)
		if (strlen(words[i]) == size && memcmp(words[i], text, size) == 0)
			return true;
	return false;
}

static __attribute__((noinline)) void put_atom(struct out *o, const uint8_t *p)
{
	uint8_t room[CN_LATIN1_ROOM];
	size_t size;
	const uint8_t *text = cn_atom_at(p, o->atoms, room, &size), *end = text + size;
	bool plain = size > 0 && !is_reserved(text, size);
	uint32_t c;
	for (const uint8_t *q = text; q < end && plain;) {
		bool first = q == text;
		q += cn_utf8_get(q, &c);
		plain = is_lower(c) ||
			(!first && ((c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
				    c == '@' || (c >= 0xc0 && c <= 0xde && c != 0xd7)));
	}
	if (plain) {
		put(o, text, size);
		return;
	}
	put(o, "'", 1);
	while (text < end) {
		text += cn_utf8_get(text, &c);
		put_char(o, c, '\'');
	}
	put(o, "'", 1);
}

/* ---- leaves ---- */

static __attribute__((noinline)) void put_number(struct out *o, const uint8_t *p,
						 enum cnode_type type)
{
	if (type == CNODE_TYPE_FLOAT) {
		char text[CN_FLOAT_TEXT];
		put(o, text, cn_float_print(cn_float_at(p), text));
		return;
	}
	struct cn_int i = cn_int_at(p);
	if (i.negative)
		put(o, "-", 1);
	if (i.big) {
		/*
		 * Of a huge one only the first digits: they are hexadecimal, each byte stands for
		 * itself.
		 */
		size_t skip = o->brief && i.size > CN_BIG_SLOW + o->room
				      ? i.size - CN_BIG_SLOW - o->room
				      : 0;
		cn_big_print(i.digits + skip, i.size - skip, 10, false, put_piece, o);
	}
	else
		put_format(o, "%llu", (unsigned long long)i.magnitude);
}

/* How a binary may be shown as text. */
static enum { AS_BYTES, AS_LATIN1, AS_UTF8 } text_of(const uint8_t *bytes, size_t size)
{
	size_t chars = size ? cn_utf8_length(bytes, size) : SIZE_MAX;
	if (chars != SIZE_MAX) {
		bool printable = true;
		for (const uint8_t *p = bytes, *end = p + size; p < end && printable;) {
			uint32_t c;
			p += cn_utf8_get(p, &c);
			printable = is_printable(c);
		}
		if (printable)
			return chars == size ? AS_LATIN1 : AS_UTF8;
	}
	for (size_t i = 0; i < size; i++)
		if (!is_printable(bytes[i]))
			return AS_BYTES;
	return size ? AS_LATIN1 : AS_BYTES;
}

/*
 * The same within a depth, which four bytes of text each go by: *size is how many are shown. Text that ends behind at least
 * as many characters as the depth lets through is shown so far (io_lib_pretty.erl, printable_bin0).
 */
static int text_within(const struct out *o, const uint8_t *bytes, size_t *size)
{
	size_t whole = *size, room = o->depth == CN_ANY_DEPTH ? whole : (size_t)(o->depth - 1) * 4, at = 0;
	if (room == 0)
		return AS_BYTES;
	if (whole <= room) {
		int as = text_of(bytes, whole);
		if (as != AS_BYTES || o->depth == CN_ANY_DEPTH)
			return as;
		room = whole;
	}
	bool utf8 = cn_utf8_length(bytes, whole) != SIZE_MAX;
	while (at < room) {
		uint32_t c = bytes[at];
		size_t next = at + (utf8 ? cn_utf8_get(bytes + at, &c) : 1);
		if (next > room || !is_printable(c))
			break;
		at = next;
	}
	if (at < o->depth - 1)
		return AS_BYTES;
	*size = at;
	return utf8 && cn_utf8_length(bytes, at) != at ? AS_UTF8 : AS_LATIN1;
}

static __attribute__((noinline)) void put_binary(struct out *o, const uint8_t *p)
{
	struct cn_bits bits = cn_bits_at(p);
	if (o->brief && bits.size > 4 * o->room + 8) {
		/* More than can be shown; a character is not cut in two. */
		bits.size = 4 * o->room + 8;
		for (int i = 0; i < 3 && (bits.bytes[bits.size] & 0xc0) == 0x80; i++)
			bits.size--;
		bits.last = 8;
	}
	size_t shown = bits.size;
	int as = bits.last == 8 && !o->plain ? text_within(o, bits.bytes, &shown) : AS_BYTES;
	put(o, "<<", 2);
	if (as == AS_BYTES) {
		uint32_t depth = o->depth;
		for (size_t i = 0; i < bits.size && !is_full(o); i++, depth = deeper(depth)) {
			bool part = i + 1 == bits.size && bits.last != 8;
			if (i)
				put(o, ",", 1);
			if (depth == 1) {
				put(o, "...", 3);
				break;
			}
			put_format(o, "%u", part ? bits.bytes[i] >> (8 - bits.last) : bits.bytes[i]);
			if (part)
				put_format(o, ":%u", bits.last);
		}
	} else {
		put(o, "\"", 1);
		for (const uint8_t *q = bits.bytes, *end = q + shown; q < end && !is_full(o);) {
			uint32_t c = *q;
			q += as == AS_UTF8 ? cn_utf8_get(q, &c) : 1;
			put_char(o, c, '"');
		}
		put_string(o, as == AS_UTF8 ? "\"/utf8" : "\"");
		if (shown < bits.size)
			put(o, "...", 3);
	}
	put(o, ">>", 2);
}

static __attribute__((noinline)) void put_node(struct out *o, const uint8_t *p)
{
	uint8_t room[CN_LATIN1_ROOM];
	size_t size;
	const uint8_t *text = cn_atom_at(p, o->atoms, room, &size), *end = text + size;
	uint32_t c;
	while (text < end) {
		text += cn_utf8_get(text, &c);
		put_char(o, c, '>');
	}
}

static __attribute__((noinline)) void put_id(struct out *o, const uint8_t *p, enum cnode_type type)
{
	struct cn_id id = cn_id_at(p);
	put_string(o, type == CNODE_TYPE_PID ? "<" : type == CNODE_TYPE_PORT ? "#Port<" : "#Ref<");
	put_node(o, id.node);
	if (type == CNODE_TYPE_PID)
		put_format(o, ".%u.%u", id.id[0], id.id[1]);
	else if (type == CNODE_TYPE_PORT)
		put_format(o, ".%llu", (unsigned long long)id.port);
	else
		for (uint32_t i = id.words; i; i--)
			put_format(o, ".%u", id.id[i - 1]);
	put(o, ">", 1);
}

static __attribute__((noinline)) const uint8_t *put_fun(struct out *o, const uint8_t *p)
{
	const uint8_t *end = cn_skip(p);
	if (*p == CN_EXPORT) {
		const uint8_t *function = p + 1 + cn_atom_size(p + 1);
		put_string(o, "fun ");
		put_atom(o, p + 1);
		put(o, ":", 1);
		put_atom(o, function);
		put_format(o, "/%u", function[cn_atom_size(function) + 1]);
		return end;
	}
	const uint8_t *index = p + 30 + cn_atom_size(p + 30);
	put_string(o, "#Fun<");
	put_node(o, p + 30);
	put(o, ".", 1);
	put_number(o, index, CNODE_TYPE_INTEGER);
	put(o, ".", 1);
	put_number(o, cn_skip(index), CNODE_TYPE_INTEGER);
	put(o, ">", 1);
	return end;
}

/* ---- lists ---- */

/* As "text", if it is a proper list of printable characters; false: nothing is written. */
static __attribute__((noinline)) bool put_charlist(struct out *o, const uint8_t *p,
						   const uint8_t **end)
{
	struct cn_list l;
	const uint8_t *item;
	int64_t c;
	size_t length = 0;
	cn_list_init(&l, p);
	while ((item = cn_list_peek(&l)) && !(o->brief && length > o->room)) {
		if (!cn_int64_at(item, &c) || c < 0 || c > 255 || !is_printable((uint32_t)c))
			return false;
		cn_list_pass(&l, item + cn_head_at(item).size);
		length++;
	}
	if (!item && !l.string && *l.at != CN_NIL)
		return false;
	*end = l.string ? l.at : l.at + 1;
	put(o, "\"", 1);
	cn_list_init(&l, p);
	while ((item = cn_list_peek(&l)) && length--) {
		cn_int64_at(item, &c);
		put_char(o, (uint32_t)c, '"');
		cn_list_pass(&l, item + cn_head_at(item).size);
	}
	put(o, "\"", 1);
	return true;
}

static const uint8_t *put_term(struct out *o, const uint8_t *p);

/* The rest of a compound, which begins at p and is so many terms, is not shown. Where it ends. */
static const uint8_t *cut(struct out *o, const uint8_t *p, uint64_t terms, const char *text, uint32_t depth)
{
	put_string(o, text);
	o->depth = depth;
	return cn_skip_terms(p, terms);
}

static bool is_compound(const struct cn_head *h)
{
	return h->type == CNODE_TYPE_LIST || ((h->type == CNODE_TYPE_TUPLE || h->type == CNODE_TYPE_MAP) && h->count > 0);
}

/* What stands for a compound that is too deep. */
static __attribute__((noinline)) const uint8_t *put_depth(struct out *o, const uint8_t *p, enum cnode_type type)
{
	const char *text = o->depth == 0 ? "..."
		: type == CNODE_TYPE_LIST ? "[...]"
		: type == CNODE_TYPE_TUPLE ? "{...}"
		: type == CNODE_TYPE_MAP && o->plain ? "#{}" : "#{...}";
	return cut(o, p, 1, text, o->depth);
}

static const uint8_t *put_list(struct out *o, const uint8_t *p)
{
	struct cn_list l;
	const uint8_t *item, *end;
	uint32_t depth = o->depth;
	if (!o->plain && put_charlist(o, p, &end))
		return end;
	put(o, "[", 1);
	cn_list_init(&l, p);
	for (bool first = true; (item = cn_list_peek(&l)); first = false) {
		if (!first && o->depth == 1)
			return l.string ? cut(o, l.at + l.left, 0, "|...]", depth)
					: cut(o, l.at, l.left + 1, "|...]", depth);
		if (!first)
			put(o, ",", 1);
		o->depth = deeper(o->depth);
		const uint8_t *next = put_term(o, item);
		if (is_full(o))
			return p;
		cn_list_pass(&l, next);
	}
	end = l.string ? l.at : l.at + 1;
	if (!l.string && *l.at != CN_NIL) {
		if (o->depth == 1)
			return cut(o, l.at, 1, "|...]", depth);
		put(o, "|", 1);
		o->depth = deeper(o->depth);
		end = put_term(o, l.at);
	}
	o->depth = depth;
	put(o, "]", 1);
	return end;
}

static const uint8_t *put_record(struct out *o, const uint8_t *p)
{
	uint32_t count = cn_load_u32(p + 1);
	const uint8_t *name = p + 6;
	put(o, "#", 1);
	put_atom(o, name);
	put(o, ":", 1);
	name += cn_atom_size(name);
	put_atom(o, name);
	put(o, "{", 1);
	name += cn_atom_size(name);
	if (is_full(o))
		return p;
	const uint8_t *value = cn_skip_terms(name, count);
	uint32_t depth = o->depth;
	o->depth = deeper(depth);
	for (uint32_t i = 0; i < count && !is_full(o); i++) {
		if (i)
			put(o, ",", 1);
		put_atom(o, name);
		put_string(o, " = ");
		value = put_term(o, value);
		name += cn_atom_size(name);
	}
	o->depth = depth;
	put(o, "}", 1);
	return value;
}

/* Writes the term at p, returns where it ends. */
static const uint8_t *put_term(struct out *o, const uint8_t *p)
{
	p = cn_real(p);
	struct cn_head h = cn_head_at(p);
	const uint8_t *q = p + h.size;
	uint32_t depth;
	if (o->depth == 0 || (o->depth == 1 && is_compound(&h)))
		return put_depth(o, p, h.type);
	switch (h.type) {
	case CNODE_TYPE_INTEGER:
	case CNODE_TYPE_FLOAT:
		put_number(o, p, h.type);
		return q;
	case CNODE_TYPE_ATOM:
		put_atom(o, p);
		return q;
	case CNODE_TYPE_BINARY:
	case CNODE_TYPE_BITSTRING:
		put_binary(o, p);
		return q;
	case CNODE_TYPE_NIL:
		put(o, "[]", 2);
		return q;
	case CNODE_TYPE_LIST:
		return put_list(o, p);
	case CNODE_TYPE_RECORD:
		return put_record(o, p);
	case CNODE_TYPE_FUN:
		return put_fun(o, p);
	case CNODE_TYPE_TUPLE:
		depth = o->depth;
		put(o, "{", 1);
		for (uint64_t i = 0; i < h.count && !is_full(o); i++) {
			if (i && o->depth == 1)
				return cut(o, q, h.count - i, ",...}", depth);
			if (i)
				put(o, ",", 1);
			o->depth = deeper(o->depth);
			q = put_term(o, q);
		}
		o->depth = depth;
		put(o, "}", 1);
		return q;
	case CNODE_TYPE_MAP:
		/* All pairs have the same depth; how many there are of them goes by it, too. */
		depth = o->depth;
		o->depth = deeper(depth);
		put_string(o, "#{");
		for (uint64_t i = 0; i < h.count && !is_full(o); i++) {
			if (i && i % 2 == 0 && i / 2 + 1 == depth)
				return cut(o, q, h.count - i, ",...}", depth);
			if (i)
				put_string(o, i % 2 ? " => " : ",");
			q = put_term(o, q);
		}
		o->depth = depth;
		/* ~W does not look whether there are more. */
		put_string(o, o->plain && h.count / 2 + 1 == depth && h.count ? ",...}" : "}");
		return q;
	default:
		put_id(o, p, h.type);
		return q;
	}
}

size_t cn_term_brief(cnode_term term, char *text, size_t size)
{
	struct out o = { text, size ? size - 1 : 0, 0, term.atoms_, true, false, CN_ANY_DEPTH };
	if (size < 8)
		return cnode_term_print((cnode_term){ 0 }, text, size);
	if (!cn_term_is_none(term))
		put_term(&o, term.bytes_);
	if (o.size <= o.room) {
		text[o.size] = 0;
		return o.size;
	}
	/* Dots instead of the end, and no part of a character before them. */
	size_t at = o.room - 3;
	while (at && ((unsigned char)text[at] & 0xc0) == 0x80)
		at--;
	memcpy(text + at, "...", 4);
	return at + 3;
}

static size_t print(cnode_term term, char *text, size_t size, bool plain, uint32_t depth)
{
	struct out o = { text, size ? size - 1 : 0, 0, term.atoms_, false, plain, depth };
	if (!cn_term_is_none(term))
		put_term(&o, term.bytes_);
	if (size)
		text[o.size < o.room ? o.size : o.room] = 0;
	return o.size;
}

size_t cnode_term_print(cnode_term term, char *text, size_t size)
{
	return print(term, text, size, false, CN_ANY_DEPTH);
}

char *cn_term_text_to(cnode_term term, bool plain, uint32_t depth)
{
	char small[256];
	size_t size = print(term, small, sizeof small, plain, depth);
	if (size < sizeof small)
		return cn_strndup(small, size);
	char *text = cn_malloc(size + 1);
	if (text)
		print(term, text, size + 1, plain, depth);
	return text;
}

char *cnode_term_text(cnode_term term)
{
	return cn_term_text_to(term, false, CN_ANY_DEPTH);
}
