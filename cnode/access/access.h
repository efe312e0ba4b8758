/* SPDX-License-Identifier: Apache-2.0 */
/*
 * access: who may do what. One list answers one question ("may this node spawn
 * counter?"). The answer is about the node a connection was authenticated for; nothing
 * that stands inside a message counts.
 *
 * A list is an ordered set of rules; the last rule that matches decides, and without one
 * the answer is no. Every change builds the new rules aside and puts them in at once, so
 * no reader sees a moment that is wider than before or after.
 */
#ifndef CN_ACCESS_H
#define CN_ACCESS_H

#include "cnode/access.h"
#include "cnode/base/base.h"

enum cn_access_mode {
	CN_ACCESS_NONE,             /* nobody may */
	CN_ACCESS_LIST,             /* those on the list may */
	CN_ACCESS_ALL,              /* everybody may but those denied */
	CN_ACCESS_DEFAULT,          /* a partial list that leaves the others to what stands behind it */
};

/* What a partial list says. */
enum cn_access_answer {
	CN_ACCESS_UNSAID,           /* nothing: what stands behind it decides */
	CN_ACCESS_YES,
	CN_ACCESS_NO,
};

struct cn_access_rule {
	bool allow;
	char *pattern;              /* a node name, '*' stands for any text */
};

/* How much of a pattern's beginning and end, up to its '*'s, is looked up. */
struct cn_access_ends {
	uint16_t head, tail;
};
#define CN_ACCESS_ENDS 32u          /* such pairs of one list; with more the ends are taken shorter, so that some are the same */

/* Rules are numbered from 1 in the index; 0 is none. */
struct cn_access_rules {
	size_t count;
	size_t mask;                /* both tables have mask + 1 slots */
	uint32_t *names;            /* a hash table of those without a '*', which are one name each */
	uint32_t *wide;             /* one of those with a '*', by their ends; each slot begins a chain */
	uint32_t *next;             /* in such a chain, for each rule */
	size_t grain;               /* ends are multiples of it */
	size_t ends_count;
	struct cn_access_ends ends[CN_ACCESS_ENDS];
	struct cn_access_rule at[];
};

struct cn_access {
	struct cn_mutex changing;           /* of whoever makes new rules of the old ones: who asks does not wait for that */
	struct cn_mutex lock;               /* taken behind it */
	bool partial;                       /* constant: without a rule it says nothing, instead of no */
	struct cn_access_rules *rules;      /* replaced whole, under both; NULL: nobody */
};

/* An empty list: nobody may. */
void cn_access_init(struct cn_access *a);
/* An empty partial list: it says nothing about anybody. cn_access_set makes it say something about everybody. */
void cn_access_init_partial(struct cn_access *a);
void cn_access_fini(struct cn_access *a);
/* The two change their rules. Nobody else uses b. */
void cn_access_swap(struct cn_access *a, struct cn_access *b);

/* May this node? `node` is the authenticated name. Any thread. */
bool cn_access_allowed(struct cn_access *a, const char *node);
/* The same of a partial list. Any thread. */
enum cn_access_answer cn_access_ask(struct cn_access *a, const char *node);

/*
 * Changes. `who` is "*", "" or names and patterns separated by commas (white space around
 * them is ignored). In cn_access_allow and cn_access_set an entry with '!' before it
 * denies, so that one change can do both. Any thread. 0; CNODE_EBADARG: an entry has no
 * '@' (and is not "*"), or is empty or longer than a name can be, and nothing was changed;
 * CNODE_ENOMEM: likewise.
 */
int cn_access_allow(struct cn_access *a, const char *who);
int cn_access_deny(struct cn_access *a, const char *who);
int cn_access_set(struct cn_access *a, const char *who);
/* Only checks `who`; *bad (may be NULL) gets where the wrong entry begins. */
int cn_access_check(const char *who, const char **bad);

/* The list as words: the mode, and the allowed (mode list) and the denied patterns, comma separated. 0, CNODE_ENOMEM. */
int cn_access_describe(struct cn_access *a, enum cn_access_mode *mode, struct cn_buf *allowed, struct cn_buf *denied);
/* The rules in their order, as cn_access_set takes them back. 0, CNODE_ENOMEM. */
int cn_access_text(struct cn_access *a, struct cn_buf *who);
const char *cn_access_mode_name(enum cn_access_mode mode);

/*
 * ---- the guard of one node: the lists of cnode/access.h, quotas, and what is refused ----
 *
 * Any thread; never blocks for long, and takes no lock but its own and those of lists, so
 * that it can be asked under the locks of other rooms.
 */
struct cn_guard;

/* *guard is yours; log is borrowed. 0, CNODE_ENOMEM. */
int cn_guard_new(struct cn_log *log, struct cn_guard **guard);
void cn_guard_free(struct cn_guard *guard);                     /* takes NULL */

int cn_guard_allow(struct cn_guard *g, enum cnode_access kind, const char *name, const char *who);
int cn_guard_deny(struct cn_guard *g, enum cnode_access kind, const char *name, const char *who);
int cn_guard_set(struct cn_guard *g, enum cnode_access kind, const char *name, const char *who);
int cn_guard_list(struct cn_guard *g, int (*each)(void *context, const cnode_access_info *list), void *context);

/* What the list of the name, else that of "*", says about the peer; a no is counted with the list. */
enum cn_access_answer cn_guard_ask(struct cn_guard *g, enum cnode_access kind, const char *name, const char *peer);

/* What was refused. */
enum cn_refusal { CN_REFUSED_SPAWN, CN_REFUSED_FUNCTION, CN_REFUSED_NAME, CN_REFUSED_EXIT, CN_REFUSED_REGISTER, CN_REFUSED_QUOTA };
#define CN_REFUSALS 6
/* Counts it, and logs "PEER may not WHAT NAME: REASON" unless there were too many of its kind this second. */
void cn_guard_refused(struct cn_guard *g, enum cn_refusal what, const char *peer, const char *name, const char *reason);
void cn_guard_counts(struct cn_guard *g, cnode_refusal_counts *counts);
/* May the peer reach the registered name? A no is a refusal; to the peer the name does not exist. */
bool cn_guard_may_reach(struct cn_guard *g, const char *peer, const char *name);
/* May the peer have this name registered, or unregistered? A no is a refusal. */
bool cn_guard_may_register(struct cn_guard *g, const char *peer, const char *name);

/* As the public functions of similar names. */
int cn_quotas_set(struct cn_guard *g, const cnode_quota *quotas, size_t count);
int cn_quota_set(struct cn_guard *g, const char *factory, const char *who, uint32_t processes, uint32_t per_second);
void cn_quota_clear(struct cn_guard *g);
/* One living process of a peer; counted until it is given back. */
struct cn_place;
/*
 * A place for one more process of the peer; factory NULL: it is of none. `now` as cn_now, not
 * going back. 0; CNODE_ESYSLIMIT: a quota is reached, *why (static) says which; CNODE_ENOMEM.
 */
int cn_quota_take(struct cn_guard *g, const char *peer, const char *factory, uint64_t now, struct cn_place **place,
		  const char **why);
void cn_quota_give(struct cn_guard *g, struct cn_place *place); /* takes NULL */

/* Does the pattern match the text? '*' is the only special character. */
bool cn_access_match(const char *pattern, const char *text);

#endif
