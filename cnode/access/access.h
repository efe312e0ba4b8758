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

#include "cnode/base/base.h"

enum cn_access_mode {
	CN_ACCESS_NONE,             /* nobody may */
	CN_ACCESS_LIST,             /* those on the list may */
	CN_ACCESS_ALL,              /* everybody may but those denied */
};

/* Entries of one list; more would make every request slow. */
#define CN_ACCESS_ENTRIES_MAX 10000

struct cn_access_rule {
	bool allow;
	char *pattern;              /* a node name, '*' stands for any text */
};

struct cn_access_rules {
	size_t count;
	struct cn_access_rule at[];
};

struct cn_access {
	struct cn_mutex lock;
	struct cn_access_rules *rules;      /* replaced whole; NULL: nobody */
};

/* An empty list: nobody may. */
void cn_access_init(struct cn_access *a);
void cn_access_fini(struct cn_access *a);

/* May this node? `node` is the authenticated name. Any thread. */
bool cn_access_allowed(struct cn_access *a, const char *node);

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

/* Does the pattern match the text? '*' is the only special character. */
bool cn_access_match(const char *pattern, const char *text);

#endif
