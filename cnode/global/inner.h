/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of global share. */
#ifndef CN_GLOBAL_INNER_H
#define CN_GLOBAL_INNER_H

#include "cnode/global/global.h"
#include "compat/compat.h"

#define PROTOCOL 8               /* of the protocol; what OTP 25.2 to 29 speak */
#define PROTOCOL_MIN 5           /* a locker before that cannot be talked to */
#define PROTOCOL_CASTS 6         /* from here on lockers talk through the name servers */
#define PROTOCOL_NODES 7         /* node lists have versions, lost connections are told */
#define PROTOCOL_TAGS 8          /* lock_set has a tag, init_connect is acknowledged */
#define SERVER "global_name_server"

/* ---- table.c: a table by terms, =:= ---- */

struct item {
	struct item *next;
	uint64_t hash;
	cnode_term key;             /* its own */
};
struct table {
	struct item **buckets;
	size_t mask, count;
};
int table_init(struct table *t);
void table_fini(struct table *t);
struct item *table_find(const struct table *t, uint64_t hash, cnode_term key);
/* `item` has its hash and key. Without memory for more buckets the chains grow instead. */
void table_add(struct table *t, struct item *item);
void table_remove(struct table *t, struct item *item);

/* ---- names.c, locks.c: what is registered and locked; written by the name server, read by any thread ---- */

/* What a monitor of the name server is about. */
struct watch {
	UT_hash_handle hh;          /* by ref */
	cnode_ref ref;
	cnode_pid pid;
	struct name *name;          /* one of the three */
	struct holder *holder;
	struct syncer *syncer;
};
struct name {
	struct item item;           /* key: the name */
	cnode_pid pid;
	cnode_term method;          /* the fun as it came; its own */
	cnode_name external;        /* the BEAM node that registered it for a hidden one; 0: none */
	bool mortal;                /* the method is the default: who loses the name is killed */
	bool linked;                /* that node is this one: we are linked with the process */
	struct watch watch;
};
struct holder {
	UT_hash_handle hh;          /* by key, in server->holders */
	struct holder *next, *prev; /* of the same lock */
	struct holder_key {
		struct lock *lock;
		cnode_pid pid;
	} key;
	struct watch watch;
};
struct lock {
	struct item item;           /* key: the resource */
	cnode_term requester;       /* its own */
	struct holder *holders;     /* never none */
};

#define SHARDS 16
#define LOSERS 256
#define LOSER_NS (60 * CN_NS_PER_S)
struct names_shard {
	struct cn_mutex lock;
	struct table table;
};

struct cn_global {
	struct cn_global_config config;
	cnode_name self;
	char own[CNODE_NAME_SIZE];
	struct cn_unit unit;        /* its three processes */
	unsigned incarnation;       /* of these, from 1; before they run */
	/* Of the present three, who read them in their callbacks; others by global_pid. */
	cnode_pid server, locker, registrar;
	_Atomic bool leaving;
	_Atomic uint64_t stalled;   /* connections that the watchdog closed */
	/* Of the watchdog for this node: whoever calls cn_global_stalls asks, the server answers. */
	_Atomic uint64_t beats, beaten;
	uint64_t beat_at;
	int64_t first_tag;          /* sessions have greater ones */
	struct names_shard names[SHARDS];
	struct cn_mutex locks_lock;
	struct table locks;
	struct cn_mutex lock;       /* guards what follows */
	cnode_name *known;          /* nodes whose table is ours, without this one */
	size_t known_count;
	cnode_name *up;             /* visible nodes that are connected */
	size_t up_count;
	struct pid_names *pids;     /* how many names a process has */
	struct loser {              /* of the last conflicts: who is to be killed may lose its name before */
		cnode_pid pid;
		uint64_t until;
	} losers[LOSERS];
	size_t loser;               /* the next to be written over */
	struct job *jobs;           /* from cn_global_register, for the registrar */
	bool down;                  /* the registrar takes no more */
	struct owed *owed;          /* whom del_lock is owed: owed.c */
};

