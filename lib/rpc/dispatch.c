#include "rpc/dispatch.h"

#include <assert.h>
#include <string.h>

#include "base/map.h"
#include "base/secret.h"
#include "rpc/param.h"

/* What is left to say where memory does not even suffice for an answer. */
#define LAST_WORDS                                                                                 \
	"{\"error\":{\"code\":-32603,\"message\":\"Internal error\","                              \
	"\"data\":\"Failed to serialize rpc response\"}}"

struct rpc_dispatcher {
	const struct rpc_table *table;
	void *context;
	struct map methods; /* name to struct rpc_method */
	size_t running; /* exchanges; each keeps the dispatcher */
	bool released; /* by its owner */
};

struct rpc_call {
	struct exchange *exchange;
	json_t *id; /* a reference */
	json_t *params; /* checked, a reference */
	char *answer; /* NULL until there is one */
	bool answered;
};

/* One body on its way to its answer. It goes when the last of its calls is answered. */
struct exchange {
	struct rpc_dispatcher *dispatcher;
	rpc_answer_fn answer;
	void *context;
	struct rpc_caller caller; /* its texts belong to the exchange */
	char *set_cookie; /* or NULL */
	bool batch;
	size_t waiting; /* calls without an answer, and one for the loop that starts them */
	size_t count;
	struct rpc_call calls[];
};

int rpc_dispatcher_new(const struct rpc_table *table, void *context, struct rpc_dispatcher **ret)
{
	CLEANUP(rpc_dispatcher_free) struct rpc_dispatcher *dispatcher = NULL;

	dispatcher = calloc(1, sizeof(*dispatcher));
	if (!dispatcher)
		return -ENOMEM;
	dispatcher->table = table;
	dispatcher->context = context;
	for (const struct rpc_method *method = table->methods; method->name; method++) {
		int r = map_set(&dispatcher->methods, method->name, strlen(method->name),
				(void *)method, NULL);

		if (r < 0)
			return r;
	}
	*ret = TAKE_PTR(dispatcher);
	return 0;
}

static void dispatcher_release(struct rpc_dispatcher *dispatcher)
{
	if (!dispatcher->released || dispatcher->running > 0)
		return;
	map_done(&dispatcher->methods);
	free(dispatcher);
}

struct rpc_dispatcher *rpc_dispatcher_free(struct rpc_dispatcher *dispatcher)
{
	if (!dispatcher)
		return NULL;
	dispatcher->released = true;
	dispatcher_release(dispatcher);
	return NULL;
}

size_t rpc_dispatcher_running(const struct rpc_dispatcher *dispatcher)
{
	return dispatcher->running;
}

/* The `data` of an error: of the application an object, of the JSON-RPC layer a string or nothing. */
static json_t *error_data(const struct fault *fault)
{
	const char *details = fault->details ? fault->details : "";

	if (fault->kind < 0)
		return fault->details ? json_string(details) : NULL;
	return json_pack("{s:s, s:s, s:n}", "details", details, "debug", details, "info");
}

static json_t *error_object(const struct fault *fault)
{
	json_t *error = json_pack("{s:i, s:s}", "code", (int)fault->kind, "message",
				  fault_kind_text(fault->kind));
	json_t *data = error_data(fault);

	if (error && data)
		(void)json_object_set(error, "data", data);
	json_decref(data);
	return error;
}

/* The text of a response; takes @value, and returns NULL for want of memory. */
static char *response(const char *member, json_t *value, json_t *id)
{
	json_t *object = json_pack("{s:s, s:o, s:O}", "jsonrpc", "2.0", member, value, "id", id);
	char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;

	json_decref(object);
	return text;
}

static char *error_response(const struct fault *fault, json_t *id)
{
	json_t *error = error_object(fault);

	return error ? response("error", error, id) : NULL;
}

char *rpc_refusal(const struct fault *fault)
{
	return error_response(fault, json_null());
}

