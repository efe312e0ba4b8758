/* SPDX-License-Identifier: Apache-2.0 */
/*
 * global: the orders of global. What a name or lock belongs to is the puppet, so most are completions of its
 * own; trans holds its lock in a thread that waits (its Holder).
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "conformance/nodes/cnode/puppet.h"

/* An order whose answer comes later. */
struct global_order {
	cnode_pid from;
	cnode_ref ref;
};

static int completed(cnode_process *self, void *state, void *context, const cnode_answer *a)
{
	struct global_order *w = context;
	(void)state;
	int rc = a->status == 0 ? cnode_send(self, w->from, "{~r,~t}", w->ref, a->term)
				: cnode_send(self, w->from, "{~r,{refused,error,~a}}", w->ref, cnode_error_atom(a->status));
	free(w);
	return rc == CNODE_EEXITED ? rc : 0;    /* who cannot be told has not been waiting */
}

/* A list of node names, NULL behind the last. Free with nodes_free. */
static int nodes_of(cnode_term list, char ***nodes)
{
	size_t count = 0, n;
	int rc = 0;
	*nodes = calloc(1, sizeof **nodes);
	cnode_reader r = cnode_read(list);
	while (*nodes != NULL && rc == 0 && (n = cnode_read_list(&r)) > 0) {
		char **more = realloc(*nodes, (count + n + 1) * sizeof *more);
		if (more == NULL)
			return CNODE_ENOMEM;
		*nodes = more;
		while (n-- > 0 && rc == 0) {
			cnode_atom name;
			rc = cnode_scan(cnode_read_term(&r), "~a", &name);
			if (rc == 0 && ((*nodes)[count++] = strdup(name.text)) == NULL)
				rc = CNODE_ENOMEM;
		}
		(*nodes)[count] = NULL;
	}
	return *nodes == NULL ? CNODE_ENOMEM : rc;
}

static void nodes_free(char **nodes)
{
	for (size_t i = 0; nodes != NULL && nodes[i] != NULL; i++)
		free(nodes[i]);
	free(nodes);
}

/* [Name], [Name, Pid] or [Name, Pid, {M, F}]. */
static int registration(cnode_process *self, cnode_term args, cnode_term *name, cnode_pid *pid, char method[2 * CNODE_NAME_SIZE])
{
	cnode_atom module, function;
	*pid = cnode_self(self);
	method[0] = 0;
	if (cnode_scan(args, "[~t]", name) == 0 || cnode_scan(args, "[~t,~p]", name, pid) == 0)
		return 0;
	int rc = cnode_scan(args, "[~t,~p,{~a,~a}]", name, pid, &module, &function);
	if (rc == 0) {
		memcpy(method, module.text, module.size);
		method[module.size] = ':';
		memcpy(method + module.size + 1, function.text, function.size + 1);
	}
	return rc;
}

static int retries_of(cnode_term term)
{
	int retries;
	return cnode_scan(term, "~i", &retries) == 0 ? retries : CNODE_FOREVER;
}

static int lock(cnode_process *self, bool set, cnode_term args, struct global_order *w)
{
	cnode_term resource, requester, list, retries = { 0 };
	char **nodes = NULL;
	int rc = 0;
	if (cnode_scan(args, "[{~t,~t}]", &resource, &requester) != 0) {
		rc = cnode_scan(args, "[{~t,~t},~t]", &resource, &requester, &list);
		if (rc != 0)
			rc = cnode_scan(args, "[{~t,~t},~t,~t]", &resource, &requester, &list, &retries);
		if (rc == 0)
			rc = nodes_of(list, &nodes);
	}
	if (rc == 0)
		rc = set ? cnode_global_set_lock_async(self, resource, requester, (const char *const *)nodes, retries_of(retries), completed, w)
			 : cnode_global_del_lock_async(self, resource, requester, (const char *const *)nodes, completed, w);
	nodes_free(nodes);
	return rc;
}

