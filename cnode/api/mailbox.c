/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mailboxes: processes of threads that are not ours. A mailbox waits on its own condition,
 * which proc's notify signals; on a node without threads waiting drives the node.
 */
#include "cnode/api/api.h"

#include <stdio.h>
#include <unistd.h>

#include "compat/compat.h"

#define SPAWN_TIMEOUT_MS 5000

struct cnode_mailbox {
	cnode_node *node;
	struct cnode_process *self;
	struct cn_message *held;    /* what cnode_receive gave last */
	cnode_term built;           /* and the term that was made for it */
	char error[CN_ERROR_TEXT];
	uint32_t given_up;          /* calls that timed out: an answer may still come */
	struct cn_mutex lock;       /* guards what follows */
	struct cn_cond arrived;
	bool woken;
	int fd;                     /* -1: nobody asked for it */
};

/* The state of the process is the way back to its mailbox. */
struct mailbox_state {
	cnode_mailbox *mailbox;
};

static void notify(struct cnode_process *self, void *state)
{
	(void)self;
	cnode_mailbox *mb = ((struct mailbox_state *)state)->mailbox;
	cn_mutex_lock(&mb->lock);
	mb->woken = true;
	cn_cond_signal(&mb->arrived);
	if (mb->fd >= 0)
		cn_event_set(mb->fd);
	cn_mutex_unlock(&mb->lock);
}

static int init(struct cnode_process *self, void *state, void *arg)
{
	(void)self;
	((struct mailbox_state *)state)->mailbox = arg;
	return 0;
}

static const struct cn_process_class mailbox_class = {
	.name = "mailbox", .flags = CN_PROC_OWN_THREAD | CN_PROC_QUIET, .init = init, .notify = notify,
};

int cn_mailbox_fail(cnode_mailbox *mb, int code, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	vsnprintf(mb->error, sizeof mb->error, fmt, args);
	va_end(args);
	return code;
}

/* ---- life ---- */

int cnode_mailbox_open(cnode_node *node, const char *name, cnode_mailbox **made)
{
	*made = NULL;
	cnode_mailbox *mb = cn_calloc(1, sizeof *mb);
	if (!mb)
		return cn_api_fail(node, CNODE_ENOMEM, "mailbox %s: out of memory", name ? name : "without name");
	mb->node = node;
	mb->fd = -1;
	cn_mutex_init(&mb->lock);
	cn_cond_init(&mb->arrived);
	struct cn_process_spec spec = { .class = &mailbox_class, .state_size = sizeof(struct mailbox_state), .arg = mb,
					.name = name, .leader = node->user };
	atomic_fetch_add(&node->mailboxes, 1);
	int rc = cn_process_open(node->procs, &spec, &mb->self);
	if (rc != 0) {
		atomic_fetch_sub(&node->mailboxes, 1);
		cn_cond_fini(&mb->arrived);
		cn_mutex_fini(&mb->lock);
		cn_free(mb);
		return cn_api_fail(node, rc, "mailbox %s cannot be opened: %s", name ? name : "without name", cnode_strerror(rc));
	}
	*made = mb;
	return 0;
}

static void let_go(cnode_mailbox *mb)
{
	cn_message_free(mb->self, mb->held);
	mb->held = NULL;
	cnode_term_drop(mb->built);
	mb->built = (cnode_term){ 0 };
}

void cnode_mailbox_close(cnode_mailbox *mb)
{
	if (!mb)
		return;
	static const uint8_t normal[] = { CN_SMALL_ATOM_UTF8, 6, 'n', 'o', 'r', 'm', 'a', 'l' };
	let_go(mb);
	cn_process_exit(mb->self, cn_term_static(normal, sizeof normal));
	atomic_fetch_sub(&mb->node->mailboxes, 1);
	if (atomic_load(&mb->node->stop))
		cn_wake_post(mb->node->loop, &mb->node->look);
	if (mb->fd >= 0)
		close(mb->fd);
	cn_cond_fini(&mb->arrived);
	cn_mutex_fini(&mb->lock);
	cn_free(mb);
}

cnode_process *cnode_mailbox_process(cnode_mailbox *mb)
{
	return mb->self;
}

const char *cnode_mailbox_error(const cnode_mailbox *mb)
{
	return mb->error;
}

