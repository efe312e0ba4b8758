/* SPDX-License-Identifier: Apache-2.0 */
/* Process groups: one scope here, the servers of r@h and other@h played by the test. */
#include "cnode/pg/pg.h"
#include "tests/alloc_fail.h"
#include "tests/proc_world.h"
#include "tests/tap.h"

static struct cn_pg *P;
static struct cnode_process *A, *B;     /* processes of this node */
static cnode_pid S;                     /* the server of the scope sc */
static bool two_peers;

static int peers(void *ctx, int (*each)(void *context, const char *name, bool visible), void *context)
{
	(void)ctx;
	int rc = each(context, "r@h", true);
	return rc == 0 && two_peers ? each(context, "other@h", false) : rc;
}
static const struct cn_pg_ops ops = { .peers = peers };

static void run(void)
{
	while (cn_sched_run(W.procs, false, 0))
		continue;
}

static void setup(void)
{
	ck_assert_int_eq(world_open(NULL), 0);
	ck_assert_int_eq(cn_pg_new(W.procs, NULL, &ops, NULL, &P), 0);
	A = hand(NULL);
	B = hand(NULL);
	ck_assert_int_eq(cn_pg_start(P, "sc", 0), 0);
	run();
	ck_assert_int_eq(cn_procs_whereis(W.procs, "sc", &S), 0);
}
static void teardown(void)
{
	if (A)
		hand_exit(A, "normal");
	if (B)
		hand_exit(B, "normal");
	world_close();
	cn_pg_free(P);
}

/* What left; the server is <S>, A is <A>, B is <B>. */
static const char *out(void)
{
	static char text[SENT_MAX];
	char name[3][64];
	cnode_pid pids[] = { S, A ? cnode_self(A) : S, B ? cnode_self(B) : S };
	run();
	const char *from = sent();
	for (int i = 0; i < 3; i++)
		snprintf(name[i], sizeof name[i], "<me@h.%u.%u>", pids[i].id, pids[i].serial);
	size_t n = 0;
	while (*from && n < sizeof text - 4) {
		int found = -1;
		for (int i = 0; i < 3 && found < 0; i++)
			if (strncmp(from, name[i], strlen(name[i])) == 0)
				found = i;
		if (found >= 0) {
			text[n++] = "SAB"[found];
			from += strlen(name[found]);
		} else {
			text[n++] = *from++;
		}
	}
	text[n] = '\0';
	return text;
}

/* A message of the process `id` of r@h to the server, by format with pids of r@h. */
static void say(const char *format, cnode_pid a, cnode_pid b, cnode_pid c)
{
	cnode_term t;
	ck_assert_int_eq(cnode_format(&t, format, a, b, c), 0);
	struct cn_signal sig = FROM_PEER(MESSAGE, remote(9), S, .term = t);
	deliver(&sig);
	cnode_term_drop(t);
	run();
}
static void say_text(const char *text)
{
	cnode_term t = text_term(text);
	ck_assert_msg(t.size_, "%s", text);
	struct cn_signal sig = FROM_PEER(MESSAGE, remote(9), S, .term = t);
	deliver(&sig);
	cnode_term_drop(t);
	run();
}
static cnode_pid R(uint32_t id) { return remote(id); }
#define NONE ((cnode_pid){ .node = W.peer, .id = 1, .creation = 5 })

static int join(const char *group, struct cnode_process *p)
{
	cnode_term g = text_term(group);
	cnode_pid pid = cnode_self(p);
	int rc = cn_pg_join(P, "sc", &pid, 1, g);
	cnode_term_drop(g);
	return rc;
}
static int leave(const char *group, struct cnode_process *p)
{
	cnode_term g = text_term(group);
	cnode_pid pid = cnode_self(p);
	int rc = cn_pg_leave(P, "sc", &pid, 1, g);
	cnode_term_drop(g);
	return rc;
}
/* The ids of a group's members, sorted, "1 9 9"; A is 'A', B is 'B'. */
static const char *members_of(const char *group, bool local)
{
	static char text[512];
	cnode_pid pids[64];
	size_t count, n = 0;
	cnode_term g = text_term(group);
	ck_assert_int_eq(cn_pg_members(P, "sc", local, g, pids, 64, &count), 0);
	cnode_term_drop(g);
	ck_assert_uint_le(count, 64);
	text[0] = '\0';
	for (uint32_t id = 0; id < 100; id++)
		for (size_t i = 0; i < count; i++) {
			bool own = pids[i].node == W.own;
			if (pids[i].id != id)
				continue;
			const char *gap = n ? " " : "";
			if (own)
				n += (size_t)snprintf(text + n, sizeof text - n, "%s%c", gap,
						      A && cnode_pid_equal(pids[i], cnode_self(A)) ? 'A' : 'B');
			else
				n += (size_t)snprintf(text + n, sizeof text - n, "%s%u", gap, id);
		}
	return text;
}
static const char *members(const char *group) { return members_of(group, false); }

