/*
 * JSON patches, RFC 6902
 *
 * With one deviation (rpc-and-patchdb.md 4.3): `replace` of what is not there adds it.
 */
#pragma once

#include <jansson.h>

#include "base/fault.h"
#include "codec/edit.h"

/*
 * Applies the operations of @patch in order; each is noted in @log. The values of @patch are
 * copied. Returns 0, or -EINVAL (malformed patch or pointer), -ENOENT (no such place), -EEXIST (a
 * `test` that does not hold), -ENOMEM, with a fault (FAULT_DATABASE) that names the operation.
 * After a failure the earlier operations stay in force and in @log: edit_log_undo() takes them
 * back.
 */
int patch_apply(json_t **document, const json_t *patch, struct edit_log *log, struct fault *fault);

/* The same for a patch that nobody else has; it is taken, and its values are not copied. */
int patch_consume(json_t **document, json_t *patch, struct edit_log *log, struct fault *fault);

/* The operation that an edit was, as an object {op, path, value}; @after stands for its value. NULL
 * where memory ran out. */
json_t *patch_operation(const char *pointer, const json_t *before, json_t *after);
