/* The replay window at its edges, and against a list of everything that was seen. */
#include "wireguard/replay.h"

#include "base/cleanup.h"
#include "base/secret.h"

#include "base/test.h"

static void edges_of_the_window(void **state)
{
	struct replay r = { 0 };

	(void)state;
	assert_true(replay_accept(&r, 0));
	assert_false(replay_accept(&r, 0));
	assert_true(replay_accept(&r, 2));
	assert_true(replay_accept(&r, 1));
	assert_true(replay_accept(&r, 8192));
	assert_false(replay_accept(&r, 0)); /* one too old */
	assert_false(replay_accept(&r, 1)); /* the oldest, seen */
	assert_true(replay_accept(&r, 3));
	assert_true(replay_accept(&r, 8193));
	assert_false(replay_accept(&r, 1));
	assert_true(replay_accept(&r, UINT64_C(1) << 40)); /* far ahead empties the window */
	assert_true(replay_accept(&r, (UINT64_C(1) << 40) - 8191));
	assert_false(replay_accept(&r, (UINT64_C(1) << 40) - 8192));
	assert_false(replay_accept(&r, 8194));
	assert_true(replay_accept(&r, UINT64_MAX - 1));
	assert_false(replay_accept(&r, UINT64_MAX - 1));
	assert_true(replay_accept(&r, UINT64_MAX - 2));
}

static void the_first_packet_may_be_late(void **state)
{
	struct replay r = { 0 };

	(void)state;
	assert_true(replay_accept(&r, 70));
	assert_true(replay_accept(&r, 6));
	assert_true(replay_accept(&r, 0));
	assert_false(replay_accept(&r, 70));
	assert_false(replay_accept(&r, 6));
}

/* All counters stay below SPAN, so that the slow version is an array. */
#define SPAN (1U << 18)

static void agrees_with_an_array(void **state)
{
	cleanup_free uint8_t *seen = calloc(SPAN, 1);
	struct replay r = { 0 };
	uint64_t highest = 0;
	unsigned seed;

	(void)state;
	random_bytes(&seed, sizeof(seed));
	print_message("seed %u\n", seed);
	srandom(seed);
	assert_non_null(seen);
	for (int i = 0; i < 400000; i++) {
		uint64_t step = (uint64_t)random() % (random() % 100 ? 100 : 20000);
		uint64_t counter = random() % 3 ? highest + step % 4 : highest - step;
		bool expected;

		if (counter >= SPAN)
			continue;
		expected = !seen[counter] &&
			   (counter >= highest || highest - counter < REPLAY_WINDOW);
		assert_int_equal(replay_accept(&r, counter), expected);
		seen[counter] |= expected;
		if (counter > highest)
			highest = counter;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(edges_of_the_window),
		cmocka_unit_test(the_first_packet_may_be_late),
		cmocka_unit_test(agrees_with_an_array),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