int cnode_mailbox_fd(cnode_mailbox *mb)
{
	cn_mutex_lock(&mb->lock);
	if (mb->fd < 0) {
		mb->fd = cn_event_open();
		/* Something may lie there already. */
		if (mb->fd >= 0)
			cn_event_set(mb->fd);
	}
	int fd = mb->fd;
	cn_mutex_unlock(&mb->lock);
	return fd < 0 ? cn_mailbox_fail(mb, CNODE_EFDS, "no file descriptor is left") : fd;
}

/* ---- waiting ---- */

static uint64_t deadline_of(uint64_t timeout_ms)
{
	uint64_t now = cn_now();
	if (timeout_ms == CNODE_INFINITY || timeout_ms > (CN_NEVER - now - 1) / CN_NS_PER_MS)
		return CN_NEVER;
	return now + timeout_ms * CN_NS_PER_MS;
}

/* Until something arrives. False: the deadline has passed. */
static bool wait_arrival(cnode_mailbox *mb, uint64_t deadline)
{
	if (mb->node->threadless) {
		if (deadline != CN_NEVER && cn_now() >= deadline)
			return false;
		cn_api_drive(mb->node, deadline);
		return true;
	}
	bool in_time = true;
	cn_mutex_lock(&mb->lock);
	while (!mb->woken && in_time)
		in_time = cn_cond_wait_until(&mb->arrived, &mb->lock, deadline);
	mb->woken = false;
	cn_mutex_unlock(&mb->lock);
	return in_time;
}

/* The first message that is wanted. CNODE_ETIMEOUT, CNODE_EEXITED, CNODE_ESHUTDOWN. */
static int take(cnode_mailbox *mb, cn_wanted_fn *wanted, void *ctx, uint64_t deadline, struct cn_message **m)
{
	for (;;) {
		*m = cn_process_receive(mb->self, wanted, ctx);
		if (*m)
			return 0;
		if (cnode_cancelled(mb->self))
			return atomic_load(&mb->node->stop)
				       ? cn_mailbox_fail(mb, CNODE_ESHUTDOWN, "%s is shutting down", mb->node->name)
				       : cn_mailbox_fail(mb, CNODE_EEXITED, "an exit signal has ended the mailbox");
		if (cn_api_life(mb->node) == CN_LIFE_DOWN)
			return cn_mailbox_fail(mb, CNODE_ESHUTDOWN, "%s is down", mb->node->name);
		if (!wait_arrival(mb, deadline)) {
			/* What came in the last moment still counts. */
			*m = cn_process_receive(mb->self, wanted, ctx);
			return *m ? 0 : CNODE_ETIMEOUT;
		}
	}
}

/* A sender that the network made pause waits here, before it sends more. */
static int wait_resumed(cnode_mailbox *mb, uint64_t deadline)
{
	while (cn_process_is_suspended(mb->self) && !cnode_cancelled(mb->self))
		if (!wait_arrival(mb, deadline))
			return CNODE_ETIMEOUT;
	return 0;
}

static bool late_answer(void *ctx, const struct cn_message *m)
{
	cnode_mailbox *mb = ctx;
	return cn_gen_is_late(mb->self, m);
}

/*
 * Answers to requests that were given up do not pile up. Only a request that timed out
 * can have one, and looking for it costs the whole mailbox.
 */
static void drop_late(cnode_mailbox *mb)
{
	struct cn_message *m;
	while (mb->given_up > 0 && (m = cn_process_receive(mb->self, late_answer, mb))) {
		mb->given_up--;
		cn_message_free(mb->self, m);
	}
}

int cnode_receive(cnode_mailbox *mb, cnode_info *info, uint64_t timeout_ms)
{
	let_go(mb);
	cn_mutex_lock(&mb->lock);
	if (mb->fd >= 0)
		cn_event_clear(mb->fd);
	cn_mutex_unlock(&mb->lock);
	struct cn_message *m;
	uint64_t deadline = deadline_of(timeout_ms);
	int rc;
	while ((rc = take(mb, NULL, NULL, deadline, &m)) == 0 && cn_gen_is_late(mb->self, m)) {
		mb->given_up -= mb->given_up > 0;
		cn_message_free(mb->self, m);
	}
	if (rc != 0)
		return rc;
	/* While more is there, the descriptor stays readable. */
	if (cn_process_peek(mb->self, NULL, NULL)) {
		cn_mutex_lock(&mb->lock);
		if (mb->fd >= 0)
			cn_event_set(mb->fd);
		cn_mutex_unlock(&mb->lock);
	}
	mb->held = m;
	rc = cn_gen_info(m, info, &mb->built);
	if (rc != 0)
		let_go(mb);
	return rc;
}

