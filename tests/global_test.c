/* SPDX-License-Identifier: Apache-2.0 */
/*
 * global: the name server, the locker and the registrar of one node, with frames of BEAM nodes as they were recorded
 * in place of the network. Whole nodes are in global_nodes_test.c; what BEAM nodes make of it is conformance's matter.
 */
#include "tests/global_world.h"

START_TEST(a_session_is_begun_acknowledged_and_finished)
{
	begin_session();
	/* The other has locked his partition: so do we, and say so, and send our names. */
	frame("r1@vm", frame_lock_set_25);
	ck_assert_ptr_nonnull(was_said("{lock_set,<px@vm."));
	ck_assert_ptr_nonnull(was_said(",true,[],-576460752303423484}"));
	ck_assert_ptr_nonnull(was_said("{exchange,px@vm,[],[],-576460752303423484}"));
	ck_assert(locks_global_is_set(G));
	frame("r1@vm", frame_exchange_25);
	ck_assert_ptr_nonnull(was_said("{resolved,px@vm,[],[],unused,[],-576460752303423484}"));
	cnode_pid pid;
	ck_assert(!is_registered("c_notify", &pid));
	/* He knows r2@vm, of which we have not heard: it is dialled. */
	frame("r1@vm", frame_resolved_25);
	ck_assert(is_registered("c_notify", &pid));
	ck_assert_uint_eq(pid.id, 0x63);
	ck_assert(is_registered("c_exit", &pid));
	ck_assert_int_eq(atomic_load(&W.connects) > 0, 1);
	ck_assert(!locks_global_is_set(G));
	tell_server("r1@vm", "{'$gen_call',{~p,~r},get_known}", remote(55), remote_ref(1));
	ck_assert_ptr_nonnull(was_said("[r1@vm,r2@vm]}"));
	ck_assert_ptr_nonnull(was_said("MONITOR pid "));
}
END_TEST

START_TEST(a_third_node_that_cannot_be_reached_is_given_up)
{
	begin_session();
	frame("r1@vm", frame_lock_set_25);
	frame("r1@vm", frame_exchange_25);
	frame("r1@vm", frame_resolved_25);
	cnode_name r2;
	cnode_name_of("r2@vm", &r2);
	ck_assert(cn_procs_nodedown(W.procs, r2, UINT64_MAX, "noconnection", 1000));
	run();
	forget();
	tell_server("r1@vm", "{'$gen_call',{~p,~r},get_known}", remote(55), remote_ref(1));
	ck_assert_ptr_nonnull(was_said("[r1@vm]}"));
}
END_TEST

START_TEST(a_third_node_that_comes_is_told_in_sync)
{
	begin_session();
	frame("r1@vm", frame_lock_set_25);
	frame("r1@vm", frame_exchange_25);
	frame("r1@vm", frame_resolved_25);
	forget();
	event("r2@vm", true);
	ck_assert_ptr_nonnull(was_said("{'$gen_cast',{in_sync,px@vm,overlap_obey}}"));
	ck_assert_ptr_null(was_said("init_connect"));
	frame("r2@vm", frame_in_sync_25);
	tell_server("r2@vm", "{'$gen_call',{~p,~r},get_synced}", remote(55), remote_ref(1));
	ck_assert_ptr_nonnull(was_said("r2@vm"));
}
END_TEST

START_TEST(a_third_node_that_was_let_go_of_while_it_was_dialled_begins_anew)
{
	begin_session();
	frame("r1@vm", frame_lock_set_25);
	frame("r1@vm", frame_exchange_25);
	frame("r1@vm", frame_resolved_25);
	tell_server("r1@vm", "{lost_connection,'r1@vm',1,1,'r2@vm'}");
	forget();
	event("r2@vm", true);
	ck_assert_ptr_null(was_said("in_sync"));
	ck_assert_ptr_nonnull(was_said("{'$gen_cast',{init_connect,{8,"));
	/* It is lost like any other then, and told of again it is dialled again. */
	tell_server("r1@vm", "{'$gen_cast',{new_nodes,'r1@vm',[],[],[{'r2@vm',8}],[]}}");
	tell_server("r1@vm", "{'$gen_call',{~p,~r},get_known}", remote(55), remote_ref(1));
	ck_assert_ptr_nonnull(was_said("[r1@vm,r2@vm]}"));
	event("r2@vm", false);
	tell_server("r1@vm", "{'$gen_cast',{new_nodes,'r1@vm',[],[],[{'r2@vm',8}],[]}}");
	forget();
	event("r2@vm", true);
	ck_assert_ptr_nonnull(was_said("{'$gen_cast',{in_sync,px@vm,overlap_obey}}"));
	ck_assert_ptr_null(was_said("init_connect"));
}
END_TEST

