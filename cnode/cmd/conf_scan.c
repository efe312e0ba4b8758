/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conf: from a file's bytes to the text that libconfuse gets. libconfuse 3.3 counts lines
 * wrongly behind comments, drops characters that it does not know, takes an unset variable
 * for an empty one and stays inside of a string that has no end, so that the next file is
 * read wrongly: none of it reaches libconfuse here.
 */
#include <ctype.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cnode/cmd/conf.h"
#include "cnode/error.h"

#define WORD_MAX 65536
#define VARIABLE_MAX 256

enum token { START, WORD, TITLE, VALUE, EQUALS, OPEN, CLOSE, COMMA };

/* A key that was given a value, to find the second one. */
struct seen {
	char *name;
	int line;
};

struct scan {
	const struct cn_conf_schema *schema;
	const char *file;
	size_t number;
	const char *at, *end;
	int line;
	enum token before;          /* the token before this one */
	bool in_list;
	int depth;                  /* of sections */
	int opened[2];              /* lines of the last '{' of a section and of a list */
	const struct cn_conf_kind *kind;        /* of the section; NULL: outside, or unknown */
	const struct cn_conf_kind *opening;     /* of the key before, if it is one */
	char key[128];              /* the last key, cut */
	struct seen *seen;          /* of the section, and of outside */
	size_t seen_count, outside; /* the first `outside` are outside of sections */
	FILE *out;
	char word[WORD_MAX];
	size_t size;
	char *message;
};

static int wrong(struct scan *s, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));

static int wrong(struct scan *s, int line, const char *format, ...)
{
	va_list args;
	int n = snprintf(s->message, CN_CONF_MESSAGE, "%s:%d: ", s->file, line);

	va_start(args, format);
	if (n > 0 && n < CN_CONF_MESSAGE)
		vsnprintf(s->message + n, CN_CONF_MESSAGE - (size_t)n, format, args);
	va_end(args);
	return CNODE_EBADARG;
}

static bool is_key(const struct cn_opt *opt)
{
	static const char *const not[] = { "help", "version", "check", "config" };

	for (size_t i = 0; i < sizeof not / sizeof not[0]; i++)
		if (strcmp(opt->name, not[i]) == 0)
			return false;
	return true;
}

/* ---- keys ---- */

/* Is the key known here? Else what is nearest, or NULL, to *meant. */
static bool known(const struct scan *s, const char *key, const char **meant)
{
	size_t least = SIZE_MAX;

	*meant = NULL;
	if (s->depth > 0) {
		if (s->kind == NULL || s->kind->free)
			return true;
		for (const struct cn_conf_field *f = s->kind->field; f->key != NULL; f++) {
			if (strcmp(f->key, key) == 0)
				return true;
			cn_opt_nearer(key, f->key, meant, &least);
		}
		return false;
	}
	for (const struct cn_opt *o = s->schema->table; o->name != NULL; o++) {
		if (!is_key(o))
			continue;
		if (strcmp(o->name, key) == 0)
			return true;
		cn_opt_nearer(key, o->name, meant, &least);
	}
	for (const struct cn_conf_kind *k = s->schema->kind; k->name != NULL; k++) {
		if (strcmp(k->name, key) == 0)
			return true;
		cn_opt_nearer(key, k->name, meant, &least);
	}
	return false;
}

static int take_key(struct scan *s)
{
	const char *meant;

	snprintf(s->key, sizeof s->key, "%.127s", s->word);
	s->opening = NULL;
	if (!known(s, s->word, &meant))
		return wrong(s, s->line, "unknown key %.100s%s%s%s%s%s", s->word, s->depth > 0 ? " in a section " : "",
			     s->depth > 0 ? s->kind->name : "", meant ? "; did you mean " : "", meant ? meant : "",
			     meant ? "?" : "");
	for (const struct cn_conf_kind *k = s->schema->kind; s->depth == 0 && k->name != NULL; k++)
		if (strcmp(k->name, s->word) == 0)
			s->opening = k;
	return 0;
}

/* The key before gets a value, or more values (adds): refuses a value the second time. */
static int take_assignment(struct scan *s, bool adds)
{
	for (size_t i = s->depth > 0 ? s->outside : 0; i < s->seen_count; i++) {
		if (strcmp(s->seen[i].name, s->key) != 0)
			continue;
		return adds ? 0 : wrong(s, s->line, "%s is there twice, in line %d too (+= adds to a list)", s->key,
					s->seen[i].line);
	}
	struct seen *more = realloc(s->seen, (s->seen_count + 1) * sizeof *more);
	if (more == NULL)
		return CNODE_ENOMEM;
	s->seen = more;
	more[s->seen_count] = (struct seen){ .name = strdup(s->key), .line = s->line };
	if (more[s->seen_count].name == NULL)
		return CNODE_ENOMEM;
	s->seen_count++;
	if (s->depth == 0)
		s->outside = s->seen_count;
	return 0;
}

/* ---- words ---- */

static int put(struct scan *s, char c)
{
	if (s->size + 1 >= sizeof s->word)
		return wrong(s, s->line, "a value is longer than %d bytes", WORD_MAX - 2);
	s->word[s->size++] = c;
	return 0;
}

