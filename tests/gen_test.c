/* SPDX-License-Identifier: Apache-2.0 */
/* gen: what gen_server, sys and gen:call see of a behaviour, and what a behaviour sees of them. */
#include "tests/tap.h"
#include "tests/alloc_fail.h"
#include "tests/proc_world.h"
#include "cnode/gen/gen.h"

/* ---- one behaviour that does what its messages say ---- */

struct state {
	int64_t total;
	cnode_from *kept;
	char *memory;
};

static int inits, terminates, releases;
static char log_[2048];                 /* what it was told */

static void note(const char *what, cnode_term term)
{
	size_t n = strlen(log_);
	n += (size_t)snprintf(log_ + n, sizeof log_ - n, "%s%s", n ? "; " : "", what);
	if (term.size_ && n + 1 < sizeof log_) {
		log_[n++] = ' ';
		cnode_term_print(term, log_ + n, sizeof log_ - n);
	}
}
static const char *noted(void)
{
	static char text[sizeof log_];
	memcpy(text, log_, sizeof text);
	log_[0] = '\0';
	return text;
}

static int counter_init(cnode_process *self, void *state, const cnode_start *how)
{
	struct state *s = state;
	cnode_term reason;
	inits++;
	s->memory = cn_malloc(10);
	if (!s->memory)
		return CNODE_ENOMEM;
	if (cnode_scan(how->args, "[trap,~q]", &s->total) == 0)
		return cnode_trap_exit(self, true);
	if (cnode_scan(how->args, "[stop,~t]", &reason) == 0)
		return cnode_stop(self, "~t", reason);
	return cnode_scan(how->args, "[~q]", &s->total);
}

static int done(cnode_process *self, void *state, void *context, const cnode_answer *answer)
{
	char text[64];
	(void)self; (void)state;
	snprintf(text, sizeof text, "done%s %s", (const char *)context, answer->status ? cnode_error_atom(answer->status) : "ok");
	note(text, answer->term);
	return 0;
}

static int counter_call(cnode_process *self, void *state, cnode_from *from, cnode_term request)
{
	struct state *s = state;
	int64_t n;
	cnode_term t;
	cnode_pid pid;
	if (cnode_scan(request, "{add,~q}", &n) == 0)
		return cnode_reply(from, "~q", s->total += n);
	if (cnode_scan(request, "{twice,~t}", &t) == 0) {
		int rc = cnode_reply_term(from, t);
		return rc != 0 ? rc : cnode_reply(from, "again") == CNODE_ESTATE ? 0 : CNODE_EINTERNAL;
	}
	if (cn_term_is_atom(request, "keep")) {
		cnode_from *same;
		int rc = cnode_from_keep(from, &s->kept);
		if (rc != 0)
			return rc;
		if (cnode_from_keep(from, &same) != 0 || same != s->kept)
			return CNODE_EINTERNAL;
		cnode_from_drop(same);
		return 0;
	}
	if (cn_term_is_atom(request, "keep_and_reply")) {
		int rc = cnode_from_keep(from, &s->kept);
		return rc != 0 ? rc : cnode_reply(from, "now");
	}
	if (cn_term_is_atom(request, "who")) {
		pid = cnode_from_pid(from);
		return cnode_reply(from, "~p", pid);
	}
	if (cn_term_is_atom(request, "bad_format"))
		return cnode_reply(from, "{~") == CNODE_EFORMAT ? cnode_reply(from, "ok") : CNODE_EINTERNAL;
	if (cn_term_is_atom(request, "crash"))
		return CNODE_ENOENT;
	if (cn_term_is_atom(request, "stop"))
		return cnode_stop(self, "normal");
	if (cn_term_is_atom(request, "never"))
		return 0;
	return cnode_reply(from, "{error,bad_request}");
}

static int counter_cast(cnode_process *self, void *state, cnode_term message)
{
	struct state *s = state;
	cnode_pid pid;
	cnode_ref ref;
	uint64_t ms;
	if (cn_term_is_atom(message, "stop"))
		return cnode_stop(self, "{shutdown,cast}");
	if (cn_term_is_atom(message, "answer")) {
		int rc = s->kept ? cnode_reply(s->kept, "late") : 0;
		if (rc == CNODE_ESTATE)
			note("estate", (cnode_term){ 0 });
		cnode_from_drop(s->kept);
		s->kept = NULL;
		return rc == CNODE_ESTATE ? 0 : rc;
	}
	if (cnode_scan(message, "{call,~p,~Q}", &pid, &ms) == 0)
		return cnode_call_async(self, pid, ms, done, (void *)(uintptr_t)"", "{question,~p}", pid);
	if (cnode_scan(message, "{call_forever,~p}", &pid) == 0)
		return cnode_call_async(self, pid, CNODE_INFINITY, done, (void *)(uintptr_t)"!", "q");
	if (cnode_scan(message, "{after,~Q}", &ms) == 0)
		return cnode_after(self, ms, done, (void *)(uintptr_t)" after");
	if (cn_term_is_atom(message, "who")) {
		char node[CNODE_NAME_SIZE] = "here";
		if (cnode_message_peer(self) != 0)
			cnode_name_text(cnode_message_peer(self), node);
		note(node, message);
		return 0;
	}
	if (cn_term_is_atom(message, "call_name"))
		return cnode_call_name_async(self, "srv", "r@h", 1000, done, (void *)(uintptr_t)"", "q");
	if (cn_term_is_atom(message, "monitor"))
		return cnode_monitor_name(self, "srv", "r@h", &ref);
	if (cn_term_is_atom(message, "node"))
		return cnode_monitor_node(self, "r@h", true);
	if (cn_term_is_atom(message, "timer"))
		return cnode_start_timer(self, 1, &ref, "{tick,1}");
	if (cn_term_is_atom(message, "peer")) {
		note(cnode_message_peer(self) == W.peer ? "from r@h" : cnode_message_peer(self) == 0 ? "from here" : "?", (cnode_term){ 0 });
		return 0;
	}
	if (cn_term_is_atom(message, "cast"))
		return cnode_cast(self, remote(4), "{x,~q}", (int64_t)1) | cnode_cast_name(self, "srv", "r@h", "y");
	note("cast", message);
	return 0;
}

