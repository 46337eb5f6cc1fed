/* Manual pages in the mdoc language: one for the program, one for every command. */
#include <fcntl.h>
#include <string.h>

#include "rpc/cli_internal.h"

#define PAGE_DATE "November 21, 2026" /* when what this file writes last changed */
#define LINE_BREAK 60 /* bytes after which a line ends at the next space */

/*
 * Running text: a line for each sentence, none longer than the 80 bytes that mdoc likes; no line begins
 * a macro, and backslashes are themselves.
 */
static void escape(struct text *to, const char *string)
{
	size_t column = 0;

	for (const char *at = string; *at; at++) {
		if (*at == ' ' && (column > LINE_BREAK || (at > string && at[-1] == '.'))) {
			text_append_char(to, '\n');
			column = 0;
			continue;
		}
		if (column == 0 && (*at == '.' || *at == '\''))
			text_append(to, "\\&");
		if (*at == '\\')
			text_append(to, "\\e");
		else if (*at == '-')
			text_append(to, "\\-");
		else
			text_append_char(to, *at);
		column = *at == '\n' ? 0 : column + 1;
	}
}

/* The same as a macro's argument: quoted, since it may be several words or look like a macro. */
static void argument(struct text *to, const char *string)
{
	text_append_char(to, '"');
	for (const char *at = string; *at; at++)
		if (*at == '"')
			text_append(to, "\\(dq");
		else if (*at == '\\')
			text_append(to, "\\e");
		else
			text_append_char(to, *at);
	text_append_char(to, '"');
}

/* The page's name, "start-tunnel-device-add". */
static void page_name(const struct rpc_table *table, const char *path, struct text *to)
{
	text_append(to, table->program);
	if (*path)
		text_append_char(to, '-');
	for (const char *at = path; *at; at++)
		text_append_char(to, *at == '.' ? '-' : *at);
}

static void placeholder(struct text *to, const char *name)
{
	CLEANUP(text_done) struct text upper = { 0 };

	cli_placeholder(&upper, name);
	text_append(to, text_string(&upper));
}

static void synopsis_option(const struct rpc_param *param, struct text *to)
{
	bool required = param->flags & RPC_REQUIRED;

	text_append(to, required ? ".Fl " : ".Op Fl ");
	text_append(to, "\\-");
	cli_option(to, param);
	if (param->type != RPC_BOOL) {
		text_append(to, " Ar ");
		placeholder(to, param->name);
	}
	text_append_char(to, '\n');
}

static void synopsis_argument(const struct rpc_param *param, struct text *to)
{
	text_append(to, param->flags & RPC_REQUIRED ? ".Ar " : ".Op Ar ");
	placeholder(to, param->name);
	text_append(to, param->type == RPC_STRINGS ? " ...\n" : "\n");
}

static void synopsis_words(const char *path, const struct rpc_method *method, struct text *to)
{
	const char *last = strrchr(path, '.');

	text_append(to, ".Nm");
	if (last) {
		CLEANUP(text_done) struct text before = { 0 };

		text_append_bytes(&before, path, (size_t)(last - path));
		for (char *at = before.data; at && *at; at++)
			if (*at == '.')
				*at = ' ';
		text_printf(to, " Cm %s", text_string(&before));
	}
	text_append_char(to, '\n');
	for (const struct rpc_param *p = method->params; last && p && p->name; p++)
		if (cli_is_group_argument(p))
			synopsis_argument(p, to);
	text_printf(to, ".Cm %s\n", last ? last + 1 : path);
}

static void synopsis_method(const char *path, const struct rpc_method *method, struct text *to)
{
	synopsis_words(path, method, to);
	for (const struct rpc_param *p = method->params; p && p->name; p++)
		if (!cli_is_argument(p))
			synopsis_option(p, to);
	if (cli_has_format(method))
		text_append(to, ".Op Fl \\-format Ar FORMAT\n");
	for (const struct rpc_param *p = method->params; p && p->name; p++)
		if (cli_is_argument(p) && !cli_is_group_argument(p))
			synopsis_argument(p, to);
}

