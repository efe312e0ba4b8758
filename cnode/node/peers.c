/* SPDX-License-Identifier: Apache-2.0 */
/* The table of peers: finding them, their connections' ups and downs. */
#include "cnode/node/peer.h"

#define DOWN_BUDGET 20000u          /* relations ended in one round, so that ticks go on */
#define BACKOFF_MIN (1 * CN_NS_PER_S)
#define BACKOFF_MAX (30 * CN_NS_PER_S)

/* ---- the table; under the lock ---- */

struct cn_peer *cn_peer_find(struct cn_net *net, cnode_name name)
{
	struct cn_peer *peer;
	HASH_FIND(hh, net->peers, &name, sizeof name, peer);
	return peer;
}

static void again(struct cn_timer *timer);

int cn_peer_get(struct cn_net *net, cnode_name name, struct cn_peer **found)
{
	*found = cn_peer_find(net, name);
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
	peer->net = net;
	peer->name = name;
	peer->epoch = ++net->epochs;
	peer->waiting_last = &peer->waiting;
	cn_timer_init(&peer->again, net->loop, again);
	bool added = true;
#undef uthash_nonfatal_oom
#define uthash_nonfatal_oom(element) (added = false)
	HASH_ADD(hh, net->peers, name, sizeof peer->name, peer);
	if (!added) {
		cn_free(peer->text);
		cn_free(peer);
		cn_name_unpin(name);
		return CNODE_ENOMEM;
	}
	*found = peer;
	return 0;
}

static bool is_idle(const struct cn_peer *peer)
{
	return peer->state == CN_PEER_IDLE && !peer->waiting && !peer->keep && !peer->posted &&
	       !peer->dial && !peer->watches && !peer->in_downs && !peer->again.running;
}

/* Forgets a peer that nothing is known of. Lead, under the lock. */
static void forget(struct cn_peer *peer)
{
	HASH_DEL(peer->net->peers, peer);
	cn_name_unpin(peer->name);
	cn_free(peer->address);
	cn_free(peer->text);
	cn_free(peer);
}

void cn_peers_free(struct cn_net *net)
{
	struct cn_peer *peer, *next;
	HASH_ITER(hh, net->peers, peer, next) {
		cn_timer_stop(&peer->again);
		cn_peer_waiting_drop(peer);
		forget(peer);
	}
}

/* ---- asking for a connection, from any thread ---- */

/* Under the lock. */
void cn_peer_want(struct cn_peer *peer)
{
	struct cn_net *net = peer->net;
	peer->wanted = true;
	if (!peer->posted) {
		peer->posted = true;
		peer->next_wanted = net->wanted;
		net->wanted = peer;
	}
	cn_wake_post(net->loop, &net->chores);
}

uint64_t cn_net_epoch(void *ctx, cnode_name node)
{
	struct cn_net *net = ctx;
	struct cn_peer *peer;
	uint64_t epoch;
	cn_mutex_lock(&net->lock);
	/* Without memory for the peer its relations are of an epoch that ends at the next chance. */
	if (cn_peer_get(net, node, &peer) == 0) {
		epoch = peer->epoch;
	} else {
		epoch = ++net->epochs;
	}
	cn_mutex_unlock(&net->lock);
	return epoch;
}

int cn_net_connect(void *ctx, cnode_name node)
{
	struct cn_net *net = ctx;
	struct cn_peer *peer;
	cn_mutex_lock(&net->lock);
	int rc = cn_peer_get(net, node, &peer);
	if (rc == 0 && (peer->state == CN_PEER_IDLE || peer->state == CN_PEER_DOWN))
		cn_peer_want(peer);
	cn_mutex_unlock(&net->lock);
	return rc;
}

