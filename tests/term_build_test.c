/* SPDX-License-Identifier: Apache-2.0 */
/* Building: by format, piece by piece, raw into buffers; from bytes. */
#include "tests/term_test.h"

#include <math.h>

static cnode_pid some_pid(void)
{
	cnode_pid pid = { 0, 7, 2, 5 };
	ck_assert_int_eq(cnode_name_of("a@b", &pid.node), 0);
	return pid;
}

static cnode_ref some_ref(void)
{
	cnode_ref ref = { 0, 5, 3, { 1, 2, 3, 0, 0 } };
	ck_assert_int_eq(cnode_name_of("a@b", &ref.node), 0);
	return ref;
}

static void must_be(cnode_term t, const unsigned char *bytes, size_t size)
{
	if (t.size_ != size || memcmp(t.bytes_, bytes, size) != 0) {
		char *text = cnode_term_text(t);
		ck_abort_msg("encoded otherwise: %s, %zu bytes, not %zu", text, t.size_, size);
	}
	cnode_term_drop(t);
}

static cnode_term formatted(const char *format, ...)
{
	cnode_term t = { 0 };
	va_list args;
	va_start(args, format);
	int rc = cnode_vformat(&t, format, args);
	va_end(args);
	ck_assert_msg(rc == 0, "%s: %d", format, rc);
	return t;
}

START_TEST(encodes_integers_as_beam_does)
{
	must_be(formatted("~i", 0), BYTES("a\0"));
	must_be(formatted("~i", 255), BYTES("a\xff"));
	must_be(formatted("~i", 256), BYTES("b\0\0\1\0"));
	must_be(formatted("~i", -1), BYTES("b\xff\xff\xff\xff"));
	must_be(formatted("~i", INT32_MAX), BYTES("b\x7f\xff\xff\xff"));
	must_be(formatted("~i", INT32_MIN), BYTES("b\x80\0\0\0"));
	must_be(formatted("~q", (int64_t)INT32_MAX + 1), BYTES("n\4\0\0\0\0\x80"));
	must_be(formatted("~q", (int64_t)INT32_MIN - 1), BYTES("n\4\1\1\0\0\x80"));
	must_be(formatted("~q", INT64_MAX), BYTES("n\x08\0\xff\xff\xff\xff\xff\xff\xff\x7f"));
	must_be(formatted("~q", INT64_MIN), BYTES("n\x08\1\0\0\0\0\0\0\0\x80"));
	must_be(formatted("~Q", UINT64_MAX), BYTES("n\x08\0\xff\xff\xff\xff\xff\xff\xff\xff"));
	must_be(formatted("~Q", UINT64_C(5)), BYTES("a\5"));
	must_be(formatted("~l", -5L), BYTES("b\xff\xff\xff\xfb"));
	must_be(formatted("18446744073709551616"), BYTES("n\x09\0\0\0\0\0\0\0\0\0\1"));
	must_be(formatted("-18446744073709551616"), BYTES("n\x09\1\0\0\0\0\0\0\0\0\1"));
}
END_TEST

/*
 * What erl wrote for the integers, floats, atoms and exported funs of the corpus is what we write.
 */
START_TEST(encodes_the_corpus_as_beam_does)
{
	size_t same = 0;
	for (size_t i = 0; i < CORPUS_SIZE; i++) {
		const char *name = corpus[i].name;
		bool scalar = strncmp(name, "int_0", 5) == 0 || strncmp(name, "float_0", 7) == 0 ||
			      strncmp(name, "float_1", 7) == 0 ||
			      (strncmp(name, "atom_", 5) == 0 && strstr(name, "_utf8")) ||
			      strncmp(name, "bits_1", 6) == 0;
		if (!scalar || !corpus[i].text || strcmp(name, "atom_utf8_short") == 0)
			continue;
		cnode_term t = parsed(corpus[i].text);
		ck_assert_msg(t.size_ == corpus[i].size &&
				      memcmp(t.bytes_, corpus[i].bytes, t.size_) == 0,
			      "%s", name);
		cnode_term_drop(t);
		same++;
	}
	ck_assert_uint_gt(same, 200);
}
END_TEST

