/* SPDX-License-Identifier: Apache-2.0 */
/* wire: large payloads in fragments, and the queue of bytes on their way to the socket. */
#include "tests/alloc_fail.h"
#include "tests/tap.h"
#include "tests/wire_link.h"

START_TEST(large_payloads_are_cut_into_fragments)
{
	/* Around one, two and three fragments, and around the size from which on bytes are referenced. */
	static const size_t sizes[] = { 8186, 8187, 8188, 65530, 65531, 65532, 131066, 131067, 131068, 300000 };
	for (size_t i = 0; i < CN_ARRAY_SIZE(sizes); i++) {
		cnode_term t = binary_of(sizes[i]);
		for (size_t k = 0; k < CN_ARRAY_SIZE(flag_sets); k++) {
			struct link l;
			struct cn_control c = sample(CN_SIGNAL_SEND);
			link_open(&l, flag_sets[k], 0);
			bool cut = flag_sets[k] & CN_DFLAG_FRAGMENTS && sizes[i] + 5 > CN_FRAGMENT;
			int rc = try_send(&l, &c, t);
			ck_assert_int_eq(rc, cut ? CN_ENCODE_QUEUE : 0);
			if (cut) {
				ck_assert_uint_eq(l.out.size, 0);
				queue(&l, &c, t);
			}
			transmit(&l);
			if (cut)
				ck_assert_uint_eq(l.bytes[5], 69);
			ck_assert(next(&l) && cnode_term_equal(l.m.payload, t));
			ck_assert(!next(&l));
			link_close(&l);
		}
		cnode_term_drop(t);
	}
}
END_TEST

static int given_back;
static void give_back(void *context)
{
	(void)context;
	given_back++;
}

/* How many bytes of the queue stand in [from, from + size): what the socket will read from there. */
static size_t referenced(const struct cn_out *out, const uint8_t *from, size_t size)
{
	struct cn_piece pieces[256];
	unsigned n = cn_out_pieces(out, pieces, CN_ARRAY_SIZE(pieces));
	size_t sum = 0;
	ck_assert_uint_lt(n, CN_ARRAY_SIZE(pieces));
	for (unsigned i = 0; i < n; i++)
		if ((const uint8_t *)pieces[i].bytes >= from && (const uint8_t *)pieces[i].bytes < from + size)
			sum += pieces[i].size;
	return sum;
}

START_TEST(what_was_handed_over_is_referenced_not_copied)
{
	/* Around the first fragment's end, with a head that is cut by it, and a megabyte. */
	static const size_t sizes[] = { 8192, CN_FRAGMENT - 30, CN_FRAGMENT - 18, CN_FRAGMENT - 17, CN_FRAGMENT - 10, CN_FRAGMENT,
					2 * CN_FRAGMENT, 1 << 20 };
	static uint8_t bytes[1 << 20];
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (uint8_t)(i * 7 + i / 251);
	for (size_t i = 0; i < CN_ARRAY_SIZE(sizes); i++) {
		for (size_t k = 0; k < CN_ARRAY_SIZE(flag_sets); k++) {
			struct link l;
			struct cn_control c = sample(CN_SIGNAL_SEND);
			cnode_term t, same;
			given_back = 0;
			ck_assert_int_eq(cnode_format(&t, "{first,~B,~B,last}", bytes, sizes[i], give_back, NULL, bytes, (size_t)9000,
						      give_back, NULL), 0);
			ck_assert_int_eq(cnode_format(&same, "{first,~b,~b,last}", bytes, sizes[i], bytes, (size_t)9000), 0);
			link_open(&l, flag_sets[k], 0);
			int rc = try_send(&l, &c, t);
			ck_assert(rc == 0 || rc == CN_ENCODE_QUEUE);
			if (rc == CN_ENCODE_QUEUE)
				queue(&l, &c, t);
			/* But for the ends of fragments, which are too small to be worth it. */
			size_t there = referenced(&l.out, bytes, sizeof bytes);
			ck_assert_uint_le(there, sizes[i] + 9000);
			ck_assert_uint_ge(there + (rc == 0 ? 0 : 2 * CN_OUT_REFERENCE), sizes[i] + 9000);
			cnode_term_drop(t);
			ck_assert_int_eq(given_back, 0);
			transmit(&l);
			ck_assert_int_eq(given_back, 2);
			ck_assert(next(&l) && cnode_term_equal(l.m.payload, same));
			ck_assert(!next(&l));
			/* In the control message, which is one piece, there is a copy. */
			if (i == 0) {
				c = sample(CN_SIGNAL_EXIT);
				ck_assert_int_eq(cnode_format(&t, "{why,~B}", bytes, sizes[i], give_back, NULL), 0);
				ck_assert_int_eq(try_send(&l, &c, t), 0);
				cnode_term_drop(t);
				transmit(&l);
				ck_assert_int_eq(given_back, 3);
				ck_assert(next(&l));
			}
			link_close(&l);
			cnode_term_drop(same);
		}
	}
}
END_TEST

