/*
 * Tables for a terminal, in the form of tunnel.md 2.8
 *
 * A grid of "+", "-" and "|" with a line after every row. Columns are as wide as their widest cell,
 * measured in terminal columns of UTF-8. The header is bold and centred where colour is wanted.
 * Embedded in its owner; zeroed is empty. Running out of memory shows in the text's error.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/text.h"

struct grid {
	char **cells; /* row by row, the header first */
	size_t cell_count;
	size_t cell_capacity;
	size_t columns;
	int error;
};

void grid_done(struct grid *grid);
DEFINE_CLEANUP_DONE(struct grid, grid_done);

/* Whether grid_write() marks the header; off by default, set once by the command for a terminal. */
void grid_use_attributes(bool use);

/* Names the columns; comes first. The texts are copied, here and below. */
void grid_header(struct grid *grid, const char *const *columns, size_t count);

/* Appends a row of as many cells as there are columns. */
void grid_row(struct grid *grid, const char *const *cells);

void grid_write(const struct grid *grid, struct text *to);
