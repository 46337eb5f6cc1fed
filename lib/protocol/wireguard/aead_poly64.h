/*
 * Poly1305 (RFC 8439 section 2.5) of one packet, in the 64-bit registers of x86-64
 *
 * For code that makes key stream in vectors meanwhile: the processor does both at once where their
 * instructions stand close to each other. The sum is a number of 130 bits in three registers. Needs
 * BMI2. Compilers take twice the time for the same in C, for they do not keep carries in the flag.
 *
 * There is no branch and no address that depends on a key or on the data.
 */
#pragma once

#include <string.h>

#include "wireguard/aead.h"

#define POLY64_KEY 32
#define POLY64_STEP 16

/* In this order, compilers do not keep two parts of the sum in one vector. */
struct poly64 {
	uint64_t h0, r0; /* the sum is h2, h1, h0; the first half of the key is r1, r0 */
	uint64_t h1, r1;
	uint64_t h2, s1; /* r1 * 5 / 4: what wraps around of a product with r1 */
};

static inline void poly64_start(struct poly64 *p, const uint8_t key[POLY64_KEY])
{
	*p = (struct poly64){ 0 };
	memcpy(&p->r0, key, sizeof(p->r0));
	memcpy(&p->r1, key + sizeof(p->r0), sizeof(p->r1));
	p->r0 &= 0x0ffffffc0fffffff;
	p->r1 &= 0x0ffffffc0ffffffc;
	p->s1 = p->r1 + (p->r1 >> 2);
}

/*
 * Takes in the 16 bytes at @from: h = (h + block + 2^128) * r modulo 2^130 - 5, where h stays a little
 * above 2^130. A macro, as the sum is in variables of the caller that have no address.
 */
#define POLY64_TAKE(p, h0, h1, h2, from)                                                           \
	do {                                                                                       \
		uint64_t a0_, a1_, b0_, b1_, t_, factor_ = (p)->r0;                                \
                                                                                                   \
		__asm__("addq (%[m]), %[h0_]\n\t"                                                  \
			"adcq 8(%[m]), %[h1_]\n\t"                                                 \
			"adcq $1, %[h2_]\n\t"                                                      \
			"mulxq %[h0_], %[a0], %[a1]\n\t" /* a = r0 * h0 */                         \
			"mulxq %[h1_], %[b0], %[b1]\n\t" /* b = r0 * h1 */                         \
			"movq %[r1], %%rdx\n\t"                                                    \
			"mulxq %[h0_], %[h0_], %[t]\n\t" /* b += r1 * h0 */                        \
			"addq %[h0_], %[b0]\n\t"                                                   \
			"adcq %[t], %[b1]\n\t"                                                     \
			"movq %[s1], %%rdx\n\t"                                                    \
			"mulxq %[h1_], %[h0_], %[t]\n\t" /* t, h0 = s1 * h1 */                     \
			"movq %[h2_], %[h1_]\n\t"                                                  \
			"imulq %[r0], %[h2_]\n\t" /* h2 = r0 * h2 */                               \
			"imulq %%rdx, %[h1_]\n\t" /* h1 = s1 * h2 */                               \
			"addq %[a0], %[h0_]\n\t"                                                   \
			"adcq %[t], %[a1]\n\t"                                                     \
			"addq %[b0], %[h1_]\n\t"                                                   \
			"adcq %[b1], %[h2_]\n\t"                                                   \
			"addq %[a1], %[h1_]\n\t"                                                   \
			"adcq $0, %[h2_]\n\t"                                                      \
			"movq %[h2_], %[t]\n\t" /* what is above 130 bits, times five */           \
			"movq %[h2_], %[a0]\n\t"                                                   \
			"shrq $2, %[t]\n\t"                                                        \
			"andq $-4, %[a0]\n\t"                                                      \
			"andl $3, %k[h2_]\n\t"                                                     \
			"addq %[a0], %[t]\n\t"                                                     \
			"addq %[t], %[h0_]\n\t"                                                    \
			"adcq $0, %[h1_]\n\t"                                                      \
			"adcq $0, %[h2_]\n\t"                                                      \
			: [h0_] "+&r"(h0), [h1_] "+&r"(h1), [h2_] "+&r"(h2), [a0] "=&r"(a0_),      \
			  [a1] "=&r"(a1_), [b0] "=&r"(b0_), [b1] "=&r"(b1_), [t] "=&r"(t_),        \
			  "+&d"(factor_)                                                           \
			: [m] "r"(from), [r0] "m"((p)->r0), [r1] "m"((p)->r1), [s1] "m"((p)->s1),  \
			  "m"(*(const uint8_t(*)[POLY64_STEP])(from))                              \
			: "cc");                                                                   \
	} while (0)

static inline void poly64_take(struct poly64 *p, const uint8_t *from, size_t steps)
{
	uint64_t h0 = p->h0, h1 = p->h1, h2 = p->h2;

	for (; steps > 0; steps--, from += POLY64_STEP)
		POLY64_TAKE(p, h0, h1, h2, from);
	p->h0 = h0;
	p->h1 = h1;
	p->h2 = h2;
}

/* Reduces the sum and adds the second half of the key. */
static inline void poly64_finish(const struct poly64 *p, const uint8_t key[POLY64_KEY],
				 uint8_t tag[AEAD_TAG_SIZE])
{
	unsigned __int128 sum;
	uint64_t pad[2], low, high, keep;

	/* The sum less the modulus: plus 5 and without 2^130. */
	sum = (unsigned __int128)p->h0 + 5;
	low = (uint64_t)sum;
	sum = (unsigned __int128)p->h1 + (uint64_t)(sum >> 64);
	high = (uint64_t)sum;
	keep = ((p->h2 + (uint64_t)(sum >> 64)) >> 2) - 1; /* ones: the sum is below the modulus */
	low = (p->h0 & keep) | (low & ~keep);
	high = (p->h1 & keep) | (high & ~keep);

	memcpy(pad, key + sizeof(pad), sizeof(pad));
	sum = (unsigned __int128)low + pad[0];
	low = (uint64_t)sum;
	high += pad[1] + (uint64_t)(sum >> 64);
	memcpy(tag, &low, sizeof(low));
	memcpy(tag + sizeof(low), &high, sizeof(high));
}
