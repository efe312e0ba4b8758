/* SPDX-License-Identifier: Apache-2.0 */
/* Binaries that are handed over: read without a copy, and given back once whatever happens. */
#include "tests/term_test.h"

#define LARGE 10000
static unsigned char large[LARGE];
static int given_back;

static void give_back(void *context)
{
	ck_assert_ptr_eq(context, large);
	given_back++;
}

#define HANDED large, (size_t)LARGE, give_back, (void *)large

static void setup(void)
{
	given_back = 0;
	for (size_t i = 0; i < LARGE; i++)
		large[i] = (unsigned char)(i * 7 + i / 251);
}

static cnode_term made(const char *format, ...)
{
	cnode_term t = { 0 };
	va_list args;
	va_start(args, format);
	ck_assert_int_eq(cnode_vformat(&t, format, args), 0);
	va_end(args);
	return t;
}

START_TEST(what_was_handed_over_is_read_where_it_is)
{
	const void *bytes;
	size_t size;
	cnode_term part;
	cnode_term t = made("{first,~B,[~B|~B],#{~B := ~q}}", HANDED, HANDED, HANDED, HANDED, (int64_t)5);
	cnode_term same = made("{first,~b,[~b|~b],#{~b := ~q}}", large, sizeof large, large, sizeof large, large, sizeof large,
			       large, sizeof large, (int64_t)5);
	ck_assert_int_eq(cnode_scan(t, "{first,~b,[~t|_],_}", &bytes, &size, &part), 0);
	ck_assert_ptr_eq(bytes, large);
	ck_assert_uint_eq(size, sizeof large);
	ck_assert_int_eq(cnode_term_type(part), CNODE_TYPE_BINARY);
	cnode_reader r = cnode_read(part);
	ck_assert_ptr_eq(cnode_read_binary(&r, &size), large);
	ck_assert_int_eq(r.error, 0);

	ck_assert(cnode_term_equal(t, same) && cnode_term_compare(t, same) == 0 && cnode_term_compare(same, t) == 0);
	ck_assert_uint_eq(cnode_term_hash(t), cnode_term_hash(same));
	char *text = cnode_term_text(t), *same_text = cnode_term_text(same);
	ck_assert_str_eq(text, same_text);
	cnode_free(text);
	cnode_free(same_text);
	const char *ei, *same_ei;
	int ei_size, same_size;
	ck_assert_int_eq(cnode_term_ei(t, &ei, &ei_size), 0);
	ck_assert_int_eq(cnode_term_ei(same, &same_ei, &same_size), 0);
	ck_assert(ei_size == same_size && memcmp(ei, same_ei, (size_t)ei_size) == 0);
	ck_assert_uint_gt(cn_term_weight(t), 4 * sizeof large);
	use_term(t);
	use_term(part);
	ck_assert_int_eq(given_back, 0);
	cnode_term_drop(t);
	ck_assert_int_eq(given_back, 4);
	cnode_term_drop(same);
}
END_TEST

START_TEST(small_binaries_are_copied_and_given_back_at_once)
{
	cnode_term t = made("~B", large, (size_t)CN_HANDED_LEAST - 1, give_back, (void *)large);
	ck_assert_int_eq(given_back, 1);
	ck_assert(!cn_term_is_handed(t));
	cnode_term_drop(t);
	t = made("~B", large, (size_t)CN_HANDED_LEAST, give_back, (void *)large);
	ck_assert_int_eq(given_back, 1);
	ck_assert(cn_term_is_handed(t));
	cnode_term_drop(t);
	t = made("~B", NULL, (size_t)0, give_back, (void *)large);
	ck_assert_int_eq(given_back, 3);
	cnode_term_drop(t);
	/* Bytes that live for ever. */
	t = made("~B", large, sizeof large, NULL, NULL);
	cnode_term_drop(t);
	ck_assert_int_eq(given_back, 3);
}
END_TEST

