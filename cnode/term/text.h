/* SPDX-License-Identifier: Apache-2.0 */
/* Erlang text: what the parser, the format language and the printer share. Private to the room. */
#ifndef CN_TERM_TEXT_H
#define CN_TERM_TEXT_H

#include "cnode/term/encode.h"

struct cn_args {
	va_list list;
	unsigned taken;             /* directives that have had theirs */
};

/* Text being read. */
struct cn_text {
	const char *at;             /* the next byte; on failure the offending one */
	const char *end;
	struct cn_args *args; /* what ~ directives take their values from; NULL: there are none */
};

/* Passes white space and comments; returns the byte there, 0 at the end. */
char cn_text_peek(struct cn_text *t);
/* Are these the next bytes? */
bool cn_text_follows(const struct cn_text *t, const char *what);
/* Passes white space and comments, and `what` if it is there; false: it is not. */
bool cn_text_take(struct cn_text *t, const char *what);
/*
 * Reads one term and builds it. 0; CNODE_EBADARG: not Erlang text, t->at tells where. What the
 * builder refuses is in b->err.
 */
int cn_text_term(struct cn_text *t, struct cnode_builder *b);
/* Reads one literal (atom, number, string, binary), as cn_text_term does. */
int cn_text_literal(struct cn_text *t, struct cnode_builder *b);
/* format.c: the value of the ~ directive at t->at, built. 0, CNODE_EBADARG: there is no such. */
int cn_text_directive(struct cn_text *t, struct cnode_builder *b);
/*
 * The name of an atom that is not quoted, ASCII only; false: something else is there, nothing is
 * read.
 */
bool cn_text_word(struct cn_text *t, const char **name, size_t *size);

/*
 * Digits in a base (2..36), underscores between them passed over, to a magnitude. 0, CNODE_EBADARG
 * (too long), CNODE_ENOMEM.
 */
int cn_big_parse(const char *digits, size_t size, unsigned base, struct cn_buf *magnitude);
/*
 * A magnitude other than 0 as digits of a base (2..36); 16#… when it has more than CN_BIG_SLOW bytes and the base
 * is no power of two, because that takes time that grows with the square. Calls put with pieces of text.
 */
#define CN_BIG_SLOW 4096u
typedef void cn_big_put(void *to, const char *text, size_t size);
void cn_big_print(const uint8_t *magnitude, size_t size, unsigned base, bool upper, cn_big_put *put, void *to);

#endif
