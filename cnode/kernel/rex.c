/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rex: the server of rpc. Visible peers ask it for its features when they connect;
 * erl_call and programs on plain ei call functions through it.
 * Follows: lib/kernel/src/rpc.erl; ei_rpc (lib/erl_interface/src/connect/ei_connect.c)
 * for {Pid, {call, M, F, A, GroupLeader}}, which is answered with {rex, Result}.
 */
#include "cnode/kernel/kernel.h"

static int rex_info(cnode_process *self, void *state, const cnode_info *info)
{
	(void)state;
	cnode_pid pid;
	if (info->kind == CNODE_MESSAGE && cnode_scan(info->message, "{~p,features_request}", &pid) == 0) {
		char node[CNODE_NAME_SIZE];
		if (cnode_name_text(cnode_self(self).node, node) == 0)
			return cnode_send(self, pid, "{features_reply,~a,[erpc]}", node);
	}
	return 0;
}

const cnode_behaviour cn_kernel_rex = {
	CNODE_BEHAVIOUR_INIT,
	.flags = CNODE_PROMPT,
	.handle_info = rex_info,
};
