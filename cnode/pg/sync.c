/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sync says everything that a server of another node has: perhaps 100,000 members, which take longer to take in than
 * this thread may stay away from its sockets. So it is done in slices: first all of it is looked at, then group after
 * group is taken in, then those go that it did not name. Between two slices other messages are handled; what the same
 * server says meanwhile waits until its sync is done, so that nothing overtakes anything, and comes last.
 */
#include "cnode/pg/inner.h"

#define SLICE_NS (CN_NS_PER_MS / 10)     /* a prompt process may handle 16 messages before it is looked at */
#define SLICE_LOOK 8u                   /* how often the clock is looked at */
#define HELD_MOST 100000u               /* stops a server that goes on sending */

struct held {
	struct held *next;
	cnode_term message;
};

enum phase { PHASE_LOOK, PHASE_TAKE, PHASE_SWEEP, PHASE_HELD };

struct sync {
	cnode_term groups;              /* its own, and what the readers read */
	enum phase phase;
	cnode_reader list;
	size_t left;                    /* groups in the present part of it */
	bool inside;                    /* of a group, and its pids are being read */
	cnode_term name;
	cnode_reader members;
	size_t members_left;
	struct pids pids;               /* of that group so far */
	size_t count;                   /* members in all */
	uint64_t number;                /* in part.seen of what it named */
	struct part *swept;             /* the next that may have to go; nobody else changes the list meanwhile */
	uint64_t until;                 /* of the present slice */
	unsigned looked;
	struct held *held, **held_last; /* what its server has said meanwhile */
	size_t held_count;
};

static void begin_phase(struct remote *r, struct sync *y, enum phase phase)
{
	y->phase = phase;
	y->list = cnode_read(y->groups);
	y->left = 0;
	y->inside = false;
	y->swept = r->parts;
}

static bool is_late(struct sync *y)
{
	return ++y->looked % SLICE_LOOK == 0 && cn_now() > y->until;
}

void sync_drop(struct remote *r)
{
	struct sync *y = r->sync;
	if (!y)
		return;
	r->sync = NULL;
	for (struct held *h = y->held, *next; h; h = next) {
		next = h->next;
		cnode_term_drop(h->message);
		cn_free(h);
	}
	cnode_term_drop(y->groups);
	cn_free(y->pids.at);
	cn_free(y);
}

static void hold(struct server *v, struct remote *r, cnode_term message)
{
	struct sync *y = r->sync;
	struct held *h = y->held_count < HELD_MOST ? cn_calloc(1, sizeof *h) : NULL;
	if (y->held_count >= HELD_MOST) {
		remote_mute(v, r, "what may wait behind a sync");
		return;
	}
	if (!h || cnode_term_keep(message, &h->message) != 0) {
		cn_free(h);
		remote_lost_track(v, r);
		return;
	}
	*y->held_last = h;
	y->held_last = &h->next;
	y->held_count++;
}

bool sync_holds(struct server *v, struct remote *r, cnode_term message)
{
	if (!r->sync)
		return false;
	hold(v, r, message);
	return true;
}

/* ---- slices: 1 there is more, 0 done, or a code ---- */

/* The next group, or the next pids of the present one; *at_end: the group is whole. */
static int next_pids(struct sync *y, cnode_name node, bool keep, bool *at_end)
{
	*at_end = false;
	while (y->members_left > 0 || (y->members_left = cnode_read_list(&y->members)) > 0) {
		cnode_pid pid;
		if (cn_term_pid(cnode_read_term(&y->members), &pid) != 0 || (pid.node != node && !CN_MUTANT(pg_speaks_for_others)))
			return CNODE_EBADTERM;
		y->members_left--;
		if (keep) {
			int rc = pids_room(&y->pids, 1);
			if (rc != 0)
				return rc;
			y->pids.at[y->pids.count++] = pid;
		}
		if (is_late(y))
			return 1;
	}
	*at_end = true;
	return y->members.error;
}

/* Under the lock. */
static int take_group(struct scope *s, struct remote *r, struct sync *y)
{
	struct group *group;
	struct part *part;
	if (y->pids.count == 0)
		return 0;
	y->count += y->pids.count;
	int rc = y->count > CN_PG_MEMBERS ? CNODE_ELIMIT : group_get(s, y->name, &group);
	if (rc != 0)
		return rc;
	rc = part_get(s, group, r, &part);
	if (rc != 0) {
		group_tidy(s, group);
		return rc;
	}
	part->seen = y->number;
	change_replace(s, part, &y->pids);
	return 0;
}

