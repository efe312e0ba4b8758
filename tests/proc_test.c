/* SPDX-License-Identifier: Apache-2.0 */
/* proc against a peer that is a list of signals: what BEAM nodes would see, signal by signal. */
#include "tests/tap.h"
#include "tests/proc_world.h"
#include "compat/compat.h"

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

/* ---- links with a peer ---- */

START_TEST(answers_link_to_missing_or_stale_process_with_noproc)
{
	struct cn_signal sig = FROM_PEER(LINK, remote(9), missing());
	ck_assert_int_eq(deliver(&sig), 0);
	ck_assert_str_eq(sent(), "EXIT 30000 -> 9 noproc");
	sig.to = stale(PA);
	ck_assert_int_eq(deliver(&sig), 0);
	ck_assert_str_eq(sent(), "EXIT 1 -> 9 noproc");
}
END_TEST

START_TEST(sends_one_exit_for_a_link_with_any_reason)
{
	struct cn_signal sig = FROM_PEER(LINK, remote(9), PA);
	deliver(&sig);
	deliver(&sig);
	sig.to = PB;
	deliver(&sig);
	ck_assert_str_eq(sent(), "");
	hand_exit(A, "normal");
	hand_exit(B, "{bad,thing}");
	ck_assert_str_eq(sent(), "EXIT 1 -> 9 normal; EXIT 2 -> 9 {bad,thing}");
	A = B = NULL;
}
END_TEST

START_TEST(exit_of_a_link_kills_unless_normal_or_trapped)
{
	struct cn_signal link = FROM_PEER(LINK, remote(9), PA);
	deliver(&link);
	deliver_term(FROM_PEER(EXIT, remote(9), PA), "normal");
	ck_assert(cn_procs_is_alive(W.procs, PA));
	/* The link is gone: the next one is for nobody. */
	deliver_term(FROM_PEER(EXIT, remote(9), PA), "boom");
	ck_assert(cn_procs_is_alive(W.procs, PA));
	cnode_trap_exit(A, true);
	deliver(&link);
	deliver_term(FROM_PEER(EXIT, remote(9), PA), "kill");
	ck_assert_str_eq(got(A), "EXIT 9 kill");
	deliver(&link);
	deliver_term(FROM_PEER(EXIT, remote(9), PA), "normal");
	ck_assert_str_eq(got(A), "EXIT 9 normal");
	cnode_trap_exit(A, false);
	deliver(&link);
	cnode_link(A, PB);
	deliver_term(FROM_PEER(EXIT, remote(9), PA), "boom");
	ck_assert(!cn_procs_is_alive(W.procs, PA));
	ck_assert(!cn_procs_is_alive(W.procs, PB));
	ck_assert(cnode_cancelled(A));
	ck_assert_int_eq(cnode_send(A, remote(1), "x"), CNODE_EEXITED);
	ck_assert_str_eq(sent(), "");
}
END_TEST

START_TEST(exit2_obeys_kill_normal_and_traps)
{
	deliver_term(FROM_PEER(EXIT2, remote(9), PA), "normal");
	ck_assert(cn_procs_is_alive(W.procs, PA));
	cnode_trap_exit(A, true);
	deliver_term(FROM_PEER(EXIT2, remote(9), PA), "normal");
	ck_assert_str_eq(got(A), "EXIT 9 normal");
	deliver_term(FROM_PEER(EXIT2, remote(9), PA), "shutdown");
	ck_assert_str_eq(got(A), "EXIT 9 shutdown");
	struct cn_signal link = FROM_PEER(LINK, remote(8), PA);
	deliver(&link);
	deliver_term(FROM_PEER(EXIT2, remote(9), PA), "kill");
	ck_assert_str_eq(sent(), "EXIT 1 -> 8 killed");
	deliver_term(FROM_PEER(EXIT2, remote(9), stale(PB)), "kill");
	ck_assert(cn_procs_is_alive(W.procs, PB));
	ck_assert_int_eq(cnode_exit(B, PB, "normal"), 0);
	ck_assert(!cn_procs_is_alive(W.procs, PB));
}
END_TEST

