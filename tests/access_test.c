/* SPDX-License-Identifier: Apache-2.0 */
/* access: lists of nodes, and a comparison with a model on random operations. */
#include "cnode/access/access.h"
#include "tests/alloc_fail.h"
#include "tests/tap.h"

#include <stdio.h>

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

/* Several entries at once are as so many changes, names and patterns mixed. */
START_TEST(a_list_in_one_go_is_as_its_entries_one_by_one)
{
	uint32_t seed = 4711;
	for (int round = 0; round < 300; round++) {
		char who[2000] = "";
		bool model[40] = { false };
		cn_access_set(&list, round % 3 ? "n1*@h" : "");
		for (int n = 0; n < 40; n++)
			model[n] = round % 3 && (n == 1 || (n >= 10 && n < 20));
		for (int i = 0; i < 60; i++) {
			char pattern[16], node[16];
			seed = seed * 1664525u + 1013904223u;
			bool denies = seed >> 31, wide = (seed >> 24) % 10 == 0;
			snprintf(pattern, sizeof pattern, wide ? "n%u*@h" : "n%u@h", (unsigned)((seed >> 8) % (wide ? 4 : 40)));
			snprintf(who + strlen(who), sizeof who - strlen(who), "%s%s%s", i ? "," : "", denies ? "!" : "", pattern);
			for (int n = 0; n < 40; n++) {
				snprintf(node, sizeof node, "n%d@h", n);
				if (cn_access_match(pattern, node))
					model[n] = !denies;
			}
		}
		ck_assert_int_eq(cn_access_allow(&list, who), 0);
		for (int n = 0; n < 40; n++) {
			char node[16];
			snprintf(node, sizeof node, "n%d@h", n);
			ck_assert_msg(cn_access_allowed(&list, node) == model[n], "round %d: %s after %s", round, node, who);
		}
	}
}
END_TEST

static void set_and_ask_nodes(int many)
{
	static char who[CNODE_ACCESS_ENTRIES_MAX * 20];
	char node[32];
	size_t size = 0;
	for (int i = 0; i < many; i++)
		size += (size_t)snprintf(who + size, sizeof who - size, "%snode%05d@host", i ? "," : "", i);
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(cn_access_set(&list, who), 0);
	ck_assert_int_eq(cn_access_allow(&list, "one@more"), many == CNODE_ACCESS_ENTRIES_MAX ? CNODE_EBADARG : 0);
	ck_assert_int_eq(cn_access_deny(&list, "node00007@host"), 0);
	for (int i = 0; i < 10 * many; i++) {
		int n = i % (many + 1);
		snprintf(node, sizeof node, "node%05d@host", n);
		if (cn_access_allowed(&list, node) != (n != 7 && n < many))
			ck_abort_msg("%s", node);
	}
}

/* With work that grows with its square, and questions that look at all of it, it took 7 s. */
START_TEST(a_list_of_ten_thousand_nodes_is_cheap_to_set_and_to_ask)
{
	tap_assert_in_proportion(set_and_ask_nodes, CNODE_ACCESS_ENTRIES_MAX / 4);
}
END_TEST

static void set_and_ask_patterns(int many)
{
	static const char *const kinds[] = { "*@host%05d.example.org", "node%05d@*", "worker_%d_*@host" };
	static char who[CNODE_ACCESS_ENTRIES_MAX * 32];
	char node[64];
	for (size_t kind = 0; kind < CN_ARRAY_SIZE(kinds); kind++) {
		size_t size = 0;
		for (int i = 0; i < many; i++) {
			who[size] = ',';
			size += i > 0;
			size += (size_t)snprintf(who + size, sizeof who - size, kinds[kind], i);
		}
		for (int i = 0; i < 3; i++)
			ck_assert_int_eq(cn_access_set(&list, who), 0);
		for (int i = 0; i < many; i++) {
			snprintf(node, sizeof node, "worker_%d_7@host", i * 2);
			ck_assert(cn_access_allowed(&list, node) == (kind == 2 && i * 2 < many));
			snprintf(node, sizeof node, "node%05d@host%05d.example.org", i + many / 2, i);
			ck_assert(cn_access_allowed(&list, node) == (kind == 0 || (kind == 1 && i + many / 2 < many)));
		}
	}
}

