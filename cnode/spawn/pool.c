/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pools: an ordinary behaviour on the public headers. A worker is linked and monitored by the
 * reference of its spawn request, so one DOWN says that it is to be replaced, and the end of
 * the pool ends them all.
 */
#include "cnode/spawn/inner.h"

#include "cnode/pool.h"

#define WORKERS_MAX 10000u
#define NODES_MAX 1000u

enum slot_state { SLOT_EMPTY, SLOT_ASKED, SLOT_UP };

/* One place for a worker. */
struct slot {
	enum slot_state state;
	size_t node;                /* index: where it was asked for, or is */
	cnode_ref ref;              /* of the request and the monitor */
	cnode_pid pid;
	uint64_t at;                /* EMPTY: not to be filled before; UP: since when (cn_now) */
};

struct place {
	char name[CNODE_NAME_SIZE];
	bool local, counts;         /* it is being asked how many processes it has */
	uint64_t processes;         /* CNODE_INFINITY: unknown */
	uint64_t alone_until;       /* cn_now */
	uint32_t workers;           /* up or asked for */
	cnode_ref count_ref;        /* erpc's monitor, when the service is not there */
};

/* What cnode_pool_start hands over. It ends with the pool, or with the node if that never began. */
struct cn_pool_setup {
	struct cn_pool_setup *next, **back;     /* those of the node */
	struct cn_factories *factories;
	cnode_pool_options options;
	char *factory;
	cnode_term args;            /* its own */
	size_t node_count;
	struct place nodes[];
};

struct pool {
	struct cn_pool_setup *setup;
	struct slot *slots;
	uint32_t size;
	size_t turn;                /* round robin: of nodes */
	size_t next;                /* of workers */
	struct slot *withdrawn;     /* places that are gone, whose requests are answered yet */
	uint32_t withdrawn_count;
	uint64_t started, lost, failed, given;
	bool retry_set;
	cnode_ref retry, refresh;   /* timers */
};

/* ---- choosing ---- */

/* One of the candidates (indices of nodes), as the placement says. */
static size_t choose(struct pool *p, const size_t *candidates, size_t count)
{
	struct cn_pool_setup *s = p->setup;
	size_t best = 0;
	uint64_t random;
	switch (s->options.placement) {
	case CNODE_PLACE_ROUND_ROBIN:
		return candidates[p->turn++ % count];
	case CNODE_PLACE_LEAST_LOADED:
		for (size_t i = 1; i < count; i++) {
			const struct place *a = &s->nodes[candidates[i]], *b = &s->nodes[candidates[best]];
			if (a->processes < b->processes || (a->processes == b->processes && a->workers < b->workers))
				best = i;
		}
		return candidates[best];
	case CNODE_PLACE_LOCAL_FIRST:
		for (size_t i = 0; i < count; i++)
			if (s->nodes[candidates[i]].local)
				return candidates[i];
		return candidates[p->turn++ % count];
	case CNODE_PLACE_RANDOM:
		return candidates[cn_random(&random, sizeof random) == 0 ? random % count : 0];
	case CNODE_PLACE_NODE:
		break;
	case CNODE_PLACE_BY: {
		/* Pointers, not an array of structs: a program built with older headers steps as these say. */
		cnode_pool_node *shown = cn_calloc(count, sizeof *shown + sizeof(cnode_pool_node *));
		if (!shown)
			break;
		const cnode_pool_node **nodes = (const cnode_pool_node **)(void *)(shown + count);
		for (size_t i = 0; i < count; i++) {
			const struct place *n = &s->nodes[candidates[i]];
			shown[i] = (cnode_pool_node){ sizeof *shown, n->name, n->local, n->processes, n->workers };
			nodes[i] = &shown[i];
		}
		best = s->options.choose(s->options.context, nodes, count);
		cn_free(shown);
		return candidates[best < count ? best : 0];
	}
	}
	return candidates[0];
}