/* The texts are of the exchange then. */
static int caller_copy(struct rpc_caller *to, const struct rpc_caller *from)
{
	*to = *from;
	to->session = from->session ? strdup(from->session) : NULL;
	to->key = from->key ? strdup(from->key) : NULL;
	to->user_agent = from->user_agent ? strdup(from->user_agent) : NULL;
	return (from->session && !to->session) || (from->key && !to->key) ||
			       (from->user_agent && !to->user_agent)
		       ? -ENOMEM
		       : 0;
}

static void secret_free(char *text)
{
	if (text)
		secret_wipe(text, strlen(text));
	free(text);
}

static void exchange_free(struct exchange *exchange)
{
	struct rpc_dispatcher *dispatcher = exchange->dispatcher;

	for (size_t i = 0; i < exchange->count; i++) {
		json_decref(exchange->calls[i].id);
		json_decref(exchange->calls[i].params);
		secret_free(exchange->calls[i].answer);
	}
	free((char *)exchange->caller.session);
	free((char *)exchange->caller.key);
	free((char *)exchange->caller.user_agent);
	secret_free(exchange->set_cookie);
	free(exchange);
	dispatcher->running--;
	dispatcher_release(dispatcher);
}

/* The array of answers; NULL for want of memory. */
static char *join_answers(const struct exchange *exchange)
{
	CLEANUP(text_done_secret) struct text joined = { 0 };

	text_append_char(&joined, '[');
	for (size_t i = 0; i < exchange->count; i++) {
		const char *answer = exchange->calls[i].answer;

		text_printf(&joined, "%s%s", i > 0 ? "," : "", answer ? answer : LAST_WORDS);
	}
	text_append_char(&joined, ']');
	return text_take(&joined);
}

static void give_answer(rpc_answer_fn answer, void *context, char *text, const char *set_cookie)
{
	if (!text)
		text = strdup(LAST_WORDS);
	if (!text)
		abort(); /* not a hundred bytes are left for anybody */
	answer(context, text, strlen(text), set_cookie);
}

/* One thing less to wait for; with the last one the answer goes out. */
static void exchange_step(struct exchange *exchange)
{
	char *text;

	assert(exchange->waiting > 0);
	if (--exchange->waiting > 0)
		return;
	text = exchange->batch ? join_answers(exchange) : TAKE_PTR(exchange->calls[0].answer);
	give_answer(exchange->answer, exchange->context, text, exchange->set_cookie);
	exchange_free(exchange);
}

/* Takes @answer, which may be NULL for want of memory. */
static void call_answer(struct rpc_call *call, char *answer)
{
	assert(!call->answered);
	call->answered = true;
	call->answer = answer;
	exchange_step(call->exchange);
}

void rpc_reply(struct rpc_call *call, json_t *result)
{
	call_answer(call, response("result", result ? result : json_null(), call->id));
}

void rpc_fail(struct rpc_call *call, struct fault *fault)
{
	char *answer;

	if (!fault_is_set(fault))
		(void)fault_set(fault, FAULT_UNKNOWN, "%s", fault_kind_text(FAULT_UNKNOWN));
	answer = error_response(fault, call->id);
	fault_done(fault);
	call_answer(call, answer);
}

const json_t *rpc_params(const struct rpc_call *call)
{
	return call->params;
}

void *rpc_context(const struct rpc_call *call)
{
	return call->exchange->dispatcher->context;
}

const struct rpc_caller *rpc_caller(const struct rpc_call *call)
{
	return &call->exchange->caller;
}

int rpc_set_cookie(struct rpc_call *call, const char *set_cookie)
{
	char *copy;

	for (const char *at = set_cookie; *at; at++)
		if ((unsigned char)*at < 0x20 || *at == 0x7f)
			return -EINVAL;
	copy = strdup(set_cookie);
	if (!copy)
		return -ENOMEM;
	secret_free(call->exchange->set_cookie);
	call->exchange->set_cookie = copy;
	return 0;
}

