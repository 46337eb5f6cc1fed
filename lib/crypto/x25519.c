#include "crypto/x25519.h"

#include <openssl/evp.h>

#include "base/cleanup.h"
#include "base/secret.h"

void x25519_clamp(uint8_t private_key[X25519_KEY_SIZE])
{
	private_key[0] &= 248;
	private_key[31] = (private_key[31] & 127) | 64;
}

void x25519_generate(uint8_t ret_private[X25519_KEY_SIZE])
{
	random_bytes(ret_private, X25519_KEY_SIZE);
	x25519_clamp(ret_private);
}

int x25519_public(const uint8_t private_key[X25519_KEY_SIZE], uint8_t ret_public[X25519_KEY_SIZE])
{
	EVP_PKEY *key =
		EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, private_key, X25519_KEY_SIZE);
	size_t size = X25519_KEY_SIZE;
	int ok;

	if (!key)
		return -ENOMEM;
	ok = EVP_PKEY_get_raw_public_key(key, ret_public, &size);
	EVP_PKEY_free(key);
	return ok == 1 ? 0 : -ENOMEM;
}
