/* SPDX-License-Identifier: Apache-2.0 */
/* settings: the tables of options and keys, and how command line and files become one. */
#include "cnode/cmd/settings.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cnode/cmd/say.h"
#include "cnode/cmd/status.h"

#define AT(member) offsetof(struct cn_options, member)
const struct cn_opt cn_options_table[] = {
	{ "sname", "NAME", CN_OPT_TEXT, AT(sname), 0, 0,
	  "the node's name, with the short name of this host added unless it has an @" },
	{ "name", "NAME", CN_OPT_TEXT, AT(name), 0, 0,
	  "the same with long names: NAME@HOST, where HOST has a dot or is an address" },
	{ "setcookie", "COOKIE", CN_OPT_TEXT, AT(setcookie), 0, 0,
	  "the cookie; everybody on this machine can see it in ps" },
	{ "cookie_file", "FILE", CN_OPT_TEXT, AT(cookie_file), 0, 0,
	  "the file with the cookie, readable for its owner only; -: the first line of standard input; default: "
	  "$CNODE_COOKIE_FILE, "
	  "$CREDENTIALS_DIRECTORY/cookie, ~/.erlang.cookie" },
	{ "hidden", NULL, CN_OPT_FLAG, AT(hidden), 0, 0, "be a hidden node: not in nodes() of the others" },
	{ "visible", NULL, CN_OPT_FLAG, AT(visible), 0, 0, "be an ordinary node (the default)" },
	{ "load", "MODULE", CN_OPT_LIST, AT(load), 0, 0,
	  "load a module: the name of an installed one, or a path; may be repeated" },
	{ "allow", "FACTORY[=NODE,...]", CN_OPT_LIST, AT(allow), 0, 0,
	  "let these nodes spawn from a factory; without nodes: every node; may be repeated" },
	{ "allow_fun", "MODULE:FUNCTION[=NODE,...]", CN_OPT_LIST, AT(allow_fun), 0, 0,
	  "let these nodes call an exported function by rpc and erpc, MODULE:* all of a module; "
	  "without nodes: every node; may be repeated" },
	{ "connect", "NODE[,NODE...]", CN_OPT_LIST, AT(connect), 0, 0,
	  "connect to these nodes, again and again if need be; NAME@HOST:PORT goes without epmd; "
	  "may be repeated" },
	{ "discover", "SOURCE", CN_OPT_LIST, AT(discover), 0, 0,
	  "look for nodes and connect to them: epmd:[PATTERN@]HOST,..., dns:NAME@QUESTION, "
	  "srv:NAME@QUESTION or list:NODE,...; may be repeated" },
	{ "dns", "ADDR[:PORT],...", CN_OPT_TEXT, AT(dns), 0, 0, "DNS servers to ask; default: the system's" },
	{ "listen", "ADDR[:PORT]", CN_OPT_TEXT, AT(listen), 0, 0,
	  "the address to listen on, [ADDR]:PORT for IPv6, :PORT for all; default: all, any port" },
	{ "epmd", "MODE", CN_OPT_TEXT, AT(epmd), 0, 0,
	  "auto: use the epmd that runs, else start it, else be one; external: use the one that "
	  "runs; embedded: be one; none: do without (peers need a route)" },
	{ "route", "NODE=HOST:PORT", CN_OPT_LIST, AT(route), 0, 0,
	  "where a node listens, instead of asking epmd; may be repeated" },
	{ "net_ticktime", "SECONDS", CN_OPT_NUMBER, AT(net_ticktime), 1, 86400,
	  "how long a peer may be silent; the same on all nodes; default: 60" },
	{ "overlap", "MODE", CN_OPT_TEXT, AT(overlap), 0, 0,
	  "when nodes have lost each other: obey (the default): as the others say; report: as a BEAM node, tell of own "
	  "losses too; ignore: let partitions overlap" },
	{ "global_timeout", "SECONDS", CN_OPT_NUMBER, AT(global_timeout), 1, 86400,
	  "how long a peer may take to answer global, or to go on with joining, before its connection is closed; default: 60" },
	{ "threads", "N", CN_OPT_NUMBER, AT(threads), 1, 1024,
	  "threads to begin with; default: one more than there are processors" },
	{ "busy_wait", "MODE", CN_OPT_TEXT, AT(busy_wait), 0, 0,
	  "how long to look for what comes before sleeping, while that pays: short (the default, 50 us), long (300 us) or none" },
	{ "log", "LEVEL", CN_OPT_TEXT, AT(log), 0, 0,
	  "error, warning, notice (the default), info, debug or none" },
	{ "shutdown_timeout", "SECONDS", CN_OPT_NUMBER, AT(shutdown_timeout), 1, 86400,
	  "how long processes may take to end; default: 5" },
	{ "stop_at_eof", NULL, CN_OPT_FLAG, AT(stop_at_eof), 0, 0,
	  "stop when standard input is closed: for a parent that holds it by a pipe" },
	{ "config", "FILE", CN_OPT_TEXT, AT(config), 0, 0,
	  "the configuration, or a folder with cnoded.conf and conf.d/*.conf; default: $CNODE_CONFIG, " CN_CONFDIR },
	{ "check", NULL, CN_OPT_FLAG, AT(check), 0, 0,
	  "check the configuration and the options, and end; no module is started" },
	{ "help", NULL, CN_OPT_FLAG, AT(help), 0, 0, "show this text" },
	{ "version", NULL, CN_OPT_FLAG, AT(version), 0, 0, "show the version" },
	{ .name = NULL },
};
#undef AT

