/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Joining: how the table of a node that came becomes the same as ours. Each side begins a session with
 * a tag of its own (init_connect), the lockers lock both partitions, each sends its names (exchange),
 * decides what becomes of the other's, and tells (resolved); with both decisions each applies the same
 * changes, and tells the nodes it knew before (new_nodes). Those two then know each other's nodes, dial
 * them and say in_sync.
 *
 * Messages of a session that is over are known by their tags. Nothing here waits, and what a peer does
 * not send is missed by the locker, which closes its connection.
 */
#include "cnode/global/inner.h"

#define RESTARTS_AT_ONCE 3          /* sessions begun anew before they are put off */
#define RESTART_MS 100              /* by so long at first, and twice as long each time */
#define RESTART_MOST_MS 8000
#define LEFT_MS 2000                /* for the third node whose word follows an in_sync */
#define RESTARTS_FORGOTTEN (60 * CN_NS_PER_S)

static cnode_term empty_list(void)
{
	static const uint8_t nil[] = { CN_NIL };
	return cn_term_static(nil, sizeof nil);
}

static void drop(cnode_term *t)
{
	cnode_term_drop(*t);
	*t = (cnode_term){ 0 };
}

/* Keeps a part of a message; a session that cannot is cut. */
static bool keep(struct server *s, struct node *n, cnode_term t, cnode_term *kept)
{
	drop(kept);
	if (cnode_term_keep(t, kept) == 0)
		return true;
	*kept = (cnode_term){ 0 };
	server_cut(s, n, cnode_strerror(CNODE_ENOMEM));
	return false;
}

void session_reset(struct node *n)
{
	n->my_tag = 0;
	n->locked = false;
	n->resolver = (cnode_pid){ 0 };
	drop(&n->his_tag);
	drop(&n->exchange);
	drop(&n->ops);
	drop(&n->resolved);
	drop(&n->his_known);
	drop(&n->his_external);
	drop(&n->early_version);
	drop(&n->early_locker);
}

void session_fini(struct node *n)
{
	session_reset(n);
}

/* ---- beginning, and beginning anew ---- */

static void begin(struct server *s, struct node *n)
{
	n->my_tag = ++s->last_tag;
	/* Where the nodes that are known once stood, and no release looks any more, stands for our like how we are configured. */
	cast(s, n, "{init_connect,{~i,~q},~a,{locker,no_longer_a_pid,[~t],~p}}", PROTOCOL, n->my_tag, s->g->own,
	     overlap_term(s->g->config.overlap), s->g->locker);
	if (cn_term_is_none(n->early_version))
		return;
	cnode_term version = n->early_version, locker = n->early_locker;
	n->early_version = n->early_locker = (cnode_term){ 0 };
	session_init_connect(s, n, version, locker);
	drop(&version);
	drop(&locker);
}

void session_nodeup(struct server *s, struct node *n)
{
	if (n->known < 0 && !n->my_tag && !n->restart_due)
		begin(s, n);
}

static int restart_now(cnode_process *self, void *state, void *context, const cnode_answer *answer)
{
	struct server *s = state;
	struct node *n = node_find(s, (cnode_name)(uintptr_t)context);
	(void)self;
	(void)answer;
	if (!n)
		return 0;
	n->restart_due = false;
	if (n->connection)
		session_nodeup(s, n);
	else
		node_forget_idle(s, n);
	return 0;
}

/* A session begins later, unless it is not wanted any more then. */
static void put_off(struct server *s, struct node *n, uint64_t ms)
{
	n->restart_due = true;
	if (cnode_after(s->self, ms, restart_now, (void *)(uintptr_t)n->name) != 0) {
		n->restart_due = false;
		server_cut(s, n, cnode_strerror(CNODE_ENOMEM));
	}
}

/*
 * Two nodes that each cancel what the other begins could go on so for ever (OTP 25 and 26 do): the
 * more often a session is begun anew, the longer it takes.
 */
