/* SPDX-License-Identifier: Apache-2.0 */
/*
 * modules: finding, checking and starting the shared objects that cnoded loads
 * (cnode/module.h). A name without slash is looked for as NAME.so in the folders of
 * $CNODE_MODULE_PATH, then in the installed module folder, never in the current one; a
 * path is tried as it is, with ".so", and in ".libs/" beside it, where libtool builds.
 *
 * One thread only.
 */
#ifndef CN_CMD_MODULES_H
#define CN_CMD_MODULES_H

#include <stddef.h>

#include "cnode/cmd/conf.h"
#include "cnode/module.h"

#define CN_MODULE_MESSAGE 3072      /* holds any error text of this file; longer ones are cut */

struct cn_loaded {
	const cnode_module *entry;  /* in the shared object */
	void *state;                /* what its start hook left */
};

struct cn_modules {
	struct cn_loaded *item;
	size_t count;
};

/*
 * Loads a module and calls its start hook, which finds the keys of the module's section in
 * `conf`. With `node` NULL it is only looked at, and not kept. 0; with a sentence in `message`
 * CNODE_ENOENT (not found), CNODE_EBADARG (not a module, or of another ABI, or its section
 * has a key that it did not ask for), CNODE_EEXIST (loaded already), CNODE_ENOMEM, or what
 * the hook returned.
 */
int cn_modules_load(struct cn_modules *modules, cnode_node *node, const struct cn_conf *conf, const char *name,
		    char message[CN_MODULE_MESSAGE]);
/* Loads the module of a section by its title, or its key `path`, unless it is loaded. As above; CNODE_EBADARG also if the module has another name. */
int cn_modules_load_section(struct cn_modules *modules, cnode_node *node, const struct cn_conf *conf,
			    const struct cn_conf_section *section, char message[CN_MODULE_MESSAGE]);
/* Calls the stop hooks, the last loaded first, once the node is down. */
void cn_modules_stop(struct cn_modules *modules, cnode_node *node);
/* Frees the list. The objects stay mapped: the node's memory may still point into them. */
void cn_modules_free(struct cn_modules *modules);

#endif
