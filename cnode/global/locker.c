/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The locker: while the tables of two nodes become one, both their partitions are locked. Of any two
 * nodes one is the initiator: it locks its own partition and the other node, and tells; the other,
 * the responder, locks its own partition under the same name and tells. Then the name servers
 * exchange what they have, and when ours is through it cancels the lock.
 *
 * In global.erl this process waits in nested receives, each for some messages only. Here what comes
 * is put into a list, and each state takes from it what it waits for; the rest waits as in a mailbox.
 *
 * From the name server of this node come
 *     {his_the_locker, Pid, Vsn, HisTag, MyTag}    a node that wants to join
 *     {cancel, Node, MyTag, Run}                   it does not any more, or all is done; Run: [{Node, Message}]
 *                                                  are cast before the lock goes, so that they arrive under it
 *     {lock_set, Pid, Bool} and {lock_set, Pid, Bool, MyTag}
 *     {add_to_known, Nodes}, {remove_from_known, Node}
 * and from lockers of version 5, and of any that does not know us, {lock_set, Pid, Bool, Known}.
 */
#include "cnode/global/inner.h"

#define WAIT_ALONE_MS 200       /* before a node that knows no other begins */
#define WAIT_MS 1000            /* before another does, and 100 ms more for each node it knows */
#define WAIT_MOST_MS 3000
#define SETS_OF_NODE 100        /* that wait: stops a peer that sends lock_set without end */

enum event_kind { EVENT_HIM, EVENT_CANCEL, EVENT_LOCK_SET };
struct event {
	struct event *next;
	enum event_kind kind;
	cnode_name node;
	cnode_pid pid;              /* HIM, LOCK_SET: the other locker */
	bool set, tagged;           /* LOCK_SET */
	int64_t tag;                /* ours */
	int version;                /* HIM */
	cnode_term term;            /* HIM: his tag; CANCEL: what to run; its own */
};

/* A node that waits to be joined with. */
struct him {
	struct him *next;
	cnode_name node;
	cnode_pid locker;
	int version;
	int64_t my_tag;
	cnode_term his_tag;
};

enum locker_state {
	LOCKER_IDLE,
	LOCKER_LOCKING,             /* asks for locks */
	LOCKER_WAIT_PEER,           /* has its own, waits for the peer to have his */
	LOCKER_WAIT_CANCEL,         /* both are locked; the name servers are at work */
	LOCKER_RELEASING,           /* gives locks back */
};

struct locker {
	struct cn_global *g;
	struct cnode_process *self;
	enum locker_state state;
	bool running;               /* in run */
	struct event *events, **events_last;
	struct him *queue;
	struct node_list known;
	struct node_list silent;        /* who gave no answer when it was to be locked: left alone in this turn */
	bool just_synced;
	cnode_ref timer;            /* words 0: none */
	/* The joining that is under way. */
	cnode_name node;
	cnode_pid peer;
	int64_t my_tag;
	int version;
	cnode_term his_tag;
	bool initiator;
	cnode_term id;              /* [P1,P2] */
	struct node_list locked;    /* where the lock is held */
	cnode_name boss;
	bool finished;              /* releasing: after this the node is out of the queue */
};

static int run(struct locker *l);

static void event_free(struct event *e)
{
	cnode_term_drop(e->term);
	cn_free(e);
}

static void him_free(struct him *h)
{
	cnode_term_drop(h->his_tag);
	cn_free(h);
}

static void queue_remove(struct locker *l, cnode_name node, int64_t tag)
{
	for (struct him **at = &l->queue; *at; at = &(*at)->next)
		if ((*at)->node == node && (*at)->my_tag == tag) {
			struct him *h = *at;
			*at = h->next;
			him_free(h);
			return;
		}
}

static struct him *queue_find(struct locker *l, cnode_name node)
{
	struct him *h = l->queue;
	while (h && h->node != node)
		h = h->next;
	return h;
}

