/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Built-in functions that look at processes: erlang:processes/0, process_info/1,2,
 * registered/0, whereis/1, is_process_alive/1, function_exported/3.
 *
 * What a C process does not have is empty or 0: a dictionary but for the two keys that
 * proc_lib sets, a heap, garbage. Its messages are not shown: {messages, []}.
 * Follows: erts/emulator/beam/erl_bif_info.c, the documentation of the module erlang.
 */
#include "cnode/kernel/builtin.h"

static int processes_0(cnode_process *self, void *context, cnode_term args, cnode_term *result)
{
	struct cn_builtins *of = context;
	cnode_pid *pids;
	size_t count;
	(void)self;
	(void)args;
	int rc = cn_procs_list(of->procs, &pids, &count);
	if (rc != 0)
		return rc;
	cnode_builder *b = cnode_builder_new();
	if (b) {
		cnode_build_list(b);
		for (size_t i = 0; i < count; i++)
			cnode_build_pid(b, pids[i]);
		cnode_build_list_end(b);
	}
	cn_free(pids);
	return cn_builtin_done(b, result);
}

static int registered_0(cnode_process *self, void *context, cnode_term args, cnode_term *result)
{
	struct cn_builtins *of = context;
	char *names;
	size_t count;
	(void)self;
	(void)args;
	int rc = cn_procs_names(of->procs, &names, &count);
	if (rc != 0)
		return rc;
	cnode_builder *b = cnode_builder_new();
	if (b) {
		const char *name = names;
		cnode_build_list(b);
		for (size_t i = 0; i < count; i++, name += strlen(name) + 1)
			cnode_build_atom(b, name);
		cnode_build_list_end(b);
	}
	cn_free(names);
	return cn_builtin_done(b, result);
}

static int whereis_1(cnode_process *self, void *context, cnode_term args, cnode_term *result)
{
	struct cn_builtins *of = context;
	cnode_atom name;
	cnode_pid pid;
	(void)self;
	if (cnode_scan(args, "[~a]", &name) != 0)
		return CNODE_EBADARG;
	return cn_procs_whereis(of->procs, name.text, &pid) == 0 ? cnode_format(result, "~p", pid)
								 : cnode_format(result, "undefined");
}

static int is_process_alive_1(cnode_process *self, void *context, cnode_term args, cnode_term *result)
{
	struct cn_builtins *of = context;
	cnode_pid pid;
	if (cnode_scan(args, "[~p]", &pid) != 0 || pid.node != cnode_self(self).node)
		return CNODE_EBADARG;
	return cnode_format(result, "~a", cn_procs_is_alive(of->procs, pid) ? "true" : "false");
}

static int function_exported_3(cnode_process *self, void *context, cnode_term args, cnode_term *result)
{
	struct cn_builtins *of = context;
	cnode_atom module, name;
	int arity;
	(void)self;
	if (cnode_scan(args, "[~a,~a,~i]", &module, &name, &arity) != 0)
		return CNODE_EBADARG;
	return cnode_format(result, "~a", cn_function_is_exported(of->functions, module.text, name.text, arity) ? "true" : "false");
}

/* ---- process_info ---- */

struct subject {
	struct cn_procs *procs;
	cnode_pid pid;
	struct cn_process_info info;
};

static void put_mfa(cnode_builder *b, const char *module, const char *function, int arity)
{
	cnode_build_tuple(b, 3);
	cnode_build_atom(b, module);
	cnode_build_atom(b, function);
	cnode_build_int64(b, arity);
}

void cn_builtin_put_initial_call(cnode_builder *b, const struct cn_process_info *info)
{
	put_mfa(b, info->label, "init", 1);
}

void cn_builtin_put_current_function(cnode_builder *b, const struct cn_process_info *info)
{
	put_mfa(b, info->label, info->running ? "callback" : "wait", 0);
}

uint64_t cn_builtin_reductions(const struct cn_process_info *info)
{
	return info->run_ns / 1000;
}

