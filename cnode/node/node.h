/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node: the peers of one node. Who is connected, who is being dialled, which signal goes
 * to which connection, what a frame that came in means, and what happens when a
 * connection ends. Below it a connection (conn) knows bytes, and processes (proc) know
 * signals; here they meet.
 *
 * Peers and their table are guarded by one lock that is never held while user code runs.
 * Connections are made and ended by the holder of the lead only.
 *
 * Follows: erl_dist_protocol; dist_util.erl and net_kernel.erl (kernel) for the order of
 * things, erl_node_tables and dist.c (erts) for what a receiver checks.
 */
#ifndef CN_NODE_H
#define CN_NODE_H

#include "cnode/base/base.h"
#include "cnode/conn/conn.h"
#include "cnode/loop/loop.h"
#include "cnode/proc/proc.h"
#include "cnode/term/term.h"
#include "cnode/wire/wire.h"

struct cn_net;

#define CN_COOKIE_ROOM 256

struct cn_net_config {
	const char *name;                   /* "a@host", borrowed until the free */
	uint32_t creation;
	bool visible;
	bool long_names;
	const char *cookie;                 /* copied */
	const char *listen;                 /* address and port as in cnode_config, or NULL */
	enum cn_epmd_mode epmd;
	uint16_t epmd_port;
	uint32_t net_ticktime;              /* seconds */
	uint32_t net_setuptime;             /* seconds */
	uint64_t max_message;
	uint32_t max_connections;
	uint64_t out_high_water, out_limit;
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

/* How a spawn that this node asked for ended. */
struct cn_spawn_reply {
	cnode_ref request;
	cnode_name node;
	cnode_pid owner;                    /* who asked */
	cnode_pid pid;                      /* none: it failed */
	bool linked, monitored;
	const char *error;                  /* an atom: why it failed */
};

enum cn_net_step { CN_NET_RESOLVE, CN_NET_EPMD, CN_NET_TCP, CN_NET_HANDSHAKE };

/* What the room above does. Called by the holder of the lead without locks of this room. */
struct cn_net_ops {
	/* Answers with cn_net_spawn_reply exactly once, now or later. */
	void (*spawn_request)(void *ctx, const struct cn_spawn_request *request);
	/* The node can be reached (code 0), or why it cannot be; text is a sentence. Once. */
	void (*ready)(void *ctx, int code, const char *text);
};

int cn_net_new(const struct cn_net_config *config, struct cn_loop *loop, struct cn_procs *procs, struct cn_log *log,
	       const struct cn_net_ops *ops, void *ctx, struct cn_net **net);

#endif
