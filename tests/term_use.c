/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What must hold for every term that the verifier accepts; shared by the tests and the fuzz target.
 */
#include "compat/ei.h"
#include "cnode/ei.h"
#include "cnode/term/term.h"

#include <stdio.h>
#include <stdlib.h>

void use_term(cnode_term term);

#define MUST(what) \
	do { \
		if (!(what)) { \
			fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #what); \
			abort(); \
		} \
	} while (0)

/* Reads every leaf by cursor; in the order in which they were sent. */
static size_t read_all(cnode_term term, bool *records)
{
	cnode_reader r = cnode_read(term);
	size_t count = 0, size;
	for (enum cnode_type type; (type = cnode_read_type(&r)) != CNODE_TYPE_NONE; count++) {
		cnode_reader before = r;
		switch (type) {
		case CNODE_TYPE_INTEGER:
			cnode_read_int64(&r);
			if (r.error) {
				r = before;
				cnode_read_uint64(&r);
			}
			if (r.error) {
				r = before;
				cnode_read_double(&r);
			}
			break;
		case CNODE_TYPE_FLOAT:
			cnode_read_double(&r);
			break;
		case CNODE_TYPE_ATOM:
			cnode_read_is_atom(&r, "ok");
			cnode_read_atom(&before, &size);
			break;
		case CNODE_TYPE_REF:
			cnode_read_ref(&r);
			break;
		case CNODE_TYPE_PID:
			cnode_read_pid(&r);
			break;
		case CNODE_TYPE_TUPLE:
			cnode_read_tuple(&r);
			break;
		case CNODE_TYPE_LIST:
		case CNODE_TYPE_NIL:
			cnode_read_list(&r);
			break;
		case CNODE_TYPE_MAP:
			cnode_read_map(&r);
			break;
		case CNODE_TYPE_BINARY:
			cnode_read_binary(&r, &size);
			break;
		case CNODE_TYPE_RECORD:
			*records = true;
			cnode_read_term(&r);
			break;
		default:
			cnode_read_term(&r);
			break;
		}
		if (r.error) {
			/* Too large for C, or no proper node name. */
			r = before;
			r.error = 0;
			cnode_read_term(&r);
			MUST(r.error == 0);
		}
	}
	return count;
}

/* Records that read_all does not look into are found in the bytes of what it skips. */
static bool has_record(cnode_term term)
{
	char *text = cnode_term_text(term);
	bool found = !text || strstr(text, "#") != NULL;
	cnode_free(text);
	return found;
}

void use_term(cnode_term term)
{
	bool records = false;
	const char *bytes;
	int size, index = 0;

	size_t count = read_all(term, &records);
	MUST(count > 0);
	MUST(cnode_term_type(term) != CNODE_TYPE_NONE);

	char small[8];
	size_t length = cnode_term_print(term, small, sizeof small);
	char *text = cnode_term_text(term);
	MUST(text && strlen(text) >= (length < 7 ? length : 7));
	MUST(strncmp(small, text, strlen(small)) == 0);

	char brief[40];
	MUST(cn_term_brief(term, brief, sizeof brief) == strlen(brief));
	MUST(strlen(text) >= sizeof brief ? strlen(brief) >= sizeof brief - 5
					  : strcmp(text, brief) == 0);

	MUST(cnode_term_compare(term, term) == 0);
	MUST(cnode_term_equal(term, term));

	/* Plain, it is the same term, and ei walks it to its end. */
	MUST(cnode_term_ei(term, &bytes, &size) == 0);
	if (!records && !has_record(term)) {
		MUST(ei_skip_term(bytes, &index) == 0);
		MUST(index == size);
	}
	cnode_term plain;
	struct cn_verify v;
	struct cn_blob *blob = cn_blob_new((size_t)size);
	MUST(blob);
	memcpy(blob->bytes, bytes, (size_t)size);
	cn_verify_init(&v, NULL, 0);
	MUST(cn_verify_all(&v, blob->bytes, (size_t)size) == 0);
	MUST(v.offset == (size_t)size);
	plain = cn_term_of_verified(blob, 0, &v);
	MUST(cnode_term_compare(term, plain) == 0);
	MUST(cnode_term_compare(plain, term) == 0);
	MUST(cnode_term_equal(term, plain));

	/* What may go out comes back as the same, and can be built into another. */
	struct cn_atom_sites sites;
	const uint8_t *out, *with_sites;
	size_t out_size, with_sites_size;
	const char *why;
	int rc = cn_term_outgoing(term, NULL, NULL, &out, &out_size, &why);
	MUST(rc == 0 || why);
	MUST(rc == cn_term_outgoing(term, NULL, &sites, &with_sites, &with_sites_size, NULL));
	if (rc == 0) {
		cnode_term back, list;
		MUST(cnode_term_from_bytes(out, out_size, &back) == 0);
		MUST(cnode_term_equal(term, back));
		for (uint32_t i = 0; i < sites.count; i++) {
			MUST(sites.at[i].offset + sites.at[i].size <= with_sites_size);
			MUST(cn_atom_valid(sites.at[i].text, sites.at[i].text_size));
		}
		rc = cnode_format(&list, "[~t,{~t}|~t]", term, back, plain);
		MUST(rc == 0 || rc == CNODE_EBADTERM);  /* too deep by one */
		if (rc == 0) {
			cnode_term a, b, c;
			MUST(cnode_scan(list, "[~t,{~t}|~t]", &a, &b, &c) == 0);
			MUST(cnode_term_equal(a, term) && cnode_term_equal(b, term) &&
			     cnode_term_equal(c, term));
			cnode_term_drop(list);
		}
		cnode_term_drop(back);
	}

	/* What is written as text and can be read is the same. */
	cnode_term read;
	if (cnode_parse(text, &read, NULL) == 0) {
		char *again = cnode_term_text(read);
		MUST(again && strcmp(text, again) == 0);
		cnode_free(again);
		MUST(cnode_term_equal(term, read));
		cnode_term_drop(read);
	}
	cnode_free(text);
	cnode_term_drop(plain);
}
