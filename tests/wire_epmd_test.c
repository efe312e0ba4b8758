/* SPDX-License-Identifier: Apache-2.0 */
/* wire: epmd's messages and what an epmd knows. */
#include "tests/wire_help.h"

#include "tests/alloc_fail.h"
#include "tests/tap.h"

static struct cn_epmd_node sample(const char *name)
{
	return (struct cn_epmd_node){ .name = name, .name_size = (uint16_t)strlen(name), .port = 36839, .type = 'M',
				      .high = 6, .low = 5 };
}

START_TEST(writes_requests_as_documented)
{
	struct cn_buf b = { 0 };
	uint8_t want[64];
	struct cn_epmd_node n = sample("p23");
	n.extra = (const uint8_t *)"xy";
	n.extra_size = 2;
	ck_assert_int_eq(cn_epmd_put_alive2(&b, &n), 0);
	size_t size = hex("00 12 78 8f e7 4d 00 00 06 00 05 00 03 'p23' 00 02 'xy'", want);
	ck_assert_uint_eq(b.size, size);
	ck_assert_mem_eq(b.data, want, size);
	cn_buf_clear(&b);
	ck_assert_int_eq(cn_epmd_put_port2(&b, "p23", 3), 0);
	ck_assert_int_eq(cn_epmd_put_names(&b), 0);
	size = hex("00 04 7a 'p23' 00 01 6e", want);
	ck_assert_uint_eq(b.size, size);
	ck_assert_mem_eq(b.data, want, size);
	cn_buf_fini(&b);
}
END_TEST

START_TEST(names_have_limits)
{
	char name[1100];
	memset(name, 'x', sizeof name);
	ck_assert(cn_epmd_name_valid(name, 255));
	ck_assert(!cn_epmd_name_valid(name, 256));
	ck_assert(!cn_epmd_name_valid(name, 0));
	ck_assert(!cn_epmd_name_valid("a\0b", 3));
	ck_assert(!cn_epmd_name_valid("\xc3\x28", 2));
	for (int i = 0; i < 255; i++)
		memcpy(name + 4 * i, "\xf0\x9f\x98\x80", 4);
	ck_assert(cn_epmd_name_valid(name, 1020));
	struct cn_buf b = { 0 };
	ck_assert_int_eq(cn_epmd_put_port2(&b, "", 0), CNODE_EBADNAME);
	struct cn_epmd_node n = sample("");
	ck_assert_int_eq(cn_epmd_put_alive2(&b, &n), CNODE_EBADNAME);
	n = sample("a");
	n.extra_size = 1021;
	ck_assert_int_eq(cn_epmd_put_alive2(&b, &n), CNODE_EBADARG);
	ck_assert_uint_eq(b.size, 0);
}
END_TEST

/* A reply, in a piece of memory of exactly its size, cut at every byte. */
START_TEST(reads_both_forms_of_alive2_reply_in_pieces)
{
	static const struct { const char *bytes; int rc; uint32_t creation; } replies[] = {
		{ "76 00 6b 01 19 f3", 6, 0x6b0119f3 }, { "79 00 00 02", 4, 2 },
		{ "76 01 00 00 00 63", CNODE_ENAMETAKEN, 0 }, { "79 01 00 63", CNODE_ENAMETAKEN, 0 },
	};
	for (size_t i = 0; i < CN_ARRAY_SIZE(replies); i++) {
		uint8_t bytes[16];
		uint32_t creation = 0;
		size_t n = hex(replies[i].bytes, bytes);
		for (size_t cut = 0; cut < n; cut++) {
			uint8_t *tight = malloc(cut ? cut : 1);
			memcpy(tight, bytes, cut);
			ck_assert_int_eq(cn_epmd_read_alive2(tight, cut, false, &creation), 0);
			ck_assert_int_eq(cn_epmd_read_alive2(tight, cut, true, &creation), CNODE_EEPMD);
			free(tight);
		}
		ck_assert_int_eq(cn_epmd_read_alive2(bytes, n, false, &creation), replies[i].rc);
		if (replies[i].rc > 0)
			ck_assert_uint_eq(creation, replies[i].creation);
	}
	uint32_t creation;
	ck_assert_int_eq(cn_epmd_read_alive2("HTTP", 4, false, &creation), CNODE_EEPMD);
	ck_assert_int_eq(cn_epmd_read_alive2("H", 1, false, &creation), CNODE_EEPMD);
}
END_TEST