static void put_relations(const struct subject *s, cnode_builder *b, enum cn_relation_kind kind)
{
	struct cn_relation *list = NULL;
	size_t count = 0;
	char node[CNODE_NAME_SIZE];
	/* CNODE_ENOPROC: it has just ended, and there are none. */
	if (cn_procs_relations(s->procs, s->pid, kind, &list, &count) == CNODE_ENOMEM && b->err == 0)
		b->err = CNODE_ENOMEM;
	cnode_build_list(b);
	for (size_t i = 0; list && i < count; i++) {
		if (kind == CN_RELATION_MONITOR) {
			cnode_build_tuple(b, 2);
			cnode_build_atom(b, "process");
		}
		if (list[i].name) {
			cnode_build_tuple(b, 2);
			cnode_build_atom(b, list[i].name);
			cnode_build_atom(b, cnode_name_text(list[i].node, node) == 0 ? node : "nonode@nohost");
		} else {
			cnode_build_pid(b, list[i].pid);
		}
	}
	cnode_build_list_end(b);
	cn_free(list);
}

static void put_links(const struct subject *s, cnode_builder *b)
{
	put_relations(s, b, CN_RELATION_LINK);
}

static void put_monitors(const struct subject *s, cnode_builder *b)
{
	put_relations(s, b, CN_RELATION_MONITOR);
}

static void put_monitored_by(const struct subject *s, cnode_builder *b)
{
	put_relations(s, b, CN_RELATION_MONITORED_BY);
}

static void put_initial_call(const struct subject *s, cnode_builder *b)
{
	cn_builtin_put_initial_call(b, &s->info);
}

static void put_current_function(const struct subject *s, cnode_builder *b)
{
	cn_builtin_put_current_function(b, &s->info);
}

static void put_current_location(const struct subject *s, cnode_builder *b)
{
	cnode_build_tuple(b, 4);
	cnode_build_atom(b, s->info.label);
	cnode_build_atom(b, s->info.running ? "callback" : "wait");
	cnode_build_int64(b, 0);
	cnode_build_format(b, "[]");
}

static void put_current_stacktrace(const struct subject *s, cnode_builder *b)
{
	cnode_build_list(b);
	put_current_location(s, b);
	cnode_build_list_end(b);
}

static void put_status(const struct subject *s, cnode_builder *b)
{
	cnode_build_atom(b, s->info.suspended  ? "suspended"
			    : s->info.running  ? "running"
			    : s->info.runnable ? "runnable"
					       : "waiting");
}

static void put_registered_name(const struct subject *s, cnode_builder *b)
{
	if (*s->info.name)
		cnode_build_atom(b, s->info.name);
	else
		cnode_build_format(b, "[]");
}

static void put_initial_call_key(const struct subject *s, cnode_builder *b)
{
	put_mfa(b, s->info.label, "init", 1);
}

static void put_ancestors(const struct subject *s, cnode_builder *b)
{
	cnode_build_list(b);
	if (!cnode_pid_is_none(s->info.parent))
		cnode_build_pid(b, s->info.parent);
	cnode_build_list_end(b);
}

static void put_dictionary(const struct subject *s, cnode_builder *b)
{
	cnode_build_list(b);
	cnode_build_tuple(b, 2);
	cnode_build_atom(b, "$initial_call");
	put_initial_call_key(s, b);
	cnode_build_tuple(b, 2);
	cnode_build_atom(b, "$ancestors");
	put_ancestors(s, b);
	cnode_build_list_end(b);
}

static void put_group_leader(const struct subject *s, cnode_builder *b)
{
	cnode_build_pid(b, s->info.leader);
}

static void put_parent(const struct subject *s, cnode_builder *b)
{
	if (cnode_pid_is_none(s->info.parent))
		cnode_build_atom(b, "undefined");
	else
		cnode_build_pid(b, s->info.parent);
}

static void put_message_queue_len(const struct subject *s, cnode_builder *b)
{
	cnode_build_uint64(b, s->info.messages);
}

static void put_trap_exit(const struct subject *s, cnode_builder *b)
{
	cnode_build_bool(b, s->info.traps_exit);
}

static void put_priority(const struct subject *s, cnode_builder *b)
{
	cnode_build_atom(b, s->info.prompt ? "max" : "normal");
}

