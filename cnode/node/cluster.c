/* SPDX-License-Identifier: Apache-2.0 */
/* Making a cluster's node, joining and leaving, and what connections ask on their way up. */
#include "cnode/node/peer.h"

#include <stdio.h>
#include <stdlib.h>

#define AWAIT_PEER (7 * CN_NS_PER_S)    /* after `nok`: how long the peer's own attempt may take */

/* ---- dialling ---- */

static struct cn_route *route_of(struct cn_cluster *cluster, const char *peer)
{
	struct cn_route *r = cluster->routes;
	while (r && strcmp(r->peer, peer) != 0)
		r = r->next;
	return r;
}

void cn_peer_dial(struct cn_peer *peer)
{
	struct cn_cluster *cluster = peer->cluster;
	if (cluster->stopping) {
		cn_peer_ended(peer, CNODE_ESHUTDOWN, "this node is shutting down");
		return;
	}
	if (!cluster->config.networked) {
		cn_peer_ended(peer, CNODE_ENOCONNECTION, "this node has no name, and so no network");
		return;
	}
	if (peer->incoming) {
		/* As net_kernel does: an attempt of ours now would make the peer end its own. */
		cn_timer_set(&peer->again, cn_loop_now(cluster->loop) + AWAIT_PEER);
		return;
	}
	char host[CNODE_NAME_SIZE] = "";
	struct cn_dial dial = { .peer = peer->text, .epmd_port = cluster->config.epmd_port, .user = peer };
	cn_mutex_lock(&cluster->lock);
	struct cn_route *route = route_of(cluster, peer->text);
	const char *address = peer->address ? peer->address : route ? route->address : NULL;
	int rc = address ? cn_address_split(address, host, sizeof host, &dial.port) : 0;
	cn_mutex_unlock(&cluster->lock);
	if (*host)
		dial.host = host;
	if (rc == 0)
		rc = cn_net_dial(cluster->net, &dial, &peer->dialling);
	if (rc != 0) {
		peer->dialling = NULL;
		cn_peer_ended(peer, rc, cnode_strerror(rc));
	}
}

/* ---- what connections ask (conn's ops) ---- */

/* Somebody says that he is this node; nothing is proved yet. */
static enum cn_status judge(struct cn_cluster *cluster, struct cn_conn *c, const char *name)
{
	if (cluster->stopping || strcmp(name, cluster->config.name) == 0)
		return CN_STATUS_NOT_ALLOWED;
	cnode_name known;
	struct cn_peer *peer;
	if (cnode_name_of(name, &known) != 0)
		return CN_STATUS_NOT_ALLOWED;
	cn_mutex_lock(&cluster->lock);
	int rc = cn_peer_get(cluster, known, &peer);
	cn_mutex_unlock(&cluster->lock);
	if (rc != 0)
		return CN_STATUS_NOT_ALLOWED;
	if (peer->state == CN_PEER_UP)
		return CN_MUTANT(no_alive_question) ? CN_STATUS_OK : CN_STATUS_ALIVE;
	/*
	 * Both dial at once: the attempt of the greater name goes on, whatever stage the other has
	 * reached, or both sides could end the attempt that the other relies on.
	 */
	if (peer->dialling && cn_node_name_wins(cluster->config.name, name) != CN_MUTANT(tie_wrong_winner))
		return CN_STATUS_NOK;
	if (!peer->incoming) {
		peer->incoming = c;
		cn_conn_set_user(c, peer);
	}
	if (!peer->dialling)
		return CN_STATUS_OK;
	struct cn_conn *ours = peer->dialling;
	peer->dialling = NULL;
	cn_conn_set_user(ours, NULL);
	cn_conn_close(ours, CNODE_EEXIST, "the peer dials at the same time, and its attempt goes on");
	cn_timer_set(&peer->again, cn_loop_now(cluster->loop) + AWAIT_PEER);
	return CN_STATUS_OK_SIMULTANEOUS;
}

static void on_hello(void *ctx, struct cn_conn *c, const struct cn_handshake *hs, struct cn_hello *answer)
{
	struct cn_cluster *cluster = ctx;
	if (!hs->name_me) {
		answer->status = judge(cluster, c, hs->peer);
		return;
	}
	answer->status = !cluster->stopping && cn_dynamic_give(cluster, c, hs->peer, answer) ? CN_STATUS_NAMED : CN_STATUS_NOT_ALLOWED;
}

