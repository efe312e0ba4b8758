/* SPDX-License-Identifier: Apache-2.0 */
/* Node names as numbers, and conversions between libcnode's and ei's values. */
#include "tests/term_test.h"

#include "compat/ei.h"
#include "cnode/ei.h"

START_TEST(a_name_has_one_number)
{
	cnode_name a, b, again;
	char text[CNODE_NAME_SIZE];
	ck_assert_int_eq(cnode_name_of("a@host", &a), 0);
	ck_assert_int_eq(cnode_name_of("b@host", &b), 0);
	ck_assert_int_eq(cn_name_of("a@host and more", 6, &again), 0);
	ck_assert(a != 0 && a != b && a == again);
	ck_assert_int_eq(cnode_name_text(b, text), 0);
	ck_assert_str_eq(text, "b@host");
	ck_assert_int_eq(cn_name_text(b, text), 6);
	ck_assert_int_eq(cn_name_text(b, text), 6);
	ck_assert_int_eq(cnode_name_text(0, text), CNODE_ESTALE);
	ck_assert_str_eq(text, "");
	ck_assert_int_eq(cnode_name_text(UINT64_MAX, text), CNODE_ESTALE);
}
END_TEST

START_TEST(knows_what_a_name_is)
{
	static const char *const bad[] = { "",	    "@",  "a",	  "a@",	    "@b",
					   "a@b@c", "@@", "a@@b", "\xff@b", "a@\xc3" };
	static const char *const good[] = { "a@b", "cnode-1@127.0.0.1",
					    "sm\xc3\xb8r@br\xc3\xb8"
					    "d",
					    "nonode@nohost" };
	cnode_name name = 7;
	char longest[300];
	for (size_t i = 0; i < CN_ARRAY_SIZE(bad); i++)
		ck_assert_msg(cnode_name_of(bad[i], &name) == CNODE_EBADNAME, "%s", bad[i]);
	ck_assert_uint_eq(name, 7);
	ck_assert_int_eq(cn_name_of("a\0@b", 4, &name), CNODE_EBADNAME);
	for (size_t i = 0; i < CN_ARRAY_SIZE(good); i++)
		ck_assert_int_eq(cnode_name_of(good[i], &name), 0);
	memset(longest, 'x', sizeof longest);
	longest[100] = '@';
	longest[256] = 0;
	ck_assert_int_eq(cnode_name_of(longest, &name), CNODE_EBADNAME);
	longest[255] = 0;
	char text[CNODE_NAME_SIZE];
	ck_assert_int_eq(cnode_name_of(longest, &name), 0);
	ck_assert_int_eq(cnode_name_text(name, text), 0);
	ck_assert_str_eq(text, longest);
}
END_TEST

