/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mailboxes. Whoever sends appends to the inbox under the process's lock; its own thread
 * takes the inbox whole and then reads without a lock.
 */
#include "cnode/proc/inner.h"

enum { OWN_ALONE, OWN_RELATION, OWN_TERM };       /* cn_message.own_: with what the memory is freed */

_Static_assert(sizeof(struct cn_message) <= CN_BLOB_SPARE, "a message fits into what a blob has to spare");

struct cn_message *message_new(cnode_term term, cnode_name peer)
{
	struct cn_message *m = cn_term_spare(term);
	bool of_term = m != NULL;
	if (!m && !(m = cn_malloc(sizeof *m)))
		return NULL;
	if (cnode_term_keep(term, &m->term) != 0) {
		cn_free(m);             /* it is no spare one: such a term needs no memory to be kept */
		return NULL;
	}
	m->next = NULL;
	m->about = NULL;
	m->peer = peer;
	m->bytes = sizeof *m + cn_term_weight(m->term);
	m->kind = CN_MSG_MESSAGE;
	m->own_ = of_term ? OWN_TERM : OWN_ALONE;
	return m;
}

struct cn_message *message_of_rel(struct rel *r, enum cn_message_kind kind)
{
	struct cn_message *m = &r->msg;
	m->next = NULL;
	m->about = &r->about;
	m->peer = 0;
	m->bytes = sizeof *r + cn_term_weight(m->term);
	m->kind = (uint8_t)kind;
	m->own_ = OWN_RELATION;
	return m;
}

void message_drop(struct cn_message *m)
{
	if (m->own_ == OWN_RELATION) {
		rel_free(CN_CONTAINER(m, struct rel, msg));
		return;
	}
	struct cn_message *alone = m->own_ == OWN_ALONE ? m : NULL;
	cnode_term_drop(m->term);
	cn_free(alone);
}

struct cn_message *cn_message_new(cnode_term term)
{
	return message_new(term, 0);
}

void cn_message_discard(struct cn_message *m)
{
	if (m)
		message_drop(m);
}

void cn_message_free(struct cnode_process *self, struct cn_message *m)
{
	if (!m)
		return;
	self->freed_bytes += m->bytes;
	atomic_store_explicit(&self->freed_messages, atomic_load_explicit(&self->freed_messages, memory_order_relaxed) + 1,
			      memory_order_relaxed);
	message_drop(m);
}

int cn_message_term(const struct cn_message *m, cnode_term *term)
{
	const struct cn_about *a = m->about;
	char node[CNODE_NAME_SIZE];
	int rc;
	switch ((enum cn_message_kind)m->kind) {
	case CN_MSG_MESSAGE:
	case CN_MSG_TIMER:
		return cnode_term_keep(m->term, term);
	case CN_MSG_EXIT:
		return cnode_format(term, "{'EXIT',~p,~t}", a->pid, m->term);
	case CN_MSG_DOWN:
		if (!a->name)
			return cnode_format(term, "{'DOWN',~r,process,~p,~t}", a->ref, a->pid, m->term);
		rc = cnode_name_text(a->node, node);
		return rc != 0 ? rc : cnode_format(term, "{'DOWN',~r,process,{~a,~a},~t}", a->ref, a->name, node, m->term);
	case CN_MSG_NODEDOWN:
		rc = cnode_name_text(a->node, node);
		return rc != 0 ? rc : cnode_format(term, "{nodedown,~a}", node);
	case CN_MSG_NODES_UP:
	case CN_MSG_NODES_DOWN:
		return nodes_term(m, term);
	}
	return CNODE_EINTERNAL;
}

bool mailbox_is_full(struct cnode_process *p, struct work *w)
{
	uint32_t held;
	if (CN_LIKELY(!p->max_messages))
		return false;
	if (p->messages - atomic_load_explicit(&p->freed_messages, memory_order_relaxed) < p->max_messages)
		return false;
	if (!p->drops || CN_MUTANT(mailbox_drop_ends)) {
		cn_log_line(p->procs->log, CNODE_LOG_ERROR, "process <%u.%u> (%s) is ended: its mailbox is over %u messages",
			    p->pid.id, p->pid.serial, cn_process_label(p), (unsigned)p->max_messages);
		process_die(p, atom_overflow(), w);
	} else if (cn_log_on(p->procs->log, CNODE_LOG_WARNING) && cn_log_pass(&p->procs->full_gate, 5, &held)) {
		cn_log_line(p->procs->log, CNODE_LOG_WARNING, "process <%u.%u> (%s) loses messages: its mailbox has %u%s",
			    p->pid.id, p->pid.serial, cn_process_label(p), (unsigned)p->max_messages,
			    held ? " (other losses were not logged)" : "");
	}
	return true;
}