START_TEST(exit2_reaches_names_and_active_aliases)
{
	cnode_ref alias;
	cnode_trap_exit(A, true);
	cnode_alias(A, CNODE_ALIAS_REPLY, &alias);
	deliver_term(FROM_PEER(EXIT2, remote(9), (cnode_pid){ 0 }, .to_name = "a"), "by_name");
	deliver_term(FROM_PEER(EXIT2, remote(9), (cnode_pid){ 0 }, .to_name = "nobody"), "lost");
	deliver_term(FROM_PEER(EXIT2, remote(9), (cnode_pid){ 0 }, .alias = &alias), "by_alias");
	cnode_unalias(A, alias);
	deliver_term(FROM_PEER(EXIT2, remote(9), (cnode_pid){ 0 }, .alias = &alias), "lost");
	deliver_term(FROM_PEER(EXIT2, remote(9), (cnode_pid){ 0 }), "lost");
	ck_assert_str_eq(got(A), "EXIT 9 by_name");
	ck_assert_str_eq(got(A), "EXIT 9 by_alias");
	ck_assert_str_eq(got(A), "");
}
END_TEST

START_TEST(acks_every_unlink_that_has_an_id)
{
	struct cn_signal link = FROM_PEER(LINK, remote(9), PA);
	struct cn_signal unlink = FROM_PEER(UNLINK, remote(9), PA, .unlink_id = 41);
	deliver(&link);
	deliver(&unlink);
	ck_assert_str_eq(sent(), "UNLINK_ACK 1 -> 9 #41");
	deliver(&unlink);
	ck_assert_str_eq(sent(), "UNLINK_ACK 1 -> 9 #41");
	unlink.to = missing();
	deliver(&unlink);
	ck_assert_str_eq(sent(), "UNLINK_ACK 30000 -> 9 #41");
	unlink.to = PA;
	unlink.unlink_id = 0;
	deliver(&link);
	deliver(&unlink);
	ck_assert_str_eq(sent(), "");
	hand_exit(A, "boom");
	A = NULL;
	ck_assert_str_eq(sent(), "");
}
END_TEST

START_TEST(own_unlink_hears_nothing_more_until_acked)
{
	ck_assert_int_eq(cnode_link(A, remote(9)), 0);
	ck_assert_int_eq(cnode_link(A, remote(9)), 0);
	ck_assert_str_eq(sent(), "LINK 1 -> 9");
	ck_assert_int_eq(cnode_unlink(A, remote(9)), 0);
	ck_assert_int_eq(cnode_unlink(A, remote(9)), 0);
	ck_assert_str_eq(sent(), "UNLINK 1 -> 9 #1");
	/* Crossing: the peer's EXIT and LINK are for the old link. */
	deliver_term(FROM_PEER(EXIT, remote(9), PA), "boom");
	struct cn_signal link = FROM_PEER(LINK, remote(9), PA);
	deliver(&link);
	ck_assert(cn_procs_is_alive(W.procs, PA));
	struct cn_signal ack = FROM_PEER(UNLINK_ACK, remote(9), PA, .unlink_id = 7);
	deliver(&ack);          /* not this one */
	deliver(&link);
	deliver_term(FROM_PEER(EXIT, remote(9), PA), "boom");
	ck_assert(cn_procs_is_alive(W.procs, PA));
	ack.unlink_id = 1;
	deliver(&ack);
	deliver(&link);         /* now it is a new link */
	deliver_term(FROM_PEER(EXIT, remote(9), PA), "boom");
	ck_assert(!cn_procs_is_alive(W.procs, PA));
}
END_TEST

