/* SPDX-License-Identifier: Apache-2.0 */
/* proc within one node: links, names, aliases, mailboxes, limits, timers, and life without memory. */
#include "tests/tap.h"
#include "tests/alloc_fail.h"
#include "tests/proc_world.h"

static void setup(void)
{
	ck_assert_int_eq(world_open(NULL), 0);
}
static void teardown(void)
{
	world_close();
}

static struct cnode_process *A, *B;
static void setup_two(void)
{
	setup();
	A = hand("a");
	B = hand(NULL);
	ck_assert(A && B);
}
static void teardown_two(void)
{
	hand_exit(A, "normal");
	hand_exit(B, "normal");
	teardown();
}
#define PA cnode_self(A)
#define PB cnode_self(B)

static cnode_pid missing(void)
{
	return (cnode_pid){ .node = W.own, .creation = 77, .id = 30000 };
}
static cnode_pid stale(cnode_pid p)
{
	p.creation--;
	return p;
}

/* ---- between local processes ---- */

START_TEST(local_links_carry_exits_both_ways)
{
	ck_assert_int_eq(cnode_link(A, PB), 0);
	ck_assert_int_eq(cnode_link(B, PA), 0);
	cnode_trap_exit(A, true);
	hand_exit(B, "boom");
	B = hand(NULL);
	ck_assert_str_eq(got(A), "EXIT 2 boom");
	ck_assert_str_eq(got(A), "");
	ck_assert_int_eq(cnode_link(A, PB), 0);
	ck_assert_int_eq(cnode_unlink(A, PB), 0);
	hand_exit(B, "boom");
	B = hand(NULL);
	ck_assert_str_eq(got(A), "");
	ck_assert_int_eq(cnode_link(A, missing()), 0);
	ck_assert_str_eq(got(A), "EXIT 30000 noproc");
	ck_assert_int_eq(cnode_link(A, PA), 0);
	ck_assert_int_eq(cnode_link(B, missing()), 0);
	ck_assert(!cn_procs_is_alive(W.procs, PB));
}
END_TEST

START_TEST(local_monitors_fire_once)
{
	cnode_ref r1, r2, r3;
	cnode_register(B, "b");
	ck_assert_int_eq(cnode_monitor(A, PB, &r1), 0);
	ck_assert_int_eq(cnode_monitor_name(A, "b", NULL, &r2), 0);
	ck_assert_int_eq(cnode_monitor(A, PB, &r3), 0);
	ck_assert_int_eq(cnode_unregister(B, "b"), 0);
	ck_assert_int_eq(cnode_demonitor(A, r2, 0), 0);         /* found though the name has gone */
	struct cn_process_info info;
	cn_procs_info(W.procs, PB, &info);
	ck_assert_uint_eq(info.monitored_by, 2);
	hand_exit(B, "done");
	B = hand(NULL);
	ck_assert_str_eq(got(A), "DOWN 2 done");
	ck_assert_str_eq(got(A), "DOWN 2 done");
	ck_assert_str_eq(got(A), "");
	cnode_monitor(A, missing(), &r1);
	ck_assert_str_eq(got(A), "DOWN 30000 noproc");
	cnode_monitor_name(A, "nobody", NULL, &r1);
	ck_assert_str_eq(got(A), "DOWN nobody noproc");
	cnode_monitor_name(A, "nobody", "me@h", &r1);
	ck_assert_str_eq(got(A), "DOWN nobody noproc");
	cnode_monitor(A, PA, &r1);
	cnode_demonitor(A, r1, 0);
	ck_assert_str_eq(got(A), "");
}
END_TEST

START_TEST(dying_watcher_leaves_nothing_behind)
{
	cnode_ref ref;
	cnode_monitor(A, PB, &ref);
	cnode_link(A, PB);
	cnode_trap_exit(B, true);
	hand_exit(A, "normal");
	A = hand(NULL);
	struct cn_process_info info;
	cn_procs_info(W.procs, PB, &info);
	ck_assert_uint_eq(info.monitored_by, 0);
	ck_assert_uint_eq(info.links, 0);
	ck_assert_str_eq(got(B), "EXIT 1 normal");
}
END_TEST

