/* SPDX-License-Identifier: Apache-2.0 */
/* Connections: coming up and going down, dialling. */
#include <fcntl.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <poll.h>
#include <unistd.h>

#include "tests/alloc_fail.h"
#include "tests/conn_pair.h"
#include "tests/tap.h"

/* ---- coming up and going down ---- */

START_TEST(brings_up_a_link_and_tells_what_was_agreed)
{
	int fd[2];
	join(fd, &cn_stream_plain);
	const struct cn_conn_info *i = cn_conn_info(b.conn);
	ck_assert_str_eq(cn_conn_peer(b.conn), "a@127.0.0.1");
	ck_assert_uint_eq(i->creation, 77);
	ck_assert_uint_eq(i->flags, CN_DFLAGS_OFFER);
	ck_assert(i->visible);
	ck_assert(cn_conn_dialled(a.conn) && !cn_conn_dialled(b.conn));
	ck_assert_int_eq(a.ups, 1);
	ck_assert_int_eq(b.hellos, 1);
	cn_conn_close(a.conn, CNODE_ESHUTDOWN, "because");
	ck_assert_int_eq(a.downs, 0);          /* never from inside of the call */
	UNTIL(a.downs == 1 && b.downs == 1);
	ck_assert_str_eq(a.text, "because");
	ck_assert_int_eq(a.error, CNODE_ESHUTDOWN);
	ck_assert_int_eq(b.error, CNODE_ENOCONNECTION);
}
END_TEST

START_TEST(goes_down_once_whoever_ends_it)
{
	int fd[2];
	join(fd, &cn_stream_plain);
	struct cn_conn *c = cn_conn_ref(a.conn);
	cn_conn_kill(c, CNODE_EBUSY, "one");
	cn_conn_kill(c, CNODE_EPROTO, "two");
	cn_conn_close(c, CNODE_ETICK, "three");
	cn_conn_close(c, CNODE_ETICK, "four");
	UNTIL(a.downs == 1 && b.downs == 1);
	cn_conn_finish(c, CN_NS_PER_S);
	cn_conn_kill(c, CNODE_EPROTO, "five");
	for (int i = 0; i < 5; i++)
		step();
	ck_assert_int_eq(a.downs, 1);
	ck_assert_str_eq(a.text, "three");
	cnode_term t = term_of("a");
	ck_assert_int_eq(send_id(c, 1, 1, t, 0), CNODE_ENOCONNECTION);
	cnode_term_drop(t);
	cn_conn_unref(c);
}
END_TEST

START_TEST(closes_when_the_cookies_differ)
{
	int fd[2];
	b.cookie = "other";
	ck_assert_int_eq(begin(fd, &cn_stream_plain), 0);
	UNTIL(a.downs == 1 && b.downs == 1);
	ck_assert_int_eq(b.error, CNODE_ECOOKIE);
	ck_assert_int_eq(a.ups + b.ups, 0);
}
END_TEST

START_TEST(closes_when_it_is_not_let_in)
{
	int fd[2];
	b.status = CN_STATUS_NOT_ALLOWED;
	ck_assert_int_eq(begin(fd, &cn_stream_plain), 0);
	UNTIL(a.downs == 1 && b.downs == 1);
	ck_assert_int_eq(a.error, CNODE_EREFUSED);
	ck_assert_int_eq(b.error, CNODE_EREFUSED);
	b.status = CN_STATUS_NONE;
	ck_assert_int_eq(begin(fd, &cn_stream_plain), 0);
	UNTIL(a.downs == 2 && b.downs == 2);
	b.status = CN_STATUS_OK;
	b.refuse = CNODE_ESYSLIMIT;
	ck_assert_int_eq(begin(fd, &cn_stream_plain), 0);
	UNTIL(a.downs == 3 && b.downs == 3);
	ck_assert_int_eq(b.error, CNODE_ESYSLIMIT);
}
END_TEST

