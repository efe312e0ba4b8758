/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Spawns that this node asked others for. An order waits for its SPAWN_REPLY, which comes
 * before any other signal of the new process, or for the end of the connection.
 * Follows: erl_dist_protocol (SPAWN_REQUEST), erlang:spawn_request/5.
 */
#include "cnode/node/peer.h"

struct cn_order {
	UT_hash_handle hh;          /* by ref */
	cnode_ref ref;
	cnode_pid owner;
	cnode_name node;
	uint64_t epoch;
	bool link, monitor, waited;
	bool abandoned;
	struct again *again;        /* NULL: it was asked for without extras */
	struct cn_message *lost;    /* what is said when memory lacks for the answer: that the connection is lost, as it then is */
	struct cn_order *next;      /* while it is being ended */
};

/* What is needed to ask once more, without the extras. */
struct again {
	cnode_pid leader;
	cnode_term args, options;   /* its own */
	uint32_t arity;
	uint16_t module, function;  /* sizes of the texts */
	char texts[];
};

/* Without the padding behind the words. */
#define REF_KEY (offsetof(cnode_ref, id) + sizeof((cnode_ref *)0)->id)

/* {spawn_reply, Ref, error, Reason}. */
static int failure(const struct cn_order *order, const char *error, cnode_term *message)
{
	return cnode_format(message, "{spawn_reply,~r,error,~a}", order->ref, error);
}

/* {spawn_reply, Ref, ok | error, Result} to the owner. CNODE_ENOMEM: it has heard that the connection is lost, which is now to be. */
static int tell(struct cn_cluster *cluster, struct cn_order *order, cnode_pid pid, const char *error)
{
	cnode_term message;
	int rc = error ? failure(order, error, &message) : cnode_format(&message, "{spawn_reply,~r,ok,~p}", order->ref, pid);
	if (rc == 0) {
		struct cn_target to = { .pid = order->owner };
		rc = cn_procs_send(cluster->procs, &to, message, 0);
		cnode_term_drop(message);
	}
	if (rc != 0) {
		cn_procs_give(cluster->procs, order->owner, order->lost);
		order->lost = NULL;
	}
	return rc;
}

/* Prepares the answer that needs no memory. */
static int foresee_loss(struct cn_order *order)
{
	cnode_term message;
	int rc = failure(order, order->waited ? "connection_lost" : "noconnection", &message);
	if (rc != 0)
		return rc;
	order->lost = cn_message_new(message);
	cnode_term_drop(message);
	return order->lost ? 0 : CNODE_ENOMEM;
}

/* Takes the order for this node (0: for any) out; NULL: unknown. */
static struct cn_order *take(struct cn_cluster *cluster, const cnode_ref *ref, cnode_name node)
{
	struct cn_order *order = NULL;
	cn_mutex_lock(&cluster->lock);
	if (cluster->orders)
		HASH_FIND(hh, cluster->orders, ref, REF_KEY, order);
	if (order && node && order->node != node)
		order = NULL;
	if (order)
		HASH_DEL(cluster->orders, order);
	cn_mutex_unlock(&cluster->lock);
	return order;
}

static void again_free(struct again *again)
{
	if (!again)
		return;
	cnode_term_drop(again->args);
	cnode_term_drop(again->options);
	cn_free(again);
}

static void order_free(struct cn_order *order)
{
	if (order) {
		again_free(order->again);
		cn_message_discard(order->lost);
	}
	cn_free(order);
}