START_TEST(a_chain_of_20000_links_dies_without_recursion)
{
	enum { N = 20000 };
	struct cnode_process **p = calloc(N, sizeof *p);
	for (int i = 0; i < N; i++) {
		p[i] = hand(NULL);
		ck_assert_ptr_nonnull(p[i]);
		if (i > 0)
			cnode_link(p[i], cnode_self(p[i - 1]));
	}
	cnode_ref ref;
	cnode_monitor(A, cnode_self(p[N - 1]), &ref);
	cnode_exit(A, cnode_self(p[0]), "boom");
	while (cn_sched_run(W.procs, true, 0))
		;
	const char *text = got(A);
	ck_assert_ptr_nonnull(strstr(text, " boom"));
	for (int i = 0; i < N; i++) {
		ck_assert(cnode_cancelled(p[i]));
		hand_exit(p[i], "normal");
	}
	free(p);
}
END_TEST

/* ---- messages, names, aliases ---- */

START_TEST(messages_reach_pids_and_names_and_no_others)
{
	ck_assert_int_eq(cnode_send(B, PA, "{hello,~q}", (int64_t)5), 0);
	ck_assert_int_eq(cnode_send_name(B, "a", NULL, "named"), 0);
	ck_assert_int_eq(cnode_send_name(B, "a", "me@h", "named_here"), 0);
	ck_assert_int_eq(cnode_send_name(B, "b", NULL, "lost"), 0);
	ck_assert_int_eq(cnode_send(B, missing(), "lost"), 0);
	ck_assert_int_eq(cnode_send(B, stale(PA), "lost"), 0);
	ck_assert_int_eq(cnode_send(B, (cnode_pid){ 0 }, "lost"), CNODE_EBADARG);
	ck_assert_int_eq(cnode_send_name(B, "", NULL, "lost"), CNODE_EBADNAME);
	ck_assert_int_eq(cnode_send_name(B, "x", "nohost", "lost"), CNODE_EBADNAME);
	deliver_term(FROM_PEER(MESSAGE, remote(9), PA), "far");
	deliver_term(FROM_PEER(MESSAGE, remote(9), (cnode_pid){ 0 }, .to_name = "a"), "far_named");
	ck_assert_str_eq(got(A), "{hello,5}");
	ck_assert_str_eq(got(A), "named");
	ck_assert_str_eq(got(A), "named_here");
	ck_assert_str_eq(got(A), "far");
	ck_assert_str_eq(got(A), "far_named");
	ck_assert_str_eq(got(A), "");
	ck_assert_int_eq(cnode_send(A, remote(9), "x"), 0);
	ck_assert_int_eq(cnode_send_name(A, "srv", "r@h", "y"), 0);
	ck_assert_str_eq(sent(), "MESSAGE 1 -> 9 x; MESSAGE 1 -> srv y");
	struct cn_target to = { .pid = PA };
	cnode_term root = text_term("root");
	ck_assert_int_eq(cn_procs_send(W.procs, &to, root, 0), 0);
	cnode_term_drop(root);
	ck_assert_str_eq(got(A), "root");
}
END_TEST

START_TEST(a_message_that_came_in_reaches_several_and_stays_as_long_as_any_wants_it)
{
	/* The first message lies in the term's own memory, the others do not; they end in any order. */
	for (int order = 0; order < 6; order++) {
		static const uint8_t bytes[] = "w\3far";
		struct cn_verify v;
		cnode_term kept, shown;
		cn_verify_init(&v, NULL, 0);
		ck_assert_int_eq(cn_verify_all(&v, bytes, sizeof bytes - 1), 0);
		struct cn_blob *b = cn_blob_new_message(sizeof bytes - 1, NULL, 0, 0);
		memcpy(b->bytes, bytes, sizeof bytes - 1);
		cnode_term t = cn_term_of_verified(b, 0, &v);
		struct cn_signal first = FROM_PEER(MESSAGE, remote(9), PA), second = FROM_PEER(MESSAGE, remote(9), PB);
		first.term = second.term = t;
		deliver(&first);
		deliver(&second);
		deliver(&first);
		struct cn_message *m[3] = { cn_process_receive(A, NULL, NULL), cn_process_receive(B, NULL, NULL),
					    cn_process_receive(A, NULL, NULL) };
		ck_assert_int_eq(cnode_term_keep(m[order % 3]->term, &kept), 0);
		cnode_term_drop(t);
		for (int i = 0; i < 3; i++) {
			int at = order < 3 ? (order + i) % 3 : (order + 3 - i) % 3;
			ck_assert_int_eq(cn_message_term(m[at], &shown), 0);
			ck_assert(cn_term_is_atom(shown, "far"));
			cnode_term_drop(shown);
			cn_message_free(at == 1 ? B : A, m[at]);
		}
		ck_assert(cn_term_is_atom(kept, "far"));
		cnode_term_drop(kept);
	}
	ck_assert_str_eq(got(A), "");
	ck_assert_str_eq(got(B), "");
}
END_TEST

