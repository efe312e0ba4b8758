/* SPDX-License-Identifier: Apache-2.0 */
/* The scopes of a node, and what any thread does with them. */
#include "cnode/pg/inner.h"

static const char *or_default(const char *scope)
{
	return scope ? scope : "pg";
}

/* ---- life ---- */

int cn_pg_new(struct cn_procs *procs, struct cn_supervisor *supervisor, struct cn_log *log, const struct cn_pg_ops *ops, void *ctx, struct cn_pg **made)
{
	struct cn_pg *pg = cn_calloc(1, sizeof *pg);
	if (!pg)
		return CNODE_ENOMEM;
	pg->procs = procs;
	pg->supervisor = supervisor;
	pg->log = log;
	pg->ops = ops;
	pg->ctx = ctx;
	cn_mutex_init(&pg->lock);
	*made = pg;
	return 0;
}

static void scope_free(struct scope *s)
{
	if (s->groups && s->locals)
		table_free(s);
	cn_mutex_fini(&s->lock);
	cn_free(s->groups);
	cn_free(s->locals);
	cn_free(s->name);
	cn_free(s);
}

/* The scopes that were not stopped, and those of which nobody saw the end: the node stops before. */
void cn_pg_free(struct cn_pg *pg)
{
	if (!pg)
		return;
	pubsubs_free(pg);
	for (struct scope *s = pg->scopes, *next; s; s = next) {
		next = s->next;
		scope_free(s);
	}
	cn_mutex_fini(&pg->lock);
	cn_free(pg);
}

static struct scope *scope_new(struct cn_pg *pg, const char *name, unsigned flags)
{
	struct scope *s = cn_calloc(1, sizeof *s);
	if (!s)
		return NULL;
	cn_mutex_init(&s->lock);
	s->pg = pg;
	s->flags = flags;
	s->notes_last = &s->notes;
	s->name = cn_strdup(name);
	s->groups = cn_calloc(SCOPE_BUCKETS, sizeof *s->groups);
	s->locals = cn_calloc(SCOPE_BUCKETS, sizeof *s->locals);
	s->groups_mask = s->locals_mask = SCOPE_BUCKETS - 1;
	if (!s->name || !s->groups || !s->locals) {
		scope_free(s);
		return NULL;
	}
	return s;
}

/* ---- finding ---- */

static struct scope *find(struct cn_pg *pg, const char *name)
{
	struct scope *s = pg->scopes;
	while (s && !(s->listed && strcmp(s->name, name) == 0))
		s = s->next;
	return s;
}

/* NULL, or the scope with a reference and its lock. */
static struct scope *open_scope(struct cn_pg *pg, const char *name)
{
	cn_mutex_lock(&pg->lock);
	struct scope *s = find(pg, or_default(name));
	if (s)
		s->refs++;
	cn_mutex_unlock(&pg->lock);
	if (s)
		cn_mutex_lock(&s->lock);
	return s;
}

static void close_scope(struct scope *s)
{
	cn_mutex_unlock(&s->lock);
	scope_unref(s);
}

void scope_unref(struct scope *s)
{
	struct cn_pg *pg = s->pg;
	cn_mutex_lock(&pg->lock);
	bool last = --s->refs == 0;
	if (last) {
		struct scope **at = &pg->scopes;
		while (*at != s)
			at = &(*at)->next;
		*at = s->next;
	}
	cn_mutex_unlock(&pg->lock);
	if (last)
		scope_free(s);
}

/* ---- starting and stopping ---- */

static void server_started(void *owner, size_t which, cnode_pid pid)
{
	struct scope *s = owner;
	(void)which;
	cn_mutex_lock(&s->lock);
	s->server = pid;
	cn_mutex_unlock(&s->lock);
}

static void server_again(void *owner)
{
	struct scope *s = owner;
	cn_mutex_lock(&s->lock);
	table_renew(s);
	cn_mutex_unlock(&s->lock);
}

