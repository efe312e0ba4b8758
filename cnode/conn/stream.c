/* SPDX-License-Identifier: Apache-2.0 */
/* The plain stream: a socket's bytes as they are. */
#include "cnode/conn/conn.h"

static int plain_read(struct cn_stream *s, const struct iovec *parts, int count, size_t *moved)
{
	return cn_socket_read(s->fd, parts, count, moved);
}

static int plain_write(struct cn_stream *s, const struct iovec *parts, int count, size_t *moved)
{
	return cn_socket_write(s->fd, parts, count, moved);
}

static void plain_shutdown(struct cn_stream *s)
{
	cn_socket_shutdown(s->fd);
}

static void plain_close(struct cn_stream *s)
{
	(void)s;
}

const struct cn_stream_ops cn_stream_plain = { plain_read, plain_write, plain_shutdown, plain_close };
