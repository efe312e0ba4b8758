/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An established link inbound. Two ways through: a small packet that is there as a whole (most
 * are) is parsed where it lies, and its payload is verified there and copied once; everything
 * else becomes an assembly, which the socket can be read into.
 *
 * Follows: erts_net_message(), erts_dist_ext fragments in erts/emulator/beam/dist.c and
 * external.c; erl_dist_protocol, "Protocol between Connected Nodes"; erl_ext_dist,
 * "Distribution Header".
 */
#include "cnode/wire/frame.h"

#define PASS_THROUGH 112
#define WHOLE 68        /* 'D' */
#define FIRST 69        /* 'E' */
#define NEXT 70         /* 'F' */

#define TURN 65536u     /* bytes of verification at a time */
#define PEEK 18u        /* so many bytes of a packet tell what it is */
#define FIRST_TRY 4096u /* bytes of a large packet before its control term is looked for */
#define SAID_MOST 64u   /* header and control term of a message are compared up to this size */

/*
 * Who says much to one process says the same header and control term each time, byte for byte. What they mean was found
 * out for the message before, and holds as long as no other has been looked at.
 */
struct said {
	size_t size;                         /* of both; 0: there is nothing to compare with */
	struct cn_control control;           /* its name is a text of the atom cache */
	uint8_t bytes[SAID_MOST];
};

struct cn_frame {
	uint64_t flags;
	cnode_name self, peer;
	uint64_t message;
	uint64_t open_bytes, open_limit;
	uint64_t progress;
	uint32_t open_count, open_most, open_room;
	uint32_t depth;
	uint32_t direct_size;                /* incomplete packets that are longer become `direct` */
	bool header;                         /* packets start with a distribution header */
	int error;                           /* sticky */
	const char *reason;
	struct cn_assembly **open;           /* unfinished sequences; open_count of open_room */
	struct cn_assembly *direct;          /* gets the rest of a packet: `left` bytes */
	struct cn_assembly *after;           /* no packet has begun; the one before was a part of this unfinished sequence */
	uint64_t left;
	size_t try_at;                       /* bytes that `direct` should have when its control term is looked for */
	struct cn_assembly *busy;            /* complete, being verified */
	struct cn_control_in in;
	struct cn_verify verify;             /* for small packets */
	struct cn_header h;
	struct said said;
};

int cn_frame_new(const struct cn_frame_config *config, struct cn_frame **frame)
{
	struct cn_frame *f = cn_calloc(1, sizeof *f);
	if (!f)
		return CNODE_ENOMEM;
	f->flags = config->flags;
	f->self = config->self;
	f->peer = config->peer;
	f->message = config->message ? config->message : CN_FRAME_MESSAGE_MAX;
	f->open_limit = config->open_bytes ? config->open_bytes : CN_FRAME_OPEN_MAX;
	f->open_most = config->open_count ? config->open_count : CN_FRAME_OPEN_COUNT;
	f->progress = config->progress ? config->progress : CN_FRAME_PROGRESS;
	f->depth = config->depth;
	f->direct_size = config->direct ? config->direct : CN_FRAME_DIRECT;
	f->header = config->flags & (CN_DFLAG_DIST_HDR_ATOM_CACHE | CN_DFLAG_FRAGMENTS);
	f->reason = "";
	if (cn_header_init(&f->h, config->flags & CN_DFLAG_DIST_HDR_ATOM_CACHE)) {
		cn_free(f);
		return CNODE_ENOMEM;
	}
	*frame = f;
	return 0;
}

void cn_frame_free(struct cn_frame *f)
{
	if (!f)
		return;
	bool is_open = false;
	for (uint32_t i = 0; i < f->open_count; i++) {
		is_open = is_open || f->open[i] == f->direct;
		cn_assembly_free(f->open[i]);
	}
	if (!is_open)
		cn_assembly_free(f->direct);
	cn_assembly_free(f->busy);
	cn_free(f->open);
	cn_header_fini(&f->h);
	cn_free(f);
}