/* Options that contradict each other. */
static const char *const rivals[][2] = {
	{ "sname", "name" }, { "setcookie", "cookie_file" }, { "hidden", "visible" }, { NULL, NULL },
};

/* ---- the configuration ---- */

#define AT(member) offsetof(struct cn_limits, member)
/* More than there is; a long has 32 bits on some machines. */
#define MUCH ((long)(UINT64_C(1) << (sizeof(long) > 4 ? 40 : 30)))
static const struct cn_opt limits_table[] = {
	{ "max_threads", "N", CN_OPT_NUMBER, AT(max_threads), 1, 4096, "" },
	{ "max_run_threads", "N", CN_OPT_NUMBER, AT(max_run_threads), 1, 100000, "" },
	{ "net_setuptime", "SECONDS", CN_OPT_NUMBER, AT(net_setuptime), 1, 120, "" },
	{ "max_message", "BYTES", CN_OPT_SIZE, AT(max_message), 65536, 0x7fffffff, "" },
	{ "max_connections", "N", CN_OPT_NUMBER, AT(max_connections), 1, 1000000, "" },
	{ "max_processes", "N", CN_OPT_NUMBER, AT(max_processes), 16, 100000000, "" },
	{ "max_mailbox", "BYTES", CN_OPT_SIZE, AT(max_mailbox), 4096, MUCH, "" },
	{ "out_high_water", "BYTES", CN_OPT_SIZE, AT(out_high_water), 4096, MUCH, "" },
	{ "out_limit", "BYTES", CN_OPT_SIZE, AT(out_limit), 65536, MUCH, "" },
	{ .name = NULL },
};
#undef MUCH
#undef AT

static const struct cn_conf_field limits_fields[] = {
	{ "max_threads", false },
	{ "max_run_threads", false },
	{ "net_setuptime", false },
	{ "max_message", false },
	{ "max_connections", false },
	{ "max_processes", false },
	{ "max_mailbox", false },
	{ "out_high_water", false },
	{ "out_limit", false },
	{ NULL, false },
};
static const struct cn_conf_field factory_fields[] = {
	{ "allow", true }, { "deny", true }, { "exit", true }, { "processes", false }, { "spawns_per_second", false },
	{ NULL, false },
};
static const struct cn_conf_field function_fields[] = { { "allow", true }, { "deny", true }, { NULL, false } };
static const struct cn_conf_field access_fields[] = {
	{ "allow", true }, { "deny", true }, { "register", true }, { "exit", true }, { NULL, false },
};
static const struct cn_conf_field quota_fields[] = {
	{ "factory", false }, { "nodes", true }, { "processes", false }, { "spawns_per_second", false }, { NULL, false },
};
static const struct cn_conf_kind kinds[] = {
	{ .name = "module", .titled = true, .free = true },
	{ .name = "factory", .titled = true, .field = factory_fields },
	{ .name = "function", .titled = true, .field = function_fields },
	{ .name = "access", .titled = true, .field = access_fields },
	{ .name = "quota", .titled = true, .field = quota_fields },
	{ .name = "limits", .field = limits_fields },
	{ .name = NULL },
};
static const struct cn_conf_schema schema = { .table = cn_options_table, .kind = kinds };

