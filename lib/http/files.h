/*
 * Files that a program carries in itself, such as the pages of its web interface
 *
 * Made at build time: one row for each file, with its compressed forms. Constant data.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct http_blob {
	const unsigned char *bytes; /* NULL: there is no such form */
	size_t size;
};

struct http_file {
	const char *path; /* "/assets/index-3f2a.js" */
	const char *type; /* "text/javascript; charset=utf-8" */
	const char *etag; /* with its quotes; of the uncompressed contents */
	bool immutable; /* its name changes with its contents: may be cached for ever */
	struct http_blob plain;
	struct http_blob gzip;
	struct http_blob brotli;
};

/* The table of files; ends with a NULL path. "/index.html" is also what unknown pages get. */
struct http_files {
	const struct http_file *files;
};
