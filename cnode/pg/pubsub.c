/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Phoenix.PubSub's adapter PG2, on groups: the workers of all nodes are members of a group for each place in the
 * pool, and a broadcast is {forward_to_local, Topic, Message, Dispatcher} to each member elsewhere of one of
 * them. Who subscribes on this node is a local scope, with topics as groups.
 */
#include "cnode/pg/inner.h"

#include <stdio.h>

#define SCOPE "Elixir.Phoenix.PubSub"
#define DISPATCHER "Elixir.Phoenix.PubSub"

struct pubsub {
	struct pubsub *next;            /* in pg->pubsubs */
	uint32_t refs;                  /* the list's, the workers' units; under pg->lock */
	bool listed;
	bool starting;                  /* its workers are, by one thread; nobody else may stop it */
	struct cn_pg *pg;
	char *name;
	char *topics;                   /* the local scope */
	unsigned flags;
	unsigned pool;
	struct place {
		struct pubsub *pubsub;
		char *group;            /* and the worker's registered name */
		struct cn_unit unit;    /* the worker */
		struct cn_unit_process process;
	} *places;
	size_t started;
};

/* ---- names, as Module.concat(Name, "Adapter") makes them ---- */

static char *adapter_name(const char *name, unsigned place)
{
	const char *prefix = strncmp(name, "Elixir.", 7) == 0 ? "" : "Elixir.";
	return place == 0 ? cn_asprintf("%s%s.Adapter", prefix, name)
			  : cn_asprintf("%s%s.Adapter_%u", prefix, name, place + 1);
}

static void pubsub_free(struct pubsub *p)
{
	for (unsigned i = 0; p->places && i < p->pool; i++)
		cn_free(p->places[i].group);
	cn_free(p->places);
	cn_free(p->topics);
	cn_free(p->name);
	cn_free(p);
}

void pubsubs_free(struct cn_pg *pg)
{
	for (struct pubsub *p = pg->pubsubs, *next; p; p = next) {
		next = p->next;
		pubsub_free(p);
	}
}

static struct pubsub *pubsub_new(struct cn_pg *pg, const char *name, unsigned pool, unsigned flags)
{
	struct pubsub *p = cn_calloc(1, sizeof *p);
	if (!p)
		return NULL;
	p->pg = pg;
	p->pool = pool;
	p->flags = flags;
	p->name = cn_strdup(name);
	p->topics = cn_asprintf("%s (subscribers)", name);
	p->places = cn_calloc(pool, sizeof *p->places);
	bool full = p->name && p->topics && p->places;
	for (unsigned i = 0; i < pool && full; i++) {
		p->places[i].pubsub = p;
		full = (p->places[i].group = adapter_name(name, i)) != NULL;
	}
	if (full)
		return p;
	pubsub_free(p);
	return NULL;
}

/* Under pg->lock. "Elixir.MyApp.PubSub" is MyApp.PubSub too. */
static struct pubsub *find(struct cn_pg *pg, const char *name)
{
	const char *bare = name && strncmp(name, "Elixir.", 7) == 0 ? name + 7 : name;
	struct pubsub *p = bare ? pg->pubsubs : NULL;
	while (p && !(p->listed && strcmp(p->name, bare) == 0))
		p = p->next;
	return p;
}

static struct pubsub *open_pubsub(struct cn_pg *pg, const char *name)
{
	cn_mutex_lock(&pg->lock);
	struct pubsub *p = find(pg, name);
	if (p)
		p->refs++;
	cn_mutex_unlock(&pg->lock);
	return p;
}

static void unref(struct pubsub *p)
{
	struct cn_pg *pg = p->pg;
	cn_mutex_lock(&pg->lock);
	bool last = --p->refs == 0;
	if (last) {
		struct pubsub **at = &pg->pubsubs;
		while (*at != p)
			at = &(*at)->next;
		*at = p->next;
	}
	cn_mutex_unlock(&pg->lock);
	if (last)
		pubsub_free(p);
}

/* ---- subscribers of this node ---- */

static int topic_term(const char *topic, cnode_term *term)
{
	return topic ? cnode_format(term, "~z", topic) : cnode_format(term, "all");
}

