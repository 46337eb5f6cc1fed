/*
 * HTTP/2 engine, RFC 9113, on nghttp2; inside this folder only
 *
 * At most HTTP_STREAMS_MAX streams at once; SETTINGS_ENABLE_CONNECT_PROTOCOL is on (RFC 8441). A client
 * that resets streams or sends control frames faster than they are of use is told ENHANCE_YOUR_CALM.
 * An answer for which the client opens no window, or one of less than HTTP_PROGRESS_MIN, waits
 * HTTP_BODY_TIMEOUT_S. Owned by its connection.
 */
#pragma once

#include "http/engine.h"

/* What a client that knows beforehand begins with; the engine gets it, too. */
#define HTTP2_PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

/* Creates an engine; its SETTINGS are ready to be pulled. Returns 0 or -ENOMEM. */
int http2_engine_new(struct http_host *host, struct http_engine **ret);
