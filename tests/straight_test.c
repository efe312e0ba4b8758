/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Straight-line code (cnode_behaviour.run): on one node, and between two over loopback. What BEAM nodes
 * see of it is conformance's matter (run.*).
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "cnode/cnode.h"
#include "tests/alloc_fail.h"
#include "tests/loopback.h"
#include "tests/tap.h"


static cnode_node *node, *other;
static cnode_mailbox *mb;
static cnode_pid me;

/* ---- what a process under test does, and what became of it ---- */

struct life {
	_Atomic int inits, runs, terminates, releases;
	_Atomic int code;               /* what its last wait or send returned */
	_Atomic bool go;                /* lets a spinning one look */
	_Atomic uintptr_t thread;
	int (*body)(cnode_mailbox *self, struct life *life, const cnode_start *how);
	int init_code;
};

static int life_init(cnode_process *self, void *state, const cnode_start *how)
{
	struct life *l = how->context;
	(void)self;
	*(struct life **)state = l;
	l->inits++;
	return l->init_code;
}

static int life_run(cnode_mailbox *self, void *state, const cnode_start *how)
{
	struct life *l = *(struct life **)state;
	ck_assert_ptr_eq(how->context, l);
	l->runs++;
	atomic_store(&l->thread, (uintptr_t)pthread_self());
	return l->body(self, l, how);
}

static void life_terminate(cnode_process *self, void *state, cnode_term reason)
{
	(void)self;
	(void)reason;
	(*(struct life **)state)->terminates++;
}

static void life_release(void *state)
{
	(*(struct life **)state)->releases++;
}

static const cnode_behaviour life_behaviour = {
	CNODE_BEHAVIOUR_INIT, .state_size = sizeof(struct life *), .init = life_init, .terminate = life_terminate,
	.release = life_release, .run = life_run,
};

/* ---- bodies ---- */

/* Receives until that ends, echoing calls; `stop` and {stop,R} in casts. */
static int echo(cnode_mailbox *self, struct life *l, const cnode_start *how)
{
	cnode_process *process = cnode_mailbox_process(self);
	cnode_info in;
	cnode_term from, request, reason;
	int rc;
	(void)how;
	while ((rc = cnode_receive(self, &in, CNODE_INFINITY)) == 0) {
		if (cnode_scan(in.message, "{'$gen_call',~t,~t}", &from, &request) == 0)
			cnode_reply_to(process, from, "~t", request);
		else if (cnode_scan(in.message, "{'$gen_cast',stop}") == 0)
			return 0;
		else if (cnode_scan(in.message, "{'$gen_cast',{stop,~t}}", &reason) == 0)
			return cnode_stop(process, "~t", reason);
		else if (cnode_scan(in.message, "{'$gen_cast',fail}") == 0)
			return CNODE_EIO;
	}
	l->code = rc;
	return rc;
}

/* Spins until it is cancelled. */
static int spin(cnode_mailbox *self, struct life *l, const cnode_start *how)
{
	cnode_process *process = cnode_mailbox_process(self);
	cnode_pid caller;
	if (cnode_scan(how->args, "[~p]", &caller) == 0)
		cnode_send(process, caller, "spinning");
	while (!cnode_cancelled(process))
		sched_yield();
	while (!atomic_load(&l->go))
		sched_yield();
	l->code = cnode_send(process, caller, "late");
	return 0;
}

/* ---- one node ---- */

static void open_with(int threads, int max_run)
{
	cnode_config cfg = CNODE_CONFIG_INIT;
	cfg.log_level = CNODE_LOG_ERROR;
	cfg.threads = threads;
	cfg.max_run_threads = max_run;
	cfg.shutdown_timeout = 1;
	ck_assert_msg(cnode_node_new(&cfg, &node) == 0, "%s", cnode_node_error(node));
	ck_assert_msg(cnode_node_start(node) == 0, "%s", cnode_node_error(node));
	ck_assert_int_eq(cnode_mailbox_open(node, NULL, &mb), 0);
	me = cnode_self(cnode_mailbox_process(mb));
}

static void open_node(void)
{
	open_with(CNODE_THREADS_AUTO, 3);
}

