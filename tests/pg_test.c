/* SPDX-License-Identifier: Apache-2.0 */
/* Process groups: what a scope says, takes in and shows. Without memory, and at random: pg_model_test.c. */
#include "cnode/memory.h"
#include "tests/pg_world.h"

#include <stdlib.h>
#include <time.h>

/* ---- discovery ---- */

START_TEST(a_scope_discovers_the_connected_nodes_and_those_that_come)
{
	ck_assert_str_eq(out(), "MESSAGE 3 -> sc {discover,S}");
	node_up();
	ck_assert_str_eq(out(), "MESSAGE 3 -> sc {discover,S}");
	ck_assert_int_eq(cn_pg_start(P, "sc", 0), CNODE_EEXIST);
	ck_assert_int_eq(cn_pg_start(P, "sc", 6), CNODE_EBADARG);
	ck_assert_int_eq(cn_pg_start(P, "", 0), CNODE_EBADNAME);
}
END_TEST

START_TEST(hidden_nodes_are_asked_only_if_the_scope_says_so)
{
	out();
	two_peers = true;
	ck_assert_int_eq(cn_pg_start(P, "visible", 0), 0);
	const char *first = strstr(out(), "visible {discover");
	ck_assert_ptr_nonnull(first);
	ck_assert_ptr_null(strstr(first + 1, "visible {discover"));
	ck_assert_int_eq(cn_pg_start(P, "both", CNODE_PG_HIDDEN), 0);
	first = strstr(out(), "both {discover");
	ck_assert_ptr_nonnull(first);
	ck_assert_ptr_nonnull(strstr(first + 1, "both {discover"));
	two_peers = false;
}
END_TEST

START_TEST(a_discover_is_answered_with_a_sync_and_a_discover)
{
	join("g", A);
	join("g", B);
	join("{room,7}", A);
	out();
	say("{discover,~p}", R(9), NONE, NONE);
	const char *text = out();
	ck_assert_msg(strncmp(text, "MONITOR 3 -> 9; MESSAGE 3 -> 9 {'$gen_cast',{sync,S,[", 51) == 0, "%s", text);
	ck_assert_ptr_nonnull(strstr(text, "{{room,7},[A]}"));
	ck_assert_ptr_nonnull(strstr(text, "{g,[A,B]}"));
	ck_assert_msg(strstr(text, "; MESSAGE 3 -> 9 {discover,S}"), "%s", text);
	/* Crossing ones are normal, and known servers are not discovered again. */
	say("{discover,~p,1}", R(9), NONE, NONE);
	text = out();
	ck_assert_msg(strncmp(text, "MESSAGE 3 -> 9 {'$gen_cast',{sync,S,[", 36) == 0, "%s", text);
	ck_assert_ptr_null(strstr(text, "{discover"));
}
END_TEST

START_TEST(nothing_is_told_to_who_had_no_sync_yet)
{
	join("g", A);
	/* Its sync came, its discover did not: it may not know of g. */
	say("{'$gen_cast',{sync,~p,[]}}", R(9), NONE, NONE);
	out();
	ck_assert_int_eq(leave("g", A), 0);
	ck_assert_str_eq(out(), "");
	join("h", A);
	ck_assert_str_eq(out(), "");
	say("{discover,~p}", R(9), NONE, NONE);
	ck_assert_str_eq(out(), "MESSAGE 3 -> 9 {'$gen_cast',{sync,S,[{h,[A]}]}}");
	ck_assert_int_eq(leave("h", A), 0);
	ck_assert_str_eq(out(), "MESSAGE 3 -> 9 {leave,S,A,[h]}");
}
END_TEST

/* ---- this node ---- */

START_TEST(joins_and_leaves_are_told_in_order)
{
	meet();
	ck_assert_int_eq(join("g", A), 0);
	ck_assert_str_eq(members("g"), "A");
	ck_assert_int_eq(join("g", A), 0);
	ck_assert_int_eq(leave("g", A), 0);
	ck_assert_int_eq(join("h", B), 0);
	ck_assert_str_eq(out(), "MESSAGE 3 -> 9 {join,S,g,A}; MESSAGE 3 -> 9 {join,S,g,A}; "
				"MESSAGE 3 -> 9 {leave,S,A,[g]}; MESSAGE 3 -> 9 {join,S,h,B}");
	ck_assert_str_eq(members("g"), "A");
	ck_assert_int_eq(leave("g", A), 0);
	ck_assert_int_eq(leave("g", A), CNODE_ENOTJOINED);
	ck_assert_int_eq(leave("h", A), CNODE_ENOTJOINED);
	ck_assert_int_eq(leave("never", A), CNODE_ENOTJOINED);
	ck_assert_str_eq(out(), "MESSAGE 3 -> 9 {leave,S,A,[g]}");
	ck_assert_str_eq(groups(false), "h");
}
END_TEST