/* The list of options as it goes out; NULL extras: without them. */
static int options_of(const struct cn_spawn_order *o, bool extras, cnode_term *options)
{
	const cnode_term lists[] = { o->options, extras ? o->extras : (cnode_term){ 0 } };
	cnode_builder *b = cnode_builder_new();
	if (!b)
		return CNODE_ENOMEM;
	cnode_build_list(b);
	if (o->link)
		cnode_build_atom(b, "link");
	if (o->monitor)
		cnode_build_atom(b, "monitor");
	int rc = 0;
	for (size_t i = 0; i < CN_ARRAY_SIZE(lists); i++) {
		if (cn_term_is_none(lists[i]))
			continue;
		cnode_reader r = cnode_read(lists[i]);
		for (size_t n; (n = cnode_read_list(&r)) > 0;)
			while (n--)
				cnode_build_term(b, cnode_read_term(&r));
		if (r.error)
			rc = CNODE_EBADARG;
	}
	cnode_build_list_end(b);
	int built = cnode_builder_term(b, options);
	cnode_builder_free(b);
	if (built == 0 && rc != 0)
		cnode_term_drop(*options);
	return rc != 0 ? rc : built;
}

static int again_new(const struct cn_spawn_order *o, uint32_t arity, struct again **made)
{
	size_t module = strlen(o->module), function = strlen(o->function);
	struct again *again = cn_calloc(1, sizeof *again + module + function);
	if (!again)
		return CNODE_ENOMEM;
	again->leader = o->leader;
	again->arity = arity;
	again->module = (uint16_t)module;
	again->function = (uint16_t)function;
	memcpy(again->texts, o->module, module);
	memcpy(again->texts + module, o->function, function);
	int rc = cnode_term_keep(o->args, &again->args);
	if (rc == 0)
		rc = options_of(o, false, &again->options);
	if (rc != 0) {
		again_free(again);
		return rc;
	}
	*made = again;
	return 0;
}

/* Did the peer refuse the extras on this connection? */
static bool is_plain(struct cn_cluster *cluster, cnode_name node)
{
	cn_mutex_lock(&cluster->lock);
	const struct cn_peer *peer = cn_peer_find(cluster, node);
	bool plain = peer && peer->plain == peer->epoch;
	cn_mutex_unlock(&cluster->lock);
	return plain;
}

int cn_cluster_spawn(struct cn_cluster *cluster, const struct cn_spawn_order *o, cnode_ref *ref)
{
	cnode_reader r = cnode_read(o->args);
	size_t arity = cnode_read_list(&r);
	size_t module = strlen(o->module), function = strlen(o->function);
	if (r.error || arity > 255 || module > CN_ATOM_BYTES || function > CN_ATOM_BYTES)
		return CNODE_EBADARG;
	struct cn_order *order = cn_calloc(1, sizeof *order);
	if (!order)
		return CNODE_ENOMEM;
	*order = (struct cn_order){ .ref = cn_procs_make_ref(cluster->procs), .owner = o->owner, .node = o->node,
				    .link = o->link, .monitor = o->monitor, .waited = o->waited };
	*ref = order->ref;
	struct cn_control c = {
		.signal = CN_SIGNAL_SPAWN_REQUEST,
		.from = o->owner,
		.leader = o->leader,
		.ref = order->ref,
		.module = { (const uint8_t *)o->module, (uint16_t)module },
		.function = { (const uint8_t *)o->function, (uint16_t)function },
		.arity = (uint32_t)arity,
	};
	bool extras = !cn_term_is_none(o->extras) && !is_plain(cluster, o->node);
	int rc = foresee_loss(order);
	if (rc == 0)
		rc = options_of(o, extras, &c.opts);
	if (rc == 0 && extras)
		rc = again_new(o, (uint32_t)arity, &order->again);
	bool added = false, unable = false;
	uint64_t epoch = 0;
	struct cn_peer *peer;
	if (rc == 0) {
		cn_mutex_lock(&cluster->lock);
		rc = cn_peer_get(cluster, o->node, &peer);
		if (rc == 0) {
			unable = peer->state == CN_PEER_UP && !(cn_conn_info(peer->conn)->flags & CN_DFLAG_SPAWN);
			order->epoch = peer->epoch;
		}
		if (rc == 0 && !unable) {
			/* From here on it may be answered, or the connection end, at any time. */
			added = true;
			HASH_ADD(hh, cluster->orders, ref, REF_KEY, order);
			rc = added ? 0 : CNODE_ENOMEM;
			if (added)
				epoch = cn_peer_epoch(peer);
		}
		cn_mutex_unlock(&cluster->lock);
	}
	if (added) {
		rc = cn_peer_send(cluster, o->node, epoch, &c, o->args, 0);
		/* Unless it could not be sent, it waits, or was answered already. */
		order = rc < 0 ? take(cluster, ref, 0) : NULL;
	} else if (rc == 0) {
		tell(cluster, order, (cnode_pid){ 0 }, "notsup");
	}
	order_free(order);
	cnode_term_drop(c.opts);
	return rc < 0 ? rc : 0;
}

