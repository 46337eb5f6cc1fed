/* The primitives against published vectors, and against libcrypto. */
#include <openssl/evp.h>

#include "base/secret.h"
#include "wireguard/aead.h"
#include "wireguard/blake2s.h"
#include "wireguard/dh.h"
#include "wireguard/xchacha.h"

#include "base/test.h"

/* Reads hexadecimal text; returns the number of bytes. */
static size_t unhex(const char *text, uint8_t *to)
{
	size_t n = 0;

	for (; text[2 * n]; n++) {
		const char byte[3] = { text[2 * n], text[2 * n + 1], 0 };

		to[n] = (uint8_t)strtoul(byte, NULL, 16);
	}
	return n;
}

static void assert_hex(const uint8_t *bytes, const char *text)
{
	uint8_t expected[256];
	size_t size = unhex(text, expected);

	assert_memory_equal(bytes, expected, size);
}

/* RFC 7693, appendix B. */
static void blake2s_of_abc(void **state)
{
	uint8_t hash[BLAKE2S_SIZE];

	(void)state;
	blake2s_hash(hash, "ab", 2, "c", 1);
	assert_hex(hash, "508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982");
}

static void fill_sequence(uint8_t *to, size_t size, uint32_t seed)
{
	uint32_t a = 0xdead4bad * seed;
	uint32_t b = 1;

	for (size_t i = 0; i < size; i++) {
		uint32_t t = a + b;

		a = b;
		b = t;
		to[i] = (uint8_t)(t >> 24);
	}
}

/* RFC 7693, appendix E: a hash over hashes of many sizes, plain and keyed. */
static void blake2s_self_test(void **state)
{
	static const size_t sizes[] = { 16, 20, 28, 32 };
	static const size_t inputs[] = { 0, 3, 64, 65, 255, 1024 };
	uint8_t in[1024], key[32], hash[BLAKE2S_SIZE];
	struct blake2s all;

	(void)state;
	blake2s_init(&all, 32, NULL, 0);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		for (size_t j = 0; j < ARRAY_SIZE(inputs); j++) {
			fill_sequence(in, inputs[j], (uint32_t)inputs[j]);
			blake2s_mac(hash, sizes[i], NULL, 0, in, inputs[j]);
			blake2s_update(&all, hash, sizes[i]);
			fill_sequence(key, sizes[i], (uint32_t)sizes[i]);
			blake2s_mac(hash, sizes[i], key, sizes[i], in, inputs[j]);
			blake2s_update(&all, hash, sizes[i]);
		}
	}
	blake2s_final(&all, hash);
	assert_hex(hash, "6a411f08ce25adcdfb02aba641451cec53c598b24f4fc787fbdc88797f4c1dfe");
}

static void blake2s_agrees_with_libcrypto(void **state)
{
	uint8_t in[300], ours[BLAKE2S_SIZE], theirs[BLAKE2S_SIZE];

	(void)state;
	random_bytes(in, sizeof(in));
	for (size_t size = 0; size <= sizeof(in); size++) {
		size_t split = size ? in[0] % size : 0;

		blake2s_hash(ours, in, split, in + split, size - split);
		assert_int_equal(EVP_Digest(in, size, theirs, NULL, EVP_blake2s256(), NULL), 1);
		assert_memory_equal(ours, theirs, sizeof(ours));
	}
}

static void hmac_agrees_with_libcrypto(void **state)
{
	uint8_t key[BLAKE2S_SIZE], in[100], ours[BLAKE2S_SIZE], theirs[BLAKE2S_SIZE];
	size_t size;

	(void)state;
	random_bytes(key, sizeof(key));
	random_bytes(in, sizeof(in));
	for (size_t i = 0; i <= sizeof(in); i++) {
		blake2s_hmac(ours, key, sizeof(key), in, i);
		assert_non_null(EVP_Q_mac(NULL, "HMAC", NULL, "BLAKE2S-256", NULL, key, sizeof(key),
					  in, i, theirs, sizeof(theirs), &size));
		assert_memory_equal(ours, theirs, sizeof(ours));
	}
}

/* KDF3 is HKDF without info. */
static void kdf_agrees_with_libcrypto(void **state)
{
	uint8_t key[BLAKE2S_SIZE], in[32], prk[BLAKE2S_SIZE], ours[3][BLAKE2S_SIZE];
	uint8_t block[BLAKE2S_SIZE + 1], theirs[BLAKE2S_SIZE];
	size_t size;

	(void)state;
	random_bytes(key, sizeof(key));
	random_bytes(in, sizeof(in));
	blake2s_kdf(key, in, sizeof(in), ours[0], ours[1], ours[2]);
	EVP_Q_mac(NULL, "HMAC", NULL, "BLAKE2S-256", NULL, key, sizeof(key), in, sizeof(in), prk,
		  sizeof(prk), &size);
	for (size_t i = 0; i < 3; i++) {
		size_t start = i ? BLAKE2S_SIZE : 0;

		if (i)
			memcpy(block, theirs, BLAKE2S_SIZE);
		block[start] = (uint8_t)(i + 1);
		EVP_Q_mac(NULL, "HMAC", NULL, "BLAKE2S-256", NULL, prk, sizeof(prk), block,
			  start + 1, theirs, sizeof(theirs), &size);
		assert_memory_equal(ours[i], theirs, BLAKE2S_SIZE);
	}
}

/* draft-irtf-cfrg-xchacha-03, section 2.2.1. */
static void hchacha20_vector(void **state)
{
	uint8_t key[32], nonce[16], out[32];

	(void)state;
	unhex("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", key);
	unhex("000000090000004a0000000031415927", nonce);
	hchacha20(key, nonce, out);
	assert_hex(out, "82413b4227b27bfed30e42508a877d73a0f9e4d58a74a853c12ec41326d3ecdc");
}

