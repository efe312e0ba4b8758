/* SPDX-License-Identifier: Apache-2.0 */
/* wire: large messages inbound, verified in turns and received into their final memory; and no memory at all. */
#include "tests/alloc_fail.h"
#include "tests/tap.h"
#include "tests/wire_trace.h"

/* ---- large messages ---- */

/* A list of n integers, sent to SELF, in one packet. */
static void put_large(struct cn_buf *b, uint32_t n, bool pass)
{
	static uint8_t control[128];
	size_t size = hex(pass ? "70 83 " SEND_A "83" : "83 44 00 " SEND_A, control);
	cn_put_u32(b, (uint32_t)(size + 5 + 5 * (size_t)n + 1));
	cn_put(b, control, size);
	cn_put_u8(b, CN_LIST);
	cn_put_u32(b, n);
	for (uint32_t i = 0; i < n; i++) {
		cn_put_u8(b, CN_INTEGER);
		cn_put_u32(b, i);
	}
	cn_put_u8(b, CN_NIL);
}

START_TEST(a_large_message_is_verified_in_turns)
{
	for (int pass = 0; pass < 2; pass++) {
		struct cn_buf b = { 0 };
		put_large(&b, 100000, pass);
		struct cn_frame *f = frame(pass ? PASS : NO_CACHE);
		struct cn_packet m;
		ck_assert_int_eq(cn_frame_feed(f, b.data, b.size, 1, &m), b.size);
		ck_assert_int_eq(m.event, CN_FRAME_BUSY);
		ck_assert_int_eq(cn_frame_feed(f, "\0\0\0", 4, 1, &m), 0);
		ck_assert_int_eq(m.event, CN_FRAME_BUSY);
		unsigned turns = 0;
		while (m.event == CN_FRAME_BUSY) {
			ck_assert_int_eq(cn_frame_work(f, &m), 0);
			turns++;
		}
		ck_assert_int_eq(m.event, CN_FRAME_MESSAGE);
		ck_assert_uint_ge(turns, 6);
		cnode_reader r = cnode_read(m.payload);
		ck_assert_uint_eq(cnode_read_list(&r), 100000);
		cn_packet_fini(&m);
		ck_assert_int_eq(cn_frame_feed(f, "\0\0\0", 4, 1, &m), 4);
		ck_assert_int_eq(m.event, CN_FRAME_TICK);
		cn_frame_free(f);
		cn_buf_fini(&b);
	}
}
END_TEST

START_TEST(a_large_message_cut_off_in_its_payload_is_refused)
{
	for (int kind = 0; kind < 4; kind++) {
		struct cn_buf b = { 0 };
		put_large(&b, 30000, kind & 1);
		if (kind & 2)
			b.data[b.size - 6] = 0xff;              /* a bad tag near the end */
		else
			b.data[b.size - 1] = CN_SMALL_TUPLE;    /* whose arity is missing */
		for (int target = 0; target < 2; target++) {
			struct trace t = feed_new(kind & 1 ? PASS : NO_CACHE, b.data, b.size, target ? 10000 : 0, target);
			ck_assert_int_eq(t.error, CNODE_EBADTERM);
			cn_buf_fini(&t.text);
		}
		cn_buf_fini(&b);
	}
}
END_TEST

START_TEST(a_large_control_term_is_read_when_it_is_there)
{
	/* EXIT (3) with a reason of 200,000 bytes in the control term: what a node sends while it connects. */
	static uint8_t head[128];
	struct cn_buf b = { 0 };
	size_t n = hex("83 44 00 68 04 61 03 " TO_B TO_A, head);
	cn_put_u32(&b, (uint32_t)(n + 5 + 200000));
	cn_put(&b, head, n);
	cn_put_u8(&b, CN_BINARY);
	cn_put_u32(&b, 200000);
	memset(cn_buf_reserve(&b, 200000), 'x', 200000);
	b.size += 200000;
	for (int target = 0; target < 2; target++) {
		struct cn_frame *f = frame(ALL);
		struct cn_packet m = { 0 };
		size_t at = 0;
		while (m.event != CN_FRAME_MESSAGE) {
			size_t step = b.size - at < 20000 ? b.size - at : 20000;
			int64_t used = cn_frame_feed(f, b.data + at, step, 1, &m);
			if (used == 0)
				used = cn_frame_feed(f, b.data + at, 70000, 1, &m);
			ck_assert_int_gt(used, 0);
			at += (size_t)used;
		}
		ck_assert_int_eq(m.control.signal, CN_SIGNAL_EXIT);
		cnode_reader r = cnode_read(m.payload);
		size_t size;
		cnode_read_binary(&r, &size);
		ck_assert_uint_eq(size, 200000);
		cn_packet_fini(&m);
		cn_frame_free(f);
	}
	cn_buf_fini(&b);
}
END_TEST