/* The peer does not know the extras: it is asked once more, under the same reference. False: the answer stands. */
static bool ask_again(struct cn_cluster *cluster, struct cn_peer *peer, struct cn_order *order, const char *error)
{
	struct again *again = order->again;
	if (!again || order->abandoned || strcmp(error, "badopt") != 0)
		return false;
	order->again = NULL;
	struct cn_control c = {
		.signal = CN_SIGNAL_SPAWN_REQUEST,
		.from = order->owner,
		.leader = again->leader,
		.ref = order->ref,
		.module = { (const uint8_t *)again->texts, again->module },
		.function = { (const uint8_t *)again->texts + again->module, again->function },
		.arity = again->arity,
		.opts = again->options,
	};
	bool added = true;
	cnode_ref ref = order->ref;
	cn_mutex_lock(&cluster->lock);
	peer->plain = peer->epoch;
	HASH_ADD(hh, cluster->orders, ref, REF_KEY, order);
	cn_mutex_unlock(&cluster->lock);
	bool sent = added && cn_peer_send(cluster, peer->name, peer->epoch, &c, again->args, 0) >= 0;
	again_free(again);
	/* Else the caller of this still has the order. */
	return sent || (added && take(cluster, &ref, 0) != order);
}

/* What a relation with the new process is made by: as if it had linked to us itself. */
static void link_owner(struct cn_cluster *cluster, struct cn_peer *peer, const struct cn_order *order, cnode_pid pid)
{
	struct cn_signal sig = { .kind = CN_SIG_LINK, .from = pid, .to = order->owner, .node = peer->name,
				 .epoch = peer->epoch };
	/* An owner that is gone answers EXIT noproc, so that the new process ends too. */
	if (cn_procs_deliver(cluster->procs, &sig) != 0)
		cn_conn_kill(peer->conn, CNODE_ENOMEM, "out of memory for a link to a process that was spawned there");
}

int cn_orders_answered(struct cn_cluster *cluster, struct cn_peer *peer, const struct cn_control *c)
{
	/* The words of a reference that are not used may hold anything: they are part of the key. */
	cnode_ref key = { 0 };
	key.node = c->ref.node;
	key.creation = c->ref.creation;
	key.words = c->ref.words;
	for (uint32_t i = 0; i < key.words && i < 5; i++)
		key.id[i] = c->ref.id[i];
	/* References are no secrets: who was not asked has nothing to answer. */
	struct cn_order *order = take(cluster, &key, peer->name);
	if (!order)
		return 0;
	int rc = 0;
	if (cnode_pid_is_none(c->from)) {
		char error[CN_ATOM_BYTES + 1];
		memcpy(error, c->name.text, c->name.size);
		error[c->name.size] = 0;
		if (ask_again(cluster, peer, order, error))
			return 0;
		if (!order->abandoned)
			rc = tell(cluster, order, c->from, error);
	} else {
		if (c->flags & CN_SPAWN_LINKED)
			link_owner(cluster, peer, order, c->from);
		if (c->flags & CN_SPAWN_MONITORED)
			rc = cn_procs_adopt_monitor(cluster->procs, order->owner, c->from, &order->ref, peer->epoch);
		if (order->abandoned && (order->waited || (c->flags & CN_SPAWN_LINKED))) {
			struct cn_control exit = { .signal = CN_SIGNAL_EXIT2, .from = order->owner, .to = c->from };
			static const uint8_t reason[] = { CN_SMALL_ATOM_UTF8, 9, 'a', 'b', 'a', 'n', 'd', 'o', 'n', 'e', 'd' };
			rc = cn_peer_send(cluster, peer->name, peer->epoch, &exit, cn_term_static(reason, sizeof reason), 0);
		} else if (!order->abandoned) {
			int told = tell(cluster, order, c->from, NULL);
			rc = rc < 0 ? rc : told;
		}
	}
	order_free(order);
	return rc < 0 ? rc : 0;
}

