/* SPDX-License-Identifier: Apache-2.0 */
/* One behaviour that does what its messages say, and the world around it, for the tests of gen. */
#ifndef TESTS_GEN_COUNTER_H
#define TESTS_GEN_COUNTER_H

#include "cnode/gen/gen.h"
#include "tests/tap.h"
#include "tests/proc_world.h"

struct state {
	int64_t total;
	cnode_from *kept;
	char *memory;
};

static int inits, terminates, releases;
static char log_[2048];                 /* what it was told */

static inline void note(const char *what, cnode_term term)
{
	size_t n = strlen(log_);
	n += (size_t)snprintf(log_ + n, sizeof log_ - n, "%s%s", n ? "; " : "", what);
	if (term.size_ && n + 1 < sizeof log_) {
		log_[n++] = ' ';
		cnode_term_print(term, log_ + n, sizeof log_ - n);
	}
}
static inline const char *noted(void)
{
	static char text[sizeof log_];
	memcpy(text, log_, sizeof text);
	log_[0] = '\0';
	return text;
}

static inline int counter_init(cnode_process *self, void *state, const cnode_start *how)
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

static inline int done(cnode_process *self, void *state, void *context, const cnode_answer *answer)
{
	char text[64];
	(void)self; (void)state;
	snprintf(text, sizeof text, "done%s %s", (const char *)context, answer->status ? cnode_error_atom(answer->status) : "ok");
	note(text, answer->term);
	return 0;
}

static inline int counter_call(cnode_process *self, void *state, cnode_from *from, cnode_term request)
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

static inline int counter_cast(cnode_process *self, void *state, cnode_term message)
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

static inline int counter_info(cnode_process *self, void *state, const cnode_info *info)
{
	static const char *const kinds[] = { "message", "down", "exit", "nodedown", "timer", "timeout" };
	(void)self; (void)state;
	if (info->kind == CNODE_DOWN || info->kind == CNODE_EXIT)
		note(kinds[info->kind], info->reason);
	else
		note(kinds[info->kind], info->message);
	return 0;
}

static inline void counter_terminate(cnode_process *self, void *state, cnode_term reason)
{
	(void)state;
	terminates++;
	note(cnode_send(self, remote(99), "bye") == 0 ? "terminate" : "terminate_dead", reason);
}
static inline int counter_state(cnode_process *self, void *state, cnode_term *shown)
{
	(void)self;
	return cnode_format(shown, "{total,~q}", ((struct state *)state)->total);
}
static inline void counter_release(void *state)
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

static inline int start(const cnode_behaviour *b, const char *args, struct cn_process_spec spec, cnode_pid *pid)
{
	cnode_term list = text_term(args);
	struct cn_gen_spec gen = { .behaviour = b, .factory = "counter", .args = list };
	spec.started = on_started;
	int rc = cn_gen_spawn(W.procs, &gen, &spec, pid);
	cnode_term_drop(list);
	return rc;
}
static inline int run(void)
{
	int n = 0;
	while (cn_sched_run(W.procs, false, 0))
		n++;
	return n;
}
static cnode_pid C;             /* the counter */

static inline void setup(void)
{
	ck_assert_int_eq(world_open(NULL), 0);
	ck_assert_int_eq(start(&counter, "[10]", (struct cn_process_spec){ .name = "counter" }, &C), 0);
	run();
	ck_assert_int_eq(started.calls, 1);
	ck_assert_int_eq(started.code, 0);
}
static inline void teardown(void)
{
	world_close();
	ck_assert_int_eq(releases, inits);
}

static inline void tell(cnode_pid to, const char *text)
{
	deliver_term(FROM_PEER(MESSAGE, remote(1), to), text);
	run();
}
static inline void tell_f(cnode_pid to, const char *format, cnode_pid p)
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
static inline void ask(const char *label, enum tag tag, const char *request)
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

#endif
