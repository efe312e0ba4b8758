/* SPDX-License-Identifier: Apache-2.0 */
/* What the nodes of a test program have in common: they are found on loopback, without any epmd. */
#ifndef TESTS_LOOPBACK_H
#define TESTS_LOOPBACK_H

#include "cnode/node.h"

static inline cnode_config loopback_config(const char *name)
{
	cnode_config cfg = CNODE_CONFIG_INIT;
	cfg.name = name;
	cfg.cookie = "secret";
	cfg.listen = "127.0.0.1";
	cfg.epmd = CNODE_EPMD_NONE;
	cfg.log_level = CNODE_LOG_ERROR;
	return cfg;
}

#endif
