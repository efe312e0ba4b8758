/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections of the node on plain erl_interface: a thread for each reads, and ends it when bytes come that are no term
 * (as far as ei_skip_term can tell) or nothing comes, not even a tick. Writes of a connection are under its own mutex.
 */
#include "ei_node.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNECT_MS 10000
#define SETUP_MS 7000           /* for each step of a handshake that comes in, as net_setuptime */
#define REGISTER_MS 500         /* between two attempts to register again */
#define ACCEPTORS 64            /* handshakes that may be under way at once */

enum state { DIALLING, UP, CLOSED };

/* Is never freed, because another thread may be about to use it. */
struct conn {
	struct conn *next;
	enum state state;
	int fd;                         /* open while UP, and while `writing` is held and it is not `gone` */
	bool gone;                      /* under `writing` */
	char node[MAXATOMLEN_UTF8];
	pthread_mutex_t writing;
	pthread_mutex_t asking;         /* one rpc at a time */
	ei_x_buff result;               /* of the rpc that is under way */
	bool waiting, answered;
};

ei_cnode self;
static int listener, port, epmd;
static unsigned silence_ms;     /* for which a peer may say nothing */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;        /* the list, and the flags in it */
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;       /* a conn's state, or its rpc is answered */
static struct conn *conns;

static void *serve(void *context);

/* ---- the list; under the lock ---- */

static struct conn *find_conn(const char *node)
{
	struct conn *c = conns;
	while (c && (c->state == CLOSED || strcmp(c->node, node) != 0))
		c = c->next;
	return c;
}

static struct conn *new_conn(const char *node)
{
	struct conn *c = calloc(1, sizeof *c);
	if (!c)
		die("a connection");
	strcpy(c->node, node);
	pthread_mutex_init(&c->writing, NULL);
	pthread_mutex_init(&c->asking, NULL);
	ei_x_new(&c->result);
	c->next = conns;
	conns = c;
	return c;
}

/* Nobody finds it any more, its reader ends, and whoever waits in a write. */
static void give_up(struct conn *c)
{
	if (c->state == UP)
		shutdown(c->fd, SHUT_RDWR);
	c->state = CLOSED;
	pthread_cond_broadcast(&changed);
}

static void come_up(struct conn *c, int fd)
{
	c->fd = fd;
	c->state = UP;
	pthread_cond_broadcast(&changed);
	start(serve, c);
}

/* ---- the list; takes the lock ---- */

/* A peer that dials is taken to be the one that was connected, if one was. */
static void accepted(int fd, const char *node)
{
	pthread_mutex_lock(&lock);
	struct conn *old = find_conn(node);
	if (old && old->state == UP)
		give_up(old);
	come_up(new_conn(node), fd);
	pthread_mutex_unlock(&lock);
}

/* Dials if need be. One thread does it, others who want the same node wait for what becomes of that. */
static struct conn *get_conn(const char *node)
{
	pthread_mutex_lock(&lock);
	struct conn *c = find_conn(node);
	if (c) {
		while (c->state == DIALLING)
			pthread_cond_wait(&changed, &lock);
	} else {
		c = new_conn(node);
		pthread_mutex_unlock(&lock);
		int fd = ei_connect_tmo(&self, (char *)node, CONNECT_MS);
		pthread_mutex_lock(&lock);
		if (fd >= 0)
			come_up(c, fd);
		else
			give_up(c);
	}
	if (c->state != UP && (c = find_conn(node)) && c->state != UP)
		c = NULL;
	pthread_mutex_unlock(&lock);
	return c;
}

/* ---- sending ---- */

void send_pid(erlang_pid *to, ei_x_buff *x)
{
	if (strcmp(to->node, ei_thisnodename(&self)) == 0) {
		deliver_pid(to, (struct message){ x->buff, x->index });
		return;
	}
	struct conn *c = get_conn(to->node);
	if (!c)
		return;
	pthread_mutex_lock(&c->writing);
	if (!c->gone)
		ei_send(c->fd, to, x->buff, x->index);
	pthread_mutex_unlock(&c->writing);
}

void send_name(const char *name, const char *node, ei_x_buff *x)
{
	if (strcmp(node, ei_thisnodename(&self)) == 0) {
		deliver_name(name, (struct message){ x->buff, x->index });
		return;
	}
	struct conn *c = get_conn(node);
	if (!c)
		return;
	pthread_mutex_lock(&c->writing);
	if (!c->gone)
		ei_reg_send(&self, c->fd, (char *)name, x->buff, x->index);
	pthread_mutex_unlock(&c->writing);
}

/* ---- connecting and rpc ---- */

bool net_connect(const char *node)
{
	return get_conn(node) != NULL;
}

bool net_disconnect(const char *node)
{
	pthread_mutex_lock(&lock);
	struct conn *c = find_conn(node);
	bool connected = c && c->state == UP;
	if (connected)
		give_up(c);
	pthread_mutex_unlock(&lock);
	return connected;
}

