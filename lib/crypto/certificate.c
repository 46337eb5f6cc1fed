#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/ip.h"
#include "crypto/certificate_internal.h"

/* --- texts --- */

/* OpenSSL would ask the terminal. */
static int no_password(char *buffer, int size, int writing, void *context)
{
	return -1;
}

/* Why the last call of OpenSSL failed, in its words. */
static const char *last_error(void)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());

	return reason ? reason : "unknown format";
}

/* Returns 0, 1 at the end of the text, -ENOMEM, or -EPROTO with a fault. */
static int read_next(BIO *bio, struct certificate_chain *chain, struct fault *fault)
{
	X509 *cert = PEM_read_bio_X509(bio, NULL, no_password, NULL);
	unsigned long error = ERR_peek_last_error();
	int r;

	if (cert && chain->count < CERTIFICATE_CHAIN_MAX) {
		chain->certs[chain->count++] = cert;
		return 0;
	}
	if (cert)
		r = fault_set(fault, FAULT_DESERIALIZATION, "more than %d certificates",
			      CERTIFICATE_CHAIN_MAX);
	else if (ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE)
		r = 1;
	else if (ERR_GET_REASON(error) == ERR_R_MALLOC_FAILURE)
		r = -ENOMEM;
	else
		r = fault_set(fault, FAULT_DESERIALIZATION, "certificate %zu is not sound PEM: %s",
			      chain->count + 1, last_error());
	X509_free(cert);
	ERR_clear_error();
	return r;
}

int certificate_chain_read(const char *text, struct certificate_chain **ret, struct fault *fault)
{
	CLEANUP(certificate_chain_free) struct certificate_chain *chain = NULL;
	size_t size = strnlen(text, CERTIFICATE_TEXT_MAX + 1);
	BIO *bio;
	int r = 0;

	if (size > CERTIFICATE_TEXT_MAX)
		return fault_set(fault, FAULT_DESERIALIZATION,
				 "the certificates are longer than %d bytes", CERTIFICATE_TEXT_MAX);
	chain = calloc(1, sizeof(*chain));
	bio = BIO_new_mem_buf(text, (int)size);
	if (!chain || !bio)
		r = -ENOMEM;
	while (r == 0)
		r = read_next(bio, chain, fault);
	BIO_free(bio);
	if (r < 0)
		return r;
	if (chain->count == 0)
		return fault_set(fault, FAULT_DESERIALIZATION,
				 "no certificate in PEM (-----BEGIN CERTIFICATE-----) is there");
	*ret = TAKE_PTR(chain);
	return 0;
}

struct certificate_chain *certificate_chain_free(struct certificate_chain *chain)
{
	if (!chain)
		return NULL;
	for (size_t i = 0; i < chain->count; i++)
		X509_free(chain->certs[i]);
	free(chain);
	return NULL;
}

size_t certificate_chain_count(const struct certificate_chain *chain)
{
	return chain->count;
}

int certificate_take_bio(BIO *bio, bool written, struct text *to)
{
	char *data = NULL;
	long size = bio && written ? BIO_get_mem_data(bio, &data) : -1;

	if (size >= 0)
		text_append_bytes(to, data, (size_t)size);
	(void)BIO_free(bio); /* wipes */
	ERR_clear_error();
	return size < 0 ? -ENOMEM : text_error(to);
}

int certificate_write(const struct certificate_chain *chain, size_t index, struct text *to)
{
	BIO *bio = BIO_new(BIO_s_mem());
	bool written = bio && PEM_write_bio_X509(bio, chain->certs[index]) == 1;

	return certificate_take_bio(bio, written, to);
}

int certificate_chain_write(const struct certificate_chain *chain, struct text *to)
{
	int r = 0;

	for (size_t i = 0; i < chain->count && r == 0; i++) {
		r = certificate_write(chain, i, to);
		text_append_char(to, '\n');
	}
	return r < 0 ? r : text_error(to);
}

int certificate_write_der(const struct certificate_chain *chain, size_t index, struct text *to)
{
	unsigned char *der = NULL;
	int size = i2d_X509(chain->certs[index], &der);

	if (size > 0)
		text_append_bytes(to, der, (size_t)size);
	OPENSSL_free(der);
	return size > 0 ? text_error(to) : -ENOMEM;
}