START_TEST(several_processes_are_one_change)
{
	meet();
	cnode_pid pids[] = { cnode_self(A), cnode_self(B), cnode_self(A) };
	cnode_term g = text_term("g");
	ck_assert_int_eq(cn_pg_join(P, "sc", pids, 3, g), 0);
	ck_assert_str_eq(out(), "MESSAGE 3 -> 9 {join,S,g,[A,B,A]}");
	ck_assert_str_eq(members("g"), "A A B");
	cnode_pid more[] = { cnode_self(B), cnode_self(B), cnode_self(A) };
	ck_assert_int_eq(cn_pg_leave(P, "sc", more, 3, g), 0);
	/* Only what was there: an OTP node's server would not survive the rest. */
	ck_assert_str_eq(out(), "MESSAGE 3 -> 9 {leave,S,[B,A],[g]}");
	ck_assert_str_eq(members("g"), "A");
	ck_assert_int_eq(cn_pg_join(P, "sc", pids, 0, g), 0);
	cnode_pid far = R(4);
	ck_assert_int_eq(cn_pg_join(P, "sc", &far, 1, g), CNODE_EBADARG);
	ck_assert_int_eq(cn_pg_join(P, "nosuch", pids, 1, g), CNODE_ENOENT);
	cnode_term_drop(g);
	ck_assert_str_eq(out(), "");
}
END_TEST

START_TEST(an_end_leaves_every_group_as_often_as_it_was_joined)
{
	meet();
	join("g", A);
	join("h", A);
	join("g", A);
	join("g", B);
	out();
	cnode_pid a = cnode_self(A);
	char expected[100];
	hand_exit(A, "boom");
	A = NULL;
	run();
	ck_assert_str_eq(members("g"), "B");
	ck_assert_str_eq(members("h"), "");
	snprintf(expected, sizeof expected, "MESSAGE 3 -> 9 {leave,S,<me@h.%u.%u>,[g,h,g]}", a.id, a.serial);
	ck_assert_str_eq(out(), expected);
	cnode_term g = text_term("g");
	ck_assert_int_eq(cn_pg_join(P, "sc", &a, 1, g), CNODE_ENOPROC);
	cnode_term_drop(g);
}
END_TEST

/* leave_exit_race of OTP's pg_SUITE: the end is known while the leave is not yet told. */
START_TEST(a_leave_and_an_end_at_once_are_told_once)
{
	meet();
	join("g", A);
	out();
	cnode_pid a = cnode_self(A);
	ck_assert_int_eq(leave("g", A), 0);
	hand_exit(A, "boom");
	A = NULL;
	char expected[100];
	snprintf(expected, sizeof expected, "MESSAGE 3 -> 9 {leave,S,<me@h.%u.%u>,[g]}", a.id, a.serial);
	ck_assert_str_eq(out(), expected);
	/* And who joined and ended before the server looked. */
	struct cnode_process *c = hand(NULL);
	cnode_pid pid = cnode_self(c);
	cnode_term g = text_term("g");
	ck_assert_int_eq(cn_pg_join(P, "sc", &pid, 1, g), 0);
	cnode_term_drop(g);
	hand_exit(c, "boom");
	snprintf(expected, sizeof expected, "{join,S,g,<me@h.%u.%u>}; MESSAGE 3 -> 9 {leave,S,<me@h.%u.%u>,[g]}", pid.id, pid.serial,
		 pid.id, pid.serial);
	ck_assert_ptr_nonnull(strstr(out(), expected));
	ck_assert_str_eq(members("g"), "");
}
END_TEST

/* ---- other nodes ---- */

START_TEST(members_of_others_come_go_and_end_with_their_server)
{
	meet();
	say("{join,~p,g,~p}", R(9), R(21), NONE);
	say("{join,~p,g,[~p,~p]}", R(9), R(21), R(22));
	say("{join,~p,{room,7},[~p]}", R(9), R(23), NONE);
	join("g", A);
	ck_assert_str_eq(members("g"), "A 21 21 22");
	ck_assert_str_eq(members_of("g", true), "A");
	ck_assert_str_eq(members("{room,7}"), "23");
	say("{leave,~p,~p,[g,nosuch,g]}", R(9), R(21), NONE);
	ck_assert_str_eq(members("g"), "A 22");
	say("{leave,~p,[~p,~p],[g]}", R(9), R(21), R(22));
	ck_assert_str_eq(members("g"), "A");
	ck_assert_str_eq(groups(true), "g");
	say("{join,~p,g,~p}", R(9), R(25), NONE);
	atomic_fetch_add(&W.epoch, 1);
	ck_assert(cn_procs_nodedown(W.procs, W.peer, 1, "noconnection", 100));
	run();
	ck_assert_str_eq(members("g"), "A");
	ck_assert_str_eq(members("{room,7}"), "");
	ck_assert_str_eq(groups(false), "g");
	/* What is still on its way from the old server is not taken in. */
	say("{join,~p,g,~p}", R(9), R(21), NONE);
	ck_assert_str_eq(members("g"), "A");
}
END_TEST

