/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The echo contract as a plain loop on erl_interface, written as OTP's own guide writes
 * one: accept, receive, decode, send. One peer, no checks of what comes in.
 *
 *     ei_echo NAME@127.0.0.1 COOKIE
 *
 * Prints "ready" once a peer can connect; ends when the peer has gone.
 */
#include <arpa/inet.h>
#include <ei.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int serve(ei_cnode *node, int fd)
{
	ei_x_buff in, out;
	unsigned long sunk = 0;
	if (ei_x_new(&in) != 0 || ei_x_new(&out) != 0)
		return 1;
	(void)node;
	for (;;) {
		erlang_msg msg;
		erlang_pid from;
		erlang_ref ref;
		char tag[MAXATOMLEN_UTF8];
		int arity, version, index = 0;
		in.index = 0;
		int got = ei_xreceive_msg(fd, &msg, &in);
		if (got == ERL_TICK)
			continue;
		if (got != ERL_MSG)
			return 0;
		if (msg.msgtype != ERL_SEND && msg.msgtype != ERL_REG_SEND)
			continue;
		if (ei_decode_version(in.buff, &index, &version) != 0 || ei_decode_tuple_header(in.buff, &index, &arity) != 0
		    || ei_decode_atom(in.buff, &index, tag) != 0)
			continue;
		if (arity == 2 && strcmp(tag, "sink") == 0) {
			sunk++;
			continue;
		}
		if (ei_decode_pid(in.buff, &index, &from) != 0 || ei_decode_ref(in.buff, &index, &ref) != 0)
			continue;
		out.index = 0;
		ei_x_encode_version(&out);
		ei_x_encode_tuple_header(&out, 3);
		if (strcmp(tag, "ping") == 0) {
			ei_x_encode_atom(&out, "pong");
			ei_x_encode_ref(&out, &ref);
			ei_x_append_buf(&out, in.buff + index, in.index - index);
		} else {
			ei_x_encode_atom(&out, "synced");
			ei_x_encode_ref(&out, &ref);
			ei_x_encode_ulong(&out, sunk);
		}
		if (ei_send(fd, &from, out.buff, out.index) != 0)
			return 1;
	}
}

int main(int argc, char **argv)
{
	ei_cnode node;
	ErlConnect peer;
	struct in_addr host;
	struct sockaddr_in at = { .sin_family = AF_INET };
	socklen_t size = sizeof at;
	char alive[64];
	if (argc != 3 || strcspn(argv[1], "@") >= sizeof alive) {
		fprintf(stderr, "usage: ei_echo NAME@127.0.0.1 COOKIE\n");
		return 2;
	}
	memcpy(alive, argv[1], strcspn(argv[1], "@"));
	alive[strcspn(argv[1], "@")] = 0;
	host.s_addr = htonl(INADDR_LOOPBACK);
	at.sin_addr = host;
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	if (ei_init() != 0 || ei_connect_xinit(&node, "127.0.0.1", alive, argv[1], &host, argv[2], 1) != 0 || listener < 0
	    || bind(listener, (struct sockaddr *)&at, sizeof at) != 0 || listen(listener, 5) != 0
	    || getsockname(listener, (struct sockaddr *)&at, &size) != 0 || ei_publish(&node, ntohs(at.sin_port)) < 0) {
		fprintf(stderr, "ei_echo: cannot start\n");
		return 1;
	}
	printf("ready\n");
	fflush(stdout);
	int fd = ei_accept(&node, listener, &peer);
	if (fd < 0) {
		fprintf(stderr, "ei_echo: cannot accept\n");
		return 1;
	}
	return serve(&node, fd);
}
