/* SPDX-License-Identifier: Apache-2.0 */
/* options: reading argv by a table, and the help text of that table. */
#include "cnode/cmd/options.h"

#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cnode/error.h"

#define LABEL_WIDTH 28
#define LINE_WIDTH 80

/* Compares `size` bytes of a name of the table with the command line's. */
static bool same_bytes(const char *name, const char *given, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if ((given[i] == '-' ? '_' : given[i]) != name[i])
			return false;
	return true;
}

/* The bytes behind the dashes if `word` has the form of an option, else NULL. */
static const char *option_text(const char *word)
{
	if (word[0] != '-' || word[1] == '\0' || isdigit((unsigned char)word[1]))
		return NULL;
	word += word[1] == '-' ? 2 : 1;
	return *word != '\0' ? word : NULL;
}

static const struct cn_opt *find(const struct cn_opt *table, const char *text, size_t size)
{
	for (; table->name != NULL; table++)
		if (strlen(table->name) == size && same_bytes(table->name, text, size))
			return table;
	return NULL;
}

/* How many letters have to be changed, added or left out; `b` is short. */
static size_t distance(const char *a, const char *b)
{
	size_t row[64], n = strlen(b);

	if (n >= sizeof row / sizeof row[0] || strlen(a) > 64)
		return SIZE_MAX;
	for (size_t j = 0; j <= n; j++)
		row[j] = j;
	for (size_t i = 0; a[i] != '\0'; i++) {
		size_t corner = row[0];
		row[0] = i + 1;
		for (size_t j = 0; j < n; j++) {
			size_t best = corner + (tolower((unsigned char)a[i]) != b[j]);
			corner = row[j + 1];
			if (corner + 1 < best)
				best = corner + 1;
			if (row[j] + 1 < best)
				best = row[j] + 1;
			row[j + 1] = best;
		}
	}
	return row[n];
}

void cn_opt_nearer(const char *given, const char *name, const char **best, size_t *least)
{
	size_t d = distance(given, name);

	if (d < *least && d <= 1 + strlen(name) / 6) {
		*least = d;
		*best = name;
	}
}

/* The one option that begins with what was given, else the one that is spelled nearly so; NULL if there is none. */
static const char *meant(const struct cn_opt *table, const char *text, size_t size)
{
	const char *begins = NULL, *near = NULL;
	char given[64];
	size_t least = SIZE_MAX, several = 0;

	snprintf(given, sizeof given, "%.*s", (int)(size < sizeof given ? size : sizeof given - 1), text);
	for (char *c = given; *c != '\0'; c++)
		if (*c == '-')
			*c = '_';
	for (; table->name != NULL; table++) {
		if (strlen(table->name) > size && same_bytes(table->name, text, size)) {
			begins = table->name;
			several++;
		}
		cn_opt_nearer(given, table->name, &near, &least);
	}
	return several == 1 ? begins : near;
}

static int list_add(struct cn_opt_list *list, const char *item)
{
	const char **more = realloc(list->item, (list->count + 2) * sizeof *more);
	if (more == NULL)
		return CNODE_ENOMEM;
	list->item = more;
	list->item[list->count++] = item;
	list->item[list->count] = NULL;
	return 0;
}

void cn_opt_list_free(struct cn_opt_list *list)
{
	free(list->item);
	list->item = NULL;
	list->count = 0;
}

/* A decimal number in [min, max]; nothing else may stand around it. */
static bool read_number(const char *text, long min, long max, long *number)
{
	char *end;
	if (!isdigit((unsigned char)text[0]))
		return false;
	errno = 0;
	long n = strtol(text, &end, 10);
	if (errno != 0 || *end != '\0' || n < min || n > max)
		return false;
	*number = n;
	return true;
}

/* Seconds with up to three digits behind the point, as milliseconds. */
static bool read_seconds(const char *text, long min, long max, long *ms)
{
	char *end;
	if (!isdigit((unsigned char)text[0]))
		return false;
	errno = 0;
	long n = strtol(text, &end, 10);
	if (errno != 0 || n > max / 1000)
		return false;
	n *= 1000;
	if (*end == '.') {
		long unit = 100;
		for (end++; isdigit((unsigned char)*end) && unit > 0; end++, unit /= 10)
			n += (*end - '0') * unit;
	}
	if (*end != '\0' || n < min || n > max)
		return false;
	*ms = n;
	return true;
}

/* Bytes, with K, M or G behind them multiplied by 1024 once, twice or thrice. */
static bool read_size(const char *text, long min, long max, long *bytes)
{
	static const char units[] = "KMG";
	char *end;

	if (!isdigit((unsigned char)text[0]))
		return false;
	errno = 0;
	long n = strtol(text, &end, 10);
	const char *unit = *end != '\0' ? strchr(units, *end) : NULL;
	if (errno != 0 || end[unit != NULL] != '\0')
		return false;
	for (; unit != NULL && unit >= units; unit--)
		if (__builtin_mul_overflow(n, 1024L, &n))
			return false;
	if (n < min || n > max)
		return false;
	*bytes = n;
	return true;
}

static bool read_flag(const char *text, bool *flag)
{
	static const char *const yes[] = { "yes", "true", "on" }, *const no[] = { "no", "false", "off" };

	for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++)
		if (strcmp(text, yes[i]) == 0 || strcmp(text, no[i]) == 0) {
			*flag = strcmp(text, yes[i]) == 0;
			return true;
		}
	return false;
}

