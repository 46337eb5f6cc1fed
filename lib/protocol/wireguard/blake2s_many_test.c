/* Several hashes at once are those of one after the other. */
#include <string.h>

#include "base/secret.h"
#include "wireguard/blake2s_many.h"

#include "base/test.h"

#define MANY BLAKE2S_MANY

struct bytes {
	uint8_t bytes[MANY][BLAKE2S_SIZE + BLAKE2S_MANY_DATA];
	uint8_t *at[MANY];
};

static void make(struct bytes *ret)
{
	random_bytes(ret->bytes, sizeof(ret->bytes));
	for (size_t i = 0; i < MANY; i++)
		ret->at[i] = ret->bytes[i];
}

static const uint8_t *const *read_only(struct bytes *bytes)
{
	return (const uint8_t *const *)bytes->at;
}

static void hashes(void **state)
{
	struct bytes a, b, to, before;

	(void)state;
	for (size_t count = 0; count <= MANY; count++) {
		for (size_t size = 0; size <= BLAKE2S_MANY_DATA; size++) {
			make(&a);
			make(&b);
			make(&to);
			before = to;
			blake2s_hash_many(to.at, read_only(&a), read_only(&b), size, count);
			for (size_t i = 0; i < count; i++)
				blake2s_hash(before.bytes[i], a.bytes[i], BLAKE2S_SIZE, b.bytes[i],
					     size);
			assert_memory_equal(to.bytes, before.bytes, sizeof(to.bytes));
		}
	}
}

/* As handshakes use it: the output is in the place of the first part. */
static void hashes_in_place(void **state)
{
	uint8_t expected[MANY][BLAKE2S_SIZE];
	struct bytes a, b;

	(void)state;
	make(&a);
	make(&b);
	for (size_t i = 0; i < MANY; i++)
		blake2s_hash(expected[i], a.bytes[i], BLAKE2S_SIZE, b.bytes[i], 48);
	blake2s_hash_many(a.at, read_only(&a), read_only(&b), 48, MANY);
	for (size_t i = 0; i < MANY; i++)
		assert_memory_equal(a.bytes[i], expected[i], BLAKE2S_SIZE);
}

static void keys(size_t count, size_t size, size_t outputs)
{
	struct bytes key, input, to[3], expected[3];

	make(&key);
	make(&input);
	for (size_t i = 0; i < 3; i++) {
		make(&to[i]);
		expected[i] = to[i];
	}
	for (size_t i = 0; i < count; i++)
		blake2s_kdf(key.bytes[i], input.bytes[i], size, expected[0].bytes[i],
			    outputs > 1 ? expected[1].bytes[i] : NULL,
			    outputs > 2 ? expected[2].bytes[i] : NULL);
	blake2s_kdf_many(read_only(&key), size > 0 ? read_only(&input) : NULL, size, to[0].at,
			 outputs > 1 ? to[1].at : NULL, outputs > 2 ? to[2].at : NULL, count);
	for (size_t i = 0; i < 3; i++)
		assert_memory_equal(to[i].bytes, expected[i].bytes, sizeof(to[i].bytes));
}

static void keys_from_keys(void **state)
{
	(void)state;
	for (size_t count = 0; count <= MANY; count++) {
		for (size_t outputs = 1; outputs <= 3; outputs++) {
			keys(count, BLAKE2S_SIZE, outputs);
			keys(count, 0, outputs);
		}
	}
}

static void keys_in_place(void **state)
{
	uint8_t first[MANY][BLAKE2S_SIZE], second[MANY][BLAKE2S_SIZE];
	struct bytes key, input, to;

	(void)state;
	make(&key);
	make(&input);
	make(&to);
	for (size_t i = 0; i < MANY; i++)
		blake2s_kdf(key.bytes[i], input.bytes[i], BLAKE2S_SIZE, first[i], second[i], NULL);
	blake2s_kdf_many(read_only(&key), read_only(&input), BLAKE2S_SIZE, key.at, to.at, NULL,
			 MANY);
	for (size_t i = 0; i < MANY; i++) {
		assert_memory_equal(key.bytes[i], first[i], BLAKE2S_SIZE);
		assert_memory_equal(to.bytes[i], second[i], BLAKE2S_SIZE);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hashes),
		cmocka_unit_test(hashes_in_place),
		cmocka_unit_test(keys_from_keys),
		cmocka_unit_test(keys_in_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
