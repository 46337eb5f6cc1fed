/*
 * What we make of the fields of an HTTP request's head
 *
 * Pure functions over text that the HTTP library has cut out of the head. Nothing is trusted: the
 * texts may hold any byte but NUL.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whether the path, without its query, is /rpc/<anything>. */
bool http_path_is_rpc(const char *path);

/*
 * Finds the first cookie of a name in a Cookie field (RFC 6265 section 5.4, lax about spaces and
 * quotes around the value). Returns the start of its value with the size in @ret_size, or NULL.
 */
const char *http_cookie_find(const char *field, const char *name, size_t *ret_size);

/*
 * Whether a Host field names an IP address or localhost, with or without a port. Any other name may
 * have been made to point here by the owner of a web page (DNS rebinding).
 */
bool http_host_is_literal(const char *field);

/*
 * Whether an Origin field names the very host and port of the Host field: "http://<host>" or
 * "https://<host>". Only then do a request's cookies speak for its sender.
 */
bool http_origin_is_host(const char *origin, const char *host);

/* Parses a Content-Length field: digits only, at most 18 of them. Returns 0 or -EINVAL. */
int http_length_parse(const char *field, uint64_t *ret);
