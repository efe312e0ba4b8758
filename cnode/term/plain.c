/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Terms as others can take them: plain copies without cache references (made at most once per
 * term and kept with its blob), and what goes out to a peer.
 *
 * A plain copy is also put right where BEAM nodes are more lenient than ei: lists that came in
 * parts become one, a list of no elements becomes its tail, and the Size of a fun is counted
 * anew (OTP 23 and later may write it too large; ei believes it).
 */
#include "cnode/term/walk.h"

#include <limits.h>

enum kind { OTHER, LIST, FUN };

struct level {
	uint64_t left;              /* terms */
	enum kind kind;
	size_t at;                  /* of its tag, in the copy */
};

struct copier {
	struct cn_buf out;
	const struct cn_atoms *atoms;
	const uint8_t *run; /* bytes from here to the one looked at are still to be copied */
	struct level *levels;
	size_t depth, room;
};

static void flush(struct copier *c, const uint8_t *to)
{
	cn_put(&c->out, c->run, (size_t)(to - c->run));
	c->run = to;
}

static void put_atom(struct copier *c, const uint8_t *p)
{
	if (*p != CN_ATOM_CACHE_REF)
		return;
	const struct cn_atom_text *a = &c->atoms->at[p[1]];
	flush(c, p);
	cn_put_atom(&c->out, a->text, a->size);
	c->run = p + 2;
}

/* The atom at the start of an identifier. */
static void put_node(struct copier *c, const uint8_t *p)
{
	put_atom(c, p + (*p == CN_NEWER_REFERENCE || *p == CN_NEW_REFERENCE ? 3 : 1));
}

static int enter(struct copier *c, struct level now)
{
	if (c->depth == c->room) {
		size_t room = c->room ? c->room * 2 : 32;
		struct level *levels = cn_realloc(c->levels, room * sizeof *levels);
		if (!levels)
			return CNODE_ENOMEM;
		c->levels = levels;
		c->room = room;
	}
	c->levels[c->depth++] = now;
	return 0;
}

static void close_level(struct copier *c, const struct level *l, const uint8_t *p)
{
	if (l->kind != FUN)
		return;
	flush(c, p);
	if (!c->out.err)
		cn_store_u32(c->out.data + l->at + 1, (uint32_t)(c->out.size - l->at - 1));
}

/* Only a list's tail is left. A list there goes on in the same level; true if it does. */
static bool join_tail(struct copier *c, struct level *l, const uint8_t **p)
{
	if (**p != CN_LIST)
		return false;
	flush(c, *p);
	if (!c->out.err) {
		uint8_t *count = c->out.data + l->at + 1;
		cn_store_u32(count, cn_load_u32(count) + cn_load_u32(*p + 1));
	}
	l->left = (uint64_t)cn_load_u32(*p + 1) + 1;
	*p += 5;
	c->run = *p;
	return true;
}

static int copy(struct copier *c, const uint8_t *p)
{
	struct level now = { .left = 1 };
	c->run = p;
	for (;;) {
		while (now.left == 0) {
			close_level(c, &now, p);
			if (c->depth == 0) {
				flush(c, p);
				return c->out.err;
			}
			now = c->levels[--c->depth];
		}
		if (c->out.err)
			return c->out.err;
		if (*p == CN_LIST && cn_load_u32(p + 1) == 0) {
			flush(c, p);
			p += 5;
			c->run = p;
			continue;
		}
		if (now.kind == LIST && now.left == 1 && join_tail(c, &now, &p))
			continue;

		now.left--;
		struct cn_head h = cn_head_at(p);
		switch (h.type) {
		case CNODE_TYPE_ATOM:
			put_atom(c, p);
			break;
		case CNODE_TYPE_PID:
		case CNODE_TYPE_PORT:
		case CNODE_TYPE_REF:
			put_node(c, p);
			break;
		case CNODE_TYPE_BINARY:
			if (*p == CN_HANDED) {
				struct cn_bits bits = cn_bits_at(p);
				flush(c, p);
				cn_put(&c->out, p + 1, 5);
				cn_put(&c->out, bits.bytes, bits.size);
				c->run = p + h.size;
			}
			break;
		case CNODE_TYPE_NIL:
			if (*p == CN_STRING) {
				flush(c, p);
				cn_put_u8(&c->out, CN_NIL);
				c->run = p + h.size;
			}
			break;
		default:
			break;
		}
		if (h.count == 0) {
			p += h.size;
			continue;
		}
		int rc = enter(c, now);
		if (rc)
			return rc;
		flush(c, p);
		now.left = h.count;
		now.kind = *p == CN_LIST ? LIST : *p == CN_NEW_FUN ? FUN : OTHER;
		now.at = c->out.size;
		p += h.size;
	}
}