/* A help text, a sentence without its full stop, as one. */
static void sentence(struct text *to, const char *help)
{
	CLEANUP(text_done) struct text whole = { 0 };

	if (help && *help) {
		text_append_char(&whole,
				 *help >= 'a' && *help <= 'z' ? (char)(*help - 'a' + 'A') : *help);
		text_printf(&whole, "%s.\n", help + 1);
	}
	escape(to, text_string(&whole));
}

static void describe_values(const struct rpc_param *param, struct text *to)
{
	for (size_t i = 0; param->type == RPC_ENUM && param->values[i]; i++)
		text_printf(to, i == 0 ? "One of\n.Cm %s" : " , %s", param->values[i]);
	if (param->type == RPC_ENUM)
		text_append(to, " .\n");
	if (param->initial && strcmp(param->initial, "null") != 0 &&
	    strcmp(param->initial, "false") != 0 && strcmp(param->initial, "[]") != 0 &&
	    strcmp(param->initial, "\"\"") != 0) {
		text_append(to, "The default is\n.Ql ");
		for (const char *at = param->initial; *at; at++)
			if (*at != '"')
				text_append_char(to, *at);
		text_append(to, " .\n");
	}
}

static void describe_params(const struct rpc_method *method, struct text *to)
{
	bool any = cli_has_format(method) || (method->params && method->params->name);

	if (!any)
		return;
	text_append(to, ".Bl -tag -width Ds\n");
	for (const struct rpc_param *p = method->params; p && p->name; p++) {
		text_append(to, ".It ");
		if (cli_is_argument(p)) {
			text_append(to, "Ar ");
			placeholder(to, p->name);
		} else {
			if (p->letter)
				text_printf(to, "Fl %c , ", p->letter);
			text_append(to, "Fl \\-");
			cli_option(to, p);
			if (p->type != RPC_BOOL) {
				text_append(to, " Ar ");
				placeholder(to, p->name);
			}
		}
		text_append_char(to, '\n');
		sentence(to, p->help);
		describe_values(p, to);
	}
	if (cli_has_format(method)) {
		text_append(to,
			    ".It Fl \\-format Ar FORMAT\nPrint the result in a form for programs.\n"
			    "One of\n");
		for (size_t i = 0; output_format_names[i]; i++)
			text_printf(to, i == 0 ? ".Cm %s" : " , %s", output_format_names[i]);
		text_append(to, " .\n");
	}
	text_append(to, ".El\n");
}

struct listing {
	const struct rpc_table *table;
	const char *group;
	struct text *to;
};

/* Lists a command, and those below it where it is a group. */
static void list_command(const char *word, const char *summary, void *context)
{
	const struct listing *listing = context;
	CLEANUP(text_done) struct text path = { 0 };
	CLEANUP(text_done) struct text name = { 0 };

	text_append(&path, listing->group);
	cli_path_append(&path, word);
	if (!cli_method(listing->table, text_string(&path))) {
		struct listing deeper = { listing->table, text_string(&path), listing->to };

		cli_each_child(listing->table, text_string(&path), list_command, &deeper);
		return;
	}
	page_name(listing->table, text_string(&path), &name);
	text_printf(listing->to, ".It Xr %s 1\n", text_string(&name));
	sentence(listing->to, summary);
}

static void describe_program(const struct rpc_table *table, struct text *to)
{
	struct listing listing = { table, "", to };

	text_printf(
		to,
		".Nm\nasks the daemon of this machine,\nand has to be run by a user who may read "
		"its cookie;\nor, with\n.Fl \\-tunnel ,\none on another machine,\nover HTTPS and "
		"signed with the user's key.\nThe commands are:\n.Bl -tag -width Ds\n");
	cli_each_child(table, "", list_command, &listing);
	text_append(to, ".It Cm completion Ar SHELL\nPrint a script that completes commands in "
			"bash, zsh or fish.\n.El\n.Pp\nOptions before the command:\n"
			".Bl -tag -width Ds\n");
	for (const struct cli_option *option = cli_globals; option->name; option++) {
		text_append(to, ".It ");
		if (option->letter)
			text_printf(to, "Fl %c , ", option->letter);
		text_printf(to, "Fl \\-%s", option->name);
		if (option->value)
			text_printf(to, " Ar %s", option->value);
		text_append_char(to, '\n');
		sentence(to, option->help);
	}
	text_append(to, ".El\n");
}

