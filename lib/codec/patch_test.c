/* Edits, patches and differences, which are each other's counterpart. */
#include "codec/patch.h"

#include <string.h>

#include "base/secret.h"
#include "base/test.h"
#include "codec/diff.h"

static json_t *value(const char *text)
{
	json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);

	if (!json)
		fail_msg("%s", text);
	return json;
}

static void assert_value(const json_t *present, const char *text)
{
	json_t *expected = value(text);

	if (!json_equal(present, expected))
		fail_msg("%s is not %s", json_dumps(present, JSON_ENCODE_ANY), text);
	json_decref(expected);
}

/* The examples of RFC 6902 appendix A, and the corners of each operation. */
static const struct {
	const char *name;
	const char *document;
	const char *patch;
	const char *result; /* NULL: it fails */
} cases[] = {
	{ "A.1 member added", "{\"foo\":\"bar\"}",
	  "[{\"op\":\"add\",\"path\":\"/baz\",\"value\":\"qux\"}]",
	  "{\"baz\":\"qux\",\"foo\":\"bar\"}" },
	{ "A.2 element added", "{\"foo\":[\"bar\",\"baz\"]}",
	  "[{\"op\":\"add\",\"path\":\"/foo/1\",\"value\":\"qux\"}]",
	  "{\"foo\":[\"bar\",\"qux\",\"baz\"]}" },
	{ "A.3 member removed", "{\"baz\":\"qux\",\"foo\":\"bar\"}",
	  "[{\"op\":\"remove\",\"path\":\"/baz\"}]", "{\"foo\":\"bar\"}" },
	{ "A.4 element removed", "{\"foo\":[\"bar\",\"qux\",\"baz\"]}",
	  "[{\"op\":\"remove\",\"path\":\"/foo/1\"}]", "{\"foo\":[\"bar\",\"baz\"]}" },
	{ "A.5 value replaced", "{\"baz\":\"qux\",\"foo\":\"bar\"}",
	  "[{\"op\":\"replace\",\"path\":\"/baz\",\"value\":\"boo\"}]",
	  "{\"baz\":\"boo\",\"foo\":\"bar\"}" },
	{ "A.6 value moved", "{\"foo\":{\"bar\":\"baz\",\"waldo\":\"fred\"},\"qux\":{\"corge\":1}}",
	  "[{\"op\":\"move\",\"from\":\"/foo/waldo\",\"path\":\"/qux/thud\"}]",
	  "{\"foo\":{\"bar\":\"baz\"},\"qux\":{\"corge\":1,\"thud\":\"fred\"}}" },
	{ "A.7 element moved", "{\"foo\":[\"all\",\"grass\",\"cows\",\"eat\"]}",
	  "[{\"op\":\"move\",\"from\":\"/foo/1\",\"path\":\"/foo/3\"}]",
	  "{\"foo\":[\"all\",\"cows\",\"eat\",\"grass\"]}" },
	{ "A.8 test that holds", "{\"baz\":\"qux\",\"foo\":[\"a\",2,\"c\"]}",
	  "[{\"op\":\"test\",\"path\":\"/baz\",\"value\":\"qux\"},"
	  "{\"op\":\"test\",\"path\":\"/foo/1\",\"value\":2}]",
	  "{\"baz\":\"qux\",\"foo\":[\"a\",2,\"c\"]}" },
	{ "A.9 test that does not", "{\"baz\":\"qux\"}",
	  "[{\"op\":\"test\",\"path\":\"/baz\",\"value\":\"bar\"}]", NULL },
	{ "A.10 nested member", "{\"foo\":\"bar\"}",
	  "[{\"op\":\"add\",\"path\":\"/child\",\"value\":{\"grandchild\":{}}}]",
	  "{\"foo\":\"bar\",\"child\":{\"grandchild\":{}}}" },
	{ "A.11 unknown members ignored", "{\"foo\":\"bar\"}",
	  "[{\"op\":\"add\",\"path\":\"/baz\",\"value\":\"qux\",\"xyz\":123}]",
	  "{\"foo\":\"bar\",\"baz\":\"qux\"}" },
	{ "A.12 no parent", "{\"foo\":\"bar\"}",
	  "[{\"op\":\"add\",\"path\":\"/baz/bat\",\"value\":\"qux\"}]", NULL },
	{ "A.14 escapes", "{\"/\":9,\"~1\":10}",
	  "[{\"op\":\"test\",\"path\":\"/~01\",\"value\":10}]", "{\"/\":9,\"~1\":10}" },
	{ "A.15 strings are not numbers", "{\"/\":9,\"~1\":10}",
	  "[{\"op\":\"test\",\"path\":\"/~01\",\"value\":\"10\"}]", NULL },
	{ "A.16 element appended", "{\"foo\":[\"bar\"]}",
	  "[{\"op\":\"add\",\"path\":\"/foo/-\",\"value\":[\"abc\",\"def\"]}]",
	  "{\"foo\":[\"bar\",[\"abc\",\"def\"]]}" },
	{ "replace of what is missing adds", "{}",
	  "[{\"op\":\"replace\",\"path\":\"/a\",\"value\":1}]", "{\"a\":1}" },
	{ "replace of an element keeps the others", "[1,2]",
	  "[{\"op\":\"replace\",\"path\":\"/0\",\"value\":9}]", "[9,2]" },
	{ "add over a member replaces", "{\"a\":1}",
	  "[{\"op\":\"add\",\"path\":\"/a\",\"value\":null}]", "{\"a\":null}" },
	{ "the root is replaced", "{\"a\":1}", "[{\"op\":\"add\",\"path\":\"\",\"value\":[1]}]",
	  "[1]" },
	{ "the root is not removed", "1", "[{\"op\":\"remove\",\"path\":\"\"}]", NULL },
	{ "remove needs a target", "{}", "[{\"op\":\"remove\",\"path\":\"/a\"}]", NULL },
	{ "copy", "{\"a\":{\"x\":1}}",
	  "[{\"op\":\"copy\",\"from\":\"/a\",\"path\":\"/b\"},"
	  "{\"op\":\"replace\",\"path\":\"/b/x\",\"value\":2}]",
	  "{\"a\":{\"x\":1},\"b\":{\"x\":2}}" },
	{ "copy into itself", "{\"a\":{}}", "[{\"op\":\"copy\",\"from\":\"\",\"path\":\"/a/b\"}]",
	  "{\"a\":{\"b\":{\"a\":{}}}}" },
	{ "move into itself", "{\"a\":{}}", "[{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/a/b\"}]",
	  NULL },
	{ "move to its own place", "{\"a\":1}",
	  "[{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/a\"}]", "{\"a\":1}" },
	{ "move of what is missing", "{}", "[{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/b\"}]",
	  NULL },
	{ "index past the end", "[1]", "[{\"op\":\"add\",\"path\":\"/2\",\"value\":1}]", NULL },
	{ "index with zeroes", "[1,2]", "[{\"op\":\"remove\",\"path\":\"/01\"}]", NULL },
	{ "no path", "{}", "[{\"op\":\"add\",\"value\":1}]", NULL },
	{ "no value", "{}", "[{\"op\":\"add\",\"path\":\"/a\"}]", NULL },
	{ "unknown operation", "{}", "[{\"op\":\"spam\",\"path\":\"/a\",\"value\":1}]", NULL },
	{ "not an object", "{}", "[7]", NULL },
	{ "not an array", "{}", "{\"op\":\"add\",\"path\":\"/a\",\"value\":1}", NULL },
	{ "an earlier operation is undone too", "{\"a\":{\"b\":[1,2,3]}}",
	  "[{\"op\":\"remove\",\"path\":\"/a/b/0\"},"
	  "{\"op\":\"replace\",\"path\":\"\",\"value\":0},"
	  "{\"op\":\"remove\",\"path\":\"/a\"}]",
	  NULL },
};

