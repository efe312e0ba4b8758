/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads for processes that have one of their own (cnode_behaviour.run). Each has a mailbox, which the
 * process's code gets, and serves one process after the other; it leaves when it has been idle for long.
 */
#include "cnode/api/own.h"
#include "cnode/api/mailbox.h"

#define IDLE_NS (10 * CN_NS_PER_S)

enum own_state { OWN_IDLE, OWN_TAKEN, OWN_RUNS, OWN_GONE };

struct own {
	struct cnode_mailbox mailbox;
	struct cn_threads *threads;
	struct cn_thread thread;
	struct own *next;               /* of all */
	struct own *idle_next;
	/* under the lock */
	enum own_state state;
	struct cn_cond changed;         /* its state is another, or all are to end */
};

struct cn_threads {
	cnode_node *node;
	int max;
	struct cn_log_gate full_gate;
	struct cn_mutex lock;           /* guards what follows */
	struct own *all, *idle;         /* idle: whoever became it last is first */
	int count;                      /* of those that are not gone */
	int gone;                       /* of those that are to be joined */
	bool ending;
};

static struct own *own_of(cnode_mailbox *mb)
{
	return CN_CONTAINER(mb, struct own, mailbox);
}

/* Under the lock. */
static void make_idle(struct own *o)
{
	struct cn_threads *t = o->threads;
	o->state = OWN_IDLE;
	o->idle_next = t->idle;
	t->idle = o;
}

/* Under the lock. */
static void leave(struct own *o)
{
	struct own **at = &o->threads->idle;
	while (*at != o)
		at = &(*at)->idle_next;
	*at = o->idle_next;
	o->state = OWN_GONE;
	o->threads->count--;
	o->threads->gone++;
}

static void serve(struct own *o)
{
	cnode_mailbox *mb = &o->mailbox;
	struct cnode_process *self = mb->self;
	int rc = cn_process_run(self);
	cn_mailbox_let_go(mb);
	cn_process_ran(self, rc);
	cn_mailbox_renew(mb);
}

static void work(void *arg)
{
	struct own *o = arg;
	struct cn_threads *t = o->threads;
	cn_mutex_lock(&t->lock);
	while (o->state != OWN_GONE) {
		if (o->state == OWN_RUNS) {
			cn_mutex_unlock(&t->lock);
			serve(o);
			cn_mutex_lock(&t->lock);
			if (CN_MUTANT(straight_thread_kept))
				o->state = OWN_TAKEN;
			else
				make_idle(o);
			continue;
		}
		bool idle = o->state == OWN_IDLE;
		bool called = !(idle && t->ending) &&
			cn_cond_wait_until(&o->changed, &t->lock, idle ? cn_now() + IDLE_NS : CN_NEVER);
		if (!called && o->state == OWN_IDLE)
			leave(o);
	}
	cn_mutex_unlock(&t->lock);
}

/* Those that are gone; all: waits for every one. */
static void join(struct cn_threads *t, bool all)
{
	for (;;) {
		struct own **at = &t->all, *o = NULL;
		cn_mutex_lock(&t->lock);
		if (all || t->gone > 0)
			while ((o = *at) && !all && o->state != OWN_GONE)
				at = &o->next;
		if (o) {
			*at = o->next;
			t->gone -= o->state == OWN_GONE;
		}
		cn_mutex_unlock(&t->lock);
		if (!o)
			return;
		cn_thread_join(&o->thread);
		cn_cond_fini(&o->changed);
		cn_mailbox_fini(&o->mailbox);
		cn_free(o);
	}
}

/* Under the lock. 0, CNODE_ENOMEM, CNODE_ESYSLIMIT. */
static int start(struct cn_threads *t, struct own **made)
{
	struct own *o = cn_calloc(1, sizeof *o);
	if (!o)
		return CNODE_ENOMEM;
	cn_mailbox_init(&o->mailbox, t->node);
	o->mailbox.lent = true;
	o->threads = t;
	o->state = OWN_TAKEN;
	cn_cond_init(&o->changed);
	int rc = cn_thread_start(&o->thread, "cnode run", work, o);
	if (rc != 0) {
		cn_cond_fini(&o->changed);
		cn_mailbox_fini(&o->mailbox);
		cn_free(o);
		return rc;
	}
	o->next = t->all;
	t->all = o;
	t->count++;
	*made = o;
	return 0;
}

int cn_threads_take(struct cn_threads *t, struct cnode_process *self, cnode_mailbox **mb)
{
	int rc = 0;
	uint32_t held;
	join(t, false);
	cn_mutex_lock(&t->lock);
	struct own *o = t->idle;
	if (o) {
		t->idle = o->idle_next;
		o->state = OWN_TAKEN;
	} else {
		rc = t->count < t->max ? start(t, &o) : CNODE_ESYSLIMIT;
	}
	cn_mutex_unlock(&t->lock);
	if (rc == 0) {
		o->mailbox.self = self;
		*mb = &o->mailbox;
	} else if (cn_log_pass(&t->full_gate, 5, &held)) {
		cn_log_line(t->node->log, CNODE_LOG_WARNING, "%s cannot start: there is no thread for its `run` (max_run_threads %d): %s",
			    cn_process_label(self), t->max, cnode_strerror(rc));
	}
	return rc;
}

void cn_threads_run(cnode_mailbox *mb)
{
	struct own *o = own_of(mb);
	cn_mutex_lock(&o->threads->lock);
	o->state = OWN_RUNS;
	cn_cond_signal(&o->changed);
	cn_mutex_unlock(&o->threads->lock);
}

void cn_threads_give(cnode_mailbox *mb)
{
	struct own *o = own_of(mb);
	cn_mutex_lock(&o->threads->lock);
	make_idle(o);
	cn_cond_signal(&o->changed);
	cn_mutex_unlock(&o->threads->lock);
}

int cn_threads_new(cnode_node *node, int max, struct cn_threads **made)
{
	struct cn_threads *t = cn_calloc(1, sizeof *t);
	if (!t)
		return CNODE_ENOMEM;
	t->node = node;
	t->max = max;
	cn_mutex_init(&t->lock);
	*made = t;
	return 0;
}

void cn_threads_join(struct cn_threads *t)
{
	if (!t)
		return;
	cn_mutex_lock(&t->lock);
	t->ending = true;
	for (struct own *o = t->all; o; o = o->next)
		cn_cond_signal(&o->changed);
	cn_mutex_unlock(&t->lock);
	join(t, true);
}

void cn_threads_free(struct cn_threads *t)
{
	if (!t)
		return;
	cn_threads_join(t);
	cn_mutex_fini(&t->lock);
	cn_free(t);
}
