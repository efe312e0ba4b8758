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
	bool link, monitor;
	bool abandoned;
	struct cn_order *next;      /* while it is being ended */
};

/* Without the padding behind the words. */
#define REF_KEY (offsetof(cnode_ref, id) + sizeof((cnode_ref *)0)->id)

/* {spawn_reply, Ref, ok | error, Result} to the owner. */
static void tell(struct cn_cluster *cluster, const struct cn_order *order, cnode_pid pid, const char *error)
{
	cnode_term message;
	int rc = error ? cnode_format(&message, "{spawn_reply,~r,error,~a}", order->ref, error)
		       : cnode_format(&message, "{spawn_reply,~r,ok,~p}", order->ref, pid);
	if (rc == 0) {
		struct cn_target to = { .pid = order->owner };
		rc = cn_procs_send(cluster->procs, &to, message, 0);
		cnode_term_drop(message);
	}
	if (rc != 0)
		cn_log_line(cluster->log, CNODE_LOG_ERROR, "the answer to a spawn request is lost: %s", cnode_strerror(rc));
}

int cn_cluster_spawn(struct cn_cluster *cluster, const struct cn_spawn_order *o, cnode_ref *ref)
{
	cnode_term options;
	int rc = cnode_format(&options, o->link ? (o->monitor ? "[link,monitor]" : "[link]")
						: (o->monitor ? "[monitor]" : "[]"));
	if (rc != 0)
		return rc;
	cnode_reader r = cnode_read(o->args);
	size_t arity = cnode_read_list(&r);
	size_t module = strlen(o->module), function = strlen(o->function);
	struct cn_order *order = cn_calloc(1, sizeof *order);
	if (r.error || arity > 255 || module > CN_ATOM_BYTES || function > CN_ATOM_BYTES)
		rc = CNODE_EBADARG;
	else if (!order)
		rc = CNODE_ENOMEM;
	if (rc != 0)
		goto done;
	*order = (struct cn_order){ .ref = cn_procs_make_ref(cluster->procs), .owner = o->owner, .node = o->node,
				    .link = o->link, .monitor = o->monitor };
	*ref = order->ref;
	struct cn_control c = {
		.signal = CN_SIGNAL_SPAWN_REQUEST,
		.from = o->owner,
		.leader = o->leader,
		.ref = order->ref,
		.module = { (const uint8_t *)o->module, (uint16_t)module },
		.function = { (const uint8_t *)o->function, (uint16_t)function },
		.arity = (uint32_t)arity,
		.opts = options,
	};
	struct cn_peer *peer;
	bool added = true;
	cn_mutex_lock(&cluster->lock);
	rc = cn_peer_get(cluster, o->node, &peer);
	if (rc == 0) {
		order->epoch = peer->epoch;
		HASH_ADD(hh, cluster->orders, ref, REF_KEY, order);
		rc = added ? 0 : CNODE_ENOMEM;
	}
	bool unable = rc == 0 && peer->state == CN_PEER_UP && !(cn_conn_info(peer->conn)->flags & CN_DFLAG_SPAWN);
	cn_mutex_unlock(&cluster->lock);
	if (rc != 0)
		goto done;
	if (!unable)
		rc = cn_peer_send(cluster, o->node, order->epoch, &c, o->args, 0);
	if (rc < 0 || unable) {
		cn_mutex_lock(&cluster->lock);
		HASH_DEL(cluster->orders, order);
		cn_mutex_unlock(&cluster->lock);
		if (unable)
			tell(cluster, order, (cnode_pid){ 0 }, "notsup");
	} else {
		order = NULL;       /* it waits, or was answered already */
		rc = 0;
	}
done:
	cn_free(order);
	cnode_term_drop(options);
	return rc;
}

/* Takes the order out; NULL: unknown. */
static struct cn_order *take(struct cn_cluster *cluster, const cnode_ref *ref)
{
	struct cn_order *order = NULL;
	cn_mutex_lock(&cluster->lock);
	if (cluster->orders)
		HASH_FIND(hh, cluster->orders, ref, REF_KEY, order);
	if (order)
		HASH_DEL(cluster->orders, order);
	cn_mutex_unlock(&cluster->lock);
	return order;
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
	struct cn_order *order = take(cluster, &key);
	if (!order)
		return 0;
	int rc = 0;
	if (cnode_pid_is_none(c->from)) {
		char error[CN_ATOM_BYTES + 1];
		memcpy(error, c->name.text, c->name.size);
		error[c->name.size] = 0;
		if (!order->abandoned)
			tell(cluster, order, c->from, error);
	} else {
		if (c->flags & CN_SPAWN_LINKED)
			link_owner(cluster, peer, order, c->from);
		if (c->flags & CN_SPAWN_MONITORED)
			rc = cn_procs_adopt_monitor(cluster->procs, order->owner, c->from, &order->ref, peer->epoch);
		if (order->abandoned && (c->flags & CN_SPAWN_LINKED)) {
			struct cn_control exit = { .signal = CN_SIGNAL_EXIT2, .from = order->owner, .to = c->from };
			static const uint8_t reason[] = { CN_SMALL_ATOM_UTF8, 9, 'a', 'b', 'a', 'n', 'd', 'o', 'n', 'e', 'd' };
			rc = cn_peer_send(cluster, peer->name, peer->epoch, &exit, cn_term_static(reason, sizeof reason), 0);
		} else if (!order->abandoned) {
			tell(cluster, order, c->from, NULL);
		}
	}
	cn_free(order);
	return rc < 0 ? rc : 0;
}

/* Ends the orders for a node of an epoch up to this. */
static void end_orders(struct cn_cluster *cluster, cnode_name node, uint64_t epoch, const char *error)
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
			tell(cluster, ended, (cnode_pid){ 0 }, error);
		cn_free(ended);
	}
}

void cn_orders_lost(struct cn_cluster *cluster, cnode_name node, uint64_t epoch)
{
	end_orders(cluster, node, epoch, "noconnection");
}

void cn_orders_unable(struct cn_peer *peer)
{
	end_orders(peer->cluster, peer->name, peer->epoch, "notsup");
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
		cn_free(order);
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
