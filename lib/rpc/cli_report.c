/*
 * Errors as the person who gave the command reads them
 *
 * "<message>: <details>" (tunnel.md 2.8). On the wire some details are a single word or name, as other
 * programs expect; here they become sentences, and nothing is said twice.
 */
#include <string.h>
#include <strings.h>

#include "rpc/cli_internal.h"

/* The argument or option that the daemon looked for in vain: its value is all that the details say. */
static const struct rpc_param *missing_param(const struct cli_command *command, const char *details)
{
	const struct rpc_param *param = command->method ? command->method->params : NULL;

	for (; param && param->name; param++) {
		const char *value =
			json_string_value(json_object_get(command->params, param->name));

		if (value && strcmp(value, details) == 0)
			return param;
	}
	return NULL;
}

void cli_report(const struct cli_command *command, const struct fault *fault, struct text *to)
{
	const char *message = fault_kind_text(fault->kind);
	const char *details = fault->details ? fault->details : "";
	const struct rpc_param *missing = NULL;

	text_append(to, message);
	if (fault->kind == FAULT_NOT_FOUND)
		missing = missing_param(command, details);
	if (missing) {
		text_printf(to, ": %s: there is none here; ", details);
		if (cli_is_argument(missing)) {
			cli_placeholder(to, missing->name);
		} else {
			text_append(to, "--");
			cli_option(to, missing);
		}
		text_printf(to, " is %s", missing->help);
	} else if (*details && strcasecmp(details, message) != 0) {
		text_printf(to, ": %s", details);
	} else if (fault->kind == FAULT_AUTHORIZATION) {
		text_append(to, ": the daemon does not accept who calls");
	} else {
		text_append(to, ": the daemon does not say why; its log may");
	}
	text_append_char(to, '\n');
}
