#include "crypto/certificate_authority.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "base/host.h"
#include "base/ip.h"
#include "base/secret.h"
#include "crypto/certificate_internal.h"

#define DAY_S INT64_C(86400)
#define SERIAL_SIZE 16
#define COMMON_NAME_MAX 64 /* RFC 5280, ub-common-name */

static void wipe(char **text)
{
	if (*text)
		secret_wipe(*text, strlen(*text));
	free(*text);
	*text = NULL;
}

void certificate_authority_done(struct certificate_authority *authority)
{
	wipe(&authority->root_cert);
	wipe(&authority->root_key);
	wipe(&authority->intermediate_cert);
	wipe(&authority->intermediate_key);
}

void certificate_leaf_done(struct certificate_leaf *leaf)
{
	wipe(&leaf->key);
	wipe(&leaf->chain);
}

/* --- making certificates; each step says whether it went well --- */

/* A certificate that is being made, and who signs it. */
struct draft {
	X509 *cert;
	EVP_PKEY *key;
	X509 *issuer; /* NULL: itself */
	EVP_PKEY *issuer_key;
};

static bool set_serial(X509 *cert)
{
	uint8_t bytes[SERIAL_SIZE];
	BIGNUM *number;
	bool ok;

	random_bytes(bytes, sizeof(bytes));
	bytes[0] = (bytes[0] & 0x7f) | 0x40; /* positive, and always of one length */
	number = BN_bin2bn(bytes, sizeof(bytes), NULL);
	ok = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert));
	BN_free(number);
	return ok;
}

static bool add_to_name(X509_NAME *name, int nid, const char *value)
{
	return X509_NAME_add_entry_by_NID(name, nid, MBSTRING_UTF8, (const unsigned char *)value,
					  -1, -1, 0) == 1;
}

static bool set_subject(X509 *cert, const char *common_name)
{
	X509_NAME *name = X509_get_subject_name(cert);

	return add_to_name(name, NID_commonName, common_name) &&
	       add_to_name(name, NID_organizationName, "Start9") &&
	       add_to_name(name, NID_organizationalUnitName, "StartOS");
}

