#include "store/store.h"

#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/test.h"
#include "base/text.h"
#include "disk_internal.h"
#include "store_internal.h"
#include "test_place.h"

static void assert_document(const struct store *store, const char *text)
{
	json_t *expected = value(text);

	if (!json_equal(store_document(store), expected)) {
		char *present = json_dumps(store_document(store), JSON_ENCODE_ANY);

		fail_msg("the document is %s", present);
	}
	assert_int_equal(store->size, json_dumpb(store_document(store), NULL, 0,
						 JSON_COMPACT | JSON_ENCODE_ANY));
	json_decref(expected);
}

static void a_new_database_holds_null(void **state)
{
	const struct place *place = *state;
	CLEANUP(store_close) struct store *store = open_store(place);
	struct stat st;

	assert_document(store, "null");
	assert_int_equal(store_revision(store), 0);
	assert_int_equal(stat(place->path, &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0600);
}

static void what_was_committed_is_there_again(void **state)
{
	struct store *store = open_store(*state);

	put_now(store, "", "{\"a\": {\"b\": [1, 2, 3]}, \"n\": 1.0}");
	put_now(store, "/a/b/1", "\"two\"");
	put_now(store, "/a/b/-", "null");
	put_now(store, "/x~1y", "{}");
	store = store_close(store);
	store = open_store(*state);
	assert_document(store, "{\"a\": {\"b\": [1, \"two\", 3, null]}, \"n\": 1.0, \"x/y\": {}}");
	assert_int_equal(store_revision(store), 4);
	store = store_close(store);
}

static void an_abort_undoes_everything(void **state)
{
	static const char text[] = "{\"a\": {\"b\": [1, 2, 3]}, \"c\": {\"d\": {}}}";
	CLEANUP(store_close) struct store *store = open_store(*state);
	struct store_txn *txn;

	put_now(store, "", text);
	txn = begin(store);
	assert_int_equal(store_remove(txn, "/a/b/1"), 0);
	assert_int_equal(store_put(txn, "/a/b", value("{\"x\": 1}")), 0);
	assert_int_equal(store_put(txn, "/a/b/x", value("2")), 0);
	assert_int_equal(store_remove(txn, "/c"), 0);
	assert_int_equal(store_put(txn, "/c", value("[[]]")), 0);
	assert_document(store, "{\"a\": {\"b\": {\"x\": 2}}, \"c\": [[]]}");
	assert_int_equal(store_put(txn, "", value("7")), 0);
	assert_document(store, "7");
	store_abort(txn);
	assert_document(store, text);
	assert_int_equal(store_revision(store), 1);
	assert_false(store_busy(store));
}

static void changes_tell_each_step_as_it_was(void **state)
{
	CLEANUP(store_close) struct store *store = open_store(*state);
	const struct store_change *changes;
	struct store_txn *txn;
	size_t count;

	put_now(store, "", "{\"old\": {\"k\": 1}}");
	txn = begin(store);
	/* Values of the document itself may be put elsewhere in it. */
	assert_int_equal(store_put(txn, "/new", json_incref((json_t *)store_get(store, "/old"))),
			 0);
	assert_int_equal(store_put(txn, "/new/k", value("2")), 0);
	assert_int_equal(store_remove(txn, "/old"), 0);
	changes = store_changes(txn, &count);
	assert_int_equal(count, 3);
	assert_string_equal(changes[0].pointer, "/new");
	assert_null(changes[0].before);
	assert_int_equal(json_integer_value(json_object_get(changes[0].after, "k")), 1);
	assert_string_equal(changes[1].pointer, "/new/k");
	assert_int_equal(json_integer_value(changes[1].before), 1);
	assert_int_equal(json_integer_value(changes[1].after), 2);
	assert_null(changes[2].after);
	assert_int_equal(json_integer_value(json_object_get(changes[2].before, "k")), 1);
	assert_int_equal(store_commit_now(txn), 0);
	assert_document(store, "{\"new\": {\"k\": 2}}");

	store = store_close(store);
	store = open_store(*state);
	assert_document(store, "{\"new\": {\"k\": 2}}");
}

static void wrong_operations_change_nothing(void **state)
{
	static const struct {
		const char *name;
		const char *pointer;
		const char *text; /* NULL: remove */
		int error;
	} cases[] = {
		{ "no slash", "a", "1", -EINVAL },
		{ "bad escape", "/a~2", "1", -EINVAL },
		{ "not UTF-8", "/\xff", "1", -EINVAL },
		{ "no parent", "/x/y", "1", -ENOENT },
		{ "parent is a number", "/n/y", "1", -ENOENT },
		{ "past the end", "/l/3", "1", -ENOENT },
		{ "no index", "/l/x", "1", -ENOENT },
		{ "remove what is not there", "/x", NULL, -ENOENT },
		{ "remove past the end", "/l/2", NULL, -ENOENT },
		{ "remove the end", "/l/-", NULL, -ENOENT },
		{ "remove the root", "", NULL, -EINVAL },
		{ "remove with bad escape", "/~", NULL, -EINVAL },
	};
	static const char text[] = "{\"n\": 1, \"l\": [1, 2]}";
	CLEANUP(store_close) struct store *store = open_store(*state);
	struct store_txn *txn;

	put_now(store, "", text);
	txn = begin(store);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int r = cases[i].text ? store_put(txn, cases[i].pointer, value(cases[i].text))
				      : store_remove(txn, cases[i].pointer);

		if (r != cases[i].error)
			fail_msg("%s: %d", cases[i].name, r);
	}
	assert_int_equal(store_put(txn, "/x", NULL), -ENOMEM);
	assert_int_equal(store_commit_now(txn), 0);
	assert_document(store, text);
	assert_int_equal(store_revision(store), 1);
}

