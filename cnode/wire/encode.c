/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages outbound. A packet is made when it goes to the wire, so that the order in which
 * the atom cache changes is the order in which the peer reads it. Small payloads are copied
 * with their atoms replaced by references; large ones are referenced, or cut into fragments.
 *
 * Follows: erts_dsig_send(), erts_encode_ext_dist_header_*() in erts/emulator/beam; erl_ext_dist,
 * "Distribution Header".
 */
#include "cnode/wire/encoder.h"

#define PASS_THROUGH 112
#define WHOLE 68        /* 'D' */
#define FIRST 69        /* 'E' */
#define NEXT 70         /* 'F' */

struct cn_encoder {
	uint64_t flags;
	uint32_t fragment;
	bool header;                     /* packets start with a distribution header */
	struct cn_term_limits limits;    /* what the peer's decoder takes */
	uint64_t sequence;               /* the last one used */
	struct cn_cache cache;
};

/* One packet that carries a control term. */
struct packet {
	enum cn_op op;
	bool has_payload;
	const uint8_t *inner;            /* the term that ends the control term */
	size_t inner_size;
	const uint8_t *payload;          /* NULL: its bytes come in runs */
	size_t payload_size;
	struct cn_runs runs;
	struct cn_blob *owner;           /* of the payload's bytes */
	const struct cn_atom_sites *sites;   /* in the payload; NULL: it goes as it is */
	uint64_t sequence, fragment;     /* 0: not fragmented */
};

int cn_encoder_new(const struct cn_encoder_config *config, struct cn_encoder **encoder)
{
	struct cn_encoder *e = cn_calloc(1, sizeof *e);
	if (!e)
		return CNODE_ENOMEM;
	bool wide = config->flags & CN_DFLAG_V4_NC;
	e->flags = config->flags;
	e->fragment = config->fragment ? config->fragment : CN_FRAGMENT;
	e->header = config->flags & (CN_DFLAG_DIST_HDR_ATOM_CACHE | CN_DFLAG_FRAGMENTS);
	e->limits.flags = CN_TERM_OUTBOUND;
	if (!wide)
		e->limits.flags |= CN_TERM_NARROW;
	if (config->peer_flags & CN_DFLAG_NATIVE_RECORDS)
		e->limits.flags |= CN_TERM_RECORDS;
	e->limits.ref_words = wide ? 5 : 3;
	if (cn_cache_init(&e->cache, config->flags & CN_DFLAG_DIST_HDR_ATOM_CACHE)) {
		cn_free(e);
		return CNODE_ENOMEM;
	}
	*encoder = e;
	return 0;
}

void cn_encoder_free(struct cn_encoder *e)
{
	if (!e)
		return;
	cn_cache_fini(&e->cache);
	cn_free(e);
}

int cn_encode_tick(struct cn_out *out)
{
	return cn_out_put(out, "\0\0\0", 4);
}

/* ---- one packet ---- */

/* A site that could not get a reference. */
#define INLINE 0xff

/* Gives the payload's atoms their references; returns the bytes it will take. */
static size_t refer_atoms(struct cn_cache *cache, const struct packet *k, uint8_t refs[CN_ATOM_SITES])
{
	size_t size = k->payload_size;
	for (uint32_t i = 0; i < k->sites->count; i++) {
		const struct cn_atom_site *s = &k->sites->at[i];
		int ref = cn_cache_text(cache, s->text, s->text_size);
		refs[i] = ref < 0 ? INLINE : (uint8_t)ref;
		if (ref >= 0)
			size = size - s->size + 2;
		else if (k->payload[s->offset] == CN_ATOM_CACHE_REF)
			size = size - s->size + s->text_size + (s->text_size > 255 ? 3u : 2u);
	}
	return size;
}

static uint8_t *put_bytes(uint8_t *p, const void *bytes, size_t size)
{
	memcpy(p, bytes, size);
	return p + size;
}

