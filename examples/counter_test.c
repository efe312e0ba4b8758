/* SPDX-License-Identifier: Apache-2.0 */
/*
 * counter_test: a behaviour tested in its own program, without Erlang and without a
 * cluster. A node that has no name has no network either; everything else works.
 *
 *     cc counter_test.c $(pkg-config --cflags --libs cnode) -o counter_test && ./counter_test
 */
#include "counter.c"

#include <stdio.h>

static cnode_mailbox *box;      /* the process that this program calls from */
static int number, failures;

static void check(bool good, const char *sentence)
{
	if (!good)
		failures++;
	printf("%s %d - %s\n", good ? "ok" : "not ok", ++number, sentence);
}

/* Starts a counter and watches it. */
static cnode_pid start_counter(cnode_node *node, const char *arguments, cnode_ref *watch)
{
	cnode_pid pid = { 0 };
	cnode_term args;
	if (cnode_parse(arguments, &args, NULL) != 0)
		return pid;
	if (cnode_process_start(node, NULL, &counter, NULL, args, &pid) == 0)
		cnode_monitor(cnode_mailbox_process(box), pid, watch);
	cnode_term_drop(args);
	return pid;
}

/* True if the call gets this answer. */
static bool answers(cnode_pid pid, const char *request, const char *expected)
{
	cnode_term reply, wanted, asked;
	bool equal = false;
	if (cnode_parse(request, &asked, NULL) != 0)
		return false;
	int rc = cnode_call(box, pid, 5000, &reply, "~t", asked);
	cnode_term_drop(asked);
	if (rc != 0)
		return false;
	if (cnode_parse(expected, &wanted, NULL) == 0) {
		equal = cnode_term_equal(reply, wanted);
		cnode_term_drop(wanted);
	}
	cnode_term_drop(reply);
	return equal;
}

/* True if the next thing we hear is that a counter ended with this reason. */
static bool ends_with(cnode_ref watch, const char *reason)
{
	cnode_info down = { .size = sizeof down };
	cnode_term wanted;
	if (cnode_receive(box, &down, 5000) != 0 || down.kind != CNODE_DOWN || !cnode_ref_equal(down.ref, watch))
		return false;
	if (cnode_parse(reason, &wanted, NULL) != 0)
		return false;
	bool equal = cnode_term_equal(down.reason, wanted);
	cnode_term_drop(wanted);
	return equal;
}

int main(void)
{
	cnode_config cfg = CNODE_CONFIG_INIT;   /* no name */
	cnode_node *node = NULL;
	int rc = cnode_node_new(&cfg, &node);
	if (rc == 0)
		rc = cnode_node_start(node);
	if (rc == 0)
		rc = cnode_mailbox_open(node, NULL, &box);
	if (rc != 0) {
		fprintf(stderr, "counter_test: %s\n", node != NULL ? cnode_node_error(node) : cnode_strerror(rc));
		cnode_node_free(node);
		return 1;
	}
	cnode_process *self = cnode_mailbox_process(box);
	cnode_ref watch = { 0 };

	cnode_pid pid = start_counter(node, "[10]", &watch);
	check(answers(pid, "get", "10"), "starts with its argument");
	check(answers(pid, "{add,5}", "15"), "adds");
	check(answers(pid, "{add,-20}", "-5"), "adds negative numbers");
	check(answers(pid, "{add,9223372036854775807}", "9223372036854775802"), "adds up to what fits");
	check(answers(pid, "{add,9223372036854775807}", "{error,bad_request}"), "refuses what does not fit");
	check(answers(pid, "{add,one}", "{error,bad_request}"), "refuses what is no number");
	check(cnode_cast(self, pid, "{add,-2}") == 0 && answers(pid, "get", "9223372036854775800"), "takes casts");
	check(cnode_send(self, pid, "hello") == 0 && answers(pid, "get", "9223372036854775800"), "ignores other messages");
	check(cnode_cast(self, pid, "stop") == 0 && ends_with(watch, "normal"), "stops");

	pid = start_counter(node, "[0]", &watch);
	check(cnode_send(self, pid, "{exit,{shutdown,done}}") == 0 && ends_with(watch, "{shutdown,done}"),
	      "exits with the reason it is given");

	cnode_mailbox_close(box);
	cnode_node_free(node);
	printf("1..%d\n", number);
	return failures != 0;
}
