/* OpenSSL's client, and clients that forgot TLS, talk to a TLS listener. */
#include "base/clock.h"
#include "http/http2.h"
#include "http/test_server.h"
#include "http/tls_internal.h"

#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

struct pair {
	char *key;
	char *chain;
};

static char *take_text(BIO *bio)
{
	char *bytes;
	long size = BIO_get_mem_data(bio, &bytes);
	char *text = strndup(bytes, (size_t)size);

	assert_non_null(text);
	BIO_free(bio);
	return text;
}

/* A key and a certificate of its own for a name. */
static struct pair pair_new(const char *name)
{
	struct pair pair;
	BIO *key_bio = BIO_new(BIO_s_mem());
	BIO *chain_bio = BIO_new(BIO_s_mem());
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *certificate = X509_new();
	X509_NAME *subject = X509_get_subject_name(certificate);

	assert_non_null(key);
	assert_true(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
					       (const unsigned char *)name, -1, -1, 0));
	assert_true(X509_set_issuer_name(certificate, subject));
	assert_true(X509_set_version(certificate, X509_VERSION_3));
	assert_true(ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1));
	assert_non_null(X509_gmtime_adj(X509_getm_notBefore(certificate), -60));
	assert_non_null(X509_gmtime_adj(X509_getm_notAfter(certificate), 86400));
	assert_true(X509_set_pubkey(certificate, key));
	assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
	assert_true(PEM_write_bio_PrivateKey(key_bio, key, NULL, NULL, 0, NULL, NULL));
	assert_true(PEM_write_bio_X509(chain_bio, certificate));
	X509_free(certificate);
	EVP_PKEY_free(key);
	pair.key = take_text(key_bio);
	pair.chain = take_text(chain_bio);
	return pair;
}

static void pair_done(struct pair *pair)
{
	free(pair->key);
	free(pair->chain);
}

static void set_pair(struct http_tls *tls, const char *name)
{
	CLEANUP(fault_done) struct fault fault = { 0 };
	struct pair pair = pair_new(name);

	assert_int_equal(http_tls_set_certificate(tls, pair.key, pair.chain, &fault), 0);
	pair_done(&pair);
}

static int start(void **state, bool with_certificate, const struct http_server_options *options)
{
	struct http_tls *tls;

	assert_int_equal(http_tls_new(&tls), 0);
	if (with_certificate)
		set_pair(tls, "first");
	*state = server_start(options, tls);
	return 0;
}

static int setup(void **state)
{
	return start(state, true, NULL);
}

static int setup_without(void **state)
{
	return start(state, false, NULL);
}

static int setup_hasty(void **state)
{
	static const unsigned timeouts_ms[HTTP_TIMEOUT_COUNT] = {
		[HTTP_TIMEOUT_HELLO] = 500,
		[HTTP_TIMEOUT_HANDSHAKE] = 500,
	};

	return start(state, true, &(struct http_server_options){ .timeouts_ms = timeouts_ms });
}

static int setup_small(void **state)
{
	return start(state, true, &(struct http_server_options){ .connections_max = 4 });
}

static int teardown(void **state)
{
	server_end(*state);
	return 0;
}

/* A client of one connection. */
struct client {
	SSL_CTX *context;
	SSL *ssl;
	int fd;
};

static void client_open(struct client *client, const struct server_fixture *f)
{
	client->context = SSL_CTX_new(TLS_client_method());
	assert_non_null(client->context);
	client->ssl = SSL_new(client->context);
	assert_non_null(client->ssl);
	client->fd = client_connect(f);
	assert_true(SSL_set_fd(client->ssl, client->fd));
}

static void client_done(struct client *client)
{
	SSL_free(client->ssl);
	SSL_CTX_free(client->context);
	(void)close(client->fd);
}

/* Sends and receives until the mark was seen. */
static void client_exchange(struct client *client, const char *request, const char *mark,
			    struct text *to)
{
	char buffer[4096];

	assert_int_equal(SSL_write(client->ssl, request, (int)strlen(request)), strlen(request));
	while (!strstr(text_string(to), mark)) {
		int size = SSL_read(client->ssl, buffer, sizeof(buffer));

		if (size <= 0)
			fail_msg("the end came after \"%s\"", text_string(to));
		text_append_bytes(to, buffer, (size_t)size);
	}
}

static void assert_served(struct client *client)
{
	CLEANUP(text_done) struct text answer = { 0 };

	client_exchange(client, "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi",
			"secure:hi", &answer);
}

