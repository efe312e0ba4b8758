/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Matching a term against a format. First everything is matched, and what each ~ directive
 * stands for is written down; only then are the program's variables set.
 *
 * The recursion goes by the format's nesting, which the program wrote and DEPTH limits.
 */
#include "cnode/term/text.h"

#include <limits.h>

#define DEPTH 64
#define DIRECTIVES 64       /* in one format */

#define MISMATCH CNODE_EBADARG

struct match {
	struct cn_text format;
	cnode_term term;
	unsigned depth;
	unsigned count;             /* directives found */
	struct {
		char letter;
		const uint8_t *term;
	} found[DIRECTIVES];
};

static int match_term(struct match *m, const uint8_t *p, const uint8_t **next);

/* ---- what directives accept ---- */

/*
 * Text of a list of bytes or of a binary. Another shape than STRING_EXT is copied, once per term.
 */
static int text_at(struct match *m, const uint8_t *p, const uint8_t **text, size_t *size)
{
	struct cn_head h = cn_head_at(p);
	if (h.type == CNODE_TYPE_BINARY) {
		struct cn_bits bits = cn_bits_at(p);
		*text = bits.bytes;
		*size = bits.size;
		return 0;
	}
	if (h.type == CNODE_TYPE_NIL || *p == CN_STRING) {
		*text = p + h.size;
		*size = *p == CN_STRING ? h.size - 3 : 0;
		*text -= *size;
		return 0;
	}
	if (h.type != CNODE_TYPE_LIST)
		return MISMATCH;

	struct cn_blob *owner = m->term.owner_;
	if (!owner)
		return CNODE_ESTALE;
	const struct cn_plain *plain = cn_plain_find(owner, p, CN_PLAIN_TEXT);
	if (!plain) {
		struct cn_list l;
		const uint8_t *item;
		size_t length = 0;
		cn_list_init(&l, p);
		for (; (item = cn_list_next(&l)); length++)
			if (*item != CN_SMALL_INTEGER)
				return MISMATCH;
		if (*l.at != CN_NIL)
			return MISMATCH;
		struct cn_plain *made = cn_malloc(sizeof *made + length);
		if (!made)
			return CNODE_ENOMEM;
		made->of = p;
		made->what = CN_PLAIN_TEXT;
		made->size = 0;
		cn_list_init(&l, p);
		while ((item = cn_list_next(&l)))
			made->bytes[made->size++] = item[1];
		plain = cn_plain_add(owner, made);
	}
	*text = plain->bytes;
	*size = plain->size;
	return 0;
}

/* Whether the directive takes the term at p. */
static int accept(struct match *m, char letter, const uint8_t *p)
{
	int64_t i;
	uint64_t u;
	double d;
	cnode_pid pid;
	cnode_ref ref;
	const uint8_t *text;
	size_t size;
	switch (letter) {
	case 'q':
		return cn_int64_at(p, &i) ? 0 : MISMATCH;
	case 'Q':
		return cn_uint64_at(p, &u) ? 0 : MISMATCH;
	case 'l':
		return cn_int64_at(p, &i) && i >= LONG_MIN && i <= LONG_MAX ? 0 : MISMATCH;
	case 'i':
		return cn_int64_at(p, &i) && i >= INT_MIN && i <= INT_MAX ? 0 : MISMATCH;
	case 'f':
		return cn_double_at(p, &d) ? 0 : MISMATCH;
	case 'a':
		return cn_is_atom_tag(*p) ? 0 : MISMATCH;
	case 's':
	case 'z':
		return text_at(m, p, &text, &size);
	case 'b':
		return cn_head_at(p).type == CNODE_TYPE_BINARY ? 0 : MISMATCH;
	case 'p': {
		int rc = cn_pid_at(p, m->term.atoms_, &pid);
		return rc == CNODE_EBADNAME ? MISMATCH : rc;
	}
	case 'r': {
		int rc = cn_ref_at(p, m->term.atoms_, &ref);
		return rc == CNODE_EBADNAME ? MISMATCH : rc;
	}
	case 't':
		return 0;
	default:
		return CNODE_EFORMAT;
	}
}

