#include "wireguard/blake2s_many.h"

#include <assert.h>

static void hash_each(uint8_t *const *to, const uint8_t *const *a, const uint8_t *const *b,
		      size_t b_size, size_t count)
{
	for (size_t i = 0; i < count; i++)
		blake2s_hash(to[i], a[i], BLAKE2S_SIZE, b[i], b_size);
}

static void kdf_each(const uint8_t *const *keys, const uint8_t *const *inputs, size_t size,
		     uint8_t *const *first, uint8_t *const *second, uint8_t *const *third,
		     size_t count)
{
	for (size_t i = 0; i < count; i++)
		blake2s_kdf(keys[i], size > 0 ? inputs[i] : NULL, size, first[i],
			    second ? second[i] : NULL, third ? third[i] : NULL);
}

#if defined(__x86_64__)

#include <immintrin.h>
#include <stdbool.h>
#include <string.h>

#include "base/secret.h"
#include "wireguard/blake2s_rounds.h"

#define LANES BLAKE2S_MANY
#define HASH_WORDS (BLAKE2S_SIZE / 4)
#define BLOCK_WORDS (BLAKE2S_BLOCK / 4)
#define PARAMETERS 0x01010020 /* no key, 32 bytes of output */

#define TARGET __attribute__((target("avx2")))
#define INLINE static inline __attribute__((always_inline, target("avx2")))

/* Word by word, one message in each lane. */
struct hash {
	__m256i word[HASH_WORDS];
};

struct block {
	__m256i word[BLOCK_WORDS];
};

INLINE __m256i every(uint32_t value)
{
	return _mm256_set1_epi32((int)value);
}

INLINE __m256i rotate_right(__m256i x, int bits)
{
	return _mm256_or_si256(_mm256_srli_epi32(x, bits), _mm256_slli_epi32(x, 32 - bits));
}

/* By whole bytes; @order tells for each byte of a word which one it becomes. */
INLINE __m256i rotate_bytes(__m256i x, uint32_t order)
{
	__m256i words = _mm256_set_epi32(0x0c0c0c0c, 0x08080808, 0x04040404, 0, 0x0c0c0c0c,
					 0x08080808, 0x04040404, 0);

	return _mm256_shuffle_epi8(x, _mm256_add_epi32(words, every(order)));
}

INLINE void mix(__m256i v[BLOCK_WORDS], int a, int b, int c, int d, __m256i x, __m256i y)
{
	v[a] = _mm256_add_epi32(_mm256_add_epi32(v[a], v[b]), x);
	v[d] = rotate_bytes(_mm256_xor_si256(v[d], v[a]), 0x01000302);
	v[c] = _mm256_add_epi32(v[c], v[d]);
	v[b] = rotate_right(_mm256_xor_si256(v[b], v[c]), 12);
	v[a] = _mm256_add_epi32(_mm256_add_epi32(v[a], v[b]), y);
	v[d] = rotate_bytes(_mm256_xor_si256(v[d], v[a]), 0x00030201);
	v[c] = _mm256_add_epi32(v[c], v[d]);
	v[b] = rotate_right(_mm256_xor_si256(v[b], v[c]), 7);
}

/* @counted: bytes of the message up to the end of this block. */
TARGET static void compress(struct hash *h, const struct block *block, uint32_t counted, bool last)
{
	const __m256i *m = block->word;
	__m256i v[BLOCK_WORDS];

	memcpy(v, h->word, sizeof(h->word));
	for (int i = 0; i < HASH_WORDS; i++)
		v[HASH_WORDS + i] = every(blake2s_initial[i]);
	v[12] = _mm256_xor_si256(v[12], every(counted));
	v[14] = _mm256_xor_si256(v[14], every(last ? UINT32_MAX : 0));
	BLAKE2S_ROUNDS(mix, v, m);
	for (int i = 0; i < HASH_WORDS; i++)
		h->word[i] =
			_mm256_xor_si256(h->word[i], _mm256_xor_si256(v[i], v[HASH_WORDS + i]));
}

TARGET static void begin(struct hash *h)
{
	for (int i = 0; i < HASH_WORDS; i++)
		h->word[i] = every(blake2s_initial[i]);
	h->word[0] = _mm256_xor_si256(h->word[0], every(PARAMETERS));
}

/* Takes the first @size bytes of what each lane gets, a multiple of 4. Lanes that nobody has get those of the first. */
TARGET static void read_words(__m256i *to, const uint8_t *const *from, size_t size, size_t count)
{
	uint32_t words[BLOCK_WORDS][LANES];

	for (size_t lane = 0; lane < LANES; lane++) {
		for (size_t i = 0; i < size / 4; i++)
			memcpy(&words[i][lane], from[lane < count ? lane : 0] + 4 * i, 4);
	}
	memcpy(to, words, size * LANES);
	secret_wipe(words, size * LANES);
}

TARGET static void write_hash(uint8_t *const *to, const struct hash *h, size_t count)
{
	uint32_t words[HASH_WORDS][LANES];

	memcpy(words, h, sizeof(words));
	for (size_t lane = 0; lane < count; lane++) {
		for (size_t i = 0; i < HASH_WORDS; i++)
			memcpy(to[lane] + 4 * i, &words[i][lane], 4);
	}
	secret_wipe(words, sizeof(words));
}

