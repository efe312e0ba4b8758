/* SPDX-License-Identifier: Apache-2.0 */
/* Leader and followers. The measurements behind it: HACKING.md, "Threads". */
#include "cnode/api/pool.h"
#include "compat/compat.h"

#define NAP_NS (2 * CN_NS_PER_MS)           /* of the watcher */
#define QUIET_NAPS 5                        /* after so many without traffic it sleeps for good */
#define TOGETHER_NS (50 * UINT64_C(1000))   /* short ones are run one after the other for so long, and write together */
#define GROW_AFTER_NS (10 * CN_NS_PER_MS)   /* a process has waited so long */
#define IDLE_NS (10 * CN_NS_PER_S)          /* an extra thread leaves after so long without work */
#define TIMERS_PER_TURN 1000
#define LONG_NS (20 * CN_NS_PER_MS)         /* a callback that has run for so long makes room for the others */

#define LEAST_THREADS 2                     /* one leads, and one runs what the leading one may not */

/* The lead: the state in the low bits, and a number that changes with each lending. */
enum { LEAD_FREE = 0, LEAD_HELD = 1, LEAD_LENT = 2, LEAD_MASK = 3, LEAD_STEP = 4 };

/* Of worker.entered: not in user code; in it, and with less of the processors for good. */
enum { OUTSIDE = 0, LOWERED = 1 };

struct worker {
	struct worker *next;
	struct cn_thread thread;
	struct cn_pool *pool;
	int id;                             /* of the thread, for the kernel */
	_Atomic uint64_t entered;           /* user code since then (cn_now); OUTSIDE, LOWERED */
	bool lowered;                       /* is slow for good: leaves as soon as it can be spared; its own */
	bool left;                          /* is counted no more and goes; its own */
	bool gone;                          /* has left; to be joined */
};

struct cn_pool {
	struct cn_pool_config config;
	_Atomic uint64_t lead;
	_Atomic uint64_t traffic;           /* lendings and wakes left to the watcher */
	_Atomic bool ending;
	_Atomic bool watched;               /* a follower naps */
	_Atomic bool promised;              /* somebody comes back for what it has left, and no follower could be told */
	_Atomic int sleeping;               /* followers, the napping one too; written under lock */
	_Atomic int threads;                /* that there are; it grows under lock only */
	_Atomic int lowered;                /* of these such as would leave */
	_Atomic int busy;                   /* threads in user code: always fewer than there are */

	struct cn_task nudge;               /* ends the wait of whoever leads */

	struct cn_mutex lock;               /* guards what follows, and sleeping */
	struct cn_cond wake;
	struct cn_cond ended;               /* ending was set, or a worker has gone */
	struct worker *workers;
	bool started;
	uint64_t looked;                    /* holder of the lead: when long callbacks were looked for */
};

static void nudged(struct cn_task *task)
{
	(void)task;
}

static _Thread_local struct cn_pool *leading;      /* the pool whose lead this thread holds */
static _Thread_local struct worker *me;            /* the worker that this thread is */

static bool take_lead(struct cn_pool *p)
{
	uint64_t lead = atomic_load(&p->lead);
	if ((lead & LEAD_MASK) != LEAD_FREE ||
	    !atomic_compare_exchange_strong(&p->lead, &lead, (lead & ~(uint64_t)LEAD_MASK) | LEAD_HELD))
		return false;
	cn_lead_take(p->config.loop);
	leading = p;
	return true;
}

static void set_lead(struct cn_pool *p, uint64_t state)
{
	uint64_t lead = atomic_load(&p->lead);
	atomic_store(&p->lead, ((lead & ~(uint64_t)LEAD_MASK) + LEAD_STEP) | state);
}

/* Wakes one follower; false if none sleeps. */
static bool wake_one(struct cn_pool *p)
{
	if (atomic_load(&p->sleeping) == 0)
		return false;
	cn_mutex_lock(&p->lock);
	bool any = atomic_load(&p->sleeping) > 0;
	if (any)
		cn_cond_signal(&p->wake);
	cn_mutex_unlock(&p->lock);
	return any;
}

static void release_lead(struct cn_pool *p)
{
	leading = NULL;
	cn_lead_release(p->config.loop);
	set_lead(p, LEAD_FREE);
	wake_one(p);
}

/* What waits to be run may be left to the watcher: make sure that there is one. */
static bool leave_to_watcher(struct cn_pool *p)
{
	atomic_fetch_add(&p->traffic, 1);
	return atomic_load(&p->watched) || wake_one(p);
}

