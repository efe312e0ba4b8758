/* SPDX-License-Identifier: Apache-2.0 */
/* wire: what goes out, judged by reading it back, and by its bytes where they matter. */
#include "tests/wire_help.h"

#include "tests/alloc_fail.h"
#include "tests/tap.h"

#define ALL (CN_DFLAGS_OFFER | CN_DFLAG_PUBLISHED)
#define OTP27 (ALL & ~CN_DFLAG_ALTACT_SIG)
#define NO_CACHE (OTP27 & ~CN_DFLAG_DIST_HDR_ATOM_CACHE)
#define PASS (NO_CACHE & ~CN_DFLAG_FRAGMENTS)
#define OTP23 (UINT64_C(0x101df7fbd))
#define EI (CN_DFLAGS_25_DIGEST | CN_DFLAG_V4_NC | CN_DFLAG_UNLINK_ID | CN_DFLAG_DIST_MONITOR | CN_DFLAG_SMALL_ATOM_TAGS)

/* A link from this node's encoder to the peer's frame. */
struct link {
	struct cn_encoder *e;
	struct cn_out out;
	struct cn_frame *f;
	struct cn_packet m;
	uint8_t *bytes;             /* what `deliver` reads; borrowed by m */
	size_t size, at;
};

static void link_open(struct link *l, uint64_t flags, uint32_t fragment)
{
	struct cn_encoder_config out = { .flags = flags, .peer_flags = flags, .fragment = fragment };
	struct cn_frame_config in = { .flags = flags, .self = name_of(PEER), .peer = name_of(SELF) };
	memset(l, 0, sizeof *l);
	cn_out_init(&l->out);
	ck_assert_int_eq(cn_encoder_new(&out, &l->e), 0);
	ck_assert_int_eq(cn_frame_new(&in, &l->f), 0);
}

static void link_close(struct link *l)
{
	cn_packet_fini(&l->m);
	cn_encoder_free(l->e);
	cn_frame_free(l->f);
	cn_out_fini(&l->out);
	free(l->bytes);
}

/* Everything that was sent arrives. */
static void transmit(struct link *l)
{
	free(l->bytes);
	l->bytes = flatten(&l->out, &l->size);
	l->at = 0;
}

/* The next message; false: there is none. */
static bool next(struct link *l)
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

static int try_send(struct link *l, const struct cn_control *c, cnode_term t)
{
	const char *reason;
	return cn_encode(l->e, &l->out, c, t, &reason);
}

static void queue(struct link *l, const struct cn_control *c, cnode_term t)
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

static struct cn_control sample(enum cn_control_signal signal)
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

static bool carries_term(enum cn_control_signal s)
{
	return s == CN_SIGNAL_SEND || s == CN_SIGNAL_REG_SEND || s == CN_SIGNAL_ALIAS_SEND || s == CN_SIGNAL_EXIT ||
	       s == CN_SIGNAL_EXIT2 || s == CN_SIGNAL_MONITOR_EXIT || s == CN_SIGNAL_SPAWN_REQUEST;
}

static void assert_same(const struct cn_control *a, const struct cn_control *b)
{
	ck_assert_int_eq(a->signal, b->signal);
	switch (a->signal) {
	case CN_SIGNAL_SEND:
		ck_assert(cnode_pid_equal(a->to, b->to));
		if (b->op != CN_OP_SEND)
			ck_assert(cnode_pid_equal(a->from, b->from));
		break;
	case CN_SIGNAL_REG_SEND:
		ck_assert(atom_is(b->name, "reg") && cnode_pid_equal(a->from, b->from));
		break;
	case CN_SIGNAL_ALIAS_SEND:
		ck_assert(cnode_ref_equal(&a->ref, &b->ref) && cnode_pid_equal(a->from, b->from));
		break;
	case CN_SIGNAL_GROUP_LEADER:
		ck_assert(cnode_pid_equal(a->leader, b->leader) && cnode_pid_equal(a->to, b->to));
		break;
	case CN_SIGNAL_SPAWN_REQUEST:
		ck_assert(cnode_ref_equal(&a->ref, &b->ref) && cnode_pid_equal(a->from, b->from));
		ck_assert(cnode_pid_equal(a->leader, b->leader) && b->arity == 2);
		ck_assert(atom_is(b->module, "Elixir.Some.Module") && atom_is(b->function, "start_link"));
		ck_assert(cnode_term_equal(a->opts, b->opts));
		break;
	case CN_SIGNAL_SPAWN_REPLY:
		ck_assert_uint_eq(b->flags, 3);
		/* fall through */
	case CN_SIGNAL_MONITOR:
	case CN_SIGNAL_DEMONITOR:
	case CN_SIGNAL_MONITOR_EXIT:
		ck_assert(cnode_ref_equal(&a->ref, &b->ref));
		/* fall through */
	default:
		ck_assert(cnode_pid_equal(a->from, b->from) && cnode_pid_equal(a->to, b->to));
		if (b->op != CN_OP_UNLINK)
			ck_assert(a->id == b->id);
	}
}

static const uint64_t flag_sets[] = { ALL, OTP27, NO_CACHE, PASS, OTP23, EI };

