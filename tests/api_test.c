/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api, with node, spawn and kernel below it: two whole nodes in one program that talk over
 * loopback without any epmd. What BEAM nodes see is conformance's matter.
 */
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#include "tests/api_nodes.h"

#ifdef SYS_epoll_wait
#define CALL_EPOLL_WAIT SYS_epoll_wait
#else
#define CALL_EPOLL_WAIT SYS_epoll_pwait          /* newer machines have that alone */
#endif

/* ---- tests; those of the first case run once more on a node without threads ---- */

START_TEST(pings_a_node_step_by_step)
{
	ck_assert_msg(cnode_ping(mb, "b@127.0.0.1", TAP_WAIT_MS, NULL, NULL) == 0, "%s", cnode_mailbox_error(mb));
}
END_TEST

START_TEST(spawns_by_factory_and_calls)
{
	cnode_pid pid;
	ck_assert_msg(spawn("counter", "[40]", NULL, &pid) == 0, "%s", cnode_mailbox_error(mb));
	ck_assert_int_eq(add(pid, 2), 42);
	for (int i = 0; i < 1000; i++)
		ck_assert_int_eq(add(pid, 1), 43 + i);
}
END_TEST

START_TEST(refuses_spawns_with_the_reason)
{
	cnode_pid pid;
	ck_assert_int_eq(spawn("closed", "[1]", NULL, &pid), CNODE_ENOTALLOWED);
	ck_assert_int_eq(spawn("nothing", "[1]", NULL, &pid), CNODE_EUNDEF);
	ck_assert_int_eq(spawn("counter", "[no_number]", NULL, &pid), CNODE_EBADARG);
	cnode_spawn_options o = CNODE_SPAWN_INIT;
	o.function = "stop";
	ck_assert_int_eq(spawn("counter", "[1]", &o, &pid), CNODE_EUNDEF);
}
END_TEST

START_TEST(monitors_tell_the_reason_once)
{
	cnode_ref ref;
	cnode_spawn_options o = CNODE_SPAWN_INIT;
	o.monitor = true;
	o.monitor_ref = &ref;
	cnode_pid pid;
	cnode_term reply;
	ck_assert_int_eq(spawn("counter", "[7]", &o, &pid), 0);
	ck_assert_int_eq(cnode_call(mb, pid, TAP_WAIT_MS, &reply, "stop"), CNODE_EEXITED);
	cnode_info info;
	ck_assert_int_eq(cnode_receive(mb, &info, TAP_WAIT_MS), 0);
	ck_assert_int_eq(info.kind, CNODE_DOWN);
	ck_assert(cnode_ref_equal(info.ref, ref));
	ck_assert(cnode_pid_equal(info.pid, pid));
	int64_t n;
	ck_assert_int_eq(cnode_scan(info.reason, "{gone,~q}", &n), 0);
	ck_assert_int_eq(n, 7);
	ck_assert_int_eq(cnode_receive(mb, &info, 0), CNODE_ETIMEOUT);
}
END_TEST

START_TEST(links_end_a_remote_process_and_come_back)
{
	cnode_spawn_options o = CNODE_SPAWN_INIT;
	o.link = true;
	cnode_pid pid;
	ck_assert_int_eq(cnode_trap_exit(cnode_mailbox_process(mb), true), 0);
	ck_assert_int_eq(spawn("counter", "[7]", &o, &pid), 0);
	ck_assert_int_eq(cnode_exit(cnode_mailbox_process(mb), pid, "kill"), 0);
	cnode_info info;
	ck_assert_int_eq(cnode_receive(mb, &info, TAP_WAIT_MS), 0);
	ck_assert_int_eq(info.kind, CNODE_EXIT);
	ck_assert(cnode_pid_equal(info.pid, pid));
	ck_assert_int_eq(cnode_scan(info.reason, "killed"), 0);
}
END_TEST

struct shown_list { char who[256], mode[8]; };

static int note_counter(void *context, const cnode_factory_info *factory)
{
	struct shown_list *l = context;
	if (strcmp(factory->name, "counter") == 0) {
		snprintf(l->who, sizeof l->who, "%s", factory->who);
		snprintf(l->mode, sizeof l->mode, "%s", factory->mode);
	}
	return 0;
}

