/* SPDX-License-Identifier: Apache-2.0 */
/* Process groups when memory lacks, and against a model of OTP's servers. */
#include "tests/alloc_fail.h"
#include "tests/pg_world.h"

/* ---- memory ---- */

static void life(void)
{
	cnode_ref ref;
	cnode_term now;
	if (world_open(NULL) != 0)
		goto close;
	if (pg_open() != 0)
		goto close;
	A = hand(NULL);
	B = hand(NULL);
	cnode_term g = text_term("{group,1}");
	if (A && B && g.size_ && cn_pg_start(P, "sc", 0) == 0) {
		run();
		bool runs = cn_procs_whereis(W.procs, "sc", &S) == 0;
		cnode_pid pids[] = { cnode_self(A), cnode_self(B) };
		cn_pg_join(P, "sc", pids, 2, g);
		if (cn_pg_monitor(P, A, "sc", g, &ref, &now) == 0)
			cnode_term_drop(now);
		static const char *const formats[] = {
			"{discover,~p}", "{'$gen_cast',{sync,~p,[{g,[~p]}]}}", "{join,~p,{group,1},~p}", "{leave,~p,~p,[{group,1}]}",
		};
		for (size_t i = 0; i < CN_ARRAY_SIZE(formats) && runs; i++) {
			cnode_term t;
			if (cnode_format(&t, formats[i], R(9), R(21)) != 0)
				continue;
			struct cn_signal sig = FROM_PEER(MESSAGE, remote(9), S, .term = t);
			deliver(&sig);
			cnode_term_drop(t);
			run();
		}
		cn_pg_leave(P, "sc", pids, 1, g);
		run();
		size_t count;
		cn_pg_members(P, "sc", false, g, NULL, 0, &count);
		char text[200] = "";
		cn_pg_groups(P, "sc", false, add_group, text);
		cn_sched_expire(W.procs, cn_now() + 2 * CN_NS_PER_S, 100);
		run();
		cn_pg_demonitor(P, A, "sc", ref);
		cn_pg_stop(P, "sc");
		run();
		if (cn_pubsub_start(P, "X", 2, 0) == 0) {
			run();
			cn_pubsub_subscribe(P, A, "X", "t");
			cn_pubsub_broadcast(P, B, "X", 0, "t", g);
			run();
			cn_pubsub_unsubscribe(P, A, "X", "t");
			cn_pubsub_stop(P, "X");
			run();
		}
		cn_pg_stop(P, WORKERS);
		run();
	}
	cnode_term_drop(g);
	if (A)
		hand_exit(A, "normal");
	if (B)
		hand_exit(B, "normal");
	run();
close:
	if (W.procs)
		ck_assert_uint_eq(cn_procs_count(W.procs), 0);
	world_close();
	cn_pg_free(P);
	P = NULL;
	cn_supervisor_free(V);
	V = NULL;
}

START_TEST(every_failed_allocation_is_survived)
{
	alloc_fail_each(life);
}
END_TEST

/* Who missed a change gets a sync, and is told no half of it before. */
START_TEST(what_could_not_be_told_comes_with_a_sync)
{
	meet();
	atomic_store(&W.answer, CNODE_ENOMEM);
	join("g", A);
	out();
	atomic_store(&W.answer, 0);
	ck_assert_int_eq(leave("g", A), 0);
	join("h", A);
	ck_assert_str_eq(out(), "");
	cn_sched_expire(W.procs, cn_now() + 2 * CN_NS_PER_S, 100);
	ck_assert_str_eq(out(), "MESSAGE 3 -> 9 {'$gen_cast',{sync,S,[{h,[A]}]}}");
	join("i", A);
	ck_assert_str_eq(out(), "MESSAGE 3 -> 9 {join,S,i,A}");
}
END_TEST

/* ---- what OTP's servers survive ---- */

/*
 * Servers of r@h as pg.erl has them: from a discover or a sync on they know ours, with the groups it has told them
 * of, and end (here: fail) for a leave of another one, and for anything that they have no clause for. What comes from
 * a server that they do not know they ignore.
 */
