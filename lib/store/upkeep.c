/*
 * The thread that keeps the database file short
 *
 * It comes when something is due and goes when that is done. Revisions have precedence: it writes when
 * none of them waits, and little at a time.
 *
 * SQLite's log grows with each revision. Its pages are moved to the database while revisions are
 * appended; once all are, the log begins anew. Those that came meanwhile are in the way of that, so where
 * revisions never pause the last few are moved in a turn of the thread's own, when the log is long.
 */
#include <fcntl.h>
#include <malloc.h>
#include <unistd.h>

#include "store/disk_internal.h"
#include "store/store.h"

#define COPY_PAGES 1000 /* in the log, when they are moved */
#define LOG_PAGES_MAX 3000 /* 12 MiB, below the limit in disk.c; then they are moved in a turn */
#define SNAPSHOT_RETRY 64 /* revisions, after one could not be written */

/* Turns. */

void upkeep_hold(struct upkeep *upkeep)
{
	(void)atomic_fetch_add(&upkeep->urgent, 1);
	(void)pthread_mutex_lock(&upkeep->mutex);
}

void upkeep_go_on(struct upkeep *upkeep)
{
	if (atomic_fetch_sub(&upkeep->urgent, 1) == 1)
		(void)pthread_cond_signal(&upkeep->calm);
	(void)pthread_mutex_unlock(&upkeep->mutex);
}

/* A mutex alone would let the thread in again and again. */
void upkeep_await_turn(struct upkeep *upkeep)
{
	(void)pthread_mutex_lock(&upkeep->mutex);
	while (atomic_load(&upkeep->urgent) > 0)
		(void)pthread_cond_wait(&upkeep->calm, &upkeep->mutex);
}

/* What was written is synced out of turn, or the next revision would have all of it to sync. That this
 * fails is no failure: the revision does it then. */
void upkeep_end_turn(struct upkeep *upkeep)
{
	(void)pthread_mutex_unlock(&upkeep->mutex);
	if (upkeep->log_fd >= 0)
		(void)fdatasync(upkeep->log_fd);
}

/* The thread. */

/* Moves what is in the log now. Whether all of it is moved. */
static bool copy(const struct disk *disk, sqlite3 *db)
{
	int pages = -1, copied = -1;
	int r = sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_PASSIVE, &pages, &copied);

	return r == SQLITE_OK && copied >= 0 && (unsigned)copied >= atomic_load(&disk->log_pages);
}

static void shorten_log(struct disk *disk, sqlite3 *db)
{
	bool all = copy(disk, db);

	if (!all && atomic_load(&disk->log_pages) >= LOG_PAGES_MAX) {
		upkeep_await_turn(&disk->upkeep);
		all = copy(disk, db);
		upkeep_end_turn(&disk->upkeep);
	}
	disk->upkeep.next_copy = COPY_PAGES + (all ? 0 : atomic_load(&disk->log_pages));
}

static void renew_snapshot(struct disk *disk, sqlite3 *db)
{
	struct upkeep *upkeep = &disk->upkeep;
	uint64_t revision = atomic_load(&upkeep->next_snapshot);
	int r = snapshot_renew(upkeep, db, &revision);

	atomic_store(&upkeep->next_snapshot,
		     revision + (r == 0 ? upkeep->snapshot_every : SNAPSHOT_RETRY));
	(void)malloc_trim(0); /* what a second document took */
}

/* SQLite has no locks on its log, which closing a descriptor of it would drop. */
static int open_log(const struct disk *disk)
{
	cleanup_free char *path = NULL;

	if (asprintf(&path, "%s-wal", disk->path) < 0)
		return -ENOMEM;
	return open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
}

static void *run(void *context)
{
	struct disk *disk = context;
	struct upkeep *upkeep = &disk->upkeep;
	cleanup_close int log_fd = open_log(disk);
	sqlite3 *db = NULL;

	upkeep->log_fd = log_fd;
	if (disk_connect(disk->path, &db) == 0) {
		(void)sqlite3_wal_autocheckpoint(db, 0);
		if (upkeep->wants_snapshot)
			renew_snapshot(disk, db);
		shorten_log(disk, db);
		(void)sqlite3_close(db);
	}
	atomic_store(&upkeep->running, false);
	return NULL;
}

static void join(struct upkeep *upkeep)
{
	if (upkeep->has_thread)
		(void)pthread_join(upkeep->thread, NULL);
	upkeep->has_thread = false;
}

void upkeep_begin(struct disk *disk, uint64_t revision)
{
	struct upkeep *upkeep = &disk->upkeep;
	unsigned pages = atomic_load(&disk->log_pages);

	if (atomic_load(&upkeep->running))
		return;
	upkeep->wants_snapshot = disk_wants_snapshot(disk, revision);
	if (!upkeep->wants_snapshot && pages < upkeep->next_copy)
		return;
	join(upkeep); /* it has ended */
	/* In case that nothing comes of it. */
	upkeep->next_copy = pages + COPY_PAGES;
	if (upkeep->wants_snapshot)
		atomic_store(&upkeep->next_snapshot, revision + SNAPSHOT_RETRY);
	atomic_store(&upkeep->running, true);
	upkeep->has_thread = pthread_create(&upkeep->thread, NULL, run, disk) == 0;
	if (!upkeep->has_thread)
		atomic_store(&upkeep->running, false);
}

void upkeep_init(struct upkeep *upkeep)
{
	(void)pthread_mutex_init(&upkeep->mutex, NULL);
	(void)pthread_cond_init(&upkeep->calm, NULL);
	upkeep->snapshot_every = STORE_SNAPSHOT_EVERY;
	upkeep->next_copy = COPY_PAGES;
}

void upkeep_done(struct upkeep *upkeep)
{
	join(upkeep);
	(void)pthread_cond_destroy(&upkeep->calm);
	(void)pthread_mutex_destroy(&upkeep->mutex);
}

bool disk_wants_snapshot(const struct disk *disk, uint64_t revision)
{
	return revision >= atomic_load(&disk->upkeep.next_snapshot);
}

void disk_set_snapshot_every(struct disk *disk, uint64_t present, unsigned revisions)
{
	disk->upkeep.snapshot_every = revisions;
	atomic_store(&disk->upkeep.next_snapshot, present + revisions);
}
