/* SPDX-License-Identifier: Apache-2.0 */
/* Reading and making the cookie file. */
#include "cnode/api/cookie.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "compat/compat.h"

#define MADE_LENGTH 20

static int fail(struct cn_buf *why, int code, const char *file, const char *text)
{
	cn_put_text(why, "cookie file %s: %s", file, text);
	return code;
}

/* The cookie is the first line, with the blanks at its end; behind it only blanks and ends of lines may come (auth.erl, check_cookie/2). */
static int check(const char *file, char *cookie, size_t size, struct cn_buf *why)
{
	size_t end = 0;
	while (end < size && cookie[end] >= ' ' && cookie[end] <= '~')
		end++;
	for (size_t i = end; i < size; i++)
		if (cookie[i] != '\n' && cookie[i] != '\r' && cookie[i] != ' ')
			return fail(why, CNODE_EBADARG, file, "it has a character that a cookie cannot have");
	if (end == 0)
		return fail(why, CNODE_EBADARG, file, "it is empty: write one word into it");
	if (end > CN_COOKIE_MAX)
		return fail(why, CNODE_EBADARG, file, "its cookie is longer than 255 characters");
	cookie[end] = 0;
	return 0;
}

static int read_file(const char *file, char cookie[CN_COOKIE_MAX + 1], struct cn_buf *why)
{
	char bytes[1024];
	size_t size = 0;
	struct stat st;
	int rc;
	/* O_NONBLOCK: a fifo in its place must not hang us before fstat can tell. */
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return errno == ENOENT ? fail(why, CNODE_ENOENT, file, "it does not exist")
				       : fail(why, CNODE_EACCES, file, "it cannot be opened for reading");
	if (fstat(fd, &st) != 0) {
		rc = fail(why, CNODE_EIO, file, "it cannot be looked at");
	} else if (!S_ISREG(st.st_mode)) {
		rc = fail(why, CNODE_EACCES, file, "it is no regular file");
	} else if (st.st_mode & (S_IRWXG | S_IRWXO)) {
		rc = fail(why, CNODE_EACCES, file, "it must be accessible by its owner only: chmod 400 it");
	} else {
		ssize_t n;
		while (size < sizeof bytes && (n = read(fd, bytes + size, sizeof bytes - size)) != 0) {
			if (n < 0 && errno != EINTR)
				break;
			size += n > 0 ? (size_t)n : 0;
		}
		rc = n < 0 ? fail(why, CNODE_EIO, file, "it cannot be read") : 0;
		if (rc == 0 && size == sizeof bytes)
			rc = fail(why, CNODE_EBADARG, file, "it is too long for a cookie");
		if (rc == 0)
			rc = check(file, bytes, size, why);
		if (rc == 0)
			memcpy(cookie, bytes, strlen(bytes) + 1);
	}
	cn_secure_clear(bytes, sizeof bytes);
	close(fd);
	return rc;
}

/* Byte by byte: what stands behind the line belongs to somebody else. */
static int read_line(char cookie[CN_COOKIE_MAX + 1], struct cn_buf *why)
{
	static const char *const where = "-";
	char bytes[1024];
	size_t size = 0;
	ssize_t n = 0;
	while (size < sizeof bytes && ((n = read(STDIN_FILENO, bytes + size, 1)) > 0 || (n < 0 && errno == EINTR))) {
		if (n > 0 && bytes[size++] == '\n')
			break;
	}
	int rc = n < 0 ? fail(why, CNODE_EIO, where, "standard input cannot be read") : 0;
	if (rc == 0 && size == sizeof bytes)
		rc = fail(why, CNODE_EBADARG, where, "the first line of standard input is too long for a cookie");
	if (rc == 0 && size == 0)
		rc = fail(why, CNODE_EBADARG, where, "standard input has ended without a cookie");
	if (rc == 0)
		rc = check(where, bytes, size, why);
	if (rc == 0)
		memcpy(cookie, bytes, strlen(bytes) + 1);
	cn_secure_clear(bytes, sizeof bytes);
	return rc;
}

/* A file beside the real one, complete, readable by its owner only (0400, as auth.erl makes it). 0; -1: errno says why. */
static int write_aside(char *aside, const char *cookie, size_t size)
{
	int fd = mkostemp(aside, O_CLOEXEC);
	if (fd < 0)
		return -1;
	ssize_t n = write(fd, cookie, size);
	int rc = n == (ssize_t)size && fchmod(fd, S_IRUSR) == 0 ? 0 : -1;
	int saved = rc == 0 || n < 0 ? errno : ENOSPC;
	if (close(fd) != 0 && rc == 0) {
		rc = -1;
		saved = errno;
	}
	if (rc != 0)
		unlink(aside);
	errno = saved;
	return rc;
}

