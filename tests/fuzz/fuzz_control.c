/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz: one control message and what follows it, on a link without an atom cache. */
#include <stdlib.h>

#include "cnode/wire/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cn_frame_config config = { .flags = CN_DFLAG_FRAGMENTS };
	struct cn_encoder_config back = { .flags = CN_DFLAGS_OFFER & ~CN_DFLAG_DIST_HDR_ATOM_CACHE, .peer_flags = CN_DFLAGS_OFFER };
	struct cn_encoder *e;
	struct cn_frame *f;
	struct cn_packet m;
	struct cn_out out;
	uint8_t *bytes = malloc(size + 7);
	if (!bytes || cn_name_of("rec_fragments@127.0.0.1", 23, &config.self) ||
	    cn_name_of("otp@127.0.0.1", 13, &config.peer) || cn_frame_new(&config, &f) || cn_encoder_new(&back, &e))
		abort();
	memcpy(cn_store_u32(bytes, (uint32_t)(size + 3)), "\x83\x44\0", 3);
	if (size)
		memcpy(bytes + 7, data, size);
	cn_out_init(&out);
	if (cn_frame_feed(f, bytes, size + 7, 1, &m) > 0 && m.event == CN_FRAME_MESSAGE) {
		/* What was read can be written, unless it is what no peer takes; then it says why. */
		int rc = cn_encode(e, &out, &m.control, m.payload, NULL);
		if (rc && rc != CNODE_EBADTERM && rc != CNODE_ENOTSUP && rc != CNODE_EBADARG && rc != CN_ENCODE_QUEUE &&
		    rc != CNODE_ELIMIT)
			abort();
		cn_packet_fini(&m);
	}
	cn_out_fini(&out);
	cn_encoder_free(e);
	cn_frame_free(f);
	free(bytes);
	return 0;
}
