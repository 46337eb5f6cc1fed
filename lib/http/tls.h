/*
 * The TLS side of a server's listeners
 *
 * TLS 1.2 and 1.3 with one certificate, which may be replaced at any time: handshakes from then on get
 * the new one. ALPN offers http/1.1 and h2, in the server's order. Without a certificate a handshake
 * ends with the alert unrecognized_name. Reference counted by its users' lifetime rules: it outlives
 * the listeners and connections that were made with it.
 */
#pragma once

#include "base/cleanup.h"
#include "base/fault.h"

struct http_tls;

/* Returns 0 or -ENOMEM. */
int http_tls_new(struct http_tls **ret);

/* Releases it once its last connection has ended. NULL is fine. Returns NULL. */
struct http_tls *http_tls_free(struct http_tls *tls);
DEFINE_CLEANUP(struct http_tls *, http_tls_free);

/*
 * Sets the certificate of handshakes to come. Both texts are copied as far as they are needed.
 * @key: PKCS#8 or traditional PEM. @chain: PEM certificates, leaf first; the last one, where it is
 * self-signed, is not sent. NULL for both: none.
 * Returns 0, or a negative errno with a fault; the old certificate stays then.
 */
int http_tls_set_certificate(struct http_tls *tls, const char *key, const char *chain,
			     struct fault *fault);
