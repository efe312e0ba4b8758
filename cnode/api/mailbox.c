/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mailboxes: processes of threads that are not ours, and those of straight-line code (own.c). A mailbox
 * waits on its own condition, which proc's notify signals; on a node without threads waiting drives the node.
 */
#include "cnode/api/mailbox.h"

#include <stdio.h>
#include <unistd.h>

#include "compat/compat.h"

/* The state of the process is the way back to its mailbox. */
struct mailbox_state {
	cnode_mailbox *mailbox;
};

void cn_mailbox_wake(cnode_mailbox *mb)
{
	cn_mutex_lock(&mb->lock);
	mb->woken = true;
	cn_cond_signal(&mb->arrived);
	if (mb->fd >= 0)
		cn_event_set(mb->fd);
	cn_mutex_unlock(&mb->lock);
}

static void notify(struct cnode_process *self, void *state)
{
	(void)self;
	cn_mailbox_wake(((struct mailbox_state *)state)->mailbox);
}

static int init(struct cnode_process *self, void *state, void *arg)
{
	(void)self;
	((struct mailbox_state *)state)->mailbox = arg;
	return 0;
}

static const struct cn_process_class mailbox_class = {
	.name = "mailbox", .flags = CN_PROC_QUIET, .init = init, .notify = notify,
};

int cn_mailbox_fail(cnode_mailbox *mb, int code, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	vsnprintf(mb->error, sizeof mb->error, fmt, args);
	va_end(args);
	return code;
}

/* ---- life ---- */

void cn_mailbox_init(cnode_mailbox *mb, cnode_node *node)
{
	mb->node = node;
	mb->fd = -1;
	cn_mutex_init(&mb->lock);
	cn_cond_init(&mb->arrived);
}

void cn_mailbox_fini(cnode_mailbox *mb)
{
	if (mb->fd >= 0)
		close(mb->fd);
	cn_cond_fini(&mb->arrived);
	cn_mutex_fini(&mb->lock);
}

void cn_mailbox_renew(cnode_mailbox *mb)
{
	cn_mutex_lock(&mb->lock);
	if (mb->fd >= 0)
		close(mb->fd);
	mb->fd = -1;
	mb->woken = false;
	cn_mutex_unlock(&mb->lock);
	mb->self = NULL;
	mb->error[0] = '\0';
	mb->given_up = 0;
}

int cnode_mailbox_open(cnode_node *node, const char *name, cnode_mailbox **made)
{
	*made = NULL;
	cnode_mailbox *mb = cn_calloc(1, sizeof *mb);
	if (!mb)
		return cn_api_fail(node, CNODE_ENOMEM, "mailbox %s: out of memory", name ? name : "without name");
	cn_mailbox_init(mb, node);
	struct cn_process_spec spec = { .class = &mailbox_class, .state_size = sizeof(struct mailbox_state), .arg = mb,
					.name = name, .leader = cn_kernel_user_pid(node->kernel) };
	int rc = cn_process_open(node->procs, &spec, &mb->self);
	if (rc != 0) {
		cn_mailbox_fini(mb);
		cn_free(mb);
		return cn_api_fail(node, rc, "mailbox %s cannot be opened: %s", name ? name : "without name", cnode_strerror(rc));
	}
	*made = mb;
	return 0;
}

void cn_mailbox_let_go(cnode_mailbox *mb)
{
	cn_message_free(mb->self, mb->held);
	mb->held = NULL;
	cnode_term_drop(mb->built);
	mb->built = (cnode_term){ 0 };
}

void cnode_mailbox_close(cnode_mailbox *mb)
{
	if (!mb || mb->lent)
		return;
	static const uint8_t normal[] = { CN_SMALL_ATOM_UTF8, 6, 'n', 'o', 'r', 'm', 'a', 'l' };
	cn_mailbox_let_go(mb);
	cn_process_exit(mb->self, cn_term_static(normal, sizeof normal));
	cn_mailbox_fini(mb);
	cn_free(mb);
}

cnode_process *cnode_mailbox_process(cnode_mailbox *mb)
{
	return mb->self;
}

const char *cnode_mailbox_error(const cnode_mailbox *mb)
{
	return mb->error;
}

int cnode_mailbox_fd(cnode_mailbox *mb)
{
	cn_mutex_lock(&mb->lock);
	if (mb->fd < 0) {
		mb->fd = cn_event_open();
		/* Something may lie there already. */
		if (mb->fd >= 0)
			cn_event_set(mb->fd);
	}
	int fd = mb->fd;
	cn_mutex_unlock(&mb->lock);
	return fd < 0 ? cn_mailbox_fail(mb, CNODE_EFDS, "no file descriptor is left") : fd;
}

/* ---- waiting ---- */

uint64_t cn_mailbox_deadline(uint64_t timeout_ms)
{
	uint64_t now = cn_now();
	if (timeout_ms == CNODE_INFINITY || timeout_ms > (CN_NEVER - now - 1) / CN_NS_PER_MS)
		return CN_NEVER;
	return now + timeout_ms * CN_NS_PER_MS;
}

bool cn_mailbox_wait(cnode_mailbox *mb, uint64_t deadline)
{
	bool in_time = true;
	cn_mutex_lock(&mb->lock);
	while (!mb->woken && in_time)
		in_time = cn_cond_wait_until(&mb->arrived, &mb->lock, deadline);
	mb->woken = false;
	cn_mutex_unlock(&mb->lock);
	return in_time;
}