/* By hand: GET / at "h", with fields of the static table. */
static void assert_served_by_http2(struct client *client)
{
	static const char request[] = HTTP2_PREFACE
		"\0\0\0\4\0\0\0\0\0" /* SETTINGS */
		"\0\0\6\1\5\0\0\0\1\202\207\204\101\1h"; /* HEADERS, the whole request */
	char answer[4096];
	int size = 0;

	assert_int_equal(SSL_write(client->ssl, request, sizeof(request) - 1), sizeof(request) - 1);
	while (!memmem(answer, (size_t)size, "secure:", 7)) {
		int part = SSL_read(client->ssl, answer + size, (int)sizeof(answer) - size);

		assert_true(part > 0);
		size += part;
	}
	assert_int_equal(answer[3], 4); /* SETTINGS come first */
	assert_non_null(memmem(answer, (size_t)size, "GET / ? @h x=none secure:", 25));
}

static void peer_name(struct client *client, char to[64])
{
	X509 *certificate = SSL_get1_peer_certificate(client->ssl);

	assert_non_null(certificate);
	assert_true(X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName,
					      to, 64) > 0);
	X509_free(certificate);
}

static void both_versions_are_spoken(void **state)
{
	static const struct {
		int version;
		bool fine;
	} cases[] = {
		{ TLS1_3_VERSION, true },
		{ TLS1_2_VERSION, true },
		{ TLS1_1_VERSION, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct client client;

		client_open(&client, *state);
		SSL_set_security_level(client.ssl, 0);
		assert_true(SSL_set_min_proto_version(client.ssl, cases[i].version));
		assert_true(SSL_set_max_proto_version(client.ssl, cases[i].version));
		assert_int_equal(SSL_connect(client.ssl) == 1, cases[i].fine);
		for (int k = 0; k < 3 && cases[i].fine; k++)
			assert_served(&client);
		client_done(&client);
	}
}

/* Handshakes get the certificate that is set when they begin; connections stay. */
static void a_certificate_is_replaced(void **state)
{
	struct server_fixture *f = *state;
	struct client before;
	struct client after;
	struct client other;
	char name[64];

	client_open(&before, f);
	assert_int_equal(SSL_connect(before.ssl), 1);
	peer_name(&before, name);
	assert_string_equal(name, "first");
	assert_served(&before); /* the server's thread is not in a handshake now */
	set_pair(f->tls, "second");
	assert_served(&before);
	client_open(&after, f);
	assert_int_equal(SSL_connect(after.ssl), 1);
	peer_name(&after, name);
	assert_string_equal(name, "second");
	assert_served(&after);
	assert_int_equal(http_tls_set_certificate(f->tls, NULL, NULL, NULL), 0);
	client_open(&other, f);
	assert_true(SSL_connect(other.ssl) != 1);
	assert_served(&after);
	client_done(&before);
	client_done(&after);
	client_done(&other);
}

/* Connects with a session, or without (NULL). Returns whether it was resumed; gives the session that may
 * be resumed next. */
static bool connect_again(struct client *client, const struct server_fixture *f, int version,
			  SSL_SESSION **session)
{
	bool resumed;

	client_open(client, f);
	assert_true(SSL_set_min_proto_version(client->ssl, version));
	assert_true(SSL_set_max_proto_version(client->ssl, version));
	if (*session)
		assert_true(SSL_set_session(client->ssl, *session));
	assert_int_equal(SSL_connect(client->ssl), 1);
	assert_served(client); /* in TLS 1.3 a ticket comes before the answer */
	resumed = SSL_session_reused(client->ssl);
	SSL_SESSION_free(*session);
	*session = SSL_get1_session(client->ssl);
	assert_true(SSL_SESSION_is_resumable(*session));
	(void)SSL_shutdown(client->ssl);
	client_done(client);
	return resumed;
}

/* By ticket, for a few hours, and under the certificate that the session began with alone. */
static void sessions_are_resumed_for_a_while(void **state)
{
	static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };
	struct server_fixture *f = *state;
	uint64_t now_ns = clock_monotonic_ns();

	for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
		SSL_SESSION *session = NULL;
		struct client client;

		assert_false(connect_again(&client, f, versions[i], &session));
		assert_true(connect_again(&client, f, versions[i], &session));
		http_tls_renew_ticket_keys(f->tls, now_ns);
		assert_true(connect_again(&client, f, versions[i], &session));
		now_ns += (HTTP_TICKET_KEYS_S + 60) * NS_PER_S;
		http_tls_renew_ticket_keys(f->tls, now_ns);
		assert_false(connect_again(&client, f, versions[i], &session));
		assert_true(connect_again(&client, f, versions[i], &session));
		set_pair(f->tls, "another");
		assert_false(connect_again(&client, f, versions[i], &session));
		now_ns = clock_monotonic_ns();
		SSL_SESSION_free(session);
	}
}