static int begin(cnode_process *self, const char *what, cnode_term args, struct global_order *w)
{
	cnode_term name;
	cnode_pid pid;
	cnode_atom node;
	char method[2 * CNODE_NAME_SIZE];
	int rc;
	if (strcmp(what, "global_register") == 0) {
		rc = registration(self, args, &name, &pid, method);
		return rc != 0 ? rc : cnode_global_register_async(self, name, pid, *method ? method : NULL, completed, w);
	}
	if (strcmp(what, "global_re_register") == 0) {
		rc = registration(self, args, &name, &pid, method);
		return rc != 0 ? rc : cnode_global_re_register_async(self, name, pid, *method ? method : NULL, completed, w);
	}
	if (strcmp(what, "global_unregister") == 0) {
		rc = cnode_scan(args, "[~t]", &name);
		return rc != 0 ? rc : cnode_global_unregister_async(self, name, completed, w);
	}
	if (strcmp(what, "global_register_external") == 0) {
		/* Through the node that is named: what a hidden node's cnode_global_register does with the first one. */
		rc = cnode_scan(args, "[~a,~t]", &node, &name);
		return rc != 0 ? rc
			       : cnode_call_name_async(self, "rex", node.text, CNODE_INFINITY, completed, w,
						       "{call,global,register_name_external,[~t,~p],~p}", name,
						       cnode_self(self), cnode_self(self));
	}
	if (strcmp(what, "global_sync") == 0)
		return cnode_global_sync_async(self, completed, w);
	if (strcmp(what, "global_disconnect") == 0)
		return cnode_global_disconnect_async(self, completed, w);
	return lock(self, strcmp(what, "global_set_lock") == 0, args, w);
}

static int add_name(void *builder, cnode_term name, cnode_pid pid)
{
	(void)pid;
	cnode_build_term(builder, name);
	return 0;
}

static int names(cnode_process *self, cnode_term *result)
{
	cnode_builder *b = cnode_builder_new();
	if (b == NULL)
		return CNODE_ENOMEM;
	cnode_build_list(b);
	int rc = cnode_global_names(cnode_process_node(self), add_name, b);
	cnode_build_list_end(b);
	if (rc == 0)
		rc = cnode_builder_term(b, result);
	cnode_builder_free(b);
	return rc;
}

/* What is answered at once. CNODE_EUNDEF: it is not. */
static int at_once(cnode_process *self, const char *what, cnode_term args, cnode_term *result)
{
	cnode_term name, message;
	cnode_pid pid;
	int rc;
	if (strcmp(what, "global_names") == 0)
		return names(self, result);
	if (strcmp(what, "global_whereis") == 0) {
		rc = cnode_scan(args, "[~t]", &name);
		if (rc == 0)
			rc = cnode_global_whereis(cnode_process_node(self), name, &pid);
		return rc == CNODE_ENOENT ? cnode_format(result, "undefined") : rc != 0 ? rc : cnode_format(result, "~p", pid);
	}
	if (strcmp(what, "global_send") == 0) {
		rc = cnode_scan(args, "[~t,~t]", &name, &message);
		if (rc == 0)
			rc = cnode_global_whereis(cnode_process_node(self), name, &pid);
		if (rc == 0)
			rc = cnode_global_send(self, name, "~t", message);
		return rc != 0 ? rc : cnode_format(result, "~p", pid);
	}
	return CNODE_EUNDEF;
}

int global_obey(cnode_process *self, const char *what, cnode_pid from, cnode_ref ref, cnode_term args)
{
	cnode_term result;
	int rc = at_once(self, what, args, &result);
	if (rc == 0) {
		rc = cnode_send(self, from, "{~r,~t}", ref, result);
		cnode_term_drop(result);
	}
	if (rc != CNODE_EUNDEF)
		return rc;
	struct global_order *w = malloc(sizeof *w);
	if (w == NULL)
		return CNODE_ENOMEM;
	*w = (struct global_order){ from, ref };
	rc = begin(self, what, args, w);
	if (rc != 0)
		free(w);
	return rc;
}

/* ---- trans ---- */

struct inside {
	cnode_mailbox *mailbox;
	cnode_pid pid;
	cnode_ref ref;
};

/* Tells that it is inside, and stays until it is told to leave. */
static int hold(void *context)
{
	struct inside *i = context;
	cnode_process *self = cnode_mailbox_process(i->mailbox);
	cnode_info info;
	cnode_ref ref;
	int rc = cnode_send(self, i->pid, "{inside,~p,~r}", cnode_self(self), i->ref);
	while (rc == 0 && (rc = cnode_receive(i->mailbox, &info, CNODE_INFINITY)) == 0)
		if (cnode_scan(info.message, "{leave,~r}", &ref) == 0 && cnode_ref_equal(ref, i->ref))
			return 0;
	return rc;
}

