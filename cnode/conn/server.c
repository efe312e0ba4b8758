/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Being an epmd, for machines that have none: what BEAM nodes and `epmd -names` use of it.
 * DUMP and STOP are not answered, KILL is refused: it lives as long as its node.
 */
#include "cnode/conn/inner.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define LISTENERS (2 + CN_EPMD_ADDRESSES)        /* loopback of both families */

struct client {
	struct client *next, *prev;
	struct cn_epmd_server *server;
	struct cn_io io;
	struct cn_timer idle;
	bool local;                     /* may register */
	bool answering;                 /* `out` is being written, then it is closed or stays registered */
	uint16_t name_size;             /* 0: not registered */
	char name[CN_EPMD_NAME_BYTES];
	struct cn_buf out;
	size_t size;
	uint8_t in[CN_EPMD_REQUEST_BYTES];
};

struct cn_epmd_server {
	struct cn_loop *loop;
	struct cn_log *log;
	uint16_t port;
	struct cn_epmd_registry *registry;
	struct client *clients;
	unsigned count;                 /* of clients that are not registered */
	unsigned listening;
	struct cn_listener listeners[LISTENERS];
	struct cn_log_gate gate;
};

/* ---- one connection ---- */

static void client_close(struct client *c)
{
	struct cn_epmd_server *s = c->server;
	if (c->name_size > 0) {
		cn_epmd_registry_remove(s->registry, c->name, c->name_size);
		cn_log_line(s->log, CNODE_LOG_INFO, "epmd: %.*s has left", (int)c->name_size, c->name);
	} else {
		s->count--;
	}
	if (c->prev)
		c->prev->next = c->next;
	else
		s->clients = c->next;
	if (c->next)
		c->next->prev = c->prev;
	cn_timer_stop(&c->idle);
	cn_io_close(&c->io);
	cn_buf_fini(&c->out);
	cn_free(c);
}

/* Writes the answer; closes behind it unless it is a registration. */
static void client_write(struct client *c)
{
	while (c->out.size > 0) {
		size_t moved;
		if (cn_socket_write(c->io.fd, &(struct iovec){ c->out.data, c->out.size }, 1, &moved) < 0) {
			client_close(c);
			return;
		}
		if (moved == 0) {
			cn_io_set(&c->io, CN_WRITE);
			return;
		}
		cn_buf_consume(&c->out, moved);
	}
	if (c->name_size == 0) {
		client_close(c);
		return;
	}
	c->answering = false;
	cn_io_set(&c->io, CN_READ);
}

/* Puts the answer into c->out. Nothing there: there is none. */
static int alive(struct client *c, const struct cn_epmd_node *node)
{
	struct cn_epmd_server *s = c->server;
	uint32_t creation = 99;         /* what OTP's epmd says with a refusal */
	if (!c->local)
		return CNODE_ENOTALLOWED;
	int rc = cn_epmd_registry_add(s->registry, node, &creation);
	int put = cn_epmd_put_alive2_reply(&c->out, node->high, rc != 0, rc != 0 ? 99 : creation);
	if (rc != 0)
		return put;
	if (put != 0) {
		cn_epmd_registry_remove(s->registry, node->name, node->name_size);
		return put;
	}
	memcpy(c->name, node->name, node->name_size);
	c->name_size = node->name_size;
	s->count--;
	cn_timer_stop(&c->idle);
	cn_log_line(s->log, CNODE_LOG_INFO, "epmd: %.*s is at port %u", (int)c->name_size, c->name, node->port);
	return 0;
}

static int answer(struct client *c, const struct cn_epmd_request *r)
{
	const struct cn_epmd_registry *registry = c->server->registry;
	switch (r->op) {
	case CN_EPMD_ALIVE2:
		return alive(c, &r->node);
	case CN_EPMD_PORT2:
		return cn_epmd_put_port2_reply(&c->out, cn_epmd_registry_find(registry, r->node.name, r->node.name_size));
	case CN_EPMD_NAMES:
		return cn_epmd_put_names_reply(&c->out, registry, c->server->port);
	case CN_EPMD_KILL:
		if (c->local)
			cn_put(&c->out, "NO", 2);
		return c->out.err;
	case CN_EPMD_DUMP:
	case CN_EPMD_STOP:
		break;
	}
	return CNODE_ENOTSUP;
}

