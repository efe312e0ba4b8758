/* SPDX-License-Identifier: Apache-2.0 */
/*
 * live: a C node and a BEAM server that is killed with SIGKILL in the middle of it all.
 *
 *     live_program calls COOKIE SERVER…     1,000 calls from 8 threads, and 1,000 at once from one process
 *     live_program relations COOKIE SERVER… 50,000 links and 50,000 monitors
 *     live_program errors COOKIE SERVER CNODE   what goes wrong, by code and sentence; peers and disconnecting
 *
 * Prints TAP lines without a plan. CNODE_SLOW in the environment: no time limits (sanitizers).
 */
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cnode/cnode.h>

static cnode_node *node;
static const char *server;
static int failures;

static void result(bool good, const char *sentence)
{
	printf("%s - %s\n", good ? "ok" : "not ok", sentence);
	failures += !good;
}

static uint64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void die(const char *what, const char *why)
{
	printf("Bail out! %s: %s\n", what, why);
	exit(1);
}

static cnode_mailbox *open_mailbox(void)
{
	cnode_mailbox *mb;
	if (cnode_mailbox_open(node, NULL, &mb) != 0)
		die("mailbox", cnode_node_error(node));
	return mb;
}

/* An integer that the victim answers. */
static int64_t ask(cnode_mailbox *mb, const char *request)
{
	cnode_term term, reply;
	int64_t n = -1;
	if (cnode_parse(request, &term, NULL) != 0)
		die(request, "no term");
	if (cnode_call_name(mb, "victim", server, 20000, &reply, "~t", term) != 0)
		die(request, cnode_mailbox_error(mb));
	if (cnode_scan(reply, "~q", &n) != 0)
		n = -1;
	cnode_term_drop(reply);
	cnode_term_drop(term);
	return n;
}

/* ---- calls ---- */

#define THREADS 8
#define CALLS 125               /* of each thread */
#define AT_ONCE 1000

static atomic_int values, lost, wrong, begun;
static atomic_int done_values, done_lost, done_wrong;
static atomic_uchar done_times[AT_ONCE];

/* The first half of each thread's calls are answered; the others wait for what never comes. */
static void *caller(void *arg)
{
	cnode_mailbox *mb = open_mailbox();
	(void)arg;
	for (int64_t i = 0; i < CALLS; i++) {
		cnode_term reply;
		int64_t got;
		bool answered = i < CALLS / 2;
		atomic_fetch_add(&begun, 1);
		int rc = answered ? cnode_call_name(mb, "victim", server, CNODE_INFINITY, &reply, "{echo,~q}", i)
				  : cnode_call_name(mb, "victim", server, CNODE_INFINITY, &reply, "{hold,~q}", i);
		if (rc == 0) {
			atomic_fetch_add(cnode_scan(reply, "{echoed,~q}", &got) == 0 && got == i ? &values : &wrong, 1);
			cnode_term_drop(reply);
		} else {
			atomic_fetch_add(rc == CNODE_ENOCONNECTION && strstr(cnode_mailbox_error(mb), server) ? &lost : &wrong, 1);
		}
	}
	/* Nothing is left behind in the mailbox: no answer came twice. */
	cnode_info info;
	if (cnode_receive(mb, &info, 0) != CNODE_ETIMEOUT)
		atomic_fetch_add(&wrong, 1);
	cnode_mailbox_close(mb);
	return NULL;
}

static int completed(cnode_process *self, void *state, void *context, const cnode_answer *answer)
{
	uintptr_t i = (uintptr_t)context;
	int64_t got;
	(void)self;
	(void)state;
	atomic_fetch_add(&done_times[i], 1);
	if (answer->status == 0 && cnode_scan(answer->term, "{echoed,~q}", &got) == 0 && got == (int64_t)i)
		atomic_fetch_add(&done_values, 1);
	else
		atomic_fetch_add(answer->status == CNODE_ENOCONNECTION ? &done_lost : &done_wrong, 1);
	return 0;
}

static int burst_info(cnode_process *self, void *state, const cnode_info *info)
{
	(void)state;
	(void)info;
	for (uintptr_t i = 0; i < AT_ONCE; i++) {
		int rc = i % 2 ? cnode_call_name_async(self, "victim", server, CNODE_INFINITY, completed, (void *)i, "{hold,~q}", (int64_t)i)
			       : cnode_call_name_async(self, "victim", server, CNODE_INFINITY, completed, (void *)i, "{echo,~q}", (int64_t)i);
		if (rc != 0)
			return rc;
	}
	return 0;
}

static const cnode_behaviour burst = { CNODE_BEHAVIOUR_INIT, .handle_info = burst_info };

