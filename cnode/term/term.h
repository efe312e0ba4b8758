/* SPDX-License-Identifier: Apache-2.0 */
/*
 * term: verified terms. Beyond the public cnode/term.h: the verifier, the memory behind
 * terms, atom tables of messages, what goes out to a peer, the builder that can live on
 * the stack, and the table of node names.
 *
 * Nothing here does I/O. A cnode_term is made from what cn_verify_* accepted only (or from
 * parts of it): that is what lets every reader trust counts and lengths. Bytes handed to
 * a function here are without the version byte 131 unless it says otherwise.
 *
 * Follows: erl_ext_dist; erts/emulator/beam/external.c for what BEAM nodes accept.
 */
#ifndef CN_TERM_H
#define CN_TERM_H

#include "cnode/base/base.h"
#include "cnode/term.h"

/* ---- tags of the external term format ---- */

#define CN_TAG_MAP(X) \
	X(CN_SMALL_INTEGER, 97) X(CN_INTEGER, 98) X(CN_SMALL_BIG, 110) X(CN_LARGE_BIG, 111) \
	X(CN_NEW_FLOAT, 70) X(CN_FLOAT, 99) \
	X(CN_ATOM, 100) X(CN_SMALL_ATOM, 115) X(CN_ATOM_UTF8, 118) X(CN_SMALL_ATOM_UTF8, 119) \
	X(CN_ATOM_CACHE_REF, 82) \
	X(CN_SMALL_TUPLE, 104) X(CN_LARGE_TUPLE, 105) X(CN_NIL, 106) X(CN_STRING, 107) \
	X(CN_LIST, 108) X(CN_MAP, 116) X(CN_BINARY, 109) X(CN_BIT_BINARY, 77) \
	X(CN_NEW_PID, 88) X(CN_PID, 103) X(CN_NEW_PORT, 89) X(CN_V4_PORT, 120) X(CN_PORT, 102) \
	X(CN_NEWER_REFERENCE, 90) X(CN_NEW_REFERENCE, 114) X(CN_REFERENCE, 101) \
	X(CN_NEW_FUN, 112) X(CN_EXPORT, 113) X(CN_RECORD, 67)
enum cn_tag {
#define CN_TAG_ENUM_(name, value) name = value,
	CN_TAG_MAP(CN_TAG_ENUM_)
#undef CN_TAG_ENUM_
	CN_VERSION = 131,
};

/*
 * No tag of the external format: a binary whose bytes are the program's own (cnode_build_handed). Behind it
 * stand the head it has on the wire (CN_BINARY and the size) and the bytes' address. The builder alone writes
 * it, and no verifier takes it from elsewhere.
 */
#define CN_HANDED 255
#define CN_HANDED_SIZE (1 + 5 + sizeof(void *))
#define CN_HANDED_LEAST 8192          /* smaller ones are copied, as the wire would copy them, and given back at once */

#define CN_ATOM_CHARS 255          /* characters in an atom, at most */
#define CN_ATOM_BYTES (255 * 4)    /* and so many bytes of UTF-8 */

/* ---- atoms of a message: what its cache references (82 'R') mean ---- */

struct cn_atom_text {
	const uint8_t *text;        /* UTF-8, not terminated, inside the table's own memory */
	uint16_t size;
};

struct cn_atoms {
	uint16_t count;             /* at most 255 */
	struct cn_atom_text at[];
};

/* True if it is strict UTF-8 of at most 255 characters: what an atom may be. Empty is fine. */
bool cn_atom_valid(const void *text, size_t size);
/* Writes one character (no surrogate, at most 0x10ffff); returns its bytes. */
unsigned cn_utf8_put(uint32_t c, uint8_t p[4]);
/* Characters of strict UTF-8, or SIZE_MAX if it is none. */
size_t cn_utf8_length(const uint8_t *text, size_t size);
/*
 * Latin-1 to UTF-8 and back, for the handshake's names. Both return the bytes written, without
 * terminator, or negative: CNODE_ETOOBIG (does not fit), CNODE_EBADNAME (no UTF-8, or no Latin-1).
 */
