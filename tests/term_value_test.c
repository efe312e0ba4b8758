/* SPDX-License-Identifier: Apache-2.0 */
/* Values: order, text, cursor and scan. */
#include "tests/term_test.h"

#include <limits.h>
#include <locale.h>
#include <math.h>

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
			bool same = cn_term_hash(t[i], 7) == cn_term_hash(t[n], 7);
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
	cnode_term list;
	ck_assert_int_eq(cnode_parse("[1,2,{a,<<1:3>>},#{k => 1.5, l => \"xy\"}|t]", &list, NULL), 0);
	ck_assert_uint_ne(cn_term_hash(list, 1), cn_term_hash(list, 2));
	cnode_term_drop(list);
	for (size_t i = 0; i < CORPUS_SIZE; i++)
		cnode_term_drop(t[i]);
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

/* ---- text ---- */

START_TEST(prints_what_io_lib_prints)
{
	size_t compared = 0;
	for (size_t i = 0; i < CORPUS_SIZE; i++) {
		cnode_term t = good_term(corpus[i].bytes, corpus[i].size);
		char *text = cnode_term_text(t);
		if (corpus[i].text) {
			ck_assert_msg(strcmp(text, corpus[i].text) == 0, "%s: %s, not %s",
				      corpus[i].name, text, corpus[i].text);
			compared++;
		}
		cnode_free(text);
		cnode_term_drop(t);
	}
	ck_assert_uint_gt(compared, 350);
}
END_TEST

START_TEST(reads_back_what_it_prints)
{
	size_t read = 0;
	for (size_t i = 0; i < CORPUS_SIZE; i++) {
		if (!corpus[i].text)
			continue;
		cnode_term t = good_term(corpus[i].bytes, corpus[i].size), back;
		int rc = cnode_parse(corpus[i].text, &back, NULL);
		/*
		 * A bitstring of no bytes prints as <<>>, a float of a peer as shortest text: all
		 * can be read.
		 */
		ck_assert_msg(rc == 0, "%s: %d", corpus[i].text, rc);
		ck_assert_msg(cnode_term_equal(t, back), "%s", corpus[i].name);
		cnode_term_drop(t);
		cnode_term_drop(back);
		read++;
	}
	ck_assert_uint_gt(read, 350);
}
END_TEST

START_TEST(prints_what_has_no_text_in_erlang)
{
	cnode_term t = good_term(
		BYTES("h\7Xw\3a@b\0\0\0\7\0\0\0\2\0\0\0\5"
		      "Z\0\3w\3a@b\0\0\0\5\0\0\0\1\0\0\0\2\0\0\0\3"
		      "xw\3a@b\0\0\0\1\0\0\0\0\0\0\0\5"
		      "qw\5listsw\3mapa\2"
		      "p\0\0\0\xff\0"
		      "0123456789abcdef"
		      "\0\0\0\0\0\0\0\0w\3moda\7b\xff\xff\xff\xf9Xw\3a@b\0\0\0\1\0\0\0\1\0\0\0\1"
		      "C\0\0\0\2\1w\1mw\3Recw\1aw\1ba\1j"
		      "Xw\4a\0@b\0\0\0\7\0\0\0\2\0\0\0\5"));
	ck_assert_term(
		t,
		"{<a@b.7.2>,#Ref<a@b.3.2.1>,#Port<a@b.4294967296>,fun lists:map/2,#Fun<mod.7.-7>,"
		"#m:'Rec'{a = 1,b = []},<a\\000@b.7.2>}");
	cnode_term_drop(t);
}
END_TEST

START_TEST(prints_into_too_little_room_as_snprintf_does)
{
	cnode_term t = parsed("{abc,[1,2,3],\"x\"}");
	const char *all = "{abc,[1,2,3],\"x\"}";
	char text[64];
	for (size_t room = 0; room < 30; room++) {
		memset(text, '#', sizeof text);
		ck_assert_uint_eq(cnode_term_print(t, room ? text : NULL, room), strlen(all));
		if (room) {
			size_t kept = room - 1 < strlen(all) ? room - 1 : strlen(all);
			ck_assert_uint_eq(strlen(text), kept);
			ck_assert(strncmp(text, all, kept) == 0);
		}
		ck_assert_int_eq(text[room ? room : 0], '#');
	}
	cnode_term_drop(t);
	cnode_term none = { 0 };
	ck_assert_uint_eq(cnode_term_print(none, text, sizeof text), 0);
	ck_assert_str_eq(text, "");
}
END_TEST