static void close_node(void)
{
	cnode_mailbox_close(mb);
	cnode_node_free(node);
}

static cnode_pid begin(struct life *l)
{
	cnode_term args;
	cnode_pid pid;
	ck_assert_int_eq(cnode_format(&args, "[~p]", me), 0);
	ck_assert_msg(cnode_process_start(node, NULL, &life_behaviour, l, args, &pid) == 0, "%s", cnode_node_error(node));
	cnode_term_drop(args);
	return pid;
}

static int64_t call(cnode_pid pid, int64_t n)
{
	cnode_term reply;
	int64_t answer;
	ck_assert_msg(cnode_call(mb, pid, TAP_WAIT_MS, &reply, "~q", n) == 0, "%s", cnode_mailbox_error(mb));
	ck_assert_int_eq(cnode_scan(reply, "~q", &answer), 0);
	cnode_term_drop(reply);
	return answer;
}

static cnode_ref watch(cnode_pid pid)
{
	cnode_ref ref;
	ck_assert_int_eq(cnode_monitor(cnode_mailbox_process(mb), pid, &ref), 0);
	return ref;
}

/* The next message is the end of a process, with this reason. */
static void ends(cnode_ref ref, const char *reason)
{
	cnode_info in;
	char text[200];
	ck_assert_int_eq(cnode_receive(mb, &in, TAP_WAIT_MS), 0);
	ck_assert_int_eq(in.kind, CNODE_DOWN);
	ck_assert(cnode_ref_equal(in.ref, ref));
	cnode_term_print(in.reason, text, sizeof text);
	ck_assert_str_eq(text, reason);
}

static void cast(cnode_pid pid, const char *what)
{
	ck_assert_int_eq(cnode_cast(cnode_mailbox_process(mb), pid, what), 0);
}

/* Its remains are behind the DOWN. */
static void released(struct life *l)
{
	while (!atomic_load(&l->releases))
		sched_yield();
}

START_TEST(receives_on_a_thread_of_its_own_and_answers_calls)
{
	struct life l = { .body = echo };
	cnode_pid pid = begin(&l);
	for (int64_t i = 0; i < 100; i++)
		ck_assert_int_eq(call(pid, i), i);
	cnode_process_info look = CNODE_PROCESS_INFO_INIT;
	do {                            /* it goes back to its receive behind the answer */
		ck_assert_int_eq(cnode_process_look(node, pid, &look), 0);
	} while (look.status == CNODE_RUNNING);
	ck_assert_int_eq(look.status, CNODE_WAITING);
	ck_assert_uint_eq(look.handled, 100);
	ck_assert_uint_gt(look.run_ns, 0);
	cnode_ref ref = watch(pid);
	cast(pid, "stop");
	ends(ref, "normal");
	released(&l);
	ck_assert_int_eq(l.inits, 1);
	ck_assert_int_eq(l.runs, 1);
	ck_assert_int_eq(l.terminates, 1);
	ck_assert_int_eq(l.releases, 1);
}
END_TEST

START_TEST(ends_with_what_it_was_stopped_with_or_returned)
{
	struct life l = { .body = echo };
	cnode_pid pid = begin(&l);
	cnode_ref ref = watch(pid);
	cast(pid, "{stop,{shutdown,done}}");
	ends(ref, "{shutdown,done}");
	released(&l);
	struct life m = { .body = echo };
	pid = begin(&m);
	ref = watch(pid);
	cast(pid, "fail");
	cnode_info in;
	cnode_atom code;
	cnode_term text;
	ck_assert_int_eq(cnode_receive(mb, &in, TAP_WAIT_MS), 0);
	ck_assert_int_eq(in.kind, CNODE_DOWN);
	ck_assert_int_eq(cnode_scan(in.reason, "{cnode,~a,~t}", &code, &text), 0);
	ck_assert_str_eq(code.text, cnode_error_atom(CNODE_EIO));
	released(&m);
	ck_assert_int_eq(m.terminates, 1);
}
END_TEST

