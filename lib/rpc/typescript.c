#include "rpc/typescript.h"

#include <string.h>

/* What a parameter may be, without null. */
static const char *const types[] = {
	[RPC_STRING] = "string",	[RPC_TEXT] = "string",
	[RPC_BOOL] = "boolean",		[RPC_U16] = "number",
	[RPC_U32] = "number",		[RPC_IP] = "string",
	[RPC_IPV4] = "string",		[RPC_SUBNET] = "string",
	[RPC_ENDPOINT] = "string",	[RPC_ENDPOINT_V4] = "string",
	[RPC_PORT] = "number | string", [RPC_STRINGS] = "readonly string[]",
	[RPC_POINTER] = "string",
};

static const char *const results[] = {
	[RPC_NOTHING] = "null",
	[RPC_PLAIN] = "string",
	[RPC_JSON] = "Json",
	[RPC_TABLE] = "Json",
};

/* Help as a comment; one that would end it is not written. */
static void comment(struct text *to, const char *indent, const char *words)
{
	if (words && !strstr(words, "*/"))
		text_printf(to, "%s/** %s */\n", indent, words);
}

static void type_of(struct text *to, const struct rpc_param *param)
{
	if (param->type != RPC_ENUM) {
		text_append(to, types[param->type]);
		return;
	}
	for (size_t i = 0; param->values[i]; i++)
		text_printf(to, "%s'%s'", i > 0 ? " | " : "", param->values[i]);
}

static void method(struct text *to, const struct rpc_method *row)
{
	size_t count = 0;

	comment(to, "\t", row->summary);
	text_printf(to, "\t'%s': {\n\t\tparams: {", row->name);
	for (const struct rpc_param *param = row->params; param && param->name; param++) {
		if (param->flags & RPC_CLI_ONLY)
			continue;
		text_append(to, count++ == 0 ? "\n" : "");
		comment(to, "\t\t\t", param->help);
		text_printf(to, "\t\t\t%s%s: ", param->name,
			    param->flags & RPC_REQUIRED ? "" : "?");
		type_of(to, param);
		text_append(to, param->flags & RPC_REQUIRED ? "\n" : " | null\n");
	}
	text_printf(to, "%s}\n\t\tresult: %s\n\t}\n", count > 0 ? "\t\t" : "",
		    results[row->output]);
}

void rpc_typescript(const struct rpc_table *table, const char *json_module, struct text *to)
{
	text_printf(
		to,
		"// What %s's daemon can be asked. Written by the build from its table of methods.\n\n"
		"import type { Json } from '%s'\n\nexport interface Methods {\n",
		table->program, json_module);
	for (const struct rpc_method *row = table->methods; row->name; row++)
		method(to, row);
	text_append(to, "}\n");
}
