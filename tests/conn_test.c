/* SPDX-License-Identifier: Apache-2.0 */
/* Connections: two nodes in one program, joined by sockets; each has its own loop and clock. */
#include <fcntl.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <unistd.h>

#include "cnode/conn/conn.h"
#include "tests/alloc_fail.h"
#include "tests/tap.h"
#include "tests/wire_help.h"

#define LOG_ROOM 64

/* A node as the room above would be one. */
struct node {
	const char *name;
	struct cn_loop *loop;
	struct cn_net *net;
	uint64_t now;
	struct cn_conn *conn;           /* the last that came up */
	int hellos, ups, downs, drains, frames;
	int error;                      /* of the last down */
	char text[320];
	enum cn_status status;          /* for hello */
	const char *cookie;
	bool alive;
	int refuse;                     /* for up */
	int replaces;
	bool replace_later;
	struct cn_conn *replacing;
	uint64_t got[LOG_ROOM];         /* ids of messages, in order */
	size_t sizes[LOG_ROOM];
	int steps;                      /* of dialling, as digits */
	void (*on_frame)(struct node *n, struct cn_conn *c, struct cn_packet *m);
};

static struct node a, b;

static uint64_t node_clock(void *context)
{
	return ((struct node *)context)->now;
}

static void on_hello(void *context, struct cn_conn *c, const struct cn_handshake *hs, struct cn_hello *answer)
{
	struct node *n = context;
	(void)c;
	(void)hs;
	n->hellos++;
	answer->status = n->status;
}
static bool on_alive(void *context, struct cn_conn *c)
{
	(void)c;
	return ((struct node *)context)->alive;
}
static const char *on_cookie(void *context, struct cn_conn *c, const char *peer)
{
	(void)c;
	(void)peer;
	return ((struct node *)context)->cookie;
}
static void on_replace(void *context, struct cn_conn *c)
{
	struct node *n = context;
	n->replaces++;
	n->replacing = c;
	if (!n->replace_later)
		cn_conn_replaced(c);
}
static int on_up(void *context, struct cn_conn *c)
{
	struct node *n = context;
	n->ups++;
	if (n->refuse == 0)
		n->conn = c;
	return n->refuse;
}
/* Messages are SEND with the id in the pid's number. */
static void on_frame(void *context, struct cn_conn *c, struct cn_packet *m)
{
	struct node *n = context;
	if (n->on_frame) {
		n->on_frame(n, c, m);
		return;
	}
	n->got[n->frames % LOG_ROOM] = m->control.to.id;
	n->sizes[n->frames % LOG_ROOM] = m->payload.size_;
	n->frames++;
}
static void on_drained(void *context, struct cn_conn *c)
{
	(void)c;
	((struct node *)context)->drains++;
}
static void on_down(void *context, struct cn_conn *c, int error, const char *text)
{
	struct node *n = context;
	n->downs++;
	n->error = error;
	snprintf(n->text, sizeof n->text, "%s", text);
	if (n->conn == c)
		n->conn = NULL;
}
static void on_step(void *context, struct cn_conn *c, int number, const char *text)
{
	struct node *n = context;
	(void)c;
	n->steps = n->steps * 10 + number;
	snprintf(n->text, sizeof n->text, "%s", text);
}
static const struct cn_conn_ops ops = {
	.hello = on_hello, .alive = on_alive, .cookie = on_cookie, .replace = on_replace, .up = on_up,
	.frame = on_frame, .drained = on_drained, .down = on_down, .step = on_step,
};

static int open_node(struct node *n, const char *name, bool visible)
{
	*n = (struct node){ .name = name, .now = 1000 * CN_NS_PER_S, .status = CN_STATUS_OK, .cookie = "secret" };
	int rc = cn_loop_new(&(struct cn_loop_config){ .now = node_clock, .now_context = n }, &n->loop);
	if (rc != 0) {
		n->loop = NULL;
		return rc;
	}
	cn_lead_take(n->loop);
	const struct cn_net_config config = {
		.loop = n->loop, .name = name, .creation = 77, .ticktime = 4 * CN_NS_PER_S, .ops = &ops, .context = n,
		.flags = visible ? CN_DFLAGS_OFFER : CN_DFLAGS_OFFER & ~CN_DFLAG_PUBLISHED,
		.max_pending = 3, .max_pending_host = 2, .out_high = 1 << 20, .out_limit = 8 << 20,
	};
	rc = cn_net_new(&config, &n->net);
	if (rc != 0)
		n->net = NULL;
	return rc;
}

