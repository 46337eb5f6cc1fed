#include "codec/output.h"

#include <string.h>
#include <sys/wait.h>

#include "base/test.h"

static json_t *value(const char *text)
{
	json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);

	if (!json)
		fail_msg("%s", text);
	return json;
}

static void assert_written(const char *json, enum output_format format, const char *expected)
{
	CLEANUP(text_done) struct text written = { 0 };
	json_t *from = value(json);

	assert_int_equal(output_write(from, format, &written, NULL), 0);
	assert_string_equal(text_string(&written), expected);
	json_decref(from);
}

/* What strings, names and numbers meet in one format or the other. */
static const char everything[] =
	"{\"plain\": \"word\", \"empty\": \"\", \"no\": \"no\", \"null\": \"~\","
	"\"1:30\": \"1:30\", \"date\": \"2001-01-01\", \"number\": \"0x1f\","
	"\"real\": \"1e5\", \"dot\": \".5\", \"key with space\": \" x \","
	"\"quote\\\"\\\\\": \"a\\\"b\\\\c\", \"\": \"no name\", \"lines\": \"a\\nb\\n\","
	"\"tab\": \"a\\tb\", \"control\": \"\\u0001\\u001f\\u007f\\u0085\","
	"\"unicode\": \"\\u00e4 \\ud83d\\ude00 \\u2028\", \"colon\": \"a: b # c\","
	"\"dash\": \"- x\", \"brace\": \"{x\", \"star\": \"*x\", \"crlf\": \"a\\r\\nb\","
	"\"true\": true, \"false\": false, \"int\": -9223372036854775808,"
	"\"big\": 9223372036854775807, \"reals\": [0.1, 1e300, -2.5, 1e-7, 100000.0, 5e-324],"
	"\"list\": [1, [2, []], {}], \"sub.table\": {\"a\": {\"b\": {}}},"
	"\"tables\": [{\"x\": 1}, {\"y\": {\"z\": [1, 2]}}],"
	"\"mixed\": [1, {\"a\": [1, {\"b\": 2}]}], \"last\": 1}";

static void the_formats_look_as_expected(void **state)
{
	static const char json[] = "{\"id\": 7, \"value\": {\"a\": [1, \"x\"], \"b\": null},"
				   "\"list\": [{\"k\": 1}, {\"k\": 2}]}";

	(void)state;
	assert_written(json, OUTPUT_JSON,
		       "{\"id\":7,\"value\":{\"a\":[1,\"x\"],\"b\":null},"
		       "\"list\":[{\"k\":1},{\"k\":2}]}");
	assert_written("{\"a\": [1, {}]}", OUTPUT_JSON_PRETTY,
		       "{\n  \"a\": [\n    1,\n    {}\n  ]\n}\n");
	assert_written(json, OUTPUT_YAML,
		       "id: 7\nvalue:\n  a:\n  - 1\n  - x\n  b: null\nlist:\n- k: 1\n- k: 2\n");
	assert_written(json, OUTPUT_TOML,
		       "id = 7\n\n[value]\na = [1, \"x\"]\n\n[[list]]\nk = 1\n\n"
		       "[[list]]\nk = 2\n");
	assert_written(json, OUTPUT_TOML_PRETTY,
		       "id = 7\n\n[value]\na = [\n    1,\n    \"x\",\n]\n\n[[list]]\nk = 1\n\n"
		       "[[list]]\nk = 2\n");
	assert_written("null", OUTPUT_JSON, "null");
	assert_written("null", OUTPUT_JSON_PRETTY, "null\n");
	assert_written("\"no\"", OUTPUT_YAML, "\"no\"\n");
}

static void the_names_are_known(void **state)
{
	enum output_format format = OUTPUT_JSON;

	(void)state;
	assert_int_equal(output_format_parse("toml-pretty", &format), 0);
	assert_int_equal(format, OUTPUT_TOML_PRETTY);
	assert_int_equal(output_format_parse("xml", &format), -EINVAL);
	assert_int_equal(output_format_parse("", &format), -EINVAL);
}