int cn_latin1_to_utf8(const void *latin1, size_t size, char *utf8, size_t room);
int cn_utf8_to_latin1(const void *utf8, size_t size, char *latin1, size_t room);

/* ---- counted memory behind terms ---- */

struct cn_plain;

struct cn_blob {
	_Atomic uint32_t refs;
	uint32_t flags;                   /* CN_BLOB_…; set before the blob is shared */
	size_t size;                      /* of bytes */
	size_t room;                      /* bytes there is memory for */
	struct cn_atoms *atoms;           /* in the same allocation; NULL if there are none */
	_Atomic(struct cn_plain *) plain; /* copies made for cnode_term_ei, freed with the blob */
	_Atomic uint32_t spare;           /* where, from the blob on, memory for anybody is; 0: there is none, or it is taken */
	_Alignas(8) uint8_t bytes[];
};

/*
 * Some term in it is not what ei (or a BEAM) can take as it is: a list in parts ([1|[2|[]]] as
 * nested LIST_EXT: ei_skip_term would recurse for each part), or a fun (its Size is not trusted).
 */
#define CN_BLOB_ODD 1u
#define CN_BLOB_STATIC 2u             /* not counted, never freed */
#define CN_BLOB_HANDED 4u             /* has binaries of CN_HANDED; it is odd, too */

/* One reference, bytes not initialised; NULL when out of memory. Any thread. */
struct cn_blob *cn_blob_new(size_t size);
/*
 * The same with an atom table for `count` atoms whose texts take text_size bytes together,
 * all in one allocation. atoms->count is 0; cn_blob_add_atom fills it before the blob is shared.
 */
struct cn_blob *cn_blob_new_atoms(size_t size, uint16_t count, size_t text_size);
/* Copies one more atom in. The caller keeps to count and text_size, and gives a valid text only. */
void cn_blob_add_atom(struct cn_blob *b, const void *text, uint16_t size);
/*
 * The same for a message that came in: with a copy of these atoms, but of the texts only those that bit i % 64 of `used` is set
 * for, as cn_verify's; and with CN_BLOB_SPARE bytes that cn_term_spare gives to whoever asks first.
 */
struct cn_blob *cn_blob_new_message(size_t size, const struct cn_atom_text *atoms, unsigned count, uint64_t used);
#define CN_BLOB_SPARE 72u             /* what a mailbox needs for a message */
/* Memory as aligned as a pointer is, good as long as the term's blob; NULL: it has none (any more). Any thread. */
void *cn_term_spare(cnode_term term);
/*
 * A blob without atoms, of which nobody else has a reference, with room for `size` bytes (more or
 * fewer). Returns it, moved perhaps; NULL when out of memory (b is as before).
 */
struct cn_blob *cn_blob_resize(struct cn_blob *b, size_t size);
struct cn_blob *cn_blob_ref(struct cn_blob *b);   /* takes NULL */
void cn_blob_unref(struct cn_blob *b);            /* takes NULL */

/* ---- the verifier ---- */

#define CN_TERM_DEPTH 1024            /* default nesting; keeps every walk's stack small */
#define CN_TERM_DEPTH_MAX 4096        /* the most that a config may ask for */
#define CN_TERM_BYTES_MAX UINT64_C(0x7fffffff)   /* BEAM nodes take no message of 2 GiB */

/* Nesting is what tuples, list elements, maps and fun environments add; a list's tail adds none. */
struct cn_term_limits {
	uint64_t bytes;             /* it cannot be longer (message, limit); 0: CN_TERM_BYTES_MAX */
	uint32_t depth;             /* 0: CN_TERM_DEPTH */
	uint8_t flags;              /* CN_TERM_… */
	uint8_t ref_words;          /* outbound: the longest reference the peer decodes; 0: 5 */
};

/*
 * Without CN_TERM_OUTBOUND: what BEAM nodes may send. With it: what no BEAM of OTP 23 to 29
 * drops a connection for; that refuses in addition: empty BIT_BINARY, equal map keys, old-style
 * identifiers with a creation over 3, references without words, and:
 */
