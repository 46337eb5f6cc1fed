#include "wireguard/blake2s.h"

#include <assert.h>
#include <endian.h>

#include "base/cleanup.h"
#include "base/secret.h"
#include "wireguard/blake2s_rounds.h"

static uint32_t rotate_right(uint32_t x, int bits)
{
	return x >> bits | x << (32 - bits);
}

static inline __attribute__((always_inline)) void mix(uint32_t v[16], int a, int b, int c, int d,
						      uint32_t x, uint32_t y)
{
	v[a] += v[b] + x;
	v[d] = rotate_right(v[d] ^ v[a], 16);
	v[c] += v[d];
	v[b] = rotate_right(v[b] ^ v[c], 12);
	v[a] += v[b] + y;
	v[d] = rotate_right(v[d] ^ v[a], 8);
	v[c] += v[d];
	v[b] = rotate_right(v[b] ^ v[c], 7);
}

static void compress(struct blake2s *s, const uint8_t block[BLAKE2S_BLOCK], bool last)
{
	uint32_t m[16];
	uint32_t v[16];

	memcpy(m, block, sizeof(m));
	for (int i = 0; i < 16; i++)
		m[i] = le32toh(m[i]);
	memcpy(v, s->h, sizeof(s->h));
	memcpy(v + 8, blake2s_initial, sizeof(blake2s_initial));
	v[12] ^= (uint32_t)s->counted;
	v[13] ^= (uint32_t)(s->counted >> 32);
	if (last)
		v[14] = ~v[14];
	BLAKE2S_ROUNDS(mix, v, m);
	for (int i = 0; i < 8; i++)
		s->h[i] ^= v[i] ^ v[i + 8];
}

void blake2s_init(struct blake2s *s, size_t size, const void *key, size_t key_size)
{
	assert(size >= 1 && size <= BLAKE2S_SIZE && key_size <= BLAKE2S_SIZE);
	*s = (struct blake2s){ .size = size };
	memcpy(s->h, blake2s_initial, sizeof(blake2s_initial));
	s->h[0] ^= 0x01010000 ^ (uint32_t)key_size << 8 ^ (uint32_t)size;
	if (key_size > 0) { /* the key is a block of its own before the message */
		memcpy(s->block, key, key_size);
		s->filled = BLAKE2S_BLOCK;
	}
}

void blake2s_update(struct blake2s *s, const void *data, size_t size)
{
	const uint8_t *at = data;

	while (size > 0) {
		size_t part = BLAKE2S_BLOCK - s->filled;

		if (part == 0) { /* only now is it known that the block is not the last */
			s->counted += BLAKE2S_BLOCK;
			compress(s, s->block, false);
			s->filled = 0;
			continue;
		}
		if (part > size)
			part = size;
		memcpy(s->block + s->filled, at, part);
		s->filled += part;
		at += part;
		size -= part;
	}
}

void blake2s_final(struct blake2s *s, uint8_t *to)
{
	s->counted += s->filled;
	memset(s->block + s->filled, 0, BLAKE2S_BLOCK - s->filled);
	compress(s, s->block, true);
	for (int i = 0; i < 8; i++)
		s->h[i] = htole32(s->h[i]);
	memcpy(to, s->h, s->size);
	secret_wipe(s, sizeof(*s));
}

void blake2s_hash(uint8_t to[BLAKE2S_SIZE], const void *a, size_t a_size, const void *b,
		  size_t b_size)
{
	struct blake2s s;

	blake2s_init(&s, BLAKE2S_SIZE, NULL, 0);
	blake2s_update(&s, a, a_size);
	blake2s_update(&s, b, b_size);
	blake2s_final(&s, to);
}

void blake2s_mac(uint8_t *to, size_t size, const void *key, size_t key_size, const void *data,
		 size_t data_size)
{
	struct blake2s s;

	blake2s_init(&s, size, key, key_size);
	blake2s_update(&s, data, data_size);
	blake2s_final(&s, to);
}

/* One of the two passes of HMAC. */
static void hmac_pass(uint8_t to[BLAKE2S_SIZE], uint8_t pad, const void *key, size_t key_size,
		      const void *data, size_t size)
{
	uint8_t block[BLAKE2S_BLOCK] = { 0 };

	memcpy(block, key, key_size);
	for (size_t i = 0; i < sizeof(block); i++)
		block[i] ^= pad;
	blake2s_hash(to, block, sizeof(block), data, size);
	secret_wipe(block, sizeof(block));
}

void blake2s_hmac(uint8_t to[BLAKE2S_SIZE], const void *key, size_t key_size, const void *data,
		  size_t size)
{
	uint8_t inner[BLAKE2S_SIZE];

	assert(key_size <= BLAKE2S_BLOCK);
	hmac_pass(inner, 0x36, key, key_size, data, size);
	hmac_pass(to, 0x5c, key, key_size, inner, sizeof(inner));
	secret_wipe(inner, sizeof(inner));
}

void blake2s_kdf(const uint8_t key[BLAKE2S_SIZE], const void *input, size_t size,
		 uint8_t first[BLAKE2S_SIZE], uint8_t second[BLAKE2S_SIZE],
		 uint8_t third[BLAKE2S_SIZE])
{
	uint8_t secret[BLAKE2S_SIZE];
	uint8_t block[BLAKE2S_SIZE + 1]; /* the output before, and the number of this one */

	blake2s_hmac(secret, key, BLAKE2S_SIZE, input, size);
	block[0] = 1;
	blake2s_hmac(block, secret, sizeof(secret), block, 1);
	memcpy(first, block, BLAKE2S_SIZE);
	if (second) {
		block[BLAKE2S_SIZE] = 2;
		blake2s_hmac(block, secret, sizeof(secret), block, sizeof(block));
		memcpy(second, block, BLAKE2S_SIZE);
	}
	if (third) {
		block[BLAKE2S_SIZE] = 3;
		blake2s_hmac(block, secret, sizeof(secret), block, sizeof(block));
		memcpy(third, block, BLAKE2S_SIZE);
	}
	secret_wipe(secret, sizeof(secret));
	secret_wipe(block, sizeof(block));
}
