/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of the room: one peer, and what the files of this room share. */
#ifndef CN_NODE_PEER_H
#define CN_NODE_PEER_H

#include <uthash.h>

#include "cnode/node/node.h"
#include "compat/compat.h"

/* States of a peer. Only the holder of the lead changes them, under the lock. */
enum cn_peer_state {
	CN_PEER_IDLE,               /* no connection, none is being made */
	CN_PEER_DIALLING,           /* one is being made: by us, or the peer's own is awaited */
	CN_PEER_UP,
	CN_PEER_DOWN,               /* it has ended; links and monitors are being told */
};

/* A signal that waits for a connection, or (behind it) a sender that is to be resumed. */
struct cn_waiting {
	struct cn_waiting *next;
	struct cn_control control;  /* its texts are in `texts`, its opts are its own */
	cnode_term term;            /* its own */
	uint64_t bytes;
	bool suspended;             /* the sender got CN_SUSPEND */
	uint8_t texts[];
};

/* Somebody who wants to know how an attempt ends. */
struct cn_watch {
	struct cn_watch *next;
	cn_net_watch_fn *tell;
	void *ctx;
};

struct cn_peer {
	UT_hash_handle hh;          /* by name, in net->peers */
	struct cn_net *net;
	cnode_name name;            /* pinned */
	char *text;
	/* Under net->lock; written by the holder of the lead only. */
	enum cn_peer_state state;
	uint64_t epoch;             /* of the present connection, or of the next */
	struct cn_conn *conn;       /* UP: the connection, one reference */
	struct cn_waiting *waiting, **waiting_last;
	uint64_t waiting_bytes;
	bool wanted;                /* somebody without the lead asked for a connection */
	bool posted;                /* it is in net->wanted */
	struct cn_peer *next_wanted;
	/* Holder of the lead only. */
	struct cn_dial *dial;       /* our attempt */
	struct cn_watch *watches;
	bool keep;                  /* cnode_connect: try again */
	char *address;              /* keep or route: host:port without epmd */
	uint32_t tries;
	struct cn_timer again;      /* the next try, or the end of waiting for the peer's own attempt */
	int error;                  /* how the last attempt ended */
	uint64_t ended;             /* DOWN: the epoch that is over */
	bool in_downs;              /* it is in net->downs */
	struct cn_peer *next_down;
	uint64_t up_since;
	uint64_t peer_flags, flags;
	uint32_t creation;
};

struct cn_route {
	struct cn_route *next;
	cnode_name peer;
	char *address;
};

struct cn_peer_cookie {
	struct cn_peer_cookie *next;
	cnode_name peer;
	char *cookie;
};

struct cn_net {
	struct cn_net_config config;
	const struct cn_net_ops *ops;
	void *ctx;
	struct cn_loop *loop;
	struct cn_procs *procs;
	struct cn_log *log;
	cnode_name name;            /* own, pinned */
	char *text;
	uint64_t offer;             /* our flags */

	struct cn_mutex lock;       /* guards the table and what peers say is under it */
	struct cn_peer *peers;
	uint64_t epochs;            /* the last one given out */
	struct cn_peer *wanted;     /* peers to dial, for the holder of the lead */
	struct cn_waiting *resumes; /* senders to resume, for the holder of the lead */
	struct cn_route *routes;
	struct cn_peer_cookie *cookies;
	struct cn_spawn_wait *spawns;
	struct cn_peer *downs;      /* peers whose relations are being told; holder of the lead */
	struct cn_task chores;      /* what other threads leave for the holder of the lead */
	bool stopping;
	uint32_t connections;       /* UP */
};

/* peers.c */
struct cn_peer *cn_peer_find(struct cn_net *net, cnode_name name);      /* under the lock */
int cn_peer_get(struct cn_net *net, cnode_name name, struct cn_peer **found);   /* makes it if need be; under the lock */
void cn_peer_want(struct cn_peer *peer);                                /* under the lock */
int cn_peer_watch(struct cn_peer *peer, cn_net_watch_fn *tell, void *ctx);
void cn_peer_up(struct cn_peer *peer, struct cn_conn *conn, const struct cn_conn_up *up);
void cn_peer_ended(struct cn_peer *peer, int code, const char *text);
void cn_peers_free(struct cn_net *net);
void cn_net_chores(struct cn_task *task);
uint64_t cn_net_epoch(void *ctx, cnode_name node);
int cn_net_connect(void *ctx, cnode_name node);
bool cn_net_has_alias(void *ctx, cnode_name node);

/* dial.c: begins an attempt; the peer is DIALLING. It ends in cn_peer_up or cn_peer_ended. */
void cn_peer_dial(struct cn_peer *peer);

/* route.c */
int cn_net_send(void *ctx, const struct cn_signal *sig, unsigned flags);
void cn_peer_waiting_send(struct cn_peer *peer);                        /* under the lock */
void cn_peer_waiting_drop(struct cn_peer *peer);                        /* under the lock */
void cn_waiting_free(struct cn_waiting *w);

/* dispatch.c: a message of the peer. 0, or why the connection is closed. */
int cn_peer_packet(struct cn_peer *peer, struct cn_packet *m, const char **why);

/* requests.c: spawns that this node asked for. */
int cn_net_spawn_answered(struct cn_net *net, struct cn_peer *peer, const struct cn_control *c);
void cn_net_spawns_lost(struct cn_net *net, cnode_name node, uint64_t epoch);

#endif
