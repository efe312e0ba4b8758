/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sys:trace, log and statistics: what a gen_server tells sys:handle_debug of each message, kept for whoever
 * asked. Events are those of gen_server.erl: {in, Message}, {out, Reply, From, State}, {noreply, State}.
 * What has no memory is not in the log: nobody ends for being looked at.
 *
 * Follows: sys.erl (debug_cmd, handle_debug), gen_server.erl (print_event).
 */
#include "cnode/gen/inner.h"

#include <time.h>

#define LOG_DEFAULT 10
#define LOG_MAX 10000           /* events; stops a caller who asks for all the memory */

struct debug {
	bool trace, statistics;
	/* log */
	cnode_term *events;             /* a ring; NULL: off */
	uint32_t room, count, next;
	/* statistics */
	time_t since;
	uint64_t reductions, in, out;
};

static uint64_t reductions(struct gen *g)
{
	struct cn_process_info info;
	return cn_procs_info(cn_process_procs(g->self), cnode_self(g->self), &info) == 0 ? info.run_ns / 1000 : 0;
}

/* ---- switching on and off ---- */

static void log_off(struct debug *d)
{
	for (uint32_t i = 0; i < d->count; i++)
		cnode_term_drop(d->events[i]);
	cn_free(d->events);
	d->events = NULL;
	d->count = d->next = 0;
}

void debug_free(struct gen *g)
{
	if (g->debug)
		log_off(g->debug);
	cn_free(g->debug);
	g->debug = NULL;
}

static void free_if_off(struct gen *g)
{
	const struct debug *d = g->debug;
	if (d && !d->trace && !d->statistics && !d->events)
		debug_free(g);
}

static struct debug *make(struct gen *g)
{
	if (!g->debug)
		g->debug = cn_calloc(1, sizeof *g->debug);
	return g->debug;
}

static int log_on(struct gen *g, int64_t room)
{
	struct debug *d = make(g);
	if (!d)
		return CNODE_ENOMEM;
	if (d->events)
		return 0;               /* as sys does it: the size of a log that is on stays */
	if (CN_MUTANT(sys_log_size_ignored))
		room = LOG_DEFAULT;
	d->events = cn_calloc((size_t)room, sizeof *d->events);
	d->room = (uint32_t)room;
	return d->events ? 0 : CNODE_ENOMEM;
}

static int statistics_on(struct gen *g)
{
	struct debug *d = make(g);
	if (!d)
		return CNODE_ENOMEM;
	if (d->statistics)
		return 0;
	d->statistics = true;
	d->since = time(NULL);
	d->reductions = reductions(g);
	d->in = d->out = 0;
	return 0;
}

/* ---- showing ---- */

/* The i-th oldest. */
static cnode_term event_at(const struct debug *d, uint32_t i)
{
	return d->events[((d->count < d->room ? 0 : d->next) + i) % d->room];
}

void debug_build_log(const struct gen *g, struct cnode_builder *b)
{
	const struct debug *d = g->debug;
	cnode_build_list(b);
	for (uint32_t i = 0; d && i < d->count; i++)
		cnode_build_term(b, event_at(d, i));
	cnode_build_list_end(b);
}

