#include <string.h>

#include "rpc/cli_internal.h"
#include "rpc/param.h"

const struct cli_option cli_globals[] = {
	{ "config", 'c', "PATH", "Read settings from this file before all others", false },
	{ "host", 'H', "HOST", "Address of a StartOS server; not used by this command", false },
	{ "registry", 'r', "REGISTRY", "Address of a registry; not used by this command", false },
	{ "registry-hostname", 0, "HOSTNAME", "Name of a registry; not used by this command",
	  true },
	{ "s9pk-s3base", 0, "URL", "Where to publish packages; not used by this command", false },
	{ "s9pk-s3bucket", 0, "BUCKET", "Where to publish packages; not used by this command",
	  false },
	{ "tunnel", 't', "HOST:PORT", "Address of the daemon", false },
	{ "proxy", 'p', "URL", "Proxy for connections to other machines", false },
	{ "cookie-path", 0, "PATH", "File that keeps cookies of sessions", false },
	{ "auth-cookie", 0, "PATH", "File with the daemon's local cookie", false },
	{ "developer-key-path", 0, "PATH", "Key that signs requests", false },
	{ "root-ca", 0, "PEM_PATH", "Trust this certificate authority too", true },
	{ "insecure", 0, NULL, "Do not verify certificates", false },
	{ 0 },
};

struct parse {
	const struct rpc_table *table;
	char **words;
	size_t count;
	size_t at;
	struct cli_command *command;
	struct text *error;
	const char *group_values[4]; /* arguments that stood before the last word */
	size_t group_count;
	const char *arguments[64];
	size_t argument_count;
};

void cli_command_done(struct cli_command *command)
{
	text_done(&command->path);
	json_decref(command->settings);
	json_decref(command->params);
	*command = (struct cli_command){ 0 };
}

/* --- usage errors --- */

static size_t min3(size_t a, size_t b, size_t c)
{
	size_t least = a < b ? a : b;

	return least < c ? least : c;
}

/* Edits that turn one word into the other; words are cut at 31 bytes. */
static size_t distance(const char *a, const char *b)
{
	size_t row[32], n = strnlen(a, 31), m = strnlen(b, 31);

	for (size_t j = 0; j <= m; j++)
		row[j] = j;
	for (size_t i = 1; i <= n; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= m; j++) {
			size_t above = row[j];

			row[j] =
				min3(row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
			diagonal = above;
		}
	}
	return row[m];
}

struct nearest {
	const char *word;
	size_t distance;
	struct text best;
};

static void consider(const char *candidate, const char *summary, void *context)
{
	struct nearest *nearest = context;
	size_t d = distance(nearest->word, candidate);

	if (d > 3 || d >= strlen(candidate) || (nearest->best.size > 0 && d >= nearest->distance))
		return;
	nearest->distance = d;
	text_clear(&nearest->best);
	text_append(&nearest->best, candidate);
}

static void suggest(struct parse *p, const struct nearest *nearest, const char *dashes)
{
	if (nearest->best.size > 0)
		text_printf(p->error, "\n  tip: a similar one exists: '%s%s'\n", dashes,
			    text_string(&nearest->best));
}

/* Ends a usage error with how the command goes. Returns -EINVAL. */
static int usage_error(struct parse *p)
{
	text_append(p->error, "\nUsage: ");
	cli_usage(p->table, text_string(&p->command->path), p->error);
	text_append(p->error, "\n\nFor more information, try '--help'.\n");
	return -EINVAL;
}

static int unknown_command(struct parse *p, const char *word)
{
	struct nearest nearest = { .word = word };

	text_printf(p->error, "error: unrecognized subcommand '%s'\n", word);
	cli_each_child(p->table, text_string(&p->command->path), consider, &nearest);
	suggest(p, &nearest, "");
	text_done(&nearest.best);
	return usage_error(p);
}

