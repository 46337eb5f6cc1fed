#include <string.h>

#include "rpc/cli_internal.h"

static bool is_upper(char c)
{
	return c >= 'A' && c <= 'Z';
}

void cli_kebab(struct text *to, const char *name)
{
	for (; *name; name++) {
		if (is_upper(*name))
			text_append_char(to, '-');
		text_append_char(to, is_upper(*name) ? (char)(*name - 'A' + 'a') : *name);
	}
}

void cli_option(struct text *to, const struct rpc_param *param)
{
	CLEANUP(text_done) struct text name = { 0 };

	cli_kebab(&name, param->name);
	if (param->type == RPC_STRINGS && name.size > 1 && name.data[name.size - 1] == 's')
		name.data[--name.size] = '\0';
	text_append(to, text_string(&name));
}

void cli_placeholder(struct text *to, const char *name)
{
	for (; *name; name++) {
		if (is_upper(*name))
			text_append_char(to, '_');
		text_append_char(to,
				 *name >= 'a' && *name <= 'z' ? (char)(*name - 'a' + 'A') : *name);
	}
}

bool cli_is_argument(const struct rpc_param *param)
{
	return param->flags & (RPC_POSITIONAL | RPC_GROUP);
}

bool cli_is_group_argument(const struct rpc_param *param)
{
	return param->flags & RPC_GROUP;
}

const struct rpc_method *cli_method(const struct rpc_table *table, const char *path)
{
	for (const struct rpc_method *method = table->methods; method->name; method++)
		if (strcmp(method->name, path) == 0 && !(method->flags & RPC_CLI_HIDDEN))
			return method;
	return NULL;
}

/* What follows a group's name in a method's, or NULL where the method is not of the group. */
static const char *below(const char *name, const char *group)
{
	size_t size = strlen(group);

	if (size == 0)
		return name;
	return strncmp(name, group, size) == 0 && name[size] == '.' ? name + size + 1 : NULL;
}

bool cli_is_group(const struct rpc_table *table, const char *path)
{
	for (const struct rpc_method *method = table->methods; method->name; method++)
		if (below(method->name, path) && !(method->flags & RPC_CLI_HIDDEN))
			return true;
	return false;
}

const char *cli_group_summary(const struct rpc_table *table, const char *path)
{
	for (const struct rpc_group *group = table->groups; group && group->name; group++)
		if (strcmp(group->name, path) == 0)
			return group->summary;
	return "";
}

static bool has_group_arguments(const struct rpc_method *method)
{
	for (const struct rpc_param *param = method->params; param && param->name; param++)
		if (cli_is_group_argument(param))
			return true;
	return false;
}

const struct rpc_method *cli_group_arguments(const struct rpc_table *table, const char *group)
{
	for (const struct rpc_method *method = table->methods; method->name; method++) {
		const char *rest = below(method->name, group);

		if (*group && rest && !strchr(rest, '.') && !(method->flags & RPC_CLI_HIDDEN) &&
		    has_group_arguments(method))
			return method;
	}
	return NULL;
}

/* Whether an earlier method has the same word below the group. */
static bool seen_before(const struct rpc_table *table, const struct rpc_method *end,
			const char *group, const char *word, size_t size)
{
	for (const struct rpc_method *method = table->methods; method != end; method++) {
		const char *rest = below(method->name, group);

		if (rest && !(method->flags & RPC_CLI_HIDDEN) && strcspn(rest, ".") == size &&
		    strncmp(rest, word, size) == 0)
			return true;
	}
	return false;
}

void cli_each_child(const struct rpc_table *table, const char *group,
		    void (*visit)(const char *word, const char *summary, void *context),
		    void *context)
{
	for (const struct rpc_method *method = table->methods; method->name; method++) {
		CLEANUP(text_done) struct text word = { 0 };
		CLEANUP(text_done) struct text path = { 0 };
		const char *rest = below(method->name, group);
		size_t size = rest ? strcspn(rest, ".") : 0;

		if (!rest || (method->flags & RPC_CLI_HIDDEN) ||
		    seen_before(table, method, group, rest, size))
			continue;
		text_append_bytes(&word, rest, size);
		text_append(&path, group);
		cli_path_append(&path, text_string(&word));
		visit(text_string(&word),
		      rest[size] ? cli_group_summary(table, text_string(&path)) : method->summary,
		      context);
	}
}

bool cli_has_format(const struct rpc_method *method)
{
	return method->output == RPC_JSON || method->output == RPC_TABLE;
}

void cli_path_append(struct text *path, const char *name)
{
	text_printf(path, "%s%s", path->size > 0 ? "." : "", name);
}

/* Appends the words of a path, with the group's arguments before the last one. */
static void usage_words(const char *path, const struct rpc_method *method, struct text *to)
{
	const char *last = strrchr(path, '.');

	for (const char *at = path; *at; at++) {
		if (at == path || at == last)
			text_append_char(to, ' ');
		if (at == last)
			for (const struct rpc_param *p = method ? method->params : NULL;
			     p && p->name; p++)
				if (cli_is_group_argument(p)) {
					text_append_char(to, '<');
					cli_placeholder(to, p->name);
					text_append(to, "> ");
				}
		if (at != last)
			text_append_char(to, *at == '.' ? ' ' : *at);
	}
}

static void usage_argument(const struct rpc_param *param, struct text *to)
{
	bool required = param->flags & RPC_REQUIRED;

	text_append(to, required ? " <" : " [");
	cli_placeholder(to, param->name);
	text_append(to, required ? ">" : "]");
	if (param->type == RPC_STRINGS)
		text_append(to, "...");
}

static void usage_required_option(const struct rpc_param *param, struct text *to)
{
	text_append(to, " --");
	cli_option(to, param);
	text_append(to, " <");
	cli_placeholder(to, param->name);
	text_append(to, ">");
}

void cli_usage(const struct rpc_table *table, const char *path, struct text *to)
{
	const struct rpc_method *method = cli_method(table, path);

	text_append(to, table->program);
	if (!*path)
		text_append(to, " [OPTIONS]");
	usage_words(path, method, to);
	if (!method) {
		const struct rpc_method *grouped = cli_group_arguments(table, path);

		for (const struct rpc_param *p = grouped ? grouped->params : NULL; p && p->name;
		     p++)
			if (cli_is_group_argument(p))
				usage_argument(p, to);
		text_append(to, " <COMMAND>");
		return;
	}
	text_append(to, " [OPTIONS]");
	for (const struct rpc_param *p = method->params; p && p->name; p++)
		if (!cli_is_argument(p) && (p->flags & RPC_REQUIRED))
			usage_required_option(p, to);
	for (const struct rpc_param *p = method->params; p && p->name; p++)
		if (cli_is_argument(p) && !cli_is_group_argument(p))
			usage_argument(p, to);
}
