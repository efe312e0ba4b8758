/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of the room spawn. */
#ifndef CN_SPAWN_INNER_H
#define CN_SPAWN_INNER_H

#include "cnode/spawn/spawn.h"

/*
 * One factory. It stays in the table until the table is freed: removed it is only not
 * found any more, so that its processes can still be counted and the name given again.
 */
struct cn_factory {
	UT_hash_handle hh;          /* by name */
	char *name;
	/* Under the table's lock: */
	const cnode_behaviour *behaviour;
	void *context;
	bool removed;
	enum cnode_unknown unknown; /* how other functions than start are answered */
	struct cn_access who;
	_Atomic uint32_t era;       /* changes when the name goes to another behaviour or context, before its list does */
	_Atomic uint64_t processes; /* alive */
	_Atomic uint64_t spawned;
	_Atomic uint64_t refused;
};

struct cn_service_entry {
	struct cn_service_entry *next;
	struct cn_service service;
};

enum cn_registration { CN_REGISTER_LOCAL, CN_REGISTER_NONE, CN_REGISTER_GLOBAL };

/* What a spawn asks for. Zeroed it asks for nothing. */
struct cn_wishes {
	bool link, monitor;
	bool at_once;               /* the answer comes on creation, not after init */
	bool tells_failure;         /* the whole reason of a failed start goes out as a message, too */
	cnode_ref failure_to;       /* to this alias; words 0: to the caller */
	bool drops;                 /* what comes to a full mailbox; else it ends the process */
	bool says_registration, says_level;
	enum cn_registration registration;
	enum cnode_log_level level;
	uint32_t max_messages;      /* 0: no limit */
	uint64_t start_ns, init_ns; /* 0: no limit */
	cnode_term env;             /* a list of {Key, Value}, borrowed; zeroed: none */
	cnode_atom name;            /* "" : none */
	cnode_atom application;     /* "" : none */
};

#define CN_SPAWN_OPTIONS_MAX (1u << 20) /* bytes of options that a peer may send: 12 ms to read if they are many small ones */

/* options.c. Adds what the list asks for; false: badopt. */
bool cn_wishes_read(struct cn_wishes *w, cnode_term list);
/* Do they go together? */
bool cn_wishes_fit(const struct cn_wishes *w);

#define CN_ENV_KEY_MAX 255
/* The text of a key of an environment: an atom or a binary. Borrowed, not terminated. False: it is none. */
bool cn_env_key(cnode_term key, const char **text, size_t *size);

/*
 * Where a process comes from: a spawn of a peer. It is what is kept until the answer is known,
 * and what the process is given for as long as it lives. A process of the program has one once
 * it is given an application or an environment.
 */
struct cn_origin {
	_Atomic uint32_t refs;      /* the answer's, the process's, that of a registration under way */
	struct cn_factories *factories;
	struct cn_factory *factory; /* NULL: a service, or the program */
	uint32_t era;               /* of the factory, when it made the process */
	struct cn_place *place;     /* in the quota of the peer; NULL: none */
	/* Of the request: */
	struct cn_cluster *cluster; /* NULL: a process of ours asked */
	cnode_name peer;
	uint64_t epoch;
	cnode_ref id;
	cnode_pid from;
	bool link, monitor, tells_failure;
	cnode_ref failure_to;
	struct cn_message *lost;    /* to a process of ours, what is said when memory lacks for the answer; NULL: it is said, or a peer's */
	cnode_pid pid;              /* while it is registered globally */
	/* Its own thread: */
	char *application;          /* NULL: none */
	cnode_term env;             /* its own; zeroed: none */
};

/* pool.c: what pools have left that never began. */
void cn_pools_free(struct cn_factories *f);

void cn_origin_unref(struct cn_origin *r);

/* The process that dies with undef; its context is the factories. */
extern const cnode_behaviour cn_spawn_undef;

struct cn_factories {
	struct cn_procs *procs;
	struct cn_log *log;
	struct cn_guard *guard;
	_Atomic bool off;           /* the global switch */
	_Atomic int unknown;        /* enum cnode_unknown of names that no factory has */
	struct cn_register_ops global;      /* set before the node starts */
	bool closed;                /* no answer is owed any more */
	struct cn_pool_setup *pools;
	char *expose;               /* keys of environments that go out; NULL: none */
	struct cn_mutex lock;       /* guards what follows */
	struct cn_factory *table;
	struct cn_service_entry *services;  /* only grows; entries are immutable */
};

/* The factory of that name, NULL: none. Under the lock. */
struct cn_factory *cn_factory_find(struct cn_factories *f, const char *name);

#endif
