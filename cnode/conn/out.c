/* SPDX-License-Identifier: Apache-2.0 */
/* The out-half: encoding, queueing, writing, and the corks of threads. */
#include "cnode/conn/inner.h"

#define READY_AHEAD 131072          /* fragments are made until so many bytes are ready */
#define PIECES 32                   /* of one writev */
#define FLUSH_THREAD 262144         /* a sender's thread writes so much, the lead goes on */
#define BIG_PAYLOAD 65536           /* verified before the lock is taken */

void cn_half_init(struct cn_out_half *h)
{
	cn_mutex_init(&h->lock);
	h->fd = -1;
	cn_out_init(&h->out);
	h->turn_last = &h->turn;
	cn_buf_init(&h->paused, 0);
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
	h->turn = NULL;
	h->turn_last = &h->turn;
	cn_out_fini(&h->out);
	cn_encoder_free(h->encoder);
	h->encoder = NULL;
	cn_buf_fini(&h->paused);
	cn_mutex_fini(&h->lock);
}

/* ---- lanes; under the lock ---- */

static struct cn_lane *lane_find(struct cn_out_half *h, const cnode_pid *sender)
{
	struct cn_lane *lane = NULL;
	if (h->lanes)
		HASH_FIND(hh, h->lanes, sender, sizeof *sender, lane);
	return lane;
}

#undef uthash_nonfatal_oom
#define uthash_nonfatal_oom(element) (added = false)