START_TEST(prints_the_beginning_of_anything_for_the_log)
{
	char all[4096], brief[4096];
	for (size_t i = 0; i < CORPUS_SIZE; i++) {
		cnode_term t = good_term(corpus[i].bytes, corpus[i].size);
		size_t length = cnode_term_print(t, all, sizeof all);
		for (size_t room = 8; room < 120; room += 7) {
			memset(brief, '#', sizeof brief);
			size_t n = cn_term_brief(t, brief, room);
			ck_assert_uint_eq(strlen(brief), n);
			ck_assert_uint_lt(n, room);
			ck_assert_int_eq(brief[room], '#');
			if (length < room) {
				ck_assert_str_eq(brief, all);
			} else {
				ck_assert_uint_ge(n, room - 4);
				ck_assert_str_eq(brief + n - 3, "...");
				/*
				 * A list or binary that is text only at its beginning may be shown
				 * as that.
				 */
				if (brief[0] == all[0] && all[0] != '<' && all[0] != '[' &&
				    !strchr(brief, '"') && !strstr(brief, "<<"))
					ck_assert_msg(strncmp(brief, all, n - 3) == 0, "%s: %s",
						      corpus[i].name, brief);
			}
		}
		cnode_term_drop(t);
	}
	/* 32 MB of each that would take time. */
	size_t size = 32 << 20;
	unsigned char *bytes = malloc(size);
	memset(bytes, 'a', size);
	static const struct {
		const char *head;
		size_t head_size;
		const char *text;
	} large[] = {
		{ "m\1\xff\xff\xfb", 5, "<<\"aaaaaaaaaaaaaaaaaaaaaaaaa..." },
		{ "M\1\xff\xff\xfa\3", 6, "<<\"aaaaaaaaaaaaaaaaaaaaaaaaa..." },
		{ "o\1\xff\xff\xfa\0", 6, "16#6161616161616161616161616..." },
	};
	for (size_t i = 0; i < CN_ARRAY_SIZE(large); i++) {
		memcpy(bytes, large[i].head, large[i].head_size);
		struct cn_verify v;
		cn_verify_init(&v, NULL, 0);
		ck_assert_int_eq(cn_verify_all(&v, bytes, size), 0);
		ck_assert_uint_eq(v.offset, size);
		uint64_t before = cn_now();
		for (int n = 0; n < 100; n++)
			cn_term_brief(cn_term_borrowed(bytes, NULL, &v), brief, 32);
		ck_assert_uint_lt(cn_now() - before, 500 * CN_NS_PER_MS);
		ck_assert_str_eq(brief, large[i].text);
	}
	cnode_term none = { 0 };
	ck_assert_uint_eq(cn_term_brief(none, brief, 32), 0);
	ck_assert_uint_eq(cn_term_brief(none, brief, 1), 0);
	free(bytes);
}
END_TEST

START_TEST(prints_huge_integers_in_linear_time)
{
	/* 1 MB of bignum: decimal would take hours. */
	size_t size = 1 << 20;
	unsigned char *bytes = malloc(6 + size);
	memset(bytes, 0xab, 6 + size);
	bytes[0] = CN_LARGE_BIG;
	cn_store_u32(bytes + 1, (uint32_t)size);
	bytes[5] = 1;
	cnode_term t = good_term(bytes, 6 + size), back;
	char *text = cnode_term_text(t);
	ck_assert_uint_eq(strlen(text), 4 + 2 * size);
	ck_assert(strncmp(text, "-16#ABAB", 8) == 0);
	/* No BEAM node holds it. */
	ck_assert_int_eq(cnode_parse(text, &back, NULL), CNODE_EBADARG);
	cnode_free(text);
	cnode_term_drop(t);
	/* The largest that is printed in decimal, and one more. */
	for (uint32_t n = 4096; n <= 4097; n++) {
		cn_store_u32(bytes + 1, n);
		t = good_term(bytes, 6 + n);
		text = cnode_term_text(t);
		ck_assert_int_eq(strncmp(text, "-16#", 4) == 0, n > 4096);
		ck_assert_int_eq(cnode_parse(text, &back, NULL), 0);
		ck_assert(cnode_term_equal(t, back));
		cnode_term_drop(back);
		cnode_free(text);
		cnode_term_drop(t);
	}
	free(bytes);
}
END_TEST

START_TEST(floats_do_not_follow_the_locale)
{
	static const char *const locales[] = { "de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8",
					       "C.UTF-8" };
	for (size_t i = 0; i < CN_ARRAY_SIZE(locales) && !setlocale(LC_ALL, locales[i]); i++)
		;
	cnode_term t = parsed("[1.5,-2.5e-7,0.1]");
	ck_assert_term(t, "[1.5,-2.5e-7,0.1]");
	double d;
	ck_assert_int_eq(cnode_scan(t, "[~f,_,0.1]", &d), 0);
	ck_assert(d == 1.5);
	cnode_term_drop(t);
	cnode_term_drop(good_term(BYTES("c1.50000000000000000000e+00\0\0\0\0\0")));
}
END_TEST

