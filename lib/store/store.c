/*
 * Transactions on the document in memory
 *
 * The tree is changed in place and each change noted with what it takes to undo it, so that a
 * transaction costs what it changes. The tree owns its objects and arrays alone: values are copied on
 * their way in, and the log of changes keeps a copy of its own, which no later change reaches.
 */
#include "store_internal.h"

#include <assert.h>
#include <malloc.h>

#include "base/text.h"
#include "codec/diff.h"
#include "codec/json_text.h"
#include "codec/patch.h"
#include "codec/pointer.h"

#define TRIM_SIZE (256U << 10) /* bytes of a patch */
#define TRIM_CHANGES 1024

/* A large transaction leaves much free memory amid what stays, which the C library would keep. */
static struct store_txn *txn_free(struct store_txn *txn)
{
	bool large;

	if (!txn)
		return NULL;
	large = txn->whole || txn->patch_text.size > TRIM_SIZE || txn->capacity > TRIM_CHANGES;
	for (size_t i = 0; i < txn->log.count; i++)
		json_decref((json_t *)txn->changes[i].after);
	free(txn->changes);
	edit_log_done(&txn->log);
	json_decref(txn->patch);
	text_done_secret(&txn->patch_text);
	free(txn);
	if (large)
		(void)malloc_trim(0);
	return NULL;
}

/* Bytes of a value as JSON text; 0 where memory ran out. */
static size_t json_size(const json_t *value)
{
	return json_dumpb(value, NULL, 0, JSON_COMPACT | JSON_ENCODE_ANY);
}

/*
 * Builds a document anew from its text. Patches that were read to make it leave it scattered among
 * memory that is free again, in pages that the C library cannot give back; even a copy would go into
 * the gaps.
 */
static int rebuild(json_t **document, size_t *ret_size)
{
	CLEANUP(text_done_secret) struct text text = { 0 };

	json_text_append(&text, *document);
	if (text_error(&text) < 0)
		return text_error(&text);
	*ret_size = text.size;
	json_decref(*document);
	(void)malloc_trim(0);
	*document = json_loadb(text.data, text.size, JSON_DECODE_ANY, NULL);
	return *document ? 0 : -ENOMEM;
}

int store_open(const char *path, struct store **ret, struct fault *fault)
{
	CLEANUP(store_close) struct store *store = calloc(1, sizeof(*store));
	int r;

	if (!store)
		return fault_set_errno(fault, -ENOMEM, FAULT_DATABASE, "cannot open %s", path);
	list_init(&store->subscriptions);
	r = disk_open(path, &store->disk, fault);
	if (r < 0)
		return r;
	r = disk_load(store->disk, &store->document, &store->revision, fault);
	if (r == 0)
		r = rebuild(&store->document, &store->size);
	if (r < 0) {
		fault_prefix(fault, "%s", path);
		return fault_set_errno(fault, r, FAULT_DATABASE, "%s", path);
	}
	*ret = TAKE_PTR(store);
	return 0;
}

struct store *store_close(struct store *store)
{
	if (!store)
		return NULL;
	assert(!store->txn);
	assert(list_empty(&store->subscriptions));
	store->undoing = txn_free(store->undoing);
	json_decref(store->document);
	store->disk = disk_close(store->disk);
	free(store);
	return NULL;
}

uint64_t store_revision(const struct store *store)
{
	return store->revision;
}

const json_t *store_document(const struct store *store)
{
	return store->document;
}

const json_t *store_get(const struct store *store, const char *pointer)
{
	return pointer_get(store->document, pointer);
}

bool store_busy(const struct store *store)
{
	return store->txn || store->undoing;
}

/*
 * Undoes the edits beyond the first @count. Putting a removed member back takes a few bytes of
 * memory; without them the rest is left for the next try, and until then no transaction begins.
 */
static int undo(struct store_txn *txn, size_t count)
{
	size_t all = txn->log.count;
	int r = edit_log_undo(&txn->log, &txn->store->document, count);

	for (size_t i = txn->log.count; i < all; i++)
		json_decref((json_t *)txn->changes[i].after);
	return r;
}

static void undo_all(struct store_txn *txn)
{
	struct store *store = txn->store;

	store->txn = NULL;
	store->undoing = NULL;
	if (undo(txn, 0) < 0) {
		store->undoing = txn;
		return;
	}
	store->size = txn->size_before;
	(void)txn_free(txn);
}

int store_begin(struct store *store, struct store_txn **ret)
{
	struct store_txn *txn;

	if (store->txn)
		return -EBUSY;
	if (store->undoing)
		undo_all(store->undoing);
	if (store->undoing)
		return -ENOMEM;
	txn = calloc(1, sizeof(*txn));
	if (!txn)
		return -ENOMEM;
	txn->store = store;
	txn->size_before = store->size;
	store->txn = txn;
	*ret = txn;
	return 0;
}

