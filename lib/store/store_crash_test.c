/*
 * A writer is killed at random moments: what it acknowledged is there, and nothing by halves
 *
 * The child makes transactions that a model can replay, since transaction N follows from the seed
 * and N alone, and writes each revision that it was told is durable to a pipe. After the kill the
 * database is opened, and its document has to be the model's at its revision, which is the last
 * acknowledged one or the one after it.
 */
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "base/secret.h"
#include "store_internal.h"
#include "test_place.h"

#define KILLS 50
#define SNAPSHOT_EVERY 3 /* so that many kills meet one */
#define CHUNK 64 /* transactions that the writer makes at least before the kill may come */

static uint64_t seed;

/* Numbers that depend on the revision and the seed only. */
struct numbers {
	uint64_t state;
};

static struct numbers numbers_of(uint64_t revision)
{
	return (struct numbers){ seed ^ (revision * UINT64_C(0x9e3779b97f4a7c15)) };
}

static unsigned pick(struct numbers *numbers, unsigned below)
{
	uint64_t z = numbers->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (unsigned)((z ^ z >> 31) >> 33) % below;
}

/* The operations of one revision, the first of which always changes something. */
static unsigned operation_count(struct numbers *numbers)
{
	return 1 + pick(numbers, 8);
}

struct operation {
	char pointer[64];
	json_t *value; /* NULL: remove */
};

static struct operation next_operation(struct numbers *numbers, uint64_t revision, unsigned index)
{
	struct operation op = { .value = NULL };

	if (index == 0) {
		(void)snprintf(op.pointer, sizeof(op.pointer), "/revision");
		op.value = json_integer((json_int_t)revision);
		return op;
	}
	(void)snprintf(op.pointer, sizeof(op.pointer), "/forwards/192.0.2.1:%u",
		       pick(numbers, 100));
	if (pick(numbers, 3) > 0)
		op.value = json_pack("{s:i, s:s}", "count", (int)pick(numbers, 1000), "label",
				     "some text that fills the page");
	return op;
}

/* The document of a revision; @from is that of the one before it. */
static void replay(json_t **document, uint64_t revision)
{
	CLEANUP(edit_log_done) struct edit_log log = { 0 };
	struct numbers numbers = numbers_of(revision);
	unsigned count = operation_count(&numbers);

	for (unsigned i = 0; i < count; i++) {
		struct operation op = next_operation(&numbers, revision, i);

		if (op.value)
			assert_int_equal(
				edit_put(&log, document, op.pointer, op.value, EDIT_REPLACE), 0);
		else
			(void)edit_remove(&log, document, op.pointer);
	}
}

struct writer {
	struct store *store;
	uv_loop_t loop;
	int report;
};

static void write_next(struct writer *writer);

static void on_durable(void *context, int result, uint64_t revision)
{
	struct writer *writer = context;

	if (result < 0 || write(writer->report, &revision, sizeof(revision)) != sizeof(revision))
		_exit(3);
	write_next(writer);
}

static void write_next(struct writer *writer)
{
	uint64_t revision = store_revision(writer->store) + 1;
	struct numbers numbers = numbers_of(revision);
	unsigned count = operation_count(&numbers);
	struct store_txn *txn;

	if (store_begin(writer->store, &txn) < 0)
		_exit(4);
	for (unsigned i = 0; i < count; i++) {
		struct operation op = next_operation(&numbers, revision, i);
		int r = op.value ? store_put(txn, op.pointer, op.value)
				 : store_remove(txn, op.pointer);

		if (r < 0 && !(r == -ENOENT && !op.value))
			_exit(5);
	}
	if (store_commit(txn, &writer->loop, on_durable, writer) < 0)
		_exit(6);
}

static void run_writer(const char *path, int report)
{
	struct writer writer = { .report = report };

	if (uv_loop_init(&writer.loop) < 0 || store_open(path, &writer.store, NULL) < 0)
		_exit(2);
	disk_set_snapshot_every(writer.store->disk, store_revision(writer.store), SNAPSHOT_EVERY);
	write_next(&writer);
	(void)uv_run(&writer.loop, UV_RUN_DEFAULT);
	_exit(7);
}

/* Reads what the writer acknowledged, kills it in the midst of it and returns the last of all. */
static uint64_t run_and_kill(const char *path, uint64_t last)
{
	unsigned reports = CHUNK + (unsigned)random() % CHUNK;
	struct timespec pause = { 0, random() % 3000000 };
	uint64_t revision;
	int ends[2];
	int status;
	pid_t pid;

	assert_int_equal(pipe(ends), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)close(ends[0]);
		run_writer(path, ends[1]);
	}
	(void)close(ends[1]);
	for (unsigned i = 0; read(ends[0], &revision, sizeof(revision)) == sizeof(revision); i++) {
		assert_int_equal(revision, last + 1);
		last = revision;
		if (i == reports) {
			(void)nanosleep(&pause, NULL); /* anywhere in a transaction */
			assert_int_equal(kill(pid, SIGKILL), 0);
		}
	}
	(void)close(ends[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFSIGNALED(status))
		fail_msg("the writer ended by itself, with %d, after revision %llu",
			 WEXITSTATUS(status), (unsigned long long)last);
	return last;
}

static void nothing_acknowledged_is_lost(void **state)
{
	const struct place *place = *state;
	json_t *model = value("{\"revision\": 1, \"forwards\": {}}");
	uint64_t modelled = 1;
	struct store *store = open_store(place);
	uint64_t last = 1;

	random_bytes(&seed, sizeof(seed));
	srandom((unsigned)seed);
	print_message("seed %llx\n", (unsigned long long)seed);
	put_now(store, "", "{\"revision\": 1, \"forwards\": {}}");
	store = store_close(store);
	for (int i = 0; i < KILLS; i++) {
		last = run_and_kill(place->path, last);
		store = open_store(place);
		assert_in_range(store_revision(store), last, last + 1);
		last = store_revision(store);
		while (modelled < last)
			replay(&model, ++modelled);
		assert_true(json_equal(store_document(store), model));
		store = store_close(store);
	}
	print_message("%llu revisions\n", (unsigned long long)last);
	json_decref(model);
}

int main(void)
{
	struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_acknowledged_is_lost),
	};

	return RUN_IN_PLACES(tests);
}
