/*
 * Two ways: several packets at once where the processor has AVX2 and it pays (aead_avx2.h), else
 * libcrypto.
 *
 * With libcrypto a context keeps its key; a packet costs setting the nonce, one pass, the final step and
 * the tag. EVP_Cipher() skips the block buffering of EVP_CipherUpdate(), which a stream cipher does not
 * need. The final step has to be EVP_CipherFinal_ex(): EVP_Cipher() without input leaves it out in some
 * releases of OpenSSL 3.0. None of these calls can fail on a context that is set up, hence the
 * assertions.
 */
#include "wireguard/aead.h"

#include <assert.h>
#include <endian.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <pthread.h>

#include "base/secret.h"
#include "wireguard/aead_avx2.h"

struct aead_key {
	EVP_CIPHER_CTX *context;
	uint8_t bytes[AEAD_KEY_SIZE]; /* for several packets at once */
};

static EVP_CIPHER *cipher;
static bool at_once; /* the processor can do several packets */
static pthread_once_t cipher_once = PTHREAD_ONCE_INIT;

/* Fetching costs more than a packet, so it is done once for the life of the process. */
static void fetch_cipher(void)
{
	cipher = EVP_CIPHER_fetch(NULL, "ChaCha20-Poly1305", NULL);
	at_once = aead_avx2_available();
}

int aead_prepare(void)
{
	(void)pthread_once(&cipher_once, fetch_cipher);
	return cipher ? 0 : -ENOMEM;
}

int aead_key_new(const uint8_t key[AEAD_KEY_SIZE], enum aead_direction direction,
		 struct aead_key **ret)
{
	CLEANUP(aead_key_free) struct aead_key *made = NULL;

	if (aead_prepare() < 0)
		return -ENOMEM;
	made = calloc(1, sizeof(*made));
	if (!made)
		return -ENOMEM;
	made->context = EVP_CIPHER_CTX_new();
	if (!made->context ||
	    !EVP_CipherInit_ex2(made->context, cipher, key, NULL, direction, NULL)) {
		ERR_clear_error();
		return -ENOMEM;
	}
	memcpy(made->bytes, key, sizeof(made->bytes));
	*ret = TAKE_PTR(made);
	return 0;
}

struct aead_key *aead_key_free(struct aead_key *key)
{
	if (!key)
		return NULL;
	EVP_CIPHER_CTX_free(key->context); /* wipes it */
	secret_wipe(key->bytes, sizeof(key->bytes));
	free(key);
	return NULL;
}

static void set_counter(EVP_CIPHER_CTX *context, uint64_t counter)
{
	uint8_t nonce[AEAD_NONCE_SIZE] = { 0 };
	uint64_t le = htole64(counter);
	int r;

	memcpy(nonce + 4, &le, sizeof(le));
	r = EVP_CipherInit_ex(context, NULL, NULL, NULL, nonce, -1);
	assert(r == 1);
}

static OSSL_PARAM tag_param(void *tag)
{
	return OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, tag, AEAD_TAG_SIZE);
}

static void seal_one(EVP_CIPHER_CTX *context, struct aead_packet *p)
{
	OSSL_PARAM params[] = { tag_param(p->data + p->size), OSSL_PARAM_END };
	int done, r;

	set_counter(context, p->counter);
	r = p->size > 0 ? EVP_Cipher(context, p->data, p->data, (unsigned)p->size) : 0;
	assert(r == (int)p->size);
	r = EVP_CipherFinal_ex(context, p->data + p->size, &done); /* writes nothing there */
	assert(r == 1);
	r = EVP_CIPHER_CTX_get_params(context, params);
	assert(r == 1);
}

static void open_one(EVP_CIPHER_CTX *context, struct aead_packet *p)
{
	OSSL_PARAM params[] = { tag_param(p->data + p->size), OSSL_PARAM_END };
	int done, r;

	set_counter(context, p->counter);
	r = EVP_CIPHER_CTX_set_params(context, params);
	assert(r == 1);
	r = p->size > 0 ? EVP_Cipher(context, p->data, p->data, (unsigned)p->size) : 0;
	assert(r == (int)p->size);
	p->authentic = EVP_CipherFinal_ex(context, p->data + p->size, &done) == 1;
	if (!p->authentic)
		ERR_clear_error();
}

