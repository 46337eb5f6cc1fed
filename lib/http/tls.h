/*
 * The TLS side of a server's listeners
 *
 * TLS 1.2 and 1.3 with one certificate, which may be replaced at any time: handshakes from then on get
 * the new one. Of the protocols that a client offers by ALPN, h2 is chosen before http/1.1. Without a
 * certificate a handshake ends with the alert unrecognized_name. A session is resumed by ticket only, only
 * under the certificate that it began with, and for a few hours. Connections and listeners hold what
 * they need of it, so its user may free it at any time.
 */
#pragma once

#include "base/cleanup.h"
#include "base/fault.h"

struct http_tls;

/* Creates one without a certificate. Returns 0 or -ENOMEM. */
int http_tls_new(struct http_tls **ret);

/* Gives it up. NULL is fine. Returns NULL. */
struct http_tls *http_tls_free(struct http_tls *tls);
DEFINE_CLEANUP(struct http_tls *, http_tls_free);

/*
 * Sets the certificate of handshakes to come. Both texts are copied as far as they are needed.
 * @key: PKCS#8 or traditional PEM, without passphrase. @chain: PEM certificates, leaf first, at most 8;
 * self-signed ones behind the leaf are not sent. NULL for both: none.
 * Returns 0, or a negative errno with a fault (-ENOMEM: without); the old certificate stays then.
 */
int http_tls_set_certificate(struct http_tls *tls, const char *key, const char *chain,
			     struct fault *fault);
