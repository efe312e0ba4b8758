/* SPDX-License-Identifier: Apache-2.0 */
/* global: whole nodes in one program that form a cluster over loopback. */
#include "cnode/base/base.h"
#include "cnode/cnode.h"
#include "tests/loopback.h"
#include "tests/tap.h"

#include <stdio.h>

#define SERVER "global_name_server"

static cnode_term term(const char *text)
{
	cnode_term t;
	ck_assert_int_eq(cnode_parse(text, &t, NULL), 0);
	return t;
}

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
	cnode_config cfg = loopback_config(name);
	cnode_node *n;
	cfg.hidden = hidden;
	cfg.shutdown_timeout = 10;
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
	ck_assert_msg(cnode_connect_wait(box[i], names[n], TAP_WAIT_MS) == 0, "%s", cnode_mailbox_error(box[i]));
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
			ck_assert_msg(cnode_global_sync(box[i], TAP_WAIT_MS) == 0, "%s", cnode_mailbox_error(box[i]));
			peers = 0;
			cnode_peers(node[i], count_peer, &peers);
		}
	for (int i = 0; i < NODES; i++)
		ck_assert_int_eq(cnode_global_sync(box[i], TAP_WAIT_MS), 0);
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
	for (int tries = 0; tries < TAP_WAIT_MS; tries++) {
		int rc = cnode_global_whereis(node[i], name, &pid);
		if (cnode_pid_is_none(want) ? rc == CNODE_ENOENT : rc == 0 && cnode_pid_equal(pid, want))
			return true;
		cnode_term reply;
		/* A turn of the server: what it has to do comes before. */
		if (cnode_call_name(box[i], SERVER, NULL, TAP_WAIT_MS, &reply, "get_known") == 0)
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
		ck_assert_msg(cnode_global_register(box[i], name, self_of(i), NULL, TAP_WAIT_MS) == 0, "%s", cnode_mailbox_error(box[i]));
		all_agree(name, self_of(i));
		int other = (i + 1) % NODES;
		ck_assert_int_eq(cnode_global_register(box[other], name, self_of(other), NULL, TAP_WAIT_MS), CNODE_ENAMETAKEN);
		ck_assert_ptr_nonnull(strstr(cnode_mailbox_error(box[other]), "taken"));
		ck_assert_int_eq(cnode_global_send(cnode_mailbox_process(box[other]), name, "hello"), 0);
		ck_assert_int_eq(cnode_receive(box[i], &info, TAP_WAIT_MS), 0);
		ck_assert_int_eq(cnode_scan(info.message, "hello"), 0);
		ck_assert_int_eq(cnode_global_re_register(box[other], name, self_of(other), CNODE_GLOBAL_NOTIFY, TAP_WAIT_MS), 0);
		all_agree(name, self_of(other));
		ck_assert_int_eq(cnode_global_unregister(box[i], name, TAP_WAIT_MS), 0);
		all_agree(name, (cnode_pid){ 0 });
		ck_assert_int_eq(cnode_global_send(cnode_mailbox_process(box[other]), name, "hello"), CNODE_ENOENT);
		cnode_term_drop(name);
	}
	cnode_term name = term("x");
	ck_assert_int_eq(cnode_global_register(box[0], name, self_of(0), "nofunction", TAP_WAIT_MS), CNODE_EBADARG);
	cnode_term_drop(name);
	close_nodes();
}
END_TEST

