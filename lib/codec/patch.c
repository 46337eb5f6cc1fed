#include "codec/patch.h"

#include <string.h>

#include "codec/pointer.h"

struct operation {
	const char *path;
	const char *from; /* NULL where there is none */
	json_t *value; /* borrowed; NULL where there is none */
	bool own; /* the value may become part of the document as it is */
};

static int put(json_t **document, const struct operation *op, struct edit_log *log,
	       enum edit_mode mode)
{
	json_t *value;

	if (!op->value)
		return -EINVAL;
	value = op->own ? json_incref(op->value) : edit_copy(op->value);
	if (!value)
		return -ENOMEM;
	return edit_put(log, document, op->path, value, mode);
}

static int apply_add(json_t **document, const struct operation *op, struct edit_log *log)
{
	return put(document, op, log, EDIT_ADD);
}

static int apply_replace(json_t **document, const struct operation *op, struct edit_log *log)
{
	return put(document, op, log, EDIT_REPLACE);
}

static int apply_remove(json_t **document, const struct operation *op, struct edit_log *log)
{
	return edit_remove(log, document, op->path);
}

/* The value that a copy or move begins from. */
static int find_from(json_t *document, const struct operation *op, json_t **ret)
{
	if (!op->from || !pointer_valid(op->from))
		return -EINVAL;
	*ret = pointer_get(document, op->from);
	return *ret ? 0 : -ENOENT;
}

static int apply_copy(json_t **document, const struct operation *op, struct edit_log *log)
{
	json_t *value;
	int r;

	r = find_from(*document, op, &value);
	if (r < 0)
		return r;
	value = edit_copy(value);
	if (!value)
		return -ENOMEM;
	return edit_put(log, document, op->path, value, EDIT_ADD);
}

static int apply_move(json_t **document, const struct operation *op, struct edit_log *log)
{
	json_t *value;
	size_t size;
	int r;

	r = find_from(*document, op, &value);
	if (r < 0)
		return r;
	size = strlen(op->from);
	if (strcmp(op->path, op->from) == 0)
		return 0;
	if (strncmp(op->path, op->from, size) == 0 && op->path[size] == '/')
		return -EINVAL; /* RFC 6902 section 4.4: nothing moves into itself */
	json_incref(value);
	r = edit_remove(log, document, op->from);
	if (r < 0) {
		json_decref(value);
		return r;
	}
	return edit_put(log, document, op->path, value, EDIT_ADD);
}

static int apply_test(json_t **document, const struct operation *op, struct edit_log *log)
{
	const json_t *present = pointer_get(*document, op->path);

	(void)log;
	if (!op->value || !pointer_valid(op->path))
		return -EINVAL;
	if (!present)
		return -ENOENT;
	return json_equal(present, op->value) ? 0 : -EEXIST;
}

static const struct {
	const char *name;
	int (*apply)(json_t **document, const struct operation *op, struct edit_log *log);
} operations[] = {
	{ "add", apply_add },	{ "remove", apply_remove }, { "replace", apply_replace },
	{ "copy", apply_copy }, { "move", apply_move },	    { "test", apply_test },
};

static int apply_operation(json_t **document, const json_t *item, bool own, struct edit_log *log)
{
	const char *name = json_string_value(json_object_get(item, "op"));
	const struct operation op = {
		.path = json_string_value(json_object_get(item, "path")),
		.from = json_string_value(json_object_get(item, "from")),
		.value = json_object_get(item, "value"),
		.own = own,
	};

	if (!name || !op.path)
		return -EINVAL;
	for (size_t i = 0; i < ARRAY_SIZE(operations); i++)
		if (strcmp(operations[i].name, name) == 0)
			return operations[i].apply(document, &op, log);
	return -EINVAL;
}

static const char *reason(int error)
{
	switch (error) {
	case -EINVAL:
		return "malformed";
	case -ENOENT:
		return "no such place in the document";
	case -EEXIST:
		return "the value there is another";
	default:
		return strerror(-error);
	}
}

static int apply(json_t **document, const json_t *patch, bool own, struct edit_log *log,
		 struct fault *fault)
{
	const json_t *item;
	size_t i;

	if (!json_is_array(patch)) {
		(void)fault_set(fault, FAULT_DATABASE, "a patch must be an array of operations");
		return -EINVAL;
	}
	json_array_foreach(patch, i, item) {
		int r = apply_operation(document, item, own, log);

		if (r < 0) {
			const char *name = json_string_value(json_object_get(item, "op"));
			const char *path = json_string_value(json_object_get(item, "path"));

			(void)fault_set(fault, FAULT_DATABASE,
					"operation %zu of the patch (%s %s): %s", i,
					name ? name : "?", path ? path : "?", reason(r));
			return r;
		}
	}
	return 0;
}

int patch_apply(json_t **document, const json_t *patch, struct edit_log *log, struct fault *fault)
{
	return apply(document, patch, false, log, fault);
}

int patch_consume(json_t **document, json_t *patch, struct edit_log *log, struct fault *fault)
{
	int r = apply(document, patch, true, log, fault);

	json_decref(patch);
	return r;
}

json_t *patch_operation(const char *pointer, const json_t *before, json_t *after)
{
	if (!after)
		return json_pack("{s:s, s:s}", "op", "remove", "path", pointer);
	return json_pack("{s:s, s:s, s:O}", "op", before ? "replace" : "add", "path", pointer,
			 "value", after);
}
