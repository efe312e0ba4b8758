/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cookie file, by the rules of OTP's auth.erl: ~/.erlang.cookie, then
 * $XDG_CONFIG_HOME/erlang/.erlang.cookie (since OTP 25); a regular file that only its
 * owner can use; trailing white space is cut. When neither exists the first is made, with
 * 20 random capital letters and mode 0400.
 */
#ifndef CN_API_COOKIE_H
#define CN_API_COOKIE_H

#include "cnode/base/base.h"

#define CN_COOKIE_MAX 255

/*
 * Reads the cookie of `file` (NULL: the user's own; "-": one line of standard input, waiting
 * for it, and not a byte more). cookie gets it, terminated. On
 * failure `why` gets one sentence. *made_file (may be NULL) is set when a file was made:
 * its path, yours. 0, CNODE_EACCES, CNODE_ENOENT, CNODE_EBADARG (its content), CNODE_EIO, CNODE_ENOMEM.
 */
int cn_cookie_load(const char *file, char cookie[CN_COOKIE_MAX + 1], struct cn_buf *why, char **made_file);

/* What is weak about a cookie, in words for a warning; NULL: nothing. */
const char *cn_cookie_weakness(const char *cookie);

#endif