START_TEST(all_forms_of_a_call_are_answered_with_their_tag)
{
	frame("r1@vm", frame_set_lock_25);
	ck_assert_ptr_nonnull(was_said("{{#Ref<r1@vm."));
	ck_assert_ptr_nonnull(was_said(",px@vm},true}"));
	ck_assert_ptr_nonnull(was_said("MONITOR pid"));
	forget();
	/* Another requester; then the first gives it back by ending. */
	frame("o27@vm", frame_set_lock_27);
	ck_assert_ptr_nonnull(was_said("{[[alias|#Ref<o27@vm."));
	ck_assert_ptr_nonnull(was_said(",false}"));
	cnode_name r1;
	cnode_name_of("r1@vm", &r1);
	ck_assert(cn_procs_nodedown(W.procs, r1, UINT64_MAX, "noconnection", 1000));
	run();
	forget();
	frame("o29@vm", frame_set_lock_29);
	ck_assert_ptr_nonnull(was_said("{[[alias|#Ref<o29@vm."));
	ck_assert_ptr_nonnull(was_said(",true}"));
}
END_TEST

START_TEST(a_name_is_registered_only_for_the_holder_of_the_lock)
{
	cnode_pid pid;
	frame("o29@vm", frame_set_lock_29);
	forget();
	frame("r1@vm", frame_register_25);
	ck_assert_ptr_nonnull(was_said(",yes}"));
	ck_assert(!is_registered("n25", &pid));
	frame("o29@vm", frame_register_29);
	ck_assert(is_registered("n29", &pid));
	/* The default method is a local fun: its bytes go on as they came. */
	cnode_term name = term("n29"), method = { 0 };
	ck_assert_int_eq(names_method(G, name, &method), 0);
	ck_assert_int_eq(cnode_term_type(method), CNODE_TYPE_FUN);
	cnode_term_drop(method);
	cnode_term_drop(name);
}
END_TEST

/* As global:unregister_name/1: the cluster is not locked, and nobody asked, for what is not there. */
START_TEST(a_name_that_nobody_has_is_unregistered_without_asking_anybody)
{
	begin_session();
	frame("r1@vm", frame_lock_set_25);
	frame("r1@vm", frame_exchange_25);
	frame("r1@vm", frame_resolved_25);
	ck_assert_uint_ge(looked().nodes, 1);
	struct cnode_process *p = hand(NULL);
	struct cn_target to = { .pid = G->registrar };
	static const char *const unregister[] = { "{unregister,nobodys}", "{unregister,c_notify}" };
	for (int i = 0; i < 2; i++) {
		cnode_ref ref;
		cnode_term request = term(unregister[i]);
		forget();
		ck_assert_int_eq(cn_gen_request(p, &to, "$gen_call", request, &ref), 0);
		run();
		ck_assert((was_said("{set_lock,{global,") != NULL) == (i == 1));
		ck_assert((*got(p) != 0) == (i == 0));
		cn_gen_end(p, ref);
		cnode_term_drop(request);
	}
	hand_exit(p, "normal");
}
END_TEST