START_TEST(every_signal_arrives_as_it_was_sent)
{
	uint64_t flags = flag_sets[_i];
	cnode_term term = term_of("{hello,[world,'Elixir.Some.Module',hello],#{k => <<\"v\">>},1.5}");
	for (int s = CN_SIGNAL_LINK; s <= CN_SIGNAL_ALIAS_SEND; s++) {
		for (int queued = 0; queued < 2; queued++) {
			struct link l;
			struct cn_control c = sample((enum cn_control_signal)s);
			enum cn_op op;
			bool payload;
			link_open(&l, flags, 0);
			cnode_term t = carries_term(c.signal) ? term : (cnode_term){ 0 };
			int rc = cn_control_form(&c, flags, &op, &payload);
			if (rc) {
				ck_assert_int_eq(rc, CNODE_ENOTSUP);
				ck_assert_int_eq(try_send(&l, &c, t), rc);
				ck_assert_uint_eq(l.out.size, 0);
			}
			/* Three times: the second and third use the cache. */
			for (int i = 0; rc == 0 && i < 3; i++) {
				if (queued)
					queue(&l, &c, t);
				else
					ck_assert_int_eq(try_send(&l, &c, t), 0);
			}
			transmit(&l);
			for (int i = 0; rc == 0 && i < 3; i++) {
				ck_assert(next(&l));
				ck_assert_uint_eq(l.m.control.op, op);
				assert_same(&c, &l.m.control);
				if (carries_term(c.signal))
					ck_assert(cnode_term_equal(l.m.payload, term));
				else
					ck_assert(cn_term_is_none(l.m.payload));
			}
			ck_assert(!next(&l));
			link_close(&l);
			cnode_term_drop(c.opts);
		}
	}
	cnode_term_drop(term);
}
END_TEST

START_TEST(the_form_follows_what_was_negotiated)
{
	static const struct {
		enum cn_control_signal signal;
		int all, otp27, otp23, ei;      /* op, or an error */
	} want[] = {
		{ CN_SIGNAL_SEND, 22, 22, 22, 2 }, { CN_SIGNAL_REG_SEND, 6, 6, 6, 6 },
		{ CN_SIGNAL_ALIAS_SEND, 37, 33, CNODE_ENOTSUP, CNODE_ENOTSUP }, { CN_SIGNAL_LINK, 1, 1, 1, 1 },
		{ CN_SIGNAL_UNLINK, 35, 35, 4, 35 }, { CN_SIGNAL_UNLINK_ACK, 36, 36, CNODE_ENOTSUP, 36 },
		{ CN_SIGNAL_EXIT, 24, 24, 24, 3 }, { CN_SIGNAL_EXIT2, 26, 26, 26, 8 },
		{ CN_SIGNAL_MONITOR, 19, 19, 19, CNODE_ENOTSUP }, { CN_SIGNAL_DEMONITOR, 20, 20, 20, CNODE_ENOTSUP },
		{ CN_SIGNAL_MONITOR_EXIT, 28, 28, 28, CNODE_ENOTSUP }, { CN_SIGNAL_GROUP_LEADER, 7, 7, 7, 7 },
		{ CN_SIGNAL_SPAWN_REQUEST, 29, 29, 29, CNODE_ENOTSUP }, { CN_SIGNAL_SPAWN_REPLY, 31, 31, 31, 31 },
	};
	for (size_t i = 0; i < CN_ARRAY_SIZE(want); i++) {
		const uint64_t flags[] = { ALL, OTP27, OTP23, EI };
		const int ops[] = { want[i].all, want[i].otp27, want[i].otp23, want[i].ei };
		struct cn_control c = sample(want[i].signal);
		for (int k = 0; k < 4; k++) {
			enum cn_op op = 0;
			bool payload;
			int rc = cn_control_form(&c, flags[k], &op, &payload);
			ck_assert_int_eq(rc ? rc : (int)op, ops[k]);
		}
		cnode_term_drop(c.opts);
	}
	/* One monitor flag alone is none. */
	struct cn_control c = sample(CN_SIGNAL_MONITOR);
	enum cn_op op;
	bool payload;
	ck_assert_int_eq(cn_control_form(&c, ALL & ~CN_DFLAG_DIST_MONITOR, &op, &payload), CNODE_ENOTSUP);
	/* Priority is for those who know it. */
	c = sample(CN_SIGNAL_SEND);
	c.priority = true;
	cn_control_form(&c, ALL, &op, &payload);
	ck_assert_int_eq(op, CN_OP_ALTACT_SIG_SEND);
	cn_control_form(&c, OTP27, &op, &payload);
	ck_assert_int_eq(op, CN_OP_SEND_SENDER);
	/* Without a sender only op 2 is left; an unlink without id is none. */
	c = sample(CN_SIGNAL_SEND);
	c.from = (cnode_pid){ 0 };
	cn_control_form(&c, ALL, &op, &payload);
	ck_assert_int_eq(op, CN_OP_SEND);
	c = sample(CN_SIGNAL_UNLINK);
	c.id = 0;
	ck_assert_int_eq(cn_control_form(&c, ALL, &op, &payload), CNODE_EBADARG);
	c.signal = CN_SIGNAL_UNLINK_ACK;
	ck_assert_int_eq(cn_control_form(&c, ALL, &op, &payload), CNODE_EBADARG);
	c = sample(CN_SIGNAL_EXIT2);
	c.to = (cnode_pid){ 0 };
	ck_assert_int_eq(cn_control_form(&c, OTP27, &op, &payload), CNODE_ENOTSUP);
	c.signal = CN_SIGNAL_NONE;
	ck_assert_int_eq(cn_control_form(&c, ALL, &op, &payload), CNODE_EBADARG);
}
END_TEST