static int done_all(void)
{
	return atomic_load(&done_values) + atomic_load(&done_lost) + atomic_load(&done_wrong);
}

static void nap(void)
{
	nanosleep(&(struct timespec){ 0, 5000000 }, NULL);
}

static void calls(void)
{
	cnode_mailbox *mb = open_mailbox();
	pid_t victim = (pid_t)ask(mb, "pid");
	pthread_t threads[THREADS];
	cnode_term none;
	cnode_pid pid;
	if (cnode_format(&none, "[]") != 0 || cnode_process_start(node, "burst", &burst, NULL, none, &pid) != 0)
		die("burst", cnode_node_error(node));
	cnode_term_drop(none);
	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, caller, NULL) != 0)
			die("thread", "cannot be started");
	cnode_send(cnode_mailbox_process(mb), pid, "go");
	/* Everything is on its way, and what is held is held: 8 blocking calls and half of the burst. */
	uint64_t until = now_ms() + 60000;
	while (ask(mb, "held") < THREADS + AT_ONCE / 2 && now_ms() < until)
		nap();
	kill(victim, SIGKILL);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	while (done_all() < AT_ONCE && now_ms() < until)
		nap();
	printf("# threads: %d values, %d lost, %d wrong; at once: %d values, %d lost, %d wrong\n", atomic_load(&values),
	       atomic_load(&lost), atomic_load(&wrong), atomic_load(&done_values), atomic_load(&done_lost), atomic_load(&done_wrong));
	result(atomic_load(&wrong) == 0 && atomic_load(&values) == THREADS * (CALLS / 2) &&
		       atomic_load(&lost) == THREADS * (CALLS - CALLS / 2),
	       "1,000 calls from 8 threads, the server's node killed in the middle: each a value or noconnection, none hangs");
	bool once = true;
	for (int i = 0; i < AT_ONCE; i++)
		once = once && atomic_load(&done_times[i]) == 1;
	result(once, "1,000 calls at once from one process: each completes exactly once");
	result(atomic_load(&done_wrong) == 0 && atomic_load(&done_values) == AT_ONCE / 2 && atomic_load(&done_lost) == AT_ONCE / 2,
	       "what was answered has its value, the rest noconnection");
	cnode_mailbox_close(mb);
}

/* ---- relations ---- */

#define PROCESSES 50000

static cnode_pid watched[PROCESSES];
static cnode_ref refs[PROCESSES];
static unsigned char exits[PROCESSES], downs[PROCESSES];
static atomic_int seen, strange, ready;
static _Atomic uint64_t last_ms;

/* The pids are nearly consecutive (15 bits of id, then the serial, before OTP 26): found by a table of their numbers. */
#define NUMBERS (1u << 20)
static uint32_t index_of[NUMBERS];

static uint32_t number_of(cnode_pid pid)
{
	return (pid.id + (pid.serial << 15)) % NUMBERS;
}

static int watch_init(cnode_process *self, void *state, const cnode_start *how)
{
	(void)state;
	(void)how;
	return cnode_trap_exit(self, true);
}

static int watch_info(cnode_process *self, void *state, const cnode_info *info)
{
	(void)state;
	if (info->kind == CNODE_MESSAGE) {
		for (uint32_t i = 0; i < PROCESSES; i++) {
			int rc = cnode_link(self, watched[i]);
			if (rc == 0)
				rc = cnode_monitor(self, watched[i], &refs[i]);
			if (rc != 0)
				return rc;
		}
		atomic_store(&ready, 1);
		return 0;
	}
	uint32_t i = index_of[number_of(info->pid)];
	bool good = (info->kind == CNODE_EXIT || info->kind == CNODE_DOWN) && i > 0 && cnode_pid_equal(watched[i - 1], info->pid) &&
		    cnode_scan(info->reason, "noconnection") == 0;
	if (good && info->kind == CNODE_EXIT)
		good = exits[i - 1]++ == 0;
	else if (good)
		good = downs[i - 1]++ == 0 && exits[i - 1] == 1 && cnode_ref_equal(refs[i - 1], info->ref);
	if (!good)
		atomic_fetch_add(&strange, 1);
	if (atomic_fetch_add(&seen, 1) == 2 * PROCESSES - 1)
		atomic_store(&last_ms, now_ms());
	return 0;
}

static const cnode_behaviour watch = { CNODE_BEHAVIOUR_INIT, .init = watch_init, .handle_info = watch_info };

