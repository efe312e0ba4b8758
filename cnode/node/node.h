/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node: the cluster as one node sees it. Who is connected, who is being dialled, which
 * signal goes to which connection, what a message that came in means, and what happens
 * when a connection ends. Below it a connection (conn) knows bytes, and processes (proc)
 * know signals; here they meet.
 *
 * Peers and their table are guarded by one lock that is never held while another room is
 * called that could wait. Connections are made and ended by the holder of the lead only.
 *
 * Follows: erl_dist_protocol; dist_util.erl and net_kernel.erl (kernel) for the order of
 * things; erts/emulator/beam/dist.c for what a receiver checks.
 */
#ifndef CN_NODE_H
#define CN_NODE_H

#include "cnode/access/access.h"
#include "cnode/base/base.h"
#include "cnode/conn/conn.h"
#include "cnode/loop/loop.h"
#include "cnode/proc/proc.h"
#include "cnode/term/term.h"
#include "cnode/wire/wire.h"

struct cn_cluster;

/* Strings are copied. 0 and NULL are the defaults of cnode_config. */
struct cn_cluster_config {
	const char *name;                   /* "a@host" */
	bool networked;                     /* false: it has no name, and dials nobody */
	uint32_t creation;
	bool visible;
	const char *cookie;
	const char *listen;                 /* "addr", "addr:port", ":port"; NULL: all addresses, any port */
	enum cn_epmd_mode epmd;
	uint16_t epmd_port;                 /* has no default here */
	uint64_t tick_ns, setup_ns;
	uint64_t max_message;
	uint32_t max_connections;
	uint64_t out_high_water, out_limit;
	struct cn_guard *guard;             /* borrowed: says which names peers may reach */
};

/* A SPAWN_REQUEST of a peer; everything is borrowed. */
struct cn_spawn_request {
	const char *peer;                   /* the authenticated name */
	cnode_name peer_name;
	uint64_t epoch;                     /* of the connection it came by */
	cnode_ref request;                  /* ReqId, the monitor's reference too */
	cnode_pid from;
	cnode_pid leader;
	const char *module;                 /* UTF-8, terminated */
	const char *function;
	uint32_t arity;
	cnode_term options;                 /* a proper list, or what the peer sent in its place */
	cnode_term args;
};

/* The answer to one. */
struct cn_spawn_answer {
	cnode_name peer;
	uint64_t epoch;
	cnode_ref request;
	cnode_pid to;                       /* who asked */
	cnode_pid pid;                      /* the new process; none if error is set */
	bool linked, monitored;
	const char *error;                  /* an atom; NULL: it is started */
};

/* What the room above does. Called by the holder of the lead without locks of this room. */
struct cn_cluster_ops {
	/* Answers with cn_cluster_spawn_answer exactly once, now or later. */
	void (*spawn_request)(void *ctx, const struct cn_spawn_request *request);
	/* The node can be reached (0), or why it cannot be; text is a sentence. Once after cn_cluster_start. */
	void (*ready)(void *ctx, int code, const char *text);
};

/* *cluster is yours; loop, procs, log, ops are borrowed. 0, CNODE_ENOMEM, CNODE_EBADNAME. Lead. */
int cn_cluster_new(const struct cn_cluster_config *config, struct cn_loop *loop, struct cn_procs *procs,
		   struct cn_log *log, const struct cn_cluster_ops *ops, void *ctx, struct cn_cluster **cluster);
/* After cn_cluster_leave is through, or if it never started. Takes NULL. Lead. */
void cn_cluster_free(struct cn_cluster *cluster);

/*
 * Listens and registers with epmd; ops->ready tells how that went. *text (static) says what
 * is wrong when it fails at once: CNODE_EBADARG (listen), CNODE_EADDRINUSE, CNODE_EACCES … Lead.
 */
int cn_cluster_start(struct cn_cluster *cluster, const char **text);
/* Takes no more peers, dials no more, writes what is queued and closes, for at most `ns`. Lead. */
void cn_cluster_leave(struct cn_cluster *cluster, uint64_t ns);
/* True when no connection is left. Lead. */
bool cn_cluster_is_alone(const struct cn_cluster *cluster);
/* What its connections share, for corks. */
struct cn_net *cn_cluster_net(const struct cn_cluster *cluster);
/* True if the peer is known: connected, being dialled or kept. Any thread. */
bool cn_cluster_knows(struct cn_cluster *cluster, const char *peer);
/* True while there is a connection with it. Any thread. */
bool cn_cluster_is_up(struct cn_cluster *cluster, cnode_name node);
/* The port it listens at; 0 before cn_cluster_start. */
uint16_t cn_cluster_port(const struct cn_cluster *cluster);

