/* SPDX-License-Identifier: Apache-2.0 */
/* What goes out to a peer, and the memory behind terms. */
#include "tests/term_test.h"

/* ---- what goes out ---- */

START_TEST(says_where_atoms_are)
{
	struct cn_atom_sites sites;
	const uint8_t *bytes;
	size_t size;
	cnode_term t = cached_term(BYTES("\x68\4R\0Xw\3n@h\0\0\0\7\0\0\0\0\0\0\0\5v\0\1xs\1\xe9"), 5);
	ck_assert_int_eq(cn_term_outgoing(t, NULL, &sites, &bytes, &size, NULL), 0);
	ck_assert_uint_eq(sites.count, 3);      /* Latin-1 beyond ASCII stays as it is */
	ck_assert_uint_eq(sites.at[0].offset, 2);
	ck_assert_uint_eq(sites.at[0].size, 2);
	ck_assert_mem_eq(sites.at[0].text, "zero", 4);
	ck_assert_uint_eq(sites.at[1].offset, 5);
	ck_assert_uint_eq(sites.at[1].size, 5);
	ck_assert_mem_eq(sites.at[1].text, "n@h", 3);
	ck_assert_uint_eq(sites.at[2].offset, 22);
	ck_assert_uint_eq(sites.at[2].size, 4);
	/* Without sites there are no references in it. */
	ck_assert_int_eq(cn_term_outgoing(t, NULL, NULL, &bytes, &size, NULL), 0);
	ck_assert_mem_eq(bytes, "\x68\4w\4zero", 8);
	cnode_term_drop(t);

	/* Not those inside of a fun, whose length is written in front of it. */
	t = cached_term(BYTES("\x68\3w\1ap\0\0\0\xff\0" "0123456789abcdef" "\0\0\0\0\0\0\0\2w\1ma\1a\1XR\1\0\0\0\1\0\0\0\1\0\0\0\1"
			      "w\1b\x68\1w\1cw\1d"), 2);
	ck_assert_int_eq(cn_term_outgoing(t, NULL, &sites, &bytes, &size, NULL), 0);
	ck_assert_uint_eq(sites.count, 2);
	ck_assert_mem_eq(sites.at[0].text, "a", 1);
	ck_assert_mem_eq(sites.at[1].text, "d", 1);
	/* The length counts what is there now: without references, from itself to the end of c. */
	ck_assert_uint_eq(bytes[5], CN_NEW_FUN);
	ck_assert_uint_eq(cn_load_u32(bytes + 6), sites.at[1].offset - 6);
	cnode_term_drop(t);
}
END_TEST

START_TEST(resolves_references_when_there_are_too_many_atoms)
{
	struct cn_atom_sites sites;
	struct cnode_builder b;
	const uint8_t *bytes;
	size_t size;
	cnode_term t, all;
	char name[32];
	cn_builder_init(&b);
	cnode_build_list(&b);
	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof name, "atom_%d", i);
		cnode_build_atom(&b, name);
	}
	cnode_build_list_end(&b);
	ck_assert_int_eq(cnode_builder_term(&b, &t), 0);
	ck_assert_int_eq(cn_term_outgoing(t, NULL, &sites, &bytes, &size, NULL), 0);
	ck_assert(sites.full && sites.count == CN_ATOM_SITES);
	ck_assert_ptr_eq(bytes, t.bytes_);

	unsigned char many[2 + 2 * 255 + 2];
	many[0] = CN_SMALL_TUPLE;
	many[1] = 255;
	for (int i = 0; i < 255; i++) {
		many[2 + 2 * i] = CN_ATOM_CACHE_REF;
		many[3 + 2 * i] = (unsigned char)(i % 5);
	}
	all = cached_term(many, 2 + 2 * 255, 5);
	ck_assert_int_eq(cn_term_outgoing(all, NULL, &sites, &bytes, &size, NULL), 0);
	ck_assert(!sites.full && sites.count == 255);
	ck_assert_ptr_eq(bytes, all.bytes_);
	cnode_term_drop(all);
	unsigned char more[5 + 2 * 300];
	more[0] = CN_LARGE_TUPLE;
	cn_store_u32(more + 1, 300);
	for (int i = 0; i < 300; i++) {
		more[5 + 2 * i] = CN_ATOM_CACHE_REF;
		more[6 + 2 * i] = (unsigned char)(i % 5);
	}
	all = cached_term(more, sizeof more, 5);
	ck_assert_int_eq(cn_term_outgoing(all, NULL, &sites, &bytes, &size, NULL), 0);
	ck_assert(sites.full);
	for (uint32_t i = 0; i < sites.count; i++)
		ck_assert_uint_eq(bytes[sites.at[i].offset], CN_SMALL_ATOM_UTF8);
	ck_assert_ptr_ne(bytes, all.bytes_);
	cnode_term_drop(all);
	cnode_term_drop(t);
}
END_TEST