START_TEST(fragments_of_two_messages_and_others_interleave)
{
	struct link l;
	struct cn_control c = sample(CN_SIGNAL_SEND), r = sample(CN_SIGNAL_REG_SEND);
	cnode_term big = term_of("{big,\"a string of some length\",[1000,2000,3000],big}");
	cnode_term other = term_of("{other,<<\"0123456789012345678901234567890123456789\">>}");
	cnode_term small = term_of("small");
	struct cn_sending *one, *two;
	link_open(&l, ALL, 16);
	ck_assert_int_eq(cn_sending_new(l.e, &c, big, &one, NULL), 0);
	ck_assert_int_eq(cn_sending_new(l.e, &r, other, &two, NULL), 0);
	ck_assert_uint_gt(cn_sending_size(one), 40);
	ck_assert(!cn_sending_started(one));
	int a = 1, b = 1;
	while (a == 1 || b == 1) {
		if (a == 1)
			a = cn_sending_next(one, l.e, &l.out);
		ck_assert_int_eq(try_send(&l, &c, small), 0);
		if (b == 1)
			b = cn_sending_next(two, l.e, &l.out);
	}
	ck_assert_int_eq(a | b, 0);
	cn_sending_free(one);
	cn_sending_free(two);
	transmit(&l);
	unsigned smalls = 0, bigs = 0, others = 0;
	while (next(&l)) {
		smalls += cnode_term_equal(l.m.payload, small);
		bigs += cnode_term_equal(l.m.payload, big);
		others += l.m.control.signal == CN_SIGNAL_REG_SEND && cnode_term_equal(l.m.payload, other);
	}
	ck_assert_uint_ge(smalls, 3);
	ck_assert_uint_eq(bigs, 1);
	ck_assert_uint_eq(others, 1);
	link_close(&l);
	cnode_term_drop(big);
	cnode_term_drop(other);
	cnode_term_drop(small);
}
END_TEST

START_TEST(a_sending_keeps_what_it_needs)
{
	struct link l;
	char name[] = "reg";
	struct cn_control c = sample(CN_SIGNAL_REG_SEND);
	struct cn_sending *s;
	link_open(&l, ALL, 0);
	c.name = atom_of(name);
	cnode_term t = binary_of(200000), same = binary_of(200000);
	ck_assert_int_eq(cn_sending_new(l.e, &c, t, &s, NULL), 0);
	cnode_term_drop(t);
	memset(name, 'x', 3);
	ck_assert_int_eq(cn_sending_next(s, l.e, &l.out), 1);
	ck_assert_int_eq(cn_sending_next(s, l.e, &l.out), 1);
	ck_assert_int_eq(cn_sending_next(s, l.e, &l.out), 1);
	ck_assert_int_eq(cn_sending_next(s, l.e, &l.out), 0);
	cn_sending_free(s);
	transmit(&l);
	ck_assert(next(&l) && atom_is(l.m.control.name, "reg") && cnode_term_equal(l.m.payload, same));
	link_close(&l);
	cnode_term_drop(same);
}
END_TEST