START_TEST(an_init_that_refuses_is_the_answer_and_nothing_runs)
{
	struct life l = { .body = echo, .init_code = CNODE_EBADARG };
	cnode_pid pid;
	cnode_term none = { 0 };
	ck_assert_int_eq(cnode_factory_add(node, "refuses", &life_behaviour, &l, CNODE_ALL_NODES), 0);
	ck_assert_int_eq(cnode_parse("[]", &none, NULL), 0);
	ck_assert_int_eq(cnode_spawn_remote(mb, NULL, "refuses", none, NULL, &pid), CNODE_EBADARG);
	l.init_code = 0;
	cnode_spawn_options o = CNODE_SPAWN_INIT;
	o.link = true;
	ck_assert_msg(cnode_spawn_remote(mb, NULL, "refuses", none, &o, &pid) == 0, "%s", cnode_mailbox_error(mb));
	ck_assert_int_eq(call(pid, 7), 7);
	ck_assert_int_eq(cnode_unlink(cnode_mailbox_process(mb), pid), 0);
	cnode_ref ref = watch(pid);
	cast(pid, "stop");
	ends(ref, "normal");
	cnode_term_drop(none);
	while (atomic_load(&l.releases) < 2)
		sched_yield();
	ck_assert_int_eq(l.inits, 2);
	ck_assert_int_eq(l.runs, 1);
	ck_assert_int_eq(l.terminates, 1);
}
END_TEST

START_TEST(killed_in_a_receive_it_is_gone_at_once_and_unwinds)
{
	struct life l = { .body = echo };
	cnode_pid pid = begin(&l);
	ck_assert_int_eq(call(pid, 1), 1);
	cnode_ref ref = watch(pid);
	ck_assert_int_eq(cnode_exit(cnode_mailbox_process(mb), pid, "kill"), 0);
	ends(ref, "killed");
	released(&l);
	ck_assert_int_eq(l.code, CNODE_EEXITED);
	ck_assert_int_eq(l.terminates, 0);      /* left out after a kill */
	pid = begin(&l);
	ck_assert_int_eq(call(pid, 1), 1);
	ref = watch(pid);
	ck_assert_int_eq(cnode_exit(cnode_mailbox_process(mb), pid, "because"), 0);
	ends(ref, "because");
	while (atomic_load(&l.releases) < 2)
		sched_yield();
	ck_assert_int_eq(l.terminates, 1);
}
END_TEST

START_TEST(killed_while_it_spins_it_is_gone_at_once_and_its_sends_fail)
{
	struct life l = { .body = spin };
	cnode_info in;
	cnode_pid pid = begin(&l);
	ck_assert_int_eq(cnode_receive(mb, &in, TAP_WAIT_MS), 0);
	cnode_ref ref = watch(pid);
	ck_assert_int_eq(cnode_exit(cnode_mailbox_process(mb), pid, "kill"), 0);
	ends(ref, "killed");
	ck_assert(!cnode_is_alive(node, pid));
	ck_assert_int_eq(l.releases, 0);
	atomic_store(&l.go, true);
	released(&l);
	ck_assert_int_eq(l.code, CNODE_EEXITED);
	ck_assert_int_eq(cnode_receive(mb, &in, 0), CNODE_ETIMEOUT);
}
END_TEST

/* Traps exits, and says which came. */
static int trap(cnode_mailbox *self, struct life *l, const cnode_start *how)
{
	cnode_process *process = cnode_mailbox_process(self);
	cnode_pid caller;
	cnode_info in;
	(void)l;
	cnode_trap_exit(process, true);
	cnode_scan(how->args, "[~p]", &caller);
	cnode_send(process, caller, "ready");
	int rc = cnode_receive(self, &in, CNODE_INFINITY);
	if (rc != 0 || in.kind != CNODE_EXIT)
		return CNODE_EINTERNAL;
	return cnode_stop(process, "{saw,~t}", in.reason);
}

START_TEST(an_exit_that_it_traps_is_a_message)
{
	struct life l = { .body = trap };
	cnode_info in;
	cnode_pid pid = begin(&l);
	ck_assert_int_eq(cnode_receive(mb, &in, TAP_WAIT_MS), 0);
	cnode_ref ref = watch(pid);
	ck_assert_int_eq(cnode_exit(cnode_mailbox_process(mb), pid, "tea"), 0);
	ends(ref, "{saw,tea}");
	released(&l);
}
END_TEST

