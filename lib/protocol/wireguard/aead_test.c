/* Several packets at once against one after the other by libcrypto. */
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"
#include "wireguard/aead.h"
#include "wireguard/aead_lanes.h"

#include "base/test.h"

#define SIZE_MAX_TRIED 9000
#define BATCH 45

static uint8_t plain[SIZE_MAX_TRIED];
static uint8_t data[BATCH][SIZE_MAX_TRIED + AEAD_TAG_SIZE];
static uint8_t expected[SIZE_MAX_TRIED + AEAD_TAG_SIZE];

struct fixture {
	uint8_t key[AEAD_KEY_SIZE];
	struct aead_packet packets[BATCH];
	size_t count;
};

static size_t random_below(size_t bound)
{
	uint32_t random;

	random_bytes(&random, sizeof(random));
	return random % bound;
}

static void add(struct fixture *f, size_t size, uint64_t counter)
{
	uint8_t *to = data[f->count];

	memcpy(to, plain, size);
	f->packets[f->count++] = (struct aead_packet){ to, size, counter, false };
}

static void assert_sealed(const struct fixture *f)
{
	for (size_t i = 0; i < f->count; i++) {
		const struct aead_packet *p = &f->packets[i];
		uint8_t nonce[AEAD_NONCE_SIZE] = { 0 };

		for (int byte = 0; byte < 8; byte++)
			nonce[4 + byte] = (uint8_t)(p->counter >> (8 * byte));
		assert_int_equal(aead_seal_once(f->key, nonce, NULL, 0, plain, p->size, expected),
				 0);
		assert_memory_equal(p->data, expected, p->size + AEAD_TAG_SIZE);
	}
}

static void assert_opened(const struct fixture *f, size_t changed)
{
	for (size_t i = 0; i < f->count; i++) {
		assert_int_equal(f->packets[i].authentic, i != changed);
		if (i != changed)
			assert_memory_equal(f->packets[i].data, plain, f->packets[i].size);
	}
}

/* Changes one bit of one packet; returns which. */
static size_t change_a_bit(const struct fixture *f)
{
	size_t i = random_below(f->count);

	f->packets[i].data[random_below(f->packets[i].size + AEAD_TAG_SIZE)] ^=
		(uint8_t)(1U << random_below(8));
	return i;
}

static void fixture_init(struct fixture *f)
{
	f->count = 0;
	random_bytes(f->key, sizeof(f->key));
	random_bytes(plain, sizeof(plain));
}

static void seal_and_open(struct fixture *f, const struct aead_lanes *set)
{
	size_t changed;

	set->seal(f->key, f->packets, f->count);
	assert_sealed(f);
	changed = change_a_bit(f);
	set->open(f->key, f->packets, f->count);
	assert_opened(f, changed);
}

/* Every size, in groups of every count, whether it pays there or not. */
static void groups_of_every_size(void **state)
{
	const struct aead_lanes *sets[AEAD_LANES_SETS];
	struct fixture f;

	(void)state;
	fixture_init(&f);
	for (size_t n = aead_lanes_supported(sets); n-- > 0;)
		for (size_t size = 0; size <= SIZE_MAX_TRIED; size += size < 1600 ? 1 : 37) {
			f.count = 0;
			while (f.count <= size % sets[n]->group)
				add(&f, size, (uint64_t)size << (f.count * 4));
			seal_and_open(&f, sets[n]);
		}
}

/* Sizes of all kinds beside each other. */
static void mixed_groups(void **state)
{
	static const size_t bounds[] = { 2, 20, 130, 1500, SIZE_MAX_TRIED + 1 };
	const struct aead_lanes *sets[AEAD_LANES_SETS];
	struct fixture f;

	(void)state;
	for (size_t n = aead_lanes_supported(sets); n-- > 0;)
		for (size_t round = 0; round < 400; round++) {
			size_t count = 1 + random_below(sets[n]->group);

			fixture_init(&f);
			while (f.count < count)
				add(&f, random_below(bounds[random_below(5)]),
				    random_below(UINT32_MAX));
			seal_and_open(&f, sets[n]);
		}
}

/* As the data path calls it: whatever way is chosen, the bytes are the same. */
static void batches(void **state)
{
	struct fixture f;

	(void)state;
	for (size_t round = 0; round < 200; round++) {
		CLEANUP(aead_key_free) struct aead_key *seal = NULL;
		CLEANUP(aead_key_free) struct aead_key *open = NULL;
		size_t count = 1 + random_below(BATCH);
		size_t bound = round % 2 ? 200 : 1500;
		size_t changed;

		fixture_init(&f);
		assert_int_equal(aead_key_new(f.key, AEAD_SEAL, &seal), 0);
		assert_int_equal(aead_key_new(f.key, AEAD_OPEN, &open), 0);
		while (f.count < count)
			add(&f, round % 3 ? bound : random_below(bound),
			    (UINT64_C(1) << 40) * round + f.count);
		aead_seal(seal, f.packets, f.count);
		assert_sealed(&f);
		changed = change_a_bit(&f);
		aead_open(open, f.packets, f.count);
		assert_opened(&f, changed);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(groups_of_every_size),
		cmocka_unit_test(mixed_groups),
		cmocka_unit_test(batches),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