/* What a failed send means: nothing, but that this process is dead or that memory is short. */
static int sent(int rc)
{
	return rc == CNODE_EEXITED || rc == CNODE_ENOMEM ? rc : 0;
}

/* ---- the idle timer ---- */

static void timer_stop(struct locker *l)
{
	if (l->timer.words)
		(void)cnode_cancel_timer(l->self, l->timer);     /* not there: it has fired */
	l->timer.words = 0;
}

static int timer_start(struct locker *l)
{
	bool at_once = l->just_synced;
	l->just_synced = false;
	timer_stop(l);
	if (!l->queue)
		return 0;
	size_t ms = WAIT_MS + 100 * l->known.count;
	if (at_once)
		ms = 0;
	else if (l->known.count == 0)
		ms = WAIT_ALONE_MS;
	else if (ms > WAIT_MOST_MS)
		ms = WAIT_MOST_MS;
	return cnode_start_timer(l->self, ms, &l->timer, "idle");
}

/* ---- telling the other locker ---- */

static int send_lock_set(struct locker *l, cnode_pid to, int version, cnode_term his_tag, bool set)
{
	char node[CNODE_NAME_SIZE];
	struct cnode_builder b;
	cnode_term message;
	cn_builder_init(&b);
	cnode_build_tuple(&b, version < PROTOCOL_TAGS ? 4 : 5);
	cnode_build_atom(&b, "lock_set");
	cnode_build_pid(&b, cnode_self(l->self));
	cnode_build_bool(&b, set);
	cnode_build_list(&b);
	for (size_t i = 0; i < l->known.count; i++)
		if (cnode_name_text(l->known.at[i], node) == 0)
			cnode_build_atom(&b, node);
	cnode_build_list_end(&b);
	if (version >= PROTOCOL_TAGS)
		cnode_build_term(&b, his_tag);
	int rc = cnode_builder_term(&b, &message);
	cn_builder_fini(&b);
	if (rc != 0)
		return sent(rc);
	if (version < PROTOCOL_CASTS) {
		rc = cnode_send_term(l->self, to, message, CNODE_NOCONNECT);
	} else {
		cnode_term wrapped;
		rc = cnode_name_text(to.node, node);
		if (rc == 0)
			rc = cnode_format(&wrapped, "{'$gen_cast',~t}", message);
		if (rc == 0) {
			rc = cnode_send_name_term(l->self, SERVER, node, wrapped, CNODE_NOCONNECT);
			cnode_term_drop(wrapped);
		}
	}
	cnode_term_drop(message);
	return sent(rc);
}

/* ---- giving back: all but the boss, then the boss ---- */

static void joining_clear(struct locker *l)
{
	cnode_term_drop(l->id);
	cnode_term_drop(l->his_tag);
	l->id = l->his_tag = (cnode_term){ 0 };
	l->locked.count = 0;
}

static int released(struct cnode_process *self, void *state, void *context, bool granted)
{
	struct locker *l = context;
	(void)self;
	(void)state;
	(void)granted;
	if (l->finished)
		queue_remove(l, l->node, l->my_tag);
	joining_clear(l);
	l->state = LOCKER_IDLE;
	return run(l);
}

static int release_boss(struct cnode_process *self, void *state, void *context, bool granted)
{
	struct locker *l = context;
	(void)granted;
	return unlock_nodes(l->g, self, state, &l->boss, 1, l->g->config.stall_ms, locks_global(), l->id, released, l);
}

/* `finished`: the node leaves the queue. */
static int release(struct locker *l, bool finished)
{
	l->finished = finished;
	l->state = LOCKER_RELEASING;
	timer_stop(l);
	if (l->locked.count == 0)
		return released(l->self, l, l, true);
	l->boss = nodes_boss(l->locked.at, l->locked.count);
	nodes_remove(&l->locked, l->boss);
	return unlock_nodes(l->g, l->self, l, l->locked.at, l->locked.count, l->g->config.stall_ms, locks_global(), l->id,
			    release_boss, l);
}

/* ---- taking: the boss first, then this node and the peer, then the rest ---- */

