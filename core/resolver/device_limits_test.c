/* How much a device may ask for, and whom that concerns. */
#include "resolver/device_limits.h"

#include "base/test.h"

static unsigned take_all(struct device_limits *limits, uint32_t address, enum limited_kind kind,
			 uint64_t now_ms)
{
	unsigned count = 0;

	while (count < 10000 && device_limits_take(limits, address, kind, 1, now_ms))
		count++;
	return count;
}

static void a_device_saves_up_and_is_refilled(void **state)
{
	CLEANUP(device_limits_free) struct device_limits *limits = NULL;

	(void)state;
	assert_int_equal(device_limits_new(&limits), 0);
	assert_int_equal(take_all(limits, 1, LIMITED_QUESTION, 5000), 1000);
	assert_int_equal(take_all(limits, 2, LIMITED_QUESTION, 5000), 1000);
	assert_int_equal(take_all(limits, 1, LIMITED_UPDATE, 5000), 600);
	assert_int_equal(take_all(limits, 1, LIMITED_QUESTION, 5002), 1);
	assert_false(device_limits_take(limits, 1, LIMITED_UPDATE, 64, 6000));
	assert_true(device_limits_take(limits, 1, LIMITED_UPDATE, 50, 6000));
	assert_false(device_limits_take(limits, 1, LIMITED_UPDATE, 1, 6000));
	assert_int_equal(take_all(limits, 1, LIMITED_QUESTION, 6002), 500);
	assert_int_equal(take_all(limits, 1, LIMITED_QUESTION, 3600000), 1000);
	assert_int_equal(take_all(limits, 1, LIMITED_QUESTION, UINT64_MAX), 1000);
}

static void the_longest_not_seen_gives_way(void **state)
{
	CLEANUP(device_limits_free) struct device_limits *limits = NULL;

	(void)state;
	assert_int_equal(device_limits_new(&limits), 0);
	assert_int_equal(take_all(limits, 1, LIMITED_QUESTION, 0), 1000);
	assert_int_equal(take_all(limits, 2, LIMITED_QUESTION, 0), 1000);
	for (uint32_t i = 3; i <= LIMITED_DEVICES_MAX; i++)
		assert_true(device_limits_take(limits, i, LIMITED_QUESTION, 1, 0));
	assert_false(device_limits_take(limits, 1, LIMITED_QUESTION, 1, 0)); /* seen now */
	assert_true(device_limits_take(limits, 100000, LIMITED_QUESTION, 1, 0));
	assert_false(device_limits_take(limits, 1, LIMITED_QUESTION, 1, 0));
	assert_true(device_limits_take(limits, 2, LIMITED_QUESTION, 1, 0)); /* forgotten */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_device_saves_up_and_is_refilled),
		cmocka_unit_test(the_longest_not_seen_gives_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
