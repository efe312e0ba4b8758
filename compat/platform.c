/* SPDX-License-Identifier: Apache-2.0 */
/* Randomness, digest and event descriptors of the platform. */
#include "compat/compat.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include "cnode/error.h"

int cn_random(void *bytes, size_t size)
{
	uint8_t *at = bytes;
	while (size > 0) {
		ssize_t n = getrandom(at, size, 0);
		if (n < 0) {
			if (errno == EINTR)
				continue;
			return CNODE_EIO;
		}
		at += n;
		size -= (size_t)n;
	}
	return 0;
}

int cn_digest(const char *cookie, size_t cookie_size, uint32_t challenge, uint8_t digest[CN_DIGEST_SIZE])
{
	char decimal[16];
	int n = snprintf(decimal, sizeof decimal, "%lu", (unsigned long)challenge);
	unsigned size = 0;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	if (!ctx)
		return CNODE_ENOMEM;
	int ok = EVP_DigestInit_ex(ctx, EVP_md5(), NULL) &&
		 EVP_DigestUpdate(ctx, cookie, cookie_size) &&
		 EVP_DigestUpdate(ctx, decimal, (size_t)n) &&
		 EVP_DigestFinal_ex(ctx, digest, &size);
	EVP_MD_CTX_free(ctx);
	return ok && size == CN_DIGEST_SIZE ? 0 : CNODE_EINTERNAL;
}

int cn_secure_equal(const void *a, const void *b, size_t size)
{
	const volatile uint8_t *x = a, *y = b;
	uint8_t differ = 0;
	for (size_t i = 0; i < size; i++)
		differ |= x[i] ^ y[i];
	return differ == 0;
}

void cn_secure_clear(void *p, size_t size)
{
	volatile uint8_t *at = p;
	while (size-- > 0)
		*at++ = 0;
}

int cn_event_open(void)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return fd >= 0 ? fd : CNODE_EFDS;
}

void cn_event_set(int fd)
{
	uint64_t one = 1;
	/* EAGAIN means that the counter is full, so the descriptor is readable already. */
	while (write(fd, &one, sizeof one) < 0 && errno == EINTR)
		continue;
}

void cn_event_clear(int fd)
{
	uint64_t count;
	while (read(fd, &count, sizeof count) < 0 && errno == EINTR)
		continue;
}
