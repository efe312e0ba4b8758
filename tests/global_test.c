/* SPDX-License-Identifier: Apache-2.0 */
/*
 * global. First the name server, the locker and the registrar of one node, with frames of BEAM nodes as they were
 * recorded in place of the network; then whole nodes in one program that form a cluster over loopback. What BEAM
 * nodes make of it is conformance's matter.
 */
#include "cnode/global/inner.h"
#include "cnode/cnode.h"
#include "tests/global_frames.h"
#include "tests/proc_world.h"
#include "tests/tap.h"

#define WAIT 20000      /* ms; nothing here takes long, a machine may */

/* ==== one node, and recorded frames ==== */

/* What the services sent to other nodes, in full. */
static char *said[256];
static size_t said_count;
static char dropped[256];       /* nodes whose connection global closed */

static void remember(struct world *w, const struct cn_signal *sig)
{
	(void)w;
	if (said_count == CN_ARRAY_SIZE(said))
		return;
	char *text = sig->term.size_ ? cnode_term_text(sig->term) : strdup("");
	char *line = NULL;
	if (asprintf(&line, "%s %s%s", kind_name(sig->kind), sig->to_name ? "" : "pid ", text) >= 0)
		said[said_count++] = line;
	free(text);
}

static void forget(void)
{
	while (said_count > 0)
		free(said[--said_count]);
}

/* The last line that has this in it; NULL: none. */
static const char *was_said(const char *part)
{
	for (size_t i = said_count; i-- > 0;)
		if (strstr(said[i], part))
			return said[i];
	return NULL;
}

static void on_disconnect(void *ctx, cnode_name node)
{
	char text[CNODE_NAME_SIZE];
	(void)ctx;
	cnode_name_text(node, text);
	strncat(dropped, text, sizeof dropped - strlen(dropped) - 2);
	strcat(dropped, " ");
}

static struct cn_global *G;
static struct cn_functions *F;

static void run(void)
{
	while (cn_sched_run(W.procs, false, 0))
		continue;
}

static void setup(void)
{
	static const struct cn_global_ops ops = { .disconnect = on_disconnect };
	cnode_name px;
	ck_assert_int_eq(world_open(NULL), 0);
	ck_assert_int_eq(cnode_name_of("px@vm", &px), 0);
	cn_procs_rename(W.procs, px, 0x91414fbe);
	W.own = px;
	W.hook = remember;
	dropped[0] = 0;
	ck_assert_int_eq(cn_functions_new(NULL, &F), 0);
	struct cn_global_config config = { .procs = W.procs, .functions = F, .ops = &ops };
	ck_assert_int_eq(cn_global_new(&config, &G), 0);
	G->first_tag = INT64_C(-576460752303423488);    /* so that the first session has the tag of the frames */
	ck_assert_int_eq(cn_global_start(G), 0);
	run();
}

static void teardown(void)
{
	world_close();
	cn_global_free(G);
	cn_functions_free(F);
	forget();
}

static void event(const char *node, bool up)
{
	cnode_name_of(node, &W.peer);
	struct cn_node_event e = { .node = W.peer, .connection_id = W.epoch, .visible = true, .up = up,
				   .reason = up ? (cnode_term){ 0 } : cn_term_static("w\21connection_closed", 19) };
	cn_procs_node_event(W.procs, &e);
	run();
}

/* A message of a process <Node.Id> to a registered name here, or to a pid. */
static void from(const char *node, uint32_t id, cnode_pid to, cnode_term term)
{
	cnode_name_of(node, &W.peer);
	struct cn_signal sig = FROM_PEER(MESSAGE, remote(id), to, .term = term);
	if (cnode_pid_is_none(to))
		sig.to_name = SERVER;
	ck_assert_int_eq(cn_procs_deliver(W.procs, &sig), 0);
	run();
}

/* Whose pids remote() makes from now on. */
static void at(const char *node)
{
	cnode_name_of(node, &W.peer);
}

static void tell_server(const char *node, const char *format, ...)
{
	cnode_term t;
	va_list args;
	va_start(args, format);
	ck_assert_int_eq(cnode_vformat(&t, format, args), 0);
	va_end(args);
	from(node, 55, (cnode_pid){ 0 }, t);
	cnode_term_drop(t);
}

