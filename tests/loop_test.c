/* SPDX-License-Identifier: Apache-2.0 */
/* The loop: lead, tasks, deadlines, descriptors, sockets. */
#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/loop_rounds.h"

static uint64_t fake_now;

static uint64_t fake_clock(void *context)
{
	(void)context;
	return fake_now;
}

static void setup_fake(void)
{
	fake_now = CN_NS_PER_S;
	ck_assert_int_eq(cn_loop_new(&(struct cn_loop_config){ .now = fake_clock }, &loop), 0);
	cn_lead_take(loop);
}

/* ---- lead ---- */

struct racer {
	struct cn_thread thread;
	int turns;
};
static int shared_count;          /* guarded by the lead alone */

static void race(void *arg)
{
	struct racer *r = arg;
	for (; r->turns > 0; r->turns--) {
		cn_lead_take(loop);
		ck_assert(cn_lead_held(loop));
		shared_count++;
		cn_lead_release(loop);
	}
}

START_TEST(has_one_leader_at_a_time)
{
	struct racer r[4];
	shared_count = 0;
	ck_assert(cn_lead_held(loop));
	ck_assert(!cn_lead_try(loop));
	for (int i = 0; i < 4; i++) {
		r[i].turns = 5000;
		ck_assert_int_eq(cn_thread_start(&r[i].thread, "race", race, &r[i]), 0);
	}
	cn_lead_release(loop);
	for (int i = 0; i < 4; i++)
		cn_thread_join(&r[i].thread);
	ck_assert(cn_lead_try(loop));
	ck_assert_int_eq(shared_count, 20000);
}
END_TEST

/* ---- tasks ---- */

static int ran[8], ran_count;
struct numbered {
	struct cn_task task;
	int number;
	int again;
};

static void run_numbered(struct cn_task *t)
{
	struct numbered *n = CN_CONTAINER(t, struct numbered, task);
	ran[ran_count++ % 8] = n->number;
	if (n->again-- > 0)
		cn_wake_post(loop, t);
}

START_TEST(runs_tasks_in_the_order_they_were_posted)
{
	struct numbered n[3];
	for (int i = 0; i < 3; i++) {
		n[i] = (struct numbered){ .number = i };
		cn_task_init(&n[i].task, run_numbered);
		ck_assert(cn_wake_post(loop, &n[i].task));
		ck_assert(!cn_wake_post(loop, &n[i].task));
	}
	ran_count = 0;
	ck_assert_uint_eq(cn_loop_due(loop), 0);
	cn_loop_poll(loop, CN_NEVER);
	ck_assert_int_eq(ran_count, 3);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(ran[i], i);
	ck_assert(cn_loop_due(loop) == CN_NEVER);
}
END_TEST

START_TEST(runs_a_task_that_posts_itself_in_the_next_round_without_waiting)
{
	struct numbered n = { .again = 2 };
	cn_task_init(&n.task, run_numbered);
	ran_count = 0;
	cn_wake_post(loop, &n.task);
	for (int i = 1; i <= 3; i++) {
		cn_loop_poll(loop, CN_NEVER);
		ck_assert_int_eq(ran_count, i);
	}
}
END_TEST

static void post_late(void *arg)
{
	/* Whether the loop waits already or not yet, it must hear of it. */
	for (volatile int i = 0; i < 20000; i++)
		continue;
	cn_wake_post(loop, arg);
}

START_TEST(is_woken_by_a_task_from_another_thread)
{
	for (int i = 0; i < 200; i++) {
		struct cn_thread thread;
		struct numbered n = { .number = 7 };
		cn_task_init(&n.task, run_numbered);
		ran_count = 0;
		ck_assert_int_eq(cn_thread_start(&thread, "poster", post_late, &n.task), 0);
		while (ran_count == 0)
			cn_loop_poll(loop, CN_NEVER);
		cn_thread_join(&thread);
	}
}
END_TEST

static _Atomic int stormed, storms_over;
struct stormer {
	struct cn_thread thread;
	struct cn_task tasks[4];
};
static void run_storm(struct cn_task *t)
{
	(void)t;
	atomic_fetch_add(&stormed, 1);
}
static void storm(void *arg)
{
	struct stormer *s = arg;
	int posted = 0;
	while (posted < 800)     /* each round of the loop takes at most 12: the spinning posters leave it little time */
		for (int i = 0; i < 4; i++)
			posted += cn_wake_post(loop, &s->tasks[i]);
	/* the count of what must run */
	atomic_fetch_sub(&stormed, posted);
	atomic_fetch_add(&storms_over, 1);
}

