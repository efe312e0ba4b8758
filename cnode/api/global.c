/* SPDX-License-Identifier: Apache-2.0 */
/* global as programs see it: for callbacks, for threads that wait, and from the node's own table. */
#include "cnode/api/api.h"

#include <string.h>

#define SERVER "global_name_server"

/* ---- what the room needs ---- */

static void run_drops(struct cn_task *task)
{
	struct drops *d = CN_CONTAINER(task, struct drops, task);
	cnode_node *node = CN_CONTAINER(d, cnode_node, drops);
	if (atomic_exchange(&d->all, false))
		cn_cluster_drop_visible(node->cluster);
	for (;;) {
		cn_mutex_lock(&d->lock);
		cnode_name name = d->count > 0 ? d->names[--d->count] : 0;
		cn_mutex_unlock(&d->lock);
		if (name == 0)
			return;
		cn_cluster_drop(node->cluster, name);
	}
}

static void disconnect(void *ctx, cnode_name name)
{
	cnode_node *node = ctx;
	struct drops *d = &node->drops;
	cn_mutex_lock(&d->lock);
	if (d->count == d->room) {
		size_t room = d->room ? d->room * 2 : 16;
		cnode_name *names = cn_realloc(d->names, room * sizeof *names);
		if (names) {
			d->names = names;
			d->room = room;
		}
	}
	bool taken = d->count < d->room;
	if (taken)
		d->names[d->count++] = name;
	cn_mutex_unlock(&d->lock);
	if (taken)
		cn_wake_post(node->loop, &d->task);
	else
		cn_log_line(node->log, CNODE_LOG_ERROR, "global: out of memory: a connection that should be closed stays");
}

static void disconnect_all(void *ctx)
{
	cnode_node *node = ctx;
	atomic_store(&node->drops.all, true);
	cn_wake_post(node->loop, &node->drops.task);
}

/* For spawns with {registration, global}. */
static int register_name(void *ctx, cnode_term name, cnode_pid pid, void (*done)(void *done_ctx, int code), void *done_ctx)
{
	cnode_node *node = ctx;
	return cn_global_register(node->global, name, pid, done, done_ctx);
}

int cn_api_global(cnode_node *node, const cnode_config *cfg)
{
	static const struct cn_global_ops ops = { .disconnect = disconnect, .disconnect_all = disconnect_all };
	if ((unsigned)cfg->overlap > CNODE_OVERLAP_IGNORE)
		return cn_api_fail(node, CNODE_EBADARG, "%s: unknown overlap %d", node->name, (int)cfg->overlap);
	struct cn_global_config config = {
		.procs = node->procs,
		.supervisor = node->supervision.supervisor,
		.functions = node->functions,
		.log = node->log,
		.overlap = cfg->overlap,
		.stall_ms = UINT64_C(1000) * cfg->global_timeout,
		.ops = &ops,
		.ctx = node,
	};
	cn_task_init(&node->drops.task, run_drops);
	node->hidden = cfg->hidden;
	const struct cn_register_ops registers = { .register_name = register_name, .ctx = node };
	int rc = cn_global_new(&config, &node->global);
	if (rc == 0)
		rc = cn_global_start(node->global);
	if (rc == 0)
		cn_factories_register_by(node->factories, &registers);
	return rc;
}

/* ---- the watchdog ---- */

#define BEAT_NS (5 * CN_NS_PER_S)

static void beat(struct cn_timer *timer)
{
	cnode_node *node = CN_CONTAINER(timer, cnode_node, global_beat);
	uint64_t now = cn_loop_now(node->loop);
	(void)cn_global_stalls(node->global, now);      /* it does what is to be done */
	cn_timer_set(timer, now + BEAT_NS);
}

void cn_api_global_watch(cnode_node *node)
{
	cn_timer_init(&node->global_beat, node->loop, beat);
	cn_timer_set(&node->global_beat, cn_loop_clock(node->loop) + BEAT_NS);
}

int cnode_global_look(cnode_node *node, cnode_global_info *info)
{
	return cn_global_look(node->global, info);
}

