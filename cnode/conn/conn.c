/* SPDX-License-Identifier: Apache-2.0 */
/* The in-half: connecting, the handshake, reading, ticks, the end. Holder of the lead. */
#include "cnode/conn/inner.h"

#include <stdio.h>

#define IN_SHAKING 2048                         /* receive buffer while it is no link yet */
#define IN_UP (CN_FRAME_DIRECT + 4)             /* wire never asks for more at once */
#define READ_TURN 262144                        /* one connection reads so much before others get their turn */
#define FLUSH_LEAD 1048576
#define TICK_INTENSITY 4                        /* as net_tickintensity: silent intervals before it is given up */

static void ready(struct cn_io *io, unsigned events);
static void due(struct cn_timer *timer);
static void chores(struct cn_task *task);
static void shake(struct cn_conn *c);
static void read_up(struct cn_conn *c);

/* ---- life ---- */

static struct cn_conn *conn_new(const struct cn_conn_env *env, const struct cn_address *address)
{
	struct cn_conn *c = cn_calloc(1, sizeof *c);
	if (!c)
		return NULL;
	atomic_init(&c->refs, 1);
	c->env = env;
	c->address = *address;
	cn_io_init(&c->io, env->loop, -1, ready);
	cn_timer_init(&c->timer, env->loop, due);
	cn_task_init(&c->task, chores);
	cn_half_init(&c->half);
	c->handshake = cn_malloc(sizeof *c->handshake);
	c->in = cn_malloc(IN_SHAKING);
	c->in_room = IN_SHAKING;
	if (!c->handshake || !c->in) {
		cn_free(c->handshake);
		c->handshake = NULL;
		cn_conn_unref(c);
		return NULL;
	}
	return c;
}

struct cn_conn *cn_conn_ref(struct cn_conn *c)
{
	atomic_fetch_add(&c->refs, 1);
	return c;
}

void cn_conn_unref(struct cn_conn *c)
{
	if (!c || atomic_fetch_sub(&c->refs, 1) != 1)
		return;
	if (c->handshake) {
		cn_handshake_fini(c->handshake);
		cn_free(c->handshake);
	}
	cn_frame_free(c->frame);
	cn_half_fini(&c->half);
	if (c->peer)
		cn_name_unpin(c->peer);
	cn_free(c->in);
	cn_free(c);
}

static int begin_handshake(struct cn_conn *c, enum cn_handshake_role role, const char *peer)
{
	const struct cn_conn_env *env = c->env;
	struct cn_handshake_config config = {
		.name = env->name,
		.peer = peer,
		.flags = env->offer,
		.creation = env->creation,
		.time = env->setup_ns,
		.own_challenge = env->ops->own_challenge,
		.context = env->ctx,
	};
	int rc = cn_random(&config.challenge, sizeof config.challenge);
	return rc != 0 ? rc : cn_handshake_init(c->handshake, role, &config, cn_loop_now(env->loop));
}

int cn_conn_dial(const struct cn_conn_env *env, const struct cn_address *address, const char *peer, void *owner,
		 struct cn_conn **conn)
{
	CN_LEAD(env->loop);
	struct cn_conn *c = conn_new(env, address);
	if (!c)
		return CNODE_ENOMEM;
	c->initiator = true;
	c->owner = owner;
	int fd = -1;
	int rc = begin_handshake(c, CN_HANDSHAKE_INITIATOR, peer);
	if (rc != 0) {
		cn_free(c->handshake);
		c->handshake = NULL;
	} else {
		rc = cn_socket_connect(address, &fd);
	}
	if (rc != 0) {
		cn_conn_unref(c);
		return rc;
	}
	c->state = CN_CONN_CONNECTING;
	c->half.fd = fd;
	cn_io_init(&c->io, env->loop, fd, ready);
	cn_io_set(&c->io, CN_WRITE);
	cn_timer_set(&c->timer, cn_handshake_due(c->handshake));
	*conn = cn_conn_ref(c);         /* the caller's; the first is the connection's own until `down` */
	return 0;
}