static const struct {
	const char *why;
	uint8_t flags, ref_words;
	bool narrow_only;           /* another release takes it */
	const unsigned char *bytes;
	size_t size;
} unwanted[] = {
	{ "empty bitstring", 0, 0, false, BYTES("M\0\0\0\0\0") },
	{ "equal keys", 0, 0, false, BYTES("t\0\0\0\2a\1a\1a\1a\2") },
	{ "equal keys in another form", 0, 0, false, BYTES("t\0\0\0\2a\1a\1b\0\0\0\1a\2") },
	{ "equal keys far from each other", 0, 0, false, BYTES("t\0\0\0\4a\1a\1a\2a\2a\3a\3n\1\0\1a\4") },
	{ "0.0 and -0.0, one key before OTP 27", 0, 0, false, BYTES("t\0\0\0\2F\0\0\0\0\0\0\0\0a\1F\x80\0\0\0\0\0\0\0a\2") },
	{ "equal keys in a map in a map", 0, 0, false, BYTES("h\1t\0\0\0\2a\1t\0\0\0\2ja\1k\0\0a\2a\3a\4") },
	{ "equal keys in a key", 0, 0, false, BYTES("t\0\0\0\2t\0\0\0\2w\1xa\1s\1xa\2a\3a\4a\5") },
	{ "old pid with a creation over 3", 0, 0, false, BYTES("gw\3a@b\0\0\0\1\0\0\0\1\4") },
	{ "old port with a creation over 3", 0, 0, false, BYTES("fw\3a@b\0\0\0\1\4") },
	{ "old reference with a creation over 3", 0, 0, false, BYTES("r\0\1w\3a@b\4\0\0\0\1") },
	{ "oldest reference with a creation over 3", 0, 0, false, BYTES("ew\3a@b\0\0\0\1\4") },
	{ "reference without words", 0, 0, false, BYTES("Z\0\0w\3a@b\0\0\0\1") },
	{ "record", 0, 0, true, BYTES("C\0\0\0\1\0w\1mw\1nw\1fa\1") },
	{ "reference of 4 words", CN_TERM_RECORDS, 3, true, BYTES("Z\0\4w\3a@b\0\0\0\5\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1") },
	{ "pid of 16 bits", CN_TERM_RECORDS | CN_TERM_NARROW, 0, true, BYTES("Xw\3a@b\0\0\x80\0\0\0\0\0\0\0\0\5") },
	{ "serial of 14 bits", CN_TERM_RECORDS | CN_TERM_NARROW, 0, true, BYTES("Xw\3a@b\0\0\0\1\0\0\x20\0\0\0\0\5") },
	{ "V4_PORT", CN_TERM_RECORDS | CN_TERM_NARROW, 0, true, BYTES("xw\3a@b\0\0\0\0\0\0\0\1\0\0\0\5") },
};