/* The members of a group: in `few` or, if they are more, in memory of ours (*pids is freed then). */
#define FEW 64
static int members_of(struct cn_pg *pg, const char *scope, bool local, cnode_term group, cnode_pid few[FEW], cnode_pid **pids,
		      size_t *count)
{
	size_t room = FEW;
	*pids = few;
	int rc = cn_pg_members(pg, scope, local, group, few, room, count);
	while (rc == 0 && *count > room) {
		if (*pids != few)
			cn_free(*pids);
		room = *count + FEW;
		*pids = cn_malloc(room * sizeof **pids);
		rc = *pids ? cn_pg_members(pg, scope, local, group, *pids, room, count) : CNODE_ENOMEM;
	}
	if (rc != 0)
		*count = 0;
	return rc;
}

static int send_to_group(struct pubsub *p, cnode_process *self, cnode_term group, cnode_term message, bool spare_self)
{
	cnode_pid few[FEW], *pids, me = cnode_self(self);
	size_t count;
	int rc = members_of(p->pg, p->topics, true, group, few, &pids, &count);
	for (size_t i = 0; i < count; i++) {
		if (spare_self && cnode_pid_equal(pids[i], me) && !CN_MUTANT(pubsub_from_heard))
			continue;
		int sent = cnode_send_term(self, pids[i], message, 0);
		rc = rc ? rc : sent;
	}
	if (pids != few)
		cn_free(pids);
	return rc;
}

/* {forward_to_local, Topic, Message, _} to those who want the message, and whole to those who want all. */
static int dispatch(struct pubsub *p, cnode_process *self, cnode_term whole, cnode_term topic, cnode_term message, bool spare_self)
{
	static const uint8_t all[] = { CN_SMALL_ATOM_UTF8, 3, 'a', 'l', 'l' };
	int rc = send_to_group(p, self, topic, message, spare_self);
	int more = send_to_group(p, self, cn_term_static(all, sizeof all), whole, spare_self);
	return rc ? rc : more;
}

/* ---- workers ---- */

#define SCOPE_RETRY_MS 100      /* the scope's server has ended: it is started again, or was stopped */

struct worker {
	struct place *place;
	cnode_ref scope;                /* the monitor of the scope's server */
};

/* A worker that was started again is a member still. *is_member: of its group. */
static int look_for_self(cnode_process *self, struct cn_pg *pg, cnode_term group, bool *is_member)
{
	cnode_pid few[FEW], *pids;
	size_t count;
	int rc = members_of(pg, SCOPE, true, group, few, &pids, &count);
	*is_member = false;
	for (size_t i = 0; i < count; i++)
		*is_member = *is_member || cnode_pid_equal(pids[i], cnode_self(self));
	if (pids != few)
		cn_free(pids);
	return rc;
}

/* In the scope, which is started if it is not: perhaps it was stopped, and our joins with it. */
static int join(cnode_process *self, struct worker *w)
{
	struct pubsub *p = w->place->pubsub;
	cnode_pid pid = cnode_self(self);
	cnode_term group;
	bool is_member;
	int rc = cn_pg_start(p->pg, SCOPE, p->flags);
	if (rc == CNODE_EEXIST)
		rc = 0;
	if (rc == 0)
		rc = cnode_monitor_name(self, SCOPE, NULL, &w->scope);
	if (rc == 0)
		rc = cnode_format(&group, "~a", w->place->group);
	if (rc != 0)
		return rc;
	rc = look_for_self(self, p->pg, group, &is_member);
	if (rc == 0 && !is_member && !(CN_MUTANT(pubsub_one_place) && w->place != p->places))
		rc = cn_pg_join(p->pg, SCOPE, &pid, 1, group);
	cnode_term_drop(group);
	return rc;
}

static int worker_init(cnode_process *self, void *state, const cnode_start *how)
{
	struct worker *w = state;
	w->place = how->context;
	return join(self, w);
}

static int join_again(cnode_process *self, void *state, void *context, const cnode_answer *answer)
{
	(void)context;
	(void)answer;
	int rc = join(self, state);
	return rc == CNODE_ESHUTDOWN ? cnode_stop(self, "shutdown") : rc;
}

