/* SPDX-License-Identifier: Apache-2.0 */
/* The table of OTP releases. Measured offers: reference/protocol.md §2.7. */
#include "compat/otp.h"

#include <stddef.h>

static const struct cn_otp_release releases[] = {
	{ 23, UINT64_C(0x101df7fbd), UINT64_C(0x00050184), 3, 0 },
	{ 24, UINT64_C(0xd03df7fbd), UINT64_C(0x00050184), 5, 1 },
	{ 25, UINT64_C(0xd07df7fbd), UINT64_C(0x01070f94), 5, 1 },
	{ 26, UINT64_C(0xd07df7fbd), UINT64_C(0x403070f94), 5, 1 },
	{ 27, UINT64_C(0xd07df7fbd), UINT64_C(0x403070f94), 5, 1 },
	{ 28, UINT64_C(0x2d07df7fbd), UINT64_C(0x403070f94), 5, 1 },
	{ 29, UINT64_C(0x6d07df7fbd), UINT64_C(0x403070f94), 5, 1 },
};

#define COUNT (sizeof releases / sizeof releases[0])

const struct cn_otp_release *cn_otp_release_of(uint64_t flags)
{
	/* PUBLISHED and NAME_ME say what a node wants, not what it can. */
	flags = cn_dflags_expand(flags) | CN_DFLAG_PUBLISHED;
	for (size_t i = COUNT; i-- > 0;)
		if ((releases[i].offers & ~flags) == 0)
			return &releases[i];
	return &releases[0];
}

uint64_t cn_dflags_expand(uint64_t flags)
{
	return flags & CN_DFLAG_MANDATORY_25_DIGEST ? flags | CN_DFLAGS_25_DIGEST : flags;
}

const char *cn_dflag_name(unsigned bit)
{
	switch (bit) {
#define NAME(name, bit_, since) case bit_: return #name;
	CN_DFLAG_MAP(NAME)
#undef NAME
	default:
		return NULL;
	}
}
