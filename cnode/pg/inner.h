/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of the room: the table of a scope (table.c), what changes in it (change.c), its
 * server (server.c), and the scopes of a node (scopes.c).
 */
#ifndef CN_PG_INNER_H
#define CN_PG_INNER_H

#include "cnode/pg/pg.h"

struct scope;
struct pubsub;

/* A list of pids in no order; a pid may be there more than once. */
struct pids {
	cnode_pid *at;
	size_t count, room;
};

/* The members of one group on one node. */
struct part {
	struct pids pids;
	struct group *group;
	struct remote *of;              /* NULL: this node */
	struct part *next;              /* in its group */
	struct part *of_next, *of_prev; /* of the same node */
	uint64_t seen;                  /* the number of the sync that named it last */
};

struct group {
	struct group *next;             /* in its bucket */
	uint64_t hash;
	cnode_term name;                /* our own copy */
	struct part *parts;             /* NULL: it is here because it is watched */
	struct watch *watches;
};

/* A process of this node that is a member of something, until the server has given its monitor up. */
struct local {
	struct local *next;             /* in its bucket */
	cnode_pid pid;
	cnode_ref monitor;              /* server */
	bool watched;                   /* server: it has the monitor */
	struct group **groups;          /* one for each join */
	size_t count, room;
	size_t joining;                 /* while a join is being made: how often it is in it */
};

/* The server of the same scope on another node. All but `parts` and `members` is our server's own. */
struct remote {
	struct remote *next;
	cnode_pid pid;
	cnode_ref monitor;
	struct part *parts;
	size_t members;                 /* pids in them */
	bool greeted;                   /* it has had a sync of ours: it may be told of joins and leaves */
	bool behind;                    /* it missed one, and gets a sync instead of more */
	bool ahead;                     /* we missed something of it, and wait for its sync */
	bool deaf;                      /* our groups cannot be told to it */
	bool mute;                      /* it went over a limit, and is not listened to */
	uint32_t syncs;                 /* it had within the last while */
	bool owed;                      /* it asked for one more */
	struct sync *sync;              /* of it, that is being taken in; NULL: none */
};

/* Who wants to hear of changes. The words of its references that are not used are 0: they are keys. */
struct watch {
	struct watch *next, **at;       /* of the group, or of the scope's `watches`; where the one before has it */
	UT_hash_handle hh;              /* by ref, in `all` */
	UT_hash_handle by_monitor;      /* in `watched` */
	struct watch *due_next;
	cnode_pid pid;
	cnode_ref ref;
	cnode_ref monitor;              /* server */
	struct group *group;            /* NULL: all */
	bool watched;                   /* server: it has the monitor */
	bool gone;                      /* it hears no more: the server clears it away */
	bool due;                       /* it is in `due` */
};

/* What the server is to tell the others, in the order in which it happened. */
struct note {
	struct note *next;
	bool join;
	cnode_term group;               /* our own */
	size_t count;
	cnode_pid pids[];
};

#define SCOPE_BUCKETS 64u               /* of each table at first; each grows when it is full */

struct scope {
	struct scope *next;             /* in pg->scopes */
	uint32_t refs;                  /* the unit's, those who look; under pg->lock */
	bool listed;                    /* it can be found; under pg->lock */
	struct cn_pg *pg;
	char *name;
	unsigned flags;
	struct cn_unit unit;            /* the server */
	struct cn_unit_process process;

	struct cn_mutex lock;           /* guards what follows */
	bool woken;                     /* a message that wakes the server is on its way */
	cnode_pid server;
	struct group **groups;
	size_t groups_mask, groups_count;
	struct local **locals;
	size_t locals_mask, locals_count;
	struct part *own;               /* parts of this node */
	struct remote *remotes;
	struct watch *watches;          /* of the whole scope */
	struct watch *all;              /* every watch */
	struct watch *watched;          /* those that the server monitors, by that */
	struct watch *due;              /* new ones, and those that are gone: for the server to look at */
	struct note *notes, **notes_last;
	uint64_t syncs;                 /* that came in, numbered */
	cnode_term sync;                /* the groups of this node as a sync has them; none: they have changed since */
};

struct cn_pg {
	struct cn_procs *procs;
	struct cn_supervisor *supervisor;
	struct cn_log *log;
	const struct cn_pg_ops *ops;
	void *ctx;
	struct cn_log_gate junk_gate;
	struct cn_mutex lock;           /* guards the list; taken before a scope's */
	struct scope *scopes;
	struct pubsub *pubsubs;
};