/* ---- the table ---- */

int cnode_global_whereis(cnode_node *node, cnode_term name, cnode_pid *pid)
{
	return cn_global_whereis(node->global, name, pid);
}

int cnode_global_names(cnode_node *node, int (*each)(void *context, cnode_term name, cnode_pid pid), void *context)
{
	return cn_global_names(node->global, each, context);
}

int cnode_global_locks(cnode_node *node,
		       int (*each)(void *context, cnode_term resource, cnode_term requester, cnode_pid holder), void *context)
{
	return cn_global_locks(node->global, each, context);
}

int cnode_global_send(cnode_process *self, cnode_term name, const char *format, ...)
{
	cnode_pid pid;
	cnode_term message;
	int rc = cn_global_whereis(cnode_process_node(self)->global, name, &pid);
	va_list args;
	va_start(args, format);
	rc = rc != 0 ? cn_format_refused(rc, format, args) : cnode_vformat(&message, format, args);
	va_end(args);
	if (rc != 0)
		return rc;
	rc = cnode_send_term(self, pid, message, 0);
	cnode_term_drop(message);
	return rc;
}

/* ---- registering ---- */

/* Of a hidden node: the peer that does it for us. */
static int first_peer(void *context, const cnode_peer *peer)
{
	char *name = context;
	if (peer->release == 0)
		return 0;
	memcpy(name, peer->name, strlen(peer->name) + 1);
	return 1;
}

/* The request for the registrar, or (agent is its node's name then) for the rex of another node. *request is yours. */
static int request_of(cnode_node *node, const char *what, cnode_term name, cnode_pid pid, const char *method,
		      char agent[CNODE_NAME_SIZE], cnode_term *request)
{
	cnode_term fun;
	agent[0] = 0;
	int rc = cn_global_method(method, &fun);
	if (rc != 0)
		return rc;
	if (!node->hidden || !node->networked) {
		rc = cnode_format(request, "{~a,~t,~p,~t}", what, name, pid, fun);
	} else if (strcmp(what, "register") != 0) {
		rc = CNODE_ENOTSUP;
	} else {
		rc = cnode_peers(node, first_peer, agent);
		rc = rc == 1 ? cnode_format(request, "{call,global,register_name_external,[~t,~p,~t],~p}", name, pid, fun, pid)
			     : rc == 0 ? CNODE_ENOCONNECTION : rc;
	}
	cnode_term_drop(fun);
	return rc;
}

static int unregister_request(cnode_node *node, cnode_term name, char agent[CNODE_NAME_SIZE], cnode_term *request)
{
	agent[0] = 0;
	if (!node->hidden || !node->networked)
		return cnode_format(request, "{unregister,~t}", name);
	int rc = cnode_peers(node, first_peer, agent);
	/* The group leader has no part in it, but must be there. */
	return rc == 1 ? cnode_format(request, "{call,global,unregister_name_external,[~t],user}", name)
		       : rc == 0 ? CNODE_ENOCONNECTION : rc;
}

static int ask_async(cnode_process *self, const char *agent, cnode_term request, cnode_done_fn *done, void *context)
{
	cnode_node *node = cnode_process_node(self);
	return *agent ? cnode_call_name_async(self, "rex", agent, CNODE_INFINITY, done, context, "~t", request)
		      : cnode_call_async(self, cn_global_registrar(node->global), CNODE_INFINITY, done, context, "~t", request);
}

/* done may be NULL in this header, and not in server.h. */
static int unheard(cnode_process *self, void *state, void *context, const cnode_answer *answer)
{
	(void)self;
	(void)state;
	(void)context;
	(void)answer;
	return 0;
}

static int register_async(cnode_process *self, const char *what, cnode_term name, cnode_pid pid, const char *method,
			  cnode_done_fn *done, void *context)
{
	char agent[CNODE_NAME_SIZE];
	cnode_term request;
	int rc = request_of(cnode_process_node(self), what, name, pid, method, agent, &request);
	if (rc != 0)
		return rc;
	rc = ask_async(self, agent, request, done ? done : unheard, context);
	cnode_term_drop(request);
	return rc;
}