int cn_conn_accept(const struct cn_conn_env *env, int take_fd, const struct cn_address *from)
{
	CN_LEAD(env->loop);
	struct cn_conn *c = conn_new(env, from);
	if (!c) {
		cn_socket_close(take_fd);
		return CNODE_ENOMEM;
	}
	int rc = begin_handshake(c, CN_HANDSHAKE_ACCEPTOR, NULL);
	if (rc != 0) {
		cn_free(c->handshake);
		c->handshake = NULL;
		cn_conn_unref(c);
		cn_socket_close(take_fd);
		return rc;
	}
	c->state = CN_CONN_HANDSHAKE;
	c->half.fd = take_fd;
	cn_io_init(&c->io, env->loop, take_fd, ready);
	cn_io_set(&c->io, CN_READ);
	cn_timer_set(&c->timer, cn_handshake_due(c->handshake));
	return 0;
}

void cn_conn_close(struct cn_conn *c, int code, const char *text)
{
	CN_LEAD(c->env->loop);
	if (c->state == CN_CONN_CLOSED)
		return;
	c->state = CN_CONN_CLOSED;
	cn_timer_stop(&c->timer);
	struct cn_out_half *h = &c->half;
	cn_mutex_lock(&h->lock);
	h->open = false;
	h->broken = true;
	h->fd = -1;
	cn_io_close(&c->io);
	size_t size;
	uint8_t *paused = cn_buf_take(&h->paused, &size);
	cn_mutex_unlock(&h->lock);
	for (size_t at = 0; at < size; at += sizeof(cnode_pid)) {
		cnode_pid sender;
		memcpy(&sender, paused + at, sizeof sender);
		c->env->ops->drained(c->env->ctx, sender);
	}
	cn_free(paused);
	c->env->ops->down(c->env->ctx, c, c->owner, c->was_up, code, text);
	c->owner = NULL;
	cn_conn_unref(c);               /* its own */
}

void cn_conn_post(struct cn_conn *c)
{
	cn_conn_ref(c);
	if (!cn_wake_post(c->env->loop, &c->task))
		cn_conn_unref(c);
}

void cn_conn_kill(struct cn_conn *c, int code, const char *text)
{
	int none = 0;
	/* The text stands before the code can be seen. */
	const char *no_text = NULL;
	atomic_compare_exchange_strong(&c->kill_text, &no_text, text);
	if (atomic_compare_exchange_strong(&c->kill_code, &none, code))
		cn_conn_post(c);
}

/* What was left for the lead: an end, senders to resume, more to read or write. */
static void chores(struct cn_task *task)
{
	struct cn_conn *c = CN_CONTAINER(task, struct cn_conn, task);
	int code = atomic_load(&c->kill_code);
	if (c->state != CN_CONN_CLOSED && code != 0) {
		cn_conn_close(c, code, atomic_load(&c->kill_text));
	} else if (c->state != CN_CONN_CLOSED) {
		struct cn_out_half *h = &c->half;
		uint8_t *paused = NULL;
		size_t size = 0;
		cn_mutex_lock(&h->lock);
		bool wanted = h->writable_wanted;
		if (h->paused.size > 0 && h->out.size + h->lanes_bytes <= c->env->high_water / 2)
			paused = cn_buf_take(&h->paused, &size);
		cn_mutex_unlock(&h->lock);
		for (size_t at = 0; at < size; at += sizeof(cnode_pid)) {
			cnode_pid sender;
			memcpy(&sender, paused + at, sizeof sender);
			c->env->ops->drained(c->env->ctx, sender);
		}
		cn_free(paused);
		if (wanted)
			cn_io_set(&c->io, (c->working ? 0 : CN_READ) | CN_WRITE);
		if (c->working)
			read_up(c);
	}
	cn_conn_unref(c);
}

/* ---- the handshake ---- */

/* Writes what the handshake has to say. False: not all could be written, or it is over. */
static bool shake_out(struct cn_conn *c)
{
	const uint8_t *bytes;
	size_t size;
	while ((size = cn_handshake_out(c->handshake, &bytes)) > 0) {
		struct iovec part = { (void *)(uintptr_t)bytes, size };
		size_t moved;
		if (cn_socket_write(c->half.fd, &part, 1, &moved) < 0) {
			cn_handshake_closed(c->handshake);
			return true;
		}
		if (moved == 0) {
			cn_io_set(&c->io, CN_READ | CN_WRITE);
			return false;
		}
		c->half.bytes += moved;
		cn_handshake_sent(c->handshake, moved);
	}
	return true;
}

