/* SPDX-License-Identifier: Apache-2.0 */
/* proc under several threads: order, exactly one of everything, death in mid-callback. Worth most under TSan. */
#include "tests/tap.h"
#include "tests/proc_world.h"

#include <sched.h>

static void setup(void)
{
	ck_assert_int_eq(world_open(NULL), 0);
}
static void teardown(void)
{
	world_close();
}

static uint32_t next(uint32_t *x)
{
	*x = *x * 1664525 + 1013904223;
	return *x >> 8;
}

static void threads(int n, void (*body)(void *))
{
	struct cn_thread t[8];
	for (int i = 0; i < n; i++)
		ck_assert_int_eq(cn_thread_start(&t[i], "race", body, (void *)(uintptr_t)(unsigned)i), 0);
	for (int i = 0; i < n; i++)
		cn_thread_join(&t[i]);
}

/* ---- exactly one DOWN for each monitor, one EXIT for each link ---- */

#define TARGETS 32
#define OPEN_MAX 4096

static struct { struct cn_mutex lock; struct cnode_process *process; } target[TARGETS];
static _Atomic int failures;
#define CHECK(c) do { if (!(c)) { fprintf(stderr, "# %s:%d: %s\n", __FILE__, __LINE__, #c); atomic_fetch_add(&failures, 1); } } while (0)

struct open { cnode_ref ref[OPEN_MAX]; uint32_t refs; cnode_pid link[OPEN_MAX]; uint32_t links; };

static bool take_ref(struct open *o, const cnode_ref *ref)
{
	for (uint32_t i = 0; i < o->refs; i++)
		if (cnode_ref_equal(o->ref[i], *ref)) {
			o->ref[i] = o->ref[--o->refs];
			return true;
		}
	return false;
}
static bool take_link(struct open *o, cnode_pid pid)
{
	for (uint32_t i = 0; i < o->links; i++)
		if (cnode_pid_equal(o->link[i], pid)) {
			o->link[i] = o->link[--o->links];
			return true;
		}
	return false;
}
static void drain(struct cnode_process *self, struct open *o)
{
	struct cn_message *m;
	while ((m = cn_process_receive(self, NULL, NULL))) {
		if (m->kind == CN_MSG_DOWN)
			CHECK(take_ref(o, &m->about->ref));
		if (m->kind == CN_MSG_EXIT)
			CHECK(take_link(o, m->about->pid));
		cn_message_free(self, m);
	}
}
static bool exit_of(void *ctx, const struct cn_message *m)
{
	return m->kind == CN_MSG_EXIT && cnode_pid_equal(m->about->pid, *(cnode_pid *)ctx);
}

static void random_relations(void *arg)
{
	uint32_t x = (uint32_t)(uintptr_t)arg * 7919 + 1;
	struct open *o = calloc(1, sizeof *o);
	struct cnode_process *self = hand(NULL);
	cnode_trap_exit(self, true);
	for (int i = 0; i < 4000; i++) {
		unsigned n = next(&x) % TARGETS;
		cn_mutex_lock(&target[n].lock);
		cnode_pid pid = cnode_self(target[n].process);
		cn_mutex_unlock(&target[n].lock);
		switch (next(&x) % 8) {
		case 0:
		case 1:
			if (o->refs < OPEN_MAX)
				CHECK(cnode_monitor(self, pid, &o->ref[o->refs++]) == 0);
			break;
		case 2:
			if (o->refs) {
				cnode_ref ref = o->ref[next(&x) % o->refs];
				CHECK(cnode_demonitor(self, ref, CNODE_FLUSH) == 0);
				take_ref(o, &ref);
			}
			break;
		case 3:
		case 4:
			if (!take_link(o, pid)) {
				o->link[o->links++] = pid;
				CHECK(cnode_link(self, pid) == 0);
			} else {
				CHECK(cnode_unlink(self, pid) == 0);
				struct cn_message *m = cn_process_receive(self, exit_of, &pid);
				cn_message_free(self, m);
			}
			break;
		case 5:
			CHECK(cnode_exit(self, pid, next(&x) % 2 ? "kill" : "boom") == 0);
			break;
		case 6:
			cn_mutex_lock(&target[n].lock);
			hand_exit(target[n].process, "done");
			target[n].process = hand(NULL);
			cn_mutex_unlock(&target[n].lock);
			break;
		default:
			drain(self, o);
			break;
		}
	}
	for (unsigned n = 0; n < TARGETS; n++) {
		cn_mutex_lock(&target[n].lock);
		cnode_pid pid = cnode_self(target[n].process);
		cn_mutex_unlock(&target[n].lock);
		cnode_exit(self, pid, "kill");
	}
	/* Deaths with few relations are emitted by the killer, or by the thread that it found sending. */
	for (int i = 0; i < 10000 && (o->refs || o->links); i++) {
		drain(self, o);
		while (cn_sched_run(W.procs, true, 0))
			;
		sched_yield();
	}
	CHECK(o->refs == 0);
	CHECK(o->links == 0);
	cn_process_exit(self, cn_term_static("\167\4done", 6));
	free(o);
}

