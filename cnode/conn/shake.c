/* SPDX-License-Identifier: Apache-2.0 */
/* The handshake: wire's machine between the stream and the room above; then the link. */
#include "cnode/conn/inner.h"

#define READ_STEP 2048                  /* the peer may send the link's first bytes behind the handshake's last */

/* An initiator must not answer a challenge that is one of our own: the peer is only a mirror. */
static bool own_challenge(void *context, uint32_t challenge)
{
	const struct cn_net *net = context;
	for (const struct cn_conn *c = net->conns; c; c = c->next)
		if (c->state == CN_CONN_HANDSHAKE && c->handshake->challenge == challenge)
			return true;
	return false;
}

int cn_shake_begin(struct cn_conn *c)
{
	struct cn_net *net = c->net;
	struct cn_handshake_config config = {
		.name = net->name,
		.peer = c->dialled ? c->peer : NULL,
		.flags = net->config.flags,
		.creation = net->config.creation,
		.time = net->config.setuptime,
		.own_challenge = own_challenge,
		.context = net,
	};
	int rc = cn_random(&config.challenge, sizeof config.challenge);
	if (rc != 0)
		return rc;
	struct cn_handshake *hs = cn_malloc(sizeof *hs);
	if (!hs)
		return CNODE_ENOMEM;
	rc = cn_handshake_init(hs, c->dialled ? CN_HANDSHAKE_INITIATOR : CN_HANDSHAKE_ACCEPTOR, &config,
			       cn_loop_clock(net->config.loop));
	if (rc != 0) {
		cn_free(hs);
		return rc;
	}
	c->handshake = hs;
	c->state = CN_CONN_HANDSHAKE;
	cn_timer_set(&c->timer, cn_handshake_due(hs));
	cn_conn_watch(c);
	return 0;
}

/* Writes what the handshake has to say. False: not all of it could be. */
static bool shake_out(struct cn_conn *c)
{
	struct cn_stream *s = &c->half.stream;
	const uint8_t *bytes;
	size_t size;
	c->want_write = false;
	while ((size = cn_handshake_out(c->handshake, &bytes)) > 0) {
		struct iovec part = { (void *)(uintptr_t)bytes, size };
		cn_trace_shake(c, true, bytes, size);
		size_t moved;
		if (s->ops->write(s, &part, 1, &moved) < 0) {
			if (c->handshake->event != CN_HANDSHAKE_FAILED)
				cn_handshake_closed(c->handshake);
			return true;
		}
		if (moved == 0) {
			c->want_write = true;
			return false;
		}
		c->half.bytes += moved;
		cn_handshake_sent(c->handshake, moved);
	}
	return true;
}

static void hello(struct cn_conn *c)
{
	struct cn_net *net = c->net;
	struct cn_handshake *hs = c->handshake;
	struct cn_hello answer = { .status = CN_STATUS_NONE };
	memcpy(c->peer, hs->peer, sizeof c->peer);
	net->config.ops->hello(net->config.context, c, hs, &answer);
	if (c->state != CN_CONN_HANDSHAKE)
		return;
	int rc = CNODE_EREFUSED;
	if (answer.name[0]) {
		rc = cn_handshake_decide_name(hs, answer.name, answer.creation);
		memcpy(c->peer, hs->peer, sizeof c->peer);
	} else if (answer.status != CN_STATUS_NONE) {
		rc = cn_handshake_decide(hs, answer.status);
	}
	if (rc != 0 && hs->event != CN_HANDSHAKE_FAILED)
		cn_conn_close(c, rc, "it was not let in");
}

/* The handshake is done: makes a link of the connection. */
static void come_up(struct cn_conn *c)
{
	struct cn_net *net = c->net;
	struct cn_handshake *hs = c->handshake;
	cnode_name name;
	int rc = cn_name_of(hs->peer, strlen(hs->peer), &name);
	if (rc == 0)
		rc = cn_name_pin(name);
	if (rc != 0)
		goto refused;
	c->info = (struct cn_conn_info){
		.name = name,
		.creation = hs->peer_creation,
		.flags = hs->flags,
		.peer_flags = hs->peer_flags,
		.visible = hs->flags & CN_DFLAG_PUBLISHED || CN_MUTANT(everybody_visible),
		.since = cn_loop_now(net->config.loop),
	};
	memcpy(c->peer, hs->peer, sizeof c->peer);
	struct cn_frame_config frame = { .flags = hs->flags, .self = net->self, .peer = name,
					 .message = net->config.max_message };
	rc = cn_frame_new(&frame, &c->frame);
	if (rc != 0)
		goto refused;
	struct cn_encoder_config encoder = { .flags = hs->flags, .peer_flags = hs->peer_flags };
	rc = cn_encoder_new(&encoder, &c->half.encoder);
	if (rc != 0)
		goto refused;

	cn_conn_move(c, CN_CONN_UP);
	c->was_up = true;
	net->pending--;
	cn_mutex_lock(&c->half.lock);
	c->out_seen = c->half.bytes;
	cn_mutex_unlock(&c->half.lock);
	c->in_seen = atomic_load(&c->bytes_in);
	c->next_tick = cn_loop_now(net->config.loop) + net->config.ticktime / 4;
	cn_timer_set(&c->timer, c->next_tick);
	atomic_store(&c->half.open, true);
	rc = net->config.ops->up(net->config.context, c);
	if (rc != 0)
		cn_conn_close(c, rc, NULL);
	return;

refused:
	cn_conn_close(c, rc, "no memory for one more peer");
}

