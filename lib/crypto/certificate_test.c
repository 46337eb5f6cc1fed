/* Chains: our own authority's, held against OpenSSL's verifier and the rules that clients publish, and
 * those of others, good and bad. */
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "crypto/certificate_authority.h"
#include "crypto/certificate_internal.h"

#include "base/test.h"

#define DAY_S INT64_C(86400)
#define NOW_S INT64_C(1790000000) /* in September 2026 */

static const char *const hosts[] = { "198.51.100.7", "VPN.example.com", "2001:db8:0:0::7",
				     "an.example.com", "vpn.example.com" };

/* Copies of texts fail once there were so many: these two take the place of libc's. */
static size_t copies_left = SIZE_MAX;

char *strndup(const char *text, size_t max)
{
	size_t size = strnlen(text, max);
	char *copy = copies_left == 0 ? NULL : malloc(size + 1);

	if (!copy)
		return NULL;
	if (copies_left != SIZE_MAX)
		copies_left--;
	memcpy(copy, text, size);
	copy[size] = '\0';
	return copy;
}

char *strdup(const char *text)
{
	return strndup(text, strlen(text));
}

struct made {
	struct certificate_authority authority;
	struct certificate_leaf leaf;
	struct certificate_chain *chain;
};

static int set_up(void **state)
{
	struct made *made = calloc(1, sizeof(*made));

	assert_non_null(made);
	assert_int_equal(certificate_authority_make(NOW_S, &made->authority), 0);
	assert_int_equal(certificate_authority_issue(&made->authority, hosts, ARRAY_SIZE(hosts),
						     NOW_S, &made->leaf, NULL),
			 0);
	assert_int_equal(certificate_chain_read(made->leaf.chain, &made->chain, NULL), 0);
	*state = made;
	return 0;
}

static int tear_down(void **state)
{
	struct made *made = *state;

	(void)certificate_chain_free(made->chain);
	certificate_leaf_done(&made->leaf);
	certificate_authority_done(&made->authority);
	free(made);
	return 0;
}

/* What a client does that trusts @root alone. Returns OpenSSL's verdict. */
static int verdict(const struct certificate_chain *chain, X509 *root, const char *host,
		   const char *ip, int64_t now_s)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *context = X509_STORE_CTX_new();
	STACK_OF(X509) *others = sk_X509_new_null();
	X509_VERIFY_PARAM *param;
	int error;

	assert_int_equal(X509_STORE_add_cert(store, root), 1);
	if (chain->count > 1)
		assert_true(sk_X509_push(others, chain->certs[1]) > 0);
	assert_int_equal(X509_STORE_CTX_init(context, store, chain->certs[0], others), 1);
	param = X509_STORE_CTX_get0_param(context);
	assert_int_equal(X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_SERVER), 1);
	assert_int_equal(X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_X509_STRICT), 1);
	X509_VERIFY_PARAM_set_auth_level(param, 2);
	X509_VERIFY_PARAM_set_time(param, (time_t)now_s);
	if (host)
		assert_int_equal(X509_VERIFY_PARAM_set1_host(param, host, 0), 1);
	if (ip)
		assert_int_equal(X509_VERIFY_PARAM_set1_ip_asc(param, ip), 1);
	(void)X509_verify_cert(context);
	error = X509_STORE_CTX_get_error(context);
	sk_X509_free(others);
	X509_STORE_CTX_free(context);
	X509_STORE_free(store);
	return error;
}