START_TEST(forgets_names_but_never_mixes_them_up)
{
	enum { MANY = 70000 };
	static cnode_name name[MANY];
	cnode_name pinned, again;
	char text[CNODE_NAME_SIZE], want[64];
	ck_assert_int_eq(cnode_name_of("pinned@host", &pinned), 0);
	ck_assert_int_eq(cn_name_pin(pinned), 0);
	ck_assert_int_eq(cn_name_pin(pinned), 0);
	cn_name_unpin(pinned);
	for (int i = 0; i < MANY; i++) {
		snprintf(want, sizeof want, "n%d@host", i);
		ck_assert_int_eq(cnode_name_of(want, &name[i]), 0);
	}
	int known = 0;
	for (int i = 0; i < MANY; i++) {
		int rc = cnode_name_text(name[i], text);
		snprintf(want, sizeof want, "n%d@host", i);
		if (rc == 0) {
			ck_assert_str_eq(text, want);
			known++;
		} else {
			ck_assert_int_eq(rc, CNODE_ESTALE);
			ck_assert_int_eq(cn_name_pin(name[i]), CNODE_ESTALE);
		}
	}
	ck_assert_int_le(known, 65536);
	ck_assert_int_gt(known, 60000);
	ck_assert_int_eq(cnode_name_text(pinned, text), 0);
	ck_assert_int_eq(cnode_name_of("pinned@host", &again), 0);
	ck_assert(again == pinned);

	/*
	 * A name that is met again after it was forgotten has another number; the old one stays
	 * dead.
	 */
	for (int i = 0; i < MANY; i++) {
		if (cnode_name_text(name[i], text) == 0)
			continue;
		snprintf(want, sizeof want, "n%d@host", i);
		ck_assert_int_eq(cnode_name_of(want, &again), 0);
		ck_assert(again != name[i]);
		ck_assert_int_eq(cnode_name_text(name[i], text), CNODE_ESTALE);
		cnode_pid old = { name[i], 1, 1, 1 };
		cnode_term t;
		ck_assert_int_eq(cnode_format(&t, "~p", old), CNODE_ESTALE);
		break;
	}
	/* Unpinned it goes as the others do. */
	cn_name_unpin(pinned);
	for (int i = MANY; i < 3 * MANY; i++) {
		snprintf(want, sizeof want, "n%d@host", i);
		ck_assert_int_eq(cnode_name_of(want, &again), 0);
	}
	ck_assert_int_eq(cnode_name_text(pinned, text), CNODE_ESTALE);
	cn_name_unpin(pinned);
}
END_TEST

START_TEST(refuses_more_names_when_all_are_pinned)
{
	char text[64];
	cnode_name name;
	int rc = 0, i;
	for (i = 0; i < 100000 && rc == 0; i++) {
		snprintf(text, sizeof text, "p%d@host", i);
		rc = cnode_name_of(text, &name);
		if (rc == 0)
			ck_assert_int_eq(cn_name_pin(name), 0);
	}
	ck_assert_int_eq(rc, CNODE_ESYSLIMIT);
	ck_assert_int_gt(i, 50000);
	ck_assert_int_le(i, 65537);
}
END_TEST

static void hammer(void *arg)
{
	unsigned seed = *(unsigned *)arg;
	char text[CNODE_NAME_SIZE], want[64];
	for (int i = 0; i < 30000; i++) {
		cnode_name name;
		seed = seed * 1103515245 + 12345;
		snprintf(want, sizeof want, "t%u@host", seed >> 8 & 0x1ffff);
		if (cnode_name_of(want, &name) != 0)
			abort();
		int rc = cnode_name_text(name, text);
		if (rc != CNODE_ESTALE && (rc != 0 || strcmp(text, want) != 0))
			abort();
	}
}

START_TEST(threads_share_the_table)
{
	struct cn_thread thread[4];
	unsigned seed[4] = { 1, 2, 3, 4 };
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(cn_thread_start(&thread[i], "name", hammer, &seed[i]), 0);
	for (int i = 0; i < 4; i++)
		cn_thread_join(&thread[i]);
}
END_TEST

START_TEST(compares_references)
{
	cnode_ref a = { 1, 2, 3, { 1, 2, 3, 9, 9 } }, b = { 1, 2, 3, { 1, 2, 3, 8, 8 } };
	ck_assert(cnode_ref_equal(a, b));
	b.words = 4;
	ck_assert(!cnode_ref_equal(a, b));
	a.words = 4;
	ck_assert(!cnode_ref_equal(a, b));
	a.id[3] = 8;
	ck_assert(cnode_ref_equal(a, b));
	b.creation++;
	ck_assert(!cnode_ref_equal(a, b));
}
END_TEST