START_TEST(refuses_text_that_is_no_term)
{
	static const struct {
		const char *text;
		size_t at;
	} bad[] = {
		{ "", 0 },          { "  ", 2 },        { "{", 1 },           { "{1", 2 },         { "{1,", 3 },
		{ "{1,}", 3 },      { "{,1}", 1 },      { "[1,2", 4 },        { "[|1]", 1 },       { "[1|2,3]", 4 },
		{ "[1|2|3]", 4 },   { "#{a}", 3 },      { "#{a=>}", 5 },      { "#{a=>1,}", 8 - 1 }, { "#{a=>1 b=>2}", 7 },
		{ "Variable", 0 },  { "_", 0 },         { "1 2", 2 },         { "a b", 2 },        { "'abc", 4 },
		{ "\"abc", 4 },     { "<<1", 3 },       { "<<a>>", 2 },       { "<<1,>>", 4 },     { "<<256:65>>", 2 },
		{ "<<\"\\x{100}\">>", 2 }, { "37#1", 3 }, { "1#1", 2 },       { "16#", 3 },        { "16#g", 3 },
		{ "1.0e", 0 },      { "1.0e999", 0 },   { "-", 1 },           { "-a", 1 },         { "fun a", 5 },
		{ "fun a:b", 7 },   { "fun a:b/256", 11 }, { "~q", 0 },       { "{~s}", 1 },       { "a.b", 2 },
		{ "\"\\x{d800}\"", 2 }, { "\"\\x1\"", 2 }, { "\"\xff\"", 1 }, { "'\xc3'", 1 },     { "<<1:>>", 4 },
		{ "]", 0 },         { ")", 0 },         { "#", 0 },           { "1..", 2 },        { "#{1=>2,1=>3}", 12 },
		{ "<0.1.0>", 0 },   { "#Ref<0.1>", 0 }, { "$", 1 },           { "1_", 1 },         { "1__0", 1 },
	};
	for (size_t i = 0; i < CN_ARRAY_SIZE(bad); i++) {
		cnode_term t;
		size_t at = 999;
		int rc = cnode_parse(bad[i].text, &t, &at);
		ck_assert_msg(rc == CNODE_EBADARG, "%s: %d", bad[i].text, rc);
		ck_assert_msg(at == bad[i].at, "%s: at %zu, not %zu", bad[i].text, at, bad[i].at);
		ck_assert_int_eq(cnode_parse(bad[i].text, &t, NULL), CNODE_EBADARG);
	}
}
END_TEST

START_TEST(reads_all_of_erlangs_literals)
{
	static const struct {
		const char *text, *printed;
	} good[] = {
		{ "  {add , 5 } . ", "{add,5}" },
		{ "% comment\n[1, % one\n 2]", "[1,2]" },
		{ "16#fF", "255" }, { "2#101", "5" }, { "36#zZ", "1295" }, { "1_000_000", "1000000" }, { "-16#8000000000000000", "-9223372036854775808" },
		{ "-16#8000000000000001", "-9223372036854775809" }, { "16#ffffffffffffffff", "18446744073709551615" },
		{ "16#10000000000000000", "18446744073709551616" }, { "10#99999999999999999999", "99999999999999999999" },
		{ "3#202122211201122202011202112201012", "4253876871307799" },
		{ "$a", "97" }, { "$\\n", "10" }, { "$\xc3\xa9", "233" }, { "-$a", "-97" }, { "$ ", "32" },
		{ "\"\\101\\x41\\x{1f600}\\^A\\s\\d\\0\"", "[65,65,128512,1,32,127,0]" },
		{ "'\\x{e9}t\xc3\xa9'", "\xc3\xa9t\xc3\xa9" }, { "'it\\'s'", "'it\\'s'" }, { "''", "''" }, { "a@B_1", "a@B_1" },
		{ "\xc3\xa9t\xc3\xa9", "\xc3\xa9t\xc3\xa9" }, { "'when'", "'when'" }, { "when", "'when'" }, { "function", "function" }, { "'fun'", "'fun'" },
		{ "<<>>", "<<>>" }, { "<<\"ab\",0,1:4,15:4>>", "<<97,98,0,31>>" }, { "<<1:1,0:1>>", "<<2:2>>" }, { "<<257>>", "<<1>>" },
		{ "<<-128>>", "<<128>>" }, { "<<-128:16>>", "<<255,128>>" }, { "<<\"\xc3\xa9\">>", "<<\"\xc3\xa9\">>" }, { "<<\"\",1>>", "<<1>>" },
		{ "<<\"\xc3\xa9\"/utf8>>", "<<\"\xc3\xa9\"/utf8>>" }, { "<<18446744073709551615:64>>", "<<\"ÿÿÿÿÿÿÿÿ\">>" },
		{ "<<5:0>>", "<<>>" }, { "#{a=>1,b:=2}", "#{a => 1,b => 2}" }, { "[a,b|[c]]", "[a,b,c]" }, { "[a|[]]", "[a]" }, { "[\"ab\"|c]", "[\"ab\"|c]" },
		{ "fun 'A':'b c'/0", "fun 'A':'b c'/0" }, { "1.0e+3", "1.0e3" }, { "1.5E2", "150.0" }, { "{}", "{}" }, { "[[[]]]", "[[[]]]" },
	};
	for (size_t i = 0; i < CN_ARRAY_SIZE(good); i++) {
		cnode_term t = parsed(good[i].text);
		ck_assert_term(t, good[i].printed);
		cnode_term_drop(t);
	}
}
END_TEST

