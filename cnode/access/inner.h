/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of the room access. */
#ifndef CN_ACCESS_INNER_H
#define CN_ACCESS_INNER_H

#include "cnode/access/access.h"

/* The list of one kind for one name. It stays until the guard is freed: removed it says nothing. */
struct cn_guarded {
	UT_hash_handle hh;          /* by name */
	char *name;
	bool removed;               /* under the guard's lock */
	struct cn_access who;       /* partial */
	_Atomic uint64_t refused;
};

#define CN_GUARD_KINDS 3

struct cn_guard {
	struct cn_log *log;
	_Atomic uint64_t counts[CN_REFUSALS];
	struct cn_log_gate gates[CN_REFUSALS];
	_Atomic uint32_t used[CN_GUARD_KINDS];      /* lists of the kind that say something: 0 asks no lock */
	struct cn_mutex lock;       /* guards the tables */
	struct cn_guarded *lists[CN_GUARD_KINDS];
	struct cn_mutex quota_lock; /* guards what follows */
	struct cn_quota *quotas;
	struct cn_payer *payers;
	uint32_t sweep_at;          /* so many payers, and those who owe nothing are forgotten */
};

void cn_quotas_fini(struct cn_guard *g);

#endif
