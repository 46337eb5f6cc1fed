#include <errno.h>

#include "base/rfc3339.h"
#include "base/test.h"

static void test_written_and_read(void **state)
{
	static const struct {
		uint64_t unix_s;
		const char *text;
	} cases[] = {
		{ 0, "1970-01-01T00:00:00Z" },
		{ 951782400, "2000-02-29T00:00:00Z" },
		{ 1700000000, "2023-11-14T22:13:20Z" },
		{ UINT64_C(253402300799), "9999-12-31T23:59:59Z" },
	};
	char text[RFC3339_SIZE];
	uint64_t unix_s;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_string_equal(rfc3339_format(cases[i].unix_s, text), cases[i].text);
		assert_int_equal(rfc3339_parse(cases[i].text, &unix_s), 0);
		assert_int_equal(unix_s, cases[i].unix_s);
	}
	assert_string_equal(rfc3339_format(UINT64_MAX, text), "9999-12-31T23:59:59Z");
}

static void test_readings(void **state)
{
	static const char *const right[] = {
		"2023-11-14T22:13:20.5Z",
		"2023-11-14T22:13:20.123456789Z",
		"2023-11-14T22:13:20+00:00",
	};
	static const char *const wrong[] = {
		"",
		"2023-11-14",
		"2023-11-14 22:13:20Z",
		"2023-11-14T22:13:20",
		"2023-11-14T22:13:20.Z",
		"2023-11-14T22:13:20Z ",
		"2023-11-14T22:13:20+01:00",
		"2023-13-14T22:13:20Z",
		"2023-02-29T22:13:20Z",
		"2023-11-14T24:00:00Z",
		"2023-11-14T22:60:20Z",
		"1969-12-31T23:59:59Z",
		"x023-11-14T22:13:20Z",
	};
	uint64_t unix_s = 7;

	for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
		assert_int_equal(rfc3339_parse(right[i], &unix_s), 0);
		assert_int_equal(unix_s, 1700000000);
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(rfc3339_parse(wrong[i], &unix_s), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_written_and_read),
		cmocka_unit_test(test_readings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
