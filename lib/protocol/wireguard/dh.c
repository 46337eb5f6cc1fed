/*
 * libsodium computes public keys, from a table of the base point: in a third of the time of libcrypto,
 * which computes shared secrets, faster than libsodium. Several of either are computed at once where the
 * processor can (dh_avx2.h), in half of the time that the libraries take for each, or less.
 */
#include "wireguard/dh.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <sodium/crypto_scalarmult_curve25519.h>
#include <stdatomic.h>

#include "base/secret.h"
#include "wireguard/dh_avx2.h"

struct dh_key {
	atomic_uint holders;
	EVP_PKEY *_Atomic pair; /* NULL until libcrypto needs it */
	uint8_t private_key[DH_SIZE];
	uint8_t public_key[DH_SIZE];
};

void dh_clamp(uint8_t private_key[DH_SIZE])
{
	private_key[0] &= 248;
	private_key[31] = (private_key[31] & 127) | 64;
}

/* Gives libcrypto both halves, or it would compute the public one. */
static EVP_PKEY *make_pair(const struct dh_key *key)
{
	const OSSL_PARAM halves[] = {
		OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PRIV_KEY,
						  (void *)key->private_key, DH_SIZE),
		OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, (void *)key->public_key,
						  DH_SIZE),
		OSSL_PARAM_END,
	};
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "X25519", NULL);
	EVP_PKEY *pair = NULL;

	if (!context || EVP_PKEY_fromdata_init(context) <= 0 ||
	    EVP_PKEY_fromdata(context, &pair, EVP_PKEY_KEYPAIR, (OSSL_PARAM *)halves) <= 0)
		ERR_clear_error();
	EVP_PKEY_CTX_free(context);
	return pair;
}

/* The key as libcrypto has it; of two threads that make it, one is the first. NULL: no memory. */
static EVP_PKEY *get_pair(struct dh_key *key)
{
	EVP_PKEY *before = atomic_load_explicit(&key->pair, memory_order_acquire);
	EVP_PKEY *made;

	if (before)
		return before;
	made = make_pair(key);
	if (!made || atomic_compare_exchange_strong_explicit(
			     &key->pair, &before, made, memory_order_acq_rel, memory_order_acquire))
		return made;
	EVP_PKEY_free(made);
	return before;
}

static struct dh_key *allocate(const uint8_t private_key[DH_SIZE])
{
	struct dh_key *key = calloc(1, sizeof(*key));

	if (!key)
		return NULL;
	memcpy(key->private_key, private_key, DH_SIZE);
	atomic_init(&key->holders, 1);
	atomic_init(&key->pair, NULL);
	return key;
}

/* Computes the public halves of a group of keys at once. */
static void public_at_once(struct dh_key *const *keys, size_t count)
{
	struct dh_avx2_half halves[DH_AVX2_LANES];

	for (size_t i = 0; i < count; i++)
		halves[i] = (struct dh_avx2_half){ keys[i]->private_key, keys[i]->public_key };
	dh_avx2_public(halves, count);
}

static void compute_public(struct dh_key *const *keys, size_t count)
{
	bool at_once = dh_avx2_available();

	while (count > 0) {
		size_t n = 1;

		if (at_once && dh_avx2_pays(count)) {
			n = count < DH_AVX2_LANES ? count : DH_AVX2_LANES;
			public_at_once(keys, n);
		} else { /* cannot fail */
			(void)crypto_scalarmult_curve25519_base((*keys)->public_key,
								(*keys)->private_key);
		}
		keys += n;
		count -= n;
	}
}

void dh_prepare(void)
{
	if (dh_avx2_available())
		dh_avx2_prepare();
}

int dh_key_new(const uint8_t private_key[DH_SIZE], struct dh_key **ret)
{
	struct dh_key *key = allocate(private_key);

	if (!key)
		return -ENOMEM;
	compute_public(&key, 1);
	*ret = key;
	return 0;
}

int dh_key_new_many(const uint8_t *const *private_keys, size_t count, struct dh_key **ret)
{
	for (size_t made = 0; made < count; made++) {
		ret[made] = allocate(private_keys[made]);
		if (ret[made])
			continue;
		while (made > 0)
			dh_key_free(ret[--made]);
		return -ENOMEM;
	}
	compute_public(ret, count);
	return 0;
}

struct dh_key *dh_key_ref(struct dh_key *key)
{
	(void)atomic_fetch_add_explicit(&key->holders, 1, memory_order_relaxed);
	return key;
}

struct dh_key *dh_key_free(struct dh_key *key)
{
	if (!key || atomic_fetch_sub_explicit(&key->holders, 1, memory_order_acq_rel) > 1)
		return NULL;
	EVP_PKEY_free(atomic_load_explicit(&key->pair, memory_order_relaxed)); /* wipes it */
	secret_wipe(key->private_key, sizeof(key->private_key));
	free(key);
	return NULL;
}

void dh_key_public(const struct dh_key *key, uint8_t ret[DH_SIZE])
{
	memcpy(ret, key->public_key, DH_SIZE);
}

int dh_shared(struct dh_key *key, const uint8_t public_key[DH_SIZE], uint8_t ret[DH_SIZE])
{
	static const uint8_t zero[DH_SIZE];
	EVP_PKEY *peer = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, public_key, DH_SIZE);
	EVP_PKEY *pair = get_pair(key);
	EVP_PKEY_CTX *context = pair ? EVP_PKEY_CTX_new_from_pkey(NULL, pair, NULL) : NULL;
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

/* A group of requests at once. */
static void shared_at_once(struct dh_request *requests, size_t count)
{
	static const uint8_t zero[DH_SIZE];
	struct dh_avx2_pair pairs[DH_AVX2_LANES];

	for (size_t i = 0; i < count; i++)
		pairs[i] = (struct dh_avx2_pair){ requests[i].key->private_key,
						  requests[i].public_key, requests[i].secret };
	dh_avx2_shared(pairs, count);
	for (size_t i = 0; i < count; i++)
		requests[i].result = secret_equal(requests[i].secret, zero, DH_SIZE) ? -EKEYREJECTED
										     : 0;
}

void dh_shared_many(struct dh_request *requests, size_t count)
{
	bool at_once = dh_avx2_available();

	while (count > 0) {
		size_t n = 1;

		if (at_once && dh_avx2_pays(count)) {
			n = count < DH_AVX2_LANES ? count : DH_AVX2_LANES;
			shared_at_once(requests, n);
		} else {
			requests->result =
				dh_shared(requests->key, requests->public_key, requests->secret);
		}
		requests += n;
		count -= n;
	}
}
