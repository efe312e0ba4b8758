/* SPDX-License-Identifier: Apache-2.0 */
/* What goes over a connection: messages, back-pressure, ticks, and threads that send at once. */
#include <unistd.h>

#include "cnode/conn/inner.h"
#include "tests/conn_pair.h"
#include "tests/tap.h"

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

/* A stream that notes how much of what it writes stands in the program's own memory. */
static uint8_t megabyte[1 << 20];
static size_t written_from_it;
static int given_back;
static int noting_write(struct cn_stream *s, const struct iovec *parts, int count, size_t *moved)
{
	int rc = cn_socket_write(s->fd, parts, count, moved);
	size_t left = *moved;
	for (int i = 0; i < count && left; i++) {
		size_t n = left < parts[i].iov_len ? left : parts[i].iov_len;
		const uint8_t *from = parts[i].iov_base;
		if (from >= megabyte && from < megabyte + sizeof megabyte)
			written_from_it += n;
		left -= n;
	}
	return rc;
}
static const struct cn_stream_ops noting = { counting_read, noting_write, counting_shutdown, counting_close };
static void give_back(void *context)
{
	ck_assert_ptr_eq(context, megabyte);
	given_back++;
}

/* ---- fragments as a peer may cut them ---- */

/* Bytes of messages, and what each is to be: {2,'',To} with the number as To's id, and a binary of `size` bytes that follow from it. */
struct writer {
	struct cn_buf bytes;
	uint64_t sequence;
};
static uint8_t byte_of(uint32_t id, size_t at) { return (uint8_t)(id * 31 + at * 7 + (at >> 8) * 13 + (at >> 16)); }

static void put_fragment(struct writer *w, uint64_t sequence, uint64_t fragment, const uint8_t *bytes, size_t size, bool first)
{
	cn_put_u32(&w->bytes, (uint32_t)(size + 18 + first));
	cn_put_u8(&w->bytes, 131);
	cn_put_u8(&w->bytes, first ? 69 : 70);
	cn_put_u64(&w->bytes, sequence);
	cn_put_u64(&w->bytes, fragment);
	if (first)
		cn_put_u8(&w->bytes, 0);
	cn_put(&w->bytes, bytes, size);
}

/* The control term and the payload; yours. */
static uint8_t *message_bytes(uint32_t id, size_t binary, size_t *size)
{
	static const char control[] = "h\3a\2w\0Xw\013a@127.0.0.1\0\0\0\0\0\0\0\0\0\0\0\115";
	size_t head = sizeof control - 1;
	uint8_t *p = malloc(head + 5 + binary);
	memcpy(p, control, head);
	cn_store_u32(p + head - 12, id);
	p[head] = CN_BINARY;
	cn_store_u32(p + head + 1, (uint32_t)binary);
	for (size_t i = 0; i < binary; i++)
		p[head + 5 + i] = byte_of(id, i);
	*size = head + 5 + binary;
	return p;
}

static void put_whole(struct writer *w, uint32_t id, size_t binary)
{
	size_t size;
	uint8_t *p = message_bytes(id, binary, &size);
	cn_put_u32(&w->bytes, (uint32_t)(size + 3));
	cn_put_u8(&w->bytes, 131);
	cn_put_u8(&w->bytes, 68);
	cn_put_u8(&w->bytes, 0);
	cn_put(&w->bytes, p, size);
	free(p);
}

static int most_parts;
static size_t roomed;                   /* bytes that were read into the net's buffer, from where they are copied */
static int part_counting_read(struct cn_stream *s, const struct iovec *parts, int count, size_t *moved)
{
	int rc = cn_socket_read(s->fd, parts, count, moved);
	size_t left = rc == 0 ? *moved : 0;
	for (int i = 0; i < count && left > 0; i++) {
		size_t n = left < parts[i].iov_len ? left : parts[i].iov_len;
		const uint8_t *at = parts[i].iov_base;
		most_parts = i + 1 > most_parts ? i + 1 : most_parts;
		if (at >= a.net->read_room && at < a.net->read_room + CN_READ_BUFFER)
			roomed += n;
		left -= n;
	}
	return rc;
}
static const struct cn_stream_ops part_counting = { part_counting_read, counting_write, counting_shutdown, counting_close };

static void check_bytes(struct node *n, struct cn_conn *c, struct cn_packet *m)
{
	(void)c;
	uint32_t id = m->control.to.id;
	const uint8_t *p = m->payload.bytes_;
	n->got[n->frames % LOG_ROOM] = id;
	n->sizes[n->frames % LOG_ROOM] = m->payload.size_ - 5;
	n->frames++;
	for (size_t i = 5; i < m->payload.size_; i++)
		if (p[i] != byte_of(id, i - 5))
			ck_abort_msg("message %u is wrong at %zu of %zu", id, i, m->payload.size_);
}