static bool on_alive(void *ctx, struct cn_conn *c)
{
	(void)ctx;
	struct cn_peer *peer = cn_conn_user(c);
	return peer->state != CN_PEER_UP;
}

static const char *on_cookie(void *ctx, struct cn_conn *c, const char *name)
{
	struct cn_cluster *cluster = ctx;
	(void)c;
	cn_mutex_lock(&cluster->lock);
	struct cn_peer_cookie *own = cluster->cookies;
	while (own && strcmp(own->peer, name) != 0)
		own = own->next;
	const char *cookie = own ? own->cookie : cluster->config.cookie;
	cn_mutex_unlock(&cluster->lock);
	return cookie;
}

/* The peer has proved who it is, and has forgotten its old connection. */
static void on_replace(void *ctx, struct cn_conn *c)
{
	struct cn_cluster *cluster = ctx;
	cnode_name name;
	if (cnode_name_of(cn_conn_peer(c), &name) == 0) {
		cn_mutex_lock(&cluster->lock);
		struct cn_peer *peer = cn_peer_find(cluster, name);
		struct cn_conn *old = peer && peer->state == CN_PEER_UP ? cn_conn_ref(peer->conn) : NULL;
		cn_mutex_unlock(&cluster->lock);
		if (old) {
			cn_conn_set_user(old, NULL);
			cn_conn_close(old, CNODE_ENOCONNECTION, "the peer connects anew");
			cn_peer_ended(peer, CNODE_ENOCONNECTION, "the peer connects anew");
			cn_conn_unref(old);
		}
	}
	cn_conn_replaced(c);
}

static void on_step(void *ctx, struct cn_conn *c, int step, const char *text)
{
	struct cn_peer *peer = cn_conn_user(c);
	(void)ctx;
	if (peer && peer->dialling == c)
		cn_peer_step(peer, step, text);
}

static int on_up(void *ctx, struct cn_conn *c)
{
	struct cn_cluster *cluster = ctx;
	struct cn_peer *peer;
	if (cluster->stopping)
		return CNODE_ESHUTDOWN;
	cn_mutex_lock(&cluster->lock);
	int rc = cn_peer_get(cluster, cn_conn_info(c)->name, &peer);
	cn_mutex_unlock(&cluster->lock);
	if (rc != 0)
		return rc;
	if (peer->incoming == c)
		peer->incoming = NULL;
	if (peer->state == CN_PEER_UP) {
		cn_conn_set_user(c, NULL);
		return CNODE_EEXIST;        /* another connection was faster */
	}
	struct cn_conn *other = peer->dialling != c ? peer->dialling : NULL;
	peer->dialling = NULL;
	if (other) {
		cn_conn_set_user(other, NULL);
		cn_conn_close(other, CNODE_EEXIST, "the peer's own connection was faster");
	}
	cn_conn_set_user(c, peer);
	cn_dynamic_up(cluster, c);
	cn_peer_up(peer, c);
	return 0;
}

static void on_frame(void *ctx, struct cn_conn *c, struct cn_packet *m)
{
	(void)ctx;
	struct cn_peer *peer = cn_conn_user(c);
	const char *why = NULL;
	if (!peer || peer->conn != c)
		return;                     /* it was replaced; what it still says is of the past */
	int rc = cn_peer_packet(peer, m, &why);
	if (rc != 0)
		cn_conn_close(c, rc, why);
}

static void on_drained(void *ctx, struct cn_conn *c)
{
	struct cn_cluster *cluster = ctx;
	(void)c;
	cn_mutex_lock(&cluster->lock);
	cluster->drained = true;
	cn_mutex_unlock(&cluster->lock);
	cn_wake_post(cluster->loop, &cluster->chores);
}

