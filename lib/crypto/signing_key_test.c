#include "crypto/pem.h"
#include "crypto/signing_key.h"
#include "crypto/ssh_signature.h"
#include "crypto/test_hex.h"

/* The key with the seed 00 01 ... 1f in each of its forms, as OpenSSL and OpenSSH write them. */

static const char spki[] = "-----BEGIN PUBLIC KEY-----\n"
			   "MCowBQYDK2VwAyEAA6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=\n"
			   "-----END PUBLIC KEY-----\n";

static const char ssh_line[] =
	"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4 me@laptop\n";

static const char pkcs8[] = "-----BEGIN PRIVATE KEY-----\n"
			    "MC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n"
			    "-----END PRIVATE KEY-----\n";

/* RFC 5958: version 1, with the public half. */
static const char pkcs8_both[] =
	"-----BEGIN PRIVATE KEY-----\n"
	"MFECAQEwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n"
	"gSEAA6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=\n"
	"-----END PRIVATE KEY-----\n";

static const char openssh[] =
	"-----BEGIN OPENSSH PRIVATE KEY-----\n"
	"b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZWQyNTUx\n"
	"OQAAACADoQe/884Qvh1w3RjnS8CZZ+TWMJulDV8d3IZkElUxuAAAAIhnZakwZ2WpMAAAAAtzc2gt\n"
	"ZWQyNTUxOQAAACADoQe/884Qvh1w3RjnS8CZZ+TWMJulDV8d3IZkElUxuAAAAEAAAQIDBAUGBwgJ\n"
	"CgsMDQ4PEBESExQVFhcYGRobHB0eHwOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4AAAA\n"
	"AAECAwQF\n"
	"-----END OPENSSH PRIVATE KEY-----\n";

static const char openssh_encrypted[] =
	"-----BEGIN OPENSSH PRIVATE KEY-----\n"
	"b3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHIAAAAGYmNyeXB0AAAAGAAAABA5qNs47G\n"
	"ns/KmJPi+WTVGBAAAAEAAAAAEAAAAzAAAAC3NzaC1lZDI1NTE5AAAAIAOhB7/zzhC+HXDd\n"
	"GOdLwJln5NYwm6UNXx3chmQSVTG4AAAAkLE9rF5BxsJ2tUSn3oGUZFZUBxmO/VaWanea8v\n"
	"f+IlXM/iQct95U+CxVcz2mPNAdskKc4/ix84Li5ZrnnJ09VFFTc/iTZStpZLf0UWCmZM1+\n"
	"q2qqHPy6shZRN948pUVWANuiTStJ4LG697atN5a9RXzDcGUPXUPz/YjlFazrtq8u5HxdFL\n"
	"g2vFAZQBo3AfI7yA==\n"
	"-----END OPENSSH PRIVATE KEY-----\n";

/* Of NIST P-256. */
static const char ec_public[] = "-----BEGIN PUBLIC KEY-----\n"
				"MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEzJ1fm00rXolku9cPELElrK3jnHlH\n"
				"OTzKPJ9+i7WTPiYyMyH1+bdahKWylOez7G0GsvTSyxUqyR60+P/JsU8LxA==\n"
				"-----END PUBLIC KEY-----\n";

static const char ec_private[] =
	"-----BEGIN PRIVATE KEY-----\n"
	"MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgJ8bh39JI1B2pzHB3\n"
	"xHIDia1zh8SL0ASJmUaKaTFAHNyhRANCAATMnV+bTSteiWS71w8QsSWsreOceUc5\n"
	"PMo8n36LtZM+JjIzIfX5t1qEpbKU57PsbQay9NLLFSrJHrT4/8mxTwvE\n"
	"-----END PRIVATE KEY-----\n";

static const char ec_openssh[] =
	"-----BEGIN OPENSSH PRIVATE KEY-----\n"
	"b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAaAAAABNlY2RzYS1zaGEy\n"
	"LW5pc3RwMjU2AAAACG5pc3RwMjU2AAAAQQTMnV+bTSteiWS71w8QsSWsreOceUc5PMo8n36LtZM+\n"
	"JjIzIfX5t1qEpbKU57PsbQay9NLLFSrJHrT4/8mxTwvEAAAAoGIvQNFiL0DRAAAAE2VjZHNhLXNo\n"
	"YTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBMydX5tNK16JZLvXDxCxJayt45x5Rzk8yjyffou1\n"
	"kz4mMjMh9fm3WoSlspTns+xtBrL00ssVKsketPj/ybFPC8QAAAAgJ8bh39JI1B2pzHB3xHIDia1z\n"
	"h8SL0ASJmUaKaTFAHNwAAAAAAQIDBAUGBwg=\n"
	"-----END OPENSSH PRIVATE KEY-----\n";

