/* What the parts of the database file share: disk.c, snapshot.c and upkeep.c. */
#pragma once

#include <jansson.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/text.h"
#include "store/disk.h"

/* The thread that keeps the file short. */
struct upkeep {
	pthread_t thread;
	bool has_thread; /* to be joined */
	atomic_bool running;
	bool wants_snapshot; /* what it came for; else the log alone */
	unsigned snapshot_every; /* revisions */
	atomic_uint_fast64_t next_snapshot; /* the revision that is to be followed by one */
	unsigned next_copy; /* pages in the log that are to be followed by moving them */

	int log_fd; /* the thread's, while it is there; negative: none */

	/* Whose turn it is to write. */
	pthread_mutex_t mutex;
	pthread_cond_t calm; /* no revision waits any more */
	atomic_uint urgent; /* revisions that wait for the database or have it */
};

struct disk {
	char *path;
	int lock_fd;
	sqlite3 *db;
	sqlite3_stmt *append;
	atomic_uint log_pages; /* after the last revision */
	struct upkeep upkeep;
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

/* Opens the file once more: each thread has a connection of its own. 0 or a negative errno. */
int disk_connect(const char *path, sqlite3 **ret);

/* Reads the document and its revision, and that of the snapshot it began with. 0 or a negative errno. */
int disk_read(sqlite3 *db, json_t **ret_document, uint64_t *ret_revision, uint64_t *ret_snapshot,
	      struct fault *fault);

/* The document of the last whole snapshot; null at revision 0 where there is none. */
int snapshot_load(sqlite3 *db, json_t **ret_document, uint64_t *ret_revision);

/* Replaces the snapshot by one of the present revision, and removes what it makes superfluous. Returns the
 * revision through @ret, also where it could not be written. 0 or a negative errno. */
int snapshot_renew(struct upkeep *upkeep, sqlite3 *db, uint64_t *ret);

void upkeep_init(struct upkeep *upkeep);

/* Waits for what is in hand. */
void upkeep_done(struct upkeep *upkeep);

/* After @revision was written: does what is due, beside the revisions that follow. */
void upkeep_begin(struct disk *disk, uint64_t revision);

/* Between these two the database is the revision's to write. */
void upkeep_hold(struct upkeep *upkeep);
void upkeep_go_on(struct upkeep *upkeep);

/* Between these two it is the thread's, which gets it when no revision wants it. What it wrote is synced
 * thereafter. */
void upkeep_await_turn(struct upkeep *upkeep);
void upkeep_end_turn(struct upkeep *upkeep);