static void on_down(void *ctx, struct cn_conn *c, int error, const char *text)
{
	struct cn_cluster *cluster = ctx;
	struct cn_peer *peer = cn_conn_user(c);
	cn_dynamic_down(cluster, c);
	if (!peer)
		return;                     /* a stranger, or one whose place another connection of the peer took */
	if (peer->conn == c) {
		cn_peer_ended(peer, error, text);
		return;
	}
	if (peer->incoming == c) {
		/* Nothing came of the peer's attempt: whoever waited for it gets one of ours. */
		peer->incoming = NULL;
		if (peer->state == CN_PEER_DIALLING && !peer->dialling && !cluster->stopping) {
			cn_timer_stop(&peer->again);
			cn_peer_dial(peer);
		} else {
			cn_peer_forget_idle(peer);
		}
		return;
	}
	if (peer->dialling != c)
		return;
	peer->dialling = NULL;
	if (cn_conn_refusal(c) == CN_STATUS_NOK && !cluster->stopping) {
		/* It dials us at the same time, and its attempt is the one that counts. */
		cn_timer_set(&peer->again, cn_loop_now(cluster->loop) + AWAIT_PEER);
		return;
	}
	cn_peer_ended(peer, error, text);
}

const struct cn_conn_ops cn_cluster_conn_ops = {
	.hello = on_hello,
	.alive = on_alive,
	.cookie = on_cookie,
	.replace = on_replace,
	.step = on_step,
	.up = on_up,
	.frame = on_frame,
	.drained = on_drained,
	.down = on_down,
};

/* ---- making and ending ---- */

static char *copy_or_null(const char *s)
{
	return s ? cn_strdup(s) : NULL;
}

static void config_free(struct cn_cluster_config *config)
{
	if (config->cookie)
		cn_secure_clear((char *)(uintptr_t)config->cookie, strlen(config->cookie));
	cn_free((char *)(uintptr_t)config->cookie);
	cn_free((char *)(uintptr_t)config->listen);
	cn_free((char *)(uintptr_t)config->name);
}

int cn_cluster_new(const struct cn_cluster_config *config, struct cn_loop *loop, struct cn_procs *procs,
		   struct cn_log *log, const struct cn_cluster_ops *ops, void *ctx, struct cn_cluster **made)
{
	struct cn_cluster *cluster = cn_calloc(1, sizeof *cluster);
	if (!cluster)
		return CNODE_ENOMEM;
	cluster->config = *config;
	cluster->config.name = cn_strdup(config->name);
	cluster->config.cookie = cn_strdup(config->cookie);
	cluster->config.listen = copy_or_null(config->listen);
	if (cluster->config.out_high_water == 0)
		cluster->config.out_high_water = CN_NET_OUT_HIGH;
	if (cluster->config.out_limit == 0)
		cluster->config.out_limit = CN_NET_OUT_LIMIT;
	cluster->loop = loop;
	cluster->procs = procs;
	cluster->log = log;
	cluster->ops = ops;
	cluster->ctx = ctx;
	cn_mutex_init(&cluster->lock);
	cn_task_init(&cluster->chores, cn_cluster_chores);
	int rc = CNODE_ENOMEM;
	if (!cluster->config.name || !cluster->config.cookie || (config->listen && !cluster->config.listen))
		goto fail;
	rc = cnode_name_of(config->name, &cluster->name);
	if (rc != 0 || (rc = cn_name_pin(cluster->name)) != 0)
		goto fail;
	struct cn_net_config net = {
		.loop = loop,
		.log = log,
		.name = config->name,
		.flags = config->visible || CN_MUTANT(always_published) ? CN_DFLAGS_OFFER : CN_DFLAGS_OFFER & ~CN_DFLAG_PUBLISHED,
		.creation = config->creation,
		.setuptime = config->setup_ns,
		.ticktime = config->tick_ns,
		.max_message = config->max_message,
		.out_high = config->out_high_water,
		.out_limit = config->out_limit,
		.max_connections = config->max_connections,
		.ops = &cn_cluster_conn_ops,
		.context = cluster,
	};
	rc = cn_net_new(&net, &cluster->net);
	if (rc != 0) {
		cn_name_unpin(cluster->name);
		goto fail;
	}
	*made = cluster;
	return 0;

fail:
	cn_mutex_fini(&cluster->lock);
	config_free(&cluster->config);
	cn_free(cluster);
	return rc;
}

