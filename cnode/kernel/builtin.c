/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Built-in functions that look at the node: erlang:node/0, nodes/0,1, system_info/1,
 * statistics/1, memory/0,1. Every node has them, closed until somebody is allowed.
 *
 * Where the BEAM counts what a C node does not have (atoms, ports, ets tables, garbage)
 * the answer is a value of the right type that means nothing, so that tools that ask for
 * everything at once can show the rest. An item that is not known is badarg, as there.
 * Follows: erts/emulator/beam/erl_bif_info.c and the documentation of the module erlang.
 */
#include "cnode/kernel/builtin.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "compat/compat.h"

int cn_builtin_done(cnode_builder *b, cnode_term *result)
{
	int rc = b ? cnode_builder_term(b, result) : CNODE_ENOMEM;
	cnode_builder_free(b);
	return rc;
}

/* ---- nodes ---- */

static int node_0(cnode_process *self, void *context, cnode_term args, cnode_term *result)
{
	char node[CNODE_NAME_SIZE];
	(void)context;
	(void)args;
	int rc = cnode_name_text(cnode_self(self).node, node);
	return rc != 0 ? rc : cnode_format(result, "~a", node);
}

/* The connected peers, yours (cn_free). */
static int peers_of(const struct cn_builtins *of, struct cn_peer_info **peers, size_t *count)
{
	for (size_t room = 16;; room = *count + 16) {
		*peers = cn_calloc(room, sizeof **peers);
		if (!*peers)
			return CNODE_ENOMEM;
		*count = cn_cluster_peers(of->cluster, *peers, room);
		if (*count <= room)
			return 0;
		cn_free(*peers);
	}
}

enum { VISIBLE = 1, HIDDEN = 2, THIS = 4 };

static bool read_kind(cnode_term kind, unsigned *kinds)
{
	static const struct {
		const char *name;
		unsigned kinds;
	} known[] = {
		{ "visible", VISIBLE }, { "hidden", HIDDEN }, { "connected", VISIBLE | HIDDEN },
		{ "this", THIS }, { "known", VISIBLE | HIDDEN | THIS },
	};
	for (size_t i = 0; i < CN_ARRAY_SIZE(known); i++)
		if (cn_term_is_atom(kind, known[i].name)) {
			*kinds |= known[i].kinds;
			return true;
		}
	return false;
}

/* nodes/1 takes one kind or a list of kinds. */
static bool read_kinds(cnode_term arg, unsigned *kinds)
{
	cnode_reader r = cnode_read(arg);
	size_t n;
	*kinds = 0;
	if (cnode_term_type(arg) == CNODE_TYPE_ATOM)
		return read_kind(arg, kinds);
	while ((n = cnode_read_list(&r)) > 0)
		while (n-- > 0)
			if (!read_kind(cnode_read_term(&r), kinds))
				return false;
	return r.error == 0;
}

static int put_nodes(cnode_process *self, const struct cn_builtins *of, unsigned kinds, cnode_term *result)
{
	struct cn_peer_info *peers;
	size_t count;
	char own[CNODE_NAME_SIZE];
	int rc = peers_of(of, &peers, &count);
	if (rc != 0)
		return rc;
	cnode_builder *b = cnode_builder_new();
	if (b) {
		cnode_build_list(b);
		if ((kinds & THIS) && cnode_name_text(cnode_self(self).node, own) == 0)
			cnode_build_atom(b, own);
		for (size_t i = 0; i < count; i++)
			if (kinds & (peers[i].link.visible ? VISIBLE : HIDDEN))
				cnode_build_atom(b, peers[i].name);
		cnode_build_list_end(b);
	}
	cn_free(peers);
	return cn_builtin_done(b, result);
}

static int nodes_0(cnode_process *self, void *context, cnode_term args, cnode_term *result)
{
	(void)args;
	return put_nodes(self, context, VISIBLE, result);
}

static int nodes_1(cnode_process *self, void *context, cnode_term args, cnode_term *result)
{
	cnode_term arg;
	unsigned kinds;
	if (cnode_scan(args, "[~t]", &arg) != 0 || !read_kinds(arg, &kinds))
		return CNODE_EBADARG;
	return put_nodes(self, context, kinds, result);
}

/* ---- memory ---- */

enum { TOTAL, PROCESSES, PROCESSES_USED, SYSTEM, ATOM, ATOM_USED, BINARY, CODE, ETS, MEMORY_KINDS };
static const char *const memory_kinds[MEMORY_KINDS] = {
	"total", "processes", "processes_used", "system", "atom", "atom_used", "binary", "code", "ets",
};