/* What visible nodes register is the whole cluster's; a hidden one asks for itself, by rex or as here. */
START_TEST(a_hidden_node_has_no_name_that_the_list_refuses)
{
	cnode_pid pid;
	ck_assert_int_eq(cn_guard_set(guard, CNODE_ACCESS_REGISTER, "n25", "friend@vm"), 0);
	frame("r1@vm", frame_register_25);
	ck_assert_ptr_nonnull(was_said(",not_allowed}"));
	ck_assert(!is_registered("n25", &pid));
	event("r1@vm", true);
	frame("r1@vm", frame_register_25);
	ck_assert_ptr_nonnull(was_said(",yes}"));
	ck_assert(is_registered("n25", &pid));
	forget();
	at("o27@vm");
	tell_server("o27@vm", "{'$gen_call',{~p,~r},{unregister,n25}}", remote(55), remote_ref(1));
	tell_server("o27@vm", "{'$gen_call',{~p,~r},{register_ext,n25,~p,x,'o27@vm'}}", remote(55), remote_ref(2), remote(55));
	ck_assert_uint_eq(said_count, 2);
	ck_assert(strstr(said[0], ",not_allowed}") && strstr(said[1], ",not_allowed}"));
	cnode_pid still;
	ck_assert(is_registered("n25", &still) && cnode_pid_equal(still, pid));
	cnode_refusal_counts counts = CNODE_REFUSAL_COUNTS_INIT;
	cn_guard_counts(guard, &counts);
	ck_assert_uint_eq(counts.registrations, 3);
}
END_TEST

START_TEST(without_a_lock_a_name_is_taken_unless_the_last_holder_was_lost)
{
	cnode_pid pid;
	frame("r1@vm", frame_register_25);
	ck_assert(is_registered("n25", &pid));
	frame("o27@vm", frame_set_lock_27);
	cnode_name node;
	cnode_name_of("o27@vm", &node);
	ck_assert(cn_procs_nodedown(W.procs, node, UINT64_MAX, "noconnection", 1000));
	run();
	frame("o29@vm", frame_register_29);
	ck_assert(!is_registered("n29", &pid));
}
END_TEST

START_TEST(a_name_ends_with_its_process_and_by_unregister)
{
	cnode_pid pid;
	cnode_term name = term("n27");
	struct cnode_process *p = hand(NULL);
	at("o27@vm");
	tell_server("o27@vm", "{'$gen_call',{~p,~r},{register,~t,~p,x}}", remote(55), remote_ref(1), name, cnode_self(p));
	ck_assert(is_registered("n27", &pid));
	ck_assert(cnode_pid_equal(pid, cnode_self(p)));
	frame("o27@vm", frame_unregister_27);
	ck_assert(!is_registered("n27", &pid));
	tell_server("o27@vm", "{'$gen_call',{~p,~r},{register,~t,~p,x}}", remote(55), remote_ref(1), name, cnode_self(p));
	ck_assert(is_registered("n27", &pid));
	hand_exit(p, "done");
	run();
	ck_assert(!is_registered("n27", &pid));
	cnode_term_drop(name);
}
END_TEST

START_TEST(names_are_equal_however_they_were_sent)
{
	static const uint8_t string[] = { 'h', 3, 'w', 5, 't', 'u', 'p', 'l', 'e', 'k', 0, 2, 'a', 'b', 'a', 1 };
	static const uint8_t list[] = { 'h', 3, 's', 5, 't', 'u', 'p', 'l', 'e', 'l', 0, 0, 0, 2, 'a', 'a', 'a', 'b', 'j', 'n', 1, 0, 1 };
	cnode_term a, b;
	cnode_pid pid;
	ck_assert_int_eq(cnode_term_from_bytes(string, sizeof string, &a), 0);
	ck_assert_int_eq(cnode_term_from_bytes(list, sizeof list, &b), 0);
	at("r1@vm");
	tell_server("r1@vm", "{'$gen_call',{~p,~r},{register,~t,~p,x}}", remote(55), remote_ref(1), a, remote(9));
	ck_assert_int_eq(cn_global_whereis(G, b, &pid), 0);
	ck_assert(is_registered("{tuple,\"ab\",1}", &pid));
	ck_assert(!is_registered("{tuple,\"ab\",1.0}", &pid));
	cnode_term_drop(a);
	cnode_term_drop(b);
}
END_TEST