START_TEST(loses_no_task_when_threads_post_all_the_time)
{
	struct stormer s[3];
	atomic_store(&stormed, 1);
	atomic_store(&storms_over, 0);
	for (int i = 0; i < 3; i++) {
		for (int k = 0; k < 4; k++)
			cn_task_init(&s[i].tasks[k], run_storm);
		ck_assert_int_eq(cn_thread_start(&s[i].thread, "storm", storm, &s[i]), 0);
	}
	/* Until all have posted what they had to: what was counted when it ran is taken off by who posted it. */
	while (atomic_load(&storms_over) < 3 || atomic_load(&stormed) != 1)
		cn_loop_poll(loop, cn_loop_clock(loop) + CN_NS_PER_MS);
	for (int i = 0; i < 3; i++)
		cn_thread_join(&s[i].thread);
	cn_loop_poll(loop, 0);
	ck_assert_int_eq(atomic_load(&stormed), 1);
}
END_TEST

/* One that is posted already: what was written before the post that added nothing is there when the task runs. */
static struct note {
	struct cn_task task;
	int written, read;              /* nothing but the posts is between their writing and their reading */
	bool added;
	_Atomic bool posted;            /* relaxed: orders nothing */
} note;

static void read_note(struct cn_task *t)
{
	(void)t;
	note.read = note.written;
}

static void write_note(void *arg)
{
	(void)arg;
	note.written = 7;
	note.added = cn_wake_post(loop, &note.task);
	atomic_store_explicit(&note.posted, true, memory_order_relaxed);
}

START_TEST(shows_a_task_what_was_written_before_any_of_its_posts)
{
	struct cn_thread thread;
	cn_task_init(&note.task, read_note);
	cn_wake_post(loop, &note.task);
	ck_assert_int_eq(cn_thread_start(&thread, "writer", write_note, NULL), 0);
	while (!atomic_load_explicit(&note.posted, memory_order_relaxed))
		continue;
	cn_loop_poll(loop, 0);
	ck_assert_int_eq(note.read, 7);
	cn_thread_join(&thread);
	ck_assert(!note.added);
}
END_TEST

/* ---- deadlines ---- */

static int fired[8], fired_count;
struct alarm {
	struct cn_timer timer;
	int number;
	uint64_t every;
	struct cn_timer *kills;
};

static void fire(struct cn_timer *t)
{
	struct alarm *a = CN_CONTAINER(t, struct alarm, timer);
	fired[fired_count++ % 8] = a->number;
	if (a->every)
		cn_timer_set(t, cn_loop_now(loop) + a->every);
	if (a->kills)
		cn_timer_stop(a->kills);
}

START_TEST(fires_timers_in_the_order_of_their_deadlines)
{
	struct alarm a[4];
	const uint64_t due[] = { 30, 10, 20, 15 };
	for (int i = 0; i < 4; i++) {
		a[i] = (struct alarm){ .number = i };
		cn_timer_init(&a[i].timer, loop, fire);
		cn_timer_set(&a[i].timer, fake_now + due[i]);
	}
	cn_timer_stop(&a[3].timer);
	ck_assert_uint_eq(cn_loop_due(loop), fake_now + 10);
	fired_count = 0;
	cn_loop_poll(loop, 0);
	ck_assert_int_eq(fired_count, 0);
	fake_now += 25;
	cn_loop_poll(loop, 0);
	ck_assert_int_eq(fired_count, 2);
	ck_assert_int_eq(fired[0], 1);
	ck_assert_int_eq(fired[1], 2);
	cn_timer_set(&a[0].timer, CN_NEVER);
	fake_now += 25;
	cn_loop_poll(loop, 0);
	ck_assert_int_eq(fired_count, 2);
}
END_TEST

