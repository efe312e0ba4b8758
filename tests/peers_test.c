/* SPDX-License-Identifier: Apache-2.0 */
/* The table of peers: how long one is known, and when one that is to be kept (a seed) is dialled again. */
#include "cnode/node/peer.h"
#include "tests/alloc_fail.h"
#include "tests/tap.h"

/* ---- a node without a network: each attempt to connect ends at once ---- */

static struct cn_cluster *cluster;
static struct cn_loop *loop;
static struct cn_procs *procs;
static cnode_name other;

static void ready(void *context, int code, const char *text)
{
	(void)context;
	ck_assert_msg(code == 0, "%s", text);
}

static const struct cn_cluster_ops ops = { .ready = ready };

static void open_with(bool networked)
{
	struct cn_cluster_config config = { .name = "me@h", .networked = networked, .cookie = "secret", .listen = "127.0.0.1",
					    .epmd = CN_EPMD_NONE };
	struct cn_procs_config process_config = { .creation = 5 };
	cnode_name me;
	alloc_fail_install();
	ck_assert_int_eq(cnode_name_of("me@h", &me), 0);
	ck_assert_int_eq(cnode_name_of("other@h", &other), 0);
	process_config.node = me;
	ck_assert_int_eq(cn_loop_new(NULL, &loop), 0);
	cn_lead_take(loop);
	ck_assert_int_eq(cn_procs_new(&process_config, NULL, NULL, &procs), 0);
	ck_assert_int_eq(cn_cluster_new(&config, loop, procs, NULL, &ops, NULL, &cluster), 0);
}

static void open_cluster(void)
{
	open_with(false);
}

static void close_cluster(void)
{
	cn_cluster_free(cluster);
	cn_procs_free(procs);
	cn_lead_release(loop);
	cn_loop_free(loop);
}

static bool is_known(void)
{
	return cn_cluster_knows(cluster, "other@h");
}

/* The holder of the lead is through with the peer (its last connection is over, say). */
static void forget_if_idle(void)
{
	cn_mutex_lock(&cluster->lock);
	struct cn_peer *peer = cn_peer_find(cluster, other);
	cn_mutex_unlock(&cluster->lock);
	cn_peer_forget_idle(peer);
}

static int monitor_it(uint64_t epoch)
{
	struct cn_signal sig = { .kind = CN_SIG_MONITOR, .from = { .node = cluster->name, .id = 1, .creation = 5 }, .to_name = "db",
				 .node = other, .epoch = epoch, .ref = { .node = cluster->name, .words = 3, .creation = 5 } };
	return cn_cluster_send(cluster, &sig, 0);
}

START_TEST(whoever_got_the_number_of_the_next_connection_hears_that_there_is_none)
{
	uint64_t epoch, next;
	ck_assert_int_eq(cn_cluster_epoch(cluster, other, &epoch), 0);
	/* Between the question and the signal: a peer that is made anew would have a number of its own. */
	forget_if_idle();
	ck_assert(is_known());
	ck_assert_int_eq(monitor_it(epoch), 0);
	cn_loop_poll(loop, 0);
	ck_assert(!is_known());
	ck_assert_int_eq(cn_cluster_epoch(cluster, other, &next), 0);
	ck_assert_uint_gt(next, epoch);
}
END_TEST

/* Or else the relation would be of a number that no connection ever has, and nothing be heard of it. */
START_TEST(there_is_no_number_without_memory_for_the_peer)
{
	uint64_t epoch = 0;
	int rc = CNODE_ENOMEM;
	for (long k = 1; rc != 0; k++) {
		alloc_fail_at(k, 0);
		rc = cn_cluster_epoch(cluster, other, &epoch);
		ck_assert(rc == (alloc_fail_never() ? CNODE_ENOMEM : 0));
		ck_assert(is_known() == (rc == 0));
	}
	ck_assert_uint_ne(epoch, CN_EPOCH_ANY);
}
END_TEST

/* An answer, say, to a node that has gone: one that calls itself differently each time it comes. */
START_TEST(what_is_said_too_late_leaves_no_peer_behind)
{
	uint64_t epoch;
	ck_assert_int_eq(cn_cluster_epoch(cluster, other, &epoch), 0);
	ck_assert_int_eq(cn_cluster_connect(cluster, "other@h", false, NULL, NULL), 0);
	ck_assert(!is_known());
	ck_assert_int_eq(monitor_it(epoch), 0);
	ck_assert(!is_known());
}
END_TEST

/* As another thread would, between the end of an attempt and the peer's being forgotten. */
static void ask_for_epoch(void *epoch, int code, const char *text)
{
	(void)text;
	ck_assert_int_lt(code, 0);
	if (cn_cluster_epoch(cluster, other, epoch) != 0)
		*(uint64_t *)epoch = CN_EPOCH_ANY;
}