/* That it has gone is seen when the answer is written; until then it is no reason to look again and again. */
START_TEST(a_peer_that_leaves_while_its_old_link_is_ended_keeps_nobody_awake)
{
	int fd[2];
	join(fd, &cn_stream_plain);
	b.status = CN_STATUS_ALIVE;
	b.replace_later = true;
	a.alive = true;
	ck_assert_int_eq(begin(fd, &cn_stream_plain), 0);
	UNTIL(b.replaces == 1);
	cn_net_finish(a.net, 0);
	UNTIL(a.downs == 2 && b.downs == 1);    /* of the new one b has not heard */
	step();
	struct pollfd p = { .fd = cn_loop_fd(b.loop), .events = POLLIN };
	ck_assert_int_eq(poll(&p, 1, 0), 0);
	cn_conn_replaced(b.replacing);
	UNTIL(b.downs == 2);
}
END_TEST

START_TEST(replaces_a_link_that_the_peer_has_given_up)
{
	int fd[2];
	join(fd, &cn_stream_plain);
	struct cn_conn *old = b.conn;
	b.status = CN_STATUS_ALIVE;
	a.alive = false;
	ck_assert_int_eq(begin(fd, &cn_stream_plain), 0);
	UNTIL(a.downs == 1 && b.downs == 1);
	ck_assert_int_eq(b.replaces, 0);

	a.alive = true;
	b.replace_later = true;
	ck_assert_int_eq(begin(fd, &cn_stream_plain), 0);
	UNTIL(b.replaces == 1);
	cn_conn_close(old, CNODE_ENOCONNECTION, "replaced");
	UNTIL(b.downs == 2);
	ck_assert_int_eq(b.ups, 1);
	cn_conn_replaced(b.replacing);
	UNTIL(b.ups == 2 && a.ups == 2);
}
END_TEST

START_TEST(gives_up_a_silent_stranger_after_seven_seconds)
{
	struct cn_address at;
	const struct cn_address any = cn_address_loopback(4, 0);
	int fd[5];
	ck_assert_int_eq(cn_net_listen(b.net, &any, &at), 0);
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(cn_socket_connect(&at, &fd[i]), 0);
	/* Three may be pending; the others are turned away without a callback. */
	char byte;
	size_t moved;
	struct iovec part = { &byte, 1 };
	UNTIL(cn_net_pending(b.net) == 3);
	UNTIL(cn_socket_read(fd[3], &part, 1, &moved) < 0);
	UNTIL(cn_socket_read(fd[4], &part, 1, &moved) < 0);
	ck_assert_int_eq(b.downs, 0);
	/* A byte now and then does not buy more time. */
	for (int i = 0; i < 6; i++) {
		b.now += CN_NS_PER_S;
		cn_socket_write(fd[0], &(struct iovec){ (void *)&"\0\062N\0\0\0"[i], 1 }, 1, &moved);
		step();
	}
	ck_assert_uint_eq(cn_net_pending(b.net), 3);
	b.now += CN_NS_PER_S;
	UNTIL(b.downs == 3);
	ck_assert_int_eq(b.error, CNODE_ETIMEOUT);
	for (int i = 0; i < 5; i++)
		cn_socket_close(fd[i]);
	cn_net_listen_stop(b.net);
}
END_TEST

/* An address of this host that is not loopback. */
static bool outer_address(struct cn_address *found)
{
	struct ifaddrs *all, *i;
	bool got = false;
	if (getifaddrs(&all) != 0)
		return false;
	for (i = all; i && !got; i = i->ifa_next) {
		if (!i->ifa_addr || i->ifa_addr->sa_family != AF_INET)
			continue;
		*found = (struct cn_address){ .family = 4 };
		memcpy(found->ip, &((struct sockaddr_in *)(void *)i->ifa_addr)->sin_addr, 4);
		got = !cn_address_is_loopback(found);
	}
	freeifaddrs(all);
	return got;
}

START_TEST(lets_one_address_have_few_pending_handshakes_unless_it_is_loopback)
{
	struct cn_address at, outer;
	const struct cn_address any = cn_address_any(4, 0);
	int fd[3];
	if (!outer_address(&outer))
		return;
	ck_assert_int_eq(cn_net_listen(b.net, &any, &at), 0);
	outer.port = at.port;
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(cn_socket_connect(&outer, &fd[i]), 0);
	char byte;
	size_t moved;
	struct iovec part = { &byte, 1 };
	UNTIL(cn_net_pending(b.net) == 2);
	UNTIL(cn_socket_read(fd[2], &part, 1, &moved) < 0);
	ck_assert_int_eq(cn_socket_read(fd[0], &part, 1, &moved), 0);
	struct cn_address loopback = cn_address_loopback(4, at.port);
	cn_socket_close(fd[2]);
	ck_assert_int_eq(cn_socket_connect(&loopback, &fd[2]), 0);
	UNTIL(cn_net_pending(b.net) == 3);
	for (int i = 0; i < 3; i++)
		cn_socket_close(fd[i]);
	UNTIL(b.downs == 3);
	cn_net_listen_stop(b.net);
}
END_TEST

