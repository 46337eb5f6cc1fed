#include "wireguard/aead_lanes.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define SET aead_avx2
#define NAME "AVX2"
#define WIDTH 32
#define TARGET __attribute__((target("avx2,bmi2")))
#define INLINE static inline __attribute__((always_inline, target("avx2,bmi2")))
#define UNROLL _Pragma("GCC unroll 16") /* so that the vectors of a loop stay in registers */

typedef uint32_t words __attribute__((vector_size(WIDTH)));

/* Whole bytes are moved, which takes one instruction. */
INLINE words rotate(words v, int bits)
{
	const __m256i by_16 = _mm256_set_epi64x(0x0d0c0f0e09080b0a, 0x0504070601000302,
						0x0d0c0f0e09080b0a, 0x0504070601000302);
	const __m256i by_8 = _mm256_set_epi64x(0x0e0d0c0f0a09080b, 0x0605040702010003,
					       0x0e0d0c0f0a09080b, 0x0605040702010003);

	if (bits == 16)
		return (words)_mm256_shuffle_epi8((__m256i)v, by_16);
	if (bits == 8)
		return (words)_mm256_shuffle_epi8((__m256i)v, by_8);
	return v << bits | v >> (32 - bits);
}

/* A vector holds one word of each lane; afterwards it holds eight words of one lane. */
INLINE void transpose(words rows[8])
{
	__m256i *v = (void *)rows;
	__m256i pairs[8], quads[8];

	UNROLL
	for (int i = 0; i < 8; i += 2) {
		pairs[i] = _mm256_unpacklo_epi32(v[i], v[i + 1]);
		pairs[i + 1] = _mm256_unpackhi_epi32(v[i], v[i + 1]);
	}
	UNROLL
	for (int i = 0; i < 8; i += 4) {
		quads[i] = _mm256_unpacklo_epi64(pairs[i], pairs[i + 2]);
		quads[i + 1] = _mm256_unpackhi_epi64(pairs[i], pairs[i + 2]);
		quads[i + 2] = _mm256_unpacklo_epi64(pairs[i + 1], pairs[i + 3]);
		quads[i + 3] = _mm256_unpackhi_epi64(pairs[i + 1], pairs[i + 3]);
	}
	UNROLL
	for (int i = 0; i < 4; i++) {
		v[i] = _mm256_permute2x128_si256(quads[i], quads[i + 4], 0x20);
		v[i + 4] = _mm256_permute2x128_si256(quads[i], quads[i + 4], 0x31);
	}
}

#include "wireguard/aead_interleaved_code.h"

#endif
