/* SPDX-License-Identifier: Apache-2.0 */
/* The class of processes behind cnode_behaviour: what comes in, in the shape of gen_server. */
#include "cnode/gen/inner.h"

void start_free(struct start *s)
{
	cnode_term_drop(s->args);
	cn_free(s);
}

cnode_start start_shown(const struct start *s, const struct cnode_process *self)
{
	return (cnode_start){
		.size = sizeof(cnode_start),
		.args = s->args,
		.caller = s->caller,
		.factory = s->of_factory ? cn_process_label(self) : NULL,
		.context = s->context,
	};
}

int stop_with_code(struct cnode_process *self, int code)
{
	if (code >= 0 || cn_process_is_stopping(self))
		return code;
	cnode_term reason;
	if (cnode_format(&reason, "{cnode,~a,~z}", cnode_error_atom(code), cnode_strerror(code)) != 0)
		return code;            /* then the code's atom is the reason */
	(void)cn_process_stop(self, reason);
	cnode_term_drop(reason);
	return code;
}

/* ---- the idle timeout: one timer that looks how long it has been when it fires ---- */

static int idle_start(struct gen *g, uint64_t ms)
{
	return cn_process_timer(g->self, ms, &g->idle, (cnode_term){ 0 });
}

static int idle_fired(struct gen *g)
{
	uint64_t ms = g->behaviour.idle_timeout_ms, now = cn_now();
	uint64_t quiet = now > g->last ? (now - g->last) / CN_NS_PER_MS : 0;
	if (quiet < ms)
		return idle_start(g, ms - quiet);
	g->last = now;
	int rc = idle_start(g, ms);
	if (rc != 0 || !g->behaviour.handle_info)
		return rc;
	static const uint8_t timeout[] = { CN_SMALL_ATOM_UTF8, 7, 't', 'i', 'm', 'e', 'o', 'u', 't' };
	cnode_info info = { .size = sizeof info, .kind = CNODE_TIMEOUT, .message = cn_term_static(timeout, sizeof timeout) };
	return g->behaviour.handle_info(g->self, g->memory, &info);
}

/* ---- messages ---- */

static int handle_call(struct gen *g, cnode_term request)
{
	struct cnode_from *from = g->from;
	int rc;
	if (g->behaviour.handle_call)
		rc = g->behaviour.handle_call(g->self, g->memory, from, request);
	else
		rc = answered(cnode_reply(from, "{error,bad_request}"));
	if (CN_UNLIKELY(g->debug) && rc == 0 && !from->answered)
		debug_noreply(g);
	from_release(from);
	return rc;
}

static int handle_system(struct gen *g, cnode_term request)
{
	struct cnode_from *from = g->from;
	from->system = true;
	int rc = sys_message(g, from, request);
	from_release(from);
	return rc;
}

enum form { FORM_CALL, FORM_CAST, FORM_SYSTEM, FORM_OTHER };

/* The protocol a message belongs to; what looks like one but is not well formed is an ordinary message. */
static enum form form_of(struct gen *g, cnode_term message, cnode_term *request)
{
	cnode_reader r = cnode_read(message);
	if (cnode_read_type(&r) != CNODE_TYPE_TUPLE)
		return FORM_OTHER;
	size_t arity = cnode_read_tuple(&r);
	if ((arity != 2 && arity != 3) || cnode_read_type(&r) != CNODE_TYPE_ATOM)
		return FORM_OTHER;
	size_t size;
	const char *tag = cnode_read_atom(&r, &size);
	enum form form = FORM_OTHER;
	if (!tag)
		return FORM_OTHER;
	if (arity == 2 && size == 9 && memcmp(tag, "$gen_cast", 9) == 0)
		form = FORM_CAST;
	else if (arity == 3 && size == 9 && memcmp(tag, "$gen_call", 9) == 0)
		form = FORM_CALL;
	else if (arity == 3 && size == 6 && memcmp(tag, "system", 6) == 0)
		form = FORM_SYSTEM;
	else
		return FORM_OTHER;
	if (form != FORM_CAST && !from_read(g->from, cnode_read_term(&r)))
		return FORM_OTHER;
	*request = cnode_read_term(&r);
	return r.error == 0 ? form : FORM_OTHER;
}

int cn_gen_info(const struct cn_message *m, cnode_info *info, cnode_term *built)
{
	static const enum cnode_info_kind kinds[] = {
		[CN_MSG_MESSAGE] = CNODE_MESSAGE, [CN_MSG_DOWN] = CNODE_DOWN, [CN_MSG_EXIT] = CNODE_EXIT,
		[CN_MSG_NODEDOWN] = CNODE_NODEDOWN, [CN_MSG_TIMER] = CNODE_TIMER,
		[CN_MSG_NODES_UP] = CNODE_NODEUP, [CN_MSG_NODES_DOWN] = CNODE_NODEDOWN,
	};
	*info = (cnode_info){ .size = sizeof *info, .kind = kinds[m->kind] };
	*built = (cnode_term){ 0 };
	if (m->about) {
		info->pid = m->about->name ? (cnode_pid){ 0 } : m->about->pid;
		info->ref = m->about->ref;
	}
	if (m->kind == CN_MSG_MESSAGE || m->kind == CN_MSG_TIMER) {
		info->message = m->term;
		info->peer = m->peer;
		return 0;
	}
	int rc = cn_message_term(m, built);
	if (rc != 0)
		return rc;
	info->message = *built;
	if (m->kind != CN_MSG_NODEDOWN && m->kind != CN_MSG_NODES_UP)
		info->reason = m->term;
	info->connection_id = cn_message_connection(m);
	if (info->connection_id != 0)
		info->peer = m->about->node;
	return 0;
}

