/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SPAWN_REQUEST: from the words of a peer to a process, and the one answer.
 *
 * The options are those of spawn_request/5 as far as they leave the requesting node
 * (reply and reply_tag are its own business); what only makes sense in a BEAM, heap sizes
 * and priorities, is accepted and means nothing. `{name, Atom}` registers the process.
 * Follows: erts/emulator/beam/dist.c (SPAWN_REQUEST), erlang:spawn_request/5.
 */
#include "cnode/spawn/inner.h"

struct options {
	bool link, monitor;
	cnode_atom name;            /* "" : none */
};

static bool one_of(const char *text, size_t size, const char *const *words, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strlen(words[i]) == size && memcmp(words[i], text, size) == 0)
			return true;
	return false;
}

/* Options of {Key, Value} that mean something to a BEAM's memory or scheduler only. */
static const char *const beams_own[] = {
	"priority", "fullsweep_after", "min_heap_size", "min_bin_vheap_size", "max_heap_size",
	"message_queue_data", "async_dist", "scheduler",
};

static bool read_option(cnode_term option, struct options *o)
{
	cnode_term value;
	cnode_atom key;
	if (cn_term_is_atom(option, "link"))
		o->link = true;
	else if (cn_term_is_atom(option, "monitor"))
		o->monitor = true;
	else if (cnode_scan(option, "{~a,~t}", &key, &value) != 0)
		return false;
	else if (strcmp(key.text, "monitor") == 0)
		o->monitor = true;          /* OTP 23 sends it as it was given */
	else if (strcmp(key.text, "link") == 0)
		o->link = true;
	else if (strcmp(key.text, "name") == 0)
		return cnode_scan(value, "~a", &o->name) == 0;
	else
		return one_of(key.text, key.size, beams_own, CN_ARRAY_SIZE(beams_own));
	return true;
}

/* False: badopt. */
static bool read_options(cnode_term list, struct options *o)
{
	memset(o, 0, sizeof *o);
	cnode_reader r = cnode_read(list);
	size_t count = cnode_read_list(&r);
	if (r.error)
		return false;
	for (size_t i = 0; i < count; i++)
		if (!read_option(cnode_read_term(&r), o) || r.error)
			return false;
	return count == 0 || (cnode_read_type(&r) == CNODE_TYPE_NIL);
}

static void answer(const struct cn_origin *r, cnode_pid pid, const char *error)
{
	struct cn_spawn_answer a = {
		.peer = r->peer,
		.epoch = r->epoch,
		.request = r->id,
		.to = r->from,
		.pid = pid,
		.linked = !error && r->link,
		.monitored = !error && r->monitor,
		.error = error,
	};
	cn_cluster_spawn_answer(r->cluster, &a);
}

/* The atom that a start that failed is answered with. */
static void refuse_start(const struct cn_origin *r, int code, cnode_term reason)
{
	cnode_atom atom;
	bool said = cnode_scan(reason, "~a", &atom) == 0;
	/* notsup would make the caller believe that this node cannot spawn at all. */
	if (said && strcmp(atom.text, "notsup") != 0)
		answer(r, (cnode_pid){ 0 }, atom.text);
	else
		answer(r, (cnode_pid){ 0 }, code == CNODE_ENOTSUP ? "badarg" : cnode_error_atom(code));
}

static void origin_unref(struct cn_origin *r)
{
	if (atomic_fetch_sub(&r->refs, 1) == 1)
		cn_free(r);
}

static void started(void *ctx, cnode_pid pid, int code, cnode_term reason)
{
	struct cn_origin *r = ctx;
	if (code == 0)
		answer(r, pid, NULL);
	else
		refuse_start(r, code, reason);
	if (r->factory && code == 0)
		atomic_fetch_add(&r->factory->spawned, 1);
	origin_unref(r);
}

/* The service for a request; NULL: none. */
static const struct cn_service *service_for(struct cn_factories *f, const struct cn_spawn_request *q, bool *module)
{
	cn_mutex_lock(&f->lock);
	struct cn_service_entry *entry = f->services;
	cn_mutex_unlock(&f->lock);
	*module = false;
	for (; entry; entry = entry->next) {
		const struct cn_service *s = &entry->service;
		if (strcmp(s->module, q->module) != 0)
			continue;
		*module = true;
		if (strcmp(s->function, q->function) == 0 && s->arity == q->arity)
			return s;
	}
	return NULL;
}

/* Whom the request is for, and whether this peer may. 0, or the code of the refusal. */
static int choose(struct cn_factories *f, const struct cn_spawn_request *q, struct cn_gen_spec *gen,
		  struct cn_factory **factory)
{
	bool module;
	*factory = NULL;
	const struct cn_service *service = service_for(f, q, &module);
	if (service) {
		gen->behaviour = service->behaviour;
		gen->context = service->context;
		return service->may(service->context, q->peer, q->args);
	}
	if (module)
		return CNODE_EUNDEF;
	cn_mutex_lock(&f->lock);
	*factory = cn_factory_find(f, q->module);
	if (*factory) {
		gen->behaviour = (*factory)->behaviour;
		gen->context = (*factory)->context;
	}
	cn_mutex_unlock(&f->lock);
	if (!*factory)
		return CNODE_EUNDEF;
	bool off = atomic_load_explicit(&f->off, memory_order_relaxed);
	if (off || !cn_access_allowed(&(*factory)->who, q->peer)) {
		atomic_fetch_add(&(*factory)->refused, 1);
		cn_guard_refused(f->guard, CN_REFUSED_SPAWN, q->peer, q->module,
				 off ? "spawning is switched off" : "it is not on the list of the factory");
		return CNODE_ENOTALLOWED;
	}
	if (strcmp(q->function, "start") != 0 && strcmp(q->function, "start_link") != 0)
		return CNODE_EUNDEF;
	return 0;
}