START_TEST(names_are_one_for_each_process_and_go_with_it)
{
	cnode_pid pid;
	ck_assert_int_eq(cn_procs_whereis(W.procs, "a", &pid), 0);
	ck_assert(cnode_pid_equal(pid, PA));
	ck_assert_int_eq(cnode_register(A, "second"), CNODE_EEXIST);
	ck_assert_int_eq(cnode_register(B, "a"), CNODE_ENAMETAKEN);
	ck_assert_int_eq(cnode_register(B, "undefined"), CNODE_EBADNAME);
	ck_assert_int_eq(cnode_register(B, ""), CNODE_EBADNAME);
	ck_assert_int_eq(cnode_register(B, NULL), CNODE_EBADNAME);
	char longest[300];
	memset(longest, 'x', sizeof longest);
	longest[256] = '\0';
	ck_assert_int_eq(cnode_register(B, longest), CNODE_EBADNAME);
	longest[255] = '\0';
	ck_assert_int_eq(cnode_register(B, longest), 0);
	ck_assert_int_eq(cnode_unregister(B, "a"), CNODE_ENOENT);
	ck_assert_int_eq(cnode_unregister(B, longest), 0);
	ck_assert_int_eq(cnode_unregister(B, longest), CNODE_ENOENT);
	char *names;
	size_t count;
	ck_assert_int_eq(cn_procs_names(W.procs, &names, &count), 0);
	ck_assert_uint_eq(count, 1);
	ck_assert_str_eq(names, "a");
	cn_free(names);
	hand_exit(A, "normal");
	A = NULL;
	ck_assert_int_eq(cn_procs_whereis(W.procs, "a", &pid), CNODE_ENOENT);
	ck_assert_int_eq(cnode_register(B, "a"), 0);
}
END_TEST

START_TEST(a_thousand_names_are_found)
{
	enum { N = 1000 };
	struct cnode_process *p[N];
	char name[16];
	for (int i = 0; i < N; i++) {
		snprintf(name, sizeof name, "n%d", i);
		p[i] = hand(name);
		ck_assert_ptr_nonnull(p[i]);
	}
	for (int i = 0; i < N; i++) {
		cnode_pid pid;
		snprintf(name, sizeof name, "n%d", i);
		ck_assert_int_eq(cn_procs_whereis(W.procs, name, &pid), 0);
		ck_assert(cnode_pid_equal(pid, cnode_self(p[i])));
		if (i % 2)
			hand_exit(p[i], "normal");
	}
	cnode_pid *pids;
	size_t count;
	ck_assert_int_eq(cn_procs_list(W.procs, &pids, &count), 0);
	ck_assert_uint_eq(count, 2 + N / 2);
	cn_free(pids);
	for (int i = 0; i < N; i += 2)
		hand_exit(p[i], "normal");
}
END_TEST

static void to_alias(cnode_ref ref, const char *text)
{
	deliver_term(FROM_PEER(MESSAGE, remote(9), (cnode_pid){ 0 }, .alias = &ref), text);
}

