/* SPDX-License-Identifier: Apache-2.0 */
/* The in-half of a link: reading, frames, ticks. Holder of the lead. */
#include "cnode/conn/inner.h"

#define INTERVALS 4                     /* of a net_ticktime, as net_tickintensity: silent ones before the end */
#define ANSWER_PAUSE (250 * CN_NS_PER_MS)
#define REST_KEPT 16384                 /* a larger buffer for rests is given back when it is empty */

static void close_refused(struct cn_conn *c, int rc)
{
	const char *reason = cn_frame_reason(c->frame);
	cn_conn_closef(c, rc, "%s%s%s", cnode_strerror(rc), *reason ? ": " : "", reason);
}

/*
 * A tick is answered, for peers with a shorter net_ticktime than ours, unless we said
 * something of the kind a moment ago: two nodes that both answer would never stop.
 */
static void answer_tick(struct cn_conn *c)
{
	uint64_t now = cn_loop_now(c->net->config.loop);
	if (now - c->answered < ANSWER_PAUSE || CN_MUTANT(no_ticks))
		return;
	c->answered = now;
	cn_half_tick(c);
}

/* Deals with what the frame gave. False: reading has to stop. */
static bool handle(struct cn_conn *c, struct cn_packet *m)
{
	switch (m->event) {
	case CN_FRAME_MORE:
		break;
	case CN_FRAME_TICK:
		atomic_fetch_add_explicit(&c->packets_in, 1, memory_order_relaxed);
		answer_tick(c);
		break;
	case CN_FRAME_PART:
		atomic_fetch_add_explicit(&c->packets_in, 1, memory_order_relaxed);
		break;
	case CN_FRAME_MESSAGE:
		atomic_fetch_add_explicit(&c->packets_in, 1, memory_order_relaxed);
		cn_flood_count(&c->net->flood, m->control.signal == CN_SIGNAL_SPAWN_REQUEST);
		c->net->config.ops->frame(c->net->config.context, c, m);
		cn_packet_fini(m);
		break;
	case CN_FRAME_BUSY:
		c->working = true;
		return false;
	}
	return c->state == CN_CONN_UP;
}

static void trace(struct cn_conn *c, const struct cn_packet *m, uint64_t bytes)
{
	static const char *const names[] = {
		[CN_FRAME_TICK] = "tick", [CN_FRAME_PART] = "part", [CN_FRAME_MESSAGE] = "message", [CN_FRAME_BUSY] = "message",      /* to be verified bit by bit */
	};
	if (m->event != CN_FRAME_MORE)
		cn_trace_frame(c, false, names[m->event], bytes);
}

/* Takes packets out of these bytes; *used gets how many were. False: reading has to stop. */
static bool consume(struct cn_conn *c, const uint8_t *bytes, size_t size, size_t *used)
{
	const uint64_t now = cn_loop_now(c->net->config.loop);
	bool go_on = true;
	size_t at = 0;
	while (go_on && at < size) {
		struct cn_packet m = { 0 };
		int64_t n = cn_frame_feed(c->frame, bytes + at, size - at, now, &m);
		if (n < 0) {
			close_refused(c, (int)n);
			return false;
		}
		at += (size_t)n;
		if (n == 0 && m.event == CN_FRAME_MORE)
			break;
		trace(c, &m, (uint64_t)n);
		go_on = handle(c, &m);
	}
	*used = at;
	return go_on;
}

/* Keeps the bytes behind those used until more have come. */
static bool keep(struct cn_conn *c, const uint8_t *bytes, size_t size)
{
	cn_buf_clear(&c->in);
	if (size == 0) {
		if (c->in.room > REST_KEPT)
			cn_buf_fini(&c->in);
		return true;
	}
	cn_put(&c->in, bytes, size);
	if (c->in.err) {
		cn_conn_close(c, CNODE_ENOMEM, NULL);
		return false;
	}
	return true;
}

/* n bytes have come to where the frame wanted them. False: reading has to stop. */
static bool filled(struct cn_conn *c, size_t n)
{
	struct cn_packet m = { 0 };
	int rc = cn_frame_filled(c->frame, n, cn_loop_now(c->net->config.loop), &m);
	if (rc < 0) {
		close_refused(c, rc);
		return false;
	}
	return handle(c, &m);
}

/*
 * Fragments that are read together with the one before them, each to where it belongs if it is the one that was expected.
 * With each read the kernel acknowledges what came, which costs more than the read.
 */
