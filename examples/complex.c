/* SPDX-License-Identifier: Apache-2.0 */
/*
 * complex: the C node of OTP's Interoperability Tutorial ("C Nodes", complex.c and
 * cnode.c), as a module. The tutorial's Erlang side works with it as it is:
 *
 *     call(Msg) ->
 *         {any, 'c1@host'} ! {call, self(), Msg},
 *         receive {cnode, Result} -> Result end.
 *
 *     cnoded -sname c1 -load ./complex
 *
 * What differs from the tutorial's program: there is no socket, accept, receive loop or
 * buffer here, and no decoding by hand. Any number of nodes may be connected, they may
 * link and monitor, a call to an unknown name or with wrong arguments hurts nobody, and
 * ticks are answered whatever foo and bar do. To be called as a gen_server it needs four
 * lines, complex_call.
 */
#include <cnode/cnode.h>

static int64_t foo(int64_t x) { return x + 1; }
static int64_t bar(int64_t y) { return y * 2; }

/* The tutorial's numbers are small; others are not for this example. */
static int compute(cnode_term message, int64_t *result)
{
	int64_t n;
	if (cnode_scan(message, "{foo,~q}", &n) == 0 && n > -1000000 && n < 1000000)
		*result = foo(n);
	else if (cnode_scan(message, "{bar,~q}", &n) == 0 && n > -1000000 && n < 1000000)
		*result = bar(n);
	else
		return CNODE_EBADARG;
	return 0;
}

/* {call, Pid, {foo, X}} gets {cnode, Result}. */
static int complex_info(cnode_process *self, void *state, const cnode_info *info)
{
	cnode_pid from;
	cnode_term message;
	int64_t result;
	(void)state;
	if (info->kind == CNODE_MESSAGE && cnode_scan(info->message, "{call,~p,~t}", &from, &message) == 0
	    && compute(message, &result) == 0)
		(void)cnode_send(self, from, "{cnode,~q}", result);      /* a pid that nothing can be sent to is not our end */
	return 0;
}

/* gen_server:call({any, Node}, {foo, X}) gets {ok, Result}. */
static int complex_call(cnode_process *self, void *state, cnode_from *from, cnode_term request)
{
	int64_t result;
	(void)self;
	(void)state;
	return compute(request, &result) == 0 ? cnode_reply(from, "{ok,~q}", result)
					      : cnode_reply(from, "{error,bad_request}");
}

static const cnode_behaviour complex = {
	CNODE_BEHAVIOUR_INIT,
	.handle_info = complex_info,
	.handle_call = complex_call,
};

static int start(cnode_node *node, void **state)
{
	cnode_term none;
	cnode_pid pid;
	int rc = cnode_format(&none, "[]");
	(void)state;
	if (rc != 0)
		return rc;
	rc = cnode_process_start(node, "any", &complex, NULL, none, &pid);
	cnode_term_drop(none);
	return rc;
}

CNODE_MODULE("complex", start, NULL)
