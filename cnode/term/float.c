/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text of floats. The C library's conversions follow the program's locale, which is not ours
 * to change: the decimal point is looked at once per conversion.
 */
#include "cnode/term/walk.h"

#include <ctype.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* What this locale writes between the digits of 0.5. */
static size_t decimal_point(char point[8])
{
	char half[16];
	int size = snprintf(half, sizeof half, "%.1f", 0.5);
	size_t n = size > 2 && size < 10 ? (size_t)size - 2 : 1;
	memcpy(point, size > 2 ? half + 1 : ".", n);
	return n;
}

static size_t digits(const char *text, size_t size, size_t at)
{
	size_t from = at;
	while (at < size && isdigit((unsigned char)text[at]))
		at++;
	return at - from;
}

bool cn_float_parse(const char *text, size_t size, double *value)
{
	/* [-+] digits . digits [e [-+] digits] */
	size_t at = size && (text[0] == '-' || text[0] == '+');
	size_t whole = digits(text, size, at);
	size_t point_at = at + whole;
	if (whole == 0 || point_at >= size || text[point_at] != '.')
		return false;
	size_t fraction = digits(text, size, point_at + 1);
	at = point_at + 1 + fraction;
	if (fraction == 0)
		return false;
	if (at < size) {
		if (text[at] != 'e' && text[at] != 'E')
			return false;
		at++;
		at += at < size && (text[at] == '-' || text[at] == '+');
		size_t exponent = digits(text, size, at);
		if (exponent == 0 || at + exponent != size)
			return false;
	}

	char copy[CN_FLOAT_TEXT_MAX + 8], point[8];
	if (size > CN_FLOAT_TEXT_MAX)
		return false;
	size_t point_size = decimal_point(point);
	memcpy(copy, text, point_at);
	memcpy(copy + point_at, point, point_size);
	memcpy(copy + point_at + point_size, text + point_at + 1, size - point_at - 1);
	copy[size + point_size - 1] = 0;
	char *end;
	*value = strtod(copy, &end);
	return end == copy + size + point_size - 1 && isfinite(*value);
}

/* Adds one to the last digit of "d.ddde…"; false if that carries out of the first. */
static bool add_one(char *text)
{
	char *p = strchr(text, 'e');
	while (p && p-- > text) {
		if (!isdigit((unsigned char)*p))
			continue;
		if (*p != '9') {
			++*p;
			return true;
		}
		*p = '0';
	}
	return false;
}

/* The fewest significant digits that read back as the same float; returns their number. */
static int shortest(double v, char digit[18], int *exponent)
{
	char text[48];
	/* What has 15 digits or fewer comes back as it was, but for the subnormal. */
	for (int precision = v < DBL_MIN ? 1 : 15;; precision++) {
		snprintf(text, sizeof text, "%.*e", precision - 1, v);
		if (precision == 17 || strtod(text, NULL) == v)
			break;
		/*
		 * Below a power of two floats are twice as close: the next text may do where the
		 * nearest does not.
		 */
		int exp;
		if (frexp(v, &exp) == 0.5 && add_one(text) && strtod(text, NULL) == v)
			break;
	}
	/* The digits are what comes before the 'e', whatever the decimal point looks like. */
	int n = 0;
	const char *p = text;
	for (; *p && *p != 'e'; p++)
		if (isdigit((unsigned char)*p) && n < 17)
			digit[n++] = *p;
	*exponent = *p ? (int)strtol(p + 1, NULL, 10) : 0;
	while (n > 1 && digit[n - 1] == '0')
		n--;
	return n;
}

size_t cn_float_print(double value, char text[CN_FLOAT_TEXT])
{
	char digit[18];
	char *p = text;
	int exponent = 0;
	int n = 1;
	digit[0] = '0';
	if (signbit(value))
		*p++ = '-';
	if (value != 0)
		n = shortest(fabs(value), digit, &exponent);

	/* The shorter of the two notations; from 2^53 on always with an exponent. */
	char power[8];
	int power_size = snprintf(power, sizeof power, "e%d", exponent);
	int scientific = n + 1 + (n == 1) + power_size;
	int plain = exponent < 0 ? 1 - exponent + n : n > exponent + 1 ? n + 1 : exponent + 3;
	if (fabs(value) >= 0x1p53 || plain > scientific) {
		*p++ = digit[0];
		*p++ = '.';
		if (n == 1)
			*p++ = '0';
		memcpy(p, digit + 1, (size_t)n - 1);
		p += n - 1;
		memcpy(p, power, (size_t)power_size);
		p += power_size;
	} else if (exponent < 0) {
		*p++ = '0';
		*p++ = '.';
		for (int i = -1; i > exponent; i--)
			*p++ = '0';
		memcpy(p, digit, (size_t)n);
		p += n;
	} else {
		for (int i = 0; i <= exponent || i < n; i++) {
			*p++ = i < n ? digit[i] : '0';
			if (i == exponent)
				*p++ = '.';
		}
		if (n <= exponent + 1)
			*p++ = '0';
	}
	*p = 0;
	return (size_t)(p - text);
}
