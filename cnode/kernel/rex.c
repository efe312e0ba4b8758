/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rex: the server of rpc. Visible peers ask it for its features when they connect;
 * erl_call and programs on plain ei call functions through it, and so does rpc:block_call.
 * Names of hidden nodes (global:register_name_external, which erl_interface asks rex for) are passed on to
 * global_name_server, for they take longer than a function may that others wait for.
 * Follows: lib/kernel/src/rpc.erl; ei_rpc (lib/erl_interface/src/connect/ei_connect.c)
 * for {Pid, {call, M, F, A, GroupLeader}}, which is answered with {rex, Result}. rpc:cast of
 * nodes without spawn is a cast {cast, M, F, A, GroupLeader}. rpc:sbcast is {Pid, {sbcast, Name, Message}}.
 */
#include "cnode/kernel/kernel.h"

#define BUCKETS 1024u
#define WAITING_MAX 10000u          /* block_calls in line, all peers together; more are refused with system_limit */

/* A function that runs, or waits for its turn, for a caller. */
struct job {
	struct job *next, *prev;    /* of all */
	struct job *chain;          /* one that runs: of its bucket; one that waits: the next in line */
	cnode_term args;            /* [Whom, M, F, A] */
	cnode_pid leader;
	cnode_ref monitor;          /* of the process that runs it */
	struct cn_place *place;     /* in the quota of the peer; NULL: a process of ours calls */
	bool own_leader;            /* the leader is there for this job only */
	bool blocks;                /* of block_call: one after the other */
};

/* A call that global_name_server answers. */
struct external {
	struct cn_gen_attachment attachment;
	cnode_term args;            /* of take; its own */
};

/* Peers decide how many jobs there are, and rex is prompt: nothing here looks through all of them. */
struct rex {
	void *functions;
	struct job *jobs;           /* all */
	struct job *running[BUCKETS];               /* by monitor */
	struct job *waiting, **waiting_last;        /* block_calls, in the order in which they came */
	uint32_t waits;             /* how many wait */
	bool blocked;               /* a block_call runs */
};

/*
 * Who asks may be out of reach, or not even be a pid that can be sent to: rex does not end for it. Without memory for an answer
 * it does, so that who waits hears of that at least, and is started again.
 */
static int told(int rc)
{
	return rc == CNODE_ENOMEM || rc == CNODE_EEXITED ? rc : 0;
}

static int rex_init(cnode_process *self, void *state, const cnode_start *how)
{
	struct rex *rex = state;
	(void)self;
	rex->functions = how->context;
	rex->waiting_last = &rex->waiting;
	return 0;
}

static void rex_release(void *state)
{
	struct rex *rex = state;
	for (struct job *j = rex->jobs, *next; j; j = next) {
		next = j->next;
		cn_functions_leave(rex->functions, j->place);
		cnode_term_drop(j->args);
		cn_free(j);
	}
}

/* {badrpc, Reason} for the one who waits for a job; who casts does not. */
static int refuse(cnode_process *self, cnode_term args, const char *format, ...)
{
	cnode_term whom, why, value;
	va_list list;
	if (cnode_scan(args, "[nobody|_]") == 0)
		return 0;
	va_start(list, format);
	int rc = cnode_vformat(&why, format, list);
	va_end(list);
	if (rc != 0)
		return rc;
	rc = cnode_format(&value, "{badrpc,~t}", why);
	cnode_term_drop(why);
	if (rc != 0)
		return rc;
	cnode_pid pid;
	rc = cnode_scan(args, "[~t|_]", &whom);
	if (rc == 0)
		rc = cnode_scan(whom, "{leader,~p}", &pid) == 0 ? cnode_send(self, pid, "{rex,~t}", value)
								: cn_rex_answer(self, whom, value);
	cnode_term_drop(value);
	return rc;
}

static struct job **bucket_of(struct rex *rex, const cnode_ref *monitor)
{
	return &rex->running[monitor->id[0] % BUCKETS];
}

/* Of a job that neither runs nor waits. */
static void forget(cnode_process *self, struct rex *rex, struct job *job, bool answered)
{
	/* Of one that has answered the leader itself knows. */
	if (job->own_leader && !answered)
		(void)cnode_exit(self, job->leader, "shutdown");
	*(job->prev ? &job->prev->next : &rex->jobs) = job->next;
	if (job->next)
		job->next->prev = job->prev;
	if (!CN_MUTANT(rex_keeps_place))
		cn_functions_leave(rex->functions, job->place);
	cnode_term_drop(job->args);
	cn_free(job);
}