/* ---- table.c; all under scope->lock ---- */

/* Makes sure there is room for `more` pids. 0, CNODE_ENOMEM. */
int pids_room(struct pids *p, size_t more);
bool pids_take(struct pids *p, cnode_pid pid);                  /* one occurrence; false: there is none */

struct group *group_find(struct scope *s, cnode_term name);     /* NULL */
int group_get(struct scope *s, cnode_term name, struct group **group);
/* Forgets it if nobody is in it and nobody watches it. */
void group_tidy(struct scope *s, struct group *group);

struct part *part_find(const struct group *group, const struct remote *of);
int part_get(struct scope *s, struct group *group, struct remote *of, struct part **part);
/* Forgets it, and perhaps its group, if it has no pids. */
void part_tidy(struct scope *s, struct part *part);

struct local *local_find(struct scope *s, cnode_pid pid);
int local_get(struct scope *s, cnode_pid pid, struct local **local);
int local_room(struct local *local, size_t more);
bool local_take(struct local *local, const struct group *group);
void local_forget(struct scope *s, struct local *local);

void table_free(struct scope *s);
/* Puts a new one into the list and the tables; it is due. 0, CNODE_ENOMEM. */
int watcher_add(struct scope *s, struct watch *w, struct group *group);
/* Of this process; NULL: there is none, or it is gone. */
struct watch *watcher_find(struct scope *s, cnode_pid pid, cnode_ref ref);
/* Takes it off the list: it hears no more. Its group may be tidied away then. */
void watcher_unlink(struct watch *w);
void watcher_due(struct scope *s, struct watch *w);
/* The server has a monitor of it. 0, CNODE_ENOMEM. */
int watcher_monitored(struct scope *s, struct watch *w, cnode_ref monitor);
struct watch *watcher_of_monitor(struct scope *s, cnode_ref monitor);     /* NULL */
/* Off the list and not due: out of the tables. */
void watcher_free(struct scope *s, struct watch *w);

/* What other nodes have told, and what they were to be told: nothing of it is true for a new server. Of this node all stays. */
void table_renew(struct scope *s);

/* ---- change.c: changes that watches hear of; under scope->lock ---- */

int change_join(struct scope *s, struct part *part, const cnode_pid *pids, size_t count);
/* Takes those out that are there; *taken gets them (in place: pids is reordered, the first ones are those). */
size_t change_leave(struct scope *s, struct part *part, cnode_pid *pids, size_t count);
/* All of a part. */
void change_leave_all(struct scope *s, struct part *part);
/* The part has exactly these pids; takes their memory. */
void change_replace(struct scope *s, struct part *part, struct pids *take_pids);
/* [Pid, …], and #{Group => [Pid, …]}. *term is yours. */
int change_members(const struct group *group, cnode_term *term);
int change_groups(struct scope *s, cnode_term *term);

/* ---- server.c ---- */
struct server {
	struct scope *scope;
	cnode_process *self;
	bool ticking;                   /* a timer for what is to be tried again runs */
};
extern const cnode_behaviour scope_server;
void server_later(struct server *v);
/* What no server sends came from a node (0: this one). */
void server_junk(struct server *v, const char *what, cnode_name from, cnode_term message);
/* {join, …} or {leave, …} of the server at `pid`. */
void server_told(struct server *v, cnode_pid pid, cnode_term message);
struct remote *remote_find(const struct scope *s, cnode_pid pid);
/* The server at `pid`, which is monitored from now on; NULL: there is no memory, or its node has too many. */
struct remote *remote_get(struct server *v, cnode_pid pid, bool *is_new);
void remote_forget_members(struct scope *s, struct remote *r);  /* under the lock */
void remote_mute(struct server *v, struct remote *r, const char *limit);
/* What it said could not be taken in for want of memory: nothing of it is better than half. Its next sync makes it whole. */
void remote_lost_track(struct server *v, struct remote *r);

/* ---- sync.c: taking a sync in, a slice after the other ---- */
/* message: {sync, Pid, Groups}. */
void sync_begin(struct server *v, cnode_pid pid, cnode_term groups, cnode_term message);
/* The next slice. */
void sync_more(struct server *v, cnode_pid pid);
/* True: a sync of the server is being taken in, and the message waits until that is done. */
bool sync_holds(struct server *v, struct remote *r, cnode_term message);
void sync_drop(struct remote *r);

/* ---- pubsub.c: all of them; no process is left ---- */
void pubsubs_free(struct cn_pg *pg);

/* ---- scopes.c ---- */
void scope_unref(struct scope *s);

#endif
