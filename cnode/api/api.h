/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api: the node as programs see it. Puts the rooms together: the loop, the processes, the
 * cluster, the kernel services and the threads; fills the ops structs that lower rooms
 * declare; and has the mailboxes of threads that are not ours.
 */
#ifndef CN_API_H
#define CN_API_H

#include "cnode/access/access.h"
#include "cnode/api/pool.h"
#include "cnode/base/base.h"
#include "cnode/cnode.h"
#include "cnode/global/global.h"
#include "cnode/kernel/kernel.h"
#include "cnode/loop/loop.h"
#include "cnode/node/node.h"
#include "cnode/pg/pg.h"
#include "cnode/proc/proc.h"
#include "cnode/spawn/spawn.h"

enum cn_life {
	CN_LIFE_NEW,                /* made, not started */
	CN_LIFE_STARTING,           /* waits to hear from epmd */
	CN_LIFE_RUNNING,
	CN_LIFE_STOPPING,           /* processes are asked to end */
	CN_LIFE_CLEARING,           /* the kernel services too */
	CN_LIFE_LEAVING,            /* connections are closed */
	CN_LIFE_DOWN,
};

#define CN_ERROR_TEXT 1024

/* trim.c */
struct cn_trim {
	cnode_node *node;           /* NULL: it is not started */
	_Atomic uint64_t gone;      /* processes that have ended */
	_Atomic uint64_t trimmed;   /* of these, before memory was last given back */
	_Atomic uint64_t shrunk_at; /* of these, when the pool last shrank and memory was given back for it */
	_Atomic bool shrunk;        /* it has again */
	_Atomic bool armed;         /* the timer runs, or will */
	/* Holder of the lead. */
	uint64_t seen;              /* gone when the timer was set */
	struct cn_task task;
	struct cn_timer timer;
};
/* When the node starts. Lead. */
void cn_trim_init(struct cn_trim *t, cnode_node *node);
/* A process is gone. Any thread. */
void cn_trim_gone(struct cn_trim *t);
/* The pool is as small again as it was at first. Any thread. */
void cn_trim_shrunk(struct cn_trim *t);

struct cnode_node {
	char *name;                 /* complete; "nonode@nohost" without network */
	bool networked;
	uint16_t epmd_port;         /* immutable, as what stands before it */
	bool threadless;            /* CNODE_THREADS_NONE */
	uint64_t shutdown_ns;
	struct cn_log *log;
	struct cn_loop *loop;
	struct cn_procs *procs;
	struct cn_trim trim;
	struct cn_guard *guard;
	struct cn_factories *factories;
	struct cn_functions *functions;
	struct cn_output output;    /* immutable */
	struct cn_kernel *kernel;
	struct supervision {        /* of the kernel services, global and the scopes of pg */
		struct cn_supervisor *supervisor;
		struct cn_task task;
		struct cn_timer timer;
	} supervision;
	struct cn_cluster *cluster;
	struct cn_pg *pg;
	struct cn_global *global;
	struct cn_timer global_beat;
	bool hidden;
	struct drops {              /* connections that global wants to end */
		struct cn_task task;
		struct cn_mutex lock;
		cnode_name *names;
		size_t count, room;
		_Atomic bool all;       /* all of them */
	} drops;
	struct cn_pool *pool;
	struct cn_threads *threads; /* own.h; NULL: threadless */
	_Atomic bool stop;          /* asked to stop */
	int stop_fd;                /* set by cnode_node_stop, also in a signal handler */
	struct cn_io stop_io;
	bool stop_at_eof;           /* standard input is watched */
	struct cn_io eof_io;
	int asked_fd;               /* readable once it is asked to stop; for programs that poll */
	const char *(*option)(void *context, const char *key);  /* of the module that starts; by the thread that starts modules */
	void *option_context;
	/* Holder of the lead. */
	uint64_t deadline;          /* of the present stage of stopping */
	struct cn_timer timer;      /* looks at it */
	struct cn_task look;        /* has the lead look at what changed */
	uint32_t spared;            /* kernel services, which end after all others */
	bool left_behind;           /* processes did not end in time */

	struct cn_mutex lock;       /* guards what follows */
	struct cn_cond changed;     /* life changed */
	enum cn_life life;
	int start_code;             /* how starting ended */
	char error[CN_ERROR_TEXT];
};

/* Keeps a sentence for cnode_node_error; returns code. Any thread. */
int cn_api_fail(cnode_node *node, int code, const char *fmt, ...) CN_PRINTF(3, 4);
enum cn_life cn_api_life(cnode_node *node);
/* cn_cluster_ops.ready: what starting the network has come to. Lead. */
void cn_api_ready(void *node, int code, const char *text);
/* cn_pool_config.turn: moves a node that was asked to stop on; true when it is down. Lead. */
bool cn_api_turn(void *node);
/* Without threads: waits until a step is due, at most until the deadline, and makes it. */
void cn_api_drive(cnode_node *node, uint64_t deadline);

/*
 * Asks for a spawn, here (node NULL) or elsewhere; the answer is a message to self. *why gets the key of a
 * value that cannot be sent. failure_to: an alias of self that is told why an init has failed, or NULL.
 */
int cn_api_spawn(cnode_process *self, const char *node, const char *module, const char *function, cnode_term args,
		 const cnode_spawn_options *o, uint64_t timeout_ms, bool waited, const cnode_ref *failure_to,
		 struct cn_buf *why, cnode_ref *ref);
/* mailbox.c and call.c, for global.c */

/* cnode_multi_call of a request that is built. */
int cn_mailbox_multi_call(cnode_mailbox *mb, const char *const *nodes, size_t count, const char *name, uint64_t timeout_ms,
			  cnode_term *replies, cnode_term request);
/* Waits, whatever arrives. 0, CNODE_EEXITED, CNODE_ESHUTDOWN. */
int cn_mailbox_sleep(cnode_mailbox *mb, uint64_t ms);
cnode_node *cn_mailbox_node(cnode_mailbox *mb);
/* Keeps a sentence for cnode_mailbox_error; returns code. */
int cn_mailbox_fail(cnode_mailbox *mb, int code, const char *fmt, ...) CN_PRINTF(3, 4);

/* global.c: the room's object, and what it needs of the cluster. 0, CNODE_ENOMEM. */
int cn_api_global(cnode_node *node, const cnode_config *cfg);
/* When the node starts: sees to it that others do not wait for a global here that does not get on. Lead. */
void cn_api_global_watch(cnode_node *node);

/* ask.c: questions that only the holder of the lead can answer, from other threads. */

/* Who wants to hear of the steps of connecting, numbered from 0; done counts those told. */
struct cn_ask_steps {
	void (*tell)(void *context, int step, const char *text);
	void *context;
	int done;
};
/*
 * Connects as cn_cluster_connect, and waits for the outcome: its code and sentence. CNODE_ETIMEOUT.
 * steps (may be NULL) is told by the calling thread, without any lock.
 */
int cn_ask_connect(cnode_node *node, const char *peer, uint64_t deadline, struct cn_ask_steps *steps, char *text,
		   size_t room);
/* Connects or disconnects without waiting. 0, CNODE_ENOMEM. */
int cn_ask_keep(cnode_node *node, const char *peer);
int cn_ask_disconnect(cnode_node *node, const char *peer);
int cn_ask_discover(cnode_node *node, const char *source);
/* cnode_epmd_names without the texts of errors. */
int cn_ask_names(cnode_node *node, const char *host, uint64_t deadline,
		 void (*each)(void *context, const char *name, uint16_t port), void *context);

#endif
