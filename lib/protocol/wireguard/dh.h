/*
 * X25519 (RFC 7748)
 *
 * A key holds what computing with it needs more than once. It does not change for those who use it, so
 * that threads may share it.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

#define DH_SIZE 32

struct dh_key;

/* Clamps a private key as RFC 7748 section 5 says. */
void dh_clamp(uint8_t private_key[DH_SIZE]);

/* Makes a key from its private half. Returns 0 or -ENOMEM. */
int dh_key_new(const uint8_t private_key[DH_SIZE], struct dh_key **ret);

/* Makes @count keys, in less time than one after the other where the processor can. Returns 0, or -ENOMEM
 * and makes none. */
int dh_key_new_many(const uint8_t *const *private_keys, size_t count, struct dh_key **ret);

/* Makes now what dh_key_new_many() would make when it is called for the first time. */
void dh_prepare(void);

/* One more holder of the key, who may be another thread. Returns @key. */
struct dh_key *dh_key_ref(struct dh_key *key);

/* One holder less; the last one wipes and releases the key. NULL is fine. Returns NULL. */
struct dh_key *dh_key_free(struct dh_key *key);
DEFINE_CLEANUP(struct dh_key *, dh_key_free);

void dh_key_public(const struct dh_key *key, uint8_t ret[DH_SIZE]);

/* Computes the shared secret with a public key. Returns 0, -ENOMEM, or -EKEYREJECTED for a public
 * key that makes it zero (RFC 7748 section 6.1). */
int dh_shared(struct dh_key *key, const uint8_t public_key[DH_SIZE], uint8_t ret[DH_SIZE]);

/* A shared secret among others that are wanted. */
struct dh_request {
	struct dh_key *key;
	const uint8_t *public_key;
	uint8_t *secret; /* out, to be used where result is 0 */
	int result; /* out: as dh_shared() returns */
};

/* Takes less time than one after the other, where the processor can. */
void dh_shared_many(struct dh_request *requests, size_t count);
