/*
 * Two parts, each with eight lanes:
 *
 * ChaCha20 (RFC 8439 section 2.3) makes eight blocks of key stream at once. A lane belongs to no packet:
 * the blocks of all packets of a group stand in one row, and each pass takes the next eight of them, so
 * that short packets and the ends of long ones leave no lane idle.
 *
 * Poly1305 (section 2.5) runs over eight packets side by side, one in each 64-bit lane of two vectors,
 * with numbers of 130 bits in five limbs of 26. Lanes have keys of their own, so no powers of the key
 * are needed, and two vectors in turn hide the latency of the multiplications. Where the sizes differ, a
 * lane that is through keeps its value while the others go on.
 *
 * There is no branch and no address that depends on a key, a plain text or a tag.
 */
#include "wireguard/aead_avx2.h"

#if defined(__x86_64__)

#include <immintrin.h>
#include <string.h>

#include "base/secret.h"

#define LANES AEAD_AVX2_LANES
#define HALF (LANES / 2) /* lanes of one vector of Poly1305 */
#define BLOCK 64 /* of ChaCha20 */
#define STEP 16 /* of Poly1305 */
#define POLY_KEY 32
#define LIMBS 5
#define LIMB_BITS 26
#define LIMB_MASK ((UINT64_C(1) << LIMB_BITS) - 1)

#define TARGET __attribute__((target("avx2")))
#define INLINE static inline __attribute__((always_inline, target("avx2")))
#define UNROLL _Pragma("GCC unroll 16") /* so that the vectors of a loop stay in registers */

bool aead_avx2_available(void)
{
	return __builtin_cpu_supports("avx2");
}

static size_t steps_of(size_t size)
{
	return (size + STEP - 1) / STEP + 1; /* with the one for the lengths */
}

/* Nanoseconds, measured on a server of 2021 (AMD EPYC, 3 GHz); their ratios are what counts. */
bool aead_avx2_pays(const struct aead_packet *packets, size_t count)
{
	size_t bytes = 0, blocks = 0, steps = 0;

	for (size_t i = 0; i < count; i++) {
		bytes += packets[i].size;
		blocks += (packets[i].size + BLOCK - 1) / BLOCK;
		if (steps_of(packets[i].size) > steps)
			steps = steps_of(packets[i].size);
	}
	return 300 + 200 * (1 + (blocks + LANES - 1) / LANES) + 28 * steps <
	       430 * count + bytes / 2;
}

/* --- ChaCha20 --- */

/* Blocks that are made in one pass. */
struct pass {
	uint32_t block[LANES];
	uint32_t counter_low[LANES];
	uint32_t counter_high[LANES];
	uint8_t *data[LANES];
	size_t size[LANES]; /* of what is left of the packet from there on */
};

INLINE __m256i rotate(__m256i x, int bits)
{
	return _mm256_or_si256(_mm256_slli_epi32(x, bits), _mm256_srli_epi32(x, 32 - bits));
}

INLINE __m256i rotate_16(__m256i x)
{
	return _mm256_shuffle_epi8(x, _mm256_set_epi64x(0x0d0c0f0e09080b0a, 0x0504070601000302,
							0x0d0c0f0e09080b0a, 0x0504070601000302));
}

INLINE __m256i rotate_8(__m256i x)
{
	return _mm256_shuffle_epi8(x, _mm256_set_epi64x(0x0e0d0c0f0a09080b, 0x0605040702010003,
							0x0e0d0c0f0a09080b, 0x0605040702010003));
}

INLINE void quarter_round(__m256i *a, __m256i *b, __m256i *c, __m256i *d)
{
	*a = _mm256_add_epi32(*a, *b);
	*d = rotate_16(_mm256_xor_si256(*d, *a));
	*c = _mm256_add_epi32(*c, *d);
	*b = rotate(_mm256_xor_si256(*b, *c), 12);
	*a = _mm256_add_epi32(*a, *b);
	*d = rotate_8(_mm256_xor_si256(*d, *a));
	*c = _mm256_add_epi32(*c, *d);
	*b = rotate(_mm256_xor_si256(*b, *c), 7);
}