static int counter_info(cnode_process *self, void *state, const cnode_info *info)
{
	static const char *const kinds[] = { "message", "down", "exit", "nodedown", "timer", "timeout" };
	(void)self; (void)state;
	if (info->kind == CNODE_DOWN || info->kind == CNODE_EXIT)
		note(kinds[info->kind], info->reason);
	else
		note(kinds[info->kind], info->message);
	return 0;
}

static void counter_terminate(cnode_process *self, void *state, cnode_term reason)
{
	(void)state;
	terminates++;
	note(cnode_send(self, remote(99), "bye") == 0 ? "terminate" : "terminate_dead", reason);
}
static int counter_state(cnode_process *self, void *state, cnode_term *shown)
{
	(void)self;
	return cnode_format(shown, "{total,~q}", ((struct state *)state)->total);
}
static void counter_release(void *state)
{
	releases++;
	cn_free(((struct state *)state)->memory);
}

static const cnode_behaviour counter = {
	CNODE_BEHAVIOUR_INIT, .state_size = sizeof(struct state), .init = counter_init, .handle_call = counter_call,
	.handle_cast = counter_cast, .handle_info = counter_info, .terminate = counter_terminate,
	.get_state = counter_state, .release = counter_release,
};

/* ---- the world around it ---- */

static struct { int calls, code; char reason[128]; } started;
static void on_started(void *ctx, cnode_pid pid, int code, cnode_term reason)
{
	(void)ctx; (void)pid;
	started.calls++;
	started.code = code;
	started.reason[0] = '\0';
	if (reason.size_)
		cnode_term_print(reason, started.reason, sizeof started.reason);
}

static int start(const cnode_behaviour *b, const char *args, struct cn_process_spec spec, cnode_pid *pid)
{
	cnode_term list = text_term(args);
	struct cn_gen_spec gen = { .behaviour = b, .factory = "counter", .args = list };
	spec.started = on_started;
	int rc = cn_gen_spawn(W.procs, &gen, &spec, pid);
	cnode_term_drop(list);
	return rc;
}
static int run(void)
{
	int n = 0;
	while (cn_sched_run(W.procs, false, 0))
		n++;
	return n;
}
static cnode_pid C;             /* the counter */

static void setup(void)
{
	ck_assert_int_eq(world_open(NULL), 0);
	ck_assert_int_eq(start(&counter, "[10]", (struct cn_process_spec){ .name = "counter" }, &C), 0);
	run();
	ck_assert_int_eq(started.calls, 1);
	ck_assert_int_eq(started.code, 0);
}
static void teardown(void)
{
	world_close();
	ck_assert_int_eq(releases, inits);
}

static void tell(cnode_pid to, const char *text)
{
	deliver_term(FROM_PEER(MESSAGE, remote(1), to), text);
	run();
}
static void tell_f(cnode_pid to, const char *format, cnode_pid p)
{
	cnode_term t;
	ck_assert_int_eq(cnode_format(&t, format, p), 0);
	struct cn_signal sig = FROM_PEER(MESSAGE, remote(1), to, .term = t);
	deliver(&sig);
	cnode_term_drop(t);
	run();
}
/* {'$gen_call',{<r@h.5.0>,Tag},Request}, the tag by form. */
enum tag { TAG_REF, TAG_ALIAS, TAG_MULTI, TAG_ODD };
static void ask(const char *label, enum tag tag, const char *request)
{
	static const char *const tags[] = { "~r", "[alias|~r]", "[[alias|~r]|x]", "{~r,'r@h'}" };
	char format[128];
	cnode_term r = text_term(request), t;
	ck_assert(r.size_);
	snprintf(format, sizeof format, "{%s,{~p,%s},~t}", label, tags[tag]);
	ck_assert_int_eq(cnode_format(&t, format, remote(5), remote_ref(1), r), 0);
	struct cn_signal sig = FROM_PEER(MESSAGE, remote(5), C, .term = t);
	deliver(&sig);
	cnode_term_drop(t);
	cnode_term_drop(r);
	run();
}
#define R1 "#Ref<r@h.3.2.1>"

/* ---- calls ---- */