/* What a job that cannot begin is answered with. */
static const char *word_of(int code)
{
	return code == CNODE_ENOMEM ? "system_limit" : cnode_error_atom(code);
}

/* ---- names of hidden nodes ---- */

static void external_free(struct cn_gen_attachment *a)
{
	struct external *e = CN_CONTAINER(a, struct external, attachment);
	cnode_term_drop(e->args);
	cn_free(e);
}

/* The name server has answered, or is not there. */
static int external_done(cnode_process *self, void *state, void *context, const cnode_answer *answer)
{
	struct external *waiting = context;
	cnode_term whom;
	(void)state;
	int rc = cnode_scan(waiting->args, "[~t|_]", &whom);
	if (rc == 0 && !cn_term_is_atom(whom, "nobody"))
		rc = answer->status == 0 ? cn_rex_answer(self, whom, answer->term)
					 : refuse(self, waiting->args, "{'EXIT',~a}", cnode_error_atom(answer->status));
	cn_gen_detach(&waiting->attachment);
	external_free(&waiting->attachment);
	return told(rc);
}

/* True if the arguments are those of a call of global for a hidden node's name: *rc is how it went then. */
static bool external(cnode_process *self, struct rex *rex, cnode_name peer, cnode_term args, int *rc)
{
	cnode_atom module, function;
	cnode_term list, name;
	if (cnode_scan(args, "[_,~a,~a,~t]", &module, &function, &list) != 0 || strcmp(module.text, "global") != 0 ||
	    (strcmp(function.text, "register_name_external") != 0 && strcmp(function.text, "unregister_name_external") != 0))
		return false;
	if (cnode_scan(list, "[~t|_]", &name) == 0 && !CN_MUTANT(external_list_ignored) &&
	    cn_functions_may_register(rex->functions, peer, name) != 0) {
		*rc = told(refuse(self, args, "not_allowed"));
		return true;
	}
	struct external *waiting = cn_calloc(1, sizeof *waiting);
	*rc = waiting ? cnode_term_keep(args, &waiting->args) : CNODE_ENOMEM;
	if (*rc == 0)
		*rc = cn_gen_attach(self, &waiting->attachment, external_free);
	if (*rc == 0) {
		*rc = cnode_call_name_async(self, "global_name_server", NULL, CNODE_INFINITY, external_done, waiting, "{cnode,{~a,~t}}",
					    function.text, list);
		if (*rc != 0)
			cn_gen_detach(&waiting->attachment);
	}
	if (*rc == 0)
		return true;
	if (waiting)
		external_free(&waiting->attachment);
	*rc = told(refuse(self, args, "~a", word_of(*rc)));
	return true;
}

/* Starts the process of a job; its end comes as DOWN. */
static int run(cnode_process *self, struct rex *rex, struct job *job)
{
	cnode_pid pid;
	cnode_ref ref;
	int rc = cnode_make_ref(self, &ref);
	if (rc != 0)
		return rc;
	struct cn_gen_spec gen = { .behaviour = &cn_kernel_rex_call, .context = rex->functions, .args = job->args };
	struct cn_process_spec spec = {
		.label = "rex_call", .parent = cnode_self(self), .leader = job->leader, .monitor = true, .monitor_ref = ref,
		.at_once = true,        /* else nothing is heard of one whose init has failed */
	};
	rc = cn_gen_spawn(cn_process_procs(self), &gen, &spec, &pid);
	if (rc != 0)
		return rc;
	struct job **bucket = bucket_of(rex, &ref);
	job->monitor = ref;
	job->chain = *bucket;
	*bucket = job;
	return 0;
}

/* Starts the next block_call if none runs. */
static int run_blocked(cnode_process *self, struct rex *rex)
{
	while (!rex->blocked && rex->waiting) {
		struct job *first = rex->waiting;
		rex->waiting = first->chain;
		if (!rex->waiting)
			rex->waiting_last = &rex->waiting;
		rex->waits--;
		int rc = run(self, rex, first);
		if (rc == 0) {
			rex->blocked = true;
			break;
		}
		rc = told(refuse(self, first->args, "{'EXIT',~a}", word_of(rc)));
		forget(self, rex, first, false);
		if (rc != 0)
			return rc;
	}
	return 0;
}