static bool is_number(void *context, const cnode_info *m)
{
	int64_t n;
	return cnode_scan(m->message, "{n,~q}", &n) == 0 && n == *(int64_t *)context;
}

static const int64_t order[] = { 3, 1, 2 };

/* Takes {n,N} in this order, whatever the order they come in, then the rest. */
static int choose(cnode_mailbox *self, struct life *l, const cnode_start *how)
{
	cnode_info in;
	cnode_pid caller;
	cnode_atom rest;
	(void)l;
	cnode_scan(how->args, "[~p]", &caller);
	for (size_t i = 0; i < 3; i++) {
		int64_t n = order[i];
		if (cnode_receive_if(self, is_number, &n, &in, TAP_WAIT_MS) != 0)
			return CNODE_EINTERNAL;
		cnode_send(cnode_mailbox_process(self), caller, "~q", n);
	}
	int64_t none = 9;
	if (cnode_receive_if(self, is_number, &none, &in, 1) != CNODE_ETIMEOUT)
		return CNODE_EINTERNAL;
	if (cnode_receive(self, &in, TAP_WAIT_MS) != 0 || cnode_scan(in.message, "~a", &rest) != 0)
		return CNODE_EINTERNAL;
	return cnode_stop(cnode_mailbox_process(self), "~a", rest.text);
}

START_TEST(a_selective_receive_leaves_the_others_where_they_are)
{
	struct life l = { .body = choose };
	cnode_info in;
	cnode_pid pid = begin(&l);
	cnode_process *self = cnode_mailbox_process(mb);
	cnode_send(self, pid, "first");
	for (int64_t n = 1; n <= 3; n++)
		cnode_send(self, pid, "{n,~q}", n);
	cnode_ref ref = watch(pid);
	for (size_t i = 0; i < 3; i++) {
		int64_t n;
		ck_assert_int_eq(cnode_receive(mb, &in, TAP_WAIT_MS), 0);
		ck_assert_int_eq(cnode_scan(in.message, "~q", &n), 0);
		ck_assert_int_eq(n, order[i]);
	}
	ends(ref, "first");
	released(&l);
}
END_TEST

START_TEST(more_than_max_run_threads_are_refused_and_threads_are_used_again)
{
	struct life l[4] = { { .body = echo }, { .body = echo }, { .body = echo }, { .body = echo } };
	cnode_pid pid[3], refused;
	cnode_term none;
	for (int i = 0; i < 3; i++) {
		pid[i] = begin(&l[i]);
		ck_assert_int_eq(call(pid[i], i), i);
	}
	ck_assert_int_eq(cnode_parse("[]", &none, NULL), 0);
	ck_assert_int_eq(cnode_factory_add(node, "one_more", &life_behaviour, &l[3], CNODE_ALL_NODES), 0);
	ck_assert_int_eq(cnode_spawn_remote(mb, NULL, "one_more", none, NULL, &refused), CNODE_ESYSLIMIT);
	ck_assert_int_eq(l[3].inits, 0);
	cnode_ref ref = watch(pid[1]);
	cast(pid[1], "stop");
	ends(ref, "normal");
	released(&l[1]);
	/* The thread is free a moment behind the state. */
	int rc;
	while ((rc = cnode_spawn_remote(mb, NULL, "one_more", none, NULL, &pid[1])) == CNODE_ESYSLIMIT)
		sched_yield();
	ck_assert_msg(rc == 0, "%s", cnode_mailbox_error(mb));
	ck_assert_int_eq(call(pid[1], 5), 5);
	ck_assert(l[3].thread == l[1].thread);
	cnode_term_drop(none);
	for (int i = 0; i < 3; i++) {
		ref = watch(pid[i]);
		cast(pid[i], "stop");
		ends(ref, "normal");
		released(i == 1 ? &l[3] : &l[i]);
	}
}
END_TEST