static void restart(struct server *s, struct node *n)
{
	bool open = n->my_tag != 0;
	session_cancel(s, n, n->my_tag, (cnode_term){ 0 });
	session_reset(n);
	n->pending = -1;
	watch_forget_node(s, n->name);
	if (!open || n->restart_due)
		return;
	uint64_t now = cn_now();
	if (now - n->restarted > RESTARTS_FORGOTTEN)
		n->restarts = 0;
	n->restarted = now;
	if (n->restarts++ < RESTARTS_AT_ONCE) {
		session_nodeup(s, n);
		return;
	}
	unsigned doubled = n->restarts - RESTARTS_AT_ONCE - 1;
	put_off(s, n, doubled > 6 ? RESTART_MOST_MS : (uint64_t)RESTART_MS << doubled);
}

void session_goes_on(struct server *s, struct node *n)
{
	if (n->synced && n->known < 0 && !n->my_tag && !n->restart_due && !CN_MUTANT(global_in_sync_is_all))
		put_off(s, n, LEFT_MS);
}

void session_cancel(struct server *s, struct node *n, int64_t tag, cnode_term run)
{
	if (!tag)
		return;
	if (cnode_send(s->self, s->g->locker, "{cancel,~a,~q,~t}", n->text, tag, cn_term_is_none(run) ? empty_list() : run) != 0)
		server_broken(s, "the locker");
	if (tag != n->my_tag)
		return;
	if (n->pending >= PROTOCOL_TAGS)
		tell(s, n, "{cancel_connect,~a,~t}", s->g->own, n->his_tag);
	if (!cnode_pid_is_none(n->resolver))
		(void)cnode_exit(s->self, n->resolver, "kill");  /* it is of this node; memory for `kill` is all that could lack */
	n->resolver = (cnode_pid){ 0 };
}

/* {Vsn, Tag} of an init_connect; later versions may have more in it. */
static bool read_version(cnode_term term, int *version, cnode_term *tag)
{
	cnode_reader r = cnode_read(term);
	if (cnode_read_type(&r) != CNODE_TYPE_TUPLE || cnode_read_tuple(&r) < 2)
		return false;
	int64_t v = cnode_read_int64(&r);
	*tag = cnode_read_term(&r);
	*version = v > 1000 ? 1000 : (int)v;
	return r.error == 0 && v > 0;
}

void session_init_connect(struct server *s, struct node *n, cnode_term version, cnode_term locker)
{
	cnode_term tag, known;
	cnode_pid pid;
	int his;
	if (!read_version(version, &his, &tag) || cnode_scan(locker, "{locker,_,~t,~p}", &known, &pid) != 0 || pid.node != n->name) {
		server_unexpected(s, "init_connect", version);
		return;
	}
	cnode_term about;
	n->silent = cnode_scan(known, "[~t]", &about) == 0 && overlap_is_silent(about);
	if (his < PROTOCOL_MIN) {
		cn_log_line(s->g->config.log, CNODE_LOG_WARNING,
			    "global: %s speaks version %d of the protocol, which is too old: it is not joined", n->text, his);
		return;
	}
	if (n->pending >= PROTOCOL_TAGS) {
		/* He has begun anew without our doing. What we have begun is worth nothing then. */
		tell(s, n, "{cancel_connect,~a,~t}", s->g->own, tag);
		restart(s, n);
		return;
	}
	if (n->pending >= 0) {
		/*
		 * OTP 23, when a connection followed another so quickly that its name server heard of both
		 * while the second was up. It has forgotten what it began for the first, and reads our
		 * init_connect now: what it says now takes the place of that.
		 */
		const int64_t mine = n->my_tag;
		session_cancel(s, n, mine, (cnode_term){ 0 });
		session_reset(n);
		watch_forget_node(s, n->name);
		n->my_tag = mine;
		n->pending = -1;
	}
	if (!n->my_tag) {
		/* For when we begin; a later one of his takes its place. */
		if (!keep(s, n, version, &n->early_version) || !keep(s, n, locker, &n->early_locker))
			drop(&n->early_version);
		return;
	}
	if (!keep(s, n, tag, &n->his_tag))
		return;
	n->version = his < PROTOCOL ? his : PROTOCOL;
	n->his_locker = pid;
	if (cnode_send(s->self, s->g->locker, "{his_the_locker,~p,~i,~t,~q}", pid, n->version, tag, n->my_tag) != 0) {
		server_cut(s, n, cnode_strerror(CNODE_ENOMEM));
		return;
	}
	if (his >= PROTOCOL_TAGS && !CN_MUTANT(global_no_ack))
		tell(s, n, "{init_connect_ack,~a,~t,~q}", s->g->own, tag, n->my_tag);
	n->pending = his;
}