/*
 * While the lead is lent, one of the threads outside user code has to watch, or to be awake (it watches before it sleeps).
 * Asked by whoever may have taken that one away: it lent the lead, went into user code, or left. Each of them first
 * changes what the others look at here, and then looks.
 */
static void keep_watched(struct cn_pool *p)
{
	if ((atomic_load(&p->lead) & LEAD_MASK) == LEAD_LENT && !atomic_load(&p->watched) &&
	    atomic_load(&p->threads) - atomic_load(&p->busy) - atomic_load(&p->sleeping) <= 0)
		wake_one(p);
}

/* More callbacks run than there are processors: whoever says that it comes back soon may have to wait for its turn on one. */
static bool is_crowded(struct cn_pool *p)
{
	return atomic_load_explicit(&p->busy, memory_order_relaxed) > p->config.threads;
}

/* There is a processor for whoever leads besides those for callbacks, and one for the others. */
static bool is_roomy(struct cn_pool *p)
{
	return atomic_load_explicit(&p->busy, memory_order_relaxed) + 1 < p->config.processors;
}

/* ---- running user code ---- */

static bool run_one(struct cn_pool *p, bool prompt_only)
{
	cn_cork_begin(p->config.net);
	bool ran = cn_sched_run(p->config.procs, prompt_only, 0);
	cn_cork_end(p->config.net);
	return ran;
}

/* Is a short one next, and this thread not in user code for long? */
static bool goes_on(struct cn_pool *p)
{
	struct cn_sched_waiting w;
	uint64_t entered = atomic_load_explicit(&me->entered, memory_order_relaxed);
	if (is_crowded(p) || entered <= LOWERED || cn_now() - entered >= TOGETHER_NS)
		return false;
	cn_sched_waiting(p->config.procs, &w);
	return w.normal > 0 && w.forecast_ns < CN_SCHED_SHORT_NS;
}

/*
 * Runs a process, and the short ones that are behind it: where many have little to do (a burst
 * of spawns), a wake, a look at the loop and a write for each of them would cost more than they.
 * One that takes longer than its forecast holds back what those before it sent: until the lead writes
 * that, or, if the lead is lent, the watcher has taken it.
 */
static bool run_some(struct cn_pool *p)
{
	cn_cork_begin(p->config.net);
	bool ran = cn_sched_run(p->config.procs, false, 0);
	while (ran && goes_on(p))
		cn_sched_run(p->config.procs, false, 0);
	cn_cork_end(p->config.net);
	return ran;
}

/*
 * May this thread go into user code? Never the last one that is free, however short the code
 * seems: with all of them inside nobody would read, tick, or take back a lead that is lent.
 * Nor when the pool has ended (cn_pool_join_free).
 */
static bool enter_user(struct cn_pool *p)
{
	if (atomic_fetch_add(&p->busy, 1) + 1 >= atomic_load(&p->threads) || atomic_load(&p->ending)) {
		atomic_fetch_sub(&p->busy, 1);
		return false;
	}
	atomic_store_explicit(&me->entered, cn_now(), memory_order_release);
	return true;
}

/*
 * A lowered thread leaves the pool: it would be as slow for the next callback, or with the lead. But two have to be there,
 * and where memory lacks for others in its place (add_worker) a slow one runs what the other, which leads, may not.
 */
static bool is_spared(struct cn_pool *p)
{
	int threads = atomic_load(&p->threads);
	while (threads > LEAST_THREADS)
		if (atomic_compare_exchange_weak(&p->threads, &threads, threads - 1))
			return true;
	return false;
}

static void leave_user(struct cn_pool *p)
{
	if (atomic_exchange(&me->entered, OUTSIDE) == LOWERED && !me->lowered) {
		me->lowered = true;
		atomic_fetch_add(&p->lowered, 1);
	}
	me->left = me->lowered && is_spared(p);
	atomic_fetch_sub(&p->busy, 1);
}

/*
 * More callbacks run than there are processors, and others wait. Those that have run for long get
 * less of the processors: between equals each thread, the one that reads what comes in too, would
 * wait for its turn behind all of them (with 32 spinning ones a quarter of a second). Lead.
 */
static void lower_long(struct cn_pool *p)
{
	uint64_t now = cn_now();
	if (atomic_load(&p->busy) < p->config.threads || now - p->looked < LONG_NS)
		return;
	p->looked = now;
	cn_mutex_lock(&p->lock);
	for (struct worker *w = p->workers; w; w = w->next) {
		uint64_t entered = atomic_load(&w->entered);
		if (entered > LOWERED && now >= entered + LONG_NS &&
		    atomic_compare_exchange_strong(&w->entered, &entered, LOWERED))
			cn_thread_lower(w->id);         /* it cannot end: that takes the lock */
	}
	cn_mutex_unlock(&p->lock);
}

