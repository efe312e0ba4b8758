/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Quotas: how many processes a peer may have here, and how many it may start per second.
 * A payer is a peer with what it has, in all and of each factory; the rate is a bucket of
 * tokens, one second's worth, that fills as time goes by.
 */
#include "cnode/access/inner.h"

#define SWEEP_FIRST 64u             /* payers, before those who have nothing are first looked for */

struct cn_quota {
	struct cn_quota *next;      /* the later set ones first */
	char *factory;              /* NULL: all together */
	char *text;                 /* who, as it was set */
	struct cn_access who;
	uint32_t processes;
	uint32_t per_second;
};

/* What is counted for one payer, in all or of one factory. */
struct cn_place {
	struct cn_place *next;      /* of the same payer */
	struct cn_payer *payer;
	uint32_t live;
	uint64_t spent_ns;          /* of the bucket, in time: a spawn takes 1 s / rate */
	uint64_t at;                /* when that was so */
	char factory[];             /* "": in all */
};

struct cn_payer {
	UT_hash_handle hh;          /* by name */
	char *name;
	struct cn_place *places;    /* recently used ones first */
	struct cn_place *all;       /* in all; is not in `places` */
};

/* ---- rules ---- */

static void quota_free(struct cn_quota *q)
{
	cn_access_fini(&q->who);
	cn_free(q->factory);
	cn_free(q->text);
	cn_free(q);
}

