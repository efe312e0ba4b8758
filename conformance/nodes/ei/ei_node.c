/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CONTRACT.md as far as plain erl_interface can fulfil it: messages, names, connecting, and rpc out. The library has
 * no monitors, sends no links and no exit reasons but strings, and always is a hidden node, so none of that is declared.
 *
 * It is meant to be as good as a program on the library can be, so that what fails is the library's. Here are its
 * processes: each has a mailbox and a thread that obeys, one order after the other, and may wait in a write.
 */
#include "ei_node.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What ei_connect.c demands of a peer: EXTENDED_REFERENCES, EXTENDED_PIDS_PORTS, NEW_FLOATS. */
#define MANDATORY_FLAGS 0x904

struct mail {
	struct mail *next;
	int size;
	char bytes[];
};

/* A process of the contract, with a thread of its own. */
struct puppet {
	struct puppet *next;
	erlang_pid pid;
	char name[MAXATOMLEN_UTF8];     /* "" : none */
	struct mail *first, **end;      /* its mailbox */
	pthread_cond_t arrived;
	/* Its thread's own: */
	erlang_pid watcher;
	bool watched, is_echo, ended;
	long count;                     /* of echo */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;        /* the table and the mailboxes */
static struct puppet *puppets;

static void *live(void *context);

void die(const char *what)
{
	perror(what);
	exit(1);
}

void start(void *(*run)(void *context), void *context)
{
	pthread_t thread;
	if (pthread_create(&thread, NULL, run, context) != 0)
		die("a thread");
	pthread_detach(thread);
}

const char *need(const char *name)
{
	const char *value = getenv(name);
	if (!value) {
		fprintf(stderr, "ei_node: %s is not set: this is started by cnode-conformance\n", name);
		exit(2);
	}
	return value;
}

/* ---- the table; under the lock ---- */

static bool same_pid(const erlang_pid *a, const erlang_pid *b)
{
	return a->num == b->num && a->serial == b->serial && a->creation == b->creation && strcmp(a->node, b->node) == 0;
}

static struct puppet *find_pid(const erlang_pid *pid)
{
	struct puppet *p = puppets;
	while (p && !same_pid(&p->pid, pid))
		p = p->next;
	return p;
}

static struct puppet *find_name(const char *name)
{
	struct puppet *p = puppets;
	while (p && (!*name || strcmp(p->name, name) != 0))
		p = p->next;
	return p;
}

/* Into its mailbox; false if there is nobody. */
static bool post(struct puppet *p, const char *bytes, int size)
{
	if (!p)
		return false;
	struct mail *m = malloc(sizeof *m + (size_t)size);
	if (!m)
		die("a message");
	m->next = NULL;
	m->size = size;
	memcpy(m->bytes, bytes, (size_t)size);
	*p->end = m;
	p->end = &m->next;
	pthread_cond_signal(&p->arrived);
	return true;
}

/* ---- the table; takes the lock ---- */

/* Its pid: the process itself may end at any time. */
static erlang_pid new_puppet(const char *name, bool is_echo)
{
	struct puppet *p = calloc(1, sizeof *p);
	if (!p)
		die("a process");
	strcpy(p->name, name);
	p->is_echo = is_echo;
	p->end = &p->first;
	pthread_cond_init(&p->arrived, NULL);
	pthread_mutex_lock(&lock);
	if (ei_make_pid(&self, &p->pid) != 0)
		die("ei_make_pid");
	erlang_pid pid = p->pid;
	p->next = puppets;
	puppets = p;
	pthread_mutex_unlock(&lock);
	start(live, p);
	return pid;
}

bool deliver_pid(const erlang_pid *to, struct message m)
{
	pthread_mutex_lock(&lock);
	bool found = post(find_pid(to), m.bytes, m.size);
	pthread_mutex_unlock(&lock);
	return found;
}

bool deliver_name(const char *to, struct message m)
{
	pthread_mutex_lock(&lock);
	bool found = post(find_name(to), m.bytes, m.size);
	pthread_mutex_unlock(&lock);
	return found;
}

/* ---- orders ---- */

struct order {
	struct puppet *puppet;
	erlang_pid from;
	erlang_ref ref;
	const char *bytes;      /* of the message */
	int args;               /* where the first argument starts */
	int count;              /* of arguments; -1 when they came as a string */
	char text[256];         /* then these are the arguments */
};

/* {Ref, … : the caller adds the result and sends. */
static void begin_answer(const struct order *o, ei_x_buff *x)
{
	ei_x_new_with_version(x);
	ei_x_encode_tuple_header(x, 2);
	ei_x_encode_ref(x, &o->ref);
}

static void end_answer(const struct order *o, ei_x_buff *x)
{
	erlang_pid to = o->from;
	send_pid(&to, x);
	ei_x_free(x);
}

static void answer_atom(const struct order *o, const char *atom)
{
	ei_x_buff x;
	begin_answer(o, &x);
	ei_x_encode_atom(&x, atom);
	end_answer(o, &x);
}

static void answer_bytes(const struct order *o, const char *bytes, int size)
{
	ei_x_buff x;
	begin_answer(o, &x);
	ei_x_append_buf(&x, bytes, size);
	end_answer(o, &x);
}

static void answer_pid(const struct order *o, const erlang_pid *pid)
{
	ei_x_buff x;
	begin_answer(o, &x);
	ei_x_encode_pid(&x, pid);
	end_answer(o, &x);
}

static void refuse(const struct order *o, const char *reason)
{
	ei_x_buff x;
	begin_answer(o, &x);
	ei_x_encode_tuple_header(&x, 3);
	ei_x_encode_atom(&x, "refused");
	ei_x_encode_atom(&x, "error");
	ei_x_encode_atom(&x, reason);
	end_answer(o, &x);
}

/* Where the term at `at` ends; -1 if it is none. That is_term let the message in says nothing about what is inside: of
 * elements ei_skip_term does not look at the result. */
static int after(const char *bytes, int at)
{
	return at >= 0 && ei_skip_term(bytes, &at) == 0 ? at : -1;
}

static void capabilities(const struct order *o)
{
	static const char *const all[] = { "puppet", "echo", "register", "connect", "disconnect", "rpc_out" };
	ei_x_buff x;
	begin_answer(o, &x);
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
		ei_x_encode_list_header(&x, 1);
		ei_x_encode_atom(&x, all[i]);
	}
	ei_x_encode_empty_list(&x);
	end_answer(o, &x);
}

