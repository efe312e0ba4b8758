/* SPDX-License-Identifier: Apache-2.0 */
/* The verifier: what it takes, what it refuses, that it can stop anywhere and go on. */
#include "tests/term_test.h"

#include <dirent.h>

START_TEST(takes_every_term_of_the_corpus)
{
	for (size_t i = 0; i < CORPUS_SIZE; i++) {
		cnode_term t;
		int rc = peer_term(corpus[i].bytes, corpus[i].size, &t);
		ck_assert_msg(rc == 0, "%s: %d", corpus[i].name, rc);
		use_term(t);
		cnode_term_drop(t);
	}
}
END_TEST

static size_t read_file(const char *path, unsigned char *bytes, size_t room)
{
	FILE *f = fopen(path, "rb");
	ck_assert_msg(f != NULL, "%s", path);
	size_t size = fread(bytes, 1, room, f);
	fclose(f);
	ck_assert_uint_lt(size, room);
	return size;
}

/* What conformance/record has taken from nodes of these releases, version byte included. */
START_TEST(takes_the_terms_of_every_release_byte_for_byte)
{
	static const int releases[] = { 23, 25, 27, 29 };
	static unsigned char bytes[1 << 20];
	char folder[1000], path[2000];
	const char *src = getenv("srcdir");
	snprintf(folder, sizeof folder, "%s/conformance/corpus/%d/term", src ? src : ".",
		 releases[_i]);
	DIR *d = opendir(folder);
	ck_assert_msg(d != NULL, "%s", folder);
	size_t count = 0;
	for (struct dirent *e; (e = readdir(d));) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
		size_t size = read_file(path, bytes, sizeof bytes);
		ck_assert_uint_eq(bytes[0], CN_VERSION);
		cnode_term t = good_term(bytes + 1, size - 1), own;
		use_term(t);
		/*
		 * Out again it is the same, to the byte; BEAM nodes count the size of a fun right
		 * here.
		 */
		const uint8_t *out;
		size_t out_size;
		const char *why = NULL;
		int rc = cn_term_outgoing(t, NULL, NULL, &out, &out_size, &why);
		ck_assert_msg(rc == 0, "%s: %s", path, why);
		ck_assert_msg(out_size == size - 1 && memcmp(out, bytes + 1, out_size) == 0, "%s",
			      path);
		ck_assert_int_eq(cnode_term_from_bytes(bytes, size, &own), 0);
		ck_assert(cnode_term_equal(t, own));
		cnode_term_drop(own);
		cnode_term_drop(t);
		for (size_t n = 0; n + 1 < size; n += n < 200 ? 1 : 97)
			ck_assert_int_ne(peer_term(bytes + 1, n, &t), 0);
		count++;
	}
	closedir(d);
	ck_assert_uint_gt(count, 30);
}
END_TEST

START_TEST(refuses_every_prefix)
{
	for (size_t i = 0; i < CORPUS_SIZE; i++) {
		for (size_t size = 0; size < corpus[i].size; size++) {
			cnode_term t;
			struct cn_verify v;
			int rc = peer_term(corpus[i].bytes, size, &t);
			ck_assert_msg(rc == CNODE_EBADTERM, "%s: first %zu bytes: %d",
				      corpus[i].name, size, rc);
			/* The same, when more may come. */
			cn_verify_init(&v, NULL, 0);
			ck_assert_int_eq(cn_verify_step(&v, corpus[i].bytes, size, 0),
					 CN_VERIFY_MORE);
			cn_verify_fini(&v);
		}
	}
}
END_TEST

START_TEST(survives_every_mutation_of_a_byte)
{
	static const unsigned char few[] = { 0,	  1,   2,   70,	 77,  82,  97,	98,  99,  100,
					     104, 105, 106, 107, 108, 109, 110, 111, 112, 113,
					     116, 118, 119, 120, 127, 128, 200, 255 };
	size_t accepted = 0;
	for (size_t i = 0; i < CORPUS_SIZE; i++) {
		size_t size = corpus[i].size;
		size_t step = size > 600 ? size / 300 : 1;
		unsigned char *copy = malloc(size);
		memcpy(copy, corpus[i].bytes, size);
		for (size_t at = (size_t)_i % step; at < size; at += step) {
			unsigned char old = copy[at];
			size_t values = size <= 40 ? 256 : sizeof few;
			for (size_t n = 0; n < values; n++) {
				cnode_term t;
				copy[at] = size <= 40 ? (unsigned char)n : few[n];
				if (copy[at] % 4 != _i || peer_term(copy, size, &t) != 0)
					continue;
				if (accepted++ % 16 == 0)
					use_term(t);
				else
					cnode_term_print(t, NULL, 0);
				cnode_term_drop(t);
			}
			copy[at] = old;
		}
		free(copy);
	}
	ck_assert_uint_gt(accepted, 1000);
}
END_TEST

