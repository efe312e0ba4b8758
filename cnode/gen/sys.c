/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System messages: {system, From, Request}. The answers are those of sys.erl; what a C
 * process cannot do (replace_state and install take funs, change_code) is an error to the
 * caller, not a crash: for the state the one that OTP documents for a callback that failed.
 * A peer that may not end the process by exit/2 may not stop or suspend it this way either, nor have sys look at it:
 * what is traced is printed message by message, whose size others choose.
 */
#include "cnode/gen/inner.h"

static int reply_error(struct cnode_from *from, const char *what)
{
	return cnode_reply(from, "{error,~a}", what);
}

/* {callback_failed, {Module, Function}, {Class, Reason}}: sys:get_state/2, "Process Implementation Functions". */
static int callback_failed(struct gen *g, struct cnode_from *from, const char *function, const char *reason)
{
	return cnode_reply(from, "{error,{callback_failed,{~a,~a},{error,~a}}}", cn_process_label(g->self), function, reason);
}

int show_state(struct gen *g, cnode_term *shown)
{
	if (g->behaviour.get_state)
		return g->behaviour.get_state(g->self, g->memory, shown);
	return cnode_format(shown, "~a", cn_process_label(g->self));
}

static int get_state(struct gen *g, struct cnode_from *from)
{
	cnode_term shown;
	int rc = show_state(g, &shown);
	if (rc != 0)
		return callback_failed(g, from, "system_get_state", cnode_error_atom(rc));
	/* The state itself up to 26.0, {ok, State} since 26.1, and either breaks the other's sys:get_state (OTP-18633). */
	rc = from_is_26(from) || CN_MUTANT(sys_state_wrapped) ? cnode_reply(from, "{ok,~t}", shown) : cnode_reply_term(from, shown);
	cnode_term_drop(shown);
	return rc;
}

/* {status, Pid, {module,M}, [PDict, SysState, Parent, Debug, Misc]}, Misc as gen_server:format_status gives it. */
static int get_status(struct gen *g, struct cnode_from *from)
{
	cnode_term shown, events;
	struct cnode_builder b;
	int rc = show_state(g, &shown);
	if (rc != 0)
		return reply_error(from, cnode_error_atom(rc));
	cn_builder_init(&b);
	debug_build_log(g, &b);
	rc = cnode_builder_term(&b, &events);
	cn_builder_fini(&b);
	if (rc != 0) {
		cnode_term_drop(shown);
		return reply_error(from, cnode_error_atom(rc));
	}
	const char *label = cn_process_label(g->self), *state = g->suspended ? "suspended" : "running";
	cnode_pid self = cnode_self(g->self), parent = cnode_parent(g->self);
	if (cnode_pid_is_none(parent))
		parent = self;
	rc = cnode_reply(from, "{status,~p,{module,~a},[[],~a,~p,[],"
			 "[{header,~s},{data,[{\"Status\",~a},{\"Parent\",~p},{\"Logged events\",~t}]},{data,[{\"State\",~t}]}]]}",
			 self, label, state, parent, label, state, parent, events, shown);
	cnode_term_drop(events);
	cnode_term_drop(shown);
	return rc;
}

static int answer(struct gen *g, struct cnode_from *from, cnode_term message)
{
	cnode_term what;
	if (cn_term_is_atom(message, "get_state"))
		return get_state(g, from);
	if (cn_term_is_atom(message, "get_status"))
		return get_status(g, from);
	bool stops = cnode_scan(message, "{terminate,_}") == 0;
	bool holds = cn_term_is_atom(message, "suspend");
	bool goes_on = cn_term_is_atom(message, "resume");
	bool looks = cnode_scan(message, "{debug,~t}", &what) == 0 && debug_begins(what);
	if ((stops || holds || goes_on || looks) && !cn_process_may_exit(g->self, cnode_from_pid(from), g->peer) && !CN_MUTANT(sys_for_all))
		return reply_error(from, "not_allowed");
	if (holds) {
		g->suspended = !CN_MUTANT(suspend_ignored);
		return cnode_reply(from, "ok");
	}
	if (goes_on) {
		g->suspended = false;
		cn_process_unreceive(g->self, g->waiting);
		g->waiting = g->waiting_last = NULL;
		return cnode_reply(from, "ok");
	}
	if (stops && cnode_scan(message, "{_,~t}", &what) == 0) {
		(void)cnode_reply(from, "ok");
		return cn_process_stop(g->self, what);
	}
	if (cnode_scan(message, "{replace_state,_}") == 0)
		return callback_failed(g, from, "system_replace_state", "undef");
	if (cnode_scan(message, "{debug,~t}", &what) == 0)
		return debug_command(g, from, what);
	return cnode_reply(from, "{error,{unknown_system_msg,~t}}", message);
}

int sys_message(struct gen *g, struct cnode_from *from, cnode_term message)
{
	return answered(answer(g, from, message));
}