START_TEST(builds_by_format)
{
	must_be(formatted("{ok,'Two words',\"ab\",<<\"cd\">>,[],[x|y],#{k:=v,2=>3},2.5}"),
		BYTES("h\x08w\2okw\x09Two wordsk\0\2abm\0\0\0\2cdjl\0\0\0\1w\1xw\1yt\0\0\0\2w\1kw\1va\2a\3F\x40\4\0\0\0\0\0\0"));
	must_be(formatted("{~a,~s,~z,~b,~f,[~i,~i]}", "at\xc3\xa9", "str", "bin", "\0\1", (size_t)2,
			  2.5, 1, 2),
		BYTES("h\6w\4at\xc3\xa9k\0\3strm\0\0\0\3binm\0\0\0\2\0\1F\x40\4\0\0\0\0\0\0l\0\0\0\2a\1a\2j"));
	must_be(formatted("{~p,~r}", some_pid(), some_ref()),
		BYTES("h\2Xw\3a@b\0\0\0\7\0\0\0\2\0\0\0\5Z\0\3w\3a@b\0\0\0\5\0\0\0\1\0\0\0\2\0\0\0\3"));
	must_be(formatted("~s", ""), BYTES("j"));
	must_be(formatted("~z", ""), BYTES("m\0\0\0\0"));
	must_be(formatted("~b", NULL, (size_t)0), BYTES("m\0\0\0\0"));
	must_be(formatted("~s", "\xc3\xa9"), BYTES("k\0\1\xe9"));
	must_be(formatted("~s", "\xe2\x82\xac"), BYTES("l\0\0\0\1b\0\0\x20\xacj"));
	must_be(formatted("fun m:f/2"), BYTES("qw\1mw\1fa\2"));
	must_be(formatted("~a", ""), BYTES("w\0"));
	must_be(formatted("#{~a:=~i,~i=>~a}", "k", 1, 2, "v"), BYTES("t\0\0\0\2w\1ka\1a\2w\1v"));
	cnode_term inner = parsed("{x}");
	must_be(formatted("[~t|~t]", inner, inner), BYTES("l\0\0\0\1h\1w\1xh\1w\1x"));
	cnode_term_drop(inner);
}
END_TEST

START_TEST(strings_longer_than_string_ext_become_lists)
{
	char *text = malloc(65537);
	for (size_t n = 65535; n <= 65536; n++) {
		memset(text, 'x', n);
		text[n] = 0;
		cnode_term t = formatted("~s", text);
		ck_assert_uint_eq(t.bytes_[0], n > 65535 ? CN_LIST : CN_STRING);
		const char *back;
		size_t size;
		ck_assert_int_eq(cnode_scan(t, "~s", &back, &size), 0);
		ck_assert_uint_eq(size, n);
		use_term(t);
		cnode_term_drop(t);
	}
	free(text);
}
END_TEST

START_TEST(tuples_by_format_grow_past_255)
{
	static char format[1000];
	for (size_t n = 255; n <= 300; n += 45) {
		strcpy(format, "{a,{");
		for (size_t i = 0; i < n; i++)
			strcat(format, i ? ",1" : "1");
		strcat(format, "},b}");
		cnode_term t = formatted(format);
		cnode_reader r = cnode_read(t);
		ck_assert_uint_eq(cnode_read_tuple(&r), 3);
		ck_assert(cnode_read_is_atom(&r, "a"));
		ck_assert_uint_eq(cnode_read_tuple(&r), n);
		for (size_t i = 0; i < n; i++)
			ck_assert_int_eq(cnode_read_int64(&r), 1);
		ck_assert(cnode_read_is_atom(&r, "b"));
		ck_assert_int_eq(r.error, 0);
		cnode_term_drop(t);
	}
}
END_TEST

START_TEST(refuses_wrong_formats)
{
	static const char *const bad[] = { "",	   "{",	  "{a", "{a b}",     "[a|b,c]",
					   "#{a}", "Var", "_",	"~",	     "~k",
					   "{~}",  "a b", "a.", "#{1:=2,3}", "[1|]" };
	for (size_t i = 0; i < CN_ARRAY_SIZE(bad); i++) {
		cnode_term t;
		int rc = cnode_format(&t, bad[i]);
		ck_assert_msg(rc == CNODE_EFORMAT, "%s: %d", bad[i], rc);
	}
}
END_TEST

