#include "base/test.h"

#include <string.h>

#include "rpc/dispatch.h"
#include "rpc/test_table.h"

struct answer {
	char *text;
	unsigned count;
};

struct fixture {
	struct test_context context;
	struct rpc_dispatcher *dispatcher;
	struct answer answer;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	assert_int_equal(rpc_dispatcher_new(&test_table, &f->context, &f->dispatcher), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	(void)rpc_dispatcher_free(f->dispatcher);
	free(f->answer.text);
	free(f);
	return 0;
}

static void on_answer(void *context, char *text, size_t size, const char *set_cookie)
{
	struct answer *answer = context;

	assert_int_equal(strlen(text), size);
	free(answer->text);
	answer->text = text;
	answer->count++;
}

static void dispatch_bytes(struct fixture *f, const void *body, size_t size, bool authenticated)
{
	struct rpc_caller caller = { .kind = authenticated ? RPC_CALLER_LOCAL : RPC_CALLER_NOBODY };

	f->answer.count = 0;
	rpc_dispatch(f->dispatcher, body, size, &caller, on_answer, &f->answer);
}

static const char *ask(struct fixture *f, const char *body)
{
	dispatch_bytes(f, body, strlen(body), true);
	assert_int_equal(f->answer.count, 1);
	return f->answer.text;
}

static void assert_contains(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("\"%s\" has no \"%s\"", text, part);
}

static void envelope(void **state)
{
	static const struct {
		const char *name, *body, *answer;
	} cases[] = {
		{ "a request without id is answered, with null",
		  "{\"method\":\"echo\",\"params\":{\"message\":\"hi\"}}",
		  "{\"jsonrpc\":\"2.0\",\"result\":\"hi\",\"id\":null}" },
		{ "a number comes back as id", "{\"id\":7,\"method\":\"nothing\",\"params\":{}}",
		  "{\"jsonrpc\":\"2.0\",\"result\":null,\"id\":7}" },
		{ "a fraction too", "{\"id\":1.5,\"method\":\"nothing\",\"params\":{}}",
		  "{\"jsonrpc\":\"2.0\",\"result\":null,\"id\":1.5}" },
		{ "unknown method", "{\"id\":\"a\",\"method\":\"nope\",\"params\":{}}",
		  "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32601,\"message\":\"Method not found\"},"
		  "\"id\":\"a\"}" },
		{ "a batch answers in order",
		  "[{\"id\":1,\"method\":\"echo\",\"params\":{\"message\":\"a\"}},"
		  "{\"id\":2,\"method\":\"nope\",\"params\":{}}]",
		  "[{\"jsonrpc\":\"2.0\",\"result\":\"a\",\"id\":1},{\"jsonrpc\":\"2.0\",\"error\":"
		  "{\"code\":-32601,\"message\":\"Method not found\"},\"id\":2}]" },
		{ "an empty batch is answered by an empty one", "[]", "[]" },
		{ "an error of the application",
		  "{\"id\":3,\"method\":\"subnet.remove\",\"params\":{\"subnet\":\"10.1.2.1/24\"}}",
		  "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":6,\"message\":\"Not Found\",\"data\":"
		  "{\"details\":\"10.1.2.1/24\",\"debug\":\"10.1.2.1/24\",\"info\":null}},\"id\":3}" },
		{ "unknown members are ignored",
		  "{\"jsonrpc\":\"1.0\",\"id\":1,\"x\":[],\"method\":\"echo\","
		  "\"params\":{\"message\":\"a\",\"__Auth_session\":\"b\"}}",
		  "{\"jsonrpc\":\"2.0\",\"result\":\"a\",\"id\":1}" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		print_message("%s\n", cases[i].name);
		assert_string_equal(ask(*state, cases[i].body), cases[i].answer);
	}
}

static void authentication(void **state)
{
	static const char secret[] = "{\"id\":1,\"method\":\"device.add\",\"params\":{}}";
	static const char public[] =
		"{\"id\":1,\"method\":\"echo\",\"params\":{\"message\":\"a\"}}";
	static const char unknown[] = "{\"id\":1,\"method\":\"no.such\",\"params\":{}}";
	struct fixture *f = *state;

	dispatch_bytes(f, secret, strlen(secret), false);
	assert_string_equal(f->answer.text,
			    "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":34,\"message\":"
			    "\"Unauthorized\",\"data\":{\"details\":\"UNAUTHORIZED\",\"debug\":"
			    "\"UNAUTHORIZED\",\"info\":null}},\"id\":null}");
	dispatch_bytes(f, public, strlen(public), false);
	assert_contains(f->answer.text, "\"result\":\"a\"");
	dispatch_bytes(f, unknown, strlen(unknown), false);
	assert_contains(f->answer.text, "-32601");
	assert_int_equal(f->context.handled, 1);
}

static void malformed(void **state)
{
	static const struct {
		const char *name, *body, *data;
	} cases[] = {
		{ "nothing", "", "-32700" },
		{ "not JSON", "{\"method\":", "-32700" },
		{ "more after the end", "{\"method\":\"echo\",\"params\":{}} x", "-32700" },
		{ "a number", "17", "-32700" },
		{ "no method", "{\"params\":{}}", "method: is required" },
		{ "method is a number", "{\"method\":1,\"params\":{}}", "method: is required" },
		{ "no params", "{\"method\":\"echo\"}", "params: is required" },
		{ "null params", "{\"method\":\"echo\",\"params\":null}", "params: is required" },
		{ "null params in a batch", "[{\"method\":\"echo\",\"params\":null}]",
		  "params: has to be an object" },
		{ "params is an array", "{\"method\":\"echo\",\"params\":[\"a\"]}",
		  "params: has to be an object" },
		{ "id is an object", "{\"id\":{},\"method\":\"echo\",\"params\":{}}",
		  "id: has to be a string, a number or null" },
		{ "one bad element spoils the batch",
		  "[{\"method\":\"echo\",\"params\":{\"message\":\"a\"}},3]",
		  "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32700" },
		{ "a batch in a batch", "[[{\"method\":\"echo\",\"params\":{}}]]", "-32700" },
		{ "invalid UTF-8", "{\"method\":\"echo\",\"params\":{\"message\":\"\xff\"}}",
		  "unable to decode byte 0xff" },
		{ "a NUL in a string",
		  "{\"method\":\"echo\",\"params\":{\"message\":\"a\\u0000b\"}}", "-32700" },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		print_message("%s\n", cases[i].name);
		assert_contains(ask(f, cases[i].body), cases[i].data);
	}
	assert_int_equal(f->context.handled, 0);
}

static void hostile_sizes(void **state)
{
	struct fixture *f = *state;
	CLEANUP(text_done) struct text body = { 0 };
	cleanup_free char *huge = malloc(10U << 20);

	for (int i = 0; i < 200000; i++)
		text_append_char(&body, '[');
	assert_contains(ask(f, text_string(&body)), "32");

	assert_non_null(huge);
	memset(huge, 'a', 10U << 20);
	dispatch_bytes(f, huge, 10U << 20, true);
	assert_contains(f->answer.text, "10485760 bytes of JSON are more than the 1048576");

	text_clear(&body);
	for (int i = 0; i < 257; i++)
		text_printf(&body, "%s{\"method\":\"nothing\",\"params\":{}}", i ? "," : "[");
	text_append_char(&body, ']');
	assert_contains(ask(f, text_string(&body)), "a batch of 257 requests, 256 at most");
	assert_int_equal(f->context.handled, 0);
}

static void parameters(void **state)
{
	static const struct {
		const char *method, *params, *answer;
	} cases[] = {
		{ "port-forward.add", "{}", "\"data\":\"externalPort: is required\"" },
		{ "port-forward.add", "{\"externalPort\":null}", "externalPort: is required" },
		{ "port-forward.add", "{\"externalPort\":70000}",
		  "\"code\":-32602,\"message\":\"Invalid params\","
		  "\"data\":\"externalPort: 70000 is out of range, 0 to 65535\"" },
		{ "port-forward.add", "{\"externalPort\":-1}", "externalPort: -1 is out of range" },
		{ "port-forward.add", "{\"externalPort\":1.5}",
		  "externalPort: 1.5 is not a whole number" },
		{ "port-forward.add", "{\"externalPort\":\"80\"}",
		  "externalPort: expected a number, got a string" },
		{ "port-forward.add", "{\"externalPort\":80,\"target\":\"10.0.0.2\"}",
		  "target: \\\"10.0.0.2\\\" is not an IPv4 address with a port" },
		{ "port-forward.add", "{\"externalPort\":80,\"target\":\"[::1]:80\"}",
		  "is not an IPv4 address with a port" },
		{ "port-forward.add",
		  "{\"externalPort\":80,\"target\":\"10.0.0.2:80\",\"sni\":[1]}",
		  "sni: expected a string, got a number" },
		{ "port-forward.add",
		  "{\"externalPort\":80,\"target\":\"10.0.0.2:80\",\"sni\":"
		  "[\"a\",\"b\",\"c\",\"d\",\"e\"]}",
		  "sni: 5 items are too many, at most 4" },
		{ "port-forward.add",
		  "{\"externalPort\":80,\"target\":\"10.0.0.2:80\",\"enabled\":1}",
		  "enabled: expected a boolean, got a number" },
		{ "port-forward.add",
		  "{\"externalPort\":80,\"target\":\"10.0.0.2:80\",\"other\":1}",
		  "\"result\":{\"externalPort\":80,\"target\":\"10.0.0.2:80\",\"label\":null,"
		  "\"sni\":[],\"count\":1,\"enabled\":false}" },
		{ "device.add", "{\"subnet\":\"10.0.0.0\",\"name\":\"a\"}",
		  "subnet: \\\"10.0.0.0\\\" is not a subnet" },
		{ "device.add", "{\"subnet\":\"10.0.0.1/24\",\"name\":\"a\\nb\"}",
		  "name: has a control character at byte 2" },
		{ "device.add", "{\"subnet\":\"10.0.0.1/24\",\"name\":\"a\",\"kind\":\"router\"}",
		  "kind: \\\"router\\\" is not one of client, server" },
		{ "device.add", "{\"subnet\":\"10.0.0.1/24\",\"name\":\"a\",\"ip\":\"::1\"}",
		  "ip: \\\"::1\\\" is not an IPv4 address" },
		{ "device.add", "{\"subnet\":\"10.0.0.1/24\",\"name\":\"a\",\"kind\":null}",
		  "\"ip\":null,\"kind\":\"client\"" },
		{ "device.add",
		  "{\"subnet\":\"10.0.0.1/24\",\"name\":\"0123456789012345678901234567890123456789"
		  "012345678901234567890123\"}",
		  "name: 64 bytes are too many, at most 63" },
		{ "later", "{\"pointer\":\"a\"}", "is not a JSON pointer" },
		{ "later", "{\"note\":\"a\\u0007\"}", "note: has a control character at byte 2" },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		cleanup_free char *body = NULL;

		print_message("%s %s\n", cases[i].method, cases[i].params);
		assert_true(asprintf(&body, "{\"method\":\"%s\",\"params\":%s}", cases[i].method,
				     cases[i].params) > 0);
		assert_contains(ask(f, body), cases[i].answer);
	}
}

static void later_in_any_order(void **state)
{
	struct fixture *f = *state;
	static const char body[] = "[{\"id\":0,\"method\":\"later\",\"params\":{\"number\":10}},"
				   "{\"id\":1,\"method\":\"echo\",\"params\":{\"message\":\"x\"}},"
				   "{\"id\":2,\"method\":\"later\",\"params\":{\"number\":12}}]";

	dispatch_bytes(f, body, strlen(body), true);
	assert_int_equal(f->answer.count, 0);
	assert_int_equal(f->context.later_count, 2);
	assert_int_equal(rpc_dispatcher_running(f->dispatcher), 1);

	test_answer_later(f->context.later[1]);
	assert_int_equal(f->answer.count, 0);
	test_answer_later(f->context.later[0]);
	assert_int_equal(f->answer.count, 1);
	assert_string_equal(f->answer.text, "[{\"jsonrpc\":\"2.0\",\"result\":10,\"id\":0},"
					    "{\"jsonrpc\":\"2.0\",\"result\":\"x\",\"id\":1},"
					    "{\"jsonrpc\":\"2.0\",\"result\":12,\"id\":2}]");
	assert_int_equal(rpc_dispatcher_running(f->dispatcher), 0);
}

/* A dispatcher that its owner released goes on living for the calls that run. */
static void outlived_by_a_call(void **state)
{
	struct fixture *f = *state;
	static const char body[] = "{\"id\":5,\"method\":\"later\",\"params\":{\"number\":9}}";

	dispatch_bytes(f, body, strlen(body), true);
	f->dispatcher = rpc_dispatcher_free(f->dispatcher);
	test_answer_later(f->context.later[0]);
	assert_string_equal(f->answer.text, "{\"jsonrpc\":\"2.0\",\"result\":9,\"id\":5}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(envelope, setup, teardown),
		cmocka_unit_test_setup_teardown(authentication, setup, teardown),
		cmocka_unit_test_setup_teardown(malformed, setup, teardown),
		cmocka_unit_test_setup_teardown(hostile_sizes, setup, teardown),
		cmocka_unit_test_setup_teardown(parameters, setup, teardown),
		cmocka_unit_test_setup_teardown(later_in_any_order, setup, teardown),
		cmocka_unit_test_setup_teardown(outlived_by_a_call, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
