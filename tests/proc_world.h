/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node for the tests of proc and gen: real processes, and in place of the network a list of
 * what left for other nodes. There is one peer, r@h (connected, with aliases), unless the test
 * says otherwise.
 */
#ifndef TESTS_PROC_WORLD_H
#define TESTS_PROC_WORLD_H

#include "cnode/proc/proc.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define SENT_MAX 4096
#define LINE 256

struct world {
	struct cn_procs *procs;
	struct cn_mutex lock;
	cnode_name own, peer, other;
	_Atomic uint64_t epoch;
	char (*sent)[LINE];             /* what left, one line for each signal */
	size_t count;
	_Atomic uint64_t total;         /* all, also those beyond the list */
	_Atomic int answer;             /* what send returns */
	_Atomic bool no_alias, drop;
	_Atomic int prompt_wakes, wakes, briefs, dues, connects;
	_Atomic int gone, left;
	/* Of processes with a thread of their own, which the test is: there is one thread. */
	int take_code;                  /* what thread_take returns */
	int taken, ran, given, wakes_of, waits;
	struct cnode_process *owner;
	void (*wait)(struct world *w);  /* what happens while it waits */
	void (*hook)(struct world *w, const struct cn_signal *sig);     /* runs inside send */
	void *hook_arg;
};

static struct world W;

static const char *kind_name(enum cn_signal_kind k)
{
	static const char *const names[] = { "?", "MESSAGE", "LINK", "UNLINK", "UNLINK_ACK", "EXIT", "EXIT2",
					     "MONITOR", "DEMONITOR", "DOWN", "GROUP_LEADER" };
	return names[k];
}

/* "EXIT 3 -> 7 noproc": pids by id, the peer's too. */
static void sent_line(char *line, const struct cn_signal *sig)
{
	char term[128] = "";
	int n = snprintf(line, LINE, "%s ", kind_name(sig->kind));
	if (sig->from_name)
		n += snprintf(line + n, LINE - (size_t)n, "%s", sig->from_name);
	else
		n += snprintf(line + n, LINE - (size_t)n, "%u", sig->from.id);
	if (sig->to_name)
		n += snprintf(line + n, LINE - (size_t)n, " -> %s", sig->to_name);
	else if (sig->alias)
		n += snprintf(line + n, LINE - (size_t)n, " -> alias");
	else
		n += snprintf(line + n, LINE - (size_t)n, " -> %u", sig->to.id);
	if (sig->kind == CN_SIG_UNLINK || sig->kind == CN_SIG_UNLINK_ACK)
		n += snprintf(line + n, LINE - (size_t)n, " #%" PRIu64, sig->unlink_id);
	if (sig->term.size_) {
		cnode_term_print(sig->term, term, sizeof term);
		snprintf(line + n, LINE - (size_t)n, " %s", term);
	}
}

static int world_send(void *ctx, const struct cn_signal *sig, unsigned flags)
{
	struct world *w = ctx;
	(void)flags;
	if (w->hook)
		w->hook(w, sig);
	if (sig->epoch != CN_EPOCH_ANY && sig->epoch != atomic_load(&w->epoch))
		return 0;
	int rc = atomic_load(&w->answer);
	if (rc == CN_SUSPEND && !(flags & CN_SEND_SUSPEND))
		rc = flags & CN_SEND_NOSUSPEND ? CNODE_EBUSY : 0;
	if (rc < 0)
		return rc;
	atomic_fetch_add(&w->total, 1);
	if (atomic_load(&w->drop))
		return rc;
	cn_mutex_lock(&w->lock);
	if (w->count < SENT_MAX)
		sent_line(w->sent[w->count++], sig);
	cn_mutex_unlock(&w->lock);
	return rc;
}

static int world_epoch(void *ctx, cnode_name node, uint64_t *epoch)
{
	(void)node;
	*epoch = atomic_load(&((struct world *)ctx)->epoch);
	return 0;
}
static int world_connect(void *ctx, cnode_name node)
{
	(void)node;
	atomic_fetch_add(&((struct world *)ctx)->connects, 1);
	return 0;
}
static bool world_has_alias(void *ctx, cnode_name node)
{
	struct world *w = ctx;
	return node == w->peer && !atomic_load(&w->no_alias);
}
static void world_runnable(void *ctx, bool prompt, enum cn_call how)
{
	struct world *w = ctx;
	if (how == CN_CALL_BRIEF)
		atomic_fetch_add(&w->briefs, 1);
	atomic_fetch_add(prompt ? &w->prompt_wakes : &w->wakes, 1);
}
static void world_due(void *ctx)
{
	atomic_fetch_add(&((struct world *)ctx)->dues, 1);
}
static void world_gone(void *ctx, cnode_pid pid, void *origin)
{
	(void)pid; (void)origin;
	atomic_fetch_add(&((struct world *)ctx)->gone, 1);
	/* The caller may be waiting for the last one: it is not counted any more. */
	atomic_store(&((struct world *)ctx)->left, (int)cn_procs_count(((struct world *)ctx)->procs));
}
static int world_thread_take(void *ctx, struct cnode_process *self, struct cnode_mailbox **mailbox)
{
	struct world *w = ctx;
	if (w->take_code != 0)
		return w->take_code;
	w->taken++;
	w->owner = self;
	*mailbox = (struct cnode_mailbox *)w;
	return 0;
}
static void world_thread_run(struct cnode_mailbox *mailbox)
{
	((struct world *)mailbox)->ran++;
}
static void world_thread_give(struct cnode_mailbox *mailbox)
{
	((struct world *)mailbox)->given++;
}
static void world_thread_wake(struct cnode_mailbox *mailbox)
{
	((struct world *)mailbox)->wakes_of++;
}
static void world_thread_wait(struct cnode_mailbox *mailbox)
{
	struct world *w = (struct world *)mailbox;
	w->waits++;
	w->wait(w);
}
static const struct cn_procs_ops world_ops = {
	.send = world_send, .epoch = world_epoch, .connect = world_connect, .has_alias = world_has_alias,
	.runnable = world_runnable, .due = world_due, .gone = world_gone,
	.thread_take = world_thread_take, .thread_run = world_thread_run, .thread_give = world_thread_give,
	.thread_wake = world_thread_wake, .thread_wait = world_thread_wait,
};

