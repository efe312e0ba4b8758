/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crc: the CRC-32 of binaries (that of zlib), computed beside the BEAM instead of in it. A call {crc32,Bytes} is
 * answered with {ok,Number}; each process of the factory works on a thread of its own while it does.
 */
#include <cnode/cnode.h>

static uint32_t table[256];

static void fill_table(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;
		for (int bit = 0; bit < 8; bit++)
			c = c & 1 ? 0xedb88320u ^ (c >> 1) : c >> 1;
		table[i] = c;
	}
}

static uint32_t crc32(const unsigned char *bytes, size_t size)
{
	uint32_t c = 0xffffffffu;
	for (size_t i = 0; i < size; i++)
		c = table[(c ^ bytes[i]) & 0xff] ^ (c >> 8);
	return c ^ 0xffffffffu;
}

static int crc_init(cnode_process *self, void *state, const cnode_start *how)
{
	(void)self;
	(void)state;
	return cnode_scan(how->args, "[]");
}

static int crc_call(cnode_process *self, void *state, cnode_from *from, cnode_term request)
{
	const void *bytes;
	size_t size;
	(void)self;
	(void)state;
	if (cnode_scan(request, "{crc32,~b}", &bytes, &size) == 0)
		return cnode_reply(from, "{ok,~q}", (int64_t)crc32(bytes, size));
	return cnode_reply(from, "{error,bad_request}");
}

static const cnode_behaviour crc = { CNODE_BEHAVIOUR_INIT, .init = crc_init, .handle_call = crc_call };

static int start(cnode_node *node, void **state)
{
	(void)state;
	fill_table();
	return cnode_factory_add(node, "crc", &crc, NULL, CNODE_NO_NODES);
}

CNODE_MODULE("crc", start, NULL)
