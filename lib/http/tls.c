/*
 * Each certificate has an SSL_CTX of its own, and a handshake takes the one that is current when the
 * client's first byte comes. Connections hold their context, so replacing it disturbs none; session
 * tickets of the old one are no longer accepted, and the client proves nothing with them: it makes
 * a full handshake. So it does where the keys of tickets have been replaced since, which happens at a
 * handshake, so that no timer runs: who takes the keys of the running daemon reads no connection that was
 * resumed before.
 */
#include "http/tls_internal.h"

#include <assert.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "base/clock.h"
#include "base/secret.h"

#define CHAIN_MAX 8 /* certificates */
#define TICKET_KEYS_SIZE 80 /* what OpenSSL takes: a name, a key of HMAC, one of AES */

struct http_tls {
	unsigned references;
	SSL_CTX *context;
	uint64_t ticket_keys_ns; /* since when the keys of its session tickets are used */
};

/* In the server's order. HTTP/2 first: it carries all calls of a page on one connection, and a client
 * that cannot do WebSocket over it opens a connection for that by itself. */
static const unsigned char protocols[] = "\2h2\10http/1.1";

static int on_protocols(SSL *ssl, const unsigned char **ret, unsigned char *ret_size,
			const unsigned char *offered, unsigned size, void *arg)
{
	unsigned char *chosen;
	int r = SSL_select_next_proto(&chosen, ret_size, protocols, sizeof(protocols) - 1, offered,
				      size);

	if (r != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*ret = chosen;
	return SSL_TLSEXT_ERR_OK;
}

static int on_hello(SSL *ssl, int *alert, void *arg)
{
	bool *hello = SSL_get_app_data(ssl);

	*hello = true;
	if (SSL_get_certificate(ssl))
		return SSL_CLIENT_HELLO_SUCCESS;
	*alert = SSL_AD_UNRECOGNIZED_NAME;
	return SSL_CLIENT_HELLO_ERROR;
}

static SSL_CTX *context_new(void)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());

	if (!context)
		return NULL;
	(void)SSL_CTX_set_options(
		context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
				 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA |
				 SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_CLEANSE_PLAINTEXT);
	(void)SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
						SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_read_ahead(context, 1); /* one system call for each record */
	(void)SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF); /* tickets instead */
	(void)SSL_CTX_set_num_tickets(context, 1);
	SSL_CTX_set_client_hello_cb(context, on_hello, NULL);
	SSL_CTX_set_alpn_select_cb(context, on_protocols, NULL);
	if (!SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) ||
	    !SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) ||
	    !SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20") ||
	    !SSL_CTX_set1_groups_list(context, "X25519:P-256:P-384") ||
	    !SSL_CTX_set_session_id_context(context, (const unsigned char *)"http", 4)) {
		SSL_CTX_free(context);
		return NULL;
	}
	return context;
}

int http_tls_new(struct http_tls **ret)
{
	struct http_tls *tls = calloc(1, sizeof(*tls));

	if (!tls)
		return -ENOMEM;
	tls->references = 1;
	tls->ticket_keys_ns = clock_monotonic_ns();
	tls->context = context_new();
	if (!tls->context) {
		ERR_clear_error();
		free(tls);
		return -ENOMEM;
	}
	*ret = tls;
	return 0;
}

struct http_tls *http_tls_ref(struct http_tls *tls)
{
	tls->references++;
	return tls;
}

struct http_tls *http_tls_free(struct http_tls *tls)
{
	if (!tls || --tls->references > 0)
		return NULL;
	SSL_CTX_free(tls->context);
	free(tls);
	return NULL;
}

/* --- certificates --- */

/* Says what OpenSSL found wrong. */
static int refuse(struct fault *fault, const char *what)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());

	ERR_clear_error();
	return fault_set(fault, FAULT_OPENSSL, "%s%s%s", what, reason ? ": " : "",
			 reason ? reason : "");
}

/* A key with a passphrase is not asked about on a terminal that nobody sees. */
static int no_passphrase(char *to, int size, int writing, void *arg)
{
	return -1;
}

static int use_key(SSL_CTX *context, const char *text, struct fault *fault)
{
	BIO *bio = BIO_new_mem_buf(text, -1);
	EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;
	bool used = key && SSL_CTX_use_PrivateKey(context, key) == 1;

	BIO_free(bio);
	EVP_PKEY_free(key);
	if (!key)
		return refuse(fault, "the private key cannot be read");
	return used ? 0 : refuse(fault, "the private key does not fit the certificate");
}

static bool is_self_signed(X509 *certificate)
{
	return X509_self_signed(certificate, 0) == 1;
}

/* Takes the certificates of the chain that a client needs: all but a root at its end. */
static int use_chain(SSL_CTX *context, const char *text, struct fault *fault)
{
	BIO *bio = BIO_new_mem_buf(text, -1);
	X509 *certificate;
	unsigned count = 0;
	bool used = bio != NULL;

	while (used && (certificate = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL))) {
		if (count == 0)
			used = SSL_CTX_use_certificate(context, certificate) == 1;
		else if (!is_self_signed(certificate))
			used = SSL_CTX_add1_chain_cert(context, certificate) == 1;
		X509_free(certificate);
		used = used && ++count <= CHAIN_MAX;
	}
	BIO_free(bio);
	if (!used)
		return refuse(fault, "the certificate cannot be used");
	if (count == 0 || ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
		return refuse(fault, "the certificate chain cannot be read");
	ERR_clear_error(); /* the end of the text */
	return 0;
}

int http_tls_set_certificate(struct http_tls *tls, const char *key, const char *chain,
			     struct fault *fault)
{
	SSL_CTX *context = context_new();
	int r = 0;

	if (!context) {
		ERR_clear_error();
		return -ENOMEM;
	}
	ERR_clear_error();
	if (chain)
		r = use_chain(context, chain, fault);
	if (chain && r == 0)
		r = use_key(context, key, fault);
	if (r < 0) {
		SSL_CTX_free(context);
		return r;
	}
	SSL_CTX_free(tls->context);
	tls->context = context;
	tls->ticket_keys_ns = clock_monotonic_ns(); /* the context has made its own */
	return 0;
}

/* --- handshakes --- */

void http_tls_renew_ticket_keys(struct http_tls *tls, uint64_t now_ns)
{
	unsigned char keys[TICKET_KEYS_SIZE];

	if (now_ns - tls->ticket_keys_ns < HTTP_TICKET_KEYS_S * NS_PER_S)
		return;
	random_bytes(keys, sizeof(keys));
	if (SSL_CTX_set_tlsext_ticket_keys(tls->context, keys, sizeof(keys)))
		tls->ticket_keys_ns = now_ns;
	ERR_clear_error();
	secret_wipe(keys, sizeof(keys));
}

int http_tls_accept(struct http_tls *tls, int fd, bool *hello, SSL **ret)
{
	SSL *ssl;

	http_tls_renew_ticket_keys(tls, clock_monotonic_ns());
	ssl = SSL_new(tls->context);
	if (!ssl || !SSL_set_fd(ssl, fd) || !SSL_set_app_data(ssl, hello)) {
		ERR_clear_error();
		SSL_free(ssl);
		return -ENOMEM;
	}
	SSL_set_accept_state(ssl);
	*ret = ssl;
	return 0;
}

bool http_tls_is_http2(const SSL *ssl)
{
	const unsigned char *name;
	unsigned size;

	SSL_get0_alpn_selected(ssl, &name, &size);
	return size == 2 && memcmp(name, "h2", 2) == 0;
}