/* ---- words ---- */

/* Which of the words it is, the first without one; -1: none of them. */
static int find_word(const char *const *words, size_t count, const char *word)
{
	for (size_t i = 0; i < count; i++)
		if (word == NULL || strcmp(words[i], word) == 0)
			return (int)i;
	return -1;
}

bool cn_epmd_mode_read(const char *word, enum cnode_epmd_mode *mode)
{
	static const char *const words[] = {
		[CNODE_EPMD_AUTO] = "auto", [CNODE_EPMD_EXTERNAL] = "external", [CNODE_EPMD_EMBEDDED] = "embedded",
		[CNODE_EPMD_NONE] = "none",
	};
	int found = find_word(words, sizeof words / sizeof words[0], word);

	*mode = found < 0 ? CNODE_EPMD_AUTO : (enum cnode_epmd_mode)found;
	return found >= 0;
}

bool cn_overlap_read(const char *word, enum cnode_overlap *overlap)
{
	static const char *const words[] = {
		[CNODE_OVERLAP_OBEY] = "obey", [CNODE_OVERLAP_REPORT] = "report", [CNODE_OVERLAP_IGNORE] = "ignore",
	};
	int found = find_word(words, sizeof words / sizeof words[0], word);

	*overlap = found < 0 ? CNODE_OVERLAP_OBEY : (enum cnode_overlap)found;
	return found >= 0;
}

bool cn_busy_wait_read(const char *word, enum cnode_busy_wait *busy_wait)
{
	static const char *const words[] = {
		[CNODE_BUSY_WAIT_SHORT] = "short", [CNODE_BUSY_WAIT_NONE] = "none", [CNODE_BUSY_WAIT_LONG] = "long",
	};
	int found = find_word(words, sizeof words / sizeof words[0], word);

	*busy_wait = found < 0 ? CNODE_BUSY_WAIT_SHORT : (enum cnode_busy_wait)found;
	return found >= 0;
}

bool cn_log_level_read(const char *word, enum cnode_log_level *level)
{
	*level = CNODE_LOG_NOTICE;
	return word == NULL || cnode_log_level_parse(word, level) == 0;
}

/* ---- reading ---- */

const char *cn_settings_label(const struct cn_settings *s, const char *key, const char *text)
{
	static char room[CN_CONF_LABEL];

	return cn_conf_label(&s->conf, key, text, room);
}

/* A cookie that everybody can read is none. */
static int guard_cookie(const struct cn_settings *s, char message[CN_SETTINGS_MESSAGE])
{
	const struct cn_conf_key *key = cn_conf_key(cn_conf_section(&s->conf, "", NULL), "setcookie");
	struct stat st;

	if (key == NULL || stat(key->value[0].file, &st) != 0 || (st.st_mode & S_IROTH) == 0)
		return 0;
	snprintf(message, CN_SETTINGS_MESSAGE, "%s:%d: setcookie: everybody can read this file: chmod o-r it, or give cookie_file",
		 key->value[0].file, key->value[0].line);
	return CN_DAEMON_COOKIE;
}

/* Both rivals are there: says where. */
static int contradict(const struct cn_settings *s, const char *key, const char *text, const char *rival_key, const char *rival,
		      char message[CN_SETTINGS_MESSAGE])
{
	char one[CN_CONF_LABEL], other[CN_CONF_LABEL];

	snprintf(message, CN_SETTINGS_MESSAGE, "%s and %s contradict each other: give one of them",
		 cn_conf_label(&s->conf, key, text, one), cn_conf_label(&s->conf, rival_key, rival, other));
	return CN_DAEMON_USAGE;
}

/* The first text of a key; NULL: none. */
static const char *key_text(const struct cn_settings *s, const char *name)
{
	const struct cn_conf_key *key = cn_conf_key(cn_conf_section(&s->conf, "", NULL), name);

	return key != NULL && key->count > 0 ? key->value[0].text : NULL;
}

