/* SPDX-License-Identifier: Apache-2.0 */
/*
 * auction: straight-line code. A process that waits, asks and waits again is easiest to read from top to
 * bottom, so it has `run` in place of callbacks: bids are taken until none has come for a while, then the
 * highest bidder is asked to pay, and who does not is passed over for the next one.
 *
 *     cnoded -sname c -load ./auction -allow auction
 *
 *     Pid = spawn_link('c@host', auction, start, [<<"a clock">>, 100, 5000]),    % what, from which price, ms
 *     ok = gen_server:call(Pid, {bid, 120}),                                     % or {too_low, Price}
 *     receive {'$gen_call', From, {pay, _, Amount}} -> gen_server:reply(From, paid) end,
 *     receive {auction, Pid, {sold, Winner, Amount}} -> ok end.                  % or unsold
 *
 * What it prints appears on the shell of whoever spawned it.
 */
#include <cnode/cnode.h>

#define BIDS 16                 /* that are remembered, the highest ones */
#define PAY_MS 2000             /* that a bidder gets to pay */

struct bid {
	cnode_pid bidder;
	int64_t amount;
};

struct auction {
	char what[64];
	int64_t price;          /* a bid has to be above it */
	uint64_t patience_ms;
	struct bid bids[BIDS];  /* rising */
	size_t count;
};

/* Refuses arguments that are none: the spawn fails with badarg then. */
static int auction_init(cnode_process *self, void *state, const cnode_start *how)
{
	struct auction *a = state;
	const char *what;
	size_t size;
	int64_t ms;
	(void)self;
	int rc = cnode_scan(how->args, "[~b,~q,~q]", &what, &size, &a->price, &ms);
	if (rc != 0 || size >= sizeof a->what || ms < 1)
		return CNODE_EBADARG;
	for (size_t i = 0; i < size; i++)
		a->what[i] = what[i];
	a->patience_ms = (uint64_t)ms;
	return 0;
}

static void remember(struct auction *a, cnode_pid bidder, int64_t amount)
{
	if (a->count == BIDS) {
		for (size_t i = 1; i < BIDS; i++)
			a->bids[i - 1] = a->bids[i];
		a->count--;
	}
	a->bids[a->count++] = (struct bid){ bidder, amount };
	a->price = amount;
}

/* Until none has come for a while. 0, or the code that ended the wait. */
static int take_bids(cnode_mailbox *self, struct auction *a)
{
	cnode_process *process = cnode_mailbox_process(self);
	cnode_info in;
	int rc;
	while ((rc = cnode_receive(self, &in, a->patience_ms)) == 0) {
		cnode_term from;
		cnode_pid bidder;
		int64_t amount;
		if (cnode_scan(in.message, "{'$gen_call',~t,{bid,~q}}", &from, &amount) != 0 || cnode_scan(from, "{~p,_}", &bidder) != 0)
			continue;
		if (amount <= a->price) {
			cnode_reply_to(process, from, "{too_low,~q}", a->price);
			continue;
		}
		remember(a, bidder, amount);
		cnode_printf(process, "%s: %lld are bid\n", a->what, (long long)amount);
		cnode_reply_to(process, from, "ok");
	}
	return rc == CNODE_ETIMEOUT ? 0 : rc;
}

/* Asks one bidder to pay. He may be gone, on a node that is lost, or have changed his mind. */
static bool pays(cnode_mailbox *self, const struct auction *a, const struct bid *bid)
{
	cnode_term reply;
	int rc = cnode_call(self, bid->bidder, PAY_MS, &reply, "{pay,~z,~q}", a->what, bid->amount);
	if (rc != 0) {
		cnode_log(cnode_mailbox_process(self), CNODE_LOG_NOTICE, "%s", cnode_mailbox_error(self));
		return false;
	}
	bool paid = cnode_scan(reply, "paid") == 0;
	cnode_term_drop(reply);
	return paid;
}

static int auction_run(cnode_mailbox *self, void *state, const cnode_start *how)
{
	struct auction *a = state;
	cnode_process *process = cnode_mailbox_process(self);
	int rc = take_bids(self, a);
	if (rc != 0)
		return rc;      /* the process was ended: there is nobody to speak for */
	while (a->count > 0) {
		const struct bid *best = &a->bids[--a->count];
		if (pays(self, a, best)) {
			cnode_printf(process, "%s: sold for %lld\n", a->what, (long long)best->amount);
			return cnode_send(process, how->caller, "{auction,~p,{sold,~p,~q}}", cnode_self(process), best->bidder, best->amount);
		}
	}
	cnode_printf(process, "%s: not sold\n", a->what);
	return cnode_send(process, how->caller, "{auction,~p,unsold}", cnode_self(process));
}

static const cnode_behaviour auction = {
	CNODE_BEHAVIOUR_INIT, .state_size = sizeof(struct auction), .init = auction_init, .run = auction_run,
};

static int start(cnode_node *node, void **state)
{
	(void)state;
	return cnode_factory_add(node, "auction", &auction, NULL, CNODE_NO_NODES);
}

CNODE_MODULE("auction", start, NULL)