/* By their square, each of these lists took between one and three seconds to set, in which nobody was answered. */
START_TEST(ten_thousand_patterns_are_cheap_to_set_and_to_ask)
{
	tap_assert_in_proportion(set_and_ask_patterns, CNODE_ACCESS_ENTRIES_MAX / 4);
}
END_TEST

static char *random_text(uint32_t *seed, char *at, unsigned most, bool wide)
{
	for (unsigned n = (*seed = *seed * 1664525u + 1013904223u) >> 16, left = n % (most + 1); left > 0; left--) {
		*seed = *seed * 1664525u + 1013904223u;
		*at++ = wide && (*seed >> 16) % 5 == 0 ? '*' : "ab"[(*seed >> 24) % 2];
	}
	return at;
}

/* More pairs of ends than are looked up one by one, and such that overlap in a short name. */
START_TEST(patterns_of_all_shapes_agree_with_a_model)
{
	uint32_t seed = 42;
	for (int round = 0; round < 300; round++) {
		char rules[60][40], who[sizeof rules + 200] = "", node[40], *end;
		bool denies[60];
		for (int i = 0; i < 60; i++) {
			seed = seed * 1664525u + 1013904223u;
			denies[i] = seed >> 31;
			rules[i][0] = "a*b*"[(seed >> 16) % 4];
			end = random_text(&seed, rules[i] + 1, round % 3 ? 2 : 12, true);
			*end++ = '@';
			end = random_text(&seed, end, round % 3 ? 2 : 12, true);
			*end++ = "ab**"[(seed >> 16) % 4];
			*end = 0;
			snprintf(who + strlen(who), sizeof who - strlen(who), "%s%s%s", i ? "," : "", denies[i] ? "!" : "", rules[i]);
		}
		ck_assert_int_eq(cn_access_set(&list, who), 0);
		for (int n = 0; n < 200; n++) {
			node[0] = "ab"[n % 2];
			end = random_text(&seed, node + 1, n % 3 ? 3 : 12, false);
			*end++ = '@';
			end = random_text(&seed, end, n % 3 ? 2 : 12, false);
			*end++ = "ab"[n / 2 % 2];
			*end = 0;
			bool model = false;
			for (int i = 0; i < 60; i++)
				if (cn_access_match(rules[i], node))
					model = !denies[i];
			ck_assert_msg(cn_access_allowed(&list, node) == model, "round %d: %s in %s", round, node, who);
		}
	}
}
END_TEST

START_TEST(a_partial_list_speaks_of_those_it_names)
{
	struct cn_access p;
	cn_access_init_partial(&p);
	ck_assert_int_eq(cn_access_ask(&p, "a@h"), CN_ACCESS_UNSAID);
	cn_access_deny(&p, "a@h");
	cn_access_allow(&p, "b*@h");
	ck_assert_int_eq(cn_access_ask(&p, "a@h"), CN_ACCESS_NO);
	ck_assert_int_eq(cn_access_ask(&p, "b1@h"), CN_ACCESS_YES);
	ck_assert_int_eq(cn_access_ask(&p, "c@h"), CN_ACCESS_UNSAID);
	cn_access_set(&p, "c@h");
	ck_assert_int_eq(cn_access_ask(&p, "a@h"), CN_ACCESS_NO);
	ck_assert_int_eq(cn_access_ask(&p, "b1@h"), CN_ACCESS_NO);
	ck_assert_int_eq(cn_access_ask(&p, "c@h"), CN_ACCESS_YES);
	cn_access_set(&p, "");
	ck_assert_int_eq(cn_access_ask(&p, "c@h"), CN_ACCESS_NO);
	cn_access_fini(&p);
}
END_TEST

/* ---- the guard: lists by kind and name ---- */

static struct cn_guard *guard;