INLINE void double_round(__m256i v[16])
{
	quarter_round(&v[0], &v[4], &v[8], &v[12]);
	quarter_round(&v[1], &v[5], &v[9], &v[13]);
	quarter_round(&v[2], &v[6], &v[10], &v[14]);
	quarter_round(&v[3], &v[7], &v[11], &v[15]);
	quarter_round(&v[0], &v[5], &v[10], &v[15]);
	quarter_round(&v[1], &v[6], &v[11], &v[12]);
	quarter_round(&v[2], &v[7], &v[8], &v[13]);
	quarter_round(&v[3], &v[4], &v[9], &v[14]);
}

/* A vector holds one word of each lane; afterwards it holds eight words of one lane. */
INLINE void transpose(__m256i v[8])
{
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

/* The first half of the block of lane i is in @stream[i], the second in @stream[8 + i]. */
TARGET static void key_stream(const uint8_t key[AEAD_KEY_SIZE], const struct pass *pass,
			      __m256i stream[16])
{
	static const uint32_t constant[4] = { 0x61707865, 0x3320646e, 0x79622d32, 0x6b206574 };
	__m256i start[16];
	uint32_t words[8];

	memcpy(words, key, sizeof(words));
	UNROLL
	for (int i = 0; i < 4; i++)
		start[i] = _mm256_set1_epi32((int)constant[i]);
	UNROLL
	for (int i = 0; i < 8; i++)
		start[4 + i] = _mm256_set1_epi32((int)words[i]);
	start[12] = _mm256_loadu_si256((const void *)pass->block);
	start[13] = _mm256_setzero_si256();
	start[14] = _mm256_loadu_si256((const void *)pass->counter_low);
	start[15] = _mm256_loadu_si256((const void *)pass->counter_high);
	memcpy(stream, start, sizeof(start));
	for (int i = 0; i < 10; i++)
		double_round(stream);
	UNROLL
	for (int i = 0; i < 16; i++)
		stream[i] = _mm256_add_epi32(stream[i], start[i]);
	transpose(stream);
	transpose(stream + 8);
	secret_wipe(words, sizeof(words));
}

static void pass_add(struct pass *pass, int lane, const struct aead_packet *packet, uint32_t block,
		     size_t at)
{
	pass->block[lane] = block;
	pass->counter_low[lane] = (uint32_t)packet->counter;
	pass->counter_high[lane] = (uint32_t)(packet->counter >> 32);
	pass->data[lane] = packet->data + at;
	pass->size[lane] = packet->size - at;
}

TARGET static void pass_run(const uint8_t key[AEAD_KEY_SIZE], const struct pass *pass, int count)
{
	__m256i stream[16];

	key_stream(key, pass, stream);
	for (int i = 0; i < count; i++) {
		__m256i *to = (void *)pass->data[i];
		uint8_t rest[BLOCK];

		if (pass->size[i] >= BLOCK) {
			_mm256_storeu_si256(to,
					    _mm256_xor_si256(_mm256_loadu_si256(to), stream[i]));
			_mm256_storeu_si256(to + 1, _mm256_xor_si256(_mm256_loadu_si256(to + 1),
								     stream[8 + i]));
			continue;
		}
		_mm256_storeu_si256((void *)rest, stream[i]);
		_mm256_storeu_si256((void *)(rest + BLOCK / 2), stream[8 + i]);
		for (size_t j = 0; j < pass->size[i]; j++)
			pass->data[i][j] ^= rest[j];
	}
}

/* Encrypts or decrypts, which is the same. */
static void cipher(const uint8_t key[AEAD_KEY_SIZE], const struct aead_packet *packets,
		   size_t count)
{
	struct pass pass = { 0 };
	int lane = 0;

	for (size_t i = 0; i < count; i++) {
		uint32_t block = 1;

		for (size_t at = 0; at < packets[i].size; at += BLOCK) {
			pass_add(&pass, lane, &packets[i], block++, at);
			if (++lane == LANES) {
				pass_run(key, &pass, lane);
				lane = 0;
			}
		}
	}
	if (lane > 0)
		pass_run(key, &pass, lane);
}

/* The key of Poly1305 is the beginning of a packet's block 0 (section 2.6). */
TARGET static void make_poly_keys(const uint8_t key[AEAD_KEY_SIZE],
				  const struct aead_packet *const packets[LANES],
				  uint8_t keys[LANES][POLY_KEY])
{
	struct pass pass = { 0 };
	__m256i stream[16];

	for (int i = 0; i < LANES; i++)
		pass_add(&pass, i, packets[i], 0, 0);
	key_stream(key, &pass, stream);
	for (int i = 0; i < LANES; i++)
		_mm256_storeu_si256((void *)keys[i], stream[i]);
	secret_wipe(stream, sizeof(stream));
}

/* --- Poly1305 --- */

/* Four packets: the sum so far, the key, and five times its upper limbs, for what wraps around. */
struct poly {
	__m256i sum[LIMBS];
	__m256i r[LIMBS];
	__m256i r5[LIMBS]; /* the first is not used */
};

INLINE __m256i add(__m256i a, __m256i b)
{
	return _mm256_add_epi64(a, b);
}

INLINE __m256i times(__m256i a, __m256i b)
{
	return _mm256_mul_epu32(a, b);
}

INLINE __m256i times_5(__m256i a)
{
	return add(a, _mm256_slli_epi64(a, 2));
}

/* Moves what is above 26 bits of @from to @to. */
INLINE void carry(__m256i *from, __m256i *to)
{
	*to = add(*to, _mm256_srli_epi64(*from, LIMB_BITS));
	*from = _mm256_and_si256(*from, _mm256_set1_epi64x(LIMB_MASK));
}

/* Takes in 16 bytes of each packet: sum = (sum + block) * r modulo 2^130 - 5. */
INLINE void poly_step(struct poly *p, __m256i low, __m256i high)
{
	const __m256i mask = _mm256_set1_epi64x(LIMB_MASK);
	const __m256i *r = p->r, *r5 = p->r5;
	__m256i h[LIMBS], d[LIMBS], wrapped;

	h[0] = _mm256_and_si256(low, mask);
	h[1] = _mm256_and_si256(_mm256_srli_epi64(low, 26), mask);
	h[2] = _mm256_and_si256(
		_mm256_or_si256(_mm256_srli_epi64(low, 52), _mm256_slli_epi64(high, 12)), mask);
	h[3] = _mm256_and_si256(_mm256_srli_epi64(high, 14), mask);
	h[4] = _mm256_or_si256(_mm256_srli_epi64(high, 40), _mm256_set1_epi64x(1 << 24));
	UNROLL
	for (int i = 0; i < LIMBS; i++)
		h[i] = add(h[i], p->sum[i]);
	UNROLL
	for (int i = 0; i < LIMBS; i++) {
		d[i] = times(h[0], r[i]);
		UNROLL
		for (int j = 1; j < LIMBS; j++)
			d[i] = add(d[i], times(h[j], j <= i ? r[i - j] : r5[LIMBS + i - j]));
	}
	/* Two chains of carries that do not wait for each other. */
	carry(&d[0], &d[1]);
	carry(&d[3], &d[4]);
	carry(&d[1], &d[2]);
	wrapped = _mm256_srli_epi64(d[4], LIMB_BITS);
	d[4] = _mm256_and_si256(d[4], mask);
	d[0] = add(d[0], times_5(wrapped));
	carry(&d[2], &d[3]);
	carry(&d[0], &d[1]);
	carry(&d[3], &d[4]);
	UNROLL
	for (int i = 0; i < LIMBS; i++)
		p->sum[i] = d[i];
}

/* 16 bytes of each of four packets, as their lower and upper halves. */
INLINE void poly_load(const uint8_t *const from[HALF], size_t at, __m256i *low, __m256i *high)
{
	__m256i even = _mm256_inserti128_si256(
		_mm256_castsi128_si256(_mm_loadu_si128((const void *)(from[0] + at))),
		_mm_loadu_si128((const void *)(from[2] + at)), 1);
	__m256i odd = _mm256_inserti128_si256(
		_mm256_castsi128_si256(_mm_loadu_si128((const void *)(from[1] + at))),
		_mm_loadu_si128((const void *)(from[3] + at)), 1);

	*low = _mm256_unpacklo_epi64(even, odd);
	*high = _mm256_unpackhi_epi64(even, odd);
}

TARGET static void poly_start(struct poly *p, uint8_t keys[HALF][POLY_KEY])
{
	uint64_t r[LIMBS][HALF];

	for (int i = 0; i < HALF; i++) {
		uint64_t low, high;

		memcpy(&low, keys[i], sizeof(low));
		memcpy(&high, keys[i] + sizeof(low), sizeof(high));
		low &= 0x0ffffffc0fffffff;
		high &= 0x0ffffffc0ffffffc;
		r[0][i] = low & LIMB_MASK;
		r[1][i] = (low >> 26) & LIMB_MASK;
		r[2][i] = ((low >> 52) | (high << 12)) & LIMB_MASK;
		r[3][i] = (high >> 14) & LIMB_MASK;
		r[4][i] = high >> 40;
	}
	for (int i = 0; i < LIMBS; i++) {
		p->sum[i] = _mm256_setzero_si256();
		p->r[i] = _mm256_loadu_si256((const void *)r[i]);
		p->r5[i] = times_5(p->r[i]);
	}
	secret_wipe(r, sizeof(r));
}

/* Reduces one packet's sum and adds the second half of its key. */
static void poly_finish(uint64_t h[LIMBS], const uint8_t key[POLY_KEY], uint8_t tag[AEAD_TAG_SIZE])
{
	uint64_t minus_p[LIMBS], above = 5, carried = 0, keep, low, high, pad[2];
	unsigned __int128 sum;

	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < LIMBS; i++) {
			h[i] += carried;
			carried = h[i] >> LIMB_BITS;
			h[i] &= LIMB_MASK;
		}
		carried *= 5;
	}
	h[0] += carried;
	for (int i = 0; i < LIMBS; i++) {
		minus_p[i] = h[i] + above;
		above = minus_p[i] >> LIMB_BITS;
		minus_p[i] &= LIMB_MASK;
	}
	keep = above - 1; /* all ones where the sum is below the modulus */
	for (int i = 0; i < LIMBS; i++)
		h[i] = (h[i] & keep) | (minus_p[i] & ~keep);
	low = h[0] | (h[1] << 26) | (h[2] << 52);
	high = (h[2] >> 12) | (h[3] << 14) | (h[4] << 40);
	memcpy(pad, key + sizeof(pad), sizeof(pad));
	sum = (unsigned __int128)low + pad[0];
	low = (uint64_t)sum;
	high += pad[1] + (uint64_t)(sum >> 64);
	memcpy(tag, &low, sizeof(low));
	memcpy(tag + sizeof(low), &high, sizeof(high));
}

