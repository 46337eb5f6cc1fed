/*
 * ChaCha20 (RFC 8439 section 2.3) in vectors, for one instruction set
 *
 * A file for an instruction set defines these before it includes this:
 *
 *	TARGET		attribute that lets the compiler use the instructions
 *	WIDTH		bytes of a vector: 16, 32 or 64
 *	words		vector of 32-bit numbers
 *	rotate(), transpose()	see their uses
 *
 * A block of key stream is made in each lane of 32 bits. A lane belongs to no packet: the blocks of all
 * packets of a group stand in one row, and each pass takes the next of them, so that short packets and
 * the ends of long ones leave no lane idle.
 */
#pragma once

#include <string.h>

#include "base/secret.h"

#define BLOCKS (WIDTH / 4) /* of ChaCha20 in a pass */
#define PIECES (16 / BLOCKS) /* vectors that one block of it fills */
#define GROUP BLOCKS /* packets */
#define BLOCK 64 /* of ChaCha20 */
#define STEP 16 /* of Poly1305 */
#define POLY_KEY 32

/* What WireGuard has always the same, and published vectors have not: wycheproof_lanes_test.h has others. */
#ifndef NONCE_START
#define NONCE_START UINT32_C(0) /* the first word of a nonce, before the counter */
#endif
#ifndef LENGTHS
#define LENGTHS(packet) 0, (packet)->size /* of associated data and of the text (section 2.8) */
#endif

/* Blocks that are made in one pass. */
struct pass {
	uint32_t block[BLOCKS];
	uint32_t counter_low[BLOCKS];
	uint32_t counter_high[BLOCKS];
	uint8_t *data[BLOCKS];
	size_t size[BLOCKS]; /* of what is left of the packet from there on */
};

INLINE words load_words(const void *from)
{
	words v;

	memcpy(&v, from, sizeof(v));
	return v;
}

INLINE void quarter_round(words *a, words *b, words *c, words *d)
{
	*a += *b;
	*d = rotate(*d ^ *a, 16);
	*c += *d;
	*b = rotate(*b ^ *c, 12);
	*a += *b;
	*d = rotate(*d ^ *a, 8);
	*c += *d;
	*b = rotate(*b ^ *c, 7);
}

INLINE void column_round(words v[16])
{
	quarter_round(&v[0], &v[4], &v[8], &v[12]);
	quarter_round(&v[1], &v[5], &v[9], &v[13]);
	quarter_round(&v[2], &v[6], &v[10], &v[14]);
	quarter_round(&v[3], &v[7], &v[11], &v[15]);
}

INLINE void diagonal_round(words v[16])
{
	quarter_round(&v[0], &v[5], &v[10], &v[15]);
	quarter_round(&v[1], &v[6], &v[11], &v[12]);
	quarter_round(&v[2], &v[7], &v[8], &v[13]);
	quarter_round(&v[3], &v[4], &v[9], &v[14]);
}

INLINE void stream_start(const uint8_t key[AEAD_KEY_SIZE], const struct pass *pass, words start[16])
{
	static const uint32_t constant[4] = { 0x61707865, 0x3320646e, 0x79622d32, 0x6b206574 };
	uint32_t numbers[8]; /* wiped from the stack where the vectors are, with the key */

	memcpy(numbers, key, sizeof(numbers));
	UNROLL
	for (int i = 0; i < 4; i++)
		start[i] = (words){ 0 } + constant[i];
	UNROLL
	for (int i = 0; i < 8; i++)
		start[4 + i] = (words){ 0 } + numbers[i];
	start[12] = load_words(pass->block);
	start[13] = (words){ 0 } + NONCE_START;
	start[14] = load_words(pass->counter_low);
	start[15] = load_words(pass->counter_high);
}

/* After the rounds: piece p of the block of lane i is in @stream[p * BLOCKS + i]. */
INLINE void stream_finish(const words v[16], const words start[16], words stream[16])
{
	UNROLL
	for (int i = 0; i < 16; i++)
		stream[i] = v[i] + start[i];
	UNROLL
	for (int i = 0; i < PIECES; i++)
		transpose(stream + i * BLOCKS);
}

TARGET static void key_stream(const uint8_t key[AEAD_KEY_SIZE], const struct pass *pass,
			      words stream[16])
{
	words start[16], v[16];

	stream_start(key, pass, start);
	memcpy(v, start, sizeof(v));
	for (int i = 0; i < 10; i++) {
		column_round(v);
		diagonal_round(v);
	}
	stream_finish(v, start, stream);
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

TARGET static void pass_xor(const struct pass *pass, int count, const words stream[16])
{
	for (int i = 0; i < count; i++) {
		uint8_t *data = pass->data[i];
		words rest[PIECES];

		if (pass->size[i] < BLOCK) {
			UNROLL
			for (int p = 0; p < PIECES; p++)
				rest[p] = stream[p * BLOCKS + i];
			for (size_t j = 0; j < pass->size[i]; j++)
				data[j] ^= ((const uint8_t *)rest)[j];
			continue;
		}
		UNROLL
		for (int p = 0; p < PIECES; p++) {
			words v = load_words(data + p * WIDTH) ^ stream[p * BLOCKS + i];

			memcpy(data + p * WIDTH, &v, sizeof(v));
		}
	}
}

/* The key of Poly1305 is the beginning of a packet's block 0 (section 2.6). */
TARGET static void make_poly_keys(const uint8_t key[AEAD_KEY_SIZE],
				  const struct aead_packet *const packets[GROUP],
				  uint8_t keys[GROUP][POLY_KEY])
{
	words stream[16];

	for (int i = 0; i < GROUP; i += BLOCKS) {
		struct pass pass = { 0 };

		for (int j = 0; j < BLOCKS; j++)
			pass_add(&pass, j, packets[i + j], 0, 0);
		key_stream(key, &pass, stream);
		for (int j = 0; j < BLOCKS; j++)
			for (int p = 0; p * WIDTH < POLY_KEY; p++)
				memcpy(keys[i + j] + p * WIDTH, &stream[p * BLOCKS + j],
				       WIDTH < POLY_KEY ? WIDTH : POLY_KEY);
	}
	secret_wipe(stream, sizeof(stream));
}
