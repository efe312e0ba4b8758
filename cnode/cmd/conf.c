/* SPDX-License-Identifier: Apache-2.0 */
/* conf: files and folders, libconfuse, and the tree that is made of what it read. */
#include "cnode/cmd/conf.h"

#include <confuse.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cnode/error.h"

#define FILE_MAX ((off_t)4 << 20)
#define PATH_SIZE 1024

/* What libconfuse complained of last: it hands its error function no context. */
static char complaint[CN_CONF_MESSAGE];

static void complain(cfg_t *cfg, const char *format, va_list args)
{
	int n = snprintf(complaint, sizeof complaint, "%s:%d: ", cfg->filename, cfg->line);

	if (n < 0 || (size_t)n >= sizeof complaint)
		return;
	vsnprintf(complaint + n, sizeof complaint - (size_t)n, format, args);
	/* Takes the tags out. */
	char *to = complaint;
	for (const char *from = complaint; *from != '\0'; from++)
		if (*from == CN_CONF_TAG)
			from += strspn(from + 1, "0123456789:");
		else
			*to++ = *from;
	*to = '\0';
}

/* ---- the tree ---- */

static struct cn_conf_section *add_section(struct cn_conf *conf, const char *kind)
{
	struct cn_conf_section *more = realloc(conf->section, (conf->count + 1) * sizeof *more);

	if (more == NULL)
		return NULL;
	conf->section = more;
	more[conf->count] = (struct cn_conf_section){ .kind = kind };
	return &more[conf->count++];
}

static void clear_section(struct cn_conf_section *s)
{
	for (size_t i = 0; i < s->count; i++) {
		for (size_t j = 0; j < s->key[i].count; j++)
			free(s->key[i].value[j].text);
		free(s->key[i].value);
		free(s->key[i].name);
	}
	free(s->key);
	s->key = NULL;
	s->count = 0;
}

void cn_conf_free(struct cn_conf *conf)
{
	for (size_t i = 0; i < conf->count; i++) {
		clear_section(&conf->section[i]);
		free(conf->section[i].title);
	}
	free(conf->section);
	for (size_t i = 0; i < conf->files; i++)
		free(conf->file[i]);
	free(conf->file);
	*conf = (struct cn_conf){ .count = 0 };
}

/* Parts a tagged text: its own copy, and its place. */
static int untag(const struct cn_conf *conf, const char *tagged, struct cn_conf_value *value)
{
	size_t size = strcspn(tagged, (char[]){ CN_CONF_TAG, '\0' });
	size_t file = 0;

	*value = (struct cn_conf_value){ .text = strndup(tagged, size) };
	if (value->text == NULL)
		return CNODE_ENOMEM;
	if (tagged[size] != '\0' && sscanf(tagged + size + 1, "%zu:%d", &file, &value->line) == 2 && file < conf->files)
		value->file = conf->file[file];
	return 0;
}

static int add_key(const struct cn_conf *conf, struct cn_conf_section *section, cfg_opt_t *opt)
{
	struct cn_conf_key *more = realloc(section->key, (section->count + 1) * sizeof *more);

	if (more == NULL)
		return CNODE_ENOMEM;
	section->key = more;
	struct cn_conf_key *key = &more[section->count];
	*key = (struct cn_conf_key){ .name = strdup(opt->name) };
	if (key->name == NULL)
		return CNODE_ENOMEM;
	section->count++;
	unsigned count = cfg_opt_size(opt);
	key->value = calloc(count + 1, sizeof *key->value);
	if (key->value == NULL)
		return CNODE_ENOMEM;
	for (unsigned i = 0; i < count; i++) {
		if (untag(conf, cfg_opt_getnstr(opt, i), &key->value[key->count]) != 0)
			return CNODE_ENOMEM;
		key->count++;
	}
	return 0;
}

static int add_keys(const struct cn_conf *conf, struct cn_conf_section *section, cfg_t *cfg)
{
	for (cfg_opt_t *opt = cfg->opts; opt->name != NULL; opt++)
		if (opt->type == CFGT_STR && (opt->flags & CFGF_MODIFIED) != 0 && add_key(conf, section, opt) != 0)
			return CNODE_ENOMEM;
	return 0;
}