START_TEST(four_threads_get_exactly_one_down_and_one_exit_for_each)
{
	for (unsigned n = 0; n < TARGETS; n++) {
		cn_mutex_init(&target[n].lock);
		target[n].process = hand(NULL);
	}
	threads(4, random_relations);
	ck_assert_int_eq(atomic_load(&failures), 0);
	for (unsigned n = 0; n < TARGETS; n++)
		hand_exit(target[n].process, "done");
	ck_assert_uint_eq(cn_procs_count(W.procs), 0);
}
END_TEST

/* ---- the same with a peer whose connection goes down again and again ---- */

static _Atomic bool stop;

static void remote_relations(void *arg)
{
	uint32_t x = (uint32_t)(uintptr_t)arg * 7919 + 1;
	struct open *o = calloc(1, sizeof *o);
	struct cnode_process *self = hand(NULL);
	cnode_trap_exit(self, true);
	for (int i = 0; i < 5000; i++) {
		cnode_pid pid = remote(next(&x) % 64 + 1);
		switch (next(&x) % 8) {
		case 0: case 1: case 2:
			if (o->refs < OPEN_MAX)
				CHECK(cnode_monitor(self, pid, &o->ref[o->refs++]) == 0);
			break;
		case 3:
			if (o->refs) {
				cnode_ref ref = o->ref[next(&x) % o->refs];
				CHECK(cnode_demonitor(self, ref, CNODE_FLUSH) == 0);
				take_ref(o, &ref);
			}
			break;
		case 4:
			if (!take_link(o, pid)) {
				o->link[o->links++] = pid;
				CHECK(cnode_link(self, pid) == 0);
			} else {
				CHECK(cnode_unlink(self, pid) == 0);
				cn_message_free(self, cn_process_receive(self, exit_of, &pid));
			}
			break;
		case 5:
			CHECK(cnode_monitor_node(self, "r@h", true) == 0);
			break;
		default:
			drain(self, o);
			break;
		}
	}
	for (int i = 0; i < 200000 && (o->refs || o->links); i++) {
		drain(self, o);
		sched_yield();
	}
	CHECK(o->refs == 0);
	CHECK(o->links == 0);
	cn_process_exit(self, cn_term_static("\167\4done", 6));
	free(o);
}
static void connection_ends(void *arg)
{
	(void)arg;
	while (!atomic_load(&stop)) {
		uint64_t ended = atomic_fetch_add(&W.epoch, 1);
		while (!cn_procs_nodedown(W.procs, W.peer, ended, "noconnection", 50))
			;
		for (int i = 0; i < 20; i++)
			sched_yield();
	}
}
START_TEST(each_relation_ends_once_when_connections_flap)
{
	struct cn_thread lead;
	atomic_store(&W.drop, true);
	ck_assert_int_eq(cn_thread_start(&lead, "lead", connection_ends, NULL), 0);
	threads(3, remote_relations);
	atomic_store(&stop, true);
	cn_thread_join(&lead);
	ck_assert_int_eq(atomic_load(&failures), 0);
	ck_assert_uint_eq(cn_procs_count(W.procs), 0);
}
END_TEST