START_TEST(a_sync_replaces_all_that_was_known)
{
	meet();
	say("{join,~p,g,[~p,~p]}", R(9), R(21), R(22));
	say("{join,~p,h,~p}", R(9), R(23), NONE);
	join("h", A);
	say("{'$gen_cast',{sync,~p,[{g,[~p,~p]},{[1,2],[]}]}}", R(9), R(22), R(24));
	ck_assert_str_eq(members("g"), "22 24");
	ck_assert_str_eq(members("h"), "A");
	say("{'$gen_cast',{sync,~p,[{\"ab\",[~p]}]}}", R(9), R(22), NONE);
	ck_assert_str_eq(members("g"), "");
	ck_assert_str_eq(members("[97,98]"), "22");
	ck_assert_str_eq(members("[97|[98]]"), "22");
	ck_assert_str_eq(members("[97,98.0]"), "");
	say("{'$gen_cast',{sync,~p,[]}}", R(9), NONE, NONE);
	ck_assert_str_eq(groups(false), "h");
}
END_TEST

START_TEST(a_node_speaks_for_itself_only)
{
	meet();
	cnode_pid other = { .node = W.other, .id = 30, .creation = 5 };
	say("{join,~p,g,~p}", R(9), other, NONE);
	say("{join,~p,g,[~p,~p]}", R(9), R(21), other);
	say("{join,~p,g,~p}", R(9), cnode_self(A), NONE);
	say("{'$gen_cast',{sync,~p,[{g,[~p]}]}}", other, other, NONE);
	say("{discover,~p}", other, NONE, NONE);
	say("{join,~p,g,~p}", S, cnode_self(A), NONE);
	say("{'$gen_cast',{sync,~p,[{g,[~p]}]}}", R(9), other, NONE);
	ck_assert_str_eq(groups(false), "");
	ck_assert_str_eq(out(), "");
	/* As if they had come from a local process: nobody here is a server of another node. */
	cnode_term t;
	ck_assert_int_eq(cnode_format(&t, "{join,~p,g,~p}", R(9), R(21)), 0);
	struct cn_target to = { .pid = S };
	cn_procs_send(W.procs, &to, t, 0);
	cnode_term_drop(t);
	run();
	ck_assert_str_eq(groups(false), "");
}
END_TEST

START_TEST(junk_is_dropped_and_the_scope_lives)
{
	static const char *const texts[] = {
		"x", "{discover}", "{discover,1}", "{discover,1,2,3}", "{join,a,b,c}", "{leave,1,2,3}", "{update,1,[]}",
		"[]", "#{}", "{'$gen_cast',x}", "{'$gen_cast',{sync,1,2}}", "{'$gen_cast',{sync,1}}", "{nodeup,a@b}",
		"{nodedown,a@b}", "{'DOWN',1,process,2,3}", "{'$gen_call',x,y}", "{'$gen_cast',{local_data,1,1,#{}}}", "wake", "again",
		"{system,1,2}", "{'EXIT',1,2}",
	};
	meet();
	for (size_t i = 0; i < CN_ARRAY_SIZE(texts); i++)
		say_text(texts[i]);
	say("{join,~p,g,x}", R(9), NONE, NONE);
	say("{join,~p,g,[~p|x]}", R(9), R(21), NONE);
	say("{join,~p,g,[~p,x]}", R(9), R(21), NONE);
	say("{leave,~p,~p,x}", R(9), R(21), NONE);
	say("{join,~p,kept,[~p]}", R(9), R(21), NONE);
	say("{leave,~p,~p,[kept|y]}", R(9), R(21), NONE);
	say("{'$gen_cast',{sync,~p,[{new,[~p]},x]}}", R(9), R(22), NONE);
	ck_assert_str_eq(groups(false), "kept");
	say("{'$gen_cast',{sync,~p,x}}", R(9), NONE, NONE);
	say("{'$gen_cast',{sync,~p,[x]}}", R(9), NONE, NONE);
	say("{'$gen_cast',{sync,~p,[{g,~p}|x]}}", R(9), R(21), NONE);
	say("{'$gen_cast',{sync,~p,[{g,x}]}}", R(9), NONE, NONE);
	out();
	ck_assert(cn_procs_is_alive(W.procs, S));
	/* A call is answered, or its caller waits for ever. */
	cnode_term t;
	ck_assert_int_eq(cnode_format(&t, "{'$gen_call',{~p,~r},{join_local,g,~p}}", R(5), remote_ref(1), R(5)), 0);
	struct cn_signal sig = FROM_PEER(MESSAGE, remote(5), S, .term = t);
	deliver(&sig);
	cnode_term_drop(t);
	ck_assert_ptr_nonnull(strstr(out(), "{error,bad_request}"));
	join("g", A);
	ck_assert_ptr_nonnull(strstr(out(), "{join,S,g,A}"));
}
END_TEST

