/*
 * X25519 of several keys at once, for processors with AVX2
 *
 * Inside this folder; dh.h chooses it. The time it takes is the same for one and for DH_AVX2_LANES of
 * them, and depends on nothing else. Only to be called where dh_avx2_available() says so.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wireguard/dh.h"

#define DH_AVX2_LANES 4

struct dh_avx2_pair {
	const uint8_t *private_key; /* is taken as if it were clamped */
	const uint8_t *public_key;
	uint8_t *secret; /* out; zero for a public key of low order */
};

/* Of a public key that is wanted. */
struct dh_avx2_half {
	const uint8_t *private_key; /* is taken as if it were clamped */
	uint8_t *public_key; /* out */
};

bool dh_avx2_available(void);

/* Whether so many are done sooner here than one after the other by libraries. */
bool dh_avx2_pays(size_t count);

/* @count: 1 to DH_AVX2_LANES. */
void dh_avx2_shared(const struct dh_avx2_pair *pairs, size_t count);

/* Makes the table that dh_avx2_public() needs, 15 KiB, unless it is there: else the first call does. */
void dh_avx2_prepare(void);

/* @count: 1 to DH_AVX2_LANES. */
void dh_avx2_public(const struct dh_avx2_half *halves, size_t count);
