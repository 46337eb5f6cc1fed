#include "store/scope.h"

#include "base/cleanup.h"
#include "base/test.h"

static const struct {
	const char *name;
	const char *operation;
	const char *pointer;
	const char *seen; /* NULL: nothing */
} cases[] = {
	{ "the root sees all", "{\"op\":\"add\",\"path\":\"/a\",\"value\":1}", "",
	  "{\"op\":\"add\",\"path\":\"/a\",\"value\":1}" },
	{ "below", "{\"op\":\"replace\",\"path\":\"/a/b/c\",\"value\":1}", "/a",
	  "{\"op\":\"replace\",\"path\":\"/b/c\",\"value\":1}" },
	{ "removed below", "{\"op\":\"remove\",\"path\":\"/a/b\"}", "/a",
	  "{\"op\":\"remove\",\"path\":\"/b\"}" },
	{ "at the place", "{\"op\":\"add\",\"path\":\"/a\",\"value\":{\"x\":1}}", "/a",
	  "{\"op\":\"add\",\"path\":\"\",\"value\":{\"x\":1}}" },
	{ "removed at the place", "{\"op\":\"remove\",\"path\":\"/a\"}", "/a",
	  "{\"op\":\"replace\",\"path\":\"\",\"value\":null}" },
	{ "put above", "{\"op\":\"replace\",\"path\":\"\",\"value\":{\"a\":{\"b\":[7]}}}", "/a/b",
	  "{\"op\":\"replace\",\"path\":\"\",\"value\":[7]}" },
	{ "put above without the place", "{\"op\":\"add\",\"path\":\"/a\",\"value\":{}}", "/a/b/c",
	  "{\"op\":\"add\",\"path\":\"\",\"value\":null}" },
	{ "removed above", "{\"op\":\"remove\",\"path\":\"/a\"}", "/a/b",
	  "{\"op\":\"replace\",\"path\":\"\",\"value\":null}" },
	{ "beside", "{\"op\":\"add\",\"path\":\"/b\",\"value\":1}", "/a", NULL },
	{ "a name that begins alike", "{\"op\":\"add\",\"path\":\"/ab\",\"value\":1}", "/a", NULL },
	{ "the other way round", "{\"op\":\"remove\",\"path\":\"/a\"}", "/ab", NULL },
	{ "an escaped slash", "{\"op\":\"add\",\"path\":\"/a~1b\",\"value\":1}", "/a", NULL },
};

static void each_case_of_the_specification(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		json_t *operation = json_loads(cases[i].operation, 0, NULL);
		json_t *expected = json_array();
		json_t *patch = json_pack("[o]", operation);
		json_t *scoped = NULL;

		if (cases[i].seen)
			(void)json_array_append_new(expected, json_loads(cases[i].seen, 0, NULL));
		assert_int_equal(scope_patch(patch, cases[i].pointer, &scoped), 0);
		if (!json_equal(scoped, expected))
			fail_msg("%s: %s", cases[i].name, json_dumps(scoped, 0));
		json_decref(scoped);
		json_decref(expected);
		json_decref(patch);
	}
}

static void order_is_kept_and_the_rest_dropped(void **state)
{
	json_t *patch = json_loads("[{\"op\":\"add\",\"path\":\"/a/1\",\"value\":1},"
				   "{\"op\":\"add\",\"path\":\"/b\",\"value\":2},"
				   "{\"op\":\"remove\",\"path\":\"/a/1\"}]",
				   0, NULL);
	json_t *expected = json_loads("[{\"op\":\"add\",\"path\":\"/1\",\"value\":1},"
				      "{\"op\":\"remove\",\"path\":\"/1\"}]",
				      0, NULL);
	json_t *scoped = NULL;

	(void)state;
	assert_int_equal(scope_patch(patch, "/a", &scoped), 0);
	assert_true(json_equal(scoped, expected));
	json_decref(scoped);
	json_decref(expected);
	json_decref(patch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_case_of_the_specification),
		cmocka_unit_test(order_is_kept_and_the_rest_dropped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
