/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a connection: states, the one end, and what other threads ask of the lead. */
#include "cnode/conn/inner.h"

#include <stdio.h>

static void chores(struct cn_task *task);

/* ---- states ---- */

static const struct {
	const char *name;
	unsigned next;
} states[] = {
#define ROW(state, name, next) [CN_CONN_##state] = { name, next },
	CN_CONN_MAP(ROW)
#undef ROW
};

const char *cn_conn_state_name(enum cn_conn_state state)
{
	return (size_t)state < CN_ARRAY_SIZE(states) ? states[state].name : "none";
}

bool cn_conn_move(struct cn_conn *c, enum cn_conn_state state)
{
	if (!(states[c->state].next & 1u << state))
		return false;
	cn_log_line(c->net->config.log, CNODE_LOG_DEBUG, "connection %p %s %s: %s", (void *)c,
		    c->dialled ? "to" : "from", c->peer[0] ? c->peer : c->where, states[state].name);
	c->state = state;
	return true;
}

/* ---- life ---- */

struct cn_conn *cn_conn_new(struct cn_net *net, bool dialled, const char *peer, void *user)
{
	struct cn_conn *c = cn_calloc(1, sizeof *c);
	if (!c)
		return NULL;
	atomic_init(&c->refs, 1);
	atomic_init(&c->user, user);
	c->net = net;
	c->dialled = dialled;
	if (peer)
		snprintf(c->peer, sizeof c->peer, "%s", peer);
	cn_io_init(&c->io, net->config.loop, -1, cn_conn_ready);
	cn_timer_init(&c->timer, net->config.loop, cn_conn_due);
	cn_task_init(&c->task, chores);
	cn_buf_init(&c->in, 0);
	cn_half_init(&c->half);
	c->next = net->conns;
	if (c->next)
		c->next->prev = c;
	net->conns = c;
	net->count++;
	net->pending++;
	return c;
}

static void leave_net(struct cn_conn *c)
{
	struct cn_net *net = c->net;
	if (c->prev)
		c->prev->next = c->next;
	else
		net->conns = c->next;
	if (c->next)
		c->next->prev = c->prev;
	net->count--;
	if (!c->was_up)
		net->pending--;
}

void cn_conn_drop(struct cn_conn *c)
{
	leave_net(c);
	if (c->half.stream.ops)
		c->half.stream.ops->close(&c->half.stream);
	c->half.stream.ops = NULL;
	cn_io_close(&c->io);
	cn_timer_stop(&c->timer);
	cn_dial_end(c);
	cn_conn_unref(c);
}

struct cn_conn *cn_conn_ref(struct cn_conn *c)
{
	atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
	return c;
}