START_TEST(a_call_in_the_name_of_another_node_is_not_obeyed)
{
	cnode_name other;
	cnode_name_of("other@h", &other);
	cnode_pid spoofed = { .node = other, .id = 7, .creation = 5 };
	at("r1@vm");
	tell_server("r1@vm", "{'$gen_call',{~p,~r},{set_lock,{global,x}}}", spoofed, remote_ref(1));
	ck_assert(!locks_global_is_set(G));
	begin_session();
	forget();
	tell_server("o27@vm", "{init_connect_ack,'r1@vm',1,1}");
	tell_server("o27@vm", "{cancel_connect,'r1@vm'," TAG "}");
	tell_server("o27@vm", "{remove_connection,'r1@vm'}");
	tell_server("o27@vm", "{'$gen_cast',{exchange,'r1@vm',[],[]," TAG "}}");
	ck_assert_uint_eq(said_count, 0);
	ck_assert_str_eq(dropped, "");
}
END_TEST

START_TEST(a_session_with_wrong_tags_is_begun_anew_with_another)
{
	begin_session();
	forget();
	tell_server("r1@vm", "{init_connect_ack,'r1@vm',4711,4712}");
	ck_assert_ptr_nonnull(was_said("{cancel_connect,px@vm,4712}"));
	ck_assert_ptr_nonnull(was_said("{init_connect,{8,-576460752303423486}"));
}
END_TEST

/* OTP's sync_other, when global has let go of the node meanwhile. */
START_TEST(a_node_that_says_in_sync_and_goes_on_is_joined_anew)
{
	begin_session();
	forget();
	tell_server("r1@vm", "{'$gen_cast',{in_sync,'r1@vm',true}}");
	frame("r1@vm", frame_lock_set_25);
	ck_assert(!locks_global_is_set(G));
	ck_assert_ptr_null(was_said("init_connect"));
	cn_sched_expire(W.procs, cn_now() + 3 * CN_NS_PER_S, 1000);
	run();
	ck_assert_ptr_nonnull(was_said("{init_connect,{8,-576460752303423486}"));
	/* He begins anew too, and what he had begun is over. */
	frame("r1@vm", frame_init_connect_25);
	ck_assert_ptr_nonnull(was_said("{init_connect_ack,px@vm,-576460752303423484,-576460752303423486}"));
}
END_TEST

START_TEST(a_node_that_says_in_sync_and_becomes_known_is_not_joined_anew)
{
	begin_session();
	event("r2@vm", true);
	tell_server("r2@vm", "{'$gen_cast',{new_nodes,'r2@vm',[],[],[{'r2@vm',8}],[]}}");
	tell_server("r1@vm", "{'$gen_cast',{in_sync,'r1@vm',true}}");
	frame("r1@vm", frame_lock_set_25);
	tell_server("r2@vm", "{'$gen_cast',{new_nodes,'r2@vm',[],[],[{'r1@vm',8}],[]}}");
	forget();
	cn_sched_expire(W.procs, cn_now() + 3 * CN_NS_PER_S, 1000);
	run();
	ck_assert_ptr_null(was_said("init_connect"));
}
END_TEST

START_TEST(a_node_that_stalls_is_disconnected)
{
	begin_session();
	frame("r1@vm", frame_lock_set_25);
	ck_assert(locks_global_is_set(G));
	ck_assert_str_eq(dropped, "");
	cn_sched_expire(W.procs, cn_now() + 61 * CN_NS_PER_S, 1000);
	run();
	ck_assert_str_eq(dropped, "r1@vm ");
	event("r1@vm", false);
	ck_assert(!locks_global_is_set(G));
}
END_TEST

START_TEST(a_node_that_holds_the_lock_and_stalls_is_disconnected)
{
	event("r1@vm", true);
	event("r2@vm", true);
	at("r1@vm");
	tell_server("r1@vm", "{'$gen_call',{~p,~r},{set_lock,{global,me}}}", remote(55), remote_ref(1));
	ck_assert_uint_eq(looked().locks, 1);
	pass(61);
	/* It is asked for something that is answered at once elsewhere; then its time is over. */
	ck_assert_ptr_nonnull(was_said("get_protocol_version}"));
	ck_assert_str_eq(dropped, "");
	pass(61);
	ck_assert_str_eq(dropped, "r1@vm ");
	ck_assert_uint_eq(looked().stalled, 1);
	at("r1@vm");
	ck_assert(cn_procs_nodedown(W.procs, W.peer, UINT64_MAX, "noconnection", 1000));
	event("r1@vm", false);
	ck_assert(!locks_global_is_set(G));
	/* Nobody is asked while nobody has it, or only for a short time. */
	forget();
	at("r2@vm");
	tell_server("r2@vm", "{'$gen_call',{~p,~r},{set_lock,{global,me}}}", remote(55), remote_ref(1));
	tell_server("r2@vm", "{'$gen_call',{~p,~r},{del_lock,{global,me}}}", remote(55), remote_ref(2));
	pass(61);
	pass(61);
	ck_assert_ptr_null(was_said("get_protocol_version}"));
	ck_assert_str_eq(dropped, "r1@vm ");
}
END_TEST

