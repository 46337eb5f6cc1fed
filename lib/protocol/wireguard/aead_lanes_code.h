/*
 * The code behind struct aead_lanes, for one instruction set
 *
 * A file for an instruction set defines these and includes this once:
 *
 *	SET		name of the struct aead_lanes
 *	limbs		vector of 64-bit numbers
 *	factors		vector of the 64-bit lanes' lower halves, where these are factors
 *	to_factors(), multiply_add(), load_pairs()	see their uses
 *
 * and what aead_chacha_code.h wants, which makes the key stream.
 *
 * Poly1305 (RFC 8439 section 2.5) runs over the packets side by side, one in each 64-bit lane of two vectors, with
 * numbers of 130 bits in five limbs of 26. Lanes have keys of their own, so no powers of the key are
 * needed, and two vectors in turn hide the latency of the multiplications. Where the sizes differ, a
 * lane that is through keeps its value while the others go on.
 *
 * There is no branch and no address that depends on a key, a plain text or a tag.
 */
#pragma once

#include "wireguard/aead_chacha_code.h"

#define HALF (WIDTH / 8) /* packets of one vector of Poly1305 */
#define LIMBS 5
#define LIMB_BITS 26
#define LIMB_MASK ((UINT64_C(1) << LIMB_BITS) - 1)

TARGET static void pass_run(const uint8_t key[AEAD_KEY_SIZE], const struct pass *pass, int count)
{
	words stream[16];

	key_stream(key, pass, stream);
	pass_xor(pass, count, stream);
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
			if (++lane == BLOCKS) {
				pass_run(key, &pass, lane);
				lane = 0;
			}
		}
	}
	if (lane > 0)
		pass_run(key, &pass, lane);
}

/* The packets of one vector: the sums so far, the keys, and five times the keys' upper limbs, for what
 * wraps around. */
struct poly {
	limbs sum[LIMBS];
	factors r[LIMBS];
	factors r5[LIMBS]; /* the first is not used */
};

INLINE limbs load_limbs(const void *from)
{
	limbs v;

	memcpy(&v, from, sizeof(v));
	return v;
}

/* Moves what is above 26 bits of @from to @to. */
INLINE void carry(limbs *from, limbs *to)
{
	*to += *from >> LIMB_BITS;
	*from &= LIMB_MASK;
}

