/*
 * Arithmetic modulo p = 2^255 - 19, once in each 64-bit lane of a vector
 *
 * For dh_avx2.c and dh_avx2_base.c, on processors with AVX2.
 *
 * Numbers are in ten limbs of 26 and 25 bits in turn, all of them positive, so that products of limbs fit
 * the multiplication of 32 by 32 bits and ten of those, some of them times 38, fit 64 bits. A number is
 * "reduced" where its limbs have no more than their bits, but for limbs 1 and 6 that may be above by
 * 2^17; what mul() and square() give is. Sums and differences of reduced numbers are not, and need not be
 * to be multiplied. Counted in reduced numbers, where a difference counts for two more than its first
 * number, mul() takes up to five of them as its first number and three as its second one, and square()
 * three: nineteen times a limb of those are below 2^32, and the sums of products below 2^64.
 *
 * There is no branch and no address that depends on a number.
 */
#pragma once

#include <endian.h>
#include <immintrin.h>
#include <string.h>

#include "base/secret.h"
#include "wireguard/dh_avx2.h"

#define LANES DH_AVX2_LANES
#define LIMBS 10
#define BITS(limb) ((limb) % 2 ? 25 : 26)
#define WORDS 4 /* of 64 bits, in a key */

#define TARGET __attribute__((target("avx2")))
#define INLINE static inline __attribute__((always_inline, target("avx2")))
#define UNROLL _Pragma("GCC unroll 16")

struct number {
	__m256i limb[LIMBS];
};

/* Has the compiler keep the order of what is added up: its own takes more registers than there are. */
INLINE void keep_in_registers(__m256i h[LIMBS])
{
	UNROLL
	for (int i = 0; i < LIMBS; i++)
		__asm__("" : "+x"(h[i]));
}

INLINE __m256i every(uint64_t value)
{
	return _mm256_set1_epi64x((long long)value);
}

/* Moves what limb @i has above its bits to the next one; from the last to the first, times 19. */
INLINE void carry(__m256i h[LIMBS], int i)
{
	__m256i above = _mm256_srli_epi64(h[i], BITS(i));

	h[i] = _mm256_and_si256(h[i], every((UINT64_C(1) << BITS(i)) - 1));
	if (i < LIMBS - 1) {
		h[i + 1] = _mm256_add_epi64(h[i + 1], above);
		return;
	}
	h[0] = _mm256_add_epi64(h[0], above);
	h[0] = _mm256_add_epi64(h[0], _mm256_slli_epi64(above, 1));
	h[0] = _mm256_add_epi64(h[0], _mm256_slli_epi64(above, 4));
}

/* Two chains, so that one need not wait for the other. */
INLINE void reduce(__m256i h[LIMBS])
{
	UNROLL
	for (int i = 0; i < LIMBS / 2; i++) {
		carry(h, i);
		carry(h, i + LIMBS / 2);
	}
	carry(h, 0);
	carry(h, LIMBS / 2);
}

INLINE void add(struct number *ret, const struct number *f, const struct number *g)
{
	UNROLL
	for (int i = 0; i < LIMBS; i++)
		ret->limb[i] = _mm256_add_epi64(f->limb[i], g->limb[i]);
}

/* Twice p is added, so that no limb is negative. */
INLINE void subtract(struct number *ret, const struct number *f, const struct number *g)
{
	UNROLL
	for (int i = 0; i < LIMBS; i++) {
		uint64_t twice_p = (UINT64_C(2) << BITS(i)) - (i == 0 ? 38 : 2);

		ret->limb[i] =
			_mm256_sub_epi64(_mm256_add_epi64(f->limb[i], every(twice_p)), g->limb[i]);
	}
}

/* Swaps two numbers in the lanes where @mask is all ones, and not where it is zero. */
INLINE void swap(struct number *f, struct number *g, __m256i mask)
{
	UNROLL
	for (int i = 0; i < LIMBS; i++) {
		__m256i change = _mm256_and_si256(mask, _mm256_xor_si256(f->limb[i], g->limb[i]));

		f->limb[i] = _mm256_xor_si256(f->limb[i], change);
		g->limb[i] = _mm256_xor_si256(g->limb[i], change);
	}
}

/* A product of limbs counts twice where both are odd, for their weights have a half bit more than that
 * of their sum, and 19 times where the sum is beyond the last limb. */
TARGET static void mul(struct number *ret, const struct number *f, const struct number *g)
{
	__m256i h[LIMBS], g19[LIMBS];

	UNROLL
	for (int j = 1; j < LIMBS; j++)
		g19[j] = _mm256_mul_epu32(g->limb[j], every(19));
	UNROLL
	for (int k = 0; k < LIMBS; k++)
		h[k] = _mm256_mul_epu32(f->limb[0], g->limb[k]);
	UNROLL
	for (int i = 1; i < LIMBS; i++) {
		__m256i once = f->limb[i];
		__m256i twice = _mm256_add_epi64(once, once);

		UNROLL
		for (int j = 0; j < LIMBS; j++) {
			int k = (i + j) % LIMBS;

			h[k] = _mm256_add_epi64(
				h[k], _mm256_mul_epu32(i % 2 && j % 2 ? twice : once,
						       i + j < LIMBS ? g->limb[j] : g19[j]));
		}
		keep_in_registers(h);
	}
	reduce(h);
	memcpy(ret->limb, h, sizeof(h));
}

