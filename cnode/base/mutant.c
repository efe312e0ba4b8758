/* SPDX-License-Identifier: Apache-2.0 */
/* Which behaviour is broken on purpose; see CN_MUTANT in base.h. Nothing in an ordinary build. */
#include "cnode/base/base.h"

#ifdef CN_MUTANTS
#include <stdlib.h>

bool cn_mutant(const char *name)
{
	/* Read once: this is asked for every message. Two threads that both read find the same. */
	static _Atomic(const char *) chosen;
	const char *now = atomic_load_explicit(&chosen, memory_order_relaxed);
	if (!now) {
		now = getenv("CNODE_MUTANT");
		if (!now)
			now = "";
		atomic_store_explicit(&chosen, now, memory_order_relaxed);
	}
	return *now && strcmp(now, name) == 0;
}
#endif
