/* SPDX-License-Identifier: Apache-2.0 */
/* wire: the handshake, against itself, against recorded nodes, and against whoever lies. */
#include "tests/wire_help.h"

#include "tests/tap.h"

#define OFFER (CN_DFLAGS_OFFER)
#define COOKIE "secret"

static const struct cn_handshake_config a_config = {
	.name = "a@127.0.0.1", .peer = "b@127.0.0.1", .flags = OFFER, .creation = 11, .challenge = 0x12345678,
};
static const struct cn_handshake_config b_config = {
	.name = "b@127.0.0.1", .flags = OFFER & ~CN_DFLAG_PUBLISHED, .creation = 22, .challenge = 0xfedcba98,
};

/* What the owner of a handshake answers. */
struct owner {
	struct cn_handshake hs;
	const char *cookie;
	enum cn_status status;          /* decision; NONE: OK */
	const char *named;
	bool go_on;
	unsigned replaced;
	int fed;                        /* the last result of feed */
};

/* Answers whatever is asked. */
static void answer(struct owner *o)
{
	for (;;) {
		switch (o->hs.event) {
		case CN_HANDSHAKE_HELLO:
			if (o->named)
				ck_assert_int_eq(cn_handshake_decide_name(&o->hs, o->named, 99), 0);
			else
				ck_assert_int_eq(cn_handshake_decide(&o->hs, o->status ? o->status : CN_STATUS_OK), 0);
			break;
		case CN_HANDSHAKE_ALIVE:
			ck_assert_int_eq(cn_handshake_continue(&o->hs, o->go_on), 0);
			break;
		case CN_HANDSHAKE_COOKIE:
			cn_handshake_cookie(&o->hs, o->cookie, strlen(o->cookie));
			break;
		case CN_HANDSHAKE_REPLACE:
			o->replaced++;
			ck_assert_int_eq(cn_handshake_replaced(&o->hs), 0);
			break;
		default:
			return;
		}
	}
}

/*
 * Runs both until nothing moves. Bytes arrive `step` more at a time; every feed gets memory of
 * exactly the bytes that are there.
 */
static void run(struct owner *a, struct owner *b, size_t step)
{
	struct owner *side[2] = { a, b };
	uint8_t wire[2][8192];
	size_t size[2] = { 0 }, visible[2] = { 0 };
	for (bool moved = true; moved;) {
		moved = false;
		for (int i = 0; i < 2; i++) {
			const uint8_t *out;
			size_t n = cn_handshake_out(&side[i]->hs, &out);
			size_t take = n < step ? n : step;
			memcpy(wire[i] + size[i], out, take);
			size[i] += take;
			cn_handshake_sent(&side[i]->hs, take);
			moved = moved || take > 0;

			struct owner *o = side[!i];
			visible[i] = size[i] - visible[i] < step ? size[i] : visible[i] + step;
			uint8_t *tight = malloc(visible[i] ? visible[i] : 1);
			memcpy(tight, wire[i], visible[i]);
			int used = cn_handshake_feed(&o->hs, tight, visible[i], 1);
			free(tight);
			o->fed = used;
			if (used > 0) {
				memmove(wire[i], wire[i] + used, size[i] - (size_t)used);
				size[i] -= (size_t)used;
				visible[i] = 0;
				moved = true;
			}
			moved = moved || visible[i] < size[i];
			answer(o);
		}
	}
}

static void begin(struct owner *a, struct owner *b)
{
	*a = (struct owner){ .cookie = COOKIE, .go_on = true };
	*b = (struct owner){ .cookie = COOKIE };
	ck_assert_int_eq(cn_handshake_init(&a->hs, CN_HANDSHAKE_INITIATOR, &a_config, 0), 0);
	ck_assert_int_eq(cn_handshake_init(&b->hs, CN_HANDSHAKE_ACCEPTOR, &b_config, 0), 0);
}

static void both_up(const struct owner *a, const struct owner *b)
{
	ck_assert_msg(a->hs.event == CN_HANDSHAKE_UP, "%s", cn_handshake_text(&a->hs));
	ck_assert_msg(b->hs.event == CN_HANDSHAKE_UP, "%s", cn_handshake_text(&b->hs));
	ck_assert_uint_eq(a->hs.flags, b->hs.flags);
	ck_assert_str_eq(cn_handshake_text(&a->hs), "");
	ck_assert_uint_eq(cn_handshake_due(&a->hs), CN_NEVER);
}