static void the_verifier_accepts_its_hosts(void **state)
{
	const struct made *made = *state;
	X509 *root = made->chain->certs[2];

	assert_int_equal(verdict(made->chain, root, "vpn.example.com", NULL, NOW_S), X509_V_OK);
	assert_int_equal(verdict(made->chain, root, "an.example.com", NULL, NOW_S), X509_V_OK);
	assert_int_equal(verdict(made->chain, root, NULL, "198.51.100.7", NOW_S), X509_V_OK);
	assert_int_equal(verdict(made->chain, root, NULL, "2001:db8::7", NOW_S), X509_V_OK);
	assert_int_equal(verdict(made->chain, root, "example.com", NULL, NOW_S),
			 X509_V_ERR_HOSTNAME_MISMATCH);
	assert_int_equal(verdict(made->chain, root, NULL, "198.51.100.8", NOW_S),
			 X509_V_ERR_IP_ADDRESS_MISMATCH);
	assert_int_equal(verdict(made->chain, root, NULL, NULL, NOW_S + 398 * DAY_S),
			 X509_V_ERR_CERT_HAS_EXPIRED);
	assert_int_equal(certificate_chain_check(made->chain, made->leaf.key, NOW_S, NULL), 0);
}

static int64_t seconds_of(const struct certificate_chain *chain, size_t index)
{
	/* Both ends belong to it. */
	return certificate_not_after(chain, index) - certificate_not_before(chain, index) + 1;
}

/* What Apple asks of every TLS server, also under roots that were added by hand, since iOS 13
 * (support.apple.com/103769), and of those from 2020 on (102028). */
static void apples_rules_hold(void **state)
{
	const struct made *made = *state;
	X509 *leaf = made->chain->certs[0];
	char group[32];

	for (size_t i = 0; i < made->chain->count; i++) {
		int digest;

		assert_int_equal(EVP_PKEY_get_base_id(X509_get0_pubkey(made->chain->certs[i])),
				 EVP_PKEY_EC);
		assert_int_equal(EVP_PKEY_get_group_name(X509_get0_pubkey(made->chain->certs[i]),
							 group, sizeof(group), NULL),
				 1);
		assert_string_equal(group, "prime256v1");
		assert_int_equal(X509_get_signature_info(made->chain->certs[i], &digest, NULL, NULL,
							 NULL),
				 1);
		assert_int_equal(digest, NID_sha256);
	}
	assert_true(X509_get_extended_key_usage(leaf) & XKU_SSL_SERVER);
	assert_true(X509_get_ext_by_NID(leaf, NID_ext_key_usage, -1) >= 0);
	assert_true(X509_get_ext_by_NID(leaf, NID_subject_alt_name, -1) >= 0);
	assert_true(seconds_of(made->chain, 0) <= CERTIFICATE_LEAF_DAYS * DAY_S);
	assert_true(seconds_of(made->chain, 0) > (CERTIFICATE_LEAF_DAYS - 1) * DAY_S);
}

static void assert_subject(const struct certificate_chain *chain, size_t index, const char *wanted)
{
	CLEANUP(text_done) struct text subject = { 0 };

	assert_int_equal(certificate_subject(chain, index, &subject), 0);
	assert_string_equal(text_string(&subject), wanted);
}

static void certificates_are_as_specified(void **state)
{
	const struct made *made = *state;
	const struct certificate_chain *chain = made->chain;

	assert_int_equal(certificate_chain_count(chain), 3);
	assert_subject(chain, 0, "CN = an.example.com, O = Start9, OU = StartOS");
	assert_subject(chain, 1, "CN = StartOS Local Intermediate CA, O = Start9, OU = StartOS");
	assert_subject(chain, 2, "CN = start-tunnel Local Root CA, O = Start9, OU = StartOS");
	assert_false(certificate_is_root(chain, 0));
	assert_false(certificate_is_root(chain, 1));
	assert_true(certificate_is_root(chain, 2));
	for (size_t i = 1; i < 3; i++) {
		assert_int_equal(certificate_not_before(chain, i), NOW_S - DAY_S);
		assert_int_equal(certificate_not_after(chain, i), NOW_S + 3640 * DAY_S);
		assert_int_equal(X509_get_key_usage(chain->certs[i]),
				 KU_DIGITAL_SIGNATURE | KU_CRL_SIGN | KU_KEY_CERT_SIGN);
		assert_true(X509_get_extension_flags(chain->certs[i]) & EXFLAG_CA);
	}
	assert_int_equal(X509_get_pathlen(chain->certs[1]), 0);
	assert_int_equal(X509_get_pathlen(chain->certs[2]), -1);
	assert_non_null(X509_get0_authority_issuer(chain->certs[1]));
	assert_int_equal(certificate_not_before(chain, 0), NOW_S - DAY_S);
	assert_int_equal(X509_get_key_usage(chain->certs[0]),
			 KU_DIGITAL_SIGNATURE | KU_KEY_ENCIPHERMENT);
	assert_false(X509_get_extension_flags(chain->certs[0]) & EXFLAG_CA);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(X509_get_version(chain->certs[i]), X509_VERSION_3);
		assert_non_null(X509_get0_subject_key_id(chain->certs[i]));
		assert_non_null(X509_get0_authority_key_id(chain->certs[i]));
		assert_true(ASN1_STRING_length(X509_get_serialNumber(chain->certs[i])) >= 8);
	}
	assert_non_null(strstr(made->leaf.chain, "-----END CERTIFICATE-----\n\n-----BEGIN"));
	assert_non_null(strstr(made->leaf.key, "-----BEGIN PRIVATE KEY-----"));
}

