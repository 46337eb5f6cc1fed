/*
 * Single changes of a JSON tree, and their undoing
 *
 * Each change of a tree is noted in a log, from which the tree is brought back exactly (but for the
 * order of members). A tree under edit owns its objects and arrays alone: a value that is put in
 * must have none that are part of another tree, so that a later change inside it changes nothing
 * else. Strings and numbers may be shared, as none is ever changed in place. The cost of a change is
 * that of its pointer, and of moving the elements of an array; it does not grow with the document.
 */
#pragma once

#include <jansson.h>
#include <stddef.h>

#include "base/cleanup.h"

/* What was done at a place: without `before` it was added, without `after` removed. */
struct edit {
	char *pointer; /* "-" is resolved to the index */
	json_t *before;
	json_t *after; /* the node of the tree: later edits may change it */
};

/* Embedded in its owner; zeroed it is empty. */
struct edit_log {
	struct edit *edits;
	size_t count;
	size_t capacity;
};

/* Forgets the edits; the tree stays as it is. */
void edit_log_done(struct edit_log *log);
DEFINE_CLEANUP_DONE(struct edit_log, edit_log_done);

/* A copy with objects and arrays of its own; strings and numbers are shared. NULL: no memory. */
json_t *edit_copy(const json_t *value);

enum edit_mode {
	EDIT_ADD, /* RFC 6902 section 4.1: sets a member, inserts an element */
	EDIT_REPLACE, /* section 4.3, but where nothing is there, adds */
};

/*
 * Puts @value, which is taken also on failure. Returns 0, -ENOENT (no such parent, an index past
 * the end), -EINVAL (malformed pointer), -ENOMEM. A failure changes nothing.
 */
int edit_put(struct edit_log *log, json_t **root, const char *pointer, json_t *value,
	     enum edit_mode mode);

/* Removes a value. Returns 0, -ENOENT, -EINVAL (malformed pointer, or the root), -ENOMEM. */
int edit_remove(struct edit_log *log, json_t **root, const char *pointer);

/*
 * Undoes the edits beyond the first @count, the last one first, and forgets them. Returns 0, or
 * -ENOMEM: what is still to be undone stays in the log, and the call may be repeated.
 */
int edit_log_undo(struct edit_log *log, json_t **root, size_t count);
