/* SPDX-License-Identifier: Apache-2.0 */
/* Values: cursor and scan. */
#include "tests/term_test.h"

#include <limits.h>
#include <math.h>

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
	tap_one_thread(c);
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
