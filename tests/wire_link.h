/* SPDX-License-Identifier: Apache-2.0 */
/* A link from an encoder to the peer's frame, for the tests of what wire sends. */
#ifndef TESTS_WIRE_LINK_H
#define TESTS_WIRE_LINK_H

#include "tests/wire_help.h"

#define ALL (CN_DFLAGS_OFFER | CN_DFLAG_PUBLISHED)
#define OTP27 (ALL & ~CN_DFLAG_ALTACT_SIG)
#define NO_CACHE (OTP27 & ~CN_DFLAG_DIST_HDR_ATOM_CACHE)
#define PASS (NO_CACHE & ~CN_DFLAG_FRAGMENTS)
#define OTP23 (UINT64_C(0x101df7fbd))
#define EI (CN_DFLAGS_25_DIGEST | CN_DFLAG_V4_NC | CN_DFLAG_UNLINK_ID | CN_DFLAG_DIST_MONITOR | CN_DFLAG_SMALL_ATOM_TAGS)

static const uint64_t flag_sets[] = { ALL, OTP27, NO_CACHE, PASS, OTP23, EI };

/* A link from this node's encoder to the peer's frame. */
struct link {
	struct cn_encoder *e;
	struct cn_out out;
	struct cn_frame *f;
	struct cn_packet m;
	uint8_t *bytes;             /* what `deliver` reads; borrowed by m */
	size_t size, at;
};

static inline void link_open(struct link *l, uint64_t flags, uint32_t fragment)
{
	struct cn_encoder_config out = { .flags = flags, .peer_flags = flags, .fragment = fragment };
	struct cn_frame_config in = { .flags = flags, .self = name_of(PEER), .peer = name_of(SELF) };
	memset(l, 0, sizeof *l);
	cn_out_init(&l->out);
	ck_assert_int_eq(cn_encoder_new(&out, &l->e), 0);
	ck_assert_int_eq(cn_frame_new(&in, &l->f), 0);
}

static inline void link_close(struct link *l)
{
	cn_packet_fini(&l->m);
	cn_encoder_free(l->e);
	cn_frame_free(l->f);
	cn_out_fini(&l->out);
	free(l->bytes);
}

/* Everything that was sent arrives. */
static inline void transmit(struct link *l)
{
	free(l->bytes);
	l->bytes = flatten(&l->out, &l->size);
	l->at = 0;
}

/* The next message; false: there is none. */
static inline bool next(struct link *l)
{
	cn_packet_fini(&l->m);
	while (l->at < l->size) {
		int64_t n = cn_frame_feed(l->f, l->bytes + l->at, l->size - l->at, 0, &l->m);
		ck_assert_msg(n > 0, "%s", cn_frame_reason(l->f));
		l->at += (size_t)n;
		while (l->m.event == CN_FRAME_BUSY)
			ck_assert_int_eq(cn_frame_work(l->f, &l->m), 0);
		if (l->m.event == CN_FRAME_MESSAGE)
			return true;
	}
	return false;
}

static inline int try_send(struct link *l, const struct cn_control *c, cnode_term t)
{
	const char *reason;
	return cn_encode(l->e, &l->out, c, t, &reason);
}

static inline void queue(struct link *l, const struct cn_control *c, cnode_term t)
{
	struct cn_sending *s;
	ck_assert_int_eq(cn_sending_new(l->e, c, t, &s, NULL), 0);
	int rc;
	while ((rc = cn_sending_next(s, l->e, &l->out)) == 1)
		ck_assert(cn_sending_started(s));
	ck_assert_int_eq(rc, 0);
	ck_assert(!cn_sending_started(s));
	ck_assert_int_eq(cn_sending_next(s, l->e, &l->out), 0);
	cn_sending_free(s);
}

static inline struct cn_control sample(enum cn_control_signal signal)
{
	struct cn_control c = { .signal = signal };
	c.from = pid_of(SELF, 2);
	c.to = pid_of(PEER, 1);
	c.leader = pid_of("c@127.0.0.1", 3);
	c.id = signal == CN_SIGNAL_UNLINK || signal == CN_SIGNAL_UNLINK_ACK ? UINT64_C(0x123456789a) : 0;
	c.ref = ref_of(signal == CN_SIGNAL_MONITOR_EXIT || signal == CN_SIGNAL_SPAWN_REPLY ||
			       signal == CN_SIGNAL_ALIAS_SEND ? PEER : SELF, 3);
	c.name = atom_of("reg");
	c.module = atom_of("Elixir.Some.Module");
	c.function = atom_of("start_link");
	c.arity = 2;
	c.flags = CN_SPAWN_LINKED | CN_SPAWN_MONITORED;
	if (signal == CN_SIGNAL_SPAWN_REQUEST)
		c.opts = term_of("[link,monitor,{priority,high}]");
	return c;
}

static inline bool carries_term(enum cn_control_signal s)
{
	return s == CN_SIGNAL_SEND || s == CN_SIGNAL_REG_SEND || s == CN_SIGNAL_ALIAS_SEND || s == CN_SIGNAL_EXIT ||
	       s == CN_SIGNAL_EXIT2 || s == CN_SIGNAL_MONITOR_EXIT || s == CN_SIGNAL_SPAWN_REQUEST;
}

/* A binary of this many bytes, no two parts of which are alike; yours. */
static inline cnode_term binary_of(size_t size)
{
	uint8_t *data = malloc(size);
	for (size_t i = 0; i < size; i++)
		data[i] = (uint8_t)(i * 7 + i / 251);
	cnode_term t;
	cnode_builder *b = cnode_builder_new();
	cnode_build_binary(b, data, size);
	ck_assert_int_eq(cnode_builder_term(b, &t), 0);
	cnode_builder_free(b);
	free(data);
	return t;
}

#endif
