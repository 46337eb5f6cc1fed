#include <string.h>

#include "test_place.h"

struct watcher {
	struct store *store;
	unsigned calls;
	uint64_t revision;
	char *patch;
	struct store_subscription *other; /* ended by the first call */
	struct watcher *new; /* begun by the first call */
	struct store_subscription *own;
};

static void on_change(void *context, uint64_t revision, const json_t *patch)
{
	struct watcher *watcher = context;

	assert_non_null(patch);
	assert_int_equal(revision, store_revision(watcher->store));
	watcher->calls++;
	watcher->revision = revision;
	free(watcher->patch);
	watcher->patch = json_dumps(patch, JSON_COMPACT);
	if (watcher->other)
		watcher->other = store_unsubscribe(watcher->other);
	if (watcher->new)
		assert_int_equal(store_subscribe(watcher->store, "", on_change, watcher->new,
						 &watcher->new->own),
				 0);
	watcher->new = NULL;
}

static void watch(struct watcher *watcher, struct store *store, const char *pointer)
{
	watcher->store = store;
	assert_int_equal(store_subscribe(store, pointer, on_change, watcher, &watcher->own), 0);
}

static void unwatch(struct watcher *watcher)
{
	watcher->own = store_unsubscribe(watcher->own);
	free(watcher->patch);
}

static void each_is_told_what_concerns_it(void **state)
{
	CLEANUP(store_close) struct store *store = open_store(*state);
	struct watcher all = { 0 };
	struct watcher part = { 0 };
	struct store_txn *txn;

	put_now(store, "", "{\"a\": {}, \"b\": 1}");
	watch(&all, store, "");
	watch(&part, store, "/a/x~1y");
	put_now(store, "/b", "2");
	assert_int_equal(all.calls, 1);
	assert_string_equal(all.patch, "[{\"op\":\"replace\",\"path\":\"/b\",\"value\":2}]");
	assert_int_equal(part.calls, 0);
	put_now(store, "/a/x~1y", "{\"deep\": [1]}");
	assert_string_equal(all.patch,
			    "[{\"op\":\"add\",\"path\":\"/a/x~1y\",\"value\":{\"deep\":[1]}}]");
	assert_string_equal(part.patch,
			    "[{\"op\":\"add\",\"path\":\"\",\"value\":{\"deep\":[1]}}]");
	assert_int_equal(part.revision, 3);

	txn = begin(store);
	assert_int_equal(store_put(txn, "/a/x~1y/deep/-", value("2")), 0);
	assert_int_equal(store_remove(txn, "/a/x~1y/deep/0"), 0);
	assert_int_equal(part.calls, 1); /* not before it is durable */
	assert_int_equal(store_commit_now(txn), 0);
	assert_string_equal(part.patch, "[{\"op\":\"add\",\"path\":\"/deep/1\",\"value\":2},"
					"{\"op\":\"remove\",\"path\":\"/deep/0\"}]");

	txn = begin(store);
	assert_int_equal(store_remove(txn, "/a"), 0);
	store_abort(txn);
	put_now(store, "/b", "2");
	assert_int_equal(all.calls, 3); /* nothing happened */
	put_now(store, "", "null");
	assert_string_equal(part.patch, "[{\"op\":\"replace\",\"path\":\"\",\"value\":null}]");
	unwatch(&all);
	unwatch(&part);
}

static void subscriptions_come_and_go_during_a_call(void **state)
{
	CLEANUP(store_close) struct store *store = open_store(*state);
	struct watcher first = { 0 };
	struct watcher second = { 0 };
	struct watcher third = { .store = store };

	watch(&first, store, "");
	watch(&second, store, "");
	first.other = second.own;
	first.new = &third;
	put_now(store, "", "1");
	assert_int_equal(first.calls, 1);
	assert_int_equal(second.calls, 0);
	assert_int_equal(third.calls, 0); /* it sees the document as it is now */
	put_now(store, "", "2");
	assert_int_equal(first.calls, 2);
	assert_int_equal(second.calls, 0);
	assert_int_equal(third.calls, 1);
	unwatch(&first);
	unwatch(&third);
}

static void a_malformed_pointer_is_refused(void **state)
{
	CLEANUP(store_close) struct store *store = open_store(*state);
	struct store_subscription *subscription = NULL;

	assert_int_equal(store_subscribe(store, "a", on_change, NULL, &subscription), -EINVAL);
	assert_null(subscription);
	assert_null(store_unsubscribe(NULL));
}

int main(void)
{
	struct CMUnitTest tests[] = {
		cmocka_unit_test(each_is_told_what_concerns_it),
		cmocka_unit_test(subscriptions_come_and_go_during_a_call),
		cmocka_unit_test(a_malformed_pointer_is_refused),
	};

	return RUN_IN_PLACES(tests);
}