START_TEST(aliases_work_until_they_end)
{
	cnode_ref lasting, once, none;
	ck_assert_int_eq(cnode_alias(A, 0, &lasting), 0);
	ck_assert_int_eq(cnode_alias(A, CNODE_ALIAS_REPLY, &once), 0);
	cnode_make_ref(A, &none);
	to_alias(lasting, "one");
	to_alias(lasting, "two");
	to_alias(once, "three");
	to_alias(once, "lost");
	to_alias(none, "lost");
	cnode_send_alias(B, lasting, "local");
	cnode_ref foreign = remote_ref(1), wrong = lasting;
	wrong.creation--;
	to_alias(wrong, "lost");
	cnode_send_alias(B, foreign, "away");
	ck_assert_str_eq(sent(), "MESSAGE 2 -> alias away");
	ck_assert_int_eq(cnode_unalias(A, lasting), 0);
	ck_assert_int_eq(cnode_unalias(A, lasting), CNODE_ENOENT);
	ck_assert_int_eq(cnode_unalias(A, once), CNODE_ENOENT);
	to_alias(lasting, "lost");
	ck_assert_str_eq(got(A), "one");
	ck_assert_str_eq(got(A), "two");
	ck_assert_str_eq(got(A), "three");
	ck_assert_str_eq(got(A), "local");
	ck_assert_str_eq(got(A), "");
}
END_TEST

START_TEST(monitor_aliases_end_as_asked)
{
	struct cn_target to = { .pid = remote(9) }, local = { .pid = PB };
	cnode_ref ref;
	/* reply_demonitor: the first message ends both, and the peer hears so. */
	cn_process_monitor(A, &to, CN_ALIAS_REPLY, &ref);
	to_alias(ref, "reply");
	ck_assert_str_eq(sent(), "MONITOR 1 -> 9; DEMONITOR 1 -> 9");
	to_alias(ref, "late");
	deliver_term(FROM_PEER(DOWN, remote(9), PA, .ref = ref), "boom");
	ck_assert_str_eq(got(A), "reply");
	ck_assert_str_eq(got(A), "");
	/* demonitor: the DOWN ends the alias. */
	cn_process_monitor(A, &to, CN_ALIAS_DEMONITOR, &ref);
	to_alias(ref, "one");
	to_alias(ref, "two");
	deliver_term(FROM_PEER(DOWN, remote(9), PA, .ref = ref), "boom");
	to_alias(ref, "late");
	ck_assert_str_eq(got(A), "one");
	ck_assert_str_eq(got(A), "two");
	ck_assert_str_eq(got(A), "DOWN 9 boom");
	ck_assert_str_eq(got(A), "");
	/* explicit_unalias: it outlives the DOWN. */
	cn_process_monitor(A, &to, CN_ALIAS_EXPLICIT, &ref);
	deliver_term(FROM_PEER(DOWN, remote(9), PA, .ref = ref), "boom");
	to_alias(ref, "still");
	ck_assert_str_eq(got(A), "DOWN 9 boom");
	ck_assert_str_eq(got(A), "still");
	ck_assert_int_eq(cnode_unalias(A, ref), 0);
	/* unalias leaves the monitor. */
	cn_process_monitor(A, &to, CN_ALIAS_REPLY, &ref);
	ck_assert_int_eq(cnode_unalias(A, ref), 0);
	to_alias(ref, "lost");
	deliver_term(FROM_PEER(DOWN, remote(9), PA, .ref = ref), "boom");
	ck_assert_str_eq(got(A), "DOWN 9 boom");
	/* A local process is told in the same way. */
	cn_process_monitor(A, &local, CN_ALIAS_REPLY, &ref);
	cnode_send_alias(B, ref, "reply");
	struct cn_process_info info;
	cn_procs_info(W.procs, PB, &info);
	ck_assert_uint_eq(info.monitored_by, 0);
	ck_assert_str_eq(got(A), "reply");
}
END_TEST

START_TEST(group_leader_changes_from_outside)
{
	ck_assert(cnode_pid_equal(cnode_group_leader(A), PA));
	struct cn_signal sig = FROM_PEER(GROUP_LEADER, remote(9), PA, .leader = remote(33));
	deliver(&sig);
	ck_assert(cnode_pid_equal(cnode_group_leader(A), remote(33)));
}
END_TEST