static void open_guard(void) { ck_assert_int_eq(cn_guard_new(NULL, &guard), 0); }
static void close_guard(void) { cn_guard_free(guard); }

static enum cn_access_answer ask(enum cnode_access kind, const char *name, const char *peer)
{
	return cn_guard_ask(guard, kind, name, peer);
}

START_TEST(a_name_without_a_list_is_left_to_the_default)
{
	ck_assert_int_eq(ask(CNODE_ACCESS_NAME, "db", "a@h"), CN_ACCESS_UNSAID);
	ck_assert_int_eq(cn_guard_set(guard, CNODE_ACCESS_NAME, "db", "a@h"), 0);
	ck_assert_int_eq(ask(CNODE_ACCESS_NAME, "db", "a@h"), CN_ACCESS_YES);
	ck_assert_int_eq(ask(CNODE_ACCESS_NAME, "db", "b@h"), CN_ACCESS_NO);
	ck_assert_int_eq(ask(CNODE_ACCESS_NAME, "log", "b@h"), CN_ACCESS_UNSAID);
	ck_assert_int_eq(ask(CNODE_ACCESS_EXIT, "db", "b@h"), CN_ACCESS_UNSAID);
}
END_TEST

START_TEST(denying_one_node_a_name_leaves_the_others)
{
	ck_assert_int_eq(cn_guard_deny(guard, CNODE_ACCESS_NAME, "db", "evil@h"), 0);
	ck_assert_int_eq(ask(CNODE_ACCESS_NAME, "db", "evil@h"), CN_ACCESS_NO);
	ck_assert_int_eq(ask(CNODE_ACCESS_NAME, "db", "a@h"), CN_ACCESS_UNSAID);
	ck_assert_int_eq(cn_guard_allow(guard, CNODE_ACCESS_NAME, "db", "evil@h"), 0);
	ck_assert_int_eq(ask(CNODE_ACCESS_NAME, "db", "evil@h"), CN_ACCESS_YES);
}
END_TEST

START_TEST(the_list_of_all_names_holds_where_a_name_has_none)
{
	cn_guard_set(guard, CNODE_ACCESS_NAME, "*", "a@h");
	cn_guard_allow(guard, CNODE_ACCESS_NAME, "open", "b@h");
	ck_assert_int_eq(ask(CNODE_ACCESS_NAME, "db", "b@h"), CN_ACCESS_NO);
	ck_assert_int_eq(ask(CNODE_ACCESS_NAME, "open", "b@h"), CN_ACCESS_YES);
	ck_assert_int_eq(ask(CNODE_ACCESS_NAME, "open", "c@h"), CN_ACCESS_NO);
	/* Everybody may still ping the node. */
	ck_assert_int_eq(ask(CNODE_ACCESS_NAME, "net_kernel", "b@h"), CN_ACCESS_UNSAID);
	cn_guard_set(guard, CNODE_ACCESS_NAME, "net_kernel", "");
	ck_assert_int_eq(ask(CNODE_ACCESS_NAME, "net_kernel", "b@h"), CN_ACCESS_NO);
}
END_TEST

START_TEST(a_list_that_is_taken_away_says_nothing_and_begins_anew)
{
	cn_guard_set(guard, CNODE_ACCESS_REGISTER, "db", "a@h");
	ck_assert_int_eq(ask(CNODE_ACCESS_REGISTER, "db", "b@h"), CN_ACCESS_NO);
	ck_assert_int_eq(cn_guard_set(guard, CNODE_ACCESS_REGISTER, "db", NULL), 0);
	ck_assert_int_eq(ask(CNODE_ACCESS_REGISTER, "db", "b@h"), CN_ACCESS_UNSAID);
	cn_guard_deny(guard, CNODE_ACCESS_REGISTER, "db", "c@h");
	ck_assert_int_eq(ask(CNODE_ACCESS_REGISTER, "db", "b@h"), CN_ACCESS_UNSAID);
	ck_assert_int_eq(ask(CNODE_ACCESS_REGISTER, "db", "c@h"), CN_ACCESS_NO);
	ck_assert_int_eq(cn_guard_set(guard, CNODE_ACCESS_REGISTER, "never_there", NULL), 0);
}
END_TEST

