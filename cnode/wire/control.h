/* SPDX-License-Identifier: Apache-2.0 */
/* Private to wire: from the bytes of a control term to a cn_control. */
#ifndef CN_WIRE_CONTROL_H
#define CN_WIRE_CONTROL_H

#include "cnode/wire/wire.h"

/* A term inside of a control term, verified. */
struct cn_inner {
	const uint8_t *at;          /* NULL: there is none */
	size_t size;
	bool odd, cached;           /* as cn_verify's */
};

/* What decoding needs to know, and what it tells beyond the struct. */
struct cn_control_in {
	cnode_name self, peer;
	uint32_t depth;
	unsigned atom_count;
	const struct cn_atom_text *atoms;    /* of the packet's header */
	/* out */
	const char *reason;         /* static text, once it was refused */
	bool payload;               /* a payload follows */
	struct cn_inner term;       /* the reason of an op without payload */
	struct cn_inner opts;       /* of SPAWN_REQUEST */
};

/*
 * Decodes the control term at `bytes`. Bytes used; 0: it is cut off; CNODE_EPROTO,
 * CNODE_EBADTERM, CNODE_ELIMIT, CNODE_ENOMEM, CNODE_ESYSLIMIT (node names). c->opts is left
 * out: its memory is the caller's matter. Texts point into bytes or the atom table.
 */
int64_t cn_control_decode(struct cn_control_in *in, const uint8_t *bytes, size_t size, struct cn_control *c);

#endif
