/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading Erlang text: the parser of cnode_parse and of the format language, which is the
 * same with ~ directives (format.c). Compounds are kept by the builder, so nothing here recurses;
 * literal.c reads what stands in them. What is no literal term (variables, operators, calls) is refused.
 */
#include "cnode/term/text.h"

#define REFUSE CNODE_EBADARG

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
			if (!cn_text_take(t, "}"))
				continue;
			cn_build_close_tuple(b);
		} else if (c == '[') {
			t->at++;
			cnode_build_list(b);
			if (!cn_text_take(t, "]"))
				continue;
			cnode_build_list_end(b);
		} else if (c == '#' && cn_text_follows(t, "#{")) {
			t->at += 2;
			cnode_build_map(b);
			if (!cn_text_take(t, "}"))
				continue;
			cnode_build_map_end(b);
		} else if (c == '~' && t->args) {
			rc = cn_text_directive(t, b);
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
				if (!cn_text_take(t, "=>") && !cn_text_take(t, ":="))
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