static int measure(const struct cn_builtins *of, uint64_t bytes[MEMORY_KINDS])
{
	struct cn_memory_sizes sizes = cn_memory_sizes();
	cnode_pid *pids;
	size_t count;
	memset(bytes, 0, MEMORY_KINDS * sizeof *bytes);
	int rc = cn_procs_list(of->procs, &pids, &count);
	if (rc != 0)
		return rc;
	for (size_t i = 0; i < count; i++) {
		struct cn_process_info info;
		if (cn_procs_info(of->procs, pids[i], &info) == 0)
			bytes[PROCESSES] += info.memory;
	}
	cn_free(pids);
	bytes[PROCESSES_USED] = bytes[PROCESSES];
	bytes[TOTAL] = sizes.total > bytes[PROCESSES] ? sizes.total : bytes[PROCESSES];
	bytes[SYSTEM] = bytes[TOTAL] - bytes[PROCESSES];
	bytes[CODE] = sizes.code;
	return 0;
}

static void put_pair(cnode_builder *b, const char *name, uint64_t value)
{
	cnode_build_tuple(b, 2);
	cnode_build_atom(b, name);
	cnode_build_uint64(b, value);
}

void cn_builtin_put_memory(const struct cn_builtins *of, cnode_builder *b)
{
	uint64_t bytes[MEMORY_KINDS];
	int rc = measure(of, bytes);
	if (rc != 0 && b->err == 0)
		b->err = rc;
	for (size_t i = 0; rc == 0 && i < MEMORY_KINDS; i++)
		put_pair(b, memory_kinds[i], bytes[i]);
}

/*
 * What system_info({allocator_sizes, […]}) is: the C library's allocator, whose blocks and carriers are all that the
 * program has. observer divides by the carriers, so they are never 0.
 */
void cn_builtin_put_allocators(cnode_builder *b)
{
	uint64_t total = cn_memory_sizes().total;
	uint64_t size = total ? total : 1;
	cnode_build_format(b, "[{std_alloc,[{instance,0,[{mbcs,[{blocks_size,~Q,~Q,~Q},{carriers_size,~Q,~Q,~Q}]}]}]}]", size, size,
			   size, size, size, size);
}

static int memory_0(cnode_process *self, void *context, cnode_term args, cnode_term *result)
{
	(void)self;
	(void)args;
	cnode_builder *b = cnode_builder_new();
	if (b) {
		cnode_build_list(b);
		cn_builtin_put_memory(context, b);
		cnode_build_list_end(b);
	}
	return cn_builtin_done(b, result);
}

static int memory_kind(cnode_term term)
{
	for (int i = 0; i < MEMORY_KINDS; i++)
		if (cn_term_is_atom(term, memory_kinds[i]))
			return i;
	return -1;
}

static int memory_1(cnode_process *self, void *context, cnode_term args, cnode_term *result)
{
	uint64_t bytes[MEMORY_KINDS];
	cnode_term what;
	(void)self;
	if (cnode_scan(args, "[~t]", &what) != 0)
		return CNODE_EBADARG;
	int rc = measure(context, bytes);
	if (rc != 0)
		return rc;
	if (cnode_term_type(what) == CNODE_TYPE_ATOM) {
		int kind = memory_kind(what);
		return kind < 0 ? CNODE_EBADARG : cnode_format(result, "~Q", bytes[kind]);
	}
	cnode_builder *b = cnode_builder_new();
	if (!b)
		return CNODE_ENOMEM;
	cnode_reader r = cnode_read(what);
	cnode_build_list(b);
	for (size_t n; (n = cnode_read_list(&r)) > 0;)
		while (n-- > 0) {
			int kind = memory_kind(cnode_read_term(&r));
			if (kind < 0) {
				cnode_builder_free(b);
				return CNODE_EBADARG;
			}
			put_pair(b, memory_kinds[kind], bytes[kind]);
		}
	cnode_build_list_end(b);
	if (r.error) {
		cnode_builder_free(b);
		return CNODE_EBADARG;
	}
	return cn_builtin_done(b, result);
}

/* ---- statistics ---- */

int cn_builtin_io(const struct cn_builtins *of, uint64_t *in, uint64_t *out)
{
	struct cn_peer_info *peers;
	size_t count;
	*in = *out = 0;
	int rc = peers_of(of, &peers, &count);
	if (rc != 0)
		return rc;
	for (size_t i = 0; i < count; i++) {
		*in += peers[i].counts.bytes_in;
		*out += peers[i].counts.bytes_out;
	}
	cn_free(peers);
	return 0;
}

