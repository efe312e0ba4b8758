/* SPDX-License-Identifier: Apache-2.0 */
/* Output to the group leader: the asking side of the Erlang I/O protocol. */
#include "cnode/proc/inner.h"

#include <stdio.h>

/*
 * The reply goes to the root pid, which is no process: nobody waits for it, and it would only
 * lie in the mailbox.
 */
static int put_chars(struct cnode_process *self, const char *text, size_t size)
{
	cnode_ref ref = cn_procs_make_ref(self->procs);
	struct cn_target leader = { .pid = cnode_group_leader(self) };
	cnode_term request;
	int rc = cnode_format(&request, "{io_request,~p,~r,{put_chars,~a,~b}}", cn_procs_root(self->procs), ref,
			      cn_utf8_length((const uint8_t *)text, size) != SIZE_MAX ? "unicode" : "latin1", text, size);
	if (rc != 0)
		return rc;
	rc = cn_process_send(self, &leader, request, 0);
	cnode_term_drop(request);
	return rc;
}

int cnode_vprintf(cnode_process *self, const char *format, va_list args)
{
	char small[512];
	va_list again;
	va_copy(again, args);
	int size = vsnprintf(small, sizeof small, format, args);
	int rc = CNODE_EFORMAT;
	if (CN_MUTANT(print_lost)) {
		rc = 0;
	} else if (size >= 0 && (size_t)size < sizeof small) {
		rc = put_chars(self, small, (size_t)size);
	} else if (size >= 0) {
		char *text = cn_malloc((size_t)size + 1);
		rc = CNODE_ENOMEM;
		if (text) {
			vsnprintf(text, (size_t)size + 1, format, again);
			rc = put_chars(self, text, (size_t)size);
			cn_free(text);
		}
	}
	va_end(again);
	return rc;
}

int cnode_printf(cnode_process *self, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int rc = cnode_vprintf(self, format, args);
	va_end(args);
	return rc;
}
