/* SPDX-License-Identifier: Apache-2.0 */
/* Dialling: the host's name, its epmd, TCP; each step's failure has its own sentence. */
#include "cnode/conn/inner.h"

#include <stdio.h>

struct cn_dialling {
	struct cn_conn *conn;
	struct cn_resolve resolve;
	struct cn_epmd_query query;
	struct cn_address found[CN_RESOLVE_MAX];
	unsigned count, next;
	uint16_t port, epmd_port;
	int family;
	char *host;
};

void cn_dial_end(struct cn_conn *c)
{
	struct cn_dialling *d = c->dialling;
	if (!d)
		return;
	cn_resolve_cancel(&d->resolve);
	cn_epmd_cancel(&d->query);
	cn_free(d->host);
	cn_free(d);
	c->dialling = NULL;
}

/* Tells the room above how far it got: the address without port, the port (epmd's answer, or as given), both. */
static void tell_step(struct cn_conn *c, int step, const struct cn_address *address)
{
	char at[CN_ADDRESS_TEXT], text[CN_ADDRESS_TEXT + 32];
	const char *given = c->dialling->port ? " as given, epmd is not asked" : "";
	if (!c->net->config.ops->step)
		return;
	cn_address_text(address, at);
	if (step == 1)
		snprintf(text, sizeof text, "the address is %.*s", (int)(strrchr(at, ':') - at), at);
	else if (step == 2)
		snprintf(text, sizeof text, "the node is at port %u%s", address->port, given);
	else
		snprintf(text, sizeof text, "connected to %s", at);
	c->net->config.ops->step(c->net->config.context, c, step, text);
}

/* Connects to the next address; `last` is why the one before did not do. */
static void connect_next(struct cn_conn *c, int last)
{
	struct cn_dialling *d = c->dialling;
	int rc = last;
	while (d->next < d->count) {
		int fd;
		c->address = d->found[d->next++];
		cn_address_text(&c->address, c->where);
		rc = cn_socket_connect(&c->address, &fd);
		if (rc != 0)
			continue;
		cn_conn_move(c, CN_CONN_CONNECT);
		cn_io_init(&c->io, c->net->config.loop, fd, cn_conn_ready);
		cn_conn_watch(c);
		return;
	}
	if (rc == CNODE_ENOCONNECTION)
		cn_conn_closef(c, rc, "no TCP connection to %s: nothing listens there, or it cannot be reached", c->where);
	else
		cn_conn_closef(c, rc, "no TCP connection to %s: %s", c->where, cnode_strerror(rc));
}

void cn_dial_ready(struct cn_conn *c)
{
	int rc = cn_socket_outcome(c->io.fd);
	if (rc != 0) {
		cn_io_close(&c->io);
		connect_next(c, rc);
		return;
	}
	c->half.stream = (struct cn_stream){ &cn_stream_plain, c->io.fd, NULL };
	tell_step(c, 3, &c->address);
	cn_dial_end(c);
	rc = cn_shake_begin(c);
	if (rc != 0)
		cn_conn_close(c, rc, NULL);
	else
		cn_shake_ready(c, 0);
}

static void looked_up(struct cn_epmd_query *q, int rc)
{
	struct cn_dialling *d = CN_CONTAINER(q, struct cn_dialling, query);
	struct cn_conn *c = d->conn;
	char at[CN_ADDRESS_TEXT];
	switch (rc) {
	case 0:
		d->found[0] = q->address;
		d->found[0].port = q->node.port;
		d->count = 1;
		tell_step(c, 2, &d->found[0]);
		connect_next(c, CNODE_EIO);
		break;
	case CNODE_ENOTREG:
		cn_conn_closef(c, rc, "epmd at %s does not know %.*s: the node does not run, or under another name",
			       cn_address_text(&q->address, at), (int)strcspn(c->peer, "@"), c->peer);
		break;
	case CNODE_EHOST:
		cn_conn_closef(c, rc, "the host name %s cannot be resolved", d->host);
		break;
	case CNODE_EEPMD:
		cn_conn_closef(c, rc, "no epmd answers on %s port %u: no Erlang node runs there, or a firewall is between",
			       d->host, d->epmd_port);
		break;
	default:
		cn_conn_closef(c, rc, "asking epmd on %s port %u failed: %s", d->host, d->epmd_port, cnode_strerror(rc));
	}
}

static void epmd_resolved(struct cn_epmd_query *q)
{
	tell_step(CN_CONTAINER(q, struct cn_dialling, query)->conn, 1, &q->resolve.found[0]);
}

static void resolved(struct cn_resolve *r, int rc)
{
	struct cn_dialling *d = CN_CONTAINER(r, struct cn_dialling, resolve);
	struct cn_conn *c = d->conn;
	if (rc != 0) {
		cn_conn_closef(c, rc, "the host name %s cannot be resolved%s", d->host,
			       rc == CNODE_EHOST ? "" : rc == CNODE_ETIMEOUT ? ": the name server does not answer" : ": out of memory");
		return;
	}
	memcpy(d->found, r->found, sizeof d->found);
	d->count = r->count;
	tell_step(c, 1, &d->found[0]);
	tell_step(c, 2, &d->found[0]);
	connect_next(c, CNODE_EIO);
}

void cn_dial_due(struct cn_conn *c)
{
	if (c->state == CN_CONN_CONNECT)
		cn_conn_closef(c, CNODE_ETIMEOUT, "no TCP connection to %s: it does not answer", c->where);
	else
		cn_conn_closef(c, CNODE_ETIMEOUT, "%s took too long", cn_conn_state_name(c->state));
}

int cn_net_dial(struct cn_net *net, const struct cn_dial *dial, struct cn_conn **made)
{
	CN_LEAD(net->config.loop);
	size_t size = strlen(dial->peer);
	if (!cn_node_name_valid(dial->peer, size) || size >= CNODE_NAME_SIZE)
		return CNODE_EBADNAME;
	if (net->count >= net->config.max_connections)
		return CNODE_ESYSLIMIT;
	struct cn_dialling *d = cn_calloc(1, sizeof *d);
	struct cn_conn *c = d ? cn_conn_new(net, true, dial->peer, dial->user) : NULL;
	if (!c) {
		cn_free(d);
		return CNODE_ENOMEM;
	}
	const char *at = strchr(dial->peer, '@');
	c->dialling = d;
	d->conn = c;
	d->port = dial->port;
	d->epmd_port = dial->epmd_port;
	d->family = dial->family;
	d->host = cn_strdup(dial->host ? dial->host : at + 1);
	if (!d->host) {
		cn_conn_drop(c);
		return CNODE_ENOMEM;
	}
	cn_timer_set(&c->timer, cn_loop_clock(net->config.loop) + net->config.setuptime);
	if (d->port) {
		c->state = CN_CONN_RESOLVE;
		cn_resolve_start(&d->resolve, net->config.loop, d->host, d->family, d->port, resolved);
	} else {
		c->state = CN_CONN_LOOKUP;
		cn_epmd_ask(&d->query, net->config.loop, d->host, d->family, d->epmd_port, dial->peer,
			    (size_t)(at - dial->peer), looked_up);
		d->query.resolved = epmd_resolved;
	}
	*made = c;
	return 0;
}