START_TEST(relinks_before_the_ack_with_a_new_link)
{
	cnode_link(A, remote(9));
	cnode_unlink(A, remote(9));
	ck_assert_int_eq(cnode_link(A, remote(9)), 0);
	ck_assert_str_eq(sent(), "LINK 1 -> 9; UNLINK 1 -> 9 #1; LINK 1 -> 9");
	struct cn_signal ack = FROM_PEER(UNLINK_ACK, remote(9), PA, .unlink_id = 1);
	deliver(&ack);
	cnode_unlink(A, remote(9));
	ck_assert_str_eq(sent(), "UNLINK 1 -> 9 #2");
	deliver(&ack);
	ack.unlink_id = 2;
	deliver(&ack);
	struct cn_process_info info;
	cn_procs_info(W.procs, PA, &info);
	ck_assert_uint_eq(info.links, 0);
}
END_TEST

START_TEST(old_unlink_without_ack_ends_the_link_at_once)
{
	cnode_link(A, remote(9));
	atomic_store(&W.answer, CN_UNACKED);
	ck_assert_int_eq(cnode_unlink(A, remote(9)), 0);
	struct cn_process_info info;
	cn_procs_info(W.procs, PA, &info);
	ck_assert_uint_eq(info.links, 0);
}
END_TEST

/* While A is inside the send of a message, the peer unlinks, and A links again. */
static void unlink_in_send(struct world *w, const struct cn_signal *sig)
{
	if (sig->kind != CN_SIG_MESSAGE)
		return;
	w->hook = NULL;
	struct cn_signal unlink = FROM_PEER(UNLINK, remote(9), PA, .unlink_id = 5);
	cn_procs_deliver(w->procs, &unlink);
}
START_TEST(ack_waits_for_a_send_under_way)
{
	cnode_link(A, remote(9));
	sent();
	W.hook = unlink_in_send;
	cnode_send(A, remote(9), "hello");
	ck_assert_str_eq(sent(), "MESSAGE 1 -> 9 hello; UNLINK_ACK 1 -> 9 #5");
}
END_TEST

static void kill_in_send(struct world *w, const struct cn_signal *sig)
{
	if (sig->kind != CN_SIG_MESSAGE)
		return;
	w->hook = NULL;
	deliver_term(FROM_PEER(EXIT2, remote(9), PA), "kill");
	ck_assert(!cn_procs_is_alive(w->procs, PA));
	cnode_pid pid;
	ck_assert_int_eq(cn_procs_whereis(w->procs, "a", &pid), CNODE_ENOENT);
	ck_assert_uint_eq(w->count, 0);
}
START_TEST(exit_does_not_overtake_the_send_that_a_kill_hits)
{
	struct cn_signal link = FROM_PEER(LINK, remote(9), PA);
	struct cn_signal monitor = FROM_PEER(MONITOR, remote(9), PA, .ref = remote_ref(1));
	deliver(&link);
	deliver(&monitor);
	W.hook = kill_in_send;
	ck_assert_int_eq(cnode_send(A, remote(9), "last"), 0);
	ck_assert_str_eq(sent(), "MESSAGE 1 -> 9 last; EXIT 1 -> 9 killed; DOWN 1 -> 9 killed");
	ck_assert_int_eq(cnode_send(A, remote(9), "more"), CNODE_EEXITED);
	ck_assert_int_eq(cnode_link(A, remote(8)), CNODE_EEXITED);
	ck_assert_int_eq(cnode_register(A, "again"), CNODE_EEXITED);
	ck_assert_str_eq(sent(), "");
}
END_TEST

/* ---- monitors with a peer ---- */

START_TEST(answers_monitor_of_missing_stale_or_unregistered_with_noproc)
{
	struct cn_signal sig = FROM_PEER(MONITOR, remote(9), missing(), .ref = remote_ref(1));
	deliver(&sig);
	sig.to = stale(PA);
	deliver(&sig);
	sig.to = (cnode_pid){ 0 };
	sig.to_name = "nobody";
	deliver(&sig);
	ck_assert_str_eq(sent(), "DOWN 30000 -> 9 noproc; DOWN 1 -> 9 noproc; DOWN nobody -> 9 noproc");
}
END_TEST