struct guesses {
	unsigned count;
	struct cn_frame_guess expected[CN_READ_GUESSES];
	uint8_t head[CN_READ_GUESSES][CN_FRAME_HEAD];   /* what came in place of expected[].head */
};

/* The guesses from the i-th on were wrong: puts the `size` bytes that came for them, and behind them, into the room one after the other. */
static void gather(uint8_t *room, const struct guesses *g, unsigned i, size_t size)
{
	size_t guessed = 0, at = 0;
	for (unsigned k = i; k < g->count; k++)
		guessed += CN_FRAME_HEAD + g->expected[k].size;
	if (size > guessed)
		memmove(room + guessed, room, size - guessed);
	else
		guessed = size;
	for (; at < guessed; i++) {
		size_t n = guessed - at < CN_FRAME_HEAD ? guessed - at : CN_FRAME_HEAD;
		memcpy(room + at, g->head[i], n);
		at += n;
		n = guessed - at < g->expected[i].size ? guessed - at : g->expected[i].size;
		memcpy(room + at, g->expected[i].at, n);
		at += n;
	}
}

/* Takes what came for the guesses, of `size` bytes. *size gets how many are left, in the room. False: reading has to stop. */
static bool take_guessed(struct cn_conn *c, const struct guesses *g, size_t *size)
{
	for (unsigned i = 0; i < g->count && *size > 0; i++) {
		const struct cn_frame_guess *e = &g->expected[i];
		size_t used, room;
		if (*size < CN_FRAME_HEAD || memcmp(g->head[i], e->head, CN_FRAME_HEAD) != 0) {
			gather(c->net->read_room, g, i, *size);
			return true;
		}
		if (!consume(c, g->head[i], CN_FRAME_HEAD, &used))
			return false;
		*size -= CN_FRAME_HEAD;
		size_t n = *size < e->size ? *size : e->size;
		if (used != CN_FRAME_HEAD || cn_frame_target(c->frame, &room) != e->at || room < n) {
			cn_conn_close(c, CNODE_EINTERNAL, "a fragment is not where it was expected");
			return false;
		}
		if (n > 0 && !filled(c, n))
			return false;
		*size -= n;
	}
	return true;
}

/* One read and what follows from it. False: nothing more for now. */
static bool read_once(struct cn_conn *c, size_t *total)
{
	struct cn_stream *s = &c->half.stream;
	uint8_t *room = c->net->read_room;
	struct iovec parts[2 + 2 * CN_READ_GUESSES];
	struct guesses g = { .count = 0 };
	int count = 0;
	size_t direct = 0, rest = c->in.size, used = 0, moved;

	/*
	 * A large payload goes straight to where it stays. Behind a fragment there is likely
	 * another, and behind a large packet a large one: those that look like it are guessed, and behind them
	 * only so much is read into the buffer that the next header is known, the rest then goes straight again.
	 */
	uint8_t *target = rest == 0 ? cn_frame_target(c->frame, &direct) : NULL;
	if (direct > CN_NET_TURN)
		direct = CN_NET_TURN;
	else if (rest == 0)
		g.count = cn_frame_guess(c->frame, g.expected, CN_READ_GUESSES);
	if (target)
		parts[count++] = (struct iovec){ target, direct };
	else if (rest > 0)
		memcpy(room, c->in.data, rest);
	for (unsigned i = 0; i < g.count; i++) {
		parts[count++] = (struct iovec){ g.head[i], CN_FRAME_HEAD };
		parts[count++] = (struct iovec){ g.expected[i].at, g.expected[i].size };
	}
	size_t behind = count > 0 ? CN_READ_BEHIND : c->large ? CN_READ_HEAD : CN_READ_ROOM - rest;
	if (direct < CN_NET_TURN)
		parts[count++] = (struct iovec){ room + rest, behind };
	size_t asked = 0;
	for (int i = 0; i < count; i++)
		asked += parts[i].iov_len;

	int rc = s->ops->read(s, parts, count, &moved);
	if (rc < 0) {
		cn_conn_close(c, rc, rc == CNODE_ENOCONNECTION ? "the peer closed the connection" : NULL);
		return false;
	}
	if (moved == 0)
		return false;
	*total += moved;
	atomic_fetch_add_explicit(&c->bytes_in, moved, memory_order_relaxed);
	cn_flood_read(&c->net->flood, moved);

	size_t straight = moved < direct ? moved : direct;
	size_t size = rest + moved - straight;
	bool go_on = straight == 0 || filled(c, straight);
	if (go_on && size > 0)
		go_on = take_guessed(c, &g, &size);
	if (go_on && size > 0)
		go_on = consume(c, room, size, &used);
	if (c->state != CN_CONN_UP || !keep(c, room + used, size - used))
		return false;
	c->large = straight > 0 || g.count > 0;
	return go_on && moved == asked;
}