START_TEST(refuses_to_send_what_a_beam_would_disconnect_for)
{
	const uint8_t *bytes;
	size_t size;
	for (size_t i = 0; i < CN_ARRAY_SIZE(unwanted); i++) {
		struct cn_term_limits limits = { .flags = unwanted[i].flags,
						 .ref_words = unwanted[i].ref_words };
		struct cn_term_limits any = { .flags = CN_TERM_RECORDS };
		const char *why = NULL;
		cnode_term t = good_term(unwanted[i].bytes, unwanted[i].size), made;
		int rc = cn_term_outgoing(t, &limits, NULL, &bytes, &size, &why);
		ck_assert_msg(rc == CNODE_EBADTERM && why, "%s: %d", unwanted[i].why, rc);
		rc = cn_term_outgoing(t, &any, NULL, &bytes, &size, &why);
		ck_assert_msg(rc == (unwanted[i].narrow_only ? 0 : CNODE_EBADTERM), "%s: %d",
			      unwanted[i].why, rc);
		/* Nor can a program make it a term of its own. */
		rc = cnode_term_from_bytes(unwanted[i].bytes, unwanted[i].size, &made);
		ck_assert_int_eq(rc, unwanted[i].narrow_only ? 0 : CNODE_EBADTERM);
		if (rc == 0)
			cnode_term_drop(made);
		ck_assert_int_eq(cnode_format(&made, "{~t}", t),
				 unwanted[i].narrow_only ? 0 : CNODE_EBADTERM);
		if (unwanted[i].narrow_only)
			cnode_term_drop(made);
		cnode_term_drop(t);
	}
}
END_TEST

START_TEST(refuses_to_send_what_is_too_large)
{
	struct cn_term_limits limits = { .bytes = 100 };
	const uint8_t *bytes;
	size_t size;
	char zeros[200] = "";
	for (size_t n = 94; n <= 97; n++) {
		cnode_term t;
		const char *why = NULL;
		ck_assert_int_eq(cnode_format(&t, "~b", zeros, n), 0);
		ck_assert_int_eq(cn_term_outgoing(t, &limits, NULL, &bytes, &size, &why),
				 n > 95 ? CNODE_ETOOBIG : 0);
		ck_assert_int_eq(why != NULL, n > 95);
		cnode_term_drop(t);
	}
	cnode_term none = { 0 };
	ck_assert_int_eq(cn_term_outgoing(none, NULL, NULL, &bytes, &size, NULL), CNODE_EBADTERM);
}
END_TEST

START_TEST(takes_maps_of_many_keys_quickly)
{
	/* 200,000 keys, unsorted; and 1,000 maps in each other, each with a second key. */
	struct cnode_builder b;
	cnode_term t;
	cn_builder_init(&b);
	cnode_build_map(&b);
	for (uint32_t i = 0; i < 200000; i++) {
		cnode_build_int64(&b, i * UINT32_C(2654435761));
		cnode_build_int64(&b, i);
	}
	cnode_build_map_end(&b);
	ck_assert_int_eq(cnode_builder_term(&b, &t), 0);
	ck_assert(cnode_term_equal(t, t));
	cnode_term_drop(t);
	for (int values = 0; values < 2; values++) {
		cnode_term u;
		for (int n = 0; n < 2; n++) {
			cn_builder_init(&b);
			for (int i = 0; i < 1000; i++) {
				cnode_build_map(&b);
				cnode_build_int64(&b, 7);
				cnode_build_int64(&b, 8);
				if (values)
					cnode_build_int64(&b, 9);
			}
			cnode_build_int64(&b, n);
			for (int i = 0; i < 1000; i++) {
				if (!values)
					cnode_build_int64(&b, 9);
				cnode_build_map_end(&b);
			}
			ck_assert_int_eq(cnode_builder_term(&b, n ? &u : &t), 0);
		}
		ck_assert_int_lt(cnode_term_compare(t, u), 0);
		cnode_term_drop(t);
		cnode_term_drop(u);
	}
}
END_TEST

/* ---- memory ---- */

