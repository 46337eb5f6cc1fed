#include "crypto/signature_header.h"
#include "crypto/test_hex.h"

/* tunnel.md A.1. */
static const char device_list[] =
	"timestamp=1700000000&nonce=1234567890123456789&size=67&blake3=84aMk%2FPq2zpw0rtEurhUSCKEZ21bV7PNKy"
	"XTuJ03xSI&signer=-----BEGIN+PUBLIC+KEY-----%0AMCowBQYDK2VwAyEAA6EHv%2FPOEL4dcN0Y50vAmWfk1jCbpQ1fHdy"
	"GZBJVMbg%3D%0A-----END+PUBLIC+KEY-----%0A&signature=-----BEGIN+SIGNATURE-----%0AMEkwBQYDK2VwBEDdhb8"
	"%2BId%2FEw0AVx79Vv4u5Xcl8LvKsdDL%2F%2Fn90vKtZpCuEQNoZ%0AwW4uvILImVVpZWBtetGSgpFhtW5kSBD5CnYG%0A----"
	"-END+SIGNATURE-----%0A";
static const char device_list_body[] =
	"{\"id\":0,\"method\":\"device.list\",\"params\":{\"subnet\":\"10.59.37.1/24\"}}";

/* rpc-and-patchdb.md 11.6. */
static const char echo[] =
	"timestamp=1700000000&nonce=42&size=50&blake3=TsZYqBkyOIL%2FwZK8GvHiSxKCUFQ3TuqXHNDNbycgL0s&signer=-"
	"----BEGIN+PUBLIC+KEY-----%0AMCowBQYDK2VwAyEAA6EHv%2FPOEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg%3D%0A----"
	"-END+PUBLIC+KEY-----%0A&signature=-----BEGIN+SIGNATURE-----%0AMEkwBQYDK2VwBEBX17P83HjJMcJx5F%2BAVXw"
	"LbfKt4oPfEu4dCAuWj4k6nreKQr%2BM%0An7UEfYoBnFucBxcaJdf0zRVXBlRt1t0x028L%0A-----END+SIGNATURE-----%0A";
static const char echo_body[] = "{\"id\":0,\"method\":\"echo\",\"params\":{\"message\":\"hi\"}}";

static void assert_reproduced(const char *body, uint64_t nonce, const char *context,
			      const char *expected)
{
	CLEANUP(text_done) struct text text = { 0 };
	struct signature_header header, parsed;
	uint8_t seed[32], public_key[32];

	counting_seed(seed);
	ed25519_public(seed, public_key);
	signature_header_prepare(1700000000, body, strlen(body), public_key, &header);
	header.nonce = nonce;
	assert_int_equal(signature_header_sign(&header, seed, context), 0);
	signature_header_write(&header, &text);
	assert_string_equal(text_string(&text), expected);

	assert_int_equal(signature_header_parse(expected, &parsed, NULL), 0);
	assert_memory_equal(&parsed, &header, sizeof(header));
	assert_true(signature_header_verify(&parsed, context));
	assert_false(signature_header_verify(&parsed, "203.0.113.8"));
}

static void test_worked_vectors_byte_for_byte(void **state)
{
	assert_reproduced(device_list_body, 1234567890123456789, "203.0.113.7", device_list);
	assert_reproduced(echo_body, 42, "my-server.local", echo);
}

static void test_every_part_of_the_commitment_counts(void **state)
{
	struct signature_header header, changed;

	assert_int_equal(signature_header_parse(device_list, &header, NULL), 0);
	assert_true(signature_header_verify(&header, "203.0.113.7"));
	changed = header;
	changed.timestamp++;
	assert_false(signature_header_verify(&changed, "203.0.113.7"));
	changed = header;
	changed.nonce++;
	assert_false(signature_header_verify(&changed, "203.0.113.7"));
	changed = header;
	changed.size++;
	assert_false(signature_header_verify(&changed, "203.0.113.7"));
	changed = header;
	changed.blake3[31] ^= 1;
	assert_false(signature_header_verify(&changed, "203.0.113.7"));
}

static void test_ssh_agent_signs_context_and_commitment(void **state)
{
	CLEANUP(text_done) struct text text = { 0 };
	uint8_t seed[32], public_key[32], blob[SSH_SIGNATURE_BLOB_MAX], signature[64];
	struct signature_header header, parsed;
	ssize_t size;

	counting_seed(seed);
	ed25519_public(seed, public_key);
	signature_header_prepare(1700000000, echo_body, strlen(echo_body), public_key, &header);
	size = signature_header_ssh_blob(&header, "203.0.113.7", blob);
	assert_true(size > 0);
	ed25519_sign(seed, blob, (size_t)size, signature);
	signature_header_set_ssh(&header, signature);
	signature_header_write(&header, &text);
	assert_int_equal(text_error(&text), 0);
	assert_int_equal(signature_header_parse(text_string(&text), &parsed, NULL), 0);
	assert_memory_equal(&parsed, &header, sizeof(header));
	assert_true(signature_header_verify(&parsed, "203.0.113.7"));
	assert_false(signature_header_verify(&parsed, "203.0.113.8"));
	/* It is no signature of the other form, and for the context's length nothing moves over. */
	parsed.kind = SIGNATURE_ED25519PH;
	assert_false(signature_header_verify(&parsed, "203.0.113.7"));
	parsed.kind = SIGNATURE_SSH;
	parsed.nonce++;
	assert_false(signature_header_verify(&parsed, "203.0.113.7"));
}

