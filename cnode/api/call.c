/* SPDX-License-Identifier: Apache-2.0 */
/* gen_server:call/3 and multi_call/4 by a mailbox. */
#include "cnode/api/mailbox.h"

#include <stdio.h>

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
	uint64_t deadline = cn_mailbox_deadline(timeout_ms), began = cn_now();
	int rc = cn_mailbox_wait_resumed(mb, deadline);
	bool was_up = cn_cluster_is_up(mb->node->cluster, to->name ? to->node : to->pid.node);
	if (rc == 0)
		rc = cn_gen_request(mb->self, to, label, request, &wanted.ref);
	if (rc != 0)
		return cn_mailbox_fail(mb, rc, "%s: the request cannot be sent: %s", label_of(&name, to), cnode_strerror(rc));
	rc = cn_mailbox_take(mb, is_answer, &wanted, deadline, &m);
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
	cn_mailbox_drop_late(mb);
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

/* Takes the answers of those that are left, as they come in time. Each leaves its term (yours), or nothing where there was none. */
static int collect(cnode_mailbox *mb, cnode_ref *refs, size_t count, size_t *left, uint64_t deadline, cnode_term *replies)
{
	struct wanted_answers wanted = { .refs = refs, .count = count };
	int rc = 0;
	while (*left > 0 && rc == 0) {
		struct cn_message *m;
		int status = 0;
		cnode_term term;
		rc = cn_mailbox_take(mb, is_one_of, &wanted, deadline, &m);
		if (rc != 0)
			break;
		size_t i = wanted.found;
		cn_gen_answer(m, &refs[i], &status, &term);
		if (status == 0)
			rc = cnode_term_keep(term, &replies[i]);
		cn_message_free(mb->self, m);
		cn_gen_end(mb->self, refs[i]);
		refs[i].words = 0;
		--*left;
	}
	for (size_t i = 0; i < count; i++)
		if (refs[i].words) {
			cn_gen_end(mb->self, refs[i]);
			mb->given_up++;
		}
	return rc;
}

int cn_mailbox_multi_call(cnode_mailbox *mb, const char *const *nodes, size_t count, const char *name, uint64_t timeout_ms,
			  cnode_term *replies, cnode_term request)
{
	uint64_t deadline = cn_mailbox_deadline(timeout_ms);
	cnode_ref *refs = cn_calloc(count + 1, sizeof *refs);
	size_t left = 0;
	memset(replies, 0, count * sizeof *replies);
	if (!refs)
		return cn_mailbox_fail(mb, CNODE_ENOMEM, "%s on %zu nodes: out of memory", name, count);
	int rc = cn_mailbox_wait_resumed(mb, deadline);
	for (size_t i = 0; i < count && rc == 0; i++) {
		struct cn_target target;
		rc = cn_target_name(&target, name, strcmp(nodes[i], mb->node->name) == 0 ? NULL : nodes[i]);
		if (rc == 0)
			rc = cn_gen_request(mb->self, &target, "$gen_call", request, &refs[i]);
		if (rc != 0) {
			refs[i].words = 0;
			cn_mailbox_fail(mb, rc, "%s on %s: the request cannot be sent: %s", name, nodes[i], cnode_strerror(rc));
		} else {
			left++;
		}
	}
	/* What was sent is waited for, or given up, also if another could not be. */
	int collected = collect(mb, refs, count, &left, rc == 0 ? deadline : 0, replies);
	if (rc == 0 && collected == CNODE_ETIMEOUT)
		cn_mailbox_fail(mb, collected, "%zu of %zu nodes did not answer in time", left, count);
	cn_free(refs);
	cn_mailbox_drop_late(mb);
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
