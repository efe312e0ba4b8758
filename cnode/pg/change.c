/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes of who is in a group, and telling those who watch it. They are told with the table's
 * mutex held, so that what cnode_pg_monitor returned and what follows fit together.
 */
#include "cnode/pg/inner.h"

#include <stdlib.h>

/* ---- telling ---- */

/* Who cannot be told of a change would believe what is not so. */
static void end_watch(struct scope *s, const struct watch *w)
{
	static const uint8_t kill[] = { CN_SMALL_ATOM_UTF8, 4, 'k', 'i', 'l', 'l' };
	struct cn_signal sig = {
		.kind = CN_SIG_EXIT2,
		.from = cn_procs_root(s->pg->procs),
		.to = w->pid,
		.term = cn_term_static(kill, sizeof kill),
	};
	cn_log_line(s->pg->log, CNODE_LOG_ERROR, "pg %s: process <%u.%u> is killed: no memory to tell it of a change", s->name,
		    w->pid.id, w->pid.serial);
	cn_procs_deliver(s->pg->procs, &sig);
}

static int list_of(const cnode_pid *pids, size_t count, cnode_term *list)
{
	cnode_builder *b = cnode_builder_new();
	if (!b)
		return CNODE_ENOMEM;
	cnode_build_list(b);
	for (size_t i = 0; i < count; i++)
		cnode_build_pid(b, pids[i]);
	cnode_build_list_end(b);
	int rc = cnode_builder_term(b, list);
	cnode_builder_free(b);
	return rc;
}

static int tell_one(struct scope *s, const struct watch *w, const char *what, const struct group *group, cnode_term list)
{
	cnode_term message;
	struct cn_target to = { .pid = w->pid };
	int rc = cnode_format(&message, "{~r,~a,~t,~t}", w->ref, what, group->name, list);
	if (rc != 0)
		return rc;
	rc = cn_procs_send(s->pg->procs, &to, message, 0);
	cnode_term_drop(message);
	return rc;
}

static bool is_watched(const struct scope *s, const struct group *group)
{
	return s->watches || group->watches;
}

static void tell(struct scope *s, const struct group *group, const char *what, const cnode_pid *pids, size_t count)
{
	if (count == 0 || !is_watched(s, group) || CN_MUTANT(pg_monitor_silent))
		return;
	cnode_term list = { 0 };
	int rc = list_of(pids, count, &list);
	const struct watch *lists[] = { s->watches, group->watches };
	for (size_t i = 0; i < CN_ARRAY_SIZE(lists); i++)
		for (const struct watch *w = lists[i]; w; w = w->next)
			if (rc != 0 || tell_one(s, w, what, group, list) != 0)
				end_watch(s, w);
	cnode_term_drop(list);
}

/* ---- changing ---- */

/* What this node says of itself is not what it was. */
static void count(struct scope *s, const struct part *part, size_t joined, size_t left)
{
	if (part->of) {
		part->of->members += joined;
		part->of->members -= left;
	} else {
		cnode_term_drop(s->sync);
		s->sync = (cnode_term){ 0 };
	}
}

int change_join(struct scope *s, struct part *part, const cnode_pid *pids, size_t n)
{
	int rc = pids_room(&part->pids, n);
	if (rc != 0)
		return rc;
	memcpy(part->pids.at + part->pids.count, pids, n * sizeof *pids);
	part->pids.count += n;
	count(s, part, n, 0);
	tell(s, part->group, "join", pids, n);
	return 0;
}

static int by_value(const void *a, const void *b)
{
	const cnode_pid *x = a, *y = b;
	uint64_t left[] = { x->node, (uint64_t)x->serial << 32 | x->id, x->creation };
	uint64_t right[] = { y->node, (uint64_t)y->serial << 32 | y->id, y->creation };
	for (size_t i = 0; i < CN_ARRAY_SIZE(left); i++)
		if (left[i] != right[i])
			return left[i] < right[i] ? -1 : 1;
	return 0;
}

#define FEW 16                          /* searched one by one */