START_TEST(unpacks_identifiers)
{
	cnode_pid pid;
	cnode_ref ref;
	char text[CNODE_NAME_SIZE];
	cnode_term t = good_term(BYTES("gw\3a@b\0\0\0\7\0\0\0\2\3"));
	ck_assert_int_eq(cn_term_pid(t, &pid), 0);
	ck_assert(pid.id == 7 && pid.serial == 2 && pid.creation == 3);
	ck_assert_int_eq(cnode_name_text(pid.node, text), 0);
	ck_assert_str_eq(text, "a@b");
	ck_assert_int_eq(cn_term_ref(t, &ref), CNODE_EBADARG);
	cnode_term_drop(t);
	t = good_term(BYTES("r\0\2w\3a@b\3\0\0\0\1\0\0\0\2"));
	ck_assert_int_eq(cn_term_ref(t, &ref), 0);
	ck_assert(ref.words == 2 && ref.creation == 3 && ref.id[0] == 1 && ref.id[1] == 2 &&
		  ref.id[4] == 0);
	ck_assert_int_eq(cn_term_pid(t, &pid), CNODE_EBADARG);
	cnode_term_drop(t);
	t = good_term(BYTES("ew\3a@b\0\0\0\x11\2"));
	ck_assert_int_eq(cn_term_ref(t, &ref), 0);
	ck_assert(ref.words == 1 && ref.creation == 2 && ref.id[0] == 17);
	cnode_term_drop(t);
	/* No node's name, no word. */
	t = good_term(BYTES("Xw\3abc\0\0\0\7\0\0\0\2\0\0\0\5"));
	ck_assert_int_eq(cn_term_pid(t, &pid), CNODE_EBADNAME);
	ck_assert_int_eq(cnode_scan(t, "~p", &pid), CNODE_EBADARG);
	cnode_reader r = cnode_read(t);
	ck_assert(cnode_pid_is_none(cnode_read_pid(&r)));
	ck_assert_int_eq(r.error, CNODE_EBADARG);
	cnode_term_drop(t);
	t = good_term(BYTES("Z\0\0w\3a@b\0\0\0\5"));
	ck_assert_int_eq(cn_term_ref(t, &ref), CNODE_EBADARG);
	cnode_term_drop(t);
	cnode_term none = { 0 };
	ck_assert_int_eq(cn_term_ref(none, &ref), CNODE_EBADARG);
	ck_assert_int_eq(cn_term_pid(none, &pid), CNODE_EBADARG);
}
END_TEST

START_TEST(converts_latin1)
{
	char text[20];
	ck_assert_int_eq(cn_latin1_to_utf8("sm\xf8r", 4, text, sizeof text), 5);
	ck_assert_mem_eq(text, "sm\xc3\xb8r", 5);
	ck_assert_int_eq(cn_latin1_to_utf8("sm\xf8r", 4, text, 5), 5);
	ck_assert_int_eq(cn_latin1_to_utf8("sm\xf8r", 4, text, 4), CNODE_ETOOBIG);
	ck_assert_int_eq(cn_utf8_to_latin1("sm\xc3\xb8r", 5, text, sizeof text), 4);
	ck_assert_mem_eq(text, "sm\xf8r", 4);
	ck_assert_int_eq(cn_utf8_to_latin1("sm\xc3\xb8r", 5, text, 3), CNODE_ETOOBIG);
	ck_assert_int_eq(cn_utf8_to_latin1("\xe2\x82\xac", 3, text, sizeof text), CNODE_EBADNAME);
	ck_assert_int_eq(cn_utf8_to_latin1("\xf8", 1, text, sizeof text), CNODE_EBADNAME);
	ck_assert(cn_atom_valid("", 0) && cn_atom_valid("\xc3\xb8", 2) &&
		  !cn_atom_valid("\xc3", 1));
}
END_TEST

/* ---- ei ---- */

