#include "store/disk.h"

#include <assert.h>
#include <fcntl.h>
#include <libgen.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/text.h"
#include "codec/patch.h"
#include "store/disk_internal.h"
#include "store/store.h"

#define APPLICATION_ID 0x53744462 /* tells the file from other SQLite databases */
#define FORMAT 2

/* The locks of this VFS keep other processes out and let several connections of this one in, with the
 * index of the log in memory: there is no file of shared memory beside the database. */
#define VFS "unix-excl"

/* The upkeep's connection takes the writer's lock for a moment where it reads the head of the log just as that
 * changes. No other process can have it by then. */
#define OTHER_CONNECTION_MS 10000

/* Run at each opening: little of the file is cached, and the log, which is written over and over, keeps
 * its size: a file that grows takes longer to sync. */
static const char settings[] = "PRAGMA journal_mode = WAL;"
			       "PRAGMA synchronous = FULL;"
			       "PRAGMA mmap_size = 0;"
			       "PRAGMA cache_size = -256;"
			       "PRAGMA journal_size_limit = 16777216;"
			       "PRAGMA trusted_schema = OFF;";

static const char schema[] =
	"BEGIN;"
	"CREATE TABLE snapshot (id INTEGER PRIMARY KEY CHECK (id = 1),"
	" revision INTEGER NOT NULL) STRICT;"
	"CREATE TABLE part (id INTEGER PRIMARY KEY, revision INTEGER NOT NULL,"
	" text BLOB NOT NULL) STRICT;"
	"CREATE TABLE revision (revision INTEGER PRIMARY KEY, patch TEXT NOT NULL) STRICT;"
	"PRAGMA application_id = 1400128610;"
	"PRAGMA user_version = 2;"
	"COMMIT;";

/* In format 1 the snapshot was one value, which could not be written little by little. */
static const char from_format_1[] =
	"BEGIN;"
	"CREATE TABLE part (id INTEGER PRIMARY KEY, revision INTEGER NOT NULL,"
	" text BLOB NOT NULL) STRICT;"
	"INSERT INTO part SELECT 1, revision, document FROM snapshot;"
	"DROP TABLE snapshot;"
	"CREATE TABLE snapshot (id INTEGER PRIMARY KEY CHECK (id = 1),"
	" revision INTEGER NOT NULL) STRICT;"
	"INSERT INTO snapshot SELECT 1, revision FROM part;"
	"PRAGMA user_version = 2;"
	"COMMIT;";

static_assert(APPLICATION_ID == 1400128610, "the schema spells the number out");

int disk_errno(int sqlite_error)
{
	switch (sqlite_error & 0xff) {
	case SQLITE_OK:
	case SQLITE_DONE:
	case SQLITE_ROW:
		return 0;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_CANTOPEN:
	case SQLITE_PERM:
		return -EACCES;
	case SQLITE_TOOBIG:
		return -E2BIG;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_CONSTRAINT:
	case SQLITE_MISMATCH:
		return -EBADMSG;
	default:
		return -EIO;
	}
}

/* The process that holds the lock wrote its number into the file. */
static void name_owner(int fd, const char *path, struct fault *fault)
{
	char text[24] = { 0 };
	ssize_t size = pread(fd, text, sizeof(text) - 1, 0);
	long pid = size > 0 ? strtol(text, NULL, 10) : 0;

	if (pid > 0)
		(void)fault_set(fault, FAULT_DATABASE,
				"%s is in use by process %ld; stop it first, or ask it instead",
				path, pid);
	else
		(void)fault_set(fault, FAULT_DATABASE, "%s is in use by another process", path);
}

/* For the message to whoever comes second; a full disk is no reason to fail. */
static void write_owner(int fd)
{
	char text[24];
	int size = snprintf(text, sizeof(text), "%ld\n", (long)getpid());

	if (pwrite(fd, text, (size_t)size, 0) == size)
		(void)!ftruncate(fd, size);
}

/* A lock that root makes for a command is still the daemon's to take: it gets the database's owner. */
static void give_to_owner_of(const char *path, int fd)
{
	struct stat st;

	if (geteuid() == 0 && stat(path, &st) == 0)
		(void)!fchown(fd, st.st_uid, st.st_gid);
}

/*
 * The lock is on a file of its own: closing any descriptor of the database itself would drop the
 * locks that SQLite has on it (fcntl(2)). It stays when the store is closed, as removing it would
 * race.
 */
static int lock(const char *path, int *ret_fd, struct fault *fault)
{
	cleanup_free char *name = NULL;
	cleanup_close int fd = -EBADF;
	int r;

	if (asprintf(&name, "%s.lock", path) < 0)
		return fault_set_errno(fault, -ENOMEM, FAULT_DATABASE, "cannot open %s", path);
	fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return fault_set_errno(fault, -errno, FAULT_FILESYSTEM, "cannot open %s", name);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		r = -errno;
		if (r != -EWOULDBLOCK)
			return fault_set_errno(fault, r, FAULT_FILESYSTEM, "cannot lock %s", name);
		name_owner(fd, path, fault);
		return -EBUSY;
	}
	give_to_owner_of(path, fd);
	write_owner(fd);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* Makes the file's name durable too. */
