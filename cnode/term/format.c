/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The format language: Erlang text (text.c) whose ~ directives take their values from arguments. Whatever goes wrong, binaries
 * that arguments hand over (~B) are given back, also those that the text did not come to.
 */
#include "cnode/term/text.h"

#define REFUSE CNODE_EBADARG

int cn_text_directive(struct cn_text *t, struct cnode_builder *b)
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