#define CN_TERM_OUTBOUND 1u
#define CN_TERM_RECORDS 2u            /* outbound: native records are allowed (peer is OTP 29) */
#define CN_TERM_NARROW 4u             /* outbound: OTP 23: pids of 15 + 13 bits, no V4_PORT */
#define CN_TERM_HANDED 8u             /* what a builder has just written, or a term of it: CN_HANDED is known */

enum { CN_VERIFY_DONE = 0, CN_VERIFY_MORE = 1, CN_VERIFY_BUDGET = 2 };

#define CN_VERIFY_FRAMES 32
#define CN_VERIFY_BUDGET_DEFAULT 65536

struct cn_verify {
	struct cn_term_limits limits;
	uint16_t atoms;             /* cache references below this are known */
	uint8_t odd;                /* as CN_BLOB_ODD */
	uint8_t cached;             /* cache references were seen */
	uint8_t maps;               /* maps of two or more keys were seen */
	uint64_t used;              /* bit i % 64: there was a reference to atom i */
	int state;                  /* what the last step returned; CN_VERIFY_MORE at first */
	uint32_t depth;             /* levels in use */
	uint32_t room;              /* levels that fit */
	uint64_t left;              /* elements left on the innermost level */
	uint64_t pending;           /* terms to come, all levels: never more than bytes left */
	size_t offset;              /* bytes that are good so far; the term's size when done */
	uint32_t fun;               /* 1 + depth of the outermost fun being verified; 0: in none */
	const char *reason;         /* static text for the log, once it failed */
	const struct cn_atoms *table;       /* outgoing: for the texts of sites */
	struct cn_atom_sites *sites;
	uint64_t *heap;             /* the levels, once they do not fit into small */
	uint64_t small[CN_VERIFY_FRAMES];
};

/*
 * Starts a term. `atom_count`: atoms of the message's table (0: cache references are refused).
 * Ends with cn_verify_fini, whatever the steps return. limits NULL: inbound defaults.
 */
void cn_verify_init(struct cn_verify *v, const struct cn_term_limits *limits, unsigned atom_count);
void cn_verify_fini(struct cn_verify *v);
/*
 * Goes on. `bytes`: where the term starts (it may have moved since the last step), of which
 * `available` have arrived; at most `budget` bytes of work (0: no limit; contents of binaries
 * are no work).
 * CN_VERIFY_DONE: v->offset is the term's size, bytes behind it were not looked at.
 * CN_VERIFY_MORE: call again when more bytes are there. CN_VERIFY_BUDGET: call again.
 * CNODE_EBADTERM with v->reason and v->offset; CNODE_ELIMIT (depth), the same; CNODE_ENOMEM.
 * When available has reached limits.bytes, there is no MORE: the term is cut, CNODE_EBADTERM.
 */
int cn_verify_step(struct cn_verify *v, const void *bytes, size_t available, size_t budget);
/*
 * All at once, for complete bytes, with cn_verify_fini: 0 with v->offset (the term's size), or the
 * errors of cn_verify_step.
 */
int cn_verify_all(struct cn_verify *v, const void *bytes, size_t available);

/* ---- terms from bytes ---- */

/*
 * The term at blob->bytes + offset that `v` has just accepted. Borrows the blob: the term is
 * good as long as the caller's reference; who passes his reference on passes a term that is
 * "yours" (cnode_term_drop). Call it before the blob is shared with another thread.
 */
cnode_term cn_term_of_verified(struct cn_blob *blob, size_t offset, const struct cn_verify *v);
/*
 * The same for memory that is not counted (a receive buffer). Such a term may be read, compared,
 * printed and kept (which copies), not given to user code: what needs memory of its own answers
 * CNODE_ESTALE (cnode_term_ei, cn_term_outgoing, ~s and ~t of parts of a list).
 */
cnode_term cn_term_borrowed(const void *bytes, const struct cn_atoms *atoms,
			    const struct cn_verify *v);
