/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Units of services that are started again when they have ended. Whether a process is there is not asked of
 * proc, which forgets a dead one before its callbacks have returned: gen says it (cn_gen_spec.ended), by the
 * thread that ran it last. The lock is never held while anything of proc is called.
 */
#include "cnode/gen/inner.h"

struct cn_supervisor {
	struct cn_supervisor_config config;
	struct cn_mutex lock;
	struct cn_unit *units;
	bool closed;
	_Atomic uint64_t restarts;
};

int cn_supervisor_new(const struct cn_supervisor_config *config, struct cn_supervisor **made)
{
	struct cn_supervisor *v = cn_calloc(1, sizeof *v);
	if (!v)
		return CNODE_ENOMEM;
	v->config = *config;
	cn_mutex_init(&v->lock);
	*made = v;
	return 0;
}

void cn_supervisor_close(struct cn_supervisor *v)
{
	cn_mutex_lock(&v->lock);
	v->closed = true;
	cn_mutex_unlock(&v->lock);
}

void cn_supervisor_free(struct cn_supervisor *v)
{
	if (!v)
		return;
	cn_mutex_fini(&v->lock);
	cn_free(v);
}

uint64_t cn_supervisor_restarts(const struct cn_supervisor *v)
{
	return atomic_load(&v->restarts);
}

static void wake(struct cn_supervisor *v)
{
	if (v->config.wake)
		v->config.wake(v->config.ctx);
}

/* ---- the processes of a unit ---- */

static bool is_alive(const struct cn_unit *u)
{
	bool lives = false;
	for (size_t i = 0; i < u->count; i++)
		lives = lives || u->slots[i].lives;
	return lives;
}

/* cn_gen_spec.ended. */
static void ended(void *context)
{
	struct cn_unit_slot *slot = context;
	struct cn_unit *u = slot->unit;
	struct cn_supervisor *v = u->supervisor;
	cn_mutex_lock(&v->lock);
	slot->lives = false;
	u->down = true;
	u->due = 1;
	bool closed = v->closed;
	cn_mutex_unlock(&v->lock);
	if (!closed)
		wake(v);
}

static int start_one(struct cn_supervisor *v, struct cn_unit *u, size_t i)
{
	static const uint8_t nil[] = { CN_NIL };
	const struct cn_unit_process *p = &u->processes[i];
	struct cn_gen_spec gen = {
		.behaviour = p->behaviour, .context = u->context, .args = cn_term_static(nil, sizeof nil),
		.ended = ended, .ended_context = &u->slots[i],
	};
	struct cn_process_spec spec = { .name = p->name, .label = p->label, .held = true };
	cnode_pid pid;
	if (u->leader)
		spec.leader = u->leader(u->owner);
	cn_mutex_lock(&v->lock);
	u->slots[i].unit = u;
	u->slots[i].lives = true;       /* before anybody can end it */
	cn_mutex_unlock(&v->lock);
	int rc = cn_gen_spawn(v->config.procs, &gen, &spec, &pid);
	cn_mutex_lock(&v->lock);
	if (rc == 0)
		u->slots[i].pid = pid;
	else
		u->slots[i].lives = false;
	cn_mutex_unlock(&v->lock);
	if (rc == 0 && u->started)
		u->started(u->owner, i, pid);
	return rc;
}

/* All are there before the first of them runs. */
static int start_all(struct cn_supervisor *v, struct cn_unit *u)
{
	cnode_pid pids[CN_UNIT_MAX];
	cn_mutex_lock(&v->lock);
	u->down = u->told = false;
	u->due = 0;
	u->started_at = cn_now();
	cn_mutex_unlock(&v->lock);
	int rc = 0;
	for (size_t i = 0; i < u->count && rc == 0; i++)
		rc = start_one(v, u, i);
	cn_mutex_lock(&v->lock);
	for (size_t i = 0; i < u->count; i++)
		pids[i] = u->slots[i].pid;
	if (rc != 0)
		u->down = true;
	cn_mutex_unlock(&v->lock);
	for (size_t i = 0; i < u->count && rc == 0; i++)
		cn_procs_resume(v->config.procs, pids[i]);
	return rc;
}

/* Tells those that live to end: first so that they can, then so that they must. Copies, for the unit may be over meanwhile. */
struct ending {
	struct cn_unit_slot slots[CN_UNIT_MAX];
	bool must;
};

/* Under the lock. */
static struct ending begin_ending(struct cn_unit *u)
{
	struct ending e = { .must = u->told };
	memcpy(e.slots, u->slots, sizeof e.slots);
	u->told = true;
	return e;
}

static void end_all(struct cn_supervisor *v, const struct ending *e)
{
	static const uint8_t shutdown[] = { CN_SMALL_ATOM_UTF8, 8, 's', 'h', 'u', 't', 'd', 'o', 'w', 'n' };
	static const uint8_t kill[] = { CN_SMALL_ATOM_UTF8, 4, 'k', 'i', 'l', 'l' };
	for (size_t i = 0; i < CN_UNIT_MAX; i++) {
		struct cn_signal sig = {
			.kind = CN_SIG_EXIT2, .from = cn_procs_root(v->config.procs), .to = e->slots[i].pid,
			.term = e->must ? cn_term_static(kill, sizeof kill) : cn_term_static(shutdown, sizeof shutdown),
		};
		/* One that memory lacked for is told when the unit is looked at again. */
		if (e->slots[i].lives)
			(void)cn_procs_deliver(v->config.procs, &sig);
	}
}