static void server_over(void *owner)
{
	struct scope *s = owner;
	cn_mutex_lock(&s->lock);
	table_free(s);
	cn_mutex_unlock(&s->lock);
	scope_unref(s);
}

int cn_pg_start(struct cn_pg *pg, const char *name, unsigned flags)
{
	name = or_default(name);
	if (flags & ~(CNODE_PG_HIDDEN | CNODE_PG_LOCAL) || flags == (CNODE_PG_HIDDEN | CNODE_PG_LOCAL))
		return CNODE_EBADARG;
	struct scope *s = scope_new(pg, name, flags);
	if (!s)
		return CNODE_ENOMEM;
	s->process = (struct cn_unit_process){ flags & CNODE_PG_LOCAL ? NULL : s->name, "pg", &scope_server };
	s->unit = (struct cn_unit){
		.title = s->name, .processes = &s->process, .count = 1, .context = s, .owner = s,
		.started = server_started, .again = server_again, .over = server_over,
	};
	s->refs = 1;                    /* the unit's */
	/* The lock up to its end: of two that start the same scope one does it. */
	cn_mutex_lock(&pg->lock);
	int rc = find(pg, name) ? CNODE_EEXIST : cn_unit_start(pg->supervisor, &s->unit);
	if (rc == 0) {
		s->listed = true;
		s->next = pg->scopes;
		pg->scopes = s;
	}
	cn_mutex_unlock(&pg->lock);
	if (rc != 0)
		scope_free(s);
	return rc;
}

int cn_pg_stop(struct cn_pg *pg, const char *name)
{
	cn_mutex_lock(&pg->lock);
	struct scope *s = find(pg, or_default(name));
	if (s)
		s->listed = false;
	cn_mutex_unlock(&pg->lock);
	/* Who takes it off the list is the one that stops it. */
	if (s)
		cn_unit_stop(&s->unit);
	return s ? 0 : CNODE_ENOENT;
}

/* ---- joining and leaving ---- */

/* The server is to look at the notes. Under the lock. 0, CNODE_ENOMEM. */
static int wake(struct scope *s)
{
	static const uint8_t atom[] = { CN_SMALL_ATOM_UTF8, 4, 'w', 'a', 'k', 'e' };
	struct cn_target to = { .pid = s->server };
	if (s->woken)
		return 0;
	int rc = cn_procs_send(s->pg->procs, &to, cn_term_static(atom, sizeof atom), 0);
	s->woken = rc == 0;
	return rc;
}

static struct note *note_new(bool join, const cnode_pid *pids, size_t count)
{
	struct note *n = cn_malloc(sizeof *n + count * sizeof *pids);
	if (!n)
		return NULL;
	*n = (struct note){ .join = join, .count = count };
	memcpy(n->pids, pids, count * sizeof *pids);
	return n;
}

static void note_free(struct note *n)
{
	if (n)
		cnode_term_drop(n->group);
	cn_free(n);
}

static void note_add(struct scope *s, struct note *take_n)
{
	*s->notes_last = take_n;
	s->notes_last = &take_n->next;
}

/* Forgets those that were only made in passing. Under the lock. */
static void locals_tidy(struct scope *s, const cnode_pid *pids, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct local *l = local_find(s, pids[i]);
		if (!l)
			continue;
		l->joining = 0;
		/* With a monitor it is the server's to forget. */
		if (l->count == 0 && !l->watched)
			local_forget(s, l);
	}
}

/* Everything that a join needs memory for. Under the lock. */
static int join_room(struct scope *s, cnode_term name, const cnode_pid *pids, size_t count, struct part **part)
{
	struct group *group;
	struct local *local;
	int rc = group_get(s, name, &group);
	if (rc != 0)
		return rc;
	rc = part_get(s, group, NULL, part);
	if (rc != 0) {
		group_tidy(s, group);
		return rc;
	}
	rc = pids_room(&(*part)->pids, count);
	/* One pid may be there more than once. */
	for (size_t i = 0; i < count && rc == 0; i++) {
		rc = local_get(s, pids[i], &local);
		if (rc == 0)
			rc = local_room(local, ++local->joining);
	}
	return rc;
}