/* The same answer whatever the pieces, also when the bytes move in between. */
START_TEST(goes_on_where_it_stopped)
{
	for (size_t i = 0; i < CORPUS_SIZE; i++) {
		size_t size = corpus[i].size;
		for (size_t piece = 1; piece < 20; piece += 3) {
			struct cn_verify v;
			int rc = CN_VERIFY_MORE;
			size_t here = 0, turns = 0;
			cn_verify_init(&v, NULL, 0);
			while (rc == CN_VERIFY_MORE || rc == CN_VERIFY_BUDGET) {
				if (rc == CN_VERIFY_MORE)
					here = here + piece < size ? here + piece : size;
				unsigned char *copy = malloc(here);
				memcpy(copy, corpus[i].bytes, here);
				rc = cn_verify_step(&v, copy, here, piece);
				free(copy);
				ck_assert_uint_lt(turns++, 2 * size / piece + size + 10);
			}
			ck_assert_int_eq(rc, CN_VERIFY_DONE);
			ck_assert_uint_eq(v.offset, size);
			/* Asked again it says the same. */
			ck_assert_int_eq(cn_verify_step(&v, corpus[i].bytes, size, 0),
					 CN_VERIFY_DONE);
			cn_verify_fini(&v);
		}
	}
}
END_TEST

START_TEST(stops_when_the_budget_is_used_up)
{
	/* 200,000 small integers: four turns of 64 KiB and the rest. */
	size_t n = 200000, size = 5 + 2 * n + 1;
	unsigned char *list = calloc(1, size);
	list[0] = CN_LIST;
	cn_store_u32(list + 1, (uint32_t)n);
	for (size_t i = 0; i < n; i++)
		list[5 + 2 * i] = CN_SMALL_INTEGER;
	list[size - 1] = CN_NIL;
	struct cn_verify v;
	cn_verify_init(&v, NULL, 0);
	int turns = 0, rc;
	while ((rc = cn_verify_step(&v, list, size, CN_VERIFY_BUDGET_DEFAULT)) ==
	       CN_VERIFY_BUDGET) {
		turns++;
		ck_assert_uint_le(v.offset, (size_t)turns * (CN_VERIFY_BUDGET_DEFAULT + 2));
	}
	ck_assert_int_eq(rc, CN_VERIFY_DONE);
	ck_assert_int_eq(turns, (int)(size / CN_VERIFY_BUDGET_DEFAULT));
	cn_verify_fini(&v);

	/* What is in a binary is no work. */
	list[0] = CN_BINARY;
	cn_store_u32(list + 1, (uint32_t)(size - 5));
	cn_verify_init(&v, NULL, 0);
	ck_assert_int_eq(cn_verify_step(&v, list, size, 1), CN_VERIFY_DONE);
	cn_verify_fini(&v);
	free(list);
}
END_TEST

START_TEST(leaves_bytes_behind_the_term_alone)
{
	struct cn_verify v;
	cn_verify_init(&v, NULL, 0);
	ck_assert_int_eq(cn_verify_all(&v, BYTES("\x68\x01\x61\x05\xff\xff")), 0);
	ck_assert_uint_eq(v.offset, 4);
}
END_TEST