/* ---- calls ---- */

struct wanted_answer {
	cnode_ref ref;
};

static bool is_answer(void *ctx, const struct cn_message *m)
{
	struct wanted_answer *w = ctx;
	int status;
	cnode_term term;
	return cn_gen_answer(m, &w->ref, &status, &term);
}

/* What a target is called in an error text. */
struct label {
	char text[CNODE_NAME_SIZE + 300];
};

static const char *label_of(struct label *l, const struct cn_target *to)
{
	char node[CNODE_NAME_SIZE];
	if (to->name) {
		cnode_name_text(to->node, node);
		snprintf(l->text, sizeof l->text, "%s on %s", to->name, *node ? node : "this node");
	} else {
		cnode_name_text(to->pid.node, node);
		snprintf(l->text, sizeof l->text, "<%s.%u.%u>", node, (unsigned)to->pid.id, (unsigned)to->pid.serial);
	}
	return l->text;
}

/* Ends a call that was answered with a status. */
static int explain(cnode_mailbox *mb, const char *whom, int status, cnode_term reason, bool was_up, uint64_t began)
{
	char text[400];
	unsigned long long ms = (cn_now() - began) / CN_NS_PER_MS;
	switch (status) {
	case CNODE_ENOCONNECTION:
		return was_up ? cn_mailbox_fail(mb, status, "%s: the connection to its node was lost while waiting for the answer, after %llu ms", whom, ms)
			      : cn_mailbox_fail(mb, status, "%s: its node cannot be reached (after %llu ms)", whom, ms);
	case CNODE_ENOPROC:
		return cn_mailbox_fail(mb, status, "%s: there is no such process", whom);
	default:
		cn_term_brief(reason, text, sizeof text);
		return cn_mailbox_fail(mb, status, "%s: it ended without an answer, after %llu ms: %s", whom, ms, text);
	}
}

static int call(cnode_mailbox *mb, const struct cn_target *to, const char *label, uint64_t timeout_ms, cnode_term *reply,
		cnode_term request)
{
	struct label name;
	struct wanted_answer wanted;
	struct cn_message *m;
	uint64_t deadline = deadline_of(timeout_ms), began = cn_now();
	int rc = wait_resumed(mb, deadline);
	bool was_up = cn_cluster_is_up(mb->node->cluster, to->name ? to->node : to->pid.node);
	if (rc == 0)
		rc = cn_gen_request(mb->self, to, label, request, &wanted.ref);
	if (rc != 0)
		return cn_mailbox_fail(mb, rc, "%s: the request cannot be sent: %s", label_of(&name, to), cnode_strerror(rc));
	rc = take(mb, is_answer, &wanted, deadline, &m);
	if (rc == 0) {
		cnode_term term;
		int status = 0;
		cn_gen_answer(m, &wanted.ref, &status, &term);
		rc = status == 0 ? cnode_term_keep(term, reply)
				 : explain(mb, label_of(&name, to), status, term, was_up, began);
		cn_message_free(mb->self, m);
	} else if (rc == CNODE_ETIMEOUT) {
		cn_mailbox_fail(mb, rc, "%s: no answer within %llu ms", label_of(&name, to), (unsigned long long)timeout_ms);
		mb->given_up++;
	}
	cn_gen_end(mb->self, wanted.ref);
	drop_late(mb);
	return rc;
}

int cnode_call(cnode_mailbox *mb, cnode_pid to, uint64_t timeout_ms, cnode_term *reply, const char *format, ...)
{
	cnode_term request;
	va_list args;
	va_start(args, format);
	int rc = cnode_vformat(&request, format, args);
	va_end(args);
	if (rc != 0)
		return cn_mailbox_fail(mb, rc, "the request cannot be built: %s", cnode_strerror(rc));
	struct cn_target target = { .pid = to };
	rc = call(mb, &target, "$gen_call", timeout_ms, reply, request);
	cnode_term_drop(request);
	return rc;
}

