/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registrar: registers and unregisters names on all nodes, one job after the other, each with
 * the resource `global` locked on all of them: first on the boss, the greatest name, where two
 * registrars meet; then on the rest; and given back the other way round.
 *
 * Jobs are calls of processes of this node,
 *     {register, Name, Pid, Method}        yes | no
 *     {re_register, Name, Pid, Method}     yes
 *     {register_ext, Name, Pid, Method}    yes | no; for a process of a hidden node
 *     {unregister, Name}                   ok
 * or come from cn_global_register. A lock's holder is the process that registers: other nodes look
 * whether it still has the lock when a name arrives.
 */
#include "cnode/global/inner.h"

enum job_kind { JOB_REGISTER, JOB_RE_REGISTER, JOB_REGISTER_EXT, JOB_UNREGISTER };
struct job {
	struct job *next;
	enum job_kind kind;
	cnode_term name, method;    /* its own */
	cnode_pid pid;
	cnode_from *from;           /* one of the two: whom to answer */
	cn_global_done_fn *done;
	void *ctx;
};

struct registrar {
	struct cn_global *g;
	struct cnode_process *self;
	struct job *jobs, **last;
	bool busy;                  /* the first job is under way */
	unsigned times;             /* it was tried */
	cnode_term requester;       /* our pid */
	struct node_list nodes;     /* what it is done on: this node and the known ones */
	struct node_list silent;    /* those that gave no answer: they are left alone in this try */
	cnode_name boss;
	const char *result;         /* the answer's atom */
};

static int next(struct registrar *r);

static void job_free(struct job *j)
{
	cnode_term_drop(j->name);
	cnode_term_drop(j->method);
	cnode_from_drop(j->from);
	cn_free(j);
}

static int job_end(struct registrar *r)
{
	struct job *j = r->jobs;
	int rc = 0;
	r->jobs = j->next;
	if (!r->jobs)
		r->last = &r->jobs;
	r->busy = false;
	if (j->from)
		rc = cnode_reply(j->from, "~a", r->result);
	else
		j->done(j->ctx, strcmp(r->result, "no") == 0 ? CNODE_ENAMETAKEN : 0);
	job_free(j);
	return rc == CNODE_EEXITED || rc == CNODE_ENOMEM ? rc : next(r);
}

/* ---- giving back ---- */

static int try(struct registrar *r);

static int again(cnode_process *self, void *state, void *context, const cnode_answer *answer)
{
	(void)self;
	(void)context;
	(void)answer;
	return try(state);
}

/* The end of a try: with a result, or to be made again. */
static int given_back(struct cnode_process *self, void *state, void *context, bool granted)
{
	struct registrar *r = context;
	(void)state;
	(void)granted;
	return r->result ? job_end(r) : cnode_after(self, cn_global_pause(r->times++), again, NULL);
}

static int give_back_boss(struct cnode_process *self, void *state, void *context, bool granted)
{
	struct registrar *r = context;
	if (nodes_has(&r->silent, r->boss))
		return given_back(self, state, r, granted);
	return unlock_nodes(r->g, self, state, &r->boss, 1, r->g->config.stall_ms, locks_global(), r->requester, given_back, r);
}

static int give_back(struct registrar *r)
{
	nodes_remove(&r->nodes, r->boss);
	nodes_remove_all(&r->nodes, &r->silent);
	return unlock_nodes(r->g, r->self, r, r->nodes.at, r->nodes.count, r->g->config.stall_ms, locks_global(), r->requester,
			    give_back_boss, r);
}

/* ---- doing ---- */

static int done_everywhere(struct cnode_process *self, void *state, struct multi *m)
{
	struct registrar *r = m->context;
	(void)self;
	(void)state;
	for (size_t i = 0; i < m->count; i++)
		if (m->legs[i].reply == REPLY_NONE && nodes_add(&r->silent, m->legs[i].node) != 0)
			return CNODE_ENOMEM;
	/* Without our own server there is no table that the name could be in: all three begin anew. */
	return multi_told_all(m) ? give_back(r) : CNODE_ENOMEM;
}

static int request_of(struct registrar *r, const struct job *j, cnode_term *request)
{
	switch (j->kind) {
	case JOB_REGISTER:
	case JOB_RE_REGISTER:
		return cnode_format(request, "{register,~t,~p,~t}", j->name, j->pid, j->method);
	case JOB_REGISTER_EXT:
		return cnode_format(request, "{register_ext,~t,~p,~t,~a}", j->name, j->pid, j->method, r->g->own);
	case JOB_UNREGISTER:
		break;
	}
	return cnode_format(request, "{unregister,~t}", j->name);
}