static inline int world_open(const struct cn_procs_config *base)
{
	memset(&W, 0, sizeof W);
	cn_mutex_init(&W.lock);
	atomic_store(&W.epoch, 1);
	W.sent = calloc(SENT_MAX, LINE);
	int rc = cnode_name_of("me@h", &W.own);
	if (rc == 0)
		rc = cnode_name_of("r@h", &W.peer);
	if (rc == 0)
		rc = cnode_name_of("other@h", &W.other);
	struct cn_procs_config config = { 0 };
	if (base)
		config = *base;
	config.node = W.own;
	config.creation = 77;
	if (rc == 0)
		rc = cn_procs_new(&config, &world_ops, &W, &W.procs);
	return rc;
}

static inline void world_close(void)
{
	cn_procs_free(W.procs);
	cn_mutex_fini(&W.lock);
	free(W.sent);
	W.procs = NULL;
}

/* The lines that have left since the last call, joined by "; ". */
static inline const char *sent(void)
{
	static char text[SENT_MAX * 16];
	size_t n = 0;
	text[0] = '\0';
	cn_mutex_lock(&W.lock);
	for (size_t i = 0; i < W.count; i++)
		n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", i ? "; " : "", W.sent[i]);
	W.count = 0;
	cn_mutex_unlock(&W.lock);
	return text;
}

static inline cnode_pid remote(uint32_t id)
{
	return (cnode_pid){ .node = W.peer, .id = id, .serial = 0, .creation = 5 };
}
static inline cnode_ref remote_ref(uint32_t n)
{
	return (cnode_ref){ .node = W.peer, .creation = 5, .words = 3, .id = { n, 2, 3 } };
}

/* ---- how a start has ended ---- */

static struct {
	int calls, code;
	char reason[128];
	size_t sent_before;             /* signals that had left by then */
} started;

static inline void on_started(void *ctx, cnode_pid pid, int code, cnode_term reason)
{
	(void)ctx; (void)pid;
	started.calls++;
	started.code = code;
	started.reason[0] = '\0';
	if (reason.size_)
		cnode_term_print(reason, started.reason, sizeof started.reason);
	started.sent_before = (size_t)atomic_load(&W.total);
}

/* ---- processes driven by the test itself ---- */

static inline void hand_notify(struct cnode_process *self, void *state)
{
	(void)self;
	(*(_Atomic int *)state)++;
}
static const struct cn_process_class hand_class = { .name = "hand", .notify = hand_notify };

static inline struct cnode_process *hand(const char *name)
{
	struct cn_process_spec spec = { .class = &hand_class, .state_size = sizeof(_Atomic int), .name = name };
	struct cnode_process *p = NULL;
	return cn_process_open(W.procs, &spec, &p) == 0 ? p : NULL;
}

static inline cnode_term text_term(const char *text)
{
	cnode_term t = { 0 };
	(void)cnode_parse(text, &t, NULL);
	return t;
}

static inline void hand_exit(struct cnode_process *p, const char *reason)
{
	cnode_term t = text_term(reason);
	cn_process_exit(p, t);
	cnode_term_drop(t);
}

/* The next message as text, "" if there is none. References are written as #, pids as <id>. */
static inline const char *got(struct cnode_process *p)
{
	static char text[512];
	text[0] = '\0';
	struct cn_message *m = cn_process_receive(p, NULL, NULL);
	if (!m)
		return text;
	char term[200];
	cnode_term_print(m->term, term, sizeof term);
	switch ((enum cn_message_kind)m->kind) {
	case CN_MSG_MESSAGE:
		snprintf(text, sizeof text, "%s", term);
		break;
	case CN_MSG_EXIT:
		snprintf(text, sizeof text, "EXIT %u %s", m->about->pid.id, term);
		break;
	case CN_MSG_DOWN:
		if (m->about->name)
			snprintf(text, sizeof text, "DOWN %s %s", m->about->name, term);
		else
			snprintf(text, sizeof text, "DOWN %u %s", m->about->pid.id, term);
		break;
	case CN_MSG_NODEDOWN:
		snprintf(text, sizeof text, "nodedown");
		break;
	case CN_MSG_NODES_UP:
		snprintf(text, sizeof text, "nodeup #%" PRIu64, cn_message_connection(m));
		break;
	case CN_MSG_NODES_DOWN:
		snprintf(text, sizeof text, "nodedown #%" PRIu64 " %s", cn_message_connection(m), term);
		break;
	case CN_MSG_TIMER:
		snprintf(text, sizeof text, "timer %s", m->term.size_ ? term : "");
		break;
	}
	cn_message_free(p, m);
	return text;
}

static inline int deliver(const struct cn_signal *sig)
{
	return cn_procs_deliver(W.procs, sig);
}
static inline int deliver_term(struct cn_signal sig, const char *text)
{
	sig.term = text_term(text);
	int rc = cn_procs_deliver(W.procs, &sig);
	cnode_term_drop(sig.term);
	return rc;
}
#define FROM_PEER(kind_, from_, to_, ...) \
	(struct cn_signal){ .kind = CN_SIG_##kind_, .from = from_, .to = to_, .node = W.peer, .epoch = W.epoch, __VA_ARGS__ }

#endif
