/*
 * ChaCha20-Poly1305 of several packets at once, for processors with AVX2
 *
 * Inside this folder; aead.h chooses it. A group is at most AEAD_AVX2_LANES packets under one key. The
 * time it takes depends on the sizes alone. Only to be called where aead_avx2_available() says so.
 */
#pragma once

#include "wireguard/aead.h"

#define AEAD_AVX2_LANES 8

bool aead_avx2_available(void);

/*
 * Whether the group is done sooner here than one packet after the other by libcrypto: many small packets
 * are, a few large ones are not.
 */
bool aead_avx2_pays(const struct aead_packet *packets, size_t count);

void aead_avx2_seal(const uint8_t key[AEAD_KEY_SIZE], struct aead_packet *packets, size_t count);
void aead_avx2_open(const uint8_t key[AEAD_KEY_SIZE], struct aead_packet *packets, size_t count);
