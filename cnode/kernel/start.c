/* SPDX-License-Identifier: Apache-2.0 */
/* Starting the kernel services. */
#include "cnode/kernel/kernel.h"

static int start(struct cn_procs *procs, const char *name, const cnode_behaviour *behaviour, void *context,
		 cnode_pid leader, cnode_pid *pid)
{
	cnode_term args;
	int rc = cnode_format(&args, "[]");
	if (rc != 0)
		return rc;
	struct cn_gen_spec gen = { .behaviour = behaviour, .context = context, .args = args };
	struct cn_process_spec spec = { .name = name, .label = name, .leader = leader };
	rc = cn_gen_spawn(procs, &gen, &spec, pid);
	cnode_term_drop(args);
	return rc;
}

int cn_kernel_start(struct cn_procs *procs, struct cn_cluster *cluster, struct cn_factories *factories,
		    struct cn_functions *functions, const struct cn_output *output, cnode_pid *user)
{
	const struct cn_service services[] = {
		{ "erpc", "execute_call", 4, &cn_kernel_erpc_call, functions, cn_functions_may_call },
		{ "erpc", "execute_cast", 3, &cn_kernel_erpc_cast, functions, cn_functions_may_cast },
	};
	cnode_pid pid;
	int rc = cn_functions_add_builtins(functions, procs, cluster, factories);
	for (size_t i = 0; i < CN_ARRAY_SIZE(services) && rc == 0; i++)
		rc = cn_factories_serve(factories, &services[i]);
	if (rc == 0)
		rc = start(procs, "user", &cn_kernel_user, (void *)(uintptr_t)output, (cnode_pid){ 0 }, user);
	if (rc == 0)
		rc = start(procs, "net_kernel", &cn_kernel_net_kernel, NULL, *user, &pid);
	if (rc == 0)
		rc = start(procs, "rex", &cn_kernel_rex, functions, *user, &pid);
	return rc;
}