/* Ends the orders for a node of an epoch up to this; `lost` is for those who want to be told of a loss. */
static void end_orders(struct cn_cluster *cluster, cnode_name node, uint64_t epoch, const char *error, const char *lost)
{
	struct cn_order *order, *next, *ended = NULL;
	cn_mutex_lock(&cluster->lock);
	HASH_ITER(hh, cluster->orders, order, next) {
		if (order->node == node && order->epoch <= epoch) {
			HASH_DEL(cluster->orders, order);
			order->next = ended;
			ended = order;
		}
	}
	cn_mutex_unlock(&cluster->lock);
	for (; ended; ended = next) {
		next = ended->next;
		if (!ended->abandoned)
			tell(cluster, ended, (cnode_pid){ 0 }, ended->waited ? lost : error);
		order_free(ended);
	}
}

void cn_orders_lost(struct cn_cluster *cluster, cnode_name node, uint64_t epoch, bool was_up)
{
	end_orders(cluster, node, epoch, "noconnection", was_up ? "connection_lost" : "noconnection");
}

void cn_orders_unable(struct cn_peer *peer)
{
	end_orders(peer->cluster, peer->name, peer->epoch, "notsup", "notsup");
}

void cn_orders_failed(struct cn_cluster *cluster, const cnode_ref *ref, int code)
{
	struct cn_order *order = take(cluster, ref, 0);
	/* Who waits in this library tells it from a reason of the peer's. */
	if (order && !order->abandoned)
		tell(cluster, order, (cnode_pid){ 0 },
		     code == CNODE_ENOMEM ? "system_limit" : order->waited ? "undelivered" : cnode_error_atom(code));
	order_free(order);
}

void cn_cluster_spawn_abandon(struct cn_cluster *cluster, cnode_ref ref)
{
	struct cn_order *order = NULL;
	cn_mutex_lock(&cluster->lock);
	if (cluster->orders)
		HASH_FIND(hh, cluster->orders, &ref, REF_KEY, order);
	if (order)
		order->abandoned = true;
	cn_mutex_unlock(&cluster->lock);
}

void cn_orders_free(struct cn_cluster *cluster)
{
	struct cn_order *order, *next;
	HASH_ITER(hh, cluster->orders, order, next) {
		HASH_DEL(cluster->orders, order);
		order_free(order);
	}
}

/* ---- the other side: answering ---- */

void cn_cluster_spawn_answer(struct cn_cluster *cluster, const struct cn_spawn_answer *a)
{
	struct cn_control c = {
		.signal = CN_SIGNAL_SPAWN_REPLY,
		.ref = a->request,
		.to = a->to,
		.from = a->error ? (cnode_pid){ 0 } : a->pid,
		.flags = a->error ? 0 : (a->linked ? CN_SPAWN_LINKED : 0) | (a->monitored ? CN_SPAWN_MONITORED : 0),
	};
	if (a->error)
		c.name = (struct cn_atom_text){ (const uint8_t *)a->error, (uint16_t)strlen(a->error) };
	/* What cannot be queued closes its connection; the requester hears noconnection then. */
	cn_peer_send(cluster, a->peer, a->epoch, &c, (cnode_term){ 0 }, 0);
}