START_TEST(the_list_of_a_factory_is_told_as_it_can_be_set)
{
	struct shown_list shown;
	cnode_pid pid;
	ck_assert_int_eq(cnode_factory_set(b, "counter", "*,!x@127.0.0.1, a@*, !a@127.0.0.1"), 0);
	ck_assert_int_eq(cnode_factory_list(b, note_counter, &shown), 0);
	ck_assert_str_eq(shown.mode, "all");
	ck_assert_str_eq(shown.who, "*,!x@127.0.0.1,a@*,!a@127.0.0.1");
	ck_assert_int_eq(spawn("counter", "[1]", NULL, &pid), CNODE_ENOTALLOWED);
	ck_assert_int_eq(cnode_factory_set(b, "counter", shown.who), 0);
	ck_assert_int_eq(spawn("counter", "[1]", NULL, &pid), CNODE_ENOTALLOWED);
	ck_assert_int_eq(cnode_factory_set(b, "counter", "*,!x@127.0.0.1"), 0);
	ck_assert_int_eq(spawn("counter", "[1]", NULL, &pid), 0);
}
END_TEST

START_TEST(an_unknown_name_is_noproc)
{
	cnode_term reply;
	ck_assert_int_eq(cnode_call_name(mb, "nobody", "b@127.0.0.1", TAP_WAIT_MS, &reply, "hello"), CNODE_ENOPROC);
	ck_assert_ptr_nonnull(strstr(cnode_mailbox_error(mb), "nobody on b@127.0.0.1"));
}
END_TEST

/* The mailbox's sentence, with % for each number. */
static const char *sentence(void)
{
	static char text[400];
	size_t n = 0;
	for (const char *at = cnode_mailbox_error(mb); *at && n < sizeof text - 1; at++)
		if (*at < '0' || *at > '9')
			text[n++] = *at;
		else if (n == 0 || text[n - 1] != '%')
			text[n++] = '%';
	text[n] = 0;
	return text;
}

START_TEST(every_failure_has_a_sentence_that_says_whom_where_and_how_long)
{
	cnode_term reply, list = args("[1]");
	cnode_pid pid;
	cnode_spawn_options o = CNODE_SPAWN_INIT;
	o.name = "tom";
	ck_assert_int_eq(cnode_node_route(a, "c@127.0.0.1", "127.0.0.1:1"), 0);
	ck_assert_int_eq(cnode_call_name(mb, "x", "c@127.0.0.1", TAP_WAIT_MS, &reply, "hello"), CNODE_ENOCONNECTION);
	ck_assert_str_eq(sentence(), "x on c@%.%.%.%: its node cannot be reached (after % ms)");
	ck_assert_int_eq(cnode_connect_wait(mb, "c@127.0.0.1", TAP_WAIT_MS), CNODE_ENOCONNECTION);
	ck_assert_msg(strncmp(sentence(), "c@%.%.%.%: ", 11) == 0, "%s", sentence());
	ck_assert_int_eq(cnode_rpc(mb, "c@127.0.0.1", "m", "f", list, TAP_WAIT_MS, &reply), CNODE_ENOCONNECTION);
	ck_assert_msg(strncmp(sentence(), "m:f on c@%.%.%.%: ", 18) == 0, "%s", sentence());

	ck_assert_int_eq(cnode_call_name(mb, "nobody", "b@127.0.0.1", TAP_WAIT_MS, &reply, "hello"), CNODE_ENOPROC);
	ck_assert_str_eq(sentence(), "nobody on b@%.%.%.%: there is no such process");
	ck_assert_int_eq(spawn("closed", "[1]", NULL, &pid), CNODE_ENOTALLOWED);
	ck_assert_msg(strncmp(sentence(), "closed on b@%.%.%.% was not spawned: ", 37) == 0, "%s", sentence());
	ck_assert_int_eq(cnode_rpc(mb, "b@127.0.0.1", "math", "closed", list, TAP_WAIT_MS, &reply), CNODE_ENOTALLOWED);
	ck_assert_msg(strncmp(sentence(), "math:closed on b@%.%.%.%: ", 26) == 0, "%s", sentence());

	ck_assert_int_eq(spawn("counter", "[1]", &o, &pid), 0);
	ck_assert_int_eq(spawn("counter", "[1]", &o, NULL), CNODE_ENAMETAKEN);
	ck_assert_str_eq(sentence(), "counter on b@%.%.%.% was not spawned: the name tom is taken");
	ck_assert_int_eq(cnode_call_name(mb, "tom", "b@127.0.0.1", 20, &reply, "never"), CNODE_ETIMEOUT);
	ck_assert_str_eq(cnode_mailbox_error(mb), "tom on b@127.0.0.1: no answer within 20 ms");
	ck_assert_int_eq(cnode_call(mb, pid, TAP_WAIT_MS, &reply, "cut"), CNODE_ENOCONNECTION);
	ck_assert_str_eq(sentence(), "<b@%.%.%.%.%.%>: the connection to its node was lost while waiting for the answer, after % ms");
	ck_assert_int_eq(cnode_call_name(mb, "tom", "b@127.0.0.1", TAP_WAIT_MS, &reply, "stop"), CNODE_EEXITED);
	ck_assert_str_eq(sentence(), "tom on b@%.%.%.%: it ended without an answer, after % ms: {gone,%}");
	cnode_term_drop(list);
}
END_TEST

