/* SPDX-License-Identifier: Apache-2.0 */
/* The order of terms: comparing, equality, hashes. */
#include "tests/term_test.h"

/* ---- order ---- */

START_TEST(orders_terms_as_erlang_does)
{
	static cnode_term t[CORPUS_SIZE];
	for (size_t i = 0; i < CORPUS_SIZE; i++)
		t[i] = good_term(corpus[i].bytes, corpus[i].size);
	for (size_t i = 0; i < CORPUS_SIZE; i++) {
		for (size_t n = 0; n < CORPUS_SIZE; n++) {
			int want = (corpus[i].rank > corpus[n].rank) -
				   (corpus[i].rank < corpus[n].rank);
			int have = cnode_term_compare(t[i], t[n]);
			ck_assert_msg(have == want, "%s against %s: %d, not %d", corpus[i].name,
				      corpus[n].name, have, want);
			bool equal = cnode_term_equal(t[i], t[n]);
			if (equal)
				ck_assert_int_eq(have, 0);
			/* Nothing in the corpus meets by chance. */
			ck_assert_msg((cnode_term_hash(t[i]) == cnode_term_hash(t[n])) == equal, "hashes of %s and %s",
				      corpus[i].name, corpus[n].name);
		}
	}
	for (size_t i = 0; i < CORPUS_SIZE; i++)
		cnode_term_drop(t[i]);
}
END_TEST

/* The corpus holds each value in all the forms it may be sent in. */
START_TEST(equal_terms_have_the_same_hash_and_others_hardly_ever)
{
	static cnode_term t[CORPUS_SIZE];
	size_t met = 0, pairs = 0;
	for (size_t i = 0; i < CORPUS_SIZE; i++)
		t[i] = good_term(corpus[i].bytes, corpus[i].size);
	for (size_t i = 0; i < CORPUS_SIZE; i++) {
		for (size_t n = 0; n < i; n++) {
			bool same = cnode_term_hash(t[i]) == cnode_term_hash(t[n]);
			if (cnode_term_equal(t[i], t[n])) {
				ck_assert_msg(same, "%s and %s", corpus[i].name, corpus[n].name);
				pairs++;
			} else if (same && cnode_term_type(t[i]) != CNODE_TYPE_FUN && cnode_term_type(t[i]) != CNODE_TYPE_RECORD &&
				   cnode_term_type(t[i]) != CNODE_TYPE_FLOAT) {
				met++;
			}
		}
	}
	ck_assert_uint_gt(pairs, 10);
	ck_assert_uint_eq(met, 0);
	for (size_t i = 0; i < CORPUS_SIZE; i++)
		cnode_term_drop(t[i]);
}
END_TEST

/*
 * What a peer could try: differences in one word that a difference in the next one takes back, for each such pair of bits
 * (with a hash that multiplies and shifts there are some that do so whatever its key is: bit 63, then 63 and 31).
 */
START_TEST(no_small_change_of_one_word_is_taken_back_by_the_next)
{
	uint8_t bytes[16];
	cnode_term first, t;
	memset(bytes, 'x', sizeof bytes);
	ck_assert_int_eq(cnode_format(&first, "~b", bytes, sizeof bytes), 0);
	for (unsigned in = 0; in < 64; in++)
		for (unsigned one = 0; one < 64; one++)
			for (unsigned other = one; other < 64; other++) {
				uint64_t word[2];
				memset(word, 'x', sizeof word);
				word[0] ^= UINT64_C(1) << in;
				word[1] ^= UINT64_C(1) << one | UINT64_C(1) << other;
				memcpy(bytes, word, sizeof bytes);
				ck_assert_int_eq(cnode_format(&t, "~b", bytes, sizeof bytes), 0);
				ck_assert_msg(cnode_term_hash(t) != cnode_term_hash(first), "%u: %u %u", in, one, other);
				cnode_term_drop(t);
			}
	cnode_term_drop(first);
}
END_TEST