START_TEST(keeps_borrowed_terms_by_copying)
{
	unsigned char bytes[] = "\x68\2R\0a\5";
	struct cn_blob *table = cn_blob_new_atoms(0, 1, 3);
	cn_blob_add_atom(table, "abc", 3);
	struct cn_verify v;
	cn_verify_init(&v, NULL, 1);
	ck_assert_int_eq(cn_verify_all(&v, bytes, sizeof bytes - 1), 0);
	cnode_term t = cn_term_borrowed(bytes, table->atoms, &v), kept;
	ck_assert_term(t, "{abc,5}");
	const char *plain;
	int size;
	ck_assert_int_eq(cnode_term_ei(t, &plain, &size), CNODE_ESTALE);
	ck_assert_int_eq(cnode_term_keep(t, &kept), 0);
	memset(bytes, 0, sizeof bytes);
	cn_blob_unref(table);
	ck_assert_term(kept, "{abc,5}");
	ck_assert_int_eq(cnode_term_ei(kept, &plain, &size), 0);
	ck_assert_int_eq(size, 9);
	cnode_term_drop(kept);
}
END_TEST

START_TEST(static_terms_need_no_memory)
{
	cnode_term t = cn_term_static("w\2ok", 4), kept;
	ck_assert_int_eq(cnode_term_keep(t, &kept), 0);
	ck_assert_ptr_eq(kept.bytes_, t.bytes_);
	ck_assert(cn_term_is_atom(kept, "ok") && !cn_term_is_atom(kept, "okay") &&
		  !cn_term_is_atom(kept, ""));
	cnode_term_drop(kept);
	cnode_term_drop(t);
	use_term(t);
	cnode_term none = { 0 };
	ck_assert_int_eq(cnode_term_keep(none, &kept), 0);
	cnode_term_drop(kept);
	ck_assert_int_eq(cnode_term_type(none), CNODE_TYPE_NONE);
}
END_TEST

START_TEST(large_blobs_serve_the_next_message)
{
	/* The same memory for about the same size, and only for that. */
	struct cn_blob *a = cn_blob_new(1 << 20), *b;
	ck_assert_ptr_nonnull(a);
	memset(a->bytes, 1, a->size);
	uintptr_t was = (uintptr_t)a;
	cn_blob_unref(a);
	b = cn_blob_new((1 << 20) - 1000);
	ck_assert_uint_eq((uintptr_t)b, was);
	ck_assert_uint_eq(b->size, (1 << 20) - 1000);
	ck_assert(b->atoms == NULL && b->flags == 0 && atomic_load(&b->refs) == 1 && atomic_load(&b->plain) == NULL);
	cn_blob_unref(b);
	b = cn_blob_new(100 << 10);
	ck_assert_uint_ne((uintptr_t)b, was);
	cn_blob_unref(b);
	b = cn_blob_new((1 << 20) + 1);
	memset(b->bytes, 2, b->size);
	cn_blob_unref(b);
	/* With a table of atoms, too: the next one has none. */
	a = cn_blob_new_atoms(70 << 10, 2, 10);
	cn_blob_add_atom(a, "abc", 3);
	memset(a->bytes, 3, a->size);
	ck_assert_mem_eq(a->atoms->at[0].text, "abc", 3);
	cn_blob_unref(a);
	b = cn_blob_new(70 << 10);
	ck_assert_ptr_null(b->atoms);
	/* Growing and shrinking keeps what is there. */
	memset(b->bytes, 4, b->size);
	b = cn_blob_resize(b, 500 << 10);
	ck_assert_uint_eq(b->size, 500 << 10);
	ck_assert_int_eq(b->bytes[(70 << 10) - 1], 4);
	memset(b->bytes, 5, b->size);
	b = cn_blob_resize(b, 10);
	ck_assert_uint_eq(b->size, 10);
	b = cn_blob_resize(b, 500 << 10);
	memset(b->bytes, 6, b->size);
	cn_blob_unref(b);
}
END_TEST

