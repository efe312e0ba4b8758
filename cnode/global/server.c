/* SPDX-License-Identifier: Apache-2.0 */
/*
 * global_name_server: what it is asked and told. It waits for nobody: whatever takes time is begun,
 * and its end comes as a message. Messages between name servers are in session.c and overlap.c.
 *
 * From the other processes of this node come, besides node events,
 *     {lock_is_set, Node, MyTag, [P1,P2]}           the locker: both partitions are locked
 *     {resolved_here, Node, MyTag, Ops, Resolved}   a resolver has decided
 */
#include "cnode/global/inner.h"

#define LINES_PER_SECOND 5u

/* ---- nodes ---- */

struct node *node_find(struct server *s, cnode_name name)
{
	struct node *n;
	HASH_FIND(hh, s->nodes, &name, sizeof name, n);
	return n;
}

static void node_free(struct node *n)
{
	session_fini(n);
	cn_name_unpin(n->name);
	cn_free(n->text);
	cn_free(n);
}

struct node *node_get(struct server *s, cnode_name name)
{
	struct node *n = node_find(s, name);
	char text[CNODE_NAME_SIZE];
	if (n || HASH_COUNT(s->nodes) >= CN_GLOBAL_MAX_NODES || cn_name_pin(name) != 0)
		return n;
	n = cn_calloc(1, sizeof *n);
	if (n && cnode_name_text(name, text) == 0)
		n->text = cn_strdup(text);
	bool added = n && n->text;
	if (added) {
		n->name = name;
		n->known = n->pending = -1;
		HASH_ADD(hh, s->nodes, name, sizeof n->name, n);
	}
	if (!added) {
		cn_name_unpin(name);
		cn_free(n ? n->text : NULL);
		cn_free(n);
		server_broken(s, "a node");
		return NULL;
	}
	return n;
}

void node_forget_idle(struct server *s, struct node *n)
{
	if (n->connection || n->known >= 0 || n->pending >= 0 || n->joining || n->my_tag || n->restart_due || n->removing ||
	    n->synced || !cn_term_is_none(n->early_version))
		return;
	HASH_DEL(s->nodes, n);
	node_free(n);
}

void server_broken(struct server *s, const char *what)
{
	if (!s->broken)
		cn_log_line(s->g->config.log, CNODE_LOG_ERROR, "global: out of memory for %s: it begins anew, without the other nodes", what);
	s->broken = true;
}

/* The result of a callback. */
static int ended(const struct server *s, int rc)
{
	return rc == 0 && s->broken ? CNODE_ENOMEM : rc;
}

struct node *node_named(struct server *s, cnode_term atom)
{
	cnode_atom text;
	cnode_name name;
	if (cnode_scan(atom, "~a", &text) != 0 || cnode_name_of(text.text, &name) != 0)
		return NULL;
	return node_find(s, name);
}

void server_publish(struct server *s)
{
	struct cn_global *g = s->g;
	size_t count = HASH_COUNT(s->nodes);
	cnode_name *known = cn_calloc(count + 1, sizeof *known), *up = cn_calloc(count + 1, sizeof *up);
	if (!known || !up) {
		server_broken(s, "the list of nodes");
		cn_free(known);
		cn_free(up);
		return;
	}
	size_t knowns = 0, ups = 0;
	for (struct node *n = s->nodes; n; n = n->hh.next) {
		if (n->known >= 0)
			known[knowns++] = n->name;
		if (n->connection)
			up[ups++] = n->name;
	}
	cn_mutex_lock(&g->lock);
	cnode_name *old_known = g->known, *old_up = g->up;
	g->known = known;
	g->known_count = knowns;
	g->up = up;
	g->up_count = ups;
	cn_mutex_unlock(&g->lock);
	cn_free(old_known);
	cn_free(old_up);
}

void server_cut(struct server *s, struct node *n, const char *why)
{
	cn_log_line(s->g->config.log, CNODE_LOG_WARNING, "global: %s: %s: closing its connection", n->text, why);
	s->g->config.ops->disconnect(s->g->config.ctx, n->name);
}

/* ---- sending: a node that is not connected hears nothing ---- */

void tell_term(struct server *s, struct node *n, cnode_term message)
{
	int rc = n->connection ? cnode_send_name_term(s->self, SERVER, n->text, message, CNODE_NOCONNECT) : 0;
	/* It would wait for a message that was lost. */
	if (rc == CNODE_ENOMEM || rc == CNODE_EBADTERM || rc == CNODE_ETOOBIG)
		server_cut(s, n, cnode_strerror(rc));
}

