/* SPDX-License-Identifier: Apache-2.0 */
/* say: lines on stderr, for a person or for the journal. */
#include "cnode/cmd/say.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LINE_SIZE 4096

static const char *program = "cnode";
static bool journal;

/* $JOURNAL_STREAM is "device:inode" of the stream; stderr may have been redirected since. */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;

	return stream != NULL && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
	       fstat(STDERR_FILENO, &st) == 0 && st.st_dev == (dev_t)device &&
	       st.st_ino == (ino_t)inode;
}

void cn_say_init(const char *name)
{
	program = name;
	journal = stderr_is_journal();
}

/* syslog(3)'s numbers. */
static int priority(enum cnode_log_level level)
{
	switch (level) {
	case CNODE_LOG_ERROR: return 3;
	case CNODE_LOG_WARNING: return 4;
	case CNODE_LOG_NOTICE: return 5;
	case CNODE_LOG_INFO: return 6;
	case CNODE_LOG_DEBUG: return 7;
	case CNODE_LOG_NONE: break;
	}
	return 5;
}

/* Bytes of the character at p, of UTF-8 (RFC 3629: shortest form, no surrogates); 0: it is none, or cut off. */
static size_t character(const unsigned char *p, size_t size)
{
	size_t n = *p < 0x80 ? 1 : *p < 0xc2 ? 0 : *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : *p < 0xf5 ? 4 : 0;
	if (n > size)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if (n > 2 && ((*p == 0xe0 && p[1] < 0xa0) || (*p == 0xed && p[1] > 0x9f) || (*p == 0xf0 && p[1] < 0x90) || (*p == 0xf4 && p[1] > 0x8f)))
		return 0;
	return n;
}

/* No control characters, nor what messages of limited length have cut through. */
static void plain(char *text, size_t size)
{
	for (size_t i = 0, n; i < size; i += n) {
		n = character((const unsigned char *)text + i, size - i);
		if (n == 0 || (unsigned char)text[i] < ' ' || text[i] == 0x7f) {
			text[i] = '?';
			n = 1;
		}
	}
}

char *cn_say_plain(char *text)
{
	plain(text, strlen(text));
	return text;
}

/* Writes head and text as one line. A text that does not fit is cut and ends in "...". */
static void put_line(enum cnode_log_level level, const char *head, const char *format, va_list args)
{
	char line[LINE_SIZE];
	size_t room = sizeof line - 1;          /* the newline */
	int n = journal ? snprintf(line, room, "<%d>%s", priority(level), head)
			: snprintf(line, room, "%s", head);
	size_t size = n < 0 ? 0 : (size_t)n < room ? (size_t)n : room - 1;
	size_t start = size;

	n = vsnprintf(line + size, room - size, format, args);
	if (n > 0 && (size_t)n >= room - size) {
		size = room - 1;
		memcpy(line + size - 3, "...", 3);
	} else if (n > 0) {
		size += (size_t)n;
	}
	plain(line + start, size - start);
	line[size++] = '\n';
	for (size_t done = 0; done < size;) {
		ssize_t w = write(STDERR_FILENO, line + done, size - done);
		if (w <= 0)
			return;                 /* nobody listens: there is no one to tell */
		done += (size_t)w;
	}
}

void cn_say(enum cnode_log_level level, const char *format, ...)
{
	char head[64];
	va_list args;

	snprintf(head, sizeof head, "%s: ", program);
	va_start(args, format);
	put_line(level, head, format, args);
	va_end(args);
}

void cn_say_more(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	put_line(CNODE_LOG_NOTICE, "", format, args);
	va_end(args);
}

static void put_logged(enum cnode_log_level level, const char *head, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	put_line(level, head, format, args);
	va_end(args);
}

void cn_say_log(void *context, enum cnode_log_level level, const char *text)
{
	char head[80];
	struct timespec now;
	struct tm utc;

	(void)context;
	if (journal) {
		put_logged(level, "", "%s", text);
		return;
	}
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	size_t size = strftime(head, sizeof head, "%Y-%m-%dT%H:%M:%S", &utc);
	snprintf(head + size, sizeof head - size, ".%03ldZ %s: ", now.tv_nsec / 1000000,
		 cnode_log_level_name(level));
	put_logged(level, head, "%s", text);
}
