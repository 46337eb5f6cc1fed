/*
 * What connections need of the TLS side; inside this folder only
 */
#pragma once

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

#include "http/tls.h"

struct http_tls *http_tls_ref(struct http_tls *tls);

/*
 * Begins a handshake on a connected socket, with the certificate that is set now. @hello: set once the
 * client's first message came; outlives the SSL. Returns 0 or -ENOMEM.
 */
int http_tls_accept(struct http_tls *tls, int fd, bool *hello, SSL **ret);

#define HTTP_TICKET_KEYS_S 14400 /* in which session tickets are encrypted with the same keys */

/* Replaces the keys of session tickets where their time is up; http_tls_accept() does it, too. Tickets
 * of before are no longer accepted. @now_ns: of the monotonic clock. */
void http_tls_renew_ticket_keys(struct http_tls *tls, uint64_t now_ns);

/* Whether the client and we chose HTTP/2. */
bool http_tls_is_http2(const SSL *ssl);
