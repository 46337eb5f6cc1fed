/*
 * nghttp2 keeps the states of streams, checks fields and windows, and says what is to be sent. Here are
 * requests and answers on its streams, what a client owes, and what it may do in vain: a bucket of
 * tokens pays for frames that serve no request, which refill with time and with what the client takes.
 */
#include "http/http2.h"

#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/list.h"
#include "http/request.h"
#include "http/socket.h"

#define TARGET_MAX 8192 /* bytes of :path, as for HTTP/1.1 */
#define OUTBOUND_MAX 64 /* frames that wait to be pulled; beyond, reading stops */
#define ACKS_MAX 100 /* of pings and settings, that wait */
#define SETTINGS_MAX 32 /* in one frame */
#define CONTINUATIONS_MAX 8 /* frames of one head */
/* Bytes of the fields of a stream; behind HTTP_HEAD_MAX it is refused, behind this one reset. */
#define UNPACKED_MAX (4U * HTTP_HEAD_MAX)
#define WASTED_MAX 65536U /* bytes that come after an answer, before the client is told to stop */

#define CALM_MAX 500 /* tokens */
#define CALM_PER_S 50
#define CALM_BYTES 2048 /* that the client takes bring one */
#define CALM_RESET 10 /* what a stream costs that ends before its answer */

#define FIELD_OVERHEAD 32 /* bytes that a field counts besides its own: RFC 9113 section 6.5.2 */
#define ANSWER_FIELDS_MAX 64
#define FIELD_NAME_MAX 64

struct http2 {
	struct http_engine engine;
	nghttp2_session *session;
	struct list streams;
	unsigned stream_count;
	unsigned bodies; /* streams whose body is awaited */
	unsigned heads; /* that have begun: 0 or 1 */
	enum http_wait wait; /* what the host was told */
	bool served; /* a request came */
	bool stalled; /* an answer waits for the client's window */
	bool going; /* GOAWAY was sent, no more requests are taken */
	bool over; /* as soon as what is queued was pulled */
	bool ended; /* the client sends no more */
	bool dead; /* being freed */
	const uint8_t *chunk; /* of nghttp2, what was not pulled yet */
	size_t chunk_size;
	size_t calm; /* tokens */
	uint64_t calm_ns; /* until when they were counted */
};

struct stream {
	struct list node;
	struct http2 *h;
	int32_t id;
	struct http_request *request; /* NULL: answered, or a socket */
	struct http_socket *socket;
	unsigned refused; /* status; the head is no good */
	size_t unpacked; /* bytes of its fields */
	bool is_socket_request; /* CONNECT with :protocol websocket, RFC 8441 */
	bool head_done; /* the head is whole */
	bool in_body; /* counted in `bodies`; what comes after the answer is thrown away */
	size_t wasted; /* bytes that were */
	bool remote_ended; /* END_STREAM came */
	uint64_t body_ns; /* since when its body is awaited */
	bool answered;
	size_t moved; /* bytes of the answer that went since stall_ns */
	uint64_t stall_ns; /* since when the client owes a window; 0: it does not */
	struct http_body body; /* of the answer */
	size_t body_sent;
};

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

/* @anew: something moved, so that what is still owed has its whole time again. */
static void update_wait(struct http2 *h, bool anew)
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

static void begin_body(struct stream *s)
{
	s->in_body = true;
	s->body_ns = clock_monotonic_ns();
	s->h->bodies++;
	update_wait(s->h, false);
}

static void body_ends(struct stream *s)
{
	if (!s->in_body)
		return;
	s->in_body = false;
	s->h->bodies--;
	update_wait(s->h, true);
}

/* --- what it may do in vain --- */

static void pay(struct http2 *h, size_t tokens)
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

static void earn(struct http2 *h, size_t bytes)
{
	size_t tokens = bytes / CALM_BYTES;

	h->calm = tokens < CALM_MAX - h->calm ? h->calm + tokens : CALM_MAX;
}

/* --- streams --- */

