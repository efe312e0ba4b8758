/* SPDX-License-Identifier: Apache-2.0 */
/* Integers of more than 64 bits, from and to text. Magnitudes are little endian, as on the wire. */
#include "cnode/term/text.h"

#include <stdio.h>

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

static void print_hex(const uint8_t *magnitude, size_t size,
		      void (*put)(void *, const char *, size_t), void *to)
{
	char text[3];
	put(to, "16#", 3);
	for (size_t i = size; i; i--) {
		int n = snprintf(text, sizeof text, i == size ? "%X" : "%02X", magnitude[i - 1]);
		put(to, text, (size_t)n);
	}
}

void cn_big_print(const uint8_t *magnitude, size_t size, void (*put)(void *, const char *, size_t),
		  void *to)
{
	/* 10^9 per division: 4,096 bytes have at most 9,865 digits. */
	uint32_t words[CN_BIG_DECIMAL / 4] = { 0 };
	uint32_t parts[CN_BIG_DECIMAL / 4 * 33 / 29 + 2];
	size_t count = 0;
	char text[10];

	if (size > CN_BIG_DECIMAL) {
		print_hex(magnitude, size, put, to);
		return;
	}
	for (size_t i = 0; i < size; i++)
		words[i / 4] |= (uint32_t)magnitude[i] << i % 4 * 8;
	for (size_t used = (size + 3) / 4; used;) {
		uint64_t rest = 0;
		for (size_t i = used; i; i--) {
			rest = rest << 32 | words[i - 1];
			words[i - 1] = (uint32_t)(rest / 1000000000u);
			rest %= 1000000000u;
		}
		parts[count++] = (uint32_t)rest;
		while (used && words[used - 1] == 0)
			used--;
	}
	for (size_t i = count; i; i--) {
		int n = snprintf(text, sizeof text, i == count ? "%u" : "%09u", parts[i - 1]);
		put(to, text, (size_t)n);
	}
}
