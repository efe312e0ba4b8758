/* SPDX-License-Identifier: Apache-2.0 */
/* wire: control messages. What each must look like, and what a BEAM node would end the link for. */
#include "tests/wire_help.h"

#include "tests/tap.h"

#define FLAGS (CN_DFLAGS_OFFER & ~CN_DFLAG_DIST_HDR_ATOM_CACHE)

/* Identifiers as a peer writes them. */
#define NODE_A "77 0b 'a@127.0.0.1' "
#define NODE_B "77 0b 'b@127.0.0.1' "
#define NODE_C "77 0b 'c@127.0.0.1' "
#define PID_A "58 " NODE_A "00 00 00 01 00 00 00 00 00 00 00 4d "
#define STALE_A "58 " NODE_A "00 00 00 01 00 00 00 00 00 00 00 05 "
#define PID_B "58 " NODE_B "00 00 00 02 00 00 00 00 00 00 00 4d "
#define PID_C "58 " NODE_C "00 00 00 03 00 00 00 00 00 00 00 4d "
#define OLD_B "67 " NODE_B "00 00 00 02 00 00 00 00 03 "
#define REF_A "5a 00 03 " NODE_A "00 00 00 4d 00 00 00 01 00 00 00 02 00 00 00 03 "
#define REF_B "5a 00 03 " NODE_B "00 00 00 4d 00 00 00 01 00 00 00 02 00 00 00 03 "
#define REF_B5 "5a 00 05 " NODE_B "00 00 00 4d 00 00 00 01 00 00 00 02 00 00 00 03 00 00 00 04 00 00 00 05 "
#define REF_B6 "5a 00 06 " NODE_B "00 00 00 4d 00 00 00 01 00 00 00 02 00 00 00 03 00 00 00 04 00 00 00 05 00 00 00 06 "
#define OLD_REF_B "72 00 01 " NODE_B "01 00 00 00 07 "
#define OLDEST_REF_B "65 " NODE_B "00 00 00 07 01 "
#define NAME "77 03 'reg' "
#define NONE "77 00 "
#define TOKEN "68 05 61 01 61 02 61 03 " PID_B "61 04 "
#define REASON "77 04 'boom' "
#define MFA "68 03 77 01 'm' 77 01 'f' 61 02 "

/* Decodes one packet; what it borrows lives as long as the frame. */
static int decode(const char *text, struct cn_frame **f, struct cn_packet *m)
{
	uint8_t bytes[2048];
	struct cn_frame_config config = { .flags = FLAGS, .self = name_of(SELF), .peer = name_of(PEER) };
	size_t n = hex("83 44 00", bytes + 4);
	n += hex(text, bytes + 4 + n);
	cn_store_u32(bytes, (uint32_t)n);
	ck_assert_int_eq(cn_frame_new(&config, f), 0);
	uint8_t *tight = malloc(n + 4);
	memcpy(tight, bytes, n + 4);
	int64_t used = cn_frame_feed(*f, tight, n + 4, 0, m);
	/* Texts may point into the packet: none of these tests looks at one afterwards but the names below. */
	static struct cn_atom_text *texts[3];
	static char copies[3][64];
	texts[0] = &m->control.name, texts[1] = &m->control.module, texts[2] = &m->control.function;
	for (int i = 0; used > 0 && i < 3; i++) {
		if (texts[i]->size)
			memcpy(copies[i], texts[i]->text, texts[i]->size);
		texts[i]->text = (uint8_t *)copies[i];
	}
	free(tight);
	return used < 0 ? (int)used : 0;
}

static int error_of(const char *text)
{
	struct cn_frame *f;
	struct cn_packet m;
	int rc = decode(text, &f, &m);
	if (rc == 0) {
		ck_assert_int_eq(m.event, CN_FRAME_MESSAGE);
		cn_packet_fini(&m);
	} else {
		ck_assert_str_ne(cn_frame_reason(f), "");
	}
	cn_frame_free(f);
	return rc;
}