START_TEST(replies_with_the_tag_as_it_came_to_where_it_says)
{
	ask("'$gen_call'", TAG_REF, "{add,5}");
	ck_assert_str_eq(sent(), "MESSAGE 1 -> 5 {" R1 ",15}");
	ask("'$gen_call'", TAG_ALIAS, "{add,5}");
	ck_assert_str_eq(sent(), "MESSAGE 1 -> alias {[alias|" R1 "],20}");
	ask("'$gen_call'", TAG_MULTI, "{add,5}");
	ck_assert_str_eq(sent(), "MESSAGE 1 -> alias {[[alias|" R1 "]|x],25}");
	ask("'$gen_call'", TAG_ODD, "{add,5}");
	ck_assert_str_eq(sent(), "MESSAGE 1 -> 5 {{" R1 ",r@h},30}");
	atomic_store(&W.no_alias, true);
	ask("'$gen_call'", TAG_ALIAS, "who");
	ck_assert_str_eq(sent(), "MESSAGE 1 -> 5 {[alias|" R1 "],<r@h.5.0>}");
}
END_TEST

START_TEST(answers_once)
{
	ask("'$gen_call'", TAG_REF, "{twice,{a,b}}");
	ck_assert_str_eq(sent(), "MESSAGE 1 -> 5 {" R1 ",{a,b}}");
	ask("'$gen_call'", TAG_REF, "bad_format");
	ck_assert_str_eq(sent(), "MESSAGE 1 -> 5 {" R1 ",ok}");
	ask("'$gen_call'", TAG_REF, "unknown");
	ck_assert_str_eq(sent(), "MESSAGE 1 -> 5 {" R1 ",{error,bad_request}}");
	ask("'$gen_call'", TAG_REF, "never");
	ck_assert_str_eq(sent(), "");
	ck_assert(cn_procs_is_alive(W.procs, C));
}
END_TEST

START_TEST(answers_later)
{
	ask("'$gen_call'", TAG_ALIAS, "keep");
	ck_assert_str_eq(sent(), "");
	ask("'$gen_call'", TAG_REF, "{add,1}");
	ck_assert_str_eq(sent(), "MESSAGE 1 -> 5 {" R1 ",11}");
	tell(C, "{'$gen_cast',answer}");
	ck_assert_str_eq(sent(), "MESSAGE 1 -> alias {[alias|" R1 "],late}");
	ask("'$gen_call'", TAG_REF, "keep_and_reply");
	ck_assert_str_eq(sent(), "MESSAGE 1 -> 5 {" R1 ",now}");
	tell(C, "{'$gen_cast',answer}");
	ck_assert_str_eq(sent(), "");
	ck_assert_str_eq(noted(), "estate");
	/* Kept to the end: nothing leaks, also after a kill. */
	ask("'$gen_call'", TAG_ALIAS, "keep");
	deliver_term(FROM_PEER(EXIT2, remote(1), C), "kill");
	run();
	ck_assert_int_eq(terminates, 0);
	ck_assert_int_eq(releases, 1);
}
END_TEST

START_TEST(a_callback_that_fails_ends_the_process_and_the_caller_hears)
{
	struct cn_signal monitor = FROM_PEER(MONITOR, remote(5), C, .ref = remote_ref(1));
	deliver(&monitor);
	ask("'$gen_call'", TAG_REF, "crash");
	ck_assert_str_eq(sent(), "MESSAGE 1 -> 99 bye; DOWN 1 -> 5 {cnode,not_found,<<\"there is no such thing\">>}");
	ck_assert_int_eq(terminates, 1);
	ck_assert_int_eq(start(&counter, "[1]", (struct cn_process_spec){ 0 }, &C), 0);
	run();
	monitor.to = C;
	deliver(&monitor);
	ask("'$gen_call'", TAG_REF, "stop");
	ck_assert_str_eq(sent(), "MESSAGE 2 -> 99 bye; DOWN 2 -> 5 normal");
	ck_assert_int_eq(start(&counter, "[1]", (struct cn_process_spec){ 0 }, &C), 0);
	run();
	tell(C, "{'$gen_cast',stop}");
	ck_assert_str_eq(noted(), "terminate {cnode,not_found,<<\"there is no such thing\">>}; terminate normal; terminate {shutdown,cast}");
	ck_assert_uint_eq(cn_procs_count(W.procs), 0);
}
END_TEST

START_TEST(a_message_tells_the_node_that_it_came_from)
{
	cnode_term cast = text_term("{'$gen_cast',peer}");
	struct cn_target to = { .pid = C };
	tell(C, "{'$gen_cast',peer}");
	run();
	ck_assert_str_eq(noted(), "from r@h");
	ck_assert_int_eq(cn_procs_send(W.procs, &to, cast, 0), 0);
	run();
	ck_assert_str_eq(noted(), "from here");
	cnode_term_drop(cast);
}
END_TEST

START_TEST(what_only_looks_like_a_call_is_a_message)
{
	static const char *const odd[] = {
		"'$gen_call'", "{'$gen_call',x}", "{'$gen_call',x,y}", "{'$gen_call',{x,y},z}", "{'$gen_call',{x},z}",
		"{'$gen_call',{},z}", "{system,x,y}", "{system,{a,b},get_state}", "{'$gen_cast'}", "{'$gen_cast',a,b}",
		"{}", "[]", "5", "{1,2}", "{\"$gen_cast\",2}", "#{a => 1}", "{[],x}", "{[alias],x}", "{[alias|5],x}", "{[[]|5],x}",
	};
	for (size_t i = 0; i < CN_ARRAY_SIZE(odd); i++) {
		char wanted[128];
		cnode_term t = text_term(odd[i]);
		char *text = cnode_term_text(t);
		snprintf(wanted, sizeof wanted, "message %s", text);
		cnode_free(text);
		cnode_term_drop(t);
		tell(C, odd[i]);
		ck_assert_str_eq(noted(), wanted);
	}
	ck_assert_str_eq(sent(), "");
	tell(C, "{'$gen_cast',{anything,1}}");
	ck_assert_str_eq(noted(), "cast {anything,1}");
}
END_TEST