/* What a packet has at a step near its end: data, data with zeroes, or its lengths (section 2.8). Returns
 * all ones, or 0 where the packet is through. */
static uint64_t late_block(const struct aead_packet *packet, size_t step, uint8_t block[STEP])
{
	size_t at = step * STEP;
	uint64_t size = packet->size;

	memset(block, 0, STEP);
	if (at < packet->size)
		memcpy(block, packet->data + at,
		       packet->size - at < STEP ? packet->size - at : STEP);
	else
		memcpy(block + STEP / 2, &size, sizeof(size));
	return step < steps_of(packet->size) ? UINT64_MAX : 0;
}

TARGET static void late_step(struct poly p[2], const struct aead_packet *const packets[LANES],
			     size_t step)
{
	const uint8_t *from[LANES];
	uint8_t blocks[LANES][STEP];
	uint64_t active[LANES];

	for (int i = 0; i < LANES; i++) {
		active[i] = late_block(packets[i], step, blocks[i]);
		from[i] = blocks[i];
	}
	for (int half = 0; half < 2; half++) {
		__m256i on = _mm256_loadu_si256((const void *)(active + half * HALF));
		__m256i low, high, before[LIMBS];

		memcpy(before, p[half].sum, sizeof(before));
		poly_load(from + half * HALF, 0, &low, &high);
		poly_step(&p[half], low, high);
		UNROLL
		for (int i = 0; i < LIMBS; i++)
			p[half].sum[i] = _mm256_blendv_epi8(before[i], p[half].sum[i], on);
	}
}