/* The tag of the last call that was made. */
static cnode_ref call_ref;
static void remember_call(struct world *w, const struct cn_signal *sig)
{
	cnode_term tag;
	remember(w, sig);
	if (sig->kind == CN_SIG_MESSAGE && cnode_scan(sig->term, "{'$gen_call',{_,~t},get_protocol_version}", &tag) == 0)
		ck_assert(cnode_scan(tag, "~r", &call_ref) == 0 || cnode_scan(tag, "[alias|~r]", &call_ref) == 0);
}

START_TEST(a_node_that_holds_the_lock_and_answers_is_at_work)
{
	W.hook = remember_call;
	event("r1@vm", true);
	at("r1@vm");
	tell_server("r1@vm", "{'$gen_call',{~p,~r},{set_lock,{global,me}}}", remote(55), remote_ref(1));
	for (int i = 0; i < 3; i++) {
		forget();
		pass(61);
		ck_assert_ptr_nonnull(was_said("get_protocol_version}"));
		cnode_term answer;
		ck_assert_int_eq(cnode_format(&answer, "{~r,8}", call_ref), 0);
		from("r1@vm", 56, G->server, answer);
		cnode_term_drop(answer);
	}
	ck_assert_str_eq(dropped, "");
	ck_assert(locks_global_is_set(G));
}
END_TEST

START_TEST(a_node_whose_own_server_stalls_lets_all_go)
{
	uint64_t now = cn_now();
	ck_assert(!cn_global_stalls(G, now));
	run();
	ck_assert(!cn_global_stalls(G, now + 100 * CN_NS_PER_S));
	/* It does not run any more. */
	ck_assert(!cn_global_stalls(G, now + 159 * CN_NS_PER_S));
	ck_assert_str_eq(dropped, "");
	ck_assert(cn_global_stalls(G, now + 161 * CN_NS_PER_S));
	ck_assert_str_eq(dropped, "all ");
	ck_assert_uint_eq(looked().stalled, 1);
	/* And again: it is well. */
	run();
	ck_assert(!cn_global_stalls(G, now + 162 * CN_NS_PER_S));
	run();
	ck_assert(!cn_global_stalls(G, now + 300 * CN_NS_PER_S));
	ck_assert_str_eq(dropped, "all ");
}
END_TEST

START_TEST(version_5_is_spoken_from_locker_to_locker)
{
	cnode_pid locker;
	event("old@vm", true);
	locker = remote(56);
	tell_server("old@vm", "{'$gen_cast',{init_connect,{5,17},'old@vm',{locker,no_longer_a_pid,[],~p}}}", locker);
	ck_assert_ptr_null(was_said("init_connect_ack"));
	forget();
	cnode_term t;
	ck_assert_int_eq(cnode_format(&t, "{lock_set,~p,true,[]}", locker), 0);
	from("old@vm", 56, G->locker, t);
	cnode_term_drop(t);
	ck_assert_ptr_nonnull(was_said("pid {lock_set,<px@vm."));
	ck_assert_ptr_nonnull(was_said(",true,[]}"));
	ck_assert_ptr_nonnull(was_said("{exchange,px@vm,[],[],17}"));
	tell_server("old@vm", "{'$gen_cast',{exchange,'old@vm',[],[],~q}}", FIRST_TAG);
	ck_assert_ptr_nonnull(was_said("{resolved,px@vm,[],[],unused,[],17}"));
	tell_server("old@vm", "{'$gen_cast',{resolved,'old@vm',[],['third@vm'],['third@vm'],[],~q}}", FIRST_TAG);
	forget();
	tell_server("old@vm", "{'$gen_call',{~p,~r},get_known}", remote(55), remote_ref(1));
	ck_assert_ptr_nonnull(was_said("[old@vm,third@vm]}"));
	ck_assert(!locks_global_is_set(G));
}
END_TEST