/* ---- the queue of bytes ---- */

START_TEST(out_keeps_its_order_however_it_is_written)
{
	for (size_t step = 1; step < 40; step++) {
		struct cn_out out;
		struct cn_blob *blob = cn_blob_new(26);
		char want[4000], got[4000];
		size_t want_size = 0, got_size = 0;
		for (int i = 0; i < 26; i++)
			blob->bytes[i] = (uint8_t)('a' + i);
		cn_out_init(&out);
		for (int i = 0; i < 60; i++) {
			char text[16];
			int n = snprintf(text, sizeof text, "<%d>", i);
			ck_assert_int_eq(cn_out_put(&out, text, (size_t)n), 0);
			memcpy(want + want_size, text, (size_t)n);
			want_size += (size_t)n;
			if (i % 3 == 0) {
				ck_assert_int_eq(cn_out_refer(&out, blob->bytes + i % 26, 26 - i % 26, blob), 0);
				memcpy(want + want_size, blob->bytes + i % 26, 26 - i % 26);
				want_size += 26 - i % 26;
			}
			if (i % 7 == 0 && out.size > step) {
				struct cn_piece p[3];
				unsigned k = cn_out_pieces(&out, p, 3);
				ck_assert_uint_ge(k, 1);
				size_t take = p[0].size < step ? p[0].size : step;
				memcpy(got + got_size, p[0].bytes, take);
				got_size += take;
				cn_out_sent(&out, take);
			}
		}
		cn_blob_unref(blob);
		while (out.size > 0) {
			struct cn_piece p[4];
			size_t left = step;
			unsigned k = cn_out_pieces(&out, p, 4);
			for (unsigned i = 0; i < k && left > 0; i++) {
				size_t take = p[i].size < left ? p[i].size : left;
				memcpy(got + got_size, p[i].bytes, take);
				got_size += take;
				left -= take;
			}
			cn_out_sent(&out, step - left);
		}
		ck_assert_uint_eq(got_size, want_size);
		ck_assert_mem_eq(got, want, want_size);
		cn_out_fini(&out);
	}
}
END_TEST

START_TEST(out_gives_back_memory_and_references)
{
	struct cn_out out;
	struct cn_blob *blob = cn_blob_new(10);
	static uint8_t zeros[400000];
	cn_out_init(&out);
	ck_assert_int_eq(cn_out_refer(&out, blob->bytes, 10, blob), 0);
	ck_assert_uint_eq(blob->refs, 2);
	cn_out_sent(&out, 10);
	ck_assert_uint_eq(blob->refs, 1);
	ck_assert_int_eq(cn_out_refer(&out, blob->bytes, 10, blob), 0);
	ck_assert_int_eq(cn_out_put(&out, zeros, sizeof zeros), 0);
	ck_assert_int_eq(cn_out_refer(&out, blob->bytes, 10, blob), 0);
	cn_out_sent(&out, 10 + 300000);
	ck_assert_uint_eq(out.copied.size, 100000);
	struct cn_piece p[2];
	ck_assert_uint_eq(cn_out_pieces(&out, p, 2), 2);
	ck_assert(p[0].size == 100000 && p[1].size == 10 && p[1].bytes == blob->bytes);
	cn_out_sent(&out, 100010);
	ck_assert_ptr_null(out.copied.data);
	ck_assert_int_eq(cn_out_refer(&out, blob->bytes, 10, blob), 0);
	cn_out_fini(&out);
	ck_assert_uint_eq(blob->refs, 1);
	cn_blob_unref(blob);
}
END_TEST

/* ---- memory ---- */

static cnode_term fail_small, fail_large, fail_handed, fail_opts;