START_TEST(priority_signals_arrive_as_such)
{
	struct link l;
	cnode_term term = term_of("x");
	link_open(&l, ALL, 0);
	static const enum cn_control_signal kinds[] = { CN_SIGNAL_SEND, CN_SIGNAL_REG_SEND, CN_SIGNAL_ALIAS_SEND, CN_SIGNAL_EXIT2 };
	for (size_t i = 0; i < 4; i++) {
		struct cn_control c = sample(kinds[i]);
		c.priority = true;
		ck_assert_int_eq(try_send(&l, &c, term), 0);
		transmit(&l);
		ck_assert(next(&l) && l.m.control.priority && l.m.control.op == 37 && l.m.control.signal == kinds[i]);
	}
	struct cn_control c = sample(CN_SIGNAL_EXIT2);
	c.to = (cnode_pid){ 0 };
	ck_assert_int_eq(try_send(&l, &c, term), 0);
	transmit(&l);
	ck_assert(next(&l) && l.m.control.signal == CN_SIGNAL_EXIT2 && cnode_ref_equal(&l.m.control.ref, &c.ref));
	link_close(&l);
	cnode_term_drop(term);
}
END_TEST

START_TEST(names_stand_in_for_pids)
{
	struct link l;
	cnode_term term = term_of("noproc");
	for (size_t k = 0; k < 4; k++) {
		link_open(&l, flag_sets[k], 0);
		struct cn_control c = sample(CN_SIGNAL_MONITOR);
		c.to = (cnode_pid){ 0 };
		ck_assert_int_eq(try_send(&l, &c, (cnode_term){ 0 }), 0);
		c = sample(CN_SIGNAL_MONITOR_EXIT);
		c.from = (cnode_pid){ 0 };
		ck_assert_int_eq(try_send(&l, &c, term), 0);
		c = sample(CN_SIGNAL_SPAWN_REPLY);
		c.from = (cnode_pid){ 0 };
		ck_assert_int_eq(try_send(&l, &c, (cnode_term){ 0 }), 0);
		transmit(&l);
		for (int i = 0; i < 3; i++)
			ck_assert(next(&l) && atom_is(l.m.control.name, "reg"));
		link_close(&l);
	}
	cnode_term_drop(term);
}
END_TEST

START_TEST(the_cache_shortens_what_is_said_again)
{
	struct link l;
	cnode_term term = term_of("{some_long_atom,some_long_atom,another_atom}");
	struct cn_control c = sample(CN_SIGNAL_SEND);
	link_open(&l, ALL, 0);
	ck_assert_int_eq(try_send(&l, &c, term), 0);
	transmit(&l);
	size_t first = l.size;
	ck_assert(next(&l));
	ck_assert_int_eq(try_send(&l, &c, term), 0);
	transmit(&l);
	/* 4 length, 2, N, 3 flags, 4 references; {22, pid, pid} with 82 i: 4 + 2 × 15; {R, R, R} */
	ck_assert_uint_eq(l.size, 4 + 2 + 1 + 3 + 4 + 34 + 8);
	ck_assert_uint_gt(first, l.size + 40);
	ck_assert(next(&l) && cnode_term_equal(l.m.payload, term));
	link_close(&l);
	cnode_term_drop(term);
}
END_TEST

START_TEST(nothing_refers_to_a_cache_that_was_not_negotiated)
{
	static const uint64_t sets[] = { NO_CACHE, PASS, EI };
	cnode_term term = term_of("{a,b,c}");
	for (size_t k = 0; k < 3; k++) {
		struct link l;
		struct cn_control c = sample(CN_SIGNAL_SEND);
		link_open(&l, sets[k], 0);
		ck_assert_int_eq(try_send(&l, &c, term), 0);
		transmit(&l);
		if (k == 0)
			ck_assert_mem_eq(l.bytes + 4, "\x83\x44\x00", 3);
		else
			ck_assert_mem_eq(l.bytes + 4, "\x70\x83", 2);
		ck_assert(next(&l));
		link_close(&l);
	}
	cnode_term_drop(term);
}
END_TEST

/* A message with n different atoms. */
static cnode_term many_atoms(unsigned n, unsigned first)
{
	cnode_term t;
	cnode_builder *b = cnode_builder_new();
	cnode_build_tuple(b, n);
	for (unsigned i = 0; i < n; i++) {
		char text[32];
		snprintf(text, sizeof text, "atom_%u", first + i);
		cnode_build_atom(b, text);
	}
	ck_assert_int_eq(cnode_builder_term(b, &t), 0);
	cnode_builder_free(b);
	return t;
}

