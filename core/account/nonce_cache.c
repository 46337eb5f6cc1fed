/*
 * Open addressing with linear probing over keyed hashes of signer and nonce. Nothing is deleted one by one:
 * when half of the slots are used, those are put anew whose timestamps can still count. A collision of two
 * 64-bit hashes refuses a request that was fresh, which happens once in many millions of years.
 */
#include "account/nonce_cache.h"

#include <stdbool.h>
#include <string.h>

#include <sodium.h>

#include "base/secret.h"

#define SLOTS (2 * NONCES_MAX) /* a power of two */

struct slot {
	uint64_t hash; /* 0: free */
	int64_t timestamp;
};

struct nonce_cache {
	uint8_t key[crypto_shorthash_KEYBYTES];
	struct slot *slots;
	size_t used;
	int64_t floor_s; /* nonces of earlier timestamps may be forgotten */
	int64_t swept_s; /* the floor of the last sweep */
};

int nonce_cache_new(int64_t now_s, struct nonce_cache **ret)
{
	struct nonce_cache *cache = calloc(1, sizeof(*cache));

	if (cache)
		cache->slots = calloc(SLOTS, sizeof(*cache->slots));
	if (!cache || !cache->slots) {
		free(cache);
		return -ENOMEM;
	}
	random_bytes(cache->key, sizeof(cache->key));
	cache->floor_s = now_s;
	cache->swept_s = now_s;
	*ret = cache;
	return 0;
}

struct nonce_cache *nonce_cache_free(struct nonce_cache *cache)
{
	if (!cache)
		return NULL;
	free(cache->slots);
	free(cache);
	return NULL;
}

static uint64_t hash_of(const struct nonce_cache *cache, const uint8_t *signer, uint64_t nonce)
{
	uint8_t bytes[ED25519_PUBLIC_SIZE + sizeof(nonce)];
	uint64_t hash;

	memcpy(bytes, signer, ED25519_PUBLIC_SIZE);
	memcpy(bytes + ED25519_PUBLIC_SIZE, &nonce, sizeof(nonce));
	(void)crypto_shorthash((uint8_t *)&hash, bytes, sizeof(bytes), cache->key);
	return hash ? hash : 1;
}

/* The slot with this hash, or the free one where it would be. Half of the slots are free. */
static struct slot *find(struct slot *slots, uint64_t hash)
{
	size_t i = hash & (SLOTS - 1);

	while (slots[i].hash != 0 && slots[i].hash != hash)
		i = (i + 1) & (SLOTS - 1);
	return &slots[i];
}

/* Puts what can still count into new slots. Where memory is short, the old ones stay as they are. */
static void sweep(struct nonce_cache *cache)
{
	struct slot *slots = calloc(SLOTS, sizeof(*slots));
	size_t used = 0;

	if (!slots)
		return;
	for (size_t i = 0; i < SLOTS; i++) {
		const struct slot *old = &cache->slots[i];

		if (old->hash == 0 || old->timestamp < cache->floor_s)
			continue;
		*find(slots, old->hash) = *old;
		used++;
	}
	free(cache->slots);
	cache->slots = slots;
	cache->used = used;
	cache->swept_s = cache->floor_s;
}

enum nonce_result nonce_cache_take(struct nonce_cache *cache,
				   const uint8_t signer[ED25519_PUBLIC_SIZE], uint64_t nonce,
				   int64_t timestamp, int64_t now_s)
{
	uint64_t hash = hash_of(cache, signer, nonce);
	struct slot *slot;

	if (now_s - NONCE_WINDOW_S > cache->floor_s)
		cache->floor_s = now_s - NONCE_WINDOW_S;
	if (timestamp < cache->floor_s || timestamp < now_s - NONCE_WINDOW_S ||
	    timestamp > now_s + NONCE_WINDOW_S)
		return NONCE_STALE;
	slot = find(cache->slots, hash);
	if (slot->hash == hash && slot->timestamp >= cache->floor_s)
		return NONCE_SEEN;
	if (slot->hash == 0 && cache->used >= NONCES_MAX && cache->floor_s > cache->swept_s) {
		sweep(cache);
		slot = find(cache->slots, hash);
	}
	if (slot->hash == 0) {
		if (cache->used >= NONCES_MAX)
			return NONCE_FULL;
		cache->used++;
	}
	*slot = (struct slot){ .hash = hash, .timestamp = timestamp };
	return NONCE_FRESH;
}