/* Rounds of both until cond holds. Nothing waits, so no clock but ours is needed. */
static void step(void)
{
	cn_loop_poll(a.loop, 0);
	cn_loop_poll(b.loop, 0);
}
#define UNTIL(cond) \
	do { \
		uint64_t end_ = cn_now() + 90 * CN_NS_PER_S; \
		while (!(cond)) { \
			ck_assert_msg(cn_now() < end_, "never: " #cond " (a: %s; b: %s)", a.text, b.text); \
			step(); \
		} \
	} while (0)

static void close_node(struct node *n)
{
	if (n->net) {
		cn_net_finish(n->net, 0);
		n->now += CN_NS_PER_S;
		for (int i = 0; i < 1000 && cn_net_count(n->net) > 0; i++)
			cn_loop_poll(n->loop, 0);
		ck_assert_uint_eq(cn_net_count(n->net), 0);
		cn_net_free(n->net);
	}
	if (n->loop) {
		cn_lead_release(n->loop);
		cn_loop_free(n->loop);
	}
}

static void setup(void)
{
	ck_assert_int_eq(open_node(&a, "a@127.0.0.1", true), 0);
	ck_assert_int_eq(open_node(&b, "b@127.0.0.1", true), 0);
}
static void teardown(void)
{
	close_node(&a);
	close_node(&b);
}

/* A stream that counts its writes and can be kept from taking any. */
static int writes, blocked;
static int counting_read(struct cn_stream *s, const struct iovec *parts, int count, size_t *moved)
{
	return cn_socket_read(s->fd, parts, count, moved);
}
static int counting_write(struct cn_stream *s, const struct iovec *parts, int count, size_t *moved)
{
	writes++;
	*moved = 0;
	return blocked ? 0 : cn_socket_write(s->fd, parts, count, moved);
}
static void counting_shutdown(struct cn_stream *s) { cn_socket_shutdown(s->fd); }
static void counting_close(struct cn_stream *s) { s->state = NULL; }
static const struct cn_stream_ops counting = { counting_read, counting_write, counting_shutdown, counting_close };

static int begin(int fd[2], const struct cn_stream_ops *stream)
{
	struct cn_conn *ca, *cb;
	int rc = cn_socket_pair(fd);
	ck_assert_int_eq(rc, 0);
	rc = cn_net_adopt(a.net, &(struct cn_stream){ stream, fd[0], NULL }, b.name, NULL, &ca);
	if (rc != 0) {
		cn_socket_close(fd[1]);
		return rc;
	}
	return cn_net_adopt(b.net, &(struct cn_stream){ &cn_stream_plain, fd[1], NULL }, NULL, NULL, &cb);
}

static void join(int fd[2], const struct cn_stream_ops *stream)
{
	ck_assert_int_eq(begin(fd, stream), 0);
	UNTIL(a.conn && b.conn);
}

static int send_id(struct cn_conn *c, uint64_t sender, uint32_t id, cnode_term payload, unsigned flags)
{
	struct cn_control control = { .signal = CN_SIGNAL_SEND, .to = pid_of(b.name, id), .from = pid_of(a.name, 1) };
	return cn_conn_send(c, sender, &control, payload, flags, NULL);
}

/* A binary of this many bytes; yours. */
static cnode_term binary_of(size_t size)
{
	struct cn_blob *blob = cn_blob_new(size + 5);
	ck_assert_ptr_nonnull(blob);
	memset(blob->bytes, 'x', size + 5);
	blob->bytes[0] = CN_BINARY;
	cn_store_u32(blob->bytes + 1, (uint32_t)size);
	struct cn_verify v;
	cn_verify_init(&v, NULL, 0);
	ck_assert_int_eq(cn_verify_all(&v, blob->bytes, size + 5), 0);
	cnode_term t = cn_term_of_verified(blob, 0, &v);
	cn_verify_fini(&v);
	return t;
}

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

/* ---- messages ---- */

START_TEST(delivers_messages_in_order)
{
	int fd[2];
	join(fd, &cn_stream_plain);
	cnode_term t = term_of("{hello,[1,2,3],<<\"world\">>}");
	for (uint32_t i = 0; i < 40; i++)
		ck_assert_int_eq(send_id(a.conn, i % 3, i, t, 0), 0);
	UNTIL(b.frames == 40);
	for (uint32_t i = 0; i < 40; i++)
		ck_assert_uint_eq(b.got[i], i);
	cnode_term_drop(t);
	struct cn_conn_counts out, in;
	cn_conn_counts(a.conn, &out);
	cn_conn_counts(b.conn, &in);
	ck_assert_uint_eq(out.packets_out, 40);
	ck_assert_uint_eq(in.packets_in, 40);
	ck_assert_uint_eq(out.bytes_out, in.bytes_in);
	ck_assert_uint_eq(out.queued, 0);
}
END_TEST

START_TEST(lets_a_small_message_overtake_a_large_one_but_not_its_own_senders)
{
	int fd[2];
	join(fd, &cn_stream_plain);
	cnode_term large = binary_of(8 << 20), small = term_of("small");
	ck_assert_int_eq(send_id(a.conn, 1, 100, large, 0), CN_CONN_SUSPEND);
	ck_assert(cn_conn_busy(a.conn));
	ck_assert_int_eq(send_id(a.conn, 1, 101, small, 0), CN_CONN_SUSPEND);
	ck_assert_int_eq(send_id(a.conn, 2, 200, small, 0), CN_CONN_SUSPEND);
	ck_assert_int_eq(send_id(a.conn, 3, 300, large, 0), CN_CONN_SUSPEND);
	ck_assert_int_eq(send_id(a.conn, 2, 201, small, 0), CN_CONN_SUSPEND);
	ck_assert_int_eq(send_id(a.conn, 2, 202, small, CN_CONN_NOSUSPEND), CNODE_EBUSY);
	UNTIL(b.frames == 2);
	ck_assert_uint_eq(b.got[0], 200);
	ck_assert_uint_eq(b.got[1], 201);
	struct cn_conn_counts in;
	cn_conn_counts(b.conn, &in);
	ck_assert_msg(in.bytes_in < (3u << 20), "the small one came behind %llu bytes", (unsigned long long)in.bytes_in);
	UNTIL(b.frames == 5);
	/* The two large ones share the line, so both end late; 101 is right behind 100. */
	int at100 = 0, at101 = 0;
	for (int i = 2; i < 5; i++) {
		at100 = b.got[i] == 100 ? i : at100;
		at101 = b.got[i] == 101 ? i : at101;
		if (b.got[i] == 100 || b.got[i] == 300)
			ck_assert_uint_eq(b.sizes[i], (8u << 20) + 5);
	}
	ck_assert(at100 > 0 && at101 > at100);
	ck_assert_int_eq(a.drains, 1);
	ck_assert(!cn_conn_busy(a.conn));
	cnode_term_drop(large);
	cnode_term_drop(small);
}
END_TEST

START_TEST(refuses_a_message_that_the_peer_would_drop_the_link_for)
{
	int fd[2];
	join(fd, &cn_stream_plain);
	struct cn_control control = { .signal = CN_SIGNAL_SEND, .from = pid_of(a.name, 1) };
	cnode_term t = term_of("ok");
	ck_assert_int_eq(cn_conn_send(a.conn, 1, &control, t, 0, NULL), CNODE_EBADARG);
	ck_assert_int_eq(send_id(a.conn, 1, 5, t, 0), 0);
	UNTIL(b.frames == 1);
	cnode_term_drop(t);
}
END_TEST

START_TEST(writes_corked_messages_together)
{
	int fd[2];
	join(fd, &counting);
	cnode_term t = term_of("[1,2,3]");
	writes = 0;
	cn_cork_begin(a.net);
	cn_cork_begin(a.net);
	for (uint32_t i = 0; i < 20; i++)
		ck_assert_int_eq(send_id(a.conn, i, i, t, 0), 0);
	cn_cork_end(a.net);
	ck_assert_int_eq(writes, 0);
	cn_cork_end(a.net);
	ck_assert_int_eq(writes, 1);
	UNTIL(b.frames == 20);
	for (uint32_t i = 0; i < 5; i++)
		send_id(a.conn, i, i, t, 0);
	ck_assert_int_eq(writes, 6);
	cnode_term_drop(t);
}
END_TEST

struct corker {
	struct cn_thread thread;
	struct cn_mutex lock;
	struct cn_cond cond;
	bool sent, end;
};
static void cork_and_dawdle(void *arg)
{
	struct corker *k = arg;
	cnode_term t = term_of("late");
	cn_cork_begin(a.net);
	send_id(a.conn, 1, 9, t, 0);
	cn_mutex_lock(&k->lock);
	k->sent = true;
	cn_cond_broadcast(&k->cond);
	while (!k->end)
		cn_cond_wait(&k->cond, &k->lock);
	cn_mutex_unlock(&k->lock);
	cn_cork_end(a.net);
	cnode_term_drop(t);
}

START_TEST(has_the_lead_write_what_a_long_run_holds_back)
{
	int fd[2];
	struct corker k = { .sent = false };
	join(fd, &counting);
	writes = 0;
	cn_mutex_init(&k.lock);
	cn_cond_init(&k.cond);
	ck_assert_int_eq(cn_thread_start(&k.thread, "corker", cork_and_dawdle, &k), 0);
	cn_mutex_lock(&k.lock);
	while (!k.sent)
		cn_cond_wait(&k.cond, &k.lock);
	cn_mutex_unlock(&k.lock);
	ck_assert_int_eq(writes, 0);
	/* It is about to wait for long: first it writes what is overdue. */
	a.now += CN_NET_CORK;
	cn_loop_poll(a.loop, a.now + 2 * CN_NS_PER_MS);
	ck_assert_int_eq(writes, 1);
	UNTIL(b.frames == 1);
	cn_mutex_lock(&k.lock);
	k.end = true;
	cn_cond_broadcast(&k.cond);
	cn_mutex_unlock(&k.lock);
	cn_thread_join(&k.thread);
	cn_cond_fini(&k.cond);
	cn_mutex_fini(&k.lock);
}
END_TEST

START_TEST(tells_senders_to_wait_and_when_to_go_on)
{
	int fd[2];
	join(fd, &counting);
	cnode_term t = binary_of(30000);
	blocked = 1;
	int rc = 0, sent = 0;
	while (rc == 0) {
		rc = send_id(a.conn, 1, 1, t, 0);
		sent++;
	}
	ck_assert_int_eq(rc, CN_CONN_SUSPEND);
	ck_assert_int_ge(sent, (1 << 20) / 30100);
	ck_assert_int_eq(send_id(a.conn, 2, 2, t, CN_CONN_NOSUSPEND), CNODE_EBUSY);
	step();
	ck_assert_int_eq(a.drains, 0);
	blocked = 0;
	UNTIL(a.drains == 1);
	UNTIL(b.frames == sent);
	ck_assert_int_eq(send_id(a.conn, 2, 2, t, CN_CONN_NOSUSPEND), 0);
	ck_assert_int_eq(a.drains, 1);
	cnode_term_drop(t);
}
END_TEST

START_TEST(cuts_a_peer_that_does_not_read)
{
	int fd[2];
	join(fd, &cn_stream_plain);
	struct cn_conn *c = cn_conn_ref(a.conn);
	cnode_term t = binary_of(30000);
	int rc = 0, sent = 0;
	/* Nobody polls b. It may be behind for the second that it takes to see that it stays so. */
	while (rc >= 0 && sent < 1000) {
		rc = send_id(c, 1, 1, t, 0);
		sent++;
		a.now += 20 * CN_NS_PER_MS;
	}
	ck_assert_int_eq(rc, CNODE_ENOCONNECTION);
	ck_assert_int_ge(sent, (8 << 20) / 30100);
	while (a.downs == 0)
		cn_loop_poll(a.loop, 0);
	ck_assert_int_eq(a.error, CNODE_EBUSY);
	UNTIL(b.downs == 1);
	cnode_term_drop(t);
	cn_conn_unref(c);
}
END_TEST

START_TEST(does_not_cut_a_peer_that_reads_all_the_time)
{
	int fd[2];
	join(fd, &cn_stream_plain);
	cnode_term t = binary_of(12 << 20), small = term_of("x");
	for (uint32_t i = 0; i < 6; i++)
		ck_assert_int_eq(send_id(a.conn, i, i, t, 0), CN_CONN_SUSPEND);   /* 72 MB, limit 8 */
	while (b.frames < 6) {
		step();
		a.now += 50 * CN_NS_PER_MS;
		b.now = a.now;
		ck_assert_int_ge(send_id(a.conn, 99, 99, small, 0), 0);
		b.frames -= b.frames > 0 && b.got[(b.frames - 1) % LOG_ROOM] == 99;
	}
	ck_assert_int_eq(a.downs, 0);
	cnode_term_drop(t);
	cnode_term_drop(small);
}
END_TEST

START_TEST(writes_all_that_is_queued_before_it_leaves)
{
	int fd[2];
	join(fd, &cn_stream_plain);
	cnode_term t = binary_of(5 << 20);
	ck_assert_int_eq(send_id(a.conn, 1, 1, t, 0), CN_CONN_SUSPEND);
	cn_conn_finish(a.conn, 5 * CN_NS_PER_S);
	ck_assert_int_eq(send_id(a.conn, 1, 2, t, 0), CNODE_ENOCONNECTION);
	UNTIL(a.downs == 1 && b.downs == 1);
	ck_assert_int_eq(b.frames, 1);
	ck_assert_int_eq(a.error, 0);
	cnode_term_drop(t);
}
END_TEST

START_TEST(leaves_in_time_though_the_peer_does_not_read)
{
	int fd[2];
	join(fd, &cn_stream_plain);
	cnode_term t = binary_of(5 << 20);
	send_id(a.conn, 1, 1, t, 0);
	cn_conn_finish(a.conn, 2 * CN_NS_PER_S);
	for (int i = 0; i < 5; i++)
		cn_loop_poll(a.loop, 0);
	ck_assert_int_eq(a.downs, 0);
	a.now += 2 * CN_NS_PER_S;
	cn_loop_poll(a.loop, 0);
	cn_loop_poll(a.loop, 0);
	ck_assert_int_eq(a.downs, 1);
	cnode_term_drop(t);
}
END_TEST

static void close_in_frame(struct node *n, struct cn_conn *c, struct cn_packet *m)
{
	(void)m;
	n->frames++;
	cn_conn_close(c, CNODE_EREFUSED, "enough");
}

START_TEST(delivers_nothing_after_it_was_closed_in_a_callback)
{
	int fd[2];
	join(fd, &cn_stream_plain);
	cnode_term t = term_of("ok");
	b.on_frame = close_in_frame;
	for (uint32_t i = 0; i < 10; i++)
		send_id(a.conn, 1, i, t, 0);
	UNTIL(a.downs == 1 && b.downs == 1);
	ck_assert_int_eq(b.frames, 1);
	cnode_term_drop(t);
}
END_TEST

/* ---- ticks ---- */

static void pass(uint64_t ns)
{
	a.now += ns;
	b.now += ns;
	for (int i = 0; i < 4; i++)
		step();
}

START_TEST(keeps_an_idle_link_alive_with_ticks)
{
	int fd[2];
	join(fd, &cn_stream_plain);
	for (int i = 0; i < 600; i++)
		pass(100 * CN_NS_PER_MS);
	ck_assert_int_eq(a.downs + b.downs, 0);
	struct cn_conn_counts before, after;
	cn_conn_counts(a.conn, &before);
	ck_assert_uint_ge(before.packets_in, 50);
	/* Answers to ticks must not breed. */
	ck_assert_uint_le(before.packets_in, 200);
	for (int i = 0; i < 100; i++)
		step();
	cn_conn_counts(a.conn, &after);
	ck_assert_uint_eq(after.packets_in, before.packets_in);
}
END_TEST

START_TEST(gives_up_a_peer_that_is_silent_for_net_ticktime)
{
	int fd[2];
	join(fd, &cn_stream_plain);
	uint64_t start = a.now;
	while (a.downs == 0) {
		a.now += 100 * CN_NS_PER_MS;
		cn_loop_poll(a.loop, 0);
		cn_loop_poll(a.loop, 0);
		ck_assert(a.now < start + 10 * CN_NS_PER_S);
	}
	ck_assert_int_eq(a.error, CNODE_ETICK);
	/* T - T/4 to T + T/4, T being 4 s. */
	ck_assert(a.now - start >= 3 * CN_NS_PER_S);
	ck_assert(a.now - start <= 5 * CN_NS_PER_S + 200 * CN_NS_PER_MS);
	UNTIL(b.downs == 1);
}
END_TEST

START_TEST(ticks_while_it_receives_only)
{
	/* A peer that writes all the time sends no ticks, but it wants to hear something. */
	int fd[2];
	join(fd, &cn_stream_plain);
	cnode_term t = term_of("ok");
	struct cn_conn_counts counts;
	for (int i = 0; i < 100; i++) {
		send_id(a.conn, 1, 1, t, 0);
		pass(100 * CN_NS_PER_MS);
	}
	cn_conn_counts(b.conn, &counts);
	ck_assert_int_eq(a.downs + b.downs, 0);
	ck_assert_uint_ge(counts.bytes_out, 8 * 4);
	cnode_term_drop(t);
}
END_TEST

/* ---- threads ---- */

#define SENDERS 4
#define EACH 1500
struct sender {
	struct cn_thread thread;
	uint64_t number;
	struct cn_conn *conn;
};
static uint32_t next_of[SENDERS];
static int wrong_order;

static void send_many(void *arg)
{
	struct sender *s = arg;
	cnode_term small = term_of("{a,b,c}"), large = binary_of(200000);
	for (uint32_t i = 0; i < EACH; i++) {
		if (i % 4 == 0)
			cn_cork_begin(a.net);
		struct cn_control control = { .signal = CN_SIGNAL_SEND,
			.to = { cn_conn_info(s->conn)->name, i, (uint32_t)s->number, 77 } };
		int rc;
		do
			rc = cn_conn_send(s->conn, s->number, &control, i % 100 == 50 ? large : small, CN_CONN_NOSUSPEND, NULL);
		while (rc == CNODE_EBUSY);
		ck_assert_int_ge(rc, 0);
		if (i % 4 == 3)
			cn_cork_end(a.net);
	}
	cnode_term_drop(small);
	cnode_term_drop(large);
}
static void check_order(struct node *n, struct cn_conn *c, struct cn_packet *m)
{
	(void)c;
	n->frames++;
	uint32_t *next = &next_of[m->control.to.serial];
	wrong_order += m->control.to.id != *next;
	(*next)++;
}

START_TEST(keeps_each_senders_order_when_threads_send_at_once)
{
	int fd[2];
	struct sender s[SENDERS];
	join(fd, &cn_stream_plain);
	b.on_frame = check_order;
	for (uint64_t i = 0; i < SENDERS; i++) {
		s[i] = (struct sender){ .number = i, .conn = a.conn };
		ck_assert_int_eq(cn_thread_start(&s[i].thread, "sender", send_many, &s[i]), 0);
	}
	UNTIL(b.frames == SENDERS * EACH);
	for (int i = 0; i < SENDERS; i++)
		cn_thread_join(&s[i].thread);
	ck_assert_int_eq(wrong_order, 0);
}
END_TEST

static void send_until_closed(void *arg)
{
	struct sender *s = arg;
	cnode_term t = term_of("x");
	while (send_id(s->conn, s->number, 1, t, CN_CONN_NOSUSPEND) != CNODE_ENOCONNECTION)
		continue;
	cnode_term_drop(t);
	cn_conn_unref(s->conn);
}

START_TEST(can_be_closed_while_threads_send)
{
	for (int round = 0; round < 20; round++) {
		int fd[2];
		struct sender s[2];
		a.downs = b.downs = 0;
		join(fd, &cn_stream_plain);
		for (uint64_t i = 0; i < 2; i++) {
			s[i] = (struct sender){ .number = i, .conn = cn_conn_ref(a.conn) };
			ck_assert_int_eq(cn_thread_start(&s[i].thread, "sender", send_until_closed, &s[i]), 0);
		}
		UNTIL(b.frames > round * 50);
		if (round % 2)
			cn_conn_close(a.conn, CNODE_ESHUTDOWN, NULL);
		else
			cn_conn_close(b.conn, CNODE_ESHUTDOWN, NULL);
		UNTIL(a.downs == 1 && b.downs == 1);
		for (int i = 0; i < 2; i++)
			cn_thread_join(&s[i].thread);
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
	tcase_set_timeout(pair, 120);
	tcase_set_timeout(memory, 120);
	tap_one_thread(memory);
	tcase_add_test(pair, brings_up_a_link_and_tells_what_was_agreed);
	tcase_add_test(pair, goes_down_once_whoever_ends_it);
	tcase_add_test(pair, closes_when_the_cookies_differ);
	tcase_add_test(pair, closes_when_it_is_not_let_in);
	tcase_add_test(pair, replaces_a_link_that_the_peer_has_given_up);
	tcase_add_test(pair, gives_up_a_silent_stranger_after_seven_seconds);
	tcase_add_test(pair, lets_one_address_have_few_pending_handshakes_unless_it_is_loopback);
	tcase_add_test(pair, does_not_care_how_the_stream_is_cut_into_pieces);
	tcase_add_test(pair, ends_once_wherever_the_stream_breaks);
	tcase_add_test(pair, closes_a_link_for_bad_bytes);
	tcase_add_test(pair, delivers_messages_in_order);
	tcase_add_test(pair, lets_a_small_message_overtake_a_large_one_but_not_its_own_senders);
	tcase_add_test(pair, refuses_a_message_that_the_peer_would_drop_the_link_for);
	tcase_add_test(pair, writes_corked_messages_together);
	tcase_add_test(pair, has_the_lead_write_what_a_long_run_holds_back);
	tcase_add_test(pair, tells_senders_to_wait_and_when_to_go_on);
	tcase_add_test(pair, cuts_a_peer_that_does_not_read);
	tcase_add_test(pair, does_not_cut_a_peer_that_reads_all_the_time);
	tcase_add_test(pair, writes_all_that_is_queued_before_it_leaves);
	tcase_add_test(pair, leaves_in_time_though_the_peer_does_not_read);
	tcase_add_test(pair, delivers_nothing_after_it_was_closed_in_a_callback);
	tcase_add_test(pair, keeps_an_idle_link_alive_with_ticks);
	tcase_add_test(pair, gives_up_a_peer_that_is_silent_for_net_ticktime);
	tcase_add_test(pair, ticks_while_it_receives_only);
	tcase_add_test(pair, keeps_each_senders_order_when_threads_send_at_once);
	tcase_add_test(pair, can_be_closed_while_threads_send);
	tcase_add_test(pair, dials_a_port_and_says_which_step_failed);
	tcase_add_test(pair, dials_by_an_embedded_epmd);
	tcase_add_test(memory, survives_every_failed_allocation);
	suite_add_tcase(s, pair);
	suite_add_tcase(s, memory);
	return tap_run(s);
}