/* "${NAME}" or "${NAME:-default}"; s->at is behind "${". */
static int take_variable(struct scan *s)
{
	char name[VARIABLE_MAX];
	const char *start = s->at;
	size_t size = 0;
	int rc = 0;

	while (s->at < s->end && (isalnum((unsigned char)*s->at) || *s->at == '_'))
		s->at++;
	size = (size_t)(s->at - start);
	const char *other = NULL, *close = memchr(s->at, '}', (size_t)(s->end - s->at));
	const char *newline = memchr(s->at, '\n', (size_t)(s->end - s->at));
	if (close == NULL || (newline != NULL && newline < close))
		return wrong(s, s->line, "a variable has no end: ${NAME} is wanted");
	if (close - s->at >= 2 && s->at[0] == ':' && s->at[1] == '-')
		other = s->at + 2;
	if (size == 0 || size >= sizeof name || isdigit((unsigned char)*start) || (other == NULL && close != s->at))
		return wrong(s, s->line, "${%.*s}: ${NAME} or ${NAME:-DEFAULT} is wanted, NAME of letters, digits and _",
			     close - start > 100 ? 100 : (int)(close - start), start);
	memcpy(name, start, size);
	name[size] = '\0';
	s->at = close + 1;
	const char *value = getenv(name);
	if (other != NULL && (value == NULL || *value == '\0')) {
		for (; other < close && rc == 0; other++)
			rc = put(s, *other);
		return rc;
	}
	if (value == NULL)
		return wrong(s, s->line, "the variable %s is not set; ${%s:-DEFAULT} would give a default", name, name);
	for (; *value != '\0' && rc == 0; value++) {
		if ((unsigned char)*value < ' ' || *value == 0x7f)
			return wrong(s, s->line, "the variable %s has a control character", name);
		rc = put(s, *value);
	}
	return rc;
}

static bool is_variable(const struct scan *s)
{
	return s->end - s->at >= 2 && s->at[0] == '$' && s->at[1] == '{';
}

/* The string that begins with `quote` at s->at. */
static int take_string(struct scan *s, char quote)
{
	static const char letters[] = "nt\\\"$", means[] = "\n\t\\\"$";
	int rc = 0;

	for (s->at++; s->at < s->end && *s->at != quote && rc == 0;) {
		if (*s->at == '\n')
			break;
		if (quote == '"' && is_variable(s)) {
			s->at += 2;
			rc = take_variable(s);
		} else if (quote == '"' && *s->at == '\\') {
			const char *letter = s->at + 1 < s->end ? memchr(letters, s->at[1], sizeof letters - 1) : NULL;
			if (letter == NULL)
				return wrong(s, s->line, "\\%c in a string: \\\\, \\\", \\$, \\n or \\t is wanted",
					     s->at + 1 < s->end && isprint((unsigned char)s->at[1]) ? s->at[1] : ' ');
			rc = put(s, means[letter - letters]);
			s->at += 2;
		} else {
			rc = put(s, *s->at++);
		}
	}
	if (rc == 0 && (s->at == s->end || *s->at != quote))
		return wrong(s, s->line, "the string has no closing %c in its line", quote);
	s->at++;
	return rc;
}

static bool wants_value(const struct scan *s)
{
	return s->in_list || s->before == EQUALS;
}

/* Does a bare word end here? In a value '=' is a letter: route = a@b=c:1 */
static bool ends_word(const struct scan *s)
{
	char c = *s->at, next = s->at + 1 < s->end ? s->at[1] : '\0';

	if (c == '=' && wants_value(s))
		return false;
	if (isspace((unsigned char)c) || strchr("\"'#={}(),", c) != NULL)
		return true;
	return (c == '+' && next == '=') || (c == '/' && (next == '/' || next == '*'));
}

static int take_bare(struct scan *s)
{
	int rc = 0;

	while (s->at < s->end && rc == 0) {
		if (is_variable(s)) {
			s->at += 2;
			rc = take_variable(s);
		} else if (ends_word(s)) {
			break;
		} else {
			rc = put(s, *s->at++);
		}
	}
	return rc;
}

/* Writes the word as libconfuse reads it, with its place if it is a value or a title. */
static void write_word(struct scan *s, bool tagged)
{
	fputc('"', s->out);
	for (size_t i = 0; i < s->size; i++) {
		if (s->word[i] == '\n') {
			fputs("\\n", s->out);
			continue;
		}
		if (strchr("\"\\$", s->word[i]) != NULL)
			fputc('\\', s->out);
		fputc(s->word[i], s->out);
	}
	if (tagged)
		fprintf(s->out, "%c%zu:%d", CN_CONF_TAG, s->number, s->line);
	fputs("\" ", s->out);
}

