#include "store_internal.h"

/* Whether the array at /migrations names it. */
static bool recorded(const json_t *document, const char *name)
{
	const json_t *item;
	size_t i;

	json_array_foreach(json_object_get(document, "migrations"), i, item) {
		const char *other = json_string_value(item);

		if (other && strcmp(other, name) == 0)
			return true;
	}
	return false;
}

static int record(json_t *document, const char *name)
{
	json_t *names = json_object_get(document, "migrations");

	if (!names && json_object_set_new(document, "migrations", json_array()) < 0)
		return -ENOMEM;
	names = json_object_get(document, "migrations");
	return json_array_append_new(names, json_string(name)) < 0 ? -ENOMEM : 0;
}

static int run(json_t *document, const struct store_migration *migrations, struct fault *fault)
{
	for (const struct store_migration *m = migrations; m->name; m++) {
		int r;

		if (recorded(document, m->name))
			continue;
		r = m->run(document, fault);
		if (r < 0) {
			fault_prefix(fault, "migration %s", m->name);
			return fault_set_errno(fault, r, FAULT_DATABASE, "migration %s", m->name);
		}
		r = record(document, m->name);
		if (r < 0)
			return fault_set_errno(fault, r, FAULT_DATABASE, "migration %s", m->name);
	}
	return 0;
}

static bool pending(const json_t *document, const struct store_migration *migrations)
{
	for (const struct store_migration *m = migrations; m->name; m++)
		if (!recorded(document, m->name))
			return true;
	return false;
}

/* Takes @document. */
static int commit(struct store *store, json_t *document)
{
	struct store_txn *txn;
	int r;

	r = store_begin(store, &txn);
	if (r < 0) {
		json_decref(document);
		return r;
	}
	r = store_put_document(txn, document);
	if (r < 0) {
		store_abort(txn);
		return r;
	}
	return store_commit_now(txn);
}

int store_migrate(struct store *store, const struct store_migration *migrations,
		  struct fault *fault)
{
	const json_t *present = store_document(store);
	const json_t *names = json_object_get(present, "migrations");
	json_t *document;
	int r;

	if (json_is_null(present) || !pending(present, migrations))
		return 0;
	if (!json_is_object(present) || (names && !json_is_array(names))) {
		(void)fault_set(fault, FAULT_DATABASE,
				"the document cannot be migrated: /migrations is no array");
		return -EBADMSG;
	}
	document = json_deep_copy(present);
	if (!document)
		return fault_set_errno(fault, -ENOMEM, FAULT_DATABASE, "cannot migrate");
	r = run(document, migrations, fault);
	if (r < 0) {
		json_decref(document);
		return r;
	}
	r = commit(store, document);
	if (r < 0)
		return fault_set_errno(fault, r, FAULT_DATABASE, "cannot store what was migrated");
	return 0;
}
