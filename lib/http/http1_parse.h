/*
 * The head of an HTTP/1.1 request, RFC 9112; inside this folder only
 *
 * A pure function from the bytes of a head to a request, and the same for the lines of a chunked body.
 * Strict: what two readers could understand differently is refused.
 */
#pragma once

#include "http/request.h"

/* What the head says about the message and the connection. */
struct http1_head {
	bool chunked;
	bool has_length;
	bool close; /* the connection ends after the answer */
	bool keep_alive; /* HTTP/1.0: the client asked for it, and wants to be told */
	bool expects_continue;
	bool upgrades; /* Connection has "upgrade" */
	bool is_1_0;
	uint64_t length;
};

/* Why a head is refused. */
struct http1_refusal {
	unsigned status;
	const char *reason;
};

/*
 * Fills in @request and @ret from a head, with the empty line that ends it. Every line ends in CR LF:
 * the caller has seen to it. Returns 0, -EBADMSG: @refusal says why, -ENOMEM.
 */
int http1_parse_head(const char *text, size_t size, struct http_request *request,
		     struct http1_head *ret, struct http1_refusal *refusal);

/* Parses the line before a chunk, without its CR LF; extensions are passed over. Returns 0, -EBADMSG. */
int http1_parse_chunk_size(const char *line, size_t size, uint64_t *ret);

/* Whether the line, without its CR LF, is a field. */
bool http1_is_field(const char *line, size_t size);

/* Whether a comma-separated list has a token, in any case. */
bool http1_list_has(const char *list, const char *token);