/* The argument as it came; a list of one small number came as a string. */
static void echo(const struct order *o)
{
	char byte[2] = { ERL_SMALL_INTEGER_EXT, o->text[0] };
	int end = o->count < 0 ? 0 : after(o->bytes, o->args);
	if (o->count < 0)
		answer_bytes(o, byte, 2);
	else if (end < 0)
		refuse(o, "badarg");
	else
		answer_bytes(o, o->bytes + o->args, end - o->args);
}

static void spawn(const struct order *o)
{
	erlang_pid pid = new_puppet("", false);
	answer_pid(o, &pid);
}

static void watch(const struct order *o)
{
	erlang_pid pid;
	int at = o->args;
	if (ei_decode_pid(o->bytes, &at, &pid) != 0) {
		refuse(o, "badarg");
		return;
	}
	o->puppet->watcher = pid;
	o->puppet->watched = true;
	answer_atom(o, "ok");
}

static void exit_now(const struct order *o)
{
	pthread_mutex_lock(&lock);
	struct puppet **at = &puppets;
	while (*at != o->puppet)
		at = &(*at)->next;
	*at = o->puppet->next;
	pthread_mutex_unlock(&lock);
	o->puppet->ended = true;
	answer_atom(o, "ok");
}

static void is_alive(const struct order *o)
{
	erlang_pid pid;
	int at = o->args;
	bool found = false;
	if (ei_decode_pid(o->bytes, &at, &pid) == 0) {
		pthread_mutex_lock(&lock);
		found = find_pid(&pid) != NULL;
		pthread_mutex_unlock(&lock);
	}
	answer_atom(o, found ? "true" : "false");
}

