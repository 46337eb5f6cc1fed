/*
 * Two ways: several packets at once where the processor has vectors for it and it pays (aead_lanes.h),
 * else libcrypto. Which pays is measured where the program runs, when the cipher is loaded.
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
#include <sodium/utils.h>
#include <time.h>

#include "base/secret.h"
#include "wireguard/aead_lanes.h"

#define STACK_OF_LANES 16384 /* bytes, more than any of aead_lanes.h uses */

struct aead_key {
	EVP_CIPHER_CTX *context;
	uint8_t bytes[AEAD_KEY_SIZE]; /* for several packets at once */
};

static EVP_CIPHER *cipher;
static const struct aead_lanes *lanes; /* NULL: one packet after the other */
static pthread_once_t cipher_once = PTHREAD_ONCE_INIT;

static int key_new(const uint8_t key[AEAD_KEY_SIZE], enum aead_direction direction,
		   struct aead_key **ret)
{
	CLEANUP(aead_key_free) struct aead_key *made = NULL;

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
	/* Vectors that did not fit into registers; wiping them after each group took 2 to 15 % of its time. */
	sodium_stackzero(STACK_OF_LANES);
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

/*
 * What sealing takes, in nanoseconds on this processor: with libcrypto for each packet and byte, and side
 * by side for a group, for each pass of the cipher and for each step of the longest packet (nothing, where
 * steps are taken during the passes).
 */
static struct {
	double packet, byte;
	double group, pass, step;
} costs;

#define STEP 16 /* bytes of a packet */
#define BLOCK 64 /* bytes of the cipher */

/* The passes and steps that a group of these takes; the keys of the tags take one pass, the lengths one
 * step. */
static void count_work(const struct aead_packet *packets, size_t count, size_t *bytes,
		       size_t *passes, size_t *steps)
{
	size_t blocks = 0;

	*bytes = *steps = 0;
	for (size_t i = 0; i < count; i++) {
		*bytes += packets[i].size;
		blocks += (packets[i].size + BLOCK - 1) / BLOCK;
		if (packets[i].size > *steps)
			*steps = packets[i].size;
	}
	*steps = (*steps + STEP - 1) / STEP + 1;
	*passes = (blocks + lanes->blocks - 1) / lanes->blocks + 1;
}

/* Whether the group is done sooner side by side: many small packets are, a few large ones are not. */
static bool pays(const struct aead_packet *packets, size_t count)
{
	size_t bytes, passes, steps;

	count_work(packets, count, &bytes, &passes, &steps);
	return costs.group + costs.pass * (double)passes + costs.step * (double)steps <
	       costs.packet * (double)count + costs.byte * (double)bytes;
}

/* The shortest time of several tries, in nanoseconds: of one packet by libcrypto, or of a group. */
static double time_of(struct aead_key *key, struct aead_packet *packets, size_t count,
		      bool side_by_side)
{
	double shortest = 1e9;

	for (int i = 0; i < 16; i++) {
		struct timespec begin, end;
		double time;

		(void)clock_gettime(CLOCK_MONOTONIC, &begin);
		if (side_by_side)
			lanes->seal(key->bytes, packets, count);
		else
			seal_one(key->context, &packets[0]);
		(void)clock_gettime(CLOCK_MONOTONIC, &end);
		time = (double)(end.tv_sec - begin.tv_sec) * 1e9 +
		       (double)(end.tv_nsec - begin.tv_nsec);
		if (time < shortest)
			shortest = time;
	}
	return shortest;
}

#define SMALL 64
#define LARGE 1408

static double cost_of(struct aead_key *key, uint8_t *data, size_t size, size_t count,
		      bool side_by_side)
{
	struct aead_packet packets[AEAD_LANES_MAX];

	for (size_t i = 0; i < count; i++)
		packets[i] = (struct aead_packet){ .data = data + i * (LARGE + AEAD_TAG_SIZE),
						   .size = size };
	return time_of(key, packets, count, side_by_side);
}

/* Solves for the costs what some packets take. Half a millisecond. Without memory nothing pays. */
static void measure(void)
{
	static const uint8_t zero[AEAD_KEY_SIZE];
	CLEANUP(aead_key_free) struct aead_key *key = NULL;
	cleanup_free uint8_t *data = calloc(AEAD_LANES_MAX, LARGE + AEAD_TAG_SIZE);
	struct aead_packet sample[AEAD_LANES_MAX] = { 0 };
	double small, large, full;
	size_t bytes, passes[3], steps[3];

	if (!data || key_new(zero, AEAD_SEAL, &key) < 0) {
		lanes = NULL;
		return;
	}
	small = cost_of(key, data, SMALL, 1, false);
	large = cost_of(key, data, LARGE, 1, false);
	costs.byte = (large - small) / (LARGE - SMALL);
	costs.packet = small - costs.byte * SMALL;

	small = cost_of(key, data, SMALL, 1, true);
	large = cost_of(key, data, LARGE, 1, true);
	full = cost_of(key, data, LARGE, lanes->group, true);
	sample[0].size = SMALL;
	count_work(sample, 1, &bytes, &passes[0], &steps[0]);
	for (size_t i = 0; i < lanes->group; i++)
		sample[i].size = LARGE;
	count_work(sample, 1, &bytes, &passes[1], &steps[1]);
	count_work(sample, lanes->group, &bytes, &passes[2], &steps[2]);
	costs.pass = (full - large) / (double)(passes[2] - passes[1]);
	costs.step = (large - small - costs.pass * (double)(passes[1] - passes[0])) /
		     (double)(steps[1] - steps[0]);
	costs.group = small - costs.pass * (double)passes[0] - costs.step * (double)steps[0];
}

/* Fetching costs more than a packet, so it is done once for the life of the process. */
static void fetch_cipher(void)
{
	const struct aead_lanes *supported[AEAD_LANES_SETS];

	cipher = EVP_CIPHER_fetch(NULL, "ChaCha20-Poly1305", NULL);
	if (!cipher || aead_lanes_supported(supported) == 0)
		return;
	lanes = supported[0];
	measure();
}

int aead_prepare(void)
{
	(void)pthread_once(&cipher_once, fetch_cipher);
	return cipher ? 0 : -ENOMEM;
}

const char *aead_name(void)
{
	return lanes ? lanes->name : "libcrypto";
}

int aead_key_new(const uint8_t key[AEAD_KEY_SIZE], enum aead_direction direction,
		 struct aead_key **ret)
{
	return aead_prepare() < 0 ? -ENOMEM : key_new(key, direction, ret);
}

/* How many of the packets are the next group; @ret says whether they are done side by side. */
static size_t next_group(const struct aead_packet *packets, size_t count, bool *ret)
{
	if (lanes && count > lanes->group)
		count = lanes->group;
	*ret = lanes && pays(packets, count);
	return count;
}

void aead_seal(struct aead_key *key, struct aead_packet *packets, size_t count)
{
	bool side_by_side;

	for (size_t n; count > 0; packets += n, count -= n) {
		n = next_group(packets, count, &side_by_side);
		if (side_by_side)
			lanes->seal(key->bytes, packets, n);
		for (size_t i = 0; !side_by_side && i < n; i++)
			seal_one(key->context, &packets[i]);
	}
}

void aead_open(struct aead_key *key, struct aead_packet *packets, size_t count)
{
	bool side_by_side;

	for (size_t n; count > 0; packets += n, count -= n) {
		n = next_group(packets, count, &side_by_side);
		if (side_by_side)
			lanes->open(key->bytes, packets, n);
		for (size_t i = 0; !side_by_side && i < n; i++)
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
