#include <string.h>

#include "rpc/cli_internal.h"

#define COMPLETION_SUMMARY "Print a script that completes commands in a shell"

#define COLUMN_MAX 34 /* where a help text begins at the latest */

/* Two columns: what to type, and what it does. */
struct rows {
	struct row {
		char *term;
		const char *help;
		char *more; /* in brackets behind the help, or NULL */
	} items[64];
	size_t count;
};

static void row_add(struct rows *rows, struct text *term, const char *help, struct text *more)
{
	if (rows->count == ARRAY_SIZE(rows->items))
		return;
	rows->items[rows->count++] = (struct row){
		.term = text_take(term),
		.help = help ? help : "",
		.more = more && more->size > 0 ? text_take(more) : NULL,
	};
	if (more)
		text_done(more);
}

static void rows_write(struct rows *rows, const char *title, struct text *to)
{
	size_t width = 0;

	for (size_t i = 0; i < rows->count; i++) {
		size_t size = rows->items[i].term ? strlen(rows->items[i].term) : 0;

		if (size > width && size <= COLUMN_MAX)
			width = size;
	}
	if (rows->count > 0)
		text_printf(to, "\n%s:\n", title);
	for (size_t i = 0; i < rows->count; i++) {
		struct row *row = &rows->items[i];

		if (row->term && strlen(row->term) > width)
			text_printf(to, "  %s\n  %*s  %s", row->term, (int)width, "", row->help);
		else
			text_printf(to, "  %-*s  %s", (int)width, row->term ? row->term : "",
				    row->help);
		text_printf(to, "%s%s\n", row->more ? " " : "", row->more ? row->more : "");
		free(row->term);
		free(row->more);
	}
	rows->count = 0;
}

static void add_command(const char *word, const char *summary, void *context)
{
	struct text term = { 0 };

	text_append(&term, word);
	row_add(context, &term, summary, NULL);
}

static void append_values(struct text *to, const char *const *values)
{
	text_append(to, "[possible values: ");
	for (size_t i = 0; values[i]; i++)
		text_printf(to, "%s%s", i > 0 ? ", " : "", values[i]);
	text_append_char(to, ']');
}

/* The possible values and the default of a parameter. */
static void append_facts(struct text *to, const struct rpc_param *param)
{
	static const char *const silent[] = { "null", "false", "[]", "\"\"" };
	json_t *initial = param->initial ? json_loads(param->initial, JSON_DECODE_ANY, NULL) : NULL;

	if (param->type == RPC_ENUM)
		append_values(to, param->values);
	for (size_t i = 0; initial && i < ARRAY_SIZE(silent); i++)
		if (strcmp(param->initial, silent[i]) == 0) {
			json_decref(initial);
			initial = NULL;
		}
	if (initial)
		text_printf(to, "%s[default: %s]", to->size > 0 ? " " : "",
			    json_is_string(initial) ? json_string_value(initial) : param->initial);
	json_decref(initial);
}

static void add_argument(struct rows *rows, const struct rpc_param *param)
{
	struct text term = { 0 }, facts = { 0 };

	text_append_char(&term, param->flags & RPC_REQUIRED ? '<' : '[');
	cli_placeholder(&term, param->name);
	text_append_char(&term, param->flags & RPC_REQUIRED ? '>' : ']');
	if (param->type == RPC_STRINGS)
		text_append(&term, "...");
	append_facts(&facts, param);
	row_add(rows, &term, param->help, &facts);
}

static void option_term(struct text *term, char letter, const char *name)
{
	if (letter)
		text_printf(term, "-%c, --", letter);
	else
		text_append(term, "    --");
	text_append(term, name);
}

static void add_option(struct rows *rows, const struct rpc_param *param)
{
	CLEANUP(text_done) struct text name = { 0 };
	struct text term = { 0 }, facts = { 0 };

	cli_option(&name, param);
	option_term(&term, param->letter, text_string(&name));
	if (param->type != RPC_BOOL) {
		text_append(&term, " <");
		cli_placeholder(&term, param->name);
		text_append(&term, param->type == RPC_STRINGS ? ">..." : ">");
	}
	append_facts(&facts, param);
	row_add(rows, &term, param->help, &facts);
}