static const struct {
	const char *why;
	const unsigned char *bytes;
	size_t size;
} hostile[] = {
	/* reliability.md 3.2 */
	{ "binary of 2 GiB in a tuple", BYTES("\x68\x01\x6d\xff\xff\xff\xf4") },
	{ "bitstring of 2 GiB in a list", BYTES("\x6c\0\0\0\1\x4d\xff\xff\xff\xf0\x08") },
	{ "bignum of 4 GiB in a tuple", BYTES("\x68\x01\x6f\xff\xff\xff\xf3\0") },
	{ "tuple of 2^31-1", BYTES("\x69\x7f\xff\xff\xff\xff") },
	{ "list of 2^31-1", BYTES("\x6c\x7f\xff\xff\xff\xff") },
	{ "map of 2^30-1", BYTES("\x74\x3f\xff\xff\xff\xff") },
	{ "two of them, nested", BYTES("\x69\x7f\xff\xff\xff\x69\x7f\xff\xff\xff\xff") },
	{ "tuple of 2^31", BYTES("\x69\x80\0\0\0") },
	{ "map of 2^30", BYTES("\x74\x40\0\0\0") },
	{ "map of 2^31, doubled in 32 bits it is none", BYTES("\x74\x80\0\0\0") },
	{ "list of 2^32-1, with its tail it is none in 32 bits", BYTES("\x6c\xff\xff\xff\xff") },
	{ "compressed inside of a tuple", BYTES("\x68\x01\x50\0\0\0\x05") },
	{ "cache reference without a table", BYTES("\x52\0") },
	{ "cache reference inside of a tuple", BYTES("\x68\x01\x52\0") },
	{ "LOCAL_EXT", BYTES("\x79\0\0\0\0\x61\x01") },
	{ "compressed", BYTES("\x50\0\0\0\x05") },
	{ "old fun", BYTES("\x75\0\0\0\0") },
	{ "internal I", BYTES("I\0\0\0\1") },
	{ "internal K", BYTES("K\1") },
	{ "version byte", BYTES("\x83\x61\x01") },
	{ "unknown tag", BYTES("\xff") },
	{ "unknown tag inside", BYTES("\x68\x02\x61\x01\x01") },
	{ "binary of -10", BYTES("\x6d\xff\xff\xff\xf6") },
	{ "LARGE_BIG of 2^32-1", BYTES("\x6f\xff\xff\xff\xff\0") },
	{ "FLOAT_EXT without NUL", BYTES("c1111111111111111111111111111111") },
	{ "FLOAT_EXT with rubbish behind", BYTES("c1.5e+00x\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0") },
	{ "FLOAT_EXT nan", BYTES("cnan\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0") },
	{ "FLOAT_EXT too large", BYTES("c1.0e+999\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0") },
	{ "FLOAT_EXT hexadecimal", BYTES("c0x1.8p1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0") },
	{ "infinity", BYTES("F\x7f\xf0\0\0\0\0\0\0") },
	{ "minus infinity", BYTES("F\xff\xf0\0\0\0\0\0\0") },
	{ "not a number", BYTES("F\x7f\xf8\0\0\0\0\0\1") },
	{ "tuple of 2^24", BYTES("\x69\x01\0\0\0") },
	{ "atom with a cut character", BYTES("w\1\xc3") },
	{ "atom with a stray continuation", BYTES("w\1\x80") },
	{ "atom with an overlong character", BYTES("w\2\xc0\xaf") },
	{ "atom with an overlong character of three bytes", BYTES("w\3\xe0\x80\x80") },
	{ "atom with a surrogate", BYTES("w\3\xed\xa0\x80") },
	{ "atom beyond 0x10ffff", BYTES("w\4\xf4\x90\x80\x80") },
	{ "atom with 0xff", BYTES("w\1\xff") },
	{ "reference of 6 words", BYTES("Z\0\6w\3a@b\0\0\0\5"
					"\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1") },
	{ "reference of 65535 words", BYTES("Z\xff\xffw\3a@b\0\0\0\5") },
	{ "reference whose node is no atom", BYTES("Z\0\1\x61\5\0\0\0\5\0\0\0\1") },
	{ "pid whose node is no atom", BYTES("X\x61\5\0\0\0\1\0\0\0\1\0\0\0\1") },
	{ "port whose node is no atom", BYTES("xj\0\0\0\1\0\0\0\1\0\0\0\1") },
	{ "bitstring of 9 bits in its last byte", BYTES("M\0\0\0\1\x09\0") },
	{ "bitstring of 0 bits in its last byte", BYTES("M\0\0\0\1\0\0") },
	{ "empty bitstring with bits", BYTES("M\0\0\0\0\1") },
	{ "exported fun of a large arity", BYTES("qw\1mw\1f\x62\0\0\0\1") },
	{ "exported fun of a module that is no atom", BYTES("q\x61\1w\1f\x61\1") },
	{ "fun of a module that is no atom", BYTES("p\0\0\0\xff\0" "0123456789abcdef" "\0\0\0\0\0\0\0\0\x61\1") },
	{ "fun whose index is an atom", BYTES("p\0\0\0\xff\0" "0123456789abcdef" "\0\0\0\0\0\0\0\0w\1mw\1x") },
	{ "fun whose creator is no pid", BYTES("p\0\0\0\xff\0" "0123456789abcdef" "\0\0\0\0\0\0\0\0w\1ma\1a\1a\1") },
	{ "fun with 2^32-1 variables", BYTES("p\0\0\0\xff\0" "0123456789abcdef" "\0\0\0\0\xff\xff\xff\xffw\1ma\1a\1"
					     "Xw\3a@b\0\0\0\1\0\0\0\1\0\0\0\1") },
	{ "record with a field name that is no atom", BYTES("C\0\0\0\1\0w\1mw\1na\1a\1") },
	{ "record of 2^32-1 fields", BYTES("C\xff\xff\xff\xff\0w\1mw\1n") },
	{ "nothing", BYTES("") },
};

