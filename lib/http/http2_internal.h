/*
 * A session of HTTP/2 and its streams; inside http2*.c only
 *
 * The session (http2.c) is owned by its connection and owns its streams; requests (http2_request.c) are what
 * frames make of streams, answers and sockets (http2_answer.c) what goes out on them. What a client may have is
 * bounded by HTTP_STREAMS_MAX streams, and what it does in vain by a bucket of tokens.
 */
#pragma once

#include <nghttp2/nghttp2.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "http/http2.h"
#include "http/request.h"
#include "http/socket.h"

#define HTTP2_WASTED_MAX                                                                           \
	65536U /* bytes that come after an answer, before the client is told to stop */
#define HTTP2_CALM_RESET 10 /* what a stream costs that ends before its answer */

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

struct http2_stream {
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

/* --- the session, http2.c --- */

/* Tells the host what the client owes now. @anew: something moved, so that what is still owed has its whole time
 * again. */
void http2_update_wait(struct http2 *h, bool anew);

/* The client may do so much in vain: takes @tokens, and ends the session where there are none left. */
void http2_pay(struct http2 *h, size_t tokens);

/* The client takes bytes, which brings tokens. */
void http2_earn(struct http2 *h, size_t bytes);

/* Takes no more requests; those that run are answered. */
void http2_go_away(struct http2 *h);

/* --- a stream, http2.c --- */

/* Adds a stream whose head begins. Returns 0 or -ENOMEM. */
int http2_stream_new(struct http2 *h, int32_t id);

/* Of one that nghttp2 has closed, or will not hear of again. */
void http2_stream_free(struct http2_stream *s);

/* The head is whole, or will never be. */
void http2_end_head(struct http2_stream *s);

/* Its body is awaited from now on; is not any more. */
void http2_begin_body(struct http2_stream *s);
void http2_end_body(struct http2_stream *s);

/* Ends it with RST_STREAM and a code of nghttp2. */
void http2_reset(struct http2_stream *s, uint32_t error);

/* What the client still sends is of no use. */
void http2_stop_sending(struct http2_stream *s);

/* --- requests, http2_request.c --- */

/* What nghttp2 calls. Returns 0, or -ENOMEM. */
int http2_make_callbacks(nghttp2_session_callbacks **ret);

/* --- answers, http2_answer.c --- */

/* Refuses what a stream does; the others go on. @reason: a literal. */
void http2_refuse(struct http2_stream *s, unsigned status, const char *reason);

/* As in engine.h. */
void http2_answer(struct http_request *request, const struct http_answer *answer);
bool http2_wants_socket(const struct http_request *request);
int http2_accept_socket(struct http_request *request, struct http_socket *socket);