void cn_cluster_free(struct cn_cluster *cluster)
{
	if (!cluster)
		return;
	cn_sources_stop(cluster);
	cn_registrar_free(cluster->registrar);
	cn_peers_free(cluster);
	cn_dynamic_free(cluster);
	cn_orders_free(cluster);
	cn_net_free(cluster->net);
	while (cluster->resumes) {
		struct cn_waiting *w = cluster->resumes;
		cluster->resumes = w->next;
		cn_waiting_free(w);
	}
	while (cluster->routes) {
		struct cn_route *r = cluster->routes;
		cluster->routes = r->next;
		cn_free(r->peer);
		cn_free(r->address);
		cn_free(r);
	}
	while (cluster->cookies) {
		struct cn_peer_cookie *c = cluster->cookies;
		cluster->cookies = c->next;
		cn_secure_clear(c->cookie, strlen(c->cookie));
		cn_free(c->peer);
		cn_free(c->cookie);
		cn_free(c);
	}
	cn_name_unpin(cluster->name);
	cn_mutex_fini(&cluster->lock);
	config_free(&cluster->config);
	cn_free(cluster);
}

static void on_registered(void *ctx, int rc, uint32_t creation, const char *text)
{
	/* epmd proposes a creation; ours was drawn when the node was made, and pids of it exist. */
	(void)creation;
	struct cn_cluster *cluster = ctx;
	cluster->ops->ready(cluster->ctx, rc, text);
}

static int listen_address(struct cn_cluster *cluster, struct cn_address *address, const char **text)
{
	char host[256] = "";
	uint16_t port = 0;
	*address = cn_address_any(6, 0);
	if (!cluster->config.listen)
		return 0;
	*text = "the address to listen at is not ADDRESS, ADDRESS:PORT, [V6]:PORT or :PORT";
	if (cn_address_split(cluster->config.listen, host, sizeof host, &port) != 0)
		return CNODE_EBADARG;
	address->port = port;
	if (*host && !cn_address_parse(host, port, address))
		return CNODE_EBADARG;
	return 0;
}

int cn_cluster_start(struct cn_cluster *cluster, const char **text)
{
	CN_LEAD(cluster->loop);
	struct cn_address address, bound;
	*text = "";
	int rc = listen_address(cluster, &address, text);
	if (rc != 0)
		return rc;
	rc = cn_net_listen(cluster->net, &address, &bound);
	/* A machine without IPv6 has IPv4. */
	if (rc == CNODE_ENOTSUP && address.family == 6 && !cluster->config.listen) {
		address = cn_address_any(4, 0);
		rc = cn_net_listen(cluster->net, &address, &bound);
	}
	if (rc != 0) {
		*text = rc == CNODE_EADDRINUSE ? "the port to listen at is in use: choose another with listen"
			: rc == CNODE_EACCES   ? "there is no permission to listen at that address or port"
			: rc == CNODE_EHOST    ? "the address to listen at is none of this host"
			: rc == CNODE_EFDS || rc == CNODE_ENOMEM ? cnode_strerror(rc)
					       : "it cannot listen at that address";
		return rc;
	}
	cluster->port = bound.port;
	const char *at = strchr(cluster->config.name, '@');
	char *alive = cn_strndup(cluster->config.name, (size_t)(at - cluster->config.name));
	if (!alive)
		return CNODE_ENOMEM;
	struct cn_registrar_config registrar = {
		.loop = cluster->loop,
		.log = cluster->log,
		.mode = cluster->config.epmd,
		.epmd_port = cluster->config.epmd_port,
		.name = alive,
		.port = bound.port,
		.visible = cluster->config.visible,
		.registered = on_registered,
		.context = cluster,
	};
	rc = cn_registrar_new(&registrar, &cluster->registrar);
	cn_free(alive);
	if (rc != 0)
		*text = "the registration with epmd cannot begin";
	return rc;
}

void cn_cluster_leave(struct cn_cluster *cluster, uint64_t ns)
{
	CN_LEAD(cluster->loop);
	cluster->stopping = true;
	cn_sources_stop(cluster);
	cn_registrar_free(cluster->registrar);
	cluster->registrar = NULL;
	cn_net_listen_stop(cluster->net);
	cn_net_finish(cluster->net, ns);
}