START_TEST(a_node_that_is_not_there_is_noconnection)
{
	cnode_term reply;
	cnode_pid pid;
	cnode_info info;
	ck_assert_int_eq(cnode_node_route(a, "c@127.0.0.1", "127.0.0.1:1"), 0);
	ck_assert_int_eq(cnode_call_name(mb, "x", "c@127.0.0.1", TAP_WAIT_MS, &reply, "hello"), CNODE_ENOCONNECTION);
	cnode_term none = args("[]");
	ck_assert_int_eq(cnode_spawn_remote(mb, "c@127.0.0.1", "counter", none, NULL, &pid), CNODE_ENOCONNECTION);
	cnode_term_drop(none);
	ck_assert_int_eq(cnode_monitor_node(cnode_mailbox_process(mb), "c@127.0.0.1", true), 0);
	ck_assert_int_eq(cnode_receive(mb, &info, TAP_WAIT_MS), 0);
	ck_assert_int_eq(info.kind, CNODE_NODEDOWN);
}
END_TEST

/* A native record, which a peer that is no OTP 29 does not take: that is known once it is connected. */
START_TEST(what_waits_for_a_connection_that_cannot_take_it_is_answered)
{
	static const uint8_t record[] = { 67, 0, 0, 0, 1, 0, 119, 1, 'm', 119, 1, 'r', 119, 1, 'f', 97, 1 };
	cnode_term t, list, reply;
	cnode_pid pid;
	cnode_info info;
	ck_assert_int_eq(cnode_term_from_bytes(record, sizeof record, &t), 0);
	ck_assert_int_eq(cnode_format(&list, "[~t]", t), 0);
	for (int round = 0; round < 2; round++) {       /* waiting, then with the connection there */
		ck_assert_int_eq(cnode_call_name(mb, "net_kernel", "b@127.0.0.1", TAP_WAIT_MS, &reply, "~t", t), CNODE_EBADTERM);
		if (round == 0) {
			ck_assert_int_eq(cnode_monitor_node(cnode_mailbox_process(mb), "b@127.0.0.1", true), 0);
			ck_assert_int_eq(cnode_disconnect(a, "b@127.0.0.1"), 0);
			ck_assert_int_eq(cnode_receive(mb, &info, TAP_WAIT_MS), 0);
			ck_assert_int_eq(info.kind, CNODE_NODEDOWN);
		}
		ck_assert_int_eq(cnode_spawn_remote(mb, "b@127.0.0.1", "counter", list, NULL, &pid), CNODE_EBADTERM);
	}
	/* The connection stayed. */
	ck_assert_int_eq(spawn("counter", "[1]", NULL, &pid), 0);
	ck_assert_int_eq(add(pid, 2), 3);
	cnode_term_drop(list);
	cnode_term_drop(t);
}
END_TEST

/* Memory that is handed over, and how much of it came back. */
#define MEGABYTE ((size_t)1 << 20)
#define BLOCK block, MEGABYTE, give_back, block
#define HANDING(call) (handed++, block = calloc(1, MEGABYTE), (call))
static void *block;
static int handed, given_back;
static pthread_mutex_t back_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t back = PTHREAD_COND_INITIALIZER;