/* No text may be empty: it would be taken for one that is not given. */
static int refuse_empty(const struct cn_settings *s, char message[CN_SETTINGS_MESSAGE])
{
	for (const struct cn_opt *opt = cn_options_table; opt->name != NULL; opt++) {
		const char *text = opt->kind == CN_OPT_TEXT ? *(const char *const *)((const char *)&s->o + opt->offset) : NULL;
		if (text == NULL || *text != '\0' || strcmp(opt->name, "config") == 0)
			continue;
		snprintf(message, CN_SETTINGS_MESSAGE, "%s: the value is empty: %s is wanted",
			 cn_settings_label(s, opt->name, text), opt->value);
		return CN_DAEMON_USAGE;
	}
	return 0;
}

/* Contradictions, and words that must be of a few. Returns an exit status. */
static int check_settings(const struct cn_settings *s, char message[CN_SETTINGS_MESSAGE])
{
	const struct cn_options *o = &s->o;
	const char *host = o->sname != NULL ? strchr(o->sname, '@') : NULL;
	enum cnode_epmd_mode mode;
	enum cnode_overlap overlap;
	enum cnode_busy_wait busy_wait;
	enum cnode_log_level level;
	size_t room = CN_SETTINGS_MESSAGE;

	if (o->name != NULL && o->sname != NULL)
		return contradict(s, "sname", o->sname, "name", o->name, message);
	if (o->setcookie != NULL && o->cookie_file != NULL)
		return contradict(s, "setcookie", o->setcookie, "cookie_file", o->cookie_file, message);
	if (o->hidden && o->visible)
		return contradict(s, "hidden", key_text(s, "hidden"), "visible", key_text(s, "visible"), message);
	if (o->name == NULL && o->sname == NULL)
		snprintf(message, room, "a name is missing: give -sname NAME or -name NAME@HOST (see -help)");
	else if (host != NULL && strpbrk(host, ".:") != NULL)
		snprintf(message, room, "%s %s: the host of a short name has no dot: use name instead of sname",
			 cn_settings_label(s, "sname", o->sname), o->sname);
	else if (!cn_epmd_mode_read(o->epmd, &mode))
		snprintf(message, room, "%s %s: auto, external, embedded or none is wanted", cn_settings_label(s, "epmd", o->epmd), o->epmd);
	else if (!cn_overlap_read(o->overlap, &overlap))
		snprintf(message, room, "%s %s: obey, report or ignore is wanted", cn_settings_label(s, "overlap", o->overlap), o->overlap);
	else if (!cn_busy_wait_read(o->busy_wait, &busy_wait))
		snprintf(message, room, "%s %s: short, none or long is wanted", cn_settings_label(s, "busy_wait", o->busy_wait), o->busy_wait);
	else if (!cn_log_level_read(o->log, &level))
		snprintf(message, room, "%s %s: error, warning, notice, info, debug or none is wanted",
			 cn_settings_label(s, "log", o->log), o->log);
	else
		return guard_cookie(s, message);
	return CN_DAEMON_USAGE;
}

/* Where the configuration is; NULL: nowhere, and nobody said that it is somewhere. */
static const char *configuration(const struct cn_options *flags)
{
	const char *path = getenv("CNODE_CONFIG");

	if (flags->config != NULL)
		return flags->config;
	if (path != NULL && *path != '\0')
		return path;
	return access(CN_CONFDIR "/cnoded.conf", F_OK) == 0 || access(CN_CONFDIR "/conf.d", F_OK) == 0 ? CN_CONFDIR : NULL;
}

static int read_limits(struct cn_settings *s, char message[CN_SETTINGS_MESSAGE])
{
	const struct cn_conf_section *section = cn_conf_section(&s->conf, "limits", NULL);

	for (const struct cn_opt *o = limits_table; o->name != NULL; o++) {
		const struct cn_conf_key *key = cn_conf_key(section, o->name);
		char room[CN_CONF_LABEL];
		if (key == NULL)
			continue;
		snprintf(room, sizeof room, "%s:%d: limits: %s", key->value[0].file, key->value[0].line, o->name);
		if (cn_opt_store(o, room, &s->limits, key->value[0].text, message) != 0)
			return CN_DAEMON_USAGE;
	}
	return 0;
}