/* The state of the name server that names and locks belong to. */
struct server {
	struct cn_global *g;
	struct cnode_process *self;
	struct watch *watches;      /* by ref */
	struct holder *holders;     /* of all locks, by lock and pid: a peer may let any number of processes share one */
	size_t name_count;
	uintptr_t lock_turn;        /* how often `global` was locked */
	bool watching;              /* the watchdog looks at it later */
	bool global_lock_down;      /* the last holder of `global` ended without deleting it */
	struct node *nodes;         /* by name */
	struct syncer *syncers, **syncers_last;     /* the oldest first */
	size_t syncer_count;
	struct lost *lost;          /* by both nodes, the oldest first */
	int64_t last_tag;
	int64_t last_operation;
	bool broken;                /* memory lacked for what others rely on: the process ends, and all begins anew */
	struct cn_log_gate gate, limit_gate, sync_gate;
};

/* Whose word an insertion follows, for the question whether the lock is still held. */
struct word {
	cnode_pid pid;              /* of a `register` call; none: a joining */
	cnode_term lock;            /* the requester that the joining locked with */
};

/* start.c: a pid of the three, by a thread that is none of them. */
cnode_pid global_pid(struct cn_global *g, const cnode_pid *which);

int names_init(struct cn_global *g);
void names_fini(struct cn_global *g);
/* A name server that was started again: the names of this node's processes become its own, the others go. 0, CNODE_ENOMEM. */
int names_adopt(struct server *s);
struct name *names_find(struct cn_global *g, cnode_term name);          /* by the name server's process only */
/*
 * Inserts or replaces; if the word does not hold, neither is there then. external 0: none.
 * 0, CNODE_ENOMEM, CNODE_ELIMIT, or why pid cannot be watched.
 */
int names_insert(struct server *s, cnode_term name, cnode_pid pid, cnode_term method, cnode_name external,
		 const struct word *word);
void names_delete(struct server *s, cnode_term name);
uint64_t names_count(struct cn_global *g);                /* any thread */
size_t names_of(struct cn_global *g, cnode_pid pid);      /* how many; any thread */
/* The method a name was registered with; *method is yours. CNODE_ENOENT, CNODE_ENOMEM. Any thread. */
int names_method(struct cn_global *g, cnode_term name, cnode_term *method);
/* Lists as they go to other nodes: [{Name,Pid,Method}], [{Name,Pid,RegNode}]. */
void names_build(struct cn_global *g, cnode_builder *b);
void names_build_external(struct cn_global *g, cnode_builder *b);

int locks_init(struct cn_global *g);
void locks_fini(struct cn_global *g);
int locks_adopt(struct server *s);      /* as names_adopt */
/* 1 granted, 0 refused, or a code. */
int locks_set(struct server *s, cnode_term resource, cnode_term requester, cnode_pid pid);
void locks_del(struct server *s, cnode_term resource, cnode_term requester, cnode_pid pid);
bool locks_still_set(struct server *s, const struct word *word);
struct lock *locks_find_global(struct cn_global *g);     /* by the name server's process only; NULL */
bool locks_global_is_set(struct cn_global *g);
cnode_term locks_global(void);          /* the atom global */

int watch_add(struct server *s, struct watch *w);
void watch_remove(struct server *s, struct watch *w);
/* A DOWN: the name or the lock goes. */
void watch_down(struct server *s, cnode_ref ref);
/* The names and locks of a node's processes go, although they live: its table is to be joined anew. */
void watch_forget_node(struct server *s, cnode_name node);
void watch_fini(struct server *s);

/* ---- multi.c: gen_server:multi_call without waiting ---- */

enum reply { REPLY_NONE, REPLY_TRUE, REPLY_FALSE, REPLY_OTHER, REPLY_UNASKED };
struct multi;
/* As a completion: state is the process's. The multi is freed behind it. */
typedef int multi_done(struct cnode_process *self, void *state, struct multi *m);
struct leg {
	struct multi *multi;
	cnode_name node;
	enum reply reply;
};
struct multi {
	struct cn_gen_attachment attachment;
	struct cn_global *g;
	multi_done *done;
	void *context;
	size_t left, count;
	struct leg legs[];
};
/*
 * Calls the name servers of the nodes, all at once. One that is not there has REPLY_NONE, one that memory lacked for
 * REPLY_UNASKED; one that takes longer is disconnected.
 */
int multi_call(struct cn_global *g, struct cnode_process *self, void *state, const cnode_name *nodes, size_t count,
	       uint64_t timeout_ms, cnode_term request, multi_done *done, void *context);