static bool add_extension(const struct draft *draft, int nid, const char *value)
{
	X509_EXTENSION *extension;
	X509V3_CTX context;
	bool ok;

	X509V3_set_ctx(&context, draft->issuer ? draft->issuer : draft->cert, draft->cert, NULL,
		       NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	ok = extension && X509_add_ext(draft->cert, extension, -1) == 1;
	X509_EXTENSION_free(extension);
	return ok;
}

/* Everything but extensions and signature. Times are the first and the last second. */
static bool begin_draft(struct draft *draft, const char *common_name, int64_t from_s, int64_t to_s)
{
	const X509 *issuer = draft->issuer;

	draft->cert = X509_new();
	return draft->cert && X509_set_version(draft->cert, X509_VERSION_3) == 1 &&
	       set_serial(draft->cert) && set_subject(draft->cert, common_name) &&
	       X509_set_issuer_name(draft->cert,
				    X509_get_subject_name(issuer ? issuer : draft->cert)) == 1 &&
	       X509_set_pubkey(draft->cert, draft->key) == 1 &&
	       ASN1_TIME_adj(X509_getm_notBefore(draft->cert), (time_t)from_s, 0, 0) &&
	       ASN1_TIME_adj(X509_getm_notAfter(draft->cert), (time_t)to_s, 0, 0);
}

static bool sign_draft(const struct draft *draft)
{
	return X509_sign(draft->cert, draft->issuer_key ? draft->issuer_key : draft->key,
			 EVP_sha256()) > 0;
}

static bool make_ca(struct draft *draft, const char *common_name, int64_t from_s, int64_t to_s)
{
	return begin_draft(draft, common_name, from_s, to_s) &&
	       add_extension(draft, NID_basic_constraints,
			     draft->issuer ? "critical,CA:TRUE,pathlen:0" : "critical,CA:TRUE") &&
	       add_extension(draft, NID_key_usage,
			     "critical,digitalSignature,cRLSign,keyCertSign") &&
	       add_extension(draft, NID_subject_key_identifier, "hash") &&
	       add_extension(draft, NID_authority_key_identifier,
			     draft->issuer ? "keyid:always,issuer:always" : "keyid:always") &&
	       sign_draft(draft);
}

static bool add_name(GENERAL_NAMES *all, const char *text)
{
	GENERAL_NAME *name = NULL;
	ASN1_STRING *string = ASN1_STRING_type_new(V_ASN1_IA5STRING);
	struct ip_address address;
	int type = ip_parse(text, &address) == 0 ? GEN_IPADD : GEN_DNS;
	int ok = 0;

	if (type == GEN_IPADD) {
		ASN1_STRING_free(string);
		string = ASN1_OCTET_STRING_new();
		ok = string ? ASN1_STRING_set(string, address.bytes,
					      address.family == AF_INET ? 4 : 16)
			    : 0;
	} else if (string) {
		ok = ASN1_STRING_set(string, text, -1);
	}
	if (ok == 1)
		name = GENERAL_NAME_new();
	if (!name) {
		ASN1_STRING_free(string);
		return false;
	}
	GENERAL_NAME_set0_value(name, type, string);
	if (sk_GENERAL_NAME_push(all, name) > 0)
		return true;
	GENERAL_NAME_free(name);
	return false;
}

static bool add_names(X509 *cert, char *const *names, size_t count)
{
	GENERAL_NAMES *all = sk_GENERAL_NAME_new_null();
	bool ok = all != NULL;

	for (size_t i = 0; i < count && ok; i++)
		ok = add_name(all, names[i]);
	ok = ok && X509_add1_ext_i2d(cert, NID_subject_alt_name, all, 0, 0) == 1;
	GENERAL_NAMES_free(all);
	return ok;
}

static bool make_leaf(struct draft *draft, char *const *names, size_t count, int64_t from_s,
		      int64_t to_s)
{
	const char *common_name = "localhost";
	struct ip_address address;

	if (ip_parse(names[0], &address) < 0 && strlen(names[0]) <= COMMON_NAME_MAX)
		common_name = names[0];
	return begin_draft(draft, common_name, from_s, to_s) &&
	       add_extension(draft, NID_basic_constraints, "CA:FALSE") &&
	       add_extension(draft, NID_key_usage, "critical,digitalSignature,keyEncipherment") &&
	       add_extension(draft, NID_ext_key_usage, "serverAuth") &&
	       add_extension(draft, NID_subject_key_identifier, "hash") &&
	       add_extension(draft, NID_authority_key_identifier, "keyid:always") &&
	       add_names(draft->cert, names, count) && sign_draft(draft);
}

/* --- the authority --- */

static char *cert_text(X509 *cert)
{
	struct certificate_chain chain = { .certs = { cert }, .count = 1 };
	CLEANUP(text_done) struct text text = { 0 };

	return certificate_write(&chain, 0, &text) < 0 ? NULL : text_take(&text);
}

static char *key_text(EVP_PKEY *key)
{
	CLEANUP(text_done_secret) struct text text = { 0 };

	return certificate_key_append(key, &text) < 0 ? NULL : text_take(&text);
}

/* Moves new texts into the authority's intermediate. */
static int put_intermediate(struct certificate_authority *authority, const struct draft *draft)
{
	char *cert = cert_text(draft->cert), *key = key_text(draft->key);

	if (!cert || !key) {
		wipe(&cert);
		wipe(&key);
		return -ENOMEM;
	}
	wipe(&authority->intermediate_cert);
	wipe(&authority->intermediate_key);
	authority->intermediate_cert = cert;
	authority->intermediate_key = key;
	return 0;
}

static int make_intermediate(struct certificate_authority *authority, X509 *root,
			     EVP_PKEY *root_key, int64_t from_s)
{
	struct draft draft = { .key = EVP_EC_gen("P-256"), .issuer = root, .issuer_key = root_key };
	int r = -ENOMEM;

	if (draft.key && make_ca(&draft, "StartOS Local Intermediate CA", from_s,
				 certificate_time(X509_get0_notAfter(root))))
		r = put_intermediate(authority, &draft);
	X509_free(draft.cert);
	EVP_PKEY_free(draft.key);
	ERR_clear_error();
	return r;
}

int certificate_authority_make(int64_t start_s, struct certificate_authority *ret)
{
	CLEANUP(certificate_authority_done) struct certificate_authority made = { 0 };
	struct draft root = { .key = EVP_EC_gen("P-256") };
	int r = -ENOMEM;

	if (root.key && make_ca(&root, "start-tunnel Local Root CA", start_s - DAY_S,
				start_s + CERTIFICATE_ROOT_DAYS * DAY_S)) {
		made.root_cert = cert_text(root.cert);
		made.root_key = key_text(root.key);
		if (made.root_cert && made.root_key)
			r = make_intermediate(&made, root.cert, root.key, start_s - DAY_S);
	}
	X509_free(root.cert);
	EVP_PKEY_free(root.key);
	ERR_clear_error();
	if (r < 0)
		return r;
	*ret = made;
	made = (struct certificate_authority){ 0 };
	return 0;
}

/* A certificate with the key that belongs to it. */
struct signer {
	struct certificate_chain *chain;
	EVP_PKEY *key;
};

static void signer_done(struct signer *signer)
{
	(void)certificate_chain_free(signer->chain);
	EVP_PKEY_free(signer->key);
}
DEFINE_CLEANUP_DONE(struct signer, signer_done);

static int signer_read(const char *cert, const char *key, const char *what, struct signer *ret,
		       struct fault *fault)
{
	int r = certificate_chain_read(cert, &ret->chain, fault);

	if (r == 0)
		r = certificate_key_read(key, &ret->key, fault);
	if (r == 0 && X509_check_private_key(ret->chain->certs[0], ret->key) != 1)
		r = fault_set(fault, FAULT_INVALID_SIGNATURE,
			      "the key does not belong to the certificate");
	ERR_clear_error();
	if (r < 0)
		fault_prefix(fault, "the authority's %s", what);
	return r;
}

int certificate_authority_renew(struct certificate_authority *authority, int64_t now_s,
				struct fault *fault)
{
	CLEANUP(signer_done) struct signer root = { 0 };
	int64_t from_s = now_s - DAY_S;
	int r = signer_read(authority->root_cert, authority->root_key, "root", &root, fault);

	if (r < 0)
		return r;
	if (from_s < certificate_not_before(root.chain, 0))
		from_s = certificate_not_before(root.chain, 0);
	return make_intermediate(authority, root.chain->certs[0], root.key, from_s);
}

int certificate_authority_ends(const struct certificate_authority *authority, int64_t *ret_root_s,
			       int64_t *ret_intermediate_s, struct fault *fault)
{
	CLEANUP(certificate_chain_free) struct certificate_chain *root = NULL;
	CLEANUP(certificate_chain_free) struct certificate_chain *intermediate = NULL;
	int r = certificate_chain_read(authority->root_cert, &root, fault);

	if (r == 0)
		r = certificate_chain_read(authority->intermediate_cert, &intermediate, fault);
	if (r < 0)
		return r;
	*ret_root_s = certificate_not_after(root, 0);
	*ret_intermediate_s = certificate_not_after(intermediate, 0);
	return 0;
}

/* --- leaves --- */

/* A name as it stands in the certificate. Returns 0, -ENOMEM, or -EPROTO with a fault. */
static int canonical(const char *name, char **ret, struct fault *fault)
{
	struct ip_address address;
	char text[IP_TEXT_MAX];

	if (ip_parse(name, &address) == 0) {
		*ret = strdup(ip_format(&address, text));
		return *ret ? 0 : -ENOMEM;
	}
	if (!host_is_name(name))
		return fault_set(fault, FAULT_INVALID_REQUEST,
				 "subject: \"%.300s\" is neither a host name nor an IP address",
				 name);
	*ret = strdup(name);
	for (char *c = *ret; c && *c; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c - 'A' + 'a');
	return *ret ? 0 : -ENOMEM;
}

/* DNS names first, by their text; then addresses by their value. */
static int compare_names(const void *a, const void *b)
{
	const char *left = *(char *const *)a, *right = *(char *const *)b;
	struct ip_address left_ip, right_ip;
	bool left_is = ip_parse(left, &left_ip) == 0, right_is = ip_parse(right, &right_ip) == 0;

	if (left_is != right_is)
		return left_is ? 1 : -1;
	return left_is ? ip_compare(&left_ip, &right_ip) : strcmp(left, right);
}

static int canonical_names(const char *const *names, size_t count, struct certificate_names *ret,
			   struct fault *fault)
{
	size_t kept = 0;

	if (count == 0 || count > CERTIFICATE_SUBJECTS_MAX)
		return fault_set(fault, FAULT_INVALID_REQUEST,
				 "subject: must be 1 to %d host names or IP addresses",
				 CERTIFICATE_SUBJECTS_MAX);
	for (size_t i = 0; i < count; i++) {
		int r = canonical(names[i], &ret->names[ret->count], fault);

		if (r < 0)
			return r;
		ret->count++;
	}
	qsort(ret->names, ret->count, sizeof(ret->names[0]), compare_names);
	for (size_t i = 0; i < ret->count; i++) {
		if (kept > 0 && strcmp(ret->names[kept - 1], ret->names[i]) == 0)
			free(ret->names[i]);
		else
			ret->names[kept++] = ret->names[i];
	}
	ret->count = kept;
	return 0;
}

static int64_t sooner(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* The stack of the new leaf and its issuers, and the leaf's key. */
static int write_leaf(const struct draft *draft, const struct signer *intermediate,
		      const char *root_cert, struct certificate_leaf *ret, struct fault *fault)
{
	CLEANUP(certificate_chain_free) struct certificate_chain *root = NULL;
	CLEANUP(text_done) struct text chain_text = { 0 };
	struct certificate_chain chain = { .count = 3 };
	int r = certificate_chain_read(root_cert, &root, fault);

	if (r < 0)
		return r;
	chain.certs[0] = draft->cert;
	chain.certs[1] = intermediate->chain->certs[0];
	chain.certs[2] = root->certs[0];
	r = certificate_chain_write(&chain, &chain_text);
	if (r < 0)
		return r;
	ret->chain = text_take(&chain_text);
	ret->key = key_text(draft->key);
	if (ret->chain && ret->key)
		return 0;
	certificate_leaf_done(ret);
	return -ENOMEM;
}

int certificate_authority_issue(const struct certificate_authority *authority,
				const char *const *names, size_t count, int64_t now_s,
				struct certificate_leaf *ret, struct fault *fault)
{
	CLEANUP(certificate_names_done) struct certificate_names sorted = { 0 };
	CLEANUP(signer_done) struct signer intermediate = { 0 };
	struct draft draft = { 0 };
	int64_t root_end, end;
	int r = canonical_names(names, count, &sorted, fault);

	if (r == 0)
		r = signer_read(authority->intermediate_cert, authority->intermediate_key,
				"intermediate", &intermediate, fault);
	if (r == 0)
		r = certificate_authority_ends(authority, &root_end, &end, fault);
	if (r < 0)
		return r;
	/* Both ends belong to the time of validity, and a day is before now. */
	end = sooner(now_s + (CERTIFICATE_LEAF_DAYS - 1) * DAY_S - 1, sooner(end, root_end));
	draft = (struct draft){ .key = EVP_EC_gen("P-256"),
				.issuer = intermediate.chain->certs[0],
				.issuer_key = intermediate.key };
	r = draft.key && make_leaf(&draft, sorted.names, sorted.count, now_s - DAY_S, end)
		    ? 0
		    : -ENOMEM;
	if (r == 0)
		r = write_leaf(&draft, &intermediate, authority->root_cert, ret, fault);
	X509_free(draft.cert);
	EVP_PKEY_free(draft.key);
	ERR_clear_error();
	return r;
}
