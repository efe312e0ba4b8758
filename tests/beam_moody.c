/* SPDX-License-Identifier: Apache-2.0 */
/*
 * moody: a factory for tests of the client. Its init sleeps ([{sleep,Ms}]), fails with a reason ([{fail,Reason}]),
 * crashes the program ([crash]) or succeeds ([]); the call env shows what the spawn's options gave it.
 */
#include <cnode/cnode.h>
#include <stdlib.h>
#include <time.h>

static int moody_init(cnode_process *self, void *state, const cnode_start *how)
{
	int64_t ms;
	cnode_term reason;
	(void)state;
	if (cnode_scan(how->args, "[{sleep,~q}]", &ms) == 0) {
		const struct timespec pause = { .tv_nsec = 10 * 1000 * 1000 };
		for (; ms > 0 && !cnode_cancelled(self); ms -= 10)
			nanosleep(&pause, NULL);
		return 0;
	}
	if (cnode_scan(how->args, "[crash]") == 0)
		abort();
	if (cnode_scan(how->args, "[{fail,~t}]", &reason) == 0) {
		int rc = cnode_stop(self, "~t", reason);
		return rc != 0 ? rc : CNODE_EEXITED;
	}
	return cnode_scan(how->args, "[]");
}

static int moody_call(cnode_process *self, void *state, cnode_from *from, cnode_term request)
{
	cnode_term value;
	(void)state;
	if (cnode_scan(request, "env") != 0)
		return cnode_reply(from, "{error,bad_request}");
	if (cnode_env(self, "colour", &value) != 0)
		return cnode_reply(from, "{~a,none}", cnode_application(self));
	return cnode_reply(from, "{~a,~t}", cnode_application(self), value);
}

static const cnode_behaviour moody = { CNODE_BEHAVIOUR_INIT, .init = moody_init, .handle_call = moody_call };

static int start(cnode_node *node, void **state)
{
	(void)state;
	return cnode_factory_add(node, "moody", &moody, NULL, CNODE_NO_NODES);
}

CNODE_MODULE("moody", start, NULL)