static void store_atom(const uint8_t *p, const struct cn_atoms *atoms, cnode_atom *to)
{
	uint8_t room[CN_LATIN1_ROOM];
	const uint8_t *text = cn_atom_at(p, atoms, room, &to->size);
	memcpy(to->text, text, to->size);
	to->text[to->size] = 0;
}

/*
 * Sets the program's variable. What was accepted before is not refused now, but for want of memory.
 */
static int store(struct match *m, char letter, const uint8_t *p, struct cn_args *args)
{
	int64_t i = 0;
	uint64_t u = 0;
	double d = 0;
	const uint8_t *text;
	size_t size;
	int rc;
	switch (letter) {
	case 'q':
		cn_int64_at(p, va_arg(args->list, int64_t *));
		return 0;
	case 'Q':
		cn_uint64_at(p, &u);
		*va_arg(args->list, uint64_t *) = u;
		return 0;
	case 'l':
		cn_int64_at(p, &i);
		*va_arg(args->list, long *) = (long)i;
		return 0;
	case 'i':
		cn_int64_at(p, &i);
		*va_arg(args->list, int *) = (int)i;
		return 0;
	case 'f':
		cn_double_at(p, &d);
		*va_arg(args->list, double *) = d;
		return 0;
	case 'a':
		store_atom(p, m->term.atoms_, va_arg(args->list, cnode_atom *));
		return 0;
	case 's':
	case 'z':
	case 'b':
		rc = text_at(m, p, &text, &size);
		if (rc)
			return rc;
		if (letter == 'b')
			*va_arg(args->list, const void **) = text;
		else
			*va_arg(args->list, const char **) = (const char *)text;
		*va_arg(args->list, size_t *) = size;
		return 0;
	case 'p':
		return cn_pid_at(p, m->term.atoms_, va_arg(args->list, cnode_pid *));
	case 'r':
		return cn_ref_at(p, m->term.atoms_, va_arg(args->list, cnode_ref *));
	default:
		*va_arg(args->list, cnode_term *) = cn_term_inside(m->term, p);
		return 0;
	}
}

/* ---- literals ---- */

/* A decimal integer of at most 18 digits: false if it is anything else, nothing is read then. */
static bool small_number(struct cn_text *t, int64_t *value)
{
	const char *p = t->at + (*t->at == '-');
	const char *from = p;
	for (*value = 0; *p >= '0' && *p <= '9' && p - from < 19; p++)
		*value = *value * 10 + (*p - '0');
	if (p == from || p - from > 18 || *p == '.' || *p == '#' || *p == '_')
		return false;
	if (*t->at == '-')
		*value = -*value;
	t->at = p;
	return true;
}

/* Any literal, built as a term. The caller drops it. */
static int built_literal(struct match *m, cnode_term *literal)
{
	struct cnode_builder b;
	cn_builder_init(&b);
	int rc = cn_text_literal(&m->format, &b);
	if (rc == 0)
		rc = cnode_builder_term(&b, literal);
	cn_builder_fini(&b);
	return rc == 0 || rc == CNODE_ENOMEM ? rc : CNODE_EFORMAT;
}

static bool is_literal(const struct match *m, const uint8_t *p, cnode_term literal)
{
	return cn_compare(p, m->term.atoms_, literal.bytes_, NULL, true) == 0;
}

static bool is_word_atom(const struct match *m, const uint8_t *p, const char *word, size_t size)
{
	return cn_is_atom_tag(*p) && cn_atom_is(p, m->term.atoms_, word, size);
}

static int match_literal(struct match *m, const uint8_t *p)
{
	const char *word;
	size_t size;
	int64_t want, have;
	cnode_term literal;
	if (cn_text_word(&m->format, &word, &size))
		return is_word_atom(m, p, word, size) ? 0 : MISMATCH;
	if (small_number(&m->format, &want))
		return cn_int64_at(p, &have) && have == want ? 0 : MISMATCH;
	int rc = built_literal(m, &literal);
	if (rc)
		return rc;
	rc = is_literal(m, p, literal) ? 0 : MISMATCH;
	cnode_term_drop(literal);
	return rc;
}