static int refuse(struct cn_frame *f, int code, const char *reason)
{
	if (!f->error) {
		f->error = code;
		f->reason = reason;
	}
	return f->error;
}

static int no_memory(struct cn_frame *f)
{
	return refuse(f, CNODE_ENOMEM, "out of memory for a message");
}

const char *cn_frame_reason(const struct cn_frame *f)
{
	return f->reason;
}

/* ---- the pieces of a packet ---- */

/* The header behind 131 'D' or behind FragId. Bytes used, or negative. */
static int64_t take_header(struct cn_frame *f, const uint8_t *p, size_t size)
{
	const char *reason = NULL;
	f->said.size = 0;
	int64_t n = cn_header_decode(&f->h, p, size, &reason);
	return n < 0 ? refuse(f, (int)n, reason) : n;
}

/* The control term, with these atoms. Bytes used; 0: cut off; negative. */
static int64_t take_control(struct cn_frame *f, const uint8_t *p, size_t size, const struct cn_atom_text *atoms,
			    unsigned atom_count, struct cn_control *c)
{
	f->said.size = 0;
	f->in.self = f->self;
	f->in.peer = f->peer;
	f->in.depth = f->depth;
	f->in.atoms = atoms;
	f->in.atom_count = atom_count;
	int64_t n = cn_control_decode(&f->in, p, size, c);
	if (n == 0 && size > CN_FRAME_CONTROL_MAX)
		return refuse(f, CNODE_ELIMIT, "a control message over the limit");
	return n < 0 ? refuse(f, (int)n, f->in.reason) : n;
}

static int cut_off(struct cn_frame *f)
{
	return refuse(f, CNODE_EPROTO, "a control message that is cut off");
}

/* On a link without headers every term has its own version byte. */
static inline bool has_version(const struct cn_frame *f, const uint8_t *p, size_t size)
{
	return f->header || (size > 0 && *p == CN_VERSION);
}

static cnode_term inner_term(struct cn_blob *blob, const struct cn_inner *inner, const uint8_t *from)
{
	if (!inner->at)
		return (cnode_term){ 0 };
	struct cn_verify v = { .offset = inner->size, .odd = inner->odd, .cached = inner->cached };
	return cn_term_of_verified(blob, (size_t)(inner->at - from), &v);
}

/* ---- small packets ---- */

/*
 * Bytes to begin with for a message of so many parts like the first: what is announced is
 * believed up to 2 MiB, which cost nothing until they are written; beyond it grows as bytes come.
 */
#define EXPECT_MAX ((uint64_t)2 << 20)
static size_t expected(uint64_t fragments, uint64_t first)
{
	uint64_t all = fragments > EXPECT_MAX / (first + 1) ? EXPECT_MAX : fragments * first;
	return (size_t)(all < EXPECT_MAX ? all : EXPECT_MAX);
}

/* Is it a name that stays what it is as long as the link is there, or none? */
static inline bool is_of_link(const struct cn_frame *f, cnode_name name)
{
	return !name || name == f->peer || name == f->self;
}

/* The header and control term at p, of this message, were good: remembers them for the next one. */
static void remember(struct cn_frame *f, const uint8_t *p, size_t size, const struct cn_control *c)
{
	if (size > SAID_MOST || f->h.changed || !f->in.payload || f->in.term.at || f->in.opts.at)
		return;
	if (c->signal != CN_SIGNAL_SEND && c->signal != CN_SIGNAL_REG_SEND && c->signal != CN_SIGNAL_ALIAS_SEND)
		return;
	if (!is_of_link(f, c->from.node) || !is_of_link(f, c->to.node) || !is_of_link(f, c->ref.node))
		return;
	if (c->name.text >= p && c->name.text < p + size)
		return;                         /* written out, not taken from the cache: it goes with these bytes */
	f->said.size = size;
	f->said.control = *c;
	memcpy(f->said.bytes, p, size);
}

/* The size of the header and control term at p if they are those of the message before; 0: they are not. */
static inline size_t said_again(const struct cn_frame *f, const uint8_t *p, size_t size)
{
	size_t n = f->said.size;
	return n && size > n && memcmp(p, f->said.bytes, n) == 0 ? n : 0;
}

