/*
 * Want of memory at every single allocation
 *
 * Each scenario runs again and again, and each time one allocation more succeeds before all fail.
 * Whatever it meets, the document is the one before or the one after, in memory as on the disk.
 */
#include <sqlite3.h>
#include <string.h>

#include "test_place.h"

/* Allocations that still succeed; negative: all do. Those of jansson and SQLite are counted. */
static long allowed = -1;

static bool refused(void)
{
	if (allowed == 0)
		return true;
	allowed -= allowed > 0;
	return false;
}

static void *json_malloc(size_t size)
{
	return refused() ? NULL : malloc(size);
}

static sqlite3_mem_methods usual;

static void *sqlite_malloc(int size)
{
	return refused() ? NULL : usual.xMalloc(size);
}

static void *sqlite_realloc(void *memory, int size)
{
	return refused() ? NULL : usual.xRealloc(memory, size);
}

static const char before_text[] = "{\"a\": {\"b\": [1, 2], \"c\": {\"x\": 1}}, \"d\": \"text\"}";
static const char after_text[] = "{\"a\": {\"b\": [2, {\"y\": 2}]}, \"d\": {\"z\": []}}";

static int edit(struct store *store)
{
	struct store_txn *txn;
	int r;

	r = store_begin(store, &txn);
	if (r < 0)
		return r;
	r = store_remove(txn, "/a/c");
	if (r == 0)
		r = store_remove(txn, "/a/b/0");
	if (r == 0)
		r = store_put(txn, "/a/b/-", json_pack("{s:i}", "y", 2));
	if (r == 0)
		r = store_put(txn, "/d", json_pack("{s:[]}", "z"));
	if (r < 0) {
		store_abort(txn);
		return r;
	}
	return store_commit_now(txn);
}

static int edit_whole(struct store *store)
{
	struct store_txn *txn;
	json_t *document = json_loads(after_text, 0, NULL);
	int r;

	r = store_begin(store, &txn);
	if (r < 0) {
		json_decref(document);
		return r;
	}
	r = store_put_document(txn, document);
	if (r < 0) {
		store_abort(txn);
		return r;
	}
	return store_commit_now(txn);
}

static void assert_document(const struct store *store, const char *text)
{
	json_t *expected = value(text);

	assert_true(json_equal(store_document(store), expected));
	json_decref(expected);
}

/* Memory is back: a store that could not undo to the end does so with the next transaction. */
static void settle(struct store *store)
{
	store_abort(begin(store));
	assert_false(store_busy(store));
}

static void run_edits(const struct place *place, int (*run)(struct store *store))
{
	int r = -ENOMEM;

	for (long n = 0; r != 0; n++) {
		struct store *store;

		remove_files(place);
		store = open_store(place);
		put_now(store, "", before_text);
		allowed = n;
		r = run(store);
		allowed = -1;
		settle(store);
		assert_true(r == 0 || r == -ENOMEM);
		assert_document(store, r == 0 ? after_text : before_text);
		assert_int_equal(store_revision(store), r == 0 ? 2 : 1);
		put_now(store, "/last", "1"); /* it goes on */
		store = store_close(store);
		store = open_store(place);
		assert_int_equal(store_revision(store), r == 0 ? 3 : 2);
		store = store_close(store);
		assert_true(n < 2000);
	}
}

static void edits_happen_or_do_not(void **state)
{
	run_edits(*state, edit);
}

static void whole_documents_are_put_or_are_not(void **state)
{
	run_edits(*state, edit_whole);
}

static void opening_fails_or_gives_the_document(void **state)
{
	const struct place *place = *state;
	struct store *store = open_store(place);
	int r = -ENOMEM;

	put_now(store, "", before_text);
	put_now(store, "/d", "[1]");
	put_now(store, "/d", "\"text\"");
	store = store_close(store);
	for (long n = 0; r != 0; n++) {
		CLEANUP(fault_done) struct fault fault = { 0 };

		allowed = n;
		r = store_open(place->path, &store, &fault);
		allowed = -1;
		if (r < 0) {
			assert_null(store);
			assert_true(fault_is_set(&fault));
			/* jansson takes a string without memory for a wrong one. */
			assert_true(r == -ENOMEM || r == -EBADMSG);
			continue;
		}
		assert_document(store, before_text);
		assert_int_equal(store_revision(store), 3);
		store = store_close(store);
		assert_true(n < 20000);
	}
}

int main(void)
{
	struct CMUnitTest tests[] = {
		cmocka_unit_test(edits_happen_or_do_not),
		cmocka_unit_test(whole_documents_are_put_or_are_not),
		cmocka_unit_test(opening_fails_or_gives_the_document),
	};
	sqlite3_mem_methods failing;

	(void)sqlite3_config(SQLITE_CONFIG_GETMALLOC, &usual);
	failing = usual;
	failing.xMalloc = sqlite_malloc;
	failing.xRealloc = sqlite_realloc;
	(void)sqlite3_config(SQLITE_CONFIG_MALLOC, &failing);
	json_set_alloc_funcs(json_malloc, free);
	return RUN_IN_PLACES(tests);
}
