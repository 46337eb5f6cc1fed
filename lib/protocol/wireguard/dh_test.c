/* Several shared secrets and public keys at once: published vectors, edges, and the libraries. */
#include <sodium/crypto_scalarmult_curve25519.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"
#include "wireguard/dh.h"
#include "wireguard/dh_avx2.h"

#include "base/test.h"

#define LANES DH_AVX2_LANES

static void unhex(const char *text, uint8_t to[DH_SIZE])
{
	for (size_t i = 0; i < DH_SIZE; i++) {
		const char byte[3] = { text[2 * i], text[2 * i + 1], 0 };

		to[i] = (uint8_t)strtoul(byte, NULL, 16);
	}
}

static void shared_at_once(uint8_t private_keys[LANES][DH_SIZE],
			   uint8_t public_keys[LANES][DH_SIZE], size_t count,
			   uint8_t secrets[LANES][DH_SIZE])
{
	struct dh_avx2_pair pairs[LANES];

	for (size_t i = 0; i < count; i++)
		pairs[i] = (struct dh_avx2_pair){ private_keys[i], public_keys[i], secrets[i] };
	dh_avx2_shared(pairs, count);
}

/* RFC 7748, section 5.2. */
static void vectors(void **state)
{
	static const char *const texts[LANES][3] = {
		{ "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
		  "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
		  "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552" },
		{ "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
		  "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
		  "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957" },
		/* Section 6.1. */
		{ "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
		  "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
		  "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742" },
		{ "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
		  "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
		  "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742" },
	};
	uint8_t private_keys[LANES][DH_SIZE], public_keys[LANES][DH_SIZE];
	uint8_t secrets[LANES][DH_SIZE], expected[DH_SIZE];

	(void)state;
	if (!dh_avx2_available())
		return; /* every call goes to libcrypto then */
	for (size_t i = 0; i < LANES; i++) {
		unhex(texts[i][0], private_keys[i]);
		unhex(texts[i][1], public_keys[i]);
	}
	shared_at_once(private_keys, public_keys, LANES, secrets);
	for (size_t i = 0; i < LANES; i++) {
		unhex(texts[i][2], expected);
		assert_memory_equal(secrets[i], expected, DH_SIZE);
	}
}

/* Section 5.2, too: each secret is the next private key, and the private key the next public one. */
static void a_thousand_in_a_row(void **state)
{
	uint8_t k[LANES][DH_SIZE] = { { 9 }, { 9 }, { 9 }, { 9 } };
	uint8_t u[LANES][DH_SIZE] = { { 9 }, { 9 }, { 9 }, { 9 } };
	uint8_t next[LANES][DH_SIZE], expected[DH_SIZE];

	(void)state;
	if (!dh_avx2_available())
		return;
	for (int i = 0; i < 1000; i++) {
		shared_at_once(k, u, LANES, next);
		memcpy(u, k, sizeof(u));
		memcpy(k, next, sizeof(k));
		if (i > 0)
			continue;
		unhex("422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079", expected);
		assert_memory_equal(k[0], expected, DH_SIZE);
	}
	unhex("684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51", expected);
	for (size_t i = 0; i < LANES; i++)
		assert_memory_equal(k[i], expected, DH_SIZE);
}

/* What libcrypto says: the secret, or zero where it refuses the public key. */
static void assert_as_libcrypto(const uint8_t private_key[DH_SIZE],
				const uint8_t public_key[DH_SIZE], const uint8_t secret[DH_SIZE])
{
	CLEANUP(dh_key_free) struct dh_key *key = NULL;
	uint8_t clamped[DH_SIZE], expected[DH_SIZE] = { 0 };
	int r;

	memcpy(clamped, private_key, DH_SIZE);
	dh_clamp(clamped);
	assert_int_equal(dh_key_new(clamped, &key), 0);
	r = dh_shared(key, public_key, expected);
	assert_true(r == 0 || r == -EKEYREJECTED);
	assert_memory_equal(secret, expected, DH_SIZE);
}

static void random_groups(void **state)
{
	(void)state;
	if (!dh_avx2_available())
		return;
	for (size_t round = 0; round < 500; round++) {
		uint8_t private_keys[LANES][DH_SIZE], public_keys[LANES][DH_SIZE];
		uint8_t secrets[LANES][DH_SIZE];
		size_t count = 1 + round % LANES;

		random_bytes(private_keys, sizeof(private_keys));
		random_bytes(public_keys, sizeof(public_keys));
		shared_at_once(private_keys, public_keys, count, secrets);
		for (size_t i = 0; i < count; i++)
			assert_as_libcrypto(private_keys[i], public_keys[i], secrets[i]);
	}
}

/*
 * Public keys at the edges: 0 to 40 from both ends of what 255 bits hold, with p and what is above it; of
 * low order; with the last bit, which does not count; limbs, words and halves of them that are all ones
 * or zero, so that carries run through all of the number.
 */
static size_t make_edges(uint8_t edges[][DH_SIZE])
{
	size_t count = 0;

	for (int i = 0; i <= 40; i++) {
		edges[count++][0] = (uint8_t)i;
		memset(edges[count], 0xff, DH_SIZE);
		edges[count][31] = i % 2 ? 0x7f : 0xff;
		edges[count++][0] = (uint8_t)(0xff - i);
	}
	unhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800", edges[count++]);
	unhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157", edges[count++]);
	for (int at = 0; at < 255; at++) {
		edges[count++][at / 8] = (uint8_t)(1 << at % 8); /* one bit */
		memset(edges[count], 0xff, (size_t)at / 8); /* all bits below it */
		edges[count++][at / 8] = (uint8_t)((1 << at % 8) - 1);
		memset(edges[count], 0xff, DH_SIZE); /* and all above it */
		edges[count++][at / 8] = (uint8_t) ~(1 << at % 8);
	}
	return count;
}

