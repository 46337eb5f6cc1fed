/*
 * The scripts ask the command itself what may stand at a place, so that they never know less than it.
 * The same code answers for all three shells.
 */
#include <string.h>

#include "rpc/cli_internal.h"

/* What comes after "PROGRAM __complete": the words of the line, up to the one to complete. */
static const char bash_script[] =
	"# Completion of %1$s for bash: source <(%1$s completion bash)\n"
	"_%2$s() {\n"
	"\tlocal IFS=$'\\n' line=${COMP_LINE:0:COMP_POINT} current words\n"
	"\tIFS=$' \\t\\n' read -ra words <<< \"$line\"\n"
	"\t[[ $line == *[[:space:]] ]] && words+=('')\n"
	"\tcurrent=${words[-1]}\n"
	"\tCOMPREPLY=($(\"$1\" __complete \"${words[@]}\" 2>/dev/null | cut -f1))\n"
	"\t# bash counts words from the last = or :, and wants no more than what follows.\n"
	"\tlocal prefix=${current%%\"${current##*[=:]}\"}\n"
	"\t[[ $prefix == *[=:] ]] && COMPREPLY=(\"${COMPREPLY[@]#\"$prefix\"}\")\n"
	"\tif [[ ${#COMPREPLY[@]} -eq 0 && $current != -* ]]; then\n"
	"\t\tcompopt -o default\n"
	"\tfi\n"
	"}\n"
	"complete -F _%2$s %1$s\n";

static const char zsh_script[] =
	"#compdef %1$s\n"
	"# Completion of %1$s for zsh: source <(%1$s completion zsh)\n"
	"_%2$s() {\n"
	"\tlocal -a lines items\n"
	"\tlocal line\n"
	"\tlines=(\"${(@f)$(\"${words[1]}\" __complete \"${(@)words[1,CURRENT]}\" 2>/dev/null)}\")\n"
	"\tfor line in $lines; do\n"
	"\t\titems+=(\"${${line%%%%$'\\t'*}//:/\\\\:}:${line#*$'\\t'}\")\n"
	"\tdone\n"
	"\tif (( $#items )); then _describe '%1$s' items; else _files; fi\n"
	"}\n"
	"if [[ ${funcstack[1]} == _%2$s ]]; then _%2$s \"$@\"; else compdef _%2$s %1$s; fi\n";

static const char fish_script[] = "# Completion of %1$s for fish: %1$s completion fish | source\n"
				  "function __%2$s_complete\n"
				  "\tset -l words (commandline -opc) (commandline -ct)\n"
				  "\t$words[1] __complete $words 2>/dev/null\n"
				  "end\n"
				  "complete -c %1$s -e\n"
				  "complete -c %1$s -f -a '(__%2$s_complete)'\n";

int cli_completion(const struct rpc_table *table, const char *shell, struct text *to)
{
	CLEANUP(text_done) struct text identifier = { 0 };

	for (const char *at = table->program; *at; at++)
		text_append_char(&identifier, *at == '-' ? '_' : *at);
	if (strcmp(shell, "bash") == 0)
		text_printf(to, bash_script, table->program, text_string(&identifier));
	else if (strcmp(shell, "zsh") == 0)
		text_printf(to, zsh_script, table->program, text_string(&identifier));
	else if (strcmp(shell, "fish") == 0)
		text_printf(to, fish_script, table->program, text_string(&identifier));
	else
		return -EINVAL;
	return text_error(to);
}

struct completion {
	const char *prefix; /* of the word to complete */
	struct text *to;
};

static void offer(const char *word, const char *summary, void *context)
{
	const struct completion *completion = context;

	if (strncmp(word, completion->prefix, strlen(completion->prefix)) == 0)
		text_printf(completion->to, "%s\t%s\n", word, summary ? summary : "");
}

/* Offers each value, with @before in front of it. */
static void offer_values(struct completion *c, const char *before, const char *const *values)
{
	for (size_t i = 0; values && values[i]; i++) {
		CLEANUP(text_done) struct text word = { 0 };

		text_printf(&word, "%s%s", before, values[i]);
		offer(text_string(&word), "", c);
	}
}

static void offer_option(struct completion *c, const char *name, const char *help)
{
	CLEANUP(text_done) struct text word = { 0 };

	text_printf(&word, "--%s", name);
	offer(text_string(&word), help, c);
}

static void offer_parameter(struct completion *c, const struct rpc_param *param)
{
	CLEANUP(text_done) struct text name = { 0 };

	cli_option(&name, param);
	offer_option(c, text_string(&name), param->help);
}

static const char *const *values_of(const struct rpc_param *param)
{
	static const char *const booleans[] = { "true", "false", NULL };

	return param->type == RPC_BOOL ? booleans : param->values;
}

