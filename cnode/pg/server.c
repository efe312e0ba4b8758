/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server of a scope: tells the servers of other nodes what happens here, and takes in what
 * they tell. Follows pg.erl; of what would crash the server of an OTP node (global.md 5.2)
 * nothing is ever sent:
 *
 *   - a server is told of joins and leaves only once it has had a sync of this one, by the same
 *     connection and in order, so it never hears a group leave that it does not know;
 *   - discover is the form without version, which the releases before 26 know alone, and which
 *     makes OTP 29 speak the older protocol;
 *   - a server that missed something for want of memory gets a sync in place of more.
 *
 * A peer speaks for its own node only: what it says of pids of others is dropped.
 */
#include "cnode/pg/inner.h"

/* ---- to others ---- */

void server_later(struct server *v)
{
	cnode_ref ref;
	if (v->ticking)
		return;
	/* Without memory for the timer the next event looks after it: see server_info. */
	v->ticking = cnode_start_timer(v->self, CN_PG_RETRY_MS, &ref, "again") == 0;
}

static void discover(struct server *v, const char *node)
{
	cnode_term message;
	int rc = cnode_format(&message, "{discover,~p}", cnode_self(v->self));
	if (rc == 0) {
		rc = cnode_send_name_term(v->self, v->scope->name, node, message, CNODE_NOCONNECT);
		cnode_term_drop(message);
	}
	/* A node that is gone by now says so itself (nodedown). */
	if (rc != 0 && rc != CNODE_ENOCONNECTION)
		cn_log_line(v->scope->pg->log, CNODE_LOG_WARNING, "pg %s: %s cannot be asked for its groups: %s", v->scope->name,
			    node, cnode_strerror(rc));
}

/* A message to a server. What cannot be told now it will learn from a sync. */
static void send_to(struct server *v, struct remote *r, cnode_term message)
{
	char node[CNODE_NAME_SIZE];
	int rc = cnode_send_term(v->self, r->pid, message, CNODE_NOCONNECT);
	if (rc == 0 || rc == CNODE_ENOCONNECTION)      /* its nodedown is on the way */
		return;
	if (rc == CNODE_ENOMEM || rc == CNODE_EEXITED || rc == CNODE_ESHUTDOWN) {
		r->behind = true;
		server_later(v);
		return;
	}
	r->deaf = true;
	(void)cnode_name_text(r->pid.node, node);
	cn_log_line(v->scope->pg->log, CNODE_LOG_WARNING, "pg %s: %s cannot take the groups of this node, and is not told of them any more: %s",
		    v->scope->name, node, cnode_strerror(rc));
}

/* Of joins and leaves: those who know us. */
static void tell_all(struct server *v, cnode_term message)
{
	for (struct remote *r = v->scope->remotes; r; r = r->next)
		if (r->greeted && !r->behind && !r->deaf)
			send_to(v, r, message);
}

/* They missed something: each gets a sync. */
static void all_behind(struct server *v)
{
	for (struct remote *r = v->scope->remotes; r; r = r->next)
		r->behind = r->greeted;
	server_later(v);
}

/* {sync, Self, [{Group, [Pid, …]}, …]} as a cast; made again only when something changed. Under the lock. */
static int sync_term(struct server *v)
{
	struct scope *s = v->scope;
	if (s->sync.size_)
		return 0;
	cnode_builder *b = cnode_builder_new();
	if (!b)
		return CNODE_ENOMEM;
	cnode_build_tuple(b, 2);
	cnode_build_atom(b, "$gen_cast");
	cnode_build_tuple(b, 3);
	cnode_build_atom(b, "sync");
	cnode_build_pid(b, cnode_self(v->self));
	cnode_build_list(b);
	for (const struct part *p = s->own; p; p = p->of_next) {
		cnode_build_tuple(b, 2);
		cnode_build_term(b, p->group->name);
		cnode_build_list(b);
		for (size_t i = 0; i < p->pids.count; i++)
			cnode_build_pid(b, p->pids.at[i]);
		cnode_build_list_end(b);
	}
	cnode_build_list_end(b);
	int rc = cnode_builder_term(b, &s->sync);
	cnode_builder_free(b);
	return rc;
}

