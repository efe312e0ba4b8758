/* SPDX-License-Identifier: Apache-2.0 */
/* The calling side: gen:call/4 and gen_server:send_request/2 with a completion. */
#include "cnode/gen/inner.h"

/* ---- for any process ---- */

int cn_gen_request(struct cnode_process *self, const struct cn_target *to, const char *label, cnode_term request,
		   cnode_ref *ref)
{
	struct cn_procs *procs = cn_process_procs(self);
	cnode_name node = !cnode_pid_is_none(to->pid) ? to->pid.node : to->node ? to->node : cn_procs_node(procs);
	bool alias = cn_procs_has_alias(procs, node);
	int rc = cn_process_monitor(self, to, (alias ? CN_ALIAS_REPLY : CN_ALIAS_NONE) | CN_MONITOR_CALL, ref);
	if (rc != 0)
		return rc;
	struct cnode_builder b;
	cnode_term message;
	cn_builder_init(&b);
	cnode_build_tuple(&b, 3);
	cnode_build_atom(&b, label);
	cnode_build_tuple(&b, 2);
	cnode_build_pid(&b, cnode_self(self));
	if (alias) {
		cnode_build_list(&b);
		cnode_build_atom(&b, "alias");
		cnode_build_list_tail(&b);
	}
	cnode_build_ref(&b, *ref);
	cnode_build_term(&b, request);
	rc = cnode_builder_term(&b, &message);
	cn_builder_fini(&b);
	if (rc == 0) {
		rc = cn_process_send(self, to, message, 0);
		cnode_term_drop(message);
	}
	if (rc != 0)
		cn_gen_end(self, *ref);
	return rc;
}

/* The reference of {Ref, Reply} or {[alias|Ref], Reply}; *reply is borrowed. */
static bool read_reply(cnode_term term, cnode_ref *ref, cnode_term *reply)
{
	cnode_reader r = cnode_read(term);
	if (cnode_read_type(&r) != CNODE_TYPE_TUPLE || cnode_read_tuple(&r) != 2)
		return false;
	enum cnode_type type = cnode_read_type(&r);
	if (type == CNODE_TYPE_LIST) {
		if (cnode_read_list(&r) != 1 || cnode_read_type(&r) != CNODE_TYPE_ATOM || !cnode_read_is_atom(&r, "alias"))
			return false;
		type = cnode_read_type(&r);
	}
	if (type != CNODE_TYPE_REF)
		return false;
	*ref = cnode_read_ref(&r);
	*reply = cnode_read_term(&r);
	return r.error == 0;
}

static int status_of(cnode_term reason)
{
	/* Of node/route.c: the request waited for a connection, which then could not take it. */
	static const int undelivered[] = { CNODE_EBADTERM, CNODE_ETOOBIG, CNODE_ELIMIT, CNODE_ENOMEM };
	cnode_term code;
	if (cnode_scan(reason, "{undelivered,~t}", &code) == 0)
		for (size_t i = 0; i < CN_ARRAY_SIZE(undelivered); i++)
			if (cn_term_is_atom(code, cnode_error_atom(undelivered[i])))
				return undelivered[i];
	return cn_term_is_atom(reason, "noconnection") && !CN_MUTANT(call_lost_says_noproc) ? CNODE_ENOCONNECTION
		: cn_term_is_atom(reason, "noproc") || CN_MUTANT(call_lost_says_noproc) ? CNODE_ENOPROC : CNODE_EEXITED;
}

bool cn_gen_answer(const struct cn_message *m, const cnode_ref *ref, int *status, cnode_term *term)
{
	cnode_ref found;
	if (m->kind == CN_MSG_DOWN && cnode_ref_equal(m->about->ref, *ref)) {
		*term = m->term;
		*status = status_of(m->term);
		return true;
	}
	*status = 0;
	return m->kind == CN_MSG_MESSAGE && read_reply(m->term, &found, term) && cnode_ref_equal(found, *ref);
}

void cn_gen_end(struct cnode_process *self, cnode_ref ref)
{
	if (CN_MUTANT(call_keeps_monitor))
		return;
	(void)cnode_demonitor(self, ref, 0);    /* fails only if the process is dead, which ends it too */
}