/* ---- limits ---- */

static size_t times(const char *text, const char *what)
{
	size_t n = 0;
	for (; (text = strstr(text, what)); text++)
		n++;
	return n;
}

START_TEST(floods_of_discover_are_answered_together)
{
	meet();
	for (int i = 0; i < 100; i++)
		say("{discover,~p}", R(9), NONE, NONE);
	ck_assert_uint_le(times(out(), "{sync,"), CN_PG_SYNCS);
	/* The rest as one, once a while is over. */
	cn_sched_expire(W.procs, cn_now() + 2 * CN_NS_PER_S, 100);
	ck_assert_str_eq(out(), "MESSAGE 3 -> 9 {'$gen_cast',{sync,S,[]}}");
	cn_sched_expire(W.procs, cn_now() + 4 * CN_NS_PER_S, 100);
	ck_assert_str_eq(out(), "");
}
END_TEST

START_TEST(of_many_servers_of_a_node_the_newest_count)
{
	out();
	size_t demonitors = 0, monitors = 0, syncs = 0;
	for (uint32_t i = 100; i < 200; i++) {
		say("{discover,~p}", R(i), NONE, NONE);
		const char *text = out();
		monitors += times(text, "; MONITOR") + (strncmp(text, "MONITOR", 7) == 0);
		demonitors += times(text, "DEMONITOR");
		syncs += times(text, "{sync,");
	}
	ck_assert_uint_eq(monitors, 100);
	ck_assert_uint_eq(demonitors, 100 - CN_PG_SERVERS);
	ck_assert_uint_le(syncs, CN_PG_SYNCS);              /* new names do not buy more answers */
	/* Those that are left, the last one among them, get theirs once a while is over. */
	cn_sched_expire(W.procs, cn_now() + 2 * CN_NS_PER_S, 100);
	const char *text = out();
	ck_assert_msg(strstr(text, "-> 199 {'$gen_cast',{sync,"), "%s", text);
	ck_assert_uint_eq(times(text, "{sync,"), CN_PG_SERVERS);
}
END_TEST

/* `groups` groups of `each` processes of r@h, {group,N}. */
static cnode_term large_sync(int groups, int each)
{
	cnode_term t;
	cnode_builder *b = cnode_builder_new();
	cnode_build_tuple(b, 2);
	cnode_build_atom(b, "$gen_cast");
	cnode_build_tuple(b, 3);
	cnode_build_atom(b, "sync");
	cnode_build_pid(b, R(9));
	cnode_build_list(b);
	for (int g = 0; g < groups; g++) {
		cnode_build_tuple(b, 2);
		cnode_build_format(b, "{group,~i}", g);
		cnode_build_list(b);
		for (int i = 0; i < each; i++)
			cnode_build_pid(b, R(100 + (uint32_t)i));
		cnode_build_list_end(b);
	}
	cnode_build_list_end(b);
	ck_assert_int_eq(cnode_builder_term(b, &t), 0);
	cnode_builder_free(b);
	return t;
}

static size_t count_of(const char *group)
{
	size_t count;
	cnode_term g = text_term(group);
	ck_assert_int_eq(cn_pg_members(P, "sc", false, g, NULL, 0, &count), 0);
	cnode_term_drop(g);
	return count;
}

static void tell(cnode_term t)
{
	struct cn_signal sig = FROM_PEER(MESSAGE, remote(9), S, .term = t);
	deliver(&sig);
}

static void tell_text(const char *format)
{
	cnode_term t;
	ck_assert_int_eq(cnode_format(&t, format, R(9), R(50)), 0);
	tell(t);
	cnode_term_drop(t);
}

/* Of this thread: others may use the machine too. */
static uint64_t cpu_time(void)
{
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * CN_NS_PER_S + (uint64_t)t.tv_nsec;
}

