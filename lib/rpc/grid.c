#include "rpc/grid.h"

#include <stdint.h>

static bool attributes;

void grid_use_attributes(bool use)
{
	attributes = use;
}

void grid_done(struct grid *grid)
{
	for (size_t i = 0; i < grid->cell_count; i++)
		free(grid->cells[i]);
	free(grid->cells);
	*grid = (struct grid){ 0 };
}

static void append_cell(struct grid *grid, const char *text)
{
	size_t capacity = grid->cell_capacity ? grid->cell_capacity * 2 : 64;
	char **cells;
	char *copy;

	if (grid->error)
		return;
	if (grid->cell_count == grid->cell_capacity) {
		cells = realloc(grid->cells, capacity * sizeof(*cells));
		if (!cells) {
			grid->error = -ENOMEM;
			return;
		}
		grid->cells = cells;
		grid->cell_capacity = capacity;
	}
	copy = strdup(text);
	if (!copy)
		grid->error = -ENOMEM;
	else
		grid->cells[grid->cell_count++] = copy;
}

void grid_row(struct grid *grid, const char *const *cells)
{
	for (size_t i = 0; i < grid->columns; i++)
		append_cell(grid, cells[i]);
}

void grid_header(struct grid *grid, const char *const *columns, size_t count)
{
	grid->columns = count;
	grid_row(grid, columns);
}

/* Decodes one character of UTF-8 that is known to be valid; a stray byte counts as one. */
static uint32_t next_character(const char **text)
{
	const unsigned char *at = (const unsigned char *)*text;
	int more = at[0] >= 0xf0 ? 3 : at[0] >= 0xe0 ? 2 : at[0] >= 0xc0 ? 1 : 0;
	uint32_t c = more ? at[0] & (0x3fU >> more) : at[0];
	int i;

	for (i = 1; i <= more && (at[i] & 0xc0) == 0x80; i++)
		c = c << 6 | (at[i] & 0x3f);
	*text += i;
	return c;
}

/* East Asian wide characters and emoji take two columns, combining marks none. */
static size_t character_width(uint32_t c)
{
	static const struct {
		uint32_t first, last;
		size_t width;
	} ranges[] = {
		{ 0x0300, 0x036f, 0 },	 { 0x1100, 0x115f, 2 }, { 0x200b, 0x200f, 0 },
		{ 0x20d0, 0x20ff, 0 },	 { 0x2e80, 0xa4cf, 2 }, { 0xac00, 0xd7a3, 2 },
		{ 0xf900, 0xfaff, 2 },	 { 0xfe00, 0xfe0f, 0 }, { 0xfe30, 0xfe6f, 2 },
		{ 0xff00, 0xff60, 2 },	 { 0xffe0, 0xffe6, 2 }, { 0x1f300, 0x1faff, 2 },
		{ 0x20000, 0x3fffd, 2 },
	};

	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
		if (c >= ranges[i].first && c <= ranges[i].last)
			return ranges[i].width;
	return 1;
}

static size_t text_width(const char *text)
{
	size_t width = 0;

	while (*text)
		width += character_width(next_character(&text));
	return width;
}

static void append_times(struct text *to, char c, size_t count)
{
	while (count-- > 0)
		text_append_char(to, c);
}

static void write_line(const size_t *widths, size_t columns, struct text *to)
{
	for (size_t i = 0; i < columns; i++) {
		text_append_char(to, '+');
		append_times(to, '-', widths[i] + 2);
	}
	text_append(to, "+\n");
}

static void write_row(const struct grid *grid, size_t row, const size_t *widths, struct text *to)
{
	bool marked = attributes && row == 0;

	for (size_t i = 0; i < grid->columns; i++) {
		const char *cell = grid->cells[row * grid->columns + i];
		size_t space = widths[i] - text_width(cell);
		size_t before = marked ? space / 2 : 0;

		text_append(to, marked ? "| \033[1m" : "| ");
		append_times(to, ' ', before);
		text_append(to, cell);
		append_times(to, ' ', space - before);
		text_append(to, marked ? "\033[0m " : " ");
	}
	text_append(to, "|\n");
}

void grid_write(const struct grid *grid, struct text *to)
{
	cleanup_free size_t *widths = calloc(grid->columns + 1, sizeof(*widths));
	size_t rows = grid->columns ? grid->cell_count / grid->columns : 0;

	if (!widths || grid->error) {
		to->error = -ENOMEM;
		return;
	}
	for (size_t i = 0; i < rows * grid->columns; i++) {
		size_t width = text_width(grid->cells[i]);

		if (width > widths[i % grid->columns])
			widths[i % grid->columns] = width;
	}
	write_line(widths, grid->columns, to);
	for (size_t row = 0; row < rows; row++) {
		write_row(grid, row, widths, to);
		write_line(widths, grid->columns, to);
	}
}
