/* SPDX-License-Identifier: Apache-2.0 */
/*
 * acl: the order {acl, F, R, [Op | Args]} of CONTRACT.md, which makes factories and changes
 * who may do what, and the factory `starter`, whose init does what its arguments say.
 */
#include <string.h>
#include <time.h>

#include "conformance/nodes/cnode/puppet.h"

/* ---- starter ---- */

static void wait_ms(int64_t ms)
{
	struct timespec left = { ms / 1000, ms % 1000 * 1000000 };
	while (nanosleep(&left, &left) != 0)
		continue;
}

/* [], [{fail, R}], [{stop, R}], [{sleep, Ms}], [{sleep, Ms, Pid}] (which tells Pid first), [{send, Pid, M}]. */
static int starter_init(cnode_process *self, void *state, const cnode_start *how)
{
	cnode_term term;
	cnode_pid pid;
	int64_t ms;
	(void)state;
	if (cnode_scan(how->args, "[]") == 0)
		return 0;
	if (cnode_scan(how->args, "[{fail,~t}]", &term) == 0)
		return cnode_stop(self, "~t", term);
	if (cnode_scan(how->args, "[{stop,~t}]", &term) == 0) {
		(void)cnode_stop(self, "~t", term);
		return 0;
	}
	if (cnode_scan(how->args, "[{sleep,~q}]", &ms) == 0) {
		wait_ms(ms);
		return 0;
	}
	if (cnode_scan(how->args, "[{send,~p,~t}]", &pid, &term) == 0)
		return cnode_send(self, pid, "{~p,~t}", cnode_self(self), term);
	return CNODE_EBADARG;
}

/* {tell, Pid, Ref, What}. */
static int starter_info(cnode_process *self, void *state, const cnode_info *info)
{
	cnode_pid pid;
	cnode_ref ref;
	cnode_term what, value;
	cnode_atom key;
	enum cnode_log_level level;
	int rc = 0;
	(void)state;
	if (info->kind != CNODE_MESSAGE || cnode_scan(info->message, "{tell,~p,~r,~t}", &pid, &ref, &what) != 0)
		return 0;
	if (cnode_scan(what, "application") == 0)
		rc = cnode_send(self, pid, "{~r,~a}", ref, cnode_application(self));
	else if (cnode_scan(what, "log_level") == 0)
		rc = cnode_send(self, pid, "{~r,~a}", ref,
				cnode_log_level(self, &level) == 0 ? cnode_log_level_name(level) : "undefined");
	else if (cnode_scan(what, "parent") == 0)
		rc = cnode_send(self, pid, "{~r,~p}", ref, cnode_parent(self));
	else if (cnode_scan(what, "leader") == 0)
		rc = cnode_send(self, pid, "{~r,~p}", ref, cnode_group_leader(self));
	else if (cnode_scan(what, "{env,~a}", &key) == 0 && cnode_env(self, key.text, &value) == 0)
		rc = cnode_send(self, pid, "{~r,{ok,~t}}", ref, value);
	else if (cnode_scan(what, "{sleep,_}") == 0) {
		int64_t ms = 0;
		if (cnode_scan(what, "{_,~q}", &ms) == 0)
			wait_ms(ms);
		rc = cnode_send(self, pid, "{~r,slept}", ref);
	} else
		rc = cnode_send(self, pid, "{~r,undefined}", ref);
	return rc == CNODE_EEXITED ? rc : 0;
}

#define STARTER { CNODE_BEHAVIOUR_INIT, .flags = CNODE_RAW, .init = starter_init, .handle_info = starter_info }
static const cnode_behaviour starters[] = { STARTER, STARTER };

/* ---- the order ---- */

static int word_of(cnode_term term, const char *const *words, size_t count)
{
	cnode_atom word;
	if (cnode_scan(term, "~a", &word) != 0)
		return -1;
	for (size_t i = 0; i < count; i++)
		if (strcmp(words[i], word.text) == 0)
			return (int)i;
	return -1;
}

static int list_one(void *context, const cnode_factory_info *f)
{
	cnode_build_format(context, "{~a,~a,~z,~z,~Q,~Q,~Q}", f->name, f->mode, f->allowed, f->denied, f->processes, f->spawned, f->refused);
	return 0;
}

static int list(cnode_node *node, cnode_term *result)
{
	cnode_builder *b = cnode_builder_new();
	if (b == NULL)
		return CNODE_ENOMEM;
	cnode_build_list(b);
	int rc = cnode_factory_list(node, list_one, b);
	cnode_build_list_end(b);
	int built = cnode_builder_term(b, result);
	cnode_builder_free(b);
	return rc != 0 ? rc : built;
}

static int refusals(cnode_node *node, cnode_term *result)
{
	cnode_refusal_counts c = { .size = sizeof c };
	cnode_refusals(node, &c);
	return cnode_format(result, "{~Q,~Q,~Q,~Q,~Q,~Q}", c.spawns, c.functions, c.names, c.exits, c.registrations, c.quotas);
}

