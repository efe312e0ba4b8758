/* SPDX-License-Identifier: Apache-2.0 */
/*
 * say: what a program tells the person before it. Everything goes to stderr, one line in
 * one write; bytes that could steer a terminal are shown as '?', because names and
 * reasons come from other nodes. With $JOURNAL_STREAM naming stderr, each line begins
 * with the priority that systemd-journald reads (sd-daemon(3)).
 *
 * Any thread, after cn_say_init.
 */
#ifndef CN_CMD_SAY_H
#define CN_CMD_SAY_H

#include <stdarg.h>

#include "cnode/log.h"

/* `program` begins each message; borrowed. */
void cn_say_init(const char *program);
/* "program: text". */
void cn_say(enum cnode_log_level level, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* The text alone, for lines that follow a message. */
void cn_say_more(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Makes the same of bytes that go to stdout: '?' for each that could steer a terminal. Returns text. */
char *cn_say_plain(char *text);
/* A cnode_log_fn: a line of the node's log, with the time unless the journal has it anyway. */
void cn_say_log(void *context, enum cnode_log_level level, const char *text);

#endif