void session_ack(struct server *s, struct node *n, cnode_term his_my, cnode_term his_his)
{
	if (n->my_tag && is_int(his_my, n->my_tag) && cnode_term_equal(his_his, n->his_tag))
		return;
	/*
	 * We have come together by a third node while this was on its way; our in_sync ends his session. To have him begin
	 * anew, as OTP 27 does here, would make both forget names that they have in common.
	 */
	if (!n->my_tag && n->known >= 0)
		return;
	tell(s, n, "{cancel_connect,~a,~t}", s->g->own, his_his);
	restart(s, n);
}

void session_cancelled(struct server *s, struct node *n, cnode_term tag)
{
	if (n->my_tag && is_int(tag, n->my_tag) && !CN_MUTANT(global_cancel_ignored))
		restart(s, n);
}

/* True for a message of the present session; of another one the locker is told to let go. */
static bool is_current(struct server *s, struct node *n, cnode_term tag)
{
	int64_t t;
	if (cnode_scan(tag, "~q", &t) != 0)
		return false;
	if (n->my_tag && (t == n->my_tag || CN_MUTANT(global_stale_tag_taken)))
		return true;
	session_cancel(s, n, t, (cnode_term){ 0 });
	return false;
}

/* ---- exchange ---- */

/*
 * What his names mean: those we do not have are inserted; of those that another process has here, the
 * node with the smaller name decides, so that it is decided once.
 */
static int compare_tables(struct server *s, struct node *n, cnode_builder *ops, cnode_builder *conflicts, size_t *count)
{
	bool decide = nodes_compare(s->g->self, n->name) < 0 || CN_MUTANT(global_both_decide);
	cnode_reader r = cnode_read(n->exchange);
	size_t left;
	*count = 0;
	while ((left = cnode_read_list(&r)) > 0)
		while (left-- > 0) {
			cnode_term name, method;
			cnode_pid pid;
			if (cnode_scan(cnode_read_term(&r), "{~t,~p,~t}", &name, &pid, &method) != 0)
				return CNODE_EBADTERM;
			struct name *ours = names_find(s->g, name);
			if (!ours) {
				cnode_build_format(ops, "{insert,{~t,~p,~t}}", name, pid, method);
			} else if (!cnode_pid_equal(ours->pid, pid) && decide) {
				cnode_build_format(conflicts, "{~t,~p,~t,~p,~t}", name, pid, method, ours->pid, ours->method);
				++*count;
			}
		}
	return r.error;
}

static int start_resolver(struct server *s, struct node *n, cnode_term ops, cnode_term conflicts)
{
	cnode_term args;
	int rc = cnode_format(&args, "[~a,~q,~t,~t]", n->text, n->my_tag, ops, conflicts);
	if (rc != 0)
		return rc;
	rc = cnode_process_start(cnode_process_node(s->self), NULL, &resolver_behaviour, s->g, args, &n->resolver);
	cnode_term_drop(args);
	return rc;
}