static int add_group(void *context, cnode_term group)
{
	char *text = context;
	size_t n = strlen(text);
	if (n)
		text[n++] = ' ';
	cnode_term_print(group, text + n, 200 - n);
	return 0;
}
static const char *groups(bool local)
{
	static char text[200];
	text[0] = '\0';
	ck_assert_int_eq(cn_pg_groups(P, "sc", local, add_group, text), 0);
	return text;
}

/* r@h's server 9 knows us, and we know it. */
static void meet(void)
{
	say("{discover,~p}", R(9), NONE, NONE);
	say("{'$gen_cast',{sync,~p,[]}}", R(9), NONE, NONE);
	out();
}

static void node_up(void)
{
	struct cn_node_event up = { .node = W.peer, .connection_id = 2, .visible = true, .up = true };
	cn_procs_node_event(W.procs, &up);
	run();
}

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

START_TEST(floods_of_discover_are_answered_together)
{
	meet();
	for (int i = 0; i < 100; i++)
		say("{discover,~p}", R(9), NONE, NONE);
	size_t n = 0;
	for (const char *at = out(); (at = strstr(at, "{sync,")); at++)
		n++;
	ck_assert_uint_lt(n, CN_PG_SYNCS + 1);
	/* The rest as one, once a while is over. */
	cn_sched_expire(W.procs, cn_now() + 2 * CN_NS_PER_S, 100);
	ck_assert_str_eq(out(), "MESSAGE 3 -> 9 {'$gen_cast',{sync,S,[]}}");
	cn_sched_expire(W.procs, cn_now() + 4 * CN_NS_PER_S, 100);
	ck_assert_str_eq(out(), "");
}
END_TEST

START_TEST(a_node_has_so_many_servers_at_most)
{
	out();
	for (uint32_t i = 100; i < 200; i++)
		say("{discover,~p}", R(i), NONE, NONE);
	size_t n = 0;
	for (const char *at = out(); (at = strstr(at, "MONITOR")); at++)
		n++;
	ck_assert_uint_eq(n, CN_PG_SERVERS);
}
END_TEST

