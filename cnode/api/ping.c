/* SPDX-License-Identifier: Apache-2.0 */
/* Connecting, ping and the names of an epmd, by a mailbox: ask.c, with sentences. */
#include "cnode/api/mailbox.h"

#include <stdio.h>

static int connect_steps(cnode_mailbox *mb, const char *peer, uint64_t deadline, struct cn_ask_steps *steps)
{
	char text[CN_ERROR_TEXT];
	int rc = cn_ask_connect(mb->node, peer, deadline, steps, text, sizeof text);
	if (rc == 0)
		return 0;
	/* Some sentences begin with the peer's name themselves. */
	size_t size = strcspn(peer, ":");
	return strncmp(text, peer, size) == 0 ? cn_mailbox_fail(mb, rc, "%s", text) : cn_mailbox_fail(mb, rc, "%s: %.900s", peer, text);
}

int cnode_connect_wait(cnode_mailbox *mb, const char *peer, uint64_t timeout_ms)
{
	return connect_steps(mb, peer, cn_mailbox_deadline(timeout_ms), NULL);
}

/* The step at which an attempt ended with this code, as far as the code tells. */
static enum cnode_step step_of(int code)
{
	switch (code) {
	case CNODE_EHOST:
	case CNODE_EBADNAME:
		return CNODE_STEP_RESOLVE;
	case CNODE_EEPMD:
	case CNODE_ENOTREG:
		return CNODE_STEP_EPMD;
	case CNODE_ENOCONNECTION:
	case CNODE_EACCES:
	case CNODE_EIO:
		return CNODE_STEP_TCP;
	default:
		return CNODE_STEP_HANDSHAKE;
	}
}

/* The name in "b@host:port". */
static void name_only(const char *peer, char name[CNODE_NAME_SIZE])
{
	snprintf(name, CNODE_NAME_SIZE, "%s", peer);
	char *at = strchr(name, '@');
	char *colon = at ? strchr(at, ':') : NULL;
	if (colon && !strchr(colon + 1, ':'))
		*colon = 0;
}

struct ping {
	void (*step)(void *context, enum cnode_step step, int code, const char *text);
	void *context;
};

static void ping_step(void *context, int step, const char *text)
{
	struct ping *p = context;
	p->step(p->context, CNODE_STEP_RESOLVE + step, 0, text);
}

int cnode_ping(cnode_mailbox *mb, const char *peer, uint64_t timeout_ms,
	       void (*step)(void *context, enum cnode_step step, int code, const char *text), void *context)
{
	static const char *const done[] = {
		[CNODE_STEP_RESOLVE] = "the host has an address", [CNODE_STEP_EPMD] = "the node's port is known",
		[CNODE_STEP_TCP] = "TCP is connected", [CNODE_STEP_HANDSHAKE] = "name, flags and cookie are accepted",
	};
	uint64_t deadline = cn_mailbox_deadline(timeout_ms);
	struct ping ping = { step, context };
	struct cn_ask_steps steps = { ping_step, &ping, 0 };
	int rc = connect_steps(mb, peer, deadline, step ? &steps : NULL);
	/* What was not told as it happened: the link was there, or the peer made it. */
	enum cnode_step next = CNODE_STEP_RESOLVE + steps.done;
	enum cnode_step upto = rc == 0 ? CNODE_STEP_PING : rc == CNODE_ETIMEOUT || step_of(rc) < next ? next : step_of(rc);
	for (; step && next < upto; next++)
		step(context, next, 0, done[next]);
	if (rc != 0) {
		if (step)
			step(context, upto, rc, mb->error);
		return rc;
	}
	char name[CNODE_NAME_SIZE];
	name_only(peer, name);
	uint64_t now = cn_now();
	uint64_t left = deadline == CN_NEVER ? CNODE_INFINITY : deadline > now ? (deadline - now) / CN_NS_PER_MS : 0;
	cnode_term reply;
	rc = cnode_call_name(mb, "net_kernel", name, left, &reply, "{is_auth,~a}", mb->node->name);
	if (rc == 0) {
		if (!cn_term_is_atom(reply, "yes"))
			rc = cn_mailbox_fail(mb, CNODE_EREPLY, "%s: its net_kernel did not answer yes", name);
		cnode_term_drop(reply);
	}
	if (step)
		step(context, CNODE_STEP_PING, rc, rc == 0 ? "net_kernel answers" : mb->error);
	return rc;
}

int cnode_epmd_names(cnode_mailbox *mb, const char *host, uint64_t timeout_ms,
		     void (*each)(void *context, const char *name, uint16_t port), void *context)
{
	int rc = cn_ask_names(mb->node, host, cn_mailbox_deadline(timeout_ms), each, context);
	return rc == 0 ? 0
		       : cn_mailbox_fail(mb, rc, "epmd on %s: %s", host ? host : "this host",
			      rc == CNODE_EEPMD ? "none runs there, or it cannot be reached" : cnode_strerror(rc));
}