static void give_back(void *memory)
{
	free(memory);
	pthread_mutex_lock(&back_lock);
	given_back++;
	pthread_cond_signal(&back);
	pthread_mutex_unlock(&back_lock);
}

static bool all_given_back(void)
{
	struct timespec end;
	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += TAP_WAIT_MS / 1000;
	pthread_mutex_lock(&back_lock);
	while (given_back < handed && pthread_cond_timedwait(&back, &back_lock, &end) == 0)
		continue;
	bool all = given_back == handed;
	pthread_mutex_unlock(&back_lock);
	return all;
}

static int mirror_call(cnode_process *self, void *state, cnode_from *from, cnode_term request)
{
	const void *bytes;
	size_t size;
	(void)self;
	(void)state;
	if (cnode_scan(request, "{back,~b}", &bytes, &size) != 0)
		return cnode_reply(from, "{error,bad_request}");
	void *copy = malloc(size);
	memcpy(copy, bytes, size);
	return cnode_reply(from, "{ok,~B}", copy, size, give_back, copy);
}

static const cnode_behaviour mirror = { CNODE_BEHAVIOUR_INIT, .handle_call = mirror_call };

START_TEST(bytes_that_are_handed_over_arrive_and_are_given_back_once)
{
	cnode_process *self = cnode_mailbox_process(mb);
	cnode_term reply, name, nothing = { 0 };
	cnode_pid pid;
	cnode_ref none = { 0 };
	const void *bytes;
	size_t size;
	cnode_info info;
	ck_assert_int_eq(cnode_factory_add(b, "mirror", &mirror, NULL, "a@127.0.0.1"), 0);
	ck_assert_int_eq(spawn("mirror", "[]", NULL, &pid), 0);
	ck_assert_int_eq(HANDING(cnode_call(mb, pid, TAP_WAIT_MS, &reply, "{back,~B}", BLOCK)), 0);
	handed++;                       /* the answer came the same way */
	ck_assert_int_eq(cnode_scan(reply, "{ok,~b}", &bytes, &size), 0);
	ck_assert_uint_eq(size, MEGABYTE);
	cnode_term_drop(reply);
	/* To oneself, where nothing is written. */
	ck_assert_int_eq(HANDING(cnode_send(self, cnode_self(self), "{me,~B}", BLOCK)), 0);
	ck_assert_int_eq(cnode_receive(mb, &info, TAP_WAIT_MS), 0);
	ck_assert_int_eq(cnode_scan(info.message, "{me,~b}", &bytes, &size), 0);
	ck_assert_ptr_eq(bytes, block);
	/* The functions that may fail before they come to their format. */
	ck_assert_int_ne(HANDING(cnode_send(self, (cnode_pid){ 0 }, "~B", BLOCK)), 0);
	ck_assert_int_ne(HANDING(cnode_send_name(self, "x", "no node", "~B", BLOCK)), 0);
	ck_assert_int_ne(HANDING(cnode_send_alias(self, none, "~B", BLOCK)), 0);
	ck_assert_int_ne(HANDING(cnode_exit(self, (cnode_pid){ 0 }, "~B", BLOCK)), 0);
	ck_assert_int_ne(HANDING(cnode_cast_name(self, "x", "no node", "~B", BLOCK)), 0);
	ck_assert_int_ne(HANDING(cnode_call_async(self, pid, TAP_WAIT_MS, NULL, NULL, "~B", BLOCK)), 0);
	ck_assert_int_ne(HANDING(cnode_call_name_async(self, "x", "no node", TAP_WAIT_MS, NULL, NULL, "~B", BLOCK)), 0);
	ck_assert_int_ne(HANDING(cnode_call_name(mb, "x", "no node", TAP_WAIT_MS, &reply, "~B", BLOCK)), 0);
	ck_assert_int_ne(HANDING(cnode_reply_to(self, nothing, "~B", BLOCK)), 0);
	ck_assert_int_eq(cnode_format(&name, "name"), 0);
	ck_assert_int_ne(HANDING(cnode_global_send(self, name, "~B", BLOCK)), 0);
	cnode_term_drop(name);
	/* A node that cannot be reached. */
	ck_assert_int_eq(cnode_node_route(a, "c@127.0.0.1", "127.0.0.1:1"), 0);
	ck_assert_int_eq(HANDING(cnode_call_name(mb, "x", "c@127.0.0.1", TAP_WAIT_MS, &reply, "~B", BLOCK)), CNODE_ENOCONNECTION);
	cnode_mailbox_close(mb);        /* it has the message that was received */
	mb = NULL;
	ck_assert(all_given_back());
}
END_TEST

