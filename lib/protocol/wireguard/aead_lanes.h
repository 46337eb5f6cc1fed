/*
 * ChaCha20-Poly1305 of several packets at once, by a processor's vectors
 *
 * Inside this folder; aead.h chooses among these and libcrypto. The key stream is one code for several
 * instruction sets (aead_chacha_code.h), each in a file of its own. Tags are made in vectors, too
 * (aead_lanes_code.h), or on AVX2 beside them (aead_interleaved_code.h). The time that a call takes
 * depends on the sizes of the packets alone.
 */
#pragma once

#include "wireguard/aead.h"

#define AEAD_LANES_MAX 16 /* packets of a group, on any processor */
#define AEAD_LANES_SETS 3 /* instruction sets of any one processor, at most */

struct aead_lanes {
	const char *name; /* of the instruction set */
	size_t group; /* packets that are done side by side, at most AEAD_LANES_MAX */
	size_t blocks; /* of 64 bytes, of whatever packets, that the cipher makes at once */
	/* A group of 1 to `group` packets under one key. */
	void (*seal)(const uint8_t key[AEAD_KEY_SIZE], struct aead_packet *packets, size_t count);
	void (*open)(const uint8_t key[AEAD_KEY_SIZE], struct aead_packet *packets, size_t count);
};

#if defined(__x86_64__)
extern const struct aead_lanes aead_avx512, aead_avx2;
#elif defined(__aarch64__)
extern const struct aead_lanes aead_neon;
#endif

/* Those that this processor can run, the widest first. Returns how many. */
size_t aead_lanes_supported(const struct aead_lanes *ret[AEAD_LANES_SETS]);
