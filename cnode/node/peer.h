/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of the room: one peer, and what the files of this room share. */
#ifndef CN_NODE_PEER_H
#define CN_NODE_PEER_H

#include "cnode/node/node.h"
#include "compat/compat.h"

/* States of a peer. Only the holder of the lead changes them, under the lock. */
enum cn_peer_state {
	CN_PEER_IDLE,               /* no connection, none is being made */
	CN_PEER_DIALLING,           /* one is being made: by us, or the peer's own is awaited */
	CN_PEER_UP,
	CN_PEER_DOWN,               /* it has ended; links and monitors are being told */
};

/* A signal that waits for a connection, or (behind it) a sender that is to be resumed or told. */
struct cn_waiting {
	struct cn_waiting *next;
	cnode_name node;            /* it is for */
	uint64_t epoch;             /* of the connection that could not take it */
	int failed;                 /* why it could not: its sender has not heard of that; 0: nothing failed */
	struct cn_control control;  /* its texts are in `texts`, its opts are its own */
	cnode_term term;            /* its own */
	uint64_t bytes;
	bool suspended;             /* the sender got CN_SUSPEND */
	uint8_t texts[];
};

/* Somebody who wants to know how an attempt ends. */
struct cn_watch {
	struct cn_watch *next;
	cn_watch_fn *tell;
	void *ctx;
};

struct cn_peer {
	UT_hash_handle hh;          /* by name, in cluster->peers */
	struct cn_cluster *cluster;
	cnode_name name;            /* pinned */
	char *text;
	/* Under cluster->lock; written by the holder of the lead only, but for what waits. */
	enum cn_peer_state state;
	uint64_t epoch;             /* of the present connection, or of the next */
	uint64_t asked;             /* the epoch that was given to somebody last, who relies on hearing of its end */
	struct cn_conn *conn;       /* UP: the connection, one reference */
	struct cn_waiting *waiting, **waiting_last;
	uint64_t waiting_bytes;
	struct cn_buf paused;       /* cnode_pid of senders that the connection made pause */
	uint64_t plain;             /* the epoch in which it refused a spawn's extras */
	bool wanted;                /* somebody without the lead asked for a connection */
	bool posted;                /* it is in cluster->wanted */
	struct cn_peer *next_wanted;
	/* Holder of the lead only. */
	struct cn_conn *dialling;   /* our attempt, borrowed until its `down` or `up` */
	struct cn_conn *incoming;   /* the peer's own attempt, in its handshake: we wait for it and do not dial; borrowed */
	struct cn_watch *watches;
	bool keep;                  /* cnode_connect: try again */
	char *address;              /* "host:port" to dial without epmd; NULL: by epmd */
	uint32_t tries;
	struct cn_timer again;      /* the next try, or the end of waiting for the peer's own attempt */
	bool again_due;             /* that came while links were being told */
	int told;                   /* keep: why the last attempt failed, as it was logged; 0: nothing since it was up */
	uint64_t ended;             /* DOWN: the epoch that is over */
	bool ended_up;              /* and it was a connection, not an attempt to make one */
	bool announced;             /* the processes that monitor nodes have heard of the present (DOWN: the last) connection */
	bool visible;               /* that connection is */
	cnode_term reason;          /* DOWN: nodedown_reason of that, static */
	bool in_downs;              /* it is in cluster->downs */
	struct cn_peer *next_down;
};

struct cn_route {
	struct cn_route *next;
	char *peer;
	char *address;
};

struct cn_peer_cookie {
	struct cn_peer_cookie *next;
	char *peer;
	char *cookie;
};

struct cn_cluster {
	struct cn_cluster_config config;    /* its strings are our own */
	const struct cn_cluster_ops *ops;
	void *ctx;
	struct cn_loop *loop;
	struct cn_procs *procs;
	struct cn_log *log;
	struct cn_net *net;
	struct cn_registrar *registrar;
	cnode_name name;            /* own, pinned */
	uint16_t port;              /* we listen at */
	bool stopping;
	struct cn_peer *downs;      /* peers whose relations are being told; holder of the lead */
	struct cn_dynamic *dynamic; /* names given to peers, newest first; holder of the lead */
	struct cn_source *sources;  /* where nodes are looked for; holder of the lead */
	struct cn_task chores;      /* what other threads leave for the holder of the lead */

	struct cn_mutex lock;       /* guards the table, what peers say is under it, and what follows */
	struct cn_peer *peers;
	uint64_t epochs;            /* the last one given out */
	struct cn_peer *wanted;     /* peers to dial */
	struct cn_waiting *resumes; /* senders to resume, or to tell that theirs could not be sent after all */
	bool drained;               /* some connection has room again */
	struct cn_route *routes;
	struct cn_peer_cookie *cookies;
	struct cn_order *orders;    /* spawns that were asked for, by reference */
};

