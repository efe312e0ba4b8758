/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conf: configuration files, cnoded.conf(5), as sections of keys and values, each of which
 * knows the file and the line it stands in. libconfuse knows the grammar; what it does not
 * do comes first, in conf_scan.c: right line numbers, ${VARIABLES} that must be set, strings
 * that must end, keys that must be known.
 *
 * One thread only: libconfuse's scanner is one for the program.
 */
#ifndef CN_CMD_CONF_H
#define CN_CMD_CONF_H

#include <stdbool.h>
#include <stddef.h>

#include "cnode/cmd/options.h"

#define CN_CONF_MESSAGE 1024        /* holds any error text of this file; longer ones are cut */
#define CN_CONF_LABEL 512

/* ---- what may stand in a file ---- */

struct cn_conf_field {
	const char *key;
	bool list;                  /* key = { a, b } too, and += */
};

/* A kind of sections: KIND { … }, or KIND TITLE { … }. */
struct cn_conf_kind {
	const char *name;
	bool titled;
	bool free;                  /* any key, each with one value */
	const struct cn_conf_field *field;      /* ends with a NULL key */
};

/* `table` gives the keys outside of sections: every option but help, version, check and config. `kind` ends with a NULL name. */
struct cn_conf_schema {
	const struct cn_opt *table;
	const struct cn_conf_kind *kind;
};

/* ---- what stood there ---- */

struct cn_conf_value {
	char *text;
	const char *file;           /* of the conf */
	int line;
};

struct cn_conf_key {
	char *name;
	struct cn_conf_value *value;
	size_t count;               /* 0: an empty list */
	bool used;                  /* somebody has asked for it (free sections) */
};

struct cn_conf_section {
	const char *kind;           /* of the schema; "" for what stands outside of sections, which comes first */
	char *title;                /* NULL: without */
	const char *file;
	int line;                   /* where it begins; 0: without title */
	struct cn_conf_key *key;
	size_t count;
};

struct cn_conf {
	char **file;                /* that were read, in order */
	size_t files;
	struct cn_conf_section *section;
	size_t count;
};

/*
 * Reads `path`: a file, or a folder, of which cnoded.conf and then conf.d/<any>.conf in the
 * order of their names are read. What comes later replaces: a key, and a section of the
 * same title as a whole. 0; with a sentence in `message` CNODE_ENOENT (there is no such file,
 * or the folder has none), CNODE_EACCES (it cannot be read), CNODE_EBADARG (what it says is
 * wrong: file, line and key are named), CNODE_ENOMEM. cn_conf_free in any case.
 */
int cn_conf_read(struct cn_conf *conf, const struct cn_conf_schema *schema, const char *path,
		 char message[CN_CONF_MESSAGE]);
void cn_conf_free(struct cn_conf *conf);

/* The section, or NULL. title NULL: the one without. */
struct cn_conf_section *cn_conf_section(const struct cn_conf *conf, const char *kind, const char *title);
/* A key of a section, or NULL. */
struct cn_conf_key *cn_conf_key(const struct cn_conf_section *section, const char *name);

/*
 * Sets in `target` what the files say and the command line, already in there, does not. Of
 * two rivals (`rivals` ends with a NULL pair) neither is taken if the command line has one;
 * a rival that is a flag and "no" sets the other. Texts are borrowed from the conf. 0,
 * CNODE_EBADARG with a sentence, CNODE_ENOMEM.
 */
int cn_conf_fill(const struct cn_conf *conf, const struct cn_opt *table, const char *const (*rivals)[2], void *target,
		 char message[CN_CONF_MESSAGE]);

/* "FILE:LINE: KEY" for a text that the conf owns, "-KEY" for another one. Returns label. */
const char *cn_conf_label(const struct cn_conf *conf, const char *key, const char *text, char label[CN_CONF_LABEL]);

/* ---- conf_scan.c ---- */

/* Behind each value and title of the scanned text: this, "FILE:LINE" in digits. */
#define CN_CONF_TAG '\x1f'

/*
 * Makes of a file's bytes what libconfuse reads, to *text (free() it): words in double
 * quotes, variables replaced, comments blank, tags. `number` is the file's in the conf.
 * 0, CNODE_EBADARG with a sentence, CNODE_ENOMEM.
 */
int cn_conf_scan(const struct cn_conf_schema *schema, const char *file, size_t number, const char *bytes, size_t size,
		 char **text, char message[CN_CONF_MESSAGE]);

#endif
