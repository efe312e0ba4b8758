/* SPDX-License-Identifier: Apache-2.0 */
/* api: the threads of a node. Callbacks that block keep no other from being run, while there may be threads for both. */
#include <limits.h>
#include <pthread.h>
#include <time.h>

#include "cnode/api/api.h"
#include "cnode/loop/inner.h"
#include "tests/tap.h"

#define ROUNDS 20               /* each with a new node: a thread that has just begun looks around, one that is idle sleeps */

static cnode_node *node;

static void open_with(int threads, enum cnode_busy_wait busy_wait)
{
	cnode_config cfg = CNODE_CONFIG_INIT;
	cfg.threads = threads;
	cfg.busy_wait = busy_wait;
	cfg.log_level = CNODE_LOG_ERROR;
	ck_assert_msg(cnode_node_new(&cfg, &node) == 0, "%s", cnode_node_error(node));
	ck_assert_int_eq(cnode_node_start(node), 0);
}

static void open_node(int threads)
{
	open_with(threads, CNODE_BUSY_WAIT_SHORT);
}

static cnode_pid start(const cnode_behaviour *b, void *context)
{
	cnode_term none;
	cnode_pid pid;
	ck_assert_int_eq(cnode_format(&none, "[]"), 0);
	ck_assert_int_eq(cnode_process_start(node, NULL, b, context, none, &pid), 0);
	cnode_term_drop(none);
	return pid;
}

/* Callbacks that wait until all are here. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t moved = PTHREAD_COND_INITIALIZER;
static int wanted, here;

static void meet(int count)
{
	wanted = count;
	here = 0;
}

static void await_all(bool one_more)
{
	pthread_mutex_lock(&lock);
	here += one_more;
	pthread_cond_broadcast(&moved);
	while (here < wanted)
		pthread_cond_wait(&moved, &lock);
	pthread_mutex_unlock(&lock);
}

/* ---- those that are told by the loop: whoever leads makes them ready ---- */

static int guest_init(cnode_process *self, void *state, const cnode_start *how)
{
	cnode_ref timer;
	(void)state;
	return cnode_start_timer(self, *(const uint64_t *)how->context, &timer, "come");
}

static int guest_info(cnode_process *self, void *state, const cnode_info *info)
{
	(void)self;
	(void)state;
	if (info->kind == CNODE_TIMER)
		await_all(true);
	return 0;
}

static const cnode_behaviour guest = { CNODE_BEHAVIOUR_INIT, .init = guest_init, .handle_info = guest_info };

/* The lead is lent for the first, who watches it runs the second: the third must have someone who watches too. */
START_TEST(the_lead_is_taken_back_however_many_threads_block)
{
	static const uint64_t come_ms[] = { 3, 3, 8, 13 };
	for (int round = 0; round < ROUNDS; round++)
		for (int guests = 2; guests <= 4; guests++) {
			open_node(3);
			meet(guests);
			for (int i = 0; i < guests; i++)
				start(&guest, (void *)(uintptr_t)&come_ms[i]);
			await_all(false);
			cnode_node_free(node);
		}
}
END_TEST

/* ---- those that another one makes ready, and then does not come back ---- */

static cnode_pid friend;

static int caller_cast(cnode_process *self, void *state, cnode_term message)
{
	(void)state;
	(void)message;
	/* It computes, and all others find nothing to do. */
	nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
	ck_assert_int_eq(cnode_send(self, friend, "come"), 0);
	await_all(true);
	return 0;
}

static int friend_info(cnode_process *self, void *state, const cnode_info *info)
{
	(void)self;
	(void)state;
	(void)info;
	await_all(true);
	return 0;
}

static const cnode_behaviour calls = { CNODE_BEHAVIOUR_INIT, .handle_cast = caller_cast };
static const cnode_behaviour comes = { CNODE_BEHAVIOUR_INIT, .handle_info = friend_info };

START_TEST(what_a_callback_makes_ready_runs_before_it_is_over)
{
	for (int round = 0; round < ROUNDS; round++)
		for (int threads = 2; threads <= 4; threads++) {
			cnode_mailbox *mb;
			open_node(threads);
			ck_assert_int_eq(cnode_mailbox_open(node, NULL, &mb), 0);
			meet(2);
			friend = start(&comes, NULL);
			ck_assert_int_eq(cnode_cast(cnode_mailbox_process(mb), start(&calls, NULL), "go"), 0);
			await_all(false);
			cnode_mailbox_close(mb);
			cnode_node_free(node);
		}
}
END_TEST

/* ---- busy waits, where callbacks leave a processor ---- */

static struct cn_task asking;
static uint64_t may_spin;               /* ns, as the lead was told for the wait before the task ran; under lock */

static void tell_spin(struct cn_task *task)
{
	(void)task;
	pthread_mutex_lock(&lock);
	may_spin = node->loop->spin_most;
	here++;
	pthread_cond_broadcast(&moved);
	pthread_mutex_unlock(&lock);
}

static void await_spin(bool wants_some)
{
	bool some;
	do {
		pthread_mutex_lock(&lock);
		int seen = here;
		pthread_mutex_unlock(&lock);
		cn_wake_post(node->loop, &asking);
		pthread_mutex_lock(&lock);
		while (here == seen)
			pthread_cond_wait(&moved, &lock);
		some = may_spin > 0;
		pthread_mutex_unlock(&lock);
	} while (some != wants_some);
}

START_TEST(waits_are_busy_for_as_long_as_the_configuration_says)
{
	static const struct { enum cnode_busy_wait mode; uint64_t ns; } modes[] = {
		{ CNODE_BUSY_WAIT_SHORT, 50000 }, { CNODE_BUSY_WAIT_NONE, 0 }, { CNODE_BUSY_WAIT_LONG, 300000 },
	};
	for (size_t i = 0; i < CN_ARRAY_SIZE(modes); i++) {
		bool some = modes[i].ns > 0 && cn_processors() > 1;
		open_with(3, modes[i].mode);
		cn_task_init(&asking, tell_spin);
		await_spin(some);
		ck_assert_uint_eq(may_spin, some ? modes[i].ns : 0);
		cnode_node_free(node);
	}
}
END_TEST

START_TEST(nobody_waits_busily_while_callbacks_need_the_processors)
{
	static const uint64_t at_once = 0;
	int processors = cn_processors();
	open_node(processors + 2);
	cn_task_init(&asking, tell_spin);
	await_spin(processors > 1);
	meet(INT_MAX);
	for (int i = 1; i < processors; i++)
		start(&guest, (void *)(uintptr_t)&at_once);
	await_spin(false);
	pthread_mutex_lock(&lock);
	wanted = 0;
	pthread_cond_broadcast(&moved);
	pthread_mutex_unlock(&lock);
	await_spin(processors > 1);
	cnode_node_free(node);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("threads");
	TCase *tc = tcase_create("a node");
	tcase_add_test(tc, the_lead_is_taken_back_however_many_threads_block);
	tcase_add_test(tc, what_a_callback_makes_ready_runs_before_it_is_over);
	tcase_add_test(tc, waits_are_busy_for_as_long_as_the_configuration_says);
	tcase_add_test(tc, nobody_waits_busily_while_callbacks_need_the_processors);
	suite_add_tcase(s, tc);
	return tap_run(s);
}
