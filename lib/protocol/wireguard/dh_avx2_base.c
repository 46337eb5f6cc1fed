/*
 * Public keys: multiples of the base point, once in each 64-bit lane of a vector
 *
 * The curve in its twisted Edwards form -x^2 + y^2 = 1 + d x^2 y^2, where one formula adds any two points
 * (Hisil, Wong, Carter, Dawson: Twisted Edwards curves revisited, 2008). A private key is 64 digits from
 * -8 to 8 of 16^i each. A table has the multiples 1 to 8 of 16 points, each of which is 16^4 times the
 * one before, so that every fourth digit takes one addition, and all digits four passes with four
 * doublings between them.
 *
 * There is no branch and no address that depends on a key: of each row of the table all is read.
 */
#include "wireguard/dh_avx2.h"

#if defined(__x86_64__)

#include <pthread.h>

#include "wireguard/dh_avx2_field.h"

#define DIGITS 64
#define PASSES 4
#define ROWS (DIGITS / PASSES)
#define MULTIPLES 8 /* in a row */
#define PARTS 3

/* A point (X/Z, Y/Z), and T = XY/Z. */
struct point {
	struct number x, y, z, t;
};

/* What adding a point (x, y) takes: y + x, y - x, 2dxy. */
struct addend {
	struct number part[PARTS];
};

static uint32_t table[ROWS][MULTIPLES][PARTS][LIMBS];
static pthread_once_t table_once = PTHREAD_ONCE_INIT;

/* The base point, whose y is 4/5, and 2d = -243330/121666. */
static const uint8_t base_x[DH_SIZE] = {
	0x1a, 0xd5, 0x25, 0x8f, 0x60, 0x2d, 0x56, 0xc9, 0xb2, 0xa7, 0x25,
	0x95, 0x60, 0xc7, 0x2c, 0x69, 0x5c, 0xdc, 0xd6, 0xfd, 0x31, 0xe2,
	0xa4, 0xc0, 0xfe, 0x53, 0x6e, 0xcd, 0xd3, 0x36, 0x69, 0x21,
};
static const uint8_t base_y[DH_SIZE] = {
	0x58, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
	0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
	0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
};
static const uint8_t twice_d[DH_SIZE] = {
	0x59, 0xf1, 0xb2, 0x26, 0x94, 0x9b, 0xd6, 0xeb, 0x56, 0xb1, 0x83,
	0x82, 0x9a, 0x14, 0xe0, 0x00, 0x30, 0xd1, 0xf3, 0xee, 0xf2, 0x80,
	0x8e, 0x19, 0xe7, 0xfc, 0xdf, 0x56, 0xdc, 0xd9, 0x06, 0x24,
};

/* The same number in all lanes. */
TARGET static void read_number(struct number *ret, const uint8_t bytes[DH_SIZE])
{
	for (int limb = 0, at = 0; limb < LIMBS; at += BITS(limb), limb++)
		ret->limb[limb] = every(limb_of(bytes, at, BITS(limb)));
}

TARGET static void add_point(struct point *p, const struct addend *q)
{
	struct number a, b, c, d, e, f, g, h;

	subtract(&a, &p->y, &p->x);
	mul(&a, &a, &q->part[1]);
	add(&b, &p->y, &p->x);
	mul(&b, &b, &q->part[0]);
	mul(&c, &p->t, &q->part[2]);
	add(&d, &p->z, &p->z);
	subtract(&e, &b, &a);
	subtract(&f, &d, &c);
	add(&g, &d, &c);
	add(&h, &b, &a);
	mul(&p->x, &f, &e);
	mul(&p->y, &g, &h);
	mul(&p->z, &f, &g);
	mul(&p->t, &e, &h);
}

TARGET static void double_point(struct point *p)
{
	struct number xx, yy, e, f, g, h;

	square(&xx, &p->x);
	square(&yy, &p->y);
	square(&f, &p->z);
	mul(&e, &p->x, &p->y);
	add(&e, &e, &e);
	add(&h, &yy, &xx);
	subtract(&g, &yy, &xx);
	add(&f, &f, &f); /* five reduced numbers in the end: as many as mul() takes */
	add(&f, &f, &xx);
	subtract(&f, &f, &yy);
	mul(&p->x, &f, &e);
	mul(&p->y, &g, &h);
	mul(&p->z, &f, &g);
	mul(&p->t, &e, &h);
}

TARGET static void make_addend(struct addend *ret, const struct point *p, const struct number *d2)
{
	struct number x, y;

	invert(&y, &p->z);
	mul(&x, &p->x, &y);
	mul(&y, &p->y, &y);
	add(&ret->part[0], &y, &x);
	subtract(&ret->part[1], &y, &x);
	mul(&ret->part[2], &x, &y);
	mul(&ret->part[2], &ret->part[2], d2);
}

/* A limb of numbers that are the same in all lanes. */
TARGET static void store(uint32_t to[PARTS][LIMBS], const struct addend *from)
{
	for (int part = 0; part < PARTS; part++) {
		for (int limb = 0; limb < LIMBS; limb++)
			to[part][limb] =
				(uint32_t)_mm256_extract_epi64(from->part[part].limb[limb], 0);
	}
}