START_TEST(reads_port2_replies_in_pieces)
{
	uint8_t bytes[64];
	struct cn_epmd_node n;
	size_t size = hex("77 00 8f e7 4d 00 00 06 00 05 00 03 'p23' 00 01 'x'", bytes);
	for (size_t cut = 0; cut < size; cut++) {
		uint8_t *tight = malloc(cut ? cut : 1);
		memcpy(tight, bytes, cut);
		ck_assert_int_eq(cn_epmd_read_port2(tight, cut, false, &n), 0);
		ck_assert_int_eq(cn_epmd_read_port2(tight, cut, true, &n), CNODE_EEPMD);
		free(tight);
	}
	ck_assert_int_eq(cn_epmd_read_port2(bytes, size, false, &n), size);
	ck_assert_uint_eq(n.port, 36839);
	ck_assert_uint_eq(n.type, 'M');
	ck_assert_uint_eq(n.high, 6);
	ck_assert_uint_eq(n.low, 5);
	ck_assert(n.name_size == 3 && memcmp(n.name, "p23", 3) == 0);
	ck_assert(n.extra_size == 1 && n.extra[0] == 'x');
	ck_assert_int_eq(cn_epmd_read_port2("\x77\1", 2, true, &n), CNODE_ENOTREG);
	ck_assert_int_eq(cn_epmd_read_port2("GET ", 4, false, &n), CNODE_EEPMD);
	/* a liar's name */
	size = hex("77 00 8f e7 4d 00 00 06 00 05 ff ff", bytes);
	ck_assert_int_eq(cn_epmd_read_port2(bytes, size, false, &n), CNODE_EEPMD);
}
END_TEST

START_TEST(reads_names_once_epmd_has_closed)
{
	static const char text[] = "\0\0\x11\x11name a at port 1\nname b c at port 65535\nname x at port 7 at port 8\n";
	struct cn_epmd_node n;
	struct cn_rd rd;
	uint16_t port;
	ck_assert_int_eq(cn_epmd_read_names(text, sizeof text - 1, false, &port, &rd), 0);
	ck_assert_int_eq(cn_epmd_read_names(text, 3, true, &port, &rd), CNODE_EEPMD);
	ck_assert_int_eq(cn_epmd_read_names("\1\0\0\0", 4, false, &port, &rd), CNODE_EEPMD);
	ck_assert_int_gt(cn_epmd_read_names(text, sizeof text - 1, true, &port, &rd), 0);
	ck_assert_uint_eq(port, 4369);
	ck_assert_int_eq(cn_epmd_next_name(&rd, &n), 1);
	ck_assert(n.port == 1 && n.name_size == 1 && n.name[0] == 'a');
	ck_assert_int_eq(cn_epmd_next_name(&rd, &n), 1);
	ck_assert(n.port == 65535 && n.name_size == 3 && memcmp(n.name, "b c", 3) == 0);
	ck_assert_int_eq(cn_epmd_next_name(&rd, &n), 1);
	ck_assert(n.port == 8 && n.name_size == 11);
	ck_assert_int_eq(cn_epmd_next_name(&rd, &n), 0);
	static const char *const bad[] = { "name a at port 1", "nam a at port 1\n", "name a at port \n", "name  at port 1\n",
					   "name a at port 65536\n", "name a at port 123456\n", "name a port 1\n", "\n",
					   "name 1\n", "name a at port -1\n" };
	for (size_t i = 0; i < CN_ARRAY_SIZE(bad); i++) {
		rd = cn_rd_init(bad[i], strlen(bad[i]));
		ck_assert_msg(cn_epmd_next_name(&rd, &n) == CNODE_EEPMD, "%s", bad[i]);
	}
	/* at most 64 KiB are believed */
	static char flood[CN_EPMD_REPLY_BYTES + 1];
	ck_assert_int_eq(cn_epmd_read_names(flood, CN_EPMD_REPLY_BYTES, false, &port, &rd), 0);
	ck_assert_int_eq(cn_epmd_read_names(flood, CN_EPMD_REPLY_BYTES + 1, false, &port, &rd), CNODE_EEPMD);
}
END_TEST

