/* SPDX-License-Identifier: Apache-2.0 */
/* Frames fed in pieces, and a trace of what came, to compare ways of feeding. */
#ifndef TESTS_WIRE_TRACE_H
#define TESTS_WIRE_TRACE_H

#include "tests/wire_help.h"

#define ALL (CN_DFLAGS_OFFER)
#define NO_CACHE (CN_DFLAGS_OFFER & ~CN_DFLAG_DIST_HDR_ATOM_CACHE)
#define PASS (NO_CACHE & ~CN_DFLAG_FRAGMENTS)

#define TO_A "58 77 0b 'a@127.0.0.1' 00 00 00 01 00 00 00 00 00 00 00 4d "
#define TO_B "58 77 0b 'b@127.0.0.1' 00 00 00 01 00 00 00 00 00 00 00 4d "
#define SEND_A "68 03 61 02 77 00 " TO_A

static inline struct cn_frame *frame_with(uint64_t flags, struct cn_frame_config config)
{
	struct cn_frame *f = NULL;
	config.flags = flags;
	if (!config.self)
		config.self = name_of(SELF);
	if (!config.peer)
		config.peer = name_of(PEER);
	ck_assert_int_eq(cn_frame_new(&config, &f), 0);
	return f;
}

static inline struct cn_frame *frame(uint64_t flags)
{
	return frame_with(flags, (struct cn_frame_config){ 0 });
}

struct trace {
	struct cn_buf text;
	int error;
	unsigned messages, parts, ticks;
};

static inline void trace_message(struct trace *t, struct cn_packet *m)
{
	cn_put_text(&t->text, "%s(%u) name=%.*s", cn_signal_name(m->control.signal), m->control.op,
		    (int)m->control.name.size, m->control.name.text ? (const char *)m->control.name.text : "");
	cn_put_text(&t->text, " mfa=%.*s:%.*s/%u id=%llu", (int)m->control.module.size,
		    m->control.module.text ? (const char *)m->control.module.text : "", (int)m->control.function.size,
		    m->control.function.text ? (const char *)m->control.function.text : "", m->control.arity,
		    (unsigned long long)m->control.id);
	cn_put_text(&t->text, " from=%u.%u to=%u.%u ref=%u ", m->control.from.id, m->control.from.serial,
		    m->control.to.id, m->control.to.serial, m->control.ref.id[0]);
	if (!cn_term_is_none(m->control.opts)) {
		char *s = cnode_term_text(m->control.opts);
		cn_put_text(&t->text, " opts %s", s ? s : "?");
		cnode_free(s);
	}
	if (!cn_term_is_none(m->payload)) {
		char *s = cnode_term_text(m->payload);
		cn_put_text(&t->text, " %s", s ? s : "?");
		cnode_free(s);
	}
	cn_put_text(&t->text, "\n");
}

/* Handles one event; 1: go on, 0: more bytes are needed. */
static inline int see(struct cn_frame *f, struct trace *t, struct cn_packet *m)
{
	while (m->event == CN_FRAME_BUSY) {
		t->error = cn_frame_work(f, m);
		if (t->error)
			return 0;
	}
	switch (m->event) {
	case CN_FRAME_MESSAGE:
		t->messages++;
		trace_message(t, m);
		cn_packet_fini(m);
		return 1;
	case CN_FRAME_TICK:
		t->ticks++;
		return 1;
	case CN_FRAME_PART:
		t->parts++;
		return 1;
	default:
		return 0;
	}
}

/* Feeds all of it, `step` bytes more at a time (0: at once), as a receive buffer does. */
static inline void feed(struct cn_frame *f, struct trace *t, const uint8_t *bytes, size_t size, size_t step, bool target)
{
	struct cn_packet m;
	size_t at = 0, have = step ? 0 : size;
	while (!t->error) {
		size_t room;
		uint8_t *to = target ? cn_frame_target(f, &room) : NULL;
		if (to && have == at && have < size) {
			size_t n = size - have < room ? size - have : room;
			if (step && n > step)
				n = step;
			memcpy(to, bytes + have, n);
			t->error = cn_frame_filled(f, n, 1, &m);
			at = have += n;
			if (!t->error)
				see(f, t, &m);
			continue;
		}
		uint8_t *exact = malloc(have - at + 1);      /* so that a sanitizer sees a read behind the end */
		if (have > at)
			memcpy(exact, bytes + at, have - at);
		uint8_t *tight = realloc(exact, have - at ? have - at : 1);
		int64_t n = cn_frame_feed(f, tight, have - at, 1, &m);
		int went = 0;
		if (n >= 0) {
			at += (size_t)n;
			went = see(f, t, &m);
		} else {
			t->error = (int)n;
		}
		free(tight);
		if (n > 0 || went)
			continue;
		if (have == size)
			break;
		have = size - have < step ? size : have + step;
	}
}

static inline struct trace feed_new(uint64_t flags, const uint8_t *bytes, size_t size, size_t step, bool target)
{
	struct trace t = { 0 };
	struct cn_frame *f = frame(flags);
	feed(f, &t, bytes, size, step, target);
	cn_frame_free(f);
	return t;
}

/*
 * One packet (its length is added) on a new link: the error, 0 if it was taken. The verdict must
 * be the same when it is received into its final memory; what then is not yet known to be
 * wrong becomes so with the bytes that follow.
 */
static inline int try_hex(uint64_t flags, const char *text)
{
	uint8_t bytes[8192];
	size_t n = hex(text, bytes + 4);
	cn_store_u32(bytes, (uint32_t)n);
	struct trace t = feed_new(flags, bytes, n + 4, 0, false);
	cn_buf_fini(&t.text);
	for (size_t step = 1; step < 200; step += 67) {
		struct trace direct = { 0 };
		struct cn_frame *f = frame_with(flags, (struct cn_frame_config){ .direct = 1 });
		feed(f, &direct, bytes, n + 4, step, step & 1);
		ck_assert_int_eq(direct.error, t.error);
		ck_assert_str_eq(direct.error ? "x" : "", *cn_frame_reason(f) ? "x" : "");
		cn_buf_fini(&direct.text);
		cn_frame_free(f);
	}
	return t.error;
}

/* Appends a first fragment (of a SEND to SELF) or a continuation. */
static inline void put_fragment(struct cn_buf *b, bool first, uint64_t sequence, uint64_t id, const void *part, size_t size)
{
	static uint8_t control[128];
	size_t n = hex("00 " SEND_A, control);
	cn_put_u32(b, (uint32_t)(18 + (first ? n : 0) + size));
	cn_put_u8(b, 131);
	cn_put_u8(b, first ? 69 : 70);
	cn_put_u64(b, sequence);
	cn_put_u64(b, id);
	if (first)
		cn_put(b, control, n);
	cn_put(b, part, size);
}

#endif