static void creation(const struct order *o)
{
	ei_x_buff x;
	begin_answer(o, &x);
	ei_x_encode_ulong(&x, ei_self(&self)->creation);
	end_answer(o, &x);
}

static void mandatory_flags(const struct order *o)
{
	ei_x_buff x;
	begin_answer(o, &x);
	ei_x_encode_long(&x, MANDATORY_FLAGS);
	end_answer(o, &x);
}

static void send_to(const struct order *o)
{
	erlang_pid pid;
	char name[MAXATOMLEN_UTF8], node[MAXATOMLEN_UTF8];
	int at = o->args, arity, end, message = after(o->bytes, o->args);
	ei_x_buff x;
	if ((end = after(o->bytes, message)) < 0) {
		refuse(o, "badarg");
		return;
	}
	ei_x_new_with_version(&x);
	ei_x_append_buf(&x, o->bytes + message, end - message);
	bool good = true;
	if (ei_decode_pid(o->bytes, &at, &pid) == 0)
		send_pid(&pid, &x);
	else if (ei_decode_atom_as(o->bytes, &at, name, sizeof name, ERLANG_UTF8, NULL, NULL) == 0)
		send_name(name, ei_thisnodename(&self), &x);
	else if (ei_decode_tuple_header(o->bytes, &at, &arity) == 0 && arity == 2 &&
		 ei_decode_atom_as(o->bytes, &at, name, sizeof name, ERLANG_UTF8, NULL, NULL) == 0 &&
		 ei_decode_atom_as(o->bytes, &at, node, sizeof node, ERLANG_UTF8, NULL, NULL) == 0)
		send_name(name, node, &x);
	else
		good = false;
	ei_x_free(&x);
	if (good)
		answer_atom(o, "ok");
	else
		refuse(o, "badarg");
}

static bool read_atom(const struct order *o, char name[MAXATOMLEN_UTF8])
{
	int at = o->args;
	return ei_decode_atom_as(o->bytes, &at, name, MAXATOMLEN_UTF8, ERLANG_UTF8, NULL, NULL) == 0;
}

static void register_self(const struct order *o)
{
	char name[MAXATOMLEN_UTF8];
	bool done = read_atom(o, name);
	pthread_mutex_lock(&lock);
	done = done && !o->puppet->name[0] && !find_name(name);
	if (done)
		strcpy(o->puppet->name, name);
	pthread_mutex_unlock(&lock);
	if (done)
		answer_atom(o, "true");
	else
		refuse(o, "badarg");
}

static void unregister(const struct order *o)
{
	char name[MAXATOMLEN_UTF8];
	bool done = read_atom(o, name);
	pthread_mutex_lock(&lock);
	struct puppet *p = done ? find_name(name) : NULL;
	if (p)
		p->name[0] = 0;
	pthread_mutex_unlock(&lock);
	if (p)
		answer_atom(o, "true");
	else
		refuse(o, "badarg");
}

static void whereis(const struct order *o)
{
	char name[MAXATOMLEN_UTF8];
	bool done = read_atom(o, name);
	pthread_mutex_lock(&lock);
	struct puppet *p = done ? find_name(name) : NULL;
	erlang_pid pid;
	if (p)
		pid = p->pid;
	pthread_mutex_unlock(&lock);
	if (p)
		answer_pid(o, &pid);
	else
		answer_atom(o, "undefined");
}

static void disconnect(const struct order *o)
{
	char node[MAXATOMLEN_UTF8];
	answer_atom(o, read_atom(o, node) && net_disconnect(node) ? "true" : "false");
}

/* ---- orders that wait: a copy of the order on a thread of its own ---- */

