#include "crypto/ed25519.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include <sodium.h>

#include "base/secret.h"

/* What stands before every hashed text: nothing for plain Ed25519, dom2(1, context) for Ed25519ph. */
struct domain {
	uint8_t bytes[32 + 2 + ED25519_CONTEXT_MAX];
	size_t size;
};

static const struct domain plain = { .size = 0 };

/* The private half: the scalar, and the prefix that makes the nonces. */
struct expanded {
	uint8_t scalar[32];
	uint8_t prefix[32];
};

static int prehashed(const char *context, struct domain *ret)
{
	static const char name[] = "SigEd25519 no Ed25519 collisions";
	size_t size = strlen(context);

	if (size > ED25519_CONTEXT_MAX)
		return -EINVAL;
	memcpy(ret->bytes, name, 32);
	ret->bytes[32] = 1;
	ret->bytes[33] = (uint8_t)size;
	memcpy(ret->bytes + 34, context, size);
	ret->size = 34 + size;
	return 0;
}

static void expand(const uint8_t seed[32], struct expanded *ret)
{
	uint8_t hash[64];

	(void)crypto_hash_sha512(hash, seed, 32);
	hash[0] &= 248;
	hash[31] = (hash[31] & 127) | 64;
	memcpy(ret->scalar, hash, 32);
	memcpy(ret->prefix, hash + 32, 32);
	secret_wipe(hash, sizeof(hash));
}

/* A point times a scalar that is neither 0 nor a multiple of the group's order. */
static void multiply_base(const uint8_t scalar[32], uint8_t ret[32])
{
	int r = crypto_scalarmult_ed25519_base_noclamp(ret, scalar);

	assert(r == 0);
	(void)r;
}

/* H(domain, first, second, message) as a number below the group's order. */
static void hash_scalar(const struct domain *domain, const uint8_t *first, const uint8_t *second,
			const void *message, size_t size, uint8_t ret[32])
{
	crypto_hash_sha512_state state;
	uint8_t hash[64];

	(void)crypto_hash_sha512_init(&state);
	(void)crypto_hash_sha512_update(&state, domain->bytes, domain->size);
	(void)crypto_hash_sha512_update(&state, first, 32);
	if (second)
		(void)crypto_hash_sha512_update(&state, second, 32);
	(void)crypto_hash_sha512_update(&state, message, size);
	(void)crypto_hash_sha512_final(&state, hash);
	crypto_core_ed25519_scalar_reduce(ret, hash);
	secret_wipe(&state, sizeof(state));
	secret_wipe(hash, sizeof(hash));
}

/* The clamped scalar is above the group's order; libsodium's arithmetic wants it below. */
static void reduce(const uint8_t scalar[32], uint8_t ret[32])
{
	uint8_t wide[64] = { 0 };

	memcpy(wide, scalar, 32);
	crypto_core_ed25519_scalar_reduce(ret, wide);
	secret_wipe(wide, sizeof(wide));
}

static void sign(const uint8_t seed[32], const struct domain *domain, const void *message,
		 size_t size, uint8_t ret[64])
{
	uint8_t public_key[32], nonce[32], challenge[32], scalar[32], product[32];
	struct expanded key;

	expand(seed, &key);
	multiply_base(key.scalar, public_key);
	hash_scalar(domain, key.prefix, NULL, message, size, nonce);
	multiply_base(nonce, ret);
	hash_scalar(domain, ret, public_key, message, size, challenge);
	reduce(key.scalar, scalar);
	crypto_core_ed25519_scalar_mul(product, challenge, scalar);
	crypto_core_ed25519_scalar_add(ret + 32, product, nonce);
	secret_wipe(&key, sizeof(key));
	secret_wipe(nonce, sizeof(nonce));
	secret_wipe(scalar, sizeof(scalar));
	secret_wipe(product, sizeof(product));
}

static bool is_canonical_scalar(const uint8_t scalar[32])
{
	uint8_t wide[64] = { 0 }, reduced[32];

	memcpy(wide, scalar, 32);
	crypto_core_ed25519_scalar_reduce(reduced, wide);
	return memcmp(reduced, scalar, 32) == 0;
}

/*
 * Computes R as SB - kA and compares the bytes, so that only a canonical R can be equal. A is of the prime
 * order group, and so are B and the result; its only point of small order is the neutral one.
 */
static bool verify(const uint8_t public_key[32], const struct domain *domain, const void *message,
		   size_t size, const uint8_t signature[64])
{
	static const uint8_t neutral[32] = { 1 };
	uint8_t challenge[32], left[32], right[32], point[32];

	if (!is_canonical_scalar(signature + 32) || !ed25519_public_valid(public_key))
		return false;
	hash_scalar(domain, signature, public_key, message, size, challenge);
	/* These fail for a scalar of 0, which no signer can be made to meet. */
	if (crypto_scalarmult_ed25519_base_noclamp(left, signature + 32) != 0 ||
	    crypto_scalarmult_ed25519_noclamp(right, challenge, public_key) != 0 ||
	    crypto_core_ed25519_sub(point, left, right) != 0)
		return false;
	return memcmp(point, neutral, 32) != 0 && memcmp(point, signature, 32) == 0;
}

void ed25519_public(const uint8_t seed[ED25519_SEED_SIZE], uint8_t ret[ED25519_PUBLIC_SIZE])
{
	struct expanded key;

	expand(seed, &key);
	multiply_base(key.scalar, ret);
	secret_wipe(&key, sizeof(key));
}

bool ed25519_public_valid(const uint8_t public_key[ED25519_PUBLIC_SIZE])
{
	return crypto_core_ed25519_is_valid_point(public_key) == 1;
}

void ed25519_sign(const uint8_t seed[ED25519_SEED_SIZE], const void *message, size_t size,
		  uint8_t ret[ED25519_SIGNATURE_SIZE])
{
	sign(seed, &plain, message, size, ret);
}

bool ed25519_verify(const uint8_t public_key[ED25519_PUBLIC_SIZE], const void *message, size_t size,
		    const uint8_t signature[ED25519_SIGNATURE_SIZE])
{
	return verify(public_key, &plain, message, size, signature);
}

int ed25519ph_sign(const uint8_t seed[ED25519_SEED_SIZE], const char *context, const void *message,
		   size_t size, uint8_t ret[ED25519_SIGNATURE_SIZE])
{
	uint8_t hash[64];
	struct domain domain;
	int r = prehashed(context, &domain);

	if (r < 0)
		return r;
	(void)crypto_hash_sha512(hash, message, size);
	sign(seed, &domain, hash, sizeof(hash), ret);
	return 0;
}

bool ed25519ph_verify(const uint8_t public_key[ED25519_PUBLIC_SIZE], const char *context,
		      const void *message, size_t size,
		      const uint8_t signature[ED25519_SIGNATURE_SIZE])
{
	uint8_t hash[64];
	struct domain domain;

	if (prehashed(context, &domain) < 0)
		return false;
	(void)crypto_hash_sha512(hash, message, size);
	return verify(public_key, &domain, hash, sizeof(hash), signature);
}
