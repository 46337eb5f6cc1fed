/*
 * Bytes of a client go through a real connection of a server, over a pair of sockets and on a loop that is
 * stepped by hand: as they are, and in pieces, with what the server says read as it comes, or at the end.
 * The same requests and messages come out, in HTTP/1.1 and on a WebSocket. Not so in HTTP/2, where what a
 * client sends to a stream may come before or after its end. In each, every request is answered or told to
 * be gone, every socket is closed, and nothing is left of the server.
 */
#include <assert.h>
#include <sys/socket.h>

#include "base/text.h"
#include "http/http2.h"
#include "http/server.h"

#define TURNS_MAX 10000 /* of the loop, until nothing moves any more */
#define QUIET_TURNS 8
#define LATER_MAX 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum kind {
	KIND_HTTP1,
	KIND_HTTP2, /* the preface comes first */
	KIND_SOCKET, /* a request for one comes first */
};

struct run {
	uv_loop_t loop;
	struct http_server *server;
	struct http_socket *socket;
	struct http_request *later[LATER_MAX];
	unsigned later_count;
	bool late; /* requests are answered in a later turn, where there is room */
	int fd;
	unsigned requests; /* that are not over */
	unsigned sockets;
	bool closed;
	bool had_socket;
	struct text log;
	struct text output;
};

/* --- the server's user --- */

static void answer(struct run *run, struct http_request *request)
{
	run->requests--;
	http_request_answer(request,
			    &(struct http_answer){ .status = 200, .body = "ok", .body_size = 2 });
}

static void on_message(void *context, const void *bytes, size_t size, bool text)
{
	struct run *run = context;

	text_printf(&run->log, "message %zu %d ", size, text);
	text_append_bytes(&run->log, bytes, size);
	if (run->socket && text)
		(void)http_socket_send(run->socket, bytes, size);
}

static void on_socket_closed(void *context)
{
	struct run *run = context;

	run->sockets--;
	run->socket = NULL;
}

static size_t on_head(void *context, struct http_request *request)
{
	static const struct http_socket_handlers handlers = { .message = on_message,
							      .closed = on_socket_closed };
	struct run *run = context;

	text_printf(&run->log, "%s %s?%s @%s\n", http_request_method(request),
		    http_request_path(request), http_request_query(request),
		    http_request_host(request));
	run->requests++;
	if (http_request_wants_socket(request) && !run->socket) {
		run->requests--;
		run->sockets++;
		run->had_socket = true;
		if (http_request_accept_socket(request, &handlers, run, &run->socket) < 0)
			run->sockets--;
	} else if (strcmp(http_request_path(request), "/now") == 0) {
		answer(run, request);
	}
	return 1000;
}

static void on_complete(void *context, struct http_request *request)
{
	struct run *run = context;
	size_t size;
	const void *body = http_request_body(request, &size);

	text_append(&run->log, "body ");
	text_append_bytes(&run->log, body, size);
	text_append_char(&run->log, '\n');
	if (run->late && run->later_count < LATER_MAX)
		run->later[run->later_count++] = request;
	else
		answer(run, request);
}

static void on_gone(void *context, struct http_request *request)
{
	struct run *run = context;

	for (unsigned i = 0; i < run->later_count; i++)
		if (run->later[i] == request)
			run->later[i--] = run->later[--run->later_count];
	run->requests--;
}

static void on_closed(void *context)
{
	((struct run *)context)->closed = true;
}

/* --- the client --- */

/* Reads what has come. Returns whether there was anything. */
static bool drain(struct run *run)
{
	char bytes[16384];
	ssize_t size = recv(run->fd, bytes, sizeof(bytes), MSG_DONTWAIT);

	if (size > 0)
		text_append_bytes(&run->output, bytes, (size_t)size);
	return size > 0;
}