START_TEST(lets_a_timer_set_itself_again_and_stop_another)
{
	struct alarm b = { .number = 2 }, a = { .number = 1, .every = 10, .kills = &b.timer };
	cn_timer_init(&a.timer, loop, fire);
	cn_timer_init(&b.timer, loop, fire);
	cn_timer_set(&a.timer, fake_now + 10);
	cn_timer_set(&b.timer, fake_now + 10);
	cn_timer_set(&b.timer, fake_now + 11);
	fired_count = 0;
	for (int i = 1; i <= 3; i++) {
		fake_now += 11;
		cn_loop_poll(loop, 0);
		ck_assert_int_eq(fired_count, i);
	}
	cn_timer_stop(&a.timer);
}
END_TEST

START_TEST(waits_until_a_deadline_and_not_much_longer)
{
	struct alarm far = { .number = 1 }, near = { .number = 2 };
	cn_timer_init(&far.timer, loop, fire);
	cn_timer_init(&near.timer, loop, fire);
	cn_timer_set(&far.timer, cn_now() + 3600 * CN_NS_PER_S);
	fired_count = 0;
	uint64_t start = cn_now();
	cn_timer_set(&near.timer, start + 20 * CN_NS_PER_MS);
	UNTIL(fired_count == 1);
	ck_assert_int_eq(fired[0], 2);
	ck_assert(cn_now() >= start + 20 * CN_NS_PER_MS);
	start = cn_now();
	cn_loop_poll(loop, start + 5 * CN_NS_PER_MS);
	ck_assert(cn_now() < start + 5 * CN_NS_PER_S);
	cn_timer_stop(&far.timer);
}
END_TEST

static int naps_before, naps_after;
static uint64_t nap_wants;
static uint64_t nap_before(struct cn_nap *n, uint64_t now)
{
	(void)n;
	naps_before++;
	return nap_wants == 0 ? 0 : now + nap_wants;
}
static void nap_after(struct cn_nap *n)
{
	(void)n;
	naps_after++;
}

static uint64_t resting;
static uint64_t rest_before(struct cn_nap *n, uint64_t now)
{
	(void)now;
	cn_loop_rest(loop, resting);
	n->before = nap_before;         /* once */
	return CN_NEVER;
}
static unsigned rested_events;
static void rested_ready(struct cn_io *io, unsigned events)
{
	rested_events |= events;
	cn_io_set(io, 0);
}
static void rested_task(struct cn_task *t)
{
	(void)t;
	rested_events |= 1u << 16;
}
START_TEST(rests_before_it_looks_at_descriptors_but_not_from_tasks)
{
	int fd[2];
	struct cn_io io;
	struct cn_nap nap = { .before = rest_before, .after = nap_after };
	ck_assert_int_eq(cn_socket_pair(fd), 0);
	ck_assert_int_eq(write(fd[1], "x", 1), 1);
	cn_io_init(&io, loop, fd[0], rested_ready);
	cn_io_set(&io, CN_READ);
	cn_nap_add(loop, &nap);

	/* What is readable all the time is seen when the rest is over. */
	resting = 20 * CN_NS_PER_MS;
	uint64_t start = cn_now();
	cn_loop_poll(loop, CN_NEVER);
	ck_assert_uint_eq(rested_events, CN_READ);
	ck_assert_uint_ge(cn_now() - start, resting);

	/* A timer does not wait for the end of the rest. */
	struct alarm near = { .number = 3 };
	cn_timer_init(&near.timer, loop, fire);
	cn_io_set(&io, 0);
	resting = 999 * CN_NS_PER_MS;
	bool in_time = false;
	for (int tries = 0; tries < 5 && !in_time; tries++) {
		nap.before = rest_before;
		fired_count = 0;
		start = cn_now();
		cn_timer_set(&near.timer, start + 20 * CN_NS_PER_MS);
		UNTIL(fired_count == 1);
		in_time = cn_now() - start < resting;
	}
	ck_assert(in_time);

	/* A task is not kept waiting, whether it is posted before the rest or in it (once, a machine may be slow). */
	struct cn_task task;
	struct cn_thread poster;
	cn_task_init(&task, rested_task);
	cn_io_set(&io, 0);
	resting = 999 * CN_NS_PER_MS;
	bool at_once = false;
	for (int tries = 0; tries < 5 && !at_once; tries++) {
		rested_events = 0;
		nap.before = rest_before;
		start = cn_now();
		ck_assert_int_eq(cn_thread_start(&poster, "poster", post_late, &task), 0);
		cn_loop_poll(loop, CN_NEVER);
		ck_assert_uint_eq(rested_events, 1u << 16);
		at_once = cn_now() - start < resting;
		cn_thread_join(&poster);
	}
	ck_assert(at_once);
	cn_nap_remove(loop, &nap);
	cn_io_close(&io);
	cn_socket_close(fd[1]);
}
END_TEST