static void toml_says_what_it_cannot_say(void **state)
{
	static const struct {
		const char *json;
		const char *word;
	} cases[] = {
		{ "[1]", "object" },
		{ "null", "object" },
		{ "{\"a\": {\"b c\": [1, null]}}", "a.\"b c\"" },
		{ "{\"a\": [[null]]}", "null" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(text_done) struct text written = { 0 };
		CLEANUP(fault_done) struct fault fault = { 0 };
		json_t *from = value(cases[i].json);

		assert_int_equal(output_write(from, OUTPUT_TOML, &written, &fault), -EINVAL);
		assert_int_equal(fault.kind, FAULT_SERIALIZATION);
		if (!strstr(fault.details, cases[i].word))
			fail_msg("%s: %s", cases[i].json, fault.details);
		json_decref(from);
	}
}

/* RFC 8949 appendix A, what JSON can say of it. */
static const struct {
	const char *json;
	const char *hex;
} vectors[] = {
	{ "0", "00" },
	{ "1", "01" },
	{ "10", "0a" },
	{ "23", "17" },
	{ "24", "1818" },
	{ "25", "1819" },
	{ "100", "1864" },
	{ "255", "18ff" },
	{ "256", "190100" },
	{ "1000", "1903e8" },
	{ "65535", "19ffff" },
	{ "65536", "1a00010000" },
	{ "1000000", "1a000f4240" },
	{ "4294967295", "1affffffff" },
	{ "4294967296", "1b0000000100000000" },
	{ "1000000000000", "1b000000e8d4a51000" },
	{ "-1", "20" },
	{ "-10", "29" },
	{ "-100", "3863" },
	{ "-1000", "3903e7" },
	{ "-9223372036854775808", "3b7fffffffffffffff" },
	{ "0.0", "f90000" },
	{ "-0.0", "f98000" },
	{ "1.0", "f93c00" },
	{ "1.1", "fb3ff199999999999a" },
	{ "1.5", "f93e00" },
	{ "65504.0", "f97bff" },
	{ "65505.0", "fa477fe100" },
	{ "100000.0", "fa47c35000" },
	{ "3.4028234663852886e+38", "fa7f7fffff" },
	{ "3.4028234663852889e+38", "fb47efffffe0000001" },
	{ "1.0e+300", "fb7e37e43c8800759c" },
	{ "5.960464477539063e-8", "f90001" },
	{ "0.00006103515625", "f90400" },
	{ "8.940696716308594e-8", "fa33c00000" },
	{ "2.98023223876953125e-8", "fa33000000" },
	{ "-4.0", "f9c400" },
	{ "-4.1", "fbc010666666666666" },
	{ "false", "f4" },
	{ "true", "f5" },
	{ "null", "f6" },
	{ "\"\"", "60" },
	{ "\"a\"", "6161" },
	{ "\"IETF\"", "6449455446" },
	{ "\"\\\"\\\\\"", "62225c" },
	{ "\"\\u00fc\"", "62c3bc" },
	{ "\"\\u6c34\"", "63e6b0b4" },
	{ "\"\\ud800\\udd51\"", "64f0908591" },
	{ "[]", "80" },
	{ "[1, 2, 3]", "83010203" },
	{ "[1, [2, 3], [4, 5]]", "8301820203820405" },
	{ "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25]",
	  "98190102030405060708090a0b0c0d0e0f101112131415161718181819" },
	{ "{}", "a0" },
	{ "{\"a\": 1, \"b\": [2, 3]}", "a26161016162820203" },
	{ "[\"a\", {\"b\": \"c\"}]", "826161a161626163" },
	{ "{\"a\":\"A\",\"b\":\"B\",\"c\":\"C\",\"d\":\"D\",\"e\":\"E\"}",
	  "a56161614161626142616361436164614461656145" },
};

static void the_cbor_vectors_of_the_standard(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		CLEANUP(text_done) struct text written = { 0 };
		CLEANUP(text_done) struct text hex = { 0 };
		json_t *from = value(vectors[i].json);

		assert_int_equal(output_write(from, OUTPUT_CBOR, &written, NULL), 0);
		for (size_t at = 0; at < written.size; at++)
			text_printf(&hex, "%02x", (unsigned char)written.data[at]);
		if (strcmp(text_string(&hex), vectors[i].hex) != 0)
			fail_msg("%s is %s", vectors[i].json, text_string(&hex));
		json_decref(from);
	}
}

