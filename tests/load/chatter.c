/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chatter: a process that calls others without pause, for tests of a node under load. Spawned with
 * []; the cast {chat,Pid} makes it call Pid, again as soon as the answer is there, for ever; the
 * call `ask` is answered `fine`; the call `calls` with the number of answers it has had, and an
 * answer that is an error ends it.
 */
#include <cnode/cnode.h>

struct chatter {
	cnode_pid to;
	int64_t answers;
};

static int ask(cnode_process *self, struct chatter *c);

static int answered(cnode_process *self, void *state, void *context, const cnode_answer *answer)
{
	struct chatter *c = state;
	(void)context;
	if (answer->status != 0)
		return cnode_stop(self, "{shutdown,~a}", cnode_error_atom(answer->status));
	c->answers++;
	return ask(self, c);
}

static int ask(cnode_process *self, struct chatter *c)
{
	return cnode_call_async(self, c->to, 30000, answered, NULL, "ask");
}

static int chatter_init(cnode_process *self, void *state, const cnode_start *how)
{
	(void)self;
	(void)state;
	return cnode_scan(how->args, "[]");
}

static int chatter_call(cnode_process *self, void *state, cnode_from *from, cnode_term request)
{
	struct chatter *c = state;
	(void)self;
	if (cnode_scan(request, "ask") == 0)
		return cnode_reply(from, "fine");
	if (cnode_scan(request, "calls") == 0)
		return cnode_reply(from, "~q", c->answers);
	return cnode_reply(from, "{error,bad_request}");
}

static int chatter_cast(cnode_process *self, void *state, cnode_term message)
{
	struct chatter *c = state;
	if (cnode_scan(message, "{chat,~p}", &c->to) != 0)
		return 0;
	return ask(self, c);
}

static const cnode_behaviour chatter = {
	CNODE_BEHAVIOUR_INIT,
	.state_size = sizeof(struct chatter),
	.init = chatter_init,
	.handle_call = chatter_call,
	.handle_cast = chatter_cast,
};

static int start(cnode_node *node, void **state)
{
	(void)state;
	return cnode_factory_add(node, "chatter", &chatter, NULL, CNODE_NO_NODES);
}

CNODE_MODULE("chatter", start, NULL)