/* Both locks are held and his names are here. */
static void resolve(struct server *s, struct node *n)
{
	cnode_builder ops, conflicts;
	cnode_term own = { 0 }, doubtful = { 0 };
	size_t count;
	if (!n->locked || cn_term_is_none(n->exchange))
		return;
	cn_builder_init(&ops);
	cn_builder_init(&conflicts);
	cnode_build_list(&ops);
	cnode_build_list(&conflicts);
	int rc = compare_tables(s, n, &ops, &conflicts, &count);
	drop(&n->exchange);
	cnode_build_list_end(&ops);
	cnode_build_list_end(&conflicts);
	if (rc == 0)
		rc = cnode_builder_term(&ops, &own);
	if (rc == 0)
		rc = cnode_builder_term(&conflicts, &doubtful);
	cn_builder_fini(&ops);
	cn_builder_fini(&conflicts);
	if (rc == 0 && count > 0)
		rc = start_resolver(s, n, own, doubtful);
	else if (rc == 0)
		session_resolved_here(s, n, n->my_tag, own, empty_list());
	if (rc != 0)
		server_cut(s, n, rc == CNODE_EBADTERM ? "its list of names cannot be read" : cnode_strerror(rc));
	drop(&own);
	drop(&doubtful);
}

void session_lock_is_set(struct server *s, struct node *n, int64_t tag, const cnode_pid id[2])
{
	cnode_builder b;
	cnode_term names;
	if (!n->my_tag || tag != n->my_tag) {
		session_cancel(s, n, tag, (cnode_term){ 0 });
		return;
	}
	n->lock_id[0] = id[0];
	n->lock_id[1] = id[1];
	n->locked = true;
	cn_builder_init(&b);
	names_build(s->g, &b);
	int rc = cnode_builder_term(&b, &names);
	cn_builder_fini(&b);
	if (rc != 0) {
		server_cut(s, n, cnode_strerror(rc));
		return;
	}
	cast(s, n, "{exchange,~a,~t,[],~t}", s->g->own, names, n->his_tag);
	drop(&names);
	resolve(s, n);
}

void session_exchange(struct server *s, struct node *n, cnode_term names, cnode_term tag)
{
	if (is_current(s, n, tag) && (n->locked || !CN_MUTANT(global_early_exchange_lost)) && keep(s, n, names, &n->exchange))
		resolve(s, n);
}

/* ---- resolved ---- */

/* The nodes we know, in the form of a version of the protocol. `more`: one more, with its version. */
static void build_known(struct server *s, cnode_builder *b, int version)
{
	cnode_build_list(b);
	for (struct node *k = s->nodes; k; k = k->hh.next) {
		if (k->known < 0)
			continue;
		if (version < PROTOCOL_NODES)
			cnode_build_atom(b, k->text);
		else
			cnode_build_format(b, "{~a,~i}", k->text, k->known);
	}
	cnode_build_list_end(b);
}

static void finish(struct server *s, struct node *n);

void session_resolved_here(struct server *s, struct node *n, int64_t tag, cnode_term ops, cnode_term resolved)
{
	cnode_builder b;
	cnode_term message;
	if (!n->my_tag || tag != n->my_tag) {
		session_cancel(s, n, tag, (cnode_term){ 0 });
		return;
	}
	n->resolver = (cnode_pid){ 0 };
	cn_builder_init(&b);
	cnode_build_tuple(&b, 2);
	cnode_build_atom(&b, "$gen_cast");
	cnode_build_tuple(&b, 7);
	cnode_build_atom(&b, "resolved");
	cnode_build_atom(&b, s->g->own);
	cnode_build_term(&b, resolved);
	build_known(s, &b, n->version);
	cnode_build_atom(&b, "unused");
	names_build_external(s->g, &b);
	cnode_build_term(&b, n->his_tag);
	int rc = cnode_builder_term(&b, &message);
	cn_builder_fini(&b);
	if (rc != 0) {
		server_cut(s, n, cnode_strerror(rc));
		return;
	}
	tell_term(s, n, message);
	drop(&message);
	if (keep(s, n, ops, &n->ops))
		finish(s, n);
}

