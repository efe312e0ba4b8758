/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two processes with one name: who keeps it. The method of the name decides: one of the three of the
 * global module, or an exported function of a program, fun Module:Function/3. It is asked on the node
 * of the process that its own partition has, by an ordinary erpc:call of global:resolve_it/4; so that
 * function is exported here, and methods, which may take their time, run in processes of their own.
 */
#include "cnode/global/inner.h"

/* ---- global:resolve_it(Method, Name, Pid, Pid2) ---- */

enum method { METHOD_EXIT, METHOD_NOTIFY, METHOD_NOTIFY_ALL, METHOD_FUNCTION, METHOD_UNKNOWN };

static enum method method_of(cnode_term term, cnode_atom *module, cnode_atom *function)
{
	cnode_reader r = cnode_read(term);
	unsigned arity;
	if (cnode_read_type(&r) != CNODE_TYPE_FUN) {
		/* Before it is sent, {Module, Function} becomes a fun; who sends it all the same means that. */
		return cnode_scan(term, "{~a,~a}", module, function) == 0 ? METHOD_FUNCTION : METHOD_UNKNOWN;
	}
	if (!cnode_read_fun(&r, module, function, &arity) || arity != 3)
		return METHOD_UNKNOWN;
	if (strcmp(module->text, "global") != 0)
		return function->size ? METHOD_FUNCTION : METHOD_UNKNOWN;
	/* The default is sent as a local fun of the global module. */
	if (function->size == 0 || strcmp(function->text, "random_exit_name") == 0)
		return METHOD_EXIT;
	if (strcmp(function->text, "random_notify_name") == 0)
		return METHOD_NOTIFY;
	return strcmp(function->text, "notify_all_name") == 0 ? METHOD_NOTIFY_ALL : METHOD_UNKNOWN;
}

bool resolve_kills(cnode_term method)
{
	cnode_atom module, function;
	return method_of(method, &module, &function) == METHOD_EXIT;
}

/* {'EXIT', Reason}, as `catch` gives it. */
static int exit_term(cnode_term *result, int rc, cnode_term raised)
{
	cnode_atom class;
	cnode_term reason;
	if (rc == CNODE_ERAISED && cnode_scan(raised, "{~a,~t}", &class, &reason) == 0) {
		if (strcmp(class.text, "throw") == 0)
			return cnode_format(result, "~t", reason);
		if (strcmp(class.text, "exit") == 0)
			return cnode_format(result, "{'EXIT',~t}", reason);
		return cnode_format(result, "{'EXIT',{~t,[]}}", reason);
	}
	return cnode_format(result, "{'EXIT',{~a,[]}}", cnode_error_atom(rc));
}

/* A loser that cannot be told, because his node chose a pid that nothing can be sent to, has lost all the same. */
static int told(int rc)
{
	return rc == CNODE_ENOMEM || rc == CNODE_EEXITED ? rc : 0;
}

/* Runs a method in the calling process; *result is yours. */
static int resolve(struct cn_global *g, cnode_process *self, cnode_term fun, cnode_term name, cnode_pid a, cnode_pid b,
		   cnode_term *result)
{
	cnode_atom module, function;
	cnode_term args, raised;
	int rc;
	bool swap = (nodes_compare(a.node, b.node) >= 0) != CN_MUTANT(global_wrong_winner);
	cnode_pid min = swap ? b : a, max = swap ? a : b;
	switch (method_of(fun, &module, &function)) {
	case METHOD_EXIT:
		rc = CN_MUTANT(global_loser_lives) ? 0 : told(cnode_exit(self, max, "kill"));
		return rc != 0 ? rc : cnode_format(result, "~p", min);
	case METHOD_NOTIFY:
		rc = told(cnode_send(self, max, "{global_name_conflict,~t}", name));
		return rc != 0 ? rc : cnode_format(result, "~p", min);
	case METHOD_NOTIFY_ALL:
		rc = told(cnode_send(self, a, "{global_name_conflict,~t,~p}", name, b));
		if (rc == 0)
			rc = told(cnode_send(self, b, "{global_name_conflict,~t,~p}", name, a));
		return rc != 0 ? rc : cnode_format(result, "none");
	case METHOD_FUNCTION:
		rc = cnode_format(&args, "[~t,~p,~p]", name, a, b);
		if (rc != 0)
			return rc;
		rc = cn_function_run(g->config.functions, self, module.text, function.text, args, result);
		cnode_term_drop(args);
		if (rc == 0)
			return 0;
		raised = *result;
		rc = exit_term(result, rc, raised);
		cnode_term_drop(raised);
		return rc;
	case METHOD_UNKNOWN:
		break;
	}
	return exit_term(result, CNODE_EUNDEF, (cnode_term){ 0 });
}

