/* SPDX-License-Identifier: Apache-2.0 */
/* The table of factories. */
#include "cnode/spawn/inner.h"

int cn_factories_new(struct cn_procs *procs, struct cn_log *log, struct cn_guard *guard, struct cn_factories **factories)
{
	struct cn_factories *f = cn_calloc(1, sizeof *f);
	if (!f)
		return CNODE_ENOMEM;
	f->procs = procs;
	f->log = log;
	f->guard = guard;
	cn_mutex_init(&f->lock);
	*factories = f;
	return 0;
}

static void factory_free(struct cn_factory *factory)
{
	cn_access_fini(&factory->who);
	cn_free(factory->name);
	cn_free(factory);
}

void cn_factories_free(struct cn_factories *f)
{
	if (!f)
		return;
	struct cn_factory *factory, *next;
	HASH_ITER(hh, f->table, factory, next) {
		HASH_DEL(f->table, factory);
		factory_free(factory);
	}
	cn_pools_free(f);
	while (f->services) {
		struct cn_service_entry *entry = f->services;
		f->services = entry->next;
		cn_free(entry);
	}
	cn_mutex_fini(&f->lock);
	cn_free(f->expose);
	cn_free(f);
}

struct cn_factory *cn_factory_find(struct cn_factories *f, const char *name)
{
	struct cn_factory *factory = NULL;
	if (f->table)
		HASH_FIND_STR(f->table, name, factory);
	return factory && !factory->removed ? factory : NULL;
}

static int make(const char *name, const cnode_behaviour *behaviour, void *context, const char *who,
		struct cn_factory **made)
{
	struct cn_factory *factory = cn_calloc(1, sizeof *factory);
	if (!factory)
		return CNODE_ENOMEM;
	cn_access_init(&factory->who);
	factory->behaviour = behaviour;
	factory->context = context;
	factory->name = cn_strdup(name);
	int rc = factory->name ? cn_access_set(&factory->who, who) : CNODE_ENOMEM;
	if (rc != 0) {
		factory_free(factory);
		return rc;
	}
	*made = factory;
	return 0;
}

int cn_factory_add(struct cn_factories *f, const char *name, const cnode_behaviour *behaviour, void *context,
		   const char *who)
{
	if (!name || !*name || !cn_atom_valid(name, strlen(name)))
		return CNODE_EBADNAME;
	if (!behaviour || cn_gen_check(behaviour) != 0 || !who || cn_access_check(who, NULL) != 0)
		return CNODE_EBADARG;
	cn_mutex_lock(&f->lock);
	int rc;
	struct cn_factory *factory = NULL;
	if (f->table)
		HASH_FIND_STR(f->table, name, factory);
	if (factory && !factory->removed) {
		rc = factory->behaviour == behaviour && factory->context == context
			     ? cn_access_allow(&factory->who, who) : CNODE_EEXIST;
	} else if (factory) {
		/* The new list says nothing about processes of what had the name before. */
		if (factory->behaviour != behaviour || factory->context != context)
			atomic_fetch_add(&factory->era, 1);
		rc = cn_access_set(&factory->who, who);
		if (rc == 0) {
			factory->behaviour = behaviour;
			factory->context = context;
			factory->unknown = CNODE_UNKNOWN_UNDEF;
			factory->removed = false;
		}
	} else {
		/* The list is complete before anybody can find the factory. */
		rc = make(name, behaviour, context, who, &factory);
		if (rc == 0) {
			bool added = true;
			HASH_ADD_KEYPTR(hh, f->table, factory->name, strlen(factory->name), factory);
			if (!added) {
				factory_free(factory);
				rc = CNODE_ENOMEM;
			}
		}
	}
	cn_mutex_unlock(&f->lock);
	return rc;
}

int cn_factory_remove(struct cn_factories *f, const char *name)
{
	cn_mutex_lock(&f->lock);
	struct cn_factory *factory = name ? cn_factory_find(f, name) : NULL;
	if (factory)
		factory->removed = true;
	cn_mutex_unlock(&f->lock);
	return factory ? 0 : CNODE_ENOENT;
}

static int change(struct cn_factories *f, const char *name, const char *who,
		  int (*how)(struct cn_access *a, const char *who))
{
	if (!name || !who)
		return CNODE_EBADARG;
	cn_mutex_lock(&f->lock);
	struct cn_factory *factory = cn_factory_find(f, name);
	int rc = factory ? how(&factory->who, who) : CNODE_ENOENT;
	cn_mutex_unlock(&f->lock);
	return rc;
}