/* One section that libconfuse has, which may replace an earlier one. */
static int take_section(struct cn_conf *conf, const char *kind, cfg_t *cfg, char message[CN_CONF_MESSAGE])
{
	struct cn_conf_value title = { .text = NULL };
	struct cn_conf_section *section = NULL;

	if (cfg->title != NULL && untag(conf, cfg->title, &title) != 0)
		return CNODE_ENOMEM;
	if (title.text != NULL)
		section = cn_conf_section(conf, kind, title.text);
	if (section != NULL && section->file == title.file) {
		snprintf(message, CN_CONF_MESSAGE, "%s:%d: %s %.200s is there twice, in line %d too", title.file, title.line,
			 kind, title.text, section->line);
		free(title.text);
		return CNODE_EBADARG;
	}
	if (section != NULL) {
		clear_section(section);
		free(section->title);
	} else {
		section = add_section(conf, kind);
	}
	if (section == NULL) {
		free(title.text);
		return CNODE_ENOMEM;
	}
	section->title = title.text;
	section->file = title.file;
	section->line = title.line;
	return add_keys(conf, section, cfg);
}

static int make_tree(struct cn_conf *conf, const struct cn_conf_schema *schema, cfg_t *cfg, char message[CN_CONF_MESSAGE])
{
	struct cn_conf_section *outside = add_section(conf, "");
	int rc = outside == NULL ? CNODE_ENOMEM : add_keys(conf, outside, cfg);

	for (const struct cn_conf_kind *k = schema->kind; k->name != NULL && rc == 0; k++)
		for (unsigned i = 0; i < cfg_size(cfg, k->name) && rc == 0; i++)
			rc = take_section(conf, k->name, cfg_getnsec(cfg, k->name, i), message);
	return rc;
}

/* ---- libconfuse ---- */

/* The options of a schema; free with free_options. NULL: no memory. */
static cfg_opt_t *make_options(const struct cn_conf_schema *schema)
{
	size_t count = 0, fields;

	for (const struct cn_opt *o = schema->table; o->name != NULL; o++)
		count++;
	for (const struct cn_conf_kind *k = schema->kind; k->name != NULL; k++)
		count++;
	cfg_opt_t *options = calloc(count + 1, sizeof *options), *at = options;
	if (options == NULL)
		return NULL;
	/* All of them are texts: what a text has to be is for those who know more. */
	for (const struct cn_opt *o = schema->table; o->name != NULL; o++, at++) {
		if (o->kind == CN_OPT_LIST)
			*at = (cfg_opt_t)CFG_STR_LIST(o->name, NULL, CFGF_NODEFAULT);
		else
			*at = (cfg_opt_t)CFG_STR(o->name, NULL, CFGF_NODEFAULT);
	}
	for (const struct cn_conf_kind *k = schema->kind; k->name != NULL; k++, at++) {
		for (fields = 0; k->field != NULL && k->field[fields].key != NULL;)
			fields++;
		/* libconfuse copies the options of sections with cfg_init. */
		cfg_opt_t *sub = calloc(fields + 1, sizeof *sub);
		for (size_t i = 0; i < fields && sub != NULL; i++) {
			if (k->field[i].list)
				sub[i] = (cfg_opt_t)CFG_STR_LIST(k->field[i].key, NULL, CFGF_NODEFAULT);
			else
				sub[i] = (cfg_opt_t)CFG_STR(k->field[i].key, NULL, CFGF_NODEFAULT);
		}
		*at = (cfg_opt_t)CFG_SEC(k->name, sub, (k->titled ? CFGF_MULTI | CFGF_TITLE : CFGF_NONE) |
							       (k->free ? CFGF_KEYSTRVAL : CFGF_NONE));
	}
	*at = (cfg_opt_t)CFG_END();
	return options;
}

static void free_options(cfg_opt_t *options)
{
	for (cfg_opt_t *o = options; o != NULL && o->name != NULL; o++)
		free(o->subopts);
	free(options);
}

static bool has_options(const cfg_opt_t *options)
{
	for (const cfg_opt_t *o = options; o != NULL && o->name != NULL; o++)
		if (o->type == CFGT_SEC && o->subopts == NULL)
			return false;
	return options != NULL;
}

/* ---- files ---- */

/* The bytes of a regular file, to *bytes (free() it). */
static int read_file(const char *path, char **bytes, size_t *size, char message[CN_CONF_MESSAGE])
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	*bytes = NULL;
	*size = 0;
	if (fd < 0 || fstat(fd, &st) != 0) {
		int rc = errno == ENOENT ? CNODE_ENOENT : CNODE_EACCES;
		snprintf(message, CN_CONF_MESSAGE, "%.800s: %s", path, strerror(errno));
		if (fd >= 0)
			close(fd);
		return rc;
	}
	/* /dev/null is how to have none. */
	if ((!S_ISREG(st.st_mode) && strcmp(path, "/dev/null") != 0) || st.st_size > FILE_MAX) {
		snprintf(message, CN_CONF_MESSAGE, "%.800s: %s", path,
			 S_ISREG(st.st_mode) ? "too large for a configuration" : "no regular file");
		close(fd);
		return CNODE_EACCES;
	}
	size_t room = (size_t)st.st_size;
	ssize_t n = 0;
	*bytes = malloc(room + 1);
	while (*bytes != NULL && *size < room && (n = read(fd, *bytes + *size, room - *size)) > 0)
		*size += (size_t)n;
	if (n < 0)
		snprintf(message, CN_CONF_MESSAGE, "%.800s: %s", path, strerror(errno));
	close(fd);
	return *bytes == NULL ? CNODE_ENOMEM : n < 0 ? CNODE_EACCES : 0;
}

