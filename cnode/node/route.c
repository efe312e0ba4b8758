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

/* ---- to a connection ---- */

/* The number that orders what a process of ours sends; 0: the node's own. */
static uint64_t sender_of(const struct cn_control *c)
{
	return (uint64_t)c->from.serial << 32 | c->from.id;
}

static bool is_message(const struct cn_control *c)
{
	return c->signal == CN_SIGNAL_SEND || c->signal == CN_SIGNAL_REG_SEND ||
	       c->signal == CN_SIGNAL_ALIAS_SEND || c->signal == CN_SIGNAL_EXIT2;
}

/*
 * Gives a message to a connection. What the peer cannot be told by its flags is left out as
 * a BEAM node leaves it out: it learns of the end of the connection all the same.
 */
static int transmit(struct cn_conn *conn, const struct cn_control *c, cnode_term term, unsigned flags)
{
	unsigned how = flags & CN_SEND_NOSUSPEND ? CN_CONN_NOSUSPEND : 0;
	int rc = cn_conn_send(conn, sender_of(c), c, term, how, NULL);
	switch (rc) {
	case 0:
	case CN_CONN_SUSPEND:
		if (c->signal == CN_SIGNAL_UNLINK && !(cn_conn_info(conn)->flags & CN_DFLAG_UNLINK_ID))
			return CN_UNACKED;
		return rc == CN_CONN_SUSPEND && (flags & CN_SEND_SUSPEND) ? CN_SUSPEND : 0;
	case CNODE_ENOTSUP:
	case CNODE_ENOCONNECTION:
		return 0;
	case CNODE_EBADTERM:
	case CNODE_ELIMIT:
	case CNODE_ETOOBIG:
		/* A reason that this peer cannot take: its end still has to be heard of. */
		if (c->signal == CN_SIGNAL_EXIT || c->signal == CN_SIGNAL_MONITOR_EXIT) {
			static const uint8_t badterm[] = { CN_SMALL_ATOM_UTF8, 7, 'b', 'a', 'd', 't', 'e', 'r', 'm' };
			rc = cn_conn_send(conn, sender_of(c), c, cn_term_static(badterm, sizeof badterm), 0, NULL);
			if (rc >= 0)
				return 0;
		}
		if (is_message(c) || c->signal == CN_SIGNAL_SPAWN_REQUEST)
			return rc;
		break;
	default:
		if (is_message(c) || c->signal == CN_SIGNAL_SPAWN_REQUEST)
			return rc;
	}
	cn_conn_kill(conn, rc, "a signal to it could not be queued");
	return rc;
}

