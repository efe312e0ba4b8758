/* SPDX-License-Identifier: Apache-2.0 */
/*
 * global when one of its processes ends: by a kill, and for want of memory. Other nodes wait for its answers without
 * a timeout, so the rule is: either all that they were to hear is said, or their connection is closed.
 */
#include <limits.h>

#include "tests/alloc_fail.h"
#include "tests/global_world.h"

static cnode_pid pid_of(const char *which)
{
	return strcmp(which, "server") == 0 ? G->server : strcmp(which, "locker") == 0 ? G->locker : G->registrar;
}

static void kill_one(cnode_pid pid)
{
	struct cn_signal sig = FROM_PEER(EXIT2, remote(9), pid, .term = cn_term_static("w\4kill", 6));
	ck_assert_int_eq(cn_procs_deliver(W.procs, &sig), 0);
	run();
}

static void registered(void *ctx, int code)
{
	*(int *)ctx = code;
}

/* A name of a process of this node, by its registrar. */
static void name_it(const char *name, cnode_pid pid)
{
	int code = 1;
	cnode_term t = term(name);
	ck_assert_int_eq(cn_global_register(G, t, pid, registered, &code), 0);
	run();
	ck_assert_int_eq(code, 0);
	cnode_term_drop(t);
}

static const char *const all[] = { "server", "locker", "registrar" };

START_TEST(when_one_of_the_three_ends_all_begin_anew_without_the_others)
{
	cnode_pid pid, old[3] = { G->server, G->locker, G->registrar };
	struct cnode_process *mine = hand(NULL), *gone = hand(NULL);
	name_it("mine", cnode_self(mine));
	name_it("gone", cnode_self(gone));
	begin_session();
	frame("r1@vm", frame_lock_set_25);
	frame("r1@vm", frame_exchange_25);
	frame("r1@vm", frame_resolved_25);
	ck_assert(is_registered("c_notify", &pid));
	/* A lock of this node and one of another; the cluster's lock in the hands of a node. */
	cnode_term lock = term("{'$gen_call',{self,tag},{set_lock,{here,me}}}");
	cnode_term_drop(lock);
	tell_server("r1@vm", "{'$gen_call',{~p,~r},{set_lock,{there,me}}}", remote(55), remote_ref(1));
	tell_server("r1@vm", "{'$gen_call',{~p,~r},{set_lock,{global,me}}}", remote(55), remote_ref(1));
	ck_assert(locks_global_is_set(G));
	ck_assert_str_eq(dropped, "");
	int64_t first = G->first_tag;
	hand_exit(gone, "normal");
	kill_one(pid_of(all[_i]));
	ck_assert_str_eq(dropped, "all ");
	ck_assert(!cnode_pid_equal(G->server, old[0]) && !cnode_pid_equal(G->locker, old[1]) && !cnode_pid_equal(G->registrar, old[2]));
	ck_assert_int_eq(cn_procs_whereis(W.procs, SERVER, &pid), 0);
	ck_assert(cnode_pid_equal(pid, G->server));
	/* What is of this node is there, what others told is not, and nobody holds a lock from over there. */
	ck_assert(is_registered("mine", &pid));
	ck_assert(!is_registered("gone", &pid));
	ck_assert(!is_registered("c_notify", &pid));
	ck_assert(!locks_global_is_set(G));
	cnode_term there = term("there"), other = term("other");
	ck_assert(cn_global_can_lock(G, there, other));
	cnode_term_drop(there);
	cnode_term_drop(other);
	/* The old connection's end is no news; the next one is joined with another tag than any before. */
	event("r1@vm", false);
	cnode_name_of("r1@vm", &W.peer);
	ck_assert(cn_procs_nodedown(W.procs, W.peer, atomic_fetch_add(&W.epoch, 1), "noconnection", 1000));
	forget();
	event("r1@vm", true);
	const char *line = was_said("{'$gen_cast',{init_connect,{8,");
	ck_assert_ptr_nonnull(line);
	ck_assert_int_gt(strtoll(strstr(line, "{8,") + 3, NULL, 10), first + 1000000);
	/* And names are registered again, and end. */
	struct cnode_process *more = hand(NULL);
	name_it("more", cnode_self(more));
	ck_assert(is_registered("more", &pid));
	hand_exit(mine, "normal");
	run();
	ck_assert(!is_registered("mine", &pid));
	hand_exit(more, "normal");
}
END_TEST