int cnode_call_name(cnode_mailbox *mb, const char *name, const char *node, uint64_t timeout_ms, cnode_term *reply,
		    const char *format, ...)
{
	cnode_term request;
	va_list args;
	va_start(args, format);
	int rc = cnode_vformat(&request, format, args);
	va_end(args);
	if (rc != 0)
		return cn_mailbox_fail(mb, rc, "the request cannot be built: %s", cnode_strerror(rc));
	struct cn_target target;
	rc = cn_target_name(&target, name, node);
	if (rc != 0)
		cn_mailbox_fail(mb, rc, "%s on %s: not the name of a process and a node", name, node ? node : "this node");
	else
		rc = call(mb, &target, "$gen_call", timeout_ms, reply, request);
	cnode_term_drop(request);
	return rc;
}

/* ---- calls of many ---- */

struct wanted_answers {
	const cnode_ref *refs;      /* words 0: answered, or never sent */
	size_t count;
	size_t found;
};

static bool is_one_of(void *ctx, const struct cn_message *m)
{
	struct wanted_answers *w = ctx;
	int status;
	cnode_term term;
	for (w->found = 0; w->found < w->count; w->found++)
		if (w->refs[w->found].words && cn_gen_answer(m, &w->refs[w->found], &status, &term))
			return true;
	return false;
}

/* Takes the answers that come in time. Each leaves its term (yours), or nothing where there was none. */
static int collect(cnode_mailbox *mb, cnode_ref *refs, size_t count, size_t left, uint64_t deadline, cnode_term *replies)
{
	struct wanted_answers wanted = { .refs = refs, .count = count };
	int rc = 0;
	while (left > 0 && rc == 0) {
		struct cn_message *m;
		int status = 0;
		cnode_term term;
		rc = take(mb, is_one_of, &wanted, deadline, &m);
		if (rc != 0)
			break;
		size_t i = wanted.found;
		cn_gen_answer(m, &refs[i], &status, &term);
		if (status == 0)
			rc = cnode_term_keep(term, &replies[i]);
		cn_message_free(mb->self, m);
		cn_gen_end(mb->self, refs[i]);
		refs[i].words = 0;
		left--;
	}
	for (size_t i = 0; i < count; i++)
		if (refs[i].words) {
			cn_gen_end(mb->self, refs[i]);
			mb->given_up++;
		}
	return rc == CNODE_ETIMEOUT ? cn_mailbox_fail(mb, rc, "%zu of %zu nodes did not answer in time", left, count) : rc;
}

int cn_mailbox_multi_call(cnode_mailbox *mb, const char *const *nodes, size_t count, const char *name, uint64_t timeout_ms,
			  cnode_term *replies, cnode_term request)
{
	uint64_t deadline = deadline_of(timeout_ms);
	cnode_ref *refs = cn_calloc(count + 1, sizeof *refs);
	size_t sent = 0;
	memset(replies, 0, count * sizeof *replies);
	if (!refs)
		return cn_mailbox_fail(mb, CNODE_ENOMEM, "%s on %zu nodes: out of memory", name, count);
	int rc = wait_resumed(mb, deadline);
	for (size_t i = 0; i < count && rc == 0; i++) {
		struct cn_target target;
		rc = cn_target_name(&target, name, strcmp(nodes[i], mb->node->name) == 0 ? NULL : nodes[i]);
		if (rc == 0)
			rc = cn_gen_request(mb->self, &target, "$gen_call", request, &refs[i]);
		if (rc != 0) {
			refs[i].words = 0;
			cn_mailbox_fail(mb, rc, "%s on %s: the request cannot be sent: %s", name, nodes[i], cnode_strerror(rc));
		} else {
			sent++;
		}
	}
	/* What was sent is waited for, or given up, also if another could not be. */
	int collected = collect(mb, refs, count, sent, rc == 0 ? deadline : 0, replies);
	cn_free(refs);
	drop_late(mb);
	return rc != 0 ? rc : collected;
}

int cnode_multi_call(cnode_mailbox *mb, const char *const *nodes, size_t count, const char *name, uint64_t timeout_ms,
		     cnode_term *replies, const char *format, ...)
{
	cnode_term request;
	va_list args;
	va_start(args, format);
	int rc = cnode_vformat(&request, format, args);
	va_end(args);
	if (rc != 0) {
		memset(replies, 0, count * sizeof *replies);
		return cn_mailbox_fail(mb, rc, "the request cannot be built: %s", cnode_strerror(rc));
	}
	rc = cn_mailbox_multi_call(mb, nodes, count, name, timeout_ms, replies, request);
	cnode_term_drop(request);
	return rc;
}