/* Turns the loop until the server waits for more. */
static void settle(struct run *run, bool reads)
{
	unsigned quiet = 0;

	for (unsigned turn = 0; quiet < QUIET_TURNS; turn++) {
		bool moved = run->later_count > 0;

		assert(turn < TURNS_MAX);
		if (moved)
			answer(run, run->later[--run->later_count]);
		(void)uv_run(&run->loop, UV_RUN_NOWAIT);
		if (reads)
			moved = drain(run) || moved;
		quiet = moved ? 0 : quiet + 1;
	}
}

static void give(struct run *run, const void *bytes, size_t size, bool reads)
{
	const char *at = bytes;

	while (size > 0) {
		ssize_t part = send(run->fd, at, size, MSG_DONTWAIT | MSG_NOSIGNAL);

		settle(run, reads || part < 0);
		if (part < 0 && errno != EAGAIN)
			return; /* the server has closed */
		if (part < 0 && !drain(run) && http_server_connections(run->server) == 0)
			return;
		at += part > 0 ? part : 0;
		size -= part > 0 ? (size_t)part : 0;
	}
}

static void begin(struct run *run, enum kind kind)
{
	static const struct http_handlers handlers = { on_head, on_complete, on_gone };
	static const char ask[] =
		"GET /socket HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
	struct http_server_options options = { .handlers = &handlers, .context = run };
	int fds[2];

	assert(uv_loop_init(&run->loop) == 0);
	assert(http_server_new(&run->loop, &options, &run->server) == 0);
	assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
	run->fd = fds[0];
	assert(http_server_adopt(run->server, fds[1], NULL) == 0);
	if (kind == KIND_HTTP2)
		give(run, HTTP2_PREFACE, strlen(HTTP2_PREFACE), true);
	if (kind == KIND_SOCKET)
		give(run, ask, strlen(ask), true);
}

static void end(struct run *run)
{
	(void)shutdown(run->fd, SHUT_WR);
	settle(run, true);
	http_server_close(run->server, on_closed, run);
	(void)close(run->fd);
	while (!run->closed)
		(void)uv_run(&run->loop, UV_RUN_ONCE);
	(void)uv_run(&run->loop, UV_RUN_DEFAULT);
	assert(uv_loop_close(&run->loop) == 0);
	assert(run->requests == 0 && run->sockets == 0 && run->later_count == 0);
}

/* @step: the size of the first piece; 0: all at once. */
static void serve(struct run *run, enum kind kind, const uint8_t *data, size_t size, size_t step,
		  bool reads)
{
	begin(run, kind);
	while (size > 0 && http_server_connections(run->server) > 0) {
		size_t part = step && step < size ? step : size;

		give(run, data, part, reads);
		data += part;
		size -= part;
		step = step ? step * 7 % 127 + 1 : 0;
	}
	end(run);
}

/* Pings that come at once are a flood, and the socket ends; in pieces they are not. So of two sockets one may
 * have got more. */
static void compare(const struct run *whole, const struct run *split)
{
	size_t a = whole->log.size, b = split->log.size;

	assert(whole->had_socket == split->had_socket);
	assert(a == b || whole->had_socket);
	assert(a == 0 || b == 0 || memcmp(whole->log.data, split->log.data, a < b ? a : b) == 0);
}

static bool is_http2(enum kind kind, const uint8_t *data, size_t size)
{
	return kind == KIND_HTTP2 || (kind == KIND_HTTP1 && size >= strlen(HTTP2_PREFACE) &&
				      memcmp(data, HTTP2_PREFACE, strlen(HTTP2_PREFACE)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct run whole = { 0 };
	struct run split = { .late = true };
	enum kind kind;

	if (size < 2 || size > 65536)
		return 0;
	kind = data[0] % 3;
	serve(&whole, kind, data + 2, size - 2, 0, true);
	serve(&split, kind, data + 2, size - 2, data[1] + 1U, data[0] & 0x80);
	if (!is_http2(kind, data + 2, size - 2))
		compare(&whole, &split);
	text_done(&whole.log);
	text_done(&whole.output);
	text_done(&split.log);
	text_done(&split.output);
	return 0;
}
