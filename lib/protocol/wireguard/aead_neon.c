#include "wireguard/aead_lanes.h"

#if defined(__aarch64__)

#include <arm_neon.h>

#define SET aead_neon
#define NAME "NEON"
#define WIDTH 16
#define TARGET
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16") /* so that the vectors of a loop stay in registers */

typedef uint32_t words __attribute__((vector_size(WIDTH)));
typedef uint64_t limbs __attribute__((vector_size(WIDTH)));
typedef uint32x2_t factors;

INLINE factors to_factors(limbs v)
{
	return vmovn_u64((uint64x2_t)v);
}

INLINE limbs multiply_add(limbs sum, factors a, factors b)
{
	return (limbs)vmlal_u32((uint64x2_t)sum, a, b);
}

INLINE words rotate(words v, int bits)
{
	if (bits == 16)
		return (words)vrev32q_u16((uint16x8_t)v);
	return v << bits | v >> (32 - bits);
}

/* A vector holds one word of each lane; afterwards it holds four words of one lane. */
INLINE void transpose(words v[4])
{
	uint64x2_t low01 = (uint64x2_t)vzip1q_u32((uint32x4_t)v[0], (uint32x4_t)v[1]);
	uint64x2_t high01 = (uint64x2_t)vzip2q_u32((uint32x4_t)v[0], (uint32x4_t)v[1]);
	uint64x2_t low23 = (uint64x2_t)vzip1q_u32((uint32x4_t)v[2], (uint32x4_t)v[3]);
	uint64x2_t high23 = (uint64x2_t)vzip2q_u32((uint32x4_t)v[2], (uint32x4_t)v[3]);

	v[0] = (words)vzip1q_u64(low01, low23);
	v[1] = (words)vzip2q_u64(low01, low23);
	v[2] = (words)vzip1q_u64(high01, high23);
	v[3] = (words)vzip2q_u64(high01, high23);
}

/* 16 bytes of each of two packets, as their lower and upper halves. */
INLINE void load_pairs(const uint8_t *const from[2], size_t at, limbs *low, limbs *high)
{
	uint64x2_t even = vreinterpretq_u64_u8(vld1q_u8(from[0] + at));
	uint64x2_t odd = vreinterpretq_u64_u8(vld1q_u8(from[1] + at));

	*low = (limbs)vzip1q_u64(even, odd);
	*high = (limbs)vzip2q_u64(even, odd);
}

#include "wireguard/aead_lanes_code.h"

#endif