static size_t group_size(size_t count)
{
	return count < AEAD_AVX2_LANES ? count : AEAD_AVX2_LANES;
}

void aead_seal(struct aead_key *key, struct aead_packet *packets, size_t count)
{
	for (size_t n; count > 0; packets += n, count -= n) {
		n = group_size(count);
		if (at_once && aead_avx2_pays(packets, n)) {
			aead_avx2_seal(key->bytes, packets, n);
			continue;
		}
		for (size_t i = 0; i < n; i++)
			seal_one(key->context, &packets[i]);
	}
}

void aead_open(struct aead_key *key, struct aead_packet *packets, size_t count)
{
	for (size_t n; count > 0; packets += n, count -= n) {
		n = group_size(count);
		if (at_once && aead_avx2_pays(packets, n)) {
			aead_avx2_open(key->bytes, packets, n);
			continue;
		}
		for (size_t i = 0; i < n; i++)
			open_one(key->context, &packets[i]);
	}
}

/* Runs the context over one message up to the tag. */
static bool run_once(EVP_CIPHER_CTX *context, const uint8_t *key, const uint8_t *nonce,
		     enum aead_direction direction, const void *associated, size_t associated_size,
		     const uint8_t *from, size_t size, uint8_t *to)
{
	int done;

	return EVP_CipherInit_ex2(context, cipher, key, nonce, direction, NULL) &&
	       (associated_size == 0 ||
		EVP_CipherUpdate(context, NULL, &done, associated, (int)associated_size)) &&
	       (size == 0 || EVP_CipherUpdate(context, to, &done, from, (int)size));
}

int aead_seal_once(const uint8_t key[AEAD_KEY_SIZE], const uint8_t nonce[AEAD_NONCE_SIZE],
		   const void *associated, size_t associated_size, const uint8_t *from, size_t size,
		   uint8_t *to)
{
	OSSL_PARAM params[] = { tag_param(to + size), OSSL_PARAM_END };
	EVP_CIPHER_CTX *context;
	bool fine;
	int done;

	if (aead_prepare() < 0)
		return -ENOMEM;
	context = EVP_CIPHER_CTX_new();
	fine = context &&
	       run_once(context, key, nonce, AEAD_SEAL, associated, associated_size, from, size,
			to) &&
	       EVP_CipherFinal_ex(context, to + size, &done) &&
	       EVP_CIPHER_CTX_get_params(context, params);
	EVP_CIPHER_CTX_free(context);
	if (!fine)
		ERR_clear_error();
	return fine ? 0 : -ENOMEM;
}

int aead_open_once(const uint8_t key[AEAD_KEY_SIZE], const uint8_t nonce[AEAD_NONCE_SIZE],
		   const void *associated, size_t associated_size, const uint8_t *from, size_t size,
		   uint8_t *to)
{
	size_t plain = size - AEAD_TAG_SIZE;
	uint8_t tag[AEAD_TAG_SIZE];
	OSSL_PARAM params[] = { tag_param(tag), OSSL_PARAM_END };
	EVP_CIPHER_CTX *context;
	int done;
	int r = 0;

	if (size < AEAD_TAG_SIZE)
		return -EBADMSG;
	if (aead_prepare() < 0)
		return -ENOMEM;
	memcpy(tag, from + plain, sizeof(tag));
	context = EVP_CIPHER_CTX_new();
	if (!context ||
	    !run_once(context, key, nonce, AEAD_OPEN, associated, associated_size, from, plain, to))
		r = -ENOMEM;
	else if (!EVP_CIPHER_CTX_set_params(context, params) ||
		 !EVP_CipherFinal_ex(context, to + plain, &done))
		r = -EBADMSG;
	EVP_CIPHER_CTX_free(context);
	if (r < 0) {
		secret_wipe(to, plain);
		ERR_clear_error();
	}
	return r;
}