START_TEST(two_nodes_meet_however_the_bytes_are_cut)
{
	for (size_t step = 1; step <= 64; step++) {
		for (int wide = 0; wide < 2; wide++) {
			struct owner a, b;
			begin(&a, &b);
			struct cn_handshake_config ac = a_config, bc = b_config;
			ac.long_length = bc.long_length = wide;
			cn_handshake_init(&a.hs, CN_HANDSHAKE_INITIATOR, &ac, 0);
			cn_handshake_init(&b.hs, CN_HANDSHAKE_ACCEPTOR, &bc, 0);
			run(&a, &b, step);
			both_up(&a, &b);
			ck_assert_str_eq(b.hs.peer, "a@127.0.0.1");
			ck_assert_uint_eq(b.hs.peer_creation, 11);
			ck_assert_uint_eq(a.hs.peer_creation, 22);
			ck_assert_uint_eq(a.hs.flags, OFFER & ~CN_DFLAG_PUBLISHED);
			ck_assert_int_eq(a.hs.status, CN_STATUS_OK);
			cn_handshake_fini(&a.hs);
			cn_handshake_fini(&b.hs);
		}
	}
}
END_TEST

START_TEST(leaves_the_bytes_behind_the_last_message_alone)
{
	struct owner a, b;
	uint8_t bytes[256];
	const uint8_t *out;
	begin(&a, &b);
	/* By hand up to the ack, behind which the first packet follows in the same segment. */
	size_t n = cn_handshake_out(&a.hs, &out);
	ck_assert_int_eq(cn_handshake_feed(&b.hs, out, n, 1), n);
	cn_handshake_sent(&a.hs, n);
	answer(&b);
	/* Status and challenge, given out one by one, arrive as one segment: they are taken one by one too. */
	n = 0;
	for (size_t one; (one = cn_handshake_out(&b.hs, &out)) > 0;) {
		ck_assert_uint_eq(one, 2u + cn_load_u16(out));
		memcpy(bytes + n, out, one);
		cn_handshake_sent(&b.hs, one);
		n += one;
	}
	int used = cn_handshake_feed(&a.hs, bytes, n, 1);
	ck_assert_int_eq(used, 5);
	ck_assert_int_eq(cn_handshake_feed(&a.hs, bytes + used, n - (size_t)used, 1), n - (size_t)used);
	ck_assert_int_eq(a.hs.event, CN_HANDSHAKE_COOKIE);
	ck_assert_int_eq(cn_handshake_feed(&a.hs, bytes, n, 1), 0);     /* it waits for its owner */
	answer(&a);
	n = cn_handshake_out(&a.hs, &out);
	ck_assert_int_eq(cn_handshake_feed(&b.hs, out, n, 1), n);
	answer(&b);
	n = cn_handshake_out(&b.hs, &out);
	memcpy(bytes, out, n);
	memset(bytes + n, 0, 4);
	ck_assert_int_eq(cn_handshake_feed(&a.hs, bytes, n + 4, 1), n);
	ck_assert_int_eq(a.hs.event, CN_HANDSHAKE_UP);
	ck_assert_int_eq(cn_handshake_feed(&a.hs, bytes + n, 4, 1), 0);
}
END_TEST

/* ---- statuses ---- */

START_TEST(ok_simultaneous_is_ok)
{
	struct owner a, b;
	begin(&a, &b);
	b.status = CN_STATUS_OK_SIMULTANEOUS;
	run(&a, &b, 100);
	both_up(&a, &b);
	ck_assert_int_eq(a.hs.status, CN_STATUS_OK_SIMULTANEOUS);
	ck_assert_int_eq(cn_handshake_closed(&a.hs), CNODE_ENOCONNECTION);
	ck_assert_int_eq(a.hs.event, CN_HANDSHAKE_UP);
}
END_TEST

START_TEST(nok_and_not_allowed_end_both_sides)
{
	static const enum cn_status statuses[] = { CN_STATUS_NOK, CN_STATUS_NOT_ALLOWED };
	for (int i = 0; i < 2; i++) {
		struct owner a, b;
		begin(&a, &b);
		b.status = statuses[i];
		run(&a, &b, 100);
		ck_assert_int_eq(a.hs.event, CN_HANDSHAKE_FAILED);
		ck_assert_int_eq(a.hs.error, CNODE_EREFUSED);
		ck_assert_int_eq(a.hs.status, statuses[i]);
		ck_assert_ptr_nonnull(strstr(cn_handshake_text(&a.hs), "b@127.0.0.1"));
		ck_assert_int_eq(b.hs.event, CN_HANDSHAKE_FAILED);
		ck_assert_int_eq(b.hs.error, CNODE_EREFUSED);
		ck_assert_ptr_nonnull(strstr(cn_handshake_text(&b.hs), "a@127.0.0.1"));
		ck_assert_uint_eq(cn_handshake_due(&b.hs), CN_NEVER);
	}
}
END_TEST

START_TEST(alive_is_authenticated_before_the_old_link_is_replaced)
{
	struct owner a, b;
	begin(&a, &b);
	b.status = CN_STATUS_ALIVE;
	run(&a, &b, 100);
	both_up(&a, &b);
	ck_assert_uint_eq(b.replaced, 1);

	begin(&a, &b);
	b.status = CN_STATUS_ALIVE;
	a.cookie = "wrong";
	run(&a, &b, 100);
	ck_assert_uint_eq(b.replaced, 0);
	ck_assert_int_eq(b.hs.error, CNODE_ECOOKIE);

	begin(&a, &b);
	b.status = CN_STATUS_ALIVE;
	a.go_on = false;
	run(&a, &b, 100);
	ck_assert_int_eq(a.hs.error, CNODE_EREFUSED);
	ck_assert_int_eq(b.hs.error, CNODE_EREFUSED);
	ck_assert_uint_eq(b.replaced, 0);
}
END_TEST