START_TEST(fragments_of_any_size_go_straight_to_their_message)
{
	/* Fragments larger than the receive buffer, around a small message; and what does not fit among them. */
	static uint8_t part[100000];
	struct cn_buf b = { 0 };
	part[0] = 'm';
	cn_store_u32(part + 1, 3 * 100000 - 5);
	put_fragment(&b, true, 7, 3, part, sizeof part);
	put_fragment(&b, true, 8, 1, "a\7", 2);
	memset(part, 'x', sizeof part);
	put_fragment(&b, false, 7, 2, part, sizeof part);
	size_t good = b.size;
	put_fragment(&b, false, 7, 1, part, sizeof part);
	for (int target = 0; target < 2; target++) {
		struct trace t = feed_new(NO_CACHE, b.data, b.size, 30000, target);
		ck_assert_int_eq(t.error, 0);
		ck_assert_uint_eq(t.messages, 2);
		ck_assert_uint_eq(t.parts, 2);
		ck_assert_uint_gt(t.text.size, 300000);
		cn_buf_fini(&t.text);
	}
	for (int kind = 0; kind < 4; kind++) {
		struct trace t;
		b.size = good;
		if (kind == 0)
			put_fragment(&b, false, 9, 1, part, sizeof part);       /* unknown */
		else if (kind == 1)
			put_fragment(&b, false, 7, 2, part, sizeof part);       /* again */
		else if (kind == 2)
			put_fragment(&b, true, 7, 2, part, sizeof part);        /* in use */
		else
			put_fragment(&b, true, 7, 0, part, sizeof part);
		t = feed_new(NO_CACHE, b.data, b.size, 30000, true);
		ck_assert_int_eq(t.error, CNODE_EPROTO);
		ck_assert_uint_eq(t.messages, 1);
		cn_buf_fini(&t.text);
	}
	/* Cut off by the end of the link in the middle of each: nothing leaks. */
	for (size_t cut = 0; cut < good; cut += 40001) {
		struct trace t = feed_new(NO_CACHE, b.data, cut, 7000, true);
		ck_assert_int_eq(t.error, 0);
		cn_buf_fini(&t.text);
	}
	cn_buf_fini(&b);
}
END_TEST

START_TEST(a_message_grows_as_it_arrives)
{
	/* More than is believed of an announcement, whole and in fragments of 1 MB. */
	size_t size = 5000000;
	uint8_t *data = malloc(size), control[128];
	data[0] = CN_BINARY;
	cn_store_u32(data + 1, (uint32_t)size - 5);
	for (size_t i = 5; i < size; i++)
		data[i] = (uint8_t)(i * 13 + i / 253);
	for (int kind = 0; kind < 4; kind++) {
		struct cn_buf b = { 0 };
		if (kind & 1) {
			for (unsigned i = 0; i < 5; i++)
				put_fragment(&b, i == 0, 7, 5 - i, data + i * 1000000, 1000000);
		} else {
			size_t n = hex("83 44 00 " SEND_A, control);
			cn_put_u32(&b, (uint32_t)(n + size));
			cn_put(&b, control, n);
			cn_put(&b, data, size);
		}
		struct cn_frame *f = frame(NO_CACHE);
		struct cn_packet m = { 0 };
		for (size_t at = 0; m.event != CN_FRAME_MESSAGE;) {
			size_t room, n = b.size - at < 300000 ? b.size - at : 300000;
			uint8_t *to = kind & 2 ? cn_frame_target(f, &room) : NULL;
			if (to) {
				n = n < room ? n : room;
				memcpy(to, b.data + at, n);
				ck_assert_int_eq(cn_frame_filled(f, n, 1, &m), 0);
				at += n;
			} else {
				int64_t used = cn_frame_feed(f, b.data + at, n, 1, &m);
				ck_assert_int_gt(used, 0);
				at += (size_t)used;
			}
		}
		cnode_reader r = cnode_read(m.payload);
		size_t got;
		const void *bytes = cnode_read_binary(&r, &got);
		ck_assert_uint_eq(got, size - 5);
		ck_assert(memcmp(bytes, data + 5, got) == 0);
		cn_packet_fini(&m);
		cn_frame_free(f);
		cn_buf_fini(&b);
	}
	free(data);
}
END_TEST