START_TEST(reads_deep_text_without_recursion)
{
	size_t n = 1000000;
	char *text = malloc(n + 1);
	cnode_term t;
	memset(text, '[', n);
	text[n] = 0;
	ck_assert_int_eq(cnode_parse(text, &t, NULL), CNODE_EBADARG);
	for (size_t depth = CN_TERM_DEPTH; depth <= CN_TERM_DEPTH + 1; depth++) {
		memset(text, '{', depth);
		memset(text + depth, '}', depth);
		text[2 * depth] = 0;
		/* The innermost one is empty: it is no level. */
		ck_assert_int_eq(cnode_parse(text, &t, NULL), 0);
		cnode_term_drop(t);
		if (depth > CN_TERM_DEPTH)
			break;
	}
	memset(text, '{', CN_TERM_DEPTH + 2);
	memset(text + CN_TERM_DEPTH + 2, '}', CN_TERM_DEPTH + 2);
	text[2 * (CN_TERM_DEPTH + 2)] = 0;
	ck_assert_int_eq(cnode_parse(text, &t, NULL), CNODE_EBADARG);
	free(text);
}
END_TEST

/* ---- cursor ---- */

START_TEST(reads_by_cursor)
{
	cnode_term t = parsed("{ok,-5,18446744073709551615,2.5,7,<<1,2>>,\"ab\",[x|y],#{k=>v},[]}");
	cnode_reader r = cnode_read(t);
	size_t size;
	ck_assert_int_eq(cnode_read_type(&r), CNODE_TYPE_TUPLE);
	ck_assert_uint_eq(cnode_read_tuple(&r), 10);
	ck_assert(cnode_read_is_atom(&r, "ok"));
	ck_assert_int_eq(cnode_read_int64(&r), -5);
	ck_assert(cnode_read_uint64(&r) == UINT64_MAX);
	ck_assert(cnode_read_double(&r) == 2.5);
	ck_assert(cnode_read_double(&r) == 7.0);
	ck_assert_mem_eq(cnode_read_binary(&r, &size), "\1\2", 2);
	ck_assert_uint_eq(size, 2);
	ck_assert_int_eq(cnode_read_type(&r), CNODE_TYPE_LIST);
	ck_assert_uint_eq(cnode_read_list(&r), 2);
	ck_assert_int_eq(cnode_read_int64(&r), 'a');
	cnode_term b = cnode_read_term(&r);
	ck_assert_term(b, "98");
	ck_assert_int_eq(cnode_read_type(&r), CNODE_TYPE_NIL);
	ck_assert_uint_eq(cnode_read_list(&r), 0);
	ck_assert_uint_eq(cnode_read_list(&r), 1);
	ck_assert_mem_eq(cnode_read_atom(&r, &size), "x", 1);
	ck_assert(!cnode_read_is_atom(&r, "x"));
	ck_assert_uint_eq(cnode_read_map(&r), 1);
	ck_assert(cnode_read_is_atom(&r, "k") && cnode_read_is_atom(&r, "v"));
	ck_assert_uint_eq(cnode_read_list(&r), 0);
	ck_assert_int_eq(cnode_read_type(&r), CNODE_TYPE_NONE);
	ck_assert_int_eq(r.error, 0);
	cnode_read_int64(&r);
	ck_assert_int_eq(r.error, CNODE_EBADARG);
	cnode_term_drop(t);
}
END_TEST

START_TEST(stays_failed_after_the_first_mismatch)
{
	cnode_term t = parsed("{a,1,9223372036854775808,[],\"x\"}");
	cnode_reader r = cnode_read(t);
	size_t size = 1;
	cnode_read_tuple(&r);
	ck_assert_int_eq(cnode_read_int64(&r), 0);
	ck_assert_int_eq(r.error, CNODE_EBADARG);
	ck_assert_ptr_null(cnode_read_atom(&r, &size));
	ck_assert_uint_eq(size, 0);
	ck_assert(!cnode_read_is_atom(&r, "a"));
	ck_assert_int_eq(cnode_read_type(&r), CNODE_TYPE_NONE);
	ck_assert(cnode_pid_is_none(cnode_read_pid(&r)));
	ck_assert_int_eq(cnode_term_type(cnode_read_term(&r)), CNODE_TYPE_NONE);

	r = cnode_read(t);
	cnode_read_tuple(&r);
	cnode_read_term(&r);
	ck_assert_ptr_null(cnode_read_binary(&r, &size));
	ck_assert_int_eq(r.error, CNODE_EBADARG);
	r = cnode_read(t);
	cnode_read_tuple(&r);
	cnode_read_term(&r);
	cnode_read_term(&r);
	cnode_reader big = r;
	ck_assert_int_eq(cnode_read_int64(&big), 0);
	ck_assert_int_eq(big.error, CNODE_EBADARG);
	ck_assert(cnode_read_uint64(&r) == UINT64_C(9223372036854775808));
	ck_assert_int_eq(r.error, 0);
	ck_assert_uint_eq(cnode_read_map(&r), 0);
	ck_assert_int_eq(r.error, CNODE_EBADARG);
	cnode_term none = { 0 };
	r = cnode_read(none);
	ck_assert_uint_eq(cnode_read_tuple(&r), 0);
	ck_assert_int_eq(r.error, CNODE_EBADARG);
	cnode_term_drop(t);
}
END_TEST