/* ---- notes: what happened here ---- */

static void tell_note(struct server *v, const struct note *n)
{
	cnode_builder *b = cnode_builder_new();
	cnode_term message;
	int rc = CNODE_ENOMEM;
	if (b) {
		cnode_build_tuple(b, 4);
		cnode_build_atom(b, n->join ? "join" : "leave");
		cnode_build_pid(b, cnode_self(v->self));
		if (n->join)
			cnode_build_term(b, n->group);
		if (n->count != 1)
			cnode_build_list(b);
		for (size_t i = 0; i < n->count; i++)
			cnode_build_pid(b, n->pids[i]);
		if (n->count != 1)
			cnode_build_list_end(b);
		if (!n->join) {
			cnode_build_list(b);
			cnode_build_term(b, n->group);
			cnode_build_list_end(b);
		}
		rc = cnode_builder_term(b, &message);
		cnode_builder_free(b);
	}
	if (rc != 0) {
		all_behind(v);
		return;
	}
	if (n->join || !CN_MUTANT(pg_leave_untold))
		tell_all(v, message);
	if (n->join && CN_MUTANT(pg_join_told_twice))
		tell_all(v, message);
	cnode_term_drop(message);
}

/*
 * A DOWN that is here already finds nobody with its reference (down); to look for it would take as long as all that waits,
 * each time.
 */
static void unwatch(struct server *v, cnode_ref monitor)
{
	(void)cnode_demonitor(v->self, monitor, 0);      /* fails only if this process is dead */
}

/* Monitors who has joined, and gives up the monitors of those who have left everything. Under the lock. */
static void watch_locals(struct server *v, const struct note *n)
{
	struct scope *s = v->scope;
	for (size_t i = 0; i < n->count; i++) {
		struct local *l = local_find(s, n->pids[i]);
		if (!l)
			continue;
		if (l->count > 0 && !l->watched) {
			l->watched = cnode_monitor(v->self, l->pid, &l->monitor) == 0;
			if (!l->watched)
				server_later(v);
		} else if (l->count == 0) {
			if (l->watched)
				unwatch(v, l->monitor);
			local_forget(s, l);
		}
	}
}

/* Under the lock. */
static void watch_watch(struct server *v, struct watch *w)
{
	cnode_ref monitor;
	if (w->watched)
		return;
	int rc = cnode_monitor(v->self, w->pid, &monitor);
	if (rc == 0 && (rc = watcher_monitored(v->scope, w, monitor)) != 0)
		unwatch(v, monitor);
	if (rc != 0) {
		watcher_due(v->scope, w);
		server_later(v);
	}
}

/* The same for those who watch groups. Under the lock. */
static void watch_watches(struct server *v)
{
	struct scope *s = v->scope;
	struct watch *due = s->due;
	s->due = NULL;
	for (struct watch *w; (w = due);) {
		due = w->due_next;
		w->due = false;
		if (!w->gone) {
			watch_watch(v, w);
			continue;
		}
		if (w->watched)
			unwatch(v, w->monitor);
		watcher_free(s, w);
	}
}

/*
 * Deals with all notes, and returns with the lock: what the table says of this node is then what
 * the others have been told.
 */
static void lock_even(struct server *v)
{
	struct scope *s = v->scope;
	cn_mutex_lock(&s->lock);
	s->woken = false;
	while (s->notes) {
		struct note *n = s->notes;
		s->notes = n->next;
		if (!s->notes)
			s->notes_last = &s->notes;
		watch_locals(v, n);
		cn_mutex_unlock(&s->lock);
		tell_note(v, n);
		cnode_term_drop(n->group);
		cn_free(n);
		cn_mutex_lock(&s->lock);
	}
	watch_watches(v);
}

static void unlock(struct server *v)
{
	cn_mutex_unlock(&v->scope->lock);
}

static void send_sync(struct server *v, struct remote *r)
{
	if (r->deaf)
		return;
	if (r->syncs >= CN_PG_SYNCS) {
		r->owed = true;
		server_later(v);
		return;
	}
	cnode_term sync = { 0 };
	lock_even(v);
	int rc = sync_term(v);
	if (rc == 0)
		rc = cnode_term_keep(v->scope->sync, &sync);
	unlock(v);
	r->owed = false;
	r->greeted = true;
	r->behind = rc != 0;
	if (rc == 0) {
		r->syncs++;
		send_to(v, r, sync);
		cnode_term_drop(sync);
	}
	server_later(v);
}

