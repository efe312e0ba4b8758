/* SPDX-License-Identifier: Apache-2.0 */
/* groups: the puppet's orders about nodes that come and go, process groups, and Phoenix.PubSub. */
#include <string.h>

#include "conformance/nodes/cnode/puppet.h"

#define MEMBERS 65536

int order_monitor_nodes(const struct order *o)
{
	cnode_atom on, type;
	int rc = cnode_scan(o->args, "[~a,~a]", &on, &type);
	if (rc != 0)
		return rc;
	unsigned types = strcmp(type.text, "visible") == 0  ? CNODE_NODES_VISIBLE
			 : strcmp(type.text, "hidden") == 0 ? CNODE_NODES_HIDDEN
							    : CNODE_NODES_VISIBLE | CNODE_NODES_HIDDEN;
	return done(o, cnode_monitor_nodes(o->self, types, strcmp(on.text, "true") == 0), "ok");
}

int order_pg_start(const struct order *o)
{
	cnode_atom scope;
	int rc = cnode_scan(o->args, "[~a]", &scope);
	if (rc == 0)
		rc = cnode_pg_start(cnode_process_node(o->self), scope.text, 0);
	return done(o, rc == CNODE_EEXIST ? 0 : rc, "ok");
}

int order_pg_stop(const struct order *o)
{
	cnode_atom scope;
	int rc = cnode_scan(o->args, "[~a]", &scope);
	return done(o, rc != 0 ? rc : cnode_pg_stop(cnode_process_node(o->self), scope.text), "ok");
}

/* [Scope, Group] */
static int group_of(const struct order *o, cnode_atom *scope, cnode_term *group)
{
	return cnode_scan(o->args, "[~a,~t]", scope, group);
}

int order_pg_join(const struct order *o)
{
	cnode_atom scope;
	cnode_term group;
	int rc = group_of(o, &scope, &group);
	if (rc == 0)
		rc = cnode_pg_join(cnode_process_node(o->self), scope.text, cnode_self(o->self), "~t", group);
	return done(o, rc, "ok");
}

int order_pg_leave(const struct order *o)
{
	cnode_atom scope;
	cnode_term group;
	int rc = group_of(o, &scope, &group);
	if (rc == 0)
		rc = cnode_pg_leave(cnode_process_node(o->self), scope.text, cnode_self(o->self), "~t", group);
	return rc == CNODE_ENOTJOINED ? answer(o, "not_joined") : done(o, rc, "ok");
}

/* Ends the builder's list and answers with it. */
static int answer_list(const struct order *o, cnode_builder *b, int rc)
{
	cnode_term list;
	cnode_build_list_end(b);
	if (rc == 0)
		rc = cnode_builder_term(b, &list);
	cnode_builder_free(b);
	if (rc != 0)
		return rc;
	rc = answer(o, "~t", list);
	cnode_term_drop(list);
	return rc;
}

static int members(const struct order *o, bool local)
{
	cnode_node *node = cnode_process_node(o->self);
	cnode_atom scope;
	cnode_term group;
	size_t count = 0;
	cnode_pid *pids = calloc(MEMBERS, sizeof *pids);
	cnode_builder *b = cnode_builder_new();
	int rc = pids == NULL || b == NULL ? CNODE_ENOMEM : group_of(o, &scope, &group);
	if (rc == 0 && local)
		rc = cnode_pg_local_members(node, scope.text, pids, MEMBERS, &count, "~t", group);
	else if (rc == 0)
		rc = cnode_pg_members(node, scope.text, pids, MEMBERS, &count, "~t", group);
	if (rc == 0 && count > MEMBERS)
		rc = CNODE_ETOOBIG;
	if (b != NULL) {
		cnode_build_list(b);
		for (size_t i = 0; rc == 0 && i < count; i++)
			cnode_build_pid(b, pids[i]);
		rc = answer_list(o, b, rc);
	}
	free(pids);
	return rc;
}

int order_pg_members(const struct order *o) { return members(o, false); }
int order_pg_local_members(const struct order *o) { return members(o, true); }

static int add_group(void *context, cnode_term group)
{
	cnode_build_term(context, group);
	return 0;
}

static int groups(const struct order *o, int (*list)(cnode_node *, const char *, int (*)(void *, cnode_term), void *))
{
	cnode_atom scope;
	int rc = cnode_scan(o->args, "[~a]", &scope);
	if (rc != 0)
		return rc;
	cnode_builder *b = cnode_builder_new();
	if (b == NULL)
		return CNODE_ENOMEM;
	cnode_build_list(b);
	return answer_list(o, b, list(cnode_process_node(o->self), scope.text, add_group, b));
}