/* Of what is monitored, all that is heard has to do with a connection: the process of this node lives. */
static void hears_of_the_peer_only(struct cnode_process *self)
{
	struct cn_message *m;
	while ((m = cn_process_receive(self, NULL, NULL))) {
		CHECK(m->kind == CN_MSG_DOWN && m->about->pid.node == W.peer);
		cn_message_free(self, m);
	}
}

/* Monitors of the peer, and where each was in memory, at once, one of a process of this node. */
static void monitors_change_over(void *arg)
{
	struct cnode_process *self = hand(NULL);
	cnode_ref ref[32];
	for (int i = 0; i < 1500; i++) {
		for (uint32_t k = 0; k < CN_ARRAY_SIZE(ref); k++)
			CHECK(cnode_monitor(self, remote(k + 1), &ref[k]) == 0);
		for (uint32_t k = 0; k < CN_ARRAY_SIZE(ref); k++) {
			CHECK(cnode_demonitor(self, ref[k], 0) == 0);
			CHECK(cnode_monitor(self, cnode_self(arg), &ref[k]) == 0);
		}
		hears_of_the_peer_only(self);
		for (uint32_t k = 0; k < CN_ARRAY_SIZE(ref); k++)
			CHECK(cnode_demonitor(self, ref[k], 0) == 0);
	}
	hears_of_the_peer_only(self);
	hand_exit(self, "done");
}
START_TEST(a_connection_that_ends_takes_nothing_along_that_came_in_the_place_of_what_had_to_do_with_it)
{
	struct cn_thread lead, owner;
	struct cnode_process *local = hand(NULL);
	atomic_store(&W.drop, true);
	ck_assert_int_eq(cn_thread_start(&lead, "lead", connection_ends, NULL), 0);
	ck_assert_int_eq(cn_thread_start(&owner, "owner", monitors_change_over, local), 0);
	cn_thread_join(&owner);
	atomic_store(&stop, true);
	cn_thread_join(&lead);
	ck_assert_int_eq(atomic_load(&failures), 0);
	hand_exit(local, "done");
}
END_TEST

static void has_the_name_and_dies(void *arg)
{
	(void)arg;
	while (!atomic_load(&stop)) {
		struct cnode_process *self = hand("holder");
		for (int i = 0; i < 20; i++)
			sched_yield();
		CHECK(cnode_unregister(self, "holder") == 0);
		hand_exit(self, "done");
	}
}
START_TEST(a_monitor_by_name_is_taken_back_while_its_process_ends_and_its_connection)
{
	struct cn_thread lead, holder;
	atomic_store(&W.drop, true);
	ck_assert_int_eq(cn_thread_start(&lead, "lead", connection_ends, NULL), 0);
	ck_assert_int_eq(cn_thread_start(&holder, "holder", has_the_name_and_dies, NULL), 0);
	for (uint32_t i = 0; i < 3000; i++) {
		struct cn_signal monitor = FROM_PEER(MONITOR, remote(9), (cnode_pid){ 0 }, .to_name = "holder");
		struct cn_signal demonitor = FROM_PEER(DEMONITOR, remote(9), (cnode_pid){ 0 }, .to_name = "holder");
		for (uint32_t k = 0; k < 16; k++) {
			monitor.ref = remote_ref(i * 16 + k);
			CHECK(cn_procs_deliver(W.procs, &monitor) == 0);
		}
		for (uint32_t k = 0; k < 16; k++) {
			demonitor.ref = remote_ref(i * 16 + k);
			CHECK(cn_procs_deliver(W.procs, &demonitor) == 0);
		}
	}
	atomic_store(&stop, true);
	cn_thread_join(&holder);
	cn_thread_join(&lead);
	ck_assert_int_eq(atomic_load(&failures), 0);
	ck_assert_uint_eq(cn_procs_count(W.procs), 0);
}
END_TEST

/* ---- order: nothing behind the EXIT, and the EXIT behind everything ---- */

static struct {
	struct cnode_process *process;
	_Atomic uint32_t sent, exits;
	_Atomic bool ready;
} victim;