START_TEST(sends_one_down_for_each_monitor_after_the_exit)
{
	struct cn_signal monitor = FROM_PEER(MONITOR, remote(9), PA, .ref = remote_ref(1));
	deliver(&monitor);
	monitor.to = (cnode_pid){ 0 };
	monitor.to_name = "a";
	monitor.ref = remote_ref(2);
	deliver(&monitor);
	monitor.ref = remote_ref(3);
	deliver(&monitor);
	struct cn_signal demonitor = FROM_PEER(DEMONITOR, remote(9), (cnode_pid){ 0 }, .to_name = "a", .ref = remote_ref(2));
	deliver(&demonitor);
	deliver(&demonitor);
	demonitor.from = remote(8);     /* not his */
	demonitor.ref = remote_ref(3);
	deliver(&demonitor);
	struct cn_signal link = FROM_PEER(LINK, remote(9), PA);
	deliver(&link);
	hand_exit(A, "boom");
	A = NULL;
	const char *s = sent();
	ck_assert_ptr_eq(strstr(s, "EXIT 1 -> 9 boom"), s);
	ck_assert(strstr(s, "DOWN 1 -> 9 boom"));
	ck_assert(strstr(s, "DOWN a -> 9 boom"));
	ck_assert_uint_eq(strlen(s), strlen("EXIT 1 -> 9 boom; DOWN a -> 9 boom; DOWN 1 -> 9 boom"));
}
END_TEST

START_TEST(demonitor_by_name_finds_the_process_that_had_the_name)
{
	ck_assert_int_eq(cnode_unregister(A, "a"), 0);
	struct cn_process_info info;
	for (unsigned holder = 0; holder < 2; holder++) {       /* nobody, or another process, has the name by then */
		ck_assert_int_eq(cnode_register(A, "a"), 0);
		for (uint32_t n = 1; n <= 40; n++) {
			struct cn_signal monitor = FROM_PEER(MONITOR, remote(n % 3 + 1), (cnode_pid){ 0 }, .to_name = "a", .ref = remote_ref(n));
			ck_assert_int_eq(deliver(&monitor), 0);
		}
		ck_assert_int_eq(cnode_unregister(A, "a"), 0);
		if (holder)
			ck_assert_int_eq(cnode_register(B, "a"), 0);
		for (uint32_t n = 1; n <= 40; n++) {
			struct cn_signal demonitor = FROM_PEER(DEMONITOR, remote(n % 3 + 1), (cnode_pid){ 0 }, .to_name = "a", .ref = remote_ref(n));
			if (n == 7)
				demonitor.from = remote(8);     /* not his */
			else if (n == 8)
				demonitor.epoch++;              /* not of this connection */
			ck_assert_int_eq(deliver(&demonitor), 0);
		}
		cn_procs_info(W.procs, PA, &info);
		ck_assert_uint_eq(info.monitored_by, 2);
		for (uint32_t n = 7; n <= 8; n++) {
			struct cn_signal demonitor = FROM_PEER(DEMONITOR, remote(n % 3 + 1), (cnode_pid){ 0 }, .to_name = "b", .ref = remote_ref(n));
			deliver(&demonitor);            /* the name says nothing at all */
		}
		cn_procs_info(W.procs, PA, &info);
		ck_assert_uint_eq(info.monitored_by, 0);
	}
	hand_exit(A, "boom");
	A = NULL;
	ck_assert_str_eq(sent(), "");
}
END_TEST