#define MODEL_SERVERS 4
#define MODEL_GROUPS 4
#define MODEL_PIDS 4
static struct model {
	bool known, synced;
	unsigned members[MODEL_GROUPS][MODEL_PIDS];
} model[MODEL_SERVERS];
static cnode_pid model_pid[MODEL_PIDS];

static unsigned model_group(cnode_term name)
{
	for (unsigned i = 0; i < MODEL_GROUPS; i++)
		if (cn_term_is_atom(name, ((const char *[]){ "a", "b", "c", "d" })[i]))
			return i;
	ck_abort_msg("a group that nobody joined");
	return 0;
}

/* Each pid of a list, or the one pid. */
static void model_each(struct model *m, unsigned group, cnode_term who, int by)
{
	cnode_pid pid;
	if (cn_term_pid(who, &pid) == 0) {
		unsigned i = 0;
		while (i < MODEL_PIDS && !cnode_pid_equal(model_pid[i], pid))
			i++;
		if (i == MODEL_PIDS)
			return;         /* one that has ended */
		ck_assert_msg(by > 0 || m->members[group][i] > 0, "a leave of who has not joined");
		m->members[group][i] += (unsigned)by;
		return;
	}
	cnode_reader r = cnode_read(who);
	for (size_t n; (n = cnode_read_list(&r)) > 0;)
		while (n-- > 0)
			model_each(m, group, cnode_read_term(&r), by);
	ck_assert_int_eq(r.error, 0);
}

static void model_hears(struct world *w, const struct cn_signal *sig)
{
	cnode_term who, group, list;
	if (sig->kind != CN_SIG_MESSAGE || atomic_load(&w->answer) != 0)
		return;                 /* not one to a server, or it is lost on the way */
	if (sig->to_name) {
		ck_assert_int_eq(cnode_scan(sig->term, "{discover,_}"), 0);
		for (unsigned i = 0; i < MODEL_SERVERS; i++)
			model[i].known = true;
		return;
	}
	ck_assert(sig->to.id >= 100 && sig->to.id < 100 + MODEL_SERVERS);
	struct model *m = &model[sig->to.id - 100];
	if (cnode_scan(sig->term, "{discover,_}") == 0) {
		m->known = true;
		return;
	}
	if (cnode_scan(sig->term, "{'$gen_cast',{sync,_,~t}}", &list) == 0) {
		memset(m, 0, sizeof *m);
		m->known = m->synced = true;
		cnode_reader r = cnode_read(list);
		for (size_t n; (n = cnode_read_list(&r)) > 0;)
			while (n-- > 0) {
				ck_assert_int_eq(cnode_scan(cnode_read_term(&r), "{~t,~t}", &group, &who), 0);
				for (unsigned i = 0; i < MODEL_PIDS; i++)
					ck_assert_uint_eq(m->members[model_group(group)][i], 0);
				model_each(m, model_group(group), who, 1);
			}
		return;
	}
	if (!m->known)
		return;
	if (cnode_scan(sig->term, "{join,_,~t,~t}", &group, &who) == 0) {
		model_each(m, model_group(group), who, 1);
		return;
	}
	ck_assert_int_eq(cnode_scan(sig->term, "{leave,_,~t,~t}", &who, &list), 0);
	cnode_reader r = cnode_read(list);
	for (size_t n; (n = cnode_read_list(&r)) > 0;)
		while (n-- > 0)
			model_each(m, model_group(cnode_read_term(&r)), who, -1);
}

static uint32_t rolls;
static uint32_t roll(uint32_t sides)
{
	rolls = rolls * 1664525u + 1013904223u;
	return (rolls >> 8) % sides;
}