static void names_are_sorted_and_once(void **state)
{
	static const char *const wanted[] = { "an.example.com", "vpn.example.com", "198.51.100.7",
					      "2001:db8::7" };
	const struct made *made = *state;
	CLEANUP(certificate_names_done) struct certificate_names names = { 0 };

	assert_int_equal(certificate_names(made->chain, &names), 0);
	assert_int_equal(names.count, ARRAY_SIZE(wanted));
	for (size_t i = 0; i < names.count; i++)
		assert_string_equal(names.names[i], wanted[i]);
}

/* A signature for a name that was left out would be refused, and nobody would know why. */
static void names_are_all_there_or_memory_is_short(void **state)
{
	const struct made *made = *state;
	size_t copies = 0;
	int r;

	do {
		struct certificate_names names = { 0 };

		copies_left = copies++;
		r = certificate_names(made->chain, &names);
		copies_left = SIZE_MAX;
		assert_int_equal(names.count, r < 0 ? 0 : 4);
		assert_true(r == 0 || r == -ENOMEM);
		certificate_names_done(&names);
	} while (r < 0);
	assert_int_equal(copies, 1 + 4);
}

static void addresses_alone_are_called_localhost(void **state)
{
	static const char *const address[] = { "198.51.100.7" };
	static const char long_name[] = "a-very-long-label-of-a-host-name-that-goes-on-and-on."
					"and-another-long-one.example.com";
	const char *const long_host[] = { long_name };
	const struct made *made = *state;
	const char *const *lists[] = { address, long_host };

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		CLEANUP(certificate_leaf_done) struct certificate_leaf leaf = { 0 };
		CLEANUP(certificate_chain_free) struct certificate_chain *chain = NULL;

		assert_int_equal(certificate_authority_issue(&made->authority, lists[i], 1, NOW_S,
							     &leaf, NULL),
				 0);
		assert_int_equal(certificate_chain_read(leaf.chain, &chain, NULL), 0);
		assert_subject(chain, 0, "CN = localhost, O = Start9, OU = StartOS");
		assert_int_equal(verdict(chain, chain->certs[2], i == 1 ? long_name : NULL,
					 i == 0 ? address[0] : NULL, NOW_S),
				 X509_V_OK);
	}
}

