/* SPDX-License-Identifier: Apache-2.0 */
/* The table of peers: finding them, their connections' ups and downs. */
#include "cnode/node/peer.h"

#define DOWN_BUDGET 20000u          /* relations ended in one round, so that ticks go on */
#define BACKOFF_MIN (1 * CN_NS_PER_S)
#define BACKOFF_MAX (30 * CN_NS_PER_S)

/* ---- the table; under the lock ---- */

struct cn_peer *cn_peer_find(struct cn_cluster *cluster, cnode_name name)
{
	struct cn_peer *peer;
	HASH_FIND(hh, cluster->peers, &name, sizeof name, peer);
	return peer;
}

static void again(struct cn_timer *timer);

int cn_peer_get(struct cn_cluster *cluster, cnode_name name, struct cn_peer **found)
{
	*found = cn_peer_find(cluster, name);
	if (*found)
		return 0;
	char text[CNODE_NAME_SIZE];
	int rc = cn_name_pin(name);
	if (rc != 0)
		return rc;
	struct cn_peer *peer = cn_calloc(1, sizeof *peer);
	rc = cnode_name_text(name, text);
	if (peer)
		peer->text = cn_strdup(text);
	if (rc != 0 || !peer || !peer->text) {
		if (peer)
			cn_free(peer->text);
		cn_free(peer);
		cn_name_unpin(name);
		return rc != 0 ? rc : CNODE_ENOMEM;
	}
	peer->cluster = cluster;
	peer->name = name;
	peer->epoch = ++cluster->epochs;
	peer->waiting_last = &peer->waiting;
	cn_buf_init(&peer->paused, 0);
	cn_timer_init(&peer->again, cluster->loop, again);
	bool added = true;
	HASH_ADD(hh, cluster->peers, name, sizeof peer->name, peer);
	if (!added) {
		cn_free(peer->text);
		cn_free(peer);
		cn_name_unpin(name);
		return CNODE_ENOMEM;
	}
	*found = peer;
	return 0;
}

uint64_t cn_peer_epoch(struct cn_peer *peer)
{
	peer->asked = peer->epoch;
	return peer->epoch;
}

/*
 * Nothing is known of it. Not so while somebody has its epoch and may be about to send: made anew, the peer
 * would have another one, what he sends would be taken for something of the past, and its end never be told.
 */
static bool is_idle(const struct cn_peer *peer)
{
	return peer->state == CN_PEER_IDLE && peer->asked != peer->epoch && !peer->waiting && !peer->keep && !peer->posted &&
	       !peer->dialling && !peer->incoming && !peer->watches && !peer->in_downs && !peer->again.running;
}

/* Forgets a peer that nothing is known of. Lead, under the lock. */
static void forget(struct cn_peer *peer)
{
	HASH_DEL(peer->cluster->peers, peer);
	cn_name_unpin(peer->name);
	cn_buf_fini(&peer->paused);
	cn_free(peer->address);
	cn_free(peer->text);
	cn_free(peer);
}

/* ---- asking for a connection, from any thread ---- */

/* Under the lock. */
void cn_peer_want(struct cn_peer *peer)
{
	struct cn_cluster *cluster = peer->cluster;
	peer->wanted = true;
	if (!peer->posted) {
		peer->posted = true;
		peer->next_wanted = cluster->wanted;
		cluster->wanted = peer;
	}
	cn_wake_post(cluster->loop, &cluster->chores);
}

int cn_cluster_epoch(void *ctx, cnode_name node, uint64_t *epoch)
{
	struct cn_cluster *cluster = ctx;
	struct cn_peer *peer;
	cn_mutex_lock(&cluster->lock);
	int rc = cn_peer_get(cluster, node, &peer);
	if (rc == 0)
		*epoch = cn_peer_epoch(peer);
	cn_mutex_unlock(&cluster->lock);
	return rc;
}

int cn_cluster_want(void *ctx, cnode_name node)
{
	struct cn_cluster *cluster = ctx;
	struct cn_peer *peer;
	cn_mutex_lock(&cluster->lock);
	int rc = cn_peer_get(cluster, node, &peer);
	if (rc == 0 && (peer->state == CN_PEER_IDLE || peer->state == CN_PEER_DOWN))
		cn_peer_want(peer);
	cn_mutex_unlock(&cluster->lock);
	return rc;
}