START_TEST(understands_what_otp_s_epmd_answered)
{
	static const char *const releases[] = { "23", "25", "27", "29" };
	for (int i = 0; i < 4; i++) {
		char path[128];
		size_t size;
		struct cn_epmd_node n;
		uint32_t creation;
		uint16_t port;
		struct cn_rd rd;
		snprintf(path, sizeof path, "conformance/corpus/%s/epmd/001-port2-known.bin", releases[i]);
		uint8_t *data = read_file(path, &size);
		ck_assert_ptr_nonnull(data);
		ck_assert_int_eq(cn_epmd_read_port2(data, size, true, &n), size);
		ck_assert(n.name_size == 3 && memcmp(n.name, "otp", 3) == 0 && n.high == 6);
		free(data);
		snprintf(path, sizeof path, "conformance/corpus/%s/epmd/002-port2-unknown.bin", releases[i]);
		data = read_file(path, &size);
		ck_assert_int_eq(cn_epmd_read_port2(data, size, true, &n), CNODE_ENOTREG);
		free(data);
		snprintf(path, sizeof path, "conformance/corpus/%s/epmd/003-names.bin", releases[i]);
		data = read_file(path, &size);
		ck_assert_int_gt(cn_epmd_read_names(data, size, true, &port, &rd), 0);
		ck_assert_int_eq(cn_epmd_next_name(&rd, &n), 1);
		ck_assert(n.name_size == 3 && memcmp(n.name, "otp", 3) == 0);
		free(data);
		snprintf(path, sizeof path, "conformance/corpus/%s/epmd/004-alive2-accepted.bin", releases[i]);
		data = read_file(path, &size);
		ck_assert_int_eq(cn_epmd_read_alive2(data, size, false, &creation), 6);
		ck_assert_uint_ge(creation, 4);
		free(data);
		snprintf(path, sizeof path, "conformance/corpus/%s/epmd/005-alive2-taken.bin", releases[i]);
		data = read_file(path, &size);
		ck_assert_int_eq(cn_epmd_read_alive2(data, size, false, &creation), CNODE_ENAMETAKEN);
		free(data);
	}
}
END_TEST

/* ---- the server's side ---- */

