/* SPDX-License-Identifier: Apache-2.0 */
/* Two nodes in one program for the tests of conn, joined by sockets; each has its own loop and clock. */
#ifndef TESTS_CONN_PAIR_H
#define TESTS_CONN_PAIR_H

#include "cnode/conn/conn.h"
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

static inline uint64_t node_clock(void *context)
{
	return ((struct node *)context)->now;
}

static inline void on_hello(void *context, struct cn_conn *c, const struct cn_handshake *hs, struct cn_hello *answer)
{
	struct node *n = context;
	(void)c;
	(void)hs;
	n->hellos++;
	answer->status = n->status;
}
static inline bool on_alive(void *context, struct cn_conn *c)
{
	(void)c;
	return ((struct node *)context)->alive;
}
static inline const char *on_cookie(void *context, struct cn_conn *c, const char *peer)
{
	(void)c;
	(void)peer;
	return ((struct node *)context)->cookie;
}
static inline void on_replace(void *context, struct cn_conn *c)
{
	struct node *n = context;
	n->replaces++;
	n->replacing = c;
	if (!n->replace_later)
		cn_conn_replaced(c);
}
static inline int on_up(void *context, struct cn_conn *c)
{
	struct node *n = context;
	n->ups++;
	if (n->refuse == 0)
		n->conn = c;
	return n->refuse;
}
/* Messages are SEND with the id in the pid's number. */
static inline void on_frame(void *context, struct cn_conn *c, struct cn_packet *m)
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
static inline void on_drained(void *context, struct cn_conn *c)
{
	(void)c;
	((struct node *)context)->drains++;
}
static inline void on_down(void *context, struct cn_conn *c, int error, const char *text)
{
	struct node *n = context;
	n->downs++;
	n->error = error;
	snprintf(n->text, sizeof n->text, "%s", text);
	if (n->conn == c)
		n->conn = NULL;
}
static inline void on_step(void *context, struct cn_conn *c, int number, const char *text)
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

static inline int open_node(struct node *n, const char *name, bool visible)
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
static inline void step(void)
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

static inline void close_node(struct node *n)
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

static inline void setup(void)
{
	ck_assert_int_eq(open_node(&a, "a@127.0.0.1", true), 0);
	ck_assert_int_eq(open_node(&b, "b@127.0.0.1", true), 0);
}
static inline void teardown(void)
{
	close_node(&a);
	close_node(&b);
}

/* A stream that counts its writes and can be kept from taking any. */
static int writes, blocked;
static inline int counting_read(struct cn_stream *s, const struct iovec *parts, int count, size_t *moved)
{
	return cn_socket_read(s->fd, parts, count, moved);
}
static inline int counting_write(struct cn_stream *s, const struct iovec *parts, int count, size_t *moved)
{
	writes++;
	*moved = 0;
	return blocked ? 0 : cn_socket_write(s->fd, parts, count, moved);
}
static inline void counting_shutdown(struct cn_stream *s) { cn_socket_shutdown(s->fd); }
static inline void counting_close(struct cn_stream *s) { s->state = NULL; }
static const struct cn_stream_ops counting = { counting_read, counting_write, counting_shutdown, counting_close };

static inline int begin(int fd[2], const struct cn_stream_ops *stream)
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

static inline void join(int fd[2], const struct cn_stream_ops *stream)
{
	ck_assert_int_eq(begin(fd, stream), 0);
	UNTIL(a.conn && b.conn);
}

static inline int send_id(struct cn_conn *c, uint64_t sender, uint32_t id, cnode_term payload, unsigned flags)
{
	struct cn_control control = { .signal = CN_SIGNAL_SEND, .to = pid_of(b.name, id), .from = pid_of(a.name, 1) };
	return cn_conn_send(c, sender, &control, payload, flags, NULL);
}

/* A binary of this many bytes; yours. */
static inline cnode_term binary_of(size_t size)
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

#endif
