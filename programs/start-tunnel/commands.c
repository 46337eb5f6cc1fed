#include "commands.h"

#include <fcntl.h>
#include <string.h>

#include "base/secret.h"

/* Groups that hold commands; the daemon's table may have them too. */
static const struct rpc_group groups[] = {
	{ "auth", "Who may manage this tunnel: password, sessions, keys" },
	{ "auth.key", "Keys that sign requests from other machines" },
	{ "web", "The web interface: address, certificate, on and off" },
};

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct rpc_method *)a)->name, ((const struct rpc_method *)b)->name);
}

/* Puts a row in the place of its namesake, or behind the others. */
static void put(struct rpc_method *methods, size_t *count, const struct rpc_method *row)
{
	size_t i = 0;

	while (i < *count && strcmp(methods[i].name, row->name) != 0)
		i++;
	methods[i] = *row;
	if (i == *count)
		++*count;
}

static size_t rows_of(const struct rpc_method *methods)
{
	size_t count = 0;

	while (methods[count].name)
		count++;
	return count;
}

static int join_methods(const struct rpc_method *api, const struct rpc_method **ret)
{
	const struct rpc_method *const sets[] = { api, auth_commands, device_commands,
						  web_commands };
	struct rpc_method *methods;
	size_t count = 0, max = 1;

	for (size_t i = 0; i < ARRAY_SIZE(sets); i++)
		max += rows_of(sets[i]);
	methods = calloc(max, sizeof(*methods));
	if (!methods)
		return -ENOMEM;
	for (size_t i = 0; i < ARRAY_SIZE(sets); i++)
		for (const struct rpc_method *row = sets[i]; row->name; row++)
			put(methods, &count, row);
	qsort(methods, count, sizeof(*methods), by_name);
	*ret = methods;
	return 0;
}

static bool has_group(const struct rpc_group *among, const char *name)
{
	for (; among->name; among++)
		if (strcmp(among->name, name) == 0)
			return true;
	return false;
}

static int join_groups(const struct rpc_group *api, const struct rpc_group **ret)
{
	struct rpc_group *joined;
	size_t count = 0;

	while (api[count].name)
		count++;
	joined = calloc(count + ARRAY_SIZE(groups) + 1, sizeof(*joined));
	if (!joined)
		return -ENOMEM;
	memcpy(joined, api, count * sizeof(*joined));
	for (size_t i = 0; i < ARRAY_SIZE(groups); i++)
		if (!has_group(api, groups[i].name))
			joined[count++] = groups[i];
	*ret = joined;
	return 0;
}

int commands_join(const struct rpc_table *api, struct rpc_table *ret)
{
	CLEANUP(commands_done) struct rpc_table table = { api->program, api->version, NULL, NULL };
	int r = join_methods(api->methods, &table.methods);

	if (r == 0)
		r = join_groups(api->groups, &table.groups);
	if (r < 0)
		return r;
	*ret = table;
	table.methods = NULL;
	table.groups = NULL;
	return 0;
}

void commands_done(struct rpc_table *table)
{
	free((void *)table->methods);
	free((void *)table->groups);
	*table = (struct rpc_table){ 0 };
}

/* --- what they share --- */

int command_call(struct rpc_client *client, const char *method, json_t *params, json_t **ret_result,
		 struct fault *fault)
{
	json_t *result = NULL;
	int r = params ? rpc_client_call(client, method, params, &result, fault) : -ENOMEM;

	json_decref(params);
	if (r == 0 && ret_result)
		*ret_result = result;
	else
		json_decref(result);
	return r;
}

int command_read_file(const char *option, const char *path, struct text *to, struct fault *fault)
{
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	char buffer[4096];
	ssize_t size = 0;
	int r;

	to->max = COMMAND_FILE_MAX;
	while (fd >= 0 && text_error(to) == 0 && (size = read(fd, buffer, sizeof(buffer))) > 0)
		text_append_bytes(to, buffer, (size_t)size);
	r = fd < 0 || size < 0 ? -errno : text_error(to);
	secret_wipe(buffer, sizeof(buffer));
	return r < 0 ? fault_set_errno(fault, r, FAULT_FILESYSTEM, "%s: reading %s", option, path)
		     : 0;
}
