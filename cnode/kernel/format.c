/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io_lib:format in C, as far as other nodes need it for output to an io server of ours:
 * they send {put_chars, unicode, io_lib, format, [Format, Args]} and leave the work to it.
 * Follows: io:fwrite/3 (stdlib) for the control sequences; ~p and ~P break no lines.
 */
#include "cnode/kernel/io.h"

#include <inttypes.h>
#include <stdio.h>

/* ---- chardata ---- */

static void put_code(struct cn_buf *out, uint32_t c)
{
	uint8_t bytes[4];
	cn_put(out, bytes, cn_utf8_put(c, bytes));
}

static bool is_code(int64_t c)
{
	return c >= 0 && c <= 0x10ffff && (c < 0xd800 || c > 0xdfff);
}

static bool put_binary(struct cn_buf *out, const uint8_t *bytes, size_t size, bool latin1)
{
	if (!latin1) {
		if (cn_utf8_length(bytes, size) == SIZE_MAX)
			return false;
		cn_put(out, bytes, size);
		return true;
	}
	for (size_t i = 0; i < size; i++)
		put_code(out, bytes[i]);
	return true;
}

static bool put_next(struct cn_buf *out, cnode_reader *r, bool latin1)
{
	size_t size;
	const uint8_t *bytes;
	int64_t code;
	switch (cnode_read_type(r)) {
	case CNODE_TYPE_INTEGER:
		code = cnode_read_int64(r);
		if (r->error || !is_code(code))
			return false;
		put_code(out, (uint32_t)code);
		return true;
	case CNODE_TYPE_BINARY:
		bytes = cnode_read_binary(r, &size);
		return bytes && put_binary(out, bytes, size, latin1);
	default:
		return cn_io_chars(out, cnode_read_term(r), latin1);
	}
}

bool cn_io_chars(struct cn_buf *out, cnode_term chars, bool latin1)
{
	cnode_reader r = cnode_read(chars);
	enum cnode_type type = cnode_read_type(&r);
	if (type == CNODE_TYPE_BINARY)
		return put_next(out, &r, latin1);
	if (type != CNODE_TYPE_LIST && type != CNODE_TYPE_NIL)
		return false;
	/* The tail is [], another part, or a binary. */
	while (cnode_read_type(&r) == CNODE_TYPE_LIST)
		for (size_t n = cnode_read_list(&r); n > 0; n--)
			if (!put_next(out, &r, latin1))
				return false;
	if (cnode_read_type(&r) == CNODE_TYPE_BINARY)
		return put_next(out, &r, latin1);
	return r.error == 0 && cnode_read_type(&r) == CNODE_TYPE_NIL;
}

/* ---- control sequences: ~F.P.PadModC ---- */

struct arguments {
	cnode_reader r;
	size_t left;                /* of the part that was entered */
};

static bool next_argument(struct arguments *a, cnode_term *term)
{
	if (a->left == 0)
		a->left = cnode_read_list(&a->r);
	if (a->left == 0 || a->r.error)
		return false;
	a->left--;
	*term = cnode_read_term(&a->r);
	return a->r.error == 0;
}

static bool none_left(struct arguments *a)
{
	return a->left == 0 && cnode_read_list(&a->r) == 0 && a->r.error == 0;
}

struct control {
	int64_t width;              /* negative: to the left; 0: none */
	int64_t precision;          /* -1: none */
	uint32_t pad;
	bool unicode;
	char letter;
};

#define WIDEST 100000               /* one control sequence; of many the limit of `out` takes care */

static bool read_number(const char **at, struct arguments *a, int64_t *number)
{
	cnode_term term;
	bool negative = **at == '-';
	*at += negative;
	if (**at == '*') {
		(*at)++;
		if (!next_argument(a, &term) || cnode_scan(term, "~q", number) != 0 || *number < -WIDEST || *number > WIDEST)
			return false;
		*number = negative ? -*number : *number;
		return true;
	}
	if (**at < '0' || **at > '9')
		return !negative;       /* it is left out */
	for (*number = 0; **at >= '0' && **at <= '9'; (*at)++)
		if ((*number = *number * 10 + (**at - '0')) > WIDEST)
			return false;
	*number = negative ? -*number : *number;
	return true;
}

static bool read_control(const char **at, struct arguments *a, struct control *c)
{
	*c = (struct control){ .precision = -1, .pad = ' ' };
	if (!read_number(at, a, &c->width))
		return false;
	if (**at == '.') {
		(*at)++;
		if (!read_number(at, a, &c->precision))
			return false;
		if (**at == '.') {
			(*at)++;
			if (**at == '*') {
				(*at)++;
				cnode_term term;
				int64_t pad;
				if (!next_argument(a, &term) || cnode_scan(term, "~q", &pad) != 0 || !is_code(pad))
					return false;
				c->pad = (uint32_t)pad;
			} else if (**at) {
				c->pad = (uint8_t)*(*at)++;
			}
		}
	}
	for (;; (*at)++) {
		if (**at == 't')
			c->unicode = true;
		else if (**at != 'l' && **at != 'k' && **at != 'K')
			break;
	}
	c->letter = **at;
	*at += c->letter != 0;
	return c->letter != 0;
}