/* An SSH key that signs for git or for another program does not open a tunnel. */
static void test_ssh_signature_of_another_namespace_is_refused(void **state)
{
	CLEANUP(text_done) struct text text = { 0 };
	CLEANUP(fault_done) struct fault fault = { 0 };
	uint8_t blob[SSH_SIGNATURE_BLOB_MAX], seed[32];
	struct signature_header header, parsed;
	char *name;

	assert_int_equal(signature_header_parse(echo, &header, NULL), 0);
	counting_seed(seed);
	assert_true(signature_header_ssh_blob(&header, "a", blob) > 0);
	signature_header_set_ssh(&header, blob);
	signature_header_write(&header, &text);
	assert_int_equal(signature_header_parse(text_string(&text), &parsed, NULL), 0);
	name = strstr(text.data, "c3RhcnQtdHVubmVs"); /* "start-tunnel" */
	assert_non_null(name);
	name[0] = 'd';
	assert_int_equal(signature_header_parse(text_string(&text), &parsed, &fault), -EPROTO);
	assert_memory_equal(fault.details, "signature: ", 11);
}

static void test_longest_context(void **state)
{
	uint8_t blob[SSH_SIGNATURE_BLOB_MAX], seed[32];
	struct signature_header header;
	char context[257];

	assert_int_equal(signature_header_parse(echo, &header, NULL), 0);
	counting_seed(seed);
	memset(context, 'x', 256);
	context[256] = '\0';
	assert_int_equal(signature_header_sign(&header, seed, context), -EINVAL);
	assert_int_equal(signature_header_ssh_blob(&header, context, blob), -EINVAL);
	assert_false(signature_header_verify(&header, context));
	header.kind = SIGNATURE_SSH;
	assert_false(signature_header_verify(&header, context));
}

#define SIGNER                                                                                      \
	"signer=-----BEGIN+PUBLIC+KEY-----%0AMCowBQYDK2VwAyEAA6EHv%2FPOEL4dcN0Y50vAmWfk1jCbpQ1fHdy" \
	"GZBJVMbg%3D%0A-----END+PUBLIC+KEY-----%0A"
#define SIGNATURE                                                                                  \
	"signature=-----BEGIN+SIGNATURE-----%0AMEkwBQYDK2VwBEBX17P83HjJMcJx5F%2BAVXwLbfKt4oPfEu4d" \
	"CAuWj4k6nreKQr%2BM%0An7UEfYoBnFucBxcaJdf0zRVXBlRt1t0x028L%0A-----END+SIGNATURE-----%0A"
#define HASH "blake3=TsZYqBkyOIL%2FwZK8GvHiSxKCUFQ3TuqXHNDNbycgL0s"

static void test_readings(void **state)
{
	static const struct {
		const char *value;
		const char *refusal; /* its beginning; NULL: it is read */
	} cases[] = {
		{ SIGNATURE "&" SIGNER "&" HASH "%3D&size=50&x=y&nonce=42&timestamp=1700000000",
		  NULL },
		{ "timestamp=-5&nonce=18446744073709551615&size=0&" HASH "&" SIGNER "&" SIGNATURE,
		  NULL },
		{ "", "timestamp: it is missing" },
		{ "&&&", "timestamp: it is missing" },
		{ "timestamp", "timestamp: it is missing" },
		{ "timestamp=1&nonce=2&size=3&" HASH "&" SIGNER, "signature: it is missing" },
		{ "timestamp=1&timestamp=1", "timestamp: it is there twice" },
		{ "timestamp=", "timestamp: its value" },
		{ "timestamp=1x", "timestamp: its value" },
		{ "timestamp=+1", "timestamp: its value" },
		{ "timestamp=%31%3", "timestamp: its value" },
		{ "timestamp=1%00", "timestamp: its value" },
		{ "timestamp=1%zz", "timestamp: its value" },
		{ "timestamp=9223372036854775808", "timestamp: its value" },
		{ "timestamp=1&nonce=18446744073709551616", "nonce: its value" },
		{ "timestamp=1&nonce=-1", "nonce: its value" },
		{ "timestamp=1&nonce=1&size=%20", "size: its value" },
		{ "timestamp=1&nonce=1&size=1&blake3=AAAA", "blake3: its value" },
		{ "timestamp=1&nonce=1&size=1&blake3=", "blake3: its value" },
		{ "timestamp=1&nonce=1&size=1&" HASH "&signer=ssh-rsa+AAAA",
		  "key: a key of the kind" },
		{ "timestamp=1&nonce=1&size=1&" HASH "&" SIGNER "&signature=x",
		  "signature: no PEM" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(fault_done) struct fault fault = { 0 };
		struct signature_header header;
		int r = signature_header_parse(cases[i].value, &header, &fault);

		if (!cases[i].refusal) {
			assert_int_equal(r, 0);
			continue;
		}
		assert_int_equal(r, -EPROTO);
		if (strncmp(fault.details, cases[i].refusal, strlen(cases[i].refusal)) != 0)
			fail_msg("%s: %s", cases[i].value, fault.details);
	}
}

static void test_size_is_bounded(void **state)
{
	char value[SIGNATURE_HEADER_MAX + 2];
	struct signature_header header;

	memset(value, '&', sizeof(value));
	memcpy(value, echo, strlen(echo));
	value[sizeof(value) - 1] = '\0';
	assert_int_equal(signature_header_parse(value, &header, NULL), -EPROTO);
	value[SIGNATURE_HEADER_MAX] = '\0';
	assert_int_equal(signature_header_parse(value, &header, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_worked_vectors_byte_for_byte),
		cmocka_unit_test(test_every_part_of_the_commitment_counts),
		cmocka_unit_test(test_ssh_agent_signs_context_and_commitment),
		cmocka_unit_test(test_ssh_signature_of_another_namespace_is_refused),
		cmocka_unit_test(test_longest_context),
		cmocka_unit_test(test_readings),
		cmocka_unit_test(test_size_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