START_TEST(noconnect_sends_nothing_and_makes_no_connection)
{
	cnode_process *self = cnode_mailbox_process(mb);
	cnode_mailbox *there;
	cnode_term first = args("[first]"), second = args("[second]");
	cnode_info info;
	ck_assert_int_eq(cnode_mailbox_open(b, "there", &there), 0);
	ck_assert_int_eq(cnode_send_name_term(self, "there", "b@127.0.0.1", first, CNODE_NOCONNECT), CNODE_ENOCONNECTION);
	ck_assert_int_eq(cnode_connect_wait(mb, "b@127.0.0.1", TAP_WAIT_MS), 0);
	ck_assert_int_eq(cnode_send_name_term(self, "there", "b@127.0.0.1", second, CNODE_NOCONNECT), 0);
	ck_assert_int_eq(cnode_receive(there, &info, TAP_WAIT_MS), 0);
	ck_assert(cnode_term_equal(info.message, second));
	cnode_mailbox_close(there);
	cnode_term_drop(first);
	cnode_term_drop(second);
}
END_TEST

START_TEST(the_descriptor_of_a_mailbox_is_readable_while_a_message_waits)
{
	int fd = cnode_mailbox_fd(mb);
	ck_assert_int_ge(fd, 0);
	struct pollfd p = { .fd = fd, .events = POLLIN };
	cnode_info info;
	ck_assert_int_eq(cnode_receive(mb, &info, 0), CNODE_ETIMEOUT);
	ck_assert_int_eq(poll(&p, 1, 0), 0);
	cnode_process *self = cnode_mailbox_process(mb);
	ck_assert_int_eq(cnode_send(self, cnode_self(self), "one"), 0);
	ck_assert_int_eq(cnode_send(self, cnode_self(self), "two"), 0);
	ck_assert_int_eq(poll(&p, 1, TAP_WAIT_MS), 1);
	ck_assert_int_eq(cnode_receive(mb, &info, 0), 0);
	ck_assert_int_eq(cnode_scan(info.message, "one"), 0);
	ck_assert_int_eq(poll(&p, 1, 0), 1);
	ck_assert_int_eq(cnode_receive(mb, &info, 0), 0);
	ck_assert_int_eq(cnode_receive(mb, &info, 0), CNODE_ETIMEOUT);
	ck_assert_int_eq(poll(&p, 1, 0), 0);
}
END_TEST

static int count_peer(void *context, const cnode_peer *peer)
{
	ck_assert_str_eq(peer->name, "b@127.0.0.1");
	ck_assert(peer->visible);
	ck_assert_uint_gt(peer->bytes_in, 0);
	++*(int *)context;
	return 0;
}

START_TEST(peers_are_listed_and_disconnected)
{
	int peers = 0;
	ck_assert_int_eq(cnode_peers(a, count_peer, &peers), 0);
	ck_assert_int_eq(peers, 0);
	ck_assert_int_eq(cnode_connect_wait(mb, "b@127.0.0.1", TAP_WAIT_MS), 0);
	ck_assert_int_eq(cnode_peers(a, count_peer, &peers), 0);
	ck_assert_int_eq(peers, 1);
	ck_assert_int_eq(cnode_monitor_node(cnode_mailbox_process(mb), "b@127.0.0.1", true), 0);
	ck_assert_int_eq(cnode_disconnect(a, "b@127.0.0.1"), 0);
	cnode_info info;
	ck_assert_int_eq(cnode_receive(mb, &info, TAP_WAIT_MS), 0);
	ck_assert_int_eq(info.kind, CNODE_NODEDOWN);
	ck_assert_int_eq(cnode_disconnect(a, "never@127.0.0.1"), CNODE_ENOENT);
}
END_TEST

static int keep_connection_id(void *context, const cnode_peer *peer)
{
	*(uint64_t *)context = peer->connection_id;
	return 0;
}

