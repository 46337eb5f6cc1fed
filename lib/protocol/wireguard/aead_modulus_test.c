/*
 * Tags whose last sum is at the modulus of Poly1305, 2^130 - 5
 *
 * Whether the modulus is still to be taken off at the end, only one of 2^128 messages tells, and no published
 * vector of an AEAD does. So the last block of a message is solved for: the sum h of the others, the lengths
 * L and the key r leave ((h + c) * r + L) * r = wanted, modulo 2^130 - 5. A sum below 5 is found by each
 * implementation as one just above the modulus.
 */
#include <openssl/bn.h>
#include <openssl/evp.h>

#include "base/secret.h"
#include "wireguard/aead.h"
#include "wireguard/aead_lanes.h"

#include "base/test.h"

#define BLOCK 16
#define SIZE_MAX_TRIED 1424
#define COUNTER 7

struct message {
	uint8_t key[AEAD_KEY_SIZE];
	size_t size;
	uint8_t plain[SIZE_MAX_TRIED];
	uint8_t cipher[SIZE_MAX_TRIED + AEAD_TAG_SIZE]; /* and the tag, by libcrypto */
};

struct numbers {
	BN_CTX *context;
	BIGNUM *p, *r, *inverse, *lengths, *sum, *block;
};

/* Reads 16 bytes as Poly1305 does, with a bit above them. */
static void read_block(const uint8_t block[BLOCK], BIGNUM *ret)
{
	assert_non_null(BN_lebin2bn(block, BLOCK, ret));
	assert_int_equal(BN_set_bit(ret, 128), 1);
}

static void numbers_init(struct numbers *n, const uint8_t poly_key[BLOCK], uint64_t size)
{
	uint8_t r[BLOCK], lengths[BLOCK] = { 0 };

	n->context = BN_CTX_new();
	assert_non_null(n->context);
	BN_CTX_start(n->context);
	n->p = BN_CTX_get(n->context);
	n->r = BN_CTX_get(n->context);
	n->inverse = BN_CTX_get(n->context);
	n->lengths = BN_CTX_get(n->context);
	n->sum = BN_CTX_get(n->context);
	n->block = BN_CTX_get(n->context);
	assert_non_null(n->block);
	assert_int_equal(BN_set_bit(n->p, 130) && BN_sub_word(n->p, 5), 1);
	memcpy(r, poly_key, sizeof(r));
	for (int i = 3; i < BLOCK; i += 4)
		r[i] &= 15;
	for (int i = 4; i < BLOCK; i += 4)
		r[i] &= 252;
	assert_non_null(BN_lebin2bn(r, sizeof(r), n->r));
	assert_non_null(BN_mod_inverse(n->inverse, n->r, n->p, n->context));
	for (int i = 0; i < 8; i++)
		lengths[8 + i] = (uint8_t)(size >> (8 * i));
	read_block(lengths, n->lengths);
}

static void numbers_done(struct numbers *n)
{
	BN_CTX_end(n->context);
	BN_CTX_free(n->context);
}
DEFINE_CLEANUP_DONE(struct numbers, numbers_done);

/* The sum after all blocks but the last one. */
static void sum_blocks(struct numbers *n, const uint8_t *from, size_t size)
{
	BN_zero(n->sum);
	for (size_t at = 0; at < size; at += BLOCK) {
		read_block(from + at, n->block);
		assert_int_equal(BN_mod_add(n->sum, n->sum, n->block, n->p, n->context), 1);
		assert_int_equal(BN_mod_mul(n->sum, n->sum, n->r, n->p, n->context), 1);
	}
}

