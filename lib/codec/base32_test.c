#include <string.h>

#include "base/test.h"
#include "codec/base32.h"

static void test_vectors_of_rfc_4648(void **state)
{
	static const struct {
		const char *from, *upper;
	} cases[] = {
		{ "", "" },
		{ "f", "MY" },
		{ "fo", "MZXQ" },
		{ "foo", "MZXW6" },
		{ "foob", "MZXW6YQ" },
		{ "fooba", "MZXW6YTB" },
		{ "foobar", "MZXW6YTBOI" },
	};
	char to[BASE32_SIZE(6)];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(BASE32_SIZE(strlen(cases[i].from)), strlen(cases[i].upper) + 1);
		assert_string_equal(base32_encode(cases[i].from, strlen(cases[i].from),
						  BASE32_UPPER, to),
				    cases[i].upper);
	}
}

static void test_lower_case_and_every_digit(void **state)
{
	/* The digits 0 to 31 in order. */
	static const uint8_t from[] = { 0x00, 0x44, 0x32, 0x14, 0xc7, 0x42, 0x54, 0xb6, 0x35, 0xcf,
					0x84, 0x65, 0x3a, 0x56, 0xd7, 0xc6, 0x75, 0xbe, 0x77, 0xdf };
	char to[BASE32_SIZE(sizeof(from))];

	assert_string_equal(base32_encode(from, sizeof(from), BASE32_LOWER, to),
			    "abcdefghijklmnopqrstuvwxyz234567");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors_of_rfc_4648),
		cmocka_unit_test(test_lower_case_and_every_digit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
