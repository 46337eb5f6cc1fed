/*
 * The face of aead.h without a cipher, for the benchmark alone: what start-wg does beside it is then
 * what is measured. Never installed; whoever runs it has no secrecy at all.
 */
#include "wireguard/aead.h"

#include <string.h>

struct aead_key {
	char none;
};

static struct aead_key nothing;

int aead_prepare(void)
{
	return 0;
}

const char *aead_name(void)
{
	return "none";
}

int aead_key_new(const uint8_t key[AEAD_KEY_SIZE], enum aead_direction direction,
		 struct aead_key **ret)
{
	*ret = &nothing;
	return 0;
}

struct aead_key *aead_key_free(struct aead_key *key)
{
	return NULL;
}

void aead_seal(struct aead_key *key, struct aead_packet *packets, size_t count)
{
	for (size_t i = 0; i < count; i++)
		memset(packets[i].data + packets[i].size, 0, AEAD_TAG_SIZE);
}

void aead_open(struct aead_key *key, struct aead_packet *packets, size_t count)
{
	for (size_t i = 0; i < count; i++)
		packets[i].authentic = true;
}

int aead_seal_once(const uint8_t key[AEAD_KEY_SIZE], const uint8_t nonce[AEAD_NONCE_SIZE],
		   const void *associated, size_t associated_size, const uint8_t *from, size_t size,
		   uint8_t *to)
{
	memmove(to, from, size);
	memset(to + size, 0, AEAD_TAG_SIZE);
	return 0;
}

int aead_open_once(const uint8_t key[AEAD_KEY_SIZE], const uint8_t nonce[AEAD_NONCE_SIZE],
		   const void *associated, size_t associated_size, const uint8_t *from, size_t size,
		   uint8_t *to)
{
	memmove(to, from, size - AEAD_TAG_SIZE);
	return 0;
}
