/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What signals do to a process of this node, and what it answers. Follows the tables of
 * erl_dist_protocol (Link Protocol) and the BEAM's answers for processes that are not there.
 */
#include "cnode/proc/inner.h"

static struct cnode_process *resolve(struct cn_procs *procs, const struct cn_target *to)
{
	if (!cnode_pid_is_none(to->pid))
		return process_find(procs, to->pid);
	if (to->name)
		return process_find_name(procs, to->name);
	uint64_t number = to->alias ? ref_number(procs, to->alias) : 0;
	return number ? process_find_number(procs, number) : NULL;
}

/* ---- messages ---- */

/* The active alias of a reference; NULL: none. */
static struct rel *find_alias(struct cnode_process *p, const cnode_ref *ref)
{
	struct rel *r = rel_find_ref(p, REL_ALIAS, ref);
	if (r)
		return r;
	r = rel_find_ref(p, REL_WATCH, ref);
	return r && r->mode >= CN_ALIAS_DEMONITOR ? r : NULL;
}

/* An alias that ends with this message: true if the monitor that goes with it is a local one, still to be ended. */
static bool use_alias(struct cnode_process *p, struct rel *r, cnode_pid *watched)
{
	bool once = r->type == REL_ALIAS ? r->mode != 0 : r->mode == CN_ALIAS_REPLY;
	if (!once || CN_MUTANT(alias_answers_twice))
		return false;
	rel_remove(p, r);
	if (r->type == REL_ALIAS) {
		rel_free(r);
		return false;
	}
	if (rel_node(r) != p->procs->node) {
		r->emit = CN_SIG_DEMONITOR;
		out_pending(p, r);
		return false;
	}
	uint64_t number = r->watched;
	if (number)
		*watched = pid_of_number(p->procs, number);
	rel_free(r);
	return number != 0;
}

int deliver_message(struct cn_procs *procs, const struct cn_target *to, cnode_term term, cnode_name peer, struct work *w)
{
	struct cnode_process *p = resolve(procs, to);
	if (!p)
		return 0;
	struct cn_message *m = message_new(term, peer);
	if (!m) {
		process_unref(p);
		return CNODE_ENOMEM;
	}
	bool ready = false, ended = false;
	cnode_pid watched = { 0 };
	cnode_ref ref;
	cn_mutex_lock(&p->lock);
	struct rel *alias = NULL;
	if (CN_UNLIKELY(is_dead(p) || (to->alias && !(alias = find_alias(p, to->alias))))) {
		cn_mutex_unlock(&p->lock);
		message_drop(m);
		process_unref(p);
		return 0;
	}
	if (CN_UNLIKELY(mailbox_is_full(p, w))) {
		cn_mutex_unlock(&p->lock);
		message_drop(m);
		process_unref(p);
		return 0;
	}
	if (alias) {
		ref = *to->alias;
		ended = use_alias(p, alias, &watched);
	}
	ready = mailbox_push(p, m, w);
	cn_mutex_unlock(&p->lock);
	if (ready)
		run_ready(p, w);
	if (ended)
		drop_watched(procs, watched, p->pid, &ref);
	process_unref(p);
	return 0;
}

void cn_procs_give(struct cn_procs *procs, cnode_pid to, struct cn_message *m)
{
	const struct cn_target target = { .pid = to };
	struct work w = { .inside = false };
	struct cnode_process *p = resolve(procs, &target);
	bool ready = false, kept = false;
	if (p) {
		cn_mutex_lock(&p->lock);
		kept = !is_dead(p) && !mailbox_is_full(p, &w);
		if (kept)
			ready = mailbox_push(p, m, &w);
		cn_mutex_unlock(&p->lock);
		if (ready)
			run_ready(p, &w);
		process_unref(p);
	}
	if (!kept)
		message_drop(m);
	work_run(&w);
}

/* ---- exit signals ---- */

/*
 * The end of a link (r was in the table; taken) or of exit/2 (r NULL). Under the lock of p, alive.
 * True: run_ready is due.
 */
bool exit_signal(struct cnode_process *p, struct rel *r, cnode_pid from, cnode_term reason, bool exit2, int *rc, struct work *w)
{
	*rc = 0;
	if (CN_MUTANT(exit_lost_on_busy) && p->state == RUN_RUNNING && p->ran_init) {
		rel_free(r);
		return false;
	}
	if (exit2 && cn_term_is_atom(reason, "kill") && !CN_MUTANT(kill_is_trapped)) {
		p->killed = true;
		process_die(p, CN_MUTANT(killed_says_kill) ? reason : atom_killed(), w);
	} else if (p->trap_exit) {
		if (!r && !(r = rel_new(REL_LINK, NULL))) {
			*rc = CNODE_ENOMEM;
			return false;
		}
		r->about.pid = from;
		r->msg.term = reason_keep(reason);
		return mailbox_push(p, message_of_rel(r, CN_MSG_EXIT), w);
	} else if (CN_MUTANT(normal_kills) || !cn_term_is_atom(reason, "normal") || (exit2 && cnode_pid_equal(from, p->pid))) {
		process_die(p, reason, w);
	}
	rel_free(r);
	return false;
}

