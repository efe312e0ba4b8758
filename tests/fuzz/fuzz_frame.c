/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz: a link's byte stream. Byte 0: the form of packets; byte 1: how many bytes arrive at a time. */
#include <stdlib.h>
#include <string.h>

#include "cnode/wire/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Where fragments may be read to, anything may stand until they are: the frame must not look there, and it must be memory. */
static void scribble(struct cn_frame *f)
{
	struct cn_frame_guess g[3];
	size_t room;
	uint8_t *target = cn_frame_target(f, &room);
	if (target)
		memset(target, 0x5a, room);
	for (unsigned n = cn_frame_guess(f, g, 3); n-- > 0;)
		memset(g[n].at, 0xa5, g[n].size);
}

/* Feeds it `step` bytes at a time; returns how much came of it, which may not depend on step. */
static uint64_t feed(uint64_t flags, const uint8_t *data, size_t size, size_t step, uint32_t direct)
{
	struct cn_frame_config config = { .flags = flags, .message = 1 << 20, .open_bytes = 2 << 20, .open_count = 4,
					  .direct = direct };
	struct cn_frame *f;
	struct cn_packet m = { 0 };
	uint64_t sum = 0;
	size_t at = 0, have = 0;
	if (cn_name_of("rec_cached@127.0.0.1", 20, &config.self) || cn_name_of("otp@127.0.0.1", 13, &config.peer) ||
	    cn_frame_new(&config, &f))
		abort();
	for (;;) {
		int64_t n = m.event == CN_FRAME_BUSY ? cn_frame_work(f, &m) : cn_frame_feed(f, data + at, have - at, 1, &m);
		if (n < 0)
			break;
		at += (size_t)n;
		if (direct == 1)
			scribble(f);
		if (m.event == CN_FRAME_TICK || m.event == CN_FRAME_PART)
			sum = sum * 31 + m.event;
		if (m.event == CN_FRAME_MESSAGE) {
			char text[64];
			sum = sum * 31 + cnode_term_print(m.payload, text, sizeof text) + (unsigned)m.control.signal;
			cn_packet_fini(&m);
		} else if (m.event == CN_FRAME_MORE) {
			if (n == 0 && have == size)
				break;
			if (n == 0)
				have = size - have < step ? size : have + step;
		}
	}
	cn_frame_free(f);
	return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint64_t forms[] = { CN_DFLAGS_OFFER, CN_DFLAGS_OFFER & ~CN_DFLAG_DIST_HDR_ATOM_CACHE,
					  CN_DFLAGS_OFFER & ~(CN_DFLAG_DIST_HDR_ATOM_CACHE | CN_DFLAG_FRAGMENTS) };
	if (size < 2)
		return 0;
	uint64_t flags = forms[data[0] % 3];
	if (feed(flags, data + 2, size - 2, SIZE_MAX, 0) != feed(flags, data + 2, size - 2, 1u + data[1], 1))
		abort();
	return 0;
}