/* Where the output of a function goes: GroupLeader as the caller gave it. */
static int leader_of(cnode_process *self, cnode_term given, cnode_pid caller, struct job *job)
{
	cnode_term args;
	if (cnode_scan(given, "~p", &job->leader) == 0)
		return 0;
	if (!cn_term_is_atom(given, "send_stdout_to_caller")) {
		job->leader = cnode_group_leader(self);     /* user */
		return 0;
	}
	int rc = cnode_format(&args, "[~p]", caller);
	if (rc != 0)
		return rc;
	struct cn_gen_spec gen = { .behaviour = &cn_kernel_rex_stdout, .args = args };
	struct cn_process_spec spec = { .label = "rex_stdout", .leader = cnode_group_leader(self) };
	rc = cn_gen_spawn(cn_process_procs(self), &gen, &spec, &job->leader);
	cnode_term_drop(args);
	job->own_leader = rc == 0;
	return rc;
}

/*
 * Runs the function in a process of its own, if the node that the message came from may
 * call it. That node is the connection's: the pid in the message is only where the answer goes.
 * `args` is [Whom, M, F, A].
 */
static int take(cnode_process *self, struct rex *rex, cnode_name peer, cnode_term args, cnode_term leader, cnode_pid caller,
		bool blocks)
{
	char node[CNODE_NAME_SIZE];
	int rc;
	if (external(self, rex, peer, args, &rc))
		return rc;
	rc = cnode_name_text(peer != 0 ? peer : cnode_self(self).node, node);
	if (rc == 0)
		rc = cn_functions_may_call(rex->functions, node, args);
	if (rc == 0 && blocks && rex->waits >= WAITING_MAX)
		rc = CNODE_ESYSLIMIT;
	struct job *job = rc == 0 ? cn_calloc(1, sizeof *job) : NULL;
	if (rc == 0 && !job)
		rc = CNODE_ENOMEM;
	if (rc == 0 && peer != 0 && !CN_MUTANT(rex_unpaid) && !(CN_MUTANT(rex_blocked_unpaid) && blocks))
		rc = cn_functions_enter(rex->functions, node, args, &job->place);
	if (rc == 0)
		rc = leader_of(self, leader, caller, job);
	if (rc == 0)
		rc = cnode_term_keep(args, &job->args);
	if (rc != 0) {
		if (job && job->own_leader)
			(void)cnode_exit(self, job->leader, "shutdown");
		if (job)
			cn_functions_leave(rex->functions, job->place);
		cn_free(job);
		return told(refuse(self, args, rc == CNODE_ESYSLIMIT ? "{'EXIT',~a}" : "~a", word_of(rc)));
	}
	job->next = rex->jobs;
	if (job->next)
		job->next->prev = job;
	rex->jobs = job;
	job->blocks = blocks;
	if (blocks) {
		*rex->waiting_last = job;
		rex->waiting_last = &job->chain;
		rex->waits++;
		return run_blocked(self, rex);
	}
	rc = run(self, rex, job);
	if (rc == 0)
		return 0;
	forget(self, rex, job, false);
	return told(refuse(self, args, "{'EXIT',~a}", word_of(rc)));
}

/* A job's process has ended. If not normally it has not answered: as rpc.erl, the reason is the answer. */
static int ended(cnode_process *self, struct rex *rex, const cnode_info *info)
{
	struct job **at = bucket_of(rex, &info->ref), *job;
	while (*at && !cnode_ref_equal((*at)->monitor, info->ref))
		at = &(*at)->chain;
	if (!(job = *at))
		return 0;
	*at = job->chain;
	int rc = 0;
	bool answered = cn_term_is_atom(info->reason, "normal");
	if (!answered)
		rc = told(refuse(self, job->args, "{'EXIT',~t}", info->reason));
	if (job->blocks)
		rex->blocked = false;
	forget(self, rex, job, answered);
	return rc == 0 ? run_blocked(self, rex) : rc;
}

/* rpc:block_call, and what OTP 23 does where a peer has no spawn. */
static int rex_handle_call(cnode_process *self, void *state, cnode_from *from, cnode_term request)
{
	cnode_term m, f, a, leader, whom, args;
	cnode_atom word;
	if (cnode_scan(request, "{~a,~t,~t,~t,~t}", &word, &m, &f, &a, &leader) != 0)
		return 0;               /* ignored, as rpc.erl does */
	bool blocks = strcmp(word.text, "block_call") == 0;
	if (!blocks && strcmp(word.text, "call") != 0)
		return 0;
	int rc = cnode_from_term(from, &whom);
	if (rc == 0) {
		rc = cnode_format(&args, "[{from,~t},~t,~t,~t]", whom, m, f, a);
		cnode_term_drop(whom);
	}
	if (rc != 0)
		return told(rc);
	rc = take(self, state, cnode_message_peer(self), args, leader, cnode_from_pid(from), blocks);
	cnode_term_drop(args);
	return rc;
}

