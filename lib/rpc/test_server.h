/*
 * A server with the table of test_table.h, on a thread of its own, for the tests of this folder only
 */
#pragma once

#include <arpa/inet.h>
#include <pthread.h>
#include <sys/socket.h>

#include "base/test.h"
#include "rpc/front.h"
#include "rpc/test_authenticator.h"
#include "rpc/test_table.h"

/* The server runs on a loop in a thread of its own; the tests are its blocking clients. */
struct fixture {
	uv_loop_t loop;
	uv_async_t stop;
	pthread_t thread;
	struct test_context context;
	struct rpc_dispatcher *dispatcher;
	struct rpc_continuations *continuations;
	struct rpc_front *front;
	struct http_server *server;
	struct endpoint address;
	bool closed;
	bool answer_late; /* kept calls are answered after the server began to close */
};

/* A small web interface. */
static const struct http_file test_file_rows[] = {
	{ .path = "/index.html",
	  .type = "text/html; charset=utf-8",
	  .etag = "\"1\"",
	  .plain = { (const unsigned char *)"<!doctype html>", 15 },
	  .gzip = { (const unsigned char *)"gz", 2 },
	  .brotli = { (const unsigned char *)"b", 1 } },
	{ .path = "/assets/a-1234.js",
	  .type = "text/javascript; charset=utf-8",
	  .etag = "\"2\"",
	  .immutable = true,
	  .plain = { (const unsigned char *)"let a = 1", 9 } },
	{ 0 },
};

static const struct http_files test_files = { test_file_rows };

static int make_page(void *context, struct rpc_page *ret)
{
	if (context)
		return -ENOENT;
	*ret = (struct rpc_page){ "application/x-x509-ca-cert", "attachment; filename=\"a.crt\"",
				  strdup("root"), 4 };
	return 0;
}

static const struct rpc_route test_routes[] = {
	{ "/static/local-root-ca.crt", NULL, make_page },
	{ "/static/missing.crt", (void *)1, make_page },
	{ 0 },
};

static void on_closed(void *context)
{
	struct fixture *f = context;

	f->closed = true;
}

static void on_stop(uv_async_t *async)
{
	struct fixture *f = async->data;

	http_server_close(f->server, on_closed, f);
	for (; f->answer_late && f->context.later_count > 0; f->context.later_count--)
		test_answer_later(f->context.later[f->context.later_count - 1]);
	uv_close((uv_handle_t *)async, NULL);
}

static void *run(void *arg)
{
	struct fixture *f = arg;

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
	assert_int_equal(listen(fd, 64), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&bound, &size), 0);
	assert_int_equal(endpoint_from_sockaddr((struct sockaddr *)&bound, ret), 0);
	return fd;
}

static int setup_with(void **state, unsigned connections_max)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct rpc_front_options options = {
		.authenticator = &test_authenticator,
		.files = &test_files,
		.routes = test_routes,
	};
	struct http_server_options server_options = {
		.handlers = &rpc_front_handlers,
		.connections_max = connections_max,
	};
	struct http_listener *listener;

	assert_non_null(f);
	assert_int_equal(uv_loop_init(&f->loop), 0);
	assert_int_equal(rpc_dispatcher_new(&test_table, &f->context, &f->dispatcher), 0);
	assert_int_equal(rpc_continuations_new(&f->continuations), 0);
	f->context.continuations = f->continuations;
	options.dispatcher = f->dispatcher;
	options.continuations = f->continuations;
	assert_int_equal(rpc_front_new(&options, &f->front), 0);
	server_options.context = f->front;
	assert_int_equal(http_server_new(&f->loop, &server_options, &f->server), 0);
	assert_int_equal(
		http_server_listen_fd(f->server, listen_anywhere(&f->address), NULL, &listener), 0);
	assert_int_equal(uv_async_init(&f->loop, &f->stop, on_stop), 0);
	f->stop.data = f;
	assert_int_equal(pthread_create(&f->thread, NULL, run, f), 0);
	*state = f;
	return 0;
}

static inline int setup(void **state)
{
	return setup_with(state, 0);
}

static void stop(struct fixture *f)
{
	if (f->closed)
		return;
	(void)uv_async_send(&f->stop);
	assert_int_equal(pthread_join(f->thread, NULL), 0);
	assert_true(f->closed);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	stop(f);
	for (size_t i = 0; i < f->context.later_count; i++)
		test_answer_later(f->context.later[i]);
	(void)rpc_front_free(f->front);
	(void)rpc_continuations_free(f->continuations);
	(void)rpc_dispatcher_free(f->dispatcher);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	free(f);
	return 0;
}
