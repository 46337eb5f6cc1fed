/*
 * The initial state of BLAKE2s and its rounds (RFC 7693, sections 2.6, 2.7 and 3.2)
 *
 * For one message as for many side by side: what a word is, and how four of them are mixed, is the includer's.
 */
#pragma once

#include <stdint.h>

static const uint32_t blake2s_initial[8] = {
	0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
	0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
};

static const uint8_t blake2s_sigma[10][16] = {
	{ 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 },
	{ 14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3 },
	{ 11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4 },
	{ 7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8 },
	{ 9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13 },
	{ 2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9 },
	{ 12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11 },
	{ 13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10 },
	{ 6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5 },
	{ 10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0 },
};

/*
 * All ten rounds over the 16 words of @v, with those of the block, @m, by mix(v, a, b, c, d, x, y). Unrolled, the
 * permutation costs nothing and the state stays in registers: twice as fast.
 */
#define BLAKE2S_ROUNDS(mix, v, m)                                                                  \
	do {                                                                                       \
		_Pragma("GCC unroll 10") for (int i_ = 0; i_ < 10; i_++)                           \
		{                                                                                  \
			const uint8_t *p_ = blake2s_sigma[i_];                                     \
                                                                                                   \
			mix(v, 0, 4, 8, 12, (m)[p_[0]], (m)[p_[1]]);                               \
			mix(v, 1, 5, 9, 13, (m)[p_[2]], (m)[p_[3]]);                               \
			mix(v, 2, 6, 10, 14, (m)[p_[4]], (m)[p_[5]]);                              \
			mix(v, 3, 7, 11, 15, (m)[p_[6]], (m)[p_[7]]);                              \
			mix(v, 0, 5, 10, 15, (m)[p_[8]], (m)[p_[9]]);                              \
			mix(v, 1, 6, 11, 12, (m)[p_[10]], (m)[p_[11]]);                            \
			mix(v, 2, 7, 8, 13, (m)[p_[12]], (m)[p_[13]]);                             \
			mix(v, 3, 4, 9, 14, (m)[p_[14]], (m)[p_[15]]);                             \
		}                                                                                  \
	} while (0)