static int stream_new(struct http2 *h, int32_t id)
{
	struct stream *s = calloc(1, sizeof(*s));
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

static void head_ends(struct stream *s)
{
	if (!s->head_done)
		s->h->heads--;
	s->head_done = true;
}

static void stream_free(struct stream *s)
{
	struct http2 *h = s->h;

	list_remove(&s->node);
	h->stream_count--;
	head_ends(s);
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
	update_wait(h, true);
}

static void reset(struct stream *s, uint32_t error)
{
	(void)nghttp2_submit_rst_stream(s->h->session, NGHTTP2_FLAG_NONE, s->id, error);
}

/* What the client still sends is of no use. */
static void stop_sending(struct stream *s)
{
	body_ends(s);
	reset(s, NGHTTP2_NO_ERROR);
}

/* --- answers --- */

/* Fields of an answer as nghttp2 takes them, which copies. */
struct answer_head {
	nghttp2_nv fields[ANSWER_FIELDS_MAX];
	char names[ANSWER_FIELDS_MAX][FIELD_NAME_MAX]; /* in lower case */
	size_t count;
	bool failed; /* a field is none */
};

/* Whether a field is about a connection of HTTP/1.1: RFC 9113 section 8.2.2. */
static bool is_of_connection(const char *name)
{
	static const char *const names[] = { "connection", "keep-alive", "proxy-connection",
					     "transfer-encoding", "upgrade" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

static void add_field(struct answer_head *head, const char *name, const char *value)
{
	size_t size = strlen(name);
	char *own = head->names[head->count];

	if (head->count == ANSWER_FIELDS_MAX || size >= FIELD_NAME_MAX || strpbrk(value, "\r\n")) {
		head->failed = true;
		return;
	}
	for (size_t i = 0; i <= size; i++)
		own[i] = (char)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] - 'A' + 'a' : name[i]);
	if (is_of_connection(own))
		return;
	head->fields[head->count++] = (nghttp2_nv){ .name = (uint8_t *)own,
						    .value = (uint8_t *)value,
						    .namelen = size,
						    .valuelen = strlen(value) };
}

/* nghttp2 wants the bytes of an answer's body. */
static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *to, size_t capacity,
			 uint32_t *flags, nghttp2_data_source *source, void *user)
{
	struct stream *s = source->ptr;
	size_t part = s->body.size - s->body_sent;

	if (part > capacity)
		part = capacity;
	if (part > 0)
		memcpy(to, s->body.bytes + s->body_sent, part);
	s->body_sent += part;
	s->moved += part;
	earn(s->h, part);
	if (s->body_sent == s->body.size)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)part;
}

/* Submits the head, and the body that is taken. Returns 0 or a negative errno. */
static int submit(struct stream *s, const struct http_answer *answer, bool has_body)
{
	nghttp2_data_provider provider = { .source.ptr = s, .read_callback = read_body };
	struct answer_head head = { 0 };
	char status[16], length[32];

	(void)snprintf(status, sizeof(status), "%u", answer->status);
	(void)snprintf(length, sizeof(length), "%zu", answer->body_size);
	add_field(&head, ":status", status);
	add_field(&head, "date", s->h->engine.host->date(s->h->engine.host));
	for (size_t i = 0; i < answer->field_count; i++)
		add_field(&head, answer->fields[i].name, answer->fields[i].value);
	if (http_status_has_body(answer->status))
		add_field(&head, "content-length", length);
	if (head.failed)
		return -EINVAL;
	return nghttp2_submit_response(s->h->session, s->id, head.fields, head.count,
				       has_body && s->body.size > 0 ? &provider : NULL) == 0
		       ? 0
		       : -ENOMEM;
}

static void go_away(struct http2 *h)
{
	if (h->going)
		return;
	h->going = true;
	(void)nghttp2_submit_goaway(h->session, NGHTTP2_FLAG_NONE,
				    nghttp2_session_get_last_proc_stream_id(h->session),
				    NGHTTP2_NO_ERROR, NULL, 0);
}

static void queue_answer(struct stream *s, const struct http_answer *answer, bool is_head)
{
	bool has_body = !is_head && http_status_has_body(answer->status);
	struct http_answer without = *answer;

	s->answered = true;
	body_ends(s);
	if (!has_body && answer->release)
		answer->release(answer->release_context);
	if (!has_body) {
		without.body_size = 0;
		without.release = NULL;
	}
	if (http_body_take(&s->body, &without, s->h->engine.host) < 0 ||
	    submit(s, answer, has_body) < 0) {
		reset(s, NGHTTP2_INTERNAL_ERROR);
		return;
	}
	if (answer->close)
		go_away(s->h);
}