START_TEST(converts_pids_to_ei_and_back)
{
	cnode_pid pid = { 0, 0x7fff, 0x1fff, 0xdeadbeef }, back;
	erlang_pid ei;
	char buf[400];
	int index = 0, at = 0;
	ck_assert_int_eq(cnode_name_of("node@host", &pid.node), 0);
	ck_assert_int_eq(cnode_pid_to_ei(pid, &ei), 0);
	ck_assert_int_eq(ei_encode_pid(buf, &index, &ei), 0);
	cnode_term t;
	ck_assert_int_eq(cnode_term_from_bytes(buf, (size_t)index, &t), 0);
	ck_assert_int_eq(cnode_scan(t, "~p", &back), 0);
	ck_assert(cnode_pid_equal(pid, back));
	cnode_term_drop(t);
	/* What we write, ei reads. */
	ck_assert_int_eq(cnode_format(&t, "~p", pid), 0);
	const char *bytes;
	int size;
	memset(&ei, 0, sizeof ei);
	ck_assert_int_eq(cnode_term_ei(t, &bytes, &size), 0);
	ck_assert_int_eq(ei_decode_pid(bytes, &at, &ei), 0);
	ck_assert_int_eq(at, size);
	ck_assert_int_eq(cnode_pid_from_ei(&ei, &back), 0);
	ck_assert(cnode_pid_equal(pid, back));
	cnode_term_drop(t);
	strcpy(ei.node, "no node");
	ck_assert_int_eq(cnode_pid_from_ei(&ei, &back), CNODE_EBADNAME);
	pid.node = UINT64_MAX;
	ck_assert_int_eq(cnode_pid_to_ei(pid, &ei), CNODE_ESTALE);
}
END_TEST

START_TEST(converts_references_to_ei_and_back)
{
	for (uint32_t words = 1; words <= 5; words++) {
		cnode_ref ref = { 0, 0xdeadbeef, words, { 1, 2, 3, 4, 5 } }, back;
		erlang_ref ei;
		char buf[400];
		int index = 0, at = 0;
		ck_assert_int_eq(cnode_name_of("node@host", &ref.node), 0);
		int rc = cnode_ref_to_ei(ref, &ei);
		if (words > sizeof ei.n / sizeof ei.n[0]) {
			ck_assert_int_eq(rc, CNODE_ETOOBIG);
			continue;
		}
		ck_assert_int_eq(rc, 0);
		ck_assert_int_eq(ei_encode_ref(buf, &index, &ei), 0);
		cnode_term t;
		ck_assert_int_eq(cnode_term_from_bytes(buf, (size_t)index, &t), 0);
		ck_assert_int_eq(cnode_scan(t, "~r", &back), 0);
		ck_assert(cnode_ref_equal(ref, back));
		cnode_term_drop(t);
		ck_assert_int_eq(cnode_format(&t, "~r", ref), 0);
		const char *bytes;
		int size;
		memset(&ei, 0, sizeof ei);
		ck_assert_int_eq(cnode_term_ei(t, &bytes, &size), 0);
		ck_assert_int_eq(ei_decode_ref(bytes, &at, &ei), 0);
		ck_assert_int_eq(at, size);
		ck_assert_int_eq(cnode_ref_from_ei(&ei, &back), 0);
		ck_assert(cnode_ref_equal(ref, back));
		cnode_term_drop(t);
		ei.len = 6;
		ck_assert_int_eq(cnode_ref_from_ei(&ei, &back), CNODE_EBADARG);
		ei.len = 0;
		ck_assert_int_eq(cnode_ref_from_ei(&ei, &back), CNODE_EBADARG);
	}
}
END_TEST

START_TEST(takes_and_gives_ei_x_buffers)
{
	ei_x_buff x, y;
	cnode_term t;
	ei_x_new_with_version(&x);
	ck_assert_int_eq(ei_x_format_wo_ver(&x, "{~a,[~i,~d],~s}", "ok", 1, 2.5, "text"), 0);
	ck_assert_int_eq(cnode_term_from_x(&x, &t), 0);
	ck_assert_term(t, "{ok,[1,2.5],\"text\"}");
	ei_x_new(&y);
	ck_assert_int_eq(cnode_term_to_x(t, &y), 0);
	ck_assert_int_eq(y.index, x.index - 1);
	ck_assert_mem_eq(y.buff, x.buff + 1, (size_t)y.index);
	cnode_term_drop(t);
	/* What ei encodes without a complaint and no BEAM takes. */
	y.index = 0;
	ei_x_encode_double(&y, 1.0 / 0.0);
	ck_assert_int_eq(cnode_term_from_x(&y, &t), CNODE_EBADTERM);
	y.index = 0;
	ei_x_encode_tuple_header(&y, 1 << 24);
	ck_assert_int_eq(cnode_term_from_x(&y, &t), CNODE_EBADTERM);
	y.index = -1;
	ck_assert_int_eq(cnode_term_from_x(&y, &t), CNODE_EBADARG);
	ei_x_free(&x);
	ei_x_free(&y);
}
END_TEST

