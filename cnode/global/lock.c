/* SPDX-License-Identifier: Apache-2.0 */
/* Locks of the program's own: global:set_lock/3, del_lock/2 and trans/4 for processes with callbacks. */
#include "cnode/global/inner.h"

/* One call of set_lock or trans, through all its tries. */
struct user_lock {
	struct cn_gen_attachment attachment;
	struct cn_global *g;
	cnode_term resource, requester;     /* its own */
	int retries;                        /* left; negative: for ever */
	unsigned times;                     /* tried */
	bool trans;
	bool starting;                      /* the caller has not got its function's result yet */
	bool granted;                       /* what is to be told once it has */
	cnode_done_fn *done;
	void *context;
	size_t count;
	cnode_name nodes[];
};

static void drop(struct user_lock *u)
{
	cnode_term_drop(u->resource);
	cnode_term_drop(u->requester);
	cn_free(u);
}

static void user_lock_free(struct cn_gen_attachment *a)
{
	drop(CN_CONTAINER(a, struct user_lock, attachment));
}

static cnode_term boolean(bool value)
{
	static const uint8_t yes[] = { CN_SMALL_ATOM_UTF8, 4, 't', 'r', 'u', 'e' };
	static const uint8_t no[] = { CN_SMALL_ATOM_UTF8, 5, 'f', 'a', 'l', 's', 'e' };
	return value ? cn_term_static(yes, sizeof yes) : cn_term_static(no, sizeof no);
}

static int told(struct cnode_process *self, void *state, struct user_lock *u, bool granted)
{
	cnode_answer answer = { .size = sizeof answer, .term = boolean(granted) };
	return u->done ? u->done(self, state, u->context, &answer) : 0;
}

static int unlocked(struct cnode_process *self, void *state, void *context, bool granted);

static int unlocked_later(cnode_process *self, void *state, void *context, const cnode_answer *answer)
{
	(void)answer;
	return unlocked(self, state, context, true);
}

static int unlocked(struct cnode_process *self, void *state, void *context, bool granted)
{
	struct user_lock *u = context;
	(void)granted;
	if (u->starting)
		return cnode_after(self, 0, unlocked_later, u);
	cn_gen_detach(&u->attachment);
	int rc = u->trans ? 0 : told(self, state, u, true);
	drop(u);
	return rc;
}

static int unlock(struct cnode_process *self, void *state, struct user_lock *u)
{
	return unlock_nodes(u->g, self, state, u->nodes, u->count, CNODE_INFINITY, u->resource, u->requester, unlocked, u);
}

uint64_t cn_global_pause(unsigned times)
{
	uint32_t random;
	uint64_t most = times > 5 ? 8000 : (UINT64_C(1000) << times) / 8;
	/* Without randomness two nodes only meet more often. */
	if (cn_random(&random, sizeof random) != 0)
		random = (uint32_t)cn_now();
	return 1 + random % most;
}

static int try(struct cnode_process *self, void *state, struct user_lock *u);

static int again(cnode_process *self, void *state, void *context, const cnode_answer *answer)
{
	(void)answer;
	return try(self, state, context);
}

static int tried(struct cnode_process *self, void *state, void *context, bool granted);

static int tried_later(cnode_process *self, void *state, void *context, const cnode_answer *answer)
{
	struct user_lock *u = context;
	(void)answer;
	return tried(self, state, u, u->granted);
}

static int tried(struct cnode_process *self, void *state, void *context, bool granted)
{
	struct user_lock *u = context;
	if (u->starting) {
		u->granted = granted;
		return cnode_after(self, 0, tried_later, u);
	}
	if (!granted && u->retries != 0) {
		if (u->retries > 0)
			u->retries--;
		return cnode_after(self, cn_global_pause(u->times++), again, u);
	}
	if (granted && u->trans) {
		int rc = told(self, state, u, true);
		int undone = unlock(self, state, u);
		return rc != 0 ? rc : undone;
	}
	cn_gen_detach(&u->attachment);
	int rc = told(self, state, u, granted);
	drop(u);
	return rc;
}

static int try(struct cnode_process *self, void *state, struct user_lock *u)
{
	return lock_nodes(u->g, self, state, u->nodes, u->count, CNODE_INFINITY, u->resource, u->requester, NULL, tried, u);
}

static int make(struct cn_global *g, cnode_process *self, cnode_term resource, cnode_term requester, const cnode_name *nodes,
		size_t count, cnode_done_fn *done, void *context, struct user_lock **made)
{
	cnode_name *all = NULL;
	int rc = 0;
	if (!nodes) {
		rc = cn_global_nodes(g, &all, &count);
		if (rc != 0)
			return rc;
		all[count++] = g->self;         /* there is room for one more */
		nodes = all;
	}
	struct user_lock *u = cn_calloc(1, sizeof *u + count * sizeof u->nodes[0]);
	if (!u)
		rc = CNODE_ENOMEM;
	if (rc == 0) {
		u->g = g;
		u->times = 1;
		u->starting = true;
		u->done = done;
		u->context = context;
		u->count = count;
		if (count > 0)
			memcpy(u->nodes, nodes, count * sizeof nodes[0]);
		rc = cnode_format(&u->resource, "~t", resource);
		if (rc == 0)
			rc = cnode_format(&u->requester, "~t", requester);
		if (rc == 0)
			rc = cn_gen_attach(self, &u->attachment, user_lock_free);
		if (rc != 0)
			drop(u);
		else
			*made = u;
	}
	cn_free(all);
	return rc;
}

/* It is under way, or could not be begun: nobody will hear of it then. */
static int started(struct user_lock *u, int rc)
{
	u->starting = false;
	if (rc != 0) {
		cn_gen_detach(&u->attachment);
		drop(u);
	}
	return rc;
}

int cn_global_set_lock(struct cn_global *g, cnode_process *self, cnode_term resource, cnode_term requester,
		       const cnode_name *nodes, size_t count, int retries, bool trans, cnode_done_fn *done, void *context)
{
	struct user_lock *u;
	int rc = make(g, self, resource, requester, nodes, count, done, context, &u);
	if (rc != 0)
		return rc;
	u->retries = retries;
	u->trans = trans;
	return started(u, try(self, cn_gen_state(self), u));
}

int cn_global_del_lock(struct cn_global *g, cnode_process *self, cnode_term resource, cnode_term requester,
		       const cnode_name *nodes, size_t count, cnode_done_fn *done, void *context)
{
	struct user_lock *u;
	int rc = make(g, self, resource, requester, nodes, count, done, context, &u);
	return rc != 0 ? rc : started(u, unlock(self, cn_gen_state(self), u));
}