/* Writes all of it into b's end, in pieces of at most `piece` bytes, and has a read. */
static void pour(const struct writer *w, int fd, size_t piece)
{
	for (size_t at = 0, moved; at < w->bytes.size; at += moved) {
		size_t n = w->bytes.size - at < piece ? w->bytes.size - at : piece;
		ck_assert_int_eq(cn_socket_write(fd, &(struct iovec){ w->bytes.data + at, n }, 1, &moved), 0);
		if (moved < n || piece < SIZE_MAX)
			cn_loop_poll(a.loop, 0);
		ck_assert_msg(a.downs == 0, "%s", a.text);
	}
}

START_TEST(reads_several_fragments_at_once_whatever_comes_in_place_of_them)
{
	static const size_t pieces[] = { SIZE_MAX, 150000, 65536 + 22, 30011 };
	unsigned seed = (unsigned)_i + 1;
#define RANDOM(n) ((seed = seed * 1103515245 + 12345) >> 8) % (n)
	int fd[2], expected = 0;
	most_parts = 0;
	join(fd, &part_counting);
	a.on_frame = check_bytes;
	struct writer w = { .sequence = 0 };
	cn_buf_init(&w.bytes, 0);
	uint32_t id = 1;
	for (int round = 0; round < 12; round++) {
		/* Two sequences at a time. Round 0 is as BEAM nodes do it; then one of them, small messages, ticks and odd sizes come in between. */
		struct { uint8_t *bytes; size_t size, at, each; uint64_t sequence, left; } m[2];
		int open = round == 0 ? 1 : 2;
		for (int k = 0; k < open; k++) {
			m[k].bytes = message_bytes(id++, 600000 + RANDOM(300000), &m[k].size);
			m[k].each = round % 3 == 2 ? 17000 + RANDOM(60000) : 65536;
			m[k].left = (m[k].size + m[k].each - 1) / m[k].each;
			m[k].at = m[k].each;
			m[k].sequence = ++w.sequence;
			put_fragment(&w, m[k].sequence, m[k].left--, m[k].bytes, m[k].each, true);
			expected++;
		}
		while (m[0].left + (open == 2 ? m[1].left : 0) > 0) {
			int k = open == 2 && (m[0].left == 0 || (m[1].left > 0 && RANDOM(4) == 0)) ? 1 : 0;
			/* Some are shorter than those before; the last one gets what is left over, too. */
			size_t n = round > 5 && RANDOM(5) == 0 ? m[k].each - 1 - RANDOM(16000) : m[k].each;
			if (m[k].left == 1 || n > m[k].size - m[k].at)
				n = m[k].size - m[k].at;
			put_fragment(&w, m[k].sequence, m[k].left--, m[k].bytes + m[k].at, n, false);
			m[k].at += n;
			if (round > 2 && RANDOM(6) == 0) {
				put_whole(&w, id++, RANDOM(2) == 0 ? 10 : RANDOM(70000));
				expected++;
			}
			if (round > 2 && RANDOM(8) == 0)
				cn_put_u32(&w.bytes, 0);
		}
		for (int k = 0; k < open; k++)
			free(m[k].bytes);
		if (round == 0) {
			pour(&w, fd[1], pieces[_i % 4]);
			UNTIL(a.frames == expected);
			/* Its rest, the next one's header and the next one, at least. */
			ck_assert_msg(_i != 0 || most_parts >= 3, "at most %d parts in a read", most_parts);
			cn_buf_clear(&w.bytes);
		}
	}
	ck_assert_int_eq(w.bytes.err, 0);
	pour(&w, fd[1], pieces[_i % 4]);
	UNTIL(a.frames == expected);
	ck_assert_int_eq(a.downs, 0);
	cn_buf_fini(&w.bytes);
#undef RANDOM
}
END_TEST

/* As BEAM nodes do while they are read as fast as they write. */
START_TEST(reads_what_comes_packet_by_packet_to_where_it_stays)
{
	int fd[2];
	size_t size, all = 0;
	join(fd, &part_counting);
	a.on_frame = check_bytes;
	roomed = 0;
	struct writer w = { .sequence = 0 };
	cn_buf_init(&w.bytes, 0);
	for (uint32_t id = 1; id <= 8; id++) {
		uint8_t *p = message_bytes(id, 1000000, &size);
		uint64_t left = (size + 65535) / 65536;
		for (size_t at = 0, n; at < size; at += n, left--) {
			n = size - at < 65536 ? size - at : 65536;
			put_fragment(&w, id, left, p + at, n, at == 0);
			pour(&w, fd[1], SIZE_MAX);
			cn_loop_poll(a.loop, 0);
			cn_buf_clear(&w.bytes);
		}
		free(p);
		put_whole(&w, 100 + id, 60000);
		pour(&w, fd[1], SIZE_MAX);
		cn_buf_clear(&w.bytes);
		UNTIL(a.frames == (int)id * 2);
		all += size + 60000;
	}
	ck_assert_msg(roomed < all / 5, "%zu of %zu bytes were read to be copied", roomed, all);
	cn_buf_fini(&w.bytes);
}
END_TEST