START_TEST(asks_naps_before_a_long_wait_only)
{
	struct cn_nap nap = { .before = nap_before, .after = nap_after };
	cn_nap_add(loop, &nap);
	naps_before = naps_after = 0;
	cn_loop_poll(loop, 0);
	ck_assert_int_eq(naps_before, 0);
	nap_wants = 0;
	cn_loop_poll(loop, CN_NEVER);      /* returns at once: the nap says so */
	nap_wants = 2 * CN_NS_PER_MS;
	cn_loop_poll(loop, CN_NEVER);      /* returns after 2 ms */
	ck_assert_int_eq(naps_before, 2);
	ck_assert_int_eq(naps_after, 2);
	cn_nap_remove(loop, &nap);
	cn_loop_poll(loop, cn_now() + 2 * CN_NS_PER_MS);
	ck_assert_int_eq(naps_before, 2);
}
END_TEST

/* ---- descriptors ---- */

struct end {
	struct cn_io io;
	unsigned seen;
	int calls;
	bool closes;
};

static void end_ready(struct cn_io *io, unsigned events)
{
	struct end *e = CN_CONTAINER(io, struct end, io);
	e->seen |= events;
	e->calls++;
	if (e->closes)
		cn_io_close(io);
}

START_TEST(tells_when_a_descriptor_is_ready_and_never_after_it_is_closed)
{
	int fd[2];
	struct end a = { .closes = true };
	ck_assert_int_eq(cn_socket_pair(fd), 0);
	cn_io_init(&a.io, loop, fd[0], end_ready);
	cn_io_set(&a.io, CN_READ);
	cn_loop_poll(loop, 0);
	ck_assert_int_eq(a.calls, 0);
	size_t moved;
	ck_assert_int_eq(cn_socket_write(fd[1], &(struct iovec){ (void *)"x", 1 }, 1, &moved), 0);
	UNTIL(a.calls == 1);
	ck_assert_uint_eq(a.seen, CN_READ);
	cn_loop_poll(loop, 0);
	ck_assert_int_eq(a.calls, 1);
	ck_assert_int_eq(a.io.fd, -1);
	cn_io_close(&a.io);
	/* The other end learns of it by a code, not by SIGPIPE. */
	ck_assert_int_eq(cn_socket_write(fd[1], &(struct iovec){ (void *)"x", 1 }, 1, &moved), CNODE_ENOCONNECTION);
	cn_socket_close(fd[1]);
}
END_TEST

START_TEST(changes_what_it_waits_for)
{
	int fd[2];
	struct end a = { 0 };
	ck_assert_int_eq(cn_socket_pair(fd), 0);
	cn_io_init(&a.io, loop, fd[0], end_ready);
	cn_io_set(&a.io, CN_READ | CN_WRITE);
	UNTIL(a.calls > 0);
	ck_assert_uint_eq(a.seen, CN_WRITE);
	cn_io_set(&a.io, CN_READ);
	a.calls = 0;
	cn_loop_poll(loop, 0);
	ck_assert_int_eq(a.calls, 0);
	cn_io_set(&a.io, 0);
	cn_socket_close(fd[1]);
	cn_loop_poll(loop, 0);
	ck_assert_int_eq(a.calls, 0);
	cn_io_close(&a.io);
}
END_TEST

START_TEST(has_a_descriptor_that_is_readable_when_there_is_work)
{
	int fd = cn_loop_fd(loop);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(cn_loop_fd(loop), fd);
	struct pollfd p = { .fd = fd, .events = POLLIN };
	cn_loop_poll(loop, 0);
	ck_assert_int_eq(poll(&p, 1, 0), 0);

	struct numbered n = { 0 };
	cn_task_init(&n.task, run_numbered);
	cn_wake_post(loop, &n.task);
	ck_assert_int_eq(poll(&p, 1, 0), 1);
	cn_loop_poll(loop, 0);
	ck_assert_int_eq(poll(&p, 1, 0), 0);

	/* A watcher that was set in a round is watched when the round is over. */
	int pair[2];
	struct end a = { .closes = true };
	ck_assert_int_eq(cn_socket_pair(pair), 0);
	cn_io_init(&a.io, loop, pair[0], end_ready);
	cn_io_set(&a.io, CN_READ);
	ck_assert_uint_eq(cn_loop_due(loop), 0);
	cn_loop_poll(loop, 0);
	ck_assert(cn_loop_due(loop) == CN_NEVER);
	size_t moved;
	cn_socket_write(pair[1], &(struct iovec){ (void *)"x", 1 }, 1, &moved);
	ck_assert_int_eq(poll(&p, 1, 1000), 1);
	cn_loop_poll(loop, 0);
	ck_assert_int_eq(a.calls, 1);
	cn_socket_close(pair[1]);
}
END_TEST