/* Carries bytes between a's and b's sockets: at most `step` at a time, and none behind `cut` of them. */
struct relay {
	int outer[2], inner[2];         /* a - inner[0], inner[1] - b */
	size_t step, passed, cut;
	bool over;
};

static void relay_open(struct relay *r, size_t step_size, size_t cut)
{
	struct cn_conn *ca, *cb;
	*r = (struct relay){ .step = step_size, .cut = cut };
	ck_assert_int_eq(cn_socket_pair(r->outer), 0);
	ck_assert_int_eq(cn_socket_pair(r->inner), 0);
	ck_assert_int_eq(cn_net_adopt(a.net, &(struct cn_stream){ &cn_stream_plain, r->outer[0], NULL }, b.name, NULL, &ca), 0);
	ck_assert_int_eq(cn_net_adopt(b.net, &(struct cn_stream){ &cn_stream_plain, r->inner[0], NULL }, NULL, NULL, &cb), 0);
}
static void relay_close(struct relay *r)
{
	if (!r->over) {
		cn_socket_close(r->outer[1]);
		cn_socket_close(r->inner[1]);
	}
	r->over = true;
}
static void carry(struct relay *r, int from, int to)
{
	char bytes[4096];
	size_t room = r->cut - r->passed, moved, sent = 0;
	if (r->over)
		return;
	if (room > r->step)
		room = r->step;
	if (room == 0 || cn_socket_read(from, &(struct iovec){ bytes, room }, 1, &moved) < 0) {
		relay_close(r);
		return;
	}
	r->passed += moved;
	if (moved > 0 && cn_socket_write(to, &(struct iovec){ bytes, moved }, 1, &sent) < 0)
		relay_close(r);
	else
		ck_assert_uint_eq(sent, moved);
}
static void relay_step(struct relay *r)
{
	carry(r, r->outer[1], r->inner[1]);
	carry(r, r->inner[1], r->outer[1]);
	step();
}

START_TEST(does_not_care_how_the_stream_is_cut_into_pieces)
{
	cnode_term small = term_of("{hello,world,[1.5,#{a => 1}]}"), large = binary_of(200000);
	for (size_t size = 1; size <= 4096; size = size < 8 ? size + 1 : size * 4) {
		struct relay r;
		a.downs = b.downs = b.frames = 0;
		a.conn = b.conn = NULL;
		relay_open(&r, size, SIZE_MAX);
		while (!a.conn || !b.conn) {
			relay_step(&r);
			ck_assert_int_eq(a.downs + b.downs, 0);
		}
		for (uint32_t i = 0; i < 30; i++)
			ck_assert_int_eq(send_id(a.conn, i % 2, i, i == 20 && size > 4 ? large : small, 0), 0);
		while (b.frames < 30) {
			relay_step(&r);
			ck_assert_int_eq(a.downs + b.downs, 0);
		}
		relay_close(&r);
		UNTIL(a.downs == 1 && b.downs == 1);
	}
	cnode_term_drop(small);
	cnode_term_drop(large);
}
END_TEST

START_TEST(ends_once_wherever_the_stream_breaks)
{
	cnode_term t = term_of("{some,message}");
	for (size_t cut = 0; cut < 420; cut += cut < 260 ? 1 : 9) {
		struct relay r;
		a.downs = b.downs = a.ups = b.ups = b.frames = 0;
		a.conn = b.conn = NULL;
		relay_open(&r, 64, cut);
		bool sent = false;
		for (int i = 0; i < 10000 && !(a.downs && b.downs); i++) {
			if (a.conn && !sent) {
				for (uint32_t k = 0; k < 5; k++)
					send_id(a.conn, 1, k, t, 0);
				sent = true;
			}
			relay_step(&r);
			/* Should both wait for bytes of the other, time ends it. */
			a.now += 10 * CN_NS_PER_MS;
			b.now += 10 * CN_NS_PER_MS;
		}
		ck_assert_int_eq(a.downs, 1);
		ck_assert_int_eq(b.downs, 1);
		ck_assert_int_le(a.ups, 1);
		ck_assert_int_le(b.frames, 5);
		relay_close(&r);
	}
	cnode_term_drop(t);
}
END_TEST