/* Refuses what a stream does; the others go on. */
static void refuse(struct stream *s, unsigned status, const char *reason)
{
	static const struct http_field fields[] = { { "content-type", "application/json" } };
	char body[HTTP_REFUSAL_MAX];
	struct http_answer answer = {
		.status = status, .fields = fields, .field_count = 1, .body = body
	};
	bool is_head = s->request && s->request->is_head;

	answer.body_size = http_refusal(reason, body);
	if (s->request)
		(void)http_request_free(TAKE_PTR(s->request));
	queue_answer(s, &answer, is_head);
}

static void http2_answer(struct http_request *request, const struct http_answer *answer)
{
	struct stream *s = request->stream;
	struct http2 *h = s->h;

	s->request = NULL;
	queue_answer(s, answer, request->is_head);
	(void)http_request_free(request); /* the answer may be made of it */
	h->engine.host->wake(h->engine.host);
}

/* --- a request --- */

static bool equals(const uint8_t *name, size_t size, const char *what)
{
	return size == strlen(what) && memcmp(name, what, size) == 0;
}

/* Takes one of the fields that begin with a colon. nghttp2 has checked that each is there once. */
static int take_pseudo(struct stream *s, const uint8_t *name, size_t name_size, const char *value,
		       size_t size)
{
	if (equals(name, name_size, ":method"))
		return http_request_set_method(s->request, value, size);
	if (equals(name, name_size, ":authority"))
		return http_request_set_host(s->request, value, size);
	if (equals(name, name_size, ":protocol")) {
		s->is_socket_request = equals((const uint8_t *)value, size, "websocket");
		return s->is_socket_request ? 0 : -EPROTONOSUPPORT;
	}
	if (!equals(name, name_size, ":path"))
		return 0;
	return size > TARGET_MAX ? -ENAMETOOLONG : http_request_set_target(s->request, value, size);
}

/* :authority counts where there is one; a Host field has to say the same. */
static int take_host(struct stream *s, const char *value, size_t size)
{
	const char *host = http_request_host(s->request);

	if (!*host)
		return http_request_set_host(s->request, value, size);
	return strlen(host) == size && memcmp(host, value, size) == 0 ? 0 : -EBADMSG;
}

static int take_field(struct stream *s, const uint8_t *name, size_t name_size, const char *value,
		      size_t size)
{
	int r = 0;

	if (name_size > 0 && name[0] == ':')
		return take_pseudo(s, name, name_size, value, size);
	if (equals(name, name_size, "host"))
		r = take_host(s, value, size);
	return r < 0 ? r
		     : http_request_add_field(s->request, (const char *)name, name_size, value,
					      size);
}

static unsigned status_of(int error)
{
	switch (error) {
	case -E2BIG:
		return 431;
	case -ENAMETOOLONG:
		return 414;
	case -EPROTONOSUPPORT:
		return 501;
	case -ENOMEM:
		return 503;
	default:
		return 400;
	}
}

static const char *reason_of(unsigned status)
{
	switch (status) {
	case 431:
		return "the head is larger than 16384 bytes or has more than 64 fields";
	case 414:
		return "the request's target is longer than 8192 bytes";
	case 501:
		return "of CONNECT there is none but for the protocol websocket";
	case 503:
		return "there is no memory for the request";
	default:
		return "the Host field is not what :authority says";
	}
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
		     size_t name_size, const uint8_t *value, size_t size, uint8_t flags, void *user)
{
	struct stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	int r;

	/* A byte of a head may stand for a whole field that came before, so a few frames for hundreds of
	 * megabytes. What follows this is unpacked, but not looked at. */
	if (s && (s->unpacked += name_size + size + FIELD_OVERHEAD) > UNPACKED_MAX)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	/* Trailer fields are forgotten. */
	if (!s || frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST ||
	    !s->request || s->refused)
		return 0;
	r = take_field(s, name, name_size, (const char *)value, size);
	if (r < 0)
		s->refused = status_of(r);
	return 0;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct http2 *h = user;

	if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	if (h->going || h->over)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	if (stream_new(h, frame->hd.stream_id) < 0)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	update_wait(h, false);
	return 0;
}

/* The request is whole. */
static void complete(struct stream *s)
{
	body_ends(s);
	http_request_deliver_body(s->request);
}

/* The length that the client says, or 0. nghttp2 has checked that it is a number, and that it is true. */
static uint64_t said_length(const struct http_request *request)
{
	const char *field = http_request_field(request, "content-length");
	uint64_t length = 0;

	for (; field && *field >= '0' && *field <= '9' && length < UINT64_MAX / 20; field++)
		length = length * 10 + (uint64_t)(*field - '0');
	return length;
}

