/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Spawns by processes of ours, as terms: what was asked for, and what carries on from the
 * process that asks. The options are those that request.c reads on the other side.
 */
#include "cnode/spawn/inner.h"

/* Is the key on the list "A,B_*"? */
static bool is_exposed(const char *list, const char *key, size_t size)
{
	char name[CN_ENV_KEY_MAX + 1], pattern[CN_ENV_KEY_MAX + 1];
	memcpy(name, key, size);
	name[size] = 0;
	while (*list) {
		list += strspn(list, " ,\t");
		size_t end = strcspn(list, ",");
		while (end > 0 && (list[end - 1] == ' ' || list[end - 1] == '\t'))
			end--;
		if (end > 0 && end < sizeof pattern) {
			memcpy(pattern, list, end);
			pattern[end] = 0;
			if (cn_access_match(pattern, name))
				return true;
		}
		list += strcspn(list, ",");
	}
	return false;
}

static bool has_key(cnode_term env, const char *key, size_t size)
{
	if (cn_term_is_none(env))
		return false;
	cnode_reader r = cnode_read(env);
	for (size_t n; (n = cnode_read_list(&r)) > 0;)
		while (n--) {
			cnode_term k;
			const char *text;
			size_t length;
			if (cnode_scan(cnode_read_term(&r), "{~t,_}", &k) == 0 && cn_env_key(k, &text, &length) &&
			    length == size && memcmp(text, key, size) == 0)
				return true;
		}
	return false;
}

/*
 * Adds the pairs of an environment to an open list. With `expose` only keys on that list, and not
 * those of `over`. *count counts them. 0; CNODE_EBADARG: it is none; CNODE_EBADTERM, its key in `why`.
 */
static int add_env(cnode_builder *b, cnode_term env, const char *expose, cnode_term over, size_t *count, struct cn_buf *why)
{
	cnode_reader r = cnode_read(env);
	for (size_t n; (n = cnode_read_list(&r)) > 0;)
		while (n--) {
			cnode_term pair = cnode_read_term(&r), key, value;
			const char *text;
			size_t size;
			if (cnode_scan(pair, "{~t,~t}", &key, &value) != 0 || !cn_env_key(key, &text, &size))
				return CNODE_EBADARG;
			if (expose && (!is_exposed(expose, text, size) || has_key(over, text, size)))
				continue;
			const struct cn_term_limits limits = { .flags = CN_TERM_OUTBOUND };
			const uint8_t *bytes;
			size_t length;
			int rc = cn_term_outgoing(value, &limits, NULL, &bytes, &length, NULL);
			if (rc == CNODE_ENOMEM)
				return rc;
			if (rc != 0) {
				cn_put_text(why, "%.*s", (int)size, text);
				return CNODE_EBADTERM;
			}
			cnode_build_term(b, pair);
			(*count)++;
		}
	return r.error ? CNODE_EBADARG : 0;
}

static void add_atom_option(cnode_builder *b, const char *key, const char *value)
{
	cnode_build_format(b, "{~a,~a}", key, value);
}

static void add_time(cnode_builder *b, const char *key, uint64_t ms)
{
	if (ms != 0 && ms != CNODE_INFINITY)
		cnode_build_format(b, "{~a,~Q}", key, ms);
}

static bool good_atom(const char *text)
{
	return !text || cn_atom_valid(text, strlen(text));
}

/* {env, [...]} from what was asked for and (extras) what is inherited. */
static int add_environments(cnode_builder *b, cnode_term given, cnode_term inherited, const char *expose, struct cn_buf *why)
{
	size_t count = 0;
	int rc = 0;
	cnode_build_tuple(b, 2);
	cnode_build_atom(b, "env");
	cnode_build_list(b);
	if (!cn_term_is_none(inherited))
		rc = add_env(b, inherited, expose, given, &count, why);
	if (rc == 0 && !cn_term_is_none(given))
		rc = add_env(b, given, NULL, (cnode_term){ 0 }, &count, why);
	cnode_build_list_end(b);
	return rc;
}

static int make_options(cnode_builder *b, const cnode_spawn_options *o, struct cn_buf *why)
{
	static const char *const registrations[] = { "local", "none", "global" };
	int rc = 0;
	cnode_build_list(b);
	if (o->name)
		add_atom_option(b, "name", o->name);
	if (o->registration != CNODE_REGISTER_LOCAL)
		add_atom_option(b, "registration", registrations[o->registration]);
	add_time(b, "init_timeout", o->init_timeout_ms);
	if (o->application)
		add_atom_option(b, "application", o->application);
	if (o->log_level)
		add_atom_option(b, "log_level", cnode_log_level_name(*o->log_level));
	if (o->mailbox)
		cnode_build_format(b, "{mailbox,{~Q,~a}}", (uint64_t)o->mailbox, o->mailbox_drops ? "drop" : "exit");
	if (o->answer_at_creation)
		add_atom_option(b, "answer", "creation");
	if (!cn_term_is_none(o->env))
		rc = add_environments(b, o->env, (cnode_term){ 0 }, NULL, why);
	cnode_build_list_end(b);
	return rc;
}

static int make_extras(struct cn_factories *f, const cnode_process *self, cnode_builder *b, const cnode_spawn_options *o,
		       uint64_t timeout_ms, const cnode_ref *failure_to, struct cn_buf *why)
{
	enum cnode_log_level level;
	int rc = 0;
	cnode_build_list(b);
	add_time(b, "timeout", timeout_ms);
	if (failure_to)
		cnode_build_format(b, "{failure,~r}", *failure_to);
	if (!o->application && *cn_spawn_application(self))
		add_atom_option(b, "application", cn_spawn_application(self));
	if (!o->log_level && cnode_log_level(self, &level) == 0)
		add_atom_option(b, "log_level", cnode_log_level_name(level));
	cnode_term env = cn_spawn_environment(self);
	if (f->expose && !cn_term_is_none(env))
		rc = add_environments(b, o->env, env, f->expose, why);
	cnode_build_list_end(b);
	return rc;
}

int cn_outbound_make(struct cn_factories *f, const cnode_process *self, const cnode_spawn_options *o, uint64_t timeout_ms,
		     const cnode_ref *failure_to, struct cn_outbound *out, struct cn_buf *why)
{
	*out = (struct cn_outbound){ 0 };
	if (!good_atom(o->name) || !good_atom(o->application) || (o->name && (!*o->name || strcmp(o->name, "undefined") == 0)))
		return CNODE_EBADNAME;
	if ((unsigned)o->registration > CNODE_REGISTER_GLOBAL || (o->registration == CNODE_REGISTER_GLOBAL && !o->name))
		return CNODE_EBADARG;
	cnode_builder *b = cnode_builder_new();
	if (!b)
		return CNODE_ENOMEM;
	int rc = make_options(b, o, why);
	int built = cnode_builder_term(b, &out->options);
	if (rc == 0 && (rc = built) == 0) {
		rc = make_extras(f, self, b, o, timeout_ms, failure_to, why);
		built = cnode_builder_term(b, &out->extras);
		if (rc == 0)
			rc = built;
	}
	cnode_builder_free(b);
	if (rc != 0)
		cn_outbound_fini(out);
	return rc;
}

void cn_outbound_fini(struct cn_outbound *out)
{
	cnode_term_drop(out->options);
	cnode_term_drop(out->extras);
	*out = (struct cn_outbound){ 0 };
}