/* ---- sockets ---- */

static int taken_fd[256], taken_count, shorts, restored;
static struct cn_address taken_peer;
static void taken(struct cn_listener *l, int fd, const struct cn_address *peer)
{
	(void)l;
	taken_peer = *peer;
	taken_fd[taken_count++] = fd;
}
static void short_of_fds(struct cn_listener *l, int rc)
{
	(void)l;
	shorts += rc != 0;
	restored += rc == 0;
}
static void close_taken(void)
{
	while (taken_count > 0)
		cn_socket_close(taken_fd[--taken_count]);
}

static bool start_listener(struct cn_listener *l, struct cn_address address)
{
	*l = (struct cn_listener){ .taken = taken, .short_of_fds = short_of_fds };
	taken_count = shorts = restored = 0;
	return cn_listener_start(l, loop, &address) == 0;
}

static void talk(int family)
{
	struct cn_listener l;
	if (!start_listener(&l, cn_address_loopback(family, 0)))
		return;         /* a machine without IPv6 */
	ck_assert_uint_ne(l.address.port, 0);
	struct end c = { 0 };
	int fd;
	ck_assert_int_eq(cn_socket_connect(&l.address, &fd), 0);
	cn_io_init(&c.io, loop, fd, end_ready);
	cn_io_set(&c.io, CN_WRITE);
	UNTIL(c.calls > 0 && taken_count == 1);
	cn_io_set(&c.io, 0);
	ck_assert_int_eq(cn_socket_outcome(fd), 0);
	ck_assert(cn_address_is_loopback(&taken_peer));
	ck_assert_int_eq(taken_peer.family, family);

	size_t moved;
	char in[8];
	ck_assert_int_eq(cn_socket_read(fd, &(struct iovec){ in, sizeof in }, 1, &moved), 0);
	ck_assert_uint_eq(moved, 0);
	const struct iovec out[] = { { (void *)"he", 2 }, { (void *)"llo", 3 } };
	ck_assert_int_eq(cn_socket_write(taken_fd[0], out, 2, &moved), 0);
	ck_assert_uint_eq(moved, 5);
	c.calls = 0;
	cn_io_set(&c.io, CN_READ);
	UNTIL(c.calls > 0);
	const struct iovec parts[] = { { in, 3 }, { in + 3, 5 } };
	ck_assert_int_eq(cn_socket_read(fd, parts, 2, &moved), 0);
	ck_assert_uint_eq(moved, 5);
	ck_assert_mem_eq(in, "hello", 5);
	cn_socket_shutdown(taken_fd[0]);
	c.calls = 0;
	UNTIL(c.calls > 0);
	ck_assert_int_eq(cn_socket_read(fd, parts, 1, &moved), CNODE_ENOCONNECTION);
	cn_io_close(&c.io);
	close_taken();
	cn_listener_close(&l);
	cn_listener_close(&l);
}

START_TEST(talks_over_both_families)
{
	talk(4);
	talk(6);
}
END_TEST

START_TEST(listens_on_both_families_at_once)
{
	struct cn_listener l;
	if (!start_listener(&l, cn_address_any(6, 0)))
		return;
	ck_assert_int_eq(l.address.family, 6);
	struct cn_address to = cn_address_loopback(4, l.address.port);
	int fd;
	ck_assert_int_eq(cn_socket_connect(&to, &fd), 0);
	UNTIL(taken_count == 1);
	ck_assert_int_eq(taken_peer.family, 4);
	cn_socket_close(fd);
	close_taken();
	cn_listener_close(&l);
}
END_TEST

