/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hash of tables whose keys others choose: SipHash-1-3 (Aumasson and Bernstein) over words of 64 bits, with a key
 * that the program draws once and tells nobody. A multiplication and a shift with a seed in front is not enough:
 * there are differences between two inputs that cancel out whatever the seed is, so that a peer could make as many
 * keys of one bucket as it likes.
 */
#include "cnode/base/base.h"

#include <unistd.h>

static uint64_t secret[2];

static void draw_secret(void)
{
	/* Without the kernel's random numbers: what a peer does at least not see. */
	if (getentropy(secret, sizeof secret) != 0) {
		secret[0] = cn_now();
		secret[1] = (uint64_t)(uintptr_t)&secret ^ (uint64_t)getpid() << 40;
	}
}

void cn_hash_init(struct cn_hash *h)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, draw_secret);
	h->v[0] = secret[0] ^ UINT64_C(0x736f6d6570736575);
	h->v[1] = secret[1] ^ UINT64_C(0x646f72616e646f6d);
	h->v[2] = secret[0] ^ UINT64_C(0x6c7967656e657261);
	h->v[3] = secret[1] ^ UINT64_C(0x7465646279746573);
}

static inline uint64_t rotated(uint64_t x, unsigned bits)
{
	return x << bits | x >> (64 - bits);
}

static inline void round_of(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotated(v[1], 13) ^ v[0];
	v[0] = rotated(v[0], 32);
	v[2] += v[3];
	v[3] = rotated(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotated(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotated(v[1], 17) ^ v[2];
	v[2] = rotated(v[2], 32);
}

void cn_hash_word(struct cn_hash *h, uint64_t word)
{
	h->v[3] ^= word;
	round_of(h->v);
	h->v[0] ^= word;
}

void cn_hash_bytes(struct cn_hash *h, const void *bytes, size_t size)
{
	const uint8_t *p = bytes;
	uint64_t word;
	for (; size >= 8; size -= 8, p += 8) {
		memcpy(&word, p, 8);
		cn_hash_word(h, word);
	}
	word = 0;
	for (size_t i = 0; i < size; i++)
		word |= (uint64_t)p[i] << 8 * i;
	/* As in SipHash the last word is never full: its top byte tells how much of it counts. */
	cn_hash_word(h, word | (uint64_t)size << 56);
}

uint64_t cn_hash_end(const struct cn_hash *h)
{
	struct cn_hash end = *h;
	end.v[2] ^= 0xff;
	for (int i = 0; i < 3; i++)
		round_of(end.v);
	return end.v[0] ^ end.v[1] ^ end.v[2] ^ end.v[3];
}

uint64_t cn_hash_of(const void *bytes, size_t size)
{
	struct cn_hash h;
	cn_hash_init(&h);
	cn_hash_bytes(&h, bytes, size);
	return cn_hash_end(&h);
}