START_TEST(a_behaviour_without_callbacks_answers_all_the_same)
{
	static const cnode_behaviour empty = { CNODE_BEHAVIOUR_INIT };
	ck_assert_int_eq(start(&empty, "[]", (struct cn_process_spec){ 0 }, &C), 0);
	run();
	ask("'$gen_call'", TAG_REF, "anything");
	ck_assert_str_eq(sent(), "MESSAGE 2 -> 5 {" R1 ",{error,bad_request}}");
	tell(C, "{'$gen_cast',x}");
	tell(C, "x");
	ask("system", TAG_REF, "get_state");
	ck_assert_str_eq(sent(), "MESSAGE 2 -> 5 {" R1 ",counter}");
	deliver_term(FROM_PEER(EXIT2, remote(1), C), "shutdown");
	run();
	ck_assert(!cn_procs_is_alive(W.procs, C));
	static const cnode_behaviour old = { .size = offsetof(cnode_behaviour, release) }, wrong = { .size = 8 };
	ck_assert_int_eq(start(&old, "[]", (struct cn_process_spec){ 0 }, &C), 0);
	run();
	ck_assert_int_eq(start(&wrong, "[]", (struct cn_process_spec){ 0 }, &C), CNODE_EBADARG);
}
END_TEST

/* ---- starting ---- */

START_TEST(init_decides_about_the_start)
{
	cnode_pid pid;
	started.calls = 0;
	ck_assert_int_eq(start(&counter, "[not_a_number]", (struct cn_process_spec){ 0 }, &pid), 0);
	run();
	ck_assert_int_eq(started.calls, 1);
	ck_assert_int_eq(started.code, CNODE_EBADARG);
	ck_assert_str_eq(started.reason, "{cnode,badarg,<<\"an argument is wrong, or a term does not match the format\">>}");
	ck_assert_int_eq(start(&counter, "[stop,{no,way}]", (struct cn_process_spec){ 0 }, &pid), 0);
	run();
	ck_assert_int_eq(started.calls, 2);
	ck_assert_int_eq(started.code, CNODE_EEXITED);
	ck_assert_str_eq(started.reason, "{no,way}");
	ck_assert_int_eq(terminates, 0);
	ck_assert_int_eq(releases, 2);
	ck_assert_int_eq(start(&counter, "[1]", (struct cn_process_spec){ .name = "counter" }, &pid), CNODE_ENAMETAKEN);
}
END_TEST

/* ---- exits ---- */

START_TEST(a_trapping_process_ends_with_its_parent_and_with_the_node)
{
	struct cn_process_spec spec = { .parent = remote(9), .link = true, .epoch = 1 };
	ck_assert_int_eq(start(&counter, "[trap,1]", spec, &C), 0);
	run();
	struct cn_signal link = FROM_PEER(LINK, remote(8), C);
	deliver(&link);
	deliver_term(FROM_PEER(EXIT, remote(8), C), "other");
	run();
	ck_assert_str_eq(noted(), "exit other");
	deliver_term(FROM_PEER(EXIT, remote(9), C), "shutdown");
	run();
	ck_assert_str_eq(noted(), "terminate shutdown");
	ck_assert_str_eq(sent(), "MESSAGE 2 -> 99 bye");
	ck_assert_int_eq(start(&counter, "[trap,1]", spec, &C), 0);
	run();
	/* supervisor:terminate_child: exit(Pid, shutdown) by the parent. */
	deliver_term(FROM_PEER(EXIT2, remote(9), C), "shutdown");
	run();
	ck_assert_str_eq(noted(), "terminate shutdown");
	ck_assert_str_eq(sent(), "MESSAGE 3 -> 99 bye; EXIT 3 -> 9 shutdown");
	ck_assert_int_eq(start(&counter, "[trap,1]", (struct cn_process_spec){ 0 }, &C), 0);
	run();
	cnode_term shutdown = text_term("shutdown");
	cn_procs_exit_all(W.procs, shutdown, true);
	cnode_term_drop(shutdown);
	run();
	ck_assert_str_eq(noted(), "terminate_dead shutdown; terminate shutdown");
	ck_assert_uint_eq(cn_procs_count(W.procs), 0);
}
END_TEST

START_TEST(events_arrive_by_kind_with_their_terms)
{
	tell(C, "{'$gen_cast',monitor}");
	tell(C, "{'$gen_cast',node}");
	tell(C, "{'$gen_cast',timer}");
	cn_sched_expire(W.procs, cn_now() + CN_NS_PER_S, 10);
	cn_procs_nodedown(W.procs, W.peer, 1, "noconnection", 100);
	run();
	ck_assert_str_eq(noted(), "timer {tick,1}; down noconnection; nodedown {nodedown,r@h}");
}
END_TEST

