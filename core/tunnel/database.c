/* db.*, tunnel.md 2.7 */
#include "tunnel/job.h"

#include "codec/jq.h"
#include "codec/pointer.h"
#include "document/migrations.h"
#include "document/redact.h"
#include "tunnel/port_mapper.h"
#include "tunnel/records.h"

/* What is at a pointer is part of the document still: it is serialised before the next edit. */
int database_part(const struct store *store, const char *pointer, bool secrets, json_t **ret)
{
	json_t *value = pointer_get(store_document(store), pointer);
	int r = 0;

	if (secrets)
		value = value ? json_incref(value) : json_null();
	else
		r = redact_value(pointer, value, &value);
	if (r < 0)
		return r;
	*ret = json_pack("{s:I, s:o}", "id", (json_int_t)store_revision(store), "value", value);
	return *ret ? 0 : -ENOMEM;
}

static void run_dump(struct job *job)
{
	CLEANUP(fault_done) struct fault fault = { 0 };
	json_t *result = NULL;
	int r = database_part(job->tunnel->store, rpc_string(job->call, "pointer"),
			      job_sees_secrets(job), &result);

	if (r < 0)
		(void)fault_set_errno(&fault, r, FAULT_UNKNOWN, "reading the document");
	job_done(job, result, &fault);
}

void database_dump(struct rpc_call *call)
{
	tunnel_job(rpc_context(call), call, run_dump);
}

/* db.apply runs the filter in a process of its own; the job holds the document meanwhile. What it says of a
 * failure quotes what it met, secrets too: no login gets here (RPC_NO_SESSION). */

static int check_result(json_t *document, struct fault *fault)
{
	int r = document_check(document, fault);

	if (r < 0)
		fault_prefix(fault, "the filter's result is not a valid document");
	return r;
}

/* What devices made goes with the permission to make it, as it does by the methods. */
static void close_unpermitted(const json_t *before, json_t *after)
{
	port_mapper_close_unpermitted(before, after);
	records_close_unpermitted(before, after);
}

static int change_apply(struct job *job, const json_t *params, struct fault *fault)
{
	close_unpermitted(job_document(job), job->document);
	return store_put_document(job->txn, TAKE_PTR(job->document));
}

static void on_filtered(void *context, json_t *result, struct fault *fault)
{
	CLEANUP(fault_done) struct fault invalid = { 0 };
	struct job *job = context;

	if (!result) {
		job_done(job, NULL, fault);
		return;
	}
	if (check_result(result, &invalid) == 0) {
		job->document = result;
		job_edit_whole(job, change_apply);
		return;
	}
	json_decref(result);
	job_done(job, NULL, &invalid);
}

static void run_apply(struct job *job)
{
	CLEANUP(fault_done) struct fault fault = { 0 };
	const char *filter = param_string(rpc_params(job->call), "expr");
	int r = jq_run(job->tunnel->loop, filter, job_document(job), NULL, on_filtered, job);

	if (r == 0)
		return;
	(void)fault_set_errno(&fault, r, FAULT_UNKNOWN, "running the filter");
	job_done(job, NULL, &fault);
}

void database_apply(struct rpc_call *call)
{
	tunnel_job(rpc_context(call), call, run_apply);
}

/* The same on the file of a stopped daemon, by the command itself. */

static int open_file(const json_t *params, struct store **ret, struct fault *fault)
{
	const char *path = param_string(params, "path");

	if (access(path, F_OK) < 0)
		return fault_set_errno(fault, -errno, FAULT_FILESYSTEM, "opening the database %s",
				       path);
	return store_open(path, ret, fault);
}

int database_dump_local(struct rpc_client *client, const json_t *params, json_t **ret_result,
			struct fault *fault)
{
	CLEANUP(store_close) struct store *store = NULL;
	const char *pointer;
	int r;

	if (!param_string(params, "path"))
		return 0;
	r = open_file(params, &store, fault);
	/* A command that opens the file itself has what was typed alone. */
	pointer = param_string(params, "pointer");
	if (r == 0)
		r = database_part(store, pointer ? pointer : "", true, ret_result);
	return r < 0 ? fault_set_errno(fault, r, FAULT_UNKNOWN, "reading the document") : 1;
}

int database_apply_local(struct rpc_client *client, const json_t *params, json_t **ret_result,
			 struct fault *fault)
{
	CLEANUP(store_close) struct store *store = NULL;
	struct store_txn *txn;
	json_t *document;
	int r;

	if (!param_string(params, "path"))
		return 0;
	r = open_file(params, &store, fault);
	if (r == 0)
		r = store_migrate(store, document_migrations, fault);
	if (r == 0)
		r = jq_run_now(param_string(params, "expr"), store_document(store), NULL, &document,
			       fault);
	if (r < 0)
		return r;
	r = check_result(document, fault);
	if (r == 0)
		r = store_begin(store, &txn);
	if (r < 0) {
		json_decref(document);
		return r;
	}
	close_unpermitted(store_document(store), document);
	r = store_put_document(txn, document);
	if (r < 0)
		store_abort(txn);
	else
		r = store_commit_now(txn);
	*ret_result = json_null();
	return r < 0 ? fault_set_errno(fault, r, FAULT_DATABASE, "writing the database") : 1;
}