START_TEST(receives_by_choice_and_keeps_the_order)
{
	for (int i = 0; i < 5; i++)
		cnode_send(B, PA, "~i", i);
	cnode_ref ref;
	cnode_monitor(A, missing(), &ref);
	ck_assert_int_eq(cnode_demonitor(A, ref, CNODE_FLUSH), 0);
	struct cn_message *first = cn_process_receive(A, NULL, NULL), *second = cn_process_receive(A, NULL, NULL);
	const struct cn_message *peek = cn_process_peek(A, NULL, NULL);
	ck_assert_ptr_nonnull(peek);
	first->next = second;
	cn_process_unreceive(A, first);
	for (int i = 0; i < 5; i++) {
		char text[16];
		snprintf(text, sizeof text, "%d", i);
		ck_assert_str_eq(got(A), text);
	}
	ck_assert_str_eq(got(A), "");
	cnode_send(B, PA, "again");
	ck_assert_str_eq(got(A), "again");
}
END_TEST

/* ---- limits ---- */

START_TEST(a_mailbox_over_its_limit_kills_its_process)
{
	struct cn_procs_config config = { .max_mailbox = 100000, .max_processes = 2 };
	ck_assert_int_eq(world_open(&config), 0);
	struct cnode_process *p = hand(NULL), *q = hand(NULL);
	ck_assert_ptr_nonnull(q);
	ck_assert_ptr_null(hand(NULL));
	struct cn_signal link = FROM_PEER(LINK, remote(9), cnode_self(p));
	deliver(&link);
	static char big[9000];
	int n = 0;
	while (cn_procs_is_alive(W.procs, cnode_self(p))) {
		ck_assert_int_eq(cnode_send(q, cnode_self(p), "~b", big, sizeof big), 0);
		ck_assert_int_lt(++n, 20);
	}
	ck_assert_int_ge(n, 11);
	ck_assert_str_eq(sent(), "EXIT 1 -> 9 mailbox_overflow");
	hand_exit(p, "normal");
	p = hand(NULL);
	/* What is read does not count. */
	for (int i = 0; i < 100; i++) {
		cnode_send(q, cnode_self(p), "~b", big, sizeof big);
		cn_message_free(p, cn_process_receive(p, NULL, NULL));
	}
	ck_assert(cn_procs_is_alive(W.procs, cnode_self(p)));
	hand_exit(p, "normal");
	hand_exit(q, "normal");
	world_close();
}
END_TEST

START_TEST(ids_fit_the_oldest_peer_unless_told_otherwise)
{
	for (int wide = 0; wide < 2; wide++) {
		struct cn_procs_config config = { .wide_ids = wide };
		ck_assert_int_eq(world_open(&config), 0);
		struct cnode_process *keep = hand(NULL);
		uint32_t id = 0;
		for (int i = 0; i < 70000; i++) {
			struct cnode_process *p = hand(NULL);
			cnode_pid pid = cnode_self(p);
			ck_assert(!cnode_pid_equal(pid, cnode_self(keep)));
			ck_assert_uint_eq(pid.creation, 77);
			if (!wide) {
				ck_assert_uint_lt(pid.id, 1 << 15);
				ck_assert_uint_lt(pid.serial, 1 << 13);
			}
			id = pid.id > id ? pid.id : id;
			cnode_ref ref;
			cnode_make_ref(p, &ref);
			ck_assert_uint_eq(ref.words, 3);
			ck_assert_uint_lt(ref.id[0], 1 << 18);
			hand_exit(p, "normal");
		}
		ck_assert(wide ? id > 1 << 15 : id == (1 << 15) - 1);
		cnode_ref own = cn_procs_make_ref(W.procs), next = cn_procs_make_ref(W.procs);
		ck_assert(!cnode_ref_equal(own, next));
		cnode_pid odd = cnode_self(keep);
		odd.serial = 1 << 20;
		ck_assert(!cn_procs_is_alive(W.procs, odd));
		hand_exit(keep, "normal");
		world_close();
	}
}
END_TEST

START_TEST(remote_relations_of_one_process_are_limited)
{
	atomic_store(&W.drop, true);
	int rc = 0;
	uint32_t n = 0;
	while (rc == 0 && n <= CN_MAX_RELATIONS) {
		struct cn_signal monitor = FROM_PEER(MONITOR, remote(9), PA, .ref = remote_ref(n));
		rc = deliver(&monitor);
		n++;
	}
	ck_assert_int_eq(rc, CNODE_ELIMIT);
	ck_assert_uint_eq(n, CN_MAX_RELATIONS + 1);
	ck_assert(cn_procs_nodedown(W.procs, W.peer, 1, "noconnection", UINT32_MAX));
}
END_TEST