static int unknown_option(struct parse *p, const char *word, size_t size)
{
	const struct rpc_method *method = p->command->method;
	CLEANUP(text_done) struct text name = { 0 };
	struct nearest nearest = { 0 };

	text_append_bytes(&name, word, size);
	nearest.word = text_string(&name) + strspn(text_string(&name), "-");
	text_printf(p->error, "error: unexpected argument '%s' found\n", text_string(&name));
	for (const struct rpc_param *param = method ? method->params : NULL; param && param->name;
	     param++) {
		CLEANUP(text_done) struct text kebab = { 0 };

		cli_option(&kebab, param);
		if (!cli_is_argument(param))
			consider(text_string(&kebab), NULL, &nearest);
	}
	for (const struct cli_option *option = cli_globals; option->name; option++) {
		if (!method)
			consider(option->name, NULL, &nearest);
		else if (strcmp(option->name, nearest.word) == 0)
			text_printf(p->error, "\n  tip: '--%s' goes before the command\n",
				    option->name);
	}
	suggest(p, &nearest, "--");
	text_done(&nearest.best);
	return usage_error(p);
}

/* --- options --- */

/* An option as it was typed: "--name=value", "--name", "-nvalue", "-n". */
struct typed {
	const char *word;
	const char *name;
	size_t name_size;
	const char *value; /* that is part of the word, or NULL */
	bool is_short;
};

static void split_option(const char *word, struct typed *ret)
{
	*ret = (struct typed){ .word = word, .is_short = word[1] != '-' };
	if (ret->is_short) {
		ret->name = word + 1;
		ret->name_size = 1;
		if (word[2])
			ret->value = word[2] == '=' ? word + 3 : word + 2;
		return;
	}
	ret->name = word + 2;
	ret->name_size = strcspn(ret->name, "=");
	if (ret->name[ret->name_size])
		ret->value = ret->name + ret->name_size + 1;
}

static bool is_option(const struct typed *typed, const char *name, char letter)
{
	if (typed->is_short)
		return letter && *typed->name == letter;
	return strlen(name) == typed->name_size && memcmp(name, typed->name, typed->name_size) == 0;
}

static size_t typed_size(const struct typed *typed)
{
	return typed->is_short ? 2 : typed->name_size + 2;
}

/* The value of an option that has to have one: its own, or the next word. */
static int option_value(struct parse *p, const struct typed *typed, const char **ret)
{
	*ret = typed->value;
	if (*ret)
		return 0;
	if (p->at < p->count) {
		*ret = p->words[p->at++];
		return 0;
	}
	text_printf(p->error, "error: a value is required for '%.*s' but none was supplied\n",
		    (int)typed_size(typed), typed->word);
	return usage_error(p);
}

static int bare_flag(struct parse *p, const struct typed *typed)
{
	if (!typed->value)
		return 0;
	text_printf(p->error, "error: '%.*s' takes no value\n", (int)typed_size(typed),
		    typed->word);
	return usage_error(p);
}

static int set_twice(struct parse *p, const struct typed *typed)
{
	text_printf(p->error, "error: '%.*s' cannot be used more than once\n",
		    (int)typed_size(typed), typed->word);
	return usage_error(p);
}

static int set_global(struct parse *p, const struct typed *typed, const struct cli_option *option)
{
	json_t *settings = p->command->settings;
	json_t *old = json_object_get(settings, option->name);
	const char *value;
	int r = option->value ? option_value(p, typed, &value) : bare_flag(p, typed);

	if (r < 0)
		return r;
	if (!option->value)
		return json_object_set_new(settings, option->name, json_true()) < 0 ? -ENOMEM : 0;
	if (old && !option->repeated)
		return set_twice(p, typed);
	if (old)
		return json_array_append_new(old, json_string(value)) < 0 ? -ENOMEM : 0;
	return json_object_set_new(settings, option->name,
				   option->repeated ? json_pack("[s]", value)
						    : json_string(value)) < 0
		       ? -ENOMEM
		       : 0;
}

