/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The out-half: encoding, the queue, writing. Packets that are ready for the socket are in
 * `out`; messages that need fragments wait in lanes, one per sender, and give one packet
 * at a time in turn, so that others are never behind more than CN_NET_AHEAD of them.
 */
#include "cnode/conn/inner.h"

#define PIECES 64                       /* of one writev */
#define BIG_PAYLOAD 65536               /* verified before the lock is taken */
#define SLOW_PART 64                    /* a peer that takes less than limit / 64 in a second is slow … */
#define MOST_PARTS 16                   /* … and no peer may be behind by more than 16 limits */

void cn_half_init(struct cn_out_half *h)
{
	cn_mutex_init(&h->lock);
	cn_out_init(&h->out);
	h->turn_last = &h->turn;
	h->stream.fd = -1;
}

static void queued_free(struct cn_queued *q)
{
	cn_sending_free(q->sending);
	cn_free(q);
}

static void lane_free(struct cn_out_half *h, struct cn_lane *lane)
{
	HASH_DEL(h->lanes, lane);
	struct cn_queued *q;
	while ((q = lane->first)) {
		lane->first = q->next;
		h->lanes_bytes -= q->size;
		queued_free(q);
	}
	cn_free(lane);
}

void cn_half_fini(struct cn_out_half *h)
{
	struct cn_lane *lane, *next;
	HASH_ITER(hh, h->lanes, lane, next)
		lane_free(h, lane);
	cn_out_fini(&h->out);
	cn_encoder_free(h->encoder);
	cn_mutex_fini(&h->lock);
}

uint64_t cn_half_queued(const struct cn_out_half *h)
{
	return h->out.size + h->lanes_bytes;
}

/* ---- lanes ---- */

static struct cn_lane *lane_find(struct cn_out_half *h, uint64_t sender)
{
	struct cn_lane *lane = NULL;
	if (h->lanes)
		HASH_FIND(hh, h->lanes, &sender, sizeof sender, lane);
	return lane;
}

static struct cn_lane *lane_make(struct cn_out_half *h, uint64_t sender)
{
	struct cn_lane *lane = cn_calloc(1, sizeof *lane);
	if (!lane)
		return NULL;
	lane->sender = sender;
	lane->last = &lane->first;
	bool added = true;
	HASH_ADD(hh, h->lanes, sender, sizeof lane->sender, lane);
	if (!added) {
		cn_free(lane);
		return NULL;
	}
	*h->turn_last = lane;
	h->turn_last = &lane->next;
	return lane;
}

/* Takes `sending` if it returns 0. */
static int lane_put(struct cn_out_half *h, uint64_t sender, struct cn_sending *sending)
{
	struct cn_queued *q = cn_calloc(1, sizeof *q);
	struct cn_lane *lane = lane_find(h, sender);
	if (q && !lane)
		lane = lane_make(h, sender);
	if (!q || !lane) {
		cn_free(q);
		return CNODE_ENOMEM;
	}
	q->sending = sending;
	q->size = cn_sending_size(sending);
	h->lanes_bytes += q->size;
	*lane->last = q;
	lane->last = &q->next;
	return 0;
}

/* Makes packets of the lanes, in turn, until enough is ready. */
static int pump(struct cn_out_half *h)
{
	while (h->turn && h->out.size < CN_NET_AHEAD) {
		struct cn_lane *lane = h->turn;
		struct cn_queued *q = lane->first;
		int rc = cn_sending_next(q->sending, h->encoder, &h->out);
		if (rc < 0)
			return rc;
		h->packets++;
		h->lanes_bytes -= q->size;
		q->size = rc > 0 ? cn_sending_size(q->sending) : 0;
		h->lanes_bytes += q->size;
		h->turn = lane->next;
		if (!h->turn)
			h->turn_last = &h->turn;
		lane->next = NULL;
		if (rc == 0) {
			lane->first = q->next;
			if (!lane->first)
				lane->last = &lane->first;
			queued_free(q);
		}
		if (lane->first) {
			*h->turn_last = lane;
			h->turn_last = &lane->next;
		} else {
			lane_free(h, lane);
		}
	}
	return 0;
}

/* ---- writing ---- */

static void break_off(struct cn_conn *c, int code, const char *text)
{
	atomic_store(&c->half.open, false);
	c->half.broken = true;
	cn_conn_kill(c, code, text);
}

/* The lead waits until the socket takes more. */
static void get_stuck(struct cn_conn *c)
{
	c->half.stuck = true;
	cn_conn_post(c);
}

bool cn_half_flush(struct cn_conn *c, uint64_t budget)
{
	struct cn_out_half *h = &c->half;
	uint64_t written = 0;
	if (h->broken || h->stuck || !h->stream.ops || !h->encoder)
		return false;
	for (;;) {
		int rc = pump(h);
		if (rc < 0) {
			break_off(c, rc, rc == CNODE_ENOMEM ? "out of memory for a message to it"
							    : "an identifier in a message to it was forgotten");
			return false;
		}
		if (h->out.size == 0)
			break;
		if (written >= budget) {
			get_stuck(c);
			break;
		}
		struct cn_piece pieces[PIECES];
		struct iovec parts[PIECES];
		size_t asked = 0, moved;
		unsigned count = cn_out_pieces(&h->out, pieces, PIECES);
		for (unsigned i = 0; i < count; i++) {
			parts[i] = (struct iovec){ (void *)(uintptr_t)pieces[i].bytes, pieces[i].size };
			asked += pieces[i].size;
		}
		rc = h->stream.ops->write(&h->stream, parts, (int)count, &moved);
		if (rc < 0) {
			break_off(c, rc, "the connection broke while it was written to");
			return false;
		}
		cn_out_sent(&h->out, moved);
		h->bytes += moved;
		atomic_fetch_add_explicit(&c->net->flood.writes, 1, memory_order_relaxed);
		written += moved;
		if (moved < asked) {
			get_stuck(c);
			break;
		}
	}
	if (!atomic_load(&h->suspended) || cn_half_queued(h) > c->net->config.out_high / 2)
		return false;
	atomic_store(&h->suspended, false);
	return !CN_MUTANT(sender_waits_for_ever);
}

