/*
 * Every body gets one well-formed answer: a response, or for a batch an array with one response for
 * each of its requests. The first byte says who calls and in which order kept calls are answered.
 */
#include <assert.h>
#include <string.h>

#include "rpc/dispatch.h"
#include "rpc/test_table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_response(const json_t *response)
{
	const json_t *error = json_object_get(response, "error");
	const json_t *id = json_object_get(response, "id");

	assert(json_is_object(response) && json_object_size(response) == 3);
	assert(strcmp(json_string_value(json_object_get(response, "jsonrpc")), "2.0") == 0);
	assert(id && (json_is_null(id) || json_is_string(id) || json_is_number(id)));
	assert(!error == !!json_object_get(response, "result"));
	if (!error)
		return;
	assert(json_is_integer(json_object_get(error, "code")));
	assert(json_is_string(json_object_get(error, "message")));
	if (json_integer_value(json_object_get(error, "code")) > 0)
		assert(json_is_string(json_object_get(json_object_get(error, "data"), "details")));
}

static void on_answer(void *context, char *text, size_t size, const char *set_cookie)
{
	json_t **answer = context;

	assert(!*answer); /* only one */
	*answer = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
	free(text);
	assert(*answer);
}

static void answer_kept_calls(struct test_context *context, bool backwards)
{
	for (size_t i = 0; i < context->later_count; i++)
		test_answer_later(context->later[backwards ? context->later_count - 1 - i : i]);
}

static void check_answer(const json_t *answer, const uint8_t *body, size_t size)
{
	CLEANUP(rpc_requests_done) struct rpc_requests requests = { 0 };
	CLEANUP(fault_done) struct fault fault = { 0 };
	const json_t *response;
	size_t i;

	if (rpc_requests_parse(body, size, &requests, &fault) < 0 || !requests.batch) {
		check_response(answer);
		return;
	}
	assert(json_is_array(answer) && json_array_size(answer) == requests.count);
	json_array_foreach(answer, i, response)
		check_response(response);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct test_context context = { 0 };
	struct rpc_dispatcher *dispatcher;
	struct rpc_caller caller = { .kind = size > 0 && (data[0] & 1) ? RPC_CALLER_LOCAL
								       : RPC_CALLER_NOBODY };
	json_t *answer = NULL;

	if (size == 0 || rpc_dispatcher_new(&test_table, &context, &dispatcher) < 0)
		return 0;
	rpc_dispatch(dispatcher, data + 1, size - 1, &caller, on_answer, &answer);
	answer_kept_calls(&context, data[0] & 2);
	assert(answer && rpc_dispatcher_running(dispatcher) == 0);
	(void)rpc_dispatcher_free(dispatcher);
	check_answer(answer, data + 1, size - 1);
	json_decref(answer);
	return 0;
}