int cn_opt_store(const struct cn_opt *opt, const char *label, void *target, const char *value,
		 char message[CN_OPT_MESSAGE])
{
	void *variable = (char *)target + opt->offset;

	switch (opt->kind) {
	case CN_OPT_FLAG:
		if (read_flag(value, variable))
			return 0;
		snprintf(message, CN_OPT_MESSAGE, "%.300s %.100s: yes or no is wanted", label, value);
		return CNODE_EBADARG;
	case CN_OPT_TEXT:
		*(const char **)variable = value;
		return 0;
	case CN_OPT_LIST:
		return list_add(variable, value);
	case CN_OPT_NUMBER:
		if (read_number(value, opt->min, opt->max, variable))
			return 0;
		snprintf(message, CN_OPT_MESSAGE, "%.300s %.100s: a whole number from %ld to %ld is wanted", label, value,
			 opt->min, opt->max);
		return CNODE_EBADARG;
	case CN_OPT_SECONDS:
		if (read_seconds(value, opt->min, opt->max, variable))
			return 0;
		snprintf(message, CN_OPT_MESSAGE, "%.300s %.100s: seconds from %g to %ld are wanted", label, value,
			 (double)opt->min / 1000, opt->max / 1000);
		return CNODE_EBADARG;
	case CN_OPT_SIZE:
		if (read_size(value, opt->min, opt->max, variable))
			return 0;
		snprintf(message, CN_OPT_MESSAGE,
			 "%.300s %.100s: bytes from %ld to %ld are wanted, or so many K, M or G", label, value, opt->min,
			 opt->max);
		return CNODE_EBADARG;
	}
	return CNODE_EINTERNAL;
}

bool cn_opt_given(const struct cn_opt *opt, const void *target)
{
	const void *variable = (const char *)target + opt->offset;

	switch (opt->kind) {
	case CN_OPT_FLAG: return *(const bool *)variable;
	case CN_OPT_TEXT: return *(const char *const *)variable != NULL;
	case CN_OPT_LIST: return ((const struct cn_opt_list *)variable)->count > 0;
	case CN_OPT_NUMBER:
	case CN_OPT_SECONDS:
	case CN_OPT_SIZE: return *(const long *)variable != 0;
	}
	return false;
}

int cn_opt_parse(int argc, char *argv[], const struct cn_opt *table, void *target,
		 struct cn_opt_list *words, char message[CN_OPT_MESSAGE])
{
	bool only_words = false;

	message[0] = '\0';
	for (int i = 1; i < argc; i++) {
		const char *text = only_words ? NULL : option_text(argv[i]);
		int rc;

		if (text == NULL) {
			if (!only_words && strcmp(argv[i], "--") == 0) {
				only_words = true;
				continue;
			}
			if ((rc = list_add(words, argv[i])) != 0)
				return rc;
			continue;
		}
		size_t size = strcspn(text, "=");
		const char *value = text[size] == '=' ? text + size + 1 : NULL;
		const struct cn_opt *opt = find(table, text, size);
		if (opt == NULL) {
			const char *near = meant(table, text, size);
			snprintf(message, CN_OPT_MESSAGE, "unknown option -%.*s%s%s%s (see -help)",
				 size > 100 ? 100 : (int)size, text, near ? "; did you mean -" : "",
				 near ? near : "", near ? "?" : "");
			return CNODE_EBADARG;
		}
		if (opt->value == NULL && value != NULL) {
			snprintf(message, CN_OPT_MESSAGE, "option -%s takes no value", opt->name);
			return CNODE_EBADARG;
		}
		if (opt->value != NULL && value == NULL) {
			const char *next = i + 1 < argc ? option_text(argv[i + 1]) : NULL;
			const struct cn_opt *other =
				next != NULL ? find(table, next, strcspn(next, "=")) : NULL;
			if (i + 1 == argc) {
				snprintf(message, CN_OPT_MESSAGE, "option -%s needs a value: %s", opt->name,
					 opt->value);
				return CNODE_EBADARG;
			}
			if (other != NULL) {
				snprintf(message, CN_OPT_MESSAGE,
					 "option -%s needs a value: %s (if -%.100s is meant, write -%s=-%.100s)",
					 opt->name, opt->value, next, opt->name, next);
				return CNODE_EBADARG;
			}
			value = argv[++i];
		}
		char label[64];
		snprintf(label, sizeof label, "-%s", opt->name);
		if ((rc = cn_opt_store(opt, label, target, value != NULL ? value : "yes", message)) != 0)
			return rc;
	}
	return 0;
}

void cn_opt_help_line(const char *label, const char *text)
{
	int column = printf("  %s", label);

	if (column >= LABEL_WIDTH) {
		putchar('\n');
		column = 0;
	}
	column += printf("%*s", LABEL_WIDTH - column, "");
	for (bool first = true; *text != '\0'; first = false) {
		size_t size = strcspn(text, " ");
		if (!first && column + 1 + (int)size > LINE_WIDTH)
			column = printf("\n%*s", LABEL_WIDTH, "") - 1;
		else if (!first)
			column += printf(" ");
		column += printf("%.*s", (int)size, text);
		text += size + strspn(text + size, " ");
	}
	putchar('\n');
}

void cn_opt_help(const struct cn_opt *table)
{
	for (; table->name != NULL; table++) {
		char label[LINE_WIDTH];
		snprintf(label, sizeof label, "-%s%s%s", table->name, table->value ? " " : "",
			 table->value ? table->value : "");
		cn_opt_help_line(label, table->help);
	}
}
