/*
 * Snapshots of the document in the database file
 *
 * A snapshot is made of the one before it and the patches since, read from the file as a start would: the
 * document in memory changes with each revision, and nobody has to stop for its sake. It is written in
 * small transactions, between which revisions are appended. None of them has to be synced, as each counts
 * only once those before it do. The snapshot counts from the transaction that names its revision in the
 * table `snapshot`; what it makes superfluous is removed after that, little by little too. What a crash
 * leaves of an unfinished one is removed by the next.
 */
#include "codec/json_text.h"
#include "store/disk_internal.h"

#define PART_SIZE ((size_t)64 << 10)

/* Parts of other snapshots than the one that counts, one at a time. */
static const char forget_part[] = "DELETE FROM part WHERE id IN (SELECT id FROM part"
				  " WHERE revision IS NOT (SELECT revision FROM snapshot) LIMIT 1)";
/* Patches that it holds, a page or a few of them at a time. */
static const char forget_patches[] =
	"DELETE FROM revision WHERE revision <= min((SELECT revision FROM snapshot),"
	" (SELECT min(revision) FROM revision) + 127)";

/* Reading. */

struct part_reader {
	sqlite3_stmt *parts;
	const char *bytes; /* of the part in hand */
	size_t left;
	bool ended;
	int error;
};

static void next_part(struct part_reader *reader)
{
	int r = sqlite3_step(reader->parts);

	reader->left = 0;
	if (r == SQLITE_ROW) {
		reader->bytes = sqlite3_column_blob(reader->parts, 0);
		reader->left = (size_t)sqlite3_column_bytes(reader->parts, 0);
		reader->error = reader->left > 0 && !reader->bytes ? -ENOMEM : 0;
	} else {
		reader->ended = true;
		reader->error = disk_errno(r);
	}
}

/* Callback of json_load_callback(). */
static size_t read_parts(void *buffer, size_t size, void *context)
{
	struct part_reader *reader = context;
	size_t part;

	if (reader->left == 0 && !reader->ended)
		next_part(reader);
	if (reader->error < 0)
		return (size_t)-1;
	part = reader->left < size ? reader->left : size;
	memcpy(buffer, reader->bytes, part);
	reader->bytes += part;
	reader->left -= part;
	return part;
}

int snapshot_load(sqlite3 *db, json_t **ret_document, uint64_t *ret_revision)
{
	CLEANUP(disk_finalize) sqlite3_stmt *parts = NULL;
	struct part_reader reader = { 0 };
	int64_t revision = -1;
	json_error_t error;
	json_t *document;
	int r;

	r = disk_query_integer(db, "SELECT revision FROM snapshot", &revision);
	if (r < 0)
		return r;
	if (revision < 0) {
		*ret_document = json_null();
		*ret_revision = 0;
		return 0;
	}
	r = sqlite3_prepare_v2(db, "SELECT text FROM part WHERE revision = ? ORDER BY id", -1,
			       &parts, NULL);
	if (r == SQLITE_OK)
		r = sqlite3_bind_int64(parts, 1, revision);
	if (r != SQLITE_OK)
		return disk_errno(r);
	reader.parts = parts;
	document = json_load_callback(read_parts, &reader, JSON_DECODE_ANY, &error);
	if (!document)
		return reader.error < 0 ? reader.error : disk_parse_error(&error);
	*ret_document = document;
	*ret_revision = (uint64_t)revision;
	return 0;
}

/* Writing. */

/* Runs a statement that deletes a little, until nothing is left of that. */
static int forget(struct upkeep *upkeep, sqlite3 *db, const char *sql)
{
	int changes = 1, r = 0;

	while (r == 0 && changes > 0) {
		upkeep_await_turn(upkeep);
		r = disk_errno(sqlite3_exec(db, sql, NULL, NULL, NULL));
		changes = sqlite3_changes(db);
		upkeep_end_turn(upkeep);
	}
	return r;
}

static int run_bound(struct upkeep *upkeep, sqlite3 *db, const char *sql, uint64_t revision,
		     const char *bytes, size_t size)
{
	CLEANUP(disk_finalize) sqlite3_stmt *statement = NULL;
	int r = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);

	if (r == SQLITE_OK)
		r = sqlite3_bind_int64(statement, 1, (int64_t)revision);
	if (r == SQLITE_OK && bytes)
		r = sqlite3_bind_blob64(statement, 2, bytes, size, SQLITE_STATIC);
	if (r != SQLITE_OK)
		return disk_errno(r);
	upkeep_await_turn(upkeep);
	r = sqlite3_step(statement);
	(void)sqlite3_reset(statement);
	upkeep_end_turn(upkeep);
	return disk_errno(r);
}

static int write_parts(struct upkeep *upkeep, sqlite3 *db, uint64_t revision,
		       const struct text *text)
{
	int r = 0;

	for (size_t offset = 0; r == 0 && offset < text->size; offset += PART_SIZE) {
		size_t left = text->size - offset;

		r = run_bound(upkeep, db, "INSERT INTO part (revision, text) VALUES (?, ?)",
			      revision, text->data + offset, left < PART_SIZE ? left : PART_SIZE);
	}
	return r;
}

/* The text of the present document. What is appended meanwhile is not seen. */
static int read_text(sqlite3 *db, struct text *text, uint64_t *ret_revision)
{
	json_t *document = NULL;
	uint64_t snapshot;
	int r;

	r = disk_errno(sqlite3_exec(db, "BEGIN", NULL, NULL, NULL));
	if (r < 0)
		return r;
	r = disk_read(db, &document, ret_revision, &snapshot, NULL);
	(void)sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
	if (r < 0)
		return r;
	json_text_append(text, document);
	json_decref(document);
	return text_error(text);
}

int snapshot_renew(struct upkeep *upkeep, sqlite3 *db, uint64_t *ret)
{
	CLEANUP(text_done_secret) struct text text = { 0 };
	int r;

	r = disk_errno(sqlite3_exec(db, "PRAGMA synchronous = NORMAL", NULL, NULL, NULL));
	if (r == 0)
		r = read_text(db, &text, ret);
	if (r == 0)
		r = forget(upkeep, db, forget_part);
	if (r == 0)
		r = write_parts(upkeep, db, *ret, &text);
	if (r == 0)
		r = run_bound(upkeep, db, "INSERT OR REPLACE INTO snapshot VALUES (1, ?)", *ret,
			      NULL, 0);
	/* What could not be removed is removed by the next one. */
	(void)forget(upkeep, db, forget_part);
	if (r == 0)
		(void)forget(upkeep, db, forget_patches);
	return r;
}