START_TEST(atoms_beyond_255_go_inline_and_slots_are_taken_over)
{
	struct link l;
	struct cn_control c = sample(CN_SIGNAL_SEND);
	link_open(&l, ALL, 0);
	static const unsigned counts[] = { 252, 253, 254, 255, 256, 300 };
	for (size_t i = 0; i < CN_ARRAY_SIZE(counts); i++) {
		cnode_term t = many_atoms(counts[i], 0);
		ck_assert_int_eq(try_send(&l, &c, t), 0);
		transmit(&l);
		ck_assert(next(&l) && cnode_term_equal(l.m.payload, t));
		cnode_term_drop(t);
	}
	/* Ten thousand atoms through 2,048 slots. */
	for (unsigned i = 0; i < 100; i++) {
		cnode_term t = many_atoms(100, i * 100 % 7000);
		ck_assert_int_eq(try_send(&l, &c, t), 0);
		transmit(&l);
		ck_assert(next(&l) && cnode_term_equal(l.m.payload, t));
		cnode_term_drop(t);
	}
	link_close(&l);
}
END_TEST

START_TEST(a_received_term_is_passed_on_to_every_kind_of_link)
{
	struct link from, to;
	struct cn_control c = sample(CN_SIGNAL_SEND);
	cnode_term term = term_of("{one,two,[one|three],#{four => 'b@127.0.0.1'}}");
	for (size_t k = 0; k < CN_ARRAY_SIZE(flag_sets); k++) {
		link_open(&from, ALL, 0);
		link_open(&to, flag_sets[k], 0);
		for (int i = 0; i < 2; i++) {
			ck_assert_int_eq(try_send(&from, &c, term), 0);
			transmit(&from);
			ck_assert(next(&from));
			ck_assert(from.m.payload.atoms_ != NULL);
			ck_assert_int_eq(try_send(&to, &c, from.m.payload), 0);
			queue(&to, &c, from.m.payload);
			transmit(&to);
			ck_assert(next(&to) && cnode_term_equal(to.m.payload, term));
			ck_assert(next(&to) && cnode_term_equal(to.m.payload, term));
		}
		link_close(&from);
		link_close(&to);
	}
	cnode_term_drop(term);
}
END_TEST

START_TEST(long_atoms_go_inline)
{
	char long_atom[600], text[700];
	for (int i = 0; i < 255; i++)
		memcpy(long_atom + 2 * i, "\xc3\xa9", 3);
	snprintf(text, sizeof text, "{'%s',ok}", long_atom);
	cnode_term term = term_of(text);
	for (size_t k = 0; k < CN_ARRAY_SIZE(flag_sets); k++) {
		struct link l;
		struct cn_control c = sample(CN_SIGNAL_REG_SEND);
		c.name = atom_of(long_atom);
		link_open(&l, flag_sets[k], 0);
		for (int i = 0; i < 2; i++) {
			ck_assert_int_eq(try_send(&l, &c, term), 0);
			transmit(&l);
			ck_assert(next(&l) && cnode_term_equal(l.m.payload, term) && atom_is(l.m.control.name, long_atom));
		}
		link_close(&l);
	}
	cnode_term_drop(term);
}
END_TEST

START_TEST(a_received_term_with_more_atoms_than_fit_is_passed_on)
{
	/* 253 atoms and two nodes came; with two other nodes and a name, some of them must go inline. */
	struct link from, to;
	struct cn_control c = sample(CN_SIGNAL_SEND), r = sample(CN_SIGNAL_SPAWN_REQUEST);
	char long_atom[600], text[700];
	for (int i = 0; i < 255; i++)
		memcpy(long_atom + 2 * i, "\xc3\xa9", 3);
	snprintf(text, sizeof text, "'%s'", long_atom);
	cnode_term term = many_atoms(253, 0);
	link_open(&from, ALL, 0);
	link_open(&to, ALL, 0);
	ck_assert_int_eq(try_send(&from, &c, term), 0);
	transmit(&from);
	ck_assert(next(&from) && from.m.payload.atoms_->count > 240);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(try_send(&to, &r, from.m.payload), 0);
		transmit(&to);
		ck_assert(next(&to) && cnode_term_equal(to.m.payload, term));
	}
	/* A long atom that a peer had cached. */
	uint8_t bytes[1200];
	size_t n = hex("83 44 01 18 07 01 fe", bytes + 4);
	memcpy(bytes + 4 + n, long_atom, 510);
	n += 510;
	n += hex("68 03 61 02 77 00 58 77 0b 'b@127.0.0.1' 00 00 00 01 00 00 00 00 00 00 00 4d 52 00", bytes + 4 + n);
	cn_store_u32(bytes, (uint32_t)n);
	cn_packet_fini(&from.m);
	ck_assert_int_eq(cn_frame_feed(from.f, bytes, n + 4, 0, &from.m), n + 4);
	ck_assert_int_eq(try_send(&to, &c, from.m.payload), 0);
	transmit(&to);
	ck_assert(next(&to));
	assert_term(to.m.payload, text);
	link_close(&from);
	link_close(&to);
	cnode_term_drop(term);
	cnode_term_drop(r.opts);
}
END_TEST

