/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Erlang terms. A cnode_term can only be made by libcnode's verifier, from a peer's
 * bytes or from what a program builds, so whoever holds one can read it without fear.
 *
 *   read     cnode_scan (by format), cnode_reader (by cursor), cnode_term_ei (with ei)
 *   build    cnode_format (by format), cnode_builder (piece by piece), cnode_parse (from text)
 *
 * Format language, for building and (where marked s) for scanning. White space between
 * tokens means nothing.
 *
 *   {A,B}  [A,B]  [A|T]  #{K := V}     tuple, list, map (in a map K => V is the same)   s
 *   foo  'Foo bar'                     atom: itself                                     s
 *   42  -7  3.5  "text"  <<"text">>    integer, float, charlist, binary: itself         s
 *   _                                  any term, not stored                             s only
 *   ~q   int64_t              s int64_t *            ~Q  uint64_t          s uint64_t *
 *   ~l   long                 s long *               ~i  int               s int *
 *   ~f   double               s double * (integers are converted)
 *   ~a   const char *, UTF-8  s cnode_atom *         (256 bytes × 4, copied)
 *   ~s   const char * as charlist                    s const char ** + size_t *: a charlist
 *        of bytes, or a binary; borrowed from the term where possible
 *   ~z   const char * as UTF-8 binary                s const char ** + size_t *: as ~s
 *   ~b   const void * + size_t: binary               s const void ** + size_t *: borrowed
 *   ~B   const void * + size_t + cnode_release_fn * + void *: binary, handed over (cnode_build_handed);
 *        given back in every case, also by a function that returns an error
 *   ~p   cnode_pid            s cnode_pid *          ~r  cnode_ref         s cnode_ref *
 *   ~t   cnode_term           s cnode_term *: borrowed from the term scanned
 *
 * Atoms, numbers and strings are written as in Erlang source (16#ff, $a, "a\n", <<1,2:4>>,
 * <<"text"/utf8>>, fun m:f/1), but that reserved words other than `fun` need no quotes. <<"text">>
 * is a byte per character, as in Erlang. In a pattern, 1 is not 1.0; a map matches if it has the
 * keys given, which must be literals. A pattern has at most 64 directives and is nested at most 64
 * deep.
 *
 * A program's terms obey the limits of the external format: atoms of at most 255
 * characters, finite floats, tuples of fewer than 2^24 elements. What breaks them is
 * CNODE_EBADTERM here, and never reaches a peer.
 *
 * Every function may be called from any thread, as long as one builder or reader is used
 * by one thread at a time. Since 0.1. Follows: erl_ext_dist (External Term Format).
 */
#ifndef CNODE_TERM_H
#define CNODE_TERM_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cnode/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * A verified term. A small value to be copied at will; the bytes belong to whoever gave
 * it (each function that returns one says whether it is borrowed or yours). The members
 * are libcnode's own.
 */
typedef struct cnode_term {
	const unsigned char *bytes_;        /* without the version byte 131 */
	size_t size_;
	const struct cn_atoms *atoms_;      /* what cache references mean; NULL: there are none */
	struct cn_blob *owner_;             /* counted memory behind it; NULL: static */
} cnode_term;

/* One atom's text: UTF-8, terminated. An atom has at most 255 characters. */
typedef struct cnode_atom {
	size_t size;                        /* bytes, without the terminator */
	char text[255 * 4 + 1];
} cnode_atom;

/*
 * A node's name as a number, so that identifiers are plain values. Names of the own node
 * and of connected nodes keep their number; those of others may be forgotten when more
 * than 65,536 are known: then the functions that need the text return CNODE_ESTALE.
 */
typedef uint64_t cnode_name;

/* A pid, NEW_PID_EXT. Zeroed it is no pid at all (cnode_pid_is_none). */
typedef struct cnode_pid {
	cnode_name node;
	uint32_t id;
	uint32_t serial;
	uint32_t creation;
} cnode_pid;