/* Until something arrives. False: the deadline has passed. */
static bool wait_arrival(cnode_mailbox *mb, uint64_t deadline)
{
	if (mb->node->threadless) {
		if (deadline != CN_NEVER && cn_now() >= deadline)
			return false;
		cn_api_drive(mb->node, deadline);
		return true;
	}
	if (mb->lent)
		cn_process_waits(mb->self, true);
	bool in_time = cn_mailbox_wait(mb, deadline);
	if (mb->lent)
		cn_process_waits(mb->self, false);
	return in_time;
}

int cn_mailbox_take(cnode_mailbox *mb, cn_wanted_fn *wanted, void *ctx, uint64_t deadline, struct cn_message **m)
{
	for (;;) {
		*m = cn_process_receive(mb->self, wanted, ctx);
		if (*m)
			return 0;
		if (cnode_cancelled(mb->self))
			return atomic_load(&mb->node->stop)
				       ? cn_mailbox_fail(mb, CNODE_ESHUTDOWN, "%s is shutting down", mb->node->name)
				       : cn_mailbox_fail(mb, CNODE_EEXITED, "an exit signal has ended the mailbox");
		if (cn_api_life(mb->node) == CN_LIFE_DOWN)
			return cn_mailbox_fail(mb, CNODE_ESHUTDOWN, "%s is down", mb->node->name);
		if (!wait_arrival(mb, deadline)) {
			/* What came in the last moment still counts. */
			*m = cn_process_receive(mb->self, wanted, ctx);
			return *m ? 0 : CNODE_ETIMEOUT;
		}
	}
}

int cn_mailbox_wait_resumed(cnode_mailbox *mb, uint64_t deadline)
{
	while (cn_process_is_suspended(mb->self) && !cnode_cancelled(mb->self))
		if (!wait_arrival(mb, deadline))
			return CNODE_ETIMEOUT;
	return 0;
}

static bool late_answer(void *ctx, const struct cn_message *m)
{
	cnode_mailbox *mb = ctx;
	return cn_gen_is_late(mb->self, m);
}

void cn_mailbox_drop_late(cnode_mailbox *mb)
{
	struct cn_message *m;
	while (mb->given_up > 0 && (m = cn_process_receive(mb->self, late_answer, mb))) {
		mb->given_up--;
		cn_message_free(mb->self, m);
	}
}

/* Is it one for a program to see? */
struct wanted_info {
	cnode_mailbox *mb;
	cnode_wanted_fn *wanted;
	void *context;
	int code;                   /* of a message that could not be shown */
};

static bool is_wanted(void *ctx, const struct cn_message *m)
{
	struct wanted_info *w = ctx;
	cnode_info info;
	cnode_term built;
	if (cn_gen_is_late(w->mb->self, m))
		return false;
	int rc = cn_gen_info(m, &info, &built);
	if (rc != 0) {
		w->code = rc;
		return false;
	}
	bool wanted = w->wanted(w->context, &info) || CN_MUTANT(receive_unselective);
	cnode_term_drop(built);
	return wanted;
}

int cnode_receive_if(cnode_mailbox *mb, cnode_wanted_fn *wanted, void *context, cnode_info *info, uint64_t timeout_ms)
{
	struct wanted_info w = { mb, wanted, context, 0 };
	cn_mailbox_let_go(mb);
	cn_mutex_lock(&mb->lock);
	if (mb->fd >= 0)
		cn_event_clear(mb->fd);
	cn_mutex_unlock(&mb->lock);
	struct cn_message *m;
	uint64_t deadline = cn_mailbox_deadline(timeout_ms);
	int rc;
	if (wanted) {
		rc = cn_mailbox_take(mb, is_wanted, &w, deadline, &m);
		if (rc == CNODE_ETIMEOUT && w.code != 0)
			rc = w.code;
	} else {
		while ((rc = cn_mailbox_take(mb, NULL, NULL, deadline, &m)) == 0 && cn_gen_is_late(mb->self, m)) {
			mb->given_up -= mb->given_up > 0;
			cn_message_free(mb->self, m);
		}
	}
	if (rc == 0) {
		rc = cn_gen_info(m, info, &mb->built);
		if (rc == CNODE_ENOMEM)
			cn_process_unreceive(mb->self, m);      /* it may be shown the next time */
		else
			mb->held = m;
		if (rc != 0)
			cn_mailbox_let_go(mb);
	}
	/* While more is there, the descriptor stays readable. */
	if (cn_process_peek(mb->self, NULL, NULL)) {
		cn_mutex_lock(&mb->lock);
		if (mb->fd >= 0)
			cn_event_set(mb->fd);
		cn_mutex_unlock(&mb->lock);
	}
	return rc;
}

int cnode_receive(cnode_mailbox *mb, cnode_info *info, uint64_t timeout_ms)
{
	return cnode_receive_if(mb, NULL, NULL, info, timeout_ms);
}

static bool nothing(void *ctx, const struct cn_message *m)
{
	(void)ctx;
	(void)m;
	return false;
}

int cn_mailbox_sleep(cnode_mailbox *mb, uint64_t ms)
{
	struct cn_message *m;
	int rc = cn_mailbox_take(mb, nothing, NULL, cn_mailbox_deadline(ms), &m);
	return rc == CNODE_ETIMEOUT ? 0 : rc;
}

cnode_node *cn_mailbox_node(cnode_mailbox *mb)
{
	return mb->node;
}