START_TEST(monitor_nodes_tells_of_connections_and_their_end)
{
	cnode_process *self = cnode_mailbox_process(mb);
	cnode_info info;
	cnode_name name;
	uint64_t first = 0, last = 0;
	cnode_name_of("b@127.0.0.1", &name);
	ck_assert_int_eq(cnode_monitor_nodes(self, CNODE_NODES_VISIBLE, true), 0);
	ck_assert_int_eq(cnode_monitor_nodes(self, CNODE_NODES_HIDDEN, true), 0);
	for (int i = 0; i < 2; i++) {
		/* Before the answer of the peer comes, its connection is told. */
		ck_assert_int_eq(cnode_send_name(self, "counter", "b@127.0.0.1", "hello"), 0);
		ck_assert_int_eq(cnode_receive(mb, &info, TAP_WAIT_MS), 0);
		ck_assert_int_eq(info.kind, CNODE_NODEUP);
		ck_assert_uint_eq(info.peer, name);
		ck_assert_uint_gt(info.connection_id, last);
		last = info.connection_id;
		ck_assert_int_eq(cnode_peers(a, keep_connection_id, &first), 0);
		ck_assert_uint_eq(first, last);
		ck_assert_int_eq(cnode_monitor_node(self, "b@127.0.0.1", true), 0);
		ck_assert_int_eq(cnode_disconnect(i == 0 ? a : b, i == 0 ? "b@127.0.0.1" : "a@127.0.0.1"), 0);
		ck_assert_int_eq(cnode_receive(mb, &info, TAP_WAIT_MS), 0);
		ck_assert_int_eq(info.kind, CNODE_NODEDOWN);
		ck_assert_uint_eq(info.connection_id, 0);
		ck_assert_int_eq(cnode_receive(mb, &info, TAP_WAIT_MS), 0);
		ck_assert_int_eq(info.kind, CNODE_NODEDOWN);
		ck_assert_uint_eq(info.connection_id, last);
		ck_assert_uint_eq(info.peer, name);
		ck_assert_int_eq(cnode_scan(info.reason, i == 0 ? "disconnect" : "connection_closed"), 0);
	}
	ck_assert_int_eq(cnode_receive(mb, &info, 0), CNODE_ETIMEOUT);
}
END_TEST

START_TEST(a_node_that_stops_ends_its_processes_with_shutdown)
{
	cnode_spawn_options o = CNODE_SPAWN_INIT;
	cnode_ref ref;
	o.monitor = true;
	o.monitor_ref = &ref;
	cnode_pid pid;
	ck_assert_int_eq(spawn("counter", "[7]", &o, &pid), 0);
	ck_assert_int_eq(cnode_monitor_node(cnode_mailbox_process(mb), "b@127.0.0.1", true), 0);
	cnode_node_stop(b);
	cnode_info info;
	ck_assert_int_eq(cnode_receive(mb, &info, TAP_WAIT_MS), 0);
	ck_assert_int_eq(info.kind, CNODE_DOWN);
	ck_assert_int_eq(cnode_scan(info.reason, "shutdown"), 0);
	ck_assert_int_eq(cnode_receive(mb, &info, TAP_WAIT_MS), 0);
	ck_assert_int_eq(info.kind, CNODE_NODEDOWN);
	ck_assert_int_eq(cnode_node_wait(b), 0);
}
END_TEST

/*
 * How many threads of this program that are called "cnode" are about to do something by themselves: they are in no call,
 * or in another one than waiting for the network or, without a time, for a condition. What a thread waits in is on one
 * line of its file: the call's number, then its arguments.
 */
