/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Built-in functions that etop and observer call: those of the module observer_backend,
 * which on a BEAM node is part of runtime_tools, and proc_lib:translate_initial_call/1.
 * etop_collect, procs_info and fetch_stats are spawned and send what they find; the others
 * are called by rpc.
 * Follows: lib/runtime_tools/src/observer_backend.erl and include/observer_backend.hrl,
 * whose records have not changed from OTP 23 to 29.
 */
#include "cnode/kernel/builtin.h"

#include <time.h>

#include "compat/compat.h"

static int vsn_0(cnode_process *self, void *context, cnode_term args, cnode_term *result)
{
	(void)self;
	(void)context;
	(void)args;
	return cnode_format(result, "{ok,~s}", PACKAGE_VERSION);
}

/* What proc_lib itself says of a process that it has not started. */
static int translate_initial_call_1(cnode_process *self, void *context, cnode_term args, cnode_term *result)
{
	cnode_pid pid;
	(void)context;
	if (cnode_scan(args, "[~p]", &pid) != 0 || pid.node != cnode_self(self).node)
		return CNODE_EBADARG;
	return cnode_format(result, "{proc_lib,init_p,5}");
}

/* No ets tables, ports and sockets. */
static int none(cnode_process *self, void *context, cnode_term args, cnode_term *result)
{
	(void)self;
	(void)context;
	(void)args;
	return cnode_format(result, "[]");
}

static int sys_info_0(cnode_process *self, void *context, cnode_term args, cnode_term *result)
{
	static const char *const infos[] = {
		"logical_processors", "logical_processors_online", "logical_processors_available", "schedulers", "schedulers_online",
		"otp_release", "version", "system_architecture", "kernel_poll", "smp_support", "threads", "thread_pool_size",
		"process_count", "atom_limit", "atom_count", "process_limit", "port_limit", "port_count", "ets_limit", "ets_count",
		"dist_buf_busy_limit",
	};
	struct cn_builtins *of = context;
	uint64_t in, out;
	(void)self;
	(void)args;
	cnode_builder *b = cnode_builder_new();
	if (!b)
		return CNODE_ENOMEM;
	if (cn_builtin_io(of, &in, &out) != 0)
		b->err = CNODE_ENOMEM;
	cnode_build_list(b);
	cnode_build_format(b, "{uptime,~Q}", (cn_now() - of->began) / CN_NS_PER_MS);
	cnode_build_format(b, "{run_queue,~Q}", (uint64_t)cn_builtin_run_queue(of));
	cnode_build_format(b, "{io_input,~Q}", in);
	cnode_build_format(b, "{io_output,~Q}", out);
	for (size_t i = 0; i < CN_ARRAY_SIZE(infos); i++) {
		cnode_build_tuple(b, 2);
		cnode_build_atom(b, infos[i]);
		(void)cn_builtin_put_system_info(of, b, infos[i]);
	}
	cnode_build_tuple(b, 2);
	cnode_build_atom(b, "schedulers_available");
	(void)cn_builtin_put_system_info(of, b, "schedulers_online");
	cnode_build_format(b, "{wordsize_internal,~i}", (int)sizeof(void *));
	cnode_build_format(b, "{wordsize_external,~i}", (int)sizeof(void *));
	cnode_build_tuple(b, 2);
	cnode_build_atom(b, "alloc_info");
	cn_builtin_put_allocators(b);
	cn_builtin_put_memory(of, b);
	cnode_build_list_end(b);
	return cn_builtin_done(b, result);
}

/* ---- what is known of processes, as #etop_proc_info{pid, mem, reds, name, runtime, cf, mq} ---- */

static void put_process(const struct cn_builtins *of, cnode_builder *b, cnode_pid pid, size_t *count)
{
	struct cn_process_info info;
	if (cn_procs_info(of->procs, pid, &info) != 0)
		return;
	cnode_build_tuple(b, 8);
	cnode_build_atom(b, "etop_proc_info");
	cnode_build_pid(b, pid);
	cnode_build_uint64(b, info.memory);
	cnode_build_uint64(b, cn_builtin_reductions(&info));
	if (*info.name)
		cnode_build_atom(b, info.name);
	else
		cn_builtin_put_initial_call(b, &info);
	cnode_build_int64(b, 0);
	cn_builtin_put_current_function(b, &info);
	cnode_build_uint64(b, info.messages);
	(*count)++;
}