/* A thread leaves the pool, unless it is the last one that is free. */
static bool leave_pool(struct cn_pool *p)
{
	cn_mutex_lock(&p->lock);
	bool leaves = atomic_fetch_sub(&p->threads, 1) - 1 > atomic_load(&p->busy) || atomic_load(&p->ending);
	if (!leaves)
		atomic_fetch_add(&p->threads, 1);
	cn_mutex_unlock(&p->lock);
	return leaves;
}

static bool run_user(struct cn_pool *p)
{
	if (!enter_user(p))
		return false;
	keep_watched(p);
	bool ran = run_some(p);
	leave_user(p);
	return ran;
}

/* Runs processes with the lead lent, if another thread stays free. True if the lead is still ours. */
static bool run_lent(struct cn_pool *p)
{
	if (!enter_user(p))
		return true;
	leading = NULL;
	cn_lead_release(p->config.loop);
	set_lead(p, LEAD_LENT);
	uint64_t lent = atomic_load(&p->lead);
	keep_watched(p);
	run_some(p);
	leave_user(p);
	if (me->left) {
		if (atomic_compare_exchange_strong(&p->lead, &lent, lent & ~(uint64_t)LEAD_MASK))
			wake_one(p);
		return false;
	}
	if (!atomic_compare_exchange_strong(&p->lead, &lent, (lent & ~(uint64_t)LEAD_MASK) | LEAD_HELD))
		return false;
	cn_lead_take(p->config.loop);
	leading = p;
	return true;
}

/* ---- leading ---- */

static void add_worker(struct cn_pool *p);

/* One round of everything that the lead has to do. False: the pool ends. */
static bool turn(struct cn_pool *p, uint64_t deadline)
{
	uint64_t due = cn_sched_due(p->config.procs);
	cn_loop_spin(p->config.loop, is_roomy(p) ? p->config.busy_wait : 0);
	cn_loop_poll(p->config.loop, due < deadline ? due : deadline);
	if (cn_sched_due(p->config.procs) != CN_NEVER)
		cn_sched_expire(p->config.procs, cn_now(), TIMERS_PER_TURN);
	while (run_one(p, true))
		continue;
	return !p->config.turn(p->config.ctx);
}

static void end_pool(struct cn_pool *p)
{
	atomic_store(&p->ending, true);
	cn_mutex_lock(&p->lock);
	cn_cond_broadcast(&p->wake);
	cn_cond_broadcast(&p->ended);
	cn_mutex_unlock(&p->lock);
}

/*
 * When to look again whether promises were kept; `at` is the moment that was said before. Where no follower can be told of
 * them, the first of many ends the wait of whoever leads, and those of the next 10 ms are looked after together.
 */
static uint64_t look_again(struct cn_pool *p, uint64_t at)
{
	if (!atomic_load(&p->promised))
		return CN_NEVER;
	if (at == CN_NEVER)
		return cn_now() + GROW_AFTER_NS;
	if (cn_now() < at)
		return at;
	atomic_store(&p->promised, false);
	return CN_NEVER;
}

/*
 * How long the loop may be waited for: what the last callback left ready, this thread has promised to come back for
 * (CN_CALL_SOON), and nobody was told.
 */
static uint64_t idle_until(struct cn_pool *p, uint64_t *look_at)
{
	struct cn_sched_waiting w;
	*look_at = look_again(p, *look_at);
	cn_sched_waiting(p->config.procs, &w);
	return w.prompt > 0 || w.normal > 0 ? 0 : *look_at;
}

/* Leads until there is user code to run, or the lead was lost while it was lent. */
static void lead_until_work(struct cn_pool *p)
{
	uint64_t look_at = CN_NEVER, deadline = idle_until(p, &look_at);
	for (;;) {
		if (!turn(p, deadline)) {
			end_pool(p);
			release_lead(p);
			return;
		}
		if (atomic_load(&p->threads) - atomic_load(&p->lowered) < p->config.threads)
			add_worker(p);
		deadline = look_at = look_again(p, look_at);
		struct cn_sched_waiting w;
		cn_sched_waiting(p->config.procs, &w);
		if (w.prompt > 0)
			deadline = 0;
		if (w.normal == 0)
			continue;
		lower_long(p);
		if (atomic_load(&p->sleeping) == 0) {
			/* We are the last thread that is free: stay, and send for another. */
			if (cn_now() - w.since >= GROW_AFTER_NS)
				add_worker(p);
			deadline = w.since + GROW_AFTER_NS;
			if (deadline < cn_now())
				deadline = cn_now() + GROW_AFTER_NS;
			continue;
		}
		if (w.forecast_ns < CN_SCHED_SHORT_NS && leave_to_watcher(p)) {
			if (!run_lent(p))
				return;
			deadline = idle_until(p, &look_at);
			continue;
		}
		release_lead(p);
		return;
	}
}

