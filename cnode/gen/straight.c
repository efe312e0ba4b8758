/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The class of processes behind cnode_behaviour.run: straight-line code, on a thread of its own. It
 * is no gen_server: what comes in is for the code, whose messages no callback sees.
 */
#include "cnode/gen/inner.h"

struct straight {
	struct start *start;
	bool began;                     /* the program's init or run was called */
	_Alignas(16) uint8_t memory[];  /* the program's state */
};

const size_t straight_size = sizeof(struct straight);

int straight_check(const cnode_behaviour *b)
{
	return b->handle_call || b->handle_cast || b->handle_info || b->idle_timeout_ms || (b->flags & CNODE_PROMPT)
		       ? CNODE_EBADARG : 0;
}

static int straight_init(struct cnode_process *self, void *state, void *arg)
{
	struct straight *st = state;
	st->start = arg;
	if (!st->start->behaviour.init)
		return 0;
	cnode_start how = start_shown(st->start, self);
	st->began = true;
	return stop_with_code(self, st->start->behaviour.init(self, st->memory, &how));
}

static int straight_run(struct cnode_process *self, void *state, struct cnode_mailbox *mailbox)
{
	struct straight *st = state;
	cnode_start how = start_shown(st->start, self);
	st->began = true;
	int rc = st->start->behaviour.run(mailbox, st->memory, &how);
	return stop_with_code(self, CN_MUTANT(straight_never_normal) && rc == 0 ? CNODE_EINTERNAL : rc);
}

static void straight_terminate(struct cnode_process *self, void *state, cnode_term reason)
{
	struct straight *st = state;
	if (st->start->behaviour.terminate)
		st->start->behaviour.terminate(self, st->memory, reason);
}

static void straight_fini(struct cnode_process *self, void *state, void *arg)
{
	struct straight *st = state;
	(void)self;
	if (arg) {              /* ended before its first run */
		start_free(arg);
		return;
	}
	/* Where neither was called there is nothing of the program's. */
	if (st->start->behaviour.release && (st->began || !st->start->behaviour.init))
		st->start->behaviour.release(st->memory);
	start_free(st->start);
}

const struct cn_process_class straight_class = {
	.name = "run", .init = straight_init, .terminate = straight_terminate, .fini = straight_fini, .run = straight_run,
};