START_TEST(no_peer_can_take_the_reference_of_another)
{
	cnode_pid thief = { .node = W.other, .id = 66, .creation = 2 };
	struct cn_signal monitor = { .kind = CN_SIG_MONITOR, .from = thief, .to = PA, .node = W.other, .epoch = 1, .ref = remote_ref(1) };
	deliver(&monitor);
	monitor.from = remote(9);
	deliver(&monitor);
	hand_exit(A, "boom");
	A = NULL;
	const char *s = sent();
	ck_assert(strstr(s, "DOWN 1 -> 66 boom"));
	ck_assert(strstr(s, "DOWN 1 -> 9 boom"));
}
END_TEST

START_TEST(own_monitors_fire_once_and_only_from_their_node)
{
	cnode_ref by_pid, by_name;
	ck_assert_int_eq(cnode_monitor(A, remote(9), &by_pid), 0);
	ck_assert_int_eq(cnode_monitor_name(A, "srv", "r@h", &by_name), 0);
	ck_assert_str_eq(sent(), "MONITOR 1 -> 9; MONITOR 1 -> srv");
	struct cn_signal down = FROM_PEER(DOWN, remote(9), PA, .ref = by_pid);
	down.node = W.other;
	deliver_term(down, "lie");
	ck_assert_str_eq(got(A), "");
	down.node = W.peer;
	deliver_term(down, "boom");
	deliver_term(down, "boom");
	ck_assert_str_eq(got(A), "DOWN 9 boom");
	ck_assert_str_eq(got(A), "");
	struct cn_signal named = FROM_PEER(DOWN, (cnode_pid){ 0 }, PA, .from_name = "srv", .ref = by_name);
	deliver_term(named, "noproc");
	ck_assert_str_eq(got(A), "DOWN srv noproc");
}
END_TEST

START_TEST(demonitor_flush_takes_the_down_out)
{
	cnode_ref ref, other;
	cnode_monitor(A, remote(9), &ref);
	cnode_monitor(A, remote(8), &other);
	sent();
	deliver_term(FROM_PEER(DOWN, remote(9), PA, .ref = ref), "boom");
	ck_assert_int_eq(cnode_demonitor(A, ref, CNODE_FLUSH), 0);
	ck_assert_str_eq(got(A), "");
	ck_assert_str_eq(sent(), "");
	ck_assert_int_eq(cnode_demonitor(A, other, 0), 0);
	ck_assert_int_eq(cnode_demonitor(A, other, 0), 0);
	ck_assert_str_eq(sent(), "DEMONITOR 1 -> 8");
	deliver_term(FROM_PEER(DOWN, remote(8), PA, .ref = other), "boom");
	ck_assert_str_eq(got(A), "");
}
END_TEST

START_TEST(a_monitor_made_by_a_spawn_reply_is_like_any_other)
{
	cnode_ref one = cn_procs_make_ref(W.procs), two = cn_procs_make_ref(W.procs);
	ck_assert_int_eq(cn_procs_adopt_monitor(W.procs, PA, remote(9), &one, 1), 0);
	ck_assert_int_eq(cn_procs_adopt_monitor(W.procs, PA, remote(8), &two, 1), 0);
	ck_assert_str_eq(sent(), "");
	deliver_term(FROM_PEER(DOWN, remote(9), PA, .ref = one), "{result,1}");
	ck_assert_str_eq(got(A), "DOWN 9 {result,1}");
	cn_procs_nodedown(W.procs, W.peer, 1, "noconnection", 10);
	ck_assert_str_eq(got(A), "DOWN 8 noconnection");
	ck_assert_int_eq(cn_procs_adopt_monitor(W.procs, missing(), remote(9), &one, 1), 0);
	ck_assert_str_eq(sent(), "DEMONITOR 30000 -> 9");
}
END_TEST

START_TEST(death_ends_own_monitors_at_the_peer)
{
	cnode_ref ref;
	cnode_monitor(A, remote(9), &ref);
	cnode_monitor_name(A, "srv", "r@h", &ref);
	sent();
	hand_exit(A, "normal");
	A = NULL;
	const char *s = sent();
	ck_assert(strstr(s, "DEMONITOR 1 -> 9"));
	ck_assert(strstr(s, "DEMONITOR 1 -> srv"));
}
END_TEST