static int join(struct scope *s, cnode_term name, const cnode_pid *pids, size_t count)
{
	struct part *part = NULL;
	struct note *note = note_new(true, pids, count);
	int rc = note ? join_room(s, name, pids, count, &part) : CNODE_ENOMEM;
	if (rc == 0)
		rc = cnode_term_keep(part->group->name, &note->group);
	if (rc == 0)
		rc = wake(s);
	if (rc != 0) {
		locals_tidy(s, pids, count);
		if (part)
			part_tidy(s, part);
		note_free(note);
		return rc;
	}
	for (size_t i = 0; i < count; i++) {
		struct local *l = local_find(s, pids[i]);
		l->groups[l->count++] = part->group;
		l->joining = 0;
	}
	(void)change_join(s, part, pids, count);        /* it has the room */
	note_add(s, note);
	return 0;
}

/* Leaves those joins out that are not there: others must not hear of them. */
static int leave(struct scope *s, cnode_term name, const cnode_pid *pids, size_t count)
{
	struct group *group = group_find(s, name);
	struct part *part = group ? part_find(group, NULL) : NULL;
	if (!part)
		return CNODE_ENOTJOINED;
	struct note *note = note_new(false, pids, count);
	int rc = note ? cnode_term_keep(group->name, &note->group) : CNODE_ENOMEM;
	if (rc == 0)
		rc = wake(s);
	if (rc != 0) {
		note_free(note);
		return rc;
	}
	note->count = change_leave(s, part, note->pids, count);
	for (size_t i = 0; i < note->count; i++)
		local_take(local_find(s, note->pids[i]), group);
	part_tidy(s, part);
	if (note->count == 0) {
		note_free(note);
		return CNODE_ENOTJOINED;
	}
	note_add(s, note);
	return 0;
}

static int check_pids(const struct cn_pg *pg, const cnode_pid *pids, size_t count)
{
	if (count > CN_PG_MEMBERS || (count > 0 && !pids))
		return CNODE_EBADARG;
	for (size_t i = 0; i < count; i++)
		if (!cn_procs_is_own(pg->procs, pids[i]))
			return CNODE_EBADARG;
	return 0;
}

int cn_pg_join(struct cn_pg *pg, const char *scope, const cnode_pid *pids, size_t count, cnode_term group)
{
	int rc = check_pids(pg, pids, count);
	for (size_t i = 0; i < count && rc == 0; i++)
		if (!cn_procs_is_alive(pg->procs, pids[i]))
			rc = CNODE_ENOPROC;
	if (rc != 0)
		return rc;
	struct scope *s = open_scope(pg, scope);
	if (!s)
		return CNODE_ENOENT;
	rc = count > 0 ? join(s, group, pids, count) : 0;
	close_scope(s);
	return rc;
}

int cn_pg_leave(struct cn_pg *pg, const char *scope, const cnode_pid *pids, size_t count, cnode_term group)
{
	int rc = check_pids(pg, pids, count);
	if (rc != 0)
		return rc;
	struct scope *s = open_scope(pg, scope);
	if (!s)
		return CNODE_ENOENT;
	rc = leave(s, group, pids, count);
	close_scope(s);
	return rc;
}

/* ---- reading ---- */

int cn_pg_members(struct cn_pg *pg, const char *scope, bool local, cnode_term name, cnode_pid *pids, size_t room,
		  size_t *count)
{
	struct scope *s = open_scope(pg, scope);
	*count = 0;
	if (!s)
		return CNODE_ENOENT;
	struct group *group = group_find(s, name);
	for (const struct part *p = group ? group->parts : NULL; p; p = p->next) {
		if (local && p->of)
			continue;
		size_t fit = *count < room ? room - *count : 0;
		if (fit > p->pids.count)
			fit = p->pids.count;
		if (fit > 0)
			memcpy(pids + *count, p->pids.at, fit * sizeof *pids);
		*count += p->pids.count;
	}
	close_scope(s);
	return 0;
}