static void connect_without_memory(void)
{
	uint64_t epoch = CN_EPOCH_ANY;
	int rc = cn_cluster_connect(cluster, "other@h:4711", false, ask_for_epoch, &epoch);
	ck_assert(rc == 0 || rc == CNODE_ENOMEM);
	/* Nothing is kept of an attempt that could not be begun. */
	ck_assert(rc == 0 || !is_known());
	if (epoch == CN_EPOCH_ANY)
		return;
	rc = monitor_it(epoch);
	ck_assert(rc == 0 || rc == CNODE_ENOMEM);
	cn_cluster_chores(&cluster->chores);
}

START_TEST(an_attempt_without_memory_leaves_no_peer_behind)
{
	alloc_fail_each(connect_without_memory);
}
END_TEST

/* ---- orders: who answers ---- */

START_TEST(the_answer_to_a_spawn_counts_from_the_node_that_was_asked)
{
	cnode_name third;
	cnode_ref ref;
	cnode_term none;
	struct cn_peer *asked, *stranger;
	ck_assert_int_eq(cnode_name_of("third@h", &third), 0);
	ck_assert_int_eq(cnode_format(&none, "[]"), 0);
	struct cn_spawn_order order = {
		.owner = { .node = cluster->name, .id = 1, .creation = 5 },
		.node = other,
		.module = "m",
		.function = "f",
		.args = none,
	};
	ck_assert_int_eq(cn_cluster_spawn(cluster, &order, &ref), 0);
	cnode_term_drop(none);
	cn_mutex_lock(&cluster->lock);
	asked = cn_peer_find(cluster, other);
	ck_assert_int_eq(cn_peer_get(cluster, third, &stranger), 0);
	cn_mutex_unlock(&cluster->lock);
	struct cn_control answer = {
		.signal = CN_SIGNAL_SPAWN_REPLY,
		.ref = ref,
		.to = order.owner,
		.name = { (const uint8_t *)"notsup", 6 },
	};
	ck_assert_int_eq(cn_orders_answered(cluster, stranger, &answer), 0);
	ck_assert_ptr_nonnull(cluster->orders);
	ck_assert_int_eq(cn_orders_answered(cluster, asked, &answer), 0);
	ck_assert_ptr_null(cluster->orders);
}
END_TEST

/* ---- calling it off ---- */

static int told;

static void count_told(void *context, int code, const char *text)
{
	(void)text;
	if (code <= 0)
		*(int *)context = code;
	told += code <= 0;
}

START_TEST(a_peer_that_is_not_kept_any_more_is_forgotten)
{
	ck_assert_int_eq(cn_cluster_connect(cluster, "other@h", true, NULL, NULL), 0);
	ck_assert(is_known());
	ck_assert_int_eq(cn_cluster_disconnect(cluster, "other@h"), 0);
	ck_assert(!is_known());
}
END_TEST

static void open_networked(void)
{
	open_with(true);
}

/* A node that says to whoever dials it that it dials itself, and never does. */
static int nok_fd = -1;

static void say_nok(struct cn_listener *l, int fd, const struct cn_address *from)
{
	static const char nok[] = "\0\4snok";
	size_t moved;
	(void)l;
	(void)from;
	ck_assert_int_eq(cn_socket_write(fd, &(struct iovec){ (void *)nok, sizeof nok - 1 }, 1, &moved), 0);
	ck_assert_uint_eq(moved, sizeof nok - 1);
	nok_fd = fd;
}

START_TEST(waiting_for_the_attempt_of_the_peer_can_be_called_off)
{
	struct cn_listener l = { .taken = say_nok };
	struct cn_address at = cn_address_loopback(4, 0);
	char address[CN_ADDRESS_TEXT];
	int code = 1;
	ck_assert_int_eq(cn_listener_start(&l, loop, &at), 0);
	ck_assert_int_eq(cn_cluster_route(cluster, "other@h", cn_address_text(&l.address, address)), 0);
	ck_assert_int_eq(cn_cluster_connect(cluster, "other@h", false, count_told, &code), 0);
	struct cn_peer *peer = cn_peer_find(cluster, other);
	while (peer->dialling)
		cn_loop_poll(loop, CN_NEVER);
	ck_assert_int_eq(peer->state, CN_PEER_DIALLING);
	ck_assert_int_eq(cn_cluster_disconnect(cluster, "other@h"), 0);
	ck_assert_int_eq(code, CNODE_ENOCONNECTION);
	ck_assert_int_eq(told, 1);
	ck_assert(!is_known());
	cn_socket_close(nok_fd);
	cn_listener_close(&l);
}
END_TEST

/*
 * Asked for while the end of the last connection was being told, which takes several rounds with many links (so the state
 * is put there by hand): a connection that the peer makes meanwhile is the one that was asked for.
 */
