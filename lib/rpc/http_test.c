/* The server and the client talk to each other, and a hostile client to the server, on loopback. */
#include "base/test.h"

#include <poll.h>
#include <string.h>

#include "client/client.h"
#include "rpc/http_head.h"
#include "rpc/test_server.h"

static int setup_small(void **state)
{
	return setup_with(state, 2);
}

static int connect_client(const struct fixture *f)
{
	struct sockaddr_storage to;
	socklen_t size = endpoint_to_sockaddr(&f->address, &to);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct timeval limit = { .tv_sec = 20 };

	assert_true(fd >= 0);
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	assert_int_equal(connect(fd, (struct sockaddr *)&to, size), 0);
	return fd;
}

/* Receives until the end, or until @mark was seen. */
static void receive(int fd, const char *mark, struct text *to)
{
	char buffer[4096];
	ssize_t size;

	while (!mark || !strstr(text_string(to), mark)) {
		size = recv(fd, buffer, sizeof(buffer), 0);
		if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			fail_msg("nothing more came after \"%s\"", text_string(to));
		if (size <= 0)
			return;
		text_append_bytes(to, buffer, (size_t)size);
	}
}

static void exchange(const struct fixture *f, const char *request, const char *mark,
		     struct text *to)
{
	cleanup_close int fd = connect_client(f);

	assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
	receive(fd, mark, to);
}

static void assert_contains(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("\"%s\" has no \"%s\"", text, part);
}

/* Calls a method as the command does. @cookie: NULL: without any proof of who calls. */
static int call(const struct endpoint *address, const char *cookie, const char *method,
		const json_t *params, json_t **ret_result, struct fault *fault)
{
	char target[IP_TEXT_MAX];
	struct rpc_client_options options = {
		.tunnel = endpoint_format(address, target),
		.cookie = cookie ? cookie : "none",
	};
	CLEANUP(rpc_client_free) struct rpc_client *client = NULL;

	assert_int_equal(rpc_client_new(&options, &client), 0);
	return rpc_client_call_as(client, cookie ? RPC_PROOF_ALL : RPC_PROOF_NONE, NULL, method,
				  params, ret_result, fault);
}

static void client_calls(void **state)
{
	struct fixture *f = *state;
	CLEANUP(fault_done) struct fault fault = { 0 };
	json_t *params = json_pack("{s:s}", "message", "h\xc3\xa9llo");
	json_t *result = NULL;

	assert_int_equal(call(&f->address, SECRET, "echo", params, &result, &fault), 0);
	assert_string_equal(json_string_value(result), "h\xc3\xa9llo");
	json_decref(result);
	json_decref(params);
	assert_int_equal(call(&f->address, SECRET, "nothing", NULL, &result, &fault), 0);
	assert_true(json_is_null(result));
}

static void client_faults(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *cookie, *method, *details;
		enum fault_kind kind;
	} cases[] = {
		{ SECRET, "no.such", "Method not found", FAULT_NOT_FOUND },
		{ SECRET, "echo", "message: is required", FAULT_DESERIALIZATION },
		{ "wrong", "nothing", "UNAUTHORIZED", FAULT_AUTHORIZATION },
		{ "c2VjcmV0c2VjcmV0", "nothing", "UNAUTHORIZED", FAULT_AUTHORIZATION },
		{ NULL, "nothing", "UNAUTHORIZED", FAULT_AUTHORIZATION },
	};
	json_t *result = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(fault_done) struct fault fault = { 0 };

		assert_true(call(&f->address, cases[i].cookie, cases[i].method, NULL, &result,
				 &fault) < 0);
		assert_int_equal(fault.kind, cases[i].kind);
		assert_string_equal(fault.details, cases[i].details);
	}
}

static void client_finds_nobody(void **state)
{
	CLEANUP(fault_done) struct fault fault = { 0 };
	struct endpoint address;
	json_t *result = NULL;

	(void)close(listen_anywhere(&address));
	assert_true(call(&address, SECRET, "echo", NULL, &result, &fault) < 0);
	assert_int_equal(fault.kind, FAULT_NETWORK);
	assert_contains(fault.details, "is start-tunneld running?");
}

#define SAY_X "{\"method\":\"echo\",\"params\":{\"message\":\"x\"}}"
#define DO_NOTHING "{\"method\":\"nothing\",\"params\":{}}"