int cn_pg_groups(struct cn_pg *pg, const char *scope, bool local, int (*each)(void *context, cnode_term group),
		 void *context)
{
	struct scope *s = open_scope(pg, scope);
	if (!s)
		return CNODE_ENOENT;
	/* Names with a reference: the program's function runs without the lock. */
	cnode_term *names = cn_malloc((s->groups_count + 1) * sizeof *names);
	size_t count = 0;
	int rc = names ? 0 : CNODE_ENOMEM;
	for (size_t i = 0; i <= s->groups_mask && rc == 0; i++)
		for (const struct group *g = s->groups[i]; g && rc == 0; g = g->next)
			if (local ? part_find(g, NULL) != NULL : g->parts != NULL) {
				rc = cnode_term_keep(g->name, &names[count]);
				count += rc == 0;
			}
	close_scope(s);
	for (size_t i = 0; i < count; i++) {
		if (rc == 0)
			rc = each(context, names[i]);
		cnode_term_drop(names[i]);
	}
	cn_free(names);
	return rc;
}

/* ---- watching ---- */

/* Takes w: it hears of everything from now on. Under the lock. */
static int watch(struct scope *s, struct watch *take_w, cnode_term name, cnode_term *now)
{
	struct group *group = NULL;
	int rc = cn_term_is_none(name) ? 0 : group_get(s, name, &group);
	if (rc == 0 && now)
		rc = group ? change_members(group, now) : change_groups(s, now);
	if (rc == 0) {
		rc = wake(s);           /* the server watches the watcher */
		if (rc == 0)
			rc = watcher_add(s, take_w, group);
		if (rc != 0 && now)
			cnode_term_drop(*now);
	}
	if (rc != 0) {
		if (group)
			group_tidy(s, group);
		cn_free(take_w);
	}
	return rc;
}

int cn_pg_monitor(struct cn_pg *pg, cnode_process *self, const char *scope, cnode_term group, cnode_ref *ref, cnode_term *now)
{
	int rc = cnode_make_ref(self, ref);
	if (rc != 0)
		return rc;
	struct watch *w = cn_calloc(1, sizeof *w);
	if (!w)
		return CNODE_ENOMEM;
	w->pid = cnode_self(self);
	w->ref = *ref;
	struct scope *s = open_scope(pg, scope);
	if (!s) {
		cn_free(w);
		return CNODE_ENOENT;
	}
	rc = watch(s, w, group, now);
	close_scope(s);
	return rc;
}

static bool is_of(void *ctx, const struct cn_message *m)
{
	cnode_ref ref;
	cnode_atom what;
	return m->kind == CN_MSG_MESSAGE && cnode_scan(m->term, "{~r,~a,_,_}", &ref, &what) == 0 &&
	       cnode_ref_equal(ref, *(const cnode_ref *)ctx) && (strcmp(what.text, "join") == 0 || strcmp(what.text, "leave") == 0);
}

int cn_pg_demonitor(struct cn_pg *pg, cnode_process *self, const char *scope, cnode_ref ref)
{
	cnode_pid pid = cnode_self(self);
	struct scope *s = open_scope(pg, scope);
	if (!s)
		return CNODE_ENOENT;
	struct watch *w = watcher_find(s, pid, ref);
	if (w) {
		watcher_unlink(w);
		w->gone = true;
		watcher_due(s, w);
		if (w->group)
			group_tidy(s, w->group);
		w->group = NULL;
		/* Without memory to wake the server it clears up later. */
		(void)wake(s);
	}
	close_scope(s);
	if (!w)
		return CNODE_ENOENT;
	for (struct cn_message *m; (m = cn_process_receive(self, is_of, &ref));)
		cn_message_free(self, m);
	return 0;
}
