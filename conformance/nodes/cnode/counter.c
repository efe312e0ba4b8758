/* SPDX-License-Identifier: Apache-2.0 */
/* counter: the gen_server of CONTRACT.md. Spawned with [N]. */
#include <cnode/cnode.h>

struct counter {
	int64_t total;
};

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
	if (cnode_scan(request, "{add,~q}", &n) == 0)
		return cnode_reply(from, "~q", c->total += n);
	if (cnode_scan(request, "get") == 0)
		return cnode_reply(from, "~q", c->total);
	return cnode_reply(from, "{error,bad_request}");
}

static int counter_cast(cnode_process *self, void *state, cnode_term message)
{
	struct counter *c = state;
	int64_t n;
	if (cnode_scan(message, "stop") == 0)
		return cnode_stop(self, "normal");
	if (cnode_scan(message, "{add,~q}", &n) == 0)
		c->total += n;
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

static int counter_state(cnode_process *self, void *state, cnode_term *shown)
{
	struct counter *c = state;
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

static int start(cnode_node *node, void **state)
{
	(void)state;
	return cnode_factory_add(node, "counter", &counter, NULL, CNODE_ALL_NODES);
}

CNODE_MODULE("counter", start, NULL)