/* A node for a new worker; false: all are left alone at present. */
static bool place_worker(struct pool *p, size_t *node)
{
	struct cn_pool_setup *s = p->setup;
	size_t candidates[NODES_MAX], count = 0;
	uint64_t now = cn_now();
	for (size_t i = 0; i < s->node_count; i++)
		if (s->nodes[i].alone_until <= now)
			candidates[count++] = i;
	if (count == 0)
		return false;
	*node = choose(p, candidates, count);
	return true;
}

/* The worker for a task; NULL: there is none. */
static struct slot *pick(struct pool *p)
{
	struct cn_pool_setup *s = p->setup;
	bool has[NODES_MAX] = { false };
	size_t candidates[NODES_MAX], count = 0;
	for (uint32_t i = 0; i < p->size; i++)
		if (p->slots[i].state == SLOT_UP && !has[p->slots[i].node]) {
			has[p->slots[i].node] = true;
			candidates[count++] = p->slots[i].node;
		}
	if (count == 0)
		return NULL;
	/* In turn means all workers, however many a node has. */
	bool any = s->options.placement == CNODE_PLACE_ROUND_ROBIN;
	size_t node = any ? 0 : choose(p, candidates, count);
	for (;;) {
		struct slot *slot = &p->slots[p->next++ % p->size];
		if (slot->state == SLOT_UP && (any || slot->node == node))
			return slot;
	}
}

/* ---- starting workers ---- */

static int retry_later(cnode_process *self, struct pool *p)
{
	if (p->retry_set)
		return 0;
	int rc = cnode_start_timer(self, p->setup->options.retry_ms, &p->retry, "retry");
	p->retry_set = rc == 0;
	return rc;
}

/* retry_ms after this moment, which may be never. */
static uint64_t retry_after(const struct pool *p, uint64_t moment)
{
	uint64_t ms = p->setup->options.retry_ms;
	return ms > (UINT64_MAX - moment) / CN_NS_PER_MS ? UINT64_MAX : moment + ms * CN_NS_PER_MS;
}

/* The node has failed: the others are asked, until it has been left alone for long enough. */
static void leave_alone(struct pool *p, size_t node)
{
	struct place *n = &p->setup->nodes[node];
	n->alone_until = retry_after(p, cn_now());
	n->processes = CNODE_INFINITY;
}

/* Asks for workers in the places that have none. */
static int fill(cnode_process *self, struct pool *p)
{
	struct cn_pool_setup *s = p->setup;
	uint64_t now = cn_now();
	bool later = false;
	for (uint32_t i = 0; i < p->size; i++) {
		struct slot *slot = &p->slots[i];
		while (slot->state == SLOT_EMPTY) {
			if (slot->at > now) {
				later = true;
				break;
			}
			/* Nowhere for this one is nowhere for the others. */
			if (!place_worker(p, &slot->node))
				return retry_later(self, p);
			struct place *n = &s->nodes[slot->node];
			cnode_spawn_options o = CNODE_SPAWN_INIT;
			o.link = o.monitor = true;
			o.timeout_ms = s->options.spawn_timeout_ms;
			int rc = cnode_spawn_request_options(self, n->local ? NULL : n->name, s->factory, s->args, &o, &slot->ref);
			if (rc == CNODE_ENOMEM || rc == CNODE_EEXITED)
				return rc;
			if (rc != 0) {
				p->failed++;
				leave_alone(p, slot->node);
				continue;
			}
			slot->state = SLOT_ASKED;
			n->workers++;
			/* Until it is counted again. */
			if (n->processes != CNODE_INFINITY)
				n->processes++;
		}
	}
	return later ? retry_later(self, p) : 0;
}

static struct slot *slot_of(struct pool *p, const cnode_ref *ref)
{
	for (uint32_t i = 0; i < p->size; i++)
		if (p->slots[i].state != SLOT_EMPTY && cnode_ref_equal(p->slots[i].ref, *ref))
			return &p->slots[i];
	return NULL;
}

static void vacate(struct pool *p, struct slot *slot)
{
	slot->state = SLOT_EMPTY;
	slot->at = 0;
	p->setup->nodes[slot->node].workers--;
}