static uint8_t *put_payload(uint8_t *p, const struct packet *k, const uint8_t refs[CN_ATOM_SITES])
{
	const uint8_t *from = k->payload;
	for (uint32_t i = 0; i < k->sites->count; i++) {
		const struct cn_atom_site *s = &k->sites->at[i];
		const uint8_t *site = k->payload + s->offset;
		bool cached = *site == CN_ATOM_CACHE_REF;
		if (refs[i] == INLINE && !cached)
			continue;
		p = put_bytes(p, from, (size_t)(site - from));
		from = site + s->size;
		if (refs[i] != INLINE) {
			*p++ = CN_ATOM_CACHE_REF;
			*p++ = refs[i];
		} else {
			*p++ = s->text_size > 255 ? CN_ATOM_UTF8 : CN_SMALL_ATOM_UTF8;
			if (s->text_size > 255)
				*p++ = (uint8_t)(s->text_size >> 8);
			*p++ = (uint8_t)s->text_size;
			p = put_bytes(p, s->text, s->text_size);
		}
	}
	return put_bytes(p, from, (size_t)(k->payload + k->payload_size - from));
}

/* The bytes in front of the control term but for the length. */
static uint8_t *put_head(struct cn_encoder *e, uint8_t *p, const struct packet *k)
{
	if (!e->header) {
		*p++ = PASS_THROUGH;
		*p++ = CN_VERSION;
		return p;
	}
	*p++ = CN_VERSION;
	*p++ = k->fragment ? FIRST : WHOLE;
	if (k->fragment) {
		p = cn_store_u64(p, k->sequence);
		p = cn_store_u64(p, k->fragment);
	}
	return cn_cache_header(&e->cache, p);
}

_Static_assert(CN_HANDED_LEAST == CN_OUT_REFERENCE, "what is handed over is worth a reference, and nothing else is");

/* What the next `size` bytes of runs take in `out`. Small runs are copied. */
static void measure_runs(struct cn_runs r, size_t size, size_t *copied, uint32_t *parts)
{
	const uint8_t *bytes;
	size_t n;
	*copied = *parts = 0;
	for (; size && cn_runs_next(&r, size, &bytes, &n); size -= n) {
		if (n < CN_OUT_REFERENCE)
			*copied += n;
		else
			++*parts;
	}
}

/* Puts them; there is room. Cannot fail. */
static void put_runs(struct cn_out *out, struct cn_runs r, size_t size, struct cn_blob *owner)
{
	const uint8_t *bytes;
	size_t n;
	for (; size && cn_runs_next(&r, size, &bytes, &n); size -= n) {
		if (n < CN_OUT_REFERENCE)
			(void)cn_out_put(out, bytes, n);
		else
			(void)cn_out_refer(out, bytes, n, owner);
	}
}

static int put_packet(struct cn_encoder *e, struct cn_out *out, const struct cn_control *c, const struct packet *k)
{
	struct cn_write w;
	uint8_t refs[CN_ATOM_SITES];
	w.cache = &e->cache;
	w.narrow = e->limits.flags & CN_TERM_NARROW;
	cn_cache_begin(&e->cache);
	cn_write_control(&w, c, k->op);
	int rc = w.err;
	bool in_runs = k->has_payload && !k->payload;
	bool copied = k->sites || (k->payload_size < CN_OUT_REFERENCE && !in_runs);
	bool version = k->has_payload && !e->header;
	size_t payload = k->sites ? refer_atoms(&e->cache, k, refs) : k->payload_size;
	size_t head = e->header ? 2 + (k->fragment ? 16 : 0) + cn_cache_header_size(&e->cache) : 2;
	uint64_t size = (uint64_t)head + w.size + k->inner_size + version + payload;
	size_t here = (size_t)size + 4 - (copied ? 0 : payload);
	if (rc == 0 && size > CN_TERM_BYTES_MAX - 4)
		rc = CNODE_ETOOBIG;
	size_t runs = 0;
	uint32_t parts = !copied;
	if (CN_UNLIKELY(in_runs))
		measure_runs(k->runs, payload, &runs, &parts);
	if (rc == 0)
		rc = cn_out_reserve(out, here + runs, parts);
	if (CN_UNLIKELY(rc)) {
		cn_cache_abort(&e->cache);
		return rc;
	}

	uint8_t *p = out->copied.data + out->copied.size;
	p = cn_store_u32(p, (uint32_t)size);
	p = put_head(e, p, k);
	p = put_bytes(p, w.bytes, w.size);
	if (k->inner_size)
		p = put_bytes(p, k->inner, k->inner_size);
	if (version)
		*p++ = CN_VERSION;
	if (k->sites)
		put_payload(p, k, refs);
	else if (copied && payload)
		put_bytes(p, k->payload, payload);
	out->copied.size += here;
	out->size += here;
	/* Its room is reserved: this cannot fail. */
	if (CN_UNLIKELY(in_runs))
		put_runs(out, k->runs, payload, k->owner);
	return copied || in_runs ? 0 : cn_out_refer(out, k->payload, payload, k->owner);
}

