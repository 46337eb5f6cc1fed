/*
 * nghttp2 keeps the states of streams, checks fields and windows, and says what is to be sent. Here is the
 * session: its streams, what a client owes, and what it may do in vain: a bucket of tokens pays for frames
 * that serve no request, which refill with time and with what the client takes.
 */
#include "http/http2.h"

#include <nghttp2/nghttp2.h>
#include <string.h>

#include "base/clock.h"
#include "http/http2_internal.h"

#define OUTBOUND_MAX 64 /* frames that wait to be pulled; beyond, reading stops */
#define ACKS_MAX 100 /* of pings and settings, that wait */
#define SETTINGS_MAX 32 /* in one frame */
#define CONTINUATIONS_MAX 8 /* frames of one head */

#define CALM_MAX 500 /* tokens */
#define CALM_PER_S 50
#define CALM_BYTES 2048 /* that the client takes bring one */

static struct http2 *http2_of(struct http_engine *engine)
{
	return container_of(engine, struct http2, engine);
}

/* --- what the client owes --- */

static void tell_wait(struct http2 *h, enum http_wait wait, bool anew)
{
	if (wait == h->wait && !anew)
		return;
	h->wait = wait;
	h->engine.host->wait(h->engine.host, wait);
}

void http2_update_wait(struct http2 *h, bool anew)
{
	if (h->dead)
		return;
	if (h->bodies > 0 || h->stalled)
		tell_wait(h, HTTP_WAIT_BODY, anew);
	else if (h->heads > 0 || !h->served)
		tell_wait(h, HTTP_WAIT_HEAD, false);
	else if (h->stream_count > 0 || h->over)
		tell_wait(h, HTTP_WAIT_NONE, false);
	else
		tell_wait(h, HTTP_WAIT_IDLE, anew);
}

void http2_begin_body(struct http2_stream *s)
{
	s->in_body = true;
	s->body_ns = clock_monotonic_ns();
	s->h->bodies++;
	http2_update_wait(s->h, false);
}

void http2_end_body(struct http2_stream *s)
{
	if (!s->in_body)
		return;
	s->in_body = false;
	s->h->bodies--;
	http2_update_wait(s->h, true);
}

/* --- what it may do in vain --- */

void http2_pay(struct http2 *h, size_t tokens)
{
	uint64_t now_ns = clock_monotonic_ns();
	uint64_t gained = (now_ns - h->calm_ns) / (NS_PER_S / CALM_PER_S);

	if (gained > 0) {
		h->calm_ns = now_ns;
		h->calm = gained < CALM_MAX - h->calm ? h->calm + gained : CALM_MAX;
	}
	if (h->calm >= tokens) {
		h->calm -= tokens;
		return;
	}
	h->calm = 0;
	h->over = true;
	(void)nghttp2_session_terminate_session(h->session, NGHTTP2_ENHANCE_YOUR_CALM);
}

void http2_earn(struct http2 *h, size_t bytes)
{
	size_t tokens = bytes / CALM_BYTES;

	h->calm = tokens < CALM_MAX - h->calm ? h->calm + tokens : CALM_MAX;
}

/* --- streams --- */

int http2_stream_new(struct http2 *h, int32_t id)
{
	struct http2_stream *s = calloc(1, sizeof(*s));
	int r = s ? http_request_new(&h->engine, s, &s->request) : -ENOMEM;

	if (r < 0) {
		free(s);
		return r;
	}
	s->h = h;
	s->id = id;
	list_append(&h->streams, &s->node);
	h->stream_count++;
	h->heads++;
	(void)nghttp2_session_set_stream_user_data(h->session, id, s);
	return 0;
}

void http2_end_head(struct http2_stream *s)
{
	if (!s->head_done)
		s->h->heads--;
	s->head_done = true;
}

void http2_stream_free(struct http2_stream *s)
{
	struct http2 *h = s->h;

	list_remove(&s->node);
	h->stream_count--;
	http2_end_head(s);
	if (s->in_body)
		h->bodies--;
	s->in_body = false;
	if (s->request)
		(void)http_request_free(TAKE_PTR(s->request));
	if (s->socket)
		http_socket_gone(TAKE_PTR(s->socket));
	http_body_done(&s->body);
	free(s);
	if (h->stream_count == 0)
		h->stalled = false;
	http2_update_wait(h, true);
}

void http2_reset(struct http2_stream *s, uint32_t error)
{
	(void)nghttp2_submit_rst_stream(s->h->session, NGHTTP2_FLAG_NONE, s->id, error);
}

void http2_stop_sending(struct http2_stream *s)
{
	http2_end_body(s);
	http2_reset(s, NGHTTP2_NO_ERROR);
}