/* Of what all have to be told: who was not asked is disconnected. False if it was our own server, or that has just ended. */
bool multi_told_all(struct multi *m);

/*
 * set_lock once, on all the nodes or none: what was granted is given back when one refuses. A node
 * that is not there grants, and is added to `silent` (NULL: nobody wants to know): whoever asks it something more dials it,
 * and waits for it, once more; if it has set the lock all the same, it hears of that when it is connected again (owed.c).
 */
typedef int locked_fn(struct cnode_process *self, void *state, void *context, bool granted);
struct node_list;
int lock_nodes(struct cn_global *g, struct cnode_process *self, void *state, const cnode_name *nodes, size_t count,
	       uint64_t timeout_ms, cnode_term resource, cnode_term requester, struct node_list *silent, locked_fn *done,
	       void *context);
/* del_lock on the nodes; done (with granted true) when all have answered. */
int unlock_nodes(struct cn_global *g, struct cnode_process *self, void *state, const cnode_name *nodes, size_t count,
		 uint64_t timeout_ms, cnode_term resource, cnode_term requester, locked_fn *done, void *context);

/* ---- owed.c: locks that a silent node may have set all the same ---- */

/* This node gave no answer to the asker's set_lock of `global` for this requester. 0, CNODE_ENOMEM. */
int owed_note(struct cn_global *g, cnode_name node, cnode_pid asker, cnode_term requester);
/* It is connected again: it is told. Of the name server. */
void owed_settle(struct server *s, struct node *n);
void owed_fini(struct cn_global *g);

/* ---- nodes.c: a growing list of node names, and their order ---- */

struct node_list {
	cnode_name *at;
	size_t count, room;
};
int nodes_add(struct node_list *l, cnode_name node);     /* CNODE_ENOMEM; twice is once */
bool nodes_has(const struct node_list *l, cnode_name node);
void nodes_remove(struct node_list *l, cnode_name node);
void nodes_remove_all(struct node_list *l, const struct node_list *others);
void nodes_fini(struct node_list *l);
/* The greatest name, which is locked first and unlocked last: names compare by their bytes. */
cnode_name nodes_boss(const cnode_name *nodes, size_t count);
int nodes_compare(cnode_name a, cnode_name b);
int pids_compare(cnode_pid a, cnode_pid b);              /* Erlang's order: serial, id, node's name, creation */
/* [LA,LB] as both sides build it. */
int lock_id_term(cnode_pid a, cnode_pid b, cnode_term *id);

/* ---- the processes ---- */

extern const cnode_behaviour server_behaviour;
extern const cnode_behaviour locker_behaviour;
extern const cnode_behaviour registrar_behaviour;
extern const cnode_behaviour resolver_behaviour;

/* One node as the name server sees it. */
struct node {
	UT_hash_handle hh;
	cnode_name name;            /* pinned */
	char *text;
	uint64_t connection;        /* of the visible connection; 0: none */
	int known;                  /* its version, 0 if that is unknown; -1: its table is not ours */
	int pending;                /* its version while tables are being joined; -1: they are not */
	bool synced;
	bool was_up;                /* it has been connected since we know of it */
	bool silent;                /* it is of our like, and does not tell of connections it has lost */
	bool removing;              /* we caused its nodedown: it is nobody's loss */
	bool joining;               /* told of by another node, and being dialled */
	/* The joining: a session has a tag. */
	int64_t my_tag;             /* 0: none */
	int version;                /* of the protocol we speak */
	cnode_term his_tag;
	cnode_pid his_locker;
	bool locked;                /* both partitions are locked by lock_id */
	cnode_pid lock_id[2];
	cnode_term exchange;        /* his names */
	cnode_pid resolver;         /* resolves conflicts of his names with ours */
	cnode_term ops;             /* what his names mean here */
	cnode_term resolved, his_known, his_external;   /* what he made of ours */
	/* An init_connect that came before its nodeup. */
	cnode_term early_version, early_locker;
	/* Restarts are put off when there are many. */
	unsigned restarts;
	uint64_t restarted;         /* cn_now of the last one */
	bool restart_due;
};