START_TEST(refuses_what_is_hostile_at_once)
{
	for (size_t i = 0; i < CN_ARRAY_SIZE(hostile); i++) {
		cnode_term t;
		struct cn_verify v;
		int rc = peer_term(hostile[i].bytes, hostile[i].size, &t);
		ck_assert_msg(rc == CNODE_EBADTERM, "%s: %d", hostile[i].why, rc);
		cn_verify_init(&v, NULL, 0);
		cn_verify_all(&v, hostile[i].bytes, hostile[i].size);
		ck_assert_msg(v.reason != NULL, "%s: no reason", hostile[i].why);
		ck_assert_uint_le(v.offset, hostile[i].size);
	}
}
END_TEST

START_TEST(refuses_long_atoms)
{
	unsigned char atom[3 + 256 * 4] = { CN_ATOM_UTF8 };
	cnode_term t;
	for (int wide = 0; wide < 2; wide++) {
		for (unsigned chars = 254; chars <= 256; chars++) {
			size_t size = wide ? chars * 4 : chars;
			cn_store_u16(atom + 1, (uint16_t)size);
			for (size_t i = 0; i < size; i++)
				atom[3 + i] = (unsigned char)(wide ? "\xf0\x9f\x98\x80"[i % 4]
								   : 'a');
			int rc = peer_term(atom, 3 + size, &t);
			ck_assert_int_eq(rc, chars > 255 ? CNODE_EBADTERM : 0);
			if (rc == 0)
				cnode_term_drop(t);
		}
	}
	memset(atom + 3, 0xe9, 256);
	atom[0] = CN_ATOM;
	cn_store_u16(atom + 1, 256);
	ck_assert_int_eq(peer_term(atom, 3 + 256, &t), CNODE_EBADTERM);
	cn_store_u16(atom + 1, 255);
	cnode_term_drop(good_term(atom, 3 + 255));
}
END_TEST

/* `depth` levels of a compound whose head is given; around a nil. */
static int nested(const unsigned char *head, size_t head_size, const unsigned char *tail,
		  size_t tail_size, unsigned depth, uint32_t limit, bool use)
{
	size_t size = depth * (head_size + tail_size) + 1;
	unsigned char *bytes = malloc(size), *p = bytes;
	for (unsigned i = 0; i < depth; i++, p += head_size)
		memcpy(p, head, head_size);
	*p++ = CN_NIL;
	for (unsigned i = 0; i < depth; i++, p += tail_size)
		memcpy(p, tail, tail_size);
	struct cn_term_limits limits = { .depth = limit };
	struct cn_verify v;
	struct cn_blob *blob = cn_blob_new(size);
	memcpy(blob->bytes, bytes, size);
	cn_verify_init(&v, &limits, 0);
	int rc = cn_verify_all(&v, blob->bytes, size);
	if (rc == 0 && use) {
		ck_assert_uint_eq(v.offset, size);
		use_term(cn_term_of_verified(blob, 0, &v));
	}
	if (rc)
		ck_assert_ptr_nonnull(v.reason);
	cn_blob_unref(blob);
	free(bytes);
	return rc;
}