bool cn_cluster_is_alone(const struct cn_cluster *cluster)
{
	return cn_net_count(cluster->net) == 0;
}

struct cn_net *cn_cluster_net(const struct cn_cluster *cluster)
{
	return cluster->net;
}

bool cn_cluster_knows(struct cn_cluster *cluster, const char *text)
{
	cnode_name name;
	if (cnode_name_of(text, &name) != 0)
		return false;
	cn_mutex_lock(&cluster->lock);
	bool knows = cn_peer_find(cluster, name) != NULL;
	cn_mutex_unlock(&cluster->lock);
	return knows;
}

uint16_t cn_cluster_port(const struct cn_cluster *cluster)
{
	return cluster->port;
}

/* ---- cookies, routes, peers ---- */

int cn_cluster_set_cookie(struct cn_cluster *cluster, const char *peer, const char *cookie)
{
	if (!cn_node_name_valid(peer, strlen(peer)))
		return CNODE_EBADNAME;
	struct cn_peer_cookie *c = cn_calloc(1, sizeof *c);
	char *name = cn_strdup(peer), *text = cn_strdup(cookie);
	if (!c || !name || !text) {
		cn_free(text);
		cn_free(name);
		cn_free(c);
		return CNODE_ENOMEM;
	}
	c->peer = name;
	c->cookie = text;
	/* In front of an older one for the same peer, which a handshake may be reading. */
	cn_mutex_lock(&cluster->lock);
	c->next = cluster->cookies;
	cluster->cookies = c;
	cn_mutex_unlock(&cluster->lock);
	return 0;
}

int cn_cluster_route(struct cn_cluster *cluster, const char *peer, const char *address)
{
	char host[CNODE_NAME_SIZE];
	uint16_t port = 0;
	if (!cn_node_name_valid(peer, strlen(peer)))
		return CNODE_EBADNAME;
	if (cn_address_split(address, host, sizeof host, &port) != 0 || port == 0)
		return CNODE_EBADARG;
	struct cn_route *r = cn_calloc(1, sizeof *r);
	char *name = cn_strdup(peer), *text = cn_strdup(address);
	if (!r || !name || !text) {
		cn_free(text);
		cn_free(name);
		cn_free(r);
		return CNODE_ENOMEM;
	}
	r->peer = name;
	r->address = text;
	cn_mutex_lock(&cluster->lock);
	r->next = cluster->routes;
	cluster->routes = r;
	cn_mutex_unlock(&cluster->lock);
	return 0;
}

/* "b@host:port" is a name and where to dial it. */
static int split_peer(const char *peer, char name[CNODE_NAME_SIZE], char **address)
{
	size_t size = strlen(peer);
	const char *at = strchr(peer, '@');
	*address = NULL;
	if (!at || size >= CNODE_NAME_SIZE)
		return CNODE_EBADNAME;
	memcpy(name, peer, size + 1);
	const char *colon = strrchr(at, ':');
	char *end;
	if (colon && strchr(at, ':') == colon && colon[1]) {
		unsigned long port = strtoul(colon + 1, &end, 10);
		if (*end || port == 0 || port > 65535)
			return CNODE_EBADNAME;
		name[colon - peer] = 0;
		*address = cn_strdup(at + 1);
		if (!*address)
			return CNODE_ENOMEM;
	}
	if (!cn_node_name_valid(name, strlen(name))) {
		cn_free(*address);
		return CNODE_EBADNAME;
	}
	return 0;
}

int cn_cluster_connect(struct cn_cluster *cluster, const char *text, bool keep, cn_watch_fn *tell, void *ctx)
{
	CN_LEAD(cluster->loop);
	char name[CNODE_NAME_SIZE];
	char *address;
	int rc = split_peer(text, name, &address);
	if (rc != 0)
		return rc;
	cnode_name known;
	struct cn_peer *peer = NULL;
	rc = strcmp(name, cluster->config.name) == 0 ? CNODE_EBADNAME : cnode_name_of(name, &known);
	if (rc == 0) {
		cn_mutex_lock(&cluster->lock);
		rc = cn_peer_get(cluster, known, &peer);
		cn_mutex_unlock(&cluster->lock);
	}
	if (rc == 0 && tell && peer->state != CN_PEER_UP)
		rc = cn_peer_watch(peer, tell, ctx);
	if (rc != 0) {
		cn_free(address);
		if (peer)
			cn_peer_forget_idle(peer);
		return rc;
	}
	if (address) {
		cn_free(peer->address);
		peer->address = address;
	}
	peer->keep = peer->keep || keep;
	if (peer->state == CN_PEER_UP && tell)
		tell(ctx, 0, "connected");
	else if (peer->state == CN_PEER_IDLE)
		cn_peer_begin(peer);
	else if (peer->state == CN_PEER_DOWN)
		peer->again_due = true;
	return 0;
}

