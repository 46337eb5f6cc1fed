/*
 * An engine without a connection, for the tests and fuzz targets of this folder only
 *
 * The host notes each request and answers it, at once or after the bytes at hand were taken. What comes
 * out of the engine is collected.
 */
#pragma once

#include <assert.h>
#include <string.h>

#include "base/text.h"
#include "http/request.h"

#define TEST_BODY_MAX 1000
#define TEST_LATER_MAX 64

struct test_host {
	struct http_host host;
	struct http_budget bodies;
	struct http_engine *engine;
	enum http_wait wait;
	bool late; /* requests are answered after a receive, not within it */
	struct http_request *later[TEST_LATER_MAX];
	unsigned later_count;
	unsigned gone;
	struct text log; /* a line for each request that was whole */
	struct text output;
};

static void test_answer(struct http_request *request)
{
	http_request_answer(request,
			    &(struct http_answer){ .status = 200, .body = "ok", .body_size = 2 });
}

/* What the engines promise about each request that they hand on. */
static inline void test_check_request(const struct http_request *request)
{
	size_t size;

	assert(request->text_size <= 2 * HTTP_HEAD_MAX + 2048);
	assert(request->field_count <= HTTP_FIELDS_MAX);
	assert(strlen(http_request_method(request)) > 0);
	assert(strchr("/*", http_request_path(request)[0]));
	for (unsigned i = 0; i < request->field_count; i++) {
		const char *name = request->text + request->fields[i].name;

		assert(*name && !strpbrk(name, " \t\r\n:ABCDEFGHIJKLMNOPQRSTUVWXYZ"));
		assert(!strpbrk(request->text + request->fields[i].value, "\r\n"));
		for (unsigned k = 0; k < i; k++)
			assert(strcmp(name, request->text + request->fields[k].name) != 0);
	}
	(void)http_request_body(request, &size);
	assert(size <= TEST_BODY_MAX);
}

static size_t test_head(void *context, struct http_request *request)
{
	struct test_host *t = context;

	test_check_request(request);
	if (strcmp(http_request_path(request), "/now") == 0) {
		text_append(&t->log, "now\n");
		test_answer(request);
	}
	return TEST_BODY_MAX;
}

static void test_complete(void *context, struct http_request *request)
{
	struct test_host *t = context;
	size_t size;
	const void *body = http_request_body(request, &size);

	test_check_request(request);
	text_printf(&t->log, "%s %s?%s @%s", http_request_method(request),
		    http_request_path(request), http_request_query(request),
		    http_request_host(request));
	for (unsigned i = 0; i < request->field_count; i++)
		text_printf(&t->log, " %s=%s", request->text + request->fields[i].name,
			    request->text + request->fields[i].value);
	text_append(&t->log, " :");
	text_append_bytes(&t->log, body, size);
	text_append_char(&t->log, '\n');
	if (t->late && t->later_count < TEST_LATER_MAX)
		t->later[t->later_count++] = request;
	else
		test_answer(request);
}

static void test_gone(void *context, struct http_request *request)
{
	struct test_host *t = context;

	for (unsigned i = 0; i < t->later_count; i++)
		if (t->later[i] == request)
			t->later[i] = t->later[--t->later_count];
	t->gone++;
}

static void test_wake(struct http_host *host)
{
}

static void test_wait(struct http_host *host, enum http_wait wait)
{
	container_of(host, struct test_host, host)->wait = wait;
}

static const char *test_date(struct http_host *host)
{
	return "Thu, 01 Jan 1970 00:00:00 GMT";
}

static inline void test_host_init(struct test_host *t, bool late)
{
	static const struct http_handlers handlers = { test_head, test_complete, test_gone };

	*t = (struct test_host){ .late = late };
	t->bodies.max = 1U << 20;
	t->host = (struct http_host){ .handlers = &handlers,
				      .context = t,
				      .bodies = &t->bodies,
				      .wake = test_wake,
				      .wait = test_wait,
				      .date = test_date };
}

/* Pulls everything and answers what is kept, until nothing is left to do. */
static void test_settle(struct test_host *t)
{
	unsigned char bytes[4096];
	size_t size;

	do {
		while (t->later_count > 0)
			test_answer(t->later[--t->later_count]);
		size = t->engine->ops->pull(t->engine, bytes, sizeof(bytes));
		text_append_bytes(&t->output, bytes, size);
	} while (size > 0 || t->later_count > 0);
}

/* Gives the bytes as a connection would. Returns whether the engine took all and is open still. */
static inline bool test_give(struct test_host *t, const void *bytes, size_t size)
{
	const unsigned char *at = bytes;

	while (size > 0) {
		size_t part = size < 16384 ? size : 16384;

		if (t->engine->ops->ending(t->engine) != HTTP_OPEN ||
		    !t->engine->ops->wants_bytes(t->engine) ||
		    t->engine->ops->receive(t->engine, at, part) < 0)
			return false;
		test_settle(t);
		at += part;
		size -= part;
	}
	return true;
}

static inline void test_host_done(struct test_host *t)
{
	t->engine->ops->free(t->engine);
	assert(t->bodies.used == 0);
	assert(t->later_count == 0);
	text_done(&t->log);
	text_done(&t->output);
}
