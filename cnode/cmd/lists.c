/* SPDX-License-Identifier: Apache-2.0 */
/* lists: from words to lists of the node. */
#include "cnode/cmd/lists.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cnode/cmd/say.h"
#include "cnode/cnode.h"

/* What all steps of making lists need. */
struct making {
	const struct cn_lists_source *source;
	cnode_node *node;           /* NULL: only checking */
	bool long_names;
	const struct cn_lists *modules;
	struct cn_lists *lists;
	char label[CN_CONF_LABEL];  /* begins messages: where, which key, and mostly its value */
	char *message;
};

static int wrong(struct making *m, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int wrong(struct making *m, const char *format, ...)
{
	va_list args;
	int n = snprintf(m->message, CN_LISTS_MESSAGE, "%s: ", m->label);

	va_start(args, format);
	if (n > 0 && n < CN_LISTS_MESSAGE)
		vsnprintf(m->message + n, CN_LISTS_MESSAGE - (size_t)n, format, args);
	va_end(args);
	return CNODE_EBADARG;
}

/* ---- lists ---- */

static struct cn_list *find(const struct cn_lists *lists, enum cn_list_kind kind, const char *name)
{
	for (size_t i = 0; i < lists->count; i++)
		if (lists->item[i].kind == kind && strcmp(lists->item[i].name, name) == 0)
			return &lists->item[i];
	return NULL;
}

/* Takes name and who, also on failure. */
static struct cn_list *add(struct cn_lists *lists, enum cn_list_kind kind, char *take_name, char *take_who)
{
	struct cn_list *more = realloc(lists->item, (lists->count + 1) * sizeof *more);

	if (more != NULL)
		lists->item = more;
	if (more == NULL || take_name == NULL || take_who == NULL) {
		free(take_name);
		free(take_who);
		return NULL;
	}
	more[lists->count] = (struct cn_list){ .kind = kind, .name = take_name, .who = take_who, .entries = *take_who != '\0' };
	for (const char *c = take_who; *c != '\0'; c++)
		more[lists->count].entries += *c == ',';
	return &more[lists->count++];
}

void cn_lists_free(struct cn_lists *lists)
{
	for (size_t i = 0; i < lists->count; i++) {
		free(lists->item[i].name);
		free(lists->item[i].who);
	}
	free(lists->item);
	for (size_t i = 0; i < lists->quotas; i++) {
		free((char *)lists->quota[i].factory);
		free((char *)lists->quota[i].who);
	}
	free(lists->quota);
	*lists = (struct cn_lists){ .count = 0 };
}

static int note_factory(void *context, const cnode_factory_info *factory)
{
	struct cn_lists *lists = context;

	return add(lists, CN_LIST_FACTORY, strdup(factory->name), strdup(factory->who)) ? 0 : CNODE_ENOMEM;
}

int cn_lists_of_modules(cnode_node *node, struct cn_lists *lists)
{
	return cnode_factory_list(node, note_factory, lists);
}

/* Adds a node with `mark` before it to a list's text; a list of thousands is not copied for each. */
static int extend(struct cn_list *list, const char *mark, const char *node, size_t size)
{
	size_t needed = strlen(mark) + size + 2;

	if (list->room == 0)
		list->size = strlen(list->who);
	if (list->room == 0 || list->room - list->size < needed) {
		size_t room = 2 * list->size + needed;
		char *more = realloc(list->who, room);
		if (more == NULL)
			return CNODE_ENOMEM;
		list->who = more;
		list->room = room;
	}
	int n = snprintf(list->who + list->size, needed, "%s%s%.*s", list->size > 0 ? "," : "", mark, (int)size, node);
	list->size += n > 0 ? (size_t)n : 0;
	list->entries++;
	return 0;
}

/* Nobody is on it any more. */
static void empty(struct cn_list *list)
{
	list->who[0] = '\0';
	list->size = list->entries = 0;
}

/* ---- names ---- */

static bool is_atom(const char *text)
{
	cnode_term atom;

	if (*text == '\0' || cnode_format(&atom, "~a", text) != 0)
		return false;
	cnode_term_drop(atom);
	return true;
}

/* What is wrong with a factory's or function's name; NULL: nothing. */
static const char *fault_of_atom(const char *text)
{
	if (*text == '\0')
		return "the name is empty";
	return is_atom(text) ? NULL : "the name is no atom: it has at most 255 characters of UTF-8";
}

/* What is wrong with one entry of a list of nodes; NULL: nothing. */
static const char *fault_of_node(const char *entry, size_t size)
{
	const char *at = memchr(entry, '@', size);

	if (size == 0)
		return "an entry is empty";
	if (size == 1 && *entry == '*')
		return NULL;
	if (size > 255)
		return "it is longer than 255 characters, which no node's name is";
	if (*entry == '!')
		return "what is denied stands in the key deny of a section";
	if (memchr(entry, ' ', size) != NULL || memchr(entry, '\t', size) != NULL)
		return "it has white space";
	if (at == NULL)
		return "it has no '@': NAME@HOST is wanted, where '*' stands for any text";
	if (at == entry || at == entry + size - 1)
		return "it has nothing before or behind the '@'";
	if (memchr(at + 1, '@', (size_t)(entry + size - at - 1)) != NULL)
		return "it has two '@'";
	return NULL;
}

/* Can no node of this cluster have such a name? Short and long names do not meet. */
static bool matches_nothing(const struct making *m, const char *entry, size_t size)
{
	const char *at = memchr(entry, '@', size);

	if (at == NULL || memchr(at, '*', (size_t)(entry + size - at)) != NULL)
		return false;
	bool is_long = memchr(at, '.', (size_t)(entry + size - at)) != NULL || memchr(at, ':', (size_t)(entry + size - at)) != NULL;
	return is_long != m->long_names;
}

/* Adds the entries of a text like "a@h, b@h" to a list. */
static int add_nodes(struct making *m, struct cn_list *list, const char *mark, const char *text)
{
	for (bool more = true; more;) {
		size_t whole = strcspn(text, ","), size = whole;
		more = text[whole] == ',';
		const char *entry = text;
		for (; size > 0 && (*entry == ' ' || *entry == '\t'); size--)
			entry++;
		while (size > 0 && (entry[size - 1] == ' ' || entry[size - 1] == '\t'))
			size--;
		const char *fault = fault_of_node(entry, size);
		if (fault != NULL)
			return wrong(m, "'%.*s': %s", size > 300 ? 300 : (int)size, entry, fault);
		if (matches_nothing(m, entry, size))
			cn_say(CNODE_LOG_WARNING, "%s: '%.*s' matches no node: this node has a %s name, and so have all it can meet",
			       m->label, (int)size, entry, m->long_names ? "long" : "short");
		if (list->entries == CNODE_ACCESS_ENTRIES_MAX)
			return wrong(m, "a list has at most %d entries: '%.*s' is one more; a pattern stands for many", CNODE_ACCESS_ENTRIES_MAX,
				     (int)size, entry);
		if (extend(list, mark, entry, size) != 0)
			return CNODE_ENOMEM;
		text += whole + more;
	}
	return 0;
}

/* ---- what there is ---- */

/* All factories, as a phrase. */
static void name_factories(const struct cn_lists *modules, char *phrase, size_t room)
{
	size_t size = 0;

	*phrase = '\0';
	for (size_t i = 0; i < modules->count && size < room; i++) {
		int n = snprintf(phrase + size, room - size, "%s%s", i ? ", " : "", modules->item[i].name);
		size += n > 0 ? (size_t)n : 0;
	}
}

struct wanted_function {
	const char *module, *name;
};

static int is_function(void *context, const cnode_function_info *function)
{
	const struct wanted_function *w = context;

	return strcmp(function->module, w->module) == 0 &&
	       (strcmp(w->name, "*") == 0 || strcmp(function->name, w->name) == 0);
}

/* Parts MODULE:FUNCTION, in place; false if it is none. */
static bool part_function(char *text, struct wanted_function *f)
{
	char *colon = strchr(text, ':');

	if (colon == NULL || colon == text || colon[1] == '\0')
		return false;
	*colon = '\0';
	f->module = text;
	f->name = colon + 1;
	return true;
}

static int check_function(struct making *m, const char *name)
{
	struct wanted_function f;
	char *copy = strdup(name);
	const char *fault = NULL;
	int rc = 0;

	if (copy == NULL)
		return CNODE_ENOMEM;
	if (!part_function(copy, &f))
		rc = wrong(m, "'%.300s' is no function: MODULE:FUNCTION or MODULE:* is wanted", name);
	else if ((fault = fault_of_atom(f.module)) != NULL || (fault = fault_of_atom(f.name)) != NULL)
		rc = wrong(m, "%s", fault);
	else if (m->node != NULL && cnode_function_list(m->node, is_function, &f) == 0)
		cn_say(CNODE_LOG_WARNING, "%s: %s matches no function that a loaded module exports", m->label, name);
	free(copy);
	return rc;
}

/* The list that the module gave a factory; NULL: there is none such. */
static const struct cn_list *of_module(const struct making *m, const char *factory)
{
	return find(m->modules, CN_LIST_FACTORY, factory);
}

static int check_factory(struct making *m, const char *name)
{
	char known[1024];

	if (fault_of_atom(name) != NULL)
		return wrong(m, "%s", fault_of_atom(name));
	if (m->node == NULL || of_module(m, name) != NULL)
		return 0;
	name_factories(m->modules, known, sizeof known);
	return wrong(m, "there is no factory %.300s; %s%s", name,
		     *known ? "the loaded modules have " : "no loaded module has any", known);
}

/*
 * Checks that the name is one, and that what it names is there; begins its list with what
 * it is without any: what the module gave a factory, and names are open.
 */
static int begin(struct making *m, enum cn_list_kind kind, const char *name, struct cn_list **list)
{
	const char *fault = NULL, *who = "";
	int rc = 0;

	switch (kind) {
	case CN_LIST_FUNCTION:
		rc = check_function(m, name);
		break;
	case CN_LIST_FACTORY:
		rc = check_factory(m, name);
		if (rc == 0 && of_module(m, name) != NULL)
			who = of_module(m, name)->who;
		break;
	case CN_LIST_NAME:
		who = CNODE_ALL_NODES;
		/* fall through */
	case CN_LIST_EXIT:
	case CN_LIST_REGISTER:
		fault = fault_of_atom(name);
		rc = fault != NULL ? wrong(m, "%s", fault) : 0;
		break;
	}
	if (rc != 0)
		return rc;
	*list = add(m->lists, kind, strdup(name), strdup(who));
	return *list != NULL ? 0 : CNODE_ENOMEM;
}

/* ---- from -allow, -allow_fun and the keys of those names ---- */

static int take_rule(struct making *m, enum cn_list_kind kind, const char *rule)
{
	const char *form = kind == CN_LIST_FACTORY ? "FACTORY" : "MODULE:FUNCTION";
	const char *key = kind == CN_LIST_FACTORY ? "allow" : "allow_fun";
	size_t size = strcspn(rule, "=");
	char label[CN_CONF_LABEL];
	int rc = 0;

	snprintf(m->label, sizeof m->label, "%.300s %.200s", cn_conf_label(m->source->conf, key, rule, label), rule);
	if (size == 0 || (rule[size] == '=' && rule[size + 1] == '\0'))
		return wrong(m, "%s or %s=NAME@HOST,... is wanted", form, form);
	char *name = strndup(rule, size);
	if (name == NULL)
		return CNODE_ENOMEM;
	struct cn_list *list = find(m->lists, kind, name);
	if (list == NULL)
		rc = begin(m, kind, name, &list);
	free(name);
	if (rc != 0)
		return rc;
	if (list->from == NULL)
		list->from = rule;
	return add_nodes(m, list, "", rule[size] == '=' ? rule + size + 1 : CNODE_ALL_NODES);
}

/* ---- from sections ---- */

/* Adds the nodes of a key; "all" and "none" are words of their own. */
static int take_nodes(struct making *m, const struct cn_conf_section *section, const struct cn_conf_key *key,
		      const char *mark, struct cn_list *list)
{
	for (size_t i = 0; i < key->count; i++) {
		const struct cn_conf_value *v = &key->value[i];
		snprintf(m->label, sizeof m->label, "%s:%d: %s %.100s: %s", v->file, v->line, section->kind, section->title,
			 key->name);
		bool all = strcmp(v->text, "all") == 0, none = strcmp(v->text, "none") == 0;
		if (key->count > 1 && (all || none))
			return wrong(m, "'%s' stands alone, not in a list", v->text);
		int rc = none ? 0 : add_nodes(m, list, mark, all ? CNODE_ALL_NODES : v->text);
		if (rc != 0)
			return rc;
	}
	return 0;
}

static int take_section(struct making *m, enum cn_list_kind kind, const struct cn_conf_section *section)
{
	const struct cn_conf_key *allow = cn_conf_key(section, "allow"), *deny = cn_conf_key(section, "deny");
	struct cn_list *list = find(m->lists, kind, section->title);
	char label[CN_CONF_LABEL];
	int rc = 0;

	snprintf(m->label, sizeof m->label, "%s:%d: %s %.100s", section->file, section->line, section->kind, section->title);
	if (list != NULL && list->from != NULL) {
		cn_conf_label(m->source->conf, kind == CN_LIST_FACTORY ? "allow" : "allow_fun", list->from, label);
		if (*label == '-')
			return 0;           /* the command line wins */
		return wrong(m, "%s names it too: say it in one place", label);
	}
	rc = begin(m, kind, section->title, &list);
	if (rc == 0 && allow != NULL) {
		empty(list);
		rc = take_nodes(m, section, allow, "", list);
	}
	if (rc == 0 && deny != NULL)
		rc = take_nodes(m, section, deny, "!", list);
	return rc;
}

/* A list of its own, in the key `name` of a section. */
static int take_key(struct making *m, enum cn_list_kind kind, const struct cn_conf_section *section, const char *name)
{
	const struct cn_conf_key *key = cn_conf_key(section, name);
	struct cn_list *list;

	if (key == NULL)
		return 0;
	snprintf(m->label, sizeof m->label, "%s:%d: %s %.100s: %s", section->file, section->line, section->kind, section->title, name);
	if (find(m->lists, kind, section->title) != NULL)
		return wrong(m, "another section says it too: say it in one place");
	int rc = begin(m, kind, section->title, &list);
	if (rc != 0)
		return rc;
	empty(list);
	return take_nodes(m, section, key, "", list);
}

/* ---- quotas ---- */

struct amounts {
	long processes, spawns_per_second;
};

static const struct cn_opt amounts_table[] = {
	{ "processes", "N", CN_OPT_NUMBER, offsetof(struct amounts, processes), 1, 0x7fffffff, "" },
	{ "spawns_per_second", "N", CN_OPT_NUMBER, offsetof(struct amounts, spawns_per_second), 1, 0x7fffffff, "" },
	{ .name = NULL },
};

/* Adds the rule that a section has amounts for; none if it has none. */
static int take_quota(struct making *m, const struct cn_conf_section *section, const char *factory, const char *who)
{
	struct amounts amounts = { 0, 0 };
	char text[CN_OPT_MESSAGE];

	for (const struct cn_opt *o = amounts_table; o->name != NULL; o++) {
		const struct cn_conf_key *key = cn_conf_key(section, o->name);
		if (key == NULL)
			continue;
		snprintf(m->label, sizeof m->label, "%s:%d: %s %.100s: %s", key->value[0].file, key->value[0].line, section->kind,
			 section->title, o->name);
		if (cn_opt_store(o, m->label, &amounts, key->value[0].text, text) != 0) {
			snprintf(m->message, CN_LISTS_MESSAGE, "%s", text);
			return CNODE_EBADARG;
		}
	}
	if (amounts.processes == 0 && amounts.spawns_per_second == 0)
		return 0;
	cnode_quota *more = realloc(m->lists->quota, (m->lists->quotas + 1) * sizeof *more);
	if (more == NULL)
		return CNODE_ENOMEM;
	m->lists->quota = more;
	more[m->lists->quotas++] = (cnode_quota){ CNODE_QUOTA_INIT,
		.factory = factory != NULL ? strdup(factory) : NULL, .who = strdup(who),
		.processes = (uint32_t)amounts.processes, .spawns_per_second = (uint32_t)amounts.spawns_per_second,
	};
	return more[m->lists->quotas - 1].who != NULL && (factory == NULL || more[m->lists->quotas - 1].factory != NULL) ? 0
															 : CNODE_ENOMEM;
}

static int take_quota_section(struct making *m, const struct cn_conf_section *section)
{
	const struct cn_conf_key *factory = cn_conf_key(section, "factory"), *nodes = cn_conf_key(section, "nodes");
	struct cn_list who = { .who = strdup(nodes == NULL ? CNODE_ALL_NODES : "") };
	int rc = who.who != NULL ? 0 : CNODE_ENOMEM;

	if (rc == 0 && factory != NULL) {
		snprintf(m->label, sizeof m->label, "%s:%d: quota %.100s", factory->value[0].file, factory->value[0].line, section->title);
		rc = check_factory(m, factory->value[0].text);
	}
	if (rc == 0 && nodes != NULL)
		rc = take_nodes(m, section, nodes, "", &who);
	size_t before = m->lists->quotas;
	if (rc == 0)
		rc = take_quota(m, section, factory != NULL ? factory->value[0].text : NULL, who.who);
	free(who.who);
	if (rc != 0 || m->lists->quotas > before)
		return rc;
	snprintf(m->label, sizeof m->label, "%s:%d: quota %.100s", section->file, section->line, section->title);
	return wrong(m, "neither processes nor spawns_per_second is given");
}

/* ---- sections ---- */

static int take_factory(struct making *m, const struct cn_conf_section *section)
{
	int rc = take_section(m, CN_LIST_FACTORY, section);

	if (rc == 0)
		rc = take_key(m, CN_LIST_EXIT, section, "exit");
	return rc == 0 ? take_quota(m, section, section->title, CNODE_ALL_NODES) : rc;
}

static int take_function(struct making *m, const struct cn_conf_section *section)
{
	return take_section(m, CN_LIST_FUNCTION, section);
}

static int take_name(struct making *m, const struct cn_conf_section *section)
{
	int rc = 0;

	if (cn_conf_key(section, "allow") != NULL || cn_conf_key(section, "deny") != NULL)
		rc = take_section(m, CN_LIST_NAME, section);
	else
		snprintf(m->label, sizeof m->label, "%s:%d: access %.100s", section->file, section->line, section->title);
	if (rc == 0)
		rc = take_key(m, CN_LIST_REGISTER, section, "register");
	return rc == 0 ? take_key(m, CN_LIST_EXIT, section, "exit") : rc;
}

static const struct {
	const char *kind;
	int (*take)(struct making *m, const struct cn_conf_section *section);
} takers[] = {
	{ "factory", take_factory }, { "function", take_function }, { "access", take_name },
	{ "quota", take_quota_section },        /* behind those of factories, so that they win */
};

static int take_sections(struct making *m)
{
	int rc = 0;

	for (size_t t = 0; t < sizeof takers / sizeof takers[0]; t++)
		for (size_t i = 0; i < m->source->conf->count && rc == 0; i++)
			if (strcmp(m->source->conf->section[i].kind, takers[t].kind) == 0)
				rc = takers[t].take(m, &m->source->conf->section[i]);
	return rc;
}

/* ---- doors ---- */

int cn_lists_make(const struct cn_lists_source *source, cnode_node *node, const char *node_name,
		  const struct cn_lists *modules, struct cn_lists *lists, char message[CN_LISTS_MESSAGE])
{
	const char *host = strchr(node_name, '@');
	struct making m = {
		.source = source, .node = node, .modules = modules, .lists = lists, .message = message,
		.long_names = host != NULL && strpbrk(host, ".:") != NULL,
	};
	int rc = 0;

	for (size_t i = 0; i < source->allow->count && rc == 0; i++)
		rc = take_rule(&m, CN_LIST_FACTORY, source->allow->item[i]);
	for (size_t i = 0; i < source->allow_fun->count && rc == 0; i++)
		rc = take_rule(&m, CN_LIST_FUNCTION, source->allow_fun->item[i]);
	if (rc == 0)
		rc = take_sections(&m);
	if (rc == CNODE_ENOMEM)
		snprintf(message, CN_LISTS_MESSAGE, "%s", cnode_strerror(rc));
	return rc;
}

/* who NULL: back to what it is without a list. */
static int set(cnode_node *node, enum cn_list_kind kind, const char *name, const char *who)
{
	struct wanted_function f;
	char *copy;
	int rc = CNODE_EINTERNAL;

	switch (kind) {
	case CN_LIST_FACTORY:
		rc = cnode_factory_set(node, name, who != NULL ? who : CNODE_NO_NODES);
		return rc == CNODE_ENOENT ? 0 : rc;     /* its module has just removed it */
	case CN_LIST_FUNCTION:
		copy = strdup(name);
		rc = CNODE_ENOMEM;
		if (copy != NULL && part_function(copy, &f))
			rc = cnode_function_set(node, f.module, f.name, who != NULL ? who : CNODE_NO_NODES);
		free(copy);
		return rc;
	case CN_LIST_NAME: return cnode_access_set(node, CNODE_ACCESS_NAME, name, who);
	case CN_LIST_EXIT: return cnode_access_set(node, CNODE_ACCESS_EXIT, name, who);
	case CN_LIST_REGISTER: return cnode_access_set(node, CNODE_ACCESS_REGISTER, name, who);
	}
	return rc;
}

/* Sets `lists`, and what only `old` has back to what it is without. */
static int exchange(const struct cn_lists *lists, const struct cn_lists *old, const struct cn_lists *modules, cnode_node *node)
{
	int rc = 0;

	for (size_t i = 0; i < lists->count && rc == 0; i++)
		rc = set(node, lists->item[i].kind, lists->item[i].name, lists->item[i].who);
	for (size_t i = 0; i < old->count && rc == 0; i++) {
		const struct cn_list *l = &old->item[i], *given = find(modules, l->kind, l->name);
		if (find(lists, l->kind, l->name) == NULL)
			rc = set(node, l->kind, l->name, given != NULL ? given->who : NULL);
	}
	/* Quotas that modules have set are left alone where the configuration has none. */
	if (rc == 0 && (lists->quotas > 0 || old->quotas > 0))
		rc = cnode_quotas_set(node, lists->quota, lists->quotas);
	return rc;
}

int cn_lists_set(const struct cn_lists *lists, const struct cn_lists *old, const struct cn_lists *modules, cnode_node *node)
{
	int rc = exchange(lists, old, modules, node);

	if (rc != 0)
		(void)exchange(old, lists, modules, node);      /* so far as memory goes */
	return rc;
}
