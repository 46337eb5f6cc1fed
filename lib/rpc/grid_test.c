#include "rpc/grid.h"

#include "base/test.h"

static void columns_are_as_wide_as_their_widest_cell(void **state)
{
	static const char *const header[] = { "NAME", "IP" };
	CLEANUP(grid_done) struct grid grid = { 0 };
	CLEANUP(text_done) struct text text = { 0 };

	(void)state;
	grid_header(&grid, header, 2);
	grid_row(&grid, (const char *const[]){ "Küche", "10.59.0.2" });
	grid_row(&grid, (const char *const[]){ "電話", "10.59.0.13" });
	grid_write(&grid, &text);
	assert_string_equal(text_string(&text), "+-------+------------+\n"
						"| NAME  | IP         |\n"
						"+-------+------------+\n"
						"| Küche | 10.59.0.2  |\n"
						"+-------+------------+\n"
						"| 電話  | 10.59.0.13 |\n"
						"+-------+------------+\n");
}

static void a_terminal_gets_a_bold_centred_header(void **state)
{
	static const char *const header[] = { "IP" };
	CLEANUP(grid_done) struct grid grid = { 0 };
	CLEANUP(text_done) struct text text = { 0 };

	(void)state;
	grid_use_attributes(true);
	grid_header(&grid, header, 1);
	grid_row(&grid, (const char *const[]){ "123456" });
	grid_write(&grid, &text);
	grid_use_attributes(false);
	assert_non_null(strstr(text_string(&text), "| \033[1m  IP  \033[0m |\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(columns_are_as_wide_as_their_widest_cell),
		cmocka_unit_test(a_terminal_gets_a_bold_centred_header),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
