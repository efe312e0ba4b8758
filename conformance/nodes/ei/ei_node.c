/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CONTRACT.md as far as plain erl_interface can fulfil it: messages, names, connecting, and rpc out. The library has
 * no monitors, sends no links and no exit reasons but strings, and always is a hidden node, so none of that is declared.
 *
 * A thread per connection reads and obeys; the table of puppets is under one lock, the writes of a connection under its own.
 */
#include <ei.h>

#include <arpa/inet.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNECT_MS 10000
#define ACCEPTORS 8

/* What ei_connect.c demands of a peer: EXTENDED_REFERENCES, EXTENDED_PIDS_PORTS, NEW_FLOATS. */
#define MANDATORY_FLAGS 0x904

/* A process of the contract. */
struct puppet {
	struct puppet *next;
	erlang_pid pid;
	char name[MAXATOMLEN_UTF8];     /* "" : none */
	erlang_pid watcher;
	bool watched, is_echo;
	long count;                     /* of echo */
};

struct conn {
	struct conn *next;
	int fd;
	char node[MAXATOMLEN_UTF8];
	pthread_mutex_t writing;
	pthread_mutex_t asking;         /* one rpc at a time */
	ei_x_buff result;               /* of the rpc that is under way */
	bool waiting, answered, closed;
};

/* A message that is read: the whole buffer, and where the term after the version byte starts. */
struct message {
	const char *bytes;
	int size;
};

static ei_cnode self;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;        /* puppets, conns, the flags in them */
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct puppet *puppets;
static struct conn *conns;

static void *serve(void *context);
static void deliver(struct puppet *p, struct message m);

static void die(const char *what)
{
	perror(what);
	exit(1);
}

/* ---- tables; under the lock ---- */

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

static struct puppet *new_puppet(const char *name)
{
	struct puppet *p = calloc(1, sizeof *p);
	if (!p || ei_make_pid(&self, &p->pid) != 0)
		die("a process cannot be made");
	strcpy(p->name, name);
	pthread_mutex_lock(&lock);
	p->next = puppets;
	puppets = p;
	pthread_mutex_unlock(&lock);
	return p;
}

static struct conn *add_conn(int fd, const char *node)
{
	struct conn *c = calloc(1, sizeof *c);
	pthread_t thread;
	if (!c)
		die("a connection");
	c->fd = fd;
	strcpy(c->node, node);
	pthread_mutex_init(&c->writing, NULL);
	pthread_mutex_init(&c->asking, NULL);
	ei_x_new(&c->result);
	pthread_mutex_lock(&lock);
	c->next = conns;
	conns = c;
	pthread_mutex_unlock(&lock);
	if (pthread_create(&thread, NULL, serve, c) != 0)
		die("a thread");
	pthread_detach(thread);
	return c;
}

/* Connections are marked when they end and never freed: another thread may be about to use one. */
static struct conn *find_conn(const char *node)
{
	pthread_mutex_lock(&lock);
	struct conn *c = conns;
	while (c && (c->closed || strcmp(c->node, node) != 0))
		c = c->next;
	pthread_mutex_unlock(&lock);
	return c;
}

static struct conn *get_conn(const char *node)
{
	struct conn *c = find_conn(node);
	if (!c) {
		int fd = ei_connect_tmo(&self, (char *)node, CONNECT_MS);
		if (fd >= 0)
			c = add_conn(fd, node);
	}
	return c;
}

/* ---- sending ---- */

static void send_pid(erlang_pid *to, ei_x_buff *x)
{
	if (strcmp(to->node, ei_thisnodename(&self)) == 0) {
		pthread_mutex_lock(&lock);
		struct puppet *p = find_pid(to);
		pthread_mutex_unlock(&lock);
		if (p)
			deliver(p, (struct message){ x->buff, x->index });
		return;
	}
	struct conn *c = get_conn(to->node);
	if (!c)
		return;
	pthread_mutex_lock(&c->writing);
	ei_send(c->fd, to, x->buff, x->index);
	pthread_mutex_unlock(&c->writing);
}