START_TEST(limits_the_nesting_of_everything)
{
	static const struct {
		const unsigned char *head;
		size_t head_size;
		const unsigned char *tail;
		size_t tail_size;
	} shape[] = {
		{ BYTES("\x68\1"), BYTES("") },
		{ BYTES("\x69\0\0\0\2\x61\1"), BYTES("") },
		{ BYTES("\x6c\0\0\0\1"), BYTES("\x6a") },
		{ BYTES("\x74\0\0\0\1\x61\1"), BYTES("") },
		{ BYTES("\x74\0\0\0\1"), BYTES("\x61\1") },
		{ BYTES("p\0\0\0\1\0" "0123456789abcdef" "\0\0\0\0\0\0\0\1w\1ma\1a\1Xw\3a@b\0\0\0\1\0\0\0\1\0\0\0\1"), BYTES("") },
	};
	for (size_t i = 0; i < CN_ARRAY_SIZE(shape); i++) {
		const unsigned char *h = shape[i].head, *t = shape[i].tail;
		size_t hs = shape[i].head_size, ts = shape[i].tail_size;
		ck_assert_int_eq(nested(h, hs, t, ts, CN_TERM_DEPTH, 0, true), 0);
		ck_assert_int_eq(nested(h, hs, t, ts, CN_TERM_DEPTH + 1, 0, true), CNODE_ELIMIT);
		ck_assert_int_eq(nested(h, hs, t, ts, 1000000, 0, true), CNODE_ELIMIT);
		ck_assert_int_eq(nested(h, hs, t, ts, 10, 10, true), 0);
		ck_assert_int_eq(nested(h, hs, t, ts, 11, 10, true), CNODE_ELIMIT);
		ck_assert_int_eq(nested(h, hs, t, ts, CN_TERM_DEPTH_MAX, UINT32_MAX, false), 0);
		ck_assert_int_eq(nested(h, hs, t, ts, CN_TERM_DEPTH_MAX + 1, UINT32_MAX, false),
				 CNODE_ELIMIT);
	}
}
END_TEST

START_TEST(takes_a_list_in_a_million_parts)
{
	/* As the manual of erl_interface teaches: [1|[1|[1|…]]] */
	size_t n = 1000000, size = n * 7 + 1;
	struct cn_blob *blob = cn_blob_new(size);
	for (size_t i = 0; i < n; i++)
		memcpy(blob->bytes + 7 * i, "\x6c\0\0\0\1\x61\1", 7);
	blob->bytes[size - 1] = CN_NIL;
	struct cn_verify v;
	cn_verify_init(&v, NULL, 0);
	ck_assert_int_eq(cn_verify_all(&v, blob->bytes, size), 0);
	cnode_term t = cn_term_of_verified(blob, 0, &v);
	use_term(t);
	const char *bytes;
	int plain;
	ck_assert_int_eq(cnode_term_ei(t, &bytes, &plain), 0);
	ck_assert_int_eq(plain, (int)(5 + 2 * n + 1));
	const char *text;
	size_t length;
	ck_assert_int_eq(cnode_scan(t, "~s", &text, &length), 0);
	ck_assert_uint_eq(length, n);
	ck_assert(text[0] == 1 && text[n - 1] == 1);
	cnode_term_drop(t);
}
END_TEST

START_TEST(counts_what_can_still_come)
{
	/*
	 * The length of the message is known: a tuple that cannot fit is refused before it has
	 * arrived.
	 */
	struct cn_term_limits limits = { .bytes = 100 };
	struct cn_verify v;
	cn_verify_init(&v, &limits, 0);
	ck_assert_int_eq(cn_verify_step(&v, BYTES("\x69\0\0\0\x5f"), 0), CN_VERIFY_MORE);
	cn_verify_fini(&v);
	cn_verify_init(&v, &limits, 0);
	ck_assert_int_eq(cn_verify_step(&v, BYTES("\x69\0\0\0\x60"), 0), CNODE_EBADTERM);
	ck_assert_int_eq(cn_verify_step(&v, BYTES("\x69\0\0\0\x60"), 0), CNODE_EBADTERM);
	cn_verify_fini(&v);
	cn_verify_init(&v, &limits, 0);
	ck_assert_int_eq(cn_verify_step(&v, BYTES("\x6d\0\0\0\x5f"), 0), CN_VERIFY_MORE);
	cn_verify_fini(&v);
	cn_verify_init(&v, &limits, 0);
	ck_assert_int_eq(cn_verify_step(&v, BYTES("\x6d\0\0\0\x60"), 0), CNODE_EBADTERM);
	cn_verify_fini(&v);
	/* All of it is there, and it is cut. */
	limits.bytes = 3;
	cn_verify_init(&v, &limits, 0);
	ck_assert_int_eq(cn_verify_step(&v, BYTES("\x68\2\x61\1"), 0), CNODE_EBADTERM);
	cn_verify_fini(&v);
}
END_TEST

/* ---- cache references ---- */