static void client_read(struct client *c)
{
	size_t moved;
	struct iovec part = { c->in + c->size, sizeof c->in - c->size };
	/* A registered node says nothing more: whatever comes, an end or bytes, ends its registration. */
	if (c->name_size > 0 || part.iov_len == 0 || cn_socket_read(c->io.fd, &part, 1, &moved) < 0) {
		client_close(c);
		return;
	}
	c->size += moved;
	struct cn_epmd_request request;
	int used = cn_epmd_read_request(c->in, c->size, &request);
	if (used == 0)
		return;
	/* More than one request at once is not epmd's protocol. */
	if (used < 0 || (size_t)used < c->size || answer(c, &request) != 0) {
		client_close(c);
		return;
	}
	c->answering = true;
	client_write(c);
}

static void client_ready(struct cn_io *io, unsigned events)
{
	struct client *c = CN_CONTAINER(io, struct client, io);
	(void)events;
	if (c->answering)
		client_write(c);
	else
		client_read(c);
}

static void client_idle(struct cn_timer *t)
{
	/* Set once, not with each byte: a request takes a minute at most, however it dribbles. */
	client_close(CN_CONTAINER(t, struct client, idle));
}

static void taken(struct cn_listener *l, int take_fd, const struct cn_address *from)
{
	struct cn_epmd_server *s = l->context;
	struct cn_address own;
	uint32_t held;
	struct client *c = s->count < CN_EPMD_CLIENTS ? cn_calloc(1, sizeof *c) : NULL;
	if (!c) {
		cn_socket_close(take_fd);
		if (cn_log_pass(&s->gate, 1, &held))
			cn_log_line(s->log, CNODE_LOG_WARNING, "epmd: connection refused, too many are open (%u others before)", held);
		return;
	}
	/* From one of our own addresses to itself, or over loopback: it is on this host. */
	c->local = cn_address_is_loopback(from) ||
		   (cn_socket_addresses(take_fd, &own, NULL) == 0 && cn_address_same_host(&own, from));
	c->server = s;
	c->next = s->clients;
	if (c->next)
		c->next->prev = c;
	s->clients = c;
	s->count++;
	cn_buf_init(&c->out, 0);
	cn_timer_init(&c->idle, s->loop, client_idle);
	cn_timer_set(&c->idle, cn_loop_clock(s->loop) + CN_EPMD_IDLE);
	cn_io_init(&c->io, s->loop, take_fd, client_ready);
	cn_io_set(&c->io, CN_READ);
}

static void short_of_fds(struct cn_listener *l, int rc)
{
	struct cn_epmd_server *s = l->context;
	if (rc != 0)
		cn_log_line(s->log, CNODE_LOG_ERROR, "epmd: no connection can be accepted: %s", cnode_strerror(rc));
	else
		cn_log_line(s->log, CNODE_LOG_NOTICE, "epmd: connections are accepted again");
}

/* ---- the server ---- */

static int listen_at(struct cn_epmd_server *s, const struct cn_address *address)
{
	if (s->listening == LISTENERS)
		return CNODE_EBADARG;
	struct cn_listener *l = &s->listeners[s->listening];
	*l = (struct cn_listener){ .taken = taken, .short_of_fds = short_of_fds, .context = s };
	struct cn_address a = *address;
	a.port = s->port;
	int rc = cn_listener_start(l, s->loop, &a);
	if (rc != 0)
		return rc;
	s->port = l->address.port;
	s->listening++;
	return 0;
}

static bool is_any(const struct cn_address *a)
{
	const struct cn_address any = cn_address_any(a->family, 0);
	return cn_address_same_host(a, &any);
}

/* Is it an address that is listened at already, or one of all those that are? (:: has those of IPv4 too.) */
static bool is_covered(const struct cn_epmd_server *s, const struct cn_address *a)
{
	for (unsigned i = 0; i < s->listening; i++) {
		const struct cn_address *has = &s->listeners[i].address;
		if (cn_address_same_host(a, has) || (is_any(has) && (has->family == 6 || a->family == 4)))
			return true;
	}
	return false;
}