/* Goes on as far as it can. */
static void shake(struct cn_conn *c)
{
	struct cn_net *net = c->net;
	const struct cn_conn_ops *ops = net->config.ops;
	struct cn_handshake *hs = c->handshake;
	while (c->state == CN_CONN_HANDSHAKE) {
		bool written = shake_out(c);
		/* A refusal that the socket does not take is not worth waiting for. */
		if (!written && hs->event != CN_HANDSHAKE_FAILED)
			return;
		switch (hs->event) {
		case CN_HANDSHAKE_MORE: {
			int used = cn_handshake_feed(hs, c->in.data, c->in.size, cn_loop_now(net->config.loop));
			if (used > 0) {
				cn_trace_shake(c, false, c->in.data, (size_t)used);
				cn_buf_consume(&c->in, (size_t)used);
			} else if (hs->event == CN_HANDSHAKE_MORE)
				return;
			break;
		}
		case CN_HANDSHAKE_HELLO:
			hello(c);
			break;
		case CN_HANDSHAKE_ALIVE:
			cn_handshake_continue(hs, ops->alive(net->config.context, c));
			break;
		case CN_HANDSHAKE_COOKIE: {
			const char *cookie = ops->cookie(net->config.context, c, hs->peer);
			if (cookie)
				cn_handshake_cookie(hs, cookie, strlen(cookie));
			else
				cn_conn_close(c, CNODE_ECOOKIE, "there is no cookie for it");
			break;
		}
		case CN_HANDSHAKE_REPLACE:
			/* May be answered at once, or later by cn_conn_replaced. */
			ops->replace(net->config.context, c);
			if (hs->event == CN_HANDSHAKE_REPLACE)
				return;
			break;
		case CN_HANDSHAKE_UP:
			cn_trace_shake_end(c, 0);
			come_up(c);
			break;
		case CN_HANDSHAKE_FAILED:
			cn_trace_shake_end(c, hs->error);
			cn_conn_close(c, hs->error, cn_handshake_text(hs));
			break;
		}
	}
	if (c->state != CN_CONN_UP)
		return;
	cn_handshake_fini(hs);
	cn_free(hs);
	c->handshake = NULL;
	/* The link's first bytes may be here already. */
	cn_in_turn(c);
}

void cn_shake_ready(struct cn_conn *c, unsigned events)
{
	struct cn_stream *s = &c->half.stream;
	struct cn_handshake *hs = c->handshake;
	if ((events & CN_READ) && hs->event == CN_HANDSHAKE_MORE) {
		uint8_t *room = cn_buf_reserve(&c->in, READ_STEP);
		if (!room) {
			cn_conn_close(c, CNODE_ENOMEM, NULL);
			return;
		}
		struct iovec part = { room, READ_STEP };
		size_t moved;
		int rc = s->ops->read(s, &part, 1, &moved);
		if (rc < 0) {
			cn_handshake_closed(hs);
			cn_conn_close(c, hs->error, cn_handshake_text(hs));
			return;
		}
		c->in.size += moved;
		atomic_fetch_add(&c->bytes_in, moved);
	}
	shake(c);
	if (c->state != CN_CONN_CLOSING && c->state != CN_CONN_DOWN)
		cn_conn_watch(c);
}

void cn_shake_due(struct cn_conn *c)
{
	struct cn_handshake *hs = c->handshake;
	if (cn_handshake_expire(hs, cn_loop_now(c->net->config.loop)) != 0)
		cn_conn_close(c, hs->error, cn_handshake_text(hs));
	else
		cn_timer_set(&c->timer, cn_handshake_due(hs));
}

enum cn_status cn_conn_refusal(const struct cn_conn *c)
{
	const struct cn_handshake *hs = c->dialled ? c->handshake : NULL;
	return hs && hs->error == CNODE_EREFUSED ? hs->status : CN_STATUS_NONE;
}

void cn_conn_replaced(struct cn_conn *c)
{
	CN_LEAD(c->net->config.loop);
	if (c->state != CN_CONN_HANDSHAKE || cn_handshake_replaced(c->handshake) != 0)
		return;
	/* From inside of `replace` shake() goes on by itself; from elsewhere the socket's being writable does it. */
	c->want_write = true;
	cn_conn_watch(c);
}