/* ---- each op as it should be ---- */

static const struct {
	const char *bytes;
	enum cn_control_signal signal;
	const char *payload;        /* its text; NULL: none */
	unsigned from, to, leader;  /* pid ids; 0: none */
	unsigned ref;               /* words */
	const char *name;
	uint64_t id;
} good[] = {
	{ "68 03 61 01 " PID_B PID_A, CN_SIGNAL_LINK, NULL, 2, 1, 0, 0, "", 0 },
	{ "68 03 61 01 " OLD_B PID_A, CN_SIGNAL_LINK, NULL, 2, 1, 0, 0, "", 0 },
	{ "68 03 61 01 " PID_B STALE_A, CN_SIGNAL_LINK, NULL, 2, 1, 0, 0, "", 0 },
	{ "69 00 00 00 03 62 00 00 00 01 " PID_B PID_A, CN_SIGNAL_LINK, NULL, 2, 1, 0, 0, "", 0 },
	{ "68 03 61 02 " NONE PID_A "61 07", CN_SIGNAL_SEND, "7", 0, 1, 0, 0, "", 0 },
	{ "68 03 61 02 61 00 " PID_C "61 07", CN_SIGNAL_SEND, "7", 0, 3, 0, 0, "", 0 },
	{ "68 04 61 03 " PID_B PID_A REASON, CN_SIGNAL_EXIT, "boom", 2, 1, 0, 0, "", 0 },
	{ "68 04 61 03 " PID_B STALE_A REASON, CN_SIGNAL_EXIT, "boom", 2, 1, 0, 0, "", 0 },
	{ "68 03 61 04 " PID_B PID_A, CN_SIGNAL_UNLINK, NULL, 2, 1, 0, 0, "", 0 },
	{ "68 04 61 06 " PID_C NONE NAME "61 07", CN_SIGNAL_REG_SEND, "7", 3, 0, 0, 0, "reg", 0 },
	{ "68 03 61 07 " PID_C PID_A, CN_SIGNAL_GROUP_LEADER, NULL, 0, 1, 3, 0, "", 0 },
	{ "68 04 61 08 " PID_B STALE_A REASON, CN_SIGNAL_EXIT2, "boom", 2, 1, 0, 0, "", 0 },
	{ "68 04 61 0c " NONE PID_A TOKEN "61 07", CN_SIGNAL_SEND, "7", 0, 1, 0, 0, "", 0 },
	{ "68 05 61 0d " PID_B PID_A TOKEN REASON, CN_SIGNAL_EXIT, "boom", 2, 1, 0, 0, "", 0 },
	{ "68 05 61 10 " PID_B NONE NAME TOKEN "61 07", CN_SIGNAL_REG_SEND, "7", 2, 0, 0, 0, "reg", 0 },
	{ "68 05 61 12 " PID_B PID_A TOKEN REASON, CN_SIGNAL_EXIT2, "boom", 2, 1, 0, 0, "", 0 },
	{ "68 04 61 13 " PID_B PID_A REF_B, CN_SIGNAL_MONITOR, NULL, 2, 1, 0, 3, "", 0 },
	{ "68 04 61 13 " PID_B NAME REF_B5, CN_SIGNAL_MONITOR, NULL, 2, 0, 0, 5, "reg", 0 },
	{ "68 04 61 13 " PID_B NAME OLD_REF_B, CN_SIGNAL_MONITOR, NULL, 2, 0, 0, 1, "reg", 0 },
	{ "68 04 61 13 " PID_B NAME OLDEST_REF_B, CN_SIGNAL_MONITOR, NULL, 2, 0, 0, 1, "reg", 0 },
	{ "68 04 61 14 " PID_B NAME REF_B, CN_SIGNAL_DEMONITOR, NULL, 2, 0, 0, 3, "reg", 0 },
	{ "68 05 61 15 " PID_B PID_A REF_A REASON, CN_SIGNAL_MONITOR_EXIT, "boom", 2, 1, 0, 3, "", 0 },
	{ "68 05 61 15 " NAME PID_A REF_A REASON, CN_SIGNAL_MONITOR_EXIT, "boom", 0, 1, 0, 3, "reg", 0 },
	{ "68 03 61 16 " PID_B PID_A "61 07", CN_SIGNAL_SEND, "7", 2, 1, 0, 0, "", 0 },
	{ "68 03 61 16 " NONE PID_A "61 07", CN_SIGNAL_SEND, "7", 0, 1, 0, 0, "", 0 },
	{ "68 04 61 17 " PID_B PID_A TOKEN "61 07", CN_SIGNAL_SEND, "7", 2, 1, 0, 0, "", 0 },
	{ "68 03 61 18 " PID_B PID_A REASON, CN_SIGNAL_EXIT, "boom", 2, 1, 0, 0, "", 0 },
	{ "68 04 61 19 " PID_B PID_A TOKEN REASON, CN_SIGNAL_EXIT, "boom", 2, 1, 0, 0, "", 0 },
	{ "68 03 61 1a " PID_B PID_A REASON, CN_SIGNAL_EXIT2, "boom", 2, 1, 0, 0, "", 0 },
	{ "68 04 61 1b " PID_B PID_A TOKEN REASON, CN_SIGNAL_EXIT2, "boom", 2, 1, 0, 0, "", 0 },
	{ "68 04 61 1c " NAME PID_A REF_A REASON, CN_SIGNAL_MONITOR_EXIT, "boom", 0, 1, 0, 3, "reg", 0 },
	{ "68 04 61 1c " PID_B STALE_A REF_A REASON, CN_SIGNAL_MONITOR_EXIT, "boom", 2, 1, 0, 3, "", 0 },
	{ "68 06 61 1d " REF_B PID_B PID_C MFA "6a 6b 00 02 01 02", CN_SIGNAL_SPAWN_REQUEST, "[1,2]", 2, 0, 3, 3, "", 0 },
	{ "68 07 61 1e " REF_B PID_B PID_C MFA "6a " TOKEN "6a", CN_SIGNAL_SPAWN_REQUEST, "[]", 2, 0, 3, 3, "", 0 },
	{ "68 05 61 1f " REF_A PID_A "61 03 " PID_B, CN_SIGNAL_SPAWN_REPLY, NULL, 2, 1, 0, 3, "", 0 },
	{ "68 05 61 1f " REF_A PID_A "61 00 77 06 'badopt'", CN_SIGNAL_SPAWN_REPLY, NULL, 0, 1, 0, 3, "badopt", 0 },
	{ "68 06 61 20 " REF_A PID_A "61 00 77 06 'badopt' " TOKEN, CN_SIGNAL_SPAWN_REPLY, NULL, 0, 1, 0, 3, "badopt", 0 },
	{ "68 03 61 21 " PID_B REF_A "61 07", CN_SIGNAL_ALIAS_SEND, "7", 2, 0, 0, 3, "", 0 },
	{ "68 04 61 22 " PID_B REF_A TOKEN "61 07", CN_SIGNAL_ALIAS_SEND, "7", 2, 0, 0, 3, "", 0 },
	{ "68 04 61 23 61 01 " PID_B PID_A, CN_SIGNAL_UNLINK, NULL, 2, 1, 0, 0, "", 1 },
	{ "68 04 61 23 6e 08 00 ff ff ff ff ff ff ff ff " PID_B STALE_A, CN_SIGNAL_UNLINK, NULL, 2, 1, 0, 0, "", UINT64_MAX },
	{ "68 04 61 24 62 00 00 01 00 " PID_B PID_A, CN_SIGNAL_UNLINK_ACK, NULL, 2, 1, 0, 0, "", 256 },
	{ "68 04 61 24 6f 00 00 00 02 00 00 01 " PID_B PID_A, CN_SIGNAL_UNLINK_ACK, NULL, 2, 1, 0, 0, "", 256 },
	{ "68 04 61 25 61 00 " PID_B PID_A "61 07", CN_SIGNAL_SEND, "7", 2, 1, 0, 0, "", 0 },
	{ "68 04 61 25 61 04 " PID_B REF_A "61 07", CN_SIGNAL_ALIAS_SEND, "7", 2, 0, 0, 3, "", 0 },
	{ "68 04 61 25 61 08 " PID_B NAME "61 07", CN_SIGNAL_REG_SEND, "7", 2, 0, 0, 0, "reg", 0 },
	{ "68 04 61 25 61 10 " PID_B PID_A REASON, CN_SIGNAL_EXIT2, "boom", 2, 1, 0, 0, "", 0 },
	{ "68 04 61 25 61 15 " PID_B REF_A REASON, CN_SIGNAL_EXIT2, "boom", 2, 0, 0, 3, "", 0 },
	{ "68 05 61 25 61 02 " PID_B PID_A TOKEN "61 07", CN_SIGNAL_SEND, "7", 2, 1, 0, 0, "", 0 },
	{ "68 06 61 25 62 00 00 ff 00 " PID_B PID_A "61 01 61 02 61 07", CN_SIGNAL_SEND, "7", 2, 1, 0, 0, "", 0 },
};

