#include "wireguard/xchacha.h"

#include <endian.h>

#include "base/secret.h"

static uint32_t rotate_left(uint32_t x, int bits)
{
	return x << bits | x >> (32 - bits);
}

static void quarter_round(uint32_t x[16], int a, int b, int c, int d)
{
	x[a] += x[b];
	x[d] = rotate_left(x[d] ^ x[a], 16);
	x[c] += x[d];
	x[b] = rotate_left(x[b] ^ x[c], 12);
	x[a] += x[b];
	x[d] = rotate_left(x[d] ^ x[a], 8);
	x[c] += x[d];
	x[b] = rotate_left(x[b] ^ x[c], 7);
}

void hchacha20(const uint8_t key[AEAD_KEY_SIZE], const uint8_t nonce[16], uint8_t to[AEAD_KEY_SIZE])
{
	uint32_t x[16];

	memcpy(x, "expand 32-byte k", 16);
	memcpy(x + 4, key, 32);
	memcpy(x + 12, nonce, 16);
	for (int i = 0; i < 16; i++)
		x[i] = le32toh(x[i]);
	for (int i = 0; i < 10; i++) {
		quarter_round(x, 0, 4, 8, 12);
		quarter_round(x, 1, 5, 9, 13);
		quarter_round(x, 2, 6, 10, 14);
		quarter_round(x, 3, 7, 11, 15);
		quarter_round(x, 0, 5, 10, 15);
		quarter_round(x, 1, 6, 11, 12);
		quarter_round(x, 2, 7, 8, 13);
		quarter_round(x, 3, 4, 9, 14);
	}
	for (int i = 0; i < 16; i++)
		x[i] = htole32(x[i]);
	memcpy(to, x, 16);
	memcpy(to + 16, x + 12, 16);
	secret_wipe(x, sizeof(x));
}

/* The first 16 bytes of the nonce go into the key, the last 8 into the short nonce. */
static void derive(const uint8_t key[AEAD_KEY_SIZE], const uint8_t nonce[XCHACHA_NONCE_SIZE],
		   uint8_t ret_key[AEAD_KEY_SIZE], uint8_t ret_nonce[AEAD_NONCE_SIZE])
{
	hchacha20(key, nonce, ret_key);
	memset(ret_nonce, 0, 4);
	memcpy(ret_nonce + 4, nonce + 16, 8);
}

int xchacha_seal(const uint8_t key[AEAD_KEY_SIZE], const uint8_t nonce[XCHACHA_NONCE_SIZE],
		 const void *associated, size_t associated_size, const uint8_t *from, size_t size,
		 uint8_t *to)
{
	uint8_t short_nonce[AEAD_NONCE_SIZE];
	uint8_t subkey[AEAD_KEY_SIZE];
	int r;

	derive(key, nonce, subkey, short_nonce);
	r = aead_seal_once(subkey, short_nonce, associated, associated_size, from, size, to);
	secret_wipe(subkey, sizeof(subkey));
	return r;
}

int xchacha_open(const uint8_t key[AEAD_KEY_SIZE], const uint8_t nonce[XCHACHA_NONCE_SIZE],
		 const void *associated, size_t associated_size, const uint8_t *from, size_t size,
		 uint8_t *to)
{
	uint8_t short_nonce[AEAD_NONCE_SIZE];
	uint8_t subkey[AEAD_KEY_SIZE];
	int r;

	derive(key, nonce, subkey, short_nonce);
	r = aead_open_once(subkey, short_nonce, associated, associated_size, from, size, to);
	secret_wipe(subkey, sizeof(subkey));
	return r;
}