bool mailbox_push(struct cnode_process *p, struct cn_message *m, struct work *w)
{
	if (CN_MUTANT(newest_first) && p->inbox.first) {
		m->next = p->inbox.first;
		p->inbox.first = m;
	} else {
		*(p->inbox.last ? &p->inbox.last->next : &p->inbox.first) = m;
		p->inbox.last = m;
	}
	p->messages++;
	p->bytes += m->bytes;
	if (CN_UNLIKELY(p->bytes > p->procs->max_mailbox) && !CN_MUTANT(mailbox_bytes_unlimited)) {
		cn_log_line(p->procs->log, CNODE_LOG_ERROR, "process <%u.%u> (%s) is killed: its mailbox is over %llu bytes",
			    p->pid.id, p->pid.serial, cn_process_label(p), (unsigned long long)p->procs->max_mailbox);
		process_die(p, atom_overflow(), w);
		return false;
	}
	if (p->state == RUN_OWN) {
		process_wake(p);
		return false;
	}
	if (p->state != RUN_IDLE)
		return false;
	p->state = RUN_READY;
	return true;
}

void mailbox_fold(struct cnode_process *p)
{
	p->bytes -= p->freed_bytes;
	p->messages -= atomic_load_explicit(&p->freed_messages, memory_order_relaxed);
	p->freed_bytes = 0;
	atomic_store_explicit(&p->freed_messages, 0, memory_order_relaxed);
	if (!p->inbox.first)
		return;
	*(p->mailbox.last ? &p->mailbox.last->next : &p->mailbox.first) = p->inbox.first;
	p->mailbox.last = p->inbox.last;
	p->inbox.first = p->inbox.last = NULL;
}

static void fold(struct cnode_process *self)
{
	cn_mutex_lock(&self->lock);
	mailbox_fold(self);
	cn_mutex_unlock(&self->lock);
}

/* Where the first wanted message hangs, NULL if there is none; *before gets the one in front of it. */
static struct cn_message *find(struct cnode_process *self, cn_wanted_fn *wanted, void *ctx, struct cn_message **before)
{
	struct cn_message *prev = NULL, *m = self->mailbox.first;
	for (int round = 0;; round++) {
		for (; m && wanted && !wanted(ctx, m); m = m->next)
			prev = m;
		if (m || round)
			break;
		fold(self);
		m = prev ? prev->next : self->mailbox.first;
	}
	*before = prev;
	return m;
}

#define FOLD_BYTES 65536        /* freed bytes that are not yet taken off the mailbox's count, at most */

struct cn_message *cn_process_receive(struct cnode_process *self, cn_wanted_fn *wanted, void *ctx)
{
	if (self->freed_bytes > FOLD_BYTES)
		fold(self);
	struct cn_message *before, *m = find(self, wanted, ctx, &before);
	if (!m)
		return NULL;
	*(before ? &before->next : &self->mailbox.first) = m->next;
	if (self->mailbox.last == m)
		self->mailbox.last = before;
	m->next = NULL;
	if (self->thread)
		atomic_fetch_add_explicit(&self->handled, 1, memory_order_relaxed);
	return m;
}

const struct cn_message *cn_process_peek(struct cnode_process *self, cn_wanted_fn *wanted, void *ctx)
{
	struct cn_message *before;
	return find(self, wanted, ctx, &before);
}

void cn_process_unreceive(struct cnode_process *self, struct cn_message *first)
{
	if (!first)
		return;
	struct cn_message *last = first;
	while (last->next)
		last = last->next;
	last->next = self->mailbox.first;
	if (!self->mailbox.first)
		self->mailbox.last = last;
	self->mailbox.first = first;
}