/* Feeds an initiator that has said its name. */
static int as_acceptor_says(struct owner *a, const char *text)
{
	struct owner b;
	uint8_t bytes[512];
	begin(a, &b);
	size_t n = hex(text, bytes + 2);
	cn_store_u16(bytes, (uint16_t)n);
	return cn_handshake_feed(&a->hs, bytes, n + 2, 1);
}

START_TEST(refuses_unknown_statuses)
{
	static const char *const bad[] = { "'s'", "'sokk'", "'so'", "'snamed:' 00 01 'x' 00 00 00 05", "'sOK'", "'x'",
					   "'sok' 00", "'strue'" };
	for (size_t i = 0; i < CN_ARRAY_SIZE(bad); i++) {
		struct owner a;
		ck_assert_int_eq(as_acceptor_says(&a, bad[i]), CNODE_EPROTO);
		ck_assert_int_eq(cn_handshake_feed(&a.hs, "\0\3sok", 5, 1), CNODE_EPROTO);      /* for ever */
	}
}
END_TEST

/* ---- the acceptor's first message ---- */

static int hello(struct owner *b, const char *text)
{
	uint8_t bytes[2048];
	*b = (struct owner){ .cookie = COOKIE };
	ck_assert_int_eq(cn_handshake_init(&b->hs, CN_HANDSHAKE_ACCEPTOR, &b_config, 0), 0);
	size_t n = hex(text, bytes + 2);
	cn_store_u16(bytes, (uint16_t)n);
	uint8_t *tight = malloc(n + 2);
	memcpy(tight, bytes, n + 2);
	int rc = cn_handshake_feed(&b->hs, tight, n + 2, 1);
	free(tight);
	return rc;
}

#define P25 "4e 00 00 00 0d 07 df 7f bd 6b 01 16 6d "

START_TEST(reads_the_hello_of_an_otp_node)
{
	struct owner b;
	ck_assert_int_eq(hello(&b, P25 "00 0d 'p25@localhost'"), 2 + 28);
	ck_assert_int_eq(b.hs.event, CN_HANDSHAKE_HELLO);
	ck_assert_str_eq(b.hs.peer, "p25@localhost");
	ck_assert_uint_eq(b.hs.peer_creation, 0x6b01166d);
	ck_assert_uint_eq(b.hs.peer_flags, UINT64_C(0xd07df7fbd));
	ck_assert_int_gt(hello(&b, P25 "00 0d 'p25@localhost' 'more that nobody knows'"), 0);
	ck_assert_int_eq(b.hs.event, CN_HANDSHAKE_HELLO);
	/* Latin-1 on the wire is UTF-8 inside. */
	ck_assert_int_gt(hello(&b, P25 "00 03 e9 40 'h'"), 0);
	ck_assert_str_eq(b.hs.peer, "\xc3\xa9@h");
}
END_TEST

START_TEST(refuses_hellos_that_are_none)
{
	static const struct { const char *bytes; int rc; } bad[] = {
		{ P25 "00 03 'abc'", CNODE_EBADNAME }, { P25 "00 02 '@b'", CNODE_EBADNAME }, { P25 "00 02 'a@'", CNODE_EBADNAME },
		{ P25 "00 05 'a@b@c'", CNODE_EBADNAME }, { P25 "00 00", CNODE_EBADNAME }, { P25 "00 04 'a@b' 00", CNODE_EBADNAME },
		{ P25 "00 04 'a@b'", CNODE_EPROTO }, { P25, CNODE_EPROTO }, { "4e", CNODE_EPROTO }, { "6e", CNODE_EPROTO },
		{ "73 'ok'", CNODE_EPROTO }, { "'AAAAAA@AAAAAAA'", CNODE_EPROTO },
	};
	for (size_t i = 0; i < CN_ARRAY_SIZE(bad); i++) {
		struct owner b;
		const uint8_t *out;
		ck_assert_msg(hello(&b, bad[i].bytes) == bad[i].rc, "%s: %s", bad[i].bytes, cn_handshake_text(&b.hs));
		ck_assert_uint_eq(cn_handshake_out(&b.hs, &out), 0);    /* not a word */
		for (const char *p = cn_handshake_text(&b.hs); *p; p++)
			ck_assert(*p >= ' ' && *p < 127);
	}
	/* A request of another protocol is refused by its first bytes. */
	struct owner b = { 0 };
	cn_handshake_init(&b.hs, CN_HANDSHAKE_ACCEPTOR, &b_config, 0);
	ck_assert_int_eq(cn_handshake_feed(&b.hs, "GET / HT", 8, 1), CNODE_EPROTO);
	cn_handshake_init(&b.hs, CN_HANDSHAKE_ACCEPTOR, &b_config, 0);
	ck_assert_int_eq(cn_handshake_feed(&b.hs, "\0\0", 2, 1), CNODE_EPROTO);
	uint8_t length[2];
	cn_store_u16(length, CN_HANDSHAKE_BYTES);
	cn_handshake_init(&b.hs, CN_HANDSHAKE_ACCEPTOR, &b_config, 0);
	ck_assert_int_eq(cn_handshake_feed(&b.hs, length, 2, 1), 0);
	cn_store_u16(length, CN_HANDSHAKE_BYTES + 1);
	ck_assert_int_eq(cn_handshake_feed(&b.hs, length, 2, 1), CNODE_EPROTO);
}
END_TEST

