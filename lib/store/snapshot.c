/*
 * Snapshots of the document in the database file
 *
 * The text of the whole document is made at once, in memory, and written by a thread of its own in
 * small transactions, between which revisions are appended: none waits for longer than one part takes.
 * The snapshot counts from the transaction that names its revision in the table `snapshot`; what it
 * makes superfluous is removed after that, little by little too. What a crash leaves of an unfinished
 * one is removed by the next.
 */
#include "codec/json_text.h"
#include "store/disk_internal.h"

#define PART_SIZE ((size_t)64 << 10)
#define SNAPSHOT_RETRY 64 /* revisions, after one could not be written */

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

int snapshot_load(struct disk *disk, json_t **ret_document, uint64_t *ret_revision)
{
	CLEANUP(disk_finalize) sqlite3_stmt *parts = NULL;
	struct part_reader reader = { 0 };
	int64_t revision = -1;
	json_error_t error;
	json_t *document;
	int r;

	r = disk_query_integer(disk->db, "SELECT revision FROM snapshot", &revision);
	if (r < 0)
		return r;
	if (revision < 0) {
		*ret_document = json_null();
		*ret_revision = 0;
		return 0;
	}
	r = sqlite3_prepare_v2(disk->db, "SELECT text FROM part WHERE revision = ? ORDER BY id", -1,
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

/* Turns. */

void snapshot_hold(struct disk *disk)
{
	(void)atomic_fetch_add(&disk->urgent, 1);
	(void)pthread_mutex_lock(&disk->mutex);
}

void snapshot_go_on(struct disk *disk)
{
	if (atomic_fetch_sub(&disk->urgent, 1) == 1)
		(void)pthread_cond_signal(&disk->calm);
	(void)pthread_mutex_unlock(&disk->mutex);
}

/* The writer's turn comes when no revision waits: a mutex alone would let it in again and again. */
static void await_turn(struct disk *disk)
{
	(void)pthread_mutex_lock(&disk->mutex);
	while (atomic_load(&disk->urgent) > 0)
		(void)pthread_cond_wait(&disk->calm, &disk->mutex);
}

/* Writing. */

/* Runs a statement that deletes a little, until nothing is left of that. */
static int forget(struct disk *disk, const char *sql)
{
	int changes = 1, r = 0;

	while (r == 0 && changes > 0) {
		await_turn(disk);
		r = disk_errno(sqlite3_exec(disk->db, sql, NULL, NULL, NULL));
		changes = sqlite3_changes(disk->db);
		(void)pthread_mutex_unlock(&disk->mutex);
	}
	return r;
}

static int run_bound(struct disk *disk, const char *sql, const char *bytes, size_t size)
{
	CLEANUP(disk_finalize) sqlite3_stmt *statement = NULL;
	int r = sqlite3_prepare_v2(disk->db, sql, -1, &statement, NULL);

	if (r == SQLITE_OK)
		r = sqlite3_bind_int64(statement, 1, (int64_t)disk->snapshot_revision);
	if (r == SQLITE_OK && bytes)
		r = sqlite3_bind_blob64(statement, 2, bytes, size, SQLITE_STATIC);
	if (r == SQLITE_OK)
		r = sqlite3_step(statement);
	return disk_errno(r);
}

static int write_parts(struct disk *disk)
{
	int r = 0;

	for (size_t offset = 0; r == 0 && offset < disk->text.size; offset += PART_SIZE) {
		size_t left = disk->text.size - offset;

		await_turn(disk);
		r = run_bound(disk, "INSERT INTO part (revision, text) VALUES (?, ?)",
			      disk->text.data + offset, left < PART_SIZE ? left : PART_SIZE);
		(void)pthread_mutex_unlock(&disk->mutex);
	}
	return r;
}

static int make_it_count(struct disk *disk)
{
	int r;

	await_turn(disk);
	r = run_bound(disk, "INSERT OR REPLACE INTO snapshot VALUES (1, ?)", NULL, 0);
	(void)pthread_mutex_unlock(&disk->mutex);
	return r;
}

static int write_all(struct disk *disk)
{
	int r = forget(disk, forget_part);

	if (r == 0)
		r = write_parts(disk);
	if (r == 0)
		r = make_it_count(disk);
	return r;
}

/* The thread. What could not be removed is removed by the next one. */
static void *write_snapshot(void *context)
{
	struct disk *disk = context;
	int r = write_all(disk);

	text_done_secret(&disk->text);
	(void)forget(disk, forget_part);
	if (r == 0)
		(void)forget(disk, forget_patches);
	atomic_store(&disk->next_snapshot,
		     disk->snapshot_revision + (r == 0 ? disk->snapshot_every : SNAPSHOT_RETRY));
	return NULL;
}

void snapshot_wait(struct disk *disk)
{
	if (disk->has_writer)
		(void)pthread_join(disk->writer, NULL);
	disk->has_writer = false;
}

int disk_snapshot(struct disk *disk, uint64_t revision, const json_t *document)
{
	int r;

	snapshot_wait(disk); /* it ended before this one could be wanted */
	disk->snapshot_revision = revision;
	atomic_store(&disk->next_snapshot, revision + SNAPSHOT_RETRY);
	json_text_append(&disk->text, document);
	r = text_error(&disk->text);
	if (r < 0) {
		text_done_secret(&disk->text);
		return r;
	}
	atomic_store(&disk->next_snapshot, UINT64_MAX);
	r = -pthread_create(&disk->writer, NULL, write_snapshot, disk);
	if (r < 0) {
		atomic_store(&disk->next_snapshot, revision + SNAPSHOT_RETRY);
		text_done_secret(&disk->text);
		return r;
	}
	disk->has_writer = true;
	return 0;
}

bool disk_wants_snapshot(const struct disk *disk, uint64_t revision)
{
	return revision >= atomic_load(&disk->next_snapshot);
}

void disk_set_snapshot_every(struct disk *disk, uint64_t present, unsigned revisions)
{
	disk->snapshot_every = revisions;
	atomic_store(&disk->next_snapshot, present + revisions);
}