/* ---- servers of other nodes ---- */

struct remote *remote_find(const struct scope *s, cnode_pid pid)
{
	struct remote *r = s->remotes;
	while (r && !cnode_pid_equal(r->pid, pid))
		r = r->next;
	return r;
}

/* Under the lock. */
void remote_forget_members(struct scope *s, struct remote *r)
{
	while (r->parts) {
		struct part *p = r->parts;
		change_leave_all(s, p);
		part_tidy(s, p);
	}
}

static void forget_remote(struct server *v, struct remote *r)
{
	struct scope *s = v->scope;
	cn_mutex_lock(&s->lock);
	remote_forget_members(s, r);
	struct remote **at = &s->remotes;
	while (*at != r)
		at = &(*at)->next;
	*at = r->next;
	cn_mutex_unlock(&s->lock);
	sync_drop(r);
	cn_free(r);
}

/*
 * A server that starts again is new, and its discover may be here before the end of those before it, which is asked for only
 * now: so the newest takes the place of the oldest. What a node is sent does not grow by it: new ones go on counting.
 */
struct remote *remote_get(struct server *v, cnode_pid pid, bool *is_new)
{
	struct scope *s = v->scope;
	struct remote *r = remote_find(s, pid), *oldest = NULL;
	*is_new = !r;
	if (r)
		return r;
	unsigned same = 0;
	uint32_t syncs = 0;
	for (r = s->remotes; r; r = r->next)
		if (r->pid.node == pid.node) {
			same++;
			oldest = r;             /* the newest stands first */
			if (r->syncs > syncs)
				syncs = r->syncs;
		}
	if (same >= CN_PG_SERVERS && CN_MUTANT(pg_ninth_unheard))
		return NULL;
	r = cn_calloc(1, sizeof *r);
	if (!r)
		return NULL;
	r->pid = pid;
	r->syncs = syncs;
	if (cnode_monitor(v->self, pid, &r->monitor) != 0) {
		cn_free(r);
		return NULL;
	}
	cn_mutex_lock(&s->lock);
	r->next = s->remotes;
	s->remotes = r;
	cn_mutex_unlock(&s->lock);
	if (same >= CN_PG_SERVERS) {
		unwatch(v, oldest->monitor);
		forget_remote(v, oldest);
	}
	return r;
}

void server_junk(struct server *v, const char *what, cnode_name from, cnode_term message)
{
	struct cn_pg *pg = v->scope->pg;
	uint32_t held;
	char node[CNODE_NAME_SIZE] = "this node", text[120];
	if (!cn_log_pass(&pg->junk_gate, 1, &held))
		return;
	if (from)
		(void)cnode_name_text(from, node);
	cn_term_brief(message, text, sizeof text);
	cn_log_line(pg->log, CNODE_LOG_INFO, "pg %s: %s from %s is dropped: %s%s", v->scope->name, what, node, text,
		    held ? " (and others)" : "");
}

void remote_mute(struct server *v, struct remote *r, const char *limit)
{
	char node[CNODE_NAME_SIZE];
	(void)cnode_name_text(r->pid.node, node);
	cn_log_line(v->scope->pg->log, CNODE_LOG_WARNING, "pg %s: %s is not listened to until it connects anew: it went over %s",
		    v->scope->name, node, limit);
	r->mute = true;
	sync_drop(r);
	cn_mutex_lock(&v->scope->lock);
	remote_forget_members(v->scope, r);
	cn_mutex_unlock(&v->scope->lock);
}

void remote_lost_track(struct server *v, struct remote *r)
{
	r->ahead = true;
	sync_drop(r);
	cn_mutex_lock(&v->scope->lock);
	remote_forget_members(v->scope, r);
	cn_mutex_unlock(&v->scope->lock);
	server_later(v);
}

static void ask_again(struct server *v, struct remote *r)
{
	cnode_term message;
	if (cnode_format(&message, "{discover,~p}", cnode_self(v->self)) != 0)
		return;
	(void)cnode_send_term(v->self, r->pid, message, CNODE_NOCONNECT);
	cnode_term_drop(message);
}