static void relations(void)
{
	cnode_mailbox *mb = open_mailbox();
	cnode_term list, none;
	cnode_pid pid;
	pid_t victim = (pid_t)ask(mb, "pid");
	if (cnode_call_name(mb, "victim", server, 60000, &list, "{processes,~i}", PROCESSES) != 0)
		die("processes", cnode_mailbox_error(mb));
	cnode_reader r = cnode_read(list);
	size_t n = cnode_read_list(&r);
	for (uint32_t i = 0; i < n && i < PROCESSES; i++) {
		watched[i] = cnode_read_pid(&r);
		if (index_of[number_of(watched[i])] != 0)
			die("pids", "two have the same number");
		index_of[number_of(watched[i])] = i + 1;
	}
	if (r.error || n != PROCESSES)
		die("processes", "the list is not what was asked for");
	cnode_term_drop(list);
	if (cnode_format(&none, "[]") != 0 || cnode_process_start(node, NULL, &watch, NULL, none, &pid) != 0)
		die("watch", cnode_node_error(node));
	cnode_term_drop(none);
	cnode_send(cnode_mailbox_process(mb), pid, "go");
	uint64_t until = now_ms() + 100000;
	while (!atomic_load(&ready) && now_ms() < until)
		nap();
	cnode_term ok;
	if (cnode_call_name(mb, "victim", server, 60000, &ok, "fence") != 0)
		die("fence", cnode_mailbox_error(mb));
	cnode_term_drop(ok);
	uint64_t began = now_ms();
	kill(victim, SIGKILL);
	while (atomic_load(&seen) < 2 * PROCESSES && now_ms() < until)
		nap();
	uint64_t took = atomic_load(&last_ms) - began;
	printf("# %d signals, %d strange, the last after %" PRIu64 " ms\n", atomic_load(&seen), atomic_load(&strange), took);
	result(atomic_load(&seen) == 2 * PROCESSES && atomic_load(&strange) == 0,
	       "50,000 links and 50,000 monitors of processes on a node that is killed: each exactly one signal, EXIT before DOWN");
	result(took <= 1000 || getenv("CNODE_SLOW"), "all of them within a second");
	/* No other is behind them. */
	if (cnode_call(mb, pid, 20000, &ok, "anything") == 0)
		cnode_term_drop(ok);
	result(atomic_load(&seen) == 2 * PROCESSES, "and none comes twice");
	cnode_mailbox_close(mb);
}

/* ---- errors ---- */

/* The code, and a sentence with all of these words (NULL ends them). */
static void expect(int rc, int code, const char *text, const char *sentence, ...)
{
	bool good = rc == code;
	va_list words;
	va_start(words, sentence);
	for (const char *word; (word = va_arg(words, const char *)) != NULL;)
		good = good && strstr(text, word) != NULL;
	va_end(words);
	if (!good)
		printf("# got %s: %s\n", cnode_error_atom(rc), text);
	result(good, sentence);
}

static int count_peer(void *context, const cnode_peer *peer)
{
	(void)context;
	return strcmp(peer->name, server) == 0 && peer->creation != 0 && peer->flags != 0 && peer->packets_in > 0 && peer->bytes_out > 0
		       ? 1 : 0;
}

static void *killer(void *arg)
{
	cnode_mailbox *mb = open_mailbox();
	while (ask(mb, "held") < 2)
		nap();
	kill(*(pid_t *)arg, SIGKILL);
	cnode_mailbox_close(mb);
	return NULL;
}

