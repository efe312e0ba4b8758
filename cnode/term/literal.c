/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading the literals of Erlang text: atoms, numbers, strings, binaries, funs. Follows: erl_scan for the tokens; bit syntax of
 * expressions is refused, but for segments of numbers and strings. Reserved words are atoms here without quotes, except `fun`.
 */
#include "cnode/term/text.h"

#include <ctype.h>

#define REFUSE CNODE_EBADARG

/* ---- characters ---- */

/* The character at t->at and its bytes; 0 at the end or when it is no UTF-8. */
static unsigned get_char(const struct cn_text *t, uint32_t *c)
{
	const uint8_t *p = (const uint8_t *)t->at;
	if (t->at == t->end)
		return 0;
	if (*p < 0x80) {
		*c = *p;
		return 1;
	}
	size_t size = *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : 4;
	if ((size_t)(t->end - t->at) < size || cn_utf8_length(p, size) != 1)
		return 0;
	return cn_utf8_get(p, c);
}

char cn_text_peek(struct cn_text *t)
{
	for (; t->at < t->end; t->at++) {
		if (*t->at == '%') {
			while (t->at + 1 < t->end && t->at[1] != '\n')
				t->at++;
		} else if (*t->at != ' ' && *t->at != '\n' && *t->at != '\t' && *t->at != '\r') {
			return *t->at;
		}
	}
	return 0;
}

bool cn_text_follows(const struct cn_text *t, const char *what)
{
	size_t size = strlen(what);
	return (size_t)(t->end - t->at) >= size && memcmp(t->at, what, size) == 0;
}

bool cn_text_take(struct cn_text *t, const char *what)
{
	cn_text_peek(t);
	if (!cn_text_follows(t, what))
		return false;
	t->at += strlen(what);
	return true;
}

static bool starts_atom(uint32_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 0xdf && c <= 0xff && c != 0xf7);
}

static bool in_atom(uint32_t c)
{
	return starts_atom(c) || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
	       c == '@' || (c >= 0xc0 && c <= 0xde && c != 0xd7);
}

/* After a backslash: one character. */
static int escape(struct cn_text *t, uint32_t *c)
{
	unsigned n = get_char(t, c);
	if (n == 0)
		return REFUSE;
	const char *from = t->at;
	t->at += n;
	if (*c >= '0' && *c <= '7') {
		*c -= '0';
		for (int i = 0; i < 2 && t->at < t->end && *t->at >= '0' && *t->at <= '7'; i++)
			*c = *c * 8 + (uint32_t)(*t->at++ - '0');
		return 0;
	}
	switch (*c) {
	case 'b':
		*c = '\b';
		return 0;
	case 'd':
		*c = 127;
		return 0;
	case 'e':
		*c = 27;
		return 0;
	case 'f':
		*c = '\f';
		return 0;
	case 'n':
		*c = '\n';
		return 0;
	case 'r':
		*c = '\r';
		return 0;
	case 's':
		*c = ' ';
		return 0;
	case 't':
		*c = '\t';
		return 0;
	case 'v':
		*c = '\v';
		return 0;
	case '^':
		if (t->at == t->end || *t->at < '@' || *t->at > '_')
			return REFUSE;
		*c = (uint32_t)(*t->at++ & 31);
		return 0;
	case 'x':
		break;
	default:
		return 0;
	}

	bool braces = t->at < t->end && *t->at == '{';
	t->at += braces;
	int digits = 0;
	for (*c = 0; t->at < t->end && isxdigit((unsigned char)*t->at) && digits < (braces ? 6 : 2);
	     digits++) {
		char d = *t->at++;
		*c = *c * 16 + (uint32_t)(d <= '9' ? d - '0' : (d | 0x20) - 'a' + 10);
	}
	if (digits < (braces ? 1 : 2) || *c > 0x10ffff || (*c >= 0xd800 && *c <= 0xdfff) ||
	    (braces && (t->at == t->end || *t->at++ != '}'))) {
		t->at = from;
		return REFUSE;
	}
	return 0;
}

/*
 * What stands between quotes (t->at is at the first one), in UTF-8: a part of the text itself, or
 * with escapes written out into `room`.
 */
