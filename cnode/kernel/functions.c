/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exported functions, and the processes that run them.
 *
 * erpc:call/4 is a spawn of erpc:execute_call(Ref, M, F, A) with a monitor: the result is
 * the exit reason of that process, {Ref, return, Value} or {Ref, Class, Reason[, Stack]}.
 * erpc:cast/4 spawns erpc:execute_cast(M, F, A). rpc:call/4 is built on erpc.
 * Follows: lib/kernel/src/erpc.erl.
 */
#include "cnode/kernel/builtin.h"

#include <stdio.h>

#define NAME_TEXT_SIZE 1024u       /* more than an atom has, and the name of a list */

#define MAX_ARITY 255
#define NO_ARITY (-2)               /* of arguments that are no list */

struct function {
	struct function *next;
	char *module, *name;
	int arity;                  /* CNODE_ANY_ARITY */
	cnode_function *call;
	void *context;
	struct cn_access who;
};

/* Functions that were opened by name: module:name, or module:* with those to come. */
struct grant {
	struct grant *next;
	char *module, *name;
	struct cn_access who;
};

/* Entries are never removed, so whoever found one may use it without the lock. */
struct cn_functions {
	struct cn_guard *guard;
	struct cn_mutex lock;
	struct function *first;
	struct grant *grants;
	struct cn_builtins *builtins;
};

int cnode_raise(cnode_term *result, const char *exception_class, const char *format, ...)
{
	cnode_term reason;
	va_list args;
	va_start(args, format);
	int rc = cnode_vformat(&reason, format, args);
	va_end(args);
	if (rc != 0)
		return rc;
	rc = cnode_format(result, "{~a,~t}", exception_class, reason);
	cnode_term_drop(reason);
	return rc == 0 ? CNODE_ERAISED : rc;
}

/* ---- the table ---- */

int cn_functions_new(struct cn_guard *guard, struct cn_functions **functions)
{
	struct cn_functions *fs = cn_calloc(1, sizeof *fs);
	if (!fs)
		return CNODE_ENOMEM;
	fs->guard = guard;
	cn_mutex_init(&fs->lock);
	*functions = fs;
	return 0;
}

static void function_free(struct function *f)
{
	cn_access_fini(&f->who);
	cn_free(f->module);
	cn_free(f->name);
	cn_free(f);
}

static void grant_free(struct grant *g)
{
	cn_access_fini(&g->who);
	cn_free(g->module);
	cn_free(g->name);
	cn_free(g);
}

void cn_functions_free(struct cn_functions *fs)
{
	if (!fs)
		return;
	for (struct function *f = fs->first, *next; f; f = next) {
		next = f->next;
		function_free(f);
	}
	for (struct grant *g = fs->grants, *next; g; g = next) {
		next = g->next;
		grant_free(g);
	}
	cn_mutex_fini(&fs->lock);
	cn_free(fs->builtins);
	cn_free(fs);
}

int cn_functions_add_builtins(struct cn_functions *fs, struct cn_procs *procs, struct cn_cluster *cluster,
			      struct cn_factories *factories)
{
	struct cn_builtins *of = cn_calloc(1, sizeof *of);
	if (!of)
		return CNODE_ENOMEM;
	of->procs = procs;
	of->cluster = cluster;
	of->functions = fs;
	of->began = cn_now();
	fs->builtins = of;
	return cn_builtins_add(of, factories);
}

static bool valid_name(const char *name)
{
	return name && *name && cn_atom_valid(name, strlen(name));
}

/* Under the lock. Exactly this arity if `exact`, else also one of any arity. */
static struct function *find(struct cn_functions *fs, const char *module, const char *name, int arity, bool exact)
{
	struct function *any = NULL;
	for (struct function *f = fs->first; f; f = f->next) {
		if (strcmp(f->module, module) != 0 || strcmp(f->name, name) != 0)
			continue;
		if (f->arity == arity)
			return f;
		if (f->arity == CNODE_ANY_ARITY && !exact && arity >= 0 && arity <= MAX_ARITY)
			any = f;
	}
	return any;
}

