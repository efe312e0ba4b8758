/* SPDX-License-Identifier: Apache-2.0 */
/* Private to wire: the parts of the outbound side. */
#ifndef CN_WIRE_ENCODER_H
#define CN_WIRE_ENCODER_H

#include "cnode/wire/wire.h"

/* ---- cache.c: our own atom cache, and the references of the packet being made ---- */

#define CN_CACHE_SLOTS 2048
#define CN_CACHE_REFS 255
#define CN_CACHE_TEXT 255                    /* longer atoms go inline: LongAtoms is never needed */
#define CN_HEADER_ROOM (1 + CN_CACHE_REFS / 2 + 1 + CN_CACHE_REFS * (2 + CN_CACHE_TEXT))

struct cn_slot {
	uint64_t key;                        /* node name's number, or hash of the text */
	uint8_t *text;                       /* NULL: empty */
	uint32_t packet;                     /* that used it last */
	uint16_t size;
	uint8_t ref;                         /* its index there */
	bool is_name;
};

struct cn_cache {
	struct cn_slot *slots;               /* NULL: not negotiated */
	uint32_t packet;                     /* the one being made, from 1 */
	unsigned count;                      /* its references */
	size_t new_size;                     /* bytes of its new texts, each with a length byte */
	uint16_t refs[CN_CACHE_REFS];        /* slot, and CN_CACHE_NEW */
};
#define CN_CACHE_NEW 0x8000u

int cn_cache_init(struct cn_cache *c, bool enabled);      /* 0, CNODE_ENOMEM */
void cn_cache_fini(struct cn_cache *c);
void cn_cache_begin(struct cn_cache *c);                  /* a new packet */
/* The index of an atom in this packet's header, or -1: it must go inline. */
int cn_cache_name(struct cn_cache *c, cnode_name name);
int cn_cache_text(struct cn_cache *c, const void *text, size_t size);
/* The packet will not be sent: what it put into the cache is forgotten. */
void cn_cache_abort(struct cn_cache *c);
/* Bytes of the header from N on; and writing it. */
static inline size_t cn_cache_header_size(const struct cn_cache *c)
{
	return c->count ? 1 + c->count / 2 + 1 + c->count + c->new_size : 1;
}
uint8_t *cn_cache_header(const struct cn_cache *c, uint8_t *p);

/* ---- write.c: a control term ---- */

#define CN_WRITE_ROOM 8192                   /* five atoms of the greatest length, and the rest */

struct cn_write {
	struct cn_cache *cache;
	bool narrow;                         /* peer of OTP 23: short pids and references */
	int err;
	size_t size;
	uint8_t bytes[CN_WRITE_ROOM];
};
/* All but a term at the end (`inner`, whose bytes follow). w->err: CNODE_ESTALE, CNODE_EBADARG, CNODE_EBADTERM. */
void cn_write_control(struct cn_write *w, const struct cn_control *c, enum cn_op op);
/* True if the control term ends with a term: the reason, or the options of a spawn. */
bool cn_op_has_inner(enum cn_op op);

/* ---- out.c ---- */

/* Makes room for this many copied bytes and referenced parts, so that putting them cannot fail. 0, CNODE_ENOMEM. */
int cn_out_reserve(struct cn_out *out, size_t bytes, uint32_t parts);

#endif