int order_pg_groups(const struct order *o) { return groups(o, cnode_pg_groups); }
int order_pg_local_groups(const struct order *o) { return groups(o, cnode_pg_local_groups); }

/* {Ref, Now} */
static int answer_monitor(const struct order *o, int rc, cnode_ref ref, cnode_term now)
{
	if (rc != 0)
		return rc;
	rc = answer(o, "{~r,~t}", ref, now);
	cnode_term_drop(now);
	return rc;
}

int order_pg_monitor(const struct order *o)
{
	cnode_atom scope;
	cnode_term group, now;
	cnode_ref ref;
	int rc = group_of(o, &scope, &group);
	if (rc == 0)
		rc = cnode_pg_monitor(o->self, scope.text, &ref, &now, "~t", group);
	return answer_monitor(o, rc, ref, now);
}

int order_pg_monitor_scope(const struct order *o)
{
	cnode_atom scope;
	cnode_term now;
	cnode_ref ref;
	int rc = cnode_scan(o->args, "[~a]", &scope);
	if (rc == 0)
		rc = cnode_pg_monitor_scope(o->self, scope.text, &ref, &now);
	return answer_monitor(o, rc, ref, now);
}

int order_pg_demonitor(const struct order *o)
{
	cnode_atom scope;
	cnode_ref ref;
	int rc = cnode_scan(o->args, "[~a,~r]", &scope, &ref);
	if (rc == 0)
		rc = cnode_pg_demonitor(o->self, scope.text, ref);
	return rc == CNODE_ENOENT ? answer(o, "false") : done(o, rc, "ok");
}

/* ---- Phoenix.PubSub ---- */

int order_pubsub_start(const struct order *o)
{
	cnode_atom name;
	int pool;
	int rc = cnode_scan(o->args, "[~a,~i]", &name, &pool);
	return done(o, rc != 0 ? rc : cnode_pubsub_start(cnode_process_node(o->self), name.text, (unsigned)pool, 0), "ok");
}

int order_pubsub_stop(const struct order *o)
{
	cnode_atom name;
	int rc = cnode_scan(o->args, "[~a]", &name);
	return done(o, rc != 0 ? rc : cnode_pubsub_stop(cnode_process_node(o->self), name.text), "ok");
}

/* A topic as C text; the suite's are short. */
struct topic {
	char text[256];
};

static int topic_of(cnode_term term, struct topic *topic)
{
	const char *text;
	size_t size;
	int rc = cnode_scan(term, "~z", &text, &size);
	if (rc != 0 || size >= sizeof topic->text)
		return CNODE_EBADARG;
	memcpy(topic->text, text, size);
	topic->text[size] = 0;
	return 0;
}

static int subscription(const struct order *o, int (*act)(cnode_process *, const char *, const char *))
{
	cnode_atom name;
	cnode_term term;
	struct topic topic;
	int rc = cnode_scan(o->args, "[~a,~t]", &name, &term);
	if (rc == 0)
		rc = topic_of(term, &topic);
	return done(o, rc != 0 ? rc : act(o->self, name.text, topic.text), "ok");
}

int order_pubsub_subscribe(const struct order *o) { return subscription(o, cnode_pubsub_subscribe); }
int order_pubsub_unsubscribe(const struct order *o) { return subscription(o, cnode_pubsub_unsubscribe); }

static int broadcast(const struct order *o, unsigned flags)
{
	cnode_atom name;
	cnode_term term, message;
	struct topic topic;
	int rc = cnode_scan(o->args, "[~a,~t,~t]", &name, &term, &message);
	if (rc == 0)
		rc = topic_of(term, &topic);
	return done(o, rc != 0 ? rc : cnode_pubsub_broadcast_term(o->self, name.text, flags, topic.text, message), "ok");
}

int order_pubsub_broadcast(const struct order *o) { return broadcast(o, 0); }
int order_pubsub_broadcast_from(const struct order *o) { return broadcast(o, CNODE_PUBSUB_FROM); }

int order_pubsub_direct_broadcast(const struct order *o)
{
	cnode_atom node, name;
	cnode_term term, message;
	struct topic topic;
	int rc = cnode_scan(o->args, "[~a,~a,~t,~t]", &node, &name, &term, &message);
	if (rc == 0)
		rc = topic_of(term, &topic);
	if (rc == 0)
		rc = cnode_pubsub_direct_broadcast(o->self, name.text, node.text, topic.text, "~t", message);
	return done(o, rc, "ok");
}