START_TEST(what_is_refused_is_given_back_once)
{
	static const struct {
		const char *format;     /* takes three */
		int rc;
	} formats[] = {
		{ "{~B,~B,~B", CNODE_EFORMAT }, { "{~B,~B ~B}", CNODE_EFORMAT }, { "]~B~B~B", CNODE_EFORMAT },
		{ "~B}~B~B", CNODE_EFORMAT }, { "#{~B => ~B, ~B}", CNODE_EFORMAT }, { "[~B|~B,~B]", CNODE_EFORMAT },
		{ "{'not a ~B, an \\' atom~B', ~B} ~B ~B", CNODE_EFORMAT },
		{ "{$~, $', $\\', \"~B\\\"\" % ~B\n, ~B, ~B, ~B", CNODE_EFORMAT },
		{ "#{~B => 1, ~B => 2, 3 => ~B}", CNODE_EBADTERM },             /* equal keys */
	};
	cnode_term t;
	for (size_t i = 0; i < CN_ARRAY_SIZE(formats); i++) {
		given_back = 0;
		ck_assert_int_eq(cnode_format(&t, formats[i].format, HANDED, HANDED, HANDED), formats[i].rc);
		ck_assert_msg(given_back == 3, "%s: %d", formats[i].format, given_back);
	}
	given_back = 0;
	ck_assert_int_eq(cnode_format(&t, "{~a,~q,~B}", NULL, (int64_t)1, HANDED), CNODE_EBADARG);
	ck_assert_int_eq(given_back, 1);
	ck_assert_int_eq(cnode_format(&t, "{~B,~p,~r,~t,~Q,~l,~i,~f,~s,~z,~b,~B}", HANDED, (cnode_pid){ 0 }, (cnode_ref){ 0 },
				      (cnode_term){ 0 }, (uint64_t)1, 2L, 3, 4.0, "s", "z", "b", (size_t)1, HANDED), CNODE_EBADARG);
	ck_assert_int_eq(given_back, 3);
	ck_assert_int_eq(cnode_format(&t, "~B", NULL, (size_t)1, give_back, (void *)large), CNODE_EBADARG);
	ck_assert_int_eq(given_back, 4);
	ck_assert_int_eq(cnode_format(&t, "~B", large, (size_t)1 << 31, give_back, (void *)large), CNODE_EBADTERM);
	ck_assert_int_eq(given_back, 5);
	/* Each of them fits, the whole does not; nothing reads them. */
	ck_assert_int_eq(cnode_format(&t, "{~B,~B}", large, (size_t)0x7ffffff0, give_back, (void *)large, large, (size_t)0x7ffffff0,
				      give_back, (void *)large), CNODE_EBADTERM);
	ck_assert_int_eq(given_back, 7);
	ck_assert_int_eq(cnode_format(&t, "{~B,~b}", large, (size_t)0x7ffffff0, give_back, (void *)large, large, sizeof large),
			 CNODE_EBADTERM);
	ck_assert_int_eq(given_back, 8);

	cnode_builder *b = cnode_builder_new();
	cnode_build_list(b);
	cnode_build_handed(b, HANDED);
	cnode_build_double(b, 0.0 / 0.0);
	cnode_build_handed(b, HANDED);                          /* it has an error already */
	cnode_build_format(b, "{~B,~B}", HANDED, HANDED);
	ck_assert_int_eq(given_back, 11);
	ck_assert_int_eq(cnode_builder_term(b, &t), CNODE_EBADTERM);
	ck_assert_int_eq(given_back, 12);
	cnode_build_handed(b, HANDED);
	cnode_build_handed(b, HANDED);                          /* a second term */
	ck_assert_int_eq(cnode_builder_term(b, &t), CNODE_EBADTERM);
	ck_assert_int_eq(given_back, 14);
	cnode_build_tuple(b, 2);
	cnode_build_handed(b, HANDED);
	cnode_builder_free(b);                                  /* never finished */
	ck_assert_int_eq(given_back, 15);
}
END_TEST

static int refused(int rc, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	rc = cn_format_refused(rc, format, args);
	va_end(args);
	return rc;
}