/* `printf hello | ssh-keygen -Y sign -n start-tunnel` with this key. */
static const char ssh_signature[] =
	"-----BEGIN SSH SIGNATURE-----\n"
	"U1NIU0lHAAAAAQAAADMAAAALc3NoLWVkMjU1MTkAAAAgA6EHv/POEL4dcN0Y50vAmWfk1j\n"
	"CbpQ1fHdyGZBJVMbgAAAAMc3RhcnQtdHVubmVsAAAAAAAAAAZzaGE1MTIAAABTAAAAC3Nz\n"
	"aC1lZDI1NTE5AAAAQDd9yBlFrpSDYhqV1j4u+uakBNt87ZYY3DVJVseXVKvVC3pmHmD/Wv\n"
	"Os7tKGhaGLmhmqWBiwjNQOqRL2vtQmggg=\n"
	"-----END SSH SIGNATURE-----\n";

static void counting_public(uint8_t to[32])
{
	uint8_t seed[32];

	counting_seed(seed);
	ed25519_public(seed, to);
}

static void test_public_keys(void **state)
{
	static const char crlf[] =
		"  -----BEGIN PUBLIC KEY-----\r\n"
		"MCowBQYDK2VwAyEAA6EHv/POEL4dcN0Y50vAmWfk1j\r\nCbpQ1fHdyGZBJVMbg=\r\n"
		"-----END PUBLIC KEY-----\r\n\r\n";
	static const char bare_line[] =
		"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4";
	const char *const forms[] = { spki, ssh_line, crlf, bare_line };
	uint8_t expected[32], key[32];
	char pem[SIGNING_KEY_PEM_SIZE], line[SIGNING_KEY_SSH_SIZE];

	counting_public(expected);
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		memset(key, 0, sizeof(key));
		assert_int_equal(signing_key_parse_public(forms[i], key, NULL), 0);
		assert_memory_equal(key, expected, sizeof(key));
	}
	assert_string_equal(signing_key_format_public(key, pem), spki);
	assert_string_equal(signing_key_format_ssh(key, line), bare_line);
}

static void test_private_keys(void **state)
{
	const char *const forms[] = { pkcs8, pkcs8_both, openssh };
	uint8_t expected[32], seed[32];
	char pem[SIGNING_KEY_PRIVATE_PEM_SIZE];

	counting_seed(expected);
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		memset(seed, 0xff, sizeof(seed));
		assert_int_equal(signing_key_parse_private(forms[i], seed, NULL), 0);
		assert_memory_equal(seed, expected, sizeof(seed));
	}
	assert_string_equal(signing_key_format_private(seed, pem), pkcs8);
}

static void test_refused_keys_are_told_apart(void **state)
{
	const struct {
		const char *text, *reason;
		bool is_private;
	} cases[] = {
		{ "", "neither a line", false },
		{ "AAAAC3NzaC1lZDI1NTE5AAAA", "neither a line", false },
		{ "ssh-rsa AAAAB3NzaC1yc2EAAAADAQ me", "kind ssh-rsa", false },
		{ "ecdsa-sha2-nistp256 AAAA", "kind ecdsa", false },
		{ "sk-ssh-ed25519@openssh.com AAAA", "kind sk-ssh-ed25519@openssh.com", false },
		{ "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAOhB7/zzhC+HXDdGO", "cut off", false },
		{ "ssh-ed25519 ", "cut off", false },
		{ "ssh-ed25519 AAAA\nssh-ed25519 AAAA", "more than one line", false },
		/* The neutral point. */
		{ "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
		  "no key that anybody could sign with", false },
		{ "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2Vw", "broken or cut off", false },
		{ ec_public, "no Ed25519 key", false },
		{ pkcs8, "private key", false },
		{ openssh, "private key", false },
		{ ssh_signature, "is a SSH SIGNATURE", false },
		{ "", "no private key", true },
		{ spki, "is a PUBLIC KEY", true },
		{ ssh_line, "no private key", true },
		{ openssh_encrypted, "ssh-add", true },
		{ ec_openssh, "no Ed25519 key", true },
		{ ec_private, "no Ed25519 key", true },
		{ "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----",
		  "encrypted", true },
		{ "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PUBLIC KEY-----", "broken", true },
	};
	uint8_t key[32] = { 42 };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(fault_done) struct fault fault = { 0 };
		int r = cases[i].is_private ? signing_key_parse_private(cases[i].text, key, &fault)
					    : signing_key_parse_public(cases[i].text, key, &fault);

		assert_int_equal(r, -EPROTO);
		if (!strstr(fault.details, cases[i].reason))
			fail_msg("case %zu: %s", i, fault.details);
		assert_int_equal(key[0], 42); /* untouched */
	}
}