/* A client of TLS 1.2 that wants to negotiate anew is told no, and goes on. */
static void renegotiation_is_refused(void **state)
{
	struct client client;

	client_open(&client, *state);
	assert_true(SSL_set_max_proto_version(client.ssl, TLS1_2_VERSION));
	assert_int_equal(SSL_connect(client.ssl), 1);
	assert_served(&client);
	assert_int_equal(SSL_renegotiate(client.ssl), 1);
	assert_true(SSL_do_handshake(client.ssl) != 1);
	client_done(&client);
}

static void without_a_certificate_there_is_an_alert(void **state)
{
	unsigned char hello[4096]; /* OpenSSL 3.5 offers a key of ML-KEM in it */
	unsigned char alert[7];
	struct client client;
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	SSL *ssl = SSL_new(context);
	BIO *out = BIO_new(BIO_s_mem());
	BIO *in = BIO_new(BIO_s_mem());
	int size;

	/* By hand, for the number: fatal (2), unrecognized_name (112). */
	SSL_set_bio(ssl, in, out);
	assert_true(SSL_connect(ssl) != 1);
	size = BIO_read(out, hello, sizeof(hello));
	assert_true(size > 0);
	client.fd = client_connect(*state);
	assert_int_equal(send(client.fd, hello, (size_t)size, MSG_NOSIGNAL), size);
	assert_int_equal(recv(client.fd, alert, sizeof(alert), MSG_WAITALL), sizeof(alert));
	assert_int_equal(alert[0], 21);
	assert_int_equal(alert[5], 2);
	assert_int_equal(alert[6], 112);
	(void)close(client.fd);
	SSL_free(ssl);
	SSL_CTX_free(context);
}

static void plain_http_is_redirected(void **state)
{
	CLEANUP(text_done) struct text answer = { 0 };
	CLEANUP(text_done) struct text refusal = { 0 };
	cleanup_close int fd = client_connect(*state);
	cleanup_close int other = client_connect(*state);

	client_send(fd, "GET /a?b HTTP/1.1\r\nHost: box:8443\r\n\r\n");
	assert_true(client_receive(fd, NULL, &answer));
	assert_contains(text_string(&answer), "HTTP/1.1 307 Temporary Redirect\r\n");
	assert_contains(text_string(&answer), "Location: https://box:8443/a?b\r\n");
	client_send(other, "GET / HTTP/1.0\r\n\r\n");
	assert_true(client_receive(other, NULL, &refusal));
	assert_contains(text_string(&refusal), "HTTP/1.1 400 Bad Request\r\n");
	assert_contains(text_string(&refusal), "Host header required");
}