/*
 * Control term at p, of n bytes and decoded, payload behind it, all there. Verified in place, then copied: the payload
 * alone, or all of it if the control term has terms in it that must stay.
 */
static int take_small(struct cn_frame *f, const uint8_t *p, size_t n, size_t size, struct cn_packet *m)
{
	const uint8_t *payload = p + n;
	size_t left = size - n;
	size_t payload_size = 0;
	uint64_t used = f->in.term.cached || f->in.opts.cached ? UINT64_MAX : 0;    /* of the header's atoms */
	if (f->in.payload) {
		if (!has_version(f, payload, left))
			return refuse(f, CNODE_EPROTO, "a message without its payload, or without its version");
		payload += !f->header;
		left -= !f->header;
		struct cn_term_limits limits = { .bytes = left, .depth = f->depth };
		if (left == 0)
			return refuse(f, CNODE_EPROTO, "a message without its payload");
		cn_verify_init(&f->verify, &limits, f->h.count);
		int rc = cn_verify_all(&f->verify, payload, left);
		if (CN_UNLIKELY(rc))
			return rc == CNODE_ENOMEM ? no_memory(f) : refuse(f, rc, f->verify.reason);
		payload_size = f->verify.offset;
		used |= f->verify.used;
	}

	const uint8_t *from = payload;
	size_t copied = payload_size;
	if (f->in.term.at || f->in.opts.at) {
		from = p;
		copied = (size_t)(payload - p) + payload_size;
	} else if (!f->in.payload) {
		m->event = CN_FRAME_MESSAGE;
		return 0;
	}
	struct cn_blob *b = cn_blob_new_message(copied, f->h.atoms, used ? f->h.count : 0, used);
	if (!b)
		return no_memory(f);
	memcpy(b->bytes, from, copied);
	if (f->in.payload)
		m->payload = cn_term_of_verified(b, (size_t)(payload - from), &f->verify);
	else
		m->payload = inner_term(b, &f->in.term, from);
	m->control.opts = inner_term(b, &f->in.opts, from);
	m->blob = b;
	m->event = CN_FRAME_MESSAGE;
	return 0;
}

/* ---- sequences ---- */

static struct cn_assembly *find_open(struct cn_frame *f, uint64_t sequence)
{
	for (uint32_t i = f->open_count; i-- > 0;)
		if (f->open[i]->sequence == sequence)
			return f->open[i];
	return NULL;
}

static void close_sequence(struct cn_frame *f, const struct cn_assembly *a)
{
	for (uint32_t i = 0; i < f->open_count; i++)
		if (f->open[i] == a) {
			f->open[i] = f->open[--f->open_count];
			return;
		}
}

/* May a sequence begin so? */
static int check_first(struct cn_frame *f, uint64_t sequence, uint64_t fragment)
{
	if (fragment == 1)
		return 0;
	if (fragment == 0)
		return refuse(f, CNODE_EPROTO, "a first fragment with number 0");
	if (sequence == 0)
		return refuse(f, CNODE_EPROTO, "a fragment sequence without id");
	if (fragment > f->message)
		return refuse(f, CNODE_ELIMIT, "a message of more fragments than it may have bytes");
	if (find_open(f, sequence))
		return refuse(f, CNODE_EPROTO, "a fragment sequence whose id is in use");
	if (f->open_count >= f->open_most)
		return refuse(f, CNODE_ELIMIT, "too many unfinished fragment sequences");
	return 0;
}

static int open_sequence(struct cn_frame *f, struct cn_assembly *a)
{
	if (f->open_count == f->open_room) {
		uint32_t room = f->open_room ? f->open_room * 2 : 8;
		struct cn_assembly **open = cn_realloc(f->open, room * sizeof *open);
		if (!open)
			return no_memory(f);
		f->open = open;
		f->open_room = room;
	}
	f->open[f->open_count++] = a;
	return 0;
}