bool end_link(struct cnode_process *p, struct rel *r, cnode_term reason, struct work *w)
{
	int rc;
	rel_remove(p, r);
	if (!r->active) {
		rel_free(r);
		return false;
	}
	return exit_signal(p, r, r->about.pid, reason, false, &rc, w);
}

void deliver_exit(struct cn_procs *procs, cnode_pid to, cnode_pid from, cnode_term reason, struct work *w)
{
	struct cnode_process *p = process_find(procs, to);
	if (!p)
		return;
	bool ready = false;
	cn_mutex_lock(&p->lock);
	struct rel *r = is_dead(p) ? NULL : rel_find_pid(p, from);
	if (r && r->active)     /* of an inactive link nothing is heard; the ack ends it */
		ready = end_link(p, r, reason, w);
	cn_mutex_unlock(&p->lock);
	if (ready)
		run_ready(p, w);
	process_unref(p);
}

/* Under p's lock: may the peer end it? Who is linked with it could by its own end. */
static bool may_exit(struct cnode_process *p, cnode_pid from, cnode_name peer, cnode_term reason)
{
	struct cn_procs *procs = p->procs;
	if (!peer || !procs->ops->may_exit)
		return true;
	struct rel *r = rel_find_pid(p, from);
	if (r && r->active)
		return true;
	struct cn_exit_target target = { .label = cn_process_label(p), .parent = p->parent, .origin = p->origin,
					 .pid = p->pid, .reason = reason };
	return procs->ops->may_exit(procs->ctx, peer, &target);
}

bool cn_process_may_exit(struct cnode_process *self, cnode_pid from, cnode_name peer)
{
	static const uint8_t normal[] = { CN_SMALL_ATOM_UTF8, 6, 'n', 'o', 'r', 'm', 'a', 'l' };
	/* In a message any pid can stand. */
	if (from.node != peer)
		from = (cnode_pid){ 0 };
	cn_mutex_lock(&self->lock);
	bool may = may_exit(self, from, peer, cn_term_static(normal, sizeof normal));
	cn_mutex_unlock(&self->lock);
	return may;
}

int deliver_exit2(struct cn_procs *procs, const struct cn_target *to, cnode_pid from, cnode_name peer, cnode_term reason,
		  struct work *w)
{
	struct cnode_process *p = resolve(procs, to);
	if (!p)
		return 0;
	bool ready = false;
	int rc = 0;
	cn_mutex_lock(&p->lock);
	if (!is_dead(p) && !(to->alias && !find_alias(p, to->alias)) && may_exit(p, from, peer, reason))
		ready = exit_signal(p, NULL, from, reason, true, &rc, w);
	cn_mutex_unlock(&p->lock);
	if (ready)
		run_ready(p, w);
	process_unref(p);
	return rc;
}

void forget_link(struct cn_procs *procs, cnode_pid of, cnode_pid with)
{
	struct cnode_process *p = process_find(procs, of);
	if (!p)
		return;
	cn_mutex_lock(&p->lock);
	struct rel *r = is_dead(p) ? NULL : rel_find_pid(p, with);
	if (r)
		rel_remove(p, r);
	cn_mutex_unlock(&p->lock);
	rel_free(r);
	process_unref(p);
}

/* ---- monitors ---- */

bool end_watch(struct cnode_process *p, struct rel *r, cnode_term reason, struct work *w)
{
	rel_remove(p, r);
	r->msg.term = reason_keep(reason);
	return mailbox_push(p, message_of_rel(r, CN_MSG_DOWN), w);
}

bool end_node(struct cnode_process *p, struct rel *r, struct work *w)
{
	rel_remove(p, r);
	return mailbox_push(p, message_of_rel(r, CN_MSG_NODEDOWN), w);
}

/* `peer` other than 0: it must be the node that is watched, or else the signal is not its to send. */
static void down(struct cn_procs *procs, cnode_pid to, const cnode_ref *ref, cnode_name peer, cnode_term reason, struct work *w)
{
	struct cnode_process *p = process_find(procs, to);
	if (!p)
		return;
	bool ready = false;
	cn_mutex_lock(&p->lock);
	struct rel *r = is_dead(p) ? NULL : rel_find_ref(p, REL_WATCH, ref);
	if (r && (!peer || peer == rel_node(r) || CN_MUTANT(anybodys_down)))
		ready = end_watch(p, r, reason, w);
	cn_mutex_unlock(&p->lock);
	if (ready)
		run_ready(p, w);
	process_unref(p);
}