/* ---- what they say ---- */

/* A proper list, each element of which `good` accepts. Nothing of a message is taken in before all of it is looked at. */
static bool is_list(cnode_term term)
{
	cnode_reader r = cnode_read(term);
	for (size_t n; (n = cnode_read_list(&r)) > 0;)
		while (n-- > 0)
			(void)cnode_read_term(&r);
	return r.error == 0;
}

static int read_pid(cnode_term term, cnode_name node, struct pids *pids)
{
	cnode_pid pid;
	if (cn_term_pid(term, &pid) != 0 || (pid.node != node && !CN_MUTANT(pg_speaks_for_others)))
		return CNODE_EBADTERM;
	pids->at[pids->count++] = pid;
	return 0;
}

/*
 * A pid of the node, or a list of them. pids->at is to be freed, whatever comes of it. 0; CNODE_EBADTERM: it is something else;
 * CNODE_ELIMIT: there are more than `most`; CNODE_ENOMEM.
 */
static int read_pids(cnode_term term, cnode_name node, size_t most, struct pids *pids)
{
	cnode_reader r = cnode_read(term);
	int rc = 0;
	*pids = (struct pids){ 0 };
	if (cnode_read_type(&r) == CNODE_TYPE_PID) {
		rc = most > 0 ? pids_room(pids, 1) : CNODE_ELIMIT;
		return rc == 0 ? read_pid(term, node, pids) : rc;
	}
	for (size_t n; rc == 0 && (n = cnode_read_list(&r)) > 0;) {
		rc = n > most - pids->count ? CNODE_ELIMIT : pids_room(pids, n);
		while (rc == 0 && n-- > 0)
			rc = read_pid(cnode_read_term(&r), node, pids);
	}
	return rc != 0 ? rc : r.error != 0 ? CNODE_EBADTERM : 0;
}

static void discovered(struct server *v, cnode_pid pid)
{
	bool is_new;
	struct remote *r = remote_get(v, pid, &is_new);
	if (!r || CN_MUTANT(pg_discover_unanswered))
		return;                 /* without memory it is told nothing, and does not miss what it never knew */
	send_sync(v, r);
	if (is_new)
		ask_again(v, r);
}

static void joined(struct server *v, cnode_pid pid, cnode_term name, cnode_term who, cnode_term message)
{
	struct scope *s = v->scope;
	struct remote *r = remote_find(s, pid);
	if (!r || r->mute || sync_holds(v, r, message) || r->ahead)
		return;
	struct pids pids;
	int rc = read_pids(who, pid.node, r->members < CN_PG_MEMBERS ? CN_PG_MEMBERS - r->members : 0, &pids);
	if (rc == 0 && pids.count > 0) {
		struct group *group;
		struct part *part;
		cn_mutex_lock(&s->lock);
		rc = group_get(s, name, &group);
		if (rc == 0) {
			rc = part_get(s, group, r, &part);
			if (rc == 0) {
				rc = change_join(s, part, pids.at, pids.count);
				part_tidy(s, part);
			} else {
				group_tidy(s, group);
			}
		}
		cn_mutex_unlock(&s->lock);
	}
	cn_free(pids.at);
	if (rc == CNODE_EBADTERM)
		server_junk(v, "a join of what is no process of its own", cnode_message_peer(v->self), message);
	else if (rc == CNODE_ELIMIT)
		remote_mute(v, r, "CN_PG_MEMBERS");
	else if (rc != 0)
		remote_lost_track(v, r);
}

#define LEAVE_WORK (UINT64_C(50) << 20) /* pids looked at for one message, at most */