/* The row of an option as it was typed, without its value. */
static const struct rpc_param *find_option(const struct rpc_method *method, const char *word,
					   size_t size)
{
	for (const struct rpc_param *param = method->params; param && param->name; param++) {
		CLEANUP(text_done) struct text name = { 0 };

		text_append(&name, "--");
		cli_option(&name, param);
		if (cli_is_argument(param))
			continue;
		if (size == name.size && memcmp(word, name.data, size) == 0)
			return param;
		if (size == 2 && param->letter && word[0] == '-' && word[1] == param->letter)
			return param;
	}
	return NULL;
}

static bool is_format(const struct rpc_method *method, const char *word, size_t size)
{
	return cli_has_format(method) && size == 8 && memcmp(word, "--format", 8) == 0;
}

/* The value of an option: @typed is "--name", and what is offered begins with @before. */
static void offer_option_values(struct completion *c, const struct rpc_method *method,
				const char *typed, size_t size, const char *before)
{
	const struct rpc_param *param = find_option(method, typed, size);

	if (is_format(method, typed, size))
		offer_values(c, before, output_format_names);
	else if (param)
		offer_values(c, before, values_of(param));
}

static void offer_options(struct completion *c, const struct rpc_method *method)
{
	for (const struct rpc_param *param = method->params; param && param->name; param++)
		if (!cli_is_argument(param))
			offer_parameter(c, param);
	if (cli_has_format(method))
		offer_option(c, "format", "Print the result in a form for programs");
	offer_option(c, "help", "Print help");
}

/* The row of the argument that comes after @given others behind the last word. */
static const struct rpc_param *nth_argument(const struct rpc_method *method, size_t given)
{
	for (const struct rpc_param *param = method->params; param && param->name; param++)
		if (cli_is_argument(param) && !cli_is_group_argument(param) && given-- == 0)
			return param;
	return NULL;
}

/* What follows the last word of a command: @words end with the one to complete. */
static void complete_method(struct completion *c, const struct rpc_method *method, size_t count,
			    char **words)
{
	const char *previous = count > 1 ? words[count - 2] : "";
	const struct rpc_param *param = find_option(method, previous, strlen(previous));
	size_t equals = strcspn(c->prefix, "=");
	size_t given = 0;

	if ((param && param->type != RPC_BOOL) || is_format(method, previous, strlen(previous))) {
		offer_option_values(c, method, previous, strlen(previous), "");
		return;
	}
	if (c->prefix[0] == '-' && c->prefix[equals] == '=') {
		cleanup_free char *before = strndup(c->prefix, equals + 1);

		if (before)
			offer_option_values(c, method, c->prefix, equals, before);
		return;
	}
	if (c->prefix[0] == '-') {
		offer_options(c, method);
		return;
	}
	for (size_t i = 0; i + 1 < count; i++)
		given += words[i][0] != '-';
	param = nth_argument(method, given);
	if (param && param->values)
		offer_values(c, "", param->values);
}

static void complete_globals(struct completion *c)
{
	for (const struct cli_option *option = cli_globals; option->name; option++)
		offer_option(c, option->name, option->help);
	offer_option(c, "help", "Print help");
	offer_option(c, "version", "Print version");
}

/* Passes over the options before the command. Returns where the first word after them is. */
static size_t skip_globals(size_t count, char **words)
{
	size_t at = 0;

	while (at + 1 < count && words[at][0] == '-') {
		const struct cli_option *option = cli_globals;
		const char *word = words[at++];

		while (option->name && !(word[1] == '-' ? strcmp(word + 2, option->name) == 0
							: word[1] == option->letter))
			option++;
		if (option->name && option->value && at + 1 < count)
			at++;
	}
	return at;
}

/* What may stand below a group: its commands, and the options where it is the program itself. */
static void complete_group(const struct rpc_table *table, const char *group, struct completion *c)
{
	static const char *const shells[] = { "bash", "zsh", "fish", NULL };

	if (strcmp(group, "completion") == 0) {
		offer_values(c, "", shells);
		return;
	}
	if (c->prefix[0] != '-') {
		cli_each_child(table, group, offer, c);
		if (!*group)
			offer("completion", "Print a script that completes commands in a shell", c);
	} else if (*group) {
		offer_option(c, "help", "Print help");
	} else {
		complete_globals(c);
	}
}

void cli_complete(const struct rpc_table *table, size_t count, char **words, struct text *to)
{
	struct completion completion = { .prefix = count > 0 ? words[count - 1] : "", .to = to };
	CLEANUP(text_done) struct text path = { 0 };

	if (count < 2)
		return;
	words++;
	count--;
	for (size_t at = skip_globals(count, words); at + 1 < count; at++) {
		CLEANUP(text_done) struct text deeper = { 0 };
		const struct rpc_method *method;

		text_append(&deeper, text_string(&path));
		cli_path_append(&deeper, words[at]);
		method = cli_method(table, text_string(&deeper));
		if (method) {
			complete_method(&completion, method, count - at - 1, words + at + 1);
			return;
		}
		if (cli_is_group(table, text_string(&deeper)) ||
		    (path.size == 0 && strcmp(words[at], "completion") == 0)) {
			text_clear(&path);
			text_append(&path, text_string(&deeper));
		}
	}
	complete_group(table, text_string(&path), &completion);
}