int cnode_global_register_async(cnode_process *self, cnode_term name, cnode_pid pid, const char *method,
				cnode_done_fn *done, void *context)
{
	return register_async(self, "register", name, pid, method, done, context);
}

int cnode_global_re_register_async(cnode_process *self, cnode_term name, cnode_pid pid, const char *method,
				   cnode_done_fn *done, void *context)
{
	return register_async(self, "re_register", name, pid, method, done, context);
}

int cnode_global_unregister_async(cnode_process *self, cnode_term name, cnode_done_fn *done, void *context)
{
	char agent[CNODE_NAME_SIZE];
	cnode_term request;
	int rc = unregister_request(cnode_process_node(self), name, agent, &request);
	if (rc != 0)
		return rc;
	rc = ask_async(self, agent, request, done ? done : unheard, context);
	cnode_term_drop(request);
	return rc;
}

/* ---- registering, and waiting ---- */

static int cannot(cnode_mailbox *mb, const char *what, cnode_term name, int rc)
{
	char text[200];
	cn_term_brief(name, text, sizeof text);
	return cn_mailbox_fail(mb, rc, "global name %s cannot be %s: %s", text, what,
			       rc == CNODE_ENOTSUP ? "this node is hidden, and its names are another node's"
			       : rc == CNODE_ENOCONNECTION ? "this node is hidden, and no node is connected that would do it"
			       : rc == CNODE_EBADARG ? "the method must be MODULE:FUNCTION" : cnode_strerror(rc));
}

/* Takes the request. 0: yes or ok. */
static int ask(cnode_mailbox *mb, const char *agent, cnode_term take_request, uint64_t timeout_ms, cnode_term name)
{
	cnode_term reply;
	char text[200], answer[200];
	int rc = *agent ? cnode_call_name(mb, "rex", agent, timeout_ms, &reply, "~t", take_request)
			: cnode_call(mb, cn_global_registrar(cn_mailbox_node(mb)->global), timeout_ms, &reply, "~t", take_request);
	cnode_term_drop(take_request);
	if (rc != 0)
		return rc;
	if (!cn_term_is_atom(reply, "yes") && !cn_term_is_atom(reply, "ok")) {
		cn_term_brief(name, text, sizeof text);
		cn_term_brief(reply, answer, sizeof answer);
		rc = cn_term_is_atom(reply, "no")
			     ? cn_mailbox_fail(mb, CNODE_ENAMETAKEN, "global name %s: it is taken, or the process has another name", text)
			     : cn_mailbox_fail(mb, CNODE_EREPLY, "global name %s: %s answered %s", text, *agent ? agent : "this node", answer);
	}
	cnode_term_drop(reply);
	return rc;
}

static int register_wait(cnode_mailbox *mb, const char *what, cnode_term name, cnode_pid pid, const char *method,
			 uint64_t timeout_ms)
{
	char agent[CNODE_NAME_SIZE];
	cnode_term request;
	int rc = request_of(cn_mailbox_node(mb), what, name, pid, method, agent, &request);
	return rc != 0 ? cannot(mb, "registered", name, rc) : ask(mb, agent, request, timeout_ms, name);
}

int cnode_global_register(cnode_mailbox *mb, cnode_term name, cnode_pid pid, const char *method, uint64_t timeout_ms)
{
	return register_wait(mb, "register", name, pid, method, timeout_ms);
}

int cnode_global_re_register(cnode_mailbox *mb, cnode_term name, cnode_pid pid, const char *method, uint64_t timeout_ms)
{
	return register_wait(mb, "re_register", name, pid, method, timeout_ms);
}

int cnode_global_unregister(cnode_mailbox *mb, cnode_term name, uint64_t timeout_ms)
{
	char agent[CNODE_NAME_SIZE];
	cnode_term request;
	int rc = unregister_request(cn_mailbox_node(mb), name, agent, &request);
	return rc != 0 ? cannot(mb, "unregistered", name, rc) : ask(mb, agent, request, timeout_ms, name);
}