START_TEST(names_have_255_characters_at_most)
{
	for (int over = 0; over < 2; over++) {
		struct owner b;
		uint8_t bytes[512];
		size_t n = hex(P25, bytes + 2);
		cn_store_u16(bytes + 2 + n, (uint16_t)(255 + over));
		memset(bytes + 4 + n, 0xe9, 256);
		bytes[4 + n + 7] = '@';
		cn_store_u16(bytes, (uint16_t)(n + 2 + 255 + over));
		b = (struct owner){ .cookie = COOKIE };
		cn_handshake_init(&b.hs, CN_HANDSHAKE_ACCEPTOR, &b_config, 0);
		int rc = cn_handshake_feed(&b.hs, bytes, n + 4 + 255 + (size_t)over, 1);
		ck_assert_int_eq(rc, over ? CNODE_EBADNAME : (int)n + 4 + 255);
	}
}
END_TEST

START_TEST(refuses_a_peer_without_each_mandatory_flag)
{
	const uint64_t mandatory = CN_DFLAGS_MANDATORY | CN_DFLAG_HANDSHAKE_23;
	for (unsigned bit = 0; bit < 64; bit++) {
		if (!(mandatory >> bit & 1))
			continue;
		for (int initiator = 0; initiator < 2; initiator++) {
			struct owner a, b;
			struct cn_handshake_config ac = a_config, bc = b_config;
			uint64_t flags = OFFER & ~(UINT64_C(1) << bit) & ~CN_DFLAG_MANDATORY_25_DIGEST;
			begin(&a, &b);
			*(initiator ? &ac.flags : &bc.flags) = flags;
			cn_handshake_init(&a.hs, CN_HANDSHAKE_INITIATOR, &ac, 0);
			cn_handshake_init(&b.hs, CN_HANDSHAKE_ACCEPTOR, &bc, 0);
			run(&a, &b, 100);
			struct owner *who = initiator ? &b : &a;
			ck_assert_int_eq(who->hs.error, CNODE_EFLAGS);
			ck_assert_ptr_nonnull(strstr(cn_handshake_text(&who->hs), cn_dflag_name(bit)));
			if (initiator) {
				ck_assert_int_eq(a.hs.error, CNODE_EREFUSED);
				ck_assert_int_eq(a.hs.status, CN_STATUS_NOT_ALLOWED);
			}
		}
	}
}
END_TEST

START_TEST(the_digest_of_mandatory_flags_stands_for_them)
{
	struct owner a, b;
	struct cn_handshake_config ac = a_config;
	begin(&a, &b);
	ac.flags = CN_DFLAG_MANDATORY_25_DIGEST;
	cn_handshake_init(&a.hs, CN_HANDSHAKE_INITIATOR, &ac, 0);
	run(&a, &b, 100);
	both_up(&a, &b);
	ck_assert_uint_eq(a.hs.flags, CN_DFLAGS_25_DIGEST | CN_DFLAG_MANDATORY_25_DIGEST);
}
END_TEST

START_TEST(a_peer_with_our_own_name_is_refused)
{
	struct owner b;
	const uint8_t *out;
	ck_assert_int_eq(hello(&b, P25 "00 0b 'b@127.0.0.1'"), CNODE_EREFUSED);
	ck_assert_uint_eq(cn_handshake_out(&b.hs, &out), 14);
	ck_assert_mem_eq(out, "\0\014snot_allowed", 14);
}
END_TEST

/* ---- the old hello ---- */

#define OLD_HELLO "6e 00 05 01 df 7f bd 'p23@localhost'"

static size_t put_reply(uint8_t *to, const char *cookie, uint32_t theirs, uint32_t ours)
{
	cn_store_u16(to, 21);
	to[2] = 'r';
	cn_store_u32(to + 3, theirs);
	ck_assert_int_eq(cn_digest(cookie, strlen(cookie), ours, to + 7), 0);
	return 23;
}

