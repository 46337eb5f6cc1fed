/* What frames of a client make of its streams: heads, bodies, ends. */
#include "http/http2_internal.h"

#include <string.h>

#define TARGET_MAX 8192 /* bytes of :path, as for HTTP/1.1 */
/* Bytes of the fields of a stream; behind HTTP_HEAD_MAX it is refused, behind this one reset. */
#define UNPACKED_MAX (4U * HTTP_HEAD_MAX)
#define FIELD_OVERHEAD 32 /* bytes that a field counts besides its own: RFC 9113 section 6.5.2 */

static bool equals(const uint8_t *name, size_t size, const char *what)
{
	return size == strlen(what) && memcmp(name, what, size) == 0;
}

/* Takes one of the fields that begin with a colon. nghttp2 has checked that each is there once. */
static int take_pseudo(struct http2_stream *s, const uint8_t *name, size_t name_size,
		       const char *value, size_t size)
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
static int take_host(struct http2_stream *s, const char *value, size_t size)
{
	const char *host = http_request_host(s->request);

	if (!*host)
		return http_request_set_host(s->request, value, size);
	return strlen(host) == size && memcmp(host, value, size) == 0 ? 0 : -EBADMSG;
}

static int take_field(struct http2_stream *s, const uint8_t *name, size_t name_size,
		      const char *value, size_t size)
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
	struct http2_stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
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
	if (http2_stream_new(h, frame->hd.stream_id) < 0)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	http2_update_wait(h, false);
	return 0;
}

/* The request is whole. */
static void complete(struct http2_stream *s)
{
	http2_end_body(s);
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

static void say_continue(struct http2_stream *s)
{
	static nghttp2_nv status = {
		.name = (uint8_t *)":status", .value = (uint8_t *)"100", .namelen = 7, .valuelen = 3
	};
	const char *expect = http_request_field(s->request, "expect");

	if (expect && strcasecmp(expect, "100-continue") == 0)
		(void)nghttp2_submit_headers(s->h->session, NGHTTP2_FLAG_NONE, s->id, NULL, &status,
					     1, NULL);
}

static void await_body(struct http2_stream *s)
{
	if (said_length(s->request) > s->request->body_max) {
		http2_refuse(s, 413, "the body is larger than what is accepted here");
		return;
	}
	http2_begin_body(s);
	say_continue(s);
}

static void on_head(struct http2_stream *s)
{
	struct http2 *h = s->h;
	int r;

	http2_end_head(s);
	h->served = true;
	http2_update_wait(h, false);
	if (!s->refused && strcmp(http_request_method(s->request), "CONNECT") == 0 &&
	    !s->is_socket_request)
		s->refused = 501;
	r = http_request_finish_head(s->request);
	if (r < 0 && !s->refused)
		s->refused = status_of(r);
	if (s->refused) {
		http2_refuse(s, s->refused, reason_of(s->refused));
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
	struct http2_stream *s = nghttp2_session_get_stream_user_data(session, id);
	int r;

	if (!s)
		return 0;
	if (s->socket) {
		http_socket_receive(s->socket, bytes, size);
		(void)nghttp2_session_resume_data(session, id); /* a pong, or the end */
		return 0;
	}
	if (s->answered) {
		s->wasted = size < HTTP2_WASTED_MAX - s->wasted ? s->wasted + size
								: HTTP2_WASTED_MAX;
		if (s->in_body && s->wasted == HTTP2_WASTED_MAX)
			http2_stop_sending(s);
		return 0;
	}
	if (!s->in_body)
		return 0;
	r = http_request_add_body(s->request, bytes, size);
	if (r == -EFBIG)
		http2_refuse(s, 413, "the body is larger than what is accepted here");
	else if (r < 0)
		http2_refuse(s, 503, "too many bodies are being sent at once");
	return 0;
}

/* The client has sent everything on a stream. */
static void on_remote_end(struct http2_stream *s)
{
	if (s->remote_ended)
		return;
	s->remote_ended = true;
	if (s->socket)
		http_socket_drop(s->socket);
	else if (s->answered)
		http2_end_body(s);
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
	struct http2_stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);

	http2_pay(h, cost_of(frame));
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
	http2_pay(user, HTTP2_CALM_RESET);
	return 0;
}

/*
 * An answer is out before its request is whole: the client may stop (RFC 9113 section 8.1). Some clients
 * take being told so for a failure, and forget the answer; so what may be under way already is let in.
 */
static int on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct http2_stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);

	if (!s || s->remote_ended || !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM) ||
	    (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA))
		return 0;
	if (s->answered && s->wasted < HTTP2_WASTED_MAX)
		http2_begin_body(s);
	else
		http2_reset(s, NGHTTP2_NO_ERROR);
	return 0;
}

static int on_stream_closed(nghttp2_session *session, int32_t id, uint32_t error, void *user)
{
	struct http2_stream *s = nghttp2_session_get_stream_user_data(session, id);

	if (!s)
		return 0;
	/* Whoever of the two has reset it: a client can make us do it, too. */
	if (!s->answered && !s->socket)
		http2_pay(s->h, HTTP2_CALM_RESET);
	(void)nghttp2_session_set_stream_user_data(session, id, NULL);
	http2_stream_free(s);
	return 0;
}

int http2_make_callbacks(nghttp2_session_callbacks **ret)
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
