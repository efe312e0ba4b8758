/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between libcnode's values and erl_interface's, for programs that use both. Everything
 * here is inline and compiled with the program's own ei, because ei's structs change
 * size between OTP releases; it is the only header of cnode that needs erlang-dev.
 */
#ifndef CNODE_ERL_INTERFACE_H
#define CNODE_ERL_INTERFACE_H

#include <ei.h>
#include <string.h>

#include "cnode/term.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A pid of ei's. 0, CNODE_EBADNAME. */
static inline int cnode_pid_from_ei(const erlang_pid *ei, cnode_pid *pid)
{
	memset(pid, 0, sizeof *pid);
	pid->id = ei->num;
	pid->serial = ei->serial;
	pid->creation = ei->creation;
	return cnode_name_of(ei->node, &pid->node);
}

/* 0, CNODE_ESTALE. */
static inline int cnode_pid_to_ei(cnode_pid pid, erlang_pid *ei)
{
	char text[CNODE_NAME_SIZE];
	int rc = cnode_name_text(pid.node, text);
	memset(ei, 0, sizeof *ei);
	if (rc != 0)
		return rc;
	if (strlen(text) >= sizeof ei->node)
		return CNODE_ETOOBIG;
	memcpy(ei->node, text, strlen(text) + 1);
	ei->num = pid.id;
	ei->serial = pid.serial;
	ei->creation = pid.creation;
	return 0;
}

/* 0, CNODE_EBADNAME, CNODE_EBADARG (no or too many words). */
static inline int cnode_ref_from_ei(const erlang_ref *ei, cnode_ref *ref)
{
	memset(ref, 0, sizeof *ref);
	if (ei->len < 1 || (size_t)ei->len > sizeof ref->id / sizeof ref->id[0])
		return CNODE_EBADARG;
	ref->words = (uint32_t)ei->len;
	for (int i = 0; i < ei->len; i++)
		ref->id[i] = ei->n[i];
	ref->creation = ei->creation;
	return cnode_name_of(ei->node, &ref->node);
}

/* 0, CNODE_ESTALE, CNODE_ETOOBIG (an ei before OTP 24 holds 3 words). */
static inline int cnode_ref_to_ei(cnode_ref ref, erlang_ref *ei)
{
	char text[CNODE_NAME_SIZE];
	int rc = cnode_name_text(ref.node, text);
	memset(ei, 0, sizeof *ei);
	if (rc != 0)
		return rc;
	if (strlen(text) >= sizeof ei->node || ref.words > sizeof ei->n / sizeof ei->n[0])
		return CNODE_ETOOBIG;
	memcpy(ei->node, text, strlen(text) + 1);
	ei->len = (int)ref.words;
	for (uint32_t i = 0; i < ref.words; i++)
		ei->n[i] = ref.id[i];
	ei->creation = ref.creation;
	return 0;
}

/* What an ei_x_buff holds (with or without version byte), verified. *term is yours. */
static inline int cnode_term_from_x(const ei_x_buff *x, cnode_term *term)
{
	return x->index < 0 ? CNODE_EBADARG
			    : cnode_term_from_bytes(x->buff, (size_t)x->index, term);
}

/* Appends the term to an ei_x_buff. 0, CNODE_ENOMEM, CNODE_ETOOBIG. */
static inline int cnode_term_to_x(cnode_term term, ei_x_buff *x)
{
	const char *bytes;
	int size;
	int rc = cnode_term_ei(term, &bytes, &size);
	if (rc != 0)
		return rc;
	return ei_x_append_buf(x, bytes, size) == 0 ? 0 : CNODE_ENOMEM;
}

#ifdef __cplusplus
}
#endif
#endif