/* ---- nodes that come and go ---- */

static void node_event(bool up, bool visible, uint64_t id)
{
	struct cn_node_event event = {
		.node = W.peer, .connection_id = id, .visible = visible, .up = up,
		.reason = up ? (cnode_term){ 0 } : cn_term_static("w\12" "disconnect", 12),
	};
	cn_procs_node_event(W.procs, &event);
}

START_TEST(monitor_nodes_tells_of_the_types_that_were_asked_for)
{
	ck_assert_int_eq(cnode_monitor_nodes(A, 0, true), CNODE_EBADARG);
	ck_assert_int_eq(cnode_monitor_nodes(A, 4, true), CNODE_EBADARG);
	ck_assert_int_eq(cnode_monitor_nodes(A, CNODE_NODES_VISIBLE, true), 0);
	ck_assert_int_eq(cnode_monitor_nodes(B, CNODE_NODES_VISIBLE | CNODE_NODES_HIDDEN, true), 0);
	node_event(true, true, 7);
	ck_assert_str_eq(got(A), "nodeup #7");
	ck_assert_str_eq(got(B), "nodeup #7");
	node_event(false, true, 7);
	ck_assert_str_eq(got(A), "nodedown #7 disconnect");
	ck_assert_str_eq(got(B), "nodedown #7 disconnect");
	node_event(true, false, 8);
	ck_assert_str_eq(got(A), "");
	ck_assert_str_eq(got(B), "nodeup #8");
	ck_assert_str_eq(got(B), "");
	ck_assert_int_eq(atomic_load(&W.connects), 0);
}
END_TEST

START_TEST(monitor_nodes_is_counted_and_ended_as_in_otp)
{
	ck_assert_int_eq(cnode_monitor_nodes(A, CNODE_NODES_HIDDEN, false), 0);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(cnode_monitor_nodes(A, CNODE_NODES_VISIBLE, true), 0);
	ck_assert_int_eq(cnode_monitor_nodes(A, CNODE_NODES_VISIBLE | CNODE_NODES_HIDDEN, true), 0);
	node_event(true, true, 3);
	for (int i = 0; i < 4; i++)
		ck_assert_str_eq(got(A), "nodeup #3");
	ck_assert_str_eq(got(A), "");
	/* One call ends all of the same types, and no others. */
	ck_assert_int_eq(cnode_monitor_nodes(A, CNODE_NODES_VISIBLE, false), 0);
	node_event(true, true, 4);
	ck_assert_str_eq(got(A), "nodeup #4");
	ck_assert_str_eq(got(A), "");
	ck_assert_int_eq(cnode_monitor_nodes(B, CNODE_NODES_VISIBLE, true), 0);
	hand_exit(A, "boom");
	A = NULL;
	node_event(true, true, 5);
	ck_assert_str_eq(got(B), "nodeup #5");
	ck_assert_str_eq(got(B), "");
}
END_TEST

START_TEST(monitor_nodes_events_are_the_messages_of_otp)
{
	cnode_term term;
	char text[200];
	ck_assert_int_eq(cnode_monitor_nodes(A, CNODE_NODES_HIDDEN, true), 0);
	node_event(true, false, 9);
	node_event(false, false, 9);
	static const char *const expected[] = {
		"{nodeup,r@h,#{node_type => hidden,connection_id => 9}}",
		"{nodedown,r@h,#{node_type => hidden,connection_id => 9,nodedown_reason => disconnect}}",
	};
	for (size_t i = 0; i < CN_ARRAY_SIZE(expected); i++) {
		struct cn_message *m = cn_process_receive(A, NULL, NULL);
		cnode_term wanted = text_term(expected[i]);
		ck_assert_int_eq(cn_message_term(m, &term), 0);
		cnode_term_print(term, text, sizeof text);
		ck_assert_msg(cnode_term_equal(term, wanted), "%s", text);
		cnode_term_drop(wanted);
		cnode_term_drop(term);
		cn_message_free(A, m);
	}
}
END_TEST