/* Parses what the scan has made. */
static int parse(cfg_t *cfg, const char *path, char *text, char message[CN_CONF_MESSAGE])
{
	if (*text == '\0')
		return 0;               /* fmemopen takes no empty text */
	free(cfg->filename);
	cfg->filename = strdup(path);
	FILE *stream = fmemopen(text, strlen(text), "r");
	if (stream == NULL || cfg->filename == NULL) {
		if (stream != NULL)
			fclose(stream);
		return CNODE_ENOMEM;
	}
	int rc = cfg_parse_fp(cfg, stream);
	fclose(stream);
	if (rc == CFG_SUCCESS)
		return 0;
	snprintf(message, CN_CONF_MESSAGE, "%s", complaint);
	return CNODE_EBADARG;
}

static int parse_file(struct cn_conf *conf, const struct cn_conf_schema *schema, cfg_t *cfg, const char *path,
		      char message[CN_CONF_MESSAGE])
{
	char *bytes, *text = NULL, **more;
	size_t size;
	int rc = read_file(path, &bytes, &size, message);

	if (rc == 0 && (more = realloc(conf->file, (conf->files + 1) * sizeof *more)) != NULL) {
		conf->file = more;
		more[conf->files] = strdup(path);
		rc = more[conf->files] == NULL ? CNODE_ENOMEM : 0;
		conf->files += rc == 0;
	} else if (rc == 0) {
		rc = CNODE_ENOMEM;
	}
	if (rc == 0)
		rc = cn_conf_scan(schema, path, conf->files - 1, bytes, size, &text, message);
	if (rc == 0)
		rc = parse(cfg, path, text, message);
	free(text);
	free(bytes);
	return rc;
}

