/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lists: who may spawn from which factory, call which function and send to which name, and
 * how much, from the command line and the configuration to the node. A list is made whole,
 * checked, and only then set, in one step each; a reload that fails changes nothing.
 *
 * One thread only.
 */
#ifndef CN_CMD_LISTS_H
#define CN_CMD_LISTS_H

#include "cnode/access.h"
#include "cnode/cmd/conf.h"
#include "cnode/node.h"

#define CN_LISTS_MESSAGE 2048       /* holds any error text of this file; longer ones are cut */

enum cn_list_kind {
	CN_LIST_FACTORY,
	CN_LIST_FUNCTION,           /* its name is MODULE:FUNCTION */
	/* Those of cnode/access.h. */
	CN_LIST_NAME,
	CN_LIST_EXIT,
	CN_LIST_REGISTER,
};

struct cn_list {
	enum cn_list_kind kind;
	char *name;
	char *who;                  /* as cnode_factory_set takes it */
	size_t size, room;          /* of who: its length, and the bytes that it may grow to; 0: who was made elsewhere */
	size_t entries;             /* in who */
	const char *from;           /* the text of -allow or -allow_fun it came from first; NULL: a section */
};

struct cn_lists {
	struct cn_list *item;
	size_t count;
	cnode_quota *quota;         /* its texts are owned too */
	size_t quotas;
};

/* Where lists come from. */
struct cn_lists_source {
	const struct cn_conf *conf;
	const struct cn_opt_list *allow, *allow_fun;
};

/* The lists of all factories as they are now: those that the modules gave them. 0, CNODE_ENOMEM. */
int cn_lists_of_modules(cnode_node *node, struct cn_lists *lists);

/*
 * Makes the lists of a source; `modules` has those of the factories that are there. With
 * `node` NULL the names of factories are not looked at (-check). Warns of what can match
 * nothing. 0; CNODE_EBADARG with a sentence in `message`; CNODE_ENOMEM.
 */
int cn_lists_make(const struct cn_lists_source *source, cnode_node *node, const char *node_name,
		  const struct cn_lists *modules, struct cn_lists *lists, char message[CN_LISTS_MESSAGE]);

/*
 * Sets them in the node. What `old` has and `lists` has not goes back to what its module
 * gave it. On failure all are as in `old`. 0, CNODE_ENOMEM.
 */
int cn_lists_set(const struct cn_lists *lists, const struct cn_lists *old, const struct cn_lists *modules, cnode_node *node);

void cn_lists_free(struct cn_lists *lists);

#endif