/* ---- what a message is to this peer ---- */

/*
 * Fills all but the fragment's numbers. With `sites`, a small payload gets its atoms replaced.
 * Errors as cn_encode.
 */
static int plan(const struct cn_encoder *e, const struct cn_control *c, cnode_term payload,
		struct cn_atom_sites *sites, struct packet *k, const char **reason)
{
	*k = (struct packet){ 0 };
	if (reason)
		*reason = NULL;
	int rc = cn_control_form(c, e->flags, &k->op, &k->has_payload);
	if (rc)
		return rc;
	if (cn_op_has_inner(k->op)) {
		cnode_term inner = c->signal == CN_SIGNAL_SPAWN_REQUEST ? c->opts : payload;
		rc = cn_term_outgoing(inner, &e->limits, NULL, &k->inner, &k->inner_size, reason);
		if (rc == 0 && k->inner_size > CN_FRAME_CONTROL_MAX)
			rc = CNODE_ETOOBIG;
		if (rc)
			return rc;
	}
	if (!k->has_payload)
		return 0;
	k->owner = payload.owner_;
	if (CN_UNLIKELY(cn_term_is_handed(payload)))
		return cn_term_outgoing_runs(payload, &e->limits, &k->runs, &k->payload_size, reason);
	bool replace = sites && e->cache.slots && payload.size_ < CN_OUT_REFERENCE;
	rc = cn_term_outgoing(payload, &e->limits, replace ? sites : NULL, &k->payload, &k->payload_size, reason);
	k->sites = replace && sites->count ? sites : NULL;
	return rc;
}

/* How many packets its payload is cut into. */
static uint64_t fragments_of(const struct cn_encoder *e, const struct packet *k)
{
	if (!(e->flags & CN_DFLAG_FRAGMENTS) || k->payload_size <= e->fragment)
		return 1;
	return (k->payload_size - 1) / e->fragment + 1;
}

int cn_encode(struct cn_encoder *e, struct cn_out *out, const struct cn_control *c, cnode_term payload,
	      const char **reason)
{
	struct cn_atom_sites sites;
	struct packet k;
	int rc = plan(e, c, payload, &sites, &k, reason);
	if (rc)
		return rc;
	return fragments_of(e, &k) > 1 ? CN_ENCODE_QUEUE : put_packet(e, out, c, &k);
}

/* ---- messages that wait ---- */

struct cn_sending {
	struct cn_control control;       /* its texts are behind the struct */
	cnode_term payload, opts;        /* kept */
	uint64_t size;                   /* of everything, about */
	uint64_t fragments;              /* in all; 0: one plain packet */
	uint64_t left;                   /* fragments (or packets) still to come */
	uint64_t sequence;
	struct packet packet;            /* as it was planned; points into the kept terms */
	size_t at;                       /* bytes of the payload that are gone */
};

static uint8_t *copy_text(struct cn_atom_text *a, uint8_t *to)
{
	if (a->size)
		memcpy(to, a->text, a->size);
	a->text = to;
	return to + a->size;
}