/* All but self, as there. *list is yours. */
static int collect(cnode_process *self, const struct cn_builtins *of, cnode_term *list, size_t *count)
{
	cnode_pid *pids, me = cnode_self(self);
	size_t all;
	int rc = cn_procs_list(of->procs, &pids, &all);
	if (rc != 0)
		return rc;
	cnode_builder *b = cnode_builder_new();
	*count = 0;
	if (b) {
		cnode_build_list(b);
		for (size_t i = 0; i < all; i++)
			if (!cnode_pid_equal(pids[i], me))
				put_process(of, b, pids[i], count);
		cnode_build_list_end(b);
	}
	cn_free(pids);
	return cn_builtin_done(b, list);
}

/* Sends {self(), #etop_info{now, n_procs, wall_clock, runtime, run_queue, alloc_areas, memi, procinfo}}. */
static int etop_collect_1(cnode_process *self, void *context, cnode_term args, cnode_term *result)
{
	struct cn_builtins *of = context;
	struct timespec now;
	cnode_pid collector;
	cnode_term list, memory;
	size_t count;
	if (cnode_scan(args, "[~p]", &collector) != 0)
		return CNODE_EBADARG;
	int rc = collect(self, of, &list, &count);
	if (rc != 0)
		return rc;
	cnode_builder *b = cnode_builder_new();
	if (b) {
		cnode_build_list(b);
		cn_builtin_put_memory(of, b);
		cnode_build_list_end(b);
	}
	rc = cn_builtin_done(b, &memory);
	if (rc == 0) {
		clock_gettime(CLOCK_REALTIME, &now);
		rc = cnode_send(self, collector, "{~p,{etop_info,{~l,~l,~l},~Q,undefined,undefined,~Q,[],~t,~t}}", cnode_self(self),
				(long)(now.tv_sec / 1000000), (long)(now.tv_sec % 1000000), now.tv_nsec / 1000, (uint64_t)count,
				(uint64_t)cn_builtin_run_queue(of), memory, list);
		cnode_term_drop(memory);
	}
	cnode_term_drop(list);
	return rc != 0 ? rc : cnode_format(result, "ok");
}

static int procs_info_1(cnode_process *self, void *context, cnode_term args, cnode_term *result)
{
	cnode_pid collector;
	cnode_term list;
	size_t count;
	if (cnode_scan(args, "[~p]", &collector) != 0)
		return CNODE_EBADARG;
	int rc = collect(self, context, &list, &count);
	if (rc == 0) {
		rc = cnode_send(self, collector, "{procs_info,~p,~t}", cnode_self(self), list);
		cnode_term_drop(list);
	}
	return rc != 0 ? rc : cnode_format(result, "ok");
}

/* It goes on until it is told to stop, so it is spawned, not called. */
static int not_called(cnode_process *self, void *context, cnode_term args, cnode_term *result)
{
	(void)self;
	(void)context;
	(void)args;
	return cnode_raise(result, "error", "must_be_spawned");
}

const struct cn_builtin cn_builtins_of_observer[] = {
	{ "observer_backend", "vsn", 0, vsn_0 },
	{ "observer_backend", "sys_info", 0, sys_info_0 },
	{ "observer_backend", "get_table_list", 2, none },
	{ "observer_backend", "get_port_list", 0, none },
	{ "observer_backend", "get_socket_list", 0, none },
	{ "observer_backend", "socket_info", 0, none },
	{ "observer_backend", "etop_collect", 1, etop_collect_1 },
	{ "observer_backend", "procs_info", 1, procs_info_1 },
	{ "observer_backend", "fetch_stats", 2, not_called },
	{ "proc_lib", "translate_initial_call", 1, translate_initial_call_1 },
	{ NULL, NULL, 0, NULL },
};

/* ---- spawned: etop_collect and procs_info once, fetch_stats until a message comes ---- */

struct once {
	struct cn_builtins *of;
	cnode_term args;
};

static int once_init(cnode_process *self, void *state, const cnode_start *how)
{
	struct once *o = state;
	o->of = how->context;
	int rc = cnode_term_keep(how->args, &o->args);
	return rc != 0 ? rc : cnode_send(self, cnode_self(self), "run");
}

static int once_run(cnode_process *self, const struct once *o, cnode_function *call)
{
	cnode_term result = { 0 };
	int rc = call(self, o->of, o->args, &result);
	cnode_term_drop(result);
	return rc != 0 ? rc : cnode_stop(self, "normal");
}

static int etop_collect_info(cnode_process *self, void *state, const cnode_info *info)
{
	(void)info;
	return once_run(self, state, etop_collect_1);
}

