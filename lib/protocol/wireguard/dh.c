#include "wireguard/dh.h"

#include <openssl/err.h>
#include <openssl/evp.h>

#include "base/secret.h"

struct dh_key {
	EVP_PKEY *pair;
	uint8_t public_key[DH_SIZE]; /* libcrypto would allocate to tell it */
};

void dh_clamp(uint8_t private_key[DH_SIZE])
{
	private_key[0] &= 248;
	private_key[31] = (private_key[31] & 127) | 64;
}

int dh_key_new(const uint8_t private_key[DH_SIZE], struct dh_key **ret)
{
	CLEANUP(dh_key_free) struct dh_key *key = calloc(1, sizeof(*key));
	size_t size = DH_SIZE;

	if (!key)
		return -ENOMEM;
	key->pair = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, private_key, DH_SIZE);
	if (!key->pair || !EVP_PKEY_get_raw_public_key(key->pair, key->public_key, &size)) {
		ERR_clear_error();
		return -ENOMEM;
	}
	*ret = TAKE_PTR(key);
	return 0;
}

struct dh_key *dh_key_free(struct dh_key *key)
{
	if (!key)
		return NULL;
	EVP_PKEY_free(key->pair); /* wipes it */
	free(key);
	return NULL;
}

void dh_key_public(const struct dh_key *key, uint8_t ret[DH_SIZE])
{
	memcpy(ret, key->public_key, DH_SIZE);
}

int dh_shared(const struct dh_key *key, const uint8_t public_key[DH_SIZE], uint8_t ret[DH_SIZE])
{
	static const uint8_t zero[DH_SIZE];
	EVP_PKEY *peer = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, public_key, DH_SIZE);
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, key->pair, NULL);
	uint8_t secret[DH_SIZE];
	size_t size = sizeof(secret);
	int r = -ENOMEM;

	memset(secret, 0xff, sizeof(secret));
	if (peer && context && EVP_PKEY_derive_init(context) > 0 &&
	    EVP_PKEY_derive_set_peer_ex(context, peer, 0) > 0 &&
	    EVP_PKEY_derive(context, secret, &size) > 0)
		r = 0;
	if (secret_equal(secret, zero, sizeof(secret))) /* libcrypto calls that a failure, too */
		r = -EKEYREJECTED;
	if (r == 0)
		memcpy(ret, secret, sizeof(secret));
	else
		ERR_clear_error();
	secret_wipe(secret, sizeof(secret));
	EVP_PKEY_CTX_free(context);
	EVP_PKEY_free(peer);
	return r;
}
