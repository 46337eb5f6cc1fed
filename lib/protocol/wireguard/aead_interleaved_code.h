/*
 * The code behind struct aead_lanes, where tags are made in other registers than the key stream
 *
 * Includes what aead_chacha_code.h wants. The vectors have the rounds of ChaCha20 (aead_chacha_code.h),
 * which leave a processor's 64-bit multiplier and adders idle: between them stand the steps of
 * Poly1305 (aead_poly64.h), over packet after packet, and take little time of their own.
 *
 * A pass of the cipher goes over 32 steps' bytes and has room for 30 between its rounds. In a group, a
 * packet of 1,424 bytes has 89 steps and takes 23 eighths of a pass.
 *
 * There is no branch and no address that depends on a key, a plain text or a tag.
 */
#pragma once

#include "wireguard/aead_chacha_code.h"
#include "wireguard/aead_poly64.h"

#define ROUNDS 10 /* double ones */
#define STEPS_PER_ROUND 3

/* Makes the tags of a group, one packet after the other. */
struct tagger {
	struct poly64 poly;
	const struct aead_packet *packet; /* that is being done */
	const struct aead_packet *end;
	size_t at; /* bytes of it that were taken */
	const uint8_t (*key)[POLY_KEY]; /* of it */
	uint8_t (*tag)[AEAD_TAG_SIZE];
	/* How far there is cipher text: all of the packets before this one, and bytes of it. */
	const struct aead_packet *limit_packet;
	size_t limit;
};

static void tagger_begin_packet(struct tagger *t)
{
	t->at = 0;
	if (t->packet < t->end)
		poly64_start(&t->poly, *t->key);
}

/* Takes what is left of a packet, less than a step, and the lengths (section 2.8). */
TARGET static void tagger_finish_packet(struct tagger *t)
{
	size_t rest = t->packet->size - t->at;
	uint8_t last[STEP] = { 0 };
	uint64_t lengths[2] = { LENGTHS(t->packet) };

	if (rest > 0) {
		memcpy(last, t->packet->data + t->at, rest);
		poly64_take(&t->poly, last, 1);
	}
	poly64_take(&t->poly, (const uint8_t *)lengths, 1);
	poly64_finish(&t->poly, *t->key, *t->tag);
	t->packet++;
	t->key++;
	t->tag++;
	tagger_begin_packet(t);
}

/* Bytes of the packet that may be taken. */
static size_t tagger_limit(const struct tagger *t)
{
	if (t->packet == t->limit_packet)
		return t->limit;
	return t->packet < t->limit_packet ? t->packet->size : t->at;
}

/* Takes what there is up to a place. */
TARGET static void tagger_catch_up(struct tagger *t, const struct aead_packet *packet, size_t at)
{
	while (t->packet < packet || (t->packet == packet && t->at < at)) {
		size_t to = t->packet < packet ? t->packet->size : at;
		size_t steps = (to - t->at) / STEP;

		poly64_take(&t->poly, t->packet->data + t->at, steps);
		t->at += steps * STEP;
		if (t->packet->size - t->at < STEP)
			tagger_finish_packet(t);
	}
}

/* Makes key stream, and meanwhile takes steps of the packet that is being done. */
TARGET static void stream_and_tag(const uint8_t key[AEAD_KEY_SIZE], const struct pass *pass,
				  words stream[16], struct tagger *t)
{
	size_t steps = (tagger_limit(t) - t->at) / STEP;
	size_t rounds = steps / STEPS_PER_ROUND < ROUNDS ? steps / STEPS_PER_ROUND : ROUNDS;
	const uint8_t *from = steps > 0 ? t->packet->data + t->at : NULL;
	uint64_t h0 = t->poly.h0, h1 = t->poly.h1, h2 = t->poly.h2;
	words start[16], v[16];

	stream_start(key, pass, start);
	memcpy(v, start, sizeof(v));
	for (size_t i = 0; i < ROUNDS; i++) {
		column_round(v);
		if (i < rounds) {
			POLY64_TAKE(&t->poly, h0, h1, h2, from);
			from += STEP;
			POLY64_TAKE(&t->poly, h0, h1, h2, from);
			from += STEP;
		}
		diagonal_round(v);
		if (i < rounds) {
			POLY64_TAKE(&t->poly, h0, h1, h2, from);
			from += STEP;
		}
	}
	stream_finish(v, start, stream);
	t->poly.h0 = h0;
	t->poly.h1 = h1;
	t->poly.h2 = h2;
	t->at += rounds * STEPS_PER_ROUND * STEP;
	/* The last two of a packet. */
	if (t->packet < t->limit_packet && steps < ROUNDS * STEPS_PER_ROUND)
		tagger_catch_up(t, t->packet + 1, 0);
}