/* Whatever fails, the peer reads on: what was appended is whole, and its cache is as ours. */
static void scenario(void)
{
	struct cn_encoder_config out = { .flags = ALL, .peer_flags = ALL };
	struct cn_encoder *e = NULL;
	struct cn_out o;
	unsigned sent = 0;
	cn_out_init(&o);
	int rc = cn_encoder_new(&out, &e);
	for (int i = 0; rc == 0 && i < 8; i++) {
		struct cn_control c = { .signal = CN_SIGNAL_SEND, .from = { name_of(SELF), 2, 0, 1 }, .to = { name_of(PEER), 1, 0, 1 } };
		struct cn_sending *s = NULL;
		int one;
		if (i == 1) {
			c.signal = CN_SIGNAL_SPAWN_REQUEST;
			c.ref = (cnode_ref){ name_of(SELF), 1, 3, { 1, 2, 3 } };
			c.leader = c.from;
			c.module = c.function = atom_of("name");
			c.opts = fail_opts;
		}
		if (i < 4) {
			one = cn_encode(e, &o, &c, fail_small, NULL);
		} else {
			one = cn_sending_new(e, &c, i < 6 ? fail_large : fail_handed, &s, NULL);
			while (one == 0 && (one = cn_sending_next(s, e, &o)) == 1)
				one = 0;
			if (one && s && cn_sending_started(s))
				rc = one;       /* in the middle: the link would end here */
			cn_sending_free(s);
			if (rc)
				break;
		}
		ck_assert(one == 0 || one == CNODE_ENOMEM);
		sent += one == 0;
	}
	cnode_allocator_set(NULL);
	size_t size, at = 0;
	uint8_t *bytes = flatten(&o, &size);
	struct cn_frame_config in = { .flags = ALL, .self = name_of(PEER), .peer = name_of(SELF) };
	struct cn_frame *f;
	ck_assert_int_eq(cn_frame_new(&in, &f), 0);
	while (at < size) {
		struct cn_packet m;
		int64_t n = cn_frame_feed(f, bytes + at, size - at, 0, &m);
		ck_assert_msg(n > 0, "%s", cn_frame_reason(f));
		at += (size_t)n;
		while (m.event == CN_FRAME_BUSY)
			ck_assert_int_eq(cn_frame_work(f, &m), 0);
		if (m.event != CN_FRAME_MESSAGE)
			continue;
		ck_assert(cnode_term_equal(m.payload, fail_small) || cnode_term_equal(m.payload, fail_large) ||
			  cnode_term_equal(m.payload, fail_handed));
		cn_packet_fini(&m);
		sent--;
	}
	ck_assert_uint_eq(sent, 0);
	free(bytes);
	cn_frame_free(f);
	cn_encoder_free(e);
	cn_out_fini(&o);
}

START_TEST(survives_every_failing_allocation)
{
	fail_small = term_of("{one,two,three}");
	fail_opts = term_of("[link]");
	static uint8_t bytes[100000];
	fail_large = binary_of(150000);
	ck_assert_int_eq(cnode_format(&fail_handed, "{~B,~B}", bytes, sizeof bytes, give_back, NULL, bytes, sizeof bytes, NULL, NULL), 0);
	name_of(SELF);
	name_of(PEER);
	alloc_fail_each(scenario);
	cnode_term_drop(fail_small);
	cnode_term_drop(fail_large);
	ck_assert_int_eq(given_back, 0);
	cnode_term_drop(fail_handed);
	ck_assert_int_eq(given_back, 1);
	cnode_term_drop(fail_opts);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("wire_out");
	TCase *t = tcase_create("encode");
	tcase_add_test(t, large_payloads_are_cut_into_fragments);
	tcase_add_test(t, what_was_handed_over_is_referenced_not_copied);
	tcase_add_test(t, fragments_of_two_messages_and_others_interleave);
	tcase_add_test(t, a_sending_keeps_what_it_needs);
	tcase_add_test(t, out_keeps_its_order_however_it_is_written);
	tcase_add_test(t, out_gives_back_memory_and_references);
	tcase_add_test(t, survives_every_failing_allocation);
	suite_add_tcase(s, t);
	return tap_run(s);
}
