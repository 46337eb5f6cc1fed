#include "wireguard/aead_lanes.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define SET aead_avx512
#define NAME "AVX-512"
#define WIDTH 64
#define TARGET __attribute__((target("avx512f")))
#define INLINE static inline __attribute__((always_inline, target("avx512f")))
#define UNROLL _Pragma("GCC unroll 16") /* so that the vectors of a loop stay in registers */

typedef uint32_t words __attribute__((vector_size(WIDTH)));
typedef uint64_t limbs __attribute__((vector_size(WIDTH)));
typedef limbs factors;

INLINE factors to_factors(limbs v)
{
	return v;
}

INLINE limbs multiply_add(limbs sum, factors a, factors b)
{
	return sum + (limbs)_mm512_mul_epu32((__m512i)a, (__m512i)b);
}

INLINE words rotate(words v, int bits)
{
	return v << bits | v >> (32 - bits); /* one instruction */
}

/* A vector holds one word of each lane; afterwards it holds the sixteen words of one lane. */
INLINE void transpose(words rows[16])
{
	__m512i *v = (void *)rows;
	__m512i other[16];

	UNROLL
	for (int i = 0; i < 16; i += 2) {
		other[i] = _mm512_unpacklo_epi32(v[i], v[i + 1]);
		other[i + 1] = _mm512_unpackhi_epi32(v[i], v[i + 1]);
	}
	/* Four words of lanes k, 4 + k, 8 + k and 12 + k are in v[i + k]. */
	UNROLL
	for (int i = 0; i < 16; i += 4) {
		v[i] = _mm512_unpacklo_epi64(other[i], other[i + 2]);
		v[i + 1] = _mm512_unpackhi_epi64(other[i], other[i + 2]);
		v[i + 2] = _mm512_unpacklo_epi64(other[i + 1], other[i + 3]);
		v[i + 3] = _mm512_unpackhi_epi64(other[i + 1], other[i + 3]);
	}
	UNROLL
	for (int k = 0; k < 4; k++) {
		__m512i low01 = _mm512_shuffle_i32x4(v[k], v[4 + k], 0x44);
		__m512i low23 = _mm512_shuffle_i32x4(v[8 + k], v[12 + k], 0x44);
		__m512i high01 = _mm512_shuffle_i32x4(v[k], v[4 + k], 0xee);
		__m512i high23 = _mm512_shuffle_i32x4(v[8 + k], v[12 + k], 0xee);

		other[k] = _mm512_shuffle_i32x4(low01, low23, 0x88);
		other[4 + k] = _mm512_shuffle_i32x4(low01, low23, 0xdd);
		other[8 + k] = _mm512_shuffle_i32x4(high01, high23, 0x88);
		other[12 + k] = _mm512_shuffle_i32x4(high01, high23, 0xdd);
	}
	UNROLL
	for (int i = 0; i < 16; i++)
		v[i] = other[i];
}

/* 16 bytes of each of four packets, every second one. */
INLINE __m512i load_four(const uint8_t *const from[7], size_t at)
{
	__m512i v = _mm512_castsi128_si512(_mm_loadu_si128((const void *)(from[0] + at)));

	v = _mm512_inserti32x4(v, _mm_loadu_si128((const void *)(from[2] + at)), 1);
	v = _mm512_inserti32x4(v, _mm_loadu_si128((const void *)(from[4] + at)), 2);
	return _mm512_inserti32x4(v, _mm_loadu_si128((const void *)(from[6] + at)), 3);
}

/* 16 bytes of each of eight packets, as their lower and upper halves. */
INLINE void load_pairs(const uint8_t *const from[8], size_t at, limbs *low, limbs *high)
{
	__m512i even = load_four(from, at), odd = load_four(from + 1, at);

	*low = (limbs)_mm512_unpacklo_epi64(even, odd);
	*high = (limbs)_mm512_unpackhi_epi64(even, odd);
}

#include "wireguard/aead_lanes_code.h"

#endif