START_TEST(reads_the_requests_that_the_client_writes)
{
	struct cn_buf b = { 0 };
	struct cn_epmd_request q;
	struct cn_epmd_node n = sample("p23");
	n.extra = (const uint8_t *)"xy";
	n.extra_size = 2;
	cn_epmd_put_alive2(&b, &n);
	for (size_t cut = 0; cut < b.size; cut++) {
		uint8_t *tight = malloc(cut ? cut : 1);
		memcpy(tight, b.data, cut);
		ck_assert_int_eq(cn_epmd_read_request(tight, cut, &q), 0);
		free(tight);
	}
	ck_assert_int_eq(cn_epmd_read_request(b.data, b.size, &q), b.size);
	ck_assert_int_eq(q.op, CN_EPMD_ALIVE2);
	ck_assert(q.node.port == 36839 && q.node.high == 6 && q.node.type == 'M' && q.node.extra_size == 2);
	ck_assert(q.node.name_size == 3 && memcmp(q.node.name, "p23", 3) == 0);
	cn_buf_clear(&b);
	cn_epmd_put_port2(&b, "p23", 3);
	ck_assert_int_eq(cn_epmd_read_request(b.data, b.size, &q), b.size);
	ck_assert(q.op == CN_EPMD_PORT2 && q.node.name_size == 3);
	cn_buf_clear(&b);
	cn_epmd_put_names(&b);
	ck_assert_int_eq(cn_epmd_read_request(b.data, b.size, &q), 3);
	ck_assert_int_eq(q.op, CN_EPMD_NAMES);
	cn_buf_fini(&b);

	static const struct { const char *bytes; int rc; } raw[] = {
		{ "00 05 7a 'p23' 00", 7 }, { "00 02 7a 00", CNODE_EPROTO }, { "00 01 7a", CNODE_EPROTO },
		{ "00 00", CNODE_EPROTO }, { "0b f4", CNODE_EPROTO }, { "0b f3", 0 }, { "00 01 64", 3 }, { "00 01 6b", 3 },
		{ "00 04 73 'p23'", 6 }, { "00 01 00", CNODE_EPROTO }, { "'GET '", CNODE_EPROTO },
		{ "00 0d 78 8f e7 4d 00 00 06 00 05 00 03 00 00", CNODE_EPROTO },
	};
	for (size_t i = 0; i < CN_ARRAY_SIZE(raw); i++) {
		uint8_t bytes[64];
		size_t size = hex(raw[i].bytes, bytes);
		uint8_t *tight = malloc(size);
		memcpy(tight, bytes, size);
		ck_assert_msg(cn_epmd_read_request(tight, size, &q) == raw[i].rc, "%s", raw[i].bytes);
		free(tight);
	}
}
END_TEST

START_TEST(the_client_understands_the_server_s_replies)
{
	struct cn_buf b = { 0 };
	uint32_t creation = 0;
	struct cn_epmd_node n = sample("p23"), got;
	ck_assert_int_eq(cn_epmd_put_alive2_reply(&b, 6, 0, 0x12345678), 0);
	ck_assert_int_eq(cn_epmd_read_alive2(b.data, b.size, false, &creation), 6);
	ck_assert_uint_eq(creation, 0x12345678);
	cn_buf_clear(&b);
	for (uint32_t i = 100; i < 110; i++) {
		cn_buf_clear(&b);
		cn_epmd_put_alive2_reply(&b, 5, 0, i);
		ck_assert_int_eq(cn_epmd_read_alive2(b.data, b.size, false, &creation), 4);
		ck_assert(creation >= 1 && creation <= 3);
	}
	cn_buf_clear(&b);
	cn_epmd_put_alive2_reply(&b, 6, 1, 7);
	ck_assert_mem_eq(b.data, "\x76\1\0\0\0\x63", 6);
	cn_buf_clear(&b);
	cn_epmd_put_port2_reply(&b, &n);
	ck_assert_int_eq(cn_epmd_read_port2(b.data, b.size, false, &got), b.size);
	ck_assert(got.port == n.port && got.high == 6 && got.name_size == 3);
	cn_buf_clear(&b);
	cn_epmd_put_port2_reply(&b, NULL);
	ck_assert_int_eq(cn_epmd_read_port2(b.data, b.size, false, &got), CNODE_ENOTREG);
	cn_buf_fini(&b);
}
END_TEST

/* ---- the registry ---- */