/* The bytes of the first `count` characters; *there: how many there are of them. */
static size_t bytes_of(const uint8_t *text, size_t size, size_t count, size_t *there)
{
	size_t at = 0;
	for (*there = 0; *there < count && at < size; ++*there)
		do
			at++;
		while (at < size && (text[at] & 0xc0) == 0x80);
	return at;
}

static void put_pad(struct cn_buf *out, uint32_t pad, size_t count)
{
	while (count-- > 0)
		put_code(out, pad);
}

/* `text` in a field of the width; where it does not fit it is cut, or the field filled with stars. */
static void put_field(struct cn_buf *out, const struct control *c, const uint8_t *text, size_t size, bool may_cut)
{
	size_t width = (size_t)(c->width < 0 ? -c->width : c->width), length;
	size_t bytes = bytes_of(text, size, width ? width : SIZE_MAX, &length);
	size_t pad = width > length ? width - length : 0;
	if (bytes < size && !may_cut) {
		put_pad(out, '*', width);
		return;
	}
	put_pad(out, c->pad, c->width > 0 ? pad : 0);
	cn_put(out, text, bytes);
	put_pad(out, c->pad, c->width < 0 ? pad : 0);
}

static bool put_term(struct cn_buf *out, const struct control *c, cnode_term term, bool plain, uint32_t depth)
{
	char *text = cn_term_text_to(term, plain, depth);
	if (!text) {
		out->err = CNODE_ENOMEM;
		return true;
	}
	/* The width of ~p is where lines are broken: no field. */
	if (plain)
		put_field(out, c, (const uint8_t *)text, strlen(text), false);
	else
		cn_put(out, text, strlen(text));
	cn_free(text);
	return true;
}

/* That of ~P and ~W: any integer; below 0 there is no limit. */
static bool read_depth(cnode_term term, uint32_t *depth)
{
	int64_t n = -1;
	if (cnode_term_type(term) != CNODE_TYPE_INTEGER)
		return false;
	*depth = cnode_scan(term, "~q", &n) == 0 && n >= 0 && n < CN_ANY_DEPTH ? (uint32_t)n : CN_ANY_DEPTH;
	return true;
}

static bool put_string(struct cn_buf *out, const struct control *c, cnode_term term)
{
	struct cn_buf text;
	cnode_atom atom;
	cn_buf_init(&text, 0);
	bool good = true;
	if (cnode_scan(term, "~a", &atom) == 0)
		cn_put(&text, atom.text, atom.size);
	else
		good = cn_io_chars(&text, term, !c->unicode);
	if (good && text.err == 0 && c->precision >= 0) {
		/* Brought to the precision first. */
		size_t length;
		text.size = bytes_of(text.data, text.size, (size_t)c->precision, &length);
		put_pad(&text, c->pad, (size_t)c->precision - length);
	}
	if (good && text.err == 0)
		put_field(out, c, text.data ? text.data : (const uint8_t *)"", text.size, true);
	if (text.err)
		out->err = text.err;
	cn_buf_fini(&text);
	return good;
}

/* Sign, prefix and digits. */
static bool put_integer(struct cn_buf *out, const struct control *c, cnode_term term, const struct cn_buf *prefix)
{
	struct cn_buf digits, text;
	unsigned base = c->precision < 0 ? 10 : (unsigned)c->precision;
	bool upper = c->letter == 'B' || c->letter == 'X' || c->letter == '#', negative = false;
	if (base < 2 || base > 36)
		return false;
	cn_buf_init(&digits, out->limit);
	cn_buf_init(&text, out->limit);
	bool good = cn_term_digits(&digits, term, base, upper, &negative) == 0;
	if (negative)
		cn_put_u8(&text, '-');
	cn_put(&text, prefix->data, prefix->size);
	cn_put(&text, digits.data, digits.size);
	if (digits.err || text.err)
		out->err = digits.err ? digits.err : text.err;
	else if (good)
		put_field(out, c, text.data, text.size, false);
	cn_buf_fini(&digits);
	cn_buf_fini(&text);
	return good;
}

/* As ~e writes it: the exponent has no leading zeros. */
static int print_e(char *text, size_t room, int precision, double v)
{
	int size = snprintf(text, room, "%.*e", precision > 1 ? precision - 1 : 0, v);
	char *digits = strchr(text, 'e');
	if (!digits)
		return size;
	digits += 2;
	size_t zeros = strspn(digits, "0");
	zeros -= digits[zeros] == 0;
	memmove(digits, digits + zeros, strlen(digits + zeros) + 1);
	return size - (int)zeros;
}