static json_t *nested(size_t depth)
{
	json_t *json = json_integer(1);

	for (size_t i = 0; i < depth; i++)
		json = json_pack("{s:o}", "x", json);
	return json;
}

static void bounds_hold(void **state)
{
	CLEANUP(store_close) struct store *store = open_store(*state);
	struct store_txn *txn = begin(store);
	char *big = malloc(STORE_DOCUMENT_MAX + 1);

	assert_non_null(big);
	memset(big, 'x', STORE_DOCUMENT_MAX);
	big[STORE_DOCUMENT_MAX] = '\0';
	assert_int_equal(store_put(txn, "", nested(STORE_DEPTH_MAX + 1)), -E2BIG);
	assert_int_equal(store_put(txn, "", nested(STORE_DEPTH_MAX)), 0);
	assert_int_equal(store_put(txn, "/x/x", nested(STORE_DEPTH_MAX - 1)), -E2BIG);
	assert_int_equal(store_put(txn, "/x/x", nested(STORE_DEPTH_MAX - 2)), 0);
	assert_int_equal(store_put(txn, "/big", json_string(big)), -E2BIG);
	big[STORE_DOCUMENT_MAX - 1024] = '\0';
	assert_int_equal(store_put(txn, "/big", json_string(big)), 0);
	assert_int_equal(store_put(txn, "/more", json_string(big)), -E2BIG);
	assert_int_equal(store_remove(txn, "/big"), 0);
	store_abort(txn);
	assert_document(store, "null");
	free(big);
}

static void an_equal_value_is_no_revision(void **state)
{
	CLEANUP(store_close) struct store *store = open_store(*state);

	put_now(store, "", "{\"a\": 1, \"b\": 2}");
	put_now(store, "", "{\"b\": 2, \"a\": 1}");
	put_now(store, "/a", "1");
	assert_int_equal(store_revision(store), 1);
	put_now(store, "/a", "1.0");
	assert_int_equal(store_revision(store), 2);
}

