/* SPDX-License-Identifier: Apache-2.0 */
/* Rules about node names. Follows: dist_util.erl (is_allowed, is_pending), net_kernel.erl. */
#include "cnode/wire/wire.h"

#include <stdio.h>

bool cn_node_name_valid(const void *name, size_t size)
{
	const char *text = name;
	const char *at = size ? memchr(text, '@', size) : NULL;
	if (!at || at == text || at == text + size - 1)
		return false;
	if (memchr(at + 1, '@', (size_t)(text + size - at - 1)) || memchr(text, 0, size))
		return false;
	return cn_atom_valid(text, size);
}

bool cn_node_name_wins(const char *own, const char *peer)
{
	/* UTF-8 keeps the order of characters, so bytes compare as BEAM's atoms do. */
	return strcmp(own, peer) > 0;
}

void cn_node_name_dynamic(uint64_t random, const char *host, char name[CNODE_NAME_SIZE])
{
	char digits[14];
	char *p = digits + sizeof digits;
	*--p = 0;
	do {
		*--p = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[random % 36];
		random /= 36;
	} while (random);
	snprintf(name, CNODE_NAME_SIZE, "%s@%s", p, host);
}
