/* SPDX-License-Identifier: Apache-2.0 */
/* target: node names from the command line. */
#include "cnode/cmd/target.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define HOST_SIZE 256

/* This machine's name up to the first dot. */
static void short_host(char host[HOST_SIZE])
{
	if (gethostname(host, HOST_SIZE) != 0)
		host[0] = '\0';
	host[HOST_SIZE - 1] = '\0';
	host[strcspn(host, ".")] = '\0';
	if (host[0] == '\0')
		snprintf(host, HOST_SIZE, "localhost");
}

static bool is_port(const char *text)
{
	long port = 0;

	for (const char *p = text; *p != '\0'; p++) {
		if (!isdigit((unsigned char)*p) || p - text >= 5)
			return false;
		port = port * 10 + (*p - '0');
	}
	return port > 0 && port <= 65535;
}

/*
 * Takes ":PORT" off the host at `host` in target->node. A bare IPv6 address has several
 * colons and is all host; with a port it stands in brackets, which are no part of the name.
 */
static bool split_port(struct cn_target *target, char *host)
{
	char *port = strrchr(host, ':');

	target->address[0] = '\0';
	if (host[0] == '[') {
		char *end = strchr(host, ']');
		if (end == NULL || (end[1] != '\0' && end[1] != ':'))
			return false;
		port = end[1] == ':' ? end + 1 : NULL;
		if (port != NULL)
			snprintf(target->address, sizeof target->address, "%s", host);
		*end = '\0';
		memmove(host, host + 1, strlen(host + 1) + 1);
		if (port == NULL)
			return true;
		port = target->address + strlen(host) + 2;
		return is_port(port + 1);
	}
	if (port == NULL || strchr(host, ':') != port)
		return true;
	if (!is_port(port + 1))
		return false;
	snprintf(target->address, sizeof target->address, "%s", host);
	*port = '\0';
	return true;
}

int cn_target_read(const char *text, const char *own, struct cn_target *target,
		   char message[CN_TARGET_MESSAGE])
{
	const char *own_host = own != NULL ? strchr(own, '@') : NULL;
	char host[HOST_SIZE];
	cnode_name name;
	int n;

	if (strchr(text, '@') != NULL) {
		n = snprintf(target->node, sizeof target->node, "%s", text);
	} else {
		short_host(host);
		n = snprintf(target->node, sizeof target->node, "%s@%s", text,
			     own_host != NULL ? own_host + 1 : host);
	}
	char *at = strchr(target->node, '@');
	if (n < 0 || (size_t)n >= sizeof target->node || !split_port(target, at + 1) ||
	    cnode_name_of(target->node, &name) != 0) {
		snprintf(message, CN_TARGET_MESSAGE,
			 "'%.1024s' is no node name: NAME@HOST or NAME@HOST:PORT is wanted", text);
		return CNODE_EBADNAME;
	}
	target->long_names = strpbrk(at, ".:") != NULL;
	return 0;
}

void cn_target_own_name(const struct cn_target *target, char name[CNODE_NAME_SIZE])
{
	const char *at = strchr(target->node, '@');
	const char *host = at != NULL ? at + 1 : "";
	bool loopback = strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0 ||
			strncmp(host, "localhost.", 10) == 0;
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	snprintf(name, CNODE_NAME_SIZE, "cnode-%ld-%llx%s%s", (long)getpid(),
		 ((unsigned long long)now.tv_sec & 0xffff) << 30 | (unsigned long long)now.tv_nsec,
		 target->long_names && loopback ? "@" : "",
		 target->long_names && loopback ? host : "");
}

void cn_target_add_host(char name[CNODE_NAME_SIZE])
{
	char host[HOST_SIZE];
	size_t size = strlen(name);

	short_host(host);
	snprintf(name + size, CNODE_NAME_SIZE - size, "@%s.localdomain", host);
}