/* cnode_node_set_cookie, cnode_node_route. Any thread. 0, CNODE_EBADNAME, CNODE_EBADARG, CNODE_ENOMEM. */
int cn_cluster_set_cookie(struct cn_cluster *cluster, const char *peer, const char *cookie);
int cn_cluster_route(struct cn_cluster *cluster, const char *peer, const char *address);

/*
 * Told how an attempt to connect gets on (code > 0: so many of the steps before the handshake are
 * done: the host's address, the port, TCP) and, last and once, how it ended. Lead; does not block.
 */
typedef void cn_watch_fn(void *ctx, int code, const char *text);

/*
 * Connects to a peer, "b@host" or "b@host:port", unless it is connected. keep: stays with it,
 * trying again. tell (NULL: nobody) hears the outcome, perhaps before this returns. Lead.
 * 0, CNODE_EBADNAME, CNODE_ENOMEM (tell is not called then).
 */
int cn_cluster_connect(struct cn_cluster *cluster, const char *peer, bool keep, cn_watch_fn *tell, void *ctx);
/*
 * Looks for nodes there (cnode_discover), and connects to them, until cn_cluster_leave. Lead.
 * 0, CNODE_EBADARG, CNODE_ENOMEM, CNODE_ESHUTDOWN.
 */
int cn_cluster_discover(struct cn_cluster *cluster, const char *source);
/* 0, or CNODE_EBADARG and what is wanted in its place (static). Any thread. */
int cn_discover_check(const char *source, const char **why);
/* Ends the connection, and does not keep it any more. CNODE_ENOENT. Lead. */
int cn_cluster_disconnect(struct cn_cluster *cluster, const char *peer);
/* Ends the connection if there is one; a peer that is kept is connected again later. Lead. */
void cn_cluster_drop(struct cn_cluster *cluster, cnode_name peer);
/* The same for all visible ones. Lead. */
void cn_cluster_drop_visible(struct cn_cluster *cluster);

/* One connected peer. */
struct cn_peer_info {
	char name[CNODE_NAME_SIZE];
	struct cn_conn_info link;
	struct cn_conn_counts counts;
	uint64_t age_ns;
	uint64_t connection_id;             /* the epoch of its connection */
};
/* out_high_water of the config, with its default. */
uint64_t cn_cluster_busy_limit(const struct cn_cluster *cluster);
/* The connected peers, at most `max`; returns how many there are. Any thread. */
size_t cn_cluster_peers(struct cn_cluster *cluster, struct cn_peer_info *info, size_t max);

/* Sends the answer to a request of a peer; dropped if its connection is over. Any thread, as cn_procs_ops.send. */
void cn_cluster_spawn_answer(struct cn_cluster *cluster, const struct cn_spawn_answer *answer);

/*
 * Asks `node` to spawn, in the name of the living process `owner` of ours: sends SPAWN_REQUEST, connecting
 * if need be. The answer comes as a message to owner, {spawn_reply, Ref, ok, Pid} or
 * {spawn_reply, Ref, error, Reason} (notsup, noconnection and what the peer says), with
 * link and monitor (by Ref) set up before it. Any thread, no lock held.
 * 0, CNODE_EBADNAME, CNODE_EBADTERM, CNODE_ENOMEM.
 */
struct cn_spawn_order {
	cnode_pid owner;
	cnode_pid leader;                   /* group leader of the new process */
	cnode_name node;
	const char *module, *function;
	cnode_term args;                    /* a proper list */
	bool link, monitor;
	cnode_term options;                 /* a proper list of more options; zeroed: none */
	/*
	 * Likewise, but only C nodes have them: what carries on from the spawning process must
	 * not make a spawn fail elsewhere. A peer that answers badopt is asked again without
	 * them, and not given them any more.
	 */
	cnode_term extras;
	/*
	 * Somebody waits for the answer: its reason is connection_lost where there was a connection, and
	 * a process that starts after he gave up (cn_cluster_spawn_abandon) is ended.
	 */
	bool waited;
};
int cn_cluster_spawn(struct cn_cluster *cluster, const struct cn_spawn_order *order, cnode_ref *ref);
/* Nobody waits for the answer any more: a process that is started all the same is ended or left alone as spawn_request_abandon does. Any thread. */
void cn_cluster_spawn_abandon(struct cn_cluster *cluster, cnode_ref ref);

/* What cn_procs_ops declares; ctx is the cluster. */
int cn_cluster_send(void *cluster, const struct cn_signal *sig, unsigned flags);
int cn_cluster_epoch(void *cluster, cnode_name node, uint64_t *epoch);
int cn_cluster_want(void *cluster, cnode_name node);
bool cn_cluster_has_alias(void *cluster, cnode_name node);

#endif