START_TEST(records_go_to_those_who_know_them)
{
	/* a native record: one field, module m, name n, field f, value 1 */
	uint8_t bytes[64];
	size_t n = hex("43 00 00 00 01 01 77 01 'm' 77 01 'n' 77 01 'f' 61 01", bytes);
	cnode_term term;
	int rc = cnode_term_from_bytes(bytes, n, &term);
	ck_assert_int_eq(rc, 0);
	struct cn_control c = sample(CN_SIGNAL_SEND);
	for (int known = 0; known < 2; known++) {
		struct link l;
		struct cn_encoder_config config = { .flags = ALL, .peer_flags = ALL | (known ? CN_DFLAG_NATIVE_RECORDS : 0) };
		link_open(&l, ALL, 0);
		cn_encoder_free(l.e);
		ck_assert_int_eq(cn_encoder_new(&config, &l.e), 0);
		ck_assert_int_eq(try_send(&l, &c, term), known ? 0 : CNODE_EBADTERM);
		transmit(&l);
		ck_assert(next(&l) == known);
		link_close(&l);
	}
	cnode_term_drop(term);
}
END_TEST

static cnode_term binary_of(size_t size)
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

START_TEST(large_payloads_are_cut_into_fragments)
{
	/* Around one, two and three fragments, and around the size from which on bytes are referenced. */
	static const size_t sizes[] = { 8186, 8187, 8188, 65530, 65531, 65532, 131066, 131067, 131068, 300000 };
	for (size_t i = 0; i < CN_ARRAY_SIZE(sizes); i++) {
		cnode_term t = binary_of(sizes[i]);
		for (size_t k = 0; k < CN_ARRAY_SIZE(flag_sets); k++) {
			struct link l;
			struct cn_control c = sample(CN_SIGNAL_SEND);
			link_open(&l, flag_sets[k], 0);
			bool cut = flag_sets[k] & CN_DFLAG_FRAGMENTS && sizes[i] + 5 > CN_FRAGMENT;
			int rc = try_send(&l, &c, t);
			ck_assert_int_eq(rc, cut ? CN_ENCODE_QUEUE : 0);
			if (cut) {
				ck_assert_uint_eq(l.out.size, 0);
				queue(&l, &c, t);
			}
			transmit(&l);
			if (cut)
				ck_assert_uint_eq(l.bytes[5], 69);
			ck_assert(next(&l) && cnode_term_equal(l.m.payload, t));
			ck_assert(!next(&l));
			link_close(&l);
		}
		cnode_term_drop(t);
	}
}
END_TEST

START_TEST(fragments_of_two_messages_and_others_interleave)
{
	struct link l;
	struct cn_control c = sample(CN_SIGNAL_SEND), r = sample(CN_SIGNAL_REG_SEND);
	cnode_term big = term_of("{big,\"a string of some length\",[1000,2000,3000],big}");
	cnode_term other = term_of("{other,<<\"0123456789012345678901234567890123456789\">>}");
	cnode_term small = term_of("small");
	struct cn_sending *one, *two;
	link_open(&l, ALL, 16);
	ck_assert_int_eq(cn_sending_new(l.e, &c, big, &one, NULL), 0);
	ck_assert_int_eq(cn_sending_new(l.e, &r, other, &two, NULL), 0);
	ck_assert_uint_gt(cn_sending_size(one), 40);
	ck_assert(!cn_sending_started(one));
	int a = 1, b = 1;
	while (a == 1 || b == 1) {
		if (a == 1)
			a = cn_sending_next(one, l.e, &l.out);
		ck_assert_int_eq(try_send(&l, &c, small), 0);
		if (b == 1)
			b = cn_sending_next(two, l.e, &l.out);
	}
	ck_assert_int_eq(a | b, 0);
	cn_sending_free(one);
	cn_sending_free(two);
	transmit(&l);
	unsigned smalls = 0, bigs = 0, others = 0;
	while (next(&l)) {
		smalls += cnode_term_equal(l.m.payload, small);
		bigs += cnode_term_equal(l.m.payload, big);
		others += l.m.control.signal == CN_SIGNAL_REG_SEND && cnode_term_equal(l.m.payload, other);
	}
	ck_assert_uint_ge(smalls, 3);
	ck_assert_uint_eq(bigs, 1);
	ck_assert_uint_eq(others, 1);
	link_close(&l);
	cnode_term_drop(big);
	cnode_term_drop(other);
	cnode_term_drop(small);
}
END_TEST

