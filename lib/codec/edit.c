#include "codec/edit.h"

#include <string.h>

#include "codec/pointer.h"

/* Where an edit takes place. */
struct place {
	json_t *parent; /* borrowed; NULL: the place is the root */
	struct text parent_pointer;
	struct text token;
	size_t index; /* in an array */
	json_t *present; /* borrowed; NULL: nothing is there */
};

static void place_done(struct place *place)
{
	text_done(&place->parent_pointer);
	text_done(&place->token);
}
DEFINE_CLEANUP_DONE(struct place, place_done);

static int place_in_array(struct place *place)
{
	const char *token = text_string(&place->token);
	size_t size = json_array_size(place->parent);

	if (strcmp(token, "-") == 0) {
		place->index = size;
		return 0;
	}
	if (pointer_index(token, &place->index) < 0 || place->index > size)
		return -ENOENT;
	place->present = json_array_get(place->parent, place->index);
	return 0;
}

/* Finds a place whose parent exists. Returns 0, -ENOENT, -EINVAL, -ENOMEM. */
static int place_find(json_t *root, const char *pointer, struct place *place)
{
	int r;

	if (!*pointer) {
		place->present = root;
		return 0;
	}
	r = pointer_split(pointer, &place->parent_pointer, &place->token);
	if (r < 0)
		return r;
	place->parent = pointer_get(root, text_string(&place->parent_pointer));
	if (json_is_array(place->parent))
		return place_in_array(place);
	if (!json_is_object(place->parent))
		return -ENOENT;
	place->present = json_object_get(place->parent, text_string(&place->token));
	return 0;
}

static char *place_pointer(struct place *place)
{
	if (!place->parent)
		return strdup("");
	if (json_is_array(place->parent))
		text_printf(&place->parent_pointer, "/%zu", place->index);
	else
		pointer_append(&place->parent_pointer, text_string(&place->token));
	return text_take(&place->parent_pointer);
}

/* Changes the tree; takes a reference of @value. Returns 0 or -ENOMEM. */
static int place_put(json_t **root, const struct place *place, json_t *value, bool insert)
{
	int r;

	if (!place->parent) {
		json_decref(*root);
		*root = json_incref(value);
		return 0;
	}
	if (json_is_object(place->parent))
		r = json_object_set(place->parent, text_string(&place->token), value);
	else if (insert)
		r = json_array_insert(place->parent, place->index, value);
	else
		r = json_array_set(place->parent, place->index, value);
	return r < 0 ? -ENOMEM : 0;
}

static void place_remove(const struct place *place)
{
	if (json_is_object(place->parent))
		(void)json_object_del(place->parent, text_string(&place->token));
	else
		(void)json_array_remove(place->parent, place->index);
}

static void edit_done(struct edit *edit)
{
	free(edit->pointer);
	json_decref(edit->before);
	json_decref(edit->after);
	*edit = (struct edit){ 0 };
}
DEFINE_CLEANUP_DONE(struct edit, edit_done);

void edit_log_done(struct edit_log *log)
{
	for (size_t i = 0; i < log->count; i++)
		edit_done(&log->edits[i]);
	free(log->edits);
	*log = (struct edit_log){ 0 };
}

static json_t *copy_array(const json_t *array)
{
	json_t *copy = json_array();
	const json_t *value;
	size_t i;

	json_array_foreach(array, i, value) {
		if (!copy || json_array_append_new(copy, edit_copy(value)) < 0) {
			json_decref(copy);
			return NULL;
		}
	}
	return copy;
}

static json_t *copy_object(const json_t *object)
{
	json_t *copy = json_object();
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)object, name, value) {
		if (!copy || json_object_set_new_nocheck(copy, name, edit_copy(value)) < 0) {
			json_decref(copy);
			return NULL;
		}
	}
	return copy;
}

json_t *edit_copy(const json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return copy_object(value);
	case JSON_ARRAY:
		return copy_array(value);
	default:
		return json_incref((json_t *)value);
	}
}

/* Makes room for one more edit, so that nothing can fail once the tree has changed. */
static int edit_log_reserve(struct edit_log *log)
{
	size_t capacity = log->capacity ? log->capacity * 2 : 8;
	struct edit *edits;

	if (log->count < log->capacity)
		return 0;
	edits = reallocarray(log->edits, capacity, sizeof(*edits));
	if (!edits)
		return -ENOMEM;
	log->edits = edits;
	log->capacity = capacity;
	return 0;
}

static void edit_log_append(struct edit_log *log, struct edit *edit)
{
	log->edits[log->count++] = *edit;
	*edit = (struct edit){ 0 };
}

int edit_put(struct edit_log *log, json_t **root, const char *pointer, json_t *value,
	     enum edit_mode mode)
{
	CLEANUP(place_done) struct place place = { 0 };
	CLEANUP(edit_done) struct edit edit = { .after = value };
	bool insert;
	int r;

	r = place_find(*root, pointer, &place);
	if (r < 0)
		return r;
	insert = !place.present || (mode == EDIT_ADD && json_is_array(place.parent));
	edit.before = insert ? NULL : json_incref(place.present);
	edit.pointer = place_pointer(&place);
	if (!edit.pointer || edit_log_reserve(log) < 0)
		return -ENOMEM;
	r = place_put(root, &place, value, insert);
	if (r < 0)
		return r;
	edit_log_append(log, &edit);
	return 0;
}

int edit_remove(struct edit_log *log, json_t **root, const char *pointer)
{
	CLEANUP(place_done) struct place place = { 0 };
	CLEANUP(edit_done) struct edit edit = { 0 };
	int r;

	r = place_find(*root, pointer, &place);
	if (r < 0)
		return r;
	if (!place.parent)
		return -EINVAL;
	if (!place.present)
		return -ENOENT;
	edit.before = json_incref(place.present);
	edit.pointer = place_pointer(&place);
	if (!edit.pointer || edit_log_reserve(log) < 0)
		return -ENOMEM;
	place_remove(&place);
	edit_log_append(log, &edit);
	return 0;
}

/* The tree is as it was right after the edit, so its pointer leads to the same place again. */
static int edit_undo(json_t **root, const struct edit *edit)
{
	CLEANUP(place_done) struct place place = { 0 };
	int r;

	r = place_find(*root, edit->pointer, &place);
	if (r < 0)
		return r;
	if (edit->before)
		return place_put(root, &place, edit->before, !edit->after);
	place_remove(&place);
	return 0;
}

int edit_log_undo(struct edit_log *log, json_t **root, size_t count)
{
	while (log->count > count) {
		int r = edit_undo(root, &log->edits[log->count - 1]);

		if (r < 0)
			return r;
		edit_done(&log->edits[--log->count]);
	}
	return 0;
}
