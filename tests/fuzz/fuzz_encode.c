/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz: a term on its way over a link. Byte 0: what was negotiated, bit 2: beside bytes that are handed over; byte 1: the size of fragments. */
#include <stdlib.h>

#include "cnode/wire/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int rc)
{
	if (rc)
		abort();
}

static int held;
static void give_back(void *context)
{
	(void)context;
	held--;
}

/* {Term, Bytes, Term}; false: it is nested too deeply then. */
static int wrap(cnode_term *term)
{
	static const uint8_t bytes[CN_HANDED_LEAST + 77] = { 1, 2, 3 };
	cnode_term with;
	held++;
	int rc = cnode_format(&with, "{~t,~B,~t}", *term, bytes, sizeof bytes, give_back, NULL, *term);
	cnode_term_drop(*term);
	*term = with;
	return rc == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint64_t off[] = { 0, CN_DFLAG_DIST_HDR_ATOM_CACHE, CN_DFLAG_FRAGMENTS,
					CN_DFLAG_DIST_HDR_ATOM_CACHE | CN_DFLAG_FRAGMENTS };
	cnode_term term;
	if (size < 2 || cnode_term_from_bytes(data + 2, size - 2, &term))
		return 0;
	if (data[0] & 4 && !wrap(&term)) {
		check(held);
		return 0;
	}
	uint64_t flags = CN_DFLAGS_OFFER & ~off[data[0] & 3];
	struct cn_encoder_config ec = { .flags = flags, .peer_flags = flags | CN_DFLAG_NATIVE_RECORDS, .fragment = 1u + data[1] };
	struct cn_frame_config fc = { .flags = flags };
	struct cn_control c = { .signal = CN_SIGNAL_SEND };
	struct cn_encoder *e;
	struct cn_frame *f;
	struct cn_sending *s;
	struct cn_out out;
	cn_out_init(&out);
	check(cn_name_of("a@h", 3, &fc.peer) | cn_name_of("b@h", 3, &fc.self) | cn_encoder_new(&ec, &e) | cn_frame_new(&fc, &f));
	c.from = (cnode_pid){ fc.peer, 1, 1, 9 };
	c.to = (cnode_pid){ fc.self, 1, 1, 9 };
	/* Twice, for the cache; the second time as received, with its atom table. */
	for (int i = 0; i < 2; i++) {
		struct cn_packet m = { 0 };
		if (cn_sending_new(e, &c, term, &s, NULL))
			break;
		while (cn_sending_next(s, e, &out) == 1)
			continue;
		cn_sending_free(s);
		for (struct cn_piece p; m.event != CN_FRAME_MESSAGE;) {
			static uint8_t buffer[1 << 20];
			size_t have = 0;
			while (cn_out_pieces(&out, &p, 1) == 1 && have + p.size <= sizeof buffer) {
				memcpy(buffer + have, p.bytes, p.size);
				have += p.size;
				cn_out_sent(&out, p.size);
			}
			for (size_t at = 0; at < have || m.event == CN_FRAME_BUSY;) {
				int64_t n = m.event == CN_FRAME_BUSY ? cn_frame_work(f, &m) : cn_frame_feed(f, buffer + at, have - at, 1, &m);
				check(n < 0);
				at += (size_t)n;
			}
			check(have == 0);
		}
		check(!cnode_term_equal(m.payload, term));
		cnode_term_drop(term);
		term = cn_packet_take(&m);
	}
	cnode_term_drop(term);
	cn_out_fini(&out);
	check(held);
	cn_encoder_free(e);
	cn_frame_free(f);
	return 0;
}