static void a_renewal_keeps_the_root(void **state)
{
	struct made *made = *state;
	int64_t later = NOW_S + 380 * DAY_S, root_end, end;

	for (int i = 0; i < 2; i++) {
		CLEANUP(certificate_leaf_done) struct certificate_leaf leaf = { 0 };
		CLEANUP(certificate_chain_free) struct certificate_chain *chain = NULL;

		assert_int_equal(certificate_authority_issue(&made->authority, hosts, 1, later,
							     &leaf, NULL),
				 0);
		assert_int_equal(certificate_chain_read(leaf.chain, &chain, NULL), 0);
		assert_int_equal(X509_cmp(chain->certs[2], made->chain->certs[2]), 0);
		assert_int_equal(X509_cmp(chain->certs[1], made->chain->certs[1]) == 0, i == 0);
		assert_int_equal(verdict(chain, made->chain->certs[2], NULL, hosts[0],
					 later + 395 * DAY_S),
				 X509_V_OK);
		assert_int_equal(certificate_chain_check(chain, leaf.key, later, NULL), 0);
		assert_int_equal(certificate_authority_renew(&made->authority, later, NULL), 0);
	}
	assert_int_equal(certificate_authority_ends(&made->authority, &root_end, &end, NULL), 0);
	assert_int_equal(root_end, NOW_S + 3640 * DAY_S);
	assert_int_equal(end, root_end);
}

static void a_leaf_does_not_outlive_its_root(void **state)
{
	const struct made *made = *state;
	CLEANUP(certificate_leaf_done) struct certificate_leaf leaf = { 0 };
	CLEANUP(certificate_chain_free) struct certificate_chain *chain = NULL;

	assert_int_equal(certificate_authority_issue(&made->authority, hosts, 1,
						     NOW_S + 3600 * DAY_S, &leaf, NULL),
			 0);
	assert_int_equal(certificate_chain_read(leaf.chain, &chain, NULL), 0);
	assert_int_equal(certificate_not_after(chain, 0), certificate_not_after(chain, 2));
}

static void wrong_subjects_are_refused(void **state)
{
	static const char *const wrong[] = {
		"",	"-a.example",	      "a-.example", "a..b",	 "a.example.", ".example",
		"a b",	"*.example.com",      "a_b",	    "1.2.3.4.5", "1.2.3",      "http://a",
		"a\nb", "caf\xc3\xa9.example"
	};
	const struct made *made = *state;
	const char *many[CERTIFICATE_SUBJECTS_MAX + 1];
	CLEANUP(certificate_leaf_done) struct certificate_leaf leaf = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		CLEANUP(fault_done) struct fault fault = { 0 };

		assert_int_equal(certificate_authority_issue(&made->authority, &wrong[i], 1, NOW_S,
							     &leaf, &fault),
				 -EPROTO);
		assert_int_equal(fault.kind, FAULT_INVALID_REQUEST);
		assert_non_null(strstr(fault.details, "subject:"));
	}
	for (size_t i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = "a.example";
	assert_int_equal(certificate_authority_issue(&made->authority, many, ARRAY_SIZE(many),
						     NOW_S, &leaf, NULL),
			 -EPROTO);
	assert_int_equal(certificate_authority_issue(&made->authority, many, 0, NOW_S, &leaf, NULL),
			 -EPROTO);
	assert_null(leaf.key);
}

static void a_fingerprint_is_that_of_the_whole(void **state)
{
	const struct made *made = *state;
	CLEANUP(text_done) struct text der = { 0 };
	uint8_t digest[CERTIFICATE_DIGEST_SIZE], again[CERTIFICATE_DIGEST_SIZE];
	char text[CERTIFICATE_FINGERPRINT_MAX], first[3];
	unsigned size;

	assert_int_equal(certificate_write_der(made->chain, 2, &der), 0);
	assert_int_equal(EVP_Digest(der.data, der.size, again, &size, EVP_sha256(), NULL), 1);
	certificate_digest(made->chain, 2, digest);
	assert_memory_equal(digest, again, sizeof(digest));
	assert_int_equal(strlen(certificate_fingerprint(made->chain, 2, text)), 95);
	(void)snprintf(first, sizeof(first), "%02X", digest[0]);
	assert_memory_equal(text, first, 2);
	assert_int_equal(text[2], ':');
}

/* --- chains of others --- */