/* Each of the groups (with repeats) is left by each of the processes once. */
static void left(struct server *v, cnode_pid pid, cnode_term who, cnode_term groups, cnode_term message)
{
	struct scope *s = v->scope;
	struct remote *r = remote_find(s, pid);
	if (!r || r->mute || sync_holds(v, r, message) || r->ahead)
		return;
	struct pids pids;
	uint64_t work = 0;
	int rc = read_pids(who, pid.node, CN_PG_MEMBERS, &pids);
	if (rc == 0 && !is_list(groups))
		rc = CNODE_EBADTERM;
	cnode_reader list = cnode_read(groups);
	cn_mutex_lock(&s->lock);
	for (size_t n; rc == 0 && pids.count > 0 && work < LEAVE_WORK && (n = cnode_read_list(&list)) > 0;)
		while (n-- > 0 && work < LEAVE_WORK) {
			struct group *group = group_find(s, cnode_read_term(&list));
			struct part *part = group ? part_find(group, r) : NULL;
			if (!part)
				continue;
			work += part->pids.count + pids.count;
			change_leave(s, part, pids.at, pids.count);
			part_tidy(s, part);
		}
	cn_mutex_unlock(&s->lock);
	cn_free(pids.at);
	if (rc == CNODE_EBADTERM)
		server_junk(v, "a leave that makes no sense", cnode_message_peer(v->self), message);
	else if (work >= LEAVE_WORK || rc == CNODE_ELIMIT)
		remote_mute(v, r, "what one leave may cost");
	else if (rc != 0)
		remote_lost_track(v, r);
}

/* True: it is a server of the node that says so. */
static bool is_peers(const struct server *v, cnode_pid pid)
{
	cnode_name peer = cnode_message_peer(v->self);
	return peer != 0 && pid.node == peer && !(v->scope->flags & CNODE_PG_LOCAL);
}

void server_told(struct server *v, cnode_pid pid, cnode_term message)
{
	cnode_term a, b;
	cnode_pid who;
	if (cnode_scan(message, "{join,~p,~t,~t}", &who, &a, &b) == 0)
		joined(v, pid, a, b, message);
	else if (cnode_scan(message, "{leave,~p,~t,~t}", &who, &a, &b) == 0)
		left(v, pid, a, b, message);
}

static int server_message(struct server *v, cnode_term message)
{
	cnode_pid pid;
	if (cn_term_is_atom(message, "wake") && cnode_message_peer(v->self) == 0) {
		lock_even(v);
		unlock(v);
	} else if (cnode_message_peer(v->self) == 0 && cnode_scan(message, "{more,~p}", &pid) == 0) {
		sync_more(v, pid);
	} else if ((cnode_scan(message, "{discover,~p}", &pid) == 0 ||
		    (cnode_scan(message, "{discover,~p,_}", &pid) == 0 && !CN_MUTANT(pg_discover_1_unknown))) &&
		   is_peers(v, pid)) {
		discovered(v, pid);
	} else if ((cnode_scan(message, "{join,~p,_,_}", &pid) == 0 || cnode_scan(message, "{leave,~p,_,_}", &pid) == 0) &&
		   is_peers(v, pid)) {
		server_told(v, pid, message);
	} else {
		server_junk(v, "a message that no server of a scope sends", cnode_message_peer(v->self), message);
	}
	return 0;
}

/* ---- the end of processes and connections ---- */

/* A member of this node has ended: it leaves each group as often as it joined it. */
static void member_ended(struct server *v, struct local *l)
{
	struct scope *s = v->scope;
	cnode_term message = { 0 };
	int rc = CNODE_ENOMEM;
	cnode_builder *b = l->count > 0 ? cnode_builder_new() : NULL;
	if (b) {
		cnode_build_tuple(b, 4);
		cnode_build_atom(b, "leave");
		cnode_build_pid(b, cnode_self(v->self));
		cnode_build_pid(b, l->pid);
		cnode_build_list(b);
		for (size_t i = 0; i < l->count; i++)
			cnode_build_term(b, l->groups[i]->name);
		cnode_build_list_end(b);
		rc = cnode_builder_term(b, &message);
		cnode_builder_free(b);
	}
	bool tell = l->count > 0 && !CN_MUTANT(pg_end_untold);
	while (l->count > 0) {
		struct part *part = part_find(l->groups[--l->count], NULL);
		cnode_pid pid = l->pid;
		change_leave(s, part, &pid, 1);
		part_tidy(s, part);
	}
	local_forget(s, l);
	unlock(v);
	if (!tell)
		return;
	if (rc == 0)
		tell_all(v, message);
	else
		all_behind(v);
	cnode_term_drop(message);
}

