/*
 * The Montgomery ladder of RFC 7748 section 5, once in each 64-bit lane of a vector
 *
 * There is no branch and no address that depends on a key.
 */
#include "wireguard/dh_avx2.h"

#if defined(__x86_64__)

#include "wireguard/dh_avx2_field.h"

#define A24 121665 /* (A - 2) / 4 of the curve */
#define TOP_BIT 254 /* of a clamped private key */

struct ladder {
	__m256i scalar[WORDS];
	struct number base; /* the x coordinate of the public key */
	struct number x2, z2, x3, z3;
};

bool dh_avx2_available(void)
{
	return __builtin_cpu_supports("avx2");
}

/* Measured: a group takes less time than two of libcrypto's. */
bool dh_avx2_pays(size_t count)
{
	return count >= 2;
}

/* f + A24 * e */
TARGET static void add_times_a24(struct number *ret, const struct number *f, const struct number *e)
{
	__m256i h[LIMBS];

	UNROLL
	for (int i = 0; i < LIMBS; i++)
		h[i] = _mm256_add_epi64(f->limb[i], _mm256_mul_epu32(e->limb[i], every(A24)));
	reduce(h);
	memcpy(ret->limb, h, sizeof(h));
}

/* One step of the ladder; the names are those of the RFC. */
TARGET static void climb(struct ladder *l)
{
	struct number a, aa, b, bb, e, c, d, da, cb;

	add(&a, &l->x2, &l->z2);
	subtract(&b, &l->x2, &l->z2);
	add(&c, &l->x3, &l->z3);
	subtract(&d, &l->x3, &l->z3);
	mul(&da, &d, &a);
	mul(&cb, &c, &b);
	square(&aa, &a);
	square(&bb, &b);
	add(&c, &da, &cb);
	subtract(&d, &da, &cb);
	square(&l->x3, &c);
	square(&d, &d);
	mul(&l->z3, &d, &l->base);
	mul(&l->x2, &aa, &bb);
	subtract(&e, &aa, &bb);
	add_times_a24(&b, &aa, &e);
	mul(&l->z2, &b, &e);
}

TARGET static void begin(struct ladder *l, const struct dh_avx2_pair *pairs, size_t count)
{
	uint64_t lanes[LANES];

	memset(l, 0, sizeof(*l));
	for (int word = 0; word < WORDS; word++) {
		for (size_t i = 0; i < LANES; i++) {
			uint8_t clamped[DH_SIZE];

			memcpy(clamped, pairs[i < count ? i : 0].private_key, DH_SIZE);
			dh_clamp(clamped);
			lanes[i] = word_of(clamped, word);
			secret_wipe(clamped, sizeof(clamped));
		}
		l->scalar[word] = _mm256_loadu_si256((const __m256i *)lanes);
	}
	secret_wipe(lanes, sizeof(lanes));
	for (int limb = 0, at = 0; limb < LIMBS; at += BITS(limb), limb++) {
		for (size_t i = 0; i < LANES; i++)
			lanes[i] = limb_of(pairs[i < count ? i : 0].public_key, at, BITS(limb));
		l->base.limb[limb] = _mm256_loadu_si256((const __m256i *)lanes);
	}
	l->x2.limb[0] = every(1);
	l->x3 = l->base;
	l->z3.limb[0] = every(1);
}

TARGET static void run(struct ladder *l)
{
	__m256i swapped = _mm256_setzero_si256();

	for (int at = TOP_BIT; at >= 0; at--) {
		__m256i bit = _mm256_srl_epi64(l->scalar[at / 64], _mm_cvtsi32_si128(at % 64));
		__m256i wanted =
			_mm256_sub_epi64(_mm256_setzero_si256(), _mm256_and_si256(bit, every(1)));
		__m256i mask = _mm256_xor_si256(swapped, wanted);

		swap(&l->x2, &l->x3, mask);
		swap(&l->z2, &l->z3, mask);
		swapped = wanted;
		climb(l);
	}
	swap(&l->x2, &l->x3, swapped);
	swap(&l->z2, &l->z3, swapped);
}

TARGET static void finish(struct ladder *l, const struct dh_avx2_pair *pairs, size_t count)
{
	invert(&l->z3, &l->z2);
	mul(&l->x3, &l->x2, &l->z3);
	for (size_t i = 0; i < count; i++)
		write_lane(&l->x3, i, pairs[i].secret);
}

void dh_avx2_shared(const struct dh_avx2_pair *pairs, size_t count)
{
	struct ladder ladder;

	begin(&ladder, pairs, count);
	run(&ladder);
	finish(&ladder, pairs, count);
	secret_wipe(&ladder, sizeof(ladder));
}

#else

#include <assert.h>

bool dh_avx2_available(void)
{
	return false;
}

bool dh_avx2_pays(size_t count)
{
	return false;
}

void dh_avx2_shared(const struct dh_avx2_pair *pairs, size_t count)
{
	assert(false);
}

#endif