static void send_format(struct server *s, struct node *n, bool cast, const char *format, va_list args)
{
	cnode_term message, wrapped;
	int rc = cnode_vformat(&message, format, args);
	if (rc == 0 && cast) {
		rc = cnode_format(&wrapped, "{'$gen_cast',~t}", message);
		cnode_term_drop(message);
		message = wrapped;
	}
	if (rc != 0) {
		server_cut(s, n, cnode_strerror(rc));
		return;
	}
	tell_term(s, n, message);
	cnode_term_drop(message);
}

void tell(struct server *s, struct node *n, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	send_format(s, n, false, format, args);
	va_end(args);
}

void cast(struct server *s, struct node *n, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	send_format(s, n, true, format, args);
	va_end(args);
}

/* ---- calls ---- */

void server_unexpected(struct server *s, const char *what, cnode_term message)
{
	uint32_t held;
	char text[200], node[CNODE_NAME_SIZE] = "this node";
	if (!cn_log_on(s->g->config.log, CNODE_LOG_WARNING) || !cn_log_pass(&s->gate, LINES_PER_SECOND, &held))
		return;
	if (cnode_message_peer(s->self) != 0)
		(void)cnode_name_text(cnode_message_peer(s->self), node);
	cn_term_brief(message, text, sizeof text);
	cn_log_line(s->g->config.log, CNODE_LOG_WARNING, "global: an unexpected %s from %s%s: %s", what, node,
		    held ? " (and others before it)" : "", text);
}

/*
 * What a failed answer or insertion means. A node that asked must not believe anything: its connection is closed.
 * A process of this node would wait for ever: with the server's end it hears that there is no answer.
 */
static int failed(struct server *s, int rc, const char *what)
{
	if (rc == 0 || rc == CNODE_EEXITED)
		return rc;
	cnode_name peer = cnode_message_peer(s->self);
	char node[CNODE_NAME_SIZE] = "this node";
	if (peer)
		(void)cnode_name_text(peer, node);
	cn_log_line(s->g->config.log, CNODE_LOG_ERROR, "global: %s for %s failed: %s", what, node, cnode_strerror(rc));
	if (!peer)
		return rc;
	s->g->config.ops->disconnect(s->g->config.ctx, peer);
	return 0;
}

/* What a visible node registers is the whole cluster's, and no node can refuse it; a hidden one asks for itself, as by rex. */
static bool may_register(struct server *s, cnode_term name)
{
	cnode_name peer = cnode_message_peer(s->self);
	const struct node *n = peer ? node_find(s, peer) : NULL;
	return (n && n->connection) || cn_functions_may_register(s->g->config.functions, peer, name) == 0;
}

static int register_call(struct server *s, cnode_from *from, cnode_term name, cnode_pid pid, cnode_term method,
			 cnode_name external)
{
	struct word word = { .pid = cnode_from_pid(from) };
	int rc = names_insert(s, name, pid, method, external, &word);
	/* Of this node, too many names or a pid that nothing can be sent to: that is no fault of the server's. */
	if (rc != 0 && rc != CNODE_ENOMEM && cnode_message_peer(s->self) == 0) {
		cn_log_line(s->g->config.log, CNODE_LOG_ERROR, "global: a registration failed: %s", cnode_strerror(rc));
		rc = 0;
	}
	return failed(s, rc == 0 ? cnode_reply(from, "yes") : rc, "a registration");
}

/* A list of the nodes that `wanted` accepts, as atoms. */
static int list_call(struct server *s, cnode_from *from, bool (*wanted)(const struct node *n))
{
	struct cnode_builder b;
	cnode_term list;
	cn_builder_init(&b);
	cnode_build_list(&b);
	for (struct node *n = s->nodes; n; n = n->hh.next)
		if (wanted(n))
			cnode_build_atom(&b, n->text);
	cnode_build_list_end(&b);
	int rc = cnode_builder_term(&b, &list);
	cn_builder_fini(&b);
	if (rc == 0) {
		rc = cnode_reply_term(from, list);
		cnode_term_drop(list);
	}
	return failed(s, rc, "an answer");
}

static bool is_known(const struct node *n) { return n->known >= 0; }
static bool is_synced(const struct node *n) { return n->synced; }