static struct cn_lane *lane_make(struct cn_out_half *h, const cnode_pid *sender)
{
	struct cn_lane *lane = cn_calloc(1, sizeof *lane);
	if (!lane)
		return NULL;
	lane->sender = *sender;
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
static int lane_put(struct cn_out_half *h, const cnode_pid *sender, struct cn_sending *sending)
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

/* Moves packets of the lanes, in turn, behind what is ready. */
static int pump(struct cn_out_half *h)
{
	while (h->turn && h->out.size < READY_AHEAD) {
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

static uint64_t queued(const struct cn_out_half *h)
{
	return h->out.size + h->lanes_bytes;
}

static void break_off(struct cn_conn *c, int code, const char *text)
{
	c->half.open = false;
	c->half.broken = true;
	cn_conn_kill(c, code, text);
}

static void want_writable(struct cn_conn *c)
{
	if (!c->half.writable_wanted) {
		c->half.writable_wanted = true;
		cn_conn_post(c);
	}
}

void cn_half_flush(struct cn_conn *c, uint64_t budget)
{
	struct cn_out_half *h = &c->half;
	uint64_t written = 0;
	if (h->broken || h->fd < 0 || h->writable_wanted)
		return;
	for (;;) {
		int rc = pump(h);
		if (rc < 0) {
			break_off(c, rc, rc == CNODE_ENOMEM ? "out of memory for a message to it"
							    : "an identifier in a message to it was forgotten");
			return;
		}
		if (h->out.size == 0)
			break;
		if (written >= budget) {
			want_writable(c);
			break;
		}
		struct cn_piece pieces[PIECES];
		struct iovec parts[PIECES];
		unsigned count = cn_out_pieces(&h->out, pieces, PIECES);
		for (unsigned i = 0; i < count; i++)
			parts[i] = (struct iovec){ (void *)(uintptr_t)pieces[i].bytes, pieces[i].size };
		size_t moved;
		rc = cn_socket_write(h->fd, parts, (int)count, &moved);
		if (rc < 0) {
			break_off(c, CNODE_ENOCONNECTION, "the connection broke while writing");
			return;
		}
		if (moved == 0) {
			want_writable(c);
			break;
		}
		cn_out_sent(&h->out, moved);
		h->bytes += moved;
		written += moved;
	}
	if (h->paused.size > 0 && queued(h) <= c->env->high_water / 2)
		cn_conn_post(c);
}

void cn_half_tick(struct cn_conn *c)
{
	struct cn_out_half *h = &c->half;
	cn_mutex_lock(&h->lock);
	if (h->open && queued(h) == 0) {
		/* Without memory for four bytes the next interval tries again. */
		if (cn_encode_tick(&h->out) == 0)
			cn_half_flush(c, FLUSH_THREAD);
	}
	cn_mutex_unlock(&h->lock);
}

/* ---- corks ---- */

#define CORKED 8

struct cn_cork {
	struct cn_mutex lock;
	bool on;
	unsigned count;
	uint64_t since;                     /* when the first of these was held back */
	struct cn_conn *held[CORKED];       /* one reference each */
};

static _Thread_local struct cn_cork *corked_by;

struct cn_cork *cn_cork_new(void)
{
	struct cn_cork *cork = cn_calloc(1, sizeof *cork);
	if (cork)
		cn_mutex_init(&cork->lock);
	return cork;
}

static void write_held(struct cn_cork *cork)
{
	struct cn_conn *held[CORKED];
	cn_mutex_lock(&cork->lock);
	unsigned count = cork->count;
	memcpy(held, cork->held, count * sizeof held[0]);
	cork->count = 0;
	cn_mutex_unlock(&cork->lock);
	for (unsigned i = 0; i < count; i++) {
		cn_mutex_lock(&held[i]->half.lock);
		cn_half_flush(held[i], FLUSH_THREAD);
		cn_mutex_unlock(&held[i]->half.lock);
		cn_conn_unref(held[i]);
	}
}

void cn_cork_free(struct cn_cork *cork)
{
	if (!cork)
		return;
	write_held(cork);
	cn_mutex_fini(&cork->lock);
	cn_free(cork);
}

void cn_cork_begin(struct cn_cork *cork)
{
	corked_by = cork;
}

void cn_cork_end(struct cn_cork *cork)
{
	corked_by = NULL;
	write_held(cork);
}

void cn_cork_rescue(struct cn_cork *cork, uint64_t older)
{
	cn_mutex_lock(&cork->lock);
	bool late = cork->count > 0 && cork->since < older;
	cn_mutex_unlock(&cork->lock);
	if (late)
		write_held(cork);
}

/* True: the thread's cork will write it. Called without the connection's lock. */
static bool hold_back(struct cn_conn *c)
{
	struct cn_cork *cork = corked_by;
	if (!cork)
		return false;
	bool held = false;
	cn_mutex_lock(&cork->lock);
	for (unsigned i = 0; i < cork->count && !held; i++)
		held = cork->held[i] == c;
	if (!held && cork->count < CORKED) {
		if (cork->count == 0)
			cork->since = cn_now();
		cork->held[cork->count++] = cn_conn_ref(c);
		held = true;
	}
	cn_mutex_unlock(&cork->lock);
	return held;
}

/* ---- sending ---- */

/* Puts the message behind all that its sender has queued. Under the lock. */
static int enqueue(struct cn_out_half *h, const struct cn_control *control, cnode_term payload,
		   struct cn_sending *made)
{
	int rc = 0;
	if (!made && !lane_find(h, &control->from)) {
		rc = cn_encode(h->encoder, &h->out, control, payload, NULL);
		if (rc != CN_ENCODE_QUEUE) {
			h->packets += rc == 0;
			return rc;
		}
		rc = 0;
	}
	if (!made)
		rc = cn_sending_new(h->encoder, control, payload, &made, NULL);
	if (rc == 0)
		rc = lane_put(h, &control->from, made);
	if (rc != 0)
		cn_sending_free(made);
	return rc;
}

int cn_conn_send(struct cn_conn *c, const struct cn_control *control, cnode_term payload, unsigned flags,
		 bool *suspend)
{
	struct cn_out_half *h = &c->half;
	struct cn_sending *made = NULL;
	*suspend = false;
	/* A large term is verified before the lock is taken: nobody waits for that. The encoder
	   is there as long as the connection is up, and its configuration never changes. */
	if (payload.size_ >= BIG_PAYLOAD) {
		int rc = cn_sending_new(h->encoder, control, payload, &made, NULL);
		if (rc != 0)
			return rc;
	}
	cn_mutex_lock(&h->lock);
	int rc = 0;
	bool over = queued(h) >= c->env->high_water;
	if (!h->open) {
		rc = CNODE_ENOCONNECTION;
	} else if (over && (flags & CN_CONN_NOSUSPEND)) {
		rc = CNODE_EBUSY;
	} else if (queued(h) > c->env->out_limit) {
		break_off(c, CNODE_EBUSY, "it does not take its data: more is queued for it than the limit allows");
		rc = CNODE_ENOCONNECTION;
	} else if (over && (flags & CN_CONN_SUSPEND) && !cn_buf_reserve(&h->paused, sizeof control->from)) {
		h->paused.err = 0;
		rc = CNODE_ENOMEM;
	}
	if (rc != 0) {
		cn_mutex_unlock(&h->lock);
		cn_sending_free(made);
		return rc;
	}
	rc = enqueue(h, control, payload, made);
	if (rc == 0 && over && (flags & CN_CONN_SUSPEND)) {
		cn_put(&h->paused, &control->from, sizeof control->from);
		*suspend = true;
	}
	if (rc == 0 && !corked_by)
		cn_half_flush(c, FLUSH_THREAD);
	cn_mutex_unlock(&h->lock);
	if (rc == 0 && corked_by && !hold_back(c)) {
		cn_mutex_lock(&h->lock);
		cn_half_flush(c, FLUSH_THREAD);
		cn_mutex_unlock(&h->lock);
	}
	return rc;
}
