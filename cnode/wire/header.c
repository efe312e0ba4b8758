/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The distribution header inbound: its references change the atom cache one after the other,
 * and a later one of the same header may overwrite what an earlier one meant. So the atoms of
 * a header are taken down as they are met, and overwritten texts live until the next header.
 *
 * Follows: erts_prepare_dist_ext() in erts/emulator/beam/external.c; erl_ext_dist,
 * "Distribution Header".
 */
#include "cnode/wire/frame.h"

#define NEW_ENTRY 8u
#define LONG_ATOMS 1u

int cn_header_init(struct cn_header *h, bool cache)
{
	h->slots = NULL;
	h->count = h->doomed_count = 0;
	if (cache) {
		h->slots = cn_calloc(CN_CACHE_SLOTS, sizeof(struct cn_cached *));
		if (!h->slots)
			return CNODE_ENOMEM;
	}
	return 0;
}

static void free_doomed(struct cn_header *h)
{
	while (h->doomed_count > 0)
		cn_free(h->doomed[--h->doomed_count]);
}

void cn_header_fini(struct cn_header *h)
{
	free_doomed(h);
	for (size_t i = 0; h->slots && i < CN_CACHE_SLOTS; i++)
		cn_free(h->slots[i]);
	cn_free(h->slots);
	h->slots = NULL;
}

static inline unsigned nibble(const uint8_t *flags, unsigned i)
{
	return i & 1 ? flags[i / 2] >> 4 : flags[i / 2] & 15u;
}

int64_t cn_header_size(const uint8_t *bytes, size_t size)
{
	struct cn_rd r = cn_rd_init(bytes, size);
	unsigned count = cn_rd_u8(&r);
	if (count > 0) {
		const uint8_t *flags = cn_rd_bytes(&r, count / 2 + 1);
		for (unsigned i = 0; flags && i < count; i++) {
			cn_rd_u8(&r);
			if (nibble(flags, i) & NEW_ENTRY)
				cn_rd_bytes(&r, nibble(flags, count) & LONG_ATOMS ? cn_rd_u16(&r) : cn_rd_u8(&r));
		}
	}
	return r.err ? 0 : (int64_t)(size - cn_rd_left(&r));
}

/* Puts a text into a slot. What was there may be what an earlier reference means. */
static int fill(struct cn_header *h, size_t slot, const uint8_t *text, size_t size)
{
	struct cn_cached *old = h->slots[slot];
	if (old && (CN_MUTANT(cache_never_replaced) || (old->size == size && memcmp(old->text, text, size) == 0)))
		return 0;
	struct cn_cached *fresh = cn_malloc(sizeof *fresh + size);
	if (!fresh)
		return CNODE_ENOMEM;
	fresh->size = (uint16_t)size;
	memcpy(fresh->text, text, size);
	if (old)
		h->doomed[h->doomed_count++] = old;
	h->slots[slot] = fresh;
	return 0;
}

int64_t cn_header_decode(struct cn_header *h, const uint8_t *bytes, size_t size, const char **reason)
{
	struct cn_rd r = cn_rd_init(bytes, size);
	unsigned count = cn_rd_u8(&r);
	free_doomed(h);
	h->count = 0;
	h->changed = false;
	if (count == 0) {
		*reason = "distribution header: cut off";
		return r.err ? CNODE_EPROTO : 1;
	}
	if (!h->slots) {
		*reason = "distribution header: atom references, though no cache was negotiated";
		return CNODE_EPROTO;
	}

	const uint8_t *flags = cn_rd_bytes(&r, count / 2 + 1);
	bool wide = flags && nibble(flags, count) & LONG_ATOMS;
	for (unsigned i = 0; flags && i < count; i++) {
		unsigned bits = nibble(flags, i);
		size_t slot = (bits & 7u) << 8 | cn_rd_u8(&r);
		if (bits & NEW_ENTRY) {
			size_t n = wide ? cn_rd_u16(&r) : cn_rd_u8(&r);
			const uint8_t *text = cn_rd_bytes(&r, n);
			if (!text)
				break;
			if (!cn_atom_valid(text, n)) {
				*reason = "distribution header: an atom that is not UTF-8 or too long";
				return CNODE_EPROTO;
			}
			int rc = fill(h, slot, text, n);
			if (rc) {
				*reason = "out of memory for the atom cache";
				return rc;
			}
			h->changed = true;
		} else if (!h->slots[slot]) {
			*reason = r.err ? "distribution header: cut off"
					: "distribution header: a reference to an empty slot of the atom cache";
			return CNODE_EPROTO;
		}
		h->atoms[i] = (struct cn_atom_text){ h->slots[slot]->text, h->slots[slot]->size };
	}
	if (r.err) {
		*reason = "distribution header: cut off";
		return CNODE_EPROTO;
	}
	h->count = count;
	return (int64_t)(size - cn_rd_left(&r));
}