static bool is_at(const struct place *n, cnode_pid pid)
{
	cnode_name name;
	return cnode_name_of(n->name, &name) == 0 && pid.node == name;
}

/* The answer for a place that is gone, as the pool is smaller now: there is one. */
static int replied_late(cnode_process *self, struct pool *p, const cnode_ref *ref, const cnode_pid *started)
{
	uint32_t i = 0;
	while (i < p->withdrawn_count && !cnode_ref_equal(p->withdrawn[i].ref, *ref))
		i++;
	if (i == p->withdrawn_count || (started && !is_at(&p->setup->nodes[p->withdrawn[i].node], *started)))
		return 0;
	p->withdrawn[i] = p->withdrawn[--p->withdrawn_count];
	return started ? cnode_exit(self, *started, "shutdown") : 0;
}

/* An answer is a message like any other: what it ends, or makes a worker, is what was asked for, whoever says so. */
static int replied(cnode_process *self, struct pool *p, const cnode_ref *ref, cnode_term result)
{
	struct slot *slot = slot_of(p, ref);
	cnode_pid pid;
	bool started = cnode_scan(result, "~p", &pid) == 0;
	if (!slot)
		return replied_late(self, p, ref, started ? &pid : NULL);
	if (slot->state != SLOT_ASKED || (started && !is_at(&p->setup->nodes[slot->node], pid)))
		return 0;
	if (started) {
		slot->state = SLOT_UP;
		slot->at = cn_now();
		slot->pid = pid;
		p->started++;
		return 0;
	}
	p->failed++;
	leave_alone(p, slot->node);
	vacate(p, slot);
	return fill(self, p);
}

static int ended(cnode_process *self, struct pool *p, const cnode_info *info)
{
	struct slot *slot = slot_of(p, &info->ref);
	if (!slot)
		return 0;
	/* A node that stops ends its processes with shutdown, before its connection is lost. */
	bool with_node = cn_term_is_atom(info->reason, "noconnection") || cn_term_is_atom(info->reason, "shutdown");
	if (with_node) {
		p->lost++;
		leave_alone(p, slot->node);
	}
	/* One that ended as soon as it was there would do so again at once. */
	uint64_t soonest = retry_after(p, slot->at);
	bool was_up = slot->state == SLOT_UP;
	vacate(p, slot);
	if (was_up && !with_node)
		slot->at = soonest;
	return fill(self, p);
}

/* ---- how many processes nodes have ---- */

/* A node without the service is a BEAM node: erlang:system_info(process_count) by erpc. */
static int count_by_erpc(cnode_process *self, struct place *n)
{
	cnode_ref ref;
	cnode_term args;
	int rc = cnode_make_ref(self, &ref);
	if (rc == 0)
		rc = cnode_format(&args, "[~r,erlang,system_info,[process_count]]", ref);
	if (rc != 0)
		return rc;
	rc = cnode_spawn_request(self, n->name, "erpc", "execute_call", args, CNODE_SPAWN_MONITOR, &n->count_ref);
	cnode_term_drop(args);
	n->counts = rc == 0;
	return rc == CNODE_ENOMEM || rc == CNODE_EEXITED ? rc : 0;
}

static int counted(cnode_process *self, void *state, void *context, const cnode_answer *answer)
{
	struct place *n = context;
	uint64_t processes;
	(void)state;
	n->counts = false;
	if (answer->status == CNODE_ENOPROC)
		return count_by_erpc(self, n);
	n->processes = answer->status == 0 && cnode_scan(answer->term, "~Q", &processes) == 0 ? processes : CNODE_INFINITY;
	return 0;
}

static int count_all(cnode_process *self, struct pool *p)
{
	struct cn_pool_setup *s = p->setup;
	int rc = 0;
	for (size_t i = 0; i < s->node_count && rc == 0; i++) {
		struct place *n = &s->nodes[i];
		if (n->counts || n->alone_until > cn_now())
			continue;
		n->counts = true;
		rc = cnode_call_name_async(self, CNODE_SERVICE, n->local ? NULL : n->name, s->options.spawn_timeout_ms, counted, n,
					   "processes");
	}
	return rc != 0 ? rc : cnode_start_timer(self, s->options.refresh_ms, &p->refresh, "refresh");
}

