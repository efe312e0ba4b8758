/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prevent_overlapping_partitions: where two nodes have lost their connection but both have one with
 * this node, names would be the same in neither partition. So a lost connection is told to all, and who
 * hears of it lets go of one of the two.
 *
 * This node obeys and passes on what it is told. It tells of losses of its own only if configured
 * (CNODE_OVERLAP_REPORT): the BEAM at the other end of the connection tells anyway, so that only this
 * node is let go of, and a fault here can never tear BEAM nodes apart. Of a node of our like at the other
 * end, which is silent too, it does tell.
 *
 * Follows: global.erl (OTP 25 to 29): lost_connection, remove_connection, handle_nodedown.
 */
#include "cnode/global/inner.h"

#define REMEMBERED_NS (3600 * CN_NS_PER_S)
#define REMEMBERED_MOST 65536u          /* pairs; stops a peer that makes them up */

/* A lost connection that was told of. Both names of the key; the words in front of it say which one. */
struct lost {
	UT_hash_handle hh;
	struct { cnode_name a, b; } pair;
	int64_t creation, operation;
	uint64_t when;
};

void overlap_fini(struct server *s)
{
	struct lost *l, *next;
	HASH_ITER(hh, s->lost, l, next) {
		HASH_DEL(s->lost, l);
		cn_free(l);
	}
}

/* To every node that has a part in this but one. */
static void multicast(struct server *s, cnode_name but, cnode_term message)
{
	for (struct node *n = s->nodes; n; n = n->hh.next) {
		int version = n->known >= 0 ? n->known : n->pending;
		if (n->connection && n->name != but && version >= PROTOCOL_NODES)
			tell(s, n, "~t", message);
	}
}

cnode_term overlap_term(enum cnode_overlap overlap)
{
	static const uint8_t report[] = { CN_SMALL_ATOM_UTF8, 14, 'o', 'v', 'e', 'r', 'l', 'a', 'p', '_', 'r', 'e', 'p', 'o', 'r', 't' };
	static const uint8_t obey[] = { CN_SMALL_ATOM_UTF8, 12, 'o', 'v', 'e', 'r', 'l', 'a', 'p', '_', 'o', 'b', 'e', 'y' };
	return overlap == CNODE_OVERLAP_REPORT ? cn_term_static(report, sizeof report) : cn_term_static(obey, sizeof obey);
}

bool overlap_is_silent(cnode_term about)
{
	return cn_term_is_atom(about, "overlap_obey");
}

/*
 * {lost_connection, A, XCreation, Operation, B} of our own: the others let go of B. Of a node that could never be
 * reached we do not know if it tells, and if the fault is ours: it is this node that is let go of then.
 */
static void report(struct server *s, struct node *n)
{
	cnode_term message;
	enum cnode_overlap overlap = s->g->config.overlap;
	bool unknown = !n->was_up;
	bool tells = overlap == CNODE_OVERLAP_REPORT || (overlap == CNODE_OVERLAP_OBEY && (n->silent || unknown));
	if (!tells || atomic_load(&s->g->leaving))
		return;
	bool self = unknown && overlap == CNODE_OVERLAP_OBEY;
	/* Another incarnation of this node has another one; operations grow. */
	int64_t creation = (int64_t)cn_procs_creation(s->g->config.procs);
	if (cnode_format(&message, "{lost_connection,~a,~q,~q,~a}", self ? n->text : s->g->own, creation, ++s->last_operation,
			 self ? s->g->own : n->text) != 0) {
		server_broken(s, "telling of a loss");
		return;
	}
	multicast(s, n->name, message);
	cnode_term_drop(message);
}