static void add_format(struct rows *rows)
{
	struct text term = { 0 }, facts = { 0 };

	option_term(&term, 0, "format");
	text_append(&term, " <FORMAT>");
	append_values(&facts, output_format_names);
	row_add(rows, &term, "Print the result in a form for programs", &facts);
}

static void add_global(struct rows *rows, const struct cli_option *option)
{
	struct text term = { 0 };

	option_term(&term, option->letter, option->name);
	if (option->value)
		text_printf(&term, " <%s>%s", option->value, option->repeated ? "..." : "");
	row_add(rows, &term, option->help, NULL);
}

static void add_plain(struct rows *rows, char letter, const char *name, const char *help)
{
	struct text term = { 0 };

	option_term(&term, letter, name);
	row_add(rows, &term, help, NULL);
}

static void help_method(const struct rpc_method *method, struct text *to)
{
	struct rows rows = { 0 };

	for (const struct rpc_param *p = method->params; p && p->name; p++)
		if (cli_is_argument(p))
			add_argument(&rows, p);
	rows_write(&rows, "Arguments", to);
	for (const struct rpc_param *p = method->params; p && p->name; p++)
		if (!cli_is_argument(p))
			add_option(&rows, p);
	if (cli_has_format(method))
		add_format(&rows);
	add_plain(&rows, 'h', "help", "Print help");
	rows_write(&rows, "Options", to);
}

static void help_group(const struct rpc_table *table, const char *path, struct text *to)
{
	const struct rpc_method *grouped = cli_group_arguments(table, path);
	struct rows rows = { 0 };

	cli_each_child(table, path, add_command, &rows);
	if (!*path)
		add_command("completion", COMPLETION_SUMMARY, &rows);
	rows_write(&rows, "Commands", to);
	for (const struct rpc_param *p = grouped ? grouped->params : NULL; p && p->name; p++)
		if (cli_is_group_argument(p))
			add_argument(&rows, p);
	rows_write(&rows, "Arguments", to);
	for (const struct cli_option *option = cli_globals; !*path && option->name; option++)
		add_global(&rows, option);
	add_plain(&rows, 'h', "help", "Print help");
	if (!*path)
		add_plain(&rows, 'V', "version", "Print version");
	rows_write(&rows, "Options", to);
}

/* Commands of the command line itself, which no table has. Returns whether it is one. */
static bool help_builtin(const struct rpc_table *table, const char *path, struct text *to)
{
	struct rows rows = { 0 };

	if (strcmp(path, "completion") == 0)
		text_printf(to,
			    COMPLETION_SUMMARY "\n\nFor the shell that is running: source <(%s "
					       "completion bash), or zsh;\n%s completion fish | "
					       "source\n\nUsage: %s completion <bash|zsh|fish>\n",
			    table->program, table->program, table->program);
	else if (strcmp(path, "man") == 0)
		text_printf(to,
			    "Write the manual pages of all commands\n\nUsage: %s man <DIRECTORY>\n",
			    table->program);
	else
		return false;
	add_plain(&rows, 'h', "help", "Print help");
	rows_write(&rows, "Options", to);
	return true;
}

void cli_help(const struct rpc_table *table, const char *path, struct text *to)
{
	const struct rpc_method *method = cli_method(table, path);
	const char *summary = method ? method->summary : cli_group_summary(table, path);

	if (help_builtin(table, path, to))
		return;
	if (*summary)
		text_printf(to, "%s\n", summary);
	if (method && method->description)
		text_printf(to, "\n%s\n", method->description);
	text_printf(to, "%sUsage: ", *summary ? "\n" : "");
	cli_usage(table, path, to);
	text_append_char(to, '\n');
	if (method)
		help_method(method, to);
	else
		help_group(table, path, to);
}
