/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sensor: a module with a thread of its own, as a driver of some device has it. The thread
 * is a process of the cluster through its mailbox: it waits for messages, and measures when
 * none came for a while.
 *
 *     cnoded -sname c -load ./sensor
 *
 *     {sensor, 'c@host'} ! {subscribe, self()},
 *     receive {reading, Load} -> Load end.
 *
 * Subscribers are monitored: one that ends, or whose node is lost, is forgotten.
 */
#include <cnode/cnode.h>
#include <pthread.h>
#include <stdlib.h>

#define SUBSCRIBERS 64
#define PERIOD_MS 100

struct sensor {
	cnode_mailbox *box;
	pthread_t thread;
	struct { cnode_pid pid; cnode_ref watch; } subscribers[SUBSCRIBERS];
	size_t count;
};

static void subscribe(struct sensor *s, cnode_pid pid)
{
	cnode_process *self = cnode_mailbox_process(s->box);
	if (s->count == SUBSCRIBERS) {
		cnode_send(self, pid, "{refused,too_many}");
		return;
	}
	if (cnode_monitor(self, pid, &s->subscribers[s->count].watch) == 0)
		s->subscribers[s->count++].pid = pid;
}

static void forget(struct sensor *s, const cnode_ref *watch)
{
	for (size_t i = 0; i < s->count; i++)
		if (cnode_ref_equal(s->subscribers[i].watch, *watch)) {
			s->subscribers[i] = s->subscribers[--s->count];
			return;
		}
}

/* Here a device would be read. */
static void measure(struct sensor *s)
{
	double load;
	if (getloadavg(&load, 1) == 1)
		for (size_t i = 0; i < s->count; i++)
			cnode_send(cnode_mailbox_process(s->box), s->subscribers[i].pid, "{reading,~f}", load);
}

/* Ends when the node does: then receiving is an error that is no time-out. */
static void *work(void *argument)
{
	struct sensor *s = argument;
	int rc;
	do {
		cnode_info info = { .size = sizeof info };
		cnode_pid pid;
		rc = cnode_receive(s->box, &info, PERIOD_MS);
		if (rc == CNODE_ETIMEOUT)
			measure(s);
		else if (rc == 0 && info.kind == CNODE_DOWN)
			forget(s, &info.ref);
		else if (rc == 0 && info.kind == CNODE_MESSAGE && cnode_scan(info.message, "{subscribe,~p}", &pid) == 0)
			subscribe(s, pid);
	} while (rc == 0 || rc == CNODE_ETIMEOUT);
	cnode_mailbox_close(s->box);
	return NULL;
}

static int start(cnode_node *node, void **state)
{
	struct sensor *s = calloc(1, sizeof *s);
	if (s == NULL)
		return CNODE_ENOMEM;
	int rc = cnode_mailbox_open(node, "sensor", &s->box);
	if (rc == 0 && pthread_create(&s->thread, NULL, work, s) != 0) {
		cnode_mailbox_close(s->box);
		rc = CNODE_ESYSLIMIT;
	}
	if (rc != 0)
		free(s);
	else
		*state = s;
	return rc;
}

static void stop(cnode_node *node, void *state)
{
	struct sensor *s = state;
	(void)node;
	pthread_join(s->thread, NULL);
	free(s);
}

CNODE_MODULE("sensor", start, stop)