static int restless_threads(void)
{
	enum { CONDITION = 9, FLAGS = 0x180 };   /* FUTEX_WAIT_BITSET, and what else is in that argument */
	int restless = 0;
	struct dirent *d;
	DIR *tasks = opendir("/proc/self/task");
	ck_assert_ptr_nonnull(tasks);
	while ((d = readdir(tasks))) {
		char path[300], name[32] = "", call[256] = "";
		long number = -1;
		unsigned long op = 0, timeout = 1;
		snprintf(path, sizeof path, "/proc/self/task/%s/comm", d->d_name);
		FILE *f = fopen(path, "r");
		bool ours = f && fgets(name, sizeof name, f) && strcmp(name, "cnode\n") == 0;
		if (f)
			fclose(f);
		if (!ours)
			continue;
		snprintf(path, sizeof path, "/proc/self/task/%s/syscall", d->d_name);
		f = fopen(path, "r");
		ck_assert_msg(f || errno == ENOENT, "%s: %s", path, strerror(errno));
		bool ended = !f || !fgets(call, sizeof call, f);
		if (f)
			fclose(f);
		if (ended)
			continue;
		sscanf(call, "%ld %*x %lx %*x %lx", &number, &op, &timeout);
		if (number == SYS_futex)
			restless += (op & ~(unsigned long)FLAGS) != CONDITION || timeout != 0;
		else
			restless += number != SYS_epoll_pwait && number != CALL_EPOLL_WAIT;
	}
	closedir(tasks);
	return restless;
}

START_TEST(an_idle_node_has_no_thread_that_wakes_every_few_milliseconds)
{
	cnode_pid pid;
	ck_assert_int_eq(spawn("counter", "[1]", NULL, &pid), 0);
	for (int64_t n = 0; n < 100; n++)
		ck_assert_int_eq(add(pid, 1), n + 2);
	while (restless_threads() > 0)           /* for ever, and the test is over its time */
		sched_yield();
	ck_assert_int_eq(add(pid, 1), 102);
}
END_TEST

static void add_common(TCase *tc)
{
	tcase_add_test(tc, pings_a_node_step_by_step);
	tcase_add_test(tc, spawns_by_factory_and_calls);
	tcase_add_test(tc, refuses_spawns_with_the_reason);
	tcase_add_test(tc, monitors_tell_the_reason_once);
	tcase_add_test(tc, links_end_a_remote_process_and_come_back);
	tcase_add_test(tc, the_list_of_a_factory_is_told_as_it_can_be_set);
	tcase_add_test(tc, an_unknown_name_is_noproc);
	tcase_add_test(tc, what_waits_for_a_connection_that_cannot_take_it_is_answered);
	tcase_add_test(tc, bytes_that_are_handed_over_arrive_and_are_given_back_once);
	tcase_add_test(tc, noconnect_sends_nothing_and_makes_no_connection);
	tcase_add_test(tc, every_failure_has_a_sentence_that_says_whom_where_and_how_long);
	tcase_add_test(tc, a_node_that_is_not_there_is_noconnection);
	tcase_add_test(tc, the_descriptor_of_a_mailbox_is_readable_while_a_message_waits);
	tcase_add_test(tc, peers_are_listed_and_disconnected);
	tcase_add_test(tc, monitor_nodes_tells_of_connections_and_their_end);
	tcase_add_test(tc, a_node_that_stops_ends_its_processes_with_shutdown);
}

START_TEST(a_multi_call_that_cannot_be_sent_to_all_says_to_whom)
{
	const char *nodes[] = { "b@127.0.0.1", "no node" };
	cnode_term replies[2];
	cnode_mailbox *mute;
	ck_assert_int_eq(cnode_mailbox_open(b, "mute", &mute), 0);
	ck_assert_int_eq(cnode_ping(mb, nodes[0], TAP_WAIT_MS, NULL, NULL), 0);
	ck_assert_int_eq(cnode_multi_call(mb, nodes, 2, "mute", TAP_WAIT_MS, replies, "x"), CNODE_EBADNAME);
	ck_assert_msg(strstr(cnode_mailbox_error(mb), "no node"), "%s", cnode_mailbox_error(mb));
	cnode_term_drop(replies[0]);
	cnode_term_drop(replies[1]);
	cnode_mailbox_close(mute);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("api");
	TCase *tc = tcase_create("two nodes");
	tcase_add_checked_fixture(tc, open_nodes, close_nodes);
	add_common(tc);
	tcase_add_test(tc, an_idle_node_has_no_thread_that_wakes_every_few_milliseconds);
	tcase_add_test(tc, a_multi_call_that_cannot_be_sent_to_all_says_to_whom);
	suite_add_tcase(s, tc);
	tc = tcase_create("without threads");
	tcase_add_checked_fixture(tc, open_without_threads, close_nodes);
	add_common(tc);
	suite_add_tcase(s, tc);
	return tap_run(s);
}