int cn_factory_allow(struct cn_factories *f, const char *name, const char *who)
{
	return change(f, name, who, cn_access_allow);
}

int cn_factory_deny(struct cn_factories *f, const char *name, const char *who)
{
	return change(f, name, who, cn_access_deny);
}

int cn_factory_set(struct cn_factories *f, const char *name, const char *who)
{
	return change(f, name, who, cn_access_set);
}

void cn_factories_close(struct cn_factories *f)
{
	if (f)
		f->closed = true;
}

void cn_factory_enable(struct cn_factories *f, bool on)
{
	atomic_store(&f->off, !on);
}

int cn_factories_expose(struct cn_factories *f, const char *keys)
{
	cn_free(f->expose);
	f->expose = keys ? cn_strdup(keys) : NULL;
	return f->expose || !keys ? 0 : CNODE_ENOMEM;
}

bool cn_factory_exists(struct cn_factories *f, const char *name)
{
	cn_mutex_lock(&f->lock);
	bool exists = cn_factory_find(f, name) != NULL;
	cn_mutex_unlock(&f->lock);
	return exists;
}

int cn_factory_unknown(struct cn_factories *f, const char *name, enum cnode_unknown how)
{
	if ((unsigned)how > CNODE_UNKNOWN_HIDDEN)
		return CNODE_EBADARG;
	if (!name) {
		atomic_store(&f->unknown, (int)how);
		return 0;
	}
	cn_mutex_lock(&f->lock);
	struct cn_factory *factory = cn_factory_find(f, name);
	if (factory)
		factory->unknown = how;
	cn_mutex_unlock(&f->lock);
	return factory ? 0 : CNODE_ENOENT;
}

void cn_factories_register_by(struct cn_factories *f, const struct cn_register_ops *ops)
{
	f->global = *ops;
}

/* Calls `each` with one factory's figures. */
static int show(struct cn_factory *factory, int (*each)(void *context, const cnode_factory_info *factory), void *context)
{
	struct cn_buf allowed, denied, who;
	cn_buf_init(&allowed, 0);
	cn_buf_init(&denied, 0);
	cn_buf_init(&who, 0);
	enum cn_access_mode mode;
	int rc = cn_access_describe(&factory->who, &mode, &allowed, &denied);
	if (rc == 0)
		rc = cn_access_text(&factory->who, &who);
	cn_put_u8(&allowed, 0);
	cn_put_u8(&denied, 0);
	cn_put_u8(&who, 0);
	if (rc == 0 && !allowed.err && !denied.err && !who.err) {
		cnode_factory_info info = {
			.size = sizeof info,
			.name = factory->name,
			.mode = cn_access_mode_name(mode),
			.allowed = (char *)allowed.data,
			.denied = (char *)denied.data,
			.processes = atomic_load(&factory->processes),
			.spawned = atomic_load(&factory->spawned),
			.refused = atomic_load(&factory->refused),
			.who = (char *)who.data,
		};
		rc = each(context, &info);
	} else {
		rc = CNODE_ENOMEM;
	}
	cn_buf_fini(&allowed);
	cn_buf_fini(&denied);
	cn_buf_fini(&who);
	return rc;
}

int cn_factory_list(struct cn_factories *f, int (*each)(void *context, const cnode_factory_info *factory), void *context)
{
	/* `each` is the user's: it must not find the table locked. */
	cn_mutex_lock(&f->lock);
	size_t count = 0, room = HASH_COUNT(f->table);
	struct cn_factory **all = room ? cn_malloc(room * sizeof *all) : NULL;
	struct cn_factory *factory, *next;
	if (all) {
		HASH_ITER(hh, f->table, factory, next) {
			if (!factory->removed)
				all[count++] = factory;
		}
	}
	cn_mutex_unlock(&f->lock);
	if (room && !all)
		return CNODE_ENOMEM;
	int rc = 0;
	for (size_t i = 0; i < count && rc == 0; i++)
		rc = show(all[i], each, context);
	cn_free(all);
	return rc;
}

int cn_factories_serve(struct cn_factories *f, const struct cn_service *service)
{
	struct cn_service_entry *entry = cn_malloc(sizeof *entry);
	if (!entry)
		return CNODE_ENOMEM;
	entry->service = *service;
	cn_mutex_lock(&f->lock);
	entry->next = f->services;
	f->services = entry;
	cn_mutex_unlock(&f->lock);
	return 0;
}