static int take_word(struct scan *s)
{
	int rc;

	s->size = 0;
	if (*s->at == '"' || *s->at == '\'')
		rc = take_string(s, *s->at);
	else
		rc = take_bare(s);
	if (rc != 0)
		return rc;
	s->word[s->size] = '\0';
	if (wants_value(s) && s->word[0] == '[' && strchr(s->word, ']') == NULL)
		return wrong(s, s->line, "a list stands in braces, { A, B }, not in brackets");
	if (wants_value(s)) {
		s->before = VALUE;
	} else if (s->before == WORD && (s->opening == NULL || !s->opening->titled)) {
		return wrong(s, s->line, "%s: %s is missing behind it", s->key, s->opening == NULL ? "'='" : "'{'");
	} else if (s->before == WORD && s->opening != NULL && s->opening->titled) {
		s->before = TITLE;
	} else {
		rc = take_key(s);
		s->before = WORD;
	}
	if (rc == 0)
		write_word(s, s->before != WORD);
	return rc;
}

/* ---- the rest ---- */

/* Behind a comment, whose lines stay. */
static int skip_comment(struct scan *s)
{
	int began = s->line;

	if (*s->at == '#' || s->at[1] == '/') {
		while (s->at < s->end && *s->at != '\n')
			s->at++;
		return 0;
	}
	for (s->at += 2; s->end - s->at >= 2; s->at++) {
		if (s->at[0] == '*' && s->at[1] == '/') {
			s->at += 2;
			return 0;
		}
		if (*s->at == '\n') {
			s->line++;
			fputc('\n', s->out);
		}
	}
	return wrong(s, began, "the comment that begins here has no end");
}

static int take_mark(struct scan *s)
{
	int rc = 0;
	char c = *s->at++;

	switch (c) {
	case '+':               /* += */
	case '=':
		s->at += c == '+';
		fputs(c == '+' ? "+= " : "= ", s->out);
		if (s->before == WORD)
			rc = take_assignment(s, c == '+');
		s->before = EQUALS;
		return rc;
	case '{':
		if (s->before == EQUALS) {
			if (s->depth > 0 && s->kind != NULL && s->kind->free)
				return wrong(s, s->line, "%s: a key of a %s has one value, not a list", s->key, s->kind->name);
			s->in_list = true;
			s->opened[1] = s->line;
		} else {
			s->depth++;
			s->opened[0] = s->line;
			s->kind = s->opening;
		}
		s->before = OPEN;
		break;
	case '}':
		if (s->in_list)
			s->in_list = false;
		else if (s->depth > 0)
			s->depth--;
		if (s->depth == 0) {
			while (s->seen_count > s->outside)
				free(s->seen[--s->seen_count].name);
			s->kind = NULL;
		}
		s->before = CLOSE;
		break;
	default:
		s->before = COMMA;
		break;
	}
	fprintf(s->out, "%c ", c);
	return 0;
}

static int scan_all(struct scan *s)
{
	int rc = 0;

	while (s->at < s->end && rc == 0) {
		unsigned char c = (unsigned char)*s->at;
		char next = s->at + 1 < s->end ? s->at[1] : '\0';
		if (c == '\n') {
			s->line++;
			fputc('\n', s->out);
			s->at++;
		} else if (c == ' ' || c == '\t' || c == '\r') {
			s->at++;
		} else if (c == '#' || (c == '/' && (next == '/' || next == '*'))) {
			rc = skip_comment(s);
		} else if (strchr("={}(),", c) != NULL || (c == '+' && next == '=')) {
			rc = take_mark(s);
		} else {
			rc = take_word(s);
		}
	}
	if (rc == 0 && (s->in_list || s->depth > 0))
		return wrong(s, s->opened[s->in_list], "this '{' has no '}'");
	return rc;
}

/* Control characters are wrong everywhere, and a NUL would end what the C library reads. */
static int refuse_control(struct scan *s)
{
	int line = 1;

	for (const char *p = s->at; p < s->end; p++) {
		unsigned char c = (unsigned char)*p;
		if (c == '\n')
			line++;
		else if ((c < ' ' && c != '\t' && c != '\r') || c == 0x7f)
			return wrong(s, line, "a control character (byte %u): is this a text file?", c);
	}
	return 0;
}

int cn_conf_scan(const struct cn_conf_schema *schema, const char *file, size_t number, const char *bytes, size_t size,
		 char **text, char message[CN_CONF_MESSAGE])
{
	size_t written;
	struct scan *s = calloc(1, sizeof *s);

	*text = NULL;
	if (s == NULL)
		return CNODE_ENOMEM;
	s->schema = schema;
	s->file = file;
	s->number = number;
	s->at = bytes;
	s->end = bytes + size;
	s->line = 1;
	s->message = message;
	if (size >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0)
		s->at += 3;             /* some editors mark UTF-8 so */
	int rc = refuse_control(s);
	if (rc == 0 && (s->out = open_memstream(text, &written)) == NULL)
		rc = CNODE_ENOMEM;
	if (rc == 0)
		rc = scan_all(s);
	if (s->out != NULL && (fclose(s->out) != 0 || *text == NULL) && rc == 0)
		rc = CNODE_ENOMEM;
	for (size_t i = 0; i < s->seen_count; i++)
		free(s->seen[i].name);
	free(s->seen);
	free(s);
	if (rc != 0) {
		free(*text);
		*text = NULL;
	}
	return rc;
}
