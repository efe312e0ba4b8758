/* SPDX-License-Identifier: Apache-2.0 */
/* What the connections of a node share; accepting, and the caps on strangers. */
#include "cnode/conn/inner.h"

#include <stdio.h>

int cn_net_new(const struct cn_net_config *config, struct cn_net **made)
{
	CN_LEAD(config->loop);
	size_t size = strlen(config->name);
	if (!cn_node_name_valid(config->name, size) || size >= CNODE_NAME_SIZE)
		return CNODE_EBADNAME;
	struct cn_net *net = cn_calloc(1, sizeof *net);
	if (!net)
		return CNODE_ENOMEM;
	net->config = *config;
	struct cn_net_config *n = &net->config;
	n->setuptime = n->setuptime ? n->setuptime : CN_HANDSHAKE_TIME;
	n->ticktime = n->ticktime ? n->ticktime : CN_NET_TICKTIME;
	if (n->ticktime < CN_NS_PER_S)
		n->ticktime = CN_NS_PER_S;
	n->out_high = n->out_high ? n->out_high : CN_NET_OUT_HIGH;
	n->out_limit = n->out_limit ? n->out_limit : CN_NET_OUT_LIMIT;
	n->max_connections = n->max_connections ? n->max_connections : CN_NET_CONNECTIONS;
	n->max_pending = n->max_pending ? n->max_pending : CN_NET_PENDING;
	n->max_pending_host = n->max_pending_host ? n->max_pending_host : CN_NET_PENDING_HOST;
	memcpy(net->name, config->name, size + 1);
	n->name = net->name;

	int rc = CNODE_ENOMEM;
	net->read_room = cn_malloc(CN_READ_BUFFER);
	if (!net->read_room)
		goto undo_net;
	rc = cn_name_of(net->name, size, &net->self);
	if (rc == 0)
		rc = cn_name_pin(net->self);
	if (rc != 0)
		goto undo_room;
	cn_cork_init(net);
	*made = net;
	return 0;

undo_room:
	cn_free(net->read_room);
undo_net:
	cn_free(net);
	return rc;
}

void cn_net_listen_stop(struct cn_net *net)
{
	CN_LEAD(net->config.loop);
	struct cn_acceptor *a;
	while ((a = net->acceptors)) {
		net->acceptors = a->next;
		cn_listener_close(&a->listener);
		cn_free(a);
	}
}

void cn_net_free(struct cn_net *net)
{
	if (!net)
		return;
	cn_net_listen_stop(net);
	cn_cork_fini(net);
	cn_name_unpin(net->self);
	cn_free(net->read_room);
	cn_free(net);
}

void cn_net_finish(struct cn_net *net, uint64_t linger)
{
	struct cn_conn *next;
	for (struct cn_conn *c = net->conns; c; c = next) {
		next = c->next;         /* the list changes only when `down` is called, later */
		cn_conn_finish(c, linger);
	}
}

unsigned cn_net_count(const struct cn_net *net)
{
	return net->count;
}

unsigned cn_net_pending(const struct cn_net *net)
{
	return net->pending;
}

/* ---- accepting ---- */

/* Why this stranger is sent away; NULL: he is not. */
static const char *over_limit(const struct cn_net *net, const struct cn_address *from)
{
	if (net->count >= net->config.max_connections)
		return "the limit of connections is reached";
	unsigned all = 0, host = 0;
	for (const struct cn_conn *c = net->conns; c; c = c->next) {
		if (!c->accepted || c->was_up)
			continue;
		all++;
		host += cn_address_same_host(&c->address, from);
	}
	if (all >= net->config.max_pending)
		return "too many handshakes are going on";
	if (host >= net->config.max_pending_host && !cn_address_is_loopback(from))
		return "too many handshakes with that address are going on";
	return NULL;
}

static void refuse(struct cn_net *net, const struct cn_address *from, const char *why)
{
	char at[CN_ADDRESS_TEXT];
	uint32_t held;
	if (!cn_log_on(net->config.log, CNODE_LOG_WARNING) || !cn_log_pass(&net->refused_gate, 1, &held))
		return;
	cn_log_line(net->config.log, CNODE_LOG_WARNING, "connection from %s refused: %s (%u others before it)",
		    cn_address_text(from, at), why, held);
}

static int start(struct cn_net *net, const struct cn_stream *stream, const struct cn_address *from, const char *peer,
		 void *user, struct cn_conn **made)
{
	struct cn_conn *c = cn_conn_new(net, peer != NULL, peer, user);
	if (!c) {
		stream->ops->close((struct cn_stream *)(uintptr_t)stream);
		cn_socket_close(stream->fd);
		return CNODE_ENOMEM;
	}
	c->half.stream = *stream;
	cn_io_init(&c->io, net->config.loop, stream->fd, cn_conn_ready);
	if (from) {
		c->accepted = true;
		c->address = *from;
		cn_address_text(from, c->where);
	}
	int rc = cn_shake_begin(c);
	if (rc != 0) {
		cn_conn_drop(c);
		return rc;
	}
	*made = c;
	return 0;
}

static void taken(struct cn_listener *l, int take_fd, const struct cn_address *from)
{
	struct cn_net *net = CN_CONTAINER(l, struct cn_acceptor, listener)->net;
	struct cn_stream stream = { &cn_stream_plain, take_fd, NULL };
	struct cn_conn *c;
	const char *why = over_limit(net, from);
	if (why) {
		cn_socket_close(take_fd);
		refuse(net, from, why);
		return;
	}
	int rc = start(net, &stream, from, NULL, NULL, &c);
	if (rc != 0)
		refuse(net, from, cnode_strerror(rc));
}

static void short_of_fds(struct cn_listener *l, int rc)
{
	struct cn_net *net = CN_CONTAINER(l, struct cn_acceptor, listener)->net;
	if (rc != 0)
		cn_log_line(net->config.log, CNODE_LOG_ERROR,
			    "no connection can be accepted: %s; those that are up live on, new ones wait", cnode_strerror(rc));
	else
		cn_log_line(net->config.log, CNODE_LOG_NOTICE, "connections are accepted again");
}

int cn_net_listen(struct cn_net *net, const struct cn_address *address, struct cn_address *bound)
{
	struct cn_acceptor *a = cn_calloc(1, sizeof *a);
	if (!a)
		return CNODE_ENOMEM;
	a->net = net;
	a->listener.taken = taken;
	a->listener.short_of_fds = short_of_fds;
	int rc = cn_listener_start(&a->listener, net->config.loop, address);
	if (rc != 0) {
		cn_free(a);
		return rc;
	}
	if (bound)
		*bound = a->listener.address;
	a->next = net->acceptors;
	net->acceptors = a;
	return 0;
}

int cn_net_adopt(struct cn_net *net, const struct cn_stream *stream, const char *peer, void *user, struct cn_conn **c)
{
	CN_LEAD(net->config.loop);
	int rc = start(net, stream, NULL, peer, user, c);
	if (rc != 0)
		return rc;
	/* The initiator speaks first: the socket's being writable begins it. */
	(*c)->want_write = peer != NULL;
	cn_conn_watch(*c);
	return 0;
}
