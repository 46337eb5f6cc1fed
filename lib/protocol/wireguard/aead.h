/*
 * ChaCha20-Poly1305 (RFC 8439) as WireGuard uses it
 *
 * Packets come in batches under one key and are sealed and opened in place. The work is behind this
 * face so that an implementation that works on several packets at once can take its place. Its
 * memory is allocated when a key is made, never per packet.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

#define AEAD_KEY_SIZE 32
#define AEAD_NONCE_SIZE 12
#define AEAD_TAG_SIZE 16
#define AEAD_BATCH_MAX 64 /* what callers usefully collect before a call */

struct aead_key;

enum aead_direction {
	AEAD_OPEN = 0,
	AEAD_SEAL = 1,
};

struct aead_packet {
	uint8_t *data;
	size_t size; /* of the plain text; the tag follows it */
	uint64_t counter; /* the nonce */
	bool authentic; /* out, of aead_open() */
};

/* Loads the cipher. Called again it does nothing. Returns 0 or -ENOMEM. */
int aead_prepare(void);

/* What packets in bulk are sealed and opened by, once it is loaded: "AVX2" and so on, or "libcrypto". */
const char *aead_name(void);

/* Makes a key for one direction; @key is copied. Returns 0 or -ENOMEM. */
int aead_key_new(const uint8_t key[AEAD_KEY_SIZE], enum aead_direction direction,
		 struct aead_key **ret);

/* Wipes and releases the key. NULL is fine. Returns NULL. */
struct aead_key *aead_key_free(struct aead_key *key);
DEFINE_CLEANUP(struct aead_key *, aead_key_free);

/* Encrypts each packet's data in place and writes its tag behind it. */
void aead_seal(struct aead_key *key, struct aead_packet *packets, size_t count);

/* Decrypts each packet's data in place and says whether it is authentic; if not, the data is lost. */
void aead_open(struct aead_key *key, struct aead_packet *packets, size_t count);

/*
 * One message under a key that is used once, with associated data. @to has room for the tag and may
 * be the same memory as @from. Returns 0 or -ENOMEM.
 */
int aead_seal_once(const uint8_t key[AEAD_KEY_SIZE], const uint8_t nonce[AEAD_NONCE_SIZE],
		   const void *associated, size_t associated_size, const uint8_t *from, size_t size,
		   uint8_t *to);

/* @size: with the tag; @to gets 16 less, and is zeroed on failure. Returns 0, -EBADMSG or -ENOMEM. */
int aead_open_once(const uint8_t key[AEAD_KEY_SIZE], const uint8_t nonce[AEAD_NONCE_SIZE],
		   const void *associated, size_t associated_size, const uint8_t *from, size_t size,
		   uint8_t *to);