void cn_builtin_put_io(const struct cn_builtins *of, cnode_builder *b)
{
	uint64_t in, out;
	int rc = cn_builtin_io(of, &in, &out);
	if (rc != 0 && b->err == 0)
		b->err = rc;
	cnode_build_format(b, "{{input,~Q},{output,~Q}}", in, out);
}

uint32_t cn_builtin_run_queue(const struct cn_builtins *of)
{
	struct cn_sched_waiting waiting;
	cn_sched_waiting(of->procs, &waiting);
	return waiting.prompt + waiting.normal;
}

/* {Total, SinceTheLastCall}. */
static void put_total(cnode_builder *b, _Atomic uint64_t *asked, uint64_t total)
{
	uint64_t before = atomic_exchange(asked, total);
	cnode_build_tuple(b, 2);
	cnode_build_uint64(b, total);
	cnode_build_uint64(b, total > before ? total - before : 0);
}

static bool put_statistics(struct cn_builtins *of, cnode_builder *b, const char *item)
{
	if (strcmp(item, "wall_clock") == 0) {
		put_total(b, &of->wall_asked, (cn_now() - of->began) / CN_NS_PER_MS);
	} else if (strcmp(item, "runtime") == 0) {
		put_total(b, &of->runtime_asked, cn_cpu_time() / CN_NS_PER_MS);
	} else if (strcmp(item, "reductions") == 0 || strcmp(item, "exact_reductions") == 0) {
		put_total(b, &of->reductions_asked, cn_cpu_time() / 1000);
	} else if (strcmp(item, "run_queue") == 0 || strcmp(item, "total_run_queue_lengths") == 0 ||
		   strcmp(item, "total_run_queue_lengths_all") == 0) {
		cnode_build_uint64(b, cn_builtin_run_queue(of));
	} else if (strcmp(item, "run_queue_lengths") == 0 || strcmp(item, "run_queue_lengths_all") == 0) {
		cnode_build_list(b);
		cnode_build_uint64(b, cn_builtin_run_queue(of));
		cnode_build_list_end(b);
	} else if (strcmp(item, "io") == 0) {
		cn_builtin_put_io(of, b);
	} else if (strcmp(item, "garbage_collection") == 0) {
		cnode_build_format(b, "{0,0,0}");
	} else if (strcmp(item, "context_switches") == 0) {
		cnode_build_format(b, "{0,0}");
	} else if (strcmp(item, "scheduler_wall_time") == 0 || strcmp(item, "scheduler_wall_time_all") == 0) {
		cnode_build_atom(b, "undefined");   /* as on a BEAM where nobody has switched it on */
	} else {
		return false;
	}
	return true;
}

/* ---- system_info ---- */

