/* A client of nghttp2's own talks to the engine, without a connection between them. */
#include "http/http2.h"

#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/test.h"
#include "http/test_host.h"

#define BIG_SIZE 1000000
#define FRAME_MAX 16384
#define STREAMS_MAX 128 /* of a test, by odd ids */

/* What the client knows of a stream. */
struct seen {
	unsigned status;
	unsigned informational;
	size_t size;
	char text[256];
	bool ended; /* END_STREAM came */
	bool closed;
	uint32_t error; /* it was closed with */
};

struct pair {
	struct test_host t;
	struct http_handlers handlers;
	nghttp2_session *client;
	struct seen seen[STREAMS_MAX];
	bool goaway;
	uint32_t goaway_error;
	const char *upload; /* what is left of a body; NULL: none */
	size_t upload_size;
	bool upload_waits; /* it does not end */
	struct http_socket *socket;
	char message[64];
	unsigned messages;
	unsigned sockets_closed;
	unsigned released;
	unsigned waits; /* how often a deadline was set */
};

static struct seen *seen_of(struct pair *p, int32_t id)
{
	assert_in_range(id, 1, 2 * STREAMS_MAX - 1);
	return &p->seen[id / 2];
}

/* --- the server's user --- */

static char big[BIG_SIZE];

static void on_released(void *context)
{
	((struct pair *)context)->released++;
}

static void on_message(void *context, const void *bytes, size_t size, bool text)
{
	struct pair *p = context;

	p->messages++;
	memcpy(p->message, bytes, size < sizeof(p->message) ? size : sizeof(p->message));
}

static void on_socket_closed(void *context)
{
	struct pair *p = context;

	p->sockets_closed++;
	p->socket = NULL;
}

static const struct http_socket_handlers socket_handlers = { .message = on_message,
							     .closed = on_socket_closed };

static size_t on_head(void *context, struct http_request *request)
{
	struct pair *p = container_of((struct test_host *)context, struct pair, t);
	const char *path = http_request_path(request);

	if (http_request_wants_socket(request)) {
		assert_int_equal(
			http_request_accept_socket(request, &socket_handlers, p, &p->socket), 0);
		return 0;
	}
	if (strcmp(path, "/big") == 0) {
		http_request_answer(request, &(struct http_answer){ .status = 200,
								    .body = big,
								    .body_size = BIG_SIZE,
								    .release = on_released,
								    .release_context = p });
		return 0;
	}
	if (strcmp(path, "/fields") == 0) {
		static const struct http_field fields[] = { { "X-Upper", "a" },
							    { "connection", "close" } };

		http_request_answer(request, &(struct http_answer){ .status = 204,
								    .fields = fields,
								    .field_count = 2 });
		return 0;
	}
	if (strcmp(path, "/split") == 0) {
		static const struct http_field field = { "x", "a\r\nb: c" };

		http_request_answer(request, &(struct http_answer){ .status = 200,
								    .fields = &field,
								    .field_count = 1 });
		return 0;
	}
	return test_head(context, request);
}

/* --- the client --- */

static int client_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
			 size_t name_size, const uint8_t *value, size_t size, uint8_t flags,
			 void *user)
{
	struct seen *seen = seen_of(user, frame->hd.stream_id);

	if (name_size == 7 && memcmp(name, ":status", 7) == 0) {
		seen->informational = seen->status;
		seen->status = (unsigned)((value[0] - '0') * 100 + (value[1] - '0') * 10 +
					  (value[2] - '0'));
	}
	return 0;
}

static int client_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes,
		       size_t size, void *user)
{
	struct seen *seen = seen_of(user, id);

	for (size_t i = 0; i < size && seen->size + i < sizeof(seen->text) - 1; i++)
		seen->text[seen->size + i] = (char)bytes[i];
	seen->size += size;
	return 0;
}

static int client_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct pair *p = user;

	if (frame->hd.type == NGHTTP2_GOAWAY) {
		p->goaway = true;
		p->goaway_error = frame->goaway.error_code;
	}
	if (frame->hd.stream_id && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) &&
	    (frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS))
		seen_of(p, frame->hd.stream_id)->ended = true;
	return 0;
}

static int client_closed(nghttp2_session *session, int32_t id, uint32_t error, void *user)
{
	seen_of(user, id)->closed = true;
	seen_of(user, id)->error = error;
	return 0;
}