static int is_conf(const struct dirent *entry)
{
	size_t size = strlen(entry->d_name);
	return entry->d_name[0] != '.' && size > 5 && strcmp(entry->d_name + size - 5, ".conf") == 0;
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int parse_folder(struct cn_conf *conf, const struct cn_conf_schema *schema, cfg_t *cfg, const char *folder,
			char message[CN_CONF_MESSAGE])
{
	char path[PATH_SIZE];
	struct dirent **entry = NULL;

	snprintf(path, sizeof path, "%s/cnoded.conf", folder);
	int rc = parse_file(conf, schema, cfg, path, message);
	if (rc == CNODE_ENOENT)
		rc = 0;
	snprintf(path, sizeof path, "%s/conf.d", folder);
	int count = rc == 0 ? scandir(path, &entry, is_conf, by_bytes) : 0;
	if (count < 0 && errno != ENOENT) {
		snprintf(message, CN_CONF_MESSAGE, "%.800s: %s", path, strerror(errno));
		rc = errno == ENOMEM ? CNODE_ENOMEM : CNODE_EACCES;
	}
	for (int i = 0; i < count; i++) {
		snprintf(path, sizeof path, "%s/conf.d/%s", folder, entry[i]->d_name);
		if (rc == 0)
			rc = parse_file(conf, schema, cfg, path, message);
		free(entry[i]);
	}
	free(entry);
	if (rc == 0 && conf->files == 0) {
		snprintf(message, CN_CONF_MESSAGE, "%.800s: the folder has neither cnoded.conf nor conf.d/*.conf", folder);
		rc = CNODE_ENOENT;
	}
	return rc;
}

int cn_conf_read(struct cn_conf *conf, const struct cn_conf_schema *schema, const char *path,
		 char message[CN_CONF_MESSAGE])
{
	struct stat st;
	cfg_opt_t *options = make_options(schema);
	cfg_t *cfg = has_options(options) ? cfg_init(options, CFGF_NONE) : NULL;
	int rc = cfg == NULL ? CNODE_ENOMEM : 0;

	*conf = (struct cn_conf){ .count = 0 };
	if (cfg != NULL)
		cfg_set_error_function(cfg, complain);
	if (rc == 0 && (*path == '\0' || strlen(path) > PATH_SIZE - 300)) {
		snprintf(message, CN_CONF_MESSAGE, "the path of the configuration is %s", *path == '\0' ? "empty" : "too long");
		rc = CNODE_EACCES;
	}
	if (rc == 0 && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		rc = parse_folder(conf, schema, cfg, path, message);
	else if (rc == 0)
		rc = parse_file(conf, schema, cfg, path, message);
	if (rc == 0)
		rc = make_tree(conf, schema, cfg, message);
	if (rc == CNODE_ENOMEM)
		snprintf(message, CN_CONF_MESSAGE, "%s", cnode_strerror(rc));
	if (cfg != NULL)
		cfg_free(cfg);
	free_options(options);
	return rc;
}

/* ---- asking ---- */

struct cn_conf_section *cn_conf_section(const struct cn_conf *conf, const char *kind, const char *title)
{
	for (size_t i = 0; i < conf->count; i++) {
		struct cn_conf_section *s = &conf->section[i];
		if (strcmp(s->kind, kind) == 0 && (title == NULL) == (s->title == NULL) &&
		    (title == NULL || strcmp(s->title, title) == 0))
			return s;
	}
	return NULL;
}

struct cn_conf_key *cn_conf_key(const struct cn_conf_section *section, const char *name)
{
	for (size_t i = 0; section != NULL && i < section->count; i++)
		if (strcmp(section->key[i].name, name) == 0)
			return &section->key[i];
	return NULL;
}

static const char *rival_of(const char *const (*rivals)[2], const char *name)
{
	for (; (*rivals)[0] != NULL; rivals++)
		for (int i = 0; i < 2; i++)
			if (strcmp((*rivals)[i], name) == 0)
				return (*rivals)[1 - i];
	return NULL;
}

static const struct cn_opt *option(const struct cn_opt *table, const char *name)
{
	while (table->name != NULL && strcmp(table->name, name) != 0)
		table++;
	return table;
}

/* Sets one option to what a key says. */
static int fill(const struct cn_conf *conf, const struct cn_conf_key *key, const struct cn_opt *opt, const struct cn_opt *rival,
		void *target, char message[CN_CONF_MESSAGE])
{
	char label[CN_CONF_LABEL];

	for (size_t i = 0; i < key->count; i++) {
		char text[CN_OPT_MESSAGE] = "out of memory";
		int rc = cn_opt_store(opt, cn_conf_label(conf, opt->name, key->value[i].text, label), target,
				      key->value[i].text, text);
		if (rc == 0 && opt->kind == CN_OPT_FLAG && rival != NULL && !cn_opt_given(opt, target))
			rc = cn_opt_store(rival, label, target, "yes", text);
		if (rc != 0) {
			snprintf(message, CN_CONF_MESSAGE, "%s", text);
			return rc;
		}
	}
	return 0;
}

int cn_conf_fill(const struct cn_conf *conf, const struct cn_opt *table, const char *const (*rivals)[2], void *target,
		 char message[CN_CONF_MESSAGE])
{
	const struct cn_conf_section *outside = cn_conf_section(conf, "", NULL);
	bool given[128] = { false };    /* on the command line, which the files do not change */
	int rc = 0;

	for (size_t i = 0; table[i].name != NULL && i < sizeof given / sizeof given[0]; i++)
		given[i] = cn_opt_given(&table[i], target);
	for (size_t i = 0; table[i].name != NULL && i < sizeof given / sizeof given[0] && rc == 0; i++) {
		const struct cn_conf_key *key = cn_conf_key(outside, table[i].name);
		const char *name = rival_of(rivals, table[i].name);
		const struct cn_opt *rival = name != NULL ? option(table, name) : NULL;
		if (key != NULL && !given[i] && !(rival != NULL && given[rival - table]))
			rc = fill(conf, key, &table[i], rival, target, message);
	}
	return rc;
}

const char *cn_conf_label(const struct cn_conf *conf, const char *key, const char *text, char label[CN_CONF_LABEL])
{
	for (size_t i = 0; i < conf->count; i++)
		for (size_t j = 0; j < conf->section[i].count; j++)
			for (size_t k = 0; k < conf->section[i].key[j].count; k++) {
				const struct cn_conf_value *v = &conf->section[i].key[j].value[k];
				if (v->text != text)
					continue;
				snprintf(label, CN_CONF_LABEL, "%s:%d: %s", v->file, v->line, conf->section[i].key[j].name);
				return label;
			}
	snprintf(label, CN_CONF_LABEL, "-%s", key);
	return label;
}