static int external_call(struct server *s, cnode_from *from)
{
	struct cnode_builder b;
	cnode_term list;
	cn_builder_init(&b);
	names_build_external(s->g, &b);
	int rc = cnode_builder_term(&b, &list);
	cn_builder_fini(&b);
	if (rc == 0) {
		rc = cnode_reply_term(from, list);
		cnode_term_drop(list);
	}
	return failed(s, rc, "an answer");
}

/* global:disconnect/0: leaves the whole cluster, never a part of it. */
static int disconnect_call(struct server *s, cnode_from *from)
{
	struct cnode_builder b;
	cnode_term list;
	cn_builder_init(&b);
	cnode_build_list(&b);
	for (struct node *n = s->nodes; n; n = n->hh.next)
		if (n->connection)
			cnode_build_atom(&b, n->text);
	cnode_build_list_end(&b);
	int rc = cnode_builder_term(&b, &list);
	cn_builder_fini(&b);
	if (rc == 0) {
		for (struct node *n = s->nodes; n; n = n->hh.next)
			if (n->connection) {
				n->removing = true;     /* its nodedown is nobody's loss */
				s->g->config.ops->disconnect(s->g->config.ctx, n->name);
			}
		rc = cnode_reply_term(from, list);
		cnode_term_drop(list);
	}
	return failed(s, rc, "an answer");
}

static int call(cnode_process *self, struct server *s, cnode_from *from, cnode_term request)
{
	cnode_name peer = cnode_message_peer(self);
	cnode_pid caller = cnode_from_pid(from), pid;
	cnode_term name, method, list;
	cnode_atom node;
	cnode_name external;
	/* Who holds a lock and may insert under it is the caller: it must be a process of the node that asks. */
	if (caller.node != (peer ? peer : s->g->self)) {
		server_unexpected(s, "call for another", request);
		return 0;
	}
	if (cnode_scan(request, "{set_lock,{~t,~t}}", &name, &method) == 0) {
		int rc = locks_set(s, name, method, caller);
		return failed(s, rc < 0 ? rc : cnode_reply(from, rc ? "true" : "false"), "a lock");
	}
	if (cnode_scan(request, "{del_lock,{~t,~t}}", &name, &method) == 0) {
		locks_del(s, name, method, caller);
		return failed(s, cnode_reply(from, "true"), "an answer");
	}
	if ((cnode_scan(request, "{register,~t,_,_}", &name) == 0 || cnode_scan(request, "{register_ext,~t,_,_,_}", &name) == 0 ||
	     cnode_scan(request, "{unregister,~t}", &name) == 0) && !may_register(s, name))
		return failed(s, cnode_reply(from, "not_allowed"), "an answer");
	if (cnode_scan(request, "{register,~t,~p,~t}", &name, &pid, &method) == 0)
		return register_call(s, from, name, pid, method, 0);
	if (cnode_scan(request, "{register_ext,~t,~p,~t,~a}", &name, &pid, &method, &node) == 0 &&
	    cnode_name_of(node.text, &external) == 0)
		return register_call(s, from, name, pid, method, external);
	if (cnode_scan(request, "{unregister,~t}", &name) == 0) {
		names_delete(s, name);
		return failed(s, cnode_reply(from, "ok"), "an answer");
	}
	if (cn_term_is_atom(request, "get_known"))
		return list_call(s, from, is_known);
	if (cn_term_is_atom(request, "get_synced"))
		return list_call(s, from, is_synced);
	if (cn_term_is_atom(request, "get_names_ext"))
		return external_call(s, from);
	if (cn_term_is_atom(request, "get_protocol_version"))
		return failed(s, cnode_reply(from, "~i", PROTOCOL), "an answer");
	if (cnode_scan(request, "{sync,~t}", &list) == 0)
		return failed(s, sync_call(s, from, list), "an answer");
	if (cnode_scan(request, "{cnode,~t}", &name) == 0)
		return failed(s, inspect_call(s, from, name), "an answer");
	if (peer == 0 && cn_term_is_atom(request, "disconnect"))
		return disconnect_call(s, from);
	server_unexpected(s, "call", request);
	return 0;                       /* no answer at all, as there */
}

static int server_call(cnode_process *self, void *state, cnode_from *from, cnode_term request)
{
	int rc = call(self, state, from, request);
	return ended(state, rc);
}