static void send_name(const char *name, const char *node, ei_x_buff *x)
{
	if (strcmp(node, ei_thisnodename(&self)) == 0) {
		pthread_mutex_lock(&lock);
		struct puppet *p = find_name(name);
		pthread_mutex_unlock(&lock);
		if (p)
			deliver(p, (struct message){ x->buff, x->index });
		return;
	}
	struct conn *c = get_conn(node);
	if (!c)
		return;
	pthread_mutex_lock(&c->writing);
	ei_reg_send(&self, c->fd, (char *)name, x->buff, x->index);
	pthread_mutex_unlock(&c->writing);
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

/* Where the term at `at` ends. */
static int after(const char *bytes, int at)
{
	return ei_skip_term(bytes, &at) == 0 ? at : -1;
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

static void echo(const struct order *o)
{
	char byte[2] = { ERL_SMALL_INTEGER_EXT, o->text[0] };
	if (o->count < 0)
		answer_bytes(o, byte, 2);
	else
		answer_bytes(o, o->bytes + o->args, after(o->bytes, o->args) - o->args);
}

static void spawn(const struct order *o)
{
	answer_pid(o, &new_puppet("")->pid);
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
	answer_atom(o, "ok");   /* its memory stays: another connection's thread may be in it */
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
	if (o->count != 2 || (end = after(o->bytes, message)) < 0) {
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
	return o->count == 1 && ei_decode_atom_as(o->bytes, &at, name, MAXATOMLEN_UTF8, ERLANG_UTF8, NULL, NULL) == 0;
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
	pthread_mutex_unlock(&lock);
	if (p)
		answer_pid(o, &p->pid);
	else
		answer_atom(o, "undefined");
}

static void disconnect(const struct order *o)
{
	char node[MAXATOMLEN_UTF8];
	struct conn *c = read_atom(o, node) ? find_conn(node) : NULL;
	answer_atom(o, c ? "true" : "false");
	if (c)
		shutdown(c->fd, SHUT_RDWR);
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
	pthread_t thread;
	if (!job)
		die("a job");
	memcpy(job->bytes, o->bytes, (size_t)size);
	job->order = *o;
	job->order.bytes = job->bytes;
	job->run = run;
	if (pthread_create(&thread, NULL, run_job, job) != 0)
		die("a thread");
	pthread_detach(thread);
}

static void connect_node(const struct order *o)
{
	char node[MAXATOMLEN_UTF8];
	answer_atom(o, read_atom(o, node) && get_conn(node) ? "true" : "false");
}

/* ei_rpc_to, and the answer {rex, Result} from the thread that reads the connection. */
static void rpc(const struct order *o)
{
	char node[MAXATOMLEN_UTF8], module[MAXATOMLEN_UTF8], function[MAXATOMLEN_UTF8];
	int at = o->args, end;
	if (o->count != 4 || ei_decode_atom_as(o->bytes, &at, node, sizeof node, ERLANG_UTF8, NULL, NULL) != 0 ||
	    ei_decode_atom_as(o->bytes, &at, module, sizeof module, ERLANG_UTF8, NULL, NULL) != 0 ||
	    ei_decode_atom_as(o->bytes, &at, function, sizeof function, ERLANG_UTF8, NULL, NULL) != 0 ||
	    (end = after(o->bytes, at)) < 0) {
		refuse(o, "badarg");
		return;
	}
	struct conn *c = get_conn(node);
	ei_x_buff x;
	begin_answer(o, &x);
	if (c) {
		pthread_mutex_lock(&c->asking);
		pthread_mutex_lock(&lock);
		c->waiting = true;
		c->answered = false;
		pthread_mutex_unlock(&lock);
		pthread_mutex_lock(&c->writing);
		int rc = ei_rpc_to(&self, c->fd, module, function, o->bytes + at, end - at);
		pthread_mutex_unlock(&c->writing);
		pthread_mutex_lock(&lock);
		while (rc >= 0 && !c->answered && !c->closed)
			pthread_cond_wait(&changed, &lock);
		c->waiting = false;
		if (c->answered)
			ei_x_append(&x, &c->result);
		bool got = c->answered;
		pthread_mutex_unlock(&lock);
		pthread_mutex_unlock(&c->asking);
		if (!got)
			c = NULL;
	}
	if (!c) {
		ei_x_encode_tuple_header(&x, 2);
		ei_x_encode_atom(&x, "badrpc");
		ei_x_encode_atom(&x, "nodedown");
	}
	end_answer(o, &x);
}

/* True if the message is the answer of this connection's rpc. */
static bool rpc_answered(struct conn *c, struct message m)
{
	char tag[MAXATOMLEN];
	int at = 0, version, arity;
	if (ei_decode_version(m.bytes, &at, &version) != 0 || ei_decode_tuple_header(m.bytes, &at, &arity) != 0 ||
	    arity != 2 || ei_decode_atom(m.bytes, &at, tag) != 0 || strcmp(tag, "rex") != 0)
		return false;
	pthread_mutex_lock(&lock);
	bool waiting = c->waiting;
	if (waiting) {
		c->result.index = 0;
		ei_x_append_buf(&c->result, m.bytes + at, m.size - at);
		c->answered = true;
		pthread_cond_broadcast(&changed);
	}
	pthread_mutex_unlock(&lock);
	return waiting;
}

/* ---- messages ---- */

static void obey(const struct order *o, const char *name, int size)
{
	static const struct {
		const char *name;
		void (*obey)(const struct order *o);
		bool waits;
	} orders[] = {
		{ "capabilities", capabilities, false }, { "connect", connect_node, true }, { "creation", creation, false },
		{ "disconnect", disconnect, false }, { "echo", echo, false }, { "exit", exit_now, false },
		{ "is_alive", is_alive, false }, { "mandatory_flags", mandatory_flags, false },
		{ "register", register_self, false }, { "rpc", rpc, true },
		{ "send", send_to, false }, { "spawn", spawn, false }, { "unregister", unregister, false },
		{ "watch", watch, false }, { "whereis", whereis, false },
	};
	if (strcmp(name, "self") == 0) {
		answer_pid(o, &o->puppet->pid);
		return;
	}
	for (size_t i = 0; i < sizeof orders / sizeof orders[0]; i++) {
		if (strcmp(orders[i].name, name) != 0)
			continue;
		if (orders[i].waits)
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
	ei_x_new_with_version(&x);
	ei_x_encode_tuple_header(&x, 3);
	ei_x_encode_atom(&x, ping ? "pong" : "synced");
	ei_x_encode_ref(&x, &ref);
	if (ping)
		ei_x_append_buf(&x, m.bytes + at, after(m.bytes, at) - at);
	else
		ei_x_encode_long(&x, p->count);
	send_pid(&to, &x);
	ei_x_free(&x);
}

static void deliver(struct puppet *p, struct message m)
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

static void *serve(void *context)
{
	struct conn *c = context;
	ei_x_buff x;
	erlang_msg msg;
	int rc;
	ei_x_new(&x);
	while ((rc = ei_xreceive_msg(c->fd, &msg, &x)) != ERL_ERROR) {
		if (rc != ERL_MSG || (msg.msgtype != ERL_SEND && msg.msgtype != ERL_REG_SEND))
			continue;
		struct message m = { x.buff, x.index };
		pthread_mutex_lock(&lock);
		struct puppet *p = msg.msgtype == ERL_SEND ? find_pid(&msg.to) : find_name(msg.toname);
		pthread_mutex_unlock(&lock);
		if (p)
			deliver(p, m);
		else
			rpc_answered(c, m);
	}
	pthread_mutex_lock(&lock);
	c->closed = true;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
	ei_close_connection(c->fd);
	ei_x_free(&x);
	return NULL;
}

static void *read_input(void *context)
{
	char bytes[256];
	(void)context;
	while (read(STDIN_FILENO, bytes, sizeof bytes) > 0)
		;
	exit(0);
}

/* ei_accept is accept and handshake in one, so who does not hurry would keep the others waiting. */
static void *accept_all(void *listener)
{
	ErlConnect peer;
	int fd;
	for (;;)
		if ((fd = ei_accept(&self, *(int *)listener, &peer)) >= 0)
			add_conn(fd, peer.nodename);
	return NULL;
}

static const char *need(const char *name)
{
	const char *value = getenv(name);
	if (!value) {
		fprintf(stderr, "ei_node: %s is not set: this is started by cnode-conformance\n", name);
		exit(2);
	}
	return value;
}

int main(void)
{
	char alive[MAXATOMLEN];
	const char *name = need("NUT_NAME"), *at = strchr(name, '@');
	struct in_addr address = { .s_addr = htonl(INADDR_LOOPBACK) };
	struct timespec now;
	pthread_t thread;
	int port = 0;
	if (!at || at - name >= (long)sizeof alive)
		die("NUT_NAME");
	snprintf(alive, sizeof alive, "%.*s", (int)(at - name), name);
	ei_init();
	clock_gettime(CLOCK_REALTIME, &now);
	/* Never 0 to 3, and another one at the next start. */
	unsigned id = ((unsigned)now.tv_sec ^ (unsigned)now.tv_nsec ^ (unsigned)getpid() << 16) | 4u;
	if (ei_connect_xinit(&self, at + 1, alive, name, (Erl_IpAddr)&address, need("NUT_COOKIE"), id) < 0)
		die("ei_connect_xinit");
	int listener = ei_listen(&self, &port, 128);
	if (listener < 0)
		die("ei_listen");
	new_puppet("conformance");
	new_puppet("echo")->is_echo = true;
	if (ei_publish(&self, port) < 0)
		die("ei_publish");
	for (int i = 1; i < ACCEPTORS; i++)
		if (pthread_create(&thread, NULL, accept_all, &listener) != 0)
			die("a thread");
	if (pthread_create(&thread, NULL, read_input, NULL) != 0)
		die("a thread");
	printf("%s ready\n", name);
	fflush(stdout);
	accept_all(&listener);
}
