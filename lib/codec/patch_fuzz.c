/*
 * The first line is a document, the second another one, which is also tried as a patch
 *
 * A patch that was undone, as a whole or where it failed, leaves the equal document; what the log
 * says was done has the same effect when it is replayed; the difference of two documents turns the
 * one into the other.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "codec/diff.h"
#include "codec/json_parse.h"
#include "codec/patch.h"
#include "codec/pointer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static json_t *parse(const char *text, size_t size)
{
	const struct json_limits limits = { .size = 4096, .depth = 16 };
	json_t *value = NULL;

	(void)json_parse(text, size, &limits, &value, NULL);
	return value;
}

/* The operations that a log says were done, with the values as they were in the end. */
static json_t *patch_of(const struct edit_log *log)
{
	json_t *patch = json_array();

	for (size_t i = 0; i < log->count; i++) {
		const struct edit *edit = &log->edits[i];

		assert(pointer_valid(edit->pointer));
		assert(json_array_append_new(patch, patch_operation(edit->pointer, edit->before,
								    edit->after)) == 0);
	}
	return patch;
}

static void check_patch(const json_t *document, const json_t *patch)
{
	CLEANUP(edit_log_done) struct edit_log log = { 0 };
	struct fault fault = { 0 };
	json_t *changed = json_deep_copy(document);
	int r = patch_apply(&changed, patch, &log, &fault);

	assert(r <= 0 && r != -ENOMEM && fault_is_set(&fault) == (r < 0));
	fault_done(&fault);
	assert(r < 0 || log.count <= json_array_size(patch) * 2);
	assert(edit_log_undo(&log, &changed, 0) == 0 && log.count == 0);
	assert(json_equal(changed, document));
	json_decref(changed);
}

static void check_difference(const json_t *from, const json_t *to)
{
	CLEANUP(edit_log_done) struct edit_log log = { 0 };
	json_t *changed = json_deep_copy(from);
	json_t *patch = NULL;
	json_t *said;

	assert(json_diff(from, to, &patch) == 0);
	assert(json_equal(from, to) == (json_array_size(patch) == 0));
	assert(patch_apply(&changed, patch, &log, NULL) == 0);
	assert(json_equal(changed, to));
	said = patch_of(&log); /* a difference changes nothing twice, so it says the same */
	assert(json_equal(said, patch));
	assert(edit_log_undo(&log, &changed, 0) == 0);
	assert(json_equal(changed, from));
	json_decref(said);
	json_decref(patch);
	json_decref(changed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	const char *end = size > 0 ? memchr(text, '\n', size) : NULL;
	json_t *first;
	json_t *second;

	if (!end)
		return 0;
	first = parse(text, (size_t)(end - text));
	second = parse(end + 1, size - (size_t)(end + 1 - text));
	if (first && second) {
		check_patch(first, second);
		check_difference(first, second);
		check_difference(second, first);
	}
	json_decref(first);
	json_decref(second);
	return 0;
}
