/*
 * Compact JSON text of a large tree
 *
 * The same bytes as json_dumps() with JSON_COMPACT | JSON_ENCODE_ANY makes, in a fraction of the time:
 * there is no search for loops, so the tree must have none. For whole documents; elsewhere the library
 * is as good.
 */
#pragma once

#include <jansson.h>

#include "base/text.h"

/* Appends the text of @value. text_error() tells how that went. */
void json_text_append(struct text *to, const json_t *value);