static int failed(struct locker *l)
{
	int rc = 0;
	if (!l->initiator)
		rc = send_lock_set(l, l->peer, l->version, l->his_tag, false);
	return rc != 0 ? rc : release(l, false);
}

/* From now on the peer, or the name servers, have so long. */
static int await(struct locker *l, enum locker_state state)
{
	timer_stop(l);
	l->state = state;
	int rc = cnode_start_timer(l->self, l->g->config.stall_ms, &l->timer, "stalled");
	return rc != 0 ? rc : run(l);
}

static int both_locked(struct locker *l)
{
	char node[CNODE_NAME_SIZE];
	int rc = cnode_name_text(l->node, node);
	if (rc == 0)
		rc = cnode_send(l->self, l->g->server, "{lock_is_set,~a,~q,~t}", node, l->my_tag, l->id);
	rc = sent(rc);
	return rc != 0 ? rc : await(l, LOCKER_WAIT_CANCEL);
}

static int locked_note(struct locker *l, const struct node_list *nodes)
{
	int rc = 0;
	for (size_t i = 0; i < nodes->count && rc == 0; i++)
		if (!nodes_has(&l->silent, nodes->at[i]))
			rc = nodes_add(&l->locked, nodes->at[i]);
	return rc;
}

static int all_locked(struct cnode_process *self, void *state, void *context, bool granted)
{
	struct locker *l = context;
	(void)self;
	(void)state;
	if (!granted)
		return failed(l);
	int rc = locked_note(l, &l->known);
	if (rc == 0)
		rc = send_lock_set(l, l->peer, l->version, l->his_tag, true);
	if (rc != 0)
		return rc;
	return l->initiator ? await(l, LOCKER_WAIT_PEER) : both_locked(l);
}

/* What is left of the known nodes, with those that came meanwhile. */
static int second_locked(struct cnode_process *self, void *state, void *context, bool granted)
{
	struct locker *l = context;
	struct node_list second = { 0 }, rest = { 0 };
	int rc = 0;
	if (!granted)
		return failed(l);
	rc = nodes_add(&second, l->g->self);
	if (rc == 0 && l->initiator)
		rc = nodes_add(&second, l->node);
	if (rc == 0)
		rc = locked_note(l, &second);
	for (size_t i = 0; i < l->known.count && rc == 0; i++)
		if (l->known.at[i] != l->boss && !nodes_has(&l->silent, l->known.at[i]))
			rc = nodes_add(&rest, l->known.at[i]);
	if (rc == 0)
		rc = lock_nodes(l->g, self, state, rest.at, rest.count, l->g->config.stall_ms, locks_global(), l->id,
				&l->silent, all_locked, l);
	nodes_fini(&second);
	nodes_fini(&rest);
	return rc;
}

static int boss_locked(struct cnode_process *self, void *state, void *context, bool granted)
{
	struct locker *l = context;
	if (!granted)
		return failed(l);
	cnode_name second[2];
	size_t count = 0;
	int rc = nodes_has(&l->silent, l->boss) ? 0 : nodes_add(&l->locked, l->boss);
	if (l->g->self != l->boss)
		second[count++] = l->g->self;
	if (l->initiator && l->node != l->boss)
		second[count++] = l->node;
	return rc != 0 ? rc : lock_nodes(l->g, self, state, second, count, l->g->config.stall_ms, locks_global(), l->id,
					 &l->silent, second_locked, l);
}

/* lock_nodes_safely of global.erl. */
static int begin(struct locker *l, const struct him *h, bool initiator)
{
	timer_stop(l);
	l->state = LOCKER_LOCKING;
	l->node = h->node;
	l->peer = h->locker;
	l->my_tag = h->my_tag;
	l->version = h->version;
	l->initiator = initiator;
	l->locked.count = 0;
	l->silent.count = 0;
	int rc = cnode_term_keep(h->his_tag, &l->his_tag);
	if (rc == 0)
		rc = lock_id_term(cnode_self(l->self), h->locker, &l->id);
	if (rc != 0)
		return rc;
	cnode_name known = nodes_boss(l->known.at, l->known.count);
	l->boss = known && nodes_compare(known, l->g->self) > 0 ? known : l->g->self;
	if (l->boss != l->g->self && !cn_global_can_lock(l->g, locks_global(), l->id))
		return failed(l);
	return lock_nodes(l->g, l->self, l, &l->boss, 1, l->g->config.stall_ms, locks_global(), l->id, &l->silent,
			  boss_locked, l);
}

