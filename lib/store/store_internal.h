/* What the parts of the store share. */
#pragma once

#include "base/list.h"
#include "base/text.h"
#include "codec/edit.h"
#include "store/disk.h"
#include "store/store.h"

struct store_txn {
	struct store *store;
	struct edit_log log;
	struct store_change *changes; /* one for each edit of the log */
	size_t capacity; /* of changes */
	size_t size_before; /* of the document, for the undoing */
	bool whole; /* a whole document was put */
	bool broken; /* an operation was left half done, for want of memory: it can only be undone */

	/* While it is on its way to the disk: */
	uv_work_t work;
	json_t *patch;
	struct text patch_text;
	int result; /* of the disk */
	void (*done)(void *context, int result, uint64_t revision);
	void *context;
};

struct store {
	struct disk *disk;
	json_t *document;
	uint64_t revision;
	size_t size; /* of the document's JSON text */
	struct store_txn *txn; /* NULL: none is open */
	struct store_txn *undoing; /* could not be undone to the end yet, for want of memory */
	struct list subscriptions;
	bool telling; /* subscribers are being told: the list keeps its nodes */
};

/* Tells the subscribers of the revision that was just made. */
void store_tell(struct store *store, const json_t *patch);