START_TEST(refuses_what_the_external_format_cannot_hold)
{
	cnode_term t, none = { 0 };
	cnode_pid no_pid = { 0 }, stale = { UINT64_C(0xffff) << 16, 1, 1, 1 };
	cnode_ref ref = some_ref();
	char longest[257];
	memset(longest, 'a', 256);
	longest[256] = 0;
	ck_assert_int_eq(cnode_format(&t, "~f", (double)NAN), CNODE_EBADTERM);
	ck_assert_int_eq(cnode_format(&t, "{~f}", (double)INFINITY), CNODE_EBADTERM);
	ck_assert_int_eq(cnode_format(&t, "~a", longest), CNODE_EBADTERM);
	ck_assert_int_eq(cnode_format(&t, "~a", longest + 1), 0);
	cnode_term_drop(t);
	ck_assert_int_eq(cnode_format(&t, "~a", "\xff"), CNODE_EBADTERM);
	ck_assert_int_eq(cnode_format(&t, "~s", "\xc3"), CNODE_EBADTERM);
	ck_assert_int_eq(cnode_format(&t, "~z", "\xc3"), CNODE_EBADTERM);
	ck_assert_int_eq(cnode_format(&t, "#{a=>1,a=>2}"), CNODE_EBADTERM);
	ck_assert_int_eq(cnode_format(&t, "#{~i=>1,~q=>2}", 1, (int64_t)1), CNODE_EBADTERM);
	ck_assert_int_eq(cnode_format(&t, "#{1=>1,1.0=>2}"), 0);
	cnode_term_drop(t);
	ck_assert_int_eq(cnode_format(&t, "~p", no_pid), CNODE_EBADARG);
	ck_assert_int_eq(cnode_format(&t, "~p", stale), CNODE_ESTALE);
	ref.words = 0;
	ck_assert_int_eq(cnode_format(&t, "~r", ref), CNODE_EBADARG);
	ref.words = 6;
	ck_assert_int_eq(cnode_format(&t, "~r", ref), CNODE_EBADARG);
	ck_assert_int_eq(cnode_format(&t, "~t", none), CNODE_EBADARG);
	ck_assert_int_eq(cnode_format(&t, "~a", (char *)NULL), CNODE_EBADARG);
	ck_assert_int_eq(cnode_format(&t, "~s", (char *)NULL), CNODE_EBADARG);
	ck_assert_int_eq(cnode_format(&t, "~z", (char *)NULL), CNODE_EBADARG);
	ck_assert_int_eq(cnode_format(&t, "~b", NULL, (size_t)1), CNODE_EBADARG);
}
END_TEST

START_TEST(builds_piece_by_piece)
{
	cnode_builder *b = cnode_builder_new();
	cnode_term t, part = parsed("{in,here}");
	cnode_build_tuple(b, 9);
	cnode_build_atom(b, "ok");
	cnode_build_bool(b, true);
	cnode_build_list(b);
	cnode_build_int64(b, 1);
	cnode_build_uint64(b, 2);
	cnode_build_list_tail(b);
	cnode_build_double(b, 0.5);
	cnode_build_map(b);
	cnode_build_string(b, "k");
	cnode_build_binary(b, "v", 1);
	cnode_build_map_end(b);
	cnode_build_list(b);
	cnode_build_list_end(b);
	cnode_build_pid(b, some_pid());
	cnode_build_ref(b, some_ref());
	cnode_build_term(b, part);
	cnode_build_format(b, "{~i,[~a]}", 5, "x");
	ck_assert_int_eq(cnode_builder_term(b, &t), 0);
	ck_assert_term(
		t,
		"{ok,true,[1,2|0.5],#{\"k\" => <<\"v\">>},[],<a@b.7.2>,#Ref<a@b.3.2.1>,{in,here},{5,[x]}}");
	use_term(t);
	cnode_term_drop(t);
	cnode_term_drop(part);
	/* Empty again. */
	cnode_build_tuple(b, 0);
	ck_assert_int_eq(cnode_builder_term(b, &t), 0);
	ck_assert_term(t, "{}");
	cnode_term_drop(t);
	cnode_builder_free(b);
	cnode_builder_free(NULL);
}
END_TEST