static void patches_apply_and_undo(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(edit_log_done) struct edit_log log = { 0 };
		CLEANUP(fault_done) struct fault fault = { 0 };
		json_t *document = value(cases[i].document);
		json_t *patch = value(cases[i].patch);
		int r = patch_apply(&document, patch, &log, &fault);

		if ((r == 0) != (cases[i].result != NULL))
			fail_msg("%s: %d", cases[i].name, r);
		if (r == 0)
			assert_value(document, cases[i].result);
		else
			assert_int_equal(fault.kind, FAULT_DATABASE);
		assert_int_equal(edit_log_undo(&log, &document, 0), 0);
		assert_value(document, cases[i].document);
		r = patch_consume(&document, patch, &log, NULL);
		assert_true((r == 0) == (cases[i].result != NULL));
		if (r == 0)
			assert_value(document, cases[i].result);
		assert_int_equal(edit_log_undo(&log, &document, 0), 0);
		assert_value(document, cases[i].document);
		json_decref(document);
	}
}

static void a_fault_names_the_operation(void **state)
{
	CLEANUP(edit_log_done) struct edit_log log = { 0 };
	CLEANUP(fault_done) struct fault fault = { 0 };
	json_t *document = value("{}");
	json_t *patch = value("[{\"op\":\"add\",\"path\":\"/a\",\"value\":1},"
			      "{\"op\":\"remove\",\"path\":\"/b\"}]");

	(void)state;
	assert_int_equal(patch_apply(&document, patch, &log, &fault), -ENOENT);
	assert_string_equal(fault.details, "operation 1 of the patch (remove /b): "
					   "no such place in the document");
	json_decref(patch);
	json_decref(document);
}

