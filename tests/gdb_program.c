/* SPDX-License-Identifier: Apache-2.0 */
/* What gdb.t looks at: a node with a mailbox in which three messages lie. */
#include <stdio.h>

#include <cnode/cnode.h>

__attribute__((noinline)) void stop_here(void);
__attribute__((noinline)) void stop_here(void)
{
	__asm__ volatile("" ::: "memory");
}

int main(void)
{
	cnode_config cfg = CNODE_CONFIG_INIT;
	cnode_node *node = NULL;
	cnode_mailbox *shelf = NULL;
	int rc = cnode_node_new(&cfg, &node);
	if (rc == 0)
		rc = cnode_node_start(node);
	if (rc == 0)
		rc = cnode_mailbox_open(node, "shelf", &shelf);
	cnode_process *self = rc == 0 ? cnode_mailbox_process(shelf) : NULL;
	if (rc == 0)
		rc = cnode_send(self, cnode_self(self), "{hello,1,-2,\"text\",<<\"binary\">>}");
	if (rc == 0)
		rc = cnode_send(self, cnode_self(self), "#{key => [1.5|tail], 'Other Key' => ~p}", cnode_self(self));
	if (rc == 0)
		rc = cnode_send(self, cnode_self(self), "123456789012345678901234567890");
	if (rc != 0)
		fprintf(stderr, "%s\n", cnode_strerror(rc));
	stop_here();
	cnode_mailbox_close(shelf);
	cnode_node_free(node);
	return rc != 0;
}
