/* SPDX-License-Identifier: Apache-2.0 */
/* All of libcnode but the conversions of <cnode/ei.h>, which need erl_interface. */
#ifndef CNODE_H
#define CNODE_H

#include "cnode/access.h"
#include "cnode/error.h"
#include "cnode/function.h"
#include "cnode/global.h"
#include "cnode/log.h"
#include "cnode/mailbox.h"
#include "cnode/memory.h"
#include "cnode/module.h"
#include "cnode/node.h"
#include "cnode/pg.h"
#include "cnode/pool.h"
#include "cnode/process.h"
#include "cnode/pubsub.h"
#include "cnode/server.h"
#include "cnode/spawn.h"
#include "cnode/term.h"

#endif