void session_resolved(struct server *s, struct node *n, cnode_term resolved, cnode_term known, cnode_term external, cnode_term tag)
{
	if (is_current(s, n, tag) && keep(s, n, resolved, &n->resolved) && keep(s, n, known, &n->his_known) &&
	    keep(s, n, external, &n->his_external))
		finish(s, n);
}

/* ---- applying what was decided ---- */

/* The BEAM node that a name of a hidden node was registered by: found by name and pid. */
struct external {
	struct item item;
	cnode_pid pid;
	cnode_name node;
};
struct externals {
	struct table table;
	struct external *at;
	size_t count;
};

static int externals_read(struct externals *x, cnode_term list)
{
	cnode_reader r = cnode_read(list);
	size_t room = 0, left;
	*x = (struct externals){ 0 };
	while ((left = cnode_read_list(&r)) > 0) {
		struct external *at = cn_realloc(x->at, (room + left) * sizeof *at);
		if (!at)
			return CNODE_ENOMEM;
		x->at = at;
		room += left;
		while (left-- > 0) {
			cnode_atom node;
			struct external *e = &x->at[x->count];
			if (cnode_scan(cnode_read_term(&r), "{~t,~p,~a}", &e->item.key, &e->pid, &node) != 0 ||
			    cnode_name_of(node.text, &e->node) != 0)
				continue;
			e->item.hash = cnode_term_hash(e->item.key);
			x->count++;
		}
	}
	if (x->count == 0)
		return 0;
	int rc = table_init(&x->table);
	for (size_t i = 0; i < x->count && rc == 0; i++)
		table_add(&x->table, &x->at[i].item);
	return rc;
}

static cnode_name external_of(const struct externals *x, cnode_term name, cnode_pid pid)
{
	if (x->count == 0)
		return 0;
	struct item *item = table_find(&x->table, cnode_term_hash(name), name);
	struct external *e = item ? CN_CONTAINER(item, struct external, item) : NULL;
	return e && cnode_pid_equal(e->pid, pid) ? e->node : 0;
}

static void externals_fini(struct externals *x)
{
	table_fini(&x->table);
	cn_free(x->at);
}

/* The insertions, or the deletions, of a list of operations. What is none is left out. */
static int apply_some(struct server *s, cnode_term ops, const struct externals *x, const struct word *word, bool inserts)
{
	cnode_reader r = cnode_read(ops);
	size_t left;
	int rc = 0;
	while (rc == 0 && (left = cnode_read_list(&r)) > 0)
		while (left-- > 0 && rc == 0) {
			cnode_term op = cnode_read_term(&r), name, method;
			cnode_pid pid;
			if (inserts && cnode_scan(op, "{insert,{~t,~p,~t}}", &name, &pid, &method) == 0)
				rc = names_insert(s, name, pid, method, external_of(x, name, pid), word);
			else if (!inserts && cnode_scan(op, "{delete,~t}", &name) == 0)
				names_delete(s, name);
			if (rc == CNODE_ESTALE || rc == CNODE_EBADTERM)
				rc = 0;         /* a pid that nothing can be sent to */
		}
	return rc;
}

static void apply(struct server *s, struct node *n, const cnode_term *ops, size_t count, cnode_term external, cnode_term lock)
{
	struct word word = { .lock = lock };
	struct externals x;
	int rc = externals_read(&x, external);
	for (size_t i = 0; i < count && rc == 0; i++)
		rc = apply_some(s, ops[i], &x, &word, true);
	for (size_t i = 0; i < count && rc == 0; i++)
		rc = apply_some(s, ops[i], &x, &word, false);
	externals_fini(&x);
	if (rc != 0)
		server_cut(s, n, cnode_strerror(rc));   /* our table is not his any more */
}

/* ---- the nodes that come with a node ---- */