static void one_transaction_at_a_time(void **state)
{
	CLEANUP(store_close) struct store *store = open_store(*state);
	struct store_txn *txn = begin(store);
	struct store_txn *other = NULL;

	assert_true(store_busy(store));
	assert_int_equal(store_begin(store, &other), -EBUSY);
	store_abort(txn);
}

static void a_whole_document_is_put_by_its_differences(void **state)
{
	CLEANUP(store_close) struct store *store = open_store(*state);
	const struct store_change *changes;
	struct store_txn *txn;
	size_t count;

	put_now(store, "", "{\"a\": 1, \"l\": [1, 2, 3, 4], \"o\": {\"x\": 1, \"y\": 2}}");
	txn = begin(store);
	assert_int_equal(store_put_document(txn, value("{\"l\": [1, 9, 2, 3, 4], \"n\": null,"
						       "\"o\": {\"x\": 1, \"y\": 3}}")),
			 0);
	changes = store_changes(txn, &count);
	assert_int_equal(count, 4);
	assert_string_equal(changes[0].pointer, "/a");
	assert_string_equal(changes[1].pointer, "/l/1");
	assert_null(changes[1].before);
	assert_string_equal(changes[2].pointer, "/n");
	assert_string_equal(changes[3].pointer, "/o/y");
	assert_int_equal(store_commit_now(txn), 0);
	store = store_close(store);
	store = open_store(*state);
	assert_document(store,
			"{\"l\": [1, 9, 2, 3, 4], \"n\": null, \"o\": {\"x\": 1, \"y\": 3}}");
	txn = begin(store);
	assert_int_equal(store_put_document(txn, nested(STORE_DEPTH_MAX + 1)), -E2BIG);
	store_changes(txn, &count);
	assert_int_equal(count, 0);
	store_abort(txn);
	assert_document(store,
			"{\"l\": [1, 9, 2, 3, 4], \"n\": null, \"o\": {\"x\": 1, \"y\": 3}}");
}

struct outcome {
	int calls;
	int result;
	uint64_t revision;
};

static void note_outcome(void *context, int result, uint64_t revision)
{
	struct outcome *outcome = context;

	outcome->calls++;
	outcome->result = result;
	outcome->revision = revision;
}

static void a_commit_on_the_loop(void **state)
{
	CLEANUP(store_close) struct store *store = open_store(*state);
	struct outcome outcome = { 0 };
	struct store_txn *txn = begin(store);
	struct store_txn *other;
	uv_loop_t loop;

	assert_int_equal(uv_loop_init(&loop), 0);
	assert_int_equal(store_put(txn, "", value("{\"a\": 1}")), 0);
	assert_int_equal(store_commit(txn, &loop, note_outcome, &outcome), 0);
	assert_int_equal(store_begin(store, &other), -EBUSY);
	assert_int_equal(outcome.calls, 0);
	assert_int_equal(store_revision(store), 0);
	(void)uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(outcome.calls, 1);
	assert_int_equal(outcome.result, 0);
	assert_int_equal(outcome.revision, 1);

	txn = begin(store); /* without a change: told all the same, and no revision */
	assert_int_equal(store_commit(txn, &loop, note_outcome, &outcome), 0);
	assert_int_equal(outcome.calls, 1);
	(void)uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(outcome.calls, 2);
	assert_int_equal(outcome.revision, 1);
	assert_int_equal(uv_loop_close(&loop), 0);
}