START_TEST(reads_every_operation)
{
	struct cn_frame *f;
	struct cn_packet m;
	int rc = decode(good[_i].bytes, &f, &m);
	ck_assert_msg(rc == 0, "%s: %s", good[_i].bytes, cn_frame_reason(f));
	const struct cn_control *c = &m.control;
	ck_assert_int_eq(c->signal, good[_i].signal);
	ck_assert_uint_eq(c->from.id, good[_i].from);
	ck_assert_uint_eq(c->to.id, good[_i].to);
	ck_assert_uint_eq(c->leader.id, good[_i].leader);
	ck_assert_uint_eq(c->ref.words, good[_i].ref);
	ck_assert_uint_eq(c->id, good[_i].id);
	ck_assert(atom_is(c->name, good[_i].name));
	if (good[_i].payload)
		assert_term(m.payload, good[_i].payload);
	else
		ck_assert(cn_term_is_none(m.payload));
	if (c->signal == CN_SIGNAL_SPAWN_REQUEST) {
		ck_assert(atom_is(c->module, "m") && atom_is(c->function, "f") && c->arity == 2);
		assert_term(c->opts, "[]");
	}
	if (c->from.id == 2)
		ck_assert_uint_eq(c->from.node, name_of(PEER));
	cn_packet_fini(&m);
	cn_frame_free(f);
}
END_TEST