/* Makes room for a change beside the next edit of the log. */
static int reserve_change(struct store_txn *txn)
{
	size_t capacity = txn->capacity ? txn->capacity * 2 : 8;
	struct store_change *changes;

	if (txn->log.count < txn->capacity)
		return 0;
	changes = reallocarray(txn->changes, capacity, sizeof(*changes));
	if (!changes)
		return -ENOMEM;
	txn->changes = changes;
	txn->capacity = capacity;
	return 0;
}

/* Notes the last edit of the log; takes @after. */
static void note_change(struct store_txn *txn, json_t *after)
{
	size_t last = txn->log.count - 1;

	txn->changes[last] = (struct store_change){
		.pointer = txn->log.edits[last].pointer,
		.before = txn->log.edits[last].before,
		.after = after,
	};
}

static size_t pointer_depth(const char *pointer)
{
	size_t depth = 0;

	for (; *pointer; pointer++)
		depth += *pointer == '/';
	return depth;
}

/* Whether containers are nested within @value at most @max deep. */
static bool depth_within(const json_t *value, size_t max)
{
	const json_t *inner;
	const char *name;
	size_t i;

	if (!json_is_object(value) && !json_is_array(value))
		return true;
	if (max == 0)
		return false;
	json_array_foreach(value, i, inner)
		if (!depth_within(inner, max - 1))
			return false;
	json_object_foreach((json_t *)value, name, inner)
		if (!depth_within(inner, max - 1))
			return false;
	return true;
}

/*
 * Bytes that a value takes at a place beside its own: the name, the colon, the comma.
 * @present: whether the value is there already. Returns -EINVAL, -ENOENT, -ENOMEM.
 */
static ssize_t place_size(const struct store *store, const char *pointer, bool present)
{
	CLEANUP(text_done) struct text parent_pointer = { 0 };
	CLEANUP(text_done) struct text token = { 0 };
	const json_t *parent;
	json_t *name;
	size_t size;
	int r;

	if (!*pointer)
		return 0;
	r = pointer_split(pointer, &parent_pointer, &token);
	if (r < 0)
		return r;
	parent = pointer_get(store->document, text_string(&parent_pointer));
	if (json_is_array(parent))
		return json_array_size(parent) > present;
	if (!json_is_object(parent))
		return -ENOENT;
	name = json_string(text_string(&token));
	size = name ? json_size(name) : 0;
	json_decref(name);
	if (size == 0)
		return -ENOMEM;
	return (ssize_t)size + 1 + (json_object_size(parent) > present);
}

/* The size of the document once @value stands in the place of @before (NULL: there is nothing). */
static int size_after_put(const struct store *store, const char *pointer, const json_t *before,
			  const json_t *value, size_t *ret)
{
	ssize_t place = before ? 0 : place_size(store, pointer, false);
	size_t gone = before ? json_size(before) : 0;
	size_t size = json_size(value);

	if (place < 0)
		return (int)place;
	if (size == 0 || (before && gone == 0))
		return -ENOMEM;
	*ret = store->size - gone + size + (size_t)place;
	return *ret > STORE_DOCUMENT_MAX ? -E2BIG : 0;
}

static int size_after_remove(const struct store *store, const char *pointer, size_t *ret)
{
	const json_t *value = pointer_get(store->document, pointer);
	ssize_t place = place_size(store, pointer, true);
	size_t gone = value ? json_size(value) : 0;

	if (place < 0)
		return (int)place;
	if (!value)
		return -ENOENT;
	if (gone == 0)
		return -ENOMEM;
	*ret = store->size - gone - (size_t)place;
	return 0;
}

static int put(struct store_txn *txn, const char *pointer, const json_t *value, enum edit_mode mode)
{
	struct store *store = txn->store;
	const json_t *before = mode == EDIT_ADD ? NULL : pointer_get(store->document, pointer);
	size_t depth = pointer_depth(pointer);
	json_t *copy;
	size_t size = 0;
	int r;

	if (!pointer_valid(pointer))
		return -EINVAL;
	if (depth > STORE_DEPTH_MAX || !depth_within(value, STORE_DEPTH_MAX - depth))
		return -E2BIG;
	r = size_after_put(store, pointer, before, value, &size);
	if (r == 0)
		r = reserve_change(txn);
	if (r < 0)
		return r;
	copy = edit_copy(value);
	if (!copy)
		return -ENOMEM;
	r = edit_put(&txn->log, &store->document, pointer, copy, mode);
	if (r < 0)
		return r;
	store->size = size;
	return 0;
}

/* As store_put(); with EDIT_ADD, adds or inserts as RFC 6902 does. */
static int put_mode(struct store_txn *txn, const char *pointer, json_t *value, enum edit_mode mode)
{
	json_t *own;
	int r;

	if (!value)
		return -ENOMEM;
	/* The caller may have taken it from the document itself. */
	own = edit_copy(value);
	json_decref(value);
	if (!own)
		return -ENOMEM;
	r = put(txn, pointer, own, mode);
	if (r < 0)
		json_decref(own);
	else
		note_change(txn, own);
	return r;
}

int store_put(struct store_txn *txn, const char *pointer, json_t *value)
{
	const json_t *before = pointer_get(txn->store->document, pointer);

	if (before && value && json_equal(before, value)) {
		json_decref(value);
		return 0;
	}
	return put_mode(txn, pointer, value, EDIT_REPLACE);
}