/* gen_server:print_event/3. Yours (cn_free); NULL: out of memory. */
static char *line_of(const char *name, cnode_term event)
{
	cnode_term a, b;
	cnode_pid to;
	char *line = NULL, *one = NULL, *two = NULL, *three = NULL;
	cnode_term pid = { 0 };
	if (cnode_scan(event, "{in,{'$gen_call',{~p,_},~t}}", &to, &a) == 0) {
		if (cnode_format(&pid, "~p", to) == 0 && (one = cnode_term_text(a)) && (two = cnode_term_text(pid)))
			line = cn_asprintf("*DBG* %s got call %s from %s\n", name, one, two);
	} else if (cnode_scan(event, "{in,{'$gen_cast',~t}}", &a) == 0) {
		if ((one = cnode_term_text(a)))
			line = cn_asprintf("*DBG* %s got cast %s\n", name, one);
	} else if (cnode_scan(event, "{in,~t}", &a) == 0) {
		if ((one = cnode_term_text(a)))
			line = cn_asprintf("*DBG* %s got %s\n", name, one);
	} else if (cnode_scan(event, "{out,~t,{~p,_},~t}", &a, &to, &b) == 0) {
		if (cnode_format(&pid, "~p", to) == 0 && (one = cnode_term_text(a)) && (two = cnode_term_text(pid)) &&
		    (three = cnode_term_text(b)))
			line = cn_asprintf("*DBG* %s sent %s to %s, new state %s\n", name, one, two, three);
	} else if (cnode_scan(event, "{noreply,~t}", &a) == 0) {
		if ((one = cnode_term_text(a)))
			line = cn_asprintf("*DBG* %s new state %s\n", name, one);
	}
	cnode_term_drop(pid);
	cnode_free(one);
	cnode_free(two);
	cnode_free(three);
	return line;
}

/*
 * On the shell of whoever spawned it, or where else its group leader is. One that leads itself would trace
 * what it is asked to write for ever: its events are in the log.
 */
static void print(struct gen *g, cnode_term event)
{
	char *line = line_of(cn_process_label(g->self), event);
	if (!line)
		return;
	if (cnode_pid_equal(cnode_group_leader(g->self), cnode_self(g->self)))
		cnode_log(g->self, CNODE_LOG_NOTICE, "%.*s", (int)strcspn(line, "\n"), line);
	else
		(void)cnode_printf(g->self, "%s", line);        /* lost is lost, as all output of a process */
	cn_free(line);
}

/* ---- events ---- */

/* Takes the event. */
static void happened(struct gen *g, cnode_term event)
{
	struct debug *d = g->debug;
	if (d->trace && !CN_MUTANT(sys_trace_silent))
		print(g, event);
	if (!d->events || CN_MUTANT(sys_log_forgets)) {
		cnode_term_drop(event);
		return;
	}
	cnode_term_drop(d->events[d->next]);
	d->events[d->next] = event;
	d->next = (d->next + 1) % d->room;
	d->count += d->count < d->room;
}

void debug_in(struct gen *g, const struct cn_message *m)
{
	cnode_term message, event;
	g->debug->in++;
	if ((!g->debug->trace && !g->debug->events) || cn_message_term(m, &message) != 0)
		return;
	if (cnode_format(&event, "{in,~t}", message) == 0)
		happened(g, event);
	cnode_term_drop(message);
}

void debug_out(struct gen *g, cnode_pid to, cnode_term tag, cnode_term message)
{
	cnode_term reply, shown, event;
	g->debug->out += !CN_MUTANT(sys_statistics_half);
	if ((!g->debug->trace && !g->debug->events) || cnode_scan(message, "{_,~t}", &reply) != 0 || show_state(g, &shown) != 0)
		return;
	if (cnode_format(&event, "{out,~t,{~p,~t},~t}", reply, to, tag, shown) == 0)
		happened(g, event);
	cnode_term_drop(shown);
}

void debug_noreply(struct gen *g)
{
	cnode_term shown, event;
	if ((!g->debug->trace && !g->debug->events) || show_state(g, &shown) != 0)
		return;
	if (cnode_format(&event, "{noreply,~t}", shown) == 0)
		happened(g, event);
	cnode_term_drop(shown);
}

/* ---- sys:debug_cmd ---- */

static int done(struct cnode_from *from, int rc)
{
	return rc == 0 ? cnode_reply(from, "ok") : cnode_reply(from, "{error,~a}", cnode_error_atom(rc));
}

static int get_log(struct gen *g, struct cnode_from *from)
{
	struct cnode_builder b;
	cnode_term events;
	cn_builder_init(&b);
	debug_build_log(g, &b);
	int rc = cnode_builder_term(&b, &events);
	cn_builder_fini(&b);
	if (rc != 0)
		return done(from, rc);
	rc = cnode_reply(from, "{ok,~t}", events);
	cnode_term_drop(events);
	return rc;
}