/*
 * Whoever asks may have one of global's own methods run; a function of the program only for a name that
 * was registered with it, as when conflicts are resolved: that the function is exported for other
 * reasons is no permission.
 */
static bool may_run(struct cn_global *g, cnode_term fun, cnode_term name)
{
	cnode_atom module, function;
	if (method_of(fun, &module, &function) != METHOD_FUNCTION)
		return true;
	cnode_term method = { 0 };
	bool same = names_method(g, name, &method) == 0 && cnode_term_equal(method, fun);
	cnode_term_drop(method);
	return same;
}

int resolve_it(cnode_process *self, void *context, cnode_term args, cnode_term *result)
{
	struct cn_global *g = context;
	cnode_term fun, name;
	cnode_pid a, b;
	if (cnode_scan(args, "[~t,~t,~p,~p]", &fun, &name, &a, &b) != 0)
		return CNODE_EBADARG;
	if (!may_run(g, fun, name))
		return exit_term(result, CNODE_ENOTALLOWED, (cnode_term){ 0 });
	return resolve(g, self, fun, name, a, b, result);
}

/* ---- the resolver of a session ---- */

/*
 * Its arguments: [Node, MyTag, Ops, [{Name, His, HisMethod, Ours, OurMethod}]]. It sends
 * {resolved_here, Node, MyTag, Ops, Resolved} to the name server and ends.
 */
struct resolver {
	struct cn_global *g;
	cnode_term args;            /* its own, and what the next borrow from */
	cnode_reader conflicts;
	size_t left;                /* in the present part of the list */
	cnode_builder *ops, *resolved;
	cnode_term name, his_method, our_method;
	cnode_pid his, ours;
	cnode_ref request, call;    /* of the spawn, and in the result of erpc */
};

static int resolver_init(cnode_process *self, void *state, const cnode_start *how)
{
	struct resolver *r = state;
	cnode_term ops, conflicts;
	r->g = how->context;
	int rc = cnode_term_keep(how->args, &r->args);
	if (rc != 0)
		return rc;
	if (cnode_scan(r->args, "[_,_,~t,~t]", &ops, &conflicts) != 0)
		return CNODE_EBADARG;
	r->ops = cnode_builder_new();
	r->resolved = cnode_builder_new();
	if (!r->ops || !r->resolved)
		return CNODE_ENOMEM;
	cnode_build_list(r->ops);
	cnode_build_list(r->resolved);
	cnode_reader own = cnode_read(ops);
	size_t left;
	while ((left = cnode_read_list(&own)) > 0)
		while (left-- > 0)
			cnode_build_term(r->ops, cnode_read_term(&own));
	r->conflicts = cnode_read(conflicts);
	return cnode_send(self, cnode_self(self), "go");
}

/* What the method's answer means for both sides. `failed`: there is none, and the other side's process wins. */
static void decide(struct resolver *r, cnode_term winner, bool failed)
{
	cnode_pid pid;
	cnode_term reason;
	failed = failed || cnode_scan(winner, "{'EXIT',~t}", &reason) == 0;
	bool is_pid = !failed && cnode_scan(winner, "~p", &pid) == 0;
	if (failed || (is_pid && cnode_pid_equal(pid, r->his))) {
		cnode_build_format(r->ops, "{insert,{~t,~p,~t}}", r->name, r->his, r->his_method);
	} else if (is_pid && cnode_pid_equal(pid, r->ours)) {
		cnode_build_format(r->resolved, "{insert,{~t,~p,~t}}", r->name, r->ours, r->our_method);
	} else {
		cnode_build_format(r->ops, "{delete,~t}", r->name);
		cnode_build_format(r->resolved, "{delete,~t}", r->name);
	}
}

static int ask_elsewhere(cnode_process *self, struct resolver *r)
{
	char node[CNODE_NAME_SIZE];
	cnode_term args;
	int rc = cnode_make_ref(self, &r->call);
	if (rc == 0)
		rc = cnode_name_text(r->ours.node, node);
	if (rc == 0)
		rc = cnode_format(&args, "[~r,global,resolve_it,[~t,~t,~p,~p]]", r->call, r->our_method, r->name, r->his, r->ours);
	if (rc == 0) {
		rc = cnode_spawn_request(self, node, "erpc", "execute_call", args, CNODE_SPAWN_MONITOR, &r->request);
		cnode_term_drop(args);
	}
	return rc;
}

