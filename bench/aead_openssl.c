/*
 * No vectors of our own, for the benchmark alone: start-wg then seals and opens with libcrypto, as it
 * does on processors that aead_avx2.c does not know.
 */
#include "wireguard/aead_avx2.h"

bool aead_avx2_available(void)
{
	return false;
}

bool aead_avx2_pays(const struct aead_packet *packets, size_t count)
{
	return false;
}

void aead_avx2_seal(const uint8_t key[AEAD_KEY_SIZE], struct aead_packet *packets, size_t count)
{
}

void aead_avx2_open(const uint8_t key[AEAD_KEY_SIZE], struct aead_packet *packets, size_t count)
{
}