/* ---- units ---- */

static void list(struct cn_supervisor *v, struct cn_unit *u)
{
	cn_mutex_lock(&v->lock);
	u->listed = true;
	u->next = v->units;
	v->units = u;
	bool down = u->down;
	cn_mutex_unlock(&v->lock);
	if (down)
		wake(v);
}

int cn_unit_start(struct cn_supervisor *v, struct cn_unit *u)
{
	u->supervisor = v;
	int rc = start_all(v, u);
	cn_mutex_lock(&v->lock);
	bool nothing = rc != 0 && !is_alive(u);
	u->stopping = rc != 0;
	cn_mutex_unlock(&v->lock);
	if (!nothing)
		list(v, u);
	return rc;
}

void cn_unit_stop(struct cn_unit *u)
{
	struct cn_supervisor *v = u->supervisor;
	cn_mutex_lock(&v->lock);
	u->stopping = true;
	u->told = false;
	struct ending e = begin_ending(u);
	u->due = cn_now() + CN_UNIT_DELAY_MOST_MS * CN_NS_PER_MS;
	if (!is_alive(u))
		u->due = 1;
	cn_mutex_unlock(&v->lock);
	end_all(v, &e);
	wake(v);
}

/* How long a unit that is down has to wait until it is started again. */
static uint64_t delay(struct cn_unit *u, uint64_t now)
{
	if (now > u->started_at && now - u->started_at > CN_UNIT_FORGOTTEN_MS * CN_NS_PER_MS)
		u->restarts = 0;
	if (u->restarts < CN_UNIT_AT_ONCE)
		return 0;
	unsigned doubled = u->restarts - CN_UNIT_AT_ONCE;
	uint64_t ms = doubled > 6 ? CN_UNIT_DELAY_MOST_MS : (uint64_t)CN_UNIT_DELAY_MS << doubled;
	return ms * CN_NS_PER_MS;
}

enum step { STEP_NONE, STEP_END, STEP_START, STEP_OVER };

/* What is to be done with a unit now. Under the lock. */
static enum step next_step(struct cn_unit *u, uint64_t now)
{
	if ((!u->down && !u->stopping) || u->due > now)
		return STEP_NONE;
	if (is_alive(u)) {
		/* It is looked at again when the last has ended, and anyway. */
		u->due = now + CN_UNIT_DELAY_MOST_MS * CN_NS_PER_MS;
		return STEP_END;
	}
	if (u->stopping)
		return STEP_OVER;
	uint64_t at = u->started_at + delay(u, now);
	if (at > now) {
		u->due = at;
		return STEP_NONE;
	}
	u->restarts++;
	return STEP_START;
}

static void unlist(struct cn_supervisor *v, struct cn_unit *u)
{
	cn_mutex_lock(&v->lock);
	struct cn_unit **at = &v->units;
	while (*at != u)
		at = &(*at)->next;
	*at = u->next;
	u->listed = false;
	cn_mutex_unlock(&v->lock);
}

static void start_again(struct cn_supervisor *v, struct cn_unit *u, uint64_t now)
{
	atomic_fetch_add(&v->restarts, 1);
	cn_log_line(v->config.log, CNODE_LOG_WARNING, "%s has ended, and is started again", u->title);
	if (u->again)
		u->again(u->owner);
	int rc = start_all(v, u);
	if (rc == 0)
		return;
	cn_log_line(v->config.log, CNODE_LOG_ERROR, "%s cannot be started again yet: %s", u->title, cnode_strerror(rc));
	cn_mutex_lock(&v->lock);
	uint64_t wait = delay(u, now);
	u->due = now + (wait ? wait : CN_UNIT_DELAY_MS * CN_NS_PER_MS);
	cn_mutex_unlock(&v->lock);
}

uint64_t cn_supervisor_run(struct cn_supervisor *v, uint64_t now)
{
	for (;;) {
		enum step step = STEP_NONE;
		struct ending ending;
		uint64_t due = CN_NEVER;
		cn_mutex_lock(&v->lock);
		struct cn_unit *u = v->closed ? NULL : v->units;
		for (; u && (step = next_step(u, now)) == STEP_NONE; u = u->next)
			if ((u->down || u->stopping) && u->due < due)
				due = u->due;
		if (step == STEP_END)
			ending = begin_ending(u);
		cn_mutex_unlock(&v->lock);
		switch (step) {
		case STEP_NONE:
			return due;
		case STEP_END:
			end_all(v, &ending);
			break;
		case STEP_START:
			start_again(v, u, now);
			break;
		case STEP_OVER:
			unlist(v, u);
			if (u->over)
				u->over(u->owner);
			break;
		}
	}
}
