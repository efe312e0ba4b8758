/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cookie: where the secret of the cluster comes from. In this order: -setcookie,
 * -cookie_file, $CNODE_COOKIE_FILE, $CREDENTIALS_DIRECTORY/cookie (systemd's
 * LoadCredential), else what libcnode does by itself (~/.erlang.cookie …).
 */
#ifndef CN_CMD_COOKIE_H
#define CN_CMD_COOKIE_H

#include "cnode/node.h"

#define CN_COOKIE_SIZE 1024         /* an atom of 255 characters and some white space */
#define CN_COOKIE_MESSAGE 1024

/* Put into the config by cn_cookie_choose, which borrows it as long as the config is used. */
struct cn_cookie {
	char text[CN_COOKIE_SIZE];
};

/*
 * Fills config->cookie or config->cookie_file; `flag` and `file` are the options' values
 * or NULL. 0; with a sentence in `message` CNODE_EBADARG (both options) or CNODE_EACCES
 * (the credential cannot be read). Files of the other places are read by cnode_node_new.
 */
int cn_cookie_choose(const char *flag, const char *file, struct cn_cookie *cookie,
		     cnode_config *config, char message[CN_COOKIE_MESSAGE]);

#endif