struct recipe {
	const char *name;
	const char *issuer; /* NULL: itself */
	const char *key; /* "RSA:2048", "P-256", "ED25519" */
	const char *names; /* of subjectAltName, or NULL */
	const char *purpose; /* of extendedKeyUsage, or NULL */
	bool ca;
	int64_t from_day, to_day; /* from NOW_S */
	bool sha1;
};

struct other {
	X509 *cert;
	EVP_PKEY *key;
};

static EVP_PKEY *make_key(const char *kind)
{
	EVP_PKEY *key;

	if (strncmp(kind, "RSA:", 4) == 0)
		key = EVP_RSA_gen((unsigned)strtoul(kind + 4, NULL, 10));
	else if (strcmp(kind, "ED25519") == 0)
		key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	else
		key = EVP_EC_gen(kind);
	assert_non_null(key);
	return key;
}

static void extend(X509 *cert, int nid, const char *value)
{
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

	assert_non_null(extension);
	assert_int_equal(X509_add_ext(cert, extension, -1), 1);
	X509_EXTENSION_free(extension);
}

static struct other make_other(const struct recipe *recipe, const struct other *issuer)
{
	struct other other = { .cert = X509_new(), .key = make_key(recipe->key) };
	X509_NAME *name = X509_get_subject_name(other.cert);
	EVP_PKEY *signer = issuer ? issuer->key : other.key;
	const EVP_MD *digest = recipe->sha1 ? EVP_sha1() : EVP_sha256();

	assert_int_equal(X509_set_version(other.cert, X509_VERSION_3), 1);
	assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(other.cert), 77), 1);
	assert_int_equal(X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_ASC,
						    (const unsigned char *)recipe->name, -1, -1, 0),
			 1);
	assert_int_equal(X509_set_issuer_name(other.cert,
					      issuer ? X509_get_subject_name(issuer->cert) : name),
			 1);
	assert_non_null(
		ASN1_TIME_adj(X509_getm_notBefore(other.cert), NOW_S, (int)recipe->from_day, 0));
	assert_non_null(
		ASN1_TIME_adj(X509_getm_notAfter(other.cert), NOW_S, (int)recipe->to_day, 0));
	assert_int_equal(X509_set_pubkey(other.cert, other.key), 1);
	if (recipe->ca)
		extend(other.cert, NID_basic_constraints, "critical,CA:TRUE");
	if (recipe->names)
		extend(other.cert, NID_subject_alt_name, recipe->names);
	if (recipe->purpose)
		extend(other.cert, NID_ext_key_usage, recipe->purpose);
	if (EVP_PKEY_is_a(signer, "ED25519"))
		digest = NULL;
	assert_true(X509_sign(other.cert, signer, digest) > 0);
	return other;
}

static void other_done(struct other *other)
{
	X509_free(other->cert);
	EVP_PKEY_free(other->key);
}

#define LEAF(kind)                                                                                 \
	{                                                                                          \
		"leaf", "middle", kind, "DNS:a.example", "serverAuth", false, -1, 90, false        \
	}
#define MIDDLE                                                                                     \
	{                                                                                          \
		"middle", "root", "P-256", NULL, NULL, true, -1, 900, false                        \
	}
#define ROOT                                                                                       \
	{                                                                                          \
		"root", NULL, "P-256", NULL, NULL, true, -1, 3000, false                           \
	}