void deliver_down(struct cn_procs *procs, cnode_pid to, const cnode_ref *ref, cnode_term reason, struct work *w)
{
	down(procs, to, ref, 0, reason, w);
}

int cn_procs_adopt_monitor(struct cn_procs *procs, cnode_pid watcher, cnode_pid of, const cnode_ref *ref, uint64_t epoch)
{
	struct rel *watch = rel_new(REL_WATCH, NULL);
	if (!watch)
		return CNODE_ENOMEM;
	watch->about.pid = of;
	watch->about.ref = *ref;
	watch->mode = CN_ALIAS_NONE;
	struct cnode_process *p = process_find(procs, watcher);
	bool gone = !p;
	int rc = 0;
	if (p) {
		cn_mutex_lock(&p->lock);
		gone = is_dead(p);
		if (!gone && (rc = rel_add(p, watch, of.node, epoch)) == 0)
			watch = NULL;
		cn_mutex_unlock(&p->lock);
		process_unref(p);
	}
	rel_free(watch);
	if (gone) {
		struct cn_signal sig = { .kind = CN_SIG_DEMONITOR, .from = watcher, .to = of, .node = of.node,
					 .ref = *ref, .epoch = epoch };
		procs->ops->send(procs->ctx, &sig, 0);
	}
	return rc;
}

/* Takes a count of p, which may be NULL. */
static void drop_watched_of(struct cnode_process *p, cnode_pid by, const cnode_ref *ref)
{
	if (!p)
		return;
	cn_mutex_lock(&p->lock);
	struct rel *r = is_dead(p) ? NULL : rel_find_watched(p, ref, by);
	if (r)
		rel_remove(p, r);
	cn_mutex_unlock(&p->lock);
	rel_free(r);
	process_unref(p);
}

void drop_watched(struct cn_procs *procs, cnode_pid of, cnode_pid by, const cnode_ref *ref)
{
	drop_watched_of(process_find(procs, of), by, ref);
}

void forget_watch(struct cn_procs *procs, cnode_pid of, const cnode_ref *ref)
{
	struct cnode_process *p = process_find(procs, of);
	if (!p)
		return;
	cn_mutex_lock(&p->lock);
	struct rel *r = is_dead(p) ? NULL : rel_find_ref(p, REL_WATCH, ref);
	if (r)
		rel_remove(p, r);
	cn_mutex_unlock(&p->lock);
	rel_free(r);
	process_unref(p);
}

/* ---- signals of peers ---- */

/* An answer in the name of a process that is not there: nothing of it can be overtaken. */
static void answer(struct cn_procs *procs, const struct cn_signal *to, enum cn_signal_kind kind)
{
	struct cn_signal sig = {
		.kind = kind,
		.from = to->to,
		.from_name = kind == CN_SIG_DOWN ? to->to_name : NULL,
		.to = to->from,
		.node = to->from.node,
		.epoch = to->epoch,
		.ref = to->ref,
		.unlink_id = to->unlink_id,
	};
	if (kind != CN_SIG_UNLINK_ACK)
		sig.term = atom_noproc();
	procs->ops->send(procs->ctx, &sig, 0);
}

/* A link or monitor that a peer asks for. */
static int relate(struct cn_procs *procs, const struct cn_signal *sig)
{
	struct cn_target to = { .pid = sig->to, .name = sig->to_name };
	enum cn_signal_kind missing = sig->kind == CN_SIG_LINK ? CN_SIG_EXIT : CN_SIG_DOWN;
	struct cnode_process *p = resolve(procs, &to);
	if (!p) {
		if (CN_MUTANT(link_without_noproc) && sig->kind == CN_SIG_LINK)
			return 0;
		if (CN_MUTANT(name_without_noproc) && sig->to_name)
			return 0;
		answer(procs, sig, missing);
		return 0;
	}
	int rc = CNODE_ENOMEM;
	struct rel *r = rel_new(sig->kind == CN_SIG_LINK ? REL_LINK : REL_WATCHED, sig->to_name);
	if (!r)
		goto unref;
	r->about.pid = sig->from;
	r->about.ref = sig->ref;
	r->active = true;
	cn_mutex_lock(&p->lock);
	bool dead = is_dead(p);
	bool known = !dead && (sig->kind == CN_SIG_LINK ? rel_find_pid(p, sig->from) : rel_find_watched(p, &sig->ref, sig->from));
	if (dead || known)
		rc = 0;
	else if (p->links.count + p->refs_of.count >= CN_MAX_RELATIONS)
		rc = CNODE_ELIMIT;
	else if ((rc = rel_add(p, r, sig->from.node, sig->epoch)) == 0)
		r = NULL;
	cn_mutex_unlock(&p->lock);
	rel_free(r);
	if (dead)
		answer(procs, sig, missing);
unref:
	process_unref(p);
	return rc;
}