static int worker_info(cnode_process *self, void *state, const cnode_info *info)
{
	struct worker *w = state;
	cnode_term topic, message;
	if (info->kind == CNODE_DOWN && cnode_ref_equal(info->ref, w->scope))
		return cnode_after(self, SCOPE_RETRY_MS, join_again, NULL);
	if (info->kind != CNODE_MESSAGE || cnode_scan(info->message, "{forward_to_local,~t,~t,_}", &topic, &message) != 0 ||
	    cnode_term_type(topic) != CNODE_TYPE_BINARY)
		return 0;               /* as PG2Worker ignores it */
	/* A subscriber that is gone, or memory that lacks for one of them, is no fault of the others. */
	int rc = dispatch(w->place->pubsub, self, info->message, topic, message, false);
	return rc == CNODE_ENOMEM || rc == CNODE_EEXITED ? rc : 0;
}

static const cnode_behaviour worker = {
	CNODE_BEHAVIOUR_INIT,
	.flags = CNODE_PROMPT,
	.state_size = sizeof(struct worker),
	.init = worker_init,
	.handle_info = worker_info,
};

/* ---- starting and stopping ---- */

static void end_workers(struct pubsub *p)
{
	/* The caller has a reference: the last unit that is over does not free it. */
	for (size_t i = 0; i < p->started; i++)
		cn_unit_stop(&p->places[i].unit);
	(void)cn_pg_stop(p->pg, p->topics);
}

static void worker_over(void *owner)
{
	struct place *place = owner;
	unref(place->pubsub);
}

static int start_worker(struct pubsub *p, unsigned i)
{
	struct place *place = &p->places[i];
	place->process = (struct cn_unit_process){ place->group, "pubsub", &worker };
	place->unit = (struct cn_unit){
		.title = place->group, .processes = &place->process, .count = 1, .context = place, .owner = place,
		.over = worker_over,
	};
	/* The unit's reference. */
	cn_mutex_lock(&p->pg->lock);
	p->refs++;
	cn_mutex_unlock(&p->pg->lock);
	int rc = cn_unit_start(p->pg->supervisor, &place->unit);
	if (rc == 0)
		p->started++;
	else
		unref(p);
	return rc;
}

int cn_pubsub_start(struct cn_pg *pg, const char *name, unsigned pool_size, unsigned flags)
{
	if (!name || pool_size < 1 || pool_size > CNODE_PUBSUB_POOL_MAX || flags & ~CNODE_PG_HIDDEN)
		return CNODE_EBADARG;
	if (strncmp(name, "Elixir.", 7) == 0)
		name += 7;
	if (!*name)
		return CNODE_EBADNAME;
	struct pubsub *p = pubsub_new(pg, name, pool_size, flags);
	if (!p)
		return CNODE_ENOMEM;
	cn_mutex_lock(&pg->lock);
	bool exists = find(pg, name) != NULL;
	if (!exists) {
		p->refs = 1;
		p->listed = p->starting = true;
		p->next = pg->pubsubs;
		pg->pubsubs = p;
	}
	cn_mutex_unlock(&pg->lock);
	if (exists) {
		pubsub_free(p);
		return CNODE_EEXIST;
	}
	int rc = cn_pg_start(pg, p->topics, CNODE_PG_LOCAL);
	for (unsigned i = 0; i < pool_size && rc == 0; i++)
		rc = start_worker(p, i);
	if (rc != 0)
		end_workers(p);
	/* From here on it may be stopped, and be gone. */
	cn_mutex_lock(&pg->lock);
	p->starting = false;
	p->listed = rc == 0;
	cn_mutex_unlock(&pg->lock);
	if (rc != 0)
		unref(p);
	return rc;
}

int cn_pubsub_stop(struct cn_pg *pg, const char *name)
{
	cn_mutex_lock(&pg->lock);
	struct pubsub *p = find(pg, name);
	if (p && p->starting)
		p = NULL;
	if (p)
		p->listed = false;      /* its reference is ours now */
	cn_mutex_unlock(&pg->lock);
	if (!p)
		return CNODE_ENOENT;
	end_workers(p);
	unref(p);
	return 0;
}

/* ---- for programs ---- */

