/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net_kernel: what peers ask it. net_adm:ping/1 calls it with {is_auth, Node} and waits
 * for `yes` without a timeout of its own, so an answer there must always be.
 * Follows: lib/kernel/src/net_kernel.erl, net_adm.erl.
 */
#include "cnode/kernel/kernel.h"

static int net_kernel_call(cnode_process *self, void *state, cnode_from *from, cnode_term request)
{
	(void)self;
	(void)state;
	if (cnode_scan(request, "{is_auth,_}") == 0)
		return cnode_reply(from, CN_MUTANT(ping_says_no) ? "no" : "yes");
	/* Older nodes ask for spawns here when a peer does not offer SPAWN; we do offer it. */
	return cnode_reply(from, "{error,bad_request}");
}

const cnode_behaviour cn_kernel_net_kernel = {
	CNODE_BEHAVIOUR_INIT,
	.flags = CNODE_PROMPT,
	.handle_call = net_kernel_call,
};
