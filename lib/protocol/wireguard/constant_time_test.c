/*
 * No branch and no address depends on a secret
 *
 * The program runs itself under valgrind, with secrets marked as memory that was never written: whatever
 * decides by them is an error there. A result that anyone may know is marked as written before
 * it is looked at.
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <valgrind/memcheck.h>

#include "base/secret.h"
#include "wireguard/aead.h"
#include "wireguard/aead_lanes.h"
#include "wireguard/blake2s_many.h"
#include "wireguard/cookie.h"
#include "wireguard/dh.h"
#include "wireguard/dh_avx2.h"
#include "wireguard/xchacha.h"

#include "base/test.h"

#define SIZE_LARGEST 1500

static const size_t sizes[] = { 0, 1, 15, 16, 17, 63, 64, 65, 255, 256, 257, 1420, SIZE_LARGEST };

static uint8_t data[AEAD_LANES_MAX][SIZE_LARGEST + AEAD_TAG_SIZE];

static void hide(void *secret, size_t size)
{
	VALGRIND_MAKE_MEM_UNDEFINED(secret, size);
}

static void show(void *result, size_t size)
{
	VALGRIND_MAKE_MEM_DEFINED(result, size);
}

static void make_secret(void *to, size_t size)
{
	random_bytes(to, size);
	hide(to, size);
}

/* Groups of packets of one size each, and of all sizes; their plain text is secret. */
static void make_packets(struct aead_packet *packets, size_t count, size_t first, size_t step)
{
	for (size_t i = 0; i < count; i++) {
		size_t size = sizes[(first + i * step) % ARRAY_SIZE(sizes)];

		make_secret(data[i], size);
		packets[i] = (struct aead_packet){ data[i], size, i, false };
	}
}

/* What is on the wire is known. */
static void show_packets(struct aead_packet *packets, size_t count)
{
	for (size_t i = 0; i < count; i++)
		show(packets[i].data, packets[i].size + AEAD_TAG_SIZE);
}

static void assert_authentic(struct aead_packet *packets, size_t count, size_t changed)
{
	for (size_t i = 0; i < count; i++) {
		show(&packets[i].authentic, sizeof(packets[i].authentic));
		assert_int_equal(packets[i].authentic, i != changed);
	}
}

static void test_lanes(const struct aead_lanes *lanes)
{
	struct aead_packet packets[AEAD_LANES_MAX];
	uint8_t key[AEAD_KEY_SIZE];
	size_t count = lanes->group;

	make_secret(key, sizeof(key));
	for (size_t first = 0; first < ARRAY_SIZE(sizes); first++) {
		for (size_t step = 0; step < 2; step++) {
			make_packets(packets, count, first, step);
			lanes->seal(key, packets, count);
			show_packets(packets, count);
			packets[first % count].data[packets[first % count].size] ^= 1;
			lanes->open(key, packets, count);
			assert_authentic(packets, count, first % count);
		}
	}
}

/* Those of the processors that valgrind knows; without any it is libcrypto. */
static void test_packets_at_once(void **state)
{
	const struct aead_lanes *sets[AEAD_LANES_SETS];

	(void)state;
	for (size_t i = aead_lanes_supported(sets); i-- > 0;)
		test_lanes(sets[i]);
	assert_int_equal(VALGRIND_COUNT_ERRORS, 0);
}

static void test_hashes(void **state)
{
	uint8_t key[BLAKE2S_SIZE], first[BLAKE2S_SIZE], second[BLAKE2S_SIZE], third[BLAKE2S_SIZE];

	(void)state;
	make_secret(key, sizeof(key));
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		make_secret(data[0], sizes[i]);
		blake2s_mac(first, sizeof(first), key, sizeof(key), data[0], sizes[i]);
		blake2s_hmac(first, key, sizeof(key), data[0], sizes[i]);
		blake2s_kdf(key, data[0], sizes[i], first, second, third);
	}
	assert_int_equal(VALGRIND_COUNT_ERRORS, 0);
}

static void test_hashes_at_once(void **state)
{
	uint8_t keys[BLAKE2S_MANY][BLAKE2S_SIZE], first[BLAKE2S_MANY][BLAKE2S_SIZE];
	uint8_t second[BLAKE2S_MANY][BLAKE2S_SIZE], third[BLAKE2S_MANY][BLAKE2S_SIZE];
	uint8_t *at[4][BLAKE2S_MANY];
	const uint8_t *const *const key = (const uint8_t *const *)at[0];

	(void)state;
	make_secret(keys, sizeof(keys));
	for (size_t i = 0; i < BLAKE2S_MANY; i++) {
		at[0][i] = keys[i];
		at[1][i] = first[i];
		at[2][i] = second[i];
		at[3][i] = third[i];
	}
	blake2s_kdf_many(key, key, BLAKE2S_SIZE, at[1], at[2], at[3], BLAKE2S_MANY);
	blake2s_kdf_many(key, NULL, 0, at[1], at[2], NULL, BLAKE2S_MANY);
	blake2s_hash_many(at[1], key, key, BLAKE2S_SIZE, BLAKE2S_MANY);
	assert_int_equal(VALGRIND_COUNT_ERRORS, 0);
}