/*
 * Under its name the file appears with its cookie in it: a node that starts beside this one never reads an empty one. link,
 * and not rename: whoever was faster has made the cookie of this user.
 */
static int put_file(const char *file, char cookie[CN_COOKIE_MAX + 1], size_t size, struct cn_buf *why)
{
	char *aside = cn_asprintf("%s.XXXXXX", file);
	if (!aside)
		return fail(why, CNODE_ENOMEM, file, "out of memory");
	int rc = 0;
	if (write_aside(aside, cookie, size) != 0) {
		rc = errno == EACCES || errno == EROFS || errno == ENOENT || errno == EPERM || errno == ENOTDIR
			     ? fail(why, CNODE_EACCES, file, "it does not exist and cannot be made")
			     : fail(why, CNODE_EIO, file, "it cannot be written");
	} else if (link(aside, file) == 0) {
		unlink(aside);
	} else if (errno == EEXIST) {
		unlink(aside);
		rc = read_file(file, cookie, why);
	} else if (rename(aside, file) != 0) {      /* tried where there are no links */
		unlink(aside);
		rc = fail(why, CNODE_EIO, file, "it cannot be written");
	}
	cn_free(aside);
	return rc;
}

static int make_file(const char *file, char cookie[CN_COOKIE_MAX + 1], struct cn_buf *why)
{
	uint8_t random[MADE_LENGTH * 8];
	size_t made = 0;
	while (made < MADE_LENGTH) {
		int rc = cn_random(random, sizeof random);
		if (rc != 0)
			return fail(why, rc, file, "it does not exist, and there is no randomness to make one");
		/* Bytes from 234 on would make some letters likelier than others. */
		for (size_t i = 0; i < sizeof random && made < MADE_LENGTH; i++)
			if (random[i] < 234)
				cookie[made++] = (char)('A' + random[i] % 26);
	}
	cookie[made] = 0;
	return put_file(file, cookie, made, why);
}

static char *home_of_user(void)
{
	const char *home = getenv("HOME");
	if (home && *home)
		return cn_strdup(home);
	struct passwd pw, *found = NULL;
	char space[4096];
	if (getpwuid_r(getuid(), &pw, space, sizeof space, &found) == 0 && found && found->pw_dir)
		return cn_strdup(found->pw_dir);
	return NULL;
}

int cn_cookie_load(const char *file, char cookie[CN_COOKIE_MAX + 1], struct cn_buf *why, char **made_file)
{
	if (made_file)
		*made_file = NULL;
	if (file && strcmp(file, "-") == 0)
		return read_line(cookie, why);
	if (file)
		return read_file(file, cookie, why);

	char *home = home_of_user();
	if (!home) {
		cn_put_text(why, "the user has no home folder to look for .erlang.cookie in: name a cookie file");
		return CNODE_ENOENT;
	}
	const char *xdg = getenv("XDG_CONFIG_HOME");
	char *first = cn_asprintf("%s/.erlang.cookie", home);
	char *second = xdg && *xdg ? cn_asprintf("%s/erlang/.erlang.cookie", xdg)
				   : cn_asprintf("%s/.config/erlang/.erlang.cookie", home);
	int rc = CNODE_ENOMEM;
	if (!first || !second) {
		cn_put_text(why, "out of memory");
		goto done;
	}
	rc = read_file(first, cookie, why);
	if (rc == CNODE_ENOENT) {
		cn_buf_clear(why);
		rc = read_file(second, cookie, why);
	}
	if (rc == CNODE_ENOENT) {
		cn_buf_clear(why);
		rc = make_file(first, cookie, why);
		if (rc == 0 && made_file) {
			*made_file = first;
			first = NULL;
		}
	}
done:
	cn_free(second);
	cn_free(first);
	cn_free(home);
	return rc;
}

const char *cn_cookie_weakness(const char *cookie)
{
	static const char *const known[] = { "monster", "cookie", "secret", "erlang", "elixir", "rabbitmq", "test" };
	for (size_t i = 0; i < CN_ARRAY_SIZE(known); i++)
		if (strcmp(cookie, known[i]) == 0)
			return "it is a well-known word";
	size_t size = strlen(cookie);
	if (size < 20)
		return "it has fewer than 20 characters";
	return NULL;
}
