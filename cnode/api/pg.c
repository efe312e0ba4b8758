/* SPDX-License-Identifier: Apache-2.0 */
/* cnode/pg.h and cnode/pubsub.h: hands a node's groups to the room that has them, formats to terms. */
#include "cnode/api/api.h"

static int told(cnode_node *node, int rc, const char *what, const char *scope)
{
	if (rc == 0)
		return 0;
	return cn_api_fail(node, rc, "pg scope %s: %s: %s", scope ? scope : "pg", what,
			   rc == CNODE_ENOENT	   ? "it is not started on this node (cnode_pg_start)"
			   : rc == CNODE_EEXIST	   ? "it is started already"
			   : rc == CNODE_ENAMETAKEN ? "a process has that name"
			   : rc == CNODE_EBADARG   ? "a process is not one of this node, or a flag is unknown"
						   : cnode_strerror(rc));
}

int cnode_pg_start(cnode_node *node, const char *scope, unsigned flags)
{
	return told(node, cn_pg_start(node->pg, scope, flags), "it cannot be started", scope);
}

int cnode_pg_stop(cnode_node *node, const char *scope)
{
	return told(node, cn_pg_stop(node->pg, scope), "it cannot be stopped", scope);
}

int cnode_pg_join_all(cnode_node *node, const char *scope, const cnode_pid *pids, size_t count, cnode_term group)
{
	return told(node, cn_pg_join(node->pg, scope, pids, count, group), "a process cannot join", scope);
}

int cnode_pg_leave_all(cnode_node *node, const char *scope, const cnode_pid *pids, size_t count, cnode_term group)
{
	return told(node, cn_pg_leave(node->pg, scope, pids, count, group), "a process cannot leave", scope);
}

/* The term of the last arguments. */
#define TERM_OF(rc, group, format) do { \
	va_list args_; \
	va_start(args_, format); \
	(rc) = cnode_vformat(&(group), format, args_); \
	va_end(args_); \
} while (0)

int cnode_pg_join(cnode_node *node, const char *scope, cnode_pid pid, const char *format, ...)
{
	cnode_term group;
	int rc;
	TERM_OF(rc, group, format);
	if (rc != 0)
		return told(node, rc, "the group's name is wrong", scope);
	rc = cnode_pg_join_all(node, scope, &pid, 1, group);
	cnode_term_drop(group);
	return rc;
}

int cnode_pg_leave(cnode_node *node, const char *scope, cnode_pid pid, const char *format, ...)
{
	cnode_term group;
	int rc;
	TERM_OF(rc, group, format);
	if (rc != 0)
		return told(node, rc, "the group's name is wrong", scope);
	rc = cnode_pg_leave_all(node, scope, &pid, 1, group);
	cnode_term_drop(group);
	return rc;
}

static int members(cnode_node *node, const char *scope, bool local, cnode_pid *pids, size_t room, size_t *count,
		   const char *format, va_list args)
{
	cnode_term group;
	int rc = cnode_vformat(&group, format, args);
	if (rc != 0)
		return told(node, rc, "the group's name is wrong", scope);
	rc = cn_pg_members(node->pg, scope, local, group, pids, room, count);
	cnode_term_drop(group);
	return told(node, rc, "its members cannot be listed", scope);
}

int cnode_pg_members(cnode_node *node, const char *scope, cnode_pid *pids, size_t room, size_t *count,
		     const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int rc = members(node, scope, false, pids, room, count, format, args);
	va_end(args);
	return rc;
}

int cnode_pg_local_members(cnode_node *node, const char *scope, cnode_pid *pids, size_t room, size_t *count,
			   const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int rc = members(node, scope, true, pids, room, count, format, args);
	va_end(args);
	return rc;
}

int cnode_pg_groups(cnode_node *node, const char *scope, int (*each)(void *context, cnode_term group), void *context)
{
	return cn_pg_groups(node->pg, scope, false, each, context);
}

