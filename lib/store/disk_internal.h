/* What the two halves of the database file share: disk.c and snapshot.c. */
#pragma once

#include <jansson.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/text.h"
#include "store/disk.h"

struct disk {
	int lock_fd;
	sqlite3 *db; /* used under the mutex once a snapshot is being written */
	sqlite3_stmt *append;
	unsigned snapshot_every; /* revisions */

	pthread_mutex_t mutex;
	pthread_cond_t calm; /* no revision waits any more */
	atomic_uint urgent; /* revisions that wait for the database or have it */
	atomic_uint_fast64_t next_snapshot; /* the revision that is to be followed by one */

	/* The snapshot in hand, the writing thread's until it is joined. */
	pthread_t writer;
	bool has_writer;
	uint64_t snapshot_revision;
	struct text text;
};

/* The errno for an error of SQLite, negative; 0 for none. */
int disk_errno(int sqlite_error);

/* The single integer that a statement gives; @ret stays where it gives none. 0 or a negative errno. */
int disk_query_integer(sqlite3 *db, const char *sql, int64_t *ret);

/* The errno for a failure to read what we wrote: want of memory, or damage. */
int disk_parse_error(const json_error_t *error);

static inline sqlite3_stmt *disk_finalize(sqlite3_stmt *statement)
{
	(void)sqlite3_finalize(statement);
	return NULL;
}
DEFINE_CLEANUP(sqlite3_stmt *, disk_finalize);

/* The document of the last whole snapshot; null at revision 0 where there is none. */
int snapshot_load(struct disk *disk, json_t **ret_document, uint64_t *ret_revision);

/* Between these two the database is the caller's. The writer of a snapshot gets it when no one else
 * wants it. */
void snapshot_hold(struct disk *disk);
void snapshot_go_on(struct disk *disk);

/* Until the snapshot in hand is written, or has failed. */
void snapshot_wait(struct disk *disk);