static int parse_global(struct parse *p, const struct typed *typed)
{
	for (const struct cli_option *option = cli_globals; option->name; option++)
		if (is_option(typed, option->name, option->letter))
			return set_global(p, typed, option);
	return unknown_option(p, typed->word, strcspn(typed->word, "="));
}

/* Checks a value by its row and sets it; a refusal speaks of what was typed. */
static int set_param(struct parse *p, const struct rpc_param *param, const char *shown,
		     const char *text)
{
	CLEANUP(fault_done) struct fault fault = { 0 };
	struct rpc_param named = *param;
	json_t *old = json_object_get(p->command->params, param->name);
	json_t *value = NULL;

	named.name = shown;
	if (rpc_param_parse(&named, text, &value, &fault) < 0) {
		text_printf(p->error, "error: invalid value '%s' for %s\n", text,
			    fault.details ? fault.details : shown);
		return usage_error(p);
	}
	if (old && param->type == RPC_STRINGS) {
		int r = json_array_extend(old, value);

		json_decref(value);
		return r < 0 ? -ENOMEM : 0;
	}
	return json_object_set_new(p->command->params, param->name, value) < 0 ? -ENOMEM : 0;
}

static int set_option(struct parse *p, const struct typed *typed, const struct rpc_param *param)
{
	CLEANUP(text_done) struct text shown = { 0 };
	const char *value = typed->value;
	int r = 0;

	if (json_object_get(p->command->params, param->name) && param->type != RPC_STRINGS)
		return set_twice(p, typed);
	if (param->type == RPC_BOOL && !value)
		value = "true";
	if (!value)
		r = option_value(p, typed, &value);
	if (r < 0)
		return r;
	text_append(&shown, "--");
	cli_option(&shown, param);
	return set_param(p, param, text_string(&shown), value);
}

static int set_format(struct parse *p, const struct typed *typed)
{
	const char *value;
	int r = option_value(p, typed, &value);

	if (r < 0)
		return r;
	if (output_format_parse(value, &p->command->format) < 0) {
		text_printf(p->error, "error: invalid value '%s' for --format: it is one of",
			    value);
		for (size_t i = 0; output_format_names[i]; i++)
			text_printf(p->error, "%s %s", i > 0 ? "," : "", output_format_names[i]);
		text_append_char(p->error, '\n');
		return usage_error(p);
	}
	p->command->format_given = true;
	return 0;
}

static int parse_option(struct parse *p, const struct typed *typed)
{
	const struct rpc_method *method = p->command->method;

	for (const struct rpc_param *param = method->params; param && param->name; param++) {
		CLEANUP(text_done) struct text kebab = { 0 };

		cli_option(&kebab, param);
		if (!cli_is_argument(param) && is_option(typed, text_string(&kebab), param->letter))
			return set_option(p, typed, param);
	}
	if (cli_has_format(method) && is_option(typed, "format", 0))
		return set_format(p, typed);
	return unknown_option(p, typed->word, strcspn(typed->word, "="));
}

/* The text of a PEM file begins with hyphens and is an argument. */
static bool looks_like_option(const char *word)
{
	return word[0] == '-' && word[1] != '\0' && strcmp(word, "--") != 0 &&
	       strncmp(word, "-----BEGIN", 10) != 0;
}

static bool asks_for_help(const char *word)
{
	return strcmp(word, "-h") == 0 || strcmp(word, "--help") == 0;
}

/* --- arguments --- */

static int set_argument(struct parse *p, const struct rpc_param *param, const char *text)
{
	CLEANUP(text_done) struct text shown = { 0 };

	text_append_char(&shown, '<');
	cli_placeholder(&shown, param->name);
	text_append_char(&shown, '>');
	return set_param(p, param, text_string(&shown), text);
}

static int unexpected_argument(struct parse *p, const char *word)
{
	text_printf(p->error, "error: unexpected argument '%s' found\n", word);
	return usage_error(p);
}

