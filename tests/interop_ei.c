/* SPDX-License-Identifier: Apache-2.0 */
/* A C node on plain ei, as its users write them, that talks to ours: `interop_ei COOKIE NODE`. Prints TAP lines without a plan. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ei.h>

static int fd, failures;
static ei_cnode ec;

static void result(int good, const char *sentence)
{
	printf("%s - %s\n", good ? "ok" : "not ok", sentence);
	failures += !good;
}

/* {Op, Self, Ref, Args} to conformance or a puppet; the answer {Ref, Result} is read into x, from index *at on. */
static int order(const char *op, erlang_pid *whom, ei_x_buff *args, ei_x_buff *x, int *at)
{
	static erlang_ref ref;
	erlang_ref got;
	erlang_msg msg;
	ei_x_buff m;
	int arity, version;
	ei_make_ref(&ec, &ref);
	ei_x_new_with_version(&m);
	ei_x_encode_tuple_header(&m, 4);
	ei_x_encode_atom(&m, op);
	ei_x_encode_pid(&m, ei_self(&ec));
	ei_x_encode_ref(&m, &ref);
	ei_x_append(&m, args);
	int rc = whom ? ei_send(fd, whom, m.buff, m.index) : ei_reg_send(&ec, fd, "conformance", m.buff, m.index);
	ei_x_free(&m);
	while (rc == 0 && (rc = ei_xreceive_msg_tmo(fd, &msg, x, 8000)) >= 0) {
		*at = 0;
		if (rc == ERL_MSG && ei_decode_version(x->buff, at, &version) == 0 && ei_decode_tuple_header(x->buff, at, &arity) == 0 &&
		    arity == 2 && ei_decode_ref(x->buff, at, &got) == 0 && ei_cmp_refs(&got, &ref) == 0)
			return 0;
		rc = 0;
	}
	return -1;
}

static int next(ei_x_buff *x, erlang_msg *msg)
{
	int rc;
	do
		rc = ei_xreceive_msg_tmo(fd, msg, x, 8000);
	while (rc == ERL_TICK);
	return rc == ERL_MSG ? (int)msg->msgtype : -1;
}

int main(int argc, char *argv[])
{
	ei_x_buff x, none, args;
	erlang_pid puppet;
	erlang_msg msg;
	char atom[MAXATOMLEN];
	int at = 0, version, arity;
	long value = 0;
	if (argc != 3 || ei_init() != 0 || ei_connect_xinit(&ec, "127.0.0.1", "ei", "ei@127.0.0.1", NULL, argv[1], 1) < 0)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	fd = ei_connect(&ec, argv[2]);
	result(fd >= 0, "a program on plain ei connects");
	if (fd < 0)
		return 1;
	ei_x_new(&x);
	ei_x_new(&none);
	ei_x_encode_empty_list(&none);

	int rc = ei_rpc(&ec, fd, "erlang", "node", none.buff, none.index, &x);
	result(rc >= 0 && ei_decode_atom(x.buff, &at, atom) == 0 && strcmp(atom, argv[2]) == 0, "ei_rpc of erlang:node() gives the node's name");

	rc = order("spawn", NULL, &none, &x, &at);
	result(rc == 0 && ei_decode_pid(x.buff, &at, &puppet) == 0, "it gets a pid in a reply");

	/* A gen_server call by hand: {'$gen_call', {Self, Tag}, Request} to the registered echo. */
	at = 0;
	x.index = 0;
	ei_x_new_with_version(&args);
	ei_x_encode_tuple_header(&args, 3);
	ei_x_encode_atom(&args, "$gen_call");
	ei_x_encode_tuple_header(&args, 2);
	ei_x_encode_pid(&args, ei_self(&ec));
	ei_x_encode_long(&args, 17);
	ei_x_encode_atom(&args, "question");
	rc = ei_reg_send(&ec, fd, "echo", args.buff, args.index);
	ei_x_free(&args);
	char word[MAXATOMLEN] = "", reason[MAXATOMLEN] = "";
	int two = 0;
	rc = rc == 0 ? next(&x, &msg) : -1;
	at = 0;
	result(rc >= 0 && ei_decode_version(x.buff, &at, &version) == 0 && ei_decode_tuple_header(x.buff, &at, &arity) == 0 && arity == 2 &&
		       ei_decode_long(x.buff, &at, &value) == 0 && value == 17 && ei_decode_tuple_header(x.buff, &at, &two) == 0 &&
		       ei_decode_atom(x.buff, &at, word) == 0 && ei_decode_atom(x.buff, &at, reason) == 0 && strcmp(word, "error") == 0,
	       "a gen_server call with a number for a tag is answered with that tag");

	/* ei cannot link by itself, but it can be linked: the LINK comes, and the EXIT when the process ends. */
	ei_x_new(&args);
	ei_x_encode_list_header(&args, 1);
	ei_x_encode_pid(&args, ei_self(&ec));
	ei_x_encode_empty_list(&args);
	ei_x_buff link;
	ei_x_new_with_version(&link);
	ei_x_encode_tuple_header(&link, 4);
	ei_x_encode_atom(&link, "link");
	ei_x_encode_pid(&link, ei_self(&ec));
	erlang_ref ref;
	ei_make_ref(&ec, &ref);
	ei_x_encode_ref(&link, &ref);
	ei_x_append(&link, &args);
	ei_send(fd, &puppet, link.buff, link.index);
	ei_x_free(&link);
	ei_x_free(&args);
	rc = next(&x, &msg);
	result(rc == ERL_LINK && ei_cmp_pids(&msg.from, &puppet) == 0, "a process links with it: LINK comes first");
	rc = next(&x, &msg);
	result(rc == ERL_SEND, "then the answer");
	ei_x_new(&args);
	ei_x_encode_list_header(&args, 1);
	ei_x_encode_atom(&args, "so_be_it");
	ei_x_encode_empty_list(&args);
	rc = order("exit", &puppet, &args, &x, &at);
	ei_x_free(&args);
	x.index = 0;
	rc = rc == 0 ? next(&x, &msg) : -1;
	result((rc == ERL_EXIT || rc == ERL_EXIT2) && ei_cmp_pids(&msg.from, &puppet) == 0, "the process ends: EXIT comes");
	ei_x_free(&x);
	ei_x_free(&none);
	ei_close_connection(fd);
	return failures != 0;
}
