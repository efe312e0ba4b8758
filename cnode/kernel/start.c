/* SPDX-License-Identifier: Apache-2.0 */
/* Starting the kernel services, and starting them again. */
#include "cnode/kernel/kernel.h"

enum { USER, NET_KERNEL, REX, SERVICE, SERVICES };

struct cn_kernel {
	struct cn_kernel_config config;
	struct cn_mutex lock;
	cnode_pid user;             /* under the lock */
	struct cn_unit units[SERVICES];     /* one each: what one of them has begun does not depend on another */
};

void cn_kernel_free(struct cn_kernel *k)
{
	if (!k)
		return;
	cn_mutex_fini(&k->lock);
	cn_free(k);
}

cnode_pid cn_kernel_user_pid(struct cn_kernel *k)
{
	cn_mutex_lock(&k->lock);
	cnode_pid user = k->user;
	cn_mutex_unlock(&k->lock);
	return user;
}

/* Who wrote to the user before writes to the new one. */
static void hand_over(struct cn_kernel *k, cnode_pid old, cnode_pid new)
{
	cnode_pid *pids;
	size_t count;
	if (cn_procs_list(k->config.procs, &pids, &count) != 0) {
		cn_log_line(k->config.log, CNODE_LOG_ERROR, "out of memory: processes that wrote to user have no group leader any more");
		return;
	}
	for (size_t i = 0; i < count; i++) {
		struct cn_process_info info;
		struct cn_signal sig = { .kind = CN_SIG_GROUP_LEADER, .from = cn_procs_root(k->config.procs), .to = pids[i], .leader = new };
		/* Without memory for it that one process keeps a leader that is gone. */
		if (cn_procs_info(k->config.procs, pids[i], &info) == 0 && cnode_pid_equal(info.leader, old))
			(void)cn_procs_deliver(k->config.procs, &sig);
	}
	cn_free(pids);
}

static void user_started(void *owner, size_t which, cnode_pid pid)
{
	struct cn_kernel *k = owner;
	(void)which;
	cn_mutex_lock(&k->lock);
	cnode_pid old = k->user;
	k->user = pid;
	cn_mutex_unlock(&k->lock);
	if (!cnode_pid_is_none(old))
		hand_over(k, old, pid);
}

static cnode_pid leader(void *owner)
{
	return cn_kernel_user_pid(owner);
}

static int start_units(struct cn_kernel *k)
{
	static const struct cn_unit_process processes[SERVICES] = {
		[USER] = { "user", "user", &cn_kernel_user },
		[NET_KERNEL] = { "net_kernel", "net_kernel", &cn_kernel_net_kernel },
		[REX] = { "rex", "rex", &cn_kernel_rex },
		[SERVICE] = { CNODE_SERVICE, CNODE_SERVICE, &cn_kernel_service },
	};
	void *const contexts[SERVICES] = {
		[USER] = (void *)(uintptr_t)k->config.output,
		[REX] = k->config.functions,
	};
	int rc = 0;
	for (int i = 0; i < SERVICES && rc == 0; i++) {
		k->units[i] = (struct cn_unit){
			.title = processes[i].label, .processes = &processes[i], .count = 1, .context = contexts[i], .owner = k,
			.leader = i == USER ? NULL : leader, .started = i == USER ? user_started : NULL,
		};
		rc = cn_unit_start(k->config.supervisor, &k->units[i]);
	}
	return rc;
}

int cn_kernel_start(const struct cn_kernel_config *config, struct cn_kernel **made)
{
	struct cn_functions *functions = config->functions;
	const struct cn_service services[] = {
		{ "erpc", "execute_call", 4, &cn_kernel_erpc_call, functions, cn_functions_may_call },
		{ "erpc", "execute_cast", 3, &cn_kernel_erpc_cast, functions, cn_functions_may_cast },
	};
	struct cn_kernel *k = cn_calloc(1, sizeof *k);
	*made = k;
	if (!k)
		return CNODE_ENOMEM;
	k->config = *config;
	cn_mutex_init(&k->lock);
	int rc = cn_functions_add_builtins(functions, config->procs, config->cluster, config->factories);
	if (rc == 0)
		rc = cn_kernel_registry(config->factories, functions);
	for (size_t i = 0; i < CN_ARRAY_SIZE(services) && rc == 0; i++)
		rc = cn_factories_serve(config->factories, &services[i]);
	return rc == 0 ? start_units(k) : rc;
}