START_TEST(builds_large_tuples_and_gives_memory_back)
{
	struct cnode_builder b;
	cnode_term t;
	cn_builder_init(&b);
	cnode_build_tuple(&b, 256);
	for (int i = 0; i < 256; i++)
		cnode_build_int64(&b, 1);
	ck_assert_int_eq(cnode_builder_term(&b, &t), 0);
	ck_assert_mem_eq(t.bytes_, "i\0\0\1\0a\1", 7);
	ck_assert_uint_eq(t.size_, 5 + 512);
	cnode_term_drop(t);
	/* Room was made for characters of five bytes. */
	char *text = malloc(60001);
	memset(text, 'x', 60000);
	memcpy(text, "\xc4\x80", 3);
	memset(text + 2, 'x', 59998);
	text[60000] = 0;
	ck_assert_int_eq(cnode_format(&t, "~s", text), 0);
	ck_assert_uint_eq(t.owner_->size, t.size_);
	use_term(t);
	cnode_term_drop(t);
	free(text);
	ck_assert_ptr_null(cn_blob_new(SIZE_MAX));
	ck_assert_ptr_null(cn_blob_new_atoms(SIZE_MAX / 2, 1, 1));
	ck_assert_ptr_null(cn_blob_new_atoms(1, 1, SIZE_MAX / 2));
}
END_TEST

START_TEST(tells_at_the_end_what_was_wrong)
{
	cnode_builder *b = cnode_builder_new();
	cnode_term t;
	ck_assert_int_eq(cnode_builder_term(b, &t), CNODE_EBADTERM);        /* nothing */
	cnode_build_tuple(b, 2);
	cnode_build_int64(b, 1);
	ck_assert_int_eq(cnode_builder_term(b, &t), CNODE_EBADTERM);        /* not complete */
	cnode_build_int64(b, 1);
	cnode_build_int64(b, 2);
	ck_assert_int_eq(cnode_builder_term(b, &t), CNODE_EBADTERM);        /* two terms */
	cnode_build_list_end(b);
	ck_assert_int_eq(cnode_builder_term(b, &t), CNODE_EBADTERM);        /* no list */
	cnode_build_list(b);
	cnode_build_map_end(b);
	ck_assert_int_eq(cnode_builder_term(b, &t), CNODE_EBADTERM);        /* no map */
	cnode_build_pid(b, (cnode_pid){ 0 });
	cnode_build_ref(b, (cnode_ref){ 0 });
	cnode_build_format(b, "{}");
	ck_assert_int_eq(cnode_builder_term(b, &t), CNODE_EBADARG);
	cnode_build_list(b);
	cnode_build_list_tail(b);
	ck_assert_int_eq(cnode_builder_term(b, &t), CNODE_EBADTERM); /* a tail without a list */
	cnode_build_map(b);
	cnode_build_int64(b, 1);
	cnode_build_map_end(b);
	ck_assert_int_eq(cnode_builder_term(b, &t), CNODE_EBADTERM); /* a key without a value */
	cnode_build_tuple(b, 0x1000000);
	ck_assert_int_eq(cnode_builder_term(b, &t), CNODE_EBADTERM);
	cnode_build_tuple(b, SIZE_MAX);
	ck_assert_int_eq(cnode_builder_term(b, &t), CNODE_EBADTERM);
	cnode_build_double(b, NAN);
	cnode_build_int64(b, 1);
	ck_assert_int_eq(cnode_builder_term(b, &t), CNODE_EBADTERM); /* the first error stays */
	cnode_build_binary(b, "", (size_t)1 << 31);
	ck_assert_int_eq(cnode_builder_term(b, &t), CNODE_EBADTERM);
	cnode_build_int64(b, 7);
	ck_assert_int_eq(cnode_builder_term(b, &t), 0);
	ck_assert_term(t, "7");
	cnode_term_drop(t);
	cnode_builder_free(b);
}
END_TEST

START_TEST(limits_the_nesting_of_what_is_built)
{
	for (int depth = CN_TERM_DEPTH; depth <= CN_TERM_DEPTH + 2; depth++) {
		struct cnode_builder b;
		cnode_term t;
		cn_builder_init(&b);
		for (int i = 0; i < depth; i++)
			cnode_build_tuple(&b, 1);
		cnode_build_int64(&b, 1);
		ck_assert_int_eq(cnode_builder_term(&b, &t),
				 depth > CN_TERM_DEPTH ? CNODE_EBADTERM : 0);
		if (depth == CN_TERM_DEPTH) {
			cnode_term u;
			ck_assert_int_eq(cnode_format(&u, "{~t}", t), CNODE_EBADTERM);
			cnode_term_drop(t);
		}
	}
}
END_TEST