static void a_protocol_is_agreed_on(void **state)
{
	static const struct {
		const char *offer, *chosen;
	} cases[] = {
		{ "\2h2\10http/1.1", "h2" },
		{ "\10http/1.1\2h2", "h2" },
		{ "\2h2", "h2" },
		{ "\10http/1.1", "http/1.1" },
		{ "\6spdy/1\10http/1.1", "http/1.1" },
		{ "\6spdy/1", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const unsigned char *name;
		struct client client;
		unsigned size;

		client_open(&client, *state);
		assert_int_equal(SSL_set_alpn_protos(client.ssl,
						     (const unsigned char *)cases[i].offer,
						     (unsigned)strlen(cases[i].offer)),
				 0);
		assert_int_equal(SSL_connect(client.ssl) == 1, cases[i].chosen != NULL);
		if (cases[i].chosen) {
			SSL_get0_alpn_selected(client.ssl, &name, &size);
			assert_int_equal(size, strlen(cases[i].chosen));
			assert_memory_equal(name, cases[i].chosen, size);
			if (size == 2)
				assert_served_by_http2(&client);
			else
				assert_served(&client);
		}
		client_done(&client);
	}
}

/* Neither a client that says nothing nor one that stops within the handshake stays. */
static void slow_handshakes_end(void **state)
{
	CLEANUP(text_done) struct text nothing = { 0 };
	CLEANUP(text_done) struct text part = { 0 };
	cleanup_close int silent = client_connect(*state);
	cleanup_close int stuck = client_connect(*state);

	assert_int_equal(send(stuck, "\x16\x03\x01", 3, MSG_NOSIGNAL), 3);
	assert_true(client_receive(silent, NULL, &nothing));
	assert_true(client_receive(stuck, NULL, &part));
}

static void handshakes_keep_nobody_out(void **state)
{
	struct server_fixture *f = *state;
	int idle[32];

	for (int round = 0; round < 5; round++) {
		struct client client;

		for (size_t i = 0; i < ARRAY_SIZE(idle); i++)
			idle[i] = client_connect(f);
		client_open(&client, f);
		assert_int_equal(SSL_connect(client.ssl), 1);
		assert_served(&client);
		client_done(&client);
		for (size_t i = 0; i < ARRAY_SIZE(idle); i++)
			(void)close(idle[i]);
	}
}

static void large_answers_and_bodies_pass(void **state)
{
	struct server_fixture *f = *state;
	static char request[300000];
	CLEANUP(text_done) struct text echo = { 0 };
	CLEANUP(text_done) struct text big = { 0 };
	struct client client;
	const char *body;
	int size = snprintf(request, sizeof(request),
			    "POST /e HTTP/1.1\r\nHost: h\r\nContent-Length: 200004\r\n\r\n");

	memset(request + size, 'x', 200000);
	memcpy(request + size + 200000, "last", 5);
	client_open(&client, f);
	assert_int_equal(SSL_connect(client.ssl), 1);
	client_exchange(&client, request, "xlast", &echo);
	client_exchange(&client, "GET /big HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
			"\r\n\r\n", &big);
	for (;;) {
		char buffer[16384];
		int part = SSL_read(client.ssl, buffer, sizeof(buffer));

		if (part <= 0)
			break;
		text_append_bytes(&big, buffer, (size_t)part);
	}
	/* The end was said, not cut off. */
	assert_int_equal(SSL_get_shutdown(client.ssl) & SSL_RECEIVED_SHUTDOWN,
			 SSL_RECEIVED_SHUTDOWN);
	body = memmem(big.data, big.size, "\r\n\r\n", 4);
	assert_int_equal(big.data + big.size - body - 4, BIG_SIZE);
	assert_memory_equal(body + 4, f->big, BIG_SIZE);
	client_done(&client);
}

static void bad_certificates_are_refused(void **state)
{
	struct pair one = pair_new("one");
	struct pair other = pair_new("other");
	const struct {
		const char *name, *key, *chain, *details;
	} cases[] = {
		{ "another's key", other.key, one.chain,
		  "the private key does not fit the certificate" },
		{ "no key", "", one.chain, "the private key cannot be read" },
		{ "no certificate", one.key, "", "the certificate chain cannot be read" },
		{ "no PEM", one.key, "-----BEGIN CERTIFICATE-----\nx\n", "cannot be read" },
	};
	CLEANUP(http_tls_free) struct http_tls *tls = NULL;

	assert_int_equal(http_tls_new(&tls), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(fault_done) struct fault fault = { 0 };

		if (http_tls_set_certificate(tls, cases[i].key, cases[i].chain, &fault) == 0)
			fail_msg("%s is taken", cases[i].name);
		assert_int_equal(fault.kind, FAULT_OPENSSL);
		assert_contains(fault.details, cases[i].details);
	}
	pair_done(&one);
	pair_done(&other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(both_versions_are_spoken, setup, teardown),
		cmocka_unit_test_setup_teardown(a_certificate_is_replaced, setup, teardown),
		cmocka_unit_test_setup_teardown(sessions_are_resumed_for_a_while, setup, teardown),
		cmocka_unit_test_setup_teardown(renegotiation_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(without_a_certificate_there_is_an_alert,
						setup_without, teardown),
		cmocka_unit_test_setup_teardown(plain_http_is_redirected, setup, teardown),
		cmocka_unit_test_setup_teardown(a_protocol_is_agreed_on, setup, teardown),
		cmocka_unit_test_setup_teardown(slow_handshakes_end, setup_hasty, teardown),
		cmocka_unit_test_setup_teardown(handshakes_keep_nobody_out, setup_small, teardown),
		cmocka_unit_test_setup_teardown(large_answers_and_bodies_pass, setup, teardown),
		cmocka_unit_test(bad_certificates_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