/* The open sequence that a continuation belongs to; NULL: refused. */
static struct cn_assembly *continued(struct cn_frame *f, const uint8_t *p)
{
	struct cn_assembly *a = find_open(f, cn_load_u64(p + 2));
	if (!a) {
		refuse(f, CNODE_EPROTO, "a fragment of an unknown sequence");
		return NULL;
	}
	if (cn_load_u64(p + 10) != a->fragment - 1 && !CN_MUTANT(fragment_any_order)) {
		refuse(f, CNODE_EPROTO, "a fragment out of order");
		return NULL;
	}
	a->fragment--;
	return a;
}

/* n more bytes are about to belong to a. */
static int account(struct cn_frame *f, const struct cn_assembly *a, uint64_t n)
{
	if (a->used + n > f->message)
		return refuse(f, CNODE_ELIMIT, "a message over the limit");
	if (f->open_bytes + n > f->open_limit)
		return refuse(f, CNODE_ELIMIT, "unfinished messages over the limit");
	f->open_bytes += n;
	return 0;
}

static int append(struct cn_frame *f, struct cn_assembly *a, const uint8_t *p, size_t size, uint64_t most)
{
	int rc = account(f, a, size);
	if (rc)
		return rc;
	if (cn_assembly_room(a, size, (size_t)most))
		return no_memory(f);
	memcpy(a->blob->bytes + a->used, p, size);
	a->used += size;
	return 0;
}

/* ---- the end of an assembly ---- */

static int finish(struct cn_frame *f, struct cn_assembly *a, struct cn_packet *m)
{
	f->open_bytes -= a->used;
	size_t payload_at = a->payload_at;
	struct cn_blob *b = cn_assembly_blob(a);
	if (!b)
		return no_memory(f);
	/* Once more, now where the texts and terms will stay. */
	m->blob = b;
	int64_t n = take_control(f, b->bytes + a->control_at, a->used - a->control_at, b->atoms ? b->atoms->at : NULL,
				 a->atom_count, &m->control);
	if (n <= 0) {
		cn_packet_fini(m);
		return n < 0 ? (int)n : cut_off(f);
	}
	m->control.opts = inner_term(b, &f->in.opts, b->bytes);
	m->payload = a->has_payload ? cn_term_of_verified(b, payload_at, &a->verify)
				    : inner_term(b, &f->in.term, b->bytes);
	if (cn_term_is_none(m->payload) && cn_term_is_none(m->control.opts) && !m->control.name.size) {
		cn_blob_unref(b);
		m->blob = NULL;
	}
	m->event = CN_FRAME_MESSAGE;
	return 0;
}

/* Everything of it has arrived. Takes a. */
static int complete(struct cn_frame *f, struct cn_assembly *a, struct cn_packet *m)
{
	int rc = cn_assembly_verify(a, TURN, true, &f->reason);
	if (rc == 0) {
		f->busy = a;
		m->event = CN_FRAME_BUSY;
		return 0;
	}
	if (rc < 0)
		f->error = rc;
	else
		rc = finish(f, a, m);
	cn_assembly_free(a);
	return rc;
}

int cn_frame_work(struct cn_frame *f, struct cn_packet *m)
{
	*m = (struct cn_packet){ 0 };
	if (f->error)
		return f->error;
	struct cn_assembly *a = f->busy;
	if (!a)
		return 0;
	f->busy = NULL;
	return complete(f, a, m);
}

/* A packet is complete, and so may be its message. */
static int packet_end(struct cn_frame *f, struct cn_assembly *a, uint64_t now, struct cn_packet *m)
{
	a->progress = now;
	if (a->fragment > 1) {
		int rc = cn_assembly_verify(a, TURN, false, &f->reason);
		m->event = CN_FRAME_PART;
		f->after = a;
		return rc < 0 ? (f->error = rc) : 0;
	}
	if (a->sequence)
		close_sequence(f, a);
	return complete(f, a, m);
}

/* ---- packets that are there as a whole ---- */