/* ---- events ---- */

/* Casts what the name server wants to be known before the lock goes. */
static int cast_all(struct locker *l, cnode_term list)
{
	cnode_reader r = cnode_read(list);
	size_t count;
	int rc = 0;
	while ((count = cnode_read_list(&r)) > 0)
		while (count-- > 0 && rc == 0) {
			cnode_atom node;
			cnode_term message, wrapped;
			if (cnode_scan(cnode_read_term(&r), "{~a,~t}", &node, &message) != 0)
				continue;
			rc = cnode_format(&wrapped, "{'$gen_cast',~t}", message);
			if (rc == 0) {
				/* A known node may only be about to be connected: it is to hear of this all the same. */
				rc = sent(cnode_send_name_term(l->self, SERVER, node.text, wrapped, 0));
				cnode_term_drop(wrapped);
			}
		}
	return rc;
}

static bool is_local(const struct locker *l, cnode_name node)
{
	char text[CNODE_NAME_SIZE];
	const char *mine = strchr(l->g->own, '@');
	(void)cnode_name_text(node, text);
	const char *his = strchr(text, '@');
	return mine && his && strcmp(mine, his) == 0;
}

/* One of those that wait, on this host if there is one, at random. */
static int select_node(struct locker *l)
{
	for (struct him *h = l->queue, *next; h; h = next) {
		next = h->next;
		if (nodes_has(&l->known, h->node))
			queue_remove(l, h->node, h->my_tag);
	}
	size_t local = 0, remote = 0;
	for (struct him *h = l->queue; h; h = h->next)
		is_local(l, h->node) ? local++ : remote++;
	size_t count = local ? local : remote;
	if (count == 0)
		return 0;
	uint32_t random;
	if (cn_random(&random, sizeof random) != 0)
		random = (uint32_t)cn_now();
	size_t pick = random % count;
	struct him *h = l->queue;
	while ((local && !is_local(l, h->node)) || pick-- > 0)
		h = h->next;
	return begin(l, h, true);
}

static bool is_wanted(const struct locker *l, const struct event *e)
{
	switch (l->state) {
	case LOCKER_IDLE:
		return true;
	case LOCKER_WAIT_PEER:
		if (e->kind == EVENT_LOCK_SET && e->node == l->node)
			return true;
		/* fall through */
	case LOCKER_WAIT_CANCEL:
		return e->kind == EVENT_CANCEL && e->node == l->node && e->tag == l->my_tag;
	case LOCKER_LOCKING:
	case LOCKER_RELEASING:
		break;
	}
	return false;
}

static struct event *take(struct locker *l, struct event **at)
{
	struct event *e = *at;
	*at = e->next;
	if (!*at)
		l->events_last = at;
	return e;
}

static struct event *take_wanted(struct locker *l)
{
	for (struct event **at = &l->events; *at; at = &(*at)->next)
		if (is_wanted(l, *at))
			return take(l, at);
	return NULL;
}

static int add_him(struct locker *l, struct event *e)
{
	struct him *h = cn_calloc(1, sizeof *h);
	if (!h)
		return CNODE_ENOMEM;
	*h = (struct him){ l->queue, e->node, e->pid, e->version, e->tag, e->term };
	e->term = (cnode_term){ 0 };
	l->queue = h;
	return 0;
}