void cn_conn_unref(struct cn_conn *c)
{
	if (!c || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
		return;
	if (c->handshake) {
		cn_handshake_fini(c->handshake);
		cn_free(c->handshake);
	}
	cn_frame_free(c->frame);
	cn_half_fini(&c->half);
	if (c->info.name)
		cn_name_unpin(c->info.name);
	cn_buf_fini(&c->in);
	cn_free(c);
}

/* ---- the end ---- */

void cn_conn_close(struct cn_conn *c, int error, const char *text)
{
	CN_LEAD(c->net->config.loop);
	if (!cn_conn_move(c, CN_CONN_CLOSING))
		return;
	c->error = error;
	snprintf(c->text, sizeof c->text, "%s", text && *text ? text : cnode_strerror(error));
	cn_timer_stop(&c->timer);
	cn_dial_end(c);

	struct cn_out_half *h = &c->half;
	cn_mutex_lock(&h->lock);
	atomic_store(&h->open, false);
	h->broken = true;
	if (h->stream.ops)
		h->stream.ops->close(&h->stream);
	h->stream.ops = NULL;
	h->stream.fd = -1;
	cn_io_close(&c->io);
	cn_mutex_unlock(&h->lock);
	/* `down` comes from the task, so that nobody finds himself called from inside of his call. */
	cn_conn_post(c);
}

void cn_conn_closef(struct cn_conn *c, int error, const char *fmt, ...)
{
	char text[CN_CONN_TEXT];
	va_list args;
	va_start(args, fmt);
	vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	cn_conn_close(c, error, text);
}

/* A tool or another hidden peer that is through, and says no more: that is no event. */
static bool is_farewell(const struct cn_conn *c)
{
	return c->error == CNODE_ENOCONNECTION && c->in.size == 0 && !(c->info.peer_flags & CN_DFLAG_PUBLISHED);
}

static void log_end(struct cn_conn *c)
{
	struct cn_net *net = c->net;
	struct cn_log *log = net->config.log;
	uint32_t held;
	/* A peer that was not authenticated chooses its name: it cannot flood the log. */
	if (c->was_up) {
		cn_log_line(log, c->error && !is_farewell(c) ? CNODE_LOG_NOTICE : CNODE_LOG_INFO, "connection with %s (%s) ended: %s",
			    c->peer, c->where, c->text);
	} else if (c->dialled) {
		cn_log_line(log, CNODE_LOG_INFO, "no connection to %s: %s", c->peer, c->text);
	} else if (cn_log_on(log, CNODE_LOG_NOTICE) && cn_log_pass(&net->failed_gate, 5, &held)) {
		if (held > 0)
			cn_log_line(log, CNODE_LOG_NOTICE, "%u more connections were refused or given up", held);
		cn_log_line(log, CNODE_LOG_NOTICE, "connection from %s%s%s given up: %s", c->where, c->peer[0] ? " as " : "",
			    c->peer, c->text);
	}
}

static void finish_closing(struct cn_conn *c)
{
	cn_conn_move(c, CN_CONN_DOWN);
	leave_net(c);
	log_end(c);
	c->net->config.ops->down(c->net->config.context, c, c->error, c->text);
	cn_conn_unref(c);               /* its own */
}

/* ---- from any thread to the lead ---- */

void cn_conn_post(struct cn_conn *c)
{
	cn_conn_ref(c);
	if (!cn_wake_post(c->net->config.loop, &c->task))
		cn_conn_unref(c);
}

void cn_conn_kill(struct cn_conn *c, int error, const char *text)
{
	/* The text stands before the code can be seen; the first of several causes counts. */
	const char *no_text = NULL;
	int none = 0;
	atomic_compare_exchange_strong(&c->kill_text, &no_text, text);
	if (atomic_compare_exchange_strong(&c->kill_code, &none, error ? error : CNODE_ESHUTDOWN))
		cn_conn_post(c);
}

static void chores(struct cn_task *task)
{
	struct cn_conn *c = CN_CONTAINER(task, struct cn_conn, task);
	int killed = atomic_load(&c->kill_code);
	if (c->state == CN_CONN_CLOSING) {
		finish_closing(c);
	} else if (c->state != CN_CONN_DOWN && killed != 0) {
		cn_conn_close(c, killed, atomic_load(&c->kill_text));
	} else if (c->state != CN_CONN_DOWN) {
		cn_mutex_lock(&c->half.lock);
		c->want_write |= c->half.stuck;
		cn_mutex_unlock(&c->half.lock);
		if (c->working && c->state == CN_CONN_UP)
			cn_in_turn(c);
		cn_conn_watch(c);
	}
	cn_conn_unref(c);
}

/* ---- events ---- */

void cn_conn_watch(struct cn_conn *c)
{
	unsigned events = c->want_write ? CN_WRITE : 0;
	switch (c->state) {
	case CN_CONN_CONNECT:
		events = CN_WRITE;
		break;
	case CN_CONN_HANDSHAKE:
		/* What comes while an answer of ours is awaited stays in the socket. */
		events |= c->handshake->event == CN_HANDSHAKE_MORE ? CN_READ : 0;
		break;
	case CN_CONN_LEAVING:
		events |= CN_READ;
		break;
	case CN_CONN_UP:
		/* While a large message is verified nothing more is read. */
		events |= c->working ? 0 : CN_READ;
		break;
	default:
		events = 0;
	}
	cn_io_set(&c->io, events);
}

static void leave(struct cn_conn *c)
{
	struct cn_out_half *h = &c->half;
	cn_mutex_lock(&h->lock);
	bool written = cn_half_queued(h) == 0 && !c->told_off && h->stream.ops;
	if (written)
		h->stream.ops->shutdown(&h->stream);
	cn_mutex_unlock(&h->lock);
	/* The peer closes when it has read to the end. Closing first would make the kernel
	   answer what still comes from it with a reset, which can overtake our last bytes. */
	if (written)
		c->told_off = true;
	cn_conn_watch(c);
}

void cn_conn_ready(struct cn_io *io, unsigned events)
{
	struct cn_conn *c = CN_CONTAINER(io, struct cn_conn, io);
	cn_conn_ref(c);
	switch (c->state) {
	case CN_CONN_CONNECT:
		cn_dial_ready(c);
		break;
	case CN_CONN_HANDSHAKE:
		cn_shake_ready(c, events);
		break;
	case CN_CONN_UP:
		if (events & CN_WRITE)
			cn_half_writable(c);
		if ((events & CN_READ) && !c->working)
			cn_in_turn(c);
		cn_conn_watch(c);
		break;
	case CN_CONN_LEAVING:
		if (events & CN_WRITE)
			cn_half_writable(c);
		leave(c);
		if (events & CN_READ)
			cn_in_discard(c);
		break;
	default:
		break;
	}
	cn_conn_unref(c);
}

void cn_conn_due(struct cn_timer *timer)
{
	struct cn_conn *c = CN_CONTAINER(timer, struct cn_conn, timer);
	cn_conn_ref(c);
	switch (c->state) {
	case CN_CONN_RESOLVE:
	case CN_CONN_LOOKUP:
	case CN_CONN_CONNECT:
		cn_dial_due(c);
		break;
	case CN_CONN_HANDSHAKE:
		cn_shake_due(c);
		break;
	case CN_CONN_UP:
		cn_in_due(c);
		break;
	case CN_CONN_LEAVING:
		cn_conn_close(c, 0, "this node left");
		break;
	default:
		break;
	}
	cn_conn_unref(c);
}

void cn_conn_finish(struct cn_conn *c, uint64_t linger)
{
	CN_LEAD(c->net->config.loop);
	if (c->state == CN_CONN_LEAVING)
		return;
	if (!cn_conn_move(c, CN_CONN_LEAVING)) {
		cn_conn_close(c, CNODE_ESHUTDOWN, "this node leaves");
		return;
	}
	atomic_store(&c->half.open, false);
	cn_timer_set(&c->timer, cn_loop_clock(c->net->config.loop) + linger);
	cn_half_write(c, CN_FLUSH_LEAD);
	leave(c);
}

/* ---- what others ask ---- */

void *cn_conn_user(const struct cn_conn *c)
{
	return atomic_load(&c->user);
}

void cn_conn_set_user(struct cn_conn *c, void *user)
{
	atomic_store(&c->user, user);
}

enum cn_conn_state cn_conn_state(const struct cn_conn *c)
{
	CN_LEAD(c->net->config.loop);
	return c->state;
}

bool cn_conn_dialled(const struct cn_conn *c)
{
	return c->dialled;
}

const char *cn_conn_peer(const struct cn_conn *c)
{
	return c->peer;
}

const struct cn_conn_info *cn_conn_info(const struct cn_conn *c)
{
	return &c->info;
}

void cn_conn_counts(struct cn_conn *c, struct cn_conn_counts *counts)
{
	cn_mutex_lock(&c->half.lock);
	counts->packets_out = c->half.packets;
	counts->bytes_out = c->half.bytes;
	counts->queued = cn_half_queued(&c->half);
	cn_mutex_unlock(&c->half.lock);
	counts->packets_in = atomic_load(&c->packets_in);
	counts->bytes_in = atomic_load(&c->bytes_in);
}
