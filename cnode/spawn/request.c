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

#define REFUSALS_PER_SECOND 5u      /* lines in the log */

/* What is kept until the answer is known. */
struct request {
	struct cn_factories *factories;
	struct cn_factory *factory; /* NULL: a service */
	struct cn_cluster *cluster;
	cnode_name peer;
	uint64_t epoch;
	cnode_ref id;
	cnode_pid from;
	bool link, monitor;
};

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
		return CN_MUTANT(any_spawn_option) || one_of(key.text, key.size, beams_own, CN_ARRAY_SIZE(beams_own));
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

static void answer(const struct request *r, cnode_pid pid, const char *error)
{
	struct cn_spawn_answer a = {
		.peer = r->peer,
		.epoch = r->epoch,
		.request = r->id,
		.to = r->from,
		.pid = pid,
		.linked = !error && r->link && !CN_MUTANT(spawn_flags_lost),
		.monitored = !error && r->monitor && !CN_MUTANT(spawn_flags_lost),
		.error = error,
	};
	cn_cluster_spawn_answer(r->cluster, &a);
}

/* The atom that a start that failed is answered with. */
static void refuse_start(const struct request *r, int code, cnode_term reason)
{
	cnode_atom atom;
	bool said = cnode_scan(reason, "~a", &atom) == 0;
	/* notsup would make the caller believe that this node cannot spawn at all. */
	if (said && strcmp(atom.text, "notsup") != 0)
		answer(r, (cnode_pid){ 0 }, atom.text);
	else
		answer(r, (cnode_pid){ 0 }, code == CNODE_ENOTSUP ? "badarg" : cnode_error_atom(code));
}

static void started(void *ctx, cnode_pid pid, int code, cnode_term reason)
{
	struct request *r = ctx;
	if (code == 0)
		answer(r, pid, NULL);
	else
		refuse_start(r, code, reason);
	if (r->factory && code == 0)
		atomic_fetch_add(&r->factory->spawned, 1);
	cn_free(r);
}

static void log_refusal(struct cn_factories *f, const struct cn_spawn_request *q, const char *why)
{
	uint32_t held;
	if (!cn_log_pass(&f->gate, REFUSALS_PER_SECOND, &held))
		return;
	cn_log_line(f->log, CNODE_LOG_WARNING, "%s may not spawn %s:%s/%u here: %s%s", q->peer, q->module,
		    q->function, (unsigned)q->arity, why, held ? " (others were refused too)" : "");
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
		return CN_MUTANT(unknown_not_allowed) ? CNODE_ENOTALLOWED : CNODE_EUNDEF;
	if (!cn_access_allowed(&(*factory)->who, q->peer) && !CN_MUTANT(acl_ignored)) {
		atomic_fetch_add(&(*factory)->refused, 1);
		return CNODE_ENOTALLOWED;
	}
	if (strcmp(q->function, "start") != 0 && strcmp(q->function, "start_link") != 0)
		return CNODE_EUNDEF;
	return 0;
}

void cn_spawn_requested(struct cn_factories *f, struct cn_cluster *cluster, const struct cn_spawn_request *q)
{
	struct request at_hand = {
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
	if (rc == CNODE_ENOTALLOWED)
		log_refusal(f, q, "it is not on the list");
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
	struct request *r = cn_malloc(sizeof *r);
	if (!r) {
		answer(&at_hand, (cnode_pid){ 0 }, "system_limit");
		return;
	}
	*r = at_hand;
	struct cn_process_spec spec = {
		.parent = q->from,
		.leader = q->leader,
		.name = o.name.size ? o.name.text : NULL,
		.link = o.link && !CN_MUTANT(spawn_link_lost),
		.monitor = o.monitor && !CN_MUTANT(spawn_monitor_lost),
		.monitor_ref = q->request,
		.epoch = q->epoch,
		.started = started,
		.started_ctx = r,
	};
	cnode_pid pid;
	if (r->factory)
		atomic_fetch_add(&r->factory->processes, 1);
	rc = cn_gen_spawn(f->procs, &gen, &spec, &pid);
	if (rc == 0)
		return;
	if (r->factory)
		atomic_fetch_sub(&r->factory->processes, 1);
	cn_free(r);
	answer(&at_hand, (cnode_pid){ 0 }, rc == CNODE_ENOMEM ? "system_limit" : cnode_error_atom(rc));
}

void cn_spawn_gone(struct cn_factories *f, const char *label)
{
	struct cn_factory *factory = NULL;
	cn_mutex_lock(&f->lock);
	if (f->table)
		HASH_FIND_STR(f->table, label, factory);
	cn_mutex_unlock(&f->lock);
	uint64_t alive = factory ? atomic_load(&factory->processes) : 0;
	/* A process that the program started itself may bear the name of a factory: never below none. */
	while (alive > 0 && !atomic_compare_exchange_weak(&factory->processes, &alive, alive - 1))
		continue;
}