/* ---- without memory ---- */

static void whole_life(void)
{
	if (world_open(NULL) != 0)
		goto close;
	struct cnode_process *p = hand("p"), *q = hand(NULL);
	if (p && q) {
		cnode_ref ref;
		struct cn_signal link = FROM_PEER(LINK, remote(9), cnode_self(p));
		struct cn_signal monitor = FROM_PEER(MONITOR, remote(9), cnode_self(p), .ref = remote_ref(1));
		struct cn_signal unlink = FROM_PEER(UNLINK, remote(8), cnode_self(p), .unlink_id = 3);
		struct cn_target to = { .pid = cnode_self(q) };
		cnode_trap_exit(p, true);
		deliver(&link);
		deliver(&monitor);
		deliver(&unlink);
		deliver_term(FROM_PEER(MESSAGE, remote(9), cnode_self(p)), "hello");
		deliver_term(FROM_PEER(EXIT2, remote(9), cnode_self(p)), "{bad,1}");
		cnode_link(p, cnode_self(q));
		cnode_link(p, remote(7));
		cnode_unlink(p, remote(7));
		cnode_monitor(p, cnode_self(q), &ref);
		cnode_monitor_name(p, "srv", "r@h", &ref);
		cn_process_monitor(p, &to, CN_ALIAS_EXPLICIT, &ref);
		cnode_monitor_node(p, "r@h", true);
		cnode_monitor_nodes(p, CNODE_NODES_HIDDEN, true);
		struct cn_node_event up = { .node = W.peer, .connection_id = 1, .up = true };
		cn_procs_node_event(W.procs, &up);
		cnode_alias(p, 0, &ref);
		cnode_start_timer(p, 0, &ref, "{tick,~i}", 1);
		cn_sched_expire(W.procs, cn_now() + 1, 10);
		cnode_send(q, cnode_self(p), "{x,~q}", (int64_t)1);
		cnode_send(q, remote(4), "{x,~q}", (int64_t)1);
		cnode_exit(q, remote(4), "bad");
		hand_exit(q, "{q,ended}");
		q = NULL;
		cn_procs_nodedown(W.procs, W.peer, 1, "noconnection", 100);
		struct cn_message *m;
		while ((m = cn_process_receive(p, NULL, NULL))) {
			cnode_term t;
			if (cn_message_term(m, &t) == 0)
				cnode_term_drop(t);
			cn_message_free(p, m);
		}
		cnode_pid *pids;
		size_t count;
		char *names;
		if (cn_procs_list(W.procs, &pids, &count) == 0)
			cn_free(pids);
		if (cn_procs_names(W.procs, &names, &count) == 0)
			cn_free(names);
	}
	if (p)
		hand_exit(p, "normal");
	if (q)
		hand_exit(q, "normal");
close:
	if (W.procs)
		ck_assert_uint_eq(cn_procs_count(W.procs), 0);
	world_close();
}

START_TEST(every_failed_allocation_is_survived)
{
	alloc_fail_each(whole_life);
}
END_TEST

START_TEST(what_could_not_be_queued_is_said)
{
	static const cnode_allocator failing = { alloc_fail_malloc, alloc_fail_realloc, free };
	cnode_term hello = text_term("hello");
	struct cn_signal message = FROM_PEER(MESSAGE, remote(9), PA, .term = hello);
	struct cn_signal link = FROM_PEER(LINK, remote(9), PA);
	atomic_store(&alloc_fail_left, 1);
	atomic_store(&alloc_fail_rest, 1);
	cnode_allocator_set(&failing);
	int rc1 = deliver(&message), rc2 = deliver(&link);
	cnode_allocator_set(NULL);
	ck_assert_int_eq(rc1, CNODE_ENOMEM);
	ck_assert_int_eq(rc2, CNODE_ENOMEM);
	cnode_term_drop(hello);
}
END_TEST