int certificate_key_read(const char *key, EVP_PKEY **ret, struct fault *fault)
{
	size_t size = strnlen(key, CERTIFICATE_TEXT_MAX);
	BIO *bio = BIO_new_mem_buf(key, (int)size);
	EVP_PKEY *read = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL) : NULL;

	BIO_free(bio);
	ERR_clear_error(); /* its words tell little about keys, and less that may be told */
	if (!read)
		return fault_set(
			fault, FAULT_DESERIALIZATION,
			strstr(key, "ENCRYPTED")
				? "the private key is locked with a password; give it without"
				: "the private key is not sound PEM (PKCS#8, or the form of "
				  "RSA or EC)");
	*ret = read;
	return 0;
}

int certificate_key_append(EVP_PKEY *key, struct text *to)
{
	BIO *bio = BIO_new(BIO_s_mem());
	bool written = bio &&
		       PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1;

	return certificate_take_bio(bio, written, to);
}

int certificate_key_write(const char *key, struct text *to, struct fault *fault)
{
	EVP_PKEY *read = NULL;
	int r = certificate_key_read(key, &read, fault);

	if (r == 0)
		r = certificate_key_append(read, to);
	EVP_PKEY_free(read);
	return r;
}

/* --- one certificate --- */

int64_t certificate_time(const ASN1_TIME *time)
{
	struct tm utc = { 0 };

	return time && ASN1_TIME_to_tm(time, &utc) == 1 ? (int64_t)timegm(&utc) : INT64_MIN;
}

int64_t certificate_not_before(const struct certificate_chain *chain, size_t index)
{
	return certificate_time(X509_get0_notBefore(chain->certs[index]));
}

int64_t certificate_not_after(const struct certificate_chain *chain, size_t index)
{
	return certificate_time(X509_get0_notAfter(chain->certs[index]));
}

bool certificate_is_root(const struct certificate_chain *chain, size_t index)
{
	bool is = X509_self_signed(chain->certs[index], 1) == 1;

	ERR_clear_error();
	return is;
}

void certificate_digest(const struct certificate_chain *chain, size_t index,
			uint8_t ret[CERTIFICATE_DIGEST_SIZE])
{
	unsigned size = 0;

	memset(ret, 0, CERTIFICATE_DIGEST_SIZE);
	(void)X509_digest(chain->certs[index], EVP_sha256(), ret, &size);
}

char *certificate_fingerprint(const struct certificate_chain *chain, size_t index,
			      char to[CERTIFICATE_FINGERPRINT_MAX])
{
	uint8_t digest[CERTIFICATE_DIGEST_SIZE];

	certificate_digest(chain, index, digest);
	for (size_t i = 0; i < sizeof(digest); i++)
		(void)snprintf(to + 3 * i, 4, "%02X%s", digest[i],
			       i + 1 < sizeof(digest) ? ":" : "");
	return to;
}

static int append_name(const X509_NAME *name, struct text *to)
{
	BIO *bio = BIO_new(BIO_s_mem());
	bool written = bio && X509_NAME_print_ex(bio, name, 0,
						 XN_FLAG_ONELINE & ~ASN1_STRFLGS_ESC_MSB) >= 0;

	return certificate_take_bio(bio, written, to);
}

int certificate_subject(const struct certificate_chain *chain, size_t index, struct text *to)
{
	return append_name(X509_get_subject_name(chain->certs[index]), to);
}

/* --- names of the leaf --- */

void certificate_names_done(struct certificate_names *names)
{
	for (size_t i = 0; i < names->count; i++)
		free(names->names[i]);
	*names = (struct certificate_names){ 0 };
}

/* Makes the text of a DNS name of printable ASCII, in lower case, perhaps "*.example.com"; NULL for anything
 * else. Returns 0 or -ENOMEM, as the next one. */
static int dns_text(const ASN1_IA5STRING *string, char **ret)
{
	const unsigned char *data = ASN1_STRING_get0_data(string);
	int size = ASN1_STRING_length(string);

	*ret = NULL;
	if (size <= 0 || size > 255)
		return 0;
	for (int i = 0; i < size; i++)
		if (data[i] <= ' ' || data[i] >= 0x7f)
			return 0;
	*ret = strndup((const char *)data, (size_t)size);
	if (!*ret)
		return -ENOMEM;
	for (char *c = *ret; *c; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c - 'A' + 'a');
	return 0;
}