/* Cuts every operation at every byte: never accepted, never read behind the end. */
START_TEST(refuses_every_operation_cut_anywhere)
{
	uint8_t all[2048];
	size_t n = hex(good[_i].bytes, all);
	struct cn_frame_config config = { .flags = FLAGS, .self = name_of(SELF), .peer = name_of(PEER) };
	for (size_t cut = 0; cut < n; cut++) {
		struct cn_frame *f;
		struct cn_packet m;
		uint8_t *bytes = malloc(7 + cut);
		cn_store_u32(bytes, (uint32_t)(3 + cut));
		hex("83 44 00", bytes + 4);
		memcpy(bytes + 7, all, cut);
		ck_assert_int_eq(cn_frame_new(&config, &f), 0);
		int64_t used = cn_frame_feed(f, bytes, 7 + cut, 0, &m);
		ck_assert_msg(used == CNODE_EPROTO || used == CNODE_EBADTERM, "%s at %zu: %d", good[_i].bytes, cut, (int)used);
		free(bytes);
		cn_frame_free(f);
	}
}
END_TEST

/* ---- each violation ---- */

static const char *const bad[] = {
	"61 01", "6a", "68 00", "68 01 77 01 'x'", "68 01 61 63", "68 03 61 00 61 01 61 02",
	"68 03 61 05 " PID_B PID_A,                                   /* NODE_LINK: never sent */
	"68 03 61 26 " PID_B PID_A, "68 03 62 ff ff ff ff " PID_B PID_A,
	/* the size of the tuple */
	"68 02 61 01 " PID_B, "68 04 61 01 " PID_B PID_A PID_A, "68 04 61 02 " NONE PID_A PID_A "61 07",
	"68 03 61 03 " PID_B PID_A, "68 03 61 06 " PID_B NAME "61 07", "68 03 61 13 " PID_B PID_A,
	"68 03 61 25 61 00 " PID_B "61 07", "68 05 61 1d " REF_B PID_B PID_C MFA "6a", "68 03 61 23 " PID_B PID_A,
	/* From is not the peer's */
	"68 03 61 01 " PID_C PID_A, "68 03 61 01 " PID_A PID_A, "68 03 61 01 " NAME PID_A, "68 04 61 03 " PID_C PID_A REASON,
	"68 04 61 08 " PID_C PID_A REASON, "68 04 61 13 " PID_C PID_A REF_B, "68 04 61 14 " PID_C PID_A REF_B,
	"68 04 61 23 61 01 " PID_C PID_A, "68 04 61 24 61 01 " PID_C PID_A, "68 03 61 18 " PID_C PID_A REASON,
	"68 05 61 15 " PID_C PID_A REF_A REASON, "68 06 61 1d " REF_B PID_C PID_C MFA "6a 6a",
	"68 06 61 1d " REF_A PID_B PID_C MFA "6a 6a",
	/* To is not ours */
	"68 03 61 01 " PID_B PID_C, "68 03 61 01 " PID_B NAME, "68 04 61 03 " PID_B PID_C REASON,
	"68 04 61 13 " PID_B PID_C REF_B, "68 04 61 23 61 01 " PID_B PID_C, "68 05 61 15 " PID_B PID_C REF_A REASON,
	"68 05 61 1f " REF_A PID_C "61 03 " PID_B, "68 05 61 1f " REF_B PID_A "61 03 " PID_B,
	/* no pid, no atom, no reference */
	"68 03 61 02 " NONE NAME "61 07", "68 03 61 02 " NONE REF_A "61 07", "68 04 61 06 " NAME NONE NAME "61 07",
	"68 04 61 06 " PID_B NONE PID_A "61 07", "68 03 61 07 " NAME PID_A, "68 03 61 07 " PID_B NAME,
	"68 04 61 13 " PID_B PID_A NAME, "68 04 61 13 " PID_B "61 01 " REF_B, "68 03 61 21 " PID_B PID_A "61 07",
	"68 04 61 13 " PID_B PID_A REF_B6, "68 04 61 13 " PID_B PID_A "5a 00 00 " NODE_B "00 00 00 4d",
	"68 03 61 01 67 " NODE_B "00 00 00 02 00 00 00 00 04 " PID_A,
	"68 03 61 01 58 77 03 'abc' 00 00 00 02 00 00 00 00 00 00 00 4d " PID_A,
	"68 03 61 01 58 61 01 00 00 00 02 00 00 00 00 00 00 00 4d " PID_A,
	"68 04 61 06 " PID_B NONE "77 02 c3 28 61 07", "68 04 61 06 " PID_B NONE "73 01 e9 61 07",
	"68 04 61 06 " PID_B NONE "52 00 61 07",
	/* numbers */
	"68 04 61 23 61 00 " PID_B PID_A, "68 04 61 23 6e 01 01 05 " PID_B PID_A, "68 04 61 23 " NAME PID_B PID_A,
	"68 04 61 23 6e 09 00 00 00 00 00 00 00 00 00 01 " PID_B PID_A, "68 04 61 23 62 ff ff ff ff " PID_B PID_A,
	"68 04 61 24 6e 00 00 " PID_B PID_A, "68 05 61 1f " REF_A PID_A "62 08 00 00 00 " PID_B,
	"68 05 61 1f " REF_A PID_A "61 00 61 01", "68 05 61 1f " REF_A PID_A "61 00 " PID_C,
	"68 04 61 24 6f 00 00 00 11 00 " "00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 01 " PID_B PID_A,
	"68 04 61 13 " PID_B PID_A "65 " NODE_B "00 00 00 07 04", "68 04 61 13 " PID_B PID_A "72 00 01 " NODE_B "04 00 00 00 07",
	/* spawn */
	"68 06 61 1d " REF_B PID_B NAME MFA "6a 6a", "68 06 61 1d " REF_B PID_B PID_C "68 02 77 01 'm' 77 01 'f' 6a 6a",
	"68 06 61 1d " REF_B PID_B PID_C "68 03 77 01 'm' 77 01 'f' 77 01 'x' 6a 6a",
	"68 06 61 1d " REF_B PID_B PID_C "68 03 61 01 77 01 'f' 61 02 6a 6a",
	"68 06 61 1d " REF_B PID_B PID_C "68 03 77 01 'm' 77 01 'f' 62 ff ff ff ff 6a 6a",
	/* 37 */
	"68 04 61 25 61 0c " PID_B REF_A "61 07", "68 04 61 25 61 02 " PID_B PID_A "61 07",
	"68 04 61 25 61 00 " NAME PID_A "61 07", "68 04 61 25 61 00 " PID_B REF_A "61 07",
	"68 04 61 25 61 04 " PID_B PID_A "61 07", "68 04 61 25 61 08 " PID_B PID_A "61 07",
	"68 04 61 25 62 ff ff ff ff " PID_B PID_A "61 07", "68 04 61 25 " NAME PID_B PID_A "61 07",
};