static void client_new(struct pair *p, uint32_t window)
{
	nghttp2_settings_entry settings = { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, window };
	nghttp2_session_callbacks *callbacks;
	nghttp2_option *option;

	assert_int_equal(nghttp2_session_callbacks_new(&callbacks), 0);
	assert_int_equal(nghttp2_option_new(&option), 0);
	if (window)
		nghttp2_option_set_no_auto_window_update(option, 1);
	nghttp2_session_callbacks_set_on_header_callback(callbacks, client_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, client_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, client_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, client_closed);
	assert_int_equal(nghttp2_session_client_new2(&p->client, callbacks, p, option), 0);
	assert_int_equal(nghttp2_submit_settings(p->client, 0, &settings, window ? 1 : 0), 0);
	nghttp2_option_del(option);
	nghttp2_session_callbacks_del(callbacks);
}

static void count_wait(struct http_host *host, enum http_wait wait)
{
	struct test_host *t = container_of(host, struct test_host, host);

	t->wait = wait;
	container_of(t, struct pair, t)->waits++;
}

static int setup_with(void **state, uint32_t window, bool late)
{
	struct pair *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	test_host_init(&p->t, late);
	p->handlers = *p->t.host.handlers;
	p->handlers.head = on_head;
	p->t.host.handlers = &p->handlers;
	p->t.host.wait = count_wait;
	assert_int_equal(http2_engine_new(&p->t.host, &p->t.engine), 0);
	client_new(p, window);
	*state = p;
	return 0;
}

static int setup(void **state)
{
	return setup_with(state, 0, false);
}

static int setup_late(void **state)
{
	return setup_with(state, 0, true);
}

static int setup_narrow(void **state)
{
	return setup_with(state, 1000, false);
}

static int teardown(void **state)
{
	struct pair *p = *state;

	nghttp2_session_del(p->client);
	test_host_done(&p->t);
	free(p);
	return 0;
}

/* Moves bytes both ways until neither has any; kept requests stay kept. */
static void talk(struct pair *p)
{
	unsigned char bytes[4096];
	const uint8_t *out;
	ssize_t size;
	size_t pulled;

	do {
		size = nghttp2_session_mem_send(p->client, &out);
		assert_true(size >= 0);
		if (size > 0)
			assert_int_equal(p->t.engine->ops->receive(p->t.engine, out, (size_t)size),
					 0);
		pulled = p->t.engine->ops->pull(p->t.engine, bytes, sizeof(bytes));
		if (pulled > 0)
			assert_int_equal(nghttp2_session_mem_recv(p->client, bytes, pulled),
					 pulled);
	} while (size > 0 || pulled > 0);
}

static ssize_t read_upload(nghttp2_session *session, int32_t id, uint8_t *to, size_t capacity,
			   uint32_t *flags, nghttp2_data_source *source, void *user)
{
	struct pair *p = user;
	size_t size = p->upload_size < capacity ? p->upload_size : capacity;

	memcpy(to, p->upload, size);
	p->upload += size;
	p->upload_size -= size;
	if (p->upload_size > 0)
		return (ssize_t)size;
	if (p->upload_waits)
		return size > 0 ? (ssize_t)size : NGHTTP2_ERR_DEFERRED;
	*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)size;
}

static nghttp2_nv field(const char *name, const char *value)
{
	return (nghttp2_nv){ (uint8_t *)name, (uint8_t *)value, strlen(name), strlen(value), 0 };
}

/* Sends a request with a few fields more; @extra ends with a NULL name. Returns its stream. */
static int32_t ask_with(struct pair *p, const char *method, const char *path,
			const struct http_field *extra)
{
	nghttp2_data_provider provider = { .read_callback = read_upload };
	nghttp2_nv fields[HTTP_FIELDS_MAX + 16] = { field(":method", method),
						    field(":scheme", "https"),
						    field(":authority", "a.example"),
						    field(":path", path) };
	size_t count = 4;
	int32_t id;

	for (; extra && extra->name; extra++)
		fields[count++] = field(extra->name, extra->value);
	id = nghttp2_submit_request(p->client, NULL, fields, count, p->upload ? &provider : NULL,
				    NULL);
	assert_true(id > 0);
	return id;
}