static int report(cnode_process *self, struct resolver *r)
{
	cnode_term ops, resolved, node, tag;
	cnode_build_list_end(r->ops);
	cnode_build_list_end(r->resolved);
	int rc = cnode_scan(r->args, "[~t,~t,_,_]", &node, &tag);
	if (rc == 0)
		rc = cnode_builder_term(r->ops, &ops);
	if (rc != 0)
		return rc;
	rc = cnode_builder_term(r->resolved, &resolved);
	if (rc == 0) {
		rc = cnode_send(self, global_pid(r->g, &r->g->server), "{resolved_here,~t,~t,~t,~t}", node, tag, ops, resolved);
		cnode_term_drop(resolved);
	}
	cnode_term_drop(ops);
	return rc != 0 ? rc : cnode_stop(self, "normal");
}

/* Goes on until another node has to be asked, or all is decided. */
static int go_on(cnode_process *self, struct resolver *r)
{
	for (;;) {
		if (r->left == 0 && (r->left = cnode_read_list(&r->conflicts)) == 0)
			return report(self, r);
		r->left--;
		int rc = cnode_scan(cnode_read_term(&r->conflicts), "{~t,~p,~t,~p,~t}", &r->name, &r->his, &r->his_method,
				    &r->ours, &r->our_method);
		if (rc != 0)
			return rc;
		cnode_term winner = { 0 };
		if (r->ours.node != r->g->self) {
			if (ask_elsewhere(self, r) == 0)
				return 0;
			decide(r, winner, true);
			continue;
		}
		rc = resolve(r->g, self, r->our_method, r->name, r->his, r->ours, &winner);
		decide(r, winner, rc != 0);
		cnode_term_drop(winner);
	}
}

static int resolver_info(cnode_process *self, void *state, const cnode_info *info)
{
	struct resolver *r = state;
	cnode_ref ref;
	cnode_term winner = { 0 };
	bool failed;
	if (info->kind == CNODE_MESSAGE && info->peer == 0 && cnode_scan(info->message, "go") == 0)
		return go_on(self, r);
	if (info->kind == CNODE_DOWN && cnode_ref_equal(info->ref, r->request))
		failed = cnode_scan(info->reason, "{~r,return,~t}", &ref, &winner) != 0 || !cnode_ref_equal(ref, r->call);
	else if (info->kind == CNODE_MESSAGE && info->peer == 0 &&
		 cnode_scan(info->message, "{spawn_reply,~r,error,_}", &ref) == 0 && cnode_ref_equal(ref, r->request))
		failed = true;
	else
		return 0;
	r->request = (cnode_ref){ 0 };
	if (failed) {
		char text[200], node[CNODE_NAME_SIZE];
		(void)cnode_name_text(r->ours.node, node);
		cn_term_brief(r->name, text, sizeof text);
		cn_log_line(r->g->config.log, CNODE_LOG_NOTICE,
			    "global: %s did not say which process keeps the name %s: that of the other partition does", node, text);
	}
	decide(r, winner, failed);
	return go_on(self, r);
}

static void resolver_release(void *state)
{
	struct resolver *r = state;
	cnode_builder_free(r->ops);
	cnode_builder_free(r->resolved);
	cnode_term_drop(r->args);
}

const cnode_behaviour resolver_behaviour = {
	CNODE_BEHAVIOUR_INIT,
	.flags = CN_GEN_QUIET,
	.state_size = sizeof(struct resolver),
	.init = resolver_init,
	.handle_info = resolver_info,
	.release = resolver_release,
};

int cn_global_method(const char *text, cnode_term *method)
{
	if (!text)
		text = CNODE_GLOBAL_EXIT;
	const char *colon = strchr(text, ':');
	size_t module = colon ? (size_t)(colon - text) : 0;
	if (module == 0 || !colon[1] || strchr(colon + 1, ':') || !cn_atom_valid(text, module) ||
	    !cn_atom_valid(colon + 1, strlen(colon + 1)))
		return CNODE_EBADARG;
	/* EXPORT_EXT: what BEAM nodes of every release take, and look up by name. */
	struct cn_buf b;
	cn_buf_init(&b, 0);
	cn_put_u8(&b, CN_EXPORT);
	cn_put_atom(&b, text, module);
	cn_put_atom(&b, colon + 1, strlen(colon + 1));
	cn_put_u8(&b, CN_SMALL_INTEGER);
	cn_put_u8(&b, 3);
	int rc = b.err ? b.err : cnode_term_from_bytes(b.data, b.size, method);
	cn_buf_fini(&b);
	return rc;
}
