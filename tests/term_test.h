/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the term room share. */
#ifndef TESTS_TERM_TEST_H
#define TESTS_TERM_TEST_H

#include "cnode/term/term.h"
#include "tests/alloc_fail.h"
#include "tests/tap.h"
#include "tests/term_corpus.h"

#include <string.h>

#define CORPUS_SIZE (sizeof corpus / sizeof corpus[0])

/* Bytes written as text: "\x61\x05" without counting. */
#define BYTES(s) (const unsigned char *)(s), sizeof(s) - 1

/* A term of a peer: verified in memory of exactly its size, so that a sanitizer sees every overrun. */
static inline int peer_term(const unsigned char *bytes, size_t size, cnode_term *term)
{
	struct cn_verify v;
	struct cn_blob *blob = cn_blob_new(size);
	if (!blob)
		return CNODE_ENOMEM;
	memcpy(blob->bytes, bytes, size);
	cn_verify_init(&v, NULL, 0);
	int rc = cn_verify_all(&v, blob->bytes, size);
	if (rc == 0 && v.offset != size)
		rc = CNODE_EBADTERM;
	if (rc)
		cn_blob_unref(blob);
	else
		*term = cn_term_of_verified(blob, 0, &v);
	return rc;
}

static inline cnode_term good_term(const unsigned char *bytes, size_t size)
{
	cnode_term term = { 0 };
	ck_assert_int_eq(peer_term(bytes, size, &term), 0);
	return term;
}

/* A term of a message with a table of `count` atoms. */
static inline cnode_term cached_term(const unsigned char *bytes, size_t size, unsigned count)
{
	static const char *const text[] = { "zero", "a@b", "smørbrød", "", "four" };
	struct cn_verify v;
	struct cn_blob *blob = cn_blob_new_atoms(size, (uint16_t)count, 4 * count + 8 * count);
	for (unsigned i = 0; i < count; i++) {
		const char *s = i < CN_ARRAY_SIZE(text) ? text[i] : "more";
		cn_blob_add_atom(blob, s, (uint16_t)strlen(s));
	}
	memcpy(blob->bytes, bytes, size);
	cn_verify_init(&v, NULL, count);
	ck_assert_int_eq(cn_verify_all(&v, blob->bytes, size), 0);
	ck_assert_uint_eq(v.offset, size);
	return cn_term_of_verified(blob, 0, &v);
}

static inline cnode_term parsed(const char *text)
{
	cnode_term term = { 0 };
	size_t at = 0;
	int rc = cnode_parse(text, &term, &at);
	ck_assert_msg(rc == 0, "%s: %d at %zu", text, rc, at);
	return term;
}

#define ck_assert_term(term, expected) \
	do { \
		char *text_ = cnode_term_text(term); \
		ck_assert_ptr_nonnull(text_); \
		ck_assert_str_eq(text_, expected); \
		cnode_free(text_); \
	} while (0)

/* Does with a term all that may be done with one; checks what must always hold. */
void use_term(cnode_term term);

TCase *verify_case(void);
TCase *memory_case(void);
TCase *value_case(void);
TCase *order_case(void);
TCase *text_case(void);
TCase *build_case(void);
TCase *handed_case(void);
TCase *name_case(void);

#endif