static int procs_info_info(cnode_process *self, void *state, const cnode_info *info)
{
	(void)info;
	return once_run(self, state, procs_info_1);
}

static void once_release(void *state)
{
	cnode_term_drop(((struct once *)state)->args);
}

struct stats {
	struct cn_builtins *of;
	cnode_pid parent;
	uint64_t every_ms;
};

static int stats_next(cnode_process *self, const struct stats *s)
{
	cnode_ref timer;
	return cnode_start_timer(self, s->every_ms, &timer, "again");
}

static int stats_init(cnode_process *self, void *state, const cnode_start *how)
{
	struct stats *s = state;
	s->of = how->context;
	if (cnode_scan(how->args, "[~p,~Q]", &s->parent, &s->every_ms) != 0 || s->every_ms == 0)
		return CNODE_EBADARG;
	int rc = cnode_trap_exit(self, true);
	return rc != 0 ? rc : stats_next(self, s);
}

/*
 * What statistics(scheduler_wall_time) is on a BEAM where it is switched on: {Id, Active, Total} each. There is one for
 * each processor that the program may use, and they have its processor time in equal parts. observer takes the list apart.
 */
static void put_scheduler_times(const struct cn_builtins *of, cnode_builder *b)
{
	uint64_t total = cn_now() - of->began, active = cn_cpu_time() / (uint64_t)cn_processors();
	cnode_build_list(b);
	for (int i = 1; i <= cn_processors(); i++)
		cnode_build_format(b, "{~i,~Q,~Q}", i, active < total ? active : total, total);
	cnode_build_list_end(b);
}

/* {stats, 1, SchedulerWallTime, IO, Memory} to the parent. */
static int stats_info(cnode_process *self, void *state, const cnode_info *info)
{
	struct stats *s = state;
	cnode_term stats;
	if (info->kind != CNODE_TIMER)
		return cnode_stop(self, "normal");
	cnode_builder *b = cnode_builder_new();
	if (b) {
		cnode_build_tuple(b, 5);
		cnode_build_atom(b, "stats");
		cnode_build_int64(b, 1);
		put_scheduler_times(s->of, b);
		cn_builtin_put_io(s->of, b);
		cnode_build_list(b);
		cn_builtin_put_memory(s->of, b);
		cnode_build_list_end(b);
	}
	int rc = cn_builtin_done(b, &stats);
	if (rc != 0)
		return rc;
	rc = cnode_send(self, s->parent, "~t", stats);
	cnode_term_drop(stats);
	return rc != 0 ? rc : stats_next(self, s);
}

static const cnode_behaviour etop_collect = {
	CNODE_BEHAVIOUR_INIT, .flags = CNODE_RAW, .state_size = sizeof(struct once), .init = once_init,
	.handle_info = etop_collect_info, .release = once_release,
};
static const cnode_behaviour procs_info = {
	CNODE_BEHAVIOUR_INIT, .flags = CNODE_RAW, .state_size = sizeof(struct once), .init = once_init,
	.handle_info = procs_info_info, .release = once_release,
};
static const cnode_behaviour fetch_stats = {
	CNODE_BEHAVIOUR_INIT, .flags = CNODE_RAW, .state_size = sizeof(struct stats), .init = stats_init,
	.handle_info = stats_info,
};

static int may_etop_collect(void *context, const char *peer, cnode_term args)
{
	(void)args;
	return cn_functions_may(((struct cn_builtins *)context)->functions, peer, "observer_backend", "etop_collect", 1);
}

static int may_procs_info(void *context, const char *peer, cnode_term args)
{
	(void)args;
	return cn_functions_may(((struct cn_builtins *)context)->functions, peer, "observer_backend", "procs_info", 1);
}

static int may_fetch_stats(void *context, const char *peer, cnode_term args)
{
	(void)args;
	return cn_functions_may(((struct cn_builtins *)context)->functions, peer, "observer_backend", "fetch_stats", 2);
}

int cn_builtin_serve_observer(struct cn_builtins *of, struct cn_factories *factories)
{
	const struct cn_service services[] = {
		{ "observer_backend", "etop_collect", 1, &etop_collect, of, may_etop_collect },
		{ "observer_backend", "procs_info", 1, &procs_info, of, may_procs_info },
		{ "observer_backend", "fetch_stats", 2, &fetch_stats, of, may_fetch_stats },
	};
	int rc = 0;
	for (size_t i = 0; i < CN_ARRAY_SIZE(services) && rc == 0; i++)
		rc = cn_factories_serve(factories, &services[i]);
	return rc;
}