START_TEST(reads_lists_in_parts)
{
	cnode_term t = good_term(BYTES("h\2l\0\0\0\1a\1l\0\0\0\0l\0\0\0\2a\2a\3k\0\2\4\5w\3end"));
	cnode_reader r = cnode_read(t);
	int64_t sum = 0;
	cnode_read_tuple(&r);
	for (size_t n; (n = cnode_read_list(&r)) > 0;)
		while (n--)
			sum = sum * 10 + cnode_read_int64(&r);
	ck_assert_int_eq(sum, 12345);
	ck_assert(cnode_read_is_atom(&r, "end"));
	ck_assert_int_eq(r.error, 0);
	int a, b, c, d, e;
	ck_assert_int_eq(cnode_scan(t, "{[~i,~i,~i,~i,~i],end}", &a, &b, &c, &d, &e), 0);
	ck_assert_int_eq(a * 10000 + b * 1000 + c * 100 + d * 10 + e, 12345);
	cnode_term_drop(t);
}
END_TEST

START_TEST(reads_numbers_at_their_limits)
{
	static const struct {
		const char *text;
		bool i64, u64, i32;
	} n[] = {
		{ "0", true, true, true }, { "2147483647", true, true, true }, { "2147483648", true, true, false },
		{ "-2147483648", true, false, true }, { "-2147483649", true, false, false }, { "9223372036854775807", true, true, false },
		{ "9223372036854775808", false, true, false }, { "-9223372036854775808", true, false, false },
		{ "-9223372036854775809", false, false, false }, { "18446744073709551615", false, true, false },
		{ "18446744073709551616", false, false, false },
	};
	for (size_t i = 0; i < CN_ARRAY_SIZE(n); i++) {
		cnode_term t = parsed(n[i].text);
		int64_t q = 0;
		uint64_t u = 0;
		int small;
		long l;
		char text[32];
		ck_assert_int_eq(cnode_scan(t, "~q", &q), n[i].i64 ? 0 : CNODE_EBADARG);
		ck_assert_int_eq(cnode_scan(t, "~Q", &u), n[i].u64 ? 0 : CNODE_EBADARG);
		ck_assert_int_eq(cnode_scan(t, "~i", &small), n[i].i32 ? 0 : CNODE_EBADARG);
		ck_assert_int_eq(cnode_scan(t, "~l", &l), n[i].i64 ? 0 : CNODE_EBADARG);
		if (n[i].i64) {
			snprintf(text, sizeof text, "%lld", (long long)q);
			ck_assert_str_eq(text, n[i].text);
		} else if (n[i].u64) {
			snprintf(text, sizeof text, "%llu", (unsigned long long)u);
			ck_assert_str_eq(text, n[i].text);
		}
		cnode_term_drop(t);
	}
	double d;
	cnode_term t = parsed(
		"{36893488147419103233,-5,16#1000000000000000000000000000000000000000000000000000000000000000000}");
	ck_assert_int_eq(cnode_scan(t, "{~f,_,_}", &d), 0);
	ck_assert(d == 36893488147419103232.0);
	ck_assert_int_eq(cnode_scan(t, "{_,~f,_}", &d), 0);
	ck_assert(d == -5.0);
	ck_assert_int_eq(cnode_scan(t, "{_,_,~f}", &d), 0);
	ck_assert(d == ldexp(1, 264));
	cnode_term_drop(t);
	/* 2^53 + 1 and its like round as one conversion would. */
	t = parsed(
		"{73786976294838214657,73786976294838222849,73786976294838222848,73786976294838214656}");
	double a, b, c, e;
	ck_assert_int_eq(cnode_scan(t, "{~f,~f,~f,~f}", &a, &b, &c, &e), 0);
	ck_assert(a == 73786976294838214657.0 && b == 73786976294838222849.0 &&
		  c == 73786976294838222848.0 && e == 73786976294838214656.0);
	cnode_term_drop(t);
	/* Larger than a double. */
	unsigned char big[3 + 200] = { CN_SMALL_BIG, 200, 0 };
	big[202] = 1;
	t = good_term(big, sizeof big);
	ck_assert_int_eq(cnode_scan(t, "~f", &d), CNODE_EBADARG);
	cnode_term_drop(t);
}
END_TEST

