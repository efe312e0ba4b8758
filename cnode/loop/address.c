/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses: values, text, and the system's sockaddr. */
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#include "cnode/loop/inner.h"

struct cn_address cn_address_any(int family, uint16_t port)
{
	return (struct cn_address){ .family = (uint8_t)family, .port = port };
}

struct cn_address cn_address_loopback(int family, uint16_t port)
{
	struct cn_address a = cn_address_any(family, port);
	if (family == 4)
		memcpy(a.ip, (const uint8_t[]){ 127, 0, 0, 1 }, 4);
	else
		a.ip[15] = 1;
	return a;
}

/* An IPv4 peer of an IPv6 socket is an IPv4 peer. */
static void unmap(struct cn_address *a)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	if (a->family != 6 || memcmp(a->ip, mapped, sizeof mapped) != 0)
		return;
	a->family = 4;
	a->scope = 0;
	memmove(a->ip, a->ip + 12, 4);
	memset(a->ip + 4, 0, 12);
}

bool cn_address_parse(const char *text, uint16_t port, struct cn_address *address)
{
	struct cn_address a = { .port = port };
	if (inet_pton(AF_INET, text, a.ip) == 1) {
		a.family = 4;
		*address = a;
		return true;
	}
	char plain[INET6_ADDRSTRLEN];
	const char *zone = strchr(text, '%');
	size_t size = zone ? (size_t)(zone - text) : strlen(text);
	if (size >= sizeof plain)
		return false;
	memcpy(plain, text, size);
	plain[size] = 0;
	if (inet_pton(AF_INET6, plain, a.ip) != 1)
		return false;
	a.family = 6;
	if (zone) {
		char *end;
		unsigned long n = strtoul(zone + 1, &end, 10);
		a.scope = zone[1] && !*end ? (uint32_t)n : if_nametoindex(zone + 1);
		if (a.scope == 0)
			return false;
	}
	unmap(&a);
	*address = a;
	return true;
}

const char *cn_address_text(const struct cn_address *a, char text[CN_ADDRESS_TEXT])
{
	char ip[INET6_ADDRSTRLEN];
	if (a->family == 4 && inet_ntop(AF_INET, a->ip, ip, sizeof ip))
		snprintf(text, CN_ADDRESS_TEXT, "%s:%u", ip, a->port);
	else if (a->family == 6 && inet_ntop(AF_INET6, a->ip, ip, sizeof ip) && a->scope)
		snprintf(text, CN_ADDRESS_TEXT, "[%s%%%u]:%u", ip, a->scope, a->port);
	else if (a->family == 6 && inet_ntop(AF_INET6, a->ip, ip, sizeof ip))
		snprintf(text, CN_ADDRESS_TEXT, "[%s]:%u", ip, a->port);
	else
		snprintf(text, CN_ADDRESS_TEXT, "(no address)");
	return text;
}

bool cn_address_is_loopback(const struct cn_address *a)
{
	if (a->family == 4)
		return a->ip[0] == 127;
	const struct cn_address one = cn_address_loopback(6, 0);
	return a->family == 6 && memcmp(a->ip, one.ip, sizeof one.ip) == 0;
}

bool cn_address_same_host(const struct cn_address *a, const struct cn_address *b)
{
	return a->family == b->family && a->scope == b->scope &&
	       memcmp(a->ip, b->ip, a->family == 4 ? 4 : 16) == 0;
}

int cn_address_split(const char *text, char *host, size_t host_room, uint16_t *port)
{
	const char *name = text, *end, *colon = strrchr(text, ':');
	if (*text == '[') {
		name = text + 1;
		end = strchr(name, ']');
		if (!end || (end[1] && end[1] != ':'))
			return CNODE_EBADARG;
		colon = end[1] ? end + 1 : NULL;
	} else if (colon && colon == strchr(text, ':')) {
		end = colon;
	} else {
		colon = NULL;           /* none, or several: an IPv6 address without port */
		end = text + strlen(text);
	}
	if ((size_t)(end - name) >= host_room)
		return CNODE_EBADARG;
	if (colon) {
		unsigned long n = 0;
		const char *digit = colon + 1;
		for (; *digit >= '0' && *digit <= '9' && n <= UINT16_MAX; digit++)
			n = n * 10 + (unsigned long)(*digit - '0');
		if (*digit || digit == colon + 1 || n > UINT16_MAX)
			return CNODE_EBADARG;
		*port = (uint16_t)n;
	}
	memcpy(host, name, (size_t)(end - name));
	host[end - name] = 0;
	return 0;
}

socklen_t cn_address_to(const struct cn_address *a, struct sockaddr_storage *ss)
{
	memset(ss, 0, sizeof *ss);
	if (a->family == 4) {
		struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(a->port) };
		memcpy(&in.sin_addr, a->ip, 4);
		memcpy(ss, &in, sizeof in);
		return sizeof in;
	}
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(a->port), .sin6_scope_id = a->scope };
	memcpy(&in6.sin6_addr, a->ip, 16);
	memcpy(ss, &in6, sizeof in6);
	return sizeof in6;
}

void cn_address_from(struct cn_address *a, const struct sockaddr *sa)
{
	*a = (struct cn_address){ 0 };
	if (sa->sa_family == AF_INET) {
		struct sockaddr_in in;
		memcpy(&in, sa, sizeof in);
		a->family = 4;
		a->port = ntohs(in.sin_port);
		memcpy(a->ip, &in.sin_addr, 4);
	} else if (sa->sa_family == AF_INET6) {
		struct sockaddr_in6 in6;
		memcpy(&in6, sa, sizeof in6);
		a->family = 6;
		a->port = ntohs(in6.sin6_port);
		a->scope = in6.sin6_scope_id;
		memcpy(a->ip, &in6.sin6_addr, 16);
		unmap(a);
	}
}