START_TEST(a_function_that_fails_before_its_format_gives_back_too)
{
	ck_assert_int_eq(refused(CNODE_ESTATE, "{~a,~B,[~q|~B]}", "atom", HANDED, (int64_t)1, HANDED), CNODE_ESTATE);
	ck_assert_int_eq(given_back, 2);
	ck_assert_int_eq(refused(CNODE_ESTATE, "~B~", HANDED), CNODE_ESTATE);
	ck_assert_int_eq(given_back, 3);
}
END_TEST

START_TEST(terms_with_it_can_be_built_into_others)
{
	const void *bytes;
	size_t size;
	cnode_term inner, part, kept;
	cnode_term t = made("{a,{b,~B},~B}", HANDED, HANDED);
	ck_assert_int_eq(cnode_scan(t, "{a,~t,_}", &part), 0);
	/* A part of it alone; the whole, behind 300 elements, which make a tuple's head grow. */
	struct cn_buf format = { 0 };
	cn_put_text(&format, "{~t,");
	for (int i = 0; i < 300; i++)
		cn_put_text(&format, "x,");
	cn_put_text(&format, "~t,~B}");
	cn_put_u8(&format, 0);
	inner = made((char *)format.data, part, t, HANDED);
	cn_buf_fini(&format);
	cnode_term_drop(t);
	ck_assert_int_eq(given_back, 0);
	cnode_reader r = cnode_read(inner);
	ck_assert_uint_eq(cnode_read_tuple(&r), 303);
	ck_assert_int_eq(cnode_scan(cnode_read_term(&r), "{b,~b}", &bytes, &size), 0);
	ck_assert_ptr_eq(bytes, large);
	for (int i = 0; i < 300; i++)
		cnode_read_term(&r);
	ck_assert_int_eq(cnode_scan(cnode_read_term(&r), "{a,{b,~b},~b}", &bytes, &size, &bytes, &size), 0);
	ck_assert_ptr_eq(bytes, large);
	ck_assert_ptr_eq(cnode_read_binary(&r, &size), large);
	ck_assert_int_eq(cnode_term_keep(inner, &kept), 0);
	use_term(kept);
	cnode_term_drop(inner);
	ck_assert_int_eq(given_back, 0);
	cnode_term_drop(kept);
	ck_assert_int_eq(given_back, 3);

	/* Built into the next a hundred thousand times: no chain that would have to be freed link by link. */
	t = made("{next,~B}", HANDED);
	for (int i = 0; i < 100000; i++) {
		ck_assert_int_eq(cnode_scan(t, "{next,~t}", &part), 0);
		cnode_term next = made("{next,~t}", part);
		cnode_term_drop(t);
		t = next;
	}
	ck_assert_int_eq(given_back, 3);
	cnode_term_drop(t);
	ck_assert_int_eq(given_back, 4);
}
END_TEST

START_TEST(what_is_left_of_a_list_has_it_too)
{
	const void *bytes;
	size_t size;
	cnode_term rest;
	cnode_term t = made("[a,~B,b]", HANDED);
	ck_assert_int_eq(cnode_scan(t, "[a|~t]", &rest), 0);
	ck_assert_int_eq(cnode_scan(rest, "[~b,b]", &bytes, &size), 0);
	ck_assert_ptr_eq(bytes, large);
	cnode_term copy = made("{~t}", rest), same = made("[~b,b]", large, sizeof large);
	struct cn_term_limits limits = { 0 };
	struct cn_runs runs;
	size_t whole, all = 0;
	const uint8_t *run;
	ck_assert_int_eq(cn_term_outgoing_runs(rest, &limits, &runs, &whole, NULL), 0);
	while (cn_runs_next(&runs, 100, &run, &size))
		all += size;
	ck_assert_uint_eq(all, whole);
	ck_assert_uint_eq(all, same.size_);
	use_term(rest);
	cnode_term_drop(t);
	ck_assert_int_eq(given_back, 1);
	cnode_term_drop(copy);
	cnode_term_drop(same);
}
END_TEST