START_TEST(who_cannot_be_told_of_a_node_is_killed)
{
	static const cnode_allocator failing = { alloc_fail_malloc, alloc_fail_realloc, free };
	struct cn_node_event up = { .node = W.peer, .connection_id = 1, .up = true };
	ck_assert_int_eq(cnode_monitor_nodes(B, CNODE_NODES_HIDDEN, true), 0);
	ck_assert_int_eq(cnode_link(A, PB), 0);
	cnode_trap_exit(A, true);
	atomic_store(&alloc_fail_left, 1);
	atomic_store(&alloc_fail_rest, 1);
	cnode_allocator_set(&failing);
	cn_procs_node_event(W.procs, &up);
	cnode_allocator_set(NULL);
	char expected[32];
	snprintf(expected, sizeof expected, "EXIT %u enomem", PB.id);
	ck_assert_str_eq(got(A), expected);
}
END_TEST

/* A refused LINK leaves nothing: the connection is what ends. */
START_TEST(a_link_that_cannot_leave_is_an_error_and_no_link)
{
	atomic_store(&W.answer, CNODE_ENOMEM);
	cnode_ref ref;
	ck_assert_int_eq(cnode_link(A, remote(9)), CNODE_ENOMEM);
	ck_assert_int_eq(cnode_monitor(A, remote(9), &ref), CNODE_ENOMEM);
	struct cn_process_info info;
	cn_procs_info(W.procs, PA, &info);
	ck_assert_uint_eq(info.links + info.monitors, 0);
}
END_TEST

/* ---- timers ---- */

START_TEST(timers_fire_in_order_and_only_while_wanted)
{
	cnode_ref r[4];
	cnode_start_timer(A, 30, &r[0], "third");
	ck_assert_int_eq(atomic_load(&W.dues), 1);
	cnode_start_timer(A, 10, &r[1], "first");
	ck_assert_int_eq(atomic_load(&W.dues), 2);
	cnode_start_timer(A, 20, &r[2], "second");
	cnode_start_timer(B, 5, &r[3], "gone");
	ck_assert_int_eq(atomic_load(&W.dues), 3);
	uint64_t now = cn_now();
	ck_assert_uint_le(cn_sched_due(W.procs), now + 5 * CN_NS_PER_MS);
	hand_exit(B, "normal");
	B = hand(NULL);
	ck_assert_uint_gt(cn_sched_due(W.procs), now + 5 * CN_NS_PER_MS);
	ck_assert(cn_sched_expire(W.procs, now, 10));
	ck_assert_str_eq(got(A), "");
	ck_assert(!cn_sched_expire(W.procs, now + 25 * CN_NS_PER_MS, 1));
	ck_assert(cn_sched_expire(W.procs, now + 25 * CN_NS_PER_MS, 5));
	ck_assert_str_eq(got(A), "timer first");
	ck_assert_str_eq(got(A), "timer second");
	ck_assert_int_eq(cnode_cancel_timer(A, r[0]), 0);
	ck_assert_int_eq(cnode_cancel_timer(A, r[0]), CNODE_ENOENT);
	ck_assert_int_eq(cnode_cancel_timer(A, r[1]), CNODE_ENOENT);
	ck_assert(cn_sched_expire(W.procs, CN_NEVER - 1, 5));
	ck_assert_str_eq(got(A), "");
	ck_assert_uint_eq(cn_sched_due(W.procs), CN_NEVER);
	ck_assert_int_eq(cnode_start_timer(A, UINT64_MAX, &r[0], "never"), 0);
	ck_assert(cn_sched_expire(W.procs, cn_now() + 1000 * CN_NS_PER_S, 5));
	ck_assert_str_eq(got(A), "");
}
END_TEST

START_TEST(a_thousand_timers_fire_by_their_time)
{
	cnode_ref ref;
	uint64_t now = cn_now();
	uint32_t x = 1;
	for (int i = 0; i < 1000; i++) {
		x = x * 1664525 + 1013904223;
		ck_assert_int_eq(cnode_start_timer(A, x % 50000, &ref, "~i", (int)(x % 50000)), 0);
		if (i % 3 == 0)
			cnode_cancel_timer(A, ref);
	}
	int spent = (int)((cn_now() - now) / CN_NS_PER_MS) + 1;
	ck_assert(cn_sched_expire(W.procs, now + 100 * CN_NS_PER_S, 2000));
	int last = -1, n = 0;
	for (const char *t; *(t = got(A)); n++) {
		int ms = atoi(t + 6);
		ck_assert_int_ge(ms, last - spent);     /* they were started one after the other */
		last = ms > last ? ms : last;
	}
	ck_assert_int_eq(n, 666);
}
END_TEST