static void say_continue(struct stream *s)
{
	static nghttp2_nv status = {
		.name = (uint8_t *)":status", .value = (uint8_t *)"100", .namelen = 7, .valuelen = 3
	};
	const char *expect = http_request_field(s->request, "expect");

	if (expect && strcasecmp(expect, "100-continue") == 0)
		(void)nghttp2_submit_headers(s->h->session, NGHTTP2_FLAG_NONE, s->id, NULL, &status,
					     1, NULL);
}

static void await_body(struct stream *s)
{
	if (said_length(s->request) > s->request->body_max) {
		refuse(s, 413, "the body is larger than what is accepted here");
		return;
	}
	begin_body(s);
	say_continue(s);
}

static void on_head(struct stream *s)
{
	struct http2 *h = s->h;
	int r;

	head_ends(s);
	h->served = true;
	update_wait(h, false);
	if (!s->refused && strcmp(http_request_method(s->request), "CONNECT") == 0 &&
	    !s->is_socket_request)
		s->refused = 501;
	r = http_request_finish_head(s->request);
	if (r < 0 && !s->refused)
		s->refused = status_of(r);
	if (s->refused) {
		refuse(s, s->refused, reason_of(s->refused));
		return;
	}
	if (!http_request_deliver_head(s->request))
		return;
	if (s->remote_ended || s->is_socket_request)
		complete(s);
	else
		await_body(s);
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes,
		   size_t size, void *user)
{
	struct stream *s = nghttp2_session_get_stream_user_data(session, id);
	int r;

	if (!s)
		return 0;
	if (s->socket) {
		http_socket_receive(s->socket, bytes, size);
		(void)nghttp2_session_resume_data(session, id); /* a pong, or the end */
		return 0;
	}
	if (s->answered) {
		s->wasted = size < WASTED_MAX - s->wasted ? s->wasted + size : WASTED_MAX;
		if (s->in_body && s->wasted == WASTED_MAX)
			stop_sending(s);
		return 0;
	}
	if (!s->in_body)
		return 0;
	r = http_request_add_body(s->request, bytes, size);
	if (r == -EFBIG)
		refuse(s, 413, "the body is larger than what is accepted here");
	else if (r < 0)
		refuse(s, 503, "too many bodies are being sent at once");
	return 0;
}

/* The client has sent everything on a stream. */
static void on_remote_end(struct stream *s)
{
	if (s->remote_ended)
		return;
	s->remote_ended = true;
	if (s->socket)
		http_socket_drop(s->socket);
	else if (s->answered)
		body_ends(s);
	else if (s->in_body)
		complete(s);
}

/* What a frame costs that serves no request. */
static size_t cost_of(const nghttp2_frame *frame)
{
	switch (frame->hd.type) {
	case NGHTTP2_PING:
	case NGHTTP2_SETTINGS:
	case NGHTTP2_PRIORITY:
	case NGHTTP2_WINDOW_UPDATE:
	case NGHTTP2_RST_STREAM:
		return 1;
	case NGHTTP2_DATA:
		return frame->hd.length == 0 && !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM);
	default:
		return 0;
	}
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct http2 *h = user;
	struct stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);

	pay(h, cost_of(frame));
	if (!s || h->over || (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA))
		return 0;
	if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
		s->remote_ended = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
		on_head(s);
	} else if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) {
		on_remote_end(s);
	}
	return 0;
}

static int on_invalid_frame(nghttp2_session *session, const nghttp2_frame *frame, int error,
			    void *user)
{
	pay(user, CALM_RESET);
	return 0;
}

/*
 * An answer is out before its request is whole: the client may stop (RFC 9113 section 8.1). Some clients
 * take being told so for a failure, and forget the answer; so what may be under way already is let in.
 */
static int on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);

	if (!s || s->remote_ended || !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM) ||
	    (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA))
		return 0;
	if (s->answered && s->wasted < WASTED_MAX)
		begin_body(s);
	else
		reset(s, NGHTTP2_NO_ERROR);
	return 0;
}