/* May the peer give a process this name? */
static bool may_register(struct cn_factories *f, const char *peer, const char *name)
{
	if (cn_guard_ask(f->guard, CNODE_ACCESS_REGISTER, name, peer) != CN_ACCESS_NO)
		return true;
	cn_guard_refused(f->guard, CN_REFUSED_REGISTER, peer, name, "it is not on the list of the name");
	return false;
}

/* Starts the process. 0, or the code of the refusal; the origin is not taken then. */
static int start(struct cn_factories *f, const struct cn_spawn_request *q, const struct options *o,
		 const struct cn_gen_spec *gen, struct cn_origin *r)
{
	const char *why, *factory = r->factory ? r->factory->name : NULL;
	if (o->name.size && !may_register(f, q->peer, o->name.text))
		return CNODE_ENOTALLOWED;
	int rc = cn_quota_take(f->guard, q->peer, factory, cn_now(), &r->place, &why);
	if (rc == CNODE_ESYSLIMIT)
		cn_guard_refused(f->guard, CN_REFUSED_QUOTA, q->peer, q->module, why);
	if (rc != 0)
		return rc;
	struct cn_process_spec spec = {
		.parent = q->from,
		.leader = q->leader,
		.name = o->name.size ? o->name.text : NULL,
		.origin = r,
		.link = o->link,
		.monitor = o->monitor,
		.monitor_ref = q->request,
		.epoch = q->epoch,
		.started = started,
		.started_ctx = r,
	};
	cnode_pid pid;
	if (r->factory)
		atomic_fetch_add(&r->factory->processes, 1);
	rc = cn_gen_spawn(f->procs, gen, &spec, &pid);
	if (rc != 0) {
		cn_quota_give(f->guard, r->place);
		if (r->factory)
			atomic_fetch_sub(&r->factory->processes, 1);
	}
	return rc;
}

void cn_spawn_requested(struct cn_factories *f, struct cn_cluster *cluster, const struct cn_spawn_request *q)
{
	struct cn_origin at_hand = {
		.factories = f,
		.cluster = cluster,
		.peer = q->peer_name,
		.epoch = q->epoch,
		.id = q->request,
		.from = q->from,
	};
	struct options o;
	struct cn_gen_spec gen = { .factory = q->module, .args = q->args };
	int rc = choose(f, q, &gen, &at_hand.factory);
	if (rc != 0) {
		answer(&at_hand, (cnode_pid){ 0 }, cnode_error_atom(rc));
		return;
	}
	if (!read_options(q->options, &o)) {
		answer(&at_hand, (cnode_pid){ 0 }, "badopt");
		return;
	}
	at_hand.link = o.link;
	at_hand.monitor = o.monitor;
	struct cn_origin *r = cn_malloc(sizeof *r);
	if (!r) {
		answer(&at_hand, (cnode_pid){ 0 }, "system_limit");
		return;
	}
	*r = at_hand;
	atomic_init(&r->refs, 2);
	rc = start(f, q, &o, &gen, r);
	if (rc == 0)
		return;
	cn_free(r);
	answer(&at_hand, (cnode_pid){ 0 }, rc == CNODE_ENOMEM ? "system_limit" : cnode_error_atom(rc));
}

void cn_spawn_gone(struct cn_factories *f, void *origin)
{
	struct cn_origin *r = origin;
	cn_quota_give(f->guard, r->place);
	if (r->factory)
		atomic_fetch_sub(&r->factory->processes, 1);
	if (f->closed)
		cn_free(r);         /* nobody else will come for it */
	else
		origin_unref(r);
}

bool cn_spawn_may_exit(struct cn_factories *f, cnode_name peer, const struct cn_exit_target *target)
{
	char node[CNODE_NAME_SIZE];
	if (cnode_name_text(peer, node) != 0)
		return false;
	enum cn_access_answer said = cn_guard_ask(f->guard, CNODE_ACCESS_EXIT, target->label, node);
	const struct cn_origin *origin = target->origin;
	/* Who spawned it may end it, also if the factory was closed to him since: his supervisor waits for its end. */
	if (said == CN_ACCESS_YES || (said == CN_ACCESS_UNSAID && (target->parent.node == peer ||
	    (origin && origin->factory && cn_access_allowed(&origin->factory->who, node)))))
		return true;
	cn_guard_refused(f->guard, CN_REFUSED_EXIT, node, target->label,
			 said == CN_ACCESS_NO ? "it is not on the list for exit signals" : "it may not spawn such a process either");
	return false;
}