static bool nothing(void *ctx, const struct cn_message *m)
{
	(void)ctx;
	(void)m;
	return false;
}

int cn_mailbox_sleep(cnode_mailbox *mb, uint64_t ms)
{
	struct cn_message *m;
	int rc = take(mb, nothing, NULL, deadline_of(ms), &m);
	return rc == CNODE_ETIMEOUT ? 0 : rc;
}

cnode_node *cn_mailbox_node(cnode_mailbox *mb)
{
	return mb->node;
}

/* ---- spawns elsewhere ---- */

struct wanted_ref {
	cnode_ref ref;
};

static bool is_spawn_reply(void *ctx, const struct cn_message *m)
{
	struct wanted_ref *w = ctx;
	cnode_ref ref;
	return m->kind == CN_MSG_MESSAGE && cnode_scan(m->term, "{spawn_reply,~r,_,_}", &ref) == 0 &&
	       cnode_ref_equal(&ref, &w->ref);
}

static bool is_down(void *ctx, const struct cn_message *m)
{
	struct wanted_ref *w = ctx;
	return m->kind == CN_MSG_DOWN && cnode_ref_equal(&m->about->ref, &w->ref);
}

/* The code of a reason that a spawn failed with. */
static int code_of_refusal(const char *reason)
{
	static const struct {
		const char *reason;
		int code;
	} codes[] = {
		{ "noconnection", CNODE_ENOCONNECTION }, { "not_allowed", CNODE_ENOTALLOWED }, { "undef", CNODE_EUNDEF },
		{ "badarg", CNODE_EBADARG }, { "badopt", CNODE_EBADARG }, { "name_taken", CNODE_ENAMETAKEN },
		{ "system_limit", CNODE_ESYSLIMIT }, { "timeout", CNODE_ETIMEOUT }, { "notsup", CNODE_ENOTSUP },
		{ "shutdown", CNODE_ESHUTDOWN }, { "connection_lost", CNODE_ELOST },
	};
	for (size_t i = 0; i < CN_ARRAY_SIZE(codes); i++)
		if (strcmp(codes[i].reason, reason) == 0)
			return codes[i].code;
	return CNODE_EREPLY;
}

/* What a C node says before its answer, if it was asked to. */
static bool is_spawn_failed(void *ctx, const struct cn_message *m)
{
	struct wanted_ref *w = ctx;
	cnode_ref ref;
	return m->kind == CN_MSG_MESSAGE && cnode_scan(m->term, "{spawn_failed,~r,_}", &ref) == 0 && cnode_ref_equal(&ref, &w->ref);
}

/* Ends a spawn that was refused: the sentence, and the reason if init gave one. */
static int explain_spawn(cnode_mailbox *mb, struct wanted_ref *wanted, const char *node, const char *module,
			 const cnode_spawn_options *o, uint64_t timeout_ms, const char *reason)
{
	struct cn_message *failed = cn_process_receive(mb->self, is_spawn_failed, wanted);
	cnode_term why;
	char text[400];
	int rc = code_of_refusal(reason);
	if (rc == CNODE_EREPLY && failed && cnode_scan(failed->term, "{_,_,~t}", &why) == 0) {
		rc = CNODE_EINIT;
		cn_term_brief(why, text, sizeof text);
		cn_mailbox_fail(mb, rc, "%s on %s was not spawned: its init failed: %s", module, node, text);
		if (o->reason && cnode_term_keep(why, o->reason) != 0)
			rc = cn_mailbox_fail(mb, CNODE_ENOMEM, "%s on %s was not spawned: out of memory for the reason", module, node);
	} else if (rc == CNODE_ETIMEOUT) {
		cn_mailbox_fail(mb, rc, "%s on %s was not spawned: it did not start within %llu ms", module, node, (unsigned long long)timeout_ms);
	} else if (rc == CNODE_ENAMETAKEN) {
		cn_mailbox_fail(mb, rc, "%s on %s was not spawned: the name %s is taken", module, node, o->name ? o->name : "");
	} else if (rc == CNODE_ENOCONNECTION) {
		cn_mailbox_fail(mb, rc, "%s on %s was not spawned: the node cannot be reached", module, node);
	} else {
		cn_mailbox_fail(mb, rc, "%s on %s was not spawned: %s", module, node, rc == CNODE_EREPLY ? reason : cnode_strerror(rc));
	}
	cn_message_free(mb->self, failed);
	return rc;
}

