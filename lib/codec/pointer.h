/*
 * JSON pointers, RFC 6901, on jansson trees
 *
 * A pointer is "" for the whole document or begins with "/"; "~0" stands for "~" and "~1" for "/".
 * Array indices are decimal without leading zeroes. Trees are borrowed.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "base/text.h"

#define POINTER_MAX 4096 /* bytes */

bool pointer_valid(const char *pointer);

/* The value, or NULL where there is none or the pointer is malformed. */
json_t *pointer_get(const json_t *document, const char *pointer);

/* An array index: decimal, no leading zeroes. Returns 0 or -EINVAL. */
int pointer_index(const char *token, size_t *ret);

/* Appends "/" and the escaped name of a member. */
void pointer_append(struct text *to, const char *member);

/*
 * Splits the last token off: the parent's pointer goes to @parent, the unescaped token to @token.
 * Returns 0, -EINVAL (malformed, or "" which has no parent), -ENOMEM.
 */
int pointer_split(const char *pointer, struct text *parent, struct text *token);
