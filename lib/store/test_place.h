/* A directory of a test's own with the path of a database in it. For *_test.c only. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/test.h"
#include "store/store.h"

struct place {
	char directory[64];
	char path[96];
};

static inline int make_place(void **state)
{
	struct place *place = calloc(1, sizeof(*place));

	assert_non_null(place);
	/* Kept in memory where that is possible: what is tested is the order of things, not the disk. */
	(void)snprintf(place->directory, sizeof(place->directory), "%s/store_test.XXXXXX",
		       access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	assert_non_null(mkdtemp(place->directory));
	(void)snprintf(place->path, sizeof(place->path), "%s/tunnel.db", place->directory);
	*state = place;
	return 0;
}

static inline void remove_files(const struct place *place)
{
	static const char *const suffixes[] = { "", "-wal", "-journal", ".lock" };

	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		char path[128];

		(void)snprintf(path, sizeof(path), "%s%s", place->path, suffixes[i]);
		(void)unlink(path);
	}
}

static inline int remove_place(void **state)
{
	struct place *place = *state;

	remove_files(place);
	assert_int_equal(rmdir(place->directory), 0); /* and nothing else was left there */
	free(place);
	return 0;
}

static inline struct store *open_store(const struct place *place)
{
	CLEANUP(fault_done) struct fault fault = { 0 };
	struct store *store = NULL;

	if (store_open(place->path, &store, &fault) < 0)
		fail_msg("%s", fault.details);
	return store;
}

/* A value from its JSON text. */
static inline json_t *value(const char *text)
{
	json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);

	assert_non_null(json);
	return json;
}

static inline struct store_txn *begin(struct store *store)
{
	struct store_txn *txn = NULL;

	assert_int_equal(store_begin(store, &txn), 0);
	return txn;
}

/* One transaction that puts @text at @pointer. */
static inline void put_now(struct store *store, const char *pointer, const char *text)
{
	struct store_txn *txn = begin(store);

	assert_int_equal(store_put(txn, pointer, value(text)), 0);
	assert_int_equal(store_commit_now(txn), 0);
}

/* Runs tests each in a place of its own. */
#define RUN_IN_PLACES(tests)                                                                       \
	({                                                                                         \
		for (size_t i_ = 0; i_ < ARRAY_SIZE(tests); i_++) {                                \
			(tests)[i_].setup_func = make_place;                                       \
			(tests)[i_].teardown_func = remove_place;                                  \
		}                                                                                  \
		cmocka_run_group_tests(tests, NULL, NULL);                                         \
	})
