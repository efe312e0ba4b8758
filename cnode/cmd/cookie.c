/* SPDX-License-Identifier: Apache-2.0 */
/* cookie: choosing among the places a cookie can come from. */
#include "cnode/cmd/cookie.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The value of a variable; NULL if it is unset or empty. */
static const char *variable(const char *name)
{
	const char *value = getenv(name);
	return value != NULL && *value != '\0' ? value : NULL;
}

#define COOKIE_MAX 255

/* Says what is wrong with the credential. */
static int refuse(const char *path, const char *what, char message[CN_COOKIE_MESSAGE])
{
	snprintf(message, CN_COOKIE_MESSAGE, "the cookie in %.400s %s", path, what);
	return CNODE_EACCES;
}

/*
 * Reads a credential, of the same form as a cookie file (auth.erl); it may hold any bytes (systemd.exec(5)). Unlike a cookie
 * file it may be readable for a group: systemd shows the ACL that lets the service read it as group bits, and guards the
 * folder itself.
 */
static int read_credential(const char *path, int fd, struct cn_cookie *cookie,
			   char message[CN_COOKIE_MESSAGE])
{
	size_t size = 0, end = 0;
	ssize_t n;

	while ((n = read(fd, cookie->text + size, sizeof cookie->text - size)) > 0)
		size += (size_t)n;
	if (n < 0) {
		snprintf(message, CN_COOKIE_MESSAGE, "cannot read the cookie in %.400s: %s", path,
			 strerror(errno));
		return CNODE_EACCES;
	}
	while (end < size && cookie->text[end] >= ' ' && cookie->text[end] <= '~')
		end++;
	if (end > COOKIE_MAX)
		return refuse(path, "is too long", message);
	for (size_t i = end; i < size; i++)
		if (memchr("\n\r ", cookie->text[i], 3) == NULL)
			return refuse(path, "has a character that a cookie cannot have", message);
	if (end == 0)
		return refuse(path, "is empty", message);
	cookie->text[end] = '\0';
	return 0;
}

int cn_cookie_choose(const char *flag, const char *file, struct cn_cookie *cookie,
		     cnode_config *config, char message[CN_COOKIE_MESSAGE])
{
	char path[512];
	const char *folder = variable("CREDENTIALS_DIRECTORY");

	if (flag != NULL && file != NULL) {
		snprintf(message, CN_COOKIE_MESSAGE, "give -setcookie or -cookie_file, not both");
		return CNODE_EBADARG;
	}
	config->cookie = flag;
	config->cookie_file = file;
	if (flag != NULL || file != NULL)
		return 0;
	config->cookie_file = variable("CNODE_COOKIE_FILE");
	if (config->cookie_file != NULL || folder == NULL)
		return 0;
	if ((size_t)snprintf(path, sizeof path, "%s/cookie", folder) >= sizeof path) {
		snprintf(message, CN_COOKIE_MESSAGE, "$CREDENTIALS_DIRECTORY is too long");
		return CNODE_EACCES;
	}
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return 0;               /* credentials for something else */
	if (fd < 0) {
		snprintf(message, CN_COOKIE_MESSAGE, "cannot read the cookie in %.400s: %s", path,
			 strerror(errno));
		return CNODE_EACCES;
	}
	int rc = read_credential(path, fd, cookie, message);
	close(fd);
	if (rc == 0)
		config->cookie = cookie->text;
	return rc;
}
