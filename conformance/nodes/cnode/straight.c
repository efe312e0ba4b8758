/* SPDX-License-Identifier: Apache-2.0 */
/* straight: a process of straight-line code (CONTRACT.md). */
#include <string.h>

#include <cnode/cnode.h>

struct straight {
	cnode_pid watcher;              /* hears of exits that are trapped */
};

static int straight_init(cnode_process *self, void *state, const cnode_start *how)
{
	struct straight *s = state;
	(void)self;
	return cnode_scan(how->args, "[]") == 0 || cnode_scan(how->args, "[{hello,~p}]", &s->watcher) == 0 ? 0 : CNODE_EBADARG;
}

static bool has_tag(void *context, const cnode_info *m)
{
	cnode_atom tag;
	cnode_term rest;
	return cnode_scan(m->message, "{~a,~t}", &tag, &rest) == 0 && strcmp(tag.text, context) == 0;
}

/* The next {Tag, X}, whatever lies before it. */
static int pick(cnode_mailbox *self, cnode_pid pid, cnode_ref ref, char *tag)
{
	cnode_info in;
	cnode_term x;
	int rc = cnode_receive_if(self, has_tag, tag, &in, CNODE_INFINITY);
	if (rc == 0)
		rc = cnode_scan(in.message, "{_,~t}", &x);
	return rc != 0 ? rc : cnode_send(cnode_mailbox_process(self), pid, "{~r,~t}", ref, x);
}

/* gen_server:call from here, with what it exits with. */
static int ask(cnode_mailbox *self, cnode_pid pid, cnode_ref ref, cnode_pid server, cnode_term request, int64_t ms)
{
	cnode_process *process = cnode_mailbox_process(self);
	cnode_term reply;
	switch (cnode_call(self, server, (uint64_t)ms, &reply, "~t", request)) {
	case 0:
		break;
	case CNODE_ETIMEOUT:
		return cnode_send(process, pid, "{~r,{error,timeout}}", ref);
	case CNODE_ENOPROC:
		return cnode_send(process, pid, "{~r,{error,noproc}}", ref);
	case CNODE_ENOCONNECTION:
		return cnode_send(process, pid, "{~r,{error,noconnection}}", ref);
	default:
		return cnode_send(process, pid, "{~r,{error,other}}", ref);
	}
	int rc = cnode_send(process, pid, "{~r,{ok,~t}}", ref, reply);
	cnode_term_drop(reply);
	return rc;
}

static int spin(cnode_process *process, cnode_pid pid, cnode_ref ref)
{
	int rc = cnode_send(process, pid, "{~r,spinning}", ref);
	while (!cnode_cancelled(process))
		continue;
	return rc;
}

/* 1: it is to go on. */
static int obey(cnode_mailbox *self, struct straight *s, const cnode_info *in)
{
	cnode_process *process = cnode_mailbox_process(self);
	cnode_term x, from;
	cnode_pid pid, server;
	cnode_ref ref;
	cnode_atom word;
	int64_t ms;
	int rc = 0;
	if (in->kind == CNODE_EXIT)
		rc = cnode_send(process, s->watcher, "{trapped,~t}", in->reason);
	else if (cnode_scan(in->message, "{echo,~p,~r,~t}", &pid, &ref, &x) == 0)
		rc = cnode_send(process, pid, "{~r,~t}", ref, x);
	else if (cnode_scan(in->message, "{'$gen_call',~t,~t}", &from, &x) == 0)
		rc = cnode_reply_to(process, from, "{echoed,~t}", x);
	else if (cnode_scan(in->message, "{pick,~p,~r,~a}", &pid, &ref, &word) == 0)
		rc = pick(self, pid, ref, word.text);
	else if (cnode_scan(in->message, "{ask,~p,~r,~p,~t,~q}", &pid, &ref, &server, &x, &ms) == 0)
		rc = ask(self, pid, ref, server, x, ms);
	else if (cnode_scan(in->message, "{spin,~p,~r}", &pid, &ref) == 0)
		rc = spin(process, pid, ref);
	else if (cnode_scan(in->message, "{trap,~p,~r,~a}", &pid, &ref, &word) == 0) {
		s->watcher = pid;
		rc = cnode_trap_exit(process, strcmp(word.text, "true") == 0);
		if (rc == 0)
			rc = cnode_send(process, pid, "{~r,ok}", ref);
	} else if (cnode_scan(in->message, "return") == 0)
		return 0;
	else if (cnode_scan(in->message, "{stop,~t}", &x) == 0)
		return cnode_stop(process, "~t", x);
	return rc != 0 ? rc : 1;
}

static int straight_run(cnode_mailbox *self, void *state, const cnode_start *how)
{
	struct straight *s = state;
	cnode_process *process = cnode_mailbox_process(self);
	cnode_info in;
	int rc = 1;
	if (cnode_scan(how->args, "[]") != 0)
		rc = cnode_send(process, s->watcher, "{hello,~p}", cnode_self(process)) == 0 ? 1 : CNODE_EINTERNAL;
	while (rc == 1) {
		rc = cnode_receive(self, &in, CNODE_INFINITY);
		if (rc == 0)
			rc = obey(self, s, &in);
	}
	return rc;
}

static const cnode_behaviour straight = {
	CNODE_BEHAVIOUR_INIT, .state_size = sizeof(struct straight), .init = straight_init, .run = straight_run,
};

static int start(cnode_node *node, void **state)
{
	(void)state;
	return cnode_factory_add(node, "straight", &straight, NULL, CNODE_ALL_NODES);
}

CNODE_MODULE("straight", start, NULL)
