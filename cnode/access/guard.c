/* SPDX-License-Identifier: Apache-2.0 */
/* Lists for what peers may touch, by kind and name, and the record of what was refused. */
#include "cnode/access/inner.h"

#define REFUSALS_PER_SECOND 5u      /* lines in the log for each kind */
#define NAME_MAX_BYTES (255 * 4)

static const char *const kind_names[CN_GUARD_KINDS] = { "name", "exit", "register" };

/*
 * Services that every node has. A list for all names would make the node unreachable for
 * those it does not name: they could not even ping it.
 */
static const char *const services[] = { "net_kernel", "rex", "global_name_server", "pg", "erpc", "auth" };

int cn_guard_new(struct cn_log *log, struct cn_guard **guard)
{
	struct cn_guard *g = cn_calloc(1, sizeof *g);
	if (!g)
		return CNODE_ENOMEM;
	g->log = log;
	cn_mutex_init(&g->lock);
	cn_mutex_init(&g->quota_lock);
	*guard = g;
	return 0;
}

static void guarded_free(struct cn_guarded *one)
{
	cn_access_fini(&one->who);
	cn_free(one->name);
	cn_free(one);
}

void cn_guard_free(struct cn_guard *g)
{
	if (!g)
		return;
	for (size_t kind = 0; kind < CN_GUARD_KINDS; kind++) {
		struct cn_guarded *one, *next;
		HASH_ITER(hh, g->lists[kind], one, next) {
			HASH_DEL(g->lists[kind], one);
			guarded_free(one);
		}
	}
	cn_quotas_fini(g);
	cn_mutex_fini(&g->quota_lock);
	cn_mutex_fini(&g->lock);
	cn_free(g);
}

/* ---- lists ---- */

/* The list of the name; NULL: there never was one. Under the lock. */
static struct cn_guarded *find(struct cn_guard *g, enum cnode_access kind, const char *name)
{
	struct cn_guarded *one = NULL;
	if (g->lists[kind])
		HASH_FIND_STR(g->lists[kind], name, one);
	return one;
}

/* A list of its own that says nothing yet, not in the table. */
static struct cn_guarded *make(const char *name)
{
	struct cn_guarded *one = cn_calloc(1, sizeof *one);
	if (!one)
		return NULL;
	cn_access_init_partial(&one->who);
	one->removed = true;
	one->name = cn_strdup(name);
	if (one->name)
		return one;
	guarded_free(one);
	return NULL;
}

static int change(struct cn_guard *g, enum cnode_access kind, const char *name, const char *who,
		  int (*how)(struct cn_access *a, const char *who))
{
	if ((unsigned)kind >= CN_GUARD_KINDS || !who)
		return CNODE_EBADARG;
	if (!name || !*name || strlen(name) > NAME_MAX_BYTES)
		return CNODE_EBADNAME;
	int rc = cn_access_check(who, NULL);
	if (rc != 0)
		return rc;
	cn_mutex_lock(&g->lock);
	struct cn_guarded *one = find(g, kind, name), *made = NULL;
	if (!one && !(one = made = make(name))) {
		cn_mutex_unlock(&g->lock);
		return CNODE_ENOMEM;
	}
	/* What a removed list said holds no more: _allow and _deny begin anew. */
	struct cn_access fresh;
	cn_access_init_partial(&fresh);
	rc = how(one->removed ? &fresh : &one->who, who);
	bool added = true;
	if (rc == 0 && made)
		HASH_ADD_KEYPTR(hh, g->lists[kind], made->name, strlen(made->name), made);
	if (!added)
		rc = CNODE_ENOMEM;
	if (rc == 0 && one->removed) {
		cn_access_swap(&one->who, &fresh);
		one->removed = false;
		atomic_fetch_add(&g->used[kind], 1);
	}
	cn_mutex_unlock(&g->lock);
	cn_access_fini(&fresh);
	if (rc != 0 && made)
		guarded_free(made);
	return rc;
}

int cn_guard_allow(struct cn_guard *g, enum cnode_access kind, const char *name, const char *who)
{
	return change(g, kind, name, who, cn_access_allow);
}

int cn_guard_deny(struct cn_guard *g, enum cnode_access kind, const char *name, const char *who)
{
	return change(g, kind, name, who, cn_access_deny);
}

static int reset(struct cn_guard *g, enum cnode_access kind, const char *name)
{
	if ((unsigned)kind >= CN_GUARD_KINDS)
		return CNODE_EBADARG;
	if (!name || !*name)
		return CNODE_EBADNAME;
	cn_mutex_lock(&g->lock);
	struct cn_guarded *one = find(g, kind, name);
	if (one && !one->removed) {
		one->removed = true;
		atomic_fetch_sub(&g->used[kind], 1);
	}
	cn_mutex_unlock(&g->lock);
	return 0;
}

int cn_guard_set(struct cn_guard *g, enum cnode_access kind, const char *name, const char *who)
{
	return who ? change(g, kind, name, who, cn_access_set) : reset(g, kind, name);
}

static bool is_service(const char *name)
{
	for (size_t i = 0; i < CN_ARRAY_SIZE(services); i++)
		if (strcmp(services[i], name) == 0)
			return true;
	return false;
}