static int32_t ask(struct pair *p, const char *method, const char *path)
{
	return ask_with(p, method, path, NULL);
}

static unsigned status_after(struct pair *p, int32_t id)
{
	talk(p);
	return seen_of(p, id)->status;
}

/* --- tests --- */

static void requests_are_answered(void **state)
{
	struct pair *p = *state;
	static const struct http_field fields[] = {
		{ "cookie", "a=1" }, { "x", "1" }, { "cookie", "b=2" }, { "x", "2" }, { 0 }
	};
	int32_t id = ask_with(p, "GET", "/a/b?c=d", fields);

	assert_int_equal(status_after(p, id), 200);
	assert_string_equal(seen_of(p, id)->text, "ok");
	assert_true(seen_of(p, id)->ended);
	assert_string_equal(text_string(&p->t.log),
			    "GET /a/b?c=d @a.example cookie=a=1; b=2 x=1, 2 :\n");
	assert_int_equal(p->t.wait, HTTP_WAIT_IDLE);
}

static void answers_in_any_order(void **state)
{
	struct pair *p = *state;
	int32_t first = ask(p, "GET", "/1");
	int32_t second = ask(p, "GET", "/2");

	talk(p);
	assert_int_equal(p->t.later_count, 2);
	assert_int_equal(p->t.wait, HTTP_WAIT_NONE);
	test_answer(p->t.later[1]);
	p->t.later_count = 1;
	talk(p);
	assert_int_equal(seen_of(p, first)->status, 0);
	assert_int_equal(seen_of(p, second)->status, 200);
	test_answer(p->t.later[0]);
	p->t.later_count = 0;
	assert_int_equal(status_after(p, first), 200);
}

static void bodies_are_delivered(void **state)
{
	struct pair *p = *state;
	int32_t id;

	p->upload = "hello";
	p->upload_size = 5;
	id = ask(p, "POST", "/");
	assert_int_equal(status_after(p, id), 200);
	assert_string_equal(text_string(&p->t.log), "POST /? @a.example :hello\n");
}

static void a_client_waits_to_be_asked_for_its_body(void **state)
{
	struct pair *p = *state;
	static const struct http_field fields[] = { { "expect", "100-continue" }, { 0 } };
	int32_t id;

	p->upload = "hello";
	p->upload_size = 5;
	id = ask_with(p, "POST", "/", fields);
	assert_int_equal(status_after(p, id), 200);
	assert_int_equal(seen_of(p, id)->informational, 100);
}

static void large_bodies_are_refused(void **state)
{
	struct pair *p = *state;
	static const struct http_field fields[] = { { "content-length", "1001" }, { 0 } };
	int32_t id;

	p->upload = big;
	p->upload_size = 1001;
	id = ask_with(p, "POST", "/", fields); /* before it came */
	assert_int_equal(status_after(p, id), 413);
	p->upload = big;
	p->upload_size = 1001;
	id = ask(p, "POST", "/");
	assert_int_equal(status_after(p, id), 413);
	assert_true(seen_of(p, id)->closed);
	p->upload = NULL;
	id = ask(p, "GET", "/"); /* the connection goes on */
	assert_int_equal(status_after(p, id), 200);
}

static void heads_that_are_no_good(void **state)
{
	struct pair *p = *state;
	static char value[20000], path[9000];
	struct http_field large[] = { { "x", value }, { 0 } };
	struct http_field many[HTTP_FIELDS_MAX + 2] = { 0 };
	static const struct http_field host[] = { { "host", "b.example" }, { 0 } };
	static const struct http_field same_host[] = { { "host", "a.example" }, { 0 } };
	int32_t id;

	memset(value, 'a', sizeof(value) - 1);
	memset(path, '/', sizeof(path) - 1);
	for (size_t i = 0; i <= HTTP_FIELDS_MAX; i++)
		many[i] = (struct http_field){ "x", "y" };
	id = ask_with(p, "GET", "/", large);
	assert_int_equal(status_after(p, id), 431);
	id = ask_with(p, "GET", "/", many);
	assert_int_equal(status_after(p, id), 431);
	id = ask(p, "GET", path);
	assert_int_equal(status_after(p, id), 414);
	id = ask_with(p, "GET", "/", host);
	assert_int_equal(status_after(p, id), 400);
	id = ask_with(p, "GET", "/", same_host);
	assert_int_equal(status_after(p, id), 200);
	id = ask(p, "GET", "no-slash");
	assert_int_equal(status_after(p, id), 0);
	assert_int_equal(seen_of(p, id)->error, NGHTTP2_PROTOCOL_ERROR);
}