static void put_memory(const struct subject *s, cnode_builder *b)
{
	cnode_build_uint64(b, s->info.memory);
}

static void put_words(const struct subject *s, cnode_builder *b)
{
	cnode_build_uint64(b, s->info.memory / sizeof(void *));
}

static void put_reductions(const struct subject *s, cnode_builder *b)
{
	cnode_build_uint64(b, cn_builtin_reductions(&s->info));
}

static void put_garbage_collection(const struct subject *s, cnode_builder *b)
{
	(void)s;
	cnode_build_format(b, "[{max_heap_size,#{error_logger => false,kill => false,size => 0}},{min_bin_vheap_size,0},"
			      "{min_heap_size,0},{fullsweep_after,0},{minor_gcs,0}]");
}

#define PUT_CONSTANT(name, text) \
	static void put_##name(const struct subject *s, cnode_builder *b) \
	{ \
		(void)s; \
		cnode_build_format(b, text); \
	}
PUT_CONSTANT(empty, "[]")
PUT_CONSTANT(zero, "0")
PUT_CONSTANT(false, "false")
PUT_CONSTANT(undefined, "undefined")
PUT_CONSTANT(error_handler, "error_handler")
PUT_CONSTANT(on_heap, "on_heap")
PUT_CONSTANT(max_heap_size, "#{error_logger => false,kill => false,size => 0}")

/* The items of process_info/1 come first, in its order. */
static const struct item {
	const char *name;
	bool in_short;                  /* it is one of process_info/1's */
	void (*put)(const struct subject *s, cnode_builder *b);
} items[] = {
	{ "registered_name", true, put_registered_name },
	{ "current_function", true, put_current_function },
	{ "initial_call", true, put_initial_call },
	{ "status", true, put_status },
	{ "message_queue_len", true, put_message_queue_len },
	{ "links", true, put_links },
	{ "dictionary", true, put_dictionary },
	{ "trap_exit", true, put_trap_exit },
	{ "error_handler", true, put_error_handler },
	{ "priority", true, put_priority },
	{ "group_leader", true, put_group_leader },
	{ "total_heap_size", true, put_words },
	{ "heap_size", true, put_words },
	{ "stack_size", true, put_zero },
	{ "reductions", true, put_reductions },
	{ "garbage_collection", true, put_garbage_collection },
	{ "suspending", true, put_empty },
	{ "async_dist", false, put_false },
	{ "backtrace", false, put_empty },
	{ "binary", false, put_empty },
	{ "catchlevel", false, put_zero },
	{ "current_location", false, put_current_location },
	{ "current_stacktrace", false, put_current_stacktrace },
	{ "fullsweep_after", false, put_zero },
	{ "garbage_collection_info", false, put_empty },
	{ "label", false, put_undefined },
	{ "last_calls", false, put_false },
	{ "max_heap_size", false, put_max_heap_size },
	{ "memory", false, put_memory },
	{ "message_queue_data", false, put_on_heap },
	{ "messages", false, put_empty },
	{ "min_bin_vheap_size", false, put_zero },
	{ "min_heap_size", false, put_zero },
	{ "monitored_by", false, put_monitored_by },
	{ "monitors", false, put_monitors },
	{ "parent", false, put_parent },
	{ "sequential_trace_token", false, put_empty },
	{ "trace", false, put_zero },
};

static const struct item *find_item(const char *name)
{
	for (size_t i = 0; i < CN_ARRAY_SIZE(items); i++)
		if (strcmp(items[i].name, name) == 0)
			return &items[i];
	return NULL;
}

static void put_item(const struct subject *s, cnode_builder *b, const struct item *item)
{
	cnode_build_tuple(b, 2);
	cnode_build_atom(b, item->name);
	item->put(s, b);
}

/* {dictionary, Key}, since OTP 27. */
static bool put_dictionary_key(const struct subject *s, cnode_builder *b, cnode_term spec)
{
	cnode_term key;
	if (cnode_scan(spec, "{dictionary,~t}", &key) != 0)
		return false;
	cnode_build_tuple(b, 2);
	cnode_build_term(b, spec);
	if (cn_term_is_atom(key, "$initial_call"))
		put_initial_call_key(s, b);
	else if (cn_term_is_atom(key, "$ancestors"))
		put_ancestors(s, b);
	else
		cnode_build_atom(b, "undefined");
	return true;
}