struct job {
	struct order order;
	void (*run)(const struct order *o);
	char bytes[];
};

static void *run_job(void *context)
{
	struct job *job = context;
	job->run(&job->order);
	free(job);
	return NULL;
}

static void later(const struct order *o, int size, void (*run)(const struct order *o))
{
	struct job *job = malloc(sizeof *job + (size_t)size);
	if (!job)
		die("a job");
	memcpy(job->bytes, o->bytes, (size_t)size);
	job->order = *o;
	job->order.bytes = job->bytes;
	job->run = run;
	start(run_job, job);
}

static void connect_node(const struct order *o)
{
	char node[MAXATOMLEN_UTF8];
	answer_atom(o, read_atom(o, node) && net_connect(node) ? "true" : "false");
}

static void rpc(const struct order *o)
{
	char node[MAXATOMLEN_UTF8], module[MAXATOMLEN_UTF8], function[MAXATOMLEN_UTF8];
	int at = o->args, end;
	if (ei_decode_atom_as(o->bytes, &at, node, sizeof node, ERLANG_UTF8, NULL, NULL) != 0 ||
	    ei_decode_atom_as(o->bytes, &at, module, sizeof module, ERLANG_UTF8, NULL, NULL) != 0 ||
	    ei_decode_atom_as(o->bytes, &at, function, sizeof function, ERLANG_UTF8, NULL, NULL) != 0 ||
	    (end = after(o->bytes, at)) < 0) {
		refuse(o, "badarg");
		return;
	}
	ei_x_buff x;
	begin_answer(o, &x);
	if (!net_rpc(node, module, function, (struct message){ o->bytes + at, end - at }, &x)) {
		ei_x_encode_tuple_header(&x, 2);
		ei_x_encode_atom(&x, "badrpc");
		ei_x_encode_atom(&x, "nodedown");
	}
	end_answer(o, &x);
}

/* ---- messages ---- */

static void own_pid(const struct order *o)
{
	answer_pid(o, &o->puppet->pid);
}

static void obey(const struct order *o, const char *name, int size)
{
	static const struct {
		const char *name;
		int arguments;
		void (*obey)(const struct order *o);
		bool waits;
	} orders[] = {
		{ "capabilities", 0, capabilities, false },
		{ "connect", 1, connect_node, true },
		{ "creation", 0, creation, false },
		{ "disconnect", 1, disconnect, false },
		{ "echo", 1, echo, false },
		{ "exit", 1, exit_now, false },
		{ "is_alive", 1, is_alive, false },
		{ "mandatory_flags", 0, mandatory_flags, false },
		{ "register", 1, register_self, false },
		{ "rpc", 4, rpc, true },
		{ "self", 0, own_pid, false },
		{ "send", 2, send_to, false },
		{ "spawn", 0, spawn, false },
		{ "unregister", 1, unregister, false },
		{ "watch", 1, watch, false },
		{ "whereis", 1, whereis, false },
	};
	for (size_t i = 0; i < sizeof orders / sizeof orders[0]; i++) {
		if (strcmp(orders[i].name, name) != 0)
			continue;
		if (abs(o->count) != orders[i].arguments || (o->count < 0 && orders[i].obey != echo))
			refuse(o, "badarg");
		else if (orders[i].waits)
			later(o, size, orders[i].obey);
		else
			orders[i].obey(o);
		return;
	}
	refuse(o, "undef");
}