static int one_list(void *context, const cnode_access_info *info)
{
	char *text = context;
	snprintf(text + strlen(text), 256 - strlen(text), "%s %s %s +%s -%s %u;", info->kind_name, info->name, info->mode,
		 info->allowed, info->denied, (unsigned)info->refused);
	return 0;
}

START_TEST(lists_are_shown_with_their_mode_and_refusals)
{
	char text[256] = "";
	cn_guard_set(guard, CNODE_ACCESS_NAME, "db", "a@h");
	cn_guard_deny(guard, CNODE_ACCESS_EXIT, "counter", "b@h");
	cn_guard_set(guard, CNODE_ACCESS_REGISTER, "x", "*");
	cn_guard_set(guard, CNODE_ACCESS_REGISTER, "gone", "*");
	cn_guard_set(guard, CNODE_ACCESS_REGISTER, "gone", NULL);
	ask(CNODE_ACCESS_NAME, "db", "b@h");
	ask(CNODE_ACCESS_NAME, "db", "a@h");
	ck_assert_int_eq(cn_guard_list(guard, one_list, text), 0);
	ck_assert_str_eq(text, "name db list +a@h - 1;exit counter default + -b@h 0;register x all + - 0;");
}
END_TEST

START_TEST(refuses_bad_names_kinds_and_lists)
{
	char longer[1100];
	memset(longer, 'n', sizeof longer);
	longer[sizeof longer - 1] = 0;
	ck_assert_int_eq(cn_guard_set(guard, CNODE_ACCESS_NAME, "", "*"), CNODE_EBADNAME);
	ck_assert_int_eq(cn_guard_set(guard, CNODE_ACCESS_NAME, longer, "*"), CNODE_EBADNAME);
	ck_assert_int_eq(cn_guard_set(guard, (enum cnode_access)7, "db", "*"), CNODE_EBADARG);
	ck_assert_int_eq(cn_guard_allow(guard, CNODE_ACCESS_NAME, "db", NULL), CNODE_EBADARG);
	ck_assert_int_eq(cn_guard_deny(guard, CNODE_ACCESS_NAME, "db", "no_at"), CNODE_EBADARG);
	ck_assert_int_eq(ask(CNODE_ACCESS_NAME, "db", "a@h"), CN_ACCESS_UNSAID);
}
END_TEST

START_TEST(counts_what_is_refused_by_kind)
{
	cnode_refusal_counts counts = CNODE_REFUSAL_COUNTS_INIT;
	cn_guard_refused(guard, CN_REFUSED_SPAWN, "a@h", "counter", "x");
	for (int i = 0; i < 10; i++)
		cn_guard_refused(guard, CN_REFUSED_NAME, "a@h", "db", "x");
	cn_guard_counts(guard, &counts);
	ck_assert_uint_eq(counts.spawns, 1);
	ck_assert_uint_eq(counts.names, 10);
	ck_assert_uint_eq(counts.quotas, 0);
}
END_TEST

/* ---- quotas ---- */

#define S CN_NS_PER_S

static int take(const char *peer, const char *factory, uint64_t now, struct cn_place **place)
{
	const char *why = NULL;
	int rc = cn_quota_take(guard, peer, factory, now, place, &why);
	ck_assert(rc == 0 || rc == CNODE_ESYSLIMIT);
	ck_assert((why != NULL) == (rc != 0) && (*place != NULL) == (rc == 0));
	return rc;
}