/* ei_rpc_to, and the answer {rex, Result} from the thread that reads the connection. */
bool net_rpc(const char *node, const char *module, const char *function, struct message arguments, ei_x_buff *result)
{
	struct conn *c = get_conn(node);
	if (!c)
		return false;
	pthread_mutex_lock(&c->asking);
	pthread_mutex_lock(&lock);
	c->waiting = true;
	c->answered = false;
	pthread_mutex_unlock(&lock);
	pthread_mutex_lock(&c->writing);
	int rc = c->gone ? -1 : ei_rpc_to(&self, c->fd, (char *)module, (char *)function, arguments.bytes, arguments.size);
	pthread_mutex_unlock(&c->writing);
	pthread_mutex_lock(&lock);
	while (rc >= 0 && !c->answered && c->state == UP)
		pthread_cond_wait(&changed, &lock);
	bool answered = c->answered;
	c->waiting = false;
	if (answered)
		ei_x_append(result, &c->result);
	pthread_mutex_unlock(&lock);
	pthread_mutex_unlock(&c->asking);
	return answered;
}

/* If the message is the answer of this connection's rpc. */
static void rpc_answered(struct conn *c, struct message m)
{
	char tag[MAXATOMLEN];
	int at = 0, version, arity;
	if (ei_decode_version(m.bytes, &at, &version) != 0 || ei_decode_tuple_header(m.bytes, &at, &arity) != 0 ||
	    arity != 2 || ei_decode_atom(m.bytes, &at, tag) != 0 || strcmp(tag, "rex") != 0)
		return;
	pthread_mutex_lock(&lock);
	if (c->waiting) {
		c->result.index = 0;
		ei_x_append_buf(&c->result, m.bytes + at, m.size - at);
		c->answered = true;
		pthread_cond_broadcast(&changed);
	}
	pthread_mutex_unlock(&lock);
}

/* ---- reading and accepting ---- */

/* As far as the library can tell: ei_skip_term knows no end of the buffer, and of a term only where it ends. What is
 * behind it does no harm. */
static bool is_term(struct message m)
{
	int at = 0, version;
	return m.size > 1 && ei_decode_version(m.bytes, &at, &version) == 0 && ei_skip_term(m.bytes, &at) == 0 && at <= m.size;
}

static void *serve(void *context)
{
	struct conn *c = context;
	ei_x_buff x;
	erlang_msg msg;
	int rc;
	ei_x_new(&x);
	while ((rc = ei_xreceive_msg_tmo(c->fd, &msg, &x, silence_ms)) != ERL_ERROR) {
		if (rc != ERL_MSG || (msg.msgtype != ERL_SEND && msg.msgtype != ERL_REG_SEND))
			continue;
		struct message m = { x.buff, x.index };
		if (!is_term(m))
			break;
		if (!(msg.msgtype == ERL_SEND ? deliver_pid(&msg.to, m) : deliver_name(msg.toname, m)))
			rpc_answered(c, m);
	}
	pthread_mutex_lock(&lock);
	give_up(c);
	pthread_mutex_unlock(&lock);
	pthread_mutex_lock(&c->writing);
	c->gone = true;
	ei_close_connection(c->fd);
	pthread_mutex_unlock(&c->writing);
	ei_x_free(&x);
	return NULL;
}

/* The registration is a connection to epmd: when epmd dies it ends, and is made anew. */
static void *stay_registered(void *context)
{
	const struct timespec pause = { .tv_nsec = REGISTER_MS * 1000000L };
	char byte;
	(void)context;
	for (;;) {
		while (read(epmd, &byte, 1) > 0)
			;
		close(epmd);
		while ((epmd = ei_publish_tmo(&self, port, CONNECT_MS)) < 0)
			nanosleep(&pause, NULL);
	}
	return NULL;
}

/* ei_accept is accept and handshake in one, so who does not hurry keeps a thread waiting. */
static void *accept_all(void *context)
{
	ErlConnect peer;
	int fd;
	(void)context;
	for (;;)
		if ((fd = ei_accept_tmo(&self, listener, &peer, SETUP_MS)) >= 0)
			accepted(fd, peer.nodename);
	return NULL;
}

void net_init(const char *name)
{
	char alive[MAXATOMLEN];
	const char *at = strchr(name, '@');
	struct in_addr address = { .s_addr = htonl(INADDR_LOOPBACK) };
	struct timespec now;
	if (!at || at - name >= (long)sizeof alive)
		die("NUT_NAME");
	snprintf(alive, sizeof alive, "%.*s", (int)(at - name), name);
	silence_ms = (unsigned)strtoul(need("NUT_TICKTIME"), NULL, 10) * 1000;
	signal(SIGPIPE, SIG_IGN);
	ei_init();
	clock_gettime(CLOCK_REALTIME, &now);
	/* Never 0 to 3, and another one at the next start. */
	unsigned id = ((unsigned)now.tv_sec ^ (unsigned)now.tv_nsec ^ (unsigned)getpid() << 16) | 4u;
	if (ei_connect_xinit(&self, at + 1, alive, name, (Erl_IpAddr)&address, need("NUT_COOKIE"), id) < 0)
		die("ei_connect_xinit");
	if ((listener = ei_listen(&self, &port, 128)) < 0)
		die("ei_listen");
}

void net_open(void)
{
	if ((epmd = ei_publish(&self, port)) < 0)
		die("ei_publish");
	start(stay_registered, NULL);
	for (int i = 0; i < ACCEPTORS; i++)
		start(accept_all, NULL);
}