/* ---- nodes ---- */

/* Names of nodes as text, in one piece of memory. */
struct texts {
	char **at;
	size_t count;
};

static void texts_fini(struct texts *t)
{
	for (size_t i = 0; i < t->count; i++)
		cn_free(t->at[i]);
	cn_free(t->at);
	*t = (struct texts){ 0 };
}

static int texts_of(const cnode_name *names, size_t count, struct texts *t)
{
	char text[CNODE_NAME_SIZE];
	t->count = 0;
	t->at = cn_calloc(count + 1, sizeof *t->at);
	if (!t->at)
		return CNODE_ENOMEM;
	for (size_t i = 0; i < count; i++) {
		int rc = cnode_name_text(names[i], text);
		if (rc == 0 && !(t->at[t->count] = cn_strdup(text)))
			rc = CNODE_ENOMEM;
		if (rc == CNODE_ENOMEM) {
			texts_fini(t);
			return rc;
		}
		t->count += rc == 0;
	}
	return 0;
}

/* Numbers of a list that ends with NULL; NULL: this node and all visible ones. *names is yours. */
static int names_of(cnode_node *node, const char *const *list, cnode_name **names, size_t *count)
{
	if (!list) {
		int rc = cn_global_nodes(node->global, names, count);
		if (rc == 0 && (rc = cnode_name_of(node->name, &(*names)[(*count)++])) != 0)
			cn_free(*names);
		return rc;
	}
	size_t n = 0;
	while (list[n])
		n++;
	*names = cn_calloc(n + 1, sizeof **names);
	if (!*names)
		return CNODE_ENOMEM;
	int rc = 0;
	for (*count = 0; *count < n && rc == 0; ++*count)
		rc = cnode_name_of(list[*count], &(*names)[*count]);
	if (rc != 0) {
		cn_free(*names);
		*names = NULL;
	}
	return rc;
}

/* {sync, Nodes} of the visible nodes that are connected. *request is yours. */
static int sync_request(cnode_node *node, cnode_term *request)
{
	cnode_name *names;
	size_t count;
	char text[CNODE_NAME_SIZE];
	int rc = cn_global_nodes(node->global, &names, &count);
	if (rc != 0)
		return rc;
	struct cnode_builder b;
	cn_builder_init(&b);
	cnode_build_tuple(&b, 2);
	cnode_build_atom(&b, "sync");
	cnode_build_list(&b);
	for (size_t i = 0; i < count; i++)
		if (cnode_name_text(names[i], text) == 0)
			cnode_build_atom(&b, text);
	cnode_build_list_end(&b);
	rc = cnode_builder_term(&b, request);
	cn_builder_fini(&b);
	cn_free(names);
	return rc;
}

int cnode_global_sync_async(cnode_process *self, cnode_done_fn *done, void *context)
{
	cnode_term request;
	int rc = sync_request(cnode_process_node(self), &request);
	if (rc != 0)
		return rc;
	rc = cnode_call_name_async(self, SERVER, NULL, CNODE_INFINITY, done ? done : unheard, context, "~t", request);
	cnode_term_drop(request);
	return rc;
}

int cnode_global_sync(cnode_mailbox *mb, uint64_t timeout_ms)
{
	cnode_term request, reply;
	int rc = sync_request(cn_mailbox_node(mb), &request);
	if (rc != 0)
		return cn_mailbox_fail(mb, rc, "global sync: %s", cnode_strerror(rc));
	rc = cnode_call_name(mb, SERVER, NULL, timeout_ms, &reply, "~t", request);
	cnode_term_drop(request);
	if (rc != 0)
		return rc;
	bool done = cn_term_is_atom(reply, "ok");
	cnode_term_drop(reply);
	return done ? 0 : cn_mailbox_fail(mb, CNODE_ELIMIT, "global sync: too many wait for the same, and this one gave way");
}

int cnode_global_disconnect_async(cnode_process *self, cnode_done_fn *done, void *context)
{
	return cnode_call_name_async(self, SERVER, NULL, CNODE_INFINITY, done ? done : unheard, context, "disconnect");
}

