/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node that reads what a BEAM node sends and drops it, without a look: how fast the sender is,
 * with the flags that cnode negotiates (atom cache, fragments). No receiver can have more.
 *
 *     drop NAME@127.0.0.1 COOKIE PEER@127.0.0.1 PORT
 *
 * Prints "up" once connected, then a line "BYTES NS" for each burst: from its first byte to its
 * last, with 200 ms of silence behind it. Ends when the peer has gone.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>
#include "cnode/wire/wire.h"

#define BURST 1000      /* bytes; less is a tick or a signal of the kernel's */

static int dial(int port)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int on = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 || connect(fd, (struct sockaddr *)&at, sizeof at) != 0)
		return -1;
	return fd;
}

static bool shake(int fd, const char *name, const char *cookie, const char *peer)
{
	static struct cn_handshake hs;
	struct cn_handshake_config config = { .name = name, .peer = peer, .flags = CN_DFLAGS_OFFER & ~(uint64_t)CN_DFLAG_PUBLISHED, .creation = 5 };
	uint8_t in[1024];
	size_t have = 0, size;
	const uint8_t *out;
	if (cn_random(&config.challenge, sizeof config.challenge) != 0 || cn_handshake_init(&hs, CN_HANDSHAKE_INITIATOR, &config, cn_now()) != 0)
		return false;
	for (;;) {
		while ((size = cn_handshake_out(&hs, &out)) > 0) {
			if (send(fd, out, size, MSG_NOSIGNAL) != (ssize_t)size)
				return false;
			cn_handshake_sent(&hs, size);
		}
		if (hs.event == CN_HANDSHAKE_UP)
			return true;
		if (hs.event == CN_HANDSHAKE_COOKIE) {
			if (cn_handshake_cookie(&hs, cookie, strlen(cookie)) != 0)
				return false;
			continue;
		}
		if (hs.event != CN_HANDSHAKE_MORE)
			return false;
		/* Byte by byte: what is behind the handshake is not ours to take. */
		int used = cn_handshake_feed(&hs, in, have, cn_now());
		if (used < 0)
			return false;
		memmove(in, in + used, have - (size_t)used);
		have -= (size_t)used;
		if (used == 0 && (have == sizeof in || recv(fd, in + have++, 1, 0) != 1))
			return false;
	}
}

int main(int argc, char **argv)
{
	static uint8_t room[1 << 20];
	struct timeval silence = { .tv_usec = 200000 };
	if (argc != 5) {
		fprintf(stderr, "usage: drop NAME@127.0.0.1 COOKIE PEER@127.0.0.1 PORT\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	int fd = dial(atoi(argv[4]));
	if (fd < 0 || !shake(fd, argv[1], argv[2], argv[3]) || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &silence, sizeof silence) != 0) {
		fprintf(stderr, "drop: cannot connect to %s\n", argv[3]);
		return 1;
	}
	printf("up\n");
	uint64_t bytes = 0, first = 0, last = 0;
	for (;;) {
		ssize_t n = recv(fd, room, sizeof room, 0);
		if (n > 0) {
			last = cn_now();
			first = bytes == 0 ? last : first;
			bytes += (uint64_t)n;
			continue;
		}
		if (bytes > BURST)
			printf("%llu %llu\n", (unsigned long long)bytes, (unsigned long long)(last - first));
		bytes = 0;
		if (n == 0)
			return 0;
	}
}