static int handle_info(struct gen *g, const struct cn_message *m)
{
	if (!g->behaviour.handle_info)
		return 0;
	cnode_info info;
	cnode_term built;
	int rc = cn_gen_info(m, &info, &built);
	if (rc == 0)
		rc = g->behaviour.handle_info(g->self, g->memory, &info);
	cnode_term_drop(built);
	return rc;
}

/*
 * Who calls chooses the pid and the tag that the answer goes to, and may choose such that it cannot be sent (more bits than
 * his node takes). That must not end a process whose callback returns what cnode_reply returned, as most do.
 */
static int outlived(struct gen *g, int rc)
{
	uint32_t held;
	if (rc != g->undelivered || cn_process_is_stopping(g->self) || CN_MUTANT(reply_failure_ends))
		return rc;
	char node[CNODE_NAME_SIZE] = "this node";
	if (g->peer)
		(void)cnode_name_text(g->peer, node);
	if (cn_log_pass(&g->gate, 1, &held))
		cnode_log(g->self, CNODE_LOG_WARNING, "an answer cannot be sent, who calls from %s will not get it: %s (%u others before it)", node,
			  cnode_strerror(rc), (unsigned)held);
	return 0;
}

/* The exit of the parent ends a process that traps exits, as in gen_server; so does the node's. */
static bool is_parents_exit(const struct gen *g, const struct cn_message *m)
{
	if (m->kind != CN_MSG_EXIT)
		return false;
	if (cnode_pid_equal(m->about->pid, cn_procs_root(cn_process_procs(g->self))))
		return true;
	return !(g->behaviour.flags & CNODE_RAW) && cnode_pid_equal(m->about->pid, cnode_parent(g->self));
}

static void defer(struct gen *g, struct cn_message *m)
{
	*(g->waiting_last ? &g->waiting_last->next : &g->waiting) = m;
	g->waiting_last = m;
}

static int gen_message(struct cnode_process *self, void *state, struct cn_message *m)
{
	struct gen *g = state;
	cnode_term request = { 0 };
	enum form form = FORM_OTHER;
	g->peer = m->kind == CN_MSG_MESSAGE ? m->peer : 0;
	g->undelivered = 0;
	int rc = 0;
	bool used = false;
	if (m->kind == CN_MSG_MESSAGE) {
		if (!(g->behaviour.flags & CNODE_RAW))
			form = form_of(g, m->term, &request);
	} else if (is_parents_exit(g, m)) {
		rc = cn_process_stop(self, m->term);
		cn_message_free(self, m);
		return rc;
	}
	if (CN_UNLIKELY(g->suspended && form != FORM_SYSTEM)) {
		defer(g, m);
		return 0;
	}
	if (m->kind == CN_MSG_TIMER && g->behaviour.idle_timeout_ms && cnode_ref_equal(m->about->ref, g->idle)) {
		cn_message_free(self, m);
		return stop_with_code(self, idle_fired(g));
	}
	g->last = cn_process_now(self);
	if (CN_UNLIKELY(g->debug) && form != FORM_SYSTEM)
		debug_in(g, m);
	switch (form) {
	case FORM_CALL:
		rc = handle_call(g, request);
		break;
	case FORM_CAST:
		if (g->behaviour.handle_cast)
			rc = g->behaviour.handle_cast(self, g->memory, request);
		if (CN_UNLIKELY(g->debug) && rc == 0)
			debug_noreply(g);
		break;
	case FORM_SYSTEM:
		rc = handle_system(g, request);
		break;
	case FORM_OTHER:
		rc = requests_message(g, m, &used);
		if (!used)
			rc = handle_info(g, m);
		if (CN_UNLIKELY(g->debug) && rc == 0)
			debug_noreply(g);
		break;
	}
	if (CN_UNLIKELY(rc != 0))
		rc = outlived(g, rc);
	if (!used)
		cn_message_free(self, m);
	return stop_with_code(self, rc);
}

/* ---- beginning and end ---- */

static int gen_init(struct cnode_process *self, void *state, void *arg)
{
	struct gen *g = state;
	struct start *s = arg;
	g->self = self;
	g->behaviour = s->behaviour;
	g->context = s->context;
	g->ended = s->ended;
	g->ended_context = s->ended_context;
	g->last = cn_process_now(self);
	int rc = 0;
	g->from = from_new(g);
	if (!g->from)
		rc = CNODE_ENOMEM;
	if (rc == 0 && g->behaviour.idle_timeout_ms)
		rc = idle_start(g, g->behaviour.idle_timeout_ms);
	if (rc == 0 && g->behaviour.init) {
		cnode_start how = start_shown(s, self);
		g->began = true;
		rc = g->behaviour.init(self, g->memory, &how);
	}
	start_free(s);
	return stop_with_code(self, rc);
}