static cnode_name came_from;
static int raw_info(cnode_process *self, void *state, const cnode_info *info)
{
	came_from = info->peer;
	return counter_info(self, state, info);
}

START_TEST(a_raw_process_sees_every_message_as_it_is)
{
	static const cnode_behaviour raw = { CNODE_BEHAVIOUR_INIT, .flags = CNODE_RAW, .handle_info = raw_info };
	ck_assert_int_eq(start(&raw, "[]", (struct cn_process_spec){ 0 }, &C), 0);
	run();
	ask("'$gen_call'", TAG_REF, "hello");
	ck_assert_str_eq(noted(), "message {'$gen_call',{<r@h.5.0>," R1 "},hello}");
	ck_assert(came_from == W.peer);
	tell(C, "{'$gen_cast',hello}");
	ck_assert_str_eq(noted(), "message {'$gen_cast',hello}");
	ask("system", TAG_REF, "get_state");
	ck_assert_str_eq(noted(), "message {system,{<r@h.5.0>," R1 "},get_state}");
	ck_assert_str_eq(sent(), "");
}
END_TEST

/* ---- sys ---- */

START_TEST(sys_messages_are_answered_as_sys_does)
{
	ask("system", TAG_ALIAS, "get_state");
	ck_assert_str_eq(sent(), "MESSAGE 1 -> alias {[alias|" R1 "],{total,10}}");
	cnode_term from26;
	cnode_ref five = { .node = W.peer, .creation = 5, .words = 5, .id = { 1, 2, 3, 4, 5 } };
	ck_assert_int_eq(cnode_format(&from26, "{system,{~p,[alias|~r]},get_state}", remote(5), five), 0);
	struct cn_signal since26 = FROM_PEER(MESSAGE, remote(5), C, .term = from26);
	deliver(&since26);
	cnode_term_drop(from26);
	run();
	ck_assert_ptr_nonnull(strstr(sent(), ",{ok,{total,10}}}"));
	ask("system", TAG_REF, "get_status");
	const char *status = sent();
	ck_assert_ptr_nonnull(strstr(status, "{" R1 ",{status,<me@h.1.0>,{module,counter},[[],running,<me@h.1.0>,[],[{header,\"counter\"},{data"));
	ask("system", TAG_REF, "{replace_state,x}");
	ck_assert_str_eq(sent(), "MESSAGE 1 -> 5 {" R1 ",{error,{callback_failed,{counter,system_replace_state},{error,undef}}}}");
	ask("system", TAG_REF, "{debug,no_debug}");
	ask("system", TAG_REF, "{debug,{log,get}}");
	ask("system", TAG_REF, "{debug,{trace,true}}");
	ask("system", TAG_REF, "nonsense");
	ck_assert_str_eq(sent(), "MESSAGE 1 -> 5 {" R1 ",ok}; MESSAGE 1 -> 5 {" R1 ",{ok,[]}}; MESSAGE 1 -> 5 {" R1 ",{error,notsup}}; "
			 "MESSAGE 1 -> 5 {" R1 ",{error,{unknown_system_msg,nonsense}}}");
	struct cn_signal link = FROM_PEER(LINK, remote(9), C);
	deliver(&link);
	ask("system", TAG_REF, "{terminate,{shutdown,sys}}");
	ck_assert_str_eq(sent(), "MESSAGE 1 -> 5 {" R1 ",ok}; MESSAGE 1 -> 99 bye; EXIT 1 -> 9 {shutdown,sys}");
	ck_assert_str_eq(noted(), "terminate {shutdown,sys}");
}
END_TEST

START_TEST(what_comes_while_suspended_waits)
{
	ask("system", TAG_REF, "suspend");
	ck_assert_str_eq(sent(), "MESSAGE 1 -> 5 {" R1 ",ok}");
	ask("'$gen_call'", TAG_REF, "{add,1}");
	tell(C, "hello");
	tell(C, "{'$gen_cast',one}");
	ck_assert_str_eq(noted(), "");
	ck_assert_str_eq(sent(), "");
	ask("system", TAG_REF, "get_state");
	ck_assert_str_eq(sent(), "MESSAGE 1 -> 5 {" R1 ",{total,10}}");
	ask("system", TAG_REF, "get_status");
	ck_assert_ptr_nonnull(strstr(sent(), ",suspended,"));
	ask("system", TAG_REF, "resume");
	ck_assert_str_eq(noted(), "message hello; cast one");
	ck_assert_str_eq(sent(), "MESSAGE 1 -> 5 {" R1 ",ok}; MESSAGE 1 -> 5 {" R1 ",11}");
	/* What still waits at the end is freed. */
	ask("system", TAG_REF, "suspend");
	tell(C, "{never,read}");
}
END_TEST

/* ---- calls out ---- */

static cnode_ref asked;
static void remember(struct world *w, const struct cn_signal *sig)
{
	(void)w;
	if (sig->kind == CN_SIG_MONITOR)
		asked = sig->ref;
}
static void reply(bool alias, bool to_alias, const char *text)
{
	cnode_term t, r = text_term(text);
	ck_assert_int_eq(cnode_format(&t, alias ? "{[alias|~r],~t}" : "{~r,~t}", asked, r), 0);
	struct cn_signal sig = FROM_PEER(MESSAGE, remote(7), C, .term = t);
	if (to_alias) {
		sig.to = (cnode_pid){ 0 };
		sig.alias = &asked;
	}
	deliver(&sig);
	cnode_term_drop(t);
	cnode_term_drop(r);
	run();
}

