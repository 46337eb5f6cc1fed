#include <string.h>

#include "http/request.h"
#include "http/socket.h"
#include "http/timers.h"
#include "http/websocket.h"

struct http_socket {
	struct http_engine *engine; /* NULL until it is attached */
	void *stream;
	struct websocket *codec;
	const struct http_socket_handlers *handlers;
	void *context;
	struct http_deadline ping; /* since bytes came; or, while closing, until the client answers */
	struct http_deadline pong; /* since the first ping that was not answered */
	bool closing; /* a close frame was queued by us */
	bool dropped;
	bool filled; /* the user has not been told that everything went */
};

static void wake(struct http_socket *socket)
{
	if (socket->engine)
		socket->engine->ops->socket_ready(socket->engine, socket->stream);
}

void http_socket_drop(struct http_socket *socket)
{
	socket->dropped = true;
	wake(socket);
}

static struct http_timers *timers_of(const struct http_socket *socket)
{
	return socket->engine->host->timers;
}

static void on_ping(struct http_deadline *deadline)
{
	struct http_socket *socket = container_of(deadline, struct http_socket, ping);

	if (socket->closing || websocket_ping(socket->codec) < 0) {
		http_socket_drop(socket);
		return;
	}
	http_deadline_set(timers_of(socket), &socket->ping, HTTP_TIMEOUT_PING);
	if (!http_deadline_is_set(&socket->pong))
		http_deadline_set(timers_of(socket), &socket->pong, HTTP_TIMEOUT_PONG);
	wake(socket);
}

static void on_pong(struct http_deadline *deadline)
{
	http_socket_drop(container_of(deadline, struct http_socket, pong));
}

static void on_message(void *context, const void *bytes, size_t size, bool text)
{
	struct http_socket *socket = context;

	if (!socket->closing && !socket->dropped && socket->handlers->message)
		socket->handlers->message(socket->context, bytes, size, text);
}

static void socket_free(struct http_socket *socket)
{
	http_deadline_clear(&socket->ping);
	http_deadline_clear(&socket->pong);
	(void)websocket_free(socket->codec);
	free(socket);
}

int http_request_accept_socket(struct http_request *request,
			       const struct http_socket_handlers *handlers, void *context,
			       struct http_socket **ret)
{
	struct http_socket *socket = calloc(1, sizeof(*socket));
	int r = socket ? websocket_new(on_message, socket, &socket->codec) : -ENOMEM;

	if (r < 0) {
		free(socket);
		http_request_answer(request, &(struct http_answer){ .status = 503, .close = true });
		return r;
	}
	socket->handlers = handlers;
	socket->context = context;
	http_deadline_init(&socket->ping, on_ping);
	http_deadline_init(&socket->pong, on_pong);
	request->delivered = false; /* the user has given it up */
	if (request->answered)
		*request->answered = true;
	r = request->engine->ops->accept_socket(request, socket);
	if (r < 0) {
		socket_free(socket);
		return r;
	}
	*ret = socket;
	return 0;
}

void http_socket_attach(struct http_socket *socket, struct http_engine *engine, void *stream)
{
	socket->engine = engine;
	socket->stream = stream;
	http_deadline_set(timers_of(socket), &socket->ping, HTTP_TIMEOUT_PING);
}

void http_socket_receive(struct http_socket *socket, const void *bytes, size_t size)
{
	if (socket->dropped)
		return;
	http_deadline_clear(&socket->pong);
	if (!socket->closing)
		http_deadline_set(timers_of(socket), &socket->ping, HTTP_TIMEOUT_PING);
	if (websocket_receive(socket->codec, bytes, size) < 0)
		http_socket_drop(socket);
}

size_t http_socket_pull(struct http_socket *socket, void *to, size_t capacity)
{
	size_t size = socket->dropped ? 0 : websocket_pull(socket->codec, to, capacity);

	/* Nothing is pulled anew before the kernel has taken what was pulled before. */
	if (size > 0 || socket->dropped || !socket->filled)
		return size;
	socket->filled = false;
	if (socket->handlers->drained)
		socket->handlers->drained(socket->context);
	return socket->dropped ? 0 : websocket_pull(socket->codec, to, capacity);
}

bool http_socket_is_over(const struct http_socket *socket)
{
	return socket->dropped || websocket_is_over(socket->codec);
}

void http_socket_go_away(struct http_socket *socket)
{
	http_socket_close(socket, HTTP_SOCKET_GOING_AWAY, NULL);
}

void http_socket_gone(struct http_socket *socket)
{
	socket->engine = NULL;
	socket->dropped = true;
	if (socket->handlers->closed)
		socket->handlers->closed(socket->context);
	socket_free(socket);
}

/* A message was queued, or was not: @r. */
static int note_message(struct http_socket *socket, int r)
{
	if (r < 0) {
		http_socket_drop(socket); /* also of -EPIPE: the client closes */
		return r;
	}
	socket->filled = true;
	wake(socket);
	return 0;
}

int http_socket_send(struct http_socket *socket, const char *text, size_t size)
{
	if (socket->dropped || socket->closing)
		return -EPIPE;
	return note_message(socket, websocket_send_text(socket->codec, text, size));
}

int http_socket_lend(struct http_socket *socket, const char *text, size_t size,
		     void (*release)(void *context), void *context)
{
	if (socket->dropped || socket->closing) {
		release(context);
		return -EPIPE;
	}
	return note_message(socket,
			    websocket_lend_text(socket->codec, text, size, release, context));
}

size_t http_socket_queued(const struct http_socket *socket)
{
	return websocket_queued(socket->codec);
}

void http_socket_close(struct http_socket *socket, enum http_socket_code code, const char *reason)
{
	if (socket->closing || socket->dropped)
		return;
	socket->closing = true;
	(void)websocket_close(socket->codec, (uint16_t)code, reason); /* -EPIPE: closing already */
	http_deadline_clear(&socket->pong);
	if (socket->engine)
		http_deadline_set(timers_of(socket), &socket->ping, HTTP_TIMEOUT_PING);
	wake(socket);
}
