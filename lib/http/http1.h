/*
 * HTTP/1.1 engine, RFC 9112; inside this folder only
 *
 * A strict parser of our own: what is not clearly one request and one only is refused with 400, and
 * the connection ends. One request at a time; those that came early wait in a buffer of at most
 * HTTP1_AHEAD_MAX bytes and are answered in order. HTTP/1.0 is spoken, too. Owned by its connection.
 */
#pragma once

#include "http/engine.h"

#define HTTP1_AHEAD_MAX 32768 /* bytes that came early; beyond, reading stops */
#define HTTP1_TARGET_MAX 8192 /* bytes of a request's target; a longer one gets 414 */

/* Creates an engine. @redirect: each request is answered with 307 to the same host and target by
 * https, or 400 where it names no host. Returns 0 or -ENOMEM. */
int http1_engine_new(struct http_host *host, bool redirect, struct http_engine **ret);
