/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What differs between OTP releases, as data. Sources: erts/emulator/beam/dist.h
 * (DFLAG_*), lib/kernel/src/dist_util.erl (mandatory sets), erl_dist_protocol.
 */
#ifndef CN_COMPAT_OTP_H
#define CN_COMPAT_OTP_H

#include <stdint.h>

/* X(name, bit, first release that offers it) */
#define CN_DFLAG_MAP(X) \
	X(PUBLISHED, 0, 0) \
	X(ATOM_CACHE, 1, 0) \
	X(EXTENDED_REFERENCES, 2, 0) \
	X(DIST_MONITOR, 3, 0) \
	X(FUN_TAGS, 4, 0) \
	X(DIST_MONITOR_NAME, 5, 0) \
	X(HIDDEN_ATOM_CACHE, 6, 0) \
	X(NEW_FUN_TAGS, 7, 0) \
	X(EXTENDED_PIDS_PORTS, 8, 0) \
	X(EXPORT_PTR_TAG, 9, 0) \
	X(BIT_BINARIES, 10, 0) \
	X(NEW_FLOATS, 11, 0) \
	X(UNICODE_IO, 12, 0) \
	X(DIST_HDR_ATOM_CACHE, 13, 0) \
	X(SMALL_ATOM_TAGS, 14, 0) \
	X(UTF8_ATOMS, 16, 0) \
	X(MAP_TAG, 17, 0) \
	X(BIG_CREATION, 18, 19) \
	X(SEND_SENDER, 19, 21) \
	X(BIG_SEQTRACE_LABELS, 20, 21) \
	X(EXIT_PAYLOAD, 22, 22) \
	X(FRAGMENTS, 23, 22) \
	X(HANDSHAKE_23, 24, 23) \
	X(UNLINK_ID, 25, 23) \
	X(MANDATORY_25_DIGEST, 26, 25) \
	X(SPAWN, 32, 23) \
	X(NAME_ME, 33, 23) \
	X(V4_NC, 34, 24) \
	X(ALIAS, 35, 24) \
	X(ALTACT_SIG, 37, 28) \
	X(NATIVE_RECORDS, 38, 29)

#define CN_DFLAG_CONST_(name, bit, since) static const uint64_t CN_DFLAG_##name = UINT64_C(1) << (bit);
CN_DFLAG_MAP(CN_DFLAG_CONST_)
#undef CN_DFLAG_CONST_

/* What MANDATORY_25_DIGEST stands for (dist.h, DFLAG_DIST_MANDATORY_25). */
#define CN_DFLAGS_25_DIGEST UINT64_C(0x01070f94)

/* What we offer: everything whose messages we handle. A hidden node leaves PUBLISHED out. */
#define CN_DFLAGS_OFFER UINT64_C(0x2d07df7fbd)

/*
 * What a peer must offer to us. It is what an OTP 23 node can always give, so that 23
 * can join; what 25 and 26 additionally insist on, we offer anyway.
 */
#define CN_DFLAGS_MANDATORY UINT64_C(0x00050184)

/* One row per release that we know; the last row stands for every later one. */
struct cn_otp_release {
	int release;             /* 23, 24, … */
	uint64_t offers;         /* the flags of its visible nodes */
	uint64_t mandatory;      /* what it refuses a peer without */
	uint8_t ref_words;       /* the longest reference it decodes */
	uint8_t wide_pids;       /* 1: 32-bit ids and serials, 0: 15 and 13 bits */
};

/*
 * The newest release whose offer is covered by `flags` (a peer's offer, before ANDing).
 * Never NULL: a peer that is older or no BEAM gives the oldest row.
 */
const struct cn_otp_release *cn_otp_release_of(uint64_t flags);

/* The flags with MANDATORY_25_DIGEST expanded to the set it stands for. */
uint64_t cn_dflags_expand(uint64_t flags);

/* The name of one flag bit, without DFLAG_; NULL for a bit that has none. */
const char *cn_dflag_name(unsigned bit);

#endif