void overlap_down(struct server *s, struct node *n, enum gone how)
{
	session_cancel(s, n, n->my_tag, (cnode_term){ 0 });
	if (cnode_send(s->self, s->g->locker, "{remove_from_known,~a}", n->text) != 0)
		server_broken(s, "the locker");
	session_reset(n);
	if (how == GONE_REMOVED) {
		/*
		 * A dial that is under way may come through all the same. Then the two begin as any two do: to say in_sync,
		 * as OTP's sync_other does, would end his session for one that is nowhere, and both would wait for ever.
		 */
		if (n->joining)
			(void)cnode_monitor_node(s->self, n->text, false);
		n->joining = false;
		n->removing = n->connection != 0;
	} else if (how == GONE_LOST && !n->removing) {
		report(s, n);
	} else {
		n->removing = false;
	}
	n->pending = n->known = -1;
	n->synced = false;
}

/* True if it was not told before. */
static bool remember(struct server *s, cnode_name a, cnode_name b, int64_t creation, int64_t operation)
{
	struct lost *l, key = { 0 };
	key.pair.a = a;
	key.pair.b = b;
	HASH_FIND(hh, s->lost, &key.pair, sizeof key.pair, l);
	if (l && l->creation == creation && operation <= l->operation && !CN_MUTANT(global_lost_again))
		return false;
	uint64_t now = cn_now();
	/* The oldest are first: one that is told of again moves to the end. */
	while (s->lost && (now - s->lost->when > REMEMBERED_NS || HASH_COUNT(s->lost) >= REMEMBERED_MOST)) {
		struct lost *oldest = s->lost;
		if (oldest == l)
			l = NULL;
		HASH_DEL(s->lost, oldest);
		cn_free(oldest);
	}
	if (l)
		HASH_DEL(s->lost, l);
	else if (!(l = cn_calloc(1, sizeof *l)))
		return true;            /* it may be told twice then */
	l->pair = key.pair;
	l->creation = creation;
	l->operation = operation;
	l->when = now;
	bool added = true;
	HASH_ADD(hh, s->lost, pair, sizeof l->pair, l);
	if (!added)
		cn_free(l);
	return true;
}

static void let_go(struct server *s, struct node *n)
{
	int version = n->known >= 0 ? n->known : n->pending;
	const char *what = "requested disconnect from";
	if (version < PROTOCOL_NODES) {
		s->g->config.ops->disconnect(s->g->config.ctx, n->name);
		what = "disconnected old";
	} else {
		tell(s, n, "{remove_connection,~a}", s->g->own);
	}
	cn_log_line(s->g->config.log, CNODE_LOG_WARNING, "global: %s node %s in order to prevent overlapping partitions", what, n->text);
	overlap_down(s, n, GONE_REMOVED);
	server_publish(s);
	node_forget_idle(s, n);
}

void overlap_lost_connection(struct server *s, cnode_term message)
{
	cnode_atom texts[2];
	cnode_name a, b;
	int64_t creation, operation;
	if (s->g->config.overlap == CNODE_OVERLAP_IGNORE || CN_MUTANT(global_lost_ignored) || atomic_load(&s->g->leaving))
		return;
	if (cnode_scan(message, "{lost_connection,~a,~q,~q,~a}", &texts[0], &creation, &operation, &texts[1]) != 0 ||
	    cnode_name_of(texts[0].text, &a) != 0 || cnode_name_of(texts[1].text, &b) != 0) {
		server_unexpected(s, "message", message);
		return;
	}
	if (!remember(s, a, b, creation, operation))
		return;
	if (!CN_MUTANT(global_lost_not_passed_on))
		multicast(s, a, message);
	struct node *n = node_find(s, b == s->g->self ? a : b);
	if (n && (n->known >= 0 || n->pending >= 0))
		let_go(s, n);
}

void overlap_remove_connection(struct server *s, struct node *n)
{
	if ((n->known < 0 && n->pending < 0) || CN_MUTANT(global_remove_ignored))
		return;
	s->g->config.ops->disconnect(s->g->config.ctx, n->name);
	cn_log_line(s->g->config.log, CNODE_LOG_WARNING, "global: disconnected node %s in order to prevent overlapping partitions", n->text);
	overlap_down(s, n, GONE_REMOVED);
	server_publish(s);
}
