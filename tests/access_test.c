/* SPDX-License-Identifier: Apache-2.0 */
/* access: lists of nodes, and a comparison with a model on random operations. */
#include "cnode/access/access.h"
#include "tests/alloc_fail.h"
#include "tests/tap.h"

static struct cn_access list;

static void open_list(void) { cn_access_init(&list); }
static void close_list(void) { cn_access_fini(&list); }

static void expect(const char *mode, const char *allowed, const char *denied)
{
	enum cn_access_mode m;
	struct cn_buf a, d;
	cn_buf_init(&a, 0);
	cn_buf_init(&d, 0);
	ck_assert_int_eq(cn_access_describe(&list, &m, &a, &d), 0);
	cn_put_u8(&a, 0);
	cn_put_u8(&d, 0);
	ck_assert_str_eq(cn_access_mode_name(m), mode);
	ck_assert_str_eq((char *)a.data, allowed);
	ck_assert_str_eq((char *)d.data, denied);
	cn_buf_fini(&a);
	cn_buf_fini(&d);
}

START_TEST(nobody_may_until_somebody_is_allowed)
{
	ck_assert(!cn_access_allowed(&list, "a@h"));
	expect("none", "", "");
	ck_assert_int_eq(cn_access_allow(&list, "a@h, b@h"), 0);
	ck_assert(cn_access_allowed(&list, "a@h"));
	ck_assert(cn_access_allowed(&list, "b@h"));
	ck_assert(!cn_access_allowed(&list, "c@h"));
	ck_assert(!cn_access_allowed(&list, "a@host"));
	expect("list", "a@h,b@h", "");
}
END_TEST

START_TEST(denying_the_last_node_closes)
{
	cn_access_allow(&list, "a@h,b@h");
	cn_access_deny(&list, "a@h");
	ck_assert(!cn_access_allowed(&list, "a@h"));
	ck_assert(cn_access_allowed(&list, "b@h"));
	cn_access_deny(&list, "b@h");
	expect("none", "", "");
	ck_assert(!cn_access_allowed(&list, "b@h"));
}
END_TEST

START_TEST(denying_one_node_of_an_open_list_denies_that_one)
{
	cn_access_allow(&list, "*");
	expect("all", "", "");
	cn_access_deny(&list, "a@h");
	expect("all", "", "a@h");
	ck_assert(!cn_access_allowed(&list, "a@h"));
	ck_assert(cn_access_allowed(&list, "b@h"));
	cn_access_allow(&list, "a@h");
	ck_assert(cn_access_allowed(&list, "a@h"));
	cn_access_deny(&list, "*");
	expect("none", "", "");
}
END_TEST

START_TEST(set_replaces_and_allow_adds)
{
	cn_access_allow(&list, "a@h");
	cn_access_allow(&list, "b@h");
	expect("list", "a@h,b@h", "");
	cn_access_set(&list, "c@h");
	expect("list", "c@h", "");
	cn_access_set(&list, "");
	expect("none", "", "");
}
END_TEST

START_TEST(patterns_match_and_the_last_rule_decides)
{
	cn_access_allow(&list, "worker*@h");
	ck_assert(cn_access_allowed(&list, "worker7@h"));
	ck_assert(!cn_access_allowed(&list, "worker7@other"));
	cn_access_deny(&list, "worker7@h");
	ck_assert(!cn_access_allowed(&list, "worker7@h"));
	ck_assert(cn_access_allowed(&list, "worker8@h"));
	cn_access_allow(&list, "w*@*");
	ck_assert(cn_access_allowed(&list, "worker7@h"));
	expect("list", "w*@*", "");
}
END_TEST

START_TEST(refuses_a_bad_entry_and_changes_nothing)
{
	static const char *const bad[] = { "a", "a@", "@h", "a@h,", ",a@h", "a@h,,b@h", "a@b@c", " ", "a@h,b" };
	cn_access_allow(&list, "x@h");
	for (size_t i = 0; i < CN_ARRAY_SIZE(bad); i++) {
		ck_assert_int_eq(cn_access_allow(&list, bad[i]), CNODE_EBADARG);
		ck_assert_int_eq(cn_access_deny(&list, bad[i]), CNODE_EBADARG);
		ck_assert_int_eq(cn_access_set(&list, bad[i]), CNODE_EBADARG);
	}
	expect("list", "x@h", "");
	const char *where = NULL;
	const char *who = "a@h, b";
	ck_assert_int_eq(cn_access_check(who, &where), CNODE_EBADARG);
	ck_assert_str_eq(where, "b");
}
END_TEST

START_TEST(one_change_allows_and_denies)
{
	ck_assert_int_eq(cn_access_set(&list, "*, !evil@h"), 0);
	expect("all", "", "evil@h");
	ck_assert(cn_access_allowed(&list, "a@h"));
	ck_assert(!cn_access_allowed(&list, "evil@h"));
	/* The last entry that matches decides, here as over several changes. */
	ck_assert_int_eq(cn_access_set(&list, "!w7@h,w*@h"), 0);
	ck_assert(cn_access_allowed(&list, "w7@h"));
	ck_assert_int_eq(cn_access_set(&list, "w*@h,!w7@h"), 0);
	ck_assert(!cn_access_allowed(&list, "w7@h"));
	ck_assert_int_eq(cn_access_set(&list, "!*"), 0);
	expect("none", "", "");
	static const char *const bad[] = { "!", "!!a@h", "! a@h", "!a", "a@h,!" };
	for (size_t i = 0; i < CN_ARRAY_SIZE(bad); i++)
		ck_assert_int_eq(cn_access_set(&list, bad[i]), CNODE_EBADARG);
	ck_assert_int_eq(cn_access_deny(&list, "!a@h"), CNODE_EBADARG);
}
END_TEST