START_TEST(tells_why_it_cannot_listen_or_connect)
{
	struct cn_listener l;
	ck_assert(start_listener(&l, cn_address_loopback(4, 0)));
	int fd;
	ck_assert_int_eq(cn_socket_listen(&l.address, &fd, NULL), CNODE_EADDRINUSE);
	struct cn_address gone = l.address;
	cn_listener_close(&l);
	struct end c = { 0 };
	int rc = cn_socket_connect(&gone, &fd);
	if (rc == 0) {
		cn_io_init(&c.io, loop, fd, end_ready);
		cn_io_set(&c.io, CN_WRITE);
		UNTIL(c.calls > 0);
		rc = cn_socket_outcome(fd);
		cn_io_close(&c.io);
	}
	ck_assert_int_eq(rc, CNODE_ENOCONNECTION);
	struct cn_address elsewhere;
	ck_assert(cn_address_parse("203.0.113.7", 0, &elsewhere));
	ck_assert_int_eq(cn_socket_listen(&elsewhere, &fd, NULL), CNODE_EHOST);
}
END_TEST

START_TEST(accepts_again_after_descriptors_ran_out)
{
	struct cn_listener l;
	ck_assert(start_listener(&l, cn_address_loopback(4, 0)));
	int client[3], hoard[64], hoarded = 0;
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(cn_socket_connect(&l.address, &client[i]), 0);
	struct rlimit old, few;
	getrlimit(RLIMIT_NOFILE, &old);
	few = old;
	few.rlim_cur = 48;
	setrlimit(RLIMIT_NOFILE, &few);
	while (hoarded < 64 && (hoard[hoarded] = open("/dev/null", O_RDONLY)) >= 0)
		hoarded++;

	/* One is turned away by means of the reserve, the other waits. */
	UNTIL(shorts == 1);
	ck_assert_int_eq(taken_count, 0);
	uint64_t end = cn_loop_now(loop) + 3 * CN_LISTEN_PAUSE;
	while (cn_now() < end)
		cn_loop_poll(loop, end);
	ck_assert_int_eq(shorts, 1);
	ck_assert_int_eq(taken_count, 0);

	while (hoarded > 0)
		close(hoard[--hoarded]);
	setrlimit(RLIMIT_NOFILE, &old);
	ck_assert_int_eq(cn_socket_connect(&l.address, &client[2]), 0);
	UNTIL(taken_count >= 1);
	ck_assert_int_eq(shorts, 1);
	ck_assert_int_eq(restored, 1);
	for (int i = 0; i < 3; i++)
		cn_socket_close(client[i]);
	close_taken();
	cn_listener_close(&l);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("loop");
	TCase *real = tcase_create("real time"), *fake = tcase_create("given time");
	tcase_add_checked_fixture(real, setup, teardown);
	tcase_add_checked_fixture(fake, setup_fake, teardown);
	tcase_add_test(real, has_one_leader_at_a_time);
	tcase_add_test(real, runs_tasks_in_the_order_they_were_posted);
	tcase_add_test(real, runs_a_task_that_posts_itself_in_the_next_round_without_waiting);
	tcase_add_test(real, is_woken_by_a_task_from_another_thread);
	tcase_add_test(real, loses_no_task_when_threads_post_all_the_time);
	tcase_add_test(real, shows_a_task_what_was_written_before_any_of_its_posts);
	tcase_add_test(fake, fires_timers_in_the_order_of_their_deadlines);
	tcase_add_test(fake, lets_a_timer_set_itself_again_and_stop_another);
	tcase_add_test(real, waits_until_a_deadline_and_not_much_longer);
	tcase_add_test(real, asks_naps_before_a_long_wait_only);
	tcase_add_test(real, rests_before_it_looks_at_descriptors_but_not_from_tasks);
	tcase_add_test(real, tells_when_a_descriptor_is_ready_and_never_after_it_is_closed);
	tcase_add_test(real, changes_what_it_waits_for);
	tcase_add_test(real, has_a_descriptor_that_is_readable_when_there_is_work);
	tcase_add_test(real, talks_over_both_families);
	tcase_add_test(real, listens_on_both_families_at_once);
	tcase_add_test(real, tells_why_it_cannot_listen_or_connect);
	tcase_add_test(real, accepts_again_after_descriptors_ran_out);
	suite_add_tcase(s, real);
	suite_add_tcase(s, fake);
	return tap_run(s);
}
