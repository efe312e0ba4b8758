/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Corks: a thread's sends are written together when its run ends. A run that lasts must
 * not hold them back, so they are also in a list of the net that the lead looks through
 * before it waits; once it waits for long, nothing is held back.
 */
#include "cnode/conn/inner.h"

#define HELD 32                         /* connections per thread; more are written at once */
#define DIRECT 4                        /* writes of one run while the lead sleeps; then it is worth waking it */

/* The calling thread's cork: of one net at a time, as its pool belongs to one node. */
static _Thread_local struct {
	struct cn_net *net;
	unsigned depth;
	unsigned count;
	unsigned direct;                /* sends of this run that were written at once */
	struct cn_conn *held[HELD];     /* one reference each */
} cork;

/* ---- the net's list; under the cork lock ---- */

/* Takes a reference. */
static void dirty_add(struct cn_net *net, struct cn_conn *c)
{
	if (atomic_load(&c->dirty))
		return;
	if (!net->dirty)
		net->dirty_since = cn_loop_clock(net->config.loop);
	atomic_store(&c->dirty, true);
	c->dirty_prev = NULL;
	c->dirty_next = net->dirty;
	if (net->dirty)
		net->dirty->dirty_prev = c;
	net->dirty = cn_conn_ref(c);
}

/* True: the list's reference is now the caller's. */
static bool dirty_remove(struct cn_net *net, struct cn_conn *c)
{
	if (!atomic_load(&c->dirty))
		return false;
	atomic_store(&c->dirty, false);
	if (c->dirty_prev)
		c->dirty_prev->dirty_next = c->dirty_next;
	else
		net->dirty = c->dirty_next;
	if (c->dirty_next)
		c->dirty_next->dirty_prev = c->dirty_prev;
	return true;
}

/* ---- the thread's side ---- */

void cn_cork_begin(struct cn_net *net)
{
	if (cork.depth > 0 && cork.net != net)
		return;                 /* inside of another net's run: this one's sends go out at once */
	cork.net = net;
	if (cork.depth++ > 0)
		return;
	cork.direct = 0;
	cn_mutex_lock(&net->cork_lock);
	net->corks++;
	cn_mutex_unlock(&net->cork_lock);
}

static void write_one(struct cn_conn *c)
{
	struct cn_net *net = c->net;
	cn_mutex_lock(&net->cork_lock);
	bool listed = dirty_remove(net, c);
	cn_mutex_unlock(&net->cork_lock);
	cn_half_write(c, CN_FLUSH_THREAD);
	if (listed)
		cn_conn_unref(c);
	cn_conn_unref(c);
}

void cn_cork_end(struct cn_net *net)
{
	if (cork.net != net || cork.depth == 0 || --cork.depth > 0)
		return;
	unsigned count = cork.count;
	struct cn_conn *held[HELD];
	memcpy(held, cork.held, count * sizeof held[0]);
	cork.count = 0;
	cork.net = NULL;                /* what `drained` sends goes out at once */
	for (unsigned i = 0; i < count; i++)
		write_one(held[i]);
	cn_mutex_lock(&net->cork_lock);
	net->corks--;
	cn_mutex_unlock(&net->cork_lock);
}

bool cn_cork_hold(struct cn_conn *c)
{
	struct cn_net *net = c->net;
	if (cork.net != net)
		return false;
	unsigned i = 0;
	while (i < cork.count && cork.held[i] != c)
		i++;
	if (i == HELD)
		return false;
	/* Listed already, and ours: whoever takes it off the list writes it afterwards, and for
	   that waits for the connection's lock, which the caller has. */
	if (i < cork.count && atomic_load(&c->dirty))
		return true;
	cn_mutex_lock(&net->cork_lock);
	bool rouse = net->asleep && cork.direct++ >= DIRECT;
	bool hold = rouse || !net->asleep;
	if (hold)
		dirty_add(net, c);
	cn_mutex_unlock(&net->cork_lock);
	if (rouse)
		cn_wake_post(net->config.loop, &net->rouse);
	if (hold && i == cork.count)
		cork.held[cork.count++] = cn_conn_ref(c);
	return hold;
}

/* ---- the lead's side ---- */

/* Before a long wait: writes what is late; says when to come back for what is not. */
static uint64_t before_wait(struct cn_nap *nap, uint64_t now)
{
	struct cn_net *net = CN_CONTAINER(nap, struct cn_net, nap);
	uint64_t again = CN_NEVER;
	struct cn_conn *c;
	cn_mutex_lock(&net->cork_lock);
	while ((c = net->dirty) && net->dirty_since + CN_NET_CORK <= now) {
		dirty_remove(net, c);
		cn_mutex_unlock(&net->cork_lock);
		cn_half_write(c, CN_FLUSH_LEAD);
		cn_conn_unref(c);
		cn_mutex_lock(&net->cork_lock);
	}
	net->nap_began = now;
	if (net->dirty) {
		again = net->dirty_since + CN_NET_CORK;
	} else if (net->corks > 0 && !net->napped) {
		/* A run has begun but sent nothing yet. It gets one short wait; after that its
		   sends are written at once, as nobody would look after them. */
		net->napped = true;
		again = now + CN_NS_PER_MS;
	} else {
		net->asleep = true;
	}
	cn_mutex_unlock(&net->cork_lock);
	uint64_t rest = cn_flood_rest(&net->flood, now);
	if (again == CN_NEVER && rest > 0)
		cn_loop_rest(net->config.loop, rest);
	if (cn_flood_dozes(&net->flood))
		cn_loop_doze(net->config.loop);
	return again;
}

static void after_wait(struct cn_nap *nap)
{
	struct cn_net *net = CN_CONTAINER(nap, struct cn_net, nap);
	cn_mutex_lock(&net->cork_lock);
	net->asleep = false;
	/* Woken by something else than the nap's own end: the next run gets its wait again. */
	if (cn_loop_now(net->config.loop) - net->nap_began < CN_NS_PER_MS || net->corks == 0)
		net->napped = false;
	cn_mutex_unlock(&net->cork_lock);
}

/* The lead is awake: what is dirty is found before the next wait. */
static void roused(struct cn_task *task)
{
	(void)task;
}

void cn_cork_init(struct cn_net *net)
{
	cn_mutex_init(&net->cork_lock);
	cn_task_init(&net->rouse, roused);
	net->nap.before = before_wait;
	net->nap.after = after_wait;
	cn_nap_add(net->config.loop, &net->nap);
}

void cn_cork_fini(struct cn_net *net)
{
	cn_nap_remove(net->config.loop, &net->nap);
	struct cn_conn *c;
	while ((c = net->dirty)) {
		dirty_remove(net, c);
		cn_conn_unref(c);
	}
	cn_mutex_fini(&net->cork_lock);
}