static void edges(void **state)
{
	static uint8_t all[900][DH_SIZE];
	static const uint8_t bytes[] = { 0, 0xff, 0x55, 0xaa };
	size_t count = make_edges(all);

	(void)state;
	if (!dh_avx2_available())
		return;
	assert_true(count <= ARRAY_SIZE(all));
	for (size_t first = 0; first < count; first++) {
		uint8_t private_keys[LANES][DH_SIZE], public_keys[LANES][DH_SIZE];
		uint8_t secrets[LANES][DH_SIZE];

		for (size_t i = 0; i < LANES; i++) {
			/* Edges with a random key, and keys at the edges. */
			random_bytes(private_keys[i], DH_SIZE);
			if (i == 1)
				memset(private_keys[i], bytes[first % 4], DH_SIZE);
			if (i == 2)
				memcpy(private_keys[i], all[count - 1 - first], DH_SIZE);
			memcpy(public_keys[i], all[(first + i) % count], DH_SIZE);
		}
		shared_at_once(private_keys, public_keys, LANES, secrets);
		for (size_t i = 0; i < LANES; i++)
			assert_as_libcrypto(private_keys[i], public_keys[i], secrets[i]);
	}
}

static void assert_public_keys(uint8_t private_keys[LANES][DH_SIZE], size_t count)
{
	uint8_t public_keys[LANES][DH_SIZE], expected[DH_SIZE];
	struct dh_avx2_half halves[LANES];

	for (size_t i = 0; i < count; i++)
		halves[i] = (struct dh_avx2_half){ private_keys[i], public_keys[i] };
	dh_avx2_public(halves, count);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(crypto_scalarmult_curve25519_base(expected, private_keys[i]), 0);
		assert_memory_equal(public_keys[i], expected, DH_SIZE);
	}
}

/* Section 6.1 of RFC 7748, and what libsodium says. */
static void public_keys(void **state)
{
	uint8_t private_keys[LANES][DH_SIZE] = { 0 };

	(void)state;
	if (!dh_avx2_available())
		return;
	unhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a", private_keys[0]);
	unhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb", private_keys[1]);
	assert_public_keys(private_keys, LANES);
	for (size_t round = 0; round < 500; round++) {
		random_bytes(private_keys, sizeof(private_keys));
		assert_public_keys(private_keys, 1 + round % LANES);
	}
}

/* Every digit with every value, alone and in a row, so that carries run through all of the key. */
static void digits_of_private_keys(void **state)
{
	uint8_t private_keys[LANES][DH_SIZE];

	(void)state;
	if (!dh_avx2_available())
		return;
	for (int at = 0; at < 2 * DH_SIZE; at++) {
		for (int digit = 0; digit < 16; digit++) {
			uint8_t byte = (uint8_t)(digit << 4 * (at % 2));

			for (size_t i = 0; i < LANES; i++)
				memset(private_keys[i],
				       i == 2	? 17 * digit
				       : i == 1 ? 0xff
						: 0,
				       DH_SIZE);
			private_keys[0][at / 2] = byte;
			private_keys[1][at / 2] = (uint8_t)~byte;
			memset(private_keys[3], 17 * digit, (size_t)at / 2 + 1);
			assert_public_keys(private_keys, LANES);
		}
	}
}

/* As handshakes ask for them: whatever way is chosen, the results are the same. */
static void requests(void **state)
{
	(void)state;
	for (size_t count = 0; count <= 17; count++) {
		uint8_t private_keys[17][DH_SIZE], public_keys[17][DH_SIZE], secrets[17][DH_SIZE];
		const uint8_t *halves[17] = { 0 };
		struct dh_request wanted[17];
		struct dh_key *keys[17];

		for (size_t i = 0; i < count; i++) {
			random_bytes(private_keys[i], DH_SIZE);
			random_bytes(public_keys[i], DH_SIZE);
			if (i % 5 == count % 5)
				memset(public_keys[i], 0, DH_SIZE); /* of low order */
			dh_clamp(private_keys[i]);
			halves[i] = private_keys[i];
		}
		assert_int_equal(dh_key_new_many(halves, count, keys), 0);
		for (size_t i = 0; i < count; i++)
			wanted[i] = (struct dh_request){ keys[i], public_keys[i], secrets[i], 1 };
		dh_shared_many(wanted, count);
		for (size_t i = 0; i < count; i++) {
			uint8_t public_key[DH_SIZE], expected[DH_SIZE];

			dh_key_public(keys[i], public_key);
			assert_int_equal(
				crypto_scalarmult_curve25519_base(expected, private_keys[i]), 0);
			assert_memory_equal(public_key, expected, DH_SIZE);
			assert_int_equal(wanted[i].result, i % 5 == count % 5 ? -EKEYREJECTED : 0);
			if (wanted[i].result == 0)
				assert_as_libcrypto(private_keys[i], public_keys[i], secrets[i]);
			dh_key_free(keys[i]);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vectors),	 cmocka_unit_test(a_thousand_in_a_row),
		cmocka_unit_test(random_groups), cmocka_unit_test(edges),
		cmocka_unit_test(public_keys),	 cmocka_unit_test(digits_of_private_keys),
		cmocka_unit_test(requests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