/* ei's encoders are the oracle of ours. */
START_TEST(encodes_what_ei_decodes)
{
	cnode_term t;
	const char *bytes;
	int size, at = 0, arity;
	char atom[MAXATOMLEN_UTF8], string[20], binary[20];
	long l;
	long long ll;
	double d;
	ck_assert_int_eq(cnode_format(&t,
				      "{sm\xc3\xb8r,-5,~q,2.5,\"text\",<<1,2,3>>,[x|[]],#{k=>v}}",
				      INT64_MIN),
			 0);
	ck_assert_int_eq(cnode_term_ei(t, &bytes, &size), 0);
	ck_assert_int_eq(ei_decode_tuple_header(bytes, &at, &arity), 0);
	ck_assert_int_eq(arity, 8);
	ck_assert_int_eq(ei_decode_atom_as(bytes, &at, atom, sizeof atom, ERLANG_UTF8, NULL, NULL),
			 0);
	ck_assert_str_eq(atom, "sm\xc3\xb8r");
	ck_assert_int_eq(ei_decode_long(bytes, &at, &l), 0);
	ck_assert_int_eq(l, -5);
	ck_assert_int_eq(ei_decode_longlong(bytes, &at, &ll), 0);
	ck_assert(ll == INT64_MIN);
	ck_assert_int_eq(ei_decode_double(bytes, &at, &d), 0);
	ck_assert(d == 2.5);
	ck_assert_int_eq(ei_decode_string(bytes, &at, string), 0);
	ck_assert_str_eq(string, "text");
	ck_assert_int_eq(ei_decode_binary(bytes, &at, binary, &l), 0);
	ck_assert_int_eq(l, 3);
	ck_assert_int_eq(ei_decode_list_header(bytes, &at, &arity), 0);
	ck_assert_int_eq(arity, 1);
	ck_assert_int_eq(ei_decode_atom(bytes, &at, atom), 0);
	ck_assert_int_eq(ei_decode_list_header(bytes, &at, &arity), 0);
	ck_assert_int_eq(arity, 0);
	ck_assert_int_eq(ei_decode_map_header(bytes, &at, &arity), 0);
	ck_assert_int_eq(arity, 1);
	ck_assert_int_eq(ei_skip_term(bytes, &at), 0);
	ck_assert_int_eq(ei_skip_term(bytes, &at), 0);
	ck_assert_int_eq(at, size);
	cnode_term_drop(t);
}
END_TEST

TCase *name_case(void)
{
	TCase *c = tcase_create("name");
	tcase_add_test(c, a_name_has_one_number);
	tcase_add_test(c, knows_what_a_name_is);
	tcase_add_test(c, forgets_names_but_never_mixes_them_up);
	tcase_add_test(c, refuses_more_names_when_all_are_pinned);
	tcase_add_test(c, threads_share_the_table);
	tcase_add_test(c, compares_references);
	tcase_add_test(c, unpacks_identifiers);
	tcase_add_test(c, converts_latin1);
	tcase_add_test(c, converts_pids_to_ei_and_back);
	tcase_add_test(c, converts_references_to_ei_and_back);
	tcase_add_test(c, takes_and_gives_ei_x_buffers);
	tcase_add_test(c, encodes_what_ei_decodes);
	return c;
}
