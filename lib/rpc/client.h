/*
 * Calls of a command to its daemon
 *
 * One blocking call at a time, over a connection of its own. For programs that do nothing else
 * meanwhile.
 */
#pragma once

#include <jansson.h>

#include "base/fault.h"
#include "base/ip.h"

#define RPC_CLIENT_CONNECT_TIMEOUT_S 10
#define RPC_CLIENT_ANSWER_TIMEOUT_S 300
#define RPC_ANSWER_MAX (128U << 20) /* bytes of an HTTP response */
#define RPC_COOKIE_MAX 256 /* bytes of a local cookie */

/* How a command reaches its daemon, and what it knows for that (tunnel.md 2.6). */
struct rpc_client_wish {
	const char *tunnel; /* `--tunnel`, or `tunnel` of a config file; NULL: none */
	const char *tunnel_listen; /* of a config file; NULL: none */
	const char *cookie; /* the daemon's local cookie; NULL: it cannot be read */
};

/*
 * Chooses where to connect; it is plain HTTP on this machine, the one way there is so far.
 * Returns 0, or a negative errno with a fault that says what to do.
 */
int rpc_client_target(const struct rpc_client_wish *wish, struct endpoint *ret,
		      struct fault *fault);

/* Reads a local cookie. Returns 0, or a negative errno: -EACCES, -ENOENT, -EBADMSG. */
int rpc_client_cookie(const char *path, char **ret);

/*
 * Calls a method: POST /rpc/v0 with the cookie. @params is an object, or NULL for an empty one.
 * Returns 0 with the result, or a negative errno with the fault that the daemon told, or one that
 * says why it could not be asked.
 */
int rpc_client_call(const struct endpoint *target, const char *cookie, const char *method,
		    const json_t *params, json_t **ret_result, struct fault *fault);

/*
 * Takes the result or the fault out of a whole HTTP response: its status is 200, its content type is
 * exactly application/json. Returns 0, or a negative errno with a fault.
 */
int rpc_response_parse(const char *response, size_t size, json_t **ret_result, struct fault *fault);