/* As mul(), but products of two different limbs, which come twice, are computed once. */
TARGET static void square(struct number *ret, const struct number *f)
{
	__m256i h[LIMBS], f19[LIMBS];

	UNROLL
	for (int j = LIMBS / 2; j < LIMBS; j++)
		f19[j] = _mm256_mul_epu32(f->limb[j], every(19));
	UNROLL
	for (int k = 0; k < LIMBS; k++)
		h[k] = _mm256_setzero_si256();
	UNROLL
	for (int i = 0; i < LIMBS; i++) {
		__m256i once = f->limb[i];
		__m256i twice = _mm256_add_epi64(once, once);
		__m256i four_times = _mm256_add_epi64(twice, twice);

		UNROLL
		for (int j = i; j < LIMBS; j++) {
			int k = (i + j) % LIMBS;
			int times = (i == j ? 1 : 2) * (i % 2 && j % 2 ? 2 : 1);
			__m256i left = times == 1 ? once : times == 2 ? twice : four_times;

			h[k] = _mm256_add_epi64(
				h[k], _mm256_mul_epu32(left, i + j < LIMBS ? f->limb[j] : f19[j]));
		}
		keep_in_registers(h);
	}
	reduce(h);
	memcpy(ret->limb, h, sizeof(h));
}

TARGET static void square_times(struct number *ret, const struct number *f, int times)
{
	square(ret, f);
	while (--times > 0)
		square(ret, ret);
}

/* f^(p - 2), which is 1/f, or 0 for 0. The names tell how many ones the exponents have. */
TARGET static void invert(struct number *ret, const struct number *f)
{
	struct number f2, f9, f11, ones5, ones10, ones20, ones50, ones100, t;

	square(&f2, f);
	square_times(&t, &f2, 2);
	mul(&f9, &t, f);
	mul(&f11, &f9, &f2);
	square(&t, &f11);
	mul(&ones5, &t, &f9);
	square_times(&t, &ones5, 5);
	mul(&ones10, &t, &ones5);
	square_times(&t, &ones10, 10);
	mul(&ones20, &t, &ones10);
	square_times(&t, &ones20, 20);
	mul(&t, &t, &ones20);
	square_times(&t, &t, 10);
	mul(&ones50, &t, &ones10);
	square_times(&t, &ones50, 50);
	mul(&ones100, &t, &ones50);
	square_times(&t, &ones100, 100);
	mul(&t, &t, &ones100);
	square_times(&t, &t, 50);
	mul(&t, &t, &ones50);
	square_times(&t, &t, 5);
	mul(ret, &t, &f11);
}

static inline uint64_t word_of(const uint8_t key[DH_SIZE], int word)
{
	uint64_t value;

	memcpy(&value, key + 8 * word, sizeof(value));
	return le64toh(value);
}

/* The limb that begins at bit @at of a number whose last bit does not count. */
static inline uint64_t limb_of(const uint8_t key[DH_SIZE], int at, int bits)
{
	uint64_t value = word_of(key, at / 64) >> at % 64;

	if (at % 64 + bits > 64)
		value |= word_of(key, at / 64 + 1) << (64 - at % 64);
	return value & ((UINT64_C(1) << bits) - 1);
}

/* Writes a reduced number, which may be p or above by a little, as the one below p that it equals. */
static inline void write_number(uint64_t limb[LIMBS], uint8_t ret[DH_SIZE])
{
	uint64_t words[WORDS + 1] = { 0 };
	uint64_t over = 19;

	for (int i = 0; i < LIMBS; i++) /* does it reach 2^255 with 19 more? */
		over = (limb[i] + over) >> BITS(i);
	limb[0] += 19 * over;
	for (int i = 0, at = 0; i < LIMBS; at += BITS(i), i++) {
		uint64_t value = limb[i] & ((UINT64_C(1) << BITS(i)) - 1);

		if (i < LIMBS - 1)
			limb[i + 1] += limb[i] >> BITS(i);
		words[at / 64] |= value << at % 64;
		if (at % 64 + BITS(i) > 64)
			words[at / 64 + 1] |= value >> (64 - at % 64);
	}
	for (int i = 0; i < WORDS; i++) {
		uint64_t le = htole64(words[i]);

		memcpy(ret + 8 * i, &le, sizeof(le));
	}
	secret_wipe(words, sizeof(words));
}

/* Writes the number of one lane. */
static inline void write_lane(const struct number *number, size_t lane, uint8_t ret[DH_SIZE])
{
	uint64_t lanes[LIMBS][LANES], limbs[LIMBS];

	memcpy(lanes, number->limb, sizeof(lanes));
	for (int limb = 0; limb < LIMBS; limb++)
		limbs[limb] = lanes[limb][lane];
	write_number(limbs, ret);
	secret_wipe(lanes, sizeof(lanes));
	secret_wipe(limbs, sizeof(limbs));
}