void cn_half_write(struct cn_conn *c, uint64_t budget)
{
	cn_mutex_lock(&c->half.lock);
	bool drained = cn_half_flush(c, budget);
	cn_mutex_unlock(&c->half.lock);
	if (drained && c->net->config.ops->drained)
		c->net->config.ops->drained(c->net->config.context, c);
}

void cn_half_writable(struct cn_conn *c)
{
	cn_mutex_lock(&c->half.lock);
	c->half.stuck = false;
	bool drained = cn_half_flush(c, CN_FLUSH_LEAD);
	c->want_write = c->half.stuck;
	cn_mutex_unlock(&c->half.lock);
	if (drained && c->net->config.ops->drained)
		c->net->config.ops->drained(c->net->config.context, c);
}

void cn_half_tick(struct cn_conn *c)
{
	struct cn_out_half *h = &c->half;
	cn_mutex_lock(&h->lock);
	/* Behind other bytes it would say nothing; and without memory for four bytes the next interval tries again. */
	if (atomic_load(&h->open) && cn_half_queued(h) == 0 && cn_encode_tick(&h->out) == 0) {
		cn_trace_frame(c, true, "tick", 4);
		cn_half_flush(c, CN_FLUSH_THREAD);
	}
	cn_mutex_unlock(&h->lock);
}

/* ---- sending ---- */

/*
 * The queue has passed the hard limit. What is queued was accepted, so a peer that takes it
 * fast enough may go on; one that does not is cut off.
 */
static bool too_slow(struct cn_conn *c, uint64_t queued)
{
	struct cn_out_half *h = &c->half;
	uint64_t limit = c->net->config.out_limit;
	if (queued <= limit || CN_MUTANT(slow_reader_kept)) {
		h->over_at = 0;
		return false;
	}
	if (queued > limit * MOST_PARTS)
		return true;
	uint64_t now = cn_loop_clock(c->net->config.loop);
	if (h->over_at != 0 && now - h->over_at < CN_NS_PER_S)
		return false;
	bool slow = h->over_at != 0 && h->bytes - h->over_bytes < limit / SLOW_PART;
	h->over_at = now;
	h->over_bytes = h->bytes;
	return slow;
}

/* Puts the message behind all that its sender has queued. Takes `made`. */
static int enqueue(struct cn_out_half *h, uint64_t sender, const struct cn_control *control, cnode_term payload,
		   struct cn_sending *made, const char **reason)
{
	int rc = 0;
	if (!made && !lane_find(h, sender)) {
		rc = cn_encode(h->encoder, &h->out, control, payload, reason);
		if (rc != CN_ENCODE_QUEUE) {
			h->packets += rc == 0;
			return rc;
		}
	}
	if (!made && (rc = cn_sending_new(h->encoder, control, payload, &made, reason)) != 0)
		return rc;
	rc = lane_put(h, sender, made);
	if (rc != 0)
		cn_sending_free(made);
	return rc;
}

int cn_conn_send(struct cn_conn *c, uint64_t sender, const struct cn_control *control, cnode_term payload,
		 unsigned flags, const char **reason)
{
	struct cn_out_half *h = &c->half;
	const uint64_t high = c->net->config.out_high;
	struct cn_sending *made = NULL;
	const char *unused;
	if (!reason)
		reason = &unused;
	*reason = NULL;
	if (!atomic_load(&h->open))
		return CNODE_ENOCONNECTION;
	/* A large term is verified before the lock is taken: nobody waits for that. */
	if (cn_term_weight(payload) >= BIG_PAYLOAD) {
		int rc = cn_sending_new(h->encoder, control, payload, &made, reason);
		if (rc != 0)
			return rc;
	}

	cn_mutex_lock(&h->lock);
	uint64_t queued = cn_half_queued(h);
	int rc = 0;
	if (!atomic_load(&h->open)) {
		rc = CNODE_ENOCONNECTION;
	} else if (queued >= high && (flags & CN_CONN_NOSUSPEND)) {
		rc = CNODE_EBUSY;
	} else if (too_slow(c, queued)) {
		break_off(c, CNODE_EBUSY, "it does not take its data: more waits for it than the limit allows");
		rc = CNODE_ENOCONNECTION;
	}
	if (rc != 0) {
		cn_mutex_unlock(&h->lock);
		cn_sending_free(made);
		return rc;
	}
	uint64_t before = cn_half_queued(h);
	rc = enqueue(h, sender, control, payload, made, reason);
	if (rc == 0)
		cn_trace_frame(c, true, "message", cn_half_queued(h) - before);
	bool drained = false;
	if (rc == 0 && (cn_half_queued(h) >= high || !cn_cork_hold(c)))
		drained = cn_half_flush(c, CN_FLUSH_THREAD);
	if (rc == 0 && cn_half_queued(h) >= high && !CN_MUTANT(sender_never_waits)) {
		atomic_store(&h->suspended, true);
		rc = CN_CONN_SUSPEND;
	}
	cn_mutex_unlock(&h->lock);
	if (drained && c->net->config.ops->drained)
		c->net->config.ops->drained(c->net->config.context, c);
	return rc;
}

bool cn_conn_busy(const struct cn_conn *c)
{
	return atomic_load(&c->half.suspended);
}