/* ---- following ---- */

/* The lead was lent for too long and is now free, or is free, or a process waits for longer than it should. */
static bool is_needed(struct cn_pool *p, uint64_t *lead, bool called)
{
	struct cn_sched_waiting w;
	uint64_t before = *lead, now = *lead = atomic_load(&p->lead);
	if (atomic_load(&p->ending) || (now & LEAD_MASK) == LEAD_FREE)
		return true;
	if ((now & LEAD_MASK) == LEAD_LENT && now == before &&
	    atomic_compare_exchange_strong(&p->lead, &now, now & ~(uint64_t)LEAD_MASK))
		return true;
	cn_sched_waiting(p->config.procs, &w);
	return w.normal > 0 && (called || cn_now() - w.since >= NAP_NS);
}

/*
 * Naps while there is traffic, and looks after what the others left. False: it has been quiet,
 * nobody need look. Under the lock.
 */
static bool watch(struct cn_pool *p)
{
	uint64_t traffic = atomic_load(&p->traffic), lead = atomic_load(&p->lead);
	bool needed = false;
	for (int quiet = 0; quiet < QUIET_NAPS && !needed; quiet++) {
		bool called = cn_cond_wait_until(&p->wake, &p->lock, cn_now() + NAP_NS);
		needed = is_needed(p, &lead, called);
		uint64_t now_traffic = atomic_load(&p->traffic);
		if (now_traffic != traffic)
			quiet = -1;
		traffic = now_traffic;
	}
	/* Who leaves something to the watcher counts it and then looks for one; we do it the other way round. */
	atomic_store(&p->watched, false);
	return needed || atomic_load(&p->traffic) != traffic;
}

/*
 * Sleeps until there is something to do. With traffic one follower naps instead.
 * False: an extra thread has been idle for long enough to leave.
 */
static bool follow(struct cn_pool *p, bool extra)
{
	bool stay = true;
	cn_mutex_lock(&p->lock);
	atomic_fetch_add(&p->sleeping, 1);
	/* Who frees the lead then looks for one that sleeps; we do it the other way round. */
	bool needed = atomic_load(&p->ending) || (atomic_load(&p->lead) & LEAD_MASK) == LEAD_FREE ||
		(!atomic_exchange(&p->watched, true) && watch(p));
	if (!needed)
		stay = cn_cond_wait_until(&p->wake, &p->lock, extra ? cn_now() + IDLE_NS : CN_NEVER);
	atomic_fetch_sub(&p->sleeping, 1);
	cn_mutex_unlock(&p->lock);
	return stay || !extra;
}

static void work(void *arg)
{
	struct worker *w = arg;
	struct cn_pool *p = w->pool;
	me = w;
	w->id = cn_thread_id();
	cn_memory_know();
	while (!w->left && !atomic_load(&p->ending)) {
		if (take_lead(p)) {
			lead_until_work(p);
			if (!w->left)
				run_user(p);
			continue;
		}
		if (run_user(p))
			continue;
		if (!follow(p, atomic_load(&p->threads) > p->config.threads))
			w->left = leave_pool(p);
	}
	if (w->lowered)
		atomic_fetch_sub(&p->lowered, 1);
	if (w->left) {
		cn_wake_post(p->config.loop, &p->nudge);        /* who leads looks for what it had promised to come back for */
		keep_watched(p);
	}
	if (w->left && p->config.shrunk && atomic_load(&p->threads) <= p->config.threads && !atomic_load(&p->ending))
		p->config.shrunk(p->config.ctx);
	cn_mutex_lock(&p->lock);
	if (!w->left)
		atomic_fetch_sub(&p->threads, 1);
	w->gone = true;
	cn_cond_broadcast(&p->ended);
	cn_mutex_unlock(&p->lock);
}

static void join_gone(struct cn_pool *p)
{
	for (;;) {
		struct worker **at = &p->workers, *w;
		cn_mutex_lock(&p->lock);
		while ((w = *at) && !w->gone)
			at = &w->next;
		if (w)
			*at = w->next;
		cn_mutex_unlock(&p->lock);
		if (!w)
			return;
		cn_thread_join(&w->thread);
		cn_free(w);
	}
}

