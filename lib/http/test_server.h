/*
 * A server on a loop in a thread of its own, for the tests of this folder only: the tests are its
 * blocking clients. What its handlers do is said by the path of a request.
 */
#pragma once

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>

#include "base/test.h"
#include "base/text.h"
#include "http/server.h"
#include "http/timers.h"
#include "http/tls.h"

#define BIG_SIZE (6U << 20)
#define LATER_MAX 64
#define PATIENCE_S 60 /* of a client, with a machine that is busy */

struct server_fixture {
	uv_loop_t loop;
	uv_async_t command;
	pthread_t thread;
	struct http_server *server;
	struct http_listener *listener;
	struct endpoint address;
	struct http_tls *tls; /* NULL: plain */
	unsigned char *big;
	struct http_request *later[LATER_MAX]; /* kept until they are told to be answered */
	atomic_int later_count;
	atomic_int released; /* bodies */
	atomic_int gone; /* requests */
	atomic_int sockets_closed;
	atomic_int drained;
	struct http_socket *socket;
	atomic_int order; /* enum, for the thread; 0: none */
	bool closed;
	bool stopping; /* it was told to */
	bool stopped;
};

enum order {
	ORDER_NONE,
	ORDER_STOP,
	ORDER_ANSWER_LATER,
	ORDER_CLOSE_LISTENER,
	ORDER_CLOSE_SOCKET,
	ORDER_DROP_SOCKET,
};

static void count_release(void *context)
{
	struct server_fixture *f = context;

	f->released++;
}

static void on_socket_message(void *context, const void *bytes, size_t size, bool text)
{
	struct server_fixture *f = context;

	(void)http_socket_send(f->socket, bytes, size); /* an echo */
}

static void on_socket_drained(void *context)
{
	struct server_fixture *f = context;

	f->drained++;
}

static void on_socket_closed(void *context)
{
	struct server_fixture *f = context;

	f->socket = NULL;
	f->sockets_closed++;
}

static void answer_text(struct http_request *request, unsigned status, const char *text)
{
	http_request_answer(request, &(struct http_answer){ .status = status,
							    .body = text,
							    .body_size = strlen(text) });
}

static void accept_socket(struct server_fixture *f, struct http_request *request)
{
	static const struct http_socket_handlers handlers = { on_socket_message, on_socket_drained,
							      on_socket_closed };

	if (!http_request_wants_socket(request))
		answer_text(request, 426, "no socket is asked for");
	else
		assert_int_equal(http_request_accept_socket(request, &handlers, f, &f->socket), 0);
}

static size_t on_head(void *context, struct http_request *request)
{
	const char *path = http_request_path(request);
	size_t wanted = strcmp(path, "/small") == 0 ? 10 : 1U << 20;

	if (strcmp(path, "/now") == 0)
		answer_text(request, 200, "answered by its head");
	else if (strcmp(path, "/socket") == 0)
		accept_socket(context, request);
	return wanted; /* the request may be no more */
}

/* What came, for the client to compare. */
static void answer_with_all(struct http_request *request)
{
	CLEANUP(text_done) struct text text = { 0 };
	const char *x = http_request_field(request, "x-a");
	size_t size;
	const void *body = http_request_body(request, &size);

	text_printf(&text, "%s %s ?%s @%s x=%s %s:", http_request_method(request),
		    http_request_path(request), http_request_query(request),
		    http_request_host(request), x ? x : "none",
		    http_request_is_secure(request) ? "secure" : "plain");
	text_append_bytes(&text, body, size);
	answer_text(request, 200, text_string(&text));
}

static void on_complete(void *context, struct http_request *request)
{
	struct server_fixture *f = context;
	const char *path = http_request_path(request);

	if (strcmp(path, "/later") == 0) {
		assert_true(f->later_count < LATER_MAX);
		f->later[f->later_count] = request;
		f->later_count++;
	} else if (strcmp(path, "/big") == 0) {
		http_request_answer(request, &(struct http_answer){ .status = 200,
								    .body = f->big,
								    .body_size = BIG_SIZE,
								    .release = count_release,
								    .release_context = f });
	} else {
		answer_with_all(request);
	}
}

static void on_gone(void *context, struct http_request *request)
{
	struct server_fixture *f = context;

	for (int i = 0; i < f->later_count; i++)
		if (f->later[i] == request) {
			f->later[i] = f->later[f->later_count - 1];
			f->later_count--;
			break;
		}
	f->gone++;
}

static void on_server_closed(void *context)
{
	struct server_fixture *f = context;

	f->closed = true;
	uv_close((uv_handle_t *)&f->command, NULL);
}

static void answer_later(struct server_fixture *f)
{
	while (f->later_count > 0) {
		f->later_count--;
		answer_text(f->later[f->later_count], 200, "later");
	}
}