START_TEST(takes_terms_from_bytes)
{
	cnode_term t;
	ck_assert_int_eq(cnode_term_from_bytes("\x83\x61\5", 3, &t), 0);
	must_be(t, BYTES("a\5"));
	ck_assert_int_eq(cnode_term_from_bytes("a\5", 2, &t), 0);
	must_be(t, BYTES("a\5"));
	ck_assert_int_eq(cnode_term_from_bytes("a\5a", 3, &t), CNODE_EBADTERM);
	ck_assert_int_eq(cnode_term_from_bytes("a", 1, &t), CNODE_EBADTERM);
	ck_assert_int_eq(cnode_term_from_bytes("\x83", 1, &t), CNODE_EBADTERM);
	ck_assert_int_eq(cnode_term_from_bytes("", 0, &t), CNODE_EBADTERM);
	ck_assert_int_eq(cnode_term_from_bytes(NULL, 0, &t), CNODE_EBADTERM);
	ck_assert_int_eq(cnode_term_from_bytes("\x83\x83\x61\5", 4, &t), CNODE_EBADTERM);
	ck_assert_int_eq(cnode_term_from_bytes("R\0", 2, &t), CNODE_EBADTERM);
}
END_TEST

static void memory_scenario(void)
{
	cnode_term t, u;
	cnode_pid pid = { 0, 7, 2, 5 };
	int rc = cnode_name_of("never.seen.before@memory.scenario", &pid.node);
	ck_assert(rc == 0 || rc == CNODE_ENOMEM);
	if (rc == 0) {
		rc = cnode_format(
			&t,
			"{~p,[1,2,{3,{4,{5,{6,{7,{8,{9,{10}}}}}}}}|x],#{a=>1,b=>2,c=>3},\"\\x{20ac}\",<<1,2,\"x\\n\">>,'q\\'q',123456789012345678901,fun m:f/1,~s}",
			pid,
			"a long string that makes the builder grow: "
			"0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
			"0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789");
		ck_assert(rc == 0 || rc == CNODE_ENOMEM);
		if (rc == 0) {
			cnode_pid back;
			rc = cnode_scan(
				t,
				"{~p,_,#{a:=1,c:=3},\"\\x{20ac}\",<<1,2,\"x\\n\">>,_,123456789012345678901,_,_}",
				&back);
			ck_assert(rc == 0 || rc == CNODE_ENOMEM);
			cnode_free(cnode_term_text(t));
			cnode_term_drop(t);
		}
	}
	rc = cnode_parse(
		"[{deep,{deep,{deep,{deep,{deep,{deep,{deep,{deep,{deep,{deep}}}}}}}}}},16#ffffffffffffffffffffffff]",
		&u, NULL);
	ck_assert(rc == 0 || rc == CNODE_ENOMEM);
	if (rc == 0)
		cnode_term_drop(u);
	cnode_builder *b = cnode_builder_new();
	if (!b)
		return;
	for (int i = 0; i < 40; i++)
		cnode_build_list(b);
	for (int i = 0; i < 40; i++)
		cnode_build_list_end(b);
	rc = cnode_builder_term(b, &u);
	ck_assert(rc == 0 || rc == CNODE_ENOMEM);
	if (rc == 0)
		cnode_term_drop(u);
	cnode_builder_free(b);
	struct cn_buf buf;
	cn_buf_init(&buf, 0);
	cn_put_atom(&buf, "x", 1);
	ck_assert(buf.err == 0 || buf.err == CNODE_ENOMEM);
	cn_buf_fini(&buf);
}

START_TEST(runs_out_of_memory_cleanly)
{
	alloc_fail_each(memory_scenario);
}
END_TEST

TCase *build_case(void)
{
	TCase *c = tcase_create("build");
	tap_one_thread(c);
	tcase_add_test(c, encodes_integers_as_beam_does);
	tcase_add_test(c, encodes_the_corpus_as_beam_does);
	tcase_add_test(c, builds_by_format);
	tcase_add_test(c, strings_longer_than_string_ext_become_lists);
	tcase_add_test(c, tuples_by_format_grow_past_255);
	tcase_add_test(c, refuses_wrong_formats);
	tcase_add_test(c, refuses_what_the_external_format_cannot_hold);
	tcase_add_test(c, builds_piece_by_piece);
	tcase_add_test(c, builds_large_tuples_and_gives_memory_back);
	tcase_add_test(c, tells_at_the_end_what_was_wrong);
	tcase_add_test(c, limits_the_nesting_of_what_is_built);
	tcase_add_test(c, takes_terms_from_bytes);
	tcase_add_test(c, runs_out_of_memory_cleanly);
	return c;
}