bool cn_cluster_has_alias(void *ctx, cnode_name node)
{
	struct cn_cluster *cluster = ctx;
	cn_mutex_lock(&cluster->lock);
	struct cn_peer *peer = cn_peer_find(cluster, node);
	bool has = peer && peer->state == CN_PEER_UP && (cn_conn_info(peer->conn)->flags & CN_DFLAG_ALIAS);
	cn_mutex_unlock(&cluster->lock);
	return has;
}

/* ---- ends and beginnings, by the holder of the lead ---- */

static void tell_watches(struct cn_peer *peer, int code, const char *text)
{
	struct cn_watch *w = peer->watches;
	peer->watches = NULL;
	while (w) {
		struct cn_watch *next = w->next;
		w->tell(w->ctx, code, text);
		cn_free(w);
		w = next;
	}
}

void cn_peer_step(struct cn_peer *peer, int step, const char *text)
{
	for (struct cn_watch *w = peer->watches; w; w = w->next)
		w->tell(w->ctx, step, text);
}

void cn_peers_free(struct cn_cluster *cluster)
{
	struct cn_peer *peer, *next;
	HASH_ITER(hh, cluster->peers, peer, next) {
		cn_timer_stop(&peer->again);
		tell_watches(peer, CNODE_ESHUTDOWN, "this node has shut down");
		cn_peer_waiting_drop(peer);
		cn_conn_unref(peer->conn);
		forget(peer);
	}
}

int cn_peer_watch(struct cn_peer *peer, cn_watch_fn *tell, void *ctx)
{
	struct cn_watch *w = cn_malloc(sizeof *w);
	if (!w)
		return CNODE_ENOMEM;
	*w = (struct cn_watch){ peer->watches, tell, ctx };
	peer->watches = w;
	return 0;
}

uint64_t cn_jitter(uint64_t ns)
{
	uint32_t random = 0;
	/* Without randomness the moment is just more predictable. */
	(void)cn_random(&random, sizeof random);
	return ns / 2 + ns / 2 * (random % 1001) / 1000;
}

uint64_t cn_peer_backoff(uint32_t failures)
{
	uint64_t wait = 2 * BACKOFF_MIN << (failures < 5 ? failures : 5);
	return cn_jitter(wait < BACKOFF_MAX ? wait : BACKOFF_MAX);
}

void cn_peer_forget_idle(struct cn_peer *peer)
{
	struct cn_cluster *cluster = peer->cluster;
	cn_mutex_lock(&cluster->lock);
	if (is_idle(peer))
		forget(peer);
	cn_mutex_unlock(&cluster->lock);
}

void cn_peer_begin(struct cn_peer *peer)
{
	cn_mutex_lock(&peer->cluster->lock);
	peer->state = CN_PEER_DIALLING;
	peer->wanted = false;
	cn_mutex_unlock(&peer->cluster->lock);
	cn_peer_dial(peer);
}

/* All relations of the ended connection are told. */
static void down_done(struct cn_peer *peer)
{
	struct cn_cluster *cluster = peer->cluster;
	cn_mutex_lock(&cluster->lock);
	peer->state = CN_PEER_IDLE;
	peer->ended = 0;
	bool dial = (peer->waiting || peer->wanted || peer->again_due) && !cluster->stopping;
	peer->again_due = false;
	if (!dial && is_idle(peer))
		forget(peer);
	cn_mutex_unlock(&cluster->lock);
	if (dial)
		cn_peer_begin(peer);
}

/* Goes on with telling; true when it is done. */
static bool down_slice(struct cn_peer *peer, uint32_t budget)
{
	if (!cn_procs_nodedown(peer->cluster->procs, peer->name, peer->ended, "noconnection", budget))
		return false;
	cn_orders_lost(peer->cluster, peer->name, peer->ended, peer->ended_up);
	if (peer->announced) {
		peer->announced = false;
		struct cn_node_event event = {
			.node = peer->name,
			.connection_id = peer->ended,
			.visible = peer->visible,
			.reason = peer->reason,
		};
		cn_procs_node_event(peer->cluster->procs, &event);
		if (CN_MUTANT(nodedown_twice))
			cn_procs_node_event(peer->cluster->procs, &event);
	}
	return true;
}