int cn_term_plain(cnode_term term, const uint8_t **bytes, size_t *size)
{
	if (!term.owner_ && !cn_term_is_none(term))
		return CNODE_ESTALE;
	if (!term.atoms_ && !(term.owner_ && term.owner_->flags & CN_BLOB_ODD)) {
		*bytes = term.bytes_;
		*size = term.size_;
		return 0;
	}

	const struct cn_plain *plain = cn_plain_find(term.owner_, term.bytes_, CN_PLAIN_TERM);
	if (!plain) {
		struct copier c = { .atoms = term.atoms_ };
		size_t head = offsetof(struct cn_plain, bytes);
		cn_buf_init(&c.out, 0);
		uint8_t *start = cn_buf_reserve(&c.out, head + term.size_ + 64);
		c.out.size = start ? head : 0;
		int rc = copy(&c, term.bytes_);
		cn_free(c.levels);
		if (rc) {
			cn_buf_fini(&c.out);
			return rc;
		}
		size_t all;
		struct cn_plain *made = (struct cn_plain *)(void *)cn_buf_take(&c.out, &all);
		made->of = term.bytes_;
		made->what = CN_PLAIN_TERM;
		made->size = all - head;
		plain = cn_plain_add(term.owner_, made);
	}
	*bytes = plain->bytes;
	*size = plain->size;
	return 0;
}

int cnode_term_ei(cnode_term term, const char **bytes, int *size)
{
	const uint8_t *plain;
	size_t plain_size;
	int rc = cn_term_plain(term, &plain, &plain_size);
	if (rc)
		return rc;
	if (plain_size > INT_MAX)
		return CNODE_ETOOBIG;
	*bytes = (const char *)plain;
	*size = (int)plain_size;
	return 0;
}

/* ---- what goes out ---- */

int cn_term_outgoing(cnode_term term, const struct cn_term_limits *limits,
		     struct cn_atom_sites *sites, const uint8_t **bytes, size_t *size,
		     const char **reason)
{
	struct cn_term_limits strict = limits ? *limits : (struct cn_term_limits){ 0 };
	const struct cn_atoms *atoms = NULL;
	const char *why = NULL;
	int rc = 0;

	strict.flags |= CN_TERM_OUTBOUND;
	if (strict.bytes == 0 || strict.bytes > CN_TERM_BYTES_MAX)
		strict.bytes = CN_TERM_BYTES_MAX;
	*bytes = term.bytes_;
	*size = term.size_;
	if (cn_term_is_none(term)) {
		why = "no term";
		rc = CNODE_EBADTERM;
	} else if (term.atoms_ && sites && term.owner_ && !(term.owner_->flags & CN_BLOB_ODD)) {
		atoms = term.atoms_;
	} else {
		rc = cn_term_plain(term, bytes, size);
	}

	while (rc == 0) {
		if (*size > strict.bytes) {
			why = "larger than the limit of a message";
			rc = CNODE_ETOOBIG;
			break;
		}
		struct cn_verify v;
		cn_verify_init(&v, &strict, atoms ? atoms->count : 0);
		v.table = atoms;
		v.sites = sites;
		if (sites) {
			sites->count = 0;
			sites->full = false;
		}
		rc = cn_verify_all(&v, *bytes, *size);
		why = v.reason;
		if (rc || !atoms || !sites->full)
			break;
		/* More atoms than sites: some cache reference may not have one. */
		atoms = NULL;
		rc = cn_term_plain(term, bytes, size);
	}
	if (reason)
		*reason = why ? why : rc ? cnode_strerror(rc) : NULL;
	return rc;
}