static const struct chain_case {
	const char *name;
	struct recipe recipes[3]; /* leaf, middle, root */
	const char *given; /* which of them, in which order: "lmr" */
	enum fault_kind kind; /* FAULT_NONE: it is accepted */
	const char *says;
} chain_cases[] = {
	{ "a leaf on P-256", { LEAF("P-256"), MIDDLE, ROOT }, "lmr", FAULT_NONE, "" },
	{ "a leaf on P-384", { LEAF("P-384"), MIDDLE, ROOT }, "lmr", FAULT_NONE, "" },
	{ "a leaf with RSA", { LEAF("RSA:2048"), MIDDLE, ROOT }, "lmr", FAULT_NONE, "" },
	{ "a leaf that is its own root",
	  { { "leaf", NULL, "P-256", "IP:198.51.100.7", NULL, false, -1, 90, false } },
	  "l",
	  FAULT_NONE,
	  "" },
	{ "RSA of 1024 bits",
	  { LEAF("RSA:1024"), MIDDLE, ROOT },
	  "lmr",
	  FAULT_INVALID_REQUEST,
	  "certificate 1: its key must be" },
	{ "Ed25519",
	  { LEAF("ED25519"), MIDDLE, ROOT },
	  "lmr",
	  FAULT_INVALID_REQUEST,
	  "certificate 1: its key must be" },
	{ "P-521",
	  { LEAF("P-521"), MIDDLE, ROOT },
	  "lmr",
	  FAULT_INVALID_REQUEST,
	  "certificate 1: its key must be" },
	{ "the issuer first",
	  { LEAF("P-256"), MIDDLE, ROOT },
	  "mlr",
	  FAULT_INVALID_SIGNATURE,
	  "certificate 1 does not belong to the private key" },
	{ "the root before the middle",
	  { LEAF("P-256"), MIDDLE, ROOT },
	  "lrm",
	  FAULT_INVALID_SIGNATURE,
	  "certificate 1 was not issued by certificate 2" },
	{ "without the middle",
	  { LEAF("P-256"), MIDDLE, ROOT },
	  "lr",
	  FAULT_INVALID_SIGNATURE,
	  "certificate 1 was not issued by certificate 2" },
	{ "without a root",
	  { LEAF("P-256"), MIDDLE, ROOT },
	  "lm",
	  FAULT_INVALID_REQUEST,
	  "certificate 2 is not a root, and its issuer (CN = root)" },
	{ "an expired leaf",
	  { { "leaf", "middle", "P-256", "DNS:a.example", NULL, false, -90, -1, false },
	    MIDDLE,
	    ROOT },
	  "lmr",
	  FAULT_INVALID_REQUEST,
	  "certificate 1 expired on 2026-09-" },
	{ "a leaf of tomorrow",
	  { { "leaf", "middle", "P-256", "DNS:a.example", NULL, false, 1, 90, false },
	    MIDDLE,
	    ROOT },
	  "lmr",
	  FAULT_INVALID_REQUEST,
	  "certificate 1 is not valid before 2026-09-" },
	{ "an expired middle",
	  { LEAF("P-256"), { "middle", "root", "P-256", NULL, NULL, true, -9, -2, false }, ROOT },
	  "lmr",
	  FAULT_INVALID_REQUEST,
	  "certificate 2 expired on 2026-09-" },
	{ "no names",
	  { { "leaf", "middle", "P-256", NULL, "serverAuth", false, -1, 90, false }, MIDDLE, ROOT },
	  "lmr",
	  FAULT_INVALID_REQUEST,
	  "certificate 1 names no host" },
	{ "only an e-mail address",
	  { { "leaf", "middle", "P-256", "email:a@a.example", NULL, false, -1, 90, false },
	    MIDDLE,
	    ROOT },
	  "lmr",
	  FAULT_INVALID_REQUEST,
	  "certificate 1 names no host" },
	{ "for clients",
	  { { "leaf", "middle", "P-256", "DNS:a.example", "clientAuth", false, -1, 90, false },
	    MIDDLE,
	    ROOT },
	  "lmr",
	  FAULT_INVALID_REQUEST,
	  "certificate 1: un" }, /* "unsupported" or "unsuitable certificate purpose" */
	{ "signed with SHA-1",
	  { { "leaf", "middle", "P-256", "DNS:a.example", NULL, false, -1, 90, true },
	    MIDDLE,
	    ROOT },
	  "lmr",
	  FAULT_INVALID_REQUEST,
	  "certificate 1: CA signature digest algorithm too weak" },
	{ "a middle that is no authority",
	  { LEAF("P-256"),
	    { "middle", "root", "P-256", "DNS:b.example", NULL, false, -1, 900, false },
	    ROOT },
	  "lmr",
	  FAULT_INVALID_REQUEST,
	  "certificate 2: " },
};