static void tunnels_are_refused(void **state)
{
	struct pair *p = *state;
	nghttp2_nv plain[] = { field(":method", "CONNECT"), field(":authority", "b.example:25") };
	static const struct http_field fields[] = { { ":protocol", "connect-udp" }, { 0 } };
	int32_t id = nghttp2_submit_request(p->client, NULL, plain, 2, NULL, NULL);

	assert_int_equal(status_after(p, id), 501);
	id = ask_with(p, "CONNECT", "/", fields);
	assert_int_equal(status_after(p, id), 501);
}

static void answers_keep_the_rules(void **state)
{
	struct pair *p = *state;
	int32_t id = ask(p, "GET", "/fields");

	assert_int_equal(status_after(p, id), 204);
	id = ask(p, "HEAD", "/big");
	assert_int_equal(status_after(p, id), 200);
	assert_int_equal(seen_of(p, id)->size, 0);
	assert_true(seen_of(p, id)->ended);
	assert_int_equal(p->released, 1);
	id = ask(p, "GET", "/split"); /* a field that would be two */
	assert_int_equal(status_after(p, id), 0);
	assert_int_equal(seen_of(p, id)->error, NGHTTP2_INTERNAL_ERROR);
}

static void streams_are_bounded(void **state)
{
	struct pair *p = *state;

	talk(p);
	for (int i = 0; i < HTTP_STREAMS_MAX + 8; i++)
		(void)ask(p, "GET", "/");
	talk(p);
	assert_int_equal(p->t.later_count, HTTP_STREAMS_MAX);
	while (p->t.later_count > 0) {
		test_answer(p->t.later[--p->t.later_count]);
		talk(p);
	}
	for (int i = 0; i < HTTP_STREAMS_MAX + 8; i++)
		assert_int_equal(p->seen[i].status, 200);
}

/* An answer goes out as far as the client lets it, and is kept without being copied. */
static void windows_hold_answers_back(void **state)
{
	struct pair *p = *state;
	int32_t id = ask(p, "GET", "/big");

	talk(p);
	assert_int_equal(seen_of(p, id)->size, 1000);
	assert_int_equal(p->released, 0);
	assert_int_equal(p->t.wait, HTTP_WAIT_BODY); /* the client owes */
	assert_int_equal(nghttp2_submit_window_update(p->client, 0, id, 2000), 0);
	talk(p);
	assert_int_equal(seen_of(p, id)->size, 3000);
	assert_int_equal(nghttp2_submit_window_update(p->client, 0, id, BIG_SIZE), 0);
	assert_int_equal(nghttp2_submit_window_update(p->client, 0, 0, BIG_SIZE), 0);
	talk(p);
	assert_int_equal(seen_of(p, id)->size, BIG_SIZE);
	assert_true(seen_of(p, id)->ended);
	assert_int_equal(p->released, 1);
	assert_int_equal(p->t.wait, HTTP_WAIT_IDLE);
}

static void slow_readers_lose_their_stream(void **state)
{
	struct pair *p = *state;
	int32_t id = ask(p, "GET", "/big");

	talk(p);
	p->t.engine->ops->expire(p->t.engine, HTTP_WAIT_BODY);
	talk(p);
	assert_true(seen_of(p, id)->closed);
	assert_int_equal(seen_of(p, id)->error, NGHTTP2_CANCEL);
	assert_int_equal(p->released, 1);
	id = ask(p, "GET", "/now");
	assert_int_equal(status_after(p, id), 200);
}