START_TEST(borrowed_terms_give_what_needs_no_memory)
{
	static const unsigned char bytes[] = "h\3l\0\0\0\2a\1a\2jk\0\2\3\4w\2ok";
	struct cn_verify v;
	cn_verify_init(&v, NULL, 0);
	ck_assert_int_eq(cn_verify_all(&v, bytes, sizeof bytes - 1), 0);
	cnode_term t = cn_term_borrowed(bytes, NULL, &v), rest;
	const char *text;
	size_t size;
	ck_assert_int_eq(cnode_scan(t, "{_,~s,ok}", &text, &size), 0);
	ck_assert_mem_eq(text, "\3\4", 2);
	ck_assert_int_eq(cnode_scan(t, "{~s,_,_}", &text, &size), CNODE_ESTALE);
	ck_assert_int_eq(cnode_scan(t, "{[1|~t],_,_}", &rest), CNODE_ESTALE);
	ck_assert_int_eq(cnode_scan(t, "{[1|_],[3|_],_}"), 0);
	cnode_term kept;
	ck_assert_int_eq(cnode_term_keep(t, &kept), 0);
	ck_assert_int_eq(cnode_scan(kept, "{[1|~t],_,_}", &rest), 0);
	ck_assert_int_eq(cnode_scan(rest, "[2]"), 0);
	ck_assert_int_eq(cnode_scan(kept, "{_,[3|~t],_}", &rest), 0);
	ck_assert_term(rest, "[4]");
	use_term(rest);
	cnode_term_drop(kept);
}
END_TEST

START_TEST(gives_the_text_of_atoms)
{
	size_t size;
	cnode_term none = { 0 }, t = cn_term_static("w\2ok", 4);
	ck_assert_mem_eq(cn_term_atom(t, &size), "ok", 2);
	ck_assert_uint_eq(size, 2);
	ck_assert_ptr_null(cn_term_atom(none, &size));
	ck_assert_ptr_null(cn_term_atom(cn_term_static("j", 1), &size));
	ck_assert(!cn_term_is_atom(none, ""));
	t = cn_term_static("d\0\2ok", 5);
	ck_assert_mem_eq(cn_term_atom(t, &size), "ok", 2);
	ck_assert(cn_term_is_atom(t, "ok"));
	t = cn_term_static("s\1\xf8", 3);
	ck_assert_ptr_null(cn_term_atom(t, &size));
	ck_assert(cn_term_is_atom(t, "\xc3\xb8"));
	cnode_atom atom;
	ck_assert_int_eq(cnode_scan(t, "~a", &atom), 0);
	ck_assert_str_eq(atom.text, "\xc3\xb8");
}
END_TEST

/* ---- scan ---- */

