/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SPAWN_REQUEST: from the words of a peer to a process, and the one answer.
 *
 * Besides {Factory, start, Args} two requests are understood that name the factory in their
 * arguments: {cnode, spawn, [Factory, Args, Options]}, for callers that cannot give options, and
 * proc_lib's, whose processes begin in proc_lib:init_p/5.
 * Follows: erts/emulator/beam/dist.c (SPAWN_REQUEST), erlang:spawn_request/5, proc_lib.erl.
 */
#include "cnode/spawn/inner.h"

/* What is asked for, once it is unwrapped. Texts and terms are borrowed from the request, or stand here. */
struct wanted {
	const char *module, *function;
	cnode_term args;
	cnode_term options;         /* those among the arguments of {cnode, spawn, 3}; zeroed: none */
	uint32_t arity;
	struct cn_wishes wishes;
	cnode_atom module_text, function_text;
};

/* ---- answers ---- */

static int failure(const struct cn_origin *r, const char *error, cnode_term *message)
{
	return cnode_format(message, "{spawn_reply,~r,error,~a}", r->id, error);
}

/* To a process of ours: as the node it asked would have it told. What it cannot be told of must not live. */
static void answer_here(struct cn_origin *r, cnode_pid pid, const char *error)
{
	static const uint8_t word[] = { CN_SMALL_ATOM_UTF8, 4, 'k', 'i', 'l', 'l' };
	struct cn_procs *procs = r->factories->procs;
	cnode_term message;
	int rc = error ? failure(r, error, &message) : cnode_format(&message, "{spawn_reply,~r,ok,~p}", r->id, pid);
	if (rc == 0) {
		struct cn_target to = { .pid = r->from };
		rc = cn_procs_send(procs, &to, message, 0);
		cnode_term_drop(message);
	}
	if (rc == 0)
		return;
	cn_procs_give(procs, r->from, r->lost);
	r->lost = NULL;
	if (!error) {
		struct cn_signal kill = { .kind = CN_SIG_EXIT2, .from = cn_procs_root(procs), .to = pid, .node = pid.node,
					  .term = cn_term_static(word, sizeof word) };
		(void)cn_procs_deliver(procs, &kill);   /* kill takes no memory */
	}
}

