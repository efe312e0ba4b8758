/* SPDX-License-Identifier: Apache-2.0 */
/* Asking an epmd: resolve its host, connect to one address after the other, ask, read. */
#include "cnode/conn/inner.h"

#include <stdio.h>
#include <stdlib.h>

#define READ_STEP 4096

/* 0 if it is none. */
static uint16_t port_of(const char *text)
{
	char host[1];
	uint16_t port = 0;
	char with_colon[16];
	if (strlen(text) >= sizeof with_colon - 1)
		return 0;
	snprintf(with_colon, sizeof with_colon, ":%s", text);
	return cn_address_split(with_colon, host, sizeof host, &port) == 0 ? port : 0;
}

int cn_epmd_environment(uint16_t *port, bool serves, char *text, size_t room)
{
	const char *given = getenv("ERL_EPMD_PORT");
	bool set = given && *given;
	if (port && (*port = set ? port_of(given) : CN_EPMD_PORT) == 0) {
		snprintf(text, room, "ERL_EPMD_PORT is %.40s in the environment: a port from 1 to 65535 is wanted", given);
		return CNODE_EEPMD;
	}
	char wrong[CN_EPMD_ADDRESS_SIZE];
	const char *list = getenv("ERL_EPMD_ADDRESS");
	if (serves && list && !cn_epmd_list_valid(list, wrong, sizeof wrong)) {
		snprintf(text, room, "ERL_EPMD_ADDRESS has %.40s in the environment: at most %d IP addresses are wanted, with commas between",
			 wrong, CN_EPMD_ADDRESSES);
		return CNODE_EEPMD;
	}
	return 0;
}

static void finish(struct cn_epmd_query *q, int rc)
{
	q->running = false;
	cn_resolve_cancel(&q->resolve);
	cn_timer_stop(&q->deadline);
	cn_io_close(&q->io);
	cn_buf_fini(&q->out);
	/* The answer borrows from these bytes; done may free the query. */
	struct cn_buf in = q->in;
	cn_buf_init(&q->in, 0);
	q->done(q, rc);
	cn_buf_fini(&in);
}

static void connect_next(struct cn_epmd_query *q);

/* This address does not do. */
static void try_next(struct cn_epmd_query *q, int rc)
{
	q->last = rc;
	cn_io_close(&q->io);
	connect_next(q);
}

static void query_read(struct cn_epmd_query *q)
{
	bool closed = false;
	for (;;) {
		uint8_t *room = cn_buf_reserve(&q->in, READ_STEP);
		if (!room) {
			finish(q, q->in.err == CNODE_ENOMEM ? CNODE_ENOMEM : CNODE_EEPMD);
			return;
		}
		size_t moved;
		closed = cn_socket_read(q->io.fd, &(struct iovec){ room, READ_STEP }, 1, &moved) < 0;
		q->in.size += moved;
		if (moved < READ_STEP)
			break;
	}
	int rc = q->op == CN_EPMD_PORT2 ? cn_epmd_read_port2(q->in.data, q->in.size, closed, &q->node)
					: cn_epmd_read_names(q->in.data, q->in.size, closed, &q->epmd_port, &q->names);
	if (rc != 0)
		finish(q, rc > 0 ? 0 : rc);
	else if (closed)
		finish(q, CNODE_EEPMD);
}

static void query_ready(struct cn_io *io, unsigned events)
{
	struct cn_epmd_query *q = CN_CONTAINER(io, struct cn_epmd_query, io);
	if (!q->connected) {
		int rc = cn_socket_outcome(io->fd);
		if (rc != 0) {
			try_next(q, rc);
			return;
		}
		q->connected = true;
	}
	if ((events & CN_WRITE) && q->out.size > 0) {
		size_t moved;
		if (cn_socket_write(io->fd, &(struct iovec){ q->out.data, q->out.size }, 1, &moved) < 0) {
			try_next(q, CNODE_EEPMD);
			return;
		}
		cn_buf_consume(&q->out, moved);
	}
	cn_io_set(io, q->out.size > 0 ? CN_READ | CN_WRITE : CN_READ);
	if (events & CN_READ)
		query_read(q);
}

static void connect_next(struct cn_epmd_query *q)
{
	while (q->next < q->resolve.count) {
		int fd;
		q->address = q->resolve.found[q->next++];
		int rc = cn_socket_connect(&q->address, &fd);
		if (rc == 0) {
			q->connected = false;
			cn_io_init(&q->io, q->loop, fd, query_ready);
			cn_io_set(&q->io, CN_WRITE);
			return;
		}
		q->last = rc;
	}
	finish(q, q->last == CNODE_EFDS || q->last == CNODE_ENOMEM ? q->last : CNODE_EEPMD);
}

static void query_resolved(struct cn_resolve *r, int rc)
{
	struct cn_epmd_query *q = CN_CONTAINER(r, struct cn_epmd_query, resolve);
	/* What could not be asked is found out here, so that `done` is not called from cn_epmd_ask. */
	if (q->last != 0)
		rc = q->last;
	if (rc != 0) {
		finish(q, rc);
		return;
	}
	if (q->resolved)
		q->resolved(q);
	connect_next(q);
}

static void query_late(struct cn_timer *t)
{
	finish(CN_CONTAINER(t, struct cn_epmd_query, deadline), CNODE_ETIMEOUT);
}

void cn_epmd_ask(struct cn_epmd_query *q, struct cn_loop *loop, const char *host, int family, uint16_t port,
		 const void *name, size_t size, void (*done)(struct cn_epmd_query *, int))
{
	CN_LEAD(loop);
	*q = (struct cn_epmd_query){ .done = done, .loop = loop, .running = true };
	q->op = name ? CN_EPMD_PORT2 : CN_EPMD_NAMES;
	cn_buf_init(&q->out, 0);
	cn_buf_init(&q->in, CN_EPMD_REPLY_BYTES);
	cn_io_init(&q->io, loop, -1, query_ready);
	cn_timer_init(&q->deadline, loop, query_late);
	cn_timer_set(&q->deadline, cn_loop_clock(loop) + CN_EPMD_TIME);
	q->last = name ? cn_epmd_put_port2(&q->out, name, size) : cn_epmd_put_names(&q->out);
	cn_resolve_start(&q->resolve, loop, host, family, port, query_resolved);
}

void cn_epmd_cancel(struct cn_epmd_query *q)
{
	if (!q->running)
		return;
	q->running = false;
	cn_resolve_cancel(&q->resolve);
	cn_timer_stop(&q->deadline);
	cn_io_close(&q->io);
	cn_buf_fini(&q->out);
	cn_buf_fini(&q->in);
}