START_TEST(a_sending_keeps_what_it_needs)
{
	struct link l;
	char name[] = "reg";
	struct cn_control c = sample(CN_SIGNAL_REG_SEND);
	struct cn_sending *s;
	link_open(&l, ALL, 0);
	c.name = atom_of(name);
	cnode_term t = binary_of(200000), same = binary_of(200000);
	ck_assert_int_eq(cn_sending_new(l.e, &c, t, &s, NULL), 0);
	cnode_term_drop(t);
	memset(name, 'x', 3);
	ck_assert_int_eq(cn_sending_next(s, l.e, &l.out), 1);
	ck_assert_int_eq(cn_sending_next(s, l.e, &l.out), 1);
	ck_assert_int_eq(cn_sending_next(s, l.e, &l.out), 1);
	ck_assert_int_eq(cn_sending_next(s, l.e, &l.out), 0);
	cn_sending_free(s);
	transmit(&l);
	ck_assert(next(&l) && atom_is(l.m.control.name, "reg") && cnode_term_equal(l.m.payload, same));
	link_close(&l);
	cnode_term_drop(same);
}
END_TEST

START_TEST(refuses_what_the_peer_would_drop_the_link_for)
{
	struct link l;
	const char *reason = NULL;
	cnode_term ok = term_of("ok");
	link_open(&l, OTP23, 0);
	struct cn_control c = sample(CN_SIGNAL_SEND);
	c.to.id = 0x8000;
	ck_assert_int_eq(cn_encode(l.e, &l.out, &c, ok, &reason), CNODE_EBADTERM);
	c = sample(CN_SIGNAL_MONITOR);
	c.ref.words = 5;
	ck_assert_int_eq(try_send(&l, &c, (cnode_term){ 0 }), CNODE_EBADTERM);
	/* The same in a payload. */
	cnode_term wide;
	cnode_pid pid = pid_of(SELF, 0x8000);
	ck_assert_int_eq(cnode_format(&wide, "{~p}", pid), 0);
	c = sample(CN_SIGNAL_SEND);
	ck_assert_int_eq(cn_encode(l.e, &l.out, &c, wide, &reason), CNODE_EBADTERM);
	ck_assert_ptr_nonnull(reason);
	link_close(&l);

	link_open(&l, ALL, 0);
	ck_assert_int_eq(try_send(&l, &c, wide), 0);
	c = sample(CN_SIGNAL_REG_SEND);
	char long_name[300];
	memset(long_name, 'x', sizeof long_name);
	c.name = (struct cn_atom_text){ (uint8_t *)long_name, 256 };
	ck_assert_int_eq(try_send(&l, &c, ok), CNODE_EBADARG);
	c.name = (struct cn_atom_text){ (uint8_t *)long_name, 255 };
	ck_assert_int_eq(try_send(&l, &c, ok), 0);
	c = sample(CN_SIGNAL_LINK);
	c.from = (cnode_pid){ 0 };
	ck_assert_int_eq(try_send(&l, &c, (cnode_term){ 0 }), CNODE_EBADARG);
	c = sample(CN_SIGNAL_LINK);
	c.to.node = 0xffff0000;
	ck_assert_int_eq(try_send(&l, &c, (cnode_term){ 0 }), CNODE_ESTALE);
	c = sample(CN_SIGNAL_SEND);
	ck_assert_int_eq(try_send(&l, &c, (cnode_term){ 0 }), CNODE_EBADTERM);
	transmit(&l);
	ck_assert(next(&l));
	ck_assert(next(&l));
	ck_assert(!next(&l));
	c = sample(CN_SIGNAL_MONITOR);
	c.ref.words = 0;
	ck_assert_int_eq(try_send(&l, &c, (cnode_term){ 0 }), CNODE_EBADARG);
	/* The options of a spawn are a term too; and the same verdicts before anything is queued. */
	struct cn_sending *s;
	c = sample(CN_SIGNAL_SPAWN_REQUEST);
	cnode_term_drop(c.opts);
	c.opts = (cnode_term){ 0 };
	ck_assert_int_eq(try_send(&l, &c, ok), CNODE_EBADTERM);
	ck_assert_int_eq(cn_sending_new(l.e, &c, ok, &s, &reason), CNODE_EBADTERM);
	/* A name forgotten between queue and wire. */
	c = sample(CN_SIGNAL_SEND);
	c.to.node = 0xffff0000;
	ck_assert_int_eq(cn_sending_new(l.e, &c, ok, &s, NULL), 0);
	ck_assert_int_eq(cn_sending_next(s, l.e, &l.out), CNODE_ESTALE);
	cn_sending_free(s);
	ck_assert_uint_eq(l.out.size, 0);
	/* What an error had put into the cache is not believed to be known there. */
	c = sample(CN_SIGNAL_REG_SEND);
	c.from.node = name_of("new@127.0.0.1");
	c.name = (struct cn_atom_text){ (uint8_t *)"\xff", 1 };
	ck_assert_int_eq(try_send(&l, &c, ok), CNODE_EBADARG);
	c.name = atom_of("fine");
	ck_assert_int_eq(try_send(&l, &c, ok), 0);
	transmit(&l);
	ck_assert(next(&l) && l.m.control.from.node == c.from.node);
	link_close(&l);
	cnode_term_drop(wide);
	cnode_term_drop(ok);
}
END_TEST