START_TEST(a_peer_has_no_more_processes_than_its_quota)
{
	struct cn_place *p[4];
	ck_assert_int_eq(cn_quota_set(guard, NULL, "a@h", 2, 0), 0);
	ck_assert_int_eq(take("a@h", "counter", S, &p[0]), 0);
	ck_assert_int_eq(take("a@h", NULL, S, &p[1]), 0);
	ck_assert_int_eq(take("a@h", "other", S, &p[2]), CNODE_ESYSLIMIT);
	ck_assert_int_eq(take("b@h", "other", S, &p[2]), 0);
	cn_quota_give(guard, p[0]);
	ck_assert_int_eq(take("a@h", "other", S, &p[3]), 0);
	ck_assert_int_eq(take("a@h", "other", S, &p[0]), CNODE_ESYSLIMIT);
	cn_quota_give(guard, p[1]);
	cn_quota_give(guard, p[2]);
	cn_quota_give(guard, p[3]);
	cn_quota_give(guard, NULL);
}
END_TEST

START_TEST(a_quota_of_a_factory_counts_its_processes_alone)
{
	struct cn_place *p;
	cn_quota_set(guard, "counter", "*", 1, 0);
	ck_assert_int_eq(take("a@h", "counter", S, &p), 0);
	ck_assert_int_eq(take("a@h", "counter", S, &p), CNODE_ESYSLIMIT);
	ck_assert_int_eq(take("a@h", "other", S, &p), 0);
	ck_assert_int_eq(take("b@h", "counter", S, &p), 0);
}
END_TEST

START_TEST(processes_that_live_already_count_for_a_quota_set_later)
{
	struct cn_place *p;
	ck_assert_int_eq(take("a@h", "counter", S, &p), 0);
	cn_quota_set(guard, NULL, "*", 1, 0);
	cn_quota_set(guard, "counter", "*", 1, 0);
	ck_assert_int_eq(take("a@h", "counter", S, &p), CNODE_ESYSLIMIT);
	cn_quota_clear(guard);
	ck_assert_int_eq(take("a@h", "counter", S, &p), 0);
}
END_TEST

START_TEST(a_peer_spawns_no_more_often_than_its_quota)
{
	struct cn_place *p;
	cn_quota_set(guard, NULL, "*", 0, 4);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(take("a@h", NULL, 10 * S, &p), 0);
	ck_assert_int_eq(take("a@h", NULL, 10 * S, &p), CNODE_ESYSLIMIT);
	ck_assert_int_eq(take("a@h", NULL, 10 * S + S / 4 - 1, &p), CNODE_ESYSLIMIT);
	ck_assert_int_eq(take("a@h", NULL, 10 * S + S / 4, &p), 0);
	ck_assert_int_eq(take("a@h", NULL, 10 * S + S / 4, &p), CNODE_ESYSLIMIT);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(take("a@h", NULL, 60 * S, &p), 0);
	ck_assert_int_eq(take("a@h", NULL, 60 * S, &p), CNODE_ESYSLIMIT);
}
END_TEST

START_TEST(what_was_spent_is_forgotten_in_time_also_while_there_is_no_quota)
{
	struct cn_place *p;
	cn_quota_set(guard, NULL, "*", 0, 4);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(take("a@h", NULL, 10 * S, &p), 0);
	cn_quota_clear(guard);
	ck_assert_int_eq(take("a@h", NULL, 60 * S, &p), 0);
	cn_quota_set(guard, NULL, "*", 0, 4);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(take("a@h", NULL, 60 * S, &p), 0);
	ck_assert_int_eq(take("a@h", NULL, 60 * S, &p), CNODE_ESYSLIMIT);
}
END_TEST

START_TEST(the_last_quota_that_matches_a_peer_decides)
{
	struct cn_place *p;
	cn_quota_set(guard, NULL, "*", 1, 0);
	cn_quota_set(guard, NULL, "big*@h", 0, 0);
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(take("big1@h", NULL, S, &p), 0);
	cn_quota_set(guard, NULL, "*", 2, 0);
	ck_assert_int_eq(take("big1@h", NULL, S, &p), CNODE_ESYSLIMIT);
	ck_assert_int_eq(cn_quota_set(guard, NULL, "nobody", 1, 1), CNODE_EBADARG);
	ck_assert_int_eq(cn_quota_set(guard, "", "*", 1, 1), CNODE_EBADNAME);
}
END_TEST