/* The pass-through frame of a BEAM node: 112, control, message. Its message goes to whom it was sent. */
static void frame(const char *node, const char *hex)
{
	uint8_t bytes[1024];
	size_t size = 0;
	struct cn_verify v;
	cnode_term t;
	for (; hex[0] && hex[1]; hex += 2) {
		unsigned byte;
		ck_assert_int_eq(sscanf(hex, "%2x", &byte), 1);
		bytes[size++] = (uint8_t)byte;
	}
	ck_assert_int_eq(bytes[0], 112);
	cn_verify_init(&v, NULL, 0);
	ck_assert_int_eq(cn_verify_all(&v, bytes + 2, size - 2), 0);
	size_t at = 2 + v.offset;
	cn_verify_fini(&v);
	ck_assert_int_eq(cnode_term_from_bytes(bytes + at, size - at, &t), 0);
	from(node, 55, (cnode_pid){ 0 }, t);
	cnode_term_drop(t);
}

/* A session with r1@vm as far as the frames go: its tag there is what they were recorded with. */
#define TAG "-576460752303423487"
#define FIRST_TAG INT64_C(-576460752303423487)
static void begin_session(void)
{
	event("r1@vm", true);
	ck_assert_ptr_nonnull(was_said("{'$gen_cast',{init_connect,{8," TAG "},px@vm,{locker,no_longer_a_pid,[overlap_obey],"));
	frame("r1@vm", frame_init_connect_25);
	ck_assert_ptr_nonnull(was_said("{init_connect_ack,px@vm,-576460752303423484," TAG "}"));
}

static cnode_term term(const char *text)
{
	cnode_term t = text_term(text);
	ck_assert(t.size_ > 0);
	return t;
}

static bool is_registered(const char *name, cnode_pid *pid)
{
	cnode_term t = term(name);
	bool found = cn_global_whereis(G, t, pid) == 0;
	cnode_term_drop(t);
	return found;
}

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