START_TEST(matches_terms_against_formats)
{
	static const struct {
		const char *term, *format;
		int rc;
	} match[] = {
		{ "{add,5}", "{add,5}", 0 }, { "{add,5}", " { add , 5 } ", 0 }, { "{add,5}", "{add,_}", 0 }, { "{add,5}", "_", 0 },
		{ "{add,5}", "{add,6}", -1 }, { "{add,5}", "{sub,5}", -1 }, { "{add,5}", "{add}", -1 }, { "{add,5}", "{add,5,6}", -1 },
		{ "{add,5}", "[add,5]", -1 }, { "{add,5}", "{add,5.0}", -1 }, { "{add,5.0}", "{add,5}", -1 }, { "{}", "{}", 0 }, { "{}", "{_}", -1 },
		{ "{a}", "{}", -1 }, { "[]", "[]", 0 }, { "[]", "[_]", -1 }, { "[a]", "[]", -1 }, { "[a,b]", "[a,b]", 0 }, { "[a,b]", "[a|[b]]", 0 },
		{ "[a,b]", "[a|_]", 0 }, { "[a,b]", "[a,b|[]]", 0 }, { "[a|b]", "[a|b]", 0 }, { "[a|b]", "[a]", -1 }, { "[a|b]", "[a,b]", -1 },
		{ "[a|b]", "[a|[]]", -1 }, { "[1,2]", "[1,2]", 0 }, { "[1,2]", "[1|[2]]", 0 }, { "[1,2]", "[1,2|[]]", 0 }, { "[1,2]", "[1,2,3]", -1 },
		{ "[1,2,3]", "[1,2]", -1 }, { "[1,2,300]", "[1,2|[300]]", 0 }, { "\"ab\"", "\"ab\"", 0 }, { "\"ab\"", "\"abc\"", -1 },
		{ "\"ab\"", "[97,98]", 0 }, { "[97,98]", "\"ab\"", 0 }, { "<<\"x\">>", "<<\"x\">>", 0 }, { "<<\"x\">>", "<<120>>", 0 }, { "<<\"x\">>", "\"x\"", -1 },
		{ "#{a=>1,b=>2}", "#{}", 0 }, { "#{a=>1,b=>2}", "#{b:=2}", 0 }, { "#{a=>1,b=>2}", "#{b=>2,a:=_}", 0 }, { "#{a=>1}", "#{b:=_}", -1 },
		{ "#{a=>1}", "#{a:=2}", -1 }, { "a", "#{}", -1 }, { "#{<<\"k\">>=>{1}}", "#{<<\"k\">>:={1}}", 0 }, { "#{1=>x}", "#{1.0:=x}", -1 },
		{ "#{1=>x,1.0=>y}", "#{1.0:=y,1:=x}", 0 }, { "#{#{}=>x}", "#{'a b':=x}", -1 }, { "'Hello x'", "'Hello x'", 0 }, { "'when'", "when", 0 },
		{ "-7", "-7", 0 }, { "-7", "7", -1 }, { "3.5", "3.5", 0 }, { "123456789012345678901", "123456789012345678901", 0 }, { "255", "16#ff", 0 },
		{ "fun a:b/1", "fun a:b/1", 0 }, { "97", "$a", 0 }, { "1234567890123456789", "1234567890123456789", 0 }, { "{{a},[b,{c}]}", "{{a},[b,{c}]}", 0 },
		/* wrong formats */
		{ "a", "", CNODE_EFORMAT }, { "a", "a b", CNODE_EFORMAT }, { "a", "A", CNODE_EFORMAT }, { "a", "~k", CNODE_EFORMAT }, { "a", "~", CNODE_EFORMAT },
		{ "{a}", "{a", CNODE_EFORMAT }, { "{a,b}", "{a b}", CNODE_EFORMAT }, { "[a,b]", "[a b]", CNODE_EFORMAT }, { "[a,b]", "[a|_", CNODE_EFORMAT },
		{ "#{a=>1}", "#{_:=1}", CNODE_EFORMAT }, { "#{a=>1}", "#{~a:=1}", CNODE_EFORMAT }, { "#{a=>1}", "#{a}", CNODE_EFORMAT }, { "#{a=>1}", "#{a:=1", CNODE_EFORMAT },
		{ "a", "'a", CNODE_EFORMAT },
	};
	for (size_t i = 0; i < CN_ARRAY_SIZE(match); i++) {
		cnode_term t = parsed(match[i].term);
		int rc = cnode_scan(t, match[i].format);
		ck_assert_msg(rc == match[i].rc, "%s against %s: %d", match[i].term,
			      match[i].format, rc);
		cnode_term_drop(t);
	}
	cnode_term none = { 0 };
	ck_assert_int_eq(cnode_scan(none, "_"), CNODE_EBADARG);
}
END_TEST

START_TEST(stores_what_directives_stand_for)
{
	cnode_term t = parsed("{'$call',[1,2,3],\"text\",<<\"bin\">>,<<0,1>>,2.5,#{k=>[x,y]},[]}");
	cnode_atom atom;
	const char *s, *z, *s2, *empty;
	size_t sn, zn, bn, s2n, en;
	const void *b;
	double f;
	cnode_term list, tail;
	ck_assert_int_eq(cnode_scan(t, "{~a,~s,~s,~z,~b,~f,#{k:=[x|~t]},~s}", &atom, &s, &sn, &s2,
				    &s2n, &z, &zn, &b, &bn, &f, &tail, &empty, &en),
			 0);
	ck_assert_str_eq(atom.text, "$call");
	ck_assert_uint_eq(atom.size, 5);
	ck_assert_uint_eq(sn, 3);
	ck_assert_mem_eq(s, "\1\2\3", 3);
	ck_assert_uint_eq(s2n, 4);
	ck_assert_mem_eq(s2, "text", 4);
	ck_assert_uint_eq(zn, 3);
	ck_assert_mem_eq(z, "bin", 3);
	ck_assert_uint_eq(bn, 2);
	ck_assert(f == 2.5);
	ck_assert_term(tail, "[y]");
	ck_assert_uint_eq(en, 0);
	ck_assert_ptr_nonnull(empty);
	/* Borrowed: text in place, no copy. */
	ck_assert((const unsigned char *)z > t.bytes_ &&
		  (const unsigned char *)z < t.bytes_ + t.size_);

	/* A rest of a list is a term like others: it can be kept, scanned, sent. */
	cnode_term kept;
	int two, three;
	ck_assert_int_eq(cnode_scan(t, "{_,[1|~t],_,_,_,_,_,_}", &list), 0);
	ck_assert_int_eq(cnode_term_keep(list, &kept), 0);
	cnode_term_drop(t);
	ck_assert_int_eq(cnode_scan(kept, "[~i,~i]", &two, &three), 0);
	ck_assert_int_eq(two, 2);
	ck_assert_int_eq(three, 3);
	ck_assert_term(kept, "[2,3]");
	use_term(kept);
	cnode_term element;
	ck_assert_int_eq(cnode_scan(kept, "[_,~t|[]]", &element), 0);
	ck_assert_term(element, "3");
	cnode_term_drop(kept);
}
END_TEST