START_TEST(refuses_a_wrong_fragment_behind_guessed_ones)
{
	/* In place of the fragment that was expected: its number again, one of nobody, and the right one with another length of header. */
	for (int how = 0; how < 3; how++) {
		int fd[2];
		size_t size;
		a.downs = b.downs = a.frames = 0;
		a.conn = b.conn = NULL;
		join(fd, &part_counting);
		uint8_t *p = message_bytes(1, 900000, &size);
		struct writer w = { .sequence = 0 };
		cn_buf_init(&w.bytes, 0);
		put_fragment(&w, 7, 14, p, 65536, true);
		put_fragment(&w, 7, 13, p + 65536, 65536, false);
		put_fragment(&w, 7, 12, p + 2 * 65536, 65536, false);
		put_fragment(&w, how == 1 ? 8 : 7, how == 0 ? 12 : 11, p + 3 * 65536, 65536, how == 2);
		put_fragment(&w, 7, 10, p + 4 * 65536, 65536, false);
		for (size_t at = 0, moved; at < w.bytes.size && a.downs == 0; at += moved) {
			if (cn_socket_write(fd[1], &(struct iovec){ w.bytes.data + at, w.bytes.size - at }, 1, &moved) < 0)
				break;
			cn_loop_poll(a.loop, 0);
		}
		UNTIL(a.downs == 1 && b.downs == 1);
		ck_assert_int_eq(a.error, CNODE_EPROTO);
		ck_assert_int_eq(a.frames, 0);
		cn_buf_fini(&w.bytes);
		free(p);
	}
}
END_TEST

START_TEST(writes_what_was_handed_over_from_where_it_is)
{
	int fd[2];
	cnode_term t;
	join(fd, &noting);
	ck_assert_int_eq(cnode_format(&t, "{a,~B}", megabyte, sizeof megabyte, give_back, (void *)megabyte), 0);
	ck_assert_int_ge(send_id(a.conn, 1, 7, t, 0), 0);
	cnode_term_drop(t);
	UNTIL(b.frames == 1);
	ck_assert_uint_gt(b.sizes[0], sizeof megabyte);
	ck_assert_uint_ge(written_from_it, sizeof megabyte - 2 * CN_OUT_REFERENCE);
	ck_assert_int_eq(given_back, 1);
}
END_TEST

START_TEST(gives_back_what_was_handed_over_and_not_sent)
{
	int fd[2];
	cnode_term t;
	join(fd, &counting);
	blocked = 1;
	for (uint32_t i = 0; i < 2; i++) {
		ck_assert_int_eq(cnode_format(&t, "~B", megabyte, sizeof megabyte, give_back, (void *)megabyte), 0);
		ck_assert_int_ge(send_id(a.conn, i, 7, t, 0), 0);
		cnode_term_drop(t);
	}
	ck_assert_int_eq(given_back, 0);
	cn_conn_close(a.conn, CNODE_ESHUTDOWN, NULL);
	UNTIL(a.downs == 1 && b.downs == 1);
	ck_assert_int_eq(given_back, 2);
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

int main(void)
{
	Suite *s = suite_create("conn_message");
	TCase *pair = tcase_create("pair"), *memory = tcase_create("memory");
	tcase_add_checked_fixture(pair, setup, teardown);
	tcase_add_test(pair, delivers_messages_in_order);
	tcase_add_test(pair, lets_a_small_message_overtake_a_large_one_but_not_its_own_senders);
	tcase_add_loop_test(pair, reads_several_fragments_at_once_whatever_comes_in_place_of_them, 0, 12);
	tcase_add_test(pair, reads_what_comes_packet_by_packet_to_where_it_stays);
	tcase_add_test(pair, refuses_a_wrong_fragment_behind_guessed_ones);
	tcase_add_test(pair, writes_what_was_handed_over_from_where_it_is);
	tcase_add_test(pair, gives_back_what_was_handed_over_and_not_sent);
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
	suite_add_tcase(s, pair);
	suite_add_tcase(s, memory);
	return tap_run(s);
}
