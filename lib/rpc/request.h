/*
 * Requests in a JSON-RPC body
 *
 * A body is one request object or an array of them, the batch. Members other than `id`, `method` and
 * `params` are ignored. The whole body is refused where one of its requests is malformed.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "base/fault.h"

#define RPC_BODY_MAX (1U << 20) /* bytes */
#define RPC_DEPTH_MAX 32 /* of arrays and objects in each other */
#define RPC_BATCH_MAX 256 /* requests */

struct rpc_request {
	json_t *id; /* a string, number or null; borrowed from the body, as the others */
	const char *method;
	json_t *params; /* any value but null; a batch may also have null */
};

struct rpc_requests {
	json_t *body;
	struct rpc_request *items;
	size_t count;
	bool batch; /* the answer is an array then, even of one or none */
};

void rpc_requests_done(struct rpc_requests *requests);
DEFINE_CLEANUP_DONE(struct rpc_requests, rpc_requests_done);

/* Returns 0, or a negative errno with a fault of a kind of the JSON-RPC layer. */
int rpc_requests_parse(const void *body, size_t size, struct rpc_requests *ret,
		       struct fault *fault);