/* Its server must not stay away from the sockets for as long as 100,000 members take. */
START_TEST(a_large_sync_is_taken_in_slice_by_slice)
{
	static const struct { int groups, each; } shapes[] = { { 1, 100000 }, { 30000, 1 }, { 300, 300 } };
	cnode_term large = large_sync(shapes[_i].groups, shapes[_i].each), small = large_sync(1, 1);
	meet();
	tell(large);
	/* What it says before it is done comes behind it, and in order. */
	tell_text("{join,~p,{group,0},~p}");
	tell_text("{leave,~p,~p,[{group,0}]}");
	tell_text("{join,~p,late,~p}");
	int turns = 0;
	uint64_t longest = 0, all = 0;
	for (uint64_t at = cpu_time(); cn_sched_run(W.procs, false, 0); at = cpu_time()) {
		uint64_t took = cpu_time() - at;
		longest = took > longest ? took : longest;
		all += took;
		/* Another process has its turn in between, and sees a part of it. */
		if (++turns == 2)
			ck_assert_uint_eq(count_of("late"), 0);
	}
	ck_assert_int_ge(turns, 3);
	ck_assert_msg(longest < all / 2, "a turn took %.1f of %.1f ms", (double)longest / 1e6, (double)all / 1e6);
	ck_assert_uint_eq(count_of("{group,0}"), (size_t)shapes[_i].each);
	ck_assert_uint_eq(count_of("late"), 1);
	/* The next one takes nearly all away; a third comes while it is at it. */
	tell(large);
	tell(small);
	tell_text("{join,~p,late,~p}");
	run();
	ck_assert_uint_eq(count_of("{group,0}"), 1);
	ck_assert_uint_eq(count_of("late"), 1);
	ck_assert_ptr_null(strchr(groups(false), '7'));
	/* Its connection ends in the midst of one, and nonsense is nothing. */
	tell(large);
	cn_sched_run(W.procs, false, 0);
	tell_text("{'$gen_cast',{sync,~p,[{a,[~p]},b]}}");
	cn_sched_run(W.procs, false, 0);
	ck_assert(cn_procs_nodedown(W.procs, W.peer, W.epoch, "noconnection", 1000));
	run();
	ck_assert_str_eq(groups(false), "");
	meet();
	tell(large);
	tell_text("{'$gen_cast',{sync,~p,[{a,[~p]},b]}}");
	tell_text("{join,~p,late,~p}");
	run();
	ck_assert_uint_eq(count_of("{group,0}"), (size_t)shapes[_i].each);
	ck_assert_uint_eq(count_of("late"), 1);
	cnode_term_drop(large);
	cnode_term_drop(small);
}
END_TEST

static void leave_everything(int many)
{
	teardown();
	setup();
	meet();
	cnode_builder *b = cnode_builder_new();
	cnode_term list, groups_term, t;
	cnode_build_list(b);
	for (uint32_t i = 0; i < (uint32_t)many; i++)
		cnode_build_pid(b, R(1000 + i));
	cnode_build_list_end(b);
	ck_assert_int_eq(cnode_builder_term(b, &list), 0);
	cnode_build_list(b);
	for (int i = 0; i < many; i++)
		cnode_build_atom(b, "g");
	cnode_build_list_end(b);
	ck_assert_int_eq(cnode_builder_term(b, &groups_term), 0);
	cnode_builder_free(b);
	ck_assert_int_eq(cnode_format(&t, "{join,~p,g,~t}", R(9), list), 0);
	struct cn_signal sig = FROM_PEER(MESSAGE, remote(9), S, .term = t);
	deliver(&sig);
	run();
	cnode_term_drop(t);
	size_t count;
	cnode_term g = text_term("g");
	ck_assert_int_eq(cn_pg_members(P, "sc", false, g, NULL, 0, &count), 0);
	ck_assert_uint_eq(count, (size_t)many);
	/* Each of them, from as many times the same group. */
	ck_assert_int_eq(cnode_format(&t, "{leave,~p,~t,~t}", R(9), list, groups_term), 0);
	sig.term = t;
	deliver(&sig);
	run();
	ck_assert_int_eq(cn_pg_members(P, "sc", false, g, NULL, 0, &count), 0);
	ck_assert_uint_eq(count, 0);
	cnode_term_drop(t);
	cnode_term_drop(g);
	cnode_term_drop(list);
	cnode_term_drop(groups_term);
}

START_TEST(a_leave_of_everything_is_quick)
{
	tap_assert_in_proportion(leave_everything, 5000);
}
END_TEST

static size_t asked_for;

static void *counting_malloc(size_t size)
{
	asked_for += size;
	return malloc(size);
}

static void *counting_realloc(void *p, size_t size)
{
	asked_for += size;
	return realloc(p, size);
}