START_TEST(stores_nothing_on_a_mismatch)
{
	cnode_term t = parsed("{1,two,3}");
	int a = -1, b = -1, c = -1;
	ck_assert_int_eq(cnode_scan(t, "{~i,~i,~i}", &a, &b, &c), CNODE_EBADARG);
	ck_assert_int_eq(cnode_scan(t, "{~i,two,four}", &a), CNODE_EBADARG);
	ck_assert_int_eq(cnode_scan(t, "{~i,two,~i} x", &a, &b), CNODE_EFORMAT);
	ck_assert(a == -1 && b == -1 && c == -1);
	const char *s = "untouched";
	size_t n = 7;
	ck_assert_int_eq(cnode_scan(t, "{_,~s,_}", &s, &n), CNODE_EBADARG);
	ck_assert(n == 7 && strcmp(s, "untouched") == 0);
	cnode_term_drop(t);
	/* Lists that are no text. */
	static const char *const no_text[] = { "[1,256]", "[a]", "[1|2]",   "[-1]",
					       "<<1:1>>", "a",	 "[1,2.0]", "[300|a]" };
	for (size_t i = 0; i < CN_ARRAY_SIZE(no_text); i++) {
		t = parsed(no_text[i]);
		ck_assert_int_eq(cnode_scan(t, "~s", &s, &n), CNODE_EBADARG);
		cnode_term_drop(t);
	}
}
END_TEST

START_TEST(limits_formats)
{
	char format[400] = "[";
	int values[65];
	cnode_term t;
	struct cnode_builder b;
	cn_builder_init(&b);
	cnode_build_list(&b);
	for (int i = 0; i < 65; i++) {
		strcat(format, i ? ",~i" : "~i");
		cnode_build_int64(&b, i);
	}
	strcat(format, "]");
	cnode_build_list_end(&b);
	ck_assert_int_eq(cnode_builder_term(&b, &t), 0);
	ck_assert_int_eq(cnode_scan(t, format, values), CNODE_EFORMAT);
	cnode_term_drop(t);
	/* Nesting of a pattern. */
	for (int depth = 64; depth <= 65; depth++) {
		char deep[200];
		memset(deep, '{', (size_t)depth);
		memset(deep + depth, '}', (size_t)depth);
		deep[2 * depth] = 0;
		t = parsed(deep);
		ck_assert_int_eq(cnode_scan(t, deep), depth > 64 ? CNODE_EFORMAT : 0);
		cnode_term_drop(t);
	}
}
END_TEST

TCase *value_case(void)
{
	TCase *c = tcase_create("value");
	tcase_set_timeout(c, 60);
	tap_one_thread(c);
	tcase_add_test(c, orders_terms_as_erlang_does);
	tcase_add_test(c, equal_terms_have_the_same_hash_and_others_hardly_ever);
	tcase_add_test(c, tells_equal_from_exactly_equal);
	tcase_add_test(c, equal_terms_have_the_same_hash_however_they_were_sent);
	tcase_add_test(c, orders_what_erl_25_does_not_have);
	tcase_add_test(c, walks_the_deepest_terms_a_config_allows);
	tcase_add_test(c, orders_large_maps_without_memory);
	tcase_add_test(c, prints_what_io_lib_prints);
	tcase_add_test(c, reads_back_what_it_prints);
	tcase_add_test(c, prints_what_has_no_text_in_erlang);
	tcase_add_test(c, prints_into_too_little_room_as_snprintf_does);
	tcase_add_test(c, prints_the_beginning_of_anything_for_the_log);
	tcase_add_test(c, prints_huge_integers_in_linear_time);
	tcase_add_test(c, floats_do_not_follow_the_locale);
	tcase_add_test(c, refuses_text_that_is_no_term);
	tcase_add_test(c, reads_all_of_erlangs_literals);
	tcase_add_test(c, reads_deep_text_without_recursion);
	tcase_add_test(c, reads_by_cursor);
	tcase_add_test(c, stays_failed_after_the_first_mismatch);
	tcase_add_test(c, reads_lists_in_parts);
	tcase_add_test(c, reads_numbers_at_their_limits);
	tcase_add_test(c, borrowed_terms_give_what_needs_no_memory);
	tcase_add_test(c, gives_the_text_of_atoms);
	tcase_add_test(c, matches_terms_against_formats);
	tcase_add_test(c, stores_what_directives_stand_for);
	tcase_add_test(c, stores_nothing_on_a_mismatch);
	tcase_add_test(c, limits_formats);
	return c;
}