/* [access, Kind, How, Name, Who] */
static int change_access(cnode_node *node, cnode_term kind, cnode_term how, const char *name, const char *who)
{
	static const char *const kinds[] = { "name", "exit", "register" }, *const ways[] = { "allow", "deny", "set", "reset" };
	int k = word_of(kind, kinds, 3);
	if (k < 0)
		return CNODE_EBADARG;
	switch (word_of(how, ways, 4)) {
	case 0:
		return cnode_access_allow(node, (enum cnode_access)k, name, who);
	case 1:
		return cnode_access_deny(node, (enum cnode_access)k, name, who);
	case 2:
		return cnode_access_set(node, (enum cnode_access)k, name, who);
	case 3:
		return cnode_access_set(node, (enum cnode_access)k, name, NULL);
	}
	return CNODE_EBADARG;
}

static int change_unknown(cnode_node *node, const char *name, cnode_term how)
{
	static const char *const ways[] = { "undef", "dies", "hidden" };
	int way = word_of(how, ways, 3);
	return way < 0 ? CNODE_EBADARG : cnode_factory_unknown(node, strcmp(name, "all") == 0 ? NULL : name, (enum cnode_unknown)way);
}

int acl_order(cnode_node *node, cnode_term args, cnode_term *result)
{
	static int contexts[4];
	const char *text;
	size_t size;
	char who[1024] = "";
	cnode_atom op, name;
	cnode_term rest, kind, how;
	int64_t number, rate;
	int rc;
	if (cnode_scan(args, "[~a|~t]", &op, &rest) != 0)
		return CNODE_EBADARG;
	/* Who may stands last, as a binary. */
	if (cnode_scan(rest, "[_,~z]", &text, &size) == 0 || cnode_scan(rest, "[_,_,~z]", &text, &size) == 0 ||
	    cnode_scan(rest, "[_,_,_,~z]", &text, &size) == 0) {
		if (size >= sizeof who)
			return CNODE_EBADARG;
		memcpy(who, text, size);
	}
	if (strcmp(op.text, "list") == 0)
		return list(node, result);
	if (strcmp(op.text, "refusals") == 0)
		return refusals(node, result);
	/* [add, Name, Behaviour 0 or 1, Context 0 to 3, Who] */
	if (cnode_scan(args, "[add,~a,~q,~q,_]", &name, &number, &rate) == 0 && (number & ~1) == 0 && (rate & ~3) == 0)
		rc = cnode_factory_add(node, name.text, &starters[number], &contexts[rate], who);
	else if (cnode_scan(args, "[remove,~a]", &name) == 0)
		rc = cnode_factory_remove(node, name.text);
	else if (cnode_scan(args, "[allow,~a,_]", &name) == 0)
		rc = cnode_factory_allow(node, name.text, who);
	else if (cnode_scan(args, "[deny,~a,_]", &name) == 0)
		rc = cnode_factory_deny(node, name.text, who);
	else if (cnode_scan(args, "[set,~a,_]", &name) == 0)
		rc = cnode_factory_set(node, name.text, who);
	else if (cnode_scan(args, "[enable,true]") == 0 || cnode_scan(args, "[enable,false]") == 0) {
		cnode_factory_enable(node, cnode_scan(args, "[_,true]") == 0);
		rc = 0;
	} else if (cnode_scan(args, "[access,~t,~t,~a,_]", &kind, &how, &name) == 0)
		rc = change_access(node, kind, how, name.text, who);
	else if (cnode_scan(args, "[quota,~a,{~q,~q},_]", &name, &number, &rate) == 0)
		rc = cnode_quota_set(node, strcmp(name.text, "all") == 0 ? NULL : name.text, who, (uint32_t)number, (uint32_t)rate);
	else if (cnode_scan(args, "[quota_clear]") == 0) {
		cnode_quota_clear(node);
		rc = 0;
	} else if (cnode_scan(args, "[unknown,~a,~t]", &name, &how) == 0)
		rc = change_unknown(node, name.text, how);
	else
		return CNODE_EBADARG;
	return rc == 0 ? cnode_format(result, "ok") : cnode_format(result, "{error,~a}", cnode_error_atom(rc));
}

static int closed_function(cnode_process *self, void *context, cnode_term args, cnode_term *result)
{
	(void)self;
	(void)context;
	(void)args;
	return cnode_format(result, "ok");
}

int acl_open(cnode_node *node)
{
	int rc = cnode_factory_add(node, "starter", &starters[0], NULL, CNODE_ALL_NODES);
	if (rc == 0)
		rc = cnode_function_export(node, "conformance_closed", "f", 0, closed_function, NULL, CNODE_NO_NODES);
	/* The functions of the module cnode are open here: cases ask for factories by rpc. */
	return rc != 0 ? rc : cnode_function_allow(node, "cnode", "*", CNODE_ALL_NODES);
}