START_TEST(tells_equal_from_exactly_equal)
{
	static const struct {
		const char *a, *b;
		int order;
		bool equal;
	} pair[] = {
		{ "1", "1.0", 0, false },
		{ "{1,[2]}", "{1,[2.0]}", 0, false },
		{ "#{a=>1}", "#{a=>1.0}", 0, false },
		{ "#{1=>a}", "#{1.0=>a}", -1, false },
		{ "#{1=>a,b=>c}", "#{b=>c,1=>a}", 0, true },
		{ "#{{1,#{x=>1}}=>a}", "#{{1,#{x=>1.0}}=>a}", -1, false },
		{ "0.0", "-0.0", 0, false },
		{ "9007199254740993", "9007199254740992.0", 1, false },
		{ "9007199254740992", "9007199254740992.0", 0, false },
		{ "-9007199254740993", "-9007199254740992.0", -1, false },
		{ "18446744073709551616", "18446744073709551616.0", 0, false },
		{ "18446744073709551617", "18446744073709551616.0", 1, false },
		{ "36893488147419103231", "36893488147419103232.0", -1, false },
		{ "36893488147419103233", "36893488147419103232.0", 1, false },
		{ "36893488147419103232", "36893488147419103232.0", 0, false },
		{ "-36893488147419103232", "-36893488147419103232.0", 0, false },
		{ "1", "0.5", 1, false },
		{ "0", "-0.5", 1, false },
		{ "0", "-0.0", 0, false },
		{ "-1", "-0.5", -1, false },
		{ "16#1000000000000000000000000000000000000000000000000000000000000000000", "1.0e20", 1, false },
		{ "[1,2,3]", "[1,2|3]", 1, false },
		{ "[1,2]", "[1,2|3]", 1, false },
		{ "\"abc\"", "[97,98,99]", 0, true },
		{ "\"abc\"", "[97,98,99,100.5]", -1, false },
		{ "\"ab\"", "[97|b]", 1, false },
		{ "<<1,2>>", "<<1,2:8>>", 0, true },
		{ "<<1,2>>", "<<1,2:7>>", -1, false },
		{ "<<>>", "<<0:1>>", -1, false },
	};
	for (size_t i = 0; i < CN_ARRAY_SIZE(pair); i++) {
		cnode_term a = parsed(pair[i].a), b = parsed(pair[i].b);
		ck_assert_msg(cnode_term_compare(a, b) == pair[i].order, "%s against %s", pair[i].a,
			      pair[i].b);
		ck_assert_msg(cnode_term_compare(b, a) == -pair[i].order, "%s against %s",
			      pair[i].b, pair[i].a);
		ck_assert_msg(cnode_term_equal(a, b) == pair[i].equal, "%s, %s", pair[i].a,
			      pair[i].b);
		ck_assert_msg((cnode_term_hash(a) == cnode_term_hash(b)) == pair[i].equal, "hashes of %s, %s", pair[i].a,
			      pair[i].b);
		cnode_term_drop(a);
		cnode_term_drop(b);
	}
}
END_TEST

START_TEST(equal_terms_have_the_same_hash_however_they_were_sent)
{
	static const struct {
		const unsigned char *a;
		size_t a_size;
		const unsigned char *b;
		size_t b_size;
	} pair[] = {
		{ BYTES("k\0\4name"), BYTES("l\0\0\0\4anaaamaej") },
		{ BYTES("k\0\2ab"), BYTES("l\0\0\0\1aal\0\0\0\1abj") },
		{ BYTES("k\0\2ab"), BYTES("l\0\0\0\1aak\0\1b") },
		{ BYTES("j"), BYTES("k\0\0") },
		{ BYTES("a\5"), BYTES("n\1\0\5") },
		{ BYTES("b\377\377\377\377"), BYTES("n\1\1\1") },
		{ BYTES("w\2\303\251"), BYTES("s\1\351") },
		{ BYTES("h\2k\0\1aw\1a"), BYTES("i\0\0\0\2l\0\0\0\1aajs\1a") },
		{ BYTES("t\0\0\0\2a\1w\1aw\1ba\2"), BYTES("t\0\0\0\2w\1ba\2a\1w\1a") },
		{ BYTES("m\0\0\0\1\1"), BYTES("M\0\0\0\1\10\1") },
	};
	for (size_t i = 0; i < CN_ARRAY_SIZE(pair); i++) {
		cnode_term a = good_term(pair[i].a, pair[i].a_size), b = good_term(pair[i].b, pair[i].b_size);
		ck_assert_msg(cnode_term_equal(a, b), "pair %zu", i);
		ck_assert_msg(cnode_term_hash(a) == cnode_term_hash(b), "pair %zu", i);
		cnode_term_drop(a);
		cnode_term_drop(b);
	}
}
END_TEST

START_TEST(orders_what_erl_25_does_not_have)
{
	/* Native records stand between tuples and maps: by size, exported or not, names, values. */
	static const struct {
		const unsigned char *bytes;
		size_t size;
	} in_order[] = {
		{ BYTES("h\1j") },
		{ BYTES("C\0\0\0\0\0w\1mw\1r") },
		{ BYTES("C\0\0\0\1\0w\1mw\1rw\1aa\1") },
		{ BYTES("C\0\0\0\1\0w\1mw\1rw\1aa\2") },
		{ BYTES("C\0\0\0\1\0w\1mw\1rw\1bb\0\0\0\1") },
		{ BYTES("C\0\0\0\1\0w\1mw\1sw\1aa\1") },
		{ BYTES("C\0\0\0\1\1w\1mw\1rw\1aa\1") },
		{ BYTES("t\0\0\0\0") },
	};
	cnode_term none = { 0 };
	for (size_t i = 0; i < CN_ARRAY_SIZE(in_order); i++) {
		cnode_term a = good_term(in_order[i].bytes, in_order[i].size);
		use_term(a);
		for (size_t n = 0; n < CN_ARRAY_SIZE(in_order); n++) {
			cnode_term b = good_term(in_order[n].bytes, in_order[n].size);
			ck_assert_int_eq(cnode_term_compare(a, b), (i > n) - (i < n));
			cnode_term_drop(b);
		}
		ck_assert_int_eq(cnode_term_compare(none, a), -1);
		ck_assert_int_eq(cnode_term_compare(a, none), 1);
		ck_assert(!cnode_term_equal(a, none));
		cnode_term_drop(a);
	}
	ck_assert_int_eq(cnode_term_compare(none, none), 0);
	ck_assert(cnode_term_equal(none, none));
}
END_TEST