/* Nor does a window that is opened by a little give it more time; one that is opened by more does. */
static void dripping_readers_lose_their_stream(void **state)
{
	struct pair *p = *state;
	int32_t id = ask(p, "GET", "/big");

	talk(p);
	p->waits = 0;
	for (int i = 0; i < 10; i++) {
		assert_int_equal(nghttp2_submit_window_update(p->client, 0, id, 1), 0);
		talk(p);
	}
	assert_int_equal(seen_of(p, id)->size, 1010);
	assert_int_equal(p->waits, 0); /* the deadline stays */
	assert_int_equal(nghttp2_submit_window_update(p->client, 0, id, 16384), 0);
	talk(p);
	assert_int_equal(seen_of(p, id)->size, 1010 + 16384);
	assert_true(p->waits > 0);
	assert_int_equal(p->t.wait, HTTP_WAIT_BODY);
}

static void slow_bodies_are_refused(void **state)
{
	struct pair *p = *state;
	int32_t slow, fast;

	p->upload = "half";
	p->upload_size = 4;
	p->upload_waits = true;
	slow = ask(p, "POST", "/");
	talk(p);
	assert_int_equal(p->t.wait, HTTP_WAIT_BODY);
	p->upload = NULL;
	fast = ask(p, "GET", "/now");
	assert_int_equal(status_after(p, fast), 200);
	p->t.engine->ops->expire(p->t.engine, HTTP_WAIT_BODY);
	assert_int_equal(status_after(p, slow), 408);
	assert_true(seen_of(p, slow)->closed);
	assert_int_equal(p->t.gone, 1);
	assert_int_equal(p->t.wait, HTTP_WAIT_IDLE);
	assert_int_equal(p->t.engine->ops->ending(p->t.engine), HTTP_OPEN);
}

/* Some clients take being told to stop for a failure of what they asked. */
static void what_comes_after_an_answer_is_let_in(void **state)
{
	static char rest[65536 + 1];
	struct pair *p = *state;
	const struct http_field large[] = { { "content-length", "1001" }, { 0 } };
	int32_t id;

	p->upload = "x";
	p->upload_size = 1;
	p->upload_waits = true;
	id = ask_with(p, "POST", "/", large);
	assert_int_equal(status_after(p, id), 413);
	assert_false(seen_of(p, id)->closed);
	assert_int_equal(p->t.wait, HTTP_WAIT_BODY);
	p->t.engine->ops->expire(p->t.engine, HTTP_WAIT_BODY);
	talk(p);
	assert_true(seen_of(p, id)->closed);
	assert_int_equal(seen_of(p, id)->error, NGHTTP2_NO_ERROR);
	assert_int_equal(p->t.wait, HTTP_WAIT_IDLE);

	p->upload = rest;
	p->upload_size = 2000;
	id = ask(p, "POST", "/");
	assert_int_equal(status_after(p, id), 413);
	assert_false(seen_of(p, id)->closed);
	p->upload = rest;
	p->upload_size = sizeof(rest);
	(void)nghttp2_session_resume_data(p->client, id);
	talk(p);
	assert_true(seen_of(p, id)->closed);
	assert_int_equal(p->t.wait, HTTP_WAIT_IDLE);
}

static void slow_heads_end_the_connection(void **state)
{
	struct pair *p = *state;

	talk(p);
	p->t.engine->ops->expire(p->t.engine, HTTP_WAIT_HEAD);
	talk(p);
	assert_true(p->goaway);
	assert_int_equal(p->goaway_error, NGHTTP2_NO_ERROR);
	assert_int_equal(p->t.engine->ops->ending(p->t.engine), HTTP_OVER_UNREAD);
}

/* Requests that their client takes back at once are work for nothing: CVE-2023-44487. */
static void rapid_resets_are_calmed(void **state)
{
	struct pair *p = *state;
	unsigned asked = 0;

	for (; asked < STREAMS_MAX && !p->goaway; asked++) {
		int32_t id = ask(p, "GET", "/");

		talk(p);
		(void)nghttp2_submit_rst_stream(p->client, 0, id, NGHTTP2_CANCEL);
		talk(p);
	}
	assert_true(p->goaway);
	assert_int_equal(p->goaway_error, NGHTTP2_ENHANCE_YOUR_CALM);
	assert_in_range(asked, 10, STREAMS_MAX - 1);
	assert_int_equal(p->t.gone, asked);
	assert_int_equal(p->t.engine->ops->ending(p->t.engine), HTTP_OVER_UNREAD);
}