START_TEST(a_version_before_5_is_left_alone)
{
	event("old@vm", true);
	forget();
	tell_server("old@vm", "{'$gen_cast',{init_connect,{4,17},'old@vm',{locker,no_longer_a_pid,[],~p}}}", remote(56));
	ck_assert_uint_eq(said_count, 0);
}
END_TEST

START_TEST(a_locker_that_does_not_know_a_session_refuses_it)
{
	cnode_term t;
	event("r1@vm", true);
	forget();
	ck_assert_int_eq(cnode_format(&t, "{lock_set,~p,true,[]}", remote(56)), 0);
	from("r1@vm", 56, G->locker, t);
	cnode_term_drop(t);
	ck_assert_ptr_nonnull(was_said("pid {lock_set,<px@vm."));
	ck_assert_ptr_nonnull(was_said(",false,[]}"));
}
END_TEST

START_TEST(new_nodes_are_taken_under_their_lock)
{
	cnode_pid pid;
	cnode_name s9;
	/* The lock of this frame is not held here: what it inserts is not taken, the node is. */
	event("r1@vm", true);
	tell_server("r1@vm", "{'$gen_call',{~p,~r},{set_lock,{global,other}}}", remote(1), remote_ref(1));
	tell_server("r1@vm", "{'$gen_cast',{new_nodes,'r1@vm',[{insert,{a,~p,m}}],[],[],[{vsn,8},{lock,{global,mine}}]}}", remote(3));
	ck_assert(!is_registered("a", &pid));
	tell_server("r1@vm", "{'$gen_cast',{new_nodes,'r1@vm',[{insert,{a,~p,m}},{delete,b}],[],[],[{vsn,8},{lock,{global,other}}]}}",
		    remote(3));
	ck_assert(is_registered("a", &pid));
	frame("r1@vm", frame_new_nodes_25);
	ck_assert_int_eq(cnode_name_of("s9@vm", &s9), 0);
	forget();
	tell_server("r1@vm", "{'$gen_call',{~p,~r},get_known}", remote(55), remote_ref(1));
	ck_assert_ptr_nonnull(was_said("s9@vm"));
}
END_TEST

START_TEST(a_lost_connection_is_obeyed_once_and_passed_on)
{
	/* o27, o29 and r1 are known here. */
	const char *nodes[] = { "o27@vm", "o29@vm", "r1@vm" };
	for (size_t i = 0; i < 3; i++)
		event(nodes[i], true);
	event("s@vm", true);
	tell_server("s@vm", "{'$gen_cast',{new_nodes,'s@vm',[],[],[{'o27@vm',8},{'o29@vm',8},{'r1@vm',8}],[]}}");
	forget();
	frame("o27@vm", frame_lost_connection_27);
	ck_assert_ptr_nonnull(was_said("{remove_connection,px@vm}"));
	size_t passed = 0;
	for (size_t i = 0; i < said_count; i++)
		passed += strstr(said[i], "{lost_connection,o27@vm,") != NULL;
	ck_assert_uint_eq(passed, 2);           /* to o29 and r1, not to o27 */
	forget();
	frame("r1@vm", frame_lost_connection_27);
	ck_assert_uint_eq(said_count, 0);
	tell_server("r1@vm", "{'$gen_call',{~p,~r},get_known}", remote(55), remote_ref(1));
	ck_assert_ptr_nonnull(was_said("[o27@vm,r1@vm]}"));
	ck_assert_str_eq(dropped, "");
}
END_TEST

START_TEST(a_node_that_asks_for_it_is_disconnected)
{
	event("o27@vm", true);
	tell_server("o27@vm", "{remove_connection,'o27@vm'}");
	ck_assert_str_eq(dropped, "");          /* not known: nothing to do */
	tell_server("o27@vm", "{'$gen_cast',{init_connect,{8,1},'o27@vm',{locker,no_longer_a_pid,[],~p}}}", remote(56));
	tell_server("o27@vm", "{remove_connection,'o27@vm'}");
	ck_assert_str_eq(dropped, "o27@vm ");
}
END_TEST