static void test_comparison(void **state)
{
	uint8_t secret[32], copy[32];
	bool equal;

	(void)state;
	for (size_t changed = 0; changed <= sizeof(secret); changed++) {
		make_secret(secret, sizeof(secret));
		memcpy(copy, secret, sizeof(secret));
		if (changed < sizeof(secret))
			copy[changed] ^= 0x10;
		equal = secret_equal(secret, copy, sizeof(secret));
		show(&equal, sizeof(equal));
		assert_int_equal(equal, changed == sizeof(secret));
	}
	assert_int_equal(VALGRIND_COUNT_ERRORS, 0);
}

static void test_macs_of_handshakes(void **state)
{
	const struct endpoint from = { .address = { .family = AF_INET }, .port = 1 };
	uint8_t public_key[WG_KEY_SIZE] = { 9 };
	uint8_t message[MESSAGE_INITIATION_SIZE] = { 0 };
	struct cookie_checker checker;
	struct cookie_jar jar;
	bool valid;

	(void)state;
	cookie_checker_init(&checker, public_key);
	make_secret(checker.secret, sizeof(checker.secret));
	cookie_jar_init(&jar, public_key);
	cookie_jar_sign(&jar, message, sizeof(message), 0);
	hide(checker.mac1_key, sizeof(checker.mac1_key));
	valid = cookie_mac1_valid(&checker, message, sizeof(message));
	show(&valid, sizeof(valid));
	assert_true(valid);
	valid = cookie_mac2_valid(&checker, message, sizeof(message), &from);
	show(&valid, sizeof(valid));
	assert_false(valid);
	assert_int_equal(VALGRIND_COUNT_ERRORS, 0);
}

static void test_keys(void **state)
{
	uint8_t private_key[DH_SIZE], key[AEAD_KEY_SIZE];
	const uint8_t nonce[16] = { 1 };

	(void)state;
	make_secret(private_key, sizeof(private_key));
	dh_clamp(private_key);
	hchacha20(private_key, nonce, key);
	assert_int_equal(VALGRIND_COUNT_ERRORS, 0);
}

static void test_shared_secrets_at_once(void **state)
{
	uint8_t private_keys[DH_AVX2_LANES][DH_SIZE], public_keys[DH_AVX2_LANES][DH_SIZE];
	uint8_t secrets[DH_AVX2_LANES][DH_SIZE];
	struct dh_avx2_pair pairs[DH_AVX2_LANES];

	(void)state;
	if (!dh_avx2_available())
		return;
	for (size_t i = 0; i < DH_AVX2_LANES; i++) {
		make_secret(private_keys[i], DH_SIZE);
		make_secret(public_keys[i], DH_SIZE); /* a static key of a peer is one here, too */
		pairs[i] = (struct dh_avx2_pair){ private_keys[i], public_keys[i], secrets[i] };
	}
	dh_avx2_shared(pairs, DH_AVX2_LANES);
	assert_int_equal(VALGRIND_COUNT_ERRORS, 0);
}

static void test_public_keys_at_once(void **state)
{
	uint8_t private_keys[DH_AVX2_LANES][DH_SIZE], public_keys[DH_AVX2_LANES][DH_SIZE];
	struct dh_avx2_half halves[DH_AVX2_LANES];

	(void)state;
	if (!dh_avx2_available())
		return;
	for (size_t i = 0; i < DH_AVX2_LANES; i++) {
		make_secret(private_keys[i], DH_SIZE);
		halves[i] = (struct dh_avx2_half){ private_keys[i], public_keys[i] };
	}
	dh_avx2_public(halves, DH_AVX2_LANES);
	assert_int_equal(VALGRIND_COUNT_ERRORS, 0);
}

/* The last one: valgrind does notice. */
static void test_a_leak_is_found(void **state)
{
	volatile unsigned leaked = 0;
	uint8_t secret;

	(void)state;
	make_secret(&secret, sizeof(secret));
	if (secret & 1)
		leaked++;
	assert_int_not_equal(VALGRIND_COUNT_ERRORS, 0);
	(void)leaked;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_packets_at_once),
		cmocka_unit_test(test_hashes),
		cmocka_unit_test(test_hashes_at_once),
		cmocka_unit_test(test_comparison),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_macs_of_handshakes),
		cmocka_unit_test(test_shared_secrets_at_once),
		cmocka_unit_test(test_public_keys_at_once),
		cmocka_unit_test(test_a_leak_is_found),
	};

	(void)argc;
	if (RUNNING_ON_VALGRIND == 0) {
		execlp("valgrind", "valgrind", "--quiet", argv[0], (char *)NULL);
		perror("valgrind");
		return 1;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