/* A reference or alias, NEWER_REFERENCE_EXT: 1 to 5 words. Zeroed it is none. */
typedef struct cnode_ref {
	cnode_name node;
	uint32_t creation;
	uint32_t words;
	uint32_t id[5];
} cnode_ref;

#define CNODE_NAME_SIZE (255 * 4 + 1)       /* holds any node name with its terminator */

/* The number of a node name ("a@host"). CNODE_EBADNAME if not one '@' stands between two texts. */
CNODE_API int cnode_name_of(const char *text, cnode_name *name);
/* The text of a number; CNODE_ESTALE when it was forgotten (text is then ""). */
CNODE_API int cnode_name_text(cnode_name name, char text[CNODE_NAME_SIZE]);

static inline bool cnode_pid_equal(cnode_pid a, cnode_pid b)
{
	return a.id == b.id && a.serial == b.serial && a.creation == b.creation && a.node == b.node;
}
static inline bool cnode_pid_is_none(cnode_pid p) { return p.node == 0; }
CNODE_API bool cnode_ref_equal(const cnode_ref *a, const cnode_ref *b);

enum cnode_type {
	CNODE_TYPE_NONE = 0,                /* past the end */
	CNODE_TYPE_INTEGER,                 /* any size; cnode_read_int64 tells if it fits */
	CNODE_TYPE_FLOAT,
	CNODE_TYPE_ATOM,
	CNODE_TYPE_REF,
	CNODE_TYPE_FUN,                     /* local or external (fun m:f/a) */
	CNODE_TYPE_PORT,
	CNODE_TYPE_PID,
	CNODE_TYPE_TUPLE,
	CNODE_TYPE_MAP,
	CNODE_TYPE_NIL,                     /* [] */
	CNODE_TYPE_LIST,                    /* a non-empty list, also one sent as STRING_EXT */
	CNODE_TYPE_BINARY,
	CNODE_TYPE_BITSTRING,               /* its length is no multiple of 8 bits */
	CNODE_TYPE_RECORD,                  /* native record, OTP 29 */
};

/*
 * Gives bytes that were handed over back (cnode_build_handed). Called once, by any thread, with locks of the library
 * held: like the allocator's free it must not block, nor call a function of the library. What free does, taking
 * one from a counter or writing to an eventfd is fine. Since 0.2.
 */
typedef void cnode_release_fn(void *context);

/* ---- whole terms ---- */

CNODE_API enum cnode_type cnode_term_type(cnode_term term);

/*
 * Makes a term outlive its giver: counts a reference or copies. *kept is yours (cnode_term_drop).
 * 0, CNODE_ENOMEM.
 */
CNODE_API int cnode_term_keep(cnode_term term, cnode_term *kept);
/* Gives a term that is yours back. A zeroed term is fine. */
CNODE_API void cnode_term_drop(cnode_term term);

/*
 * The term in plain external format without version byte: *bytes may be walked with
 * ei_decode_* from index 0. Borrowed, valid as long as the term; copied on the first call
 * if the term has atom cache references or binaries that were handed over. 0, CNODE_ENOMEM, CNODE_ETOOBIG (over INT_MAX).
 */
CNODE_API int cnode_term_ei(cnode_term term, const char **bytes, int *size);

/*
 * A term from external format, with or without the version byte: verified and copied.
 * *term is yours. 0, CNODE_EBADTERM (also when bytes are left over), CNODE_ENOMEM.
 */
CNODE_API int cnode_term_from_bytes(const void *bytes, size_t size, cnode_term *term);

/*
 * Erlang's order of terms: -1, 0 (also 1 and 1.0) or 1. No term comes before every term. It needs
 * no memory that could lack, and some stack for nested maps: 650 KiB at the default limit of 1,024.
 */
