/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One node for the tests of global: its name server, locker and registrar, with frames of BEAM nodes as they were
 * recorded in place of the network.
 */
#ifndef TESTS_GLOBAL_WORLD_H
#define TESTS_GLOBAL_WORLD_H

#include "cnode/global/inner.h"
#include "tests/global_frames.h"
#include "tests/supervised_world.h"

/* What the services sent to other nodes, in full. */
static char *said[256];
static size_t said_count;
static char dropped[256];       /* nodes whose connection global closed */

static inline void remember(struct world *w, const struct cn_signal *sig)
{
	(void)w;
	if (said_count == CN_ARRAY_SIZE(said))
		return;
	char *text = sig->term.size_ ? cnode_term_text(sig->term) : strdup("");
	char *line = NULL;
	if (asprintf(&line, "%s %s%s", kind_name(sig->kind), sig->to_name ? "" : "pid ", text) >= 0)
		said[said_count++] = line;
	free(text);
}

static inline void forget(void)
{
	while (said_count > 0)
		free(said[--said_count]);
}

/* The last line that has this in it; NULL: none. */
static inline const char *was_said(const char *part)
{
	for (size_t i = said_count; i-- > 0;)
		if (strstr(said[i], part))
			return said[i];
	return NULL;
}

static inline void on_disconnect(void *ctx, cnode_name node)
{
	char text[CNODE_NAME_SIZE];
	(void)ctx;
	cnode_name_text(node, text);
	strncat(dropped, text, sizeof dropped - strlen(dropped) - 2);
	strcat(dropped, " ");
}

static inline void on_disconnect_all(void *ctx)
{
	(void)ctx;
	strcat(dropped, "all ");
}

static struct cn_global *G;
static struct cn_functions *F;
static struct cn_guard *guard;

static inline void setup(void)
{
	static const struct cn_global_ops ops = { .disconnect = on_disconnect, .disconnect_all = on_disconnect_all };
	cnode_name px;
	ck_assert_int_eq(world_open(NULL), 0);
	ck_assert_int_eq(cnode_name_of("px@vm", &px), 0);
	cn_procs_rename(W.procs, px, 0x91414fbe);
	W.own = px;
	W.hook = remember;
	dropped[0] = 0;
	ck_assert_int_eq(cn_guard_new(NULL, &guard), 0);
	ck_assert_int_eq(cn_functions_new(guard, &F), 0);
	ck_assert_int_eq(supervise(), 0);
	struct cn_global_config config = { .procs = W.procs, .supervisor = V, .functions = F, .ops = &ops };
	ck_assert_int_eq(cn_global_new(&config, &G), 0);
	G->first_tag = INT64_C(-576460752303423488);    /* so that the first session has the tag of the frames */
	ck_assert_int_eq(cn_global_start(G), 0);
	run();
}

static inline void teardown(void)
{
	world_close();
	cn_global_free(G);
	cn_supervisor_free(V);
	cn_functions_free(F);
	cn_guard_free(guard);
	forget();
}

static inline void event(const char *node, bool up)
{
	cnode_name_of(node, &W.peer);
	struct cn_node_event e = { .node = W.peer, .connection_id = W.epoch, .visible = true, .up = up,
				   .reason = up ? (cnode_term){ 0 } : cn_term_static("w\21connection_closed", 19) };
	cn_procs_node_event(W.procs, &e);
	run();
}

/* A message of a process <Node.Id> to a registered name here, or to a pid. */
static inline void from(const char *node, uint32_t id, cnode_pid to, cnode_term term)
{
	cnode_name_of(node, &W.peer);
	struct cn_signal sig = FROM_PEER(MESSAGE, remote(id), to, .term = term);
	if (cnode_pid_is_none(to))
		sig.to_name = SERVER;
	ck_assert_int_eq(cn_procs_deliver(W.procs, &sig), 0);
	run();
}

/* Whose pids remote() makes from now on. */
static inline void at(const char *node)
{
	cnode_name_of(node, &W.peer);
}

static inline void tell_server(const char *node, const char *format, ...)
{
	cnode_term t;
	va_list args;
	va_start(args, format);
	ck_assert_int_eq(cnode_vformat(&t, format, args), 0);
	va_end(args);
	from(node, 55, (cnode_pid){ 0 }, t);
	cnode_term_drop(t);
}

/* The message in a pass-through frame of a BEAM node: 112, control, message. */
static inline cnode_term frame_term(const char *hex)
{
	uint8_t bytes[1024];
	size_t size = 0;
	struct cn_verify v;
	cnode_term t;
	for (; hex[0] && hex[1]; hex += 2) {
		unsigned byte;
		ck_assert_int_eq(sscanf(hex, "%2x", &byte), 1);
		bytes[size++] = (uint8_t)byte;
	}
	ck_assert_int_eq(bytes[0], 112);
	cn_verify_init(&v, NULL, 0);
	ck_assert_int_eq(cn_verify_all(&v, bytes + 2, size - 2), 0);
	size_t begin = 2 + v.offset;
	cn_verify_fini(&v);
	ck_assert_int_eq(cnode_term_from_bytes(bytes + begin, size - begin, &t), 0);
	return t;
}

/* It goes to whom it was sent. */
static inline void frame(const char *node, const char *hex)
{
	cnode_term t = frame_term(hex);
	from(node, 55, (cnode_pid){ 0 }, t);
	cnode_term_drop(t);
}

/* A session with r1@vm as far as the frames go: its tag there is what they were recorded with. */
#define TAG "-576460752303423487"
#define FIRST_TAG INT64_C(-576460752303423487)
static inline void begin_session(void)
{
	event("r1@vm", true);
	ck_assert_ptr_nonnull(was_said("{'$gen_cast',{init_connect,{8," TAG "},px@vm,{locker,no_longer_a_pid,[overlap_obey],"));
	frame("r1@vm", frame_init_connect_25);
	ck_assert_ptr_nonnull(was_said("{init_connect_ack,px@vm,-576460752303423484," TAG "}"));
}

static inline cnode_term term(const char *text)
{
	cnode_term t = text_term(text);
	ck_assert(t.size_ > 0);
	return t;
}

/* Time goes on. */
static inline void pass(uint64_t seconds)
{
	cn_sched_expire(W.procs, cn_now() + seconds * CN_NS_PER_S, 1000);
	run();
}

static inline cnode_global_info looked(void)
{
	cnode_global_info info = { .size = sizeof info };
	ck_assert_int_eq(cn_global_look(G, &info), 0);
	return info;
}

static inline bool is_registered(const char *name, cnode_pid *pid)
{
	cnode_term t = term(name);
	bool found = cn_global_whereis(G, t, pid) == 0;
	cnode_term_drop(t);
	return found;
}

#endif