int cn_pubsub_subscribe(struct cn_pg *pg, cnode_process *self, const char *name, const char *topic)
{
	cnode_term group;
	cnode_pid pid = cnode_self(self);
	int rc = topic_term(topic, &group);
	if (rc != 0)
		return rc;
	struct pubsub *p = open_pubsub(pg, name);
	rc = p ? cn_pg_join(pg, p->topics, &pid, 1, group) : CNODE_ENOENT;
	if (p)
		unref(p);
	cnode_term_drop(group);
	return rc;
}

int cn_pubsub_unsubscribe(struct cn_pg *pg, cnode_process *self, const char *name, const char *topic)
{
	cnode_term group;
	cnode_pid pid = cnode_self(self);
	int rc = topic_term(topic, &group);
	if (rc != 0)
		return rc;
	struct pubsub *p = open_pubsub(pg, name);
	rc = p ? cn_pg_leave(pg, p->topics, &pid, 1, group) : CNODE_ENOENT;
	while (rc == 0 && !CN_MUTANT(pubsub_unsubscribe_once) && cn_pg_leave(pg, p->topics, &pid, 1, group) == 0)
		continue;
	if (p)
		unref(p);
	cnode_term_drop(group);
	return rc;
}

/* To the workers of other nodes at one place of the pool; which one does not matter, but a sender keeps to it. */
static int send_away(struct pubsub *p, cnode_process *self, cnode_term whole)
{
	cnode_pid few[FEW], *pids, me = cnode_self(self);
	size_t count;
	cnode_term group;
	int rc = cnode_format(&group, "~a", p->places[me.id % p->pool].group);
	if (rc != 0)
		return rc;
	rc = members_of(p->pg, SCOPE, false, group, few, &pids, &count);
	cnode_term_drop(group);
	for (size_t i = 0; i < count; i++) {
		if (pids[i].node == me.node && !CN_MUTANT(pubsub_echo))
			continue;
		int sent = cnode_send_term(self, pids[i], whole, 0);
		rc = rc ? rc : sent;
	}
	if (pids != few)
		cn_free(pids);
	return rc;
}

static int whole_term(const char *topic, cnode_term message, cnode_term *whole)
{
	return topic ? cnode_format(whole, "{forward_to_local,~z,~t,'" DISPATCHER "'}", topic, message) : CNODE_EBADARG;
}

int cn_pubsub_broadcast(struct cn_pg *pg, cnode_process *self, const char *name, unsigned flags, const char *topic,
			cnode_term message)
{
	cnode_term whole, group;
	int rc = flags & ~(CNODE_PUBSUB_FROM | CNODE_PUBSUB_LOCAL) ? CNODE_EBADARG : whole_term(topic, message, &whole);
	if (rc != 0)
		return rc;
	struct pubsub *p = open_pubsub(pg, name);
	rc = p ? topic_term(topic, &group) : CNODE_ENOENT;
	if (rc == 0) {
		int away = flags & CNODE_PUBSUB_LOCAL ? 0 : send_away(p, self, whole);
		rc = dispatch(p, self, whole, group, message, (flags & CNODE_PUBSUB_FROM) != 0);
		rc = away ? away : rc;
		cnode_term_drop(group);
	}
	if (p)
		unref(p);
	cnode_term_drop(whole);
	return rc;
}

int cn_pubsub_direct(struct cn_pg *pg, cnode_process *self, const char *name, const char *node, const char *topic,
		     cnode_term message)
{
	cnode_term whole;
	cnode_name to;
	int rc = node ? cnode_name_of(node, &to) : 0;
	if (rc == 0 && node && to == cnode_self(self).node)
		node = NULL;
	if (rc == 0 && !node)
		return cn_pubsub_broadcast(pg, self, name, CNODE_PUBSUB_LOCAL, topic, message);
	if (rc == 0)
		rc = whole_term(topic, message, &whole);
	if (rc != 0)
		return rc;
	struct pubsub *p = open_pubsub(pg, name);
	rc = p ? cnode_send_name_term(self, p->places[0].group, node, whole, 0) : CNODE_ENOENT;
	if (p)
		unref(p);
	cnode_term_drop(whole);
	return rc;
}