static void errors(const char *cn)
{
	cnode_mailbox *mb = open_mailbox(), *other;
	cnode_term reply = { 0 }, args, none;
	cnode_pid pid;
	pid_t victim = (pid_t)ask(mb, "pid");
	pthread_t thread;
	int rc;
	const char *text = cnode_mailbox_error(mb);
	if (cnode_format(&none, "[]") != 0 || cnode_format(&args, "[why]") != 0)
		die("terms", "no memory");

	rc = cnode_call_name(mb, "x", "nobody_at_all@127.0.0.1", 5000, &reply, "x");
	expect(rc, CNODE_ENOCONNECTION, text, "a node that is not there: its name, that it cannot be reached, and the time", "x on nobody_at_all@127.0.0.1",
	       "cannot be reached", " ms", NULL);
	rc = cnode_connect_wait(mb, "nobody_at_all@127.0.0.1", 5000);
	expect(rc, CNODE_ENOTREG, text, "connecting to it says that epmd does not know it", "nobody_at_all@127.0.0.1", NULL);
	rc = cnode_call_name(mb, "nobody_here", server, 5000, &reply, "x");
	expect(rc, CNODE_ENOPROC, text, "a process that is not there: its name and node", "nobody_here on ", server, "no such process", NULL);
	rc = cnode_call_name(mb, "victim", server, 50, &reply, "{hold,1}");
	expect(rc, CNODE_ETIMEOUT, text, "a timeout: whom, where, and how long", "victim on ", server, "50 ms", NULL);
	rc = cnode_rpc(mb, server, "erlang", "exit", args, 5000, &reply);
	expect(rc, CNODE_EEXITED, text, "a function that exits: function, node and reason", "erlang:exit on ", server, "why", NULL);
	cnode_term_drop(reply);
	rc = cnode_rpc(mb, cn, "erlang", "node", none, 5000, &reply);
	expect(rc, CNODE_ENOTALLOWED, text, "a function that is closed to us: not allowed", "erlang:node on ", cn, NULL);
	cnode_term_drop(reply);
	rc = cnode_spawn_remote(mb, cn, "no_such_factory", none, NULL, &pid);
	expect(rc, CNODE_EUNDEF, text, "a factory that is not there: its name and node", "no_such_factory on ", cn, NULL);
	rc = cnode_spawn_remote(mb, cn, "counter", args, NULL, &pid);
	expect(rc, CNODE_EBADARG, text, "arguments that a factory refuses", "counter on ", cn, NULL);
	cnode_spawn_options named = CNODE_SPAWN_INIT;
	named.name = "tom";
	cnode_term one;
	if (cnode_format(&one, "[1]") != 0)
		die("terms", "no memory");
	rc = cnode_spawn_remote(mb, cn, "counter", one, &named, &pid);
	expect(rc, 0, text, "a process is spawned under a name", NULL);
	rc = cnode_spawn_remote(mb, cn, "counter", one, &named, &pid);
	expect(rc, CNODE_ENAMETAKEN, text, "a second one of that name: the name is taken", "counter on ", cn, "tom", NULL);
	rc = cnode_call_name(mb, "tom", cn, 5000, &reply, "{add,4}");
	expect(rc, 0, text, "the first one answers by its name", NULL);
	cnode_term_drop(reply);
	rc = cnode_mailbox_open(node, "rex", &other);
	expect(rc, CNODE_ENAMETAKEN, cnode_node_error(node), "a mailbox with a name that is taken: the name", "rex", NULL);
	rc = cnode_call_name(mb, "", server, 5000, &reply, "x");
	expect(rc, CNODE_EBADNAME, text, "a name that is none", server, NULL);
	rc = cnode_call_name(mb, "x", server, 5000, &reply, "{~y}");
	expect(rc, CNODE_EFORMAT, text, "a request that cannot be built", "cannot be built", NULL);

	result(cnode_peers(node, count_peer, NULL) == 1, "cnode_peers tells of a connected node its creation, flags and traffic");
	cnode_info info;
	cnode_monitor_node(cnode_mailbox_process(mb), cn, true);
	rc = cnode_disconnect(node, cn);
	if (rc == 0)
		rc = cnode_receive(mb, &info, 10000);
	result(rc == 0 && info.kind == CNODE_NODEDOWN, "cnode_disconnect ends a connection: nodedown to who monitors the node");
	rc = cnode_disconnect(node, "nobody_ever@127.0.0.1");
	expect(rc, CNODE_ENOENT, cnode_node_error(node), "of a node that is not connected it says so, with its name", "nobody_ever@127.0.0.1", NULL);

	if (pthread_create(&thread, NULL, killer, &victim) != 0)
		die("thread", "cannot be started");
	rc = cnode_call_name(mb, "victim", server, CNODE_INFINITY, &reply, "{hold,2}");
	expect(rc, CNODE_ENOCONNECTION, text, "the connection is lost while a call waits: whom, where, that it was lost, and after how long", "victim on ",
	       server, "lost while waiting", " ms", NULL);
	pthread_join(thread, NULL);
	cnode_term_drop(one);
	cnode_term_drop(args);
	cnode_term_drop(none);
	cnode_mailbox_close(mb);
}

int main(int argc, char *argv[])
{
	cnode_config cfg = CNODE_CONFIG_INIT;
	if (argc < 4)
		die("usage", "live_program calls|relations|errors COOKIE SERVER [CNODE]");
	setvbuf(stdout, NULL, _IOLBF, 0);
	server = argv[3];
	cfg.name = "c@127.0.0.1";
	cfg.cookie = argv[2];
	cfg.epmd = CNODE_EPMD_EXTERNAL;
	if (cnode_node_new(&cfg, &node) != 0 || cnode_node_start(node) != 0)
		die("node", cnode_node_error(node));
	if (strcmp(argv[1], "calls") == 0)
		calls();
	else if (strcmp(argv[1], "relations") == 0)
		relations();
	else if (argc > 4)
		errors(argv[4]);
	cnode_node_free(node);
	return failures != 0;
}
