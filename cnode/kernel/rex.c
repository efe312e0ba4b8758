/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rex: the server of rpc. Visible peers ask it for its features when they connect;
 * erl_call and programs on plain ei call functions through it.
 * Follows: lib/kernel/src/rpc.erl; ei_rpc (lib/erl_interface/src/connect/ei_connect.c)
 * for {Pid, {call, M, F, A, GroupLeader}}, which is answered with {rex, Result}.
 */
#include "cnode/kernel/kernel.h"

struct rex {
	void *functions;
};

/* Who asks may be out of reach, or not even be a pid that can be sent to: rex does not end for it. */
static int told(int rc)
{
	return rc == CNODE_EEXITED ? rc : 0;
}

static int rex_init(cnode_process *self, void *state, const cnode_start *how)
{
	(void)self;
	((struct rex *)state)->functions = how->context;
	return 0;
}

/*
 * Runs the function in a process of its own, if the node that the message came from may
 * call it. That node is the connection's: the pid in the message is only where the answer goes.
 */
static int rex_call(cnode_process *self, struct rex *rex, cnode_name peer, cnode_pid to, cnode_term call)
{
	char node[CNODE_NAME_SIZE];
	cnode_term m, f, a, args;
	cnode_pid pid;
	int rc = cnode_scan(call, "{call,~t,~t,~t,_}", &m, &f, &a);
	if (rc != 0)
		return 0;               /* nonsense: dropped, as rpc.erl does */
	rc = cnode_name_text(peer != 0 ? peer : cnode_self(self).node, node);
	if (rc == 0)
		rc = cnode_format(&args, "[~p,~t,~t,~t]", to, m, f, a);
	if (rc == 0) {
		rc = cn_functions_may_call(rex->functions, node, args);
		if (rc == 0)
			rc = cnode_process_start(cnode_process_node(self), NULL, &cn_kernel_rex_call, rex->functions, args, &pid);
		cnode_term_drop(args);
	}
	return rc == 0 ? 0 : told(cnode_send(self, to, "{rex,{badrpc,~a}}", cnode_error_atom(rc)));
}

static int rex_info(cnode_process *self, void *state, const cnode_info *info)
{
	cnode_pid pid;
	cnode_term request;
	if (info->kind != CNODE_MESSAGE || cnode_scan(info->message, "{~p,~t}", &pid, &request) != 0)
		return 0;
	if (cnode_scan(request, "features_request") == 0 && !CN_MUTANT(rex_without_features)) {
		char node[CNODE_NAME_SIZE];
		if (cnode_name_text(cnode_self(self).node, node) == 0)
			return told(cnode_send(self, pid, "{features_reply,~a,[erpc]}", node));
		return 0;
	}
	return rex_call(self, state, info->peer, pid, request);
}

const cnode_behaviour cn_kernel_rex = {
	CNODE_BEHAVIOUR_INIT,
	.flags = CNODE_PROMPT,
	.state_size = sizeof(struct rex),
	.init = rex_init,
	.handle_info = rex_info,
};
