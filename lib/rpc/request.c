#include "rpc/request.h"

#include "codec/json_parse.h"

void rpc_requests_done(struct rpc_requests *requests)
{
	free(requests->items);
	json_decref(requests->body);
	*requests = (struct rpc_requests){ 0 };
}

static int parse_body(const char *body, size_t size, json_t **ret, struct fault *fault)
{
	static const struct json_limits limits = { RPC_BODY_MAX, RPC_DEPTH_MAX };
	CLEANUP(fault_done) struct fault reason = { 0 };
	int r = json_parse(body, size, &limits, ret, &reason);

	if (r == -ENOMEM)
		return fault_set_errno(fault, r, FAULT_RPC_INTERNAL, "reading the request");
	if (r < 0)
		return fault_set(fault, FAULT_RPC_PARSE, "%s",
				 reason.details ? reason.details : "not JSON");
	return 0;
}

static int parse_request(json_t *from, bool in_batch, struct rpc_request *ret, struct fault *fault)
{
	json_t *id = json_object_get(from, "id");
	json_t *params = json_object_get(from, "params");
	const char *method = json_string_value(json_object_get(from, "method"));

	if (!json_is_object(from))
		return fault_set(fault, FAULT_RPC_PARSE, "a request has to be an object");
	if (id && !json_is_string(id) && !json_is_number(id) && !json_is_null(id))
		return fault_set(fault, FAULT_RPC_PARSE,
				 "id: has to be a string, a number or null");
	if (!method)
		return fault_set(fault, FAULT_RPC_PARSE, "method: is required, as a string");
	if (!params || (json_is_null(params) && !in_batch))
		return fault_set(fault, FAULT_RPC_PARSE, "params: is required");
	*ret = (struct rpc_request){
		.id = id ? id : json_null(),
		.method = method,
		.params = params,
	};
	return 0;
}

int rpc_requests_parse(const void *body, size_t size, struct rpc_requests *ret, struct fault *fault)
{
	CLEANUP(rpc_requests_done) struct rpc_requests parsed = { 0 };
	int r = parse_body(body, size, &parsed.body, fault);

	if (r < 0)
		return r;
	parsed.batch = json_is_array(parsed.body);
	parsed.count = parsed.batch ? json_array_size(parsed.body) : 1;
	if (parsed.count > RPC_BATCH_MAX)
		return fault_set(fault, FAULT_RPC_INVALID_REQUEST,
				 "a batch of %zu requests, %d at most are accepted", parsed.count,
				 RPC_BATCH_MAX);
	parsed.items = calloc(parsed.count ? parsed.count : 1, sizeof(*parsed.items));
	if (!parsed.items)
		return fault_set_errno(fault, -ENOMEM, FAULT_RPC_INTERNAL, "reading the request");
	for (size_t i = 0; i < parsed.count && r >= 0; i++)
		r = parse_request(parsed.batch ? json_array_get(parsed.body, i) : parsed.body,
				  parsed.batch, &parsed.items[i], fault);
	if (r < 0)
		return r;
	*ret = parsed;
	parsed = (struct rpc_requests){ 0 };
	return 0;
}