/* A large message is being verified, 64 KiB a turn. False: reading has to stop. */
static bool work(struct cn_conn *c)
{
	struct cn_packet m = { 0 };
	c->working = false;
	int rc = cn_frame_work(c->frame, &m);
	if (rc < 0) {
		close_refused(c, rc);
		return false;
	}
	if (!handle(c, &m))
		return false;
	/* What was read behind it. */
	size_t used = 0;
	bool go_on = consume(c, c->in.data, c->in.size, &used);
	if (c->state == CN_CONN_UP)
		cn_buf_consume(&c->in, used);
	return go_on;
}

void cn_in_turn(struct cn_conn *c)
{
	struct cn_net *net = c->net;
	size_t total = 0;
	bool go_on = true;
	cn_conn_ref(c);
	cn_cork_begin(net);
	if (c->working) {
		go_on = work(c);
	} else if (c->in.size > 0 && atomic_load(&c->packets_in) == 0) {
		/* Bytes that came behind the handshake. */
		size_t used = 0;
		go_on = consume(c, c->in.data, c->in.size, &used);
		if (c->state == CN_CONN_UP)
			cn_buf_consume(&c->in, used);
	}
	/* A turn that ends early is taken up by the next round: the socket is still readable. */
	while (go_on && c->state == CN_CONN_UP && total < CN_NET_TURN)
		go_on = read_once(c, &total);
	cn_cork_end(net);
	if (c->state == CN_CONN_UP) {
		if (c->working)
			cn_conn_post(c);
		uint64_t due = cn_frame_due(c->frame);
		if (due < c->timer.node.due)
			cn_timer_set(&c->timer, due);
	}
	cn_conn_unref(c);
}

void cn_in_discard(struct cn_conn *c)
{
	struct cn_stream *s = &c->half.stream;
	struct iovec part = { c->net->read_room, CN_READ_ROOM };
	size_t moved;
	if (c->state == CN_CONN_LEAVING && s->ops->read(s, &part, 1, &moved) < 0)
		cn_conn_close(c, 0, "this node left");
}

/* ---- ticks ---- */

/* A quarter of net_ticktime is over. Follows dist_util.erl's ticker. */
static void tick(struct cn_conn *c)
{
	const uint64_t ticktime = c->net->config.ticktime;
	uint64_t in = atomic_load(&c->bytes_in);
	/* Bytes count, where BEAM nodes count packets: a large one over a slow line is life too. */
	bool heard = in != c->in_seen;
	c->in_seen = in;
	c->silent = heard ? 0 : c->silent + 1;
	if (c->silent >= (CN_MUTANT(tick_impatient) ? 1 : CN_MUTANT(tick_patient) ? 1000 : INTERVALS)) {
		cn_conn_closef(c, CNODE_ETICK, "no byte came for net_ticktime (%llu s): it hangs, or the network does",
			       (unsigned long long)(ticktime / CN_NS_PER_S));
		return;
	}
	cn_mutex_lock(&c->half.lock);
	uint64_t out = c->half.bytes;
	cn_mutex_unlock(&c->half.lock);
	if ((out == c->out_seen || (!c->info.visible && !heard)) && !CN_MUTANT(no_ticks))
		cn_half_tick(c);
	cn_mutex_lock(&c->half.lock);
	c->out_seen = c->half.bytes;
	cn_mutex_unlock(&c->half.lock);
}

void cn_in_due(struct cn_conn *c)
{
	uint64_t now = cn_loop_now(c->net->config.loop);
	int rc = cn_frame_expire(c->frame, now);
	if (rc != 0) {
		close_refused(c, rc);
		return;
	}
	if (now >= c->next_tick) {
		c->next_tick = now + c->net->config.ticktime / INTERVALS;
		if (CN_MUTANT(late_ticks))
			c->next_tick = now + c->net->config.ticktime * 2;
		tick(c);
	}
	if (c->state != CN_CONN_UP)
		return;
	uint64_t due = cn_frame_due(c->frame);
	cn_timer_set(&c->timer, due < c->next_tick ? due : c->next_tick);
}