START_TEST(losses_are_told_only_as_configured)
{
	event("o27@vm", true);
	event("o29@vm", true);
	tell_server("o27@vm", "{'$gen_cast',{new_nodes,'o27@vm',[],[],[{'o27@vm',8},{'o29@vm',8}],[]}}");
	forget();
	event("o29@vm", false);
	ck_assert_ptr_null(was_said("lost_connection"));
	event("o29@vm", true);
	tell_server("o27@vm", "{'$gen_cast',{new_nodes,'o27@vm',[],[],[{'o29@vm',8}],[]}}");
	/* It says that it tells nobody either. */
	tell_server("o29@vm", "{'$gen_cast',{in_sync,'o29@vm',overlap_obey}}");
	forget();
	event("o29@vm", false);
	ck_assert_ptr_nonnull(was_said("{lost_connection,px@vm,"));
	G->config.overlap = CNODE_OVERLAP_REPORT;
	event("o29@vm", true);
	tell_server("o27@vm", "{'$gen_cast',{new_nodes,'o27@vm',[],[],[{'o29@vm',8}],[]}}");
	forget();
	event("o29@vm", false);
	ck_assert_ptr_nonnull(was_said(",o29@vm}"));
	/* A node that leaves accuses nobody. */
	cn_global_leave(G);
	forget();
	event("o27@vm", false);
	ck_assert_ptr_null(was_said("lost_connection"));
}
END_TEST

START_TEST(junk_is_survived_without_an_answer)
{
	static const char *const junk[] = {
		"x", "1", "[]", "{}", "<<1>>", "#{}", "{'$gen_call',x}", "{'$gen_cast'}", "{'$gen_cast',{}}", "{init_connect,1}",
		"{'$gen_cast',{init_connect,{8},'r1@vm',x}}", "{'$gen_cast',{init_connect,{a,1},'r1@vm',{locker,a,b,c}}}",
		"{'$gen_cast',{init_connect,8,'r1@vm',{locker,a,b,c}}}", "{'$gen_cast',{exchange,'r1@vm',x,[],1}}",
		"{'$gen_cast',{resolved,'r1@vm',x,y,z,v,1}}", "{'$gen_cast',{new_nodes,'r1@vm',x,y,z,v}}",
		"{'$gen_cast',{new_nodes,'r1@vm',[x,{insert,y},{insert,{a,b,c}},{delete}],[z],[1,{2,3},noat],[w]}}",
		"{'$gen_cast',{in_sync,x,y}}", "{'$gen_cast',{lock_set,a,b,c,d}}", "{'$gen_cast',{lock_set,a,b,c}}",
		"{'$gen_cast',{async_del_name,a,b}}", "{'$gen_cast',{async_del_lock,a,b}}", "{lost_connection,a,b,c,d}",
		"{lost_connection,'a@b',1,2,3}", "{lost_connection,1,1,1,1}", "{remove_connection,1}", "{cancel_connect,'r1@vm',x}",
		"{init_connect_ack,'r1@vm'}", "{lock_is_set,'r1@vm',1,[]}", "{resolved_here,'r1@vm',1,[],[]}", "{nodeup,x}",
		"{nodedown,'r1@vm'}", "{cancel,'r1@vm',1,[]}", "{add_to_known,['x@y']}", "jobs",
	};
	event("r1@vm", true);
	forget();
	for (size_t i = 0; i < CN_ARRAY_SIZE(junk); i++) {
		cnode_term t = term(junk[i]);
		from("r1@vm", 55, (cnode_pid){ 0 }, t);
		from("r1@vm", 55, G->locker, t);
		from("r1@vm", 55, G->registrar, t);
		cnode_term_drop(t);
	}
	ck_assert_uint_eq(said_count, 0);
	ck_assert_str_eq(dropped, "");
	ck_assert(cn_procs_is_alive(W.procs, G->server) && cn_procs_is_alive(W.procs, G->locker) &&
		  cn_procs_is_alive(W.procs, G->registrar));
	tell_server("r1@vm", "{'$gen_call',{~p,~r},get_known}", remote(55), remote_ref(1));
	ck_assert_ptr_nonnull(was_said(",[]}"));
}
END_TEST