START_TEST(the_old_hello_brings_the_rest_of_its_flags_later)
{
	struct owner b;
	uint8_t bytes[64], digest[16];
	const uint8_t *out;
	ck_assert_int_gt(hello(&b, OLD_HELLO), 0);
	ck_assert_str_eq(b.hs.peer, "p23@localhost");
	ck_assert(b.hs.old_hello);
	answer(&b);
	size_t n = cn_handshake_out(&b.hs, &out);
	ck_assert_uint_eq(n, 5);
	ck_assert_mem_eq(out, "\0\3sok", 5);
	cn_handshake_sent(&b.hs, 2);
	ck_assert_uint_eq(cn_handshake_out(&b.hs, &out), 3);            /* the rest of it */
	cn_handshake_sent(&b.hs, 3);
	n = cn_handshake_out(&b.hs, &out);
	ck_assert_uint_eq(out[2], 'N');
	cn_handshake_sent(&b.hs, n);
	/* complement and reply in one segment: one at a time */
	size_t size = hex("00 09 63 00 00 00 0d 00 00 00 2a", bytes);
	size += put_reply(bytes + size, COOKIE, 77, b_config.challenge);
	ck_assert_int_eq(cn_handshake_feed(&b.hs, bytes, size, 1), 11);
	ck_assert_uint_eq(b.hs.peer_creation, 42);
	ck_assert_uint_eq(b.hs.peer_flags, UINT64_C(0xd01df7fbd));
	ck_assert_int_eq(cn_handshake_feed(&b.hs, bytes + 11, size - 11, 1), 23);
	answer(&b);
	ck_assert_int_eq(b.hs.event, CN_HANDSHAKE_UP);
	n = cn_handshake_out(&b.hs, &out);
	cn_digest(COOKIE, strlen(COOKIE), 77, digest);
	ck_assert_uint_eq(n, 19);
	ck_assert_mem_eq(out + 3, digest, 16);

	/* Not without HANDSHAKE_23, not with a complement of another size, not without one. */
	ck_assert_int_eq(hello(&b, "6e 00 05 00 df 7f bd 'p19@localhost'"), CNODE_EFLAGS);
	ck_assert_int_gt(hello(&b, OLD_HELLO), 0);
	answer(&b);
	size = hex("00 15 63 00 00 00 0d 00 00 00 2a 00 00 00 00 00 00 00 00 00 00 00 00", bytes);
	ck_assert_int_eq(cn_handshake_feed(&b.hs, bytes, size, 1), CNODE_EPROTO);
	ck_assert_int_gt(hello(&b, OLD_HELLO), 0);
	answer(&b);
	size = put_reply(bytes, COOKIE, 77, b_config.challenge);
	ck_assert_int_eq(cn_handshake_feed(&b.hs, bytes, size, 1), CNODE_EPROTO);
}
END_TEST

START_TEST(high_mandatory_flags_are_checked_with_the_complement)
{
	struct owner b = { .cookie = COOKIE };
	struct cn_handshake_config config = b_config;
	uint8_t bytes[64];
	config.mandatory = CN_DFLAGS_MANDATORY | CN_DFLAG_V4_NC;
	for (int good = 0; good < 2; good++) {
		cn_handshake_init(&b.hs, CN_HANDSHAKE_ACCEPTOR, &config, 0);
		size_t n = hex(OLD_HELLO, bytes + 2);
		cn_store_u16(bytes, (uint16_t)n);
		ck_assert_int_gt(cn_handshake_feed(&b.hs, bytes, n + 2, 1), 0);
		answer(&b);
		hex(good ? "00 09 63 00 00 00 04 00 00 00 2a" : "00 09 63 00 00 00 01 00 00 00 2a", bytes);
		ck_assert_int_eq(cn_handshake_feed(&b.hs, bytes, 11, 1), good ? 11 : CNODE_EFLAGS);
	}
}
END_TEST

/* ---- cookies and challenges ---- */

START_TEST(a_wrong_cookie_is_found_by_both_sides)
{
	struct owner a, b;
	begin(&a, &b);
	a.cookie = "wrong";
	run(&a, &b, 100);
	ck_assert_int_eq(b.hs.error, CNODE_ECOOKIE);
	ck_assert_ptr_nonnull(strstr(cn_handshake_text(&b.hs), "a@127.0.0.1"));
	ck_assert_ptr_null(strstr(cn_handshake_text(&b.hs), COOKIE));
	/* The acceptor says nothing more: the initiator sees the end of the stream. */
	ck_assert_int_eq(a.hs.event, CN_HANDSHAKE_MORE);
	ck_assert_int_eq(cn_handshake_closed(&a.hs), CNODE_ECOOKIE);
	ck_assert_ptr_nonnull(strstr(cn_handshake_text(&a.hs), "cookies differ"));

	/* An acceptor that let us in without knowing the cookie. */
	begin(&a, &b);
	uint8_t bytes[64] = { 0, 17, 'a' };
	const uint8_t *out;
	size_t n = hex("00 03 'sok' 00 1e 4e 00 00 00 0d 07 df 7f bd 00 00 00 07 00 00 00 2a 00 0b 'b@127.0.0.1'", bytes + 20);
	ck_assert_int_eq(cn_handshake_feed(&a.hs, bytes + 20, n, 1), 5);
	ck_assert_int_eq(cn_handshake_feed(&a.hs, bytes + 25, n - 5, 1), n - 5);
	answer(&a);
	ck_assert_uint_gt(cn_handshake_out(&a.hs, &out), 0);
	ck_assert_int_eq(cn_handshake_feed(&a.hs, bytes, 19, 1), CNODE_ECOOKIE);
}
END_TEST