START_TEST(a_name_is_given_once_and_comes_back_with_another_creation)
{
	struct cn_epmd_registry *r = cn_epmd_registry_new(1000);
	struct cn_epmd_node a = sample("a"), b = sample("b");
	uint32_t first, second, other;
	b.extra = (const uint8_t *)"more";
	b.extra_size = 4;
	ck_assert_int_eq(cn_epmd_registry_add(r, &a, &first), 0);
	ck_assert_int_eq(cn_epmd_registry_add(r, &a, &second), CNODE_ENAMETAKEN);
	ck_assert_int_eq(cn_epmd_registry_add(r, &b, &other), 0);
	ck_assert_uint_eq(cn_epmd_registry_count(r), 2);
	ck_assert_mem_eq(cn_epmd_registry_find(r, "b", 1)->extra, "more", 4);
	ck_assert_uint_eq(cn_epmd_registry_find(r, "a", 1)->port, 36839);
	ck_assert_ptr_null(cn_epmd_registry_find(r, "c", 1));
	ck_assert(cn_epmd_registry_remove(r, "a", 1));
	ck_assert(!cn_epmd_registry_remove(r, "a", 1));
	ck_assert(!cn_epmd_registry_remove(r, "c", 1));
	ck_assert_ptr_null(cn_epmd_registry_find(r, "a", 1));
	a.port = 1;
	ck_assert_int_eq(cn_epmd_registry_add(r, &a, &second), 0);
	ck_assert_uint_eq(second, first + 1);
	ck_assert_uint_eq(cn_epmd_registry_find(r, "a", 1)->port, 1);
	struct cn_epmd_node bad = sample("");
	ck_assert_int_eq(cn_epmd_registry_add(r, &bad, &second), CNODE_EBADNAME);
	cn_epmd_registry_free(r);
	cn_epmd_registry_free(NULL);
}
END_TEST

START_TEST(creations_are_never_0_to_3)
{
	static const uint32_t seeds[] = { 0, 3, UINT32_MAX, UINT32_MAX - 1 };
	for (size_t i = 0; i < 4; i++) {
		struct cn_epmd_registry *r = cn_epmd_registry_new(seeds[i]);
		struct cn_epmd_node a = sample("a"), b = sample("b");
		uint32_t creation;
		for (int k = 0; k < 3; k++) {
			ck_assert_int_eq(cn_epmd_registry_add(r, &a, &creation), 0);
			ck_assert_uint_ge(creation, 4);
			cn_epmd_registry_remove(r, "a", 1);
		}
		ck_assert_int_eq(cn_epmd_registry_add(r, &b, &creation), 0);
		ck_assert_uint_ge(creation, 4);
		cn_epmd_registry_free(r);
	}
}
END_TEST

START_TEST(remembers_a_thousand_gone_names)
{
	struct cn_epmd_registry *r = cn_epmd_registry_new(50);
	uint32_t creation, of_zero = 0, of_one = 0;
	for (int i = 0; i <= CN_EPMD_OLD_ENTRIES; i++) {
		char name[16];
		snprintf(name, sizeof name, "n%d", i);
		struct cn_epmd_node n = sample(name);
		ck_assert_int_eq(cn_epmd_registry_add(r, &n, &creation), 0);
		ck_assert(cn_epmd_registry_remove(r, name, strlen(name)));
		of_zero = i == 0 ? creation : of_zero;
		of_one = i == 1 ? creation : of_one;
	}
	struct cn_epmd_node zero = sample("n0"), one = sample("n1");
	ck_assert_int_eq(cn_epmd_registry_add(r, &one, &creation), 0);
	ck_assert_uint_eq(creation, of_one + 1);
	ck_assert_int_eq(cn_epmd_registry_add(r, &zero, &creation), 0);
	ck_assert_uint_ne(creation, of_zero + 1);       /* the oldest was forgotten */
	cn_epmd_registry_free(r);
}
END_TEST