CNODE_API int cnode_term_compare(cnode_term a, cnode_term b);
/* Erlang's =:=, that of OTP 27 and later: 0.0 is not -0.0. */
CNODE_API bool cnode_term_equal(cnode_term a, cnode_term b);
/*
 * The same number for equal terms (cnode_term_equal), for tables of the program's own: all 64 bits are
 * equally good. It has a secret key that each run of a program draws anew, so that nobody who sends terms
 * can choose some that meet in one bucket: it is not erlang:phash2/1, and nothing to be kept or sent. Since 0.2.
 */
CNODE_API uint64_t cnode_term_hash(cnode_term term);

/*
 * Writes the term as Erlang text (as io:format("~tp") on one line), as snprintf does: returns
 * the length it would have; at most size - 1 bytes and a terminator are written. A pid is
 * <node.id.serial>, a reference #Ref<node.words>, a port #Port<node.id>, a local fun
 * #Fun<module.index.uniq>; integers of more than 4,096 bytes are written as 16#…. Lists and
 * binaries are shown as text where Erlang does so by default: when all their characters are
 * printable Latin-1.
 */
CNODE_API size_t cnode_term_print(cnode_term term, char *text, size_t size);
/* The same as a string of yours (free with cnode_free); NULL when out of memory. */
CNODE_API char *cnode_term_text(cnode_term term);
CNODE_API void cnode_free(void *p);

/*
 * A term from Erlang text ("{add, 5}."; the full stop may be left out, % comments are skipped).
 * Identifiers (<0.1.0>, #Ref<…>) have no literals. *term is yours.
 * 0; CNODE_EBADARG with *error_at (may be NULL) at the offending byte; CNODE_ENOMEM.
 */
CNODE_API int cnode_parse(const char *text, cnode_term *term, size_t *error_at);

/* ---- by format ---- */

/*
 * 0; CNODE_EBADARG if the term does not match (nothing is stored then); CNODE_EFORMAT; CNODE_ENOMEM
 * or CNODE_ESYSLIMIT (no room for a node's name). Directives store in the order in which they
 * stand.
 */
CNODE_API int cnode_scan(cnode_term term, const char *format, ...);
CNODE_API int cnode_vscan(cnode_term term, const char *format, va_list args);
/*
 * *term is yours. 0, CNODE_EFORMAT, CNODE_EBADTERM, CNODE_EBADARG (a NULL, or a zeroed pid,
 * reference or term), CNODE_ESTALE, CNODE_ENOMEM.
 */
CNODE_API int cnode_format(cnode_term *term, const char *format, ...);
CNODE_API int cnode_vformat(cnode_term *term, const char *format, va_list args);

/* ---- by cursor: after the first mismatch every read fails, `error` stays: look at it once ---- */

typedef struct cnode_reader {
	int error;                          /* 0, CNODE_EBADARG, CNODE_ENOMEM, CNODE_ESYSLIMIT */
	cnode_term term_;
	const unsigned char *at_;
	const unsigned char *end_;
	size_t string_left_;                /* of a STRING_EXT: elements and [] not yet read */
} cnode_reader;

CNODE_API cnode_reader cnode_read(cnode_term term);
/* The type of the next term; CNODE_TYPE_NONE at the end. */
CNODE_API enum cnode_type cnode_read_type(const cnode_reader *r);
/* Integers that do not fit are a mismatch. */
CNODE_API int64_t cnode_read_int64(cnode_reader *r);
CNODE_API uint64_t cnode_read_uint64(cnode_reader *r);
/* Integers are converted. */
CNODE_API double cnode_read_double(cnode_reader *r);
/*
 * Borrowed UTF-8 text, not terminated; *size bytes. NULL on mismatch, also for an atom that came as
 * Latin-1 beyond ASCII, as no node since OTP 23 sends it (~a takes it).
 */
CNODE_API const char *cnode_read_atom(cnode_reader *r, size_t *size);
/* Reads an atom and tells if it is this one. Another atom is no mismatch. */
CNODE_API bool cnode_read_is_atom(cnode_reader *r, const char *text);
CNODE_API const void *cnode_read_binary(cnode_reader *r, size_t *size);
/*
 * Reads fun Module:Function/Arity. Of a local fun *function is "": its module and arity are all
 * that means something outside of the node that made it. False on mismatch. Since 0.2.
 */
