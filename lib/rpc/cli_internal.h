/* What the parts of the command line share. */
#pragma once

#include "base/text.h"
#include "client/client.h"
#include "codec/output.h"
#include "rpc/cli.h"

/* An option before the command; its value is a setting of the same name. */
struct cli_option {
	const char *name;
	char letter; /* or 0 */
	const char *value; /* what to call its value; NULL: a flag */
	const char *help;
	bool repeated;
};

extern const struct cli_option cli_globals[]; /* ends with a NULL name */

/* Words that are commands without being methods. */
enum cli_builtin {
	CLI_METHOD, /* none of them */
	CLI_HELP,
	CLI_VERSION,
	CLI_COMPLETION,
	CLI_COMPLETE, /* asked by the scripts of `completion` */
	CLI_MAN,
};

/* A command line, understood. */
struct cli_command {
	enum cli_builtin builtin;
	const struct rpc_method *method; /* of CLI_METHOD; of CLI_HELP, where it is about one */
	struct text path; /* of CLI_HELP: the method or group that it is about, "" for the program */
	json_t *settings; /* by the names of cli_globals */
	json_t *params; /* by the names of the rows */
	bool format_given;
	enum output_format format;
	const char *argument; /* of CLI_COMPLETION and CLI_MAN; borrowed from argv */
};

void cli_command_done(struct cli_command *command);
DEFINE_CLEANUP_DONE(struct cli_command, cli_command_done);

/* --- cli_settings.c --- */

/* What a client needs; its strings are those of the settings, or owned here. */
struct cli_settings {
	struct rpc_client_options client;
	char *cookie;
	char *socks_proxy;
	char *jar;
	const char **roots;
};

void cli_settings_done(struct cli_settings *settings);
DEFINE_CLEANUP_DONE(struct cli_settings, cli_settings_done);

/*
 * Adds what the configuration files say to the settings of a command line, which have to outlive
 * *ret. Returns 0, or a negative errno with a fault.
 */
int cli_settings_load(json_t *settings, struct cli_settings *ret, struct fault *fault);

/* --- cli_parse.c --- */

/* Returns 0, or -EINVAL with the text for stderr in @error, or -ENOMEM. */
int cli_parse(const struct rpc_table *table, int argc, char **argv, struct cli_command *ret,
	      struct text *error);

/* --- names and the tree of commands: cli_names.c --- */

/* Appends "external-port" for "externalPort", and "EXTERNAL_PORT". */
void cli_kebab(struct text *to, const char *name);

/* An option's name without dashes: what may be repeated is called by one of it, "server" of "servers". */
void cli_option(struct text *to, const struct rpc_param *param);
void cli_placeholder(struct text *to, const char *name);

/* Whether the row is an argument, and whether it stands before the last word. */
bool cli_is_argument(const struct rpc_param *param);
bool cli_is_group_argument(const struct rpc_param *param);

/* The method of a command's path such as "device.add", or NULL. Hidden ones are none. */
const struct rpc_method *cli_method(const struct rpc_table *table, const char *path);
bool cli_is_group(const struct rpc_table *table, const char *path);

/* What a group is for; "" where the table does not say. */
const char *cli_group_summary(const struct rpc_table *table, const char *path);

/* The method of a group ("": the program) that takes group arguments, or NULL. */
const struct rpc_method *cli_group_arguments(const struct rpc_table *table, const char *group);

/* Calls @visit for each command directly below a group, in the table's order. */
void cli_each_child(const struct rpc_table *table, const char *group,
		    void (*visit)(const char *word, const char *summary, void *context),
		    void *context);

/* Whether a method's result has a --format. */
bool cli_has_format(const struct rpc_method *method);

/* Appends "name" to a path, after a dot where there is one already. */
void cli_path_append(struct text *path, const char *name);

/* Appends "start-tunnel device add [OPTIONS] <SUBNET> ...", without a line break. */
void cli_usage(const struct rpc_table *table, const char *path, struct text *to);

/* --- cli_report.c --- */

/* Appends the line for stderr that tells a person of a fault. */
void cli_report(const struct cli_command *command, const struct fault *fault, struct text *to);

/* --- cli_help.c, cli_complete.c, cli_man.c --- */

void cli_help(const struct rpc_table *table, const char *path, struct text *to);

/* The script for a shell; -EINVAL where there is none. */
int cli_completion(const struct rpc_table *table, const char *shell, struct text *to);

/*
 * What may stand at a place of a command line: lines of a word, and after a tab what it means.
 * @words: the line so far, the program's name first, the word to complete last.
 */
void cli_complete(const struct rpc_table *table, size_t count, char **words, struct text *to);

/* Writes the pages into a directory that exists. Returns 0, or a negative errno with a fault. */
int cli_man(const struct rpc_table *table, const char *directory, struct fault *fault);
