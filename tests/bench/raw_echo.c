/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the machine's TCP gives, without any Erlang: the bound that a round trip is
 * compared with.
 *
 *     raw_echo server              prints its port, sends back what one client sends, ends with it
 *     raw_echo pair ROUNDS SIZE    both sides in C, two processes; prints "p50 p99" in nanoseconds
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return (x > y) - (x < y);
}

static int serve(int listener)
{
	static char buffer[65536];
	int one = 1, fd = accept(listener, NULL, NULL);
	if (fd < 0)
		return 1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	for (;;) {
		ssize_t n = read(fd, buffer, sizeof buffer), done = 0;
		if (n <= 0)
			return 0;
		while (done < n) {
			ssize_t sent = write(fd, buffer + done, (size_t)(n - done));
			if (sent <= 0)
				return 1;
			done += sent;
		}
	}
}

static int play(const struct sockaddr_in *at, size_t rounds, size_t size)
{
	static char buffer[65536];
	int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
	int64_t *took = calloc(rounds, sizeof *took);
	if (took == NULL || fd < 0 || connect(fd, (const struct sockaddr *)at, sizeof *at) != 0)
		return 1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	for (size_t i = 0; i < rounds; i++) {
		int64_t began = now_ns();
		size_t got = 0;
		if (write(fd, buffer, size) != (ssize_t)size)
			return 1;
		while (got < size) {
			ssize_t n = read(fd, buffer, sizeof buffer);
			if (n <= 0)
				return 1;
			got += (size_t)n;
		}
		took[i] = now_ns() - began;
	}
	close(fd);
	qsort(took, rounds, sizeof *took, by_size);
	printf("%lld %lld\n", (long long)took[rounds / 2], (long long)took[rounds * 99 / 100]);
	free(took);
	return 0;
}

int main(int argc, char **argv)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	socklen_t length = sizeof at;
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (listener < 0 || bind(listener, (struct sockaddr *)&at, sizeof at) != 0 || listen(listener, 1) != 0
	    || getsockname(listener, (struct sockaddr *)&at, &length) != 0)
		return 1;
	if (argc == 2 && strcmp(argv[1], "server") == 0) {
		printf("%d\n", ntohs(at.sin_port));
		fflush(stdout);
		return serve(listener);
	}
	if (argc != 4 || strcmp(argv[1], "pair") != 0 || atoi(argv[2]) < 1 || atoi(argv[3]) < 1 || atoi(argv[3]) > 65536)
		return 2;
	pid_t child = fork();
	if (child == 0)
		_exit(serve(listener));
	int rc = child < 0 || play(&at, (size_t)atoi(argv[2]), (size_t)atoi(argv[3]));
	if (child > 0 && rc != 0)
		kill(child, SIGKILL);
	if (child > 0)
		waitpid(child, NULL, 0);
	return rc;
}
