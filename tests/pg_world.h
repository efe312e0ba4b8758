/* SPDX-License-Identifier: Apache-2.0 */
/* For the tests of process groups: one scope here, the servers of r@h and other@h played by the test. */
#ifndef TESTS_PG_WORLD_H
#define TESTS_PG_WORLD_H

#include "cnode/pg/pg.h"
#include "tests/supervised_world.h"

static struct cn_pg *P;
static struct cnode_process *A, *B;     /* processes of this node */
static cnode_pid S;                     /* the server of the scope sc */
static bool two_peers;

static int peers(void *ctx, int (*each)(void *context, const char *name, bool visible), void *context)
{
	(void)ctx;
	int rc = each(context, "r@h", true);
	return rc == 0 && two_peers ? each(context, "other@h", false) : rc;
}
static const struct cn_pg_ops ops = { .peers = peers };

static inline int pg_open(void)
{
	int rc = supervise();
	return rc != 0 ? rc : cn_pg_new(W.procs, V, NULL, &ops, NULL, &P);
}

static inline void setup(void)
{
	ck_assert_int_eq(world_open(NULL), 0);
	ck_assert_int_eq(pg_open(), 0);
	A = hand(NULL);
	B = hand(NULL);
	ck_assert_int_eq(cn_pg_start(P, "sc", 0), 0);
	run();
	ck_assert_int_eq(cn_procs_whereis(W.procs, "sc", &S), 0);
}
static inline void teardown(void)
{
	if (A)
		hand_exit(A, "normal");
	if (B)
		hand_exit(B, "normal");
	world_close();
	cn_pg_free(P);
	cn_supervisor_free(V);
}

/* What left; the server is <S>, A is <A>, B is <B>. */
static inline const char *out(void)
{
	static char text[SENT_MAX];
	char name[3][64];
	cnode_pid pids[] = { S, A ? cnode_self(A) : S, B ? cnode_self(B) : S };
	run();
	const char *from = sent();
	for (int i = 0; i < 3; i++)
		snprintf(name[i], sizeof name[i], "<me@h.%u.%u>", pids[i].id, pids[i].serial);
	size_t n = 0;
	while (*from && n < sizeof text - 4) {
		int found = -1;
		for (int i = 0; i < 3 && found < 0; i++)
			if (strncmp(from, name[i], strlen(name[i])) == 0)
				found = i;
		if (found >= 0) {
			text[n++] = "SAB"[found];
			from += strlen(name[found]);
		} else {
			text[n++] = *from++;
		}
	}
	text[n] = '\0';
	return text;
}

/* A message of the process `id` of r@h to the server, by format with pids of r@h. */
static inline void say(const char *format, cnode_pid a, cnode_pid b, cnode_pid c)
{
	cnode_term t;
	ck_assert_int_eq(cnode_format(&t, format, a, b, c), 0);
	struct cn_signal sig = FROM_PEER(MESSAGE, remote(9), S, .term = t);
	deliver(&sig);
	cnode_term_drop(t);
	run();
}
static inline void say_text(const char *text)
{
	cnode_term t = text_term(text);
	ck_assert_msg(t.size_, "%s", text);
	struct cn_signal sig = FROM_PEER(MESSAGE, remote(9), S, .term = t);
	deliver(&sig);
	cnode_term_drop(t);
	run();
}
static inline cnode_pid R(uint32_t id) { return remote(id); }
#define NONE ((cnode_pid){ .node = W.peer, .id = 1, .creation = 5 })

static inline int join(const char *group, struct cnode_process *p)
{
	cnode_term g = text_term(group);
	cnode_pid pid = cnode_self(p);
	int rc = cn_pg_join(P, "sc", &pid, 1, g);
	cnode_term_drop(g);
	return rc;
}
static inline int leave(const char *group, struct cnode_process *p)
{
	cnode_term g = text_term(group);
	cnode_pid pid = cnode_self(p);
	int rc = cn_pg_leave(P, "sc", &pid, 1, g);
	cnode_term_drop(g);
	return rc;
}
/* The ids of a group's members, sorted, "1 9 9"; A is 'A', B is 'B'. */
static inline const char *members_of(const char *group, bool local)
{
	static char text[512];
	cnode_pid pids[64];
	size_t count, n = 0;
	cnode_term g = text_term(group);
	ck_assert_int_eq(cn_pg_members(P, "sc", local, g, pids, 64, &count), 0);
	cnode_term_drop(g);
	ck_assert_uint_le(count, 64);
	text[0] = '\0';
	for (uint32_t id = 0; id < 100; id++)
		for (size_t i = 0; i < count; i++) {
			bool own = pids[i].node == W.own;
			if (pids[i].id != id)
				continue;
			const char *gap = n ? " " : "";
			if (own)
				n += (size_t)snprintf(text + n, sizeof text - n, "%s%c", gap,
						      A && cnode_pid_equal(pids[i], cnode_self(A)) ? 'A' : 'B');
			else
				n += (size_t)snprintf(text + n, sizeof text - n, "%s%u", gap, id);
		}
	return text;
}
static inline const char *members(const char *group) { return members_of(group, false); }

static int add_group(void *context, cnode_term group)
{
	char *text = context;
	size_t n = strlen(text);
	if (n)
		text[n++] = ' ';
	cnode_term_print(group, text + n, 200 - n);
	return 0;
}
static inline const char *groups(bool local)
{
	static char text[200];
	text[0] = '\0';
	ck_assert_int_eq(cn_pg_groups(P, "sc", local, add_group, text), 0);
	return text;
}

/* r@h's server 9 knows us, and we know it. */
static inline void meet(void)
{
	say("{discover,~p}", R(9), NONE, NONE);
	say("{'$gen_cast',{sync,~p,[]}}", R(9), NONE, NONE);
	out();
}

static inline void node_up(void)
{
	struct cn_node_event up = { .node = W.peer, .connection_id = 2, .visible = true, .up = true };
	cn_procs_node_event(W.procs, &up);
	run();
}

#define WORKERS "Elixir.Phoenix.PubSub"

#endif