static void heads(void **state)
{
	static const struct {
		const char *name, *request, *status, *part;
	} cases[] = {
		{ "an answer has its type and length",
		  "POST /rpc/v1 HTTP/1.1\r\nHost: 127.0.0.1:1\r\nContent-Length: 42\r\n\r\n" SAY_X,
		  "200", "content-type: application/json\r\ncontent-length: 40\r\n" },
		{ "localhost is a host of ours",
		  "POST /rpc/x HTTP/1.1\r\nHost: LocalHost\r\nContent-Length: 42\r\n\r\n" SAY_X,
		  "200", "\"result\":\"x\"" },
		{ "a name that anybody may point here is not",
		  "POST /rpc/v1 HTTP/1.1\r\nHost: rebind.example\r\nContent-Length: 42\r\n\r\n" SAY_X,
		  "421", "Host field has to be an IP address" },
		{ "no host", "POST /rpc/v1 HTTP/1.1\r\nContent-Length: 42\r\n\r\n" SAY_X, "400",
		  "Host field is missing" },
		{ "another path",
		  "POST /rpcx HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 42\r\n\r\n" SAY_X,
		  "404", "requests go to /rpc/v0" },
		{ "nothing after /rpc/",
		  "POST /rpc/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 42\r\n\r\n" SAY_X,
		  "404", "requests go to /rpc/v0" },
		{ "GET", "GET /rpc/v1 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", "405",
		  "allow: POST, OPTIONS" },
		{ "no length", "POST /rpc/v1 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" SAY_X, "411",
		  "needs a Content-Length" },
		{ "chunked",
		  "POST /rpc/v1 HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
		  "1\r\n{\r\n0\r\n\r\n",
		  "411", "needs a Content-Length" },
		{ "a length in words",
		  "POST /rpc/v1 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: ten\r\n\r\n" SAY_X,
		  "400", "is not a number" },
		{ "a negative length",
		  "POST /rpc/v1 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -42\r\n\r\n" SAY_X,
		  "400", "is not a number" },
		{ "a body that is too large is refused before it comes",
		  "POST /rpc/v1 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1048577\r\n\r\n",
		  "413", "larger than 1048576 bytes" },
		{ "upgrade to WebSocket",
		  "GET /rpc/v1 HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\n"
		  "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
		  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
		  "501", "" },
		{ "upgrade to HTTP/2",
		  "GET /rpc/v1 HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\n"
		  "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
		  "501", "" },
		{ "the empty body",
		  "POST /rpc/v1 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n"
		  "Connection: close\r\n\r\n",
		  "200", "-32700" },
		{ "a client that waits to be asked for its body",
		  "POST /rpc/v1 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 42\r\n"
		  "Expect: 100-continue\r\n\r\n" SAY_X,
		  "100", "\"result\":\"x\"" },
		{ "preflight of a page",
		  "OPTIONS /rpc/v1 HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: http://a.example\r\n"
		  "Access-Control-Request-Method: POST\r\n"
		  "Access-Control-Request-Headers: content-type\r\nConnection: close\r\n\r\n",
		  "200", "access-control-allow-headers: content-type\r\n" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(text_done) struct text answer = { 0 };

		print_message("%s\n", cases[i].name);
		exchange(*state, cases[i].request, cases[i].part[0] ? cases[i].part : NULL,
			 &answer);
		assert_true(answer.size > 12);
		assert_memory_equal(answer.data + 9, cases[i].status, 3);
		assert_contains(answer.data, cases[i].part);
	}
}

/* A page of another host may ask, but its cookies do not count. */
static void foreign_page(void **state)
{
	struct fixture *f = *state;
	static const char format[] = "POST /rpc/v1 HTTP/1.1\r\nHost: 127.0.0.1:77\r\nOrigin: %s\r\n"
				     "Cookie: a=b; local=" SECRET
				     "\r\nContent-Length: 32\r\n\r\n" DO_NOTHING;
	static const struct {
		const char *origin, *part;
	} cases[] = {
		{ "http://127.0.0.1:77", "\"result\":null" },
		{ "http://127.0.0.1:78", "UNAUTHORIZED" },
		{ "https://a.example", "UNAUTHORIZED" },
		{ "null", "UNAUTHORIZED" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(text_done) struct text answer = { 0 };
		cleanup_free char *request = NULL;

		assert_true(asprintf(&request, format, cases[i].origin) > 0);
		exchange(f, request, "}", &answer);
		assert_contains(answer.data, cases[i].part);
	}
}

/* The client need not ask for it: the connection ends with the answer. */
static void one_request_each(void **state)
{
	static const char request[] =
		"POST /rpc/v1 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 42\r\n\r\n" SAY_X;

	for (int i = 0; i < 100; i++) {
		CLEANUP(text_done) struct text answer = { 0 };

		exchange(*state, request, NULL, &answer);
		assert_contains(text_string(&answer), "connection: close\r\n");
		assert_contains(text_string(&answer), "\"result\":\"x\"");
	}
}

static void byte_by_byte(void **state)
{
	static const char request[] =
		"POST /rpc/v1 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 42\r\n\r\n" SAY_X;
	cleanup_close int fd = connect_client(*state);
	CLEANUP(text_done) struct text answer = { 0 };

	for (size_t i = 0; i < strlen(request); i++)
		assert_int_equal(send(fd, request + i, 1, MSG_NOSIGNAL), 1);
	receive(fd, "\"id\":null}", &answer);
	assert_contains(text_string(&answer), "\"result\":\"x\"");
}

/* The first request is answered, the next ones are not, and the server lives on. */
static void pipelined(void **state)
{
	static const char request[] =
		"POST /rpc/v1 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 42\r\n\r\n" SAY_X
		"POST /rpc/v1 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 42\r\n\r\n" SAY_X;
	CLEANUP(text_done) struct text answer = { 0 };

	exchange(*state, request, "\"id\":null}", &answer);
	assert_contains(text_string(&answer), "\"result\":\"x\"");
	text_clear(&answer);
	exchange(*state, request, "\"id\":null}", &answer);
	assert_contains(text_string(&answer), "\"result\":\"x\"");
}

/* The refusal arrives although the client never stops sending. */
static void huge_body(void **state)
{
	static const char head[] =
		"POST /rpc/v1 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 10485760\r\n\r\n";
	cleanup_close int fd = connect_client(*state);
	cleanup_free char *body = calloc(1, 10U << 20);
	CLEANUP(text_done) struct text answer = { 0 };
	ssize_t sent;

	assert_int_equal(send(fd, head, strlen(head), MSG_NOSIGNAL), strlen(head));
	sent = send(fd, body, 100000, MSG_NOSIGNAL);
	assert_true(sent > 0);
	receive(fd, "larger than", &answer);
	assert_contains(text_string(&answer), " 413 ");
}

static void too_many_connections(void **state)
{
	static const char request[] =
		"POST /rpc/v1 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 42\r\n\r\n" SAY_X;
	struct fixture *f = *state;
	int fds[2];
	CLEANUP(text_done) struct text answer = { 0 };
	cleanup_close int third = -EBADF;

	for (int i = 0; i < 2; i++) {
		fds[i] = connect_client(f);
		assert_int_equal(send(fds[i], request, 10, MSG_NOSIGNAL), 10);
	}
	third = connect_client(f);
	receive(third, NULL, &answer);
	assert_contains(text_string(&answer), " 503 ");
	assert_contains(text_string(&answer), "too many connections");
	/* One goes, one comes. */
	(void)close(fds[0]);
	for (;;) {
		CLEANUP(text_done) struct text later = { 0 };

		exchange(f, request, "\"id\":null}", &later);
		if (strstr(text_string(&later), "\"result\":\"x\""))
			break;
	}
	(void)close(fds[1]);
}

/* What runs when the server closes has its connection closed, and may still answer afterwards. */
static void close_while_running(void **state)
{
	static const char request[] = "POST /rpc/v1 HTTP/1.1\r\nHost: 127.0.0.1\r\n"
				      "Content-Length: 32\r\n\r\n"
				      "{\"method\":\"later\",\"params\":{}  }";
	struct fixture *f = *state;
	cleanup_close int idle = connect_client(f);
	cleanup_close int fd = connect_client(f);
	CLEANUP(text_done) struct text answer = { 0 };
	struct pollfd readable = { .fd = fd, .events = POLLIN };

	assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
	assert_int_equal(poll(&readable, 1, 50), 0);
	stop(f);
	receive(fd, NULL, &answer);
	assert_int_equal(answer.size, 0);
	receive(idle, NULL, &answer);
	assert_int_equal(answer.size, 0);
}

/* An answer that is ready within the time for that still goes out. */
static void answers_while_closing(void **state)
{
	static const char request[] = "POST /rpc/v1 HTTP/1.1\r\nHost: 127.0.0.1\r\n"
				      "Content-Length: 32\r\n\r\n"
				      "{\"method\":\"later\",\"params\":{}  }";
	struct fixture *f = *state;
	cleanup_close int fd = connect_client(f);
	CLEANUP(text_done) struct text answer = { 0 };

	f->answer_late = true;
	assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
	while (rpc_dispatcher_running(f->dispatcher) == 0)
		(void)usleep(1000);
	stop(f);
	receive(fd, NULL, &answer);
	assert_contains(text_string(&answer), "connection: close\r\n");
	assert_contains(text_string(&answer), "\"result\":0");
}

static void on_closed_flag(void *context)
{
	*(bool *)context = true;
}

/* Nothing on the loop waits for a time while nobody is connected, before and after somebody was. */
static void sleeps_without_clients(void **state)
{
	static const char request[] =
		"POST /rpc/v1 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 42\r\n\r\n" SAY_X;
	struct test_context context = { 0 };
	struct http_server_options options = { .secret = SECRET };
	struct http_server *server;
	bool closed = false;
	uv_loop_t loop;
	char answer[512];
	int pair[2];

	assert_int_equal(uv_loop_init(&loop), 0);
	assert_int_equal(rpc_dispatcher_new(&test_table, &context, &options.dispatcher), 0);
	assert_int_equal(http_server_new(&loop, &options, &server), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
		assert_int_equal(send(pair[0], request, strlen(request), 0), strlen(request));
		assert_int_equal(http_server_adopt(server, pair[1]), 0);
		while (recv(pair[0], answer, sizeof(answer), MSG_DONTWAIT) < 0)
			(void)uv_run(&loop, UV_RUN_NOWAIT);
		(void)close(pair[0]);
		while (http_server_connections(server) > 0)
			(void)uv_run(&loop, UV_RUN_ONCE);
		(void)uv_run(&loop, UV_RUN_NOWAIT);
		assert_int_equal(uv_backend_timeout(&loop), -1);
	}
	http_server_close(server, on_closed_flag, &closed);
	assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
	assert_true(closed);
	(void)rpc_dispatcher_free(options.dispatcher);
	assert_int_equal(uv_loop_close(&loop), 0);
}

static void fields(void **state)
{
	size_t size;
	uint64_t length;
	const char *value;

	value = http_cookie_find("a=1; local=\"xy\" ;local=z", "local", &size);
	assert_non_null(value);
	assert_int_equal(size, 2);
	assert_memory_equal(value, "xy", 2);
	assert_null(http_cookie_find("xlocal=1; local ; ;=;", "local", &size));
	assert_non_null(http_cookie_find("local=", "local", &size));
	assert_int_equal(size, 0);

	assert_true(http_host_is_literal("127.0.59.60:5960"));
	assert_true(http_host_is_literal("[::1]"));
	assert_true(http_host_is_literal("[::1]:80"));
	assert_true(http_host_is_literal("localhost:1"));
	assert_false(http_host_is_literal("localhost.example"));
	assert_false(http_host_is_literal("127.0.0.1.example"));
	assert_false(http_host_is_literal("127.0.0.1:80:80"));
	assert_false(http_host_is_literal("[127.0.0.1]"));
	assert_false(http_host_is_literal("[::1"));
	assert_false(http_host_is_literal(""));
	assert_false(http_host_is_literal(":80"));

	assert_int_equal(http_length_parse("1048576", &length), 0);
	assert_int_equal(length, 1048576);
	assert_true(http_length_parse("12, 12", &length) < 0);
	assert_true(http_length_parse("9999999999999999999", &length) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields),
		cmocka_unit_test(client_finds_nobody),
		cmocka_unit_test_setup_teardown(client_calls, setup, teardown),
		cmocka_unit_test_setup_teardown(client_faults, setup, teardown),
		cmocka_unit_test_setup_teardown(heads, setup, teardown),
		cmocka_unit_test_setup_teardown(foreign_page, setup, teardown),
		cmocka_unit_test_setup_teardown(one_request_each, setup, teardown),
		cmocka_unit_test_setup_teardown(byte_by_byte, setup, teardown),
		cmocka_unit_test_setup_teardown(pipelined, setup, teardown),
		cmocka_unit_test_setup_teardown(huge_body, setup, teardown),
		cmocka_unit_test_setup_teardown(too_many_connections, setup_small, teardown),
		cmocka_unit_test_setup_teardown(close_while_running, setup, teardown),
		cmocka_unit_test_setup_teardown(answers_while_closing, setup, teardown),
		cmocka_unit_test(sleeps_without_clients),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