/* ---- memory ---- */

static uint32_t direct_size;

static void all_scenarios(void)
{
	struct cn_frame_config config = { .flags = ALL, .self = name_of(SELF), .peer = name_of(PEER), .direct = direct_size };
	static uint8_t bytes[512];
	static const char *const packets[] = {
		"83 44 02 88 00 07 03 'one' 08 03 'two' " SEND_A "68 02 52 00 52 01",
		"83 44 01 08 07 03 'new' 68 04 61 03 " TO_B TO_A "52 00",
		"83 45 00 00 00 00 00 00 00 05 00 00 00 00 00 00 00 02 01 08 07 03 'one' 68 04 61 06 " TO_B "77 00 52 00 68 02",
		"83 46 00 00 00 00 00 00 00 05 00 00 00 00 00 00 00 01 52 00 61 01",
	};
	struct cn_frame *f = NULL;
	int rc = cn_frame_new(&config, &f);
	struct cn_packet m;
	for (size_t i = 0; rc == 0 && i < CN_ARRAY_SIZE(packets); i++) {
		size_t n = hex(packets[i], bytes + 4);
		cn_store_u32(bytes, (uint32_t)n);
		int64_t used = direct_size ? cn_frame_feed(f, bytes, n + 3, 1, &m) : 0;
		if (used >= 0)
			used = cn_frame_feed(f, bytes + used, n + 4 - (size_t)used, 1, &m);
		rc = used < 0 ? (int)used : 0;
		if (rc == 0 && m.event == CN_FRAME_MESSAGE)
			cn_packet_fini(&m);
	}
	ck_assert(rc == 0 || rc == CNODE_ENOMEM);
	cn_frame_free(f);
}

static uint8_t large_bytes[3000000];
static size_t large_size;

static void large_scenario(void)
{
	struct cn_frame_config config = { .flags = NO_CACHE, .self = name_of(SELF), .peer = name_of(PEER) };
	struct cn_frame *f = NULL;
	int rc = cn_frame_new(&config, &f);
	struct cn_packet m = { 0 };
	for (size_t at = 0; rc == 0 && m.event != CN_FRAME_MESSAGE;) {
		size_t n = large_size - at < 500000 ? large_size - at : 500000;
		int64_t used = m.event == CN_FRAME_BUSY ? cn_frame_work(f, &m) : cn_frame_feed(f, large_bytes + at, n, 1, &m);
		rc = used < 0 ? (int)used : 0;
		at += used > 0 ? (size_t)used : 0;
	}
	if (rc == 0)
		cn_packet_fini(&m);
	ck_assert(rc == 0 || rc == CNODE_ENOMEM);
	cn_frame_free(f);
}

START_TEST(survives_every_failing_allocation)
{
	name_of(SELF);
	name_of(PEER);
	alloc_fail_each(all_scenarios);
	direct_size = 1;
	alloc_fail_each(all_scenarios);
	struct cn_buf b = { 0 };
	put_large(&b, 500000, false);
	memcpy(large_bytes, b.data, large_size = b.size);
	cn_buf_fini(&b);
	alloc_fail_each(large_scenario);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("wire_large");
	TCase *t = tcase_create("frame");
	tcase_add_test(t, a_large_message_is_verified_in_turns);
	tcase_add_test(t, a_large_message_cut_off_in_its_payload_is_refused);
	tcase_add_test(t, a_large_control_term_is_read_when_it_is_there);
	tcase_add_test(t, fragments_of_any_size_go_straight_to_their_message);
	tcase_add_test(t, a_message_grows_as_it_arrives);
	tcase_add_test(t, survives_every_failing_allocation);
	suite_add_tcase(s, t);
	return tap_run(s);
}
