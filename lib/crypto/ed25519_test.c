#include <errno.h>

#include <sodium.h>

#include "base/secret.h"
#include "crypto/ed25519.h"
#include "crypto/test_hex.h"

/* The order of the group, little-endian. */
static const char order[] = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";

static const char counting_public[] =
	"03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8";

static void test_vectors_of_rfc_8032_7_1(void **state)
{
	static const struct {
		const char *seed, *public_key, *message, *signature;
	} cases[] = {
		{ "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
		  "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
		  "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bac"
		  "c61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b" },
		{ "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
		  "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
		  "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e"
		  "458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00" },
		{ "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
		  "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
		  "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290"
		  "ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a" },
		{ "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
		  "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
		  "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a8"
		  "36ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
		  "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ec"
		  "fdfbc7c66431e0303dca179c138ac17ad9bef1177331a704" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t seed[32], expected[64], public_key[32], message[64], signature[64];
		size_t size = from_hex(cases[i].message, message);

		from_hex(cases[i].seed, seed);
		from_hex(cases[i].public_key, expected);
		ed25519_public(seed, public_key);
		assert_memory_equal(public_key, expected, 32);
		from_hex(cases[i].signature, expected);
		ed25519_sign(seed, message, size, signature);
		assert_memory_equal(signature, expected, 64);
		assert_true(ed25519_verify(public_key, message, size, signature));
	}
}

static void assert_prehashed(const char *seed_hex, const char *context, const void *message,
			     size_t size, const char *signature_hex)
{
	uint8_t seed[32], public_key[32], expected[64], signature[64];

	from_hex(seed_hex, seed);
	from_hex(signature_hex, expected);
	ed25519_public(seed, public_key);
	assert_int_equal(ed25519ph_sign(seed, context, message, size, signature), 0);
	assert_memory_equal(signature, expected, 64);
	assert_true(ed25519ph_verify(public_key, context, message, size, signature));
	assert_false(ed25519ph_verify(public_key, "other", message, size, signature));
	assert_false(ed25519_verify(public_key, message, size, signature));
}

static void test_vector_of_rfc_8032_7_3(void **state)
{
	assert_prehashed(
		"833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42", "", "abc", 3,
		"98a70222f0b8121aa9d30f813d683f809e462b469c7ff87639499bb94e6dae4131f85042463c2a355a2"
		"003d062adf5aaa10b8c61e636062aaad11c2a26083406");
}

/* RFC 8032 has none with a context. These are PyCryptodome's. */
static void test_contexts_of_another_library(void **state)
{
	static const char seed[] =
		"833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42";
	static const char counting_seed_text[] =
		"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
	char longest[256];

	memset(longest, 'x', 255);
	longest[255] = '\0';
	assert_prehashed(
		seed, "foo", "abc", 3,
		"e039702b4c2595a6a541ac8509236e2990474795330c9b34a75f58a660129e08fd736943fb1943a5572"
		"0b9e0957b1ed6734816619f1388f43f73e6e3baa81c0e");
	assert_prehashed(
		counting_seed_text, longest, "m", 1,
		"03eca09d7c0648736a6a9cc04edbb396fb9ed518ae7684c5a1c2dc0bd2bad4f7b2b4d27fbcce1ce2641"
		"ff0e2eee8c7df9a2bd4ab4a4cc5a30f53f49816e6050a");
	assert_prehashed(
		counting_seed_text, "\xc3\xa9", "", 0,
		"efad072370a1f7e52b405fb4a31432bd54401bb05330fff3c04eca02008073cd28ecf756e61c1a0142d"
		"81a500e8017c0587ea84bb298d38a47dbc626d000ea02");
}

static const char counting[] = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

static void test_contexts_of_the_signature_header(void **state)
{
	uint8_t commitment[56];

	from_hex(
		"000000006553f100000000000000002a00000000000000324ec658a819323882ffc192bc1af1e24b12825"
		"054374eea971cd0cd6f27202f4b",
		commitment);
	assert_prehashed(
		counting, "my-server.local", commitment, sizeof(commitment),
		"57d7b3fcdc78c931c271e45f80557c0b6df2ade283df12ee1d080b968f893a9eb78a42bf8c9fb5047d8"
		"a019c5b9c07171a25d7f4cd155706546dd6dd31d36f0b");
}

static void test_longest_context(void **state)
{
	uint8_t seed[32], public_key[32], signature[64];
	char context[257];

	memset(context, 'x', 256);
	context[256] = '\0';
	counting_seed(seed);
	ed25519_public(seed, public_key);
	assert_int_equal(ed25519ph_sign(seed, context, "m", 1, signature), -EINVAL);
	assert_false(ed25519ph_verify(public_key, context, "m", 1, signature));
	context[255] = '\0';
	assert_int_equal(ed25519ph_sign(seed, context, "m", 1, signature), 0);
	assert_true(ed25519ph_verify(public_key, context, "m", 1, signature));
	context[254] = '\0';
	assert_false(ed25519ph_verify(public_key, context, "m", 1, signature));
}

static void test_every_changed_bit_is_refused(void **state)
{
	uint8_t seed[32], public_key[32], signature[64], message[] = "message";

	counting_seed(seed);
	ed25519_public(seed, public_key);
	assert_int_equal(ed25519ph_sign(seed, "c", message, sizeof(message), signature), 0);
	for (unsigned bit = 0; bit < 512; bit++) {
		signature[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_false(
			ed25519ph_verify(public_key, "c", message, sizeof(message), signature));
		signature[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	message[3] ^= 1;
	assert_false(ed25519ph_verify(public_key, "c", message, sizeof(message), signature));
}

/* S + L fits the equation as S does. */
static void test_second_form_of_s_is_refused(void **state)
{
	uint8_t seed[32], public_key[32], signature[64], order_bytes[32];
	unsigned carry = 0;

	counting_seed(seed);
	ed25519_public(seed, public_key);
	ed25519_sign(seed, "m", 1, signature);
	assert_true(ed25519_verify(public_key, "m", 1, signature));
	from_hex(order, order_bytes);
	for (unsigned i = 0; i < 32; i++) {
		carry += (unsigned)signature[32 + i] + order_bytes[i];
		signature[32 + i] = (uint8_t)carry;
		carry >>= 8;
	}
	assert_false(ed25519_verify(public_key, "m", 1, signature));
}

static void test_weak_keys_are_refused(void **state)
{
	static const char *const keys[] = {
		/* the neutral point, the ones of order 2, 4 and 8 */
		"0100000000000000000000000000000000000000000000000000000000000000",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"0000000000000000000000000000000000000000000000000000000000000000",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		/* y = p + 1 in place of 1 */
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		/* no point of the curve */
		"0200000000000000000000000000000000000000000000000000000000000000",
	};
	uint8_t public_key[32];
	uint8_t signature[64] = { 1 }; /* R neutral, S 0: fits each key of small order */

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		from_hex(keys[i], public_key);
		assert_false(ed25519_public_valid(public_key));
		assert_false(ed25519_verify(public_key, "m", 1, signature));
	}
	from_hex(counting_public, public_key);
	assert_true(ed25519_public_valid(public_key));
	assert_false(ed25519_verify(public_key, "m", 1, signature));
}

/* libsodium signs and verifies plain Ed25519 by itself. */
static void test_agrees_with_libsodium(void **state)
{
	for (unsigned i = 0; i < 64; i++) {
		uint8_t seed[32], public_key[32], secret[64], ours[64], theirs[64], message[200];

		random_bytes(seed, sizeof(seed));
		random_bytes(message, sizeof(message));
		(void)crypto_sign_seed_keypair(public_key, secret, seed);
		(void)crypto_sign_detached(theirs, NULL, message, i * 3, secret);
		ed25519_sign(seed, message, i * 3, ours);
		assert_memory_equal(ours, theirs, 64);
		assert_true(ed25519_verify(public_key, message, i * 3, theirs));
		ed25519_public(seed, secret);
		assert_memory_equal(secret, public_key, 32);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors_of_rfc_8032_7_1),
		cmocka_unit_test(test_vector_of_rfc_8032_7_3),
		cmocka_unit_test(test_contexts_of_another_library),
		cmocka_unit_test(test_contexts_of_the_signature_header),
		cmocka_unit_test(test_longest_context),
		cmocka_unit_test(test_every_changed_bit_is_refused),
		cmocka_unit_test(test_second_form_of_s_is_refused),
		cmocka_unit_test(test_weak_keys_are_refused),
		cmocka_unit_test(test_agrees_with_libsodium),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