/* A stream that the client makes the server reset is no cheaper: CVE-2025-8671. */
static void provoked_resets_are_calmed(void **state)
{
	struct pair *p = *state;
	unsigned asked = 0;

	p->upload = "more than it says";
	for (; asked < STREAMS_MAX && !p->goaway; asked++) {
		static const struct http_field length[] = { { "content-length", "1" }, { 0 } };

		p->upload_size = strlen(p->upload);
		(void)ask_with(p, "POST", "/", length);
		talk(p);
	}
	assert_true(p->goaway);
	assert_int_equal(p->goaway_error, NGHTTP2_ENHANCE_YOUR_CALM);
	assert_in_range(asked, 10, STREAMS_MAX - 1);
}

/* --- frames that nghttp2's client would not make --- */

static void put_frame(struct text *to, size_t size, uint8_t type, uint8_t flags, uint8_t id)
{
	const uint8_t head[9] = {
		(uint8_t)(size >> 16), (uint8_t)(size >> 8), (uint8_t)size, type, flags, 0, 0, 0, id
	};

	text_append_bytes(to, head, sizeof(head));
}

/* Takes out what the engine says. Returns the error that it reset a stream with, or -1. */
static int64_t reset_error(struct pair *p, uint8_t id)
{
	CLEANUP(text_done) struct text out = { 0 };
	unsigned char bytes[4096];
	size_t size;
	int64_t error = -1;

	while ((size = p->t.engine->ops->pull(p->t.engine, bytes, sizeof(bytes))) > 0)
		text_append_bytes(&out, bytes, size);
	for (size_t at = 0; at < out.size;) {
		const uint8_t *frame = (const uint8_t *)out.data + at;

		if (frame[3] == NGHTTP2_RST_STREAM && frame[8] == id)
			error = frame[12];
		at += 9U + (size_t)(frame[0] << 16 | frame[1] << 8 | frame[2]);
	}
	return error;
}

/* A field of 4000 bytes, and then a byte for each time that it is there again: 500 MB of head in a few
 * frames. It is not looked at to its end, and the next request of the connection is served. */
static void heads_that_unpack_to_far_too_much_are_reset(void **state)
{
	struct pair *p = *state;
	static const uint8_t field_of_4000[] = { 0x40, 1, 'x', 0x7f, 0xa1, 0x1e };
	static char value[4000], again[FRAME_MAX];
	CLEANUP(text_done) struct text bytes = { 0 };
	/* Those that a request has to have, from the static table. */
	static const uint8_t request[] = { 0x82, 0x87, 0x84, 0x41, 1, 'a' };
	unsigned frames = 7;

	talk(p);
	memset(value, 'v', sizeof(value));
	memset(again, 0xbe, sizeof(again));
	put_frame(&bytes, sizeof(request) + sizeof(field_of_4000) + sizeof(value), NGHTTP2_HEADERS,
		  NGHTTP2_FLAG_END_STREAM, 1);
	text_append_bytes(&bytes, request, sizeof(request));
	text_append_bytes(&bytes, field_of_4000, sizeof(field_of_4000));
	text_append_bytes(&bytes, value, sizeof(value));
	while (frames-- > 0) {
		put_frame(&bytes, sizeof(again), NGHTTP2_CONTINUATION,
			  frames ? 0 : NGHTTP2_FLAG_END_HEADERS, 1);
		text_append_bytes(&bytes, again, sizeof(again));
	}
	put_frame(&bytes, sizeof(request), NGHTTP2_HEADERS,
		  NGHTTP2_FLAG_END_STREAM | NGHTTP2_FLAG_END_HEADERS, 3);
	text_append_bytes(&bytes, request, sizeof(request));
	assert_int_equal(p->t.engine->ops->receive(p->t.engine, bytes.data, bytes.size), 0);
	assert_int_equal(reset_error(p, 1), NGHTTP2_INTERNAL_ERROR);
	assert_string_equal(text_string(&p->t.log), "GET /? @a :\n");
}

/* A head in endless frames: CVE-2024-28182. */
static void heads_in_endless_frames_end_the_connection(void **state)
{
	struct pair *p = *state;
	CLEANUP(text_done) struct text bytes = { 0 };
	int r = 0;

	talk(p);
	put_frame(&bytes, 0, NGHTTP2_HEADERS, 0, 1);
	assert_int_equal(p->t.engine->ops->receive(p->t.engine, bytes.data, bytes.size), 0);
	for (unsigned sent = 0; sent < 100 && r == 0; sent++) {
		text_clear(&bytes);
		put_frame(&bytes, 0, NGHTTP2_CONTINUATION, 0, 1);
		r = p->t.engine->ops->receive(p->t.engine, bytes.data, bytes.size);
	}
	assert_int_equal(r, -EPROTO);
}

