/* SPDX-License-Identifier: Apache-2.0 */
/* wire: what goes out, judged by reading it back, and by its bytes where they matter. */
#include "tests/tap.h"
#include "tests/wire_link.h"

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
		ck_assert(cnode_ref_equal(a->ref, b->ref) && cnode_pid_equal(a->from, b->from));
		break;
	case CN_SIGNAL_GROUP_LEADER:
		ck_assert(cnode_pid_equal(a->leader, b->leader) && cnode_pid_equal(a->to, b->to));
		break;
	case CN_SIGNAL_SPAWN_REQUEST:
		ck_assert(cnode_ref_equal(a->ref, b->ref) && cnode_pid_equal(a->from, b->from));
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
		ck_assert(cnode_ref_equal(a->ref, b->ref));
		/* fall through */
	default:
		ck_assert(cnode_pid_equal(a->from, b->from) && cnode_pid_equal(a->to, b->to));
		if (b->op != CN_OP_UNLINK)
			ck_assert(a->id == b->id);
	}
}

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
	ck_assert(next(&l) && l.m.control.signal == CN_SIGNAL_EXIT2 && cnode_ref_equal(l.m.control.ref, c.ref));
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

int main(void)
{
	Suite *s = suite_create("wire_encode");
	TCase *t = tcase_create("encode");
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
	tcase_add_test(t, refuses_what_the_peer_would_drop_the_link_for);
	tcase_add_test(t, a_reason_in_a_control_term_has_a_limit);
	tcase_add_test(t, unlink_ids_of_every_size_arrive);
	tcase_add_test(t, a_tick_is_four_zero_bytes);
	suite_add_tcase(s, t);
	return tap_run(s);
}