/* Why the connection is over, in the words of net_kernel(3), monitor_nodes/2. */
static cnode_term nodedown_reason(const struct cn_cluster *cluster, int code)
{
#define REASON(size, text) cn_term_static("w" size text, sizeof("w" size text) - 1)
	if (cluster->stopping)
		return REASON("\25", "net_kernel_terminated");
	switch (CN_MUTANT(nodedown_reason) ? 0 : code) {
	case 0:
		return REASON("\12", "disconnect");
	case CNODE_ETICK:
		return REASON("\20", "net_tick_timeout");
	case CNODE_ENOCONNECTION:
		return REASON("\21", "connection_closed");
	default:
		return REASON("\10", "shutdown");
	}
#undef REASON
}

/* Takes the list of pids. */
static void resume_all(struct cn_cluster *cluster, uint8_t *take_paused, size_t size)
{
	for (size_t at = 0; at < size; at += sizeof(cnode_pid)) {
		cnode_pid sender;
		memcpy(&sender, take_paused + at, sizeof sender);
		cn_procs_resume(cluster->procs, sender);
	}
	cn_free(take_paused);
}

/*
 * The connection, or the attempt to make one, has ended: `code` and `text` say why. Links
 * and monitors are told in slices; whoever wants to connect meanwhile waits for that.
 */
void cn_peer_ended(struct cn_peer *peer, int code, const char *text)
{
	struct cn_cluster *cluster = peer->cluster;
	cn_mutex_lock(&cluster->lock);
	bool was_up = peer->state == CN_PEER_UP;
	struct cn_conn *conn = peer->conn;
	uint64_t peer_flags = was_up ? cn_conn_info(conn)->peer_flags : 0;
	peer->conn = NULL;
	peer->state = CN_PEER_DOWN;
	peer->ended = peer->epoch;
	peer->ended_up = was_up;
	peer->epoch = ++cluster->epochs;
	peer->reason = nodedown_reason(cluster, code);
	if (!was_up)
		cn_peer_waiting_drop(peer);     /* they were for the attempt that failed */
	size_t size;
	uint8_t *paused = cn_buf_take(&peer->paused, &size);
	cn_mutex_unlock(&cluster->lock);
	cn_conn_unref(conn);
	resume_all(cluster, paused, size);

	tell_watches(peer, code != 0 ? code : CNODE_ENOCONNECTION, text);
	if (peer->keep && !cluster->stopping) {
		uint64_t wait = cn_peer_backoff(was_up ? 0 : peer->tries);
		peer->tries = was_up ? 0 : peer->tries + 1;
		/* Who asked to stay connected hears why it cannot be, and again when the cause changes; conn tells each
		   attempt at level info. */
		if (was_up && code == CNODE_ENOCONNECTION && !(peer_flags & CN_DFLAG_PUBLISHED))
			cn_log_line(cluster->log, CNODE_LOG_NOTICE, "%s: the connection is lost, trying again", peer->text);
		if (!was_up && code != 0 && code != peer->told)
			cn_log_line(cluster->log, CNODE_LOG_NOTICE, "%s: cannot connect, trying again: %s", peer->text,
				    text);
		peer->told = was_up ? 0 : code;
		cn_timer_set(&peer->again, cn_loop_now(cluster->loop) + wait);
	}
	if (down_slice(peer, DOWN_BUDGET)) {
		down_done(peer);
	} else if (!peer->in_downs) {
		peer->in_downs = true;
		peer->next_down = cluster->downs;
		cluster->downs = peer;
		cn_wake_post(cluster->loop, &cluster->chores);
	}
}

