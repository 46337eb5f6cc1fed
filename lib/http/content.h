/*
 * Which form and which part of a file a request gets
 *
 * Content negotiation by Accept-Encoding (RFC 9110 section 12.5.3), conditional requests by
 * If-None-Match (section 13.1.2) and single ranges of bytes (section 14). Pure; fields are trusted for
 * nothing.
 *
 * brotli is preferred to gzip, gzip to the plain form, whatever weights a client gives them but 0. A
 * compressed form goes with the ETag marked weak, since the tag is that of the plain contents. Ranges are
 * of the plain form only.
 */
#pragma once

#include "http/files.h"

/* Fields of a request, NULL where they are missing. */
struct http_wish {
	const char *accept_encoding;
	const char *if_none_match;
	const char *range; /* NULL, too, where the method is not GET */
	const char *if_range;
};

struct http_content {
	unsigned status; /* 200, 206, 304, 406 (no form is acceptable), 416 */
	const char *encoding; /* "br", "gzip" or NULL */
	const unsigned char *bytes; /* of 200 and 206 */
	size_t size;
	size_t first; /* of 206: the place of the first byte */
	size_t whole; /* of 206 and 416: bytes of the whole plain form */
};

void http_content_choose(const struct http_file *file, const struct http_wish *wish,
			 struct http_content *ret);

/* The row of a path, or NULL. */
const struct http_file *http_file_find(const struct http_files *files, const char *path);
