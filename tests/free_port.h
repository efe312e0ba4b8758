/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_FREE_PORT_H
#define TESTS_FREE_PORT_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

/* As tests/free_port: nobody listens there, and the kernel gives it to nobody who asks for any port. */
static inline uint16_t free_port(void)
{
	for (;;) {
		uint16_t random;
		if (getrandom(&random, sizeof random, 0) != sizeof random)
			abort();
		const uint16_t port = (uint16_t)(20000 + random % 12000);
		const struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
		const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fd < 0)
			abort();
		const int rc = bind(fd, (const struct sockaddr *)&a, sizeof a);
		close(fd);
		if (rc == 0)
			return port;
	}
}

#endif
