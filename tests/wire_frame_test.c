/* SPDX-License-Identifier: Apache-2.0 */
/* wire: packets inbound. Recorded frames of OTP nodes, and what their own nodes would refuse. */
#include "tests/wire_help.h"

#include "tests/alloc_fail.h"
#include "tests/tap.h"

#define ALL (CN_DFLAGS_OFFER)
#define NO_CACHE (CN_DFLAGS_OFFER & ~CN_DFLAG_DIST_HDR_ATOM_CACHE)
#define PASS (NO_CACHE & ~CN_DFLAG_FRAGMENTS)

static struct cn_frame *frame_with(uint64_t flags, struct cn_frame_config config)
{
	struct cn_frame *f = NULL;
	config.flags = flags;
	if (!config.self)
		config.self = name_of(SELF);
	if (!config.peer)
		config.peer = name_of(PEER);
	ck_assert_int_eq(cn_frame_new(&config, &f), 0);
	return f;
}

static struct cn_frame *frame(uint64_t flags)
{
	return frame_with(flags, (struct cn_frame_config){ 0 });
}

/* ---- a trace of what came, to compare ways of feeding ---- */

struct trace {
	struct cn_buf text;
	int error;
	unsigned messages, parts, ticks;
};

static void trace_message(struct trace *t, struct cn_packet *m)
{
	cn_put_text(&t->text, "%s(%u) name=%.*s", cn_signal_name(m->control.signal), m->control.op,
		    (int)m->control.name.size, m->control.name.text ? (const char *)m->control.name.text : "");
	cn_put_text(&t->text, " mfa=%.*s:%.*s/%u id=%llu", (int)m->control.module.size,
		    m->control.module.text ? (const char *)m->control.module.text : "", (int)m->control.function.size,
		    m->control.function.text ? (const char *)m->control.function.text : "", m->control.arity,
		    (unsigned long long)m->control.id);
	cn_put_text(&t->text, " from=%u.%u to=%u.%u ref=%u ", m->control.from.id, m->control.from.serial,
		    m->control.to.id, m->control.to.serial, m->control.ref.id[0]);
	if (!cn_term_is_none(m->control.opts)) {
		char *s = cnode_term_text(m->control.opts);
		cn_put_text(&t->text, " opts %s", s ? s : "?");
		cnode_free(s);
	}
	if (!cn_term_is_none(m->payload)) {
		char *s = cnode_term_text(m->payload);
		cn_put_text(&t->text, " %s", s ? s : "?");
		cnode_free(s);
	}
	cn_put_text(&t->text, "\n");
}

/* Handles one event; 1: go on, 0: more bytes are needed. */
static int see(struct cn_frame *f, struct trace *t, struct cn_packet *m)
{
	while (m->event == CN_FRAME_BUSY) {
		t->error = cn_frame_work(f, m);
		if (t->error)
			return 0;
	}
	switch (m->event) {
	case CN_FRAME_MESSAGE:
		t->messages++;
		trace_message(t, m);
		cn_packet_fini(m);
		return 1;
	case CN_FRAME_TICK:
		t->ticks++;
		return 1;
	case CN_FRAME_PART:
		t->parts++;
		return 1;
	default:
		return 0;
	}
}

/* Feeds all of it, `step` bytes more at a time (0: at once), as a receive buffer does. */
static void feed(struct cn_frame *f, struct trace *t, const uint8_t *bytes, size_t size, size_t step, bool target)
{
	struct cn_packet m;
	size_t at = 0, have = step ? 0 : size;
	while (!t->error) {
		size_t room;
		uint8_t *to = target ? cn_frame_target(f, &room) : NULL;
		if (to && have == at && have < size) {
			size_t n = size - have < room ? size - have : room;
			if (step && n > step)
				n = step;
			memcpy(to, bytes + have, n);
			t->error = cn_frame_filled(f, n, 1, &m);
			at = have += n;
			if (!t->error)
				see(f, t, &m);
			continue;
		}
		uint8_t *exact = malloc(have - at + 1);      /* so that a sanitizer sees a read behind the end */
		if (have > at)
			memcpy(exact, bytes + at, have - at);
		uint8_t *tight = realloc(exact, have - at ? have - at : 1);
		int64_t n = cn_frame_feed(f, tight, have - at, 1, &m);
		int went = 0;
		if (n >= 0) {
			at += (size_t)n;
			went = see(f, t, &m);
		} else {
			t->error = (int)n;
		}
		free(tight);
		if (n > 0 || went)
			continue;
		if (have == size)
			break;
		have = size - have < step ? size : have + step;
	}
}