int cn_function_export(struct cn_functions *fs, const char *module, const char *name, int arity,
		       cnode_function *function, void *context, const char *who)
{
	if (!valid_name(module) || !valid_name(name))
		return CNODE_EBADNAME;
	if (!function || arity < CNODE_ANY_ARITY || arity > MAX_ARITY || !who || cn_access_check(who, NULL) != 0)
		return CNODE_EBADARG;
	int rc;
	cn_mutex_lock(&fs->lock);
	struct function *f = find(fs, module, name, arity, true);
	if (f) {
		rc = f->call == function && f->context == context ? cn_access_allow(&f->who, who) : CNODE_EEXIST;
	} else if (!(f = cn_calloc(1, sizeof *f))) {
		rc = CNODE_ENOMEM;
	} else {
		cn_access_init(&f->who);
		f->module = cn_strdup(module);
		f->name = cn_strdup(name);
		f->arity = arity;
		f->call = function;
		f->context = context;
		rc = f->module && f->name ? cn_access_set(&f->who, who) : CNODE_ENOMEM;
		if (rc == 0) {
			f->next = fs->first;
			fs->first = f;
		} else {
			function_free(f);
		}
	}
	cn_mutex_unlock(&fs->lock);
	return rc;
}

/* Opens module:name to `who` by `how`, cn_access_allow or cn_access_set. */
static int grant(struct cn_functions *fs, const char *module, const char *name, const char *who,
		 int (*how)(struct cn_access *a, const char *who))
{
	if (!valid_name(module) || !valid_name(name))
		return CNODE_EBADNAME;
	if (!who || cn_access_check(who, NULL) != 0)
		return CNODE_EBADARG;
	int rc;
	cn_mutex_lock(&fs->lock);
	struct grant *g = fs->grants;
	while (g && (strcmp(g->module, module) != 0 || strcmp(g->name, name) != 0))
		g = g->next;
	if (g) {
		rc = how(&g->who, who);
	} else if (!(g = cn_calloc(1, sizeof *g))) {
		rc = CNODE_ENOMEM;
	} else {
		cn_access_init(&g->who);
		g->module = cn_strdup(module);
		g->name = cn_strdup(name);
		rc = g->module && g->name ? cn_access_set(&g->who, who) : CNODE_ENOMEM;
		if (rc == 0) {
			g->next = fs->grants;
			fs->grants = g;
		} else {
			grant_free(g);
		}
	}
	cn_mutex_unlock(&fs->lock);
	return rc;
}

int cn_function_allow(struct cn_functions *fs, const char *module, const char *name, const char *who)
{
	return grant(fs, module, name, who, cn_access_allow);
}

int cn_function_set(struct cn_functions *fs, const char *module, const char *name, const char *who)
{
	return grant(fs, module, name, who, cn_access_set);
}

int cn_function_list(struct cn_functions *fs, int (*each)(void *context, const cnode_function_info *function), void *context)
{
	/* Entries stay as they are, and are put in front of the first: what is behind it needs no lock. */
	cn_mutex_lock(&fs->lock);
	struct function *first = fs->first;
	cn_mutex_unlock(&fs->lock);
	struct cn_buf who;
	cn_buf_init(&who, 0);
	int rc = 0;
	for (struct function *f = first; f && rc == 0; f = f->next) {
		who.size = 0;
		rc = cn_access_text(&f->who, &who);
		cn_put_u8(&who, 0);
		if (rc != 0 || who.err) {
			rc = CNODE_ENOMEM;
			break;
		}
		cnode_function_info info = {
			.size = sizeof info, .module = f->module, .name = f->name, .arity = f->arity, .who = (char *)who.data,
		};
		rc = each(context, &info);
	}
	cn_buf_fini(&who);
	return rc;
}

/* ---- who may ---- */

struct call {
	cnode_term m, f, args;      /* as they came; borrowed */
	bool sound;                 /* erlang:apply/3 would take them: two atoms and a proper list */
	cnode_atom module, name;    /* if it is sound, as arity: of more than MAX_ARITY there is no function */
	int arity;
};

/* How many elements a proper list has; NO_ARITY: it is none. */
static int arity_of(cnode_term args)
{
	cnode_reader r = cnode_read(args);
	size_t n, count = 0;
	while ((n = cnode_read_list(&r)) > 0)
		for (count += n; n > 0; n--)
			(void)cnode_read_term(&r);
	return r.error ? NO_ARITY : count > MAX_ARITY ? MAX_ARITY + 1 : (int)count;
}

