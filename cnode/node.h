/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nodes: making one, joining a cluster, leaving it.
 *
 *     cnode_config cfg = CNODE_CONFIG_INIT;
 *     cfg.name = "c1@127.0.0.1";
 *     cnode_node_new, cnode_factory_add …, cnode_node_run, cnode_node_free
 *
 * A program may have any number of nodes. A node starts its own threads (signals are
 * blocked in them) unless threads is CNODE_THREADS_NONE, then the program drives it with
 * cnode_node_fd and cnode_node_step. After fork() the child may not use a node of its
 * parent at all, not even to free it: fork first or exec at once.
 *
 * CNODE_TRACE in the environment makes a node log one line, an Erlang term, for each of what it
 * names: handshake, frames, signals, spawn, separated by commas, or all. Cookies and what they
 * could be guessed from are never in it.
 *
 * Functions may be called from any thread but where they say otherwise. Since 0.1.
 * Follows: erl_dist_protocol, net_kernel, erl (-name, -setcookie, -hidden, …).
 */
#ifndef CNODE_NODE_H
#define CNODE_NODE_H

#include "cnode/global.h"
#include "cnode/log.h"
#include "cnode/process.h"

#ifdef __cplusplus
extern "C" {
#endif

#define CNODE_THREADS_AUTO 0            /* cores + 1, growing up to max_threads while callbacks block */
#define CNODE_THREADS_NONE (-1)

enum cnode_epmd_mode {
	CNODE_EPMD_AUTO = 0,            /* the one that runs; else start epmd -daemon; else our own */
	CNODE_EPMD_EXTERNAL,            /* one runs already, or starting the node fails */
	CNODE_EPMD_EMBEDDED,            /* our own, in this process */
	CNODE_EPMD_NONE,                /* none: peers use routes */
};

/*
 * How long a thread that waits for the network goes on looking before it sleeps, as long as the last waits were that short (erl +sbwt): a
 * quick peer is answered in half the time, for CPU time of one processor meanwhile. Never on a single processor, or while callbacks
 * need them.
 */
enum cnode_busy_wait {
	CNODE_BUSY_WAIT_SHORT = 0,      /* 50 us */
	CNODE_BUSY_WAIT_NONE,
	CNODE_BUSY_WAIT_LONG            /* 300 us: for peers on other machines */
};

/* What to make a node of. Set with CNODE_CONFIG_INIT; strings are copied; 0 and NULL are the defaults named. */
typedef struct cnode_config {
	size_t size;
	const char *name;               /* "a@host"; "a": the host's name is added; NULL: nonode@nohost, no network */
	bool long_names;                /* as erl -name (the host has a dot); default as -sname */
	const char *cookie;             /* NULL: cookie_file */
	const char *cookie_file;        /* NULL: ~/.erlang.cookie, then $XDG_CONFIG_HOME/erlang/.erlang.cookie; with neither the first is
					   made, as erl does; "-": a line of standard input */
	bool hidden;                    /* erl -hidden: no part in global, not in nodes() of the others; default visible */
	const char *listen;             /* "addr", "addr:port", "[v6]:port", ":port"; NULL: all, any port */
	enum cnode_epmd_mode epmd;
	uint16_t epmd_port;             /* 0: $ERL_EPMD_PORT (CNODE_EEPMD if that is no port), then 4369 */
	int threads;                    /* CNODE_THREADS_…, or how many to begin with */
	int max_threads;                /* 0: 64 */
	uint32_t net_ticktime;          /* seconds; 0: 60 */
	uint32_t net_setuptime;         /* seconds for a whole handshake; 0: 7 */
	uint32_t shutdown_timeout;      /* seconds that processes get to end; 0: 5 */
	uint64_t max_message;           /* bytes; 0: 256 MiB */
	uint32_t max_connections;       /* 0: 1,024 */
	uint32_t max_processes;         /* 0: 1,000,000 */
	uint64_t max_mailbox;           /* bytes of one mailbox; 0: 1 GiB; then the process dies with mailbox_overflow */
	uint64_t out_high_water;        /* bytes queued to one peer before senders are suspended; 0: 1 MiB */
	uint64_t out_limit;             /* bytes queued before a slow peer is cut; 0: 64 MiB */
	bool old_ids;                   /* keep pids to 15+13 bits: an OTP 23 node may see them */
	enum cnode_log_level log_level; /* 0: notice */
	cnode_log_fn *log;              /* NULL: stderr */
	void *log_context;
	cnode_output_fn *output;        /* what processes write to the node's `user` (cnode_printf); NULL: stdout */
	void *output_context;
	bool stop_at_eof;               /* the node stops when standard input is at its end: whoever held its other end is gone. What
					   arrives there is thrown away. Since 0.2 */
	/*
	 * Keys of a process's environment that a spawn from it elsewhere carries on, separated by commas,
	 * '*' stands for any text ("TRACE_*,REGION"); NULL: none. Since 0.2.
	 */
	const char *expose_env_remote_spawn;
	enum cnode_overlap overlap;     /* when others have lost each other (cnode/global.h). Since 0.2 */
	uint32_t global_timeout;        /* seconds that a node may take to go on with joining global, or to answer it, before its
					   connection is closed; 0: 60. Since 0.2 */
	const char *dns;                /* DNS servers, "ADDRESS[:PORT],…"; NULL: the system's (resolv.conf). Since 0.2 */
	int max_run_threads;            /* processes with `run` (cnode/server.h) at a time: each has a thread; more are refused with
					   system_limit. 0: 256. Since 0.2 */
	enum cnode_busy_wait busy_wait; /* Since 0.2 */
} cnode_config;

#define CNODE_CONFIG_INIT { .size = sizeof(cnode_config) }

/*
 * Makes a node; nothing is started and nobody hears of it. *node is set also on failure
 * if there was memory for it, so that cnode_node_error can tell more; free it in any
 * case. CNODE_EBADNAME, CNODE_EBADARG, CNODE_EACCES (the cookie file), CNODE_ENOMEM, CNODE_EIO, CNODE_EEPMD
 * (its variables in the environment).
 */
CNODE_API int cnode_node_new(const cnode_config *config, cnode_node **node);

/* The name of the own node, complete with host. Borrowed from the node. */
CNODE_API const char *cnode_node_name(const cnode_node *node);

/* Adds a cookie for one peer (erlang:set_cookie/2). Before or while it runs. CNODE_EBADNAME. */
CNODE_API int cnode_node_set_cookie(cnode_node *node, const char *peer, const char *cookie);

/* A peer that is reached without epmd: "name@host" at "host:port". Before or while it runs. CNODE_EBADNAME, CNODE_EBADARG. */
CNODE_API int cnode_node_route(cnode_node *node, const char *peer, const char *address);

/*
 * Starts it: threads, listener, epmd, in that order, so that peers hear of the node when
 * everything that was added before can be used. Returns when peers can connect.
 * CNODE_EADDRINUSE, CNODE_EACCES, CNODE_EEPMD, CNODE_ENAMETAKEN, CNODE_ESTATE, CNODE_ESYSLIMIT …
 */
CNODE_API int cnode_node_start(cnode_node *node);

/* The port it listens at; 0 before it is started, and without network. */
CNODE_API uint16_t cnode_node_port(cnode_node *node);

/* Begins to stop: processes exit with `shutdown`, terminate callbacks run, connections close. Also safe in a signal handler. */
CNODE_API void cnode_node_stop(cnode_node *node);

/*
 * A descriptor that becomes readable when the node is asked to stop, by whomever; a program
 * with a poll loop of its own then calls cnode_node_wait. Only to be polled; the node's own.
 * -1 if cnode_node_new failed. Any thread. Since 0.2.
 */
CNODE_API int cnode_node_stop_fd(const cnode_node *node);

/* Waits until a stopped node is down. Not from a callback. 0, CNODE_ETIMEOUT when processes had to be left behind after shutdown_timeout. */
CNODE_API int cnode_node_wait(cnode_node *node);

/* start, then wait for SIGINT or SIGTERM (or cnode_node_stop), then stop and wait. The old signal handling is put back. */
CNODE_API int cnode_node_run(cnode_node *node);

/* Stops it if it runs, waits for callbacks that were left behind, and frees it. Takes NULL. Not from a callback. */
CNODE_API void cnode_node_free(cnode_node *node);

/* One sentence about the last failure on this node: what, to which name, what to do. Borrowed until the next failure in the calling thread. */
CNODE_API const char *cnode_node_error(const cnode_node *node);

CNODE_API void cnode_node_set_log_level(cnode_node *node, enum cnode_log_level level);

/* ---- driving a node without threads (CNODE_THREADS_NONE) ---- */

/* A descriptor that is readable when cnode_node_step has something to do. Poll it with cnode_node_timeout. */
CNODE_API int cnode_node_fd(cnode_node *node);
/* Milliseconds until cnode_node_step must be called although the descriptor is not readable; -1: never. */
CNODE_API int cnode_node_timeout(cnode_node *node);
/* Does what is to be done now; never waits. By one thread at a time. 0, CNODE_ESHUTDOWN once it is down. */
CNODE_API int cnode_node_step(cnode_node *node);

/* ---- peers ---- */

/*
 * Connects to a peer ("b@host", or "b@host:port" to go without epmd) and stays with it:
 * when the connection cannot be made or is lost it is tried again, after 1 s at first and
 * 30 s at last, with jitter. Returns at once.
 * CNODE_EBADNAME, CNODE_ENOMEM.
 */
CNODE_API int cnode_connect(cnode_node *node, const char *peer);
/*
 * Looks for nodes, now and every few seconds, and connects to those it finds; a node that the source names no
 * longer is not looked for. Any number of sources may be added. A source is
 *
 *   list:NODE[,NODE…]                  these nodes, "a@host" or "a@host:port" (cnode_connect stays with one instead)
 *   epmd:[PATTERN@]HOST[,…]            all nodes that the epmd of each host knows, and the pattern fits ('*': any text)
 *   dns:NAME@QUESTION                  node NAME at each address (A, AAAA) that DNS has for QUESTION:
 *                                      "dns:app@app.default.svc.cluster.local" finds app@10.1.2.3 …
 *   srv:NAME@QUESTION                  node NAME at each target of the SRV records of QUESTION; a port that is not
 *                                      epmd's is the node's own:
 *                                      "srv:app@_dist._tcp.app.default.svc.cluster.local" finds app@app-0.app… …
 *
 * Rounds are 2.5 to 5 s apart, up to 30 s while the source does not answer, which is logged once. Returns at once.
 * Before or while the node runs. CNODE_EBADARG (the source: cnode_node_error says what is wanted), CNODE_ESTATE
 * (the node has no name), CNODE_ENOMEM. Since 0.2.
 */
CNODE_API int cnode_discover(cnode_node *node, const char *source);
/* Ends the connection (erlang:disconnect_node/1) and forgets cnode_connect. CNODE_ENOENT. */
CNODE_API int cnode_disconnect(cnode_node *node, const char *peer);

/* One connected peer. */
typedef struct cnode_peer {
	size_t size;
	const char *name;
	bool visible;
	uint32_t creation;
	uint64_t flags;                 /* DFLAG_… as negotiated */
	int release;                    /* the newest OTP release that its flags allow to conclude; 0: no BEAM's */
	uint64_t since_ms;              /* how long it is connected */
	uint64_t packets_in, packets_out, bytes_in, bytes_out;
	uint64_t queued;                /* bytes waiting to be written */
	uint64_t connection_id;         /* as cnode_monitor_nodes tells it. Since 0.2 */
} cnode_peer;

/* Calls `each` for every connected peer; its argument is borrowed for the call. Stops when each returns another than 0, and returns that. */
CNODE_API int cnode_peers(cnode_node *node, int (*each)(void *context, const cnode_peer *peer), void *context);

#ifdef __cplusplus
}
#endif
#endif