/* ---- the end of a connection ---- */

START_TEST(nodedown_gives_exit_then_down_then_nodedown)
{
	cnode_ref ref;
	cnode_trap_exit(A, true);
	ck_assert_int_eq(cnode_monitor_node(A, "r@h", true), 0);
	ck_assert_int_eq(cnode_monitor_node(A, "r@h", true), 0);
	ck_assert_int_eq(cnode_monitor_node(A, "r@h", true), 0);
	ck_assert_int_eq(cnode_monitor_node(A, "r@h", false), 0);
	ck_assert_int_eq(atomic_load(&W.connects), 3);
	cnode_monitor(A, remote(9), &ref);
	cnode_monitor_name(A, "srv", "r@h", &ref);
	cnode_link(A, remote(9));
	cnode_link(A, remote(8));
	cnode_unlink(A, remote(8));
	struct cn_signal watched = FROM_PEER(MONITOR, remote(9), PA, .ref = remote_ref(1));
	deliver(&watched);
	sent();
	atomic_fetch_add(&W.epoch, 1);
	/* One at a time: the order holds across slices. */
	int rounds = 0;
	while (!cn_procs_nodedown(W.procs, W.peer, 1, "noconnection", 1))
		ck_assert_int_lt(++rounds, 20);
	ck_assert_str_eq(got(A), "EXIT 9 noconnection");
	ck_assert_str_eq(got(A), "DOWN 9 noconnection");
	ck_assert_str_eq(got(A), "DOWN srv noconnection");
	ck_assert_str_eq(got(A), "nodedown");
	ck_assert_str_eq(got(A), "nodedown");
	ck_assert_str_eq(got(A), "");
	ck_assert(cn_procs_nodedown(W.procs, W.peer, 1, "noconnection", 100));
	ck_assert_str_eq(got(A), "");
	hand_exit(A, "boom");
	A = NULL;
	ck_assert_str_eq(sent(), "");
}
END_TEST

START_TEST(nodedown_leaves_later_connections_and_other_nodes_alone)
{
	cnode_ref ref;
	cnode_pid far = { .node = W.other, .id = 4, .creation = 1 };
	cnode_monitor(A, remote(9), &ref);
	cnode_monitor(A, far, &ref);
	atomic_store(&W.epoch, 2);
	cnode_monitor(A, remote(7), &ref);
	ck_assert(cn_procs_nodedown(W.procs, W.peer, 1, "noconnection", 100));
	ck_assert_str_eq(got(A), "DOWN 9 noconnection");
	ck_assert_str_eq(got(A), "");
	ck_assert(cn_procs_nodedown(W.procs, W.peer, 2, "noconnection", 100));
	ck_assert_str_eq(got(A), "DOWN 7 noconnection");
	ck_assert_str_eq(got(A), "");
}
END_TEST

START_TEST(nodedown_kills_linked_processes_and_their_links)
{
	cnode_link(A, remote(9));
	cnode_link(B, PA);
	struct cn_signal link = { .kind = CN_SIG_LINK, .from = { .node = W.other, .id = 4, .creation = 1 }, .to = PB, .node = W.other, .epoch = 1 };
	deliver(&link);
	sent();
	ck_assert(cn_procs_nodedown(W.procs, W.peer, 1, "noconnection", 100));
	ck_assert(!cn_procs_is_alive(W.procs, PA));
	ck_assert(!cn_procs_is_alive(W.procs, PB));
	ck_assert_str_eq(sent(), "EXIT 2 -> 4 noconnection");
}
END_TEST