START_TEST(a_lock_of_this_node_outlives_the_server)
{
	struct cnode_process *holder = hand(NULL);
	cnode_term resource = term("res"), me = term("me"), other = term("other"), request;
	struct cn_target to = { .name = SERVER };
	cnode_ref ref;
	ck_assert_int_eq(cnode_format(&request, "{set_lock,{~t,~t}}", resource, me), 0);
	ck_assert_int_eq(cn_gen_request(holder, &to, "$gen_call", request, &ref), 0);
	run();
	cn_gen_end(holder, ref);
	ck_assert(!cn_global_can_lock(G, resource, other));
	kill_one(G->server);
	ck_assert(!cn_global_can_lock(G, resource, other));
	hand_exit(holder, "normal");
	run();
	ck_assert(cn_global_can_lock(G, resource, other));
	cnode_term_drop(request);
	cnode_term_drop(resource);
	cnode_term_drop(me);
	cnode_term_drop(other);
}
END_TEST

static void (*really_again)(void *owner);
static int begun, told = 1;
static void register_meanwhile(void *owner)
{
	really_again(owner);
	cnode_term name = term("meanwhile");
	begun = cn_global_register(G, name, cn_procs_root(W.procs), registered, &told);
	cnode_term_drop(name);
}

/* As a spawn's thread may: who is told that he will be told hears something. */
START_TEST(a_registration_while_the_three_begin_anew_is_answered_or_refused)
{
	really_again = G->unit.again;
	G->unit.again = register_meanwhile;
	kill_one(G->server);
	ck_assert_ptr_nonnull(strstr(dropped, "all "));
	ck_assert_msg(begun == 0 ? told != 1 : begun == CNODE_ESHUTDOWN, "begun with %d, told %d", begun, told);
}
END_TEST

/* ---- memory ---- */

/* What the test itself does fails no allocation. */
static long left_;
static void hold(void)
{
	left_ = atomic_load(&alloc_fail_left);
	atomic_store(&alloc_fail_left, LONG_MAX);
}
static void go(void)
{
	atomic_store(&alloc_fail_left, left_);
}

static void remember_held(struct world *w, const struct cn_signal *sig)
{
	long left = atomic_exchange(&alloc_fail_left, LONG_MAX);
	remember(w, sig);
	atomic_store(&alloc_fail_left, left);
}

/* A message of another node; one that cannot be queued costs its connection, as in a node. */
static void say(const char *node, cnode_term t)
{
	cnode_name_of(node, &W.peer);
	struct cn_signal sig = FROM_PEER(MESSAGE, remote(55), ((cnode_pid){ 0 }), .term = t);
	sig.to_name = SERVER;
	go();
	int rc = cn_procs_deliver(W.procs, &sig);
	if (rc == 0)
		run();
	hold();
	if (rc != 0)
		strcat(dropped, "undelivered ");
}

static void say_frame(const char *node, const char *hex)
{
	cnode_term t = frame_term(hex);
	say(node, t);
	cnode_term_drop(t);
}

static void say_text(const char *node, const char *format)
{
	cnode_term t;
	at(node);
	ck_assert_int_eq(cnode_format(&t, format, remote(55), remote_ref(1)), 0);
	say(node, t);
	cnode_term_drop(t);
}

static void comes(const char *node, bool up)
{
	cnode_name_of(node, &W.peer);
	struct cn_node_event e = { .node = W.peer, .connection_id = W.epoch, .visible = true, .up = up,
				   .reason = up ? (cnode_term){ 0 } : cn_term_static("w\21connection_closed", 19) };
	go();
	cn_procs_node_event(W.procs, &e);
	run();
	hold();
}

static void time_passes(void)
{
	for (int i = 0; i < 3; i++) {
		cn_sched_expire(W.procs, cn_now() + 61 * CN_NS_PER_S, 1000);
		run();
	}
}