static bool read_order(struct order *o, struct message m, char name[MAXATOMLEN_UTF8])
{
	int at = 0, version, arity, type, size;
	if (ei_decode_version(m.bytes, &at, &version) != 0 || ei_decode_tuple_header(m.bytes, &at, &arity) != 0 || arity != 4 ||
	    ei_decode_atom_as(m.bytes, &at, name, MAXATOMLEN_UTF8, ERLANG_UTF8, NULL, NULL) != 0 ||
	    ei_decode_pid(m.bytes, &at, &o->from) != 0 || ei_decode_ref(m.bytes, &at, &o->ref) != 0 ||
	    ei_get_type(m.bytes, &at, &type, &size) != 0)
		return false;
	o->bytes = m.bytes;
	if (type == ERL_STRING_EXT && size < (int)sizeof o->text) {
		o->count = -size;
		return ei_decode_string(m.bytes, &at, o->text) == 0;
	}
	if (type != ERL_NIL_EXT && type != ERL_LIST_EXT)
		return false;
	if (ei_decode_list_header(m.bytes, &at, &o->count) != 0)
		return false;
	o->args = at;
	return true;
}

/* {ping, Pid, Ref, X}, {sink, _}, {sync, Pid, Ref} */
static void echo_message(struct puppet *p, struct message m)
{
	char name[MAXATOMLEN];
	int at = 0, version, arity;
	erlang_pid to;
	erlang_ref ref;
	ei_x_buff x;
	if (ei_decode_version(m.bytes, &at, &version) != 0 || ei_decode_tuple_header(m.bytes, &at, &arity) != 0 ||
	    ei_decode_atom(m.bytes, &at, name) != 0)
		return;
	if (strcmp(name, "sink") == 0 && arity == 2)
		p->count++;
	if (ei_decode_pid(m.bytes, &at, &to) != 0 || ei_decode_ref(m.bytes, &at, &ref) != 0)
		return;
	bool ping = strcmp(name, "ping") == 0 && arity == 4;
	if (!ping && !(strcmp(name, "sync") == 0 && arity == 3))
		return;
	int end = ping ? after(m.bytes, at) : at;
	if (end < 0)
		return;
	ei_x_new_with_version(&x);
	ei_x_encode_tuple_header(&x, 3);
	ei_x_encode_atom(&x, ping ? "pong" : "synced");
	ei_x_encode_ref(&x, &ref);
	if (ping)
		ei_x_append_buf(&x, m.bytes + at, end - at);
	else
		ei_x_encode_long(&x, p->count);
	send_pid(&to, &x);
	ei_x_free(&x);
}

static void take(struct puppet *p, struct message m)
{
	struct order o = { .puppet = p };
	char name[MAXATOMLEN_UTF8];
	if (p->is_echo) {
		echo_message(p, m);
	} else if (read_order(&o, m, name)) {
		obey(&o, name, m.size);
	} else if (p->watched) {
		ei_x_buff x;
		ei_x_new_with_version(&x);
		ei_x_encode_tuple_header(&x, 3);
		ei_x_encode_atom(&x, "saw");
		ei_x_encode_pid(&x, &p->pid);
		ei_x_append_buf(&x, m.bytes + 1, m.size - 1);
		send_pid(&p->watcher, &x);
		ei_x_free(&x);
	}
}

/* The next of its messages; NULL once it has ended and they are gone. */
static struct mail *next_mail(struct puppet *p)
{
	pthread_mutex_lock(&lock);
	while (!p->first && !p->ended)
		pthread_cond_wait(&p->arrived, &lock);
	struct mail *m = p->first;
	if (m && !(p->first = m->next))
		p->end = &p->first;
	pthread_mutex_unlock(&lock);
	return m;
}

static void *live(void *context)
{
	struct puppet *p = context;
	struct mail *m;
	while ((m = next_mail(p))) {
		if (!p->ended)
			take(p, (struct message){ m->bytes, m->size });
		free(m);
	}
	/* It left the table when it ended, and who is not in it gets no mail. */
	pthread_cond_destroy(&p->arrived);
	free(p);
	return NULL;
}


int main(void)
{
	const char *name = need("NUT_NAME");
	char bytes[256];
	net_init(name);
	new_puppet("conformance", false);
	new_puppet("echo", true);
	net_open();
	printf("%s ready\n", name);
	fflush(stdout);
	while (read(STDIN_FILENO, bytes, sizeof bytes) > 0)
		;
	return 0;
}
