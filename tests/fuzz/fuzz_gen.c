/* SPDX-License-Identifier: Apache-2.0 */
/* Any message at all to a behaviour: it goes on, and nothing that is no call is answered. */
#include "tests/proc_world.h"
#include "cnode/gen/gen.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int never_calls;
static int on_done(cnode_process *self, void *state, void *context, const cnode_answer *answer)
{
	(void)self; (void)state; (void)context;
	never_calls += answer->status == 0;
	return 0;
}
static int on_init(cnode_process *self, void *state, const cnode_start *how)
{
	(void)state; (void)how;
	/* A call that is open, so that replies are looked at. */
	return cnode_call_async(self, remote(7), CNODE_INFINITY, on_done, NULL, "question");
}
static int on_info(cnode_process *self, void *state, const cnode_info *info)
{
	(void)self; (void)state;
	char text[64];
	cnode_term_print(info->message, text, sizeof text);
	return 0;
}
static const cnode_behaviour behaviour = { CNODE_BEHAVIOUR_INIT, .init = on_init, .handle_info = on_info };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cnode_term message;
	if (cnode_term_from_bytes(data, size, &message) != 0)
		return 0;
	cnode_pid pid;
	struct cn_gen_spec gen = { .behaviour = &behaviour };
	struct cn_process_spec spec = { 0 };
	if (world_open(NULL) != 0 || cn_gen_spawn(W.procs, &gen, &spec, &pid) != 0)
		abort();
	while (cn_sched_run(W.procs, false, 0))
		;
	struct cn_signal sig = FROM_PEER(MESSAGE, remote(1), pid, .term = message);
	for (int i = 0; i < 2; i++) {
		deliver(&sig);
		while (cn_sched_run(W.procs, false, 0))
			;
	}
	cnode_term_drop(message);
	world_close();
	return 0;
}
