/*
 * What a daemon's answer says (rpc-and-patchdb.md 1.3, 1.4)
 */
#include <string.h>

#include "client/client.h"

static int bad_answer(struct fault *fault, const char *why)
{
	return fault_set(fault, FAULT_NETWORK, "the daemon's answer %s", why);
}

/* The codes that are kinds of ours stay; those of the protocol become one. */
static enum fault_kind kind_of(json_int_t code)
{
	switch (code) {
	case FAULT_RPC_METHOD_NOT_FOUND:
		return FAULT_NOT_FOUND;
	case FAULT_RPC_PARSE:
	case FAULT_RPC_INVALID_PARAMS:
	case FAULT_RPC_INVALID_REQUEST:
		return FAULT_DESERIALIZATION;
	default:
		return code > 0 && code <= 80 ? (enum fault_kind)code : FAULT_UNKNOWN;
	}
}

static int fault_from(const json_t *error, struct fault *fault)
{
	json_int_t code = json_integer_value(json_object_get(error, "code"));
	const json_t *data = json_object_get(error, "data");
	const char *details = json_string_value(json_object_get(data, "details"));

	if (code == FAULT_RPC_METHOD_NOT_FOUND)
		return fault_set(fault, kind_of(code),
				 "the daemon does not know what it was asked for: it is older than "
				 "this command, or another program");
	if (!details)
		details = json_string_value(data);
	if (!details)
		details = json_string_value(json_object_get(error, "message"));
	return fault_set(fault, kind_of(code), "%s",
			 details ? details : "the daemon did not say why");
}

static int unwrap(const json_t *envelope, json_t **ret_result, struct fault *fault)
{
	const char *version = json_string_value(json_object_get(envelope, "jsonrpc"));
	json_t *result = json_object_get(envelope, "result");
	const json_t *error = json_object_get(envelope, "error");

	if (!version || strcmp(version, "2.0") != 0 || !json_object_get(envelope, "id") ||
	    !result == !error)
		return bad_answer(fault, "is not a JSON-RPC response");
	if (error)
		return fault_from(error, fault);
	*ret_result = json_incref(result);
	return 0;
}

int rpc_response_parse(unsigned status, const char *content_type, const char *body, size_t size,
		       json_t **ret_result, struct fault *fault)
{
	bool json = content_type && strcmp(content_type, "application/json") == 0;
	json_t *envelope;
	int r;

	if (!json && status == 200)
		return bad_answer(fault, "has a content type other than application/json");
	envelope = json ? json_loadb(body, size, 0, NULL) : NULL;
	if (status != 200) {
		const char *why = json_string_value(
			json_object_get(json_object_get(envelope, "error"), "data"));

		r = fault_set(fault, FAULT_NETWORK, "the daemon answered with HTTP status %u%s%s",
			      status, why ? ": " : "", why ? why : "");
	} else {
		r = envelope ? unwrap(envelope, ret_result, fault)
			     : bad_answer(fault, "is not JSON");
	}
	json_decref(envelope);
	return r;
}