static const cnode_allocator counting = { counting_malloc, counting_realloc, free };

/* What a join reserves does not grow with the square of those who join. */
START_TEST(many_processes_join_at_once)
{
	enum { MANY = 5000 };
	static cnode_pid pids[MANY + 2];
	for (int i = 0; i < MANY; i++)
		pids[i] = cnode_self(hand(NULL));
	pids[MANY] = pids[MANY + 1] = pids[0];          /* three times */
	cnode_term g = text_term("g");
	size_t count;
	cnode_allocator_set(&counting);
	ck_assert_int_eq(cn_pg_join(P, "sc", pids, MANY + 2, g), 0);
	cnode_allocator_set(NULL);
	ck_assert_uint_lt(asked_for, (size_t)1000 * MANY);
	run();
	ck_assert_int_eq(cn_pg_members(P, "sc", true, g, NULL, 0, &count), 0);
	ck_assert_uint_eq(count, MANY + 2);
	ck_assert_int_eq(cn_pg_leave(P, "sc", pids, MANY + 2, g), 0);
	ck_assert_int_eq(cn_pg_members(P, "sc", true, g, NULL, 0, &count), 0);
	ck_assert_uint_eq(count, 0);
	cnode_term_drop(g);
}
END_TEST

/* A message can be 256 MiB: its pids are counted before the first of them is read, and the node is not listened to then. */
START_TEST(a_join_of_more_than_a_peer_may_have_is_not_read)
{
	cnode_builder *b = cnode_builder_new();
	cnode_term list, t;
	meet();
	tell_text("{join,~p,g,~p}");
	run();
	ck_assert_uint_eq(count_of("g"), 1);
	cnode_build_list(b);
	for (uint32_t i = 0; i < CN_PG_MEMBERS; i++)
		cnode_build_pid(b, R(i));
	cnode_build_list_end(b);
	ck_assert_int_eq(cnode_builder_term(b, &list), 0);
	cnode_builder_free(b);
	ck_assert_int_eq(cnode_format(&t, "{join,~p,g,~t}", R(9), list), 0);
	tell(t);
	asked_for = 0;
	cnode_allocator_set(&counting);
	run();
	cnode_allocator_set(NULL);
	ck_assert_uint_lt(asked_for, CN_PG_MEMBERS);
	ck_assert_uint_eq(count_of("g"), 0);
	cnode_term_drop(t);
	cnode_term_drop(list);
}
END_TEST

/* ---- watching ---- */

static const char *heard(struct cnode_process *p)
{
	static char text[300];
	run();
	struct cn_message *m = cn_process_receive(p, NULL, NULL);
	text[0] = '\0';
	if (m) {
		cnode_term ref, what, group, pids;
		char list[128], name[64], word[16];
		ck_assert_int_eq(cnode_scan(m->term, "{~t,~t,~t,~t}", &ref, &what, &group, &pids), 0);
		cnode_term_print(what, word, sizeof word);
		cnode_term_print(group, name, sizeof name);
		cnode_term_print(pids, list, sizeof list);
		snprintf(text, sizeof text, "%s %s %s", word, name, list);
	}
	cn_message_free(p, m);
	return text;
}

START_TEST(a_monitor_tells_of_every_change_after_the_list_it_gave)
{
	cnode_ref ref, all;
	cnode_term now, g = text_term("g");
	char text[200];
	meet();
	say("{join,~p,g,~p}", R(9), R(21), NONE);
	ck_assert_int_eq(cn_pg_monitor(P, A, "sc", g, &ref, &now), 0);
	cnode_term_print(now, text, sizeof text);
	ck_assert_str_eq(text, "[<r@h.21.0>]");
	cnode_term_drop(now);
	say("{join,~p,other,~p}", R(9), R(22), NONE);
	say("{join,~p,g,~p}", R(9), R(22), NONE);
	ck_assert_str_eq(heard(A), "join g [<r@h.22.0>]");
	ck_assert_str_eq(heard(A), "");
	ck_assert_int_eq(cn_pg_monitor(P, B, "sc", (cnode_term){ 0 }, &all, &now), 0);
	ck_assert_int_eq((int)cnode_term_type(now), CNODE_TYPE_MAP);
	cnode_term_drop(now);
	say("{'$gen_cast',{sync,~p,[{g,[~p,~p]}]}}", R(9), R(22), R(23));
	ck_assert_str_eq(heard(A), "leave g [<r@h.21.0>]");
	ck_assert_str_eq(heard(A), "join g [<r@h.23.0>]");
	ck_assert_str_eq(heard(B), "leave g [<r@h.21.0>]");
	ck_assert_str_eq(heard(B), "join g [<r@h.23.0>]");
	ck_assert_str_eq(heard(B), "leave other [<r@h.22.0>]");
	/* None comes behind the demonitor, and what came before is taken out. */
	say("{leave,~p,~p,[g]}", R(9), R(23), NONE);
	ck_assert_int_eq(cn_pg_demonitor(P, A, "sc", ref), 0);
	say("{leave,~p,~p,[g]}", R(9), R(22), NONE);
	ck_assert_str_eq(heard(A), "");
	ck_assert_int_eq(cn_pg_demonitor(P, A, "sc", ref), CNODE_ENOENT);
	ck_assert_int_eq(cn_pg_demonitor(P, A, "sc", all), CNODE_ENOENT);
	hand_exit(B, "boom");
	B = NULL;
	run();
	say("{join,~p,g,~p}", R(9), R(24), NONE);
	ck_assert(cn_procs_is_alive(W.procs, S));
	cnode_term_drop(g);
}
END_TEST

