/* SPDX-License-Identifier: Apache-2.0 */
/* What a process has from its spawn, and carries on to those that it spawns elsewhere: application and environment. */
#include "cnode/spawn/inner.h"

void cn_origin_unref(struct cn_origin *r)
{
	if (atomic_fetch_sub(&r->refs, 1) != 1)
		return;
	cn_message_discard(r->lost);
	cn_free(r->application);
	cnode_term_drop(r->env);
	cn_free(r);
}

/* The origin, made if there is none yet; NULL: out of memory. */
static struct cn_origin *origin_of(struct cn_factories *f, cnode_process *self)
{
	struct cn_origin *r = cn_process_origin(self);
	if (r)
		return r;
	r = cn_calloc(1, sizeof *r);
	if (!r)
		return NULL;
	atomic_init(&r->refs, 1);
	r->factories = f;
	cn_process_set_origin(self, r);
	return r;
}

const char *cn_spawn_application(const cnode_process *self)
{
	const struct cn_origin *r = cn_process_origin(self);
	return r && r->application ? r->application : "";
}

int cn_spawn_set_application(struct cn_factories *f, cnode_process *self, const char *name)
{
	if (!name || !cn_atom_valid(name, strlen(name)))
		return CNODE_EBADNAME;
	char *copy = cn_strdup(name);
	struct cn_origin *r = copy ? origin_of(f, self) : NULL;
	if (!r) {
		cn_free(copy);
		return CNODE_ENOMEM;
	}
	cn_free(r->application);
	r->application = copy;
	return 0;
}

cnode_term cn_spawn_environment(const cnode_process *self)
{
	const struct cn_origin *r = cn_process_origin(self);
	return r ? r->env : (cnode_term){ 0 };
}

static bool key_is(cnode_term key, const char *text)
{
	const char *k;
	size_t size;
	return cn_env_key(key, &k, &size) && size == strlen(text) && memcmp(k, text, size) == 0;
}

int cn_spawn_env(const cnode_process *self, const char *key, cnode_term *value)
{
	cnode_term env = cn_spawn_environment(self), k, v;
	if (!key || cn_term_is_none(env))
		return CNODE_ENOENT;
	cnode_reader r = cnode_read(env);
	for (size_t n; (n = cnode_read_list(&r)) > 0;)
		while (n--)
			if (cnode_scan(cnode_read_term(&r), "{~t,~t}", &k, &v) == 0 && key_is(k, key)) {
				*value = v;
				return 0;
			}
	return r.error == CNODE_ENOMEM ? r.error : CNODE_ENOENT;
}

int cn_spawn_set_env(struct cn_factories *f, cnode_process *self, const char *key, cnode_term value)
{
	if (!key || !*key || strlen(key) > CN_ENV_KEY_MAX)
		return CNODE_EBADNAME;
	struct cn_origin *o = origin_of(f, self);
	cnode_builder *b = o ? cnode_builder_new() : NULL;
	if (!b)
		return CNODE_ENOMEM;
	cnode_build_list(b);
	if (!cn_term_is_none(value))
		cnode_build_format(b, "{~z,~t}", key, value);
	if (!cn_term_is_none(o->env)) {
		cnode_reader r = cnode_read(o->env);
		for (size_t n; (n = cnode_read_list(&r)) > 0;)
			while (n--) {
				cnode_term pair = cnode_read_term(&r), k, v;
				if (cnode_scan(pair, "{~t,~t}", &k, &v) == 0 && !key_is(k, key))
					cnode_build_term(b, pair);
			}
	}
	cnode_build_list_end(b);
	cnode_term made;
	int rc = cnode_builder_term(b, &made);
	cnode_builder_free(b);
	if (rc != 0)
		return rc;
	cnode_term_drop(o->env);
	o->env = made;
	return 0;
}