/* ---- compounds ---- */

/* Passes `what` if it comes next. */
static bool take(struct match *m, const char *what)
{
	size_t size = strlen(what);
	cn_text_peek(&m->format);
	if ((size_t)(m->format.end - m->format.at) < size || memcmp(m->format.at, what, size) != 0)
		return false;
	m->format.at += size;
	return true;
}

static int match_tuple(struct match *m, const uint8_t *p, const uint8_t **next)
{
	if (*p != CN_SMALL_TUPLE && *p != CN_LARGE_TUPLE)
		return MISMATCH;
	struct cn_head h = cn_head_at(p);
	p += h.size;
	if (take(m, "}")) {
		*next = p;
		return h.count ? MISMATCH : 0;
	}
	for (uint64_t left = h.count; left; left--) {
		int rc = match_term(m, cn_real(p), &p);
		if (rc)
			return rc;
		if (left > 1 && !take(m, ","))
			return take(m, "}") ? MISMATCH : CNODE_EFORMAT;
	}
	*next = p;
	if (take(m, "}"))
		return 0;
	return h.count == 0 || cn_text_peek(&m->format) == ',' ? MISMATCH : CNODE_EFORMAT;
}

/* The list from its next element on, as a term. That is a copy, but for a list in parts. */
static int rest_of(struct match *m, const struct cn_list *l, const uint8_t **rest)
{
	struct cn_blob *owner = m->term.owner_;
	if (!owner)
		return CNODE_ESTALE;
	const struct cn_plain *plain = cn_plain_find(owner, l->at, CN_PLAIN_REST);
	if (!plain) {
		size_t head = l->string ? 3 : 5;
		size_t size = l->string ? l->left
					: (size_t)(cn_skip_terms(l->at, l->left + 1) - l->at);
		struct cn_plain *made = cn_malloc(sizeof *made + head + size);
		if (!made)
			return CNODE_ENOMEM;
		made->of = l->at;
		made->what = CN_PLAIN_REST;
		made->size = head + size;
		made->bytes[0] = l->string ? CN_STRING : CN_LIST;
		if (l->string)
			cn_store_u16(made->bytes + 1, (uint16_t)l->left);
		else
			cn_store_u32(made->bytes + 1, (uint32_t)l->left);
		memcpy(made->bytes + head, l->at, size);
		plain = cn_plain_add(owner, made);
	}
	*rest = plain->bytes;
	return 0;
}

/* After '|': the tail, or what is left of the list. */
static int match_rest(struct match *m, struct cn_list *l, const uint8_t **next)
{
	const uint8_t *rest, *after = l->at;
	int rc;
	if (l->left == 0) {
		rest = l->string ? cn_nil_term() : cn_real(l->at);
		rc = match_term(m, rest, &after);
		*next = l->string ? l->at : after;
	} else {
		*next = l->string ? l->at + l->left : cn_skip_terms(l->at, l->left + 1);
		if (take(m, "_"))
			return 0;
		rc = rest_of(m, l, &rest);
		if (rc == 0)
			rc = match_term(m, rest, &after);
	}
	return rc;
}

static int match_list(struct match *m, const uint8_t *p, const uint8_t **next)
{
	struct cn_list l;
	enum cnode_type type = cn_head_at(p).type;
	if (type != CNODE_TYPE_NIL && type != CNODE_TYPE_LIST)
		return MISMATCH;
	cn_list_init(&l, p);
	for (bool first = true;; first = false) {
		if (take(m, "]")) {
			const uint8_t *more = cn_list_peek(&l);
			if (more || (!l.string && *l.at != CN_NIL))
				return MISMATCH;
			*next = l.string ? l.at : l.at + 1;
			return 0;
		}
		if (!first && take(m, "|")) {
			int rc = match_rest(m, &l, next);
			return rc == 0 && !take(m, "]") ? CNODE_EFORMAT : rc;
		}
		if (!first && !take(m, ","))
			return CNODE_EFORMAT;
		const uint8_t *item = cn_list_peek(&l), *after;
		if (!item)
			return MISMATCH;
		int rc = match_term(m, cn_real(item), &after);
		if (rc)
			return rc;
		cn_list_pass(&l, after);
	}
}

