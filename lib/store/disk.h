/*
 * The database file behind a store
 *
 * All that talks to SQLite. It holds a snapshot of the document, in parts, and each patch since, one row
 * per revision. Used by one thread at a time: the loop's at the start and the end, a worker's in
 * between. Beside that a thread of its own comes and goes, which makes a new snapshot of what is in the
 * file each STORE_SNAPSHOT_EVERY revisions, and moves pages from the log to the database: no revision
 * waits for either. Where that fails nothing is lost, and it is tried again some revisions later.
 */
#pragma once

#include <jansson.h>
#include <stdint.h>

#include "base/fault.h"

struct disk;

/*
 * Opens the file, made with mode 0600 where missing, and owns it by a lock on "<path>.lock" until
 * closed. Returns 0, or a negative errno with a fault: -EBUSY where another process owns it.
 */
int disk_open(const char *path, struct disk **ret, struct fault *fault);

/* Waits for the upkeep in hand. NULL is fine. Returns NULL. */
struct disk *disk_close(struct disk *disk);
DEFINE_CLEANUP(struct disk *, disk_close);

/*
 * Reads the document: the snapshot and the patches since. A file without any holds null at revision
 * 0. Returns 0, or a negative errno with a fault.
 */
int disk_load(struct disk *disk, json_t **ret_document, uint64_t *ret_revision,
	      struct fault *fault);

/*
 * Appends the patch that makes @revision; durable on return. Returns 0 or a negative errno:
 * -ENOSPC, -EIO, -EROFS, -ENOMEM, -EBADMSG (the file is damaged).
 */
int disk_append(struct disk *disk, uint64_t revision, const char *patch, size_t size);

/* Whether so many patches follow the snapshot that @revision is to be followed by one. */
bool disk_wants_snapshot(const struct disk *disk, uint64_t revision);

/* Replaces STORE_SNAPSHOT_EVERY, from the present revision on; for tests, which have less patience. */
void disk_set_snapshot_every(struct disk *disk, uint64_t present, unsigned revisions);