/* The end of an erpc that counted. True: it was one. */
static bool erpc_counted(struct pool *p, const cnode_info *info)
{
	for (size_t i = 0; i < p->setup->node_count; i++) {
		struct place *n = &p->setup->nodes[i];
		cnode_ref ref;
		uint64_t processes;
		if (!n->counts || !cnode_ref_equal(n->count_ref, info->ref))
			continue;
		n->counts = false;
		n->processes = cnode_scan(info->reason, "{~r,return,~Q}", &ref, &processes) == 0 ? processes : CNODE_INFINITY;
		return true;
	}
	return false;
}

/* ---- what it is asked ---- */

/* Replies what was built; the builder is freed. */
static int reply_built(cnode_from *from, cnode_builder *b)
{
	cnode_term term;
	int rc = cnode_builder_term(b, &term);
	cnode_builder_free(b);
	if (rc != 0)
		return rc;
	rc = cnode_reply_term(from, term);
	cnode_term_drop(term);
	return rc;
}

static int tell_nodes(struct pool *p, cnode_from *from)
{
	cnode_builder *b = cnode_builder_new();
	if (!b)
		return CNODE_ENOMEM;
	uint64_t now = cn_now();
	cnode_build_list(b);
	for (size_t i = 0; i < p->setup->node_count; i++) {
		const struct place *n = &p->setup->nodes[i];
		cnode_build_map(b);
		cnode_build_format(b, "node");
		cnode_build_atom(b, n->name);
		cnode_build_format(b, "up");
		cnode_build_bool(b, n->alone_until <= now);
		cnode_build_format(b, "processes");
		if (n->processes == CNODE_INFINITY)
			cnode_build_atom(b, "undefined");
		else
			cnode_build_uint64(b, n->processes);
		cnode_build_format(b, "workers");
		cnode_build_uint64(b, n->workers);
		cnode_build_map_end(b);
	}
	cnode_build_list_end(b);
	return reply_built(from, b);
}

static int tell_workers(struct pool *p, cnode_from *from)
{
	cnode_builder *b = cnode_builder_new();
	if (!b)
		return CNODE_ENOMEM;
	cnode_build_list(b);
	for (uint32_t i = 0; i < p->size; i++)
		if (p->slots[i].state == SLOT_UP)
			cnode_build_pid(b, p->slots[i].pid);
	cnode_build_list_end(b);
	return reply_built(from, b);
}

static int tell_stats(struct pool *p, cnode_from *from)
{
	uint64_t up = 0;
	for (uint32_t i = 0; i < p->size; i++)
		up += p->slots[i].state == SLOT_UP;
	return cnode_reply(from, "#{size => ~Q, workers => ~Q, started => ~Q, lost => ~Q, failed => ~Q, given => ~Q}",
			   (uint64_t)p->size, up, p->started, p->lost, p->failed, p->given);
}

/* Room for the places from `size` on whose requests are not answered. */
static int expect_withdrawn(struct pool *p, uint32_t size)
{
	size_t count = p->withdrawn_count;
	for (uint32_t i = size; i < p->size; i++)
		count += p->slots[i].state == SLOT_ASKED;
	if (count == p->withdrawn_count)
		return 0;
	struct slot *withdrawn = cn_realloc(p->withdrawn, count * sizeof *withdrawn);
	if (!withdrawn)
		return CNODE_ENOMEM;
	p->withdrawn = withdrawn;
	return 0;
}

