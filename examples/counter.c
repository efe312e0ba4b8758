/* SPDX-License-Identifier: Apache-2.0 */
/*
 * counter: a gen_server in C, as a module for cnoded.
 *
 *     cc -shared -fPIC counter.c $(pkg-config --cflags cnode) -o counter.so
 *     cnoded -sname c -load ./counter -allow counter
 *
 * and then, on a BEAM node:
 *
 *     Pid = spawn_link('c@host', counter, start, [10]),
 *     15 = gen_server:call(Pid, {add, 5}),
 *     15 = gen_server:call(Pid, get),
 *     gen_server:cast(Pid, stop).
 *
 * Calls {add,N} and get; casts {add,N} and stop; the message {exit,Reason} ends it so.
 */
#include <cnode/cnode.h>

/* One per process, zeroed, owned by the process. */
struct counter {
	int64_t total;
};

/* The arguments are one integer: another list is CNODE_EBADARG, and the spawn fails with badarg. */
static int counter_init(cnode_process *self, void *state, const cnode_start *how)
{
	struct counter *c = state;
	(void)self;
	return cnode_scan(how->args, "[~q]", &c->total);
}

static int counter_call(cnode_process *self, void *state, cnode_from *from, cnode_term request)
{
	struct counter *c = state;
	int64_t n;
	(void)self;
	if (cnode_scan(request, "get") == 0)
		return cnode_reply(from, "~q", c->total);
	if (cnode_scan(request, "{add,~q}", &n) == 0 && !__builtin_add_overflow(c->total, n, &n)) {
		c->total = n;
		return cnode_reply(from, "~q", c->total);
	}
	return cnode_reply(from, "{error,bad_request}");
}

static int counter_cast(cnode_process *self, void *state, cnode_term message)
{
	struct counter *c = state;
	int64_t n;
	if (cnode_scan(message, "stop") == 0)
		return cnode_stop(self, "normal");
	if (cnode_scan(message, "{add,~q}", &n) == 0 && !__builtin_add_overflow(c->total, n, &n))
		c->total = n;
	return 0;
}

static int counter_info(cnode_process *self, void *state, const cnode_info *info)
{
	cnode_term reason;
	(void)state;
	if (info->kind == CNODE_MESSAGE && cnode_scan(info->message, "{exit,~t}", &reason) == 0)
		return cnode_stop(self, "~t", reason);
	return 0;
}

/* What sys:get_state shows. */
static int counter_state(cnode_process *self, void *state, cnode_term *shown)
{
	const struct counter *c = state;
	(void)self;
	return cnode_format(shown, "~q", c->total);
}

static const cnode_behaviour counter = {
	CNODE_BEHAVIOUR_INIT,
	.state_size = sizeof(struct counter),
	.init = counter_init,
	.handle_call = counter_call,
	.handle_cast = counter_cast,
	.handle_info = counter_info,
	.get_state = counter_state,
};

/* Nobody may spawn it until the operator says so: cnoded -allow counter. */
static int start(cnode_node *node, void **state)
{
	(void)state;
	return cnode_factory_add(node, "counter", &counter, NULL, CNODE_NO_NODES);
}

CNODE_MODULE("counter", start, NULL)
