#include "rpc/typescript.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const char *const kinds[] = { "client", "server", NULL };

static const struct rpc_param add_params[] = {
	{ "name", RPC_STRING, RPC_REQUIRED, "a name", NULL, NULL, 0, 0 },
	{ "kind", RPC_ENUM, 0, "what it is", kinds, NULL, 0, 0 },
	{ "ports", RPC_STRINGS, RPC_REQUIRED, NULL, NULL, NULL, 0, 0 },
	{ "qr", RPC_BOOL, RPC_CLI_ONLY, "draw it", NULL, NULL, 0, 0 },
	{ 0 },
};
static const struct rpc_method methods[] = {
	{ .name = "thing.add", .summary = "Add a thing", .params = add_params },
	{ .name = "thing.list", .summary = "End */ of a comment", .output = RPC_TABLE },
	{ 0 },
};
static const struct rpc_table table = { .program = "test", .methods = methods };

static void test_rows_are_types(void **state)
{
	CLEANUP(text_done) struct text text = { 0 };

	(void)state;
	rpc_typescript(&table, "./json", &text);
	assert_int_equal(text_error(&text), 0);
	assert_string_equal(
		text_string(&text),
		"// What test's daemon can be asked. Written by the build from its table of methods.\n\n"
		"import type { Json } from './json'\n\n"
		"export interface Methods {\n"
		"\t/** Add a thing */\n"
		"\t'thing.add': {\n"
		"\t\tparams: {\n"
		"\t\t\t/** a name */\n"
		"\t\t\tname: string\n"
		"\t\t\t/** what it is */\n"
		"\t\t\tkind?: 'client' | 'server' | null\n"
		"\t\t\tports: readonly string[]\n"
		"\t\t}\n"
		"\t\tresult: null\n"
		"\t}\n"
		"\t'thing.list': {\n"
		"\t\tparams: {}\n"
		"\t\tresult: Json\n"
		"\t}\n"
		"}\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_rows_are_types) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
