/* SPDX-License-Identifier: Apache-2.0 */
/* The processes of a test with a supervisor that starts services again. */
#ifndef TESTS_SUPERVISED_WORLD_H
#define TESTS_SUPERVISED_WORLD_H

#include "cnode/gen/gen.h"
#include "tests/proc_world.h"
#include "tests/tap.h"

static struct cn_supervisor *V;

static inline int supervise(void)
{
	const struct cn_supervisor_config config = { .procs = W.procs };
	return cn_supervisor_new(&config, &V);
}

static uint64_t supervised;
static inline void run(void)
{
	do {
		while (cn_sched_run(W.procs, false, 0))
			continue;
		/* What ended too often is started again as well: its time passes quickly. */
		supervised += 10 * CN_NS_PER_S;
		cn_supervisor_run(V, cn_now() + supervised);
	} while (cn_sched_run(W.procs, false, 0));
}

#endif