static int address_text(const ASN1_OCTET_STRING *string, char **ret)
{
	int size = ASN1_STRING_length(string);
	struct ip_address address = { .family = size == 4 ? AF_INET : AF_INET6 };
	char text[IP_TEXT_MAX];

	*ret = NULL;
	if (size != 4 && size != 16)
		return 0;
	memcpy(address.bytes, ASN1_STRING_get0_data(string), (size_t)size);
	*ret = strdup(ip_format(&address, text));
	return *ret ? 0 : -ENOMEM;
}

static int add_names(GENERAL_NAMES *all, int type, struct certificate_names *names)
{
	for (int i = 0; i < sk_GENERAL_NAME_num(all); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(all, i);
		char *text;
		int r;

		if (name->type != type || names->count == CERTIFICATE_NAMES_MAX)
			continue;
		r = type == GEN_DNS ? dns_text(name->d.dNSName, &text)
				    : address_text(name->d.iPAddress, &text);
		if (r < 0)
			return r;
		if (text)
			names->names[names->count++] = text;
	}
	return 0;
}

int certificate_names(const struct certificate_chain *chain, struct certificate_names *ret)
{
	CLEANUP(certificate_names_done) struct certificate_names names = { 0 };
	GENERAL_NAMES *all = X509_get_ext_d2i(chain->certs[0], NID_subject_alt_name, NULL, NULL);
	bool no_memory = !all && ERR_GET_REASON(ERR_peek_last_error()) == ERR_R_MALLOC_FAILURE;
	int r = no_memory ? -ENOMEM : 0;

	ERR_clear_error();
	if (r == 0)
		r = add_names(all, GEN_DNS, &names);
	if (r == 0)
		r = add_names(all, GEN_IPADD, &names);
	GENERAL_NAMES_free(all);
	if (r < 0)
		return r;
	*ret = names;
	names = (struct certificate_names){ 0 };
	return 0;
}

/* --- checks --- */

static int check_key(const struct certificate_chain *chain, const char *key, struct fault *fault)
{
	EVP_PKEY *read = NULL;
	int r = certificate_key_read(key, &read, fault);

	if (r < 0)
		return r;
	if (X509_check_private_key(chain->certs[0], read) != 1)
		r = fault_set(fault, FAULT_INVALID_SIGNATURE,
			      "certificate 1 does not belong to the private key");
	EVP_PKEY_free(read);
	ERR_clear_error();
	return r;
}

/* What browsers accept: Ed25519 and P-521 are not among it. */
static int check_leaf_key(const struct certificate_chain *chain, struct fault *fault)
{
	EVP_PKEY *key = X509_get0_pubkey(chain->certs[0]);
	char group[64] = "";

	if (key && EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA && EVP_PKEY_get_bits(key) >= 2048)
		return 0;
	if (key && EVP_PKEY_get_base_id(key) == EVP_PKEY_EC &&
	    EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) == 1 &&
	    (strcmp(group, "prime256v1") == 0 || strcmp(group, "P-256") == 0 ||
	     strcmp(group, "secp384r1") == 0 || strcmp(group, "P-384") == 0))
		return 0;
	ERR_clear_error();
	return fault_set(fault, FAULT_INVALID_REQUEST,
			 "certificate 1: its key must be RSA of 2048 bits or more, or EC on the "
			 "curve P-256 or P-384");
}

static int check_leaf_names(const struct certificate_chain *chain, struct fault *fault)
{
	CLEANUP(certificate_names_done) struct certificate_names names = { 0 };
	int r = certificate_names(chain, &names);

	if (r == 0 && names.count == 0)
		r = fault_set(fault, FAULT_INVALID_REQUEST,
			      "certificate 1 names no host (subject alternative name)");
	return r;
}

static int check_times(const struct certificate_chain *chain, int64_t now_s, struct fault *fault)
{
	for (size_t i = 0; i < chain->count; i++) {
		const char *problem = NULL;
		time_t when = 0;
		struct tm utc;
		char text[32];

		if (certificate_not_after(chain, i) < now_s) {
			problem = "expired on";
			when = (time_t)certificate_not_after(chain, i);
		} else if (certificate_not_before(chain, i) > now_s) {
			problem = "is not valid before";
			when = (time_t)certificate_not_before(chain, i);
		}
		if (!problem)
			continue;
		if (!gmtime_r(&when, &utc) || strftime(text, sizeof(text), "%Y-%m-%d", &utc) == 0)
			(void)snprintf(text, sizeof(text), "a day without a date");
		return fault_set(fault, FAULT_INVALID_REQUEST, "certificate %zu %s %s", i + 1,
				 problem, text);
	}
	return 0;
}