/* A first fragment, or a packet whose payload is too large to be verified in one turn. */
static int take_large(struct cn_frame *f, const uint8_t *p, size_t size, uint64_t sequence, uint64_t fragment,
		      uint64_t now, struct cn_packet *m)
{
	int64_t n = take_control(f, p, size, f->h.atoms, f->h.count, &m->control);
	if (n <= 0)
		return n < 0 ? (int)n : cut_off(f);
	size_t payload_at = (size_t)n;
	if (f->in.payload && !f->header) {
		if (!has_version(f, p + payload_at, size - payload_at))
			return refuse(f, CNODE_EPROTO, "a message without its payload, or without its version");
		payload_at++;
	}
	struct cn_assembly *a = cn_assembly_new(fragment > 1 ? expected(fragment, size) : size);
	if (!a)
		return no_memory(f);
	a->sequence = sequence;
	a->fragment = fragment;
	a->has_payload = f->in.payload;
	int rc = cn_assembly_atoms(a, &f->h) ? no_memory(f) : append(f, a, p, size, size);
	if (rc == 0 && sequence)
		rc = open_sequence(f, a);
	if (rc) {
		cn_assembly_free(a);
		return rc;
	}
	cn_assembly_payload(a, payload_at, f->depth, f->message);
	*m = (struct cn_packet){ 0 };
	return packet_end(f, a, now, m);
}

static int take_next(struct cn_frame *f, const uint8_t *p, size_t size, uint64_t now, struct cn_packet *m)
{
	struct cn_assembly *a = continued(f, p);
	if (!a)
		return f->error;
	a->each = size - 18;
	int rc = append(f, a, p + 18, size - 18, SIZE_MAX);
	return rc ? rc : packet_end(f, a, now, m);
}

static int take_packet(struct cn_frame *f, const uint8_t *p, size_t size, uint64_t now, struct cn_packet *m)
{
	uint64_t sequence = 0, fragment = 1;
	size_t at;
	f->after = NULL;
	if (!f->header) {
		if (size < 2 || p[0] != PASS_THROUGH || p[1] != CN_VERSION)
			return refuse(f, CNODE_EPROTO, "a packet that is not in pass-through form");
		at = 2;
		f->h.count = 0;
	} else {
		if (size < 2 || p[0] != CN_VERSION)
			return refuse(f, CNODE_EPROTO, "a packet without a distribution header");
		at = 2;
		if (p[1] != WHOLE) {
			if ((p[1] != FIRST && p[1] != NEXT) || !(f->flags & CN_DFLAG_FRAGMENTS) || size < 18)
				return refuse(f, CNODE_EPROTO, "a packet of an unknown kind");
			if (p[1] == NEXT)
				return take_next(f, p, size, now, m);
			sequence = cn_load_u64(p + 2);
			fragment = cn_load_u64(p + 10);
			int rc = check_first(f, sequence, fragment);
			if (rc)
				return rc;
			at = 18;
		}
		size_t again = p[1] == WHOLE && size <= TURN ? said_again(f, p + at, size - at) : 0;
		if (again) {
			m->control = f->said.control;
			return take_small(f, p + at, again, size - at, m);
		}
		int64_t n = take_header(f, p + at, size - at);
		if (n < 0)
			return (int)n;
		at += (size_t)n;
	}
	if (CN_LIKELY(fragment == 1 && size <= TURN)) {
		int64_t n = take_control(f, p + at, size - at, f->h.atoms, f->h.count, &m->control);
		if (n <= 0)
			return n < 0 ? (int)n : cut_off(f);
		if (f->header && p[1] == WHOLE)
			remember(f, p + 2, at - 2 + (size_t)n, &m->control);
		return take_small(f, p + at, (size_t)n, size - at, m);
	}
	return take_large(f, p + at, size - at, fragment == 1 ? 0 : sequence, fragment, now, m);
}

/* ---- packets that are read into their final memory ---- */