bool cn_net_has_alias(void *ctx, cnode_name node)
{
	struct cn_net *net = ctx;
	cn_mutex_lock(&net->lock);
	struct cn_peer *peer = cn_peer_find(net, node);
	bool has = peer && peer->state == CN_PEER_UP && (peer->flags & CN_DFLAG_ALIAS);
	cn_mutex_unlock(&net->lock);
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

int cn_peer_watch(struct cn_peer *peer, cn_net_watch_fn *tell, void *ctx)
{
	struct cn_watch *w = cn_malloc(sizeof *w);
	if (!w)
		return CNODE_ENOMEM;
	*w = (struct cn_watch){ peer->watches, tell, ctx };
	peer->watches = w;
	return 0;
}

static uint64_t jitter(uint64_t around)
{
	uint32_t random = 0;
	/* Without randomness the moment is just more predictable. */
	(void)cn_random(&random, sizeof random);
	return around / 2 + around * (random % 1000) / 1000;
}

static void set_state(struct cn_peer *peer, enum cn_peer_state state)
{
	cn_mutex_lock(&peer->net->lock);
	peer->state = state;
	cn_mutex_unlock(&peer->net->lock);
}

/* All relations of the ended connection are told. */
static void down_done(struct cn_peer *peer)
{
	struct cn_net *net = peer->net;
	cn_mutex_lock(&net->lock);
	peer->state = CN_PEER_IDLE;
	peer->ended = 0;
	bool dial = (peer->waiting || peer->wanted) && !net->stopping;
	peer->wanted = false;
	if (dial)
		peer->state = CN_PEER_DIALLING;
	bool gone = !dial && is_idle(peer);
	if (gone)
		forget(peer);
	cn_mutex_unlock(&net->lock);
	if (dial)
		cn_peer_dial(peer);
}

/* Goes on with telling; true when it is done. */
static bool down_slice(struct cn_peer *peer, uint32_t budget)
{
	if (!cn_procs_nodedown(peer->net->procs, peer->name, peer->ended, "noconnection", budget))
		return false;
	cn_net_spawns_lost(peer->net, peer->name, peer->ended);
	return true;
}

/*
 * The connection, or the attempt to make one, has ended: `code` and `text` say why. Links
 * and monitors are told in slices; whoever wants to connect meanwhile waits for that.
 */
void cn_peer_ended(struct cn_peer *peer, int code, const char *text)
{
	struct cn_net *net = peer->net;
	cn_mutex_lock(&net->lock);
	bool was_up = peer->state == CN_PEER_UP;
	struct cn_conn *conn = peer->conn;
	peer->conn = NULL;
	peer->state = CN_PEER_DOWN;
	peer->ended = peer->epoch;
	peer->epoch = ++net->epochs;
	if (was_up)
		net->connections--;
	else
		cn_peer_waiting_drop(peer);     /* they were for the attempt that failed */
	cn_mutex_unlock(&net->lock);
	cn_conn_unref(conn);

	peer->error = code;
	tell_watches(peer, code, text);
	if (peer->keep && !net->stopping) {
		uint64_t wait = was_up ? BACKOFF_MIN : BACKOFF_MIN << (peer->tries < 5 ? peer->tries : 5);
		peer->tries = was_up ? 0 : peer->tries + 1;
		cn_timer_set(&peer->again, cn_loop_now(net->loop) + jitter(wait < BACKOFF_MAX ? wait : BACKOFF_MAX));
	}
	if (down_slice(peer, DOWN_BUDGET)) {
		down_done(peer);
	} else if (!peer->in_downs) {
		peer->in_downs = true;
		peer->next_down = net->downs;
		net->downs = peer;
		cn_wake_post(net->loop, &net->chores);
	}
}

/* A connection is up; `conn` is taken. */
void cn_peer_up(struct cn_peer *peer, struct cn_conn *conn, const struct cn_conn_up *up)
{
	struct cn_net *net = peer->net;
	/* Nothing of the new connection comes before the last word on the old one. */
	while (peer->state == CN_PEER_DOWN && !down_slice(peer, UINT32_MAX))
		continue;
	cn_timer_stop(&peer->again);
	cn_mutex_lock(&net->lock);
	peer->ended = 0;
	peer->wanted = false;
	peer->conn = conn;
	peer->peer_flags = up->peer_flags;
	peer->flags = up->flags;
	peer->creation = up->creation;
	peer->up_since = cn_loop_now(net->loop);
	peer->tries = 0;
	peer->error = 0;
	net->connections++;
	cn_peer_waiting_send(peer);
	peer->state = CN_PEER_UP;
	cn_mutex_unlock(&net->lock);
	cn_log_line(net->log, CNODE_LOG_INFO, "%s: connected (%s, OTP %d%s)", peer->text,
		    up->flags & CN_DFLAG_PUBLISHED ? "visible" : "hidden",
		    cn_otp_release_of(up->peer_flags)->release,
		    cn_otp_release_of(up->peer_flags)->release == 29 ? " or later" : "");
	tell_watches(peer, 0, "connected");
}

/* The next try of a peer that is to be kept, or nothing came of what we waited for. */
static void again(struct cn_timer *timer)
{
	struct cn_peer *peer = CN_CONTAINER(timer, struct cn_peer, again);
	if (peer->state == CN_PEER_IDLE) {
		set_state(peer, CN_PEER_DIALLING);
		cn_peer_dial(peer);
	} else if (peer->state == CN_PEER_DIALLING && !peer->dial) {
		cn_peer_ended(peer, CNODE_ETIMEOUT, "its own attempt to connect, which was to come instead of ours, did not come");
	} else if (peer->state == CN_PEER_DOWN) {
		cn_mutex_lock(&peer->net->lock);
		peer->wanted = true;
		cn_mutex_unlock(&peer->net->lock);
	}
}

/* What other threads left for the holder of the lead. */
void cn_net_chores(struct cn_task *task)
{
	struct cn_net *net = CN_CONTAINER(task, struct cn_net, chores);
	struct cn_peer *peer;

	cn_mutex_lock(&net->lock);
	struct cn_peer *wanted = net->wanted;
	net->wanted = NULL;
	struct cn_waiting *resumes = net->resumes;
	net->resumes = NULL;
	cn_mutex_unlock(&net->lock);

	while (resumes) {
		struct cn_waiting *w = resumes;
		resumes = w->next;
		cn_procs_resume(net->procs, w->control.from);
		cn_waiting_free(w);
	}
	while (wanted) {
		peer = wanted;
		wanted = peer->next_wanted;
		cn_mutex_lock(&net->lock);
		peer->posted = false;
		bool dial = peer->state == CN_PEER_IDLE && peer->wanted;
		if (dial) {
			peer->state = CN_PEER_DIALLING;
			peer->wanted = false;
		}
		cn_mutex_unlock(&net->lock);
		if (dial)
			cn_peer_dial(peer);
	}
	struct cn_peer *downs = net->downs;
	net->downs = NULL;
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
			peer->next_down = net->downs;
			net->downs = peer;
		}
	}
	if (net->downs)
		cn_wake_post(net->loop, &net->chores);
}