/* Puts the text of the list into a list of its own, and compares the two. */
static void expect_same_by_text(const char *const *nodes, size_t count)
{
	struct cn_access copy;
	struct cn_buf text;
	cn_buf_init(&text, 0);
	ck_assert_int_eq(cn_access_text(&list, &text), 0);
	cn_put_u8(&text, 0);
	cn_access_init(&copy);
	ck_assert_int_eq(cn_access_set(&copy, (char *)text.data), 0);
	for (size_t i = 0; i < count; i++)
		ck_assert_msg(cn_access_allowed(&copy, nodes[i]) == cn_access_allowed(&list, nodes[i]), "%s by \"%s\"",
			      nodes[i], (char *)text.data);
	cn_access_fini(&copy);
	cn_buf_fini(&text);
}

/* The model: the last operation that matches a name decides. */
START_TEST(agrees_with_a_model_on_random_operations)
{
	static const char *const who[] = { "a@h", "ab@h", "b@h", "a*@h", "*@h", "*", "*b@*", "a@*" };
	static const char *const nodes[] = { "a@h", "ab@h", "b@h", "bb@g", "a@g", "c@h" };
	uint32_t seed = 12345;
	for (int round = 0; round < 2000; round++) {
		bool model[CN_ARRAY_SIZE(nodes)] = { false };
		cn_access_set(&list, "");
		for (int step = 0; step < 12; step++) {
			seed = seed * 1664525u + 1013904223u;
			const char *w = who[(seed >> 16) % CN_ARRAY_SIZE(who)];
			unsigned op = (seed >> 8) % 8;
			if (op == 0) {
				memset(model, 0, sizeof model);
				ck_assert_int_eq(cn_access_set(&list, w), 0);
			} else if (op < 4) {
				ck_assert_int_eq(cn_access_deny(&list, w), 0);
			} else {
				ck_assert_int_eq(cn_access_allow(&list, w), 0);
			}
			for (size_t i = 0; i < CN_ARRAY_SIZE(nodes); i++) {
				if (cn_access_match(w, nodes[i]))
					model[i] = op == 0 || op >= 4;
				ck_assert_msg(cn_access_allowed(&list, nodes[i]) == model[i],
					      "round %d step %d: %s after %s", round, step, nodes[i], w);
			}
			expect_same_by_text(nodes, CN_ARRAY_SIZE(nodes));
		}
	}
}
END_TEST

static _Atomic bool watching;
static _Atomic uint64_t looked, seen;

static void watch(void *arg)
{
	(void)arg;
	while (atomic_load(&watching)) {
		atomic_fetch_add(&seen, cn_access_allowed(&list, "evil@h"));
		atomic_fetch_add(&looked, 1);
	}
}

START_TEST(no_reader_sees_a_moment_wider_than_before_or_after)
{
	struct cn_thread watcher;
	atomic_store(&watching, true);
	cn_access_set(&list, "a@h");
	ck_assert_int_eq(cn_thread_start(&watcher, "watcher", watch, NULL), 0);
	for (int i = 0; i < 2000 || atomic_load(&looked) < 2000; i++)
		ck_assert_int_eq(cn_access_set(&list, i % 2 ? "a@h" : "*,b@h,!evil@h"), 0);
	atomic_store(&watching, false);
	cn_thread_join(&watcher);
	ck_assert_uint_eq(atomic_load(&seen), 0);
}
END_TEST

static void change_list(void)
{
	struct cn_access a;
	cn_access_init(&a);
	int rc = cn_access_allow(&a, "a@h,b*@h");
	ck_assert(rc == 0 || rc == CNODE_ENOMEM);
	ck_assert(cn_access_allowed(&a, "a@h") == (rc == 0));
	bool before = cn_access_allowed(&a, "b1@h");
	rc = cn_access_deny(&a, "b1@h");
	ck_assert(cn_access_allowed(&a, "b1@h") == (rc == 0 ? false : before));
	cn_access_fini(&a);
}

START_TEST(a_change_without_memory_changes_nothing)
{
	alloc_fail_each(change_list);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("access");
	TCase *tc = tcase_create("lists");
	tcase_add_checked_fixture(tc, open_list, close_list);
	tcase_add_test(tc, nobody_may_until_somebody_is_allowed);
	tcase_add_test(tc, denying_the_last_node_closes);
	tcase_add_test(tc, denying_one_node_of_an_open_list_denies_that_one);
	tcase_add_test(tc, set_replaces_and_allow_adds);
	tcase_add_test(tc, patterns_match_and_the_last_rule_decides);
	tcase_add_test(tc, refuses_a_bad_entry_and_changes_nothing);
	tcase_add_test(tc, one_change_allows_and_denies);
	tcase_add_test(tc, no_reader_sees_a_moment_wider_than_before_or_after);
	tcase_add_test(tc, agrees_with_a_model_on_random_operations);
	tcase_add_test(tc, a_change_without_memory_changes_nothing);
	suite_add_tcase(s, tc);
	return tap_run(s);
}