int cnode_global_disconnect(cnode_mailbox *mb, uint64_t timeout_ms)
{
	cnode_term reply;
	int rc = cnode_call_name(mb, SERVER, NULL, timeout_ms, &reply, "disconnect");
	if (rc == 0)
		cnode_term_drop(reply);
	return rc;
}

/* ---- locks ---- */

static int lock_async(cnode_process *self, cnode_term resource, cnode_term requester, const char *const *nodes, int retries,
		      bool trans, cnode_done_fn *done, void *context)
{
	cnode_node *node = cnode_process_node(self);
	cnode_name *names;
	size_t count;
	int rc = names_of(node, nodes, &names, &count);
	if (rc != 0)
		return rc;
	rc = cn_global_set_lock(node->global, self, resource, requester, names, count, retries, trans, done, context);
	cn_free(names);
	return rc;
}

int cnode_global_set_lock_async(cnode_process *self, cnode_term resource, cnode_term requester, const char *const *nodes,
				int retries, cnode_done_fn *done, void *context)
{
	return lock_async(self, resource, requester, nodes, retries, false, done, context);
}

int cnode_global_trans_async(cnode_process *self, cnode_term resource, cnode_term requester, const char *const *nodes,
			     int retries, cnode_done_fn *done, void *context)
{
	return lock_async(self, resource, requester, nodes, retries, true, done, context);
}

int cnode_global_del_lock_async(cnode_process *self, cnode_term resource, cnode_term requester, const char *const *nodes,
				cnode_done_fn *done, void *context)
{
	cnode_node *node = cnode_process_node(self);
	cnode_name *names;
	size_t count;
	int rc = names_of(node, nodes, &names, &count);
	if (rc != 0)
		return rc;
	rc = cn_global_del_lock(node->global, self, resource, requester, names, count, done, context);
	cn_free(names);
	return rc;
}

/* One lock as a mailbox asks for it. */
struct mailbox_lock {
	cnode_mailbox *mb;
	struct texts nodes;
	cnode_term set, del;        /* the requests */
	cnode_term *replies;
};

static void mailbox_lock_fini(struct mailbox_lock *l)
{
	texts_fini(&l->nodes);
	cnode_term_drop(l->set);
	cnode_term_drop(l->del);
	cn_free(l->replies);
}

static int mailbox_lock_init(struct mailbox_lock *l, cnode_mailbox *mb, cnode_term resource, cnode_term requester,
			     const char *const *nodes)
{
	cnode_name *names;
	size_t count;
	*l = (struct mailbox_lock){ .mb = mb };
	int rc = names_of(cn_mailbox_node(mb), nodes, &names, &count);
	if (rc == 0) {
		rc = texts_of(names, count, &l->nodes);
		cn_free(names);
	}
	if (rc == 0 && !(l->replies = cn_calloc(l->nodes.count + 1, sizeof *l->replies)))
		rc = CNODE_ENOMEM;
	if (rc == 0)
		rc = cnode_format(&l->set, "{set_lock,{~t,~t}}", resource, requester);
	if (rc == 0)
		rc = cnode_format(&l->del, "{del_lock,{~t,~t}}", resource, requester);
	if (rc != 0) {
		mailbox_lock_fini(l);
		return cn_mailbox_fail(mb, rc, "a global lock: %s", rc == CNODE_EBADNAME ? "a node's name has no '@'" : cnode_strerror(rc));
	}
	return 0;
}

static uint64_t left_of(uint64_t deadline)
{
	uint64_t now = cn_now();
	return deadline == CN_NEVER ? CNODE_INFINITY : deadline > now ? (deadline - now) / CN_NS_PER_MS + 1 : 0;
}