static void close_shake(struct cn_conn *c)
{
	/* The sentence is the handshake's, which lives as long as the connection. */
	cn_conn_close(c, c->handshake->error, cn_handshake_text(c->handshake));
}

static int hello(struct cn_conn *c)
{
	const struct cn_conn_env *env = c->env;
	struct cn_handshake *hs = c->handshake;
	if (hs->name_me) {
		char name[CNODE_NAME_SIZE];
		uint32_t creation;
		if (env->ops->name_me(env->ctx, c, hs->peer, name, &creation, &c->owner) != 0)
			return cn_handshake_decide(hs, CN_STATUS_NOT_ALLOWED);
		return cn_handshake_decide_name(hs, name, creation);
	}
	return cn_handshake_decide(hs, env->ops->hello(env->ctx, c, hs->peer, hs->peer_flags, &c->owner));
}

/* The handshake is done: makes a link of the connection. */
static void come_up(struct cn_conn *c)
{
	const struct cn_conn_env *env = c->env;
	struct cn_handshake *hs = c->handshake;
	struct cn_conn_up up = { hs->flags, hs->peer_flags, hs->peer_creation };
	const char *text = "out of memory for the connection";
	int rc = cn_name_of(hs->peer, strlen(hs->peer), &c->peer);
	if (rc == 0 && (rc = cn_name_pin(c->peer)) != 0)
		c->peer = 0;
	uint8_t *in = rc == 0 ? cn_realloc(c->in, IN_UP) : NULL;
	if (in) {
		c->in = in;
		c->in_room = IN_UP;
	} else if (rc == 0) {
		rc = CNODE_ENOMEM;
	}
	struct cn_frame_config frame = { .flags = up.flags, .self = env->self, .peer = c->peer,
					 .message = env->max_message };
	if (rc == 0)
		rc = cn_frame_new(&frame, &c->frame);
	struct cn_encoder_config encoder = { .flags = up.flags, .peer_flags = up.peer_flags };
	if (rc == 0)
		rc = cn_encoder_new(&encoder, &c->half.encoder);
	if (rc != 0) {
		cn_conn_close(c, rc, text);
		return;
	}
	atomic_store(&c->flags, up.flags);
	cn_mutex_lock(&c->half.lock);
	c->half.open = true;
	cn_mutex_unlock(&c->half.lock);
	c->state = CN_CONN_UP;
	c->was_up = true;
	cn_io_set(&c->io, CN_READ);
	c->next_tick = cn_loop_now(env->loop) + env->tick_ns / TICK_INTENSITY;
	cn_timer_set(&c->timer, c->next_tick);
	rc = env->ops->up(env->ctx, c, c->owner, &up, &text);
	if (rc != 0 && c->state != CN_CONN_CLOSED)
		cn_conn_close(c, rc, text);
}

/* Goes on with the handshake as far as it can. */
static void shake(struct cn_conn *c)
{
	const struct cn_conn_env *env = c->env;
	struct cn_handshake *hs = c->handshake;
	for (;;) {
		if (!shake_out(c))
			return;
		if (c->state == CN_CONN_CLOSED)
			return;
		int64_t used;
		switch (hs->event) {
		case CN_HANDSHAKE_MORE:
			used = cn_handshake_feed(hs, c->in, c->in_size, cn_loop_now(env->loop));
			if (used == 0 && hs->event == CN_HANDSHAKE_MORE)
				return;
			if (used > 0) {
				c->in_size -= (size_t)used;
				memmove(c->in, c->in + used, c->in_size);
			}
			break;
		case CN_HANDSHAKE_HELLO:
			hello(c);
			break;
		case CN_HANDSHAKE_ALIVE:
			cn_handshake_continue(hs, env->ops->alive(env->ctx, c, c->owner));
			break;
		case CN_HANDSHAKE_COOKIE: {
			const char *cookie = env->ops->cookie(env->ctx, hs->peer);
			cn_handshake_cookie(hs, cookie, strlen(cookie));
			break;
		}
		case CN_HANDSHAKE_REPLACE:
			env->ops->replace(env->ctx, c, c->owner);
			cn_handshake_replaced(hs);
			break;
		case CN_HANDSHAKE_UP:
			come_up(c);
			if (c->state != CN_CONN_CLOSED)
				read_up(c);
			return;
		case CN_HANDSHAKE_FAILED:
			close_shake(c);
			return;
		}
	}
}

