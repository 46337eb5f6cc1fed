#include "codec/pointer.h"

#include <string.h>

#include "base/test.h"

static json_t *example(void)
{
	/* RFC 6901 section 5 */
	json_t *document =
		json_loads("{\"foo\": [\"bar\", \"baz\"], \"\": 0, \"a/b\": 1, \"c%d\": 2,"
			   "\"e^f\": 3, \"g|h\": 4, \"i\\\\j\": 5, \"k\\\"l\": 6, \" \": 7,"
			   "\"m~n\": 8, \"deep\": {\"10.0.0.1/24\": {\"x\": 9}}}",
			   0, NULL);

	assert_non_null(document);
	return document;
}

static void the_examples_of_the_standard(void **state)
{
	static const struct {
		const char *pointer;
		int value;
	} cases[] = {
		{ "/", 0 },	{ "/a~1b", 1 },
		{ "/c%d", 2 },	{ "/e^f", 3 },
		{ "/g|h", 4 },	{ "/i\\j", 5 },
		{ "/k\"l", 6 }, { "/ ", 7 },
		{ "/m~0n", 8 }, { "/deep/10.0.0.1~124/x", 9 },
	};
	json_t *document = example();

	(void)state;
	assert_ptr_equal(pointer_get(document, ""), document);
	assert_true(json_is_array(pointer_get(document, "/foo")));
	assert_string_equal(json_string_value(pointer_get(document, "/foo/0")), "bar");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const json_t *value = pointer_get(document, cases[i].pointer);

		if (!value || json_integer_value(value) != cases[i].value)
			fail_msg("%s", cases[i].pointer);
	}
	json_decref(document);
}

static void what_is_not_there_is_null(void **state)
{
	static const char *const pointers[] = {
		"foo",
		"/foo/2",
		"/foo/-",
		"/foo/00",
		"/foo/01",
		"/foo/+1",
		"/foo/0x0",
		"/foo/",
		"/foo/0/x",
		"/nil",
		"/a/b",
		"/m~n",
		"/m~2n",
		"/m~",
		"/ /x",
		"//",
		"/foo/18446744073709551616",
		"/foo/1844674407370955161600",
	};
	json_t *document = example();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(pointers); i++)
		if (pointer_get(document, pointers[i]))
			fail_msg("%s", pointers[i]);
	json_decref(document);
}

static void validity(void **state)
{
	static const struct {
		const char *pointer;
		bool valid;
	} cases[] = {
		{ "", true },
		{ "/", true },
		{ "/a/b~0~1", true },
		{ "/\xc3\xa4", true },
		{ "a", false },
		{ "/~", false },
		{ "/~2", false },
		{ "/a~/b", false },
		{ "/\xff", false },
		{ "/\xc0\xaf", false },
		{ "/\xed\xa0\x80", false },
		{ "/\xf4\x90\x80\x80", false },
		{ "/\xe2\x82", false },
	};
	char longest[POINTER_MAX + 2];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (pointer_valid(cases[i].pointer) != cases[i].valid)
			fail_msg("%s", cases[i].pointer);
	memset(longest, '/', sizeof(longest));
	longest[POINTER_MAX + 1] = '\0';
	assert_false(pointer_valid(longest));
	longest[POINTER_MAX] = '\0';
	assert_true(pointer_valid(longest));
	assert_null(pointer_get(json_null(), longest));
}

static void a_pointer_is_built_and_split(void **state)
{
	CLEANUP(text_done) struct text pointer = { 0 };
	CLEANUP(text_done) struct text parent = { 0 };
	CLEANUP(text_done) struct text token = { 0 };

	(void)state;
	pointer_append(&pointer, "wg");
	pointer_append(&pointer, "10.59.0.1/24");
	pointer_append(&pointer, "");
	pointer_append(&pointer, "~~/1");
	assert_string_equal(text_string(&pointer), "/wg/10.59.0.1~124//~0~0~11");
	assert_int_equal(pointer_split(text_string(&pointer), &parent, &token), 0);
	assert_string_equal(text_string(&parent), "/wg/10.59.0.1~124/");
	assert_string_equal(text_string(&token), "~~/1");

	text_clear(&parent);
	text_clear(&token);
	assert_int_equal(pointer_split("/a", &parent, &token), 0);
	assert_string_equal(text_string(&parent), "");
	assert_string_equal(text_string(&token), "a");
	assert_int_equal(pointer_split("", &parent, &token), -EINVAL);
	assert_int_equal(pointer_split("a/b", &parent, &token), -EINVAL);
	assert_int_equal(pointer_split("/a~", &parent, &token), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_examples_of_the_standard),
		cmocka_unit_test(what_is_not_there_is_null),
		cmocka_unit_test(validity),
		cmocka_unit_test(a_pointer_is_built_and_split),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