/* Of a node list: {Node, Version} or Node. NULL: it is this node, or cannot be had. */
static struct node *node_of(struct server *s, cnode_term element, int *version)
{
	cnode_atom text;
	cnode_name name;
	int v = 0;
	if (cnode_scan(element, "{~a,~i}", &text, &v) != 0 && cnode_scan(element, "~a", &text) != 0)
		return NULL;
	if (cnode_name_of(text.text, &name) != 0 || name == s->g->self)
		return NULL;
	*version = v < 0 ? 0 : v;
	return node_get(s, name);
}

typedef void node_fn(struct server *s, struct node *n, int version);
static void each_node(struct server *s, cnode_term list, node_fn *fn)
{
	cnode_reader r = cnode_read(list);
	size_t left;
	while ((left = cnode_read_list(&r)) > 0)
		while (left-- > 0) {
			int version;
			struct node *n = node_of(s, cnode_read_term(&r), &version);
			if (n)
				fn(s, n, version);
		}
}

/* Whether it is known there, which stood in the third place once, no release looks at: see begin. */
void session_say_in_sync(struct server *s, struct node *n)
{
	if (CN_MUTANT(global_no_in_sync))
		return;
	cast(s, n, "{in_sync,~a,~t}", s->g->own, overlap_term(s->g->config.overlap));
}

void session_join(struct server *s, struct node *n)
{
	if (n->connection) {
		session_say_in_sync(s, n);
		return;
	}
	/* It is told when it is up, or given up when it cannot be reached. */
	if (n->joining)
		return;
	n->joining = cnode_monitor_node(s->self, n->text, true) == 0;
	if (!n->joining)
		server_broken(s, "dialling a node");
}

/* It was told to be known: to the locker too. */
static void add_to_known(struct server *s, struct node *n, int version)
{
	if (n->known >= 0) {
		if (n->known == 0)
			n->known = version;
		return;
	}
	n->known = version;
	if (cnode_send(s->self, s->g->locker, "{add_to_known,[~a]}", n->text) != 0)
		server_broken(s, "the locker");
}

static void join_third(struct server *s, struct node *n, int version)
{
	(void)version;
	session_join(s, n);
}

/* A joining with it is not needed any more: it comes with the one that is done. */
static void leave_off(struct server *s, struct node *n, int version)
{
	(void)version;
	n->pending = -1;
	session_cancel(s, n, n->my_tag, (cnode_term){ 0 });
	session_reset(n);
}

/* {new_nodes, …} for the nodes that were known before, in the form of a version. */
static int new_nodes_message(struct server *s, struct node *n, int version, cnode_term *message)
{
	cnode_builder b;
	cnode_term lock;
	int rc = lock_id_term(n->lock_id[0], n->lock_id[1], &lock);
	if (rc != 0)
		return rc;
	cn_builder_init(&b);
	cnode_build_tuple(&b, 6);
	cnode_build_atom(&b, "new_nodes");
	cnode_build_atom(&b, s->g->own);
	cnode_build_list(&b);
	for (int i = 0; i < 2; i++) {
		cnode_reader r = cnode_read(i == 0 ? n->ops : n->resolved);
		size_t left;
		while ((left = cnode_read_list(&r)) > 0)
			while (left-- > 0)
				cnode_build_term(&b, cnode_read_term(&r));
	}
	cnode_build_list_end(&b);
	cnode_build_term(&b, n->his_external);
	cnode_build_list(&b);
	if (version < PROTOCOL_NODES)
		cnode_build_atom(&b, n->text);
	else
		cnode_build_format(&b, "{~a,~i}", n->text, n->pending < 0 ? n->version : n->pending);
	cnode_reader r = cnode_read(n->his_known);
	size_t left;
	while ((left = cnode_read_list(&r)) > 0)
		while (left-- > 0) {
			int v;
			struct node *third = node_of(s, cnode_read_term(&r), &v);
			if (!third)
				continue;
			if (version < PROTOCOL_NODES)
				cnode_build_atom(&b, third->text);
			else
				cnode_build_format(&b, "{~a,~i}", third->text, v ? v : third->known > 0 ? third->known : 0);
		}
	cnode_build_list_end(&b);
	cnode_build_format(&b, "[{vsn,~i},{lock,{global,~t}}]", n->version, lock);
	rc = cnode_builder_term(&b, message);
	cn_builder_fini(&b);
	cnode_term_drop(lock);
	return rc;
}

