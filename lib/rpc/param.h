/*
 * Values of parameters, checked against their row
 *
 * The same rules hold for what arrives in a request (dispatch.h) and for what is typed on a command
 * line (cli.h). A refusal is a sentence for a person that begins with the parameter's name.
 */
#pragma once

#include <jansson.h>

#include "rpc/method.h"

#define RPC_STRING_MAX 256 /* bytes of a string whose row states no other maximum */

/*
 * Makes the value that a text stands for, and checks it: a number for RPC_U16, true or false for
 * RPC_BOOL, an array of one for RPC_STRINGS, else a string.
 * Returns 0, or a negative errno with a fault.
 */
int rpc_param_parse(const struct rpc_param *param, const char *text, json_t **ret,
		    struct fault *fault);

/*
 * Checks the members of @given, an object or NULL, and makes the object that a handler gets: each
 * parameter of the rows with its value or its `initial`, and nothing else. RPC_CLI_ONLY rows are
 * left out. @params: NULL for none. Returns 0, or a negative errno with a fault.
 */
int rpc_params_check(const struct rpc_param *params, const json_t *given, json_t **ret,
		     struct fault *fault);
