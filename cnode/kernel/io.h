/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of kernel: the serving side of the Erlang I/O protocol. */
#ifndef CN_KERNEL_IO_H
#define CN_KERNEL_IO_H

#include "cnode/kernel/kernel.h"

/* Appends chardata (unicode or latin1) to `out` as UTF-8. False: it is none. Out of memory is in out->err. */
bool cn_io_chars(struct cn_buf *out, cnode_term chars, bool latin1);
/*
 * io_lib:format(Format, Args), on one line where ~p would break lines. False: they do not fit
 * together, or there is a control sequence that it does not know. What is wider than its few
 * bytes of format adds up: give `out` a limit where the format is somebody else's.
 */
#define CN_IO_FORMAT_MAX ((size_t)64 << 20)     /* what one request of a peer may make of a format */
bool cn_io_format(struct cn_buf *out, cnode_term format, cnode_term args);

/* Takes what was written, UTF-8. 0 or a code, which ends the process. */
typedef int cn_io_put(cnode_process *self, void *state, const char *text, size_t size);
/*
 * Serves {io_request, From, ReplyAs, Request} if the message is one: output by `put`; input is
 * enotsup or, for get_line and the like, eof. 0 or a code that ends the process.
 */
int cn_io_serve(cnode_process *self, void *state, cnode_term message, cn_io_put *put);

#endif
