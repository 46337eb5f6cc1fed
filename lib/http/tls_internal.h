/*
 * What connections need of the TLS side; inside this folder only
 */
#pragma once

#include <openssl/ssl.h>
#include <stdbool.h>

#include "http/tls.h"

struct http_tls *http_tls_ref(struct http_tls *tls);

/*
 * Begins a handshake on a connected socket, with the certificate that is set now. @hello: set once the
 * client's first message came; outlives the SSL. Returns 0 or -ENOMEM.
 */
int http_tls_accept(struct http_tls *tls, int fd, bool *hello, SSL **ret);

/* Whether the client and we chose HTTP/2. */
bool http_tls_is_http2(const SSL *ssl);