/* ---- casts of other name servers ---- */

/* The node that a message speaks for: always the one that sent it, and is visible. NULL: it is another. */
static struct node *sender(struct server *s, const cnode_atom *text)
{
	cnode_name name, peer = cnode_message_peer(s->self);
	if (peer == 0 || cnode_name_of(text->text, &name) != 0 || name != peer)
		return NULL;
	struct node *n = node_find(s, peer);
	return n && n->connection ? n : NULL;   /* a hidden one has no part in this */
}

/* For the locker; the tag must be that of the present session, if there is one. */
static int lock_set(struct server *s, cnode_pid pid, const char *set, cnode_term tag)
{
	struct node *n = node_find(s, pid.node);
	if (n && strcmp(set, "true") == 0)
		session_goes_on(s, n);
	if (cn_term_is_none(tag))
		return cnode_send(s->self, s->g->locker, "{lock_set,~p,~a}", pid, set);
	if (!n || !n->my_tag || !is_int(tag, n->my_tag))
		return 0;
	return cnode_send(s->self, s->g->locker, "{lock_set,~p,~a,~q}", pid, set, n->my_tag);
}

static int server_cast(cnode_process *self, void *state, cnode_term m)
{
	struct server *s = state;
	cnode_atom node, set;
	cnode_pid pid;
	cnode_term a, b, c, d, e, none = { 0 };
	struct node *n;
	(void)self;
	if (cnode_scan(m, "{init_connect,~t,~a,~t}", &a, &node, &b) == 0 && (n = sender(s, &node)))
		session_init_connect(s, n, a, b);
	else if (cnode_scan(m, "{exchange,~a,~t,_,~t}", &node, &a, &b) == 0 && (n = sender(s, &node)))
		session_exchange(s, n, a, b);
	else if (cnode_scan(m, "{resolved,~a,~t,~t,_,~t,~t}", &node, &a, &b, &c, &d) == 0 && (n = sender(s, &node)))
		session_resolved(s, n, a, b, c, d);
	else if (cnode_scan(m, "{new_nodes,~a,~t,~t,~t,~t}", &node, &a, &b, &c, &d) == 0 && (n = sender(s, &node)))
		session_new_nodes(s, n, a, b, c, d);
	else if (cnode_scan(m, "{in_sync,~a,~t}", &node, &a) == 0 && (n = sender(s, &node)))
		session_in_sync(s, n, a);
	else if (cnode_scan(m, "{lock_set,~p,~a,_,~t}", &pid, &set, &e) == 0 && pid.node == cnode_message_peer(self))
		return failed(s, lock_set(s, pid, set.text, e), "a message");
	else if (cnode_scan(m, "{lock_set,~p,~a,_}", &pid, &set) == 0 && pid.node == cnode_message_peer(self))
		return failed(s, lock_set(s, pid, set.text, none), "a message");
	else if (cnode_scan(m, "{async_del_name,_,_}") != 0 && cnode_scan(m, "{async_del_lock,_,_}") != 0)
		server_unexpected(s, "cast", m);
	return ended(s, 0);
}

/* ---- messages ---- */

static void nodeup(struct server *s, const cnode_info *info)
{
	struct node *n = node_get(s, info->peer);
	if (!n) {
		cn_log_line(s->g->config.log, CNODE_LOG_ERROR, "global: more than %u nodes: one is not joined", CN_GLOBAL_MAX_NODES);
		s->g->config.ops->disconnect(s->g->config.ctx, info->peer);
		return;
	}
	n->connection = info->connection_id;
	n->was_up = true;
	n->removing = false;
	owed_settle(s, n);
	server_publish(s);
	if (n->joining) {
		n->joining = false;
		(void)cnode_monitor_node(s->self, n->text, false);
		session_say_in_sync(s, n);
	}
	session_nodeup(s, n);
}

static void nodedown(struct server *s, const cnode_info *info)
{
	struct node *n = node_find(s, info->peer);
	if (!n || n->connection != info->connection_id)
		return;
	n->connection = 0;
	n->restarts = 0;
	overlap_down(s, n, GONE_LOST);
	sync_reached(s, n->name);
	server_publish(s);
	node_forget_idle(s, n);
}