bool cn_gen_is_late(const struct cnode_process *self, const struct cn_message *m)
{
	cnode_ref ref;
	cnode_term reply;
	if (m->kind == CN_MSG_DOWN)
		return cn_process_made_call(self, &m->about->ref);
	return m->kind == CN_MSG_MESSAGE && read_reply(m->term, &ref, &reply) && cn_process_made_call(self, &ref);
}

/* ---- with a completion ---- */

static struct request **bucket_of(struct gen *g, const cnode_ref *ref)
{
	return &g->requests->by_ref[CN_MUTANT(call_any_reply) ? 0 : ref->id[0] % REQUEST_BUCKETS];
}

static struct request **by_ref(struct gen *g, const cnode_ref *ref)
{
	struct request **at = bucket_of(g, ref);
	while (*at && !cnode_ref_equal((*at)->ref, *ref) && !CN_MUTANT(call_any_reply))
		at = &(*at)->next;
	return at;
}

static struct request **by_timer(struct gen *g, const cnode_ref *timer)
{
	struct request **at = &g->requests->by_timer[timer->id[0] % REQUEST_BUCKETS];
	while (*at && !cnode_ref_equal((*at)->timer, *timer))
		at = &(*at)->timer_next;
	return at;
}

/* Takes it out of both tables and ends what waits for it. */
static void take(struct gen *g, struct request *q)
{
	struct request **at;
	if (q->ref.words) {
		at = by_ref(g, &q->ref);
		*at = q->next;
	}
	if (q->timer.words) {
		at = by_timer(g, &q->timer);
		*at = q->timer_next;
		(void)cnode_cancel_timer(g->self, q->timer);    /* not there: it has fired */
	}
	if (q->ref.words)
		cn_gen_end(g->self, q->ref);
}

static int complete(struct gen *g, struct request *q, int status, cnode_term term)
{
	take(g, q);
	cnode_answer answer = { .size = sizeof answer, .status = status, .term = term, .ref = q->ref };
	int rc = q->done(g->self, g->memory, q->context, &answer);
	cn_free(q);
	return rc;
}

int requests_message(struct gen *g, struct cn_message *m, bool *used)
{
	struct request *q = NULL;
	cnode_ref ref;
	cnode_term term = { 0 };
	int status = 0;
	*used = false;
	if (!g->requests)
		return 0;
	switch ((enum cn_message_kind)m->kind) {
	case CN_MSG_MESSAGE:
		if (!read_reply(m->term, &ref, &term) || !cn_process_made_call(g->self, &ref))
			return 0;
		q = *by_ref(g, &ref);
		break;
	case CN_MSG_DOWN:
		if (!cn_process_made_call(g->self, &m->about->ref) || CN_MUTANT(call_end_unheard))
			return 0;
		q = *by_ref(g, &m->about->ref);
		term = m->term;
		status = status_of(term);
		break;
	case CN_MSG_TIMER:
		if (!cn_process_made_call(g->self, &m->about->ref))
			return 0;
		q = *by_timer(g, &m->about->ref);       /* NULL: it fired while the answer lay in the mailbox */
		status = q && q->ref.words ? CNODE_ETIMEOUT : 0;
		break;
	case CN_MSG_EXIT:
	case CN_MSG_NODEDOWN:
	case CN_MSG_NODES_UP:
	case CN_MSG_NODES_DOWN:
		return 0;
	}
	*used = true;
	int rc = q ? complete(g, q, status, term) : 0;  /* an answer that nobody waits for any more */
	cn_message_free(g->self, m);
	return rc;
}

void requests_free(struct gen *g)
{
	if (!g->requests)
		return;
	for (size_t i = 0; i < REQUEST_BUCKETS; i++)
		for (struct request *q = g->requests->by_timer[i], *next; q; q = next) {
			next = q->timer_next;
			if (!q->ref.words)
				cn_free(q);     /* of cnode_after: in this table only */
		}
	for (size_t i = 0; i < REQUEST_BUCKETS; i++)
		for (struct request *q = g->requests->by_ref[i], *next; q; q = next) {
			next = q->next;
			cn_free(q);
		}
	cn_free(g->requests);
}