static int quoted(struct cn_text *t, struct cn_buf *room, const char **text, size_t *size)
{
	char quote = *t->at++;
	const char *from = t->at;
	bool copied = false;
	for (;;) {
		uint32_t c;
		unsigned n = get_char(t, &c);
		if (n == 0)
			return REFUSE;
		if (c == (uint32_t)quote)
			break;
		if (c == '\\') {
			if (!copied)
				cn_put(room, from, (size_t)(t->at - from));
			copied = true;
			t->at++;
			int rc = escape(t, &c);
			if (rc)
				return rc;
		} else {
			t->at += n;
		}
		if (copied) {
			uint8_t bytes[4];
			cn_put(room, bytes, cn_utf8_put(c, bytes));
		}
	}
	*text = copied ? (const char *)room->data : from;
	*size = copied ? room->size : (size_t)(t->at - from);
	t->at++;
	return room->err;
}

/* ---- numbers ---- */

static bool is_digit_of(char c, unsigned base)
{
	char lower = (char)(c | 0x20);
	if (c >= '0' && c <= '9')
		return (unsigned)(c - '0') < base;
	return lower >= 'a' && lower <= 'z' && (unsigned)(lower - 'a') + 10 < base;
}

/*
 * Digits with single underscores between them; t->at goes behind them. Their length with
 * underscores.
 */
static size_t digits(struct cn_text *t, unsigned base)
{
	const char *from = t->at;
	while (t->at < t->end &&
	       (is_digit_of(*t->at, base) || (*t->at == '_' && t->at > from && t->at[-1] != '_' &&
					      t->at + 1 < t->end && is_digit_of(t->at[1], base))))
		t->at++;
	return (size_t)(t->at - from);
}

/* An integer as sign and 64 bits, or (big) as digits to be converted. */
struct number {
	bool is_float, negative, big;
	double value;
	uint64_t magnitude;
	const char *digits;
	size_t size;
	unsigned base;
};

static int read_number(struct cn_text *t, struct number *n)
{
	const char *from = t->at;
	*n = (struct number){ .base = 10 };
	if (*t->at == '-') {
		n->negative = true;
		t->at++;
	}
	if (t->at < t->end && *t->at == '$') {
		uint32_t c;
		t->at++;
		unsigned size = get_char(t, &c);
		if (size == 0)
			return REFUSE;
		t->at += size;
		int rc = c == '\\' ? escape(t, &c) : 0;
		n->magnitude = c;
		return rc;
	}
	n->digits = t->at;
	n->size = digits(t, 10);
	if (n->size == 0)
		return REFUSE;
	if (t->end - t->at > 1 && t->at[0] == '.' && isdigit((unsigned char)t->at[1])) {
		t->at++;
		digits(t, 10);
		if (t->at < t->end && (*t->at | 0x20) == 'e') {
			t->at++;
			t->at += t->at < t->end && (*t->at == '-' || *t->at == '+');
			digits(t, 10);
		}
		n->is_float = true;
		if (!cn_float_parse(from, (size_t)(t->at - from), &n->value)) {
			t->at = from;
			return REFUSE;
		}
		return 0;
	}
	if (t->at < t->end && *t->at == '#') {
		unsigned base = 0;
		for (size_t i = 0; i < n->size && base <= 36; i++)
			base = base * 10 +
			       (unsigned)(n->digits[i] == '_' ? 99 : n->digits[i] - '0');
		t->at++;
		if (base < 2 || base > 36)
			return REFUSE;
		n->base = base;
		n->digits = t->at;
		n->size = digits(t, base);
		if (n->size == 0)
			return REFUSE;
	}
	for (size_t i = 0; i < n->size; i++) {
		char c = n->digits[i];
		if (c == '_')
			continue;
		uint64_t d = (uint64_t)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
		if (__builtin_mul_overflow(n->magnitude, (uint64_t)n->base, &n->magnitude) ||
		    __builtin_add_overflow(n->magnitude, d, &n->magnitude)) {
			n->big = true;
			break;
		}
	}
	return 0;
}

