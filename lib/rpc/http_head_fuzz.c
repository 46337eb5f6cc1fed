/*
 * Bytes of a client go into the real server over a socket pair. Whatever they are, the server survives,
 * lets the connection go, and what it says is HTTP. Our own parsers of fields see the bytes, too.
 */
#include <assert.h>
#include <string.h>
#include <sys/socket.h>

#include "rpc/http_head.h"
#include "rpc/http_server.h"
#include "rpc/test_table.h"

#define TURNS_MAX 10000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct test_context context;

static struct http_server *start(uv_loop_t **ret_loop)
{
	static struct http_server *server;
	static uv_loop_t loop;

	if (!server) {
		struct http_server_options options = { .secret = "secret" };

		assert(uv_loop_init(&loop) == 0);
		assert(rpc_dispatcher_new(&test_table, &context, &options.dispatcher) == 0);
		assert(http_server_new(&loop, &options, &server) == 0);
	}
	*ret_loop = &loop;
	return server;
}

static void answer_kept_calls(void)
{
	for (size_t i = 0; i < context.later_count; i++)
		test_answer_later(context.later[i]);
	context.later_count = 0;
}

static void check_answer(int fd)
{
	char answer[8] = "";
	ssize_t size = recv(fd, answer, sizeof(answer), MSG_DONTWAIT);

	if (size > 0)
		assert(size == sizeof(answer) && memcmp(answer, "HTTP/1.", 7) == 0);
}

static void run_server(const uint8_t *data, size_t size)
{
	uv_loop_t *loop;
	struct http_server *server = start(&loop);
	int pair[2];
	unsigned turns = 0;

	assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0);
	(void)send(pair[0], data, size, MSG_NOSIGNAL);
	assert(shutdown(pair[0], SHUT_WR) == 0);
	assert(http_server_adopt(server, pair[1]) == 0);
	while (http_server_connections(server) > 0 && turns++ < TURNS_MAX) {
		(void)uv_run(loop, UV_RUN_NOWAIT);
		answer_kept_calls();
	}
	assert(http_server_connections(server) == 0);
	check_answer(pair[0]);
	(void)close(pair[0]);
}

static void run_parsers(const char *text)
{
	size_t size = 0;
	uint64_t length;
	const char *value = http_cookie_find(text, "local", &size);

	assert(!value || (value >= text && value + size <= text + strlen(text)));
	if (http_length_parse(text, &length) == 0)
		assert(strspn(text, "0123456789") == strlen(text));
	if (http_host_is_literal(text))
		assert(http_origin_is_host("", text) == false);
	(void)http_path_is_rpc(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup_free char *text = strndup((const char *)data, size);

	assert(text);
	run_parsers(text);
	run_server(data, size);
	return 0;
}