/* peers.c */
struct cn_peer *cn_peer_find(struct cn_cluster *cluster, cnode_name name);      /* under the lock */
int cn_peer_get(struct cn_cluster *cluster, cnode_name name, struct cn_peer **found);   /* makes it if need be; under the lock */
/* The epoch, for what is to hear of its end: the peer is not forgotten before. Under the lock. */
uint64_t cn_peer_epoch(struct cn_peer *peer);
void cn_peer_want(struct cn_peer *peer);                                /* under the lock */
/* The attempt to connect got on: the watches hear of it. Lead. */
void cn_peer_step(struct cn_peer *peer, int step, const char *text);
int cn_peer_watch(struct cn_peer *peer, cn_watch_fn *tell, void *ctx);
void cn_peer_up(struct cn_peer *peer, struct cn_conn *conn);            /* the connection is borrowed */
void cn_peer_ended(struct cn_peer *peer, int code, const char *text);
void cn_peer_begin(struct cn_peer *peer);                               /* dials an idle one */
void cn_peers_free(struct cn_cluster *cluster);
void cn_cluster_chores(struct cn_task *task);

void cn_peer_forget_idle(struct cn_peer *peer);
/* Between a half and all of it. */
uint64_t cn_jitter(uint64_t ns);
/* How long to wait behind that many failures before a peer that is to be kept is dialled again: ns, between 1 and 30 s. */
uint64_t cn_peer_backoff(uint32_t failures);

/* dynamic.c: names for peers that ask for one. Lead. */
struct cn_dynamic;
/* A name at the peer's host and its creation, for this connection; false: there is none to give. */
bool cn_dynamic_give(struct cn_cluster *cluster, const struct cn_conn *c, const char *host, struct cn_hello *answer);
void cn_dynamic_up(struct cn_cluster *cluster, const struct cn_conn *c);        /* no-op for those with names of their own */
void cn_dynamic_down(struct cn_cluster *cluster, const struct cn_conn *c);      /* the name is free; the same */
void cn_dynamic_free(struct cn_cluster *cluster);

/* discover.c */
struct cn_source {
	struct cn_source *next;
	struct cn_cluster *cluster;
	enum cn_source_kind { LIST, EPMD, DNS, SRV } kind;
	char *text;                 /* as it was given, for the log */
	char *rest;                 /* what stands behind the kind */
	char *at;                   /* EPMD: the entry that is being asked, in rest */
	struct cn_epmd_query epmd;
	struct cn_dns dns;
	struct cn_timer again;      /* the next round; runs between two of them */
	uint32_t failures;          /* rounds that failed, in a row */
	int told;                   /* the code that the log has heard of */
	int failed;                 /* of this round */
};
void cn_sources_stop(struct cn_cluster *cluster);

/* cluster.c: begins an attempt; the peer is DIALLING. It ends in cn_peer_up or cn_peer_ended. */
void cn_peer_dial(struct cn_peer *peer);
extern const struct cn_conn_ops cn_cluster_conn_ops;

/* route.c */
int cn_peer_send(struct cn_cluster *cluster, cnode_name node, uint64_t epoch, const struct cn_control *c,
		 cnode_term term, unsigned flags);
void cn_peer_waiting_send(struct cn_peer *peer);                        /* under the lock */
void cn_peer_waiting_drop(struct cn_peer *peer);                        /* under the lock */
/* What waited and was not sent: an answer to whoever waits for one, a line in the log for the rest. Lead, not under the lock. */
void cn_waiting_failed(struct cn_cluster *cluster, const struct cn_waiting *w);
void cn_waiting_free(struct cn_waiting *w);

/* dispatch.c: a message of the peer. 0, or why the connection is closed. */
int cn_peer_packet(struct cn_peer *peer, struct cn_packet *m, const char **why);

/* order.c: spawns that this node asked for. */
int cn_orders_answered(struct cn_cluster *cluster, struct cn_peer *peer, const struct cn_control *c);
void cn_orders_lost(struct cn_cluster *cluster, cnode_name node, uint64_t epoch, bool was_up);
void cn_orders_unable(struct cn_peer *peer);                            /* it is up, and takes no spawns */
void cn_orders_failed(struct cn_cluster *cluster, const cnode_ref *ref, int code);     /* it could not be sent */
void cn_orders_free(struct cn_cluster *cluster);

/* trace.c: CNODE_TRACE=signals and =spawn; nothing happens unless it asks for them. Any thread. */
void cn_trace_control(const struct cn_cluster *cluster, bool out, const char *peer, const struct cn_control *c,
		      cnode_term payload);

#endif