static int start_worker(struct cn_pool *p)
{
	struct worker *w = cn_calloc(1, sizeof *w);
	if (!w)
		return CNODE_ENOMEM;
	w->pool = p;
	cn_mutex_lock(&p->lock);
	int rc = cn_thread_start(&w->thread, "cnode", work, w);
	if (rc == 0) {
		w->next = p->workers;
		p->workers = w;
		atomic_fetch_add(&p->threads, 1);
	}
	cn_mutex_unlock(&p->lock);
	if (rc != 0)
		cn_free(w);
	return rc;
}

static void add_worker(struct cn_pool *p)
{
	join_gone(p);
	int wanted = atomic_load(&p->threads) + 1;      /* only the lead adds */
	/* Without another thread the processes wait; what can be said of it was said at the limit. */
	if (wanted <= p->config.max_threads && start_worker(p) == 0)
		cn_log_line(p->config.log, CNODE_LOG_DEBUG, "thread pool: %d threads", wanted);
}

/* ---- from outside ---- */

void cn_pool_runnable(struct cn_pool *p, bool prompt, enum cn_call how)
{
	if (leading == p)
		return;                     /* looked at when the round is over */
	if (prompt) {
		if (how == CN_CALL_NOW)
			cn_wake_post(p->config.loop, &p->nudge);
		return;
	}
	if (how == CN_CALL_SOON || (how == CN_CALL_BRIEF && !is_crowded(p))) {
		if (!leave_to_watcher(p) && !atomic_exchange(&p->promised, true))
			cn_wake_post(p->config.loop, &p->nudge);
		return;
	}
	if (!wake_one(p))
		cn_wake_post(p->config.loop, &p->nudge);
}

void cn_pool_due(struct cn_pool *p)
{
	if (leading != p)
		cn_wake_post(p->config.loop, &p->nudge);
}

int cn_pool_new(const struct cn_pool_config *config, struct cn_pool **pool)
{
	struct cn_pool *p = cn_calloc(1, sizeof *p);
	if (!p)
		return CNODE_ENOMEM;
	p->config = *config;
	if (p->config.threads < LEAST_THREADS)
		p->config.threads = LEAST_THREADS;
	if (p->config.max_threads < p->config.threads)
		p->config.max_threads = p->config.threads;
	cn_task_init(&p->nudge, nudged);
	cn_mutex_init(&p->lock);
	cn_cond_init(&p->wake);
	cn_cond_init(&p->ended);
	*pool = p;
	return 0;
}

int cn_pool_start(struct cn_pool *p)
{
	int rc = 0;
	p->started = true;
	for (int i = 0; i < p->config.threads && rc == 0; i++)
		rc = start_worker(p);
	if (rc != 0) {
		end_pool(p);
		cn_wake_post(p->config.loop, &p->nudge);
		cn_pool_join(p);
	}
	return rc;
}

void cn_pool_wait(struct cn_pool *p)
{
	cn_mutex_lock(&p->lock);
	while (p->started && !atomic_load(&p->ending))
		cn_cond_wait(&p->ended, &p->lock);
	cn_mutex_unlock(&p->lock);
}

void cn_pool_join_free(struct cn_pool *p)
{
	cn_mutex_lock(&p->lock);
	while (atomic_load(&p->threads) > atomic_load(&p->busy))
		cn_cond_wait(&p->ended, &p->lock);
	cn_mutex_unlock(&p->lock);
	join_gone(p);
}

void cn_pool_join(struct cn_pool *p)
{
	if (!p->started)
		return;
	for (;;) {
		cn_mutex_lock(&p->lock);
		struct worker *w = p->workers;
		if (w)
			p->workers = w->next;
		cn_mutex_unlock(&p->lock);
		if (!w)
			break;
		cn_thread_join(&w->thread);
		cn_free(w);
	}
	p->started = false;
}

void cn_pool_free(struct cn_pool *p)
{
	if (!p)
		return;
	cn_cond_fini(&p->ended);
	cn_cond_fini(&p->wake);
	cn_mutex_fini(&p->lock);
	cn_free(p);
}

bool cn_pool_step(struct cn_pool *p)
{
	if (atomic_load(&p->ending))
		return false;
	if (!take_lead(p))
		return true;
	bool ends = !turn(p, 0);
	leading = NULL;
	cn_lead_release(p->config.loop);
	set_lead(p, LEAD_FREE);
	if (ends) {
		atomic_store(&p->ending, true);
		return false;
	}
	/* What is ready now, once: what that makes ready is for the next step. */
	struct cn_sched_waiting w;
	cn_sched_waiting(p->config.procs, &w);
	while (w.normal-- > 0 && run_one(p, false))
		continue;
	return true;
}
