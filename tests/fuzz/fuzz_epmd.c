/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz: everything that is read of epmd's protocol, from both sides. */
#include <stdlib.h>

#include "cnode/wire/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cn_epmd_request request;
	struct cn_epmd_node node;
	struct cn_rd names;
	uint32_t creation;
	uint16_t port;
	for (int closed = 0; closed < 2; closed++) {
		if (cn_epmd_read_alive2(data, size, closed, &creation) > (int)size ||
		    cn_epmd_read_port2(data, size, closed, &node) > (int)size)
			abort();
		if (cn_epmd_read_names(data, size, closed, &port, &names) > 0)
			while (cn_epmd_next_name(&names, &node) > 0)
				if (node.name_size == 0)
					abort();
	}
	struct cn_epmd_registry *r = cn_epmd_registry_new(4);
	for (int n; r && size && (n = cn_epmd_read_request(data, size, &request)) > 0; data += n, size -= (size_t)n) {
		if (request.op == CN_EPMD_ALIVE2 && cn_epmd_registry_add(r, &request.node, &creation) == 0 &&
		    (creation < 4 || !cn_epmd_registry_find(r, request.node.name, request.node.name_size)))
			abort();
		if (request.op == CN_EPMD_STOP)
			cn_epmd_registry_remove(r, request.node.name, request.node.name_size);
	}
	cn_epmd_registry_free(r);
	return 0;
}