/* Solves for the last block. Returns false where that is not a block: three of four times. */
static bool solve(struct numbers *n, int wanted, uint8_t ret[BLOCK])
{
	bool fine = BN_copy(n->block, n->p) &&
		    (wanted < 0 ? BN_sub_word(n->block, (unsigned)-wanted)
				: BN_set_word(n->block, (unsigned)wanted)) &&
		    BN_mod_mul(n->block, n->block, n->inverse, n->p, n->context) &&
		    BN_mod_sub(n->block, n->block, n->lengths, n->p, n->context) &&
		    BN_mod_mul(n->block, n->block, n->inverse, n->p, n->context) &&
		    BN_mod_sub(n->block, n->block, n->sum, n->p, n->context);

	assert_true(fine);
	if (BN_num_bits(n->block) != 129)
		return false;
	assert_int_equal(BN_clear_bit(n->block, 128), 1);
	assert_int_equal(BN_bn2lebinpad(n->block, ret, BLOCK), BLOCK);
	return true;
}

static void nonce_of(uint8_t ret[AEAD_NONCE_SIZE])
{
	memset(ret, 0, AEAD_NONCE_SIZE);
	ret[4] = COUNTER;
}

/* Makes key stream from a block on: the first has the key of the tag. */
static void key_stream(const uint8_t key[AEAD_KEY_SIZE], uint8_t block, uint8_t *ret, size_t size)
{
	EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
	uint8_t iv[16] = { block };
	int done;

	nonce_of(iv + 4);
	memset(ret, 0, size);
	assert_int_equal(EVP_EncryptInit(context, EVP_chacha20(), key, iv), 1);
	assert_int_equal(EVP_EncryptUpdate(context, ret, &done, ret, (int)size), 1);
	EVP_CIPHER_CTX_free(context);
}

/* A message of whole blocks, two or more, whose last sum is @wanted; below 0: so far below the modulus. */
static void make_message(struct message *m, size_t size, int wanted)
{
	CLEANUP(numbers_done) struct numbers numbers;
	uint8_t poly_key[BLOCK], stream[SIZE_MAX_TRIED], nonce[AEAD_NONCE_SIZE];

	random_bytes(m->key, sizeof(m->key));
	m->size = size;
	key_stream(m->key, 0, poly_key, sizeof(poly_key));
	numbers_init(&numbers, poly_key, size);
	do {
		random_bytes(m->cipher, size - BLOCK);
		sum_blocks(&numbers, m->cipher, size - BLOCK);
	} while (!solve(&numbers, wanted, m->cipher + size - BLOCK));
	key_stream(m->key, 1, stream, size);
	for (size_t i = 0; i < size; i++)
		m->plain[i] = m->cipher[i] ^ stream[i];
	memcpy(stream, m->cipher, size);
	nonce_of(nonce);
	assert_int_equal(aead_seal_once(m->key, nonce, NULL, 0, m->plain, size, m->cipher), 0);
	assert_memory_equal(m->cipher, stream, size);
}

/* It in each lane. */
static void check_group(const struct message *m, const struct aead_lanes *set, size_t count)
{
	static uint8_t data[AEAD_LANES_MAX][SIZE_MAX_TRIED + AEAD_TAG_SIZE];
	struct aead_packet packets[AEAD_LANES_MAX];

	for (size_t i = 0; i < count; i++) {
		memcpy(data[i], m->plain, m->size);
		packets[i] = (struct aead_packet){ data[i], m->size, COUNTER, false };
	}
	set->seal(m->key, packets, count);
	for (size_t i = 0; i < count; i++)
		assert_memory_equal(data[i], m->cipher, m->size + AEAD_TAG_SIZE);
	set->open(m->key, packets, count);
	for (size_t i = 0; i < count; i++)
		assert_true(packets[i].authentic);
}

static void sums_at_the_modulus(void **state)
{
	static const size_t sizes[] = { 2 * BLOCK, 3 * BLOCK, 64, 1024, SIZE_MAX_TRIED };
	const struct aead_lanes *sets[AEAD_LANES_SETS];
	size_t set_count = aead_lanes_supported(sets);
	static struct message m;

	(void)state;
	assert_int_equal(aead_prepare(), 0);
	for (int wanted = -6; wanted <= 8; wanted++) {
		for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
			make_message(&m, sizes[i], wanted);
			for (size_t n = 0; n < set_count; n++) {
				check_group(&m, sets[n], 1);
				check_group(&m, sets[n], sets[n]->group);
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sums_at_the_modulus),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