START_TEST(digests_are_those_of_otp_nodes)
{
	/* 16#12345678 and 16#7fffffff with the cookie corpus: see conformance/corpus. */
	static const char *const acks[] = { "25/handshake/003-v6-ack.bin", "29/handshake/003-v6-ack.bin" };
	for (int i = 0; i < 2; i++) {
		char path[128];
		size_t size;
		uint8_t digest[16];
		snprintf(path, sizeof path, "conformance/corpus/%s", acks[i]);
		uint8_t *ack = read_file(path, &size);
		ck_assert_ptr_nonnull(ack);
		ck_assert_uint_eq(size, 19);
		cn_digest("corpus", 6, 0x12345678, digest);
		ck_assert_mem_eq(ack + 3, digest, 16);
		free(ack);
	}
}
END_TEST

START_TEST(replays_the_handshake_of_recorded_nodes)
{
	static const char *const releases[] = { "23", "25", "27", "29" };
	for (int i = 0; i < 4; i++) {
		struct owner a = { .cookie = "corpus" };
		struct cn_handshake_config config = a_config;
		config.peer = "otp@127.0.0.1";
		config.challenge = 0x12345678;
		ck_assert_int_eq(cn_handshake_init(&a.hs, CN_HANDSHAKE_INITIATOR, &config, 0), 0);
		static const char *const steps[] = { "001-v6-status", "002-v6-challenge", "003-v6-ack" };
		for (int k = 0; k < 3; k++) {
			char path[128];
			size_t size;
			snprintf(path, sizeof path, "conformance/corpus/%s/handshake/%s.bin", releases[i], steps[k]);
			uint8_t *data = read_file(path, &size);
			ck_assert_ptr_nonnull(data);
			ck_assert_int_eq(cn_handshake_feed(&a.hs, data, size, 1), size);
			answer(&a);
			free(data);
		}
		ck_assert_msg(a.hs.event == CN_HANDSHAKE_UP, "%s", cn_handshake_text(&a.hs));
		/* 25, 26 and 27 offer the same. */
		static const int concluded[] = { 23, 27, 27, 29 };
		ck_assert_int_eq(cn_otp_release_of(a.hs.peer_flags)->release, concluded[i]);
	}
}
END_TEST

static bool is_own(void *context, uint32_t challenge)
{
	return challenge == *(uint32_t *)context;
}

START_TEST(an_own_challenge_handed_back_is_refused)
{
	struct owner a, b;
	uint32_t own = b_config.challenge;
	struct cn_handshake_config config = a_config;
	begin(&a, &b);
	config.own_challenge = is_own;
	config.context = &own;
	cn_handshake_init(&a.hs, CN_HANDSHAKE_INITIATOR, &config, 0);
	run(&a, &b, 100);
	ck_assert_int_eq(a.hs.error, CNODE_EPROTO);
	ck_assert_ptr_nonnull(strstr(cn_handshake_text(&a.hs), "own challenge"));
	own++;
	begin(&a, &b);
	cn_handshake_init(&a.hs, CN_HANDSHAKE_INITIATOR, &config, 0);
	run(&a, &b, 100);
	both_up(&a, &b);
}
END_TEST

START_TEST(the_challenge_must_come_from_the_node_that_was_dialled)
{
	struct owner a, b;
	struct cn_handshake_config config = b_config;
	begin(&a, &b);
	config.name = "c@127.0.0.1";
	cn_handshake_init(&b.hs, CN_HANDSHAKE_ACCEPTOR, &config, 0);
	run(&a, &b, 100);
	ck_assert_int_eq(a.hs.error, CNODE_EPEERNAME);
	ck_assert_ptr_nonnull(strstr(cn_handshake_text(&a.hs), "dialled b@127.0.0.1"));
	ck_assert_ptr_nonnull(strstr(cn_handshake_text(&a.hs), "c@127.0.0.1"));
	ck_assert_int_eq(as_acceptor_says(&a, "'sok'"), 5);
	ck_assert_int_eq(cn_handshake_feed(&a.hs, "\0\7n\0\5\0\0\0\0", 9, 1), CNODE_EFLAGS);
	ck_assert_int_eq(as_acceptor_says(&a, "'sok'"), 5);
	ck_assert_int_eq(cn_handshake_feed(&a.hs, "\0\2Nx", 4, 1), CNODE_EPROTO);
}
END_TEST

/* ---- names on demand ---- */