static void read_shake(struct cn_conn *c)
{
	for (;;) {
		struct iovec part = { c->in + c->in_size, c->in_room - c->in_size };
		size_t moved;
		/* A full buffer is a message that is too long, or the first of the link behind the last
		   of the handshake: feeding decides. */
		if (part.iov_len == 0)
			return;
		int rc = cn_socket_read(c->io.fd, &part, 1, &moved);
		if (rc < 0) {
			cn_handshake_closed(c->handshake);
			close_shake(c);
			return;
		}
		if (moved == 0)
			return;
		c->in_size += moved;
		atomic_fetch_add(&c->bytes_in, moved);
		shake(c);
		if (c->state != CN_CONN_HANDSHAKE)
			return;
	}
}

/* ---- the link ---- */

static void close_link(struct cn_conn *c, int rc, const char *why)
{
	char text[256];
	const char *reason = why && *why ? why : cn_frame_reason(c->frame);
	snprintf(text, sizeof text, "%s%s%s", cnode_strerror(rc), *reason ? ": " : "", reason);
	cn_conn_close(c, rc, text);
}

/* The peer's tick: a peer with a shorter net_ticktime than ours has to hear something too. */
static void ticked(struct cn_conn *c)
{
	cn_mutex_lock(&c->half.lock);
	uint64_t bytes = c->half.bytes;
	cn_mutex_unlock(&c->half.lock);
	/* Answered only if nothing was said since its last one: two of us would else never stop. */
	if (bytes == c->told_at_tick) {
		cn_half_tick(c);
		cn_mutex_lock(&c->half.lock);
		bytes = c->half.bytes;
		cn_mutex_unlock(&c->half.lock);
	}
	c->told_at_tick = bytes;
}

/* Deals with what the frame gave. False: the connection is closed, or reading has to wait. */
static bool handle(struct cn_conn *c, struct cn_packet *m)
{
	const char *why = "";
	int rc = 0;
	switch (m->event) {
	case CN_FRAME_MORE:
		return true;
	case CN_FRAME_TICK:
		ticked(c);
		return true;
	case CN_FRAME_PART:
		atomic_fetch_add(&c->packets_in, 1);
		return true;
	case CN_FRAME_MESSAGE:
		atomic_fetch_add(&c->packets_in, 1);
		rc = c->env->ops->packet(c->env->ctx, c, c->owner, m, &why);
		cn_packet_fini(m);
		break;
	case CN_FRAME_BUSY:
		c->working = true;
		return false;
	}
	if (c->state == CN_CONN_CLOSED)
		return false;
	if (rc != 0) {
		close_link(c, rc, why);
		return false;
	}
	return true;
}

/* Takes messages out of the receive buffer. False as handle. */
static bool consume(struct cn_conn *c)
{
	size_t at = 0;
	bool go_on = true;
	while (go_on && at < c->in_size) {
		struct cn_packet m = { 0 };
		int64_t used = cn_frame_feed(c->frame, c->in + at, c->in_size - at, cn_loop_now(c->env->loop), &m);
		if (used < 0) {
			close_link(c, (int)used, NULL);
			return false;
		}
		at += (size_t)used;
		if (used == 0 && m.event == CN_FRAME_MORE)
			break;
		go_on = handle(c, &m);
		if (c->state == CN_CONN_CLOSED)
			return false;
	}
	c->in_size -= at;
	memmove(c->in, c->in + at, c->in_size);
	return go_on;
}