static int act(struct registrar *r)
{
	struct job *j = r->jobs;
	cnode_pid pid;
	bool taken = cn_global_whereis(r->g, j->name, &pid) == 0;
	r->result = j->kind == JOB_UNREGISTER ? "ok" : "yes";
	/* A process has one name, as in global.erl; only re_register gives it more. */
	if ((j->kind == JOB_REGISTER || j->kind == JOB_REGISTER_EXT) &&
	    (taken || (j->kind == JOB_REGISTER && names_of(r->g, j->pid) > 0))) {
		r->result = "no";
		return give_back(r);
	}
	cnode_term request;
	int rc = request_of(r, j, &request);
	if (rc != 0)
		return rc;
	rc = multi_call(r->g, r->self, r, r->nodes.at, r->nodes.count, r->g->config.stall_ms, request, done_everywhere, r);
	cnode_term_drop(request);
	return rc;
}

/* ---- locking ---- */

/* This node and those it knows. */
static int list_nodes(struct registrar *r, struct node_list *l)
{
	int rc = nodes_add(l, r->g->self);
	cn_mutex_lock(&r->g->lock);
	for (size_t i = 0; i < r->g->known_count && rc == 0; i++)
		rc = nodes_add(l, r->g->known[i]);
	cn_mutex_unlock(&r->g->lock);
	return rc;
}

static int all_locked(struct cnode_process *self, void *state, void *context, bool granted)
{
	struct registrar *r = context;
	if (!granted)
		return give_back_boss(self, state, r, false);
	nodes_remove_all(&r->nodes, &r->silent);
	/* A node that came in between would not hear of the name. */
	struct node_list now = { 0 };
	int rc = list_nodes(r, &now);
	bool grown = false;
	for (size_t i = 0; i < now.count && rc == 0; i++)
		grown = grown || !(nodes_has(&r->nodes, now.at[i]) || nodes_has(&r->silent, now.at[i]));
	nodes_fini(&now);
	if (rc != 0)
		return rc;
	return grown ? give_back(r) : act(r);
}

static int boss_locked(struct cnode_process *self, void *state, void *context, bool granted)
{
	struct registrar *r = context;
	if (!granted)
		return given_back(self, state, r, false);
	nodes_remove_all(&r->nodes, &r->silent);
	return lock_nodes(r->g, self, state, r->nodes.at, r->nodes.count, r->g->config.stall_ms, locks_global(), r->requester,
			  &r->silent, all_locked, r);
}

static int try(struct registrar *r)
{
	r->nodes.count = r->silent.count = 0;
	r->result = NULL;
	int rc = list_nodes(r, &r->nodes);
	if (rc != 0)
		return rc;
	r->boss = CN_MUTANT(global_self_is_boss) ? r->g->self : nodes_boss(r->nodes.at, r->nodes.count);
	return lock_nodes(r->g, r->self, r, &r->boss, 1, r->g->config.stall_ms, locks_global(), r->requester, &r->silent,
			  boss_locked, r);
}

static int next(struct registrar *r)
{
	if (r->busy || !r->jobs)
		return 0;
	r->busy = true;
	r->times = 0;
	return try(r);
}

/* ---- the process ---- */

static int registrar_init(cnode_process *self, void *state, const cnode_start *how)
{
	struct registrar *r = state;
	r->g = how->context;
	r->self = self;
	r->last = &r->jobs;
	return cnode_format(&r->requester, "~p", cnode_self(self));
}

static void job_add(struct registrar *r, struct job *j)
{
	j->next = NULL;
	*r->last = j;
	r->last = &j->next;
}