/* Of a monitor by name: the process that had the name when it was made, which the reference tells (dist.c, orig_name_monitors). */
static void demonitor(struct cn_procs *procs, const struct cn_signal *sig)
{
	struct cnode_process *p = !sig->to_name ? process_find(procs, sig->to)
		: CN_MUTANT(demonitor_asks_the_name) ? process_find_name(procs, sig->to_name)
		: rel_find_named(procs, &sig->ref, sig->from, sig->epoch);
	drop_watched_of(p, sig->from, &sig->ref);
}

static int unlink_from(struct cn_procs *procs, const struct cn_signal *sig)
{
	struct cnode_process *p = process_find(procs, sig->to);
	int rc = 0;
	if (!p)
		goto gone;
	cn_mutex_lock(&p->lock);
	if (is_dead(p)) {
		cn_mutex_unlock(&p->lock);
		process_unref(p);
		goto gone;
	}
	struct rel *r = rel_find_pid(p, sig->from);
	if (r && r->active && !CN_MUTANT(unlink_keeps_link))
		rel_remove(p, r);
	else
		r = NULL;
	if (CN_MUTANT(no_unlink_ack)) {
		cn_mutex_unlock(&p->lock);
		rel_free(r);
		process_unref(p);
		return 0;
	}
	if (sig->unlink_id != 0 && !r && !(r = rel_new(REL_LINK, NULL)))
		rc = CNODE_ENOMEM;
	if (r && sig->unlink_id != 0) {
		r->emit = CN_SIG_UNLINK_ACK;
		r->about.pid = sig->from;
		r->unlink_id = sig->unlink_id;
		r->epoch = sig->epoch;
		out_pending(p, r);
		r = NULL;
	}
	cn_mutex_unlock(&p->lock);
	rel_free(r);
	process_unref(p);
	return rc;
gone:
	if (sig->unlink_id != 0 && !CN_MUTANT(no_unlink_ack_of_dead))
		answer(procs, sig, CN_SIG_UNLINK_ACK);
	return 0;
}

static void unlink_acked(struct cn_procs *procs, const struct cn_signal *sig)
{
	struct cnode_process *p = process_find(procs, sig->to);
	if (!p)
		return;
	cn_mutex_lock(&p->lock);
	struct rel *r = is_dead(p) ? NULL : rel_find_pid(p, sig->from);
	if (r && ((!r->active && r->unlink_id == sig->unlink_id) || CN_MUTANT(any_unlink_ack)))
		rel_remove(p, r);
	else
		r = NULL;
	cn_mutex_unlock(&p->lock);
	rel_free(r);
	process_unref(p);
}

static void set_leader(struct cn_procs *procs, const struct cn_signal *sig)
{
	struct cnode_process *p = process_find(procs, sig->to);
	if (!p)
		return;
	cn_mutex_lock(&p->lock);
	p->leader = sig->leader;
	cn_mutex_unlock(&p->lock);
	process_unref(p);
}

int cn_procs_deliver(struct cn_procs *procs, const struct cn_signal *sig)
{
	struct work w = { .inside = false };
	struct cn_target to = { .pid = sig->to, .name = sig->to_name, .alias = sig->alias };
	int rc = 0;
	switch (sig->kind) {
	case CN_SIG_MESSAGE:
		rc = deliver_message(procs, &to, sig->term, sig->node, &w);
		break;
	case CN_SIG_LINK:
	case CN_SIG_MONITOR:
		rc = relate(procs, sig);
		break;
	case CN_SIG_UNLINK:
		rc = unlink_from(procs, sig);
		break;
	case CN_SIG_UNLINK_ACK:
		unlink_acked(procs, sig);
		break;
	case CN_SIG_EXIT:
		deliver_exit(procs, sig->to, sig->from, sig->term, &w);
		break;
	case CN_SIG_EXIT2:
		rc = deliver_exit2(procs, &to, sig->from, sig->node, sig->term, &w);
		break;
	case CN_SIG_DEMONITOR:
		if (CN_MUTANT(demonitor_ignored))
			break;
		demonitor(procs, sig);
		break;
	case CN_SIG_DOWN:
		down(procs, sig->to, &sig->ref, sig->node, sig->term, &w);
		break;
	case CN_SIG_GROUP_LEADER:
		set_leader(procs, sig);
		break;
	}
	work_run(&w);
	return rc;
}
