/*
 * Bytes of a client go into the real server with its front over a socket pair. Whatever they are, the
 * server survives, lets the connection go, and what it says is HTTP. Our own parsers of fields see the
 * bytes, too.
 */
#include <assert.h>
#include <string.h>
#include <sys/socket.h>

#include "http/content.h"
#include "rpc/front.h"
#include "rpc/site.h"
#include "rpc/test_authenticator.h"
#include "rpc/test_table.h"

#define TURNS_MAX 10000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct test_context context;

static const struct http_file rows[] = {
	{ .path = "/index.html",
	  .type = "text/html",
	  .etag = "\"1\"",
	  .plain = { (const unsigned char *)"0123456789", 10 },
	  .brotli = { (const unsigned char *)"b", 1 } },
	{ 0 },
};

static const struct http_files files = { rows };

static struct http_server *start(uv_loop_t **ret_loop)
{
	static struct http_server *server;
	static uv_loop_t loop;

	if (!server) {
		struct rpc_front_options options = { .authenticator = &test_authenticator,
						     .files = &files };
		struct http_server_options server_options = { .handlers = &rpc_front_handlers };
		struct rpc_front *front;

		assert(uv_loop_init(&loop) == 0);
		assert(rpc_dispatcher_new(&test_table, &context, &options.dispatcher) == 0);
		assert(rpc_continuations_new(&context.continuations) == 0);
		options.continuations = context.continuations;
		assert(rpc_front_new(&options, &front) == 0);
		server_options.context = front;
		assert(http_server_new(&loop, &server_options, &server) == 0);
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

	if (size > 0) /* HTTP/2 begins with a frame of settings */
		assert(size == sizeof(answer) &&
		       (memcmp(answer, "HTTP/1.", 7) == 0 || answer[3] == 4));
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
	assert(http_server_adopt(server, pair[1], NULL) == 0);
	while (http_server_connections(server) > 0 && turns++ < TURNS_MAX) {
		(void)uv_run(loop, UV_RUN_NOWAIT);
		answer_kept_calls();
	}
	assert(http_server_connections(server) == 0);
	check_answer(pair[0]);
	(void)close(pair[0]);
}

static void run_content(const char *text)
{
	struct http_wish wish = { text, text, text, NULL };
	struct http_content content;

	for (int i = 0; i < 2; i++, wish.if_none_match = NULL) {
		http_content_choose(&rows[0], &wish, &content);
		if (content.status == 206)
			assert(content.first + content.size <= content.whole && content.size > 0);
		else
			assert(content.status == 200 || content.status == 304 ||
			       content.status == 416);
	}
}

static void run_parsers(const char *text)
{
	struct rpc_site site, sender;
	size_t size = 0;
	const char *value = rpc_cookie_find(text, "local", &size);

	assert(!value || (value >= text && value + size <= text + strlen(text)));
	if (rpc_site_parse_host(text, false, &site) == 0) {
		cleanup_free char *origin = NULL;

		/* A site that a Host field names is the one that the same text names as an origin. */
		assert(asprintf(&origin, "http://%s", text) > 0);
		assert(rpc_site_parse_origin(origin, &sender) == 0);
		assert(rpc_site_equal(&site, &sender));
		assert(rpc_site_is_senders(&site, origin, NULL));
		sender.secure = true;
		assert(!rpc_site_equal(&site, &sender));
	}
	(void)rpc_list_has(text, "x-startos-auth-sig");
	run_content(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup_free char *text = strndup((const char *)data, size);

	assert(text);
	run_parsers(text);
	run_server(data, size);
	return 0;
}