static void settings_floods_end_the_connection(void **state)
{
	struct pair *p = *state;
	static const uint8_t settings[] = { 0, 0, 0, NGHTTP2_SETTINGS, 0, 0, 0, 0, 0 };
	uint64_t begun_ns = clock_monotonic_ns();
	unsigned sent = 0;

	talk(p);
	while (p->t.engine->ops->wants_bytes(p->t.engine)) {
		assert_int_equal(p->t.engine->ops->receive(p->t.engine, settings, sizeof(settings)),
				 0);
		(void)reset_error(p, 1); /* read */
		sent++;
	}
	assert_in_range(sent, 100, 1000 + 100 * ((clock_monotonic_ns() - begun_ns) / NS_PER_S + 1));
	assert_int_equal(p->t.engine->ops->ending(p->t.engine), HTTP_OVER_UNREAD);
}

static void ping_floods_are_calmed(void **state)
{
	struct pair *p = *state;
	uint64_t begun_ns = clock_monotonic_ns();
	unsigned sent = 0;

	/* Tokens come with time, too: a machine that is slow gives more of them. */
	for (; sent < 1000000 && !p->goaway; sent++) {
		(void)nghttp2_submit_ping(p->client, 0, NULL);
		talk(p);
	}
	assert_true(p->goaway);
	assert_int_equal(p->goaway_error, NGHTTP2_ENHANCE_YOUR_CALM);
	assert_in_range(sent, 100, 1000 + 100 * ((clock_monotonic_ns() - begun_ns) / NS_PER_S + 1));
}

/* Acknowledgements that the client does not read do not grow without end. */
static void unread_acknowledgements_stop_reading(void **state)
{
	struct pair *p = *state;
	static const uint8_t ping[17] = { 0, 0, 8, 6 };
	unsigned sent = 0;

	talk(p);
	while (sent < 1000 && p->t.engine->ops->wants_bytes(p->t.engine)) {
		assert_int_equal(p->t.engine->ops->receive(p->t.engine, ping, sizeof(ping)), 0);
		sent++;
	}
	assert_in_range(sent, 10, 100);
}

static void shutting_down_lets_answers_out(void **state)
{
	struct pair *p = *state;
	int32_t id = ask(p, "GET", "/");
	int32_t late;

	talk(p);
	p->t.engine->ops->shut_down(p->t.engine);
	talk(p);
	assert_true(p->goaway);
	assert_int_equal(p->t.engine->ops->ending(p->t.engine), HTTP_OPEN);
	late = nghttp2_submit_request(
		p->client, NULL,
		(nghttp2_nv[]){ field(":method", "GET"), field(":scheme", "https"),
				field(":authority", "a.example"), field(":path", "/now") },
		4, NULL, NULL);
	if (late > 0)
		talk(p);
	test_answer(p->t.later[--p->t.later_count]);
	talk(p);
	assert_int_equal(seen_of(p, id)->status, 200);
	assert_int_equal(p->t.engine->ops->ending(p->t.engine), HTTP_OVER);
	assert_null(strstr(text_string(&p->t.log), "now"));
}

static void what_runs_is_told_that_the_connection_is_gone(void **state)
{
	struct pair *p = *state;

	(void)ask(p, "GET", "/");
	(void)ask(p, "GET", "/");
	talk(p);
	assert_int_equal(p->t.later_count, 2);
	/* teardown() frees the engine and sees that nothing is kept. */
}

/* --- sockets, RFC 8441 --- */

static const struct http_field upgrade[] = {
	{ ":protocol", "websocket" },
	{ "sec-websocket-version", "13" },
	{ 0 },
};

static int32_t open_socket(struct pair *p)
{
	int32_t id;

	p->upload = "";
	p->upload_size = 0;
	p->upload_waits = true;
	id = ask_with(p, "CONNECT", "/ws", upgrade);
	assert_int_equal(status_after(p, id), 200);
	assert_non_null(p->socket);
	return id;
}

