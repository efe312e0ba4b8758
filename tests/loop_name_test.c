/* SPDX-License-Identifier: Apache-2.0 */
/* The loop: addresses, and the hosts behind names. */
#include "tests/alloc_fail.h"
#include "tests/loop_rounds.h"

START_TEST(reads_and_writes_addresses)
{
	struct cn_address a;
	char text[CN_ADDRESS_TEXT], host[64];
	uint16_t port = 9;
	ck_assert(cn_address_parse("10.1.2.3", 4369, &a));
	ck_assert_str_eq(cn_address_text(&a, text), "10.1.2.3:4369");
	ck_assert(cn_address_parse("::1", 1, &a));
	ck_assert_str_eq(cn_address_text(&a, text), "[::1]:1");
	ck_assert(cn_address_is_loopback(&a));
	ck_assert(cn_address_parse("::ffff:127.0.0.2", 1, &a));
	ck_assert_int_eq(a.family, 4);
	ck_assert(cn_address_is_loopback(&a));
	ck_assert(!cn_address_parse("localhost", 1, &a));
	ck_assert(!cn_address_parse("1.2.3", 1, &a));
	ck_assert(!cn_address_parse("fe80::1%", 1, &a));

	static const struct { const char *text, *host; int port, rc; } rows[] = {
		{ "a.b", "a.b", 9, 0 }, { "a.b:80", "a.b", 80, 0 }, { ":80", "", 80, 0 }, { "[::1]:80", "::1", 80, 0 },
		{ "[::1]", "::1", 9, 0 }, { "::1", "::1", 9, 0 }, { "", "", 9, 0 },
		{ "a:", "", 0, CNODE_EBADARG }, { "a:65536", "", 0, CNODE_EBADARG }, { "a:1x", "", 0, CNODE_EBADARG },
		{ "[::1", "", 0, CNODE_EBADARG }, { "[::1]80", "", 0, CNODE_EBADARG },
	};
	for (size_t i = 0; i < CN_ARRAY_SIZE(rows); i++) {
		port = 9;
		ck_assert_int_eq(cn_address_split(rows[i].text, host, sizeof host, &port), rows[i].rc);
		if (rows[i].rc == 0) {
			ck_assert_str_eq(host, rows[i].host);
			ck_assert_int_eq(port, rows[i].port);
		}
	}
	ck_assert_int_eq(cn_address_split("abc", host, 3, &port), CNODE_EBADARG);
}
END_TEST

static int resolved, resolve_rc;
static void on_resolved(struct cn_resolve *r, int rc)
{
	(void)r;
	resolved++;
	resolve_rc = rc;
}

START_TEST(resolves_numeric_addresses_at_once_and_hosts_from_the_file)
{
	struct cn_resolve r;
	resolved = 0;
	cn_resolve_start(&r, loop, "192.0.2.1", 0, 7, on_resolved);
	ck_assert_int_eq(resolved, 0);
	cn_loop_poll(loop, CN_NEVER);
	ck_assert_int_eq(resolved, 1);
	ck_assert_int_eq(resolve_rc, 0);
	ck_assert_uint_eq(r.count, 1);
	ck_assert_int_eq(r.found[0].port, 7);

	cn_resolve_start(&r, loop, "192.0.2.1", 6, 7, on_resolved);
	UNTIL(resolved == 2);
	ck_assert_int_eq(resolve_rc, CNODE_EHOST);

	cn_resolve_start(&r, loop, "localhost", 4, 7, on_resolved);
	ck_assert_int_eq(resolved, 2);
	UNTIL(resolved == 3);
	ck_assert_int_eq(resolve_rc, 0);
	ck_assert_int_eq(r.found[0].ip[0], 127);
	ck_assert_int_eq(r.found[0].port, 7);
}
END_TEST

START_TEST(says_that_a_name_does_not_exist)
{
	struct cn_resolve r;
	resolved = 0;
	cn_resolve_start(&r, loop, "nobody.invalid", 0, 7, on_resolved);
	UNTIL(resolved == 1);
	ck_assert(resolve_rc == CNODE_EHOST || resolve_rc == CNODE_ETIMEOUT);
	cn_resolve_start(&r, loop, "", 0, 7, on_resolved);
	UNTIL(resolved == 2);
	ck_assert(resolve_rc != 0);
}
END_TEST

START_TEST(calls_nobody_after_a_question_was_cancelled)
{
	struct cn_resolve r = { 0 };
	cn_resolve_cancel(&r);
	resolved = 0;
	cn_resolve_start(&r, loop, "192.0.2.1", 0, 7, on_resolved);
	cn_resolve_cancel(&r);
	cn_resolve_cancel(&r);
	cn_resolve_start(&r, loop, "nobody.invalid", 0, 7, on_resolved);
	cn_resolve_cancel(&r);
	cn_loop_poll(loop, 0);
	ck_assert_int_eq(resolved, 0);
}
END_TEST

static void scenario(void)
{
	struct cn_loop *l;
	if (cn_loop_new(NULL, &l) != 0)
		return;
	cn_lead_take(l);
	struct cn_resolve r;
	resolved = 0;
	cn_resolve_start(&r, l, "localhost", 0, 7, on_resolved);
	for (int i = 0; i < 10000 && !resolved; i++)
		cn_loop_poll(l, cn_now() + CN_NS_PER_S);
	ck_assert_int_eq(resolved, 1);
	ck_assert(resolve_rc == 0 || resolve_rc == CNODE_ENOMEM || resolve_rc == CNODE_ETIMEOUT);
	cn_lead_release(l);
	cn_loop_free(l);
}

START_TEST(survives_every_failed_allocation)
{
	alloc_fail_each(scenario);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("loop_name");
	TCase *real = tcase_create("real time"), *alone = tcase_create("memory");
	tcase_add_checked_fixture(real, setup, teardown);
	tcase_add_test(real, reads_and_writes_addresses);
	tcase_add_test(real, resolves_numeric_addresses_at_once_and_hosts_from_the_file);
	tcase_add_test(real, says_that_a_name_does_not_exist);
	tcase_add_test(real, calls_nobody_after_a_question_was_cancelled);
	tcase_add_test(alone, survives_every_failed_allocation);
	suite_add_tcase(s, real);
	suite_add_tcase(s, alone);
	return tap_run(s);
}
