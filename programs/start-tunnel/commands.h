/*
 * Commands that do more than one call of the daemon
 *
 * They ask a person, read files or draw, and are rows of a table like the daemon's methods (rpc/method.h):
 * each has a `local`, which does the work here. A row that has the name of a method of the daemon takes
 * its place on the command line.
 */
#pragma once

#include "client/client.h"
#include "rpc/method.h"

/* The rows by file. Each ends with a NULL name. */
extern const struct rpc_method auth_commands[]; /* auth.c */
extern const struct rpc_method device_commands[]; /* device.c */
extern const struct rpc_method web_commands[]; /* web.c */

/*
 * Joins the daemon's table with the commands, sorted by name. What is given lives as long as @api; the
 * arrays are the caller's to free. Returns 0 or -ENOMEM.
 */
int commands_join(const struct rpc_table *api, struct rpc_table *ret);
void commands_done(struct rpc_table *table);
DEFINE_CLEANUP_DONE(struct rpc_table, commands_done);

/* Calls a method with parameters that are taken; NULL means that memory ran out. As rpc_client_call();
 * @ret_result: NULL where the result does not matter. */
int command_call(struct rpc_client *client, const char *method, json_t *params, json_t **ret_result,
		 struct fault *fault);

/* Reads a whole file of text, at most COMMAND_FILE_MAX bytes. @option: what named it. */
#define COMMAND_FILE_MAX 65536
int command_read_file(const char *option, const char *path, struct text *to, struct fault *fault);