#define SUNSCREEN                                                                                  \
	"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the "     \
	"future, sunscreen would be it."

/* draft-irtf-cfrg-xchacha-03, appendix A.3.1. */
static void xchacha_vector(void **state)
{
	static const char text[] = SUNSCREEN;
	uint8_t key[32], nonce[24], aad[12], out[sizeof(text) + 16], again[sizeof(text)];
	size_t size = strlen(text);

	(void)state;
	unhex("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f", key);
	unhex("404142434445464748494a4b4c4d4e4f5051525354555657", nonce);
	unhex("50515253c0c1c2c3c4c5c6c7", aad);
	assert_int_equal(xchacha_seal(key, nonce, aad, 12, (const uint8_t *)text, size, out), 0);
	assert_hex(out, "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb"
			"731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452"
			"2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9"
			"21f9664c97637da9768812f615c68b13b52e"
			"c0875924c1c7987947deafd8780acf49");
	assert_int_equal(xchacha_open(key, nonce, aad, 12, out, size + 16, again), 0);
	assert_memory_equal(again, text, size);
	aad[0] ^= 1;
	assert_int_equal(xchacha_open(key, nonce, aad, 12, out, size + 16, again), -EBADMSG);
}

/* RFC 8439, section 2.8.2. */
static void chacha20_poly1305_vector(void **state)
{
	static const char text[] = SUNSCREEN;
	uint8_t key[32], nonce[12], aad[12], out[sizeof(text) + 16];

	(void)state;
	unhex("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f", key);
	unhex("070000004041424344454647", nonce);
	unhex("50515253c0c1c2c3c4c5c6c7", aad);
	assert_int_equal(
		aead_seal_once(key, nonce, aad, 12, (const uint8_t *)text, strlen(text), out), 0);
	assert_hex(out, "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6"
			"3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36"
			"92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc"
			"3ff4def08e4b7a9de576d26586cec64b6116"
			"1ae10b594f09e26a7e902ecbd0600691");
}

/* Batches give what one message after the other gives, at every size; a changed bit is noticed. */
static void batches_agree_with_single_messages(void **state)
{
	static uint8_t data[65][1500 + AEAD_TAG_SIZE];
	struct aead_packet packets[65];
	uint8_t key[32], nonce[12] = { 0 }, plain[1500], expected[1500 + AEAD_TAG_SIZE];
	CLEANUP(aead_key_free) struct aead_key *seal = NULL;
	CLEANUP(aead_key_free) struct aead_key *open = NULL;

	(void)state;
	random_bytes(key, sizeof(key));
	random_bytes(plain, sizeof(plain));
	assert_int_equal(aead_key_new(key, AEAD_SEAL, &seal), 0);
	assert_int_equal(aead_key_new(key, AEAD_OPEN, &open), 0);
	for (size_t i = 0; i < 65; i++) {
		packets[i] = (struct aead_packet){ data[i], i * 23, i, false };
		memcpy(data[i], plain, packets[i].size);
	}
	aead_seal(seal, packets, 65);
	for (size_t i = 0; i < 65; i++) {
		nonce[4] = (uint8_t)i;
		assert_int_equal(aead_seal_once(key, nonce, NULL, 0, plain, i * 23, expected), 0);
		assert_memory_equal(data[i], expected, i * 23 + AEAD_TAG_SIZE);
	}
	data[0][3] ^= 1;
	data[9][0] ^= 1;
	data[64][64 * 23 + 15] ^= 0x80;
	aead_open(open, packets, 65);
	for (size_t i = 0; i < 65; i++) {
		assert_int_equal(packets[i].authentic, i != 0 && i != 9 && i != 64);
		if (packets[i].authentic)
			assert_memory_equal(data[i], plain, packets[i].size);
	}
}

/* RFC 7748, section 6.1. */
static void x25519_vector(void **state)
{
	CLEANUP(dh_key_free) struct dh_key *bob_key = NULL;
	uint8_t private_key[32], alice[32], out[32];

	(void)state;
	unhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb", private_key);
	unhex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a", alice);
	assert_int_equal(dh_key_new(private_key, &bob_key), 0);
	dh_key_public(bob_key, out);
	assert_hex(out, "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
	assert_int_equal(dh_shared(bob_key, alice, out), 0);
	assert_hex(out, "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
}

static void public_keys_of_low_order_are_refused(void **state)
{
	static const char *const low[] = {
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
		"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	};
	CLEANUP(dh_key_free) struct dh_key *key = NULL;
	uint8_t bytes[32], out[32];

	(void)state;
	random_bytes(bytes, sizeof(bytes));
	assert_int_equal(dh_key_new(bytes, &key), 0);
	for (size_t i = 0; i < ARRAY_SIZE(low); i++) {
		unhex(low[i], bytes);
		assert_int_equal(dh_shared(key, bytes, out), -EKEYREJECTED);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blake2s_of_abc),
		cmocka_unit_test(blake2s_self_test),
		cmocka_unit_test(blake2s_agrees_with_libcrypto),
		cmocka_unit_test(hmac_agrees_with_libcrypto),
		cmocka_unit_test(kdf_agrees_with_libcrypto),
		cmocka_unit_test(hchacha20_vector),
		cmocka_unit_test(xchacha_vector),
		cmocka_unit_test(chacha20_poly1305_vector),
		cmocka_unit_test(batches_agree_with_single_messages),
		cmocka_unit_test(x25519_vector),
		cmocka_unit_test(public_keys_of_low_order_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