START_TEST(a_node_without_a_name_gets_one)
{
	struct owner b;
	const uint8_t *out;
	uint8_t bytes[64];
	ck_assert_int_gt(hello(&b, "4e 00 00 00 0f 07 df 7f bc 00 00 00 00 00 04 'host'"), 0);
	ck_assert(b.hs.name_me);
	ck_assert_str_eq(b.hs.peer, "host");
	ck_assert_int_eq(cn_handshake_decide(&b.hs, CN_STATUS_OK), CNODE_EBADARG);
	ck_assert_int_eq(cn_handshake_decide_name(&b.hs, "X@other", 99), CNODE_EBADNAME);
	ck_assert_int_eq(cn_handshake_decide_name(&b.hs, "X", 99), CNODE_EBADNAME);
	b.named = "X1@host";
	answer(&b);
	size_t n = cn_handshake_out(&b.hs, &out);
	uint8_t want[64];
	size_t size = hex("00 14 'snamed:' 00 07 'X1@host' 00 00 00 63", want);
	ck_assert_mem_eq(out, want, size);
	/* NAME_ME must be echoed. */
	ck_assert_uint_eq(out[size + 2], 'N');
	ck_assert(cn_load_u64(out + size + 3) & CN_DFLAG_NAME_ME);
	cn_handshake_sent(&b.hs, n);
	put_reply(bytes, COOKIE, 5, b_config.challenge);
	ck_assert_int_eq(cn_handshake_feed(&b.hs, bytes, 23, 1), 23);
	answer(&b);
	ck_assert_int_eq(b.hs.event, CN_HANDSHAKE_UP);
	ck_assert_str_eq(b.hs.peer, "X1@host");
	ck_assert_uint_eq(b.hs.peer_creation, 99);
	ck_assert(b.hs.flags & CN_DFLAG_NAME_ME);
	/* A host is no node name; who has a name asks for none. */
	ck_assert_int_eq(hello(&b, "4e 00 00 00 0f 07 df 7f bc 00 00 00 00 00 06 'a@host'"), CNODE_EBADNAME);
	ck_assert_int_gt(hello(&b, P25 "00 03 'a@b'"), 0);
	ck_assert_int_eq(cn_handshake_decide_name(&b.hs, "X@b", 99), CNODE_ESTATE);
}
END_TEST

START_TEST(malformed_messages_are_refused_in_every_state)
{
	struct owner a, b;
	/* challenge without a name, with a bad one, ack of another size */
	ck_assert_int_eq(as_acceptor_says(&a, "'sok'"), 5);
	ck_assert_int_eq(cn_handshake_feed(&a.hs, "\0\23N\0\0\0\15\7\xdf\x7f\xbd\0\0\0\1\0\0\0\1\0\0", 21, 1), CNODE_EBADNAME);
	begin(&a, &b);
	uint8_t bytes[64];
	size_t n = hex("00 03 'sok' 00 1e 4e 00 00 00 0d 07 df 7f bd 00 00 00 07 00 00 00 2a 00 0b 'b@127.0.0.1'", bytes);
	cn_handshake_feed(&a.hs, bytes, n, 1);
	cn_handshake_feed(&a.hs, bytes + 5, n - 5, 1);
	answer(&a);
	ck_assert_str_eq(cn_handshake_state(&a.hs), "wait_ack");
	ck_assert_int_eq(cn_handshake_feed(&a.hs, "\0\2ax", 4, 1), CNODE_EPROTO);
	/* the acceptor's: alive answered by something else, a reply of another size */
	ck_assert_int_gt(hello(&b, P25 "00 03 'a@b'"), 0);
	cn_handshake_decide(&b.hs, CN_STATUS_ALIVE);
	ck_assert_int_eq(cn_handshake_feed(&b.hs, "\0\5struf", 7, 1), CNODE_EPROTO);
	ck_assert_int_gt(hello(&b, P25 "00 03 'a@b'"), 0);
	answer(&b);
	ck_assert_int_eq(cn_handshake_feed(&b.hs, "\0\5rabcd", 7, 1), CNODE_EPROTO);
	/* a name that is too long for the line of a log is cut */
	char text[1200] = P25 "00 ff '";
	memset(text + strlen(text), 'x', 255);
	strcat(text, "'");
	ck_assert_int_eq(hello(&b, text), CNODE_EBADNAME);
	ck_assert_ptr_nonnull(strstr(cn_handshake_text(&b.hs), "xxx..."));
}
END_TEST

/* ---- time, ends, misuse ---- */

START_TEST(one_deadline_for_all_of_it)
{
	struct owner a, b;
	begin(&a, &b);
	ck_assert_uint_eq(cn_handshake_due(&a.hs), CN_HANDSHAKE_TIME);
	ck_assert_int_eq(cn_handshake_feed(&a.hs, "\0\3sok", 5, CN_HANDSHAKE_TIME - 1), 5);
	ck_assert_uint_eq(cn_handshake_due(&a.hs), CN_HANDSHAKE_TIME);
	ck_assert_int_eq(cn_handshake_expire(&a.hs, CN_HANDSHAKE_TIME - 1), 0);
	ck_assert_int_eq(cn_handshake_expire(&a.hs, CN_HANDSHAKE_TIME), CNODE_ETIMEOUT);
	ck_assert_ptr_nonnull(strstr(cn_handshake_text(&a.hs), "challenge"));
	ck_assert_uint_eq(cn_handshake_due(&a.hs), CN_NEVER);
	ck_assert_int_eq(cn_handshake_feed(&b.hs, "x", 1, CN_HANDSHAKE_TIME), CNODE_ETIMEOUT);
	struct cn_handshake_config config = a_config;
	config.time = 5;
	cn_handshake_init(&a.hs, CN_HANDSHAKE_INITIATOR, &config, 10);
	ck_assert_uint_eq(cn_handshake_due(&a.hs), 15);
}
END_TEST