/* Who watched has ended. Under the lock, behind lock_even: what is gone is in no table any more, and what is monitored not due. */
static void watch_ended(struct scope *s, struct watch *ended)
{
	watcher_unlink(ended);
	if (ended->group)
		group_tidy(s, ended->group);
	watcher_free(s, ended);
}

static void down(struct server *v, const cnode_info *info)
{
	struct scope *s = v->scope;
	struct remote *r = remote_find(s, info->pid);
	if (r && cnode_ref_equal(r->monitor, info->ref)) {
		if (!CN_MUTANT(pg_members_outlive_server))
			forget_remote(v, r);
		return;
	}
	lock_even(v);
	struct local *l = local_find(s, info->pid);
	if (l && l->watched && cnode_ref_equal(l->monitor, info->ref)) {
		member_ended(v, l);     /* unlocks */
		return;
	}
	struct watch *w = watcher_of_monitor(s, info->ref);
	if (w)
		watch_ended(s, w);
	unlock(v);
}

/* ---- callbacks ---- */

/* Watches the members and watchers of this node that could not be watched, or were another server's to watch. */
static void watch_all(struct server *v)
{
	struct scope *s = v->scope;
	lock_even(v);
	for (size_t i = 0; i <= s->locals_mask; i++)
		for (struct local *l = s->locals[i], *next; l; l = next) {
			next = l->next;
			if (l->count == 0 && !l->watched)
				local_forget(s, l);     /* it has left while there was no server */
			else if (!l->watched && cnode_monitor(v->self, l->pid, &l->monitor) == 0)
				l->watched = true;
			else if (!l->watched)
				server_later(v);
		}
	unlock(v);
}

/* What was put off, or could not be done. */
static void again(struct server *v)
{
	struct scope *s = v->scope;
	v->ticking = false;
	watch_all(v);
	for (struct remote *r = s->remotes; r; r = r->next) {
		r->syncs = 0;
		if (r->ahead) {
			ask_again(v, r);
			server_later(v);
		}
		if (r->owed || r->behind)
			send_sync(v, r);
	}
}

static int server_info(cnode_process *self, void *state, const cnode_info *info)
{
	struct server *v = state;
	char node[CNODE_NAME_SIZE];
	(void)self;
	switch (info->kind) {
	case CNODE_MESSAGE:
		return server_message(v, info->message);
	case CNODE_DOWN:
		down(v, info);
		return 0;
	case CNODE_NODEUP:
		if (cnode_name_text(info->peer, node) == 0)
			discover(v, node);
		return 0;
	case CNODE_TIMER:
		again(v);
		return 0;
	default:
		return 0;
	}
}

static int server_cast(cnode_process *self, void *state, cnode_term message)
{
	struct server *v = state;
	cnode_pid pid;
	cnode_term groups;
	(void)self;
	if (cnode_scan(message, "{sync,~p,~t}", &pid, &groups) == 0 && is_peers(v, pid))
		sync_begin(v, pid, groups, message);
	else
		server_junk(v, "a cast that no server of a scope sends", cnode_message_peer(v->self), message);
	return 0;
}

static int greet(void *context, const char *name, bool visible)
{
	struct server *v = context;
	if (visible || (v->scope->flags & CNODE_PG_HIDDEN))
		discover(v, name);
	return 0;
}

static int server_init(cnode_process *self, void *state, const cnode_start *how)
{
	struct server *v = state;
	v->scope = how->context;
	v->self = self;
	struct cn_pg *pg = v->scope->pg;
	watch_all(v);                   /* some are there already if this is not the first server */
	if (v->scope->flags & CNODE_PG_LOCAL)
		return 0;
	unsigned types = CNODE_NODES_VISIBLE | (v->scope->flags & CNODE_PG_HIDDEN ? CNODE_NODES_HIDDEN : 0);
	int rc = cnode_monitor_nodes(self, types, true);
	return rc != 0 ? rc : pg->ops->peers(pg->ctx, greet, v);
}

const cnode_behaviour scope_server = {
	CNODE_BEHAVIOUR_INIT,
	.flags = CNODE_PROMPT,
	.state_size = sizeof(struct server),
	.init = server_init,
	.handle_cast = server_cast,
	.handle_info = server_info,
};