static void answer(struct cn_origin *r, cnode_pid pid, const char *error)
{
	if (!r->cluster) {
		answer_here(r, pid, error);
		return;
	}
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

/* {spawn_failed, ReqId, Reason}, for those who want more than an atom. It goes before the answer. */
static void tell_failure(const struct cn_origin *r, cnode_term reason)
{
	cnode_term message;
	if (cnode_format(&message, "{spawn_failed,~r,~t}", r->id, reason) != 0)
		return;                     /* the answer says that it failed, all the same */
	const cnode_ref *alias = r->failure_to.words ? &r->failure_to : NULL;
	struct cn_signal sig = { .kind = CN_SIG_MESSAGE, .to = r->from, .node = r->peer, .epoch = r->epoch, .term = message };
	struct cn_target to = { .pid = r->from, .alias = alias };
	if (alias) {
		sig.from = cn_procs_root(r->factories->procs);
		sig.to = to.pid = (cnode_pid){ 0 };
		sig.alias = alias;
	}
	if (r->cluster)
		cn_cluster_send(r->cluster, &sig, 0);
	else
		cn_procs_send(r->factories->procs, &to, message, 0);
	cnode_term_drop(message);
}

/* An answer holds an atom only: that of the reason, if it is one, else that of the code. */
static void refuse_start(struct cn_origin *r, int code, cnode_term reason)
{
	cnode_atom atom;
	if (r->tells_failure)
		tell_failure(r, reason);
	/* notsup would make the caller believe that this node cannot spawn at all. */
	if (cnode_scan(reason, "~a", &atom) == 0 && strcmp(atom.text, "notsup") != 0)
		answer(r, (cnode_pid){ 0 }, atom.text);
	else
		answer(r, (cnode_pid){ 0 }, code == CNODE_ENOTSUP ? "badarg" : code == CNODE_EEXITED ? "init_failed" : cnode_error_atom(code));
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
	cn_origin_unref(r);
}

/* ---- what is asked for ---- */

/* The arguments of {cnode, spawn, 3} or {proc_lib, init_p, 5} in place of what stands around them. 0, CNODE_EBADARG. */
static int unwrap(struct wanted *w)
{
	int rc;
	if (strcmp(w->module, "cnode") == 0 && strcmp(w->function, "spawn") == 0) {
		rc = cnode_scan(w->args, "[~a,~t,~t]", &w->module_text, &w->args, &w->options);
		w->function = "start";
	} else if (strcmp(w->module, "proc_lib") == 0 && strcmp(w->function, "init_p") == 0) {
		rc = cnode_scan(w->args, "[_,_,~a,~a,~t]", &w->module_text, &w->function_text, &w->args);
		w->function = w->function_text.text;
	} else {
		return 0;
	}
	enum cnode_type type = cnode_term_type(w->args);
	if (rc != 0 || (type != CNODE_TYPE_NIL && type != CNODE_TYPE_LIST))
		return CNODE_EBADARG;
	w->module = w->module_text.text;
	cnode_reader r = cnode_read(w->args);
	w->arity = (uint32_t)cnode_read_list(&r);
	return 0;
}

/* A peer's options are read under the lead, all of them in one go. */
static bool too_many(const struct wanted *w, cnode_term options)
{
	return w->options.size_ > CN_SPAWN_OPTIONS_MAX || options.size_ > CN_SPAWN_OPTIONS_MAX;
}

/* All its options. False: badopt. */
static bool read_wishes(struct wanted *w, cnode_term options)
{
	return (cn_term_is_none(w->options) || cn_wishes_read(&w->wishes, w->options)) && cn_wishes_read(&w->wishes, options) &&
	       cn_wishes_fit(&w->wishes);
}

/* The service for a request; NULL: none. */
static const struct cn_service *service_for(struct cn_factories *f, const struct wanted *w, bool *module)
{
	cn_mutex_lock(&f->lock);
	struct cn_service_entry *entry = f->services;
	cn_mutex_unlock(&f->lock);
	*module = false;
	for (; entry; entry = entry->next) {
		const struct cn_service *s = &entry->service;
		if (strcmp(s->module, w->module) != 0)
			continue;
		*module = true;
		if (strcmp(s->function, w->function) == 0 && s->arity == w->arity)
			return s;
	}
	return NULL;
}

static int refused(struct cn_factories *f, const char *peer, const struct wanted *w, const char *why)
{
	cn_guard_refused(f->guard, CN_REFUSED_SPAWN, peer, w->module, why);
	return CNODE_ENOTALLOWED;
}

/* What is not there: undef, or a process that ends with it, or as if it were only closed. */
static int unknown(struct cn_factories *f, const char *peer, const struct wanted *w, enum cnode_unknown how,
		   struct cn_gen_spec *gen)
{
	switch (how) {
	case CNODE_UNKNOWN_UNDEF:
		break;
	case CNODE_UNKNOWN_HIDDEN:
		return refused(f, peer, w, "there is no such factory or function");
	case CNODE_UNKNOWN_DIES:
		gen->behaviour = &cn_spawn_undef;
		gen->context = NULL;
		return 0;
	}
	return CNODE_EUNDEF;
}

/* Whom the request is for, and whether this peer may. r gets the factory, if it is for one. 0, or the code of the refusal. */
static int choose(struct cn_factories *f, const char *peer, const struct wanted *w, struct cn_gen_spec *gen, struct cn_origin *r)
{
	bool module;
	const struct cn_service *service = service_for(f, w, &module);
	if (service) {
		gen->behaviour = service->behaviour;
		gen->context = service->context;
		return service->may(service->context, peer, w->args);
	}
	if (module)
		return CNODE_EUNDEF;
	enum cnode_unknown how = (enum cnode_unknown)atomic_load_explicit(&f->unknown, memory_order_relaxed);
	cn_mutex_lock(&f->lock);
	struct cn_factory *factory = r->factory = cn_factory_find(f, w->module);
	bool allowed = false;
	if (factory) {
		gen->behaviour = factory->behaviour;
		gen->context = factory->context;
		how = factory->unknown;
		r->era = atomic_load(&factory->era);
		/* Under the lock, so that it is this behaviour's list: the name may be another's at once. */
		allowed = cn_access_allowed(&factory->who, peer);
	}
	cn_mutex_unlock(&f->lock);
	if (atomic_load_explicit(&f->off, memory_order_relaxed))
		return refused(f, peer, w, "spawning is switched off");
	if (!factory)
		return CN_MUTANT(unknown_not_allowed) ? CNODE_ENOTALLOWED : unknown(f, peer, w, how, gen);
	if (!allowed && !CN_MUTANT(acl_ignored)) {
		atomic_fetch_add(&factory->refused, 1);
		return refused(f, peer, w, "it is not on the list of the factory");
	}
	if (strcmp(w->function, "start") != 0 && strcmp(w->function, "start_link") != 0)
		return unknown(f, peer, w, how, gen);
	return 0;
}

/* ---- starting ---- */

/* The registration has ended: the process begins, or ends before it has begun. */
static void registered(void *ctx, int code)
{
	struct cn_origin *r = ctx;
	struct cn_procs *procs = r->factories->procs;
	cnode_term reason;
	if (code == 0) {
		cn_procs_resume(procs, r->pid);
	} else if (cnode_format(&reason, "~a", cnode_error_atom(code)) == 0) {
		struct cn_signal sig = { .kind = CN_SIG_EXIT2, .from = cn_procs_root(procs), .to = r->pid, .term = reason };
		cn_procs_deliver(procs, &sig);
		cnode_term_drop(reason);
	} else {
		/* Without memory for a word: it is killed, and the answer says so. */
		static const uint8_t kill[] = { CN_SMALL_ATOM_UTF8, 4, 'k', 'i', 'l', 'l' };
		struct cn_signal sig = { .kind = CN_SIG_EXIT2, .from = cn_procs_root(procs), .to = r->pid,
					 .term = cn_term_static(kill, sizeof kill) };
		cn_procs_deliver(procs, &sig);
	}
	cn_origin_unref(r);
}

static void register_globally(struct cn_factories *f, struct cn_origin *r, const char *name)
{
	cnode_term atom;
	int rc = cnode_format(&atom, "~a", name);
	if (rc == 0) {
		rc = f->global.register_name(f->global.ctx, atom, r->pid, registered, r);
		cnode_term_drop(atom);
	}
	if (rc != 0)
		registered(r, rc);
}

/* What the process keeps of the wishes. 0, CNODE_ENOMEM. */
static int give(struct cn_origin *r, const struct cn_wishes *w)
{
	if (w->application.size && !(r->application = cn_strdup(w->application.text)))
		return CNODE_ENOMEM;
	return cn_term_is_none(w->env) || CN_MUTANT(env_lost) ? 0 : cnode_term_keep(w->env, &r->env);
}

/* Starts the process; q->peer NULL: for one of ours. 0, or the code of the refusal; the origin is not taken then. */
static int start(struct cn_factories *f, const struct cn_spawn_request *q, const struct wanted *w,
		 const struct cn_gen_spec *gen, struct cn_origin *r)
{
	const struct cn_wishes *wishes = &w->wishes;
	const char *why;
	bool named = wishes->name.size && wishes->registration != CN_REGISTER_NONE;
	bool globally = named && wishes->registration == CN_REGISTER_GLOBAL;
	if (named && q->peer && !cn_guard_may_register(f->guard, q->peer, wishes->name.text))
		return CNODE_ENOTALLOWED;
	int rc = give(r, wishes);
	if (rc != 0)
		return rc;
	if (q->peer)
		rc = cn_quota_take(f->guard, q->peer, r->factory ? r->factory->name : NULL, cn_now(), &r->place, &why);
	if (rc == CNODE_ESYSLIMIT)
		cn_guard_refused(f->guard, CN_REFUSED_QUOTA, q->peer, w->module, why);
	if (rc != 0)
		return rc;
	struct cn_process_spec spec = {
		.parent = q->from,
		.leader = q->leader,
		.name = named && !globally && !CN_MUTANT(spawn_name_lost) ? wishes->name.text : NULL,
		.origin = r,
		.start_ns = CN_MUTANT(start_timeout_ignored) ? 0 : wishes->start_ns,
		.init_ns = CN_MUTANT(init_timeout_ignored) ? 0 : wishes->init_ns,
		.at_once = wishes->at_once && !globally,
		.held = globally && !CN_MUTANT(spawn_name_late),
		.max_messages = CN_MUTANT(mailbox_limit_ignored) ? 0 : wishes->max_messages,
		.drops = wishes->drops,
		.log_level = wishes->says_level ? &wishes->level : NULL,
		.link = wishes->link && !CN_MUTANT(spawn_link_lost),
		.monitor = wishes->monitor && !CN_MUTANT(spawn_monitor_lost),
		.monitor_ref = q->request,
		.epoch = q->epoch,
		.started = started,
		.started_ctx = r,
	};
	if (r->factory)
		atomic_fetch_add(&r->factory->processes, 1);
	if (globally)
		atomic_fetch_add(&r->refs, 1);
	cnode_pid pid;
	rc = cn_gen_spawn(f->procs, gen, &spec, &pid);
	if (rc != 0) {
		if (r->place)
			cn_quota_give(f->guard, r->place);
		if (r->factory)
			atomic_fetch_sub(&r->factory->processes, 1);
	} else if (globally) {
		r->pid = pid;
		register_globally(f, r, wishes->name.text);
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
	struct wanted w;
	w.module = q->module;
	w.function = q->function;
	w.args = q->args;
	w.options = (cnode_term){ 0 };
	w.arity = q->arity;
	memset(&w.wishes, 0, offsetof(struct cn_wishes, name));
	w.wishes.name.size = w.wishes.application.size = 0;
	struct cn_gen_spec gen = { 0 };
	const char *word = NULL;
	int rc = unwrap(&w);
	if (rc == 0)
		rc = choose(f, q->peer, &w, &gen, &at_hand);
	/* Who may not spawn has none of his options looked at. */
	if (rc == 0 && too_many(&w, q->options))
		word = "system_limit";
	else if (rc == 0 && !read_wishes(&w, q->options))
		word = "badopt";
	/* Nobody is told things by us in the name of a peer. */
	if (rc == 0 && !word && w.wishes.failure_to.words && w.wishes.failure_to.node != q->peer_name)
		word = "badopt";
	if (rc == 0 && !word && w.wishes.registration == CN_REGISTER_GLOBAL && w.wishes.name.size && !f->global.register_name)
		word = "no_global";
	if (rc != 0 || word) {
		answer(&at_hand, (cnode_pid){ 0 }, word ? word : cnode_error_atom(rc));
		return;
	}
	gen.factory = w.module;
	gen.args = w.args;
	cnode_term undefined = { 0 };
	if (gen.behaviour == &cn_spawn_undef) {
		rc = cnode_format(&undefined, "{~a,~a,~t}", w.module, w.function, w.args);
		gen.args = undefined;
	}
	at_hand.link = w.wishes.link;
	at_hand.monitor = w.wishes.monitor;
	at_hand.tells_failure = w.wishes.tells_failure;
	at_hand.failure_to = w.wishes.failure_to;
	struct cn_origin *r = rc == 0 ? cn_malloc(sizeof *r) : NULL;
	if (r) {
		*r = at_hand;
		atomic_init(&r->refs, 2);
		rc = start(f, q, &w, &gen, r);
		if (rc != 0) {
			atomic_store(&r->refs, 1);
			cn_origin_unref(r);
		}
	} else {
		rc = CNODE_ENOMEM;
	}
	cnode_term_drop(undefined);
	if (rc != 0)
		answer(&at_hand, (cnode_pid){ 0 }, rc == CNODE_ENOMEM ? "system_limit" : cnode_error_atom(rc));
}

int cn_spawn_here(struct cn_factories *f, cnode_process *self, const char *module, cnode_term args,
		  const cnode_spawn_options *o, const struct cn_outbound *out, cnode_ref *ref)
{
	struct cn_spawn_request q = {
		.from = cnode_self(self), .leader = cnode_group_leader(self), .epoch = CN_EPOCH_ANY, .args = args,
	};
	struct wanted w;
	w.module = module;
	w.args = args;
	memset(&w.wishes, 0, offsetof(struct cn_wishes, name));
	w.wishes.name.size = w.wishes.application.size = 0;
	w.wishes.link = o->link;
	w.wishes.monitor = o->monitor;
	if (!cn_wishes_read(&w.wishes, out->options) || !cn_wishes_read(&w.wishes, out->extras) || !cn_wishes_fit(&w.wishes))
		return CNODE_EBADARG;
	struct cn_origin *r = cn_calloc(1, sizeof *r);
	if (!r)
		return CNODE_ENOMEM;
	*ref = q.request = cn_procs_make_ref(f->procs);
	*r = (struct cn_origin){
		.factories = f, .id = *ref, .from = q.from, .link = o->link, .monitor = o->monitor,
		.tells_failure = w.wishes.tells_failure, .failure_to = w.wishes.failure_to,
	};
	atomic_init(&r->refs, 2);
	cnode_term lost;
	if (failure(r, "system_limit", &lost) == 0) {
		r->lost = cn_message_new(lost);
		cnode_term_drop(lost);
	}
	if (!r->lost) {
		cn_free(r);
		return CNODE_ENOMEM;
	}
	struct cn_gen_spec gen = { .factory = module, .args = args };
	cn_mutex_lock(&f->lock);
	r->factory = cn_factory_find(f, module);
	if (r->factory) {
		gen.behaviour = r->factory->behaviour;
		gen.context = r->factory->context;
		r->era = atomic_load(&r->factory->era);
	}
	cn_mutex_unlock(&f->lock);
	int rc = !r->factory ? CNODE_EUNDEF : start(f, &q, &w, &gen, r);
	if (rc != 0) {
		answer(r, (cnode_pid){ 0 }, rc == CNODE_ENOMEM ? "system_limit" : cnode_error_atom(rc));
		atomic_store(&r->refs, 1);
		cn_origin_unref(r);
	}
	return 0;
}

void cn_spawn_gone(struct cn_factories *f, void *origin)
{
	struct cn_origin *r = origin;
	if (r->place)
		cn_quota_give(f->guard, r->place);
	if (r->factory)
		atomic_fetch_sub(&r->factory->processes, 1);
	if (f->closed)
		atomic_store(&r->refs, 1);          /* nobody else will come for it */
	cn_origin_unref(r);
}

/* Does the list of the factory that made the process let the peer? */
static bool may_spawn(const struct cn_origin *r, const char *peer)
{
	/* The era is read last: if it is still the same, the list was still that of this behaviour. */
	return r && r->factory && cn_access_allowed(&r->factory->who, peer) && atomic_load(&r->factory->era) == r->era;
}

bool cn_spawn_may_exit(struct cn_factories *f, cnode_name peer, const struct cn_exit_target *target)
{
	char node[CNODE_NAME_SIZE];
	if (cnode_name_text(peer, node) != 0)
		return false;
	enum cn_access_answer said = cn_guard_ask(f->guard, CNODE_ACCESS_EXIT, target->label, node);
	const struct cn_origin *origin = target->origin;
	/* Who spawned it may end it, also if the factory was closed to him since: his supervisor waits for its end. */
	if (said == CN_ACCESS_YES || CN_MUTANT(exit_list_ignored) ||
	    (said == CN_ACCESS_UNSAID && ((target->parent.node == peer && !CN_MUTANT(exit_not_for_parent)) || may_spawn(origin, node))))
		return true;
	cn_guard_refused(f->guard, CN_REFUSED_EXIT, node, target->label,
			 said == CN_ACCESS_NO ? "it is not on the list for exit signals" : "it may not spawn such a process either");
	return false;
}

/* ---- a process of a function that is not there ---- */

static int undef_init(cnode_process *self, void *state, const cnode_start *how)
{
	cnode_atom module, function;
	cnode_term args;
	(void)state;
	int rc = cnode_scan(how->args, "{~a,~a,~t}", &module, &function, &args);
	if (rc == 0)
		cnode_stop(self, "{undef,[{~a,~a,~t,[]}]}", module.text, function.text, args);
	return rc;
}

const cnode_behaviour cn_spawn_undef = { CNODE_BEHAVIOUR_INIT, .flags = CN_GEN_QUIET, .init = undef_init };
