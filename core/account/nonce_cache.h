/*
 * Signatures that were used already
 *
 * A signed request counts within NONCE_WINDOW_S of its timestamp, and once. The cache remembers each nonce
 * with its signer for as long as its timestamp can count, 61 s at most, and refuses timestamps of which it
 * may have forgotten nonces: those before its start, and after a clock was set back those that lie
 * behind what it has seen, until the clock has caught up or the program is started anew. What was signed in
 * the very second of the start counts.
 *
 * Bounded: NONCES_MAX at a time; more are refused. Does no I/O and reads no clock. Owned by one event loop.
 */
#pragma once

#include <stdint.h>

#include "base/cleanup.h"
#include "crypto/ed25519.h"

#define NONCE_WINDOW_S 30
#define NONCES_MAX 32768 /* 537 signed requests a second for a whole minute */

enum nonce_result {
	NONCE_FRESH, /* it counts, and will not again */
	NONCE_STALE, /* the timestamp does not count */
	NONCE_SEEN, /* it was used already */
	NONCE_FULL, /* too many at a time */
};

struct nonce_cache;

/* @now_s: since 1970, here and below. Returns 0 or -ENOMEM. */
int nonce_cache_new(int64_t now_s, struct nonce_cache **ret);

/* NULL is fine. Returns NULL. */
struct nonce_cache *nonce_cache_free(struct nonce_cache *cache);
DEFINE_CLEANUP(struct nonce_cache *, nonce_cache_free);

/* Asked last, for what is verified already. */
enum nonce_result nonce_cache_take(struct nonce_cache *cache,
				   const uint8_t signer[ED25519_PUBLIC_SIZE], uint64_t nonce,
				   int64_t timestamp, int64_t now_s);
