/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signals on their way out: which connection, and in which form. Without a connection
 * they wait for the one that is being made, in the order they came.
 */
#include "cnode/node/peer.h"

/*
 * What waits for one connection attempt, at most; a sender that could wait is suspended
 * from the high water on, so only answers and prompt processes get near.
 */
#define WAITING_MAX (UINT64_C(64) << 20)

/* The bytes that a small signal is counted with. */
#define SIGNAL_BYTES 256

static int describe(const struct cn_signal *sig, struct cn_control *c)
{
	static const enum cn_control_signal meaning[] = {
		[CN_SIG_MESSAGE] = CN_SIGNAL_SEND,
		[CN_SIG_LINK] = CN_SIGNAL_LINK,
		[CN_SIG_UNLINK] = CN_SIGNAL_UNLINK,
		[CN_SIG_UNLINK_ACK] = CN_SIGNAL_UNLINK_ACK,
		[CN_SIG_EXIT] = CN_SIGNAL_EXIT,
		[CN_SIG_EXIT2] = CN_SIGNAL_EXIT2,
		[CN_SIG_MONITOR] = CN_SIGNAL_MONITOR,
		[CN_SIG_DEMONITOR] = CN_SIGNAL_DEMONITOR,
		[CN_SIG_DOWN] = CN_SIGNAL_MONITOR_EXIT,
		[CN_SIG_GROUP_LEADER] = CN_SIGNAL_GROUP_LEADER,
	};
	*c = (struct cn_control){
		.signal = meaning[sig->kind],
		.from = sig->from,
		.to = sig->to,
		.leader = sig->leader,
		.ref = sig->ref,
		.id = sig->unlink_id,
	};
	const char *name = sig->kind == CN_SIG_DOWN ? sig->from_name : sig->to_name;
	if (name) {
		size_t size = strlen(name);
		if (size > CN_ATOM_BYTES)
			return CNODE_EBADNAME;
		c->name = (struct cn_atom_text){ (const uint8_t *)name, (uint16_t)size };
	}
	if (sig->kind == CN_SIG_MESSAGE && sig->alias) {
		c->signal = CN_SIGNAL_ALIAS_SEND;
		c->ref = *sig->alias;
	} else if (sig->kind == CN_SIG_MESSAGE && sig->to_name) {
		c->signal = CN_SIGNAL_REG_SEND;
	} else if (sig->kind == CN_SIG_DOWN && sig->from_name) {
		c->from = (cnode_pid){ 0 };
	}
	return 0;
}

/* ---- what waits ---- */

void cn_waiting_free(struct cn_waiting *w)
{
	cnode_term_drop(w->term);
	cnode_term_drop(w->control.opts);
	cn_free(w);
}

static int waiting_new(const struct cn_control *c, cnode_term term, bool suspended, struct cn_waiting **made)
{
	size_t texts = (size_t)c->name.size + c->module.size + c->function.size;
	struct cn_waiting *w = cn_calloc(1, sizeof *w + texts);
	if (!w)
		return CNODE_ENOMEM;
	w->control = *c;
	w->control.opts = (cnode_term){ 0 };
	w->suspended = suspended;
	w->bytes = SIGNAL_BYTES + term.size_;
	uint8_t *at = w->texts;
	struct cn_atom_text *copies[] = { &w->control.name, &w->control.module, &w->control.function };
	for (size_t i = 0; i < CN_ARRAY_SIZE(copies); i++) {
		memcpy(at, copies[i]->text, copies[i]->size);
		copies[i]->text = at;
		at += copies[i]->size;
	}
	int rc = cn_term_is_none(term) ? 0 : cnode_term_keep(term, &w->term);
	if (rc == 0 && !cn_term_is_none(c->opts))
		rc = cnode_term_keep(c->opts, &w->control.opts);
	if (rc != 0) {
		cn_waiting_free(w);
		return rc;
	}
	*made = w;
	return 0;
}

static int queue(struct cn_net *net, struct cn_peer *peer, const struct cn_control *c, cnode_term term,
		 unsigned flags)
{
	bool over = peer->waiting_bytes >= net->config.out_high_water;
	if (over && (flags & CN_SEND_NOSUSPEND))
		return CNODE_EBUSY;
	if (peer->waiting_bytes > WAITING_MAX + net->config.out_limit)
		return CNODE_ETOOBIG;
	bool suspend = over && (flags & CN_SEND_SUSPEND);
	struct cn_waiting *w;
	int rc = waiting_new(c, term, suspend, &w);
	if (rc != 0)
		return rc;
	*peer->waiting_last = w;
	peer->waiting_last = &w->next;
	peer->waiting_bytes += w->bytes;
	return suspend ? CN_SUSPEND : 0;
}

/* Done with it; its sender, if it was suspended, is resumed by the holder of the lead, who may call proc. */
static void waiting_done(struct cn_net *net, struct cn_waiting *w)
{
	if (!w->suspended) {
		cn_waiting_free(w);
		return;
	}
	w->next = net->resumes;
	net->resumes = w;
	cn_wake_post(net->loop, &net->chores);
}

static void waiting_clear(struct cn_peer *peer, bool send)
{
	struct cn_waiting *w;
	while ((w = peer->waiting)) {
		peer->waiting = w->next;
		/* What this peer cannot be told is dropped now as it would be later. */
		if (send)
			transmit(peer->net, peer->conn, &w->control, w->term, 0);
		waiting_done(peer->net, w);
	}
	peer->waiting_last = &peer->waiting;
	peer->waiting_bytes = 0;
}

void cn_peer_waiting_send(struct cn_peer *peer)
{
	waiting_clear(peer, true);
}

void cn_peer_waiting_drop(struct cn_peer *peer)
{
	waiting_clear(peer, false);
}

/* ---- to a connection ---- */

/*
 * Gives a message to a connection. What the peer cannot be told by its flags is left out as
 * a BEAM node leaves it out: it learns of the end of the connection all the same.
 */
static int transmit(struct cn_net *net, struct cn_conn *conn, const struct cn_control *c, cnode_term term,
		    unsigned flags)
{
	bool suspend = false;
	unsigned how = flags & CN_SEND_NOSUSPEND ? CN_CONN_NOSUSPEND : 0;
	int rc = cn_conn_send(conn, c, term, how, &suspend);
	bool is_message = c->signal == CN_SIGNAL_SEND || c->signal == CN_SIGNAL_REG_SEND ||
			  c->signal == CN_SIGNAL_ALIAS_SEND || c->signal == CN_SIGNAL_EXIT2;
	switch (rc) {
	case 0:
		if (suspend && (flags & CN_SEND_SUSPEND))
			return CN_SUSPEND;
		if (c->signal == CN_SIGNAL_UNLINK && !(cn_conn_flags(conn) & CN_DFLAG_UNLINK_ID))
			return CN_UNACKED;
		return 0;
	case CNODE_ENOTSUP:
	case CNODE_ENOCONNECTION:
		return 0;
	case CNODE_EBADTERM:
	case CNODE_ELIMIT:
	case CNODE_ETOOBIG:
		if (is_message)
			return rc;
		/* A reason that this peer cannot take still has to be heard of. */
		if (!cn_term_is_none(term) && c->signal != CN_SIGNAL_SPAWN_REQUEST)
			return transmit(net, conn, c, (cnode_term){ 0 }, flags);
		return rc;
	default:
		if (!is_message)
			cn_conn_kill(conn, rc, "a signal could not be queued");
		return rc;
	}
}
