/*
 * A request as every engine makes it; inside this folder only
 *
 * One block of text holds method, target, host and fields, at most HTTP_HEAD_MAX bytes and
 * HTTP_FIELDS_MAX fields. The body grows as its bytes come, up to what the `head` handler wanted and
 * what is left of the server's budget. Its engine owns a request until it was answered.
 *
 *	http_request_new(engine, stream, &request);
 *	http_request_set_method() ... http_request_add_field() ...	(-E2BIG: 431)
 *	http_request_finish_head(request);
 *	if (!http_request_deliver_head(request)) return;	(answered; the request is no more)
 *	http_request_add_body() ...				(-EFBIG: 413, -ENOBUFS: 503)
 *	http_request_deliver_body(request);			(may be answered, now or later)
 */
#pragma once

#include "http/engine.h"

struct http_request_field {
	uint16_t name; /* places in the text */
	uint16_t value;
};

struct http_request {
	struct http_engine *engine;
	void *stream; /* the engine's own */
	void *data; /* the user's own */
	bool *answered; /* set while a handler runs: where to note that the request is no more */
	char *text;
	uint32_t text_size;
	uint32_t text_capacity;
	uint16_t method; /* places in the text; 0 is the empty string */
	uint16_t path;
	uint16_t query;
	uint16_t host;
	uint16_t field_count;
	bool delivered; /* the handlers know of it */
	bool is_head; /* the answer goes without its body */
	struct http_request_field fields[HTTP_FIELDS_MAX];
	unsigned char *body;
	size_t body_size;
	size_t body_capacity; /* counted in the budget */
	size_t body_max; /* as the `head` handler wants */
};

/* Creates an empty request. Returns 0 or -ENOMEM. */
int http_request_new(struct http_engine *engine, void *stream, struct http_request **ret);

/* Releases it; the `gone` handler is called where the user has it still. NULL is fine. Returns NULL. */
struct http_request *http_request_free(struct http_request *request);

/* These copy. Return 0, -E2BIG (HTTP_HEAD_MAX, HTTP_FIELDS_MAX), -ENOMEM. The target is split at its
 * "?"; nothing is checked but sizes: the engine has done that. Later ones replace earlier ones. */
int http_request_set_method(struct http_request *request, const char *method, size_t size);
int http_request_set_target(struct http_request *request, const char *target, size_t size);
int http_request_set_path_root(struct http_request *request); /* "/" */
int http_request_set_host(struct http_request *request, const char *host, size_t size);

/* Adds a field; upper case becomes lower. */
int http_request_add_field(struct http_request *request, const char *name, size_t name_size,
			   const char *value, size_t value_size);

/* Joins the fields of one name, with ", " or, for cookies, "; ". Returns 0, -E2BIG, -ENOMEM. */
int http_request_finish_head(struct http_request *request);

/* Calls the `head` handler and keeps the limit that it gives. Returns whether the request still
 * lives; false: it was answered. */
bool http_request_deliver_head(struct http_request *request);

/* Appends to the body. Returns 0, -EFBIG: more than is wanted, -ENOBUFS: no budget is left, -ENOMEM. */
int http_request_add_body(struct http_request *request, const void *bytes, size_t size);

/* Calls the `complete` handler. The request may be no more afterwards. */
void http_request_deliver_body(struct http_request *request);

/* The bytes of an answer: borrowed with a release, or a copy. */
struct http_body {
	const unsigned char *bytes;
	size_t size;
	void (*release)(void *context); /* NULL: the bytes are freed */
	void *release_context;
	struct http_host *host; /* where they are counted; NULL: they are not */
};

/* Takes the body of an answer; on failure it was released. Returns 0 or -ENOMEM. */
int http_body_take(struct http_body *body, const struct http_answer *answer,
		   struct http_host *host);

/* Releases it; what is zeroed is fine. */
void http_body_done(struct http_body *body);

/* Whether an answer of this status has a body, and a Content-Length (not 1xx, 204, 304). */
bool http_status_has_body(unsigned status);

#define HTTP_REFUSAL_MAX 512

/* Writes the body of a refusal, in the form of a JSON-RPC error, and returns its size. @reason: a
 * text of ours, without anything to escape. */
size_t http_refusal(const char *reason, char to[HTTP_REFUSAL_MAX]);

/* The standard phrase of a status. */
const char *http_status_phrase(unsigned status);