START_TEST(a_reason_in_a_control_term_has_a_limit)
{
	struct link l;
	struct cn_control c = sample(CN_SIGNAL_EXIT);
	cnode_term fits = binary_of(100000), large = binary_of(CN_FRAME_CONTROL_MAX + 1);
	link_open(&l, EI, 0);
	ck_assert_int_eq(try_send(&l, &c, large), CNODE_ETOOBIG);
	ck_assert_int_eq(try_send(&l, &c, fits), 0);
	transmit(&l);
	ck_assert(next(&l) && cnode_term_equal(l.m.payload, fits));
	link_close(&l);
	cnode_term_drop(fits);
	cnode_term_drop(large);
}
END_TEST

START_TEST(unlink_ids_of_every_size_arrive)
{
	struct link l;
	static const uint64_t ids[] = { 1, 255, 256, INT32_MAX, (uint64_t)INT32_MAX + 1, UINT32_MAX, UINT64_MAX };
	link_open(&l, ALL, 0);
	for (size_t i = 0; i < CN_ARRAY_SIZE(ids); i++) {
		struct cn_control c = sample(CN_SIGNAL_UNLINK);
		c.id = ids[i];
		ck_assert_int_eq(try_send(&l, &c, (cnode_term){ 0 }), 0);
		c.signal = CN_SIGNAL_UNLINK_ACK;
		ck_assert_int_eq(try_send(&l, &c, (cnode_term){ 0 }), 0);
		transmit(&l);
		ck_assert(next(&l) && l.m.control.id == ids[i]);
		ck_assert(next(&l) && l.m.control.id == ids[i] && l.m.control.signal == CN_SIGNAL_UNLINK_ACK);
	}
	link_close(&l);
}
END_TEST

START_TEST(a_tick_is_four_zero_bytes)
{
	struct cn_out out;
	size_t size;
	cn_out_init(&out);
	ck_assert_int_eq(cn_encode_tick(&out), 0);
	uint8_t *bytes = flatten(&out, &size);
	ck_assert_uint_eq(size, 4);
	ck_assert_mem_eq(bytes, "\0\0\0\0", 4);
	free(bytes);
	cn_out_fini(&out);
}
END_TEST

/* ---- the queue of bytes ---- */

START_TEST(out_keeps_its_order_however_it_is_written)
{
	for (size_t step = 1; step < 40; step++) {
		struct cn_out out;
		struct cn_blob *blob = cn_blob_new(26);
		char want[4000], got[4000];
		size_t want_size = 0, got_size = 0;
		for (int i = 0; i < 26; i++)
			blob->bytes[i] = (uint8_t)('a' + i);
		cn_out_init(&out);
		for (int i = 0; i < 60; i++) {
			char text[16];
			int n = snprintf(text, sizeof text, "<%d>", i);
			ck_assert_int_eq(cn_out_put(&out, text, (size_t)n), 0);
			memcpy(want + want_size, text, (size_t)n);
			want_size += (size_t)n;
			if (i % 3 == 0) {
				ck_assert_int_eq(cn_out_refer(&out, blob->bytes + i % 26, 26 - i % 26, blob), 0);
				memcpy(want + want_size, blob->bytes + i % 26, 26 - i % 26);
				want_size += 26 - i % 26;
			}
			if (i % 7 == 0 && out.size > step) {
				struct cn_piece p[3];
				unsigned k = cn_out_pieces(&out, p, 3);
				ck_assert_uint_ge(k, 1);
				size_t take = p[0].size < step ? p[0].size : step;
				memcpy(got + got_size, p[0].bytes, take);
				got_size += take;
				cn_out_sent(&out, take);
			}
		}
		cn_blob_unref(blob);
		while (out.size > 0) {
			struct cn_piece p[4];
			size_t left = step;
			unsigned k = cn_out_pieces(&out, p, 4);
			for (unsigned i = 0; i < k && left > 0; i++) {
				size_t take = p[i].size < left ? p[i].size : left;
				memcpy(got + got_size, p[i].bytes, take);
				got_size += take;
				left -= take;
			}
			cn_out_sent(&out, step - left);
		}
		ck_assert_uint_eq(got_size, want_size);
		ck_assert_mem_eq(got, want, want_size);
		cn_out_fini(&out);
	}
}
END_TEST

START_TEST(out_gives_back_memory_and_references)
{
	struct cn_out out;
	struct cn_blob *blob = cn_blob_new(10);
	static uint8_t zeros[400000];
	cn_out_init(&out);
	ck_assert_int_eq(cn_out_refer(&out, blob->bytes, 10, blob), 0);
	ck_assert_uint_eq(blob->refs, 2);
	cn_out_sent(&out, 10);
	ck_assert_uint_eq(blob->refs, 1);
	ck_assert_int_eq(cn_out_refer(&out, blob->bytes, 10, blob), 0);
	ck_assert_int_eq(cn_out_put(&out, zeros, sizeof zeros), 0);
	ck_assert_int_eq(cn_out_refer(&out, blob->bytes, 10, blob), 0);
	cn_out_sent(&out, 10 + 300000);
	ck_assert_uint_eq(out.copied.size, 100000);
	struct cn_piece p[2];
	ck_assert_uint_eq(cn_out_pieces(&out, p, 2), 2);
	ck_assert(p[0].size == 100000 && p[1].size == 10 && p[1].bytes == blob->bytes);
	cn_out_sent(&out, 100010);
	ck_assert_ptr_null(out.copied.data);
	ck_assert_int_eq(cn_out_refer(&out, blob->bytes, 10, blob), 0);
	cn_out_fini(&out);
	ck_assert_uint_eq(blob->refs, 1);
	cn_blob_unref(blob);
}
END_TEST