static void order_hook(struct world *w, const struct cn_signal *sig)
{
	(void)w;
	if (sig->kind == CN_SIG_MESSAGE) {
		CHECK(atomic_load(&victim.exits) == 0);
		for (volatile int i = 0; i < 200; i++)
			;
		CHECK(atomic_load(&victim.exits) == 0);
	} else if (sig->kind == CN_SIG_EXIT) {
		atomic_fetch_add(&victim.exits, 1);
	} else if (sig->kind == CN_SIG_UNLINK_ACK) {
		CHECK(atomic_load(&victim.exits) == 0 || sig->unlink_id > 1000);
	}
}
static void sends_until_dead(void *arg)
{
	(void)arg;
	int64_t n = 0;
	atomic_store(&victim.ready, true);
	for (;;) {
		int rc = cnode_send(victim.process, remote(9), "~q", n);
		if (rc == 0)
			rc = cnode_send(victim.process, *(cnode_pid *)W.hook_arg, "~q", n);
		if (rc != 0) {
			CHECK(rc == CNODE_EEXITED);
			break;
		}
		n++;
	}
	atomic_store(&victim.sent, (uint32_t)n);
}

START_TEST(exit_and_down_come_behind_all_messages_and_nothing_behind_them)
{
	struct cnode_process *watcher = hand(NULL);
	cnode_pid pid = cnode_self(watcher);
	W.hook = order_hook;
	W.hook_arg = &pid;
	atomic_store(&W.drop, true);
	for (int round = 0; round < 400; round++) {
		struct cn_thread t;
		memset(&victim, 0, sizeof victim);
		victim.process = hand(NULL);
		cnode_pid p = cnode_self(victim.process);
		cnode_ref ref;
		cnode_monitor(watcher, p, &ref);
		struct cn_signal link = FROM_PEER(LINK, remote(9), p);
		struct cn_signal unlink = FROM_PEER(UNLINK, remote(8), p, .unlink_id = 1);
		deliver(&link);
		ck_assert_int_eq(cn_thread_start(&t, "victim", sends_until_dead, NULL), 0);
		while (!atomic_load(&victim.ready))
			sched_yield();
		for (int i = 0; i < round % 50; i++)
			deliver(&unlink);
		cnode_exit(watcher, p, "kill");
		ck_assert(!cn_procs_is_alive(W.procs, p));
		cn_thread_join(&t);
		ck_assert_uint_eq(atomic_load(&victim.exits), 1);
		/* The watcher saw 0, 1, 2, … and then the DOWN. */
		int64_t expect = 0, n;
		struct cn_message *m;
		while ((m = cn_process_receive(watcher, NULL, NULL)) && m->kind == CN_MSG_MESSAGE) {
			ck_assert_int_eq(cnode_scan(m->term, "~q", &n), 0);
			ck_assert_int_eq(n, expect++);
			cn_message_free(watcher, m);
		}
		ck_assert_ptr_nonnull(m);
		ck_assert_int_eq(m->kind, CN_MSG_DOWN);
		cn_message_free(watcher, m);
		ck_assert_ptr_null(cn_process_receive(watcher, NULL, NULL));
		ck_assert_int_eq(expect, victim.sent);
		hand_exit(victim.process, "normal");
	}
	ck_assert_int_eq(atomic_load(&failures), 0);
	hand_exit(watcher, "normal");
}
END_TEST

/* A LINK behind the ack of the old link, however the peer's UNLINK falls into it. */
static struct { _Atomic int phase; } relink;
static void relink_hook(struct world *w, const struct cn_signal *sig)
{
	(void)w;
	if (sig->kind == CN_SIG_UNLINK_ACK)
		atomic_store(&relink.phase, 2);
	if (sig->kind == CN_SIG_LINK)
		CHECK(atomic_exchange(&relink.phase, 1) != 1 || !"a LINK without the ack of the one before");
}
static void links_again(void *arg)
{
	(void)arg;
	for (int i = 0; i < 20000; i++)
		CHECK(cnode_link(victim.process, remote(9)) == 0);
	atomic_store(&stop, true);
}
/* Holds the lock that the linker needs, so that the UNLINK often comes first to it. */
static void looks(void *arg)
{
	struct cn_process_info info;
	(void)arg;
	while (!atomic_load(&stop)) {
		cn_procs_info(W.procs, cnode_self(victim.process), &info);
		sched_yield();
	}
}
START_TEST(an_ack_is_never_overtaken_by_a_new_link)
{
	struct cn_thread t, looker;
	memset(&victim, 0, sizeof victim);
	victim.process = hand(NULL);
	W.hook = relink_hook;
	atomic_store(&W.drop, true);
	ck_assert_int_eq(cn_thread_start(&t, "linker", links_again, NULL), 0);
	ck_assert_int_eq(cn_thread_start(&looker, "looker", looks, NULL), 0);
	for (uint64_t i = 1; !atomic_load(&stop); i++) {
		struct cn_signal unlink = FROM_PEER(UNLINK, remote(9), cnode_self(victim.process), .unlink_id = i);
		deliver(&unlink);
	}
	cn_thread_join(&t);
	cn_thread_join(&looker);
	ck_assert_int_eq(atomic_load(&failures), 0);
	hand_exit(victim.process, "normal");
}
END_TEST