START_TEST(a_closed_connection_is_explained)
{
	struct owner a, b;
	begin(&a, &b);
	ck_assert_int_eq(cn_handshake_closed(&a.hs), CNODE_EREFUSED);
	ck_assert_ptr_nonnull(strstr(cn_handshake_text(&a.hs), "b@127.0.0.1"));
	ck_assert_int_eq(cn_handshake_closed(&a.hs), CNODE_EREFUSED);
	ck_assert_int_eq(cn_handshake_closed(&b.hs), CNODE_ENOCONNECTION);
	ck_assert_ptr_nonnull(strstr(cn_handshake_text(&b.hs), "stranger"));
	ck_assert_str_eq(cn_handshake_state(&b.hs), "failed");
}
END_TEST

START_TEST(answers_that_were_not_asked_are_refused)
{
	struct owner a, b;
	begin(&a, &b);
	ck_assert_int_eq(cn_handshake_decide(&b.hs, CN_STATUS_OK), CNODE_ESTATE);
	ck_assert_int_eq(cn_handshake_continue(&a.hs, true), CNODE_ESTATE);
	ck_assert_int_eq(cn_handshake_cookie(&a.hs, "x", 1), CNODE_ESTATE);
	ck_assert_int_eq(cn_handshake_replaced(&b.hs), CNODE_ESTATE);
	ck_assert_int_gt(hello(&b, P25 "00 03 'a@b'"), 0);
	ck_assert_int_eq(cn_handshake_decide(&b.hs, CN_STATUS_NONE), CNODE_EBADARG);
	ck_assert_int_eq(cn_handshake_decide(&b.hs, CN_STATUS_NAMED), CNODE_EBADARG);
	struct cn_handshake_config config = a_config;
	config.peer = "nohost";
	ck_assert_int_eq(cn_handshake_init(&a.hs, CN_HANDSHAKE_INITIATOR, &config, 0), CNODE_EBADNAME);
	config.peer = "\xe6\x97\xa5@h";         /* not Latin-1 */
	ck_assert_int_eq(cn_handshake_init(&a.hs, CN_HANDSHAKE_INITIATOR, &config, 0), CNODE_EBADNAME);
	config.peer = NULL;
	ck_assert_int_eq(cn_handshake_init(&a.hs, CN_HANDSHAKE_INITIATOR, &config, 0), CNODE_EBADARG);
	config.name = NULL;
	ck_assert_int_eq(cn_handshake_init(&a.hs, CN_HANDSHAKE_ACCEPTOR, &config, 0), CNODE_EBADARG);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("wire_handshake");
	TCase *t = tcase_create("handshake");
	tcase_add_test(t, two_nodes_meet_however_the_bytes_are_cut);
	tcase_add_test(t, leaves_the_bytes_behind_the_last_message_alone);
	tcase_add_test(t, ok_simultaneous_is_ok);
	tcase_add_test(t, nok_and_not_allowed_end_both_sides);
	tcase_add_test(t, alive_is_authenticated_before_the_old_link_is_replaced);
	tcase_add_test(t, refuses_unknown_statuses);
	tcase_add_test(t, reads_the_hello_of_an_otp_node);
	tcase_add_test(t, refuses_hellos_that_are_none);
	tcase_add_test(t, names_have_255_characters_at_most);
	tcase_add_test(t, refuses_a_peer_without_each_mandatory_flag);
	tcase_add_test(t, the_digest_of_mandatory_flags_stands_for_them);
	tcase_add_test(t, a_peer_with_our_own_name_is_refused);
	tcase_add_test(t, the_old_hello_brings_the_rest_of_its_flags_later);
	tcase_add_test(t, high_mandatory_flags_are_checked_with_the_complement);
	tcase_add_test(t, a_wrong_cookie_is_found_by_both_sides);
	tcase_add_test(t, digests_are_those_of_otp_nodes);
	tcase_add_test(t, replays_the_handshake_of_recorded_nodes);
	tcase_add_test(t, an_own_challenge_handed_back_is_refused);
	tcase_add_test(t, the_challenge_must_come_from_the_node_that_was_dialled);
	tcase_add_test(t, a_node_without_a_name_gets_one);
	tcase_add_test(t, malformed_messages_are_refused_in_every_state);
	tcase_add_test(t, one_deadline_for_all_of_it);
	tcase_add_test(t, a_closed_connection_is_explained);
	tcase_add_test(t, answers_that_were_not_asked_are_refused);
	suite_add_tcase(s, t);
	return tap_run(s);
}
