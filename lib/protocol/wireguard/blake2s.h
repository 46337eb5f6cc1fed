/*
 * BLAKE2s (RFC 7693), its HMAC, and the key derivation of WireGuard on top
 *
 * libcrypto has the plain hash with 32 bytes of output only; WireGuard needs the keyed mode and
 * short outputs as well. No allocation; the final functions wipe the state.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define BLAKE2S_SIZE 32 /* of a full output, and the longest key */
#define BLAKE2S_BLOCK 64

struct blake2s {
	uint32_t h[8];
	uint64_t counted; /* bytes compressed so far */
	uint8_t block[BLAKE2S_BLOCK];
	size_t filled;
	size_t size; /* of the output */
};

/* @size: 1 to 32. @key_size: 0 to 32; 0 means the plain hash. */
void blake2s_init(struct blake2s *s, size_t size, const void *key, size_t key_size);
void blake2s_update(struct blake2s *s, const void *data, size_t size);
void blake2s_final(struct blake2s *s, uint8_t *to);

/* The 32 byte hash of up to two parts, one after the other. */
void blake2s_hash(uint8_t to[BLAKE2S_SIZE], const void *a, size_t a_size, const void *b,
		  size_t b_size);

/* The keyed hash of one message. */
void blake2s_mac(uint8_t *to, size_t size, const void *key, size_t key_size, const void *data,
		 size_t data_size);

/* HMAC (RFC 2104) with BLAKE2s as the hash; @key is at most BLAKE2S_BLOCK bytes. */
void blake2s_hmac(uint8_t to[BLAKE2S_SIZE], const void *key, size_t key_size, const void *data,
		  size_t size);

/*
 * KDF1, KDF2, KDF3 of the WireGuard paper: HKDF (RFC 5869) without info. @second and @third may be
 * NULL where they are not wanted; @first may be the same memory as @key.
 */
void blake2s_kdf(const uint8_t key[BLAKE2S_SIZE], const void *input, size_t size,
		 uint8_t first[BLAKE2S_SIZE], uint8_t second[BLAKE2S_SIZE],
		 uint8_t third[BLAKE2S_SIZE]);