static int request_new(struct gen *g, cnode_done_fn *done, void *context, struct request **made)
{
	if (!g || !done)
		return CNODE_ESTATE;
	if (!g->requests && !(g->requests = cn_calloc(1, sizeof *g->requests)))
		return CNODE_ENOMEM;
	struct request *q = cn_calloc(1, sizeof *q);
	if (!q)
		return CNODE_ENOMEM;
	q->done = done;
	q->context = context;
	*made = q;
	return 0;
}

static void await_timer(struct gen *g, struct request *q)
{
	struct request **at = &g->requests->by_timer[q->timer.id[0] % REQUEST_BUCKETS];
	q->timer_next = *at;
	*at = q;
}

int cnode_after(cnode_process *self, uint64_t ms, cnode_done_fn *done, void *context)
{
	struct gen *g = gen_of(self);
	struct request *q;
	int rc = request_new(g, done, context, &q);
	if (rc != 0)
		return rc;
	rc = cn_process_timer(self, ms, &q->timer, (cnode_term){ 0 });
	if (rc == 0)
		await_timer(g, q);
	else
		cn_free(q);
	return rc;
}

static int call(struct cnode_process *self, const struct cn_target *to, uint64_t timeout_ms, cnode_done_fn *done,
		void *context, const char *format, va_list args)
{
	struct gen *g = gen_of(self);
	struct request *q;
	cnode_term request;
	int rc = request_new(g, done, context, &q);
	if (rc != 0)
		return cn_format_refused(rc, format, args);
	rc = cnode_vformat(&request, format, args);
	if (rc != 0)
		goto free;
	if (timeout_ms != CNODE_INFINITY && !CN_MUTANT(call_timeout_ignored)) {
		rc = cn_process_timer(self, timeout_ms, &q->timer, (cnode_term){ 0 });
		if (rc != 0)
			goto drop;
	}
	rc = cn_gen_request(self, to, "$gen_call", request, &q->ref);
	if (rc != 0)
		goto cancel;
	cnode_term_drop(request);
	struct request **at = bucket_of(g, &q->ref);
	q->next = *at;
	*at = q;
	if (q->timer.words)
		await_timer(g, q);
	return 0;

cancel:
	if (q->timer.words)
		(void)cnode_cancel_timer(self, q->timer);
drop:
	cnode_term_drop(request);
free:
	cn_free(q);
	return rc;
}

int cnode_call_async(cnode_process *self, cnode_pid to, uint64_t timeout_ms, cnode_done_fn *done, void *context,
		     const char *format, ...)
{
	struct cn_target target = { .pid = to };
	va_list args;
	va_start(args, format);
	int rc = call(self, &target, timeout_ms, done, context, format, args);
	va_end(args);
	return rc;
}

int cnode_call_name_async(cnode_process *self, const char *name, const char *node, uint64_t timeout_ms,
			  cnode_done_fn *done, void *context, const char *format, ...)
{
	struct cn_target target;
	va_list args;
	va_start(args, format);
	int rc = cn_target_name(&target, name, node);
	rc = rc != 0 ? cn_format_refused(rc, format, args) : call(self, &target, timeout_ms, done, context, format, args);
	va_end(args);
	return rc;
}

/* ---- casts ---- */

static int cast(struct cnode_process *self, const struct cn_target *to, const char *format, va_list args)
{
	struct cnode_builder b;
	cnode_term message;
	cn_builder_init(&b);
	cnode_build_tuple(&b, 2);
	cnode_build_atom(&b, "$gen_cast");
	cn_build_vformat(&b, format, args);
	int rc = cnode_builder_term(&b, &message);
	cn_builder_fini(&b);
	if (rc != 0)
		return rc;
	rc = cn_process_send(self, to, message, 0);
	cnode_term_drop(message);
	return rc;
}

int cnode_cast(cnode_process *self, cnode_pid to, const char *format, ...)
{
	struct cn_target target = { .pid = to };
	va_list args;
	va_start(args, format);
	int rc = cast(self, &target, format, args);
	va_end(args);
	return rc;
}

int cnode_cast_name(cnode_process *self, const char *name, const char *node, const char *format, ...)
{
	struct cn_target target;
	va_list args;
	va_start(args, format);
	int rc = cn_target_name(&target, name, node);
	rc = rc != 0 ? cn_format_refused(rc, format, args) : cast(self, &target, format, args);
	va_end(args);
	return rc;
}