/* How many arguments may follow the last word. */
static size_t arguments_max(const struct rpc_method *method, size_t group_count)
{
	size_t count = 0;

	for (const struct rpc_param *param = method->params; param && param->name; param++) {
		if (!cli_is_argument(param))
			continue;
		if (param->type == RPC_STRINGS)
			return SIZE_MAX;
		count++;
	}
	return count - group_count;
}

/*
 * Gives the arguments to their rows in order. The ones of the group may also stand, or stand again, in
 * the first places after the last word: `subnet S set-wan S`, as upstream wants it.
 */
static int assign_arguments(struct parse *p)
{
	const struct rpc_method *method = p->command->method;
	size_t group = 0, next = 0;
	int r = 0;

	if (p->argument_count > arguments_max(method, p->group_count) && p->group_count > 0 &&
	    strcmp(p->arguments[0], p->group_values[0]) == 0)
		next = p->group_count;
	for (const struct rpc_param *param = method->params; param && param->name && r == 0;
	     param++) {
		if (!cli_is_argument(param))
			continue;
		if (cli_is_group_argument(param) && group < p->group_count)
			r = set_argument(p, param, p->group_values[group++]);
		else if (next < p->argument_count)
			r = set_argument(p, param, p->arguments[next++]);
		while (r == 0 && param->type == RPC_STRINGS && next < p->argument_count)
			r = set_argument(p, param, p->arguments[next++]);
	}
	if (r == 0 && next < p->argument_count)
		return unexpected_argument(p, p->arguments[next]);
	return r;
}

static int check_required(struct parse *p)
{
	const struct rpc_method *method = p->command->method;
	size_t missing = 0;

	for (const struct rpc_param *param = method->params; param && param->name; param++) {
		if (!(param->flags & RPC_REQUIRED) ||
		    json_object_get(p->command->params, param->name))
			continue;
		if (missing++ == 0)
			text_append(p->error,
				    "error: the following required arguments were not provided:\n");
		text_append(p->error, cli_is_argument(param) ? "  <" : "  --");
		if (!cli_is_argument(param)) {
			cli_option(p->error, param);
			text_append(p->error, " <");
		}
		cli_placeholder(p->error, param->name);
		text_append(p->error, ">\n");
	}
	return missing > 0 ? usage_error(p) : 0;
}

/* What follows the last word of a command. */
static int parse_method(struct parse *p)
{
	bool options_end = false;
	int r = 0;

	while (p->at < p->count && r == 0) {
		const char *word = p->words[p->at++];
		struct typed typed;

		if (!options_end && strcmp(word, "--") == 0) {
			options_end = true;
		} else if (!options_end && asks_for_help(word)) {
			p->command->builtin = CLI_HELP;
			return 0;
		} else if (!options_end && looks_like_option(word)) {
			split_option(word, &typed);
			r = parse_option(p, &typed);
		} else if (p->argument_count == ARRAY_SIZE(p->arguments)) {
			r = unexpected_argument(p, word);
		} else {
			p->arguments[p->argument_count++] = word;
		}
	}
	if (r == 0)
		r = assign_arguments(p);
	return r == 0 ? check_required(p) : r;
}

/* --- the way to the command --- */

static int missing_command(struct parse *p)
{
	text_printf(p->error, "error: '%s", p->table->program);
	for (const char *at = text_string(&p->command->path); *at; at++)
		text_printf(p->error, "%s%c", at == text_string(&p->command->path) ? " " : "",
			    *at == '.' ? ' ' : *at);
	text_append(p->error, "' requires a subcommand but one was not provided\n");
	return usage_error(p);
}

/* Goes one word down. Returns whether there is such a command. */
static bool descend(struct parse *p, const char *word)
{
	CLEANUP(text_done) struct text deeper = { 0 };

	text_append(&deeper, text_string(&p->command->path));
	cli_path_append(&deeper, word);
	if (!cli_method(p->table, text_string(&deeper)) &&
	    !cli_is_group(p->table, text_string(&deeper)))
		return false;
	text_clear(&p->command->path);
	text_append(&p->command->path, text_string(&deeper));
	return true;
}

