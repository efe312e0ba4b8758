/* SPDX-License-Identifier: Apache-2.0 */
/* modules: from the word behind -load to a started module. */
#include "cnode/cmd/modules.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define PATH_SIZE 2048
/* The entry grows at the end, and modules built before or behind that are good: what one lacks is 0, what we lack is not asked. */
#define ENTRY_SIZE_MIN (offsetof(cnode_module, stop) + sizeof(((cnode_module *)0)->stop))

/* A search under way: the last path tried, and all of them for the error text. */
struct search {
	char path[PATH_SIZE];
	char tried[CN_MODULE_MESSAGE - 256];
};

static bool is_file(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

static bool ends_in_so(const char *name)
{
	size_t size = strlen(name);
	return size > 3 && strcmp(name + size - 3, ".so") == 0;
}

/* Tries folder (of `size` bytes, with its slash) + middle + name + end. */
static bool try(struct search *s, const char *folder, size_t size, const char *middle,
		const char *name, const char *end)
{
	int n = snprintf(s->path, sizeof s->path, "%.*s%s%s%s", (int)size, folder, middle, name, end);
	if (n < 0 || (size_t)n >= sizeof s->path)
		return false;
	if (is_file(s->path))
		return true;
	size_t used = strlen(s->tried);
	snprintf(s->tried + used, sizeof s->tried - used, "%s%s", used ? ", " : "", s->path);
	return false;
}

static bool find_path(struct search *s, const char *path)
{
	const char *base = strrchr(path, '/') + 1;
	size_t folder = (size_t)(base - path);
	const char *end = ends_in_so(base) ? "" : ".so";

	return try(s, path, folder, "", base, "") ||
	       (*end != '\0' && try(s, path, folder, "", base, end)) ||
	       try(s, path, folder, ".libs/", base, end);
}

static bool find_name(struct search *s, const char *name)
{
	const char *end = ends_in_so(name) ? "" : ".so";
	const char *list = getenv("CNODE_MODULE_PATH");

	while (list != NULL && *list != '\0') {
		size_t size = strcspn(list, ":");
		/* An empty entry would be the current folder. */
		if (size > 0 && (try(s, list, size, "/", name, end) ||
				 try(s, list, size, "/.libs/", name, end)))
			return true;
		list += size + (list[size] == ':');
	}
	return try(s, CN_MODULEDIR, strlen(CN_MODULEDIR), "/", name, end);
}

/* Opens the object and checks what CNODE_MODULE has put into it. */
static int open_module(const char *path, const cnode_module **entry, char message[CN_MODULE_MESSAGE])
{
	void *object = dlopen(path, RTLD_NOW | RTLD_LOCAL);

	if (object == NULL) {
		/* dlerror begins with the path. */
		snprintf(message, CN_MODULE_MESSAGE, "cannot load module %s", dlerror());
		return CNODE_EBADARG;
	}
	const cnode_module *m = dlsym(object, "cnode_module_entry");
	if (m == NULL) {
		snprintf(message, CN_MODULE_MESSAGE,
			 "%s is not a module of cnode: it lacks the symbol cnode_module_entry (CNODE_MODULE makes it)",
			 path);
	} else if (m->abi != CNODE_MODULE_ABI) {
		snprintf(message, CN_MODULE_MESSAGE,
			 "module %s is built for module ABI %u, this cnoded has ABI %d: build it again with this version's headers",
			 path, m->abi, CNODE_MODULE_ABI);
	} else if (m->size < ENTRY_SIZE_MIN) {
		snprintf(message, CN_MODULE_MESSAGE,
			 "module %s has an entry of %zu bytes, this cnoded expects %zu or more: build it again with this version's headers",
			 path, m->size, ENTRY_SIZE_MIN);
	} else if (m->name == NULL || m->start == NULL) {
		snprintf(message, CN_MODULE_MESSAGE, "module %s has no %s in its entry", path,
			 m->name == NULL ? "name" : "start hook");
	} else {
		*entry = m;
		return 0;
	}
	dlclose(object);
	return CNODE_EBADARG;
}

/* What cnode_module_option asks, of a section (NULL: none). */
static const char *option(void *section, const char *name)
{
	struct cn_conf_key *key = cn_conf_key(section, name);

	if (key == NULL || key->count == 0)
		return NULL;
	key->used = true;
	return key->value[0].text;
}

/* The start hook, and what it has to have asked for. */
static int start(struct cn_modules *modules, cnode_node *node, const struct cn_conf *conf, struct cn_loaded *loaded,
		 char message[CN_MODULE_MESSAGE])
{
	const char *name = loaded->entry->name;
	struct cn_conf_section *section = cn_conf_section(conf, "module", name);

	cnode_module_set_options(node, option, section);
	int rc = loaded->entry->start(node, &loaded->state);
	cnode_module_set_options(node, NULL, NULL);
	if (rc != 0) {
		const char *why = cnode_node_error(node);
		snprintf(message, CN_MODULE_MESSAGE, "module %s cannot start: %s", name,
			 why != NULL && *why != '\0' ? why : cnode_strerror(rc));
		return rc;
	}
	modules->count++;               /* its stop hook is due from here */
	for (size_t i = 0; section != NULL && i < section->count; i++) {
		const struct cn_conf_key *key = &section->key[i];
		if (key->used || strcmp(key->name, "path") == 0)
			continue;
		snprintf(message, CN_MODULE_MESSAGE, "%s:%d: the module %s has no key %.100s", key->value[0].file,
			 key->value[0].line, name, key->name);
		return CNODE_EBADARG;
	}
	return 0;
}

static bool is_loaded(const struct cn_modules *modules, const char *name)
{
	for (size_t i = 0; i < modules->count; i++)
		if (strcmp(modules->item[i].entry->name, name) == 0)
			return true;
	return false;
}

/* Finds and opens the object. */
static int open_named(const char *name, struct search *s, const cnode_module **entry, char message[CN_MODULE_MESSAGE])
{
	if (strchr(name, '/') != NULL ? find_path(s, name) : find_name(s, name))
		return open_module(s->path, entry, message);
	snprintf(message, CN_MODULE_MESSAGE, "module %.200s not found: there is no %s", name, *s->tried ? s->tried : "such path");
	return CNODE_ENOENT;
}

static int load(struct cn_modules *modules, cnode_node *node, const struct cn_conf *conf, const cnode_module *entry,
		const char *path, char message[CN_MODULE_MESSAGE])
{
	if (is_loaded(modules, entry->name)) {
		snprintf(message, CN_MODULE_MESSAGE, "module %s is loaded already (now from %s)", entry->name, path);
		return CNODE_EEXIST;
	}
	if (node == NULL)
		return 0;
	struct cn_loaded *more = realloc(modules->item, (modules->count + 1) * sizeof *more);
	if (more == NULL) {
		snprintf(message, CN_MODULE_MESSAGE, "out of memory");
		return CNODE_ENOMEM;
	}
	modules->item = more;
	more[modules->count] = (struct cn_loaded){ .entry = entry };
	return start(modules, node, conf, &more[modules->count], message);
}

int cn_modules_load(struct cn_modules *modules, cnode_node *node, const struct cn_conf *conf, const char *name,
		    char message[CN_MODULE_MESSAGE])
{
	struct search s = { .path = "", .tried = "" };
	const cnode_module *entry;
	int rc = open_named(name, &s, &entry, message);

	return rc != 0 ? rc : load(modules, node, conf, entry, s.path, message);
}

int cn_modules_load_section(struct cn_modules *modules, cnode_node *node, const struct cn_conf *conf,
			    const struct cn_conf_section *section, char message[CN_MODULE_MESSAGE])
{
	struct search s = { .path = "", .tried = "" };
	const struct cn_conf_key *path = cn_conf_key(section, "path");
	const cnode_module *entry;
	char text[CN_MODULE_MESSAGE];

	if (is_loaded(modules, section->title))
		return 0;
	int rc = open_named(path != NULL && path->count > 0 ? path->value[0].text : section->title, &s, &entry, text);
	if (rc == 0 && strcmp(entry->name, section->title) != 0) {
		snprintf(text, sizeof text, "%s is the module %s: the section has to have its name", s.path, entry->name);
		rc = CNODE_EBADARG;
	}
	if (rc != 0) {
		snprintf(message, CN_MODULE_MESSAGE, "%s:%d: module %.100s: %.2000s", section->file, section->line, section->title, text);
		return rc;
	}
	return load(modules, node, conf, entry, s.path, message);
}

void cn_modules_stop(struct cn_modules *modules, cnode_node *node)
{
	for (size_t i = modules->count; i-- > 0;)
		if (modules->item[i].entry->stop != NULL)
			modules->item[i].entry->stop(node, modules->item[i].state);
}

void cn_modules_free(struct cn_modules *modules)
{
	free(modules->item);
	modules->item = NULL;
	modules->count = 0;
}