START_TEST(resolves_cache_references)
{
	cnode_term t = cached_term(BYTES("\x68\5R\0XR\1\0\0\0\7\0\0\0\0\0\0\0\5R\2R\3w\4four"), 5);
	ck_assert_term(t, "{zero,<a@b.7.0>,smørbrød,'',four}");
	use_term(t);
	cnode_pid pid;
	cnode_atom atom;
	cnode_name name;
	ck_assert_int_eq(cnode_scan(t, "{zero,~p,~a,'',four}", &pid, &atom), 0);
	ck_assert_int_eq(cnode_name_of("a@b", &name), 0);
	ck_assert_uint_eq(pid.node, name);
	ck_assert_str_eq(atom.text, "smørbrød");

	/* ei sees it plain; the copy is made once. */
	const char *bytes, *again;
	int size;
	ck_assert_int_eq(cnode_term_ei(t, &bytes, &size), 0);
	ck_assert_int_eq(cnode_term_ei(t, &again, &size), 0);
	ck_assert_ptr_eq(bytes, again);
	static const unsigned char plain[] =
		"\x68\5w\4zeroXw\3a@b\0\0\0\7\0\0\0\0\0\0\0\5w\x0asm\xc3\xb8"
		"rbr\xc3\xb8"
		"dw\0w\4four";
	ck_assert_int_eq(size, (int)sizeof plain - 1);
	ck_assert_mem_eq(bytes, plain, sizeof plain - 1);

	/* So does a part of it, and a part outlives the whole. */
	cnode_reader r = cnode_read(t);
	cnode_read_tuple(&r);
	cnode_term part = cnode_read_term(&r), kept;
	ck_assert_int_eq(cnode_term_keep(part, &kept), 0);
	cnode_term_drop(t);
	ck_assert_int_eq(cnode_term_ei(kept, &bytes, &size), 0);
	ck_assert_int_eq(size, 6);
	ck_assert_mem_eq(bytes, "w\4zero", 6);
	cnode_term_drop(kept);
}
END_TEST

START_TEST(refuses_references_beyond_the_table)
{
	struct cn_verify v;
	cn_verify_init(&v, NULL, 2);
	ck_assert_int_eq(cn_verify_all(&v, BYTES("R\1")), 0);
	cn_verify_init(&v, NULL, 2);
	ck_assert_int_eq(cn_verify_all(&v, BYTES("R\2")), CNODE_EBADTERM);
	cn_verify_init(&v, NULL, 255);
	ck_assert_int_eq(cn_verify_all(&v, BYTES("R\xff")), CNODE_EBADTERM);
	cn_verify_init(&v, NULL, 255);
	ck_assert_int_eq(cn_verify_all(&v, BYTES("XR\xfe\0\0\0\7\0\0\0\0\0\0\0\5")), 0);
}
END_TEST

START_TEST(terms_of_messages_with_and_without_cache_are_equal)
{
	cnode_term a = cached_term(BYTES("\x68\2R\0XR\1\0\0\0\7\0\0\0\0\0\0\0\5"), 2);
	cnode_term b = cached_term(BYTES("\x68\2w\4zeroXR\1\0\0\0\7\0\0\0\0\0\0\0\5"), 5);
	cnode_term c = good_term(BYTES("\x68\2s\4zeroXw\3a@b\0\0\0\7\0\0\0\0\0\0\0\5"));
	ck_assert(cnode_term_equal(a, b) && cnode_term_equal(b, c) && cnode_term_equal(a, c));
	ck_assert_int_eq(cnode_term_compare(a, c), 0);
	cnode_term_drop(a);
	cnode_term_drop(b);
	cnode_term_drop(c);
}
END_TEST

TCase *verify_case(void)
{
	TCase *c = tcase_create("verify");
	tap_one_thread(c);
	tcase_add_test(c, takes_every_term_of_the_corpus);
	tcase_add_loop_test(c, takes_the_terms_of_every_release_byte_for_byte, 0, 4);
	tcase_add_test(c, refuses_every_prefix);
	tcase_add_loop_test(c, survives_every_mutation_of_a_byte, 0, 4);
	tcase_add_test(c, goes_on_where_it_stopped);
	tcase_add_test(c, stops_when_the_budget_is_used_up);
	tcase_add_test(c, leaves_bytes_behind_the_term_alone);
	tcase_add_test(c, refuses_what_is_hostile_at_once);
	tcase_add_test(c, refuses_long_atoms);
	tcase_add_test(c, limits_the_nesting_of_everything);
	tcase_add_test(c, takes_a_list_in_a_million_parts);
	tcase_add_test(c, counts_what_can_still_come);
	tcase_add_test(c, resolves_cache_references);
	tcase_add_test(c, refuses_references_beyond_the_table);
	tcase_add_test(c, terms_of_messages_with_and_without_cache_are_equal);
	return c;
}