/* One read. False: nothing more now, the connection is closed, or reading has to wait. */
static bool read_once(struct cn_conn *c, size_t *total)
{
	size_t room, moved;
	uint8_t *target = c->in_size == 0 ? cn_frame_target(c->frame, &room) : NULL;
	struct iovec part;
	if (target)
		part = (struct iovec){ target, room < READ_TURN ? room : READ_TURN };
	else
		part = (struct iovec){ c->in + c->in_size, c->in_room - c->in_size };
	int rc = cn_socket_read(c->io.fd, &part, 1, &moved);
	if (rc < 0) {
		cn_conn_close(c, rc, rc == CNODE_ENOCONNECTION ? "the peer closed the connection" : cnode_strerror(rc));
		return false;
	}
	if (moved == 0)
		return false;
	*total += moved;
	atomic_fetch_add(&c->bytes_in, moved);
	bool go_on;
	if (target) {
		struct cn_packet m = { 0 };
		rc = cn_frame_filled(c->frame, moved, cn_loop_now(c->env->loop), &m);
		if (rc < 0) {
			close_link(c, rc, NULL);
			return false;
		}
		go_on = handle(c, &m);
	} else {
		c->in_size += moved;
		go_on = consume(c);
	}
	return go_on && c->state != CN_CONN_CLOSED && moved == part.iov_len;
}

static bool work(struct cn_conn *c)
{
	struct cn_packet m = { 0 };
	c->working = false;
	int rc = cn_frame_work(c->frame, &m);
	if (rc < 0) {
		close_link(c, rc, NULL);
		return false;
	}
	return handle(c, &m);
}

static void read_up(struct cn_conn *c)
{
	size_t total = 0;
	bool was_working = c->working;
	cn_conn_ref(c);
	bool go_on = !c->working || work(c);
	if (go_on && c->in_size > 0)
		go_on = consume(c);
	while (go_on && total < READ_TURN)
		go_on = read_once(c, &total);
	if (c->state != CN_CONN_CLOSED) {
		/* While a large message is verified nothing more is read; others get their turn between. */
		if (c->working != was_working)
			cn_io_set(&c->io, (c->io.events & CN_WRITE) | (c->working ? 0 : CN_READ));
		if (c->working)
			cn_conn_post(c);
		uint64_t frame_due = cn_frame_due(c->frame);
		if (frame_due < c->timer.node.key && c->timer.running)
			cn_timer_set(&c->timer, frame_due);
	}
	cn_conn_unref(c);
}

/* ---- events ---- */

static void write_more(struct cn_conn *c)
{
	struct cn_out_half *h = &c->half;
	cn_mutex_lock(&h->lock);
	h->writable_wanted = false;
	cn_half_flush(c, FLUSH_LEAD);
	bool more = h->writable_wanted;
	cn_mutex_unlock(&h->lock);
	if (c->state == CN_CONN_CLOSED)
		return;
	if (!more) {
		cn_io_set(&c->io, c->working ? 0 : CN_READ);
		if (c->state == CN_CONN_FINISHING)
			cn_socket_shutdown(c->io.fd);
	}
}

static void ready(struct cn_io *io, unsigned events)
{
	struct cn_conn *c = CN_CONTAINER(io, struct cn_conn, io);
	cn_conn_ref(c);
	switch (c->state) {
	case CN_CONN_CONNECTING: {
		int rc = cn_socket_outcome(io->fd);
		if (rc != 0) {
			char at[CN_ADDRESS_TEXT], text[200];
			snprintf(text, sizeof text, "no TCP connection to %s: nothing listens there, or it cannot be reached",
				 cn_address_text(&c->address, at));
			cn_conn_close(c, rc, text);
			break;
		}
		c->state = CN_CONN_HANDSHAKE;
		cn_io_set(io, CN_READ);
		shake(c);
		break;
	}
	case CN_CONN_HANDSHAKE:
		if (events & CN_WRITE) {
			cn_io_set(io, CN_READ);
			shake(c);
		}
		if (c->state == CN_CONN_HANDSHAKE && (events & CN_READ))
			read_shake(c);
		break;
	case CN_CONN_UP:
	case CN_CONN_FINISHING:
		if (events & CN_WRITE)
			write_more(c);
		if (c->state != CN_CONN_CLOSED && (events & CN_READ) && !c->working)
			read_up(c);
		break;
	case CN_CONN_CLOSED:
		break;
	}
	cn_conn_unref(c);
}

