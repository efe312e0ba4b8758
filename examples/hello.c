/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hello: a whole program that is an Erlang node.
 *
 *     cc hello.c $(pkg-config --cflags --libs cnode) -o hello
 *     ./hello hello@127.0.0.1 [COOKIE]
 *
 * and then, in erl -name e@127.0.0.1:
 *
 *     Pid = spawn('hello@127.0.0.1', hello, start, [<<"Joe">>]),
 *     gen_server:call(Pid, greet).
 */
#include <cnode/cnode.h>
#include <stdio.h>
#include <string.h>

struct hello { char name[64]; int64_t greeted; };   /* one per process, zeroed */

static int hello_init(cnode_process *self, void *state, const cnode_start *how)
{
	struct hello *h = state; const char *name; size_t size;
	(void)self;
	int rc = cnode_scan(how->args, "[~z]", &name, &size);
	if (rc != 0 || size >= sizeof h->name)
		return CNODE_EBADARG;                    /* the spawn fails with badarg */
	memcpy(h->name, name, size);
	return 0;
}

static int hello_call(cnode_process *self, void *state, cnode_from *from, cnode_term request)
{
	struct hello *h = state;
	(void)self;
	if (cnode_scan(request, "greet") == 0)
		return cnode_reply(from, "{hello,~z,~q}", h->name, ++h->greeted);
	return cnode_reply(from, "{error,bad_request}");
}

static const cnode_behaviour hello = { CNODE_BEHAVIOUR_INIT,
	.state_size = sizeof(struct hello), .init = hello_init, .handle_call = hello_call };

int main(int argc, char **argv)
{
	cnode_config cfg = CNODE_CONFIG_INIT;
	cnode_node *node = NULL;
	cfg.name = argc > 1 ? argv[1] : "hello@127.0.0.1";
	cfg.long_names = true;
	cfg.cookie = argc > 2 ? argv[2] : NULL;          /* NULL: ~/.erlang.cookie */
	int rc = cnode_node_new(&cfg, &node);
	if (rc == 0)
		rc = cnode_factory_add(node, "hello", &hello, NULL, CNODE_ALL_NODES);
	if (rc == 0)
		rc = cnode_node_run(node);               /* until SIGINT or SIGTERM */
	if (rc != 0)
		fprintf(stderr, "hello: %s\n", node != NULL ? cnode_node_error(node) : cnode_strerror(rc));
	cnode_node_free(node);
	return rc != 0;
}
