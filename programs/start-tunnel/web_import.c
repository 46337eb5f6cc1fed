/*
 * A certificate of one's own, from files or pasted (tunnel.md 2.9)
 */
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

#include "client/prompt.h"
#include "crypto/certificate.h"
#include "web.h"

static int send_pair(struct rpc_client *client, const struct text *key, const struct text *cert,
		     struct fault *fault)
{
	json_t *params =
		json_pack("{s:s, s:s}", "key", text_string(key), "cert", text_string(cert));

	if (!params)
		return fault_set(fault, FAULT_DESERIALIZATION,
				 "the key or the certificate is no PEM text");
	return command_call(client, "web.import-certificate", params, NULL, fault);
}

int web_import_files(struct rpc_client *client, const char *key_path, const char *cert_path,
		     struct fault *fault)
{
	CLEANUP(text_done_secret) struct text key = { 0 };
	CLEANUP(text_done_secret) struct text cert = { 0 };
	int r = command_read_file("--key", key_path, &key, fault);

	if (r == 0)
		r = command_read_file("--cert", cert_path, &cert, fault);
	return r < 0 ? r : send_pair(client, &key, &cert, fault);
}

/* --- pasting --- */

#define BLOCK_END "-----END" /* begins the last line of a block in PEM */

/* Appends lines up to one that ends a PEM block. */
static int read_block(struct text *to, struct fault *fault)
{
	CLEANUP(text_done_secret) struct text line = { 0 };
	int r;

	to->max = COMMAND_FILE_MAX;
	do {
		r = prompt_line("", NULL, &line, fault);
		if (r < 0)
			return r;
		text_printf(to, "%s\n", text_string(&line));
		if (text_error(to) < 0)
			return fault_set_errno(fault, text_error(to), FAULT_DESERIALIZATION,
					       "reading what was pasted");
	} while (strncmp(text_string(&line), BLOCK_END, strlen(BLOCK_END)) != 0);
	return 0;
}

static EVP_PKEY *parse_key(const struct text *text)
{
	BIO *bytes = BIO_new_mem_buf(text_string(text), (int)text->size);
	EVP_PKEY *key = NULL;

	if (bytes) /* the empty passphrase: OpenSSL would ask for one by itself */
		key = PEM_read_bio_PrivateKey(bytes, NULL, NULL, (void *)"");
	BIO_free(bytes);
	return key;
}

static X509 *parse_certificate(const struct text *text)
{
	BIO *bytes = BIO_new_mem_buf(text_string(text), (int)text->size);
	X509 *certificate = bytes ? PEM_read_bio_X509(bytes, NULL, NULL, NULL) : NULL;

	BIO_free(bytes);
	return certificate;
}

/* Of prompt_secret_block(): keeps the key that it finds in **context. */
static const char *check_key(const struct text *text, void *context)
{
	EVP_PKEY **ret = context;

	*ret = parse_key(text);
	return *ret ? NULL : "That is no private key in PEM without a passphrase. Paste it again:";
}

/* Asks until it is a key. */
static int read_key(struct text *to, EVP_PKEY **ret, struct fault *fault)
{
	return prompt_secret_block("Paste the private key in PEM; it does not show:", BLOCK_END,
				   COMMAND_FILE_MAX, check_key, ret, to, fault);
}

/* Whether a certificate is signed by the key of another, or of itself. Other algorithms: no. */
static bool is_signed_by(X509 *certificate, X509 *issuer)
{
	return X509_verify(certificate, X509_get0_pubkey(issuer)) == 1;
}

/* Asks until it is a certificate. */
static int read_certificate(struct text *to, X509 **ret, struct fault *fault)
{
	int r;

	while ((r = read_block(to, fault)) == 0 && !(*ret = parse_certificate(to))) {
		(void)fprintf(stderr, "That is no certificate in PEM. Paste it again:\n");
		text_clear(to);
	}
	return r;
}

/* Reads certificates up to a root. @previous: the last one, which is replaced. */
static int read_chain(EVP_PKEY *key, struct text *to, struct fault *fault)
{
	X509 *previous = NULL;
	bool root = false;
	int r = 0;

	(void)fprintf(stderr,
		      "Paste the certificates in PEM: the server's own first, each with its "
		      "issuer next, the root last:\n");
	for (size_t i = 0; r == 0 && !root && i < CERTIFICATE_CHAIN_MAX; i++) {
		CLEANUP(text_done) struct text block = { 0 };
		X509 *certificate = NULL;

		r = read_certificate(&block, &certificate, fault);
		if (r == 0 && !previous && X509_check_private_key(certificate, key) != 1)
			r = fault_set(fault, FAULT_INVALID_SIGNATURE,
				      "the first certificate is not for this private key");
		if (r == 0 && previous && !is_signed_by(previous, certificate))
			r = fault_set(fault, FAULT_INVALID_SIGNATURE,
				      "certificate %zu is not signed by the one after it", i);
		if (r == 0) {
			root = is_signed_by(certificate, certificate);
			text_append(to, text_string(&block));
		}
		X509_free(previous);
		previous = certificate;
	}
	X509_free(previous);
	if (r == 0 && !root)
		r = fault_set(fault, FAULT_INVALID_SIGNATURE,
			      "there is no root among the first %d certificates",
			      CERTIFICATE_CHAIN_MAX);
	return r;
}

int web_import_paste(struct rpc_client *client, struct fault *fault)
{
	CLEANUP(text_done_secret) struct text key = { 0 };
	CLEANUP(text_done) struct text chain = { 0 };
	EVP_PKEY *parsed = NULL;
	int r;

	if (!prompt_is_possible())
		return fault_set(fault, FAULT_FILESYSTEM,
				 "a certificate can be pasted on a terminal only; name files by "
				 "--key and --cert");
	r = read_key(&key, &parsed, fault);
	if (r == 0)
		r = read_chain(parsed, &chain, fault);
	EVP_PKEY_free(parsed);
	return r < 0 ? r : send_pair(client, &key, &chain, fault);
}