/* Reads the last three arguments of execute_call and execute_cast. */
static int read_call(cnode_term args, bool with_ref, struct call *c)
{
	if ((with_ref ? cnode_scan(args, "[_,~t,~t,~t]", &c->m, &c->f, &c->args)
		      : cnode_scan(args, "[~t,~t,~t]", &c->m, &c->f, &c->args)) != 0)
		return CNODE_EBADARG;
	c->arity = arity_of(c->args);
	c->sound = cnode_scan(c->m, "~a", &c->module) == 0 && cnode_scan(c->f, "~a", &c->name) == 0 && c->arity != NO_ARITY;
	return 0;
}

int cn_functions_may(struct cn_functions *fs, const char *peer, const char *module, const char *name, int arity)
{
	cn_mutex_lock(&fs->lock);
	struct function *f = find(fs, module, name, arity, false);
	/* An unknown function starts, and ends with undef, as on a BEAM node. */
	bool allowed = !f || cn_access_allowed(&f->who, peer) || CN_MUTANT(function_list_ignored);
	for (struct grant *g = fs->grants; g && !allowed; g = g->next)
		allowed = strcmp(g->module, module) == 0 && (strcmp(g->name, "*") == 0 || strcmp(g->name, name) == 0) &&
			  cn_access_allowed(&g->who, peer);
	cn_mutex_unlock(&fs->lock);
	return allowed ? 0 : CNODE_ENOTALLOWED;
}

bool cn_function_is_exported(struct cn_functions *fs, const char *module, const char *name, int arity)
{
	cn_mutex_lock(&fs->lock);
	bool there = find(fs, module, name, arity, false) != NULL;
	cn_mutex_unlock(&fs->lock);
	return there;
}

/* module:name/arity, for the log. */
static void call_name(const struct call *c, char *text, size_t size)
{
	if (c->sound)
		snprintf(text, size, "%.50s:%.50s/%d", c->module.text, c->name.text, c->arity);
	else
		snprintf(text, size, "erlang:apply/3");
}

static int may(struct cn_functions *fs, const char *peer, cnode_term args, bool with_ref)
{
	struct call c;
	int rc = read_call(args, with_ref, &c);
	if (rc != 0)
		return rc;
	/* What apply/3 does not take is no function's: the process ends with badarg. */
	rc = c.sound ? cn_functions_may(fs, peer, c.module.text, c.name.text, c.arity) : 0;
	if (rc == 0)
		return 0;
	char name[128];
	call_name(&c, name, sizeof name);
	cn_guard_refused(fs->guard, CN_REFUSED_FUNCTION, peer, name, "it is not on the list of the function");
	return rc;
}

int cn_functions_may_call(void *functions, const char *peer, cnode_term args)
{
	return may(functions, peer, args, true);
}

int cn_functions_may_cast(void *functions, const char *peer, cnode_term args)
{
	return may(functions, peer, args, false);
}

int cn_functions_enter(struct cn_functions *fs, const char *peer, cnode_term args, struct cn_place **place)
{
	const char *why;
	int rc = cn_quota_take(fs->guard, peer, NULL, cn_now(), place, &why);
	struct call c;
	char name[128];
	if (rc == CNODE_ESYSLIMIT && read_call(args, true, &c) == 0) {
		call_name(&c, name, sizeof name);
		cn_guard_refused(fs->guard, CN_REFUSED_QUOTA, peer, name, why);
	}
	return rc;
}

void cn_functions_leave(struct cn_functions *fs, struct cn_place *place)
{
	cn_quota_give(fs->guard, place);
}

int cn_functions_may_register(struct cn_functions *fs, cnode_name peer, cnode_term name)
{
	char node[CNODE_NAME_SIZE], text[NAME_TEXT_SIZE];
	cnode_atom atom;
	if (peer == 0)
		return 0;
	if (cnode_name_text(peer, node) != 0)
		return CNODE_ENOTALLOWED;
	/* A text that is cut would be another name's; what is too long for a list of its own is under that of all. */
	if (cnode_scan(name, "~a", &atom) == 0)
		snprintf(text, sizeof text, "%s", atom.text);
	else if (cnode_term_print(name, text, sizeof text) >= sizeof text)
		snprintf(text, sizeof text, "*");
	return cn_guard_may_register(fs->guard, node, text) ? 0 : CNODE_ENOTALLOWED;
}