/* Asks and waits for the answer. `failure` (may be NULL) is an alias of mb that is told why an init has failed. */
static int spawn(cnode_mailbox *mb, const char *node, const char *module, const char *function, cnode_term args,
		 const cnode_spawn_options *o, uint64_t timeout_ms, uint64_t deadline, const cnode_ref *failure, cnode_ref *ref,
		 cnode_pid *pid)
{
	struct wanted_ref wanted;
	struct cn_message *m;
	struct cn_buf why;
	cn_buf_init(&why, 0);
	int rc = cn_api_spawn(mb->self, node, module, function, args, o, timeout_ms, true, failure, &why, &wanted.ref);
	if (rc != 0) {
		if (why.size > 0)
			cn_mailbox_fail(mb, rc, "%s on %s: the value of %.*s in the environment cannot be sent", module, node, (int)why.size,
			     (char *)why.data);
		else
			cn_mailbox_fail(mb, rc, "%s on %s: the spawn request cannot be sent: %s", module, node, cnode_strerror(rc));
		cn_buf_fini(&why);
		return rc;
	}
	cn_buf_fini(&why);
	*ref = wanted.ref;
	rc = take(mb, is_spawn_reply, &wanted, deadline, &m);
	if (rc != 0) {
		cn_cluster_spawn_abandon(mb->node->cluster, wanted.ref);
		if (failure)
			(void)cnode_unalias(mb->self, *failure);
		/* It may have come in between: nobody is to find it later. */
		m = cn_process_receive(mb->self, is_spawn_reply, &wanted);
		cn_message_free(mb->self, m);
		cn_message_free(mb->self, cn_process_receive(mb->self, is_spawn_failed, &wanted));
		return rc == CNODE_ETIMEOUT ? cn_mailbox_fail(mb, rc, "%s on %s: no answer to the spawn request within %llu ms", module, node,
						   (unsigned long long)timeout_ms)
					    : rc;
	}
	cnode_atom reason;
	if (cnode_scan(m->term, "{spawn_reply,_,ok,~p}", pid) != 0) {
		rc = cnode_scan(m->term, "{spawn_reply,_,error,~a}", &reason);
		if (rc != 0)
			rc = cn_mailbox_fail(mb, CNODE_EREPLY, "%s on %s: a spawn reply that nobody can read", module, node);
		else
			rc = explain_spawn(mb, &wanted, node, module, o, timeout_ms, reason.text);
	}
	cn_message_free(mb->self, m);
	return rc;
}

int cnode_spawn_remote(cnode_mailbox *mb, const char *node, const char *module, cnode_term args,
		       const cnode_spawn_options *options, cnode_pid *pid)
{
	cnode_spawn_options o = { 0 };
	cnode_term reason = { 0 };
	if (options)
		memcpy(&o, options, options->size < sizeof o ? options->size : sizeof o);
	cnode_term *wants_reason = o.reason;
	if (wants_reason)
		*wants_reason = reason;
	o.reason = &reason;
	uint64_t timeout_ms = o.timeout_ms ? o.timeout_ms : SPAWN_TIMEOUT_MS;
	cnode_name name;
	if (!node)
		node = mb->node->name;
	if (!module || cnode_name_of(node, &name) != 0)
		return cn_mailbox_fail(mb, CNODE_EBADNAME, "%s: not the name of a node", node);
	cnode_ref ref, failure;
	cnode_pid started;
	int rc = cnode_alias(mb->self, CNODE_ALIAS_REPLY, &failure);
	if (rc != 0)
		return cn_mailbox_fail(mb, rc, "%s on %s was not spawned: %s", module, node, cnode_strerror(rc));
	rc = spawn(mb, node, module, o.function ? o.function : "start", args, &o, timeout_ms, deadline_of(timeout_ms), &failure, &ref,
		   &started);
	(void)cnode_unalias(mb->self, failure);     /* it has gone if it was used */
	if (wants_reason)
		*wants_reason = reason;
	else
		cnode_term_drop(reason);
	if (rc != 0)
		return rc;
	if (pid)
		*pid = started;
	if (o.monitor && o.monitor_ref)
		*o.monitor_ref = ref;
	return 0;
}