static int take_group_argument(struct parse *p, const char *word)
{
	const char *group = text_string(&p->command->path);
	const struct rpc_method *method = cli_group_arguments(p->table, group);
	size_t takes = 0;

	for (const struct rpc_param *param = method ? method->params : NULL; param && param->name;
	     param++)
		takes += cli_is_group_argument(param);
	if (p->group_count >= takes || p->group_count == ARRAY_SIZE(p->group_values))
		return unknown_command(p, word);
	p->group_values[p->group_count++] = word;
	return 0;
}

static int parse_builtin(struct parse *p, const char *word)
{
	static const struct {
		const char *word, *argument;
		enum cli_builtin builtin;
	} builtins[] = {
		{ "completion", "bash, zsh or fish", CLI_COMPLETION },
		{ "man", "a directory", CLI_MAN },
		{ "__complete", NULL, CLI_COMPLETE },
	};

	for (size_t i = 0; i < ARRAY_SIZE(builtins); i++) {
		if (strcmp(word, builtins[i].word) != 0)
			continue;
		p->command->builtin = builtins[i].builtin;
		if (!builtins[i].argument)
			return 0;
		if (p->at < p->count && asks_for_help(p->words[p->at])) {
			p->command->builtin = CLI_HELP;
			text_append(&p->command->path, word);
			return 0;
		}
		if (p->at + 1 == p->count && !looks_like_option(p->words[p->at])) {
			p->command->argument = p->words[p->at];
			return 0;
		}
		text_printf(p->error, "error: '%s %s' needs one argument: %s\n", p->table->program,
			    word, builtins[i].argument);
		return -EINVAL;
	}
	return unknown_command(p, word);
}

static int parse_commands(struct parse *p)
{
	while (p->at < p->count) {
		const char *word = p->words[p->at++];
		int r = 0;

		if (asks_for_help(word)) {
			p->command->builtin = CLI_HELP;
			return 0;
		}
		if (looks_like_option(word))
			return unknown_option(p, word, strcspn(word, "="));
		if (descend(p, word)) {
			const char *path = text_string(&p->command->path);

			p->command->method = cli_method(p->table, path);
			if (p->command->method)
				return parse_method(p);
			continue;
		}
		if (p->command->path.size == 0)
			return parse_builtin(p, word);
		r = take_group_argument(p, word);
		if (r < 0)
			return r;
	}
	return missing_command(p);
}

/* The options before the command. */
static int parse_globals(struct parse *p)
{
	while (p->at < p->count && looks_like_option(p->words[p->at])) {
		const char *word = p->words[p->at++];
		struct typed typed;
		int r;

		if (asks_for_help(word) || strcmp(word, "-V") == 0 ||
		    strcmp(word, "--version") == 0) {
			p->command->builtin = asks_for_help(word) ? CLI_HELP : CLI_VERSION;
			return 0;
		}
		split_option(word, &typed);
		r = parse_global(p, &typed);
		if (r < 0)
			return r;
	}
	return parse_commands(p);
}

int cli_parse(const struct rpc_table *table, int argc, char **argv, struct cli_command *ret,
	      struct text *error)
{
	CLEANUP(cli_command_done) struct cli_command command = { .format = OUTPUT_JSON_PRETTY };
	struct parse p = {
		.table = table,
		.words = argv + 1,
		.count = argc > 0 ? (size_t)argc - 1 : 0,
		.command = &command,
		.error = error,
	};
	int r;

	command.settings = json_object();
	command.params = json_object();
	if (!command.settings || !command.params)
		return -ENOMEM;
	r = parse_globals(&p);
	if (r < 0)
		return r;
	*ret = command;
	command = (struct cli_command){ 0 };
	return 0;
}