static int on_stream_closed(nghttp2_session *session, int32_t id, uint32_t error, void *user)
{
	struct stream *s = nghttp2_session_get_stream_user_data(session, id);

	if (!s)
		return 0;
	/* Whoever of the two has reset it: a client can make us do it, too. */
	if (!s->answered && !s->socket)
		pay(s->h, CALM_RESET);
	(void)nghttp2_session_set_stream_user_data(session, id, NULL);
	stream_free(s);
	return 0;
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
		struct stream *s = container_of(node, struct stream, node);

		if (s->socket)
			http_socket_drop(s->socket);
		else if (!s->head_done || s->in_body)
			reset(s, NGHTTP2_CANCEL);
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

static bool has_rest(const struct stream *s)
{
	return s->answered && s->body_sent < s->body.size;
}

static void refuse_late_body(struct stream *s)
{
	if (s->answered) {
		stop_sending(s);
		return;
	}
	s->wasted = WASTED_MAX; /* its time is over */
	refuse(s, 408, "the body of the request did not come in time");
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
		struct stream *s = container_of(node, struct stream, node);

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
			reset(s, NGHTTP2_CANCEL);
			done = true;
		}
	}
	update_wait(h, moved);
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
		const struct stream *s = container_of(node, struct stream, node);

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
		struct stream *s = container_of(node, struct stream, node);

		if (s->in_body)
			refuse_late_body(s);
		else if (h->stalled && has_rest(s))
			reset(s, NGHTTP2_CANCEL);
		else
			continue;
		break;
	}
	update_wait(h, true);
}

static void http2_shut_down(struct http_engine *engine)
{
	struct http2 *h = http2_of(engine);

	go_away(h);
	list_foreach(node, &h->streams) {
		struct stream *s = container_of(node, struct stream, node);

		if (s->socket)
			http_socket_go_away(s->socket);
		else if (!s->head_done || s->in_body)
			reset(s, NGHTTP2_REFUSED_STREAM);
	}
}

static void http2_free(struct http_engine *engine)
{
	struct http2 *h = http2_of(engine);

	h->dead = true;
	while (!list_empty(&h->streams))
		stream_free(container_of(h->streams.next, struct stream, node));
	nghttp2_session_del(h->session);
	free(h);
}

/* --- sockets --- */

static bool http2_wants_socket(const struct http_request *request)
{
	const struct stream *s = request->stream;
	const char *version = http_request_field(request, "sec-websocket-version");

	return s->is_socket_request && !s->remote_ended && version && strcmp(version, "13") == 0;
}

/* nghttp2 wants the bytes of a socket. */
static ssize_t read_socket(nghttp2_session *session, int32_t id, uint8_t *to, size_t capacity,
			   uint32_t *flags, nghttp2_data_source *source, void *user)
{
	struct stream *s = source->ptr;
	size_t size = http_socket_pull(s->socket, to, capacity);

	earn(s->h, size);
	if (size > 0)
		return (ssize_t)size;
	if (!http_socket_is_over(s->socket))
		return NGHTTP2_ERR_DEFERRED;
	*flags |= NGHTTP2_DATA_FLAG_EOF;
	return 0;
}

static int http2_accept_socket(struct http_request *request, struct http_socket *socket)
{
	struct stream *s = request->stream;
	struct http2 *h = s->h;
	nghttp2_data_provider provider = { .source.ptr = s, .read_callback = read_socket };
	struct answer_head head = { 0 };

	add_field(&head, ":status", "200");
	add_field(&head, "date", h->engine.host->date(h->engine.host));
	s->request = NULL;
	(void)http_request_free(request);
	h->engine.host->wake(h->engine.host);
	if (h->going ||
	    nghttp2_submit_response(h->session, s->id, head.fields, head.count, &provider) != 0) {
		reset(s, NGHTTP2_REFUSED_STREAM);
		return h->going ? -ECANCELED : -ENOMEM;
	}
	s->socket = socket;
	http_socket_attach(socket, &h->engine, s);
	update_wait(h, false);
	return 0;
}

static void http2_socket_ready(struct http_engine *engine, void *stream)
{
	struct http2 *h = http2_of(engine);
	struct stream *s = stream;

	if (h->dead)
		return;
	(void)nghttp2_session_resume_data(h->session, s->id);
	engine->host->wake(engine->host);
}

/* --- its life --- */

static int make_callbacks(nghttp2_session_callbacks **ret)
{
	nghttp2_session_callbacks *callbacks;

	if (nghttp2_session_callbacks_new(&callbacks) != 0)
		return -ENOMEM;
	nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
	nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, on_invalid_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
	nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_sent);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_closed);
	*ret = callbacks;
	return 0;
}

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
	int r = make_callbacks(&callbacks);

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