/* The exit reason of erpc:execute_call. */
static int read_result(cnode_mailbox *mb, const char *what, const cnode_ref *id, cnode_term reason, cnode_term *result)
{
	cnode_ref ref;
	cnode_term value, stack;
	cnode_atom word;
	char text[400];
	if (cnode_scan(reason, "{~r,return,~t}", &ref, &value) == 0 && cnode_ref_equal(&ref, id))
		return cnode_term_keep(value, result);
	int rc;
	if (cnode_scan(reason, "{~r,error,{erpc,~a}}", &ref, &word) == 0 && cnode_ref_equal(&ref, id)) {
		rc = code_of_refusal(word.text);
		return cn_mailbox_fail(mb, rc, "%s: %s", what, word.text);
	}
	if (cnode_scan(reason, "{~r,throw,~t}", &ref, &value) == 0 && cnode_ref_equal(&ref, id))
		rc = cnode_format(result, "{throw,~t}", value);
	else if (cnode_scan(reason, "{~r,exit,~t}", &ref, &value) == 0 && cnode_ref_equal(&ref, id))
		rc = cnode_format(result, "{exit,~t}", value);
	else if (cnode_scan(reason, "{~r,error,~t,~t}", &ref, &value, &stack) == 0 && cnode_ref_equal(&ref, id))
		rc = cnode_format(result, "{error,~t,~t}", value, stack);
	else if (cnode_scan(reason, "noconnection") == 0)
		return cn_mailbox_fail(mb, CNODE_ENOCONNECTION, "%s: the node was lost while waiting", what);
	else
		rc = cnode_format(result, "{signal,~t}", reason);
	if (rc != 0)
		return cn_mailbox_fail(mb, rc, "%s: %s", what, cnode_strerror(rc));
	cn_term_brief(*result, text, sizeof text);
	return cn_mailbox_fail(mb, CNODE_EEXITED, "%s: %s", what, text);
}

int cnode_rpc(cnode_mailbox *mb, const char *node, const char *module, const char *function, cnode_term args,
	      uint64_t timeout_ms, cnode_term *result)
{
	char what[400];
	snprintf(what, sizeof what, "%s:%s on %s", module, function, node);
	*result = (cnode_term){ 0 };
	uint64_t deadline = deadline_of(timeout_ms);
	cnode_spawn_options o = { .monitor = true };
	cnode_name name;
	cnode_term list;
	if (cnode_name_of(node, &name) != 0 || strcmp(node, mb->node->name) == 0)
		return cn_mailbox_fail(mb, CNODE_EBADNAME, "%s: not the name of another node", node);
	cnode_ref id;
	int rc = cnode_make_ref(mb->self, &id);
	if (rc == 0)
		rc = cnode_format(&list, "[~r,~a,~a,~t]", id, module, function, args);
	if (rc != 0)
		return cn_mailbox_fail(mb, rc, "%s: the call cannot be built: %s", what, cnode_strerror(rc));
	struct wanted_ref wanted;
	cnode_pid pid;
	rc = spawn(mb, node, "erpc", "execute_call", list, &o, 0, deadline, NULL, &wanted.ref, &pid);
	cnode_term_drop(list);
	if (rc != 0) {
		char reason[CN_ERROR_TEXT];
		snprintf(reason, sizeof reason, "%s", mb->error);
		return rc == CNODE_ETIMEOUT ? cn_mailbox_fail(mb, rc, "%s: no answer within %llu ms", what, (unsigned long long)timeout_ms)
					    : cn_mailbox_fail(mb, rc, "%s: %s", what, rc == CNODE_EREPLY ? reason : cnode_strerror(rc));
	}
	struct cn_message *m;
	rc = take(mb, is_down, &wanted, deadline, &m);
	if (rc != 0) {
		cnode_demonitor(mb->self, wanted.ref, CNODE_FLUSH);
		return rc == CNODE_ETIMEOUT ? cn_mailbox_fail(mb, rc, "%s: no answer within %llu ms", what, (unsigned long long)timeout_ms) : rc;
	}
	rc = read_result(mb, what, &id, m->term, result);
	cn_message_free(mb->self, m);
	return rc;
}

/* ---- connecting, ping, names ---- */

