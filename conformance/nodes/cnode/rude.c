/* SPDX-License-Identifier: Apache-2.0 */
/* rude: a server that does what a callback should not (CONTRACT.md). */
#include <cnode/cnode.h>

struct rude {
	cnode_from *kept;
};

static int rude_init(cnode_process *self, void *state, const cnode_start *how)
{
	cnode_atom what;
	(void)state;
	if (cnode_scan(how->args, "[refuse]") == 0)
		return CNODE_EBADARG;
	if (cnode_scan(how->args, "[{stop,~a}]", &what) == 0)
		(void)cnode_stop(self, "~a", what.text);    /* and 0: it starts, and ends so */
	return 0;
}

static int rude_call(cnode_process *self, void *state, cnode_from *from, cnode_term request)
{
	struct rude *r = state;
	cnode_term reason;
	int rc;
	if (cnode_scan(request, "twice") == 0) {
		rc = cnode_reply(from, "first");
		(void)cnode_reply(from, "second");      /* CNODE_ESTATE */
		return rc;
	}
	if (cnode_scan(request, "never") == 0)
		return 0;
	if (cnode_scan(request, "keep") == 0)
		return cnode_from_keep(from, &r->kept);
	if (cnode_scan(request, "give") == 0) {
		rc = cnode_reply(r->kept, "kept");
		cnode_from_drop(r->kept);
		r->kept = NULL;
		return rc != 0 ? rc : cnode_reply(from, "given");
	}
	if (cnode_scan(request, "error") == 0)
		return CNODE_EIO;
	if (cnode_scan(request, "{stop,~t}", &reason) == 0)
		return cnode_stop(self, "~t", reason);
	if (cnode_scan(request, "{reply_stop,~t}", &reason) == 0) {
		rc = cnode_reply(from, "bye");
		return rc != 0 ? rc : cnode_stop(self, "~t", reason);
	}
	if (cnode_scan(request, "bad_term") == 0) {
		/* No atom is that long: the answer is an error here, and the next one goes out. */
		static const char longest[] = "{'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
			"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
			"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'}";
		rc = cnode_reply(from, longest);
		return cnode_reply(from, "~a", rc != 0 ? "refused" : "sent");
	}
	return cnode_reply(from, "{error,bad_request}");
}

static int rude_cast(cnode_process *self, void *state, cnode_term message)
{
	(void)self;
	(void)state;
	return cnode_scan(message, "error") == 0 ? CNODE_EIO : 0;
}

static const cnode_behaviour rude = {
	CNODE_BEHAVIOUR_INIT,
	.state_size = sizeof(struct rude),
	.init = rude_init,
	.handle_call = rude_call,
	.handle_cast = rude_cast,
};

static int start(cnode_node *node, void **state)
{
	(void)state;
	return cnode_factory_add(node, "rude", &rude, NULL, CNODE_ALL_NODES);
}

CNODE_MODULE("rude", start, NULL)