START_TEST(lists_its_names)
{
	struct cn_epmd_registry *r = cn_epmd_registry_new(50);
	struct cn_epmd_node a = sample("a"), b = sample("b"), got;
	struct cn_buf out = { 0 };
	struct cn_rd rd;
	uint32_t creation;
	uint16_t port;
	cn_epmd_registry_add(r, &a, &creation);
	cn_epmd_registry_add(r, &b, &creation);
	cn_epmd_registry_remove(r, "a", 1);
	ck_assert_int_eq(cn_epmd_put_names_reply(&out, r, 4369), 0);
	ck_assert_int_gt(cn_epmd_read_names(out.data, out.size, true, &port, &rd), 0);
	ck_assert_uint_eq(port, 4369);
	ck_assert_int_eq(cn_epmd_next_name(&rd, &got), 1);
	ck_assert(got.name_size == 1 && got.name[0] == 'b' && got.port == 36839);
	ck_assert_int_eq(cn_epmd_next_name(&rd, &got), 0);
	cn_buf_fini(&out);
	cn_epmd_registry_free(r);
}
END_TEST

static void scenario(void)
{
	struct cn_epmd_registry *r = cn_epmd_registry_new(50);
	struct cn_buf out = { 0 };
	uint32_t creation;
	for (int i = 0; r && i < 3; i++) {
		char name[16];
		snprintf(name, sizeof name, "n%d", i);
		struct cn_epmd_node n = sample(name);
		int rc = cn_epmd_registry_add(r, &n, &creation);
		ck_assert(rc == 0 || rc == CNODE_ENOMEM);
		ck_assert((cn_epmd_registry_find(r, name, 2) != NULL) == (rc == 0));
		cn_epmd_put_alive2(&out, &n);
		cn_epmd_put_port2_reply(&out, &n);
	}
	if (r)
		cn_epmd_put_names_reply(&out, r, 1);
	ck_assert(out.err == 0 || out.err == CNODE_ENOMEM);
	cn_buf_fini(&out);
	cn_epmd_registry_free(r);
}

START_TEST(survives_every_failing_allocation)
{
	alloc_fail_each(scenario);
}
END_TEST

START_TEST(node_names_have_rules)
{
	ck_assert(cn_node_name_valid("a@b", 3));
	static const char *const bad[] = { "", "@", "a@", "@b", "ab", "a@b@c", "a@\xff" };
	for (size_t i = 0; i < CN_ARRAY_SIZE(bad); i++)
		ck_assert(!cn_node_name_valid(bad[i], strlen(bad[i])));
	ck_assert(!cn_node_name_valid("a@b\0", 4));
	ck_assert(cn_node_name_wins("b@h", "a@h"));
	ck_assert(!cn_node_name_wins("a@h", "b@h"));
	ck_assert(!cn_node_name_wins("a@h", "a@h"));
	char name[CNODE_NAME_SIZE];
	cn_node_name_dynamic(0, "h", name);
	ck_assert_str_eq(name, "0@h");
	cn_node_name_dynamic(UINT64_MAX, "h", name);
	ck_assert_str_eq(name, "3W5E11264SGSF@h");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("wire_epmd");
	TCase *t = tcase_create("epmd");
	tcase_add_test(t, writes_requests_as_documented);
	tcase_add_test(t, names_have_limits);
	tcase_add_test(t, reads_both_forms_of_alive2_reply_in_pieces);
	tcase_add_test(t, reads_port2_replies_in_pieces);
	tcase_add_test(t, reads_names_once_epmd_has_closed);
	tcase_add_test(t, understands_what_otp_s_epmd_answered);
	tcase_add_test(t, reads_the_requests_that_the_client_writes);
	tcase_add_test(t, the_client_understands_the_server_s_replies);
	tcase_add_test(t, a_name_is_given_once_and_comes_back_with_another_creation);
	tcase_add_test(t, creations_are_never_0_to_3);
	tcase_add_test(t, remembers_a_thousand_gone_names);
	tcase_add_test(t, lists_its_names);
	tcase_add_test(t, survives_every_failing_allocation);
	tcase_add_test(t, node_names_have_rules);
	suite_add_tcase(s, t);
	return tap_run(s);
}