static int never(cnode_process *self, void *state, void *context, const cnode_answer *answer)
{
	(void)self;
	(void)state;
	(void)context;
	(void)answer;
	return CNODE_EINTERNAL;
}

/* Does what only code that may wait can do. */
static int ask(cnode_mailbox *self, struct life *l, const cnode_start *how)
{
	cnode_process *process = cnode_mailbox_process(self);
	cnode_pid caller, pid;
	cnode_term none, reply;
	cnode_info in;
	cnode_scan(how->args, "[~p]", &caller);
	cnode_parse("[]", &none, NULL);
	cnode_spawn_options o = CNODE_SPAWN_INIT;
	o.link = true;
	cnode_trap_exit(process, true);
	int rc = cnode_spawn_remote(self, NULL, "helper", none, &o, &pid);
	cnode_term_drop(none);
	if (rc == 0)
		rc = cnode_call(self, pid, TAP_WAIT_MS, &reply, "{hello,~q}", (int64_t)1);
	if (rc != 0)
		return rc;
	cnode_send(process, caller, "~t", reply);
	cnode_term_drop(reply);
	l->code = cnode_call(self, caller, 1, &reply, "nobody_answers");
	if (cnode_after(process, 1, never, NULL) != CNODE_ESTATE || cnode_call_async(process, pid, 1, never, NULL, "x") != CNODE_ESTATE)
		return CNODE_EINTERNAL;
	cnode_mailbox_close(self);      /* is not his to close */
	cnode_cast(process, pid, "{stop,enough}");
	rc = cnode_receive(self, &in, TAP_WAIT_MS);
	return rc != 0 ? rc : cnode_stop(process, "{helper,~t}", in.reason);
}

START_TEST(it_spawns_links_and_calls_as_it_goes)
{
	struct life l = { .body = ask }, h = { .body = echo };
	cnode_info in;
	ck_assert_int_eq(cnode_factory_add(node, "helper", &life_behaviour, &h, CNODE_NO_NODES), 0);
	cnode_pid pid = begin(&l);
	cnode_ref ref = watch(pid);
	ck_assert_int_eq(cnode_receive(mb, &in, TAP_WAIT_MS), 0);
	ck_assert_int_eq(cnode_scan(in.message, "{hello,1}"), 0);
	ck_assert_int_eq(cnode_receive(mb, &in, TAP_WAIT_MS), 0);     /* the call that nobody answers */
	ends(ref, "{helper,enough}");
	ck_assert_int_eq(l.code, CNODE_ETIMEOUT);
	released(&l);
	released(&h);
}
END_TEST

START_TEST(what_it_cannot_be_is_refused_with_a_sentence)
{
	cnode_behaviour b = life_behaviour;
	cnode_term none = { 0 };
	b.idle_timeout_ms = 5;
	ck_assert_int_eq(cnode_factory_add(node, "x", &b, NULL, "*"), CNODE_EBADARG);
	ck_assert_ptr_nonnull(strstr(cnode_node_error(node), "factory x: a behaviour with run"));
	b = life_behaviour;
	b.flags = CNODE_PROMPT;
	ck_assert_int_eq(cnode_process_start(node, "y", &b, NULL, none, NULL), CNODE_EBADARG);
	ck_assert_ptr_nonnull(strstr(cnode_node_error(node), "process y: a behaviour with run"));
}
END_TEST

START_TEST(a_node_without_threads_refuses_it)
{
	cnode_term none = { 0 };
	open_with(CNODE_THREADS_NONE, 0);
	ck_assert_int_eq(cnode_factory_add(node, "x", &life_behaviour, NULL, "*"), CNODE_ENOTSUP);
	ck_assert_int_eq(cnode_process_start(node, "y", &life_behaviour, NULL, none, NULL), CNODE_ENOTSUP);
	ck_assert_ptr_nonnull(strstr(cnode_node_error(node), "CNODE_THREADS_NONE"));
	close_node();
}
END_TEST

/* ---- the end of the node ---- */