/* The other has locked its partition, and asks us to do the same. */
static int respond(struct locker *l, const struct event *e)
{
	struct him *h = queue_find(l, e->node);
	if (h && (!e->tagged || e->tag == h->my_tag))
		return begin(l, h, false);
	return send_lock_set(l, e->pid, PROTOCOL_MIN, (cnode_term){ 0 }, false);
}

static int idle_event(struct locker *l, struct event *e)
{
	switch (e->kind) {
	case EVENT_HIM:
		return add_him(l, e);
	case EVENT_CANCEL:
		queue_remove(l, e->node, e->tag);
		return cast_all(l, e->term);
	case EVENT_LOCK_SET:
		return e->set ? respond(l, e) : 0;
	}
	return 0;
}

static int handle(struct locker *l, struct event *e)
{
	if (l->state == LOCKER_IDLE)
		return idle_event(l, e);
	if (e->kind == EVENT_CANCEL) {
		l->just_synced = l->state == LOCKER_WAIT_CANCEL;
		int rc = cast_all(l, e->term);
		return rc != 0 ? rc : release(l, true);
	}
	/* WAIT_PEER; what has another tag is of a joining that is over. */
	if (e->tagged && e->tag != l->my_tag)
		return 0;
	return e->set ? both_locked(l) : release(l, false);
}

/* Handles what the state wants, until nothing is left of that. */
static int run(struct locker *l)
{
	struct event *e;
	int rc = 0;
	if (l->running)
		return 0;               /* a caller of ours is in the loop, and goes on */
	l->running = true;
	while (rc == 0 && (e = take_wanted(l))) {
		rc = handle(l, e);
		event_free(e);
	}
	l->running = false;
	return rc == 0 && l->state == LOCKER_IDLE ? timer_start(l) : rc;
}

static size_t count_of(const struct locker *l, enum event_kind kind, cnode_name node)
{
	size_t count = 0;
	for (const struct event *e = l->events; e; e = e->next)
		count += e->kind == kind && e->node == node;
	return count;
}

/*
 * What is cancelled may be a joining that has not begun, or one that never was: a peer can have any number of these cancelled. That
 * is done at once; only that of the joining under way waits for its turn, once, and what is to be cast with it.
 */
static bool is_cancelled(struct locker *l, const struct event *cancel)
{
	cnode_reader r = cnode_read(cancel->term);
	if (l->state == LOCKER_IDLE || cnode_read_list(&r) > 0)
		return false;
	if (cancel->node == l->node && cancel->tag == l->my_tag) {
		const struct event *e = l->events;
		while (e && (e->kind != EVENT_CANCEL || e->node != cancel->node || e->tag != cancel->tag))
			e = e->next;
		return e != NULL;
	}
	queue_remove(l, cancel->node, cancel->tag);
	for (struct event **at = &l->events; *at;)
		if ((*at)->kind == EVENT_HIM && (*at)->node == cancel->node && (*at)->tag == cancel->tag)
			event_free(take(l, at));
		else
			at = &(*at)->next;
	return true;
}

static int event_add(struct locker *l, const struct event *event)
{
	if (event->kind == EVENT_LOCK_SET && count_of(l, EVENT_LOCK_SET, event->node) >= SETS_OF_NODE)
		return 0;
	if (event->kind == EVENT_CANCEL && is_cancelled(l, event))
		return 0;
	struct event *e = cn_malloc(sizeof *e);
	if (!e)
		return CNODE_ENOMEM;
	*e = *event;
	e->next = NULL;
	int rc = cn_term_is_none(event->term) ? 0 : cnode_term_keep(event->term, &e->term);
	if (rc != 0) {
		cn_free(e);
		return rc;
	}
	*l->events_last = e;
	l->events_last = &e->next;
	return run(l);
}

/* ---- the process ---- */

static int locker_init(cnode_process *self, void *state, const cnode_start *how)
{
	struct locker *l = state;
	l->g = how->context;
	l->self = self;
	l->events_last = &l->events;
	return 0;
}