/* Where the value of a key is, or NULL. The key is a literal of the format. */
static int find_value(struct match *m, const uint8_t *p, const uint8_t **value)
{
	uint32_t count = cn_load_u32(p + 1);
	const char *word;
	size_t size;
	cnode_term literal = { 0 };
	char c = cn_text_peek(&m->format);
	*value = NULL;
	if (c == '~' || c == '_' || c == '{' || c == '[' || c == '#')
		return CNODE_EFORMAT;
	bool is_word = cn_text_word(&m->format, &word, &size);
	int rc = is_word ? 0 : built_literal(m, &literal);
	if (rc)
		return rc;
	for (p += 5; count && !*value; count--) {
		const uint8_t *key = cn_real(p);
		p = cn_skip(key);
		if (is_word ? is_word_atom(m, key, word, size) :
			      is_literal(m, key, literal))
			*value = cn_real(p);
		else
			p = cn_skip(p);
	}
	cnode_term_drop(literal);
	return 0;
}

static int match_map(struct match *m, const uint8_t *p, const uint8_t **next)
{
	if (*p != CN_MAP)
		return MISMATCH;
	*next = cn_skip(p);
	if (take(m, "}"))
		return 0;
	do {
		const uint8_t *value, *after;
		int rc = find_value(m, p, &value);
		if (rc)
			return rc;
		if (!take(m, ":=") && !take(m, "=>"))
			return CNODE_EFORMAT;
		if (!value)
			return MISMATCH;
		rc = match_term(m, value, &after);
		if (rc)
			return rc;
	} while (take(m, ","));
	return take(m, "}") ? 0 : CNODE_EFORMAT;
}

static int match_term(struct match *m, const uint8_t *p, const uint8_t **next)
{
	int rc;
	struct cn_text *f = &m->format;
	char c = cn_text_peek(f);
	if (c == '~') {
		char letter = f->end - f->at > 1 ? f->at[1] : 0;
		if (m->count == DIRECTIVES)
			return CNODE_EFORMAT;
		rc = accept(m, letter, p);
		if (rc)
			return rc;
		m->found[m->count].letter = letter;
		m->found[m->count++].term = p;
		f->at += 2;
		*next = cn_skip(p);
		return 0;
	}
	if (c == '_') {
		f->at++;
		*next = cn_skip(p);
		return 0;
	}
	if (c == '{' || c == '[' || (c == '#' && f->end - f->at > 1 && f->at[1] == '{')) {
		if (m->depth == DEPTH)
			return CNODE_EFORMAT;
		m->depth++;
		f->at += c == '#' ? 2 : 1;
		if (c == '{')
			rc = match_tuple(m, p, next);
		else if (c == '[')
			rc = match_list(m, p, next);
		else
			rc = match_map(m, p, next);
		m->depth--;
		return rc;
	}
	rc = match_literal(m, p);
	if (rc == 0)
		*next = cn_skip(p);
	return rc;
}

int cnode_vscan(cnode_term term, const char *format, va_list args)
{
	struct match m;
	const uint8_t *next;
	m.format = (struct cn_text){ format, format + strlen(format), NULL };
	m.term = term;
	m.depth = 0;
	m.count = 0;
	if (cn_term_is_none(term))
		return MISMATCH;
	int rc = match_term(&m, cn_real(term.bytes_), &next);
	if (rc == 0 && cn_text_peek(&m.format) != 0)
		rc = CNODE_EFORMAT;
	if (rc)
		return rc;
	struct cn_args copy;
	va_copy(copy.list, args);
	for (unsigned i = 0; i < m.count && rc == 0; i++)
		rc = store(&m, m.found[i].letter, m.found[i].term, &copy);
	va_end(copy.list);
	return rc;
}

int cnode_scan(cnode_term term, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int rc = cnode_vscan(term, format, args);
	va_end(args);
	return rc;
}
