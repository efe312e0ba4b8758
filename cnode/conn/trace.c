/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What CNODE_TRACE=handshake and =frames print: one Erlang term for each message of a handshake
 * and each packet of a link. Challenges and digests are left out: with both, a cookie can be
 * guessed at leisure.
 */
#include "cnode/conn/inner.h"

#include <inttypes.h>
#include <stdio.h>

/* A peer's text as a quoted atom; what is not printable ASCII is a '?'. */
struct quoted {
	char text[300];
};

static const char *quote(struct quoted *q, const void *bytes, size_t size)
{
	const char *from = bytes;
	size_t n = 0;
	q->text[n++] = '\'';
	for (size_t i = 0; i < size && n < sizeof q->text - 3; i++)
		q->text[n++] = from[i] > ' ' && from[i] < 0x7f && from[i] != '\'' && from[i] != '\\' ? from[i] : '?';
	q->text[n++] = '\'';
	q->text[n] = 0;
	return q->text;
}

/* One message without its length. `ours` is true for what the side says that dialled. */
static void shake_text(char *text, size_t room, const uint8_t *bytes, size_t size, bool initiator)
{
	struct cn_rd r = cn_rd_init(bytes, size);
	struct quoted name;
	switch (cn_rd_u8(&r)) {
	case 'N': {
		uint64_t flags = cn_rd_u64(&r);
		if (!initiator)
			(void)cn_rd_u32(&r);    /* the challenge */
		uint32_t creation = cn_rd_u32(&r);
		uint16_t length = cn_rd_u16(&r);
		const void *at = cn_rd_bytes(&r, length);
		if (!r.err)
			snprintf(text, room, "{%s,%s,16#%" PRIx64 ",%u}", initiator ? "send_name" : "challenge",
				 quote(&name, at, length), flags, creation);
		break;
	}
	case 'n': {
		uint16_t version = cn_rd_u16(&r);
		uint32_t flags = cn_rd_u32(&r);
		if (!initiator)
			(void)cn_rd_u32(&r);
		size_t length = cn_rd_left(&r);
		const void *at = cn_rd_bytes(&r, length);
		if (!r.err)
			snprintf(text, room, "{%s,%s,16#%x,%u}", initiator ? "old_name" : "old_challenge", quote(&name, at, length),
				 flags, version);
		break;
	}
	case 's': {
		size_t length = cn_rd_left(&r);
		const void *at = cn_rd_bytes(&r, length);
		if (!r.err)
			snprintf(text, room, "{status,%s}", quote(&name, at, length));
		break;
	}
	case 'c':
		snprintf(text, room, "complement");
		break;
	case 'r':
		snprintf(text, room, "challenge_reply");
		break;
	case 'a':
		snprintf(text, room, "challenge_ack");
		break;
	default:
		snprintf(text, room, "{unknown,%zu}", size);
	}
}

void cn_trace_shake(struct cn_conn *c, bool out, const uint8_t *bytes, size_t size)
{
	struct cn_log *log = c->net->config.log;
	struct quoted peer;
	if (!cn_trace_on(log, CN_TRACE_HANDSHAKE))
		return;
	while (size >= 2) {
		char text[400] = "malformed";
		size_t length = cn_load_u16(bytes);
		if (length > size - 2)
			length = size - 2;
		shake_text(text, sizeof text, bytes + 2, length, out == c->dialled);
		cn_trace_line(log, "trace: {handshake,%s,%s,%s}", out ? "out" : "in", quote(&peer, c->peer, strlen(c->peer)), text);
		bytes += 2 + length;
		size -= 2 + length;
	}
}

void cn_trace_shake_end(struct cn_conn *c, int code)
{
	struct cn_log *log = c->net->config.log;
	struct quoted peer;
	if (cn_trace_on(log, CN_TRACE_HANDSHAKE))
		cn_trace_line(log, "trace: {handshake,done,%s,%s}", quote(&peer, c->peer, strlen(c->peer)), cnode_error_atom(code));
}

void cn_trace_frame(struct cn_conn *c, bool out, const char *what, uint64_t bytes)
{
	struct cn_log *log = c->net->config.log;
	struct quoted peer;
	if (cn_trace_on(log, CN_TRACE_FRAMES))
		cn_trace_line(log, "trace: {frame,%s,%s,%s,%" PRIu64 "}", out ? "out" : "in", quote(&peer, c->peer, strlen(c->peer)),
			      what, bytes);
}
