/* SPDX-License-Identifier: Apache-2.0 */
/* A small DNS server for tests, in a thread of its own: A and SRV records on a port of loopback. It uses no allocator. */
#ifndef TESTS_DNS_SERVER_H
#define TESTS_DNS_SERVER_H

#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <check.h>

#define ROWS 8
static struct row {
	const char *name;           /* "nodes.test" */
	int type;                   /* 1 A, 33 SRV */
	const char *value;          /* address, or target */
	_Atomic uint16_t port;      /* SRV */
	_Atomic bool on;            /* written last, read first: the rest of a row that is on does not change */
} rows[ROWS];
static int dns_fd = -1;
static uint16_t dns_port;
static pthread_t dns_thread;
static _Atomic bool dns_fails;
static _Atomic unsigned asked;

static inline size_t put_name(uint8_t *at, const char *name)
{
	uint8_t *begin = at;
	while (*name) {
		size_t size = strcspn(name, ".");
		*at++ = (uint8_t)size;
		memcpy(at, name, size);
		at += size;
		name += size + (name[size] == '.');
	}
	*at++ = 0;
	return (size_t)(at - begin);
}
static inline size_t put16(uint8_t *at, unsigned v)
{
	at[0] = (uint8_t)(v >> 8);
	at[1] = (uint8_t)v;
	return 2;
}

static inline size_t answer(const struct row *r, uint8_t *at)
{
	uint8_t *begin = at;
	at += put16(at, 0xc00c);    /* the name of the question */
	at += put16(at, (unsigned)r->type);
	at += put16(at, 1);
	at += put16(at, 0);
	at += put16(at, 1);         /* for a second */
	uint8_t *size = at;
	at += 2;
	if (r->type == 1) {
		inet_pton(AF_INET, r->value, at);
		at += 4;
	} else {
		at += put16(at, 0);
		at += put16(at, 0);
		at += put16(at, atomic_load(&r->port));
		at += put_name(at, r->value);
	}
	put16(size, (unsigned)(at - size - 2));
	return (size_t)(at - begin);
}

static inline void *dns_serve(void *arg)
{
	uint8_t in[512], out[2048];
	struct sockaddr_in from;
	(void)arg;
	for (;;) {
		socklen_t size = sizeof from;
		ssize_t n = recvfrom(dns_fd, in, sizeof in, 0, (struct sockaddr *)&from, &size);
		if (n < 0 || (n == 1 && in[0] == 'q'))
			return NULL;
		if (n < 17)
			continue;
		atomic_fetch_add(&asked, 1);
		char name[256] = "";
		size_t at = 12, used = 0;
		while (at < (size_t)n && in[at] && used + in[at] + 2 < sizeof name) {
			used += (size_t)snprintf(name + used, sizeof name - used, "%s%.*s", used ? "." : "", in[at], (char *)in + at + 1);
			at += in[at] + 1u;
		}
		int type = in[at + 1] << 8 | in[at + 2];
		size_t end = at + 5;
		memcpy(out, in, end);
		put16(out + 2, 0x8180);
		size_t to = end;
		unsigned count = 0;
		bool known = false;
		for (int i = 0; i < ROWS; i++) {
			/* `on` first: with it a row is handed over to this thread. */
			if (!atomic_load(&rows[i].on) || strcasecmp(rows[i].name, name) != 0)
				continue;
			known = true;
			if (rows[i].type != type)
				continue;
			to += answer(&rows[i], out + to);
			count++;
		}
		if (!known)
			out[3] |= 3;        /* NXDOMAIN */
		if (atomic_load(&dns_fails))
			out[3] = 0x82;      /* SERVFAIL */
		put16(out + 6, atomic_load(&dns_fails) ? 0 : count);
		put16(out + 8, 0);
		put16(out + 10, 0);
		sendto(dns_fd, out, atomic_load(&dns_fails) ? end : to, 0, (struct sockaddr *)&from, size);
	}
}

static inline void dns_open(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof a;
	memset(rows, 0, sizeof rows);
	dns_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(dns_fd, 0);
	ck_assert_int_eq(bind(dns_fd, (struct sockaddr *)&a, sizeof a), 0);
	getsockname(dns_fd, (struct sockaddr *)&a, &size);
	dns_port = ntohs(a.sin_port);
	ck_assert_int_eq(pthread_create(&dns_thread, NULL, dns_serve, NULL), 0);
}
static inline void dns_close(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(dns_port) };
	sendto(dns_fd, "q", 1, 0, (struct sockaddr *)&a, sizeof a);
	pthread_join(dns_thread, NULL);
	close(dns_fd);
}
static inline void row(int i, const char *name, int type, const char *value, uint16_t port)
{
	rows[i].name = name;
	rows[i].type = type;
	rows[i].value = value;
	atomic_store(&rows[i].port, port);
	atomic_store(&rows[i].on, true);
}

#endif
