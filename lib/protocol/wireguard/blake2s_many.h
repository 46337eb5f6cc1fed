/*
 * The hashes of several handshakes at once
 *
 * Handshakes take the same steps over data of the same sizes, so that each lane of a vector can take those
 * of one: eight at once take about as long as one. Without AVX2, or for one alone, it is blake2s.h.
 * No branch and no address depends on what is hashed.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "wireguard/blake2s.h"

#define BLAKE2S_MANY 8 /* the most at once */
#define BLAKE2S_MANY_DATA 96 /* the most bytes that are hashed after the first part */

/*
 * @count, up to BLAKE2S_MANY: each of @to is the hash of BLAKE2S_SIZE bytes of @a and @b_size bytes of @b. It may be
 * where one of its parts is.
 */
void blake2s_hash_many(uint8_t *const *to, const uint8_t *const *a, const uint8_t *const *b,
		       size_t b_size, size_t count);

/* blake2s_kdf() for each. @size: 0 or BLAKE2S_SIZE. @second and @third may be NULL. An output may be where
 * its key is. */
void blake2s_kdf_many(const uint8_t *const *keys, const uint8_t *const *inputs, size_t size,
		      uint8_t *const *first, uint8_t *const *second, uint8_t *const *third,
		      size_t count);