/* rpc:cast of nodes that have no spawn. */
static int rex_handle_cast(cnode_process *self, void *state, cnode_term request)
{
	cnode_term m, f, a, leader, args;
	if (cnode_scan(request, "{cast,~t,~t,~t,~t}", &m, &f, &a, &leader) != 0)
		return 0;               /* ignored, as rpc.erl does */
	int rc = cnode_format(&args, "[nobody,~t,~t,~t]", m, f, a);
	if (rc != 0)
		return told(rc);
	rc = take(self, state, cnode_message_peer(self), args, leader, cnode_self(self), false);
	cnode_term_drop(args);
	return rc;
}

/* {Pid, {call, M, F, A, GroupLeader}}. */
static int rex_message(cnode_process *self, struct rex *rex, const cnode_info *info, cnode_pid to, cnode_term call)
{
	cnode_term m, f, a, leader, args;
	int rc = cnode_scan(call, "{call,~t,~t,~t,~t}", &m, &f, &a, &leader);
	if (rc != 0)
		return 0;               /* nonsense: dropped, as rpc.erl does */
	rc = cnode_format(&args, "[{~a,~p},~t,~t,~t]", cn_term_is_atom(leader, "send_stdout_to_caller") ? "leader" : "rex",
			  to, m, f, a);
	if (rc != 0)
		return told(rc);
	rc = take(self, rex, info->peer, args, leader, to, false);
	cnode_term_drop(args);
	return rc;
}

/* ---- messages for names ---- */

/*
 * {Pid, {sbcast, Name, Message}}, which rpc:sbcast waits for without a limit of time, and {Pid, {send, Name, Message}}, which
 * the name itself answers. The message stays the peer's who sent it here: as if it had sent it to the name.
 */
static int pass_on(cnode_process *self, struct rex *rex, const cnode_info *info, cnode_pid to, const char *how, cnode_term name,
		   cnode_term message)
{
	struct cn_procs *procs = cn_process_procs(self);
	bool answers = strcmp(how, "sbcast") == 0;
	cnode_term pair = { 0 };
	cnode_atom text;
	cnode_pid pid;
	char node[CNODE_NAME_SIZE];
	int rc = cnode_name_text(cnode_self(self).node, node);
	if (rc != 0)
		return told(rc);
	if (cnode_scan(name, "~a", &text) != 0 || cn_procs_whereis(procs, text.text, &pid) != 0 ||
	    cn_functions_may_reach(rex->functions, info->peer, text.text) != 0)
		return told(cnode_send(self, to, "{rex,~a,{nonexisting_name,~t}}", node, name));
	if (!answers && (rc = cnode_format(&pair, "{~p,~t}", to, message)) != 0)
		return rc;
	struct cn_signal sig = {
		.kind = CN_SIG_MESSAGE, .from = to, .to = pid, .node = info->peer, .term = answers ? message : pair,
	};
	rc = cn_procs_deliver(procs, &sig);
	cnode_term_drop(pair);
	if (rc == 0 && answers)
		rc = cnode_send(self, to, "{rex,~a,~a}", node, node);
	return told(rc);
}

static int rex_info(cnode_process *self, void *state, const cnode_info *info)
{
	cnode_pid pid;
	cnode_term request, name, message;
	cnode_atom how;
	if (info->kind == CNODE_DOWN)
		return ended(self, state, info);
	if (info->kind != CNODE_MESSAGE || cnode_scan(info->message, "{~p,~t}", &pid, &request) != 0)
		return 0;
	if (cnode_scan(request, "features_request") == 0 && !CN_MUTANT(rex_without_features)) {
		char node[CNODE_NAME_SIZE];
		if (cnode_name_text(cnode_self(self).node, node) == 0)
			return told(cnode_send(self, pid, "{features_reply,~a,[erpc]}", node));
		return 0;
	}
	if (cnode_scan(request, "{~a,~t,~t}", &how, &name, &message) == 0 &&
	    (strcmp(how.text, "sbcast") == 0 || strcmp(how.text, "send") == 0))
		return CN_MUTANT(rex_without_sbcast) ? 0 : pass_on(self, state, info, pid, how.text, name, message);
	return rex_message(self, state, info, pid, request);
}

const cnode_behaviour cn_kernel_rex = {
	CNODE_BEHAVIOUR_INIT,
	.flags = CNODE_PROMPT,
	.state_size = sizeof(struct rex),
	.init = rex_init,
	.handle_call = rex_handle_call,
	.handle_cast = rex_handle_cast,
	.handle_info = rex_info,
	.release = rex_release,
};