/* An interval of net_ticktime / 4 is over. Follows dist_util.erl, the ticker. */
static void tick(struct cn_conn *c)
{
	const struct cn_conn_env *env = c->env;
	uint64_t in = atomic_load(&c->bytes_in);
	c->silent = in == c->bytes_seen ? c->silent + 1 : 0;
	c->bytes_seen = in;
	if (c->silent >= TICK_INTENSITY) {
		char text[120];
		snprintf(text, sizeof text, "no byte came for net_ticktime (%llu s): it hangs, or the network does",
			 (unsigned long long)(env->tick_ns / CN_NS_PER_S));
		cn_conn_close(c, CNODE_ETICK, text);
		return;
	}
	cn_mutex_lock(&c->half.lock);
	uint64_t out = c->half.bytes;
	cn_mutex_unlock(&c->half.lock);
	if (out == c->bytes_told)
		cn_half_tick(c);
	cn_mutex_lock(&c->half.lock);
	c->bytes_told = c->half.bytes;
	cn_mutex_unlock(&c->half.lock);
}

static void due(struct cn_timer *timer)
{
	struct cn_conn *c = CN_CONTAINER(timer, struct cn_conn, timer);
	const struct cn_conn_env *env = c->env;
	uint64_t now = cn_loop_now(env->loop);
	cn_conn_ref(c);
	switch (c->state) {
	case CN_CONN_CONNECTING:
	case CN_CONN_HANDSHAKE:
		if (cn_handshake_expire(c->handshake, now) != 0)
			close_shake(c);
		else
			cn_timer_set(timer, cn_handshake_due(c->handshake));
		break;
	case CN_CONN_UP: {
		int rc = cn_frame_expire(c->frame, now);
		if (rc != 0) {
			close_link(c, rc, NULL);
			break;
		}
		if (now >= c->next_tick) {
			c->next_tick = now + env->tick_ns / TICK_INTENSITY;
			tick(c);
		}
		if (c->state == CN_CONN_UP) {
			uint64_t frame_due = cn_frame_due(c->frame);
			cn_timer_set(timer, frame_due < c->next_tick ? frame_due : c->next_tick);
		}
		break;
	}
	case CN_CONN_FINISHING:
		cn_conn_close(c, CNODE_ESHUTDOWN, "this node leaves");
		break;
	case CN_CONN_CLOSED:
		break;
	}
	cn_conn_unref(c);
}

/* ---- what others ask ---- */

bool cn_conn_is_connected(const struct cn_conn *c)
{
	return c->state != CN_CONN_CONNECTING;
}

uint64_t cn_conn_flags(const struct cn_conn *c)
{
	return atomic_load(&c->flags);
}

const struct cn_address *cn_conn_address(const struct cn_conn *c)
{
	return &c->address;
}

bool cn_conn_has_challenge(const struct cn_conn *c, uint32_t challenge)
{
	return c->handshake && c->state == CN_CONN_HANDSHAKE && c->handshake->challenge == challenge;
}

void cn_conn_finish(struct cn_conn *c, uint64_t ns)
{
	CN_LEAD(c->env->loop);
	if (c->state != CN_CONN_UP) {
		cn_conn_close(c, CNODE_ESHUTDOWN, "this node leaves");
		return;
	}
	c->state = CN_CONN_FINISHING;
	cn_timer_set(&c->timer, cn_loop_now(c->env->loop) + ns);
	cn_mutex_lock(&c->half.lock);
	c->half.open = false;
	cn_mutex_unlock(&c->half.lock);
	write_more(c);
}

void cn_conn_stats(struct cn_conn *c, struct cn_conn_stats *stats)
{
	cn_mutex_lock(&c->half.lock);
	stats->packets_out = c->half.packets;
	stats->bytes_out = c->half.bytes;
	stats->queued = c->half.out.size + c->half.lanes_bytes;
	cn_mutex_unlock(&c->half.lock);
	stats->packets_in = atomic_load(&c->packets_in);
	stats->bytes_in = atomic_load(&c->bytes_in);
}