static void common_sections(const struct rpc_table *table, const char *path, struct text *to)
{
	if (!*path)
		text_append(
			to,
			".Sh ENVIRONMENT\n.Bl -tag -width Ds\n"
			".It Ev PASSWORD\nThe password for\n.Cm auth login .\n"
			".It Ev SSH_AUTH_SOCK\nThe socket of the SSH agent.\n"
			".It Ev HTTPS_PROXY , ALL_PROXY , NO_PROXY\n"
			"Proxies for connections to other machines,\nwithout\n"
			".Fl \\-proxy .\n.El\n"
			".Sh FILES\n.Bl -tag -width Ds\n.It Pa ~/.startos/config.yaml\n"
			"Settings of the user: keys are the long options before the command.\n"
			".It Pa /etc/startos/config.yaml\nSettings of the machine.\n"
			".It Pa /run/startos/tunnel.authcookie\nThe daemon's local cookie.\n"
			".It Pa ~/.startos/.cookies.json\nSessions that\n.Cm auth login\nbegan.\n"
			".It Pa /run/startos/developer.key.pem\n"
			".It Pa ~/.startos/developer.key.pem\n.It Pa ~/.ssh/id_ed25519\n"
			"Keys that sign requests to other machines;\nafter them those of the SSH "
			"agent are tried.\n.El\n");
	text_append(to,
		    ".Sh EXIT STATUS\n0 on success, 2 where the command line is not understood,\n"
		    "else the code of the error that is told on standard error.\n");
	if (*path)
		text_printf(to, ".Sh SEE ALSO\n.Xr %s 1\n", table->program);
}

/* A page as text, for a path as in cli_help(). */
static void page_of(const struct rpc_table *table, const char *path, struct text *to)
{
	const struct rpc_method *method = cli_method(table, path);
	CLEANUP(text_done) struct text name = { 0 };
	CLEANUP(text_done) struct text title = { 0 };

	page_name(table, path, &name);
	for (const char *at = text_string(&name); *at; at++)
		text_append_char(&title, *at >= 'a' && *at <= 'z' ? (char)(*at - 'a' + 'A') : *at);
	text_printf(to, ".Dd " PAGE_DATE "\n.Dt %s 1\n.Os\n.Sh NAME\n.Nm %s\n.Nd ",
		    text_string(&title), text_string(&name));
	argument(to, method ? method->summary : "manage StartTunnel");
	text_append(to, "\n.Sh SYNOPSIS\n");
	if (method) {
		/* The command is typed by the program's name, not by the page's. */
		CLEANUP(text_done) struct text synopsis = { 0 };

		synopsis_method(path, method, &synopsis);
		text_printf(to, ".Nm %s%s", table->program, text_string(&synopsis) + 3);
	} else {
		text_append(to, ".Nm\n.Op Ar OPTIONS\n.Ar COMMAND\n");
	}
	text_append(to, ".Sh DESCRIPTION\n");
	if (method) {
		sentence(to, method->summary);
		if (method->description) {
			text_append(to, ".Pp\n");
			escape(to, method->description);
			text_append(to, "\n");
		}
		describe_params(method, to);
	} else {
		describe_program(table, to);
	}
	common_sections(table, path, to);
}

static int write_page(const struct rpc_table *table, const char *directory, const char *path,
		      struct fault *fault)
{
	CLEANUP(text_done) struct text file = { 0 };
	CLEANUP(text_done) struct text page = { 0 };
	cleanup_close int fd = -EBADF;

	text_printf(&file, "%s/", directory);
	page_name(table, path, &file);
	text_append(&file, ".1");
	page_of(table, path, &page);
	if (text_error(&file) < 0 || text_error(&page) < 0)
		return fault_set_errno(fault, -ENOMEM, FAULT_FILESYSTEM, "writing manual pages");
	fd = open(file.data, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0 || write(fd, page.data, page.size) != (ssize_t)page.size)
		return fault_set_errno(fault, -errno, FAULT_FILESYSTEM, "writing %s", file.data);
	return 0;
}

int cli_man(const struct rpc_table *table, const char *directory, struct fault *fault)
{
	int r = write_page(table, directory, "", fault);

	for (const struct rpc_method *method = table->methods; method->name && r == 0; method++)
		if (!(method->flags & RPC_CLI_HIDDEN))
			r = write_page(table, directory, method->name, fault);
	return r;
}