static void append_given(const struct chain_case *c, const struct other others[3], struct text *to)
{
	for (const char *which = c->given; *which; which++) {
		struct certificate_chain one = { .count = 1 };

		one.certs[0] = others[*which == 'l' ? 0 : *which == 'm' ? 1 : 2].cert;
		assert_int_equal(certificate_write(&one, 0, to), 0);
	}
}

static void run_case(const struct chain_case *c)
{
	CLEANUP(certificate_chain_free) struct certificate_chain *chain = NULL;
	CLEANUP(text_done_secret) struct text key = { 0 };
	CLEANUP(text_done) struct text text = { 0 };
	CLEANUP(fault_done) struct fault fault = { 0 };
	struct other others[3] = { 0 };
	int r;

	for (size_t i = 3; i-- > 0;)
		if (c->recipes[i].name)
			others[i] = make_other(&c->recipes[i],
					       c->recipes[i].issuer ? &others[i + 1] : NULL);
	append_given(c, others, &text);
	assert_int_equal(certificate_key_append(others[0].key, &key), 0);
	assert_int_equal(certificate_chain_read(text_string(&text), &chain, &fault), 0);
	r = certificate_chain_check(chain, text_string(&key), NOW_S, &fault);
	if (r != (c->kind ? -EPROTO : 0) || fault.kind != c->kind ||
	    (c->kind && strncmp(fault.details, c->says, strlen(c->says)) != 0))
		fail_msg("%s: %d, %d %s", c->name, r, fault.kind, fault.details);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		other_done(&others[i]);
}

static void chains_of_others(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(chain_cases); i++)
		run_case(&chain_cases[i]);
}

/* The public authorities' way: the chain without its root, which the client's system has. */
static void a_root_of_the_system_will_do(void **state)
{
	const struct made *made = *state;
	CLEANUP(certificate_chain_free) struct certificate_chain *chain = NULL;
	CLEANUP(text_done) struct text text = { 0 };
	char path[] = "/tmp/certificate_test.XXXXXX";
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(certificate_write(made->chain, 0, &text), 0);
	assert_int_equal(certificate_write(made->chain, 1, &text), 0);
	assert_int_equal(certificate_chain_read(text_string(&text), &chain, NULL), 0);
	assert_int_equal(certificate_chain_check(chain, made->leaf.key, NOW_S, NULL), -EPROTO);
	assert_int_equal(write(fd, made->authority.root_cert, strlen(made->authority.root_cert)),
			 strlen(made->authority.root_cert));
	assert_int_equal(setenv("SSL_CERT_FILE", path, 1), 0);
	assert_int_equal(certificate_chain_check(chain, made->leaf.key, NOW_S, NULL), 0);
	assert_int_equal(unsetenv("SSL_CERT_FILE"), 0);
	(void)close(fd);
	(void)unlink(path);
}