static void gen_terminate(struct cnode_process *self, void *state, cnode_term reason)
{
	struct gen *g = state;
	if (g->behaviour.terminate)
		g->behaviour.terminate(self, g->memory, reason);
}

static void gen_fini(struct cnode_process *self, void *state, void *arg)
{
	struct gen *g = state;
	if (arg) {              /* ended before its first run */
		struct start s = *(struct start *)arg;
		start_free(arg);
		if (s.ended)
			s.ended(s.ended_context);
		return;
	}
	/* Where init never ran there is nothing of the program's. */
	if (g->behaviour.release && (g->began || !g->behaviour.init))
		g->behaviour.release(g->memory);
	for (struct cn_message *m = g->waiting, *next; m; m = next) {
		next = m->next;
		cn_message_free(self, m);
	}
	while (g->attachments) {
		struct cn_gen_attachment *a = g->attachments;
		cn_gen_detach(a);
		a->free(a);
	}
	requests_free(g);
	from_drop_all(g);
	debug_free(g);
	if (g->ended)
		g->ended(g->ended_context);
}

#define GEN_CLASS(flags_) { \
	.name = "gen_server", .flags = (flags_), .init = gen_init, .message = gen_message, \
	.terminate = gen_terminate, .fini = gen_fini, \
}
static const struct cn_process_class gen_classes[] = {
	GEN_CLASS(0), GEN_CLASS(CN_PROC_PROMPT), GEN_CLASS(CN_PROC_QUIET), GEN_CLASS(CN_PROC_PROMPT | CN_PROC_QUIET),
	GEN_CLASS(CN_PROC_LAST),
};

struct gen *gen_of(struct cnode_process *self)
{
	const struct cn_process_class *class = cn_process_class_of(self);
	for (size_t i = 0; i < CN_ARRAY_SIZE(gen_classes); i++)
		if (class == &gen_classes[i])
			return cn_process_state(self);
	return NULL;
}

void *cn_gen_state(struct cnode_process *self)
{
	struct gen *g = gen_of(self);
	return g ? g->memory : NULL;
}

int cn_gen_attach(struct cnode_process *self, struct cn_gen_attachment *a, void (*free)(struct cn_gen_attachment *a))
{
	struct gen *g = gen_of(self);
	if (!g)
		return CNODE_ESTATE;
	a->free = free;
	a->next = g->attachments;
	a->back = &g->attachments;
	if (a->next)
		a->next->back = &a->next;
	g->attachments = a;
	return 0;
}

void cn_gen_detach(struct cn_gen_attachment *a)
{
	*a->back = a->next;
	if (a->next)
		a->next->back = a->back;
}

cnode_name cnode_message_peer(const cnode_process *self)
{
	const struct gen *g = gen_of((struct cnode_process *)(uintptr_t)self);
	return g ? g->peer : 0;
}

/* With zeroes for what the program's lacks. */
static cnode_behaviour whole(const cnode_behaviour *b)
{
	cnode_behaviour all = { 0 };
	memcpy(&all, b, b->size < sizeof all ? b->size : sizeof all);
	return all;
}

int cn_gen_check(const cnode_behaviour *b)
{
	if (b->size < offsetof(cnode_behaviour, release) || b->state_size > SIZE_MAX / 2)
		return CNODE_EBADARG;
	cnode_behaviour all = whole(b);
	return all.run ? straight_check(&all) : 0;
}

bool cn_gen_is_straight(const cnode_behaviour *b)
{
	return b->size > offsetof(cnode_behaviour, run) && b->run;
}

int cn_gen_spawn(struct cn_procs *procs, const struct cn_gen_spec *gen, const struct cn_process_spec *spec, cnode_pid *pid)
{
	const cnode_behaviour *b = gen->behaviour;
	if (cn_gen_check(b) != 0)
		return CNODE_EBADARG;
	struct start *s = cn_calloc(1, sizeof *s);
	if (!s)
		return CNODE_ENOMEM;
	s->behaviour = whole(b);
	s->context = gen->context;
	s->caller = spec->parent;
	s->of_factory = gen->factory != NULL;
	s->ended = gen->ended;
	s->ended_context = gen->ended_context;
	int rc = cnode_term_keep(gen->args, &s->args);
	if (rc != 0) {
		cn_free(s);
		return rc;
	}
	struct cn_process_spec full = *spec;
	full.class = s->behaviour.run ? &straight_class
		     : &gen_classes[b->flags & CN_GEN_LAST ? 4 : (b->flags & CNODE_PROMPT ? 1 : 0) + (b->flags & CN_GEN_QUIET ? 2 : 0)];
	full.state_size = (s->behaviour.run ? straight_size : sizeof(struct gen)) + b->state_size;
	full.arg = s;
	if (gen->factory)
		full.label = gen->factory;
	rc = cn_process_spawn(procs, &full, pid);
	if (rc != 0)
		start_free(s);
	return rc;
}