int cn_sending_new(const struct cn_encoder *e, const struct cn_control *c, cnode_term payload,
		   struct cn_sending **sending, const char **reason)
{
	struct packet k;
	int rc = plan(e, c, payload, NULL, &k, reason);
	if (rc)
		return rc;
	size_t texts = (size_t)c->name.size + c->module.size + c->function.size;
	struct cn_sending *s = cn_calloc(1, sizeof *s + texts);
	if (!s)
		return CNODE_ENOMEM;
	s->control = *c;
	uint8_t *to = (uint8_t *)(s + 1);
	to = copy_text(&s->control.name, to);
	to = copy_text(&s->control.module, to);
	copy_text(&s->control.function, to);
	s->left = fragments_of(e, &k);
	s->fragments = s->left > 1 ? s->left : 0;
	s->size = 64 + texts + k.inner_size + k.payload_size;
	s->packet = k;
	rc = cnode_term_keep(payload, &s->payload);
	if (rc == 0)
		rc = cnode_term_keep(c->opts, &s->opts);
	if (rc) {
		cn_sending_free(s);
		return rc;
	}
	s->control.opts = s->opts;
	*sending = s;
	return 0;
}

void cn_sending_free(struct cn_sending *s)
{
	if (!s)
		return;
	cnode_term_drop(s->payload);
	cnode_term_drop(s->opts);
	cn_free(s);
}

uint64_t cn_sending_size(const struct cn_sending *s)
{
	return s->size - s->at;
}

bool cn_sending_started(const struct cn_sending *s)
{
	return s->fragments && s->left > 0 && s->left < s->fragments;
}

/* A continuation: eighteen bytes and the payload's next part. */
static int put_next(struct cn_sending *s, struct cn_out *out, size_t size)
{
	bool in_runs = !s->packet.payload, copied = size < CN_OUT_REFERENCE;
	size_t here = copied ? size : 0;
	uint32_t parts = !copied;
	if (CN_UNLIKELY(in_runs))
		measure_runs(s->packet.runs, size, &here, &parts);
	int rc = cn_out_reserve(out, 22 + here, parts);
	if (rc)
		return rc;
	uint8_t head[22], *p = cn_store_u32(head, (uint32_t)(18 + size));
	*p++ = CN_VERSION;
	*p++ = NEXT;
	p = cn_store_u64(p, s->sequence);
	cn_store_u64(p, CN_MUTANT(fragment_order) ? s->fragments - s->left : s->left);
	rc = cn_out_put(out, head, sizeof head);
	if (rc)
		return rc;
	if (CN_UNLIKELY(in_runs)) {
		put_runs(out, s->packet.runs, size, s->payload.owner_);
		return 0;
	}
	const uint8_t *bytes = s->packet.payload + s->at;
	return copied ? cn_out_put(out, bytes, size) : cn_out_refer(out, bytes, size, s->payload.owner_);
}

/* The first packet, or the only one. */
static int put_first(struct cn_sending *s, struct cn_encoder *e, struct cn_out *out, size_t size)
{
	struct cn_atom_sites sites;
	struct packet k = s->packet;
	int rc = 0;
	/* Only small payloads get their atoms replaced, and are looked at once more for that. */
	if (!s->fragments && k.payload && k.payload_size < CN_OUT_REFERENCE)
		rc = plan(e, &s->control, s->payload, &sites, &k, NULL);
	if (rc)
		return rc;
	if (s->fragments) {
		k.payload_size = size;
		k.sequence = e->sequence + 1 ? e->sequence + 1 : 1;    /* 0 would mean: not fragmented */
		if (CN_MUTANT(one_sequence_id))
			k.sequence = 1;
		k.fragment = s->fragments;
	}
	rc = put_packet(e, out, &s->control, &k);
	if (rc == 0 && s->fragments)
		s->sequence = e->sequence = k.sequence;
	return rc;
}

int cn_sending_next(struct cn_sending *s, struct cn_encoder *e, struct cn_out *out)
{
	if (s->left == 0)
		return 0;
	size_t rest = s->packet.payload_size - s->at;
	size_t size = rest < e->fragment ? rest : e->fragment;
	int rc = s->fragments && s->left < s->fragments ? put_next(s, out, size) : put_first(s, e, out, size);
	if (rc)
		return rc;
	s->at += size;
	const uint8_t *bytes;
	for (size_t n, past = s->packet.payload ? 0 : size; past && cn_runs_next(&s->packet.runs, past, &bytes, &n); past -= n)
		continue;
	s->left--;
	return s->left > 0;
}
