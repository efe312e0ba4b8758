/* SPDX-License-Identifier: Apache-2.0 */
/*
 * supervised: a program of one's own as the child of a BEAM supervisor. Whoever starts it
 * holds its standard input: the cookie comes through it, and when it is closed, because the
 * supervisor or its whole BEAM has ended, the node stops. On the BEAM side:
 *
 *     cnode_program:child_spec(#{node => 'mine@127.0.0.1', program => "./supervised", args => ["mine@127.0.0.1"],
 *                                ready => connect})
 */
#include <cnode/cnode.h>
#include <stdio.h>

static int where_call(cnode_process *self, void *state, cnode_from *from, cnode_term request)
{
	(void)state;
	if (cnode_scan(request, "where") == 0)
		return cnode_reply(from, "~z", cnode_node_name(cnode_process_node(self)));
	return cnode_reply(from, "{error,bad_request}");
}

static const cnode_behaviour where = { CNODE_BEHAVIOUR_INIT, .handle_call = where_call };

int main(int argc, char **argv)
{
	cnode_config cfg = CNODE_CONFIG_INIT;
	cnode_node *node = NULL;
	cfg.name = argc > 1 ? argv[1] : "mine@127.0.0.1";
	cfg.long_names = true;
	cfg.cookie_file = "-";          /* one line of standard input */
	cfg.stop_at_eof = true;         /* whoever holds it is gone: so are we */
	int rc = cnode_node_new(&cfg, &node);
	if (rc == 0)
		rc = cnode_factory_add(node, "where", &where, NULL, CNODE_ALL_NODES);
	if (rc == 0)
		rc = cnode_node_run(node);      /* until then, or SIGTERM */
	if (rc != 0)
		fprintf(stderr, "supervised: %s\n", node != NULL ? cnode_node_error(node) : cnode_strerror(rc));
	cnode_node_free(node);
	return rc != 0;
}