START_TEST(closes_a_link_for_bad_bytes)
{
	static const char *const bad[] = { "\0\0\0\003\x83\x44\x05", "\0\0\0\004\x70\x83\x68\x02", "\xff\xff\xff\xff" };
	for (size_t i = 0; i < CN_ARRAY_SIZE(bad); i++) {
		int fd[2];
		size_t moved;
		a.downs = b.downs = 0;
		join(fd, &cn_stream_plain);
		cn_socket_write(fd[1], &(struct iovec){ (void *)bad[i], i == 2 ? 4 : i == 1 ? 8 : 7 }, 1, &moved);
		UNTIL(a.downs == 1 && b.downs == 1);
		ck_assert(a.error <= -100 && a.error > -200);
		ck_assert_int_eq(b.error, CNODE_ENOCONNECTION);
	}
}
END_TEST

/* ---- dialling ---- */

static void dial(struct cn_dial d)
{
	struct cn_conn *c;
	int downs = a.downs;
	ck_assert_int_eq(cn_net_dial(a.net, &d, &c), 0);
	ck_assert_int_eq(a.downs, downs);
	UNTIL(a.downs > downs || a.conn);
}

START_TEST(dials_a_port_and_says_which_step_failed)
{
	struct cn_address at;
	const struct cn_address any = cn_address_loopback(4, 0);
	ck_assert_int_eq(cn_net_listen(b.net, &any, &at), 0);
	dial((struct cn_dial){ .peer = "b@127.0.0.1", .port = at.port });
	ck_assert_ptr_nonnull(a.conn);
	ck_assert_int_eq(a.steps, 123);
	ck_assert_ptr_nonnull(strstr(a.text, "connected to 127.0.0.1:"));
	UNTIL(b.conn);
	cn_conn_close(b.conn, CNODE_ESHUTDOWN, NULL);
	UNTIL(a.downs == 1 && b.downs == 1);

	a.steps = 0;
	dial((struct cn_dial){ .peer = "c@127.0.0.1", .port = at.port });
	ck_assert_int_eq(a.error, CNODE_EPEERNAME);
	cn_net_listen_stop(b.net);
	dial((struct cn_dial){ .peer = "b@127.0.0.1", .port = at.port });
	ck_assert_int_eq(a.error, CNODE_ENOCONNECTION);
	ck_assert_ptr_nonnull(strstr(a.text, "127.0.0.1"));
	dial((struct cn_dial){ .peer = "b@127.0.0.1", .epmd_port = at.port });
	ck_assert_int_eq(a.error, CNODE_EEPMD);
	ck_assert_int_eq(a.steps, 123 * 1000 + 121);    /* up to the handshake, to the port, to the address */
	struct cn_conn *c;
	ck_assert_int_eq(cn_net_dial(a.net, &(struct cn_dial){ .peer = "nohost" }, &c), CNODE_EBADNAME);
	/* Cancelled while it resolves. */
	int downs = a.downs;
	ck_assert_int_eq(cn_net_dial(a.net, &(struct cn_dial){ .peer = "b@nobody.invalid" }, &c), 0);
	cn_conn_close(c, CNODE_ESHUTDOWN, NULL);
	UNTIL(a.downs == downs + 1);
}
END_TEST

