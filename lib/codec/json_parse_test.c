#include "codec/json_parse.h"

#include <string.h>

#include "base/test.h"

static const struct json_limits limits = { .size = 1024, .depth = 4 };

static void faults_name_the_place(void **state)
{
	static const struct {
		const char *name;
		const char *text;
		int error;
		const char *place;
	} cases[] = {
		{ "empty", "", -EBADMSG, "line 1, column 1" },
		{ "only space", " \n ", -EBADMSG, "line 2, column" },
		{ "cut off", "{\n\"a\": ", -EBADMSG, "line 2, column" },
		{ "stray comma", "[1,]", -EBADMSG, "line 1, column 4" },
		{ "missing colon", "{\n \"a\" 1}", -EBADMSG, "line 2, column 6" },
		{ "columns are characters", "[\"\xc3\xa4\xc3\xa4\", x]", -EBADMSG,
		  "line 1, column 8" },
		{ "something after the end", "[1]\nx", -EBADMSG, "line 2, column 1" },
		{ "half a word", "nul", -EBADMSG, "line 1" },
		{ "single quotes", "'a'", -EBADMSG, "line 1, column 1" },
		{ "comment", "1 // one", -EBADMSG, "line 1, column 3" },
		{ "leading zero", "01", -EBADMSG, "line 1" },
		{ "NaN", "NaN", -EBADMSG, "line 1" },
		{ "real too large", "1e999", -EBADMSG, "line 1" },
		{ "integer too large", "9223372036854775808", -EBADMSG, "line 1" },
		{ "invalid UTF-8", "\"\xff\"", -EBADMSG, "line 1" },
		{ "surrogate in UTF-8", "\"\xed\xa0\x80\"", -EBADMSG, "line 1" },
		{ "lone surrogate", "\"\\ud800\"", -EBADMSG, "line 1" },
		{ "overlong UTF-8", "\"\xc0\xaf\"", -EBADMSG, "line 1" },
		{ "escaped NUL", "\"\\u0000\"", -EBADMSG, "line 1" },
		{ "escaped NUL in a name", "{\"\\u0000\": 1}", -EBADMSG, "line 1" },
		{ "line break in a string", "\"a\nb\"", -EBADMSG, "line 1" },
		{ "too deep", "[[\n[[[1]]]]]", -E2BIG, "line 2, column 3" },
		{ "too deep and mixed", "[{\"a\":[{\"b\":{}}]}]", -E2BIG, "line 1, column 13" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(fault_done) struct fault fault = { 0 };
		json_t *value = NULL;
		int r = json_parse(cases[i].text, strlen(cases[i].text), &limits, &value, &fault);

		if (r != cases[i].error || value)
			fail_msg("%s: %d", cases[i].name, r);
		assert_int_equal(fault.kind, FAULT_DESERIALIZATION);
		if (!strstr(fault.details, cases[i].place))
			fail_msg("%s: %s", cases[i].name, fault.details);
	}
}

static void what_is_json_parses(void **state)
{
	static const struct {
		const char *text;
		const char *plain;
	} cases[] = {
		{ " null ", "null" },
		{ "-0", "0" },
		{ "\"\\u00e4\\ud83d\\ude00\\/\"", "\"\xc3\xa4\xf0\x9f\x98\x80/\"" },
		{ "{\"a\": 1, \"b\": 2, \"a\": 3}", "{\"a\":3,\"b\":2}" },
		{ "[[[[1]]]]", "[[[[1]]]]" },
		{ "[\"[[[[[[\", \"\\\"[[[[[[\"]", "[\"[[[[[[\",\"\\\"[[[[[[\"]" },
		{ "[{},{},{},{},{},[[[]]]]", "[{},{},{},{},{},[[[]]]]" },
		{ "9223372036854775807", "9223372036854775807" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		json_t *value = NULL;
		char *text;

		assert_int_equal(
			json_parse(cases[i].text, strlen(cases[i].text), &limits, &value, NULL), 0);
		text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
		assert_string_equal(text, cases[i].plain);
		free(text);
		json_decref(value);
	}
}

static void the_size_is_bounded(void **state)
{
	CLEANUP(fault_done) struct fault fault = { 0 };
	char text[1025];
	json_t *value = NULL;

	(void)state;
	memset(text, ' ', sizeof(text));
	text[0] = '1';
	assert_int_equal(json_parse(text, 1025, &limits, &value, &fault), -E2BIG);
	assert_non_null(strstr(fault.details, "1025"));
	assert_int_equal(json_parse(text, 1024, &limits, &value, NULL), 0);
	json_decref(value);
}

static void a_nul_byte_is_no_end(void **state)
{
	json_t *value = NULL;

	(void)state;
	assert_int_equal(json_parse("1\0", 2, &limits, &value, NULL), -EBADMSG);
	assert_int_equal(json_parse("\"a\0b\"", 5, &limits, &value, NULL), -EBADMSG);
	assert_int_equal(json_parse("{\"a\0b\":1}", 9, &limits, &value, NULL), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(faults_name_the_place),
		cmocka_unit_test(what_is_json_parses),
		cmocka_unit_test(the_size_is_bounded),
		cmocka_unit_test(a_nul_byte_is_no_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