static int registrar_call(cnode_process *self, void *state, cnode_from *from, cnode_term request)
{
	struct registrar *r = state;
	struct job found = { 0 };
	if (cnode_message_peer(self) != 0)
		return 0;               /* global.erl's registrar takes nothing from other nodes either */
	if (cnode_scan(request, "{register,~t,~p,~t}", &found.name, &found.pid, &found.method) == 0)
		found.kind = JOB_REGISTER;
	else if (cnode_scan(request, "{re_register,~t,~p,~t}", &found.name, &found.pid, &found.method) == 0)
		found.kind = JOB_RE_REGISTER;
	else if (cnode_scan(request, "{register_ext,~t,~p,~t}", &found.name, &found.pid, &found.method) == 0)
		found.kind = JOB_REGISTER_EXT;
	else if (cnode_scan(request, "{unregister,~t}", &found.name) == 0)
		found.kind = JOB_UNREGISTER;
	else
		return 0;
	/* Behind other jobs it is looked at when its turn comes: one of them may register the name. */
	if (found.kind == JOB_UNREGISTER && !r->jobs && cn_global_whereis(r->g, found.name, &found.pid) == CNODE_ENOENT)
		return cnode_reply(from, "ok");
	struct job *j = cn_calloc(1, sizeof *j);
	if (!j)
		return CNODE_ENOMEM;
	j->kind = found.kind;
	j->pid = found.pid;
	int rc = cnode_format(&j->name, "~t", found.name);
	if (rc == 0 && found.kind != JOB_UNREGISTER)
		rc = cnode_format(&j->method, "~t", found.method);
	if (rc == 0)
		rc = cnode_from_keep(from, &j->from);
	if (rc != 0) {
		job_free(j);
		return rc;
	}
	job_add(r, j);
	return next(r);
}

/* cn_global_register left something. */
static int registrar_info(cnode_process *self, void *state, const cnode_info *info)
{
	struct registrar *r = state;
	(void)self;
	if (info->kind != CNODE_MESSAGE || info->peer != 0)
		return 0;
	cn_mutex_lock(&r->g->lock);
	struct job *jobs = r->g->jobs, *first = NULL;
	r->g->jobs = NULL;
	cn_mutex_unlock(&r->g->lock);
	while (jobs) {                  /* the newest was first */
		struct job *j = jobs;
		jobs = j->next;
		j->next = first;
		first = j;
	}
	while (first) {
		struct job *j = first;
		first = j->next;
		job_add(r, j);
	}
	return next(r);
}

static void registrar_release(void *state)
{
	struct registrar *r = state;
	cn_mutex_lock(&r->g->lock);
	struct job *late = r->g->jobs;
	r->g->jobs = NULL;
	r->g->down = true;
	cn_mutex_unlock(&r->g->lock);
	for (struct job *lists[] = { r->jobs, late }, **list = lists; list < lists + 2; list++)
		for (struct job *j = *list, *after; j; j = after) {
			after = j->next;
			if (j->done)
				j->done(j->ctx, CNODE_ESHUTDOWN);
			j->from = NULL;         /* freed with the process */
			job_free(j);
		}
	cnode_term_drop(r->requester);
	nodes_fini(&r->nodes);
	nodes_fini(&r->silent);
}

const cnode_behaviour registrar_behaviour = {
	CNODE_BEHAVIOUR_INIT,
	.flags = CNODE_PROMPT,
	.state_size = sizeof(struct registrar),
	.init = registrar_init,
	.handle_call = registrar_call,
	.handle_info = registrar_info,
	.release = registrar_release,
};

/* False: the registrar has it already, woken by somebody else. */
static bool take_back(struct cn_global *g, struct job *j)
{
	cn_mutex_lock(&g->lock);
	struct job **at = &g->jobs;
	while (*at && *at != j)
		at = &(*at)->next;
	bool there = *at != NULL;
	if (there)
		*at = j->next;
	cn_mutex_unlock(&g->lock);
	return there;
}

int cn_global_register(struct cn_global *g, cnode_term name, cnode_pid pid, cn_global_done_fn *done, void *ctx)
{
	struct job *j = cn_calloc(1, sizeof *j);
	if (!j)
		return CNODE_ENOMEM;
	j->pid = pid;
	j->done = done;
	j->ctx = ctx;
	int rc = cnode_format(&j->name, "~t", name);
	if (rc == 0)
		rc = cn_global_method(NULL, &j->method);
	if (rc != 0) {
		job_free(j);
		return rc;
	}
	cn_mutex_lock(&g->lock);
	bool down = g->down;
	if (!down) {
		j->next = g->jobs;
		g->jobs = j;
	}
	cn_mutex_unlock(&g->lock);
	if (down) {
		job_free(j);
		return CNODE_ESHUTDOWN;
	}
	/* A message only to wake it. */
	static const uint8_t jobs[] = { CN_SMALL_ATOM_UTF8, 4, 'j', 'o', 'b', 's' };
	struct cn_target to = { .pid = global_pid(g, &g->registrar) };
	rc = cn_procs_send(g->config.procs, &to, cn_term_static(jobs, sizeof jobs), 0);
	if (rc == 0 || !take_back(g, j))
		return 0;
	job_free(j);
	return rc;
}
