/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading Erlang text: the parser of cnode_parse and of the format language, which is the
 * same with ~ directives. Compounds are kept by the builder, so nothing here recurses.
 *
 * Follows: erl_scan for the tokens; what is no literal term (variables, operators, calls)
 * is refused. Reserved words are atoms here without quotes, except `fun`.
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

static bool follows(const struct cn_text *t, const char *what)
{
	size_t size = strlen(what);
	return (size_t)(t->end - t->at) >= size && memcmp(t->at, what, size) == 0;
}

static bool take(struct cn_text *t, const char *what)
{
	cn_text_peek(t);
	if (!follows(t, what))
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
		if (!follows(t, "/utf8")) {
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
	for (bool first = true; !(cn_text_peek(t) == '>' && follows(t, ">>")); first = false) {
		if (!first && !take(t, ",")) {
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
	if (c == '<' && follows(t, "<<"))
		return build_binary(t, b);
	if (c == '-' || c == '$' || (c >= '0' && c <= '9'))
		return build_number(t, b);
	uint32_t next;
	struct cn_text behind = { t->at + 3, t->end, NULL };
	if (follows(t, "fun") && (get_char(&behind, &next) == 0 || !in_atom(next)))
		return build_fun(t, b);
	return build_text(t, b, true);
}

/* ---- terms ---- */

static int directive(struct cn_text *t, struct cnode_builder *b)
{
	va_list *args = &t->args->list;
	if (t->end - t->at < 2)
		return REFUSE;
	switch (t->at[1]) {
	case 'q':
		cnode_build_int64(b, va_arg(*args, int64_t));
		break;
	case 'Q':
		cnode_build_uint64(b, va_arg(*args, uint64_t));
		break;
	case 'l':
		cnode_build_int64(b, va_arg(*args, long));
		break;
	case 'i':
		cnode_build_int64(b, va_arg(*args, int));
		break;
	case 'f':
		cnode_build_double(b, va_arg(*args, double));
		break;
	case 'a':
		cnode_build_atom(b, va_arg(*args, const char *));
		break;
	case 's':
		cnode_build_string(b, va_arg(*args, const char *));
		break;
	case 'z': {
		const char *text = va_arg(*args, const char *);
		if (text && cn_utf8_length((const uint8_t *)text, strlen(text)) == SIZE_MAX)
			b->err = b->err ? b->err : CNODE_EBADTERM;
		cnode_build_binary(b, text, text ? strlen(text) : 1);
		break;
	}
	case 'b': {
		const void *bytes = va_arg(*args, const void *);
		cnode_build_binary(b, bytes, va_arg(*args, size_t));
		break;
	}
	case 'B': {
		const void *bytes = va_arg(*args, const void *);
		size_t size = va_arg(*args, size_t);
		cnode_release_fn *release = va_arg(*args, cnode_release_fn *);
		cnode_build_handed(b, bytes, size, release, va_arg(*args, void *));
		break;
	}
	case 'p':
		cnode_build_pid(b, va_arg(*args, cnode_pid));
		break;
	case 'r':
		cnode_build_ref(b, va_arg(*args, cnode_ref));
		break;
	case 't':
		cnode_build_term(b, va_arg(*args, cnode_term));
		break;
	default:
		return REFUSE;
	}
	t->at += 2;
	t->args->taken++;
	return 0;
}

int cn_text_term(struct cn_text *t, struct cnode_builder *b)
{
	uint32_t outer = b->depth;
	for (;;) {
		/* A term begins here. */
		int rc = 0;
		char c = cn_text_peek(t);
		if (b->err)
			return 0;
		if (c == '{') {
			t->at++;
			cn_build_open_tuple(b);
			if (!take(t, "}"))
				continue;
			cn_build_close_tuple(b);
		} else if (c == '[') {
			t->at++;
			cnode_build_list(b);
			if (!take(t, "]"))
				continue;
			cnode_build_list_end(b);
		} else if (c == '#' && follows(t, "#{")) {
			t->at += 2;
			cnode_build_map(b);
			if (!take(t, "}"))
				continue;
			cnode_build_map_end(b);
		} else if (c == '~' && t->args) {
			rc = directive(t, b);
		} else {
			rc = cn_text_literal(t, b);
		}
		if (rc)
			return rc;

		/* A term ended here: what surrounds it goes on, or ends too. */
		for (;;) {
			if (b->err || b->depth <= outer)
				return 0;
			struct cn_build_frame *f = &b->frames[b->depth - 1];
			c = cn_text_peek(t);
			if (f->kind == CN_BUILD_OPEN_TUPLE && c == '}') {
				t->at++;
				cn_build_close_tuple(b);
			} else if (f->kind == CN_BUILD_LIST && c == ']') {
				t->at++;
				cnode_build_list_end(b);
			} else if (f->kind == CN_BUILD_OPEN_TAIL && c == ']') {
				t->at++;
				cn_build_close_tail(b);
			} else if (f->kind == CN_BUILD_MAP && f->count % 2 == 0 && c == '}') {
				t->at++;
				cnode_build_map_end(b);
			} else if (f->kind == CN_BUILD_MAP && f->count % 2) {
				if (!take(t, "=>") && !take(t, ":="))
					return REFUSE;
				break;
			} else if (f->kind == CN_BUILD_LIST && c == '|') {
				t->at++;
				cn_build_open_tail(b);
				break;
			} else if (c == ',' && f->kind != CN_BUILD_OPEN_TAIL) {
				t->at++;
				break;
			} else {
				return REFUSE;
			}
		}
	}
}

/* ---- the public functions ---- */

int cnode_parse(const char *text, cnode_term *term, size_t *error_at)
{
	struct cnode_builder b;
	if (!text)
		return CNODE_EBADARG;
	struct cn_text t = { text, text + strlen(text), NULL };
	cn_builder_init(&b);
	int rc = cn_text_term(&t, &b);
	if (rc == 0 && b.err == 0 && cn_text_peek(&t) == '.') {
		t.at++;
		cn_text_peek(&t);
	}
	if (rc == 0 && b.err == 0 && t.at != t.end)
		rc = CNODE_EBADARG;
	if (rc == 0)
		rc = cnode_builder_term(&b, term);
	cn_builder_fini(&b);
	if (rc && error_at)
		*error_at = (size_t)(t.at - text);
	return rc == 0 || rc == CNODE_ENOMEM ? rc : CNODE_EBADARG;
}

/* The next directive's letter, passing it; 0 at the end. What stands in quotes, behind $ or in a comment is none. */
static char next_directive(const char **at)
{
	for (const char *p = *at; *p; p++) {
		switch (*p) {
		case '\'':
		case '"':
			for (char quote = *p++; *p && *p != quote; p++)
				p += *p == '\\' && p[1];
			break;
		case '$':
			p += p[1] == '\\' && p[2] ? 2 : p[1] != 0;
			break;
		case '%':
			p += strcspn(p, "\n");
			break;
		case '~':
			*at = p + (p[1] ? 2 : 1);
			return p[1];
		}
		if (!*p)
			break;
	}
	return 0;
}

/* Gives back what the arguments hand over that the builder did not come to. */
static void release_rest(const char *format, struct cn_args *args)
{
	char letter;
	unsigned number = 0;
	while ((letter = next_directive(&format))) {
		if (number++ < args->taken)
			continue;
		switch (letter) {
		case 'q':
			(void)va_arg(args->list, int64_t);
			break;
		case 'Q':
			(void)va_arg(args->list, uint64_t);
			break;
		case 'l':
			(void)va_arg(args->list, long);
			break;
		case 'i':
			(void)va_arg(args->list, int);
			break;
		case 'f':
			(void)va_arg(args->list, double);
			break;
		case 'a':
		case 's':
		case 'z':
			(void)va_arg(args->list, const char *);
			break;
		case 'b':
			(void)va_arg(args->list, const void *);
			(void)va_arg(args->list, size_t);
			break;
		case 'B': {
			(void)va_arg(args->list, const void *);
			(void)va_arg(args->list, size_t);
			cnode_release_fn *release = va_arg(args->list, cnode_release_fn *);
			void *context = va_arg(args->list, void *);
			if (release)
				release(context);
			break;
		}
		case 'p':
			(void)va_arg(args->list, cnode_pid);
			break;
		case 'r':
			(void)va_arg(args->list, cnode_ref);
			break;
		case 't':
			(void)va_arg(args->list, cnode_term);
			break;
		default:
			return;         /* nothing is known of its arguments, and so of those behind it */
		}
	}
}

void cn_build_vformat(struct cnode_builder *b, const char *format, va_list args)
{
	struct cn_args copy = { .taken = 0 };
	struct cn_text t = { format, format + strlen(format), &copy };
	va_copy(copy.list, args);
	int rc = b->err ? 0 : cn_text_term(&t, b);
	if (b->err == 0 && rc == 0 && cn_text_peek(&t) != 0)
		rc = CNODE_EBADARG;
	if (b->err == 0 && rc)
		b->err = rc == CNODE_ENOMEM ? rc : CNODE_EFORMAT;
	if (CN_UNLIKELY(b->err))
		release_rest(format, &copy);
	va_end(copy.list);
}

int cn_format_refused(int rc, const char *format, va_list args)
{
	struct cn_args copy = { .taken = 0 };
	va_copy(copy.list, args);
	release_rest(format, &copy);
	va_end(copy.list);
	return rc;
}

void cnode_build_format(cnode_builder *b, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	cn_build_vformat(b, format, args);
	va_end(args);
}

int cnode_vformat(cnode_term *term, const char *format, va_list args)
{
	struct cnode_builder b;
	cn_builder_init(&b);
	cn_build_vformat(&b, format, args);
	return cnode_builder_term(&b, term);
}

int cnode_format(cnode_term *term, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int rc = cnode_vformat(term, format, args);
	va_end(args);
	return rc;
}