START_TEST(all_quotas_are_replaced_in_one_step_or_not_at_all)
{
	static const cnode_quota rules[] = {
		{ CNODE_QUOTA_INIT, NULL, "*", 5, 0 }, { CNODE_QUOTA_INIT, "counter", "*", 1, 0 }, { CNODE_QUOTA_INIT, "counter", "big@h", 2, 0 },
	};
	static const cnode_quota bad[] = { { CNODE_QUOTA_INIT, NULL, "*", 9, 0 }, { CNODE_QUOTA_INIT, "counter", "nohost", 9, 0 } };
	static const cnode_quota uneven[] = { { CNODE_QUOTA_INIT, NULL, "*", 9, 0 }, { 8, NULL, "*", 9, 0 } }, no_size = { 0, NULL, "*", 9, 0 };
	struct cn_place *place;
	const char *why;
	ck_assert_int_eq(cn_quota_set(guard, "noop", "*", 1, 0), 0);
	ck_assert_int_eq(cn_quotas_set(guard, rules, CN_ARRAY_SIZE(rules)), 0);
	ck_assert_int_eq(cn_quotas_set(guard, bad, CN_ARRAY_SIZE(bad)), CNODE_EBADARG);
	ck_assert_int_eq(cn_quotas_set(guard, uneven, CN_ARRAY_SIZE(uneven)), CNODE_EBADARG);
	ck_assert_int_eq(cn_quotas_set(guard, &no_size, 1), CNODE_EBADARG);
	ck_assert_int_eq(cn_quota_take(guard, "a@h", "counter", CN_NS_PER_S, &place, &why), 0);
	ck_assert_int_eq(cn_quota_take(guard, "a@h", "counter", CN_NS_PER_S, &place, &why), CNODE_ESYSLIMIT);
	ck_assert_int_eq(cn_quota_take(guard, "big@h", "counter", CN_NS_PER_S, &place, &why), 0);
	ck_assert_int_eq(cn_quota_take(guard, "big@h", "counter", CN_NS_PER_S, &place, &why), 0);
	ck_assert_int_eq(cn_quota_take(guard, "big@h", "counter", CN_NS_PER_S, &place, &why), CNODE_ESYSLIMIT);
	for (int i = 1; i < 5; i++)         /* of all together, and noop has no rule any more */
		ck_assert_int_eq(cn_quota_take(guard, "a@h", "noop", CN_NS_PER_S, &place, &why), 0);
	ck_assert_int_eq(cn_quota_take(guard, "a@h", "noop", CN_NS_PER_S, &place, &why), CNODE_ESYSLIMIT);
	ck_assert_int_eq(cn_quotas_set(guard, NULL, 0), 0);
	ck_assert_int_eq(cn_quota_take(guard, "a@h", "noop", CN_NS_PER_S, &place, &why), 0);
}
END_TEST

START_TEST(quotas_of_a_program_with_later_headers_are_read)
{
	static const struct { cnode_quota rule; uint64_t later; } rules[] = {
		{ { sizeof rules[0], NULL, "*", 2, 0 }, 7 }, { { sizeof rules[0], "counter", "*", 1, 0 }, 7 },
	};
	struct cn_place *place;
	const char *why;
	ck_assert_int_eq(cn_quotas_set(guard, &rules[0].rule, CN_ARRAY_SIZE(rules)), 0);
	ck_assert_int_eq(cn_quota_take(guard, "a@h", "counter", CN_NS_PER_S, &place, &why), 0);
	ck_assert_int_eq(cn_quota_take(guard, "a@h", "counter", CN_NS_PER_S, &place, &why), CNODE_ESYSLIMIT);
	ck_assert_int_eq(cn_quota_take(guard, "a@h", "noop", CN_NS_PER_S, &place, &why), 0);
}
END_TEST