/* The header and control term of `direct`, which holds its packet from the first byte on. */
static int find_control(struct cn_frame *f, struct cn_assembly *a)
{
	const uint8_t *p = a->blob->bytes;
	if (a->control_at == 0) {
		size_t at = 2;
		if (f->header) {
			at = p[1] == WHOLE ? 2 : 18;
			int64_t n = cn_header_size(p + at, a->used - at);
			if (n <= 0)
				return 0;
			n = take_header(f, p + at, (size_t)n);
			if (n < 0)
				return (int)n;
			at += (size_t)n;
		} else {
			f->h.count = 0;
		}
		if (cn_assembly_atoms(a, &f->h))
			return no_memory(f);
		a->control_at = at;
	}
	struct cn_control c;
	int64_t n = take_control(f, p + a->control_at, a->used - a->control_at, a->atoms, a->atom_count, &c);
	if (n <= 0)
		return (int)n;
	size_t at = a->control_at + (size_t)n;
	a->has_payload = f->in.payload;
	if (a->has_payload && !f->header) {
		if (at == a->used)
			return 0;
		if (p[at] != CN_VERSION)
			return refuse(f, CNODE_EPROTO, "a message whose payload has no version");
		at++;
	}
	cn_assembly_payload(a, at, f->depth, f->message);
	return 0;
}

/* n bytes more are in `direct`. */
static int arrived(struct cn_frame *f, size_t n, uint64_t now, struct cn_packet *m)
{
	struct cn_assembly *a = f->direct;
	a->used += n;
	a->progress = now;
	f->left -= n;
	if (a->payload_at == 0 && (f->left == 0 || a->used >= f->try_at)) {
		f->try_at = a->used * 2;
		int rc = find_control(f, a);
		if (rc)
			return rc;
		if (f->left == 0 && a->payload_at == 0)
			return cut_off(f);
	}
	if (a->payload_at && f->left > 0) {
		int rc = cn_assembly_verify(a, TURN, false, &f->reason);
		if (rc < 0)
			return f->error = rc;
	}
	if (f->left > 0)
		return 0;
	f->direct = NULL;
	return packet_end(f, a, now, m);
}

/* Begins a packet of `size` bytes, of which `have` are at p. Bytes used, or negative. */
static int64_t begin(struct cn_frame *f, const uint8_t *p, size_t have, uint64_t size, uint64_t now,
		     struct cn_packet *m)
{
	struct cn_assembly *a;
	size_t skip = 0;
	bool fragments = f->header && f->flags & CN_DFLAG_FRAGMENTS;
	f->after = NULL;
	if (p[0] != (f->header ? CN_VERSION : PASS_THROUGH) || (!f->header && p[1] != CN_VERSION) ||
	    (f->header && p[1] != WHOLE && !(fragments && (p[1] == FIRST || p[1] == NEXT))))
		return refuse(f, CNODE_EPROTO, "a large packet of an unknown kind");
	if (f->header && p[1] == NEXT) {
		a = continued(f, p);
		if (!a)
			return f->error;
		skip = 18;
		a->each = size - skip;
	} else {
		uint64_t sequence = 0, fragment = 1;
		if (f->header && p[1] == FIRST) {
			sequence = cn_load_u64(p + 2);
			fragment = cn_load_u64(p + 10);
			int rc = check_first(f, sequence, fragment);
			if (rc)
				return rc;
		}
		a = cn_assembly_new(expected(fragment, size));
		if (!a)
			return no_memory(f);
		a->fragment = fragment;
		if (fragment > 1) {
			a->sequence = sequence;
			if (open_sequence(f, a)) {
				cn_assembly_free(a);
				return f->error;
			}
		}
	}
	f->direct = a;
	f->left = size - skip;
	f->try_at = f->direct_size < FIRST_TRY ? f->direct_size : FIRST_TRY;
	int rc = account(f, a, f->left);        /* what is announced counts, but is not allocated */
	if (rc == 0 && cn_assembly_room(a, have - skip, (size_t)(a->used + f->left)))
		rc = no_memory(f);
	if (rc)
		return rc;
	memcpy(a->blob->bytes + a->used, p + skip, have - skip);
	rc = arrived(f, have - skip, now, m);
	return rc ? rc : (int64_t)have;
}

