/* What goes out on the streams of a session: answers, refusals, and what sockets say. */
#include "http/http2_internal.h"

#include <stdio.h>
#include <string.h>

#define ANSWER_FIELDS_MAX 64
#define FIELD_NAME_MAX 64

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
	struct http2_stream *s = source->ptr;
	size_t part = s->body.size - s->body_sent;

	if (part > capacity)
		part = capacity;
	if (part > 0)
		memcpy(to, s->body.bytes + s->body_sent, part);
	s->body_sent += part;
	s->moved += part;
	http2_earn(s->h, part);
	if (s->body_sent == s->body.size)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)part;
}

/* Submits the head, and the body that is taken. Returns 0 or a negative errno. */
static int submit(struct http2_stream *s, const struct http_answer *answer, bool has_body)
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

static void queue_answer(struct http2_stream *s, const struct http_answer *answer, bool is_head)
{
	bool has_body = !is_head && http_status_has_body(answer->status);
	struct http_answer without = *answer;

	s->answered = true;
	http2_end_body(s);
	if (!has_body && answer->release)
		answer->release(answer->release_context);
	if (!has_body) {
		without.body_size = 0;
		without.release = NULL;
	}
	if (http_body_take(&s->body, &without, s->h->engine.host) < 0 ||
	    submit(s, answer, has_body) < 0) {
		http2_reset(s, NGHTTP2_INTERNAL_ERROR);
		return;
	}
	if (answer->close)
		http2_go_away(s->h);
}

void http2_refuse(struct http2_stream *s, unsigned status, const char *reason)
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

void http2_answer(struct http_request *request, const struct http_answer *answer)
{
	struct http2_stream *s = request->stream;
	struct http2 *h = s->h;

	s->request = NULL;
	queue_answer(s, answer, request->is_head);
	(void)http_request_free(request); /* the answer may be made of it */
	h->engine.host->wake(h->engine.host);
}

/* --- sockets --- */

bool http2_wants_socket(const struct http_request *request)
{
	const struct http2_stream *s = request->stream;
	const char *version = http_request_field(request, "sec-websocket-version");

	return s->is_socket_request && !s->remote_ended && version && strcmp(version, "13") == 0;
}

/* nghttp2 wants the bytes of a socket. */
static ssize_t read_socket(nghttp2_session *session, int32_t id, uint8_t *to, size_t capacity,
			   uint32_t *flags, nghttp2_data_source *source, void *user)
{
	struct http2_stream *s = source->ptr;
	size_t size = http_socket_pull(s->socket, to, capacity);

	http2_earn(s->h, size);
	if (size > 0)
		return (ssize_t)size;
	if (!http_socket_is_over(s->socket))
		return NGHTTP2_ERR_DEFERRED;
	*flags |= NGHTTP2_DATA_FLAG_EOF;
	return 0;
}

int http2_accept_socket(struct http_request *request, struct http_socket *socket)
{
	struct http2_stream *s = request->stream;
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
		http2_reset(s, NGHTTP2_REFUSED_STREAM);
		return h->going ? -ECANCELED : -ENOMEM;
	}
	s->socket = socket;
	http_socket_attach(socket, &h->engine, s);
	http2_update_wait(h, false);
	return 0;
}