/* One item of a list, or the only one. */
static bool put_spec(const struct subject *s, cnode_builder *b, cnode_term spec)
{
	cnode_atom name;
	if (cnode_scan(spec, "~a", &name) != 0)
		return put_dictionary_key(s, b, spec);
	const struct item *item = find_item(name.text);
	if (item)
		put_item(s, b, item);
	return item != NULL;
}

static bool put_specs(const struct subject *s, cnode_builder *b, cnode_term list)
{
	cnode_reader r = cnode_read(list);
	cnode_build_list(b);
	for (size_t n; (n = cnode_read_list(&r)) > 0;)
		while (n-- > 0)
			if (!put_spec(s, b, cnode_read_term(&r)))
				return false;
	cnode_build_list_end(b);
	return r.error == 0;
}

/* The process of the arguments. 0; CNODE_ENOPROC: it has ended; CNODE_EBADARG: it is another node's. */
static int find_subject(cnode_process *self, const struct cn_builtins *of, cnode_pid pid, struct subject *s)
{
	if (pid.node != cnode_self(self).node)
		return CNODE_EBADARG;
	s->procs = of->procs;
	s->pid = pid;
	return cn_procs_info(of->procs, pid, &s->info);
}

static int process_info_1(cnode_process *self, void *context, cnode_term args, cnode_term *result)
{
	struct subject s;
	cnode_pid pid;
	if (cnode_scan(args, "[~p]", &pid) != 0)
		return CNODE_EBADARG;
	int rc = find_subject(self, context, pid, &s);
	if (rc != 0)
		return rc == CNODE_ENOPROC ? cnode_format(result, "undefined") : rc;
	cnode_builder *b = cnode_builder_new();
	if (b) {
		cnode_build_list(b);
		for (size_t i = *s.info.name ? 0 : 1; i < CN_ARRAY_SIZE(items); i++)
			if (items[i].in_short)
				put_item(&s, b, &items[i]);
		cnode_build_list_end(b);
	}
	return cn_builtin_done(b, result);
}

static int process_info_2(cnode_process *self, void *context, cnode_term args, cnode_term *result)
{
	struct subject s;
	cnode_pid pid;
	cnode_term what;
	if (cnode_scan(args, "[~p,~t]", &pid, &what) != 0)
		return CNODE_EBADARG;
	int rc = find_subject(self, context, pid, &s);
	if (rc != 0 && rc != CNODE_ENOPROC)
		return rc;
	bool gone = rc == CNODE_ENOPROC;
	if (gone)
		memset(&s.info, 0, sizeof s.info);  /* an unknown item is badarg all the same */
	cnode_builder *b = cnode_builder_new();
	if (!b)
		return CNODE_ENOMEM;
	enum cnode_type type = cnode_term_type(what);
	bool good = type == CNODE_TYPE_LIST || type == CNODE_TYPE_NIL ? put_specs(&s, b, what) : put_spec(&s, b, what);
	if (!good || gone) {
		cnode_builder_free(b);
		return !good ? CNODE_EBADARG : cnode_format(result, "undefined");
	}
	/* Asked for alone, no name is no tuple. */
	if (cn_term_is_atom(what, "registered_name") && !*s.info.name) {
		cnode_builder_free(b);
		return cnode_format(result, "[]");
	}
	return cn_builtin_done(b, result);
}

const struct cn_builtin cn_builtins_of_processes[] = {
	{ "erlang", "processes", 0, processes_0 },
	{ "erlang", "process_info", 1, process_info_1 },
	{ "erlang", "process_info", 2, process_info_2 },
	{ "erlang", "registered", 0, registered_0 },
	{ "erlang", "whereis", 1, whereis_1 },
	{ "erlang", "is_process_alive", 1, is_process_alive_1 },
	{ "erlang", "function_exported", 3, function_exported_3 },
	{ NULL, NULL, 0, NULL },
};
