#include "document/redact.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/cleanup.h"

#define DEPTH_MAX 6

/* Where secrets are; "*" is any member. No name here has a character that a pointer escapes, so names
 * are compared with the tokens of pointers as they are. */
static const char *const secrets[][DEPTH_MAX + 1] = {
	{ "password" },
	{ "sessions" }, /* members are named by the hashes of tokens */
	{ "webserver", "certificate", "key" },
	{ "webserver", "authority", "rootKey" },
	{ "webserver", "authority", "intermediateKey" },
	{ "wg", "key" },
	{ "wg", "subnets", "*", "clients", "*", "key" },
	{ "wg", "subnets", "*", "clients", "*", "psk" },
};

/* A place on the way down: which rows of the table it is on the way to. */
struct place {
	unsigned rows; /* bit set */
	unsigned depth;
};

#define ROOT                                                                                       \
	(struct place)                                                                             \
	{                                                                                          \
		.rows = (1U << ARRAY_SIZE(secrets)) - 1                                            \
	}

static struct place descend(struct place from, const char *name, size_t size)
{
	struct place to = { .depth = from.depth + 1 };

	for (unsigned i = 0; i < ARRAY_SIZE(secrets); i++) {
		const char *wanted = (from.rows & 1U << i) ? secrets[i][from.depth] : NULL;

		if (wanted && (strcmp(wanted, "*") == 0 ||
			       (strncmp(wanted, name, size) == 0 && wanted[size] == '\0')))
			to.rows |= 1U << i;
	}
	return to;
}

/* No place lies on the way to two secrets of which one is below the other. */
static bool is_secret(struct place place)
{
	for (unsigned i = 0; i < ARRAY_SIZE(secrets); i++)
		if ((place.rows & 1U << i) && !secrets[i][place.depth])
			return true;
	return false;
}

/* Follows a pointer. Whether the place lies below a secret. */
static bool find_place(const char *pointer, struct place *ret)
{
	struct place place = ROOT;

	while (*pointer == '/' && place.rows != 0) {
		size_t size = strcspn(pointer + 1, "/");

		if (is_secret(place))
			return true;
		place = descend(place, pointer + 1, size);
		pointer += 1 + size;
	}
	*ret = place;
	return false;
}

static json_t *placeholder(const json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_STRING:
		return json_string("");
	case JSON_OBJECT:
		return json_object();
	case JSON_ARRAY:
		return json_array();
	case JSON_INTEGER:
	case JSON_REAL:
		return json_integer(0);
	case JSON_TRUE:
	case JSON_FALSE:
		return json_false();
	default:
		return json_null();
	}
}

static json_t *redact_at(json_t *value, struct place place);

static json_t *redact_object(json_t *object, struct place place)
{
	json_t *copy = NULL, *member;
	const char *name;

	json_object_foreach(object, name, member) {
		json_t *seen = redact_at(member, descend(place, name, strlen(name)));

		if (seen == member) {
			json_decref(seen);
			continue;
		}
		if (!copy)
			copy = json_copy(object); /* its members are shared */
		if (!copy) {
			json_decref(seen);
			return NULL;
		}
		if (json_object_set_new(copy, name, seen) < 0) {
			json_decref(copy);
			return NULL;
		}
	}
	return copy ? copy : json_incref(object);
}

/* The elements of an array are members that only "*" fits. */
static json_t *redact_array(json_t *array, struct place place)
{
	struct place below = descend(place, "0", 1);
	json_t *copy = NULL, *element;
	size_t i;

	if (below.rows == 0)
		return json_incref(array);
	copy = json_array();
	json_array_foreach(array, i, element)
		if (json_array_append_new(copy, redact_at(element, below)) < 0) {
			json_decref(copy);
			return NULL;
		}
	return copy;
}

/* A new reference, to @value itself where it holds no secret; NULL: out of memory. */
static json_t *redact_at(json_t *value, struct place place)
{
	if (place.rows == 0)
		return json_incref(value);
	if (is_secret(place))
		return placeholder(value);
	if (json_is_object(value))
		return redact_object(value, place);
	if (json_is_array(value))
		return redact_array(value, place);
	return json_incref(value);
}

int redact_value(const char *pointer, const json_t *value, json_t **ret)
{
	struct place place;
	json_t *seen;

	if (!value || find_place(pointer, &place))
		seen = json_null();
	else
		seen = redact_at((json_t *)value, place);
	if (!seen)
		return -ENOMEM;
	*ret = seen;
	return 0;
}

/* The operation as it may be seen; *ret is NULL where it may not. */
static int redact_operation(json_t *operation, json_t **ret)
{
	const char *op = json_string_value(json_object_get(operation, "op"));
	const char *path = json_string_value(json_object_get(operation, "path"));
	json_t *value = json_object_get(operation, "value"), *seen;
	struct place place;

	*ret = NULL;
	if (!op || !path)
		return -EINVAL;
	if (strcmp(op, "remove") != 0 &&
	    (!value || (strcmp(op, "add") != 0 && strcmp(op, "replace") != 0)))
		return -EINVAL;
	if (find_place(path, &place))
		return 0;
	if (strcmp(op, "remove") == 0 || place.rows == 0) {
		*ret = json_incref(operation);
		return 0;
	}
	seen = redact_at(value, place);
	if (seen == value) {
		json_decref(seen);
		*ret = json_incref(operation);
	} else if (seen) {
		*ret = json_pack("{s:s, s:s, s:o}", "op", op, "path", path, "value", seen);
	}
	return *ret ? 0 : -ENOMEM;
}

int redact_patch(const json_t *patch, json_t **ret)
{
	json_t *seen = json_array(), *operation;
	size_t i;
	int r = seen ? 0 : -ENOMEM;

	json_array_foreach(patch, i, operation) {
		json_t *own = NULL;

		if (r == 0)
			r = redact_operation(operation, &own);
		if (own && json_array_append_new(seen, own) < 0)
			r = -ENOMEM;
	}
	if (r < 0) {
		json_decref(seen);
		return r;
	}
	*ret = seen;
	return 0;
}