static int sync_directory(const char *path)
{
	cleanup_free char *copy = strdup(path);
	cleanup_close int fd = -EBADF;

	if (!copy)
		return -ENOMEM;
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) < 0)
		return -errno;
	return 0;
}

/* Before SQLite opens it: the file is there, regular and closed to others. */
static int make_private(const char *path)
{
	cleanup_close int fd = -EBADF;
	struct stat st;

	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if ((st.st_mode & 077) != 0 && fchmod(fd, 0600) < 0)
		return -errno;
	return sync_directory(path);
}

int disk_query_integer(sqlite3 *db, const char *sql, int64_t *ret)
{
	CLEANUP(disk_finalize) sqlite3_stmt *statement = NULL;
	int r = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);

	if (r == SQLITE_OK)
		r = sqlite3_step(statement);
	if (r == SQLITE_ROW)
		*ret = sqlite3_column_int64(statement, 0);
	return disk_errno(r);
}

/* Makes the tables in a new file, and refuses a file that is not ours or of a later release. */
static int check_format(struct disk *disk, const char *path, struct fault *fault)
{
	int64_t application = 0;
	int64_t format = 0;
	int64_t tables = 0;
	int r;

	r = disk_query_integer(disk->db, "PRAGMA application_id", &application);
	if (r == 0)
		r = disk_query_integer(disk->db, "PRAGMA user_version", &format);
	if (r == 0)
		r = disk_query_integer(disk->db, "SELECT count(*) FROM sqlite_schema", &tables);
	if (r == 0 && application == 0 && tables == 0)
		return disk_errno(sqlite3_exec(disk->db, schema, NULL, NULL, NULL));
	if (r == 0 && application == APPLICATION_ID && format == 1)
		return disk_errno(sqlite3_exec(disk->db, from_format_1, NULL, NULL, NULL));
	if (r < 0)
		return r;
	if (application != APPLICATION_ID) {
		(void)fault_set(fault, FAULT_DATABASE, "%s is not a database of this program",
				path);
		return -EBADMSG;
	}
	if (format != FORMAT) {
		(void)fault_set(
			fault, FAULT_DATABASE,
			"%s has format %lld, which another release wrote; this one knows %d", path,
			(long long)format, FORMAT);
		return -EBADMSG;
	}
	return 0;
}

int disk_connect(const char *path, sqlite3 **ret)
{
	sqlite3 *db = NULL;
	int r;

	r = sqlite3_open_v2(path, &db,
			    SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW |
				    SQLITE_OPEN_EXRESCODE,
			    VFS);
	if (r == SQLITE_OK)
		r = sqlite3_db_config(db, SQLITE_DBCONFIG_LOOKASIDE, NULL, 0, 0);
	if (r == SQLITE_OK)
		r = sqlite3_exec(db, settings, NULL, NULL, NULL);
	if (r != SQLITE_OK)
		(void)sqlite3_close(db);
	else
		*ret = db;
	return disk_errno(r);
}

/* Called by SQLite after each revision. That it is told to somebody keeps it from copying the log itself. */
static int note_log(void *context, sqlite3 *db, const char *name, int pages)
{
	struct disk *disk = context;

	(void)db;
	(void)name;
	disk->log_pages = (unsigned)pages;
	return SQLITE_OK;
}

static int open_database(struct disk *disk, const char *path, struct fault *fault)
{
	int r;

	r = disk_connect(path, &disk->db);
	if (r < 0)
		return r;
	(void)sqlite3_wal_hook(disk->db, note_log, disk);
	r = check_format(disk, path, fault);
	if (r < 0)
		return r;
	(void)sqlite3_busy_timeout(disk->db, OTHER_CONNECTION_MS);
	return disk_errno(sqlite3_prepare_v3(disk->db, "INSERT INTO revision VALUES (?, ?)", -1,
					     SQLITE_PREPARE_PERSISTENT, &disk->append, NULL));
}

int disk_open(const char *path, struct disk **ret, struct fault *fault)
{
	CLEANUP(disk_close) struct disk *disk = calloc(1, sizeof(*disk));
	int r;

	if (!disk)
		return fault_set_errno(fault, -ENOMEM, FAULT_DATABASE, "cannot open %s", path);
	disk->lock_fd = -EBADF;
	upkeep_init(&disk->upkeep);
	disk->path = strdup(path);
	if (!disk->path)
		return fault_set_errno(fault, -ENOMEM, FAULT_DATABASE, "cannot open %s", path);
	r = lock(path, &disk->lock_fd, fault);
	if (r < 0)
		return r;
	r = make_private(path);
	if (r < 0)
		return fault_set_errno(fault, r, FAULT_FILESYSTEM, "cannot open %s", path);
	r = open_database(disk, path, fault);
	if (r < 0)
		return fault_set_errno(fault, r, FAULT_DATABASE, "cannot open %s", path);
	*ret = TAKE_PTR(disk);
	return 0;
}