uint8_t *cn_frame_target(struct cn_frame *f, size_t *room)
{
	struct cn_assembly *a = f->direct;
	*room = 0;
	if (f->error || !a)
		return NULL;
	size_t want = f->left < TURN ? (size_t)f->left : TURN;
	if (cn_assembly_room(a, want, (size_t)(a->used + f->left)))
		return NULL;
	*room = a->blob->size - a->used;
	if (*room > f->left)
		*room = (size_t)f->left;
	return a->blob->bytes + a->used;
}

int cn_frame_filled(struct cn_frame *f, size_t n, uint64_t now, struct cn_packet *m)
{
	*m = (struct cn_packet){ 0 };
	if (f->error)
		return f->error;
	if (!f->direct || n > f->left || n > f->direct->blob->size - f->direct->used)
		return CNODE_EBADARG;
	return arrived(f, n, now, m);
}

unsigned cn_frame_guess(const struct cn_frame *f, struct cn_frame_guess *guesses, unsigned most)
{
	const struct cn_assembly *a = f->direct ? f->direct : f->after;
	uint64_t left = f->direct ? f->left : 0;
	if (!a || f->error || a->each == 0 || a->each > CN_FRAME_GUESS || a->each + 18 <= f->direct_size || left > a->blob->size - a->used)
		return 0;
	uint8_t *at = a->blob->bytes + a->used + left;
	size_t room = a->blob->size - a->used - (size_t)left, each = (size_t)a->each;
	unsigned n = 0;
	for (; n < most && a->fragment > n + 2 && room >= each; n++, at += each, room -= each) {
		uint8_t *p = cn_store_u32(guesses[n].head, (uint32_t)(each + 18));
		*p++ = CN_VERSION;
		*p++ = NEXT;
		p = cn_store_u64(p, a->sequence);
		cn_store_u64(p, a->fragment - 1 - n);
		guesses[n].at = at;
		guesses[n].size = each;
	}
	return n;
}

int64_t cn_frame_feed(struct cn_frame *f, const void *bytes, size_t size, uint64_t now, struct cn_packet *m)
{
	const uint8_t *p = bytes;
	m->event = CN_FRAME_MORE;
	m->blob = NULL;
	m->payload = (cnode_term){ 0 };
	if (CN_UNLIKELY(f->error))
		return f->error;
	if (CN_UNLIKELY(f->busy)) {
		m->event = CN_FRAME_BUSY;
		return 0;
	}
	if (f->direct) {
		size_t n = f->left < size ? (size_t)f->left : size;
		if (cn_assembly_room(f->direct, n, (size_t)(f->direct->used + f->left)))
			return no_memory(f);
		if (n > 0)
			memcpy(f->direct->blob->bytes + f->direct->used, p, n);
		int rc = arrived(f, n, now, m);
		return rc ? rc : (int64_t)n;
	}
	if (size < 4)
		return 0;
	size_t packet = cn_load_u32(p);
	if (packet == 0) {
		m->event = CN_FRAME_TICK;
		return 4;
	}
	if (packet > f->message)
		return refuse(f, CNODE_ELIMIT, "a packet over the limit");
	if (CN_LIKELY(size - 4 >= packet)) {
		int rc = take_packet(f, p + 4, packet, now, m);
		return rc ? rc : (int64_t)(4 + packet);
	}
	if (packet <= f->direct_size || size < 4 + PEEK)
		return 0;
	int64_t n = begin(f, p + 4, size - 4, packet, now, m);
	return n < 0 ? n : n + 4;
}

/* ---- time ---- */

uint64_t cn_frame_due(const struct cn_frame *f)
{
	uint64_t due = CN_NEVER;
	for (uint32_t i = 0; i < f->open_count; i++)
		if (f->open[i]->progress + f->progress < due)
			due = f->open[i]->progress + f->progress;
	return due;
}

int cn_frame_expire(struct cn_frame *f, uint64_t now)
{
	if (f->error)
		return f->error;
	if (cn_frame_due(f) > now)
		return 0;
	return refuse(f, CNODE_ELIMIT, "a fragment sequence does not go on (fragment_timeout)");
}