START_TEST(a_leave_of_everything_is_quick)
{
	enum { N = 20000 };
	meet();
	cnode_builder *b = cnode_builder_new();
	cnode_term list, groups_term, t;
	cnode_build_list(b);
	for (uint32_t i = 0; i < N; i++)
		cnode_build_pid(b, R(1000 + i));
	cnode_build_list_end(b);
	ck_assert_int_eq(cnode_builder_term(b, &list), 0);
	cnode_build_list(b);
	for (int i = 0; i < N; i++)
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
	ck_assert_uint_eq(count, N);
	/* Each of them, from twenty thousand times the same group. */
	ck_assert_int_eq(cnode_format(&t, "{leave,~p,~t,~t}", R(9), list, groups_term), 0);
	sig.term = t;
	deliver(&sig);
	uint64_t at = cn_now();
	run();
	ck_assert_uint_lt(cn_now() - at, 2 * CN_NS_PER_S);
	ck_assert_int_eq(cn_pg_members(P, "sc", false, g, NULL, 0, &count), 0);
	ck_assert_uint_eq(count, 0);
	cnode_term_drop(t);
	cnode_term_drop(g);
	cnode_term_drop(list);
	cnode_term_drop(groups_term);
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
	/* A kill, too, and one before it ever ran. */
	for (int i = 0; i < 2; i++) {
		deliver_term(FROM_PEER(EXIT2, remote(9), S), "kill");
		if (i == 0)
			run();
		ck_assert_int_eq(cn_pg_start(P, "sc", 0), 0);
		cn_procs_whereis(W.procs, "sc", &S);
	}
	run();
	ck_assert_int_eq(join("g", A), 0);
	ck_assert_str_eq(members("g"), "A");
	cnode_term_drop(g);
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

/* ---- Phoenix.PubSub ---- */

#define WORKERS "Elixir.Phoenix.PubSub"

/* A worker of r@h, 31, in the group of one place of MyApp.PubSub. */
static void meet_worker(const char *group)
{
	cnode_pid scope;
	cnode_term t;
	ck_assert_int_eq(cn_procs_whereis(W.procs, WORKERS, &scope), 0);
	static const char *const formats[] = { "{discover,~p}", "{join,~p,~a,~p}" };
	for (size_t i = 0; i < CN_ARRAY_SIZE(formats); i++) {
		ck_assert_int_eq(cnode_format(&t, formats[i], R(8), group, R(31)), 0);
		struct cn_signal sig = FROM_PEER(MESSAGE, remote(8), scope, .term = t);
		deliver(&sig);
		cnode_term_drop(t);
		run();
	}
	out();
}

static const char *message_of(struct cnode_process *p)
{
	run();
	return got(p);
}

static int broadcast(struct cnode_process *p, unsigned flags, const char *topic, const char *message)
{
	cnode_term m = text_term(message);
	int rc = cn_pubsub_broadcast(P, p, "MyApp.PubSub", flags, topic, m);
	cnode_term_drop(m);
	run();
	return rc;
}

START_TEST(pubsub_gives_broadcasts_to_subscribers_and_workers)
{
	cnode_pid worker, other;
	ck_assert_int_eq(cn_pubsub_start(P, "MyApp.PubSub", 2, 0), 0);
	run();
	ck_assert_int_eq(cn_pubsub_start(P, "Elixir.MyApp.PubSub", 1, 0), CNODE_EEXIST);
	ck_assert_int_eq(cn_procs_whereis(W.procs, "Elixir.MyApp.PubSub.Adapter", &worker), 0);
	ck_assert_int_eq(cn_procs_whereis(W.procs, "Elixir.MyApp.PubSub.Adapter_2", &other), 0);
	meet_worker("Elixir.MyApp.PubSub.Adapter_2");
	meet_worker("Elixir.MyApp.PubSub.Adapter");
	ck_assert_int_eq(cn_pubsub_subscribe(P, A, "MyApp.PubSub", "t"), 0);
	ck_assert_int_eq(cn_pubsub_subscribe(P, A, "MyApp.PubSub", "t"), 0);
	ck_assert_int_eq(cn_pubsub_subscribe(P, B, "MyApp.PubSub", NULL), 0);
	deliver_term(FROM_PEER(MESSAGE, remote(31), worker), "{forward_to_local,<<\"t\">>,{hello,1},x}");
	deliver_term(FROM_PEER(MESSAGE, remote(31), worker), "{forward_to_local,<<\"u\">>,no,x}");
	deliver_term(FROM_PEER(MESSAGE, remote(31), worker), "{forward_to_local,all,no,x}");
	deliver_term(FROM_PEER(MESSAGE, remote(31), worker), "junk");
	ck_assert_str_eq(message_of(A), "{hello,1}");
	ck_assert_str_eq(message_of(A), "{hello,1}");
	ck_assert_str_eq(message_of(A), "");
	ck_assert_str_eq(message_of(B), "{forward_to_local,<<\"t\">>,{hello,1},x}");
	ck_assert_str_eq(message_of(B), "{forward_to_local,<<\"u\">>,no,x}");
	ck_assert_str_eq(message_of(B), "");
	ck_assert_int_eq(broadcast(A, CNODE_PUBSUB_FROM, "t", "x"), 0);
	ck_assert_str_eq(message_of(A), "");
	ck_assert_ptr_nonnull(strstr(message_of(B), "<<\"t\">>,x,'Elixir.Phoenix.PubSub'}"));
	char expected[100];
	snprintf(expected, sizeof expected, "MESSAGE %u -> 31 {forward_to_local,<<\"t\">>,x,'Elixir.Phoenix.PubSub'}", cnode_self(A).id);
	ck_assert_str_eq(out(), expected);
	ck_assert_int_eq(broadcast(A, CNODE_PUBSUB_LOCAL, "t", "y"), 0);
	ck_assert_str_eq(out(), "");
	ck_assert_str_eq(message_of(A), "y");
	ck_assert_int_eq(broadcast(A, 8, "t", "y"), CNODE_EBADARG);
	ck_assert_int_eq(broadcast(A, 0, NULL, "y"), CNODE_EBADARG);
	ck_assert_int_eq(cn_pubsub_unsubscribe(P, A, "MyApp.PubSub", "t"), 0);
	ck_assert_int_eq(cn_pubsub_unsubscribe(P, A, "MyApp.PubSub", "t"), CNODE_ENOTJOINED);
	ck_assert_int_eq(cn_pubsub_subscribe(P, A, "Other", "t"), CNODE_ENOENT);
	cnode_term m = text_term("z");
	ck_assert_int_eq(cn_pubsub_direct(P, A, "MyApp.PubSub", "r@h", "t", m), 0);
	cnode_term_drop(m);
	snprintf(expected, sizeof expected, "MESSAGE %u -> Elixir.MyApp.PubSub.Adapter {forward_to_local,<<\"t\">>,z,", cnode_self(A).id);
	ck_assert_ptr_nonnull(strstr(out(), expected));
	ck_assert_int_eq(cn_pubsub_stop(P, "MyApp.PubSub"), 0);
	run();
	ck_assert_int_eq(cn_procs_whereis(W.procs, "Elixir.MyApp.PubSub.Adapter", &worker), CNODE_ENOENT);
	ck_assert_int_eq(cn_pubsub_stop(P, "MyApp.PubSub"), CNODE_ENOENT);
	ck_assert_int_eq(cn_pubsub_start(P, "MyApp.PubSub", 1, 0), 0);
}
END_TEST

START_TEST(pubsub_refuses_what_cannot_be)
{
	ck_assert_int_eq(cn_pubsub_start(P, NULL, 1, 0), CNODE_EBADARG);
	ck_assert_int_eq(cn_pubsub_start(P, "", 1, 0), CNODE_EBADNAME);
	ck_assert_int_eq(cn_pubsub_start(P, "Elixir.", 1, 0), CNODE_EBADNAME);
	ck_assert_int_eq(cn_pubsub_start(P, "X", 0, 0), CNODE_EBADARG);
	ck_assert_int_eq(cn_pubsub_start(P, "X", 257, 0), CNODE_EBADARG);
	ck_assert_int_eq(cn_pubsub_start(P, "X", 1, CNODE_PG_LOCAL), CNODE_EBADARG);
	cnode_register(A, "Elixir.X.Adapter_2");
	ck_assert_int_eq(cn_pubsub_start(P, "X", 3, 0), CNODE_ENAMETAKEN);
	run();
	cnode_pid pid;
	ck_assert_int_eq(cn_procs_whereis(W.procs, "Elixir.X.Adapter", &pid), CNODE_ENOENT);
	cnode_unregister(A, "Elixir.X.Adapter_2");
	ck_assert_int_eq(cn_pubsub_start(P, "X", 3, 0), 0);
}
END_TEST

/* Its joins are gone with the scope; Phoenix's supervisor would start all of them again. */
START_TEST(pubsub_workers_join_again_when_the_scope_was_ended)
{
	cnode_pid scope, again;
	size_t count;
	ck_assert_int_eq(cn_pubsub_start(P, "MyApp.PubSub", 2, 0), 0);
	run();
	ck_assert_int_eq(cn_procs_whereis(W.procs, WORKERS, &scope), 0);
	deliver_term(FROM_PEER(EXIT2, remote(8), scope), "kill");
	run();
	ck_assert_int_eq(cn_procs_whereis(W.procs, WORKERS, &again), 0);
	ck_assert(!cnode_pid_equal(scope, again));
	cnode_term g = text_term("'Elixir.MyApp.PubSub.Adapter_2'");
	ck_assert_int_eq(cn_pg_members(P, WORKERS, false, g, NULL, 0, &count), 0);
	ck_assert_uint_eq(count, 1);
	cnode_term_drop(g);
}
END_TEST

/* ---- memory ---- */

static void life(void)
{
	cnode_ref ref;
	cnode_term now;
	if (world_open(NULL) != 0)
		goto close;
	if (cn_pg_new(W.procs, NULL, &ops, NULL, &P) != 0) {
		P = NULL;
		goto close;
	}
	A = hand(NULL);
	B = hand(NULL);
	cnode_term g = text_term("{group,1}");
	if (A && B && g.size_ && cn_pg_start(P, "sc", 0) == 0) {
		run();
		bool runs = cn_procs_whereis(W.procs, "sc", &S) == 0;
		cnode_pid pids[] = { cnode_self(A), cnode_self(B) };
		cn_pg_join(P, "sc", pids, 2, g);
		if (cn_pg_monitor(P, A, "sc", g, &ref, &now) == 0)
			cnode_term_drop(now);
		static const char *const formats[] = {
			"{discover,~p}", "{'$gen_cast',{sync,~p,[{g,[~p]}]}}", "{join,~p,{group,1},~p}", "{leave,~p,~p,[{group,1}]}",
		};
		for (size_t i = 0; i < CN_ARRAY_SIZE(formats) && runs; i++) {
			cnode_term t;
			if (cnode_format(&t, formats[i], R(9), R(21)) != 0)
				continue;
			struct cn_signal sig = FROM_PEER(MESSAGE, remote(9), S, .term = t);
			deliver(&sig);
			cnode_term_drop(t);
			run();
		}
		cn_pg_leave(P, "sc", pids, 1, g);
		run();
		size_t count;
		cn_pg_members(P, "sc", false, g, NULL, 0, &count);
		char text[200] = "";
		cn_pg_groups(P, "sc", false, add_group, text);
		cn_sched_expire(W.procs, cn_now() + 2 * CN_NS_PER_S, 100);
		run();
		cn_pg_demonitor(P, A, "sc", ref);
		cn_pg_stop(P, "sc");
		run();
		if (cn_pubsub_start(P, "X", 2, 0) == 0) {
			run();
			cn_pubsub_subscribe(P, A, "X", "t");
			cn_pubsub_broadcast(P, B, "X", 0, "t", g);
			run();
			cn_pubsub_unsubscribe(P, A, "X", "t");
			cn_pubsub_stop(P, "X");
			run();
		}
		cn_pg_stop(P, WORKERS);
		run();
	}
	cnode_term_drop(g);
	if (A)
		hand_exit(A, "normal");
	if (B)
		hand_exit(B, "normal");
	run();
close:
	if (W.procs)
		ck_assert_uint_eq(cn_procs_count(W.procs), 0);
	world_close();
	cn_pg_free(P);
	P = NULL;
}

START_TEST(every_failed_allocation_is_survived)
{
	alloc_fail_each(life);
}
END_TEST

/* Who missed a change gets a sync, and is told no half of it before. */
START_TEST(what_could_not_be_told_comes_with_a_sync)
{
	meet();
	atomic_store(&W.answer, CNODE_ENOMEM);
	join("g", A);
	out();
	atomic_store(&W.answer, 0);
	ck_assert_int_eq(leave("g", A), 0);
	join("h", A);
	ck_assert_str_eq(out(), "");
	cn_sched_expire(W.procs, cn_now() + 2 * CN_NS_PER_S, 100);
	ck_assert_str_eq(out(), "MESSAGE 3 -> 9 {'$gen_cast',{sync,S,[{h,[A]}]}}");
	join("i", A);
	ck_assert_str_eq(out(), "MESSAGE 3 -> 9 {join,S,i,A}");
}
END_TEST

/* ---- what OTP's servers survive ---- */

/*
 * Servers of r@h as pg.erl has them: from a discover or a sync on they know ours, with the groups it has told them
 * of, and end (here: fail) for a leave of another one, and for anything that they have no clause for. What comes from
 * a server that they do not know they ignore.
 */
#define MODEL_SERVERS 4
#define MODEL_GROUPS 4
#define MODEL_PIDS 4
static struct model {
	bool known, synced;
	unsigned members[MODEL_GROUPS][MODEL_PIDS];
} model[MODEL_SERVERS];
static cnode_pid model_pid[MODEL_PIDS];

static unsigned model_group(cnode_term name)
{
	for (unsigned i = 0; i < MODEL_GROUPS; i++)
		if (cn_term_is_atom(name, ((const char *[]){ "a", "b", "c", "d" })[i]))
			return i;
	ck_abort_msg("a group that nobody joined");
	return 0;
}

/* Each pid of a list, or the one pid. */
static void model_each(struct model *m, unsigned group, cnode_term who, int by)
{
	cnode_pid pid;
	if (cn_term_pid(who, &pid) == 0) {
		unsigned i = 0;
		while (i < MODEL_PIDS && !cnode_pid_equal(model_pid[i], pid))
			i++;
		if (i == MODEL_PIDS)
			return;         /* one that has ended */
		ck_assert_msg(by > 0 || m->members[group][i] > 0, "a leave of who has not joined");
		m->members[group][i] += (unsigned)by;
		return;
	}
	cnode_reader r = cnode_read(who);
	for (size_t n; (n = cnode_read_list(&r)) > 0;)
		while (n-- > 0)
			model_each(m, group, cnode_read_term(&r), by);
	ck_assert_int_eq(r.error, 0);
}

static void model_hears(struct world *w, const struct cn_signal *sig)
{
	cnode_term who, group, list;
	if (sig->kind != CN_SIG_MESSAGE || atomic_load(&w->answer) != 0)
		return;                 /* not one to a server, or it is lost on the way */
	if (sig->to_name) {
		ck_assert_int_eq(cnode_scan(sig->term, "{discover,_}"), 0);
		for (unsigned i = 0; i < MODEL_SERVERS; i++)
			model[i].known = true;
		return;
	}
	ck_assert(sig->to.id >= 100 && sig->to.id < 100 + MODEL_SERVERS);
	struct model *m = &model[sig->to.id - 100];
	if (cnode_scan(sig->term, "{discover,_}") == 0) {
		m->known = true;
		return;
	}
	if (cnode_scan(sig->term, "{'$gen_cast',{sync,_,~t}}", &list) == 0) {
		memset(m, 0, sizeof *m);
		m->known = m->synced = true;
		cnode_reader r = cnode_read(list);
		for (size_t n; (n = cnode_read_list(&r)) > 0;)
			while (n-- > 0) {
				ck_assert_int_eq(cnode_scan(cnode_read_term(&r), "{~t,~t}", &group, &who), 0);
				for (unsigned i = 0; i < MODEL_PIDS; i++)
					ck_assert_uint_eq(m->members[model_group(group)][i], 0);
				model_each(m, model_group(group), who, 1);
			}
		return;
	}
	if (!m->known)
		return;
	if (cnode_scan(sig->term, "{join,_,~t,~t}", &group, &who) == 0) {
		model_each(m, model_group(group), who, 1);
		return;
	}
	ck_assert_int_eq(cnode_scan(sig->term, "{leave,_,~t,~t}", &who, &list), 0);
	cnode_reader r = cnode_read(list);
	for (size_t n; (n = cnode_read_list(&r)) > 0;)
		while (n-- > 0)
			model_each(m, model_group(cnode_read_term(&r)), who, -1);
}

static uint32_t rolls;
static uint32_t roll(uint32_t sides)
{
	rolls = rolls * 1664525u + 1013904223u;
	return (rolls >> 8) % sides;
}

static void model_step(struct cnode_process *hands[MODEL_PIDS])
{
	static const char *const names[] = { "a", "b", "c", "d" };
	unsigned i = roll(MODEL_PIDS), k = roll(MODEL_SERVERS);
	cnode_pid pids[4], server = R(100 + k);
	switch (roll(12)) {
	case 0:
	case 1:
	case 2: {
		cnode_term g = text_term(names[roll(MODEL_GROUPS)]);
		size_t n = 1 + roll(3);
		for (size_t p = 0; p < n; p++)
			pids[p] = model_pid[roll(MODEL_PIDS)];
		if (roll(3) > 0)
			cn_pg_join(P, "sc", pids, n, g);
		else
			cn_pg_leave(P, "sc", pids, n, g);
		cnode_term_drop(g);
		return;
	}
	case 3:
	case 4:
		leave(names[roll(MODEL_GROUPS)], hands[i]);
		return;
	case 5:                         /* ends, and another one takes its place: the servers hear of both */
		hand_exit(hands[i], "boom");
		run();
		hands[i] = hand(NULL);
		model_pid[i] = cnode_self(hands[i]);
		for (unsigned s = 0; s < MODEL_SERVERS; s++)
			for (unsigned g = 0; g < MODEL_GROUPS; g++)
				model[s].members[g][i] = 0;
		return;
	case 6:
		say("{discover,~p}", server, NONE, NONE);
		return;
	case 7:
		say("{'$gen_cast',{sync,~p,[{x,[~p]}]}}", server, R(50), NONE);
		return;
	case 8:                         /* the connection ends, and with it what the servers knew */
		cn_procs_nodedown(W.procs, W.peer, atomic_fetch_add(&W.epoch, 1), "noconnection", 1000);
		memset(model, 0, sizeof model);
		run();
		node_up();
		return;
	case 9:                         /* no memory for what is sent */
		atomic_store(&W.answer, CNODE_ENOMEM);
		return;
	case 10:
		atomic_store(&W.answer, 0);
		cn_sched_expire(W.procs, cn_now() + 2 * CN_NS_PER_S, 100);
		run();
		return;
	default:
		run();
	}
}

START_TEST(no_server_is_told_what_would_end_it)
{
	struct cnode_process *hands[MODEL_PIDS];
	W.hook = model_hears;
	for (unsigned i = 0; i < MODEL_PIDS; i++) {
		hands[i] = hand(NULL);
		model_pid[i] = cnode_self(hands[i]);
	}
	for (uint32_t seed = 1; seed <= 100; seed++) {
		rolls = seed;
		for (int i = 0; i < 200; i++)
			model_step(hands);
		/* When all is told, the servers that know us know what is true. */
		atomic_store(&W.answer, 0);
		for (int i = 0; i < 3; i++) {
			cn_sched_expire(W.procs, cn_now() + 2 * CN_NS_PER_S, 100);
			run();
		}
		for (unsigned k = 0; k < MODEL_SERVERS; k++)
			for (unsigned g = 0; g < MODEL_GROUPS && model[k].synced; g++) {
				cnode_pid pids[2000];
				size_t count;
				cnode_term name = text_term(((const char *[]){ "a", "b", "c", "d" })[g]);
				ck_assert_int_eq(cn_pg_members(P, "sc", true, name, pids, 2000, &count), 0);
				cnode_term_drop(name);
				for (unsigned i = 0; i < MODEL_PIDS; i++) {
					unsigned n = 0;
					for (size_t p = 0; p < count; p++)
						n += cnode_pid_equal(pids[p], model_pid[i]);
					ck_assert_msg(n == model[k].members[g][i], "seed %u: %u of ours in %u, the server knows %u", seed, n, g,
						      model[k].members[g][i]);
				}
			}
	}
	ck_assert(cn_procs_is_alive(W.procs, S));
	for (unsigned i = 0; i < MODEL_PIDS; i++)
		hand_exit(hands[i], "normal");
	W.hook = NULL;
}
END_TEST

int main(void)
{
	Suite *s = suite_create("pg");
	TCase *t = tcase_create("scope");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
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
	tcase_add_test(t, a_node_has_so_many_servers_at_most);
	tcase_add_test(t, a_leave_of_everything_is_quick);
	tcase_add_test(t, a_monitor_tells_of_every_change_after_the_list_it_gave);
	tcase_add_test(t, a_scope_that_is_stopped_is_gone_and_can_be_started_again);
	tcase_add_test(t, a_taken_name_is_said);
	tcase_add_test(t, a_local_scope_speaks_with_nobody);
	tcase_add_test(t, pubsub_gives_broadcasts_to_subscribers_and_workers);
	tcase_add_test(t, pubsub_refuses_what_cannot_be);
	tcase_add_test(t, pubsub_workers_join_again_when_the_scope_was_ended);
	tcase_add_test(t, what_could_not_be_told_comes_with_a_sync);
	tcase_add_test(t, no_server_is_told_what_would_end_it);
	suite_add_tcase(s, t);
	t = tcase_create("memory");
	tcase_set_timeout(t, 60);
	tcase_add_test(t, every_failed_allocation_is_survived);
	suite_add_tcase(s, t);
	return tap_run(s);
}