/* Takes one occurrence of each out of `from`; returns how many there were: they are the first of `pids` then. */
static size_t take_each(struct pids *from, cnode_pid *pids, size_t n)
{
	size_t taken = 0;
	for (size_t i = 0; i < n; i++)
		if (pids_take(from, pids[i])) {
			cnode_pid found = pids[i];
			pids[i] = pids[taken];
			pids[taken++] = found;
		}
	return taken;
}

static size_t take_many(struct pids *from, cnode_pid *pids, size_t n)
{
	qsort(from->at, from->count, sizeof *from->at, by_value);
	qsort(pids, n, sizeof *pids, by_value);
	size_t taken = 0, kept = 0, at = 0;
	for (size_t i = 0; i < from->count; i++) {
		while (at < n && by_value(&pids[at], &from->at[i]) < 0)
			at++;
		if (at < n && cnode_pid_equal(pids[at], from->at[i])) {
			cnode_pid found = pids[at];
			pids[at++] = pids[taken];
			pids[taken++] = found;
		} else {
			from->at[kept++] = from->at[i];
		}
	}
	from->count = kept;
	return taken;
}

size_t change_leave(struct scope *s, struct part *part, cnode_pid *pids, size_t n)
{
	if (part->pids.count == 0)
		return 0;
	size_t taken = n <= FEW ? take_each(&part->pids, pids, n) : take_many(&part->pids, pids, n);
	count(s, part, 0, taken);
	tell(s, part->group, "leave", pids, taken);
	return taken;
}

void change_leave_all(struct scope *s, struct part *part)
{
	size_t n = part->pids.count;
	part->pids.count = 0;
	count(s, part, 0, n);
	tell(s, part->group, "leave", part->pids.at, n);
}

void change_replace(struct scope *s, struct part *part, struct pids *take_pids)
{
	struct pids old = part->pids;
	part->pids = *take_pids;
	*take_pids = (struct pids){ 0 };
	count(s, part, part->pids.count, old.count);
	if (is_watched(s, part->group)) {
		/* Who is in both is taken out of a copy of the new ones and of the old ones. */
		struct pids joined = { 0 };
		if (pids_room(&joined, part->pids.count) == 0) {
			if (part->pids.count > 0)
				memcpy(joined.at, part->pids.at, part->pids.count * sizeof *joined.at);
			joined.count = part->pids.count;
			size_t common = old.count > 0 && joined.count > 0 ? take_many(&joined, old.at, old.count) : 0;
			tell(s, part->group, "leave", old.at + common, old.count - common);
			tell(s, part->group, "join", joined.at, joined.count);
		} else {
			const struct watch *lists[] = { s->watches, part->group->watches };
			for (size_t i = 0; i < CN_ARRAY_SIZE(lists); i++)
				for (const struct watch *w = lists[i]; w; w = w->next)
					end_watch(s, w);
		}
		cn_free(joined.at);
	}
	cn_free(old.at);
}

/* ---- the table as terms ---- */

static void build_members(cnode_builder *b, const struct group *group)
{
	cnode_build_list(b);
	for (const struct part *p = group ? group->parts : NULL; p; p = p->next)
		for (size_t i = 0; i < p->pids.count; i++)
			cnode_build_pid(b, p->pids.at[i]);
	cnode_build_list_end(b);
}

int change_members(const struct group *group, cnode_term *term)
{
	cnode_builder *b = cnode_builder_new();
	if (!b)
		return CNODE_ENOMEM;
	build_members(b, group);
	int rc = cnode_builder_term(b, term);
	cnode_builder_free(b);
	return rc;
}

int change_groups(struct scope *s, cnode_term *term)
{
	cnode_builder *b = cnode_builder_new();
	if (!b)
		return CNODE_ENOMEM;
	cnode_build_map(b);
	for (size_t i = 0; i <= s->groups_mask; i++)
		for (const struct group *g = s->groups[i]; g; g = g->next)
			if (g->parts) {
				cnode_build_term(b, g->name);
				build_members(b, g);
			}
	cnode_build_map_end(b);
	int rc = cnode_builder_term(b, term);
	cnode_builder_free(b);
	return rc;
}
