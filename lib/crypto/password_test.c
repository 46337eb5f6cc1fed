#include <string.h>

#include "base/test.h"
#include "crypto/password.h"

static void test_hash_and_verify(void **state)
{
	char hash[PASSWORD_HASH_MAX], again[PASSWORD_HASH_MAX];

	assert_int_equal(password_hash("correct horse", hash), 0);
	assert_memory_equal(hash, "$argon2id$v=19$m=65536,t=3,p=1$", 31);
	assert_int_equal(strlen(hash), 31 + 22 + 1 + 43);
	assert_int_equal(password_verify(hash, "correct horse"), 0);
	assert_int_equal(password_verify(hash, "correct horsf"), -EACCES);
	assert_int_equal(password_hash("correct horse", again), 0);
	assert_string_not_equal(hash, again);
}

/* Made by the argon2 command. */
static void test_hashes_from_elsewhere(void **state)
{
	static const char *const right[] = {
		"$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
		"$argon2i$v=19$m=256,t=2,p=1$c29tZXNhbHQ$iekCn0Y3spW+sCcFanM2xBT63UP2sghkUoHLIUpWRS8",
		"$argon2i$m=256,t=2,p=1$c29tZXNhbHQ$/U3YPXYsSb3q9XxHvc0MLxur+GP960kN9j7emXX8zwY",
	};

	for (size_t i = 0; i < ARRAY_SIZE(right); i++) {
		assert_int_equal(password_verify(right[i], "password"), 0);
		assert_int_equal(password_verify(right[i], "passwore"), -EACCES);
	}
}

/* None of these is computed: the test would take minutes, or fail for want of memory. */
static void test_hashes_that_cost_too_much(void **state)
{
	static const char *const wrong[] = {
		"$argon2id$v=19$m=4294967295,t=3,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
		"$argon2id$v=19$m=262145,t=3,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
		"$argon2id$v=19$m=65536,t=17,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
		"$argon2id$v=19$m=65536,t=3,p=17$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
		"$argon2id$v=19$m=65536,t=4294967299,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1b",
		"$argon2id$v=19$m=0,t=3,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
		"$argon2id$v=19$m= 65536,t=3,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
		"$argon2id$v=19$m=65536,t=3$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
		"$argon2id$v=19$m=65536,t=3,p=1$c29tZXNhbHQ$",
		"$argon2id$v=99$m=65536,t=3,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
		"$argon2x$v=19$m=65536,t=3,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
		"$6$salt$hash",
		"password",
		"",
	};

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_int_equal(password_verify(wrong[i], "password"), -EBADMSG);
}

static void test_rules(void **state)
{
	static const struct {
		const char *password;
		const char *reason; /* part of the refusal; NULL: it is good */
	} cases[] = {
		{ "dyjpl5kswm2z", NULL },
		{ "correct horse battery staple", NULL },
		{ "Grünkohl-27", NULL },
		{ "1234567", "8 to 64 bytes long, and has 7" },
		{ "", "8 to 64 bytes" },
		{ "abcabcabcabcabc", "at least 5 different" },
		{ "aaaaaaaaaaaa", "at least 5 different" },
		{ "abcdefghijkl", "in a row" },
		{ "87654321", "in a row" },
		{ "password", "guessed first" },
		{ "Password2024!", "guessed first" },
		{ "StartTunnel1", "guessed first" },
		{ "admin123456", "guessed first" },
		{ "1q2w3e4r5t", "guessed first" },
		{ "passwordless-not", NULL },
		{ "tab\tin a password", "control" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(fault_done) struct fault fault = { 0 };
		int r = password_check(cases[i].password, &fault);

		assert_int_equal(r, cases[i].reason ? -EPROTO : 0);
		if (!cases[i].reason)
			continue;
		assert_int_equal(fault.kind, FAULT_INVALID_REQUEST);
		assert_memory_equal(fault.details, "password: ", 10);
		assert_non_null(strstr(fault.details, cases[i].reason));
	}
}

static void test_length_of_64_and_no_more(void **state)
{
	char password[66] = "0f3k-";

	memset(password + 5, 'x', 59);
	assert_int_equal(password_check(password, NULL), 0);
	password[64] = 'x';
	assert_int_equal(password_check(password, NULL), -EPROTO);
}

static void test_random_passwords(void **state)
{
	char a[PASSWORD_RANDOM_SIZE], b[PASSWORD_RANDOM_SIZE];

	password_random(a);
	password_random(b);
	assert_int_equal(strlen(a), 26);
	assert_int_equal(strspn(a, "abcdefghijklmnopqrstuvwxyz234567"), 26);
	assert_string_not_equal(a, b);
	assert_int_equal(password_check(a, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hash_and_verify),
		cmocka_unit_test(test_hashes_from_elsewhere),
		cmocka_unit_test(test_hashes_that_cost_too_much),
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_length_of_64_and_no_more),
		cmocka_unit_test(test_random_passwords),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
