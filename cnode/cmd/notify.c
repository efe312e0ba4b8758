/* SPDX-License-Identifier: Apache-2.0 */
/*
 * notify: a datagram to the socket that $NOTIFY_SOCKET names, as sd_notify(3) documents it for
 * programs that do without libsystemd. Its failure changes nothing: systemd has its own timeout.
 */
#include "cnode/cmd/notify.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static void notify(const char *message)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	size_t length = path ? strlen(path) : 0;
	/* A path, or '@' and a name in the abstract namespace; what systemd says of other sockets (vsock) is for machines. */
	if (length < 2 || length >= sizeof to.sun_path || (*path != '/' && *path != '@'))
		return;
	memcpy(to.sun_path, path, length);
	if (*path == '@')
		to.sun_path[0] = 0;
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	(void)sendto(fd, message, strlen(message), MSG_NOSIGNAL, (struct sockaddr *)&to,
		     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length));
	close(fd);
}

void cn_notify_ready(const char *status)
{
	char message[1024];
	snprintf(message, sizeof message, "READY=1\nSTATUS=%s", status);
	notify(message);
}

void cn_notify_reloading(void)
{
	struct timespec now;
	char message[64];
	/* Type=notify-reload tells this reload from an earlier one by the time. */
	clock_gettime(CLOCK_MONOTONIC, &now);
	snprintf(message, sizeof message, "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
	notify(message);
}