static int build_number(struct cn_text *t, struct cnode_builder *b)
{
	struct number n;
	const char *from = t->at;
	int rc = read_number(t, &n);
	if (rc)
		return rc;
	if (n.is_float) {
		cnode_build_double(b, n.value);
	} else if (n.big) {
		struct cn_buf magnitude;
		cn_buf_init(&magnitude, 0);
		rc = cn_big_parse(n.digits, n.size, n.base, &magnitude);
		if (rc == 0)
			cn_build_big(b, n.negative, magnitude.data, magnitude.size);
		cn_buf_fini(&magnitude);
		if (rc == CNODE_EBADARG)
			t->at = from;
	} else if (n.negative && n.magnitude <= UINT64_C(1) << 63) {
		cnode_build_int64(b, (int64_t)-n.magnitude);
	} else if (n.negative) {
		uint8_t bytes[8];
		for (int i = 0; i < 8; i++)
			bytes[i] = (uint8_t)(n.magnitude >> 8 * i);
		cn_build_big(b, true, bytes, 8);
	} else {
		cnode_build_uint64(b, n.magnitude);
	}
	return rc;
}

/* ---- binaries ---- */

struct bits {
	struct cn_buf bytes;
	unsigned last;              /* bits used in the last byte, 0..7; 0: all */
};

static void put_bits(struct bits *to, uint64_t value, unsigned count)
{
	while (count) {
		if (to->last == 0)
			cn_put_u8(&to->bytes, 0);
		if (to->bytes.err)
			return;
		unsigned room = 8 - to->last, n = count < room ? count : room;
		uint8_t part = (uint8_t)(value >> (count - n) & (0xffu >> (8 - n)));
		to->bytes.data[to->bytes.size - 1] |= (uint8_t)(part << (room - n));
		to->last = (to->last + n) % 8;
		count -= n;
	}
}

static int string_segment(struct cn_text *t, struct bits *to)
{
	struct cn_buf room;
	const char *text;
	size_t size;
	const char *from = t->at;
	cn_buf_init(&room, 0);
	int rc = quoted(t, &room, &text, &size);
	if (rc)
		goto out;
	bool utf8 = cn_text_peek(t) == '/';
	if (utf8) {
		if (!cn_text_follows(t, "/utf8")) {
			rc = REFUSE;
			goto out;
		}
		t->at += 5;
	}
	for (const char *p = text, *end = text + size; p < end;) {
		uint32_t c = (uint8_t)*p;
		if (utf8) {
			p++;
		} else {
			p += cn_utf8_get((const uint8_t *)p, &c);
			if (c > 255) {
				/* Erlang would cut it to eight bits. */
				t->at = from;
				rc = REFUSE;
				goto out;
			}
		}
		put_bits(to, c, 8);
	}
out:
	cn_buf_fini(&room);
	return rc;
}

static int number_segment(struct cn_text *t, struct bits *to)
{
	struct number n, width = { .magnitude = 8 };
	const char *from = t->at;
	int rc = read_number(t, &n);
	if (rc == 0 && cn_text_peek(t) == ':') {
		t->at++;
		if (!isdigit((unsigned char)cn_text_peek(t)))
			return REFUSE;
		rc = read_number(t, &width);
	}
	if (rc)
		return rc;
	if (n.is_float || n.big || width.is_float || width.big || width.magnitude > 64) {
		t->at = from;
		return REFUSE;
	}
	put_bits(to, n.negative ? -n.magnitude : n.magnitude, (unsigned)width.magnitude);
	return 0;
}

static int build_binary(struct cn_text *t, struct cnode_builder *b)
{
	struct bits bits = { .last = 0 };
	int rc = 0;
	cn_buf_init(&bits.bytes, 0);
	t->at += 2;
	for (bool first = true; !(cn_text_peek(t) == '>' && cn_text_follows(t, ">>")); first = false) {
		if (!first && !cn_text_take(t, ",")) {
			rc = REFUSE;
			break;
		}
		char c = cn_text_peek(t);
		if (c == '"')
			rc = string_segment(t, &bits);
		else if (c == '-' || c == '$' || isdigit((unsigned char)c))
			rc = number_segment(t, &bits);
		else
			rc = REFUSE;
		if (rc || (rc = bits.bytes.err))
			break;
	}
	if (rc == 0) {
		t->at += 2;
		cn_build_bits(b, bits.bytes.data, bits.bytes.size, bits.last ? bits.last : 8);
	}
	cn_buf_fini(&bits.bytes);
	return rc;
}