START_TEST(calls_complete_with_the_reply_by_alias_or_pid)
{
	W.hook = remember;
	tell_f(C, "{'$gen_cast',{call_forever,~p}}", remote(7));
	const char *s = sent();
	ck_assert_ptr_nonnull(strstr(s, "MONITOR 1 -> 7; MESSAGE 1 -> 7 {'$gen_call',{<me@h.1.0>,[alias|#Ref<"));
	reply(true, true, "{ok,1}");
	ck_assert_str_eq(noted(), "done! ok {ok,1}");
	ck_assert_str_eq(sent(), "DEMONITOR 1 -> 7");
	reply(true, true, "late");
	reply(true, false, "late");
	deliver_term(FROM_PEER(DOWN, remote(7), C, .ref = asked), "late");
	run();
	ck_assert_str_eq(noted(), "");
	/* net_kernel of OTP 25 answers the pid. */
	tell_f(C, "{'$gen_cast',{call_forever,~p}}", remote(7));
	reply(true, false, "yes");
	ck_assert_str_eq(noted(), "done! ok yes");
	ck_assert_ptr_nonnull(strstr(sent(), "DEMONITOR 1 -> 7"));
	/* OTP 23: a plain reference, and the reply to the pid. */
	atomic_store(&W.no_alias, true);
	tell_f(C, "{'$gen_cast',{call_forever,~p}}", remote(7));
	ck_assert_ptr_nonnull(strstr(sent(), "{'$gen_call',{<me@h.1.0>,#Ref<"));
	reply(false, true, "dropped");
	ck_assert_str_eq(noted(), "");
	reply(false, false, "three");
	ck_assert_str_eq(noted(), "done! ok three");
	reply(false, false, "late");
	ck_assert_str_eq(noted(), "");
	/* A reference that is no call's is the program's. */
	tell_f(C, "{x,~p}", remote(7));
	ck_assert_str_eq(noted(), "message {x,<r@h.7.0>}");
	tell(C, "{'$gen_cast',cast}");
	ck_assert_str_eq(noted(), "");
}
END_TEST

START_TEST(calls_end_with_the_servers_end)
{
	static const struct { const char *reason, *noted; } ends[] = {
		{ "noproc", "done! noproc noproc" }, { "{bad,thing}", "done! exited {bad,thing}" }, { "noconnection", "done! noconnection noconnection" },
	};
	W.hook = remember;
	for (size_t i = 0; i < CN_ARRAY_SIZE(ends); i++) {
		tell_f(C, "{'$gen_cast',{call_forever,~p}}", remote(7));
		deliver_term(FROM_PEER(DOWN, remote(7), C, .ref = asked), ends[i].reason);
		run();
		ck_assert_str_eq(noted(), ends[i].noted);
		reply(true, true, "late");
		ck_assert_str_eq(noted(), "");
	}
	tell_f(C, "{'$gen_cast',{call,~p,5000}}", remote(7));
	tell(C, "{'$gen_cast',call_name}");
	cn_procs_nodedown(W.procs, W.peer, 1, "noconnection", 100);
	run();
	ck_assert_str_eq(noted(), "done noconnection noconnection; done noconnection noconnection");
	ck_assert_uint_eq(cn_sched_due(W.procs), CN_NEVER);
	cnode_pid gone = { .node = W.own, .creation = 77, .id = 999 };
	tell_f(C, "{'$gen_cast',{call,~p,5000}}", gone);
	ck_assert_str_eq(noted(), "done noproc noproc");
}
END_TEST

START_TEST(calls_time_out_once)
{
	W.hook = remember;
	tell_f(C, "{'$gen_cast',{call,~p,10}}", remote(7));
	ck_assert_str_eq(noted(), "");
	sent();
	cn_sched_expire(W.procs, cn_now() + CN_NS_PER_S, 10);
	run();
	ck_assert_str_eq(noted(), "done timeout");
	ck_assert_str_eq(sent(), "DEMONITOR 1 -> 7");
	reply(true, true, "late");
	reply(true, false, "late");
	ck_assert_str_eq(noted(), "");
	/* The timer of a call that was answered is gone. */
	tell_f(C, "{'$gen_cast',{call,~p,10}}", remote(7));
	reply(true, true, "now");
	ck_assert_str_eq(noted(), "done ok now");
	ck_assert_uint_eq(cn_sched_due(W.procs), CN_NEVER);
}
END_TEST

START_TEST(after_completes_once_when_its_time_has_come)
{
	tell(C, "{'$gen_cast',{'after',60000}}");
	tell(C, "{'$gen_cast',{'after',10}}");
	cn_sched_expire(W.procs, cn_now() + CN_NS_PER_S, 10);
	run();
	ck_assert_str_eq(noted(), "done after ok");
	ck_assert_str_eq(sent(), "");
	/* The other ends with the process: the sanitizer would tell. */
}
END_TEST

START_TEST(a_callback_learns_which_node_a_cast_came_from)
{
	tell(C, "{'$gen_cast',who}");
	ck_assert_str_eq(noted(), "r@h who");
	cnode_term t = text_term("{'$gen_cast',who}");
	struct cn_target to = { .pid = C };
	ck_assert_int_eq(cn_procs_send(W.procs, &to, t, 0), 0);
	cnode_term_drop(t);
	run();
	ck_assert_str_eq(noted(), "here who");
}
END_TEST