/* In a process of its own, where files may not grow: the disk is full for all that SQLite knows. */
static int run_with_full_disk(const char *path)
{
	CLEANUP(fault_done) struct fault fault = { 0 };
	CLEANUP(store_close) struct store *store = NULL;
	struct outcome outcome = { 0 };
	const struct rlimit limit = { 64U << 10, 64U << 10 };
	struct store_txn *txn;
	json_t *before;
	uv_loop_t loop;
	char big[128 << 10];

	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	(void)signal(SIGXFSZ, SIG_IGN);
	if (uv_loop_init(&loop) < 0 || store_open(path, &store, &fault) < 0)
		return 1;
	before = json_deep_copy(store_document(store));
	if (setrlimit(RLIMIT_FSIZE, &limit) < 0 || store_begin(store, &txn) < 0)
		return 2;
	if (store_put(txn, "/big", json_string(big)) < 0 || store_remove(txn, "/a") < 0)
		return 3;
	if (store_commit(txn, &loop, note_outcome, &outcome) < 0)
		return 4;
	(void)uv_run(&loop, UV_RUN_DEFAULT);
	(void)uv_loop_close(&loop);
	if (outcome.calls != 1 || outcome.result >= 0 || outcome.revision != 1)
		return 5;
	if (!json_equal(before, store_document(store)) || store_revision(store) != 1)
		return 6;
	json_decref(before);
	/* What still fits goes on. */
	if (store_begin(store, &txn) < 0 || store_put(txn, "/a", json_integer(2)) < 0)
		return 7;
	return store_commit_now(txn) < 0 ? 8 : 0;
}

static void a_full_disk_undoes_the_memory(void **state)
{
	const struct place *place = *state;
	struct store *store = open_store(place);
	int status;
	pid_t pid;

	put_now(store, "", "{\"a\": 1}");
	store = store_close(store);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(run_with_full_disk(place->path));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	store = open_store(place);
	assert_document(store, "{\"a\": 2}");
	assert_int_equal(store_revision(store), 2);
	store = store_close(store);
}

static void a_second_owner_is_told_who_has_it(void **state)
{
	const struct place *place = *state;
	CLEANUP(fault_done) struct fault fault = { 0 };
	CLEANUP(store_close) struct store *store = open_store(place);
	struct store *second = NULL;
	char pid[32];

	assert_int_equal(store_open(place->path, &second, &fault), -EBUSY);
	assert_null(second);
	assert_int_equal(fault.kind, FAULT_DATABASE);
	(void)snprintf(pid, sizeof(pid), "process %ld", (long)getpid());
	assert_non_null(strstr(fault.details, pid));
	assert_non_null(strstr(fault.details, place->path));

	store = store_close(store); /* and then it is free */
	store = open_store(place);
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	(void)close(fd);
}