/* ---- atoms, strings, funs ---- */

bool cn_text_word(struct cn_text *t, const char **name, size_t *size)
{
	const char *p = t->at;
	if (p == t->end || *p < 'a' || *p > 'z')
		return false;
	while (p < t->end && (unsigned char)*p < 0x80 && in_atom((uint8_t)*p))
		p++;
	if (p < t->end && (unsigned char)*p >= 0x80)
		return false;
	*name = t->at;
	*size = (size_t)(p - t->at);
	if (*size == 3 && memcmp(*name, "fun", 3) == 0)
		return false;
	t->at = p;
	return true;
}

/* An atom, quoted or not. */
static int read_atom(struct cn_text *t, struct cn_buf *room, const char **text, size_t *size)
{
	if (t->at < t->end && *t->at == '\'')
		return quoted(t, room, text, size);
	const char *from = t->at;
	uint32_t c;
	unsigned n = get_char(t, &c);
	if (n == 0 || !starts_atom(c))
		return REFUSE;
	do
		t->at += n;
	while ((n = get_char(t, &c)) && in_atom(c));
	*text = from;
	*size = (size_t)(t->at - from);
	return 0;
}

/* fun module:function/arity */
static int build_fun(struct cn_text *t, struct cnode_builder *b)
{
	struct cn_buf module_room, function_room;
	const char *module, *function;
	size_t module_size, function_size;
	struct number arity;
	cn_buf_init(&module_room, 0);
	cn_buf_init(&function_room, 0);
	t->at += 3;
	cn_text_peek(t);
	int rc = read_atom(t, &module_room, &module, &module_size);
	if (rc == 0 && cn_text_peek(t) != ':')
		rc = REFUSE;
	if (rc)
		goto out;
	t->at++;
	cn_text_peek(t);
	rc = read_atom(t, &function_room, &function, &function_size);
	if (rc == 0 && cn_text_peek(t) != '/')
		rc = REFUSE;
	if (rc)
		goto out;
	t->at++;
	if (!isdigit((unsigned char)cn_text_peek(t)) || read_number(t, &arity) || arity.is_float ||
	    arity.big || arity.magnitude > 255) {
		rc = REFUSE;
		goto out;
	}
	cn_build_export(b, module, module_size, function, function_size, (uint8_t)arity.magnitude);
out:
	cn_buf_fini(&module_room);
	cn_buf_fini(&function_room);
	return rc;
}

static int build_text(struct cn_text *t, struct cnode_builder *b, bool atom)
{
	struct cn_buf room;
	const char *text;
	size_t size;
	cn_buf_init(&room, 0);
	int rc = atom ? read_atom(t, &room, &text, &size) : quoted(t, &room, &text, &size);
	if (rc == 0 && atom)
		cn_build_atom(b, text, size);
	else if (rc == 0)
		cn_build_chars(b, text, size);
	cn_buf_fini(&room);
	return rc;
}

int cn_text_literal(struct cn_text *t, struct cnode_builder *b)
{
	const char *word;
	size_t size;
	char c = cn_text_peek(t);
	if (cn_text_word(t, &word, &size)) {
		cn_build_atom(b, word, size);
		return 0;
	}
	if (c == '"')
		return build_text(t, b, false);
	if (c == '<' && cn_text_follows(t, "<<"))
		return build_binary(t, b);
	if (c == '-' || c == '$' || (c >= '0' && c <= '9'))
		return build_number(t, b);
	uint32_t next;
	struct cn_text behind = { t->at + 3, t->end, NULL };
	if (cn_text_follows(t, "fun") && (get_char(&behind, &next) == 0 || !in_atom(next)))
		return build_fun(t, b);
	return build_text(t, b, true);
}
