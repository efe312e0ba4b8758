/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log lines of a node. The node never waits for the function that writes them: lines
 * are queued and handed over by a thread that holds no lock of the node.
 */
#ifndef CNODE_LOG_H
#define CNODE_LOG_H

#include <stddef.h>

#include "cnode/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Ordered as OTP's logger levels are; a node logs its level and all above it. */
enum cnode_log_level {
	CNODE_LOG_NONE = 0,
	CNODE_LOG_ERROR,
	CNODE_LOG_WARNING,
	CNODE_LOG_NOTICE,
	CNODE_LOG_INFO,
	CNODE_LOG_DEBUG,
};

/*
 * Takes one line without newline. `text` is borrowed until the function returns. Called
 * by one thread at a time, in the order in which things happened.
 */
typedef void cnode_log_fn(void *context, enum cnode_log_level level, const char *text);

/*
 * Takes output of processes, UTF-8, `size` bytes, not terminated; borrowed until the function
 * returns, which may block. Called by one thread at a time. Since 0.2.
 */
typedef void cnode_output_fn(void *context, const char *text, size_t size);

/* "error", "warning", …; "none" for anything else. Static memory. Since 0.1. */
CNODE_API const char *cnode_log_level_name(enum cnode_log_level level);

/* The level of a name; CNODE_EBADARG if there is none such. Since 0.1. */
CNODE_API int cnode_log_level_parse(const char *name, enum cnode_log_level *level);

#ifdef __cplusplus
}
#endif
#endif