/* The sender is to pause until the connection has room. Under the lock. 0: it is not told to. */
static int pause_sender(struct cn_peer *peer, struct cn_conn *conn, cnode_pid sender)
{
	struct cn_cluster *cluster = peer->cluster;
	cn_put(&peer->paused, &sender, sizeof sender);
	if (peer->paused.err) {
		peer->paused.err = 0;
		return 0;
	}
	/* The room may have come in between. */
	if (!cn_conn_busy(conn)) {
		cluster->drained = true;
		cn_wake_post(cluster->loop, &cluster->chores);
	}
	return CN_SUSPEND;
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
	w->bytes = SIGNAL_BYTES + cn_term_weight(term);
	uint8_t *at = w->texts;
	struct cn_atom_text *copies[] = { &w->control.name, &w->control.module, &w->control.function };
	for (size_t i = 0; i < CN_ARRAY_SIZE(copies); i++) {
		if (copies[i]->size > 0)        /* or else there is no text either */
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

static int queue(struct cn_cluster *cluster, struct cn_peer *peer, const struct cn_control *c, cnode_term term,
		 unsigned flags)
{
	bool over = peer->waiting_bytes >= cluster->config.out_high_water;
	if (over && (flags & CN_SEND_NOSUSPEND))
		return CNODE_EBUSY;
	if (peer->waiting_bytes > WAITING_MAX + cluster->config.out_limit)
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

/* Done with it; a sender that was suspended, or is to hear of a failure, is told by the holder of the lead, who may call proc. */
static void waiting_done(struct cn_cluster *cluster, struct cn_waiting *w)
{
	if (!w->suspended && w->failed == 0) {
		cn_waiting_free(w);
		return;
	}
	w->next = cluster->resumes;
	cluster->resumes = w;
	cn_wake_post(cluster->loop, &cluster->chores);
}

static void waiting_clear(struct cn_peer *peer, bool send)
{
	struct cn_waiting *w;
	while ((w = peer->waiting)) {
		peer->waiting = w->next;
		if (send) {
			int rc = transmit(peer->conn, &w->control, w->term, 0);
			/* Any other signal has ended the connection. */
			w->failed = rc < 0 && (is_message(&w->control) || w->control.signal == CN_SIGNAL_SPAWN_REQUEST) ? rc : 0;
			w->node = peer->name;
			w->epoch = peer->epoch;
		}
		waiting_done(peer->cluster, w);
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

/* The reference under which the sender of {Label, {Pid, Tag}, Request} waits for an answer. */
static bool reads_as_call(cnode_term message, cnode_pid from, cnode_ref *ref)
{
	cnode_pid caller;
	return (cnode_scan(message, "{_,{~p,~r},_}", &caller, ref) == 0 ||
		cnode_scan(message, "{_,{~p,[alias|~r]},_}", &caller, ref) == 0) && cnode_pid_equal(caller, from);
}

/*
 * A call ends by its monitor: DOWN with {undelivered, Code}, which the room gen reads. The peer's half
 * of that monitor is taken back. A reference that is no call's monitors nothing, and nothing happens.
 */
static int fail_call(struct cn_cluster *cluster, const struct cn_waiting *w, const cnode_ref *ref)
{
	struct cn_signal down = { .kind = CN_SIG_DOWN, .from = w->control.to, .to = w->control.from, .node = w->node,
				  .epoch = w->epoch, .ref = *ref };
	int rc = cnode_format(&down.term, "{undelivered,~a}", cnode_error_atom(w->failed));
	if (rc != 0)
		return rc;
	rc = cn_procs_deliver(cluster->procs, &down);
	cnode_term_drop(down.term);
	if (rc != 0)
		return rc;
	struct cn_control demonitor = { .signal = CN_SIGNAL_DEMONITOR, .from = w->control.from, .to = w->control.to,
					.name = w->control.name, .ref = *ref };
	rc = cn_peer_send(cluster, w->node, w->epoch, &demonitor, (cnode_term){ 0 }, CN_SEND_NOCONNECT);
	return rc == CNODE_ENOCONNECTION ? 0 : rc;
}

void cn_waiting_failed(struct cn_cluster *cluster, const struct cn_waiting *w)
{
	char node[CNODE_NAME_SIZE];
	cnode_ref ref;
	if (w->control.signal == CN_SIGNAL_SPAWN_REQUEST) {
		cn_orders_failed(cluster, &w->control.ref, w->failed);
		return;
	}
	cn_name_text(w->node, node);
	cn_log_line(cluster->log, CNODE_LOG_WARNING, "%s: a message of <0.%u.%u> that waited for the connection could not be sent: %s",
		    node, w->control.from.id, w->control.from.serial, cnode_strerror(w->failed));
	if (w->control.signal == CN_SIGNAL_EXIT2 || !reads_as_call(w->term, w->control.from, &ref))
		return;
	int rc = fail_call(cluster, w, &ref);
	if (rc == 0)
		return;
	/* Then the caller hears noconnection. */
	cn_mutex_lock(&cluster->lock);
	const struct cn_peer *peer = cn_peer_find(cluster, w->node);
	if (peer && peer->conn && peer->epoch == w->epoch)
		cn_conn_kill(peer->conn, rc, "a caller could not be told that its request was not sent");
	cn_mutex_unlock(&cluster->lock);
}

/*
 * Sends to a node: to its connection, or behind what waits for one. `epoch` as in
 * cn_signal: of one that is over the peer may be forgotten, and is not made again for it.
 * The codes of cn_procs_ops.send.
 */
int cn_peer_send(struct cn_cluster *cluster, cnode_name node, uint64_t epoch, const struct cn_control *c,
		 cnode_term term, unsigned flags)
{
	struct cn_peer *peer = NULL;
	int rc = 0;
	cn_mutex_lock(&cluster->lock);
	if (epoch == CN_EPOCH_ANY && !(flags & CN_SEND_NOCONNECT))
		rc = cn_peer_get(cluster, node, &peer);
	else
		peer = cn_peer_find(cluster, node);
	if ((flags & CN_SEND_NOCONNECT) && (!peer || peer->state != CN_PEER_UP))
		rc = CNODE_ENOCONNECTION;
	if (rc != 0 || !peer || (epoch != CN_EPOCH_ANY && epoch != peer->epoch))
		goto unlock;
	cn_trace_control(cluster, true, peer->text, c, term);
	if (peer->state != CN_PEER_UP) {
		rc = queue(cluster, peer, c, term, flags);
		if (rc >= 0 && peer->state == CN_PEER_IDLE)
			cn_peer_want(peer);
		goto unlock;
	}
	struct cn_conn *conn = cn_conn_ref(peer->conn);
	cn_mutex_unlock(&cluster->lock);
	rc = transmit(conn, c, term, flags);
	if (rc == CN_SUSPEND) {
		cn_mutex_lock(&cluster->lock);
		/* The peer is still there: our reference keeps its connection from being forgotten with it. */
		peer = cn_peer_find(cluster, node);
		rc = peer && peer->conn == conn ? pause_sender(peer, conn, c->from) : 0;
		cn_mutex_unlock(&cluster->lock);
	}
	cn_conn_unref(conn);
	return rc;

unlock:
	cn_mutex_unlock(&cluster->lock);
	return rc;
}

int cn_cluster_send(void *ctx, const struct cn_signal *sig, unsigned flags)
{
	struct cn_cluster *cluster = ctx;
	struct cn_control c;
	int rc = describe(sig, &c);
	if (rc != 0)
		return rc;
	return cn_peer_send(cluster, sig->node, sig->epoch, &c, sig->term, flags);
}