int cn_settings_read(const struct cn_options *flags, struct cn_settings *s, char message[CN_SETTINGS_MESSAGE])
{
	const char *path = configuration(flags);
	int rc = 0;

	*s = (struct cn_settings){ .o = *flags };
	if (path != NULL)
		rc = cn_conf_read(&s->conf, &schema, path, message);
	if (rc == 0)
		rc = cn_conf_fill(&s->conf, cn_options_table, rivals, &s->o, message);
	if (rc == CNODE_ENOMEM)
		return CN_DAEMON_FAILED;
	if (rc != 0)
		return CN_DAEMON_USAGE;
	int status = read_limits(s, message);
	if (status == 0)
		status = refuse_empty(s, message);
	return status != 0 ? status : check_settings(s, message);
}

/* Frees the lists of `o` that are not those of `but` (may be NULL). */
static void free_lists(struct cn_options *o, const struct cn_options *but)
{
	for (const struct cn_opt *opt = cn_options_table; opt->name != NULL; opt++) {
		struct cn_opt_list *list = (void *)((char *)o + opt->offset);
		const struct cn_opt_list *other = but != NULL ? (const void *)((const char *)but + opt->offset) : NULL;
		if (opt->kind == CN_OPT_LIST && (other == NULL || other->item != list->item))
			cn_opt_list_free(list);
	}
}

void cn_settings_free(struct cn_settings *s, const struct cn_options *flags)
{
	free_lists(&s->o, flags);
	cn_conf_free(&s->conf);
}

void cn_options_free(struct cn_options *options)
{
	free_lists(options, NULL);
}

/* ---- comparing ---- */

static bool same_values(const struct cn_opt *opt, const void *a, const void *b)
{
	const void *x = (const char *)a + opt->offset, *y = (const char *)b + opt->offset;
	const struct cn_opt_list *p = x, *q = y;

	switch (opt->kind) {
	case CN_OPT_FLAG: return *(const bool *)x == *(const bool *)y;
	case CN_OPT_TEXT: {
		const char *s = *(const char *const *)x, *t = *(const char *const *)y;
		return s == t || (s != NULL && t != NULL && strcmp(s, t) == 0);
	}
	case CN_OPT_LIST:
		for (size_t i = 0; i < p->count && i < q->count; i++)
			if (strcmp(p->item[i], q->item[i]) != 0)
				return false;
		return p->count == q->count;
	case CN_OPT_NUMBER:
	case CN_OPT_SECONDS:
	case CN_OPT_SIZE: break;
	}
	return *(const long *)x == *(const long *)y;
}

static bool same_section(const struct cn_conf_section *a, const struct cn_conf_section *b)
{
	if (a == NULL || b == NULL || a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++) {
		const struct cn_conf_key *k = cn_conf_key(b, a->key[i].name);
		if (k == NULL || strcmp(k->value[0].text, a->key[i].value[0].text) != 0)
			return false;
	}
	return true;
}

static void warn_of_module(const struct cn_conf *changed, const struct cn_conf *other, bool both)
{
	for (size_t i = 0; i < changed->count; i++) {
		const struct cn_conf_section *s = &changed->section[i], *t;
		if (strcmp(s->kind, "module") != 0)
			continue;
		t = cn_conf_section(other, "module", s->title);
		if (t == NULL || (both && !same_section(s, t)))
			cn_say(CNODE_LOG_WARNING, "module %s has changed: it takes effect when cnoded starts again", s->title);
	}
}

void cn_settings_say_changes(const struct cn_settings *old, const struct cn_settings *new)
{
	static const char *const taken[] = { "allow", "allow_fun", "log" };

	for (const struct cn_opt *o = cn_options_table; o->name != NULL; o++) {
		bool known = false;
		for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++)
			known = known || strcmp(o->name, taken[i]) == 0;
		if (!known && !same_values(o, &old->o, &new->o))
			cn_say(CNODE_LOG_WARNING, "%s has changed: it takes effect when cnoded starts again", o->name);
	}
	for (const struct cn_opt *o = limits_table; o->name != NULL; o++)
		if (!same_values(o, &old->limits, &new->limits))
			cn_say(CNODE_LOG_WARNING, "the limit %s has changed: it takes effect when cnoded starts again", o->name);
	warn_of_module(&new->conf, &old->conf, true);
	warn_of_module(&old->conf, &new->conf, false);
}