START_TEST(a_flood_of_init_connects_is_put_off)
{
	begin_session();
	forget();
	for (int i = 0; i < 200; i++)
		frame("r1@vm", frame_init_connect_25);
	size_t begun = 0;
	for (size_t i = 0; i < said_count; i++)
		begun += strstr(said[i], "{init_connect,") != NULL;
	ck_assert_uint_ge(begun, 1);
	ck_assert_uint_le(begun, 4);
	/* It is not forgotten: when the time has come, the last one counts. */
	forget();
	cn_sched_expire(W.procs, cn_now() + 20 * CN_NS_PER_S, 1000);
	run();
	ck_assert_ptr_nonnull(was_said("{init_connect,{8,"));
	ck_assert_ptr_nonnull(was_said("{init_connect_ack,px@vm,-576460752303423484,"));
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

START_TEST(a_name_of_a_megabyte_is_a_name)
{
	enum { SIZE = 1 << 20 };
	char *bytes = calloc(1, SIZE);
	cnode_term name;
	cnode_pid pid;
	ck_assert_int_eq(cnode_format(&name, "~b", bytes, (size_t)SIZE), 0);
	at("r1@vm");
	tell_server("r1@vm", "{'$gen_call',{~p,~r},{register,~t,~p,x}}", remote(55), remote_ref(1), name, remote(9));
	ck_assert_int_eq(cn_global_whereis(G, name, &pid), 0);
	cnode_term_drop(name);
	free(bytes);
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

/* ==== whole nodes ==== */

#define NODES 3
static const char *const names[NODES] = { "a@127.0.0.1", "b@127.0.0.1", "c@127.0.0.1" };
static cnode_node *node[NODES];
static cnode_mailbox *box[NODES];

static int first(cnode_process *self, void *context, cnode_term args, cnode_term *result)
{
	cnode_pid x, y;
	(void)self;
	(void)context;
	return cnode_scan(args, "[_,~p,~p]", &x, &y) == 0 ? cnode_format(result, "~p", x) : CNODE_EBADARG;
}
static int second(cnode_process *self, void *context, cnode_term args, cnode_term *result)
{
	cnode_pid x, y;
	(void)self;
	(void)context;
	return cnode_scan(args, "[_,~p,~p]", &x, &y) == 0 ? cnode_format(result, "~p", y) : CNODE_EBADARG;
}
static int nobody(cnode_process *self, void *context, cnode_term args, cnode_term *result)
{
	(void)self; (void)context; (void)args;
	return cnode_format(result, "none");
}
static int fails(cnode_process *self, void *context, cnode_term args, cnode_term *result)
{
	(void)self; (void)context; (void)args;
	return cnode_raise(result, "error", "oops");
}

static cnode_node *open_node(const char *name, bool hidden)
{
	cnode_config cfg = CNODE_CONFIG_INIT;
	cnode_node *n;
	cfg.name = name;
	cfg.cookie = "secret";
	cfg.listen = "127.0.0.1";
	cfg.epmd = CNODE_EPMD_NONE;
	cfg.hidden = hidden;
	cfg.shutdown_timeout = 10;
	cfg.log_level = CNODE_LOG_ERROR;
	ck_assert_msg(cnode_node_new(&cfg, &n) == 0, "%s", cnode_node_error(n));
	const struct { const char *name; cnode_function *f; } functions[] = {
		{ "first", first }, { "second", second }, { "none", nobody }, { "fails", fails },
	};
	for (size_t i = 0; i < CN_ARRAY_SIZE(functions); i++)
		ck_assert_int_eq(cnode_function_export(n, "resolver", functions[i].name, 3, functions[i].f, NULL, CNODE_NO_NODES), 0);
	ck_assert_msg(cnode_node_start(n) == 0, "%s", cnode_node_error(n));
	return n;
}

static void route(cnode_node *from, const char *name, cnode_node *to)
{
	char address[64];
	snprintf(address, sizeof address, "127.0.0.1:%u", (unsigned)cnode_node_port(to));
	ck_assert_int_eq(cnode_node_route(from, name, address), 0);
}

static void open_nodes(void)
{
	for (int i = 0; i < NODES; i++) {
		node[i] = open_node(names[i], false);
		ck_assert_int_eq(cnode_mailbox_open(node[i], NULL, &box[i]), 0);
	}
	for (int i = 0; i < NODES; i++)
		for (int n = 0; n < NODES; n++)
			if (i != n)
				route(node[i], names[n], node[n]);
}

static void close_nodes(void)
{
	for (int i = 0; i < NODES; i++) {
		cnode_mailbox_close(box[i]);
		cnode_node_free(node[i]);
	}
}

static void connect_nodes(int i, int n)
{
	ck_assert_msg(cnode_connect_wait(box[i], names[n], WAIT) == 0, "%s", cnode_mailbox_error(box[i]));
}

static int count_peer(void *context, const cnode_peer *peer)
{
	(void)peer;
	++*(size_t *)context;
	return 0;
}

/* Until every node has all others, and their tables are one. */
static void all_joined(void)
{
	for (int i = 0; i < NODES; i++)
		for (size_t peers = 0; peers != NODES - 1;) {
			ck_assert_msg(cnode_global_sync(box[i], WAIT) == 0, "%s", cnode_mailbox_error(box[i]));
			peers = 0;
			cnode_peers(node[i], count_peer, &peers);
		}
	for (int i = 0; i < NODES; i++)
		ck_assert_int_eq(cnode_global_sync(box[i], WAIT), 0);
}

static void open_cluster(void)
{
	open_nodes();
	connect_nodes(0, 1);
	connect_nodes(2, 1);
	all_joined();
}

/* Waits until node i says this of a name: it is told by messages of others. */
static bool agrees(int i, cnode_term name, cnode_pid want)
{
	cnode_pid pid;
	for (int tries = 0; tries < WAIT; tries++) {
		int rc = cnode_global_whereis(node[i], name, &pid);
		if (cnode_pid_is_none(want) ? rc == CNODE_ENOENT : rc == 0 && cnode_pid_equal(pid, want))
			return true;
		cnode_term reply;
		/* A turn of the server: what it has to do comes before. */
		if (cnode_call_name(box[i], SERVER, NULL, WAIT, &reply, "get_known") == 0)
			cnode_term_drop(reply);
	}
	return false;
}

static void all_agree(cnode_term name, cnode_pid want)
{
	for (int i = 0; i < NODES; i++)
		ck_assert_msg(agrees(i, name, want), "%s", names[i]);
}

static cnode_pid self_of(int i)
{
	return cnode_self(cnode_mailbox_process(box[i]));
}

START_TEST(a_name_is_the_same_on_all_nodes)
{
	open_cluster();
	for (int i = 0; i < NODES; i++) {
		cnode_term name;
		cnode_info info;
		cnode_format(&name, "{name,~i}", i);
		ck_assert_msg(cnode_global_register(box[i], name, self_of(i), NULL, WAIT) == 0, "%s", cnode_mailbox_error(box[i]));
		all_agree(name, self_of(i));
		int other = (i + 1) % NODES;
		ck_assert_int_eq(cnode_global_register(box[other], name, self_of(other), NULL, WAIT), CNODE_ENAMETAKEN);
		ck_assert_ptr_nonnull(strstr(cnode_mailbox_error(box[other]), "taken"));
		ck_assert_int_eq(cnode_global_send(cnode_mailbox_process(box[other]), name, "hello"), 0);
		ck_assert_int_eq(cnode_receive(box[i], &info, WAIT), 0);
		ck_assert_int_eq(cnode_scan(info.message, "hello"), 0);
		ck_assert_int_eq(cnode_global_re_register(box[other], name, self_of(other), CNODE_GLOBAL_NOTIFY, WAIT), 0);
		all_agree(name, self_of(other));
		ck_assert_int_eq(cnode_global_unregister(box[i], name, WAIT), 0);
		all_agree(name, (cnode_pid){ 0 });
		ck_assert_int_eq(cnode_global_send(cnode_mailbox_process(box[other]), name, "hello"), CNODE_ENOENT);
		cnode_term_drop(name);
	}
	cnode_term name = term("x");
	ck_assert_int_eq(cnode_global_register(box[0], name, self_of(0), "nofunction", WAIT), CNODE_EBADARG);
	cnode_term_drop(name);
	close_nodes();
}
END_TEST

START_TEST(a_process_has_one_name_unless_it_is_re_registered)
{
	open_cluster();
	cnode_term x = term("x"), y = term("y");
	ck_assert_int_eq(cnode_global_register(box[0], x, self_of(0), NULL, WAIT), 0);
	ck_assert_int_eq(cnode_global_register(box[0], y, self_of(0), NULL, WAIT), CNODE_ENAMETAKEN);
	ck_assert_int_eq(cnode_global_re_register(box[0], y, self_of(0), NULL, WAIT), 0);
	all_agree(y, self_of(0));
	cnode_term_drop(x);
	cnode_term_drop(y);
	close_nodes();
}
END_TEST

START_TEST(names_go_with_their_process_and_with_their_node)
{
	open_cluster();
	cnode_term x = term("x"), y = term("y");
	cnode_mailbox *short_lived;
	ck_assert_int_eq(cnode_mailbox_open(node[0], NULL, &short_lived), 0);
	cnode_pid pid = cnode_self(cnode_mailbox_process(short_lived));
	ck_assert_int_eq(cnode_global_register(box[1], x, pid, NULL, WAIT), 0);
	all_agree(x, pid);
	cnode_mailbox_close(short_lived);
	all_agree(x, (cnode_pid){ 0 });
	ck_assert_int_eq(cnode_global_register(box[2], y, self_of(2), NULL, WAIT), 0);
	cnode_node_stop(node[2]);
	for (int i = 0; i < 2; i++)
		ck_assert(agrees(i, y, (cnode_pid){ 0 }));
	/* The others are still together, and go on. */
	ck_assert_int_eq(cnode_global_register(box[0], y, self_of(0), NULL, WAIT), 0);
	ck_assert(agrees(1, y, self_of(0)));
	cnode_term_drop(x);
	cnode_term_drop(y);
	close_nodes();
}
END_TEST

START_TEST(a_lock_has_one_requester_and_ends_with_its_holder)
{
	open_cluster();
	cnode_term resource = term("res"), me = term("me"), you = term("you");
	ck_assert_int_eq(cnode_global_set_lock(box[0], resource, me, NULL, 0, WAIT), 0);
	ck_assert_int_eq(cnode_global_set_lock(box[1], resource, you, NULL, 0, WAIT), CNODE_EBUSY);
	ck_assert_int_eq(cnode_global_set_lock(box[1], resource, you, NULL, CNODE_FOREVER, 50), CNODE_EBUSY);
	/* The same requester is let in; the lock goes with the last. */
	ck_assert_int_eq(cnode_global_set_lock(box[2], resource, me, NULL, 0, WAIT), 0);
	ck_assert_int_eq(cnode_global_del_lock(box[0], resource, me, NULL, WAIT), 0);
	ck_assert_int_eq(cnode_global_set_lock(box[1], resource, you, NULL, 0, WAIT), CNODE_EBUSY);
	cnode_mailbox_close(box[2]);
	box[2] = NULL;
	ck_assert_int_eq(cnode_global_set_lock(box[1], resource, you, NULL, CNODE_FOREVER, WAIT), 0);
	/* A lock on one node only. */
	const char *only[] = { names[1], NULL }, *bad[] = { "nowhere", NULL };
	cnode_term other = term("other");
	ck_assert_int_eq(cnode_global_set_lock(box[0], other, me, only, 0, WAIT), 0);
	ck_assert_int_eq(cnode_global_set_lock(box[0], other, you, only, 0, WAIT), CNODE_EBUSY);
	const char *elsewhere[] = { names[0], NULL };
	ck_assert_int_eq(cnode_global_set_lock(box[0], other, you, elsewhere, 0, WAIT), 0);
	ck_assert_int_eq(cnode_global_set_lock(box[0], other, me, bad, 0, WAIT), CNODE_EBADNAME);
	cnode_term_drop(resource);
	cnode_term_drop(me);
	cnode_term_drop(you);
	cnode_term_drop(other);
	close_nodes();
}
END_TEST

/* Counts up and down inside of a lock: never more than one is in. */
static _Atomic int inside, most, turns;
static int enter(void *context)
{
	(void)context;
	int now = atomic_fetch_add(&inside, 1) + 1;
	if (now > atomic_load(&most))
		atomic_store(&most, now);
	atomic_fetch_add(&turns, 1);
	atomic_fetch_sub(&inside, 1);
	return 0;
}
static void *contend(void *mailbox)
{
	cnode_term resource, me;
	cnode_format(&resource, "shared");
	cnode_format(&me, "~p", cnode_self(cnode_mailbox_process(mailbox)));
	for (int i = 0; i < 5; i++)
		(void)cnode_global_trans(mailbox, resource, me, NULL, CNODE_FOREVER, CNODE_INFINITY, enter, NULL);
	cnode_term_drop(resource);
	cnode_term_drop(me);
	return NULL;
}

START_TEST(trans_lets_one_in_at_a_time)
{
	pthread_t threads[NODES];
	open_cluster();
	for (int i = 0; i < NODES; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, contend, box[i]), 0);
	for (int i = 0; i < NODES; i++)
		pthread_join(threads[i], NULL);
	ck_assert_int_eq(turns, 5 * NODES);
	ck_assert_int_eq(most, 1);
	close_nodes();
}
END_TEST

/* ---- for callbacks ---- */

struct client {
	cnode_pid owner;
	int step;
};
static int client_done(cnode_process *self, void *state, void *context, const cnode_answer *answer)
{
	struct client *c = state;
	return cnode_send(self, c->owner, "{~a,~i,~t}", (const char *)context, answer->status, answer->term);
}
static int client_info(cnode_process *self, void *state, const cnode_info *info)
{
	struct client *c = state;
	cnode_atom what;
	cnode_term name;
	if (cnode_scan(info->message, "{~p,~a,~t}", &c->owner, &what, &name) != 0)
		return 0;
	if (strcmp(what.text, "register") == 0)
		return cnode_global_register_async(self, name, cnode_self(self), NULL, client_done, "registered");
	if (strcmp(what.text, "re_register") == 0)
		return cnode_global_re_register_async(self, name, cnode_self(self), NULL, client_done, "re_registered");
	if (strcmp(what.text, "unregister") == 0)
		return cnode_global_unregister_async(self, name, client_done, "unregistered");
	if (strcmp(what.text, "sync") == 0)
		return cnode_global_sync_async(self, client_done, "synced");
	if (strcmp(what.text, "set_lock") == 0)
		return cnode_global_set_lock_async(self, name, name, NULL, 0, client_done, "locked");
	if (strcmp(what.text, "del_lock") == 0)
		return cnode_global_del_lock_async(self, name, name, NULL, client_done, "unlocked");
	if (strcmp(what.text, "trans") == 0)
		return cnode_global_trans_async(self, name, name, NULL, 0, client_done, "inside");
	return cnode_global_register_async(self, name, cnode_self(self), NULL, NULL, NULL);
}
static const cnode_behaviour client = { CNODE_BEHAVIOUR_INIT, .state_size = sizeof(struct client), .handle_info = client_info };

static void asks(cnode_pid pid, const char *what, const char *want)
{
	cnode_info info;
	ck_assert_int_eq(cnode_send(cnode_mailbox_process(box[0]), pid, "{~p,~a,thing}", self_of(0), what), 0);
	ck_assert_msg(cnode_receive(box[0], &info, WAIT) == 0, "%s", what);
	char text[200];
	cnode_term_print(info.message, text, sizeof text);
	ck_assert_str_eq(text, want);
}

START_TEST(callbacks_register_and_lock_without_waiting)
{
	open_cluster();
	cnode_term none = term("[]"), thing = term("thing");
	cnode_pid pid;
	ck_assert_int_eq(cnode_process_start(node[0], NULL, &client, NULL, none, &pid), 0);
	asks(pid, "sync", "{synced,0,ok}");
	asks(pid, "register", "{registered,0,yes}");
	all_agree(thing, pid);
	asks(pid, "register", "{registered,0,no}");
	asks(pid, "re_register", "{re_registered,0,yes}");
	asks(pid, "unregister", "{unregistered,0,ok}");
	all_agree(thing, (cnode_pid){ 0 });
	asks(pid, "set_lock", "{locked,0,true}");
	cnode_term you = term("you");
	ck_assert_int_eq(cnode_global_set_lock(box[1], thing, you, NULL, 0, WAIT), CNODE_EBUSY);
	asks(pid, "del_lock", "{unlocked,0,true}");
	asks(pid, "trans", "{inside,0,true}");
	ck_assert_int_eq(cnode_global_set_lock(box[1], thing, you, NULL, CNODE_FOREVER, WAIT), 0);
	asks(pid, "set_lock", "{locked,0,false}");
	asks(pid, "trans", "{inside,0,false}");
	/* One that is killed while it waits leaves nothing behind: the sanitizer would tell. */
	ck_assert_int_eq(cnode_send(cnode_mailbox_process(box[0]), pid, "{~p,set_lock,thing}", self_of(0)), 0);
	ck_assert_int_eq(cnode_exit(cnode_mailbox_process(box[0]), pid, "kill"), 0);
	cnode_term_drop(none);
	cnode_term_drop(thing);
	cnode_term_drop(you);
	close_nodes();
}
END_TEST

/* ---- conflicts ---- */

/* a and c have the same names; they meet by b. Who keeps it, by method; 'a', 'c' or 0. */
static const struct {
	const char *method;
	char keeps;
	const char *a_hears, *c_hears;
} conflicts[] = {
	{ CNODE_GLOBAL_NOTIFY, 'a', "", "{global_name_conflict,~t}" },
	{ CNODE_GLOBAL_NOTIFY_ALL, 0, "{global_name_conflict,~t,_}", "{global_name_conflict,~t,_}" },
	/* b, which has a's table, meets c: it decides, and Pid2 is the one of its own side. */
	{ "resolver:first", 'c', "", "" },
	{ "resolver:second", 'a', "", "" },
	{ "resolver:none", 0, "", "" },
	{ "resolver:fails", 'c', "", "" },
	{ "no:function", 'c', "", "" },
};

static void hears(cnode_mailbox *mb, const char *format)
{
	cnode_info info;
	cnode_term t;
	if (!*format)
		return;
	ck_assert_int_eq(cnode_receive(mb, &info, WAIT), 0);
	ck_assert_int_eq(cnode_scan(info.message, format, &t), 0);
}

START_TEST(of_two_processes_with_one_name_the_method_chooses)
{
	enum { N = CN_ARRAY_SIZE(conflicts) };
	cnode_mailbox *a[N], *c[N];
	cnode_term name[N];
	open_nodes();
	connect_nodes(0, 1);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(cnode_global_sync(box[i], WAIT), 0);
	for (size_t i = 0; i < N; i++) {
		cnode_format(&name[i], "{conflict,~i}", (int)i);
		ck_assert_int_eq(cnode_mailbox_open(node[0], NULL, &a[i]), 0);
		ck_assert_int_eq(cnode_mailbox_open(node[2], NULL, &c[i]), 0);
		cnode_pid on_a = cnode_self(cnode_mailbox_process(a[i])), on_c = cnode_self(cnode_mailbox_process(c[i]));
		ck_assert_int_eq(cnode_global_register(a[i], name[i], on_a, conflicts[i].method, WAIT), 0);
		ck_assert_int_eq(cnode_global_register(c[i], name[i], on_c, conflicts[i].method, WAIT), 0);
	}
	connect_nodes(2, 1);
	all_joined();
	for (size_t i = 0; i < N; i++) {
		cnode_pid want = { 0 };
		if (conflicts[i].keeps)
			want = cnode_self(cnode_mailbox_process(conflicts[i].keeps == 'a' ? a[i] : c[i]));
		for (int n = 0; n < NODES; n++)
			ck_assert_msg(agrees(n, name[i], want), "%s on %s", conflicts[i].method, names[n]);
		hears(a[i], conflicts[i].a_hears);
		hears(c[i], conflicts[i].c_hears);
		cnode_term_drop(name[i]);
		cnode_mailbox_close(a[i]);
		cnode_mailbox_close(c[i]);
	}
	close_nodes();
}
END_TEST

START_TEST(by_default_the_process_of_the_greater_node_is_killed)
{
	open_nodes();
	cnode_term name = term("x");
	cnode_info info;
	ck_assert_int_eq(cnode_global_register(box[0], name, self_of(0), NULL, WAIT), 0);
	ck_assert_int_eq(cnode_global_register(box[2], name, self_of(2), NULL, WAIT), 0);
	connect_nodes(0, 1);
	connect_nodes(1, 2);
	ck_assert_int_eq(cnode_receive(box[2], &info, WAIT), CNODE_EEXITED);
	for (int i = 0; i < 2; i++)
		ck_assert(agrees(i, name, self_of(0)));
	cnode_term_drop(name);
	close_nodes();
}
END_TEST

START_TEST(a_spawn_registers_its_process_before_it_is_answered)
{
	cnode_spawn_options o = CNODE_SPAWN_INIT;
	cnode_pid pid, other;
	open_cluster();
	cnode_term none = term("[]"), name = term("spawned");
	ck_assert_int_eq(cnode_factory_add(node[1], "client", &client, NULL, CNODE_ALL_NODES), 0);
	o.name = "spawned";
	o.registration = CNODE_REGISTER_GLOBAL;
	ck_assert_msg(cnode_spawn_remote(box[2], names[1], "client", none, &o, &pid) == 0, "%s", cnode_mailbox_error(box[2]));
	/* On the node itself at once; the others were told before. */
	for (int i = 0; i < NODES; i++) {
		ck_assert_int_eq(cnode_global_whereis(node[i], name, &other), 0);
		ck_assert(cnode_pid_equal(pid, other));
	}
	ck_assert_int_eq(cnode_spawn_remote(box[0], names[1], "client", none, &o, &other), CNODE_ENAMETAKEN);
	ck_assert_int_eq(cnode_exit(cnode_mailbox_process(box[2]), pid, "kill"), 0);
	all_agree(name, (cnode_pid){ 0 });
	cnode_term_drop(none);
	cnode_term_drop(name);
	close_nodes();
}
END_TEST

START_TEST(a_hidden_node_has_names_by_a_beam_node_only)
{
	open_nodes();
	cnode_node *hidden = open_node("h@127.0.0.1", true);
	cnode_mailbox *mb;
	cnode_term name = term("x");
	ck_assert_int_eq(cnode_mailbox_open(hidden, NULL, &mb), 0);
	cnode_pid self = cnode_self(cnode_mailbox_process(mb));
	ck_assert_int_eq(cnode_global_register(mb, name, self, NULL, WAIT), CNODE_ENOCONNECTION);
	ck_assert_ptr_nonnull(strstr(cnode_mailbox_error(mb), "hidden"));
	ck_assert_int_eq(cnode_global_re_register(mb, name, self, NULL, WAIT), CNODE_ENOTSUP);
	route(hidden, names[0], node[0]);
	ck_assert_int_eq(cnode_connect_wait(mb, names[0], WAIT), 0);
	ck_assert_int_eq(cnode_global_sync(mb, WAIT), 0);
	ck_assert_int_eq(cnode_global_sync(box[0], WAIT), 0);
	cnode_term_drop(name);
	cnode_mailbox_close(mb);
	cnode_node_free(hidden);
	close_nodes();
}
END_TEST

START_TEST(a_node_that_leaves_the_cluster_is_alone)
{
	open_cluster();
	cnode_term x = term("x"), y = term("y");
	ck_assert_int_eq(cnode_global_register(box[0], x, self_of(0), NULL, WAIT), 0);
	ck_assert_int_eq(cnode_global_register(box[1], y, self_of(1), NULL, WAIT), 0);
	ck_assert_int_eq(cnode_global_disconnect(box[0], WAIT), 0);
	ck_assert(agrees(0, y, (cnode_pid){ 0 }));
	ck_assert(agrees(0, x, self_of(0)));
	for (int i = 1; i < NODES; i++) {
		ck_assert(agrees(i, x, (cnode_pid){ 0 }));
		ck_assert(agrees(i, y, self_of(1)));
	}
	cnode_term_drop(x);
	cnode_term_drop(y);
	close_nodes();
}
END_TEST

static int count_name(void *context, cnode_term name, cnode_pid pid)
{
	(void)name; (void)pid;
	++*(int *)context;
	return 0;
}

START_TEST(whereis_is_quick)
{
	enum { N = 1000000 };
	cnode_node *n = open_node("q@127.0.0.1", false);
	cnode_mailbox *mb;
	cnode_term name = term("name_of_a_server");
	cnode_pid pid;
	int count = 0;
	ck_assert_int_eq(cnode_mailbox_open(n, NULL, &mb), 0);
	ck_assert_int_eq(cnode_global_register(mb, name, cnode_self(cnode_mailbox_process(mb)), NULL, WAIT), 0);
	ck_assert_int_eq(cnode_global_names(n, count_name, &count), 0);
	ck_assert_int_eq(count, 1);
	uint64_t begin = cn_now();
	int found = 0;
	for (int i = 0; i < N; i++)
		found += cnode_global_whereis(n, name, &pid) == 0;
	ck_assert_int_eq(found, N);
	double s = (double)(cn_now() - begin) / 1e9;
	fprintf(stderr, "# whereis: %.1f million per second\n", N / s / 1e6);
	ck_assert_msg(N / s > 200000, "only %.0f per second", N / s);  /* a machine may be busy */
	cnode_term_drop(name);
	cnode_mailbox_close(mb);
	cnode_node_free(n);
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
	tcase_add_test(t, all_forms_of_a_call_are_answered_with_their_tag);
	tcase_add_test(t, a_name_is_registered_only_for_the_holder_of_the_lock);
	tcase_add_test(t, without_a_lock_a_name_is_taken_unless_the_last_holder_was_lost);
	tcase_add_test(t, a_name_ends_with_its_process_and_by_unregister);
	tcase_add_test(t, names_are_equal_however_they_were_sent);
	tcase_add_test(t, a_call_in_the_name_of_another_node_is_not_obeyed);
	tcase_add_test(t, a_session_with_wrong_tags_is_begun_anew_with_another);
	tcase_add_test(t, a_flood_of_init_connects_is_put_off);
	tcase_add_test(t, a_node_that_stalls_is_disconnected);
	tcase_add_test(t, version_5_is_spoken_from_locker_to_locker);
	tcase_add_test(t, a_version_before_5_is_left_alone);
	tcase_add_test(t, a_locker_that_does_not_know_a_session_refuses_it);
	tcase_add_test(t, new_nodes_are_taken_under_their_lock);
	tcase_add_test(t, a_lost_connection_is_obeyed_once_and_passed_on);
	tcase_add_test(t, a_node_that_asks_for_it_is_disconnected);
	tcase_add_test(t, losses_are_told_only_as_configured);
	tcase_add_test(t, junk_is_survived_without_an_answer);
	tcase_add_test(t, a_name_of_a_megabyte_is_a_name);
	tcase_add_test(t, pids_and_nodes_are_ordered_as_erlang_orders_them);
	suite_add_tcase(s, t);
	t = tcase_create("nodes");
	tcase_set_timeout(t, 120);
	tcase_add_test(t, a_name_is_the_same_on_all_nodes);
	tcase_add_test(t, a_process_has_one_name_unless_it_is_re_registered);
	tcase_add_test(t, names_go_with_their_process_and_with_their_node);
	tcase_add_test(t, a_lock_has_one_requester_and_ends_with_its_holder);
	tcase_add_test(t, trans_lets_one_in_at_a_time);
	tcase_add_test(t, callbacks_register_and_lock_without_waiting);
	tcase_add_test(t, of_two_processes_with_one_name_the_method_chooses);
	tcase_add_test(t, by_default_the_process_of_the_greater_node_is_killed);
	tcase_add_test(t, a_spawn_registers_its_process_before_it_is_answered);
	tcase_add_test(t, a_hidden_node_has_names_by_a_beam_node_only);
	tcase_add_test(t, a_node_that_leaves_the_cluster_is_alone);
	tcase_add_test(t, whereis_is_quick);
	suite_add_tcase(s, t);
	return tap_run(s);
}