static int resize(cnode_process *self, struct pool *p, uint32_t size)
{
	int room = expect_withdrawn(p, size);
	if (room != 0)
		return room;
	for (uint32_t i = size; i < p->size; i++) {
		struct slot *slot = &p->slots[i];
		if (slot->state == SLOT_UP) {
			int rc = cnode_demonitor(self, slot->ref, CNODE_FLUSH);
			if (rc == 0)
				rc = cnode_exit(self, slot->pid, "shutdown");
			if (rc != 0)
				return rc;
		}
		if (slot->state == SLOT_ASKED)
			p->withdrawn[p->withdrawn_count++] = *slot;
		if (slot->state != SLOT_EMPTY)
			vacate(p, slot);
	}
	struct slot *slots = cn_realloc(p->slots, size * sizeof *slots);
	if (!slots)
		return CNODE_ENOMEM;
	for (uint32_t i = p->size; i < size; i++)
		slots[i] = (struct slot){ .state = SLOT_EMPTY };
	p->slots = slots;
	p->size = size;
	return fill(self, p);
}

static int pool_call(cnode_process *self, void *state, cnode_from *from, cnode_term request)
{
	struct pool *p = state;
	int64_t size;
	if (cnode_scan(request, "next") == 0) {
		struct slot *slot = pick(p);
		if (!slot)
			return cnode_reply(from, "{error,no_workers}");
		p->given++;
		return cnode_reply(from, "{ok,~p}", slot->pid);
	}
	if (cnode_scan(request, "workers") == 0)
		return tell_workers(p, from);
	if (cnode_scan(request, "nodes") == 0)
		return tell_nodes(p, from);
	if (cnode_scan(request, "stats") == 0)
		return tell_stats(p, from);
	if (cnode_scan(request, "{resize,~q}", &size) == 0) {
		if (size < 1 || size > WORKERS_MAX)
			return cnode_reply(from, "{error,badarg}");
		int rc = resize(self, p, (uint32_t)size);
		return rc != 0 ? rc : cnode_reply(from, "ok");
	}
	return cnode_reply(from, "{error,bad_request}");
}

static int pool_info(cnode_process *self, void *state, const cnode_info *info)
{
	struct pool *p = state;
	cnode_ref ref;
	cnode_term result;
	if (info->kind == CNODE_DOWN)
		return erpc_counted(p, info) ? 0 : ended(self, p, info);
	if (info->kind == CNODE_TIMER && cnode_ref_equal(info->ref, p->refresh))
		return count_all(self, p);
	if (info->kind == CNODE_TIMER) {
		p->retry_set = false;
		return fill(self, p);
	}
	if (info->kind == CNODE_MESSAGE && cnode_scan(info->message, "{spawn_reply,~r,_,~t}", &ref, &result) == 0) {
		for (size_t i = 0; i < p->setup->node_count; i++)
			if (p->setup->nodes[i].counts && cnode_ref_equal(p->setup->nodes[i].count_ref, ref)) {
				/* Started, the DOWN says more; refused, nobody knows. */
				p->setup->nodes[i].counts = cnode_term_type(result) == CNODE_TYPE_PID;
				if (!p->setup->nodes[i].counts)
					p->setup->nodes[i].processes = CNODE_INFINITY;
				return 0;
			}
		return replied(self, p, &ref, result);
	}
	return 0;
}

/* ---- beginning and end ---- */

static void setup_free(struct cn_pool_setup *s)
{
	if (!s)
		return;
	cn_mutex_lock(&s->factories->lock);
	*s->back = s->next;
	if (s->next)
		s->next->back = s->back;
	cn_mutex_unlock(&s->factories->lock);
	cn_free(s->factory);
	cnode_term_drop(s->args);
	cn_free(s);
}

void cn_pools_free(struct cn_factories *f)
{
	while (f->pools)
		setup_free(f->pools);
}

static int pool_init(cnode_process *self, void *state, const cnode_start *how)
{
	struct pool *p = state;
	p->setup = how->context;
	p->size = p->setup->options.workers;
	p->slots = cn_calloc(p->size, sizeof *p->slots);
	if (!p->slots)
		return CNODE_ENOMEM;
	int rc = cnode_trap_exit(self, true);
	if (rc == 0 && p->setup->options.placement == CNODE_PLACE_LEAST_LOADED)
		rc = count_all(self, p);
	return rc != 0 ? rc : fill(self, p);
}

