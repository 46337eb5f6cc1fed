/*
 * Ed25519 and Ed25519ph with a context, RFC 8032
 *
 * Made of libsodium's group operations, for neither libsodium nor OpenSSL before 3.2 takes a context.
 * Verification is strict: the points and S have to be in canonical form, the key has to be of the prime
 * order group, and so has R. So nobody but the owner of the key makes a second signature of a first.
 * Signing takes a time that does not depend on the seed and wipes what came from it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ED25519_SEED_SIZE 32 /* the private key, as files keep it */
#define ED25519_PUBLIC_SIZE 32
#define ED25519_SIGNATURE_SIZE 64
#define ED25519_CONTEXT_MAX 255 /* bytes */

void ed25519_public(const uint8_t seed[ED25519_SEED_SIZE], uint8_t ret[ED25519_PUBLIC_SIZE]);

/* Whether signatures of this key can be accepted: a canonical point of the prime order group. */
bool ed25519_public_valid(const uint8_t public_key[ED25519_PUBLIC_SIZE]);

/* Plain Ed25519. */
void ed25519_sign(const uint8_t seed[ED25519_SEED_SIZE], const void *message, size_t size,
		  uint8_t ret[ED25519_SIGNATURE_SIZE]);
bool ed25519_verify(const uint8_t public_key[ED25519_PUBLIC_SIZE], const void *message, size_t size,
		    const uint8_t signature[ED25519_SIGNATURE_SIZE]);

/* Ed25519ph: the message's SHA-512 is signed. A context that is longer than ED25519_CONTEXT_MAX bytes
 * gives -EINVAL, and no signature is one of it. @context: text, "" for none. */
int ed25519ph_sign(const uint8_t seed[ED25519_SEED_SIZE], const char *context, const void *message,
		   size_t size, uint8_t ret[ED25519_SIGNATURE_SIZE]);
bool ed25519ph_verify(const uint8_t public_key[ED25519_PUBLIC_SIZE], const char *context,
		      const void *message, size_t size,
		      const uint8_t signature[ED25519_SIGNATURE_SIZE]);