/* ---- scheduled processes on several threads ---- */

#define RING 40
struct member { cnode_pid to; _Atomic int inside; int64_t last, out; };
static _Atomic int64_t left;
static struct member *members[RING];

static int member_init(cnode_process *self, void *state, void *arg)
{
	(void)self;
	members[(uintptr_t)arg] = state;
	return 0;
}
/* A ball comes in with the number of its sender, and goes out with a number of ours. */
static int member_message(cnode_process *self, void *state, struct cn_message *m)
{
	struct member *me = state;
	CHECK(atomic_exchange(&me->inside, 1) == 0);
	int64_t n;
	if (cnode_scan(m->term, "~q", &n) == 0)
		CHECK(n == ++me->last);
	if (atomic_fetch_sub(&left, 1) > 0)
		cnode_send(self, me->to, "~q", ++me->out);
	atomic_store(&me->inside, 0);
	cn_message_free(self, m);
	return 0;
}
static const struct cn_process_class member_class = { .name = "member", .init = member_init, .message = member_message };

static void worker(void *arg)
{
	(void)arg;
	/* Only a look that began behind the stop says that nothing is left. */
	for (int idle = 0; idle < 3; ) {
		bool stopped = atomic_load(&stop);
		if (cn_sched_run(W.procs, false, 0)) {
			idle = 0;
		} else {
			idle += stopped;
			sched_yield();
		}
	}
}

START_TEST(a_process_runs_on_one_thread_at_a_time_and_pairs_keep_their_order)
{
	cnode_pid pid[RING];
	for (uintptr_t i = 0; i < RING; i++) {
		struct cn_process_spec spec = { .class = &member_class, .state_size = sizeof(struct member), .arg = (void *)i };
		ck_assert_int_eq(cn_process_spawn(W.procs, &spec, &pid[i]), 0);
	}
	while (cn_sched_run(W.procs, false, 0))
		;
	for (int i = 0; i < RING; i++)
		members[i]->to = pid[(i + 1) % RING];
	atomic_store(&left, 60000);
	struct cn_thread t[4];
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(cn_thread_start(&t[i], "worker", worker, NULL), 0);
	struct cn_target to = { .pid = pid[0] };
	cnode_term kick = text_term("kick");
	for (int balls = 0; balls < 64; balls++)
		cn_procs_send(W.procs, &to, kick, 0);
	cnode_term_drop(kick);
	while (atomic_load(&left) > 0 && atomic_load(&failures) == 0)
		sched_yield();
	atomic_store(&stop, true);
	for (int i = 0; i < 4; i++)
		cn_thread_join(&t[i]);
	ck_assert_int_eq(atomic_load(&failures), 0);
}
END_TEST

/* ---- death in mid-callback ---- */

static _Atomic int spinning, returned;
static int spin_message(cnode_process *self, void *state, struct cn_message *m)
{
	(void)state;
	atomic_store(&spinning, 1);
	while (!atomic_load(&stop))
		;
	CHECK(cnode_cancelled(self));
	CHECK(cnode_send(self, remote(9), "late") == CNODE_EEXITED);
	atomic_store(&returned, 1);
	cn_message_free(self, m);
	return 0;
}
static void spin_terminate(struct cnode_process *self, void *state, cnode_term reason)
{
	(void)self; (void)state;
	CHECK(!"terminate after a kill");
	(void)reason;
}
static const struct cn_process_class spin_class = { .name = "spin", .message = spin_message, .terminate = spin_terminate };