TARGET static void make_tags(const struct aead_packet *const packets[LANES],
			     uint8_t keys[LANES][POLY_KEY], uint8_t tags[LANES][AEAD_TAG_SIZE])
{
	const uint8_t *from[LANES];
	size_t common = SIZE_MAX, steps = 0;
	uint64_t sums[LIMBS][HALF];
	struct poly p[2];

	for (int i = 0; i < LANES; i++) {
		from[i] = packets[i]->data;
		if (packets[i]->size / STEP < common)
			common = packets[i]->size / STEP;
		if (steps_of(packets[i]->size) > steps)
			steps = steps_of(packets[i]->size);
	}
	poly_start(&p[0], keys);
	poly_start(&p[1], keys + HALF);
	for (size_t i = 0; i < common; i++) {
		__m256i low, high;

		poly_load(from, i * STEP, &low, &high);
		poly_step(&p[0], low, high);
		poly_load(from + HALF, i * STEP, &low, &high);
		poly_step(&p[1], low, high);
	}
	for (size_t i = common; i < steps; i++)
		late_step(p, packets, i);
	for (int i = 0; i < LANES; i++) {
		uint64_t sum[LIMBS];

		if (i % HALF == 0)
			for (int j = 0; j < LIMBS; j++)
				_mm256_storeu_si256((void *)sums[j], p[i / HALF].sum[j]);
		for (int j = 0; j < LIMBS; j++)
			sum[j] = sums[j][i % HALF];
		poly_finish(sum, keys[i], tags[i]);
	}
	secret_wipe(p, sizeof(p));
}