int store_remove(struct store_txn *txn, const char *pointer)
{
	struct store *store = txn->store;
	size_t size = 0;
	int r;

	if (!*pointer)
		return -EINVAL; /* there is always a document */
	r = size_after_remove(store, pointer, &size);
	if (r == 0)
		r = reserve_change(txn);
	if (r == 0)
		r = edit_remove(&txn->log, &store->document, pointer);
	if (r < 0)
		return r;
	note_change(txn, NULL);
	store->size = size;
	return 0;
}

static int run_operation(struct store_txn *txn, const json_t *operation)
{
	const char *name = json_string_value(json_object_get(operation, "op"));
	const char *path = json_string_value(json_object_get(operation, "path"));
	json_t *value = json_object_get(operation, "value");

	if (strcmp(name, "remove") == 0)
		return store_remove(txn, path);
	return put_mode(txn, path, json_incref(value),
			strcmp(name, "add") == 0 ? EDIT_ADD : EDIT_REPLACE);
}

/* Runs a patch of json_diff(): all of it or nothing. */
static int run_patch(struct store_txn *txn, const json_t *patch)
{
	size_t count = txn->log.count;
	size_t size = txn->store->size;
	const json_t *operation;
	size_t i;

	json_array_foreach(patch, i, operation) {
		int r = run_operation(txn, operation);

		if (r < 0) {
			if (undo(txn, count) == 0)
				txn->store->size = size;
			else
				txn->broken = true;
			return r;
		}
	}
	return 0;
}

int store_put_document(struct store_txn *txn, json_t *document)
{
	json_t *patch = NULL;
	int r;

	if (!document)
		return -ENOMEM;
	txn->whole = true;
	r = json_diff(txn->store->document, document, &patch);
	json_decref(document);
	if (r == 0)
		r = run_patch(txn, patch);
	json_decref(patch);
	return r;
}

const struct store_change *store_changes(const struct store_txn *txn, size_t *ret_count)
{
	*ret_count = txn->log.count;
	return txn->changes;
}

void store_abort(struct store_txn *txn)
{
	undo_all(txn);
}

/* Callback of json_dump_callback(). */
static int append_text(const char *bytes, size_t size, void *context)
{
	text_append_bytes(context, bytes, size);
	return text_error(context) < 0 ? -1 : 0;
}

/* Makes the patch, as a value for the subscribers and as text for the disk. */
static int make_patch(struct store_txn *txn)
{
	if (txn->broken)
		return -ENOMEM;
	txn->patch = json_array();
	if (!txn->patch)
		return -ENOMEM;
	for (size_t i = 0; i < txn->log.count; i++) {
		const struct store_change *change = &txn->changes[i];
		json_t *operation =
			patch_operation(change->pointer, change->before, (json_t *)change->after);

		if (!operation || json_array_append_new(txn->patch, operation) < 0)
			return -ENOMEM;
	}
	if (json_dump_callback(txn->patch, append_text, &txn->patch_text, JSON_COMPACT) < 0)
		return -ENOMEM;
	return 0;
}

/* On any thread: the loop's leaves the document and the disk alone until the transaction is gone. */
static int write_txn(const struct store_txn *txn)
{
	const struct store *store = txn->store;

	if (txn->log.count == 0)
		return 0;
	return disk_append(store->disk, store->revision + 1, txn->patch_text.data,
			   txn->patch_text.size);
}

/* What the disk said becomes the state in memory; the transaction is gone. */
static int finish(struct store_txn *txn, int result)
{
	struct store *store = txn->store;

	if (result < 0) {
		undo_all(txn);
		return result;
	}
	store->txn = NULL;
	if (txn->log.count > 0) {
		store->revision++;
		store_tell(store, txn->patch);
	}
	(void)txn_free(txn);
	return 0;
}

/* Worker. */
static void on_work(uv_work_t *work)
{
	struct store_txn *txn = container_of(work, struct store_txn, work);

	txn->result = write_txn(txn);
}

/* Loop callback: the worker is through. */
static void on_worked(uv_work_t *work, int status)
{
	struct store_txn *txn = container_of(work, struct store_txn, work);
	struct store *store = txn->store;
	void (*done)(void *context, int result, uint64_t revision) = txn->done;
	void *context = txn->context;
	int r = finish(txn, status < 0 ? status : txn->result);

	done(context, r, store->revision);
}

int store_commit(struct store_txn *txn, uv_loop_t *loop,
		 void (*done)(void *context, int result, uint64_t revision), void *context)
{
	int r;

	r = make_patch(txn);
	if (r == 0) {
		txn->done = done;
		txn->context = context;
		r = uv_queue_work(loop, &txn->work, on_work, on_worked);
	}
	if (r < 0)
		undo_all(txn);
	return r;
}

int store_commit_now(struct store_txn *txn)
{
	int r = make_patch(txn);

	return finish(txn, r < 0 ? r : write_txn(txn));
}