START_TEST(a_kill_is_heard_at_once_while_the_callback_spins)
{
	struct cn_process_spec spec = { .class = &spin_class, .parent = remote(9), .link = true, .monitor = true,
					.monitor_ref = remote_ref(1), .epoch = 1, .name = "spinner" };
	cnode_pid pid, found;
	struct cn_thread t;
	ck_assert_int_eq(cn_process_spawn(W.procs, &spec, &pid), 0);
	deliver_term(FROM_PEER(MESSAGE, remote(9), pid), "spin");
	ck_assert_int_eq(cn_thread_start(&t, "worker", worker, NULL), 0);
	while (!atomic_load(&spinning))
		sched_yield();
	/* At once: when the kill has been delivered its consequences have left. */
	deliver_term(FROM_PEER(EXIT2, remote(9), pid), "kill");
	ck_assert_str_eq(sent(), "EXIT 1 -> 9 killed; DOWN 1 -> 9 killed");
	ck_assert_int_eq(cn_procs_whereis(W.procs, "spinner", &found), CNODE_ENOENT);
	ck_assert_int_eq(atomic_load(&returned), 0);
	ck_assert_uint_eq(cn_procs_count(W.procs), 1);
	atomic_store(&stop, true);
	cn_thread_join(&t);
	ck_assert_uint_eq(cn_procs_count(W.procs), 0);
	ck_assert_str_eq(sent(), "");
	ck_assert_int_eq(atomic_load(&failures), 0);
}
END_TEST

/* ---- the end of everybody ---- */

static int quiet_message(cnode_process *self, void *state, struct cn_message *m)
{
	(void)state;
	cn_message_free(self, m);
	return 0;
}
static const struct cn_process_class quiet_class = { .name = "quiet", .message = quiet_message };

static void spawns_until_closed(void *arg)
{
	struct cn_process_spec spec = { .class = &quiet_class };
	cnode_pid pid;
	(void)arg;
	int rc;
	/* There may be as many as there can be before the closing thread has its turn. */
	while ((rc = cn_process_spawn(W.procs, &spec, &pid)) == 0 || rc == CNODE_ESYSLIMIT)
		continue;
	CHECK(rc == CNODE_ESHUTDOWN);
}
START_TEST(who_closes_and_then_ends_all_processes_misses_none)
{
	for (int round = 0; round < 100; round++) {
		struct cn_thread t[2];
		teardown();
		setup();
		for (int i = 0; i < 2; i++)
			ck_assert_int_eq(cn_thread_start(&t[i], "spawner", spawns_until_closed, NULL), 0);
		while (cn_procs_count(W.procs) < 20)
			sched_yield();
		cn_procs_close(W.procs);
		cnode_term why = text_term("shutdown");
		ck_assert_int_eq(cn_procs_exit_all(W.procs, why, true), 0);
		cnode_term_drop(why);
		for (int i = 0; i < 2; i++)
			cn_thread_join(&t[i]);
		while (cn_sched_run(W.procs, false, 0))
			continue;
		ck_assert_uint_eq(cn_procs_count(W.procs), 0);
	}
	ck_assert_int_eq(atomic_load(&failures), 0);
}
END_TEST

/* ---- death of what is held ---- */

static const struct cn_process_class plain_class = { .name = "plain", .message = spin_message };
static _Atomic(struct cnode_process *) parent_now;