static bool same_factory(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static void quotas_free(struct cn_quota *all)
{
	for (struct cn_quota *next; all; all = next) {
		next = all->next;
		quota_free(all);
	}
}

/* *made is yours. */
static int quota_new(const char *factory, const char *who, uint32_t processes, uint32_t per_second, struct cn_quota **made)
{
	if (factory && !*factory)
		return CNODE_EBADNAME;
	int rc = who ? cn_access_check(who, NULL) : CNODE_EBADARG;
	if (rc != 0)
		return rc;
	struct cn_quota *q = cn_calloc(1, sizeof *q);
	if (!q)
		return CNODE_ENOMEM;
	cn_access_init(&q->who);
	q->processes = processes;
	q->per_second = per_second;
	q->text = cn_strdup(who);
	q->factory = factory ? cn_strdup(factory) : NULL;
	rc = q->text && (q->factory || !factory) ? cn_access_set(&q->who, who) : CNODE_ENOMEM;
	if (rc != 0) {
		quota_free(q);
		return rc;
	}
	*made = q;
	return 0;
}

/* Puts the rule before the others; returns the one it replaces, which is yours, or NULL. */
static struct cn_quota *put_first(struct cn_quota **all, struct cn_quota *q)
{
	struct cn_quota *replaced = NULL;
	for (struct cn_quota **at = all; *at; at = &(*at)->next)
		if (same_factory((*at)->factory, q->factory) && strcmp((*at)->text, q->text) == 0) {
			replaced = *at;
			*at = replaced->next;
			break;
		}
	q->next = *all;
	*all = q;
	return replaced;
}

int cn_quota_set(struct cn_guard *g, const char *factory, const char *who, uint32_t processes, uint32_t per_second)
{
	struct cn_quota *q;
	int rc = quota_new(factory, who, processes, per_second, &q);
	if (rc != 0)
		return rc;
	cn_mutex_lock(&g->quota_lock);
	struct cn_quota *replaced = put_first(&g->quotas, q);
	cn_mutex_unlock(&g->quota_lock);
	if (replaced)
		quota_free(replaced);
	return 0;
}

/* One of an array whose elements are as large as the program's headers made them. */
static int rule_at(const cnode_quota *quotas, size_t i, cnode_quota *rule)
{
	size_t size = quotas->size;
	if (size < sizeof rule->size)
		return CNODE_EBADARG;
	*rule = (cnode_quota){ 0 };
	memcpy(rule, (const char *)quotas + i * size, size < sizeof *rule ? size : sizeof *rule);
	return rule->size == size ? 0 : CNODE_EBADARG;
}

int cn_quotas_set(struct cn_guard *g, const cnode_quota *quotas, size_t count)
{
	struct cn_quota *all = NULL, *q = NULL;
	cnode_quota rule;
	for (size_t i = 0; i < count; i++) {
		int rc = rule_at(quotas, i, &rule);
		if (rc == 0)
			rc = quota_new(rule.factory, rule.who, rule.processes, rule.spawns_per_second, &q);
		if (rc != 0) {
			quotas_free(all);
			return rc;
		}
		struct cn_quota *replaced = put_first(&all, q);
		if (replaced)
			quota_free(replaced);
	}
	cn_mutex_lock(&g->quota_lock);
	struct cn_quota *old = g->quotas;
	g->quotas = all;
	cn_mutex_unlock(&g->quota_lock);
	quotas_free(old);
	return 0;
}

void cn_quota_clear(struct cn_guard *g)
{
	(void)cn_quotas_set(g, NULL, 0);    /* none need no memory */
}

/* The rule for the peer, NULL: none. Under the lock. */
static const struct cn_quota *rule_for(const struct cn_guard *g, const char *peer, const char *factory)
{
	for (struct cn_quota *q = g->quotas; q; q = q->next)
		if (same_factory(q->factory, factory) && cn_access_allowed(&q->who, peer))
			return q;
	return NULL;
}

/* ---- payers ---- */

static void payer_free(struct cn_payer *payer)
{
	for (struct cn_place *p = payer->places, *next; p; p = next) {
		next = p->next;
		cn_free(p);
	}
	cn_free(payer->all);
	cn_free(payer->name);
	cn_free(payer);
}

void cn_quotas_fini(struct cn_guard *g)
{
	struct cn_payer *payer, *next;
	cn_quota_clear(g);
	HASH_ITER(hh, g->payers, payer, next) {
		HASH_DEL(g->payers, payer);
		payer_free(payer);
	}
}

static struct cn_place *place_new(struct cn_payer *payer, const char *factory)
{
	size_t size = strlen(factory) + 1;
	struct cn_place *p = cn_calloc(1, sizeof *p + size);
	if (!p)
		return NULL;
	p->payer = payer;
	memcpy(p->factory, factory, size);
	return p;
}

/* Peers come and go, some under names made up for them: those who have nothing here are forgotten. */
static void sweep(struct cn_guard *g, uint64_t now)
{
	if (HASH_COUNT(g->payers) < (g->sweep_at ? g->sweep_at : SWEEP_FIRST))
		return;
	struct cn_payer *payer, *next;
	HASH_ITER(hh, g->payers, payer, next) {
		if (payer->all->live == 0 && now - payer->all->at > CN_NS_PER_S) {
			HASH_DEL(g->payers, payer);
			payer_free(payer);
		}
	}
	g->sweep_at = 2 * HASH_COUNT(g->payers) > SWEEP_FIRST ? 2 * HASH_COUNT(g->payers) : SWEEP_FIRST;
}

static struct cn_payer *payer_of(struct cn_guard *g, const char *peer, uint64_t now)
{
	struct cn_payer *payer = NULL;
	if (g->payers)
		HASH_FIND_STR(g->payers, peer, payer);
	if (payer)
		return payer;
	sweep(g, now);
	payer = cn_calloc(1, sizeof *payer);
	if (!payer)
		return NULL;
	payer->name = cn_strdup(peer);
	payer->all = place_new(payer, "");
	bool added = payer->name && payer->all;
	if (added)
		HASH_ADD_KEYPTR(hh, g->payers, payer->name, strlen(payer->name), payer);
	if (added)
		return payer;
	payer_free(payer);
	return NULL;
}

static struct cn_place *place_of(struct cn_payer *payer, const char *factory)
{
	if (!factory)
		return payer->all;
	struct cn_place **at = &payer->places, *p;
	while (*at && strcmp((*at)->factory, factory) != 0)
		at = &(*at)->next;
	p = *at;
	if (p)
		*at = p->next;
	else if (!(p = place_new(payer, factory)))
		return NULL;
	p->next = payer->places;
	payer->places = p;
	return p;
}

/* ---- taking and giving ---- */

/* Lets the bucket fill up to now. */
static void refill(struct cn_place *p, uint64_t now)
{
	uint64_t passed = now > p->at ? now - p->at : 0;
	p->spent_ns = p->spent_ns > passed ? p->spent_ns - passed : 0;
	p->at = now;
}

static const char *over(const struct cn_quota *q, const struct cn_place *p)
{
	if (q && q->processes && p->live >= q->processes)
		return *p->factory ? "it has as many processes of this factory as its quota allows"
				   : "it has as many processes as its quota allows";
	if (q && q->per_second && !CN_MUTANT(quota_rate_ignored) && p->spent_ns + CN_NS_PER_S / q->per_second > CN_NS_PER_S)
		return *p->factory ? "it spawns this factory more often per second than its quota allows"
				   : "it spawns more often per second than its quota allows";
	return NULL;
}

static void pay(const struct cn_quota *q, struct cn_place *p)
{
	p->live++;
	if (q && q->per_second)
		p->spent_ns += CN_NS_PER_S / q->per_second;
}

int cn_quota_take(struct cn_guard *g, const char *peer, const char *factory, uint64_t now, struct cn_place **place,
		  const char **why)
{
	int rc = 0;
	*place = NULL;
	cn_mutex_lock(&g->quota_lock);
	struct cn_payer *payer = payer_of(g, peer, now);
	struct cn_place *one = payer ? place_of(payer, factory) : NULL;
	if (!one) {
		rc = CNODE_ENOMEM;
	} else if (CN_LIKELY(!g->quotas)) {
		refill(payer->all, now);
		payer->all->live++;
		one->live += one != payer->all;
	} else {
		const struct cn_quota *all_rule = rule_for(g, peer, NULL);
		const struct cn_quota *rule = factory ? rule_for(g, peer, factory) : NULL;
		refill(payer->all, now);
		if (factory)
			refill(one, now);
		*why = over(all_rule, payer->all);
		if (!*why && factory)
			*why = over(rule, one);
		if (*why && !CN_MUTANT(quota_ignored)) {
			rc = CNODE_ESYSLIMIT;
		} else {
			pay(all_rule, payer->all);
			if (factory)
				pay(rule, one);
		}
	}
	cn_mutex_unlock(&g->quota_lock);
	if (rc == 0)
		*place = one;
	return rc;
}

void cn_quota_give(struct cn_guard *g, struct cn_place *place)
{
	if (!place || CN_MUTANT(quota_never_given_back))
		return;
	cn_mutex_lock(&g->quota_lock);
	place->live--;
	if (place != place->payer->all)
		place->payer->all->live--;
	cn_mutex_unlock(&g->quota_lock);
}