CNODE_API bool cnode_read_fun(cnode_reader *r, cnode_atom *module, cnode_atom *function, unsigned *arity);
CNODE_API cnode_pid cnode_read_pid(cnode_reader *r);
CNODE_API cnode_ref cnode_read_ref(cnode_reader *r);
/* Enters a tuple: its elements are read next. Returns the arity. */
CNODE_API size_t cnode_read_tuple(cnode_reader *r);
/*
 * Enters a list, or the next part of one: returns how many elements come next; behind them stands
 * the tail. 0: it was [], nothing follows. Nearly always the tail is [], but it may be another
 * part, so read a proper list so: while ((n = cnode_read_list(&r)) > 0) while (n--) …
 */
CNODE_API size_t cnode_read_list(cnode_reader *r);
/* Enters a map: that many pairs of key and value come next. */
CNODE_API size_t cnode_read_map(cnode_reader *r);
/* The next term as it is, borrowed. */
CNODE_API cnode_term cnode_read_term(cnode_reader *r);

/* ---- piece by piece: after the first error every call does nothing, and _term tells it ---- */

typedef struct cnode_builder cnode_builder;

/* NULL when out of memory. */
CNODE_API cnode_builder *cnode_builder_new(void);
CNODE_API void cnode_builder_free(cnode_builder *b);
CNODE_API void cnode_build_int64(cnode_builder *b, int64_t v);
CNODE_API void cnode_build_uint64(cnode_builder *b, uint64_t v);
CNODE_API void cnode_build_double(cnode_builder *b, double v);
CNODE_API void cnode_build_atom(cnode_builder *b, const char *utf8);
CNODE_API void cnode_build_bool(cnode_builder *b, bool v);
CNODE_API void cnode_build_string(cnode_builder *b, const char *utf8);   /* a charlist */
CNODE_API void cnode_build_binary(cnode_builder *b, const void *bytes, size_t size);
/*
 * A binary of bytes that are handed over instead of copied, on their way to another node up to the socket. They must
 * not change any more; release(context) gives them back when no term has them and they are written: once, whatever
 * happens, also if the builder has or gets an error, or the term is never sent. At once for fewer than 8,192 bytes,
 * which are copied. release may be NULL (bytes that live for ever). `free` will do, with the memory as context. Since 0.2.
 */
CNODE_API void cnode_build_handed(cnode_builder *b, const void *bytes, size_t size, cnode_release_fn *release, void *context);
CNODE_API void cnode_build_pid(cnode_builder *b, cnode_pid pid);
CNODE_API void cnode_build_ref(cnode_builder *b, cnode_ref ref);
CNODE_API void cnode_build_tuple(cnode_builder *b, size_t arity);        /* its elements follow */
/* A list whose length is not known yet: elements follow, then cnode_build_list_end. */
CNODE_API void cnode_build_list(cnode_builder *b);
CNODE_API void cnode_build_list_end(cnode_builder *b);                   /* a proper list */
CNODE_API void cnode_build_list_tail(cnode_builder *b);         /* the next term is the tail */
/* A map: keys and values follow, alternating, then cnode_build_map_end. Equal keys are an error. */
CNODE_API void cnode_build_map(cnode_builder *b);
CNODE_API void cnode_build_map_end(cnode_builder *b);
CNODE_API void cnode_build_term(cnode_builder *b, cnode_term term);      /* copies */
CNODE_API void cnode_build_format(cnode_builder *b, const char *format, ...);
/*
 * Ends the term: *term is yours, the builder is empty again, also after an error. 0, CNODE_EBADTERM
 * (also when it is not complete, or nested deeper than 1,024), CNODE_EBADARG, CNODE_EFORMAT,
 * CNODE_ESTALE, CNODE_ENOMEM.
 */
CNODE_API int cnode_builder_term(cnode_builder *b, cnode_term *term);

#ifdef __cplusplus
}
#endif
#endif