enum cn_access_answer cn_guard_ask(struct cn_guard *g, enum cnode_access kind, const char *name, const char *peer)
{
	enum cn_access_answer answer = CN_ACCESS_UNSAID;
	if (CN_LIKELY(atomic_load_explicit(&g->used[kind], memory_order_acquire) == 0))
		return answer;
	cn_mutex_lock(&g->lock);
	struct cn_guarded *one = find(g, kind, name);
	if (one && !one->removed)
		answer = cn_access_ask(&one->who, peer);
	if (answer == CN_ACCESS_UNSAID && !(kind == CNODE_ACCESS_NAME && is_service(name))) {
		one = find(g, kind, "*");
		if (one && !one->removed)
			answer = cn_access_ask(&one->who, peer);
	}
	cn_mutex_unlock(&g->lock);
	if (answer == CN_ACCESS_NO)
		atomic_fetch_add(&one->refused, 1);
	return answer;
}

static int show(struct cn_guarded *one, enum cnode_access kind, int (*each)(void *context, const cnode_access_info *list),
		void *context)
{
	struct cn_buf allowed, denied;
	cn_buf_init(&allowed, 0);
	cn_buf_init(&denied, 0);
	enum cn_access_mode mode;
	int rc = cn_access_describe(&one->who, &mode, &allowed, &denied);
	cn_put_u8(&allowed, 0);
	cn_put_u8(&denied, 0);
	if (rc == 0 && !allowed.err && !denied.err) {
		cnode_access_info info = {
			.size = sizeof info,
			.kind = kind,
			.kind_name = kind_names[kind],
			.name = one->name,
			.mode = cn_access_mode_name(mode),
			.allowed = (char *)allowed.data,
			.denied = (char *)denied.data,
			.refused = atomic_load(&one->refused),
		};
		rc = each(context, &info);
	} else {
		rc = CNODE_ENOMEM;
	}
	cn_buf_fini(&allowed);
	cn_buf_fini(&denied);
	return rc;
}

int cn_guard_list(struct cn_guard *g, int (*each)(void *context, const cnode_access_info *list), void *context)
{
	int rc = 0;
	for (size_t kind = 0; kind < CN_GUARD_KINDS && rc == 0; kind++) {
		/* `each` is the user's: it must not find the tables locked. Lists are never freed before the guard. */
		cn_mutex_lock(&g->lock);
		size_t count = 0, room = HASH_COUNT(g->lists[kind]);
		struct cn_guarded **all = room ? cn_malloc(room * sizeof *all) : NULL;
		struct cn_guarded *one, *next;
		if (all) {
			HASH_ITER(hh, g->lists[kind], one, next) {
				if (!one->removed)
					all[count++] = one;
			}
		}
		cn_mutex_unlock(&g->lock);
		if (room && !all)
			return CNODE_ENOMEM;
		for (size_t i = 0; i < count && rc == 0; i++)
			rc = show(all[i], (enum cnode_access)kind, each, context);
		cn_free(all);
	}
	return rc;
}

/* ---- what is refused ---- */

void cn_guard_refused(struct cn_guard *g, enum cn_refusal what, const char *peer, const char *name, const char *reason)
{
	static const char *const verbs[CN_REFUSALS] = { "spawn", "call", "reach", "exit", "register", "spawn" };
	atomic_fetch_add(&g->counts[what], 1);
	uint32_t held;
	if (!cn_log_on(g->log, CNODE_LOG_WARNING) || !cn_log_pass(&g->gates[what], REFUSALS_PER_SECOND, &held))
		return;
	if (held)
		cn_log_line(g->log, CNODE_LOG_WARNING, "%s may not %s %s here: %s (%u more refusals were not logged)", peer, verbs[what],
			    name, reason, (unsigned)held);
	else
		cn_log_line(g->log, CNODE_LOG_WARNING, "%s may not %s %s here: %s", peer, verbs[what], name, reason);
}

bool cn_guard_may_reach(struct cn_guard *g, const char *peer, const char *name)
{
	if (CN_LIKELY(cn_guard_ask(g, CNODE_ACCESS_NAME, name, peer) != CN_ACCESS_NO) || CN_MUTANT(name_list_ignored))
		return true;
	cn_guard_refused(g, CN_REFUSED_NAME, peer, name, "it is not on the list of the name");
	return false;
}

bool cn_guard_may_register(struct cn_guard *g, const char *peer, const char *name)
{
	if (cn_guard_ask(g, CNODE_ACCESS_REGISTER, name, peer) != CN_ACCESS_NO || CN_MUTANT(register_list_ignored))
		return true;
	cn_guard_refused(g, CN_REFUSED_REGISTER, peer, name, "it is not on the list of the name");
	return false;
}

void cn_guard_counts(struct cn_guard *g, cnode_refusal_counts *counts)
{
	cnode_refusal_counts now = {
		.size = counts->size,
		.spawns = atomic_load(&g->counts[CN_REFUSED_SPAWN]),
		.functions = atomic_load(&g->counts[CN_REFUSED_FUNCTION]),
		.names = atomic_load(&g->counts[CN_REFUSED_NAME]),
		.exits = atomic_load(&g->counts[CN_REFUSED_EXIT]),
		.registrations = atomic_load(&g->counts[CN_REFUSED_REGISTER]),
		.quotas = atomic_load(&g->counts[CN_REFUSED_QUOTA]),
	};
	memcpy(counts, &now, counts->size < sizeof now ? counts->size : sizeof now);
}