START_TEST(dials_by_an_embedded_epmd)
{
	struct cn_address at;
	struct cn_epmd_server *epmd;
	uint32_t creation;
	const struct cn_address any = cn_address_loopback(4, 0);
	ck_assert_int_eq(cn_net_listen(b.net, &any, &at), 0);
	ck_assert_int_eq(cn_epmd_server_new(b.loop, NULL, 0, &epmd), 0);
	const struct cn_epmd_node node = { .name = "b", .name_size = 1, .port = at.port, .type = 'H', .high = 6, .low = 5 };
	ck_assert_int_eq(cn_epmd_server_add(epmd, &node, &creation), 0);
	dial((struct cn_dial){ .peer = "b@127.0.0.1", .epmd_port = cn_epmd_server_port(epmd) });
	ck_assert_ptr_nonnull(a.conn);
	ck_assert_int_eq(a.steps, 123);
	UNTIL(b.conn);
	cn_conn_close(a.conn, CNODE_ESHUTDOWN, NULL);
	UNTIL(a.downs == 1 && b.downs == 1);
	dial((struct cn_dial){ .peer = "z@127.0.0.1", .epmd_port = cn_epmd_server_port(epmd) });
	ck_assert_int_eq(a.error, CNODE_ENOTREG);
	cn_epmd_server_free(epmd);
}
END_TEST

/* ---- memory ---- */

static void scenario(void)
{
	int fd[2];
	struct cn_blob *blob = NULL;
	if (open_node(&a, "a@127.0.0.1", true) == 0 && open_node(&b, "b@127.0.0.1", true) == 0 &&
	    begin(fd, &cn_stream_plain) == 0) {
		for (int i = 0; i < 200 && !(a.conn && b.conn) && a.downs + b.downs == 0; i++)
			step();
		blob = cn_blob_new(100005);
	}
	struct cn_verify v;
	if (a.conn && b.conn && blob) {
		memset(blob->bytes, 0, blob->size);
		blob->bytes[0] = CN_BINARY;
		cn_store_u32(blob->bytes + 1, 100000);
		cn_verify_init(&v, NULL, 0);
		ck_assert_int_eq(cn_verify_all(&v, blob->bytes, blob->size), 0);
		cnode_term t = cn_term_of_verified(blob, 0, &v);
		cn_verify_fini(&v);
		struct cn_control control = { .signal = CN_SIGNAL_SEND,
			.to = { cn_conn_info(a.conn)->name, 1, 0, 77 } };
		int sent = 0;
		struct cn_conn *c = cn_conn_ref(a.conn);
		for (uint64_t i = 0; i < 3; i++) {
			int rc = cn_conn_send(c, i, &control, t, 0, NULL);
			ck_assert(rc >= 0 || rc == CNODE_ENOMEM || rc == CNODE_ENOCONNECTION);
			sent += rc >= 0;
		}
		for (int i = 0; i < 500 && b.frames < sent && a.downs + b.downs == 0; i++)
			step();
		/* All of it, or the link has ended: never less in silence. */
		ck_assert(b.frames == sent || a.downs + b.downs > 0);
		cn_conn_unref(c);
	}
	cn_blob_unref(blob);
	close_node(&a);
	close_node(&b);
	memset(&a, 0, sizeof a);
	memset(&b, 0, sizeof b);
}

START_TEST(survives_every_failed_allocation)
{
	memset(&a, 0, sizeof a);
	memset(&b, 0, sizeof b);
	alloc_fail_each(scenario);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("conn");
	TCase *pair = tcase_create("pair"), *memory = tcase_create("memory");
	tcase_add_checked_fixture(pair, setup, teardown);
	tap_one_thread(memory);
	tcase_add_test(pair, brings_up_a_link_and_tells_what_was_agreed);
	tcase_add_test(pair, goes_down_once_whoever_ends_it);
	tcase_add_test(pair, closes_when_the_cookies_differ);
	tcase_add_test(pair, closes_when_it_is_not_let_in);
	tcase_add_test(pair, replaces_a_link_that_the_peer_has_given_up);
	tcase_add_test(pair, a_peer_that_leaves_while_its_old_link_is_ended_keeps_nobody_awake);
	tcase_add_test(pair, gives_up_a_silent_stranger_after_seven_seconds);
	tcase_add_test(pair, lets_one_address_have_few_pending_handshakes_unless_it_is_loopback);
	tcase_add_test(pair, does_not_care_how_the_stream_is_cut_into_pieces);
	tcase_add_test(pair, ends_once_wherever_the_stream_breaks);
	tcase_add_test(pair, closes_a_link_for_bad_bytes);
	tcase_add_test(pair, dials_a_port_and_says_which_step_failed);
	tcase_add_test(pair, dials_by_an_embedded_epmd);
	tcase_add_test(memory, survives_every_failed_allocation);
	suite_add_tcase(s, pair);
	suite_add_tcase(s, memory);
	return tap_run(s);
}
