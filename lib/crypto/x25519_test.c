#include "crypto/x25519.h"

#include <string.h>

#include "base/test.h"

/* RFC 7748 section 6.1. */
static void public_key_of_the_rfc(void **state)
{
	static const uint8_t alice[X25519_KEY_SIZE] = {
		0x77, 0x07, 0x6d, 0x0a, 0x73, 0x18, 0xa5, 0x7d, 0x3c, 0x16, 0xc1,
		0x72, 0x51, 0xb2, 0x66, 0x45, 0xdf, 0x4c, 0x2f, 0x87, 0xeb, 0xc0,
		0x99, 0x2a, 0xb1, 0x77, 0xfb, 0xa5, 0x1d, 0xb9, 0x2c, 0x2a,
	};
	static const uint8_t expected[X25519_KEY_SIZE] = {
		0x85, 0x20, 0xf0, 0x09, 0x89, 0x30, 0xa7, 0x54, 0x74, 0x8b, 0x7d,
		0xdc, 0xb4, 0x3e, 0xf7, 0x5a, 0x0d, 0xbf, 0x3a, 0x0d, 0x26, 0x38,
		0x1a, 0xf4, 0xeb, 0xa4, 0xa9, 0x8e, 0xaa, 0x9b, 0x4e, 0x6a,
	};
	uint8_t public_key[X25519_KEY_SIZE];

	(void)state;
	assert_int_equal(x25519_public(alice, public_key), 0);
	assert_memory_equal(public_key, expected, X25519_KEY_SIZE);
}

static void clamping_does_not_change_the_public_key(void **state)
{
	uint8_t key[X25519_KEY_SIZE], one[X25519_KEY_SIZE], other[X25519_KEY_SIZE];

	(void)state;
	memset(key, 0xff, sizeof(key));
	assert_int_equal(x25519_public(key, one), 0);
	x25519_clamp(key);
	assert_int_equal(key[0], 0xf8);
	assert_int_equal(key[31], 0x7f);
	assert_int_equal(x25519_public(key, other), 0);
	assert_memory_equal(one, other, X25519_KEY_SIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(public_key_of_the_rfc),
		cmocka_unit_test(clamping_does_not_change_the_public_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