/* Looks at all groups, or takes them in. */
static int each_group(struct server *v, struct remote *r, bool take)
{
	struct sync *y = r->sync;
	struct scope *s = v->scope;
	bool at_end;
	for (;;) {
		if (!y->inside) {
			cnode_term who;
			if (y->left == 0 && (y->left = cnode_read_list(&y->list)) == 0)
				return y->list.error;
			y->left--;
			if (cnode_scan(cnode_read_term(&y->list), "{~t,~t}", &y->name, &who) != 0)
				return CNODE_EBADTERM;
			y->members = cnode_read(who);
			y->members_left = 0;
			y->pids.count = 0;
			y->inside = true;
		}
		int rc = next_pids(y, r->pid.node, take, &at_end);
		if (rc != 0 || !at_end)
			return rc;
		y->inside = false;
		if (take) {
			cn_mutex_lock(&s->lock);
			rc = take_group(s, r, y);
			cn_mutex_unlock(&s->lock);
		}
		if (rc != 0)
			return rc;
		if (is_late(y))
			return 1;
	}
}

/* Groups that it does not name any more. */
static int sweep(struct server *v, struct remote *r)
{
	struct scope *s = v->scope;
	struct sync *y = r->sync;
	bool late = false;
	cn_mutex_lock(&s->lock);
	while (y->swept && !late) {
		struct part *p = y->swept;
		y->swept = p->of_next;
		if (p->seen != y->number) {
			change_leave_all(s, p);
			part_tidy(s, p);
		}
		late = is_late(y);
	}
	cn_mutex_unlock(&s->lock);
	return late && y->swept ? 1 : 0;
}

static int start(struct server *v, struct remote *r, struct sync *y, cnode_term groups)
{
	struct scope *s = v->scope;
	cnode_term kept;
	int rc = cnode_term_keep(groups, &kept);
	if (rc != 0)
		return rc;
	cnode_term_drop(y->groups);
	y->groups = kept;
	y->count = 0;
	cn_mutex_lock(&s->lock);
	y->number = ++s->syncs;
	cn_mutex_unlock(&s->lock);
	begin_phase(r, y, PHASE_LOOK);
	return 0;
}

/* What came meanwhile; another sync is begun in its turn. */
static int tell_held(struct server *v, struct remote *r)
{
	struct sync *y = r->sync;
	while (y->held) {
		struct held *h = y->held;
		cnode_term groups;
		int rc = 0;
		y->held = h->next;
		y->held_count--;
		if (!y->held)
			y->held_last = &y->held;
		if (cnode_scan(h->message, "{sync,_,~t}", &groups) == 0) {
			rc = start(v, r, y, groups);
			rc = rc == 0 ? 1 : rc;
		} else {
			r->sync = NULL;         /* so that it is not held again */
			server_told(v, r->pid, h->message);
			r->sync = y;
		}
		cnode_term_drop(h->message);
		cn_free(h);
		if (rc != 0 || r->mute || r->ahead)
			return rc;
		if (is_late(y) && y->held)
			return 1;
	}
	return 0;
}

static int slice(struct server *v, struct remote *r)
{
	struct sync *y = r->sync;
	int rc = 0;
	y->until = cn_now() + SLICE_NS;
	if (y->phase == PHASE_LOOK && (rc = each_group(v, r, false)) == 0)
		begin_phase(r, y, PHASE_TAKE);
	if (rc == 0 && y->phase == PHASE_TAKE && (rc = each_group(v, r, true)) == 0)
		begin_phase(r, y, PHASE_SWEEP);
	if (rc == 0 && y->phase == PHASE_SWEEP && (rc = sweep(v, r)) == 0) {
		begin_phase(r, y, PHASE_HELD);
		r->ahead = false;
	}
	return rc == 0 ? tell_held(v, r) : rc;
}

static void run_slice(struct server *v, struct remote *r)
{
	struct sync *y = r->sync;
	int rc = slice(v, r);
	if (rc == 1)
		rc = cnode_send(v->self, cnode_self(v->self), "{more,~p}", r->pid);
	else if (rc == 0)
		sync_drop(r);
	if (rc == 0)
		return;
	if (rc == CNODE_ELIMIT) {
		remote_mute(v, r, "CN_PG_MEMBERS");
	} else if (rc == CNODE_ENOMEM || y->phase != PHASE_LOOK) {
		remote_lost_track(v, r);
	} else {
		/* Nothing of it was taken in; what it says besides is good still. */
		server_junk(v, "a sync that makes no sense", r->pid.node, y->groups);
		begin_phase(r, y, PHASE_HELD);
		if (cnode_send(v->self, cnode_self(v->self), "{more,~p}", r->pid) != 0)
			remote_lost_track(v, r);
	}
}

void sync_more(struct server *v, cnode_pid pid)
{
	struct remote *r = remote_find(v->scope, pid);
	if (r && r->sync)
		run_slice(v, r);
}

void sync_begin(struct server *v, cnode_pid pid, cnode_term groups, cnode_term message)
{
	bool is_new;
	struct remote *r = remote_get(v, pid, &is_new);
	if (!r || r->mute || sync_holds(v, r, message))
		return;
	struct sync *y = cn_calloc(1, sizeof *y);
	if (!y || start(v, r, y, groups) != 0) {
		cn_free(y);
		remote_lost_track(v, r);
		return;
	}
	y->held_last = &y->held;
	r->sync = y;
	run_slice(v, r);
}