bool cn_builtin_put_system_info(const struct cn_builtins *of, cnode_builder *b, const char *item)
{
	static const struct {
		const char *item;
		int64_t value;
	} numbers[] = {
		{ "port_count", 0 }, { "port_limit", 65536 }, { "ets_count", 0 }, { "ets_limit", 8192 }, { "atom_count", 0 },
		{ "atom_limit", 1048576 }, { "dirty_cpu_schedulers", 0 }, { "dirty_cpu_schedulers_online", 0 },
		{ "dirty_io_schedulers", 0 }, { "thread_pool_size", 0 }, { "wordsize", sizeof(void *) }, { "modified_timing_level", 0 },
	};
	static const struct {
		const char *item, *value;
	} words[] = {
		{ "machine", "\"CNODE\"" }, { "kernel_poll", "true" }, { "smp_support", "true" }, { "threads", "true" },
		{ "multi_scheduling", "enabled" }, { "alloc_util_allocators", "[std_alloc]" }, { "allocator", "{undefined,[],[],[]}" },
		{ "build_type", "opt" }, { "debug_compiled", "false" }, { "emu_type", "opt" }, { "emu_flavor", "cnode" },
		{ "heap_type", "private" }, { "time_correction", "true" }, { "time_warp_mode", "no_time_warp" },
		{ "os_monotonic_time_source", "[]" }, { "dynamic_trace", "none" }, { "trace_control_word", "0" },
	};
	for (size_t i = 0; i < CN_ARRAY_SIZE(numbers); i++)
		if (strcmp(item, numbers[i].item) == 0) {
			cnode_build_int64(b, numbers[i].value);
			return true;
		}
	for (size_t i = 0; i < CN_ARRAY_SIZE(words); i++)
		if (strcmp(item, words[i].item) == 0) {
			cnode_build_format(b, words[i].value);
			return true;
		}
	if (strcmp(item, "process_count") == 0) {
		cnode_build_int64(b, cn_procs_count(of->procs));
	} else if (strcmp(item, "process_limit") == 0) {
		cnode_build_int64(b, cn_procs_limit(of->procs));
	} else if (strcmp(item, "logical_processors") == 0 || strcmp(item, "logical_processors_online") == 0) {
		cnode_build_int64(b, cn_processors_online());
	} else if (strcmp(item, "logical_processors_available") == 0 || strcmp(item, "schedulers") == 0 ||
		   strcmp(item, "schedulers_online") == 0) {
		cnode_build_int64(b, cn_processors());
	} else if (strcmp(item, "creation") == 0) {
		cnode_build_int64(b, cn_procs_creation(of->procs));
	} else if (strcmp(item, "version") == 0) {
		cnode_build_string(b, PACKAGE_VERSION);
	} else if (strcmp(item, "otp_release") == 0) {
		/* The release whose capabilities this node offers. */
		char text[16];
		snprintf(text, sizeof text, "%d", cn_otp_release_of(CN_DFLAGS_OFFER)->release);
		cnode_build_string(b, text);
	} else if (strcmp(item, "system_version") == 0) {
		cnode_build_string(b, "cnode " PACKAGE_VERSION "\n");
	} else if (strcmp(item, "system_architecture") == 0) {
		cnode_build_string(b, cn_architecture());
	} else if (strcmp(item, "dist_buf_busy_limit") == 0) {
		cnode_build_int64(b, (int64_t)cn_cluster_busy_limit(of->cluster));
	} else {
		return false;
	}
	return true;
}

static int by_item(void *context, cnode_term args, cnode_term *result,
		   bool (*put)(struct cn_builtins *of, cnode_builder *b, const char *item))
{
	cnode_atom item;
	if (cnode_scan(args, "[~a]", &item) != 0)
		return CNODE_EBADARG;
	cnode_builder *b = cnode_builder_new();
	if (b && !put(context, b, item.text)) {
		cnode_builder_free(b);
		return CNODE_EBADARG;
	}
	return cn_builtin_done(b, result);
}

static int statistics_1(cnode_process *self, void *context, cnode_term args, cnode_term *result)
{
	(void)self;
	return by_item(context, args, result, put_statistics);
}

static bool put_system_info(struct cn_builtins *of, cnode_builder *b, const char *item)
{
	return cn_builtin_put_system_info(of, b, item);
}

static int system_info_1(cnode_process *self, void *context, cnode_term args, cnode_term *result)
{
	cnode_term item;
	(void)self;
	if (cnode_scan(args, "[{wordsize,internal}]") == 0 || cnode_scan(args, "[{wordsize,external}]") == 0)
		return cnode_format(result, "~i", (int)sizeof(void *));
	if (cnode_scan(args, "[{allocator_sizes,~t}]", &item) == 0) {
		cnode_builder *b = cnode_builder_new();
		if (b)
			cn_builtin_put_allocators(b);
		return cn_builtin_done(b, result);
	}
	return by_item(context, args, result, put_system_info);
}

const struct cn_builtin cn_builtins_of_node[] = {
	{ "erlang", "node", 0, node_0 },
	{ "erlang", "nodes", 0, nodes_0 },
	{ "erlang", "nodes", 1, nodes_1 },
	{ "erlang", "memory", 0, memory_0 },
	{ "erlang", "memory", 1, memory_1 },
	{ "erlang", "statistics", 1, statistics_1 },
	{ "erlang", "system_info", 1, system_info_1 },
	{ NULL, NULL, 0, NULL },
};

int cn_builtins_add(struct cn_builtins *of, struct cn_factories *factories)
{
	static const struct cn_builtin *const tables[] = {
		cn_builtins_of_node, cn_builtins_of_processes, cn_builtins_of_observer,
	};
	int rc = 0;
	for (size_t t = 0; t < CN_ARRAY_SIZE(tables); t++)
		for (const struct cn_builtin *row = tables[t]; row->module && rc == 0; row++)
			rc = cn_function_export(of->functions, row->module, row->name, row->arity, row->call, of, CNODE_NO_NODES);
	return rc != 0 ? rc : cn_builtin_serve_observer(of, factories);
}
