/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a node offers, as others may ask: the functions of the module cnode, closed at first,
 * for rpc:call(Node, cnode, factories, []) and the tool; and the service cnode, which tells
 * pools elsewhere how many processes there are.
 */
#include "cnode/kernel/kernel.h"

#include "cnode/pool.h"

/* ---- factories as terms ---- */

struct listing {
	cnode_builder *builder;
	const char *only;           /* NULL: all */
	size_t found;
};

/* "a@h,b@h" as a list of atoms; "*" stands for itself. */
static void build_nodes(cnode_builder *b, const char *nodes)
{
	cnode_build_list(b);
	while (*nodes) {
		char name[CNODE_NAME_SIZE];
		size_t size = strcspn(nodes, ",");
		if (size < sizeof name) {
			memcpy(name, nodes, size);
			name[size] = 0;
			cnode_build_atom(b, name);
		}
		nodes += size + (nodes[size] == ',');
	}
	cnode_build_list_end(b);
}

static void build_count(cnode_builder *b, const char *key, uint64_t value)
{
	cnode_build_atom(b, key);
	cnode_build_uint64(b, value);
}

static int one_factory(void *context, const cnode_factory_info *f)
{
	struct listing *l = context;
	cnode_builder *b = l->builder;
	if (l->only && strcmp(l->only, f->name) != 0)
		return 0;
	l->found++;
	cnode_build_map(b);
	cnode_build_atom(b, "name");
	cnode_build_atom(b, f->name);
	cnode_build_atom(b, "mode");
	cnode_build_atom(b, f->mode);
	cnode_build_atom(b, "allowed");
	build_nodes(b, f->allowed);
	cnode_build_atom(b, "denied");
	build_nodes(b, f->denied);
	build_count(b, "processes", f->processes);
	build_count(b, "spawned", f->spawned);
	build_count(b, "refused", f->refused);
	cnode_build_map_end(b);
	return 0;
}

/* cnode:factories/0: a list of maps; /1, with a name: its map, or undefined. */
static int factories(cnode_process *self, void *context, cnode_term args, cnode_term *result)
{
	struct cn_factories *table = context;
	cnode_atom name;
	struct listing l = { .builder = cnode_builder_new() };
	(void)self;
	if (!l.builder)
		return CNODE_ENOMEM;
	bool one = cnode_scan(args, "[~a]", &name) == 0;
	int rc = 0;
	if (one)
		l.only = name.text;
	else if (cnode_scan(args, "[]") != 0)
		rc = CNODE_EBADARG;
	if (!one)
		cnode_build_list(l.builder);
	if (rc == 0)
		rc = cn_factory_list(table, one_factory, &l);
	if (!one)
		cnode_build_list_end(l.builder);
	else if (l.found == 0)
		cnode_build_atom(l.builder, "undefined");
	int built = cnode_builder_term(l.builder, result);
	cnode_builder_free(l.builder);
	if (rc != 0 && built == 0) {
		cnode_term_drop(*result);
		*result = (cnode_term){ 0 };
	}
	return rc != 0 ? rc : built;
}

/* cnode:has_factory/1. */
static int has_factory(cnode_process *self, void *context, cnode_term args, cnode_term *result)
{
	cnode_atom name;
	(void)self;
	if (cnode_scan(args, "[~a]", &name) != 0)
		return CNODE_EBADARG;
	return cnode_format(result, "~a", cn_factory_exists(context, name.text) ? "true" : "false");
}

/* ---- changing lists from elsewhere ---- */

/* The text of a node or pattern, an atom, binary or charlist. False: it is none. */
static bool node_text(cnode_term term, struct cn_buf *who)
{
	cnode_atom atom;
	const char *text;
	size_t size;
	if (cnode_scan(term, "~a", &atom) == 0) {
		text = strcmp(atom.text, "all") == 0 ? "*" : atom.text;
		size = strlen(text);
	} else if (cnode_scan(term, "~z", &text, &size) != 0) {
		return false;
	}
	if (size == 0 || memchr(text, ',', size) || memchr(text, 0, size))
		return false;
	cn_put_text(who, "%s%.*s", who->size ? "," : "", (int)size, text);
	return true;
}

/* all, a node, or a list of them. */
static int read_who(cnode_term term, struct cn_buf *who)
{
	bool good = true;
	if (cnode_term_type(term) == CNODE_TYPE_ATOM || cnode_term_type(term) == CNODE_TYPE_BINARY) {
		good = node_text(term, who);
	} else {
		cnode_reader r = cnode_read(term);
		for (size_t n; (n = cnode_read_list(&r)) > 0;)
			while (n-- && good)
				good = node_text(cnode_read_term(&r), who);
		good = good && !r.error;
	}
	cn_put_u8(who, 0);
	return !good ? CNODE_EBADARG : who->err;
}

static int change(cnode_process *self, struct cn_factories *table, cnode_term args, cnode_term *result,
		  int (*how)(struct cn_factories *f, const char *name, const char *who))
{
	cnode_atom name;
	cnode_term nodes;
	struct cn_buf who;
	(void)self;
	if (cnode_scan(args, "[~a,~t]", &name, &nodes) != 0)
		return CNODE_EBADARG;
	cn_buf_init(&who, 0);
	int rc = read_who(nodes, &who);
	if (rc == 0)
		rc = how(table, name.text, (char *)who.data);
	cn_buf_fini(&who);
	if (rc == CNODE_ENOENT)
		return cnode_format(result, "{error,not_found}");
	return rc != 0 ? rc : cnode_format(result, "ok");
}

static int allow(cnode_process *self, void *context, cnode_term args, cnode_term *result)
{
	return change(self, context, args, result, cn_factory_allow);
}

static int deny(cnode_process *self, void *context, cnode_term args, cnode_term *result)
{
	return change(self, context, args, result, cn_factory_deny);
}

static int set(cnode_process *self, void *context, cnode_term args, cnode_term *result)
{
	return change(self, context, args, result, cn_factory_set);
}

/* ---- the service ---- */

/* How many processes run here: what pools compare nodes by. */
static int service_call(cnode_process *self, void *state, cnode_from *from, cnode_term request)
{
	(void)state;
	if (cnode_scan(request, "processes") == 0)
		return cnode_reply(from, "~Q", (uint64_t)cn_procs_count(cn_process_procs(self)));
	return cnode_reply(from, "{error,bad_request}");
}

const cnode_behaviour cn_kernel_service = { CNODE_BEHAVIOUR_INIT, .flags = CNODE_PROMPT, .handle_call = service_call };

int cn_kernel_registry(struct cn_factories *table, struct cn_functions *functions)
{
	static const struct {
		const char *name;
		int arity;
		cnode_function *function;
	} exported[] = {
		{ "factories", 0, factories }, { "factories", 1, factories }, { "has_factory", 1, has_factory },
		{ "allow", 2, allow }, { "deny", 2, deny }, { "set", 2, set },
	};
	int rc = 0;
	for (size_t i = 0; i < CN_ARRAY_SIZE(exported) && rc == 0; i++)
		rc = cn_function_export(functions, "cnode", exported[i].name, exported[i].arity, exported[i].function, table,
					CNODE_NO_NODES);
	return rc;
}