START_TEST(behaviours_call_each_other_on_one_node)
{
	cnode_pid other;
	ck_assert_int_eq(start(&counter, "[1]", (struct cn_process_spec){ 0 }, &other), 0);
	run();
	tell_f(C, "{'$gen_cast',{call,~p,5000}}", other);
	ck_assert_str_eq(noted(), "done ok {error,bad_request}");
	struct cn_process_info info;
	cn_procs_info(W.procs, other, &info);
	ck_assert_uint_eq(info.monitored_by, 0);
	cn_procs_info(W.procs, C, &info);
	ck_assert_uint_eq(info.monitors, 0);
	tell_f(C, "{'$gen_cast',{call_forever,~p}}", C);
	ck_assert_str_eq(noted(), "done! ok {error,bad_request}");
	ck_assert_str_eq(sent(), "");
}
END_TEST

START_TEST(many_calls_at_once_each_complete_once)
{
	enum { N = 2000 };
	atomic_store(&W.drop, true);
	for (int i = 0; i < N; i++)
		tell_f(C, "{'$gen_cast',{call,~p,60000}}", remote((uint32_t)i + 1));
	cn_procs_nodedown(W.procs, W.peer, 1, "noconnection", 100000);
	struct cn_process_info info;
	cn_procs_info(W.procs, C, &info);
	ck_assert_uint_eq(info.messages, N);
	uint64_t handled = info.handled;
	run();
	cn_procs_info(W.procs, C, &info);
	ck_assert_uint_eq(info.handled, handled + N);
	ck_assert_uint_eq(cn_sched_due(W.procs), CN_NEVER);
	noted();
}
END_TEST

START_TEST(a_mailbox_can_call_too)
{
	struct cnode_process *box = hand(NULL);
	struct cn_target to = { .pid = C };
	cnode_ref ref;
	cnode_term request = text_term("{add,7}"), term;
	ck_assert_int_eq(cn_gen_request(box, &to, "$gen_call", request, &ref), 0);
	cnode_term_drop(request);
	run();
	struct cn_message *m = cn_process_receive(box, NULL, NULL);
	int status = 1;
	ck_assert(cn_gen_answer(m, &ref, &status, &term));
	ck_assert_int_eq(status, 0);
	int64_t n;
	ck_assert_int_eq(cnode_scan(term, "~q", &n), 0);
	ck_assert_int_eq(n, 17);
	ck_assert(cn_gen_is_late(box, m));
	cn_gen_end(box, ref);
	cn_message_free(box, m);
	ck_assert_int_eq(cnode_call_async(box, C, 1, done, NULL, "x"), CNODE_ESTATE);
	to = (struct cn_target){ .name = "nobody" };
	request = text_term("x");
	ck_assert_int_eq(cn_gen_request(box, &to, "$gen_call", request, &ref), 0);
	cnode_term_drop(request);
	m = cn_process_receive(box, NULL, NULL);
	ck_assert(cn_gen_answer(m, &ref, &status, &term));
	ck_assert_int_eq(status, CNODE_ENOPROC);
	cn_message_free(box, m);
	hand_exit(box, "normal");
}
END_TEST

/* ---- the idle timeout ---- */

START_TEST(idleness_is_told_each_time_it_has_lasted)
{
	cnode_behaviour idle = counter;
	idle.idle_timeout_ms = 5;
	ck_assert_int_eq(start(&idle, "[1]", (struct cn_process_spec){ 0 }, &C), 0);
	run();
	for (int told = 0; told < 2;) {
		while (cn_now() < cn_sched_due(W.procs))        /* the clock is the real one */
			;
		cn_sched_expire(W.procs, cn_now(), 10);
		run();
		told += *log_ != 0;     /* not yet: a fraction of a millisecond was cut off */
		if (*log_)
			ck_assert_str_eq(noted(), "timeout timeout");
	}
}
END_TEST

START_TEST(a_message_puts_idleness_off)
{
	cnode_behaviour idle = counter;
	idle.idle_timeout_ms = 60000;
	ck_assert_int_eq(start(&idle, "[1]", (struct cn_process_spec){ 0 }, &C), 0);
	run();
	uint64_t due = cn_sched_due(W.procs);
	ck_assert_uint_le(due, cn_now() + 60 * CN_NS_PER_S);
	tell(C, "{'$gen_cast',awake}");
	cn_sched_expire(W.procs, due, 10);
	run();
	ck_assert_str_eq(noted(), "cast awake");
	ck_assert_uint_gt(cn_sched_due(W.procs), due - CN_NS_PER_S);
	ck_assert_uint_lt(cn_sched_due(W.procs), CN_NEVER);
}
END_TEST

/* ---- without memory ---- */