START_TEST(walks_the_deepest_terms_a_config_allows)
{
	/*
	 * Maps with a second key, and lists in differing parts: what compares and prints by
	 * recursion.
	 */
	for (int kind = 0; kind < 2; kind++) {
		size_t size = 0;
		unsigned char *bytes = malloc(CN_TERM_DEPTH_MAX * 16 + 1);
		const char *head = kind ? "l\0\0\0\1" : "t\0\0\0\2a\1";
		size_t head_size = kind ? 5 : 7;
		for (int i = 0; i < CN_TERM_DEPTH_MAX; i++, size += head_size)
			memcpy(bytes + size, head, head_size);
		bytes[size++] = CN_NIL;
		for (int i = 0; i < CN_TERM_DEPTH_MAX; i++) {
			memcpy(bytes + size, kind ? "l\0\0\0\1a\1j" : "a\2a\3", kind ? 8 : 4);
			size += kind ? 8 : 4;
		}
		struct cn_term_limits limits = { .depth = CN_TERM_DEPTH_MAX };
		struct cn_verify v;
		cnode_term t[2];
		for (int n = 0; n < 2; n++) {
			struct cn_blob *blob = cn_blob_new(size);
			memcpy(blob->bytes, bytes, size);
			if (n && !kind)
				blob->bytes[size - 1] = 4;
			cn_verify_init(&v, &limits, 0);
			ck_assert_int_eq(cn_verify_all(&v, blob->bytes, size), 0);
			t[n] = cn_term_of_verified(blob, 0, &v);
		}
		ck_assert_int_eq(cnode_term_compare(t[0], t[1]), kind ? 0 : -1);
		const uint8_t *plain;
		size_t plain_size;
		if (kind) {
			/*
			 * The same in one part each: compared in step where they are alike, by
			 * recursion where not.
			 */
			ck_assert_int_eq(cn_term_plain(t[0], &plain, &plain_size), 0);
			cn_verify_init(&v, &limits, 0);
			ck_assert_int_eq(cn_verify_all(&v, plain, plain_size), 0);
			ck_assert_int_eq(
				cnode_term_compare(t[0], cn_term_borrowed(plain, NULL, &v)), 0);
		}
		ck_assert_uint_gt(cnode_term_print(t[0], NULL, 0), CN_TERM_DEPTH_MAX);
		cnode_term_drop(t[0]);
		cnode_term_drop(t[1]);
		free(bytes);
	}
}
END_TEST

static void *no_malloc(size_t size)
{
	(void)size;
	return NULL;
}

START_TEST(orders_large_maps_without_memory)
{
	static const cnode_allocator none = { no_malloc, realloc, free };
	cnode_term a = parsed("#{1=>a,2=>b,3=>c,4=>d,5=>e,6=>f}"),
		   b = parsed("#{6=>f,1=>a,3=>c,2=>b,5=>e,4=>d}");
	cnode_term c = parsed("#{6=>f,1=>a,3=>x,2=>b,5=>a,4=>d}"),
		   d = parsed("#{6=>f,1=>a,7=>x,2=>b,5=>a,4=>d}");
	cnode_allocator_set(&none);
	bool equal = cnode_term_equal(a, b);
	int ac = cnode_term_compare(a, c), ad = cnode_term_compare(a, d),
	    dc = cnode_term_compare(d, c);
	cnode_allocator_set(NULL);
	ck_assert(equal);
	ck_assert_int_eq(ac, -1);
	ck_assert_int_eq(ad, -1);
	ck_assert_int_eq(dc, 1);
	cnode_term_drop(a);
	cnode_term_drop(b);
	cnode_term_drop(c);
	cnode_term_drop(d);
}
END_TEST

TCase *order_case(void)
{
	TCase *c = tcase_create("order");
	tap_one_thread(c);
	tcase_add_test(c, orders_terms_as_erlang_does);
	tcase_add_test(c, equal_terms_have_the_same_hash_and_others_hardly_ever);
	tcase_add_test(c, no_small_change_of_one_word_is_taken_back_by_the_next);
	tcase_add_test(c, tells_equal_from_exactly_equal);
	tcase_add_test(c, equal_terms_have_the_same_hash_however_they_were_sent);
	tcase_add_test(c, orders_what_erl_25_does_not_have);
	tcase_add_test(c, walks_the_deepest_terms_a_config_allows);
	tcase_add_test(c, orders_large_maps_without_memory);
	return c;
}
