/* SPDX-License-Identifier: Apache-2.0 */
/* Processes that do what the test says: for the programs that look at the life of one. */
#ifndef TESTS_PROC_SCRIPT_H
#define TESTS_PROC_SCRIPT_H

#include "tests/tap.h"
#include "tests/proc_world.h"

/* ---- a process that does what the test says, and writes down what happens to it ---- */

struct script {
	int (*init)(cnode_process *self, struct script *s);
	int (*message)(cnode_process *self, struct script *s, struct cn_message *m);
	struct script *self;
	_Atomic int inits, messages, terminates, finis, unused;
	char reason[64];
	void *ctx;
};

static int script_init(cnode_process *self, void *state, void *arg)
{
	struct script *s = arg;
	*(struct script **)state = s;
	s->inits++;
	return s->init ? s->init(self, s) : 0;
}
static int script_message(cnode_process *self, void *state, struct cn_message *m)
{
	struct script *s = *(struct script **)state;
	s->messages++;
	int rc = s->message ? s->message(self, s, m) : 0;
	cn_message_free(self, m);
	return rc;
}
static void script_terminate(cnode_process *self, void *state, cnode_term reason)
{
	struct script *s = *(struct script **)state;
	(void)self;
	s->terminates++;
	cnode_term_print(reason, s->reason, sizeof s->reason);
}
static bool over;                       /* the scripts were on the stack of a test that has returned */

static void script_fini(cnode_process *self, void *state, void *arg)
{
	(void)self;
	if (over)
		return;
	if (arg)
		((struct script *)arg)->unused++;
	else
		(*(struct script **)state)->finis++;
}
static const struct cn_process_class script_class = {
	.name = "script", .init = script_init, .message = script_message, .terminate = script_terminate, .fini = script_fini,
};
static const struct cn_process_class prompt_class = {
	.name = "prompt", .flags = CN_PROC_PROMPT,
	.init = script_init, .message = script_message, .terminate = script_terminate, .fini = script_fini,
};

static cnode_pid spawn_spec(struct script *s, struct cn_process_spec spec)
{
	cnode_pid pid = { 0 };
	if (!spec.class)
		spec.class = &script_class;
	spec.state_size = sizeof(struct script *);
	spec.arg = s;
	spec.started = on_started;
	ck_assert_int_eq(cn_process_spawn(W.procs, &spec, &pid), 0);
	return pid;
}
static inline cnode_pid spawn(struct script *s)
{
	return spawn_spec(s, (struct cn_process_spec){ 0 });
}
static inline int run(void)
{
	int n = 0;
	while (cn_sched_run(W.procs, false, 0))
		n++;
	return n;
}
static inline void tell(cnode_pid pid, const char *text)
{
	deliver_term(FROM_PEER(MESSAGE, remote(1), pid), text);
}
static inline void kill_it(cnode_pid pid, const char *reason)
{
	deliver_term(FROM_PEER(EXIT2, remote(1), pid), reason);
}

static void setup(void)
{
	ck_assert_int_eq(world_open(NULL), 0);
	memset(&started, 0, sizeof started);
}
static void teardown(void)
{
	over = true;
	world_close();
}

/* An init that says something and fails then. */
static inline int send_then_refuse(cnode_process *self, struct script *s)
{
	(void)s;
	ck_assert_int_eq(cnode_send(self, remote(3), "early"), 0);
	ck_assert_int_eq(started.calls, 1);
	ck_assert_int_eq(started.code, 0);
	ck_assert_uint_eq(started.sent_before, 0);
	return CNODE_EBADARG;
}

#endif