int waiting_trans(cnode_mailbox *mailbox, cnode_term args, cnode_term *result)
{
	cnode_term resource, requester, list, retries;
	struct inside inside = { .mailbox = mailbox };
	char **nodes = NULL;
	int rc = cnode_scan(args, "[~r,{~t,~t},~t,~t,~p]", &inside.ref, &resource, &requester, &list, &retries, &inside.pid);
	if (rc == 0)
		rc = nodes_of(list, &nodes);
	if (rc == 0)
		rc = cnode_global_trans(mailbox, resource, requester, (const char *const *)nodes, retries_of(retries),
					CNODE_INFINITY, hold, &inside);
	nodes_free(nodes);
	if (rc == CNODE_EBUSY)
		return cnode_format(result, "aborted");
	return rc != 0 ? rc : cnode_format(result, "left");
}

/* ---- conformance_resolver: fun(Name, Pid1, Pid2) ---- */

static int pids_of(cnode_term args, cnode_pid *a, cnode_pid *b)
{
	return cnode_scan(args, "[_,~p,~p]", a, b);
}

static int resolver_first(cnode_process *self, void *context, cnode_term args, cnode_term *result)
{
	cnode_pid a, b;
	(void)self;
	(void)context;
	int rc = pids_of(args, &a, &b);
	return rc != 0 ? rc : cnode_format(result, "~p", a);
}

static int resolver_second(cnode_process *self, void *context, cnode_term args, cnode_term *result)
{
	cnode_pid a, b;
	(void)self;
	(void)context;
	int rc = pids_of(args, &a, &b);
	return rc != 0 ? rc : cnode_format(result, "~p", b);
}

static int resolver_none(cnode_process *self, void *context, cnode_term args, cnode_term *result)
{
	(void)self;
	(void)context;
	(void)args;
	return cnode_format(result, "none");
}

static int resolver_bad(cnode_process *self, void *context, cnode_term args, cnode_term *result)
{
	(void)self;
	(void)context;
	(void)args;
	return cnode_format(result, "no_pid");
}

static int resolver_crash(cnode_process *self, void *context, cnode_term args, cnode_term *result)
{
	cnode_term name;
	(void)self;
	(void)context;
	int rc = cnode_scan(args, "[~t,_,_]", &name);
	return rc != 0 ? rc : cnode_raise(result, "exit", "{cannot_resolve,~t}", name);
}

/* Never answers, as the contract asks; but a node that stops need not wait for it. */
static int resolver_hang(cnode_process *self, void *context, cnode_term args, cnode_term *result)
{
	const struct timespec a_moment = { .tv_nsec = 10000000 };
	(void)context;
	(void)args;
	while (!cnode_cancelled(self))
		nanosleep(&a_moment, NULL);
	return cnode_format(result, "none");
}

static int resolver_disconnect(cnode_process *self, void *context, cnode_term args, cnode_term *result)
{
	cnode_pid a, b;
	char node[CNODE_NAME_SIZE];
	int rc = pids_of(args, &a, &b);
	if (rc == 0)
		rc = cnode_name_text(a.node, node);
	if (rc == 0 && a.node != cnode_self(self).node)
		(void)cnode_disconnect(cnode_process_node(self), node);        /* not connected is as good */
	return rc != 0 ? rc : resolver_first(self, context, args, result);
}

static int resolver_halt(cnode_process *self, void *context, cnode_term args, cnode_term *result)
{
	(void)self;
	(void)context;
	(void)args;
	(void)result;
	_exit(1);
}

int global_export(cnode_node *node)
{
	static const struct {
		const char *name;
		cnode_function *function;
	} functions[] = {
		{ "first", resolver_first }, { "second", resolver_second }, { "none", resolver_none }, { "bad", resolver_bad },
		{ "crash", resolver_crash }, { "hang", resolver_hang }, { "disconnect", resolver_disconnect },
		{ "halt", resolver_halt },
	};
	int rc = 0;
	/* Open to nobody: what global asks for needs no list. */
	for (size_t i = 0; i < sizeof functions / sizeof functions[0] && rc == 0; i++)
		rc = cnode_function_export(node, "conformance_resolver", functions[i].name, 3, functions[i].function, NULL,
					   CNODE_NO_NODES);
	return rc;
}