static void differences_are_small(void **state)
{
	static const struct {
		const char *from;
		const char *to;
		const char *patch;
	} pairs[] = {
		{ "1", "1", "[]" },
		{ "1", "1.0", "[{\"op\":\"replace\",\"path\":\"\",\"value\":1.0}]" },
		{ "{\"a\":1,\"b\":2}", "{\"b\":2,\"a\":1}", "[]" },
		{ "{\"a\":1}", "{\"a/b\":1}",
		  "[{\"op\":\"remove\",\"path\":\"/a\"},"
		  "{\"op\":\"add\",\"path\":\"/a~1b\",\"value\":1}]" },
		{ "{\"a\":{\"x\":1,\"y\":[]}}", "{\"a\":{\"x\":2,\"y\":[]}}",
		  "[{\"op\":\"replace\",\"path\":\"/a/x\",\"value\":2}]" },
		{ "[1,2,3,4,5]", "[1,2,9,3,4,5]",
		  "[{\"op\":\"add\",\"path\":\"/2\",\"value\":9}]" },
		{ "[1,2,3,4,5]", "[1,2,5]",
		  "[{\"op\":\"remove\",\"path\":\"/2\"},"
		  "{\"op\":\"remove\",\"path\":\"/2\"}]" },
		{ "[1,2,3]", "[1,9,3]", "[{\"op\":\"replace\",\"path\":\"/1\",\"value\":9}]" },
		{ "[1,1]", "[1]", "[{\"op\":\"remove\",\"path\":\"/1\"}]" },
		{ "[]", "{}", "[{\"op\":\"replace\",\"path\":\"\",\"value\":{}}]" },
		{ "{\"a\":null}", "{}", "[{\"op\":\"remove\",\"path\":\"/a\"}]" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		json_t *from = value(pairs[i].from);
		json_t *to = value(pairs[i].to);
		json_t *patch = NULL;

		assert_int_equal(json_diff(from, to, &patch), 0);
		assert_value(patch, pairs[i].patch);
		json_decref(patch);
		json_decref(from);
		json_decref(to);
	}
}

static uint64_t random_state;

static unsigned pick(unsigned below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (unsigned)(random_state >> 33) % below;
}

/* Few names and values, so that documents resemble each other. */
static json_t *random_value(unsigned depth)
{
	static const char *const names[] = { "a", "b/c", "~", "", "0" };
	json_t *json;

	switch (pick(depth > 0 ? 6 : 3)) {
	case 0:
		return json_integer(pick(3));
	case 1:
		return pick(2) ? json_true() : json_null();
	case 2:
		return json_string(names[pick(ARRAY_SIZE(names))]);
	case 3:
	case 4:
		json = json_array();
		for (unsigned i = pick(5); i > 0; i--)
			(void)json_array_append_new(json, random_value(depth - 1));
		return json;
	default:
		json = json_object();
		for (unsigned i = pick(5); i > 0; i--)
			(void)json_object_set_new(json, names[pick(ARRAY_SIZE(names))],
						  random_value(depth - 1));
		return json;
	}
}

static void a_difference_turns_one_document_into_the_other(void **state)
{
	(void)state;
	random_bytes(&random_state, sizeof(random_state));
	print_message("seed %llx\n", (unsigned long long)random_state);
	for (int i = 0; i < 20000; i++) {
		CLEANUP(edit_log_done) struct edit_log log = { 0 };
		json_t *from = random_value(4);
		json_t *to = random_value(4);
		json_t *changed = json_deep_copy(from);
		json_t *patch = NULL;

		assert_int_equal(json_diff(from, to, &patch), 0);
		assert_int_equal(patch_apply(&changed, patch, &log, NULL), 0);
		assert_true(json_equal(changed, to));
		assert_int_equal(edit_log_undo(&log, &changed, 0), 0);
		assert_true(json_equal(changed, from));
		json_decref(patch);
		json_decref(changed);
		json_decref(from);
		json_decref(to);
	}
}

/* Allocations of jansson that still succeed; negative: all do. */
static long allowed = -1;

static void *failing_malloc(size_t size)
{
	if (allowed == 0)
		return NULL;
	allowed -= allowed > 0;
	return malloc(size);
}

static void want_of_memory_loses_nothing(void **state)
{
	static const char document_text[] = "{\"a\":{\"b\":[1,2,3],\"c\":{}},\"d\":[]}";
	json_t *patch = value("[{\"op\":\"remove\",\"path\":\"/a/c\"},"
			      "{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/d/0\"},"
			      "{\"op\":\"add\",\"path\":\"/d/0/b/1\",\"value\":{\"x\":[1]}},"
			      "{\"op\":\"copy\",\"from\":\"/d\",\"path\":\"/e\"}]");
	int r = -ENOMEM;

	(void)state;
	for (long n = 0; r != 0; n++) {
		CLEANUP(edit_log_done) struct edit_log log = { 0 };
		json_t *document = value(document_text);

		json_set_alloc_funcs(failing_malloc, free);
		allowed = n;
		r = patch_apply(&document, patch, &log, NULL);
		assert_true(r == 0 || r == -ENOMEM);
		while (edit_log_undo(&log, &document, 0) < 0)
			allowed++; /* memory comes back bit by bit, and the undoing goes on */
		allowed = -1;
		json_set_alloc_funcs(malloc, free);
		assert_value(document, document_text);
		json_decref(document);
		assert_true(n < 1000);
	}
	json_decref(patch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(patches_apply_and_undo),
		cmocka_unit_test(a_fault_names_the_operation),
		cmocka_unit_test(differences_are_small),
		cmocka_unit_test(a_difference_turns_one_document_into_the_other),
		cmocka_unit_test(want_of_memory_loses_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
