/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz: a handshake, both roles. Byte 0: role and answers; byte 1: how many bytes arrive at a time. */
#include <stdlib.h>

#include "cnode/wire/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	uint8_t how = data[0];
	struct cn_handshake_config config = { .name = "a@127.0.0.1", .peer = "otp@127.0.0.1", .flags = CN_DFLAGS_OFFER,
					      .creation = 7, .challenge = 0x12345678, .long_length = how & 2 };
	struct cn_handshake hs;
	size_t at = 2, have = 2, step = 1u + data[1];
	if (cn_handshake_init(&hs, how & 1 ? CN_HANDSHAKE_INITIATOR : CN_HANDSHAKE_ACCEPTOR, &config, 0))
		abort();
	for (;;) {
		int n = cn_handshake_feed(&hs, data + at, have - at, 1);
		at += n > 0 ? (size_t)n : 0;
		if (hs.event == CN_HANDSHAKE_HELLO) {
			if (cn_handshake_decide_name(&hs, "X@127.0.0.1", 9))
				cn_handshake_decide(&hs, (enum cn_status)(how >> 2 & 7));
			if (hs.event == CN_HANDSHAKE_HELLO)
				cn_handshake_decide(&hs, CN_STATUS_NOT_ALLOWED);
		} else if (hs.event == CN_HANDSHAKE_ALIVE) {
			cn_handshake_continue(&hs, how & 32);
		} else if (hs.event == CN_HANDSHAKE_COOKIE) {
			cn_handshake_cookie(&hs, "corpus", 6);
		} else if (hs.event == CN_HANDSHAKE_REPLACE) {
			cn_handshake_replaced(&hs);
		} else if (hs.event != CN_HANDSHAKE_MORE) {
			break;
		} else if (n == 0) {
			if (have == size)
				break;
			have = size - have < step ? size : have + step;
		}
		if ((hs.event < CN_HANDSHAKE_UP) != (cn_handshake_due(&hs) != CN_NEVER))
			abort();
	}
	if (hs.event == CN_HANDSHAKE_MORE && cn_handshake_closed(&hs) >= 0)
		abort();
	if ((hs.event == CN_HANDSHAKE_FAILED) != (*cn_handshake_text(&hs) != 0))
		abort();
	cn_handshake_fini(&hs);
	return 0;
}
