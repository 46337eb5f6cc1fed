/*
 * A small made-up table, for the tests and fuzz targets of this folder only
 *
 * Its handlers say what they were given. `later` keeps its calls, which the test answers in the order
 * that it likes.
 */
#pragma once

#include "base/clock.h"
#include "http/server.h"
#include "rpc/continuation.h"
#include "rpc/method.h"

#define TEST_LATER_MAX 512

/* The context of the handlers. */
struct test_context {
	struct rpc_call *later[TEST_LATER_MAX];
	size_t later_count;
	unsigned handled;
	struct rpc_continuations *continuations; /* of `subscribe`; or NULL */
	unsigned sockets_opened;
	unsigned sockets_closed;
};

static void test_handle_echo(struct rpc_call *call)
{
	struct test_context *context = rpc_context(call);

	context->handled++;
	rpc_reply(call, json_string(rpc_string(call, "message")));
}

static void test_handle_params(struct rpc_call *call)
{
	struct test_context *context = rpc_context(call);

	context->handled++;
	rpc_reply(call, json_deep_copy(rpc_params(call)));
}

static void test_handle_nothing(struct rpc_call *call)
{
	struct test_context *context = rpc_context(call);

	context->handled++;
	rpc_reply(call, NULL);
}

static void test_handle_missing(struct rpc_call *call)
{
	struct fault fault = { 0 };

	(void)fault_set(&fault, FAULT_NOT_FOUND, "%s", rpc_string(call, "subnet"));
	rpc_fail(call, &fault);
}

static void test_handle_later(struct rpc_call *call)
{
	struct test_context *context = rpc_context(call);

	if (context->later_count == TEST_LATER_MAX)
		rpc_reply(call, NULL);
	else
		context->later[context->later_count++] = call;
}

/* Answers a kept call with its own number. */
static inline void test_answer_later(struct rpc_call *call)
{
	rpc_reply(call, json_incref(json_object_get(rpc_params(call), "number")));
}

/* Says who calls, and sets a cookie of that. */
static void test_handle_whoami(struct rpc_call *call)
{
	static const char *const kinds[] = { "nobody", "local", "key", "session" };
	const struct rpc_caller *caller = rpc_caller(call);

	(void)rpc_set_cookie(call, "who=am; HttpOnly");
	rpc_reply(call, json_pack("{s:s, s:s?, s:s?, s:s?, s:b}", "kind", kinds[caller->kind],
				  "session", caller->session, "key", caller->key, "agent",
				  caller->user_agent, "secure", caller->secure));
}

static void test_socket_opened(void *context, struct http_socket *socket)
{
	struct test_context *test = context;

	test->sockets_opened++;
	(void)http_socket_send(socket, "{\"id\":1}", 8);
}

static void test_socket_closed(void *context)
{
	((struct test_context *)context)->sockets_closed++;
}

/* Gives the guid of a socket that says one thing. */
static void test_handle_subscribe(struct rpc_call *call)
{
	static const struct rpc_socket_handlers handlers = { .opened = test_socket_opened,
							     .closed = test_socket_closed };
	struct test_context *context = rpc_context(call);
	char guid[RPC_GUID_SIZE + 1] = "";

	if (context->continuations)
		(void)rpc_continuations_add(context->continuations, rpc_caller(call)->session,
					    &handlers, context, clock_monotonic_ns(), guid);
	rpc_reply(call, json_string(guid));
}

/* Ends the caller's session as a logout does. */
static void test_handle_logout(struct rpc_call *call)
{
	struct test_context *context = rpc_context(call);

	if (context->continuations && rpc_caller(call)->session)
		rpc_continuations_kill_session(context->continuations, rpc_caller(call)->session);
	rpc_reply(call, NULL);
}

static void test_show_list(const json_t *result, const json_t *params, struct text *to)
{
	text_printf(to, "%zu members\n", json_object_size(result));
}

static const char *const test_kinds[] = { "client", "server", NULL };

static const struct rpc_param test_echo_params[] = {
	{ .name = "message",
	  .type = RPC_STRING,
	  .flags = RPC_REQUIRED | RPC_POSITIONAL,
	  .help = "What to say" },
	{ 0 },
};

static const struct rpc_param test_device_add_params[] = {
	{ .name = "subnet",
	  .type = RPC_SUBNET,
	  .flags = RPC_REQUIRED | RPC_POSITIONAL,
	  .help = "Subnet of the device" },
	{ .name = "name",
	  .type = RPC_STRING,
	  .flags = RPC_REQUIRED | RPC_POSITIONAL,
	  .max = 63,
	  .help = "Name of the device" },
	{ .name = "ip",
	  .type = RPC_IPV4,
	  .flags = RPC_POSITIONAL,
	  .help = "Address; the next free one by default" },
	{ .name = "kind",
	  .type = RPC_ENUM,
	  .values = test_kinds,
	  .initial = "\"client\"",
	  .help = "What the device is",
	  .letter = 'k' },
	{ 0 },
};