static void lose_a_node(int many)
{
	cnode_ref ref;
	teardown_two();
	setup_two();
	atomic_store(&W.drop, true);
	for (uint32_t i = 0; i < (uint32_t)many; i++)
		ck_assert_int_eq(cnode_monitor(A, remote(i + 1), &ref), 0);
	while (!cn_procs_nodedown(W.procs, W.peer, 1, "noconnection", 4096))
		;
	size_t n = 0;
	struct cn_message *m;
	while ((m = cn_process_receive(A, NULL, NULL))) {
		ck_assert_int_eq(m->kind, CN_MSG_DOWN);
		cn_message_free(A, m);
		n++;
	}
	ck_assert_uint_eq(n, (size_t)many);
}

START_TEST(a_nodedown_of_100000_monitors_costs_what_it_is)
{
	tap_assert_in_proportion(lose_a_node, 25000);
}
END_TEST

static void share_a_reference(int many)
{
	for (uint32_t i = 0; i < (uint32_t)many; i++) {
		struct cn_signal monitor = FROM_PEER(MONITOR, remote(i + 1), PA, .ref = remote_ref(1));
		ck_assert_int_eq(deliver(&monitor), 0);
	}
	while (!cn_procs_nodedown(W.procs, W.peer, 1, "noconnection", 4096))
		;
}

START_TEST(a_reference_that_many_processes_of_a_peer_share_costs_no_more)
{
	tap_assert_in_proportion(share_a_reference, 5000);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("proc");
	TCase *t = tcase_create("signals");
	tcase_add_checked_fixture(t, setup_two, teardown_two);
	tcase_add_test(t, answers_link_to_missing_or_stale_process_with_noproc);
	tcase_add_test(t, sends_one_exit_for_a_link_with_any_reason);
	tcase_add_test(t, exit_of_a_link_kills_unless_normal_or_trapped);
	tcase_add_test(t, exit2_obeys_kill_normal_and_traps);
	tcase_add_test(t, exit2_reaches_names_and_active_aliases);
	tcase_add_test(t, acks_every_unlink_that_has_an_id);
	tcase_add_test(t, own_unlink_hears_nothing_more_until_acked);
	tcase_add_test(t, relinks_before_the_ack_with_a_new_link);
	tcase_add_test(t, old_unlink_without_ack_ends_the_link_at_once);
	tcase_add_test(t, ack_waits_for_a_send_under_way);
	tcase_add_test(t, exit_does_not_overtake_the_send_that_a_kill_hits);
	tcase_add_test(t, answers_monitor_of_missing_stale_or_unregistered_with_noproc);
	tcase_add_test(t, sends_one_down_for_each_monitor_after_the_exit);
	tcase_add_test(t, demonitor_by_name_finds_the_process_that_had_the_name);
	tcase_add_test(t, no_peer_can_take_the_reference_of_another);
	tcase_add_test(t, own_monitors_fire_once_and_only_from_their_node);
	tcase_add_test(t, demonitor_flush_takes_the_down_out);
	tcase_add_test(t, a_monitor_made_by_a_spawn_reply_is_like_any_other);
	tcase_add_test(t, death_ends_own_monitors_at_the_peer);
	tcase_add_test(t, monitor_nodes_tells_of_the_types_that_were_asked_for);
	tcase_add_test(t, monitor_nodes_is_counted_and_ended_as_in_otp);
	tcase_add_test(t, monitor_nodes_events_are_the_messages_of_otp);
	tcase_add_test(t, nodedown_gives_exit_then_down_then_nodedown);
	tcase_add_test(t, nodedown_leaves_later_connections_and_other_nodes_alone);
	tcase_add_test(t, nodedown_kills_linked_processes_and_their_links);
	tcase_add_test(t, a_nodedown_of_100000_monitors_costs_what_it_is);
	tcase_add_test(t, a_reference_that_many_processes_of_a_peer_share_costs_no_more);
	suite_add_tcase(s, t);
	return tap_run(s);
}