/* What a Python program makes of a file with the text; NULL where it lacks what it imports. */
static json_t *read_in_python(const struct text *text, const char *import, const char *load)
{
	CLEANUP(text_done) struct text command = { 0 };
	char path[] = "/tmp/output_test.XXXXXX";
	int fd = mkstemp(path);
	json_error_t error;
	json_t *again;
	FILE *pipe;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text->data, text->size), text->size);
	(void)close(fd);
	text_printf(&command,
		    "/usr/bin/python3 -c 'import json, %s; d = open(\"%s\", \"rb\").read();"
		    "print(json.dumps(%s))' 2>/dev/null",
		    import, path, load);
	pipe = popen(text_string(&command), "re");
	assert_non_null(pipe);
	again = json_loadf(pipe, JSON_DECODE_ANY, &error);
	(void)pclose(pipe);
	(void)unlink(path);
	return again;
}

static bool python_has(const char *module)
{
	char command[96];

	(void)snprintf(command, sizeof(command), "/usr/bin/python3 -c 'import %s' 2>/dev/null",
		       module);
	return system(command) == 0;
}

static void assert_python_reads(const char *json, enum output_format format, const char *import,
				const char *load)
{
	CLEANUP(text_done) struct text written = { 0 };
	json_t *from = value(json);
	json_t *again;

	if (!python_has(import)) {
		json_decref(from);
		skip();
	}
	assert_int_equal(output_write(from, format, &written, NULL), 0);
	again = read_in_python(&written, import, load);
	if (!again || !json_equal(from, again))
		fail_msg("%s", text_string(&written));
	json_decref(again);
	json_decref(from);
}

static void python_reads_our_yaml(void **state)
{
	(void)state;
	assert_python_reads(everything, OUTPUT_YAML, "yaml", "yaml.safe_load(d)");
	assert_python_reads("[null, {\"a\": null}]", OUTPUT_YAML, "yaml", "yaml.safe_load(d)");
}

static void python_reads_our_toml(void **state)
{
	(void)state;
	assert_python_reads(everything, OUTPUT_TOML, "tomllib", "tomllib.loads(d.decode())");
	assert_python_reads(everything, OUTPUT_TOML_PRETTY, "tomllib", "tomllib.loads(d.decode())");
}

static void python_reads_our_json(void **state)
{
	(void)state;
	assert_python_reads(everything, OUTPUT_JSON, "json", "json.loads(d)");
	assert_python_reads(everything, OUTPUT_JSON_PRETTY, "json", "json.loads(d)");
}

static void nulls_are_left_out_of_toml(void **state)
{
	(void)state;
	assert_written("{\"a\": null, \"b\": {\"c\": null}, \"d\": [1, {\"e\": null}]}",
		       OUTPUT_TOML, "d = [1, { }]\n\n[b]\n");
}

static void the_bound_of_the_text_is_kept(void **state)
{
	json_t *from = value(everything);

	(void)state;
	for (unsigned format = OUTPUT_JSON; format <= OUTPUT_TOML_PRETTY; format++) {
		CLEANUP(text_done) struct text written = { .max = 100 };

		assert_int_equal(output_write(from, (enum output_format)format, &written, NULL),
				 -E2BIG);
	}
	json_decref(from);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_formats_look_as_expected),
		cmocka_unit_test(the_names_are_known),
		cmocka_unit_test(toml_says_what_it_cannot_say),
		cmocka_unit_test(the_cbor_vectors_of_the_standard),
		cmocka_unit_test(python_reads_our_yaml),
		cmocka_unit_test(python_reads_our_toml),
		cmocka_unit_test(python_reads_our_json),
		cmocka_unit_test(nulls_are_left_out_of_toml),
		cmocka_unit_test(the_bound_of_the_text_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