/* [{Node, Message}] for the locker, who tells them while the lock is still held. */
static int build_run(struct server *s, struct node *n, cnode_term *list)
{
	cnode_term old = { 0 }, new = { 0 };
	cnode_builder b;
	cn_builder_init(&b);
	cnode_build_list(&b);
	int rc = 0;
	for (struct node *k = s->nodes; k && rc == 0; k = k->hh.next) {
		if (k->known < 0 || CN_MUTANT(global_no_new_nodes))
			continue;
		cnode_term *message = k->known < PROTOCOL_NODES ? &old : &new;
		if (cn_term_is_none(*message))
			rc = new_nodes_message(s, n, k->known, message);
		if (rc == 0)
			cnode_build_format(&b, "{~a,~t}", k->text, *message);
	}
	cnode_build_list_end(&b);
	if (rc == 0)
		rc = cnode_builder_term(&b, list);
	cn_builder_fini(&b);
	drop(&old);
	drop(&new);
	return rc;
}

/* Both have decided: the tables become one. */
static void finish(struct server *s, struct node *n)
{
	cnode_term run, lock;
	if (cn_term_is_none(n->ops) || cn_term_is_none(n->resolved))
		return;
	int rc = lock_id_term(n->lock_id[0], n->lock_id[1], &lock);
	if (rc == 0) {
		rc = build_run(s, n, &run);
		if (rc != 0)
			cnode_term_drop(lock);
	}
	if (rc != 0) {
		server_cut(s, n, cnode_strerror(rc));
		return;
	}
	int version = n->pending < 0 ? n->version : n->pending;
	cnode_term known = n->his_known;
	n->his_known = (cnode_term){ 0 };
	each_node(s, known, join_third);
	apply(s, n, (const cnode_term[]){ n->ops, n->resolved }, 2, n->his_external, lock);
	sync_reached(s, n->name);
	each_node(s, known, leave_off);
	n->pending = -1;
	session_cancel(s, n, n->my_tag, run);
	session_reset(n);
	n->restarts = 0;
	n->synced = true;
	add_to_known(s, n, version);
	each_node(s, known, add_to_known);
	server_publish(s);
	drop(&known);
	drop(&run);
	drop(&lock);
}

/* ---- from nodes that are joined already ---- */

/* The lock of {lock, {global, Requester}} among the extra information. */
static cnode_term lock_of(cnode_term extra)
{
	cnode_reader r = cnode_read(extra);
	cnode_term lock = { 0 };
	size_t left;
	while ((left = cnode_read_list(&r)) > 0)
		while (left-- > 0)
			if (cnode_scan(cnode_read_term(&r), "{lock,{global,~t}}", &lock) == 0)
				return lock;
	return (cnode_term){ 0 };
}

static void add_and_join(struct server *s, struct node *n, int version)
{
	bool added = n->known < 0;
	add_to_known(s, n, version);
	if (added)
		session_join(s, n);
}

void session_new_nodes(struct server *s, struct node *n, cnode_term ops, cnode_term external, cnode_term nodes, cnode_term extra)
{
	each_node(s, nodes, add_and_join);
	apply(s, n, &ops, 1, external, lock_of(extra));
	server_publish(s);
}

void session_in_sync(struct server *s, struct node *n, cnode_term about)
{
	n->silent = overlap_is_silent(about);
	n->synced = true;
	n->pending = -1;
	session_cancel(s, n, n->my_tag, (cnode_term){ 0 });
	session_reset(n);
	n->restarts = 0;
	sync_reached(s, n->name);
}
