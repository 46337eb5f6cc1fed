/* How often each address may ask. */
#include "portcontrol/rate_limiter.h"

#include "base/clock.h"
#include "base/test.h"

static unsigned asked(struct rate_limiter *limiter, uint32_t address, uint64_t now_ns)
{
	unsigned count = 0;

	while (rate_limiter_allows(limiter, address, now_ns))
		count++;
	return count;
}

static void each_has_its_own_measure(void **state)
{
	CLEANUP(rate_limiter_free) struct rate_limiter *limiter = NULL;
	uint64_t now_ns = 1000 * NS_PER_S;

	assert_int_equal(rate_limiter_new(10, 20, &limiter), 0);
	assert_int_equal(asked(limiter, 1, now_ns), 20);
	assert_int_equal(asked(limiter, 2, now_ns), 20);
	assert_int_equal(asked(limiter, 1, now_ns + NS_PER_S / 2), 5);
	assert_int_equal(asked(limiter, 1, now_ns + 100 * NS_PER_S), 20);
}

static void it_remembers_a_bounded_number(void **state)
{
	CLEANUP(rate_limiter_free) struct rate_limiter *limiter = NULL;

	assert_int_equal(rate_limiter_new(1, 1, &limiter), 0);
	for (uint32_t i = 0; i < 3 * RATE_LIMITER_ADDRESSES_MAX; i++)
		assert_true(rate_limiter_allows(limiter, i, NS_PER_S));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_has_its_own_measure),
		cmocka_unit_test(it_remembers_a_bounded_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