void http2_go_away(struct http2 *h)
{
	if (h->going)
		return;
	h->going = true;
	(void)nghttp2_submit_goaway(h->session, NGHTTP2_FLAG_NONE,
				    nghttp2_session_get_last_proc_stream_id(h->session),
				    NGHTTP2_NO_ERROR, NULL, 0);
}

/* --- the engine --- */

static int http2_receive(struct http_engine *engine, const void *bytes, size_t size)
{
	struct http2 *h = http2_of(engine);
	ssize_t taken;

	if (h->over)
		return 0;
	taken = nghttp2_session_mem_recv(h->session, bytes, size);
	if (taken == NGHTTP2_ERR_NOMEM)
		return -ENOMEM;
	return taken < 0 ? -EPROTO : 0;
}

static void http2_end(struct http_engine *engine)
{
	struct http2 *h = http2_of(engine);

	h->ended = true;
	list_foreach(node, &h->streams) {
		struct http2_stream *s = container_of(node, struct http2_stream, node);

		if (s->socket)
			http_socket_drop(s->socket);
		else if (!s->head_done || s->in_body)
			http2_reset(s, NGHTTP2_CANCEL);
	}
	engine->host->wake(engine->host);
}

static bool http2_wants_bytes(const struct http_engine *engine)
{
	const struct http2 *h = container_of(engine, struct http2, engine);

	return !h->over && !h->ended && nghttp2_session_want_read(h->session) &&
	       nghttp2_session_get_outbound_queue_size(h->session) < OUTBOUND_MAX;
}

/* Makes sure that there is a chunk to be pulled, if there is anything. */
static bool fetch_chunk(struct http2 *h)
{
	ssize_t size;

	if (h->chunk_size > 0)
		return true;
	size = nghttp2_session_mem_send(h->session, &h->chunk);
	if (size < 0)
		h->over = true;
	h->chunk_size = size > 0 ? (size_t)size : 0;
	return h->chunk_size > 0;
}

static bool has_rest(const struct http2_stream *s)
{
	return s->answered && s->body_sent < s->body.size;
}

static void refuse_late_body(struct http2_stream *s)
{
	if (s->answered) {
		http2_stop_sending(s);
		return;
	}
	s->wasted = HTTP2_WASTED_MAX; /* its time is over */
	http2_refuse(s, 408, "the body of the request did not come in time");
}

/*
 * The host's deadline is one for all streams, and what one client's stream does sets it anew. So each
 * stream has its own time, too, which is looked at whenever something is pulled. @idle: the session has
 * nothing to send, so an answer of which something is left waits for the client to open a window: by
 * HTTP_PROGRESS_MIN each time, or by all that is left. One that sends no more cannot do that. Returns
 * whether something was done about a stream.
 */
static bool look_at_debts(struct http2 *h, bool idle)
{
	uint64_t now_ns = clock_monotonic_ns();
	uint64_t patience_ns = HTTP_BODY_TIMEOUT_S * NS_PER_S;
	bool moved = false, done = false;

	h->stalled = false;
	list_foreach(node, &h->streams) {
		struct http2_stream *s = container_of(node, struct http2_stream, node);

		if (s->in_body && now_ns - s->body_ns > patience_ns) {
			refuse_late_body(s);
			done = true;
		}
		if (!idle || !has_rest(s))
			continue;
		h->stalled = true;
		if (s->stall_ns == 0 || s->moved >= HTTP_PROGRESS_MIN) {
			s->stall_ns = now_ns;
			s->moved = 0;
			moved = true;
		}
		if (h->ended || now_ns - s->stall_ns > patience_ns) {
			http2_reset(s, NGHTTP2_CANCEL);
			done = true;
		}
	}
	http2_update_wait(h, moved);
	return done;
}

static size_t pull_chunks(struct http2 *h, uint8_t *to, size_t capacity)
{
	size_t size = 0;

	while (size < capacity && fetch_chunk(h)) {
		size_t part = h->chunk_size < capacity - size ? h->chunk_size : capacity - size;

		memcpy(to + size, h->chunk, part);
		size += part;
		h->chunk += part;
		h->chunk_size -= part;
	}
	return size;
}

static size_t http2_pull(struct http_engine *engine, void *to, size_t capacity)
{
	struct http2 *h = http2_of(engine);
	size_t size = pull_chunks(h, to, capacity);

	if (h->stream_count > 0 && look_at_debts(h, size < capacity))
		size += pull_chunks(h, (uint8_t *)to + size, capacity - size);
	return size;
}

static enum http_ending http2_ending(const struct http_engine *engine)
{
	const struct http2 *h = container_of(engine, struct http2, engine);