static void watch_groups(int many)
{
	enum { MOST = 20000 };
	static struct cnode_process *p[MOST];
	static cnode_ref ref[MOST];
	cnode_term g;
	teardown();
	setup();
	for (int i = 0; i < many; i++)
		p[i] = hand(NULL);
	for (int i = 0; i < many; i++) {
		ck_assert_int_eq(cnode_format(&g, "{group,~i}", i), 0);
		ck_assert_int_eq(cn_pg_monitor(P, p[i], "sc", g, &ref[i], NULL), 0);
		cnode_pid pid = cnode_self(A);
		if (i % 2)
			run();
		ck_assert_int_eq(cn_pg_join(P, "sc", &pid, 1, g), 0);
		cnode_term_drop(g);
		if (i % 3)
			run();
	}
	run();
	ck_assert_str_eq(heard(p[5]), "join {group,5} [<me@h.1.0>]");
	/* The first half in the order in which they came, the second by their end. */
	for (int i = 0; i < many / 2; i++)
		ck_assert_int_eq(cn_pg_demonitor(P, p[i], "sc", ref[i]), 0);
	run();
	for (int i = 0; i < many; i++)
		hand_exit(p[i], "normal");
	run();
	hand_exit(A, "normal");
	A = NULL;
	run();
}

/* Each had a look at all the others, for each change here and for each that ended. */
START_TEST(twenty_thousand_groups_are_watched_by_as_many)
{
	tap_assert_in_proportion(watch_groups, 5000);
}
END_TEST

/* ---- stopping and starting ---- */

START_TEST(a_scope_that_is_stopped_is_gone_and_can_be_started_again)
{
	meet();
	join("g", A);
	out();
	ck_assert_int_eq(cn_pg_stop(P, "sc"), 0);
	size_t count;
	cnode_term g = text_term("g");
	ck_assert_int_eq(cn_pg_members(P, "sc", false, g, NULL, 0, &count), CNODE_ENOENT);
	ck_assert_int_eq(cn_pg_stop(P, "sc"), CNODE_ENOENT);
	ck_assert_int_eq(cn_pg_start(P, "sc", 0), 0);
	run();
	cn_procs_whereis(W.procs, "sc", &S);
	ck_assert_str_eq(members("g"), "");
	ck_assert_int_eq(join("g", A), 0);
	cnode_term_drop(g);
}
END_TEST