/* A host without IPv6 is no error. */
static int listen_if_there(struct cn_epmd_server *s, int family)
{
	struct cn_address a = cn_address_loopback(family, 0);
	if (is_covered(s, &a))
		return 0;
	int rc = listen_at(s, &a);
	return rc == CNODE_EHOST || rc == CNODE_ENOTSUP ? 0 : rc;
}

/* The next address of a list, with its text (what fits): 1, 0 at the end, CNODE_EBADARG. */
static int next_address(const char **at, struct cn_address *a, char *text, size_t room)
{
	static const char separators[] = ", \t";
	*at += strspn(*at, separators);
	if (!**at)
		return 0;
	size_t size = strcspn(*at, separators);
	snprintf(text, room, "%.*s", (int)(size < room ? size : room - 1), *at);
	*at += size;
	return size < room && cn_address_parse(text, 0, a) ? 1 : CNODE_EBADARG;
}

bool cn_epmd_list_valid(const char *list, char *wrong, size_t room)
{
	struct cn_address a;
	int rc, count = 0;
	while ((rc = next_address(&list, &a, wrong, room)) > 0)
		if (++count > CN_EPMD_ADDRESSES)
			return false;
	return rc == 0;
}

/* What stands for all comes first: beside one of its own addresses it could not be had any more. */
enum rank { ANY_6, ANY_4, ONE };

static enum rank rank_of(const struct cn_address *a)
{
	return !is_any(a) ? ONE : a->family == 6 ? ANY_6 : ANY_4;
}

/* The addresses of a list that have this rank. */
static int listen_those(struct cn_epmd_server *s, const char *list, enum rank rank)
{
	char text[CN_EPMD_ADDRESS_SIZE];
	struct cn_address a;
	int more = 0, rc = 0;
	while (rc == 0 && (more = next_address(&list, &a, text, sizeof text)) > 0)
		if (rank_of(&a) == rank && !is_covered(s, &a))
			rc = listen_at(s, &a);
	return rc != 0 ? rc : more;
}

static int listen_list(struct cn_epmd_server *s, const char *list)
{
	int rc = listen_those(s, list, ANY_6);
	if (rc == 0)
		rc = listen_those(s, list, ANY_4);
	if (rc == 0)
		rc = listen_if_there(s, 4);
	if (rc == 0)
		rc = listen_if_there(s, 6);
	return rc == 0 ? listen_those(s, list, ONE) : rc;
}

static int listen_all(struct cn_epmd_server *s)
{
	struct cn_address a = cn_address_any(6, 0);
	int rc = listen_at(s, &a);
	if (rc != CNODE_EHOST && rc != CNODE_ENOTSUP)
		return rc;
	a = cn_address_any(4, 0);
	return listen_at(s, &a);
}

int cn_epmd_server_new(struct cn_loop *loop, struct cn_log *log, uint16_t port, struct cn_epmd_server **made)
{
	CN_LEAD(loop);
	struct cn_epmd_server *s = cn_calloc(1, sizeof *s);
	if (!s)
		return CNODE_ENOMEM;
	s->loop = loop;
	s->log = log;
	s->port = port;
	s->registry = cn_epmd_registry_new((uint32_t)time(NULL));
	const char *list = getenv("ERL_EPMD_ADDRESS");
	int rc = !s->registry ? CNODE_ENOMEM : list && *list ? listen_list(s, list) : listen_all(s);
	if (rc != 0) {
		cn_epmd_server_free(s);
		return rc;
	}
	*made = s;
	return 0;
}

void cn_epmd_server_free(struct cn_epmd_server *s)
{
	if (!s)
		return;
	while (s->clients)
		client_close(s->clients);
	for (unsigned i = 0; i < s->listening; i++)
		cn_listener_close(&s->listeners[i]);
	cn_epmd_registry_free(s->registry);
	cn_free(s);
}

uint16_t cn_epmd_server_port(const struct cn_epmd_server *s)
{
	return s->port;
}

int cn_epmd_server_add(struct cn_epmd_server *s, const struct cn_epmd_node *node, uint32_t *creation)
{
	return cn_epmd_registry_add(s->registry, node, creation);
}