START_TEST(a_node_that_stops_ends_its_wait_and_waits_for_its_end)
{
	struct life l = { .body = echo };
	open_node();
	ck_assert_int_eq(call(begin(&l), 1), 1);
	cnode_mailbox_close(mb);
	cnode_node_stop(node);
	ck_assert_int_eq(cnode_node_wait(node), 0);
	ck_assert_int_eq(l.releases, 1);
	ck_assert_int_eq(l.terminates, 1);
	ck_assert_int_eq(l.code, CNODE_ESHUTDOWN);
	cnode_node_free(node);
}
END_TEST

/* Hears of exits and goes on. */
static int stubborn(cnode_mailbox *self, struct life *l, const cnode_start *how)
{
	cnode_info in;
	(void)how;
	cnode_trap_exit(cnode_mailbox_process(self), true);
	cnode_pid caller;
	cnode_scan(how->args, "[~p]", &caller);
	cnode_send(cnode_mailbox_process(self), caller, "ready");
	do
		l->code = cnode_receive(self, &in, CNODE_INFINITY);
	while (l->code == 0);
	return 0;
}

START_TEST(one_that_traps_exits_and_stays_is_left_behind_and_still_unwinds)
{
	struct life l = { .body = stubborn };
	cnode_info in;
	open_node();
	begin(&l);
	ck_assert_int_eq(cnode_receive(mb, &in, TAP_WAIT_MS), 0);
	cnode_mailbox_close(mb);
	cnode_node_stop(node);
	ck_assert_int_eq(cnode_node_wait(node), CNODE_ETIMEOUT);
	cnode_node_free(node);          /* waits for its thread, which ends */
	ck_assert_int_eq(l.code, CNODE_ESHUTDOWN);
	ck_assert_int_eq(l.releases, 1);
}
END_TEST

/* ---- between two nodes ---- */

#define FLOOD 200
static const char blob[65536];

/* Sends more than the peer takes for now. */
static int flood(cnode_mailbox *self, struct life *l, const cnode_start *how)
{
	cnode_process *process = cnode_mailbox_process(self);
	(void)how;
	for (int i = 0; i < FLOOD && l->code == 0; i++)
		l->code = cnode_send_name(process, "sink", "b@127.0.0.1", "~b", blob, sizeof blob);
	return 0;
}

static cnode_node *networked(const char *name)
{
	cnode_config cfg = loopback_config(name);
	cnode_node *made = NULL;
	cfg.out_high_water = 100000;
	ck_assert_msg(cnode_node_new(&cfg, &made) == 0, "%s", cnode_node_error(made));
	return made;
}

START_TEST(sends_to_another_node_wait_for_it_and_none_is_lost)
{
	struct life l = { .body = flood };
	cnode_mailbox *sink;
	cnode_info in;
	char address[64];
	other = networked("b@127.0.0.1");
	ck_assert_int_eq(cnode_node_start(other), 0);
	ck_assert_int_eq(cnode_mailbox_open(other, "sink", &sink), 0);
	node = networked("a@127.0.0.1");
	snprintf(address, sizeof address, "127.0.0.1:%u", (unsigned)cnode_node_port(other));
	ck_assert_int_eq(cnode_node_route(node, "b@127.0.0.1", address), 0);
	ck_assert_int_eq(cnode_node_start(node), 0);
	ck_assert_int_eq(cnode_mailbox_open(node, NULL, &mb), 0);
	me = cnode_self(cnode_mailbox_process(mb));
	begin(&l);
	for (int i = 0; i < FLOOD; i++) {
		ck_assert_int_eq(cnode_receive(sink, &in, TAP_WAIT_MS), 0);
		ck_assert_int_eq(cnode_term_type(in.message), CNODE_TYPE_BINARY);
	}
	released(&l);
	ck_assert_int_eq(l.code, 0);
	cnode_mailbox_close(sink);
	close_node();
	cnode_node_free(other);
}
END_TEST

/* ---- many, and without memory ---- */

#define MANY 400