	if (h->chunk_size > 0 || nghttp2_session_want_write(h->session))
		return HTTP_OPEN;
	if (!h->over && (h->going || h->ended) && h->stream_count == 0)
		return HTTP_OVER;
	if (h->over || !nghttp2_session_want_read(h->session))
		return h->ended ? HTTP_OVER : HTTP_OVER_UNREAD;
	return HTTP_OPEN;
}

static bool http2_is_answering(const struct http_engine *engine)
{
	const struct http2 *h = container_of(engine, struct http2, engine);

	list_foreach(node, &h->streams) {
		const struct http2_stream *s = container_of(node, struct http2_stream, node);

		if (s->head_done && !s->in_body && !s->socket)
			return true;
	}
	return h->chunk_size > 0;
}

static void http2_expire(struct http_engine *engine, enum http_wait wait)
{
	struct http2 *h = http2_of(engine);

	if (wait != HTTP_WAIT_BODY) {
		h->over = true;
		(void)nghttp2_session_terminate_session(h->session, NGHTTP2_NO_ERROR);
		return;
	}
	/* The deadline is of the one that is oldest. */
	list_foreach(node, &h->streams) {
		struct http2_stream *s = container_of(node, struct http2_stream, node);

		if (s->in_body)
			refuse_late_body(s);
		else if (h->stalled && has_rest(s))
			http2_reset(s, NGHTTP2_CANCEL);
		else
			continue;
		break;
	}
	http2_update_wait(h, true);
}

static void http2_shut_down(struct http_engine *engine)
{
	struct http2 *h = http2_of(engine);

	http2_go_away(h);
	list_foreach(node, &h->streams) {
		struct http2_stream *s = container_of(node, struct http2_stream, node);

		if (s->socket)
			http_socket_go_away(s->socket);
		else if (!s->head_done || s->in_body)
			http2_reset(s, NGHTTP2_REFUSED_STREAM);
	}
}

static void http2_free(struct http_engine *engine)
{
	struct http2 *h = http2_of(engine);

	h->dead = true;
	while (!list_empty(&h->streams))
		http2_stream_free(container_of(h->streams.next, struct http2_stream, node));
	nghttp2_session_del(h->session);
	free(h);
}

static void http2_socket_ready(struct http_engine *engine, void *stream)
{
	struct http2 *h = http2_of(engine);
	struct http2_stream *s = stream;

	if (h->dead)
		return;
	(void)nghttp2_session_resume_data(h->session, s->id);
	engine->host->wake(engine->host);
}

/* --- its life --- */

static int make_session(struct http2 *h)
{
	static const nghttp2_settings_entry settings[] = {
		{ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, HTTP_STREAMS_MAX },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HTTP_HEAD_MAX },
		{ NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1 },
		{ NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1 },
	};
	nghttp2_session_callbacks *callbacks = NULL;
	nghttp2_option *option = NULL;
	int r = http2_make_callbacks(&callbacks);

	if (r == 0 && nghttp2_option_new(&option) != 0)
		r = -ENOMEM;
	if (r == 0) {
		nghttp2_option_set_no_closed_streams(option, 1);
		nghttp2_option_set_max_outbound_ack(option, ACKS_MAX);
		nghttp2_option_set_max_settings(option, SETTINGS_MAX);
		nghttp2_option_set_max_continuations(option, CONTINUATIONS_MAX);
		if (nghttp2_session_server_new2(&h->session, callbacks, h, option) != 0 ||
		    nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, settings,
					    ARRAY_SIZE(settings)) != 0)
			r = -ENOMEM;
	}
	nghttp2_option_del(option);
	nghttp2_session_callbacks_del(callbacks);
	return r;
}

int http2_engine_new(struct http_host *host, struct http_engine **ret)
{
	static const struct http_engine_ops ops = {
		.receive = http2_receive,
		.end = http2_end,
		.wants_bytes = http2_wants_bytes,
		.pull = http2_pull,
		.ending = http2_ending,
		.is_answering = http2_is_answering,
		.expire = http2_expire,
		.shut_down = http2_shut_down,
		.free = http2_free,
		.answer = http2_answer,
		.wants_socket = http2_wants_socket,
		.accept_socket = http2_accept_socket,
		.socket_ready = http2_socket_ready,
	};
	struct http2 *h = calloc(1, sizeof(*h));
	int r;

	if (!h)
		return -ENOMEM;
	h->engine.ops = &ops;
	h->engine.host = host;
	h->wait = HTTP_WAIT_HEAD; /* what a connection begins with */
	h->calm = CALM_MAX;
	h->calm_ns = clock_monotonic_ns();
	list_init(&h->streams);
	r = make_session(h);
	if (r < 0) {
		nghttp2_session_del(h->session);
		free(h);
		return r;
	}
	*ret = &h->engine;
	return 0;
}