/* Gives back what those of `l->replies` have granted, or all. */
static int give_back(struct mailbox_lock *l, bool all, uint64_t timeout_ms)
{
	const char **nodes = cn_calloc(l->nodes.count + 1, sizeof *nodes);
	size_t count = 0;
	for (size_t i = 0; i < l->nodes.count; i++) {
		if (nodes && (all || cn_term_is_atom(l->replies[i], "true")))
			nodes[count++] = l->nodes.at[i];
		cnode_term_drop(l->replies[i]);
	}
	if (!nodes)
		return cn_mailbox_fail(l->mb, CNODE_ENOMEM, "a global lock cannot be given back: out of memory");
	int rc = cn_mailbox_multi_call(l->mb, nodes, count, SERVER, timeout_ms, l->replies, l->del);
	for (size_t i = 0; i < count; i++)
		cnode_term_drop(l->replies[i]);
	cn_free(nodes);
	return rc;
}

/* One try. 0: granted; CNODE_EBUSY: not, and nothing is held. */
static int try_lock(struct mailbox_lock *l, uint64_t deadline)
{
	bool granted = true;
	int rc = cn_mailbox_multi_call(l->mb, (const char *const *)l->nodes.at, l->nodes.count, SERVER, left_of(deadline),
				       l->replies, l->set);
	for (size_t i = 0; i < l->nodes.count; i++)
		granted = granted && (cn_term_is_none(l->replies[i]) || cn_term_is_atom(l->replies[i], "true"));
	if (rc == 0 && granted) {
		for (size_t i = 0; i < l->nodes.count; i++)
			cnode_term_drop(l->replies[i]);
		return 0;
	}
	/* Who has not answered yet hears of it in this order. */
	int back = give_back(l, rc != 0, rc != 0 ? 0 : left_of(deadline));
	return rc != 0 ? rc : back != 0 ? back : CNODE_EBUSY;
}

int cnode_global_set_lock(cnode_mailbox *mb, cnode_term resource, cnode_term requester, const char *const *nodes, int retries,
			  uint64_t timeout_ms)
{
	struct mailbox_lock l;
	struct cn_global *g = cn_mailbox_node(mb)->global;
	uint64_t now = cn_now();
	uint64_t deadline = timeout_ms >= (CN_NEVER - now) / CN_NS_PER_MS ? CN_NEVER : now + timeout_ms * CN_NS_PER_MS;
	int rc = mailbox_lock_init(&l, mb, resource, requester, nodes);
	if (rc != 0)
		return rc;
	bool own = false;
	for (size_t i = 0; i < l.nodes.count; i++)
		own = own || strcmp(l.nodes.at[i], cn_mailbox_node(mb)->name) == 0;
	for (unsigned times = 1;; times++) {
		rc = own && l.nodes.count > 1 && !cn_global_can_lock(g, resource, requester) ? CNODE_EBUSY : try_lock(&l, deadline);
		uint64_t pause = cn_global_pause(times), left = left_of(deadline);
		if (rc != CNODE_EBUSY || retries == 0 || left == 0)
			break;
		if (retries > 0)
			retries--;
		rc = cn_mailbox_sleep(mb, pause < left ? pause : left);
		if (rc != 0)
			break;
	}
	mailbox_lock_fini(&l);
	return rc == CNODE_EBUSY ? cn_mailbox_fail(mb, rc, "the global lock was not granted: another requester has it") : rc;
}

int cnode_global_del_lock(cnode_mailbox *mb, cnode_term resource, cnode_term requester, const char *const *nodes,
			  uint64_t timeout_ms)
{
	struct mailbox_lock l;
	int rc = mailbox_lock_init(&l, mb, resource, requester, nodes);
	if (rc != 0)
		return rc;
	rc = give_back(&l, true, timeout_ms);
	mailbox_lock_fini(&l);
	return rc;
}

int cnode_global_trans(cnode_mailbox *mb, cnode_term resource, cnode_term requester, const char *const *nodes, int retries,
		       uint64_t timeout_ms, int (*run)(void *context), void *context)
{
	int rc = cnode_global_set_lock(mb, resource, requester, nodes, retries, timeout_ms);
	if (rc != 0)
		return rc;
	rc = run(context);
	int back = cnode_global_del_lock(mb, resource, requester, nodes, CNODE_INFINITY);
	return rc != 0 ? rc : back;
}