TARGET static void hash_lanes(uint8_t *const *to, const uint8_t *const *a, const uint8_t *const *b,
			      size_t b_size, size_t count)
{
	uint8_t messages[LANES][BLAKE2S_SIZE + BLAKE2S_MANY_DATA];
	const uint8_t *at[LANES];
	size_t size = BLAKE2S_SIZE + b_size;
	struct block block;
	struct hash h;

	memset(messages, 0, sizeof(messages));
	for (size_t i = 0; i < count; i++) {
		memcpy(messages[i], a[i], BLAKE2S_SIZE);
		memcpy(messages[i] + BLAKE2S_SIZE, b[i], b_size);
	}
	begin(&h);
	for (size_t done = 0; done < size; done += BLAKE2S_BLOCK) {
		bool last = size - done <= BLAKE2S_BLOCK;

		for (size_t i = 0; i < count; i++)
			at[i] = messages[i] + done;
		read_words(block.word, at, BLAKE2S_BLOCK, count);
		compress(&h, &block, (uint32_t)(last ? size : done + BLAKE2S_BLOCK), last);
	}
	write_hash(to, &h, count);
	secret_wipe(messages, sizeof(messages));
	secret_wipe(&block, sizeof(block));
}

/* A key of HMAC: what is left of both passes once they have had it. */
struct hmac_key {
	struct block pad; /* of the first pass */
	struct hash inner, outer;
};

TARGET static void begin_pass(struct hash *h, struct block *pad, const struct hash *key,
			      uint32_t with)
{
	for (int i = 0; i < BLOCK_WORDS; i++)
		pad->word[i] = every(with);
	for (int i = 0; i < HASH_WORDS; i++)
		pad->word[i] = _mm256_xor_si256(pad->word[i], key->word[i]);
	begin(h);
	compress(h, pad, BLAKE2S_BLOCK, false);
}

TARGET static void set_key(struct hmac_key *ret, const struct hash *key)
{
	begin_pass(&ret->outer, &ret->pad, key, 0x5c5c5c5c);
	begin_pass(&ret->inner, &ret->pad, key, 0x36363636);
}

/* HMAC of the first @size bytes of @message, 0 to 64; the others are zero. */
TARGET static void hmac(struct hash *ret, const struct hmac_key *key, const struct block *message,
			size_t size)
{
	struct block inner = { 0 };
	struct hash h = key->inner;

	if (size > 0) {
		compress(&h, message, (uint32_t)(BLAKE2S_BLOCK + size), true);
	} else { /* the key is the last block */
		begin(&h);
		compress(&h, &key->pad, BLAKE2S_BLOCK, true);
	}
	memcpy(inner.word, h.word, sizeof(h.word));
	*ret = key->outer;
	compress(ret, &inner, BLAKE2S_BLOCK + BLAKE2S_SIZE, true);
	secret_wipe(&inner, sizeof(inner));
	secret_wipe(&h, sizeof(h));
}

TARGET static void kdf_lanes(const uint8_t *const *keys, const uint8_t *const *inputs, size_t size,
			     uint8_t *const *const outputs[3], size_t count)
{
	struct block block = { 0 };
	struct hmac_key key;
	struct hash h;

	read_words(h.word, keys, BLAKE2S_SIZE, count);
	set_key(&key, &h);
	if (size > 0)
		read_words(block.word, inputs, size, count);
	hmac(&h, &key, &block, size);
	set_key(&key, &h);

	memset(&block, 0, sizeof(block));
	block.word[0] = every(1);
	hmac(&h, &key, &block, 1);
	write_hash(outputs[0], &h, count);
	for (uint32_t i = 1; i < 3; i++) {
		if (!outputs[i])
			continue;
		/* The output before, and the number of this one. */
		memcpy(block.word, h.word, sizeof(h.word));
		block.word[HASH_WORDS] = every(i + 1);
		hmac(&h, &key, &block, BLAKE2S_SIZE + 1);
		write_hash(outputs[i], &h, count);
	}
	secret_wipe(&block, sizeof(block));
	secret_wipe(&key, sizeof(key));
	secret_wipe(&h, sizeof(h));
}

static bool pays(size_t count)
{
	return count > 1 && __builtin_cpu_supports("avx2");
}

void blake2s_hash_many(uint8_t *const *to, const uint8_t *const *a, const uint8_t *const *b,
		       size_t b_size, size_t count)
{
	assert(count <= BLAKE2S_MANY && b_size <= BLAKE2S_MANY_DATA);
	if (pays(count))
		hash_lanes(to, a, b, b_size, count);
	else
		hash_each(to, a, b, b_size, count);
}

void blake2s_kdf_many(const uint8_t *const *keys, const uint8_t *const *inputs, size_t size,
		      uint8_t *const *first, uint8_t *const *second, uint8_t *const *third,
		      size_t count)
{
	uint8_t *const *const outputs[] = { first, second, third };

	assert(count <= BLAKE2S_MANY && (size == 0 || size == BLAKE2S_SIZE));
	if (pays(count))
		kdf_lanes(keys, inputs, size, outputs, count);
	else
		kdf_each(keys, inputs, size, first, second, third, count);
}

#else

void blake2s_hash_many(uint8_t *const *to, const uint8_t *const *a, const uint8_t *const *b,
		       size_t b_size, size_t count)
{
	assert(count <= BLAKE2S_MANY && b_size <= BLAKE2S_MANY_DATA);
	hash_each(to, a, b, b_size, count);
}

void blake2s_kdf_many(const uint8_t *const *keys, const uint8_t *const *inputs, size_t size,
		      uint8_t *const *first, uint8_t *const *second, uint8_t *const *third,
		      size_t count)
{
	assert(count <= BLAKE2S_MANY && (size == 0 || size == BLAKE2S_SIZE));
	kdf_each(keys, inputs, size, first, second, third, count);
}

#endif