/* A term that lives for ever, from bytes in a static array that are known to be right. */
cnode_term cn_term_static(const void *bytes, size_t size);
static inline bool cn_term_is_none(cnode_term t) { return t.size_ == 0; }
/* True if it is this atom. */
bool cn_term_is_atom(cnode_term t, const char *text);
/* The text of an atom, borrowed, not terminated; NULL if it is no atom or Latin-1 beyond ASCII. */
const char *cn_term_atom(cnode_term t, size_t *size);
/*
 * For log lines: as cnode_term_print, but what does not fit is not even looked at, so that the work
 * is bounded by `size` (at least 8) and not by what a peer has sent; "..." stands for what was cut.
 * Returns the bytes written.
 */
size_t cn_term_brief(cnode_term t, char *text, size_t size);
/*
 * As cnode_term_text, to a depth: io_lib's ~P, where what lies deeper or further behind is "..."; `plain`: its ~W, lists and
 * binaries are never shown as text.
 */
#define CN_ANY_DEPTH UINT32_MAX
char *cn_term_text_to(cnode_term term, bool plain, uint32_t depth);
/*
 * The digits of an integer of any size in a base of 2 to 36, without a sign: io_lib's ~.16b. Beyond 4096 bytes, in a base
 * that is no power of two, it is 16#…, as in cnode_term_text. 0, CNODE_EBADARG: no integer. out->err: CNODE_ENOMEM.
 */
int cn_term_digits(struct cn_buf *out, cnode_term term, unsigned base, bool upper, bool *negative);
/*
 * Unpacks; CNODE_EBADARG if it is none, CNODE_EBADNAME if its node is not name@host, CNODE_ENOMEM.
 */
int cn_term_pid(cnode_term t, cnode_pid *pid);
int cn_term_ref(cnode_term t, cnode_ref *ref);

/* ---- what goes out ---- */

/*
 * An atom in outgoing bytes, to be replaced by a cache reference. Atoms inside of funs are left
 * out.
 */
struct cn_atom_site {
	uint32_t offset;            /* of its tag */
	uint16_t size;              /* bytes it takes there, with its tag */
	uint16_t text_size;
	const uint8_t *text;        /* UTF-8, borrowed from the term */
};
#define CN_ATOM_SITES 255
struct cn_atom_sites {
	uint32_t count;
	bool full;                  /* there were more than CN_ATOM_SITES */
	struct cn_atom_site at[CN_ATOM_SITES];
};

/*
 * The bytes of a term as they may go to a peer, verified against `limits` (CN_TERM_OUTBOUND is
 * implied). *bytes is borrowed from the term. With sites: where its atoms are; a site whose tag
 * byte is CN_ATOM_CACHE_REF must be replaced (by a reference or by the atom in full), the others
 * may be. Without sites (NULL) there are no cache references in *bytes.
 * 0; CNODE_EBADTERM, CNODE_ELIMIT, CNODE_ETOOBIG with *reason (static text; may be NULL);
 * CNODE_ENOMEM. Any thread.
 */
int cn_term_outgoing(cnode_term term, const struct cn_term_limits *limits,
		     struct cn_atom_sites *sites, const uint8_t **bytes, size_t *size,
		     const char **reason);

/*
 * The term without cache references, lists in parts or doubtful funs, as cnode_term_ei gives it
 * but of any size: borrowed from the term. 0, CNODE_ENOMEM, CNODE_ESTATE (of cn_term_borrowed).
 */
int cn_term_plain(cnode_term term, const uint8_t **bytes, size_t *size);

/* ---- binaries that were handed over ---- */

struct cn_handed {
	size_t at;                  /* of its tag, from the blob's first byte */
	const uint8_t *bytes;
	size_t size;
	cnode_release_fn *release;  /* may be NULL */
	void *context;
};

/* The bytes of a term on the wire, run by run. A small value; a copy goes on from where it was copied. */
struct cn_runs {
	const uint8_t *at;          /* the rest of the present run */
	size_t left;
	enum { CN_RUN_TERM, CN_RUN_HEAD, CN_RUN_HANDED } kind;
	const uint8_t *base, *end;  /* the blob's first byte; where the term ends */
	const struct cn_handed *next;       /* the present one, or the next to come */
	uint32_t count;             /* of those */
};