int cn_functions_may_reach(struct cn_functions *fs, cnode_name peer, const char *name)
{
	char node[CNODE_NAME_SIZE];
	if (peer == 0)
		return 0;
	return cnode_name_text(peer, node) == 0 && cn_guard_may_reach(fs->guard, node, name) ? 0 : CNODE_ENOTALLOWED;
}

/* ---- the process that runs one function ---- */

struct execution {
	struct cn_functions *functions;
	cnode_term args;            /* of execute_call or execute_cast; its own */
};

static int execution_init(cnode_process *self, void *state, const cnode_start *how)
{
	struct execution *e = state;
	e->functions = how->context;
	int rc = cnode_term_keep(how->args, &e->args);
	/* The caller hears of the process before the function runs: it may take its time. */
	return rc != 0 ? rc : cnode_send(self, cnode_self(self), "run");
}

static void execution_release(void *state)
{
	struct execution *e = state;
	cnode_term_drop(e->args);
}

/* Runs it. The codes of cnode_function, and CNODE_EUNDEF; *result is yours if it is not empty. */
static int execute(cnode_process *self, struct execution *e, const struct call *c, cnode_term *result)
{
	*result = (cnode_term){ 0 };
	if (!c->sound)
		return CNODE_EBADARG;
	cn_mutex_lock(&e->functions->lock);
	struct function *f = find(e->functions, c->module.text, c->name.text, c->arity, false);
	cn_mutex_unlock(&e->functions->lock);
	return f ? f->call(self, f->context, c->args, result) : CNODE_EUNDEF;
}

int cn_function_run(struct cn_functions *fs, cnode_process *self, const char *module, const char *name, cnode_term args,
		    cnode_term *result)
{
	*result = (cnode_term){ 0 };
	cnode_reader r = cnode_read(args);
	size_t arity = cnode_read_list(&r);
	if (r.error || arity > MAX_ARITY)
		return CNODE_EBADARG;
	cn_mutex_lock(&fs->lock);
	struct function *f = find(fs, module, name, (int)arity, false);
	cn_mutex_unlock(&fs->lock);
	return f ? f->call(self, f->context, args, result) : CNODE_EUNDEF;
}

/* Ends the process with the exit reason that erpc expects. */
static int finish_call(cnode_process *self, cnode_term ref, const struct call *c, int rc, cnode_term result)
{
	const char *m = c->module.text, *f = c->name.text;
	cnode_atom class_;
	cnode_term reason;
	if (!c->sound)
		return cnode_stop(self, "{~t,error,badarg,[{erlang,apply,[~t,~t,~t],[]}]}", ref, c->m, c->f, c->args);
	if (rc == 0)
		return cnode_stop(self, CN_MUTANT(erpc_result_thrown) ? "{~t,throw,~t}" : "{~t,return,~t}", ref, result);
	if (rc == CNODE_ERAISED && cnode_scan(result, "{~a,~t}", &class_, &reason) == 0) {
		if (strcmp(class_.text, "error") == 0)
			return cnode_stop(self, "{~t,error,~t,[{~a,~a,~t,[]}]}", ref, reason, m, f, c->args);
		return cnode_stop(self, "{~t,~a,~t}", ref, class_.text, reason);
	}
	if (CN_MUTANT(erpc_error_as_exit))
		return cnode_stop(self, "{~t,exit,~a}", ref, cnode_error_atom(rc));
	if (rc == CNODE_EUNDEF || rc == CNODE_EBADARG)
		return cnode_stop(self, "{~t,error,~a,[{~a,~a,~t,[]}]}", ref, cnode_error_atom(rc), m, f, c->args);
	return cnode_stop(self, "{~t,error,{cnode,~a,~z},[{~a,~a,~t,[]}]}", ref, cnode_error_atom(rc),
			  cnode_strerror(rc), m, f, c->args);
}

static int execution_call(cnode_process *self, void *state, const cnode_info *info)
{
	(void)info;
	struct execution *e = state;
	struct call c;
	cnode_term ref, result;
	int rc = cnode_scan(e->args, "[~t|_]", &ref);
	if (rc == 0)
		rc = read_call(e->args, true, &c);
	if (rc != 0)
		return rc;
	rc = execute(self, e, &c, &result);
	rc = finish_call(self, ref, &c, rc, result);
	cnode_term_drop(result);
	return rc;
}

