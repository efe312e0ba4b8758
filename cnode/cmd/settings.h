/* SPDX-License-Identifier: Apache-2.0 */
/*
 * settings: what cnoded is to be: the options of the command line, and what the files of the
 * configuration say of those that it leaves open, with their sections.
 *
 * One thread only.
 */
#ifndef CN_CMD_SETTINGS_H
#define CN_CMD_SETTINGS_H

#include <stdbool.h>

#include "cnode/cmd/conf.h"
#include "cnode/cmd/options.h"
#include "cnode/node.h"

#define CN_SETTINGS_MESSAGE 2048    /* holds any error text of this file; longer ones are cut */

struct cn_options {
	const char *sname, *name;
	const char *setcookie, *cookie_file;
	bool hidden, visible;
	struct cn_opt_list load, allow, allow_fun, connect, discover, route;
	const char *listen, *epmd, *dns, *log, *config, *overlap, *busy_wait;
	long net_ticktime, global_timeout, shutdown_timeout, threads;
	bool stop_at_eof, check, help, version;
};

/* Limits of the node; 0: the library's default. */
struct cn_limits {
	long max_threads;
	long max_run_threads;
	long net_setuptime;
	long max_message;
	long max_connections;
	long max_processes;
	long max_mailbox;
	long out_high_water;
	long out_limit;
};

struct cn_settings {
	struct cn_options o;
	struct cn_limits limits;
	struct cn_conf conf;
};

/* The options, for cn_opt_parse into a struct cn_options and for cn_opt_help. */
extern const struct cn_opt cn_options_table[];
void cn_options_free(struct cn_options *options);

/*
 * Reads the configuration, completes `flags`, the command line, with it, and checks what can
 * be checked without a node. An exit status, with a sentence unless it is 0.
 * cn_settings_free in any case.
 */
int cn_settings_read(const struct cn_options *flags, struct cn_settings *s, char message[CN_SETTINGS_MESSAGE]);
void cn_settings_free(struct cn_settings *s, const struct cn_options *flags);

/* "FILE:LINE: KEY" or "-KEY": where a text of the settings stands. Valid until the next call. */
const char *cn_settings_label(const struct cn_settings *s, const char *key, const char *text);

/* The words for -epmd, -overlap, -busy_wait and -log; NULL is the default. "none" is CNODE_LOG_NONE. False: there is no such word. */
bool cn_epmd_mode_read(const char *word, enum cnode_epmd_mode *mode);
bool cn_overlap_read(const char *word, enum cnode_overlap *overlap);
bool cn_busy_wait_read(const char *word, enum cnode_busy_wait *busy_wait);
bool cn_log_level_read(const char *word, enum cnode_log_level *level);

/* Says what differs between two settings that a running node does not take over. */
void cn_settings_say_changes(const struct cn_settings *old, const struct cn_settings *new);

#endif