int cnode_pg_local_groups(cnode_node *node, const char *scope, int (*each)(void *context, cnode_term group),
			  void *context)
{
	return cn_pg_groups(node->pg, scope, true, each, context);
}

int cnode_pg_monitor(cnode_process *self, const char *scope, cnode_ref *ref, cnode_term *now, const char *format, ...)
{
	cnode_node *node = cnode_process_node(self);
	cnode_term group;
	int rc;
	TERM_OF(rc, group, format);
	if (rc != 0)
		return told(node, rc, "the group's name is wrong", scope);
	rc = cn_pg_monitor(node->pg, self, scope, group, ref, now);
	cnode_term_drop(group);
	return told(node, rc, "it cannot be monitored", scope);
}

int cnode_pg_monitor_scope(cnode_process *self, const char *scope, cnode_ref *ref, cnode_term *groups)
{
	cnode_node *node = cnode_process_node(self);
	return told(node, cn_pg_monitor(node->pg, self, scope, (cnode_term){ 0 }, ref, groups), "it cannot be monitored", scope);
}

int cnode_pg_demonitor(cnode_process *self, const char *scope, cnode_ref ref)
{
	return cn_pg_demonitor(cnode_process_node(self)->pg, self, scope, ref);
}

/* ---- Phoenix.PubSub ---- */

static int heard(cnode_node *node, int rc, const char *what, const char *name)
{
	if (rc == 0)
		return 0;
	return cn_api_fail(node, rc, "PubSub %s: %s: %s", name ? name : "(null)", what,
			   rc == CNODE_ENOENT	    ? "it is not started on this node (cnode_pubsub_start)"
			   : rc == CNODE_EEXIST	    ? "it is started already"
			   : rc == CNODE_ENAMETAKEN ? "a process has the name of one of its workers"
						    : cnode_strerror(rc));
}

int cnode_pubsub_start(cnode_node *node, const char *name, unsigned pool_size, unsigned flags)
{
	return heard(node, cn_pubsub_start(node->pg, name, pool_size, flags), "it cannot be started", name);
}

int cnode_pubsub_stop(cnode_node *node, const char *name)
{
	return heard(node, cn_pubsub_stop(node->pg, name), "it cannot be stopped", name);
}

int cnode_pubsub_subscribe(cnode_process *self, const char *name, const char *topic)
{
	cnode_node *node = cnode_process_node(self);
	return heard(node, cn_pubsub_subscribe(node->pg, self, name, topic), "no subscription", name);
}

int cnode_pubsub_unsubscribe(cnode_process *self, const char *name, const char *topic)
{
	cnode_node *node = cnode_process_node(self);
	return heard(node, cn_pubsub_unsubscribe(node->pg, self, name, topic), "no subscription is ended", name);
}

int cnode_pubsub_broadcast_term(cnode_process *self, const char *name, unsigned flags, const char *topic, cnode_term message)
{
	cnode_node *node = cnode_process_node(self);
	return heard(node, cn_pubsub_broadcast(node->pg, self, name, flags, topic, message), "a broadcast failed", name);
}

int cnode_pubsub_broadcast(cnode_process *self, const char *name, unsigned flags, const char *topic, const char *format, ...)
{
	cnode_term message;
	int rc;
	TERM_OF(rc, message, format);
	if (rc != 0)
		return heard(cnode_process_node(self), rc, "the message is wrong", name);
	rc = cnode_pubsub_broadcast_term(self, name, flags, topic, message);
	cnode_term_drop(message);
	return rc;
}

int cnode_pubsub_direct_broadcast(cnode_process *self, const char *name, const char *to, const char *topic, const char *format,
				  ...)
{
	cnode_node *node = cnode_process_node(self);
	cnode_term message;
	int rc;
	TERM_OF(rc, message, format);
	if (rc != 0)
		return heard(node, rc, "the message is wrong", name);
	rc = heard(node, cn_pubsub_direct(node->pg, self, name, to, topic, message), "a broadcast failed", name);
	cnode_term_drop(message);
	return rc;
}
