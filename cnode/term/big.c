/* SPDX-License-Identifier: Apache-2.0 */
/* Integers of more than 64 bits, from and to text. Magnitudes are little endian, as on the wire. */
#include "cnode/term/text.h"

/* Digits of a base that is no power of two: reading them takes time that grows with the square. */
#define MAX_DIGITS 20000u

static unsigned digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned)(c - '0');
	return (unsigned)((c | 0x20) - 'a') + 10;
}

/* words = words * factor + add */
static int multiply_add(struct cn_buf *words, uint32_t factor, uint32_t add)
{
	uint64_t carry = add;
	for (size_t i = 0; i < words->size; i += 4) {
		uint32_t w;
		memcpy(&w, words->data + i, 4);
		carry += (uint64_t)w * factor;
		w = (uint32_t)carry;
		memcpy(words->data + i, &w, 4);
		carry >>= 32;
	}
	if (carry) {
		uint32_t w = (uint32_t)carry;
		cn_put(words, &w, 4);
	}
	return words->err;
}

int cn_big_parse(const char *digits, size_t size, unsigned base, struct cn_buf *magnitude)
{
	struct cn_buf words;
	cn_buf_init(&words, 0);
	bool power = (base & (base - 1)) == 0;
	if (size > (power ? CN_TERM_BYTES_MAX / 8 : MAX_DIGITS))
		return CNODE_EBADARG;

	int rc = 0;
	if (power) {
		/* From the last digit on, bits are only put side by side. */
		unsigned width = (unsigned)__builtin_ctz(base), bits = 0;
		uint32_t pending = 0;
		for (size_t i = size; i; i--) {
			if (digits[i - 1] == '_')
				continue;
			pending |= digit_value(digits[i - 1]) << bits;
			for (bits += width; bits >= 8; bits -= 8, pending >>= 8)
				cn_put_u8(magnitude, (uint8_t)pending);
		}
		if (bits)
			cn_put_u8(magnitude, (uint8_t)pending);
		rc = magnitude->err;
	} else {
		/* As many digits at a time as fit into 32 bits. */
		uint32_t factor = 1, part = 0;
		for (size_t i = 0; i < size && rc == 0; i++) {
			if (digits[i] == '_')
				continue;
			part = part * base + digit_value(digits[i]);
			factor *= base;
			if (factor > UINT32_MAX / 36) {
				rc = multiply_add(&words, factor, part);
				factor = 1;
				part = 0;
			}
		}
		if (rc == 0 && factor > 1)
			rc = multiply_add(&words, factor, part);
		for (size_t i = 0; i < words.size && rc == 0; i += 4) {
			uint32_t w;
			memcpy(&w, words.data + i, 4);
			for (int n = 0; n < 4; n++, w >>= 8)
				cn_put_u8(magnitude, (uint8_t)w);
			rc = magnitude->err;
		}
	}
	cn_buf_fini(&words);
	while (magnitude->size && magnitude->data[magnitude->size - 1] == 0)
		magnitude->size--;
	return rc;
}

/* The digits of one 32-bit part, at least `least` of them, to the end of text; where they begin. */
static char *part_digits(char *end, uint32_t part, unsigned base, bool upper, unsigned least)
{
	for (unsigned n = 0; n < least || part; n++, part /= base) {
		unsigned d = part % base;
		*--end = (char)(d < 10 ? '0' + d : (upper ? 'A' : 'a') + d - 10);
	}
	return end;
}

/* In a base that is a power of two: its digits are bits beside each other. */
static void print_bits(const uint8_t *magnitude, size_t size, unsigned base, bool upper, cn_big_put *put, void *to)
{
	unsigned width = (unsigned)__builtin_ctz(base);
	size_t bits = size * 8 - ((unsigned)__builtin_clz(magnitude[size - 1]) - 24);
	char text[64], *at = text;
	for (size_t i = (bits + width - 1) / width; i; i--) {
		size_t bit = (i - 1) * width, byte = bit / 8;
		unsigned two = magnitude[byte] | (byte + 1 < size ? (unsigned)magnitude[byte + 1] << 8 : 0);
		part_digits(at + 1, two >> bit % 8 & (base - 1), base, upper, 1);
		if (++at == text + sizeof text || i == 1) {
			put(to, text, (size_t)(at - text));
			at = text;
		}
	}
}

void cn_big_print(const uint8_t *magnitude, size_t size, unsigned base, bool upper, cn_big_put *put, void *to)
{
	/* Several digits per division, at least 27 bits: 24^6 is the least power that the next one does not fit behind. */
	uint32_t words[CN_BIG_SLOW / 4] = { 0 };
	uint32_t parts[CN_BIG_SLOW / 4 * 32 / 27 + 2];
	size_t count = 0;
	char text[32];

	if ((base & (base - 1)) == 0) {
		print_bits(magnitude, size, base, upper, put, to);
		return;
	}
	if (size > CN_BIG_SLOW) {
		put(to, "16#", 3);
		print_bits(magnitude, size, 16, true, put, to);
		return;
	}
	uint32_t factor = base;
	unsigned width = 1;
	for (; factor <= UINT32_MAX / base; factor *= base)
		width++;
	for (size_t i = 0; i < size; i++)
		words[i / 4] |= (uint32_t)magnitude[i] << i % 4 * 8;
	for (size_t used = (size + 3) / 4; used;) {
		uint64_t rest = 0;
		for (size_t i = used; i; i--) {
			rest = rest << 32 | words[i - 1];
			words[i - 1] = (uint32_t)(rest / factor);
			rest %= factor;
		}
		parts[count++] = (uint32_t)rest;
		while (used && words[used - 1] == 0)
			used--;
	}
	for (size_t i = count; i; i--) {
		char *first = part_digits(text + sizeof text, parts[i - 1], base, upper, i == count ? 1 : width);
		put(to, first, (size_t)(text + sizeof text - first));
	}
}

static void put_buf(void *to, const char *text, size_t size)
{
	cn_put(to, text, size);
}

int cn_term_digits(struct cn_buf *out, cnode_term term, unsigned base, bool upper, bool *negative)
{
	if (cnode_term_type(term) != CNODE_TYPE_INTEGER)
		return CNODE_EBADARG;
	struct cn_int i = cn_int_at(cn_real(term.bytes_));
	uint8_t few[8];
	*negative = i.negative;
	if (i.big) {
		cn_big_print(i.digits, i.size, base, upper, put_buf, out);
		return 0;
	}
	if (i.magnitude == 0) {
		cn_put_u8(out, '0');
		return 0;
	}
	size_t size = 0;
	for (uint64_t m = i.magnitude; m; m >>= 8)
		few[size++] = (uint8_t)m;
	cn_big_print(few, size, base, upper, put_buf, out);
	return 0;
}