static void model_step(struct cnode_process *hands[MODEL_PIDS])
{
	static const char *const names[] = { "a", "b", "c", "d" };
	unsigned i = roll(MODEL_PIDS), k = roll(MODEL_SERVERS);
	cnode_pid pids[4], server = R(100 + k);
	switch (roll(12)) {
	case 0:
	case 1:
	case 2: {
		cnode_term g = text_term(names[roll(MODEL_GROUPS)]);
		size_t n = 1 + roll(3);
		for (size_t p = 0; p < n; p++)
			pids[p] = model_pid[roll(MODEL_PIDS)];
		if (roll(3) > 0)
			cn_pg_join(P, "sc", pids, n, g);
		else
			cn_pg_leave(P, "sc", pids, n, g);
		cnode_term_drop(g);
		return;
	}
	case 3:
	case 4:
		leave(names[roll(MODEL_GROUPS)], hands[i]);
		return;
	case 5:                         /* ends, and another one takes its place: the servers hear of both */
		hand_exit(hands[i], "boom");
		run();
		hands[i] = hand(NULL);
		model_pid[i] = cnode_self(hands[i]);
		for (unsigned s = 0; s < MODEL_SERVERS; s++)
			for (unsigned g = 0; g < MODEL_GROUPS; g++)
				model[s].members[g][i] = 0;
		return;
	case 6:
		say("{discover,~p}", server, NONE, NONE);
		return;
	case 7:
		say("{'$gen_cast',{sync,~p,[{x,[~p]}]}}", server, R(50), NONE);
		return;
	case 8:                         /* the connection ends, and with it what the servers knew */
		cn_procs_nodedown(W.procs, W.peer, atomic_fetch_add(&W.epoch, 1), "noconnection", 1000);
		memset(model, 0, sizeof model);
		run();
		node_up();
		return;
	case 9:                         /* no memory for what is sent */
		atomic_store(&W.answer, CNODE_ENOMEM);
		return;
	case 10:
		atomic_store(&W.answer, 0);
		cn_sched_expire(W.procs, cn_now() + 2 * CN_NS_PER_S, 100);
		run();
		return;
	default:
		run();
	}
}

START_TEST(no_server_is_told_what_would_end_it)
{
	struct cnode_process *hands[MODEL_PIDS];
	W.hook = model_hears;
	for (unsigned i = 0; i < MODEL_PIDS; i++) {
		hands[i] = hand(NULL);
		model_pid[i] = cnode_self(hands[i]);
	}
	for (uint32_t seed = 1; seed <= 100; seed++) {
		rolls = seed;
		for (int i = 0; i < 200; i++)
			model_step(hands);
		/* When all is told, the servers that know us know what is true. */
		atomic_store(&W.answer, 0);
		for (int i = 0; i < 3; i++) {
			cn_sched_expire(W.procs, cn_now() + 2 * CN_NS_PER_S, 100);
			run();
		}
		for (unsigned k = 0; k < MODEL_SERVERS; k++)
			for (unsigned g = 0; g < MODEL_GROUPS && model[k].synced; g++) {
				cnode_pid pids[2000];
				size_t count;
				cnode_term name = text_term(((const char *[]){ "a", "b", "c", "d" })[g]);
				ck_assert_int_eq(cn_pg_members(P, "sc", true, name, pids, 2000, &count), 0);
				cnode_term_drop(name);
				for (unsigned i = 0; i < MODEL_PIDS; i++) {
					unsigned n = 0;
					for (size_t p = 0; p < count; p++)
						n += cnode_pid_equal(pids[p], model_pid[i]);
					ck_assert_msg(n == model[k].members[g][i], "seed %u: %u of ours in %u, the server knows %u", seed, n, g,
						      model[k].members[g][i]);
				}
			}
	}
	ck_assert(cn_procs_is_alive(W.procs, S));
	for (unsigned i = 0; i < MODEL_PIDS; i++)
		hand_exit(hands[i], "normal");
	W.hook = NULL;
}
END_TEST
int main(void)
{
	Suite *s = suite_create("pg_model");
	TCase *t = tcase_create("model");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, what_could_not_be_told_comes_with_a_sync);
	tcase_add_test(t, no_server_is_told_what_would_end_it);
	suite_add_tcase(s, t);
	t = tcase_create("memory");
	tcase_add_test(t, every_failed_allocation_is_survived);
	suite_add_tcase(s, t);
	return tap_run(s);
}
