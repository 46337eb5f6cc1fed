#include "codec/diff.h"

#include "codec/patch.h"
#include "codec/pointer.h"

struct diff {
	json_t *patch;
	struct text pointer; /* of the values that are being compared */
};

static int diff_values(struct diff *diff, const json_t *from, const json_t *to);

/* Appends an operation on the value at the present pointer. */
static int emit(struct diff *diff, const json_t *before, const json_t *after)
{
	json_t *op;

	if (text_error(&diff->pointer) < 0)
		return text_error(&diff->pointer);
	op = patch_operation(text_string(&diff->pointer), before, (json_t *)after);
	return op && json_array_append_new(diff->patch, op) == 0 ? 0 : -ENOMEM;
}

static void leave(struct diff *diff, size_t size)
{
	if (diff->pointer.error == 0 && diff->pointer.data) {
		diff->pointer.size = size;
		diff->pointer.data[size] = '\0';
	}
}

/* Either may be NULL: there is no such member on that side. */
static int diff_member(struct diff *diff, const char *name, const json_t *from, const json_t *to)
{
	size_t size = diff->pointer.size;
	int r;

	pointer_append(&diff->pointer, name);
	r = from && to ? diff_values(diff, from, to) : emit(diff, from, to);
	leave(diff, size);
	return r;
}

static int diff_element(struct diff *diff, size_t index, const json_t *from, const json_t *to)
{
	char name[24];

	(void)snprintf(name, sizeof(name), "%zu", index);
	return diff_member(diff, name, from, to);
}

static int diff_objects(struct diff *diff, const json_t *from, const json_t *to)
{
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)from, name, value) {
		int r = json_object_get(to, name) ? 0 : diff_member(diff, name, value, NULL);

		if (r < 0)
			return r;
	}
	json_object_foreach((json_t *)to, name, value) {
		int r = diff_member(diff, name, json_object_get(from, name), value);

		if (r < 0)
			return r;
	}
	return 0;
}

/*
 * What is equal at both ends stays; the middles are compared one by one, and what is left over of
 * the longer one is removed or added at the running index.
 */
static int diff_arrays(struct diff *diff, const json_t *from, const json_t *to)
{
	size_t old = json_array_size(from);
	size_t new = json_array_size(to);
	size_t i = 0;
	int r = 0;

	if (old != new) {
		while (i < old &&
		       i < new &&json_equal(json_array_get(from, i), json_array_get(to, i)))
			i++;
		while (old > i && new > i &&
		       json_equal(json_array_get(from, old - 1), json_array_get(to, new - 1))) {
			old--;
			new --;
		}
	}
	for (; r == 0 && i < old && i < new; i++)
		r = diff_element(diff, i, json_array_get(from, i), json_array_get(to, i));
	for (size_t gone = i; r == 0 && gone < old; gone++)
		r = diff_element(diff, i, json_array_get(from, gone), NULL);
	for (; r == 0 && i < new; i++)
		r = diff_element(diff, i, NULL, json_array_get(to, i));
	return r;
}

static int diff_values(struct diff *diff, const json_t *from, const json_t *to)
{
	if (json_is_object(from) && json_is_object(to))
		return diff_objects(diff, from, to);
	if (json_is_array(from) && json_is_array(to))
		return diff_arrays(diff, from, to);
	return json_equal(from, to) ? 0 : emit(diff, from, to);
}

int json_diff(const json_t *from, const json_t *to, json_t **ret)
{
	struct diff diff = { .patch = json_array(), .pointer.max = POINTER_MAX };
	int r = diff.patch ? diff_values(&diff, from, to) : -ENOMEM;

	text_done(&diff.pointer);
	if (r < 0)
		json_decref(diff.patch);
	else
		*ret = diff.patch;
	return r;
}