struct disk *disk_close(struct disk *disk)
{
	if (!disk)
		return NULL;
	upkeep_done(&disk->upkeep);
	(void)sqlite3_finalize(disk->append);
	(void)sqlite3_close(disk->db);
	free(disk->path);
	if (disk->lock_fd >= 0)
		(void)close(disk->lock_fd);
	free(disk);
	return NULL;
}

int disk_parse_error(const json_error_t *error)
{
	switch (json_error_code(error)) {
	case json_error_unknown: /* where jansson found no memory and had nothing to say */
	case json_error_out_of_memory:
		return -ENOMEM;
	default:
		return -EBADMSG;
	}
}

static int replay_patch(sqlite3_stmt *statement, json_t **document, uint64_t revision,
			struct fault *fault)
{
	CLEANUP(edit_log_done) struct edit_log log = { 0 };
	const char *text = (const char *)sqlite3_column_text(statement, 1);
	json_error_t error;
	json_t *patch;
	int r;

	if ((uint64_t)sqlite3_column_int64(statement, 0) != revision)
		return fault_set_errno(fault, -EBADMSG, FAULT_DATABASE, "revision %llu is missing",
				       (unsigned long long)revision);
	if (!text)
		return -ENOMEM;
	patch = json_loadb(text, (size_t)sqlite3_column_bytes(statement, 1), 0, &error);
	if (!patch)
		return disk_parse_error(&error);
	r = patch_consume(document, patch, &log, fault);
	if (r < 0)
		fault_prefix(fault, "revision %llu", (unsigned long long)revision);
	return r < 0 && r != -ENOMEM ? -EBADMSG : r;
}

static int replay(sqlite3 *db, json_t **document, uint64_t *revision, struct fault *fault)
{
	CLEANUP(disk_finalize) sqlite3_stmt *statement = NULL;
	int r;

	r = sqlite3_prepare_v2(db,
			       "SELECT revision, patch FROM revision WHERE revision > ?"
			       " ORDER BY revision",
			       -1, &statement, NULL);
	if (r == SQLITE_OK)
		r = sqlite3_bind_int64(statement, 1, (int64_t)*revision);
	if (r != SQLITE_OK)
		return disk_errno(r);
	while ((r = sqlite3_step(statement)) == SQLITE_ROW) {
		int error = replay_patch(statement, document, *revision + 1, fault);

		if (error < 0)
			return error;
		(*revision)++;
	}
	return disk_errno(r);
}

int disk_read(sqlite3 *db, json_t **ret_document, uint64_t *ret_revision, uint64_t *ret_snapshot,
	      struct fault *fault)
{
	json_t *document = NULL;
	uint64_t revision;
	int r;

	r = snapshot_load(db, &document, &revision);
	if (r == 0) {
		*ret_snapshot = revision;
		r = replay(db, &document, &revision, fault);
	}
	if (r < 0) {
		json_decref(document);
		return r;
	}
	*ret_document = document;
	*ret_revision = revision;
	return 0;
}

int disk_load(struct disk *disk, json_t **ret_document, uint64_t *ret_revision, struct fault *fault)
{
	uint64_t snapshot;
	int r = disk_read(disk->db, ret_document, ret_revision, &snapshot, fault);

	if (r < 0) {
		fault_prefix(fault, "cannot read the database");
		return fault_set_errno(fault, r, FAULT_DATABASE, "cannot read the database");
	}
	atomic_store(&disk->upkeep.next_snapshot, snapshot + disk->upkeep.snapshot_every);
	return 0;
}

static int append(struct disk *disk, uint64_t revision, const char *patch, size_t size)
{
	int r;

	r = sqlite3_bind_int64(disk->append, 1, (int64_t)revision);
	if (r == SQLITE_OK)
		r = sqlite3_bind_text64(disk->append, 2, patch, size, SQLITE_STATIC, SQLITE_UTF8);
	if (r == SQLITE_OK)
		r = sqlite3_step(disk->append);
	(void)sqlite3_reset(disk->append);
	(void)sqlite3_clear_bindings(disk->append);
	return disk_errno(r);
}

int disk_append(struct disk *disk, uint64_t revision, const char *patch, size_t size)
{
	int r;

	upkeep_hold(&disk->upkeep);
	r = append(disk, revision, patch, size);
	upkeep_go_on(&disk->upkeep);
	if (r == 0)
		upkeep_begin(disk, revision);
	return r;
}
