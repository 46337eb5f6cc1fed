/*
 * The input is cut into chunks of 1 KiB, the leaves of a binary tree in which each left subtree is whole
 * and a power of two. A chunk is a chain of up to 16 compressions of 64 bytes; a parent compresses the
 * chaining values of its two children. The chaining values of finished subtrees wait on a stack: when
 * chunk number n is done, as many are merged as n has trailing one bits, like carries of a counter.
 * What is last of all is compressed with the flag ROOT, so nothing is compressed before it is known
 * whether more follows.
 */
#include "crypto/blake3.h"

#include <string.h>

#define CHUNK_BLOCKS 16
#define ROUNDS 7

enum flag {
	CHUNK_START = 1 << 0,
	CHUNK_END = 1 << 1,
	PARENT = 1 << 2,
	ROOT = 1 << 3,
};

static const uint32_t initial[8] = {
	0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
	0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
};

static const uint8_t permutation[16] = { 2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8 };

/* The arguments of a compression, kept until it is known whether it is the root. */
struct node {
	uint32_t chain[8];
	uint32_t words[16];
	uint64_t counter;
	uint32_t size;
	uint32_t flags;
};

static uint32_t rotate_right(uint32_t x, unsigned n)
{
	return x >> n | x << (32 - n);
}

static void mix(uint32_t v[16], unsigned a, unsigned b, unsigned c, unsigned d, uint32_t x,
		uint32_t y)
{
	v[a] += v[b] + x;
	v[d] = rotate_right(v[d] ^ v[a], 16);
	v[c] += v[d];
	v[b] = rotate_right(v[b] ^ v[c], 12);
	v[a] += v[b] + y;
	v[d] = rotate_right(v[d] ^ v[a], 8);
	v[c] += v[d];
	v[b] = rotate_right(v[b] ^ v[c], 7);
}

static void round_of(uint32_t v[16], const uint32_t m[16])
{
	mix(v, 0, 4, 8, 12, m[0], m[1]);
	mix(v, 1, 5, 9, 13, m[2], m[3]);
	mix(v, 2, 6, 10, 14, m[4], m[5]);
	mix(v, 3, 7, 11, 15, m[6], m[7]);
	mix(v, 0, 5, 10, 15, m[8], m[9]);
	mix(v, 1, 6, 11, 12, m[10], m[11]);
	mix(v, 2, 7, 8, 13, m[12], m[13]);
	mix(v, 3, 4, 9, 14, m[14], m[15]);
}

static void permute(uint32_t m[16])
{
	uint32_t permuted[16];

	for (unsigned i = 0; i < 16; i++)
		permuted[i] = m[permutation[i]];
	memcpy(m, permuted, sizeof(permuted));
}

/* Gives the first half of the output, which is the chaining value, and of the root the hash. */
static void compress(const struct node *node, uint32_t extra_flags, uint32_t ret[8])
{
	uint32_t m[16], v[16];

	memcpy(m, node->words, sizeof(m));
	memcpy(v, node->chain, sizeof(node->chain));
	memcpy(v + 8, initial, 4 * sizeof(v[0]));
	v[12] = (uint32_t)node->counter;
	v[13] = (uint32_t)(node->counter >> 32);
	v[14] = node->size;
	v[15] = node->flags | extra_flags;
	for (unsigned i = 0; i < ROUNDS; i++) {
		round_of(v, m);
		permute(m);
	}
	for (unsigned i = 0; i < 8; i++)
		ret[i] = v[i] ^ v[i + 8];
}

static void block_node(const struct blake3 *hash, uint32_t flags, struct node *ret)
{
	ret->counter = hash->chunk;
	ret->size = hash->block_size;
	ret->flags = flags | (hash->blocks == 0 ? CHUNK_START : 0);
	memcpy(ret->chain, hash->chain, sizeof(ret->chain));
	for (unsigned i = 0; i < 16; i++) {
		const uint8_t *b = hash->block + (size_t)i * 4;

		ret->words[i] = (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 |
				(uint32_t)b[3] << 24;
	}
}

static void parent_node(const uint32_t left[8], const uint32_t right[8], struct node *ret)
{
	memcpy(ret->chain, initial, sizeof(ret->chain));
	memcpy(ret->words, left, 32);
	memcpy(ret->words + 8, right, 32);
	ret->counter = 0;
	ret->size = BLAKE3_BLOCK_SIZE;
	ret->flags = PARENT;
}

static void chunk_begin(struct blake3 *hash, uint64_t number)
{
	memcpy(hash->chain, initial, sizeof(hash->chain));
	memset(hash->block, 0, sizeof(hash->block));
	hash->block_size = 0;
	hash->blocks = 0;
	hash->chunk = number;
}

/* The chunk is whole and not the last one: merges the subtrees that it completes. */
static void chunk_finish(struct blake3 *hash)
{
	struct node node;
	uint32_t chain[8];

	block_node(hash, CHUNK_END, &node);
	compress(&node, 0, chain);
	for (uint64_t carries = hash->chunk; carries & 1; carries >>= 1) {
		parent_node(hash->stack[--hash->depth], chain, &node);
		compress(&node, 0, chain);
	}
	memcpy(hash->stack[hash->depth++], chain, sizeof(chain));
	chunk_begin(hash, hash->chunk + 1);
}

/* The block is full and not the last one. */
static void block_finish(struct blake3 *hash)
{
	struct node node;

	if (hash->blocks == CHUNK_BLOCKS - 1) {
		chunk_finish(hash);
		return;
	}
	block_node(hash, 0, &node);
	compress(&node, 0, hash->chain);
	hash->blocks++;
	hash->block_size = 0;
	memset(hash->block, 0, sizeof(hash->block));
}

void blake3_init(struct blake3 *hash)
{
	hash->depth = 0;
	chunk_begin(hash, 0);
}

void blake3_update(struct blake3 *hash, const void *bytes, size_t size)
{
	const uint8_t *from = bytes;

	while (size > 0) {
		size_t part;

		if (hash->block_size == BLAKE3_BLOCK_SIZE)
			block_finish(hash);
		part = (size_t)BLAKE3_BLOCK_SIZE - hash->block_size;
		if (part > size)
			part = size;
		memcpy(hash->block + hash->block_size, from, part);
		hash->block_size += (uint8_t)part;
		from += part;
		size -= part;
	}
}

void blake3_final(const struct blake3 *hash, uint8_t ret[BLAKE3_SIZE])
{
	struct node node;
	uint32_t chain[8];

	block_node(hash, CHUNK_END, &node);
	for (unsigned i = hash->depth; i-- > 0;) {
		compress(&node, 0, chain);
		parent_node(hash->stack[i], chain, &node);
	}
	compress(&node, ROOT, chain);
	for (unsigned i = 0; i < BLAKE3_SIZE; i++)
		ret[i] = (uint8_t)(chain[i / 4] >> i % 4 * 8);
}

void blake3(const void *bytes, size_t size, uint8_t ret[BLAKE3_SIZE])
{
	struct blake3 hash;

	blake3_init(&hash);
	blake3_update(&hash, bytes, size);
	blake3_final(&hash, ret);
}