static void life(void)
{
	cnode_pid pid;
	int code = 1;
	hold();
	setup();
	forget();
	W.hook = remember_held;
	struct cnode_process *mine = hand(NULL);
	cnode_term name = term("mine");
	go();
	bool asked = cn_global_register(G, name, cnode_self(mine), registered, &code) == 0;
	run();
	hold();
	comes("r1@vm", true);
	say_frame("r1@vm", frame_init_connect_25);
	say_frame("r1@vm", frame_lock_set_25);
	say_frame("r1@vm", frame_exchange_25);
	say_frame("r1@vm", frame_resolved_25);
	time_passes();
	say_text("r1@vm", "{'$gen_call',{~p,~r},{set_lock,{some,me}}}");
	say_text("r1@vm", "{'$gen_cast',{new_nodes,r1@vm,[{insert,{told,~p,m}}],[],[{o27@vm,8}],[{vsn,8}]}}");
	time_passes();          /* who waited for this node has waited enough */
	/* Either all was said and done, or the connection is closed. */
	bool done = is_registered("c_notify", &pid) && is_registered("told", &pid) && !locks_global_is_set(G) &&
		    was_said("{resolved,px@vm,") != NULL && was_said(",true}") != NULL;
	ck_assert_msg(done || dropped[0], "half of it is done, and r1@vm believes all is");
	/* Then they are gone, and the services are as good as new. */
	at("r1@vm");
	uint64_t epoch = atomic_fetch_add(&W.epoch, 1);
	ck_assert(cn_procs_nodedown(W.procs, W.peer, epoch, "noconnection", 1000));
	struct cn_node_event down = { .node = W.peer, .connection_id = epoch, .visible = true,
				      .reason = cn_term_static("w\21connection_closed", 19) };
	cn_procs_node_event(W.procs, &down);
	/* As do those that were told of and could not be reached. */
	for (int i = 0; i < 2; i++) {
		at(((const char *[]){ "r2@vm", "o27@vm" })[i]);
		ck_assert(cn_procs_nodedown(W.procs, W.peer, epoch, "noconnection", 1000));
	}
	run();
	ck_assert(!locks_global_is_set(G));
	time_passes();
	ck_assert(!is_registered("c_notify", &pid));
	/* Who asked was answered; with a yes it is so, with anything else it may be. */
	ck_assert(!asked || code != 1);
	ck_assert(!asked || code != 0 || is_registered("mine", &pid));
	forget();
	at("o29@vm");
	tell_server("o29@vm", "{'$gen_call',{~p,~r},get_known}", remote(55), remote_ref(2));
	ck_assert_ptr_nonnull(was_said(",[]}"));
	struct cnode_process *another = hand(NULL);
	name_it("later", cnode_self(another));
	hand_exit(mine, "normal");
	hand_exit(another, "normal");
	run();
	ck_assert(!is_registered("later", &pid));
	cnode_term_drop(name);
	teardown();
	go();
}

/* Whichever allocation fails when it is looked at: the next time it is looked at again. */
START_TEST(a_node_that_holds_the_lock_is_watched_also_when_memory_lacked)
{
	alloc_fail_install();
	bool failed;
	long k = 0;
	do {
		event("r1@vm", true);
		at("r1@vm");
		tell_server("r1@vm", "{'$gen_call',{~p,~r},{set_lock,{global,me}}}", remote(55), remote_ref(1));
		ck_assert_uint_eq(looked().locks, 1);
		alloc_fail_at(++k, 0);
		pass(61);
		failed = alloc_fail_never();
		for (int i = 0; i < 3; i++) {
			(void)cn_global_stalls(G, cn_now());
			pass(61);
		}
		/* Without memory for itself the server begins anew, and closes all. */
		ck_assert_msg(strstr(dropped, "r1@vm ") || strstr(dropped, "all "), "allocation %ld", k);
		teardown();
		setup();
	} while (failed);
	ck_assert_int_gt(k, 5);
}
END_TEST

START_TEST(without_memory_it_says_all_or_lets_go)
{
	alloc_fail_each(life);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("global_memory");
	TCase *t = tcase_create("ends");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, when_one_of_the_three_ends_all_begin_anew_without_the_others, 0, 3);
	tcase_add_test(t, a_lock_of_this_node_outlives_the_server);
	tcase_add_test(t, a_registration_while_the_three_begin_anew_is_answered_or_refused);
	tcase_add_test(t, a_node_that_holds_the_lock_is_watched_also_when_memory_lacked);
	suite_add_tcase(s, t);
	t = tcase_create("memory");
	tcase_add_test(t, without_memory_it_says_all_or_lets_go);
	suite_add_tcase(s, t);
	return tap_run(s);
}