START_TEST(a_message_has_memory_to_spare_and_the_atoms_it_uses)
{
	static const struct cn_atom_text atoms[] = { { (const uint8_t *)"abc", 3 }, { (const uint8_t *)"left_out", 8 },
						    { (const uint8_t *)"xy", 2 } };
	static const uint8_t bytes[] = "\x68\2R\2R\0";
	for (size_t odd = 0; odd < 9; odd++) {
		size_t size = sizeof bytes - 1 + odd;
		struct cn_verify v;
		cn_verify_init(&v, NULL, 3);
		ck_assert_int_eq(cn_verify_all(&v, bytes, sizeof bytes - 1), 0);
		struct cn_blob *b = cn_blob_new_message(size, atoms, 3, v.used);
		ck_assert_ptr_nonnull(b);
		memcpy(b->bytes, bytes, sizeof bytes - 1);
		memset(b->bytes + sizeof bytes - 1, 0xff, odd);
		cnode_term t = cn_term_of_verified(b, 0, &v);
		uint8_t *spare = cn_term_spare(t);
		ck_assert_ptr_nonnull(spare);
		ck_assert_uint_eq((uintptr_t)spare % _Alignof(void *), 0);
		memset(spare, 0xff, CN_BLOB_SPARE);
		ck_assert_ptr_null(cn_term_spare(t));
		ck_assert_term(t, "{xy,abc}");
		ck_assert_uint_eq(b->atoms->count, 3);
		ck_assert_uint_eq(b->atoms->at[1].size, 0);
		cnode_term kept;
		ck_assert_int_eq(cnode_term_keep(t, &kept), 0);
		cnode_term_drop(t);
		ck_assert_uint_eq(spare[CN_BLOB_SPARE - 1], 0xff);
		ck_assert_term(kept, "{xy,abc}");
		cnode_term_drop(kept);
	}
	/* Without atoms; and what was built here, is static or borrowed has none. */
	struct cn_blob *b = cn_blob_new_message(1, NULL, 0, 0);
	b->bytes[0] = 0;
	ck_assert_ptr_null(b->atoms);
	struct cn_verify v;
	cn_verify_init(&v, NULL, 0);
	ck_assert_int_eq(cn_verify_all(&v, "j", 1), 0);
	b->bytes[0] = 'j';
	cnode_term t = cn_term_of_verified(b, 0, &v);
	memset(cn_term_spare(t), 0xff, CN_BLOB_SPARE);
	ck_assert_term(t, "[]");
	cnode_term_drop(t);
	ck_assert_int_eq(cnode_format(&t, "built"), 0);
	ck_assert_ptr_null(cn_term_spare(t));
	cnode_term_drop(t);
	ck_assert_ptr_null(cn_term_spare(cn_term_static("w\2ok", 4)));
	ck_assert_ptr_null(cn_term_spare(cn_term_borrowed("j", NULL, &v)));
	ck_assert_ptr_null(cn_blob_new_message(SIZE_MAX / 2, NULL, 0, 0));
}
END_TEST

START_TEST(an_atom_beyond_the_64th_is_used_with_its_like)
{
	/* 200 atoms of which only one is referred to; those 64 and 128 away from it may be there. */
	static struct cn_atom_text atoms[200];
	static char texts[200][4];
	for (int i = 0; i < 200; i++)
		atoms[i] = (struct cn_atom_text){ (const uint8_t *)texts[i], (uint16_t)snprintf(texts[i], 4, "%d", i) };
	for (unsigned i = 0; i < 200; i++) {
		uint8_t bytes[] = { CN_ATOM_CACHE_REF, (uint8_t)i };
		struct cn_verify v;
		cn_verify_init(&v, NULL, 200);
		ck_assert_int_eq(cn_verify_all(&v, bytes, sizeof bytes), 0);
		struct cn_blob *b = cn_blob_new_message(sizeof bytes, atoms, 200, v.used);
		memcpy(b->bytes, bytes, sizeof bytes);
		cnode_term t = cn_term_of_verified(b, 0, &v);
		ck_assert(cn_term_is_atom(t, texts[i]));
		for (unsigned j = 0; j < 200; j++)
			ck_assert_uint_eq(b->atoms->at[j].size, j % 64 == i % 64 ? atoms[j].size : 0);
		cnode_term_drop(t);
	}
}
END_TEST

static _Atomic int spares;
static void ask_for_spare(void *arg)
{
	if (cn_term_spare(*(cnode_term *)arg))
		atomic_fetch_add(&spares, 1);
}