/* ---- messages as a BEAM process would see them ---- */

static void check_term(const char *wanted)
{
	struct cn_message *m = cn_process_receive(A, NULL, NULL);
	ck_assert_ptr_nonnull(m);
	cnode_term t;
	ck_assert_int_eq(cn_message_term(m, &t), 0);
	char *text = cnode_term_text(t);
	ck_assert_str_eq(text, wanted);
	cnode_free(text);
	cnode_term_drop(t);
	cn_message_free(A, m);
}

START_TEST(messages_have_the_terms_of_the_beam)
{
	cnode_ref ref;
	char down[128];
	cnode_trap_exit(A, true);
	cnode_link(A, remote(9));
	deliver_term(FROM_PEER(EXIT, remote(9), PA), "boom");
	check_term("{'EXIT',<r@h.9.0>,boom}");
	cnode_monitor_name(A, "srv", "r@h", &ref);
	deliver_term(FROM_PEER(DOWN, (cnode_pid){ 0 }, PA, .from_name = "srv", .ref = ref), "{shutdown,1}");
	snprintf(down, sizeof down, "{'DOWN',#Ref<me@h.%u.%u.%u>,process,{srv,r@h},{shutdown,1}}", ref.id[2], ref.id[1], ref.id[0]);
	check_term(down);
	cnode_monitor(A, remote(9), &ref);
	deliver_term(FROM_PEER(DOWN, remote(9), PA, .ref = ref), "noproc");
	snprintf(down, sizeof down, "{'DOWN',#Ref<me@h.%u.%u.%u>,process,<r@h.9.0>,noproc}", ref.id[2], ref.id[1], ref.id[0]);
	check_term(down);
	cnode_monitor_node(A, "r@h", true);
	cn_procs_nodedown(W.procs, W.peer, 1, "noconnection", 100);
	check_term("{nodedown,r@h}");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("proc");
	TCase *t = tcase_create("local");
	tcase_add_checked_fixture(t, setup_two, teardown_two);
	tcase_add_test(t, local_links_carry_exits_both_ways);
	tcase_add_test(t, local_monitors_fire_once);
	tcase_add_test(t, dying_watcher_leaves_nothing_behind);
	tcase_add_test(t, a_chain_of_20000_links_dies_without_recursion);
	tcase_add_test(t, messages_reach_pids_and_names_and_no_others);
	tcase_add_test(t, a_message_that_came_in_reaches_several_and_stays_as_long_as_any_wants_it);
	tcase_add_test(t, names_are_one_for_each_process_and_go_with_it);
	tcase_add_test(t, a_thousand_names_are_found);
	tcase_add_test(t, aliases_work_until_they_end);
	tcase_add_test(t, monitor_aliases_end_as_asked);
	tcase_add_test(t, group_leader_changes_from_outside);
	tcase_add_test(t, receives_by_choice_and_keeps_the_order);
	tcase_add_test(t, remote_relations_of_one_process_are_limited);
	tcase_add_test(t, what_could_not_be_queued_is_said);
	tcase_add_test(t, who_cannot_be_told_of_a_node_is_killed);
	tcase_add_test(t, a_link_that_cannot_leave_is_an_error_and_no_link);
	tcase_add_test(t, timers_fire_in_order_and_only_while_wanted);
	tcase_add_test(t, a_thousand_timers_fire_by_their_time);
	tcase_add_test(t, messages_have_the_terms_of_the_beam);
	suite_add_tcase(s, t);
	t = tcase_create("limits");
	tap_one_thread(t);
	tcase_add_test(t, a_mailbox_over_its_limit_kills_its_process);
	tcase_add_test(t, ids_fit_the_oldest_peer_unless_told_otherwise);
	tcase_add_test(t, every_failed_allocation_is_survived);
	suite_add_tcase(s, t);
	return tap_run(s);
}