static int connect_steps(cnode_mailbox *mb, const char *peer, uint64_t deadline, struct cn_ask_steps *steps)
{
	char text[CN_ERROR_TEXT];
	int rc = cn_ask_connect(mb->node, peer, deadline, steps, text, sizeof text);
	if (rc == 0)
		return 0;
	/* Some sentences begin with the peer's name themselves. */
	size_t size = strcspn(peer, ":");
	return strncmp(text, peer, size) == 0 ? cn_mailbox_fail(mb, rc, "%s", text) : cn_mailbox_fail(mb, rc, "%s: %.900s", peer, text);
}

int cnode_connect_wait(cnode_mailbox *mb, const char *peer, uint64_t timeout_ms)
{
	return connect_steps(mb, peer, deadline_of(timeout_ms), NULL);
}

/* The step at which an attempt ended with this code, as far as the code tells. */
static enum cnode_step step_of(int code)
{
	switch (code) {
	case CNODE_EHOST:
	case CNODE_EBADNAME:
		return CNODE_STEP_RESOLVE;
	case CNODE_EEPMD:
	case CNODE_ENOTREG:
		return CNODE_STEP_EPMD;
	case CNODE_ENOCONNECTION:
	case CNODE_EACCES:
	case CNODE_EIO:
		return CNODE_STEP_TCP;
	default:
		return CNODE_STEP_HANDSHAKE;
	}
}

/* The name in "b@host:port". */
static void name_only(const char *peer, char name[CNODE_NAME_SIZE])
{
	snprintf(name, CNODE_NAME_SIZE, "%s", peer);
	char *at = strchr(name, '@');
	char *colon = at ? strchr(at, ':') : NULL;
	if (colon && !strchr(colon + 1, ':'))
		*colon = 0;
}

struct ping {
	void (*step)(void *context, enum cnode_step step, int code, const char *text);
	void *context;
};

static void ping_step(void *context, int step, const char *text)
{
	struct ping *p = context;
	p->step(p->context, CNODE_STEP_RESOLVE + step, 0, text);
}

int cnode_ping(cnode_mailbox *mb, const char *peer, uint64_t timeout_ms,
	       void (*step)(void *context, enum cnode_step step, int code, const char *text), void *context)
{
	static const char *const done[] = {
		[CNODE_STEP_RESOLVE] = "the host has an address", [CNODE_STEP_EPMD] = "the node's port is known",
		[CNODE_STEP_TCP] = "TCP is connected", [CNODE_STEP_HANDSHAKE] = "name, flags and cookie are accepted",
	};
	uint64_t deadline = deadline_of(timeout_ms);
	struct ping ping = { step, context };
	struct cn_ask_steps steps = { ping_step, &ping, 0 };
	int rc = connect_steps(mb, peer, deadline, step ? &steps : NULL);
	/* What was not told as it happened: the link was there, or the peer made it. */
	enum cnode_step next = CNODE_STEP_RESOLVE + steps.done;
	enum cnode_step upto = rc == 0 ? CNODE_STEP_PING : rc == CNODE_ETIMEOUT || step_of(rc) < next ? next : step_of(rc);
	for (; step && next < upto; next++)
		step(context, next, 0, done[next]);
	if (rc != 0) {
		if (step)
			step(context, upto, rc, mb->error);
		return rc;
	}
	char name[CNODE_NAME_SIZE];
	name_only(peer, name);
	uint64_t now = cn_now();
	uint64_t left = deadline == CN_NEVER ? CNODE_INFINITY : deadline > now ? (deadline - now) / CN_NS_PER_MS : 0;
	cnode_term reply;
	rc = cnode_call_name(mb, "net_kernel", name, left, &reply, "{is_auth,~a}", mb->node->name);
	if (rc == 0) {
		if (!cn_term_is_atom(reply, "yes"))
			rc = cn_mailbox_fail(mb, CNODE_EREPLY, "%s: its net_kernel did not answer yes", name);
		cnode_term_drop(reply);
	}
	if (step)
		step(context, CNODE_STEP_PING, rc, rc == 0 ? "net_kernel answers" : mb->error);
	return rc;
}

int cnode_epmd_names(cnode_mailbox *mb, const char *host, uint64_t timeout_ms,
		     void (*each)(void *context, const char *name, uint16_t port), void *context)
{
	int rc = cn_ask_names(mb->node, host, deadline_of(timeout_ms), each, context);
	return rc == 0 ? 0
		       : cn_mailbox_fail(mb, rc, "epmd on %s: %s", host ? host : "this host",
			      rc == CNODE_EEPMD ? "none runs there, or it cannot be reached" : cnode_strerror(rc));
}
