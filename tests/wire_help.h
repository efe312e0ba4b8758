/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of wire share: terms, files of the corpus, a link from an encoder to a frame. */
#ifndef TESTS_WIRE_HELP_H
#define TESTS_WIRE_HELP_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cnode/wire/wire.h"

#define PEER "b@127.0.0.1"
#define SELF "a@127.0.0.1"

static inline cnode_name name_of(const char *text)
{
	cnode_name name = 0;
	ck_assert_int_eq(cnode_name_of(text, &name), 0);
	return name;
}

static inline cnode_pid pid_of(const char *node, uint32_t id)
{
	return (cnode_pid){ name_of(node), id, 0, 77 };
}

static inline cnode_ref ref_of(const char *node, uint32_t words)
{
	return (cnode_ref){ name_of(node), 77, words, { 1, 2, 3, 4, 5 } };
}

static inline struct cn_atom_text atom_of(const char *text)
{
	return (struct cn_atom_text){ (const uint8_t *)text, (uint16_t)strlen(text) };
}

static inline bool atom_is(struct cn_atom_text a, const char *text)
{
	return a.size == strlen(text) && memcmp(a.text, text, a.size) == 0;
}

/* A term from text; yours. */
static inline cnode_term term_of(const char *text)
{
	cnode_term t = { 0 };
	ck_assert_int_eq(cnode_parse(text, &t, NULL), 0);
	return t;
}

static inline void assert_term(cnode_term t, const char *text)
{
	cnode_term want = term_of(text);
	if (!cnode_term_equal(t, want)) {
		char *got = cnode_term_text(t);
		ck_abort_msg("got %s, wanted %s", got, text);
	}
	cnode_term_drop(want);
}

/* "83 44 'abc' 00" to bytes; returns how many. */
static inline size_t hex(const char *text, uint8_t *to)
{
	size_t n = 0;
	while (*text) {
		if (*text == ' ') {
			text++;
		} else if (*text == '\'') {
			for (text++; *text != '\''; text++)
				to[n++] = (uint8_t)*text;
			text++;
		} else {
			char two[3] = { text[0], text[1], 0 };
			to[n++] = (uint8_t)strtoul(two, NULL, 16);
			text += 2;
		}
	}
	return n;
}

/* The whole file, yours (free); NULL if there is none. */
static inline uint8_t *read_file(const char *path, size_t *size)
{
	const char *src = getenv("srcdir");
	char full[4096];
	snprintf(full, sizeof full, "%s/%s", src ? src : ".", path);
	FILE *f = fopen(full, "rb");
	if (!f)
		return NULL;
	fseek(f, 0, SEEK_END);
	long n = ftell(f);
	rewind(f);
	uint8_t *data = malloc(n ? (size_t)n : 1);
	*size = fread(data, 1, (size_t)n, f);
	fclose(f);
	return data;
}

/* Everything in `out`, written to one array of yours (free); `out` is empty then. */
static inline uint8_t *flatten(struct cn_out *out, size_t *size)
{
	uint8_t *all = malloc(out->size + 1);
	size_t at = 0;
	struct cn_piece piece;
	while (cn_out_pieces(out, &piece, 1) == 1) {
		memcpy(all + at, piece.bytes, piece.size);
		at += piece.size;
		cn_out_sent(out, piece.size);
	}
	ck_assert_uint_eq(out->size, 0);
	*size = at;
	return all;
}

#endif
