/*
 * The document, durable and watched
 *
 * One JSON document with a revision number, kept in memory and in a SQLite database (WAL, full
 * synchronisation). It changes by transactions: operations take effect on the tree in memory at
 * once, and either all of them become one durable revision, or all are undone. One process owns the
 * file; a second one gets a fault that says so. Patches follow RFC 6902 with the deviations of
 * rpc-and-patchdb.md 4.3; pointers RFC 6901.
 *
 * Owned by one event loop. The cost of a transaction does not grow with the document: a row with
 * the patch is appended. Each STORE_SNAPSHOT_EVERY revisions a thread of its own makes a snapshot of
 * what is on the disk, beside the revisions that follow; for that it holds the document once more.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/fault.h"

#define STORE_SNAPSHOT_EVERY 4096
#define STORE_DOCUMENT_MAX (64U << 20) /* bytes of JSON text */
#define STORE_DEPTH_MAX 32

struct store;
struct store_txn;
struct store_subscription;

/*
 * Opens the database at @path, made with mode 0600 where missing; a new one holds null at revision
 * 0. Recovers from a crash at any moment. Returns 0, or a negative errno with a fault: -EBUSY where
 * another process owns it.
 */
int store_open(const char *path, struct store **ret, struct fault *fault);

/* Closes; there must be no open transaction. NULL is fine. Returns NULL. */
struct store *store_close(struct store *store);
DEFINE_CLEANUP(struct store *, store_close);

uint64_t store_revision(const struct store *store);

/* The document, with what an open transaction did to it. Borrowed; never modified by callers. */
const json_t *store_document(const struct store *store);

/* The value at a pointer, borrowed; NULL where there is none or the pointer is malformed. */
const json_t *store_get(const struct store *store, const char *pointer);

/*
 * Whether a transaction is open or on its way to the disk: what store_document() gives may then
 * still be undone and does not belong to store_revision() yet. Dumps and subscriptions wait until
 * it is not.
 */
bool store_busy(const struct store *store);

/* Begins a transaction. Returns 0, -EBUSY (one is open), -ENOMEM. */
int store_begin(struct store *store, struct store_txn **ret);

/* Operations; each changes the tree at once. @value is taken, also on failure. Return 0, -ENOENT
 * (no such parent or target), -EINVAL (pointer), -E2BIG (STORE_DEPTH_MAX, STORE_DOCUMENT_MAX),
 * -ENOMEM. */
int store_put(struct store_txn *txn, const char *pointer, json_t *value); /* adds or replaces */
int store_remove(struct store_txn *txn, const char *pointer);

/* Makes @document the whole document, by the operations that turn the present one into it. */
int store_put_document(struct store_txn *txn, json_t *document);

/*
 * What the transaction did so far, in order: the pointer, the value before (NULL: none) and after
 * (NULL: removed). Borrowed until the transaction ends.
 */
struct store_change {
	const char *pointer;
	const json_t *before;
	const json_t *after;
};
const struct store_change *store_changes(const struct store_txn *txn, size_t *ret_count);

/* Undoes everything; the transaction is gone. */
void store_abort(struct store_txn *txn);

/*
 * Makes the transaction one durable revision; disk work is done on a worker thread of @loop, and
 * @done is called on the loop with 0 and the revision, after subscribers were told, or with a
 * negative errno, after everything was undone. Without changes there is no new revision. The
 * transaction is gone either way; until then no other can begin. Returns 0 or -ENOMEM (and @done is
 * not called, the transaction is undone).
 */
int store_commit(struct store_txn *txn, uv_loop_t *loop,
		 void (*done)(void *context, int result, uint64_t revision), void *context);

/* The same at once, for programs without a loop. */
int store_commit_now(struct store_txn *txn);

/*
 * Tells of each revision that touches what @pointer points to: @patch is an array of operations
 * with paths relative to it (rpc-and-patchdb.md 4.3, scoping), borrowed during the call; NULL where
 * memory ran out, so that the subscriber has to look at the value anew. Subscriptions may begin and
 * end during the call. @pointer is copied, and leads into no array: elements move when others come or
 * go, which says nothing about the one at a place. Returns 0, -EINVAL (pointer), -ENOMEM.
 */
int store_subscribe(struct store *store, const char *pointer,
		    void (*changed)(void *context, uint64_t revision, const json_t *patch),
		    void *context, struct store_subscription **ret);
struct store_subscription *store_unsubscribe(struct store_subscription *subscription);

/* A change of the document's form between releases; recorded by name in the array at /migrations. */
struct store_migration {
	const char *name;
	int (*run)(json_t *document, struct fault *fault); /* changes @document in place */
};

/*
 * Runs those that are not recorded yet, in order, in one transaction that is committed at once.
 * @migrations ends with a NULL name. A document that is null has nothing to migrate: who makes the
 * first one records all names in it. Returns 0, or a negative errno with a fault, and then nothing
 * changed.
 */
int store_migrate(struct store *store, const struct store_migration *migrations,
		  struct fault *fault);