/* scope_restart of OTP's pg_SUITE; the members of this node stay. */
START_TEST(a_server_that_has_ended_is_started_again)
{
	cnode_ref ref;
	cnode_term now;
	meet();
	join("g", A);
	join("g", B);
	say("{join,~p,g,~p}", R(9), R(20), NONE);
	ck_assert_str_eq(members("g"), "A B 20");
	cnode_term g = text_term("g");
	ck_assert_int_eq(cn_pg_monitor(P, B, "sc", g, &ref, &now), 0);
	cnode_term_drop(now);
	cnode_term_drop(g);
	out();
	cnode_pid old = S;
	deliver_term(FROM_PEER(EXIT2, remote(9), S), "kill");
	ck_assert_int_eq(join("h", A), 0);      /* nobody is there to tell it */
	run();
	ck_assert_int_eq(cn_procs_whereis(W.procs, "sc", &S), 0);
	ck_assert(!cnode_pid_equal(old, S));
	ck_assert_str_eq(members("g"), "A B");
	ck_assert_ptr_nonnull(strstr(heard(B), "leave g [<r@h.20."));
	/* The others are asked anew, and told all of this node when they ask. */
	ck_assert_ptr_nonnull(strstr(out(), " -> sc {discover,S}"));
	say("{discover,~p}", R(9), NONE, NONE);
	const char *text = out();
	ck_assert_msg(strstr(text, "{g,[A,B]}") && strstr(text, "{h,[A]}"), "%s", text);
	say("{'$gen_cast',{sync,~p,[{g,[~p]}]}}", R(9), R(20), NONE);
	ck_assert_str_eq(members("g"), "A B 20");
	ck_assert_ptr_nonnull(strstr(heard(B), "join g [<r@h.20."));
	out();
	/* Their ends are noticed by the new one: of members, and of who ended while there was none. */
	deliver_term(FROM_PEER(EXIT2, remote(9), S), "kill");
	hand_exit(A, "boom");
	A = NULL;
	run();
	cn_procs_whereis(W.procs, "sc", &S);
	ck_assert_str_eq(members("g"), "B");
	ck_assert_str_eq(groups(false), "g");
	/* And one that ends before it ever ran. */
	deliver_term(FROM_PEER(EXIT2, remote(9), S), "kill");
	cn_supervisor_run(V, cn_now());
	cn_procs_whereis(W.procs, "sc", &S);
	deliver_term(FROM_PEER(EXIT2, remote(9), S), "kill");
	run();
	ck_assert_int_eq(cn_procs_whereis(W.procs, "sc", &S), 0);
	ck_assert_str_eq(members("g"), "B");
	ck_assert_int_eq(cn_pg_start(P, "sc", 0), CNODE_EEXIST);
}
END_TEST

START_TEST(a_taken_name_is_said)
{
	cnode_register(A, "taken");
	ck_assert_int_eq(cn_pg_start(P, "taken", 0), CNODE_ENAMETAKEN);
}
END_TEST

START_TEST(a_local_scope_speaks_with_nobody)
{
	out();
	ck_assert_int_eq(cn_pg_start(P, "own", CNODE_PG_LOCAL | CNODE_PG_HIDDEN), CNODE_EBADARG);
	ck_assert_int_eq(cn_pg_start(P, "own", CNODE_PG_LOCAL), 0);
	cnode_pid pid = cnode_self(A), none;
	cnode_term g = text_term("g");
	ck_assert_int_eq(cn_pg_join(P, "own", &pid, 1, g), 0);
	node_up();
	ck_assert_str_eq(out(), "MESSAGE 3 -> sc {discover,S}");
	ck_assert_int_eq(cn_procs_whereis(W.procs, "own", &none), CNODE_ENOENT);
	hand_exit(A, "boom");
	A = NULL;
	run();
	size_t count;
	ck_assert_int_eq(cn_pg_members(P, "own", false, g, NULL, 0, &count), 0);
	ck_assert_uint_eq(count, 0);
	cnode_term_drop(g);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("pg");
	TCase *t = tcase_create("scope");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_scope_discovers_the_connected_nodes_and_those_that_come);
	tcase_add_test(t, hidden_nodes_are_asked_only_if_the_scope_says_so);
	tcase_add_test(t, a_discover_is_answered_with_a_sync_and_a_discover);
	tcase_add_test(t, nothing_is_told_to_who_had_no_sync_yet);
	tcase_add_test(t, joins_and_leaves_are_told_in_order);
	tcase_add_test(t, several_processes_are_one_change);
	tcase_add_test(t, an_end_leaves_every_group_as_often_as_it_was_joined);
	tcase_add_test(t, a_leave_and_an_end_at_once_are_told_once);
	tcase_add_test(t, members_of_others_come_go_and_end_with_their_server);
	tcase_add_test(t, a_sync_replaces_all_that_was_known);
	tcase_add_test(t, a_node_speaks_for_itself_only);
	tcase_add_test(t, junk_is_dropped_and_the_scope_lives);
	tcase_add_test(t, floods_of_discover_are_answered_together);
	tcase_add_test(t, of_many_servers_of_a_node_the_newest_count);
	tcase_add_loop_test(t, a_large_sync_is_taken_in_slice_by_slice, 0, 3);
	tcase_add_test(t, a_leave_of_everything_is_quick);
	tcase_add_test(t, many_processes_join_at_once);
	tcase_add_test(t, a_join_of_more_than_a_peer_may_have_is_not_read);
	tcase_add_test(t, a_monitor_tells_of_every_change_after_the_list_it_gave);
	tcase_add_test(t, twenty_thousand_groups_are_watched_by_as_many);
	tcase_add_test(t, a_scope_that_is_stopped_is_gone_and_can_be_started_again);
	tcase_add_test(t, a_server_that_has_ended_is_started_again);
	tcase_add_test(t, a_taken_name_is_said);
	tcase_add_test(t, a_local_scope_speaks_with_nobody);
	suite_add_tcase(s, t);
	return tap_run(s);
}
