/* SPDX-License-Identifier: Apache-2.0 */
/* Terms as text: printed and parsed. */
#include "tests/term_test.h"

#include <locale.h>

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
	cnode_term none = { 0 };
	ck_assert_uint_eq(cn_term_brief(none, brief, 32), 0);
	ck_assert_uint_eq(cn_term_brief(none, brief, 1), 0);
}
END_TEST

/* Of a term of 8 MB, or of four times that. */
static cnode_term large_term[2];
static void brief_often(int mb)
{
	char brief[32];
	for (int n = 0; n < 1000; n++)
		cn_term_brief(large_term[mb == 32], brief, sizeof brief);
}

START_TEST(what_is_left_out_costs_no_time)
{
	static const struct {
		unsigned char head[6];
		size_t head_size;
		const char *text;
	} kinds[] = {
		{ "m\1\xff\xff\xfb", 5, "<<\"aaaaaaaaaaaaaaaaaaaaaaaaa..." },
		{ "M\1\xff\xff\xfa\3", 6, "<<\"aaaaaaaaaaaaaaaaaaaaaaaaa..." },
		{ "o\1\xff\xff\xfa", 6, "16#6161616161616161616161616..." },
	};
	static const size_t size[] = { 8 << 20, 32 << 20 };
	unsigned char *bytes[2];
	char brief[32];
	for (int large = 0; large < 2; large++)
		memset(bytes[large] = malloc(size[large]), 'a', size[large]);
	for (size_t i = 0; i < CN_ARRAY_SIZE(kinds); i++) {
		struct cn_verify v[2];
		for (int large = 0; large < 2; large++) {
			memcpy(bytes[large], kinds[i].head, kinds[i].head_size);
			if (!large)
				memcpy(bytes[large] + 1, "\0\x7f", 2);
			cn_verify_init(&v[large], NULL, 0);
			ck_assert_int_eq(cn_verify_all(&v[large], bytes[large], size[large]), 0);
			ck_assert_uint_eq(v[large].offset, size[large]);
			large_term[large] = cn_term_borrowed(bytes[large], NULL, &v[large]);
		}
		ck_assert_double_lt(tap_growth(brief_often, 8, 2), 2);
		cn_term_brief(large_term[1], brief, sizeof brief);
		ck_assert_str_eq(brief, kinds[i].text);
	}
	free(bytes[0]);
	free(bytes[1]);
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

TCase *text_case(void)
{
	TCase *c = tcase_create("text");
	tap_one_thread(c);
	tcase_add_test(c, prints_what_io_lib_prints);
	tcase_add_test(c, reads_back_what_it_prints);
	tcase_add_test(c, prints_what_has_no_text_in_erlang);
	tcase_add_test(c, prints_into_too_little_room_as_snprintf_does);
	tcase_add_test(c, prints_the_beginning_of_anything_for_the_log);
	tcase_add_test(c, what_is_left_out_costs_no_time);
	tcase_add_test(c, prints_huge_integers_in_linear_time);
	tcase_add_test(c, floats_do_not_follow_the_locale);
	tcase_add_test(c, refuses_text_that_is_no_term);
	tcase_add_test(c, reads_all_of_erlangs_literals);
	tcase_add_test(c, reads_deep_text_without_recursion);
	return c;
}