static void on_command(uv_async_t *async)
{
	struct server_fixture *f = async->data;

	switch ((enum order)atomic_exchange(&f->order, ORDER_NONE)) {
	case ORDER_STOP:
		if (f->server)
			http_server_close(f->server, on_server_closed, f);
		f->server = NULL;
		break;
	case ORDER_ANSWER_LATER:
		answer_later(f);
		break;
	case ORDER_CLOSE_LISTENER:
		f->listener = http_listener_close(f->listener);
		break;
	case ORDER_CLOSE_SOCKET:
		http_socket_close(f->socket, HTTP_SOCKET_NORMAL, "enough");
		break;
	case ORDER_DROP_SOCKET:
		http_socket_drop(f->socket);
		break;
	case ORDER_NONE:
		break;
	}
}

static void give_order(struct server_fixture *f, enum order order)
{
	f->order = (int)order;
	(void)uv_async_send(&f->command);
}

/* Waits until the thread has come to a state; the test's own limit ends it otherwise. */
static inline void wait_for(atomic_int *number, int wanted)
{
	while (*number != wanted)
		(void)poll(NULL, 0, 1);
}

static void *run_server(void *arg)
{
	struct server_fixture *f = arg;

	(void)uv_run(&f->loop, UV_RUN_DEFAULT);
	return NULL;
}

/* A listening socket on a free port of loopback. */
static int listen_anywhere(struct endpoint *ret)
{
	struct sockaddr_in any = { .sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_storage bound;
	socklen_t size = sizeof(bound);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&any, sizeof(any)), 0);
	assert_int_equal(listen(fd, 128), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&bound, &size), 0);
	assert_int_equal(endpoint_from_sockaddr((struct sockaddr *)&bound, ret), 0);
	return fd;
}

static struct server_fixture *server_start(const struct http_server_options *limits,
					   struct http_tls *tls)
{
	static const struct http_handlers handlers = { on_head, on_complete, on_gone };
	struct server_fixture *f = calloc(1, sizeof(*f));
	struct http_server_options options = limits ? *limits : (struct http_server_options){ 0 };

	assert_non_null(f);
	f->big = malloc(BIG_SIZE);
	assert_non_null(f->big);
	for (size_t i = 0; i < BIG_SIZE; i++)
		f->big[i] = (unsigned char)(i * 31 + i / 4096);
	options.handlers = &handlers;
	options.context = f;
	f->tls = tls;
	assert_int_equal(uv_loop_init(&f->loop), 0);
	assert_int_equal(http_server_new(&f->loop, &options, &f->server), 0);
	assert_int_equal(http_server_listen_fd(f->server, listen_anywhere(&f->address), tls,
					       &f->listener),
			 0);
	assert_int_equal(uv_async_init(&f->loop, &f->command, on_command), 0);
	f->command.data = f;
	assert_int_equal(pthread_create(&f->thread, NULL, run_server, f), 0);
	return f;
}

static void server_begin_stop(struct server_fixture *f)
{
	if (!f->stopping)
		give_order(f, ORDER_STOP);
	f->stopping = true;
}

static void server_stop(struct server_fixture *f)
{
	if (f->stopped)
		return;
	server_begin_stop(f);
	assert_int_equal(pthread_join(f->thread, NULL), 0);
	assert_true(f->closed);
	f->stopped = true;
}

static void server_end(struct server_fixture *f)
{
	server_stop(f);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	(void)http_tls_free(f->tls);
	free(f->big);
	free(f);
}

/* --- clients --- */

static int client_connect_on(const struct server_fixture *f, int fd)
{
	struct sockaddr_storage to;
	socklen_t size = endpoint_to_sockaddr(&f->address, &to);
	struct timeval limit = { .tv_sec = PATIENCE_S };

	assert_true(fd >= 0);
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &(int){ 65536 }, sizeof(int));
	assert_int_equal(connect(fd, (struct sockaddr *)&to, size), 0);
	return fd;
}

static int client_connect(const struct server_fixture *f)
{
	return client_connect_on(f, socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

static inline void client_send(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Receives until the end, or until @mark was seen. Returns whether the end came. */
static bool client_receive(int fd, const char *mark, struct text *to)
{
	char buffer[4096];

	while (!mark || !strstr(text_string(to), mark)) {
		ssize_t size = recv(fd, buffer, sizeof(buffer), 0);

		if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			fail_msg("nothing more came after \"%s\"", text_string(to));
		if (size <= 0)
			return true;
		text_append_bytes(to, buffer, (size_t)size);
	}
	return false;
}

static inline void assert_contains(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("\"%s\" has no \"%s\"", text, part);
}