START_TEST(pids_and_nodes_are_ordered_as_erlang_orders_them)
{
	cnode_name a, b, ab;
	cnode_name_of("a@h", &a);
	cnode_name_of("b@h", &b);
	cnode_name_of("ab@h", &ab);
	cnode_pid p[] = {
		/* serial, id, node, creation */
		{ .node = b, .serial = 0, .id = 1, .creation = 9 }, { .node = a, .serial = 0, .id = 2, .creation = 9 },
		{ .node = b, .serial = 0, .id = 2, .creation = 8 }, { .node = b, .serial = 0, .id = 2, .creation = 9 },
		{ .node = a, .serial = 1, .id = 0, .creation = 9 },
	};
	for (size_t i = 0; i < CN_ARRAY_SIZE(p); i++)
		for (size_t n = 0; n < CN_ARRAY_SIZE(p); n++) {
			cnode_term x, y;
			cnode_format(&x, "~p", p[i]);
			cnode_format(&y, "~p", p[n]);
			ck_assert_int_eq(pids_compare(p[i], p[n]), (i > n) - (i < n));
			ck_assert_int_eq(cnode_term_compare(x, y), (i > n) - (i < n));
			cnode_term_drop(x);
			cnode_term_drop(y);
		}
	cnode_name nodes[] = { a, b, ab };
	ck_assert_uint_eq(nodes_boss(nodes, 3), b);
	ck_assert_int_eq(nodes_compare(a, ab), -1);     /* '@' comes before 'b' */
}
END_TEST
int main(void)
{
	Suite *s = suite_create("global");
	TCase *t = tcase_create("frames");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_session_is_begun_acknowledged_and_finished);
	tcase_add_test(t, a_third_node_that_cannot_be_reached_is_given_up);
	tcase_add_test(t, a_third_node_that_comes_is_told_in_sync);
	tcase_add_test(t, a_node_that_says_in_sync_and_goes_on_is_joined_anew);
	tcase_add_test(t, a_node_that_says_in_sync_and_becomes_known_is_not_joined_anew);
	tcase_add_test(t, a_third_node_that_was_let_go_of_while_it_was_dialled_begins_anew);
	tcase_add_test(t, all_forms_of_a_call_are_answered_with_their_tag);
	tcase_add_test(t, a_name_is_registered_only_for_the_holder_of_the_lock);
	tcase_add_test(t, a_name_that_nobody_has_is_unregistered_without_asking_anybody);
	tcase_add_test(t, a_hidden_node_has_no_name_that_the_list_refuses);
	tcase_add_test(t, without_a_lock_a_name_is_taken_unless_the_last_holder_was_lost);
	tcase_add_test(t, a_name_ends_with_its_process_and_by_unregister);
	tcase_add_test(t, names_are_equal_however_they_were_sent);
	tcase_add_test(t, a_call_in_the_name_of_another_node_is_not_obeyed);
	tcase_add_test(t, a_session_with_wrong_tags_is_begun_anew_with_another);
	tcase_add_test(t, a_node_that_stalls_is_disconnected);
	tcase_add_test(t, a_node_that_holds_the_lock_and_stalls_is_disconnected);
	tcase_add_test(t, a_node_that_holds_the_lock_and_answers_is_at_work);
	tcase_add_test(t, a_node_whose_own_server_stalls_lets_all_go);
	tcase_add_test(t, version_5_is_spoken_from_locker_to_locker);
	tcase_add_test(t, a_version_before_5_is_left_alone);
	tcase_add_test(t, a_locker_that_does_not_know_a_session_refuses_it);
	tcase_add_test(t, new_nodes_are_taken_under_their_lock);
	tcase_add_test(t, a_lost_connection_is_obeyed_once_and_passed_on);
	tcase_add_test(t, a_node_that_asks_for_it_is_disconnected);
	tcase_add_test(t, losses_are_told_only_as_configured);
	tcase_add_test(t, junk_is_survived_without_an_answer);
	tcase_add_test(t, pids_and_nodes_are_ordered_as_erlang_orders_them);
	suite_add_tcase(s, t);
	return tap_run(s);
}
