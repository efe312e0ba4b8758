/* SPDX-License-Identifier: Apache-2.0 */
/* Starting the kernel services. */
#include "cnode/kernel/kernel.h"

int cn_kernel_start(struct cn_procs *procs, struct cn_factories *factories, struct cn_functions *functions)
{
	const struct cn_service services[] = {
		{ "erpc", "execute_call", 4, &cn_kernel_erpc_call, functions, cn_functions_may_call },
		{ "erpc", "execute_cast", 3, &cn_kernel_erpc_cast, functions, cn_functions_may_cast },
	};
	const struct {
		const char *name;
		const cnode_behaviour *behaviour;
		void *context;
	} processes[] = {
		{ "net_kernel", &cn_kernel_net_kernel, NULL },
		{ "rex", &cn_kernel_rex, functions },
	};
	int rc = 0;
	for (size_t i = 0; i < CN_ARRAY_SIZE(services) && rc == 0; i++)
		rc = cn_factories_serve(factories, &services[i]);
	for (size_t i = 0; i < CN_ARRAY_SIZE(processes) && rc == 0; i++) {
		cnode_pid pid;
		cnode_term args;
		rc = cnode_format(&args, "[]");
		if (rc != 0)
			break;
		struct cn_gen_spec gen = { .behaviour = processes[i].behaviour, .context = processes[i].context, .args = args };
		struct cn_process_spec spec = { .name = processes[i].name, .label = processes[i].name };
		rc = cn_gen_spawn(procs, &gen, &spec, &pid);
		cnode_term_drop(args);
	}
	return rc;
}
