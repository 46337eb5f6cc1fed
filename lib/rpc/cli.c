#include "rpc/cli.h"

#include <string.h>

#include "rpc/cli_internal.h"
#include "rpc/grid.h"

#define USAGE_STATUS 2

/* Tells of an error on stderr. Returns the exit status. */
static int report(const struct cli_command *command, const struct fault *fault)
{
	CLEANUP(text_done) struct text shown = { 0 };

	cli_report(command, fault, &shown);
	(void)fputs(text_string(&shown), stderr);
	return (int)((unsigned)fault->kind & 0xff);
}

static int print(const struct text *text, struct fault *fault)
{
	size_t written = fwrite(text_string(text), 1, text->size, stdout);

	if (text_error(text) < 0)
		return fault_set_errno(fault, text_error(text), FAULT_SERIALIZATION,
				       "writing the result");
	if (written != text->size || fflush(stdout) != 0)
		return fault_set_errno(fault, -errno, FAULT_FILESYSTEM, "writing to stdout");
	return 0;
}

/* --- the call --- */

/* `start-cli tunnel ...` has the methods below one more word. */
static const char *wire_name(const char *name)
{
	return strncmp(name, "tunnel.", 7) == 0 ? name + 7 : name;
}

static json_t *params_to_send(const struct cli_command *command)
{
	json_t *params = json_copy(command->params);
	const struct rpc_param *param = command->method->params;

	for (; params && param && param->name; param++)
		if (param->flags & RPC_CLI_ONLY)
			(void)json_object_del(params, param->name);
	return params;
}

static int ask_daemon(const struct cli_command *command, struct rpc_client *client,
		      json_t **ret_result, struct fault *fault)
{
	json_t *params = params_to_send(command);
	int r = params ? rpc_client_call(client, wire_name(command->method->name), params,
					 ret_result, fault)
		       : fault_set_errno(fault, -ENOMEM, FAULT_SERIALIZATION,
					 "writing the request");

	json_decref(params);
	return r;
}

static int get_result(const struct cli_command *command, json_t **ret_result, struct fault *fault)
{
	CLEANUP(cli_settings_done) struct cli_settings settings = { 0 };
	CLEANUP(rpc_client_free) struct rpc_client *client = NULL;
	int r = cli_settings_load(command->settings, &settings, fault);

	if (r == 0)
		r = rpc_client_new(&settings.client, &client);
	if (r == 0 && command->method->local)
		r = command->method->local(client, command->params, ret_result, fault);
	if (r == 0)
		r = ask_daemon(command, client, ret_result, fault);
	if (r < 0 && !fault_is_set(fault))
		(void)fault_set_errno(fault, r, FAULT_UNKNOWN, "%s", command->method->name);
	return r < 0 ? r : 0;
}

static int show_result(const struct cli_command *command, const json_t *result, struct fault *fault)
{
	const struct rpc_method *method = command->method;
	CLEANUP(text_done) struct text shown = { 0 };
	const char *plain = json_string_value(result);
	int r = 0;

	if (method->output == RPC_TABLE && method->show && !command->format_given) {
		method->show(result, command->params, &shown);
	} else if (cli_has_format(method)) {
		r = output_write(result, command->format, &shown, fault);
	} else if (method->output == RPC_PLAIN && plain) {
		text_append(&shown, plain);
		if (shown.size == 0 || shown.data[shown.size - 1] != '\n')
			text_append_char(&shown, '\n');
	}
	if (r < 0 && !fault_is_set(fault))
		(void)fault_set_errno(fault, r, FAULT_SERIALIZATION, "writing the result");
	return r < 0 ? r : print(&shown, fault);
}

static int run_method(const struct cli_command *command, struct fault *fault)
{
	json_t *result = NULL;
	int r = get_result(command, &result, fault);

	if (r == 0)
		r = show_result(command, result, fault);
	json_decref(result);
	return r;
}

static int run(const struct rpc_table *table, const struct cli_command *command, int argc,
	       char **argv, struct fault *fault)
{
	CLEANUP(text_done) struct text shown = { 0 };

	switch (command->builtin) {
	case CLI_METHOD:
		return run_method(command, fault);
	case CLI_HELP:
		cli_help(table, text_string(&command->path), &shown);
		break;
	case CLI_VERSION:
		text_printf(&shown, "%s %s\n", table->program, table->version);
		break;
	case CLI_COMPLETION:
		if (cli_completion(table, command->argument, &shown) == -EINVAL)
			return fault_set(
				fault, FAULT_INVALID_REQUEST,
				"there is no completion for \"%s\", only for bash, zsh and fish",
				command->argument);
		break;
	case CLI_COMPLETE:
		cli_complete(table, (size_t)argc - 2, argv + 2, &shown);
		break;
	case CLI_MAN:
		return cli_man(table, command->argument, fault);
	}
	return print(&shown, fault);
}

int cli_main(const struct rpc_table *table, int argc, char **argv)
{
	CLEANUP(cli_command_done) struct cli_command command = { 0 };
	CLEANUP(fault_done) struct fault fault = { 0 };
	CLEANUP(text_done) struct text error = { 0 };
	int r = cli_parse(table, argc, argv, &command, &error);

	if (r == -EINVAL) {
		(void)fprintf(stderr, "%s", text_string(&error));
		return USAGE_STATUS;
	}
	grid_use_attributes(isatty(STDOUT_FILENO));
	if (r == 0)
		r = run(table, &command, argc, argv, &fault);
	else
		(void)fault_set_errno(&fault, r, FAULT_UNKNOWN, "reading the command line");
	return r < 0 ? report(&command, &fault) : 0;
}