START_TEST(peers_that_have_nothing_are_forgotten)
{
	struct cn_place *p, *kept;
	char name[32];
	cn_quota_set(guard, NULL, "*", 1, 0);
	ck_assert_int_eq(take("kept@h", "counter", S, &kept), 0);
	for (int i = 0; i < 10000; i++) {
		snprintf(name, sizeof name, "p%d@h", i);
		ck_assert_int_eq(take(name, "counter", (uint64_t)(i + 1) * 2 * S, &p), 0);
		cn_quota_give(guard, p);
	}
	ck_assert_int_eq(take("kept@h", "counter", 20003 * S, &p), CNODE_ESYSLIMIT);
	cn_quota_give(guard, kept);
}
END_TEST

static void guard_without_memory(void)
{
	struct cn_guard *g;
	struct cn_place *place;
	const char *why;
	if (cn_guard_new(NULL, &g) != 0)
		return;
	int rc = cn_guard_set(g, CNODE_ACCESS_NAME, "db", "a@h");
	ck_assert(rc == 0 || rc == CNODE_ENOMEM);
	ck_assert_int_eq(cn_guard_ask(g, CNODE_ACCESS_NAME, "db", "b@h"), rc == 0 ? CN_ACCESS_NO : CN_ACCESS_UNSAID);
	int other = cn_guard_deny(g, CNODE_ACCESS_NAME, "db", "a@h");
	ck_assert(other == 0 || other == CNODE_ENOMEM);
	rc = cn_quota_set(g, "counter", "*", 1, 1);
	ck_assert(rc == 0 || rc == CNODE_ENOMEM);
	rc = cn_quota_take(g, "a@h", "counter", CN_NS_PER_S, &place, &why);
	ck_assert(rc == 0 || rc == CNODE_ENOMEM);
	cn_quota_give(g, place);
	cn_guard_free(g);
}

START_TEST(a_guard_without_memory_changes_nothing)
{
	alloc_fail_each(guard_without_memory);
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
	tcase_add_test(tc, a_list_in_one_go_is_as_its_entries_one_by_one);
	tcase_add_test(tc, a_list_of_ten_thousand_nodes_is_cheap_to_set_and_to_ask);
	tcase_add_test(tc, ten_thousand_patterns_are_cheap_to_set_and_to_ask);
	tcase_add_test(tc, patterns_of_all_shapes_agree_with_a_model);
	tcase_add_test(tc, a_change_without_memory_changes_nothing);
	tcase_add_test(tc, a_partial_list_speaks_of_those_it_names);
	suite_add_tcase(s, tc);
	tc = tcase_create("guard");
	tcase_add_checked_fixture(tc, open_guard, close_guard);
	tcase_add_test(tc, a_name_without_a_list_is_left_to_the_default);
	tcase_add_test(tc, denying_one_node_a_name_leaves_the_others);
	tcase_add_test(tc, the_list_of_all_names_holds_where_a_name_has_none);
	tcase_add_test(tc, a_list_that_is_taken_away_says_nothing_and_begins_anew);
	tcase_add_test(tc, lists_are_shown_with_their_mode_and_refusals);
	tcase_add_test(tc, refuses_bad_names_kinds_and_lists);
	tcase_add_test(tc, counts_what_is_refused_by_kind);
	tcase_add_test(tc, a_peer_has_no_more_processes_than_its_quota);
	tcase_add_test(tc, a_quota_of_a_factory_counts_its_processes_alone);
	tcase_add_test(tc, processes_that_live_already_count_for_a_quota_set_later);
	tcase_add_test(tc, a_peer_spawns_no_more_often_than_its_quota);
	tcase_add_test(tc, what_was_spent_is_forgotten_in_time_also_while_there_is_no_quota);
	tcase_add_test(tc, the_last_quota_that_matches_a_peer_decides);
	tcase_add_test(tc, all_quotas_are_replaced_in_one_step_or_not_at_all);
	tcase_add_test(tc, quotas_of_a_program_with_later_headers_are_read);
	tcase_add_test(tc, peers_that_have_nothing_are_forgotten);
	tcase_add_test(tc, a_guard_without_memory_changes_nothing);
	suite_add_tcase(s, tc);
	return tap_run(s);
}
