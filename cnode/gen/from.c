/* SPDX-License-Identifier: Apache-2.0 */
/* Whom to answer, and answering: gen:reply/2. */
#include "cnode/gen/inner.h"

struct cnode_from *from_new(struct gen *g)
{
	struct cnode_from *from = cn_calloc(1, sizeof *from);
	if (from)
		from->gen = g;
	return from;
}

bool from_read(struct cnode_from *from, cnode_term term)
{
	cnode_reader r = cnode_read(term);
	if (cnode_read_type(&r) != CNODE_TYPE_TUPLE || cnode_read_tuple(&r) != 2 || cnode_read_type(&r) != CNODE_TYPE_PID)
		return false;
	from->pid = cnode_read_pid(&r);
	from->tag = cnode_read_term(&r);
	from->refs = 1;
	from->kept = from->answered = false;
	return r.error == 0;
}

static void unkeep(struct cnode_from *from)
{
	*(from->prev ? &from->prev->next : &from->gen->kept) = from->next;
	if (from->next)
		from->next->prev = from->prev;
	cnode_term_drop(from->tag);
	cn_free(from);
}

void from_release(struct cnode_from *from)
{
	from->refs--;
	if (from->kept && from->refs == 0)
		unkeep(from);
}

void from_drop_all(struct gen *g)
{
	while (g->kept)
		unkeep(g->kept);
	cn_free(g->from);
	g->from = NULL;
}

int cnode_from_keep(cnode_from *from, cnode_from **kept)
{
	if (!from->kept) {
		/* The next call gets another one; the callback goes on with this. */
		struct cnode_from *next = from_new(from->gen);
		cnode_term tag;
		if (!next)
			return CNODE_ENOMEM;
		if (cnode_term_keep(from->tag, &tag) != 0) {
			cn_free(next);
			return CNODE_ENOMEM;
		}
		from->tag = tag;
		from->kept = true;
		from->prev = NULL;
		from->next = from->gen->kept;
		if (from->next)
			from->next->prev = from;
		from->gen->kept = from;
		from->gen->from = next;
	}
	from->refs++;
	*kept = from;
	return 0;
}

void cnode_from_drop(cnode_from *from)
{
	if (from)
		from_release(from);
}

cnode_pid cnode_from_pid(const cnode_from *from)
{
	return from->pid;
}

/* The alias in [alias|Ref] or [[alias|Ref]|_]. */
static bool alias_of(cnode_term tag, cnode_ref *alias)
{
	cnode_reader r = cnode_read(tag);
	for (int level = 0; level < 2; level++) {
		if (cnode_read_type(&r) != CNODE_TYPE_LIST || cnode_read_list(&r) != 1)
			return false;
		if (cnode_read_type(&r) == CNODE_TYPE_ATOM) {
			if (!cnode_read_is_atom(&r, "alias") || cnode_read_type(&r) != CNODE_TYPE_REF)
				return false;
			*alias = cnode_read_ref(&r);
			return r.error == 0;
		}
	}
	return false;
}

bool from_is_26(const struct cnode_from *from)
{
	cnode_ref alias;
	return alias_of(from->tag, &alias) && alias.words == 5;
}

/* Sends {Tag, Reply} to the alias in the tag, or to the caller where there is none, or his node has no aliases. */
static int send_to(struct cnode_process *self, cnode_pid pid, cnode_term tag, struct cnode_builder *b)
{
	cnode_term message;
	int rc = cnode_builder_term(b, &message);
	if (rc != 0)
		return rc;
	struct cn_target to = { .pid = pid };
	cnode_ref alias;
	if (alias_of(tag, &alias) && !CN_MUTANT(reply_past_alias) && cn_procs_has_alias(cn_process_procs(self), alias.node))
		to = (struct cn_target){ .alias = &alias };
	rc = cn_process_send(self, &to, message, 0);
	cnode_term_drop(message);
	struct gen *g = rc != 0 && answered(rc) == 0 ? gen_of(self) : NULL;
	if (g)
		g->undelivered = rc;
	return rc;
}

static int send_reply(struct cnode_from *from, struct cnode_builder *b)
{
	int rc = send_to(from->gen->self, from->pid, from->tag, b);
	if (rc == 0 || rc == CNODE_EEXITED)
		from->answered = true;
	return rc;
}

static void begin_reply(struct cnode_builder *b, const struct cnode_from *from)
{
	cn_builder_init(b);
	cnode_build_tuple(b, 2);
	if (CN_MUTANT(reply_tag_lost))
		cnode_build_pid(b, from->pid);
	else
		cnode_build_term(b, from->tag);
}

int cnode_reply_term(cnode_from *from, cnode_term reply)
{
	if (from->answered)
		return CNODE_ESTATE;
	struct cnode_builder b;
	begin_reply(&b, from);
	cnode_build_term(&b, reply);
	int rc = send_reply(from, &b);
	cn_builder_fini(&b);
	return rc;
}

int cnode_reply(cnode_from *from, const char *format, ...)
{
	struct cnode_builder b;
	va_list args;
	va_start(args, format);
	if (from->answered) {
		int rc = cn_format_refused(CNODE_ESTATE, format, args);
		va_end(args);
		return rc;
	}
	begin_reply(&b, from);
	cn_build_vformat(&b, format, args);
	va_end(args);
	int rc = send_reply(from, &b);
	cn_builder_fini(&b);
	return rc;
}

int cnode_from_term(const cnode_from *from, cnode_term *term)
{
	return cnode_format(term, "{~p,~t}", from->pid, from->tag);
}

int cnode_reply_to(cnode_process *self, cnode_term from, const char *format, ...)
{
	struct cnode_from whom;
	struct cnode_builder b;
	va_list args;
	va_start(args, format);
	if (!from_read(&whom, from)) {
		int rc = cn_format_refused(CNODE_EBADARG, format, args);
		va_end(args);
		return rc;
	}
	begin_reply(&b, &whom);
	cn_build_vformat(&b, format, args);
	va_end(args);
	int rc = send_to(self, whom.pid, whom.tag, &b);
	cn_builder_fini(&b);
	return rc;
}