static struct trace feed_new(uint64_t flags, const uint8_t *bytes, size_t size, size_t step, bool target)
{
	struct trace t = { 0 };
	struct cn_frame *f = frame(flags);
	feed(f, &t, bytes, size, step, target);
	cn_frame_free(f);
	return t;
}

/*
 * One packet (its length is added) on a new link: the error, 0 if it was taken. The verdict must
 * be the same when it is received into its final memory; what then is not yet known to be
 * wrong becomes so with the bytes that follow.
 */
static int try_hex(uint64_t flags, const char *text)
{
	uint8_t bytes[8192];
	size_t n = hex(text, bytes + 4);
	cn_store_u32(bytes, (uint32_t)n);
	struct trace t = feed_new(flags, bytes, n + 4, 0, false);
	cn_buf_fini(&t.text);
	for (size_t step = 1; step < 200; step += 67) {
		struct trace direct = { 0 };
		struct cn_frame *f = frame_with(flags, (struct cn_frame_config){ .direct = 1 });
		feed(f, &direct, bytes, n + 4, step, step & 1);
		ck_assert_int_eq(direct.error, t.error);
		ck_assert_str_eq(direct.error ? "x" : "", *cn_frame_reason(f) ? "x" : "");
		cn_buf_fini(&direct.text);
		cn_frame_free(f);
	}
	return t.error;
}

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

#define TO_A "58 77 0b 'a@127.0.0.1' 00 00 00 01 00 00 00 00 00 00 00 4d "
#define TO_B "58 77 0b 'b@127.0.0.1' 00 00 00 01 00 00 00 00 00 00 00 4d "
#define SEND_A "68 03 61 02 77 00 " TO_A

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

/* Appends a first fragment (of a SEND to SELF) or a continuation. */
static void put_fragment(struct cn_buf *b, bool first, uint64_t sequence, uint64_t id, const void *part, size_t size)
{
	static uint8_t control[128];
	size_t n = hex("00 " SEND_A, control);
	cn_put_u32(b, (uint32_t)(18 + (first ? n : 0) + size));
	cn_put_u8(b, 131);
	cn_put_u8(b, first ? 69 : 70);
	cn_put_u64(b, sequence);
	cn_put_u64(b, id);
	if (first)
		cn_put(b, control, n);
	cn_put(b, part, size);
}

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
	Suite *s = suite_create("wire_frame");
	TCase *t = tcase_create("frame");
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, reads_what_otp_nodes_sent_however_it_is_cut, 0, 12);
	tcase_add_test(t, reads_a_header_that_mixes_new_and_cached_atoms);
	tcase_add_test(t, atoms_keep_their_meaning_when_a_later_reference_overwrites_the_slot);
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
	tcase_add_test(t, a_large_message_is_verified_in_turns);
	tcase_add_test(t, a_large_message_cut_off_in_its_payload_is_refused);
	tcase_add_test(t, a_large_control_term_is_read_when_it_is_there);
	tcase_add_test(t, fragments_of_any_size_go_straight_to_their_message);
	tcase_add_test(t, a_message_grows_as_it_arrives);
	tcase_add_test(t, a_control_term_over_its_limit_is_refused);
	tcase_add_test(t, a_refusal_is_final_and_misuse_is_told);
	tcase_add_test(t, a_taken_payload_outlives_the_frame);
	tcase_add_test(t, survives_every_failing_allocation);
	suite_add_tcase(s, t);
	return tap_run(s);
}