/* server.c */
struct node *node_get(struct server *s, cnode_name name);        /* NULL: out of memory */
struct node *node_find(struct server *s, cnode_name name);
/* The node of a name in a message; NULL: none, or not one we have heard of. */
struct node *node_named(struct server *s, cnode_term atom);
void node_forget_idle(struct server *s, struct node *n);
void server_publish(struct server *s);          /* the lists of known and connected nodes */
void server_cut(struct server *s, struct node *n, const char *why);
void server_broken(struct server *s, const char *what);
/* Plain messages to a name server elsewhere, and casts; none if it is not connected. */
void tell(struct server *s, struct node *n, const char *format, ...);
void cast(struct server *s, struct node *n, const char *format, ...);
void tell_term(struct server *s, struct node *n, cnode_term message);
void server_unexpected(struct server *s, const char *what, cnode_term message);

/* sync.c: calls of {sync, Nodes} that wait */
int sync_call(struct server *s, cnode_from *from, cnode_term list);
/* The node's table is ours, or it is gone: nobody waits for it any more. */
void sync_reached(struct server *s, cnode_name node);
/* The process that asked has ended. */
void sync_ended(struct server *s, struct syncer *w);
void sync_fini(struct server *s);       /* behind watch_fini */

/* session.c: two tables become one */
void session_nodeup(struct server *s, struct node *n);
/*
 * The node goes on with a session that there is none of here, because of its own in_sync: OTP's sync_other says so also to a node
 * that global has let go of meanwhile. Both would wait for ever, and `global` be locked on both. So there is another session soon,
 * unless the node is known by then, as the others that in_sync is said to are.
 */
void session_goes_on(struct server *s, struct node *n);
void session_init_connect(struct server *s, struct node *n, cnode_term version, cnode_term locker);
void session_ack(struct server *s, struct node *n, cnode_term his_my, cnode_term his_his);
void session_cancelled(struct server *s, struct node *n, cnode_term tag);
void session_exchange(struct server *s, struct node *n, cnode_term names, cnode_term tag);
void session_resolved(struct server *s, struct node *n, cnode_term resolved, cnode_term known, cnode_term external, cnode_term tag);
void session_new_nodes(struct server *s, struct node *n, cnode_term ops, cnode_term external, cnode_term nodes, cnode_term extra);
void session_in_sync(struct server *s, struct node *n, cnode_term about);
void session_say_in_sync(struct server *s, struct node *n);
void session_lock_is_set(struct server *s, struct node *n, int64_t tag, const cnode_pid id[2]);
void session_resolved_here(struct server *s, struct node *n, int64_t tag, cnode_term ops, cnode_term resolved);
/* Ends a session: the locker and the resolver let go of it, the peer (if it waits for us) is told. take_run: see locker.c; may be empty. */
void session_cancel(struct server *s, struct node *n, int64_t tag, cnode_term run);
void session_reset(struct node *n);
void session_join(struct server *s, struct node *n);             /* connect to a third node, and tell it in_sync */
void session_fini(struct node *n);

/* overlap.c: prevent_overlapping_partitions */
/* What init_connect and in_sync say of how the sender is configured, and if it is that it tells of no losses. */
cnode_term overlap_term(enum cnode_overlap overlap);
bool overlap_is_silent(cnode_term about);
enum gone { GONE_LOST, GONE_REMOVED, GONE_IGNORED };
void overlap_down(struct server *s, struct node *n, enum gone how);
void overlap_lost_connection(struct server *s, cnode_term message);
void overlap_remove_connection(struct server *s, struct node *n);
void overlap_fini(struct server *s);

/* watchdog.c */
/* A node does not do what others wait for: closes its connection. Any thread. */
void global_stalled(struct cn_global *g, cnode_name node, const char *what);
void watchdog_locked(struct server *s);         /* `global` has a new requester */
bool watchdog_message(struct server *s, cnode_term message);     /* of this node; true: it was for the watchdog */

/* inspect.c */
int inspect_call(struct server *s, cnode_from *from, cnode_term what);
int inspect_export(struct cn_global *g);

/* resolve.c */
bool resolve_kills(cnode_term method);          /* it is random_exit_name */
int resolve_it(cnode_process *self, void *context, cnode_term args, cnode_term *result);

static inline bool is_int(cnode_term term, int64_t value)
{
	int64_t v;
	return cnode_scan(term, "~q", &v) == 0 && v == value;
}

#endif