const char *rpc_string(const struct rpc_call *call, const char *name)
{
	return json_string_value(json_object_get(call->params, name));
}

bool rpc_bool(const struct rpc_call *call, const char *name)
{
	return json_is_true(json_object_get(call->params, name));
}

/*
 * Finds the method and checks the caller and the parameters. A refusal for want of authentication
 * does not repeat the request's id: it is made before the request is looked at (1.3 of the reference).
 */
static int admit(struct rpc_call *call, const struct rpc_request *request,
		 const struct rpc_caller *caller, const struct rpc_method **ret,
		 struct fault *fault)
{
	const struct map *methods = &call->exchange->dispatcher->methods;
	const struct rpc_method *method =
		map_get(methods, request->method, strlen(request->method));

	if (!method || !method->handle) {
		fault->kind = FAULT_RPC_METHOD_NOT_FOUND; /* its `data` is absent */
		return -ENOENT;
	}
	if (caller->kind == RPC_CALLER_NOBODY && !(method->flags & RPC_PUBLIC)) {
		json_decref(call->id);
		call->id = json_null();
		return fault_set(fault, FAULT_AUTHORIZATION, "UNAUTHORIZED");
	}
	if (caller->kind == RPC_CALLER_SESSION && (method->flags & RPC_NO_SESSION))
		return fault_set(fault, FAULT_AUTHORIZATION,
				 "%s is for root on the server and for requests signed by a key, "
				 "not for a login with the password",
				 method->name);
	if (!json_is_object(request->params))
		return fault_set(fault, FAULT_RPC_INVALID_PARAMS, "params: has to be an object");
	*ret = method;
	return rpc_params_check(method->params, request->params, &call->params, fault);
}

static void call_start(struct rpc_call *call, const struct rpc_request *request,
		       const struct rpc_caller *caller)
{
	CLEANUP(fault_done) struct fault fault = { 0 };
	const struct rpc_method *method = NULL;

	if (admit(call, request, caller, &method, &fault) < 0)
		rpc_fail(call, &fault);
	else
		method->handle(call);
}

static struct exchange *exchange_new(struct rpc_dispatcher *dispatcher,
				     const struct rpc_requests *requests,
				     const struct rpc_caller *caller)
{
	size_t calls = requests->count * sizeof(struct rpc_call);
	struct exchange *exchange = calloc(1, sizeof(*exchange) + calls);

	if (!exchange)
		return NULL;
	dispatcher->running++;
	exchange->dispatcher = dispatcher;
	if (caller_copy(&exchange->caller, caller) < 0) {
		exchange_free(exchange);
		return NULL;
	}
	exchange->batch = requests->batch;
	exchange->count = requests->count;
	exchange->waiting = requests->count + 1;
	for (size_t i = 0; i < requests->count; i++) {
		exchange->calls[i].exchange = exchange;
		exchange->calls[i].id = json_incref(requests->items[i].id);
	}
	return exchange;
}

void rpc_dispatch(struct rpc_dispatcher *dispatcher, const void *body, size_t size,
		  const struct rpc_caller *caller, rpc_answer_fn answer, void *context)
{
	CLEANUP(rpc_requests_done) struct rpc_requests requests = { 0 };
	CLEANUP(fault_done) struct fault fault = { 0 };
	struct exchange *exchange;

	if (rpc_requests_parse(body, size, &requests, &fault) < 0) {
		give_answer(answer, context, rpc_refusal(&fault), NULL);
		return;
	}
	exchange = exchange_new(dispatcher, &requests, caller);
	if (!exchange) {
		give_answer(answer, context, NULL, NULL);
		return;
	}
	exchange->answer = answer;
	exchange->context = context;
	for (size_t i = 0; i < requests.count; i++)
		call_start(&exchange->calls[i], &requests.items[i], caller);
	exchange_step(exchange);
}