START_TEST(one_of_many_threads_gets_the_spare_memory)
{
	for (int round = 0; round < 200; round++) {
		struct cn_thread thread[4];
		struct cn_verify v;
		cn_verify_init(&v, NULL, 0);
		ck_assert_int_eq(cn_verify_all(&v, "j", 1), 0);
		struct cn_blob *b = cn_blob_new_message(1, NULL, 0, 0);
		b->bytes[0] = 'j';
		cnode_term t = cn_term_of_verified(b, 0, &v);
		atomic_store(&spares, 0);
		for (int i = 0; i < 4; i++)
			ck_assert_int_eq(cn_thread_start(&thread[i], "spare", ask_for_spare, &t), 0);
		for (int i = 0; i < 4; i++)
			cn_thread_join(&thread[i]);
		ck_assert_int_eq(atomic_load(&spares), 1);
		cnode_term_drop(t);
	}
}
END_TEST

static void give_and_take(void *arg)
{
	unsigned seed = *(unsigned *)arg;
	for (int i = 0; i < 3000; i++) {
		seed = seed * 1103515245 + 12345;
		size_t size = (64u << 10) + (seed >> 8) % (300u << 10);
		struct cn_blob *b = cn_blob_new(size);
		if (!b || b->size != size)
			abort();
		b->bytes[0] = b->bytes[size - 1] = (uint8_t)seed;
		if (b->bytes[0] != (uint8_t)seed)
			abort();
		cn_blob_unref(b);
	}
}

START_TEST(threads_share_the_large_blobs)
{
	struct cn_thread thread[4];
	unsigned seed[4] = { 1, 2, 3, 4 };
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(cn_thread_start(&thread[i], "blob", give_and_take, &seed[i]), 0);
	for (int i = 0; i < 4; i++)
		cn_thread_join(&thread[i]);
}
END_TEST

static void many_threads_one(void *arg)
{
	cnode_term t = *(cnode_term *)arg;
	const char *bytes, *text;
	int size;
	size_t length;
	for (int i = 0; i < 200; i++) {
		if (cnode_term_ei(t, &bytes, &size) != 0 || size != 30)
			abort();
		if (cnode_scan(t, "{_,_,~s}", &text, &length) != 0 || length != 2)
			abort();
	}
}

START_TEST(threads_share_one_plain_copy)
{
	for (int round = 0; round < 20; round++) {
		struct cn_thread thread[4];
		cnode_term t = cached_term(BYTES("\x68\3R\0R\2l\0\0\0\1a\1l\0\0\0\1a\2j"), 3);
		for (int i = 0; i < 4; i++)
			ck_assert_int_eq(cn_thread_start(&thread[i], "term", many_threads_one, &t),
					 0);
		for (int i = 0; i < 4; i++)
			cn_thread_join(&thread[i]);
		cnode_term_drop(t);
	}
}
END_TEST

/* What was made of one element must not be looked for among what was made of all others: that would take minutes. */
START_TEST(makes_plain_copies_of_many_elements_quickly)
{
	enum { COUNT = 200000, EACH = 9 };
	static unsigned char bytes[5 + COUNT * EACH + 1];
	unsigned char *p = bytes;
	*p = 'l';
	cn_store_u32(p + 1, COUNT);
	p += 5;
	for (uint32_t i = 0; i < COUNT; i++, p += EACH) {
		memcpy(p, "\x68\2R\0b", 5);
		cn_store_u32(p + 5, 1000 + i);
	}
	*p = 'j';
	cnode_term t = cached_term(bytes, sizeof bytes, 3);
	for (int round = 0; round < 2; round++) {
		cnode_reader r = cnode_read(t);
		ck_assert_uint_eq(cnode_read_list(&r), COUNT);
		for (int64_t i = 0; i < COUNT; i++) {
			static const char *made[COUNT];
			const char *plain;
			int size;
			ck_assert_int_eq(cnode_term_ei(cnode_read_term(&r), &plain, &size), 0);
			ck_assert(size == 13 && (unsigned char)plain[12] == (1000 + i) % 256 && (round == 0 || made[i] == plain));
			made[i] = plain;
		}
	}
	cnode_term_drop(t);
}
END_TEST