static void a_foreign_file_is_refused_and_kept(void **state)
{
	const struct place *place = *state;
	CLEANUP(fault_done) struct fault fault = { 0 };
	struct store *store = NULL;
	char text[32] = { 0 };
	int fd;

	write_file(place->path, "not a database, but long enough");
	assert_true(store_open(place->path, &store, &fault) < 0);
	assert_non_null(strstr(fault.details, place->path));
	fd = open(place->path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(read(fd, text, sizeof(text) - 1), 31);
	(void)close(fd);
	assert_string_equal(text, "not a database, but long enough");
}

static void a_missing_directory_is_named(void **state)
{
	CLEANUP(fault_done) struct fault fault = { 0 };
	struct store *store = NULL;

	(void)state;
	assert_int_equal(store_open("/nonexistent/tunnel.db", &store, &fault), -ENOENT);
	assert_int_equal(fault.kind, FAULT_FILESYSTEM);
	assert_non_null(strstr(fault.details, "/nonexistent/tunnel.db"));
}

static void a_file_open_to_others_is_closed_to_them(void **state)
{
	const struct place *place = *state;
	struct store *store;
	struct stat st;
	char wal[128];

	store = store_close(open_store(place));
	assert_int_equal(chmod(place->path, 0644), 0);
	store = open_store(place);
	put_now(store, "", "1");
	assert_int_equal(stat(place->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	(void)snprintf(wal, sizeof(wal), "%s-wal", place->path);
	assert_int_equal(stat(wal, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	store = store_close(store);
}

/* Members so that the text fills many parts of a snapshot. */
static json_t *long_document(void)
{
	json_t *document = json_object();

	for (int i = 0; i < 4000; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "member %d", i);
		(void)json_object_set_new(
			document, name,
			json_string("a string that is long enough to fill a page with its kind"));
	}
	return document;
}

/* What a statement of one number gives, of a database that nobody has open. */
static int query(const struct place *place, const char *sql)
{
	sqlite3_stmt *statement = NULL;
	sqlite3 *db = NULL;
	int number;

	assert_int_equal(sqlite3_open(place->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
	number = sqlite3_column_int(statement, 0);
	(void)sqlite3_finalize(statement);
	(void)sqlite3_close(db);
	return number;
}

static void run_sql(const struct place *place, const char *sql)
{
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open(place->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	(void)sqlite3_close(db);
}

static void snapshots_do_not_change_what_is_read(void **state)
{
	struct store *store = open_store(*state);
	uint64_t revision;
	char text[32];
	int i = 0;

	put_now(store, "", "{\"o\": {}}");
	assert_false(disk_wants_snapshot(store->disk, STORE_SNAPSHOT_EVERY - 1));
	assert_true(disk_wants_snapshot(store->disk, STORE_SNAPSHOT_EVERY));
	/* One may have to wait until the log is shortened. */
	while (i < STORE_SNAPSHOT_EVERY + 10 ||
	       disk_wants_snapshot(store->disk, store_revision(store))) {
		(void)snprintf(text, sizeof(text), "%d", i++);
		put_now(store, "/o/x", text);
	}
	revision = store_revision(store);
	store = store_close(store);
	assert_in_range(query(*state, "SELECT revision FROM snapshot"), STORE_SNAPSHOT_EVERY,
			revision);
	store = open_store(*state);
	(void)snprintf(text, sizeof(text), "{\"o\": {\"x\": %d}}", i - 1);
	assert_document(store, text);
	assert_int_equal(store_revision(store), revision);
	put_now(store, "/o/x", "0");
	store = store_close(store);
	store = open_store(*state);
	assert_document(store, "{\"o\": {\"x\": 0}}");
	store = store_close(store);
}

static void put_document(struct store *store, json_t *document)
{
	struct store_txn *txn = begin(store);

	assert_int_equal(store_put_document(txn, document), 0);
	assert_int_equal(store_commit_now(txn), 0);
}

static void revisions_go_on_beside_a_snapshot(void **state)
{
	json_t *expected = long_document();
	struct store *store = open_store(*state);

	put_document(store, json_incref(expected));
	disk_set_snapshot_every(store->disk, store_revision(store), 10);
	for (int i = 0; i < 1000; i++) {
		char pointer[24], text[16];

		(void)snprintf(pointer, sizeof(pointer), "/member %d", i % 37);
		(void)snprintf(text, sizeof(text), "%d", i);
		put_now(store, pointer, text);
		(void)json_object_set_new(expected, pointer + 1, json_integer(i));
	}
	store = store_close(store);
	assert_int_equal(query(*state, "SELECT count(DISTINCT revision) FROM part"), 1);
	assert_true(query(*state, "SELECT count(*) FROM part") > 3);
	assert_int_equal(query(*state, "SELECT count(*) FROM revision WHERE revision <="
				       " (SELECT revision FROM snapshot)"),
			 0);
	store = open_store(*state);
	assert_true(json_equal(store_document(store), expected));
	assert_int_equal(store_revision(store), 1001);
	store = store_close(store);
	json_decref(expected);
}

static void *let_go(void *connection)
{
	return sqlite3_exec(connection, "ROLLBACK", NULL, NULL, NULL) == SQLITE_OK ? connection
										   : NULL;
}

/* It does so where it reads the log's head just as that changes. */
static void revisions_wait_for_the_upkeep_to_let_go(void **state)
{
	const struct place *place = *state;
	struct store *store = open_store(place);
	sqlite3 *connection;

	put_now(store, "", "{}");
	assert_int_equal(disk_connect(place->path, &connection), 0);
	for (int i = 0; i < 20; i++) {
		pthread_t thread;
		void *done;

		assert_int_equal(sqlite3_exec(connection, "BEGIN IMMEDIATE", NULL, NULL, NULL),
				 SQLITE_OK);
		assert_int_equal(pthread_create(&thread, NULL, let_go, connection), 0);
		put_now(store, "/x", i % 2 ? "1" : "2");
		assert_int_equal(pthread_join(thread, &done), 0);
		assert_ptr_equal(done, connection);
	}
	assert_int_equal(sqlite3_close(connection), SQLITE_OK);
	assert_int_equal(store_revision(store), 21);
	store = store_close(store);
}

static void an_unfinished_snapshot_does_not_count(void **state)
{
	struct store *store = open_store(*state);

	put_now(store, "", "{\"x\": 1}");
	store = store_close(store);
	run_sql(*state, "INSERT INTO part (revision, text) VALUES"
			" (1, CAST('{\"x\": 9' AS BLOB)), (2, CAST('}' AS BLOB))");
	store = open_store(*state);
	assert_document(store, "{\"x\": 1}");
	disk_set_snapshot_every(store->disk, store_revision(store), 1);
	put_now(store, "/x", "2"); /* of the same revision as a part that was left */
	store = store_close(store);
	assert_int_equal(query(*state, "SELECT count(*) FROM part"), 1);
	store = open_store(*state);
	assert_document(store, "{\"x\": 2}");
	store = store_close(store);
}

static void the_first_format_is_read(void **state)
{
	struct store *store;

	run_sql(*state, "CREATE TABLE snapshot (id INTEGER PRIMARY KEY CHECK (id = 1),"
			" revision INTEGER NOT NULL, document BLOB NOT NULL) STRICT;"
			"CREATE TABLE revision (revision INTEGER PRIMARY KEY, patch TEXT NOT NULL)"
			" STRICT;"
			"INSERT INTO snapshot VALUES (1, 7, CAST('{\"x\":1}' AS BLOB));"
			"INSERT INTO revision VALUES"
			" (8, '[{\"op\":\"replace\",\"path\":\"/x\",\"value\":2}]');"
			"PRAGMA application_id = 1400128610; PRAGMA user_version = 1;");
	for (int i = 0; i < 2; i++) {
		store = open_store(*state);
		assert_document(store, "{\"x\": 2}");
		assert_int_equal(store_revision(store), 8);
		store = store_close(store);
	}
	assert_int_equal(query(*state, "PRAGMA user_version"), 2);
}

int main(void)
{
	struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_database_holds_null),
		cmocka_unit_test(what_was_committed_is_there_again),
		cmocka_unit_test(an_abort_undoes_everything),
		cmocka_unit_test(changes_tell_each_step_as_it_was),
		cmocka_unit_test(wrong_operations_change_nothing),
		cmocka_unit_test(bounds_hold),
		cmocka_unit_test(an_equal_value_is_no_revision),
		cmocka_unit_test(one_transaction_at_a_time),
		cmocka_unit_test(a_whole_document_is_put_by_its_differences),
		cmocka_unit_test(a_commit_on_the_loop),
		cmocka_unit_test(a_full_disk_undoes_the_memory),
		cmocka_unit_test(a_second_owner_is_told_who_has_it),
		cmocka_unit_test(a_foreign_file_is_refused_and_kept),
		cmocka_unit_test(a_missing_directory_is_named),
		cmocka_unit_test(a_file_open_to_others_is_closed_to_them),
		cmocka_unit_test(snapshots_do_not_change_what_is_read),
		cmocka_unit_test(revisions_go_on_beside_a_snapshot),
		cmocka_unit_test(revisions_wait_for_the_upkeep_to_let_go),
		cmocka_unit_test(an_unfinished_snapshot_does_not_count),
		cmocka_unit_test(the_first_format_is_read),
	};
	return RUN_IN_PLACES(tests);
}
