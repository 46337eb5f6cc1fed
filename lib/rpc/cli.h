/*
 * The command line that a table of methods makes
 *
 * `device.add` becomes `PROGRAM device add`: its rows say what the arguments and options are, a method
 * of RPC_GROUP rows takes those before its last word (`subnet 10.59.37.1/24 add NAME`). The command
 * asks its daemon (client/client.h) and prints the result. `--help` works at every level; `PROGRAM completion
 * bash|zsh|fish` prints a script for the shell; `PROGRAM man DIRECTORY`, which help does not mention,
 * writes a manual page for every command.
 *
 * Settings come from the options before the command, from the file of --config, from
 * ~/.startos/config.yaml, and from /etc/startos/config.yaml; the first that says something counts.
 */
#pragma once

#include "rpc/method.h"

#define CLI_COOKIE_PATH "/run/startos/tunnel.authcookie" /* the daemon's, unless --auth-cookie */
#define CLI_CONFIG_SYSTEM "/etc/startos/config.yaml"
#define CLI_CONFIG_HOME ".startos/config.yaml" /* below $HOME */

/*
 * Runs a command and returns the exit status of the program: 0, 2 for a command line that it does not
 * understand, else the error's code modulo 256. An error is told to stderr as "<message>: <details>".
 */
int cli_main(const struct rpc_table *table, int argc, char **argv);