static void memory_scenario(void)
{
	static const unsigned char deep[] =
		"\x68\1\x68\1\x68\1\x68\1\x68\1\x68\1\x68\1\x68\1\x68\1\x68\1\x68\1\x68\1\x68\1\x68\1"
		"\x68\1\x68\1\x68\1\x68\1\x68\1\x68\1\x68\1\x68\1\x68\1\x68\1\x68\1\x68\1\x68\1\x68\1"
		"\x68\1\x68\1\x68\1\x68\1\x68\1\x68\1\x68\1\x68\1\x68\1\x68\1\x68\1\x68\1\x68\1\x68\1"
		"t\0\0\0\2a\2l\0\0\0\1a\1l\0\0\0\1a\2ja\1t\0\0\0\2w\1aa\1w\1ba\1";
	cnode_term t, u, kept;
	const char *bytes;
	const uint8_t *out;
	int size;
	size_t out_size, length;
	int rc = peer_term(deep, sizeof deep - 1, &t);
	ck_assert(rc == 0 || rc == CNODE_ENOMEM);
	if (rc)
		return;
	rc = cnode_term_ei(t, &bytes, &size);
	ck_assert(rc == 0 || rc == CNODE_ENOMEM);
	rc = cn_term_outgoing(t, NULL, NULL, &out, &out_size, NULL);
	ck_assert(rc == 0 || rc == CNODE_ENOMEM);
	rc = cnode_term_from_bytes(deep, sizeof deep - 1, &u);
	ck_assert(rc == 0 || rc == CNODE_ENOMEM);
	if (rc == 0) {
		/* Comparison does without memory. */
		ck_assert(cnode_term_equal(t, u));
		cnode_term_drop(u);
	}
	cnode_free(cnode_term_text(t));
	struct cn_verify v;
	cn_verify_init(&v, NULL, 0);
	rc = cn_verify_all(&v, deep, sizeof deep - 1);
	if (rc == 0) {
		rc = cnode_term_keep(cn_term_borrowed(deep, NULL, &v), &kept);
		ck_assert(rc == 0 || rc == CNODE_ENOMEM);
		if (rc == 0)
			cnode_term_drop(kept);
	}
	cnode_term_drop(t);
	rc = peer_term(BYTES("h\1C\0\0\0\1\0w\1mw\1nw\1ah\1k\0\0"), &t);
	ck_assert(rc == 0 || rc == CNODE_ENOMEM);
	if (rc == 0)
		cnode_term_drop(t);
	rc = peer_term(BYTES("h\2l\0\0\0\1a\1l\0\0\0\1a\2jl\0\0\0\2a\1a\2j"), &t);
	if (rc == 0) {
		const char *text;
		rc = cnode_scan(t, "{~s,[1|~t]}", &text, &length, &u);
		ck_assert(rc == 0 || rc == CNODE_ENOMEM);
		cnode_term_drop(t);
	}
}

START_TEST(runs_out_of_memory_cleanly)
{
	alloc_fail_each(memory_scenario);
}
END_TEST

TCase *memory_case(void)
{
	TCase *c = tcase_create("memory");
	tcase_add_test(c, says_where_atoms_are);
	tcase_add_test(c, resolves_references_when_there_are_too_many_atoms);
	tcase_add_test(c, refuses_to_send_what_a_beam_would_disconnect_for);
	tcase_add_test(c, refuses_to_send_what_is_too_large);
	tcase_add_test(c, takes_maps_of_many_keys_quickly);
	tcase_add_test(c, keeps_borrowed_terms_by_copying);
	tcase_add_test(c, static_terms_need_no_memory);
	tcase_add_test(c, large_blobs_serve_the_next_message);
	tcase_add_test(c, a_message_has_memory_to_spare_and_the_atoms_it_uses);
	tcase_add_test(c, an_atom_beyond_the_64th_is_used_with_its_like);
	tcase_add_test(c, one_of_many_threads_gets_the_spare_memory);
	tcase_add_test(c, threads_share_the_large_blobs);
	tcase_add_test(c, threads_share_one_plain_copy);
	tcase_add_test(c, makes_plain_copies_of_many_elements_quickly);
	tcase_add_test(c, runs_out_of_memory_cleanly);
	return c;
}