/* What rpc:call would return: a throw is a value, an error and an exit are {badrpc, {'EXIT', _}}. *value is yours. */
static int value_of(const struct call *c, int rc, cnode_term result, cnode_term *value)
{
	const char *m = c->module.text, *f = c->name.text;
	cnode_atom class_;
	cnode_term reason;
	if (!c->sound)
		return cnode_format(value, "{badrpc,{'EXIT',{badarg,[{erlang,apply,[~t,~t,~t],[]}]}}}", c->m, c->f, c->args);
	if (rc == 0)
		return cnode_term_keep(result, value);
	if (rc == CNODE_ERAISED && cnode_scan(result, "{~a,~t}", &class_, &reason) == 0) {
		if (strcmp(class_.text, "throw") == 0)
			return cnode_term_keep(reason, value);
		if (strcmp(class_.text, "exit") == 0)
			return cnode_format(value, "{badrpc,{'EXIT',~t}}", reason);
		return cnode_format(value, "{badrpc,{'EXIT',{~t,[{~a,~a,~t,[]}]}}}", reason, m, f, c->args);
	}
	if (rc == CNODE_EUNDEF || rc == CNODE_EBADARG)
		return cnode_format(value, "{badrpc,{'EXIT',{~a,[{~a,~a,~t,[]}]}}}", cnode_error_atom(rc), m, f, c->args);
	return cnode_format(value, "{badrpc,{'EXIT',{{cnode,~a,~z},[{~a,~a,~t,[]}]}}}", cnode_error_atom(rc), cnode_strerror(rc),
			    m, f, c->args);
}

int cn_rex_answer(cnode_process *self, cnode_term whom, cnode_term value)
{
	cnode_pid pid;
	cnode_term from;
	if (cnode_scan(whom, "{rex,~p}", &pid) == 0)
		return cnode_send(self, pid, "{rex,~t}", value);
	if (cnode_scan(whom, "{leader,~p}", &pid) == 0)
		return cnode_send(self, cnode_group_leader(self), "{rex_answer,~p,~t}", pid, value);
	if (cnode_scan(whom, "{from,~t}", &from) == 0)
		return cnode_reply_to(self, from, "~t", value);
	if (cn_term_is_atom(whom, "nobody"))
		return 0;
	return CNODE_EBADARG;
}

static int execution_rex(cnode_process *self, void *state, const cnode_info *info)
{
	(void)info;
	struct execution *e = state;
	struct call c;
	cnode_term whom, result, value;
	int rc = cnode_scan(e->args, "[~t|_]", &whom);
	if (rc == 0)
		rc = read_call(e->args, true, &c);
	if (rc != 0)
		return rc;
	rc = execute(self, e, &c, &result);
	rc = value_of(&c, rc, result, &value);
	cnode_term_drop(result);
	if (rc != 0)
		return rc;
	/* A value that cannot be sent is an end, which rex tells whoever waits. */
	rc = cn_rex_answer(self, whom, value);
	cnode_term_drop(value);
	return rc != 0 ? rc : cnode_stop(self, "normal");
}

static int execution_cast(cnode_process *self, void *state, const cnode_info *info)
{
	(void)info;
	struct execution *e = state;
	struct call c;
	cnode_term result;
	int rc = read_call(e->args, false, &c);
	if (rc != 0)
		return rc;
	/* Nobody waits for the outcome, as with erpc:cast. */
	execute(self, e, &c, &result);
	cnode_term_drop(result);
	return cnode_stop(self, "normal");
}

const cnode_behaviour cn_kernel_erpc_call = {
	CNODE_BEHAVIOUR_INIT,
	.flags = CN_GEN_QUIET,
	.state_size = sizeof(struct execution),
	.init = execution_init,
	.handle_info = execution_call,
	.release = execution_release,
};

const cnode_behaviour cn_kernel_rex_call = {
	CNODE_BEHAVIOUR_INIT,
	.flags = CN_GEN_QUIET,
	.state_size = sizeof(struct execution),
	.init = execution_init,
	.handle_info = execution_rex,
	.release = execution_release,
};

const cnode_behaviour cn_kernel_erpc_cast = {
	CNODE_BEHAVIOUR_INIT,
	.flags = CN_GEN_QUIET,
	.state_size = sizeof(struct execution),
	.init = execution_init,
	.handle_info = execution_cast,
	.release = execution_release,
};