static void upload(struct pair *p, int32_t id, const char *bytes, size_t size)
{
	p->upload = bytes;
	p->upload_size = size;
	(void)nghttp2_session_resume_data(p->client, id);
	talk(p);
}

static void sockets_on_a_stream(void **state)
{
	struct pair *p = *state;
	int32_t id, other;

	talk(p);
	assert_int_equal(nghttp2_session_get_remote_settings(
				 p->client, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL),
			 1);
	id = open_socket(p);
	assert_int_equal(p->t.wait, HTTP_WAIT_NONE);
	assert_int_equal(http_socket_send(p->socket, "hello", 5), 0);
	talk(p);
	assert_memory_equal(seen_of(p, id)->text, "\x81\x05hello", 7);
	upload(p, id, "\x81\x82\0\0\0\0hi", 8);
	assert_int_equal(p->messages, 1);
	assert_memory_equal(p->message, "hi", 2);

	p->upload = NULL;
	other = ask(p, "GET", "/now"); /* beside it */
	assert_int_equal(status_after(p, other), 200);

	http_socket_close(p->socket, HTTP_SOCKET_NORMAL, NULL);
	talk(p);
	assert_memory_equal(seen_of(p, id)->text + 7, "\x88\x02\x03\xe8", 4);
	upload(p, id, "\x88\x82\0\0\0\0\x03\xe8", 8);
	assert_true(seen_of(p, id)->ended);
	assert_int_equal(p->sockets_closed, 1);
}

static void sockets_that_are_dropped_or_left(void **state)
{
	struct pair *p = *state;
	int32_t id = open_socket(p);

	http_socket_drop(p->socket);
	talk(p);
	assert_true(seen_of(p, id)->closed);
	assert_int_equal(p->sockets_closed, 1);
	id = open_socket(p);
	(void)nghttp2_submit_rst_stream(p->client, 0, id, NGHTTP2_CANCEL);
	talk(p);
	assert_int_equal(p->sockets_closed, 2);
	(void)open_socket(p);
	p->t.engine->ops->end(p->t.engine);
	talk(p);
	assert_int_equal(p->sockets_closed, 3);
	assert_int_equal(p->t.engine->ops->ending(p->t.engine), HTTP_OVER);
}

static void sockets_of_other_versions_are_requests(void **state)
{
	struct pair *p = *state;
	static const struct http_field old[] = { { ":protocol", "websocket" },
						 { "sec-websocket-version", "8" },
						 { 0 } };
	int32_t id = ask_with(p, "CONNECT", "/ws", old);

	assert_int_equal(status_after(p, id), 200); /* what the handler says to any request */
	assert_null(p->socket);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_LATE(name) cmocka_unit_test_setup_teardown(name, setup_late, teardown)
#define TEST_NARROW(name) cmocka_unit_test_setup_teardown(name, setup_narrow, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(requests_are_answered),
		TEST_LATE(answers_in_any_order),
		TEST(bodies_are_delivered),
		TEST(a_client_waits_to_be_asked_for_its_body),
		TEST(large_bodies_are_refused),
		TEST(heads_that_are_no_good),
		TEST(tunnels_are_refused),
		TEST(answers_keep_the_rules),
		TEST_LATE(streams_are_bounded),
		TEST_NARROW(windows_hold_answers_back),
		TEST_NARROW(slow_readers_lose_their_stream),
		TEST_NARROW(dripping_readers_lose_their_stream),
		TEST(slow_bodies_are_refused),
		TEST(what_comes_after_an_answer_is_let_in),
		TEST(slow_heads_end_the_connection),
		TEST_LATE(rapid_resets_are_calmed),
		TEST_LATE(provoked_resets_are_calmed),
		TEST(heads_that_unpack_to_far_too_much_are_reset),
		TEST(heads_in_endless_frames_end_the_connection),
		TEST(settings_floods_end_the_connection),
		TEST(ping_floods_are_calmed),
		TEST(unread_acknowledgements_stop_reading),
		TEST_LATE(shutting_down_lets_answers_out),
		TEST_LATE(what_runs_is_told_that_the_connection_is_gone),
		TEST(sockets_on_a_stream),
		TEST(sockets_that_are_dropped_or_left),
		TEST(sockets_of_other_versions_are_requests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