/* Encrypts or decrypts, which is the same, and makes tags of the cipher text. */
TARGET static void cipher_and_tag(const uint8_t key[AEAD_KEY_SIZE],
				  const struct aead_packet *packets, size_t count, bool seal,
				  struct tagger *t)
{
	struct pass pass = { 0 };
	words stream[16];
	int lane = 0;

	for (size_t i = 0; i < count; i++) {
		size_t size = packets[i].size;
		uint32_t block = 1;

		for (size_t at = 0; at < size; at += BLOCK) {
			size_t next = at + BLOCK < size ? at + BLOCK : size;

			pass_add(&pass, lane, &packets[i], block++, at);
			if (++lane < BLOCKS)
				continue;
			stream_and_tag(key, &pass, stream, t);
			if (!seal)
				tagger_catch_up(t, &packets[i], next);
			pass_xor(&pass, lane, stream);
			lane = 0;
			if (seal) {
				t->limit_packet = &packets[i];
				t->limit = next;
			}
		}
	}
	if (lane > 0) {
		stream_and_tag(key, &pass, stream, t);
		if (!seal)
			tagger_catch_up(t, t->end, 0);
		pass_xor(&pass, lane, stream);
	}
	tagger_catch_up(t, t->end, 0);
	secret_wipe(stream, sizeof(stream));
}

TARGET static void run_group(const uint8_t key[AEAD_KEY_SIZE], const struct aead_packet *packets,
			     size_t count, bool seal, uint8_t tags[GROUP][AEAD_TAG_SIZE])
{
	const struct aead_packet *lanes[GROUP];
	uint8_t keys[GROUP][POLY_KEY];
	struct tagger tagger = { .packet = packets,
				 .end = packets + count,
				 .key = (const uint8_t(*)[POLY_KEY])keys,
				 .tag = tags,
				 .limit_packet = seal ? packets : packets + count };

	/* Lanes without a packet make the key of the first one again. */
	for (size_t i = 0; i < GROUP; i++)
		lanes[i] = &packets[i < count ? i : 0];
	make_poly_keys(key, lanes, keys);
	tagger_begin_packet(&tagger);
	cipher_and_tag(key, packets, count, seal, &tagger);
	secret_wipe(keys, sizeof(keys));
	secret_wipe(&tagger, sizeof(tagger));
}

static void seal_group(const uint8_t key[AEAD_KEY_SIZE], struct aead_packet *packets, size_t count)
{
	uint8_t tags[GROUP][AEAD_TAG_SIZE];

	run_group(key, packets, count, true, tags);
	for (size_t i = 0; i < count; i++)
		memcpy(packets[i].data + packets[i].size, tags[i], AEAD_TAG_SIZE);
}

static void open_group(const uint8_t key[AEAD_KEY_SIZE], struct aead_packet *packets, size_t count)
{
	uint8_t tags[GROUP][AEAD_TAG_SIZE];

	run_group(key, packets, count, false, tags);
	for (size_t i = 0; i < count; i++)
		packets[i].authentic =
			secret_equal(packets[i].data + packets[i].size, tags[i], AEAD_TAG_SIZE);
	secret_wipe(tags, sizeof(tags));
}

const struct aead_lanes SET = { NAME, GROUP, BLOCKS, seal_group, open_group };