static int known_changed(struct locker *l, cnode_term list)
{
	cnode_reader r = cnode_read(list);
	size_t count;
	int rc = 0;
	while ((count = cnode_read_list(&r)) > 0)
		while (count-- > 0 && rc == 0) {
			cnode_atom text;
			cnode_name node;
			if (cnode_scan(cnode_read_term(&r), "~a", &text) == 0 && cnode_name_of(text.text, &node) == 0)
				rc = nodes_add(&l->known, node);
		}
	return rc;
}

/* What the name server of this node says. */
static int from_server(struct locker *l, cnode_term message)
{
	struct event e = { 0 };
	cnode_atom node, set;
	cnode_term term;
	if (cnode_scan(message, "{his_the_locker,~p,~i,~t,~q}", &e.pid, &e.version, &e.term, &e.tag) == 0) {
		e.kind = EVENT_HIM;
		e.node = e.pid.node;
		return event_add(l, &e);
	}
	if (cnode_scan(message, "{cancel,~a,~q,~t}", &node, &e.tag, &e.term) == 0) {
		e.kind = EVENT_CANCEL;
		return cnode_name_of(node.text, &e.node) == 0 ? event_add(l, &e) : 0;
	}
	e.tagged = cnode_scan(message, "{lock_set,~p,~a,~q}", &e.pid, &set, &e.tag) == 0;
	if (e.tagged || cnode_scan(message, "{lock_set,~p,~a}", &e.pid, &set) == 0) {
		e.kind = EVENT_LOCK_SET;
		e.node = e.pid.node;
		e.set = strcmp(set.text, "true") == 0;
		return event_add(l, &e);
	}
	if (cnode_scan(message, "{add_to_known,~t}", &term) == 0) {
		int rc = known_changed(l, term);
		return rc != 0 ? rc : run(l);
	}
	if (cnode_scan(message, "{remove_from_known,~a}", &node) == 0 && cnode_name_of(node.text, &e.node) == 0)
		nodes_remove(&l->known, e.node);
	return run(l);
}

/* Its nodedown makes the name server cancel; if it is gone already, that is on its way. */
static int stalled(struct locker *l)
{
	if (!CN_MUTANT(global_waits_for_ever))
		global_stalled(l->g, l->node, "began to join and does not go on");
	return 0;
}

static int locker_info(cnode_process *self, void *state, const cnode_info *info)
{
	struct locker *l = state;
	struct event e = { .kind = EVENT_LOCK_SET };
	cnode_atom set;
	(void)self;
	if (info->kind == CNODE_TIMER) {
		if (!cnode_ref_equal(info->ref, l->timer))
			return 0;
		l->timer.words = 0;
		if (l->state != LOCKER_IDLE)
			return stalled(l);
		if (!locks_global_is_set(l->g)) {
			int rc = select_node(l);
			if (rc != 0 || l->state != LOCKER_IDLE)
				return rc;
		}
		return timer_start(l);
	}
	if (info->kind != CNODE_MESSAGE)
		return 0;
	if (info->peer == 0)
		return from_server(l, info->message);
	if (cnode_scan(info->message, "{lock_set,~p,~a,_}", &e.pid, &set) == 0 && e.pid.node == info->peer) {
		e.node = info->peer;
		e.set = strcmp(set.text, "true") == 0;
		return event_add(l, &e);
	}
	return 0;                       /* nonsense, as unexpected_message there */
}

static void locker_release(void *state)
{
	struct locker *l = state;
	for (struct event *e = l->events, *next; e; e = next) {
		next = e->next;
		event_free(e);
	}
	for (struct him *h = l->queue, *next; h; h = next) {
		next = h->next;
		him_free(h);
	}
	joining_clear(l);
	nodes_fini(&l->known);
	nodes_fini(&l->silent);
	nodes_fini(&l->locked);
}

const cnode_behaviour locker_behaviour = {
	CNODE_BEHAVIOUR_INIT,
	.flags = CNODE_PROMPT,
	.state_size = sizeof(struct locker),
	.init = locker_init,
	.handle_info = locker_info,
	.release = locker_release,
};
