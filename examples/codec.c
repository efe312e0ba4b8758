/* SPDX-License-Identifier: Apache-2.0 */
/*
 * codec: work on bytes that may take long, in a callback. It delays nobody but its own
 * caller: each process of the factory works on a thread that is free, and a pool grows
 * when all are busy. Here runs of equal bytes are packed as pairs {length, byte}.
 *
 *     cnoded -sname c -load ./codec -allow codec
 *
 *     Pid = spawn_link('c@host', codec, start, []),
 *     {ok, Packed} = gen_server:call(Pid, {encode, Bytes}, infinity),
 *     {ok, Bytes} = gen_server:call(Pid, {decode, Packed}, infinity).
 */
#include <cnode/cnode.h>
#include <stdlib.h>
#include <string.h>

#define LIMIT ((size_t)64 << 20)        /* bytes of one result: what a small input could ask for */

static size_t encode(cnode_process *self, const unsigned char *in, size_t size, unsigned char *out)
{
	size_t n = 0;
	for (size_t i = 0; i < size && !cnode_cancelled(self);) {
		size_t run = 1;
		while (run < 255 && i + run < size && in[i + run] == in[i])
			run++;
		out[n++] = (unsigned char)run;
		out[n++] = in[i];
		i += run;
	}
	return n;
}

static size_t decoded_size(const unsigned char *in, size_t size)
{
	size_t n = 0;
	for (size_t i = 0; i + 1 < size && n <= LIMIT; i += 2)
		n += in[i];
	return n;
}

static void decode(const unsigned char *in, size_t size, unsigned char *out)
{
	for (size_t i = 0; i + 1 < size; i += 2) {
		memset(out, in[i + 1], in[i]);
		out += in[i];
	}
}

static int codec_init(cnode_process *self, void *state, const cnode_start *how)
{
	(void)self;
	(void)state;
	return cnode_scan(how->args, "[]");
}

static int codec_call(cnode_process *self, void *state, cnode_from *from, cnode_term request)
{
	const void *in;
	size_t size, made;
	(void)state;
	bool encodes = cnode_scan(request, "{encode,~b}", &in, &size) == 0;
	if (!encodes && cnode_scan(request, "{decode,~b}", &in, &size) != 0)
		return cnode_reply(from, "{error,bad_request}");
	if (!encodes && size % 2 != 0)
		return cnode_reply(from, "{error,bad_data}");
	size_t room = encodes ? 2 * size : decoded_size(in, size);
	if (room > LIMIT)
		return cnode_reply(from, "{error,too_big}");
	unsigned char *out = malloc(room + 1);
	if (out == NULL)
		return cnode_reply(from, "{error,enomem}");
	if (encodes) {
		made = encode(self, in, size, out);
	} else {
		decode(in, size, out);
		made = room;
	}
	/* The memory goes to the library as it is, and from there to free: no copy. */
	return cnode_reply(from, "{ok,~B}", out, made, free, out);
}

static const cnode_behaviour codec = {
	CNODE_BEHAVIOUR_INIT,
	.init = codec_init,
	.handle_call = codec_call,
};

static int start(cnode_node *node, void **state)
{
	(void)state;
	return cnode_factory_add(node, "codec", &codec, NULL, CNODE_NO_NODES);
}

CNODE_MODULE("codec", start, NULL)