START_TEST(a_process_has_one_name_unless_it_is_re_registered)
{
	open_cluster();
	cnode_term x = term("x"), y = term("y");
	ck_assert_int_eq(cnode_global_register(box[0], x, self_of(0), NULL, TAP_WAIT_MS), 0);
	ck_assert_int_eq(cnode_global_register(box[0], y, self_of(0), NULL, TAP_WAIT_MS), CNODE_ENAMETAKEN);
	ck_assert_int_eq(cnode_global_re_register(box[0], y, self_of(0), NULL, TAP_WAIT_MS), 0);
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
	ck_assert_int_eq(cnode_global_register(box[1], x, pid, NULL, TAP_WAIT_MS), 0);
	all_agree(x, pid);
	cnode_mailbox_close(short_lived);
	all_agree(x, (cnode_pid){ 0 });
	ck_assert_int_eq(cnode_global_register(box[2], y, self_of(2), NULL, TAP_WAIT_MS), 0);
	cnode_node_stop(node[2]);
	for (int i = 0; i < 2; i++)
		ck_assert(agrees(i, y, (cnode_pid){ 0 }));
	/* The others are still together, and go on. */
	ck_assert_int_eq(cnode_global_register(box[0], y, self_of(0), NULL, TAP_WAIT_MS), 0);
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
	ck_assert_int_eq(cnode_global_set_lock(box[0], resource, me, NULL, 0, TAP_WAIT_MS), 0);
	ck_assert_int_eq(cnode_global_set_lock(box[1], resource, you, NULL, 0, TAP_WAIT_MS), CNODE_EBUSY);
	ck_assert_int_eq(cnode_global_set_lock(box[1], resource, you, NULL, CNODE_FOREVER, 50), CNODE_EBUSY);
	/* The same requester is let in; the lock goes with the last. */
	ck_assert_int_eq(cnode_global_set_lock(box[2], resource, me, NULL, 0, TAP_WAIT_MS), 0);
	ck_assert_int_eq(cnode_global_del_lock(box[0], resource, me, NULL, TAP_WAIT_MS), 0);
	ck_assert_int_eq(cnode_global_set_lock(box[1], resource, you, NULL, 0, TAP_WAIT_MS), CNODE_EBUSY);
	cnode_mailbox_close(box[2]);
	box[2] = NULL;
	ck_assert_int_eq(cnode_global_set_lock(box[1], resource, you, NULL, CNODE_FOREVER, TAP_WAIT_MS), 0);
	/* A lock on one node only. */
	const char *only[] = { names[1], NULL }, *bad[] = { "nowhere", NULL };
	cnode_term other = term("other");
	ck_assert_int_eq(cnode_global_set_lock(box[0], other, me, only, 0, TAP_WAIT_MS), 0);
	ck_assert_int_eq(cnode_global_set_lock(box[0], other, you, only, 0, TAP_WAIT_MS), CNODE_EBUSY);
	const char *elsewhere[] = { names[0], NULL };
	ck_assert_int_eq(cnode_global_set_lock(box[0], other, you, elsewhere, 0, TAP_WAIT_MS), 0);
	ck_assert_int_eq(cnode_global_set_lock(box[0], other, me, bad, 0, TAP_WAIT_MS), CNODE_EBADNAME);
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
	ck_assert_msg(cnode_receive(box[0], &info, TAP_WAIT_MS) == 0, "%s", what);
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
	ck_assert_int_eq(cnode_global_set_lock(box[1], thing, you, NULL, 0, TAP_WAIT_MS), CNODE_EBUSY);
	asks(pid, "del_lock", "{unlocked,0,true}");
	asks(pid, "trans", "{inside,0,true}");
	ck_assert_int_eq(cnode_global_set_lock(box[1], thing, you, NULL, CNODE_FOREVER, TAP_WAIT_MS), 0);
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
	ck_assert_int_eq(cnode_receive(mb, &info, TAP_WAIT_MS), 0);
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
		ck_assert_int_eq(cnode_global_sync(box[i], TAP_WAIT_MS), 0);
	for (size_t i = 0; i < N; i++) {
		cnode_format(&name[i], "{conflict,~i}", (int)i);
		ck_assert_int_eq(cnode_mailbox_open(node[0], NULL, &a[i]), 0);
		ck_assert_int_eq(cnode_mailbox_open(node[2], NULL, &c[i]), 0);
		cnode_pid on_a = cnode_self(cnode_mailbox_process(a[i])), on_c = cnode_self(cnode_mailbox_process(c[i]));
		ck_assert_int_eq(cnode_global_register(a[i], name[i], on_a, conflicts[i].method, TAP_WAIT_MS), 0);
		ck_assert_int_eq(cnode_global_register(c[i], name[i], on_c, conflicts[i].method, TAP_WAIT_MS), 0);
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
	ck_assert_int_eq(cnode_global_register(box[0], name, self_of(0), NULL, TAP_WAIT_MS), 0);
	ck_assert_int_eq(cnode_global_register(box[2], name, self_of(2), NULL, TAP_WAIT_MS), 0);
	connect_nodes(0, 1);
	connect_nodes(1, 2);
	ck_assert_int_eq(cnode_receive(box[2], &info, TAP_WAIT_MS), CNODE_EEXITED);
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

START_TEST(a_hidden_node_registers_what_the_list_lets_it)
{
	open_cluster();
	cnode_node *hidden = open_node("h@127.0.0.1", true);
	cnode_mailbox *mb;
	cnode_term name = term("x"), other = term("{db,1}");
	ck_assert_int_eq(cnode_mailbox_open(hidden, NULL, &mb), 0);
	cnode_pid self = cnode_self(cnode_mailbox_process(mb));
	route(hidden, names[0], node[0]);
	for (int i = 0; i < NODES; i++)
		route(node[i], "h@127.0.0.1", hidden);
	ck_assert_int_eq(cnode_connect_wait(mb, names[0], TAP_WAIT_MS), 0);
	ck_assert_int_eq(cnode_access_set(node[0], CNODE_ACCESS_REGISTER, "x", names[1]), 0);
	ck_assert_int_eq(cnode_access_deny(node[0], CNODE_ACCESS_REGISTER, "{db,1}", "h@127.0.0.1"), 0);
	ck_assert_int_eq(cnode_global_register(mb, name, self, NULL, TAP_WAIT_MS), CNODE_EREPLY);
	ck_assert_msg(strstr(cnode_mailbox_error(mb), "not_allowed"), "%s", cnode_mailbox_error(mb));
	ck_assert_int_eq(cnode_global_register(mb, other, self, NULL, TAP_WAIT_MS), CNODE_EREPLY);
	/* Nor does it take a name away; the tool's way to ask is the same. */
	ck_assert_int_eq(cnode_global_register(box[0], name, self_of(0), NULL, TAP_WAIT_MS), 0);
	ck_assert_int_eq(cnode_global_unregister(mb, name, TAP_WAIT_MS), CNODE_EREPLY);
	for (int i = 0; i < 2; i++) {
		cnode_term reply;
		ck_assert_int_eq(cnode_call_name(mb, "global_name_server", names[0], TAP_WAIT_MS, &reply,
						 i == 0 ? "{cnode,{unregister,x}}" : "{cnode,{register,{db,1},user}}"), 0);
		ck_assert_int_eq(cnode_scan(reply, "not_allowed"), 0);
		cnode_term_drop(reply);
	}
	all_agree(name, self_of(0));
	cnode_refusal_counts counts = CNODE_REFUSAL_COUNTS_INIT;
	cnode_refusals(node[0], &counts);
	ck_assert_uint_eq(counts.registrations, 5);
	ck_assert_int_eq(cnode_access_allow(node[0], CNODE_ACCESS_REGISTER, "x", "h@127.0.0.1"), 0);
	ck_assert_int_eq(cnode_global_unregister(mb, name, TAP_WAIT_MS), 0);
	ck_assert_int_eq(cnode_global_register(mb, name, self, NULL, TAP_WAIT_MS), 0);
	all_agree(name, self);
	cnode_term_drop(name);
	cnode_term_drop(other);
	cnode_mailbox_close(mb);
	cnode_node_free(hidden);
	close_nodes();
}
END_TEST

START_TEST(a_hidden_node_has_names_by_a_visible_node)
{
	open_cluster();
	cnode_node *hidden = open_node("h@127.0.0.1", true);
	cnode_mailbox *mb;
	cnode_term name = term("x");
	ck_assert_int_eq(cnode_mailbox_open(hidden, NULL, &mb), 0);
	cnode_pid self = cnode_self(cnode_mailbox_process(mb));
	ck_assert_int_eq(cnode_global_register(mb, name, self, NULL, TAP_WAIT_MS), CNODE_ENOCONNECTION);
	ck_assert_ptr_nonnull(strstr(cnode_mailbox_error(mb), "hidden"));
	ck_assert_int_eq(cnode_global_re_register(mb, name, self, NULL, TAP_WAIT_MS), CNODE_ENOTSUP);
	route(hidden, names[0], node[0]);
	for (int i = 0; i < NODES; i++)
		route(node[i], "h@127.0.0.1", hidden);
	ck_assert_int_eq(cnode_connect_wait(mb, names[0], TAP_WAIT_MS), 0);
	ck_assert_int_eq(cnode_global_sync(mb, TAP_WAIT_MS), 0);
	ck_assert_int_eq(cnode_global_sync(box[0], TAP_WAIT_MS), 0);
	/* That one asks its rex, as a BEAM node would; all of them watch the process then. */
	ck_assert_msg(cnode_global_register(mb, name, self, NULL, TAP_WAIT_MS) == 0, "%s", cnode_mailbox_error(mb));
	all_agree(name, self);
	ck_assert_int_eq(cnode_global_register(box[1], name, self_of(1), NULL, TAP_WAIT_MS), CNODE_ENAMETAKEN);
	ck_assert_int_eq(cnode_global_unregister(mb, name, TAP_WAIT_MS), 0);
	all_agree(name, (cnode_pid){ 0 });
	cnode_mailbox *other;
	ck_assert_int_eq(cnode_mailbox_open(hidden, NULL, &other), 0);
	ck_assert_int_eq(cnode_global_register(other, name, cnode_self(cnode_mailbox_process(other)), NULL, TAP_WAIT_MS), 0);
	all_agree(name, cnode_self(cnode_mailbox_process(other)));
	cnode_mailbox_close(other);
	all_agree(name, (cnode_pid){ 0 });
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
	ck_assert_int_eq(cnode_global_register(box[0], x, self_of(0), NULL, TAP_WAIT_MS), 0);
	ck_assert_int_eq(cnode_global_register(box[1], y, self_of(1), NULL, TAP_WAIT_MS), 0);
	ck_assert_int_eq(cnode_global_disconnect(box[0], TAP_WAIT_MS), 0);
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

/* What a kernel service has told the others is lost with it: they must not wait for what it does not know any more. */
START_TEST(a_name_server_that_has_ended_joins_anew)
{
	open_cluster();
	cnode_term mine = term("mine"), theirs = term("theirs");
	ck_assert_int_eq(cnode_global_register(box[0], mine, self_of(0), NULL, TAP_WAIT_MS), 0);
	ck_assert_int_eq(cnode_global_register(box[1], theirs, self_of(1), NULL, TAP_WAIT_MS), 0);
	all_agree(mine, self_of(0));
	all_agree(theirs, self_of(1));
	cnode_pid old, pid;
	ck_assert_int_eq(cnode_whereis(node[0], SERVER, &old), 0);
	ck_assert_int_eq(cnode_exit(cnode_mailbox_process(box[0]), old, "kill"), 0);
	/* The others lose its names with the connection, and go on. */
	ck_assert(agrees(1, mine, (cnode_pid){ 0 }));
	ck_assert(agrees(2, mine, (cnode_pid){ 0 }));
	ck_assert_int_eq(cnode_global_unregister(box[2], theirs, TAP_WAIT_MS), 0);
	ck_assert(agrees(1, theirs, (cnode_pid){ 0 }));
	/* It has its own, and forgot theirs. */
	ck_assert(agrees(0, mine, self_of(0)));
	ck_assert(agrees(0, theirs, (cnode_pid){ 0 }));
	ck_assert_int_eq(cnode_whereis(node[0], SERVER, &pid), 0);
	ck_assert(!cnode_pid_equal(pid, old));
	/* And all is one again when they meet. */
	connect_nodes(0, 1);
	all_joined();
	all_agree(mine, self_of(0));
	ck_assert_int_eq(cnode_global_register(box[1], theirs, self_of(1), NULL, TAP_WAIT_MS), 0);
	all_agree(theirs, self_of(1));
	cnode_term_drop(mine);
	cnode_term_drop(theirs);
	close_nodes();
}
END_TEST

/* Each of the others is there again too, and does its work. */
START_TEST(every_kernel_service_is_there_again)
{
	static const char *const services[] = { "net_kernel", "rex", "user", "cnode", "global_name_server" };
	cnode_node *n = open_node("s@127.0.0.1", false);
	cnode_mailbox *mb;
	cnode_term reply;
	ck_assert_int_eq(cnode_mailbox_open(n, NULL, &mb), 0);
	for (size_t i = 0; i < CN_ARRAY_SIZE(services); i++) {
		cnode_pid old, pid = { 0 };
		ck_assert_int_eq(cnode_whereis(n, services[i], &old), 0);
		ck_assert_int_eq(cnode_exit(cnode_mailbox_process(mb), old, "kill"), 0);
		/* The name is nobody's for a moment: a turn of another service lets that pass. */
		while (cnode_whereis(n, services[i], &pid) != 0 || cnode_pid_equal(pid, old))
			if (cnode_call_name(mb, services[(i + 1) % CN_ARRAY_SIZE(services)], NULL, 100, &reply, "processes") == 0)
				cnode_term_drop(reply);
		ck_assert_msg(!cnode_pid_is_none(pid) && !cnode_pid_equal(pid, old), "%s", services[i]);
	}
	ck_assert_int_eq(cnode_call_name(mb, "net_kernel", NULL, TAP_WAIT_MS, &reply, "{is_auth,'s@127.0.0.1'}"), 0);
	cnode_term_drop(reply);
	ck_assert_int_eq(cnode_call_name(mb, "cnode", NULL, TAP_WAIT_MS, &reply, "processes"), 0);
	cnode_term_drop(reply);
	/* Who wrote to the user before writes to the new one. */
	cnode_pid user;
	ck_assert_int_eq(cnode_whereis(n, "user", &user), 0);
	ck_assert(cnode_pid_equal(cnode_group_leader(cnode_mailbox_process(mb)), user));
	cnode_mailbox_close(mb);
	cnode_node_free(n);
}
END_TEST

/* Somebody who sends to a name all the time: some numbered messages for each of its moves. */
struct sender {
	cnode_mailbox *mailbox;
	cnode_term name;
	_Atomic bool stop;
	_Atomic int64_t moves, sent, lost;
};
#define FOR_EACH_MOVE 20

static void send_all_the_time(void *arg)
{
	struct sender *s = arg;
	while (!atomic_load(&s->stop)) {
		cnode_pid pid;
		if (cnode_global_whereis(cnode_process_node(cnode_mailbox_process(s->mailbox)), s->name, &pid) != 0)
			s->lost++;
		if (s->sent >= s->moves * FOR_EACH_MOVE)
			continue;
		if (cnode_global_send(cnode_mailbox_process(s->mailbox), s->name, "{n,~q}", s->sent + 1) != 0)
			s->lost++;
		s->sent++;
	}
}

/* The next number that came to the mailbox; 0: none is left. */
static int64_t next_number(cnode_mailbox *mb)
{
	cnode_info info;
	int64_t n = 0;
	if (cnode_receive(mb, &info, 0) == 0)
		ck_assert_int_eq(cnode_scan(info.message, "{n,~q}", &n), 0);
	return n;
}

/* Each message comes once, to one of the two that had the name when it was sent, and in order to each. */
START_TEST(a_name_that_moves_takes_its_messages_along)
{
	cnode_node *n = open_node("m@127.0.0.1", false);
	cnode_mailbox *mb[3];
	struct sender s = { .name = term("moves") };
	struct cn_thread thread;
	cnode_pid pid;
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(cnode_mailbox_open(n, NULL, &mb[i]), 0);
	s.mailbox = mb[2];
	ck_assert_int_eq(cnode_global_register(mb[0], s.name, cnode_self(cnode_mailbox_process(mb[0])), NULL, TAP_WAIT_MS), 0);
	ck_assert_int_eq(cn_thread_start(&thread, "sender", send_all_the_time, &s), 0);
	/* As often as it takes for the sender to have been there. */
	for (unsigned i = 1; i <= 500 || atomic_load(&s.sent) < 500 * FOR_EACH_MOVE / 2; i++) {
		cnode_pid to = cnode_self(cnode_mailbox_process(mb[i % 2]));
		s.moves++;
		ck_assert_int_eq(cnode_global_re_register(mb[i % 2], s.name, to, NULL, TAP_WAIT_MS), 0);
		ck_assert_int_eq(cnode_global_whereis(n, s.name, &pid), 0);
		ck_assert_msg(cnode_pid_equal(pid, to), "move %u", i);
	}
	atomic_store(&s.stop, true);
	cn_thread_join(&thread);
	ck_assert_int_eq(s.lost, 0);
	int64_t next[2] = { next_number(mb[0]), next_number(mb[1]) }, got[2] = { 0, 0 };
	for (int64_t want = 1; want <= s.sent; want++) {
		int at = next[1] == want;
		ck_assert_msg(next[at] == want, "of %d and %d it is the turn of %d", (int)next[0], (int)next[1], (int)want);
		got[at]++;
		next[at] = next_number(mb[at]);
	}
	ck_assert(next[0] == 0 && next[1] == 0 && got[0] > 0 && got[1] > 0);
	cnode_term_drop(s.name);
	for (int i = 0; i < 3; i++)
		cnode_mailbox_close(mb[i]);
	cnode_node_free(n);
}
END_TEST

static void *sync_without_end(void *rc)
{
	/* At once, until the name server knows of b. */
	do
		*(int *)rc = cnode_global_sync(box[0], CNODE_INFINITY);
	while (*(int *)rc == 0);
	return NULL;
}

/* With b, whose name server rests, nobody gets in sync. */
START_TEST(of_ten_thousand_that_wait_for_a_sync_the_oldest_gives_way)
{
	enum { MOST = 10000 };
	cnode_mailbox *mb;
	cnode_info m;
	cnode_ref ref;
	cnode_process_info look = CNODE_PROCESS_INFO_INIT;
	pthread_t oldest;
	int rc = 1;
	open_nodes();
	cnode_process *self = cnode_mailbox_process(box[1]);
	ck_assert_int_eq(cnode_make_ref(self, &ref), 0);
	ck_assert_int_eq(cnode_send_name(self, SERVER, NULL, "{system,{~p,~r},suspend}", cnode_self(self), ref), 0);
	ck_assert_int_eq(cnode_receive(box[1], &m, TAP_WAIT_MS), 0);
	connect_nodes(0, 1);
	ck_assert_int_eq(pthread_create(&oldest, NULL, sync_without_end, &rc), 0);
	/* It waits when the server watches it. */
	while (look.monitored_by == 0)
		ck_assert_int_eq(cnode_process_look(node[0], cnode_self(cnode_mailbox_process(box[0])), &look), 0);
	ck_assert_int_eq(cnode_mailbox_open(node[0], NULL, &mb), 0);
	self = cnode_mailbox_process(mb);
	for (int i = 0; i < MOST; i++)
		ck_assert_int_eq(cnode_send_name(self, SERVER, NULL, "{'$gen_call',{~p,~r},{sync,['b@127.0.0.1']}}", cnode_self(self), ref), 0);
	ck_assert_int_eq(pthread_join(oldest, NULL), 0);
	ck_assert_int_eq(rc, CNODE_ELIMIT);
	ck_assert_str_eq(cnode_mailbox_error(box[0]), "global sync: too many wait for the same, and this one gave way");
	cnode_mailbox_close(mb);
	close_nodes();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("global");
	TCase *t = tcase_create("nodes");
	tcase_add_test(t, a_name_is_the_same_on_all_nodes);
	tcase_add_test(t, a_process_has_one_name_unless_it_is_re_registered);
	tcase_add_test(t, names_go_with_their_process_and_with_their_node);
	tcase_add_test(t, a_lock_has_one_requester_and_ends_with_its_holder);
	tcase_add_test(t, trans_lets_one_in_at_a_time);
	tcase_add_test(t, callbacks_register_and_lock_without_waiting);
	tcase_add_test(t, of_two_processes_with_one_name_the_method_chooses);
	tcase_add_test(t, by_default_the_process_of_the_greater_node_is_killed);
	tcase_add_test(t, a_spawn_registers_its_process_before_it_is_answered);
	tcase_add_test(t, a_hidden_node_has_names_by_a_visible_node);
	tcase_add_test(t, a_hidden_node_registers_what_the_list_lets_it);
	tcase_add_test(t, a_node_that_leaves_the_cluster_is_alone);
	tcase_add_test(t, a_name_server_that_has_ended_joins_anew);
	tcase_add_test(t, every_kernel_service_is_there_again);
	tcase_add_test(t, a_name_that_moves_takes_its_messages_along);
	tcase_add_test(t, of_ten_thousand_that_wait_for_a_sync_the_oldest_gives_way);
	suite_add_tcase(s, t);
	return tap_run(s);
}