START_TEST(refuses_every_violation)
{
	ck_assert_msg(error_of(bad[_i]) == CNODE_EPROTO, "%s", bad[_i]);
}
END_TEST

START_TEST(refuses_bad_terms_inside)
{
	ck_assert_int_eq(error_of("68 04 61 03 " PID_B PID_A "ff"), CNODE_EBADTERM);
	ck_assert_int_eq(error_of("68 04 61 0c " NONE PID_A "50 61 07"), CNODE_EBADTERM);
	ck_assert_int_eq(error_of("68 06 61 1d " REF_B PID_B PID_C MFA "46 7f f8 00 00 00 00 00 00 6a"), CNODE_EBADTERM);
	ck_assert_int_eq(error_of("68 03 61 02 ff " PID_A "61 07"), CNODE_EBADTERM);
}
END_TEST

START_TEST(operations_have_their_names)
{
	ck_assert_str_eq(cn_op_name(22), "SEND_SENDER");
	ck_assert_str_eq(cn_op_name(37), "ALTACT_SIG_SEND");
	ck_assert_ptr_null(cn_op_name(0));
	ck_assert_ptr_null(cn_op_name(5));
	ck_assert_ptr_null(cn_op_name(38));
	ck_assert_str_eq(cn_signal_name(CN_SIGNAL_MONITOR_EXIT), "MONITOR_EXIT");
	ck_assert_str_eq(cn_signal_name(CN_SIGNAL_NONE), "NONE");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("wire_control");
	TCase *t = tcase_create("control");
	tcase_add_loop_test(t, reads_every_operation, 0, CN_ARRAY_SIZE(good));
	tcase_add_loop_test(t, refuses_every_operation_cut_anywhere, 0, CN_ARRAY_SIZE(good));
	tcase_add_loop_test(t, refuses_every_violation, 0, CN_ARRAY_SIZE(bad));
	tcase_add_test(t, refuses_bad_terms_inside);
	tcase_add_test(t, operations_have_their_names);
	suite_add_tcase(s, t);
	return tap_run(s);
}