/* --- both --- */

/* Lanes without a packet do the work of the first one again. */
static void fill_lanes(const struct aead_packet *packets, size_t count,
		       const struct aead_packet *ret[LANES])
{
	for (size_t i = 0; i < LANES; i++)
		ret[i] = &packets[i < count ? i : 0];
}

void aead_avx2_seal(const uint8_t key[AEAD_KEY_SIZE], struct aead_packet *packets, size_t count)
{
	const struct aead_packet *lanes[LANES];
	uint8_t keys[LANES][POLY_KEY], tags[LANES][AEAD_TAG_SIZE];

	fill_lanes(packets, count, lanes);
	make_poly_keys(key, lanes, keys);
	cipher(key, packets, count);
	make_tags(lanes, keys, tags);
	for (size_t i = 0; i < count; i++)
		memcpy(packets[i].data + packets[i].size, tags[i], AEAD_TAG_SIZE);
	secret_wipe(keys, sizeof(keys));
}

void aead_avx2_open(const uint8_t key[AEAD_KEY_SIZE], struct aead_packet *packets, size_t count)
{
	const struct aead_packet *lanes[LANES];
	uint8_t keys[LANES][POLY_KEY], tags[LANES][AEAD_TAG_SIZE];

	fill_lanes(packets, count, lanes);
	make_poly_keys(key, lanes, keys);
	make_tags(lanes, keys, tags);
	for (size_t i = 0; i < count; i++)
		packets[i].authentic =
			secret_equal(packets[i].data + packets[i].size, tags[i], AEAD_TAG_SIZE);
	cipher(key, packets, count);
	secret_wipe(keys, sizeof(keys));
	secret_wipe(tags, sizeof(tags));
}

#else

#include <assert.h>

bool aead_avx2_available(void)
{
	return false;
}

bool aead_avx2_pays(const struct aead_packet *packets, size_t count)
{
	return false;
}

void aead_avx2_seal(const uint8_t key[AEAD_KEY_SIZE], struct aead_packet *packets, size_t count)
{
	assert(false);
}

void aead_avx2_open(const uint8_t key[AEAD_KEY_SIZE], struct aead_packet *packets, size_t count)
{
	assert(false);
}

#endif
