/* SPDX-License-Identifier: Apache-2.0 */
/* Spawns elsewhere that a mailbox waits for, and erpc:call/5, which is one. */
#include "cnode/api/mailbox.h"

#include <stdio.h>

#define SPAWN_TIMEOUT_MS 5000

struct wanted_ref {
	cnode_ref ref;
};

static bool is_spawn_reply(void *ctx, const struct cn_message *m)
{
	struct wanted_ref *w = ctx;
	cnode_ref ref;
	return m->kind == CN_MSG_MESSAGE && cnode_scan(m->term, "{spawn_reply,~r,_,_}", &ref) == 0 &&
	       cnode_ref_equal(ref, w->ref);
}

static bool is_down(void *ctx, const struct cn_message *m)
{
	struct wanted_ref *w = ctx;
	return m->kind == CN_MSG_DOWN && cnode_ref_equal(m->about->ref, w->ref);
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
		{ "shutdown", CNODE_ESHUTDOWN }, { "connection_lost", CNODE_ELOST }, { "undelivered", CNODE_EBADTERM },
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
	return m->kind == CN_MSG_MESSAGE && cnode_scan(m->term, "{spawn_failed,~r,_}", &ref) == 0 && cnode_ref_equal(ref, w->ref);
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
	rc = cn_mailbox_take(mb, is_spawn_reply, &wanted, deadline, &m);
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
	rc = spawn(mb, node, module, o.function ? o.function : "start", args, &o, timeout_ms, cn_mailbox_deadline(timeout_ms), &failure,
		   &ref, &started);
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
	if (cnode_scan(reason, "{~r,return,~t}", &ref, &value) == 0 && cnode_ref_equal(ref, *id))
		return cnode_term_keep(value, result);
	int rc;
	if (cnode_scan(reason, "{~r,error,{erpc,~a}}", &ref, &word) == 0 && cnode_ref_equal(ref, *id)) {
		rc = code_of_refusal(word.text);
		return cn_mailbox_fail(mb, rc, "%s: %s", what, word.text);
	}
	if (cnode_scan(reason, "{~r,throw,~t}", &ref, &value) == 0 && cnode_ref_equal(ref, *id))
		rc = cnode_format(result, "{throw,~t}", value);
	else if (cnode_scan(reason, "{~r,exit,~t}", &ref, &value) == 0 && cnode_ref_equal(ref, *id))
		rc = cnode_format(result, "{exit,~t}", value);
	else if (cnode_scan(reason, "{~r,error,~t,~t}", &ref, &value, &stack) == 0 && cnode_ref_equal(ref, *id))
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
	uint64_t deadline = cn_mailbox_deadline(timeout_ms);
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
	rc = cn_mailbox_take(mb, is_down, &wanted, deadline, &m);
	if (rc != 0) {
		cnode_demonitor(mb->self, wanted.ref, CNODE_FLUSH);
		return rc == CNODE_ETIMEOUT ? cn_mailbox_fail(mb, rc, "%s: no answer within %llu ms", what, (unsigned long long)timeout_ms) : rc;
	}
	rc = read_result(mb, what, &id, m->term, result);
	cn_message_free(mb->self, m);
	return rc;
}