static inline bool cn_term_is_handed(cnode_term t)
{
	return t.owner_ && t.owner_->flags & CN_BLOB_HANDED;
}
/*
 * As cn_term_outgoing without sites, for a term that is cn_term_is_handed: *size bytes come by cn_runs_next. They and
 * the runs are borrowed from the term.
 */
int cn_term_outgoing_runs(cnode_term term, const struct cn_term_limits *limits, struct cn_runs *runs, size_t *size,
			  const char **reason);
/* The next bytes, at most `most` (not 0): false when there are no more. */
bool cn_runs_next(struct cn_runs *runs, size_t most, const uint8_t **bytes, size_t *size);
/* The bytes behind a term, those that were handed over too: what a queue counts it with. */
size_t cn_term_weight(cnode_term term);

/* An atom in plain external format; utf8 is a valid one. Errors: the buffer's. */
void cn_put_atom(struct cn_buf *b, const void *utf8, size_t size);

/* ---- the builder on the stack: cn_builder_init, cnode_builder_term, cn_builder_fini ---- */

enum cn_build_kind {
	CN_BUILD_TUPLE,             /* of known arity: ends with its last element */
	CN_BUILD_OPEN_TUPLE,        /* ended by whoever began it */
	CN_BUILD_LIST,
	CN_BUILD_TAIL,              /* a list whose tail is to come: ends with it */
	CN_BUILD_OPEN_TAIL,         /* the same, ended by whoever began it */
	CN_BUILD_MAP,
};
struct cn_build_frame {
	enum cn_build_kind kind;
	uint32_t count;             /* elements so far (keys and values each) */
	uint32_t want;              /* CN_BUILD_TUPLE: elements in all */
	size_t at;                  /* offset of the tag byte */
};
#define CN_BUILD_FRAMES 8
/* Not to be moved while it is in use. */
struct cnode_builder {
	struct cn_blob *blob;       /* being filled; its size is the room */
	size_t size;                /* bytes in use */
	int err;                    /* once set, nothing is built */
	bool done;                  /* the term is complete */
	uint32_t depth;
	uint32_t room;
	struct cn_build_frame *frames;
	struct cn_plain *handed;    /* of CN_PLAIN_HANDED: struct cn_handed in the order of their places; NULL: none */
	uint32_t handed_count, handed_room;
	uint64_t handed_bytes;      /* of all of them */
	struct cn_build_frame small[CN_BUILD_FRAMES];
};
void cn_builder_init(struct cnode_builder *b);
void cn_builder_fini(struct cnode_builder *b);
void cn_build_atom(struct cnode_builder *b, const void *utf8, size_t size);
/* A proper list of these bytes, as STRING_EXT where it fits. */
void cn_build_bytes(struct cnode_builder *b, const void *bytes, size_t size);
/* Takes what `~B` hands over in every case, also when the builder has an error. */
void cn_build_vformat(struct cnode_builder *b, const char *format, va_list args);
/* For functions that fail before they come to their format: gives back what its arguments hand over. Returns rc. */
int cn_format_refused(int rc, const char *format, va_list args);

/* ---- node names ---- */

/*
 * As cnode_name_of, for text that is not terminated. 0, CNODE_EBADNAME, CNODE_ENOMEM,
 * CNODE_ESYSLIMIT. Any thread.
 */
int cn_name_of(const void *text, size_t size, cnode_name *name);
/* The text as cnode_name_text gives it; returns its size, or CNODE_ESTALE. Any thread. */
int cn_name_text(cnode_name name, char text[CNODE_NAME_SIZE]);
/*
 * A pinned name is never forgotten: own node, connected peers. Counted: as many unpins as pins.
 * 0, CNODE_ESTALE. Any thread.
 */
int cn_name_pin(cnode_name name);
void cn_name_unpin(cnode_name name);

#endif