/* ---- memory ---- */

static cnode_term fail_small, fail_large, fail_opts;

/* Whatever fails, the peer reads on: what was appended is whole, and its cache is as ours. */
static void scenario(void)
{
	struct cn_encoder_config out = { .flags = ALL, .peer_flags = ALL };
	struct cn_encoder *e = NULL;
	struct cn_out o;
	unsigned sent = 0;
	cn_out_init(&o);
	int rc = cn_encoder_new(&out, &e);
	for (int i = 0; rc == 0 && i < 6; i++) {
		struct cn_control c = { .signal = CN_SIGNAL_SEND, .from = { name_of(SELF), 2, 0, 1 }, .to = { name_of(PEER), 1, 0, 1 } };
		struct cn_sending *s = NULL;
		int one;
		if (i == 1) {
			c.signal = CN_SIGNAL_SPAWN_REQUEST;
			c.ref = (cnode_ref){ name_of(SELF), 1, 3, { 1, 2, 3 } };
			c.leader = c.from;
			c.module = c.function = atom_of("name");
			c.opts = fail_opts;
		}
		if (i < 4) {
			one = cn_encode(e, &o, &c, fail_small, NULL);
		} else {
			one = cn_sending_new(e, &c, fail_large, &s, NULL);
			while (one == 0 && (one = cn_sending_next(s, e, &o)) == 1)
				one = 0;
			if (one && s && cn_sending_started(s))
				rc = one;       /* in the middle: the link would end here */
			cn_sending_free(s);
			if (rc)
				break;
		}
		ck_assert(one == 0 || one == CNODE_ENOMEM);
		sent += one == 0;
	}
	cnode_allocator_set(NULL);
	size_t size, at = 0;
	uint8_t *bytes = flatten(&o, &size);
	struct cn_frame_config in = { .flags = ALL, .self = name_of(PEER), .peer = name_of(SELF) };
	struct cn_frame *f;
	ck_assert_int_eq(cn_frame_new(&in, &f), 0);
	while (at < size) {
		struct cn_packet m;
		int64_t n = cn_frame_feed(f, bytes + at, size - at, 0, &m);
		ck_assert_msg(n > 0, "%s", cn_frame_reason(f));
		at += (size_t)n;
		while (m.event == CN_FRAME_BUSY)
			ck_assert_int_eq(cn_frame_work(f, &m), 0);
		if (m.event != CN_FRAME_MESSAGE)
			continue;
		ck_assert(cnode_term_equal(m.payload, fail_small) || cnode_term_equal(m.payload, fail_large));
		cn_packet_fini(&m);
		sent--;
	}
	ck_assert_uint_eq(sent, 0);
	free(bytes);
	cn_frame_free(f);
	cn_encoder_free(e);
	cn_out_fini(&o);
}

START_TEST(survives_every_failing_allocation)
{
	fail_small = term_of("{one,two,three}");
	fail_opts = term_of("[link]");
	fail_large = binary_of(150000);
	name_of(SELF);
	name_of(PEER);
	alloc_fail_each(scenario);
	cnode_term_drop(fail_small);
	cnode_term_drop(fail_large);
	cnode_term_drop(fail_opts);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("wire_encode");
	TCase *t = tcase_create("encode");
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, every_signal_arrives_as_it_was_sent, 0, CN_ARRAY_SIZE(flag_sets));
	tcase_add_test(t, the_form_follows_what_was_negotiated);
	tcase_add_test(t, priority_signals_arrive_as_such);
	tcase_add_test(t, names_stand_in_for_pids);
	tcase_add_test(t, the_cache_shortens_what_is_said_again);
	tcase_add_test(t, nothing_refers_to_a_cache_that_was_not_negotiated);
	tcase_add_test(t, atoms_beyond_255_go_inline_and_slots_are_taken_over);
	tcase_add_test(t, a_received_term_is_passed_on_to_every_kind_of_link);
	tcase_add_test(t, long_atoms_go_inline);
	tcase_add_test(t, a_received_term_with_more_atoms_than_fit_is_passed_on);
	tcase_add_test(t, records_go_to_those_who_know_them);
	tcase_add_test(t, large_payloads_are_cut_into_fragments);
	tcase_add_test(t, fragments_of_two_messages_and_others_interleave);
	tcase_add_test(t, a_sending_keeps_what_it_needs);
	tcase_add_test(t, refuses_what_the_peer_would_drop_the_link_for);
	tcase_add_test(t, a_reason_in_a_control_term_has_a_limit);
	tcase_add_test(t, unlink_ids_of_every_size_arrive);
	tcase_add_test(t, a_tick_is_four_zero_bytes);
	tcase_add_test(t, out_keeps_its_order_however_it_is_written);
	tcase_add_test(t, out_gives_back_memory_and_references);
	tcase_add_test(t, survives_every_failing_allocation);
	suite_add_tcase(s, t);
	return tap_run(s);
}