static int get_statistics(struct gen *g, struct cnode_from *from)
{
	const struct debug *d = g->debug;
	if (!d || !d->statistics)
		return cnode_reply(from, "{ok,no_statistics}");
	struct tm then, now;
	time_t present = time(NULL);
	localtime_r(&d->since, &then);
	localtime_r(&present, &now);
	return cnode_reply(from, "{ok,[{start_time,{{~q,~q,~q},{~q,~q,~q}}},{current_time,{{~q,~q,~q},{~q,~q,~q}}},"
			   "{reductions,~q},{messages_in,~q},{messages_out,~q}]}",
			   (int64_t)then.tm_year + 1900, (int64_t)then.tm_mon + 1, (int64_t)then.tm_mday, (int64_t)then.tm_hour,
			   (int64_t)then.tm_min, (int64_t)then.tm_sec, (int64_t)now.tm_year + 1900, (int64_t)now.tm_mon + 1,
			   (int64_t)now.tm_mday, (int64_t)now.tm_hour, (int64_t)now.tm_min, (int64_t)now.tm_sec,
			   (int64_t)(reductions(g) - d->reductions), (int64_t)d->in, (int64_t)d->out);
}

bool debug_begins(cnode_term what)
{
	return cnode_scan(what, "{trace,true}") == 0 || cnode_scan(what, "{statistics,true}") == 0 ||
	       cnode_scan(what, "{log,true}") == 0 || cnode_scan(what, "{log,{true,_}}") == 0;
}

int debug_command(struct gen *g, struct cnode_from *from, cnode_term what)
{
	struct debug *d = g->debug;
	int64_t n;
	if (cnode_scan(what, "{log,get}") == 0)
		return get_log(g, from);
	if (cnode_scan(what, "{statistics,get}") == 0)
		return get_statistics(g, from);
	if (cnode_scan(what, "{log,print}") == 0) {
		for (uint32_t i = 0; d && i < d->count; i++)
			print(g, event_at(d, i));
		return done(from, 0);
	}
	if (cnode_scan(what, "{log,true}") == 0)
		return done(from, log_on(g, LOG_DEFAULT));
	if (cnode_scan(what, "{log,{true,~q}}", &n) == 0 && n >= 1)
		return done(from, n <= LOG_MAX ? log_on(g, n) : CNODE_ESYSLIMIT);
	if (cnode_scan(what, "{statistics,true}") == 0)
		return done(from, statistics_on(g));
	if (cnode_scan(what, "{trace,true}") == 0) {
		if (!make(g))
			return done(from, CNODE_ENOMEM);
		g->debug->trace = true;
		return done(from, 0);
	}
	/* Funs run nowhere here, and no caller names a file of this machine. */
	if (cnode_scan(what, "{install,_}") == 0)
		return done(from, CNODE_ENOTSUP);
	if (cnode_scan(what, "{log_to_file,_}") == 0 && cnode_scan(what, "{log_to_file,false}") != 0)
		return cnode_reply(from, "{error,open_file}");
	if (cnode_scan(what, "{log,false}") == 0) {
		if (d)
			log_off(d);
	} else if (cnode_scan(what, "{statistics,false}") == 0) {
		if (d)
			d->statistics = false;
	} else if (cnode_scan(what, "{trace,false}") == 0) {
		if (d && !CN_MUTANT(sys_trace_endless))
			d->trace = false;
	} else if (cn_term_is_atom(what, "no_debug")) {
		if (!CN_MUTANT(sys_no_debug_ignored))
			debug_free(g);
	} else if (cnode_scan(what, "{log_to_file,false}") != 0 && cnode_scan(what, "{remove,_}") != 0) {
		return cnode_reply(from, "unknown_debug");
	}
	free_if_off(g);
	return done(from, 0);
}
