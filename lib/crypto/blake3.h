/*
 * BLAKE3, hash mode with 256 bits of output
 *
 * Written from the paper (O'Connor, Aumasson, Neves, Wilcox-O'Hearn: "BLAKE3, one function, fast
 * everywhere", 2020), for Debian 12 has no library of it. Plain C without vector instructions: the
 * bodies of requests that it hashes are small. Not for secrets: nothing is wiped. Embedded in its
 * owner; holds nothing on the heap. Inputs may be up to 2^64 - 1 bytes long.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define BLAKE3_SIZE 32
#define BLAKE3_BLOCK_SIZE 64
#define BLAKE3_DEPTH_MAX 54 /* chunks of 1 KiB in 2^64 bytes: a tree of 54 levels */

struct blake3 {
	uint32_t chain[8]; /* chaining value within the chunk */
	uint8_t block[BLAKE3_BLOCK_SIZE]; /* not compressed yet: it may be the last one */
	uint8_t block_size;
	uint8_t blocks; /* compressed in this chunk */
	uint64_t chunk; /* its number */
	uint32_t stack[BLAKE3_DEPTH_MAX][8]; /* roots of whole subtrees, the largest first */
	uint8_t depth;
};

void blake3_init(struct blake3 *hash);
void blake3_update(struct blake3 *hash, const void *bytes, size_t size);

/* Gives the hash of what came so far; more may follow. */
void blake3_final(const struct blake3 *hash, uint8_t ret[BLAKE3_SIZE]);

/* The same in one call. */
void blake3(const void *bytes, size_t size, uint8_t ret[BLAKE3_SIZE]);