/* A node that another told us of could not be reached, or is gone again. */
static void not_joined(struct server *s, cnode_term node)
{
	struct node *n = node_named(s, node);
	if (!n || !n->joining)
		return;
	n->joining = false;
	cn_log_line(s->g->config.log, CNODE_LOG_WARNING, "global: failed to connect to %s, of which another node told", n->text);
	overlap_down(s, n, GONE_LOST);
	sync_reached(s, n->name);
	server_publish(s);
	node_forget_idle(s, n);
}

static bool own_message(struct server *s, cnode_term m)
{
	cnode_term node, id, ops, resolved;
	cnode_pid pids[2];
	int64_t tag;
	struct node *n;
	if (cnode_scan(m, "{lock_is_set,~t,~q,~t}", &node, &tag, &id) == 0 && cnode_scan(id, "[~p,~p]", &pids[0], &pids[1]) == 0) {
		if ((n = node_named(s, node)))
			session_lock_is_set(s, n, tag, pids);
		return true;
	}
	if (cnode_scan(m, "{resolved_here,~t,~q,~t,~t}", &node, &tag, &ops, &resolved) == 0) {
		if ((n = node_named(s, node)))
			session_resolved_here(s, n, tag, ops, resolved);
		return true;
	}
	return false;
}

static void message(struct server *s, const cnode_info *info)
{
	cnode_term m = info->message, a, b;
	cnode_atom node;
	struct node *n;
	if (info->peer == 0 && (own_message(s, m) || watchdog_message(s, m)))
		return;
	if (cnode_scan(m, "{init_connect_ack,~a,~t,~t}", &node, &a, &b) == 0 && (n = sender(s, &node)))
		session_ack(s, n, a, b);
	else if (cnode_scan(m, "{cancel_connect,~a,~t}", &node, &a) == 0 && (n = sender(s, &node)))
		session_cancelled(s, n, a);
	else if (cnode_scan(m, "{remove_connection,~a}", &node) == 0 && (n = sender(s, &node)))
		overlap_remove_connection(s, n);
	else if (info->peer != 0 && cnode_scan(m, "{lost_connection,_,_,_,_}") == 0)
		overlap_lost_connection(s, m);
	else
		server_unexpected(s, "message", m);
}

static int server_info(cnode_process *self, void *state, const cnode_info *info)
{
	struct server *s = state;
	cnode_term node;
	(void)self;
	switch (info->kind) {
	case CNODE_NODEUP:
		nodeup(s, info);
		break;
	case CNODE_NODEDOWN:
		if (info->connection_id)
			nodedown(s, info);
		else if (cnode_scan(info->message, "{nodedown,~t}", &node) == 0)
			not_joined(s, node);
		break;
	case CNODE_DOWN:
		watch_down(s, info->ref);
		break;
	case CNODE_MESSAGE:
		message(s, info);
		break;
	case CNODE_EXIT:                /* of a process that we linked with for a hidden node: its DOWN does the work */
	case CNODE_TIMER:
	case CNODE_TIMEOUT:
		break;
	}
	return ended(s, 0);
}

static int server_init(cnode_process *self, void *state, const cnode_start *how)
{
	struct server *s = state;
	s->g = how->context;
	s->self = self;
	s->last_tag = s->g->first_tag;
	s->syncers_last = &s->syncers;
	int rc = cnode_trap_exit(self, true);
	if (rc == 0)
		rc = cnode_monitor_nodes(self, CNODE_NODES_VISIBLE, true);
	/* Before anybody can connect, unless it is not the first: the node is started behind its services. */
	if (rc != 0 || s->g->incarnation == 1)
		return rc;
	rc = names_adopt(s);
	if (rc == 0)
		rc = locks_adopt(s);
	/* Of those that come from now on it is told; of the others none is left behind this. */
	if (rc == 0)
		s->g->config.ops->disconnect_all(s->g->config.ctx);
	return rc;
}

static void server_release(void *state)
{
	struct server *s = state;
	struct node *n, *next;
	HASH_ITER(hh, s->nodes, n, next) {
		HASH_DEL(s->nodes, n);
		node_free(n);
	}
	watch_fini(s);
	sync_fini(s);
	overlap_fini(s);
}

const cnode_behaviour server_behaviour = {
	CNODE_BEHAVIOUR_INIT,
	.flags = CNODE_PROMPT,
	.state_size = sizeof(struct server),
	.init = server_init,
	.handle_call = server_call,
	.handle_cast = server_cast,
	.handle_info = server_info,
	.release = server_release,
};