static void whole_life(void)
{
	inits = releases = terminates = started.calls = 0;
	log_[0] = '\0';
	if (world_open(NULL) == 0) {
		W.hook = remember;
		int rc = start(&counter, "[trap,1]", (struct cn_process_spec){ .name = "counter" }, &C);
		run();
		ck_assert_int_eq(started.calls, rc == 0);
		static const char *const said[] = {
			"{'$gen_cast',{call,<r@h.7.0>,5000}}", "{'$gen_cast',monitor}", "{'$gen_cast',timer}", "{'$gen_cast',node}", "{'$gen_cast',cast}",
		};
		for (size_t i = 0; i < CN_ARRAY_SIZE(said); i++)
			deliver_term(FROM_PEER(MESSAGE, remote(1), C), said[i]);
		run();
		cnode_term add, keep, state, suspend;
		const char *format = "{~a,{~p,[alias|~r]},~a}";
		if (cnode_format(&add, "{'$gen_call',{~p,~r},{add,1}}", remote(5), remote_ref(1)) == 0) {
			struct cn_signal sig = FROM_PEER(MESSAGE, remote(5), C, .term = add);
			deliver(&sig);
			cnode_term_drop(add);
		}
		if (cnode_format(&keep, format, "$gen_call", remote(5), remote_ref(1), "keep") == 0) {
			struct cn_signal sig = FROM_PEER(MESSAGE, remote(5), C, .term = keep);
			deliver(&sig);
			cnode_term_drop(keep);
		}
		if (cnode_format(&state, format, "system", remote(5), remote_ref(1), "get_status") == 0) {
			struct cn_signal sig = FROM_PEER(MESSAGE, remote(5), C, .term = state);
			deliver(&sig);
			cnode_term_drop(state);
		}
		if (cnode_format(&suspend, format, "system", remote(5), remote_ref(1), "suspend") == 0) {
			struct cn_signal sig = FROM_PEER(MESSAGE, remote(5), C, .term = suspend);
			deliver(&sig);
			cnode_term_drop(suspend);
		}
		run();
		deliver_term(FROM_PEER(MESSAGE, remote(1), C), "waiting");
		cn_procs_nodedown(W.procs, W.peer, 1, "noconnection", 100);
		run();
		deliver_term(FROM_PEER(EXIT2, remote(1), C), "kill");
		run();
	}
	world_close();
	ck_assert_int_eq(releases, inits);
}
START_TEST(every_failed_allocation_is_survived)
{
	alloc_fail_each(whole_life);
}
END_TEST

/* ---- speed ---- */

static int quick_call(cnode_process *self, void *state, cnode_from *from, cnode_term request)
{
	(void)self; (void)state; (void)request;
	return cnode_reply(from, "ok");
}
START_TEST(calls_are_quick)
{
	enum { N = 100000 };
	static const cnode_behaviour quick = { CNODE_BEHAVIOUR_INIT, .handle_call = quick_call };
	ck_assert_int_eq(start(&quick, "[]", (struct cn_process_spec){ 0 }, &C), 0);
	run();
	cnode_term call;
	ck_assert_int_eq(cnode_format(&call, "{'$gen_call',{~p,[alias|~r]},get}", remote(5), remote_ref(1)), 0);
	struct cn_signal sig = FROM_PEER(MESSAGE, remote(5), C, .term = call);
	atomic_store(&W.drop, true);
	for (int i = 0; i < N; i++)
		deliver(&sig);
	uint64_t t = cn_now();
	run();
	t = cn_now() - t;
	ck_assert_uint_ge(atomic_load(&W.total), N);
	fprintf(stderr, "# a call answered in %.0f ns\n", (double)t / N);
	cnode_term_drop(call);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("gen");
	TCase *t = tcase_create("counter");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, replies_with_the_tag_as_it_came_to_where_it_says);
	tcase_add_test(t, answers_once);
	tcase_add_test(t, a_raw_process_sees_every_message_as_it_is);
	tcase_add_test(t, a_message_tells_the_node_that_it_came_from);
	tcase_add_test(t, answers_later);
	tcase_add_test(t, a_callback_that_fails_ends_the_process_and_the_caller_hears);
	tcase_add_test(t, what_only_looks_like_a_call_is_a_message);
	tcase_add_test(t, a_behaviour_without_callbacks_answers_all_the_same);
	tcase_add_test(t, init_decides_about_the_start);
	tcase_add_test(t, a_trapping_process_ends_with_its_parent_and_with_the_node);
	tcase_add_test(t, events_arrive_by_kind_with_their_terms);
	tcase_add_test(t, sys_messages_are_answered_as_sys_does);
	tcase_add_test(t, what_comes_while_suspended_waits);
	tcase_add_test(t, calls_complete_with_the_reply_by_alias_or_pid);
	tcase_add_test(t, calls_end_with_the_servers_end);
	tcase_add_test(t, calls_time_out_once);
	tcase_add_test(t, after_completes_once_when_its_time_has_come);
	tcase_add_test(t, a_callback_learns_which_node_a_cast_came_from);
	tcase_add_test(t, behaviours_call_each_other_on_one_node);
	tcase_add_test(t, many_calls_at_once_each_complete_once);
	tcase_add_test(t, a_mailbox_can_call_too);
	tcase_add_test(t, idleness_is_told_each_time_it_has_lasted);
	tcase_add_test(t, a_message_puts_idleness_off);
	tcase_add_test(t, calls_are_quick);
	suite_add_tcase(s, t);
	t = tcase_create("memory");
	tcase_set_timeout(t, 60);
	tcase_add_test(t, every_failed_allocation_is_survived);
	suite_add_tcase(s, t);
	return tap_run(s);
}
