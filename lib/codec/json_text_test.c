#include "codec/json_text.h"

#include <float.h>

#include "base/test.h"

static void assert_as_library(json_t *value)
{
	CLEANUP(text_done) struct text text = { 0 };
	char *expected = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);

	assert_non_null(expected);
	json_text_append(&text, value);
	assert_int_equal(text_error(&text), 0);
	assert_string_equal(text_string(&text), expected);
	free(expected);
	json_decref(value);
}

static void texts_are_the_librarys(void **state)
{
	static const char *const texts[] = {
		"null",
		"true",
		"false",
		"0",
		"-1",
		"9223372036854775807",
		"-9223372036854775808",
		"0.5",
		"1e300",
		"-0.0",
		"[]",
		"{}",
		"[[],{},[[]]]",
		"\"\"",
		"\"a/b\"",
		"{\"a\":{\"b\":[1,2,{\"c\":null}],\"d\":\"e\"},\"\":\"\"}",
		"\"\\u00e9\\u20ac\\ud83d\\ude00\\u007f\"",
		"{\"\\\"\\\\ \\n\":\"\\\"\"}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		json_t *value = json_loads(texts[i], JSON_DECODE_ANY, NULL);

		assert_non_null(value);
		assert_as_library(value);
	}
	assert_as_library(json_real(DBL_MAX));
	assert_as_library(json_real(DBL_MIN));
}

static void every_ascii_byte_is_escaped_alike(void **state)
{
	for (char c = 0; c < 127; c++) {
		const char bytes[3] = { 'x', c, 'y' };

		assert_as_library(json_stringn(bytes, 3));
		assert_as_library(json_stringn(bytes + 1, 1));
	}
}

static void a_bound_is_kept(void **state)
{
	CLEANUP(text_done) struct text text = { .max = 5 };
	json_t *value = json_string("longer");

	json_text_append(&text, value);
	assert_int_equal(text_error(&text), -E2BIG);
	json_decref(value);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_are_the_librarys),
		cmocka_unit_test(every_ascii_byte_is_escaped_alike),
		cmocka_unit_test(a_bound_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
