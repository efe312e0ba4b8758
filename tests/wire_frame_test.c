/* SPDX-License-Identifier: Apache-2.0 */
/* wire: packets inbound. Recorded frames of OTP nodes, and what their own nodes would refuse. */
#include "tests/tap.h"
#include "tests/wire_trace.h"

/* ---- recorded frames ---- */

static const char *const releases[] = { "23", "25", "27", "29" };
static const struct {
	const char *name;
	uint64_t flags;
	const char *self;
} kinds[] = {
	{ "cached", ALL, "rec_cached@127.0.0.1" },
	{ "fragments", NO_CACHE, "rec_fragments@127.0.0.1" },
	{ "pass", PASS, "rec_pass@127.0.0.1" },
};

/* All frames of one recording in order; yours (free). */
static uint8_t *recording(const char *release, const char *kind, size_t *size, unsigned *packets)
{
	char path[128];
	size_t n;
	snprintf(path, sizeof path, "conformance/corpus/%s/INDEX", release);
	char *index = (char *)read_file(path, &n);
	ck_assert_msg(index != NULL, "no recording %s", path);
	struct cn_buf all;
	cn_buf_init(&all, 0);
	index = realloc(index, n + 1);
	index[n] = 0;
	*packets = 0;
	for (char *save, *line = strtok_r(index, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (strncmp(line, kind, strlen(kind)) != 0 || line[strlen(kind)] != '/')
			continue;
		*strchr(line, '\t') = 0;
		snprintf(path, sizeof path, "conformance/corpus/%s/%s", release, line);
		uint8_t *one = read_file(path, &n);
		ck_assert_ptr_nonnull(one);
		cn_put(&all, one, n);
		(*packets)++;
		free(one);
	}
	free(index);
	uint8_t *bytes = malloc(all.size);
	memcpy(bytes, all.data, all.size);
	*size = all.size;
	cn_buf_fini(&all);
	return bytes;
}

START_TEST(reads_what_otp_nodes_sent_however_it_is_cut)
{
	const char *release = releases[_i % 4];
	size_t k = (size_t)_i / 4, size;
	unsigned packets;
	uint8_t *bytes = recording(release, kinds[k].name, &size, &packets);
	struct cn_frame_config config = { .self = name_of(kinds[k].self), .peer = name_of("otp@127.0.0.1") };
	static const size_t steps[] = { 0, 1, 2, 3, 7, 1000, 65536, 100000 };
	struct trace first = { 0 };
	for (size_t i = 0; i < CN_ARRAY_SIZE(steps); i++) {
		for (int how = 0; how < 4; how++) {
			bool target = how & 1;
			config.direct = how & 2 ? 1 : 0;
			struct cn_frame *f = frame_with(kinds[k].flags, config);
			struct trace t = { 0 };
			feed(f, &t, bytes, size, steps[i], target);
			ck_assert_msg(t.error == 0, "%s %s: %s", release, kinds[k].name, cn_frame_reason(f));
			ck_assert_uint_eq(t.messages + t.parts, packets);
			if (i == 0 && how == 0) {
				first = t;
			} else {
				ck_assert_uint_eq(t.text.size, first.text.size);
				ck_assert_mem_eq(t.text.data, first.text.data, first.text.size);
				cn_buf_fini(&t.text);
			}
			cn_frame_free(f);
		}
	}
	if (getenv("SHOW"))
		fprintf(stderr, "%.*s", (int)first.text.size, (char *)first.text.data);
	/* The name of the file tells which op it is: 056-first-fragment-send-sender.bin. */
	ck_assert(strstr((char *)first.text.data, "LINK(1)") != NULL);
	ck_assert(strstr((char *)first.text.data, "SPAWN_REQUEST(29) name= mfa=") != NULL);
	cn_buf_fini(&first.text);
	free(bytes);
}
END_TEST

/* ---- protocol.md's samples ---- */

START_TEST(reads_a_header_that_mixes_new_and_cached_atoms)
{
	/* Two packets: the first fills four slots, the second uses two of them again and fills two. */
	uint8_t bytes[1024];
	size_t n = hex("83 44 04 8b aa 00 fc 0b 'b@127.0.0.1' 05 00 b7 03 'rex' 5c 10 'features_request' 68 04 61 06"
		       "58 52 00 00 00 00 09 00 00 00 00 00 00 00 01 52 01 52 02 68 02 52 03 61 01", bytes + 4);
	cn_store_u32(bytes, (uint32_t)n);
	size_t at = 4 + n;
	/* 0x2b7 rex (cached), 0x3fc b@… (cached), 0x4e9 new, 0x005 '' (cached) */
	size_t n2 = hex("83 44 04 32 0c 00 b7 fc e9 0e 'features_reply' 05 68 04 61 06 58 52 01 00 00 00 09 00 00 00 00"
			"00 00 00 01 52 03 52 00 68 02 52 02 52 00", bytes + at + 4);
	cn_store_u32(bytes + at, (uint32_t)n2);
	struct trace t = feed_new(ALL, bytes, at + 4 + n2, 0, false);
	ck_assert_int_eq(t.error, 0);
	ck_assert_uint_eq(t.messages, 2);
	cn_put_u8(&t.text, 0);
	ck_assert_ptr_nonnull(strstr((char *)t.text.data, "REG_SEND(6) name=rex"));
	ck_assert_ptr_nonnull(strstr((char *)t.text.data, "{features_request,1}"));
	ck_assert_ptr_nonnull(strstr((char *)t.text.data, "{features_reply,rex}"));
	cn_buf_fini(&t.text);
}
END_TEST

START_TEST(atoms_keep_their_meaning_when_a_later_reference_overwrites_the_slot)
{
	/* Three references to slot 7: old text, then new text, then the new one; all in one header. */
	uint8_t bytes[256];
	size_t n = hex("83 44 02 88 00 07 03 'one' 08 0b 'b@127.0.0.1' 68 03 61 02 77 00 58 52 01 00 00 00 01 00 00 00"
		       "00 00 00 00 01 52 00", bytes + 4);
	cn_store_u32(bytes, (uint32_t)n);
	size_t at = n + 4;
	size_t n2 = hex("83 44 03 80 00 07 07 03 'two' 07 68 03 61 02 77 00 58 77 0b 'b@127.0.0.1' 00 00 00 01 00 00"
			"00 00 00 00 00 01 68 03 52 00 52 01 52 02", bytes + at + 4);
	cn_store_u32(bytes + at, (uint32_t)n2);
	struct trace t = feed_new(ALL, bytes, at + 4 + n2, 0, false);
	ck_assert_int_eq(t.error, 0);
	cn_put_u8(&t.text, 0);
	ck_assert_ptr_nonnull(strstr((char *)t.text.data, "{one,two,two}"));
	cn_buf_fini(&t.text);
}
END_TEST

/* Puts a packet behind those at bytes; returns where the next one goes. */
static size_t put_packet(uint8_t *bytes, size_t at, const char *text)
{
	size_t n = hex(text, bytes + at + 4);
	cn_store_u32(bytes + at, (uint32_t)n);
	return at + 4 + n;
}

START_TEST(messages_that_repeat_each_other_mean_what_their_own_headers_say)
{
	/* From <b.1.0> to whom slot 7 names, of whom slot 8 says that it is '': header and control term as bytes are the same. */
#define CONTROL "68 04 61 06 58 52 00 00 00 00 01 00 00 00 00 00 00 00 01 52 01 52 02 "
#define AGAIN "83 44 03 00 00 06 08 07 " CONTROL
	static const struct {
		const char *packet, *name, *payload;
	} said[] = {
		{ "83 44 03 88 08 06 0b 'b@127.0.0.1' 08 00 07 03 'one' " CONTROL "52 02", "one", "one" },
		{ AGAIN "61 05", "one", "5" },
		{ AGAIN "52 02", "one", "one" },
		{ AGAIN "68 02 52 02 52 01", "one", "{one,''}" },
		/* The slot changes, by a header that is the same in all else; then it is only repeated. */
		{ "83 44 03 00 08 06 08 07 03 'two' " CONTROL "52 02", "two", "two" },
		{ AGAIN "52 02", "two", "two" },
		{ AGAIN "61 06", "two", "6" },
		/* A first and last fragment in one changes it. */
		{ "83 45 00 00 00 00 00 00 00 01 00 00 00 00 00 00 00 01 03 00 08 06 08 07 05 'three' " CONTROL "52 02", "three", "three" },
		{ AGAIN "52 02", "three", "three" },
		/* A header that writes what is there already, and reads it before. */
		{ "83 44 04 00 80 00 06 08 07 07 04 'four' " CONTROL "68 02 52 02 52 03", "three", "{three,four}" },
		{ "83 44 04 00 80 00 06 08 07 07 04 'four' " CONTROL "68 02 52 02 52 03", "four", "{four,four}" },
		/* A name that is written out goes with its packet. */
		{ "83 44 01 00 06 68 04 61 06 58 52 00 00 00 00 01 00 00 00 00 00 00 00 01 77 00 77 04 'five' 61 01", "five", "1" },
		{ "83 44 01 00 06 68 04 61 06 58 52 00 00 00 00 01 00 00 00 00 00 00 00 01 77 00 77 04 'five' 61 02", "five", "2" },
		/* Another receiver. */
		{ AGAIN "61 01", "four", "1" },
		{ "83 44 02 00 00 06 07 68 03 61 16 58 52 00 00 00 00 01 00 00 00 00 00 00 00 01 "
		  "58 77 0b 'b@127.0.0.1' 00 00 00 09 00 00 00 00 00 00 00 01 52 01", "", "four" },
		{ "83 44 02 00 00 06 07 68 03 61 16 58 52 00 00 00 00 01 00 00 00 00 00 00 00 01 "
		  "58 77 0b 'b@127.0.0.1' 00 00 00 09 00 00 00 00 00 00 00 01 52 01", "", "four" },
	};
#undef AGAIN
#undef CONTROL
	uint8_t bytes[2048];
	size_t size = 0;
	for (size_t i = 0; i < CN_ARRAY_SIZE(said); i++)
		size = put_packet(bytes, size, said[i].packet);
	struct cn_frame_config config = { .self = name_of("me@127.0.0.1"), .peer = name_of("b@127.0.0.1") };
	static const size_t steps[] = { 0, 1, 7, 50 };
	for (size_t how = 0; how < CN_ARRAY_SIZE(steps); how++) {
		struct trace t = { 0 };
		struct cn_frame *f = frame_with(ALL, config);
		feed(f, &t, bytes, size, steps[how], false);
		ck_assert_msg(t.error == 0, "%s", cn_frame_reason(f));
		ck_assert_uint_eq(t.messages, CN_ARRAY_SIZE(said));
		cn_put_u8(&t.text, 0);
		const char *line = (const char *)t.text.data;
		for (size_t i = 0; i < CN_ARRAY_SIZE(said); i++) {
			char name[32], payload[32];
			const char *end = strchr(line, '\n');
			ck_assert_ptr_nonnull(end);
			int n = (int)(end - line);
			snprintf(name, sizeof name, " name=%s ", said[i].name);
			snprintf(payload, sizeof payload, " %s\n", said[i].payload);
			ck_assert_msg(memmem(line, (size_t)n, name, strlen(name)) != NULL, "%zu: %.*s", i, n, line);
			ck_assert_msg(memmem(line, (size_t)n + 1, payload, strlen(payload)) != NULL, "%zu: %.*s", i, n, line);
			line = end + 1;
		}
		cn_buf_fini(&t.text);
		cn_frame_free(f);
	}
}
END_TEST

START_TEST(long_atoms_have_their_half_byte_behind_the_references)
{
	/* N odd: the high nibble of the last byte; N even: the low nibble of another byte. */
	ck_assert_int_eq(try_hex(ALL, "83 44 01 18 07 00 03 'one' " SEND_A "52 00"), 0);
	ck_assert_int_eq(try_hex(ALL, "83 44 02 88 01 07 00 03 'one' 08 00 03 'two' " SEND_A "52 01"), 0);
	ck_assert_int_eq(try_hex(ALL, "83 44 02 88 00 07 03 'one' 08 03 'two' " SEND_A "52 01"), 0);
	/* A wrong place makes nonsense of the lengths. */
	ck_assert_int_eq(try_hex(ALL, "83 44 02 88 10 07 00 03 'one' 08 00 03 'two' " SEND_A "52 01"), CNODE_EPROTO);
}
END_TEST

START_TEST(refuses_what_makes_a_header_corrupt)
{
	ck_assert_int_eq(try_hex(ALL, "83 44 01 00 07 " SEND_A "61 01"), CNODE_EPROTO);          /* empty slot */
	ck_assert_int_eq(try_hex(ALL, "83 44 01 08 07 02 c3 28 " SEND_A "61 01"), CNODE_EPROTO); /* UTF-8 */
	ck_assert_int_eq(try_hex(ALL, "83 44 01 08 07 ff 'x'"), CNODE_EPROTO);                   /* cut */
	ck_assert_int_eq(try_hex(ALL, "83 44 ff 08"), CNODE_EPROTO);
	ck_assert_int_eq(try_hex(ALL, "83 44"), CNODE_EPROTO);
	ck_assert_int_eq(try_hex(ALL, "83"), CNODE_EPROTO);
	ck_assert_int_eq(try_hex(ALL, "83 47 00"), CNODE_EPROTO);
	ck_assert_int_eq(try_hex(NO_CACHE, "83 44 01 08 07 03 'one' " SEND_A "52 00"), CNODE_EPROTO);
	ck_assert_int_eq(try_hex(NO_CACHE, "83 44 00 " SEND_A "61 01"), 0);
	/* 256 characters in an atom */
	char text[4096] = "83 44 01 18 07 01 00 '";
	memset(text + strlen(text), 'x', 256);
	strcat(text, "' " SEND_A "61 01");
	ck_assert_int_eq(try_hex(ALL, text), CNODE_EPROTO);
}
END_TEST

START_TEST(the_form_of_packets_follows_the_negotiated_flags)
{
	static const char pass[] = "70 83 " SEND_A "83 61 01", header[] = "83 44 00 " SEND_A "61 01";
	static const char first[] = "83 45 00 00 00 00 00 00 00 05 00 00 00 00 00 00 00 01 00 " SEND_A "61 01";
	const uint64_t cache_only = ALL & ~CN_DFLAG_FRAGMENTS;
	ck_assert_int_eq(try_hex(PASS, pass), 0);
	ck_assert_int_eq(try_hex(PASS, header), CNODE_EPROTO);
	ck_assert_int_eq(try_hex(PASS, first), CNODE_EPROTO);
	ck_assert_int_eq(try_hex(PASS, "71 83 " SEND_A "83 61 01"), CNODE_EPROTO);
	ck_assert_int_eq(try_hex(PASS, "70 83 " SEND_A "61 01"), CNODE_EPROTO);
	ck_assert_int_eq(try_hex(PASS, "70 83 " SEND_A "83"), CNODE_EPROTO);
	ck_assert_int_eq(try_hex(PASS, "70 83 " SEND_A), CNODE_EPROTO);
	ck_assert_int_eq(try_hex(PASS, "70"), CNODE_EPROTO);
	ck_assert_int_eq(try_hex(NO_CACHE, header), 0);
	ck_assert_int_eq(try_hex(NO_CACHE, pass), CNODE_EPROTO);
	ck_assert_int_eq(try_hex(NO_CACHE, first), 0);
	ck_assert_int_eq(try_hex(cache_only, header), 0);
	ck_assert_int_eq(try_hex(cache_only, first), CNODE_EPROTO);
	/* A compressed payload, a control term with a version byte, no payload, garbage behind it. */
	ck_assert_int_eq(try_hex(ALL, "83 44 00 " SEND_A "50 00 00 00 01 78"), CNODE_EBADTERM);
	ck_assert_int_eq(try_hex(ALL, "83 44 00 83 " SEND_A "61 01"), CNODE_EPROTO);
	ck_assert_int_eq(try_hex(ALL, "83 44 00 " SEND_A), CNODE_EPROTO);
	ck_assert_int_eq(try_hex(ALL, "83 44 00 " SEND_A "61 01 ff ff"), 0);
	ck_assert_int_eq(try_hex(ALL, "83 44 00 " SEND_A "46 7f f8 00 00 00 00 00 00"), CNODE_EBADTERM);
}
END_TEST

/* ---- fragments ---- */

static struct trace run(struct cn_buf *b, uint64_t flags)
{
	struct trace t = feed_new(flags, b->data, b->size, 0, false);
	for (size_t step = 1; step < 100; step += 33) {
		struct trace direct = { 0 };
		struct cn_frame *f = frame_with(flags, (struct cn_frame_config){ .direct = 1 });
		feed(f, &direct, b->data, b->size, step, step & 1);
		ck_assert_int_eq(direct.error, t.error);
		ck_assert_uint_eq(direct.text.size, t.text.size);
		cn_buf_fini(&direct.text);
		cn_frame_free(f);
	}
	cn_buf_fini(b);
	cn_put_u8(&t.text, 0);
	return t;
}

static int run_error(struct cn_buf *b)
{
	struct trace t = run(b, NO_CACHE);
	cn_buf_fini(&t.text);
	return t.error;
}

START_TEST(joins_interleaved_sequences)
{
	struct cn_buf b = { 0 };
	put_fragment(&b, true, 1, 3, "h\2", 2);
	put_fragment(&b, true, 2, 2, "m\0\0\0\3a", 6);
	put_fragment(&b, false, 1, 2, "", 0);
	cn_put_u32(&b, 0);
	put_fragment(&b, true, 3, 1, "a\7", 2);
	put_fragment(&b, false, 2, 1, "bc", 2);
	put_fragment(&b, false, 1, 1, "a\1a\2", 4);
	put_fragment(&b, true, 1, 2, "a", 1);           /* the id may be used again */
	put_fragment(&b, false, 1, 1, "\11", 1);
	struct trace t = run(&b, NO_CACHE);
	ck_assert_int_eq(t.error, 0);
	ck_assert_uint_eq(t.messages, 4);
	ck_assert_uint_eq(t.parts, 4);
	ck_assert_uint_eq(t.ticks, 1);
	const char *text = (char *)t.text.data;
	const char *seven = strstr(text, " 7\n"), *abc = strstr(text, "<<\"abc\">>"), *tuple = strstr(text, "{1,2}");
	ck_assert(seven && abc && tuple && seven < abc && abc < tuple && strstr(text, " 9\n"));
	cn_buf_fini(&t.text);
}
END_TEST

START_TEST(atoms_of_a_sequence_are_those_of_its_first_fragment)
{
	uint8_t bytes[512];
	size_t at = 0, n;
	static const char *const packets[] = {
		"83 45 00 00 00 00 00 00 00 05 00 00 00 00 00 00 00 02 01 08 07 03 'one' 68 04 61 06 " TO_B "77 00 52 00 68 02",
		"83 44 01 08 07 03 'two' " SEND_A "52 00",
		"83 46 00 00 00 00 00 00 00 05 00 00 00 00 00 00 00 01 52 00 61 01",
	};
	for (size_t i = 0; i < 3; i++) {
		n = hex(packets[i], bytes + at + 4);
		cn_store_u32(bytes + at, (uint32_t)n);
		at += 4 + n;
	}
	struct trace t = feed_new(ALL, bytes, at, 0, false);
	ck_assert_int_eq(t.error, 0);
	cn_put_u8(&t.text, 0);
	ck_assert_ptr_nonnull(strstr((char *)t.text.data, " two\nREG_SEND(6) name=one"));
	ck_assert_ptr_nonnull(strstr((char *)t.text.data, " {one,1}\n"));
	cn_buf_fini(&t.text);
}
END_TEST

START_TEST(refuses_fragments_that_do_not_fit)
{
	struct cn_buf b = { 0 };
	put_fragment(&b, false, 9, 1, "a\1", 2);
	ck_assert_int_eq(run_error(&b), CNODE_EPROTO);          /* unknown sequence */
	put_fragment(&b, true, 9, 3, "a", 1);
	put_fragment(&b, true, 9, 3, "a", 1);
	ck_assert_int_eq(run_error(&b), CNODE_EPROTO);          /* in use */
	put_fragment(&b, true, 9, 3, "a", 1);
	put_fragment(&b, false, 9, 1, "\1", 1);
	ck_assert_int_eq(run_error(&b), CNODE_EPROTO);          /* skipped one */
	put_fragment(&b, true, 9, 3, "a", 1);
	put_fragment(&b, false, 9, 3, "\1", 1);
	ck_assert_int_eq(run_error(&b), CNODE_EPROTO);          /* twice */
	put_fragment(&b, true, 9, 0, "a\1", 2);
	ck_assert_int_eq(run_error(&b), CNODE_EPROTO);          /* 0 */
	put_fragment(&b, true, 0, 2, "a", 1);
	ck_assert_int_eq(run_error(&b), CNODE_EPROTO);          /* no id */
	put_fragment(&b, true, 0, 1, "a\1", 2);
	ck_assert_int_eq(run_error(&b), 0);                     /* but that is a whole message */
	put_fragment(&b, true, 9, 2, "a", 1);
	put_fragment(&b, false, 9, 1, "", 0);
	ck_assert_int_eq(run_error(&b), CNODE_EBADTERM);        /* payload cut off */
	put_fragment(&b, true, 9, 2, "\xff", 1);
	ck_assert_int_eq(run_error(&b), CNODE_EBADTERM);        /* refused as soon as it is seen */
	put_fragment(&b, true, 9, UINT64_MAX, "a", 1);
	ck_assert_int_eq(run_error(&b), CNODE_ELIMIT);
	/* The control term must be in the first one. */
	uint8_t bytes[64];
	size_t n = hex("00 00 00 16 83 45 00 00 00 00 00 00 00 05 00 00 00 00 00 00 00 02 00 68 03 61", bytes);
	struct trace t = feed_new(NO_CACHE, bytes, n, 0, false);
	ck_assert_int_eq(t.error, CNODE_EPROTO);
	cn_buf_fini(&t.text);
}
END_TEST

START_TEST(open_sequences_are_limited_in_number)
{
	for (unsigned limit = 1; limit <= 4; limit += 3) {
		for (unsigned n = limit - 1; n <= limit + 1; n++) {
			struct cn_buf b = { 0 };
			for (unsigned i = 0; i < n; i++)
				put_fragment(&b, true, 100 + i, 2, "a", 1);
			struct cn_frame *f = frame_with(NO_CACHE, (struct cn_frame_config){ .open_count = limit });
			struct trace t = { 0 };
			feed(f, &t, b.data, b.size, 0, false);
			ck_assert_int_eq(t.error, n > limit ? CNODE_ELIMIT : 0);
			cn_frame_free(f);
			cn_buf_fini(&b);
		}
	}
}
END_TEST

START_TEST(open_sequences_are_limited_in_bytes)
{
	uint8_t control[128];
	size_t head = hex(SEND_A, control);
	for (int over = -1; over <= 1; over++) {
		struct cn_buf b = { 0 };
		put_fragment(&b, true, 1, 2, "m\0\0\1\0", 5);
		put_fragment(&b, true, 2, 2, "m\0\0\1\0", 5);
		struct cn_frame *f = frame_with(NO_CACHE, (struct cn_frame_config){ .open_bytes = 2 * (head + 5) - over });
		struct trace t = { 0 };
		feed(f, &t, b.data, b.size, 0, false);
		ck_assert_int_eq(t.error, over > 0 ? CNODE_ELIMIT : 0);
		cn_frame_free(f);
		cn_buf_fini(&b);
	}
}
END_TEST

START_TEST(finished_messages_no_longer_count_as_open)
{
	/* Fifty messages of 300 bytes through a link that may hold 1,000 unfinished bytes: in two fragments, or in place. */
	uint8_t part[150] = { 0 };
	struct cn_buf b = { 0 };
	struct trace t = { 0 };
	part[0] = 'm';
	cn_store_u32(part + 1, 295);
	for (uint64_t i = 1; i <= 50; i++) {
		put_fragment(&b, true, i, 2, part, sizeof part);
		put_fragment(&b, false, i, 1, part, sizeof part);
	}
	struct cn_frame *f = frame_with(NO_CACHE, (struct cn_frame_config){ .open_bytes = 1000, .direct = 1 });
	feed(f, &t, b.data, b.size, 0, false);
	ck_assert_int_eq(t.error, 0);
	feed(f, &t, b.data, b.size, 40, true);
	ck_assert_int_eq(t.error, 0);
	ck_assert_uint_eq(t.messages, 100);
	cn_frame_free(f);
	cn_buf_fini(&b);
	cn_buf_fini(&t.text);
}
END_TEST

START_TEST(messages_are_limited_whole_or_in_fragments)
{
	static uint8_t part[1000];
	uint8_t control[128];
	size_t head = hex(SEND_A, control);
	part[0] = 'm';
	cn_store_u32(part + 1, 1995);
	for (int over = -1; over <= 1; over++) {
		struct cn_buf b = { 0 };
		put_fragment(&b, true, 1, 2, part, 1000);
		put_fragment(&b, false, 1, 1, part, 1000);
		struct cn_frame *f = frame_with(NO_CACHE, (struct cn_frame_config){ .message = head + 2000 - over });
		struct trace t = { 0 };
		feed(f, &t, b.data, b.size, 0, false);
		ck_assert_int_eq(t.error, over > 0 ? CNODE_ELIMIT : 0);
		cn_frame_free(f);
		cn_buf_fini(&b);
		cn_buf_fini(&t.text);

		memset(&t, 0, sizeof t);
		f = frame_with(NO_CACHE, (struct cn_frame_config){ .message = 5000 - over });
		uint8_t length[4];
		cn_store_u32(length, 5000);
		feed(f, &t, length, 4, 0, false);
		ck_assert_int_eq(t.error, over > 0 ? CNODE_ELIMIT : 0);
		cn_frame_free(f);
	}
}
END_TEST

START_TEST(a_claim_of_length_takes_no_memory)
{
	/* 200 MB are announced; what is there is 100 bytes. */
	static uint8_t bytes[100];
	struct cn_frame *f = frame(NO_CACHE);
	struct cn_packet m;
	cn_store_u32(bytes, 200u << 20);
	hex("83 44 00 " SEND_A "6d 0b ff ff 00", bytes + 4);
	int64_t n = cn_frame_feed(f, bytes, sizeof bytes, 1, &m);
	ck_assert_int_eq(n, sizeof bytes);
	size_t room;
	ck_assert_ptr_nonnull(cn_frame_target(f, &room));
	ck_assert_uint_le(room, 2u << 20);
	cn_frame_free(f);
}
END_TEST

START_TEST(a_sequence_must_go_on)
{
	struct cn_buf b = { 0 };
	struct cn_frame *f = frame(NO_CACHE);
	struct cn_packet m;
	put_fragment(&b, true, 1, 3, "a", 1);
	ck_assert_uint_eq(cn_frame_due(f), CN_NEVER);
	ck_assert_int_eq(cn_frame_feed(f, b.data, b.size, 5 * CN_NS_PER_S, &m), b.size);
	ck_assert_int_eq(m.event, CN_FRAME_PART);
	ck_assert_uint_eq(cn_frame_due(f), 65 * CN_NS_PER_S);
	cn_buf_clear(&b);
	put_fragment(&b, false, 1, 2, "", 0);
	ck_assert_int_eq(cn_frame_feed(f, b.data, b.size, 10 * CN_NS_PER_S, &m), b.size);
	ck_assert_uint_eq(cn_frame_due(f), 70 * CN_NS_PER_S);
	ck_assert_int_eq(cn_frame_expire(f, 70 * CN_NS_PER_S - 1), 0);
	ck_assert_int_eq(cn_frame_expire(f, 70 * CN_NS_PER_S), CNODE_ELIMIT);
	ck_assert_int_lt(cn_frame_feed(f, b.data, b.size, 71 * CN_NS_PER_S, &m), 0);
	ck_assert_str_ne(cn_frame_reason(f), "");
	cn_frame_free(f);
	cn_buf_fini(&b);
}
END_TEST

START_TEST(a_control_term_over_its_limit_is_refused)
{
	/* A list of nils that goes on inside of a control term; the packet is announced as 200 MB. */
	size_t size = 2 * CN_FRAME_CONTROL_MAX + 100000;
	uint8_t *bytes = malloc(size);
	memset(bytes, CN_NIL, size);
	hex("83 44 00 68 04 61 03 " TO_B TO_A "6c 0b 00 00 00", bytes + 4);
	cn_store_u32(bytes, 200u << 20);
	for (int target = 0; target < 2; target++) {
		struct trace t = feed_new(ALL, bytes, size, 1 << 20, target);
		ck_assert(t.error == CNODE_EBADTERM || t.error == CNODE_ELIMIT);
		cn_buf_fini(&t.text);
	}
	free(bytes);
}
END_TEST

START_TEST(a_refusal_is_final_and_misuse_is_told)
{
	struct cn_frame *f = frame(ALL);
	struct cn_packet m;
	size_t room;
	ck_assert_int_eq(cn_frame_filled(f, 1, 1, &m), CNODE_EBADARG);
	ck_assert_int_eq(cn_frame_work(f, &m), 0);
	ck_assert_int_eq(m.event, CN_FRAME_MORE);
	ck_assert_int_eq(cn_frame_expire(f, UINT64_MAX - 1), 0);
	ck_assert_str_eq(cn_frame_reason(f), "");
	ck_assert_int_eq(cn_frame_feed(f, "\0\0\0\2xx", 6, 1, &m), CNODE_EPROTO);
	ck_assert_int_eq(cn_frame_feed(f, "\0\0\0\0", 4, 1, &m), CNODE_EPROTO);
	ck_assert_int_eq(cn_frame_filled(f, 0, 1, &m), CNODE_EPROTO);
	ck_assert_int_eq(cn_frame_work(f, &m), CNODE_EPROTO);
	ck_assert_int_eq(cn_frame_expire(f, 1), CNODE_EPROTO);
	ck_assert_ptr_null(cn_frame_target(f, &room));
	cn_frame_free(f);
	cn_frame_free(NULL);
}
END_TEST

START_TEST(a_taken_payload_outlives_the_frame)
{
	uint8_t bytes[256];
	struct cn_packet m;
	size_t n = hex("83 44 01 08 07 03 'one' " SEND_A "68 02 52 00 61 01", bytes + 4);
	cn_store_u32(bytes, (uint32_t)n);
	struct cn_frame *f = frame(ALL);
	ck_assert_int_eq(cn_frame_feed(f, bytes, n + 4, 1, &m), n + 4);
	cnode_term t = cn_packet_take(&m);
	cn_packet_fini(&m);
	cn_frame_free(f);
	assert_term(t, "{one,1}");
	cnode_term_drop(t);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("wire_frame");
	TCase *t = tcase_create("frame");
	tcase_add_loop_test(t, reads_what_otp_nodes_sent_however_it_is_cut, 0, 12);
	tcase_add_test(t, reads_a_header_that_mixes_new_and_cached_atoms);
	tcase_add_test(t, atoms_keep_their_meaning_when_a_later_reference_overwrites_the_slot);
	tcase_add_test(t, messages_that_repeat_each_other_mean_what_their_own_headers_say);
	tcase_add_test(t, long_atoms_have_their_half_byte_behind_the_references);
	tcase_add_test(t, refuses_what_makes_a_header_corrupt);
	tcase_add_test(t, the_form_of_packets_follows_the_negotiated_flags);
	tcase_add_test(t, joins_interleaved_sequences);
	tcase_add_test(t, atoms_of_a_sequence_are_those_of_its_first_fragment);
	tcase_add_test(t, refuses_fragments_that_do_not_fit);
	tcase_add_test(t, open_sequences_are_limited_in_number);
	tcase_add_test(t, open_sequences_are_limited_in_bytes);
	tcase_add_test(t, finished_messages_no_longer_count_as_open);
	tcase_add_test(t, messages_are_limited_whole_or_in_fragments);
	tcase_add_test(t, a_claim_of_length_takes_no_memory);
	tcase_add_test(t, a_sequence_must_go_on);
	tcase_add_test(t, a_control_term_over_its_limit_is_refused);
	tcase_add_test(t, a_refusal_is_final_and_misuse_is_told);
	tcase_add_test(t, a_taken_payload_outlives_the_frame);
	suite_add_tcase(s, t);
	return tap_run(s);
}