START_TEST(many_come_and_go_while_others_kill_them)
{
	struct life l = { .body = echo };
	int started = 0;
	open_with(CNODE_THREADS_AUTO, 16);
	cnode_process *self = cnode_mailbox_process(mb);
	cnode_term none;
	ck_assert_int_eq(cnode_parse("[]", &none, NULL), 0);
	ck_assert_int_eq(cnode_factory_add(node, "many", &life_behaviour, &l, CNODE_NO_NODES), 0);
	while (started < MANY) {
		cnode_pid pid;
		int rc = cnode_spawn_remote(mb, NULL, "many", none, NULL, &pid);
		ck_assert(rc == 0 || rc == CNODE_ESYSLIMIT);
		if (rc != 0) {
			sched_yield();
			continue;
		}
		started++;
		cnode_cast(self, pid, "hello");
		if (started % 3 == 0)
			cnode_exit(self, pid, "kill");
		else if (started % 3 == 1)
			cnode_cast(self, pid, "stop");
		else
			cnode_exit(self, pid, "shutdown");
	}
	cnode_term_drop(none);
	while (atomic_load(&l.releases) < MANY)
		sched_yield();
	close_node();
	ck_assert_int_eq(l.inits, MANY);
	ck_assert_int_le(l.runs, MANY);
}
END_TEST

/* A message to itself, and its end. */
static int brief(cnode_mailbox *self, struct life *l, const cnode_start *how)
{
	cnode_info in;
	cnode_process *process = cnode_mailbox_process(self);
	(void)how;
	l->code = cnode_send(process, cnode_self(process), "{hello,~q}", (int64_t)1);
	return l->code != 0 ? l->code : cnode_receive(self, &in, TAP_WAIT_MS);
}

static void without_memory(void)
{
	struct life l = { .body = brief };
	cnode_term none = { 0 };
	cnode_pid pid;
	long left = atomic_load(&alloc_fail_left);
	/* Only what the process needs is to fail. */
	atomic_store(&alloc_fail_left, INT32_MAX);
	open_with(2, 2);
	atomic_store(&alloc_fail_left, left);
	if (cnode_process_start(node, NULL, &life_behaviour, &l, none, &pid) == 0)
		while (cnode_is_alive(node, pid))
			sched_yield();
	bool hit = atomic_load(&alloc_fail_hit);
	atomic_store(&alloc_fail_hit, 0);
	atomic_store(&alloc_fail_left, INT32_MAX);
	close_node();
	atomic_store(&alloc_fail_hit, hit);
	ck_assert_int_eq(l.releases, l.inits);
}

START_TEST(without_memory_it_is_refused_or_ends_and_nothing_leaks)
{
	alloc_fail_each(without_memory);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("straight");
	TCase *tc = tcase_create("a node");
	tcase_add_checked_fixture(tc, open_node, close_node);
	tcase_add_test(tc, receives_on_a_thread_of_its_own_and_answers_calls);
	tcase_add_test(tc, ends_with_what_it_was_stopped_with_or_returned);
	tcase_add_test(tc, an_init_that_refuses_is_the_answer_and_nothing_runs);
	tcase_add_test(tc, killed_in_a_receive_it_is_gone_at_once_and_unwinds);
	tcase_add_test(tc, killed_while_it_spins_it_is_gone_at_once_and_its_sends_fail);
	tcase_add_test(tc, an_exit_that_it_traps_is_a_message);
	tcase_add_test(tc, a_selective_receive_leaves_the_others_where_they_are);
	tcase_add_test(tc, more_than_max_run_threads_are_refused_and_threads_are_used_again);
	tcase_add_test(tc, it_spawns_links_and_calls_as_it_goes);
	tcase_add_test(tc, what_it_cannot_be_is_refused_with_a_sentence);
	suite_add_tcase(s, tc);
	tc = tcase_create("its end");
	tcase_add_test(tc, a_node_without_threads_refuses_it);
	tcase_add_test(tc, a_node_that_stops_ends_its_wait_and_waits_for_its_end);
	tcase_add_test(tc, one_that_traps_exits_and_stays_is_left_behind_and_still_unwinds);
	tcase_add_test(tc, sends_to_another_node_wait_for_it_and_none_is_lost);
	tcase_add_test(tc, many_come_and_go_while_others_kill_them);
	tcase_add_test(tc, without_memory_it_is_refused_or_ends_and_nothing_leaks);
	suite_add_tcase(s, tc);
	return tap_run(s);
}
