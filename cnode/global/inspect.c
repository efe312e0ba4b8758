/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking at the tables from other nodes, and registering on their behalf. What a BEAM node is asked by rpc
 * (global:whereis_name/1, global:registered_names/0) is exported here too; the tool asks our like with calls of
 * global_name_server:
 *     {cnode, names}                       [{Name, Pid}]
 *     {cnode, locks}                       [{Resource, Requester, Pid}]
 *     {cnode, {register, Name, Process}}   yes | no | noproc | not_allowed; Process: a registered name of this node
 *     {cnode, {unregister, Name}}          ok | not_allowed
 * and rex passes on what hidden nodes ask of global:
 *     {cnode, {register_name_external, [Name, Pid | [Method]]}}       yes | no
 *     {cnode, {unregister_name_external, [Name]}}                     ok
 * What is registered for others needs the permission of the list of the name (CNODE_ACCESS_REGISTER), which rex has asked
 * already for what it passes on. A visible node needs nobody for that: its names come by the protocol of global itself.
 */
#include "cnode/global/inner.h"

static int add_name(void *builder, cnode_term name, cnode_pid pid)
{
	cnode_build_format(builder, "{~t,~p}", name, pid);
	return 0;
}

static int add_name_only(void *builder, cnode_term name, cnode_pid pid)
{
	(void)pid;
	cnode_build_term(builder, name);
	return 0;
}

static int add_lock(void *builder, cnode_term resource, cnode_term requester, cnode_pid holder)
{
	cnode_build_format(builder, "{~t,~t,~p}", resource, requester, holder);
	return 0;
}

/* A list that `fill` has put its elements into; *list is yours. */
enum listing { LIST_NAMES, LIST_NAMES_ONLY, LIST_LOCKS };
static int list(struct cn_global *g, enum listing what, cnode_term *result)
{
	cnode_builder b;
	cn_builder_init(&b);
	cnode_build_list(&b);
	int rc = what == LIST_LOCKS ? cn_global_locks(g, add_lock, &b)
				    : cn_global_names(g, what == LIST_NAMES ? add_name : add_name_only, &b);
	cnode_build_list_end(&b);
	if (rc == 0)
		rc = cnode_builder_term(&b, result);
	cn_builder_fini(&b);
	return rc;
}

static int reply_list(struct server *s, cnode_from *from, enum listing what)
{
	cnode_term all;
	int rc = list(s->g, what, &all);
	if (rc == 0) {
		rc = cnode_reply_term(from, all);
		cnode_term_drop(all);
	}
	return rc;
}

/* The registrar's answer goes on to who asked the server. */
static int registered(cnode_process *self, void *state, void *context, const cnode_answer *answer)
{
	cnode_from *from = context;
	(void)self;
	(void)state;
	if (answer->status == 0)
		(void)cnode_reply_term(from, answer->term);     /* who cannot be told any more does not wait */
	cnode_from_drop(from);
	return 0;
}

/* Takes the request. */
static int pass_on(struct server *s, cnode_from *from, cnode_term take_request)
{
	cnode_from *kept;
	int rc = cnode_from_keep(from, &kept);
	if (rc == 0) {
		rc = cnode_call_async(s->self, s->g->registrar, CNODE_INFINITY, registered, kept, "~t", take_request);
		if (rc != 0)
			cnode_from_drop(kept);
	}
	cnode_term_drop(take_request);
	return rc;
}

int inspect_call(struct server *s, cnode_from *from, cnode_term what)
{
	cnode_term name, method, request;
	cnode_atom process;
	cnode_pid pid;
	int rc;
	if (cn_term_is_atom(what, "names"))
		return reply_list(s, from, LIST_NAMES);
	if (cn_term_is_atom(what, "locks"))
		return reply_list(s, from, LIST_LOCKS);
	if ((cnode_scan(what, "{unregister,~t}", &name) == 0 || cnode_scan(what, "{register,~t,_}", &name) == 0 ||
	     cnode_scan(what, "{register_name_external,[~t|_]}", &name) == 0 ||
	     cnode_scan(what, "{unregister_name_external,[~t|_]}", &name) == 0) &&
	    cn_functions_may_register(s->g->config.functions, cnode_message_peer(s->self), name) != 0)
		return cnode_reply(from, "not_allowed");
	if (cnode_scan(what, "{unregister,~t}", &name) == 0) {
		rc = cnode_format(&request, "{unregister,~t}", name);
		return rc != 0 ? rc : pass_on(s, from, request);
	}
	if (cnode_scan(what, "{unregister_name_external,[~t]}", &name) == 0) {
		rc = cnode_format(&request, "{unregister,~t}", name);
		return rc != 0 ? rc : pass_on(s, from, request);
	}
	if (cnode_scan(what, "{register_name_external,[~t,~p,~t]}", &name, &pid, &method) == 0) {
		rc = cnode_format(&request, "{register_ext,~t,~p,~t}", name, pid, method);
		return rc != 0 ? rc : pass_on(s, from, request);
	}
	if (cnode_scan(what, "{register_name_external,[~t,~p]}", &name, &pid) == 0) {
		rc = cn_global_method(NULL, &method);
		if (rc == 0) {
			rc = cnode_format(&request, "{register_ext,~t,~p,~t}", name, pid, method);
			cnode_term_drop(method);
		}
		return rc != 0 ? rc : pass_on(s, from, request);
	}
	if (cnode_scan(what, "{register,~t,~a}", &name, &process) != 0) {
		server_unexpected(s, "call", what);
		return 0;
	}
	if (cn_procs_whereis(s->g->config.procs, process.text, &pid) != 0)
		return cnode_reply(from, "noproc");
	rc = cn_global_method(NULL, &method);
	if (rc != 0)
		return rc;
	rc = cnode_format(&request, "{register,~t,~p,~t}", name, pid, method);
	cnode_term_drop(method);
	return rc != 0 ? rc : pass_on(s, from, request);
}

/* ---- for rpc ---- */

static int whereis_name(cnode_process *self, void *context, cnode_term args, cnode_term *result)
{
	cnode_term name;
	cnode_pid pid;
	(void)self;
	if (cnode_scan(args, "[~t]", &name) != 0)
		return CNODE_EBADARG;
	return cn_global_whereis(context, name, &pid) == 0 ? cnode_format(result, "~p", pid) : cnode_format(result, "undefined");
}

static int registered_names(cnode_process *self, void *context, cnode_term args, cnode_term *result)
{
	(void)self;
	(void)args;
	return list(context, LIST_NAMES_ONLY, result);
}

int inspect_export(struct cn_global *g)
{
	struct cn_functions *fs = g->config.functions;
	int rc = cn_function_export(fs, "global", "whereis_name", 1, whereis_name, g, CNODE_ALL_NODES);
	return rc != 0 ? rc : cn_function_export(fs, "global", "registered_names", 0, registered_names, g, CNODE_ALL_NODES);
}