void cn_cluster_drop(struct cn_cluster *cluster, cnode_name name)
{
	CN_LEAD(cluster->loop);
	cn_mutex_lock(&cluster->lock);
	struct cn_peer *peer = cn_peer_find(cluster, name);
	cn_mutex_unlock(&cluster->lock);
	if (peer && peer->state == CN_PEER_UP)
		cn_conn_close(peer->conn, 0, "this node disconnects");
}

void cn_cluster_drop_visible(struct cn_cluster *cluster)
{
	CN_LEAD(cluster->loop);
	/* Others may add peers meanwhile; only the lead takes any away. */
	cn_mutex_lock(&cluster->lock);
	struct cn_peer *peer = cluster->peers, *next;
	cn_mutex_unlock(&cluster->lock);
	for (; peer; peer = next) {
		cn_mutex_lock(&cluster->lock);
		next = peer->hh.next;
		cn_mutex_unlock(&cluster->lock);
		if (peer->state == CN_PEER_UP && cn_conn_info(peer->conn)->visible)
			cn_conn_close(peer->conn, 0, "this node disconnects");
	}
}

int cn_cluster_disconnect(struct cn_cluster *cluster, const char *text)
{
	CN_LEAD(cluster->loop);
	cnode_name name;
	if (cnode_name_of(text, &name) != 0)
		return CNODE_ENOENT;
	cn_mutex_lock(&cluster->lock);
	struct cn_peer *peer = cn_peer_find(cluster, name);
	cn_mutex_unlock(&cluster->lock);
	if (!peer)
		return CNODE_ENOENT;
	peer->keep = false;
	cn_timer_stop(&peer->again);
	if (CN_MUTANT(disconnect_ignored))
		return 0;
	if (peer->state == CN_PEER_UP)
		cn_conn_close(peer->conn, 0, "this node disconnects");
	else if (peer->dialling)
		cn_conn_close(peer->dialling, CNODE_ENOCONNECTION, "the attempt was called off");
	else if (peer->state == CN_PEER_DIALLING)
		/* The peer's own attempt was waited for, by the timer that has been stopped. */
		cn_peer_ended(peer, CNODE_ENOCONNECTION, "the attempt was called off");
	else
		cn_peer_forget_idle(peer);
	return 0;
}

bool cn_cluster_is_up(struct cn_cluster *cluster, cnode_name node)
{
	cn_mutex_lock(&cluster->lock);
	struct cn_peer *peer = cn_peer_find(cluster, node);
	bool up = peer && peer->state == CN_PEER_UP;
	cn_mutex_unlock(&cluster->lock);
	return up;
}

uint64_t cn_cluster_busy_limit(const struct cn_cluster *cluster)
{
	return cluster->config.out_high_water;
}

size_t cn_cluster_peers(struct cn_cluster *cluster, struct cn_peer_info *info, size_t max)
{
	size_t count = 0;
	uint64_t now = cn_loop_clock(cluster->loop);
	cn_mutex_lock(&cluster->lock);
	for (struct cn_peer *peer = cluster->peers; peer; peer = peer->hh.next) {
		if (peer->state != CN_PEER_UP)
			continue;
		if (count < max) {
			struct cn_peer_info *i = &info[count];
			snprintf(i->name, sizeof i->name, "%s", peer->text);
			i->link = *cn_conn_info(peer->conn);
			cn_conn_counts(peer->conn, &i->counts);
			i->connection_id = peer->epoch;
			i->age_ns = now > i->link.since ? now - i->link.since : 0;
		}
		count++;
	}
	cn_mutex_unlock(&cluster->lock);
	return count;
}