static bool put_float(struct cn_buf *out, const struct control *c, cnode_term term)
{
	char text[512];
	double v;
	cnode_reader r = cnode_read(term);
	if (cnode_read_type(&r) != CNODE_TYPE_FLOAT)
		return false;
	v = cnode_read_double(&r);
	int precision = c->precision < 0 ? 6 : c->precision > 100 ? 100 : (int)c->precision;
	char letter = c->letter;
	if (letter == 'g') {
		/* ~f between 0.1 and 10000, with as many digits in all as ~e would have. */
		double a = v < 0 ? -v : v;
		int exponent = a < 0.1 ? -2 : a < 1 ? -1 : a < 10 ? 0 : a < 100 ? 1 : a < 1000 ? 2 : a < 10000 ? 3 : 4;
		bool plain = exponent >= -1 && exponent <= 3 && (precision > 1 ? precision - 1 > exponent : exponent == -1);
		letter = plain ? 'f' : 'e';
		precision = plain ? precision - 1 - exponent : precision > 1 ? precision : 2;
	}
	int size = letter == 'f' ? snprintf(text, sizeof text, "%.*f", precision, v) : print_e(text, sizeof text, precision, v);
	put_field(out, c, (const uint8_t *)text, (size_t)size < sizeof text ? (size_t)size : sizeof text - 1, false);
	return true;
}

static bool put_control(struct cn_buf *out, const struct control *c, struct arguments *a)
{
	cnode_term term, more;
	int64_t n = c->width > 0 ? c->width : 1, code;
	uint32_t depth;
	struct cn_buf text;
	bool good = true;
	switch (c->letter) {
	case '~':
	case 'n':
		for (; n > 0; n--)
			put_code(out, c->letter == 'n' ? '\n' : '~');
		return true;
	case 'c':
		if (!next_argument(a, &term) || cnode_scan(term, "~q", &code) != 0 || !is_code(code))
			return false;
		cn_buf_init(&text, 0);
		for (int64_t i = c->precision >= 0 ? c->precision : c->width < 0 ? -c->width : n; i > 0; i--)
			put_code(&text, (uint32_t)code);
		put_field(out, c, text.data ? text.data : (const uint8_t *)"", text.size, true);
		out->err = out->err ? out->err : text.err;
		cn_buf_fini(&text);
		return true;
	case 's':
		return next_argument(a, &term) && put_string(out, c, term);
	case 'p':
		return next_argument(a, &term) && put_term(out, c, term, false, CN_ANY_DEPTH);
	case 'w':
		return next_argument(a, &term) && put_term(out, c, term, true, CN_ANY_DEPTH);
	case 'P':
	case 'W':
		return next_argument(a, &term) && next_argument(a, &more) && read_depth(more, &depth) &&
		       put_term(out, c, term, c->letter == 'W', depth);
	case 'b':
	case 'B':
		cn_buf_init(&text, 0);
		return next_argument(a, &term) && put_integer(out, c, term, &text);
	case '+':
	case '#':
		if (!next_argument(a, &term))
			return false;
		cn_buf_init(&text, 0);
		cn_put_text(&text, "%d#", (int)(c->precision < 0 ? 10 : c->precision));
		break;
	case 'x':
	case 'X':
		if (!next_argument(a, &term) || !next_argument(a, &more))
			return false;
		cn_buf_init(&text, 0);
		good = cn_io_chars(&text, more, !c->unicode);
		break;
	case 'e':
	case 'f':
	case 'g':
		return next_argument(a, &term) && put_float(out, c, term);
	case 'i':
		return next_argument(a, &term);
	default:
		return false;
	}
	/* An integer behind the prefix in `text`. */
	if (good && text.err == 0)
		good = put_integer(out, c, term, &text);
	out->err = out->err ? out->err : text.err;
	cn_buf_fini(&text);
	return good;
}

bool cn_io_format(struct cn_buf *out, cnode_term format, cnode_term args)
{
	struct cn_buf text;
	cnode_atom atom;
	bool good = true;
	cn_buf_init(&text, 0);
	if (cnode_scan(format, "~a", &atom) == 0)
		cn_put(&text, atom.text, atom.size);
	else
		good = cn_io_chars(&text, format, cnode_term_type(format) == CNODE_TYPE_BINARY);
	cn_put_u8(&text, 0);
	struct arguments a = { .r = cnode_read(args) };
	good = good && text.err == 0;
	const char *at = (const char *)text.data, *end = good ? at + text.size - 1 : at;       /* it may have zeroes of its own */
	while (good && out->err == 0 && at < end) {
		const char *tilde = memchr(at, '~', (size_t)(end - at));
		struct control c;
		cn_put(out, at, (size_t)((tilde ? tilde : end) - at));
		at = tilde ? tilde : end;
		if (tilde) {
			at++;
			good = read_control(&at, &a, &c) && put_control(out, &c, &a);
		}
	}
	good = good && (out->err != 0 || none_left(&a));
	if (text.err)
		out->err = text.err;
	cn_buf_fini(&text);
	return good;
}