START_TEST(a_connection_that_came_by_itself_is_not_made_again_when_it_ends)
{
	struct cn_cluster_config config = { .name = "other@h", .networked = true, .cookie = "secret", .listen = "127.0.0.1",
					    .epmd = CN_EPMD_NONE };
	struct cn_procs_config process_config = { .node = other, .creation = 6 };
	struct cn_cluster *there;
	struct cn_procs *its_procs;
	struct cn_peer *peer;
	const char *text;
	char address[32];
	ck_assert_int_eq(cn_cluster_start(cluster, &text), 0);
	ck_assert_int_eq(cn_procs_new(&process_config, NULL, NULL, &its_procs), 0);
	ck_assert_int_eq(cn_cluster_new(&config, loop, its_procs, NULL, &ops, NULL, &there), 0);
	snprintf(address, sizeof address, "127.0.0.1:%u", (unsigned)cn_cluster_port(cluster));
	ck_assert_int_eq(cn_cluster_route(there, "me@h", address), 0);

	ck_assert_int_eq(cn_peer_get(cluster, other, &peer), 0);
	peer->state = CN_PEER_DOWN;
	peer->ended = peer->epoch++;
	ck_assert_int_eq(cn_cluster_connect(cluster, "other@h", false, NULL, NULL), 0);
	ck_assert_int_eq(cn_cluster_connect(there, "me@h", false, NULL, NULL), 0);
	while (!cn_cluster_is_up(cluster, other))
		cn_loop_poll(loop, CN_NEVER);
	ck_assert_int_eq(cn_cluster_disconnect(cluster, "other@h"), 0);
	while (cn_cluster_is_up(cluster, other))
		cn_loop_poll(loop, CN_NEVER);
	ck_assert(!is_known());

	while (!cn_cluster_is_alone(there))
		cn_loop_poll(loop, CN_NEVER);
	cn_cluster_free(there);
	cn_procs_free(its_procs);
}
END_TEST

/* ---- trying again ---- */

#define DRAWS 500

static void draw(uint32_t failures, uint64_t *least, uint64_t *most)
{
	*least = UINT64_MAX;
	*most = 0;
	for (int i = 0; i < DRAWS; i++) {
		uint64_t wait = cn_peer_backoff(failures);
		*least = wait < *least ? wait : *least;
		*most = wait > *most ? wait : *most;
	}
}

START_TEST(waits_twice_as_long_each_time_up_to_thirty_seconds)
{
	static const unsigned upto[] = { 2, 4, 8, 16, 30, 30 };
	uint64_t least, most;
	for (uint32_t failures = 0; failures < 100; failures++) {
		unsigned s = upto[failures < 5 ? failures : 5];
		draw(failures, &least, &most);
		ck_assert_uint_ge(least, s * CN_NS_PER_S / 2);
		ck_assert_uint_le(most, s * CN_NS_PER_S);
	}
	draw(UINT32_MAX, &least, &most);
	ck_assert(least >= 15 * CN_NS_PER_S && most <= 30 * CN_NS_PER_S);
}
END_TEST

/* Nodes that have lost the same peer at once do not come back to it at once. */
START_TEST(no_two_wait_equally_long)
{
	uint64_t least, most;
	for (uint32_t failures = 0; failures < 6; failures++) {
		draw(failures, &least, &most);
		/* All draws within a tenth of the range: once in 10^400. */
		ck_assert_uint_gt(most - least, most / 20);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("peers");
	TCase *table = tcase_create("table");
	tcase_add_checked_fixture(table, open_cluster, close_cluster);
	tcase_add_test(table, whoever_got_the_number_of_the_next_connection_hears_that_there_is_none);
	tcase_add_test(table, there_is_no_number_without_memory_for_the_peer);
	tcase_add_test(table, what_is_said_too_late_leaves_no_peer_behind);
	tcase_add_test(table, an_attempt_without_memory_leaves_no_peer_behind);
	tcase_add_test(table, the_answer_to_a_spawn_counts_from_the_node_that_was_asked);
	tcase_add_test(table, a_peer_that_is_not_kept_any_more_is_forgotten);
	suite_add_tcase(s, table);
	TCase *off = tcase_create("calling off");
	tcase_add_checked_fixture(off, open_networked, close_cluster);
	tcase_add_test(off, waiting_for_the_attempt_of_the_peer_can_be_called_off);
	tcase_add_test(off, a_connection_that_came_by_itself_is_not_made_again_when_it_ends);
	suite_add_tcase(s, off);
	TCase *c = tcase_create("backoff");
	tcase_add_test(c, waits_twice_as_long_each_time_up_to_thirty_seconds);
	tcase_add_test(c, no_two_wait_equally_long);
	suite_add_tcase(s, c);
	return tap_run(s);
}