/* Half a millisecond. */
TARGET static void make_table(void)
{
	struct point p = { 0 };
	struct number d2;

	read_number(&d2, twice_d);
	read_number(&p.x, base_x);
	read_number(&p.y, base_y);
	p.z.limb[0] = every(1);
	mul(&p.t, &p.x, &p.y);
	for (int row = 0; row < ROWS; row++) {
		struct point multiple = p;
		struct addend first, next;

		make_addend(&first, &p, &d2);
		store(table[row][0], &first);
		for (int i = 1; i < MULTIPLES; i++) {
			add_point(&multiple, &first);
			make_addend(&next, &multiple, &d2);
			store(table[row][i], &next);
		}
		for (int i = 0; i < 4 * PASSES; i++)
			double_point(&p);
	}
}

void dh_avx2_prepare(void)
{
	(void)pthread_once(&table_once, make_table);
}

/* The last digit is 8 at most, for the last bit of a key is 0. */
static void make_digits(int8_t ret[DIGITS], const uint8_t private_key[DH_SIZE])
{
	uint8_t clamped[DH_SIZE];
	int carried = 0;

	memcpy(clamped, private_key, DH_SIZE);
	dh_clamp(clamped);
	for (int i = 0; i < DIGITS; i++) {
		int digit = (clamped[i / 2] >> 4 * (i % 2) & 15) + carried;

		carried = i < DIGITS - 1 ? (digit + 8) >> 4 : 0;
		ret[i] = (int8_t)(digit - 16 * carried);
	}
	secret_wipe(clamped, sizeof(clamped));
}

/* Takes the multiple of a row that the digit of each lane tells. */
TARGET static void select_addend(struct addend *ret, const uint32_t row[MULTIPLES][PARTS][LIMBS],
				 __m256i digits)
{
	const __m256i zero = _mm256_setzero_si256();
	__m256i negative = _mm256_cmpgt_epi64(zero, digits);
	__m256i index = _mm256_sub_epi64(_mm256_xor_si256(digits, negative), negative);
	__m256i mask[MULTIPLES], one = _mm256_and_si256(_mm256_cmpeq_epi64(index, zero), every(1));
	struct number minus;

	UNROLL
	for (int i = 0; i < MULTIPLES; i++) /* of the lower half, where limbs are */
		mask[i] = _mm256_srli_epi64(_mm256_cmpeq_epi64(index, every((uint64_t)i + 1)), 32);
	for (int part = 0; part < PARTS; part++) {
		for (int limb = 0; limb < LIMBS; limb++) {
			__m256i value = zero;

			UNROLL
			for (int i = 0; i < MULTIPLES; i++) {
				__m256i all = _mm256_set1_epi32((int)row[i][part][limb]);

				value = _mm256_or_si256(value, _mm256_and_si256(all, mask[i]));
			}
			ret->part[part].limb[limb] = value;
		}
	}
	/* The neutral point is (0, 1). */
	ret->part[0].limb[0] = _mm256_or_si256(ret->part[0].limb[0], one);
	ret->part[1].limb[0] = _mm256_or_si256(ret->part[1].limb[0], one);
	/* That of a negative digit is (-x, y). */
	swap(&ret->part[0], &ret->part[1], negative);
	memset(&minus, 0, sizeof(minus));
	subtract(&minus, &minus, &ret->part[2]);
	swap(&ret->part[2], &minus, negative);
}

TARGET static void multiply(struct point *p, int8_t digits[LANES][DIGITS])
{
	struct addend addend;

	memset(p, 0, sizeof(*p));
	p->y.limb[0] = every(1);
	p->z.limb[0] = every(1);
	for (int pass = PASSES - 1; pass >= 0; pass--) {
		for (int row = 0; row < ROWS; row++) {
			int i = row * PASSES + pass;

			select_addend(&addend, table[row],
				      _mm256_set_epi64x(digits[3][i], digits[2][i], digits[1][i],
							digits[0][i]));
			add_point(p, &addend);
		}
		for (int i = 0; i < 4 && pass > 0; i++)
			double_point(p);
	}
	secret_wipe(&addend, sizeof(addend));
}

TARGET void dh_avx2_public(const struct dh_avx2_half *halves, size_t count)
{
	int8_t digits[LANES][DIGITS];
	struct number above, below;
	struct point p;

	dh_avx2_prepare();
	for (size_t i = 0; i < LANES; i++)
		make_digits(digits[i], halves[i < count ? i : 0].private_key);
	multiply(&p, digits);
	/* The same point in the form of RFC 7748 has u = (1 + y) / (1 - y). */
	add(&above, &p.z, &p.y);
	subtract(&below, &p.z, &p.y);
	invert(&p.t, &below);
	mul(&above, &above, &p.t);
	for (size_t i = 0; i < count; i++)
		write_lane(&above, i, halves[i].public_key);
	secret_wipe(digits, sizeof(digits));
	secret_wipe(&p, sizeof(p));
	secret_wipe(&below, sizeof(below));
}

#else

#include <assert.h>

void dh_avx2_prepare(void)
{
}

void dh_avx2_public(const struct dh_avx2_half *halves, size_t count)
{
	assert(false);
}

#endif
