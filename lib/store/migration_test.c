#include <string.h>

#include "test_place.h"

static unsigned runs;

static int rename_port(json_t *document, struct fault *fault)
{
	(void)fault;
	runs++;
	(void)json_object_set(document, "listenPort", json_object_get(document, "port"));
	return json_object_del(document, "port");
}

static int double_port(json_t *document, struct fault *fault)
{
	(void)fault;
	runs++;
	return json_object_set_new(
		document, "listenPort",
		json_integer(2 * json_integer_value(json_object_get(document, "listenPort"))));
}

static int refuse(json_t *document, struct fault *fault)
{
	(void)json_object_clear(document);
	return fault_set(fault, FAULT_DATABASE, "the port is no number");
}

static const struct store_migration both[] = {
	{ "RenamePort", rename_port },
	{ "DoublePort", double_port },
	{ NULL, NULL },
};

static void assert_document(const struct store *store, const char *text)
{
	json_t *expected = value(text);

	assert_true(json_equal(store_document(store), expected));
	json_decref(expected);
}

static void each_runs_once_and_in_order(void **state)
{
	static const char after[] =
		"{\"listenPort\": 14, \"migrations\": [\"RenamePort\", \"DoublePort\"]}";
	struct store *store = open_store(*state);

	put_now(store, "", "{\"port\": 7}");
	runs = 0;
	assert_int_equal(store_migrate(store, both, NULL), 0);
	assert_int_equal(runs, 2);
	assert_document(store, after);
	assert_int_equal(store_revision(store), 2);
	assert_int_equal(store_migrate(store, both, NULL), 0);
	assert_int_equal(runs, 2);
	store = store_close(store);
	store = open_store(*state);
	assert_document(store, after);
	store = store_close(store);
}

static void recorded_ones_do_not_run(void **state)
{
	CLEANUP(store_close) struct store *store = open_store(*state);

	put_now(store, "", "{\"listenPort\": 7, \"migrations\": [\"Older\", \"RenamePort\"]}");
	assert_int_equal(store_migrate(store, both, NULL), 0);
	assert_document(store, "{\"listenPort\": 14, \"migrations\": [\"Older\", \"RenamePort\","
			       "\"DoublePort\"]}");
}

static void a_new_database_has_nothing_to_migrate(void **state)
{
	CLEANUP(store_close) struct store *store = open_store(*state);

	assert_int_equal(store_migrate(store, both, NULL), 0);
	assert_document(store, "null");
}

static void one_that_fails_changes_nothing(void **state)
{
	static const struct store_migration fails[] = {
		{ "RenamePort", rename_port },
		{ "Refuse", refuse },
		{ NULL, NULL },
	};
	CLEANUP(store_close) struct store *store = open_store(*state);
	CLEANUP(fault_done) struct fault fault = { 0 };

	put_now(store, "", "{\"port\": 7}");
	assert_true(store_migrate(store, fails, &fault) < 0);
	assert_string_equal(fault.details, "migration Refuse: the port is no number");
	assert_document(store, "{\"port\": 7}");
	assert_int_equal(store_revision(store), 1);
	assert_false(store_busy(store));
}

static void a_document_of_another_form_is_refused(void **state)
{
	CLEANUP(store_close) struct store *store = open_store(*state);
	CLEANUP(fault_done) struct fault fault = { 0 };

	put_now(store, "", "{\"migrations\": 7}");
	assert_int_equal(store_migrate(store, both, &fault), -EBADMSG);
	assert_int_equal(fault.kind, FAULT_DATABASE);
	put_now(store, "", "[]");
	assert_int_equal(store_migrate(store, both, NULL), -EBADMSG);
}

int main(void)
{
	struct CMUnitTest tests[] = {
		cmocka_unit_test(each_runs_once_and_in_order),
		cmocka_unit_test(recorded_ones_do_not_run),
		cmocka_unit_test(a_new_database_has_nothing_to_migrate),
		cmocka_unit_test(one_that_fails_changes_nothing),
		cmocka_unit_test(a_document_of_another_form_is_refused),
	};

	return RUN_IN_PLACES(tests);
}
