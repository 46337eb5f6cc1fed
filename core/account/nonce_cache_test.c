#include <string.h>

#include "account/nonce_cache.h"
#include "base/test.h"

#define NOW INT64_C(1700000000)

static const uint8_t alice[32] = { 1 };
static const uint8_t bob[32] = { 2 };

static int setup(void **state)
{
	struct nonce_cache *cache;

	assert_int_equal(nonce_cache_new(NOW, &cache), 0);
	*state = cache;
	return 0;
}

static int teardown(void **state)
{
	(void)nonce_cache_free(*state);
	return 0;
}

static void test_a_nonce_counts_once(void **state)
{
	assert_int_equal(nonce_cache_take(*state, alice, 7, NOW, NOW), NONCE_FRESH);
	assert_int_equal(nonce_cache_take(*state, alice, 7, NOW, NOW), NONCE_SEEN);
	assert_int_equal(nonce_cache_take(*state, alice, 7, NOW + 1, NOW + 1), NONCE_SEEN);
	assert_int_equal(nonce_cache_take(*state, bob, 7, NOW, NOW), NONCE_FRESH);
	assert_int_equal(nonce_cache_take(*state, alice, 8, NOW, NOW), NONCE_FRESH);
	assert_int_equal(nonce_cache_take(*state, alice, 0, NOW, NOW), NONCE_FRESH);
}

static void test_window(void **state)
{
	int64_t now_s = NOW + 1000;

	assert_int_equal(nonce_cache_take(*state, alice, 1, now_s - 31, now_s), NONCE_STALE);
	assert_int_equal(nonce_cache_take(*state, alice, 2, now_s - 30, now_s), NONCE_FRESH);
	assert_int_equal(nonce_cache_take(*state, alice, 3, now_s + 30, now_s), NONCE_FRESH);
	assert_int_equal(nonce_cache_take(*state, alice, 4, now_s + 31, now_s), NONCE_STALE);
	assert_int_equal(nonce_cache_take(*state, alice, 5, INT64_MIN, now_s), NONCE_STALE);
	assert_int_equal(nonce_cache_take(*state, alice, 5, INT64_MAX, now_s), NONCE_STALE);
}

/* As long as its timestamp counts, the nonce is remembered: for 61 s where the clocks differ most. */
static void test_remembered_for_as_long_as_it_could_count(void **state)
{
	for (int64_t now_s = NOW; now_s <= NOW + 60; now_s++)
		assert_int_equal(nonce_cache_take(*state, alice, 7, NOW + 30, now_s),
				 now_s == NOW ? NONCE_FRESH : NONCE_SEEN);
	assert_int_equal(nonce_cache_take(*state, alice, 7, NOW + 30, NOW + 61), NONCE_STALE);
	assert_int_equal(nonce_cache_take(*state, alice, 7, NOW + 61, NOW + 61), NONCE_FRESH);
}

static void test_signatures_from_before_the_start(void **state)
{
	assert_int_equal(nonce_cache_take(*state, alice, 1, NOW - 1, NOW), NONCE_STALE);
	assert_int_equal(nonce_cache_take(*state, alice, 1, NOW - 1, NOW + 20), NONCE_STALE);
	assert_int_equal(nonce_cache_take(*state, alice, 1, NOW, NOW + 20), NONCE_FRESH);
}

static void test_a_clock_that_is_set_back_brings_nothing_back(void **state)
{
	assert_int_equal(nonce_cache_take(*state, alice, 1, NOW + 100, NOW + 100), NONCE_FRESH);
	assert_int_equal(nonce_cache_take(*state, alice, 2, NOW + 500, NOW + 500), NONCE_FRESH);
	assert_int_equal(nonce_cache_take(*state, alice, 1, NOW + 100, NOW + 100), NONCE_STALE);
	assert_int_equal(nonce_cache_take(*state, alice, 2, NOW + 500, NOW + 490), NONCE_SEEN);
	assert_int_equal(nonce_cache_take(*state, alice, 3, NOW + 490, NOW + 490), NONCE_FRESH);
}

static void test_full_refuses_and_recovers(void **state)
{
	for (uint64_t i = 0; i < NONCES_MAX; i++)
		assert_int_equal(nonce_cache_take(*state, alice, i, NOW + 20, NOW), NONCE_FRESH);
	assert_int_equal(nonce_cache_take(*state, alice, NONCES_MAX, NOW, NOW), NONCE_FULL);
	for (uint64_t i = 0; i < NONCES_MAX; i++)
		assert_int_equal(nonce_cache_take(*state, alice, i, NOW + 20, NOW + 50),
				 NONCE_SEEN);
	assert_int_equal(nonce_cache_take(*state, alice, NONCES_MAX, NOW + 50, NOW + 50),
			 NONCE_FULL);
	assert_int_equal(nonce_cache_take(*state, alice, NONCES_MAX, NOW + 51, NOW + 51),
			 NONCE_FRESH);
}

/* For ten minutes at the full rate nothing is forgotten too early, and the bound holds. */
static void test_steady_load(void **state)
{
	uint64_t nonce = 0;

	for (int64_t now_s = NOW; now_s < NOW + 600; now_s++)
		for (unsigned i = 0; i < NONCES_MAX / 62; i++, nonce++) {
			assert_int_equal(nonce_cache_take(*state, alice, nonce, now_s, now_s),
					 NONCE_FRESH);
			if (nonce % 97 == 0)
				assert_int_equal(nonce_cache_take(*state, alice, nonce, now_s,
								  now_s),
						 NONCE_SEEN);
		}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_a_nonce_counts_once),
		TEST(test_window),
		TEST(test_remembered_for_as_long_as_it_could_count),
		TEST(test_signatures_from_before_the_start),
		TEST(test_a_clock_that_is_set_back_brings_nothing_back),
		TEST(test_full_refuses_and_recovers),
		TEST(test_steady_load),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
