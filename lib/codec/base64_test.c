#include "codec/base64.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/secret.h"
#include "base/test.h"

/* RFC 4648 section 10, and the bytes that take the last two digits. */
static const struct {
	const char *bytes;
	const char *padded;
	const char *bare;
} vectors[] = {
	{ "", "", "" },
	{ "f", "Zg==", "Zg" },
	{ "fo", "Zm8=", "Zm8" },
	{ "foo", "Zm9v", "Zm9v" },
	{ "foob", "Zm9vYg==", "Zm9vYg" },
	{ "fooba", "Zm9vYmE=", "Zm9vYmE" },
	{ "foobar", "Zm9vYmFy", "Zm9vYmFy" },
	{ "\xfb\xff\xfe", "+//+", "+//+" },
};

static void the_vectors_of_the_standard(void **state)
{
	char text[16];
	char bytes[16];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		size_t size = strlen(vectors[i].bytes);

		assert_string_equal(base64_encode(vectors[i].bytes, size, true, text),
				    vectors[i].padded);
		assert_string_equal(base64_encode(vectors[i].bytes, size, false, text),
				    vectors[i].bare);
		assert_int_equal(base64_decode(vectors[i].padded, bytes, size), size);
		assert_memory_equal(bytes, vectors[i].bytes, size);
		assert_int_equal(base64_decode(vectors[i].bare, bytes, size), size);
		assert_memory_equal(bytes, vectors[i].bytes, size);
	}
}

static void wrong_text_is_refused(void **state)
{
	static const struct {
		const char *name;
		const char *text;
	} cases[] = {
		{ "one digit", "A" },
		{ "five digits", "AAAAA" },
		{ "stray bits in two digits", "Zh" },
		{ "stray bits in three digits", "Zm9=" },
		{ "padding alone", "====" },
		{ "too much padding", "Zg===" },
		{ "too little padding", "Zg=" },
		{ "padding after full digits", "Zm9v=" },
		{ "padding inside", "Zg==Zg==" },
		{ "line break", "Zm9v\n" },
		{ "URL alphabet", "-__-" },
		{ "high byte", "Zm9\xc3" },
		{ "just below A", "@AAA" },
		{ "just above z", "{AAA" },
		{ "just above 9", ":AAA" },
	};
	char bytes[16];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (base64_decode(cases[i].text, bytes, sizeof(bytes)) != -EINVAL)
			fail_msg("%s", cases[i].name);
}

static void the_bound_is_kept(void **state)
{
	char bytes[3] = { 0 };

	(void)state;
	assert_int_equal(base64_decode("Zm9v", bytes, 2), -ENOBUFS);
	assert_int_equal(base64_decode("Zm9v", bytes, 3), 3);
}

static void every_byte_at_every_place_comes_back(void **state)
{
	uint8_t bytes[256 + 2];
	uint8_t again[sizeof(bytes)];
	char text[BASE64_SIZE(sizeof(bytes))];

	(void)state;
	for (size_t size = 0; size <= sizeof(bytes); size++) {
		random_bytes(bytes, sizeof(bytes));
		base64_encode(bytes, size, size % 2, text);
		assert_true(strlen(text) < BASE64_SIZE(size));
		assert_int_equal(base64_decode(text, again, size), size);
		assert_memory_equal(again, bytes, size);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_vectors_of_the_standard),
		cmocka_unit_test(wrong_text_is_refused),
		cmocka_unit_test(the_bound_is_kept),
		cmocka_unit_test(every_byte_at_every_place_comes_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