void cn_peer_up(struct cn_peer *peer, struct cn_conn *conn)
{
	struct cn_cluster *cluster = peer->cluster;
	const struct cn_conn_info *info = cn_conn_info(conn);
	/* Nothing of the new connection comes before the last word on the old one. */
	while (peer->state == CN_PEER_DOWN && !down_slice(peer, UINT32_MAX))
		continue;
	cn_timer_stop(&peer->again);
	peer->tries = 0;
	peer->told = 0;
	peer->ended = 0;
	peer->again_due = false;
	cn_mutex_lock(&cluster->lock);
	peer->wanted = false;
	peer->conn = cn_conn_ref(conn);
	cn_peer_waiting_send(peer);
	peer->state = CN_PEER_UP;
	peer->announced = true;
	peer->visible = info->visible;
	struct cn_node_event event = { .node = peer->name, .connection_id = peer->epoch, .visible = info->visible, .up = true };
	cn_mutex_unlock(&cluster->lock);
	cn_procs_node_event(cluster->procs, &event);
	int release = cn_otp_release_of(info->peer_flags)->release;
	cn_log_line(cluster->log, CNODE_LOG_INFO, "%s: connected (%s, speaks as OTP %d%s)", peer->text,
		    info->visible ? "visible" : "hidden", release, release == 29 ? " or later" : "");
	if (!(info->flags & CN_DFLAG_SPAWN))
		cn_orders_unable(peer);
	tell_watches(peer, 0, "connected");
}

/* The next try of a peer that is to be kept, or nothing came of what we waited for. */
static void again(struct cn_timer *timer)
{
	struct cn_peer *peer = CN_CONTAINER(timer, struct cn_peer, again);
	if (peer->state == CN_PEER_IDLE)
		cn_peer_begin(peer);
	else if (peer->state == CN_PEER_DIALLING && !peer->dialling)
		cn_peer_ended(peer, CNODE_ETIMEOUT, "its own attempt to connect, which was to come instead of ours, did not come");
	else if (peer->state == CN_PEER_DOWN)
		peer->again_due = true;
}

/* Resumes the senders of connections that have room again. */
static void resume_drained(struct cn_cluster *cluster)
{
	for (;;) {
		uint8_t *paused = NULL;
		size_t size = 0;
		cn_mutex_lock(&cluster->lock);
		for (struct cn_peer *peer = cluster->peers; peer && !paused; peer = peer->hh.next)
			if (peer->paused.size > 0 && (!peer->conn || !cn_conn_busy(peer->conn)))
				paused = cn_buf_take(&peer->paused, &size);
		cn_mutex_unlock(&cluster->lock);
		if (!paused)
			return;
		resume_all(cluster, paused, size);
	}
}

/* What other threads left for the holder of the lead. */
void cn_cluster_chores(struct cn_task *task)
{
	struct cn_cluster *cluster = CN_CONTAINER(task, struct cn_cluster, chores);
	struct cn_peer *peer;

	cn_mutex_lock(&cluster->lock);
	struct cn_peer *wanted = cluster->wanted;
	cluster->wanted = NULL;
	struct cn_waiting *resumes = cluster->resumes;
	cluster->resumes = NULL;
	bool drained = cluster->drained;
	cluster->drained = false;
	cn_mutex_unlock(&cluster->lock);

	if (drained)
		resume_drained(cluster);
	while (resumes) {
		struct cn_waiting *w = resumes;
		resumes = w->next;
		if (w->failed)
			cn_waiting_failed(cluster, w);
		if (w->suspended)
			cn_procs_resume(cluster->procs, w->control.from);
		cn_waiting_free(w);
	}
	while (wanted) {
		peer = wanted;
		wanted = peer->next_wanted;
		cn_mutex_lock(&cluster->lock);
		peer->posted = false;
		bool dial = peer->state == CN_PEER_IDLE && peer->wanted;
		cn_mutex_unlock(&cluster->lock);
		if (dial)
			cn_peer_begin(peer);
	}
	struct cn_peer *downs = cluster->downs;
	cluster->downs = NULL;
	while (downs) {
		peer = downs;
		downs = peer->next_down;
		peer->in_downs = false;
		if (peer->state != CN_PEER_DOWN)
			continue;           /* a new connection came and finished it */
		if (down_slice(peer, DOWN_BUDGET)) {
			down_done(peer);
		} else {
			peer->in_downs = true;
			peer->next_down = cluster->downs;
			cluster->downs = peer;
		}
	}
	if (cluster->downs)
		cn_wake_post(cluster->loop, &cluster->chores);
}
