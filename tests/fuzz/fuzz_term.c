/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: any bytes as a peer's term, with and without a table of atoms. What the verifier
 * accepts must hold up in everything that can be done with a term, ei being one of the judges.
 * It must say the same when the bytes come in pieces.
 */
#include "cnode/term/term.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
void use_term(cnode_term term);

static void try(const uint8_t *data, size_t size, unsigned atoms)
{
	static const char *const text[] = { "ok", "a@b", "", "sm\xc3\xb8r" };
	struct cn_blob *blob = cn_blob_new_atoms(size, (uint16_t)atoms, 4 * 5);
	struct cn_verify whole, pieces;
	size_t here = 0;
	int rc = CN_VERIFY_MORE;
	if (!blob)
		return;
	memcpy(blob->bytes, data, size);
	for (unsigned i = 0; i < atoms; i++)
		cn_blob_add_atom(blob, text[i], (uint16_t)strlen(text[i]));
	cn_verify_init(&whole, NULL, atoms);
	int all = cn_verify_all(&whole, blob->bytes, size);

	struct cn_term_limits limits = { .bytes = size ? size : 1 };
	cn_verify_init(&pieces, &limits, atoms);
	while (rc == CN_VERIFY_MORE || rc == CN_VERIFY_BUDGET) {
		if (rc == CN_VERIFY_MORE && here == size)
			break;
		if (rc == CN_VERIFY_MORE)
			here += (size - here) / 3 + 1;
		rc = cn_verify_step(&pieces, blob->bytes, here, 7);
	}
	if (size && (rc != all || (rc == 0 && pieces.offset != whole.offset)))
		abort();
	cn_verify_fini(&pieces);

	if (all == 0)
		use_term(cn_term_of_verified(blob, 0, &whole));
	cn_blob_unref(blob);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	try(data, size, 0);
	try(data, size, 4);
	return 0;
}
