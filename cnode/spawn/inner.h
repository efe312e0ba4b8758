/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of the room spawn. */
#ifndef CN_SPAWN_INNER_H
#define CN_SPAWN_INNER_H

/* Without memory an addition is left out; `added` tells. uthash would end the program else. */
#define HASH_NONFATAL_OOM 1
#define uthash_nonfatal_oom(element) (added = false)
#define uthash_malloc(size) cn_malloc(size)
#define uthash_free(p, size) cn_free(p)
#include <uthash.h>

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
	struct cn_access who;
	_Atomic uint64_t processes; /* alive */
	_Atomic uint64_t spawned;
	_Atomic uint64_t refused;
};

struct cn_service_entry {
	struct cn_service_entry *next;
	struct cn_service service;
};

/*
 * Where a process comes from: a spawn of a peer. It is what is kept until the answer is known,
 * and what the process counts for as long as it lives.
 */
struct cn_origin {
	_Atomic uint32_t refs;      /* the answer's, the process's */
	struct cn_factories *factories;
	struct cn_factory *factory; /* NULL: a service */
	struct cn_place *place;     /* in the quota of the peer */
	/* Of the request: */
	struct cn_cluster *cluster;
	cnode_name peer;
	uint64_t epoch;
	cnode_ref id;
	cnode_pid from;
	bool link, monitor;
};

struct cn_factories {
	struct cn_procs *procs;
	struct cn_log *log;
	struct cn_guard *guard;
	_Atomic bool off;           /* the global switch */
	bool closed;                /* no answer is owed any more */
	struct cn_mutex lock;       /* guards what follows */
	struct cn_factory *table;
	struct cn_service_entry *services;  /* only grows; entries are immutable */
};

/* The factory of that name, NULL: none. Under the lock. */
struct cn_factory *cn_factory_find(struct cn_factories *f, const char *name);

#endif
