/* SPDX-License-Identifier: Apache-2.0 */
/* Threads, locks and the clock, over pthreads. */
#include "cnode/base/base.h"

#include <signal.h>
#include <stdio.h>
#include <time.h>

uint64_t cn_now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * CN_NS_PER_S + (uint64_t)t.tv_nsec;
}

void cn_mutex_init(struct cn_mutex *m)
{
	pthread_mutex_init(&m->m, NULL);
}

void cn_mutex_fini(struct cn_mutex *m)
{
	pthread_mutex_destroy(&m->m);
}

void cn_cond_init(struct cn_cond *c)
{
	pthread_condattr_t attr;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&c->c, &attr);
	pthread_condattr_destroy(&attr);
}

void cn_cond_fini(struct cn_cond *c)
{
	pthread_cond_destroy(&c->c);
}

bool cn_cond_wait_until(struct cn_cond *c, struct cn_mutex *m, uint64_t deadline)
{
	if (deadline == CN_NEVER) {
		pthread_cond_wait(&c->c, &m->m);
		return true;
	}
	struct timespec t = {
		.tv_sec = (time_t)(deadline / CN_NS_PER_S),
		.tv_nsec = (long)(deadline % CN_NS_PER_S),
	};
	return pthread_cond_timedwait(&c->c, &m->m, &t) == 0;
}

struct start {
	void (*run)(void *);
	void *arg;
	char name[16];
};

static void *start_run(void *p)
{
	struct start s = *(struct start *)p;
	cn_free(p);
	pthread_setname_np(pthread_self(), s.name);
	s.run(s.arg);
	return NULL;
}

int cn_thread_start(struct cn_thread *t, const char *name, void (*run)(void *), void *arg)
{
	struct start *s = cn_malloc(sizeof *s);
	if (!s)
		return CNODE_ENOMEM;
	s->run = run;
	s->arg = arg;
	snprintf(s->name, sizeof s->name, "%s", name);

	/* A new thread inherits the mask: block everything around the call, so that a
	   program's signals are never delivered to a thread of ours. */
	sigset_t all, old;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int rc = pthread_create(&t->t, NULL, start_run, s);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc != 0) {
		cn_free(s);
		return CNODE_ESYSLIMIT;
	}
	return 0;
}

void cn_thread_join(struct cn_thread *t)
{
	pthread_join(t->t, NULL);
}
