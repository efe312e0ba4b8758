/* SPDX-License-Identifier: Apache-2.0 */
/* base: errors, memory, buffers, the read cursor, log lines. */
#include "cnode/base/base.h"
#include "tests/alloc_fail.h"
#include "tests/tap.h"

#include <sys/wait.h>
#include <unistd.h>

START_TEST(every_code_has_a_sentence_and_an_atom)
{
#define TRY(name, code, atom, text) \
	ck_assert_str_eq(cnode_strerror(CNODE_##name), text); \
	ck_assert_str_eq(cnode_error_atom(code), atom);
	CNODE_ERROR_MAP(TRY)
#undef TRY
	ck_assert_str_eq(cnode_strerror(0), "ok");
	ck_assert_str_eq(cnode_strerror(-5000), "unknown error");
}
END_TEST

START_TEST(buffer_keeps_what_is_put)
{
	struct cn_buf b;
	cn_buf_init(&b, 0);
	cn_put_u8(&b, 1);
	cn_put_u16(&b, 0x0203);
	cn_put_u32(&b, 0x04050607);
	cn_put_u64(&b, UINT64_C(0x08090a0b0c0d0e0f));
	cn_put_text(&b, "%0300d", 7);
	ck_assert_int_eq(b.err, 0);
	ck_assert_uint_eq(b.size, 15 + 300);
	for (int i = 0; i < 15; i++)
		ck_assert_int_eq(b.data[i], i + 1);
	ck_assert_int_eq(b.data[314], '7');
	cn_buf_consume(&b, 14);
	ck_assert_int_eq(b.data[0], 15);
	cn_buf_fini(&b);
}
END_TEST

START_TEST(buffer_stops_at_its_limit_and_stays_stopped)
{
	struct cn_buf b;
	cn_buf_init(&b, 4);
	cn_put_u32(&b, 1);
	ck_assert_int_eq(b.err, 0);
	cn_put_u8(&b, 1);
	ck_assert_int_eq(b.err, CNODE_ETOOBIG);
	cn_put(&b, "", 0);
	ck_assert_uint_eq(b.size, 4);
	cn_buf_fini(&b);
}
END_TEST

START_TEST(cursor_gives_zero_after_the_first_overrun)
{
	struct cn_rd r = cn_rd_init("\1\2\3", 3);
	ck_assert_int_eq(cn_rd_u16(&r), 0x0102);
	ck_assert_int_eq(cn_rd_u16(&r), 0);
	ck_assert_int_eq(r.err, CNODE_EPROTO);
	ck_assert_int_eq(cn_rd_u8(&r), 0);
	ck_assert_uint_eq(cn_rd_left(&r), 0);
}
END_TEST

static void fill(void)
{
	struct cn_buf b;
	cn_buf_init(&b, 0);
	for (int i = 0; i < 100; i++)
		cn_put_u64(&b, 1);
	ck_assert(b.err == 0 || b.err == CNODE_ENOMEM);
	cn_buf_fini(&b);
	char *s = cn_asprintf("%s", "text");
	cn_free(s);
}

START_TEST(memory_that_runs_out_is_an_error_code)
{
	alloc_fail_each(fill);
}
END_TEST

struct seen {
	struct cn_mutex lock;
	struct cn_cond go;
	bool open;
	int lines;
	char last[128];
};

static void see(void *context, enum cnode_log_level level, const char *text)
{
	struct seen *s = context;
	(void)level;
	cn_mutex_lock(&s->lock);
	while (!s->open)
		cn_cond_wait(&s->go, &s->lock);
	s->lines++;
	snprintf(s->last, sizeof s->last, "%s", text);
	cn_mutex_unlock(&s->lock);
}

START_TEST(log_never_waits_for_its_writer_and_counts_what_it_lost)
{
	struct seen s = { 0 };
	cn_mutex_init(&s.lock);
	cn_cond_init(&s.go);
	struct cn_log *log;
	ck_assert_int_eq(cn_log_new(CNODE_LOG_INFO, see, &s, &log), 0);
	cn_log_line(log, CNODE_LOG_DEBUG, "below the level");
	for (int i = 0; i < 2000; i++)
		cn_log_line(log, CNODE_LOG_INFO, "line %d\nwith a break", i);
	cn_mutex_lock(&s.lock);
	s.open = true;
	cn_cond_broadcast(&s.go);
	cn_mutex_unlock(&s.lock);
	cn_log_free(log);
	/* 1,024 queued, at most one in the writer's hand, and the line that counts the rest. */
	ck_assert_int_ge(s.lines, 1025);
	ck_assert_int_le(s.lines, 1026);
	ck_assert_ptr_nonnull(strstr(s.last, "log lines were lost"));
}
END_TEST

START_TEST(gate_holds_back_a_flood)
{
	struct cn_log_gate gate = { 0 };
	uint32_t held, passed = 0;
	for (int i = 0; i < 1000; i++)
		passed += cn_log_pass(&gate, 5, &held);
	ck_assert_uint_ge(passed, 5);
	ck_assert_uint_le(passed, 15);    /* the second may have turned in between */
}
END_TEST

START_TEST(heap_gives_deadlines_in_order_whatever_is_taken_out)
{
	enum { N = 500 };
	static struct cn_heap_node node[N];
	struct cn_heap h = { 0 };
	bool in[N] = { false };
	uint32_t x = 1;
	int inside = 0;
	ck_assert_uint_eq(cn_heap_due(&h), CN_NEVER);
	for (int round = 0; round < 20000; round++) {
		x = x * 1664525 + 1013904223;
		int i = (int)(x >> 8) % N;
		if (in[i]) {
			cn_heap_remove(&h, &node[i]);
		} else {
			node[i].due = x >> 20;
			cn_heap_add(&h, &node[i]);
		}
		in[i] = !in[i];
		inside += in[i] ? 1 : -1;
		uint64_t least = CN_NEVER;
		for (int k = 0; round % 50 == 0 && k < N; k++)
			least = in[k] && node[k].due < least ? node[k].due : least;
		ck_assert(round % 50 != 0 || cn_heap_due(&h) == least);
	}
	for (uint64_t last = 0; h.first; inside--) {
		ck_assert_uint_ge(h.first->due, last);
		last = h.first->due;
		cn_heap_remove(&h, h.first);
	}
	ck_assert_int_eq(inside, 0);
}
END_TEST

START_TEST(trace_words_are_taken_and_nonsense_is_pointed_at)
{
	unsigned mask = 99;
	const char *bad = NULL;
	ck_assert_int_eq(cn_trace_parse("", &mask, &bad), 0);
	ck_assert_uint_eq(mask, 0);
	ck_assert_int_eq(cn_trace_parse("handshake,spawn", &mask, &bad), 0);
	ck_assert_uint_eq(mask, CN_TRACE_HANDSHAKE | CN_TRACE_SPAWN);
	ck_assert_int_eq(cn_trace_parse("all", &mask, &bad), 0);
	ck_assert_uint_eq(mask & (CN_TRACE_FRAMES | CN_TRACE_SIGNALS), CN_TRACE_FRAMES | CN_TRACE_SIGNALS);
	ck_assert_int_eq(cn_trace_parse("frames,singals", &mask, &bad), CNODE_EBADARG);
	ck_assert_str_eq(bad, "singals");
	ck_assert_int_eq(cn_trace_parse("frames,,spawn", &mask, &bad), CNODE_EBADARG);
	ck_assert(!cn_trace_on(NULL, CN_TRACE_FRAMES));
}
END_TEST

/* Each bit that goes in changes each bit that comes out in about half of the cases. */
START_TEST(hash_spreads_every_bit_and_tells_sizes)
{
	unsigned changed[128][64] = { { 0 } };
	enum { ROUNDS = 400 };
	for (uint64_t round = 0; round < ROUNDS; round++) {
		uint64_t word[2] = { round * UINT64_C(0x9e3779b97f4a7c15), ~round };
		uint64_t before = cn_hash_of(word, sizeof word);
		ck_assert_uint_eq(cn_hash_of(word, sizeof word), before);
		for (unsigned in = 0; in < 128; in++) {
			word[in / 64] ^= UINT64_C(1) << in % 64;
			uint64_t diff = cn_hash_of(word, sizeof word) ^ before;
			word[in / 64] ^= UINT64_C(1) << in % 64;
			for (unsigned out = 0; out < 64; out++)
				changed[in][out] += diff >> out & 1;
		}
	}
	/* Six standard deviations off the middle: of 8,192 cells none. */
	for (unsigned in = 0; in < 128; in++)
		for (unsigned out = 0; out < 64; out++)
			ck_assert_msg(changed[in][out] > ROUNDS / 2 - 60 && changed[in][out] < ROUNDS / 2 + 60, "%u changes %u %u times",
				      in, out, changed[in][out]);
	static const uint8_t zeros[64];
	for (size_t a = 0; a <= sizeof zeros; a++)
		for (size_t b = 0; b < a; b++)
			ck_assert_uint_ne(cn_hash_of(zeros, a), cn_hash_of(zeros, b));
}
END_TEST

/* Two programs that have drawn no key yet (Check forks for each test). */
START_TEST(hash_has_another_key_in_each_run)
{
	uint64_t said[2] = { 0, 0 };
	int pipes[2];
	ck_assert_int_eq(pipe(pipes), 0);
	for (int i = 0; i < 2; i++) {
		pid_t child = fork();
		ck_assert_int_ge(child, 0);
		if (child == 0) {
			uint64_t hash = cn_hash_of("key", 3);
			_exit(write(pipes[1], &hash, sizeof hash) != sizeof hash);
		}
		ck_assert_int_eq(waitpid(child, NULL, 0), child);
		ck_assert_int_eq(read(pipes[0], &said[i], sizeof said[i]), sizeof said[i]);
	}
	ck_assert_uint_ne(said[0], said[1]);
	close(pipes[0]);
	close(pipes[1]);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("base");
	TCase *tc = tcase_create("base");
	tcase_add_test(tc, every_code_has_a_sentence_and_an_atom);
	tcase_add_test(tc, buffer_keeps_what_is_put);
	tcase_add_test(tc, buffer_stops_at_its_limit_and_stays_stopped);
	tcase_add_test(tc, cursor_gives_zero_after_the_first_overrun);
	tcase_add_test(tc, memory_that_runs_out_is_an_error_code);
	tcase_add_test(tc, log_never_waits_for_its_writer_and_counts_what_it_lost);
	tcase_add_test(tc, gate_holds_back_a_flood);
	tcase_add_test(tc, heap_gives_deadlines_in_order_whatever_is_taken_out);
	tcase_add_test(tc, trace_words_are_taken_and_nonsense_is_pointed_at);
	tcase_add_test(tc, hash_spreads_every_bit_and_tells_sizes);
	tcase_add_test(tc, hash_has_another_key_in_each_run);
	suite_add_tcase(s, tc);
	return tap_run(s);
}
