#include "store/scope.h"

#include <string.h>

#include "codec/patch.h"
#include "codec/pointer.h"

/* What is left of @path below @base ("" for the same place), or NULL where it is elsewhere. */
static const char *below(const char *path, const char *base)
{
	size_t size = strlen(base);

	if (strncmp(path, base, size) != 0 || (path[size] && path[size] != '/'))
		return NULL;
	return path + size;
}

/* The operation with another path and value; NULL where memory ran out. */
static json_t *rebuild(const char *op, const char *path, json_t *value)
{
	if (!value)
		return json_pack("{s:s, s:s}", "op", op, "path", path);
	return json_pack("{s:s, s:s, s:O}", "op", op, "path", path, "value", value);
}

/* The operation as it is seen from @pointer: *ret is NULL where it does not matter there. */
static int scope_operation(const json_t *operation, const char *pointer, json_t **ret)
{
	const char *op = json_string_value(json_object_get(operation, "op"));
	const char *path = json_string_value(json_object_get(operation, "path"));
	json_t *value = json_object_get(operation, "value");
	const char *tail = below(path, pointer);

	*ret = NULL;
	if (tail && (*tail || value)) {
		*ret = rebuild(op, tail, value);
		return *ret ? 0 : -ENOMEM;
	}
	tail = below(pointer, path);
	if (!tail)
		return 0;
	value = value ? pointer_get(value, tail) : NULL;
	*ret = rebuild(json_object_get(operation, "value") ? op : "replace", "",
		       value ? value : json_null());
	return *ret ? 0 : -ENOMEM;
}

int scope_patch(const json_t *patch, const char *pointer, json_t **ret)
{
	json_t *scoped = json_array();
	const json_t *operation;
	size_t i;

	if (!scoped)
		return -ENOMEM;
	json_array_foreach(patch, i, operation) {
		json_t *own;

		if (scope_operation(operation, pointer, &own) < 0 ||
		    (own && json_array_append_new(scoped, own) < 0)) {
			json_decref(scoped);
			return -ENOMEM;
		}
	}
	*ret = scoped;
	return 0;
}