/* A private key whose stated public half is another one would sign for somebody else. */
static void test_private_key_with_a_foreign_public_half(void **state)
{
	char text[sizeof(pkcs8_both)];
	uint8_t seed[32];

	memcpy(text, pkcs8_both, sizeof(text));
	*strchr(text, 'v') = 'w'; /* in the public half */
	assert_int_equal(signing_key_parse_private(text, seed, NULL), -EPROTO);
}

static void test_size_is_bounded(void **state)
{
	char *text = malloc(SIGNING_KEY_TEXT_MAX + 2);
	uint8_t key[32];

	assert_non_null(text);
	memset(text, ' ', SIGNING_KEY_TEXT_MAX + 1);
	text[SIGNING_KEY_TEXT_MAX + 1] = '\0';
	memcpy(text, spki, strlen(spki));
	assert_int_equal(signing_key_parse_public(text, key, NULL), -EPROTO);
	text[SIGNING_KEY_TEXT_MAX] = '\0';
	assert_int_equal(signing_key_parse_public(text, key, NULL), 0);
	free(text);
}

static void test_signature_text(void **state)
{
	static const char expected[] =
		"-----BEGIN SIGNATURE-----\n"
		"MEkwBQYDK2VwBEDdhb8+Id/Ew0AVx79Vv4u5Xcl8LvKsdDL//n90vKtZpCuEQNoZ\n"
		"wW4uvILImVVpZWBtetGSgpFhtW5kSBD5CnYG\n"
		"-----END SIGNATURE-----\n";
	uint8_t signature[64], again[64];
	char pem[SIGNATURE_PEM_SIZE];

	from_hex(
		"dd85bf3e21dfc4c34015c7bf55bf8bb95dc97c2ef2ac7432fffe7f74bcab59a42b8440da19c16e2ebc82c"
		"899556965606d7ad192829161b56e644810f90a7606",
		signature);
	assert_string_equal(signature_format(signature, pem), expected);
	assert_int_equal(signature_parse(pem, again, NULL), 0);
	assert_memory_equal(again, signature, sizeof(again));
	assert_int_equal(signature_parse(spki, again, NULL), -EPROTO);
	pem[40] = '!';
	assert_int_equal(signature_parse(pem, again, NULL), -EPROTO);
}

static void test_signature_of_ssh_keygen(void **state)
{
	CLEANUP(text_done) struct text text = { 0 };
	struct ssh_signature signature, made;
	uint8_t seed[32];

	assert_int_equal(ssh_signature_parse(ssh_signature, &signature, NULL), 0);
	assert_string_equal(signature.name, "start-tunnel");
	assert_int_equal(signature.hash, SSH_SIGNATURE_SHA512);
	assert_true(ssh_signature_verify(&signature, "start-tunnel", "hello", 5));
	assert_false(ssh_signature_verify(&signature, "start-tunnel", "hellO", 5));
	assert_false(ssh_signature_verify(&signature, "git", "hello", 5));
	counting_seed(seed);
	ssh_signature_make(seed, "start-tunnel", "hello", 5, &made);
	ssh_signature_write(&made, &text);
	assert_string_equal(text_string(&text), ssh_signature);
}

static void test_ssh_signature_with_sha256(void **state)
{
	uint8_t blob[SSH_SIGNATURE_BLOB_MAX], seed[32];
	struct ssh_signature signature;
	size_t size;

	counting_seed(seed);
	ssh_signature_make(seed, "start-tunnel", "hello", 5, &signature);
	signature.hash = SSH_SIGNATURE_SHA256;
	assert_false(ssh_signature_verify(&signature, "start-tunnel", "hello", 5));
	size = ssh_signature_blob("start-tunnel", SSH_SIGNATURE_SHA256, "hello", 5, blob);
	ed25519_sign(seed, blob, size, signature.signature);
	assert_true(ssh_signature_verify(&signature, "start-tunnel", "hello", 5));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_public_keys),
		cmocka_unit_test(test_private_keys),
		cmocka_unit_test(test_refused_keys_are_told_apart),
		cmocka_unit_test(test_private_key_with_a_foreign_public_half),
		cmocka_unit_test(test_size_is_bounded),
		cmocka_unit_test(test_signature_text),
		cmocka_unit_test(test_signature_of_ssh_keygen),
		cmocka_unit_test(test_ssh_signature_with_sha256),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