START_TEST(runs_are_the_bytes_on_the_wire_however_they_are_cut)
{
	static uint8_t bytes[5 * LARGE];
	cnode_term t = made("{a,~B,[~B,b|~B],\"abc\"}", HANDED, large, (size_t)CN_HANDED_LEAST, NULL, NULL, HANDED);
	cnode_term same = made("{a,~b,[~b,b|~b],\"abc\"}", large, sizeof large, large, (size_t)CN_HANDED_LEAST, large, sizeof large);
	const struct cn_term_limits limits = { 0 };
	for (size_t most = 1; most < 20000; most += most < 20 ? 1 : 1237) {
		struct cn_runs runs;
		size_t whole, at = 0, n;
		const uint8_t *run;
		ck_assert_int_eq(cn_term_outgoing_runs(t, &limits, &runs, &whole, NULL), 0);
		ck_assert_uint_eq(whole, same.size_);
		while (cn_runs_next(&runs, most, &run, &n)) {
			ck_assert(n > 0 && n <= most);
			memcpy(bytes + at, run, n);
			at += n;
		}
		ck_assert_uint_eq(at, same.size_);
		ck_assert_mem_eq(bytes, same.bytes_, at);
	}
	const struct cn_term_limits small = { .bytes = 28000 };
	struct cn_runs runs;
	size_t whole;
	const char *reason;
	ck_assert_int_eq(cn_term_outgoing_runs(t, &small, &runs, &whole, &reason), CNODE_ETOOBIG);
	ck_assert_str_eq(reason, "larger than the limit of a message");
	cnode_term_drop(t);
	cnode_term_drop(same);
}
END_TEST

START_TEST(nobody_else_can_make_one)
{
	uint8_t bytes[CN_HANDED_SIZE] = { CN_HANDED, CN_BINARY, 0, 0, 0x40, 0 };
	const void *address = large;
	cnode_term t;
	memcpy(bytes + 6, &address, sizeof address);
	ck_assert_int_eq(cnode_term_from_bytes(bytes, sizeof bytes, &t), CNODE_EBADTERM);
	ck_assert_int_eq(peer_term(bytes, sizeof bytes, &t), CNODE_EBADTERM);
}
END_TEST

static void scenario(void)
{
	cnode_term t, whole, part;
	const char *ei;
	int size, asked = 0;
	given_back = 0;
	/* More than the builder has room for at first. */
	int rc = cnode_format(&t, "{~B,[~B,~B,~B,~B,~B],~B,'a~~b'}", HANDED, HANDED, HANDED, HANDED, HANDED, HANDED, HANDED);
	asked += 7;
	ck_assert(rc == 0 || rc == CNODE_ENOMEM);
	if (rc == 0) {
		ck_assert_int_eq(given_back, 0);
		ck_assert_int_eq(cnode_scan(t, "{_,~t,_,_}", &part), 0);
		rc = cnode_format(&whole, "{~t,~t,~B}", t, part, HANDED);
		asked++;
		if (rc == 0) {
			rc = cnode_term_ei(whole, &ei, &size);
			cnode_term_drop(whole);
		}
		ck_assert(rc == 0 || rc == CNODE_ENOMEM);
		cnode_term_drop(t);
	}
	ck_assert_int_eq(given_back, asked);
}

START_TEST(it_is_given_back_whatever_memory_is_lacking)
{
	alloc_fail_each(scenario);
}
END_TEST

TCase *handed_case(void)
{
	TCase *c = tcase_create("handed");
	tcase_add_checked_fixture(c, setup, NULL);
	tcase_add_test(c, what_was_handed_over_is_read_where_it_is);
	tcase_add_test(c, small_binaries_are_copied_and_given_back_at_once);
	tcase_add_test(c, what_is_refused_is_given_back_once);
	tcase_add_test(c, a_function_that_fails_before_its_format_gives_back_too);
	tcase_add_test(c, terms_with_it_can_be_built_into_others);
	tcase_add_test(c, what_is_left_of_a_list_has_it_too);
	tcase_add_test(c, runs_are_the_bytes_on_the_wire_however_they_are_cut);
	tcase_add_test(c, nobody_else_can_make_one);
	tcase_add_test(c, it_is_given_back_whatever_memory_is_lacking);
	return c;
}