static int check_order(const struct certificate_chain *chain, struct fault *fault)
{
	for (size_t i = 0; i + 1 < chain->count; i++) {
		X509 *cert = chain->certs[i], *issuer = chain->certs[i + 1];
		EVP_PKEY *key = X509_get0_pubkey(issuer);
		bool issued = key &&
			      X509_NAME_cmp(X509_get_issuer_name(cert),
					    X509_get_subject_name(issuer)) == 0 &&
			      X509_verify(cert, key) == 1;

		ERR_clear_error();
		if (!issued)
			return fault_set(fault, FAULT_INVALID_SIGNATURE,
					 "certificate %zu was not issued by certificate %zu; the "
					 "leaf comes first, each issuer after",
					 i + 1, i + 2);
	}
	return 0;
}

/* The roots that the chain may end in: its own, else those of the system. */
static X509_STORE *make_store(const struct certificate_chain *chain)
{
	X509 *last = chain->certs[chain->count - 1];
	X509_STORE *store = X509_STORE_new();
	int ok = store ? 1 : 0;

	if (ok && certificate_is_root(chain, chain->count - 1))
		ok = X509_STORE_add_cert(store, last);
	else if (ok)
		ok = X509_STORE_set_default_paths(store);
	if (ok == 1)
		return store;
	X509_STORE_free(store);
	return NULL;
}

static STACK_OF(X509) * make_stack(const struct certificate_chain *chain)
{
	STACK_OF(X509) *stack = sk_X509_new_null();

	for (size_t i = 0; stack && i < chain->count; i++) {
		if (sk_X509_push(stack, chain->certs[i]) > 0)
			continue;
		sk_X509_free(stack);
		return NULL;
	}
	return stack;
}

static int path_fault(const struct certificate_chain *chain, X509_STORE_CTX *context,
		      struct fault *fault)
{
	int error = X509_STORE_CTX_get_error(context);
	int depth = X509_STORE_CTX_get_error_depth(context);
	CLEANUP(text_done) struct text issuer = { 0 };

	if (error == X509_V_ERR_OUT_OF_MEM)
		return -ENOMEM;
	if (error != X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY &&
	    error != X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT &&
	    error != X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE)
		return fault_set(fault, FAULT_INVALID_REQUEST, "certificate %d: %s", depth + 1,
				 X509_verify_cert_error_string(error));
	(void)append_name(X509_get_issuer_name(chain->certs[chain->count - 1]), &issuer);
	return fault_set(fault, FAULT_INVALID_REQUEST,
			 "certificate %zu is not a root, and its issuer (%s) is not one that this "
			 "system trusts; add the missing certificates behind it",
			 chain->count, text_string(&issuer));
}

/* All else that a client looks at, by the verifier that clients use. */
static int check_path(const struct certificate_chain *chain, int64_t now_s, struct fault *fault)
{
	X509_STORE *store = make_store(chain);
	STACK_OF(X509) *stack = make_stack(chain);
	X509_STORE_CTX *context = X509_STORE_CTX_new();
	X509_VERIFY_PARAM *param;
	int r = -ENOMEM;

	if (store && stack && context &&
	    X509_STORE_CTX_init(context, store, chain->certs[0], stack) == 1) {
		param = X509_STORE_CTX_get0_param(context);
		X509_VERIFY_PARAM_set_time(param, (time_t)now_s);
		X509_VERIFY_PARAM_set_auth_level(param, 2); /* RSA 2048, EC 224, SHA-2 */
		(void)X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_SERVER);
		r = X509_verify_cert(context) == 1 ? 0 : path_fault(chain, context, fault);
	}
	X509_STORE_CTX_free(context);
	sk_X509_free(stack);
	X509_STORE_free(store);
	ERR_clear_error();
	return r;
}

int certificate_chain_check(const struct certificate_chain *chain, const char *key, int64_t now_s,
			    struct fault *fault)
{
	int r = check_key(chain, key, fault);

	if (r == 0)
		r = check_leaf_key(chain, fault);
	if (r == 0)
		r = check_leaf_names(chain, fault);
	if (r == 0)
		r = check_times(chain, now_s, fault);
	if (r == 0)
		r = check_order(chain, fault);
	return r < 0 ? r : check_path(chain, now_s, fault);
}