/* Takes in 16 bytes of each packet: sum = (sum + block) * r modulo 2^130 - 5. */
INLINE void poly_step(struct poly *p, limbs low, limbs high)
{
	factors h[LIMBS];
	limbs d[LIMBS], above;

	h[0] = to_factors((low & LIMB_MASK) + p->sum[0]);
	h[1] = to_factors(((low >> 26) & LIMB_MASK) + p->sum[1]);
	h[2] = to_factors((((low >> 52) | (high << 12)) & LIMB_MASK) + p->sum[2]);
	h[3] = to_factors(((high >> 14) & LIMB_MASK) + p->sum[3]);
	h[4] = to_factors(((high >> 40) | (1 << 24)) + p->sum[4]);
	UNROLL
	for (int i = 0; i < LIMBS; i++) {
		d[i] = (limbs){ 0 };
		UNROLL
		for (int j = 0; j < LIMBS; j++)
			d[i] = multiply_add(d[i], h[j],
					    j <= i ? p->r[i - j] : p->r5[LIMBS + i - j]);
	}
	/* Two chains of carries that do not wait for each other. */
	carry(&d[0], &d[1]);
	carry(&d[3], &d[4]);
	carry(&d[1], &d[2]);
	above = d[4] >> LIMB_BITS;
	d[4] &= LIMB_MASK;
	d[0] += above + (above << 2);
	carry(&d[2], &d[3]);
	carry(&d[0], &d[1]);
	carry(&d[3], &d[4]);
	UNROLL
	for (int i = 0; i < LIMBS; i++)
		p->sum[i] = d[i];
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
		limbs key = load_limbs(r[i]);

		p->sum[i] = (limbs){ 0 };
		p->r[i] = to_factors(key);
		p->r5[i] = to_factors(key + (key << 2));
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

static size_t steps_of(size_t size)
{
	return (size + STEP - 1) / STEP + 1; /* with the one for the lengths */
}

/* What a packet has at a step near its end: data, data with zeroes, or its lengths (section 2.8). Returns
 * all ones, or 0 where the packet is through. */
static uint64_t late_block(const struct aead_packet *packet, size_t step, uint8_t block[STEP])
{
	size_t at = step * STEP;
	const uint64_t lengths[2] = { LENGTHS(packet) };

	memset(block, 0, STEP);
	if (at < packet->size)
		memcpy(block, packet->data + at,
		       packet->size - at < STEP ? packet->size - at : STEP);
	else
		memcpy(block, lengths, STEP);
	return step < steps_of(packet->size) ? UINT64_MAX : 0;
}

TARGET static void late_step(struct poly p[2], const struct aead_packet *const packets[GROUP],
			     size_t step)
{
	const uint8_t *from[GROUP];
	uint8_t blocks[GROUP][STEP];
	uint64_t active[GROUP];

	for (int i = 0; i < GROUP; i++) {
		active[i] = late_block(packets[i], step, blocks[i]);
		from[i] = blocks[i];
	}
	for (int half = 0; half < 2; half++) {
		limbs on = load_limbs(active + half * HALF);
		limbs low, high, before[LIMBS];

		memcpy(before, p[half].sum, sizeof(before));
		load_pairs(from + half * HALF, 0, &low, &high);
		poly_step(&p[half], low, high);
		UNROLL
		for (int i = 0; i < LIMBS; i++)
			p[half].sum[i] = (before[i] & ~on) | (p[half].sum[i] & on);
	}
}

TARGET static void make_tags(const struct aead_packet *const packets[GROUP],
			     uint8_t keys[GROUP][POLY_KEY], uint8_t tags[GROUP][AEAD_TAG_SIZE])
{
	const uint8_t *from[GROUP];
	size_t common = SIZE_MAX, steps = 0;
	uint64_t sums[LIMBS][HALF];
	struct poly p[2];

	for (int i = 0; i < GROUP; i++) {
		from[i] = packets[i]->data;
		if (packets[i]->size / STEP < common)
			common = packets[i]->size / STEP;
		if (steps_of(packets[i]->size) > steps)
			steps = steps_of(packets[i]->size);
	}
	poly_start(&p[0], keys);
	poly_start(&p[1], keys + HALF);
	for (size_t i = 0; i < common; i++) {
		limbs low, high;

		load_pairs(from, i * STEP, &low, &high);
		poly_step(&p[0], low, high);
		load_pairs(from + HALF, i * STEP, &low, &high);
		poly_step(&p[1], low, high);
	}
	for (size_t i = common; i < steps; i++)
		late_step(p, packets, i);
	for (int i = 0; i < GROUP; i++) {
		uint64_t sum[LIMBS];

		if (i % HALF == 0)
			memcpy(sums, p[i / HALF].sum, sizeof(sums));
		for (int j = 0; j < LIMBS; j++)
			sum[j] = sums[j][i % HALF];
		poly_finish(sum, keys[i], tags[i]);
	}
	secret_wipe(p, sizeof(p));
}

/* Lanes without a packet do the work of the first one again. */
static void fill_lanes(const struct aead_packet *packets, size_t count,
		       const struct aead_packet *ret[GROUP])
{
	for (size_t i = 0; i < GROUP; i++)
		ret[i] = &packets[i < count ? i : 0];
}

static void seal_group(const uint8_t key[AEAD_KEY_SIZE], struct aead_packet *packets, size_t count)
{
	const struct aead_packet *lanes[GROUP];
	uint8_t keys[GROUP][POLY_KEY], tags[GROUP][AEAD_TAG_SIZE];

	fill_lanes(packets, count, lanes);
	make_poly_keys(key, lanes, keys);
	cipher(key, packets, count);
	make_tags(lanes, keys, tags);
	for (size_t i = 0; i < count; i++)
		memcpy(packets[i].data + packets[i].size, tags[i], AEAD_TAG_SIZE);
	secret_wipe(keys, sizeof(keys));
}

static void open_group(const uint8_t key[AEAD_KEY_SIZE], struct aead_packet *packets, size_t count)
{
	const struct aead_packet *lanes[GROUP];
	uint8_t keys[GROUP][POLY_KEY], tags[GROUP][AEAD_TAG_SIZE];

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

const struct aead_lanes SET = { NAME, GROUP, BLOCKS, seal_group, open_group };