static void pool_release(void *state)
{
	struct pool *p = state;
	setup_free(p->setup);
	cn_free(p->slots);
	cn_free(p->withdrawn);
}

static const cnode_behaviour pool = {
	CNODE_BEHAVIOUR_INIT,
	.state_size = sizeof(struct pool),
	.init = pool_init,
	.handle_call = pool_call,
	.handle_info = pool_info,
	.release = pool_release,
};

/* The next name in "a@h, b@h": its size; 0: there is none. */
static size_t next_name(const char **at)
{
	static const char between[] = " \t,";
	*at += strspn(*at, between);
	return strcspn(*at, between);
}

static size_t count_names(const char *nodes)
{
	size_t count = 0;
	for (size_t size; (size = next_name(&nodes)) > 0; nodes += size)
		count++;
	return count;
}

/* They have room in s->nodes. */
static int read_nodes(struct cn_pool_setup *s, const char *nodes, const char *own)
{
	for (size_t size; (size = next_name(&nodes)) > 0; nodes += size) {
		struct place *n = &s->nodes[s->node_count];
		cnode_name name;
		if (size >= sizeof n->name)
			return CNODE_EBADNAME;
		memcpy(n->name, nodes, size);
		n->name[size] = 0;
		if (cnode_name_of(n->name, &name) != 0)
			return CNODE_EBADNAME;
		n->local = strcmp(n->name, own) == 0;
		n->processes = CNODE_INFINITY;
		s->node_count++;
	}
	return s->node_count > 0 ? 0 : CNODE_EBADNAME;
}

static int setup_make(struct cn_factories *f, const cnode_pool_options *o, const char *own, struct cn_pool_setup **made)
{
	const char *nodes = o->nodes ? o->nodes : own;
	size_t count = count_names(nodes);
	if (count > NODES_MAX)
		return CNODE_EBADARG;
	struct cn_pool_setup *s = cn_calloc(1, sizeof *s + count * sizeof s->nodes[0]);
	if (!s)
		return CNODE_ENOMEM;
	s->factories = f;
	cn_mutex_lock(&f->lock);
	s->next = f->pools;
	s->back = &f->pools;
	if (s->next)
		s->next->back = &s->next;
	f->pools = s;
	cn_mutex_unlock(&f->lock);
	s->options = *o;
	s->options.spawn_timeout_ms = o->spawn_timeout_ms ? o->spawn_timeout_ms : 5000;
	s->options.retry_ms = o->retry_ms ? o->retry_ms : 1000;
	s->options.refresh_ms = o->refresh_ms ? o->refresh_ms : 1000;
	int rc = read_nodes(s, nodes, own);
	if (rc == 0)
		rc = (s->factory = cn_strdup(o->factory)) ? 0 : CNODE_ENOMEM;
	if (rc == 0)
		rc = cn_term_is_none(o->args) ? cnode_format(&s->args, "[]") : cnode_term_keep(o->args, &s->args);
	if (rc != 0) {
		setup_free(s);
		return rc;
	}
	*made = s;
	return 0;
}

int cn_pool_open(struct cn_factories *f, cnode_node *node, const char *own, const char *name, const cnode_pool_options *options, cnode_pid *pid)
{
	cnode_pool_options o = { 0 };
	if (!options || options->size < offsetof(cnode_pool_options, args))
		return CNODE_EBADARG;
	memcpy(&o, options, options->size < sizeof o ? options->size : sizeof o);
	if (!o.factory || o.workers < 1 || o.workers > WORKERS_MAX || (unsigned)o.placement > CNODE_PLACE_BY ||
	    (o.placement == CNODE_PLACE_BY && !o.choose))
		return CNODE_EBADARG;
	struct cn_pool_setup *s;
	cnode_term none;
	int rc = setup_make(f, &o, own, &s);
	if (rc != 0)
		return rc;
	rc = cnode_format(&none, "[]");
	if (rc == 0) {
		rc = cnode_process_start(node, name, &pool, s, none, pid);
		cnode_term_drop(none);
	}
	if (rc != 0)
		setup_free(s);
	return rc;
}