static void spawns_held(void *arg)
{
	struct cn_process_spec spec = { .class = &plain_class, .link = true, .held = true };
	cnode_pid pid;
	(void)arg;
	for (int i = 0; i < 3000; i++) {
		struct cnode_process *parent = hand(NULL);
		spec.parent = cnode_self(parent);
		atomic_store(&parent_now, parent);
		int rc = cn_process_spawn(W.procs, &spec, &pid);
		CHECK(rc == 0 || rc == CNODE_EEXITED);
		while (atomic_load(&parent_now))
			sched_yield();
		hand_exit(parent, "normal");
	}
	atomic_store(&stop, true);
}
static void kills_parents(void *arg)
{
	struct cnode_process *self = hand(NULL);
	uint32_t x = 1;
	(void)arg;
	while (!atomic_load(&stop)) {
		struct cnode_process *parent = atomic_load(&parent_now);
		if (!parent) {
			sched_yield();
			continue;
		}
		for (volatile uint32_t i = next(&x) % 512; i > 0; i--)
			;
		CHECK(cnode_exit(self, cnode_self(parent), "kill") == 0);
		atomic_store(&parent_now, NULL);
	}
	hand_exit(self, "normal");
}
static void held_thread(void *arg)
{
	static void (*const body[])(void *) = { spawns_held, kills_parents, worker };
	body[(uintptr_t)arg](arg);
}
/* Whoever spawns it looks at it after it can be found; who kills it then makes it run, to its end. */
START_TEST(a_held_process_that_is_killed_at_once_is_there_until_its_spawn_returns)
{
	threads(3, held_thread);
	ck_assert_int_eq(atomic_load(&failures), 0);
	while (cn_sched_run(W.procs, false, 0))
		continue;
	ck_assert_uint_eq(cn_procs_count(W.procs), 0);
}
END_TEST

/* ---- timers ---- */

static _Atomic int fired;
static void timer_user(void *arg)
{
	uint32_t x = (uint32_t)(uintptr_t)arg + 1;
	for (int life = 0; life < 50; life++) {
		struct cnode_process *self = hand(NULL);
		cnode_ref ref[20];
		int mine = 0;
		for (int i = 0; i < 20; i++) {
			CHECK(cnode_start_timer(self, next(&x) % 2, &ref[i], "x") == 0);
			mine++;
		}
		for (int i = 0; i < 20; i += 2)
			if (cnode_cancel_timer(self, ref[i]) == 0)
				mine--;
		if (life % 2)
			for (struct cn_message *m; mine > 0; sched_yield())
				while ((m = cn_process_receive(self, NULL, NULL))) {
					cn_message_free(self, m);
					mine--;
				}
		CHECK(mine >= 0);
		struct cn_message *more = cn_process_receive(self, NULL, NULL);
		CHECK(!more || life % 2 == 0);
		cn_message_free(self, more);
		hand_exit(self, "normal");
	}
	atomic_fetch_add(&fired, 1);
}
static void expire(void *arg)
{
	(void)arg;
	while (atomic_load(&fired) < 3) {
		cn_sched_expire(W.procs, cn_now(), 10);
		sched_yield();
	}
}
static void timer_thread(void *arg)
{
	if ((uintptr_t)arg == 3)
		expire(arg);
	else
		timer_user(arg);
}
START_TEST(timers_fire_cancel_and_die_together)
{
	threads(4, timer_thread);
	ck_assert_int_eq(atomic_load(&failures), 0);
	ck_assert_uint_eq(cn_sched_due(W.procs), CN_NEVER);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("proc");
	TCase *t = tcase_create("races");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, four_threads_get_exactly_one_down_and_one_exit_for_each);
	tcase_add_test(t, each_relation_ends_once_when_connections_flap);
	tcase_add_test(t, a_connection_that_ends_takes_nothing_along_that_came_in_the_place_of_what_had_to_do_with_it);
	tcase_add_test(t, a_monitor_by_name_is_taken_back_while_its_process_ends_and_its_connection);
	tcase_add_test(t, exit_and_down_come_behind_all_messages_and_nothing_behind_them);
	tcase_add_test(t, an_ack_is_never_overtaken_by_a_new_link);
	tcase_add_test(t, a_process_runs_on_one_thread_at_a_time_and_pairs_keep_their_order);
	tcase_add_test(t, a_kill_is_heard_at_once_while_the_callback_spins);
	tcase_add_test(t, who_closes_and_then_ends_all_processes_misses_none);
	tcase_add_test(t, a_held_process_that_is_killed_at_once_is_there_until_its_spawn_returns);
	tcase_add_test(t, timers_fire_cancel_and_die_together);
	suite_add_tcase(s, t);
	return tap_run(s);
}
