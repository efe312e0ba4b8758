/* SPDX-License-Identifier: Apache-2.0 */
/* Private to wire: the parts of the inbound side. */
#ifndef CN_WIRE_FRAME_H
#define CN_WIRE_FRAME_H

#include "cnode/wire/control.h"

/* ---- header.c: the distribution header and the peer's atom cache ---- */

#define CN_CACHE_SLOTS 2048
#define CN_HEADER_ATOMS 255

struct cn_cached {
	uint16_t size;
	uint8_t text[];
};

struct cn_header {
	struct cn_cached **slots;            /* CN_CACHE_SLOTS; NULL if the cache was not negotiated */
	unsigned doomed_count;
	unsigned count;                      /* atoms of the header decoded last */
	bool changed;                        /* it wrote to the cache */
	struct cn_atom_text atoms[CN_HEADER_ATOMS];  /* good until the next header */
	struct cn_cached *doomed[CN_HEADER_ATOMS];   /* overwritten by it, but referred to before */
};

int cn_header_init(struct cn_header *h, bool cache);
void cn_header_fini(struct cn_header *h);
/* Bytes from N to the last reference; 0: cut off; CNODE_EPROTO. Changes nothing. */
int64_t cn_header_size(const uint8_t *bytes, size_t size);
/*
 * Decodes a header, from N on, and applies it to the cache. Bytes used, or CNODE_EPROTO with
 * *reason, CNODE_ENOMEM: the cache is then in no state to go on with.
 */
int64_t cn_header_decode(struct cn_header *h, const uint8_t *bytes, size_t size, const char **reason);

/* ---- assembly.c: a message that arrives in pieces, in its final memory ---- */

struct cn_assembly {
	uint64_t sequence;                   /* 0: one large packet */
	uint64_t fragment;                   /* the FragId that came last; 1: no more to come */
	uint64_t progress;                   /* when bytes came last */
	uint64_t each;                       /* bytes of the last continuation; 0: there was none */
	struct cn_blob *blob;                /* its size is the room */
	size_t used;
	size_t control_at;                   /* where the control term starts */
	size_t payload_at;                   /* 0: control term not found yet */
	bool has_payload;
	bool verified;                       /* the payload */
	unsigned atom_count;
	size_t text_size;
	struct cn_atom_text *atoms;          /* the header's, copied; texts behind them */
	struct cn_verify verify;
};

/* NULL when out of memory. */
struct cn_assembly *cn_assembly_new(size_t room);
void cn_assembly_free(struct cn_assembly *a);   /* takes NULL */
/* Room for `more` bytes behind the used ones, growing to twice the bytes there; `most`: never above. 0, CNODE_ENOMEM. */
int cn_assembly_room(struct cn_assembly *a, size_t more, size_t most);
/* Copies the header's atoms. 0, CNODE_ENOMEM. */
int cn_assembly_atoms(struct cn_assembly *a, const struct cn_header *h);
/* The control term ends at payload_at: from here on the payload can be verified. */
void cn_assembly_payload(struct cn_assembly *a, size_t payload_at, uint32_t depth, uint64_t limit);
/* Verifies what is there, at most budget. 0: go on later; 1: verified; negative with *reason. */
int cn_assembly_verify(struct cn_assembly *a, size_t budget, bool complete, const char **reason);
/* The memory in its last form: atom table attached, no more room than needed. Takes the blob out. NULL: out of memory. */
struct cn_blob *cn_assembly_blob(struct cn_assembly *a);

#endif
