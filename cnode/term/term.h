/* SPDX-License-Identifier: Apache-2.0 */
/*
 * term: verified terms. Beyond the public cnode/term.h: the verifier, the memory behind
 * terms, atom tables of messages, and the table of node names.
 *
 * Nothing here does I/O. A cnode_term is made by cn_verify_* only (or from parts of one
 * that was): that is what lets every reader trust counts and lengths.
 */
#ifndef CN_TERM_H
#define CN_TERM_H

#include "cnode/base/base.h"
#include "cnode/term.h"

/* ---- atoms of a message: what its cache references (82 'R') mean ---- */

struct cn_atom_text {
	const uint8_t *text;        /* UTF-8, inside the table's own memory */
	uint16_t size;
};

struct cn_atoms {
	uint16_t count;             /* at most 255 */
	struct cn_atom_text at[];
};

/* ---- counted memory behind terms ---- */

struct cn_blob {
	_Atomic uint32_t refs;
	uint32_t flags;
	size_t size;                      /* bytes that follow */
	struct cn_atoms *atoms;           /* owned, one allocation; NULL if there are none */
	_Atomic(uint8_t *) plain;         /* the whole term without cache references, once asked for */
	size_t plain_size;
	uint8_t bytes[];
};

/* One reference, bytes not initialised; NULL when out of memory. */
struct cn_blob *cn_blob_new(size_t size);
struct cn_blob *cn_blob_ref(struct cn_blob *b);
void cn_blob_unref(struct cn_blob *b);            /* takes NULL */

/* ---- the verifier ---- */

struct cn_term_limits {
	uint32_t depth;             /* nesting; default 1,024 (CN_TERM_DEPTH) */
	uint64_t bytes;             /* of one term */
};
#define CN_TERM_DEPTH 1024

/* …the resumable verifier: see verify.c's owner for the final shape… */

#endif
