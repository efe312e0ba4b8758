/* SPDX-License-Identifier: Apache-2.0 */
/*
 * options: command lines from a table, in the manner of erl and of getopt_long_only. A
 * name has one dash or two, '-' and '_' in it are alike, the value follows as the next
 * word or after '='; options and words may be mixed; "--" ends the options. A dash that
 * a digit follows begins a word (the term -5), not an option. The help text comes from
 * the same table, so it cannot forget an option.
 *
 * One thread only. Used by both programs.
 */
#ifndef CN_CMD_OPTIONS_H
#define CN_CMD_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#define CN_OPT_MESSAGE 512          /* holds any error text of this file */

enum cn_opt_kind {
	CN_OPT_FLAG,                /* bool: set to true */
	CN_OPT_TEXT,                /* const char *: the last one given counts */
	CN_OPT_LIST,                /* struct cn_opt_list: all that were given, in order */
	CN_OPT_NUMBER,              /* long, between min and max */
	CN_OPT_SECONDS,             /* long, in milliseconds; given as seconds, "0.5" too */
	CN_OPT_SIZE,                /* long, in bytes between min and max; given as bytes, "64K", "16M" or "1G" */
};

/* One option; a table ends with a row without name. */
struct cn_opt {
	const char *name;           /* without dashes, its words joined by '_' */
	const char *value;          /* what follows, as the help calls it; NULL: nothing follows */
	enum cn_opt_kind kind;
	size_t offset;              /* of the variable in the caller's struct */
	long min, max;              /* CN_OPT_NUMBER, CN_OPT_SECONDS (in milliseconds) and CN_OPT_SIZE */
	const char *help;           /* a phrase without full stop */
};

struct cn_opt_list {
	const char **item;          /* borrowed from argv; with a NULL behind the last, unless there is none */
	size_t count;
};

/*
 * Reads the command line into `target`; words that are no options go to `words`. Texts are
 * borrowed from argv. 0; CNODE_EBADARG with a sentence in `message`; CNODE_ENOMEM.
 */
int cn_opt_parse(int argc, char *argv[], const struct cn_opt *table, void *target,
		 struct cn_opt_list *words, char message[CN_OPT_MESSAGE]);
void cn_opt_list_free(struct cn_opt_list *list);
/*
 * Reads one value into `target`, as cn_opt_parse does for opt; `label` begins the sentence
 * about a wrong one. A flag takes yes and no, true and false, on and off. 0, CNODE_EBADARG,
 * CNODE_ENOMEM.
 */
int cn_opt_store(const struct cn_opt *opt, const char *label, void *target, const char *value,
		 char message[CN_OPT_MESSAGE]);
/* Has `target` a value for the option? */
bool cn_opt_given(const struct cn_opt *opt, const void *target);

/*
 * What was meant: keeps in *best the name that is the nearest to `given` so far, if it is near enough, and in *least how
 * near. At first NULL and SIZE_MAX.
 */
void cn_opt_nearer(const char *given, const char *name, const char **best, size_t *least);

/* Writes one line per option to stdout, wrapped at 80 columns. */
void cn_opt_help(const struct cn_opt *table);
/* Writes `label` and `text` in two columns as cn_opt_help does. */
void cn_opt_help_line(const char *label, const char *text);

#endif