static void texts_that_are_no_chain_are_refused(void **state)
{
	const struct made *made = *state;
	CLEANUP(text_done) struct text many = { 0 };
	CLEANUP(text_done) struct text broken = { 0 };
	CLEANUP(text_done) struct text after = { 0 };
	CLEANUP(text_done) struct text big = { 0 };
	const char *begin = strstr(made->leaf.chain + 1, "-----BEGIN");

	for (int i = 0; i < 4; i++)
		text_append(&many, made->leaf.chain);
	text_append_bytes(&broken, made->leaf.chain, 200);
	text_append(&after, made->leaf.chain);
	text_append(&after, "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n");
	while (big.size <= CERTIFICATE_TEXT_MAX)
		text_append(&big, "# nothing but a comment\n");
	assert_non_null(begin);
	const struct {
		const char *text, *says;
	} cases[] = {
		{ "", "no certificate in PEM" },
		{ "hello", "no certificate in PEM" },
		{ made->leaf.key, "no certificate in PEM" },
		{ text_string(&broken), "certificate 1 is not sound PEM" },
		{ text_string(&after), "certificate 4 is not sound PEM" },
		{ text_string(&many), "more than 8 certificates" },
		{ text_string(&big), "the certificates are longer than 65536 bytes" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(fault_done) struct fault fault = { 0 };
		struct certificate_chain *chain = NULL;

		assert_int_equal(certificate_chain_read(cases[i].text, &chain, &fault), -EPROTO);
		assert_int_equal(fault.kind, FAULT_DESERIALIZATION);
		assert_memory_equal(fault.details, cases[i].says, strlen(cases[i].says));
	}
}

static char *pem_of(EVP_PKEY *key, const char *password)
{
	BIO *bio = BIO_new(BIO_s_mem());
	CLEANUP(text_done) struct text text = { 0 };
	int ok;

	if (password)
		ok = PEM_write_bio_PKCS8PrivateKey(bio, key, EVP_aes_128_cbc(), password,
						   (int)strlen(password), NULL, NULL);
	else
		ok = PEM_write_bio_PrivateKey_traditional(bio, key, NULL, NULL, 0, NULL, NULL);
	assert_int_equal(certificate_take_bio(bio, ok == 1, &text), 0);
	return text_take(&text);
}

static void keys_come_in_several_forms(void **state)
{
	static const char *const kinds[] = { "RSA:2048", "P-256" };

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		EVP_PKEY *key = make_key(kinds[i]);
		cleanup_free char *traditional = pem_of(key, NULL);
		cleanup_free char *locked = pem_of(key, "secret");
		CLEANUP(text_done_secret) struct text with_params = { 0 };
		CLEANUP(text_done_secret) struct text out = { 0 };
		CLEANUP(fault_done) struct fault fault = { 0 };

		/* `openssl ecparam -genkey` writes the curve before the key. */
		if (i == 1)
			text_append(&with_params,
				    "-----BEGIN EC PARAMETERS-----\n"
				    "BggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n");
		text_append(&with_params, traditional);
		assert_int_equal(certificate_key_write(text_string(&with_params), &out, NULL), 0);
		assert_memory_equal(text_string(&out), "-----BEGIN PRIVATE KEY-----\n", 28);
		assert_int_equal(certificate_key_write(locked, &out, &fault), -EPROTO);
		assert_int_equal(fault.kind, FAULT_DESERIALIZATION);
		assert_non_null(strstr(fault.details, "password"));
		assert_int_equal(certificate_key_write("-----BEGIN PRIVATE KEY-----\n", &out, NULL),
				 -EPROTO);
		EVP_PKEY_free(key);
	}
}

static void what_is_written_reads_the_same(void **state)
{
	const struct made *made = *state;
	CLEANUP(text_done) struct text text = { 0 };

	assert_int_equal(certificate_chain_write(made->chain, &text), 0);
	assert_string_equal(text_string(&text), made->leaf.chain);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_verifier_accepts_its_hosts),
		cmocka_unit_test(apples_rules_hold),
		cmocka_unit_test(certificates_are_as_specified),
		cmocka_unit_test(names_are_sorted_and_once),
		cmocka_unit_test(names_are_all_there_or_memory_is_short),
		cmocka_unit_test(addresses_alone_are_called_localhost),
		cmocka_unit_test(a_leaf_does_not_outlive_its_root),
		cmocka_unit_test(wrong_subjects_are_refused),
		cmocka_unit_test(a_fingerprint_is_that_of_the_whole),
		cmocka_unit_test(chains_of_others),
		cmocka_unit_test(a_root_of_the_system_will_do),
		cmocka_unit_test(texts_that_are_no_chain_are_refused),
		cmocka_unit_test(keys_come_in_several_forms),
		cmocka_unit_test(what_is_written_reads_the_same),
		cmocka_unit_test(a_renewal_keeps_the_root), /* last: it changes the authority */
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