static const struct rpc_param test_forward_add_params[] = {
	{ .name = "externalPort",
	  .type = RPC_U16,
	  .flags = RPC_REQUIRED | RPC_POSITIONAL,
	  .help = "Public port" },
	{ .name = "target",
	  .type = RPC_ENDPOINT_V4,
	  .flags = RPC_REQUIRED | RPC_POSITIONAL,
	  .help = "Address and port of the device" },
	{ .name = "label", .type = RPC_STRING, .help = "Text for the owner" },
	{ .name = "sni", .type = RPC_STRINGS, .initial = "[]", .max = 4, .help = "Hostname" },
	{ .name = "count", .type = RPC_U16, .initial = "1", .help = "How many ports" },
	{ .name = "enabled", .type = RPC_BOOL, .initial = "false", .help = "Switch it on" },
	{ 0 },
};

static const struct rpc_param test_subnet_add_params[] = {
	{ .name = "subnet",
	  .type = RPC_SUBNET,
	  .flags = RPC_REQUIRED | RPC_GROUP,
	  .help = "Subnet" },
	{ .name = "name",
	  .type = RPC_STRING,
	  .flags = RPC_REQUIRED | RPC_POSITIONAL,
	  .help = "Name of the subnet" },
	{ 0 },
};

static const struct rpc_param test_subnet_wan_params[] = {
	{ .name = "subnet",
	  .type = RPC_SUBNET,
	  .flags = RPC_REQUIRED | RPC_GROUP,
	  .help = "Subnet" },
	{ .name = "wanIp", .type = RPC_IPV4, .help = "Public address for egress" },
	{ 0 },
};

static const struct rpc_param test_later_params[] = {
	{ .name = "number", .type = RPC_U32, .initial = "0", .help = "To be answered" },
	{ .name = "pointer",
	  .type = RPC_POINTER,
	  .initial = "\"\"",
	  .help = "Of what",
	  .letter = 'p' },
	{ .name = "note", .type = RPC_TEXT, .help = "More text" },
	{ .name = "path",
	  .type = RPC_STRING,
	  .flags = RPC_POSITIONAL | RPC_CLI_ONLY,
	  .help = "File" },
	{ 0 },
};

static const struct rpc_method test_methods[] = {
	{ .name = "echo",
	  .summary = "Says it again",
	  .params = test_echo_params,
	  .output = RPC_PLAIN,
	  .flags = RPC_PUBLIC,
	  .handle = test_handle_echo },
	{ .name = "nothing",
	  .summary = "Does nothing",
	  .output = RPC_NOTHING,
	  .handle = test_handle_nothing },
	{ .name = "whoami",
	  .summary = "Says who calls",
	  .output = RPC_JSON,
	  .flags = RPC_PUBLIC | RPC_CLI_HIDDEN,
	  .handle = test_handle_whoami },
	{ .name = "subscribe",
	  .summary = "Opens a socket",
	  .output = RPC_PLAIN,
	  .flags = RPC_CLI_HIDDEN,
	  .handle = test_handle_subscribe },
	{ .name = "logout",
	  .summary = "Ends a session",
	  .output = RPC_NOTHING,
	  .flags = RPC_CLI_HIDDEN,
	  .handle = test_handle_logout },
	{ .name = "later",
	  .summary = "Answers in its own time",
	  .params = test_later_params,
	  .output = RPC_JSON,
	  .flags = RPC_PUBLIC,
	  .handle = test_handle_later },
	{ .name = "device.add",
	  .summary = "Adds a device",
	  .params = test_device_add_params,
	  .description = "Adds a device to a subnet and gives it an address.",
	  .output = RPC_JSON,
	  .handle = test_handle_params },
	{ .name = "device.list",
	  .summary = "Lists devices",
	  .params = test_subnet_add_params,
	  .output = RPC_TABLE,
	  .handle = test_handle_params,
	  .show = test_show_list,
	  .flags = RPC_CLI_HIDDEN },
	{ .name = "port-forward.add",
	  .summary = "Forwards a port",
	  .params = test_forward_add_params,
	  .output = RPC_TABLE,
	  .handle = test_handle_params,
	  .show = test_show_list },
	{ .name = "subnet.add",
	  .summary = "Adds a subnet",
	  .params = test_subnet_add_params,
	  .output = RPC_JSON,
	  .handle = test_handle_params },
	{ .name = "subnet.remove",
	  .summary = "Removes a subnet",
	  .params = test_subnet_wan_params,
	  .output = RPC_NOTHING,
	  .handle = test_handle_missing },
	{ .name = "subnet.set-wan",
	  .summary = "Sets the public address",
	  .params = test_subnet_wan_params,
	  .output = RPC_JSON,
	  .handle = test_handle_params },
	{ 0 },
};

static const struct rpc_group test_groups[] = {
	{ "device", "Devices" },
	{ "port-forward", "Forwarded ports" },
	{ "subnet", "Subnets" },
	{ 0 },
};

static const struct rpc_table test_table = {
	.program = "start-sample",
	.version = "1.2.3",
	.methods = test_methods,
	.groups = test_groups,
};
